"""Which keys a claims file may hold, and their types."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.claims.claim import CHOICES
from reference.errors import InputError

CLAIMS = Path(__file__).parent
DATA_FILE = "data.toml"


class Type(NamedTuple):
    """What a value of a claims file must be, in words and as a predicate."""

    expected: str
    holds: Callable[[Any], bool]


def is_int(value: Any) -> bool:
    """Whether a value is an integer and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_slug(value: Any) -> bool:
    """Whether a value is lower-case words and digits joined by hyphens."""
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value) is not None


def _is_printed(value: Any) -> bool:
    return isinstance(value, str) and printed_figure(value) is not None


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
    if _is_number(text):
        return PrintedFigure(text)
    # Imported here: needed for unusual figures alone, and listing claims answers at once.
    from bench.claims.cells import digits_of, read_cell

    cell = read_cell(text)
    if cell.kind not in ("figure", "about") or cell.figure is None or cell.notation not in ("", "±", "()"):
        return None
    value = digits_of(cell.figure)
    if not _is_number(value):  # digits of another script
        return None
    spread = digits_of(cell.second) if cell.second else None
    return PrintedFigure(value, spread, cell.percent, cell.kind == "about")


def _is_weight(value: Any) -> bool:
    return COUNT.holds(value) or (_is_number(value) and float(value) > 0)


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _is_cell(value: Any) -> bool:
    return isinstance(value, str)


def _is_place(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_slug(value[0]) and is_int(value[1])


def list_of(holds: Callable[[Any], bool], least: int = 0, most: int | None = None) -> Callable[[Any], bool]:
    """Return a predicate for lists of ``least`` to ``most`` items that all satisfy ``holds``."""

    def check(value: Any) -> bool:
        if not isinstance(value, list) or len(value) < least or (most is not None and len(value) > most):
            return False
        return all(holds(item) for item in value)

    return check


TEXT = Type("a text", _is_text)
TEXTS = Type("a list of texts", list_of(_is_text))
SLUG = Type("a slug (lower-case letters, digits, single hyphens)", is_slug)
_SLUGS = Type("a list of slugs", list_of(is_slug))
_NUMBER = Type('a number as printed, in quotes, such as "0.7808"', _is_number)
_PRINTED = Type('a number as printed, in quotes, such as "0.7808", "98.1%" or "98.25 ± 0.06"', _is_printed)
_FLAG = Type("true or false", lambda value: isinstance(value, bool))
INDEX = Type("a whole number from 0", lambda value: is_int(value) and value >= 0)
COUNT = Type("a whole number from 1", lambda value: is_int(value) and value >= 1)
INDICES = Type("a list of whole numbers from 0", list_of(INDEX.holds))
_LINES = Type(
    "a line number or a list of them",
    lambda value: COUNT.holds(value) or list_of(COUNT.holds, least=1)(value),
)
FIRST_EPOCH = Type("0 or 1", lambda value: is_int(value) and value in (0, 1))
PLACES = Type('a list of places such as ["r4", 130]', list_of(_is_place))
_TABLE = Type("a table", lambda value: isinstance(value, dict))
_STATED = Type(
    "a table of texts",
    lambda value: isinstance(value, dict) and bool(value) and all(map(_is_text, value.values())),
)

_TEXT_OR_TEXTS = Type(
    "a text or a list of texts", lambda value: _is_text(value) or list_of(_is_text, 1)(value)
)
REFERENCE_KEYS: dict[str, Type] = {
    "task": TEXT, "model": _TEXT_OR_TEXTS, "pretrained": _TEXT_OR_TEXTS, "setting": TEXT,
}  # fmt: skip
_REFERENCES = Type(
    'a table such as { task = "landcover", model = "vgg16_fcn32s" }, or a list of such tables',
    lambda value: isinstance(value, dict) or list_of(_TABLE.holds, 1)(value),
)

KEYS: dict[str, Type] = {
    "id": SLUG, "kind": TEXT, "line": _LINES, "text": TEXT, "recipe": SLUG, "source": TEXT,
    "unstated": TEXTS, "illegible": _FLAG, "illegible_why": TEXT, "conflicts_with": _SLUGS, "note": TEXT,
    "metric": TEXT, "class_index": INDEX, "value": _PRINTED, "unit": TEXT, "data": SLUG, "split": SLUG,
    "derived_from": Type("two numbers as printed, in quotes", list_of(_is_number, 2, 2)),
    "mean_of": Type("a list of at least two claim ids", list_of(is_slug, 2)),
    "weights": Type("a list of numbers above 0", list_of(_is_weight, 2)),
    "n": COUNT, "n_from": TEXT, "runs": COUNT, "epoch": INDEX, "selection": TEXT, "approx": _FLAG,
    "difference_of": Type("two recipe slugs", list_of(is_slug, 2, 2)),
    "order": Type("a list of at least two claim ids", list_of(is_slug, 2)),
    "order_recipes": Type("a list of at least two recipe slugs", list_of(is_slug, 2)),
    "also_differs": TEXTS, "factor": TEXT, "margin": _NUMBER,
    "ratio_of": Type("two recipe slugs", list_of(is_slug, 2, 2)),
    "tie": _FLAG, "model": TEXT, "facts": Type("a list of at least one text", list_of(_is_text, 1)),
    "damage": TEXTS, "formula": TEXT, "implements": TEXT, "predicate": TEXT, "args": _TABLE,
    "tested_by": _SLUGS, "shows": TEXT, "epochs": INDICES, "images": TEXTS, "stages": TEXTS,
    "stated": _STATED, "code": TEXT, "reference_class": _REFERENCES, "place": TEXT, "least": _NUMBER,
}  # fmt: skip

_EPOCH = Type(
    'an epoch from 0, "first" or "last"', lambda value: INDEX.holds(value) or value in ("first", "last")
)
_REAL = Type("a number", lambda value: is_int(value) or isinstance(value, float))

ARGS: dict[str, Type] = {
    "int": COUNT, "int | None": COUNT, "float": _REAL, "Epoch": _EPOCH,
    "str": Type("a text", lambda value: isinstance(value, str)),
}  # fmt: skip
"""What a predicate's argument may be, by its annotation."""

REQUIRED = ("id", "kind", "text")
_COMMON = (
    *REQUIRED, "line", "place", "recipe", "source", "unstated", "illegible", "illegible_why",
    "conflicts_with", "note",
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
    "name": SLUG, "what": TEXT, "manifest": Type("64 hexadecimal digits", _is_sha256),
    "classes": Type(
        "a number of classes or a list of their names",
        lambda value: COUNT.holds(value) or list_of(_is_text, 1)(value),
    ),
    "scored": INDICES,
    "splits": Type(
        "a table of image counts such as { train = 898, test = 899 }",
        lambda value: isinstance(value, dict) and bool(value) and all(map(COUNT.holds, value.values())),
    ),
}  # fmt: skip
"""Keys of ``[[data]]``."""

TABLE_KEYS: dict[str, Type] = {
    **{key: KEYS[key] for key in (
        "id", "line", "place", "data", "split", "unit", "n", "n_from", "runs", "source", "recipe", "epoch",
        "selection", "note",
    )},
    "columns": Type("a list of at least two roles of columns", list_of(_is_text, 2)),
    "rows": Type("a list of rows, each a list of texts as printed", list_of(list_of(_is_cell, 1), 1)),
}  # fmt: skip
"""Keys of ``[[table]]``."""

KIND_TYPES = {
    kind: {key: KEYS[key] for key in (*_COMMON, *required, *optional)}
    for kind, (required, optional) in KIND_KEYS.items()
}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise ``InputError`` if it cannot be read or parsed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a claims file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:  # also numbers and brackets beyond all measure
        raise InputError(f"{path}: not TOML: {error}; fix that place") from error


def frozen(value: Any) -> Any:
    """Turn lists into tuples, at every depth."""
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value


def check_types(
    table: dict[str, Any], types: Mapping[str, Type], required: Sequence[str], location: str
) -> None:
    """Every key known, every needed one there, every value of its type and among its choices."""
    known_keys(table, types, location)
    for key in required:
        if key not in table:
            raise InputError(f"{location}: missing key {key!r}; add {types[key].expected}")
    for key, value in table.items():
        if not types[key].holds(value):
            raise InputError(f"{location}: {key} is {value!r}; expected {types[key].expected}")
        if key in CHOICES and value not in CHOICES[key]:
            raise InputError(f"{location}: unknown {key} {value!r} ({hint(value, CHOICES[key])})")


def known_keys(table: Mapping[str, Any], valid: Iterable[str], location: str) -> None:
    """Raise ``InputError`` at the first key that is not valid."""
    for key in table:
        if key not in valid:
            raise InputError(f"{location}: unknown key {key!r} ({hint(key, valid)})")


def hint(word: object, valid: Iterable[str]) -> str:
    """The nearest valid name, or all of them where none is near."""
    # Imported here: needed only after a mistake, and slow for a command that answers at once.
    from difflib import get_close_matches

    names = list(valid)
    near = get_close_matches(str(word), names, n=1, cutoff=0.6)
    return f"nearest: {near[0]!r}" if near else f"valid: {', '.join(names)}"


def only_keys(value: Any, file: str, name: str) -> dict[str, Any]:
    """Return the table; raise ``InputError`` if it is missing."""
    if not isinstance(value, dict):
        raise InputError(f"{file}: no {name} table; add one")
    return value


def several(value: Any, file: str, name: str) -> list[dict[str, Any]]:
    """Return the list of tables; raise ``InputError`` if it is missing or empty."""
    if not isinstance(value, list) or not value or not all(isinstance(table, dict) for table in value):
        raise InputError(f"{file}: no {name} tables; add at least one")
    return value
