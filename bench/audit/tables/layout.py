"""A table as it was found in a file: names of columns, rows with their lines, and nothing interpreted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.claims.cells import Cell, read_cell


class TableRow(NamedTuple):
    """One row: the line of the file it starts at, and its cells as read."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a file.

    Attributes:
        number: its place in the file, from 1.
        line: where it starts.
        title: caption or heading above it; empty where there is none.
        form: key of ``FORMS``.
        names: one name a column; levels of a header joined by " / ".
        rows: its rows, each with as many cells as there are names.
        section: which heading of the file it stands under, counted from 0.
        as_printed: the form itself says what every column means, so that no column is guessed.
    """

    number: int
    line: int
    title: str
    form: str
    names: tuple[str, ...]
    rows: tuple[TableRow, ...]
    section: int = 0
    as_printed: bool = False

    @property
    def label(self) -> str:
        """``table 2 (line 14)``."""
        return f"table {self.number} (line {self.line})"


FORMS: dict[str, str] = {
    "markdown": "pipe table",
    "html": "HTML table",
    "delimited": "CSV or TSV",
    "latex": "LaTeX tabular",
    "classification report": "scikit-learn's classification_report",
    "class log": "lines such as `class #0 : 0.75`",
    "console": "table drawn with + - |, as mmsegmentation prints",
}


class Sentence(NamedTuple):
    """A sentence of the text around the tables, without markup."""

    line: int
    text: str
    section: int = 0


@dataclass(kw_only=True)
class Document:
    """What a reader found in a file: tables, sentences, and what it passed over, each with its line."""

    tables: list[Table] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    passed_over: list[tuple[int, str]] = field(default_factory=list)
    section: int = 0
    heading: str = ""

    def add(
        self,
        form: str,
        line: int,
        names: Sequence[str],
        rows: Sequence[tuple[int, Sequence[str]]],
        *,
        title: str = "",
        as_printed: bool = False,
    ) -> None:
        """Add a table of raw cells; ragged rows are filled up, surplus cells are passed over and said."""
        if not names or not rows:
            return
        names, unfolded = _unfolded([" ".join(name.split()) for name in names], rows)
        width = len(names)
        read = []
        for line_number, raw in unfolded:
            if len(raw) > width and any(cell.strip() for cell in raw[width:]):
                self.passed_over.append(
                    (line_number, f"cells beyond the {width} columns of the header: {len(raw) - width}")
                )
            cells = [read_cell(cell.strip()) for cell in raw[:width]]
            read.append(TableRow(line_number, tuple(cells + [_EMPTY] * (width - len(cells)))))
        self.tables.append(
            Table(
                number=len(self.tables) + 1,
                line=line,
                title=title or self.heading,
                form=form,
                names=tuple(names),
                rows=tuple(read),
                section=self.section,
                as_printed=as_printed,
            )
        )


_EMPTY = read_cell("")


def _unfolded(
    names: list[str], rows: Sequence[tuple[int, Sequence[str]]]
) -> tuple[list[str], Sequence[tuple[int, Sequence[str]]]]:
    """A table printed in several equal blocks of columns (category, AP, category, AP), as one long one."""
    width = len(names)
    for size in range(2, width // 2 + 1):
        if width % size or names != names[:size] * (width // size) or len(set(names[:size])) < size:
            continue
        blocks = range(0, width, size)
        long = [(line_number, raw[i : i + size]) for i in blocks for line_number, raw in rows]
        return names[:size], [
            (line_number, raw) for line_number, raw in long if any(cell.strip() for cell in raw)
        ]
    return names, rows


def figures(table: Table, column: int) -> Iterator[tuple[int, Cell]]:
    """The rows' indices and cells of a column that hold a figure."""
    for index, row in enumerate(table.rows):
        if row.cells[column].kind == "figure":
            yield index, row.cells[column]
