"""Decode once: a memory-mapped uint8 array on disk under the hash of what it was made from.

A cache file is a plain ``.npy`` with 32 bytes behind the data: the sha256 of every item's CRC. It appears
under its name only when whole (written elsewhere, synced, renamed), so any number of builders may race:
the last one wins, with the same content. A file that is torn or altered fails its check and is made anew.
"""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from reference.data.listing import shown
from reference.errors import InputError
from reference.files import sync_folder

Shape = tuple[int, ...]
Fill = Callable[[int], np.ndarray]
Progress = Callable[[int, int], None]

# Part of every key: raise it when decoding or resizing changes.
VERSION = 1
TRAILER = 32
STALE_SECONDS = 24 * 3600.0
RUN = 16

Result = TypeVar("Result")


def cached_array(
    folder: Path | None, name: str, shape: Shape, fill: Fill, progress: Progress | None = None
) -> np.ndarray:
    """The uint8 array whose item ``i`` is ``fill(i)``, from the cache where it holds it whole.

    Args:
        folder: where cache files live, made if missing; None keeps the array in memory.
        name: file name without suffix; must change with the content.
        shape: (N, ...).
        fill: makes one item; called from several threads.
        progress: called with (items done, N) while building.

    Returns:
        A read-only array, a memory map where there is a folder.

    Raises:
        InputError: ``fill`` raised it, or the cache cannot be written.
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
    except OSError as error:
        raise InputError(
            f"{shown(path)}: cannot write the cache ({error.strerror}); it needs "
            f"{math.prod(shape) / 1e6:.0f} MB; free space or name another folder"
        ) from None


def open_whole(path: Path, shape: Shape) -> np.ndarray | None:
    """Map a cache file, or None unless it holds, byte for byte, what was once written."""
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
    """``work(0), work(1), …`` in order, computed by a pool of threads; the first error ends it."""

    def several(start: int) -> list[Result]:
        return [work(i) for i in range(start, min(start + RUN, count))]

    with ThreadPoolExecutor(max_workers=min(16, available_cores())) as pool:
        for start, results in zip(range(0, count, RUN), pool.map(several, range(0, count, RUN)), strict=True):
            yield from results
            if progress is not None:
                progress(min(start + RUN, count), count)


def available_cores() -> int:
    """Cores that this process may use."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path.parent)
    header = _header(shape)
    item_bytes = math.prod(shape[1:])
    with _renamed_when_whole(path) as file:

        def put(index: int) -> int:
            item = np.ascontiguousarray(fill(index))
            if item.shape != shape[1:] or item.dtype != np.uint8:
                raise ValueError(f"item {index} is {item.shape} {item.dtype}, expected {shape[1:]} uint8")
            _write_at(file, item.data.cast("B"), len(header) + index * item_bytes)
            return zlib.crc32(item.data)

        _write_at(file, memoryview(header), 0)
        digest = _digest(in_threads(put, shape[0], progress))
        _write_at(file, memoryview(digest), len(header) + math.prod(shape))


@contextmanager
def _renamed_when_whole(path: Path) -> Iterator[int]:
    """A file descriptor to write to; the file takes its name when the block ends, or vanishes."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            yield file
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_at(file: int, data: memoryview, offset: int) -> None:
    # pwrite and not a writable memory map: on a full disk this raises, where the map kills the process.
    while data:
        written = os.pwrite(file, data, offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data, offset = data[written:], offset + written


def _header(shape: Shape) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _map(path: Path, shape: Shape) -> np.ndarray:
    return np.memmap(path, dtype=np.uint8, mode="r", offset=len(_header(shape)), shape=shape)


def _digest(crcs: Iterator[int]) -> bytes:
    return hashlib.sha256(b"".join(crc.to_bytes(4, "little") for crc in crcs)).digest()


def _remove_stale(folder: Path) -> None:
    """Remove what builders that were killed left behind; a day old, so no builder can still be at it."""
    for temporary in folder.glob(".*.npy.*.tmp"):
        try:
            if time.time() - temporary.stat().st_mtime > STALE_SECONDS:
                temporary.unlink()
        except FileNotFoundError:  # another process removed or renamed it first
            continue
