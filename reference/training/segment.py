"""Segmentation: a class for every pixel, scored from counts pooled over the whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from reference import metrics
from reference.augment import normalise, to_float
from reference.data.dataset import Dataset, Split
from reference.recipes.recipe import Recipe
from reference.training.distributed import RankRows, augment_rows, counted, gather
from reference.training.evaluation import Batches, Evaluation, MetricValue, mean_loss

Loss = Callable[[Tensor, Tensor], Tensor]


def validation(dataset: Dataset) -> Split:
    """Return the data set's own validation images."""
    return dataset.val


def batch(
    images: Tensor, masks: Tensor, recipe: Recipe, draws: torch.Generator, held: RankRows | None = None
) -> tuple[tuple[Tensor], Tensor | None]:
    """Return augmented and normalised images (B, 3, H, W), and their masks (B, H, W).

    ``held`` are the rows of the global batch that these images are; None means all of it.
    """
    held = held or RankRows.whole(len(images))
    ((inputs, targets),) = augment_rows(images, masks, recipe.augment, draws, held)
    return (normalise(inputs, recipe.mean, recipe.std),), targets


def objective(output: Tensor | tuple[Tensor, Tensor], masks: Tensor, loss: Loss, recipe: Recipe) -> Tensor:
    """Return the mean loss over pixels, plus the weighted loss of the auxiliary output if there is one."""
    if isinstance(output, Tensor):
        return loss(output, masks)
    logits, auxiliary = output
    return loss(logits, masks) + recipe.aux_weight * loss(auxiliary, masks)


def evaluate(model: nn.Module, batches: Batches, dataset: Dataset, recipe: Recipe, loss: Loss) -> Evaluation:
    """Compute loss, IoU of every scored class and their mean, by the course's rule; every image counts once.

    Unknown pixels are not ignored: a scored class predicted there is a false positive. The model is
    left in evaluation mode. ``per_image`` holds one confusion matrix an image.
    """
    num_classes = len(dataset.classes)
    means, masks_by_batch = [], []
    for logits, masks in _forward(model, batches, recipe):
        means.append((loss(logits, masks), counted(masks, recipe)))
        # a byte a pixel until every forward pass is under way: counting waits for the device
        masks_by_batch.append((logits.argmax(dim=1).to(torch.uint8), masks.to(batches.targets.dtype)))
    matrices = [metrics.per_image_confusion(*pair, num_classes=num_classes) for pair in masks_by_batch]
    per_image = gather(matrices, len(batches)).cpu().numpy()  # (N, C, C)
    confusion = per_image.sum(axis=0)
    iou = metrics.class_iou(confusion)
    mean = metrics.mean_iou(confusion, classes=dataset.scored)
    figures = {"miou": MetricValue(float(mean))}
    for index in dataset.scored:
        overlap = int(confusion[index, index])
        union = int(confusion[index].sum() + confusion[:, index].sum()) - overlap
        figures[f"iou_{index}"] = MetricValue(float(iou[index]), overlap, union)
    return Evaluation(
        metrics=figures,
        primary="miou",
        loss=mean_loss(means),
        confusion=confusion,
        per_image=per_image,
        majority=_majority(dataset, confusion),
    )


def predict(model: nn.Module, batches: Batches, recipe: Recipe) -> np.ndarray:
    """Return the predicted classes, (N, H, W) uint8, of every image in ``batches``."""
    masks = [logits.argmax(dim=1).to(torch.uint8) for logits, _ in _forward(model, batches, recipe)]
    return gather(masks, len(batches)).cpu().numpy()


def image_scores(per_image: np.ndarray, scored: Sequence[int]) -> list[float]:
    """Return the mean IoU of each image over the scored classes that occur in its truth or prediction.

    Args:
        per_image: (N, C, C) counts of each image, rows truth, columns prediction.
        scored: classes that count.

    Returns:
        N fractions; nan for an image with none of these classes.
    """
    return [float(metrics.mean_iou(counts, scored, absent="skip")) for counts in per_image]


EACH = 2
"""Images at either end that are kept."""


def extremes(scores: Sequence[float]) -> list[int]:
    """Return the indices of the ``EACH`` worst images, then of the ``EACH`` best, worst first.

    Images without a score are left out. Of equal scores the first image is named. If there are too few
    images, each is named once.

    >>> extremes([0.5, 0.1, 0.9, 0.3, 0.7])
    [1, 3, 4, 2]
    """
    ranked = sorted((i for i, score in enumerate(scores) if not math.isnan(score)), key=lambda i: scores[i])
    return ranked if len(ranked) <= 2 * EACH else ranked[:EACH] + ranked[-EACH:]


def _forward(model: nn.Module, batches: Batches, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (B, C, H, W) and true masks (B, H, W), batch by batch."""
    model.eval()
    with torch.inference_mode():
        for images, masks in batches.in_order(recipe.eval_batch_size):
            yield model(normalise(to_float(images), recipe.mean, recipe.std)).float(), masks


def _majority(dataset: Dataset, confusion: np.ndarray) -> float:
    """Return the mIoU of predicting everywhere the scored class with most training pixels."""
    counts = np.bincount(dataset.train.targets.ravel(), minlength=len(dataset.classes))
    most_frequent = max(dataset.scored, key=lambda index: counts[index])
    truth = confusion.sum(axis=1)
    return float(truth[most_frequent] / truth.sum() / len(dataset.scored))
