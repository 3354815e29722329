"""One optimiser step: the parts of a batch, loss and gradients, and what fits a device that is too small."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.models.byol import BYOL
from reference.recipes.recipe import Phase, Recipe
from reference.training import TASKS, distributed
from reference.training.numerics import Forward, Numerics

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
"""What a phase's ``optimizer`` may name."""


class DeviceMemoryError(Exception):
    """The device's memory does not hold a training step; says the epoch, how much was tried and what fits."""


def build_optimizer(phase: Phase, model: nn.Module, aux_lr_factor: float) -> torch.optim.Optimizer:
    """Build a phase's optimiser over what is not frozen; an auxiliary head has a learning rate of its own."""
    momentum = {"momentum": phase.momentum} if phase.optimizer == "sgd" else {}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    heads = [p for name, p in trained if name.startswith("aux_classifier.")]
    rest = [p for name, p in trained if not name.startswith("aux_classifier.")]
    groups = [{"params": rest, "lr_factor": 1.0}]
    if heads:
        groups.append({"params": heads, "lr_factor": aux_lr_factor})
    return OPTIMIZERS[phase.optimizer](
        groups, lr=phase.lr, weight_decay=phase.weight_decay, fused=_fused(trained[0][1]), **momentum
    )


def _fused(parameter: Tensor) -> bool:
    """One kernel for all parameters, where torch has it."""
    return parameter.device.type in ("cuda", "cpu")


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load a checkpoint's optimiser state, each tensor laid out in memory as its parameter is.

    Fused optimisers walk memory without looking at strides, and a checkpoint holds contiguous tensors.
    """
    optimizer.load_state_dict(saved)
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = _laid_out_as(parameter, value)


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """``value``, or a copy of it with the strides of ``parameter`` if its own are others."""
    if value.stride() == parameter.stride():
        return value
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    loss: Callable[..., Tensor],
    recipe: Recipe,
    numerics: Numerics,
    *,
    forward: Forward | None = None,
    decay: float = 1.0,
    share: float | Tensor = 1.0,
    gradients: distributed.GradientSum | None = None,
) -> Tensor:
    """One optimiser step on one batch, and after it the step of BYOL's target; the mean loss, detached.

    Of several ranks each has its part of the batch and returns its part of the mean.

    Args:
        inputs: what the network takes, each (B, …), as the task's ``batch`` makes them with ``targets``.
        forward: ``model`` itself, or its compiled form.
        decay: τ of this step.
        share: of the global batch's mean loss that is this rank's.
        gradients: what sums them over ranks.
    """
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=targets.device)
    for part, weight in _parts(inputs, targets, recipe.micro_batch):
        images = (x.to(memory_format=numerics.memory_format) if x.ndim == 4 else x for x in part[:-1])
        with torch.autocast(targets.device.type, torch.bfloat16, enabled=numerics.dtype == "bfloat16"):
            output = (model if forward is None else forward)(*images)
            if len(part[-1]) and float(share):
                part_loss = TASKS[recipe.task].objective(output, part[-1], loss, recipe) * weight * share
            else:
                part_loss = distributed.nothing(output)
        part_loss.backward()
        total = total + part_loss.detach()
    if gradients is not None:
        gradients.finish()
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        if parameter.grad is not None:  # a compiled 1 × 1 convolution's has strides of its own
            parameter.grad = _laid_out_as(parameter, parameter.grad)
    optimizer.step()
    if isinstance(model, BYOL):
        model.ema_update(decay)
    return total


def _parts(
    inputs: tuple[Tensor, ...], targets: Tensor, size: int
) -> Iterator[tuple[tuple[Tensor, ...], float]]:
    """A batch in parts of ``size`` images (0: whole), each with its share of the batch."""
    whole, count = (*inputs, targets), len(targets)
    for start in range(0, max(count, 1), size or max(count, 1)):
        part = tuple(tensor[start : start + (size or count)] for tensor in whole)
        yield part, len(part[-1]) / max(count, 1)


def refuse_parts(recipe: Recipe) -> None:
    """Refuse a ``micro_batch`` where several processes divide each batch already.

    Raises:
        InputError: there are several.
    """
    if recipe.micro_batch and distributed.world().size > 1:
        raise InputError(
            f"--micro-batch {recipe.micro_batch}: {distributed.world().size} processes divide each batch"
            " already, with statistics of all of it; start more of them, or one with --micro-batch"
        )


def interruptible_backward(model: nn.Module) -> None:
    """Let a backward pass on the CPU return to Python at every parameter, where a signal can end it.

    On a large network the backward pass takes seconds inside one torch call, and signals wait for it.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: None)  # type: ignore[no-untyped-call]


def gradient_norm(model: nn.Module) -> Tensor:
    """L2 norm of the whole gradient that the last step used, a scalar on the device."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def what_fits(cause: str, epoch: int, recipe: Recipe, batch: int, step_of: Callable[[Recipe], object]) -> str:
    """Say what did not fit, and the largest half, quarter, … of it that does: steps are tried."""
    tried = recipe.micro_batch or batch
    message = f"epoch {epoch + 1}: {tried} images at once do not fit ({cause})"
    if (ranks := distributed.world().size) > 1:  # which are not at this step: nothing can be tried with them
        each = math.ceil(tried / 2)
        return f"{message}; {2 * ranks} processes would hold {each} each, one takes --micro-batch"
    size = tried // 2
    while size >= 2:
        torch.cuda.empty_cache()
        try:
            step_of(replace(recipe, micro_batch=size))
        except torch.OutOfMemoryError:
            size //= 2
        else:
            return f"{message}; {size} do: --micro-batch {size}, a deviation where there is BatchNorm"
    return f"{message}, nor do 2; use a smaller tier or a larger device"
