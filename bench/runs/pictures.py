"""Draw the pictures of a finished run: masks, errors, IoU of each class, confusion, points, curves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from reference import error_maps, visualize
from reference.data.dataset import Dataset
from reference.errors import InputError
from reference.recipes.recipe import Recipe
from reference.training import segment
from reference.training.evaluation import Evaluation
from reference.training.state import Outcome
from reference.training.watch import embedded_images, mask_epochs, shown_images, worst_and_best

Drawing = Callable[..., None]


def draw(
    recipe: Recipe,
    tier: str,
    dataset: Dataset,
    outcome: Outcome,
    work: Path,
    out: Path,
    name: str,
    notice: Callable[[str], None],
) -> list[dict[str, str]]:
    """Draw the task's pictures into ``out/figures/<slug>``. Return kind, file, hash and epochs of masks.

    A picture that cannot be drawn is left out, so that it never costs a training.

    Args:
        work: the run's working files, which hold the masks and points of the epochs shown.
        name: name of the record; the pictures' names begin with it.
        notice: called with a line for each picture that is left out.

    Raises:
        DiskError: a picture cannot be written.
    """
    folder = out / "figures" / recipe.slug
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{recipe.title}, {tier} tier, {dataset.source} data"
    figures: list[dict[str, str]] = []
    for kind, endings, drawing in _drawings(recipe, dataset, outcome, work):
        for ending in endings:
            path = folder / f"{name}-{kind}.{ending}"
            try:
                drawing(title=title, path=path)
            except InputError:
                raise
            except Exception as error:  # of any kind: matplotlib cannot draw some numbers
                notice(f"no picture {path.name}: {type(error).__name__}: {error}".splitlines()[0])
                continue
            figure = {
                "kind": kind if ending == "png" else f"{kind} ({ending.upper()})",
                "file": path.relative_to(out).as_posix(),
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            if kind == "masks":
                figure["epochs"] = ", ".join(map(str, mask_epochs(recipe, _selected(recipe, outcome))))
            figures.append(figure)
    return figures


_PHOTOGRAPH = ("png",)  # an SVG would only wrap it
_DRAWING = ("png", "svg")  # pages show the PNG; the SVG is for print


def _drawings(
    recipe: Recipe, dataset: Dataset, outcome: Outcome, work: Path
) -> Iterator[tuple[str, tuple[str, ...], Drawing]]:
    """Yield each picture's kind, its formats, and the function that draws it."""
    selected = _selected(recipe, outcome)
    evaluation = outcome.best if recipe.selection == "best" else outcome.final
    if recipe.task == "segment" and recipe.mask_epochs and dataset.palette is not None:
        yield "masks", _PHOTOGRAPH, partial(_mask_strips, recipe, dataset, selected, work)
        if worst_and_best(evaluation, dataset):
            yield "errors", _PHOTOGRAPH, partial(_worst_and_best, dataset, evaluation, selected, work)
    for method in recipe.embed_methods if recipe.embed_epochs else ():
        yield method, _DRAWING, partial(_embeddings, method, recipe, dataset, outcome, work)
    if recipe.task == "segment":
        by_class = {dataset.classes[i]: outcome.curves[f"val_iou_{i}"] for i in dataset.scored}
        mean = outcome.curves["val_miou"]
        yield "iou", _DRAWING, partial(visualize.class_iou_curves, by_class, mean=mean, selected=selected)
    if recipe.task in ("classify", "segment"):
        confusion = partial(visualize.confusion_picture, evaluation.confusion, classes=dataset.classes)
        yield "confusion", _DRAWING, confusion
    primary = f"{evaluation.split}_{evaluation.primary}"
    yield "curves", _DRAWING, partial(visualize.curves, outcome.curves, primary=primary, selected=selected)


def _selected(recipe: Recipe, outcome: Outcome) -> int:
    """The epoch that the recipe's figure stands for."""
    return outcome.best_epoch if recipe.selection == "best" else recipe.epochs


def _mask_strips(
    recipe: Recipe, dataset: Dataset, selected: int, work: Path, *, title: str, path: Path
) -> None:
    assert dataset.palette is not None
    indices = shown_images(dataset, recipe)
    visualize.mask_strips(
        images=np.array(dataset.val.images[indices]),
        truth=np.array(dataset.val.targets[indices]),
        predictions={
            epoch: np.load(work / "masks" / f"epoch-{epoch}.npy") for epoch in mask_epochs(recipe, selected)
        },
        palette=dataset.palette,
        ids=[dataset.val.ids[i] for i in indices],
        title=title,
        path=path,
    )


def _worst_and_best(
    dataset: Dataset, evaluation: Evaluation, selected: int, work: Path, *, title: str, path: Path
) -> None:
    assert dataset.palette is not None
    indices = worst_and_best(evaluation, dataset)
    scores = segment.image_scores(evaluation.per_image[indices], dataset.scored)
    error_maps.draw_extremes(
        images=list(dataset.val.images[indices]),
        truth=list(dataset.val.targets[indices]),
        predicted=np.load(work / "extremes" / f"epoch-{selected}.npy"),
        scores=scores,
        ids=[dataset.val.ids[i] for i in indices],
        palette=dataset.palette,
        title=f"{title}, epoch {selected}",
        path=path,
    )


def _embeddings(
    method: str, recipe: Recipe, dataset: Dataset, outcome: Outcome, work: Path, *, title: str, path: Path
) -> None:
    visualize.embeddings(
        {e: np.load(work / "embeddings" / f"{method}-{e}.npy") for e in recipe.embed_epochs},
        labels=embedded_images(dataset, recipe).targets,
        classes=dataset.classes,
        method=method,
        layer=recipe.embedding_layer,
        curves=outcome.curves,
        title=title,
        path=path,
    )
