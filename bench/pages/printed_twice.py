"""Where a report prints two figures of one training that differ, our runs say which of them holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from bench.grading.grader import GradedClaim
from bench.grading.measured import is_recipes_own
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import figure_text, printed

HEADING = "## Printed more than once"
HOW_TO_READ = "The report prints different figures of these trainings. Our runs judge each figure."


def printed_twice(rows: Iterable[GradedClaim]) -> str:
    """A table with one line for each training that has two tested figures; empty without any."""
    trainings: dict[tuple[object, ...], list[GradedClaim]] = defaultdict(list)
    for row in rows:
        claim = row.claim
        if claim.kind == "number" and row.measured is not None and not claim.difference_of:
            training = (claim.recipe, claim.metric_name, claim.epoch, is_recipes_own(claim))
            trainings[training].append(row)
    lines = [_line(own) for own in trainings.values() if len({row.claim.fraction for row in own}) > 1]
    heads = ("training", "ours", "printed", "so")
    return "\n\n".join([HEADING, HOW_TO_READ, pipe_table(heads, lines)]) if lines else ""


def _line(rows: Sequence[GradedClaim]) -> list[str]:
    first = rows[0]
    assert first.measured is not None
    each = [f"{_figure(row)}: **{row.label}**" for row in rows]
    ours = figure_text(first.measured, first.claim.unit)
    return [f"`{first.claim.recipe}`", ours, "<br>".join(each), _so(rows)]


def _figure(row: GradedClaim) -> str:
    return f"{printed(row.claim)} ({plain(row.claim.locator.partition(':')[2])})"


def _so(rows: Sequence[GradedClaim]) -> str:
    """Which figure holds, in one sentence."""
    holding = [row for row in rows if row.grade == "reproduced"]
    if len(holding) == len(rows):
        return "All of them lie within their margins of our mean."
    if holding:
        others = [row for row in rows if row not in holding]
        return f"{_listed(holding)} holds; {_listed(others)} is not shown to hold."
    measured = rows[0].measured
    assert measured is not None
    nearest = min(rows, key=lambda row: abs(float(row.claim.fraction) - measured.mean))
    return f"None of them is shown to hold; our mean is nearest to {printed(nearest.claim)}."


def _listed(rows: Sequence[GradedClaim]) -> str:
    return " and ".join(printed(row.claim) for row in rows)
