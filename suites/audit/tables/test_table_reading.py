"""Cells and tables as people print them: every notation, every form of file, and what is not understood."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.audit.tables import TableAudit
from bench.audit.tables.files import READERS
from bench.claims.cells import read_cell, read_figure

Audited = Callable[..., TableAudit]

FIGURES = {
    ".703": "0.703",
    "98.1%": "98.1",
    "98.1 %": "98.1",
    "98.1*": "98.1",
    "98.1†": "98.1",
    "−0.3": "-0.3",
    "–0.3": "-0.3",
    "1,014": "1014",
    "1 014": "1014",
    "1,234,567": "1234567",
    "46'837": "46837",
    "98,1": "98.1",
    "0,785": "0.785",
    "**63.36%**": "63.36",
    "__63.36__": "63.36",
    "*0.5*": "0.5",
    "_0.5_": "0.5",
    "`0.5`": "0.5",
    "~~0.5~~": "0.5",
    "[98.1](https://example.org/a_b(c))": "98.1",
    "98.1[^1]": "98.1",
    "98.1<sup>2</sup>": "98.1",
    "98.1²": "98.1",
    "98.1 [12]": "98.1",
    "<b>98.1</b>": "98.1",
    "98.1&nbsp;%": "98.1",
    "$98.1$": "98.1",
    "98.1 ↑": "98.1",
    "+1.2": "1.2",
    "98.1 \\%": "98.1",
    "98．1": "98.1",
    "٩٨": "98",
    "5.": "5",
}


@pytest.mark.parametrize("raw", FIGURES)
def test_a_printed_figure_is_read(raw: str) -> None:
    cell = read_cell(raw)
    assert cell.kind == "figure", cell
    assert cell.figure is not None
    assert cell.figure.value == read_figure(FIGURES[raw]).value  # type: ignore[union-attr]
    assert cell.percent == ("%" in raw)


@pytest.mark.parametrize(
    ("raw", "notation", "first", "second"),
    [
        ("98.25 ± 0.06", "±", "98.25", "0.06"),
        ("98.25±0.06%", "±", "98.25", "0.06"),
        ("98.25 +/- .06", "±", "98.25", ".06"),
        ("76.3<sub>±0.1</sub>", "±", "76.3", "0.1"),
        ("12.3 (0.4)", "()", "12.3", "0.4"),
        ("12.3 (± 0.4)", "()", "12.3", "0.4"),
        ("72.3 (+1.2)", "(+)", "72.3", "+1.2"),
        ("72.3 ↓1.2", "(+)", "72.3", "-1.2"),
        ("**99.10** _(+0.1)_", "(+)", "99.10", "+0.1"),
        ("98.1 [97.2, 98.9]", "[]", "98.1", "97.2"),
        ("88.9/84.8", "/", "88.9", "84.8"),
        ("175/200", "/", "175", "200"),
    ],
)
def test_two_figures_of_a_cell_are_told_apart(raw: str, notation: str, first: str, second: str) -> None:
    cell = read_cell(raw)
    assert (cell.notation, cell.figure and cell.figure.text, cell.second and cell.second.text) == (
        notation,
        first,
        second,
    )


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        *((raw, "none") for raw in ("", "-", "—", "n/a", "N.A.", "nan", "OOM", "/", "?", "✗", "...")),
        *((raw, "quantity") for raw in ("25.6M", "4.1 GFLOPs", "3e-4", "12 ms", "3x")),
        *((raw, "about") for raw in ("~98", ">99.0", "≥ 99", "about 5")),
        *((raw, "text") for raw in ("ResNet-50", "0.12.3", "12-15", "3 models", "9" * 50, "1.2.3.4 / 5")),
        ("88.9/84.8", "pair"),
        ("175/200", "count"),
    ],
)
def test_what_is_no_figure_is_not_taken_for_one(raw: str, kind: str) -> None:
    assert read_cell(raw).kind == kind


@given(st.integers(-(10**9), 10**9), st.integers(0, 8))
def test_every_decimal_is_read_exactly(digits: int, decimals: int) -> None:
    body = f"{abs(digits):0{decimals + 1}d}"
    text = ("-" if digits < 0 else "") + (f"{body[:-decimals]}.{body[-decimals:]}" if decimals else body)
    figure = read_cell(text).figure
    assert figure is not None
    assert (figure.digits, figure.decimals, figure.text) == (digits, decimals, text)


@given(st.text(max_size=40))
def test_any_text_is_read_as_something(text: str) -> None:
    assert read_cell(text).kind in ("figure", "quantity", "about", "pair", "count", "none", "text")


def test_a_comma_with_two_readings_is_not_understood(audited: Audited) -> None:
    audit = audited("| m | x |\n|---|---|\n| a | 98,15 |\n| b | 1,014 |\n")
    assert [(line, cell) for line, _, _, cell, _ in audit.unread] == [(4, "1,014")]
    assert "thousands or decimals" in audit.unread[0][4]


PIPE = "| model | a | b | Avg |\n|:--|--:|:-:|---|\n| x | 1.0 | 2.0 | 1.5 |\n"
FORMS = {
    "markdown": (".md", PIPE),
    "markdown without outer bars": (
        ".md",
        "model | a | b | Avg\n--- | --- | --- | ---\nx | 1.0 | 2.0 | 1.5\n",
    ),
    "after prose": (".md", "# Title\n\nSome words:\n" + PIPE + "\nMore words.\n"),
    "in a quote": (".md", "".join(f"> {line}\n" for line in PIPE.splitlines())),
    "in a list": (".md", "- item\n\n" + "".join(f"  {line}\n" for line in PIPE.splitlines())),
    "in a fence": (".md", "```\n" + PIPE + "```\n"),
    "html": (
        ".md",
        "<table><thead><tr><th>model<th>a<th>b<th>Avg</tr></thead><tr><td>x</td><td>1.0</td><td>2.0</td><td>1.5</td></tr></table>\n",
    ),
    "csv": (".csv", "model,a,b,Avg\nx,1.0,2.0,1.5\n"),
    "semicolons": (".csv", "model;a;b;Avg\nx;1.0;2.0;1.5\n"),
    "csv with quotes": (".csv", '# made by hand\nmodel,a,b,Avg\n"x","1.0","2.0","1.5"\n'),
    "tsv": (".tsv", "model\ta\tb\tAvg\nx\t1.0\t2.0\t1.5\n"),
    "latex": (
        ".tex",
        "\\begin{table}\\caption{T}\\begin{tabular}{l|ccc}\n\\toprule\nmodel & a & b & Avg "
        "\\\\ \\midrule\nx & 1.0 & 2.0 & \\textbf{1.5} \\\\\n\\bottomrule\n\\end{tabular}\\end{table}\n",
    ),
    "latex with two levels": (
        ".tex",
        "\\begin{tabular*}{\\textwidth}{@{}lccc@{}}\n & \\multicolumn{3}{c}{G} "
        "\\\\ \\cmidrule(lr){2-4}\nmodel & a & b & Avg \\\\ \\hline\n\\multirow{1}{*}{x} & $1.0$ & "
        "\\underline{2.0} & {\\bf 1.5} \\\\[2pt]\n\\end{tabular*}\n",
    ),
    "drawn": (
        ".log",
        "+-------+-----+-----+-----+\n| model |  a  |  b  | Avg |\n+-------+-----+-----+-----+\n|   x   | "
        "1.0 | 2.0 | 1.5 |\n+-------+-----+-----+-----+\n",
    ),
    "psql": (".txt", " model |  a  |  b  | Avg \n-------+-----+-----+-----\n x     | 1.0 | 2.0 | 1.5 \n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_table_is_read_alike(audited: Audited, form: str) -> None:
    ending, text = FORMS[form]
    audit = audited(text, ending)
    (table,) = audit.tables
    assert [name.rpartition(" / ")[2] for name in table.table.names] == ["model", "a", "b", "Avg"]
    assert [cell.text for cell in table.table.rows[0].cells] == ["x", "1.0", "2.0", "1.5"]
    line = text.splitlines()[table.table.rows[0].line - 1]
    assert "1.0" in line, "the line is that of the row"
    (mean,) = [f for f in audit.findings if f.check == "mean"]
    assert (mean.verdict, mean.line) == ("holds", table.table.rows[0].line)
    assert not audit.unread
    assert not audit.document.passed_over


def test_columns_in_blocks_are_put_below_each_other(audited: Audited) -> None:
    text = (
        "+----------+-----+----------+-----+\n| category | AP  | category | AP  "
        "|\n+----------+-----+----------+-----+\n"
        "| cat      | 0.1 | dog      | 0.3 |\n| cow      | 0.2 |          |     "
        "|\n+----------+-----+----------+-----+\n"
    )
    (read,) = audited(text, ".txt").tables
    assert [row.cells[0].text for row in read.table.rows] == ["cat", "cow", "dog"]


def test_a_console_table_and_its_summary(audited: Audited) -> None:
    """What mmsegmentation prints: classes, then their means in a table of their own."""
    classes = {"road": ("97.32", "98.41"), "wall": ("47.80", "60.12"), "sky": ("93.30", "97.77")}
    rule = "+-------+-------+-------+\n"
    text = "2026-01-01 - mmseg - INFO - per class results:\n" + rule + "| Class |  IoU  |  Acc  |\n" + rule
    text += "".join(f"| {name} | {iou} | {acc} |\n" for name, (iou, acc) in classes.items()) + rule
    text += (
        "2026-01-01 - mmseg - INFO - Summary:\n"
        + rule
        + "|  aAcc |  mIoU |  mAcc |\n"
        + rule
        + "| 96.03 | 79.47 | {} |\n"
        + rule
    )
    held = [f for f in audited(text.format("85.43"), ".log").findings if f.check == "mean"]
    assert [f.verdict for f in held] == ["holds", "holds"]
    wrong = [
        f
        for f in audited(text.format("84.43"), ".log").findings
        if f.check == "mean" and f.verdict == "against"
    ]
    assert [(f.strength, f.printed) for f in wrong] == [("strong", "84.43")]


def test_what_is_not_read_is_counted_and_named(audited: Audited) -> None:
    text = PIPE + "| y | 1.0 | 2.0 or so | 1.5 |\n| z | 1.0 | 2.0 | 1.5 | 7.0 |\n| w | 3 MB | ~2 | 1.5 |\n"
    audit = audited(text)
    assert [(line, row, column, cell) for line, row, column, cell, _ in audit.unread] == [
        (4, "y", "b", "2.0 or so")
    ]
    assert audit.document.passed_over == [(5, "cells beyond the 4 columns of the header: 1")]
    assert audit.asides == 2
    assert any(
        f.verdict == "not checked" and f.check == "mean" and "2 rows" in f.sentence for f in audit.findings
    )


def test_a_file_without_tables_says_so(audited: Audited) -> None:
    from bench.audit.tables import output

    text = "\n".join(output.lines(audited("Only words.\n"), 20, False))
    assert "nothing of this file was read as a table" in text


def test_an_unfinished_tabular_is_passed_over_and_said(audited: Audited) -> None:
    audit = audited("\\begin{tabular}{cc} a & b \\\\ 1 & 2", ".tex")
    assert audit.document.passed_over == [(1, "a tabular that does not end")]


@pytest.mark.parametrize("ending", READERS)
def test_an_empty_file_is_read(audited: Audited, ending: str) -> None:
    assert audited("", ending).tables == ()
