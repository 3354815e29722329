"""What the durability suites share: small data, a process that forks commands, a note of what was tried."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

import bench
from bench.pages import reliability
from bench.runs import records
from bench.runs.records import Record
from reference.data import OFFICIAL_PALETTE

ROOT = Path(bench.__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal that killed it) and what it printed."""

    code: int
    said: str
    seconds: float
    threads: int
    struck_at: float | None = None

    @property
    def lines(self) -> list[str]:
        return self.said.strip().splitlines()


class Commands:
    """Runs ``bench`` in children of one process that has imported everything already."""

    def __init__(self, folder: Path) -> None:
        alone = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("driver.py"))],
            env=os.environ | alone | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: object, **job: Any) -> Ended:
        """Run ``bench`` with these words; what the child does besides is in ``driver.child``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        log = self._folder / f"{self._count}.log"
        job |= {"words": list(map(str, words)), "log": str(log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks commands has died"
        answer = json.loads(line)
        assert not answer["hung"], log.read_text()
        return Ended(
            code=answer["code"],
            said=log.read_text(),
            seconds=answer["seconds"],
            threads=answer["threads"],
            struck_at=answer["struck_at"],
        )

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """``command("run", "r4-classify", …)``: a real run of the command in a process of its own."""
    commands = Commands(tmp_path_factory.mktemp("logs"))
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few small images for every role, in the official layout."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def image(path: Path, shift: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8) + np.uint8(shift)
        Image.fromarray(pixels).save(path, format="PNG")

    for split, count in (("train_50", 4), ("val_50", 2)):
        for label in range(3):
            for i in range(count):
                image(folder / "p1_data" / split / f"{label}_{i}.png", 40 * label)
    for role, split, count in (("mini", "train", 6), ("office", "train", 4), ("office", "val", 2)):
        rows = ["id,filename,label"]
        for label, name in enumerate(("Bed", "Desk", "Mug")):
            for i in range(count):
                image(folder / "p1_data" / role / split / f"{name}{i}.jpg", 40 * label)
                rows.append(f"{len(rows)},{name}{i}.jpg,{name}")
        (folder / "p1_data" / role / f"{split}.csv").write_text("\n".join(rows) + "\n")
    for split, count in (("train", 6), ("validation", 3)):
        for i in range(count):
            image(folder / "p2_data" / split / f"{i:04d}_sat.jpg", 20 * i)
            mask = rng.integers(0, 7, (4, 4)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            Image.fromarray(OFFICIAL_PALETTE.encode(mask)).save(
                folder / "p2_data" / split / f"{i:04d}_mask.png"
            )
    return folder


@pytest.fixture
def run(command: Commands, data: Path) -> Callable[..., Ended]:
    """``run(slug, out, …)``: that recipe at smoke tier on the small data."""

    def started(slug: str, out: Path, **job: Any) -> Ended:
        return command("run", slug, "--data", data, "--device", "cpu", "--out", out, **job)

    return started


@pytest.fixture(scope="session")
def comparable() -> Callable[[Path], dict[str, Any]]:
    """``comparable(out)``: by slug, what its finished runs left and an unbroken run must equal."""
    return _comparable_runs


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[str]]:
    """``leftovers(out)``: parts of files that nobody will clear away."""
    return _leftovers


def _comparable_runs(out: Path) -> dict[str, Any]:
    """All that a run left, but for times, throughput, memory, segments and the attempt."""
    finished = [record for record in records.read_all(out) if record.status == "ok"]
    return {record.slug: _comparable(out, record) for record in finished} | {"parts": _leftovers(out)}


def _comparable(out: Path, record: Record) -> dict[str, Any]:
    fields = dataclasses.asdict(record)
    for name in ("started", "wall_seconds", "device_seconds", "peak_memory", "segments", "attempt"):
        del fields[name]
    del fields["throughput"]["samples_per_second"], fields["provenance"]["rank_samples_per_second"]
    for figure in fields["figures"]:
        content = (out / figure["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == figure["sha256"]
        del figure["file"]  # named after the attempt
    results = records.path_of(out, record).with_suffix(".npz").read_bytes()
    weights = out / "work" / record.slug / record.run_id / "weights.safetensors"
    hashes = [hashlib.sha256(content).hexdigest() for content in (results, weights.read_bytes())]
    return fields | {"hashes": hashes}


def _leftovers(out: Path) -> list[str]:
    """Parts of files that nobody will clear away; those of a cache are, after a day."""
    found = [*out.rglob(".*.tmp"), *out.rglob("*.probe"), *out.rglob("owner.json")]
    return [path.name for path in found if path.parent.name != "cache"]


ROWS = pytest.StashKey[list[reliability.Trial]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``note(section, what, held, tried)``: leave a row of ``reliability.json`` before asserting."""
    rows = request.config.stash[ROWS]
    where = request.node.nodeid.rpartition("/")[2].partition("[")[0]

    def leave(section: str, what: str, held: int, tried: int) -> None:
        rows.append(reliability.Trial(section, what, held, tried, where))

    return leave


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Add the rows of this session to those of other sessions and workers over the same code."""
    if rows := session.config.stash[ROWS]:
        folder = session.config.getoption("--out") or session.config.rootpath / "runs"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{reliability.FILE}.lock"):
            reliability.note(folder, rows)
