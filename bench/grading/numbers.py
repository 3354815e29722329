"""The grade rules, as functions of plain numbers: no records, no ledger, no files.

``docs/grading.md`` explains each rule with a worked example; ``bench.grading.simulation`` draws honest and
dishonest reports and shows how often these rules misjudge them. The rule for numbers broadcasts over
arrays, so that the simulation runs the very formulas that grade a claim.

Figures are fractions throughout: ``"62.1"`` printed in percent is 0.621, known to ±0.0005.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from bench.grading.alignment import WANTED
from bench.grading.verdict import MIN_SEEDS, NOT_REACHED, Array, Unit, Verdict, not_finite, seed_count
from reference.errors import InputError

NU0 = 4
"""Degrees of freedom that the prior σ₀ is worth; fewer than NU0 + 1 earlier runs cannot carry them."""


FIXED_MARGINS: dict[tuple[str, int | None], float] = {
    ("top1", 406): 0.065,
    ("top1", 2500): 0.017,
    ("miou", None): 0.025,
}
"""Margins Δ fixed before any run, by metric and (for top-1) number of images."""

IOU_SIGMA = 0.01

_MANY_SEEDS = 10_000
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


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
    if not DECIMAL.fullmatch(printed):
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
        return not_finite(ours)
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
        sentence=f"{seed_count(k)}, mean {mean:.4f}, printed {printed}{' %' if unit == 'percent' else ''}: "
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
