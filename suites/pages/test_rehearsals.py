"""No verdict word stands beside what a rehearsal shows: the generated pages are searched for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_up import put

from bench.claims.ledger import load_ledgers
from bench.grading.verdict import GRADES
from bench.pages import build

LEDGERS = load_ledgers()

WORDS = sorted(set(GRADES) - {"not tested"}, key=len, reverse=True)
WORD = re.compile(rf"\b(?:{'|'.join(map(re.escape, WORDS))})\b")
ABOUT_RUNS = ("number", "ordering", "process", "timing", "figure", "explanation")
"""Kinds of claims that runs decide: with rehearsals alone, none of them has a verdict."""
BY_CODE = ("mnist1d-knn", "mnist1d-linear")
"""Numbers that need no training: code computes them, the same at every call."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three seeds of many recipes on drawn and on other images, some of which did not learn."""
    folder: Path = tmp_path_factory.mktemp("rehearsed")
    slugs = [
        "r1-seg-a", "r1-seg-b", "r2-seg-a", "r2-seg-b", "r2-seg-b-adam", "r3-seg-a", "r3-seg-b", "r4-seg-a",
        "r4-seg-b", "r4-classify", "r3-classify-a", "r3-classify-b",
        *(f"r{n}-finetune-{name}" for n in (1, 3, 5) for name in "abcde"),
    ]  # fmt: skip
    for position, slug in enumerate(slugs):
        for seed in range(3):
            value = 0.06 if position % 7 == 0 else 0.3 + 0.02 * position + 0.003 * seed
            put(folder, slug, value, seed=seed)
            put(folder, slug, value, seed=seed, source="stand-in", tier="full")
    return build.render(folder, LEDGERS)


def verdicts(page: str) -> dict[str, str]:
    """Claim → its cell under the head ``verdict``, of every table of a Markdown page that has one."""
    found: dict[str, str] = {}
    heads: list[str] = []
    for line in page.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if "verdict" in cells and "claim" in cells:
            heads = cells
        elif heads and len(cells) == len(heads) and cells[0].startswith("`"):
            found[cells[heads.index("claim")].strip("`")] = cells[heads.index("verdict")]
        elif not line.startswith("|"):
            heads = []
    return found


def test_no_claim_that_runs_decide_has_a_verdict_word(pages: dict[str, str]) -> None:
    of = {claim.id: claim for ledger in LEDGERS for claim in ledger.claims}
    searched = 0
    for name in ("claims.md", *(f"reports/r{n}.md" for n in range(1, 6))):
        for claim, cell in verdicts(pages[name]).items():
            if of[claim].kind in ABOUT_RUNS and claim not in BY_CODE:
                label = re.match(r"\*\*(.*?)\*\*", cell)
                assert label is not None
                assert label[1].startswith("not tested: "), (name, claim, cell)
                searched += 1
    assert searched > 250


def test_rehearsals_are_there_and_free_of_verdict_words(pages: dict[str, str]) -> None:
    lines = [
        part
        for name in ("findings.md", *(f"reports/r{n}.md" for n in range(1, 6)))
        for line in pages[name].splitlines()
        for part in line.split("<br>")
        if "rehears" in part.lower() and not part.startswith(("run decides", "that says", "seeds. Runs"))
    ]
    said = [line for line in lines if line.startswith(("rehearsed", "*Rehearsed*"))]
    assert len(said) > 60
    for line in said:
        assert not WORD.search(line), line


def test_boards_and_matrices_call_them_rehearsals(pages: dict[str, str]) -> None:
    board = [line for line in pages["LEADERBOARD.md"].splitlines() if "| measured |" in line]
    assert len(board) > 40
    for line in board:
        assert not WORD.search(line.rpartition("|")[0].rpartition("|")[2]), line
        assert re.search(r"\| (rehearsal|did not learn) \|$", line), line
        assert line.startswith("| `"), line  # no rank
    for line in pages["findings.md"].splitlines():
        if line.startswith("| **"):
            assert not WORD.search(line), line


def test_the_page_says_so_too(pages: dict[str, str]) -> None:
    html = pages["index.html"]
    of = {claim.id: claim for ledger in LEDGERS for claim in ledger.claims}
    asked = re.findall(
        r'<details class="claim" id="([^"]+)"[^>]*>\s*<summary>.*?<span class="grade [^"]*">([^<]*)</span>',
        html,
    )
    assert len(asked) == len(of)
    rows = re.findall(
        r'<th role="rowheader" scope="row"><a href="#([^"]+)">.*?<span class="grade [^"]*">([^<]*)</span>',
        html,
        re.S,
    )
    assert len(rows) > 200
    asked += rows
    for claim, label in asked:
        by_code = of[claim].kind not in ABOUT_RUNS or claim in BY_CODE
        assert by_code or label.startswith("not tested: "), claim
    assert re.search(rf"\b{len(BY_CODE)} of \d+ printed results are tested", html)
    for mark in re.findall(r'<div role="row" class="m-(\S+)">', html):
        assert mark == "printed"  # no rehearsal on an axis with the printed value
    assert not re.search(r'<circle class="seed"', html)


def test_every_tracked_page_keeps_rehearsals_free_of_verdict_words(pytestconfig: pytest.Config) -> None:
    """All pages of ``results/``, a cell, a line of a cell or an element at a time."""
    spoken_of = []
    for path in sorted((pytestconfig.rootpath / "results").rglob("*")):
        if path.suffix not in (".md", ".html"):
            continue
        text = path.read_text(encoding="utf-8")
        parts = re.split(r"<br>|(?<!\\)\||\n|<[^>]*>", text)
        spoken_of += [(path.name, part) for part in parts if "rehears" in part.lower()]
    names = {name for name, _ in spoken_of}
    assert names >= {"index.html", "LEADERBOARD.md", "findings.md", "r4.md"}
    assert len(spoken_of) > 300
    assert not [(name, part) for name, part in spoken_of if WORD.search(part)]
