"""What the loop watches after each epoch: divergence, collapse, runs that do not learn, and shown images."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from reference import embeddings, losses
from reference.data.dataset import Dataset, Split
from reference.files import write_atomically
from reference.models.byol import BYOL
from reference.recipes.recipe import Recipe
from reference.training import byol, classify, distributed, segment
from reference.training.evaluation import Batches, Evaluation
from reference.training.state import State

EMBEDDED_IMAGES = 2000
"""Most images whose embedding is drawn: more points hide each other, and t-SNE's time grows with them."""

EXPLODED_RATIO = 1e4
"""A run explodes when the mean gradient norm of an epoch is so many times that of its first epoch."""


UNLEARNED_SHARE, UNLEARNED_EPOCHS, UNLEARNED_STEPS = 0.1, 10, 1000
"""A run is judged once, after this share of its schedule and at least so many epochs and optimiser steps."""
NEAR_CONSTANT = 0.99
"""It has not learned if no epoch's training loss was below this share of the constant predictor's."""


class DidNotLearnError(Exception):
    """The training loss stayed at that of a constant predictor."""


class DivergedError(Exception):
    """Loss, gradient or weights are not finite, the gradient explodes, or BYOL collapses."""


def refuse_explosion(state: State, model: nn.Module) -> None:
    """Raise DivergedError for a gradient that is not finite or explodes, or weights that are not finite."""
    norms, epoch = state.curves["grad_norm"], f"epoch {state.epoch}"
    first = next((norm for norm in norms if math.isfinite(norm)), math.inf)
    if not math.isfinite(norms[-1]):
        raise DivergedError(f"gradient norm is {norms[-1]} in {epoch}")
    if norms[-1] > EXPLODED_RATIO * first:
        ratio = f"more than {EXPLODED_RATIO:g} times the first epoch's {first:.2g}"
        raise DivergedError(f"gradient explodes: its norm is {norms[-1]:.2g} in {epoch}, {ratio}")
    if not math.isfinite(float(torch.nn.utils.get_total_norm([p.detach() for p in model.parameters()]))):
        raise DivergedError(f"weights are no longer finite after {epoch}")


def refuse_constant(
    state: State,
    recipe: Recipe,
    dataset: Dataset,
    model: nn.Module,
    loss: Callable[..., Tensor],
    steps_before: Callable[[int], int],
) -> None:
    """Raise DidNotLearnError if the run has sat at the constant predictor for a tenth of its schedule.

    Dropout can hold a training loss up, so a run whose validation beats the majority class goes on.

    Args:
        steps_before: optimiser steps made before an epoch (0-based).
    """

    def is_due(epoch: int) -> bool:
        enough = epoch >= max(UNLEARNED_EPOCHS, UNLEARNED_SHARE * recipe.epochs)
        return enough and steps_before(epoch) >= UNLEARNED_STEPS

    if recipe.task not in ("classify", "segment") or state.epoch == recipe.epochs:
        return
    if not is_due(state.epoch) or is_due(state.epoch - 1):
        return
    has_auxiliary = any(name.startswith("aux_classifier.") for name, _ in model.named_parameters())
    constant = constant_loss(recipe, loss, dataset.train.targets, len(dataset.classes))
    constant *= 1 + recipe.aux_weight * has_auxiliary
    lowest = min(state.curves["train_loss"])
    if lowest > NEAR_CONSTANT * constant and not (state.best is not None and _beats_majority(state.best)):
        raise DidNotLearnError(
            f"training loss {lowest:.4f} at best in {state.epoch} of {recipe.epochs} epochs;"
            f" the same answer for every image gives {constant:.4f}"
        )


def _beats_majority(evaluation: Evaluation) -> bool:
    """Whether the best of many epochs is better than the majority class by more than chance gives."""
    majority, images = evaluation.majority, evaluation.metrics[evaluation.primary].denominator
    if images is None:  # a mean over pixels
        return evaluation.score > 1.05 * majority
    return evaluation.score > majority + 4 * math.sqrt(majority * (1 - majority) / images)


def constant_loss(
    recipe: Recipe, loss: Callable[..., Tensor], targets: np.ndarray, num_classes: int
) -> float:
    """The least mean loss that one vector of logits for all images, or all pixels, can have.

    Args:
        loss: the recipe's, of logits (N, C) and targets (N,).
        targets: classes of the training split, any shape; those that the loss ignores do not count.
    """
    counts = np.bincount(targets.ravel(), minlength=num_classes).astype(np.float64)
    ignored = dict(recipe.loss_args).get("ignore_index", -1)
    if 0 <= int(ignored) < len(counts):
        counts[int(ignored)] = 0
    shares = torch.from_numpy(counts[:num_classes] / counts[:num_classes].sum())
    if recipe.loss == "soft_cross_entropy":
        loss = losses.cross_entropy  # of mixed labels it is the same on average
        shares = (1 - recipe.mixup_smoothing) * shares + recipe.mixup_smoothing / num_classes
    present = torch.nonzero(shares).flatten()
    logits = shares.clamp(min=1e-12).log().requires_grad_()  # the best for cross-entropy
    optimizer = torch.optim.LBFGS([logits], max_iter=50, line_search_fn="strong_wolfe")

    def mean_loss() -> Tensor:
        optimizer.zero_grad()
        each = torch.stack([loss(logits[None], label[None]) for label in present])
        mean = (each * shares[present]).sum()
        mean.backward()  # type: ignore[no-untyped-call]
        return mean

    optimizer.step(mean_loss)  # type: ignore[no-untyped-call]
    return float(mean_loss().detach())


def refuse_collapse(state: State, recipe: Recipe, model: nn.Module) -> None:
    """Raise DivergedError if the embeddings of a BYOL encoder have become one point."""
    if not isinstance(model, BYOL):
        return
    spread, size = state.curves["probe_embedding_std"], model.encoder.embedding_size
    if byol.collapsed(spread, size, recipe.phases[0].warmup_epochs):
        raise DivergedError(
            f"collapse: embedding std {spread[-1]:.2g} after epoch {state.epoch}, below"
            f" {byol.COLLAPSED_SHARE / math.sqrt(size):.2g} for {byol.COLLAPSED_EPOCHS} epochs"
        )


def shown_images(dataset: Dataset, recipe: Recipe) -> list[int]:
    """Return the validation indices of the images that a report shows, else of the first three."""
    wanted = [dataset.val.ids.index(name) for name in recipe.mask_images if name in dataset.val.ids]
    return wanted or list(range(min(3, len(dataset.val.ids))))


def mask_epochs(recipe: Recipe, selected: int) -> list[int]:
    """Return the epochs whose masks are shown: the report's, and the epoch that the figure stands for."""
    return sorted({*recipe.mask_epochs, selected}) if recipe.mask_epochs else []


def keep_masks(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    epoch: int,
    folder: Path,
    device: torch.device,
    *,
    evaluation: Evaluation,
    is_best: bool,
) -> None:
    """Write predicted masks of the images that a report shows to ``folder/masks``.

    They are kept at the report's epochs. If the best epoch is selected, they are also kept at every
    epoch that is the best so far (``is_best``), since only the end shows which one is selected. At those
    epochs the masks of the worst and best images are kept too, in ``folder/extremes``.

    Args:
        evaluation: the evaluation of this epoch, which ranks the images.
    """
    may_be_selected = epoch == recipe.epochs if recipe.selection == "final" else is_best
    if recipe.task != "segment" or not recipe.mask_epochs:
        return
    if epoch not in recipe.mask_epochs and not may_be_selected:
        return
    indices = shown_images(dataset, recipe)
    batches = Batches.of(dataset.val.take(indices), device)
    masks = segment.predict(model, batches, replace(recipe, eval_batch_size=len(indices)))
    _save_array(folder / "masks" / f"epoch-{epoch}.npy", masks)
    if may_be_selected and (indices := worst_and_best(evaluation, dataset)):
        batches = Batches.of(dataset.val.take(indices), device)
        masks = segment.predict(model, batches, replace(recipe, eval_batch_size=len(indices)))
        _save_array(folder / "extremes" / f"epoch-{epoch}.npy", masks)


def worst_and_best(evaluation: Evaluation, dataset: Dataset) -> list[int]:
    """Return the validation indices of the images with the lowest and the highest mean IoU, lowest first."""
    return segment.extremes(segment.image_scores(evaluation.per_image, dataset.scored))


def embedded_images(dataset: Dataset, recipe: Recipe) -> Split:
    """Return the images whose embedding is shown: evenly spread over the recipe's split."""
    split = dataset.train if recipe.embed_split == "train" else dataset.val
    return split.spread(EMBEDDED_IMAGES)


def clusters(
    model: nn.Module, dataset: Dataset, recipe: Recipe, epoch: int, folder: Path, device: torch.device
) -> dict[str, float]:
    """Measure whether classes form clusters in the plane, at the epochs that a report shows; nan at others.

    The points are written to ``folder/embeddings``.
    """
    names = {method: "" if method == "tsne" else f"{method}_" for method in recipe.embed_methods}
    if not recipe.embed_epochs:
        return {}
    figures = {f"{p}{name}": math.nan for p in names.values() for name in ("knn_purity", "silhouette")}
    if epoch not in recipe.embed_epochs:
        return figures
    shown = embedded_images(dataset, recipe)
    features = classify.embed(model, Batches.of(shown, device), recipe)
    labels = torch.from_numpy(shown.targets)
    for method, prefix in names.items():
        points = embeddings.project(features, method)
        figures[f"{prefix}knn_purity"], figures[f"{prefix}silhouette"] = _figures(points, labels)
        _save_array(folder / "embeddings" / f"{method}-{epoch}.npy", points.numpy())
    return figures


def _figures(points: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return 10-NN purity and silhouette; nan for too few points or classes, or infinite points."""
    if len(points) < 2 or not bool(points.isfinite().all()):
        return math.nan, math.nan
    purity = embeddings.knn_purity(points, labels, k=embeddings.purity_neighbours(labels))
    apart = 1 < len(set(labels.tolist())) < len(labels)
    return purity, embeddings.silhouette(points, labels) if apart else math.nan


def _save_array(path: Path, array: np.ndarray) -> None:
    if not distributed.world().main:
        return
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
