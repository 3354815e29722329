"""Learning rates and BYOL's target decay as closed forms of epoch or step: no state, so nothing to resume.

Epochs may be fractional: the training loop passes ``epoch + step / steps_per_epoch``, counted from the start
of the phase. A factor is a multiple of the phase's peak rate.
"""

from __future__ import annotations

import math
from typing import Any

from reference import outside
from reference.errors import InputError
from reference.recipes.recipe import Phase, Recipe

POLY_POWER = 0.9
"""Exponent of the "poly" schedule (Chen et al. 2017, DeepLab, section 4.1)."""


def constant(progress: float) -> float:
    """Return factor 1 for every progress."""
    return 1.0


def cosine(progress: float) -> float:
    """Compute half a cosine from 1 down to 0 (Loshchilov & Hutter 2017, equation 5, one cycle, minimum 0).

    Args:
        progress: share of the schedule that has passed, 0…1.
    """
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def poly(progress: float) -> float:
    """Compute (1 − progress)**0.9, from 1 down to 0; arguments as :func:`cosine`."""
    return math.pow(1.0 - progress, POLY_POWER)


def step(epoch: float, *, step_size: int, gamma: float = 0.1) -> float:
    """Return gamma to the power of the number of whole ``step_size`` epochs that have passed (StepLR).

    Raises:
        InputError: ``step_size`` is no whole number of at least 1.
    """
    if not isinstance(step_size, int) or step_size < 1:
        raise InputError(f"schedule 'step': step_size is {step_size}, expected a whole number from 1")
    return gamma ** int(epoch // step_size)


SCHEDULES = {"constant": constant, "cosine": cosine, "poly": poly, "gradual": cosine}
"""Values of a phase's ``schedule`` that are curves from 1 over the progress of the phase.

"gradual" is :func:`gradual_warmup`, a cosine after a held peak. The others are "step", by
:func:`step`, and import paths.
"""
NAMES = (*SCHEDULES, "step")
"""Values of a phase's ``schedule`` besides import paths."""


def learning_rate(phase: Phase, epoch: float) -> float:
    """Compute the learning rate at an epoch: a linear rise from 0 to the peak, then the phase's schedule.

    The schedule falls over the epochs after the warm-up. After the end of the phase it stays constant.

    Args:
        phase: gives ``lr``, ``epochs``, ``warmup_epochs`` and ``schedule``.
        epoch: epochs since the phase began, fractional, at least 0.

    Raises:
        ValueError: epoch is negative or nan.
        InputError: the warm-up is longer than the phase, the schedule is unknown, or your own one fails.

    Example:
        >>> phase = Phase(optimizer="sgd", lr=0.1, epochs=6, schedule="cosine", warmup_epochs=2)
        >>> [round(learning_rate(phase, epoch), 4) for epoch in range(7)]
        [0.0, 0.05, 0.1, 0.0854, 0.05, 0.0146, 0.0]
    """
    if not epoch >= 0:
        raise ValueError(f"epoch is {epoch}, expected at least 0")
    if phase.warmup_epochs > phase.epochs:
        raise InputError(f"warmup_epochs is {phase.warmup_epochs}, the phase has only {phase.epochs} epochs")
    own = outside.is_own(phase.schedule, "schedule", NAMES)
    if phase.schedule == "gradual":
        return phase.lr * gradual_warmup(epoch, phase.warmup_epochs, phase.epochs - phase.warmup_epochs)
    if epoch < phase.warmup_epochs:
        return phase.lr * linear_warmup(epoch, phase.warmup_epochs)
    falling = phase.epochs - phase.warmup_epochs
    if own:
        return phase.lr * _own_factor(phase, epoch - phase.warmup_epochs, falling)
    if phase.schedule == "step":
        return phase.lr * step(epoch - phase.warmup_epochs, **_arguments_of_step(phase))
    progress = min(1.0, (epoch - phase.warmup_epochs) / falling) if falling else 0.0
    return phase.lr * SCHEDULES[phase.schedule](progress)


def _arguments_of_step(phase: Phase) -> dict[str, Any]:
    """The arguments of :func:`step`; raises InputError unless they are ``step_size`` and maybe ``gamma``."""
    arguments = dict(phase.schedule_args)
    if "step_size" not in arguments or not set(arguments) <= {"step_size", "gamma"}:
        raise InputError(
            f"schedule 'step': schedule_args has {', '.join(arguments) or 'nothing'};"
            " expected step_size, and gamma if it is not 0.1"
        )
    return arguments


def _own_factor(phase: Phase, epoch: float, epochs: int) -> float:
    """What a schedule at an import path returns. Raises InputError if it fails, or returns no rate."""
    schedule = outside.find(phase.schedule, "schedule")
    try:
        factor = schedule(epoch, epochs=epochs, **dict(phase.schedule_args))
    except Exception as error:
        raise InputError(f"schedule {phase.schedule!r}: {outside.message_of(error)}") from error
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor < math.inf:
        raise InputError(
            f"schedule {phase.schedule!r}: returned {factor!r:.80}, expected a multiple of the peak rate"
        )
    return float(factor)


def linear_warmup(epoch: float, warmup_epochs: float) -> float:
    """Return the factor epoch / warmup_epochs, and 1 after the warm-up."""
    return min(1.0, epoch / warmup_epochs) if warmup_epochs else 1.0


def gradual_warmup(epoch: float, warmup_epochs: int, cosine_epochs: int) -> float:
    """Return the factor of R1's scheduler: pytorch-gradual-warmup-lr with multiplier 1 before a cosine.

    Its cosine starts one epoch after the peak is reached, so the peak is held for one epoch more than
    :func:`learning_rate` does: with 5 and 10 epochs 0 .2 .4 .6 .8 1 1 .9755 ….

    Args:
        epoch: epochs since the start, fractional, at least 0.
        warmup_epochs: length of the rise.
        cosine_epochs: length of the fall; afterwards the factor stays 0.
    """
    if epoch <= warmup_epochs:
        return linear_warmup(epoch, warmup_epochs)
    return cosine(min(1.0, max(0.0, epoch - warmup_epochs - 1) / max(1, cosine_epochs)))


def byol_tau(step: int, total_steps: int, base: float = 0.99) -> float:
    """Compute BYOL's target decay after an optimiser step: 1 − (1 − τ₀)·(1 + cos(πk/K))/2, from τ₀ up to 1.

    Grill et al. 2020, section 3.3; τ₀ is .97, .99, .996 for 40, 100–300, 1000 epochs. byol-pytorch keeps
    0.99 constant; a recipe chooses that, not this function.

    Args:
        step: k, optimiser steps taken before this one, 0…K.
        total_steps: K.
        base: τ₀.

    Raises:
        ValueError: step lies outside 0…K, or base outside 0…1.
    """
    if not 0 <= step <= total_steps or total_steps < 1:
        raise ValueError(f"step is {step}, expected 0…{total_steps}")
    if not 0.0 <= base <= 1.0:
        raise ValueError(f"base is {base}, expected 0…1")
    return 1.0 - (1.0 - base) * cosine(step / total_steps)


def steps_of_pass(recipe: Recipe, samples: int) -> int:
    """Count the batches of one pass; a last batch of one sample is dropped, because BatchNorm needs two."""
    steps = math.ceil(samples / recipe.batch_size)
    return steps - 1 if samples % recipe.batch_size == 1 and steps > 1 else steps


def steps_before(recipe: Recipe, samples: int, epoch: int) -> int:
    """Count the optimiser steps before an epoch (0-based); for ``recipe.epochs``, all steps of the run."""
    if recipe.eval_steps == 0:
        return epoch * steps_of_pass(recipe, samples)
    return 0 if epoch == 0 else 1 + recipe.eval_steps * (epoch - 1)
