"""Check whether a JPEG holds its whole picture; decoders silently fill missing parts with grey.

If the data of a JPEG were cut off and an end marker was added, it decodes without an error. Two signs tell.
First, scans are missing: no scan brings a component, or a bit of its coefficients. Second, a scan ends before
its last block: then appended bytes change the picture, while a decoder skips bytes after a complete scan. A
changed bit inside a scan looks like any other picture, so this check does not look for it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

START = b"\xff\xd8"
# Only Huffman-coded frames; arithmetic coding may leave out bytes at the end of a scan.
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
OTHER_FRAMES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
SCAN, END, RESTART_INTERVAL = 0xDA, 0xD9, 0xDD
COEFFICIENTS = 64
MARKER = re.compile(rb"\xff+([\x01-\xfe])")
# Codes that begin with ones are long, unlike the zeros that a decoder fills in; no byte here is a marker.
APPENDED = bytes(np.random.default_rng(0).integers(0x80, 0xFF, 96, dtype=np.uint8))


@dataclass(frozen=True)
class Frame:
    """A frame header: its marker, height and width, and the sampling of every component."""

    marker: int
    height: int
    width: int
    sampling: dict[int, tuple[int, int]]  # component → horizontal, vertical

    def blocks(self, components: tuple[int, ...]) -> int:
        """Count the units (MCUs) that a scan of these components codes."""
        across = max(horizontal for horizontal, _ in self.sampling.values())
        down = max(vertical for _, vertical in self.sampling.values())
        own_across, own_down = self.sampling[components[0]] if len(components) == 1 else (1, 1)
        columns = -(-self.width * own_across // (8 * across))
        rows = -(-self.height * own_down // (8 * down))
        return columns * rows


@dataclass(frozen=True)
class Scan:
    """One scan: the ids of its components, coefficients ``first``…``last``, and its lowest bit.

    Restart markers divide the scan into ``pieces``; ``expected`` is the number that it should have.
    """

    components: tuple[int, ...]
    first: int
    last: int
    low_bit: int
    pieces: int
    expected: int


def missing_part(blob: bytes, pixels: np.ndarray) -> str:
    """Say in words what a decoded JPEG lacks; empty if nothing seems to be missing.

    Args:
        pixels: (H, W, 3) uint8, decoded from ``blob``.
    """
    try:
        frame, scans, appended = _parsed(blob)
    except (IndexError, KeyError, ValueError, ZeroDivisionError):
        return ""  # an unusual layout that the decoder could read
    if frame is None or frame.marker in OTHER_FRAMES:
        return ""
    if not all(_whole(component, scans, frame) for component in frame.sampling):
        return "scans are missing"
    if any(scan.pieces < scan.expected for scan in scans):
        return "a scan ends before the picture does"
    with Image.open(io.BytesIO(appended), formats=("JPEG",)) as image:
        again = np.asarray(image.convert("RGB"))
    return "" if np.array_equal(again, pixels) else "a scan ends before the picture does"


def _whole(component: int, scans: list[Scan], frame: Frame) -> bool:
    """Whether scans bring every coefficient of a component down to its lowest bit."""
    of = [scan for scan in scans if component in scan.components]
    if frame.marker != PROGRESSIVE:
        return bool(of)
    done = {k for scan in of if scan.low_bit == 0 for k in range(scan.first, scan.last + 1)}
    # an encoder may leave out coefficients that are 0 in all blocks, but it completes those that it began
    begun = {k for scan in of for k in range(scan.first, scan.last + 1)}
    return 0 in done and begun <= done


def _parsed(blob: bytes) -> tuple[Frame | None, list[Scan], bytes]:
    """Return the frame, the scans, and the file with bytes appended to each piece of a scan."""
    frame, interval, scans, parts, position = None, 0, list[Scan](), [blob[:2]], 2
    while True:
        match = MARKER.match(blob, position)
        if match is None:
            raise ValueError("expected a marker")
        code = match[1][0]
        if code == END:
            return frame, scans, b"".join([*parts, blob[position:]])
        length = int.from_bytes(blob[match.end() : match.end() + 2], "big")
        body = blob[match.end() + 2 : match.end() + length]
        end = match.end() + length
        parts.append(blob[position:end])
        if code in (BASELINE, EXTENDED, PROGRESSIVE) or code in OTHER_FRAMES:
            frame = _frame(code, body)
        elif code == RESTART_INTERVAL:
            interval = int.from_bytes(body[:2], "big")
        elif code == SCAN and frame is not None:
            pieces = list(_pieces(blob, end))
            for piece in pieces:
                parts += [piece, APPENDED]
            scans.append(_scan(body, frame, interval, len(pieces)))
            end += sum(map(len, pieces))
        position = end


def _frame(marker: int, body: bytes) -> Frame:
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    starts = [6 + 3 * i for i in range(body[5])]
    sampling = {body[start]: (body[start + 1] >> 4, body[start + 1] & 15) for start in starts}
    return Frame(marker, height, width, sampling)


def _scan(body: bytes, frame: Frame, interval: int, pieces: int) -> Scan:
    count = body[0]
    components = tuple(body[1 + 2 * i] for i in range(count))
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    expected = -(-frame.blocks(components) // interval) if interval else 1
    return Scan(components, first, min(last, COEFFICIENTS - 1), bits & 15, pieces, expected)


def _pieces(blob: bytes, start: int) -> Iterator[bytes]:
    """Yield the pieces of a scan between restart markers; each but the first begins with its marker."""
    position = start
    for match in MARKER.finditer(blob, start):
        yield blob[position : match.start()]
        if not 0xD0 <= match[1][0] <= 0xD7:
            return
        position = match.start()
    raise ValueError("no marker ends the scan")
