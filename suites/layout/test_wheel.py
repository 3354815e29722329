"""The wheel, built from the files of this checkout and used from a folder outside of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.grading import alignment
from reference.data import OFFICIAL_PALETTE

ROOT = Path(__file__).parents[2]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "bench", "reference")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel is built from, without caches; with the note of the suites, as a release has it."""
    folder = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", alignment.FILE)
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    alignment.note(folder / "bench", dict.fromkeys(alignment.SUITES, (1, 0)))
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, which is all that installing a pure one does but for its script."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, folder: Path, *words: str) -> str:
    """What ``python WORDS`` prints from an empty folder, with the wheel first on the path."""
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_file_and_nothing_else(wheel: Path, source: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(source).as_posix()
        for package in ("bench", "reference")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert names == there
    assert {
        "bench/py.typed",
        "reference/py.typed",
        "bench/claims/r1.toml",
        "bench/claims/starter/claims.toml",
    } <= names
    assert any(name.startswith("bench/claims/listings/") for name in names)


def test_it_names_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert archive.read(name).decode().split() == [
            "[console_scripts]",
            "bench",
            "=",
            "bench.__main__:main",
        ]


def test_it_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed, tmp_path, "-c", "import bench, reference; print(bench.__file__, reference.__file__)"
    )
    assert all(Path(place).is_relative_to(installed) for place in where.split())
    rows = json.loads(run(installed, tmp_path, "-m", "bench", "list", "claims", "--format", "json"))
    assert {row["claim"] for row in rows} >= {"r1-byol-augment", "r4-seg-b", "r5-finetune-c"}
    assert "R4 has" in run(installed, tmp_path, "-m", "bench", "audit", "r4")
    for side in ("pred", "truth"):
        (tmp_path / side).mkdir()
        mask = (np.arange(64 * 64) % 7).reshape(64, 64).astype(np.uint8)
        Image.fromarray(OFFICIAL_PALETTE.encode(mask)).save(tmp_path / side / "0000_mask.png")
    scored = run(installed, tmp_path, "-m", "bench", "score", "--pred", "pred", "--truth", "truth")
    assert scored.splitlines()[-1] == "mean_iou: 1.000000"


def test_a_report_of_ones_own_begins_there(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "-m", "bench", "new-report", "mine")
    listed = run(installed, tmp_path, "-m", "bench", "list", "--claims", "mine.toml", "--format", "json")
    assert "mine-small" in {row["recipe"] for row in json.loads(listed)}


def test_it_brings_the_note_of_the_suites_for_its_own_code_only(installed: Path, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from bench.grading import alignment; print(alignment.is_green(Path()))"
    )
    assert run(installed, tmp_path, "-c", program) == "True\n"
    changed = tmp_path / "changed"
    shutil.copytree(installed, changed)
    with (changed / "reference" / "losses.py").open("a", encoding="utf-8") as file:
        file.write("\n# another version\n")
    assert run(changed, tmp_path, "-c", program) == "False\n"
