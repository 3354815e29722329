"""A verdict as soon as a recipe's runs are there, while the other recipes are still running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.claims.ledger import load_ledgers

if TYPE_CHECKING:
    from bench.runs.run_plan import Run


class VerdictLines:
    """Counts the seeds of each recipe that still run, and prints the claims of one that has finished.

    Only runs that may decide a claim count: on official data, as printed.
    """

    def __init__(self, todo: Sequence[Run], out: Path) -> None:
        self._out = out
        self._left = Counter(run.printed.slug for run in todo if _may_decide(run))

    def finished(self, run: Run) -> None:
        """Note the end of a run; after a recipe's last one, print a line for each of its figures."""
        slug = run.printed.slug
        if slug not in self._left:
            return
        self._left[slug] -= 1
        if not self._left[slug]:
            for line in lines_of(slug, self._out):
                print(line, flush=True)


def _may_decide(run: Run) -> bool:
    return run.dataset.source == "official" and not run.deviations


def lines_of(slug: str, out: Path) -> list[str]:
    """One line a number of that recipe: printed, ours with its interval, seeds, the verdict."""
    from bench.grading import alignment, grader
    from bench.grading.verdict import seed_count
    from bench.pages import wording
    from bench.runs import records

    ledgers = [ledger for ledger in load_ledgers() if any(claim.recipe == slug for claim in ledger.claims)]
    rows = grader.grade_all(
        ledgers, records.find(out).readable, alignment_green=alignment.is_green(out), folder=out
    )
    lines = []
    for row in rows:
        if row.claim.recipe == slug and row.claim.kind == "number" and row.measured is not None:
            figure, interval = row.measured.mean, row.measured.interval
            scale, unit = (100, " %") if row.claim.unit == "percent" else (1, "")
            span = (
                ""
                if interval is None
                else " ({:.{d}f} to {:.{d}f})".format(*(end * scale for end in interval), d=1 if unit else 3)
            )
            ours = f"{figure * scale:.{1 if unit else 3}f}{unit}{span} from {seed_count(row.measured.k)}"
            lines.append(f"  {row.claim.id}: printed {wording.printed(row.claim)}, ours {ours}: {row.label}")
    return lines
