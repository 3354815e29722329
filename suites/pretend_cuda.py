"""A CUDA device that is not there: tensors on it have shapes and dtypes but no values.

Code in the context of ``pretend_cuda`` runs as on a GPU machine. Work on host tensors is done for real.
Work on device tensors computes shapes alone, with torch's FakeTensorMode, and fails where a GPU would: for a
tensor on the wrong device, or a dtype that an operation does not take. What makes the host wait, and what is
copied between host and device, is counted.

Two things differ from a GPU. A value that the host asks for is 0. A backward pass computes nothing and gives
each parameter a gradient, since torch's engine needs a driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
MEMORY = 80 * 2**30
WAITS = {
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.bincount,
    aten._unique2,
    aten.unique_dim,
    aten.repeat_interleave,
}
"""Operations whose result, or its shape, the host has to wait for."""
CLASSES = {aten.nll_loss_forward, aten.nll_loss2d_forward}
"""Losses whose target is an index."""
MASKS = (torch.bool, torch.uint8)

ZERO: dict[torch.dtype, float | bool] = {torch.bool: False} | dict.fromkeys(
    (torch.float64, torch.float32, torch.float16, torch.bfloat16), 0.0
)
"""The value that the host gets; the integer 0 of any other dtype."""


@dataclass
class Traffic:
    """What has passed between host and device, by operation."""

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    kernels: Counter[str] = field(default_factory=Counter)

    def since(self, earlier: Traffic) -> Traffic:
        """What was added after ``earlier``, a copy of this."""
        return Traffic(
            self.waits - earlier.waits, self.copies - earlier.copies, self.kernels - earlier.kernels
        )

    def copy(self) -> Traffic:
        return Traffic(self.waits.copy(), self.copies.copy(), self.kernels.copy())


class PretendCuda(TorchDispatchMode):
    """The device; see the file's docstring.

    Attributes:
        traffic: counts so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.traffic = Traffic()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, FakeTensor)]
        asked = kwargs.get("device")
        to_device = asked is not None and torch.device(asked).type == "cuda"
        if not there and not to_device:
            with unset_fake_temporarily():  # host memory cannot be pinned here
                return func(*args, **{**kwargs, **({"pin_memory": False} if "pin_memory" in kwargs else {})})
        if (
            torch.is_inference_mode_enabled() and func.namespace == "aten"
        ):  # operations arrive whole that are else taken apart before
            with self:
                if (parts := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return parts
        name, packet = str(func), func.overloadpacket
        if packet is aten._to_copy and asked is not None and not to_device:
            return self._to_host(name, args[0], kwargs)
        if packet is aten.copy_ and not isinstance(args[0], FakeTensor):
            args[0].copy_(self._to_host(name, args[1], {}))
            return args[0]
        if any(isinstance(t, Tensor) and not isinstance(t, FakeTensor) for t in tensors):
            self.traffic.copies[name] += 1
        if packet in WAITS or _picks_by_mask(packet, args):
            self.traffic.waits[name] += 1
        if packet is aten._local_scalar_dense:
            return ZERO.get(args[0].dtype, 0)
        if packet is aten.bincount:
            length = kwargs.get("minlength", args[2] if len(args) > 2 else 0)
            return args[0].new_zeros(length, dtype=torch.int64)
        if not func.is_view and "prim" not in name:
            self.traffic.kernels[name] += 1
        if packet in CLASSES and args[1].dtype != torch.int64:  # shapes alone would do with any dtype
            raise RuntimeError(f"{name}: expected target of dtype torch.int64, found {args[1].dtype}")
        if packet is aten._fused_sgd_:  # writes into its arguments; torch knows no shape of its result
            return _refuse_host_tensors(name, tensors)
        return func(*args, **kwargs)

    def _to_host(self, name: str, tensor: Tensor, kwargs: dict[str, Any]) -> Tensor:
        self.traffic.waits[name] += 1
        with unset_fake_temporarily():
            return torch.zeros(tensor.shape, dtype=kwargs.get("dtype") or tensor.dtype)


def _refuse_host_tensors(name: str, tensors: list[Tensor]) -> None:
    if on_host := [tensor.shape for tensor in tensors if tensor.device.type != "cuda"]:
        raise RuntimeError(f"{name}: tensors of {on_host} are on the CPU, others on cuda")


def _picks_by_mask(packet: Any, args: tuple[Any, ...]) -> bool:
    if packet not in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        return False
    return any(index is not None and index.dtype in MASKS for index in args[1])


@contextmanager
def pretend_cuda(network: nn.Module) -> Iterator[PretendCuda]:
    """The device, with a network moved to it that was built of shapes alone (``models.counting``)."""
    device = PretendCuda()
    with ExitStack() as stack:
        stack.enter_context(patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False))
        stack.enter_context(patch("torch.cuda.is_bf16_supported", lambda: True))
        stack.enter_context(patch("torch.cuda.mem_get_info", lambda *_: (MEMORY, MEMORY)))
        stack.enter_context(patch("torch.cuda.manual_seed", lambda seed: None))
        stack.enter_context(patch.object(Tensor, "pin_memory", lambda tensor: tensor))
        with device.fake:
            network.to_empty(device="cuda")
        stack.enter_context(patch.object(Tensor, "backward", lambda loss: _fill_gradients(loss, network)))
        stack.enter_context(device.fake)
        stack.enter_context(device)
        yield device


def _fill_gradients(loss: Tensor, network: nn.Module) -> None:
    if loss.shape != () or not loss.requires_grad:
        raise RuntimeError(f"backward of {tuple(loss.shape)}, requires_grad={loss.requires_grad}")
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
