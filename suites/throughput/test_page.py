"""Ten thousand records: read, ranked and written as a page's leaderboard; and filtered there, in Chromium."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.grading import others_survey
from bench.grading.groups import Runs
from bench.pages import html_page, leaderboard
from bench.runs import records

RESULTS = Path(__file__).parents[2] / "results"
SEEDS = 3


@pytest.fixture(scope="module")
def many(measuring: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the published runs, three seeds of each under a deviation of its own: groups of three."""
    folder = tmp_path_factory.mktemp("many")
    graded = [r for r in Runs(records.read_all(RESULTS)).latest if r.status == "ok" and r.deviations]
    alone = [
        r for r in graded if not r.initial_weights["from"].startswith("run:")
    ]  # their start would be lost
    ranked = [r for r in alone if r.data["role"] in leaderboard.TASKS]
    for position in range(10_000 if measuring else 300):
        group, seed = divmod(position, SEEDS)
        like = ranked[group % len(ranked)]
        first, *others = like.deviations
        own = [first | {"used": f"{first['used']} ({group})"}, *others]
        run_id = hashlib.sha256(str(position).encode()).hexdigest()[:16]
        record = dataclasses.replace(like, run_id=run_id, attempt=1, seed=seed, deviations=own, figures=[])
        path = records.path_of(folder, record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(records.dumps(record), encoding="utf-8")
    return folder


def _built(folder: Path) -> str:
    """The leaderboard from the records' files, as Markdown and as a page."""
    with records.no_collection():  # as in tables.render
        runs = Runs(records.read_all(folder))
        boards = leaderboard.boards([], runs, folder)
        leaderboard.leaderboard_page(boards)
        return html_page.build_html([], [], runs, [], boards, "", others_survey.gather([]), folder)


def test_leaderboard_of_many_records(
    many: Path, note: Callable[..., None], seconds_alone: Callable[..., list[float]]
) -> None:
    count = len(list(records.paths(many)))
    assert _built(many).count("<tr data-grade") == -(-count // SEEDS)
    seconds = seconds_alone(_built, lambda: many)
    note(f"leaderboard of {count:,} records", "ours", unit="records/s", items=count, seconds=seconds)


@pytest.mark.parametrize("work", ["filter", "sort"])
def test_the_leaderboard_in_chromium(
    work: str, many: Path, chromium: Any, rounds: int, note: Callable[..., None]
) -> None:
    """From the choice to the next picture on the screen, of all groups of the many records."""
    (many / "index.html").write_text(_built(many), encoding="utf-8")
    tab = chromium.new_page()
    tab.goto((many / "index.html").as_uri())
    tab.evaluate("document.getElementById('rehearsals').open = true")
    entries = tab.locator("tr[data-grade]").count()
    sources = ["synthetic", "stand-in"] * (rounds + 1)
    seconds = [tab.evaluate(_TIMED, [work, source]) / 1000 for source in sources[: rounds + 1]]
    shown = tab.locator("tr[data-grade]:visible").count()
    tab.close()
    assert 0 < shown < entries
    note(
        f"{work} {entries:,} entries in Chromium",
        "ours",
        unit="entries/s",
        items=entries,
        seconds=seconds[1:],
    )


_TIMED = """async ([work, source]) => {
  const begun = performance.now();
  if (work === "filter") {
    const select = document.querySelector("select[name=source]");
    select.value = source;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    document.querySelector("table[data-board] thead th:nth-child(2) button").click();
  }
  document.body.getBoundingClientRect();
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - begun;
}"""
