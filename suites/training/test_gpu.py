"""The recipes' full-size networks on a CUDA device: they train, in both number formats, and resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reference.data import open_dataset
from reference.recipes import RECIPES
from reference.training.loop import Numerics, train

pytestmark = pytest.mark.gpu
TRAINED = [slug for slug, recipe in RECIPES.items() if recipe.task != "automask"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("slug", TRAINED)
def test_full_size_recipe_learns_a_few_images(slug: str, dtype: str, tmp_path: Path) -> None:
    recipe = RECIPES[slug]
    phases = (replace(recipe.phases[0], epochs=6, schedule="constant", lr=0.005),)
    shown = (1, 6) if recipe.mask_epochs else ()
    few = replace(recipe, init="scratch", batch_size=4, phases=phases, mask_epochs=shown)
    classes = 10 if recipe.task == "classify" else None
    dataset = open_dataset(
        recipe.data, None, image_size=recipe.image_size, classes=classes, train_limit=20, val_limit=8
    )
    few = replace(few, num_classes=len(dataset.classes))
    numerics = Numerics(device="cuda", dtype=dtype, deterministic=False)
    outcome = train(few, dataset, seed=0, numerics=numerics, folder=tmp_path)
    losses = outcome.curves["train_loss"]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    assert outcome.peak_memory > 0
    assert all(tensor.device == torch.device("cpu") for tensor in outcome.weights.values())


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
