"""The page ``findings.md``: the findings in a sentence each, settings A to E, and the ablations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.claims.claim import Ledger
from bench.grading.groups import Runs
from bench.pages.ablation_tables import ablations_part
from bench.pages.finetuning_settings import settings_part
from bench.pages.highlights import Highlight
from bench.pages.markdown import plain

PAGE = "findings.md"


def findings_markdown(ledgers: Sequence[Ledger], found: Sequence[Highlight], runs: Runs, folder: Path) -> str:
    """The whole page."""
    parts = ["# Findings", *map(_in_words, found), comparisons(ledgers, runs, folder)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def comparisons(ledgers: Sequence[Ledger], runs: Runs, folder: Path) -> str:
    """Settings A to E and the ablations, without the page's own heading."""
    return f"{settings_part(ledgers, runs, folder)}\n{ablations_part(ledgers, runs)}"


def _in_words(highlight: Highlight) -> str:
    points = "".join(f"\n- {plain(point)}" for point in highlight.points)
    text = f"**{plain(highlight.title)}** {plain(highlight.sentence)}"
    return f"{text}\n{points}" if points else text
