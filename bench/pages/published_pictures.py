"""Pictures in the tracked results: small PNGs with a palette, and only those that a page shows.

A record holds the hash of the picture as it was drawn. ``figures/index.json`` holds that hash and the hash of
the smaller file for every published picture, so that ``bench report --check`` can check both.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from reference.errors import InputError
from reference.files import write_atomically

INDEX = "figures/index.json"
Index = dict[str, dict[str, str]]
"""File below the folder → ``{"drawn": sha256 in the record, "published": sha256 of the file}``."""

COLOURS = 64
"""Fewer change the lines of a chart to a neighbouring colour."""


def sha256(content: bytes) -> str:
    """Hexadecimal sha256."""
    return hashlib.sha256(content).hexdigest()


def with_palette(picture: bytes) -> bytes:
    """The PNG with at most 64 colours, or the PNG itself where that is the smaller file.

    Raises:
        OSError: no PNG.
    """
    with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
        small = image.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return min(buffer.getvalue(), picture, key=len)


def shrink(folder: Path) -> None:
    """Write published pictures of earlier versions with today's palette where that makes them smaller."""
    index = read_index(folder) or {}
    for file, entry in index.items():
        path = folder / file
        if path.suffix == ".png" and path.exists() and sha256(path.read_bytes()) == entry["published"]:
            small = with_palette(path.read_bytes())
            write_atomically(path, small)
            entry["published"] = sha256(small)
    write_index(folder, index)


def read_index(folder: Path) -> Index | None:
    """The index of a published folder; None for a folder of runs.

    Raises:
        InputError: the index cannot be read.
    """
    path = folder / INDEX
    if not path.exists():
        return None
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if not all({"drawn", "published"} == set(entry) for entry in index.values()):
            raise ValueError("an entry without drawn and published")
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: no index of pictures: {error}; write it with: bench publish") from error
    return dict(index)


def write_index(folder: Path, index: Index) -> None:
    """Write the index of a published folder."""
    write_atomically(folder / INDEX, (json.dumps(index, indent=0, sort_keys=True) + "\n").encode())


def shown(pages: Mapping[str, str]) -> set[str]:
    """Pictures that pages show or link to, by path below the folder."""
    pattern = re.compile(r"""(?:\]\(|src="|href=")(?:\.\./)?(figures/[^)"]+)""")
    return {file for text in pages.values() for file in pattern.findall(text)}


def surplus(folder: Path, pages: Mapping[str, str]) -> list[str]:
    """Files below ``figures`` that no page shows, sorted."""
    files = (path for path in (folder / "figures").rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix() for path in files}
    return sorted(names - shown(pages) - {INDEX})


def prune(folder: Path, pages: Mapping[str, str]) -> list[Path]:
    """Remove the pictures that no page shows, and their entries of the index; what was removed."""
    removed = [folder / name for name in surplus(folder, pages)]
    for path in removed:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    if (index := read_index(folder)) is not None:
        write_index(folder, {file: entry for file, entry in index.items() if (folder / file).exists()})
    return removed
