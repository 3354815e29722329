"""Draws what others report of one task: a row a reference class, a dot a report, the claims beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from bench.grading.others import PlaceAmongOthers
from bench.pages.plots import round_numbers

_WIDTH, _ROW, _TOP, _AXIS = 900, 74, 8, 30
_LEFT, _RIGHT = 250, 870
_SCALE = 2
"""Everything is drawn twice as large and shrunk, which smooths dots and letters."""

_INK, _SOFT, _DOT, _BAND, _CLAIM = (
    (30, 30, 30),
    (110, 110, 110),
    (70, 110, 170),
    (215, 226, 241),
    (190, 40, 30),
)

Colour = tuple[int, int, int]

_STEPS = 6
"""Steps between two colours of the palette."""


def picture(rows: Sequence[Sequence[PlaceAmongOthers]]) -> bytes:
    """A PNG with a palette; each row is the claims of one reference class, of one task and metric.

    Reports far below the others' intervals, failed runs mostly, are counted at the left edge.
    """
    low, high = _ends(rows)
    size = (_WIDTH * _SCALE, (_TOP + _ROW * len(rows) + _AXIS) * _SCALE)
    canvas = Image.new("RGB", size, "white")
    brush = _Brush(ImageDraw.Draw(canvas), low, high)
    for number, row in enumerate(rows):
        _draw_row(brush, row, _TOP + _ROW * number)
    bottom = _TOP + _ROW * len(rows)
    brush.line(_LEFT, bottom, _RIGHT, bottom, _SOFT)
    for tick, text in round_numbers(low, high):
        brush.line(brush.x(tick), bottom, brush.x(tick), bottom + 4, _SOFT)
        brush.text(brush.x(tick), bottom + 6, text, _SOFT, anchor="ma")
    small = canvas.resize((size[0] // _SCALE, size[1] // _SCALE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(palette=_palette(), dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _palette() -> Image.Image:
    """Every colour on white and on the band, in the steps that smoothed edges have."""
    colours = [
        round(back + (ink - back) * step / _STEPS)
        for ground in ((255, 255, 255), _BAND)
        for colour in (_INK, _SOFT, _DOT, _CLAIM)
        for step in range(_STEPS + 1)
        for back, ink in zip(ground, colour, strict=True)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette


def _ends(rows: Sequence[Sequence[PlaceAmongOthers]]) -> tuple[float, float]:
    """An axis that holds every interval and every claim."""
    ends = [end for row in rows for place in row for end in (*(place.interval or ()), place.value)]
    room = 0.03 * (max(ends) - min(ends)) or 0.01
    return max(0.0, min(ends) - room), min(1.0, max(ends) + room)


class _Brush:
    """Draws in the picture's own pixels; ``x`` turns a fraction into a place."""

    def __init__(self, draw: ImageDraw.ImageDraw, low: float, high: float) -> None:
        self.draw, self.low, self.high = draw, low, high
        self.font = ImageFont.load_default(13 * _SCALE)

    def x(self, value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value - self.low) / (self.high - self.low)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: int = 1) -> None:
        ends = [x0 * _SCALE, y0 * _SCALE, x1 * _SCALE, y1 * _SCALE]
        self.draw.line(ends, fill=colour, width=_SCALE * width)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.draw.rectangle([x0 * _SCALE, y0 * _SCALE, x1 * _SCALE, y1 * _SCALE], fill=colour)

    def dot(self, x: float, y: float, colour: Colour) -> None:
        self.draw.circle((x * _SCALE, y * _SCALE), 2.6 * _SCALE, fill=colour, outline="white")

    def text(self, x: float, y: float, text: str, colour: Colour, anchor: str = "la") -> None:
        self.draw.text((x * _SCALE, y * _SCALE), text, colour, self.font, anchor)


def _draw_row(brush: _Brush, row: Sequence[PlaceAmongOthers], top: float) -> None:
    first = row[0]
    words = first.title.split(" with ")
    for line, text in enumerate([words[0], *(f"with {word}" for word in words[1:]), f"{first.n} others"]):
        brush.text(8, top + 18 + 16 * line, text, _SOFT if text.endswith(" others") else _INK)
    middle = top + 48
    if first.interval is not None:
        brush.box(brush.x(first.interval.low), middle - 14, brush.x(first.interval.high), middle + 14, _BAND)
    beyond = [value for value in first.dots if value < brush.low]
    inside = sorted(value for value in first.dots if brush.low <= value <= brush.high)
    for number, value in enumerate(inside):
        brush.dot(brush.x(value), middle + (-9, 0, 9, -4.5, 4.5)[number % 5], _DOT)
    if beyond:
        brush.text(_LEFT - 4, middle - 8, f"{len(beyond)} <", _DOT, anchor="ra")
    _draw_claims(brush, row, middle)


def _draw_claims(brush: _Brush, row: Sequence[PlaceAmongOthers], middle: float) -> None:
    """A line a claim, its report's name above it; names that would touch become one."""
    places = sorted((brush.x(place.value), place.claim.report.upper()) for place in row)
    for x, _ in places:
        brush.line(x, middle - 18, x, middle + 18, _CLAIM, 2)
    groups = [[places[0]]]
    for (before, _), place in pairwise(places):
        if place[0] - before < 22:
            groups[-1].append(place)
        else:
            groups.append([place])
    for group in groups:
        names = ", ".join(dict.fromkeys(name for _, name in group))
        brush.text(sum(x for x, _ in group) / len(group), middle - 21, names, _CLAIM, anchor="ms")
