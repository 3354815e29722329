"""Numbers that go wrong: the run stops with a status and an epoch, and its last good state is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.claims.ledger import load_ledgers
from bench.grading import grader
from bench.pages import build
from bench.runs import records
from reference.data.dataset import Dataset, Split, hold_out
from reference.errors import InputError
from reference.training import checkpoint
from reference.training.state import State
from reference.training.step import gradient_norm
from reference.training.watch import EXPLODED_RATIO, DivergedError, refuse_explosion

Command = Callable[..., Any]

# what goes wrong in the second epoch → the record's status and how its reason begins
SPOILS = {
    "nan": ("diverged", "training loss is nan in epoch 2"),
    "infinite": ("diverged", "training loss is inf in epoch 2"),
    "explode": ("diverged", "gradient explodes: its norm is"),
    "bug": ("failed", "RuntimeError: a bug"),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_run_that_goes_wrong_stops_and_counts_as_failed(
    spoil: str, run: Command, tmp_path: Path, note: Command
) -> None:
    status, reason = SPOILS[spoil]
    ended = run("r4-classify", tmp_path, spoil=spoil, checkpoint_seconds=1e9)
    (record,) = records.read_all(tmp_path)
    (folder,) = (tmp_path / "work" / "r4-classify").iterdir()
    payload, _ = checkpoint.load(folder)
    held = (
        ended.code == 1
        and "Traceback" not in ended.said
        and record.status == status
        and record.reason.startswith(reason)
        and payload is not None
        and payload["epoch"] == 1
        and all(bool(torch.isfinite(tensor).all()) for tensor in payload["model"].values())
    )
    rows = grader.grade_all(load_ledgers(), records.read_all(tmp_path), alignment_green=False)
    (row,) = (row for row in rows if row.claim.id == "r4-classify")
    held = held and [failure.status for failure in row.failures] == [status]
    page = build.render(tmp_path, load_ledgers())["reports/r4.md"]
    held = held and "runs that did not end well: 1" in page
    note("numbers", f"{status}: {spoil}", int(held), 1)
    assert held, (ended, record.status, record.reason, payload and payload["epoch"], row.failures)


@pytest.mark.parametrize("slug", ["r4-classify", "r4-seg-b", "r3-byol"])
def test_a_device_that_is_too_small_says_what_fits(
    slug: str, run: Command, tmp_path: Path, note: Command
) -> None:
    ended = run(slug, tmp_path, spoil="memory")
    (record,) = records.read_all(tmp_path)
    said = (
        "epoch 1: 4 images at once do not fit (tried to allocate more than there is); 2 do: --micro-batch 2"
    )
    held = ended.code == 1 and record.status == "oom" and record.reason.startswith(said)
    note("numbers", f"out of memory, {slug}", int(held), 1)
    assert held, (ended, record.reason)


def test_what_is_advised_fits(run: Command, command: Command, data: Path, tmp_path: Path) -> None:
    words = ("run", "r3-byol", "--data", data, "--device", "cpu", "--out", tmp_path)
    ended = command(*words, "--micro-batch", 2, spoil="memory")
    assert ended.code == 0, ended.said
    (record,) = records.read_all(tmp_path)
    (said,) = (d for d in record.deviations if d["field"] == "micro_batch")
    assert "BatchNorm sees each part by itself" in said["why"]


def state(*norms: float) -> State:
    fresh = State()
    fresh.epoch, fresh.curves = len(norms), {"grad_norm": list(norms)}
    return fresh


def test_the_gradient_norm_is_that_of_all_parameters_together() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    network(torch.randn(5, 3)).square().sum().backward()
    whole = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert float(gradient_norm(network)) == pytest.approx(float(whole.double().norm()), rel=1e-5)


def test_an_explosion_is_ten_thousand_times_the_first_epochs_gradient() -> None:
    network = nn.Linear(2, 2)
    refuse_explosion(state(0.5, 0.5 * EXPLODED_RATIO), network)
    refuse_explosion(state(math.nan, 2.0, 1.0), network)  # an older checkpoint without its first norm
    with pytest.raises(DivergedError, match=r"norm is 5\.1e\+03 in epoch 2, more than 10000 times .* 0\.5$"):
        refuse_explosion(state(0.5, 0.51 * EXPLODED_RATIO), network)
    for wrong in (math.nan, math.inf):
        with pytest.raises(DivergedError, match=rf"gradient norm is {wrong} in epoch 2"):
            refuse_explosion(state(0.5, wrong), network)
    with torch.no_grad():
        network.weight[0, 0] = math.inf
    with pytest.raises(DivergedError, match="weights are no longer finite after epoch 1"):
        refuse_explosion(state(0.5), network)


def test_a_class_of_one_image_is_refused_where_a_part_must_be_held_out() -> None:
    images = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    dataset = Dataset(
        role="miniimagenet",
        source="stand-in",
        name="few",
        classes=("cat", "dog"),
        scored=(0, 1),
        palette=None,
        train=Split(tuple("abcde"), images, np.array([0, 0, 0, 0, 1])),
        val=Split((), images[:0], np.empty(0, dtype=np.int64)),
        unique_val=0,
        manifest="",
        counts_note="",
    )
    with pytest.raises(InputError, match="class 'dog' has one image; expected two"):
        hold_out(dataset)
    enough = replace(dataset, train=replace(dataset.train, targets=np.array([0, 0, 0, 1, 1])))
    assert len(hold_out(enough).val) == 2
