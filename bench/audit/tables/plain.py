"""Tables of plain text: classification reports, class logs, tables drawn with characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.audit.tables.layout import Document, Sentence

_REPORT = re.compile(r"\s*precision\s+recall\s+f1-score(\s+support)?\s*")
_REPORT_ROW = re.compile(
    r"\s*(\S.*?)\s{1,}(\d*\.\d+|nan)\s+(\d*\.\d+|nan)\s+(\d*\.\d+|nan)(?:\s+(\d+(?:\.\d+)?))?\s*"
)
_ACCURACY_ROW = re.compile(r"\s*(accuracy)\s+(\d*\.\d+)(?:\s+(\d+(?:\.\d+)?))?\s*")
_CLASS = re.compile(
    r"\s*(?:IoU|Dice|AP|accuracy|acc)?\s*(?:of\s+"
    r"|for\s+)?(class\s*#?\s*[\w-]{1,40}(?:\s*\([^()]{0,40}\))?)\s*[:=]\s*"
    r"([+-]?(?:\d+\.?\d*|\.\d+)\s*%?)\s*",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"\s*(?P<name>[A-Za-z][\w@.#%/() -]{0,60}?)\s*[:=]\s*(?P<value>[+-]?(?:\d+\.?\d*"
    r"|\.\d+)(?:\s*%)?(?:\s*±\s*\d*\.?\d+)?)\s*"
)
_DRAWN = re.compile(r"\s*\+[-=+]+\+?\s*")
_PSQL_RULE = re.compile(r"\s*-[-+|]*-\s*")


def read_plain(text: str) -> Document:
    """Everything that this module reads in a text, and its sentences."""
    document = Document()
    read_lines(document, text.split("\n"), 1, prose=True)
    return document


def read_lines(document: Document, lines: Sequence[str], first: int, *, prose: bool) -> None:
    """Read lines of a text, of which the first has the number ``first``."""
    from bench.audit.tables import markup

    line_number, begun = 0, 0

    def flush(end: int) -> None:
        if prose and begun < end:
            document.sentences.extend(_sentences(lines[begun:end], first + begun, document.section))

    while line_number < len(lines):
        line = lines[line_number]
        end = line_number
        if "precision" in line and _REPORT.fullmatch(line[:200]):
            end = _classification_report(document, lines, line_number, first)
        elif line.lstrip().startswith("+") and _DRAWN.fullmatch(line):
            end = _drawn(document, lines, line_number, first)
        elif ("|" in line and line_number + 1 < len(lines) and markup.is_rule(lines[line_number + 1])) or (
            "|" in line
            and line_number + 1 < len(lines)
            and "+" in lines[line_number + 1]
            and _PSQL_RULE.fullmatch(lines[line_number + 1])
        ):
            end = _piped(document, lines, line_number, first)
        elif ":" in line or "=" in line:
            end = _listed_values(document, lines, line_number, first)
        if end > line_number:
            flush(line_number)
            line_number = begun = end
        else:
            line_number += 1
    flush(len(lines))


def _sentences(lines: Sequence[str], first: int, section: int) -> list[Sentence]:
    from bench.audit.tables import markup

    sentences: list[Sentence] = []
    start = 0
    for index in range(len(lines) + 1):
        if index == len(lines) or not lines[index].strip():
            if start < index:
                sentences += markup.sentences(lines[start:index], first + start, section)
            start = index + 1
    return sentences


def _classification_report(document: Document, lines: Sequence[str], line_number: int, first: int) -> int:
    """A table whose columns the format names. Its rows end at the first line of another shape."""
    rows: list[tuple[int, list[str]]] = []
    decimals = set()
    end = line_number + 1
    while end < len(lines):
        line = lines[end][:400]
        if not line.strip():
            end += 1
            continue
        if match := _ACCURACY_ROW.fullmatch(line):
            rows.append((first + end, ["accuracy", "", "", match[2], match[3] or ""]))
            decimals.add(len(match[2].partition(".")[2]))
        elif match := _REPORT_ROW.fullmatch(line):
            rows.append((first + end, [match[1], match[2], match[3], match[4], match[5] or ""]))
            decimals |= {len(match[i].partition(".")[2]) for i in (2, 3, 4) if match[i] != "nan"}
        else:
            break
        end += 1
    if not rows:
        return line_number
    document.add(
        "classification report",
        first + line_number,
        ("class", "precision", "recall", "f1-score", "support"),
        rows,
        as_printed=len(decimals) == 1,  # scikit-learn prints all with as many digits
    )
    return end


def _drawn(document: Document, lines: Sequence[str], line_number: int, first: int) -> int:
    """``+---+`` rules with ``| a | b |`` between them."""
    from bench.audit.tables import markup

    header: list[list[str]] = []
    rows: list[tuple[int, list[str]]] = []
    rules, end = 0, line_number
    while end < len(lines):
        if _DRAWN.fullmatch(lines[end]):
            rules += 1
        elif lines[end].lstrip().startswith("|"):
            cells = markup.split_row(lines[end])
            if rules <= 1 and not rows:
                header.append(cells)
            else:
                rows.append((first + end, cells))
        else:
            break
        end += 1
    if header and not rows and len(header) > 1:
        header, rows = (
            header[:1],
            [(first + line_number + 2 + i, cells) for i, cells in enumerate(header[1:])],
        )
    title = lines[line_number - 1].strip() if line_number and len(lines[line_number - 1]) < 200 else ""
    if header and rows:
        document.add("console", first + line_number, markup.joined_names(header), rows, title=title)
    else:
        document.passed_over.append((first + line_number, "a drawn table without header and rows"))
    return end


def _piped(document: Document, lines: Sequence[str], line_number: int, first: int) -> int:
    from bench.audit.tables import markup

    end = line_number + 2
    rows = []
    while end < len(lines) and "|" in lines[end]:
        rows.append((first + end, markup.split_row(lines[end])))
        end += 1
    if rows:
        document.add("markdown", first + line_number, markup.split_row(lines[line_number]), rows)
    return end


def _listed_values(document: Document, lines: Sequence[str], line_number: int, first: int) -> int:
    """``class #0 : 0.75`` lines and the means below them; or at least two ``name: value`` lines in a row."""
    rows: list[tuple[int, list[str]]] = []
    classes = 0
    end, blank = line_number, 0
    ended_by_mean = False
    while end < len(lines) and blank < 2:
        line = lines[end][:200]
        if not line.strip():
            blank += 1
        elif match := _CLASS.fullmatch(line):
            if ended_by_mean:
                break
            classes += 1
            blank = 0
            rows.append((first + end, [match[1], match[2]]))
        elif match := _VALUE.fullmatch(line):
            ended_by_mean = classes > 0
            blank = 0
            rows.append((first + end, [match["name"], match["value"]]))
        else:
            break
        end += 1
    if classes >= 2 or (classes == 0 and len(rows) >= 2):
        document.add("class log", first + line_number, ("name", "value"), rows)
        return end - blank
    return line_number
