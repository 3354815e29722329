"""Reports of one's own: their claims files and recipe files, next to the packaged ones in this process.

A claims file is data, and reading one runs no code. A recipe file is Python: it holds a tuple ``RECIPES``.
It is run only where a command needs recipes, and only if the claims file names it (``recipes`` of its
``[report]``) or the user does (``--recipes``). Nothing of it is kept for other processes.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bench.claims import ledger, schema
from bench.claims.claim import Ledger
from bench.claims.model_names import model_builders
from reference import outside
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Assumption, Optimizer, Phase, Recipe, Role, Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn

SLUGS: set[str] = set()
"""Recipes that were added, by slug."""
_RUN: set[Path] = set()
"""Recipe files that this process has run."""
STARTER = Path(__file__).parent / "starter"
STARTER_NAME = "myreport"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


# A new report -----------------------------------------------------------------------------------------


def check_new_name(name: str) -> None:
    """Refuse a name that no new report can have. Raises: InputError."""
    _check_name(name)
    _check_no_module(name)


def start(name: str, folder: Path) -> list[Path]:
    """Write a claims file and a recipe file to begin with, ``NAME.toml`` and ``NAME.py``; the files.

    Raises:
        InputError: a name that no report can have, or a file of that name is there. Nothing is written then.
    """
    _check_name(name)
    texts = {
        folder / f"{name}.toml": (STARTER / "claims.toml").read_text(encoding="utf-8"),
        folder / f"{name}.py": (STARTER / "recipes.py.txt").read_text(encoding="utf-8"),
    }
    for path in texts:
        if path.exists():
            raise InputError(f"{path}: is there already; choose another name, or move the file away")
    _check_no_module(name)
    for path, text in texts.items():
        path.write_text(text.replace(STARTER_NAME, name), encoding="utf-8")
    return list(texts)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InputError(
            f"report {name!r}: expected lower-case letters, digits and single hyphens, a letter first,"
            " such as 'shapes' or 'smith-2024'"
        )
    taken = {one.report for one in ledger.load_ledgers()} | {recipe.report for recipe in RECIPES.values()}
    if name in taken:
        raise InputError(
            f"report {name!r}: is there already ({', '.join(sorted(taken))}); choose another name"
        )


def _check_no_module(name: str) -> None:
    """A file random.py would be imported in place of Python's own by whatever runs in its folder."""
    if importlib.util.find_spec(name) is not None:
        raise InputError(f"report {name!r}: a Python module is called that; choose another name")


# Reading them -----------------------------------------------------------------------------------------


def add(files: Iterable[Path]) -> None:
    """Read claims files, so that every command of this process knows their claims. Runs no code.

    Raises:
        InputError: a claims file that ``load_ledger`` refuses, or an id that is taken. One line.
    """
    for file in files:
        if file.resolve() in ledger.ADDED:
            continue
        ledger.load_ledgers([file])  # together with all others
        ledger.ADDED.append(file.resolve())


def run_recipe_files(more: Iterable[Path] = (), say: Callable[[str], None] = lambda _: None) -> None:
    """Run the recipe files that the added claims files name, then ``more``, and register their recipes.

    Args:
        more: recipe files that the user names, each of a report whose claims file was added.
        say: called with a line before each file is run, and for a file that nobody names.

    Raises:
        InputError: a recipe file that is missing, fails, or holds a recipe that no training could follow; a
            slug that is taken; a recipe file of no added report. One line each.
    """
    reports = {file: ledger.load_ledger(file) for file in ledger.ADDED}
    named = {path.resolve(): path for path in more}
    for file, one in reports.items():
        path = file.parent / (one.recipes or f"{file.stem}.py")
        if one.recipes is not None:
            if not path.is_file():
                raise InputError(
                    f"{file.name}: [report]: recipes is {one.recipes!r}; there is no such file next to it"
                )
            if path not in _RUN:
                say(f"{file.name}: running its recipe file {path.name}")
                _register(_load(path), one, path)
        elif path.is_file() and path.resolve() not in {*named, *_RUN}:
            say(
                f"{file.name} names no recipe file, so {path.name} next to it is not run;"
                f' write recipes = "{path.name}" under [report], or give --recipes {path.name}'
            )
    for resolved, path in named.items():
        if resolved in _RUN:
            continue
        if not path.is_file():
            raise InputError(f"--recipes {path}: no such file")
        say(f"running the recipe file {path}")
        content = _load(resolved)
        _register(content, _report_of(content, path, reports.values()), resolved)


def _report_of(content: object, path: Path, reports: Iterable[Ledger]) -> Ledger | None:
    """The added report that a recipe file is of; None where the file holds no recipe."""
    if not isinstance(content, tuple | list) or not content or not isinstance(content[0], Recipe):
        return None
    by_name = {one.report: one for one in reports}
    if content[0].report not in by_name:
        raise InputError(
            f"{path.name}: its recipes are of report {content[0].report!r};"
            " name the claims file of that report with --claims"
        )
    return by_name[content[0].report]


def _load(path: Path) -> object:
    """What a recipe file calls ``RECIPES``. It is run as Python runs a script, its folder importable."""
    name = path.stem
    if name in sys.modules:
        raise InputError(f"{path.name}: a Python module is called {name!r} already; rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path.name}: is no Python file; a recipe file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:
        del sys.modules[name]
        what = f"SyntaxError: {error.msg}" if isinstance(error, SyntaxError) else outside.message_of(error)
        raise InputError(f"{path.name}{_line(error, path)}: {what}; fix the file") from error
    if not hasattr(module, "RECIPES"):
        raise InputError(f"{path.name}: no RECIPES; end the file with RECIPES = (…,), a tuple of its recipes")
    return module.RECIPES


def _line(error: Exception, path: Path) -> str:
    """``":12"``, the last line of the file that the error came through; nothing where it is not known."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.lineno else ""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f":{lines[-1]}" if lines else ""


def _register(content: object, one: Ledger | None, path: Path) -> None:
    """Put recipes next to the packaged ones, once all of them are in order."""
    if not isinstance(content, tuple | list) or not content:
        raise InputError(
            f"{path.name}: RECIPES is {content!r:.80}; expected a tuple of recipes, at least one"
        )
    added: dict[str, Recipe] = {}
    for position, recipe in enumerate(content, 1):
        if not isinstance(recipe, Recipe):
            raise InputError(f"{path.name}: entry {position} of RECIPES is {recipe!r:.80}; expected a Recipe")
        assert one is not None, "only a file without recipes has no report"
        location = f"{path.name}: {recipe.slug}"
        _check(recipe, one, location)
        if recipe.slug in RECIPES or recipe.slug in added:
            raise InputError(f"{location}: slug is used by another recipe; rename this one")
        added[recipe.slug] = recipe
    for slug in added:
        _check_start(slug, RECIPES | added, f"{path.name}: {slug}")
    RECIPES.update(added)
    SLUGS.update(added)
    _RUN.add(path)


def _check_start(slug: str, recipes: Mapping[str, Recipe], location: str) -> None:
    """What a recipe starts from exists, and does not start from the recipe itself."""
    chain = [slug]
    while (init := recipes[chain[-1]].init).startswith("run:"):
        start = init.removeprefix("run:")
        if start not in recipes:
            raise InputError(
                f"{location}: init names {start!r}, which is no recipe ({schema.hint(start, recipes)})"
            )
        if start in chain:
            raise InputError(
                f"{location}: init goes round: {' from '.join([*chain, start])}; start one from scratch"
            )
        chain.append(start)


# What a recipe may say --------------------------------------------------------------------------------


def _check(recipe: Recipe, one: Ledger, location: str) -> None:
    """What can be told without torch: types, choices, and how the recipe stands to its report."""
    check_fields(recipe, location)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", recipe.slug):
        raise InputError(
            f"{location}: slug is {recipe.slug!r}; expected lower-case letters, digits, single hyphens"
        )
    if recipe.report != one.report:
        raise InputError(f"{location}: report is {recipe.report!r}; {one.file} is of report {one.report!r}")
    if not recipe.slug.startswith(f"{one.report}-"):
        raise InputError(
            f"{location}: slug does not start with the report's, {one.report + '-'!r}; rename it"
        )
    if recipe.task == "automask":
        raise InputError(
            f"{location}: task 'automask' is of one network only; expected classify, segment or byol"
        )
    if outside.is_import_path(recipe.model):
        if not outside.PATH.fullmatch(recipe.model):
            raise InputError(f"{location}: model is {recipe.model!r}; expected 'package.module:callable'")
    elif recipe.model not in model_builders():
        near = schema.hint(recipe.model, model_builders())
        raise InputError(
            f"{location}: unknown model {recipe.model!r} ({near};"
            " or an import path 'package.module:callable')"
        )
    least: Mapping[str, int] = {
        "num_classes": 2,
        "image_size": 8,
        "batch_size": 2,
        "eval_batch_size": 1,
        "width": 1,
    }
    for name, low in least.items():
        if getattr(recipe, name) < low:
            raise InputError(f"{location}: {name} is {getattr(recipe, name)}; expected at least {low}")
    if not recipe.phases and (recipe.task == "byol" or recipe.mask_epochs or recipe.embed_epochs):
        raise InputError(
            f"{location}: phases is empty, so that the network is only evaluated; that needs task classify or"
            " segment, without mask_epochs and embed_epochs"
        )
    named: dict[str, tuple[Iterable[str], Iterable[str]]] = {
        "data": ((recipe.data,), get_args(Role)),
        "optimizer": ((phase.optimizer for phase in recipe.phases), get_args(Optimizer)),
        "schedule": ((phase.schedule for phase in recipe.phases), get_args(Schedule)),
    }
    for phase in recipe.phases:
        check_fields(phase, f"{location}: phase")
        if phase.epochs < 1 or not phase.lr > 0 or not 0 <= phase.warmup_epochs <= phase.epochs:
            raise InputError(
                f"{location}: phase: found epochs {phase.epochs}, lr {phase.lr}, warmup_epochs"
                f" {phase.warmup_epochs}; expected 1 epoch or more, lr above 0, no more warm-up than epochs"
            )
    for field, (names, valid) in named.items():
        for name in names:
            try:
                outside.is_own(name, field, valid)
            except InputError as error:
                raise InputError(f"{location}: {error}") from None
    for assumption in recipe.assumptions:
        check_fields(assumption, f"{location}: assumption")


def check_fields(value: Recipe | Phase | Assumption, location: str) -> None:
    """Every field is of its annotated type: a recipe file is Python, which does not check that by itself."""
    schema.check_types(vars(value), schema.types_of(type(value))[0], (), location)


def check_runnable(recipe: Recipe) -> None:
    """Try a recipe's network and loss on two images, before any training: a mistake costs nothing then.

    Args:
        recipe: as a tier scales it.

    Raises:
        InputError: a loss, augmentation, weights file or argument that does not exist; a network, optimiser
            or schedule that cannot be built; an output that is not what the recipe's task trains on.
    """
    import inspect

    import torch

    from reference import augment, losses, models
    from reference.models.byol import BYOL
    from reference.models.weights import WEIGHTS

    names_by_field: dict[str, tuple[Iterable[str], Iterable[str]]] = {
        "loss": ((recipe.loss,), losses.LOSSES[recipe.task]),
        "augment": (recipe.augment, augment.AUGMENT),
        "init": (() if recipe.init.startswith("run:") else (recipe.init,), ("scratch", *WEIGHTS)),
    }
    for field, (names, valid) in names_by_field.items():
        for name in names:
            if name not in valid and not outside.is_import_path(name):
                raise InputError(f"{recipe.slug}: unknown {field} {name!r} ({schema.hint(name, valid)})")
    for name in recipe.augment:
        augment.named(name)
    taken = list(inspect.signature(losses.named(recipe.task, recipe.loss)).parameters)
    for name, _ in recipe.loss_args:
        if name not in taken:
            raise InputError(
                f"{recipe.slug}: loss {recipe.loss!r} takes no {name!r}; it takes {', '.join(taken)}"
            )
    with torch.random.fork_rng(devices=[]):
        network = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
    if (recipe.task == "byol") != isinstance(network, BYOL):
        is_or_not = "is" if isinstance(network, BYOL) else "is not"
        raise InputError(
            f"{recipe.slug}: task is {recipe.task!r}, and {recipe.model!r} {is_or_not} a BYOL network"
        )
    if recipe.init.startswith("run:") and not hasattr(network, "load_encoder"):
        raise InputError(
            f"{recipe.slug}: {recipe.model!r} has no load_encoder(state), which init {recipe.init!r} needs"
        )
    _check_phases(recipe, network)
    if recipe.init in WEIGHTS and recipe.init not in getattr(network, "pretrained", {}):
        raise InputError(
            f"{recipe.slug}: {recipe.model!r} cannot start from {recipe.init!r}; use init='scratch'"
        )
    if recipe.embed_epochs and not hasattr(network, "embed"):
        raise InputError(f"{recipe.slug}: {recipe.model!r} has no embed(images), which embed_epochs needs")
    if recipe.task != "byol":
        _check_output(recipe, network)


def _check_output(recipe: Recipe, network: nn.Module) -> None:
    """Logits (B, C) of a classifier, (B, C, H, W) of a segmentation network, and a loss that is a number."""
    import torch

    from reference.training.step import build_loss

    size, classes = recipe.image_size, recipe.num_classes
    expected = (2, classes) if recipe.task == "classify" else (2, classes, size, size)
    try:
        with torch.inference_mode():
            output = network.eval()(torch.zeros(2, 3, size, size))
    except Exception as error:
        raise InputError(
            f"{recipe.slug}: {recipe.model!r} fails on images of {size} px: {outside.message_of(error)}"
        ) from error
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != expected:
        raise InputError(
            f"{recipe.slug}: {recipe.model!r} makes {_shape(output)} of 2 images; expected {expected}"
        )
    if not outside.is_import_path(recipe.loss):
        return
    logits = output.clone().requires_grad_()
    target = torch.zeros((2, *output.shape[2:]), dtype=torch.int64)
    try:
        value = build_loss(recipe)(logits, target)
    except Exception as error:
        raise InputError(
            f"{recipe.slug}: loss {recipe.loss!r} fails on logits {expected}: {outside.message_of(error)}"
        ) from error
    if not isinstance(value, torch.Tensor) or value.ndim or not value.requires_grad:
        raise InputError(
            f"{recipe.slug}: loss {recipe.loss!r} returned {_shape(value)}; expected a scalar tensor with a"
            " gradient"
        )


def _check_phases(recipe: Recipe, network: nn.Module) -> None:
    """Every phase's optimiser takes its arguments, and its schedule gives a rate in every epoch."""
    from reference import schedules
    from reference.training.step import build_optimizer

    for phase in recipe.phases:
        try:
            build_optimizer(phase, network, recipe.aux_lr_factor)
            for epoch in range(phase.epochs):
                schedules.learning_rate(phase, epoch)
        except InputError as error:
            raise InputError(f"{recipe.slug}: {error}") from error


def _shape(output: Tensor | object) -> str:
    shape = getattr(output, "shape", None)
    return type(output).__name__ if shape is None else str(tuple(shape))
