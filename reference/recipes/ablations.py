"""Ablations of the reports' gains: each recipe is another recipe with one change.

No report prints them. The reports name the parts of their gains, and R4 names the pair that it had no time to
run (r4:438). Each recipe keeps the training of the recipe that it is compared with, including assumptions.

R4's gain (ResNet34 and FCN8s at once) is the 2×2 of r4-seg-a, r4-seg-b, ``ablation-resnet34-fcn32s`` and
``ablation-vgg16-fcn8s``.

R2's gain from r2-seg-a to r2-seg-b has seven named steps (r2:265-275):

==========================  =========================================================================
BatchNorm in the backbone   r2-seg-b against ``ablation-r2-seg-b-no-batch-norm``
pool3 and pool4             r2-seg-b against ``ablation-r2-seg-b-no-skips``
padding 1 instead of 100    ``ablation-fcn32s-no-padding`` against r2-seg-a
no crop                     the same: with padding 1 the crop removes the transposed convolution's own
                            overlap, 16 pixels a side, as its argument ``padding`` would
normalisation               r2-seg-b against ``ablation-r2-seg-b-no-normalisation``
focal loss                  r2-seg-b against ``ablation-r2-seg-b-cross-entropy``
Adam, then SGD              r2-seg-b against r2-seg-b-adam
==========================  =========================================================================
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes import r2, r3, r4
from reference.recipes.recipe import Assumption, Recipe

UNKNOWN = 6
"""Index of unknown pixels in land-cover masks."""


def _but(recipe: Recipe, *fields: str) -> tuple[Assumption, ...]:
    """Return a recipe's assumptions, except those on fields that an ablation sets or does not need."""
    return tuple(a for a in recipe.assumptions if a.field not in fields)


# R4: is the gain the ResNet's or FCN8's?

RESNET34_FCN32S = replace(
    r4.SEG_B,
    slug="ablation-resnet34-fcn32s",
    printed="",
    title="ResNet34-FCN32s: r4-seg-b without its skips",
    model="fcn32s_resnet34",
)

VGG16_FCN8S = replace(
    r4.SEG_A,
    slug="ablation-vgg16-fcn8s",
    printed="",
    title="VGG16-FCN8s: r4-seg-a with skips",
    model="fcn8s_vgg16",
)

R4_IGNORE_UNKNOWN = replace(
    r4.SEG_B,
    slug="ablation-r4-seg-b-ignore-unknown",
    printed="",
    title="r4-seg-b with unknown pixels left out of the loss",
    loss_args=(("ignore_index", UNKNOWN),),
    assumptions=(
        *_but(r4.SEG_B, "loss"),
        Assumption(field="loss", value="cross-entropy", why="not stated; r4-seg-b's, but for unknown pixels"),
    ),
)

# R2: seven steps from FCN32s to FCN8s.

R2_CROSS_ENTROPY = replace(
    r2.SEG_B,
    slug="ablation-r2-seg-b-cross-entropy",
    printed="",
    title="r2-seg-b with cross-entropy",
    loss="cross_entropy",
    loss_args=(),
    assumptions=_but(r2.SEG_B, "gamma", "alpha"),
)

R2_NO_BATCH_NORM = replace(
    r2.SEG_B,
    slug="ablation-r2-seg-b-no-batch-norm",
    printed="",
    title="r2-seg-b over VGG16 without BatchNorm",
    model_args=(("batch_norm", False),),
    init="vgg16",
    assumptions=(
        *_but(r2.SEG_B, "init"),
        Assumption(
            field="init",
            value="torchvision's ImageNet VGG16 trunk, scores of fc7 and pool3 from zero",
            why="not stated; the same as r2-seg-b's, without BatchNorm",
        ),
    ),
)

R2_NO_NORMALISATION = replace(
    r2.SEG_B,
    slug="ablation-r2-seg-b-no-normalisation",
    printed="",
    title="r2-seg-b with images in 0 to 1",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    assumptions=_but(r2.SEG_B, "normalisation"),
)

R2_NO_SKIPS = replace(
    r2.SEG_B,
    slug="ablation-r2-seg-b-no-skips",
    printed="",
    title="r2-seg-b from pool5 alone",
    model_args=(("skips", False),),
)

FCN32S_NO_PADDING = replace(
    r2.SEG_A,
    slug="ablation-fcn32s-no-padding",
    printed="",
    title="r2-seg-a with VGG16's own padding of 1",
    model_args=(("padding", 1),),
    assumptions=(
        *r2.SEG_A.assumptions,
        Assumption(
            field="padding of fc6",
            value="3",
            why="its 7×7 window needs the room that the padding of 100 made",
        ),
    ),
)

# R3: which loss, which augmentation, which part of model B.

R3_CROSS_ENTROPY = replace(
    r3.SEG_B,
    slug="ablation-r3-seg-b-cross-entropy",
    printed="",
    title="r3-seg-b with cross-entropy",
    loss="cross_entropy",
    loss_args=(),
    assumptions=_but(r3.SEG_B, "epsilon"),
)

R3_FOCAL = replace(
    r3.SEG_B,
    slug="ablation-r3-seg-b-focal",
    printed="",
    title="r3-seg-b with focal loss",
    loss="focal",
    loss_args=(("gamma", 2.0),),
    assumptions=(
        *_but(r3.SEG_B, "epsilon"),
        Assumption(field="gamma", value="2", why="as R2's; the paper's"),
        Assumption(field="alpha", value="none", why="as R2's; the report weighs no class"),
    ),
)

R3_FLIPS = replace(
    r3.SEG_A,
    slug="ablation-r3-seg-a-flips",
    printed="",
    title="r3-seg-a with horizontal flips",
    augment=("horizontal_flip",),
)

R3_RESNET50 = replace(
    r3.CLASSIFY_B,
    slug="ablation-r3-classify-b-resnet50",
    printed="",
    title="r3-classify-b with ResNet50",
    model="resnet50",
    init="resnet50",
)

R3_RESNET18 = replace(
    r3.CLASSIFY_B,
    slug="ablation-r3-classify-b-resnet18",
    printed="",
    title="r3-classify-b with ResNet18",
    model="resnet18",
    init="resnet18",
)

R3_NO_MIXUP = replace(
    r3.CLASSIFY_B,
    slug="ablation-r3-classify-b-no-mixup",
    printed="",
    title="r3-classify-b without mixup, on hard labels",
    loss="cross_entropy",
    mixup=0.0,
    mixup_smoothing=0.0,
    assumptions=_but(r3.CLASSIFY_B, "mixup alpha", "label smoothing"),
)

R3_SCRATCH = replace(
    r3.CLASSIFY_B,
    slug="ablation-r3-classify-b-scratch",
    printed="",
    title="r3-classify-b from scratch",
    init="scratch",
)
