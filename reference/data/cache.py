"""Decode once: keep a memory-mapped uint8 array on disk, under the hash of its sources.

A cache file is a plain ``.npy`` with 32 bytes after the data: the sha256 of every item's CRC. The file gets
its name only when it is complete (written elsewhere, synced, renamed). So several processes may build it at
once: the last one wins, with the same content. A torn or altered file fails its check and is built again.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from reference.data.listing import shown
from reference.errors import DiskError
from reference.files import STALE_SECONDS, remove_leftovers, replaced_when_whole, write_at

Shape = tuple[int, ...]
Fill = Callable[[int], np.ndarray]
Progress = Callable[[int, int], None]

# Every key contains this version; raise it when decoding or resizing changes.
VERSION = 1
TRAILER = 32
RUN = 16

Result = TypeVar("Result")


def cached_array(
    folder: Path | None, name: str, shape: Shape, fill: Fill, progress: Progress | None = None
) -> np.ndarray:
    """Return the uint8 array whose item ``i`` is ``fill(i)``, from the cache if the cache has it complete.

    Args:
        folder: where cache files live, made if missing; None keeps the array in memory.
        name: file name without suffix; must change with the content.
        shape: (N, ...).
        fill: makes one item; called from several threads.
        progress: called with (items done, N) while building.

    Returns:
        A read-only array; a memory map if ``folder`` is given.

    Raises:
        DiskError: the cache cannot be written.
    """
    if folder is None or shape[0] == 0:
        return _in_memory(shape, fill, progress)
    path = folder / f"{name}.npy"
    whole = open_whole(path, shape)
    if whole is not None:
        return whole
    try:
        _build(path, shape, fill, progress)
        return _map(path, shape)
    except (DiskError, OSError) as error:
        cause = error.__cause__ if isinstance(error, DiskError) else error
        raise DiskError(
            f"{shown(path)}: cannot write the cache ({getattr(cause, 'strerror', cause)}); it needs "
            f"{math.prod(shape) / 1e6:.0f} MB; free space or name another folder"
        ) from None


def open_whole(path: Path, shape: Shape) -> np.ndarray | None:
    """Map a cache file; return None unless it holds the written bytes unchanged."""
    header = _header(shape)
    try:
        if path.stat().st_size != len(header) + math.prod(shape) + TRAILER:
            return None
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                return None
            file.seek(-TRAILER, os.SEEK_END)
            trailer = file.read()
        array = _map(path, shape)
    except OSError:
        return None
    whole = trailer == _digest(in_threads(lambda i: zlib.crc32(array[i]), shape[0]))
    return array if whole else None


def in_threads(
    work: Callable[[int], Result], count: int, progress: Progress | None = None
) -> Iterator[Result]:
    """Yield ``work(0), work(1), …`` in order, computed by a pool of threads; the first error ends it."""

    def several(start: int) -> list[Result]:
        return [work(i) for i in range(start, min(start + RUN, count))]

    with ThreadPoolExecutor(max_workers=min(16, available_cores())) as pool:
        try:
            runs = pool.map(several, range(0, count, RUN))
            for start, results in zip(range(0, count, RUN), runs, strict=True):
                yield from results
                if progress is not None:
                    progress(min(start + RUN, count), count)
        finally:
            pool.shutdown(cancel_futures=True)  # an interruption waits only for running items


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_memory(shape: Shape, fill: Fill, progress: Progress | None) -> np.ndarray:
    array = np.empty(shape, dtype=np.uint8)

    def put(index: int) -> None:
        array[index] = fill(index)

    for _ in in_threads(put, shape[0], progress):
        pass
    array.setflags(write=False)
    return array


def _build(path: Path, shape: Shape, fill: Fill, progress: Progress | None) -> None:
    # a day old, so no builder can still be at it
    remove_leftovers(path.parent, ".*.npy.*.tmp", older_than=STALE_SECONDS)
    header = _header(shape)
    item_bytes = math.prod(shape[1:])
    with replaced_when_whole(path) as file:

        def put(index: int) -> int:
            item = np.ascontiguousarray(fill(index))
            if item.shape != shape[1:] or item.dtype != np.uint8:
                raise ValueError(f"item {index} is {item.shape} {item.dtype}, expected {shape[1:]} uint8")
            write_at(file, item.data, len(header) + index * item_bytes)
            return zlib.crc32(item.data)

        write_at(file, memoryview(header), 0)
        digest = _digest(in_threads(put, shape[0], progress))
        write_at(file, memoryview(digest), len(header) + math.prod(shape))


def _header(shape: Shape) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _map(path: Path, shape: Shape) -> np.ndarray:
    return np.memmap(path, dtype=np.uint8, mode="r", offset=len(_header(shape)), shape=shape)


def _digest(crcs: Iterator[int]) -> bytes:
    return hashlib.sha256(b"".join(crc.to_bytes(4, "little") for crc in crcs)).digest()
