"""Whether recipes begin to learn: the first steps of each at full width, on the CPU, on the images at hand.

A recipe that cannot learn under our assumptions would waste hours on a GPU. This command trains every recipe
for a few minutes on the images in DIR, which has the official layout:

    python -m bench.plan.first_steps DIR

It writes ``first_steps.json`` after each recipe; repeat the command to do the rest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from bench.grading import statistics
from bench.grading.relevance import NEAR_CHANCE
from bench.plan import predictions
from bench.runs import starts
from bench.runs.tiers import DRAWN
from reference.files import write_atomically
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from bench.runs.run_plan import Run
    from reference.training.evaluation import Batches, Evaluation
    from reference.training.state import Progress

FILE = Path(__file__).with_name("first_steps.json")
LEARNS, STUCK, OPEN = "learns", "at the constant predictor", "undecided"
WINDOW = 0.1
"""The share of the steps at the end, and at the start, whose mean loss is compared."""
LEAST_STEPS = 50
"""After fewer steps, a loss at the constant predictor's says nothing."""
KEPT_LOSSES = 50
LEAST_EVALUATED = 8
EVALUATED_SHARE = 0.6
"""Validation images as a share of the images trained on: about a fifth of the training's time."""


@dataclass(frozen=True, kw_only=True)
class FirstSteps:
    """The first steps of one recipe with seed 0.

    Attributes:
        settings: hash of the recipe's settings; a changed recipe is trained anew.
        data: the images, in words; ``init``: what the weights started from.
        losses: at most 50 means of the training loss, over equal parts of the steps.
        first, last: mean training loss of the first and of the last tenth of the steps.
        constant: the loss of the best constant predictor; None for BYOL, which has no target.
        metric, value, majority: of some validation images, the last of always answering the majority class.
        beats: whether the validation beats the majority class; of BYOL, whether it has not collapsed.
    """

    slug: str
    settings: str
    data: str
    init: str
    steps: int
    seconds: float
    losses: tuple[float, ...]
    first: float
    last: float
    constant: float | None
    metric: str
    value: float
    majority: float | None
    beats: bool

    @property
    def state(self) -> str:
        """``LEARNS`` if training and validation both leave chance, ``STUCK`` if the training does not."""
        from reference.training.watch import NEAR_CONSTANT

        level = self.first if self.constant is None else self.constant
        if self.last < NEAR_CONSTANT * level:
            return LEARNS if self.beats else OPEN
        return OPEN if self.constant is None or self.steps < LEAST_STEPS else STUCK

    @property
    def sentence(self) -> str:
        """The state and what it rests on, in one line."""
        level = (
            f"{self.first:.3f} at first"
            if self.constant is None
            else f"the constant predictor's is {self.constant:.3f}"
        )
        against = "" if self.majority is None else f", the majority class has {self.majority:.3f}"
        return (
            f"{self.state} after {self.steps} steps on {self.data} (init {self.init}): training loss"
            f" {self.last:.3f}, {level}; {self.metric} {self.value:.3f}{against}"
        )


# ---------------------------------------------------------------- the file


def known(recipe: Recipe, entries: Mapping[str, FirstSteps] | None = None) -> FirstSteps | None:
    """Return a recipe's entry, of the file by default; None if it was not tried with these settings."""
    entry = (_entries() if entries is None else entries).get(recipe.slug)
    return entry if entry is not None and entry.settings == settings_hash(recipe.slug) else None


@cache
def _entries() -> dict[str, FirstSteps]:
    return read(FILE)


def read(path: Path) -> dict[str, FirstSteps]:
    """Read the entries of a file; none if there is no such file."""
    if not path.exists():
        return {}
    raw = json.loads(path.read_text(encoding="utf-8"))
    return {slug: FirstSteps(**entry | {"losses": tuple(entry["losses"])}) for slug, entry in raw.items()}


def write(path: Path, entries: dict[str, FirstSteps]) -> None:
    """Write all entries, in the recipes' order."""
    ordered = {slug: dataclasses.asdict(entries[slug]) for slug in RECIPES if slug in entries}
    write_atomically(path, (json.dumps(ordered, indent=1) + "\n").encode())


def settings_hash(slug: str) -> str:
    """Return the hash of what a recipe computes at full tier."""
    return starts.present_recipe_hash(f"{starts.RUN}{slug}", "full")[:16]


# ---------------------------------------------------------------- the steps


class _EnoughError(Exception):
    """Ends a training after its share of time or steps."""


def try_recipe(run: Run, *, seconds: float, most_steps: int | None = None) -> FirstSteps:
    """Train the first steps of a run with the loop's own code, then evaluate some validation images.

    Args:
        seconds: of the processor, for each thread: a busy machine takes longer and does as much.
        most_steps: ends it earlier.
    """
    import torch

    from reference.training import TASKS, loop
    from reference.training.numerics import backend
    from reference.training.state import State
    from reference.training.watch import constant_loss

    recipe = run.recipe
    noted: list[Tensor] = []
    losses: list[float] = []
    started, threads = time.process_time(), torch.get_num_threads()

    def step_done(_: Progress) -> None:
        losses.append(float(noted[0]))  # an auxiliary output's loss comes second
        noted.clear()
        if (time.process_time() - started) / threads > seconds or len(losses) == most_steps:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder, backend(run.numerics):
        model = loop._initial_model(recipe, run.seed, None, None)
        prepared = loop._prepared(
            recipe, run.dataset, model, print, run.seed, run.numerics, Path(folder), step_done
        )
        training, state = replace(prepared, loss=_noting(prepared.loss, noted)), State()
        try:
            while state.epoch < recipe.epochs:
                loop._train_next_epoch(training, state)
        except _EnoughError:
            pass
        images = max(LEAST_EVALUATED, int(EVALUATED_SHARE * len(losses) * recipe.batch_size))
        evaluation = TASKS[recipe.task].evaluate(
            model, _spread(prepared.val_batches, images), run.dataset, recipe, prepared.loss
        )
    constant = None
    if recipe.task != "byol":
        targets = run.dataset.train.targets
        constant = constant_loss(recipe, prepared.loss, targets, len(run.dataset.classes))
    metric, window = evaluation.metrics[evaluation.primary], math.ceil(WINDOW * len(losses))
    return FirstSteps(
        slug=recipe.slug,
        settings=settings_hash(recipe.slug),
        data=f"{run.dataset.source} images {run.dataset.name}",
        init=recipe.init,
        steps=len(losses),
        seconds=round((time.process_time() - started) / threads, 1),
        losses=tuple(_thinned(losses)),
        first=fmean(losses[:window]),
        last=fmean(losses[-window:]),
        constant=constant,
        metric=evaluation.primary,
        value=metric.value,
        majority=None if math.isnan(evaluation.majority) else evaluation.majority,
        beats=_beats(recipe, evaluation, model),
    )


def _noting(loss: Callable[..., Tensor], noted: list[Tensor]) -> Callable[..., Tensor]:
    """The loss, which also appends each of its values to ``noted``."""

    def noting(*args: Tensor) -> Tensor:
        value = loss(*args)
        noted.append(value.detach())
        return value

    return noting


def _spread(batches: Batches, most: int) -> Batches:
    """Return at most ``most`` of the images, evenly spread over the split."""
    import torch

    count = min(most, len(batches))
    chosen = torch.arange(count) * len(batches) // count
    return replace(batches, images=batches.images[chosen], targets=batches.targets[chosen])


def _beats(recipe: Recipe, evaluation: Evaluation, model: Module) -> bool:
    """Return whether an evaluation beats guessing. An accuracy must do so with its lower 95 % bound."""
    metric = evaluation.metrics[evaluation.primary]
    if recipe.task == "byol":
        from reference.training.byol import COLLAPSED_SHARE

        least = COLLAPSED_SHARE / math.sqrt(model.encoder.embedding_size)  # type: ignore[arg-type, union-attr]
        return evaluation.metrics["embedding_std"].value > least
    if metric.numerator is not None and metric.denominator is not None:
        return statistics.accuracy_interval(metric.numerator, metric.denominator)[0] > evaluation.majority
    return evaluation.score > NEAR_CHANCE * evaluation.majority


def _thinned(losses: Sequence[float]) -> list[float]:
    """At most ``KEPT_LOSSES`` means over equal parts of the steps."""
    parts = min(len(losses), KEPT_LOSSES)
    edges = [part * len(losses) // parts for part in range(parts + 1)]
    return [round(fmean(losses[a:b]), 4) for a, b in pairwise(edges)]


# ---------------------------------------------------------------- the command


def options_of(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command's words; those of the process if None."""
    parser = argparse.ArgumentParser(prog="python -m bench.plan.first_steps", description=__doc__)
    parser.add_argument("data", type=Path, help="folder in the official layout")
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help="recipes; default all that train")
    parser.add_argument("--minutes", type=float, default=8.0, help="of processor time for each recipe")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder of decoded images")
    options = parser.parse_intermixed_args(words)
    if unknown := [slug for slug in options.slugs if slug not in RECIPES]:
        parser.error(f"{unknown[0]}: no such recipe; bench list recipes names all")
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Try every recipe, or those named, that the file does not know; the cheapest first."""
    options = options_of(words)
    entries = read(FILE)
    for recipe in by_cost([RECIPES[slug] for slug in options.slugs or RECIPES]):
        if known(recipe, entries) is not None:
            continue
        run, why_not = planned(recipe, options.data, options.cache)
        if run is None:
            print(f"{recipe.slug}: not tried: {why_not}", flush=True)
            continue
        entries[recipe.slug] = try_recipe(run, seconds=60 * options.minutes)
        write(FILE, entries)
        print(f"{recipe.slug}: {entries[recipe.slug].sentence}", flush=True)


def by_cost(recipes: Iterable[Recipe]) -> list[Recipe]:
    """The recipes that train, those with the fewest FLOPs a step first."""
    flops = {recipe.slug: predictions.of_recipe(recipe, "float32") for recipe in recipes}
    trained = [recipe for recipe in recipes if flops[recipe.slug] is not None]
    return sorted(trained, key=lambda recipe: flops[recipe.slug].flops)  # type: ignore[union-attr]


def planned(recipe: Recipe, data: Path, cache: Path) -> tuple[Run | None, str]:
    """Plan the recipe with seed 0 as printed; from scratch where what it starts from is not here."""
    from bench.runs import run_plan
    from reference.training.numerics import Numerics

    for init in (None, "scratch"):
        fresh = replace(recipe, init="scratch") if recipe.init.startswith(starts.RUN) else recipe
        runs, absent = run_plan.plan(
            [fresh],
            tier="full",
            data=None if recipe.data in DRAWN else data,
            seeds=1,
            init=init,
            weights=None,
            numerics=Numerics(),
            cache=cache,
        )
        if runs:
            return runs[0], ""
    return None, absent[0].cause


if __name__ == "__main__":
    main()
