"""Records: written once, read strictly, never edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_up
import pytest

from bench.runs import records
from bench.runs.records import Record
from reference.errors import InputError


def a_record(**changes: Any) -> Record:
    """A record whose best epoch is right on 7 of 10 images, and whose last one on 6."""
    metrics = {
        name: {
            "epoch": epoch,
            "loss": 0.5,
            "majority": 0.1,
            "primary": "top1",
            "metrics": {"top1": {"value": hits / 10, "numerator": hits, "denominator": 10}},
        }
        for name, epoch, hits in (("best", 2, 7), ("final", 3, 6))
    }
    own: dict[str, Any] = {
        "metrics": metrics,
        "run_id": "0123456789abcdef",
        "confusion": [[7, 0], [3, 0]],
        "curves": {"val_loss": [0.9, None, 0.5]},
    }
    return made_up.a_run("r4-classify", 0.7, tier="smoke", source="synthetic", n=10, **(own | changes))


def test_a_record_reads_back_as_written(tmp_path: Path) -> None:
    record = a_record()
    assert records.read_record(made_up.write(tmp_path, record)) == record
    assert records.read_all(tmp_path) == [record]


def test_selection_decides_the_figure() -> None:
    assert a_record().metric("top1") == 0.7
    assert a_record(recipe={"selection": "final"}).metric("top1") == 0.6
    assert a_record(recipe={"selection": "final"}).counts("top1") == (6, 10)
    assert a_record().metric("miou") is None
    assert a_record(metrics={}, status="failed").metric("top1") is None


def test_undefined_figures_are_none() -> None:
    record = a_record()
    record.metrics["best"]["metrics"]["top1"] = {"value": None, "numerator": None, "denominator": None}
    assert record.metric("top1") is None
    assert record.counts("top1") is None


def test_attempts_have_names_of_their_own() -> None:
    assert a_record().name == "0123456789abcdef"
    assert a_record(attempt=2).name == "0123456789abcdef-2"


def test_files_are_strict_json(tmp_path: Path) -> None:
    text = made_up.write(tmp_path, a_record()).read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(text, parse_constant=refuse)["schema"] == records.SCHEMA


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"value": 0.7', '"value": 0.9'), "does not match its hash"),
        (lambda text: text.replace(f'"schema": {records.SCHEMA}', '"schema": 99'), "schema 99"),
        (lambda text: text[: len(text) // 2], "not a record"),
        (lambda text: "[1, 2]", "schema 'list'"),
        (lambda text: "", "not a record"),
    ],
    ids=["edited", "future schema", "truncated", "a list", "empty"],
)
def test_what_is_not_whole_is_refused_in_one_line(tmp_path: Path, change: object, said: str) -> None:
    path = made_up.write(tmp_path, a_record())
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        records.read_record(path)
    assert said in str(caught.value)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 0}, r"unknown key 'sed' \(nearest: 'seed'\); restore the file"),
        ({"seed": None}, "missing key 'seed'; restore the file"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0; restore the file"),
    ],
)
def test_a_missing_or_unknown_key_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = made_up.write(tmp_path, a_record())
    body = json.loads(path.read_text()) | change
    body = {key: value for key, value in body.items() if value is not None and key != "content_hash"}
    body["content_hash"] = records.hash_of(body)
    path.write_text(json.dumps(body))
    with pytest.raises(InputError, match=message):
        records.read_record(path)


def test_hash_does_not_depend_on_key_order() -> None:
    assert records.hash_of({"a": 1, "b": [1.5, "é"]}) == records.hash_of({"b": [1.5, "é"], "a": 1})
    assert records.hash_of({"a": 1}) != records.hash_of({"a": 2})
