"""The types that every data set is handed over in, whichever files or code it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from reference.errors import InputError

Source = Literal["official", "stand-in", "synthetic"]


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split, decoded and resized.

    Attributes:
        ids: one name per image, in the order of the arrays.
        images: (N, H, W, 3) uint8, RGB; read-only, and a memory map where a cache folder was given.
        targets: (N,) int64 labels (-1 where there are none), or (N, H, W) uint8 class masks.
    """

    ids: tuple[str, ...]
    images: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, at: Sequence[int] | np.ndarray) -> Split:
        """The images at those positions, in memory."""
        ids = tuple(self.ids[i] for i in at)
        return Split(ids=ids, images=self.images[at], targets=np.asarray(self.targets)[at])

    def spread(self, most: int) -> Split:
        """At most so many of the images, evenly spread, in memory."""
        count = min(len(self), most)
        return self.take(np.arange(count) * len(self) // count)


@dataclass(frozen=True)
class Palette:
    """The colours that stand for classes in a mask.

    Attributes:
        classes: the scored classes; a class's index is its position.
        colours: one (R, G, B) per class.
        unknown_index: index of pixels that nobody labelled, right after the classes.
        unknown_colour: their (R, G, B).
        binarise: read every channel as 0 or 255, split at 128, before looking a colour up.
    """

    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    unknown_index: int
    unknown_colour: tuple[int, int, int]
    binarise: bool = False

    def __post_init__(self) -> None:
        if len(self.colours) != len(self.classes) or self.unknown_index != len(self.classes):
            raise ValueError("a palette has one colour per class, and unknown comes right after the classes")

    @property
    def table(self) -> np.ndarray:
        """(K + 1, 3) uint8: the colour of every index, unknown last."""
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
    """One role's data: what to train on, what to score on, and what identifies it.

    Attributes:
        role: key of ``reference.data.READERS``.
        source: official files (by their counts), other files, or drawn by code.
        name: what a reader of a table calls it.
        classes: outputs of the network; for land cover the last is ``"unknown"``; empty without labels.
        scored: indices of the classes that the score averages; unknown is never among them.
        palette: colours of the masks, None for classification.
        unique_val: number of distinct validation images, by content.
        manifest: sha256 over role, image size, classes, ids, targets and contents.
        counts_note: how far the source was checked, in words.
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


HELD_OUT = 20


def hold_out(dataset: Dataset) -> Dataset:
    """A labelled data set without a validation split, the last twentieth of each class held out as one.

    Raises:
        InputError: a class has one image only, which cannot be in both splits.
    """
    labels = np.asarray(dataset.train.targets)
    kept, held = [], []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) < 2:
            raise InputError(
                f"{dataset.name}: class {dataset.classes[label]!r} has one image; expected two, one to train"
                " on and one to validate; add images of it or leave it out"
            )
        count = max(1, len(of_class) // HELD_OUT)
        kept.append(of_class[:-count])
        held.append(of_class[-count:])
    train, val = (dataset.train.take(np.sort(np.concatenate(rows))) for rows in (kept, held))
    return replace(
        dataset,
        train=train,
        val=val,
        unique_val=len({image.tobytes() for image in val.images}),
        counts_note=f"{dataset.counts_note}; no validation split: {len(val)} training images held out",
    )


@dataclass(frozen=True)
class Entry:
    """What identifies one image of a split: name, hash of the content, and label or hash of the mask."""

    split: str
    id: str
    digest: str
    target: int | str


def manifest_hash(
    role: str, image_size: int, classes: Sequence[str], palette: Palette | None, entries: Sequence[Entry]
) -> str:
    """Hash all that a data set consists of, in order. Returns 64 hex digits."""
    colours = None if palette is None else palette.table.tolist()
    images = [[entry.split, entry.id, entry.digest, entry.target] for entry in entries]
    whole = [role, image_size, list(classes), colours, images]
    return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode()).hexdigest()
