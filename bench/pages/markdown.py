"""Markdown's own forms, our pages' Markdown as HTML, and how a measured figure is written everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

# an underscore between two letters or digits is never emphasis, and names are full of them
_SPECIAL = re.compile(r"[\\`*|<&~\[\]]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, fit for a table's cell."""
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", " ".join(text.split()))


def pipe_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A pipe table; cells are Markdown already."""
    rule = ["---:" if index in right else "---" for index in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def in_html(text: str) -> tuple[Markup, list[tuple[str, Markup]]]:
    """A page of ours as HTML: what stands before its first part, then each part by its heading.

    The page's title is left out, headings within a part are ``<h4>``. Nothing in the text becomes markup of
    its own but the line breaks of tables' cells.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    starts = [i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag != "h3"]
    parts = [tokens[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]

    def rendered(part: list[Token]) -> Markup:
        written = reader.renderer.render(list(_for_a_page(part)), reader.options, {})
        return Markup(written.replace("&lt;br&gt;", "<br>"))  # also where a text says so; it harms nothing

    title, *others = parts
    return rendered(title), [(_heading_text(part[1]), rendered(part)) for part in others]


def _for_a_page(part: list[Token]) -> Iterator[Token]:
    """The tokens after a part's own heading, with what a table needs for readers of a page."""
    _, heading, _, *content = part
    tables = 0
    for before, inside, after in zip(content, content[1:], content[2:], strict=False):
        if before.type == "th_open" and not inside.content:
            before.tag = after.tag = "td"  # an empty head names no column
    for token in content:
        if token.tag == "h3":
            token.tag = "h4"
        if token.tag in ("th", "td") and token.nesting == 1:
            right = token.attrs.pop("style", "") == "text-align:right"
            token.attrs |= ({"scope": "col"} if token.tag == "th" else {}) | ({"class": "n"} if right else {})
        if token.type == "table_open":
            tables += 1
            label = escape(f"{_heading_text(heading)}, table {tables}")
            yield _html(f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n')
        yield token
        if token.type == "table_close":
            yield _html("</div>\n")


def _html(content: str) -> Token:
    return Token("html_block", "", 0, content=content)


def _heading_text(inline: Token) -> str:
    """The words of a heading."""
    return "".join(child.content for child in inline.children or ())
