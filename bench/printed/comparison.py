"""Compares a printed network with the one that we build, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

from bench.printed.printed_rows import Row, alike, channels, leaf, parameter_count, same_value


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What print or scan did to some rows, or how ours is written differently without computing otherwise.

    Attributes:
        what: ``argument``, ``type`` or ``path`` (reads otherwise than meant), ``cut`` (arguments are cut
            off), ``surplus`` (printed, not meant) or ``missing`` (meant, not printed).
        at: glob over the printed path (under the listing's ``names``); over ours for ``missing``.
        lines: first and last line of the report that it is about.
        argument, printed, meant: the two values of the argument, type or path. An argument that is not
            known has no value. A path without ``meant`` has lost its nesting, but the last name holds.
        count: how many differences it explains, no more and no fewer.
        why: one line for the reader.
        ours: no damage. Our network is written differently: only a layer without parameters, or
            ``inplace``.
    """

    what: str
    count: int
    why: str
    at: str = "*"
    lines: tuple[int, ...] = ()
    argument: str | None = None
    printed: str | None = None
    meant: str | None = None
    ours: bool = False

    def explains(self, difference: Difference) -> bool:
        """Whether the difference is this damage."""
        row = difference.printed or difference.built
        assert row is not None
        return (
            self.what == difference.what
            and fnmatchcase(row.path, self.at)
            and (not self.lines or self.lines[0] <= row.line <= self.lines[1])
            and self.argument == difference.argument
            and self._values_agree(difference)
            and not (self.ours and self.what == "missing" and parameter_count([row]))
        )

    def _values_agree(self, difference: Difference) -> bool:
        found, meant = difference.values
        if self.what == "path" and self.meant is None:
            return leaf(found) == leaf(meant)
        if self.what in ("argument", "type", "path"):
            return (self.printed is None or self.printed == found) and self.meant == meant
        return True


@dataclass(frozen=True)
class Difference:
    """One way in which a printed row is not ours."""

    what: str
    printed: Row | None
    built: Row | None
    argument: str | None = None
    damage: Damage | None = None

    @property
    def values(self) -> tuple[str | None, str | None]:
        """What is printed and what is built, of the argument, type or path that differs."""
        if self.printed is None or self.built is None or self.what == "cut":
            return None, None
        if self.argument is not None:
            return self.printed.arg(self.argument), self.built.arg(self.argument)
        return getattr(self.printed, self.what), getattr(self.built, self.what)

    def __str__(self) -> str:
        row = self.printed or self.built
        assert row is not None
        where = f"{row.path} {row.layer}" + (f" (line {row.line})" if row.line else "")
        if self.what in ("missing", "surplus"):
            return f"{where} is {'not printed' if self.what == 'missing' else 'printed, not built'}"
        if self.what == "cut":
            return f"{where} is cut off"
        return "{}: {} is printed {}, built {}".format(where, self.argument or self.what, *self.values)


def compare(printed: Sequence[Row], ours: Sequence[Row], damage: Iterable[Damage] = ()) -> list[Difference]:
    """Every difference between a printed network and ours, each with the damage that explains it, if any.

    Rows are paired in order, by path where the printed path is one of ours, such that the fewest
    differences remain.
    """
    declared = tuple(damage)
    found = []
    for theirs, own in align(printed, ours):
        for difference in _differences(theirs, own):
            known = next((d for d in declared if d.explains(difference)), None)
            found.append(replace(difference, damage=known))
    return found


def miscounted(differences: Iterable[Difference], damage: Iterable[Damage]) -> list[str]:
    """Declared damage that explains more or fewer differences than it says."""
    used = Counter(id(difference.damage) for difference in differences)
    return [
        f"declared {d.what} at {d.at} ({d.why}): {used[id(d)]} found, {d.count} declared"
        for d in damage
        if used[id(d)] != d.count
    ]


def _differences(theirs: Row | None, own: Row | None) -> list[Difference]:
    if theirs is None or own is None:
        return [Difference("missing" if theirs is None else "surplus", theirs, own)]
    found = [
        Difference(what, theirs, own)
        for what in ("path", "type")
        if getattr(theirs, what) != getattr(own, what)
    ]
    if alike(theirs.type, own.type):
        found += [Difference("argument", theirs, own, name) for name in _other_arguments(theirs, own)]
    return [*found, Difference("cut", theirs, own)] if theirs.cut else found


def _other_arguments(theirs: Row, own: Row) -> list[str]:
    """Arguments with another value. What is cut off is unknown, not different."""
    names = dict(theirs.args) if theirs.cut else dict.fromkeys(n for n, _ in (*theirs.args, *own.args))
    known = replace(theirs, type=own.type)  # a misread type still has the arguments of the right one
    return [name for name in names if not same_value(known.arg(name), own.arg(name))]


def align(printed: Sequence[Row], ours: Sequence[Row]) -> list[tuple[Row | None, Row | None]]:
    """Pairs of printed and own rows in order, with None beside a row that has no partner, at least cost."""
    theirs, own = _with_widths(printed), _with_widths(ours)
    costs = [[_ALONE * (i + j) for j in range(len(own) + 1)] for i in range(len(theirs) + 1)]
    for i, a in enumerate(theirs):
        for j, b in enumerate(own):
            alone = min(costs[i][j + 1], costs[i + 1][j]) + _ALONE
            costs[i + 1][j + 1] = min(costs[i][j] + _unlike(a, b), alone)
    pairs: list[tuple[Row | None, Row | None]] = []
    i, j = len(theirs), len(own)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + _unlike(theirs[i - 1], own[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((printed[i], ours[j]))
        elif i and costs[i][j] == costs[i - 1][j] + _ALONE:
            i -= 1
            pairs.append((printed[i], None))
        else:
            j -= 1
            pairs.append((None, ours[j]))
    return pairs[::-1]


_Wide = tuple[Row, tuple[int | None, int | None]]


def _with_widths(rows: Iterable[Row]) -> list[_Wide]:
    """Each row with the channels it takes and gives; where it changes none, those of the last that did."""
    found: list[_Wide] = []
    now: int | None = None
    for row in rows:
        takes, gives = channels(row)
        found.append((row, (now, now) if gives is None else (takes, gives)))
        now = found[-1][1][1]
    return found


_ALONE = 10  # the cost of a row without a partner


def _unlike(a: _Wide, b: _Wide) -> int:
    """The cost of taking two rows for one, which beyond twice ``_ALONE`` never happens.

    Under another path only layers of like types and the same channels can be one.
    """
    (theirs, their_width), (own, own_width) = a, b
    if theirs.path == own.path:
        cost = 0
    elif their_width != own_width or not alike(theirs.type, own.type):
        return 3 * _ALONE
    else:
        cost = 3 if leaf(theirs.path) == leaf(own.path) else 6
    if theirs.type != own.type:
        return cost + 5
    return cost + min(len(_other_arguments(theirs, own)), 5) if theirs.args != own.args else cost
