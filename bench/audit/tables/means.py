"""Printed means, sums and harmonic means against the figures that they are of.

Which figures those are is guessed from names and places, and confirmed by the rows in which the guess holds:
where it holds in none, it is the guess that is doubted and not the table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from bench.audit.finding import listed
from bench.audit.tables.roles import (
    LABEL,
    MEANS,
    VALUE,
    Column,
    ReadTable,
    columns_named,
    finder,
    normal,
)
from bench.audit.tables.table_finding import (
    Place,
    TableFinding,
    against,
    count,
    holds,
    not_checked,
    possible,
    rounded,
    written,
)
from bench.claims.cells import Figure
from reference.errors import InputError

SAMPLED = 200
"""Rows that a guess is tried on."""

ROUNDED, MEAN_CUT, MEMBERS_CUT, TWICE = "rounded", "mean cut off", "members cut off", "rounded twice"
UNLIKELY = "unlikely"
Z_UNLIKELY = 3.9
"""Standard deviations beyond which roundings add up in less than one row of 1,000."""

INNOCENT = {
    MEAN_CUT: "only if the mean was cut off, not rounded",
    MEMBERS_CUT: "only if its members were cut off, not rounded",
    TWICE: "only if the mean was rounded twice",
    UNLIKELY: "only if nearly all roundings went the same way, as in less than 1 of 1,000 rows by chance",
}

_BY_VALUES = ("no value", "most values", "values up to", "values above")
"""How the reasons begin for which a unit is guessed from values alone."""

_BACKGROUND = re.compile(r"background|bg|void|other|others|unlabell?ed|ignore|unknown|clutter", re.I)
_NUMBERED = re.compile(r"(?:class|iou|acc|ap|c)?\s*#?\s*(\d{1,3})", re.I)
_RANGE = re.compile(r"(\d{1,3})\s*(?:_|-|–|\.\.|to|:)\s*(\d{1,3})\s*[)\]]?\s*$")


@dataclass(frozen=True, eq=False)
class FigureGroup:
    """A printed mean (or sum) and the cells that it may be of.

    ``printed_by``: it follows from the table's text, not from its arrangement: ``option``, ``name`` or empty.
    """

    mean: Place
    members: tuple[Place, ...]
    kind: str = "mean"
    by: str = ""
    weights: tuple[int, ...] = ()

    @cached_property
    def figures(self) -> list[Figure]:
        return [place.figure for place in self.members]

    @cached_property
    def fit(self) -> str:
        """How the printed figure follows from its members: ``rounded``, a key of ``INNOCENT``, or empty."""
        return _fit(self)


@dataclass(frozen=True)
class Guess:
    """One way to choose the members of a mean, over all rows or columns of a table.

    Attributes:
        sure: the name says that it is a mean.
        alike: all members are of one unit, as far as values tell, and no cell holds a pair that may belong.
    """

    what: str
    groups: tuple[FigureGroup, ...]
    sure: bool
    key: tuple[object, ...]
    unread: tuple[Place, ...] = ()
    alike: bool = True


def check_means(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """Every mean and sum of the tables of a file."""
    chosen = _chosen(reads)
    fits: dict[tuple[object, ...], list[bool]] = defaultdict(list)
    for guess in chosen:
        fits[guess.key] += [_telling(group) for group in guess.groups if group.fit]
    totals: dict[tuple[object, ...], int] = defaultdict(int)
    for guess in chosen:
        totals[guess.key] += len(guess.groups)
    for guess in chosen:
        yield from _judged(guess, sum(fits[guess.key]), totals[guess.key])
    for given, members in dict.fromkeys(mean for read in reads for mean in read.options.means):
        if not any(group.by == "option" for guess in chosen for group in guess.groups):
            raise InputError(f'--mean "{given}={members}": no table has these columns or rows')


def groups(reads: Sequence[ReadTable]) -> Iterator[FigureGroup]:
    """Every printed mean or sum with the cells that it was taken to be of."""
    for guess in _chosen(reads):
        yield from guess.groups


def members_of(reads: Sequence[ReadTable]) -> Iterator[tuple[Place, str]]:
    """Yield the first cell of each mean and what it was taken to be the mean of, for ``--explain``."""
    for guess in _chosen(reads):
        if guess.groups:
            yield guess.groups[0].mean, guess.what


def _chosen(reads: Sequence[ReadTable]) -> list[Guess]:
    """For each mean of each table, the guess of its members that fits best."""
    guesses = [
        best
        for read in reads
        if read.table.form != "classification report"
        for options in (*_by_rows(read), *_by_columns(read))
        if (best := _best(options))
    ]
    return guesses + _across_tables(reads)


# Which figures a mean is of ---------------------------------------------------------------------------


def _by_rows(read: ReadTable) -> Iterator[list[Guess]]:
    """For each column that is a mean, the guesses of its members."""
    find = finder(read.table.names)
    given = {find(mean): members for mean, members in read.options.means}
    for column in read.columns:
        if column.index in given:
            members = columns_named(given[column.index], read.table.names, find)
            if members is not None:
                chosen = [m for m in members if m != column.index and read.columns[m].figures]
                yield [_row_guess(read, column, chosen, "as --mean says", "mean", by="option")]
            continue
        if column.role == "total":
            yield [
                _row_guess(read, column, members, what, "sum")
                for what, members in _runs_of(read, column, ("n", VALUE, "aside_count"))
            ]
        elif column.role == "harmonic":
            left = [c.index for c in read.columns[: column.index] if c.role not in (LABEL, "aside", "n")][-2:]
            if len(left) == 2 and all(read.columns[i].unit == column.unit for i in left):
                yield [_row_guess(read, column, left, "the two columns before it", "harmonic")]
        elif (column.role in MEANS or column.role == "overall") and column.figures:
            if (named := _range_in_name(read, column)) is not None:
                yield [_row_guess(read, column, named, "the range in its name", "mean", by="name")]
                continue
            runs = _runs_of(read, column, (VALUE,))
            yield [_row_guess(read, column, members, what, "mean") for what, members in runs]


def _range_in_name(read: ReadTable, column: Column) -> list[int] | None:
    """``miou_2_6`` with ``iou_2`` to ``iou_6`` in the same table."""
    match = _RANGE.search(column.name)
    if not match or (metric := MEANS.get(column.role, column.role)) is None:
        return None
    first, last = int(match[1]), int(match[2])
    by_number: dict[int, int] = {}
    for other in read.columns:
        words = normal(other.name)
        if other.index != column.index and (number := re.search(r"(\d{1,3})$", words)) and metric in words:
            by_number.setdefault(int(number[1]), other.index)
    members = [by_number.get(i) for i in range(first, last + 1)]
    return None if len(members) < 2 or None in members else [m for m in members if m is not None]


def _runs_of(read: ReadTable, column: Column, roles: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return what may be the members: next to the mean, on one side, all, other means; no background."""
    metric = MEANS.get(column.role, "")

    def eligible(other: Column) -> bool:
        if other.index == column.index or other.role not in roles or not other.figures:
            return False
        guessed = column.unit_why.startswith(_BY_VALUES) or other.unit_why.startswith(_BY_VALUES)
        return not column.unit or not other.unit or other.unit == column.unit or guessed

    left: list[int] = []
    right = []
    for other in reversed(read.columns[: column.index]):
        if not eligible(other):
            break
        left.insert(0, other.index)
    for other in read.columns[column.index + 1 :]:
        if not eligible(other):
            break
        right.append(other.index)
    before = [c.index for c in read.columns[: column.index] if eligible(c)]
    after = [c.index for c in read.columns[column.index + 1 :] if eligible(c)]
    means = [c.index for c in read.columns if c.role == column.role and c.index != column.index and c.figures]
    named = [i for i in before + after if metric and re.search(rf"\b{metric}", normal(read.columns[i].name))]
    prefix = column.name.rpartition(" / ")[0]
    together = [i for i in before + after if prefix and read.columns[i].name.startswith(prefix)]
    options = [
        ("the columns under the same heading", together),
        ("the columns before it", left),
        ("the columns after it", right),
        ("all columns of that metric", named),
        ("all columns before it", before),
        ("all columns after it", after),
        ("all columns next to it", before + after),
        ("the columns at some k", [i for i in before if "@" in read.columns[i].name]),
        ("the other means", means if column.role == "mean" else []),
    ]
    guesses: dict[tuple[int, ...], str] = {}
    for what, members in options:
        if len(members) >= 2:
            guesses.setdefault(tuple(members), what)
            without = [i for i in members if not _BACKGROUND.fullmatch(normal(read.columns[i].name))]
            if 2 <= len(without) < len(members):
                guesses.setdefault(tuple(without), f"{what}, background left out")
    return [(what, list(members)) for members, what in guesses.items()]


def _row_guess(
    read: ReadTable, column: Column, members: Sequence[int], what: str, kind: str, by: str = ""
) -> Guess:
    groups, unread = [], []
    for row in range(len(read.table.rows)):
        cells = read.table.rows[row].cells
        if cells[column.index].kind != "figure":
            continue
        lacking = [i for i in members if cells[i].kind != "figure"]
        if lacking:
            unread.append(Place(read, row, lacking[0]))
        else:
            places = tuple(Place(read, row, i) for i in members)
            groups.append(FigureGroup(Place(read, row, column.index), places, kind, by))
    names = tuple(normal(read.table.names[i]) for i in members)
    sure = column.role != "overall" and (column.role != "ap" or "m" in normal(column.name))
    pairs = any(cell.kind == "pair" for row in read.table.rows[:SAMPLED] for cell in row.cells)
    alike = len({read.columns[i].unit for i in members} - {""}) <= 1 and not pairs
    return Guess(what, tuple(groups), sure, (kind, normal(column.name), names), tuple(unread), alike)


def _by_columns(read: ReadTable) -> Iterator[list[Guess]]:
    """For each row that is a mean, the rows above it (or below), in every column of results."""
    find = finder(read.labels)
    given = {find(mean): members for mean, members in read.options.means}
    special = [
        index
        for index, role in enumerate(read.row_roles)
        if role in MEANS or role in ("total", "harmonic") or index in given
    ]
    if len(special) * 2 > len(read.row_roles):
        return
    weights_column = next((c.index for c in read.columns if c.role == "n"), None)
    for position, index in enumerate(special):
        columns = [
            c
            for c in read.numeric()
            if read.cell(index, c.index).kind == "figure"
            and (c.role != "n" or read.row_roles[index] == "total")
        ]
        if index in given:
            members = columns_named(given[index], read.labels, find)
            if members is not None:
                rows = [m for m in members if m != index]
                yield [_column_guess(read, index, rows, columns, "as --mean says", "mean", "option", None)]
            continue
        if read.row_roles[index] == "harmonic":
            continue
        previous = special[position - 1] + 1 if position else 0
        following = special[position + 1] if position + 1 < len(special) else len(read.row_roles)
        others = [i for i in range(len(read.row_roles)) if i not in special]
        kind = "sum" if read.row_roles[index] == "total" else "mean"
        metric = MEANS.get(read.row_roles[index], "")
        sets = {
            "the rows above it": [i for i in range(previous, index) if i not in special],
            "the rows below it": [i for i in range(index + 1, following) if i not in special],
            "all rows above it": [i for i in others if i < index],
            "all rows": others,
            "the rows of that metric": [i for i in others if metric and metric in normal(read.labels[i])],
            "the numbered rows": [i for i in others if _NUMBERED.fullmatch(normal(read.labels[i]))],
        }
        guesses: dict[tuple[int, ...], Guess] = {}
        for what, rows in sets.items():
            rows = [i for i in rows if read.row_roles[i] in (VALUE, "aside_count", "n")]
            for weighted in (None, weights_column) if kind == "mean" else (None,):
                if weighted is not None and any(read.cell(i, weighted).figure is None for i in rows):
                    continue
                description = (
                    what if weighted is None else f"{what}, weighted by {read.table.names[weighted]}"
                )
                key = (*rows, -1 if weighted is None else weighted)
                if len(rows) >= 2 and key not in guesses:
                    guesses[key] = _column_guess(read, index, rows, columns, description, kind, "", weighted)
        if guesses:
            yield list(guesses.values())


def _column_guess(
    read: ReadTable,
    index: int,
    rows: Sequence[int],
    columns: Sequence[Column],
    what: str,
    kind: str,
    by: str,
    weighted: int | None,
) -> Guess:
    groups, unread = [], []
    for column in columns:
        places = [Place(read, row, column.index) for row in rows]
        present = [place for place in places if place.cell.kind == "figure"]
        lacking = [place for place in places if place.cell.kind not in ("figure", "none")]
        if lacking or len(present) < 2:
            unread += lacking[:1]
            continue
        weights = (
            () if weighted is None else tuple(Place(read, p.row, weighted).figure.digits for p in present)
        )
        numbered = [_NUMBERED.fullmatch(normal(read.labels[place.row])) for place in present]
        numbers = [int(match[1]) for match in numbered if match]
        listed_by_program = read.table.form in ("class log", "console") and (
            read.table.form == "console"
            or (len(numbers) == len(present) and numbers == list(range(numbers[0], numbers[-1] + 1)))
        )
        generic = read.row_roles[index] == "mean" and what == "the rows above it"
        name = by or ("program" if listed_by_program else "row" if generic and len(present) >= 3 else "")
        groups.append(FigureGroup(Place(read, index, column.index), tuple(present), kind, name, weights))
    return Guess(what, tuple(groups), True, (kind, "rows", id(read), index), tuple(unread))


def _across_tables(reads: Sequence[ReadTable]) -> list[Guess]:
    """A table of classes, and another table of the same section that prints their mean."""
    guesses = []
    for read in reads:
        if len(read.table.rows) < 3 or read.table.form == "classification report":
            continue
        if any(role in MEANS for role in read.row_roles):
            continue
        label = next((c for c in read.columns if c.role == LABEL), None)
        of_classes = label is not None and re.search(r"class|category|label|name", normal(label.name))
        for column in read.numeric():
            metric = normal(column.name)
            if not of_classes or column.role == "n" or column.figures != len(read.table.rows) or not metric:
                continue
            others = [
                other
                for other in reads
                if other is not read
                and (other.table.section == read.table.section or len(reads) == 2)
                and abs(other.table.number - read.table.number) <= 2
            ]
            means = [place for other in others for place in _means_named(other, metric)]
            if len(means) == 1 and (not means[0].unit or not column.unit or means[0].unit == column.unit):
                members = tuple(Place(read, row, column.index) for row in range(len(read.table.rows)))
                by = "program" if read.table.form == means[0].read.table.form == "console" else ""
                group = FigureGroup(means[0], members, "mean", by)
                what = f"{column.name} of {read.table.label}"
                guesses.append(Guess(what, (group,), True, ("across", read.table.number, column.index)))
    return guesses


def _means_named(read: ReadTable, metric: str) -> list[Place]:
    """Figures whose name says that they are the mean of a metric over classes."""
    short = {"accuracy": "acc"}.get(metric, metric)
    wanted = {
        f"m{short}",
        f"m {short}",
        f"mean {short}",
        f"mean {metric}",
        f"avg {metric}",
        f"average {metric}",
        f"{metric} classes",
        f"mean class {metric}",
    }
    places = []
    if len(read.table.rows) == 1:
        places += [Place(read, 0, c.index) for c in read.columns if normal(c.name) in wanted]
    if len(numeric := read.numeric()) == 1:
        places += [
            Place(read, row, numeric[0].index)
            for row, label in enumerate(read.labels)
            if normal(label) in wanted
        ]
    return [place for place in places if place.cell.kind == "figure"]


def _best(guesses: Sequence[Guess]) -> Guess | None:
    """The guess that holds in most rows; of equals the first."""
    usable = [guess for guess in guesses if guess.groups]
    if not usable:
        return (
            max(guesses, key=lambda guess: len(guess.unread))
            if guesses and any(g.unread for g in guesses)
            else None
        )

    def merit(guess: Guess) -> tuple[int, int]:
        sample = guess.groups[:SAMPLED]
        fits = [group.fit for group in sample]
        return sum(fit == ROUNDED for fit in fits), sum(bool(fit) for fit in fits)

    return max(usable, key=merit)


# Whether it holds -------------------------------------------------------------------------------------


def _fit(group: FigureGroup) -> str:
    """How a printed figure follows from its members: rounded, by another reading, or (empty) not."""
    if group.kind == "harmonic":
        return _harmonic_fit(group)
    members, mean = group.figures, group.mean.figure
    if group.weights:
        return _weighted_fit(group)
    if fit := mean_fit(members, mean, sum_of=group.kind == "sum"):
        return fit
    units = group.mean.unit, group.members[0].unit
    if units == ("percent", "fraction"):
        return mean_fit(members, mean._replace(decimals=mean.decimals + 2))
    if units == ("fraction", "percent"):
        return mean_fit([figure._replace(decimals=figure.decimals + 2) for figure in members], mean)
    return ""


def mean_fit(
    members: Sequence[Figure], mean: Figure, *, sum_of: bool = False, divisor: int | None = None
) -> str:
    """How a printed mean follows from printed members: a key of ``INNOCENT``, ``rounded``, or empty.

    All in whole units of half the last digit of the most precise figure, times the number of members.
    """
    decimals = max(mean.decimals, *(figure.decimals for figure in members))
    of = 1 if sum_of else divisor or len(members)
    total = half = squares = 0
    for figure in members:
        unit = 10 ** (decimals - figure.decimals)
        total += 2 * figure.digits * unit
        half += unit
        squares += unit * unit
    if sum_of and decimals == 0:
        half = 0  # whole numbers are counted, not rounded
    mean_half = of * 10 ** (decimals - mean.decimals) if not (sum_of and decimals == 0) else 0
    gap = 2 * of * mean.at(decimals) - total
    return _how(gap, half, mean_half, squares, negative=min(figure.digits for figure in (*members, mean)) < 0)


def _how(gap: int, half: int, mean_half: int, squares: int, *, negative: bool) -> str:
    """``gap``: the printed mean less the computed one; ``half``, ``mean_half``: what rounding leaves of each.

    ``squares``: the sum of the squares of what rounding leaves of the members.
    """
    if abs(gap) <= half + mean_half:
        # Rounding errors are uniform: P(|gap| > z·σ) < 2·exp(−z²/2); 3σ² is the sum of the halves' squares.
        return UNLIKELY if 3 * gap * gap > Z_UNLIKELY**2 * (squares + mean_half**2) else ROUNDED
    if -(half + 2 * mean_half) < gap < 0 or (negative and 0 < gap < half + 2 * mean_half):
        return MEAN_CUT
    if 0 < gap < 2 * half + mean_half or (negative and -(2 * half + mean_half) < gap < 0):
        return MEMBERS_CUT
    if 10 * abs(gap) <= 10 * half + 11 * mean_half:
        return TWICE
    return ""


def _weighted_fit(group: FigureGroup) -> str:
    weight = sum(group.weights)
    if weight <= 0:
        return ""
    spans = [rounded(figure) for figure in group.figures]
    low = sum((w * s.low for w, s in zip(group.weights, spans, strict=True)), Fraction(0)) / weight
    high = sum((w * s.high for w, s in zip(group.weights, spans, strict=True)), Fraction(0)) / weight
    mean = rounded(group.mean.figure)
    return ROUNDED if low <= mean.high and mean.low <= high else ""


def _harmonic_fit(group: FigureGroup) -> str:
    one, other = group.figures
    for read, word in ((rounded, ROUNDED), (possible, MEMBERS_CUT)):
        a, b, mean = read(one), read(other), read(group.mean.figure)
        if min(a.low, b.low) <= 0:
            return ROUNDED if min(a.low, b.low) <= 0 <= mean.high and mean.low <= 0 else ""
        if harmonic(a.low, b.low) <= mean.high and mean.low <= harmonic(a.high, b.high):
            return word
    return ""


def harmonic(a: Fraction, b: Fraction) -> Fraction:
    """2ab/(a + b), and 0 where both are 0."""
    return 2 * a * b / (a + b) if a + b else Fraction(0)


def _telling(group: FigureGroup) -> bool:
    """Whether a mean that holds says anything: an arbitrary value between its members would rarely hold."""
    if group.kind != "mean":
        return True
    figures = group.figures
    decimals = max(figure.decimals for figure in figures)
    values = [figure.at(decimals) for figure in figures]
    coarsest = min(group.mean.figure.decimals, *(figure.decimals for figure in figures))
    return max(values) - min(values) > 5 * int(10 ** (decimals - coarsest))


def _judged(guess: Guess, fits: int, total: int) -> Iterator[TableFinding]:
    """The findings of one mean over all rows, given in how many rows of the file the same guess holds."""
    check_name = {"mean": "mean", "sum": "sum", "harmonic": "harmonic mean"}[
        guess.groups[0].kind if guess.groups else "mean"
    ]
    if guess.unread:
        first = guess.unread[0]
        text = first.cell.text
        yield not_checked(
            check_name,
            f"{count(len(guess.unread), 'row')} of a mean not checked, the first in line {first.line}: "
            f"{f'{text!r}' if text else 'nothing'} stands under {first.name!r}",
            first.line,
            [first],
        )
    confirmed = fits > 0 and (2 * fits >= total or (fits >= 3 and 4 * fits >= total))
    if not guess.groups:
        return
    by = guess.groups[0].by
    counted = guess.groups[0].kind == "sum" and not any(f.decimals for f in guess.groups[0].figures)
    accusing = guess.sure and guess.alike and (counted or guess.groups[0].kind == "mean")
    if not confirmed and not by and (total >= 3 or not accusing) and not _same_slip(guess):
        if not guess.sure:
            return  # a name such as "overall" promises no mean
        if not any(group.fit for group in guess.groups):
            mean = guess.groups[0].mean
            name = mean.name if guess.groups[0].members[0].row == mean.row else mean.label
            rows = "not" if total == 1 else f"in none of {total} rows"
            yield not_checked(
                check_name,
                f"{name!r} is {rows} the {check_name} of {guess.what}, so that it is of something else; say"
                f' of what with --mean "{name}=FIRST..LAST"',
                mean.line,
                [mean],
            )
            return
    cut = sum(group.fit == MEAN_CUT for group in guess.groups)
    always_cut = cut >= 3 and all(map(_may_be_cut, guess.groups))
    for group in guess.groups:
        yield _of_one(group, guess, confirmed, always_cut, total)


def _may_be_cut(group: FigureGroup) -> bool:
    """Whether the printed mean may be cut off: no rounding of the members makes the true one less than it."""
    halves = sum((figure.half_step for figure in group.figures), Fraction(0))
    return group.mean.figure.value - _computed(group) <= halves / len(group.members)


def _same_slip(guess: Guess) -> bool:
    """Whether the rows that do not hold all divide by one too many or one too few."""
    return any(_divisor(group) for group in guess.groups)


def _divisor(group: FigureGroup) -> int | None:
    """n + 1 or n − 1, where the sum of n members over that is the printed mean."""
    if group.kind != "mean" or group.weights or len(group.members) < 4:
        return None
    n = len(group.members)
    fitting = [d for d in (n + 1, n - 1) if mean_fit(group.figures, group.mean.figure, divisor=d) == ROUNDED]
    return fitting[0] if fitting else None


def _computed(group: FigureGroup) -> Fraction:
    if group.kind != "harmonic" and not group.weights:
        figures = group.figures
        decimals = max(figure.decimals for figure in figures)
        of = 1 if group.kind == "sum" else len(figures)
        return Fraction(sum(figure.at(decimals) for figure in figures), of * 10**decimals)
    values = [figure.value for figure in group.figures]
    if group.weights:
        return sum((w * v for w, v in zip(group.weights, values, strict=True)), Fraction(0)) / sum(
            group.weights
        )
    return harmonic(values[0], values[1])


def _of_one(group: FigureGroup, guess: Guess, confirmed: bool, always_cut: bool, total: int) -> TableFinding:
    fit, mean = group.fit, group.mean
    n = len(group.members)
    whole_sum = group.kind == "sum" and _computed(group).denominator == 1
    decimals = mean.figure.decimals + (0 if whole_sum else 1 if fit == ROUNDED else 2)
    decimals = min(decimals, max(figure.decimals for figure in group.figures) + 3)
    computed = written(_computed(group), decimals)
    name = {"mean": "average", "sum": "add up to", "harmonic": "have the harmonic mean"}[group.kind]
    row = (
        "" if group.by in ("row", "program") or len({p.row for p in group.members}) > 1 else f"{mean.label}: "
    )
    if len({p.row for p in group.members}) > 1 and len(mean.read.numeric()) > 1:
        row = f"{mean.name}: "
    description = f"{row}the {n} figures ({guess.what}) {name} {computed}"
    check_name = {"mean": "mean", "sum": "sum", "harmonic": "harmonic mean"}[group.kind]
    places = [mean, *group.members]
    top = "certain" if group.by == "option" else "strong"
    if fit == ROUNDED:
        strength = top if confirmed or group.by or _telling(group) else "weak"
        return holds(
            check_name, strength, f"{description}, printed {mean.cell.text}", places, expected=computed
        )
    if fit == MEAN_CUT and always_cut:
        return holds(
            check_name,
            "weak",
            f"{description}, printed {mean.cell.text}, cut off as in the rows next to it",
            places,
            expected=computed,
        )
    if fit:
        return against(
            check_name,
            "weak",
            f"{description}; the printed {mean.cell.text} holds {INNOCENT[fit]}",
            places,
            expected=computed,
        )
    why, explained = _explanation(group)
    firm = confirmed or group.by or explained
    strength = top if firm and (guess.sure or confirmed) else "weak"
    doubt = "" if firm else "; it may be of other figures than these"
    return against(
        check_name,
        strength,
        f"{description}, not the printed {mean.cell.text}{why}{doubt}",
        places,
        expected=computed,
    )


def _explanation(group: FigureGroup) -> tuple[str, bool]:
    """What would make the printed figure right, and whether that says that the members are the right ones."""
    if group.kind != "mean" or group.weights:
        return "", False
    mean = group.mean.figure
    if divisor := _divisor(group):
        return f", which is their sum divided by {divisor}", True
    if slip := _slip(group):
        # A last digit that differs says little: most means near the right one differ in it alone.
        return f"; {slip} would hold, one digit off", len(group.members) >= 5 and slip[:-1] != mean.text[:-1]
    without = [
        place
        for i, place in enumerate(group.members)
        if len(group.members) > 3 and mean_fit(group.figures[:i] + group.figures[i + 1 :], mean) == ROUNDED
    ]
    if without:
        names = listed(p.label if p.row != group.mean.row else p.name for p in without[:3])
        return f", which holds without {names}", False
    return "", False


def _slip(group: FigureGroup) -> str:
    """The printed mean with one digit changed or two neighbours swapped, where that holds."""
    text, members = group.mean.figure.text, group.figures
    if len(text) > 8:
        return ""
    others = [
        text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        for i in range(len(text) - 1)
        if text[i : i + 2].isdigit()
    ]
    others += [
        text[:i] + digit + text[i + 1 :]
        for i, old in enumerate(text)
        if old.isdigit()
        for digit in "0123456789"
        if digit != old
    ]
    for other in others:
        figure = Figure(other, int(other.replace(".", "").replace("+", "")), group.mean.figure.decimals)
        if mean_fit(members, figure) == ROUNDED:
            return other
    return ""
