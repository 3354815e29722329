"""Predicted steps beside measured ones: every recipe has a row, and only fitting runs fill it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import made_up
import pytest

from bench.pages import predicted_steps
from bench.plan import predictions
from bench.runs.records import Record
from reference.recipes import RECIPES

SLUG = "r4-seg-b"
BATCH = RECIPES[SLUG].batch_size


def on_a_gpu(rate: float, seed: int = 0, **changes: Any) -> Record:
    run = made_up.a_run(SLUG, 0.6, seed=seed, numerics={"device": "cuda", "dtype": "bfloat16"})
    device = {**run.provenance, "device": "NVIDIA H100 80GB HBM3", "world_size": 1}
    throughput = {**run.throughput, "samples_per_second": rate}
    return replace(run, **{"provenance": device, "throughput": throughput} | changes)


def cells(*runs: Record, dtype: str = "bfloat16") -> dict[str, str]:
    heads, rows = predicted_steps.predicted_table(runs, dtype)
    (row,) = [row for row in rows if SLUG in row[0].split("\n")]
    return dict(zip(heads, row, strict=True))


@pytest.mark.parametrize("dtype", predictions.DTYPES)
def test_every_recipe_that_trains_has_its_row(dtype: str) -> None:
    _, rows = predicted_steps.predicted_table([], dtype)
    named = [slug for row in rows for slug in row[0].split("\n")]
    assert sorted(named) == sorted(slug for slug, recipe in RECIPES.items() if recipe.task != "automask")


def test_without_runs_the_measured_columns_are_empty() -> None:
    row = cells()
    assert row["H100 measured ms"] == row["H200 measured ms"] == "–"
    prediction = predictions.of_recipe(RECIPES[SLUG], "bfloat16")
    assert prediction is not None
    expected = 1e3 * prediction.seconds("NVIDIA H100", "bfloat16")
    assert float(row["H100 predicted ms"]) == pytest.approx(expected, rel=0.01)
    assert row["kernels"] == str(prediction.kernels)


def test_runs_fill_the_column_of_their_gpu() -> None:
    row = cells(*(on_a_gpu(rate, seed) for seed, rate in enumerate((100.0, 400.0, 800.0))))
    assert float(row["H100 measured ms"]) == pytest.approx(1e3 * BATCH / 400, rel=0.01)
    assert row["H200 measured ms"] == "–"


@pytest.mark.parametrize(
    "changes",
    [
        {"tier": "smoke"},
        {"status": "failed"},
        {"numerics": {"device": "cuda", "dtype": "float32", "compiled": False}},
        {"numerics": {"device": "cuda", "dtype": "bfloat16", "compiled": True}},
        {"provenance": {"device": "NVIDIA H100 80GB HBM3", "world_size": 2}},
        {"provenance": {"device": "NVIDIA A100"}},
        {"throughput": {"samples_per_second": 0.0}},
    ],
    ids=str,
)
def test_other_runs_do_not(changes: dict[str, Any]) -> None:
    assert cells(on_a_gpu(100.0, **changes))["H100 measured ms"] == "–"


def test_nor_does_a_run_in_parts() -> None:
    run = on_a_gpu(100.0)
    parts = replace(run, recipe={**run.recipe, "micro_batch": 2})
    assert cells(parts)["H100 measured ms"] == "–"


def test_the_section_says_that_nothing_is_measured() -> None:
    text = "\n".join(predicted_steps.predicted_markdown([]))
    assert "8 µs" in text
    assert "Nothing of this is measured" in text
    assert text.count("H200 predicted ms") == len(predictions.DTYPES)
