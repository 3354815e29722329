"""Data sets by role, from files in the official layout or drawn by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reference.data import classification50, landcover, miniimagenet, mnist1d, officehome, own, synthetic
from reference.data.cache import Progress
from reference.data.dataset import (
    OFFICIAL_PALETTE,
    PUBLIC,
    Dataset,
    Palette,
    Source,
    Split,
    absent_classes,
    class_pixels,
    manifest_hash,
    repeats,
)
from reference.data.decode import decode_split
from reference.data.listing import Item, Listing, Reader, shown
from reference.data.mask_values import stated
from reference.errors import InputError
from reference.outside import is_import_path

__all__ = [
    "DRAWN",
    "OFFICIAL_COUNTS",
    "OFFICIAL_PALETTE",
    "READERS",
    "ROOTS",
    "Dataset",
    "Palette",
    "Split",
    "open_dataset",
]

# role → reader: finds and checks the files of both splits without decoding them.
READERS: dict[str, Reader] = {
    "classification50": classification50.list_files,
    "miniimagenet": miniimagenet.list_files,
    "officehome": officehome.list_files,
    "landcover": landcover.list_files,
}

# role → the folder that a recipe of the role needs; the training images are in it or below.
ROOTS: dict[str, str] = {
    "classification50": "p1_data/train_50",
    "miniimagenet": "p1_data/mini",
    "officehome": "p1_data/office",
    "landcover": "p2_data",
}

# role → official data that code draws: no folder is read.
DRAWN: dict[str, Callable[[str], Dataset]] = dict.fromkeys(mnist1d.MANIFESTS, mnist1d.draw)

# What can be counted of the official data.
OFFICIAL_COUNTS: dict[str, dict[str, int]] = {
    "classification50": {
        "train": 22500,
        "val": 2500,
        "classes": 50,
        "fewest train per class": 450,
        "most train per class": 450,
        "fewest val per class": 50,
        "most val per class": 50,
    },
    "miniimagenet": {"train": 38400, "val": 0, "classes": 64},
    "officehome": {"train": 3951, "val": 406, "classes": 65},
    "landcover": {"train": 2000, "val": 257},
}


def open_dataset(
    role: str,
    source: Path | None,
    *,
    image_size: int,
    classes: int | None = None,
    train_limit: int | None = None,
    val_limit: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    mask_values: Sequence[str] = (),
) -> Dataset:
    """Open a role's data, every image resized to a square.

    Data of ``DRAWN`` are always the official ones, and your own data, at an import path, are what their
    function returns (``reference.data.own``), whatever ``source`` is. Neither are ever limited.

    Args:
        role: key of ``READERS`` or of ``DRAWN``, or the import path of your own data.
        source: folder that holds ``p1_data`` and ``p2_data``; None draws the data by code.
        image_size: side of the square, pixels.
        classes: keep only the first ``classes`` classes (all, if there are fewer); classification only.
        train_limit, val_limit: keep at most this number of images, spread evenly over classes and names; for
            drawn data, draw exactly this number.
        cache: folder for decoded images; None decodes into memory.
        progress: called with (images done, images) while a split is decoded.
        mask_values: the meaning of the values in masks, as in ``reference.data.mask_values.stated``; land
            cover only, because other roles have no masks.

    Raises:
        InputError: unknown role, an option out of range, or bad data; one line names file and cause.

    Example:
        >>> limits = {"classes": 2, "train_limit": 4, "val_limit": 2}
        >>> dataset = open_dataset("classification50", None, image_size=8, **limits)
        >>> len(dataset.train), len(dataset.val)
        (4, 2)
    """
    own_data = is_import_path(role)
    if role not in READERS and role not in DRAWN and not own_data:
        raise InputError(f"data role {role!r}: unknown; expected one of {', '.join((*READERS, *DRAWN))}")
    options = {"classes": classes, "train_limit": train_limit, "val_limit": val_limit}
    for option, value in options.items():
        if value is not None and value < 1:
            raise InputError(f"{option}: {value}; expected at least 1")
    if role in DRAWN or own_data:
        for option, value in options.items():
            if value is not None:
                raise InputError(f"{option}: {role} cannot be limited; leave the option out")
        return own.open_own(role, image_size=image_size) if own_data else DRAWN[role](role)
    if image_size < 8:
        raise InputError(f"image_size: {image_size}; expected at least 8 pixels")
    if role == "landcover" and classes is not None:
        raise InputError("classes: masks always have all classes; leave the option out for landcover")
    if source is None:
        return synthetic.draw(role, image_size, classes=classes, train_count=train_limit, val_count=val_limit)
    listing = with_mask_values(READERS[role](source), mask_values)
    kind, note = source_of(role, listing)
    if classes is not None:
        listing = first_classes(role, listing, classes)
    train_items, val_items = _thin(listing.train, train_limit), _thin(listing.val, val_limit)
    palette = listing.palette
    train, train_entries = decode_split(role, "train", train_items, palette, image_size, cache, progress)
    val, val_entries = decode_split(role, "val", val_items, palette, image_size, cache, progress)
    scored = listing.classes if palette is None else palette.classes
    entries = train_entries + val_entries
    warnings = repeats(entries, listing.classes)
    if palette is not None:
        for name, split in (("train", train), ("val", val)):
            warnings += absent_classes(name, class_pixels(split.targets, palette), palette)
    return Dataset(
        role=role,
        source=kind,
        name=listing.about.name or (role if kind == "official" else shown(source.resolve().name)),
        classes=listing.classes,
        scored=tuple(range(len(scored))),
        palette=palette,
        train=train,
        val=val,
        unique_val=len({entry.digest for entry in val_entries}),
        manifest=manifest_hash(role, image_size, listing.classes, palette, entries),
        counts_note=note,
        warnings=tuple(f"{role}: {line}" for line in warnings),
    )


def with_mask_values(listing: Listing, mask_values: Sequence[str]) -> Listing:
    """Return the listing with the stated meaning of mask values, if there is one. Raises: InputError."""
    if not mask_values or listing.palette is None:
        return listing
    return replace(listing, palette=stated(listing.palette, mask_values))


def source_of(role: str, listing: Listing) -> tuple[Source, str]:
    """Decide whether files are official, rebuilt from the public original, or others; return the reason."""
    original = listing.about.original
    rebuilt = original is not None and original.role == role
    if listing.about.described and not rebuilt:
        return "stand-in", "not official: described by its dataset.toml"
    if listing.palette is not None and listing.palette.labels:
        return "stand-in", "not official: its masks hold labels, the official ones hold colours"
    counts = _counts(listing)
    for what, expected in OFFICIAL_COUNTS[role].items():
        # Labels are optional for mini-ImageNet; without them there are no classes to count.
        if counts.get(what, expected) != expected:
            return "stand-in", f"not official: {what} {counts[what]}, official {expected}"
    if original is not None:
        return PUBLIC, f"rebuilt from the public original, seed {original.seed}: {original.split}"
    return "official", "counts match, content unverified"


def _counts(listing: Listing) -> dict[str, int]:
    counts = {"train": len(listing.train), "val": len(listing.val)}
    if listing.classes:
        counts["classes"] = len(listing.classes)
        for split, items in (("train", listing.train), ("val", listing.val)):
            per_class = Counter(item.label for item in items)
            # If the lowest and the highest count are official, every class has the official count.
            counts[f"fewest {split} per class"] = min(per_class[i] for i in range(len(listing.classes)))
            counts[f"most {split} per class"] = max(per_class.values(), default=0)
    return counts


def first_classes(role: str, listing: Listing, count: int) -> Listing:
    """Keep the images of the first ``count`` classes. Raises: InputError if no validation image is left."""
    if not listing.classes:
        raise InputError(f"classes: {role} has no labels here; leave the option out or add its train.csv")
    train = tuple(item for item in listing.train if item.label < count)
    val = tuple(item for item in listing.val if item.label < count)
    if listing.val and not val:
        raise InputError(f"classes: the first {count} classes of {role} have no validation image; keep more")
    return replace(listing, train=train, val=val, classes=listing.classes[:count])


def _thin(items: tuple[Item, ...], limit: int | None) -> tuple[Item, ...]:
    """Keep at most ``limit`` items in their order, taken in equal steps from the items sorted by label."""
    if limit is None or limit >= len(items):
        return items
    by_label = sorted(range(len(items)), key=lambda i: items[i].label)
    return tuple(items[i] for i in sorted(by_label[step * len(items) // limit] for step in range(limit)))
