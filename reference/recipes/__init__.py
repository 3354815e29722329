"""Every recipe by its slug. Importing this never imports torch, so that listings answer at once."""

from __future__ import annotations

from reference.recipes import r4
from reference.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.slug: recipe
    for recipe in (
        r4.CLASSIFY,
        r4.SEG_A,
        r4.SEG_B,
    )
}
