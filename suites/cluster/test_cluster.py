"""A real Ray cluster of two nodes on this machine, one of which is killed in the middle of a run.

The records that come back are those of a local run: metrics, curves and weights, each run once.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray_nodes
from made_up import put
from ray_nodes import ROOT, Cluster

from bench.claims import added
from bench.runs import cluster, records
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference.training import checkpoint

SHORT = """
import signal

from bench.runs import cluster, tiers

signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
tiers.SMOKE_WIDTH = 4
tiers.SMOKE["miniimagenet"] |= {"epochs": 2, "image_size": 32, "num_classes": 4}
tiers.SMOKE["officehome"] |= {"epochs": 2, "image_size": 32, "num_classes": 4}
tiers.SMOKE["classification50"] |= {"epochs": 20, "image_size": 32}
cluster.CHECKPOINT_SECONDS = 0.0
from bench.__main__ import main

main()
"""
WORDS = ("run", "r3-byol", "r3-finetune-c", "r4-classify", "--tier", "smoke", "--device", "cpu")


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """``first``, where the driver will be, and ``second``."""
    with ray_nodes.started(("first", "second")) as nodes:
        yield nodes


def started(
    environment: dict[str, str], folder: Path, *words: str, code: str = SHORT
) -> subprocess.Popen[str]:
    """``bench run`` made short, in ``folder``."""
    program = folder / "short.py"
    program.write_text(code)
    return subprocess.Popen(
        [sys.executable, str(program), *words],
        env={**environment, "BENCH_CACHE": str(folder / "cache")},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def by_slug(out: Path) -> dict[str, Record]:
    """The records under ``out``: each slug once."""
    found = records.read_all(out)
    assert len(found) == len({record.slug for record in found})
    return {record.slug: record for record in found}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    """What one process leaves that runs one after another."""
    folder = tmp_path_factory.mktemp("local")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    job = started(environment, folder, *WORDS, "--out", str(folder / "out"))
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    return by_slug(folder / "out")


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_leaves_the_records_of_a_local_run(
    two_nodes: Cluster, local: dict[str, Record], tmp_path: Path
) -> None:
    out = (
        "--cluster",
        two_nodes.address,
        "--out",
        str(tmp_path / "ray"),
        "--shared",
        str(tmp_path / "shared"),
    )
    job = started(two_nodes.environment, tmp_path, *WORDS, *out)
    assert job.stdout is not None
    assert job.stderr is not None
    lines: list[str] = []
    killed = ""
    for line in job.stdout:
        lines.append(line.strip())
        label, _, where = lines[-1].partition(": epoch ")
        if not killed and where.endswith(" on second") and not where.startswith(("0/", "1/")):
            two_nodes.kill("second")  # after its second epoch: one checkpoint is there for certain
            killed = label
    assert job.wait() == 0, "\n".join([*lines, job.stderr.read()])
    assert killed, lines
    assert [line.partition(":")[2].strip() for line in lines].count("submitted") == 3

    theirs = by_slug(tmp_path / "ray")
    assert set(local) == set(theirs) == {"r3-byol", "r3-finetune-c", "r4-classify"}
    for slug, expected in local.items():
        found = theirs[slug]
        assert (found.status, found.attempt) == ("ok", 1)
        assert found.run_id == expected.run_id
        assert found.weights_hash == expected.weights_hash
        assert found.metrics == expected.metrics
        assert found.curves == expected.curves
        assert found.initial_weights == expected.initial_weights
        for figure in found.figures:
            assert (tmp_path / "ray" / figure["file"]).stat().st_size > 0
    resumed = theirs[killed.partition(" ")[0]]
    assert len(resumed.segments) == 2, "it went on from a checkpoint in the shared folder"

    again = started(two_nodes.environment, tmp_path, *WORDS, *out)
    printed, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "3 of 3 runs have a record already" in printed
    assert "submitted" not in printed


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_checkpoints_that_the_same_command_goes_on_from(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    words = ("run", "r4-classify", "--tier", "smoke", "--device", "cpu", "--out", str(tmp_path / "ray"))
    longer = SHORT.replace('"epochs": 20', '"epochs": 60')
    with ray_nodes.started(("first",)) as nodes:
        words += ("--cluster", nodes.address, "--shared", str(tmp_path / "shared"))
        job = started(nodes.environment, tmp_path, *words, code=longer)
        assert job.stdout is not None
        for line in job.stdout:
            if re.match(r"r4-classify seed 0: epoch ([2-9]|1\d)/", line):
                job.send_signal(number)
                break
        _, errors = job.communicate()
        assert job.returncode == code, errors
        assert "interrupted; go on with: bench run r4-classify" in errors
        assert records.read_all(tmp_path / "ray") == []
        (folder,) = (tmp_path / "shared").glob("work/r4-classify/*")
        assert {*checkpoint.NAMES} <= {path.name for path in folder.iterdir()}

        job = started(nodes.environment, tmp_path, *words, code=longer)
        _, errors = job.communicate()
    assert job.returncode == 0, errors
    assert len(by_slug(tmp_path / "ray")["r4-classify"].segments) == 2


# ---------------------------------------------------------------- what is refused


@pytest.mark.slow
def test_a_worker_with_other_data_refuses_before_it_trains(data: Path, tmp_path: Path) -> None:
    """The same path, where a process finds its own working folder, holds other images on the node."""
    theirs = tmp_path / "node"
    theirs.mkdir()
    shutil.copytree(data, theirs / "data")
    image = next((theirs / "data" / "p1_data" / "train_50").iterdir())
    image.write_bytes(next((data / "p1_data" / "val_50").iterdir()).read_bytes())
    with ray_nodes.started(("first",), folder=theirs) as nodes:
        refused(
            nodes, data.parent, r"holds other data .* than the driver's \(manifest \w{12}, expected \w{12}\)"
        )


@pytest.mark.slow
def test_a_worker_with_other_code_refuses_before_it_trains(data: Path, tmp_path: Path) -> None:
    for package in ("bench", "reference"):
        shutil.copytree(ROOT / package, tmp_path / "code" / package)
    with (tmp_path / "code" / "reference" / "files.py").open("a") as file:
        file.write("\n# another version\n")
    with ray_nodes.started(("first",), variables={"PYTHONPATH": str(tmp_path / "code")}) as nodes:
        refused(nodes, data.parent, "its bench or reference is not the driver's; install the same commit")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in the official layout with a few images of three classes."""
    import numpy as np
    from PIL import Image

    draws = np.random.default_rng(0)
    for split, count in (("train_50", 4), ("val_50", 2)):
        folder = tmp_path / "driver" / "data" / "p1_data" / split
        folder.mkdir(parents=True)
        for name in (f"{label}_{i}.png" for label in range(3) for i in range(count)):
            Image.fromarray(draws.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    return tmp_path / "driver" / "data"


def refused(nodes: Cluster, folder: Path, why: str) -> None:
    """``bench run`` from ``folder`` ends with 2 and one line, and nothing has been trained."""
    words = ["run", "r4-classify", "--init", "scratch", "--device", "cpu", "--data", "/proc/self/cwd/data"]
    words += ["--cluster", nodes.address, "--shared", str(folder / "shared"), "--out", str(folder / "out")]
    job = started(nodes.environment, folder, *words)
    printed, errors = job.communicate()
    assert job.returncode == 2, errors
    assert re.fullmatch(rf"bench: r4-classify seed 0: node \w{{8}}: .*{why}.*\n", errors)
    assert "epoch" not in printed
    assert records.read_all(folder / "out") == []


@pytest.mark.parametrize("address", ["127.0.0.1:1", "here"])
def test_where_nothing_answers_is_one_line(address: str, tmp_path: Path) -> None:
    words = ("--cluster", address, "--shared", str(tmp_path / "shared"), "--out", str(tmp_path))
    said = one_line("-m", "bench", "run", "r4-classify", *words)
    assert f"--cluster {address}: nothing answers there" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--cluster", "here:1", "--tensorboard"), "--tensorboard: events are written where a run is"),
        (("--shared", "folder"), "--shared: a folder for the nodes of a cluster"),
        (("--cluster", "here:1"), "--cluster here:1: needs --shared DIR, a folder that every node"),
    ],
)
def test_what_a_cluster_cannot_do_is_one_line(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    assert why in one_line("-m", "bench", "run", "r4-classify", *words, "--out", str(tmp_path))


def test_recipes_of_ones_own_stay_here(tmp_path: Path) -> None:
    added.start("mine", tmp_path)
    words = ("--claims", str(tmp_path / "mine.toml"), "--cluster", "here:1", "--out", str(tmp_path / "out"))
    said = one_line("-m", "bench", "run", "mine", *words)
    assert "mine.toml: its recipes are only here; run them without --cluster" in said


def test_without_ray_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['ray'] = None; from bench.__main__ import main; main()"
    words = ("--cluster", "here:1", "--shared", str(tmp_path / "shared"), "--out", str(tmp_path))
    said = one_line("-c", program, "run", "r4-classify", *words)
    assert said == "bench: --cluster: Ray is not installed; pip install -e '.[ray]'\n"


def one_line(*words: str) -> str:
    """The one line on standard error of a Python that ends with 2."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


# ---------------------------------------------------------------- what is handed back


def as_run(record: Record) -> Run:
    """As much of a run as its files are found by."""
    printed = SimpleNamespace(slug=record.slug)
    return SimpleNamespace(printed=printed, run_id=record.run_id)  # type: ignore[return-value]


def test_a_run_that_a_lost_node_had_ended_is_not_run_again(tmp_path: Path) -> None:
    """What the driver had before is no news."""
    recorded = put(tmp_path, "r4-classify", 0.5)
    run = as_run(recorded)
    before = cluster._records_of(run, tmp_path)
    assert [*before] == [f"records/r4-classify/{recorded.run_id}.json"]
    assert cluster._finished_since(run, tmp_path, {})
    assert not cluster._finished_since(run, tmp_path, before)
    put(tmp_path, "r4-classify", None, attempt=2, status="interrupted")
    assert not cluster._finished_since(run, tmp_path, before)


def test_a_run_hands_back_its_own_files_of_a_folder_with_two_seeds(tmp_path: Path) -> None:
    """Records, per-image results, pictures, weights and a traceback; no checkpoint, and nothing of seed 1."""
    left: dict[int, set[str]] = {}
    found = [put(tmp_path, "r4-seg-b", 0.5, seed=seed) for seed in (0, 1)]
    found.append(put(tmp_path, "r4-seg-b", 0.6, seed=0, attempt=2))
    for record in found:
        slug, run_id = record.slug, record.run_id
        work = tmp_path / "work" / slug / run_id
        work.mkdir(parents=True, exist_ok=True)
        for name in ("weights.safetensors", "traceback.txt", checkpoint.NAMES[0]):
            (work / name).write_bytes(f"{record.seed} {name}".encode())
        names = {f"records/{slug}/{record.name}{ending}" for ending in (".json", ".npz")}
        names |= {figure["file"] for figure in record.figures}
        names |= {f"work/{slug}/{run_id}/{name}" for name in ("weights.safetensors", "traceback.txt")}
        left.setdefault(record.seed, set()).update(names)
    assert len({record.run_id for record in found}) == 2
    for record in found[:2]:
        files = cluster._left_by(as_run(record), tmp_path)
        assert set(files) == left[record.seed]
        assert all(content == (tmp_path / name).read_bytes() for name, content in files.items())
