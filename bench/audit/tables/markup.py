"""Tables of Markdown and HTML. Blocks come from markdown-it; rows are split here, ten times as fast."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from bench.audit.tables import plain
from bench.audit.tables.layout import Document, Sentence
from bench.claims.cells import plain_text

MOST_COLUMNS = 1000
"""Columns that one cell may span."""

LONGEST_SENTENCE = 2000
"""Characters of a sentence that are read."""

_RULE = re.compile(r":?-+:?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d*\[(])")


def read_markdown(text: str) -> Document:
    """Pipe and HTML tables, fenced blocks by the reader of plain text, and the sentences around them."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.disable("reference")
    document = Document()
    tokens = parser.parse(text)
    for position, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 1
        if token.type in ("fence", "code_block"):
            plain.read_lines(document, token.content.split("\n"), line + (token.type == "fence"), prose=False)
        elif token.type == "html_block":
            read_html_block(document, token.content, line)
        elif token.type == "inline" and tokens[position - 1].type == "heading_open":
            document.section += 1
            document.heading = plain_text(token.content)
        elif token.type == "inline":
            _paragraph(document, token.content, line)
    return document


def read_html(text: str) -> Document:
    """The tables of an HTML page."""
    document = Document()
    read_html_block(document, text, 1)
    return document


def _paragraph(document: Document, text: str, line: int) -> None:
    """A paragraph of Markdown: prose, or a pipe table with prose before it."""
    if "<table" in text or "<tr" in text:
        read_html_block(document, text, line)
        return
    lines = text.split("\n")
    start = _header_of(lines)
    if start is None:
        document.sentences += sentences(lines, line, document.section)
        return
    document.sentences += sentences(lines[:start], line, document.section)
    names = split_row(lines[start])
    rows = []
    for index in range(start + 2, len(lines)):
        if "|" not in lines[index]:
            document.sentences += sentences(lines[index:], line + index, document.section)
            break
        rows.append((line + index, split_row(lines[index])))
    document.add("markdown", line + start, names, rows)


def _header_of(lines: Sequence[str]) -> int | None:
    """The index of the row above the first ``|---|---|``."""
    for index in range(1, len(lines)):
        if "-" in lines[index] and is_rule(lines[index]) and "|" in lines[index - 1]:
            return index - 1
    return None


def is_rule(line: str) -> bool:
    """Whether a line is the ``|---|:--:|`` below a header."""
    if "|" not in line or line.strip("|:- \t"):
        return False
    return all(_RULE.fullmatch(cell) for cell in split_row(line))


def split_row(line: str) -> list[str]:
    """The cells of a pipe row; ``\\|`` is a bar within one."""
    line = line.strip()
    if "\\|" in line:
        return [cell.replace("\0", "|").strip() for cell in _trimmed(line.replace("\\|", "\0")).split("|")]
    return [cell.strip() for cell in _trimmed(line).split("|")]


def _trimmed(line: str) -> str:
    return line[line.startswith("|") : -1 if len(line) > 1 and line.endswith("|") else None]


def sentences(lines: Sequence[str], first: int, section: int) -> Iterator[Sentence]:
    """The sentences of a paragraph, each with the line it begins in."""
    offset = 0
    starts, joined = [], []
    for number, printed in enumerate(lines):
        starts.append((offset, first + number))
        joined.append(printed.strip())
        offset += len(joined[-1]) + 1
    text, position = " ".join(joined), 0
    for part in _SENTENCE_END.split(text):
        if part.strip():
            begin = text.find(part, position)
            position = begin + len(part)
            line = max(line for start, line in starts if start <= max(begin, 0))
            yield Sentence(line, plain_text(part[:LONGEST_SENTENCE]), section)


# HTML -------------------------------------------------------------------------------------------------


def read_html_block(document: Document, text: str, line: int) -> None:
    """The tables of a piece of HTML."""
    if "<t" not in text.lower():
        return
    parser = _Tables(line)
    parser.feed(text)
    parser.close()
    parser.end_table()
    for line_number, rows in parser.tables:
        header = next((i for i, (_, _, head) in enumerate(rows) if not head), 0) or 1
        names = joined_names([cells for _, cells, _ in rows[:header]])
        if len(rows) <= header:
            document.passed_over.append((line_number, "an HTML table without rows below its header"))
        document.add("html", line_number, names, [(n, cells) for n, cells, _ in rows[header:]])


def joined_names(levels: Sequence[Sequence[str]]) -> list[str]:
    """One name a column of a header with several levels, joined by " / "."""
    width = max((len(level) for level in levels), default=0)
    columns = [[level[i] if i < len(level) else "" for level in levels] for i in range(width)]
    return [" / ".join(dict.fromkeys(filter(None, map(plain_text, column)))) for column in columns]


class _Tables(HTMLParser):
    """Collects rows as (line, cells, whether all are header cells); a cell that spans columns is repeated."""

    def __init__(self, line: int) -> None:
        super().__init__(convert_charrefs=True)
        self.first = line
        self.tables: list[tuple[int, list[tuple[int, list[str], bool]]]] = []
        self.rows: list[tuple[int, list[str], bool]] | None = None
        self.begun = line
        self.cells: list[str] | None = None
        self.row_line, self.all_heads = line, True
        self.text: list[str] | None = None
        self.span, self.down = 1, 1
        self.below: dict[int, tuple[int, str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        line = self.first + self.getpos()[0] - 1
        if tag == "table":
            self.end_table()
            self.rows, self.begun, self.below = [], line, {}
        elif tag == "tr" and self.rows is not None:
            self.end_row()
            self.cells, self.row_line, self.all_heads = [], line, True
        elif tag in ("td", "th") and self.cells is not None:
            self.end_cell()
            self.text = []
            spans = {name: value for name, value in attrs if value}
            self.span = _count(spans.get("colspan"))
            self.down = _count(spans.get("rowspan"))
            self.all_heads &= tag == "th"
        elif tag == "br" and self.text is not None:
            self.text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.end_cell()
        elif tag == "tr":
            self.end_row()
        elif tag == "table":
            self.end_table()

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)

    def end_cell(self) -> None:
        if self.text is not None and self.cells is not None:
            self.fill()
            for _ in range(self.span):
                if self.down > 1:
                    self.below[len(self.cells)] = (self.down - 1, "".join(self.text))
                self.cells.append("".join(self.text))
        self.text = None

    def fill(self) -> None:
        """Cells that a row above spans."""
        assert self.cells is not None
        while len(self.cells) in self.below and len(self.cells) < MOST_COLUMNS:
            left, text = self.below.pop(len(self.cells))
            if left > 1:
                self.below[len(self.cells)] = (left - 1, text)
            self.cells.append(text)

    def end_row(self) -> None:
        self.end_cell()
        if self.cells is not None and self.rows is not None:
            self.fill()
            if self.cells:
                self.rows.append((self.row_line, self.cells, self.all_heads))
        self.cells = None

    def end_table(self) -> None:
        self.end_row()
        if self.rows:
            self.tables.append((self.begun, self.rows))
        self.rows = None


def _count(text: str | None) -> int:
    return min(max(int(text), 1), 100) if text and text.isdecimal() and len(text) < 5 else 1
