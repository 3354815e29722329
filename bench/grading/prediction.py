"""The prediction interval for one more report, from the figures that other reports print.

Figures of a task are Student-t distributed with 4 degrees of freedom on the logit scale, around an unknown
location and with an unknown scale: failed runs make the tails heavy, and an accuracy stays between 0 and 1.
The interval is the posterior predictive one under the prior 1/scale. For a location-scale family that is
the exact frequentist prediction interval, whatever location, scale and number of reports (Hora and Buehler
1966), so that five reports are enough; how it fares on reports as they are is in ``docs/others.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from bench.grading.verdict import Array

FREEDOM = 4
"""Degrees of freedom of the t; chosen beforehand, validated by leave-one-out on the survey."""

MIN_REPORTS = 5
"""Fewer independent reports are too few to say."""

LEAST_STEP = 5e-7
"""Half a unit of the sixth digit, where nothing says how coarsely figures are printed."""

_LOCATIONS, _SCALES = 81, 61
"""Points of the grid that the posterior is summed over; twice as many move an end by less than 0.0005."""

_MAD_TO_SIGMA = 1.4826


class PredictionInterval(NamedTuple):
    """Ends of a prediction interval, as fractions."""

    low: float
    high: float

    def holds(self, value: float, half_step: float = 0.0) -> bool:
        """Whether some value that is printed so lies inside."""
        return value + half_step >= self.low and value - half_step <= self.high


@lru_cache(maxsize=4096)
def prediction_interval(
    values: tuple[float, ...], half_step: float = LEAST_STEP, confidence: float = 0.95
) -> PredictionInterval:
    """Where one more report of the same kind would lie with that probability.

    Args:
        values: the figures, as fractions, one a report.
        half_step: half a unit of the last printed digit, as a fraction; a scale below it is not believed.

    Raises:
        ValueError: fewer than two figures.
    """
    x = _on_logit_scale(values, half_step)
    centre = float(np.median(x))
    spread = max(_MAD_TO_SIGMA * float(np.median(np.abs(x - centre))), _least_scale(centre, half_step))
    location, scale, weight = _posterior(x, centre, spread, _least_scale(centre, half_step))
    ends = [_quantile(location, scale, weight, tail) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
    return PredictionInterval(float(expit(ends[0])), float(expit(ends[1])))


def mad_interval(values: Sequence[float], half_step: float = LEAST_STEP) -> PredictionInterval:
    """The simpler rule that was tried: median ± 1.96 scaled MADs on the logit scale, for comparison."""
    x = _on_logit_scale(values, half_step)
    centre = float(np.median(x))
    reach = 1.959963984540054 * _MAD_TO_SIGMA * float(np.median(np.abs(x - centre)))
    return PredictionInterval(float(expit(centre - reach)), float(expit(centre + reach)))


def _on_logit_scale(values: Sequence[float], half_step: float) -> Array:
    """Logits; 0 and 1, which have none, count as the last value that rounds to them."""
    if len(values) < 2:
        raise ValueError(f"a prediction needs two figures, found {len(values)}")
    x: Array = logit(np.clip(np.asarray(values, dtype=np.float64), half_step, 1 - half_step))
    return x


def _least_scale(centre: float, half_step: float) -> float:
    """The standard deviation of a rounding error, on the logit scale at ``centre``."""
    p = float(expit(centre))
    return half_step / (p * (1 - p)) / 3**0.5


def _posterior(x: Array, centre: float, spread: float, least: float) -> tuple[Array, Array, Array]:
    """Locations, scales and posterior weights of a grid's points, those that weigh next to nothing left out.

    Locations lie densely around the centre and reach far out (a cube); scales are spaced evenly in their
    logarithm, in which the prior 1/scale is flat.
    """
    u = np.linspace(-1, 1, _LOCATIONS)[:, None]
    reach = 4 * spread * (1 + 30 / len(x))
    location = centre + reach * (0.2 * u + 0.8 * u**3)
    density = reach * (0.2 + 2.4 * u**2)
    low, high = max(spread / 50, least), 50 * spread
    scale = np.geomspace(low, max(high, 2 * low), _SCALES)[None, :]
    weight = np.log(density) - len(x) * np.log(scale)
    far = np.ones_like(weight)
    for value in x:  # a product of few factors, then one logarithm: logarithms cost most
        far *= 1 + ((value - location) / scale) ** 2 / FREEDOM
        if far.max() > 1e200:
            weight, far = weight - (FREEDOM + 1) / 2 * np.log(far), np.ones_like(weight)
    weight = weight - (FREEDOM + 1) / 2 * np.log(far)
    weight = np.exp(weight - weight.max())
    kept = weight > 1e-8
    location, scale = np.broadcast_arrays(location, scale)
    return location[kept], scale[kept], weight[kept] / weight[kept].sum()


def _quantile(location: Array, scale: Array, weight: Array, tail: float) -> float:
    """Where the predictive distribution reaches ``tail``, by bisection.

    Args:
        location, scale, weight: points of the posterior, (P,) each.
    """
    low, high = float(location.min() - 50 * scale.max()), float(location.max() + 50 * scale.max())
    while high - low > 1e-6 * (1 + abs(low)):
        middle = (low + high) / 2
        below = float(weight @ _t_cdf((middle - location) / scale))
        low, high = (middle, high) if below < tail else (low, middle)
    return (low + high) / 2


def _t_cdf(t: Array) -> Array:
    """Distribution function of Student's t with 4 degrees of freedom, in closed form."""
    square = 1 + t**2 / FREEDOM
    cdf: Array = 0.5 + 0.375 * t / np.sqrt(square) * (1 - t**2 / (12 * square))
    return cdf
