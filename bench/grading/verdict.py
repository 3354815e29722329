"""What a grade is: its words, its fields, and why a claim was not run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reference.errors import InputError

Array = npt.NDArray[np.float64]
Unit = Literal["fraction", "percent"]

NOT_REACHED = "not reached under our assumptions"

GRADES: dict[str, str] = {
    "not run": "no run counts for the claim; the reason is one of NOT_RUN_REASONS",
    "failed": "our run broke",
    "exact": "a deterministic claim, and what we found equals it",
    "different": "a deterministic claim, and what we found does not equal it",
    "reproduced": "our mean lies within the margin of the printed value, with 95 % confidence",
    "consistent": "as close as seeds scatter, but too few seeds to show it lies within the margin",
    "exceeded": "better than printed, beyond the margin and what seeds can explain",
    "contradicted": "worse than printed, beyond the margin and what seeds can explain",
    NOT_REACHED: "would be contradicted, but values that the report does not state were ours to choose",
    "inconclusive": "our runs do not decide it",
    "directional": "an ordering that our runs show as claimed",
    "reversed": "an ordering that our runs show the other way round",
    "supported": "a process that our curves show as claimed",
    "not supported": "a process that most of our curves do not show",
    "shown": "a figure, redrawn beside the claim; nothing to count in it",
}

NOT_RUN_REASONS: dict[str, str] = {
    "data": "the data that the claim names is not there",
    "weights": "the pretrained weights that the recipe starts from are not there",
    "deviation": "only runs that deviate from the stated recipe exist",
    "hardware": "no machine here can run it",
    "budget": "more GPU time than was allowed",
    "not stated": "the report leaves out what no assumption can fill in",
    "illegible": "the scan cannot be read here",
    "no recipe": "nobody has written a recipe for it",
}


MIN_SEEDS = 3
"""Seeds below which nothing is contradicted and no paired t test is made."""

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A grade, one plain sentence with its figures, and the numbers it was reached with.

    Attributes:
        k: seeds (for ``grade_process`` runs) that were judged.
        mean: our mean figure; for orderings the mean difference, first minus second.
        interval: two-sided 95 % t interval of ``mean``.
        p: two-sided p of the difference from the claim (of the mean difference, for orderings).
        more_seeds: for ``consistent``, seeds still to run until ``reproduced`` if mean and spread
            stayed as they are; None where it is never (or beyond 10,000).
        sigma_hat, nu, delta, margin: σ̂, its degrees of freedom, δ and Δ.
    """

    grade: str
    sentence: str
    k: int = 0
    mean: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    more_seeds: int | None = None
    sigma_hat: float | None = None
    nu: int | None = None
    delta: float | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.grade not in GRADES:
            raise ValueError(f"no grade {self.grade!r}; grades are {', '.join(GRADES)}")


def not_run(reason: str, detail: str = "") -> Verdict:
    """Verdict ``not run`` for one of NOT_RUN_REASONS, with what would help as ``detail``."""
    if reason not in NOT_RUN_REASONS:
        raise InputError(f"not run: found reason {reason!r}, expected one of {', '.join(NOT_RUN_REASONS)}")
    sentence = f"not run: {reason} ({NOT_RUN_REASONS[reason]})"
    return Verdict(grade="not run", sentence=f"{sentence}; {detail}" if detail else sentence)


def seed_count(k: int) -> str:
    return "1 seed" if k == 1 else f"{k} seeds"


def not_finite(figures: Sequence[float]) -> Verdict:
    seeds = [seed for seed, figure in enumerate(figures) if not math.isfinite(figure)]
    return Verdict(
        grade="failed",
        sentence=f"the figure of seed {', '.join(map(str, seeds))} is not a finite number",
        k=len(figures),
    )
