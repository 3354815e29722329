"""What a grade is: its words, its fields, and why a claim was not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reference.errors import InputError

Array = npt.NDArray[np.float64]
Unit = Literal["fraction", "percent"]

NOT_REACHED = "not reached under our assumptions"
EXCEEDED_ASSUMING = "exceeded under our assumptions"

GRADES: dict[str, str] = {
    "not tested": "no run decides the claim; the reason is one of NOT_TESTED_REASONS",
    "matches": "a deterministic claim, and what we computed equals it",
    "differs": "a deterministic claim, and what we computed does not equal it",
    "reproduced": "our mean lies within the margin of the printed value, with 98 % confidence",
    "compatible": "as close as seeds scatter, but not yet shown to lie within the margin",
    "exceeded": "better than printed, beyond the margin and what seeds can explain",
    EXCEEDED_ASSUMING: "would be exceeded, but values that the report does not state were ours to choose",
    "contradicted": "worse than printed, beyond the margin and what seeds can explain",
    NOT_REACHED: "would be contradicted, but values that the report does not state were ours to choose",
    "unstable": "a seed of ours broke or ended far from the others, so that their mean says nothing",
    "undecided": "our runs do not decide it",
    "as claimed": "an ordering that our runs show as the report has it",
    "opposite": "an ordering that our runs show the other way round",
    "seen": "a process that our runs show as the report tells it",
    "not seen": "a process that most of our runs do not show",
    "redrawn": "a figure, drawn again from our runs; nothing to count in it",
}

NOT_TESTED_REASONS: dict[str, str] = {
    "data": "there is no run on the data that the claim is about",
    "tier": "on the claim's data there are scaled-down runs only",
    "deviation": "on the claim's data there are only runs that deviate from the stated recipe",
    "settings": "the runs do not differ in the settings that the claim compares, or differ in others too",
    "class": "the class that the claim names is not in the data of the runs",
    "chance": "a network, or what it started from, did not learn more than guessing",
    "one way": "the statement can come out one way only on these images",
    "epoch": "the epoch that the claim names was not measured",
    "not stated": "the report leaves out what no assumption can fill in",
    "illegible": "the scan cannot be read here",
    "no recipe": "nobody has written a recipe for it",
}


MIN_SEEDS = 3
"""Seeds below which nothing is decided: one seed, or two, may be luck."""

MAX_SEEDS = 10
"""The last planned look at the seeds; further ones are shown and decide nothing."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A grade, one plain sentence with its figures, and the numbers it was reached with.

    Attributes:
        k: seeds that were judged; of an ordering those of the side that has fewer.
        mean: our mean figure; of an ordering or a gain the difference of means, first minus second.
        interval: two-sided 95 % t interval of ``mean``.
        p: two-sided p of the difference from the claim (of the difference of means, for orderings).
        more_seeds, chance: for ``compatible``, seeds still to run until the number is more likely decided
            than not, and the chance that it is decided by the last look; None where no look would do.
        from_seeds: seeds from which on the noise allows *reproduced* at all; None where no look does.
        sigma_hat, nu, delta, margin: σ̂, its degrees of freedom, δ and Δ.
    """

    grade: str
    sentence: str
    k: int = 0
    mean: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    more_seeds: int | None = None
    chance: float | None = None
    from_seeds: int | None = None
    sigma_hat: float | None = None
    nu: int | None = None
    delta: float | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.grade not in GRADES:
            raise ValueError(f"no grade {self.grade!r}; grades are {', '.join(GRADES)}")


def not_tested(reason: str, detail: str = "") -> Verdict:
    """Verdict ``not tested`` for one of NOT_TESTED_REASONS, with what would help as ``detail``.

    Raises:
        InputError: another reason.
    """
    if reason not in NOT_TESTED_REASONS:
        valid = ", ".join(NOT_TESTED_REASONS)
        raise InputError(f"not tested: found reason {reason!r}, expected one of {valid}")
    sentence = f"not tested: {NOT_TESTED_REASONS[reason]}"
    return Verdict(grade="not tested", sentence=f"{sentence}; {detail}" if detail else sentence)


def in_unit(value: float, unit: str | None = "fraction") -> str:
    """A figure in the unit that the report prints: ``"0.6637"`` or ``"66.37 %"``."""
    return f"{100 * value:.2f} %" if unit == "percent" else f"{value:.4f}"


def gap_in_unit(value: float, unit: str | None = "fraction") -> str:
    """A difference of two figures: ``"0.0050"`` or, where the report prints percent, ``"0.50 points"``."""
    return f"{100 * value:.2f} points" if unit == "percent" else f"{value:.4f}"


def seed_count(k: int) -> str:
    """``"1 seed"``, ``"3 seeds"``."""
    return "1 seed" if k == 1 else f"{k} seeds"
