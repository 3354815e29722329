"""Every recipe by its slug. Importing this never imports torch, so that listings answer at once."""

from __future__ import annotations

from reference.recipes import ablations, r1, r2, r3, r4, r5, supervised
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
        r1.SEG_A,
        r1.SEG_B,
        r1.SAM,
        r2.CLASSIFY,
        r2.SEG_A,
        r2.SEG_B,
        r2.SEG_B_ADAM,
        r3.CLASSIFY_A,
        r3.CLASSIFY_B,
        r3.BYOL,
        r3.FINETUNE_A,
        r3.FINETUNE_B,
        r3.FINETUNE_C,
        r3.FINETUNE_D,
        r3.FINETUNE_E,
        r3.SEG_A,
        r3.SEG_B,
        r4.CLASSIFY,
        r4.SEG_A,
        r4.SEG_B,
        r5.BYOL,
        r5.FINETUNE_A,
        r5.FINETUNE_B,
        r5.FINETUNE_C,
        r5.FINETUNE_D,
        r5.FINETUNE_E,
        r5.SEG_A,
        r5.SEG_B,
        supervised.SUPERVISED,
        ablations.RESNET34_FCN32S,
        ablations.VGG16_FCN8S,
        ablations.R4_IGNORE_UNKNOWN,
        ablations.R2_CROSS_ENTROPY,
        ablations.R2_NO_BATCH_NORM,
        ablations.R2_NO_NORMALISATION,
        ablations.R2_NO_SKIPS,
        ablations.FCN32S_NO_PADDING,
        ablations.R3_CROSS_ENTROPY,
        ablations.R3_FOCAL,
        ablations.R3_FLIPS,
        ablations.R3_RESNET50,
        ablations.R3_RESNET18,
        ablations.R3_NO_MIXUP,
        ablations.R3_SCRATCH,
    )
}
