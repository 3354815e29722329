"""R4: a VGG16-BN classifier, and land cover by VGG16-FCN32s and ResNet34-FCN8s.

Printed (R4, P1.2 and P2.5): accuracy 0.785600, mIoU 0.663704 and 0.710615, the last two after 50
epochs. R4 prints only networks and results, so every other constant here is an assumption. Each is listed
with the recipe and shown with each figure.
"""

from __future__ import annotations

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

_UNSTATED = (
    Assumption(
        field="optimizer",
        value="SGD, momentum 0.9, weight decay 1e-4",
        why="not stated; the optimiser of torchvision's own VGG, ResNet and FCN training",
    ),
    Assumption(
        field="schedule",
        value="polynomial decay (power 0.9) over the whole training",
        why="not stated; torchvision's segmentation reference",
    ),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated; what the pretrained trunks were trained with",
    ),
    Assumption(
        field="selection",
        value="best validation epoch",
        why="not stated; the printed figure is taken as the best that was seen",
    ),
)

CLASSIFY = Recipe(
    slug="r4-classify",
    printed="0.785600",
    report="r4",
    title="VGG16-BN classifier, 50 classes",
    task="classify",
    data="classification50",
    model="vgg16_bn",
    num_classes=50,
    image_size=224,
    init="vgg16_bn",
    loss="cross_entropy",
    batch_size=64,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=30, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip", "random_crop"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    embed_epochs=(1, 30),
    embed_split="val",
    assumptions=(
        *_UNSTATED,
        Assumption(
            field="embed_epochs",
            value="1 and 30",
            why="not stated; the figure stands under the result (r4:61); the first epoch to compare",
        ),
        Assumption(
            field="embed_split",
            value="val",
            why="not stated; the figure stands under the validation accuracy (r4:58)",
        ),
        Assumption(
            field="layer",
            value="the second last one",
            why="not stated; the layer that R1, R2 and R5 show (r1:338, r2:85, r5:64)",
        ),
        Assumption(
            field="init",
            value="torchvision's ImageNet VGG16-BN",
            why="not stated; the printed listing is torchvision's, module by module, and 22,500 images of"
            " 32 px are few for 134 million weights from scratch",
        ),
        Assumption(field="lr", value="0.01", why="not stated; usual for fine-tuning VGG with SGD"),
        Assumption(field="batch_size", value="64", why="not stated; usual for VGG at 224 px on one GPU"),
        Assumption(
            field="epochs",
            value="30",
            why="not stated; between R3's 20 for a pretrained network (r3:42) and the 50 of its segmentation",
        ),
        Assumption(field="loss", value="cross-entropy", why="not stated; one label an image"),
        Assumption(
            field="image_size",
            value="224",
            why="not stated; the printed AdaptiveAvgPool2d accepts any size, 224 is the trunk's own",
        ),
        Assumption(
            field="augment",
            value="horizontal flip, crop after padding by 1/8 of the side",
            why="not stated; the usual pair for 32 px originals",
        ),
    ),
)

_SEGMENT_ASSUMPTIONS = (
    *_UNSTATED,
    Assumption(field="lr", value="0.01", why="not stated; torchvision's segmentation reference"),
    Assumption(field="batch_size", value="8", why="not stated; torchvision's segmentation reference, a GPU"),
    Assumption(
        field="image_size",
        value="512",
        why="not stated; the size of the images, whose masks the score compares at full size",
    ),
    Assumption(
        field="augment",
        value="horizontal flip",
        why="not stated; torchvision's segmentation reference flips, and seen from above either side is up",
    ),
    Assumption(
        field="loss",
        value="cross-entropy over 7 classes, unknown among them",
        why="not stated; seven output channels are printed, and the score does not ignore unknown",
    ),
    Assumption(
        field="mask_images",
        value="the first three of the validation split",
        why="not stated; the pictures are lost (r4:404)",
    ),
)

SEG_A = Recipe(
    slug="r4-seg-a",
    printed="0.663704",
    report="r4",
    title="VGG16-FCN32s",
    task="segment",
    data="landcover",
    model="fcn32s",
    model_args=(("batch_norm", True), ("padding", 100)),
    num_classes=7,
    image_size=512,
    init="vgg16_bn",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=50, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    mask_epochs=(5, 25, 50),
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="model",
            value="FCN32s over VGG16-BN's features, conv1_1 padded by 100",
            why="the listing printed as VGG16+FCN32 is a 50-way classifier and cannot make a mask; its"
            " features are VGG16-BN's, the rest follows the original FCN32s",
        ),
        Assumption(
            field="init",
            value="torchvision's ImageNet VGG16-BN trunk, scores from zero",
            why="not stated; as in the original FCN",
        ),
        Assumption(
            field="dropout of fc6 and fc7",
            value="whole channels (Dropout2d)",
            why="not stated; the form of the common PyTorch FCN-32s; VGG16's own drops single values",
        ),
    ),
)

SEG_B = Recipe(
    slug="r4-seg-b",
    printed="0.710615",
    report="r4",
    title="ResNet34-FCN8s",
    task="segment",
    data="landcover",
    model="fcn8s_resnet34",
    num_classes=7,
    image_size=512,
    init="resnet34",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=50, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    mask_epochs=(5, 25, 50),
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="init",
            value="torchvision's ImageNet ResNet34 trunk, bilinear transposed convolutions",
            why="not stated; the trunk printed is torchvision's",
        ),
    ),
)
