"""From a file to its tables: which reader takes which file, and what happens to files that are too large."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

from bench.audit.tables import delimited, latex, markup, plain
from bench.audit.tables.layout import Document
from reference.errors import InputError

MOST_BYTES = 1 << 26
"""Bytes of a file that are read (64 MiB); what follows is passed over and said."""

MOST_TEXT = 1 << 23
"""Characters of a text that is no CSV (8 Mi)."""

READERS: dict[str, Callable[[str], Document]] = {
    ".md": markup.read_markdown,
    ".markdown": markup.read_markdown,
    ".html": markup.read_html,
    ".htm": markup.read_html,
    ".csv": delimited.read_delimited,
    ".tsv": delimited.read_delimited,
    ".tex": latex.read_latex,
    ".txt": plain.read_plain,
    ".log": plain.read_plain,
    ".rst": plain.read_plain,
    ".out": plain.read_plain,
}
"""The reader of each ending."""


def is_table_file(name: str) -> bool:
    """Whether a command's argument names a file whose tables can be read, not a report or a claims file."""
    return Path(name).suffix.lower() in READERS


def read_document(path: Path) -> Document:
    """The tables and sentences of a file.

    Raises:
        InputError: the ending is none of ``READERS``; there is no such file; it is no text.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: no table is read from {path.suffix or 'a file without ending'}; valid endings:"
            f" {', '.join(READERS)}"
        )
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    text = _decoded(content[:MOST_BYTES], path)
    too_long = ""
    if len(content) > MOST_BYTES:
        too_long = f"what follows the first {MOST_BYTES >> 20} MiB"
    if reader is not delimited.read_delimited and len(text) > MOST_TEXT:
        text = text[:MOST_TEXT]
        too_long = f"what follows the first {MOST_TEXT >> 20} Mi characters"
    document = reader(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "�"))
    if too_long:
        document.passed_over.append((text.count("\n") + 1, too_long))
    return document


def _decoded(content: bytes, path: Path) -> str:
    """UTF-8 with or without mark, UTF-16 with one, else Latin-1. Raises: InputError for what is no text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    if content.count(b"\0") > len(content) // 100 or content.startswith((b"%PDF", b"PK\x03\x04", b"\x89PNG")):
        raise InputError(f"{path}: is no text; give the table as Markdown, CSV, LaTeX or plain text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start > len(content) - 4:  # a character cut in two at the limit
            return content[: error.start].decode("utf-8-sig")
        return content.decode("latin-1")
