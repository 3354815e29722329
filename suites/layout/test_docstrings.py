"""Every public function and class has a one-sentence summary, and the examples of the main functions run."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("reference", "bench/claims", "bench/runs", "bench/cli", "bench/plan")
EXAMPLES = {
    "bench.audit": "audit",
    "bench.audit.grim": "counts",
    "bench.claims.ledger": "load_ledgers",
    "bench.grading.numbers": "grade_number",
    "bench.grading.orderings": "grade_ordering",
    "bench.grading.spread": "margin",
    "bench.grading.statistics": "accuracy_interval",
    "reference.augment": "augment",
    "reference.confusion": "confusion_matrix",
    "reference.data": "open_dataset",
    "reference.losses": "byol_loss focal_loss poly1_loss",
    "reference.metrics": "class_iou mean_iou topk_accuracy",
    "reference.mixup": "mixup",
    "reference.models": "build",
    "reference.schedules": "learning_rate",
    "reference.training.loop": "train",
}
"""The functions of each module that must show an example."""


def without_summary(source: str) -> list[str]:
    """Names of the public top-level functions and classes whose docstring's first line is not a sentence."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not (ast.get_docstring(node) or "").partition("\n")[0].endswith(".")
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_a_summary(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    missing = {
        str(file.relative_to(ROOT)): without_summary(file.read_text(encoding="utf-8")) for file in files
    }
    assert {file: names for file, names in missing.items() if names} == {}


def test_a_missing_summary_is_noticed() -> None:
    cut = 'def cut():\n    """Two\n    lines."""\n'
    source = 'def bare(): ...\ndef whole():\n    """One."""\ndef _f(): ...\n'
    assert without_summary(source + cut) == ["bare", "cut"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    with_examples = {test.name for test in doctest.DocTestFinder().find(module) if test.examples}
    assert {f"{name}.{function}" for function in EXAMPLES[name].split()} <= with_examples
    assert doctest.testmod(module).failed == 0
