"""Confusion matrices and every score that follows from one, and top-1.

The suite keeps counts and derives scores, never the other way round: a pooled confusion matrix can be
added over batches, ranks and images, a mean IoU cannot. All counts are integers, so the same pixels give
the same matrix on any device and in any order.

Two things make published mean IoUs differ on identical predictions, and both are arguments here: which
classes the mean runs over, and what a class counts that appears in neither prediction nor truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Absent = Literal["nan", "skip", "one"]
Counts = NDArray[np.int64]
Scores = NDArray[np.float64]
Labels = TypeVar("Labels", NDArray[Any], Tensor)

# Two neighbouring uint8 indices are counted as one int16, so the larger must stay below 2**7.
_PAIRED_CELLS = 2**7
# Pixels fused at a time: the index of a block stays in the second-level cache.
_BLOCK = 2**19


def confusion_matrix(prediction: Labels, target: Labels, *, num_classes: int) -> Labels:
    """Count how often each true class was given each label, pooled over everything passed in.

    Args:
        prediction: integer labels 0…num_classes−1, any shape; numpy array or tensor on any device.
        target: true labels, of the same shape and kind.
        num_classes: C.

    Returns:
        (C, C) int64, rows = truth, columns = prediction; numpy for numpy, else a tensor on the same device.

    Raises:
        ValueError: shapes differ, dtypes are not integer, or a label lies outside 0…C−1. Nothing is ever
            folded into another class or left out; drop pixels to be ignored before calling.
    """
    pooled: Labels = per_image_confusion(prediction[None], target[None], num_classes=num_classes)[0]
    return pooled


def per_image_confusion(prediction: Labels, target: Labels, *, num_classes: int) -> Labels:
    """One confusion matrix for each image: as :func:`confusion`, over everything but the first axis.

    Args:
        prediction: (N, …) integer labels.
        target: (N, …) integer labels.
        num_classes: C.

    Returns:
        (N, C, C) int64, rows = truth, columns = prediction.

    Raises:
        ValueError: as :func:`confusion`.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}: shapes differ")
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected at least 1")
    if isinstance(prediction, Tensor) and isinstance(target, Tensor):
        if prediction.device.type != "cpu":
            return _confusion_on_device(prediction, target, num_classes)
        return torch.from_numpy(_confusion_on_host(prediction.numpy(), target.numpy(), num_classes))
    return _confusion_on_host(np.asarray(prediction), np.asarray(target), num_classes)


def _confusion_on_host(prediction: NDArray[Any], target: NDArray[Any], num_classes: int) -> Counts:
    for name, labels in (("prediction", prediction), ("target", target)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} is {labels.dtype}, expected integer labels")
        if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
            raise ValueError(f"{name} spans {labels.min()}…{labels.max()}, expected 0…{num_classes - 1}")
    count = _count_pairs if num_classes**2 <= _PAIRED_CELLS else _count_singly
    rows = [count(p.reshape(-1), t.reshape(-1), num_classes) for p, t in zip(prediction, target, strict=True)]
    return np.stack(rows) if rows else np.zeros((0, num_classes, num_classes), np.int64)


def _count_singly(prediction: NDArray[Any], target: NDArray[Any], num_classes: int) -> Counts:
    index = target.astype(np.int64) * num_classes + prediction.astype(np.int64)
    counts: Counts = np.bincount(index, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _count_pairs(prediction: NDArray[Any], target: NDArray[Any], num_classes: int) -> Counts:
    """Count two pixels with each increment; the histogram of byte pairs is then summed over either byte."""
    cells = num_classes**2
    prediction, target = (np.ascontiguousarray(a, dtype=np.uint8) for a in (prediction, target))
    even = prediction.size // 2 * 2
    p, t = prediction[:even].view(np.int16), target[:even].view(np.int16)
    pairs = torch.zeros(cells * 256, dtype=torch.int64)
    for start in range(0, even // 2, _BLOCK // 2):
        block = slice(start, start + _BLOCK // 2)
        index = t[block] * np.int16(num_classes) + p[block]  # bytes never carry: each stays below 2**7
        pairs += torch.bincount(torch.from_numpy(index), minlength=cells * 256)
    square: Counts = pairs.view(cells, 256).numpy()
    counts: Counts = square.sum(axis=1) + square.sum(axis=0)[:cells]
    return counts.reshape(num_classes, num_classes) + _count_singly(
        prediction[even:], target[even:], num_classes
    )


def _confusion_on_device(prediction: Tensor, target: Tensor, num_classes: int) -> Tensor:
    for name, labels in (("prediction", prediction), ("target", target)):
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise ValueError(f"{name} is {labels.dtype}, expected integer labels")
    images, cells = prediction.shape[0], num_classes**2
    p, t = prediction.reshape(images, -1).long(), target.reshape(images, -1).long()
    outside = (p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)
    image = torch.arange(images, device=p.device)[:, None]
    # Labels out of range get a cell of their own, so that checking them costs no further synchronisation.
    index = torch.where(outside, images * cells, image * cells + t * num_classes + p)
    counts = torch.bincount(index.flatten(), minlength=images * cells + 1)
    if int(counts[-1]):
        raise ValueError(f"{int(counts[-1])} pixels hold labels outside 0…{num_classes - 1}")
    return counts[:-1].view(images, num_classes, num_classes)


def class_iou(confusion: Counts | Tensor) -> Scores:
    """Intersection over union of each class, from pooled counts.

    Args:
        confusion: (C, C) counts, rows = truth, columns = prediction.

    Returns:
        (C,) float64 in 0…1; nan for a class that is absent from prediction and truth alike.

    Raises:
        ValueError: the matrix is not square or holds negative counts.
    """
    hits, truths, predictions = _marginals(confusion)
    return _ratio(hits, truths + predictions - hits)


def dice(confusion: Counts | Tensor) -> Scores:
    """Dice coefficient (F1) of each class: 2·hits / (true pixels + predicted pixels); nan where absent.

    Args, returns and raises as :func:`class_iou`.
    """
    hits, truths, predictions = _marginals(confusion)
    return _ratio(2 * hits, truths + predictions)


def class_accuracy(confusion: Counts | Tensor) -> Scores:
    """Share of each true class that was found (recall); nan for a class without true pixels.

    Args, returns and raises as :func:`class_iou`.
    """
    hits, truths, _ = _marginals(confusion)
    return _ratio(hits, truths)


def mean_iou(confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan") -> float:
    """Mean IoU over the named classes, each from pooled counts.

    Pixels of the classes left out of ``classes`` are not ignored: predicting a scored class on them is a
    false positive there. The course's score is ``classes=range(6)`` of 7 with ``absent="nan"``.

    Args:
        confusion: (C, C) counts, rows = truth, columns = prediction.
        classes: the classes that the mean runs over.
        absent: what a class counts that neither prediction nor truth holds. ``"nan"``: the mean is nan
            (the course; torchvision). ``"skip"``: the class is left out (torchmetrics' JaccardIndex), nan
            if none is left. ``"one"``: it counts 1.0 (segmentation-models).

    Raises:
        ValueError: no classes, a class twice or outside the matrix, or an unknown policy.
    """
    return _mean_over(class_iou(confusion), classes, absent)


def mean_dice(confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan") -> float:
    """Mean Dice coefficient over the named classes; arguments as :func:`mean_iou`."""
    return _mean_over(dice(confusion), classes, absent)


def mean_class_accuracy(
    confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan"
) -> float:
    """Mean recall over the named classes; arguments as :func:`mean_iou`, absent = without true pixels."""
    return _mean_over(class_accuracy(confusion), classes, absent)


def pixel_accuracy(confusion: Counts | Tensor) -> float:
    """Share of all pixels labelled as in the truth; nan for an empty matrix."""
    hits, truths, _ = _marginals(confusion)
    return float(_ratio(hits.sum(), truths.sum()))


def frequency_weighted_iou(confusion: Counts | Tensor) -> float:
    """IoU of all classes weighted by their share of the true pixels (Long et al. 2015, section 5).

    A class without true pixels weighs nothing, so absent classes need no policy; nan for an empty matrix.
    """
    _, truths, _ = _marginals(confusion)
    present = truths > 0
    return float(_ratio((truths[present] * class_iou(confusion)[present]).sum(), truths.sum()))


def topk_accuracy(prediction: Tensor, labels: Tensor, *, k: int = 1) -> tuple[int, int]:
    """How many labels are among the k most probable classes, and how many there were.

    Args:
        prediction: (N, C) floating-point logits, or for k = 1 also (N,) integer labels.
        labels: (N,) integer labels.
        k: 1…C.

    Returns:
        (numerator, denominator), so that batches and ranks add up exactly.

    Raises:
        ValueError: shapes or k do not fit, labels are not integers, or a logit is nan.
    """
    if prediction.ndim == 2 and prediction.is_floating_point():
        if bool(prediction.isnan().any()):
            raise ValueError("logits hold nan")
        if not 1 <= k <= prediction.shape[1]:
            raise ValueError(f"k = {k} of {prediction.shape[1]} classes: expected 1 to all of them")
        ranked = prediction.topk(k, dim=1).indices
    elif k == 1 and prediction.ndim == 1:
        ranked = prediction[:, None]
    else:
        raise ValueError(f"prediction {tuple(prediction.shape)}: expected logits (N, C), or labels for k = 1")
    if labels.ndim != 1 or len(ranked) != len(labels):
        raise ValueError(f"prediction {tuple(prediction.shape)} and labels {tuple(labels.shape)} do not fit")
    if ranked.is_floating_point() or labels.is_floating_point():
        raise ValueError(f"expected integer labels, found {ranked.dtype} and {labels.dtype}")
    return int((ranked == labels[:, None]).any(dim=1).sum()), labels.numel()


def _marginals(confusion: Counts | Tensor) -> tuple[Counts, Counts, Counts]:
    """Hits, true pixels and predicted pixels of each class, (C,) each."""
    counts = confusion.cpu().numpy() if isinstance(confusion, Tensor) else np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"expected a (C, C) confusion matrix, found shape {counts.shape}")
    if counts.size and counts.min() < 0:
        raise ValueError(f"a confusion matrix holds counts, found {counts.min()}")
    return counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)


def _ratio(numerator: Any, denominator: Any) -> Scores:
    """Quotient in float64, nan for 0/0."""
    with np.errstate(invalid="ignore"):
        quotient: Scores = np.true_divide(numerator, denominator)
    return quotient


def _mean_over(scores: Scores, classes: Sequence[int], absent: Absent) -> float:
    chosen = list(classes)
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= c < len(scores) for c in chosen):
        raise ValueError(f"classes {chosen}: expected distinct classes of 0…{len(scores) - 1}")
    values = scores[chosen]
    if absent == "skip":
        values = values[~np.isnan(values)]
    elif absent == "one":
        values = np.where(np.isnan(values), 1.0, values)
    elif absent != "nan":
        raise ValueError(f"absent={absent!r}: expected 'nan', 'skip' or 'one'")
    return float(values.mean()) if values.size else float("nan")
