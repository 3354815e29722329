"""Scores of one prediction against each other, repeats, parts of a whole, and what the text says."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.audit.tables import TableAudit
from bench.audit.tables.table_finding import TableFinding

Audited = Callable[..., TableAudit]
Against = Callable[[TableAudit], list[tuple[str, str, int]]]
Found = Callable[..., list[TableFinding]]


def pipe(*rows: str) -> str:
    head, *body = rows
    width = head.count(",") + 1
    return (
        "\n".join("| " + row.replace(",", " | ") + " |" for row in (head, ",".join(["---"] * width), *body))
        + "\n"
    )


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4), st.integers(1, 4)
)
def test_no_confusion_matrix_breaks_a_check(
    audited: Audited, against: Against, rows: list[list[int]], digits: int
) -> None:
    """Scores of any prediction, in percent with few digits: nothing is said against them."""
    matrix = np.array(rows) + np.eye(4, dtype=int)
    right, truth, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = right / (truth + predicted - right)
    scores = {
        "pixel acc": right.sum() / matrix.sum(),
        "mean acc": (right / truth).mean(),
        "mIoU": iou.mean(),
        "fwIoU": (truth * iou).sum() / matrix.sum(),
        "mDice": (2 * iou / (1 + iou)).mean(),
        "precision": (right / predicted).mean(),
        "recall": (right / truth).mean(),
        "F1": (2 * right / (truth + predicted)).mean(),
    }
    values = ",".join(f"{100 * value:.{digits}f}" for value in scores.values())
    audit = audited(pipe(f"model,{','.join(scores)}", f"net,{values}"))
    assert not against(audit)
    assert len([f for f in audit.findings if f.check == "bounds"]) == 5


BROKEN = {
    "mIoU above mean accuracy": ("model,pixel acc,mean acc,mIoU", "a,91.3,62.0,65.5", "bounds"),
    "fwIoU above pixel accuracy": ("model,pixel acc,mIoU,fw IoU", "a,81.3,62.0,85.5", "bounds"),
    "mIoU above mean Dice": ("model,mDice,mIoU", "a,0.62,0.65", "bounds"),
    "top-1 above top-5": ("model,Top-1 (%),Top-5 (%)", "a,91.2,76.1", "order of scores"),
    "acc@1 above acc@5": ("model,acc@1,acc@5", "a,91.2,76.1", "order of scores"),
    "top-1 error below top-5 error": ("model,Top-1 err,Top-5 err", "a,6.7,23.4", "order of scores"),
    "AP above AP50": ("model,AP,AP50", "a,58.1,41.0", "order of scores"),
    "AP75 above AP50": ("model,AP50,AP75", "a,41.0,58.1", "order of scores"),
    "recall at 1 above recall at 5": ("model,R@1,R@5,R@10", "a,61.0,58.1,70.0", "order of scores"),
    "mean below minimum": ("model,min,mean,max", "a,0.50,0.40,0.90", "extremes"),
    "median above maximum": ("model,min,median,max", "a,0.50,0.95,0.90", "extremes"),
    "F1 above precision and recall": (
        "model,precision,recall,F1",
        "a,0.81,0.83,0.85",
        "precision, recall, F1",
    ),
    "accuracy and error": ("model,accuracy,error rate", "a,93.1,7.9", "complement"),
    "accuracy above 100 %": ("model,accuracy", "a,193.1\nb,93.2\nc,93.4\nd,95.0", "range"),
    "outside its interval": ("model,score", "a,97.1 [98.2; 98.9]", "interval"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_prediction_gives_is_strong(audited: Audited, against: Against, name: str) -> None:
    head, body, check = BROKEN[name]
    assert (check, "strong", 3) in against(audited(pipe(head, *body.split("\n"))))


def test_metrics_in_the_rows_are_one_prediction_a_column(audited: Audited, against: Against) -> None:
    text = pipe(
        "metric,net a,net b", "pixel accuracy,91.3,91.3", "mean accuracy,72.0,62.0", "mean IoU,65.5,65.5"
    )
    audit = audited(text)
    assert [(c, s) for c, s, _ in against(audit)] == [("bounds", "strong")]
    assert any("net b" in f.sentence for f in audit.findings if f.verdict == "against")


@pytest.mark.parametrize(
    "head",
    ["model,macro F1,micro precision,micro recall", "model,val top-1,test top-5", "model,box AP,mask AP50"],
)
def test_scores_of_different_evaluations_are_not_compared(
    audited: Audited, against: Against, head: str
) -> None:
    values = ",".join(["99.0", "50.0", "50.0"][: head.count(",")])
    assert not against(audited(pipe(head, f"a,{values}")))


def test_a_mean_over_classes_may_lie_below_the_harmonic_mean(audited: Audited, found: Found) -> None:
    (finding,) = found(
        audited(pipe("model,precision,recall,F1", "a,0.80,0.80,0.71")), "precision, recall, F1"
    )
    assert (finding.verdict, finding.strength) == ("holds", "weak")


# Repeats ----------------------------------------------------------------------------------------------


def test_equal_rows_and_columns(audited: Audited, against: Against) -> None:
    head = "model,a,b,c,d,e,f"
    one, other = "55.2,65.2,71.4,52.8,59.6,44.1", "41.2,61.7,33.4,92.1,19.6,70.4"
    assert ("duplicate row", "strong", 5) in against(
        audited(pipe(head, f"x,{one}", f"y,{other}", f"z,{one}"))
    )
    assert ("duplicate row", "weak", 4) in against(audited(pipe(head, f"x,{one}", f"x,{one}")))
    near = one.replace("52.8", "58.2")
    assert ("duplicate row", "strong", 5) in against(
        audited(pipe(head, f"x,{one}", f"y,{other}", f"z,{near}"))
    )
    rows = [f"n{i},{v},{v * 2 % 89:.1f},{v}" for i, v in enumerate((31.2, 44.7, 58.1, 62.9, 71.3, 12.4))]
    assert ("duplicate column", "strong", 3) in against(audited(pipe("model,car,bus,sky", *rows)))


def test_rows_that_chance_makes_equal_are_not_strong(audited: Audited, against: Against) -> None:
    draw = random.Random(0)
    rows = [
        f"n{i}," + ",".join(f"{draw.choice((0.91, 0.92, 0.93)):.2f}" for _ in range(4)) for i in range(200)
    ]
    assert {strength for _, strength, _ in against(audited(pipe("model,a,b,c,d", *rows)))} <= {"weak"}


def test_many_equal_rows_are_settings_and_no_results(audited: Audited, against: Against) -> None:
    """Rows that follow from few values, such as a margin of each claim, are equal by their nature."""
    kinds = ["0.0251,0.0672,0.1213,0.0954,0.3337", "0.0311,0.0771,0.1414,0.0888,0.2225"]
    rows = [f"claim {i},{kinds[i % 2]}" for i in range(6)]
    assert {strength for _, strength, _ in against(audited(pipe("claim,a,b,c,d,e", *rows)))} == {"weak"}


def test_all_zeros_and_ones_are_no_repeat(audited: Audited, against: Against) -> None:
    assert not against(audited(pipe("model,a,b,c,d", "x,1.00,0.00,1.00,1.00", "y,1.00,0.00,1.00,1.00")))


# Parts of a whole -------------------------------------------------------------------------------------


def test_shares_add_up(audited: Audited, found: Found) -> None:
    text = pipe("class,train share,share (%)", "a,1,10.1", "b,2,69.9", "c,3,20.0")
    assert [f.verdict for f in found(audited(text), "parts of a whole")] == ["holds"]
    (wrong,) = found(audited(text.replace("69.9", "59.9")), "parts of a whole")
    assert (wrong.verdict, wrong.strength) == ("against", "weak")


def test_rows_of_percentages_add_up(audited: Audited, found: Found) -> None:
    rows = [
        "a,10.1,70.2,19.7",
        "b,33.3,33.3,33.3",
        "c,50.0,25.0,25.0",
        "d,10.0,10.0,80.0",
        "e,10.0,15.0,80.0",
    ]
    findings = found(audited(pipe("region,left,straight,right", *rows)), "parts of a whole")
    assert [(f.verdict, f.line) for f in findings if f.verdict == "against"] == [("against", 7)]
    assert len(findings) == 5


# The text ---------------------------------------------------------------------------------------------

TABLE = "\n\n" + pipe("method,mIoU", "baseline net,65.0", "our net,67.3")


@pytest.mark.parametrize(
    ("sentence", "verdict", "strength"),
    [
        ("The mIoU improves from 65.0 to 67.3, a gain of 2.3 points.", "holds", "strong"),
        ("The mIoU improves from 65.0 to 67.3, a gain of 3.2 points.", "against", "strong"),
        ("The mIoU improves from 65.0 to 67.3, by 3.5%.", "holds", "strong"),
        ("The error drops from 0.350 to 0.327, by 2.3 percentage points.", "holds", "strong"),
        ("The mIoU improves from 65.0 to 67.3, by about 2 points.", "holds", "strong"),
        ("Our net improves over the baseline net by 2.3 points.", "holds", "strong"),
        ("Our net improves over the baseline net by 3.3 points.", "against", "strong"),
        ("Our net improves over the baseline net by 3.5% (relative).", "holds", "strong"),
        ("Our net outperforms the baseline net by about 4 points.", "against", "weak"),
        ("This improves the mIoU by 9.9 points.", "not checked", ""),
        ("Our net has 2.3 points.", None, ""),
    ],
)
def test_differences_in_the_text(
    audited: Audited, found: Found, sentence: str, verdict: str | None, strength: str
) -> None:
    findings = found(audited(sentence + TABLE), "difference in the text")
    assert [(f.verdict, f.strength) for f in findings] == ([(verdict, strength)] if verdict else [])
    assert all(f.line == 1 for f in findings if f.verdict == "against")
