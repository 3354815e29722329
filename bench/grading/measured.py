"""What a group of runs measured: its figures, their mean and interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bench.claims.claim import Claim
from bench.grading import numbers, statistics
from bench.grading.groups import Group
from bench.runs import records
from bench.runs.records import Record
from reference.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One figure over a group of runs. ``values`` has one entry a seed; nan where it is undefined.

    Attributes:
        interval: 95 %, and ``how`` it was made: over seeds where there are two or more, else over the images
            of the one evaluation; None where neither can be done.
        majority: the baseline of the recipe's primary metric, always answering the majority class.
    """

    metric: str
    group: Group
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None
    how: str
    majority: float | None = None

    @property
    def k(self) -> int:
        """Number of seeds."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True, eq=False)
class PerImage:
    """Results of a record's selected epoch, image by image.

    Attributes:
        ids: N names.
        results: (N,) predicted class, or (N, C, C) confusion matrix, rows truth.
        targets: (N,) true class; empty for masks.
    """

    ids: tuple[str, ...]
    results: np.ndarray
    targets: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """(N,) whether each image was classified as its target."""
        right: np.ndarray = self.results == self.targets
        return right


def per_image(record: Record, folder: Path | None) -> PerImage | None:
    """Per-image results that lie next to a record; None where there is no file.

    Raises:
        InputError: the file is damaged.
    """
    if folder is None:
        return None
    path = records.path_of(folder, record).with_suffix(".npz")
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, results, targets = (arrays[name] for name in ("ids", "per_image", "targets"))
    except (BadZipFile, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged per-image results: {error}; restore it or run again") from error
    return PerImage(ids=tuple(map(str, ids)), results=results, targets=targets)


def figure_of(claim: Claim, record: Record) -> float | None:
    """The record's value of what a claim is about; None where it has none or it is undefined.

    The claim that shares its recipe's slug is about the recipe's own selected epoch. Another claim on the
    same run that names an epoch, or the last one, is about the validation curve at that epoch.
    """
    assert claim.metric_name is not None
    if is_recipes_own(claim):
        return record.metric(claim.metric_name)
    curve = record.curves.get(f"val_{claim.metric_name}", [])
    epoch = len(curve) if claim.epoch is None else claim.our_epoch(claim.epoch)
    return curve[epoch - 1] if 0 < epoch <= len(curve) else None


def is_recipes_own(claim: Claim) -> bool:
    """Whether a claim is about the epoch that the recipe selects."""
    last = claim.selection.startswith("last epoch")
    return claim.id == claim.recipe or (claim.epoch is None and not last)


def measure(
    metric: str,
    group: Group,
    folder: Path | None,
    figure: Callable[[Record], float | None] | None = None,
) -> Measured:
    """One metric over a group of runs, with its 95 % interval."""
    read = figure or (lambda record: record.metric(metric))
    values = tuple(math.nan if (v := read(record)) is None else float(v) for record in group.runs)
    interval, how = _interval(metric, group, values, folder, primary=figure is None)
    return Measured(
        metric=metric,
        group=group,
        values=values,
        mean=math.fsum(values) / len(values),
        interval=interval,
        how=how,
        majority=_majority(metric, group),
    )


def _majority(metric: str, group: Group) -> float | None:
    """The mean baseline of the runs, where it is of this metric."""
    entries = [record.metrics.get(record.selected, {}) for record in group.runs]
    values = [e["majority"] for e in entries if e.get("primary") == metric and e.get("majority") is not None]
    return math.fsum(values) / len(values) if values else None


def _interval(
    metric: str, group: Group, values: Sequence[float], folder: Path | None, *, primary: bool
) -> tuple[tuple[float, float] | None, str]:
    if not np.isfinite(values).all():
        return None, ""
    if len(values) > 1:
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
        half = float(numbers.halfwidth(
            0.975, spread, nu=len(values) - 1, ours=1 / len(values), theirs=0, delta=0
        ))  # fmt: skip
        return (mean - half, mean + half), f"t over {len(values)} seeds"
    if not primary:
        return None, ""
    return image_interval(metric, group.runs[0], lambda record: per_image(record, folder))


def image_interval(
    metric: str, record: Record, images_of: Callable[[Record], PerImage | None]
) -> tuple[tuple[float, float] | None, str]:
    """95 % interval of one run's figure over the images of its evaluation, and how it was made.

    Exact for an accuracy, a bootstrap for an IoU or their mean; None where the run keeps too little.
    """
    counts = record.counts(metric)
    if metric == "top1" and counts is not None:
        return statistics.accuracy_interval(*counts), f"Clopper–Pearson, {counts[1]} images"
    classes = _iou_classes(metric, record)
    images = images_of(record) if classes else None
    if images is None or classes is None:
        return None, ""
    return statistics.bootstrap_miou(images.results, classes, seed=0), f"bootstrap, {len(images.ids)} images"


def _iou_classes(metric: str, record: Record) -> list[int] | None:
    if metric == "miou":
        return [int(index) for index in record.data["scored"]]
    return [int(metric.removeprefix("iou_"))] if metric.startswith("iou_") else None
