"""Land cover: satellite images, and masks whose colours stand for classes.

Layout: ``p2_data/train/0000_sat.jpg`` with ``0000_mask.png``, the same in ``p2_data/validation``, and
``p2_data/dataset.toml`` for data with other classes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.description import find_description, read_original, read_palette
from reference.data.images import as_rgb, decoded, read_bytes
from reference.data.listing import Described, Item, Listing, Report, list_folder, refuse, shown
from reference.data.mask_values import COLOURS, LARGEST, OPTION
from reference.data.png_rows import read_header
from reference.errors import InputError

# Official masks may hold impure values: most channels are this near to 0 or 255; this share of pixels is not.
PURE = 48
MOST_IMPURE = 0.1
SHOWN = 7
LABEL_MODES = ("L", "P", "1", "LA", "I;16", "I", "RGB", "RGBA")
FILE_NAME = re.compile(r"(?P<id>.+)_(?P<kind>sat\.jpg|mask\.png)")


def decode_mask(rgb: np.ndarray, palette: Palette, *, name: str = "mask") -> np.ndarray:
    """Turn a coloured mask into class indices: (H, W, 3) uint8 RGB to (H, W) uint8.

    A palette that binarises splits every channel at 128 first, as the course's reader does. That reader
    turns red into garbage; this function refuses red like any colour outside the palette.

    Args:
        name: name of the mask in errors.

    Raises:
        InputError: a pixel has no class; the error gives the colour, the number of pixels and the first one.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    packed = _pack(rgb)
    table = palette.table
    if palette.binarise:
        packed &= np.uint32(0x808080)
        table = table & np.uint8(0x80)
    # Start at 255 = -1 and add (index + 1) over whole arrays: twice as fast as assigning by boolean mask.
    mask = np.full(packed.shape, 255, dtype=np.uint8)
    for index, code in enumerate(_pack(table[None])[0]):
        mask += (packed == code).view(np.uint8) * np.uint8(index + 1)
    if mask.size and mask.max() == 255:
        raise InputError(_refusal(rgb, mask == 255, palette, name))
    return mask


def _pack(rgb: np.ndarray) -> np.ndarray:
    """Pack (H, W, 3) uint8 into (H, W) uint32 codes R | G << 8 | B << 16."""
    height, width = rgb.shape[:2]
    flat = np.zeros(height * width * 3 + 1, dtype=np.uint8)
    flat[:-1] = rgb.reshape(-1)
    # Read four bytes at every third one; the fourth belongs to the next pixel and is masked off.
    overlapping = np.ndarray((height, width), dtype="<u4", buffer=flat.data, strides=(3 * width, 3))
    return overlapping & np.uint32(0xFFFFFF)


def _refusal(rgb: np.ndarray, refused: np.ndarray, palette: Palette, name: str) -> str:
    row, column = np.argwhere(refused)[0].tolist()
    colour = ",".join(map(str, rgb[row, column].tolist()))
    binarised = " (red once each channel is split at 128)" if palette.binarise else ""
    return (
        f"{name}: {int(refused.sum())} pixels outside the palette, the first at row {row}, column {column} "
        f"with RGB ({colour}){binarised}; expected the colours of {', '.join(palette.classes)} and unknown; "
        f"state its palette in p2_data/dataset.toml, or {_advice(palette)}"
    )


def read_mask(path: Path, palette: Palette) -> np.ndarray:
    """Read a PNG mask in its own size as (H, W) uint8 class indices.

    Raises:
        InputError: the file is missing or damaged, has no colours, or has a colour outside the palette.
    """
    return mask_from_bytes(read_bytes(path), palette, shown(path))


def mask_from_bytes(blob: bytes, palette: Palette, name: str) -> np.ndarray:
    """Do the same as ``read_mask`` for a file in memory; errors call it ``name``."""
    if palette.labels:
        return _decode_labels(_label_values(blob, name), palette, name)
    image = decoded(blob, name, ("PNG",), ("RGB", "RGBA", "P"), as_rgb, _advice(palette))
    if read_header(blob).depth == 16:
        raise InputError(
            f"{name}: 16 bits a channel; expected 8, because a 16-bit label would be read as black; "
            f"{_advice(palette)}"
        )
    rgb = np.asarray(image)
    mask = decode_mask(rgb, palette, name=name)
    _check_plausible(rgb, mask, palette, name)
    return mask


def _check_plausible(rgb: np.ndarray, mask: np.ndarray, palette: Palette, name: str) -> None:
    """Refuse masks that decode but cannot be meant as colours: labels, a photograph, only unknown."""
    if COLOURS in palette.mask_values or not mask.size:
        return
    if palette.binarise:
        far = ((rgb > PURE) & (rgb < 255 - PURE)).any(axis=2)
        if far.mean() > MOST_IMPURE:
            raise InputError(
                f"{name}: {far.mean():.0%} of its pixels are far from every colour of the palette (found "
                f"{_colours_in(rgb)}); {_advice(palette)}"
            )
    if (mask == palette.unknown_index).all():
        raise InputError(
            f"{name}: every pixel is unknown (found {_colours_in(rgb)}); {_advice(palette)}; if nobody "
            f"labelled this image, remove it or say so with {OPTION} {COLOURS}"
        )


def _colours_in(rgb: np.ndarray) -> str:
    colours, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:SHOWN]
    more = ", …" if len(colours) > SHOWN else ""
    named = ", ".join(f"({','.join(map(str, colour))})" for colour in colours[most].tolist())
    return f"RGB {named}{more}"


def _advice(palette: Palette) -> str:
    order = ",".join((*palette.classes, "unknown"))
    return (
        "repaint the mask in the palette's colours as 8-bit RGB, or, if its values are labels, state their "
        f"order: {OPTION} {order} for values 0, 1, 2 …"
    )


def _label_values(blob: bytes, name: str) -> np.ndarray:
    """Read the numbers of a PNG, or the indices of a palette image: (H, W) uint8 or uint16."""
    remedy = "save the labels as 8-bit grey"
    image = decoded(blob, name, ("PNG",), LABEL_MODES, Image.Image.copy, remedy)
    header = read_header(blob)
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8)
    values = np.asarray(image).astype(np.uint16)
    if values.ndim == 2:
        # Pillow scales grey of two and four bits to 0…255
        spread = {2: 85, 4: 17}.get(header.depth, 1) if header.colour_type == 0 else 1
        return values // spread
    if header.depth == 16:
        raise InputError(f"{name}: several channels of 16 bits; expected one; {remedy}")
    channels = values[..., : {"LA": 1}.get(image.mode, 3)]
    if (channels != channels[..., :1]).any():
        row, column = np.argwhere((channels != channels[..., :1]).any(axis=2))[0].tolist()
        colour = ",".join(map(str, channels[row, column].tolist()))
        raise InputError(
            f"{name}: holds colours, the first at row {row}, column {column} with RGB ({colour}); expected "
            f"labels, as {OPTION} states; leave the option out or save labels"
        )
    return channels[..., 0]


def _decode_labels(values: np.ndarray, palette: Palette, name: str) -> np.ndarray:
    """Turn (H, W) values into (H, W) uint8 class indices. Raises: InputError if a value is not stated."""
    table = np.full(LARGEST + 1, 255, dtype=np.uint8)
    for value, index in palette.labels:
        table[value] = index
    mask: np.ndarray = table[values]
    if (mask == 255).any():
        wrong = ", ".join(map(str, np.unique(values[mask == 255])[:SHOWN].tolist()))
        allowed = ", ".join(str(value) for value, _ in palette.labels)
        raise InputError(
            f"{name}: {int((mask == 255).sum())} pixels hold values that {OPTION} does not state ({wrong}); "
            f"expected {allowed}; state them (for example 255=unknown) or fix the mask"
        )
    return mask


def list_files(source: Path, report: Report = refuse) -> Listing:
    """Find the pairs of image and mask under ``source/p2_data``.

    Args:
        report: gets every fault: a folder that is missing or empty, a name that does not fit, half a pair, a
            bad ``dataset.toml``. If it does not raise and the palette cannot be read, the listing has none.
    """
    folder = source / "p2_data"
    description = find_description(folder)
    palette: Palette | None = OFFICIAL_PALETTE
    about, classes = Described(), OFFICIAL_PALETTE.classes
    if description is not None:
        try:
            name, palette = read_palette(description)
            about = Described(name, described=True, original=read_original(description, finished=True))
            classes = palette.classes
        except InputError as error:
            report(str(error))
            palette, about, classes = None, Described(described=True), ()
    train, val = (find_pairs(folder / split, report) for split in ("train", "validation"))
    outputs = (*classes, "unknown") if palette is not None else ()
    return Listing(train, val, outputs, palette=palette, about=about)


def find_pairs(folder: Path, report: Report = refuse) -> tuple[Item, ...]:
    """The images of a folder with their masks; ``report`` is told of a bad name and of half a pair."""
    kinds: dict[str, dict[str, Path]] = {"sat.jpg": {}, "mask.png": {}}
    for path, match in list_folder(folder, FILE_NAME, "NAME_sat.jpg and NAME_mask.png", report):
        kinds[match["kind"]][match["id"]] = path
    images, masks = kinds["sat.jpg"], kinds["mask.png"]
    for present, other in ((images, "mask.png"), (masks, "sat.jpg")):
        for name, path in present.items():
            if name not in kinds[other]:
                report(
                    f"{shown(path)}: found no {name}_{other} with it; every image has one mask and every "
                    "mask one image; add the missing file or remove this one"
                )
    return tuple(Item(name, path, mask=masks[name]) for name, path in images.items() if name in masks)
