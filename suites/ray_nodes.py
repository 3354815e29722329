"""A real Ray cluster on this machine, for suites: each node is processes of its own, which can be killed."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cluster:
    """Its address, the environment of who may join it, and its nodes by name."""

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


@contextmanager
def started(
    names: Sequence[str], *, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Nodes of one core each, the first of which is the head; a token is asked for.

    Args:
        folder: the nodes' working folder, else this process's.
        variables: of the nodes alone, in addition to those of the cluster.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sockets = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # their names must be short
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
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={sockets}"]
    cluster = Cluster(f"127.0.0.1:{port}", environment, {})
    try:
        for position, name in enumerate(names):
            own = [f"--address={cluster.address}"] if position else head
            said = sockets / f"{name}.log"
            with said.open("wb") as log:
                cluster.nodes[name] = subprocess.Popen(
                    [*ray, f"--node-name={name}", *own],
                    env=environment | dict(variables or {}),
                    cwd=folder,
                    stdout=log,
                    stderr=log,
                )
            while b"Ray runtime started" not in said.read_bytes():
                assert cluster.nodes[name].poll() is None, said.read_text()
                time.sleep(0.2)
        yield cluster
    finally:
        for name in reversed(list(cluster.nodes)):
            cluster.kill(name)
        shutil.rmtree(sockets, ignore_errors=True)
