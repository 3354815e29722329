"""What stands in one cell of a table: a printed figure, an empty mark, a label, or something not understood.

A figure is kept as an integer and its number of decimals, so that the checks are exact; its text is the
printed one. Nothing here guesses a figure: a cell that has two readings is *not understood* and says why.
"""

from __future__ import annotations

import html
import re
import unicodedata
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

LONGEST = 300
"""Characters beyond which a cell is prose."""

MOST_DIGITS = 40
"""Digits beyond which a number is no measurement."""


class Figure(NamedTuple):
    """A printed number: ``digits`` / 10**``decimals``, and its text without sign of percent or marks."""

    text: str
    digits: int
    decimals: int

    @property
    def value(self) -> Fraction:
        """The number exactly as printed."""
        return Fraction(self.digits, 10**self.decimals)

    @property
    def half_step(self) -> Fraction:
        """Half a unit of the last printed digit."""
        return Fraction(1, 2 * 10**self.decimals)

    def at(self, decimals: int) -> int:
        """The number in units of 10**-decimals, of which it has no more."""
        return self.digits * int(10 ** (decimals - self.decimals))


class Cell(NamedTuple):
    """One cell as read.

    Attributes:
        text: without markup, marks and surrounding space.
        kind: ``figure``, ``quantity`` (25.6M, 3e-4: a number that no check uses), ``about`` (~98, >99),
            ``pair`` (88.9/84.8), ``count`` (175/200), ``none`` (empty, n/a, a dash) or ``text``.
        figure: the number, for all kinds but ``none`` and ``text``.
        second: b of ``a ± b``, ``a (b)``, ``a / b``; the low end of ``a [low, high]``.
        third: the high end of ``a [low, high]``.
        notation: how ``second`` is joined to ``figure``: ``±``, ``()``, ``(+)``, ``/``, ``[]`` or empty.
        percent: a percent sign stands in the cell.
        why: why it was not understood, for ``text`` that contains digits.
    """

    text: str
    kind: str
    figure: Figure | None = None
    second: Figure | None = None
    third: Figure | None = None
    notation: str = ""
    percent: bool = False
    why: str = ""


_SIGNS = str.maketrans(
    {
        "−": "-", "–": "-", "‒": "-", "﹣": "-", "－": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
        "\u2007": " ", "\u200b": "", "\ufeff": "", "％": "%", "．": ".", "，": ",", "＋": "+",
    }
)  # fmt: skip
_MARKUP = re.compile(
    r"!\[[^\]]*\]\([^)]*\)|<sup>[^<]{0,20}</sup>|<sub>[^<]{0,20}</sub>|<br\s*/?>|</?[A-Za-z][^<>]{0,200}>"
    r"|\[\^[^\]]{1,20}\]|:[a-z_]{2,30}:",
    re.IGNORECASE,
)
_SMALL_SPREAD = re.compile(r"<(?:sub|sup)>\s*((?:±|\+/?-|&plusmn;)[^<]{0,20})</(?:sub|sup)>", re.IGNORECASE)
_LINK = re.compile(r"\[([^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])")
_EMPHASIS = re.compile(r"\*\*|__|~~|`|(?<!\w)\*(?=\S)|(?<=[\w%.)])\*(?=\*|$)|(?<!\w)_(?=\S)|(?<=\S)_(?!\w)")
_MARKS = "*†‡§¶#↑↓▲▼△▽★☆✓✔"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉ"
_TRAILING = re.compile(
    rf"[\s{re.escape(_MARKS + _SUPERSCRIPTS)}]+$|\s*\^\{{?[\w*,†‡]{{1,3}}\}}?$|\s*\[\d{{1,3}}\]$"
)
_LEADING = re.compile(rf"^[\s{re.escape(_MARKS)}]+")
_NONE = re.compile(
    r"[-–—−./×?*]*|n\.?/?a\.?|nan|none|null|nil|oom|tbd|tba|inf|missing|not reported|unknown|x|✗|✘|❌", re.I
)

_NUM = r"[+-]?(?:\d{1,3}(?:[,' _]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|[.,]\d+|\d+\.)"
_PLAIN = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,20})?")
_ONE = re.compile(rf"({_NUM})\s*(%)?")
_SPREAD = re.compile(rf"\$?({_NUM})\s*(%)?\s*(?:±|\+/-|\+-|\\pm)\s*({_NUM})\s*(%)?")
_BRACKET = re.compile(
    rf"({_NUM})\s*(%)?\s*\(\s*(?:±|σ\s*=?|sd\s*=?|std\s*=?)?\s*({_NUM})\s*(%)?\s*(?:pp|pts?|points?)?\s*\)",
    re.I,
)
_CHANGE = re.compile(rf"({_NUM})\s*(%)?\s*[({{\[]?\s*([↑↓▲▼])\s*({_NUM})\s*(%)?\s*[)}}\]]?")
_WITHIN = re.compile(rf"({_NUM})\s*(%)?\s*[\[(]\s*({_NUM})\s*%?\s*(?:[,;]|-|to)\s*({_NUM})\s*%?\s*[\])]")
_PAIR = re.compile(rf"({_NUM})\s*(%)?\s*[/|]\s*({_NUM})\s*(%)?")
_ABOUT = re.compile(rf"(?:~|≈|∼|<|>|≤|≥|<=|>=|about |ca\.? ?|approx\.? ?)\s*({_NUM})\s*(%)?", re.I)
_QUANTITY = re.compile(
    rf"({_NUM})\s*(?:[eE×x]\s?(?:10)?\^?\{{?[+-]?\d+\}}?|[kKMGTB]i?B?|[munµ]?s|ms|min|h|hrs?|days?|px|Hz"
    rf"|fps|FPS"
    r"|GFLOPs?|MFLOPs?|FLOPs?|GF|MB|GB|KB|[MB] ?params?|epochs?|ep|steps?|iters?|x|×|K iters?|bit|bits|°)"
)


@lru_cache(maxsize=1 << 16)
def read_cell(raw: str) -> Cell:
    """Read one cell of plain text, Markdown or HTML markup."""
    if _PLAIN.fullmatch(raw):
        return Cell(raw, "figure", _plain(raw))
    if len(raw) > LONGEST:
        return Cell(f"{raw[:60]}…", "text", why="longer than a cell")
    text = plain_text(raw)
    bare = _bare(text)
    if not bare or _NONE.fullmatch(bare):
        return Cell(bare, "none")
    if not any(character.isdigit() for character in bare):
        return Cell(text, "text")
    return _number(bare) or Cell(text, "text", why=_reason(bare))


def plain_text(raw: str) -> str:
    """A cell or sentence without Markdown and HTML markup, one space between words."""
    text = html.unescape(raw) if "&" in raw else raw
    if "<" in text:
        text = _SMALL_SPREAD.sub(r" \1", text)
    text = _MARKUP.sub(" ", text) if any(sign in text for sign in "<[:!") else text
    for _ in range(3):
        if "](" not in text and "][" not in text:
            break
        text = _LINK.sub(r"\1", text)
    return " ".join(_EMPHASIS.sub("", text).replace("\\", "").split())


def _bare(text: str) -> str:
    """Without footnote marks, with plain signs; superscripts go before they could become digits."""
    text = text.translate(_SIGNS).strip(" $")
    while (shorter := _TRAILING.sub("", text)) != text:
        text = shorter
    text = _LEADING.sub("", text)
    return unicodedata.normalize("NFKC", text) if not text.isascii() else text


def _number(text: str) -> Cell | None:
    if match := _ONE.fullmatch(text):
        figure = read_figure(match[1])
        return figure and Cell(text, "figure", figure, percent=bool(match[2]))
    if match := _SPREAD.fullmatch(text):
        return _two(text, match[1], match[3], "±", bool(match[2] or match[4]))
    if match := _BRACKET.fullmatch(text):
        notation = "(+)" if match[3][0] in "+-" else "()"
        return _two(text, match[1], match[3], notation, bool(match[2] or match[4]))
    if match := _CHANGE.fullmatch(text):
        sign = "-" if match[3] in "↓▼" else "+"
        return _two(text, match[1], sign + match[4].lstrip("+-"), "(+)", bool(match[2] or match[5]))
    if match := _WITHIN.fullmatch(text):
        cell = _two(text, match[1], match[3], "[]", bool(match[2]))
        high = read_figure(match[4])
        return cell and high and cell._replace(third=high)
    if match := _PAIR.fullmatch(text):
        cell = _two(text, match[1], match[3], "/", bool(match[2] or match[4]), kind="pair")
        if cell and cell.figure and cell.second and not (cell.figure.decimals or cell.second.decimals):
            return cell._replace(kind="count")
        return cell
    if match := _ABOUT.fullmatch(text):
        figure = read_figure(match[1])
        return figure and Cell(text, "about", figure, percent=bool(match[2]))
    if match := _QUANTITY.fullmatch(text):
        figure = read_figure(match[1])
        return figure and Cell(text, "quantity", figure)
    return None


def _two(text: str, one: str, other: str, notation: str, percent: bool, kind: str = "figure") -> Cell | None:
    first, second = read_figure(one), read_figure(other)
    if first is None or second is None:
        return None
    return Cell(text, kind, first, second, notation=notation, percent=percent)


def _plain(text: str) -> Figure:
    whole, _, part = text.partition(".")
    return Figure(text, int(whole + part), len(part))


def read_figure(text: str) -> Figure | None:
    """A number as people print it: ``.703``, ``1,014``, ``98,1``, ``1 014.5``; None where it is ambiguous.

    A comma before exactly three digits separates thousands, unless the number begins with zero.
    """
    if _PLAIN.fullmatch(text):
        return _plain(text)
    sign, body = (text[0], text[1:]) if text[:1] in "+-" else ("", text)
    if sum(character.isdigit() for character in body) > MOST_DIGITS:
        return None
    grouped = re.fullmatch(r"(\d{1,3})((?:[,' _]\d{3})+)(\.\d+)?", body)
    if grouped and grouped[1] != "0":
        body = re.sub(r"[,' _]", "", body)
    elif grouped and body.count(",") != 1:
        return None
    body = body.replace(",", ".")
    if not re.fullmatch(r"\d*\.?\d*", body) or not any(c.isdigit() for c in body):
        return None
    whole, _, part = body.partition(".")
    digits = int((whole or "0") + part)
    return Figure(sign.replace("+", "") + body, -digits if sign == "-" else digits, len(part))


def digits_of(figure: Figure) -> str:
    """The digits of a figure with a digit on either side of its point: ``0.703`` of ``.703``."""
    sign, body = ("-", figure.text[1:]) if figure.text.startswith("-") else ("", figure.text.lstrip("+"))
    body = f"0{body}" if body.startswith(".") else body
    return sign + body.rstrip(".")


def _reason(text: str) -> str:
    if re.search(r"\d\s*(?:±|\+/-)", text):
        return "a ± b with something else in the cell"
    if len(re.findall(_NUM, text)) > 1:
        return "more than one number, not as a ± b, a (b) or a / b"
    return "a number with other text"
