"""`bench grade` says what it did not count; a damaged record of one seed blocks no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import put

from bench.cli import left_out
from bench.runs import execute, recording, records, run_plan
from reference.data import synthetic
from reference.recipes import RECIPES
from reference.training.loop import Numerics

SLUG = "r4-seg-b"


def lines(folder: Path, claim: str = SLUG) -> list[str]:
    return left_out.lines(folder, records.read_all(folder), [claim])


def test_runs_of_an_earlier_recipe_are_counted_out_loud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        put(tmp_path, SLUG, 0.5, seed=seed)
    assert lines(tmp_path) == []
    monkeypatch.setitem(RECIPES, SLUG, replace(RECIPES[SLUG], aux_weight=0.25))
    assert lines(tmp_path) == [
        "r4-seg-b: 3 runs are there (smoke tier), of an earlier recipe or an earlier start, and not counted;"
        " run the present one: bench run r4-seg-b --tier smoke"
    ]
    put(tmp_path, SLUG, 0.6, seed=0, attempt=2)
    assert lines(tmp_path) == []


def test_a_missing_seed_0_is_said(tmp_path: Path) -> None:
    for seed in (1, 2, 4):
        put(tmp_path, SLUG, 0.5, seed=seed)
    assert lines(tmp_path) == [
        "r4-seg-b (smoke tier, synthetic data, cpu): no finished run of seeds 0, 3; counted are seeds 1, 2, 4"
    ]
    put(tmp_path, SLUG, None, seed=3, status="failed")
    put(tmp_path, SLUG, 0.5, seed=0)
    assert lines(tmp_path) == [
        "r4-seg-b (smoke tier, synthetic data, cpu): no finished run of seed 3; counted are seeds 0, 1, 2, 4"
    ]


def test_only_the_recipes_of_the_graded_claims_are_told_of(tmp_path: Path) -> None:
    put(tmp_path, SLUG, 0.5, seed=1)
    assert lines(tmp_path, "r4-classify") == []
    assert lines(tmp_path, "no-such-claim") == []


def test_a_folder_without_records_is_said(tmp_path: Path) -> None:
    assert lines(tmp_path) == [f"{tmp_path}: holds no records"]


def test_a_damaged_record_of_one_seed_blocks_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is missing, its file stays, and the new record gets a name of its own."""
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (12, 8))
    recipe = replace(RECIPES["r4-classify"], model="resnet18", width=2, image_size=32, num_classes=2)
    phases = (replace(recipe.phases[0], epochs=1, warmup_epochs=0),)
    recipe = replace(recipe, init="scratch", phases=phases, batch_size=6, embed_epochs=(), mask_epochs=())
    runs, _ = run_plan.plan(
        [recipe],
        tier="full",
        data=None,
        seeds=2,
        init=None,
        weights=None,
        numerics=Numerics(),
        cache=tmp_path / "cache",
    )
    first = [execute.execute(run, tmp_path) for run in runs]
    path = records.path_of(tmp_path, first[0])
    path.write_bytes(path.read_bytes()[:100])
    assert [run.seed for run in execute.missing(runs, tmp_path)] == [0]
    (line,) = recording.damaged(runs[0], tmp_path)
    assert path.name in line
    assert recording.damaged(runs[1], tmp_path) == []
    again = execute.execute(runs[0], tmp_path)
    assert (again.status, again.attempt, again.weights_hash) == ("ok", 2, first[0].weights_hash)
    assert len(path.read_bytes()) == 100
    assert execute.missing(runs, tmp_path) == []
