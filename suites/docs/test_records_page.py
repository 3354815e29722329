"""docs/records.md says of one tracked record what that record says, and names every field."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runs import records
from bench.runs.records import Record

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "records.md"


@pytest.fixture(scope="module")
def record() -> Record:
    """The record that the page walks through."""
    named = re.search(r"<!-- record: (\S+) -->", PAGE.read_text(encoding="utf-8"))
    assert named is not None
    return records.read_record(ROOT / named[1])


def values(body: object) -> list[object]:
    """Every mapping in a record, at any depth."""
    if isinstance(body, dict):
        return [body, *(found for value in body.values() for found in values(value))]
    return [found for value in body for found in values(value)] if isinstance(body, list | tuple) else []


def test_what_is_quoted_is_in_the_record(record: Record, blocks_of: Callable[[str], list[object]]) -> None:
    quoted = [json.loads(b.text) for b in blocks_of("docs/records.md") if b.language == "json"]  # type: ignore[attr-defined]
    assert len(quoted) == 4
    there = values(json.loads(records.dumps(record)))
    for part in quoted:
        assert any(part.items() <= whole.items() for whole in there if set(part) <= set(whole)), part


def test_what_is_said_of_it_holds(record: Record) -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"has {len(record.deviations)} of them" in text
    counts = record.counts("top1")
    assert counts is not None
    assert f"classified {counts[0]} of {counts[1]} images correctly" in text


def test_every_field_is_named(record: Record) -> None:
    named = set(re.findall(r"`([\w ]+)`", PAGE.read_text(encoding="utf-8")))
    fields = {field.name for field in dataclasses.fields(Record)} | {"content_hash"}
    quoted = {"slug", "tier", "seed"}  # in the first block
    assert fields - quoted <= named
    assert set(records.STATUSES) <= named


def test_the_program_on_the_page_runs(blocks_of: Callable[[str], list[object]]) -> None:
    (program,) = [b.text for b in blocks_of("docs/records.md") if b.language == "python"]  # type: ignore[attr-defined]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 smoke ")
