"""R1: BYOL on mini-ImageNet, five ways to fine-tune on Office-Home, and land cover by two networks.

Printed (R1, problem 1): top-1 of settings A to E 0.2438, 0.5172, 0.4483, 0.2241, 0.2980, and 0.5394 for
setting C within 400 epochs (r1:317-321, r1:327). Printed (R1, problem 2): mIoU 0.658093 of VGG16-FCN32s
and 0.741293 of DeepLabV3 at epoch 585 (r1:681).
R1 states all of its pre-training except length, warm-up and target decay. For fine-tuning it states backbones
and epochs, and for segmentation the networks and the epochs of its pictures. For SAM it states the weights
and the call; it prints no figure, but shows masks over three images (r1:740-748).
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

BYOL = Recipe(
    slug="r1-byol",
    report="r1",
    title="BYOL pre-training of ResNet50",
    task="byol",
    data="miniimagenet",
    model="byol_resnet50",
    model_args=(("bn_views", "separate"), ("target_buffers", "own")),
    num_classes=64,
    image_size=128,
    init="scratch",
    loss="byol_loss_r1",
    batch_size=64,
    phases=(Phase(optimizer="adam", lr=5e-4, epochs=300, schedule="gradual", warmup_epochs=5),),
    augment=(
        "color_jitter",
        "grayscale",
        "horizontal_flip",
        "gaussian_blur",
        "pad",
        "random_resized_crop",
    ),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    tau=0.99,
    selection="final",
    assumptions=(
        Assumption(
            field="epochs",
            value="300",
            why="not stated; 180,000 steps at its batch of 64, between R5's 150,000 (r5:39) and R3's 300,000"
            " (r3:104), and the longest schedule for which the paper takes a decay of 0.99",
        ),
        Assumption(
            field="warmup_epochs",
            value="5",
            why="not stated; the example of the scheduler that the report links (r1:112)",
        ),
        Assumption(
            field="schedule after the warm-up",
            value="cosine to 0, the peak held for one epoch before it",
            why="not stated; the paper's, handed over as the linked scheduler does",
        ),
        Assumption(field="weight_decay", value="0", why="not stated; the printed call leaves Adam's default"),
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
            why="not stated; the printed algorithm gives each view a forward of its own (r1:88-89). Against"
            " it: byol-pytorch, whose augmentations these are, takes both views together since 0.7.2 (16"
            " November 2023), a year before the report",
        ),
        Assumption(
            field="target_buffers",
            value="the target's BatchNorm statistics are of its own forwards",
            why="not stated; the printed average is one of parameters (r1:94)",
        ),
        Assumption(
            field="selection",
            value="last epoch",
            why="not stated; the loss is no measure of what was learned, and there is no validation split",
        ),
    ),
)

_FINETUNE_ASSUMPTIONS = (
    Assumption(
        field="model",
        value="one linear layer on the pooled features",
        why="not stated; the least that is a classifier",
    ),
    Assumption(
        field="optimizer",
        value="Adam without weight decay",
        why="not stated; the line printed for pre-training is built on finetune_model (r1:105)",
    ),
    Assumption(field="lr", value="5e-4", why="not stated; that of the same line, the only one printed"),
    Assumption(field="batch_size", value="64", why="not stated; that of its pre-training (r1:114)"),
    Assumption(
        field="schedule",
        value="constant",
        why="not stated; without a fall setting C's epochs up to 160 are those of its 400",
    ),
    Assumption(field="loss", value="cross-entropy", why="not stated; one label an image"),
    Assumption(
        field="augment",
        value="horizontal flip, crop after padding by 1/8 of the side",
        why="not stated; the usual pair. Not the pre-training's strong chain, with which R3's setting A gains"
        " for 150 epochs: R1's is best at epoch 40 with less than half of that (r1:317)",
    ),
    Assumption(field="image_size", value="128", why="not stated; that of its pre-training (r1:32)"),
    Assumption(
        field="normalisation",
        value="ImageNet mean and standard deviation",
        why="not stated; that of its pre-training (r1:44)",
    ),
)

_BEST = Assumption(
    field="selection",
    value="best validation epoch",
    why="an epoch is named next to each figure; that it is the best one is said of setting C alone (r1:327)",
)

_EPOCHS = Assumption(
    field="epochs",
    value="400",
    why="stated of setting C alone, as its first maximum (r1:327); D's epoch 339 shows that it held for more",
)

_FROM_ZERO = Assumption(
    field="epoch numbers",
    value="counted from 0: the report's epoch n is our epoch n + 1",
    why="not stated; its first pictures are of epoch 0 (r1:338, r1:683); one rule holds for all epochs",
)

_HANDED_OUT = Assumption(
    field="init",
    value="the run of recipe supervised",
    why="the backbone was handed out (r1:318); how it was trained is not said, so one is trained here",
)

FINETUNE_A = Recipe(
    slug="r1-finetune-a",
    printed="0.2438423645320197",
    report="r1",
    title="Office-Home, setting A: no pre-training, whole network",
    task="classify",
    data="officehome",
    model="resnet50_linear",
    num_classes=65,
    image_size=128,
    init="scratch",
    loss="cross_entropy",
    batch_size=64,
    phases=(Phase(optimizer="adam", lr=5e-4, epochs=400),),
    augment=("horizontal_flip", "random_crop"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="best",
    assumptions=(*_FINETUNE_ASSUMPTIONS, _EPOCHS, _BEST),
)

FINETUNE_B = replace(
    FINETUNE_A,
    slug="r1-finetune-b",
    printed="0.5172413793103449",
    title="Office-Home, setting B: supervised backbone, whole network",
    init="run:supervised",
    assumptions=(*_FINETUNE_ASSUMPTIONS, _EPOCHS, _BEST, _HANDED_OUT),
)

FINETUNE_C_400 = replace(
    FINETUNE_A,
    slug="r1-finetune-c-400",
    printed="0.5394088669950738",
    title="Office-Home, setting C to its first maximum: BYOL backbone, whole network",
    init="run:r1-byol",
    embed_epochs=(1, 76, 151, 326, 396),
    embed_split="train",
    assumptions=(*_FINETUNE_ASSUMPTIONS, _FROM_ZERO),
)

FINETUNE_C = replace(
    FINETUNE_C_400,
    slug="r1-finetune-c",
    printed="0.4482758620689655",
    title="Office-Home, setting C as selected: BYOL backbone, whole network",
    phases=(Phase(optimizer="adam", lr=5e-4, epochs=161),),
    embed_epochs=(),
    assumptions=(
        *_FINETUNE_ASSUMPTIONS,
        _FROM_ZERO,
        Assumption(
            field="epochs",
            value="161",
            why="the figure is the best near epoch 150 (r1:327-329); near is read as within 10 epochs, so up"
            " to its epoch 160",
        ),
    ),
)

FINETUNE_D = replace(
    FINETUNE_B,
    slug="r1-finetune-d",
    printed="0.22413793103448276",
    title="Office-Home, setting D: supervised backbone, classifier alone",
    model_args=(("frozen", True),),
)

FINETUNE_E = replace(
    FINETUNE_A,
    slug="r1-finetune-e",
    printed="0.29802955665024633",
    title="Office-Home, setting E: BYOL backbone, classifier alone",
    init="run:r1-byol",
    model_args=(("frozen", True),),
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
        why="not stated; seven outputs are printed (r1:652), and the score does not ignore unknown",
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
)

SEG_A = Recipe(
    slug="r1-seg-a",
    printed="0.658093",
    report="r1",
    title="VGG16-FCN32s",
    task="segment",
    data="landcover",
    model="fcn32s",
    model_args=(("padding", 100), ("transplant", True)),
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
            field="init",
            value="torchvision's ImageNet VGG16, its linear layers turned into fc6 and fc7",
            why="weights are not stated; turning linear layers into convolutions is (r1:389)",
        ),
        Assumption(
            field="padding of the first convolution",
            value="100",
            why="not stated; that of the paper the report links (r1:391)",
        ),
        Assumption(
            field="dropout of fc6 and fc7",
            value="whole channels (Dropout2d)",
            why="not stated; the form of the common PyTorch FCN-32s; VGG16's own drops single values",
        ),
        Assumption(
            field="batch normalisation",
            value="none",
            why="not stated; the network it names is VGG16, torchvision's name without",
        ),
        Assumption(
            field="upsampling",
            value="one transposed convolution (64, stride 32), bilinear at first",
            why="not stated; FCN-32s's in the paper",
        ),
        Assumption(
            field="lr",
            value="1e-3",
            why="not stated; R3's for such a network (r3:210); torchvision's 0.01 is for BatchNorm",
        ),
        Assumption(field="epochs", value="50", why="not stated; as R3 and R4 (r3:207, r4:410)"),
        Assumption(
            field="selection",
            value="best validation epoch",
            why="not stated; the printed figure is taken as the best that was seen",
        ),
    ),
)

SEG_B = Recipe(
    slug="r1-seg-b",
    printed="0.741293",
    report="r1",
    title="DeepLabV3 over ResNet50",
    task="segment",
    data="landcover",
    model="deeplabv3_resnet50",
    num_classes=7,
    image_size=512,
    init="deeplabv3_resnet50_coco",
    loss="cross_entropy",
    batch_size=8,
    phases=(Phase(optimizer="sgd", lr=0.01, epochs=586, weight_decay=1e-4, schedule="poly"),),
    augment=("horizontal_flip",),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    aux_weight=0.5,
    aux_lr_factor=10.0,
    selection="final",
    mask_epochs=(1, 291, 586),
    mask_images=("0013", "0062", "0104"),
    assumptions=(
        *_SEGMENT_ASSUMPTIONS,
        _FROM_ZERO,
        Assumption(field="lr", value="0.01", why="not stated; torchvision's segmentation reference"),
        Assumption(
            field="epochs",
            value="586",
            why="not stated; the epoch chosen as the final stage (r1:688) is taken as the last",
        ),
        Assumption(
            field="auxiliary loss",
            value="half of the main one",
            why="not stated; torchvision's reference, for the auxiliary head that is printed (r1:654-659)",
        ),
        Assumption(
            field="aux_lr_factor",
            value="10",
            why="not stated; torchvision's reference, as everything else of this training",
        ),
    ),
)

SAM = Recipe(
    slug="r1-sam",
    report="r1",
    title="SAM ViT-H automatic masks",
    task="automask",
    data="landcover",
    model="sam_vit_h",
    model_args=(
        ("points_per_side", 32),
        ("points_per_batch", 64),
        ("pred_iou_thresh", 0.88),
        ("stability_score_thresh", 0.95),
        ("box_nms_thresh", 0.7),
        ("crop_n_layers", 0),
        ("min_mask_region_area", 0),
    ),
    num_classes=0,
    image_size=512,
    init="sam_vit_h",
    loss="",
    batch_size=1,
    phases=(),
    augment=(),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="final",
    mask_images=("0013", "0062", "0104"),
    assumptions=(
        Assumption(
            field="all settings of the mask generator",
            value="32 points a side, 64 of them at once, predicted IoU above 0.88, stability at least 0.95,"
            " duplicates removed at a box IoU of 0.7, no crops, no small regions removed",
            why="not stated; the package's defaults, which the linked notebook takes for that call (r1:737)",
        ),
        Assumption(
            field="image_size",
            value="512",
            why="not stated; the size of the images, which the package itself brings to its 1024",
        ),
    ),
)
