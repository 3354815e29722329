"""Small runs side by side: the same records as one after another, ended in order by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.runs import execute, records, run_plan, side_by_side
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.loop import Numerics

ROOT = Path(__file__).parents[2]


def planned(tmp_path: Path, slugs: Sequence[str], *, seeds: int = 1, epochs: int = 2) -> list[Run]:
    runs, absent = run_plan.plan(
        [RECIPES[slug] for slug in slugs],
        tier=None, data=None, seeds=seeds, init=None, weights=None, numerics=Numerics(),
        cache=tmp_path / "cache", epochs=epochs,
    )  # fmt: skip
    assert not absent
    return runs


def test_records_are_those_of_runs_one_after_another(tmp_path: Path) -> None:
    runs = planned(tmp_path, ["mnist1d-logistic", "mnist1d-mlp"])
    told: list[tuple[int, Record]] = []
    statuses = side_by_side.run_all(
        runs, tmp_path / "both", workers=2, weights=None, resume=True,
        told=lambda position, record: told.append((position, record)),
    )  # fmt: skip
    assert statuses == ["ok", "ok"]
    assert sorted(position for position, _ in told) == [0, 1]
    for run in runs:
        alone = execute.execute(run, tmp_path / "alone")
        (beside,) = (r for r in records.read_all(tmp_path / "both") if r.slug == run.printed.slug)
        assert beside.run_id == alone.run_id
        assert beside.deviations == alone.deviations != []
        # The number of threads may change a last bit, and nothing else.
        assert beside.curves["val_top1"] == pytest.approx(alone.curves["val_top1"], abs=0.005)


def test_how_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    small = planned(tmp_path, ["mnist1d-mlp"], seeds=3)
    assert side_by_side.workers_for(small, None) == 2
    assert side_by_side.workers_for(small[:1], None) == 1
    assert side_by_side.workers_for(small, 3) == 3
    assert side_by_side.workers_for(small, 5) == 3
    assert side_by_side.workers_for(small, 1) == side_by_side.workers_for([], None) == 1
    on_gpu = [replace(run, numerics=Numerics(device="cuda")) for run in small]
    assert side_by_side.workers_for(on_gpu, None) == 1
    monkeypatch.setattr(side_by_side, "cores", lambda: 96)
    assert side_by_side.workers_for(small * 9, None) == side_by_side.MOST


def test_runs_that_start_from_others_stay_in_their_order(tmp_path: Path) -> None:
    (first, second) = planned(tmp_path, ["mnist1d-mlp", "mnist1d-cnn"])
    depending = [first, replace(second, start=first)]
    with pytest.raises(InputError, match="--jobs 2: mnist1d-cnn seed 0 starts from another run"):
        side_by_side.workers_for(depending, 2)
    assert side_by_side.workers_for(depending, 1) == 1


def test_defaults_are_three_seeds_as_printed(tmp_path: Path) -> None:
    runs = planned(tmp_path, ["mnist1d-cnn"], seeds=None, epochs=None)  # type: ignore[arg-type]
    assert [run.seed for run in runs] == [0, 1, 2]
    assert {run.tier for run in runs} == {"full"}
    assert all(run.dataset.source == "official" and not run.deviations for run in runs)


@pytest.mark.slow
def test_a_signal_ends_every_worker_with_its_record(tmp_path: Path) -> None:
    """SIGTERM to the parent alone, in the middle of two GRUs."""
    command = [sys.executable, "-m", "bench", "run", "mnist1d-gru", "--jobs", "2", "--out", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("work/*/*/*.pt*"))) < 2 and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "Traceback" not in errors
    assert errors.count("interrupted; go on with:") == 1
    assert {record.status for record in records.read_all(tmp_path)} == {"interrupted"}
