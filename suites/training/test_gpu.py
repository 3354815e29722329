"""The recipes' full-size networks on a CUDA device: they train, in both number formats, and resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.runs import tiers
from reference.data import DRAWN, open_dataset
from reference.data.dataset import Dataset, hold_out
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training.loop import train
from reference.training.numerics import Numerics

pytestmark = pytest.mark.gpu

# The first recipe of each network: the others differ in what no device knows of.
RECIPE_OF = {recipe.model: recipe for recipe in reversed(RECIPES.values()) if recipe.task != "automask"}
ONE_A_TASK = {RECIPES[slug].model for slug in ("r3-byol", "r4-classify", "r4-seg-b")}
MODELS = [pytest.param(model, marks=pytest.mark.gpu(1) if model in ONE_A_TASK else ()) for model in RECIPE_OF]


def few_images(recipe: Recipe, *, rehearsing: bool, **changes: Any) -> tuple[Recipe, Dataset]:
    """The full-size network on 20 images, a few of its epochs at a rate that suits so few.

    In a rehearsal a narrow network on 4 small images, in two epochs.
    """
    if rehearsing:
        recipe = tiers.smoke(recipe)
        changes = {}
    epochs = 2 if rehearsing else 6
    phases = (replace(recipe.phases[0], epochs=epochs, schedule="constant", lr=1e-3, warmup_epochs=0),)
    shown = (1, epochs) if recipe.mask_epochs else ()
    few = replace(recipe, init="scratch", batch_size=4, phases=phases, mask_epochs=shown, embed_epochs=())
    few = replace(few, eval_steps=0, **changes)
    train, val = (4, 2) if rehearsing else (20, 8)
    if recipe.data in DRAWN:  # used whole, and so cut here
        dataset = open_dataset(recipe.data, None, image_size=few.image_size)
        return few, replace(dataset, train=dataset.train.spread(train), val=dataset.val.spread(val))
    dataset = open_dataset(
        recipe.data,
        None,
        image_size=few.image_size,
        classes=None if recipe.task == "segment" else 2 if rehearsing else 10,
        train_limit=train,
        val_limit=val,
    )
    return replace(few, num_classes=len(dataset.classes)), dataset


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", MODELS)
def test_full_size_network_learns_a_few_images(
    model: str, dtype: str, tmp_path: Path, gpu: str, rehearsing: bool
) -> None:
    recipe, dataset = few_images(RECIPE_OF[model], rehearsing=rehearsing)
    if recipe.task == "classify" and not len(dataset.val):
        dataset = hold_out(dataset)
    numerics = Numerics(device=gpu, dtype=dtype, deterministic=False)
    outcome = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path)
    losses = outcome.curves["train_loss"]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] or rehearsing  # too few steps of too narrow a network
    assert (outcome.peak_memory > 0) == (gpu == "cuda")
    assert all(tensor.device == torch.device("cpu") for tensor in outcome.weights.values())


@pytest.mark.parametrize("slug", ["r4-seg-b", "r1-finetune-a"])
def test_compiled_bfloat16_ends_within_the_spread_of_eager_float32(
    slug: str, tmp_path: Path, gpu: str, rehearsing: bool
) -> None:
    """What lets runs with other numerics count: their figure lies within the seeds' own scatter.

    ``test_compiled.py`` compiles on the CPU; a rehearsal does not.
    """
    eager = Numerics(device=gpu, deterministic=False)
    fast = replace(eager, dtype="bfloat16", channels_last=True, compiled=not rehearsing)
    recipe, dataset = few_images(RECIPES[slug], rehearsing=rehearsing, image_size=128)
    losses = {}
    for name, numerics in (("eager", eager), ("fast", fast)):
        outcomes = [
            train(recipe, dataset, seed=seed, numerics=numerics, folder=tmp_path / f"{name}-{seed}")
            for seed in range(2 if rehearsing else 5)
        ]
        assert not any(outcome.notes for outcome in outcomes)  # it was compiled indeed
        losses[name] = np.array([outcome.curves["train_loss"][-1] for outcome in outcomes])
    spread = losses["eager"].std(ddof=1)
    # Seeds are paired, so the mean difference scatters less than one seed does.
    assert abs((losses["fast"] - losses["eager"]).mean()) < spread or rehearsing


def test_a_split_that_does_not_fit_is_streamed_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str, rehearsing: bool
) -> None:
    recipe, dataset = few_images(RECIPES["r4-seg-b"], rehearsing=rehearsing, image_size=64, width=8)
    numerics = Numerics(device=gpu, deterministic=False)
    held = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path / "held")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 0))
    streamed = train(recipe, dataset, seed=0, numerics=numerics, folder=tmp_path / "streamed")
    assert streamed.curves["train_loss"] == pytest.approx(held.curves["train_loss"], rel=1e-3)


@pytest.mark.gpu(1)
def test_cuda_follows_the_cpu(tmp_path: Path, gpu: str) -> None:
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
        for device, folder in (("cpu", tmp_path / "first"), (gpu, tmp_path / "second"))
    ]
    cpu, cuda = (outcome.curves["train_loss"][0] for outcome in losses)
    # Two steps of float32 with sums in another order: far below what another draw would change (> 1e-2).
    assert cuda == pytest.approx(cpu, rel=1e-3)
