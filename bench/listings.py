"""Printed networks as rows of facts, and where they differ from the networks of ``reference.models``.

A report prints a network as torch's ``repr`` of it. ``claims/listings/<claim>.toml`` holds each one as the
rows that it states, read as literally as the scan allows, and beside them the damage that print and scan
did. A listing is exact where every difference from our network is declared damage, and every declared
damage is there.

All of this is text; torch is imported only to build the network that a listing is compared with.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.ledger import Claim, load_ledgers
from reference.errors import InputError
from reference.recipes import RECIPES

if TYPE_CHECKING:
    from torch import nn

LISTINGS = Path(__file__).parent / "claims" / "listings"
CUT = "…"
MOST_NEIGHBOURS = 10_000
_WHOLE = re.compile(r"\d{1,9}")  # a line, a size; what has more digits is neither


# Rows -------------------------------------------------------------------------------------------------


class Signature(NamedTuple):
    """Names of the arguments that need none, in their order, and values that go without saying."""

    positional: tuple[str, ...] = ()
    defaults: Mapping[str, str] = {}


_CONV = Signature(
    ("in_channels", "out_channels"),
    {
        "stride": "1", "padding": "0", "output_padding": "0", "dilation": "1", "groups": "1", "bias": "True",
        "padding_mode": "zeros",
    },
)  # fmt: skip
_NORM = Signature(
    ("num_features",), {"eps": "1e-05", "momentum": "0.1", "affine": "True", "track_running_stats": "True"}
)
_POOL = Signature((), {"padding": "0", "dilation": "1", "ceil_mode": "False"})
_DROPOUT = Signature((), {"inplace": "False"})

SIGNATURES: dict[str, Signature] = {
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "Conv3d": _CONV,
    "ConvTranspose2d": _CONV,
    "BatchNorm1d": _NORM,
    "BatchNorm2d": _NORM,
    "Linear": Signature(("in_features", "out_features"), {"bias": "True"}),
    "MaxPool2d": _POOL,
    "AdaptiveAvgPool2d": Signature(),
    "Dropout": _DROPOUT,
    "Dropout2d": _DROPOUT,
    "ReLU": Signature((), {"inplace": "False"}),
    "LeakyReLU": Signature((), {"inplace": "False"}),
    "Identity": Signature(),
    "Sequential": Signature(),
}

_PER_AXIS = {"kernel_size", "stride", "padding", "output_padding", "dilation", "output_size"}


@dataclass(frozen=True)
class Row:
    """One layer of a network: a module without children.

    Attributes:
        path: dotted, from the network's root.
        args: (name, value) of the arguments that are not torch's defaults, as printed but for spaces and
            for an equal value on every axis, which is written once. Where ``cut``, all that are printed.
        cut: the scan cut the arguments off; those not in ``args`` are unknown.
        line: where it is printed, counted from 1; 0 if nowhere. Rows are equal without regard to it.
    """

    path: str
    type: str
    args: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    line: int = field(default=0, compare=False)

    def arg(self, name: str) -> str | None:
        """The argument's value, printed or torch's default. None where neither is known."""
        given = dict(self.args)
        if name in given or self.cut:
            return given.get(name)
        if name == "bias" and self.type.startswith("BatchNorm"):
            return self.arg("affine")
        return SIGNATURES[self.type].defaults.get(name) if self.type in SIGNATURES else None

    def number(self, name: str) -> int | None:
        """The argument as a whole number, None where it is none."""
        value = self.arg(name)
        return int(value) if value is not None and _WHOLE.fullmatch(value) else None

    @property
    def layer(self) -> str:
        """The layer without its path, such as ``Linear(4096, 50)``."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        said = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return f"{self.type}({', '.join([*said, CUT] if self.cut else said)})"

    def __str__(self) -> str:
        """The form in which the listing files hold it."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        said = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return " ".join([str(self.line), self.path, self.type, *said, *([CUT] if self.cut else [])])


def read_row(text: str) -> Row:
    """A row from its form in the listing files: line, path, type, arguments, ``…`` where they are cut off.

    Raises:
        InputError: fewer than three words, or a line that is no number.
    """
    words = text.split()
    if len(words) < 3 or not _WHOLE.fullmatch(words[0]):
        raise InputError(f"row {text!r:.100}: expected line, path, type and arguments")
    line, path, kind, *said = words
    cut = said[-1:] == [CUT]
    args = _arguments(kind, "".join(f"{word}," for word in said[: len(said) - cut]), cut)
    return Row(path, kind, args, cut, int(line))


def _arguments(kind: str, text: str, cut: bool = False) -> tuple[tuple[str, str], ...]:
    """What stands between a layer's brackets, by name and without torch's defaults.

    Where the text is ``cut`` off, its last piece counts only if a comma follows, and defaults are kept: what
    is not there is unknown.
    """
    signature = SIGNATURES.get(kind, Signature())
    named: dict[str, str] = {}
    pieces = _split(text)
    if cut and not text.rstrip().endswith(","):
        pieces.pop()
    for position, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if not equals or not name.isidentifier():
            name = signature.positional[position] if position < len(signature.positional) else str(position)
            value = piece
        named[name] = _value(name, value)
    if named.get("bias") == named.get("affine"):
        named.pop("bias", None)  # from torch 2.15 on BatchNorm prints it, and it follows ``affine``
    if cut:
        return tuple(named.items())
    return tuple((n, v) for n, v in named.items() if not _same(v, signature.defaults.get(n)))


def _split(text: str) -> list[str]:
    """The pieces between the commas that stand in no bracket."""
    pieces, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += char
    return [piece.strip() for piece in pieces if piece.strip()]


def _value(name: str, value: str) -> str:
    value = re.sub(r",\s+", ",", value.strip())
    axes = value.removeprefix("(").removesuffix(")").rstrip(",").split(",")
    return axes[0] if name in _PER_AXIS and len(set(axes)) == 1 else value


def _same(a: str | None, b: str | None) -> bool:
    """Equal as printed, or as numbers: 0.10 is 0.1."""
    if a == b or a is None or b is None:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def rows_of(model: nn.Module) -> list[Row]:
    """The rows of a network, from its modules; one under two names stands twice, as in print."""
    rows = []
    for path, module in model.named_modules(remove_duplicate=False):
        if path and next(module.children(), None) is None:
            kind, _, said = repr(module).partition("(")
            rows.append(Row(path, kind, _arguments(kind, _one_line(said.removesuffix(")")))))
    return rows


def _one_line(text: str) -> str:
    return " ".join(text.split())


# Reading a printed listing ----------------------------------------------------------------------------


class Printed(NamedTuple):
    """A listing as read: its rows, and one line for each place where it is not what torch prints."""

    rows: list[Row]
    notes: list[str]


def parse(text: str, first_line: int = 1) -> list[Row]:
    """The rows of a printed ``nn.Module``; ``first_line`` is the number of the text's first line."""
    return read(text, first_line).rows


def read(text: str, first_line: int = 1) -> Printed:
    """The rows of a printed ``nn.Module``, and what is wrong with the print.

    Brackets alone say what belongs to what, as in torch's own printouts; indentation never does. Where they
    do not match, or something else stands between them, names decide beside them, in this order:

    - a bracket that closes nothing is left out, and a line that breaks off ends there;
    - number n continues the nearest container that has come to n - 1: an open one from the inside out, else
      the one closed last, first among those that n - 1 is of a kind in, layer or container (a page break
      closes what goes on overleaf);
    - a word never stands among numbers, nor in a block whose earlier sisters have no such name: it belongs
      further out;
    - a header that cannot be read, right after another one, is that one printed twice; else it opens a
      module named ``?`` beside the nearest one of a like type.

    Raises:
        InputError: modules nested deeper than any network's, or more equal neighbours than one has.
    """
    try:
        try:
            return Printed(_Intact(text, first_line).rows(), [])
        except _DamagedError:
            return _Mender(first_line).read(text)
    except RecursionError as error:
        raise InputError("modules are nested hundreds deep; give the text of one printed network") from error


_HEADER = re.compile(r"\(([^()\s]+)\): (?:\d+ x )?([A-Za-z_]\w*)\(")
_ROOT = re.compile(r"\s*[A-Za-z_]\w*\(")


class _DamagedError(Exception):
    """The brackets do not match."""


class _Intact:
    """A listing whose brackets match, read by them."""

    def __init__(self, text: str, first_line: int) -> None:
        self.text = text
        self.first_line = first_line
        self.breaks = [match.start() for match in re.finditer("\n", text)]

    def rows(self) -> list[Row]:
        root = _ROOT.match(self.text)
        rows, said, end = self.body(root.end() if root else 0)
        closed = self.text[end : end + 1] == ")"
        if bool(root) != closed or self.text[end + closed :].strip() or (said.strip() and not root):
            raise _DamagedError
        return rows

    def body(self, start: int) -> tuple[list[Row], str, int]:
        """What stands from ``start`` to the bracket that closes it: rows, other text, where that is."""
        rows: list[Row] = []
        said, i = "", start
        while i < len(self.text) and self.text[i] != ")":
            header = _HEADER.match(self.text, i)
            if header:
                more, i = self.module(header)
                rows += more
            elif self.text[i] == "(":
                end = self.bracket(i)
                said, i = said + self.text[i:end], end
            else:
                said, i = said + self.text[i], i + 1
        return rows, said, i

    def module(self, header: re.Match[str]) -> tuple[list[Row], int]:
        """The rows of one module, and where it ends."""
        names = _names(header[1]) if " x " in header[0] else [header[1]]
        rows, said, end = self.body(header.end())
        if end == len(self.text):
            raise _DamagedError
        if not rows:
            line = self.first_line + bisect_right(self.breaks, header.start())
            rows = [Row("", header[2], _arguments(header[2], _one_line(said)), line=line)]
        return [replace(row, path=_join(name, row.path)) for name in names for row in rows], end + 1

    def bracket(self, start: int) -> int:
        """Where a bracket that is no module ends."""
        depth = 0
        for i in range(start, len(self.text)):
            if i > start and _HEADER.match(self.text, i):
                raise _DamagedError
            depth += (self.text[i] == "(") - (self.text[i] == ")")
            if depth == 0:
                return i + 1
        raise _DamagedError


def _names(span: str) -> list[str]:
    """``0-2`` → 0, 1, 2: torch prints equal neighbours once."""
    first, _, last = span.partition("-")
    if not _WHOLE.fullmatch(first) or (last and not _WHOLE.fullmatch(last)):
        raise _DamagedError
    if int(last or first) - int(first) >= MOST_NEIGHBOURS:
        raise InputError(f"({span}) is more than {MOST_NEIGHBOURS:,} modules; no network prints so many")
    return [str(i) for i in range(int(first), int(last or first) + 1)]


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


_LOOSE_HEADER = re.compile(r"\((\w+)\): (?:\d+ x )?([A-Za-z_]\w*)(\(|$)")
_LOST_HEADER = re.compile(r"([A-Za-z_]\w*)\($|\): ([A-Za-z_]\w*)$")
_LOST_NAME = "?"


@dataclass(eq=False)
class _Container:
    """A module with children, while a damaged listing is read."""

    type: str = ""
    name: str = ""
    parent: _Container | None = None
    children: list[_Container | str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return _join(self.parent.path, self.name) if self.parent else ""

    @property
    def names(self) -> list[str]:
        return [child if isinstance(child, str) else child.name for child in self.children]

    @property
    def number(self) -> int | None:
        """The number that it has come to; a module whose number cannot be read counts as the next."""
        number = None
        for name in self.names:
            if _WHOLE.fullmatch(name):
                number = int(name)
            elif name == _LOST_NAME and number is not None:
                number += 1
        return number

    def outwards(self) -> Iterator[_Container]:
        """Itself and what it stands in, from the inside out."""
        container: _Container | None = self
        while container:
            yield container
            container = container.parent

    @property
    def sisters(self) -> list[_Container]:
        """Earlier modules of the same type in the same container."""
        around = self.parent.children if self.parent else []
        return [c for c in around if isinstance(c, _Container) and c is not self and c.type == self.type]

    def may_hold(self, word: str) -> bool:
        if self.parent is None:
            return True
        known = {name for sister in self.sisters for name in sister.names}
        return self.number is None and (not known or word in known)


class _Mender:
    """A damaged listing, read line by line."""

    def __init__(self, first_line: int) -> None:
        self.line = first_line - 1
        self.root = _Container()
        self.inside = self.root  # the innermost open container
        self.closed: list[_Container] = []
        self.root_is_open = False  # where the listing names its root, that has a bracket too
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def read(self, text: str) -> Printed:
        for line in text.splitlines():
            self.line += 1
            self.read_line(line.rstrip())
        unclosed = sum(1 for _ in self.inside.outwards()) - 1 + self.root_is_open
        if unclosed:
            self.notes.append(f"{self.line}: {unclosed} brackets are never closed")
        return Printed(self.rows, self.notes)

    def note(self, what: str) -> None:
        self.notes.append(f"{self.line}: {what}")

    def read_line(self, line: str) -> None:
        position = 0
        while header := _LOOSE_HEADER.search(line, position):
            self.other(line[position : header.start()].strip())
            position = self.module(header, line)
        self.other(line[position:].strip())

    def other(self, text: str) -> None:
        """What is no module: closing brackets, a header that cannot be read, page breaks."""
        lost = _LOST_HEADER.search(text)
        if re.fullmatch(r"[\s)}>,]*[)}][\s)}>,]*", text):
            for _ in range(text.count(")") + text.count("}")):
                self.close()
        elif text.startswith("```") or not text:
            return
        elif not self.rows and self.inside is self.root and _ROOT.fullmatch(text):
            self.root_is_open = True
        elif lost:
            self.note(f"header cannot be read: {text!r}")
            self.open_lost(text, lost[1] or lost[2])
        else:
            self.note(f"cannot be read: {text!r}")

    def module(self, header: re.Match[str], line: str) -> int:
        """Take up a module that begins at ``header``; return where in the line it ends."""
        name, kind = header[1], header[2]
        if header.end() == len(line):
            self.open(name, kind)
            return len(line)
        end = _closing(line, header.end())
        said = line[header.end() : end]
        if end is None:
            self.note(f"({name}) is cut off")
        where = self.place(name, str)
        where.children.append(name)
        args = _arguments(kind, _one_line(said), cut=end is None)
        self.rows.append(Row(_join(where.path, name), kind, args, end is None, self.line))
        return len(line) if end is None else end + 1

    def open(self, name: str, kind: str) -> None:
        where = self.place(name, _Container)
        self.inside = _Container(kind, name, where)
        where.children.append(self.inside)

    def open_lost(self, text: str, kind: str) -> None:
        if self.inside is not self.root and not self.inside.children:
            return  # the header before it, printed twice
        if number := re.match(r"(\d+)\): ", text):
            self.open(number[1], kind)
            return
        alike = (c for c in self.inside.outwards() if c.parent and _alike(c.type, kind))
        sister = next(alike, None)
        where = sister.parent if sister and sister.parent else self.inside
        self.leave_for(where)
        self.inside = _Container(kind, _LOST_NAME, where)
        where.children.append(self.inside)

    def close(self) -> None:
        if self.inside.parent is None:
            if not self.root_is_open:
                self.note("a bracket closes nothing")
            self.root_is_open = False
            return
        self.closed.append(self.inside)
        self.inside = self.inside.parent

    def place(self, name: str, kind: type[_Container | str]) -> _Container:
        """Where a module of that name belongs; it becomes the innermost open container."""
        where = self.for_number(int(name), kind) if _WHOLE.fullmatch(name) else self.for_word(name)
        if where is not self.inside:
            self.note(f"({name}) does not belong in {self.inside.path or 'the root'!r}")
        elif name in where.names:
            self.note(f"({name}) stands in {where.path or 'the root'!r} twice")
        self.leave_for(where)
        return where

    def for_word(self, word: str) -> _Container:
        return next(c for c in self.inside.outwards() if c.may_hold(word))

    def for_number(self, n: int, kind: type[_Container | str]) -> _Container:
        if n == 0:
            return self.for_zero()
        closed = self.closed[::-1]
        closed.sort(key=lambda c: not c.children or not isinstance(c.children[-1], kind))  # keeps their order
        for container in (*self.inside.outwards(), *closed):
            if container.number == n - 1:
                return container
        holding = [c for c in self.inside.outwards() if c.number is not None and c.number <= n]
        return holding[0] if holding else self.inside

    def for_zero(self) -> _Container:
        """The innermost container; one printed as ``Sequential()`` whose children follow is opened again."""
        if self.inside.number is None or not self.rows or self.rows[-1].type != "Sequential":
            return self.inside
        empty = self.rows.pop()
        self.note(f"{empty.path!r} is closed before its first module")
        found = _Container("Sequential", _leaf(empty.path), self.inside)
        self.inside.children[-1] = found
        return found

    def leave_for(self, where: _Container) -> None:
        around = list(where.outwards())
        self.closed += [container for container in self.inside.outwards() if container not in around]
        self.inside = where


def _closing(line: str, start: int) -> int | None:
    """Where the bracket opened before ``start`` closes on this line."""
    depth = 1
    for i in range(start, len(line)):
        depth += (line[i] == "(") - (line[i] == ")")
        if depth == 0:
            return i
    return None


def _alike(a: str, b: str) -> bool:
    """Whether one word is the other or may be a misreading of it."""
    return a == b or SequenceMatcher(None, a.lower(), b.lower()).ratio() >= 0.6


# Comparing --------------------------------------------------------------------------------------------


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
            return _leaf(found) == _leaf(meant)
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
    if _alike(theirs.type, own.type):
        found += [Difference("argument", theirs, own, name) for name in _other_arguments(theirs, own)]
    return [*found, Difference("cut", theirs, own)] if theirs.cut else found


def _other_arguments(theirs: Row, own: Row) -> list[str]:
    """Arguments with another value. What is cut off is unknown, not different."""
    names = dict(theirs.args) if theirs.cut else dict.fromkeys(n for n, _ in (*theirs.args, *own.args))
    known = replace(theirs, type=own.type)  # a misread type still has the arguments of the right one
    return [name for name in names if not _same(known.arg(name), own.arg(name))]


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
    elif their_width != own_width or not _alike(theirs.type, own.type):
        return 3 * _ALONE
    else:
        cost = 3 if _leaf(theirs.path) == _leaf(own.path) else 6
    if theirs.type != own.type:
        return cost + 5
    return cost + min(len(_other_arguments(theirs, own)), 5) if theirs.args != own.args else cost


def _leaf(path: str | None) -> str:
    return (path or "").rpartition(".")[2]


# What rows imply --------------------------------------------------------------------------------------

WITHOUT_PARAMETERS = (
    "AdaptiveAvgPool2d", "Dropout", "Dropout2d", "Identity", "LeakyReLU", "MaxPool2d", "ReLU",
)  # fmt: skip


def parameter_count(rows: Iterable[Row]) -> int:
    """Trainable parameters of the layers, read literally.

    Raises:
        InputError: a type that is not among the counted ones, or an argument that the scan cut off.
    """
    return sum(map(_parameters, rows))


def _parameters(row: Row) -> int:
    if row.type in WITHOUT_PARAMETERS:
        return 0
    if row.type.startswith("BatchNorm"):
        width, affine, bias = (_needed(row, name) for name in ("num_features", "affine", "bias"))
        return int(width) * ((affine == "True") + (bias == "True"))
    if row.type == "Linear":
        takes, gives, bias = (_needed(row, name) for name in ("in_features", "out_features", "bias"))
        return (int(takes) + (bias == "True")) * int(gives)
    if row.type in ("Conv2d", "ConvTranspose2d"):
        names = ("in_channels", "out_channels", "kernel_size", "groups", "bias")
        takes, gives, kernel, groups, bias = (_needed(row, name) for name in names)
        height, _, width = kernel.strip("()").partition(",")
        weights = int(takes) * int(gives) * int(height) * int(width or height) // int(groups)
        return weights + int(gives) * (bias == "True")
    raise InputError(f"{row.path}: parameters of type {row.type!r} are not known")


def _needed(row: Row, name: str) -> str:
    value = row.arg(name)
    if value is None:
        raise InputError(f"{row.path}: {name} of {row.type} is not printed, its parameters cannot be counted")
    return value


class Break(NamedTuple):
    """A layer that cannot take what it is given."""

    row: Row
    why: str

    def __str__(self) -> str:
        return f"{self.row.path} {self.row.layer}: {self.why}"


def chain_check(rows: Sequence[Row]) -> list[Break]:
    """Where a network cannot run, since a layer takes other channels than come to it.

    No ``forward`` is printed, so this is what any would meet: numbered layers, BatchNorms and linear layers
    on maps follow what is before them; the first layer of a container and a layer with a name of its own may
    also take an earlier output, or what the branches of a container add up to when concatenated; in a
    residual block every layer follows, and what it makes is added to its input or its ``downsample``'s
    output. Layers of unknown type pass on what they get.
    """
    return _Chain(rows).check()


class _Chain:
    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.breaks: list[Break] = []
        self.now: int | None = None  # channels that come to the next layer
        self.side: int | None = None  # of a map pooled to a fixed size; 0 where there is no map any more
        self.outputs: set[int] = set()
        self.containers: dict[str, tuple[int, int]] = {}  # what each takes first and gives last
        self.blocks = _residual_blocks(rows)
        self.block = ""  # the residual block that the row is in,
        self.enters: int | None = None  # what comes to it,
        self.shortcut: int | None = None  # what its downsample has made of that,
        self.main: tuple[Row, int] | None = None  # and what its other layers have

    def check(self) -> list[Break]:
        before: Row | None = None
        for row in self.rows:
            self.enter_block(row)
            takes, gives = channels(row)
            if row.type == "AdaptiveAvgPool2d":
                self.side = row.number("output_size")
            if takes is not None:
                self.meet(row, takes, before)
            if takes is not None and gives is not None:
                self.leave(row, takes, gives)
                before = row
        self.leave_block()
        return self.breaks

    def meet(self, row: Row, takes: int, before: Row | None) -> None:
        gets = self.enters if self.in_shortcut(row) and self.shortcut is None else self.now
        if gets is None or self.fits(row, takes, gets):
            return
        together = self.concatenated()
        if row.type == "Linear" and any(self.fits(row, takes, width) for width in together if self.side):
            return
        if not self.may_branch(row, before) or takes not in self.outputs | together:
            square = f" of {self.side}×{self.side} pixels" if self.side and row.type == "Linear" else ""
            self.breaks.append(Break(row, f"takes {takes}, gets {gets} channels{square}"))

    def may_branch(self, row: Row, before: Row | None) -> bool:
        """Whether the layer may take something else than what the layer before it gives."""
        container, _, name = row.path.rpartition(".")
        if self.block:
            return False
        if before is None or not before.path.startswith(f"{container}." if container else ""):
            return True
        on_a_map = row.type == "Linear" and self.side != 0
        return not (name.isdecimal() or row.type.startswith("BatchNorm") or on_a_map)

    def fits(self, row: Row, takes: int, gets: int) -> bool:
        if row.type != "Linear" or self.side == 0:
            return takes == gets
        return takes == gets * self.side**2 if self.side else takes % gets == 0

    def leave(self, row: Row, takes: int, gives: int) -> None:
        if not self.outputs:
            self.outputs.add(takes)  # the image
        if row.type == "Linear":
            self.side = 0
        elif "Conv" in row.type:
            self.side = None
        self.now = gives
        self.outputs.add(gives)
        parts = row.path.split(".")
        for depth in range(1, len(parts)):
            container = ".".join(parts[:depth])
            first, _ = self.containers.get(container, (takes, gives))
            self.containers[container] = first, gives
        if self.in_shortcut(row):
            self.shortcut = gives
        elif self.block:
            self.main = (row, gives)

    def concatenated(self) -> set[int]:
        """What branches that take the same make together."""
        branches: dict[str, list[tuple[int, int]]] = {}
        for container, ends in self.containers.items():
            branches.setdefault(container.rpartition(".")[0], []).append(ends)
        together = [ends for ends in branches.values() if len(ends) > 1 and len({t for t, _ in ends}) == 1]
        return {sum(gives for _, gives in ends) for ends in together}

    def in_shortcut(self, row: Row) -> bool:
        return bool(self.block) and row.path.startswith(f"{self.block}.downsample.")

    def enter_block(self, row: Row) -> None:
        if self.block and row.path.startswith(f"{self.block}."):
            return
        self.leave_block()
        parent = row.path.rpartition(".")[0]
        if parent in self.blocks:
            self.block, self.enters, self.shortcut, self.main = parent, self.now, None, None

    def leave_block(self) -> None:
        """The sum at a residual block's end."""
        if self.main and self.block:
            row, made = self.main
            brought = self.enters if self.shortcut is None else self.shortcut
            if brought is not None and brought != made:
                self.breaks.append(Break(row, f"makes {made} channels, its shortcut brings {brought}"))
            self.now = made
        self.block = ""


def channels(row: Row) -> tuple[int | None, int | None]:
    """Channels or features that a layer takes and gives; None, None for one that changes none."""
    if row.type == "Linear":
        return row.number("in_features"), row.number("out_features")
    if row.type.startswith("Conv"):
        return row.number("in_channels"), row.number("out_channels")
    if row.type.startswith("BatchNorm"):
        return row.number("num_features"), row.number("num_features")
    return None, None


def _residual_blocks(rows: Sequence[Row]) -> set[str]:
    """Numbered containers with conv1 and conv2, in a network where some of them have a ``downsample``."""
    names: dict[str, set[str]] = {}
    for row in rows:
        parent, _, name = row.path.rpartition(".")
        names.setdefault(parent, set()).add(name)
        above, _, container = parent.rpartition(".")
        if container == "downsample":
            names.setdefault(above, set()).add(container)
    blocks = {p for p, held in names.items() if {"conv1", "conv2"} <= held and _leaf(p).isdecimal()}
    return blocks if any("downsample" in names[block] for block in blocks) else set()


def last_layer(rows: Sequence[Row]) -> Row:
    """The last layer that makes channels. Raises: InputError, where there is none."""
    for row in reversed(rows):
        if channels(row)[1] is not None and not row.type.startswith("BatchNorm"):
            return row
    raise InputError("rows: no convolution or linear layer among them")


# The listing files ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of our networks, and under which path the listing has it."""

    model: str
    num_classes: int
    prefix: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A printed network.

    Attributes:
        networks: ours, in the order in which the listing has them.
        names: printed paths that have another name in our network, since it serves several reports.
        rows: as printed.
        damage: declared damage, and where ours is written differently.
    """

    claim: str
    networks: tuple[Network, ...]
    names: Mapping[str, str]
    rows: tuple[Row, ...]
    damage: tuple[Damage, ...]


def load(claim: str) -> Listing:
    """The packaged listing of an architecture claim.

    Raises:
        InputError: there is none, the scan is illegible, or its file is wrong.
    """
    path = LISTINGS / f"{claim}.toml"
    if not path.is_file():
        illegible = _claim(claim).illegible_why
        raise InputError(f"{claim}: {f'illegible: {illegible}' if illegible else 'prints no network'}")
    return read_listing(path.read_text(encoding="utf-8"), path.name)


def read_listing(text: str, file: str) -> Listing:
    """A listing from the text of its file.

    Raises:
        InputError: not TOML, or a key that is unknown, missing or of the wrong value.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not TOML: {error}; mend that place") from error
    known = {"network", "names", "damage", "ours", "listing"}
    if unknown := sorted(set(document) - known):
        raise InputError(f"{file}: unknown table {unknown[0]!r}; known are {', '.join(sorted(known))}")
    tables = {name: document.get(name, []) for name in ("network", "damage", "ours")}
    for name, found in tables.items():
        if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
            raise InputError(f"{file}: {name} is {found!r}; expected [[{name}]] tables")
    head = document.get("listing")
    if not isinstance(head, dict) or not isinstance(head.get("rows"), str) or not tables["network"]:
        raise InputError(f"{file}: no [[network]] or no rows in [listing]; add them")
    try:
        rows = tuple(read_row(line) for line in head["rows"].strip().splitlines())
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    return Listing(
        claim=file.removesuffix(".toml"),
        networks=tuple(Network(**_checked(Network, table, file)) for table in tables["network"]),
        names=document.get("names", {}),
        rows=rows,
        damage=tuple(
            _damage(table, file, ours=name == "ours") for name in ("damage", "ours") for table in tables[name]
        ),
    )


_KINDS = ("argument", "type", "path", "cut", "surplus", "missing")


def _damage(table: dict[str, Any], file: str, *, ours: bool) -> Damage:
    table = _checked(Damage, table, file)
    damage = Damage(**{**table, "lines": tuple(table.get("lines", ())), "ours": ours})
    where = f"{file}: {damage.why}"
    if damage.what not in _KINDS:
        raise InputError(f"{where}: what is {damage.what!r}; expected one of {', '.join(_KINDS)}")
    if len(damage.lines) not in (0, 2):
        raise InputError(f"{where}: lines are {list(damage.lines)}; expected the first and the last one")
    if damage.at == "*" and not damage.lines:
        raise InputError(f"{where}: found neither 'at' nor 'lines'; say where the damage is")
    if (damage.what == "argument") != (damage.argument is not None):
        raise InputError(f"{where}: 'argument' goes with what = 'argument' and only there")
    if damage.what in ("argument", "type") and damage.printed is None:
        raise InputError(f"{where}: no 'printed'; say what is printed instead of what is meant")
    if ours and not (damage.what == "missing" or damage.argument == "inplace"):
        raise InputError(f"{where}: [[ours]] may leave out idle layers and change inplace, nothing else")
    return damage


_TYPES = {
    "int": int, "str": str, "str | None": str, "tuple[int, ...]": list, "Mapping[str, Any]": dict,
}  # fmt: skip


def _checked(of: type[Network | Damage], table: dict[str, Any], file: str) -> dict[str, Any]:
    known = {item.name: item for item in fields(of) if item.name != "ours"}
    if unknown := [key for key in table if key not in known]:
        raise InputError(f"{file}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    needed = [n for n, item in known.items() if item.default is MISSING and item.default_factory is MISSING]
    if absent := [key for key in needed if key not in table]:
        raise InputError(f"{file}: missing key {absent[0]!r} in {table}; add it")
    for key, value in table.items():
        expected = _TYPES[str(known[key].type)]
        if not isinstance(value, expected):
            raise InputError(f"{file}: {key} is {value!r}; expected {expected.__name__}")
    return table


# Checks -----------------------------------------------------------------------------------------------


def built(listing: Listing) -> list[Row]:
    """The rows that the listing would have if it were printed from our networks."""
    # Imported here: reading and comparing rows needs no torch.
    import torch

    from reference.models import build

    rows: list[Row] = []
    for network in listing.networks:
        with torch.device("meta"):
            model = build(network.model, num_classes=network.num_classes, **network.args)
        rows += [replace(row, path=_join(network.prefix, row.path)) for row in rows_of(model)]
    return rows


def printed_rows(listing: Listing) -> list[Row]:
    """The listing's rows under our names."""
    return [replace(row, path=listing.names.get(row.path, row.path)) for row in listing.rows]


@cache
def check(claim: str) -> tuple[str, str]:
    """What the claim's listing prints and what we find, equal if nothing differs but for declared damage.

    Raises:
        InputError: as ``load``.
    """
    return check_listing(load(claim))


def check_listing(listing: Listing) -> tuple[str, str]:
    """``check`` of a listing that need not be packaged."""
    rows = printed_rows(listing)
    found = compare(rows, built(listing), listing.damage)
    printed = f"{len(rows)} rows of {' and '.join(network.model for network in listing.networks)}"
    wrong = [str(d) for d in found if d.damage is None] + miscounted(found, listing.damage)
    if not wrong:
        return printed, printed
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    broken = [f"; as printed it cannot run: {one}" for one in chain_check(rows)[:1]]
    return printed, "".join([wrong[0], more, *broken])


@cache
def check_mask(name: str, listing: str) -> tuple[str, str]:
    """Whether the network printed under a segmentation claim's name ends in a map of its recipe's classes."""
    recipe = _claim(name).recipe
    assert recipe is not None
    printed = f"a map of {RECIPES[recipe].num_classes} classes"
    last = last_layer(load(listing).rows)
    made = channels(last)[1]
    if last.type != "Linear":
        return printed, f"a map of {made} classes"
    return printed, f"{made} numbers an image, no map: the last layer is {last.path} {last.layer}"


def _claim(claim_id: str) -> Claim:
    for ledger in load_ledgers():
        for claim in ledger.claims:
            if claim.id == claim_id:
                return claim
    raise InputError(f"{claim_id}: no such claim")


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "r1-resnet50-listing": partial(check, "r1-resnet50-listing"),
    "r1-seg-b-listing": partial(check, "r1-seg-b-listing"),
    "r2-classify-listing": partial(check, "r2-classify-listing"),
    "r2-seg-a-listing": partial(check, "r2-seg-a-listing"),
    "r2-seg-b-listing": partial(check, "r2-seg-b-listing"),
    "r4-classify-listing": partial(check, "r4-classify-listing"),
    "r4-seg-a-listing": partial(check, "r4-seg-a-listing"),
    "r4-seg-a-name": partial(check_mask, "r4-seg-a-name", "r4-seg-a-listing"),
    "r4-seg-b-listing": partial(check, "r4-seg-b-listing"),
    "r5-seg-a-listing": partial(check, "r5-seg-a-listing"),
}
"""Claim → what is printed and what we find; equal where the claim is exact."""
