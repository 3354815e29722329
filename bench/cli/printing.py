"""Prints rows as a table, as JSON or as Markdown."""

from __future__ import annotations

import json
import sys

from bench.cli.options import Format


def warn_of_refused(refused: list[str]) -> None:
    """A line for each record that cannot be read, which no table counts."""
    for line in refused:
        print(f"warning: not counted: {line}", file=sys.stderr)


def print_rows(rows: list[dict[str, object]], output: Format) -> None:
    if output is Format.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if not rows:
        print("none")
        return
    if output is Format.markdown:
        from tabulate import tabulate

        print(
            tabulate(
                [{k: _cell(v) for k, v in row.items()} for row in rows], headers="keys", tablefmt="github"
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
