"""Two runs of one recipe and seed at once: the second is refused by name, the first is unharmed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.runs import lock, records
from reference.errors import InputError

Command = Callable[..., Any]


def test_a_second_run_is_refused_and_names_the_first(
    run: Command, comparable: Command, leftovers: Command, tmp_path: Path, note: Command
) -> None:
    """The second is a process of its own, started while the first is at its fifth step."""
    assert run("r4-classify", tmp_path / "alone").code == 0
    rival = tmp_path / "rival.json"
    first = run("r4-classify", tmp_path / "both", place="step", nth=5, rival=str(rival))
    code, _, said, owner = json.loads(rival.read_text())
    lines = said.strip().splitlines()
    held = (
        code == 2
        and len(lines) == 1
        and f"process {owner} on {platform.node()} is at r4-classify seed 0" in lines[0]
        and first.code == 0
        and comparable(tmp_path / "both") == comparable(tmp_path / "alone")
        and len(records.read_all(tmp_path / "both")) == 1
        and not leftovers(tmp_path / "both")
    )
    note("writers", "a second run while the first is at work", int(held), 1)
    assert held, (code, said, first)


def test_the_lock_of_a_dead_process_is_taken_over(run: Command, tmp_path: Path, note: Command) -> None:
    assert run("r4-classify", tmp_path, signal=9, place="step", nth=5).code == -9
    (left,) = tmp_path.glob("work/*/*/owner.json")
    dead = json.loads(left.read_text())["pid"]
    assert not Path(f"/proc/{dead}").exists()
    done = run("r4-classify", tmp_path)
    held = done.code == 0 and not left.exists()
    note("writers", "the lock of a killed process", int(held), 1)
    assert held, done


def test_a_lock_is_held_once_and_let_go_of(tmp_path: Path) -> None:
    with lock.held(tmp_path, "first work"):
        assert json.loads((tmp_path / "owner.json").read_text())["pid"] == os.getpid()
        with (
            pytest.raises(InputError, match=rf"process {os.getpid()} on .* is at second work; wait until"),
            lock.held(tmp_path, "second work"),
        ):
            pytest.fail("two hold it")
        (tmp_path / "owner.json").write_text("[]")
        with pytest.raises(InputError, match="another process is at"), lock.held(tmp_path, "third"):
            pytest.fail("two hold it")
    with lock.held(tmp_path, "second work"):
        pass
    assert not (tmp_path / "owner.json").exists()
