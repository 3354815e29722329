"""Land cover: satellite images beside masks whose colours stand for classes.

Layout: ``p2_data/train/0000_sat.jpg`` with ``0000_mask.png``, the same in ``p2_data/validation``, and
for data with other classes ``p2_data/dataset.toml``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.description import find_description, read_palette
from reference.data.images import decode_image, read_bytes
from reference.data.listing import Item, Listing, list_folder, shown
from reference.errors import InputError

FILE_NAME = re.compile(r"(?P<id>.+)_(?P<kind>sat\.jpg|mask\.png)")


def decode_mask(rgb: np.ndarray, palette: Palette, *, name: str = "mask") -> np.ndarray:
    """Read the classes out of a coloured mask: (H, W, 3) uint8 RGB to (H, W) uint8 indices.

    A palette that binarises splits every channel at 128 first, as the course's reader does; but where
    that one turns red into garbage, red is refused like any colour outside the palette.

    Args:
        name: what an error calls the mask.

    Raises:
        InputError: a pixel has no class; says the colour, how many pixels, and where the first is.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    packed = _pack(rgb)
    table = palette.table
    if palette.binarise:
        packed &= np.uint32(0x808080)
        table = table & np.uint8(0x80)
    # Whole-array sums of (index + 1) on a start of 255 = -1: twice as fast as assigning by boolean mask.
    mask = np.full(packed.shape, 255, dtype=np.uint8)
    for index, code in enumerate(_pack(table[None])[0]):
        mask += (packed == code).view(np.uint8) * np.uint8(index + 1)
    if mask.size and mask.max() == 255:
        raise InputError(_refusal(rgb, mask == 255, palette, name))
    return mask


def _pack(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (H, W) uint32 codes R | G << 8 | B << 16."""
    height, width = rgb.shape[:2]
    flat = np.zeros(height * width * 3 + 1, dtype=np.uint8)
    flat[:-1] = rgb.reshape(-1)
    # Four bytes read at every third one: the fourth belongs to the next pixel and is masked off.
    overlapping = np.ndarray((height, width), dtype="<u4", buffer=flat.data, strides=(3 * width, 3))
    return overlapping & np.uint32(0xFFFFFF)


def _refusal(rgb: np.ndarray, refused: np.ndarray, palette: Palette, name: str) -> str:
    row, column = (int(i) for i in np.argwhere(refused)[0])
    colour = ",".join(str(int(value)) for value in rgb[row, column])
    binarised = " (red once each channel is split at 128)" if palette.binarise else ""
    return (
        f"{name}: {int(refused.sum())} pixels outside the palette, the first at row {row}, column {column} "
        f"with RGB ({colour}){binarised}; expected the colours of {', '.join(palette.classes)} and unknown; "
        "repaint the mask or state its palette in p2_data/dataset.toml"
    )


def read_mask(path: Path, palette: Palette) -> np.ndarray:
    """Read a PNG mask in its own size as (H, W) uint8 class indices.

    Raises:
        InputError: the file is missing or damaged, has no colours, or has one outside the palette.
    """
    return mask_from_bytes(read_bytes(path), palette, shown(path))


def mask_from_bytes(blob: bytes, palette: Palette, name: str) -> np.ndarray:
    """``read_mask`` for a file that is in memory already; errors call it ``name``."""
    image = decode_image(blob, name, formats=("PNG",), modes=("RGB", "RGBA", "P"))
    return decode_mask(np.asarray(image), palette, name=name)


def list_files(source: Path) -> Listing:
    """Find the pairs of image and mask under ``source/p2_data``.

    Raises:
        InputError: a folder is missing or empty, a name does not fit, or half a pair is missing.
    """
    folder = source / "p2_data"
    train, val = _pairs(folder / "train"), _pairs(folder / "validation")
    description = find_description(folder)
    palette, name = OFFICIAL_PALETTE, None
    if description is not None:
        name, palette = read_palette(description)
    classes = (*palette.classes, "unknown")
    return Listing(train, val, classes, palette=palette, name=name, described=description is not None)


def _pairs(folder: Path) -> tuple[Item, ...]:
    kinds: dict[str, dict[str, Path]] = {"sat.jpg": {}, "mask.png": {}}
    for path, match in list_folder(folder, FILE_NAME, "NAME_sat.jpg and NAME_mask.png"):
        kinds[match["kind"]][match["id"]] = path
    images, masks = kinds["sat.jpg"], kinds["mask.png"]
    for present, other in ((images, "mask.png"), (masks, "sat.jpg")):
        for name, path in present.items():
            if name not in kinds[other]:
                raise InputError(
                    f"{shown(path)}: found no {name}_{other} beside it; every image has one mask and every "
                    "mask one image; add the missing file or remove this one"
                )
    return tuple(Item(name, path, mask=masks[name]) for name, path in images.items())
