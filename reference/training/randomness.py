"""Random numbers keyed by (seed, stream, epoch, step).

No generator state outlives a step, so a resumed run and a run on another number of ranks draw the
same numbers as an unbroken run on one.
"""

from __future__ import annotations

import hashlib

import torch


def key(seed: int, stream: str, epoch: int = 0, step: int = 0) -> int:
    """Return a 63-bit seed for one step of one stream (such as ``"init"`` or ``"augment"``)."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{epoch}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, stream: str, epoch: int = 0, step: int = 0) -> torch.Generator:
    """Return a CPU generator for that key, so that draws are the same on every device."""
    return torch.Generator().manual_seed(key(seed, stream, epoch, step))


def seed_device(device: torch.device, number: int) -> None:
    """Seed torch's generators of the CPU and of one device; dropout draws from them.

    ``torch.manual_seed`` would seed every kind of device. Without a GPU it keeps a stack trace for later,
    which takes 0.2 ms a call.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
