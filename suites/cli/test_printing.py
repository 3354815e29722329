"""What the commands print: every digit, one line a row in a pipe, whole names on a narrow terminal."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.grade_lines import brief_lines
from bench.cli.options import Format, readable
from bench.cli.printing import GAP, plain_table, print_rows, table_that_fits
from bench.grading.verdict import GRADES

ROWS: list[dict[str, object]] = [
    {"claim": "r4-classify", "value": "0.785600", "text": "It reaches 0.785600 | on the validation split"},
    {"claim": "r1-order-full-400", "value": "26.0", "text": "two\nlines"},
    {"claim": "r2", "value": None, "text": ["a", "b"]},
]


@pytest.mark.parametrize("output", list(Format))
def test_every_digit_is_printed(output: Format, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, output)
    printed = capsys.readouterr().out
    assert "0.785600" in printed
    assert "26.0" in printed


def test_a_pipe_gets_one_line_a_row_and_no_rich(capsys: pytest.CaptureFixture[str]) -> None:
    long = [row | {"text": "word " * 200} for row in ROWS]
    print_rows(long, Format.table)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(long)


def test_markdown_keeps_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, Format.markdown)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert {line.replace("\\|", "").count("|") for line in lines} == {4}


def test_json_keeps_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, Format.json)
    assert json.loads(capsys.readouterr().out) == ROWS


def test_a_terminal_says_which_columns_have_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    print_rows(ROWS, Format.table)
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split() == ["claim", "value"]
    assert printed.err == "no room for text: widen the terminal, or use --format json\n"


words = st.text("abc-9", min_size=1, max_size=9)
texts = st.lists(words, max_size=6).map(" ".join)


@given(st.lists(st.tuples(words, texts, texts), min_size=1, max_size=5), st.integers(1, 60))
def test_no_word_is_broken_and_no_line_too_long(cells: list[tuple[str, str, str]], columns: int) -> None:
    heads = ("slug", "what", "why")
    lines, dropped = table_that_fits(heads, cells, columns)
    shown = heads[: len(heads) - len(dropped)]
    assert list(shown) + dropped == list(heads)
    first = max(map(len, ["slug", *(row[0] for row in cells)]))
    assert max(map(len, lines)) <= max(columns, first)
    printed = sorted(word for line in lines for word in line.split())
    assert printed == sorted(
        word for row in (heads, *cells) for cell in row[: len(shown)] for word in cell.split()
    )
    if len(shown) < len(heads):  # one column more, at its narrowest, is too wide
        least = [max(len(word) for cell in (head, *column) for word in cell.split())
                 for head, *column in zip(heads, *cells, strict=True)]  # fmt: skip
        assert sum(least[: len(shown) + 1]) + len(GAP) * len(shown) > columns


def test_columns_are_aligned() -> None:
    assert plain_table(("a", "bb"), [("ccc", "d"), ("e", "")]) == ["a    bb", "ccc  d", "e"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Invalid value for 'what': Value error, 'recipe' is not one of 'recipes', 'runs'.",
            "Invalid value for 'what': 'recipe' is not one of 'recipes', 'runs'; did you mean 'recipes'?",
        ),
        ("Value error, 'zzz' is not one of 'recipes', 'runs'.", "'zzz' is not one of 'recipes', 'runs'."),
        ("No such command 'lst'.", "No such command 'lst'."),
    ],
)
def test_a_refusal_names_the_nearest_choice_and_no_library(message: str, words: str) -> None:
    assert readable(message) == words


@pytest.mark.parametrize("colour", [False, True])
def test_every_verdict_has_a_line(colour: bool) -> None:
    """Also one on public originals, and one with the reason behind a colon."""
    verdicts = [*GRADES, "not tested: data"]
    rows = [
        {"claim": f"r9-{i}", "printed": "0.5", "verdict": verdict, "measured": None, "flags": ()}
        for i, verdict in enumerate(verdicts)
    ]
    *lines, count = brief_lines(rows, colour=colour)
    assert all(verdict in line for verdict, line in zip(verdicts, lines, strict=True))
    assert count.startswith(f"{len(verdicts)} claims: ")
