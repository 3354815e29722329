"""The cost of one image in a network: FLOPs, and the bytes that its products must move, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from reference import models
from reference.models.byol import BYOL

BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of one image. A multiply-add is 2 FLOPs.

    Bytes count the operands and results of convolutions and other products, each read or written once; the
    batch shares the weights. So many bytes move even if everything else is fused into the products: they are
    a lower bound.
    """

    forward_flops: float
    training_flops: float
    forward_bytes: float
    training_bytes: float


def of_network(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    width: int = 64,
    model_args: Mapping[str, Any] | None = None,
    batch: int = 2,
    dtype: str = "float32",
) -> Cost:
    """Count the cost of a network of ``MODELS``. BYOL counts both views of an image and its target.

    Args:
        batch: number of images that share one reading of the weights.
        dtype: ``"float32"`` or ``"bfloat16"``, the format of all operands.

    Raises:
        InputError: no such network, or an argument that its builder does not take.
    """
    args = tuple(sorted(dict(model_args or {}).items()))
    forward, forward_moved, training, training_moved = _count(
        name, num_classes, image_size, width, args, batch
    )
    return Cost(
        forward_flops=forward / batch,
        training_flops=training / batch,
        forward_bytes=forward_moved * BYTES[dtype] / batch,
        training_bytes=training_moved * BYTES[dtype] / batch,
    )


@cache
def _count(
    name: str, num_classes: int, image_size: int, width: int, args: tuple[tuple[str, Any], ...], batch: int
) -> tuple[int, int, int, int]:
    """Count FLOPs and moved elements of a forward pass, then of a training step."""
    with models.counting(name), torch.random.fork_rng(devices=[]):
        model = models.build(name, num_classes=num_classes, width=width, **dict(args))
        signal = models.SIGNALS.get(name)
        images = torch.zeros(batch, signal) if signal else torch.zeros(batch, 3, image_size, image_size)
    views = (images, images) if isinstance(model, BYOL) else (images,)
    with FlopCounterMode(display=False) as forward, _Traffic() as forward_moved:
        output = model(*views)
    loss = torch.stack([tensor.sum() for tensor in _trained(output)]).sum()
    with FlopCounterMode(display=False) as backward, _Traffic() as backward_moved:
        loss.backward()  # type: ignore[no-untyped-call]
    flops, moved = forward.get_total_flops(), forward_moved.elements
    return flops, moved, flops + backward.get_total_flops(), moved + backward_moved.elements


def _trained(output: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """Return the outputs that a gradient starts from, which BYOL's targets are not."""
    outputs = [output] if isinstance(output, Tensor) else list(output)
    return [tensor for tensor in outputs if tensor.requires_grad]


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements of all operands and results of what the FLOP counter counts."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            tensors = (leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
            self.elements += sum(tensor.numel() for tensor in tensors)
        return result
