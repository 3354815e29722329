"""Every network's step and every augmentation chain compile as one graph and agree with eager.

``aot_eager`` traces forward and backward as the compiler does and runs the graph with torch's own kernels: a
graph break, or a shape that depends on values, is an error. The slow tests generate code with inductor.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from bench.runs import tiers
from reference import augment, losses, models
from reference.augment import Batch, apply_chain, normalise, to_float
from reference.models.mnist1d import LENGTH
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training import TASKS

TRAINED = {slug: recipe for slug, recipe in RECIPES.items() if recipe.task != "automask"}
FIRST = {(r.task, r.model, r.loss): slug for slug, r in reversed(TRAINED.items())}
"""The first recipe of each network and loss."""
QUICK = {"r2-classify", "r4-seg-b", "mnist1d-cnn"}
CHAINS = sorted({recipe.augment for recipe in RECIPES.values() if recipe.augment})
# The compiler takes no recurrent network apart: torch.nn.GRU is one call to it, which fullgraph refuses.
NOT_COMPILED = {"gru_1d"}


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    with torch.random.fork_rng():
        yield
    torch._dynamo.reset()


def small(recipe: Recipe) -> Recipe:
    """As at smoke tier, on images of half that side where the network allows it."""
    scaled = tiers.smoke(recipe)
    fixed = recipe.model in (*tiers.SMOKE_NETWORKS, *models.SIGNALS)
    return replace(scaled, batch_size=4, image_size=scaled.image_size if fixed else scaled.image_size // 2)


def batch_of(recipe: Recipe) -> tuple[tuple[Tensor, ...], Tensor]:
    """A batch as the training prepares it."""
    generator, side = torch.Generator().manual_seed(0), recipe.image_size
    maps = (recipe.batch_size, side, side) if recipe.task == "segment" else (recipe.batch_size,)
    targets = torch.randint(recipe.num_classes, maps, generator=generator)
    if recipe.model in models.SIGNALS:
        return (torch.randn(recipe.batch_size, LENGTH, generator=generator),), targets
    shape = (recipe.batch_size, side, side, 3)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return TASKS[recipe.task].batch(images, targets, recipe, generator)


class Objective(nn.Module):
    """A recipe's network with its loss: what a step differentiates."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recipe = recipe
        self.network = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
        self.loss = partial(losses.LOSSES[recipe.task][recipe.loss], **dict(recipe.loss_args))

    def forward(self, inputs: tuple[Tensor, ...], targets: Tensor) -> Tensor:
        return TASKS[self.recipe.task].objective(self.network(*inputs), targets, self.loss, self.recipe)


def loss_and_gradients(objective: Any, module: nn.Module, batch: Any) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(1)  # dropout
    loss = objective(*batch)
    loss.backward()
    return loss.detach(), [p.grad for p in module.parameters() if p.grad is not None]


def check_agrees(recipe: Recipe, backend: str, tolerance: float) -> None:
    eager, batch = Objective(recipe), batch_of(recipe)
    module = copy.deepcopy(eager)
    compiled = torch.compile(module, backend=backend, fullgraph=True, dynamic=False)
    expected, gradients = loss_and_gradients(eager, eager, batch)
    found, of_compiled = loss_and_gradients(compiled, module, batch)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert len(of_compiled) == len(gradients) > 0
    for a, b in zip(of_compiled, gradients, strict=True):
        assert (a - b).norm() <= 10 * tolerance * (1 + b.norm())
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize(
    "slug",
    [
        pytest.param(slug, marks=() if slug in QUICK else pytest.mark.slow)
        for slug in FIRST.values()
        if TRAINED[slug].model not in NOT_COMPILED
    ],
)
def test_a_step_is_one_graph(slug: str) -> None:
    check_agrees(small(TRAINED[slug]), "aot_eager", 1e-4)  # sums in another order, through up to 152 layers


@pytest.mark.slow
@pytest.mark.parametrize("slug", ["r4-classify", "r4-seg-b", "r2-seg-b", "r3-byol"])
def test_generated_code_agrees(slug: str) -> None:
    recipe = small(TRAINED[slug])
    if recipe.task == "classify":  # generated code draws dropout of its own
        recipe = replace(recipe, model_args=(*recipe.model_args, ("dropout", 0.0)))
    check_agrees(recipe, "inductor", 1e-3)


@pytest.mark.parametrize("names", CHAINS)
def test_an_augmentation_chain_of_a_device_is_one_graph_for_all_draws(names: tuple[str, ...]) -> None:
    images = torch.randint(256, (6, 16, 16, 3), dtype=torch.uint8)

    def chain(images: Tensor, parameters: list[tuple[Tensor, ...]]) -> Tensor:
        batch = apply_chain(Batch(to_float(images), whole=True), names, parameters)
        return normalise(batch.images, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))

    compiled = torch.compile(chain, backend="aot_eager", fullgraph=True, dynamic=False)
    for seed in range(3):
        draws = augment.Draws(torch.Generator().manual_seed(seed), total=6, start=0, count=6)
        parameters = augment._draw_chain(names, draws, 16, 16, whole=True)
        torch.testing.assert_close(compiled(images, parameters), chain(images, parameters))
    assert counters["stats"]["unique_graphs"] == 1
