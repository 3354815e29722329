"""What ``bench grade`` prints without ``-v``: a line a claim, coloured by verdict, and a count at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.cli.list_rows import Rows

COLOURS = {"holds": "34", "shown": "32", "undecided": "33", "otherwise": "31", "no run": "2"}
"""ANSI colours by ``bench.pages.summary.STANDINGS``; blue and red are told apart by the colour-blind."""


def brief_lines(rows: Rows, *, colour: bool) -> list[str]:
    """One line a claim: id, printed value, verdict, then our figure and flags; the last line counts."""
    from bench.pages.summary import standing_of

    if not rows:
        return ["none"]
    cells = [
        (str(row["claim"]), str(row["printed"] or "–"), str(row["verdict"]), _beside(row)) for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = []
    for claim, printed, verdict, beside in cells:
        code = COLOURS[standing_of(verdict.partition(": ")[0])]
        shown = verdict.ljust(widths[2])
        shown = f"\x1b[{code}m{shown}\x1b[0m" if colour else shown
        lines.append(f"{claim:<{widths[0]}}  {printed:>{widths[1]}}  {shown}  {beside}".rstrip())
    return [*lines, count_line([row[2] for row in cells])]


def _beside(row: dict[str, object]) -> str:
    flags = row["flags"]
    told = [str(row["measured"])] if row["measured"] else []
    return "; ".join([*told, *(f"flag: {flag}" for flag in (flags if isinstance(flags, tuple) else ()))])


def count_line(verdicts: Sequence[str]) -> str:
    """``"41 claims: 32 not tested: data, 9 matches"``."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).most_common())
    claims = "1 claim" if len(verdicts) == 1 else f"{len(verdicts)} claims"
    return f"{claims}: {counts} (reasons: -v)"
