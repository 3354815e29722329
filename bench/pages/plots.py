"""Places the points of a plot of measured figures on its axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.grading.measured import Measured
from bench.pages.wording import figure_text


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One line of an interval plot; places are percent of the plot's width.

    Attributes:
        source: ``"printed"``, or the data that the figure is on.
        low, high: ends of the 95 % interval; None where there is none.
        printed: where the printed value lies, None for what has none.
        seeds: where each seed's figure lies, of two seeds or more.
    """

    label: str
    source: str
    at: float
    low: float | None
    high: float | None
    printed: float | None
    text: str
    how: str
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Figures with their intervals on one axis; ``ticks`` are places and what stands there."""

    metric: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Point:
    """A figure before it has a place."""

    label: str
    source: str
    value: float
    interval: tuple[float, float] | None
    printed: float | None
    text: str
    how: str
    seeds: tuple[float, ...] = ()


def point_of(measured: Measured, label: str, printed: float | None, unit: str | None) -> Point:
    """A measured figure as a point with a dot a seed; its text is in the unit of the claim."""
    text = figure_text(measured, unit)
    return Point(
        label,
        measured.group.source,
        measured.mean,
        measured.interval,
        printed,
        text,
        measured.how,
        seeds=measured.values if measured.k > 1 else (),
    )


def placed(points: Sequence[Point], metric: str, unit: str | None) -> Plot:
    """Points on one axis that holds all of them, with ticks in the unit of the claim."""
    ends: list[float] = []
    for p in points:
        ends += [p.value, *([] if p.printed is None else [p.printed]), *(p.interval or ())]
        ends += filter(math.isfinite, p.seeds)
    low, high = min(ends), max(ends)
    room = 0.04 * (high - low) or 0.01
    low, high = low - room, high + room

    def x_of(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    marks = tuple(
        Mark(
            label=p.label,
            source=p.source,
            at=x_of(p.value),
            low=x_of(p.interval[0]) if p.interval else None,
            high=x_of(p.interval[1]) if p.interval else None,
            printed=x_of(p.printed) if p.printed is not None else None,
            text=p.text,
            how=p.how,
            seeds=tuple(x_of(value) for value in p.seeds if math.isfinite(value)),
        )
        for p in points
    )
    scale, name = (100, f"{metric} in %") if unit == "percent" else (1, metric)
    ticks = tuple((x_of(tick / scale), label) for tick, label in round_numbers(scale * low, scale * high))
    return Plot(metric=name, marks=marks, ticks=ticks)


def round_numbers(low: float, high: float) -> list[tuple[float, str]]:
    """Three to eight round numbers between two others."""
    most = (high - low) / 3
    power = math.pow(10, math.floor(math.log10(most)))
    step = next(power * factor for factor in (5, 2, 1) if power * factor <= most)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step)
    return [(i * step, f"{i * step:.{places}f}") for i in range(first, math.floor(high / step) + 1)]
