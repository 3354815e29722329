"""``bench doctor`` says in words what is wrong, ``bench data check`` lists every fault there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import bench
from bench.cli import data_check, doctor
from reference.data import OFFICIAL_PALETTE
from reference.errors import InputError

ROOT = Path(bench.__file__).parents[1]


def command(*words: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    folders = os.pathsep.join(map(str, filter(None, (path, ROOT))))
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        env=os.environ | {"PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
    )


def test_doctor_says_what_this_machine_can_run(tmp_path: Path) -> None:
    done = command("doctor", "--out", tmp_path, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {row["check"]: row for row in json.loads(done.stdout)}
    assert list(found)[-1] == "so"
    assert found["torch"]["verdict"] == "ok"
    assert "smoke tier" in found["so"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_doctor_works_where_torchvision_does_not(tmp_path: Path) -> None:
    """A torchvision made for another torch: its import ends in an error, as it really does."""
    broken = tmp_path / "path" / "torchvision"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    done = command("doctor", "--out", tmp_path, "--format", "json", path=tmp_path / "path")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    found = {row["check"]: row for row in json.loads(done.stdout)}
    assert found["torch"]["verdict"] == "broken"
    assert (
        "do not work together (RuntimeError: operator torchvision::nms does not exist)"
        in found["torch"]["message"]
    )
    assert "pip install --force-reinstall torch torchvision" in found["torch"]["message"]
    assert found["so"]["message"].startswith("fix torch first")
    assert found["results"]["verdict"] == "ok"  # the rest is still checked


def test_builds_of_different_kinds_are_named() -> None:
    said = doctor._advice({"torch": "2.12.0+cpu", "torchvision": "0.29.0+cu130"})
    assert "torch is a build cpu and torchvision is a build cu130: take both from one registry" in said
    assert "released together" in doctor._advice({"torch": "2.12.0", "torchvision": "0.20.0"})


def test_a_folder_that_cannot_be_written_and_a_folder_without_data_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    findings = {f.check: f for f in doctor.examine(tmp_path / "file" / "out", tmp_path, tmp_path, tmp_path)}
    assert findings["results"].verdict == "broken"
    assert str(tmp_path / "file") in findings["results"].message
    assert findings["data"].verdict == "broken"
    assert findings["weights"].message.startswith(f"0 of 8 in {tmp_path}; not there: vgg13")
    assert findings["so"].message.startswith("fix results, data first")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sound pairs and a sound labelled folder."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    mask = Image.fromarray(OFFICIAL_PALETTE.encode((np.arange(64) % 7).reshape(8, 8).astype(np.uint8)))
    for split in ("train", "validation"):
        (tmp_path / "p2_data" / split).mkdir(parents=True)
        for name in ("0000", "0001"):
            image.save(tmp_path / "p2_data" / split / f"{name}_sat.jpg")
            mask.save(tmp_path / "p2_data" / split / f"{name}_mask.png")
    for split in ("train", "val"):
        (tmp_path / "p1_data" / "office" / split).mkdir(parents=True)
        for name in "ab":
            image.save(tmp_path / "p1_data" / "office" / split / f"{name}.jpg")
        (tmp_path / "p1_data" / "office" / f"{split}.csv").write_text(
            "id,filename,label\n0,a.jpg,Bed\n1,b.jpg,Mug\n"
        )
    return tmp_path


def test_whole_data_have_no_fault_and_a_manifest(data: Path, tmp_path: Path) -> None:
    done = command("data", "check", data, "--manifest", tmp_path / "manifest.json")
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["files"]) == 12
    assert manifest["faults"] == 0
    assert "landcover: stand-in: not official: train 2, official 2000" in done.stdout
    again = data_check.check_data(data)
    data_check.write_manifest(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "manifest.json").read_bytes()


def _damage(data: Path) -> dict[str, str]:
    """Spoil the data in every way; by file, what must be said of it."""
    train, office = data / "p2_data" / "train", data / "p1_data" / "office"
    (train / "0000_sat.jpg").write_bytes((train / "0000_sat.jpg").read_bytes()[:200])
    Image.new("RGB", (8, 8), (255, 0, 0)).save(train / "0001_mask.png")
    Image.new("RGB", (4, 8), (0, 255, 0)).save(train / "0002_mask.png")
    Image.new("RGB", (8, 8)).save(train / "0002_sat.jpg")
    Image.new("RGB", (8, 8)).save(train / "0003_sat.jpg")
    Image.new("RGB", (8, 8), (0, 255, 0)).save(train / "0004_mask.png")
    (train / "notes.txt").touch()
    (office / "train" / "b.jpg").unlink()
    (office / "train" / "c.jpg").write_bytes(b"")
    (office / "val.csv").write_text("id,filename,label\n0,a.jpg,Bed\n0,b.jpg,Mug\n")
    return {
        "p2_data/train/0000_sat.jpg": "truncated",
        "p2_data/train/0001_mask.png": "64 pixels outside the palette",
        "p2_data/train/0002_mask.png": "4 x 8, but its image is 8 x 8",
        "p2_data/train/0003_sat.jpg": "found no 0003_mask.png with it",
        "p2_data/train/0004_mask.png": "found no 0004_sat.jpg with it",
        "p2_data/train/notes.txt": "the name does not fit",
        "p1_data/office/train.csv": "line 3 lists 'b.jpg', not found in",
        "p1_data/office/train/c.jpg": "0 bytes",
        "p1_data/office/val.csv": "id '0' is on lines 2 and 3",
    }


def test_every_fault_is_listed(data: Path) -> None:
    expected = _damage(data)
    checked = data_check.check_data(data)
    for file, said in expected.items():
        assert any(line.startswith(f"{file}: ") and said in line for line in checked.faults), (file, checked)
    # one file is empty and has no row; the label of another is no longer on any training image
    assert len(checked.faults) == len(expected) + 2, checked.faults
    assert all("\n" not in line for line in checked.faults)


def test_faults_exit_1_and_a_bad_folder_2(data: Path, tmp_path: Path) -> None:
    expected = _damage(data)
    done = command("data", "check", data, "--manifest", tmp_path / "manifest.json")
    assert done.returncode == 1
    assert all(file in done.stdout for file in expected)
    assert f"{len(expected) + 2} faults" in done.stdout
    (tmp_path / "empty").mkdir()
    for folder, said in (("gone", "no such folder"), ("empty", "found none of p1_data/train_50")):
        bad = command("data", "check", tmp_path / folder, "--manifest", tmp_path / "none.json")
        assert bad.returncode == 2
        assert said in bad.stderr
        assert len(bad.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "none.json").exists()


def test_an_interrupted_check_leaves_no_manifest(data: Path) -> None:
    seen: list[Any] = []

    def stop(done: int, count: int) -> None:
        seen.append((done, count))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data_check.check_data(data, stop)
    assert seen == [(12, 12)]


def test_progress_counts_every_file(data: Path) -> None:
    counted: list[int] = []
    keep: Callable[[int, int], None] = lambda done, count: counted.append(done)  # noqa: E731
    data_check.check_data(data, keep)
    assert counted[-1] == 12
    with pytest.raises(InputError, match="no such folder"):
        data_check.check_data(data / "gone")
