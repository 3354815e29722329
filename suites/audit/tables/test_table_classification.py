"""Classification reports and confusion matrices, against scikit-learn, which prints them correctly."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.dummy import DummyClassifier
from sklearn.metrics import classification_report, confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from bench.audit.tables import TableAudit
from bench.audit.tables.classification import possible_counts
from bench.audit.tables.table_finding import TableFinding, rounded
from bench.claims.cells import read_cell

Audited = Callable[..., TableAudit]
Against = Callable[[TableAudit], list[tuple[str, str, int]]]
Found = Callable[..., list[TableFinding]]

DATA = {
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
}
MODELS = {
    "nearest neighbours": KNeighborsClassifier(),
    "tree": DecisionTreeClassifier(random_state=0),
    "stump": DecisionTreeClassifier(max_depth=1),
    "naive Bayes": GaussianNB(),
    "majority": DummyClassifier(),
}


def predictions(data: str) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Names of the classes, truth and prediction of each model on a third of a bundled data set."""
    bunch = DATA[data]()
    train, test, train_y, test_y = train_test_split(bunch.data, bunch.target, test_size=1 / 3, random_state=0)
    for model in MODELS.values():
        yield [str(name) for name in bunch.target_names], test_y, model.fit(train, train_y).predict(test)


@pytest.mark.parametrize("data", DATA)
def test_nothing_is_said_against_a_report_of_scikit_learn(audited: Audited, data: str) -> None:
    for (names, truth, predicted), digits in product(predictions(data), (2, 3, 4)):
        report = classification_report(truth, predicted, digits=digits, target_names=names, zero_division=0)
        audit = audited(report, ".txt")
        assert not [f.sentence for f in audit.findings if f.verdict == "against"]
        assert not audit.unread
        held = {f.check for f in audit.findings if f.verdict == "holds" and f.strength == "certain"}
        assert held == {"precision, recall, F1, support", "supports", "accuracy", "predictions", "averages"}


@pytest.mark.parametrize("data", DATA)
def test_a_confusion_matrix_gives_its_report(audited: Audited, found: Found, data: str) -> None:
    """With the truth in its rows and in its columns; one image moved from cell to cell shows."""
    for names, truth, predicted in predictions(data):
        report = classification_report(truth, predicted, digits=4, target_names=names, zero_division=0)
        matrix = confusion_matrix(truth, predicted)
        for table in (matrix, matrix.T):
            text = f"```\n{report}```\n\n{pipe_matrix(names, table)}"
            audit = audited(text)
            assert not [f.sentence for f in audit.findings if f.verdict == "against"]
            assert len(found(audit, "confusion matrix", "holds")) == 4 * len(names) + 1
        moved = matrix.copy()
        full = int(moved[0].argmax())
        moved[0, full] -= 1
        moved[0, (full + 1) % len(names)] += 1
        audit = audited(f"```\n{report}```\n\n{pipe_matrix(names, moved)}")
        assert found(audit, "confusion matrix", "against")


def pipe_matrix(names: list[str], matrix: np.ndarray) -> str:
    rows = [
        ["true", *names],
        ["---"] * (len(names) + 1),
        *([name, *map(str, row)] for name, row in zip(names, matrix, strict=True)),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=120), st.integers(2, 4))
def test_any_prediction_is_possible(pairs: list[tuple[int, int]], digits: int) -> None:
    """The counts of every class lie among those that its printed figures leave."""
    truth, predicted = np.array(pairs).T
    labels = np.unique(truth)
    scores = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for label, p, r, f, n in zip(labels, *scores, strict=True):
        figures = [read_cell(f"{value:.{digits}f}").figure for value in (p, r, f)]
        counts = possible_counts(*figures, int(n), rounded)  # type: ignore[arg-type]
        assert counts is not None
        right = int(((truth == label) & (predicted == label)).sum())
        assert counts.right[0] <= right <= counts.right[1]
        assert counts.predicted[0] <= (predicted == label).sum() <= (counts.predicted[1] or np.inf)


def test_what_is_possible_is_decided_as_by_trying_all_counts() -> None:
    """Every triple of figures of a class of 7 images is possible exactly where some (t, m) prints so."""
    n = 7
    printable = set()
    for right in range(n + 1):
        for predicted in range(max(right, 1), 60):
            p, r, f = right / predicted, right / n, 2 * right / (n + predicted)
            printable.add(tuple(f"{value:.1f}" for value in (p, r, f)))
    for triple in product([f"{i / 10:.1f}" for i in range(11)], repeat=3):
        figures = [read_cell(text).figure for text in triple]
        counts = possible_counts(*figures, n, rounded)  # type: ignore[arg-type]
        if triple in printable:
            assert counts is not None, triple
        elif counts is not None:  # ends of intervals belong to both sides; only a tie may print otherwise
            right = range(counts.right[0], counts.right[1] + 1)
            assert any(
                abs(10 * value % 1 - 0.5) < 1e-9
                for t in right
                for m in range(max(t, 1), 400)
                for value in (t / m, t / n, 2 * t / (n + m))
            ), triple


REPORT = """              precision    recall  f1-score   support

         cat       0.90      0.75      0.82        12
         dog       0.80      0.92      0.86        13

    accuracy                           0.84        25
   macro avg       0.85      0.84      0.84        25
weighted avg       0.85      0.84      0.84        25
"""


def test_the_report_that_is_broken_below_holds(audited: Audited, against: Against) -> None:
    truth = [0] * 12 + [1] * 13
    predicted = [0] * 9 + [1] * 3 + [0] + [1] * 12
    assert classification_report(truth, predicted, target_names=["cat", "dog"]) == REPORT
    assert not against(audited(REPORT, ".txt"))


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("0.82        12", "0.84        12", "precision, recall, F1, support"),
        ("0.90      0.75", "0.60      0.75", "precision, recall, F1, support"),
        ("0.75      0.82        12", "0.71      0.82        12", "precision, recall, F1, support"),
        ("0.84        25\n   macro", "0.94        25\n   macro", "accuracy"),
        ("macro avg       0.85", "macro avg       0.86", "averages"),
        (
            "0.84        25\nweighted avg       0.85      0.84      0.84        25",
            "0.84        25\nweighted avg       0.85      0.88      0.84        25",
            "averages",
        ),
        (
            "accuracy                           0.84        25",
            "accuracy                           0.84        26",
            "supports",
        ),
    ],
)
def test_a_changed_figure_is_certain(
    audited: Audited, against: Against, old: str, new: str, check: str
) -> None:
    assert old in REPORT
    assert (check, "certain") in [(c, s) for c, s, _ in against(audited(REPORT.replace(old, new), ".txt"))]


def test_a_report_that_no_program_printed_is_never_certain(audited: Audited, against: Against) -> None:
    """Its digits differ from row to row, so that somebody typed it; the columns are then a guess too."""
    text = REPORT.replace("0.84        25\n   macro", "0.9400        25\n   macro")
    strengths = {strength for _, strength, _ in against(audited(text, ".txt"))}
    assert strengths == {"strong"}


def test_no_whole_number_gives_a_recall_that_was_cut_off(audited: Audited, against: Against) -> None:
    text = REPORT.replace("0.90      0.75      0.82        12", "0.90      0.69      0.78        13")
    found = against(audited(text.split("\n\n    accuracy")[0] + "\n", ".txt"))
    assert found == []
    cut = text.replace("0.80      0.92      0.86", "0.79      0.84      0.81")  # 11/13 is 0.846
    found = against(audited(cut.split("\n\n    accuracy")[0] + "\n", ".txt"))
    assert [(check, strength) for check, strength, _ in found] == [("precision, recall, F1, support", "weak")]


def test_a_table_of_classes_in_markdown(audited: Audited, against: Against) -> None:
    text = (
        "| class | precision | recall | F1 | support |\n|---|---|---|---|---|\n| cat | 0.90 | 0.75 | 0.82 "
        "| 12 |\n| dog | 0.80 | 0.92 | 0.86 | 13 |\n| macro avg | 0.85 | 0.84 | 0.84 | 25 |\n"
    )
    assert not against(audited(text))
    assert ("averages", "strong", 5) in against(audited(text.replace("| 0.85 |", "| 0.95 |")))


def test_planted_typos_of_reports_are_found(audited: Audited) -> None:
    """One digit of one figure after the point, at random: nearly all are found."""
    draw = random.Random(0)
    names, truth, predicted = next(predictions("digits"))
    report = classification_report(truth, predicted, digits=3, target_names=names)
    places = [
        i
        for i, sign in enumerate(report)
        if sign.isdigit() and report[max(0, i - 2) : i].strip() and "." in report[max(0, i - 3) : i]
    ]
    caught = 0
    chosen = draw.sample(places, 60)
    for place in chosen:
        digit = draw.choice([d for d in "0123456789" if d != report[place]])
        audit = audited(report[:place] + digit + report[place + 1 :], ".txt")
        caught += any(f.verdict == "against" for f in audit.findings)
    assert caught / len(chosen) >= 0.95
