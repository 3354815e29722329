"""A figure printed in percent is graded as the fraction that it is, from the claims file to the row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from made_up import put

from bench.claims.ledger import load_ledger, load_ledgers
from bench.grading.grader import GradedClaim, grade_all
from bench.pages.wording import figure_text
from bench.runs import records

CLAIMS = """
[report]
id = "mine"
title = "A figure in percent"

[[claim]]
id = "mine-figure"
kind = "number"
line = 1
text = "As printed."
recipe = "r4-classify"
metric = "top1"
value = "{value}"
unit = "{unit}"
data = "classification50"
split = "val"
n = 2500
n_from = "printed"
"""


def evaluated(hits: int) -> dict[str, Any]:
    scores = {"top1": {"value": hits / 2500, "numerator": hits, "denominator": 2500}}
    return {"epoch": 30, "loss": 0.5, "majority": 0.02, "primary": "top1", "metrics": scores}


def graded(folder: Path, value: str, unit: str, hits: list[int]) -> GradedClaim:
    """A claim graded on runs of so many hits of 2,500 official images."""
    path = folder / f"{unit}.toml"
    path.write_text(CLAIMS.format(value=value, unit=unit), encoding="utf-8")
    data = {
        "role": "classification50",
        "source": "official",
        "name": "official",
        "manifest": "m",
        "classes": [f"c{i}" for i in range(50)],
        "scored": list(range(50)),
        "train": 22_500,
        "val": 2500,
        "unique_val": 2500,
        "note": "",
    }
    for seed, count in enumerate(hits):
        entry = evaluated(count)
        curves: dict[str, list[float | None]] = {"val_top1": [count / 2500] * 30}
        put(
            folder,
            "r4-classify",
            count / 2500,
            seed=seed,
            tier="full",
            source="official",
            data=data,
            metrics={"best": entry, "final": entry},
            curves=curves,
        )
    ledgers = (*load_ledgers(), load_ledger(path))
    rows = grade_all(ledgers, records.read_all(folder), alignment_green=True, folder=folder)
    (row,) = [row for row in rows if row.claim.id == "mine-figure"]
    return row


@pytest.mark.parametrize(
    ("hits", "grade"),
    [([650, 652, 648], "reproduced"), ([1500, 1505, 1495], "exceeded under our assumptions")],
)
def test_percent_is_graded_as_its_fraction(hits: list[int], grade: str, tmp_path: Path) -> None:
    """26.0 % of 2,500 images are 650."""
    percent, fraction = graded(tmp_path, "26.0", "percent", hits), graded(tmp_path, "0.260", "fraction", hits)
    for row in (percent, fraction):
        assert row.measured is not None
        assert (row.grade, row.measured.mean) == (grade, pytest.approx(sum(hits) / 7500))


def test_our_figures_are_shown_in_the_unit_of_the_report(tmp_path: Path) -> None:
    percent = graded(tmp_path, "26.0", "percent", [650, 652, 648])
    assert percent.measured is not None
    assert percent.sentence.startswith("3 seeds, mean 26.00 %, printed 26.0 %: off by 0.00 points, at most ")
    assert "inside the margin of 1.70 points" in percent.sentence
    shown = figure_text(percent.measured, "percent")
    assert shown == "26.00 % (25.80–26.20), 3 seeds; majority class 2.00 %"
    fraction = graded(tmp_path, "0.260", "fraction", [650, 652, 648])
    assert fraction.measured is not None
    assert fraction.sentence.startswith("3 seeds, mean 0.2600, printed 0.260: off by 0.0000, at most ")
    shown = figure_text(fraction.measured, "fraction")
    assert shown == "0.2600 (0.2580–0.2620), 3 seeds; majority class 0.0200"


def test_a_seed_far_off_is_told_in_the_unit_of_the_report(tmp_path: Path) -> None:
    row = graded(tmp_path, "26.0", "percent", [650, 652, 200])
    assert row.sentence.startswith("a seed ended at 8.00 % where the median is 26.00 %: further away than ")
    assert "points" in row.sentence


def test_no_sentence_on_a_percent_claim_holds_a_fraction(tmp_path: Path) -> None:
    """Of every verdict that a percent claim can get."""
    said = {}
    for name, hits in {
        "reproduced": [650, 652, 648],
        "compatible": [640, 612, 660],
        "wide": [500, 650, 800],
        "better": [1500, 1505, 1495],
        "worse": [300, 305, 295],
        "near": [690, 705, 715],
        "one": [650],
    }.items():
        (tmp_path / name).mkdir()
        said[name] = graded(tmp_path / name, "26.0", "percent", hits)
    assert len({row.grade for row in said.values()}) >= 4
    assert not [row.sentence for row in said.values() if re.search(r"\b0\.\d{4}", row.sentence)]
