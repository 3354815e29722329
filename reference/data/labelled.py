"""A folder of images with a CSV beside it that labels them: ``train/*.jpg`` and ``train.csv``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reference.data.images import read_bytes
from reference.data.listing import Item, list_folder, natural_key, shown
from reference.errors import InputError

COLUMNS = ("id", "filename", "label")
FILE_NAME = re.compile(r"(?P<id>.+)\.jpg")
MAX_LABEL = 200


@dataclass(frozen=True)
class Row:
    """A line of the CSV, with its number for messages."""

    line: int
    id: str
    filename: str
    label: str


def list_labelled(csv_path: Path, folder: Path) -> list[tuple[Path, str]]:
    """The folder's images in natural order with their labels, one row for each file and no other.

    Raises:
        InputError: a bad folder or CSV, a row without its file, a file without its row.
    """
    files = [path for path, _ in list_folder(folder, FILE_NAME, "*.jpg")]
    rows = {row.filename: row for row in read_rows(csv_path)}
    names = {path.name for path in files}
    for row in rows.values():
        if row.filename not in names:
            raise InputError(
                f"{shown(csv_path)}: line {row.line} lists {row.filename!r}, not found in {shown(folder)}; "
                "add the file or remove the row"
            )
    for path in files:
        if path.name not in rows:
            raise InputError(f"{shown(path)}: not in {shown(csv_path)}; add its row or remove the file")
    return [(path, rows[path.name].label) for path in files]


def list_unlabelled(folder: Path) -> list[Path]:
    """The folder's images in natural order.

    Raises:
        InputError: a bad folder.
    """
    return [path for path, _ in list_folder(folder, FILE_NAME, "*.jpg")]


def read_rows(path: Path) -> list[Row]:
    """Read ``id,filename,label`` in any order, among other columns, with or without BOM and CRLF.

    Raises:
        InputError: not UTF-8 CSV, a column missing, a field empty or unsafe, an id or file given twice.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, fields) for fields in reader if fields]
    except (UnicodeDecodeError, csv.Error) as error:
        cause = shown(" ".join(str(error).split()))
        raise InputError(f"{shown(path)}: not CSV in UTF-8 ({cause}); save it as such") from None
    if len(lines) < 2:
        raise InputError(f"{shown(path)}: no rows; expected {','.join(COLUMNS)} and a row per image")
    header = [field.strip() for field in lines[0][1]]
    for column in COLUMNS:
        if header.count(column) != 1:
            raise InputError(
                f"{shown(path)}: found columns {shown(','.join(header))}; expected {','.join(COLUMNS)}, "
                f"once each; mend column {column!r}"
            )
    rows = [_row(path, line, header, fields) for line, fields in lines[1:]]
    _refuse_repeats(path, [(row.line, "id", row.id) for row in rows])
    _refuse_repeats(path, [(row.line, "filename", row.filename) for row in rows])
    return rows


def _row(path: Path, line: int, header: list[str], fields: list[str]) -> Row:
    where = f"{shown(path)}: line {line}"
    if len(fields) != len(header):
        raise InputError(f"{where} has {len(fields)} fields; expected {len(header)}; mend the row")
    named = dict(zip(header, (field.strip() for field in fields), strict=True))
    row = Row(line, *(named[column] for column in COLUMNS))
    for column in COLUMNS:
        if not named[column] or not named[column].isprintable():
            raise InputError(f"{where}: {column} is {named[column]!r}; expected printable text; mend the row")
    if len(row.label) > MAX_LABEL:
        raise InputError(f"{where}: label of {len(row.label)} characters; at most {MAX_LABEL}; mend the row")
    if "/" in row.filename or "\\" in row.filename or row.filename in (".", ".."):
        raise InputError(
            f"{where}: filename {row.filename!r} is a path; expected the bare name of a file; mend the row"
        )
    return row


def _refuse_repeats(path: Path, fields: Iterable[tuple[int, str, str]]) -> None:
    first: dict[str, int] = {}
    for line, column, value in fields:
        if value in first:
            raise InputError(
                f"{shown(path)}: {column} {value!r} is on lines {first[value]} and {line}; "
                "expected it once; remove one row"
            )
        first[value] = line


def label_items(
    train: list[tuple[Path, str]], val: list[tuple[Path, str]]
) -> tuple[tuple[Item, ...], tuple[Item, ...], tuple[str, ...]]:
    """Turn label names into indices: the classes are the training labels in natural order.

    Raises:
        InputError: a validation image has a label that no training image has.
    """
    classes = tuple(sorted({label for _, label in train}, key=natural_key))
    index = {label: i for i, label in enumerate(classes)}
    for path, label in val:
        if label not in index:
            raise InputError(
                f"{shown(path)}: its label {label!r} is on no training image; expected one of their "
                f"{len(classes)} classes; mend the label or add training images"
            )

    def items(part: list[tuple[Path, str]]) -> tuple[Item, ...]:
        return tuple(Item(path.stem, path, label=index[label]) for path, label in part)

    return items(train), items(val), classes
