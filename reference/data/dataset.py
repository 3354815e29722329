"""The types of a data set, whether it comes from files or from code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from reference.errors import InputError

PUBLIC: Literal["public-originals"] = "public-originals"
"""Data that ``bench data prepare`` rebuilt from their published original, with a split of its own."""

Source = Literal["official", "public-originals", "stand-in", "synthetic"]


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split, decoded and resized.

    Attributes:
        ids: one name per image, in the order of the arrays.
        images: (N, H, W, 3) uint8, RGB, or signals (N, L) float32; read-only, and a memory map if there is
            a cache folder.
        targets: (N,) int64 labels (-1 without labels), or (N, H, W) uint8 class masks.
    """

    ids: tuple[str, ...]
    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: Sequence[int] | np.ndarray) -> Split:
        """Return the images at these positions, in memory."""
        ids = tuple(self.ids[i] for i in indices)
        return Split(ids=ids, images=self.images[indices], targets=np.asarray(self.targets)[indices])

    def spread(self, most: int) -> Split:
        """Return at most ``most`` of the images, evenly spread, in memory."""
        count = min(len(self), most)
        return self.take(np.arange(count) * len(self) // count)


@dataclass(frozen=True)
class Palette:
    """The colours that stand for classes in a mask.

    Attributes:
        classes: the scored classes; the index of a class is its position.
        colours: one (R, G, B) per class.
        unknown_index: index of pixels that nobody labelled, right after the classes.
        unknown_colour: their (R, G, B).
        binarise: read every channel as 0 or 255, split at 128, before looking a colour up.
        mask_values: the stated meaning of the values in masks (``reference.data.mask_values``):
            ``("colours",)``, or classes by value; empty if nobody stated it, which also means colours.
        labels: (value, class index) pairs if masks hold labels; empty if they hold colours.
    """

    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    unknown_index: int
    unknown_colour: tuple[int, int, int]
    binarise: bool = False
    mask_values: tuple[str, ...] = ()
    labels: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.colours) != len(self.classes) or self.unknown_index != len(self.classes):
            raise ValueError("a palette has one colour per class, and unknown comes right after the classes")

    @property
    def table(self) -> np.ndarray:
        """Return the colour of every index, unknown last: (K + 1, 3) uint8."""
        return np.array([*self.colours, self.unknown_colour], dtype=np.uint8)

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """Colour a mask: (..., H, W) uint8 class indices to (..., H, W, 3) uint8 RGB.

        Raises:
            ValueError: an index has no colour.
        """
        if mask.size and int(mask.max()) > self.unknown_index:
            raise ValueError(f"mask index {int(mask.max())} has no colour: the last is {self.unknown_index}")
        rgb: np.ndarray = self.table[mask]
        return rgb


# The DeepGlobe land-cover colours. Official masks may hold impure values, so the course's own reader
# binarises them, and so do we.
OFFICIAL_PALETTE = Palette(
    classes=("urban", "agriculture", "rangeland", "forest", "water", "barren"),
    colours=((0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255)),
    unknown_index=6,
    unknown_colour=(0, 0, 0),
    binarise=True,
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of one role: training split, validation split, and what identifies them.

    Attributes:
        role: key of ``reference.data.READERS`` or of ``reference.data.DRAWN``, or the name of your own data.
        source: official files (by their counts; your own data too), rebuilt from the public original, other
            files, or drawn by code.
        name: its name in tables.
        classes: outputs of the network; for land cover the last is ``"unknown"``; empty without labels.
        scored: indices of the classes that the score averages; unknown is never among them.
        palette: colours of the masks, None for classification.
        unique_val: number of distinct validation images, by content.
        manifest: sha256 over role, image size, classes, ids, targets and contents.
        counts_note: how far the source was checked, in words.
        warnings: one line for each thing that makes a score on these images less meaningful.
    """

    role: str
    source: Source
    name: str
    classes: tuple[str, ...]
    scored: tuple[int, ...]
    palette: Palette | None
    train: Split
    val: Split
    unique_val: int
    manifest: str
    counts_note: str
    warnings: tuple[str, ...] = ()


HELD_OUT = 20


def hold_out(dataset: Dataset) -> Dataset:
    """Hold out the last twentieth of each class as the validation split of a data set that has none.

    Raises:
        InputError: no labels, or a class has one image only, which cannot be in both splits.
    """
    check_can_hold_out(np.asarray(dataset.train.targets).tolist(), dataset.classes, dataset.role)
    labels = np.asarray(dataset.train.targets)
    kept, held = [], []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        count = max(1, len(of_class) // HELD_OUT)
        kept.append(of_class[:-count])
        held.append(of_class[-count:])
    train, val = (dataset.train.take(np.sort(np.concatenate(rows))) for rows in (kept, held))
    entries = [
        ManifestEntry(split, name, hashlib.sha256(image).hexdigest(), int(label))
        for split, part in (("train", train), ("val", val))
        for name, image, label in zip(part.ids, part.images, part.targets, strict=True)
    ]
    return replace(
        dataset,
        train=train,
        val=val,
        unique_val=len({entry.digest for entry in entries if entry.split == "val"}),
        counts_note=f"{dataset.counts_note}; no validation split: {len(val)} training images held out",
        warnings=tuple(f"{dataset.role}: {line}" for line in repeats(entries, dataset.classes)),
    )


@dataclass(frozen=True)
class ManifestEntry:
    """The identity of one image of a split: name, hash of the content, and label or hash of the mask."""

    split: str
    id: str
    digest: str
    target: int | str


def check_can_hold_out(labels: Sequence[int], classes: Sequence[str], role: str) -> None:
    """Raise InputError unless every class has an image to train on and one to hold out."""
    if not classes:
        raise InputError(f"{role}: no image has a label; expected a CSV with labels, train.csv; add it")
    single = [classes[label] for label, count in sorted(Counter(labels).items()) if count < 2]
    if single:
        raise InputError(
            f"{role}: class {', '.join(map(repr, single))} has one image; expected two, one to train on and "
            "one to validate; add images of it or leave it out"
        )


def repeats(entries: Sequence[ManifestEntry], classes: Sequence[str]) -> list[str]:
    """Return a line on images that are in both splits, and a line on images that have two labels, by content.

    Args:
        classes: names of the labels; not used if targets are masks.
    """
    first: dict[str, dict[str, ManifestEntry]] = {}
    shared, relabelled = [], []
    for entry in entries:
        same = first.setdefault(entry.digest, {})
        other = next((e for e in same.values() if e.split != entry.split), None)
        if other is not None:
            shared.append(f"{_named(other)} = {_named(entry)}")
        other = next((e for e in same.values() if e.target != entry.target), None)
        if other is not None:
            pair = (f"{_named(e)}{_target(e, classes)}" for e in (other, entry))
            relabelled.append(" = ".join(pair))
        same.setdefault(f"{entry.split} {entry.target}", entry)
    kind = "masks" if entries and isinstance(entries[0].target, str) else "labels"
    lines = []
    if shared:
        lines.append(f"{_counted(shared)} in both train and val: {_some(shared)}; remove one of each pair")
    if relabelled:
        lines.append(
            f"{_counted(relabelled)} there twice with different {kind}: {_some(relabelled)}; fix them"
        )
    return lines


NAMED = 5


def _counted(pairs: Sequence[str]) -> str:
    return "1 image is" if len(pairs) == 1 else f"{len(pairs):,} images are"


def _some(pairs: Sequence[str]) -> str:
    more = f" and {len(pairs) - NAMED:,} more" if len(pairs) > NAMED else ""
    return ", ".join(pairs[:NAMED]) + more


def _named(entry: ManifestEntry) -> str:
    return f"{entry.split}/{entry.id}"


def _target(entry: ManifestEntry, classes: Sequence[str]) -> str:
    return f" ({classes[entry.target]})" if isinstance(entry.target, int) and classes else ""


def class_pixels(masks: np.ndarray, palette: Palette) -> tuple[int, ...]:
    """Count the pixels of each class in (..., H, W) uint8 masks, unknown last: (K + 1,)."""
    return tuple(np.bincount(masks.ravel(), minlength=palette.unknown_index + 1).tolist())


def absent_classes(split: str, counts: Sequence[int], palette: Palette) -> list[str]:
    """Return a line on the scored classes that no mask of a split holds; ``counts`` is (K + 1,) pixels."""
    absent = [name for name, count in zip(palette.classes, counts, strict=False) if not count]
    if not absent:
        return []
    undefined = "; without them the mean IoU is undefined" if split == "val" else "; no model can learn them"
    return [f"{split}: no pixel of {', '.join(absent)} in any mask{undefined}"]


def manifest_hash(
    role: str,
    image_size: int,
    classes: Sequence[str],
    palette: Palette | None,
    entries: Sequence[ManifestEntry],
) -> str:
    """Hash everything in a data set, in order. Returns 64 hex digits."""
    colours = None if palette is None else palette.table.tolist()
    images = [[entry.split, entry.id, entry.digest, entry.target] for entry in entries]
    whole = [role, image_size, list(classes), colours, images]
    if palette is not None and palette.labels:
        whole.append(palette.labels)
    return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode()).hexdigest()
