"""Pooled confusion matrices of land-cover masks: ours against the implementations that people use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as torchmetrics
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from bench.throughput.results import CONFUSION
from bench.throughput.timing import interleave
from reference.metrics import confusion_matrix

CLASSES = 7
Masks = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def torchvisions(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The ``ConfusionMatrix.update`` of torchvision's segmentation reference, which is not in its package."""
    known = (target >= 0) & (target < CLASSES)
    index = CLASSES * target[known].to(torch.int64) + prediction[known]
    return torch.bincount(index, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def on_tensors(count: Callable[..., torch.Tensor], masks: Masks) -> NDArray[np.int64]:
    prediction, target = map(torch.from_numpy, masks)
    return count(prediction.flatten(), target.flatten()).numpy()


def scikit_learns(masks: Masks) -> NDArray[np.int64]:
    prediction, target = masks
    return sklearn_confusion_matrix(target.ravel(), prediction.ravel(), labels=range(CLASSES))


TORCHMETRICS = partial(torchmetrics.multiclass_confusion_matrix, num_classes=CLASSES)
CONTENDERS: dict[str, Callable[[Masks], NDArray[np.int64]]] = {
    "ours": partial(on_tensors, partial(confusion_matrix, num_classes=CLASSES)),
    "torchmetrics": partial(on_tensors, partial(TORCHMETRICS, validate_args=False)),
    "torchmetrics, defaults": partial(on_tensors, TORCHMETRICS),
    "torchvision's reference": partial(on_tensors, torchvisions),
    "scikit-learn": scikit_learns,
}


# One core: none of them gains from a second, and waiting for it would be timed where others work there.
@pytest.mark.usefixtures("one_core")
def test_pooled_confusion_matrix(measuring: bool, rounds: int, note: Callable[..., None]) -> None:
    count = 32 if measuring else 2

    def masks(number: int) -> Masks:
        """Patches of 16² pixels, as land cover has them, a tenth of them predicted wrongly."""
        rng = np.random.default_rng(number + 1)
        target = (
            rng.integers(0, CLASSES, (count, 32, 32), dtype=np.uint8).repeat(16, axis=1).repeat(16, axis=2)
        )
        guess = rng.integers(0, CLASSES, target.shape, dtype=np.uint8)
        return np.where(rng.random(target.shape) < 0.1, guess, target), target

    answers = {name: contender(masks(0)) for name, contender in CONTENDERS.items()}
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer, answers["ours"], err_msg=name)
    megapixels = count * 512**2 / 1e6
    for name, seconds in interleave(CONTENDERS, data=masks, rounds=rounds).items():
        note(CONFUSION, name, unit="Mpx/s", items=megapixels, seconds=seconds, bytes=2e6, dtype="uint8")
