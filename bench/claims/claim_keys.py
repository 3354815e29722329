"""Which keys a claims file may hold, and what each may be."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.claims.schema import (
    COUNT,
    FLAG,
    INDEX,
    INDICES,
    REAL,
    SHA256,
    SLUG,
    TABLE,
    TEXT,
    TEXTS,
    Type,
    either,
    is_number,
    is_slug,
    is_text,
    list_of,
    table_of,
)


class PrintedFigure(NamedTuple):
    """A figure as printed: its digits, b of ``a ± b``, a percent sign, and whether it is approximate."""

    value: str
    spread: str | None = None
    percent: bool = False
    about: bool = False


def printed_figure(text: str) -> PrintedFigure | None:
    """Read one printed figure such as ``.703``, ``98.1%``, ``98.1*``, ``1,014`` or ``98.25 ± 0.06``.

    Returns:
        None where the text is no figure, or has more than one reading.
    """
    if is_number(text):
        return PrintedFigure(text)
    # Imported here: needed for unusual figures alone, and listing claims answers at once.
    from bench.claims.cells import digits_of, read_cell

    cell = read_cell(text)
    if cell.kind not in ("figure", "about") or cell.figure is None or cell.notation not in ("", "±", "()"):
        return None
    value = digits_of(cell.figure)
    if not is_number(value):  # digits of another script
        return None
    spread = digits_of(cell.second) if cell.second else None
    return PrintedFigure(value, spread, cell.percent, cell.kind == "about")


def _is_cell(value: Any) -> bool:
    return isinstance(value, str)


_SLUGS = Type("a list of slugs", list_of(is_slug))
_NUMBER = Type('a number as printed, in quotes, such as "0.7808"', is_number)
_PRINTED = Type(
    'a number as printed, in quotes, such as "0.7808", "98.1%" or "98.25 ± 0.06"',
    lambda value: is_text(value) and printed_figure(value) is not None,
)
_WEIGHT = Type(
    "a number above 0", lambda value: COUNT.holds(value) or (is_number(value) and float(value) > 0)
)
_LINES = Type("a line number or a list of them", either(COUNT.holds, list_of(COUNT.holds, least=1)))
FIRST_EPOCH = Type("0 or 1", lambda value: INDEX.holds(value) and value in (0, 1))
_STATED = Type(
    "a table of texts",
    lambda value: bool(value) and table_of(is_text)(value),
)
LONGEST_QUOTE = 200
_QUOTE = Type(
    f"the report's own words, at most {LONGEST_QUOTE} characters",
    lambda value: is_text(value) and len(value) <= LONGEST_QUOTE,
)
_TEXT_OR_TEXTS = Type("a text or a list of texts", either(is_text, list_of(is_text, 1)))
REFERENCE_KEYS: dict[str, Type] = {
    "task": TEXT, "model": _TEXT_OR_TEXTS, "pretrained": _TEXT_OR_TEXTS, "setting": TEXT,
}  # fmt: skip
_REFERENCES = Type(
    'a table such as { task = "landcover", model = "vgg16_fcn32s" }, or a list of such tables',
    either(TABLE.holds, list_of(TABLE.holds, 1)),
)

KEYS: dict[str, Type] = {
    "id": SLUG, "kind": TEXT, "line": _LINES, "text": TEXT, "recipe": SLUG, "source": TEXT,
    "unstated": TEXTS, "illegible": FLAG, "illegible_why": TEXT, "conflicts_with": _SLUGS, "note": TEXT,
    "metric": TEXT, "class_index": INDEX, "value": _PRINTED, "unit": TEXT, "data": SLUG, "split": SLUG,
    "derived_from": Type("two numbers as printed, in quotes", list_of(is_number, 2, 2)),
    "mean_of": Type("a list of at least two claim ids", list_of(is_slug, 2)),
    "weights": Type("a list of numbers above 0", list_of(_WEIGHT.holds, 2)),
    "n": COUNT, "n_from": TEXT, "runs": COUNT, "epoch": INDEX, "selection": TEXT, "approx": FLAG,
    "difference_of": Type("two recipe slugs", list_of(is_slug, 2, 2)),
    "order": Type("a list of at least two claim ids", list_of(is_slug, 2)),
    "order_recipes": Type("a list of at least two recipe slugs", list_of(is_slug, 2)),
    "also_differs": TEXTS, "factor": TEXT, "margin": _NUMBER,
    "ratio_of": Type("two recipe slugs", list_of(is_slug, 2, 2)),
    "tie": FLAG, "model": TEXT, "facts": Type("a list of at least one text", list_of(is_text, 1)),
    "damage": TEXTS, "formula": TEXT, "implements": TEXT, "predicate": TEXT, "args": TABLE,
    "tested_by": _SLUGS, "shows": TEXT, "epochs": INDICES, "images": TEXTS, "stages": TEXTS,
    "stated": _STATED, "code": TEXT, "reference_class": _REFERENCES, "place": TEXT, "least": _NUMBER,
    "quote": _QUOTE,
}  # fmt: skip

_EPOCH = Type(
    'an epoch from 0, "first" or "last"', lambda value: INDEX.holds(value) or value in ("first", "last")
)

ARGS: dict[str, Type] = {
    "int": COUNT, "int | None": COUNT, "float": REAL, "Epoch": _EPOCH,
    "str": Type("a text", _is_cell),
}  # fmt: skip
"""What a predicate's argument may be, by its annotation."""

REQUIRED = ("id", "kind", "text")
_COMMON = (
    *REQUIRED, "line", "place", "recipe", "source", "unstated", "illegible", "illegible_why",
    "conflicts_with", "note", "quote",
)  # fmt: skip

KIND_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "number": (
        ("metric", "value", "unit", "data", "split"),
        (
            "class_index", "derived_from", "n", "n_from", "runs", "epoch", "selection", "approx",
            "difference_of", "mean_of", "weights", "margin", "reference_class",
        ),
    ),
    "ordering": (
        ("metric",),
        ("order", "order_recipes", "class_index", "tie", "data", "margin", "also_differs", "factor"),
    ),
    "architecture": (("model", "facts"), ("damage",)),
    "formula": (("formula", "implements"), ()),
    "process": (("predicate",), ("args",)),
    "timing": (("ratio_of", "least"), ("data",)),
    "explanation": (("tested_by",), ()),
    "figure": (("shows",), ("epochs", "images", "stages")),
    "protocol": (("stated",), ("code", "damage")),
}  # fmt: skip
"""Kind: the keys it must have besides the common ones, and those it may have."""

DATA_KEYS: dict[str, Type] = {
    "name": SLUG, "what": TEXT, "manifest": SHA256,
    "classes": Type("a number of classes or a list of their names", either(COUNT.holds, list_of(is_text, 1))),
    "scored": INDICES,
    "splits": Type(
        "a table of image counts such as { train = 898, test = 899 }",
        lambda value: bool(value) and table_of(COUNT.holds)(value),
    ),
}  # fmt: skip
"""Keys of ``[[data]]``."""

TABLE_KEYS: dict[str, Type] = {
    **{key: KEYS[key] for key in (
        "id", "line", "place", "data", "split", "unit", "n", "n_from", "runs", "source", "recipe", "epoch",
        "selection", "note",
    )},
    "columns": Type("a list of at least two roles of columns", list_of(is_text, 2)),
    "rows": Type("a list of rows, each a list of texts as printed", list_of(list_of(_is_cell, 1), 1)),
}  # fmt: skip
"""Keys of ``[[table]]``."""

KIND_TYPES = {
    kind: {key: KEYS[key] for key in (*_COMMON, *required, *optional)}
    for kind, (required, optional) in KIND_KEYS.items()
}
