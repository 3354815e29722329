"""What more processes bring: one training divided over ranks, and empty runs on a cluster.

Both worlds of ranks live side by side and take turns, the same global batch for each; a rank has one core, or
one GPU. Scaling efficiency is the rate of two over twice that of one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import ray_nodes
import torch

from bench.runs.cluster import CPUS_BESIDE_A_GPU
from bench.throughput.timing import interleave

ROOT = ray_nodes.ROOT
HERE = Path(__file__).parent
SLUG = "r4-seg-b"


def environment(threads: int) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}


@contextmanager
def ranks(count: int, threads: int, *words: str) -> Iterator[Callable[[object], list[float]]]:
    """So many processes that wait; called, they train their steps and say the first one's loss."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "steps_of_ranks.py"), SLUG, *words],
            env=environment(threads) | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for rank in range(count)
    ]

    def train(_: object) -> list[float]:
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
        return [float(process.stdout.readline()) for process in started if process.stdout is not None]

    try:
        yield train
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        for process in started:
            process.wait()


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(
                    torch.cuda.device_count() < 2,
                    reason=f"two ranks need two GPUs, {torch.cuda.device_count()} are here",
                ),
            ],
        ),
    ],
)
def test_training_on_two_ranks(
    device: str, size: int, measuring: bool, rounds: int, note: Callable[..., None]
) -> None:
    """gloo on the CPU, a narrow network; NCCL and bf16 on GPUs, the network as printed.

    Two messages for each BatchNorm take the same time whatever the images' size.
    """
    if device == "cuda":
        dtype, width, batch, steps = "bfloat16", 64, 64, 10
    else:
        dtype, width, batch, steps = "float32", 16, 8, 1
    if not measuring:
        size, batch, steps = size // 8, 4, 1
    threads = CPUS_BESIDE_A_GPU if device == "cuda" else 1
    words = (device, dtype, *map(str, (width, size, batch, steps)))
    losses: dict[int, list[list[float]]] = {1: [], 2: []}
    with ExitStack() as stack:
        contenders: dict[str, Callable[[object], object]] = {}
        for count, name in ((1, "ours, 1 rank"), (2, "ours, 2 ranks")):
            train = stack.enter_context(ranks(count, threads, *words))
            contenders[name] = lambda go, train=train, count=count: losses[count].append(train(go))
        seconds = interleave(contenders, data=lambda number: number, rounds=rounds)
    # of the very first step: over so few images float32 and bfloat16 drift apart in the next ones
    assert losses[2][0] == pytest.approx(2 * losses[1][0], rel=1e-2 if device == "cuda" else 1e-4)
    for name, samples in seconds.items():
        note(
            f"train {SLUG} at {size} px on ranks, {'NCCL' if device == 'cuda' else 'gloo'}",
            name,
            unit="images/s",
            items=batch * steps,
            seconds=samples,
            device=device,
            dtype=dtype,
            width=width,
            image_size=size,
            batch=batch,
            ranks=int(name[6]),
        )


@pytest.mark.usefixtures("one_core")
def test_empty_tasks_on_a_cluster(measuring: bool, rounds: int, note: Callable[..., None]) -> None:
    """What sending a run and receiving it adds to the run, on two nodes of one core on loopback."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    count = 1000 if measuring else 10
    with ray_nodes.started(("first", "second")) as nodes:
        words = [nodes.address, str(count), str(rounds)]
        done = subprocess.run(
            [sys.executable, str(HERE / "empty_tasks.py"), *words],
            env=nodes.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])
    assert len(seconds) == rounds
    note(f"{count:,} empty tasks on a cluster", "ours", unit="runs/s", items=count, seconds=seconds)
