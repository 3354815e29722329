"""Checkpoints that survive a kill at any instant: checksum first, written aside, fsynced, renamed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference.files import write_atomically

_NAMES = ("checkpoint.pt", "checkpoint-before.pt")


def save(folder: Path, payload: dict[str, Any]) -> None:
    """Write ``payload`` as the newest checkpoint of ``folder``; the one before it is kept."""
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    body = buffer.getvalue()
    newest, before = (folder / name for name in _NAMES)
    if newest.exists():
        newest.replace(before)
    write_atomically(newest, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole, and one line for each torn one that was set aside."""
    torn: list[str] = []
    for name in _NAMES:
        path = folder / name
        if not path.exists():
            continue
        digest, _, body = path.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() == digest:
            payload: dict[str, Any] = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
            return payload, torn
        aside = path.with_suffix(".torn")
        path.replace(aside)
        torn.append(f"{path}: checksum does not match, set aside as {aside.name}")
    return None, torn


def weights_hash(state: dict[str, Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes of a state dict, in name order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
