"""Hash what a run started from, without the seed: runs of different starts are not seeds of one group.

A fine-tuning with seed 3 starts from the pre-training with seed 3, so every seed starts from other weights.
The seeds of a group must share how those weights were made: recipe, data, numerics, and their own start.
Importing this never imports torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.runs import records, tiers
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

RUN = "run:"
WORDS = {
    "title", "printed", "report", "assumptions", "mask_epochs", "mask_images", "eval_batch_size",
    "embed_epochs", "embed_split", "embed_methods",
}  # fmt: skip
"""Fields of a recipe that describe it and change nothing that it computes."""
DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Recipe)
    if field.default is not dataclasses.MISSING
}
"""What a recipe did before it had a field: some records are older than some fields."""


def present_settings(slug: str, tier: str) -> dict[str, Any] | None:
    """Return a recipe at a tier, as a record holds it; None if there is no such recipe or tier."""
    if slug not in RECIPES or tier not in tiers.TIERS:
        return None
    scaled = tiers.as_dict(tiers.TIERS[tier](RECIPES[slug]))
    settings: dict[str, Any] = json.loads(records.canonical(scaled))
    return settings | tiers.own_sources(RECIPES[slug])


def present_recipe_hash(init: str, tier: str) -> str:
    """Hash the recipe that ``init`` names and the recipes that it starts from; empty if it names no recipe.

    Fields at their default are left out, so that a new field of all recipes does not change the hash.

    >>> present_recipe_hash("scratch", "smoke")
    ''
    >>> present_recipe_hash("run:r3-byol", "smoke") == present_recipe_hash("run:r3-byol", "full")
    False
    """
    slug = init.removeprefix(RUN)
    settings = present_settings(slug, tier) if init.startswith(RUN) else None
    if settings is None:
        return ""
    return records.hash_of([_computed(settings), present_recipe_hash(settings["init"], tier)])


def hash_of_run(recipe: Mapping[str, Any], manifest: str, numerics: Mapping[str, Any], start: str) -> str:
    """Hash a run whose weights another run starts from, without its seed.

    Args:
        recipe: every setting of the run, as in its record.
        start: the hash of that run's own start.
    """
    return records.hash_of([_computed(recipe), manifest, dict(numerics), start])


def hash_of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def hash_of_weights(init: str) -> str:
    """Hash the name of published weights; the file itself is checked against the hash in its name.

    Empty for ``"scratch"``.
    """
    if init == "scratch":
        return ""
    from reference.models.weights import WEIGHTS  # imports torch

    return records.hash_of(WEIGHTS.get(init, init))


def _computed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the result: no words, and no field at its default."""
    defaults = json.loads(records.canonical(DEFAULTS))
    return {
        name: value
        for name, value in recipe.items()
        if name not in WORDS and (name not in defaults or value != defaults[name])
    }
