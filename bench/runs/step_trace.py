"""One training step on shapes alone: its peak memory, kernels, bytes and FLOPs, without a GPU or data.

The step is the training's own. Every tensor is a FakeTensor, so a network of any size and a batch of any size
take seconds and no memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from reference import losses, models
from reference.models.byol import BYOL
from reference.recipes.recipe import Recipe
from reference.training.numerics import Numerics
from reference.training.step import build_optimizer, train_step

MARGIN, CONTEXT_BYTES = 1.1, 6e8
"""What a device needs beyond the tensors: a tenth for workspaces and gaps, and CUDA's own context."""


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """What one training step of a recipe takes.

    Attributes:
        peak_bytes: of tensors alive at once: weights, gradients, optimiser state, activations, inputs.
        kernels: operations that a device is asked for one by one, when nothing is fused.
        moved_bytes: operands and results of all kernels, each read or written once by each.
        flops: of products; a multiply-add is 2.
    """

    peak_bytes: int
    kernels: int
    moved_bytes: int
    flops: int


def trace_step(recipe: Recipe, *, dtype: str = "float32") -> StepTrace:
    """Trace the second step of a recipe at its ``batch_size`` and ``micro_batch``.

    The first one makes the optimiser's state. Images that a device holds from step to step are not counted.

    Args:
        dtype: ``"float32"`` or ``"bfloat16"``, as of a run's numerics.

    Raises:
        InputError: the recipe's network is unknown.
    """
    with models.counting(recipe.model):
        model = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
    with FakeTensorMode():
        model.to_empty(device="cpu").train()
        optimizer = build_optimizer(recipe.phases[0], model, recipe.aux_lr_factor)
        step = partial(
            train_step,
            model,
            optimizer,
            *_batch(recipe, model),
            partial(losses.LOSSES[recipe.task][recipe.loss], **dict(recipe.loss_args)),
            recipe,
            Numerics(dtype=dtype),
            decay=0.99,
        )
        step()
        with _Trace() as trace:
            trace.hold(_state(model, optimizer))
            step()
    return StepTrace(peak_bytes=trace.peak, kernels=trace.kernels, moved_bytes=trace.moved, flops=trace.flops)


def fits(peak_bytes: float, memory: float) -> bool:
    """Whether a step of this peak fits a device with so many bytes."""
    return peak_bytes * MARGIN + CONTEXT_BYTES <= memory


def micro_batch_that_fits(recipe: Recipe, memory: float, *, dtype: str = "float32") -> int | None:
    """The largest half, quarter, … of the batch whose step fits; 0 where all of it does, None where none."""
    size = recipe.batch_size
    while size >= 2:
        micro = 0 if size == recipe.batch_size else size
        if fits(trace_step(replace(recipe, micro_batch=micro), dtype=dtype).peak_bytes, memory):
            return micro
        size //= 2
    return None


def _batch(recipe: Recipe, model: nn.Module) -> tuple[tuple[Tensor, ...], Tensor]:
    """The inputs of a step and its targets, of the right shapes."""
    count, side = recipe.batch_size, recipe.image_size
    if recipe.model in models.SIGNALS:
        return (torch.empty(count, side),), torch.zeros(count, dtype=torch.int64)
    views = tuple(torch.empty(count, 3, side, side) for _ in range(2 if isinstance(model, BYOL) else 1))
    if recipe.mixup:
        return views, torch.empty(count, recipe.num_classes)
    maps = (count, side, side) if recipe.task == "segment" else (count,)
    return views, torch.zeros(maps, dtype=torch.int64)


def _state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterable[Tensor]:
    """Every tensor that outlives a step, the last step's gradients with them."""
    yield from model.buffers()
    for parameter in model.parameters():
        yield parameter
        if parameter.grad is not None:
            yield parameter.grad
    for values in optimizer.state.values():
        yield from (value for value in values.values() if isinstance(value, Tensor))


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations cost, and follows the memory of their results until it is freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.moved = self.flops = 0
        self.alive = self.peak = 0
        self._known: set[int] = set()

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count memory that is there already, or that an operation has returned."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self._known:
                self._known.add(key)
                self.alive += size
                weakref.finalize(storage, self._free, key, size)
        self.peak = max(self.peak, self.alive)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.alive -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.hold(results)
        if not func.is_view and func.namespace == "aten":
            operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            self.kernels += 1
            self.moved += sum(tensor.nbytes for tensor in (*operands, *results))
            if func.overloadpacket in flop_registry:
                self.flops += flop_registry[func.overloadpacket](*args, **kwargs, out_val=result)
        return result
