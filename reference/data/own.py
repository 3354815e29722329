"""Your own data: a recipe may name a function that returns them by its import path (``reference.outside``).

The function returns ``(train, val)`` or ``(train, val, classes)``. Each split is a pair of arrays: images
(N, S, S, 3) or (N, S, S) uint8, and labels (N,) or class masks (N, S, S), integers from 0. S is the
``image_size`` of the recipe, which the function gets if it takes an argument of that name. ``train`` may be
None for recipes without phases, which are evaluated only. With masks, ``classes`` names the scored classes,
and the index after the last marks pixels that nobody labelled.

:func:`class_folders`, :func:`listed_files` and :func:`image_mask_pairs` read files in common layouts.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from reference import outside
from reference.data.dataset import Dataset, ManifestEntry, Palette, Split, manifest_hash, repeats
from reference.data.images import decode_image, decoded, read_bytes, resize_image, resize_mask
from reference.data.images import image_size as side_lengths
from reference.data.listing import natural_key, shown
from reference.errors import InputError

Arrays = tuple[np.ndarray, np.ndarray]
"""Images and targets of one split."""

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
UNLABELLED = 255
"""Value of a mask file's pixels that nobody labelled."""
_SHAPES = "integer labels (N,) or masks (N, S, S)"


def role_of(path: str) -> str:
    """Return the name by which claims call the data of a function: its own, with hyphens."""
    return path.rpartition(":")[2].rpartition(".")[2].replace("_", "-")


@cache
def open_own(path: str, *, image_size: int) -> Dataset:
    """Call the function at an import path and check what it returns; once for each image size.

    Raises:
        InputError: no such function, it fails, or its arrays do not fit; one line names path and cause.
    """
    function = outside.find(path, "data")
    try:
        takes_size = "image_size" in inspect.signature(function).parameters
        returned = function(**({"image_size": image_size} if takes_size else {}))
    except InputError as error:
        raise InputError(f"data {path!r}: {error}") from error
    except Exception as error:
        raise InputError(f"data {path!r}: cannot be made: {outside.message_of(error)}") from error
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        raise InputError(
            f"data {path!r}: returned {type(returned).__name__},"
            " expected (train, val) or (train, val, classes)"
        )
    if returned[0] is None and isinstance(returned[1], tuple | list):
        returned = ([np.asarray(array)[:0] for array in returned[1]], *returned[1:])
    splits = [
        _checked(path, name, pair, image_size) for name, pair in zip(("train", "val"), returned, strict=False)
    ]
    (train, train_entries), (val, val_entries) = splits
    if train.targets.ndim != val.targets.ndim:
        raise InputError(
            f"data {path!r}: one split has labels and the other masks; expected the same of both"
        )
    masks, entries = train.targets.ndim == 3, train_entries + val_entries
    names = _class_names(path, returned[2] if len(returned) == 3 else None, train, val)
    palette = _palette(names) if masks else None
    classes = (*names, "unknown") if masks else names
    role = role_of(path)
    return Dataset(
        role=role,
        source="official",
        name=role,
        classes=classes,
        scored=tuple(range(len(names))),
        palette=palette,
        train=train,
        val=val,
        unique_val=len({entry.digest for entry in val_entries}),
        manifest=manifest_hash(role, image_size, classes, palette, entries),
        counts_note=f"your own data, from {path}",
        warnings=tuple(f"{role}: {line}" for line in repeats(entries, classes)),
    )


def _checked(path: str, name: str, pair: Any, size: int) -> tuple[Split, list[ManifestEntry]]:
    """A split from its arrays, and the identity of each image."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"data {path!r}: {name} is {type(pair).__name__}, expected (images, targets)")
    images, targets = (np.asarray(array) for array in pair)
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=-1)
    if images.dtype != np.uint8 or images.shape != (len(images), size, size, 3):
        raise InputError(
            f"data {path!r}: {name} images are {images.dtype} {images.shape},"
            f" expected uint8 (N, {size}, {size}, 3) or (N, {size}, {size})"
        )
    fits = targets.shape in ((len(images),), images.shape[:3])
    if not fits or not np.issubdtype(targets.dtype, np.integer):
        raise InputError(
            f"data {path!r}: {name} targets are {targets.dtype} {targets.shape}, expected {_SHAPES} of"
            f" {len(images)} images"
        )
    if not len(images):
        if name == "val":
            raise InputError(f"data {path!r}: no val image, expected at least one")
    elif targets.min() < 0 or (targets.ndim == 3 and targets.max() > 254):
        raise InputError(
            f"data {path!r}: {name} targets run from {targets.min()} to {targets.max()},"
            " expected classes from 0"
        )
    images = np.ascontiguousarray(images)
    targets = np.ascontiguousarray(targets, dtype=np.uint8 if targets.ndim == 3 else np.int64)
    images.setflags(write=False)
    targets.setflags(write=False)
    ids = tuple(f"{index:05d}" for index in range(len(images)))
    contents = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    meant = [hashlib.sha256(t.tobytes()).hexdigest() if targets.ndim == 3 else int(t) for t in targets]
    split: Literal["train", "val"] = "train" if name == "train" else "val"
    entries = [ManifestEntry(split, *facts) for facts in zip(ids, contents, meant, strict=True)]
    return Split(ids, images, targets), entries


def _class_names(path: str, given: Any, train: Split, val: Split) -> tuple[str, ...]:
    """The names of the classes; numbers if the function gives none. Every target must have a class."""
    highest, masks = int(max(split.targets.max(initial=0) for split in (train, val))), val.targets.ndim == 3
    if given is None and masks:
        raise InputError(f"data {path!r}: returned masks without classes; expected (train, val, classes)")
    names = tuple(map(str, range(highest + 1))) if given is None else tuple(given)
    if len(names) < 2 or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"data {path!r}: classes are {names!r:.80}, expected two or more different names")
    if highest >= len(names) + masks:
        raise InputError(f"data {path!r}: target {highest} has no class; there are {len(names)}, from 0")
    return names


def _palette(names: Sequence[str]) -> Palette:
    """Colours that all differ, for the pictures of masks."""
    colours = tuple((37 * i % 256, 91 * i % 256, i) for i in range(1, len(names) + 1))
    return Palette(tuple(names), colours, unknown_index=len(names), unknown_colour=(0, 0, 0))


# Files in common layouts -------------------------------------------------------------------------------


def class_folders(
    train: Path | str, val: Path | str, *, image_size: int
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read two folders that each hold a folder of images for every class, as torchvision's ImageFolder.

    Returns:
        (images, labels) of both splits, and the classes: names of the folders of ``train`` in natural order.

    Raises:
        InputError: a folder is missing or empty, holds another file, or ``val`` has another class.
    """
    classes = tuple(folder.name for folder in _entries(Path(train), "a folder of images for each class"))
    return (
        _of_classes(Path(train), classes, image_size),
        _of_classes(Path(val), classes, image_size),
        classes,
    )


def _of_classes(root: Path, classes: Sequence[str], size: int) -> Arrays:
    files, labels = [], []
    for folder in _entries(root, "a folder of images for each class"):
        if folder.name not in classes:
            raise InputError(
                f"{shown(folder)}: no class of the training folder; expected {', '.join(classes)}"
            )
        found = _entries(folder, "JPEG and PNG images", IMAGE_ENDINGS)
        files += found
        labels += [classes.index(folder.name)] * len(found)
    return _pixels(files, size), np.array(labels)


def listed_files(
    train: Path | str, val: Path | str, *, image_size: int
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read two CSV files with the columns ``file`` and ``label``; files are relative to their CSV.

    Returns:
        (images, labels) of both splits, and the classes: the labels of ``train`` in natural order.

    Raises:
        InputError: a CSV or an image cannot be read, a column is missing, or ``val`` has another label.
    """
    rows = {name: _rows(Path(path)) for name, path in (("train", train), ("val", val))}
    classes = tuple(sorted({label for _, label in rows["train"]}, key=natural_key))
    for file, label in rows["val"]:
        if label not in classes:
            raise InputError(f"{shown(val)}: label {label!r} of {shown(file.name)} is none of {shown(train)}")
    first, second = (
        (
            _pixels([file for file, _ in some], image_size),
            np.array([classes.index(label) for _, label in some]),
        )
        for some in (rows["train"], rows["val"])
    )
    return first, second, classes


def _rows(path: Path) -> list[tuple[Path, str]]:
    try:
        table = csv.DictReader(read_bytes(path).decode("utf-8-sig").splitlines())
        rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown(path)}: not a CSV in UTF-8 ({error}); fix the file") from None
    if not {"file", "label"} <= set(table.fieldnames or ()) or not rows:
        raise InputError(f"{shown(path)}: expected the columns file and label, and a row for each image")
    for number, row in enumerate(rows, 2):
        if not row["file"] or not row["label"]:
            raise InputError(f"{shown(path)}:{number}: file or label is empty; fill it in or remove the row")
    return [(path.parent / row["file"], row["label"]) for row in rows]


def image_mask_pairs(
    train: Path | str, val: Path | str, *, classes: Sequence[str], image_size: int
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read two folders with ``images/NAME.jpg`` (or PNG) and a grey or palette ``masks/NAME.png`` for each.

    The value of a mask's pixel is the index of its class; 255 marks pixels that nobody labelled.

    Returns:
        (images, masks) of both splits, and the classes.

    Raises:
        InputError: a file is missing or cannot be read, sizes differ, or a value has no class.
    """
    first, second = (_pairs(Path(folder), len(classes), image_size) for folder in (train, val))
    return first, second, tuple(classes)


def _pairs(folder: Path, classes: int, size: int) -> Arrays:
    files = _entries(folder / "images", "JPEG and PNG images", IMAGE_ENDINGS)
    masks = []
    for file in files:
        path = folder / "masks" / f"{file.stem}.png"
        mask = np.asarray(
            decoded(read_bytes(path), shown(path), ("PNG",), ("L", "P"), Image.Image.copy, "save it as grey")
        )
        width, height = side_lengths(read_bytes(file), shown(file))
        if mask.shape != (height, width):
            raise InputError(f"{shown(path)}: {mask.shape} pixels, its image has {(height, width)}; fix one")
        wrong = mask[(mask >= classes) & (mask != UNLABELLED)]
        if wrong.size:
            raise InputError(
                f"{shown(path)}: value {wrong[0]} has no class; expected 0 to {classes - 1}, or {UNLABELLED}"
            )
        masks.append(resize_mask(np.where(mask == UNLABELLED, classes, mask).astype(np.uint8), size))
    return _pixels(files, size), np.stack(masks)


def _entries(folder: Path, expected: str, endings: Sequence[str] = ()) -> list[Path]:
    """Everything in a folder but dotfiles, in natural order: files of these endings, or folders."""
    try:
        found = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"{shown(folder)}: cannot be listed ({error.strerror}); expected {expected}"
        ) from None
    for entry in found:
        if not (entry.suffix.lower() in endings if endings else entry.is_dir()):
            raise InputError(f"{shown(entry)}: does not belong here; expected {expected}; remove it")
    if not found:
        raise InputError(f"{shown(folder)}: the folder is empty; expected {expected}")
    return sorted(found, key=lambda entry: natural_key(entry.name))


def _pixels(files: Sequence[Path], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8."""
    return np.stack([resize_image(decode_image(read_bytes(file), shown(file)), size) for file in files])
