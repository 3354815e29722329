"""Which samples each optimiser step trains on, and how many steps lie between two evaluations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reference.recipes.recipe import Recipe
from reference.training.randomness import generator


def steps_of_pass(recipe: Recipe, samples: int) -> int:
    """Batches of one pass over the split. A last batch of one sample is dropped: batch statistics need two."""
    steps = math.ceil(samples / recipe.batch_size)
    return steps - 1 if samples % recipe.batch_size == 1 and steps > 1 else steps


def steps_before(recipe: Recipe, samples: int, epoch: int) -> int:
    """Optimiser steps made before an epoch (0-based) begins; of ``recipe.epochs``, all steps of the run."""
    if recipe.eval_steps == 0:
        return epoch * steps_of_pass(recipe, samples)
    return 0 if epoch == 0 else 1 + recipe.eval_steps * (epoch - 1)


def batches_of_epoch(recipe: Recipe, samples: int, epoch: int, seed: int) -> list[Tensor]:
    """Indices (B,) int64 of each batch of an epoch, keyed by seed and pass, so a resumed run repeats them."""
    per_pass = steps_of_pass(recipe, samples)
    passes: dict[int, tuple[Tensor, ...]] = {}
    batches = []
    for step in range(steps_before(recipe, samples, epoch), steps_before(recipe, samples, epoch + 1)):
        number, position = divmod(step, per_pass)
        if number not in passes:
            passes[number] = torch.split(_order(recipe, samples, number, seed), recipe.batch_size)
        batches.append(passes[number][position])
    return batches


def _order(recipe: Recipe, samples: int, number: int, seed: int) -> Tensor:
    """The order (N,) int64 in which one pass takes the samples."""
    if recipe.order == "fixed":
        return torch.arange(samples)
    return torch.randperm(samples, generator=generator(seed, "order", number))
