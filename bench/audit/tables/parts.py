"""Shares that should add up to the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from bench.audit.tables.roles import MEANS, VALUE, ReadTable
from bench.audit.tables.table_finding import Place, TableFinding, against, holds, written


def check_shares(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """Columns called shares, and rows of percentages of which most add up to 100."""
    for read in reads:
        if read.table.form != "classification report":
            yield from _down(read)
            yield from _along(read)


def _down(read: ReadTable) -> Iterator[TableFinding]:
    """A column called share, over all rows but a total."""
    sets = []
    for column in read.columns:
        if column.role != "share" or not column.unit:
            continue
        rows = [i for i, role in enumerate(read.row_roles) if role != "total" and role not in MEANS]
        places = [Place(read, i, column.index) for i in rows if read.cell(i, column.index).kind == "figure"]
        if len(places) >= 3 and len(places) == len(rows):
            sets.append((column.name, places))
    held = [_adds_up(places) for _, places in sets]
    for (name, places), good in zip(sets, held, strict=True):
        total, whole = _total(places)
        sentence = f"the {len(places)} figures of {name!r} add up to {total}"
        if good:
            yield holds("parts of a whole", "strong", sentence, places, printed="", expected=whole)
        else:
            other = "; not all parts may be printed, or one thing may count twice"
            yield against(
                "parts of a whole",
                "strong" if any(held) else "weak",
                f"{sentence}, not {whole}{'' if any(held) else other}",
                places,
                printed="",
                expected=whole,
            )


def _along(read: ReadTable) -> Iterator[TableFinding]:
    """Rows of figures of one unit; that they are parts follows from most of them adding up to the whole."""
    columns = [c for c in read.columns if c.role in (VALUE, "share") and c.unit]
    if len(columns) < 3 or len({c.unit for c in columns}) > 1:
        return
    rows = []
    for row in range(len(read.table.rows)):
        places = [Place(read, row, c.index) for c in columns]
        if all(place.cell.kind == "figure" for place in places) and any(
            place.figure.decimals or place.cell.percent for place in places
        ):
            rows.append(places)
    held = [_adds_up(places) for places in rows]
    if sum(held) < 3 or 3 * sum(held) < 2 * len(held):
        return
    for places, good in zip(rows, held, strict=True):
        total, whole = _total(places)
        sentence = f"{places[0].label}: the {len(places)} figures add up to {total}"
        if good:
            yield holds("parts of a whole", "strong", sentence, places, printed="", expected=whole)
        else:
            yield against(
                "parts of a whole",
                "strong",
                f"{sentence}, not {whole} as in the rows next to it",
                places,
                printed="",
                expected=whole,
            )


def _adds_up(places: Sequence[Place]) -> bool:
    """Whether the figures can add up to the whole: each rounded, or each cut off."""
    total, decimals, steps = _sum(places)
    gap = total - (100 if places[0].unit == "percent" else 1) * 10**decimals
    return bool(-steps < gap and 2 * gap <= steps)


def _sum(places: Sequence[Place]) -> tuple[int, int, int]:
    """The sum in units of 10**-decimals, and the sum of the last digits' units."""
    figures = [place.figure for place in places]
    decimals = max(figure.decimals for figure in figures)
    steps: int = sum(10 ** (decimals - figure.decimals) for figure in figures)
    return sum(figure.at(decimals) for figure in figures), decimals, steps


def _total(places: Sequence[Place]) -> tuple[str, str]:
    total, decimals, _ = _sum(places)
    return written(Fraction(total, 10**decimals), decimals), "100" if places[0].unit == "percent" else "1"
