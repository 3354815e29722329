"""What ``conftest.py`` does at a session's end, in one process and in two workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sessions import run_pytest

from bench.grading import alignment

ROOT = Path(__file__).parents[2]
PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert False\n"
NEEDS_GPU = "import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    pass\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the real conftest.py and one invented test for each alignment suite."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for suite in alignment.SUITES:
        (tmp_path / "suites" / suite).mkdir(parents=True)
        (tmp_path / "suites" / suite / f"test_{suite}.py").write_text(PASSES)
    return tmp_path


def session(checkout: Path, *words: str) -> int:
    """The exit code of pytest there."""
    done = run_pytest(checkout, *words, plugin="xdist.plugin", cwd=checkout, CUDA_VISIBLE_DEVICES="")
    return done.returncode


@pytest.mark.parametrize("workers", [(), ("-n", "2", "--dist", "worksteal")], ids=["one process", "workers"])
def test_the_alignment_note_is_of_all_suites(workers: tuple[str, ...], checkout: Path) -> None:
    runs = checkout / "runs"
    assert session(checkout, "suites/losses", *workers) == 0
    assert not (runs / alignment.FILE).exists(), "a part of the suites says nothing"
    assert session(checkout, *workers) == 0
    assert alignment.is_green(runs)
    (checkout / "suites" / "losses" / "test_losses.py").write_text(FAILS)
    assert session(checkout, *workers) == 1
    assert not alignment._is_green(runs / alignment.FILE)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "workers"])
def test_a_marker_that_ran_nothing_is_no_success(workers: tuple[str, ...], checkout: Path) -> None:
    (checkout / "suites" / "losses" / "test_losses.py").write_text(NEEDS_GPU)
    assert session(checkout, "-m", "gpu", *workers) == pytest.ExitCode.NO_TESTS_COLLECTED


def test_timings_are_refused_in_workers(checkout: Path) -> None:
    assert session(checkout, "--measure", "-n", "2") == pytest.ExitCode.USAGE_ERROR
