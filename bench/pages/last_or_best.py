"""Is a printed figure that of the last step, or of the best of many evaluations? Both, beside it.

A recipe that reports its last step is graded by that alone. Where the printed figure is higher, this table
shows whether picking the best evaluation on the test data reaches it: a finding about selection, not another
verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from bench.grading.grader import GradedClaim
from bench.pages.markdown import pipe_table
from bench.pages.wording import printed

HEADING = "## The last step, and the best of all evaluations"
HOW_TO_READ = (
    "Means over the seeds that the verdict rests on. The best evaluation is picked for each seed by the very"
    " accuracy that is reported, so it is always at least as high. *Reached* means that the mean, rounded as"
    " printed, is not below the printed figure."
)


def last_or_best(rows: Iterable[GradedClaim]) -> str:
    """A table with one line for each figure whose runs report their last step; empty without any."""
    lines = [line for row in rows if (line := _line(row))]
    heads = ("claim", "printed", "last step", "best evaluation", "evaluations", "reached")
    return "\n\n".join([HEADING, HOW_TO_READ, pipe_table(heads, lines, right=(1, 2, 3, 4))]) if lines else ""


def _line(row: GradedClaim) -> list[str]:
    claim, runs = row.claim, row.runs
    if claim.kind != "number" or claim.difference_of or not runs or row.measured is None:
        return []
    if any(run.recipe["selection"] != "final" or not run.recipe.get("eval_steps") for run in runs):
        return []
    means = []
    for epoch in ("final", "best"):
        values = [run.metrics[epoch]["metrics"][claim.metric_name]["value"] for run in runs]
        if any(value is None for value in values):
            return []
        means.append(fmean(values))
    least = float(claim.fraction - claim.half_step)
    reached = next(
        (place for place, mean in zip(("last step", "best only"), means, strict=True) if mean >= least),
        "by neither",
    )
    scale, unit = (100, " %") if claim.unit == "percent" else (1, "")
    digits = claim.decimals + 1
    shown = [f"{mean * scale:.{digits}f}{unit}" for mean in means]
    counts = sorted({len(run.curves.get(f"val_{claim.metric_name}", ())) for run in runs})
    return [f"`{claim.id}`", printed(claim), *shown, ", ".join(map(str, counts)), reached]
