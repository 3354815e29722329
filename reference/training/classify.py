"""Classification: one label an image, top-1 on unmixed labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from reference import metrics
from reference.augment import normalise, to_float
from reference.data.dataset import Dataset
from reference.recipes.recipe import Recipe
from reference.training.evaluation import Batches, Evaluation, Metric

Loss = Callable[[Tensor, Tensor], Tensor]


def evaluate(model: nn.Module, batches: Batches, dataset: Dataset, recipe: Recipe, loss: Loss) -> Evaluation:
    """Loss and top-1 over a split; every image counts once.

    The model is left in evaluation mode. ``per_image`` holds the predicted class of each image, which
    a paired test of two runs needs.
    """
    model.eval()
    predictions, total = [], 0.0
    with torch.inference_mode():
        for images, labels in batches.in_order(recipe.eval_batch_size):
            logits = model(normalise(to_float(images), recipe.mean, recipe.std)).float()  # (B, C)
            total += float(loss(logits, labels)) * len(labels)
            predictions.append(logits.argmax(dim=1).cpu())
    predicted = torch.cat(predictions).numpy()
    truth = batches.targets.cpu().numpy()
    confusion = metrics.confusion_matrix(predicted, truth, num_classes=len(dataset.classes))
    correct = int(np.trace(confusion))
    most_frequent = int(np.bincount(dataset.train.targets).argmax())
    return Evaluation(
        metrics={"top1": Metric(correct / len(truth), correct, len(truth))},
        primary="top1",
        loss=total / len(truth),
        confusion=confusion,
        per_image=predicted,
        majority=float((truth == most_frequent).mean()),
    )
