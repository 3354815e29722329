"""Seeds that started from other weights are no seeds of one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import put

from bench.grading.groups import Group, Runs, Starts
from bench.pages.wording import named
from bench.runs import records, starts
from bench.runs.records import Record
from reference.recipes import RECIPES

TUNED, START = "r3-finetune-c", "r3-byol"
NUMERICS = {"device": "cpu", "dtype": "float32", "channels_last": False, "compiled": False}


def groups_of(found: Sequence[Record]) -> list[Group]:
    return Runs(found).groups[TUNED]


def change_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, START, replace(RECIPES[START], tau=0.5))


@pytest.fixture
def old(tmp_path: Path) -> list[Record]:
    """Two seeds of a pre-training and of its fine-tuning, as schema 1 recorded them."""
    found, scratch = [], {"from": "scratch", "hash": ""}
    for seed in (0, 1):
        before = put(tmp_path, START, 0.4, seed=seed, schema=1, initial_weights=scratch)
        weights = {"from": f"run:{START}", "hash": "", "run_id": before.run_id}
        found += [before, put(tmp_path, TUNED, 0.5, seed=seed, schema=1, initial_weights=weights)]
    assert records.read_all(tmp_path) == sorted(found, key=lambda record: (record.slug, record.seed))
    return found


def test_a_changed_pre_training_supersedes_its_fine_tunings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [put(tmp_path, TUNED, 0.5, seed=seed) for seed in (0, 1)]
    assert [len(group.runs) for group in groups_of(found)] == [2]
    change_the_start(monkeypatch)
    assert groups_of(found) == []
    assert len(Runs(found).superseded) == 2
    again = put(tmp_path, TUNED, 0.7, seed=0, attempt=2)
    assert [group.runs for group in groups_of([*found, again])] == [(again,)]


def test_seeds_of_two_pre_trainings_are_two_groups(tmp_path: Path) -> None:
    """The same recipe trained on other data, or with an option of the user's."""
    found = [put(tmp_path, TUNED, 0.5, seed=seed) for seed in (0, 1)]
    elsewhere = found[1].initial_weights | {"start": "e" * 64}
    other = put(tmp_path, TUNED, 0.5, seed=2, initial_weights=elsewhere)
    assert sorted(len(group.runs) for group in groups_of([*found, other])) == [1, 2]


def test_two_backbone_files_of_one_name_are_two_groups_that_can_be_told_apart(tmp_path: Path) -> None:
    found = []
    for seed, content in enumerate((b"one", b"one", b"two")):
        (tmp_path / "resnet50.pth").write_bytes(content)
        start = starts.hash_of_file(tmp_path / "resnet50.pth")
        weights = {"from": "file resnet50.pth", "hash": "", "start": start, "start_recipe": ""}
        found.append(put(tmp_path, TUNED, 0.5, seed=seed, initial_weights=weights))
    groups = groups_of(found)
    assert sorted([record.seed for record in group.runs] for group in groups) == [[0, 1], [2]]
    assert len({named(group) for group in groups}) == 2
    assert all("file resnet50.pth (" in named(group) for group in groups)


def test_records_of_schema_1_take_their_start_from_its_record(
    old: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (group,) = groups_of(old)
    assert [record.seed for record in group.runs] == [0, 1]
    before = starts.hash_of_run(old[0].recipe, old[0].data["manifest"], NUMERICS, "")
    assert {Starts(old).of(record).hash for record in group.runs} == {before}
    weights = {"from": f"run:{START}", "hash": "", "start": before}
    weights["start_recipe"] = starts.present_recipe_hash(f"run:{START}", "smoke")
    new = put(tmp_path, TUNED, 0.6, seed=2, initial_weights=weights)
    (group,) = groups_of([*old, new])
    assert [record.seed for record in group.runs] == [0, 1, 2]
    change_the_start(monkeypatch)
    assert groups_of([*old, new]) == []


def test_a_start_of_schema_1_that_nobody_knows_counts_for_nothing(old: list[Record]) -> None:
    tuned = [record for record in old if record.slug == TUNED]
    assert groups_of(tuned) == []
    assert len(Runs(tuned).superseded) == 2


def test_files_of_schema_1_are_not_pooled(tmp_path: Path) -> None:
    weights = {"from": "file resnet50.pth", "hash": ""}
    found = [
        put(tmp_path, TUNED, 0.5, seed=seed, schema=1, initial_weights=weights, tier="smoke")
        for seed in (0, 1)
    ]
    assert [len(group.runs) for group in groups_of(found)] == [1, 1]


def test_a_new_field_of_all_recipes_changes_no_hash() -> None:
    settings = starts.present_settings(START, "smoke")
    assert settings is not None
    before = starts.hash_of_run(settings, "data", NUMERICS, "")
    without = {name: value for name, value in settings.items() if name != "tau_schedule"}
    assert RECIPES[START].tau_schedule == starts.DEFAULTS["tau_schedule"]
    assert starts.hash_of_run(without, "data", NUMERICS, "") == before
    assert starts.hash_of_run(settings | {"title": "another"}, "data", NUMERICS, "") == before
    for change in ({"tau": 0.5}, {"batch_size": 3}):
        assert starts.hash_of_run(settings | change, "data", NUMERICS, "") != before
    assert starts.hash_of_run(settings, "other data", NUMERICS, "") != before
    assert starts.hash_of_run(settings, "data", NUMERICS | {"device": "cuda"}, "") != before
    assert starts.hash_of_run(settings, "data", NUMERICS, "another") != before
