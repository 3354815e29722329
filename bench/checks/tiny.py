"""Build networks that are small enough to run: float64, every weight a fixed number.

The weights are values of a sine. So no two are equal, nothing is drawn, and no seed is touched.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from reference.models.byol import BYOL

Network = TypeVar("Network", bound="nn.Module")
Args = tuple[tuple[str, Any], ...]

IMAGES, SIDE = 4, 2


def fixed(*shape: int, start: float = 0.0) -> Tensor:
    """Return numbers between -1 and 1 without a pattern, the same at every call; float64."""
    import torch

    count = torch.Size(shape).numel()
    return torch.sin(1 + start + 1.7 * torch.arange(count, dtype=torch.float64)).view(shape)


def views() -> tuple[Tensor, Tensor]:
    """Return two views of the same few images, (B, 3, 2, 2) each."""
    return fixed(IMAGES, 3, SIDE, SIDE), fixed(IMAGES, 3, SIDE, SIDE, start=0.5)


def byol(args: Args) -> BYOL:
    """Build BYOL with a recipe's arguments over a linear encoder, in training mode; each call copies it."""
    return copy.deepcopy(_byol(args))


@cache
def _byol(args: Args) -> BYOL:
    from torch import nn

    from reference.models.byol import BYOL
    from reference.models.shapes import shapes_only

    with shapes_only():
        encoder: Any = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 5))
        encoder.embedding_size = 5
        model = BYOL(encoder, hidden=8, projection=4, **dict(args))
    return filled(model).train()


def network(model: str, num_classes: int) -> nn.Module:
    """Build one of our networks at width 1, with all its layers."""
    from reference.models import build
    from reference.models.shapes import shapes_only

    with shapes_only():
        empty = build(model, num_classes=num_classes, width=1)
    return filled(empty)


def filled(model: Network) -> Network:
    """Bring a network of shapes alone to the CPU, with fixed values in every parameter."""
    import torch
    from torch import nn

    model = model.double().to_empty(device="cpu")
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
    with torch.no_grad():
        for position, parameter in enumerate(model.parameters()):
            parameter.copy_(fixed(*parameter.shape, start=position / 7) / parameter.shape[-1] ** 0.5)
    return model
