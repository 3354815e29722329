"""What runs that decide nothing have shown, in one line without any word of a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bench.grading.groups import Group
from bench.grading.relevance import Obstacle
from bench.grading.verdict import in_unit, seed_count


def of_number(
    metric: str, values: Sequence[float], majority: float | None, group: Group, unit: str | None = None
) -> str:
    """``"rehearsed: top1 0.2615 (3 seeds; the majority class has 0.1000), synthetic data, smoke tier"``."""
    finite = [value for value in values if math.isfinite(value)]
    mean = in_unit(math.fsum(finite) / len(finite), unit) if finite else "undefined"
    chance = "" if majority is None else f"; the majority class has {in_unit(majority, unit)}"
    return f"rehearsed: {metric} {mean} ({seed_count(len(values))}{chance}), {_on(group)}"


def of_ordering(
    means: Sequence[float], seeds: int, group: Group, obstacle: Obstacle | None, *, tie: bool
) -> str:
    """``"rehearsed: same sign, 3 seeds"``, or why it rehearses nothing of the comparison.

    Args:
        means: of each side, in the claimed order.
        obstacle: what keeps these runs from being the claimed comparison, on any data.
    """
    if obstacle is not None:
        return f"rehearsed, but not this comparison: {obstacle.detail}; {_on(group)}"
    signs = [(a > b) - (a < b) for a, b in pairwise(means)]
    if tie:
        sentence = f"they differ by {max(means) - min(means):.4f}"
    elif all(sign > 0 for sign in signs):
        sentence = "same sign"
    elif all(sign < 0 for sign in signs):
        sentence = "other sign"
    else:
        sentence = "signs differ" if any(signs) else "no difference"
    return f"rehearsed: {sentence}, {seed_count(seeds)}, {_on(group)}"


def of_process(judgements: Sequence[bool | None], group: Group) -> str:
    """``"rehearsed: in 2 of 3 runs"``."""
    judged = [judgement for judgement in judgements if judgement is not None]
    if not judged:
        return ""
    return f"rehearsed: in {sum(judged)} of {len(judged)} runs, {_on(group)}"


def of_figure(epochs: Sequence[int], group: Group) -> str:
    """``"rehearsed: drawn at epochs 1, 10, 20"``."""
    epochs_text = f" at epoch{'s' if len(epochs) > 1 else ''} {', '.join(map(str, epochs))}" if epochs else ""
    return f"rehearsed: drawn{epochs_text}, {_on(group)}"


def _on(group: Group) -> str:
    return f"{group.where}, {group.tier} tier"
