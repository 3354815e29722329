"""The runs of a claim: their settings, which did not learn, and which later ones replaced."""

from __future__ import annotations

from pathlib import Path

import made_up
import pytest

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.grading.groups import Runs
from bench.pages import run_rows
from bench.pages.run_rows import RunTable, RunTables
from bench.runs import records


@pytest.fixture
def claim() -> Claim:
    return next(ledger for ledger in load_ledgers() if ledger.report == "r4").claim("r4-classify")


def table(folder: Path, claim: Claim) -> RunTable:
    return RunTables(Runs(records.read_all(folder)), folder).table(claim, ["r4-classify"])


def test_a_run_at_chance_did_not_learn(tmp_path: Path, claim: Claim) -> None:
    for seed, value in enumerate((0.8, 0.1)):
        made_up.put(tmp_path, "r4-classify", value, seed=seed)
    assert [row.status for row in table(tmp_path, claim).current] == ["ok", "did not learn"]


def test_a_run_says_width_size_and_epochs_as_it_used_them(tmp_path: Path, claim: Claim) -> None:
    smoke = made_up.put(tmp_path, "r4-classify", 0.8)
    epochs = sum(phase["epochs"] for phase in smoke.recipe["phases"])
    (row,) = table(tmp_path, claim).current
    assert row.settings == f"width {smoke.recipe['width']}, {smoke.recipe['image_size']} px, {epochs} epochs"
    assert "40 values" in run_rows.settings(made_up.a_run("mnist1d-cnn", 0.9))


def test_a_replaced_run_is_listed_apart(tmp_path: Path, claim: Claim) -> None:
    before = {"started": "2026-01-01T00:00:00+00:00", "run_id": "0" * 16}
    old = made_up.put(tmp_path, "r4-classify", 0.7, **before)
    new = made_up.put(
        tmp_path, "r4-classify", 0.8, attempt=2, again="another driver", run_id="0" * 16,
        started="2026-01-02T00:00:00+00:00",
    )  # fmt: skip
    found = table(tmp_path, claim)
    assert [row.name for row in found.current] == [new.name]
    assert [(row.name, row.status) for row in found.replaced] == [(old.name, "superseded")]


def test_more_runs_than_fit_are_counted(
    tmp_path: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_rows, "MOST_RUNS", 2)
    for seed in range(3):
        made_up.put(tmp_path, "r4-classify", 0.8, seed=seed)
    found = table(tmp_path, claim)
    assert (len(found.current), found.more) == (2, 1)
