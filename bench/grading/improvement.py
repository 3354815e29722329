"""Several recipes at once: how probably a new run of one beats a new run of another.

The probability of improvement with a stratified bootstrap (Agarwal et al. 2021, "Deep reinforcement learning
at the edge of the statistical precipice"): P(X > Y) is the share of pairs of a run of X and one of Y in
which X is ahead, ties counted as half, and its interval comes from drawing the runs of each recipe with
replacement, each recipe by itself. All pairs of a report share the same draws, so that one matrix is one
analysis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.grading.verdict import MIN_SEEDS, Array
from reference.errors import InputError

DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """P(a run of the first beats a run of the second), with its bootstrap interval.

    ``interval`` is None below three runs of either: a bootstrap of two runs knows no spread.
    """

    probability: float
    interval: tuple[float, float] | None


def matrix(
    figures: Mapping[str, Sequence[float]], *, seed: int = 0, draws: int = DRAWS, confidence: float = 0.95
) -> dict[tuple[str, str], Improvement]:
    """The probability of improvement of every ordered pair of recipes.

    Args:
        figures: one figure a seed, of each recipe; recipes without any are left out.
        seed: of the bootstrap.

    Raises:
        InputError: a figure that is not finite.

    >>> found = matrix({"a": [0.5, 0.6, 0.7], "b": [0.1, 0.2, 0.55]})
    >>> round(found["a", "b"].probability, 3)
    0.889
    """
    groups = {name: np.asarray(values, dtype=np.float64) for name, values in figures.items() if len(values)}
    for name, values in groups.items():
        if not np.isfinite(values).all():
            raise InputError(f"{name}: found {list(values)}, expected finite figures")
    generator = np.random.default_rng(seed)
    drawn = {
        name: values[generator.integers(len(values), size=(draws, len(values)))]
        for name, values in groups.items()
    }
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    improvements = {}
    for first in groups:
        for second in groups:
            if first == second:
                continue
            shares = _ahead(drawn[first], drawn[second])
            enough = min(len(groups[first]), len(groups[second])) >= MIN_SEEDS
            low, high = (float(end) for end in np.quantile(shares, tails))
            improvements[first, second] = Improvement(
                probability=float(_ahead(groups[first][None], groups[second][None])[0]),
                interval=(low, high) if enough else None,
            )
    return improvements


def _ahead(first: Array, second: Array) -> Array:
    """(draws, k) and (draws, l) → (draws,) the share of pairs in which the first is ahead, ties as half."""
    difference = first[:, :, None] - second[:, None, :]
    share: Array = ((difference > 0) + 0.5 * (difference == 0)).mean(axis=(1, 2))
    return share


def told(improvement: Improvement) -> str:
    """``"0.89 (0.56–1.00)"``."""
    if improvement.interval is None or not math.isfinite(improvement.probability):
        return f"{improvement.probability:.2f}"
    return f"{improvement.probability:.2f} ({improvement.interval[0]:.2f}–{improvement.interval[1]:.2f})"
