"""The rules for orderings: which of two or more recipes is better, or whether two are about equal.

Seeds of different recipes are independent (ours correlate by −.06 and +.10), so that a comparison takes two
samples. Their variance is moderated by the expected spread, as in the rule for numbers. Looks are planned
after 3, 5 and 10 seeds, each at the level .015; one seed never decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from bench.grading.seeds import instability
from bench.grading.spread import Spread, pooled_sigma
from bench.grading.verdict import Array, Verdict, seed_count
from reference.errors import InputError

LOOKS = (3, 5, 10)
"""Seeds of the side that has fewer, after which an ordering is judged."""

LEVEL = 0.015
"""The level of each look. Holm's method has adjusted p over the orderings of the report."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One recipe of an ordering: its name, the figures of its seeds 0, 1, …, and how many seeds broke."""

    name: str
    figures: tuple[float, ...]
    broken: int = 0


def looked_at(sides: Sequence[Side]) -> int:
    """The last planned look that all sides have reached; 0 before the first."""
    least = min(len(side.figures) for side in sides)
    return max((look for look in LOOKS if look <= least), default=0)


def two_sample_p(
    first: Array, second: Array, sigma0: Array | float, nu0: int, *, null: float = 0.0
) -> tuple[Array, Array]:
    """One-sided p of "first − second is not above ``null``" and of "not below", with moderated variance.

    Args:
        first, second: (…, k) and (…, l) figures; the last axis holds the seeds.
        sigma0, nu0: the expected spread and what it is worth.
    """
    sigma_hat, nu = pooled_sigma((first, second), sigma0, nu0)
    error = sigma_hat * math.sqrt(1 / first.shape[-1] + 1 / second.shape[-1])
    excess = first.mean(axis=-1) - second.mean(axis=-1) - null
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, excess / error, np.copysign(np.inf, excess))
    t = np.where((error == 0) & (excess == 0), 0.0, t)
    return np.asarray(stdtr(nu, -t)), np.asarray(stdtr(nu, t))


def ordering_rule(
    first: Array, second: Array, sigma0: Array | float, nu0: int, *, level: float = LEVEL
) -> npt.NDArray[np.str_]:
    """``as claimed``, ``opposite`` or ``undecided`` for every cell of "first is higher than second"."""
    above, below = two_sample_p(first, second, sigma0, nu0)
    p = np.minimum(1, 2 * np.minimum(above, below))
    return np.select([(p < level) & (above < below), p < level], ["as claimed", "opposite"], "undecided")


def grade_ordering(better: Side, worse: Side, *, spread: Spread, margin: float) -> Verdict:
    """Grade "``better`` scores higher than ``worse``" by the seeds of the last planned look.

    The p of the verdict is not adjusted yet: ``adjusted`` does so for all orderings of a report.

    Args:
        spread, margin: σ₀ with ν₀, and Δ, which tells a collapsed seed from a scattered one.

    >>> from bench.grading.spread import Spread
    >>> sides = (Side(name="b", figures=(0.71, 0.70, 0.72)), Side(name="a", figures=(0.66, 0.65, 0.67)))
    >>> spread = Spread(sigma0=0.01, nu0=4, source="the usual spread of an IoU")
    >>> grade_ordering(*sides, spread=spread, margin=0.025).grade
    'as claimed'
    """
    waiting = _not_yet((better, worse), spread, margin)
    if waiting is not None:
        return waiting
    first, second = _figures((better, worse))
    above, below = (float(p) for p in two_sample_p(first, second, spread.sigma0, spread.nu0))
    p = min(1.0, 2 * min(above, below))
    grade = ("as claimed" if above < below else "opposite") if p < LEVEL else "undecided"
    mean, interval = _interval(first, second, spread)
    return Verdict(
        grade=grade,
        sentence=f"{_seeds(better, worse)}: {better.name} minus {worse.name} is {mean:+.4f}"
        f" (95 % {interval[0]:+.4f} to {interval[1]:+.4f}, p = {p:.3g})",
        k=looked_at((better, worse)),
        mean=mean,
        interval=interval,
        p=p,
    )


def grade_tie(first: Side, second: Side, *, spread: Spread, margin: float) -> Verdict:
    """Grade "``first`` ≈ ``second``": two one-sided tests against ±``margin``.

    ``as claimed`` where both have p < .015; ``opposite`` where the difference lies beyond the margin,
    two-sided; else undecided. A difference that is merely not significant shows nothing.
    """
    waiting = _not_yet((first, second), spread, margin)
    if waiting is not None:
        return waiting
    one, two = _figures((first, second))
    above_low, below_low = two_sample_p(one, two, spread.sigma0, spread.nu0, null=-margin)
    above_high, below_high = two_sample_p(one, two, spread.sigma0, spread.nu0, null=margin)
    tied = float(max(above_low, below_high))
    apart = min(1.0, 2 * float(min(above_high, below_low)))
    grade = "as claimed" if tied < LEVEL else "opposite" if apart < LEVEL else "undecided"
    p = apart if grade == "opposite" else tied
    mean, interval = _interval(one, two, spread)
    return Verdict(
        grade=grade,
        sentence=f"{_seeds(first, second)}: {first.name} minus {second.name} is {mean:+.4f} (95 %"
        f" {interval[0]:+.4f} to {interval[1]:+.4f}); within ±{margin:.4f} counts as a tie"
        f" ({'difference' if grade == 'opposite' else 'equivalence'} p = {p:.3g})",
        k=looked_at((first, second)),
        mean=mean,
        interval=interval,
        p=p,
        margin=margin,
    )


def grade_chain(
    sides: Sequence[Side],
    *,
    spread: Spread,
    margin: float,
    rule: Callable[..., Verdict] = grade_ordering,
) -> Verdict:
    """Grade "a > b > c …" (or "a ≈ b ≈ c …" by ``grade_tie``).

    ``as claimed`` only where every neighbouring pair is: all have to hold at once, which needs no adjustment
    (an intersection-union test; p is the largest). ``opposite`` if any pair, neighbours or
    not, is opposite with its p times the number of pairs. Otherwise undecided.

    Raises:
        InputError: fewer than two sides.
    """
    if len(sides) < 2:
        raise InputError(f"ordering: found {len(sides)} recipes, expected two or more")
    if len(sides) == 2:
        return rule(*sides, spread=spread, margin=margin)
    waiting = _not_yet(sides, spread, margin)
    if waiting is not None:
        return waiting
    pairs = list(combinations(range(len(sides)), 2))
    k = looked_at(sides)
    cut = [
        Side(name=side.name, figures=side.figures[:k], broken=side.broken) for side in sides
    ]  # one look for the whole chain, though two of its recipes may have reached the next
    verdicts = {pair: rule(cut[pair[0]], cut[pair[1]], spread=spread, margin=margin) for pair in pairs}
    p_of = {pair: 1.0 if verdict.p is None else verdict.p for pair, verdict in verdicts.items()}
    links = [pair for pair in pairs if pair[1] == pair[0] + 1]
    listed = ", ".join(
        f"{sides[i].name} > {sides[j].name} {_OF_A_LINK[verdicts[i, j].grade]} (p = {p_of[i, j]:.3g})"
        for i, j in links
    )
    turned = [
        (p_of[pair] * len(pairs), pair)
        for pair, verdict in verdicts.items()
        if verdict.grade == "opposite" and p_of[pair] * len(pairs) < LEVEL
    ]
    if turned:
        p, (i, j) = min(turned)
        shown = f"{sides[i].name} > {sides[j].name} is the other way round"
        sentence = f"{seed_count(k)} each: {shown} (p = {p:.3g}, adjusted for {len(pairs)} pairs); {listed}"
        return Verdict(grade="opposite", sentence=sentence, k=k, p=p)
    held = all(verdicts[pair].grade == "as claimed" for pair in links)
    return Verdict(
        grade="as claimed" if held else "undecided",
        sentence=f"{seed_count(k)} each: {listed}",
        k=k,
        p=max(p_of[pair] for pair in links),
    )


_OF_A_LINK = {"as claimed": "shown", "opposite": "the other way round", "undecided": "not decided"}


def adjusted(verdict: Verdict, holm_p: float) -> Verdict:
    """The verdict on an ordering with its p adjusted over the report: decided only while that stays below
    the level of a look."""
    from dataclasses import replace

    if verdict.p is None or verdict.grade not in ("as claimed", "opposite") or holm_p < LEVEL:
        return verdict
    sentence = f"{verdict.sentence}; not decided: p is {holm_p:.2g} after Holm's adjustment over the report"
    return replace(verdict, grade="undecided", sentence=sentence)


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted sum of the means of several recipes, such as a difference or an interaction.

    Attributes:
        seeds: of the recipe that has fewest.
        interval, p: two-sided 95 % and p against 0; None where no recipe has a second seed.
    """

    mean: float
    seeds: int
    interval: tuple[float, float] | None
    p: float | None


def contrast(figures: Sequence[Sequence[float]], weights: Sequence[float]) -> Contrast:
    """Σ wᵢ·meanᵢ of independent groups with one common variance, by Student's t.

    Args:
        figures: one figure a seed, of each recipe.
        weights: one a recipe.

    Raises:
        ValueError: a recipe without figures.
    """
    if not all(len(group) for group in figures):
        raise ValueError("expected at least one figure of each recipe")
    groups = [np.asarray(group, dtype=np.float64) for group in figures]
    mean = math.fsum(w * float(group.mean()) for w, group in zip(weights, groups, strict=True))
    seeds, nu = min(map(len, groups)), sum(len(group) - 1 for group in groups)
    if nu == 0 or not math.isfinite(mean):
        return Contrast(mean=mean, seeds=seeds, interval=None, p=None)
    sigma, _ = pooled_sigma(groups, 0.0, 0)
    error = float(sigma) * math.sqrt(sum(w * w / len(g) for w, g in zip(weights, groups, strict=True)))
    half = float(stdtrit(nu, 0.975)) * error
    p = float(2 * stdtr(nu, -abs(mean) / error)) if error else float(mean == 0)
    return Contrast(mean=mean, seeds=seeds, interval=(mean - half, mean + half), p=p)


def _not_yet(sides: Sequence[Side], spread: Spread, margin: float) -> Verdict | None:
    """Why nothing is compared, as a verdict: a broken or far-off seed, or no planned look reached."""
    finite = [np.array([v for v in side.figures if math.isfinite(v)], dtype=np.float64) for side in sides]
    undefined = sum(len(side.figures) for side in sides) - sum(map(len, finite))
    broken = sum(side.broken for side in sides) + undefined
    k = min(len(side.figures) for side in sides)
    why = instability(finite, broken, sigma0=spread.sigma0, margin=margin)
    if why:
        return Verdict(grade="unstable", sentence=why, k=k)
    if looked_at(sides):
        return None
    counts = ", ".join(f"{side.name} has {seed_count(len(side.figures))}" for side in sides)
    return Verdict(grade="undecided", sentence=f"{counts}; the first look is after {LOOKS[0]}", k=k)


def _figures(sides: Sequence[Side]) -> list[Array]:
    """The figures of the last planned look, one array a side; undefined ones are left out."""
    look = looked_at(sides)
    return [
        np.array([v for v in side.figures[:look] if math.isfinite(v)], dtype=np.float64) for side in sides
    ]


def _interval(first: Array, second: Array, spread: Spread) -> tuple[float, tuple[float, float]]:
    sigma_hat, nu = pooled_sigma((first, second), spread.sigma0, spread.nu0)
    mean = float(first.mean() - second.mean())
    half = float(stdtrit(nu, 0.975) * sigma_hat) * math.sqrt(1 / len(first) + 1 / len(second))
    return mean, (mean - half, mean + half)


def _seeds(*sides: Side) -> str:
    """Seeds of each side that were judged, and what the others wait for."""
    look, counts = looked_at(sides), [len(side.figures) for side in sides]
    if max(counts) == look:
        return f"{seed_count(look)} each"
    has = " and ".join(map(str, dict.fromkeys(counts)))
    following = next((k for k in LOOKS if k > look), None)
    waits = f"the next look is after {following} of each" if following else f"the last look is after {look}"
    return f"{seed_count(look)} each (of {has} run; {waits})"
