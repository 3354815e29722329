"""The published data sets that the official folders were made from, as people have them on disk.

Each role has one original. Here its files are found, named and counted; ``reference.data.prepare`` turns them
into the official layout. No pickled archive is read.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reference.data.labelled import read_rows
from reference.data.landcover import find_pairs
from reference.data.listing import Report, is_folder, list_folder, natural_key, shown
from reference.errors import InputError

JPEG_NAME = re.compile(r"(?P<id>.+)\.jpe?g", re.IGNORECASE)
CIFAR_SIDE = 32
CIFAR_RECORD = 2 + 3 * CIFAR_SIDE * CIFAR_SIDE
"""Bytes of one image: coarse label, fine label, then the red, green and blue planes."""


@dataclass(frozen=True, kw_only=True)
class Original:
    """What is published of a data set, to be checked before a file is written.

    Attributes:
        title: what it is called in ``dataset.toml`` and next to every figure.
        images, classes: their numbers; ``per_class`` where every class has as many.
        smallest, largest: sides in pixels between which every image lies.
        split: how the split and the cut are rebuilt, in words: the assumption of every verdict.
        tile: side in pixels of the tiles that are cut; land cover only.
    """

    title: str
    images: int
    classes: int
    split: str
    smallest: int
    largest: int
    per_class: int | None = None
    tile: int = 0


ORIGINALS: dict[str, Original] = {
    "classification50": Original(
        title="CIFAR-100, 50 classes drawn",
        images=50_000,
        classes=100,
        per_class=500,
        smallest=CIFAR_SIDE,
        largest=CIFAR_SIDE,
        split="the 50 classes, and the 50 validation images of each class's 500, are drawn by seed",
    ),
    "miniimagenet": Original(
        title="mini-ImageNet, training split",
        images=38_400,
        classes=64,
        per_class=600,
        smallest=84,
        largest=8192,
        split="all images of the training split are kept; there is nothing to draw",
    ),
    "officehome": Original(
        title="Office-Home, Real World",
        images=4_357,
        classes=65,
        smallest=32,
        largest=8192,
        split="the validation images are drawn by seed, from each class in proportion to its size",
    ),
    "landcover": Original(
        title="DeepGlobe land cover, tiles",
        images=803,
        classes=7,
        smallest=2448,
        largest=2448,
        tile=512,
        split="tiles of 512 x 512 pixels are drawn by seed from a 4 x 4 grid, unscaled; no image gives"
        " tiles to both splits",
    ),
}
"""role → the public original of its data."""


@dataclass(frozen=True)
class FoundImage:
    """One image of an original.

    Attributes:
        name: unique in the original, the same wherever it lies: the seed's draw depends on it.
        read: its bytes; of CIFAR-100 the three planes of its record.
        path: the file that holds it and nothing else; None inside an archive.
        mask: its mask's file; land cover only.
    """

    name: str
    label: str
    read: Callable[[], bytes]
    path: Path | None = None
    mask: Path | None = None


Finder = Callable[[Path, Original, Report], list[FoundImage]]


def find_pictures(role: str, source: Path, original: Original, report: Report) -> list[FoundImage]:
    """All images of a role's original, in natural order of their names.

    Args:
        report: told of every odd file, and of every count that is not the published one.
    """
    pictures = FINDERS[role](source, original, report)
    if not pictures:
        report(f"{shown(source)}: found no image of {original.title}; give --from {EXPECTED[role]}")
        return []
    if len(pictures) != original.images:
        report(
            f"{shown(source)}: found {len(pictures):,} images; published are {original.images:,} of "
            f"{original.title}; get the missing ones or remove the others"
        )
    by_class = Counter(picture.label for picture in pictures)
    if role != "landcover" and len(by_class) != original.classes:
        report(
            f"{shown(source)}: found {len(by_class)} classes; published are {original.classes} of "
            f"{original.title}; get the missing ones or remove the others"
        )
    for label, count in by_class.items():
        if original.per_class not in (None, count):
            report(
                f"{shown(source)}: class {label!r} has {count} images; published are {original.per_class}; "
                "get the missing ones or remove the others"
            )
    return sorted(pictures, key=lambda picture: natural_key(picture.name))


EXPECTED: dict[str, str] = {
    "classification50": "cifar-100-binary.tar.gz, or the folder with its train.bin and fine_label_names.txt",
    "miniimagenet": "the folder with train/CLASS/*.jpg, or train.csv and images/, or train.tar",
    "officehome": "the folder with 'Real World/CLASS/*.jpg'",
    "landcover": "the folder with *_sat.jpg and *_mask.png",
}
"""role → what ``--from`` takes, in words."""


def _office_home(source: Path, original: Original, report: Report) -> list[FoundImage]:
    for name in ("Real World", "Real_World", "RealWorld", "real_world"):
        if is_folder(source / name):
            return _class_folders(source / name, report)
    if is_folder(source / "Art") or is_folder(source / "Product"):
        report(f"{shown(source)}: found no folder 'Real World' next to the other domains; unpack it there")
        return []
    return _class_folders(source, report)


def _mini_imagenet(source: Path, original: Original, report: Report) -> list[FoundImage]:
    if source.is_file():
        return _tar(source, report)
    if os.path.lexists(source / "train.csv"):
        return _listed(source, report)
    if is_folder(source / "train"):
        return _class_folders(source / "train", report)
    if os.path.lexists(source / "train.tar"):
        return _tar(source / "train.tar", report)
    return _class_folders(source, report)


def _class_folders(folder: Path, report: Report) -> list[FoundImage]:
    """Images of ``folder/CLASS/*.jpg``."""
    try:
        entries = sorted(os.listdir(folder), key=natural_key)
    except OSError as error:
        report(f"{shown(folder)}: cannot be listed ({error.strerror}); expected folders named by class")
        return []
    pictures = []
    for label in (name for name in entries if not name.startswith(".")):
        if not is_folder(folder / label):
            report(f"{shown(folder / label)}: a file among the folders of classes; remove it")
            continue
        for path, _ in list_folder(folder / label, JPEG_NAME, "*.jpg", report):
            pictures.append(FoundImage(f"{label}/{path.name}", label, path.read_bytes, path))
    return pictures


def _listed(source: Path, report: Report) -> list[FoundImage]:
    """Images of ``images/`` that ``train.csv`` (filename,label) names; it may hold others of val and test."""
    folder = source / "images"
    files = {path.name: path for path, _ in list_folder(folder, JPEG_NAME, "*.jpg", report)}
    pictures = []
    for row in read_rows(source / "train.csv", report, ("filename", "label")):
        if row.filename in files:
            path = files[row.filename]
            pictures.append(FoundImage(f"{row.label}/{row.filename}", row.label, path.read_bytes, path))
        else:
            report(
                f"{shown(source / 'train.csv')}: line {row.line} lists {row.filename!r}, not found in "
                f"{shown(folder)}; add the file or remove the row"
            )
    return pictures


def _tar(path: Path, report: Report) -> list[FoundImage]:
    """Images of a tar with CLASS/*.jpg, below any folder; read in place, nothing is unpacked."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = [m for m in archive if not m.isdir() and not Path(m.name).name.startswith(".")]
    except (tarfile.TarError, OSError, EOFError) as error:
        cause = " ".join(str(error).split())
        report(f"{shown(path)}: not an uncompressed tar ({shown(cause)}); unpack it and give the folder")
        return []
    pictures = []
    for member in members:
        parts = member.name.split("/")
        if not member.isreg() or len(parts) < 2 or not JPEG_NAME.fullmatch(parts[-1]):
            report(f"{shown(path)}: member {member.name!r} does not fit; expected CLASS/*.jpg; unpack it and "
                   "remove that one")  # fmt: skip
        elif "test" in parts[:-2] or "val" in parts[:-2]:
            continue
        else:
            read = partial(_part, path, member.offset_data, member.size)
            pictures.append(FoundImage("/".join(parts[-2:]), parts[-2], read))
    return pictures


def _part(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def _cifar100(source: Path, original: Original, report: Report) -> list[FoundImage]:
    folder = source / "cifar-100-binary" if is_folder(source / "cifar-100-binary") else source
    archive = source if source.is_file() else source / "cifar-100-binary.tar.gz"
    read: Callable[[int, int], bytes]
    try:
        if os.path.lexists(folder / "train.bin"):
            records = folder / "train.bin"
            names = (folder / "fine_label_names.txt").read_text(encoding="utf-8").split()
            size, read = records.stat().st_size, partial(_part, records)
        elif archive.is_file():
            records = archive
            with tarfile.open(archive, "r:*") as members:
                blob = _member(members, "train.bin")
                names = _member(members, "fine_label_names.txt").decode().split()
            size, read = len(blob), lambda offset, count: blob[offset : offset + count]
        else:
            if any(os.path.lexists(source / name) for name in ("meta", "cifar-100-python")):
                report(
                    f"{shown(source)}: the pickled archive, which could run code and is not read; get "
                    "cifar-100-binary.tar.gz"
                )
            return []
    except (tarfile.TarError, OSError, EOFError, KeyError, UnicodeDecodeError) as error:
        cause = shown(" ".join(str(error).split()))
        report(f"{shown(source)}: cannot be read ({cause}); get cifar-100-binary.tar.gz again")
        return []
    if size != original.images * CIFAR_RECORD or len(names) != original.classes:
        report(
            f"{shown(records)}: {size:,} bytes and {len(names)} names of classes; expected "
            f"{original.images * CIFAR_RECORD:,} and {original.classes}; get cifar-100-binary.tar.gz again"
        )
        return []
    pictures = []
    for index in range(original.images):
        label = read(index * CIFAR_RECORD + 1, 1)[0]
        if label >= len(names):
            report(f"{shown(records)}: image {index} has label {label}; expected below {len(names)}; get "
                   "cifar-100-binary.tar.gz again")  # fmt: skip
            continue
        planes = partial(read, index * CIFAR_RECORD + 2, CIFAR_RECORD - 2)
        pictures.append(FoundImage(f"{names[label]}/{index}", names[label], planes))
    return pictures


def _member(members: tarfile.TarFile, name: str) -> bytes:
    """A file of ``cifar-100-binary``. Raises: KeyError."""
    file = members.extractfile(f"cifar-100-binary/{name}")
    if file is None:
        raise KeyError(name)
    return file.read()


def _deepglobe(source: Path, original: Original, report: Report) -> list[FoundImage]:
    folder = source / "train" if is_folder(source / "train") else source
    return [
        FoundImage(item.id, "", item.image.read_bytes, item.image, item.mask)
        for item in find_pairs(folder, report)
    ]


FINDERS: dict[str, Finder] = {
    "classification50": _cifar100,
    "miniimagenet": _mini_imagenet,
    "officehome": _office_home,
    "landcover": _deepglobe,
}


def check_sides(name: str, sides: Sequence[int], original: Original) -> None:
    """Raise InputError unless both sides of an image lie where the published ones do."""
    if not all(original.smallest <= side <= original.largest for side in sides):
        expected = (
            f"{original.smallest}" if original.smallest == original.largest
            else f"{original.smallest} to {original.largest}"
        )  # fmt: skip
        found = " x ".join(map(str, sides))
        raise InputError(f"{name}: {found} pixels; expected sides of {expected}; get the image again")
