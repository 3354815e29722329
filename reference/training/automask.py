"""Automatic masks of the images that a report shows, by a published network; nothing is trained."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from reference.data.dataset import Dataset
from reference.files import write_atomically
from reference.models.automask import Mask, decoded, load_sam, masks_of
from reference.recipes.recipe import Recipe
from reference.training import checkpoint
from reference.training.evaluation import Evaluation, MetricValue
from reference.training.numerics import Numerics, backend
from reference.training.state import Outcome, Progress
from reference.training.watch import shown_images


def segment_images(
    recipe: Recipe,
    dataset: Dataset,
    *,
    numerics: Numerics,
    folder: Path,
    weights: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    **training: object,
) -> Outcome:
    """Find every mask on the recipe's images; each image's are written to ``folder/masks`` as JSON.

    After an interruption every image is done again: three take minutes.

    Args:
        training: the other keywords of ``loop.train``, which change nothing here.

    Returns:
        Metrics over all images together, and of each under ``<metric>_<id>``: ``masks`` (how many),
        ``covered`` (share of pixels in at least one) and ``predicted_iou`` (the network's own, mean over
        masks, nan without any); no truth is compared. ``per_image`` are the numbers of masks.

    Raises:
        InputError: the weights file is damaged, or the package is not installed.
        WeightsMissingError: the weights are not on this machine.
    """
    device = torch.device(numerics.device)
    image_indices = shown_images(dataset, recipe)
    ids = [dataset.val.ids[i] for i in image_indices]
    masks_by_image: list[list[Mask]] = []
    metrics: dict[str, MetricValue] = {}
    with backend(numerics):
        model = load_sam(recipe.init, weights)
        weights_hash = checkpoint.weights_hash(model.state_dict())
        model.to(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for name, image in zip(ids, dataset.val.images[image_indices], strict=True):
            masks = masks_of(model, np.array(image), **dict(recipe.model_args))  # type: ignore[arg-type]
            masks_by_image.append(masks)
            write_atomically(folder / "masks" / f"{name}.json", json.dumps(masks).encode())
            image_metrics = measured([masks], image.shape[:2])
            metrics |= {f"{metric}_{name}": value for metric, value in image_metrics.items()}
            scores = {metric: image_metrics[metric].value for metric in ("covered", "predicted_iou")}
            progress(Progress(len(masks_by_image), len(ids), 1, 1, scores, unit="image"))
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    evaluation = Evaluation(
        metrics=measured(masks_by_image, dataset.val.images.shape[1:3]) | metrics,
        primary="covered",
        loss=math.nan,
        confusion=np.empty((0, 0), dtype=np.int64),
        per_image=np.array([len(masks) for masks in masks_by_image], dtype=np.int64),
        majority=math.nan,
    )
    return Outcome(
        final=evaluation,
        best=evaluation,
        best_epoch=0,
        curves={},
        weights={},
        weights_hash=weights_hash,
        initial_hash=weights_hash,
        parameters=sum(p.numel() for p in model.parameters()),
        train_samples=0,
        train_seconds=0.0,
        peak_memory=peak,
        segments=(),
        notes=_notes(recipe, ids, masks_by_image),
    )


def measured(masks_by_image: Sequence[Sequence[Mask]], size: tuple[int, ...]) -> dict[str, MetricValue]:
    """Measure masks of images of (H, W) pixels: number, share of pixels covered, mean predicted IoU."""
    covered = sum(int(covered_pixels(masks, size).sum()) for masks in masks_by_image)
    pixels = len(masks_by_image) * math.prod(size)
    predicted = [mask["predicted_iou"] for masks in masks_by_image for mask in masks]
    return {
        "masks": MetricValue(value=float(len(predicted))),
        "covered": MetricValue(value=covered / pixels, numerator=covered, denominator=pixels),
        "predicted_iou": MetricValue(value=statistics.fmean(predicted) if predicted else math.nan),
    }


def covered_pixels(masks: Sequence[Mask], size: tuple[int, ...]) -> np.ndarray:
    """Return the pixels in at least one mask, (H, W) bool."""
    covered = np.zeros(size, dtype=bool)
    for mask in masks:
        covered |= decoded(mask["segmentation"])
    return covered


def _notes(recipe: Recipe, ids: Sequence[str], masks_by_image: Sequence[Sequence[Mask]]) -> tuple[str, ...]:
    absent = [name for name in recipe.mask_images if name not in ids]
    notes = [f"not in this data: {', '.join(absent)}; masks are of {', '.join(ids)}"] if absent else []
    notes += [f"no mask on {name}" for name, masks in zip(ids, masks_by_image, strict=True) if not masks]
    return tuple(notes)
