"""Tiers scale recipes down so that they run in minutes: functions Recipe → Recipe, and the deviations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from reference.outside import is_import_path, source_hash
from reference.recipes.recipe import Deviation, Phase, Recipe, Role

SMOKE_WIDTH = 8

DRAWN: tuple[Role, ...] = ("mnist1d", "mnist1d-shuffled")
"""Data whose official form code draws: nothing needs to be scaled down, so full is the tier by default."""

# The largest value of each setting, by the role of the data. Land cover keeps all classes.
SMOKE: dict[str, dict[str, int]] = {
    "classification50": {"epochs": 24, "image_size": 64, "batch_size": 32, "num_classes": 10},
    "miniimagenet": {"epochs": 20, "image_size": 64, "batch_size": 32, "num_classes": 10},
    "officehome": {"epochs": 20, "image_size": 64, "batch_size": 8, "num_classes": 10},
    "landcover": {"epochs": 20, "image_size": 128, "batch_size": 8, "num_classes": 7},
    "mnist1d": {"epochs": 5, "image_size": 40, "batch_size": 100, "num_classes": 10},
    "mnist1d-shuffled": {"epochs": 5, "image_size": 40, "batch_size": 100, "num_classes": 10},
}
SMOKE_OWN_DATA = {"epochs": 20, "batch_size": 32}
"""A user's own data keep the size and the classes that their function gives them."""
# Two networks accept few image sizes. The first does not learn at width 8, because of its dropout. An image
# of 464 pixels costs as much as ten of 128, so the second is narrower and trains for fewer epochs.
SMOKE_NETWORKS: dict[str, dict[str, int]] = {
    "leaky_vgg16": {"width": 16, "epochs": 12},
    "gru_1d": {"width": 3},
    "fcn8s_leaky": {"width": 2, "epochs": 8, "image_size": 464, "batch_size": 4},
}
SMOKE_ARGS = {"leaky_vgg16": {"map_size": 2}}  # 60 to 91 pixels
GPU_EPOCHS = 10
SEEDS_FOR_A_VERDICT = 3
"""Fewer seeds decide no verdict."""


def full(recipe: Recipe) -> Recipe:
    """Change nothing."""
    return recipe


def gpu(recipe: Recipe) -> Recipe:
    """Keep network and image size and shorten the schedule; trainings of seconds stay as printed."""
    if recipe.data in DRAWN:
        return recipe
    return shortened(recipe, GPU_EPOCHS)


def smoke(recipe: Recipe) -> Recipe:
    """Make it a matter of minutes on two cores: narrow network, small images, few classes, short schedule.

    Nothing starts from pretrained files. A recipe that starts from another run starts from that run's smoke
    tier. Automatic masks stay as they are: nothing is trained, and random weights find no masks. A user's own
    network keeps its width, which it may not have. A recipe without phases, which is evaluated only, stays as
    it is.
    """
    if recipe.task == "automask" or not recipe.phases:
        return recipe
    own_data = SMOKE_OWN_DATA | {"image_size": recipe.image_size, "num_classes": recipe.num_classes}
    most = {"width": SMOKE_WIDTH} | SMOKE.get(recipe.data, own_data) | SMOKE_NETWORKS.get(recipe.model, {})
    args = tuple((k, min(v, 1)) if k == "padding" else (k, v) for k, v in recipe.model_args)
    smaller = replace(
        recipe,
        width=recipe.width if is_import_path(recipe.model) else min(recipe.width, most["width"]),
        image_size=min(recipe.image_size, most["image_size"]),
        batch_size=min(recipe.batch_size, most["batch_size"]),
        num_classes=min(recipe.num_classes, most["num_classes"]),
        model_args=args + tuple(SMOKE_ARGS.get(recipe.model, {}).items()),
        init=recipe.init if recipe.init.startswith("run:") else "scratch",
    )
    return shortened(smaller, most["epochs"])


TIERS: dict[str, Callable[[Recipe], Recipe]] = {"smoke": smoke, "gpu": gpu, "full": full}

WHY = {"smoke": "smoke tier: minutes on two cores", "gpu": "gpu tier: a shorter schedule", "full": ""}
"""The reason of a tier's own deviations."""


def _evaluated_only(recipe: Recipe) -> bool:
    return not recipe.phases and recipe.task != "automask"


def default(recipe: Recipe) -> str:
    """Return the default tier of a recipe: smoke, or full if that needs no data and little time."""
    return "full" if recipe.data in DRAWN or _evaluated_only(recipe) else "smoke"


def default_seeds(recipe: Recipe) -> int:
    """Return the default number of seeds: one, or enough for a verdict if a run takes seconds."""
    return SEEDS_FOR_A_VERDICT if recipe.data in DRAWN or _evaluated_only(recipe) else 1


def apply(recipe: Recipe, tier: str) -> tuple[Recipe, tuple[Deviation, ...]]:
    """Return the recipe that ``tier`` runs, and every field in which it differs from the printed one."""
    scaled = TIERS[tier](recipe)
    return scaled, deviations(recipe, scaled, WHY[tier])


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's fields, without arguments that a phase does not have: they are newer than records."""
    fields = dataclasses.asdict(recipe)
    fields["phases"] = tuple(
        {name: value for name, value in phase.items() if value != () or not name.endswith("_args")}
        for phase in fields["phases"]
    )
    return fields


def own_parts(recipe: Recipe) -> Mapping[str, list[str]]:
    """Return the import paths of a user's own code that a recipe trains with, by field.

    Its data are not among them: their content identifies them.
    """
    named = {
        "model": [recipe.model],
        "loss": [recipe.loss],
        "augment": list(recipe.augment),
        "optimizer": [phase.optimizer for phase in recipe.phases],
        "schedule": [phase.schedule for phase in recipe.phases],
    }
    own = {field: list(filter(is_import_path, names)) for field, names in named.items()}
    return {field: paths for field, paths in own.items() if paths}


def own_sources(recipe: Recipe) -> dict[str, str]:
    """Return the hashes of the sources of a user's own code, which belong to a recipe's settings."""
    return {
        f"{field}_source": " ".join(source_hash(path, field) for path in dict.fromkeys(paths))
        for field, paths in own_parts(recipe).items()
    }


def deviations(printed: Recipe, used: Recipe, why: str) -> tuple[Deviation, ...]:
    """Return one deviation for every field in which two recipes differ."""
    return tuple(
        Deviation(field=name, printed=_setting_text(before), used=_setting_text(after), why=why)
        for name in printed.__dataclass_fields__
        if (before := getattr(printed, name)) != (after := getattr(used, name))
    )


def _setting_text(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Phase):
        return " → ".join(f"{p.optimizer} lr {p.lr:g}, {p.epochs} epochs" for p in value)
    if isinstance(value, tuple):
        return ", ".join("=".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in value)
    return str(value)


def shortened(recipe: Recipe, epochs: int) -> Recipe:
    """Shorten the phases to ``epochs`` epochs together, at least one each; shown epochs keep their share."""
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
