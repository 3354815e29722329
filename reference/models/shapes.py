"""Build networks of shapes alone: every tensor is on torch's meta device, and no initial weight is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_INITIALISERS = {
    *(value for name, value in vars(nn.init).items() if name.endswith("_") and not name.startswith("_")),
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "fill_", "zero_", "copy_")),
}


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build networks in this context to get their shapes in a fraction of the time.

    ``torch.device("meta")`` alone runs every initialiser through torch's reference implementations. That
    imports the compiler, which takes seconds, and computes nothing.

    >>> with shapes_only():
    ...     layer = nn.Linear(3, 2)
    >>> layer.weight
    Parameter containing:
    tensor(..., device='meta', size=(2, 3), requires_grad=True)
    """
    with torch.device("meta"), _NoInitialisers():
        yield


class _NoInitialisers(TorchFunctionMode):
    """Skip functions that fill a tensor in place, if the tensor is on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _INITIALISERS:
            tensor = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))
