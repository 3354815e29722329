"""R5: BYOL on mini-ImageNet, five ways to fine-tune on Office-Home, and two networks for land cover.

Printed (R5, problem 1): top-1 of settings A to E 62.1, 61.3, 63.5, 26.0, 47.9 % (r5:55-59), and 14.5 % of
setting C after its first epoch (r5:68). The report breaks off before any mIoU, so its segmentation networks
have recipes but no figure. For fine-tuning it states classifier, backbones and setting C's epochs.
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

BYOL = Recipe(
    slug="r5-byol",
    report="r5",
    title="BYOL pre-training of ResNet50",
    task="byol",
    data="miniimagenet",
    model="byol_resnet50",
    model_args=(("bn_views", "joint"), ("target_buffers", "own")),
    num_classes=64,
    image_size=128,
    init="scratch",
    loss="byol_loss",
    batch_size=256,
    phases=(Phase(optimizer="adam", lr=1e-5, epochs=1000, schedule="cosine", warmup_epochs=10),),
    augment=("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "random_resized_crop"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    tau=0.99,
    selection="final",
    assumptions=(
        Assumption(field="warmup_epochs", value="10", why="not stated; the paper's"),
        Assumption(field="weight_decay", value="0", why="not stated; Adam's default"),
        Assumption(field="init", value="scratch", why="not stated; the pre-training is to do without labels"),
        Assumption(
            field="loss",
            value="2 - 2 cos, both directions summed",
            why="not stated; BYOL's, in the form of byol-pytorch, which the report links (r5:11)",
        ),
        Assumption(field="tau", value="0.99, constant", why="not stated; byol-pytorch's"),
        Assumption(
            field="hidden and output sizes of the MLPs",
            value="4096 and 256",
            why="not stated; the paper's and byol-pytorch's",
        ),
        Assumption(
            field="bn_views",
            value="both views normalised by common statistics",
            why="not stated; as in byol-pytorch, which the report links (r5:11), since 0.7.2 of 16 November"
            " 2023. The report's year, 2024, is known from outside it",
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
    Assumption(field="activation", value="ReLU", why="not stated; without one two layers were one"),
    Assumption(
        field="place of the dropout",
        value="between the two layers, after the activation",
        why="not stated; the usual place",
    ),
    Assumption(
        field="optimizer",
        value="Adam without weight decay",
        why="not stated; that of its pre-training (r5:42), and R3's for the same task (r3:180)",
    ),
    Assumption(field="lr", value="5e-4", why="not stated; R3's for the same task (r3:178)"),
    Assumption(field="batch_size", value="64", why="not stated; R3's for the same task (r3:175)"),
    Assumption(
        field="schedule",
        value="cosine to 0",
        why="not stated; that of its pre-training (r5:43), whose warm-up a pretrained network can do without",
    ),
    Assumption(field="loss", value="cross-entropy", why="not stated; one label an image"),
    Assumption(
        field="augment",
        value="the pre-training's",
        why="not stated; R3 reuses its own for the same task (r3:155-172)",
    ),
    Assumption(field="image_size", value="128", why="not stated; that of its pre-training (r5:30)"),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated; that of its pre-training (r5:32-33)",
    ),
)

_AS_C = (
    Assumption(field="epochs", value="200", why="stated of setting C alone (r5:69)"),
    Assumption(
        field="selection",
        value="last epoch",
        why="not stated; setting C's figure is that of its last epoch (r5:69)",
    ),
)

_HANDED_OUT = Assumption(
    field="init",
    value="the run of recipe supervised",
    why="a backbone pre-trained with labels (r5:56); how is not said, so one is trained here",
)

FINETUNE_A = Recipe(
    slug="r5-finetune-a",
    printed="62.1",
    report="r5",
    title="Office-Home, setting A: no pre-training, whole network",
    task="classify",
    data="officehome",
    model="resnet50_mlp",
    model_args=(("hidden", 256), ("dropout", 0.1)),
    num_classes=65,
    image_size=128,
    init="scratch",
    loss="cross_entropy",
    batch_size=64,
    phases=(Phase(optimizer="adam", lr=5e-4, epochs=200, schedule="cosine"),),
    augment=("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "random_resized_crop"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="final",
    assumptions=(*_FINETUNE_ASSUMPTIONS, *_AS_C),
)

FINETUNE_B = replace(
    FINETUNE_A,
    slug="r5-finetune-b",
    printed="61.3",
    title="Office-Home, setting B: supervised backbone, whole network",
    init="run:supervised",
    assumptions=(*_FINETUNE_ASSUMPTIONS, *_AS_C, _HANDED_OUT),
)

FINETUNE_C = replace(
    FINETUNE_A,
    slug="r5-finetune-c",
    printed="63.5",
    title="Office-Home, setting C: BYOL backbone, whole network",
    init="run:r5-byol",
    embed_epochs=(1, 200),
    embed_split="train",
    assumptions=(
        *_FINETUNE_ASSUMPTIONS,
        Assumption(
            field="split",
            value="validation, for the accuracy after epoch 1 too",
            why="not stated of 14.5 % (r5:68); the 63.5 % next to it is the validation figure of r5:57",
        ),
    ),
)

FINETUNE_D = replace(
    FINETUNE_B,
    slug="r5-finetune-d",
    printed="26.0",
    title="Office-Home, setting D: supervised backbone, classifier alone",
    model_args=(*FINETUNE_A.model_args, ("frozen", True)),
)

FINETUNE_E = replace(
    FINETUNE_A,
    slug="r5-finetune-e",
    printed="47.9",
    title="Office-Home, setting E: BYOL backbone, classifier alone",
    init="run:r5-byol",
    model_args=(*FINETUNE_A.model_args, ("frozen", True)),
)

_SEGMENT_ASSUMPTIONS = (
    Assumption(
        field="optimizer",
        value="SGD, momentum 0.9, weight decay 1e-4",
        why="not stated; torchvision's segmentation reference",
    ),
    Assumption(
        field="schedule",
        value="polynomial decay (power 0.9) over the whole training",
        why="not stated; torchvision's segmentation reference",
    ),
    Assumption(field="batch_size", value="8", why="not stated; torchvision's segmentation reference, a GPU"),
    Assumption(field="loss", value="cross-entropy", why="not stated; the usual one"),
    Assumption(
        field="unknown pixels",
        value="a seventh class like the others",
        why="not stated; seven outputs are printed (r5:121), and the score does not ignore unknown",
    ),
    Assumption(
        field="augment",
        value="horizontal flip",
        why="not stated; torchvision's segmentation reference flips, and seen from above either side is up",
    ),
    Assumption(
        field="image_size",
        value="512",
        why="not stated; the size of the images, whose masks the score compares at full size",
    ),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated; what the pretrained networks were trained with",
    ),
    Assumption(
        field="selection", value="best validation epoch", why="not stated; the report ends before its figures"
    ),
)

SEG_A = Recipe(
    slug="r5-seg-a",
    report="r5",
    title="VGG16-FCN32s with a ReLU after its scores",
    task="segment",
    data="landcover",
    model="fcn32s",
    model_args=(("padding", 100), ("channel_dropout", False), ("score_relu", True), ("deconv_bias", True)),
    num_classes=7,
    image_size=512,
    init="vgg16",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="sgd", lr=1e-3, epochs=50, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="padding of the first convolution",
            value="100",
            why="cut off after its first digit (r5:78); with 1 the unpadded fc6 (r5:111) would leave 352 of"
            " 512 pixels",
        ),
        Assumption(
            field="crop",
            value="to the image, where the grids meet",
            why="not stated; the original's, without which the output is larger than the image",
        ),
        Assumption(
            field="init",
            value="torchvision's ImageNet VGG16 trunk",
            why="not stated; as in the original FCN",
        ),
        Assumption(
            field="lr",
            value="1e-3",
            why="not stated; R3's for such a network (r3:210); torchvision's 0.01 is for BatchNorm",
        ),
        Assumption(field="epochs", value="50", why="not stated; as R3 and R4 (r3:207, r4:410)"),
    ),
)

SEG_B = Recipe(
    slug="r5-seg-b",
    report="r5",
    title="DeepLabV3 over ResNet50",
    task="segment",
    data="landcover",
    model="deeplabv3_resnet50",
    num_classes=7,
    image_size=512,
    init="deeplabv3_resnet50_coco",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=80, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    aux_weight=0.5,
    aux_lr_factor=10.0,
    selection="best",
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="init",
            value="torchvision's DeepLabV3, pretrained on COCO",
            why="not stated; as R1 and R3 with this network (r1:671, r3:214)",
        ),
        Assumption(field="lr", value="0.01", why="not stated; torchvision's segmentation reference"),
        Assumption(field="epochs", value="80", why="not stated; R3's with this network (r3:225)"),
        Assumption(
            field="auxiliary loss", value="half of the main one", why="not stated; torchvision's reference"
        ),
        Assumption(field="aux_lr_factor", value="10", why="not stated; torchvision's reference"),
    ),
)
