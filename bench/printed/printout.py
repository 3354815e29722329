"""Reads a printed network: one row a layer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from reference.errors import InputError

if TYPE_CHECKING:
    pass

from bench.printed.printed_rows import WHOLE_NUMBER, Row, alike, join_path, leaf, one_line, read_arguments

MOST_NEIGHBOURS = 10_000


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
            rows = [Row("", header[2], read_arguments(header[2], one_line(said)), line=line)]
        return [replace(row, path=join_path(name, row.path)) for name in names for row in rows], end + 1

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
    if not WHOLE_NUMBER.fullmatch(first) or (last and not WHOLE_NUMBER.fullmatch(last)):
        raise _DamagedError
    if int(last or first) - int(first) >= MOST_NEIGHBOURS:
        raise InputError(f"({span}) is more than {MOST_NEIGHBOURS:,} modules; no network prints so many")
    return [str(i) for i in range(int(first), int(last or first) + 1)]


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
        return join_path(self.parent.path, self.name) if self.parent else ""

    @property
    def names(self) -> list[str]:
        return [child if isinstance(child, str) else child.name for child in self.children]

    @property
    def number(self) -> int | None:
        """The number that it has come to; a module whose number cannot be read counts as the next."""
        number = None
        for name in self.names:
            if WHOLE_NUMBER.fullmatch(name):
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
        args = read_arguments(kind, one_line(said), cut=end is None)
        self.rows.append(Row(join_path(where.path, name), kind, args, end is None, self.line))
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
        alike = (c for c in self.inside.outwards() if c.parent and alike(c.type, kind))
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
        where = self.for_number(int(name), kind) if WHOLE_NUMBER.fullmatch(name) else self.for_word(name)
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
        found = _Container("Sequential", leaf(empty.path), self.inside)
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
