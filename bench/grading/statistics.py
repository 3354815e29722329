"""Statistical tests and intervals that the grades use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv, ndtri

from bench.grading.verdict import Array
from reference.errors import InputError

Z_95 = 1.959963984540054
"""Two-sided 5 % point of the normal distribution."""


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


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact McNemar p from the images that only one of two models has right."""
    if min(only_a, only_b) < 0:
        raise ValueError(f"counts are not negative, found {only_a} and {only_b}")
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def accuracy_interval(numerator: int, denominator: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the exact (Clopper-Pearson) interval of an accuracy of ``numerator`` in ``denominator``.

    >>> [round(bound, 4) for bound in accuracy_interval(1964, 2500)]
    [0.769, 0.8015]
    """
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
