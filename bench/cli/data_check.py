"""Is this data whole? Every file of a folder is counted, decoded and hashed, and every fault is listed.

The readers stop at the first fault, since a run needs none; here all of them are found, file by file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reference.data import OFFICIAL_COUNTS, OFFICIAL_PALETTE, READERS, source_of
from reference.data.cache import in_threads
from reference.data.dataset import Palette
from reference.data.description import find_description, read_palette
from reference.data.images import decode_image, read_bytes
from reference.data.labelled import read_rows
from reference.data.landcover import mask_from_bytes
from reference.data.listing import natural_key, shown
from reference.errors import InputError
from reference.files import write_atomically

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Folder:
    """One folder of a role: which names belong there, and the CSV that labels them where there is one."""

    role: str
    path: str
    pattern: str
    csv: str = ""
    optional_csv: bool = False


FOLDERS: tuple[Folder, ...] = (
    Folder("classification50", "p1_data/train_50", r"[0-9]+_[0-9]+\.png"),
    Folder("classification50", "p1_data/val_50", r"[0-9]+_[0-9]+\.png"),
    Folder("miniimagenet", "p1_data/mini/train", r".+\.jpg", "p1_data/mini/train.csv", optional_csv=True),
    Folder("officehome", "p1_data/office/train", r".+\.jpg", "p1_data/office/train.csv"),
    Folder("officehome", "p1_data/office/val", r".+\.jpg", "p1_data/office/val.csv"),
    Folder("landcover", "p2_data/train", r".+_(sat\.jpg|mask\.png)"),
    Folder("landcover", "p2_data/validation", r".+_(sat\.jpg|mask\.png)"),
)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        files: sha256 of every file that was read, by its path below the folder.
        faults: one line each.
        counts: files of each folder that is there.
        verdicts: of each role that is there, whether its counts are the official ones, in words.
    """

    files: dict[str, str]
    faults: tuple[str, ...]
    counts: dict[str, int]
    verdicts: dict[str, str]


def check(source: Path, progress: Progress = lambda done, count: None) -> Checked:
    """Count, decode and hash every file of every role under ``source``.

    Args:
        progress: called with (files done, files).

    Raises:
        InputError: no such folder, or none of the official layout's folders is in it.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; give the one that holds p1_data or p2_data")
    there = [folder for folder in FOLDERS if (source / folder.path).is_dir()]
    if not there:
        wanted = ", ".join(folder.path for folder in FOLDERS)
        raise InputError(f"{source}: found none of {wanted}; give the folder that holds p1_data or p2_data")
    palette, faults = _palette(source)
    roles = dict.fromkeys(folder.role for folder in there)
    faults += [f"{f.path}: no such folder" for f in FOLDERS if f.role in roles and f not in there]
    jobs: list[tuple[Folder, Path]] = []
    for folder in there:
        names, wrong = _names(source / folder.path, folder)
        faults += wrong + _labels(source, folder, names)
        jobs += [(folder, source / folder.path / name) for name in names]
    results = in_threads(lambda i: _file(*jobs[i], palette), len(jobs), progress)
    digests: dict[str, str] = {}
    for (_, path), (digest, fault) in zip(jobs, results, strict=True):
        if digest:
            digests[path.relative_to(source).as_posix()] = digest
        faults += [fault] if fault else []
    # several checks see one fault from two sides
    unique = tuple(dict.fromkeys(line.removeprefix(f"{shown(source)}/") for line in faults))
    counts = {folder.path: sum(job[0] is folder for job in jobs) for folder in there}
    return Checked(digests, unique, counts, {role: _verdict(source, role) for role in roles})


def write_manifest(checked: Checked, path: Path) -> None:
    """The hash of every file, and one of all together, as JSON. Raises: DiskError."""
    whole = hashlib.sha256(json.dumps(checked.files, sort_keys=True).encode()).hexdigest()
    body = {"sha256": whole, "counts": checked.counts, "faults": len(checked.faults), "files": checked.files}
    write_atomically(path, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode())


def _palette(source: Path) -> tuple[Palette, list[str]]:
    description = find_description(source / "p2_data")
    if description is None:
        return OFFICIAL_PALETTE, []
    try:
        return read_palette(description)[1], []
    except InputError as error:
        return OFFICIAL_PALETTE, [str(error)]


def _names(place: Path, folder: Folder) -> tuple[list[str], list[str]]:
    """The files to decode, in natural order, and a line for each thing that has no business there."""
    names, faults = [], []
    for entry in sorted(place.iterdir(), key=lambda path: natural_key(path.name)):
        if entry.name.startswith("."):
            continue
        if not re.fullmatch(folder.pattern, entry.name) or not entry.name.isprintable():
            faults.append(f"{shown(entry)}: the name does not fit; rename or remove it")
        elif not entry.is_file():
            faults.append(f"{shown(entry)}: not a regular file; remove it")
        else:
            names.append(entry.name)
    if not names:
        faults.append(f"{shown(place)}: no file that belongs there; put the data there")
    return names, faults


def _labels(source: Path, folder: Folder, names: list[str]) -> list[str]:
    """Rows without a file, files without a row, images without a mask and masks without an image."""
    if folder.role == "landcover":
        kinds = {kind: {n.removesuffix(kind) for n in names if n.endswith(kind)} for kind in _PAIR}
        (images, masks), place = kinds.values(), source / folder.path
        lines = [f"{shown(place / name)}_sat.jpg: no mask beside it" for name in images - masks]
        return sorted(
            lines + [f"{shown(place / name)}_mask.png: no image beside it" for name in masks - images]
        )
    if not folder.csv or (folder.optional_csv and not (source / folder.csv).exists()):
        return []
    try:
        listed = {row.filename: row.line for row in read_rows(source / folder.csv)}
    except InputError as error:
        return [str(error)]
    where, there = shown(source / folder.csv), set(names)
    lost = [
        f"{where}: line {line} lists {n!r}, which is not there"
        for n, line in listed.items()
        if n not in there
    ]
    return lost + [f"{shown(source / folder.path / n)}: not in {where}" for n in names if n not in listed]


_PAIR = ("_sat.jpg", "_mask.png")


def _file(folder: Folder, path: Path, palette: Palette) -> tuple[str, str]:
    """A file's sha256 and its fault, each empty where there is none."""
    digest = ""
    try:
        blob = read_bytes(path)
        digest = hashlib.sha256(blob).hexdigest()
        if path.name.endswith("_mask.png") and folder.role == "landcover":
            height, width = mask_from_bytes(blob, palette, shown(path)).shape
            image = path.with_name(path.name.replace("_mask.png", "_sat.jpg"))
            size = decode_image(read_bytes(image), shown(image)).size if image.is_file() else (width, height)
            if size != (width, height):
                return digest, f"{shown(path)}: {width} x {height}, its image is {size[0]} x {size[1]}"
        else:
            decode_image(blob, shown(path))
    except InputError as error:
        return digest, str(error)
    return digest, ""


def _verdict(source: Path, role: str) -> str:
    try:
        kind, said = source_of(role, READERS[role](source))
    except InputError as error:
        return f"cannot be read: {str(error).removeprefix(f'{source}/')}"
    return f"{kind}: {said}"


def lines(checked: Checked) -> Iterator[str]:
    """The check in words: counts beside the official ones, what each role is, and the number of faults."""
    for folder in FOLDERS:
        if folder.path in checked.counts:
            yield f"{folder.path}: {checked.counts[folder.path]:,} files{_official(folder)}"
    for role, said in checked.verdicts.items():
        yield f"{role}: {said}"
    yield f"{len(checked.files):,} files read, {len(checked.faults):,} faults"


def _official(folder: Folder) -> str:
    counts = OFFICIAL_COUNTS[folder.role]
    count = counts["val" if "val" in folder.path else "train"] * (2 if folder.role == "landcover" else 1)
    return f" (official: {count:,})"
