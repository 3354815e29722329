"""Two printed figures of one training: which of them our runs reproduce."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up import put

from bench.claims.ledger import load_ledgers
from bench.grading.grader import grade_all
from bench.pages.printed_twice import printed_twice

LAST = {"epoch": 25, "loss": 0.5, "majority": 0.1, "primary": "top1"}


def scored(value: float) -> dict[str, float]:
    return {"value": value, "numerator": round(value * 1000), "denominator": 1000}


def section(out: Path, slug: str, figures: list[float]) -> str:
    """The section of the report after runs with those accuracies."""
    made = [
        put(
            out, slug, figure, seed=seed, tier="full", source="official", name="mnist1d",
            metrics={key: {**LAST, "metrics": {"top1": scored(figure)}} for key in ("final", "best")},
            curves={"val_top1": [figure] * 25},
        )
        for seed, figure in enumerate(figures)
    ]  # fmt: skip
    ledgers = [ledger for ledger in load_ledgers() if ledger.report == made[0].recipe["report"]]
    return printed_twice(grade_all(ledgers, made, alignment_green=True, folder=out))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ([0.641, 0.645, 0.648, 0.644], "65.1 % holds; 68 % is not shown to hold."),
        ([0.665, 0.664, 0.666, 0.665, 0.665, 0.664], "All of them lie within their margins of our mean."),
        ([0.75, 0.76, 0.75], "None of them is shown to hold; our mean is nearest to 68 %."),
    ],
)
def test_68_in_the_table_and_65_1_in_the_notebook(figures: list[float], said: str, tmp_path: Path) -> None:
    text = section(tmp_path, "mnist1d-mlp", figures)
    (line,) = [line for line in text.splitlines() if line.startswith("| `mnist1d-mlp` |")]
    assert line.endswith(f"| {said} |")
    assert "68 % (README table: MNIST-1D × MLP): **" in line
    assert "65.1 % (quickstart notebook: benchmarks × MLP): **" in line


def test_nothing_is_said_of_a_training_whose_figure_is_printed_once(tmp_path: Path) -> None:
    assert section(tmp_path, "r4-classify", [0.78, 0.79, 0.78]) == ""
