"""Would the suites notice? Faults that an expert might plant, one at a time, in a copy of the code.

``faults.toml`` lists them: one change of a few characters, why it is wrong, and the suites that may notice.
A fault that no suite notices asks for an assertion.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAULTS = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))["fault"]
ROOMS = {
    "reference",
    *(f"bench/{room}" for room in ("audit", "claims", "grading", "pages", "plan", "printed")),
}
ROOMS |= {"bench/runs", "bench/score.py", "bench/throughput"}

every_fault = pytest.mark.parametrize("fault", FAULTS, ids=[f"{i} {f['why']}" for i, f in enumerate(FAULTS)])


def planted(fault: dict[str, str], root: Path) -> str:
    """The file with the fault in it; its place must be the only one of its kind."""
    source = (root / fault["file"]).read_text(encoding="utf-8")
    assert source.count(fault["before"]) == 1, (
        f"{fault['file']} holds {source.count(fault['before'])} of {fault}"
    )
    return source.replace(fault["before"], fault["after"])


def test_the_list_reaches_every_room() -> None:
    assert len(FAULTS) >= 80
    counts = Counter("/".join(fault["file"].split("/")[:2]) for fault in FAULTS)
    assert {room for room in ROOMS if not any(file.startswith(room) for file in counts)} == set()
    assert len({(fault["file"], fault["before"], fault["after"]) for fault in FAULTS}) == len(FAULTS)


@every_fault
def test_a_fault_can_be_planted(fault: dict[str, str]) -> None:
    """The list follows the code: the place is there once, and what results is still Python."""
    ast.parse(planted(fault, ROOT))
    for suite in fault["suites"]:
        assert (ROOT / suite).exists(), suite


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git tracks, but for the results, which are linked."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    folder.mkdir()
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "results").symlink_to(ROOT / "results")
    return folder


def run(copy: Path, suite: str) -> subprocess.CompletedProcess[str]:
    """Pytest on a suite of the copy, up to the first failure."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", suite]
    return subprocess.run(words, cwd=copy, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
@every_fault
def test_a_fault_turns_a_suite_red(fault: dict[str, str], copy: Path) -> None:
    path = copy / fault["file"]
    whole = path.read_text(encoding="utf-8")
    path.write_text(planted(fault, copy), encoding="utf-8")
    try:
        # 1: a test failed; 2: the fault cannot even be imported
        red = any(run(copy, suite).returncode in (1, 2) for suite in fault["suites"])
    finally:
        path.write_text(whole, encoding="utf-8")
    assert red, f"{fault['file']}: no suite notices: {fault['why']}"
