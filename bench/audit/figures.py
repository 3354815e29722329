"""Figures of one report against each other: class means, bounds, quoted differences, parts of a gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from bench.audit import bounds
from bench.audit.finding import Finding, finding, listed, not_checked, shown, signed
from bench.audit.stated import (
    Interval,
    cut_off,
    number_of,
    numbers,
    numbers_of,
    possible,
    rounded,
    value,
)
from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.data_facts import DataFacts, KnownData, known_data

ABLATION = "ablation-"
"""Recipes that test one change, by the first word of their slug."""


def check_figures(ledger: Ledger, facts: DataFacts) -> Iterator[Finding]:
    """All checks of figures against figures."""
    for group in _evaluations(ledger):
        for metric, entry in METRICS.items():
            if entry.mean_of:
                yield from _class_mean(group, metric, known_data(group[0], ledger, facts))
        yield from _bounds(group)
        yield from _extremes(group)
    yield from _without_recipe(ledger)
    yield from _declared_means(ledger)
    yield from _differences(ledger)
    yield from _parts(ledger)


def _evaluations(ledger: Ledger) -> list[list[Claim]]:
    """Figures of one prediction: same recipe, data and split, and same epoch where more than one is named.

    Without a recipe nothing says which figures belong together.
    """
    trainings: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in numbers(ledger):
        if claim.recipe and not claim.difference_of and not claim.approx:
            trainings[claim.recipe, claim.data, claim.split].append(claim)
    groups = []
    for claims in trainings.values():
        epochs = dict.fromkeys(claim.epoch for claim in claims)
        if len(epochs.keys() - {None}) < 2:
            groups.append(claims)
        else:
            groups += [[claim for claim in claims if claim.epoch == epoch] for epoch in epochs]
    return groups


def _without_recipe(ledger: Ledger) -> Iterator[Finding]:
    """Figures of one data set that would be compared, if it were known of which evaluation they are."""
    by_data: dict[tuple[object, ...], list[Claim]] = defaultdict(list)
    for claim in numbers(ledger):
        if not claim.recipe and not claim.difference_of:
            by_data[claim.data, claim.split].append(claim)
    for (data, split), claims in by_data.items():
        if len({claim.metric_name for claim in claims}) > 1:
            yield not_checked(
                claims,
                "figures",
                f"{len(claims)} figures of {data} ({split}) name no recipe, so that nothing says which of"
                " them are of one evaluation; give those of one evaluation the same 'recipe'",
            )


# Class IoUs and their mean ----------------------------------------------------------------------------


def _class_mean(group: Sequence[Claim], metric: str, known: KnownData) -> Iterator[Finding]:
    """The printed mean against the printed classes; a class that is not printed may have any value."""
    of_class = METRICS[metric].mean_of
    classes = {c.class_index: c for c in group if c.class_index is not None and c.metric == of_class}
    means = [claim for claim in group if claim.metric == metric and not claim.mean_of]
    if not classes or not means:
        return
    if len(means) > 1:
        yield not_checked(
            means,
            "class mean",
            f"{listed(c.id for c in means)} are {len(means)} means next to one set of classes",
        )
        return
    mean = means[0]
    covers = _covers(set(classes), known)
    fitting = [
        cover
        for cover in covers
        if any(span.meets(read(mean)) for span in _spans(classes, cover) for read in (rounded, cut_off))
    ]
    cover = (fitting or covers)[0]
    used = [claim for index, claim in classes.items() if index in cover]
    if fitting and len(used) < len(cover):
        yield not_checked(
            [mean, *used],
            "class mean",
            f"{len(used)} of {len(cover)} classes are printed next to {shown(mean)} ({mean.id}): the others"
            " can make up for anything",
        )
        return
    title = "class IoUs" if of_class == "iou" else f"classes' {METRICS[of_class].title}s"
    scale = 100 if mean.unit == "percent" else 1
    if len(used) == len(cover):
        expected = f"{scale * sum(map(value, used)) / len(used):.{mean.decimals}f}"
        sentence = f"the {len(used)} {title} average {expected}"
    else:
        expected = " to ".join(f"{scale * float(end):.3g}" for end in _spans(classes, cover)[0])
        sentence = f"{len(used)} of {len(cover)} {title} leave a mean of {expected}"
    yield finding(
        [mean, *used],
        "class mean",
        f"{sentence}, {'within' if fitting else 'and no'} rounding {'' if fitting else 'makes that '}"
        f"the printed {shown(mean)}",
        verdict="holds" if fitting else "against",
        strength=_sureness(set(classes), known),
        printed=shown(mean),
        expected=expected,
        flag="" if fitting else "inconsistent",
        flagged=[mean],
    )


def _sureness(printed: set[int], known: KnownData) -> str:
    """How sure it is that a mean runs over the printed classes: a count of classes says so, else a guess."""
    if known.classes is not None and printed <= set(range(known.classes)):
        return "certain"
    first = min(printed)
    contiguous = printed == set(range(first, first + len(printed)))
    return "strong" if contiguous and first in (0, 1) else "weak"


def _covers(printed: set[int], known: KnownData) -> list[set[int]]:
    """The sets of classes that a mean may run over: the scored ones, or all if more are printed.

    Where no number of classes is known, or more are printed than that, they are the printed ones.
    """
    every, scored = set(range(known.classes or 0)), set(known.scored)
    if not every or not printed <= every:
        return [printed]
    if printed <= scored:
        return [scored]
    return [cover for cover in (scored, every) if cover <= printed] or [every]


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


def _by_metric(group: Sequence[Claim]) -> dict[str, Claim]:
    """The figures of one evaluation over all classes, of metrics that it prints once."""
    metrics = [claim.metric for claim in group if claim.class_index is None]
    return {
        claim.metric: claim
        for claim in group
        if claim.metric and claim.class_index is None and metrics.count(claim.metric) == 1
    }


def _bounds(group: Sequence[Claim]) -> Iterator[Finding]:
    by_metric = _by_metric(group)
    broken = bounds.broken({metric: possible(claim) for metric, claim in by_metric.items()})
    for bound in bounds.BOUNDS:
        if bound.smaller not in by_metric or bound.larger not in by_metric:
            continue
        smaller, larger = by_metric[bound.smaller], by_metric[bound.larger]
        is_broken = bound in broken
        end = (
            f"break {bound.sentence}, which holds for every prediction"
            if is_broken
            else f"keep {bound.sentence}"
        )
        yield finding(
            [smaller, larger],
            "bounds",
            f"{shown(smaller)} ({smaller.id}) and {shown(larger)} ({larger.id}) {end}",
            brief="" if is_broken else f"{bound.sentence} ({smaller.id}, {larger.id})",
            verdict="against" if is_broken else "holds",
            strength="certain" if is_broken else "weak",
            printed=f"{shown(smaller)}, {shown(larger)}",
            expected=bound.sentence,
            flag="inconsistent" if is_broken else "",
        )


def _extremes(group: Sequence[Claim]) -> Iterator[Finding]:
    """A mean over runs lies between the smallest and the largest; a top-5 accuracy is at least the top-1."""
    by_metric = _by_metric(group)
    pairs = [("top1", "top5", "top-1 ≤ top-5"), ("min", "max", "smallest ≤ largest")]
    results = [metric for metric in by_metric if metric not in ("min", "max", "sd", "support")]
    if len(results) == 1:  # else it is not said whose extremes these are
        pairs += [("min", results[0], "smallest ≤ mean"), (results[0], "max", "mean ≤ largest")]
    elif by_metric.keys() & {"min", "max"} and results:
        yield not_checked(
            [by_metric[metric] for metric in by_metric],
            "order of scores",
            f"it is not said which of {listed(by_metric[metric].id for metric in results)} the smallest and"
            " the largest are of",
        )
    for small, large, said in pairs:
        if small not in by_metric or large not in by_metric:
            continue
        smaller, larger = by_metric[small], by_metric[large]
        kept = possible(smaller).low <= possible(larger).high
        yield finding(
            [smaller, larger],
            "order of scores",
            f"{shown(smaller)} ({smaller.id}) and {shown(larger)} ({larger.id}) {'keep' if kept else 'break'}"
            f" {said}",
            verdict="holds" if kept else "against",
            strength="weak" if kept else "certain",
            printed=f"{shown(smaller)}, {shown(larger)}",
            expected=said,
            flag="" if kept else "inconsistent",
        )


def _declared_means(ledger: Ledger) -> Iterator[Finding]:
    """A figure that the claims file says is the mean of others, with weights or without."""
    for mean in numbers(ledger):
        members = [ledger.claim(name) for name in mean.mean_of]
        if not members:
            continue
        if any(member.illegible for member in members):
            yield not_checked(
                [mean, *members], "mean", f"a figure that {mean.id} is the mean of is illegible"
            )
            continue
        weights = [Fraction(weight) for weight in mean.weights] or [Fraction(1)] * len(members)
        spans = [_weighted(members, weights, read) for read in (rounded, cut_off)]
        kept = any(span.meets(read(mean)) for span in spans for read in (rounded, cut_off))
        scale = 100 if mean.unit == "percent" else 1
        middle = _weighted(members, weights, lambda c: Interval(Fraction(c.fraction), Fraction(c.fraction)))
        expected = f"{scale * float(middle.low):.{mean.decimals + 1}f}"
        yield finding(
            [mean, *members],
            "mean",
            f"the {len(members)} figures {'with their weights ' if mean.weights else ''}average {expected},"
            f" {'within' if kept else 'and no'} rounding {'' if kept else 'makes that '}the printed"
            f" {shown(mean)}",
            verdict="holds" if kept else "against",
            strength="certain",
            printed=shown(mean),
            expected=expected,
            flag="" if kept else "inconsistent",
            flagged=[mean],
        )


def _weighted(
    members: Sequence[Claim], weights: Sequence[Fraction], read: Callable[[Claim], Interval]
) -> Interval:
    spans = [read(member) for member in members]
    total = sum(weights)
    low = sum((w * span.low for w, span in zip(weights, spans, strict=True)), Fraction(0))
    high = sum((w * span.high for w, span in zip(weights, spans, strict=True)), Fraction(0))
    return Interval(low / total, high / total)


# Differences and gains --------------------------------------------------------------------------------


def _differences(ledger: Ledger) -> Iterator[Finding]:
    """A quoted difference against the two figures: in points, or in percent of the second one."""
    for claim in numbers(ledger):
        if not claim.difference_of or not claim.metric:
            continue
        metric = claim.metric.removeprefix("delta_")
        ends = [numbers_of(ledger, recipe, metric, claim) for recipe in claim.difference_of]
        if any(len(figures) != 1 for figures in ends):
            yield _no_ends(claim, metric, ends)
            continue
        (better,), (worse,) = ends
        gap = possible(better) - possible(worse)
        kept = any(
            quoted.meets(gap) or quoted.meets(_relative(claim, gap, worse)) for quoted in _quoted(claim)
        )
        points = value(better) - value(worse)
        points_text = f"{points:.4f}"
        if claim.unit == "percent":
            relative = f", {100 * points / value(worse):.1f} % relative" if value(worse) else ""
            points_text = f"{100 * points:.2f} points{relative}"
        quoted_for = f"{shown(claim)} is quoted for {better.id} over {worse.id}"
        yield finding(
            [claim, better, worse],
            "difference",
            f"{quoted_for}, {'and' if kept else 'but'} {shown(better)} and {shown(worse)} differ by"
            f" {points_text}",
            brief=f"{shown(claim)} ({claim.id})" if kept else "",
            verdict="holds" if kept else "against",
            strength="weak" if claim.approx or kept else "certain",
            printed=shown(claim),
            expected=points_text,
            flag="" if kept else "inconsistent",
            flagged=[claim],
        )


def _no_ends(claim: Claim, metric: str, ends: Sequence[Sequence[Claim]]) -> Finding:
    """A difference whose two figures are not known."""
    why = [
        f"{len(figures)} figures of {recipe} are printed ({listed(c.id for c in figures)})"
        if figures
        else f"no {METRICS[metric].title} of {recipe} is printed"
        for recipe, figures in zip(claim.difference_of, ends, strict=True)
        if len(figures) != 1
    ]
    return not_checked(
        [claim],
        "difference",
        f"{shown(claim)} ({claim.id}) was compared with no figures: {listed(why)}",
        brief=claim.id,
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
            f" to single changes; that leaves {signed(middle, 4)} ({signed(float(left.low), 4)} to"
            f" {signed(float(left.high), 4)} within rounding){rest}",
            strength="strong" if left.high < 0 else "weak",
            printed=listed(shown(part) for part in parts),
            expected=f"at most {whole_gain} together",
            flag="inconsistent",
            flagged=parts,
        )


def _farthest(ledger: Ledger) -> dict[str, float]:
    """Return the lowest figure that each best member is ranked over: nearer ones share some of its parts."""
    lowest: dict[str, float] = {}
    for ordering in ledger.of_kind("ordering"):
        if ordering.order and not ordering.tie:
            base = value(ledger.claim(ordering.order[-1]))
            lowest[ordering.order[0]] = min(base, lowest.get(ordering.order[0], base))
    return lowest


def _gain(ledger: Ledger, part: Claim, metric: str) -> tuple[float, Interval]:
    """A part's size: from the figures at its two ends where both are printed, else as quoted."""
    ends = [number_of(ledger, recipe, metric, part) for recipe in part.difference_of]
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
