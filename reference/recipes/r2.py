"""R2: a LeakyReLU-VGG16 classifier, VGG16-FCN32s, and VGG16-BN-FCN8s with focal loss.

Printed (R2): top-1 0.7808 (r2:79); mIoU 0.668957 of the baseline and 0.681362 of the improved network
(r2:261-262), the latter 0.677 before, or without, its switch from Adam to SGD (r2:275).
R2 prints its networks layer by layer and lists the steps of its improvement. For the segmentation training it
states the two losses and the switch at epoch 70 of 100. It states nothing about the classifier's training.
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

CLASSIFY = Recipe(
    slug="r2-classify",
    printed="0.7808",
    report="r2",
    title="LeakyReLU-VGG16 classifier, 50 classes",
    task="classify",
    data="classification50",
    model="leaky_vgg16",
    num_classes=50,
    image_size=224,
    init="scratch",
    loss="cross_entropy",
    batch_size=64,
    phases=(Phase(optimizer="adam", lr=1e-3, epochs=100, schedule="cosine"),),
    augment=("horizontal_flip", "random_crop"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    embed_epochs=(1, 100),
    embed_split="val",
    assumptions=(
        Assumption(
            field="image_size",
            value="224",
            why="not stated; the printed Linear(25088, 1024) fits 220 to 251 pixels only",
        ),
        Assumption(
            field="init",
            value="scratch",
            why="not stated; no weights of this network are published",
        ),
        Assumption(
            field="optimizer",
            value="Adam without weight decay",
            why="not stated; its segmentation starts with Adam (r2:275)",
        ),
        Assumption(field="lr", value="1e-3", why="not stated; Adam's default"),
        Assumption(
            field="schedule",
            value="cosine to 0",
            why="not stated; from scratch with Adam some decay is usual, and this one has no further setting",
        ),
        Assumption(
            field="batch_size", value="64", why="not stated; BatchNorm1d wants dozens of images, 64 is usual"
        ),
        Assumption(field="epochs", value="100", why="not stated; as its segmentation (r2:275)"),
        Assumption(field="loss", value="cross-entropy", why="not stated; one label an image"),
        Assumption(
            field="augment",
            value="horizontal flip, crop after padding by 1/8 of the side",
            why="not stated; the usual pair for 32 px originals",
        ),
        Assumption(
            field="normalisation",
            value="ImageNet mean and standard deviation",
            why="not stated; from scratch any fixed one will do",
        ),
        Assumption(
            field="selection",
            value="best validation epoch",
            why="not stated; the printed figure is taken as the best that was seen",
        ),
        Assumption(
            field="embed_epochs",
            value="1 and 100",
            why="not stated; the figure explains the final accuracy (r2:85); the first epoch to compare",
        ),
        Assumption(
            field="embed_split",
            value="val",
            why="not stated; the figure explains the validation accuracy (r2:85)",
        ),
    ),
)

_SEGMENT_ASSUMPTIONS = (
    Assumption(
        field="weight_decay",
        value="0",
        why="not stated; torch's default",
    ),
    Assumption(
        field="schedule",
        value="constant",
        why="not stated; the switch of optimiser is the only change told (r2:275)",
    ),
    Assumption(field="batch_size", value="8", why="not stated; torchvision's segmentation reference, a GPU"),
    Assumption(
        field="image_size",
        value="512",
        why="not stated; the images' own size, one of the two that the improved network fits",
    ),
    Assumption(
        field="unknown pixels",
        value="a seventh class like the others",
        why="not stated; seven outputs are printed (r2:144, r2:230), and the score does not ignore unknown",
    ),
    Assumption(
        field="augment",
        value="horizontal flip",
        why="not stated; torchvision's segmentation reference flips, and seen from above either side is up",
    ),
    Assumption(
        field="selection",
        value="best validation epoch",
        why="not stated; the printed figure is taken as the best that was seen",
    ),
)

SEG_A = Recipe(
    slug="r2-seg-a",
    printed="0.668957",
    report="r2",
    title="VGG16-FCN32s with BatchNorm and LeakyReLU in fc6 and fc7",
    task="segment",
    data="landcover",
    model="fcn32s_leaky",
    model_args=(("padding", 100),),
    num_classes=7,
    image_size=512,
    init="vgg16",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="adam", lr=1e-4, epochs=100),),
    augment=("horizontal_flip",),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    selection="best",
    mask_epochs=(1, 20, 40),
    mask_images=("0010", "0097", "0107"),
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="optimizer",
            value="Adam",
            why="not stated of the baseline; the improved one's original optimiser (r2:275)",
        ),
        Assumption(field="lr", value="1e-4", why="not stated; usual for fine-tuning with Adam"),
        Assumption(
            field="epochs",
            value="100",
            why="not stated of the baseline; the improved one's (r2:275), whose masks are of the same epochs",
        ),
        Assumption(
            field="normalisation",
            value="none: images in 0 to 1",
            why="not stated of the baseline; the improved one normalises in addition (r2:273)",
        ),
        Assumption(
            field="init",
            value="torchvision's ImageNet VGG16 trunk, scores from zero",
            why="not stated; as in the original FCN",
        ),
    ),
)

_FOCAL_ASSUMPTIONS = (
    Assumption(field="gamma", value="2", why="not stated; the paper's"),
    Assumption(field="alpha", value="none", why="not stated; the paper's 0.25 is for two classes"),
)

_IMPROVED_ASSUMPTIONS = (
    *_SEGMENT_ASSUMPTIONS,
    *_FOCAL_ASSUMPTIONS,
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="that there is one is stated (r2:273), its statistics are not; the trunk's own",
    ),
    Assumption(
        field="init",
        value="torchvision's ImageNet VGG16-BN trunk, scores of fc7 and pool3 from zero",
        why="not stated; the trunk printed is torchvision's",
    ),
)

SEG_B = Recipe(
    slug="r2-seg-b",
    printed="0.681362",
    report="r2",
    title="VGG16-BN-FCN8s with focal loss, Adam then SGD",
    task="segment",
    data="landcover",
    model="fcn8s_leaky",
    num_classes=7,
    image_size=512,
    init="vgg16_bn",
    loss="focal",
    loss_args=(("gamma", 2.0),),
    batch_size=8,
    phases=(
        Phase(optimizer="adam", lr=1e-4, epochs=70),
        Phase(optimizer="sgd", lr=1e-3, epochs=30, momentum=0.9),
    ),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    mask_epochs=(1, 20, 40),
    mask_images=("0010", "0097", "0107"),
    assumptions=(
        *_IMPROVED_ASSUMPTIONS,
        Assumption(
            field="lr",
            value="1e-4 with Adam, 1e-3 with SGD",
            why="not stated; usual for fine-tuning with either",
        ),
        Assumption(field="momentum", value="0.9", why="not stated; the usual one"),
    ),
)

SEG_B_ADAM = replace(
    SEG_B,
    slug="r2-seg-b-adam",
    printed="0.677",
    title="VGG16-BN-FCN8s with focal loss, Adam throughout",
    phases=(Phase(optimizer="adam", lr=1e-4, epochs=100),),
    mask_epochs=(),
    mask_images=(),
    assumptions=(
        *_IMPROVED_ASSUMPTIONS,
        Assumption(field="lr", value="1e-4", why="not stated; usual for fine-tuning with Adam"),
        Assumption(
            field="phases",
            value="Adam for all 100 epochs",
            why="ambiguous: the figure before the switch may also be that of epoch 70 (r2:275)",
        ),
    ),
)
