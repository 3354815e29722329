"""CSV and TSV files, by the standard library's parser."""

from __future__ import annotations

import csv
import io
import re

from bench.audit.tables.layout import Document

MOST_CELLS = 400_000
"""Cells of a file that are read; the rows that follow are counted and said."""

_NUMBER = re.compile(r"\s*[+-]?[\d.,]+\s*%?\s*")


LONGEST_FIELD = 1 << 20
"""Characters of the longest field that is read."""


def read_delimited(text: str) -> Document:
    """The one table of a CSV or TSV file. Lines before the header that begin with ``#`` are sentences."""
    before = csv.field_size_limit(LONGEST_FIELD)  # one limit for the whole process: others rely on theirs
    try:
        return _read(text)
    finally:
        csv.field_size_limit(before)


def _read(text: str) -> Document:
    document = Document()
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    names: list[str] | None = None
    start, cells = 1, 0
    rows: list[tuple[int, list[str]]] = []
    while True:
        line = reader.line_num + 1
        try:
            raw = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            document.passed_over.append((line, f"a row that is no CSV ({error})"))
            continue
        if not raw or not any(field.strip() for field in raw):
            continue
        if names is None:
            if raw[0].startswith("#") and len(raw) == 1:
                continue
            start = line
            if all(_NUMBER.fullmatch(field) for field in raw if field.strip()):
                names = [f"column {i}" for i in range(1, len(raw) + 1)]
                rows.append((line, raw))
            else:
                names = raw
            continue
        rows.append((line, raw))
        cells += len(raw)
        if cells > MOST_CELLS:
            left = text.count("\n") + (not text.endswith("\n")) - reader.line_num
            if left > 0:
                document.passed_over.append(
                    (line + 1, f"{left:,} lines after the first {MOST_CELLS:,} cells")
                )
            break
    if names is not None:
        _add(document, start, names, rows)
    return document


def _add(document: Document, line: int, names: list[str], rows: list[tuple[int, list[str]]]) -> None:
    if rows:
        document.add("delimited", line, names, rows)
    else:
        document.passed_over.append((line, "a header without rows"))


def _delimiter(text: str) -> str:
    """The separator that splits the first lines into most fields of equal number."""
    lines = [line for line in text[:20_000].split("\n")[:20] if line.strip() and not line.startswith("#")]
    if not lines:
        return ","
    counts = {sign: [line.count(sign) for line in lines] for sign in (",", "\t", ";", "|")}

    def merit(sign: str) -> tuple[int, int]:
        present = [count for count in counts[sign] if count]
        steady = sum(count == counts[sign][0] for count in counts[sign]) if counts[sign][0] else 0
        return steady, max(present, default=0)

    return max((",", "\t", ";", "|"), key=merit)
