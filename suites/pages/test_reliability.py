"""The note of the durability suites: rows of one code add up to a page, rows of other code are dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.pages import reliability
from bench.pages.reliability import Trial
from reference.errors import InputError


def row(what: str, held: int = 5, tried: int = 5, section: str = "kills", where: str = "test_a") -> Trial:
    return Trial(section, what, held, tried, where)


def test_a_test_that_ran_again_replaces_its_own_rows_only(tmp_path: Path) -> None:
    reliability.note(tmp_path, [row("classify"), row("byol", 4)])
    others = [row("byol", 2, section="ends"), row("a CSV", section="hostile", where="test_b")]
    reliability.note(tmp_path, [row("byol", 5), *others])
    code, rows = reliability.read_trials(tmp_path)
    assert code == reliability.code_hash()
    assert rows == [row("byol"), row("classify"), *others]


def test_rows_of_other_code_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reliability.note(tmp_path, [row("classify")])
    monkeypatch.setattr(reliability, "code_hash", lambda: "later")
    reliability.note(tmp_path, [row("byol")])
    assert reliability.read_trials(tmp_path) == ("later", [row("byol")])


def test_the_page_counts_what_held_beside_what_was_tried(tmp_path: Path) -> None:
    assert reliability.read_trials(tmp_path) == ("", [])
    reliability.note(tmp_path, [row("classify"), row("byol", 1234, 1235), row("<b>|", section="fuzz")])
    page = reliability.reliability_page(tmp_path)
    assert page == reliability.reliability_page(tmp_path)
    assert "| byol | 1,234 | 1,235 | `test_a` |" in page
    assert "| **together** | **1,239** | **1,240** |  |" in page
    assert "| \\<b>\\| | 5 | 5 | `test_a` |" in page
    assert reliability.SECTIONS["hostile"] not in page


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"code_hash": "a", "rows": [{}]}', json.dumps({"code_hash": "a", "rows": 3})]
)
def test_what_is_no_note_is_refused_in_one_line(body: str, tmp_path: Path) -> None:
    (tmp_path / reliability.FILE).write_text(body)
    with pytest.raises(InputError, match="no note of the durability suites") as caught:
        reliability.read_trials(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_section_is_no_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section 'speed'"):
        reliability.note(tmp_path, [row("fast", section="speed")])
