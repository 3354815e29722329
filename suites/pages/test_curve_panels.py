"""Curves that the page draws: every value where it belongs, gaps where there is none."""

from __future__ import annotations

import math
import re

import made_up
import pytest

from bench.pages import curve_panels
from bench.pages.curve_panels import HEIGHT, WIDTH


def points(path: str) -> list[list[tuple[float, float]]]:
    """The (x, y) of each part of a line."""
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", part)]
        for part in path.split("M")[1:]
    ]


def test_lines_run_through_the_values_of_the_record() -> None:
    curves = {"train_loss": [4.0, 1.0, 0.0], "val_loss": [2.0, 3.0, 1.0], "val_top1": [0.0, 0.25, 0.5]}
    loss, metric = curve_panels.panels(made_up.a_run("r4-classify", 0.5, epoch=2, curves=curves))
    assert [(line.name, points(line.path)) for line in loss.lines] == [
        ("train", [[(0, 0), (WIDTH / 2, HEIGHT * 3 / 4), (WIDTH, HEIGHT)]]),
        ("validation", [[(0, HEIGHT / 2), (WIDTH / 2, HEIGHT / 4), (WIDTH, HEIGHT * 3 / 4)]]),
    ]
    assert (loss.low, loss.high, loss.epochs, loss.selected) == ("0", "4", 3, WIDTH / 2)
    assert metric.title == "top-1 accuracy"
    assert points(metric.lines[0].path) == [[(0, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH, 0)]]


def test_what_is_not_finite_interrupts_the_line() -> None:
    curves = {"train_loss": [4.0, None, math.nan, 2.0, 1.0]}
    (loss,) = curve_panels.panels(made_up.a_run("r4-classify", 0.5, curves=curves))
    assert [len(part) for part in points(loss.lines[0].path)] == [1, 2]


@pytest.mark.parametrize("values", [[], [1.0], [None, None]])
def test_a_curve_of_next_to_nothing_is_left_out(values: list[float | None]) -> None:
    assert curve_panels.panels(made_up.a_run("r4-classify", 0.5, curves={"train_loss": values})) == ()


def test_a_long_curve_keeps_its_ends_and_few_points() -> None:
    values = [1.0] * 600 + [0.0]
    (loss,) = curve_panels.panels(made_up.a_run("r4-classify", 0.5, curves={"train_loss": values}))
    (part,) = points(loss.lines[0].path)
    assert len(part) <= curve_panels.MOST_POINTS + 1
    assert (part[0], part[-1]) == ((0, 0), (WIDTH, HEIGHT))
