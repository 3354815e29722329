"""Data drawn by code, without files, the same on every machine.

Every image is keyed by (role, split, index), so it does not depend on the number of images.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

from reference.data.cache import in_threads
from reference.data.dataset import OFFICIAL_PALETTE, Dataset, ManifestEntry, Split, manifest_hash
from reference.data.scenes import draw_scene
from reference.data.shapes import Style, class_names, draw_object
from reference.errors import InputError

# Raise it when a drawing changes.
VERSION = 1
ROLES = ("classification50", "miniimagenet", "officehome", "landcover")
SPLITS = ("train", "val")
CLASSES = {"classification50": 50, "miniimagenet": 64, "officehome": 65}
# The pre-training role has no validation split.
COUNTS = {
    "classification50": (400, 100),
    "miniimagenet": (640, 0),
    "officehome": (260, 130),
    "landcover": (64, 16),
}
STYLES: dict[str, Style] = {"classification50": "photo", "miniimagenet": "photo", "officehome": "drawing"}


def draw(
    role: str,
    image_size: int,
    *,
    classes: int | None = None,
    train_count: int | None = None,
    val_count: int | None = None,
) -> Dataset:
    """Draw a role's data; if a count is None, use that of the smoke tier.

    Raises:
        InputError: more classes than the role has.
    """
    if classes is not None and classes > CLASSES[role]:
        raise InputError(f"classes: {classes}; synthetic {role} has only {CLASSES[role]}; ask for fewer")
    if role == "landcover":
        palette, names = OFFICIAL_PALETTE, (*OFFICIAL_PALETTE.classes, "unknown")
    else:
        palette, names = None, class_names(classes or CLASSES[role])
    default_train, default_val = COUNTS[role]
    val_count = (val_count or default_val) if default_val else 0
    train, train_entries = _draw_split(role, "train", train_count or default_train, image_size, len(names))
    val, val_entries = _draw_split(role, "val", val_count, image_size, len(names))
    return Dataset(
        role=role,
        source="synthetic",
        name=f"synthetic {role}",
        classes=names,
        scored=tuple(range(len(names) - (palette is not None))),
        palette=palette,
        train=train,
        val=val,
        unique_val=len({entry.digest for entry in val_entries}),
        manifest=manifest_hash(role, image_size, names, palette, train_entries + val_entries),
        counts_note="drawn by code",
    )


def _draw_split(
    role: str, split: Literal["train", "val"], count: int, size: int, num_classes: int
) -> tuple[Split, list[ManifestEntry]]:
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    masks = np.empty((count, size, size), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % num_classes

    def put(index: int) -> None:
        rng = _generator(role, split, index)
        if role == "landcover":
            images[index], masks[index] = draw_scene(rng, size)
        else:
            images[index] = draw_object(rng, size, int(labels[index]), STYLES[role])

    for _ in in_threads(put, count):
        pass
    targets = masks if role == "landcover" else labels
    images.setflags(write=False)
    targets.setflags(write=False)
    ids = tuple(f"{index:04d}" for index in range(count))
    entries = [
        ManifestEntry(
            split, ids[i], _sha256(images[i]), _sha256(masks[i]) if role == "landcover" else int(labels[i])
        )
        for i in range(count)
    ]
    return Split(ids, images, targets), entries


def _generator(role: str, split: str, index: int) -> np.random.Generator:
    key = [VERSION, ROLES.index(role), SPLITS.index(split), index]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
