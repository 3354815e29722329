"""What a training step of each recipe needs on a GPU, predicted from shapes: its memory and its time.

``predictions.json`` holds the counts of ``bench.runs.fake_step`` for every recipe as printed, so that a
command answers without torch. ``python -m bench.plan.predictions`` writes the file anew.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.plan.hours import STATED_CEILINGS, image_counts
from bench.runs.records import hash_of
from reference.files import write_atomically
from reference.recipes.recipe import Recipe

FILE = Path(__file__).with_name("predictions.json")
DTYPES = ("float32", "bfloat16")
GIGABYTE = 2**30
USUAL_MEMORIES = (8, 16, 24, 80)
"""Gigabytes of the GPUs that people have."""

RESERVED = 0.6 * GIGABYTE
"""Bytes that CUDA's context and its libraries take before the first tensor; our estimate."""
MARGIN = 1.1
"""Workspace of convolutions and holes between tensors, as a factor on the bytes alive; our estimate."""
LEAST_PART = 2
"""The least ``--micro-batch``: BatchNorm needs two images."""

LAUNCH_SECONDS = 8e-6
"""What torch's eager mode takes to launch a kernel; our estimate."""
PRODUCT_SHARE = {"bfloat16": 0.6, "float32": 0.8}
"""The share of a large product's rate that the convolutions of a network reach; our estimate."""
BANDWIDTHS = {"NVIDIA H100": 3.0e12, "NVIDIA H200": 4.3e12}
"""Bytes a second of a large copy: nine tenths of the stated 3.35 and 4.8 TB/s. Both have one processor."""


@dataclass(frozen=True)
class PredictedStep:
    """One recipe in one number format. Bytes, except where another unit is named.

    Attributes:
        training_peaks: the most alive in a training step, by the images that are trained on at once.
        evaluation_peaks: the same while a batch is evaluated, by its images.
        weights, kernels, flops, product_bytes, other_bytes: as of ``fake_step.StepCost``, for the whole batch
            at once.
    """

    training_peaks: Mapping[int, int]
    evaluation_peaks: Mapping[int, int]
    weights: int
    kernels: int
    flops: int
    product_bytes: int
    other_bytes: int

    @property
    def batch(self) -> int:
        """Images that are trained on at once as printed."""
        return max(self.training_peaks)

    @property
    def peak(self) -> int:
        """Bytes alive at most as printed, in training or evaluation."""
        return max(self.training_peaks[self.batch], *self.evaluation_peaks.values())

    def peak_of_parts(self, images: int) -> float:
        """Bytes alive at most with ``--micro-batch images``, in training or evaluation."""
        return max(_between(self.training_peaks, images), _between(self.evaluation_peaks, images))

    def seconds(self, gpu: str, dtype: str) -> float:
        """Predict the time of a step from launches, FLOPs and bytes.

        The device works while the host launches, so the slower of both counts. Products are bound by FLOPs or
        by bytes, all other operations by bytes.
        """
        bandwidth = BANDWIDTHS[gpu]
        rate = PRODUCT_SHARE[dtype] * STATED_CEILINGS[dtype]
        device = max(self.flops / rate, self.product_bytes / bandwidth) + self.other_bytes / bandwidth
        return max(self.kernels * LAUNCH_SECONDS, device)


def _between(peaks: Mapping[int, int], images: int) -> float:
    """The peak with so many images, read off the straight line between the two nearest counts.

    A peak is the largest of several straight lines, so that it lies on this one or below it. Only parts are
    read off: from two parts on, the gradients of the part before are alive too.
    """
    below = max(size for size in peaks if size <= images)
    above = min((size for size in peaks if size >= images), default=below)
    part = (images - below) / (above - below) if above > below else 0.0
    return (1 - part) * peaks[below] + part * peaks[above]


# ---------------------------------------------------------------- what fits


def fitting_parts(recipe: Recipe, prediction: PredictedStep, memory: float) -> int | None:
    """Return the ``--micro-batch`` with which a recipe fits ``memory`` bytes; None if none does.

    0 if it fits as printed, else the images of the fewest equal parts that fit.
    """
    room = (memory - RESERVED - _data_on_device(recipe, prediction, memory)) / MARGIN
    if prediction.peak <= room:
        return 0
    for parts in range(1, prediction.batch // LEAST_PART + 1):
        images = math.ceil(prediction.batch / parts)
        if prediction.peak_of_parts(images) <= room:
            return images
    return None


def _data_on_device(recipe: Recipe, prediction: PredictedStep, memory: float) -> float:
    """Return the bytes of the splits that the loop keeps on the device: a split below half of what is free.

    An evaluation also keeps predicted and true masks, a byte a pixel each.
    """
    from reference.data import DRAWN

    train, val = image_counts(recipe, "full")
    segments = recipe.task == "segment"
    pixels = recipe.image_size if recipe.data in DRAWN else recipe.image_size**2
    item = (4 if recipe.data in DRAWN or segments else 3) * pixels
    kept = 0.0
    for size in (train * item, val * item):
        if size < (memory - RESERVED - prediction.weights - kept) / 2:
            kept += size
    return kept + (2 * val * pixels if segments else 0)


def answer(recipe: Recipe, gigabytes: float, dtype: str) -> str | None:
    """Return ``"yes"``, ``"--micro-batch 16"`` or ``"no"``; None if the file does not hold the recipe."""
    prediction = of_recipe(recipe, dtype)
    if prediction is None:
        return None
    images = fitting_parts(recipe, prediction, gigabytes * GIGABYTE)
    return "no" if images is None else f"--micro-batch {images}" if images else "yes"


def with_memory(
    rows: Sequence[Mapping[str, Any]], recipes: Sequence[Recipe], gigabytes: float, dtype: str
) -> list[dict[str, Any]]:
    """Return the rows with each recipe's predicted peak in GB and whether it fits."""
    table = []
    for row, recipe in zip(rows, recipes, strict=True):
        prediction = of_recipe(recipe, dtype)
        peak = None if prediction is None else round(prediction.peak / GIGABYTE, 2)
        table.append({**row, "peak GB": peak, f"in {gigabytes:g} GB": answer(recipe, gigabytes, dtype)})
    return table


def summary(recipes: Iterable[Recipe], gigabytes: float, dtype: str) -> str:
    """Say how many recipes fit as printed, with which ``--micro-batch`` others do, and which do not."""
    answers = _answers(recipes, gigabytes, dtype)
    by_word: dict[str, list[str]] = {}
    for slug, word in answers.items():
        by_word.setdefault(word, []).append(slug)
    line = (
        f"{gigabytes:g} GB, {dtype}: {len(by_word.pop('yes', []))} of {len(answers)} recipes fit as printed"
    )
    for word, slugs in sorted(by_word.items()):
        line += f"; {'too large' if word == 'no' else word}: {', '.join(slugs)}"
    return line


def count(recipes: Iterable[Recipe], gigabytes: float, dtype: str) -> str:
    """Return ``"8 GB: 40 of 58"``, the number of recipes that fit as printed."""
    words = list(_answers(recipes, gigabytes, dtype).values())
    return f"{gigabytes:g} GB: {words.count('yes')} of {len(words)}"


def _answers(recipes: Iterable[Recipe], gigabytes: float, dtype: str) -> dict[str, str]:
    answers = {recipe.slug: answer(recipe, gigabytes, dtype) for recipe in recipes}
    return {slug: word for slug, word in answers.items() if word is not None}


# ---------------------------------------------------------------- the file


def of_recipe(recipe: Recipe, dtype: str) -> PredictedStep | None:
    """Return what the file says of a recipe; None if it has none with these settings."""
    entry = _entries().get(recipe.slug)
    if entry is None or entry["settings"] != settings_hash(recipe):
        return None
    counts = dict(entry[dtype])
    for name in ("training_peaks", "evaluation_peaks"):
        counts[name] = {int(images): peak for images, peak in counts[name].items()}
    return PredictedStep(**counts)


@cache
def _entries() -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return entries


def settings_hash(recipe: Recipe) -> str:
    """Return the hash of the settings that a step's cost follows from."""
    phase = dataclasses.asdict(recipe.phases[0]) if recipe.phases else {}
    settings = {name: getattr(recipe, name) for name in _SETTINGS} | {
        "mixed": bool(recipe.mixup),
        "optimizer": phase.get("optimizer"),
        "momentum": bool(phase.get("momentum")),
    }
    return hash_of(settings)[:16]


_SETTINGS = (
    *("task", "model", "model_args", "num_classes", "width", "image_size", "batch_size", "eval_batch_size"),
    *("micro_batch", "loss", "loss_args", "augment"),
)


def counted(recipe: Recipe, dtype: str) -> dict[str, Any]:
    """Count one recipe in one number format, as the file holds it."""
    from bench.runs import fake_step

    whole = fake_step.of_recipe(recipe, dtype)
    training = {recipe.batch_size: whole.training_peak}
    evaluation = {recipe.eval_batch_size: whole.evaluation_peak}
    for images in {recipe.batch_size // 2, LEAST_PART} - {recipe.batch_size, 0}:
        # two parts: from the second on, the gradients of those before are there
        parts = dataclasses.replace(
            recipe, batch_size=2 * images, micro_batch=images, eval_batch_size=LEAST_PART
        )
        cost = fake_step.of_recipe(parts, dtype)
        training[images] = cost.training_peak - cost.batch + whole.batch
        evaluation[LEAST_PART] = cost.evaluation_peak
    counts = dataclasses.asdict(whole)
    del counts["training_peak"], counts["evaluation_peak"], counts["batch"]
    peaks = {"training_peaks": training, "evaluation_peaks": evaluation}
    by_images = {name: {str(k): found[k] for k in sorted(found)} for name, found in peaks.items()}
    return by_images | counts


def write() -> None:
    """Count every recipe that trains and write the file; recipes that cost the same are counted once."""
    from reference.recipes import RECIPES

    by_settings: dict[str, dict[str, Any]] = {}
    entries = {}
    for slug, recipe in RECIPES.items():
        if recipe.task == "automask":
            continue
        key = settings_hash(recipe)
        if key not in by_settings:
            print(slug, file=sys.stderr, flush=True)
            by_settings[key] = {"settings": key} | {dtype: counted(recipe, dtype) for dtype in DTYPES}
        entries[slug] = by_settings[key]
    write_atomically(FILE, (json.dumps(entries, indent=1) + "\n").encode())


if __name__ == "__main__":
    write()
