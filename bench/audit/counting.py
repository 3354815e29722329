"""GRIM over a report: which accuracies are whole numbers of images, and which are means over batches."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from bench.audit import grim
from bench.audit.finding import Finding, finding, listed, shown
from bench.audit.stated import numbers, stated, whole_numbers
from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.data_facts import DataFacts, known_data

MUCH = 0.05
"""A reading that more than one arbitrary value in twenty would fit is weak evidence."""


def check_counts(ledger: Ledger, facts: DataFacts) -> Iterator[Finding]:
    """GRIM for every accuracy that claims to be exact; together those that share their number of images."""
    groups: dict[tuple[int, str], list[Claim]] = defaultdict(list)
    for claim in numbers(ledger):
        if not METRICS[str(claim.metric)].of_images or claim.approx:
            continue
        if claim.n is not None:
            groups[claim.n * claim.runs, claim.n_from or "outside"].append(claim)
        else:
            yield from _without_n(ledger, claim, facts)
    for (n, n_from), claims in groups.items():
        missed = [claim for claim in claims if _counts(claim, n) is None]
        yield from _whole(claims, n)
        if missed:
            explained = {claim.id for claim in missed if is_excused(ledger, claim, claims, n)}
            for excused in (False, True):
                some = [claim for claim in missed if (claim.id in explained) is excused]
                if some:
                    yield _not_whole(some, n, n_from, excused=excused)
            yield from _as_batch_means(ledger, claims, missed, n)


def is_excused(ledger: Ledger, claim: Claim, claims: Sequence[Claim], n: int) -> bool:
    """Whether an innocent reading fits: a cut in floats, rounding twice, or a mean over batches.

    Batches count where one size and one way to print fit all figures of the table that share them: the stated
    size, or a usual one where none is stated.
    """
    assert claim.value is not None
    percent = claim.unit == "percent"
    if grim.cut_by_floats(claim.value, n, percent=percent) is not None:
        return True
    if grim.rounded_twice(claim.value, n, percent=percent):
        return True
    size = _batch_of(ledger, claim, n)
    table = [other for other in claims if _batch_of(ledger, other, n) == size]
    sizes = [size] if size else [batch for batch in grim.USUAL_BATCHES if batch < n] if size is None else []
    return any(_Readings(table, n, batch).explaining() for batch in sizes)


def _batch_of(ledger: Ledger, claim: Claim, n: int) -> int | None:
    """The stated batch size; None where none is, 0 where it makes no batches of n images."""
    stated_batch = stated(ledger, claim.recipe, "batch_size")
    sizes = whole_numbers(stated_batch[0]) if stated_batch else []
    if stated_batch is None or not sizes:
        return None
    return sizes[0] if 1 < sizes[0] < n else 0


def _counts(claim: Claim, n: int) -> grim.ImageCounts | None:
    assert claim.value is not None
    return grim.counts(claim.value, n, percent=claim.unit == "percent")


def _share(claims: Sequence[Claim], n: int) -> float:
    return max(grim.share_of_counts(c.decimals, n, percent=c.unit == "percent") for c in claims)


def _whole(claims: Sequence[Claim], n: int) -> Iterator[Finding]:
    """What passes: to the last digit of a float, and within the printed digits."""
    counts_by_claim = {claim: counts for claim in claims if (counts := _counts(claim, n)) is not None}
    exact = [claim for claim, counts in counts_by_claim.items() if counts.exact]
    within = [claim for claim in counts_by_claim if claim not in exact]
    if exact:
        reduced = [Fraction(counts_by_claim[claim].low, n).denominator for claim in exact]
        alone = math.lcm(*reduced) == n and n > 1
        one = len(exact) == 1
        yield finding(
            exact,
            "GRIM",
            f"{listed(map(shown, exact))} {'is' if one else 'are'} {_of(counts_by_claim, exact)}"
            f" of {n:,} to the last"
            f" digit{f', so that n = {n:,} follows from the report itself, or a multiple' if alone else ''}",
            verdict="holds",
            strength="certain",
            printed=listed(map(shown, exact)),
            expected=f"k/{n}",
        )
    yield from _one_way(within, n)
    if within:
        share = _share(within, n)
        yield finding(
            within,
            "GRIM",
            f"{listed(map(shown, within))} {'is' if len(within) == 1 else 'are'}"
            f" {_of(counts_by_claim, within)} of"
            f" {n:,}, as {_arbitrary(share)} with as many digits would be",
            verdict="holds",
            strength="strong" if share <= MUCH else "weak",
            printed=listed(map(shown, within)),
            expected=f"k/{n}",
        )


def _one_way(claims: Sequence[Claim], n: int) -> Iterator[Finding]:
    """Figures of one table are rounded or cut off alike: each may be k/n, and yet no one way make all."""
    ways = {
        claim: [
            cut
            for cut in (False, True)
            if grim.reached(str(claim.value), n, percent=claim.unit == "percent", cut=cut)
        ]
        for claim in claims
    }
    plain = {claim: ways_of for claim, ways_of in ways.items() if ways_of}  # others are floats in full
    if plain and not any(all(cut in ways_of for ways_of in plain.values()) for cut in (False, True)):
        only = {cut: [c for c, ways_of in plain.items() if ways_of == [cut]] for cut in (False, True)}
        yield finding(
            list(plain),
            "GRIM",
            f"{listed(map(shown, only[False]))} of {n:,} images only where digits are rounded,"
            f" {listed(map(shown, only[True]))} only where they are cut off: one table has one way",
            strength="weak",
            printed=listed(map(shown, plain)),
            expected="one way to print",
            flag="inconsistent",
        )


def _of(counts_by_claim: dict[Claim, grim.ImageCounts], claims: Sequence[Claim]) -> str:
    spans = [counts_by_claim[claim] for claim in claims]
    return listed(f"{s.low:,}" if s.low == s.high else f"{s.low:,} to {s.high:,}" for s in spans)


def _not_whole(missed: Sequence[Claim], n: int, n_from: str, *, excused: bool) -> Finding:
    """Figures that are no whole number of images; ``excused`` where another reading fits them."""
    near = ["/".join(_nearest(claim, n)) for claim in missed]
    one = len(missed) == 1
    origin = {
        "outside": f"; that there are {n:,} is known from outside the report",
        "derived": f"; that there are {n:,} follows from other figures of the report",
    }.get(n_from, "")
    if any("split" in claim.unstated for claim in missed):
        origin += ", and which split is meant is not said"
    return finding(
        missed,
        "GRIM",
        f"{listed(map(shown, missed))} {'is no whole number' if one else 'are no whole numbers'} of {n:,}"
        f" images, rounded or cut off (possible values next to {'it' if one else 'them'}:"
        f" {', '.join(near)}){origin}"
        f"{'; as printed otherwise, such as a mean over batches, they can be' if excused else ''}",
        strength="weak" if excused else "strong" if n_from == "outside" else "certain",
        printed=listed(map(shown, missed)),
        expected=", ".join(near),
        flag="inconsistent",
    )


def _nearest(claim: Claim, n: int) -> tuple[str, ...]:
    assert claim.value is not None
    return grim.nearest(claim.value, n, percent=claim.unit == "percent")


def _without_n(ledger: Ledger, claim: Claim, facts: DataFacts) -> Iterator[Finding]:
    """A figure of a set whose split is not said: the sizes of all its splits are tried."""
    splits = known_data(claim, ledger, facts).splits
    sizes = {name: n * claim.runs for name, n in splits.items() if claim.split in (name, "unstated")}
    if not sizes:
        return
    fits = {name: counts for name, n in sizes.items() if (counts := _counts(claim, n)) is not None}
    sizes_text = listed(f"{sizes[name]:,} ({name})" for name in (fits or sizes))
    if fits:
        share = max(_share([claim], sizes[name]) for name in fits)
        yield finding(
            [claim],
            "GRIM",
            f"{shown(claim)} can be a whole number of {sizes_text} images, as {_arbitrary(share)}"
            " could; the report does not say of which",
            verdict="holds",
            strength="weak",
            printed=shown(claim),
            expected="k/n",
        )
    else:
        yield finding(
            [claim],
            "GRIM",
            f"{shown(claim)} is no whole number of {sizes_text}"
            " images, the sizes of the set; the report does not say which images it is measured on",
            strength="weak",
            printed=shown(claim),
            expected="k/n",
            flag="inconsistent",
        )


def _as_batch_means(
    ledger: Ledger, claims: Sequence[Claim], missed: Sequence[Claim], n: int
) -> Iterator[Finding]:
    """The other reading: accuracies averaged over batches, the last of which is smaller.

    One reading has to fit all figures of a table, those that are whole numbers included.
    """
    by_batch: dict[int | None, list[Claim]] = defaultdict(list)
    sources: dict[int, Claim] = {}
    for claim in claims:
        stated_batch = stated(ledger, claim.recipe, "batch_size")
        sizes = whole_numbers(stated_batch[0]) if stated_batch else []
        if stated_batch is None or not sizes:
            by_batch[None].append(claim)
        elif 1 < sizes[0] < n:  # else there is one batch, or one image in each
            by_batch[sizes[0]].append(claim)
            sources[sizes[0]] = stated_batch[1]
    for batch, group in by_batch.items():
        if not any(claim in missed for claim in group):
            continue
        if batch is None:
            yield _at_usual(group, n)
        else:
            yield _at_stated(group, n, batch, sources[batch])


class _Readings:
    """Which of some figures are means over batches, by each way to print and to end them."""

    def __init__(self, claims: Sequence[Claim], n: int, batch: int) -> None:
        self.claims, self.n, self.batch = claims, n, batch
        self.ways = [(cut, dropped) for dropped in (False, True) for cut in (False, True)]

    def fitting(self, cut: bool, dropped: bool) -> list[Claim]:
        return [
            claim
            for claim in self.claims
            if grim.batch_mean(
                str(claim.value), self.images(dropped), self.batch, percent=claim.unit == "percent", cut=cut
            )
        ]

    def images(self, dropped: bool) -> int:
        return self.n // self.batch * self.batch if dropped else self.n

    def share(self, cut: bool, dropped: bool) -> float:
        """How often an arbitrary value would fit this reading."""
        return max(
            grim.share_of_batch_means(
                claim.decimals, self.images(dropped), self.batch, percent=claim.unit == "percent", cut=cut
            )
            for claim in self.claims
        )

    def explaining(self) -> list[tuple[bool, bool]]:
        """The readings that fit all figures."""
        return [way for way in self.ways if len(self.fitting(*way)) == len(self.claims)]


def _at_stated(claims: Sequence[Claim], n: int, batch: int, source: Claim) -> Finding:
    readings = _Readings(claims, n, batch)
    explaining = readings.explaining()
    readings_text = "; ".join(
        f"{'the last one left out' if dropped else 'the last one smaller'} and"
        f" {'cut off' if cut else 'rounded'}, {_who(fit, claims)}"
        for cut, dropped in readings.ways
        if (fit := readings.fitting(cut, dropped))
    )
    start = f"read as {'a mean' if len(claims) == 1 else 'means'} over batches of {batch}, the stated size"
    if not explaining:
        strength = "strong"
        end = "; no such reading fits all of them" if readings_text else ""
        readings_text = (
            readings_text
            or f"{listed(map(shown, claims))} {'does' if len(claims) == 1 else 'do'} not fit either"
        )
    else:
        share = min(readings.share(*way) for way in explaining)
        # One of four readings was free to fit.
        strength = "strong" if len(readings.ways) * share ** len(claims) <= MUCH / 5 else "weak"
        end = f"; {_arbitrary(share)} would fit a reading that fits {'it' if len(claims) == 1 else 'all'}: "
        end += "evidence" if strength == "strong" else "weak evidence"
    return finding(
        [*claims, source],
        "batch means",
        f"{start}: {readings_text}{end}",
        verdict="note",
        strength=strength,
        printed=listed(map(shown, claims)),
        expected=f"mean over batches of {batch}",
    )


def _at_usual(claims: Sequence[Claim], n: int) -> Finding:
    sizes = {}
    for batch in grim.USUAL_BATCHES:
        if batch < n and (explaining := (readings := _Readings(claims, n, batch)).explaining()):
            sizes[batch] = min(readings.share(*way) for way in explaining)
    who = listed(map(shown, claims))
    if not sizes:
        sentence = f"read as a mean over batches of a usual size (none is stated), no one size fits {who}"
        strength = "strong"
    else:
        share = min(sizes.values())
        tried = 4 * len(grim.USUAL_BATCHES)
        strength = "strong" if tried * share ** len(claims) <= MUCH / 5 else "weak"
        sentence = (
            f"read as means over batches (no size is stated), {who} fit at"
            f" {listed(sizes)}, as {_arbitrary(share)} would: "
            f"{'evidence' if strength == 'strong' else 'weak evidence'}"
        )
    return finding(
        claims,
        "batch means",
        sentence,
        verdict="note",
        strength=strength,
        printed=who,
        expected="mean over batches of a usual size",
    )


def _who(fit: Sequence[Claim], claims: Sequence[Claim]) -> str:
    if len(fit) == len(claims):
        return f"{'all ' if len(claims) > 1 else ''}{listed(map(shown, claims))} {_fits(claims)}"
    return f"only {listed(map(shown, fit))} {_fits(fit)}"


def _fits(claims: Sequence[Claim]) -> str:
    return "fits" if len(claims) == 1 else "fit"


def _arbitrary(share: float) -> str:
    """A share of values in words."""
    if share >= 0.95:
        return "nearly all arbitrary values"
    share_text = "fewer than 0.1" if share < 0.001 else f"about {100 * share:.{1 if share < 0.01 else 0}f}"
    return f"{share_text} % of arbitrary values"
