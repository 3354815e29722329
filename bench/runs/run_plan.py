"""Plan runs: recipe, tier, data and seed of each, and what cannot run here and why."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.claims.ledger import load_added
from bench.runs import records, starts, tiers
from bench.runs.run_kinds import RUN_KINDS, RunKind
from reference import models
from reference.data import ROOTS, open_dataset, synthetic
from reference.data.dataset import Dataset, hold_out
from reference.data.listing import is_folder
from reference.errors import InputError, WeightsMissingError
from reference.models.weights import read_backbone
from reference.outside import is_import_path
from reference.recipes import RECIPES
from reference.recipes.recipe import Deviation, Recipe
from reference.training import distributed
from reference.training.numerics import Numerics
from reference.training.step import refuse_parts


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recipe at one tier on one data set with one seed. ``run_id`` identifies it.

    Attributes:
        recipe: the recipe, scaled by the tier and fitted to the data's classes; ``printed`` is the report's.
        start: the run whose weights this one starts from, if the recipe names one.
        backbone: a file to start from instead of ``start``.
        planned_seeds: how many seeds of the recipe are planned together with this one.
        again: why it runs again although it has a record; empty if it has none.
    """

    recipe: Recipe
    printed: Recipe
    deviations: tuple[Deviation, ...]
    tier: str
    dataset: Dataset
    seed: int
    numerics: Numerics
    start: Run | None = None
    backbone: Path | None = None
    planned_seeds: int = 0
    again: str = ""

    @property
    def kind(self) -> RunKind:
        """Return how runs of this task are done and kept."""
        return RUN_KINDS[self.printed.task]

    @property
    def label(self) -> str:
        """Recipe and seed in words, for messages."""
        return f"{self.printed.slug} seed {self.seed}"

    @cached_property
    def run_id(self) -> str:
        """Return 16 hexadecimal digits of the hash of recipe, data, seed, numerics and start."""
        identity = {
            "recipe": recipe_settings(self.recipe),
            "manifest": self.dataset.manifest,
            "seed": self.seed,
            "numerics": dataclasses.asdict(self.numerics),
        }
        if self.backbone is not None:
            identity["start"] = self.start_hash
        elif self.start is not None:
            identity["start"] = self.start.run_id
        return records.hash_of(identity)[:16]

    @cached_property
    def start_hash(self) -> str:
        """Return the hash of its start without the seed; empty if it starts from scratch."""
        if self.backbone is not None:
            return starts.hash_of_file(self.backbone)
        if self.start is None:
            return starts.hash_of_weights(self.recipe.init)
        before = self.start
        return starts.hash_of_run(
            recipe_settings(before.recipe),
            before.dataset.manifest,
            dataclasses.asdict(before.numerics),
            before.start_hash,
        )

    def folder(self, out: Path) -> Path:
        """Return the folder of this run's working files."""
        return out / "work" / self.printed.slug / self.run_id

    def weights(self, out: Path) -> Path:
        """Return the file of its final weights."""
        return self.folder(out) / "weights.safetensors"


@dataclass(frozen=True)
class NotRun:
    """A recipe that cannot run here: a grade's reason (``data``, ``weights``) and the cause."""

    slug: str
    reason: str
    cause: str


def plan(
    recipes: Sequence[Recipe],
    *,
    tier: str | None,
    data: Path | None,
    seeds: int | None,
    init: str | None,
    weights: Path | None,
    numerics: Numerics,
    cache: Path,
    backbone: Path | None = None,
    micro_batch: int | None = None,
    mask_values: Sequence[str] = (),
    notice: Callable[[str], None] = lambda line: None,
    again: str = "",
    epochs: int | None = None,
) -> tuple[list[Run], list[NotRun]]:
    """Plan every run of ``recipes``, open and check its data, and list what cannot run here.

    A run that starts from another run's weights holds that run, of the same tier, data and seed.

    Args:
        tier, seeds: None leaves them to each recipe (``tiers.default``, ``tiers.default_seeds``).
        backbone: a file of ResNet-50 weights that replaces the recipe ``supervised``.
        epochs: a shorter schedule than the tier's; a deviation.
        micro_batch: most images to train on, or to evaluate, at once; a deviation where it divides a batch,
            since batch statistics are each part's.
        mask_values: what the values in masks mean, as ``reference.data.mask_values.stated`` takes it.
        notice: called with a line on how ``backbone`` was read, and for each warning about the data.
        again: why runs that have a record are started again; their new records hold this reason.

    Raises:
        InputError: the folder of a role exists and its data is bad, the backbone does not fit, or
            ``micro_batch`` leaves a part of one image for a network that needs two.
    """
    opened: dict[tuple[object, ...], Dataset] = {}
    planned: dict[tuple[str, int], Run] = {}

    def one(printed: Recipe, seed: int) -> Run | NotRun:
        if (printed.slug, seed) in planned:
            return planned[printed.slug, seed]
        kind = RUN_KINDS[printed.task]
        chosen_tier = tier or tiers.default(printed)
        scaled, deviations = tiers.apply(printed, chosen_tier)
        if not kind.trains and distributed.world().size > 1:
            return NotRun(printed.slug, "hardware", "nothing is trained: run it without torchrun")
        comes_from = RECIPES.get(scaled.init.removeprefix("run:"))
        if init is not None and comes_from is None and scaled.init != init:
            if not kind.trains:
                return NotRun(printed.slug, "weights", "nothing is trained: leave --init out")
            chosen = replace(scaled, init=init)
            deviations += tiers.deviations(scaled, chosen, "asked for by --init")
            scaled = chosen
        if micro_batch is not None and kind.trains:
            chosen = replace(scaled, micro_batch=micro_batch if micro_batch < scaled.batch_size else 0)
            why = "asked for by --micro-batch; BatchNorm sees each part by itself"
            deviations += tiers.deviations(scaled, chosen, why)
            # no report states it, and it changes no figure
            scaled = replace(chosen, eval_batch_size=min(scaled.eval_batch_size, micro_batch))
        if epochs is not None and epochs < scaled.epochs:
            chosen = tiers.shortened(scaled, epochs)
            deviations += tiers.deviations(scaled, chosen, "asked for by --epochs")
            scaled = chosen
        root = ROOTS.get(scaled.data)  # there is none if code draws the official data
        if data is not None and root is not None and not is_folder(data / root):
            return NotRun(printed.slug, "data", f"{data / root}: no such folder")
        if data is not None and scaled.task == "classify" and _unlabelled(scaled, data):
            return NotRun(printed.slug, "data", f"{data / _LABELS}: no such file; it trains on labels")
        start, file = None, None
        if comes_from is not None and comes_from.slug == "supervised" and backbone is not None:
            file = backbone
        elif comes_from is not None:
            found = one(comes_from, seed)
            if isinstance(found, NotRun):
                return NotRun(printed.slug, found.reason, f"starts from {found.slug}: {found.cause}")
            start = found
        elif scaled.init != "scratch":
            try:
                kind.find_weights(scaled.init, weights)
            except WeightsMissingError as error:
                return NotRun(printed.slug, "weights", str(error))
        dataset = open_data(scaled, printed, data, cache, opened, mask_values=mask_values)
        if is_import_path(scaled.data):
            dataset = as_declared(dataset, printed)
            if scaled.phases and not len(dataset.train):
                raise InputError(
                    f"{printed.slug}: {scaled.data} has no image to train on; only phases=() can do"
                )
        fitted = scaled
        if dataset.classes and len(dataset.classes) != scaled.num_classes and kind.trains:
            fitted = replace(scaled, num_classes=len(dataset.classes))
            deviations += tiers.deviations(scaled, fitted, f"the classes of {dataset.name}")
        run = Run(
            recipe=fitted,
            printed=printed,
            deviations=deviations,
            tier=chosen_tier,
            dataset=dataset,
            seed=seed,
            numerics=kind.usable(numerics),
            start=start,
            backbone=file,
            planned_seeds=_seeds(printed, seeds),
            again=again,
        )
        planned[printed.slug, seed] = run
        return run

    runs_by_recipe = [[one(r, seed) for seed in range(_seeds(r, seeds))] for r in recipes]
    if backbone is not None:
        _check_backbone(
            backbone, [run for some in runs_by_recipe for run in some if isinstance(run, Run)], notice
        )
    runs = [run for some in runs_by_recipe for run in some if isinstance(run, Run)]
    for line in dict.fromkeys(line for run in runs for line in run.dataset.warnings):
        notice(f"warning: {line}")
    for recipe, samples in {(run.recipe, len(run.dataset.train)) for run in planned.values()}:
        if recipe.micro_batch:
            with models.counting(recipe.model):
                refuse_parts(recipe, samples, _untrained(recipe))
    return runs, [some[0] for some in runs_by_recipe if isinstance(some[0], NotRun)]


def as_declared(dataset: Dataset, recipe: Recipe) -> Dataset:
    """Return your own data, as stand-in if they are not what a claims file declares under ``[[data]]``.

    The manifest is of a recipe's images at their printed size.
    """
    for ledger in load_added():
        for declared in ledger.data:
            if ledger.report != recipe.report or declared.name != dataset.role:
                continue
            found = {"train": len(dataset.train), "val": len(dataset.val)}
            differing = [
                f"{split} {found[split]}, declared {count}"
                for split, count in declared.splits.items()
                if found.get(split, count) != count
            ]
            if declared.manifest not in (None, dataset.manifest):
                differing.append(f"manifest {dataset.manifest}, declared {declared.manifest}")
            if differing:
                note = f"not as {ledger.file} declares: {'; '.join(differing)}"
                warnings = (*dataset.warnings, f"{dataset.role}: {note}; runs on them do not count")
                return replace(dataset, source="stand-in", counts_note=note, warnings=warnings)
    return dataset


def _seeds(recipe: Recipe, asked: int | None) -> int:
    """Return how many seeds of a recipe to run: as many as asked for, if seeds make a difference."""
    return RUN_KINDS[recipe.task].seeds or asked or tiers.default_seeds(recipe)


def open_data(
    scaled: Recipe,
    printed: Recipe,
    data: Path | None,
    cache: Path,
    opened: dict[tuple[object, ...], Dataset],
    *,
    mask_values: Sequence[str] = (),
) -> Dataset:
    """Open the data of a recipe, once for all runs that share it."""
    classes = scaled.num_classes if scaled.num_classes < printed.num_classes else None
    if data is None and scaled.num_classes < synthetic.CLASSES.get(scaled.data, 0):
        classes = scaled.num_classes  # draw as many classes as the recipe tells apart
    if scaled.task == "byol" and data is not None and _unlabelled(scaled, data):
        classes = None  # without labels there are no classes to choose from
    place = (scaled.data, scaled.image_size, classes)
    if place not in opened:
        opened[place] = open_dataset(
            scaled.data,
            data,
            image_size=scaled.image_size,
            classes=classes,
            cache=cache,
            mask_values=mask_values,
        )
    dataset = opened[place]
    if scaled.task == "classify" and not len(dataset.val):
        dataset = opened.setdefault((*place, "held out"), hold_out(dataset))
    return dataset


_LABELS = "p1_data/mini/train.csv"


def _unlabelled(recipe: Recipe, data: Path) -> bool:
    """Whether a recipe's images have no labels: those of mini-ImageNet are optional."""
    return recipe.data == "miniimagenet" and not os.path.lexists(data / _LABELS)


def _check_backbone(file: Path, runs: Sequence[Run], notice: Callable[[str], None]) -> None:
    """Load the file into every network that starts from it: a wrong file is refused before training."""
    state, notes = read_backbone(file)
    for note in notes:
        notice(f"--backbone {file}: {note}")
    for recipe in {run.recipe for run in runs if run.backbone is not None}:
        model = _untrained(recipe)
        try:
            model.load_encoder(state)  # type: ignore[operator]
        except InputError as error:
            raise InputError(f"--backbone {file}: {error}") from None


def _untrained(recipe: Recipe) -> torch.nn.Module:
    """Build the recipe's network with any weights, without touching torch's random state."""
    with torch.random.fork_rng(devices=[]):
        return models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )


def recipe_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON, without its words: a reworded assumption does not make a new run.

    The source of a user's own code is part of it, so that changed code makes a new run.
    """
    fields = tiers.as_dict(recipe)
    del fields["assumptions"], fields["title"], fields["printed"]
    fields |= tiers.own_sources(recipe)
    settings: dict[str, Any] = json.loads(records.canonical(fields))
    return settings


def device_type(wanted: str) -> tuple[str, int | None]:
    """Split a device into its type (or ``"auto"``) and its number, if any: ``"cuda:1"`` is CUDA's second GPU.

    Raises:
        InputError: there is no such type or number. The message names the nearest.
    """
    kind, colon, number = wanted.strip().lower().partition(":")
    if kind not in _DEVICES or (colon and (kind == "auto" or not number.isdecimal())):
        nearest = _MEANT.get(kind) or difflib.get_close_matches(kind, _DEVICES, n=1, cutoff=0.0)[0]
        raise InputError(
            f"--device {wanted}: no such device; nearest: {nearest}; known: {', '.join(_DEVICES)}"
        )
    return kind, int(number) if colon else None


_DEVICES = ("auto", "cpu", "cuda", "mps")
_MEANT = {"gpu": "cuda", "metal": "mps"}


def choose_device(wanted: str) -> str:
    """Choose the type of device to train on: ``auto`` takes CUDA, then MPS, then the CPU.

    A GPU's number chooses the GPU of this process. It is not part of a run's numerics.

    Raises:
        InputError: this machine has no such device, or several processes were given a numbered one.
    """
    kind, number = device_type(wanted)
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if kind == "auto":
        return next(name for name, count in counts.items() if count)
    if (number or 0) >= counts[kind]:
        names = [f"{name}:{i}" if i else name for name, count in counts.items() for i in range(count)]
        raise InputError(
            f"--device {wanted}: not on this machine, which has {', '.join(names)}; use one of them or auto"
        )
    if kind == "cuda" and number is not None:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError(f"--device {wanted}: under torchrun each process takes its own GPU; say cuda")
        torch.cuda.set_device(number)
    return kind
