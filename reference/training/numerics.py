"""How the arithmetic of a run is done: device, number format, memory layout, compilation, determinism.

No other file sets a backend flag, and ``backend`` restores every flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Forward = Callable[..., Any]
"""A network, its head, or the compiled form of either."""


@dataclass(frozen=True)
class Numerics:
    """How the arithmetic is done, which no report states: device kind and number format."""

    device: str = "cpu"
    dtype: str = "float32"
    channels_last: bool = False
    compiled: bool = False
    deterministic: bool = True

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout of images and of the network's weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


@contextmanager
def backend(numerics: Numerics) -> Iterator[None]:
    """Set determinism and float32 products for the duration of a run; restore the caller's settings after."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    tf32 = torch.backends.cudnn.allow_tf32
    # of all GPUs only this process's own is touched
    devices = [torch.cuda.current_device()] if numerics.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        try:
            torch.use_deterministic_algorithms(numerics.deterministic)
            torch.backends.cudnn.benchmark = not numerics.deterministic
            torch.backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.benchmark = benchmark
            torch.backends.cudnn.allow_tf32 = tf32
            torch.set_float32_matmul_precision(precision)


class Compiled:
    """``forward`` compiled by torch, or ``forward`` itself once compilation has failed.

    Attributes:
        works: whether nothing has failed so far.
    """

    def __init__(self, forward: Forward, notice: Callable[[str], None]) -> None:
        self._forward, self._notice = forward, notice
        self._compiled = torch.compile(forward)
        self.works = True

    def __call__(self, *inputs: Tensor) -> Any:
        if self.works:
            try:
                return self._compiled(*inputs)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                self.works = False
                self._notice(f"not compiled, the run trains eagerly: {str(error).splitlines()[0]}")
        return self._forward(*inputs)


def peak_memory(device: torch.device) -> int:
    """Return the device's peak allocation in bytes on CUDA, 0 elsewhere (the runner adds the process's)."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
