"""R3: two classifiers, BYOL and five ways to fine-tune on Office-Home, and land cover by two networks.

Printed (R3, problem 1): top-1 0.6515 of VGG13 and 0.8981 of a pretrained ResNet152 with mixup (r3:21).
Printed (R3, problem 2): top-1 of settings A to E 0.5271, 0.5527, 0.5505, 0.2422, 0.2084 (r3:141-145).
Printed (R3, problem 3): mIoU 0.6027 of FCN32s and 0.7467 of DeepLabV3 with Poly-1 (r3:248).
This report states more than the other four: every training has a list of settings. If a list names no
scheduler, we read it as a constant rate, because the list of the pre-training does name one (r3:136).
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

# Its own statistics, printed for pre-training and fine-tuning (r3:125-126, r3:169-170).
MEAN = (0.4705, 0.4495, 0.4037)
STD = (0.2170, 0.2149, 0.2145)

_CONSTANT = Assumption(
    field="schedule",
    value="constant",
    why="not stated; the list of settings names no scheduler, the pre-training's does (r3:136)",
)

_BEST = Assumption(
    field="selection",
    value="best validation epoch",
    why="not stated; the printed figure is taken as the best that was seen",
)

BYOL = Recipe(
    slug="r3-byol",
    report="r3",
    title="BYOL pre-training of ResNet50",
    task="byol",
    data="miniimagenet",
    model="byol_resnet50",
    model_args=(("bn_views", "separate"), ("target_buffers", "own")),
    num_classes=64,
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
            why="not stated; as in the paper, and in byol-pytorch before 0.7.2 of 16 November 2023. The"
            " report's year, 2023, is known from outside it",
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
        field="resize",
        value="images are stored at 128 × 128 before anything else, whatever their shape",
        why="no Resize is printed (r3:155-172); the chain's crop would then cut from the originals of several"
        " hundred pixels. The validation images need some size, and 128 is the one printed (r3:106)",
    ),
    _CONSTANT,
    _BEST,
)

_HANDED_OUT = Assumption(
    field="init",
    value="the run of recipe supervised, the 1000-way layer fresh",
    why="the backbone was handed out (r3:141); how it was trained is not said, so one is trained here",
)

_FROZEN = Assumption(
    field="what is frozen",
    value="all of ResNet50, its fresh 1000-way layer included",
    why="not stated; the backbone is what is fixed (r3:144-145), and ResNet50 is printed whole (r3:176)",
)

FINETUNE_A = Recipe(
    slug="r3-finetune-a",
    printed="0.5271",
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
    printed="0.5527",
    title="Office-Home, setting B: supervised backbone, whole network",
    init="run:supervised",
    assumptions=(*_FINETUNE_ASSUMPTIONS, _HANDED_OUT),
)

FINETUNE_C = replace(
    FINETUNE_A,
    slug="r3-finetune-c",
    printed="0.5505",
    title="Office-Home, setting C: BYOL backbone, whole network",
    init="run:r3-byol",
)

FINETUNE_D = replace(
    FINETUNE_A,
    slug="r3-finetune-d",
    printed="0.2422",
    title="Office-Home, setting D: supervised backbone, classifier alone",
    init="run:supervised",
    model_args=(("frozen", True),),
    assumptions=(*_FINETUNE_ASSUMPTIONS, _HANDED_OUT, _FROZEN),
)

FINETUNE_E = replace(
    FINETUNE_A,
    slug="r3-finetune-e",
    printed="0.2084",
    title="Office-Home, setting E: BYOL backbone, classifier alone",
    init="run:r3-byol",
    model_args=(("frozen", True),),
    assumptions=(*_FINETUNE_ASSUMPTIONS, _FROZEN),
)

_SPLIT = Assumption(
    field="split",
    value="validation",
    why="not stated of this table; the one of fine-tuning says so (r3:140)",
)

_CLASSIFY_ASSUMPTIONS = (
    Assumption(
        field="crop size",
        value="the image's, after padding by 1/8 of the side",
        why="not stated; the usual crop of 32 px originals",
    ),
    Assumption(
        field="border of the crop",
        value="what enters is a reflection",
        why="not stated; RandomCrop's default fills with zeros, which 32 px images have no margin for",
    ),
    Assumption(field="rotation angle", value="up to 15° each way", why="not stated; a usual range"),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated of these data; what the pretrained network was trained with",
    ),
    _CONSTANT,
    _BEST,
    _SPLIT,
)

CLASSIFY_A = Recipe(
    slug="r3-classify-a",
    printed="0.6515",
    report="r3",
    title="VGG13 classifier from scratch, 50 classes",
    task="classify",
    data="classification50",
    model="vgg13",
    # R3 embeds the output of the convolutions (r3:62, r3:73).
    model_args=(("embedding", "conv"),),
    num_classes=50,
    image_size=32,
    init="scratch",
    loss="cross_entropy",
    batch_size=128,
    phases=(Phase(optimizer="adamw", lr=1e-3, epochs=500, weight_decay=0.01),),
    augment=("random_crop", "random_rotation", "horizontal_flip"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    embed_epochs=(1, 500),
    embed_split="val",
    embed_methods=("pca", "tsne"),
    assumptions=(
        *_CLASSIFY_ASSUMPTIONS,
        Assumption(
            field="image_size",
            value="32",
            why="not stated; the originals' size, since resizing is told of model B alone (r3:37)",
        ),
        Assumption(
            field="init",
            value="scratch",
            why="not stated; pretrained weights are told as a difference of model B (r3:51)",
        ),
        Assumption(field="weight_decay", value="0.01", why="not stated; AdamW's default"),
        Assumption(
            field="embed_epochs",
            value="1 and 500",
            why="not stated; early, and the last epoch (r3:77)",
        ),
        Assumption(
            field="embed_split",
            value="val",
            why="not stated; the figure is explained by the accuracy (r3:77)",
        ),
    ),
)

CLASSIFY_B = Recipe(
    slug="r3-classify-b",
    printed="0.8981",
    report="r3",
    title="Pretrained ResNet152 with mixup, 50 classes",
    task="classify",
    data="classification50",
    model="resnet152",
    num_classes=50,
    image_size=224,
    init="resnet152",
    loss="soft_cross_entropy",
    batch_size=32,
    phases=(Phase(optimizer="sgd", lr=3e-3, epochs=20, momentum=0.9),),
    augment=("random_crop", "random_rotation", "horizontal_flip"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    mixup=1.0,
    mixup_smoothing=0.1,
    selection="best",
    assumptions=(
        *_CLASSIFY_ASSUMPTIONS,
        Assumption(
            field="mixup alpha",
            value="1",
            why="not stated; the default of timm's, which is what was used (r3:57)",
        ),
        Assumption(
            field="label smoothing",
            value="0.1",
            why="not stated; the default of timm's mixup, which nobody notices who does not look",
        ),
        Assumption(field="momentum", value="0.9", why="not stated; timm's default"),
        Assumption(field="weight_decay", value="0", why="not stated; SGD's default"),
    ),
)

_SEGMENT_ASSUMPTIONS = (
    Assumption(
        field="optimizer",
        value="SGD, momentum 0.9, weight decay 1e-4",
        why="not stated; torchvision's segmentation reference; Adam at such rates spoils pretrained weights",
    ),
    Assumption(
        field="image_size",
        value="512",
        why="not stated; the size of the images, which are square; the score compares at full size",
    ),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated of these data; what the pretrained networks were trained with",
    ),
    Assumption(
        field="unknown pixels",
        value="a seventh class like the others",
        why="not stated; as in the reports that print seven outputs, and the score does not ignore unknown",
    ),
    _CONSTANT,
    _BEST,
    _SPLIT,
)

SEG_A = Recipe(
    slug="r3-seg-a",
    printed="0.6027",
    report="r3",
    title="VGG16-FCN32s",
    task="segment",
    data="landcover",
    model="fcn32s",
    model_args=(("padding", 1),),
    num_classes=7,
    image_size=512,
    init="vgg16",
    loss="cross_entropy",
    batch_size=4,
    phases=(Phase(optimizer="sgd", lr=1e-3, epochs=50, weight_decay=1e-4),),
    augment=(),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="padding of the first convolution",
            value="1",
            why="not stated; a pretrained VGG16 whose output is image/32 (r3:199) is padded by its own 1",
        ),
        Assumption(
            field="kernel sizes",
            value="7 and 1 in conv6 and conv7, 64 with stride 32 in the transposed convolution",
            why="not stated; the original FCN-32s's",
        ),
        Assumption(field="channels", value="4096 in conv6 and conv7", why="not stated; the original's"),
        Assumption(
            field="padding of conv6, and crop",
            value="3, and the transposed convolution's overlap is cut off",
            why="not stated; without them a 7×7 window on the unpadded map misses the image's size",
        ),
        Assumption(
            field="dropout of conv6 and conv7",
            value="whole channels (Dropout2d)",
            why="not stated; the form of the common PyTorch FCN-32s; VGG16's own drops single values",
        ),
    ),
)

SEG_B = Recipe(
    slug="r3-seg-b",
    printed="0.7467",
    report="r3",
    title="DeepLabV3 over ResNet50 with Poly-1",
    task="segment",
    data="landcover",
    model="deeplabv3_resnet50",
    num_classes=7,
    image_size=512,
    init="deeplabv3_resnet50_coco",
    loss="poly1",
    loss_args=(("epsilon", 1.0),),
    batch_size=12,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=80, weight_decay=1e-4),),
    augment=(),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    aux_weight=0.5,
    aux_lr_factor=1.0,
    selection="best",
    mask_epochs=(1, 40, 80),
    mask_images=("0013", "0062", "0104"),
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        Assumption(
            field="epsilon",
            value="1",
            why="not stated; the default of the PyTorch implementations that call it Poly1",
        ),
        Assumption(
            field="auxiliary loss",
            value="half of the main one, Poly-1 too",
            why="not stated; torchvision's reference, for the head that the pretrained network has",
        ),
        Assumption(
            field="aux_lr_factor", value="1", why="not stated; one learning rate is printed, for all weights"
        ),
    ),
)
