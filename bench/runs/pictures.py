"""Pictures of a finished run, beside its record: masks, IoU of each class, confusion, points, curves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from reference import visualize
from reference.data.dataset import Dataset
from reference.recipes.recipe import Recipe
from reference.training.state import Outcome
from reference.training.watch import embedded_images, shown_images

Drawing = Callable[..., None]


def draw(
    recipe: Recipe, tier: str, dataset: Dataset, outcome: Outcome, work: Path, out: Path, name: str
) -> list[dict[str, str]]:
    """Draw what the task shows into ``out/figures/<slug>``; kind, file and hash of each picture.

    Args:
        work: the run's working files, with what was kept of the epochs shown.
        name: of the record, which begins the pictures' names.
    """
    folder = out / "figures" / recipe.slug
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{recipe.title}, {tier} tier, {dataset.source} data"
    drawn: list[tuple[str, Path]] = []
    if recipe.task == "segment" and recipe.mask_epochs and dataset.palette is not None:
        at = shown_images(dataset, recipe)
        path = folder / f"{name}-masks.png"  # photographs, which an SVG would only wrap
        visualize.mask_strips(
            images=np.array(dataset.val.images[at]),
            truth=np.array(dataset.val.targets[at]),
            predictions={
                epoch: np.load(work / "masks" / f"epoch-{epoch}.npy") for epoch in recipe.mask_epochs
            },
            palette=dataset.palette,
            ids=[dataset.val.ids[i] for i in at],
            title=title,
            path=path,
        )
        drawn.append(("masks", path))
    for kind, drawing in _drawings(recipe, dataset, outcome, work):
        # on a page the PNG, for print the SVG
        for ending, said in (("png", ""), ("svg", " (SVG)")):
            path = folder / f"{name}-{kind}.{ending}"
            drawing(title=title, path=path)
            drawn.append((f"{kind}{said}", path))
    return [
        {
            "kind": kind,
            "file": path.relative_to(out).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for kind, path in drawn
    ]


def _drawings(
    recipe: Recipe, dataset: Dataset, outcome: Outcome, work: Path
) -> Iterator[tuple[str, Drawing]]:
    """What is drawn of lines, points and numbers: its kind, and what draws it."""
    best = recipe.selection == "best"
    selected = outcome.best_epoch if best else recipe.epochs
    evaluation = outcome.best if best else outcome.final
    if recipe.embed_epochs:
        labels = embedded_images(dataset, recipe).targets
        for method in recipe.embed_methods:
            points = {e: np.load(work / "embeddings" / f"{method}-{e}.npy") for e in recipe.embed_epochs}
            yield (
                method,
                partial(
                    visualize.embeddings,
                    points,
                    labels=labels,
                    classes=dataset.classes,
                    method=method,
                    curves=outcome.curves,
                ),
            )
    if recipe.task == "segment":
        by_class = {dataset.classes[i]: outcome.curves[f"val_iou_{i}"] for i in dataset.scored}
        yield (
            "iou",
            partial(visualize.class_iou_curves, by_class, mean=outcome.curves["val_miou"], selected=selected),
        )
    if recipe.task in ("classify", "segment"):
        yield (
            "confusion",
            partial(visualize.confusion_picture, evaluation.confusion, classes=dataset.classes),
        )
    primary = f"{evaluation.split}_{evaluation.primary}"
    yield "curves", partial(visualize.curves, outcome.curves, primary=primary, selected=selected)
