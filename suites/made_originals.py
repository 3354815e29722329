"""Small originals in the form in which the real ones are published, and the counts that go with them."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from reference.data import OFFICIAL_PALETTE
from reference.data.originals import ORIGINALS, Original

SIZES = {"Alarm_Clock": 7, "Bed": 11, "Mug": 5}
SYNSETS = tuple(f"n0{i}532829" for i in range(4))
EACH = 6
CIFAR_CLASSES = ("apple", "baby", "bear", "bed", "bee", "boy")
PAIRS, SIDE = 8, 70

COUNTS: dict[str, dict[str, int]] = {
    "classification50": {"train": 15, "val": 3, "classes": 3},
    "miniimagenet": {"train": 24, "val": 0, "classes": 4},
    "officehome": {"train": 18, "val": 5, "classes": 3},
    "landcover": {"train": 14, "val": 5},
}
"""What takes the place of ``OFFICIAL_COUNTS``."""

MADE: dict[str, Original] = {
    "classification50": replace(ORIGINALS["classification50"], images=36, classes=6, per_class=6),
    "miniimagenet": replace(ORIGINALS["miniimagenet"], images=24, classes=4, per_class=6),
    "officehome": replace(ORIGINALS["officehome"], images=23, classes=3),
    "landcover": replace(ORIGINALS["landcover"], images=PAIRS, smallest=SIDE, largest=SIDE, tile=16),
}
"""What takes the place of ``ORIGINALS``."""


def picture(seed: int, side: int = 90, kind: str = "JPEG") -> bytes:
    """A file of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def office_home(folder: Path) -> Path:
    """Office-Home's folders; another domain lies next to the one that counts."""
    for k, (label, count) in enumerate(SIZES.items()):
        for i in range(count):
            write(folder / "Real World" / label / f"{i + 1:05d}.jpg", picture(100 * k + i))
    write(folder / "Art" / "Mug" / "00001.jpg", picture(999))
    return folder


def mini_folders(folder: Path) -> Path:
    """mini-ImageNet as folders of the three splits."""
    for k, synset in enumerate(SYNSETS):
        for i in range(EACH):
            write(folder / "train" / synset / f"{synset}{i:08d}.jpg", picture(100 * k + i))
    write(folder / "test" / "n99" / "n9900000001.jpg", picture(999))
    return folder


def mini_table(folder: Path) -> Path:
    """mini-ImageNet as ``train.csv`` and one folder of all images, those of other splits too."""
    rows = []
    for k, synset in enumerate(SYNSETS):
        for i in range(EACH):
            name = f"{synset}{i:08d}.jpg"
            write(folder / "images" / name, picture(100 * k + i))
            rows.append((name, synset))
    write(folder / "images" / "n9900000001.jpg", picture(999))
    text = io.StringIO()
    csv.writer(text).writerows([("filename", "label"), *rows])
    write(folder / "train.csv", text.getvalue().encode())
    return folder


def mini_tar(folder: Path) -> Path:
    """mini-ImageNet as a tar of folders named by class."""
    unpacked = mini_folders(folder / "unpacked")
    with tarfile.open(folder / "train.tar", "w") as archive:
        for synset in SYNSETS:
            archive.add(unpacked / "train" / synset, arcname=synset)
    return folder / "train.tar"


def cifar_records() -> bytes:
    """``train.bin``: coarse label, fine label, three planes; the classes in turn."""
    generator = np.random.default_rng(0)
    return b"".join(
        bytes((0, i % len(CIFAR_CLASSES))) + generator.integers(0, 256, 3072, dtype=np.uint8).tobytes()
        for i in range(36)
    )


def cifar_folder(folder: Path) -> Path:
    """The unpacked binary archive."""
    write(folder / "cifar-100-binary" / "train.bin", cifar_records())
    write(folder / "cifar-100-binary" / "fine_label_names.txt", "\n".join(CIFAR_CLASSES).encode() + b"\n")
    return folder


def cifar_archive(folder: Path) -> Path:
    """The binary archive as it is published."""
    unpacked = cifar_folder(folder / "unpacked")
    with tarfile.open(folder / "cifar-100-binary.tar.gz", "w:gz") as archive:
        archive.add(unpacked / "cifar-100-binary", arcname="cifar-100-binary")
    return folder / "cifar-100-binary.tar.gz"


def deep_globe(folder: Path) -> Path:
    """Pairs with masks of every class; the first quarter of each mask is unknown."""
    for i in range(PAIRS):
        classes = np.random.default_rng(i).integers(0, 7, (SIDE, SIDE)).astype(np.uint8)
        classes[: SIDE // 2, : SIDE // 2] = OFFICIAL_PALETTE.unknown_index
        buffer = io.BytesIO()
        Image.fromarray(OFFICIAL_PALETTE.encode(classes)).save(buffer, format="PNG")
        write(folder / "train" / f"{i * 37}_mask.png", buffer.getvalue())
        write(folder / "train" / f"{i * 37}_sat.jpg", picture(i, SIDE))
    return folder


FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "office folders": ("officehome", office_home),
    "mini folders": ("miniimagenet", mini_folders),
    "mini table": ("miniimagenet", mini_table),
    "mini tar": ("miniimagenet", mini_tar),
    "cifar folder": ("classification50", cifar_folder),
    "cifar archive": ("classification50", cifar_archive),
    "deepglobe pairs": ("landcover", deep_globe),
}
"""form → its role, and what writes it below a folder."""
