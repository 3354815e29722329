"""Checkpoints that survive a kill at any instant: checksum first, written aside, fsynced, renamed.

A file holds a line with the sha256 of all that follows, one with the length of the tree, the tree (the
state's dicts, lists and plain values, as torch saves them), and the bytes of all tensors.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from reference.files import replaced_when_whole, write_at

NAMES = ("checkpoint.pt", "checkpoint-before.pt")

ALIGNMENT = 64
"""Bytes: where each tensor begins among the others, at a multiple of every element's size."""

_TENSOR = "tensor at"
"""Key of a reference: its value is the tensor's dtype, its shape and the byte that it begins at."""

Packed = tuple[Any, Tensor]
"""A state as it is written: its tree, in which each tensor is a reference, and the bytes of all tensors."""


class Writer:
    """Writes a run's checkpoints in a thread of its own, one after the other, while training goes on.

    Hashing, writing and syncing take longer than copying a state in memory, which is all that training waits
    for. The copy is one piece: a thread that serialises tensors one by one keeps Python to itself meanwhile.
    As a context it ends with everything written; what ends it early has the newest state written.

    Args:
        seconds: least time between two checkpoints.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._unwritten: Packed | None = None
        self._written_at = time.perf_counter()

    def keep(self, payload: dict[str, Any], *, last: bool = False) -> None:
        """Copy a state to host memory, and begin to write it if it is due or the ``last``.

        Raises:
            DiskError: the one before could not be written.
        """
        self._unwritten = pack(payload)
        if last or time.perf_counter() - self._written_at >= self._seconds:
            self._write(self._unwritten)

    def wait(self) -> None:
        """Wait until the file that was begun is written. Raises: DiskError."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, packed: Packed) -> None:
        self.wait()
        self._writing = self._thread.submit(save, self._folder, packed)
        self._unwritten, self._written_at = None, time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._thread:  # which is waited for even if the waiting is interrupted
            if self._unwritten is not None:
                self._write(self._unwritten)
            self.wait()


def pack(payload: dict[str, Any]) -> Packed:
    """Copy a state to host memory, so that training cannot change it."""
    tensors: list[tuple[int, Tensor]] = []
    size = 0

    def tree(value: Any) -> Any:
        nonlocal size
        if isinstance(value, Tensor):
            tensors.append((size, value.detach()))
            reference = [str(value.dtype).removeprefix("torch."), list(value.shape), size]
            size += -(-value.nbytes // ALIGNMENT) * ALIGNMENT
            return {_TENSOR: reference}
        if isinstance(value, dict):
            return {key: tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(tree(item) for item in value)
        return value

    whole = tree(payload)
    content = torch.zeros(max(size, 1), dtype=torch.uint8)
    for start, tensor in tensors:
        content[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor)
    return whole, content


def unpack(packed: Packed) -> Any:
    """Return the state that was packed, with its tensors in host memory."""
    tree, content = packed
    if isinstance(tree, dict) and _TENSOR in tree:
        name, shape, start = tree[_TENSOR]
        dtype = getattr(torch, name)
        end = start + math.prod(shape) * dtype.itemsize
        return content[start:end].view(dtype).view(shape).clone()
    if isinstance(tree, dict):
        return {key: unpack((item, content)) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(unpack((item, content)) for item in tree)
    return tree


def save(folder: Path, packed: Packed) -> None:
    """Write a state as the newest checkpoint of ``folder``; the one before it is kept.

    Raises:
        DiskError: it cannot be written; the earlier checkpoints stay as they are.
    """
    tree, content = packed
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    head, tensors = b"%d\n%b" % (buffer.tell(), buffer.getvalue()), content.numpy().data
    digest = hashlib.sha256(head)
    digest.update(tensors)
    head = digest.hexdigest().encode() + b"\n" + head
    newest, before = (folder / name for name in NAMES)
    with replaced_when_whole(newest, before=before) as file:
        write_at(file, memoryview(head), 0)
        write_at(file, tensors, len(head))


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the newest whole checkpoint, and one line for each damaged one that was set aside.

    No code in a checkpoint is ever run: a file with more than tensors and plain values counts as damaged.
    """
    damaged: list[str] = []
    for name in NAMES:
        path = folder / name
        if not path.exists():
            continue
        try:
            return _whole(bytearray(path.read_bytes())), damaged
        except ValueError as error:
            aside = _free(path)
            path.replace(aside)
            damaged.append(f"{path.name}: {error}; set aside as {aside.name}")
    return None, damaged


def remove(folder: Path) -> None:
    """Remove the checkpoints of a finished run from ``folder``; what was set aside stays."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def _whole(content: bytearray) -> dict[str, Any]:
    """A checkpoint's payload. Raises: ValueError, which says what is wrong with it."""
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum does not match its content")
    length, _, rest = body.partition(b"\n")
    try:
        tree = torch.load(io.BytesIO(rest[: int(length)]), weights_only=True, map_location="cpu")
        payload = unpack((tree, torch.frombuffer(rest[int(length) :], dtype=torch.uint8)))
    # torch documents no exception types for what it refuses to read
    except Exception as error:
        raise ValueError(f"not a file of tensors and plain values ({type(error).__name__})") from error
    if not isinstance(payload, dict):
        raise ValueError(f"holds a {type(payload).__name__}, expected a dict")
    return payload


def _free(path: Path) -> Path:
    """Return a free name next to ``path``: a file that was set aside is never overwritten."""
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
