"""Turn a published data set into the official layout: ``bench data prepare``.

A split or cut that is not published is drawn by seed with the official counts. The ``dataset.toml`` says so,
and the data are labelled *public originals*. It is written first, marked as unfinished, so a run never takes
a part for the whole. The draw hashes names, so it depends on no library. Repeat the command to resume.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image

from reference.data.cache import Progress, in_threads
from reference.data.dataset import OFFICIAL_PALETTE
from reference.data.description import FILE_NAME, read_original
from reference.data.images import decode_image, read_bytes
from reference.data.landcover import decode_mask
from reference.data.listing import is_folder, shown
from reference.data.originals import CIFAR_SIDE, EXPECTED, FoundImage, Original, check_sides, find_pictures
from reference.errors import DiskError, InputError
from reference.files import make_folder, named_in_errors, remove_leftovers, write_atomically

FOLDERS: dict[str, tuple[str, str, str]] = {
    "classification50": ("p1_data", "train_50", "val_50"),
    "miniimagenet": ("p1_data/mini", "train", ""),
    "officehome": ("p1_data/office", "train", "val"),
    "landcover": ("p2_data", "train", "validation"),
}
"""role → where its ``dataset.toml`` lies, and below it the folders of both splits."""

GRID = 4
"""Tiles a row and a column of an image that is cut."""
QUALITY = 95
"""The JPEG quality of a tile."""


@dataclass(frozen=True)
class SplitCounts:
    """How many images each split gets, of how many classes."""

    train: int
    val: int
    classes: int


@dataclass(frozen=True)
class PreparationJob:
    """One image of the original, and the files that it becomes.

    Attributes:
        files: their places below the role's folder, in order.
        make: their bytes, after the image was checked. Raises: InputError.
        link: the file that a hard link may stand for; None where other bytes are written.
    """

    files: tuple[str, ...]
    make: Callable[[], list[bytes]]
    link: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """What a preparation did: images of both splits, and how many originals were there already."""

    folder: Path
    train: int
    val: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What to make of a role's public original.

    Attributes:
        original: what is published of it; ``counts``: what the official data have of it.
        seed: of the split; images of an original without one to draw are all kept.
        copy: copy image files in place of hard links.
        progress: called with (images done, images).
    """

    role: str
    original: Original
    counts: SplitCounts
    seed: int = 0
    copy: bool = False
    progress: Progress = lambda done, count: None

    def describe(self, folder: Path, *, complete: bool, digest: str = "") -> None:
        """Write the ``dataset.toml``. Raises: DiskError."""
        text = json.dumps  # a JSON string of printable ASCII is a TOML string
        lines = [
            f"# Made by: bench data prepare {self.role} --seed {self.seed}",
            f"name = {text(self.original.title)}",
            "",
            "[original]",
            f"role = {text(self.role)}",
            f"split = {text(self.original.split)}",
            f"seed = {self.seed}",
            f"complete = {'true' if complete else 'false'}",
            *([f"sha256 = {text(digest)}"] if digest else []),
        ]
        write_atomically(folder / FILE_NAME, ("\n".join(lines) + "\n").encode())

    def check_free(self, folder: Path, splits: Iterable[str]) -> None:
        """Raise InputError unless the folder is free, or holds the same preparation."""
        path = folder / FILE_NAME
        if os.path.lexists(path):
            table = read_original(path)
            if table is not None and (table.role, table.seed) == (self.role, self.seed):
                return
            same_role = table is not None and table.role == self.role
            found = f"this data with seed {table.seed}" if table and same_role else "other data"
            raise InputError(f"{shown(path)}: describes {found}; remove {shown(folder)} or name another --to")
        for split in splits:
            if is_folder(folder / split) and any((folder / split).iterdir()):
                raise InputError(
                    f"{shown(folder / split)}: holds files that were not prepared here; name another --to"
                )


def prepare(wanted: Preparation, source: Path, target: Path) -> Prepared:
    """Write a role's public original to ``target`` in the official layout.

    Args:
        source: the original as published; see ``reference.data.originals.EXPECTED``.
        target: the folder that is then given to ``--data``.

    Raises:
        InputError: the original is not the published one; every odd file has its line.
        DiskError: a file cannot be written. Give the command again to go on.
    """
    role, faults = wanted.role, list[str]()
    if not source.exists():
        raise InputError(f"{shown(source)}: no such file or folder; give --from {EXPECTED[role]}")
    root, train, val = FOLDERS[role]
    folder, splits = target / root, tuple(filter(None, (train, val)))
    wanted.check_free(folder, splits)
    pictures = find_pictures(role, source, wanted.original, faults.append)
    _refuse(faults)
    jobs, tables = JOBS[role](pictures, wanted)
    wanted.describe(folder, complete=False)
    for split in splits:
        make_folder(folder / split)
        remove_leftovers(folder / split)
    placed = list(in_threads(lambda i: _place(folder, jobs[i]), len(jobs), wanted.progress))
    _refuse([fault for _, _, fault in placed if fault])
    _remove_others(folder, splits, {file for job in jobs for file in job.files})
    for name, rows in tables.items():
        write_atomically(folder / name, rows)
    os.sync()  # files are placed without a sync each, before the description says that they are whole
    digest = hashlib.sha256("".join(digest for digest, _, _ in placed).encode()).hexdigest()
    wanted.describe(folder, complete=True, digest=digest)
    files = [file for job in jobs for file in job.files if not file.endswith("_mask.png")]
    in_val = sum(bool(val) and file.startswith(f"{val}/") for file in files)
    return Prepared(folder, len(files) - in_val, in_val, sum(kept for _, kept, _ in placed))


def _refuse(faults: Sequence[str]) -> None:
    """Raise InputError with a line for each fault, if there are any."""
    if faults:
        unique = tuple(dict.fromkeys(faults))
        raise InputError("\n".join((*unique, f"{len(unique)} faults; nothing counts as prepared until they "
                                   "are mended; then give the same command again")))  # fmt: skip


def _place(folder: Path, job: PreparationJob) -> tuple[str, bool, str]:
    """Write a job's files. Returns their hash, whether all were there already, and the fault or ""."""
    try:
        if job.link is not None and _is_link(job.link, folder / job.files[0]):
            return hashlib.sha256(read_bytes(job.link)).hexdigest(), True, ""
        blobs = job.make()
    except InputError as error:
        return "", False, str(error)
    kept = True
    for file, blob in zip(job.files, blobs, strict=True):
        kept &= _put(folder / file, blob, job.link)
    return hashlib.sha256(b"".join(blobs)).hexdigest(), kept, ""


def _is_link(source: Path, path: Path) -> bool:
    try:
        return os.path.samefile(source, path)
    except OSError:
        return False


def _put(path: Path, blob: bytes, link: Path | None) -> bool:
    """Link or write one file under its name, whole or not at all. Returns whether it was there already."""
    if link is None and path.is_file() and path.read_bytes() == blob:
        return True
    temporary = path.with_name(f".{path.name}.tmp")
    with named_in_errors(path):
        try:
            if link is None:
                temporary.write_bytes(blob)
            else:
                temporary.unlink(missing_ok=True)
                os.link(link, temporary)
            os.replace(temporary, path)
        except OSError as error:
            if link is not None and error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise DiskError(
                    f"{shown(path)}: no hard link to {shown(link)} is possible ({error.strerror}); "
                    "give the command again with --copy"
                ) from None
            raise
        finally:
            temporary.unlink(missing_ok=True)
    return False


def _remove_others(folder: Path, splits: Iterable[str], files: set[str]) -> None:
    """Remove what an earlier preparation of another original has left."""
    for split in filter(None, splits):
        for entry in os.scandir(folder / split):
            if f"{split}/{entry.name}" not in files:
                os.unlink(entry.path)


def drawn(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that the seed decides: by sha256, so that every machine draws the same."""
    return sorted(names, key=lambda name: _rank(name, seed))


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()


def shares(total: int, sizes: Sequence[int]) -> list[int]:
    """``total`` divided in proportion to ``sizes``, in whole numbers, by largest remainders.

    >>> shares(5, [10, 10, 20])
    [1, 1, 3]
    """
    whole = sum(sizes)
    parts = [total * size // whole for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (-(total * sizes[i] % whole), -sizes[i], i))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts


Jobs = tuple[list[PreparationJob], dict[str, bytes]]


def _labelled(pictures: list[FoundImage], wanted: Preparation) -> Jobs:
    """Jobs of images with a CSV of labels; the validation split has every class in proportion."""
    by_class = defaultdict(list)
    for picture in pictures:
        by_class[picture.label].append(picture.name)
    quota = shares(wanted.counts.val, [len(names) for names in by_class.values()])
    val = {
        name
        for names, k in zip(by_class.values(), quota, strict=True)
        for name in drawn(names, wanted.seed)[:k]
    }
    jobs, rows = [], {"train": list[tuple[str, str]](), "val": list[tuple[str, str]]()}
    for picture in pictures:
        split = "val" if picture.name in val else "train"
        name = f"{picture.label}_{Path(picture.name).stem}.jpg"
        rows[split].append((name, picture.label))
        link = None if wanted.copy else picture.path
        jobs.append(PreparationJob((f"{split}/{name}",), partial(_as_it_is, picture, wanted.original), link))
    return jobs, {f"{split}.csv": _csv(lines) for split, lines in rows.items() if lines}


def _csv(rows: Iterable[tuple[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "filename", "label"))
    writer.writerows((i, name, label) for i, (name, label) in enumerate(rows))
    return text.getvalue().encode()


def _as_it_is(picture: FoundImage, original: Original) -> list[bytes]:
    blob = picture.read() if picture.path is None else read_bytes(picture.path)
    name = shown(picture.path or picture.name)
    check_sides(name, decode_image(blob, name, formats=("JPEG", "PNG")).size, original)
    return [blob]


def _numbered(pictures: list[FoundImage], wanted: Preparation) -> Jobs:
    """Jobs of the drawn classes, numbered in natural order of their names; ``classes.csv`` names them."""
    by_class = defaultdict(list)
    for picture in pictures:
        by_class[picture.label].append(picture)
    chosen = set(drawn(by_class, wanted.seed)[: wanted.counts.classes])
    labels = [label for label in sorted(by_class) if label in chosen]
    held, jobs = wanted.counts.val // wanted.counts.classes, []
    for number, label in enumerate(labels):
        of_class = by_class[label]
        val = set(drawn((picture.name for picture in of_class), wanted.seed)[:held])
        for i, picture in enumerate(of_class):
            folder = "val_50" if picture.name in val else "train_50"
            jobs.append(PreparationJob((f"{folder}/{number}_{i}.png",), partial(_planes_as_png, picture)))
    return jobs, {"classes.csv": "".join(f"{i},{name}\n" for i, name in enumerate(labels)).encode()}


def _planes_as_png(picture: FoundImage) -> list[bytes]:
    planes = np.frombuffer(picture.read(), dtype=np.uint8).reshape(3, CIFAR_SIDE, CIFAR_SIDE)
    return [_encoded(planes.transpose(1, 2, 0), "PNG")]


def _encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format=kind, **options)
    return buffer.getvalue()


def _tiles(pictures: list[FoundImage], wanted: Preparation) -> Jobs:
    """Jobs of tiles; whole originals go to one split, and each gives as many tiles as any other, or one less.

    Every mask is read first, since a tile that nobody labelled is of no use.
    """
    counts, original = wanted.counts, wanted.original
    read = list(in_threads(lambda i: _labelled_tiles(pictures[i], original), len(pictures), wanted.progress))
    _refuse([fault for _, fault in read if fault])
    usable = {picture.name: tiles for picture, (tiles, _) in zip(pictures, read, strict=True)}
    by_name = {picture.name: picture for picture in pictures}
    order = drawn(usable, wanted.seed)
    held = shares(len(order), [counts.val, counts.train])[0]
    jobs = []
    for split, names, total in (
        ("validation", order[:held], counts.val),
        ("train", order[held:], counts.train),
    ):
        number = 0
        for name, tiles in _drawn_tiles({name: usable[name] for name in names}, total, wanted.seed).items():
            files = [
                f"{split}/{number + i:04d}_{kind}"
                for i in range(len(tiles))
                for kind in ("sat.jpg", "mask.png")
            ]
            jobs.append(PreparationJob(tuple(files), partial(_cut, by_name[name], tiles, original)))
            number += len(tiles)
    return jobs, {}


def _labelled_tiles(picture: FoundImage, original: Original) -> tuple[list[int], str]:
    """The tiles of a picture that hold a labelled pixel, and its fault or ""."""
    try:
        rgb = _pixels(picture.mask, original)
        decode_mask(rgb, OFFICIAL_PALETTE, name=shown(str(picture.mask)))
    except InputError as error:
        return [], str(error)
    return [i for i, tile in enumerate(_grid(rgb, original.tile)) if (tile >= 128).any()], ""


def _pixels(path: Path | None, original: Original) -> np.ndarray:
    """An image of the published size as (H, W, 3). Raises: InputError."""
    assert path is not None
    image = decode_image(read_bytes(path), shown(path))
    check_sides(shown(path), image.size, original)
    return np.asarray(image)


def _grid(pixels: np.ndarray, tile: int) -> list[np.ndarray]:
    """The tiles of an image, row by row, from the middle of it."""
    top, left = ((side - GRID * tile) // 2 for side in pixels.shape[:2])
    return [
        pixels[top + row * tile :, left + column * tile :][:tile, :tile]
        for row in range(GRID)
        for column in range(GRID)
    ]


def _drawn_tiles(usable: dict[str, list[int]], total: int, seed: int) -> dict[str, list[int]]:
    """``total`` tiles: the first of every picture in the seed's order, then the second of every one, …"""
    orders = {
        name: sorted(tiles, key=lambda tile: _rank(f"{name} {tile}", seed)) for name, tiles in usable.items()
    }
    turns = [
        (name, tile)
        for turn in zip_longest(*orders.values())
        for name, tile in zip(orders, turn, strict=True)
    ]
    some = [(name, tile) for name, tile in turns if tile is not None][:total]
    if len(some) < total:
        raise InputError(
            f"masks: {len(some):,} labelled tiles; expected {total:,}; get the published masks again"
        )
    tiles_of: dict[str, list[int]] = defaultdict(list)
    for name, tile in some:
        tiles_of[name].append(tile)
    return tiles_of


def _cut(picture: FoundImage, tiles: Sequence[int], original: Original) -> list[bytes]:
    """Image and mask of each tile, in turn."""
    images, masks = (_grid(_pixels(path, original), original.tile) for path in (picture.path, picture.mask))
    return [
        blob
        for tile in tiles
        for blob in (
            _encoded(images[tile], "JPEG", quality=QUALITY, subsampling=0),
            _encoded(masks[tile], "PNG"),
        )
    ]


JOBS: dict[str, Callable[[list[FoundImage], Preparation], Jobs]] = {
    "classification50": _numbered,
    "miniimagenet": _labelled,
    "officehome": _labelled,
    "landcover": _tiles,
}
