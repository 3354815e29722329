"""The page that says which recipes begin to learn: their first steps at full width, tried on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from bench.pages.markdown import pipe_table
from bench.plan import first_steps
from bench.plan.first_steps import FirstSteps
from reference.recipes import RECIPES

PAGE = "first-steps.md"
SHOWN_LOSSES = 6

_HOW_TO_READ = """\
# First steps

A recipe that cannot learn under our assumptions would waste hours on a GPU. So each was trained for a few
minutes on a CPU: the printed network, image size, batch and rate, with seed 0. It *learns* if the training
loss of the last tenth of the steps is at least 1 % below the best constant predictor's and the validation
beats the majority class. These figures are of few steps on other images, so they decide no claim. `bench
run` prints a recipe's line before it starts.
"""


def first_steps_markdown(entries: Sequence[FirstSteps]) -> str:
    """Return the page: one row a recipe that was tried, then the recipes that were not."""
    rows = [
        [
            f"`{entry.slug}`",
            entry.state,
            str(entry.steps),
            entry.data,
            entry.init,
            " ".join(f"{loss:.3g}" for loss in _some(entry.losses)),
            "–" if entry.constant is None else f"{entry.constant:.3g}",
            f"{entry.metric} {entry.value:.3f}",
            "–" if entry.majority is None else f"{entry.majority:.3f}",
        ]
        for entry in entries
    ]
    heads = ["recipe", "state", "steps", "images", "init", "training loss over the steps"]
    heads += ["constant predictor", "validation", "majority class"]
    tried = {entry.slug for entry in entries}
    rest = [slug for slug, recipe in RECIPES.items() if recipe.task != "automask" and slug not in tried]
    parts = [_HOW_TO_READ, pipe_table(heads, rows)]
    if rest:
        parts.append(f"Not tried yet: {', '.join(f'`{slug}`' for slug in rest)}.")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def known_entries() -> list[FirstSteps]:
    """Return what was tried of recipes as they are now."""
    return [entry for recipe in RECIPES.values() if (entry := first_steps.known(recipe)) is not None]


def _some(losses: Sequence[float]) -> list[float]:
    """The first, the last and evenly spread ones between them."""
    count = min(len(losses), SHOWN_LOSSES)
    return [losses[position * (len(losses) - 1) // max(count - 1, 1)] for position in range(count)]
