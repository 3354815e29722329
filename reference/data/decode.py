"""Turn the files of a split into arrays: hash every file, then decode those that the cache lacks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import __version__ as pillow_version

from reference.data.cache import VERSION, Progress, cached_array, in_threads
from reference.data.dataset import ManifestEntry, Palette, Split
from reference.data.images import decode_image, image_size, read_bytes, resize_image, resize_mask
from reference.data.landcover import mask_from_bytes
from reference.data.listing import Item, shown
from reference.errors import InputError


def decode_split(
    role: str,
    split: Literal["train", "val"],
    items: tuple[Item, ...],
    palette: Palette | None,
    size: int,
    cache: Path | None,
    progress: Progress | None,
) -> tuple[Split, list[ManifestEntry]]:
    """Decode a split's files to (N, size, size, 3) images and their targets, and return their identities.

    Raises:
        InputError: a file cannot be read or decoded, or a mask does not fit its image.
    """
    paths = [item.image for item in items]
    digests = _hash_files(paths)
    images = cached_array(
        cache,
        f"{role}-{split}-{_key('image', size, digests)}",
        (len(items), size, size, 3),
        lambda i: resize_image(decode_image(_read(paths[i], digests[i]), shown(paths[i])), size),
        progress,
    )
    ids = tuple(item.id for item in items)
    if palette is None:
        labels = np.array([item.label for item in items], dtype=np.int64)
        labels.setflags(write=False)
        entries = [ManifestEntry(split, *facts) for facts in zip(ids, digests, labels.tolist(), strict=True)]
        return Split(ids, images, labels), entries
    masks, mask_digests = _decode_masks(role, split, items, digests, palette, size, cache, progress)
    entries = [ManifestEntry(split, *facts) for facts in zip(ids, digests, mask_digests, strict=True)]
    return Split(ids, images, masks), entries


def _decode_masks(
    role: str,
    split: Literal["train", "val"],
    items: tuple[Item, ...],
    image_digests: list[str],
    palette: Palette,
    size: int,
    cache: Path | None,
    progress: Progress | None,
) -> tuple[np.ndarray, list[str]]:
    paths = [item.mask for item in items if item.mask is not None]
    digests = _hash_files(paths)

    def mask(index: int) -> np.ndarray:
        path = paths[index]
        whole = mask_from_bytes(_read(path, digests[index]), palette, shown(path))
        check_same_size(items[index].image, path, whole)
        return resize_mask(whole, size)

    # The key holds the images' hashes too, because their sizes were compared with those of the masks.
    key = _key("mask", size, [*image_digests, *digests, repr(palette)])
    name = f"{role}-{split}-{key}"
    return cached_array(cache, name, (len(items), size, size), mask, progress), digests


def check_same_size(image_path: Path, mask_path: Path, mask: np.ndarray) -> None:
    """Raise InputError unless an image and its mask have the same size."""
    height, width = mask.shape
    size = image_size(read_bytes(image_path), shown(image_path))
    if size != (width, height):
        raise InputError(
            f"{shown(mask_path)}: {width} x {height}, but its image is {size[0]} x {size[1]}; "
            "expected one size; fix or remove the pair"
        )


def _hash_files(paths: list[Path]) -> list[str]:
    return list(in_threads(lambda i: hashlib.sha256(read_bytes(paths[i])).hexdigest(), len(paths)))


def _read(path: Path, digest: str) -> bytes:
    """Read a file again and check that it has not changed; its cache name holds the first hash."""
    blob = read_bytes(path)
    if hashlib.sha256(blob).hexdigest() != digest:
        raise InputError(f"{shown(path)}: changed while the data was read; start again when it is complete")
    return blob


def _key(kind: str, size: int, parts: list[str]) -> str:
    # Pillow's version, since its decoders decide about single grey levels.
    facts = [str(VERSION), pillow_version, *parts]
    return f"{kind}{size}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:20]}"
