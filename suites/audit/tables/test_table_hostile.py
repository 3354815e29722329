"""Hostile files: no traceback, no hang. Random tables of every form, bombs, and files that are too large."""

from __future__ import annotations

import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from bench.audit.tables import Options, TableAudit, audit_document, audit_file, delimited, output
from bench.audit.tables.delimited import MOST_CELLS
from bench.audit.tables.files import MOST_BYTES, READERS
from reference.errors import InputError

Audited = Callable[..., TableAudit]

SECONDS = 60
"""A file that takes longer hangs: files of this suite take milliseconds, the largest a few seconds."""

CELLS = (
    "0.5",
    "98.1%",
    "**63.36**",
    "−0.3",
    "1,014",
    "98.25 ± 0.06",
    "72.3 (+1.2)",
    "88.9/84.8",
    "175/200",
    "n/a",
    "-",
    "",
    "~98",
    ">99",
    "25.6M",
    "1e309",
    "9" * 60,
    "0." + "3" * 40,
    "nan",
    "inf",
    "-0",
    "1e-5",
    "98,1",
    "[98.1](x)",
    "½",
    "٣",
    "98.1²",
    "<b>5</b>",
    "<td>",
    "|",
    "&",
    "\\\\",
    "\\textbf{5}",
    "{",
    "}",
    "$5$",
    "`",
    "***",
    "\x00",
    "\u202e5",
    "0.1 [0.0, 0.2]",
    "mean",
    "Avg",
    "mIoU",
    "total",
    "accuracy",
    "macro avg",
    "precision",
    "recall",
    "f1-score",
    "support",
    "n",
    "min",
    "max",
    "std",
    "top-1",
    "top-5",
    "h",
    "share (%)",
    "class #1",
    "5 ± 0",
    "0 ± 0",
    "100",
    "101",
    "-100",
    "1.0",
    "0",
    "00",
    "±",
    "(",
    "5 (",
)
SEPARATORS = {
    ".md": " | ",
    ".csv": ",",
    ".tsv": "\t",
    ".tex": " & ",
    ".txt": "   ",
    ".log": " : ",
    ".html": "</td><td>",
}
LINES = (
    "|---|---|---|",
    "+----+----+",
    "\\hline",
    "\\begin{tabular}{lcc}",
    "\\end{tabular}",
    "precision recall f1-score support",
    "class #0 : 0.5",
    "mean_iou: 0.5",
    "```",
    "<table><tr>",
    "</tr></table>",
    "# 5000 images, 3 runs",
    "A improves over B by 5 points.",
    "accuracy   0.5  100",
    "It rises from 5.0 to 7.0 by 3 points.",
    "    a 0.5 0.5 0.5 10",
    "> | a | b |",
    "- | a |",
    '"',
    "'",
    "\\multicolumn{9}{c}{5} &",
)


@contextmanager
def no_hang(seconds: int = SECONDS) -> Iterator[None]:
    """Raises TimeoutError where the block takes longer than any honest work."""

    def stop(*_: object) -> None:
        raise TimeoutError("the audit hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def hostile(draw: random.Random) -> tuple[str, str]:
    """A table of hostile cells and lines, and the ending of its file."""
    ending = draw.choice(list(SEPARATORS))
    separator = SEPARATORS[ending]
    if draw.random() < 0.2:
        separator = draw.choice(list(SEPARATORS.values()))
    width = draw.choice((1, 2, 3, 3, 5, 8, 13))
    pool = draw.choices(CELLS, k=8) if draw.random() < 0.5 else list(CELLS)
    numbers = draw.random() < 0.6
    lines = []
    for row in range(draw.randrange(1, 9)):
        cells = [
            f"{draw.uniform(0, 100):.{draw.randrange(4)}f}"
            if numbers and row and draw.random() < 0.8
            else draw.choice(pool)
            for _ in range(max(1, width + (draw.randrange(-1, 2) if draw.random() < 0.1 else 0)))
        ]
        line = separator.join(cells)
        if ending == ".md":
            line = f"| {line} |"
        elif ending == ".tex":
            line += " \\\\"
        elif ending == ".html":
            line = f"<tr><td>{line}</td></tr>"
        lines.append(line)
        if row == 0 and ending == ".md":
            lines.append("|" + "---|" * width)
    for _ in range(draw.choice((0, 0, 1, 3))):
        lines.insert(draw.randrange(len(lines) + 1), draw.choice(LINES))
    if ending == ".tex":
        lines = ["\\begin{tabular}{" + "c" * width + "}", *lines, "\\end{tabular}"]
    if ending == ".html":
        lines = ["<table>", *lines, "</table>"]
    text = "\n".join(lines)
    for _ in range(draw.choice((0, 0, 2, 10))):
        at = draw.randrange(len(text) + 1)
        text = (
            text[:at]
            + draw.choice(("", "|", "&", "{", "}", "\\", "\n", '"', "%", "<", "\t", "é", "\ud7ff"))
            + text[at + draw.randrange(3) :]
        )
    return text, ending


def survives(text: str, ending: str, options: Options) -> None:
    """Every form of output of a text's audit, without an exception."""
    audit = audit_document(f"paper{ending}", READERS[ending](text), options)
    output.lines(audit, 20, True)
    output.as_json([audit])
    output.sarif([audit])
    output.github(audit, "strong")
    output.markdown(audit, 3, True)


def run_hostile(seed: int, tables: int) -> None:
    draw = random.Random(seed)
    for number in range(tables):
        text, ending = hostile(draw)
        options = Options(
            n=draw.choice((None, 1, 7, 100)),
            runs=draw.choice((None, 1, 3)),
            unit=draw.choice(("", "percent", "fraction")),
        )
        try:
            survives(text, ending, options)
        except Exception as error:
            raise AssertionError(
                f"seed {seed}, table {number} ({ending}): {error!r}\n{text!r}\n{options}"
            ) from error


def test_random_hostile_tables_raise_nothing() -> None:
    with no_hang():
        run_hostile(seed=0, tables=500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 101))
def test_a_hundred_thousand_hostile_tables_raise_nothing(seed: int) -> None:
    with no_hang(600):
        run_hostile(seed, tables=1000)


MACROS = "\\def\\a{5}" + "".join(
    f"\\def\\{one}" + "{" + f"\\{other}" * 10 + "}" for other, one in pairwise("abcdefghijklmnopqrst")
)
"""Nineteen macros, each ten times the one before it."""

BOMBS = {
    "nested macros": (".tex", MACROS + "\\begin{tabular}{c}a\\\\ \\hline \\t \\\\ \\end{tabular}"),
    "deep braces": (
        ".tex",
        "\\begin{tabular}{cc}\na & b \\\\ \\hline\n"
        + "{" * 200_000
        + "5"
        + "}" * 200_000
        + " & 6 \\\\\n\\end{tabular}",
    ),
    "open braces": (".tex", "\\begin{tabular}{" + "{" * 300_000),
    "wide multicolumn": (
        ".tex",
        "\\begin{tabular}{cc}\na & b \\\\ \\hline\n"
        + "\\multicolumn{99999}{c}{5} & " * 500
        + "5 \\\\\n\\end{tabular}",
    ),
    "tabulars that do not end": (".tex", "\\begin{tabular}{c} a \\\\ 5 " * 100_000),
    "tabulars in tabulars": (
        ".tex",
        "\\begin{tabular}{c} a \\\\ " * 20_000 + "5" + "\\end{tabular}" * 20_000,
    ),
    "backslashes": (".tex", "\\" * 1_000_000),
    "comments": (".tex", "%\n" * 500_000),
    "captions": (".tex", "\\caption{" * 100_000 + "\\begin{tabular}{c} a \\\\ \\hline 5 \\end{tabular}"),
    "quotes": (".md", ">" * 200_000 + " a"),
    "lists": (".md", "- " * 50_000 + "a"),
    "brackets": (".md", "| " + "[" * 100_000 + " |\n|---|\n| " + "[](" * 50_000 + " |"),
    "links in prose": (".md", "A gain of 5 points " + "[a](" * 100_000),
    "columns": (".md", "|" + "a|" * 20_000 + "\n|" + "-|" * 20_000 + "\n|" + "5|" * 20_000),
    "rules": (".md", "a|b\n-|-\n" * 10_000),
    "emphasis": (".md", "| a |\n|---|\n| " + "*" * 280 + "5" + "*" * 280 + " |"),
    "html rows": (".html", "<table>" + "<tr><td rowspan=9999 colspan=9999>5" * 500),
    "html tags": (".html", "<" * 500_000 + "<table>"),
    "html entities": (".md", "| a |\n|---|\n| " + "&#x5;" * 50 + " |"),
    "quoted field": (".csv", 'a,b\n"' + "5,6\n" * 200_000),
    "columns of a CSV": (".csv", ",".join(map(str, range(10_000))) + "\n" + ",".join(["5.5"] * 10_000)),
    "report lines": (".txt", "precision recall f1-score support\n" + "a " * 200 + "\n" + "0.5 " * 100_000),
    "report of large classes": (
        ".txt",
        "  precision recall f1-score support\n"
        + "a 0.50 0.50 0.50 999999999\n" * 200
        + "accuracy 0.50 199999999800\n",
    ),
    "log": (".log", "class #0 : 0.5\n" * 20_000 + "mean_iou: 0.5\n"),
    "drawn": (".txt", "+--+\n| a |\n" * 50_000),
    "values": (".txt", "a" * 60 + ": 0.5\n" + ("b c " * 40 + ":\n") * 20_000),
    "sentences": (
        ".md",
        "A improves B by 5 points. " * 10_000
        + "\n\n| m | x |\n|---|---|\n"
        + "".join(f"| A{i} | {i}.5 |\n" for i in range(400)),
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_or_passed_over(name: str) -> None:
    ending, text = BOMBS[name]
    with no_hang():
        survives(text, ending, Options(n=100, runs=3))


@pytest.mark.slow
def test_a_csv_of_fifty_megabytes_is_read_in_part_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    row = "image_{},0.123,0.456,0.789,cat\n"
    path.write_text(
        "file,p1,p2,p3,label\n" + "".join(row.format(i) for i in range(1_500_000)), encoding="utf-8"
    )
    assert path.stat().st_size > 50_000_000
    with no_hang(300):
        audit = audit_file(path)
    rows = len(audit.tables[0].table.rows)
    assert rows == MOST_CELLS // 5 + 1
    ((line, why),) = audit.document.passed_over
    assert line == rows + 2
    assert f"{1_500_000 - rows:,} lines" in why
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6_000_000, "kilobytes"


def test_rows_behind_the_limit_of_cells_are_counted(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "MOST_CELLS", 30)
    audit = audited("a,b,c\n" + "x,0.5,0.6\n" * 100, ".csv")
    assert len(audit.tables[0].table.rows) == 11
    assert audit.document.passed_over == [(13, "89 lines after the first 30 cells")]


def test_what_lies_behind_the_limit_of_bytes_is_said(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.write(b"class #0 : 0.5\nclass #1 : 0.7\nmean_iou: 0.6\n")
        file.truncate(MOST_BYTES + 10)
    with pytest.raises(InputError, match="is no text"):
        audit_file(path)
    path.write_text(
        "class #0 : 0.5\nclass #1 : 0.7\nmean_iou: 0.6\n" + "# nothing\n" * 900_000, encoding="utf-8"
    )
    audit = audit_file(path)
    assert any("what follows the first 8 Mi characters" in why for _, why in audit.document.passed_over)
    assert [f.verdict for f in audit.findings if f.check == "mean"] == ["holds"]


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\n", b"PK\x03\x04", b"\x89PNG\r\n", b"\0" * 100], ids=["pdf", "zip", "png", "zeros"]
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "paper.md"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no text"):
        audit_file(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "paper.csv"
    path.write_bytes("größe,a,b,mean\nx,1.0,2.0,1.5\n".encode(encoding))
    audit = audit_file(path)
    assert audit.tables[0].table.names[0] == "größe"


def test_a_folder_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    for name, message in (("a.md", "cannot be read"), ("b.md", "no such file"), ("c.docx", "valid endings")):
        with pytest.raises(InputError, match=message):
            audit_file(tmp_path / name)
