"""The recipes' full-size networks on a CUDA device: they train, in both number formats, and resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reference.data import open_dataset
from reference.data.dataset import Dataset, hold_out
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training.loop import train
from reference.training.numerics import Numerics

pytestmark = pytest.mark.gpu
TRAINED = [slug for slug, recipe in RECIPES.items() if recipe.task != "automask"]


# The first recipe of each network: the others differ in what no device knows of.
RECIPE_OF = {recipe.model: recipe for recipe in reversed(RECIPES.values()) if recipe.task != "automask"}


def few_images(recipe: Recipe, **changes: Any) -> tuple[Recipe, Dataset]:
    """The full-size network on 20 images, a few of its epochs at a rate that suits so few."""
    phases = (replace(recipe.phases[0], epochs=6, schedule="constant", lr=1e-3, warmup_epochs=0),)
    shown = (1, 6) if recipe.mask_epochs else ()
    few = replace(recipe, init="scratch", batch_size=4, phases=phases, mask_epochs=shown, embed_epochs=())
    few = replace(few, **changes)
    dataset = open_dataset(
        recipe.data,
        None,
        image_size=few.image_size,
        classes=None if recipe.task == "segment" else 10,
        train_limit=20,
        val_limit=8,
    )
    return replace(few, num_classes=len(dataset.classes)), dataset


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", RECIPE_OF)
def test_full_size_network_learns_a_few_images(model: str, dtype: str, tmp_path: Path) -> None:
    recipe, dataset = few_images(RECIPE_OF[model])
    if recipe.task == "classify" and not len(dataset.val):
        dataset = hold_out(dataset)
    numerics = Numerics(device="cuda", dtype=dtype, deterministic=False)
    outcome = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path)
    losses = outcome.curves["train_loss"]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    assert outcome.peak_memory > 0
    assert all(tensor.device == torch.device("cpu") for tensor in outcome.weights.values())


@pytest.mark.parametrize("slug", ["r4-seg-b", "r1-finetune-a"])
def test_compiled_bfloat16_ends_within_the_spread_of_eager_float32(slug: str, tmp_path: Path) -> None:
    """What lets runs with other numerics count: their figure lies within the seeds' own scatter."""
    eager = Numerics(device="cuda", deterministic=False)
    fast = replace(eager, dtype="bfloat16", channels_last=True, compiled=True)
    recipe, dataset = few_images(RECIPES[slug], image_size=128)
    losses = {}
    for name, numerics in (("eager", eager), ("fast", fast)):
        outcomes = [
            train(recipe, dataset, seed=seed, numerics=numerics, folder=tmp_path / f"{name}-{seed}")
            for seed in range(5)
        ]
        assert not any(outcome.notes for outcome in outcomes)  # it was compiled indeed
        losses[name] = np.array([outcome.curves["train_loss"][-1] for outcome in outcomes])
    spread = losses["eager"].std(ddof=1)
    # Seeds are paired, so the mean difference scatters less than one seed does.
    assert abs((losses["fast"] - losses["eager"]).mean()) < spread


def test_a_split_that_does_not_fit_is_streamed_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, dataset = few_images(RECIPES["r4-seg-b"], image_size=64, width=8)
    numerics = Numerics(device="cuda", deterministic=False)
    held = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path / "held")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    streamed = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path / "streamed")
    assert streamed.curves["train_loss"] == pytest.approx(held.curves["train_loss"], rel=1e-3)


def test_cuda_follows_the_cpu(tmp_path: Path) -> None:
    """The same keyed draws: one epoch on either device gives the same losses but for rounding."""
    recipe = replace(
        RECIPES["r4-seg-b"],
        width=8,
        image_size=64,
        init="scratch",
        phases=(replace(RECIPES["r4-seg-b"].phases[0], epochs=1),),
        mask_epochs=(),
    )
    dataset = open_dataset("landcover", None, image_size=64, train_limit=16, val_limit=4)
    losses = [
        train(recipe, dataset, seed=0, numerics=Numerics(device=device, deterministic=False), folder=folder)
        for device, folder in (("cpu", tmp_path / "cpu"), ("cuda", tmp_path / "cuda"))
    ]
    cpu, cuda = (outcome.curves["train_loss"][0] for outcome in losses)
    # Two steps of float32 with sums in another order: far below what another draw would change (> 1e-2).
    assert cuda == pytest.approx(cpu, rel=1e-3)
