"""Classification: one label an image, top-1 on unmixed labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from reference import losses, metrics
from reference.augment import normalise, to_float
from reference.data.dataset import Dataset, Split
from reference.mixup import mixup
from reference.recipes.recipe import Recipe
from reference.training.distributed import RankRows, augment_rows, counted, gather
from reference.training.evaluation import Batches, Evaluation, MetricValue, mean_loss

Loss = Callable[[Tensor, Tensor], Tensor]


def validation(dataset: Dataset) -> Split:
    """Return the data set's own validation images."""
    return dataset.val


def batch(
    images: Tensor, labels: Tensor, recipe: Recipe, draws: torch.Generator, held: RankRows | None = None
) -> tuple[tuple[Tensor], Tensor]:
    """Augment, normalise and, if the recipe says so, mix: (B, 3, H, W), with labels or probabilities.

    Signals and features of a frozen backbone are float and stay as they are.

    ``held`` are the rows of the global batch that these images are; None means all of it.
    """
    if images.is_floating_point():
        return (images,), labels
    held = held or RankRows.whole(len(images))
    ((inputs, _),) = augment_rows(images, None, recipe.augment, draws, held)
    inputs = normalise(inputs, recipe.mean, recipe.std)
    if not recipe.mixup:
        return (inputs,), labels
    even = len(labels) // 2 * 2  # the middle of an odd batch would meet itself
    inputs, targets = mixup(
        inputs[:even],
        labels[:even],
        recipe.num_classes,
        draws,
        alpha=recipe.mixup,
        smoothing=recipe.mixup_smoothing,
    )
    return (inputs,), targets


def objective(logits: Tensor, targets: Tensor, loss: Loss, recipe: Recipe) -> Tensor:
    """Return the mean loss of a batch."""
    return loss(logits, targets)


def frozen_features(model: nn.Module, batches: Batches, recipe: Recipe) -> Batches:
    """Compute once what the head of a frozen backbone sees of every image: images become (N, E)."""
    model.eval()
    with torch.no_grad():
        features = [
            model.features(normalise(to_float(images), recipe.mean, recipe.std))  # type: ignore[operator]
            for images, _ in batches.in_order(recipe.eval_batch_size)
        ]
    return replace(batches, images=gather(features, len(batches)))


def embed(model: nn.Module, batches: Batches, recipe: Recipe) -> Tensor:
    """Return the penultimate layer of every image, (N, d) float32 on the CPU; leaves evaluation mode on."""
    model.eval()
    with torch.inference_mode():
        features = [
            model.embed(normalise(to_float(images), recipe.mean, recipe.std)).float()  # type: ignore[operator]
            for images, _ in batches.in_order(recipe.eval_batch_size)
        ]
        return gather(features, len(batches)).cpu()


def _logits(model: nn.Module, batches: Batches, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (B, C) and labels (B,), batch by batch."""
    model.eval()
    on_floats = model.head if getattr(model, "frozen", False) else model  # features, or signals
    with torch.inference_mode():
        for images, labels in batches.in_order(recipe.eval_batch_size):
            if images.is_floating_point():
                yield on_floats(images).float(), labels  # type: ignore[operator]
            else:
                yield model(normalise(to_float(images), recipe.mean, recipe.std)).float(), labels


def evaluate(model: nn.Module, batches: Batches, dataset: Dataset, recipe: Recipe, loss: Loss) -> Evaluation:
    """Compute loss and top-1 over a split; every image counts once, and labels are never mixed.

    The model is left in evaluation mode. ``per_image`` holds the predicted class of each image, which
    a paired test of two runs needs.
    """
    if recipe.loss == "soft_cross_entropy":
        loss = losses.cross_entropy  # the same on unmixed labels
    predictions, means = [], []
    for logits, labels in _logits(model, batches, recipe):
        means.append((loss(logits, labels), counted(labels, recipe)))
        predictions.append(logits.argmax(dim=1))
    predicted = gather(predictions, len(batches)).cpu().numpy()
    truth = batches.targets.cpu().numpy()
    confusion = metrics.confusion_matrix(predicted, truth, num_classes=len(dataset.classes))
    correct = int(np.trace(confusion))
    most_frequent = int(np.bincount(dataset.train.targets, minlength=len(dataset.classes)).argmax())
    return Evaluation(
        metrics={"top1": MetricValue(correct / len(truth), correct, len(truth))},
        primary="top1",
        loss=mean_loss(means),
        confusion=confusion,
        per_image=predicted,
        majority=float((truth == most_frequent).mean()),
    )
