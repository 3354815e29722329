"""Keep the results of a training: its weights, its results image by image, and pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import save as save_safetensors

from bench.runs import cost, records
from bench.runs.pictures import draw
from bench.runs.records import Record
from reference.files import write_atomically
from reference.recipes.recipe import Recipe
from reference.training.state import Outcome

if TYPE_CHECKING:
    from bench.runs.run_plan import Run


def keep_results(run: Run, outcome: Outcome, out: Path, record: Record) -> Record:
    """Write weights, per-image results and pictures. Returns the record with the pictures' hashes."""
    write_atomically(run.weights(out), save_safetensors(outcome.weights))
    selected = outcome.best if run.recipe.selection == "best" else outcome.final
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, per_image=selected.per_image, targets=_labels(run), ids=np.array(run.dataset.val.ids)
    )
    write_atomically(records.path_of(out, record).with_suffix(".npz"), buffer.getvalue())
    lines: list[str] = []
    figures = draw(
        run.recipe, run.tier, run.dataset, outcome, run.folder(out), out, record.name, lines.append
    )
    return replace(record, figures=figures, notes=[*record.notes, *lines])


def _labels(run: Run) -> np.ndarray:
    """Return the true labels of the validation images; none for masks, whose counts are in the confusions."""
    targets = np.asarray(run.dataset.val.targets)
    return targets if targets.ndim == 1 else np.empty(0, dtype=np.int64)


def flops(recipe: Recipe) -> tuple[float, float]:
    """Count forward and training FLOPs of one image on shapes alone; a multiply-add is 2."""
    counted = cost.of_network(
        recipe.model,
        num_classes=recipe.num_classes,
        image_size=recipe.image_size,
        width=recipe.width,
        model_args=dict(recipe.model_args),
    )
    return counted.forward_flops, counted.training_flops
