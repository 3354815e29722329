"""Checkpoints that survive a kill at any instant: checksum first, written aside, fsynced, renamed."""

from __future__ import annotations

import hashlib
import io
import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference.files import write_atomically

NAMES = ("checkpoint.pt", "checkpoint-before.pt")


def save(folder: Path, payload: dict[str, Any]) -> None:
    """Write ``payload`` as the newest checkpoint of ``folder``; the one before it is kept.

    Raises:
        DiskError: it cannot be written; those that were there are as they were.
    """
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    body = buffer.getvalue()
    newest, before = (folder / name for name in NAMES)
    write_atomically(newest, hashlib.sha256(body).hexdigest().encode() + b"\n" + body, before=before)


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
