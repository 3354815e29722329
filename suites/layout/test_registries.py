"""Nothing hides: registries hold all that there is to name, and suites use all that registries hold."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

import pytest

from reference import augment, embeddings, losses, metrics, schedules
from reference.models import MODELS, automask, byol, deeplab, fcn, heads, mnist1d, resnet, vgg
from reference.recipes.recipe import Optimizer, Recipe, Schedule
from reference.training.step import OPTIMIZERS

SUITES = Path(__file__).parents[1]
# Its epsilons are a sequence, which a recipe's loss_args cannot hold; Poly-1 is the one that is trained with.
NOT_FOR_RECIPES = {losses.poly_loss, losses.named}


def public(module: ModuleType) -> dict[str, Callable[..., object]]:
    """Functions and classes that a module defines and does not keep to itself."""
    found = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {
        name: value
        for name, value in found.items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__
    }


# How many there are, the suite that tests them, and the words that name them there.
ENTRIES: dict[str, tuple[int, str, list[str]]] = {
    "models": (22, "architecture", list(MODELS)),
    "automatic masks": (3, "architecture", list(automask.BUILDERS)),
    "losses": (9, "losses", [loss.__name__ for task in losses.LOSSES.values() for loss in task.values()]),
    "optimizers": (4, "training", list(OPTIMIZERS)),
    "schedules": (5, "training", list(schedules.NAMES)),
    "augmentations": (9, "augment", list(augment.AUGMENT)),
    "metrics": (11, "metrics", [name for name in metrics.__all__ if inspect.isfunction(vars(metrics)[name])]),
    "embedding figures": (8, "metrics", list(public(embeddings))),
}
# Tests of the lists themselves name everything in them.
LISTING_TESTS = ("test_registry.py", "test_registry_is_complete")


def words(suite: str) -> set[str]:
    """Names, attributes and strings in a suite's tests; what is only imported does not count."""
    found = set()
    for path in (SUITES / suite).glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        kept = [node for node in tree.body if getattr(node, "name", path.name) not in LISTING_TESTS]
        for node in (inner for outer in kept for inner in ast.walk(outer)):
            match node:
                case ast.Name(id=word) | ast.Attribute(attr=word) | ast.Constant(value=str(word)):
                    found.add(word)
    return found


@pytest.mark.parametrize("what", ENTRIES)
def test_every_entry_is_used_by_its_suite(what: str) -> None:
    size, suite, names = ENTRIES[what]
    assert len(names) == size
    assert set(names) <= words(suite)


@pytest.mark.parametrize("suite", sorted({suite for _, suite, _ in ENTRIES.values()}))
def test_an_entry_that_no_suite_uses_would_be_found(suite: str) -> None:
    assert "invented" not in words(suite)


def parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_every_builder_is_registered() -> None:
    """What takes the keywords num_classes and width, and needs no other argument, is a network to name."""
    builders = set()
    for module in (vgg, resnet, fcn, deeplab, heads, byol, mnist1d):
        for value in public(module).values():
            taken = inspect.signature(value).parameters
            only_keywords = all(p.kind is p.KEYWORD_ONLY for p in taken.values())
            if only_keywords and {"num_classes", "width"} <= set(taken):
                builders.add(value)
    assert builders == set(MODELS.values())
    assert len(builders) == len(MODELS)


def test_every_loss_operation_and_schedule_is_registered() -> None:
    trained_with = {loss for task in losses.LOSSES.values() for loss in task.values()}
    assert set(public(losses).values()) - NOT_FOR_RECIPES == trained_with
    operations = {
        name: value for name, value in vars(augment).items() if isinstance(value, augment.Operation)
    }
    assert operations == augment.AUGMENT
    curves = {value for value in public(schedules).values() if parameters(value) == ["progress"]}
    assert curves == set(schedules.SCHEDULES.values())


def test_what_a_recipe_may_name_is_there() -> None:
    assert set(get_args(Optimizer)) == set(OPTIMIZERS)
    assert set(get_args(Schedule)) == set(schedules.NAMES)
    assert set(get_args(get_type_hints(Recipe)["task"])) - {"automask"} == set(losses.LOSSES)
