"""A real Ray cluster of two nodes on this machine, one of which is killed in the middle of a run.

The records that come back are those of a local run: metrics, curves and weights, each run once.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import records
from bench.records import Record

ROOT = Path(__file__).parents[2]
SHORT = """
from bench import cluster, tiers

tiers.SMOKE_WIDTH = 4
tiers.SMOKE["miniimagenet"] |= {"epochs": 2, "image_size": 32, "num_classes": 4}
tiers.SMOKE["officehome"] |= {"epochs": 2, "image_size": 32, "num_classes": 4}
tiers.SMOKE["classification50"] |= {"epochs": 20, "image_size": 32}
cluster.CHECKPOINT_SECONDS = 0.0
from bench.__main__ import main

main()
"""
WORDS = ("run", "r3-byol", "r3-finetune-c", "r4-classify", "--tier", "smoke", "--device", "cpu")


@dataclass(frozen=True)
class Cluster:
    address: str
    environment: dict[str, str]
    nodes: dict[str, subprocess.Popen[bytes]]

    def kill(self, name: str) -> None:
        """SIGKILL for every process of a node, by its id."""
        pid = self.nodes[name].pid
        for one in (*descendants(pid), pid):
            if Path(f"/proc/{one}").exists():
                os.kill(one, signal.SIGKILL)
        self.nodes[name].wait()


def descendants(pid: int) -> list[int]:
    """Process ids below ``pid``, the lowest first."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listing.read_text().split()):
            found += [*descendants(child), child]
    return found


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    """``first``, where the driver will be, and ``second``, each with one core; a token is asked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets below it have short names
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_worker_niceness": "0",
    }
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    ray += ["--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats"]
    own = {
        "first": ["--head", f"--port={address[10:]}", "--include-dashboard=false", f"--temp-dir={folder}"],
        "second": [f"--address={address}"],
    }
    cluster = Cluster(address, environment, {})
    try:
        for name, words in own.items():
            log = (folder / f"{name}.log").open("wb")
            command = [*ray, f"--node-name={name}", *words]
            cluster.nodes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            while b"Ray runtime started" not in (folder / f"{name}.log").read_bytes():
                assert cluster.nodes[name].poll() is None, (folder / f"{name}.log").read_text()
                time.sleep(0.2)
        yield cluster
    finally:
        for name in reversed(list(cluster.nodes)):
            cluster.kill(name)
        shutil.rmtree(folder, ignore_errors=True)


def started(cluster: Cluster, program: Path, *words: str) -> subprocess.Popen[str]:
    program.write_text(SHORT)
    command = [sys.executable, str(program), *WORDS, *words]
    environment = {**cluster.environment, "BENCH_CACHE": str(program.parent / "cache")}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def by_slug(out: Path) -> dict[str, Record]:
    """The records under ``out``: each slug once."""
    found = records.read_all(out)
    assert len(found) == len({record.slug for record in found})
    return {record.slug: record for record in found}


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_leaves_the_records_of_a_local_run(
    two_nodes: Cluster, tmp_path: Path
) -> None:
    job = started(
        two_nodes, tmp_path / "short.py", "--cluster", two_nodes.address, "--out", str(tmp_path / "ray")
    )
    assert job.stdout is not None
    assert job.stderr is not None
    lines: list[str] = []
    killed = ""
    for line in job.stdout:
        lines.append(line.strip())
        label, _, where = lines[-1].partition(": epoch ")
        if not killed and where.endswith(" on second") and not where.startswith(("0/", "1/")):
            two_nodes.kill("second")  # after its second epoch: one checkpoint is with the driver for certain
            killed = label
    assert job.wait() == 0, "\n".join([*lines, job.stderr.read()])
    assert killed, lines
    assert [line.partition(":")[2].strip() for line in lines].count("submitted") == 3

    local = started(two_nodes, tmp_path / "short.py", "--out", str(tmp_path / "local"))
    _, errors = local.communicate()
    assert local.returncode == 0, errors
    ours, theirs = by_slug(tmp_path / "local"), by_slug(tmp_path / "ray")
    assert set(ours) == set(theirs) == {"r3-byol", "r3-finetune-c", "r4-classify"}
    for slug, expected in ours.items():
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
    assert len(resumed.segments) == 2, "it went on from the checkpoint that the driver kept"

    again = started(
        two_nodes, tmp_path / "short.py", "--cluster", two_nodes.address, "--out", str(tmp_path / "ray")
    )
    printed, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "3 of 3 runs have a record already" in printed
    assert "submitted" not in printed


@pytest.mark.slow
def test_ctrl_c_leaves_the_checkpoints_that_the_same_command_goes_on_from(
    two_nodes: Cluster, tmp_path: Path
) -> None:
    out = ("--cluster", two_nodes.address, "--out", str(tmp_path / "ray"))
    job = started(two_nodes, tmp_path / "short.py", *out)
    assert job.stdout is not None
    for line in job.stdout:
        if re.match(r"r4-classify seed 0: epoch [2-9]", line):
            job.send_signal(signal.SIGINT)
            break
    _, errors = job.communicate()
    assert job.returncode == 130
    assert "interrupted; go on with: bench run r3-byol" in errors
    assert records.read_all(tmp_path / "ray") == []
    assert list((tmp_path / "ray").glob("work/r4-classify/*/checkpoint.pt"))

    job = started(two_nodes, tmp_path / "short.py", *out)
    _, errors = job.communicate()
    assert job.returncode == 0, errors
    assert len(by_slug(tmp_path / "ray")["r4-classify"].segments) == 2


@pytest.mark.parametrize("address", ["127.0.0.1:1", "here"])
def test_where_nothing_answers_is_one_line(address: str, tmp_path: Path) -> None:
    words = ["run", "r4-classify", "--cluster", address, "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert f"--cluster {address}: nothing answers there" in done.stderr
    assert done.stderr.count("\n") == 1
