"""``dataset.toml``: the file that describes data in the official layout that is not the official data."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.listing import Described, RebuiltFrom, Report, composed, shown
from reference.data.mask_values import stated
from reference.errors import InputError

FILE_NAME = "dataset.toml"
PALETTE_KEYS = ("name", "classes", "palette", "unknown")
VALUES_KEY = "mask_values"
UNKNOWN_KEYS = ("index", "colour")
ORIGINAL_KEY = "original"
ORIGINAL_TYPES: dict[str, type] = {"role": str, "split": str, "seed": int, "complete": bool}
# 255 marks a refused pixel while a mask is decoded, and one index stands for unknown.
MAX_CLASSES = 254


def find_description(*folders: Path) -> Path | None:
    """Return the first ``dataset.toml`` in the folders, or None."""
    # a broken link counts as a file here, and is refused when it is read
    return next((folder / FILE_NAME for folder in folders if os.path.lexists(folder / FILE_NAME)), None)


def described_name(report: Report, *folders: Path) -> Described:
    """Read what the nearest ``dataset.toml`` in the folders says of a classification set."""
    path = find_description(*folders)
    if path is None:
        return Described()
    try:
        return Described(read_name(path), described=True, original=read_original(path, finished=True))
    except InputError as error:
        report(str(error))
        return Described(described=True)


def read_name(path: Path) -> str:
    """Read the name in the ``dataset.toml`` of a classification set.

    Raises:
        InputError: not TOML, or another key than ``name`` and ``original``, or no name.
    """
    return _name(path, _load(path, ("name",), optional=(ORIGINAL_KEY,)))


def read_original(path: Path, *, finished: bool = False) -> RebuiltFrom | None:
    """Read the table ``[original]`` that ``bench data prepare`` writes; None if there is none.

    Args:
        finished: refuse data whose preparation has not ended.

    Raises:
        InputError: not TOML, a key that does not fit, or an unfinished preparation.
    """
    values = _load(path, ("name",), optional=(*PALETTE_KEYS[1:], VALUES_KEY, ORIGINAL_KEY)).get(ORIGINAL_KEY)
    if values is None:
        return None
    if not isinstance(values, dict):
        raise _refusal(path, ORIGINAL_KEY, values, "the table that bench data prepare writes")
    _check_keys(path, values, tuple(ORIGINAL_TYPES), f"{ORIGINAL_KEY}.", optional=("sha256",))
    for key, kind in ORIGINAL_TYPES.items():
        if type(values[key]) is not kind:
            raise _refusal(
                path,
                f"{ORIGINAL_KEY}.{key}",
                values[key],
                f"what bench data prepare writes ({kind.__name__})",
            )
    original = RebuiltFrom(**{key: values[key] for key in ORIGINAL_TYPES})
    if finished and not original.complete:
        raise InputError(
            f"{shown(path)}: the preparation of this data has not ended; repeat the bench data prepare "
            "command"
        )
    return original


def read_palette(path: Path) -> tuple[str, Palette]:
    """Read name and palette of a land-cover ``dataset.toml``; its colours are matched exactly.

    Data rebuilt from the public original has the official palette and none of these keys.
    The optional ``mask_values`` says that masks hold labels instead of colours, and their order:
    a list such as ``["unknown", "field", "255=unknown"]``, or ``"colours"``.

    Raises:
        InputError: not TOML, or keys, classes, colours or unknown index that do not fit together.
    """
    if read_original(path, finished=True) is not None:
        return read_name(path), OFFICIAL_PALETTE
    values = _load(path, PALETTE_KEYS, optional=(VALUES_KEY,))
    unknown = values["unknown"]
    if not isinstance(unknown, dict):
        raise _refusal(path, "unknown", unknown, 'a table such as { index = 5, colour = "#9B9B9B" }')
    _check_keys(path, unknown, UNKNOWN_KEYS, "unknown.")
    classes = _classes(path, values["classes"])
    colours = values["palette"]
    if not isinstance(colours, list) or len(colours) != len(classes):
        raise _refusal(path, "palette", colours, f"a list of {len(classes)} colours, one per class")
    index = unknown["index"]
    if isinstance(index, bool) or index != len(classes):
        raise _refusal(path, "unknown.index", index, f"{len(classes)}, right after the classes")
    rgb = tuple(_colour(path, "palette", colour) for colour in colours)
    unknown_rgb = _colour(path, "unknown.colour", unknown["colour"])
    if len({*rgb, unknown_rgb}) != len(classes) + 1:
        raise _refusal(path, "palette", colours, "colours that all differ, unknown's too")
    palette = Palette(classes, rgb, unknown_index=len(classes), unknown_colour=unknown_rgb)
    if VALUES_KEY in values:
        palette = stated(
            palette, _mask_values(path, values[VALUES_KEY]), f"{shown(path)}: key {VALUES_KEY!r}"
        )
    return _name(path, values), palette


def _load(path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({error.strerror}); expected a TOML file") from None
    except (ValueError, RecursionError) as error:  # also for bytes that are not UTF-8, and for huge numbers
        cause = " ".join(str(error).split())
        raise InputError(f"{shown(path)}: not TOML ({cause}); fix the file") from None
    _check_keys(path, values, keys, "", optional)
    return values


def _check_keys(
    path: Path, values: dict[str, Any], keys: tuple[str, ...], prefix: str, optional: tuple[str, ...] = ()
) -> None:
    for key in values:
        if key not in (*keys, *optional):
            raise InputError(
                f"{shown(path)}: unknown key {prefix + key!r}; valid keys are "
                f"{', '.join(prefix + k for k in (*keys, *optional))}; remove or rename it"
            )
    for key in keys:
        if key not in values:
            raise InputError(f"{shown(path)}: key {prefix + key!r} is missing; add it")


def _name(path: Path, values: dict[str, Any]) -> str:
    name = values["name"]
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise _refusal(path, "name", name, "a name of printable text")
    return name.strip()


def _classes(path: Path, names: Any) -> tuple[str, ...]:
    valid = (
        isinstance(names, list)
        and 0 < len(names) <= MAX_CLASSES
        and all(isinstance(n, str) and n.strip() and n.isprintable() and n != "unknown" for n in names)
        and len({composed(n) for n in names}) == len(names)
    )
    if not valid:
        raise _refusal(path, "classes", names, f"1 to {MAX_CLASSES} different names but 'unknown'")
    return tuple(composed(name) for name in names)


def _mask_values(path: Path, entries: Any) -> list[str]:
    entries = [entries] if isinstance(entries, str) else entries
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _refusal(path, VALUES_KEY, entries, 'a list of classes by value, or "colours"')
    return entries


def _colour(path: Path, key: str, value: Any) -> tuple[int, int, int]:
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        raise _refusal(path, key, value, 'colours such as "#3C1098"')
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def _refusal(path: Path, key: str, value: Any, expected: str) -> InputError:
    seen = repr(value)
    seen = seen if len(seen) <= 80 else seen[:77] + "..."
    return InputError(f"{shown(path)}: key {key!r} is {seen}; expected {expected}; fix the file")
