"""Which samples each optimiser step trains on."""

from __future__ import annotations

import torch
from torch import Tensor

from reference.recipes.recipe import Recipe
from reference.schedules import steps_before, steps_of_pass
from reference.training.randomness import generator


def batches_of_epoch(recipe: Recipe, samples: int, epoch: int, seed: int) -> list[Tensor]:
    """Return the indices (B,) int64 of each batch of an epoch; they depend on seed and pass alone."""
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
    """Return the order (N,) int64 in which one pass takes the samples."""
    if recipe.order == "fixed":
        return torch.arange(samples)
    return torch.randperm(samples, generator=generator(seed, "order", number))
