"""The first steps of a recipe: what is measured, when it counts as learning, and what is shown of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.cli import run_command
from bench.pages import first_steps_page
from bench.plan import first_steps
from bench.plan.first_steps import LEARNS, OPEN, STUCK, FirstSteps
from bench.runs.run_plan import Run
from reference.recipes import RECIPES

SLUG = "mnist1d-logistic"
TRIED = FirstSteps(
    slug=SLUG,
    settings=first_steps.settings_hash(SLUG),
    data="stand-in images x",
    init="scratch",
    steps=200,
    seconds=1.5,
    losses=(2.3, 2.0, 1.8),
    first=2.3,
    last=1.8,
    constant=2.3,
    metric="top1",
    value=0.3,
    majority=0.1,
    beats=True,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found, why = first_steps.planned(RECIPES[SLUG], Path("nowhere"), tmp_path_factory.mktemp("cache"))
    assert found is not None, why
    return found


def test_a_recipe_that_learns_is_seen_to(run: Run) -> None:
    tried = first_steps.try_recipe(run, seconds=600, most_steps=300)
    assert (tried.steps, tried.state) == (300, LEARNS)
    assert tried.constant == pytest.approx(2.3026, abs=1e-3), "ten classes in equal parts"
    assert tried.last < tried.first
    assert len(tried.losses) == first_steps.KEPT_LOSSES
    assert sum(tried.losses) / len(tried.losses) < tried.first


def test_a_recipe_that_stands_still_is_seen_to(run: Run) -> None:
    (phase,) = run.recipe.phases
    still = replace(run, recipe=replace(run.recipe, phases=(replace(phase, lr=0.0),)))
    tried = first_steps.try_recipe(still, seconds=600, most_steps=60)
    assert tried.state == STUCK
    assert tried.sentence.startswith("at the constant predictor after 60 steps on ")


def test_a_step_ends_it_when_the_time_is_over(run: Run) -> None:
    assert first_steps.try_recipe(run, seconds=0.0).steps == 1


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, LEARNS),
        ({"last": 2.28}, STUCK),
        ({"last": 2.28, "steps": first_steps.LEAST_STEPS - 1}, OPEN),
        ({"last": float("nan")}, STUCK),
        ({"beats": False}, OPEN),
        ({"constant": None, "first": 4.0, "last": 3.9}, LEARNS),  # BYOL has no constant predictor
        ({"constant": None, "first": 4.0, "last": 4.0}, OPEN),
    ],
)
def test_training_and_validation_must_both_leave_chance(changes: dict[str, Any], state: str) -> None:
    assert replace(TRIED, **changes).state == state


def test_the_command_does_the_rest_when_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(first_steps, "FILE", tmp_path / "first_steps.json")
    words = ["nowhere", "--minutes", "0", "--cache", str(tmp_path), "mnist1d-mlp", SLUG]
    first_steps.main(words)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [SLUG, "mnist1d-mlp"]
    kept = first_steps.read(first_steps.FILE)
    assert list(kept) == [SLUG, "mnist1d-mlp"]
    first_steps.main([*words, "r4-seg-b"])
    assert capsys.readouterr().out == "r4-seg-b: not tried: nowhere/p2_data: no such folder\n"
    assert first_steps.read(first_steps.FILE) == kept


def test_a_changed_recipe_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_steps, "_entries", lambda: {SLUG: TRIED})
    assert first_steps.known(RECIPES[SLUG]) == TRIED
    monkeypatch.setattr(first_steps, "_entries", lambda: {SLUG: replace(TRIED, settings="of another")})
    assert first_steps.known(RECIPES[SLUG]) is None


def test_a_run_says_what_is_known_before_it_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_steps, "_entries", lambda: {SLUG: TRIED})
    other = SimpleNamespace(printed=RECIPES["mnist1d-cnn"], tier="full")
    (line,) = run_command._known_first_steps([run, run, other])  # type: ignore[list-item]
    assert line == (
        f"{SLUG}: learns after 200 steps on stand-in images x (init scratch): training loss 1.800, the"
        " constant predictor's is 2.300; top1 0.300, the majority class has 0.100"
    )
    assert run_command._known_first_steps([replace(run, tier="smoke")]) == []


def test_the_page_names_what_was_tried_and_what_was_not() -> None:
    lost = replace(TRIED, slug="mnist1d-mlp", last=2.3, majority=None, constant=None)
    text = first_steps_page.first_steps_markdown([TRIED, lost])
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| `{SLUG}`", LEARNS],
        ["| `mnist1d-mlp`", OPEN],
    ]
    assert "2.3 2 1.8" in rows[0]
    assert "Not tried yet: `mnist1d-cnn`" in text.replace("`mnist1d-logistic`, ", "")


def test_the_file_knows_recipes_as_they_are() -> None:
    stale = [slug for slug in first_steps._entries() if first_steps.known(RECIPES[slug]) is None]
    assert not stale, "try them anew: python -m bench.plan.first_steps DIR"
