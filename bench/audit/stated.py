"""Settings that a report states, and the numbers of a claim as exact intervals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from bench.claims.claim import Claim, Ledger

UNSTATED = "unstated"


class Interval(NamedTuple):
    """From ``low`` to ``high``, both included."""

    low: Fraction
    high: Fraction

    def __add__(self, other: object) -> Interval:
        assert isinstance(other, Interval)
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def meets(self, other: Interval) -> bool:
        """Whether the two have a value in common."""
        return self.low <= other.high and other.low <= self.high


def rounded(claim: Claim) -> Interval:
    """The fractions that round to the printed value."""
    value, half = Fraction(claim.fraction), Fraction(claim.half_step)
    return Interval(value - half, value + half)


def cut_off(claim: Claim) -> Interval:
    """The fractions that are printed so when further digits are cut off."""
    value, half = Fraction(claim.fraction), Fraction(claim.half_step)
    return Interval(value, value + 2 * half) if value >= 0 else Interval(value - 2 * half, value)


def possible(claim: Claim) -> Interval:
    """All fractions that can be printed so, rounded or cut off."""
    one, other = rounded(claim), cut_off(claim)
    return Interval(min(one.low, other.low), max(one.high, other.high))


def value(claim: Claim) -> float:
    """The printed value as a fraction."""
    return float(claim.fraction)


def numbers(ledger: Ledger) -> tuple[Claim, ...]:
    """The legible figures of a report."""
    return tuple(claim for claim in ledger.of_kind("number") if not claim.illegible)


def numbers_of(ledger: Ledger, recipe: str, metric: str, beside: Claim | None = None) -> list[Claim]:
    """Return the figures that a recipe may stand for: one figure where it is known which.

    It is the figure whose id is the recipe's slug, else the only one of the metric. Where there are several,
    it is the only one with the data and split of the claim ``beside``.
    """
    figures = [claim for claim in numbers(ledger) if claim.recipe == recipe and claim.metric_name == metric]
    if len(figures) > 1 and beside is not None:
        of_data = [claim for claim in figures if claim.data == beside.data]
        alike = [claim for claim in of_data if claim.split == beside.split] or of_data
        figures = alike or figures
    named = [claim for claim in figures if claim.id == recipe]
    return named or figures


def number_of(ledger: Ledger, recipe: str, metric: str, beside: Claim | None = None) -> Claim | None:
    """The figure that a recipe stands for; None where there is none, or it is not known which."""
    figures = numbers_of(ledger, recipe, metric, beside)
    return figures[0] if len(figures) == 1 else None


def stated(ledger: Ledger, recipe: str | None, key: str) -> tuple[str, Claim] | None:
    """What the report states of a recipe, and where.

    Where it states nothing of this one, a setting of its stage counts (``r3-finetune`` of
    ``r3-finetune-c``), if all that the stage's protocols state is one and the same.
    """
    if recipe is None:
        return None
    own_protocols = [
        (claim.stated[key], claim) for claim in _protocols(ledger, key) if claim.recipe == recipe
    ]
    if own_protocols:
        return own_protocols[0]
    stage, _, variant = recipe.rpartition("-")
    shared = [
        (claim.stated[key], claim)
        for claim in _protocols(ledger, key)
        if variant and "-" in stage and str(claim.recipe).startswith(f"{stage}-")
    ]
    return shared[0] if len({text for text, _ in shared}) == 1 else None


def _protocols(ledger: Ledger, key: str) -> Iterator[Claim]:
    return (c for c in ledger.of_kind("protocol") if key in c.stated and not c.illegible)


def whole_numbers(text: str) -> list[int]:
    """The whole numbers in a printed setting: ``"(70 / 100)"`` has 70 and 100, ``"1e-4"`` none."""
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return [int(number) for number in re.findall(r"(?<![\w.])\d+(?![\w.]*\w)", plain)]


def same_training(one: str | None, other: str | None) -> bool:
    """Whether two recipes are one training, or one selected in another way (``r1-c`` and ``r1-c-400``)."""
    if one is None or other is None:
        return False
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith(f"{short}-")
