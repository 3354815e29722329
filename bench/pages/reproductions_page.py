"""``reproductions.md``: the verdicts of others' runs, next to ours and never merged with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.grading.grader import GradedClaim
from bench.grading.reproductions import kept_verdicts
from bench.grading.verdict import in_unit
from bench.pages.markdown import pipe_table, plain

PAGE = "reproductions.md"
HEAD = ["claim", "printed", "their verdict", "their mean", "data", "seeds", "device", "ours"]
WORDS = (
    "Others ran the same recipes and sent the file of `bench report --summary`. The verdicts are theirs: we"
    " have not run them again, and no verdict, count or leaderboard of ours contains them."
)


def reproductions_markdown(rows: Iterable[GradedClaim], folder: Path) -> str | None:
    """Return the page; None where nobody has sent a summary."""
    theirs = kept_verdicts(folder)
    if not theirs:
        return None
    ours = {row.claim.id: row for row in rows}
    table = []
    for one in theirs:
        row = ours.get(one.claim)
        unit = row.claim.unit if row else None
        table.append(
            [
                f"`{one.claim}`",
                plain(one.printed) or "–",
                plain(one.verdict),
                "–" if one.mean is None else in_unit(one.mean, unit),
                plain(one.data),
                ", ".join(map(str, one.seeds)),
                plain(one.device),
                row.label if row else "no claim here has this id",
            ]
        )
    return f"# Reproductions by others\n\n{WORDS}\n\n{pipe_table(HEAD, table)}\n"
