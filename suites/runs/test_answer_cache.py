"""Answers kept on disk: given again only for the same code, and never from a damaged file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bench.grading import grader, kept_checks
from bench.plan import hours
from bench.runs import answer_cache, provenance
from bench.runs.answer_cache import KEPT, AnswerCache

CODE = {"reference": "aa", "torch": "2"}
ANSWER = ("0.50", [1, None, {"name": (1.5, True)}])


def never() -> Any:
    raise AssertionError("computed again")


def kept(folder: Path, code: dict[str, str] = CODE) -> AnswerCache:
    return AnswerCache("checks", code, folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds one answer."""
    cache = kept(tmp_path)
    assert cache.answer("question", lambda: ANSWER) == ANSWER
    cache.save()
    return tmp_path


def test_an_answer_comes_back_as_it_was(folder: Path) -> None:
    answer = kept(folder).answer("question", never)
    assert repr(answer) == repr(ANSWER), "tuples stay tuples"


def test_other_code_has_answers_of_its_own(folder: Path) -> None:
    assert kept(folder, CODE | {"torch": "3"}).answer("question", lambda: 7) == 7


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"answers": {"question": "1"}, "sha256": "00"}', "null"])
def test_a_damaged_file_is_as_good_as_none(folder: Path, damage: str) -> None:
    path = kept(folder).path
    path.write_text(damage)
    cache = kept(folder)
    assert cache.answer("question", lambda: 8) == 8
    cache.save()
    assert kept(folder).answer("question", never) == 8


def test_an_edited_answer_is_not_given(folder: Path) -> None:
    path = kept(folder).path
    path.write_text(path.read_text().replace("0.50", "0.51"))
    assert kept(folder).answer("question", lambda: 8) == 8


def test_what_is_no_literal_is_not_kept(tmp_path: Path) -> None:
    cache = kept(tmp_path)
    value = object()
    assert cache.answer("question", lambda: value) is value
    cache.save()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = kept(tmp_path / "file" / "below")
    assert cache.answer("question", lambda: 1) == 1
    cache.save()


def test_old_files_go(tmp_path: Path) -> None:
    for code in range(KEPT + 3):
        cache = kept(tmp_path, {"code": str(code)})
        cache.answer("question", lambda: 1)
        cache.save()
    assert len(list(tmp_path.iterdir())) == KEPT
    assert cache.path.exists()


def test_checks_are_computed_once_for_the_same_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = {"a-claim": lambda: ("1", 1)}
    monkeypatch.setattr(grader, "checks", lambda: computed)
    with kept_checks.kept(tmp_path):
        assert grader.checks()["a-claim"]() == ("1", 1)
    monkeypatch.setitem(grader.checks(), "a-claim", never)
    with kept_checks.kept(tmp_path):
        assert grader.checks()["a-claim"]() == ("1", 1)
    assert grader.checks()["a-claim"] is never, "outside of it, checks are computed"
    monkeypatch.setattr(provenance, "reference_hash", lambda: "another")
    with kept_checks.kept(tmp_path), pytest.raises(AssertionError, match="computed again"):
        grader.checks()["a-claim"]()


@pytest.mark.parametrize("file", ["checks/formulas.py", "printed/comparison.py", "claims/r1.toml"])
def test_the_key_is_of_every_file_that_the_checks_read(file: str, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    path = tmp_path / "room" / Path(file).name
    path.write_text("a")
    first = provenance._hash_of(tmp_path / "room", ("py", "toml"))
    path.write_text("b")
    assert provenance._hash_of(tmp_path / "room", ("py", "toml")) != first
    assert Path(file).parts[0] in kept_checks.ROOMS


def test_flops_are_counted_once(tmp_path: Path) -> None:
    cache = hours.counted_before(tmp_path)
    assert cache.answer("a network", lambda: 1e9) == 1e9
    cache.save()
    assert hours.counted_before(tmp_path).answer("a network", never) == 1e9


def test_the_users_cache_folder_is_that_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BENCH_ANSWERS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert answer_cache.default_folder().parent == tmp_path
    monkeypatch.setenv("BENCH_ANSWERS", str(tmp_path / "elsewhere"))
    assert answer_cache.default_folder() == tmp_path / "elsewhere"


def test_the_suites_keep_nothing_in_the_users_cache_folder() -> None:
    """Neither here nor in the commands that they start."""
    assert not answer_cache.default_folder().is_relative_to(Path.home() / ".cache")
    assert Path(os.environ["BENCH_ANSWERS"]) == answer_cache.default_folder()
