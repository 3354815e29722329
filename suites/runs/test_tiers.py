"""Tiers: what is scaled down is said, and nothing else is touched."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from bench.runs import tiers
from reference.data import DRAWN
from reference.recipes import RECIPES, r4
from reference.recipes.recipe import Phase, Recipe

EVERY = list(RECIPES.values())
TRAINED = [recipe for recipe in EVERY if recipe.task != "automask"]


@pytest.mark.parametrize("recipe", EVERY, ids=lambda r: r.slug)
def test_full_changes_nothing(recipe: Recipe) -> None:
    assert tiers.apply(recipe, "full") == (recipe, ())


@pytest.mark.parametrize("tier", ["smoke", "gpu"])
@pytest.mark.parametrize("recipe", EVERY, ids=lambda r: r.slug)
def test_every_changed_field_is_a_deviation(recipe: Recipe, tier: str) -> None:
    scaled, deviations = tiers.apply(recipe, tier)
    changed = {f.name for f in fields(Recipe) if getattr(recipe, f.name) != getattr(scaled, f.name)}
    assert changed == {d.field for d in deviations}
    assert all(d.why and d.printed != d.used for d in deviations)


@pytest.mark.parametrize("recipe", EVERY, ids=lambda r: r.slug)
def test_gpu_keeps_network_and_image(recipe: Recipe) -> None:
    scaled, deviations = tiers.apply(recipe, "gpu")
    assert {d.field for d in deviations} <= {"phases", "mask_epochs", "embed_epochs"}
    drawn = recipe.data in tiers.DRAWN  # seconds long: as printed at both tiers
    assert scaled.epochs == (recipe.epochs if drawn else min(recipe.epochs, tiers.GPU_EPOCHS))


def test_drawn_official_data_are_used_as_printed_with_seeds_for_a_verdict() -> None:
    assert set(tiers.DRAWN) == set(DRAWN)
    for recipe in EVERY:
        drawn = recipe.data in DRAWN
        assert tiers.default(recipe) == ("full" if drawn else "smoke")
        assert tiers.default_seeds(recipe) == (3 if drawn else 1)


@pytest.mark.parametrize("recipe", TRAINED, ids=lambda r: r.slug)
def test_smoke_needs_no_pretrained_file_and_is_small(recipe: Recipe) -> None:
    scaled, _ = tiers.apply(recipe, "smoke")
    assert scaled.init == (recipe.init if recipe.init.startswith("run:") else "scratch")
    assert scaled.width < recipe.width
    assert scaled.epochs <= 30
    assert dict(scaled.model_args).get("padding", 0) <= 1
    for printed, shown in (
        (recipe.mask_epochs, scaled.mask_epochs),
        (recipe.embed_epochs, scaled.embed_epochs),
    ):
        assert all(1 <= epoch <= scaled.epochs for epoch in shown)
        assert len(shown) == len(printed)
        assert (shown[-1:] == (scaled.epochs,)) or printed[-1:] != (recipe.epochs,)


def test_automatic_masks_are_the_same_at_every_tier() -> None:
    """There is nothing to shorten, and without the published weights nothing to see."""
    (recipe,) = [recipe for recipe in EVERY if recipe.task == "automask"]
    assert all(tiers.apply(recipe, tier) == (recipe, ()) for tier in tiers.TIERS)


def test_shortened_phases_keep_their_order_and_share() -> None:
    two = (Phase(optimizer="adam", lr=1e-3, epochs=70), Phase(optimizer="sgd", lr=1e-2, epochs=30))
    scaled, deviations = tiers.apply(replace(r4.SEG_B, phases=two), "gpu")
    assert [(p.optimizer, p.epochs) for p in scaled.phases] == [("adam", 7), ("sgd", 3)]
    said = next(d for d in deviations if d.field == "phases")
    assert said.printed == "adam lr 0.001, 70 epochs → sgd lr 0.01, 30 epochs"


def test_a_schedule_that_is_short_already_stays() -> None:
    short = replace(r4.SEG_B, phases=(Phase(optimizer="sgd", lr=0.1, epochs=3),), mask_epochs=(1, 3))
    assert tiers.gpu(short) == short
