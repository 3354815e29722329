"""Check whether a PNG holds all its rows; decoders silently leave missing rows black.

Black is a class in a mask. PNG has checksums, which decoders verify. But if a writer stopped early, the file
may have fewer rows than its header says although all checksums hold.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey and RGB with alpha
# First column and row of each Adam7 pass, and the steps to the next.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class Header:
    """The header of a PNG; ``depth`` is bits a channel, ``colour_type`` a key of ``CHANNELS``."""

    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool

    @property
    def size(self) -> int:
        """Count the bytes of all rows, each with the byte that names its filter."""
        bits = self.depth * CHANNELS[self.colour_type]
        if not self.interlaced:
            return self.height * (1 + (self.width * bits + 7) // 8)
        total = 0
        for left, top, across, down in PASSES:
            width = (self.width - left + across - 1) // across
            height = (self.height - top + down - 1) // down
            total += height * (1 + (width * bits + 7) // 8) if width > 0 and height > 0 else 0
        return total


def read_header(blob: bytes) -> Header:
    """Read the header of a PNG that has been decoded. Raises: ValueError if there is none."""
    for name, body in _chunks(blob):
        if name == b"IHDR" and len(body) >= 13 and body[9] in CHANNELS:
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            return Header(width, height, body[8], body[9], bool(body[12]))
    raise ValueError("no IHDR chunk")


def missing_part(blob: bytes) -> str:
    """Say in words what a PNG lacks; empty if all its rows are there."""
    size = read_header(blob).size
    inflate = zlib.decompressobj()
    there = 0
    for name, body in _chunks(blob):
        while name == b"IDAT" and body and there < size:
            there += len(inflate.decompress(body, size - there))
            body = inflate.unconsumed_tail
    return "" if there >= size else f"{size - there} of the {size} bytes of its rows are missing"


def _chunks(blob: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of every chunk."""
    position = len(SIGNATURE)
    while position + 8 <= len(blob):
        length = int.from_bytes(blob[position : position + 4], "big")
        yield blob[position + 4 : position + 8], blob[position + 8 : position + 8 + length]
        position += 12 + length
