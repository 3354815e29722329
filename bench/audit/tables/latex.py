"""Tables of LaTeX: ``tabular`` and its kin, as text.

Nothing is executed: a macro of the author's stays what it is, no file is included, and what repeats itself
without end cannot. Deep braces are walked with a counter, not by recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.audit.tables.layout import Document
from bench.audit.tables.markup import joined_names, sentences
from bench.claims.cells import read_cell

MOST_SPANNED = 200
"""Columns that one ``\\multicolumn`` may span."""

MOST_HEADER_ROWS = 4

_BEGIN_OR_END = re.compile(r"\\(begin|end)\s*\{(tabular[*xy]?|longtable|tabu|array|NiceTabular|tblr)\}")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")
_CAPTION = re.compile(r"\\caption(?:\[[^\]]{0,500}\])?\s*\{")
_SECTION = re.compile(r"\\(?:sub){0,2}section\*?\s*\{")
_RULES = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|hdashline|firsthline|lasthline|endhead|endfoot|endfirsthead"
    r"|centering)\b"
    r"|\\(?:cmidrule|cline|addlinespace|specialrule|rowcolor|arrayrulecolor|noalign"
    r"|vspace\*?)\s*(?:\([^)]*\))?"
    r"(?:\[[^\]]*\])?(?:\{[^{}]*\})*"
)
_LEADING = re.compile(rf"(?:\s+|{_RULES.pattern})*")
_SPAN = re.compile(
    r"\\(multicolumn|multirow)\s*(?:\[[^\]]*\])?\s*\{\s*(-?\d+)\s*\}\s*(?:\[[^\]]*\])?\s*(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\*)"
)
_COLOURED = re.compile(
    r"\\(?:textcolor|cellcolor|colorbox|color|definecolor|fontsize|raisebox"
    r"|rotatebox)\s*(?:\[[^\]]*\])?\{[^{}]*\}"
)
_DROPPED = re.compile(
    r"\\(?:cite[tp]?|ref|label|footnote|footnotemark|eqref|vspace|hspace)\*?(?:\[[^\]]*\])?\{[^{}]*\}"
)
_COMMAND = re.compile(r"\\[A-Za-z]+\*?")
_SYMBOLS = {
    r"\pm": "±",
    r"\times": "×",
    r"\approx": "≈",
    r"\sim": "~",
    r"\%": "%",
    r"\uparrow": "↑",
    r"\downarrow": "↓",
    r"\checkmark": "✓",
    r"\dagger": "†",
    r"\ddagger": "‡",
    r"\ast": "*",
    r"\star": "★",
    r"\le": "≤",
    r"\ge": "≥",
    r"\leq": "≤",
    r"\geq": "≥",
    r"\textpm": "±",
    r"\textminus": "-",
    r"\textasciitilde": "~",
    r"\cdot": "·",
}
_SYMBOL = re.compile(
    "|".join(rf"{re.escape(name)}(?![A-Za-z])" for name in sorted(_SYMBOLS, key=len, reverse=True))
)


def read_latex(text: str) -> Document:
    """The tabulars of a LaTeX file, the innermost of nested ones, and the sentences around them."""
    document = Document()
    text = _COMMENT.sub(r"\1", text)
    position, line, counted = 0, 1, 0
    open_at: re.Match[str] | None = None
    for tag in _BEGIN_OR_END.finditer(text):
        if tag[1] == "begin":
            if open_at is not None:
                document.passed_over.append(
                    (line, f"the outer part of a {open_at[2]} in which another begins")
                )
            line += text.count("\n", counted, tag.start())
            counted = tag.start()
            if open_at is None:
                _prose(document, text[position : tag.start()], line)
            open_at = tag
        elif open_at is not None:
            around = text[max(0, open_at.start() - 2000) : tag.end() + 2000]
            title = _caption(around, min(open_at.start(), 2000))
            _tabular(document, text[open_at.end() : tag.start()], line, title)
            open_at, position = None, tag.end()
    if open_at is not None:
        document.passed_over.append((line, f"a {open_at[2]} that does not end"))
        position = open_at.end()
    _prose(document, text[position:], text.count("\n") + 1)
    return document


def _caption(around: str, begin: int) -> str:
    """The caption of the same float, before or after the tabular."""
    start = max(around.rfind("\\begin{table", 0, begin), 0)
    end = around.find("\\end{table", begin)
    part = around[start : end if end >= 0 else len(around)]
    match = _CAPTION.search(part)
    return plain_latex(_group(part, match.end())) if match else ""


def _group(text: str, start: int) -> str:
    """What stands between an opened brace and the one that closes it, at most 2,000 characters."""
    depth = 1
    for index in range(start, min(len(text), start + 2000)):
        depth += (text[index] == "{") - (text[index] == "}")
        if not depth:
            return text[start:index]
    return text[start : start + 200]


def _tabular(document: Document, body: str, line: int, title: str) -> None:
    """Split a tabular's body; the first row is its header, and those below it that hold no figures."""
    line += body.count("\n", 0, skip := _after_arguments(body))
    header: list[list[str]] = []
    rows: list[tuple[int, list[str]]] = []
    for line_number, raw in _rows(body[skip:], line):
        cells = _cells(_RULES.sub(" ", raw))
        if not any(cells):
            continue
        if rows or (header and (_has_figures(cells) or len(header) >= MOST_HEADER_ROWS)):
            rows.append((line_number, cells))
        else:
            header.append(cells)
    if not header:
        document.passed_over.append((line, "a tabular without text"))
    elif not rows:
        document.passed_over.append((line, "a tabular without figures below its header"))
    else:
        document.add("latex", line, joined_names(header), rows, title=title)


def _has_figures(cells: list[str]) -> bool:
    """Whether most cells but the first are numbers, as in no header."""
    filled = [read_cell(cell).kind for cell in cells[1:] if cell]
    return bool(filled) and 2 * sum(kind not in ("none", "text") for kind in filled) > len(filled)


def _after_arguments(body: str) -> int:
    """Where the rows begin: behind ``[t]{lcc}`` and ``{\\textwidth}{lcc}``."""
    position = 0
    while position < len(body):
        if body[position].isspace():
            position += 1
        elif body[position] == "[" and (end := body.find("]", position)) >= 0 and end - position < 50:
            position = end + 1
        elif body[position] == "{":
            depth = 0
            start = position
            while position < len(body):
                depth += (body[position] == "{") - (body[position] == "}")
                position += 1
                if not depth:
                    break
            if depth:
                return start
        else:
            break
    return position


def _rows(body: str, line: int) -> Iterator[tuple[int, str]]:
    r"""Split at ``\\`` and ``\tabularnewline`` outside braces; each row with the line its text begins in."""
    depth, start = 0, 0
    counted = 0
    for match in re.finditer(r"\\\\(?:\s*\[[^\]\n]{0,20}\])?|\\tabularnewline|\\[{}]|[{}]", body):
        sign = match[0]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth = max(0, depth - 1)
        elif depth == 0 and sign not in (r"\{", r"\}"):
            raw = body[start : match.start()]
            begin = start + len(_LEADING.match(raw)[0])  # type: ignore[index]
            line += body.count("\n", counted, begin)
            counted = begin
            yield line, raw
            start = match.end()
    raw = body[start:]
    yield line + body.count("\n", counted, start), raw


def _cells(raw: str) -> list[str]:
    """Split at ``&`` outside braces; a cell that spans columns is repeated in each of them."""
    depth, start = 0, 0
    parts = []
    for match in re.finditer(r"\\&|\\[{}]|[{}&]", raw):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth = max(0, depth - 1)
        elif match[0] == "&" and depth == 0:
            parts.append(raw[start : match.start()])
            start = match.end()
    parts.append(raw[start:])
    cells: list[str] = []
    for part in parts:
        span = _SPAN.search(part)
        times = int(span[2]) if span and span[1] == "multicolumn" and len(span[2]) < 6 else 1
        cells += [plain_latex(part)] * min(max(times, 1), MOST_SPANNED)
    return cells


def plain_latex(text: str) -> str:
    """Text of LaTeX without commands; braces, dollars and unknown macros' names go, their arguments stay."""
    if "\\" not in text and "{" not in text and "$" not in text:
        return " ".join(text.replace("~", " ").split())
    text = _DROPPED.sub("", _COLOURED.sub(" ", _SPAN.sub(" ", text)))
    text = _SYMBOL.sub(lambda match: _SYMBOLS[match[0]], text)
    text = (
        re.sub(r"(?<!\\)\$|\\[,;:!]|\\\\|(?<!\\)~", " ", text) if "±" not in text else text.replace("$", "")
    )
    text = re.sub(r"\^\s*\{?\s*([*†‡a-z\d])\s*\}?\s*$", r"^\1", text.strip(" {}"))
    text = re.sub(r"[_^]\s*\{\s*(±[^{}]{0,20})\}", r" \1", text)
    text = _COMMAND.sub(" ", text)
    text = re.sub(r"\\([%&#_$])", r"\1", text).replace("{", "").replace("}", "").replace("\\", " ")
    return " ".join(text.replace("~", " ").replace("--", "–").split())


def _prose(document: Document, text: str, end_line: int) -> None:
    """The sentences of what stands between tables; ``end_line`` is the line that it ends in."""
    line = end_line - text.count("\n")
    for paragraph in re.split(r"(\n[ \t]*\n)", text):
        if _SECTION.search(paragraph):
            document.section += 1
        stripped = paragraph.strip()
        if stripped and not stripped.startswith(("\\documentclass", "\\usepackage")):
            lines = [plain_latex(part) for part in paragraph.split("\n")]
            document.sentences += sentences(lines, line, document.section)
        line += paragraph.count("\n")
