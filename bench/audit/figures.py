"""Figures of one report against each other: class means, bounds, quoted differences, parts of a gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from bench.audit import bounds
from bench.audit.finding import Finding, finding, listed, shown, signed
from bench.audit.stated import Interval, cut_off, number_of, numbers, possible, rounded, value
from bench.claims.claim import Claim, Ledger
from bench.claims.data_facts import DataFacts

ABLATION = "ablation-"
"""Recipes that test one change, by the first word of their slug."""


def check_figures(ledger: Ledger, facts: DataFacts) -> Iterator[Finding]:
    """All checks of figures against figures."""
    for group in _evaluations(ledger):
        yield from _class_mean(group, facts)
        yield from _bounds(group)
    yield from _differences(ledger)
    yield from _parts(ledger)


def _evaluations(ledger: Ledger) -> list[list[Claim]]:
    """Figures of one prediction: same recipe, data and split, and same epoch where more than one is named."""
    trainings: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in numbers(ledger):
        if not claim.difference_of and not claim.approx:
            trainings[claim.recipe, claim.data, claim.split].append(claim)
    groups = []
    for claims in trainings.values():
        epochs = dict.fromkeys(claim.epoch for claim in claims)
        if len(epochs.keys() - {None}) < 2:
            groups.append(claims)
        else:
            groups += [[claim for claim in claims if claim.epoch == epoch] for epoch in epochs]
    return groups


# Class IoUs and their mean ----------------------------------------------------------------------------


def _class_mean(group: Sequence[Claim], facts: DataFacts) -> Iterator[Finding]:
    """The printed mean against the printed classes; a class that is not printed may have any IoU."""
    classes = {claim.class_index: claim for claim in group if claim.class_index is not None}
    means = [claim for claim in group if claim.metric == "miou"]
    if not classes or len(means) != 1:
        return
    mean = means[0]
    covers = _covers(set(classes), mean, facts)
    fitting = [
        cover
        for cover in covers
        if any(span.meets(read(mean)) for span in _spans(classes, cover) for read in (rounded, cut_off))
    ]
    cover = (fitting or covers)[0]
    used = [claim for index, claim in classes.items() if index in cover]
    if fitting and len(used) < len(cover):
        return  # the missing classes can make up for anything
    scale = 100 if mean.unit == "percent" else 1
    if len(used) == len(cover):
        expected = f"{scale * sum(map(value, used)) / len(used):.{mean.decimals}f}"
        sentence = f"the {len(used)} class IoUs average {expected}"
    else:
        expected = " to ".join(f"{scale * float(end):.3g}" for end in _spans(classes, cover)[0])
        sentence = f"{len(used)} of {len(cover)} class IoUs leave a mean of {expected}"
    yield finding(
        [mean, *used],
        "class mean",
        f"{sentence}, {'within' if fitting else 'and no'} rounding {'' if fitting else 'makes that '}"
        f"the printed"
        f" {shown(mean)}",
        verdict="holds" if fitting else "against",
        strength="certain",
        printed=shown(mean),
        expected=expected,
        flag="" if fitting else "inconsistent",
        flagged=[mean],
    )


def _covers(printed: set[int], mean: Claim, facts: DataFacts) -> list[set[int]]:
    """The sets of classes that a mean may run over: the scored ones, or all if more are printed."""
    role = next((role for role in facts.roles if role.role == mean.data), None)
    scored = set(facts.score.classes) if mean.data == "landcover" else set()
    if printed <= scored:
        return [scored]
    every = set(range(role.classes)) if role else set()
    covers = [cover for cover in (scored, every) if cover]
    return [cover for cover in covers if cover <= printed] or ([every] if printed <= every else [printed])


def _spans(classes: dict[int, Claim], cover: set[int]) -> list[Interval]:
    """What the mean over ``cover`` can be, its classes rounded or cut off, one not printed free."""
    missing = len(cover - set(classes))
    spans = []
    for read in (rounded, cut_off):
        parts = [read(claim) for index, claim in classes.items() if index in cover]
        low = sum((part.low for part in parts), Fraction(0))
        high = sum((part.high for part in parts), Fraction(0))
        spans.append(Interval(low / len(cover), (high + missing) / len(cover)))
    return spans


def _bounds(group: Sequence[Claim]) -> Iterator[Finding]:
    metrics = [claim.metric for claim in group]
    by_metric = {claim.metric: claim for claim in group if claim.metric and metrics.count(claim.metric) == 1}
    scores = {metric: possible(claim) for metric, claim in by_metric.items()}
    for bound in bounds.broken(scores):
        smaller, larger = by_metric[bound.smaller], by_metric[bound.larger]
        yield finding(
            [smaller, larger],
            "bounds",
            f"{shown(smaller)} ({smaller.id}) and {shown(larger)} ({larger.id}) break {bound.sentence}, which"
            " holds for every prediction",
            strength="certain",
            printed=f"{shown(smaller)}, {shown(larger)}",
            expected=bound.sentence,
            flag="inconsistent",
        )


# Differences and gains --------------------------------------------------------------------------------


def _differences(ledger: Ledger) -> Iterator[Finding]:
    """A quoted difference against the two figures: in points, or in percent of the second one."""
    for claim in numbers(ledger):
        if not claim.difference_of or not claim.metric:
            continue
        metric = claim.metric.removeprefix("delta_")
        ends = [number_of(ledger, recipe, metric) for recipe in claim.difference_of]
        if ends[0] is None or ends[1] is None:
            continue
        better, worse = ends[0], ends[1]
        gap = possible(better) - possible(worse)
        if any(quoted.meets(gap) or quoted.meets(_relative(claim, gap, worse)) for quoted in _quoted(claim)):
            continue
        points = value(better) - value(worse)
        points_text = f"{points:.4f}"
        if claim.unit == "percent":
            relative = f", {100 * points / value(worse):.1f} % relative" if value(worse) else ""
            points_text = f"{100 * points:.2f} points{relative}"
        yield finding(
            [claim, better, worse],
            "difference",
            f"{shown(claim)} is quoted for {better.id} over {worse.id}, but {shown(better)} and"
            f" {shown(worse)} differ by {points_text}",
            strength="weak" if claim.approx else "certain",
            printed=shown(claim),
            expected=points_text,
            flag="inconsistent",
            flagged=[claim],
        )


def _quoted(claim: Claim) -> list[Interval]:
    """What a quoted difference stands for; "about" leaves a whole unit of the last digit on either side."""
    if not claim.approx:
        return [rounded(claim), cut_off(claim)]
    exact, unit = Fraction(claim.fraction), 2 * Fraction(claim.half_step)
    return [Interval(exact - unit, exact + unit)]


def _relative(claim: Claim, gap: Interval, worse: Claim) -> Interval:
    base = Fraction(worse.fraction)
    if claim.unit != "percent" or not base:
        return gap
    return Interval(gap.low / base, gap.high / base)


def _parts(ledger: Ledger) -> Iterator[Finding]:
    """Stated gains of single changes against the whole gain of the best over the worst of an ordering.

    Gains of single changes need not add up; but what they leave is what further changes are said to bring.
    """
    done, farthest = set(), _farthest(ledger)
    for ordering in ledger.of_kind("ordering"):
        if len(ordering.order) < 2 or ordering.tie:
            continue
        best, base = ledger.claim(ordering.order[0]), ledger.claim(ordering.order[-1])
        if best.illegible or base.illegible:
            continue
        parts = [
            claim
            for claim in numbers(ledger)
            if claim.metric == f"delta_{best.metric}"
            and claim.difference_of[0] == best.recipe
            and claim.difference_of[1] != base.recipe
        ]
        if not parts or (best.id, base.id) in done or value(base) > farthest[best.id]:
            continue
        done.add((best.id, base.id))
        whole = possible(best) - possible(base)
        gains = [_gain(ledger, part, str(best.metric)) for part in parts]
        total = sum((span for _, span in gains), Interval(Fraction(0), Fraction(0)))
        left = whole - total
        middle = value(best) - value(base) - sum(gain for gain, _ in gains)
        others = _further_changes(ledger, parts, ordering)
        # Parts of the whole may exceed it by their rounding; what is left for others may not be nothing.
        if middle >= 0 or (left.high >= 0 and not others):
            continue
        parts_text = listed(
            f"{'about ' if part.approx else ''}{gain:.4f} ({part.id})"
            for part, (gain, _) in zip(parts, gains, strict=True)
        )
        rest = f" for all else that it credits ({listed(c.id for c in others)})" if others else ""
        whole_gain = f"{value(best) - value(base):.4f}"
        yield finding(
            [*parts, best, base, *others],
            "parts of a gain",
            f"of the whole gain of {whole_gain} ({best.id} over {base.id}) the report gives {parts_text}"
            f" to single"
            f" changes; that leaves {signed(middle, 4)} ({signed(float(left.low), 4)} to"
            f" {signed(float(left.high), 4)} within rounding){rest}",
            strength="strong" if left.high < 0 else "weak",
            printed=listed(shown(part) for part in parts),
            expected=f"at most {whole_gain} together",
            flag="inconsistent",
            flagged=parts,
        )


def _farthest(ledger: Ledger) -> dict[str, float]:
    """By best member, the lowest figure that it is ranked over: nearer ones have some of its parts too."""
    lowest: dict[str, float] = {}
    for ordering in ledger.of_kind("ordering"):
        if ordering.order and not ordering.tie:
            base = value(ledger.claim(ordering.order[-1]))
            lowest[ordering.order[0]] = min(base, lowest.get(ordering.order[0], base))
    return lowest


def _gain(ledger: Ledger, part: Claim, metric: str) -> tuple[float, Interval]:
    """A part's size: from the figures at its two ends where both are printed, else as quoted."""
    ends = [number_of(ledger, recipe, metric) for recipe in part.difference_of]
    if ends[0] is not None and ends[1] is not None:
        return value(ends[0]) - value(ends[1]), rounded(ends[0]) - rounded(ends[1])
    return value(part), rounded(part)


def _further_changes(ledger: Ledger, parts: Sequence[Claim], ordering: Claim) -> list[Claim]:
    """Explanations of the same gain that none of the parts covers."""
    covered = {part.id for part in parts} | {recipe for part in parts for recipe in part.difference_of[1:]}
    return [
        claim
        for claim in ledger.of_kind("explanation")
        if not covered & set(claim.tested_by)
        and any(test == ordering.id or test.startswith(ABLATION) for test in claim.tested_by)
    ]
