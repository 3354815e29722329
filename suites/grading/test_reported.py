"""Figures of the user's own: imported from a CSV, graded, marked everywhere, and never taken for ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets, metrics, svm

from bench.claims.claim import Ledger
from bench.claims.ledger import load_ledger
from bench.grading.reported import BY_THE_USER, grade_reported, read_results, store
from reference.errors import InputError

# scikit-learn's example "Recognizing hand-written digits", as its documentation prints it.
PUBLISHED = """\
              precision    recall  f1-score   support

           0       1.00      0.99      0.99        88
           1       0.99      0.97      0.98        91
           2       0.99      0.99      0.99        86
           3       0.98      0.87      0.92        91
           4       0.99      0.96      0.97        92
           5       0.95      0.97      0.96        91
           6       0.99      0.99      0.99        91
           7       0.96      0.99      0.97        89
           8       0.94      1.00      0.97        88
           9       0.93      0.98      0.95        92

    accuracy                           0.97       899
   macro avg       0.97      0.97      0.97       899
weighted avg       0.97      0.97      0.97       899
"""

CLAIMS = """\
[report]
id = "digits"
title = "Recognizing hand-written digits"
[[data]]
name = "digits"
classes = 10
splits = { train = 898, test = 899 }
[[table]]
id = "digits-svc"
place = "classification report"
data = "digits"
split = "test"
unit = "fraction"
recipe = "digits-svc"
columns = ["class", "precision", "recall", "f1", "support"]
rows = [
"""


def _claims(folder: Path, text: str = PUBLISHED) -> Ledger:
    """The published report as a ``[[table]]``: a row of it is a row there."""
    rows = []
    for line in text.splitlines()[1:]:
        words = line.replace(" avg", "-avg").split()
        if words:
            cells = [words[0].replace("-", " "), *[""] * (5 - len(words)), *words[1:]]
            rows.append(f"  [{', '.join(json.dumps(cell) for cell in cells)}],")
    file = folder / "digits.toml"
    file.write_text(CLAIMS + "\n".join(rows) + "\n]\n", encoding="utf-8")
    return load_ledger(file)


def _classify() -> dict[str, dict[str, float]]:
    """The published example, run: support vector classifier, gamma 0.001, first half against second half."""
    digits = datasets.load_digits()
    half = len(digits.target) // 2
    classifier = svm.SVC(gamma=0.001).fit(digits.data[:half], digits.target[:half])
    predicted = classifier.predict(digits.data[half:])
    report: dict[str, dict[str, float]] = metrics.classification_report(
        digits.target[half:], predicted, output_dict=True
    )
    report["top1"] = {"value": float(np.mean(predicted == digits.target[half:]))}
    return report


def _results(folder: Path, *rows: str, head: str = "recipe,seed,metric,value,n") -> Path:
    file = folder / "results.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file


def test_the_published_example_is_graded_to_the_digit(tmp_path: Path) -> None:
    one, report = _claims(tmp_path), _classify()
    rows = [f"digits-svc,,top1,{report['top1']['value']!r},899"]
    for index in range(10):
        values = report[str(index)]
        rows += [
            f"digits-svc,,{name}:{index},{values[key]!r},"
            for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"))
        ]
        rows.append(f"digits-svc,,support:{index},{int(values['support'])},")
    store(read_results(_results(tmp_path, *rows), [one]), [one], tmp_path)
    graded = grade_reported([one], tmp_path)
    assert len(graded) == 41
    assert {grade.verdict.grade for grade in graded} == {"matches"}
    assert all(BY_THE_USER in grade.label and BY_THE_USER in grade.verdict.sentence for grade in graded)
    accuracy = next(grade for grade in graded if grade.claim.metric == "top1")
    assert (accuracy.claim.value, accuracy.claim.n) == ("0.97", 899)
    assert accuracy.mean == pytest.approx(0.968854, abs=1e-6)


def test_a_figure_that_rounds_otherwise_differs(tmp_path: Path) -> None:
    one = _claims(tmp_path, PUBLISHED.replace("accuracy                           0.97", "accuracy 0.96"))
    store(read_results(_results(tmp_path, "digits-svc,,top1,0.968854,899"), [one]), [one], tmp_path)
    (grade,) = grade_reported([one], tmp_path)
    assert grade.verdict.grade == "differs"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("0.970", "0.971", "0.969"), "reproduced"),
        (("0.900", "0.901", "0.899"), "contradicted"),
        (("0.999", "0.998", "0.999"), "exceeded"),
        (("0.969",), "compatible"),
    ],
)
def test_figures_of_seeds_are_graded_by_the_rule_of_numbers(
    tmp_path: Path, values: tuple[str, ...], expected: str
) -> None:
    one = _claims(tmp_path)
    rows = [f"digits-svc,{seed},top1,{value},899" for seed, value in enumerate(values)]
    store(read_results(_results(tmp_path, *rows), [one]), [one], tmp_path)
    (grade,) = grade_reported([one], tmp_path)
    assert grade.verdict.grade == expected
    assert grade.label == f"{expected} (reported by the user)"


def test_figures_of_other_images_decide_nothing(tmp_path: Path) -> None:
    one = _claims(tmp_path)
    store(read_results(_results(tmp_path, "digits-svc,0,top1,0.97,360"), [one]), [one], tmp_path)
    (grade,) = grade_reported([one], tmp_path)
    assert (grade.verdict.grade, "on 360 images" in grade.verdict.sentence) == ("undecided", True)


@pytest.mark.parametrize(
    ("rows", "head", "expected"),
    [
        ((), "recipe,seed,metric,value,n", "holds no row"),
        (("digits-svc,0,top1,0.9,",), "recipe,seed,metrik,value,n", "unknown column 'metrik' (nearest: 'met"),
        (("digits-svc,0,0.9",), "recipe,seed,value", "column 'metric' is missing"),
        (("digits-svm,0,top1,0.9,",), "", "recipe 'digits-svm' is of no claim (nearest: 'digits-svc')"),
        (("digits-svc,0,topp1,0.9,",), "", "unknown metric 'topp1' (nearest: 'top1')"),
        (("digits-svc,0,recall:x,0.9,",), "", "unknown metric 'recall:x'"),
        (("digits-svc,one,top1,0.9,",), "", "seed is 'one'; expected a whole number or nothing"),
        (("digits-svc,0,top1,0.9,-3",), "", "n is '-3'; expected a whole number or nothing"),
        (("digits-svc,0,top1,97,",), "", "value is '97'; expected a number from 0 to 1"),
        (("digits-svc,0,top1,nan,",), "", "value is 'nan'; expected a number"),
        (("digits-svc,0,top1,,",), "", "value is ''; expected a number"),
        (("digits-svc,0,top1,0.9,5,6",), "", "more cells than columns"),
        (("digits-svc,0,top1,0.9,", "digits-svc,0,top1,0.8,"), "", "stand there twice"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line(tmp_path: Path, rows: tuple[str, ...], head: str, expected: str) -> None:
    file = _results(tmp_path, *rows, head=head or "recipe,seed,metric,value,n")
    with pytest.raises(InputError) as caught:
        read_results(file, [_claims(tmp_path)])
    assert "\n" not in str(caught.value)
    assert expected in str(caught.value)


README = """\
# Digits

A CNN of 30 lines on 899 test images, 3 runs.

| model | accuracy |
|---|---|
| CNN | 0.970 |
| SVC | 0.969 |
"""


def _bench(folder: Path, *words: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, cwd=folder,
        env=None,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_from_the_table_of_a_readme_to_a_page_with_verdicts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    assert "2 claims" in _bench(tmp_path, "new-report", "hand", "--from", "README.md")
    assert "exists" in _bench(tmp_path, "new-report", "hand", "--from", "README.md", status=2)
    recipes = {claim.recipe for claim in load_ledger(tmp_path / "hand.toml").claims}
    assert recipes == {"hand-t1-cnn", "hand-t1-svc"}
    _bench(tmp_path, "audit", "hand.toml")
    _results(tmp_path, *(f"hand-t1-cnn,{seed},top1,0.97{seed},899" for seed in range(3)))
    assert "name its claims file" in _bench(tmp_path, "import", "results.csv", status=2).lower()
    told = _bench(tmp_path, "import", "results.csv", "--claims", "hand.toml")
    assert "hand-t1-cnn-accuracy: reproduced (reported by the user)" in told
    rows = json.loads(
        _bench(tmp_path, "grade", "hand", "--claims", "hand.toml", "--format", "json").partition("\n]")[0]
        + "\n]"
    )
    by_claim = {row["claim"]: row for row in rows}
    assert by_claim["hand-t1-cnn-accuracy"]["verdict"] == "not tested: no recipe"
    assert by_claim["hand-t1-cnn-accuracy"][BY_THE_USER].startswith("reproduced; reported by the user")
    assert by_claim["hand-t1-svc-accuracy"][BY_THE_USER] is None
    _bench(tmp_path, "report", "--out", "runs", "--claims", "hand.toml")
    page = (tmp_path / "runs" / "reports" / "hand.md").read_text(encoding="utf-8")
    assert "## Reported by the user" in page
    assert "reproduced (reported by the user)" in page
    assert sorted(path.name for path in (tmp_path / "runs" / "reports").iterdir()) == ["hand.md"]
    for name in ("claims.md", "audit.md"):
        text = (tmp_path / "runs" / name).read_text(encoding="utf-8")
        assert "R1" not in text
        assert "hand" in text.lower()
    _bench(tmp_path, "report", "--out", "runs", "--claims", "hand.toml", "--check")
