"""Malformed PNG and JPEG files: each is read, or refused in one line that names it."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reference.data import OFFICIAL_PALETTE
from reference.data.images import decode_image
from reference.data.landcover import mask_from_bytes
from reference.data.mask_values import stated
from reference.errors import InputError

Command = Callable[..., Any]
Rng = np.random.Generator

PLAIN = 1500  # files in the default run
SOAK_SECONDS = 100.0
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
MASK = OFFICIAL_PALETTE.encode((np.arange(24 * 40) % 7).reshape(24, 40).astype(np.uint8))
LABELS = stated(OFFICIAL_PALETTE, (*OFFICIAL_PALETTE.classes, "unknown"))
CHUNKS = (b"iCCP", b"tRNS", b"PLTE", b"gAMA", b"cHRM", b"sRGB", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"pHYs")
CHUNKS += (b"acTL", b"fcTL", b"fdAT", b"IHDR", b"IDAT", b"sBIT", b"bKGD", b"hIST", b"tIME", b"XXXX")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def sound_files() -> list[bytes]:
    """Files of every kind that is read."""
    photo, mask = Image.fromarray(PIXELS), Image.fromarray(MASK)
    files = [encoded(mask.convert(mode), "PNG") for mode in ("RGB", "RGBA", "L", "LA", "1")]
    files += [
        encoded(mask.quantize(7), "PNG"),
        encoded(Image.fromarray(MASK[..., 0].astype(np.uint16)), "PNG"),
    ]
    files += [encoded(photo, "PNG", save_all=True, append_images=[photo.rotate(180)])]
    files += [encoded(photo.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")]
    files += [encoded(photo, "JPEG", **options) for options in JPEG_OPTIONS]
    return files


JPEG_OPTIONS: tuple[dict[str, Any], ...] = (
    {"progressive": True},
    {"restart_marker_blocks": 2},
    {"progressive": True, "restart_marker_blocks": 3, "quality": 30},
    {"subsampling": 0, "optimize": True, "quality": 95},
    {"subsampling": 1, "quality": 5},
)


def malformed(files: list[bytes], rng: Rng) -> bytes:
    """One of the files, damaged as files are damaged or as somebody would damage them."""
    blob = bytearray(files[rng.integers(len(files))])
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(blob)))
        choice = rng.integers(7)
        if choice == 0:
            blob[at] ^= 1 << int(rng.integers(8))
        elif choice == 1:
            blob[at : at + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(0, 9)))
        elif choice == 2:
            del blob[at:]
        elif choice == 3:
            other = files[rng.integers(len(files))]
            blob[at:at] = other[: rng.integers(len(other))]
        elif choice == 4 and blob.startswith(b"\xff\xd8"):
            blob[at:] = b"\xff\xd9"
        else:
            insert_piece(blob, rng)
        if not blob:
            break
    return bytes(blob)


def insert_piece(blob: bytearray, rng: Rng) -> None:
    """A PNG chunk with a right checksum, or a JPEG segment, of random content where one belongs."""
    body = rng.bytes(int(rng.integers(0, 40))) if rng.random() < 0.7 else b""
    if blob.startswith(b"\xff\xd8"):
        marker = bytes([0xFF, int(rng.integers(0xC0, 0xFF))])
        blob[2:2] = marker + struct.pack(">H", len(body) + 2) + body
    else:
        at = 33 if rng.random() < 0.5 else max(len(blob) - 12, 8)  # before the picture, or behind it
        blob[at:at] = chunk(CHUNKS[rng.integers(len(CHUNKS))], body)


READERS: dict[str, Callable[[bytes], object]] = {
    "image": lambda blob: decode_image(blob, "odd.png"),
    "mask": lambda blob: mask_from_bytes(blob, OFFICIAL_PALETTE, "odd.png"),
    "labels": lambda blob: mask_from_bytes(blob, LABELS, "odd.png"),
}


def leak(blob: bytes) -> str:
    """How a file gets past its readers: an exception of a decoder's, or a line that does not name it."""
    for name, read in READERS.items():
        try:
            read(blob)
        except InputError as error:
            if not str(error).startswith("odd.png: ") or not str(error).isprintable():
                return f"{name}: {error}"
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
    return ""


def attempts(seed: int) -> Iterator[str]:
    files, rng = sound_files(), np.random.default_rng(seed)
    while True:
        blob = malformed(files, rng)
        cause = leak(blob)
        yield f"{cause} {blob.hex()}" if cause else ""


def test_malformed_images_are_refused_in_one_line(note: Command) -> None:
    tried = attempts(0)
    leaks = [cause for cause in (next(tried) for _ in range(PLAIN)) if cause]
    note("fuzz", "malformed PNG and JPEG files", PLAIN - len(leaks), PLAIN)
    assert not leaks, leaks[0]


@pytest.mark.slow
def test_malformed_images_for_a_hundred_seconds(note: Command) -> None:
    count, leaks, until = 0, [], time.monotonic() + SOAK_SECONDS
    for cause in attempts(time.time_ns() % 2**32):
        count += 1
        leaks += [cause] if cause else []
        if time.monotonic() > until:
            break
    note("fuzz", "malformed PNG and JPEG files, slow", count - len(leaks), count)
    assert not leaks, (len(leaks), count, leaks[0])
