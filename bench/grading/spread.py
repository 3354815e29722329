"""How far seeds are expected to scatter (σ₀, ν₀), and how far apart two figures count as the same (Δ).

Both are fixed before the runs that are graded. The spread comes from our earlier runs of the same data, tier
and metric, by empirical Bayes (Smyth 2004, "Linear models and empirical Bayes methods", section 6): every
group of seeds has a variance of its own, and these variances scatter about σ₀² like a scaled inverse χ² with
ν₀ degrees of freedom. Where there are too few such groups a formula stands in. The margin is substantive: it
follows from the metric and the images, and our own noise never widens it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.claims.claim import Claim
from bench.grading.verdict import Array
from reference.errors import InputError

NU0 = 4
"""Degrees of freedom that a formula's σ₀ is worth."""

MOST_NU0 = 18
"""Degrees of freedom that earlier runs can be worth at most: no history knows a new recipe better."""

MIN_GROUPS = 5
"""Groups of earlier runs below which their spread is not estimated."""

IOU_SIGMA = 0.01
CLASS_IOU_SIGMA = 0.0245

FIXED_MARGINS: dict[tuple[str, int | None], float] = {
    ("top1", 406): 0.065,
    ("top1", 2500): 0.017,
    ("miou", None): 0.025,
    ("iou", None): 0.06,
}
"""Margins Δ, by metric and (for top-1) number of images."""

MARGIN_SIGMAS = 2.6
"""Δ of top-1 on another number of images, in sampling errors √(error/2n): what the fixed ones come to."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The expected standard deviation between seeds, what it is worth, and where it comes from.

    Attributes:
        sigma0: σ₀, a fraction.
        nu0: ν₀, the degrees of freedom that it counts as.
        source: in words, for a sentence next to a verdict.
    """

    sigma0: float
    nu0: int
    source: str


def formula_sigma(metric: str, n: int | None, value: Array | float) -> Array:
    """σ₀ without earlier runs, by metric; ``value`` is the printed fraction and may be an array.

    ``top1`` on n images: √(error/2n), the error at least one image, or a perfect score would have no
    spread. ``miou``: 0.01. ``iou_<class>``: 0.0245.

    Raises:
        InputError: a metric without a formula, or ``top1`` without n.

    >>> round(float(formula_sigma("top1", 2500, 0.7856)), 4)
    0.0065
    """
    value = np.asarray(value, dtype=np.float64)
    if metric == "top1":
        if not n or n < 1:
            raise InputError(f"top1: found n = {n}, expected the number of evaluated images: state n")
        return np.asarray(np.sqrt(np.maximum(1 - value, 1 / n) / (2 * n)))
    if metric == "miou":
        return np.full_like(value, IOU_SIGMA)
    if _is_class_iou(metric):
        return np.full_like(value, CLASS_IOU_SIGMA)
    raise InputError(
        f"metric: found {metric!r}, expected top1, miou or iou_<class>: no other metric has an expected "
        "spread; claim an ordering instead"
    )


def expected_spread(
    metric: str, n: int | None, value: float, earlier: Sequence[Sequence[float]] = ()
) -> Spread:
    """σ₀ and ν₀ for a figure near ``value``, from groups of earlier runs where there are enough.

    Args:
        metric: ``top1``, ``miou`` or ``iou_<class>``.
        n: images that an accuracy is measured on.
        earlier: figures of our earlier runs of the same data, tier and metric, one group for each recipe,
            the graded recipes left out.

    Raises:
        InputError: a metric without a formula, or a figure that is not finite.
    """
    groups = [group for group in earlier if len(group) > 1]
    if len(groups) >= MIN_GROUPS:
        step = 1 / n if metric == "top1" and n else 0.0
        sigma0, nu0 = fit_spread(groups, step=step)
        return Spread(sigma0=sigma0, nu0=nu0, source=f"{len(groups)} groups of earlier runs (ν₀ = {nu0})")
    formula = f"√(error/2n), n = {n}" if metric == "top1" else "the usual spread of an IoU"
    return Spread(sigma0=float(formula_sigma(metric, n, value)), nu0=NU0, source=formula)


def fit_spread(groups: Sequence[Sequence[float]], *, step: float = 0.0) -> tuple[float, int]:
    """σ₀ and ν₀ of the likelihood's maximum over groups of figures, one figure a seed.

    A group of k figures has the sample variance s² with d = k − 1 degrees of freedom; under the model
    s²/σ₀² follows F(d, ν₀). ν₀ is a whole number from 1 to ``MOST_NU0``, and at most half of all degrees of
    freedom: few groups cannot show that variances are alike.

    Args:
        groups: at least two figures in each.
        step: distance between neighbouring figures of a count, such as 1/n of an accuracy; the variance
            step²/12 of that rounding is the least that counts, since three equal accuracies are no proof
            of no spread.

    Raises:
        InputError: a figure that is not finite, or no group of two figures.
    """
    usable = [np.asarray(group, dtype=np.float64) for group in groups if len(group) > 1]
    if not usable or not all(np.isfinite(group).all() for group in usable):
        raise InputError("earlier runs: expected groups of two or more finite figures")
    variances = np.array([max(group.var(ddof=1), step**2 / 12, 1e-12) for group in usable])
    # Imported here: they take half a second, and most claims have no earlier runs.
    from scipy.optimize import minimize_scalar
    from scipy.stats import f as f_distribution

    freedom = np.array([len(group) - 1 for group in usable], dtype=np.float64)
    logs = np.log(variances)
    most = max(1, min(MOST_NU0, int(freedom.sum()) // 2))

    def loss(log_scale: float, nu0: int) -> float:
        ratios = variances / math.exp(log_scale)
        return -float(np.sum(f_distribution.logpdf(ratios, freedom, nu0) - log_scale))

    best = min(
        (
            (fitted.fun, nu0, fitted.x)
            for nu0 in range(1, most + 1)
            for fitted in [
                minimize_scalar(loss, bounds=(logs.min() - 2, logs.max() + 2), args=(nu0,), method="bounded")
            ]
        ),
    )
    return math.exp(best[2] / 2), best[1]


def margin(metric: str, n: int | None, value: Array | float, delta: float = 0.0) -> Array:
    """Return Δ, the distance that counts as the same figure. Only metric, images and printed value decide it.

    ``FIXED_MARGINS``; top-1 on another number of images has 2.6·√(error/2n) of the printed value. Δ is
    never below δ: a figure printed in whole percent stands for all that rounds to it.

    Raises:
        InputError: a metric without a margin, or ``top1`` without n.

    >>> float(margin("miou", None, 0.66))
    0.025
    """
    value = np.asarray(value, dtype=np.float64)
    name = "iou" if _is_class_iou(metric) else metric
    fixed = FIXED_MARGINS.get((name, n if name == "top1" else None))
    base = MARGIN_SIGMAS * formula_sigma(metric, n, value) if fixed is None else np.full_like(value, fixed)
    return np.asarray(np.maximum(base, delta))


def margin_of(claim: Claim, n: int | None) -> float:
    """Δ of a printed number: what its claim states, the claimed gain for a difference, else ``margin``.

    Args:
        n: images that the figure is measured on.
    """
    printed, half_step = float(claim.fraction), float(claim.half_step)
    if claim.margin is not None:
        return float(claim.margin)
    if claim.difference_of:
        return max(abs(printed), half_step)
    return float(margin(str(claim.metric_name), n, printed, half_step))


def pooled_sigma(groups: Sequence[Array], sigma0: Array | float, nu0: int) -> tuple[Array, int]:
    """σ̂ over the last axis of each of ``groups`` (…, k), and its degrees of freedom ν.

    σ̂² = (ν₀σ₀² + Σ(xᵢ − x̄)²)/ν with ν = ν₀ + Σ(k − 1): σ₀ counts as ν₀ observations of the spread.
    """
    nu = nu0 + sum(values.shape[-1] - 1 for values in groups)
    scatter = sum(np.square(values - values.mean(axis=-1, keepdims=True)).sum(axis=-1) for values in groups)
    return np.asarray(np.sqrt((nu0 * np.square(sigma0) + scatter) / nu)), nu


def _is_class_iou(metric: str) -> bool:
    return re.fullmatch(r"iou(_[0-9]+)?", metric) is not None
