"""Recipes against the ledger: what is stated is used as printed, what is not is an assumption.

``STATED`` is the reading, written by hand: each entry of a protocol claim's ``stated``, the recipe's field it
decides, and the value there. Everything else is compared with it or derived from the ledger.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.runs import tiers
from reference import losses, models
from reference.augment import AUGMENT, augment
from reference.data.dataset import OFFICIAL_PALETTE
from reference.models import automask
from reference.models.weights import WEIGHTS
from reference.recipes import RECIPES, ablations, mnist1d, r1, r2, r3, r4, r5, supervised
from reference.recipes.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe
from reference.schedules import learning_rate

CLAIMS: dict[str, Claim] = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}
EVERY = list(RECIPES.values())
# Automatic masks are of a published network: nothing is trained.
TRAINED = [recipe for recipe in EVERY if recipe.task != "automask"]

every_recipe = pytest.mark.parametrize("recipe", EVERY, ids=lambda recipe: recipe.slug)
every_training = pytest.mark.parametrize("recipe", TRAINED, ids=lambda recipe: recipe.slug)


def test_a_recipe_holds_the_figure_that_it_stands_for() -> None:
    """Digit for digit as in the ledger; a recipe without a figure of its slug holds none."""
    figures = {name: claim.value for name, claim in CLAIMS.items() if claim.kind == "number"}
    assert {r.slug: r.printed for r in EVERY} == {r.slug: figures.get(r.slug, "") for r in EVERY}
    assert sum(bool(recipe.printed) for recipe in EVERY) == 37


R1_FULL = ("r1-finetune-a", "r1-finetune-b", "r1-finetune-c", "r1-finetune-c-400")
R1_FROZEN = ("r1-finetune-d", "r1-finetune-e")
R1_FINETUNE = (*R1_FULL, *R1_FROZEN)
R3_FINETUNE = tuple(f"r3-finetune-{setting}" for setting in "abcde")
R5_FINETUNE = tuple(f"r5-finetune-{setting}" for setting in "abcde")
JITTERED = ("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur")

# (claim, key) → field, value, and the recipes it holds for; None where it decides no field.
STATED: dict[tuple[str, str], tuple[str, Any, tuple[str, ...]] | None] = {
    ("r1-byol-protocol", "model"): ("model", "byol_resnet50", ("r1-byol",)),
    ("r1-byol-protocol", "init"): ("init", "scratch", ("r1-byol",)),
    ("r1-byol-protocol", "optimizer"): ("optimizer", "adam", ("r1-byol",)),
    ("r1-byol-protocol", "lr"): ("lr", 0.0005, ("r1-byol",)),
    ("r1-byol-protocol", "schedule"): ("schedule", "gradual", ("r1-byol",)),
    ("r1-byol-protocol", "batch_size"): ("batch_size", 64, ("r1-byol",)),
    ("r1-byol-augment", "augment"): ("augment", (*JITTERED, "pad", "random_resized_crop"), ("r1-byol",)),
    ("r1-byol-augment", "mean"): ("mean", IMAGENET_MEAN, ("r1-byol",)),
    ("r1-byol-augment", "std"): ("std", IMAGENET_STD, ("r1-byol",)),
    ("r1-byol-augment-text", "image_size"): ("image_size", 128, ("r1-byol",)),
    ("r1-byol-augment-text", "augment"): None,  # the code's, in words
    ("r1-byol-augment-text", "mean"): ("mean", IMAGENET_MEAN, ("r1-byol",)),
    ("r1-byol-augment-text", "std"): ("std", IMAGENET_STD, ("r1-byol",)),
    ("r1-byol-optimizer-code", "optimizer"): ("optimizer", "adam", ("r1-byol",)),
    ("r1-byol-optimizer-code", "parameters"): None,  # a slip
    ("r1-finetune-protocol", "epochs"): ("epochs", 400, ("r1-finetune-c-400",)),
    ("r1-finetune-protocol", "full"): ("frozen", False, R1_FULL),
    ("r1-finetune-protocol", "frozen"): ("frozen", True, R1_FROZEN),
    ("r1-finetune-classes", "num_classes"): ("num_classes", 65, R1_FINETUNE),
    ("r1-seg-b-model", "model"): ("model", "deeplabv3_resnet50", ("r1-seg-b",)),
    ("r1-seg-b-model", "init"): ("init", "deeplabv3_resnet50_coco", ("r1-seg-b",)),
    ("r1-seg-b-model", "version"): None,  # of torchvision
    ("r1-sam-protocol", "checkpoint"): ("init", "sam_vit_h", ("r1-sam",)),
    ("r1-sam-protocol", "example"): ("task", "automask", ("r1-sam",)),
    ("r1-sam-protocol", "call"): None,  # the example's
    ("r2-classify-classes", "num_classes"): ("num_classes", 50, ("r2-classify",)),
    ("r2-seg-classes", "num_classes"): ("num_classes", 7, ("r2-seg-a", "r2-seg-b", "r2-seg-b-adam")),
    ("r2-seg-a-protocol", "loss"): ("loss", "cross_entropy", ("r2-seg-a",)),
    ("r2-seg-a-protocol", "padding"): ("padding", 100, ("r2-seg-a",)),
    ("r2-seg-a-protocol", "crop"): None,  # the network's
    ("r2-seg-b-protocol", "loss"): ("loss", "focal", ("r2-seg-b", "r2-seg-b-adam")),
    ("r2-seg-b-protocol", "optimizer"): ("optimizer", ("adam", "sgd"), ("r2-seg-b",)),
    ("r2-seg-b-protocol", "epochs"): ("epochs", 100, ("r2-seg-b", "r2-seg-b-adam")),
    ("r2-seg-b-protocol", "normalisation"): None,  # that there is one, not which
    ("r2-seg-b-protocol", "padding"): ("model", "fcn8s_leaky", ("r2-seg-b", "r2-seg-b-adam")),
    ("r2-seg-b-protocol", "crop"): ("model", "fcn8s_leaky", ("r2-seg-b", "r2-seg-b-adam")),
    ("r3-classify-a-protocol", "augment"): (
        "augment",
        ("random_crop", "random_rotation", "horizontal_flip"),
        ("r3-classify-a",),
    ),
    ("r3-classify-a-protocol", "epochs"): ("epochs", 500, ("r3-classify-a",)),
    ("r3-classify-a-protocol", "batch_size"): ("batch_size", 128, ("r3-classify-a",)),
    ("r3-classify-a-protocol", "lr"): ("lr", 0.001, ("r3-classify-a",)),
    ("r3-classify-a-protocol", "loss"): ("loss", "cross_entropy", ("r3-classify-a",)),
    ("r3-classify-a-protocol", "optimizer"): ("optimizer", "adamw", ("r3-classify-a",)),
    ("r3-classify-b-protocol", "model"): ("init", "resnet152", ("r3-classify-b",)),
    ("r3-classify-b-protocol", "image_size"): ("image_size", 224, ("r3-classify-b",)),
    ("r3-classify-b-protocol", "augment"): (
        "augment",
        ("random_crop", "random_rotation", "horizontal_flip"),
        ("r3-classify-b",),
    ),
    ("r3-classify-b-protocol", "epochs"): ("epochs", 20, ("r3-classify-b",)),
    ("r3-classify-b-protocol", "batch_size"): ("batch_size", 32, ("r3-classify-b",)),
    ("r3-classify-b-protocol", "lr"): ("lr", 0.003, ("r3-classify-b",)),
    ("r3-classify-b-protocol", "loss"): ("loss", "soft_cross_entropy", ("r3-classify-b",)),
    ("r3-classify-b-protocol", "optimizer"): ("optimizer", "sgd", ("r3-classify-b",)),
    ("r3-classify-b-protocol", "mixup"): None,  # that there is one, not its α
    ("r3-byol-protocol", "epochs"): ("epochs", 1000, ("r3-byol",)),
    ("r3-byol-protocol", "model"): ("model", "byol_resnet50", ("r3-byol",)),
    ("r3-byol-protocol", "image_size"): ("image_size", 128, ("r3-byol",)),
    ("r3-byol-protocol", "batch_size"): ("batch_size", 128, ("r3-byol",)),
    ("r3-byol-protocol", "optimizer"): ("optimizer", "adam", ("r3-byol",)),
    ("r3-byol-protocol", "lr"): ("lr", 1e-4, ("r3-byol",)),
    ("r3-byol-protocol", "schedule"): ("schedule", "cosine", ("r3-byol",)),
    ("r3-byol-optimizer-text", "optimizer"): None,  # the settings say Adam
    ("r3-byol-augment", "augment"): ("augment", (*JITTERED, "random_resized_crop"), ("r3-byol",)),
    ("r3-byol-augment", "mean"): ("mean", r3.MEAN, ("r3-byol",)),
    ("r3-byol-augment", "std"): ("std", r3.STD, ("r3-byol",)),
    ("r3-finetune-augment", "augment"): ("augment", (*JITTERED, "random_resized_crop"), R3_FINETUNE),
    ("r3-finetune-augment", "mean"): ("mean", r3.MEAN, R3_FINETUNE),
    ("r3-finetune-augment", "std"): ("std", r3.STD, R3_FINETUNE),
    ("r3-finetune-protocol", "batch_size"): ("batch_size", 64, R3_FINETUNE),
    ("r3-finetune-protocol", "model"): ("model", "resnet50_dropout", R3_FINETUNE),
    ("r3-finetune-protocol", "epochs"): ("epochs", 150, R3_FINETUNE),
    ("r3-finetune-protocol", "lr"): ("lr", 5e-4, R3_FINETUNE),
    ("r3-finetune-protocol", "loss"): ("loss", "cross_entropy", R3_FINETUNE),
    ("r3-finetune-protocol", "optimizer"): ("optimizer", "adam", R3_FINETUNE),
    ("r3-finetune-classes", "num_classes"): ("num_classes", 65, R3_FINETUNE),
    ("r3-finetune-table", "supervised"): ("init", "run:supervised", ("r3-finetune-b", "r3-finetune-d")),
    ("r3-finetune-table", "byol"): ("init", "run:r3-byol", ("r3-finetune-c", "r3-finetune-e")),
    ("r3-finetune-table", "full"): ("frozen", False, R3_FINETUNE[:3]),
    ("r3-finetune-table", "frozen"): ("frozen", True, R3_FINETUNE[3:]),
    ("r3-seg-a-protocol", "init"): ("init", "vgg16", ("r3-seg-a",)),
    ("r3-seg-a-protocol", "augment"): ("augment", (), ("r3-seg-a",)),
    ("r3-seg-a-protocol", "epochs"): ("epochs", 50, ("r3-seg-a",)),
    ("r3-seg-a-protocol", "batch_size"): ("batch_size", 4, ("r3-seg-a",)),
    ("r3-seg-a-protocol", "loss"): ("loss", "cross_entropy", ("r3-seg-a",)),
    ("r3-seg-a-protocol", "lr"): ("lr", 0.001, ("r3-seg-a",)),
    ("r3-seg-b-protocol", "model"): ("model", "deeplabv3_resnet50", ("r3-seg-b",)),
    ("r3-seg-b-protocol", "init"): ("init", "deeplabv3_resnet50_coco", ("r3-seg-b",)),
    ("r3-seg-b-protocol", "augment"): ("augment", (), ("r3-seg-b",)),
    ("r3-seg-b-protocol", "epochs"): ("epochs", 80, ("r3-seg-b",)),
    ("r3-seg-b-protocol", "batch_size"): ("batch_size", 12, ("r3-seg-b",)),
    ("r3-seg-b-protocol", "lr"): ("lr", 0.01, ("r3-seg-b",)),
    ("r3-seg-b-protocol", "loss"): ("loss", "poly1", ("r3-seg-b",)),
    ("r3-seg-b-name", "model"): None,  # misnamed
    ("r4-classify-classes", "num_classes"): ("num_classes", 50, ("r4-classify",)),
    ("r4-seg-a-name", "model"): None,  # a name; what is printed under it cannot be it: an assumption
    ("r4-seg-a-name", "epochs"): ("epochs", 50, ("r4-seg-a",)),
    ("r4-seg-b-protocol", "model"): ("model", "fcn8s_resnet34", ("r4-seg-b",)),
    ("r4-seg-b-protocol", "epochs"): ("epochs", 50, ("r4-seg-b",)),
    ("r4-seg-classes", "num_classes"): ("num_classes", 7, ("r4-seg-a", "r4-seg-b")),
    ("r4-score-format", "first"): None,  # a format
    ("r4-score-format", "mean"): None,
    ("r5-byol-protocol", "model"): ("model", "byol_resnet50", ("r5-byol",)),
    ("r5-byol-protocol", "epochs"): ("epochs", 1000, ("r5-byol",)),
    ("r5-byol-protocol", "batch_size"): ("batch_size", 256, ("r5-byol",)),
    ("r5-byol-protocol", "lr"): ("lr", 0.00001, ("r5-byol",)),
    ("r5-byol-protocol", "optimizer"): ("optimizer", "adam", ("r5-byol",)),
    ("r5-byol-protocol", "schedule"): ("schedule", "cosine", ("r5-byol",)),
    ("r5-byol-augment", "augment"): ("augment", (*JITTERED, "random_resized_crop"), ("r5-byol",)),
    ("r5-byol-augment", "mean"): ("mean", IMAGENET_MEAN, ("r5-byol",)),
    ("r5-byol-augment", "std"): ("std", IMAGENET_STD, ("r5-byol",)),
    ("r5-finetune-protocol", "head"): ("model", "resnet50_mlp", R5_FINETUNE),
    ("r5-finetune-protocol", "epochs"): ("epochs", 200, ("r5-finetune-c",)),
    ("r5-seg-classes", "num_classes"): ("num_classes", 7, ("r5-seg-a",)),
}

# What reports state elsewhere than in a protocol claim: (recipes, field) → value, and where it stands.
STATED_BESIDE: dict[tuple[tuple[str, ...], str], tuple[Any, str]] = {
    (("r1-byol",), "loss"): ("byol_loss_r1", "r1:90"),
    (("r3-byol",), "loss"): ("byol_loss", "r3:96, r3:100"),
    (("r1-finetune-a", "r3-finetune-a", "r5-finetune-a"), "init"): ("scratch", "r1:317, r3:186, r5:55"),
    (("r1-finetune-c", "r1-finetune-c-400", "r1-finetune-e"), "init"): ("run:r1-byol", "r1:319, r1:321"),
    (("r5-finetune-c", "r5-finetune-e"), "init"): ("run:r5-byol", "r5:57, r5:59"),
    (("r1-finetune-b", "r1-finetune-d", "r5-finetune-b", "r5-finetune-d"), "init"): (
        "run:supervised",
        "r1:318, r1:320, r5:56, r5:58",
    ),
    (R5_FINETUNE, "hidden"): (256, "r5:52"),
    (R5_FINETUNE, "dropout"): (0.1, "r5:52"),
    (R5_FINETUNE, "num_classes"): (65, "Office-Home's, as r1:340"),
    (R5_FINETUNE[:3], "frozen"): (False, "r5:55-57"),
    (R5_FINETUNE[3:], "frozen"): (True, "r5:58-59"),
    (("r1-finetune-c", "r1-finetune-c-400"), "selection"): ("best", "r1:327-329"),
    (("r5-finetune-c",), "selection"): ("final", "r5:69"),
    (("r1-seg-b",), "selection"): ("final", "r1:688"),
    (("r2-classify",), "model"): ("leaky_vgg16", "r2:13-76"),
    (("r2-seg-a",), "model"): ("fcn32s_leaky", "r2:102-146"),
    (("r3-classify-a",), "model"): ("vgg13", "r3:16"),
    (("r3-classify-b",), "model"): ("resnet152", "r3:37"),
    (("r4-classify",), "model"): ("vgg16_bn", "r4:7-50"),
    (("r1-seg-a", "r3-seg-a", "r5-seg-a"), "model"): ("fcn32s", "r1:681, r3:199, r5:76"),
    (("r5-seg-b",), "model"): ("deeplabv3_resnet50", "r5:132"),
    (R3_FINETUNE, "image_size"): (128, "r3:166"),
    (("r5-byol",), "image_size"): (128, "r5:30"),
    (("r5-seg-a",), "score_relu"): (True, "r5:121-122"),
    (("r5-seg-a",), "deconv_bias"): (True, "r5:125"),
    (("r5-seg-a",), "channel_dropout"): (False, "r5:113, r5:118"),
}

# Their backbone was handed out: that it is supervised is stated, how it was trained is not.
BOTH = {(slug, "init") for slug in RECIPES if re.fullmatch("r[135]-finetune-[bd]", slug)}


def value_of(recipe: Recipe, field: str) -> Any:
    """A recipe's field, a phase's (a tuple of them where phases differ), or a network's argument."""
    if hasattr(recipe, field):
        return getattr(recipe, field)
    if recipe.phases and hasattr(recipe.phases[0], field):
        values = tuple(dict.fromkeys(getattr(phase, field) for phase in recipe.phases))
        return values[0] if len(values) == 1 else values
    arguments = dict(recipe.model_args) | dict(recipe.loss_args)
    if field in arguments:
        return arguments[field]
    return inspect.signature(models.MODELS[recipe.model]).parameters[field].default


def assumed(recipe: Recipe) -> set[str]:
    return {assumption.field for assumption in recipe.assumptions}


# ---------------------------------------------------------------- stated


@pytest.mark.parametrize(("claim", "key"), [place for place, reading in STATED.items() if reading])
def test_stated_values_are_used(claim: str, key: str) -> None:
    field, value, slugs = STATED[claim, key]
    assert slugs
    for slug in slugs:
        assert value_of(RECIPES[slug], field) == value, slug


@pytest.mark.parametrize(("slugs", "field"), STATED_BESIDE)
def test_values_stated_elsewhere_are_used(slugs: tuple[str, ...], field: str) -> None:
    value, _ = STATED_BESIDE[slugs, field]
    for slug in slugs:
        assert value_of(RECIPES[slug], field) == value, slug


def test_every_stated_value_of_the_ledger_is_read() -> None:
    protocols = [claim for claim in CLAIMS.values() if claim.kind == "protocol"]
    places = {(c.id, key) for c in protocols if c.recipe in RECIPES for key in c.stated}
    assert set(STATED) == places


def test_numbers_are_read_as_printed() -> None:
    """Where the ledger's string is a number or a list of them, the reading has just that value."""
    compared = 0
    for (claim, key), reading in STATED.items():
        printed = CLAIMS[claim].stated[key]
        if reading is None or not re.fullmatch(r"[\d.e-]+|\[[\d., ]+\]", printed):
            continue
        number = json.loads(printed)
        assert reading[1] == (tuple(number) if isinstance(number, list) else number), (claim, key)
        compared += 1
    assert compared > 30


STATED_FIELDS = {(slug, field) for slugs, field in STATED_BESIDE for slug in slugs} | {
    (slug, reading[0]) for reading in STATED.values() if reading for slug in reading[2]
}


def test_nothing_stated_is_assumed() -> None:
    normalised = {(slug, "normalisation") for slug, field in STATED_FIELDS if field == "mean"}
    stated = STATED_FIELDS | normalised
    assert {(slug, field) for slug, field in stated if field in assumed(RECIPES[slug])} == BOTH


CORE = (
    "model",
    "init",
    "optimizer",
    "lr",
    "schedule",
    "batch_size",
    "epochs",
    "augment",
    "image_size",
    "loss",
    "mean",
    "selection",
)


@every_training
def test_everything_is_stated_or_assumed(recipe: Recipe) -> None:
    """An ablation's base answers for it; the course's backbone is stated by name alone."""
    if recipe.slug.startswith("ablation-"):
        return
    if recipe.report == "mnist1d":  # its protocol is published as code: a plain loop repeats it to the bit
        assert recipe.assumptions == ()
        return
    fields = assumed(recipe) | {field for slug, field in STATED_FIELDS if slug == recipe.slug}
    fields |= {"mean"} if "normalisation" in fields else set()
    fields |= {"optimizer", "epochs"} if "phases" in fields else set()
    assert set(CORE) - fields == ({"model"} if recipe.slug == "supervised" else set())
    # An optimiser's decay belongs to it where the optimiser itself is assumed.
    assert fields & {"optimizer", "weight_decay"} & assumed(recipe)


def test_automatic_masks_state_all_they_need() -> None:
    """Network and weights are the checkpoint's; every setting of the generator is in the one assumption."""
    (recipe,) = [recipe for recipe in EVERY if recipe.task == "automask"]
    assert recipe.init == recipe.model
    assert recipe.init in automask.CHECKPOINTS
    assert automask.CHECKPOINTS[recipe.init][0] == CLAIMS["r1-sam-protocol"].stated["checkpoint"]
    assert assumed(recipe) == {"all settings of the mask generator", "image_size"}
    said = next(a.value for a in recipe.assumptions if a.field.startswith("all settings"))
    numbers = [float(number) for number in re.findall(r"\d[\d.]*", said)]
    assert numbers == [value for _, value in recipe.model_args if value]
    assert {name for name, value in recipe.model_args if not value} == {
        "crop_n_layers",
        "min_mask_region_area",
    }
    assert recipe.mask_images == CLAIMS["r1-figure-sam"].images
    assert (recipe.phases, recipe.augment, recipe.loss, recipe.num_classes) == ((), (), "", 0)


def test_r2s_switch_is_at_epoch_70_of_100() -> None:
    assert [(p.optimizer, p.epochs) for p in RECIPES["r2-seg-b"].phases] == [("adam", 70), ("sgd", 30)]


# ---------------------------------------------------------------- unstated

# A claim's word for what is unstated → the assumption's field, where they differ.
NAMED: dict[str, dict[str, str]] = {
    "number": {"mean": "normalisation", "std": "normalisation"},
    "protocol": {"mean": "normalisation", "std": "normalisation"},
    "architecture": {"normalisation": "batch normalisation"},
    "figure": {"epochs": "embed_epochs", "split": "embed_split", "images": "mask_images"},
}
# What no field of that recipe answers.
ELSEWHERE = {
    ("r1-finetune-protocol", "epochs of the other settings"),  # assumptions of those
    ("r5-finetune-protocol", "epochs of the other settings"),
    ("r2-focal-gain", "whether before or after the optimiser switch"),  # both trainings have it
}
UNSTATED = [
    (claim, name)
    for claim in CLAIMS.values()
    if claim.recipe in RECIPES
    for name in claim.unstated
    # how many runs are behind a figure is no setting of a training
    if (claim.id, name) not in ELSEWHERE and name != "the number of runs behind the figure"
]


@pytest.mark.parametrize(("claim", "name"), UNSTATED, ids=[f"{c.id}-{name}" for c, name in UNSTATED])
def test_what_a_report_leaves_out_is_an_assumption(claim: Claim, name: str) -> None:
    assert claim.recipe is not None
    field = NAMED.get(claim.kind, {}).get(name, name)
    assert field in assumed(RECIPES[claim.recipe])


def test_the_other_settings_have_assumed_epochs() -> None:
    for slug in ("r1-finetune-a", "r1-finetune-b", "r1-finetune-d", "r1-finetune-e"):
        assert "epochs" in assumed(RECIPES[slug])
    for setting in "abde":
        assert "epochs" in assumed(RECIPES[f"r5-finetune-{setting}"])
    assert all(
        (claim, name) in {(c.id, n) for c in CLAIMS.values() for n in c.unstated} for claim, name in ELSEWHERE
    )


def test_settings_of_one_table_are_unstated_alike() -> None:
    """Beside its backbone (and the epochs that the report gives for C alone) no setting is told more of."""
    for report, others in (
        ("r1", {"epochs", "selection", "epoch numbers"}),
        ("r3", {"what is frozen"}),
        ("r5", {"epochs", "selection", "split"}),
    ):
        rest = [assumed(RECIPES[f"{report}-finetune-{setting}"]) - {"init"} - others for setting in "abcde"]
        assert all(fields == rest[0] for fields in rest)


@every_recipe
def test_assumptions_have_a_value_and_a_reason(recipe: Recipe) -> None:
    assert len(assumed(recipe)) == len(recipe.assumptions)
    for assumption in recipe.assumptions:
        assert assumption.value.strip()
        assert len(assumption.why.split()) > 2, assumption  # "not stated" alone is no reason


# Assumptions whose value begins with the number that the recipe holds.
NUMBERS = {
    "lr": "lr",
    "batch_size": "batch_size",
    "epochs": "epochs",
    "image_size": "image_size",
    "tau": "tau",
    "warmup_epochs": "warmup_epochs",
    "weight_decay": "weight_decay",
    "momentum": "momentum",
    "gamma": "gamma",
    "epsilon": "epsilon",
    "mixup alpha": "mixup",
    "label smoothing": "mixup_smoothing",
    "dropout rate": "dropout",
    "aux_lr_factor": "aux_lr_factor",
    "padding of the first convolution": "padding",
}


@every_recipe
def test_assumed_numbers_are_those_used(recipe: Recipe) -> None:
    for assumption in recipe.assumptions:
        if assumption.field in NUMBERS:
            used = value_of(recipe, NUMBERS[assumption.field])
            said = [float(number) for number in re.findall(r"\d[\d.]*(?:e-?\d+)?", assumption.value)]
            assert said == list(used if isinstance(used, tuple) else (used,)), assumption


@every_training
def test_assumed_words_are_those_used(recipe: Recipe) -> None:
    said = {assumption.field: assumption.value for assumption in recipe.assumptions}
    phase = recipe.phases[0]
    if "optimizer" in said:
        assert said["optimizer"].lower().startswith(phase.optimizer)
        decay = re.search(r"weight decay (\S+)", said["optimizer"])
        assert phase.weight_decay == (float(decay[1]) if decay else 0)
    if "schedule" in said:
        assert phase.schedule[:4] in said["schedule"]
    if "normalisation" in said:
        expected = (
            ((0.0,) * 3, (1.0,) * 3) if "none" in said["normalisation"] else (IMAGENET_MEAN, IMAGENET_STD)
        )
        assert (recipe.mean, recipe.std) == expected
    if "selection" in said:
        assert recipe.selection == {"best": "best", "last": "final"}[said["selection"].split()[0]]
    if "auxiliary loss" in said:
        assert said["auxiliary loss"].startswith("half")
        assert recipe.aux_weight == 0.5
    if "embed_epochs" in said:
        assert recipe.embed_epochs == tuple(map(int, re.findall(r"\d+", said["embed_epochs"])))
    if "embed_split" in said:
        assert recipe.embed_split == said["embed_split"]


# ---------------------------------------------------------------- claims and recipes


def test_every_claim_has_its_recipe() -> None:
    named = {claim.recipe for claim in CLAIMS.values() if claim.recipe}
    for claim in CLAIMS.values():
        named |= {*claim.difference_of, *claim.order_recipes}
        named |= {name for name in claim.tested_by if name not in CLAIMS}
    assert named <= set(RECIPES)


def test_every_number_is_of_its_recipes_task_and_data() -> None:
    metrics = {"classify": "top1", "segment": ("miou", "iou")}
    for claim in CLAIMS.values():
        if claim.kind == "number" and claim.recipe is None:
            assert claim.report == "mnist1d"  # of a human, and of scikit-learn's baselines
        elif claim.kind == "number":
            assert claim.recipe is not None
            recipe = RECIPES[claim.recipe]
            assert claim.data == recipe.data
            assert claim.metric is not None
            assert claim.metric.removeprefix("delta_") in metrics[recipe.task]


def test_every_recipe_is_asked_for() -> None:
    """By a claim, or by another recipe that starts from it, or by a table of steps (the ablations')."""
    asked = {claim.recipe for claim in CLAIMS.values()}
    asked |= {recipe.init.removeprefix("run:") for recipe in EVERY if recipe.init.startswith("run:")}
    ours = {slug for slug in RECIPES if slug.startswith("ablation-")}
    assert set(RECIPES) - asked == ours


def test_shown_epochs_and_images_are_the_figures() -> None:
    """R1 counts from 0: its epoch 0 is the first one trained."""
    for claim in CLAIMS.values():
        if claim.kind != "figure" or claim.recipe not in RECIPES or not claim.epochs:
            continue
        recipe = RECIPES[claim.recipe]
        epochs = tuple(map(claim.our_epoch, claim.epochs))
        assert {"masks": recipe.mask_epochs, "tsne": recipe.embed_epochs}[claim.shows] == epochs
        assert claim.shows != "masks" or recipe.mask_images == claim.images


def test_every_embedding_claim_finds_its_epochs() -> None:
    seen = 0
    for claim in CLAIMS.values():
        if claim.predicate and claim.predicate.startswith("clusters"):
            assert claim.recipe is not None
            recipe = RECIPES[claim.recipe]
            epochs = {v for key, v in claim.our_args.items() if key in ("epoch", "since", "until")}
            assert epochs - {"first", "last"} <= set(recipe.embed_epochs), claim.id
            assert len(recipe.embed_epochs) >= (1 if "epoch" in claim.args else 2)
            assert ("pca" if claim.args.get("prefix") == "pca_" else "tsne") in recipe.embed_methods
            seen += 1
    assert seen > 10
    assert {"pca", "tsne"} == set(RECIPES["r3-classify-a"].embed_methods)


def test_named_epochs_are_within_the_training() -> None:
    for claim in CLAIMS.values():
        if claim.kind == "number" and claim.epoch is not None:
            assert claim.recipe is not None
            assert claim.our_epoch(claim.epoch) <= RECIPES[claim.recipe].epochs


def test_r1s_setting_c_is_the_beginning_of_its_400_epochs() -> None:
    short, long = r1.FINETUNE_C.phases, r1.FINETUNE_C_400.phases
    assert all(learning_rate(short[0], e) == learning_rate(long[0], e) for e in range(short[0].epochs))
    assert r1.FINETUNE_C.epochs == 1 + CLAIMS["r1-process-selection"].args["until"]  # it counts from 0


# ---------------------------------------------------------------- registry


def test_the_registry_is_complete() -> None:
    written = [
        value
        for module in (ablations, mnist1d, r1, r2, r3, r4, r5, supervised)
        for value in vars(module).values()
        if isinstance(value, Recipe)
    ]
    assert len(RECIPES) == len(written) == 59
    assert {recipe.slug for recipe in written} == set(RECIPES)


def test_slugs_name_the_report() -> None:
    for slug, recipe in RECIPES.items():
        assert slug == recipe.slug
        assert (
            slug in CLAIMS
            or slug.startswith("ablation-")
            or slug
            in (
                "supervised",
                *(f"{report}-byol" for report in ("r1", "r3", "r5")),
                "r5-seg-a",
                "r5-seg-b",
                "r1-sam",
            )
        )
        assert slug.startswith((f"{recipe.report}-", "ablation-")) or recipe.report == "course"
    assert len({recipe.title + recipe.report for recipe in EVERY}) == len(EVERY)


# Ablation → what it is compared with, and the fields that make the difference.
CHANGED = {
    "ablation-resnet34-fcn32s": ("r4-seg-b", {"model"}),
    "ablation-vgg16-fcn8s": ("r4-seg-a", {"model"}),
    "ablation-r4-seg-b-ignore-unknown": ("r4-seg-b", {"loss_args"}),
    "ablation-r2-seg-b-cross-entropy": ("r2-seg-b", {"loss", "loss_args"}),
    "ablation-r2-seg-b-no-batch-norm": ("r2-seg-b", {"model_args", "init"}),
    "ablation-r2-seg-b-no-normalisation": ("r2-seg-b", {"mean", "std"}),
    "ablation-r2-seg-b-no-skips": ("r2-seg-b", {"model_args"}),
    "ablation-fcn32s-no-padding": ("r2-seg-a", {"model_args"}),
    "ablation-r3-seg-b-cross-entropy": ("r3-seg-b", {"loss", "loss_args"}),
    "ablation-r3-seg-b-focal": ("r3-seg-b", {"loss", "loss_args"}),
    "ablation-r3-seg-a-flips": ("r3-seg-a", {"augment"}),
    "ablation-r3-classify-b-resnet50": ("r3-classify-b", {"model", "init"}),
    "ablation-r3-classify-b-resnet18": ("r3-classify-b", {"model", "init"}),
    "ablation-r3-classify-b-no-mixup": ("r3-classify-b", {"loss", "mixup", "mixup_smoothing"}),
    "ablation-r3-classify-b-scratch": ("r3-classify-b", {"init"}),
    "r2-seg-b-adam": ("r2-seg-b", {"phases", "mask_epochs", "mask_images"}),
}
WORDS = {"slug", "title", "printed", "assumptions"}


@pytest.mark.parametrize("slug", CHANGED)
def test_an_ablation_changes_one_thing(slug: str) -> None:
    base, changed = CHANGED[slug]
    differing = {
        name
        for name in Recipe.__dataclass_fields__
        if getattr(RECIPES[slug], name) != getattr(RECIPES[base], name)
    }
    assert differing - WORDS == changed


def test_every_ablation_is_listed() -> None:
    assert {slug for slug in RECIPES if slug.startswith("ablation-")} == set(CHANGED) - {"r2-seg-b-adam"}


def test_ablations_give_the_index_of_unknown() -> None:
    assert OFFICIAL_PALETTE.unknown_index == ablations.UNKNOWN


# ---------------------------------------------------------------- everything a recipe names exists


@cache
def on_meta(model: str, num_classes: int, width: int, args: tuple[tuple[str, Any], ...]) -> nn.Module:
    with torch.device("meta"):
        return models.build(model, num_classes=num_classes, width=width, **dict(args)).eval()


@cache
def output_shapes(
    model: str, num_classes: int, width: int, args: tuple[tuple[str, Any], ...], size: int
) -> tuple[torch.Size, ...]:
    shape = (2, models.SIGNALS[model]) if model in models.SIGNALS else (2, 3, size, size)
    network, x = on_meta(model, num_classes, width, args), torch.empty(shape, device="meta")
    with torch.no_grad():
        out = network(x, x) if model == "byol_resnet50" else network(x)
    return tuple(part.shape for part in out) if isinstance(out, tuple) else (out.shape,)


@pytest.mark.parametrize("tier", tiers.TIERS)
@every_training
def test_the_network_fits_the_images(recipe: Recipe, tier: str) -> None:
    """Built with the recipe's arguments, on shapes alone, it answers with what the task needs."""
    used, _ = tiers.apply(recipe, tier)
    shapes = output_shapes(used.model, used.num_classes, used.width, used.model_args, used.image_size)
    expected: dict[str, tuple[int, ...]] = {
        "classify": (2, used.num_classes),
        "segment": (2, used.num_classes, used.image_size, used.image_size),
        "byol": (2, 4 * used.width),
    }
    assert set(shapes) == {torch.Size(expected[used.task])}


@every_training
def test_initial_weights_fit_the_network(recipe: Recipe) -> None:
    network = on_meta(recipe.model, recipe.num_classes, recipe.width, recipe.model_args)
    if recipe.init.startswith("run:"):
        source = RECIPES[recipe.init.removeprefix("run:")]
        assert hasattr(network, "load_encoder")
        assert source.init == "scratch"
        assert source.data == "miniimagenet"
        assert (source.width, source.selection) == (recipe.width, "final")
        network.load_encoder(
            on_meta(source.model, source.num_classes, source.width, source.model_args).state_dict()
        )
    elif recipe.init != "scratch":
        assert recipe.init in WEIGHTS
        assert recipe.init in network.pretrained


@every_training
def test_the_loss_exists_and_takes_its_arguments(recipe: Recipe) -> None:
    loss = losses.LOSSES[recipe.task][recipe.loss]
    assert {name for name, _ in recipe.loss_args} <= set(inspect.signature(loss).parameters)
    # Soft labels come from mixup, and from nothing else.
    assert (recipe.loss == "soft_cross_entropy") == (recipe.mixup > 0) == (recipe.mixup_smoothing > 0)


@every_training
def test_the_augmentations_exist_and_keep_the_size(recipe: Recipe) -> None:
    assert set(recipe.augment) <= set(AUGMENT)
    images = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    masks = torch.zeros(2, 32, 32, dtype=torch.uint8) if recipe.task == "segment" else None
    inputs, targets = augment(images, masks, recipe.augment, torch.Generator())
    assert inputs.shape == (2, 3, 32, 32)
    assert masks is None or targets.shape == masks.shape


@every_training
def test_the_schedule_is_sound(recipe: Recipe) -> None:
    assert recipe.phases
    for phase in recipe.phases:
        assert 0 <= phase.warmup_epochs < phase.epochs
        assert phase.lr > 0
        assert phase.weight_decay >= 0
        rates = [learning_rate(phase, epoch) for epoch in range(phase.epochs)]
        assert all(math.isfinite(rate) and 0 <= rate <= phase.lr for rate in rates)
        assert max(rates) == phase.lr
    for shown in (recipe.mask_epochs, recipe.embed_epochs):
        assert list(shown) == sorted(set(shown))
        assert all(1 <= epoch <= recipe.epochs for epoch in shown)
    assert not recipe.mask_epochs or recipe.task == "segment"
    assert not recipe.embed_epochs or recipe.task == "classify"


@every_training
def test_sizes_are_those_of_the_data(recipe: Recipe) -> None:
    classes = {"classification50": 50, "officehome": 65, "landcover": 7, "miniimagenet": 64}
    classes |= {"mnist1d": 10, "mnist1d-shuffled": 10}
    assert recipe.num_classes == classes[recipe.data]  # of BYOL, those its probe tells apart
    assert (recipe.image_size == 40) == (recipe.model in models.SIGNALS)
    assert recipe.batch_size >= 2
    assert all(0 < mean < 1 for mean in recipe.mean) or recipe.mean == (0, 0, 0)
    assert all(0 < std <= 1 for std in recipe.std)
    assert 0 <= recipe.tau < 1
