"""Pictures that lack a part and decode all the same: cut off and closed again, or short of rows."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference.data.images import decode_image
from reference.data.png_rows import missing_part
from reference.errors import InputError


def jpeg(seed: int, mode: str = "RGB", **options: Any) -> bytes:
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(8, 90, 2))
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((width, height)).convert(mode).save(buffer, format="JPEG", **options)
    return buffer.getvalue()


OPTIONS = st.fixed_dictionaries(
    {"quality": st.integers(1, 100), "subsampling": st.integers(0, 2)},
    optional={
        "progressive": st.just(True),
        "optimize": st.just(True),
        "restart_marker_blocks": st.integers(1, 6),
    },
)
MODES = st.sampled_from(["RGB", "L", "CMYK"])


def pixels(blob: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


@settings(deadline=None)
@given(st.integers(0, 2**16), MODES, OPTIONS)
def test_whole_jpegs_are_read(seed: int, mode: str, options: dict[str, Any]) -> None:
    blob = jpeg(seed, mode, **options)
    np.testing.assert_array_equal(np.asarray(decode_image(blob, "a.jpg")), pixels(blob))
    decode_image(blob + b"more behind the end, as cameras leave it", "a.jpg")


@settings(deadline=None)
@given(st.integers(0, 2**16), MODES, OPTIONS, st.floats(0, 1))
def test_jpegs_that_are_cut_and_closed_again_are_refused(
    seed: int, mode: str, options: dict[str, Any], share: float
) -> None:
    """Wherever it is cut: whoever accepts it has the whole picture."""
    blob = jpeg(seed, mode, **options)
    start = blob.find(b"\xff\xda") + 14
    cut = blob[: start + int((len(blob) - 2 - start) * share)].rstrip(b"\xff") + b"\xff\xd9"
    try:
        image = np.asarray(decode_image(cut, "a.jpg"))
    except InputError as error:
        image, message = None, str(error)
    if image is None:
        assert message.startswith("a.jpg: the image is truncated or damaged (")
        assert "\n" not in message
    else:
        np.testing.assert_array_equal(image, pixels(blob))


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, "a scan ends before the picture does"),
        ({"restart_marker_blocks": 4}, "a scan ends before the picture does"),
        ({"progressive": True}, "scans are missing"),
    ],
)
def test_half_a_jpeg_says_what_it_lacks(options: dict[str, Any], cause: str) -> None:
    blob = jpeg(5, **options)
    half = blob[: len(blob) * 3 // 4].rstrip(b"\xff") + b"\xff\xd9"
    assert not np.array_equal(pixels(half), pixels(blob))  # a decoder alone says nothing
    with pytest.raises(InputError, match=rf"a\.jpg: the image is truncated or damaged \({cause}\)"):
        decode_image(half, "a.jpg")


def png(height: int, sizes: list[int], *, interlaced: bool = False) -> bytes:
    """A PNG of 4 pixels across, whose header says that height; ``sizes`` are its rows' bytes of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 4, height, 8, 2, 0, 0, int(interlaced))
    body = zlib.compress(b"".join(b"\0" + b"\xc8" * size for size in sizes))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# Adam7's passes over 4 x 4 pixels of 3 bytes: 1 x 1, two empty ones, 1 x 1, 2 x 1, 2 x 2, 4 x 2.
ADAM7 = [3, 3, 6, 6, 6, 12, 12]


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_pngs_that_lack_rows_are_refused(rows: int) -> None:
    with pytest.raises(InputError, match=r"a\.png: the image is truncated or damaged \("):
        decode_image(png(8, [12] * rows), "a.png")


def test_pngs_with_all_rows_and_more_are_read() -> None:
    for rows in (8, 9):
        assert (np.asarray(decode_image(png(8, [12] * rows), "a.png")) == 200).all()


def test_interlaced_pngs_count_the_rows_of_every_pass() -> None:
    assert (np.asarray(decode_image(png(4, ADAM7, interlaced=True), "a.png")) == 200).all()
    with pytest.raises(InputError, match="truncated or damaged"):
        decode_image(png(4, ADAM7[:-1], interlaced=True), "a.png")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 8), (17, 33)])
def test_whole_pngs_of_every_kind_lack_nothing(mode: str, size: tuple[int, int]) -> None:
    image = Image.new("L", size, 7).convert(mode) if mode != "I;16" else Image.new("I;16", size)
    for options in ({}, {"bits": 2}, {"bits": 4}) if mode == "P" else ({},):
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", **options)
        assert missing_part(buffer.getvalue()) == ""
