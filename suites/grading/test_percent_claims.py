"""A figure printed in percent is graded as the fraction that it is, from the claims file to the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up import put

from bench.claims.ledger import load_ledger, load_ledgers
from bench.grading.grader import grade_all
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


def graded(folder: Path, value: str, unit: str, hits: list[int]) -> tuple[str, float | None]:
    """The grade of a claim on runs of so many hits of 2,500 official images, and their mean."""
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
    return row.grade, None if row.measured is None else row.measured.mean


@pytest.mark.parametrize(
    ("hits", "grade"),
    [([650, 652, 648], "reproduced"), ([1500, 1505, 1495], "exceeded under our assumptions")],
)
def test_percent_is_graded_as_its_fraction(hits: list[int], grade: str, tmp_path: Path) -> None:
    """26.0 % of 2,500 images are 650."""
    percent = graded(tmp_path, "26.0", "percent", hits)
    assert percent == graded(tmp_path, "0.260", "fraction", hits)
    assert percent == (grade, pytest.approx(sum(hits) / 7500))
