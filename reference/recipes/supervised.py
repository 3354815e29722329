"""The backbone from the course, pre-trained with labels; settings B and D start from it.

The reports state that it is a ResNet50 and was trained on mini-ImageNet with its labels (r1:316-318,
r3:140-141, r5:54-56): 38,400 images of 64 classes, which BYOL uses without labels. No report states how it
was trained, so all of that is assumed.
"""

from __future__ import annotations

from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Assumption, Phase, Recipe

SUPERVISED = Recipe(
    slug="supervised",
    report="course",
    title="Supervised pre-training of ResNet50, 64 classes",
    task="classify",
    data="miniimagenet",
    model="resnet50",
    num_classes=64,
    image_size=128,
    init="scratch",
    loss="cross_entropy",
    batch_size=256,
    phases=(
        Phase(optimizer="sgd", lr=0.1, epochs=90, weight_decay=1e-4, schedule="cosine", warmup_epochs=5),
    ),
    augment=("random_resized_crop", "horizontal_flip"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    selection="final",
    assumptions=(
        Assumption(field="image_size", value="128", why="not known; that of the reports' own pre-training"),
        Assumption(field="init", value="scratch", why="not known; as the reports' own pre-training"),
        Assumption(field="loss", value="cross-entropy", why="not known; one label an image"),
        Assumption(
            field="optimizer",
            value="SGD, momentum 0.9, weight decay 1e-4",
            why="not known; torchvision's reference training of this network",
        ),
        Assumption(field="lr", value="0.1", why="not known; torchvision's reference, for this batch"),
        Assumption(field="batch_size", value="256", why="not known; torchvision's reference over its GPUs"),
        Assumption(field="epochs", value="90", why="not known; torchvision's reference"),
        Assumption(
            field="schedule",
            value="5 epochs of warm-up, then cosine to 0",
            why="not known; today's usual form of the reference's three steps",
        ),
        Assumption(
            field="augment",
            value="random resized crop, horizontal flip",
            why="not known; torchvision's reference",
        ),
        Assumption(
            field="normalisation",
            value="ImageNet mean and standard deviation",
            why="not known; the images are ImageNet's",
        ),
        Assumption(
            field="selection",
            value="last epoch",
            why="not known; no validation split of mini-ImageNet was handed out",
        ),
    ),
)
