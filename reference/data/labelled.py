"""A folder of images and a CSV with their labels: ``train/*.jpg`` and ``train.csv``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reference.data.images import read_bytes
from reference.data.listing import Item, Report, composed, list_folder, natural_key, refuse, shown
from reference.errors import InputError

COLUMNS = ("id", "filename", "label")
FILE_NAME = re.compile(r"(?P<id>.+)\.jpg")
MAX_LABEL = 200


@dataclass(frozen=True)
class FileRow:
    """A line of the CSV, with its number for messages; names and label in composed form (NFC)."""

    line: int
    id: str
    filename: str
    label: str


def list_labelled(csv_path: Path, folder: Path, report: Report = refuse) -> list[tuple[Path, str]]:
    """List the folder's images in natural order with their labels; the CSV must have one row for each file.

    Names are compared in Unicode's composed form, so that "é" in the CSV is "é" on any file system.

    Args:
        report: gets every fault: a bad folder or CSV, a row without its file, a file without its row.
    """
    files = {composed(path.name): path for path, _ in list_folder(folder, FILE_NAME, "*.jpg", report)}
    rows = {row.filename: row for row in read_rows(csv_path, report)}
    if not rows:  # ``report`` already got a fault of the CSV
        return []
    for row in rows.values():
        if files and row.filename not in files:
            report(
                f"{shown(csv_path)}: line {row.line} lists {row.filename!r}, not found in {shown(folder)}; "
                "add the file or remove the row"
            )
    for name, path in files.items():
        if name not in rows:
            report(f"{shown(path)}: not in {shown(csv_path)}; add its row or remove the file")
    return [(path, rows[name].label) for name, path in files.items() if name in rows and rows[name].label]


def list_unlabelled(folder: Path, report: Report = refuse) -> list[Path]:
    """List the folder's images in natural order; ``report`` gets a fault of the folder."""
    return [path for path, _ in list_folder(folder, FILE_NAME, "*.jpg", report)]


def read_rows(path: Path, report: Report = refuse, columns: Sequence[str] = COLUMNS) -> list[FileRow]:
    """Read the columns ``id``, ``filename`` and ``label`` among others, with or without BOM and CRLF.

    Args:
        report: gets every fault: a file that is not CSV in UTF-8, a missing column, a field that is empty or
            unsafe, a repeated id or file. If it does not raise, a row with a bad label gets the label "", a
            row without a usable file name is left out, and of two rows for one file the first counts.
        columns: the required columns; without ``id`` the file's name is the id.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except (UnicodeDecodeError, csv.Error) as error:
        cause = shown(" ".join(str(error).split()))
        report(f"{shown(path)}: not CSV in UTF-8 ({cause}); save it as such")
        return []
    except InputError as error:
        report(str(error))
        return []
    if len(lines) < 2:
        report(f"{shown(path)}: no rows; expected {','.join(columns)} and a row per image")
        return []
    header = [field.strip() for field in lines[0][1]]
    wrong = [column for column in columns if header.count(column) != 1]
    if wrong:
        report(
            f"{shown(path)}: found columns {shown(','.join(header))}; expected {','.join(columns)}, "
            f"once each; fix column {wrong[0]!r}"
        )
        return []
    rows = [row for line, fields in lines[1:] if (row := _row(path, line, header, fields, report, columns))]
    _report_repeats(path, [(row.line, "id", row.id) for row in rows if row.id], report)
    _report_repeats(path, [(row.line, "filename", row.filename) for row in rows], report)
    return list({row.filename: row for row in reversed(rows)}.values())[::-1]


def _row(
    path: Path, line: int, header: list[str], fields: list[str], report: Report, columns: Sequence[str]
) -> FileRow | None:
    location = f"{shown(path)}: line {line}"
    if len(fields) != len(header):
        report(f"{location} has {len(fields)} fields; expected {len(header)}; fix the row")
        return None
    named = dict(zip(header, (composed(field.strip()) for field in fields), strict=True))
    for column in columns:
        if not named[column] or not named[column].isprintable():
            report(f"{location}: {column} is {named[column]!r}; expected printable text; fix the row")
            named[column] = ""
    if len(named["label"]) > MAX_LABEL:
        report(f"{location}: label of {len(named['label'])} characters; at most {MAX_LABEL}; fix the row")
        named["label"] = ""
    filename = named["filename"]
    if "/" in filename or "\\" in filename or filename in (".", ".."):
        report(f"{location}: filename {filename!r} is a path; expected the bare name of a file; fix the row")
        return None
    return FileRow(line, named.get("id", filename), filename, named["label"]) if filename else None


def _report_repeats(path: Path, fields: Iterable[tuple[int, str, str]], report: Report) -> None:
    first: dict[str, int] = {}
    for line, column, value in fields:
        if value in first:
            report(
                f"{shown(path)}: {column} {value!r} is on lines {first[value]} and {line}; "
                "expected it once; remove one row"
            )
        first.setdefault(value, line)


def label_items(
    train: list[tuple[Path, str]], val: list[tuple[Path, str]], report: Report = refuse
) -> tuple[tuple[Item, ...], tuple[Item, ...], tuple[str, ...]]:
    """Turn label names into indices: the classes are the training labels in natural order.

    Args:
        report: gets every validation image whose label no training image has.
    """
    classes = tuple(sorted({label for _, label in train}, key=natural_key))
    index = {label: i for i, label in enumerate(classes)}
    for path, label in val:
        if label not in index:
            report(
                f"{shown(path)}: no training image has its label {label!r}; expected one of their "
                f"{len(classes)} classes; fix the label or add training images"
            )

    def items(part: list[tuple[Path, str]]) -> tuple[Item, ...]:
        return tuple(
            Item(composed(path.stem), path, label=index[label]) for path, label in part if label in index
        )

    return items(train), items(val), classes
