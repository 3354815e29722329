"""Orderings: against the figures they rank, against chance on one split, and against other reports.

Two accuracies on the same n images differ by d·n images. Reports print no results image by image, but the
exact McNemar test says up to which share of images that only one of the two has right the difference tells:
where that share is below what two networks disagree on anyway, no split of n images distinguishes them.
Beyond the noise is a difference whose unpaired z = (a − b)/√(a(1−a)/n + b(1−b)/n) stays significant after
Holm's adjustment over all pairs that the report ranks. A score per pixel (IoU) has no such n, and is not
judged.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import NamedTuple

from bench.audit import counting, grim
from bench.audit.finding import Finding, finding, listed, not_checked, shown, signed
from bench.audit.stated import cut_off, numbers, possible, rounded, value
from bench.claims.claim import METRICS, Claim, Ledger

Z = NormalDist().inv_cdf(0.975)
ALPHA = 0.05

USUAL_DISAGREEMENT = 0.15
"""The share of images on which two networks of one task disagree at least; ours differ on more."""


class Gap(NamedTuple):
    """Two accuracies, first minus second."""

    difference: float
    error: float

    @property
    def z(self) -> float:
        if self.error == 0:
            return 0.0 if self.difference == 0 else math.copysign(math.inf, self.difference)
        return self.difference / self.error

    @property
    def resolved(self) -> float:
        """The smallest difference between two such accuracies that their splits tell from none."""
        return Z * self.error

    @property
    def points(self) -> str:
        return signed(100 * self.difference, 1)


def gap(first: Claim, second: Claim) -> Gap | None:
    """The difference of two accuracies with its standard error; None where no number of images is known."""
    if first.metric != "top1" or not first.n or not second.n:
        return None
    # Runs of one split share its images, so that a mean over runs keeps the split's own error.
    variances = [value(c) * (1 - value(c)) / c.n for c in (first, second) if c.n]
    return Gap(value(first) - value(second), math.sqrt(sum(variances)))


def telling_share(first: Claim, second: Claim) -> float | None:
    """Up to which share of images that only one of two models has right their difference is significant.

    Exact McNemar, two-sided, on the images that both are printed for; None where these may be other ones. 0
    where no share would do, since even without any image against it the difference is too small.

    The difference of d·n images is spread as b and c over D = b + c images that only one has right; the
    largest D at which the test rejects is sought.
    """
    same = first.n == second.n and first.data == second.data and first.split == second.split
    if not same or not first.n or max(first.runs, second.runs) > 1:
        return None
    difference = round(abs(value(first) - value(second)) * first.n)
    # p grows with the images that only one has right; both counts are even or odd together
    totals = range(max(difference, 2 - difference % 2), first.n + 1, 2)
    telling = bisect_left(totals, True, key=lambda total: _mcnemar((total - difference) // 2, total) >= ALPHA)
    return totals[telling - 1] / first.n if telling else 0.0


def _mcnemar(fewer: int, total: int) -> float:
    """Two-sided exact p of ``fewer`` of ``total`` on the smaller side."""
    term = tail = 1
    for k in range(1, fewer + 1):
        term = term * (total - k + 1) // k
        tail += term
    return min(1.0, float(Fraction(2 * tail, 2**total)))


def check_orderings(ledger: Ledger) -> Iterator[Finding]:
    """Orderings of one report."""
    adjusted = _adjusted(ledger)
    for claim in ledger.of_kind("ordering"):
        members = [ledger.claim(name) for name in claim.order]
        if claim.illegible or any(member.illegible for member in members):
            continue
        yield from _against_the_figures(claim, members)
        yield from _against_chance(claim, members, adjusted)
        if claim.also_differs:
            yield finding(
                [claim, *members],
                "confound",
                f"{' and '.join(m.id for m in members)} also differ in {listed(claim.also_differs)}, to which"
                " the report gives no credit",
                verdict="note",
                strength="strong",
                printed=" > ".join(m.id for m in members),
                expected="one change at a time, or credit to each",
            )
    yield from _finer_than_an_image(ledger)


def _against_the_figures(claim: Claim, members: Sequence[Claim]) -> Iterator[Finding]:
    if claim.tie or not members:
        return
    direction = METRICS[str(members[0].metric)].higher_is_better
    if direction is None:
        yield not_checked([claim], "ranking", f"{claim.id}: no value of its metric is better than another")
        return
    reversed_pairs = 0
    for better, worse in pairwise(members):
        higher, lower = (better, worse) if direction else (worse, better)
        ends_below = all(read(higher).high <= read(lower).low for read in (rounded, cut_off))
        if ends_below and higher.fraction < lower.fraction:
            reversed_pairs += 1
            yield finding(
                [claim, better, worse],
                "ordering",
                f"{claim.id} ranks {better.id} over {worse.id}, but {shown(better)} and {shown(worse)} are"
                " printed",
                strength="certain",
                printed=f"{better.id} > {worse.id}",
                expected=f"{shown(worse)} before {shown(better)}",
                flag="self-contradicted",
                flagged=[claim],
            )
    if not reversed_pairs:
        yield finding(
            [claim, *members],
            "ranking",
            f"{claim.id} ranks {listed(shown(member) for member in members)}, as they are printed",
            brief=claim.id,
            verdict="holds",
            strength="weak",
            printed=" > ".join(m.id for m in members),
            expected="the printed order",
        )


def _adjusted(ledger: Ledger) -> dict[frozenset[str], float]:
    """Return the p of each pair's z, adjusted by Holm's method over all pairs that the report ranks."""
    p_of: dict[frozenset[str], float] = {}
    for claim in ledger.of_kind("ordering"):
        for pair in pairwise(ledger.claim(name) for name in claim.order):
            apart = gap(*pair)
            if apart is not None and not any(member.illegible for member in pair):
                p_of[frozenset(member.id for member in pair)] = 2 * NormalDist().cdf(-abs(apart.z))
    adjusted: dict[frozenset[str], float] = {}
    highest = 0.0
    for rank, (names, p) in enumerate(sorted(p_of.items(), key=lambda item: (item[1], sorted(item[0])))):
        highest = max(highest, min(1.0, p * (len(p_of) - rank)))
        adjusted[names] = highest
    return adjusted


def _against_chance(
    claim: Claim, members: Sequence[Claim], adjusted: Mapping[frozenset[str], float]
) -> Iterator[Finding]:
    gaps = {pair: g for pair in pairwise(members) if (g := gap(*pair)) is not None}
    if not gaps or (not claim.tie and any(g.difference < 0 for g in gaps.values())):
        return
    images = listed(dict.fromkeys(f"{a.n:,}" if a.n == b.n else f"{a.n:,} and {b.n:,}" for a, b in gaps))
    needed = max(g.resolved for g in gaps.values())
    if claim.tie:
        holds = all(abs(g.z) < Z for g in gaps.values())
        end = f"{'inside' if holds else 'beyond'} the noise of one split of {images} images"
        strength, brief = ("weak" if holds else "strong"), _gap_list(gaps)
        verdict, flag = ("holds", "") if holds else ("against", "self-contradicted")
    else:
        close = {pair: share for pair in gaps if (share := _too_close(*pair, gaps[pair])) is not None}
        firm = all(adjusted[frozenset(m.id for m in pair)] < ALPHA for pair in gaps)
        if close:
            shares = listed(f"{100 * share:.1f} %" for share in close.values())
            verdict, flag, strength = "against", "indistinguishable", "strong"
            brief = _gap_list({pair: gaps[pair] for pair in close})
            end = (
                f"not distinguishable on {images} images unless the networks disagree on fewer than {shares}"
                " of them (exact McNemar), and such networks disagree on"
                f" {100 * USUAL_DISAGREEMENT:.0f} % and more"
            )
        elif firm:
            verdict, flag, strength, brief = "holds", "", "strong", _gap_list(gaps)
            pairs = len(adjusted)
            end = (
                f"{'each ' if len(gaps) > 1 else ''}beyond the noise of one split of {images} images"
                f"{f', adjusted for the {pairs} pairs that the report ranks' if pairs > 1 else ''}"
            )
        else:
            verdict, flag, strength, brief = "note", "", "weak", _gap_list(gaps)
            p = max(adjusted[frozenset(m.id for m in pair)] for pair in gaps)
            told = [share for pair in gaps if (share := telling_share(*pair)) is not None]
            least = (
                f"; a paired test would tell up to {100 * min(told):.0f} % of disagreeing images"
                if told
                else ""
            )
            end = (
                f"one split of {images} images leaves it open: p = {p:.2g} after Holm's adjustment over the"
                f" {len(adjusted)} pairs that the report ranks{least}"
            )
    yield finding(
        [claim, *members],
        "tie" if claim.tie else "ordering",
        f"{_gap_list(gaps)}: {end}",
        brief=brief,
        verdict=verdict,
        strength=strength,
        printed=" ≈ ".join(m.id for m in members) if claim.tie else " > ".join(m.id for m in members),
        expected=f"differences {'below' if claim.tie else 'above'} {needed:.3f}",
        flag=flag,
        flagged=[claim],
    )


def _too_close(first: Claim, second: Claim, apart: Gap) -> float | None:
    """The share of disagreeing images up to which a pair is told apart, where that is too small to matter.

    Figures of different images have no pairs: there an unpaired z inside the noise is too close.
    """
    share = telling_share(first, second)
    if share is None:
        return 0.0 if abs(apart.z) < Z else None
    return share if share < USUAL_DISAGREEMENT else None


def _gap_list(gaps: Mapping[tuple[Claim, Claim], Gap]) -> str:
    return listed(
        f"{a.id} − {b.id} = {signed(g.difference, 4)} (z = {abs(g.z):.2f})" for (a, b), g in gaps.items()
    )


def _finer_than_an_image(ledger: Ledger) -> Iterator[Finding]:
    """Two accuracies on the same images differ by whole images."""
    done = set()
    for claim in ledger.of_kind("ordering"):
        members = [ledger.claim(name) for name in claim.order]
        for first, second in combinations(members, 2):
            pair = frozenset((first.id, second.id))
            one = gap(first, second)
            if one is None or pair in done or not first.n or first.n != second.n or first.data != second.data:
                continue
            done.add(pair)
            apart = possible(first) - possible(second)
            low, high = sorted((abs(apart.low), abs(apart.high)))
            image = Fraction(1, first.n * max(first.runs, second.runs))
            if apart.low <= 0 <= apart.high or high >= image:
                continue
            n = first.n
            yield finding(
                [first, second],
                "difference",
                f"{shown(first)} ({first.id}) and {shown(second)} ({second.id}) differ by {float(low):.4f} to"
                f" {float(high):.4f}, less than one image of {n:,} ({float(image):.4f})",
                strength=_finer(ledger, first, second, n),
                printed=f"{abs(one.difference):.4f}",
                expected=f"0 or at least {float(image):.4f}",
                flag="inconsistent",
            )


def _finer(ledger: Ledger, first: Claim, second: Claim, n: int) -> str:
    """How sure such a finding is: a figure that may be a mean over batches is no count of images."""
    table = [claim for claim in numbers(ledger) if claim.metric == "top1" and claim.n == first.n]
    for claim in (first, second):
        whole = grim.counts(str(claim.value), n, percent=claim.unit == "percent") is not None
        if not whole and counting.is_excused(ledger, claim, table, n):
            return "weak"
    return "strong" if "outside" in (first.n_from, second.n_from) else "certain"


# Across reports ---------------------------------------------------------------------------------------


def across(ledgers: Sequence[Ledger]) -> Iterator[Finding]:
    """Orderings that reports draw in opposite ways, pair by pair, and figures of one setting that differ.

    Which orderings of different reports speak of the same is declared (``conflicts_with``); their members
    are then the same setting where their ids agree after the report's own.
    """
    claims = {claim.id: claim for ledger in ledgers for claim in ledger.claims}
    settings: dict[str, dict[str, Claim]] = defaultdict(dict)
    for pair, (above, below) in sorted(_opposed(claims).items()):
        ranked = _members(claims, pair)
        for name, of_report in ranked.items():
            settings[name].update(of_report)
        yield _opposite(pair, above, below, ranked)
    for name, of_report in sorted(settings.items()):
        yield from _apart(name, list(of_report.values()))


def setting(claim_id: str, report: str) -> str:
    """A claim's id without its report: ``finetune-a`` of ``r1-finetune-a``."""
    return claim_id.removeprefix(f"{report}-")


def _opposed(claims: Mapping[str, Claim]) -> dict[tuple[str, str], tuple[list[Claim], list[Claim]]]:
    """Return for each pair of settings (x, y) the orderings that rank x over y, and those that rank y over x.

    A tie counts as opposed to a ranking either way.
    """
    opposed: dict[tuple[str, str], tuple[list[Claim], list[Claim]]] = {}
    for claim in claims.values():
        for name in claim.conflicts_with:
            other = claims.get(name)
            if other is None or other.report == claim.report or not (claim.order and other.order):
                continue
            for x, y in _ranked(claim):
                if (y, x) in _ranked(other):
                    key = min((x, y), (y, x))
                    sides = opposed.setdefault(key, ([], []))
                    first, second = (claim, other) if key == (x, y) else (other, claim)
                    if first not in sides[0]:
                        sides[0].append(first)
                    if second not in sides[1]:
                        sides[1].append(second)
    return opposed


def _ranked(claim: Claim) -> list[tuple[str, str]]:
    names = [setting(member, claim.report) for member in claim.order]
    pairs = list(combinations(names, 2))
    return pairs + [(y, x) for x, y in pairs] if claim.tie else pairs


def _members(claims: Mapping[str, Claim], pair: tuple[str, str]) -> dict[str, dict[str, Claim]]:
    """Return for each setting of a pair its figure in every report that has both."""
    reports = dict.fromkeys(claim.report for claim in claims.values())
    both = [r for r in reports if all(f"{r}-{s}" in claims and claims[f"{r}-{s}"].value for s in pair)]
    return {name: {report: claims[f"{report}-{name}"] for report in both} for name in pair}


def _opposite(
    pair: tuple[str, str],
    above: Sequence[Claim],
    below: Sequence[Claim],
    ranked: Mapping[str, Mapping[str, Claim]],
) -> Finding:
    x, y = pair
    gaps = {report: gap(ranked[x][report], ranked[y][report]) for report in ranked[x]}
    oppositions = {
        (a.id, b.id): _apart_by(gaps.get(a.report), gaps.get(b.report)) for a in above for b in below
    }
    sizes = [abs(z) for z in oppositions.values() if z is not None]
    strong = {name for names, z in oppositions.items() if z is None or abs(z) >= Z for name in names}
    orderings = {claim.id: claim for claim in (*above, *below)}
    points = ", ".join(f"{g.points} ({report})" for report, g in gaps.items() if g is not None)
    sentence = f"{x} − {y} is {points} points" if points else f"{x} and {y} are ranked"
    if not sizes:
        end = "no number of images is known to weigh them"
    elif strong:
        end = f"that is more than their splits explain (z = {max(sizes):.2f})"
    else:
        end = f"no two of these differ by more than their splits explain (z = {max(sizes):.2f} at most)"
    sides = f"{_speakers(above)} against {_speakers(below)}"
    figures = [claim for of_report in ranked.values() for claim in of_report.values()]
    return finding(
        [*orderings.values(), *figures],
        "across reports",
        f"opposite orderings of {x} and {y} ({sides}): {sentence}; {end}",
        strength="strong" if strong else "weak",
        printed=sides,
        expected="one order",
        flag="cross-contradicted",
        flagged=[orderings[name] for name in orderings if name in strong or not strong],
    )


def _speakers(claims: Sequence[Claim]) -> str:
    return listed(claim.id for claim in claims)


def _apart_by(one: Gap | None, other: Gap | None) -> float | None:
    """z of two reports' differences."""
    if one is None or other is None:
        return None
    return Gap(one.difference - other.difference, math.hypot(one.error, other.error)).z


def _apart(name: str, figures: Sequence[Claim]) -> Iterator[Finding]:
    """One setting, by name, whose figures in two reports differ by more than their splits explain."""
    if len(figures) < 2 or len({claim.metric for claim in figures}) > 1:
        return
    low, high = min(figures, key=value), max(figures, key=value)
    widest = gap(high, low)
    if widest is None or widest.z < Z:
        return
    figures_text = ", ".join(f"{value(claim):.3f} ({claim.report})" for claim in figures)
    yield finding(
        figures,
        "across reports",
        f"{name}, one setting by its name, is {figures_text}: {widest.difference:.3f} apart, "
        f"where two splits resolve {widest.resolved:.3f} (z = {widest.z:.1f})",
        verdict="note",
        strength="strong",
        printed=figures_text,
        expected=f"within {widest.resolved:.3f}",
    )
