"""Rows and columns that are printed twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from bench.audit.finding import listed
from bench.audit.tables.roles import LABEL, Column, ReadTable
from bench.audit.tables.table_finding import Place, TableFinding, against, count, holds, not_checked

LEAST_FIGURES = 3
"""Figures that two rows must share to be called equal."""

MOST_CHANCE = 1e-3
"""Pairs of equal rows that chance may make in a table in which equality is called strong."""

MOST_WORK = 1_000_000
"""Figures that are compared when one figure of a row is left out in turn."""

_ENDS = {"0", "1", "100", "0.0", "1.0", "100.0", "0.00", "1.00", "100.00", "1.000", "0.000"}
"""Values that many rows share because nothing lies beyond them."""


def check_repeats(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """Duplicated rows and columns of each table."""
    for read in reads:
        if read.table.form in ("classification report", "class log"):
            continue
        yield from _rows(read)
        yield from _columns(read)


def _rows(read: ReadTable) -> Iterator[TableFinding]:
    columns = [
        c for c in read.numeric() if c.role not in ("n", "runs", "share", "total", "sd") and c.figures >= 2
    ]
    if len(columns) < LEAST_FIGURES or len(read.table.rows) < 2:
        return
    texts = [[_text(read, row, c.index) for c in columns] for row in range(len(read.table.rows))]
    likely = _chance(texts)
    whole: dict[Hashable, list[int]] = defaultdict(list)
    for row, values in enumerate(texts):
        if _telling(values):
            whole[tuple(values)].append(row)
    pairs = [rows for rows in whole.values() if len(rows) > 1]
    repeated = sum(map(len, pairs))
    for rows in pairs:
        yield _equal(read, rows, columns, likely, alone=repeated <= 2 or 10 * repeated <= len(texts))
    compared = sum(map(len, whole.values()))
    near, why = _near(texts, {row for rows in pairs for row in rows[1:]})
    if likely * len(columns) > MOST_CHANCE:
        near = []  # as chance makes them
    for one, other, differing in near:
        yield _nearly_equal(read, one, other, columns, differing, likely)
    if why:
        yield not_checked("duplicate row", why, read.table.line)
    if compared >= 2 and not pairs and not near:
        place = Place(read, 0, columns[0].index)
        yield holds(
            "duplicate row",
            "weak",
            f"no two of {compared:,} rows print the same {count(len(columns), 'figure')}",
            [place],
            printed="",
        )


def _text(read: ReadTable, row: int, column: int) -> str:
    cell = read.cell(row, column)
    return cell.figure.text if cell.kind == "figure" and cell.figure else ""


def _telling(values: Sequence[str], least: int = LEAST_FIGURES) -> bool:
    """Enough different figures of enough digits that equality means something."""
    seen = {value for value in values if value and value not in _ENDS}
    digits = sum(len(value.replace(".", "").strip("-0")) for value in seen)
    return len(seen) >= least and digits >= 2 * least


def _chance(texts: Sequence[Sequence[str]]) -> float:
    """How many pairs of equal rows a table of independent columns with these values would have."""
    rows = len(texts)
    pairs = rows * (rows - 1) / 2
    for column in zip(*texts, strict=True):
        counts: dict[str, int] = defaultdict(int)
        for text in column:
            counts[text] += 1
        same = sum(c * (c - 1) for c in counts.values()) / max(rows * (rows - 1), 1)
        steps = 10.0 ** max(max((len(t.replace(".", "").lstrip("-0")) for t in counts), default=0) - 1, 0)
        pairs *= max(min(same, 0.5), 1 / steps / 5) if rows > 20 else max(1 / steps, 1e-4)
    return pairs


def _equal(
    read: ReadTable, rows: Sequence[int], columns: Sequence[Column], likely: float, *, alone: bool
) -> TableFinding:
    places = [
        Place(read, row, c.index) for row in reversed(rows[:2]) for c in columns if _text(read, row, c.index)
    ]
    names = {read.labels[row] for row in rows}
    lines = listed(read.table.rows[row].line for row in rows[:10]) + (" …" if len(rows) > 10 else "")
    sentence = (
        f"{listed(dict.fromkeys(read.labels[row] for row in rows[:10]))} (lines {lines}) print the same "
        f"{len(places) // 2} figures"
    )
    if len(names) == 1:
        return against(
            "duplicate row",
            "weak",
            f"{sentence} under one name; a row printed twice, or a baseline repeated",
            places,
            printed="",
        )
    rare = alone and likely < MOST_CHANCE and len(places) // 2 > LEAST_FIGURES
    tail = (
        ""
        if rare
        else "; chance, one run under two names, or values that follow from few settings may do that"
    )
    return against("duplicate row", "strong" if rare else "weak", f"{sentence}{tail}", places, printed="")


def _near(texts: Sequence[Sequence[str]], done: set[int]) -> tuple[list[tuple[int, int, int]], str]:
    """Pairs of rows that differ in one figure alone, of at least six; (row, row, the column that differs)."""
    width = len(texts[0])
    if width < 6:
        return [], ""
    if len(texts) * width * width > MOST_WORK:
        return (
            [],
            f"{len(texts):,} rows of {width} figures are compared as a whole, not with one figure left "
            f"out in turn",
        )
    telling = {row for row, values in enumerate(texts) if row not in done and _telling(values, least=5)}
    repeated = {}
    for left_out in range(width):
        seen: dict[Hashable, int] = {}
        for row, values in enumerate(texts):
            if row not in telling:
                continue
            rest = (*values[:left_out], *values[left_out + 1 :])
            if (first := seen.setdefault(rest, row)) != row and (first, row) not in repeated:
                repeated[first, row] = left_out
    return [(one, other, column) for (one, other), column in repeated.items()], ""


def _nearly_equal(
    read: ReadTable, one: int, other: int, columns: Sequence[Column], differing: int, likely: float
) -> TableFinding:
    same = [c for i, c in enumerate(columns) if i != differing and _text(read, other, c.index)]
    places = [
        Place(read, other, columns[differing].index),
        *(Place(read, row, c.index) for row in (other, one) for c in same),
    ]
    text = (
        f"{read.labels[one]} and {read.labels[other]} (lines {read.table.rows[one].line} and "
        f"{read.table.rows[other].line})"
        f" print the same {len(same)} figures and differ in {columns[differing].name!r} alone"
        f" ({_text(read, one, columns[differing].index) or 'none'} and "
        f"{_text(read, other, columns[differing].index) or 'none'})"
    )
    strength = "strong" if likely < MOST_CHANCE and read.labels[one] != read.labels[other] else "weak"
    return against("duplicate row", strength, text, places, printed="")


def _columns(read: ReadTable) -> Iterator[TableFinding]:
    """Equal columns of at least five different figures; counts, and weighted averages, may be equal."""
    rows = range(len(read.table.rows))
    by_values: dict[Hashable, list[Column]] = defaultdict(list)
    columns = [c for c in read.columns if c.role not in (LABEL, "aside", "n", "runs", "sd")]
    compared = 0
    for column in columns:
        values = tuple(_text(read, row, column.index) for row in rows)
        if len({v for v in values if v and v not in _ENDS}) >= 5:
            by_values[values].append(column)
            compared += 1
    kin = {"accuracy", "recall", "precision", "f1", "top1", "mean_accuracy"}
    for twins in by_values.values():
        if len(twins) < 2:
            continue
        places = [
            Place(read, row, c.index) for c in twins[1::-1] for row in rows if _text(read, row, c.index)
        ]
        names = listed(repr(c.name) for c in twins)
        counted = all(place.figure.decimals == 0 for place in places)
        innocent = counted or all(c.role in kin for c in twins)
        nature = (
            "counts may be equal" if counted else "averages weighted by support are equal by their nature"
        )
        end = f"; {nature}" if innocent else ""
        yield against(
            "duplicate column",
            "weak" if innocent or len({c.name for c in twins}) == 1 else "strong",
            f"the columns {names} print the same {len(places) // 2} figures{end}",
            places,
            printed="",
        )
    if compared >= 2 and all(len(twins) < 2 for twins in by_values.values()):
        yield holds(
            "duplicate column",
            "weak",
            f"no two of {compared} columns print the same figures",
            [Place(read, 0, columns[0].index)],
            printed="",
        )
