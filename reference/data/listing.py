"""The files of a data set, found and checked by name before any of them is decoded."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from reference.data.dataset import Palette
from reference.errors import InputError

# A reader passes each fault to this function, as one line: a run stops at the first, a check lists them all.
Report = Callable[[str], None]


def refuse(fault: str) -> NoReturn:
    """Raise InputError."""
    raise InputError(fault)


@dataclass(frozen=True)
class Item:
    """One image file with its label (index into the classes, -1 for none) or its mask file.

    ``id`` is the file's name without its ending, in Unicode's composed form (NFC).
    """

    id: str
    image: Path
    label: int = -1
    mask: Path | None = None


@dataclass(frozen=True)
class RebuiltFrom:
    """What ``bench data prepare`` wrote of the public original that the data were rebuilt from."""

    role: str
    split: str
    seed: int
    complete: bool


@dataclass(frozen=True)
class Described:
    """What a ``dataset.toml`` says, and whether there is one."""

    name: str | None = None
    described: bool = False
    original: RebuiltFrom | None = None


@dataclass(frozen=True)
class Listing:
    """The files of one role, in natural order of their names.

    Attributes:
        classes: outputs of the network; empty if nothing is labelled.
        about: what a ``dataset.toml`` says. A set with such a file is not the official one.
    """

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    classes: tuple[str, ...]
    palette: Palette | None = None
    about: Described = Described()


class Reader(Protocol):
    """Finds the files of one role under a folder and checks their names and labels."""

    def __call__(self, source: Path, report: Report = refuse) -> Listing: ...


def natural_key(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Return a sort key that puts "2_sat" before "10_sat", the same on every file system and locale."""
    parts = re.split(r"([0-9]+)", name)
    # Numbers compare by length, then by digits, because int() refuses very long ones.
    numbers = (p.lstrip("0") if i % 2 else p for i, p in enumerate(parts))
    return tuple((len(p) if i % 2 else 0, p) for i, p in enumerate(numbers)), name


def shown(path: Path | str) -> str:
    """Return a path or a text for a one-line message, with unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def composed(name: str) -> str:
    """Return Unicode's composed form (NFC), because some file systems store "é" as two characters."""
    return unicodedata.normalize("NFC", name)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there. An unreadable one counts; listing it gives the reason."""
    try:
        return path.is_dir()
    except PermissionError:
        return True
    except OSError:  # a name that no file system takes
        return False


def list_folder(
    folder: Path, pattern: re.Pattern[str], expected: str, report: Report = refuse
) -> list[tuple[Path, re.Match[str]]]:
    """List a folder's files in natural order without dotfiles; every name must fit the pattern.

    Names are matched in their composed form (NFC).

    Args:
        expected: the names that fit, in words, for the error.
        report: gets every fault: a folder that is missing or empty, a name or a kind of file that does not
            fit, and two names that differ only in their Unicode form.
    """
    try:
        with os.scandir(folder) as entries:
            regular = {e.name: _is_file(e) for e in entries if not e.name.startswith(".")}
    except OSError as error:
        report(
            f"{shown(folder)}: cannot be listed ({error.strerror}); expected a folder of {expected}; "
            "give --data the folder that holds p1_data and p2_data"
        )
        return []
    if not regular:
        report(f"{shown(folder)}: the folder is empty; expected {expected}; put the data there")
    first: dict[str, str] = {}
    files = []
    for name in sorted(regular, key=lambda name: (natural_key(composed(name)), name)):
        path, match = folder / name, pattern.fullmatch(composed(name))
        if not regular[name]:
            report(f"{shown(path)}: not a regular file; expected {expected}; remove it")
        elif match is None or not name.isprintable():
            report(f"{shown(path)}: the name does not fit; expected {expected}; rename or remove it")
        elif composed(name) in first:
            forms = f"{first[composed(name)]!a} and {name!a}"
            report(f"{shown(path)}: two files of this name in two Unicode forms, {forms}; remove one of them")
        else:
            first[composed(name)] = name
            files.append((path, match))
    return files


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads back to itself
        return False
