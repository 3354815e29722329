"""Scores: confusion matrices, every score that follows from one, and top-k accuracy.

The suite stores counts and derives scores from them, because pooled confusion matrices add up over batches,
ranks and images, and mean IoUs do not. All counts are integers, so the same pixels give the same matrix on
any device and in any order.

Published mean IoUs of identical predictions differ for two reasons, and both are arguments here: the classes
that the mean covers, and the score of a class that appears in neither prediction nor truth.

Importing this never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from reference.confusion import Counts, check_array, confusion_matrix, is_tensor, per_image_confusion

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Absent",
    "Counts",
    "Scores",
    "class_accuracy",
    "class_iou",
    "confusion_matrix",
    "dice",
    "frequency_weighted_iou",
    "mean_class_accuracy",
    "mean_dice",
    "mean_iou",
    "per_image_confusion",
    "pixel_accuracy",
    "topk_accuracy",
]

Absent = Literal["nan", "skip", "one"]
Scores = NDArray[np.float64]


def class_iou(confusion: Counts | Tensor) -> Scores:
    """Compute the intersection over union of each class, from pooled counts.

    Args:
        confusion: (C, C) counts, rows = truth, columns = prediction.

    Returns:
        (C,) float64 in 0…1; nan for a class that is absent from both prediction and truth.

    Raises:
        ValueError: the matrix is not square or holds negative counts.

    Example:
        >>> class_iou(np.array([[1, 1], [0, 2]])).round(4).tolist()
        [0.5, 0.6667]
    """
    hits, truths, predictions = _marginals(confusion)
    return _ratio(hits, truths + predictions - hits)


def dice(confusion: Counts | Tensor) -> Scores:
    """Compute the Dice coefficient (F1) of each class: 2·hits / (true + predicted pixels); nan if absent.

    Args, returns and raises as :func:`class_iou`.
    """
    hits, truths, predictions = _marginals(confusion)
    return _ratio(2 * hits, truths + predictions)


def class_accuracy(confusion: Counts | Tensor) -> Scores:
    """Compute the recall of each class; nan for a class without true pixels.

    Args, returns and raises as :func:`class_iou`.
    """
    hits, truths, _ = _marginals(confusion)
    return _ratio(hits, truths)


def mean_iou(confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan") -> float:
    """Compute the mean IoU over the named classes, each from pooled counts.

    Pixels of other classes are not ignored: a scored class that is predicted there is a false positive.
    The course's score is ``classes=range(6)`` of 7 with ``absent="nan"``.

    Args:
        confusion: (C, C) counts, rows = truth, columns = prediction.
        classes: the classes that the mean covers.
        absent: the rule for a class in neither prediction nor truth. ``"nan"``: the mean is nan
            (the course; torchvision). ``"skip"``: the class is left out (torchmetrics' JaccardIndex), nan
            if none is left. ``"one"``: it counts 1.0 (segmentation-models).

    Raises:
        ValueError: no classes, a class twice or outside the matrix, or an unknown policy.

    Example:
        >>> round(mean_iou(np.array([[1, 1], [0, 2]]), [0, 1]), 4)
        0.5833
    """
    return _mean_over(class_iou(confusion), classes, absent)


def mean_dice(confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan") -> float:
    """Compute the mean Dice coefficient over the named classes; arguments as :func:`mean_iou`."""
    return _mean_over(dice(confusion), classes, absent)


def mean_class_accuracy(
    confusion: Counts | Tensor, classes: Sequence[int], *, absent: Absent = "nan"
) -> float:
    """Compute the mean recall; arguments as :func:`mean_iou`, but absent means without true pixels."""
    return _mean_over(class_accuracy(confusion), classes, absent)


def pixel_accuracy(confusion: Counts | Tensor) -> float:
    """Compute the share of pixels with the true label; nan for an empty matrix."""
    hits, truths, _ = _marginals(confusion)
    return float(_ratio(hits.sum(), truths.sum()))


def frequency_weighted_iou(confusion: Counts | Tensor) -> float:
    """Compute the IoU weighted by each class's share of the true pixels (Long et al. 2015, section 5).

    A class without true pixels has weight 0, so absent classes need no rule. An empty matrix gives nan.
    """
    _, truths, _ = _marginals(confusion)
    present = truths > 0
    return float(_ratio((truths[present] * class_iou(confusion)[present]).sum(), truths.sum()))


def topk_accuracy(prediction: Tensor, labels: Tensor, *, k: int = 1) -> tuple[int, int]:
    """Count the labels that are among the k most probable classes, and all labels.

    If logits are equal, the class with the lower index ranks higher, as in ``argmax``.

    Args:
        prediction: (N, C) floating-point logits, or for k = 1 also (N,) integer labels.
        labels: (N,) integer labels 0…C−1.
        k: 1…C.

    Returns:
        (numerator, denominator), so that batches and ranks add up exactly.

    Raises:
        TypeError: one of them is not a tensor.
        ValueError: shapes or k do not fit, labels are not integers or outside 0…C−1 (without logits:
            negative), or a logit is nan.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
        >>> topk_accuracy(logits, torch.tensor([1, 1])), topk_accuracy(logits, torch.tensor([1, 1]), k=2)
        ((1, 2), (2, 2))
    """
    import torch

    for name, value in (("prediction", prediction), ("labels", labels)):
        if not is_tensor(value):
            raise TypeError(f"{name} is {type(value).__name__}; expected a tensor")
    ranked = prediction.ndim == 2 and prediction.is_floating_point()
    if ranked and bool(prediction.isnan().any()):
        raise ValueError("logits hold nan")
    if ranked and not 1 <= k <= prediction.shape[1]:
        raise ValueError(f"k = {k} of {prediction.shape[1]} classes: expected 1 to all of them")
    if not ranked and not (k == 1 and prediction.ndim == 1):
        raise ValueError(f"prediction {tuple(prediction.shape)}: expected logits (N, C), or labels for k = 1")
    if labels.ndim != 1 or len(prediction) != len(labels):
        raise ValueError(f"prediction {tuple(prediction.shape)} and labels {tuple(labels.shape)} do not fit")
    _check_labels("labels", labels, prediction.shape[1] if ranked else None)
    if not ranked:
        _check_labels("prediction", prediction, None)
        return int((prediction == labels).sum()), labels.numel()
    column = labels.long()[:, None]
    own_score = prediction.gather(1, column)  # (N, 1)
    before = torch.arange(prediction.shape[1], device=column.device) < column  # (N, C): a lower index
    ahead = (prediction > own_score) | ((prediction == own_score) & before)
    return int((ahead.sum(dim=1) < k).sum()), labels.numel()


def _check_labels(name: str, labels: Tensor, num_classes: int | None) -> None:
    import torch

    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"expected integer labels, found {name} of {labels.dtype}")
    if labels.numel():
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or (num_classes is not None and highest >= num_classes):
            classes = "at least 0" if num_classes is None else f"0…{num_classes - 1}"
            raise ValueError(f"{name} spans {lowest}…{highest}, expected {classes}")


def _marginals(confusion: Counts | Tensor) -> tuple[Counts, Counts, Counts]:
    """Count hits, true pixels and predicted pixels of each class, (C,) each."""
    check_array("confusion", confusion)
    counts = confusion if isinstance(confusion, np.ndarray) else confusion.cpu().numpy()
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"expected a (C, C) confusion matrix, found shape {counts.shape}")
    if counts.dtype.kind not in "iu":
        raise ValueError(f"a confusion matrix holds counts, found {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise ValueError(f"a confusion matrix holds counts, found {counts.min()}")
    counts = counts.astype(np.int64)  # twice a narrow count would overflow
    return counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)


def _ratio(numerator: Any, denominator: Any) -> Scores:
    """Divide in float64; 0/0 is nan."""
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
