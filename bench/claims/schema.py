"""The one validator: tables of values, each key with the type that its value must have.

Claims files, printed listings, surveys, records and the fields of added recipes are all checked here. A key
is unknown, missing or of the wrong type: ``check_types`` says so in one line.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from reference.errors import InputError

CLAIMS = Path(__file__).parent
DATA_FILE = "data.toml"

Holds = Callable[[Any], bool]


class Type(NamedTuple):
    """What a value must be, in words and as a predicate."""

    expected: str
    holds: Holds


# Predicates -------------------------------------------------------------------------------------------


def is_int(value: Any) -> bool:
    """Whether a value is an integer and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Whether a value is a number and not a boolean."""
    return is_int(value) or isinstance(value, float)


def is_text(value: Any) -> bool:
    """Whether a value is a text that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_slug(value: Any) -> bool:
    """Whether a value is lower-case words and digits joined by hyphens."""
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is not None


def is_number(value: Any) -> bool:
    """Whether a value is a plain number as printed, such as ``"-0.7808"``."""
    return matches(r"[+-]?[0-9]+(\.[0-9]+)?")(value)


def matches(pattern: str) -> Holds:
    """Return a predicate for texts that match a regular expression from end to end."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def either(*predicates: Holds) -> Holds:
    """Return a predicate for values that satisfy any of those given."""
    return lambda value: any(holds(value) for holds in predicates)


def list_of(holds: Holds, least: int = 0, most: int | None = None) -> Holds:
    """Return a predicate for lists of ``least`` to ``most`` items that all satisfy ``holds``."""

    def check(value: Any) -> bool:
        if not isinstance(value, list) or len(value) < least or (most is not None and len(value) > most):
            return False
        return all(map(holds, value))

    return check


def table_of(holds: Holds, **needed: Holds) -> Holds:
    """Return a predicate for tables whose values all satisfy ``holds`` and that have the ``needed`` keys."""

    def check(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(map(holds, value.values()))
            and all(name in value and part(value[name]) for name, part in needed.items())
        )

    return check


# Types ------------------------------------------------------------------------------------------------

LARGEST = 2**63 - 1

TEXT = Type("a text", is_text)
TEXTS = Type("a list of texts", list_of(is_text))
SLUG = Type("a slug (lower-case letters, digits, single hyphens)", is_slug)
FLAG = Type("true or false", lambda value: isinstance(value, bool))
REAL = Type("a number", is_real)
FINITE = Type("a finite number", lambda value: is_real(value) and math.isfinite(value))
INDEX = Type("a whole number from 0", lambda value: is_int(value) and 0 <= value <= LARGEST)
COUNT = Type("a whole number from 1", lambda value: is_int(value) and 1 <= value <= LARGEST)
INDICES = Type("a list of whole numbers from 0", list_of(INDEX.holds))
TABLE = Type("a table", lambda value: isinstance(value, dict))
SHA256 = Type("64 hexadecimal digits", matches("[0-9a-f]{64}"))


def type_of(annotation: Any) -> Type:
    """Return the type that a field's annotation states: Literal, tuple, union, mapping or plain class."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return Type(f"one of {', '.join(map(repr, inner))}", lambda value: value in inner)
    if origin is tuple:
        parts = [type_of(one) for one in inner if one is not Ellipsis]
        words = ", ".join([part.expected for part in parts] + ["…"] * (Ellipsis in inner))
        if Ellipsis in inner:
            return Type(f"a tuple ({words})", lambda v: isinstance(v, tuple) and all(map(parts[0].holds, v)))
        return Type(
            f"a tuple ({words})",
            lambda v: (
                isinstance(v, tuple)
                and len(v) == len(parts)
                and all(part.holds(item) for part, item in zip(parts, v, strict=True))
            ),
        )
    if origin is not None and issubclass(origin, Mapping):
        return TABLE
    if inner:  # a union
        parts = [type_of(one) for one in inner]
        return Type(" or ".join(p.expected for p in parts), either(*(part.holds for part in parts)))
    plain = {
        str: Type("text", lambda value: isinstance(value, str)),
        int: Type("a whole number", is_int),
        float: REAL,
        bool: Type("True or False", FLAG.holds),
    }
    return plain.get(annotation) or Type(f"{annotation.__name__}(…)", lambda v: isinstance(v, annotation))


def types_of(of: type, *, without: Collection[str] = ()) -> tuple[dict[str, Type], list[str]]:
    """Return the types of a dataclass's fields by name, and the names of those that have no default."""
    hints = get_type_hints(of)
    fields = [field for field in dataclasses.fields(of) if field.name not in without]
    required = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return {field.name: type_of(hints[field.name]) for field in fields}, required


# Checking ---------------------------------------------------------------------------------------------


def check_types(
    table: Mapping[str, Any],
    types: Mapping[str, Type],
    required: Iterable[str],
    location: str,
    *,
    choices: Mapping[str, Sequence[str]] | None = None,
    remedy: str = "",
) -> None:
    """Check that every key is known, every required one is there and every value is of its type.

    Args:
        location: where the table stands; the line begins with it.
        choices: the only values that some keys may have.
        remedy: what the reader is to do in every case, such as ``"restore the file"``.

    Raises:
        InputError: one line about the first fault.
    """
    to_do = f"; {remedy}" if remedy else ""
    known_keys(table, types, location, remedy)
    for key in required:
        if key not in table:
            raise InputError(f"{location}: missing key {key!r}{to_do or f'; add {types[key].expected}'}")
    for key, value in table.items():
        if not types[key].holds(value):
            raise InputError(f"{location}: {key} is {value!r:.80}; expected {types[key].expected}{to_do}")
        if choices and key in choices and value not in choices[key]:
            raise InputError(f"{location}: unknown {key} {value!r} ({hint(value, choices[key])}){to_do}")


def known_keys(table: Mapping[str, Any], valid: Iterable[str], location: str, remedy: str = "") -> None:
    """Raise ``InputError`` at the first key that is not valid."""
    for key in table:
        if key not in valid:
            to_do = f"; {remedy}" if remedy else ""
            raise InputError(f"{location}: unknown key {key!r:.80} ({hint(key, valid)}){to_do}")


def hint(word: object, valid: Iterable[str]) -> str:
    """Return the nearest valid name, or all of them where none is near."""
    # Imported here: needed only after a mistake, and slow for a command that answers at once.
    from difflib import get_close_matches

    names = [name for name in valid if name]
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


# Reading TOML -----------------------------------------------------------------------------------------


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise ``InputError`` if it cannot be read or parsed."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a claims file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, location: str) -> dict[str, Any]:
    """Parse the text of a TOML file; raise ``InputError`` if that fails."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers and brackets beyond all measure
        raise InputError(f"{location}: not TOML: {error}; fix that place") from error


def frozen(value: Any) -> Any:
    """Turn lists into tuples, at every depth."""
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value
