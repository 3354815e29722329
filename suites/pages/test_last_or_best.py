"""Whether a printed figure is reached at the last step, by the best evaluation only, or by neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_up import put

from bench.claims.ledger import load_ledgers
from bench.grading.grader import grade_all
from bench.pages.last_or_best import last_or_best


def entry(epoch: int, value: float) -> dict[str, Any]:
    scores = {"top1": {"value": value, "numerator": round(value * 1000), "denominator": 1000}}
    return {"epoch": epoch, "loss": 0.5, "majority": 0.1, "primary": "top1", "metrics": scores}


def table(out: Path, slug: str, figures: list[tuple[float, float]]) -> str:
    """The table after runs with those accuracies at the last step and at the best evaluation."""
    made = [
        put(
            out, slug, last, seed=seed, tier="full", source="official", name="mnist1d",
            metrics={"final": entry(25, last), "best": entry(9, best)},
            curves={"val_top1": [best] * 9 + [last] * 16},
        )
        for seed, (last, best) in enumerate(figures)
    ]  # fmt: skip
    ledgers = [ledger for ledger in load_ledgers() if ledger.report == made[0].recipe["report"]]
    return last_or_best(grade_all(ledgers, made, alignment_green=True, folder=out))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ([(0.9349, 0.94), (0.9351, 0.95), (0.9350, 0.93)], "| 93.5 % | 94.0 % | 25 | last step |"),
        ([(0.930, 0.94), (0.932, 0.95), (0.931, 0.93)], "| 93.1 % | 94.0 % | 25 | best only |"),
        ([(0.910, 0.92), (0.912, 0.92), (0.911, 0.92)], "| 91.1 % | 92.0 % | 25 | by neither |"),
    ],
)
def test_a_printed_94_percent(figures: list[tuple[float, float]], said: str, tmp_path: Path) -> None:
    text = table(tmp_path, "mnist1d-cnn", figures)
    (line,) = [line for line in text.splitlines() if line.startswith("| `mnist1d-cnn` |")]
    assert line == f"| `mnist1d-cnn` | 94 % {said}"
    assert "| `mnist1d-cnn-notebook` | 92.3 % |" in text


def test_recipes_that_report_their_best_epoch_have_no_line(tmp_path: Path) -> None:
    assert table(tmp_path, "r4-classify", [(0.7, 0.8)] * 3) == ""
