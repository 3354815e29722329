"""Pictures of a finished run, beside its record: mask strips and curves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from reference import visualize
from reference.data.dataset import Dataset
from reference.recipes.recipe import Recipe
from reference.training.loop import Outcome, embedded_images, shown_images


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
        path = folder / f"{name}-masks.png"
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
    # On a page the PNG, for print the SVG.
    for ending, said in (("png", ""), ("svg", " (SVG)")):
        if recipe.embed_epochs:
            labels = embedded_images(dataset, recipe).targets
            for method in recipe.embed_methods:
                path = folder / f"{name}-{method}.{ending}"
                visualize.embeddings(
                    {e: np.load(work / "embeddings" / f"{method}-{e}.npy") for e in recipe.embed_epochs},
                    labels=labels,
                    classes=dataset.classes,
                    method=method,
                    curves=outcome.curves,
                    title=title,
                    path=path,
                )
                drawn.append((f"{method}{said}", path))
        path = folder / f"{name}-curves.{ending}"
        visualize.curves(
            outcome.curves,
            primary=f"{outcome.best.split}_{outcome.best.primary}",
            title=title,
            path=path,
            selected=outcome.best_epoch if recipe.selection == "best" else recipe.epochs,
        )
        drawn.append((f"curves{said}", path))
    return [
        {
            "kind": kind,
            "file": path.relative_to(out).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for kind, path in drawn
    ]
