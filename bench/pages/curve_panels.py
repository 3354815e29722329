"""Losses and the metric of a run by epoch, as lines that the page draws itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.claims.claim import METRICS
from bench.runs.records import Record

WIDTH, HEIGHT = 300, 110
"""Inner size of a panel in its own units."""

MOST_POINTS = 120
"""Points of a line; a longer curve shows every second, third … epoch and the last."""


@dataclass(frozen=True, kw_only=True)
class CurveLine:
    """One curve of a panel: its name, and its points as an SVG path."""

    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves on one axis.

    Attributes:
        low, high: ends of the vertical axis, as texts.
        epochs: how many there are.
        selected: place of the selected epoch on the horizontal axis; None if it is unknown.
    """

    title: str
    lines: tuple[CurveLine, ...]
    low: str
    high: str
    epochs: int
    selected: float | None


def panels(record: Record) -> tuple[Panel, ...]:
    """The losses of a run, and its primary metric on the validation split, where they are recorded."""
    evaluation = record.metrics.get(record.selected, {})
    primary, selected = str(evaluation.get("primary", "")), evaluation.get("epoch")
    losses = {"train": "train_loss", "validation": "val_loss"}
    metric = METRICS[primary].title if primary in METRICS else primary.replace("_", " ")
    split = "probe" if f"probe_{primary}" in record.curves else "val"
    wanted = (("loss", losses), (metric, {"validation": f"{split}_{primary}"}))
    drawn = (_panel(title, _known(record, names), selected) for title, names in wanted)
    return tuple(panel for panel in drawn if panel)


def _known(record: Record, names: Mapping[str, str]) -> dict[str, list[float]]:
    """Curves by label that hold a finite value; what is not finite as nan."""
    curves = {
        label: [math.nan if value is None else value for value in record.curves.get(name, ())]
        for label, name in names.items()
    }
    return {label: values for label, values in curves.items() if any(map(math.isfinite, values))}


def _panel(title: str, curves: Mapping[str, Sequence[float]], selected: int | None) -> Panel | None:
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    epochs = max((len(values) for values in curves.values()), default=0)
    if not finite or epochs < 2:
        return None
    low, high = min(0.0, *finite), max(finite)
    high = high if high > low else low + 1
    return Panel(
        title=title,
        lines=tuple(CurveLine(name=name, path=_path(values, low, high)) for name, values in curves.items()),
        low=f"{low:.3g}",
        high=f"{high:.3g}",
        epochs=epochs,
        selected=round(WIDTH * (selected - 1) / (epochs - 1), 1) if selected else None,
    )


def _path(values: Sequence[float], low: float, high: float) -> str:
    """An SVG path; a value that is not finite interrupts the line."""
    step = -(-len(values) // MOST_POINTS)
    shown = sorted({*range(0, len(values), step), len(values) - 1})
    parts, pen = [], "M"
    for index in shown:
        if not math.isfinite(values[index]):
            pen = "M"
            continue
        x = WIDTH * index / max(1, len(values) - 1)
        y = HEIGHT * (1 - (values[index] - low) / (high - low))
        parts.append(f"{pen}{x:.0f} {y:.1f}".replace(".0", ""))
        pen = "L"
    return "".join(parts)
