"""Tiers: what is scaled down so that a recipe runs at all, as functions Recipe → (Recipe, deviations)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reference.recipes.recipe import Deviation, Phase, Recipe

SMOKE_EPOCHS = {"classify": 24, "segment": 20, "byol": 20}
SMOKE_SIZE = {"classification50": 64, "miniimagenet": 32, "officehome": 32, "landcover": 128}
SMOKE_WIDTH = {"classify": 8, "segment": 8, "byol": 8}
SMOKE_BATCH = {"classify": 32, "segment": 8, "byol": 32}
# Networks whose printed layers fit few image sizes: the least change that keeps them small.
SMOKE_ARGS = {"leaky_vgg16": {"map_size": 2}}  # 60 to 91 pixels
SMOKE_FIXED_SIZE = {"fcn8s_vgg16_bn": 464}
# An image of so many pixels costs as much as ten of 128: a network as narrow as that, and half the epochs
# with twice the steps.
SMOKE_FIXED_WIDTH = {"fcn8s_vgg16_bn": 2, "leaky_vgg16": 16}
SMOKE_FIXED_BATCH = {"fcn8s_vgg16_bn": 4}
SMOKE_FIXED_EPOCHS = {"fcn8s_vgg16_bn": 10, "leaky_vgg16": 12}
GPU_EPOCHS = 10


def full(recipe: Recipe) -> Recipe:
    """Nothing is changed."""
    return recipe


def gpu(recipe: Recipe) -> Recipe:
    """The network and image size as printed, a shorter schedule."""
    return _shortened(recipe, GPU_EPOCHS)


def smoke(recipe: Recipe) -> Recipe:
    """Minutes on two cores: narrow network, small images, few classes, short schedule.

    Nothing starts from pretrained files; what starts from another run starts from that run's smoke tier.
    Automatic masks alone stay as they are: nothing is trained, and random weights find none.
    """
    if recipe.task == "automask":
        return recipe
    task, model = recipe.task, recipe.model
    args = tuple((k, min(v, 1)) if k == "padding" else (k, v) for k, v in recipe.model_args)
    args += tuple(SMOKE_ARGS.get(model, {}).items())
    smaller = replace(
        recipe,
        width=min(recipe.width, SMOKE_FIXED_WIDTH.get(model, SMOKE_WIDTH[task])),
        image_size=min(recipe.image_size, SMOKE_FIXED_SIZE.get(model, SMOKE_SIZE[recipe.data])),
        batch_size=min(recipe.batch_size, SMOKE_FIXED_BATCH.get(model, SMOKE_BATCH[task])),
        num_classes=recipe.num_classes if task == "segment" else min(recipe.num_classes, 10),
        model_args=args,
        init=recipe.init if recipe.init.startswith("run:") else "scratch",
    )
    return _shortened(smaller, SMOKE_FIXED_EPOCHS.get(model, SMOKE_EPOCHS[task]))


TIERS: dict[str, Callable[[Recipe], Recipe]] = {"smoke": smoke, "gpu": gpu, "full": full}

_WHY = {"smoke": "smoke tier: minutes on two cores", "gpu": "gpu tier: a shorter schedule"}


def apply(recipe: Recipe, tier: str) -> tuple[Recipe, tuple[Deviation, ...]]:
    """The recipe that ``tier`` runs, and every field in which it departs from the printed one."""
    scaled = TIERS[tier](recipe)
    return scaled, deviations(recipe, scaled, _WHY.get(tier, ""))


def deviations(printed: Recipe, used: Recipe, why: str) -> tuple[Deviation, ...]:
    """One deviation for every field in which two recipes differ."""
    return tuple(
        Deviation(field=name, printed=_said(before), used=_said(after), why=why)
        for name in printed.__dataclass_fields__
        if (before := getattr(printed, name)) != (after := getattr(used, name))
    )


def _said(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Phase):
        return " → ".join(f"{p.optimizer} lr {p.lr:g}, {p.epochs} epochs" for p in value)
    if isinstance(value, tuple):
        return ", ".join("=".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in value)
    return str(value)


def _shortened(recipe: Recipe, epochs: int) -> Recipe:
    """The same phases in ``epochs`` epochs together; shown epochs keep their share of the schedule."""
    if recipe.epochs <= epochs:
        return recipe
    ratio = epochs / recipe.epochs
    phases = tuple(
        replace(
            phase,
            epochs=max(1, round(phase.epochs * ratio)),
            warmup_epochs=round(phase.warmup_epochs * ratio),
        )
        for phase in recipe.phases
    )
    masks, embedded = (
        tuple(sorted({max(1, round(epoch * ratio)) for epoch in shown}))
        for shown in (recipe.mask_epochs, recipe.embed_epochs)
    )
    return replace(recipe, phases=phases, mask_epochs=masks, embed_epochs=embedded)
