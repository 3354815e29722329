"""Confusion matrices: exact counts of predicted labels for each true class, on any device, in any order.

numpy counts arrays and torch counts tensors. torch is imported only for tensors, so a score of two folders of
masks needs no torch. Import these functions from ``reference.metrics``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Counts = NDArray[np.int64]
Labels = TypeVar("Labels", NDArray[Any], "Tensor")
# Counts of int16 indices 0…length−1: (N,) to (length,).
Bincount = Callable[[NDArray[np.int16], int], Counts]

# Two neighbouring uint8 indices are counted as one int16, so the larger must stay below 2**7.
_PAIRED_CELLS = 2**7
# Pixels fused at a time: the index of a block stays in the second-level cache.
_BLOCK = 2**19


def confusion_matrix(prediction: Labels, target: Labels, *, num_classes: int) -> Labels:
    """Count how often each true class was predicted as each label, pooled over all pixels.

    Args:
        prediction: integer labels 0…num_classes−1, any shape; numpy array or tensor on any device.
        target: true labels, of the same shape and kind.
        num_classes: C.

    Returns:
        (C, C) int64, rows = truth, columns = prediction; numpy for numpy, else a tensor on the same device.

    Raises:
        TypeError: lists, masked arrays, or an array together with a tensor.
        ValueError: shapes differ, dtypes are not integer, or a label lies outside 0…C−1. No label is
            counted as another class or left out; drop pixels to ignore before the call.

    Example:
        >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), num_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    _check_kind(prediction, target)
    pooled: Labels = per_image_confusion(prediction[None], target[None], num_classes=num_classes)[0]
    return pooled


def per_image_confusion(prediction: Labels, target: Labels, *, num_classes: int) -> Labels:
    """Compute one confusion matrix for each image, over all axes but the first.

    Args:
        prediction: (N, …) integer labels.
        target: (N, …) integer labels.
        num_classes: C.

    Returns:
        (N, C, C) int64, rows = truth, columns = prediction; (0, C, C) without images.

    Raises:
        TypeError, ValueError: as :func:`confusion_matrix`.
    """
    _check_kind(prediction, target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}: shapes differ")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected at least 1")
    if isinstance(prediction, np.ndarray):
        return _confusion_of_arrays(prediction, target, num_classes, _bincount)
    return _confusion_of_tensors(prediction, target, num_classes)


def is_tensor(value: object) -> bool:
    """Return whether this is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def check_array(name: str, value: object) -> None:
    """Raise TypeError unless this is a tensor or an array without a mask; counting would ignore the mask."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; pass the entries to count: value.compressed()")
    if not isinstance(value, np.ndarray) and not is_tensor(value):
        raise TypeError(f"{name} is {type(value).__name__}; expected a numpy array or a tensor")


def _check_kind(prediction: object, target: object) -> None:
    check_array("prediction", prediction)
    check_array("target", target)
    if is_tensor(prediction) != is_tensor(target):
        raise TypeError("one of prediction and target is a tensor, one an array; expected two of one kind")


def _confusion_of_arrays(
    prediction: NDArray[Any], target: NDArray[Any], num_classes: int, bincount: Bincount
) -> Counts:
    for name, labels in (("prediction", prediction), ("target", target)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} is {labels.dtype}, expected integer labels")
        if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
            raise ValueError(f"{name} spans {labels.min()}…{labels.max()}, expected 0…{num_classes - 1}")
    paired = num_classes**2 <= _PAIRED_CELLS
    rows = [
        _count_pairs(p.reshape(-1), t.reshape(-1), num_classes, bincount)
        if paired
        else _count_singly(p.reshape(-1), t.reshape(-1), num_classes)
        for p, t in zip(prediction, target, strict=True)
    ]
    return np.stack(rows) if rows else np.zeros((0, num_classes, num_classes), np.int64)


def _bincount(index: NDArray[np.int16], length: int) -> Counts:
    counts: Counts = np.bincount(index, minlength=length)
    return counts


def _count_singly(prediction: NDArray[Any], target: NDArray[Any], num_classes: int) -> Counts:
    index = target.astype(np.int64) * num_classes + prediction.astype(np.int64)
    counts: Counts = np.bincount(index, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _count_pairs(
    prediction: NDArray[Any], target: NDArray[Any], num_classes: int, bincount: Bincount
) -> Counts:
    """Count two pixels with each increment, then sum the histogram of byte pairs over both bytes."""
    cells = num_classes**2
    prediction, target = (np.ascontiguousarray(a, dtype=np.uint8) for a in (prediction, target))
    even = prediction.size // 2 * 2
    p, t = prediction[:even].view(np.int16), target[:even].view(np.int16)
    pairs = np.zeros(cells * 256, dtype=np.int64)
    for start in range(0, even // 2, _BLOCK // 2):
        block = slice(start, start + _BLOCK // 2)
        index = t[block] * np.int16(num_classes) + p[block]  # bytes never carry: each stays below 2**7
        pairs += bincount(index, cells * 256)
    square = pairs.reshape(cells, 256)
    counts: Counts = square.sum(axis=1) + square.sum(axis=0)[:cells]
    return counts.reshape(num_classes, num_classes) + _count_singly(
        prediction[even:], target[even:], num_classes
    )


def _confusion_of_tensors(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    import torch

    if prediction.device.type != "cpu":
        return _confusion_on_device(prediction, target, num_classes)

    def bincount(index: NDArray[np.int16], length: int) -> Counts:
        # twice as fast as numpy's, which copies the index to int64 first
        counts: Counts = torch.bincount(torch.from_numpy(index), minlength=length).numpy()
        return counts

    counts = _confusion_of_arrays(prediction.numpy(), target.numpy(), num_classes, bincount)
    return torch.from_numpy(counts)


def _confusion_on_device(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    import torch

    for name, labels in (("prediction", prediction), ("target", target)):
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise ValueError(f"{name} is {labels.dtype}, expected integer labels")
    images, cells = prediction.shape[0], num_classes**2
    pixels = math.prod(prediction.shape[1:])  # −1 would be ambiguous without images
    p, t = (labels.reshape(images, pixels).long() for labels in (prediction, target))
    outside = (p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)
    image = torch.arange(images, device=p.device)[:, None]
    # Labels out of range get a cell of their own, so the check needs no further synchronisation.
    index = torch.where(outside, images * cells, image * cells + t * num_classes + p)
    counts = torch.bincount(index.flatten(), minlength=images * cells + 1)
    if int(counts[-1]):
        raise ValueError(f"{int(counts[-1])} pixels hold labels outside 0…{num_classes - 1}")
    return counts[:-1].view(images, num_classes, num_classes)
