"""Is this data whole? Every file of a folder is counted, decoded and hashed, and every fault is listed.

The readers and decoders are those of a run, which stops at the first fault; here all of them are listed. So a
run refuses nothing that is not listed here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.runs.tiers import SMOKE
from reference.data import (
    OFFICIAL_COUNTS,
    READERS,
    ROOTS,
    classification50,
    first_classes,
    landcover,
    source_of,
    with_mask_values,
)
from reference.data import labelled as labelled_images
from reference.data.cache import in_threads
from reference.data.dataset import (
    ManifestEntry,
    Palette,
    absent_classes,
    check_can_hold_out,
    class_pixels,
    repeats,
)
from reference.data.decode import check_same_size
from reference.data.images import decode_image, read_bytes
from reference.data.landcover import mask_from_bytes
from reference.data.listing import Item, Listing, is_folder, list_folder, shown
from reference.errors import InputError
from reference.files import write_atomically

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Folder:
    """One folder of a role, and which names belong there."""

    role: str
    path: str
    pattern: re.Pattern[str]


FOLDERS: tuple[Folder, ...] = (
    Folder("classification50", "p1_data/train_50", classification50.FILE_NAME),
    Folder("classification50", "p1_data/val_50", classification50.FILE_NAME),
    Folder("miniimagenet", "p1_data/mini/train", labelled_images.FILE_NAME),
    Folder("officehome", "p1_data/office/train", labelled_images.FILE_NAME),
    Folder("officehome", "p1_data/office/val", labelled_images.FILE_NAME),
    Folder("landcover", "p2_data/train", landcover.FILE_NAME),
    Folder("landcover", "p2_data/validation", landcover.FILE_NAME),
)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        files: sha256 of every file that was read, by its path below the folder.
        faults: one line each; a run refuses data with any of them.
        warnings: one line each; a run says them and goes on.
        counts: files of each folder that is there.
        verdicts: of each role that is there, whether its counts are the official ones, in words.
    """

    files: dict[str, str]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: dict[str, int]
    verdicts: dict[str, str]


@dataclass(frozen=True)
class File:
    """One file: its sha256, its fault ("" for none), and of a mask the pixels of each class."""

    digest: str
    fault: str = ""
    pixels: tuple[int, ...] = ()


def check_data(
    source: Path,
    progress: Progress = lambda done, count: None,
    *,
    mask_values: Sequence[str] = (),
) -> Checked:
    """Count, decode and hash every file of every role under ``source``.

    Args:
        progress: called with (files done, files).
        mask_values: what the values in masks mean, as ``reference.data.mask_values.stated`` takes it.

    Raises:
        InputError: no such folder, or none of the official layout's folders is in it.
    """
    if not is_folder(source):
        raise InputError(f"{shown(source)}: no such folder; give the one that holds p1_data or p2_data")
    there = [f for f in FOLDERS if is_folder(source / f.path) or is_folder(source / ROOTS[f.role])]
    if not there:
        wanted = ", ".join(folder.path for folder in FOLDERS)
        raise InputError(
            f"{shown(source)}: found none of {wanted}; give the folder that holds p1_data or p2_data"
        )
    faults: list[str] = []
    listings, verdicts = dict[str, Listing](), dict[str, str]()
    for role in dict.fromkeys(folder.role for folder in there):
        before = len(faults)
        listings[role] = with_mask_values(READERS[role](source, faults.append), mask_values)
        faults += _faults_of_classes(role, listings[role])
        verdicts[role] = _verdict(role, listings[role], faults[before:])
    image_of = {
        item.mask: item.image for role in listings for item in _items(listings[role]) if item.mask is not None
    }
    paths: dict[Path, Palette | None] = {}  # of masks alone a palette, where it could be read
    counts = {}
    for folder in there:
        files = list_folder(source / folder.path, folder.pattern, "", lambda _: None)
        counts[folder.path] = len(files)
        for path, match in files:
            masks = match.groupdict().get("kind") == "mask.png"
            paths[path] = listings[folder.role].palette if masks else None
    jobs = list(paths.items())
    read = in_threads(lambda i: _file(*jobs[i], image_of.get(jobs[i][0])), len(jobs), progress)
    by_path = dict(zip(paths, read, strict=True))
    faults += [file.fault for file in by_path.values() if file.fault]
    warnings = [
        f"{role}: {line}" for role, listing in listings.items() for line in _warnings(listing, by_path)
    ]
    # several checks see one fault from two sides
    unique = tuple(dict.fromkeys(line.removeprefix(f"{shown(source)}/") for line in faults))
    digests = {p.relative_to(source).as_posix(): file.digest for p, file in by_path.items() if file.digest}
    return Checked(digests, unique, tuple(warnings), counts, verdicts)


def write_manifest(checked: Checked, path: Path) -> None:
    """The hash of every file, and one of all together, as JSON. Raises: DiskError."""
    whole = hashlib.sha256(json.dumps(checked.files, sort_keys=True).encode()).hexdigest()
    body = {
        "sha256": whole,
        "counts": checked.counts,
        "faults": len(checked.faults),
        "warnings": list(checked.warnings),
        "files": checked.files,
    }
    write_atomically(path, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode())


def _items(listing: Listing) -> tuple[Item, ...]:
    return listing.train + listing.val


def _faults_of_classes(role: str, listing: Listing) -> list[str]:
    """What a run refuses once it picks classes, or a validation split where there is none."""
    faults = []
    try:
        if role != "landcover" and listing.classes:
            first_classes(role, listing, SMOKE[role]["num_classes"])
        if role == "miniimagenet" and listing.classes:
            check_can_hold_out([item.label for item in listing.train], listing.classes, role)
    except InputError as error:
        faults.append(str(error))
    return faults


def _file(path: Path, palette: Palette | None, image: Path | None) -> File:
    """Read and decode a file; of a mask with a readable palette the classes too, and its image's size."""
    digest = ""
    try:
        blob = read_bytes(path)
        digest = hashlib.sha256(blob).hexdigest()
        if palette is None:
            decode_image(blob, shown(path))
            return File(digest)
        mask = mask_from_bytes(blob, palette, shown(path))
        if image is not None:
            check_same_size(image, path, mask)
    except InputError as error:
        return File(digest, str(error))
    return File(digest, pixels=class_pixels(mask, palette))


def _warnings(listing: Listing, files: dict[Path, File]) -> list[str]:
    entries, lines = [], list[str]()
    for split, items in (("train", listing.train), ("val", listing.val)):
        for item in items:
            target = item.label if item.mask is None else files[item.mask].digest
            entries.append(ManifestEntry(split, item.id, files[item.image].digest, target))
        if listing.palette is not None:
            each = [pixels for item in items if item.mask and (pixels := files[item.mask].pixels)]
            if each:
                counts = [sum(pixels) for pixels in zip(*each, strict=True)]
                lines += absent_classes(split, counts, listing.palette)
    return [*repeats([entry for entry in entries if entry.digest], listing.classes), *lines]


def _verdict(role: str, listing: Listing, faults: Sequence[str]) -> str:
    if faults:
        return f"cannot be read: {_count(faults, 'fault')} of names and labels"
    kind, note = source_of(role, listing)
    return f"{kind}: {note}"


def lines(checked: Checked) -> Iterator[str]:
    """The check in words: counts next to the official ones, what each role is, and the number of faults."""
    for folder in FOLDERS:
        if folder.path in checked.counts:
            yield f"{folder.path}: {checked.counts[folder.path]:,} files{_official(folder)}"
    for role, verdict in checked.verdicts.items():
        yield f"{role}: {verdict}"
    for warning in checked.warnings:
        yield f"warning: {warning}"
    faults, warnings = _count(checked.faults, "fault"), _count(checked.warnings, "warning")
    yield f"{len(checked.files):,} files read, {faults}, {warnings}"


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names):,} {what}{'s' * (len(names) != 1)}"


def _official(folder: Folder) -> str:
    counts = OFFICIAL_COUNTS[folder.role]
    count = counts["val" if "val" in folder.path else "train"] * (2 if folder.role == "landcover" else 1)
    return f" (official: {count:,})"
