"""Prints rows as a table, as JSON or as Markdown; every value as it is, digit for digit.

A terminal gets a table that fits its width. A pipe gets one line a row, whatever its length.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from bench.cli.options import Format

GAP = "  "
Rows = list[dict[str, object]]


def warn_of_refused(refused: list[str]) -> None:
    """A line for each record that cannot be read, which no table counts."""
    for line in refused:
        print(f"warning: not counted: {line}", file=sys.stderr)


def print_rows(rows: Rows, output: Format) -> None:
    """Print rows, which all have the same keys, to the terminal or the pipe."""
    if output is Format.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if not rows:
        print("none")
        return
    heads, cells = list(rows[0]), [[_cell(value) for value in row.values()] for row in rows]
    if output is Format.markdown:
        from bench.pages.markdown import pipe_table, plain

        print(pipe_table(heads, [[plain(cell) for cell in row] for row in cells]))
    elif sys.stdout.isatty():
        lines, dropped = table_that_fits(heads, cells, shutil.get_terminal_size().columns)
        print("\n".join(lines))
        if dropped:
            names = ", ".join(dropped)
            print(f"no room for {names}: widen the terminal, or use --format json", file=sys.stderr)
    else:
        print("\n".join(plain_table(heads, cells)))


def plain_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, one line a row, as wide as they are."""
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    return [_line(row, widths) for row in (heads, *cells)]


def table_that_fits(
    heads: Sequence[str], cells: Sequence[Sequence[str]], columns: int
) -> tuple[list[str], list[str]]:
    """Lines of at most ``columns`` characters, and the names of the columns that had no room.

    The first column is printed whole. The others break between words, never within one; columns go from the
    last one on where even that is too wide.
    """
    by_column = list(zip(heads, *cells, strict=True))
    whole = [max(map(len, column)) for column in by_column]
    least = [
        whole[0],
        *(max(len(word) for cell in c for word in cell.split() or [""]) for c in by_column[1:]),
    ]
    shown = len(heads)
    while shown > 1 and sum(least[:shown]) + len(GAP) * (shown - 1) > columns:
        shown -= 1
    widths = least[:shown]
    spare = max(columns - sum(widths) - len(GAP) * (shown - 1), 0)
    # narrow columns get what they need, the widest share the rest
    for left, index in enumerate(sorted(range(shown), key=lambda i: whole[i] - least[i])):
        more = min(whole[index] - least[index], spare // (shown - left))
        widths[index] += more
        spare -= more
    lines: list[str] = []
    for row in (heads, *cells):
        parts = [_broken(cell, width) for cell, width in zip(row[:shown], widths, strict=True)]
        lines += [_line(line, widths) for line in zip_longest(*parts, fillvalue="")]
    return lines, list(heads[shown:])


def _broken(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(value: object) -> str:
    """A value on one line."""
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return " ".join(text.split())
