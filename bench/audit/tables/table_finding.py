"""What the audit of a table found: one statement about some of its cells, with its strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from bench.audit.finding import STRENGTHS
from bench.audit.stated import Interval
from bench.audit.tables.roles import ReadTable
from bench.claims.cells import Cell, Figure

VERDICTS: dict[str, str] = {
    "against": "speaks against a figure",
    "holds": "checked and in order",
    "note": "what a reader should know to weigh the rest",
    "not checked": "a check that was begun and not made, and why",
}


class Place(NamedTuple):
    """One cell of a table."""

    read: ReadTable
    row: int
    column: int

    @property
    def cell(self) -> Cell:
        return self.read.table.rows[self.row].cells[self.column]

    @property
    def figure(self) -> Figure:
        """The figure of a cell that is known to have one."""
        return self.read.table.rows[self.row].cells[self.column].figure  # type: ignore[return-value]

    @property
    def line(self) -> int:
        return self.read.table.rows[self.row].line

    @property
    def label(self) -> str:
        return self.read.labels[self.row]

    @property
    def name(self) -> str:
        return self.read.table.names[self.column]

    @property
    def unit(self) -> str:
        """``percent``, ``fraction`` or empty: of the cell itself where it has a sign, else of its column."""
        if self.cell.percent:
            return "percent"
        return self.read.columns[self.column].unit


@dataclass(frozen=True, kw_only=True)
class TableFinding:
    """One statement about cells.

    Attributes:
        check: which check.
        verdict: key of ``VERDICTS``; ``strength`` is empty for what was not checked.
        sentence: the finding in plain words, true by itself.
        line: line of the file that it is about.
        places: the cells that it rests on, the one it speaks against first.
        printed, expected: what stands there, and what the check would accept.
        more: how many like findings this one stands for, besides itself.
    """

    check: str
    verdict: str
    strength: str
    sentence: str
    line: int
    places: tuple[Place, ...] = ()
    printed: str = ""
    expected: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS or (self.strength not in STRENGTHS and self.verdict != "not checked"):
            raise ValueError(f"no such verdict or strength: {self.verdict!r}, {self.strength!r}")


def against(check: str, strength: str, sentence: str, places: Sequence[Place], **more: str) -> TableFinding:
    """What speaks against the first of the cells."""
    return _of_cells("against", check, strength, sentence, places, **more)


def holds(check: str, strength: str, sentence: str, places: Sequence[Place], **more: str) -> TableFinding:
    """A check that was made and holds."""
    return _of_cells("holds", check, strength, sentence, places, **more)


def _of_cells(
    verdict: str, check: str, strength: str, sentence: str, places: Sequence[Place], **more: str
) -> TableFinding:
    return TableFinding(
        check=check,
        verdict=verdict,
        strength=strength,
        sentence=sentence,
        line=places[0].line,
        places=tuple(places),
        printed=more.get("printed", places[0].cell.text),
        expected=more.get("expected", ""),
    )


def not_checked(check: str, sentence: str, line: int, places: Sequence[Place] = ()) -> TableFinding:
    """A check that was begun and not made."""
    return TableFinding(
        check=check, verdict="not checked", strength="", sentence=sentence, line=line, places=tuple(places)
    )


@lru_cache(maxsize=1 << 14)
def rounded(figure: Figure) -> Interval:
    """What rounds to a printed number, ends included."""
    return Interval(figure.value - figure.half_step, figure.value + figure.half_step)


@lru_cache(maxsize=1 << 14)
def possible(figure: Figure) -> Interval:
    """What can be printed so: rounded, or cut off towards zero."""
    step = 2 * figure.half_step
    low = -step if figure.digits < 0 or figure.text.startswith("-") else -figure.half_step
    high = figure.half_step if figure.digits < 0 or figure.text.startswith("-") else step
    return Interval(figure.value + low, figure.value + high)


def scaled(interval: Interval, unit: str) -> Interval:
    """As fractions, where the unit is percent."""
    return Interval(interval.low / 100, interval.high / 100) if unit == "percent" else interval


def written(value: Fraction | float, decimals: int) -> str:
    """A number rounded to so many digits after the point, exactly."""
    steps = round(Fraction(value) * 10**decimals)
    digits = f"{abs(steps):0{decimals + 1}d}"
    sign = "-" if steps < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def count(number: int, word: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
