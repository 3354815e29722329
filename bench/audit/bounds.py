"""Inequalities that segmentation scores of one prediction cannot break, whatever the confusion matrix.

With IoU_c = tp/(tp+fp+fn), Dice_c = 2·IoU_c/(1+IoU_c) and accuracy_c = tp/(tp+fn) of class c, f_c its share
of the pixels and PA the pixel accuracy:

- IoU_c ≤ accuracy_c, since only false positives are added below the bar; so the means;
- IoU_c ≤ Dice_c, and Dice is concave in IoU, so that the mean Dice is at most the Dice of the mean IoU;
- fwIoU = Σ f_c·IoU_c ≤ Σ f_c·accuracy_c = PA;
- fwIoU = Σ f_c·tp_c/u_c ≥ Σ tp_c²/u_c ≥ (Σ tp_c)²/Σ u_c = PA²/(2 − PA), with pixel shares tp_c ≤ f_c,
  unions u_c that add up to 2 − PA, and Cauchy-Schwarz.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

from bench.audit.stated import Interval

PIXEL_ACCURACY, MEAN_ACCURACY, FW_IOU, MEAN_IOU, MEAN_DICE = (
    "pixel_accuracy",
    "mean_accuracy",
    "fwiou",
    "miou",
    "mdice",
)


def _same(x: Fraction) -> Fraction:
    return x


def _least_fwiou(accuracy: Fraction) -> Fraction:
    return accuracy**2 / (2 - accuracy)


def _dice(iou: Fraction) -> Fraction:
    return 2 * iou / (1 + iou)


class Bound(NamedTuple):
    """``smaller`` is at most ``of(larger)``, or ``of(smaller)`` at most ``larger``; ``of`` grows on 0…1."""

    sentence: str
    smaller: str
    larger: str
    below: Callable[[Fraction], Fraction] = _same
    above: Callable[[Fraction], Fraction] = _same


BOUNDS = (
    Bound("mIoU ≤ mean class accuracy", MEAN_IOU, MEAN_ACCURACY),
    Bound("fwIoU ≤ pixel accuracy", FW_IOU, PIXEL_ACCURACY),
    Bound("pixel accuracy²/(2 − pixel accuracy) ≤ fwIoU", PIXEL_ACCURACY, FW_IOU, below=_least_fwiou),
    Bound("mIoU ≤ mean Dice", MEAN_IOU, MEAN_DICE),
    Bound("mean Dice ≤ 2·mIoU/(1 + mIoU)", MEAN_DICE, MEAN_IOU, above=_dice),
)


def broken(scores: Mapping[str, Interval]) -> list[Bound]:
    """The bounds that scores of one prediction break, however they were rounded.

    Args:
        scores: by metric, the fractions that the printed score can stand for.
    """
    return [
        bound
        for bound in BOUNDS
        if bound.smaller in scores
        and bound.larger in scores
        and bound.below(scores[bound.smaller].low) > bound.above(scores[bound.larger].high)
    ]
