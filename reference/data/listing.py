"""Which files a data set consists of, found and checked by name before any of them is decoded."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from reference.data.dataset import Palette
from reference.errors import InputError


@dataclass(frozen=True)
class Item:
    """One image file with its label (index into the classes, -1 for none) or its mask file."""

    id: str
    image: Path
    label: int = -1
    mask: Path | None = None


@dataclass(frozen=True)
class Listing:
    """The files of one role, in natural order of their names.

    Attributes:
        classes: outputs of the network; empty where nothing is labelled.
        name: what ``dataset.toml`` calls the set, None without one.
        described: a ``dataset.toml`` lies in the folder, so the set is not the official one.
    """

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    classes: tuple[str, ...]
    palette: Palette | None = None
    name: str | None = None
    described: bool = False


def natural_key(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Sort key that counts: "2_sat" comes before "10_sat"; the same on every file system and locale."""
    parts = re.split(r"([0-9]+)", name)
    # Numbers compare by length, then digits: int() would refuse very long ones.
    numbers = (p.lstrip("0") if i % 2 else p for i, p in enumerate(parts))
    return tuple((len(p) if i % 2 else 0, p) for i, p in enumerate(numbers)), name


def shown(path: Path | str) -> str:
    """A path or a text from a file for a one-line message: unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def list_folder(folder: Path, pattern: re.Pattern[str], expected: str) -> list[tuple[Path, re.Match[str]]]:
    """List a folder's files in natural order, dotfiles left out; every name must fit the pattern.

    Args:
        expected: the names that fit, in words, for the error.

    Raises:
        InputError: the folder is missing or empty, or a name or a kind of file does not fit.
    """
    try:
        with os.scandir(folder) as entries:
            regular = {e.name: _is_file(e) for e in entries if not e.name.startswith(".")}
    except OSError as error:
        raise InputError(
            f"{shown(folder)}: cannot be listed ({error.strerror}); expected a folder of {expected}; "
            "give --data the folder that holds p1_data and p2_data"
        ) from None
    if not regular:
        raise InputError(f"{shown(folder)}: the folder is empty; expected {expected}; put the data there")
    names = sorted(regular, key=natural_key)
    return [(folder / name, _fit(folder / name, regular[name], pattern, expected)) for name in names]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False


def _fit(path: Path, regular: bool, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
    if not regular:
        raise InputError(f"{shown(path)}: not a regular file; expected {expected}; remove it")
    match = pattern.fullmatch(path.name)
    if match is None or not path.name.isprintable():
        raise InputError(f"{shown(path)}: the name does not fit; expected {expected}; rename or remove it")
    return match
