"""One optimiser step: the parts of a batch, loss and gradients, and which part fits a small device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reference import losses, outside
from reference.errors import InputError
from reference.models.byol import BYOL
from reference.recipes.recipe import Phase, Recipe
from reference.training import TASKS, distributed
from reference.training.numerics import Forward, Numerics

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}
"""What a phase's ``optimizer`` may name, besides import paths."""


class DeviceMemoryError(Exception):
    """A training step does not fit the device's memory. The message says the epoch and what fits."""


def build_loss(recipe: Recipe) -> losses.Loss:
    """Return a recipe's loss with its ``loss_args``; errors as of ``reference.losses.named``."""
    return partial(losses.named(recipe.task, recipe.loss), **dict(recipe.loss_args))


def build_optimizer(phase: Phase, model: nn.Module, aux_lr_factor: float) -> torch.optim.Optimizer:
    """Build a phase's optimiser over all trained parameters; an auxiliary head has its own learning rate.

    Raises:
        InputError: no such optimiser, or it does not take these arguments.
    """
    momentum: dict[str, Any] = {"momentum": phase.momentum} if phase.optimizer == "sgd" else {}
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    heads = [p for name, p in trained if name.startswith("aux_classifier.")]
    rest = [p for name, p in trained if not name.startswith("aux_classifier.")]
    groups = [{"params": rest, "lr_factor": 1.0}]
    if heads:
        groups.append({"params": heads, "lr_factor": aux_lr_factor})
    own = outside.is_own(phase.optimizer, "optimizer", OPTIMIZERS)
    builder = outside.find(phase.optimizer, "optimizer") if own else OPTIMIZERS[phase.optimizer]
    fused = {} if own or phase.optimizer == "rmsprop" else {"fused": _fused(trained[0][1])}
    arguments = momentum | fused | dict(phase.optimizer_args)
    try:
        optimizer = builder(groups, lr=phase.lr, weight_decay=phase.weight_decay, **arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer {phase.optimizer!r}: {outside.message_of(error)}") from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(
            f"optimizer {phase.optimizer!r}: returned {type(optimizer).__name__},"
            " expected a torch.optim.Optimizer"
        )
    return optimizer


def _fused(parameter: Tensor) -> bool:
    """Return whether torch can update all parameters in one kernel."""
    return parameter.device.type in ("cuda", "cpu")


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load a checkpoint's optimiser state; each tensor gets the memory layout of its parameter.

    Fused optimisers walk memory without looking at strides, and a checkpoint holds contiguous tensors.
    """
    optimizer.load_state_dict(saved)
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = _laid_out_as(parameter, value)


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return ``value``, or a copy with the strides of ``parameter`` if they differ."""
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
) -> Tensor:
    """Make one optimiser step on one batch, then update BYOL's target; return the mean loss, detached.

    With several ranks, each holds its part of the batch and returns its part of the mean.

    Args:
        inputs: what the network takes, each (B, …), as the task's ``batch`` makes them with ``targets``.
        forward: ``model`` itself, its compiled form, or what sums its gradients over ranks.
        decay: τ of this step.
        share: of the global batch's mean loss that is this rank's.
    """
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=targets.device)
    for part, weight in _parts(inputs, targets, recipe):
        images = (x.to(memory_format=numerics.memory_format) if x.ndim == 4 else x for x in part[:-1])
        with torch.autocast(targets.device.type, torch.bfloat16, enabled=numerics.dtype == "bfloat16"):
            output = (model if forward is None else forward)(*images)
            if len(part[-1]):
                part_loss = TASKS[recipe.task].objective(output, part[-1], loss, recipe)
                if isinstance(weight, Tensor):  # the mean over no targets is nan
                    part_loss = part_loss.masked_fill(~(weight > 0), 0.0)
                part_loss = part_loss * weight * share
            else:
                part_loss = distributed.nothing(output)
        with distributed.ended_if_a_rank_is_lost():
            (part_loss * distributed.world().size).backward()
        total = total + part_loss.detach()
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        if parameter.grad is not None:  # a compiled 1 × 1 convolution's has strides of its own
            parameter.grad = _laid_out_as(parameter, parameter.grad)
    optimizer.step()
    if isinstance(model, BYOL):
        model.ema_update(decay)
    return total


def _parts(
    inputs: tuple[Tensor, ...], targets: Tensor, recipe: Recipe
) -> Iterator[tuple[tuple[Tensor, ...], float | Tensor]]:
    """Yield parts of at most ``micro_batch`` images, each with its share of the batch's mean loss."""
    number = len(part_sizes(len(targets), recipe.micro_batch)) or 1
    every = distributed.counted(targets, recipe)
    for part in zip(*(torch.tensor_split(whole, number) for whole in (*inputs, targets)), strict=True):
        here = distributed.counted(part[-1], recipe)
        yield part, here / (every.clamp(min=1) if isinstance(every, Tensor) else max(every, 1))


def part_sizes(count: int, most: int) -> list[int]:
    """Divide ``count`` images into the fewest parts of at most ``most``, as even as possible.

    ``most`` = 0 is one part. The larger ones come first, as ``torch.tensor_split`` makes them.
    """
    number = math.ceil(count / most) if most else min(count, 1)
    return [count // number + (index < count % number) for index in range(number)]


def refuse_parts(recipe: Recipe, samples: int, model: nn.Module) -> None:
    """Refuse a ``micro_batch`` that cannot train this network on so many images.

    Raises:
        InputError: several processes divide each batch already, or an image would be alone where a network
            with BatchNorm needs two.
    """
    if recipe.micro_batch and distributed.world().size > 1:
        raise InputError(
            f"--micro-batch {recipe.micro_batch}: {distributed.world().size} processes divide each batch"
            " already, with statistics of all of it; start more of them, or one with --micro-batch"
        )
    if recipe.micro_batch and recipe.micro_batch < (least := _smallest_micro_batch(recipe, samples, model)):
        raise InputError(
            f"--micro-batch {recipe.micro_batch}: of {samples} images in batches of {recipe.batch_size} one"
            f" would be alone, and {recipe.model} has BatchNorm, which needs two; use {least} or more"
        )


def _smallest_micro_batch(recipe: Recipe, samples: int, model: nn.Module) -> int:
    """Return the least ``micro_batch`` that gives BatchNorm at least two images in every part."""
    if not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules()):
        return 1
    batches = {min(samples, recipe.batch_size), samples % recipe.batch_size} - {0, 1}
    if recipe.mixup:
        batches = {count // 2 * 2 for count in batches}
    return 2 if all(count % 2 == 0 for count in batches) else 3


def interruptible_backward(model: nn.Module) -> None:
    """Let a backward pass on the CPU return to Python at every parameter, where a signal can end it.

    On a large network the backward pass takes seconds inside one torch call, and signals wait for it.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: None)  # type: ignore[no-untyped-call]


def gradient_norm(model: nn.Module) -> Tensor:
    """Return the L2 norm of the whole gradient of the last step, a scalar on the device."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def what_fits(
    cause: str,
    epoch: int,
    recipe: Recipe,
    batch: int,
    samples: int,
    model: nn.Module,
    step_of: Callable[[Recipe], object],
) -> str:
    """Say what did not fit, and the largest half, quarter, … of it that does: steps are tried.

    Args:
        cause: what the device said.
        batch: images of the step that did not fit; ``samples`` are those of an epoch.
        step_of: takes one step with the recipe's ``micro_batch``.
    """
    tried = recipe.micro_batch or batch
    message = f"epoch {epoch + 1}: {tried} images at once do not fit ({cause})"
    if (ranks := distributed.world().size) > 1:  # which are not at this step: nothing can be tried with them
        each = math.ceil(tried / 2)
        return f"{message}; {2 * ranks} processes would hold {each} each, one takes --micro-batch"
    least = max(2, _smallest_micro_batch(recipe, samples, model))  # the command takes no less than 2
    size = tried
    while size > least:
        size = max(size // 2, least)
        torch.cuda.empty_cache()
        try:
            step_of(replace(recipe, micro_batch=size))
        except torch.OutOfMemoryError:
            continue
        size = max(part_sizes(batch, size)[0], least)  # another batch may have parts as large as is allowed
        return f"{message}; {size} do: --micro-batch {size}, a deviation where there is BatchNorm"
    fewer = f", nor do {least}" if tried > least else ""
    return f"{message}{fewer}; use a smaller tier or a larger device"
