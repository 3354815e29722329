"""Checkpoints that survive a kill at any instant: checksum first, written aside, fsynced, renamed."""

from __future__ import annotations

import hashlib
import io
import itertools
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from reference.files import write_atomically

NAMES = ("checkpoint.pt", "checkpoint-before.pt")
DIGEST_LENGTH = len(hashlib.sha256().hexdigest())


class Writer:
    """Writes a run's checkpoints in a thread of its own, one after the other, while training goes on.

    Serialising, hashing and syncing take longer than copying a state in memory, which is all that training
    waits for. As a context it ends with everything written; what ends it early has the newest state written.

    Args:
        seconds: least time between two checkpoints.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._unwritten: dict[str, Any] | None = None
        self._written_at = time.perf_counter()

    def keep(self, payload: dict[str, Any], *, last: bool = False) -> None:
        """Copy a state to host memory, and begin to write it if it is due or the ``last``.

        Raises:
            DiskError: the one before could not be written.
        """
        self._unwritten = _copied(payload)
        if last or time.perf_counter() - self._written_at >= self._seconds:
            self._write(self._unwritten)

    def wait(self) -> None:
        """Until what has been begun is written. Raises: DiskError."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, payload: dict[str, Any]) -> None:
        self.wait()
        self._writing = self._thread.submit(save, self._folder, payload)
        self._unwritten, self._written_at = None, time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._thread:  # which is waited for even if the waiting is interrupted
            if self._unwritten is not None:
                self._write(self._unwritten)
            self.wait()


def save(folder: Path, payload: dict[str, Any]) -> None:
    """Write ``payload`` as the newest checkpoint of ``folder``; the one before it is kept.

    Raises:
        DiskError: it cannot be written; those that were there are as they were.
    """
    buffer = io.BytesIO()
    buffer.write(b" " * DIGEST_LENGTH + b"\n")
    torch.save(payload, buffer)
    content = buffer.getbuffer()
    content[:DIGEST_LENGTH] = hashlib.sha256(content[DIGEST_LENGTH + 1 :]).hexdigest().encode()
    newest, before = (folder / name for name in NAMES)
    write_atomically(newest, content, before=before)


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, and one line for each damaged one that was set aside.

    Nothing in a checkpoint is ever run: one that holds more than tensors and plain values counts as damaged.
    """
    damaged: list[str] = []
    for name in NAMES:
        path = folder / name
        if not path.exists():
            continue
        try:
            return _whole(path.read_bytes()), damaged
        except ValueError as error:
            aside = _free(path)
            path.replace(aside)
            damaged.append(f"{path.name}: {error}; set aside as {aside.name}")
    return None, damaged


def remove(folder: Path) -> None:
    """Remove the checkpoints of ``folder``, which a finished run needs no more; what was set aside stays."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def _whole(content: bytes) -> dict[str, Any]:
    """A checkpoint's payload. Raises: ValueError, which says what is wrong with it."""
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum does not match its content")
    try:
        payload = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    # torch documents no exception types for what it refuses to read
    except Exception as error:
        raise ValueError(f"not a file of tensors and plain values ({type(error).__name__})") from error
    if not isinstance(payload, dict):
        raise ValueError(f"holds a {type(payload).__name__}, expected a dict")
    return payload


def _copied(value: Any) -> Any:
    """A payload in host memory, of which training changes nothing any more."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


def _free(path: Path) -> Path:
    """A name beside ``path`` that nothing has yet: what is set aside is never written over."""
    names = (path.with_suffix(f".torn{number or ''}") for number in itertools.count())
    return next(name for name in names if not name.exists())


def weights_hash(state: dict[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes of a state dict, in name order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
