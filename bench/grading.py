"""The grade rules, as functions of plain numbers: no records, no ledger, no files.

``docs/grading.md`` explains each rule with a worked example; ``bench.simulation`` draws honest and
dishonest reports and shows how often these rules misjudge them. The rule for numbers broadcasts over
arrays, so that the simulation runs the very formulas that grade a claim.

Figures are fractions throughout: ``"62.1"`` printed in percent is 0.621, known to ±0.0005.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, ndtri, stdtr, stdtrit

from bench.alignment import WANTED
from reference.errors import InputError

Array = npt.NDArray[np.float64]
Unit = Literal["fraction", "percent"]

NOT_REACHED = "not reached under our assumptions"

GRADES: dict[str, str] = {
    "not run": "no run counts for the claim; the reason is one of NOT_RUN_REASONS",
    "failed": "our run broke",
    "exact": "a deterministic claim, and what we found equals it",
    "different": "a deterministic claim, and what we found does not equal it",
    "reproduced": "our mean lies within the margin of the printed value, with 95 % confidence",
    "consistent": "as close as seeds scatter, but too few seeds to show it lies within the margin",
    "exceeded": "better than printed, beyond the margin and what seeds can explain",
    "contradicted": "worse than printed, beyond the margin and what seeds can explain",
    NOT_REACHED: "would be contradicted, but values that the report does not state were ours to choose",
    "inconclusive": "our runs do not decide it",
    "directional": "an ordering that our runs show as claimed",
    "reversed": "an ordering that our runs show the other way round",
    "supported": "a process that our curves show as claimed",
    "not supported": "a process that most of our curves do not show",
    "shown": "a figure, redrawn beside the claim; nothing to count in it",
}

NOT_RUN_REASONS: dict[str, str] = {
    "data": "the data that the claim names is not there",
    "weights": "the pretrained weights that the recipe starts from are not there",
    "deviation": "only runs that deviate from the stated recipe exist",
    "hardware": "no machine here can run it",
    "budget": "more GPU time than was allowed",
    "not stated": "the report leaves out what no assumption can fill in",
    "illegible": "the scan cannot be read here",
    "no recipe": "nobody has written a recipe for it",
}

NU0 = 4
"""Degrees of freedom that the prior σ₀ is worth; fewer than NU0 + 1 earlier runs cannot carry them."""

MIN_SEEDS = 3
"""Seeds below which nothing is contradicted and no paired t test is made."""

ALPHA = 0.05

Z_95 = 1.959963984540054
"""Two-sided 5 % point of the normal distribution."""

FIXED_MARGINS: dict[tuple[str, int | None], float] = {
    ("top1", 406): 0.065,
    ("top1", 2500): 0.017,
    ("miou", None): 0.025,
}
"""Margins Δ fixed before any run, by metric and (for top-1) number of images."""

IOU_SIGMA = 0.01

_MANY_SEEDS = 10_000
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A grade, one plain sentence with its figures, and the numbers it was reached with.

    Attributes:
        k: seeds (for ``grade_process`` runs) that were judged.
        mean: our mean figure; for orderings the mean difference, first minus second.
        interval: two-sided 95 % t interval of ``mean``.
        p: two-sided p of the difference from the claim (of the mean difference, for orderings).
        more_seeds: for ``consistent``, seeds still to run until ``reproduced`` if mean and spread
            stayed as they are; None where it is never (or beyond 10,000).
        sigma_hat, nu, delta, margin: σ̂, its degrees of freedom, δ and Δ.
    """

    grade: str
    sentence: str
    k: int = 0
    mean: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    more_seeds: int | None = None
    sigma_hat: float | None = None
    nu: int | None = None
    delta: float | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.grade not in GRADES:
            raise ValueError(f"no grade {self.grade!r}; grades are {', '.join(GRADES)}")


def not_run(reason: str, detail: str = "") -> Verdict:
    """Verdict ``not run`` for one of NOT_RUN_REASONS, with what would help as ``detail``."""
    if reason not in NOT_RUN_REASONS:
        raise InputError(f"not run: found reason {reason!r}, expected one of {', '.join(NOT_RUN_REASONS)}")
    sentence = f"not run: {reason} ({NOT_RUN_REASONS[reason]})"
    return Verdict(grade="not run", sentence=f"{sentence}; {detail}" if detail else sentence)


# ---------------------------------------------------------------- printed values


def decimals(printed: str) -> int:
    """Decimal places of a value as printed: ``"0.785600"`` has 6; ``"6e2"``, a multiple of 100, has -2."""
    exponent = _decimal(printed).as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def printed_value(printed: str, unit: Unit = "fraction") -> float:
    """The printed number in the suite's unit: percent become fractions, correctly rounded."""
    return float(_decimal(printed) * _scale(unit))


def rounding_halfwidth(printed: str, unit: Unit = "fraction") -> float:
    """δ = ½·10⁻ᵈ, how far rounding to the printed d decimals can have moved the value, as a fraction."""
    return float(Decimal("0.5").scaleb(-decimals(printed)) * _scale(unit))


def _decimal(printed: str) -> Decimal:
    if not _DECIMAL.fullmatch(printed):
        raise InputError(
            f"printed value: found {printed!r}, expected a decimal number such as '0.621': "
            "write it as the report prints it, with a point and without unit or separators"
        )
    return Decimal(printed)


def _scale(unit: Unit) -> Decimal:
    scales = {"fraction": Decimal(1), "percent": Decimal("0.01")}
    if unit not in scales:
        raise InputError(f"unit: found {unit!r}, expected one of {', '.join(scales)}")
    return scales[unit]


# ---------------------------------------------------------------- numbers: σ₀, Δ, σ̂


def formula_sigma(metric: str, n: int | None, value: Array | float) -> Array:
    """σ₀ without earlier runs, by metric; ``value`` is the printed fraction and may be an array.

    ``top1`` on n images: √(error/2n), the error at least one image, or a perfect score would have no
    spread. ``miou`` and ``iou_<class>``: 0.01. ``delta_miou``: √2·0.01, of two independent runs.

    Raises:
        InputError: a metric without a formula, or ``top1`` without n.
    """
    value = np.asarray(value, dtype=np.float64)
    if metric == "top1":
        if not n or n < 1:
            raise InputError(f"top1: found n = {n}, expected the number of evaluated images: state n")
        return np.asarray(np.sqrt(np.maximum(1 - value, 1 / n) / (2 * n)))
    if metric == "delta_miou":
        return np.full_like(value, math.sqrt(2) * IOU_SIGMA)
    if metric == "miou" or re.fullmatch(r"iou(_[0-9]+)?", metric):
        return np.full_like(value, IOU_SIGMA)
    raise InputError(
        f"metric: found {metric!r}, expected top1, miou, iou_<class> or delta_miou: "
        f"without {NU0 + 1} earlier runs no other metric has a prior spread; claim an ordering instead"
    )


def prior_sigma(metric: str, n: int | None, value: float, earlier: Sequence[float] = ()) -> tuple[float, str]:
    """σ₀, the spread between seeds that is expected beforehand, and where it comes from.

    ``earlier`` are our own figures from the same data, tier and n, the graded runs excluded. Their
    sample standard deviation counts once there are NU0 + 1 of them: the rules weigh σ₀ as NU0 degrees
    of freedom, and two or three runs that happen to agree would pass for certainty. Until then the
    formula of ``formula_sigma`` stands.
    """
    if len(earlier) > NU0:
        if not np.isfinite(earlier).all():
            raise InputError(f"earlier runs of {metric}: found {list(earlier)}, expected finite figures only")
        return float(np.std(earlier, ddof=1)), f"standard deviation of {len(earlier)} earlier runs"
    formula = f"√(error/2n), n = {n}" if metric == "top1" else f"{IOU_SIGMA} a run, for IoU"
    few = f"; {len(earlier)} earlier run(s), {NU0 + 1} needed" if len(earlier) else ""
    return float(formula_sigma(metric, n, value)), formula + few


def margin(metric: str, n: int | None, sigma0: Array | float, delta: float) -> Array:
    """Δ: what still counts as the same figure. FIXED_MARGINS, elsewhere 2.5 σ₀; never below δ.

    A fixed margin of top-1 is a floor: low accuracies and coarsely printed ones scatter by more than it
    allows for, and below 2.5·√(σ₀² + δ²/3) three seeds could not contradict a shortfall of 2Δ.
    """
    fixed = FIXED_MARGINS.get((metric, n if metric == "top1" else None))
    sigma0 = np.asarray(sigma0, dtype=np.float64)
    if fixed is None:
        base = 2.5 * sigma0
    elif metric == "top1":
        base = np.maximum(fixed, 2.5 * np.sqrt(np.square(sigma0) + delta**2 / 3))
    else:
        base = np.full_like(sigma0, fixed)
    return np.asarray(np.maximum(base, delta))


def pooled_sigma(values: Array, sigma0: Array | float, nu0: int = NU0) -> tuple[Array, int]:
    """σ̂ over the last axis of ``values`` (..., k), and its degrees of freedom ν = ν₀ + k − 1.

    σ̂² = (ν₀σ₀² + Σ(xᵢ − x̄)²)/ν: the prior spread counts as ν₀ observations of it.
    """
    k = values.shape[-1]
    nu = nu0 + k - 1
    scatter = np.square(values - values.mean(axis=-1, keepdims=True)).sum(axis=-1)
    return np.asarray(np.sqrt((nu0 * np.square(sigma0) + scatter) / nu)), nu


def halfwidth(
    probability: float, sigma_hat: Array | float, *, nu: int, k: int, m: float, delta: float
) -> Array:
    """t(probability, ν)·√(σ̂²(1/k + 1/m) + δ²/3), the one form of all intervals of the number rules.

    δ²/3 is the variance of a rounding error uniform in ±δ; m = inf takes the printed value as fixed.
    """
    return np.asarray(
        stdtrit(nu, probability) * np.sqrt(np.square(sigma_hat) * (1 / k + 1 / m) + delta**2 / 3)
    )


# ---------------------------------------------------------------- numbers: the rule


def number_rule(
    gain: Array | float,
    sigma_hat: Array | float,
    *,
    k: int,
    nu: int,
    m: float,
    delta: float,
    margin: Array | float,
    alignment_green: bool,
    assumptions: bool,
) -> npt.NDArray[np.str_]:
    """Grade of every cell; ``gain`` is our mean minus the printed value, positive where we are better.

    First match wins, in the order of the list below.
    """
    distance = np.abs(gain)
    reproduced = distance + halfwidth(0.95, sigma_hat, nu=nu, k=k, m=math.inf, delta=delta) < margin
    consistent = distance <= halfwidth(0.975, sigma_hat, nu=nu, k=k, m=m, delta=delta)
    beyond = (distance > halfwidth(0.995, sigma_hat, nu=nu, k=k, m=m, delta=delta)) & (distance > margin)
    worse = NOT_REACHED if assumptions else "contradicted"
    decided = k >= MIN_SEEDS and alignment_green
    return np.select(
        [reproduced, consistent, beyond & (np.asarray(gain) > 0), beyond & decided],
        ["reproduced", "consistent", "exceeded", worse],
        default="inconclusive",
    )


def grade_number(
    printed: str,
    ours: Sequence[float],
    *,
    sigma0: float,
    margin: float,
    unit: Unit = "fraction",
    m: int = 1,
    higher_is_better: bool = True,
    assumptions: bool = False,
    alignment_green: bool = False,
) -> Verdict:
    """Grade a printed number by our figures, one a seed.

    Args:
        printed: the value as the report prints it; its trailing digits set δ.
        ours: our figures as fractions, seeds 0…k−1, every started run.
        sigma0, margin: σ₀ (``prior_sigma``) and Δ (``margin``), fixed before the runs.
        m: runs that the printed value is the mean of.
        assumptions: the recipe holds values that the report does not state.
        alignment_green: the alignment suites passed for this ``reference/``.

    Raises:
        InputError: no figures at all (that is ``not run``), or a printed value that is no number.
    """
    if len(ours) == 0:
        raise InputError("figures: found none, expected one a seed: a claim without runs is 'not run'")
    if not np.isfinite(ours).all():
        return _broken(ours)
    if m < 1 or not sigma0 >= 0 or not margin >= 0:
        raise ValueError(f"m = {m}, sigma0 = {sigma0}, margin = {margin}: m is at least 1, the others 0")
    values = np.asarray(ours, dtype=np.float64)
    k, delta, claim = len(values), rounding_halfwidth(printed, unit), printed_value(printed, unit)
    mean, (sigma, nu) = float(values.mean()), pooled_sigma(values, sigma0)
    sigma_hat = float(sigma)
    gain = mean - claim if higher_is_better else claim - mean
    grade: str = number_rule(
        gain,
        sigma_hat,
        k=k,
        nu=nu,
        m=m,
        delta=delta,
        margin=margin,
        alignment_green=alignment_green,
        assumptions=assumptions,
    ).item()

    def half(probability: float, runs: float = m) -> float:
        return float(halfwidth(probability, sigma_hat, nu=nu, k=k, m=runs, delta=delta))

    own = float(halfwidth(0.975, sigma_hat, nu=nu, k=k, m=math.inf, delta=0))
    more = seeds_until_reproduced(gain, sigma_hat, k, delta, margin) if grade == "consistent" else None
    missing = _missing(k, alignment_green)
    side = "better" if gain > 0 else "worse" if gain < 0 else "off"
    return Verdict(
        grade=grade,
        sentence=f"{_seeds(k)}, mean {mean:.4f}, printed {printed}{' %' if unit == 'percent' else ''}: "
        f"{side} by {abs(gain):.4f}, {_explained(grade, abs(gain), half, margin, more, missing)}",
        k=k,
        mean=mean,
        interval=(mean - own, mean + own),
        p=_two_sided_p(gain, half(0.975) / float(stdtrit(nu, 0.975)), nu),
        more_seeds=more,
        sigma_hat=sigma_hat,
        nu=nu,
        delta=delta,
        margin=float(margin),
    )


def _explained(
    grade: str, distance: float, half: Callable[..., float], margin: float, more: int | None, missing: str
) -> str:
    if grade == "reproduced":
        bound = distance + half(0.95, math.inf)
        return f"at most {bound:.4f} with 95 % confidence, inside the margin of {margin:.4f}"
    if grade == "consistent":
        return (
            f"within the ±{half(0.975):.4f} that seeds explain, but not shown to lie inside the margin "
            f"of {margin:.4f}; {_more(more)}"
        )
    beyond = f"beyond the ±{half(0.995):.4f} (99 %) that seeds explain and the margin of {margin:.4f}"
    if grade == NOT_REACHED:
        return f"{beyond}; the recipe holds values that the report does not state"
    if grade in ("exceeded", "contradicted"):
        return beyond
    if distance > half(0.995) and distance > margin:
        return f"{beyond}; to count against the report it needs {missing}"
    return (
        f"outside the ±{half(0.975):.4f} (95 %) that seeds explain, but not beyond both "
        f"±{half(0.995):.4f} (99 %) and the margin of {margin:.4f}"
    )


def _two_sided_p(difference: float, standard_error: float, nu: int) -> float:
    if standard_error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(nu, -abs(difference) / standard_error))


def seeds_until_reproduced(gain: float, sigma_hat: float, k: int, delta: float, margin: float) -> int | None:
    """Seeds beyond k that would show the figure reproduced, did mean and spread stay; None if no number."""

    def reached(seeds: int) -> bool:
        half = halfwidth(0.95, sigma_hat, nu=NU0 + seeds - 1, k=seeds, m=math.inf, delta=delta)
        return bool(abs(gain) + half < margin)

    if not reached(_MANY_SEEDS):
        return None
    return bisect_left(range(k, _MANY_SEEDS), True, key=reached)  # more seeds only narrow the interval


def _more(more_seeds: int | None) -> str:
    if more_seeds is None:
        return "no number of further seeds would show it if the mean stayed"
    return f"{more_seeds} more would if mean and spread stayed"


def _missing(k: int, alignment_green: bool) -> str:
    missing = [f"{MIN_SEEDS} seeds"] if k < MIN_SEEDS else []
    missing += [] if alignment_green else [WANTED]
    return " and ".join(missing)


def _seeds(k: int) -> str:
    return "1 seed" if k == 1 else f"{k} seeds"


def _broken(figures: Sequence[float]) -> Verdict:
    seeds = [seed for seed, figure in enumerate(figures) if not math.isfinite(figure)]
    return Verdict(
        grade="failed",
        sentence=f"the figure of seed {', '.join(map(str, seeds))} is not a finite number",
        k=len(figures),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values lie in 0…1, found {p_values}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


# ---------------------------------------------------------------- orderings


def grade_ordering(better: Sequence[float], worse: Sequence[float]) -> Verdict:
    """Grade the claim "``better`` scores higher than ``worse``": paired t over seeds, two-sided p < .05.

    Both hold one figure a seed, in the same order of seeds. Where all differences are the same, t has
    no scale (three seeds that each gain one image of 406 would be certain): the exact sign test decides.
    Fewer than three seeds are inconclusive; one seed with per-image data is ``grade_ordering_single``.

    Raises:
        InputError: no figures, or unequal numbers of them.
    """
    blocked = _unpaired(better, worse)
    if blocked is not None:
        return blocked
    differences = _differences(better, worse)
    above, below = _one_sided_p(differences, 0.0)
    return _ordering(differences, min(1.0, 2 * min(above, below)), higher=above < below)


def grade_ordering_single(correct_better: Sequence[bool], correct_worse: Sequence[bool]) -> Verdict:
    """The same claim from one seed: exact McNemar over which images each classified correctly.

    Both are (N,) booleans over the same images in the same order.

    Raises:
        InputError: no images, unequal numbers of them, or values other than true and false.
    """
    first, second = np.asarray(correct_better), np.asarray(correct_worse)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise InputError(
            f"per-image correctness: found shapes {first.shape} and {second.shape}, "
            "expected one value for each of the same images"
        )
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise InputError("per-image correctness: found other values, expected true or false for each image")
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    p = mcnemar_exact(only_first, only_second)
    difference = (only_first - only_second) / first.size
    return Verdict(
        grade=_direction(p, higher=only_first > only_second),
        sentence=f"1 seed, {first.size} images: {only_first} correct only in the first, {only_second} only "
        f"in the second, exact McNemar p = {p:.3g}",
        k=1,
        mean=difference,
        p=p,
    )


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar p from the images that only one of two models has right."""
    if min(only_a, only_b) < 0:
        raise ValueError(f"counts are not negative, found {only_a} and {only_b}")
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def grade_tie(first: Sequence[float], second: Sequence[float], margin: float) -> Verdict:
    """Grade the claim "``first`` ≈ ``second``": equivalence within ±margin, paired over seeds (TOST).

    ``directional`` (as claimed) where both one-sided tests against the margin have p < .05;
    ``reversed`` where the difference lies beyond the margin, two-sided p < .05; else inconclusive.
    A difference that is merely not significant shows nothing. p is that of ``reversed`` where that is the
    grade, else the larger one-sided p.
    """
    blocked = _unpaired(first, second)
    if blocked is not None:
        return blocked
    differences = _differences(first, second)
    above_low, below_low = _one_sided_p(differences, -margin)
    above_high, below_high = _one_sided_p(differences, margin)
    tied = max(above_low, below_high)
    apart = min(1.0, 2 * min(above_high, below_low))
    grade = "directional" if tied < ALPHA else "reversed" if apart < ALPHA else "inconclusive"
    p = apart if grade == "reversed" else tied
    mean, interval = _interval(differences)
    k = len(differences)
    return Verdict(
        grade=grade,
        sentence=f"{_seeds(k)} differ by {mean:+.4f} on average, {_GRADE_WORDS[grade]} as a tie within "
        f"±{margin:.4f} ({'difference' if grade == 'reversed' else 'equivalence'} p = {p:.3g})",
        k=k,
        mean=mean,
        interval=interval,
        p=p,
        margin=margin,
    )


def grade_chain(
    groups: Sequence[Sequence[Any]],
    *,
    names: Sequence[str],
    rule: Callable[[Sequence[Any], Sequence[Any]], Verdict] = grade_ordering,
) -> Verdict:
    """Grade "a > b > c …" from one group of figures each, by ``rule`` (``grade_ordering_single`` at k = 1).

    ``directional`` only where every neighbouring pair is, each at its own p < .05: all of them have to
    hold at once, which needs no adjustment (an intersection-union test; p is the largest). ``reversed``
    where any pair, neighbours or not, is reversed with its p times the number of pairs still < .05: any
    one suffices (Bonferroni; Holm would need the other pairs' p to be of the same kind, which those of
    ties are not). Else inconclusive.
    """
    if len(groups) < 2 or len(names) != len(groups):
        raise InputError(
            f"chain: found {len(groups)} groups and {len(names)} names, expected two or more, named"
        )
    pairs = list(combinations(range(len(groups)), 2))
    verdicts = [rule(groups[i], groups[j]) for i, j in pairs]
    for verdict in verdicts:
        if verdict.p is None:
            return verdict  # a broken run or too few seeds, the same for every pair
    p_values = [verdict.p for verdict in verdicts if verdict.p is not None]
    reversals = [
        (p * len(pairs), f"{names[i]} > {names[j]} reversed")
        for (i, j), verdict, p in zip(pairs, verdicts, p_values, strict=True)
        if verdict.grade == "reversed" and p * len(pairs) < ALPHA
    ]
    neighbours = [n for n, (i, j) in enumerate(pairs) if j == i + 1]
    listed = ", ".join(
        f"{names[pairs[n][0]]} > {names[pairs[n][1]]} {verdicts[n].grade} (p = {p_values[n]:.3g})"
        for n in neighbours
    )
    k = verdicts[0].k
    if reversals:
        p, shown = min(reversals)
        return Verdict(
            grade="reversed",
            sentence=f"{_seeds(k)} show {shown} (p = {p:.3g}, adjusted for {len(pairs)} pairs); {listed}",
            k=k,
            p=p,
        )
    held = all(verdicts[n].grade == "directional" for n in neighbours)
    return Verdict(
        grade="directional" if held else "inconclusive",
        sentence=f"{_seeds(k)}: {listed}",
        k=k,
        p=max(p_values[n] for n in neighbours),
    )


_GRADE_WORDS = {"directional": "shown", "reversed": "refuted", "inconclusive": "not decided"}


def _unpaired(first: Sequence[float], second: Sequence[float]) -> Verdict | None:
    """Why no paired test can be made, as a verdict; None where it can."""
    if len(first) == 0 or len(first) != len(second):
        raise InputError(
            f"ordering: found {len(first)} and {len(second)} figures, expected one a seed on both sides: "
            "run the same seeds of both"
        )
    for figures in (first, second):
        if not np.isfinite(figures).all():
            return _broken(figures)
    k = len(first)
    if k >= MIN_SEEDS:
        return None
    why = "and no per-image results to compare" if k == 1 else f"of the {MIN_SEEDS} that a paired test needs"
    return Verdict(
        grade="inconclusive",
        sentence=f"{_seeds(k)} {why}",
        k=k,
        mean=float(_differences(first, second).mean()),
    )


def _differences(first: Sequence[float], second: Sequence[float]) -> Array:
    # Twelve decimals: 0.3 - 0.2 and 0.2 - 0.1 are one difference, not two that nearly agree.
    return np.round(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64), 12)


def _one_sided_p(differences: Array, null: float) -> tuple[float, float]:
    """p of "the mean is not above ``null``" and of "not below": small where it is above, or below."""
    k = len(differences)
    if np.ptp(differences) == 0:
        excess = round(float(differences[0]) - null, 12)
        return (0.5**k if excess > 0 else 1.0), (0.5**k if excess < 0 else 1.0)
    t = (differences.mean() - null) / (differences.std(ddof=1) / math.sqrt(k))
    return float(stdtr(k - 1, -t)), float(stdtr(k - 1, t))


def _interval(differences: Array) -> tuple[float, tuple[float, float]]:
    k, mean = len(differences), float(differences.mean())
    half = float(stdtrit(k - 1, 0.975) * differences.std(ddof=1) / math.sqrt(k))
    return mean, (mean - half, mean + half)


def _direction(p: float, *, higher: bool) -> str:
    if p >= ALPHA:
        return "inconclusive"
    return "directional" if higher else "reversed"


def _ordering(differences: Array, p: float, *, higher: bool) -> Verdict:
    k, (mean, interval) = len(differences), _interval(differences)
    same = np.ptp(differences) == 0
    scale = "the same at every seed, sign test" if same else f"95 % {interval[0]:+.4f} to {interval[1]:+.4f},"
    return Verdict(
        grade=_direction(p, higher=higher),
        sentence=f"{_seeds(k)}: first minus second is {mean:+.4f} ({scale} p = {p:.3g})",
        k=k,
        mean=mean,
        interval=None if same else interval,
        p=p,
    )


# ---------------------------------------------------------------- deterministic claims, processes


def grade_exact(printed: Any, found: Any) -> Verdict:
    """``exact`` or ``different``, naming the first difference.

    A number that was found compares by value with a printed number or string (``"50"`` is 50, ``".1"``
    is 0.1: floats by their shortest repr); strings verbatim; sequences and mappings element by element.
    """
    difference = _first_difference(printed, found, "")
    if difference is None:
        return Verdict(grade="exact", sentence="what we found equals what is printed")
    return Verdict(grade="different", sentence=difference)


def _first_difference(printed: Any, found: Any, where: str) -> str | None:
    place = f" at {where}" if where else ""
    unequal = f"printed {printed!r}, found {found!r}{place}"
    if isinstance(printed, Mapping) and isinstance(found, Mapping):
        for key in (*printed, *(key for key in found if key not in printed)):
            if key not in printed or key not in found:
                return f"only {'printed' if key in printed else 'found'}: {key!r}{place}"
            difference = _first_difference(printed[key], found[key], f"{where}[{key!r}]")
            if difference:
                return difference
        return None
    if _is_list(printed) and _is_list(found):
        for index, (left, right) in enumerate(zip(printed, found, strict=False)):
            difference = _first_difference(left, right, f"{where}[{index}]")
            if difference:
                return difference
        if len(printed) != len(found):
            return f"printed {len(printed)} elements, found {len(found)}{place}"
        return None
    if isinstance(found, str) or (type(printed) in (bool, type(None)) or type(found) in (bool, type(None))):
        return None if type(printed) is type(found) and printed == found else unequal
    left, right = _number(printed), _number(found)
    return None if left is not None and left == right else unequal


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _number(value: object) -> Decimal | None:
    text = value if isinstance(value, str) else str(value)
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def grade_process(judgements: Sequence[bool | None]) -> Verdict:
    """Grade a process from one judgement a seed: did the predicate hold on its curves? None: cannot tell.

    ``supported`` where every run that can be judged agrees, ``not supported`` where more than half of
    them fail, else inconclusive: the claim says what a training does, not what it may do, so one
    dissenting seed withholds support, but does not refute. If half or more cannot be judged, neither.
    """
    if len(judgements) == 0:
        raise InputError("judgements: found none, expected one a seed: a claim without runs is 'not run'")
    judged = [judgement for judgement in judgements if judgement is not None]
    held = sum(judged)
    sentence = f"holds at {held} of the {_seeds(len(judged))} that can be judged ({len(judgements)} run)"
    if 2 * len(judged) <= len(judgements):
        grade = "inconclusive"
    elif held == len(judged):
        grade = "supported"
    else:
        grade = "not supported" if 2 * held < len(judged) else "inconclusive"
    return Verdict(grade=grade, sentence=sentence, k=len(judged))


# ---------------------------------------------------------------- spread of one evaluation


def accuracy_interval(numerator: int, denominator: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of an accuracy of ``numerator`` correct of ``denominator`` images."""
    if not 0 <= numerator <= denominator or denominator < 1:
        raise InputError(f"accuracy: found {numerator} of {denominator}, expected 0 <= correct <= images")
    tail, wrong = (1 - confidence) / 2, denominator - numerator
    low = float(betaincinv(numerator, wrong + 1, tail)) if numerator else 0.0
    high = float(betaincinv(numerator + 1, wrong, 1 - tail)) if wrong else 1.0
    return low, high


def bootstrap_miou(
    per_image_confusions: npt.NDArray[np.integer[Any]],
    classes: Sequence[int],
    seed: int,
    draws: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the pooled mIoU over ``classes``, images drawn with replacement.

    Args:
        per_image_confusions: (N, C, C) counts, one matrix an image.
        classes: the averaged ones; the others' pixels still count as false positives and misses.

    A draw that misses one of the classes altogether has no score under the course's rule and is left
    out.

    Raises:
        InputError: wrong shape, no images, or no draw that holds every class.
    """
    matrices = np.asarray(per_image_confusions)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not len(matrices):
        raise InputError(f"per-image confusions: found shape {matrices.shape}, expected (images, C, C)")
    chosen = list(classes)
    overlap = np.diagonal(matrices, axis1=1, axis2=2)[:, chosen].astype(np.float64)  # (N, K)
    truth, predicted = matrices.sum(axis=2)[:, chosen], matrices.sum(axis=1)[:, chosen]
    union = truth + predicted - overlap  # (N, K)
    images = len(matrices)
    weights = _resampled(images, draws, seed)
    unions = weights @ union  # (draws, K)
    whole = (unions > 0).all(axis=1)
    if not whole.any():
        raise InputError(f"bootstrap: no draw of {images} images holds all of classes {chosen}: score fewer")
    scores = ((weights @ overlap)[whole] / unions[whole]).mean(axis=1)
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)  # 4 MB each, and all evaluations of one split share theirs
def _resampled(images: int, draws: int, seed: int) -> Array:
    """How often each image is drawn, (draws, images): pooling over a resample becomes one product."""
    counts = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=draws)
    weights = counts.astype(np.float64)
    weights.flags.writeable = False
    return weights


def two_proportion_z(p_a: float, p_b: float, n_a: int, n_b: int) -> float:
    """z of the difference of two accuracies on n_a and n_b images, unpaired, variances not pooled."""
    variance = p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b
    if variance == 0:
        return 0.0 if p_a == p_b else math.copysign(math.inf, p_a - p_b)
    return (p_a - p_b) / math.sqrt(variance)


def resolvable_difference(n: int, p: float, confidence: float = 0.95) -> float:
    """Smallest difference between two accuracies near p that one split of n images tells from noise.

    Unpaired, as between two reports: z(1 − α/2)·√(2p(1−p)/n). Smaller ones are *indistinguishable*.
    """
    return float(ndtri((1 + confidence) / 2)) * math.sqrt(2 * p * (1 - p) / n)
