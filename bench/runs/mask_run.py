"""Runs of automatic masks: nothing is trained, and each image shown leaves an overlay and its masks."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.runs import records
from bench.runs.records import Record
from reference import visualize
from reference.files import write_atomically
from reference.models.automask import Mask, check_installed, decoded, find_checkpoint, flops_per_image
from reference.recipes.recipe import Recipe
from reference.training.numerics import Numerics
from reference.training.state import Outcome
from reference.training.watch import shown_images

if TYPE_CHECKING:
    from bench.runs.run_plan import Run


def find_weights(name: str, folder: Path | None) -> None:
    """Raise WeightsMissingError without the network's file, and InputError without its package."""
    find_checkpoint(name, folder)
    check_installed()


def usable(numerics: Numerics) -> Numerics:
    """Return the numerics that the package supports: float32, eager, not on MPS.

    It converts scores to numpy, so they must be float32. It sends coordinates to the device in float64, which
    MPS does not have.
    """
    device = "cpu" if numerics.device.startswith("mps") else numerics.device
    return replace(numerics, dtype="float32", device=device, channels_last=False, compiled=False)


def flops(recipe: Recipe) -> tuple[float, float]:
    """Return the forward FLOPs of one image over all points of the grid, and 0 for training."""
    points = int(dict(recipe.model_args)["points_per_side"]) ** 2
    return flops_per_image(recipe.model, points=points), 0.0


def keep_results(run: Run, outcome: Outcome, out: Path, record: Record) -> Record:
    """Write overlays, masks and the number of masks per image. Returns the record with the files' hashes.

    Each image has a picture of kind ``overlay`` and a JSON file of kind ``automask``. The JSON holds the
    generator's own records, with masks as COCO's uncompressed run lengths.
    """
    recipe, dataset, work = run.recipe, run.dataset, run.folder(out)
    image_indices = shown_images(dataset, recipe)
    ids = [dataset.val.ids[i] for i in image_indices]
    folder = out / "figures" / recipe.slug
    drawn: list[tuple[str, Path]] = []
    for position, name in zip(image_indices, ids, strict=True):
        masks: list[Mask] = json.loads((work / "masks" / f"{name}.json").read_bytes())
        picture, listing = (folder / f"{record.name}-{name}.{ending}" for ending in ("png", "json"))
        covered, predicted = (
            outcome.final.metrics[f"{metric}_{name}"].value for metric in ("covered", "predicted_iou")
        )
        scores = f", {covered:.0%} of the pixels, mean predicted IoU {predicted:.2f}" if masks else ""
        visualize.overlay(
            np.array(dataset.val.images[position]),
            [decoded(mask["segmentation"]) for mask in masks],
            title=f"{recipe.title}, {run.tier} tier, {dataset.source} data",
            caption=f"{name}: {len(masks)} mask{'' if len(masks) == 1 else 's'}{scores}",
            path=picture,
        )
        content = {
            "image": name,
            "data": dataset.name,
            "source": dataset.source,
            "model": recipe.model,
            "settings": dict(recipe.model_args),
            "masks": masks,
        }
        write_atomically(listing, json.dumps(content, allow_nan=False).encode())
        drawn += [("overlay", picture), ("automask", listing)]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        per_image=outcome.final.per_image,
        targets=np.empty(0, dtype=np.int64),
        ids=np.array(ids),
    )
    write_atomically(records.path_of(out, record).with_suffix(".npz"), buffer.getvalue())
    figures = [
        {
            "kind": kind,
            "file": path.relative_to(out).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for kind, path in drawn
    ]
    return replace(record, figures=figures)
