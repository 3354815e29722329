"""R3: two classifiers, BYOL and five ways to fine-tune on Office-Home, and land cover by two networks.

Printed (R3, problem 1): top-1 0.6515 of VGG13 and 0.8981 of a pretrained ResNet152 with mixup (r3:21).
Printed (R3, problem 2): top-1 of settings A to E 0.5271, 0.5527, 0.5505, 0.2422, 0.2084 (r3:141-145).
Printed (R3, problem 3): mIoU 0.6027 of FCN32s and 0.7467 of DeepLabV3 with Poly-1 (r3:248).
Of the five reports this one states the most: every training has its list of settings. A list that names
no scheduler is read as a constant rate, since the pre-training's does name one (r3:136).
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import Assumption, Phase, Recipe

# Its own statistics, printed for pre-training and fine-tuning (r3:125-126, r3:169-170).
MEAN = (0.4705, 0.4495, 0.4037)
STD = (0.2170, 0.2149, 0.2145)

BYOL = Recipe(
    slug="r3-byol",
    report="r3",
    title="BYOL pre-training of ResNet50",
    task="byol",
    data="miniimagenet",
    model="byol_resnet50",
    model_args=(("bn_views", "separate"), ("target_buffers", "own")),
    num_classes=1,
    image_size=128,
    init="scratch",
    loss="byol_loss",
    batch_size=128,
    phases=(Phase(optimizer="adam", lr=1e-4, epochs=1000, schedule="cosine"),),
    augment=("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "random_resized_crop"),
    mean=MEAN,
    std=STD,
    tau=0.99,
    selection="final",
    assumptions=(
        Assumption(
            field="T_max",
            value="the whole training, down to 0",
            why="not stated; the scheduler's only argument without a default, in its usual use",
        ),
        Assumption(field="weight_decay", value="0", why="not stated; Adam's default"),
        Assumption(field="init", value="scratch", why="not stated; the pre-training is to do without labels"),
        Assumption(
            field="tau",
            value="0.99, constant",
            why="not stated; byol-pytorch's, whose augmentations these are",
        ),
        Assumption(
            field="hidden and output sizes of the MLPs",
            value="4096 and 256",
            why="not stated; the paper's and byol-pytorch's",
        ),
        Assumption(
            field="bn_views",
            value="each view normalised by its own statistics",
            why="not stated; as in the paper, and in the byol-pytorch of the report's year",
        ),
        Assumption(
            field="target_buffers",
            value="the target's BatchNorm statistics are of its own forwards",
            why="not stated; byol-pytorch's",
        ),
        Assumption(
            field="selection",
            value="last epoch",
            why="not stated; the loss is no measure of what was learned, and there is no validation split",
        ),
    ),
)

_FINETUNE_ASSUMPTIONS = (
    Assumption(field="dropout rate", value="0.5", why="not stated; torch's default"),
    Assumption(field="weight_decay", value="0", why="not stated; Adam's default"),
    Assumption(
        field="schedule",
        value="constant",
        why="not stated; the list of settings names no scheduler, the pre-training's does (r3:136)",
    ),
    Assumption(
        field="selection",
        value="best validation epoch",
        why="not stated; the printed figure is taken as the best that was seen",
    ),
)

_HANDED_OUT = Assumption(
    field="init",
    value="the run of recipe supervised, the 1000-way layer fresh",
    why="the backbone was handed out (r3:141); how it was trained is not said, so one is trained here",
)

_FROZEN = Assumption(
    field="frozen",
    value="all of ResNet50, its fresh 1000-way layer included",
    why="not stated; the backbone is what is fixed (r3:144-145), and ResNet50 is printed whole (r3:176)",
)

FINETUNE_A = Recipe(
    slug="r3-finetune-a",
    report="r3",
    title="Office-Home, setting A: no pre-training, whole network",
    task="classify",
    data="officehome",
    model="resnet50_dropout",
    num_classes=65,
    image_size=128,
    init="scratch",
    loss="cross_entropy",
    batch_size=64,
    phases=(Phase(optimizer="adam", lr=5e-4, epochs=150),),
    augment=("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "random_resized_crop"),
    mean=MEAN,
    std=STD,
    selection="best",
    assumptions=_FINETUNE_ASSUMPTIONS,
)

FINETUNE_B = replace(
    FINETUNE_A,
    slug="r3-finetune-b",
    title="Office-Home, setting B: supervised backbone, whole network",
    init="run:supervised",
    assumptions=(*_FINETUNE_ASSUMPTIONS, _HANDED_OUT),
)

FINETUNE_C = replace(
    FINETUNE_A,
    slug="r3-finetune-c",
    title="Office-Home, setting C: BYOL backbone, whole network",
    init="run:r3-byol",
)

FINETUNE_D = replace(
    FINETUNE_A,
    slug="r3-finetune-d",
    title="Office-Home, setting D: supervised backbone, classifier alone",
    init="run:supervised",
    model_args=(("frozen", True),),
    assumptions=(*_FINETUNE_ASSUMPTIONS, _HANDED_OUT, _FROZEN),
)

FINETUNE_E = replace(
    FINETUNE_A,
    slug="r3-finetune-e",
    title="Office-Home, setting E: BYOL backbone, classifier alone",
    init="run:r3-byol",
    model_args=(("frozen", True),),
    assumptions=(*_FINETUNE_ASSUMPTIONS, _FROZEN),
)
