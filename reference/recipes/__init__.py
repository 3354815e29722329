"""Every recipe by its slug. Importing this never imports torch, so that listings answer at once."""

from __future__ import annotations

from reference.recipes import r1, r3, r4, r5, supervised
from reference.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.slug: recipe
    for recipe in (
        r1.BYOL,
        r1.FINETUNE_A,
        r1.FINETUNE_B,
        r1.FINETUNE_C,
        r1.FINETUNE_C_400,
        r1.FINETUNE_D,
        r1.FINETUNE_E,
        r3.BYOL,
        r3.FINETUNE_A,
        r3.FINETUNE_B,
        r3.FINETUNE_C,
        r3.FINETUNE_D,
        r3.FINETUNE_E,
        r4.CLASSIFY,
        r4.SEG_A,
        r4.SEG_B,
        r5.BYOL,
        r5.FINETUNE_A,
        r5.FINETUNE_B,
        r5.FINETUNE_C,
        r5.FINETUNE_D,
        r5.FINETUNE_E,
        supervised.SUPERVISED,
    )
}
