"""Times contenders in turn on the same inputs, and measures the machine's ceilings."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch

from bench.runs import provenance
from reference.data.cache import available_cores

Input = TypeVar("Input")

# The product and the copy are far larger than any cache and take seconds at most.
_SIDE = {"cpu": 2048, "cuda": 16384}
_COPY_BYTES = {"cpu": 2**28, "cuda": 2**32}


def interleave(
    contenders: Mapping[str, Callable[[Input], object]],
    *,
    data: Callable[[int], Input],
    rounds: int,
    warmup: int = 1,
    device: str = "cpu",
) -> dict[str, list[float]]:
    """Time contenders in turn, round by round, so that a slow moment of the machine hits all.

    Each round has new data and starts with another contender. A contender's time includes the wait for
    everything that it left running on the device.

    Args:
        contenders: the functions to time, by name; none may write into its input.
        data: makes the input of a round, outside the timed part; rounds count from ``-warmup``.
        rounds: timed rounds; ``warmup`` more are done before them.

    Returns:
        Seconds of every timed round, by name.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warmup, rounds):
        fresh = data(number)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wait(device)
            start = time.perf_counter()
            contenders[name](fresh)
            wait(device)
            if number >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def wait(device: str) -> None:
    """Wait until the device has finished its work."""
    if device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside the ``with`` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, Any]:
    """Return the hardware that makes two sessions comparable; it names no host and no person."""
    cuda = torch.cuda.is_available()
    return {
        "cpu": provenance.processor(),
        "cores": available_cores(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpus": torch.cuda.device_count() if cuda else 0,
    }


def software() -> dict[str, Any]:
    """Return commit, versions, driver and kernel, as in a record."""
    collected = provenance.collect("cuda" if torch.cuda.is_available() else "cpu")
    return collected | {"kernel": platform.release()}


def ceilings(
    device: str, count: int, *, side: int | None = None, copy_bytes: int | None = None
) -> dict[str, float]:
    """Measure what the device does at best; on a CPU, with ``count`` threads.

    Args:
        side: of the square matrices; by default far beyond any cache.
        copy_bytes: size of the array that is copied; by default far beyond any cache.

    Returns:
        FLOP/s of a large product by dtype, and bytes/s read plus written by a large copy as ``"copy"``.
    """
    side, copy_bytes = side or _SIDE[device], copy_bytes or _COPY_BYTES[device]
    limits = {}
    with threads(count), torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            a, b = torch.randn(2, side, side, device=device).to(dtype)
            out = torch.empty_like(a)
            seconds = _least_seconds(partial(torch.mm, a, b, out=out), device)
            limits[str(dtype).removeprefix("torch.")] = 2 * side**3 / seconds
        source = torch.ones(copy_bytes, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        seconds = _least_seconds(partial(target.copy_, source), device)
        limits["copy"] = 2 * copy_bytes / seconds
    return limits


def _least_seconds(work: Callable[[], object], device: str, *, enough: float = 2.0) -> float:
    """Return the time of the fastest of twenty runs, or of as many as ``enough`` seconds allow."""
    work()
    wait(device)
    least, begun = float("inf"), time.perf_counter()
    for _ in range(20):
        start = time.perf_counter()
        work()
        wait(device)
        least = min(least, time.perf_counter() - start)
        if time.perf_counter() - begun > enough:
            break
    return least
