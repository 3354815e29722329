"""Decoding and resizing against Pillow, torchvision and torch; and every way in which a file can be bad."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from reference.data.images import MAX_PIXELS, decode_image, read_bytes, resize_image, resize_mask
from reference.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    return buffer.getvalue()


def decoded(blob: bytes) -> np.ndarray:
    return np.asarray(decode_image(blob, "x.png"))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and which holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_rgb_png_is_exact() -> None:
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(PIXELS))), PIXELS)


def test_jpeg_is_what_pillow_decodes() -> None:
    blob = encoded(Image.fromarray(PIXELS), "JPEG")
    np.testing.assert_array_equal(decoded(blob), np.asarray(Image.open(io.BytesIO(blob))))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "YCbCr"])
def test_other_modes_convert_as_pillow_does(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    blob = encoded(image, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    np.testing.assert_array_equal(decoded(blob), np.asarray(Image.open(io.BytesIO(blob)).convert("RGB")))


def test_transparent_palette_converts_without_a_warning() -> None:
    blob = encoded(Image.fromarray(PIXELS).quantize(8), transparency=bytes(range(8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoded(blob).shape == PIXELS.shape


def test_sixteen_bit_grey_is_refused_and_not_clipped() -> None:
    blob = encoded(Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)))
    with pytest.raises(InputError, match=r"x: an image of mode I;16; expected RGB"):
        decode_image(blob, "x")


def test_exif_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    blob = encoded(Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(decoded(blob), PIXELS)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_truncated(file_format: str, kept: float) -> None:
    blob = encoded(Image.fromarray(PIXELS), file_format)
    with pytest.raises(InputError, match=r"^bad\.jpg: (the image is truncated|not a JPEG or PNG)"):
        decode_image(blob[: int(len(blob) * kept)], "bad.jpg")


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (b"", r"^x: the file is empty \(0 bytes\)"),
        (b"<html>404</html>", r"^x: not a JPEG or PNG image"),
        (b"GIF89a" + bytes(40), r"^x: not a JPEG or PNG image"),
        (png_of_size(8193, 8193), r"^x: too large \(8193 x 8193\)"),
        (png_of_size(40000, 40000), r"^x: too large"),
        (png_of_size(12, 12), r"^x: the image is truncated or damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_bytes(blob: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_image(blob, "x")


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_where_warnings_are_errors() -> None:
    with pytest.raises(InputError, match="too large"):
        decode_image(png_of_size(10000, 10000), "x")


def test_largest_size_is_below_the_one_that_pillow_warns_of() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


@given(
    file_format=st.sampled_from(["PNG", "JPEG"]),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_decode_or_are_refused(file_format: str, changes: list[tuple[int, int]]) -> None:
    blob = bytearray(encoded(Image.fromarray(PIXELS), file_format))
    for position, value in changes:
        blob[position % len(blob)] = value
    # Any other exception than these fails the test.
    with suppress(InputError):
        assert decode_image(bytes(blob), "x").mode == "RGB"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png: cannot be read \(No such file or directory\)"):
        read_bytes(tmp_path / "gone.png")


@pytest.mark.parametrize("size", [8, 17, 20, 64])
def test_resize_is_torchvisions(size: int) -> None:
    image = Image.fromarray(PIXELS)
    expected = np.asarray(tv.resize(image, [size, size], antialias=True))
    np.testing.assert_array_equal(resize_image(image, size), expected)


def test_resize_is_antialiased() -> None:
    """Against torch's antialiased kernel: two programs, so one grey level of rounding each may differ."""
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(tensor, (8, 8), mode="bilinear", antialias=True)[0]
    found = resize_image(Image.fromarray(PIXELS), 8).astype(np.float64)
    assert np.abs(found - expected.permute(1, 2, 0).numpy()).max() <= 1.0


@given(
    mask=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    size=st.integers(1, 50),
)
def test_mask_resize_is_pillows_nearest(mask: np.ndarray, size: int) -> None:
    resized = resize_mask(mask, size)
    assert resized.shape == (size, size)
    assert set(np.unique(resized)) <= set(np.unique(mask))
    expected = np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST))
    # Where a centre lies on the border between two pixels, Pillow's own rounding errors decide.
    rows, columns = ((2 * np.arange(size) + 1) * length % (2 * size) != 0 for length in mask.shape)
    clear = rows[:, None] & columns
    np.testing.assert_array_equal(resized[clear], expected[clear])


def test_mask_resize_on_the_border_takes_the_lower_right_pixel() -> None:
    mask = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert resize_mask(mask, 1).tolist() == [[3]]
    assert resize_mask(mask[:1], 3).tolist() == [[0, 1, 1]] * 3


@pytest.mark.parametrize("size", [32, 64, 100, 128, 256, 300, 1024])
def test_mask_resize_of_official_size_is_torchs_nearest_exact(size: int) -> None:
    mask = np.random.default_rng(0).integers(0, 7, (512, 512), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None], size, mode="nearest-exact")
    np.testing.assert_array_equal(resize_mask(mask, size), expected[0, 0].numpy())


def test_same_size_is_unchanged() -> None:
    square = PIXELS[:20]
    np.testing.assert_array_equal(resize_image(Image.fromarray(square), 20), square)
    np.testing.assert_array_equal(resize_mask(square[..., 0], 20), square[..., 0])
