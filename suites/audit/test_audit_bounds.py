"""Bounds between segmentation scores hold for every confusion matrix, and catch a swap of two scores."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bench.audit import bounds
from bench.audit.stated import Interval
from reference import metrics

MATRICES = 20_000
# Scores are float64 sums of a few ratios below 1; their errors are below 1e-14.
ROUNDING = 1e-12


def _matrices() -> Iterator[npt.NDArray[np.int64]]:
    """Random ones: of 2 to 8 classes, dense and sparse, good and bad, with rare classes."""
    draw = np.random.default_rng(0)
    for _ in range(MATRICES):
        classes = int(draw.integers(2, 9))
        counts = draw.integers(0, int(10 ** draw.uniform(0, 6)) + 1, size=(classes, classes))
        counts *= draw.random((classes, classes)) < draw.random()
        counts += np.diag(draw.integers(1, int(10 ** draw.uniform(0, 7)) + 2, size=classes))
        yield (counts * draw.choice([1, 1000], size=classes)[:, None]).astype(np.int64)


def _scores(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """By the definitions, rows being the truth; every class occurs."""
    true, predicted, hit = confusion.sum(1), confusion.sum(0), np.diagonal(confusion)
    iou = hit / (true + predicted - hit)
    return {
        bounds.PIXEL_ACCURACY: float(hit.sum() / confusion.sum()),
        bounds.MEAN_ACCURACY: float((hit / true).mean()),
        bounds.FW_IOU: float((true / confusion.sum() * iou).sum()),
        bounds.MEAN_IOU: float(iou.mean()),
        bounds.MEAN_DICE: float((2 * hit / (true + predicted)).mean()),
    }


def _intervals(scores: dict[str, float]) -> dict[str, Interval]:
    return {name: Interval(s - ROUNDING, s + ROUNDING) for name, s in scores.items()}


def test_bounds_hold_on_random_confusion_matrices() -> None:
    for confusion in _matrices():
        assert not bounds.broken(_intervals(_scores(confusion))), confusion


def test_scores_are_those_of_the_reference() -> None:
    for confusion, _ in zip(_matrices(), range(50), strict=False):
        ours, classes = _scores(confusion), range(len(confusion))
        theirs = {
            bounds.PIXEL_ACCURACY: metrics.pixel_accuracy(confusion),
            bounds.MEAN_ACCURACY: metrics.mean_class_accuracy(confusion, classes),
            bounds.FW_IOU: metrics.frequency_weighted_iou(confusion),
            bounds.MEAN_IOU: metrics.mean_iou(confusion, classes),
            bounds.MEAN_DICE: metrics.mean_dice(confusion, classes),
        }
        for name, score in ours.items():
            assert abs(score - theirs[name]) < 1e-12, name


def test_a_swap_of_mean_accuracy_for_mean_iou_is_caught() -> None:
    for confusion, _ in zip(_matrices(), range(2000), strict=False):
        scores = _scores(confusion)
        iou, accuracy = scores[bounds.MEAN_IOU], scores[bounds.MEAN_ACCURACY]
        scores[bounds.MEAN_IOU], scores[bounds.MEAN_ACCURACY] = accuracy, iou
        found = [bound.sentence for bound in bounds.broken(_intervals(scores))]
        assert ("mIoU ≤ mean class accuracy" in found) == (accuracy - iou > 2 * ROUNDING)


def test_every_bound_is_reached_or_nearly() -> None:
    perfect = np.diag([5, 3, 9])
    scores = _scores(perfect)
    assert all(score == 1 for score in scores.values())
    assert not bounds.broken(_intervals(scores))
    assert (
        len(bounds.broken({**_intervals(scores), bounds.MEAN_IOU: Interval(Fraction(2), Fraction(2))})) == 2
    )


def test_each_bound_is_broken_by_its_own_pair() -> None:
    for bound in bounds.BOUNDS:
        scores = {bound.smaller: Interval(Fraction(9, 10), Fraction(1))}
        scores[bound.larger] = Interval(Fraction(0), Fraction(1, 10))
        assert bound in bounds.broken(scores)
