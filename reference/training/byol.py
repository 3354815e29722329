"""BYOL pre-training: two views of every image, no labels; what is watched instead of an accuracy.

The loss falls to 0 on collapse, so it proves nothing. What is watched is computed each epoch on some
training images, unaugmented: their spread, the effective rank of their embedding, and, where there are
labels, how often nearest neighbours share one. Labels take no part in the training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from reference import embeddings, metrics
from reference.augment import normalise
from reference.data.dataset import Dataset, Split
from reference.models.byol import BYOL, Prediction
from reference.recipes.recipe import Recipe
from reference.schedules import byol_tau
from reference.training.classify import embed
from reference.training.distributed import RankRows, augment_rows
from reference.training.evaluation import Batches, Evaluation, MetricValue

PROBE_IMAGES = 2560
"""Most training images that are embedded each epoch: a fixed cost, whatever the data set's size."""
QUERY_SHARE = 0.2
"""How many of them ask the others for their label; always the same ones."""
NEIGHBOURS = 20
COLLAPSED_SHARE, COLLAPSED_EPOCHS = 0.01, 3
"""A run has collapsed when the spread stays below this share of 1/√d for so many epochs after warm-up."""

Loss = Callable[..., Tensor]


def validation(dataset: Dataset) -> Split:
    """Return the training images that are watched, evenly spread over the split."""
    return dataset.train.spread(PROBE_IMAGES)


def batch(
    images: Tensor, labels: Tensor, recipe: Recipe, draws: torch.Generator, held: RankRows | None = None
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return two views of each image with draws of their own, each (B, 3, H, W), and the unused labels.

    ``held`` are the rows of the global batch that these images are; None means all of it.
    """
    held = held or RankRows.whole(len(images))
    views = augment_rows(images, None, recipe.augment, draws, held, views=2)
    first, second = (normalise(view, recipe.mean, recipe.std) for view, _ in views)
    return (first, second), labels


def objective(output: Prediction, labels: Tensor, loss: Loss, recipe: Recipe) -> Tensor:
    """Return the mean loss of a batch, from predictions and targets."""
    return loss(*output)


def decay(recipe: Recipe, step: int, steps: int) -> float:
    """Return τ for the update after optimiser step ``step`` (from 0) of ``steps`` in the whole training."""
    return recipe.tau if recipe.tau_schedule == "constant" else byol_tau(step, steps, recipe.tau)


def evaluate(model: BYOL, batches: Batches, dataset: Dataset, recipe: Recipe, loss: Loss) -> Evaluation:
    """Measure spread, effective rank and neighbours of the encoder's features of the watched images.

    The model is left in evaluation mode. There is no loss to report: it needs two views. The primary
    metric is the neighbours' accuracy, or the effective rank if there are no labels. ``per_image`` holds the
    neighbours' vote for each query.
    """
    features = embed(model, batches, recipe)
    figures = {
        "embedding_std": MetricValue(embeddings.embedding_std(features)),
        "effective_rank": MetricValue(embeddings.effective_rank(features)),
    }
    labels = batches.targets.cpu().long()
    labelled = bool((labels >= 0).all())
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    queries = order < len(labels) * QUERY_SHARE  # any order of classes in the split
    votes, confusion, majority = torch.empty(0, dtype=torch.long), np.zeros((0, 0), np.int64), math.nan
    if labelled:
        k = min(NEIGHBOURS, int((~queries).sum()))
        votes = embeddings.knn_votes(features[~queries], labels[~queries], features[queries], k=k)
        confusion = metrics.confusion_matrix(
            votes.numpy(), labels[queries].numpy(), num_classes=len(dataset.classes)
        )
        correct, total = int(np.trace(confusion)), int(queries.sum())
        majority = float((labels[queries] == labels.mode().values).double().mean())
        figures = {"knn": MetricValue(correct / total, correct, total)} | figures
    return Evaluation(
        metrics=figures,
        primary="knn" if labelled else "effective_rank",
        loss=math.nan,
        confusion=confusion,
        per_image=votes.numpy(),
        majority=majority,
        split="probe",
    )


def collapsed(spread: Sequence[float], size: int, warmup_epochs: int) -> bool:
    """Return whether ``embedding_std`` of the last epochs shows that all images have become one point.

    Args:
        spread: one value an epoch.
        size: d, of the embedding.
        warmup_epochs: epochs at the start that do not count.
    """
    counted = list(spread)[warmup_epochs:][-COLLAPSED_EPOCHS:]
    least = COLLAPSED_SHARE / math.sqrt(size)
    return len(counted) == COLLAPSED_EPOCHS and all(not value >= least for value in counted)
