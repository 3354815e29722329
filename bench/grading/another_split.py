"""What another split adds to the distance from a printed value, where data are rebuilt from public originals.

Printed and measured figure are of different validation images, so both scatter about what the network would
reach on all of them. That error is the same for all our seeds: more seeds do not make it smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bench.grading.groups import Group
from bench.grading.measured import PerImage, image_interval
from bench.grading.statistics import Z_95
from bench.grading.verdict import ON_PUBLIC, Verdict
from bench.runs.records import Record
from reference.data.dataset import PUBLIC
from reference.errors import InputError
from reference.recipes.recipe import Assumption

ImagesOf = Callable[[Record], PerImage | None]
DRAWN_CLASSES = ("classification50",)
"""Roles whose classes are drawn too, so that figures scatter by class and not by image alone."""


def is_public(group: Group) -> bool:
    """Whether the runs are on data rebuilt from their public original."""
    return group.source == PUBLIC


def split_variance(metric: str, group: Group, images_of: ImagesOf) -> float | None:
    """Variance of the difference of two figures of one network, on our split and on the report's.

    Top-1: two binomials; where the classes are drawn too, twice the variance of a mean over classes. An IoU
    or their mean: twice the variance of the bootstrap over images. None where the run keeps too little.
    """
    record = group.runs[0]
    counts = record.counts(metric)
    if metric == "top1" and record.data["role"] not in DRAWN_CLASSES:
        return None if counts is None else 2 * binomial(*counts)
    images = images_of(record)
    if images is None:
        return None
    if metric == "top1":
        rates = [float(images.correct[images.targets == c].mean()) for c in np.unique(images.targets)]
        return 2 * float(np.var(rates, ddof=1)) / len(rates) if len(rates) > 1 else None
    try:
        interval, _ = image_interval(metric, record, lambda _: images)
    except InputError:  # so few images that no draw of them holds every class
        return None
    return None if interval is None else 2 * ((interval[1] - interval[0]) / (2 * Z_95)) ** 2


def binomial(correct: int, images: int) -> float:
    """Variance of an accuracy on that many images; one right and one wrong are added, so it is never zero."""
    rate = (correct + 1) / (images + 2)
    return rate * (1 - rate) / images


def named(verdict: Verdict, groups: Sequence[Group], sampling: float) -> Verdict:
    """The verdict under the name of public originals, with the error that another split adds."""
    if not any(map(is_public, groups)):
        return verdict
    title = groups[0].data
    told = f"on public originals ({title}), whose other split adds ±{math.sqrt(sampling):.4f} (one sigma)"
    return replace(verdict, grade=f"{verdict.grade}{ON_PUBLIC}", sentence=f"{verdict.sentence}; {told}")


def assumed(groups: Sequence[Group]) -> tuple[Assumption, ...]:
    """The rebuilt split, as an assumption of a verdict."""
    rebuilt = {group.data: group.runs[0].data["note"] for group in groups if is_public(group)}
    return tuple(Assumption(field="data", value=title, why=str(note)) for title, note in rebuilt.items())
