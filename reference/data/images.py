"""Turn image files into arrays; every bad file gives an error of one line that names it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from reference.data import jpeg_scans, png_rows
from reference.data.listing import shown
from reference.errors import InputError

# 8192 x 8192; Pillow starts to warn of decompression bombs above this count.
MAX_PIXELS = 1 << 26
IMAGE_MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read ({error.strerror}); expected a file") from None


def decode_image(
    blob: bytes, name: str, *, formats: tuple[str, ...] = ("JPEG", "PNG"), modes: Sequence[str] = IMAGE_MODES
) -> Image.Image:
    """Decode a file's bytes as an RGB image, whatever the ending of its name.

    Pillow converts grey, palette and CMYK images. Transparency is dropped and an EXIF orientation is
    ignored. torchvision's loaders do the same. Sixteen-bit grey is refused, because the conversion would
    clip it.

    Raises:
        InputError: the file is not an image, is damaged or incomplete, has another mode, or has more than
            ``MAX_PIXELS``.
    """
    return decoded(blob, name, formats, modes, as_rgb, "convert it to RGB")


def decoded(
    blob: bytes,
    name: str,
    formats: tuple[str, ...],
    modes: Sequence[str],
    convert: Callable[[Image.Image], Image.Image],
    remedy: str,
) -> Image.Image:
    """Decode an image file by ``convert``; ``remedy`` says what to do about a mode not in ``modes``.

    Raises:
        InputError: as for ``decode_image``, and for every exception of a decoder.
    """
    wanted = " or ".join(formats)
    if not blob:
        raise InputError(f"{name}: the file is empty (0 bytes); expected a {wanted} image; replace it")
    try:
        with Image.open(io.BytesIO(blob), formats=formats) as image:
            _check_size(image, name)
            if image.mode not in modes:
                raise InputError(
                    f"{name}: an image of mode {image.mode}; expected {', '.join(modes)}; {remedy}"
                )
            pixels = convert(image)
        missing = _missing_part(blob, pixels)
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a {wanted} image; replace the file or remove it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name}: too large ({_one_line(error)}); shrink or remove it") from None
    except Exception as error:  # on bytes of another format a decoder may raise anything
        raise _damaged(name, _one_line(error)) from error
    if missing:
        raise _damaged(name, missing)
    return pixels


def image_size(blob: bytes, name: str) -> tuple[int, int]:
    """Read width and height from the header alone. Raises: InputError."""
    try:
        with Image.open(io.BytesIO(blob), formats=("JPEG", "PNG")) as image:
            return image.size
    except Exception as error:  # as in ``decoded``
        raise _damaged(name, _one_line(error)) from error


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB and drop transparency."""
    # Go through RGBA, because Pillow warns about palettes with transparency.
    return (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")


def _missing_part(blob: bytes, pixels: Image.Image) -> str:
    if blob.startswith(jpeg_scans.START):
        return jpeg_scans.missing_part(blob, np.asarray(pixels))
    return png_rows.missing_part(blob)


def _damaged(name: str, cause: str) -> InputError:
    return InputError(f"{name}: the image is truncated or damaged ({cause}); replace the file or remove it")


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: too large ({width} x {height}); at most {MAX_PIXELS} pixels; shrink or remove it"
        )


def _one_line(error: BaseException) -> str:
    return shown(" ".join(str(error).split())) or type(error).__name__


def resize_image(image: Image.Image, size: int) -> np.ndarray:
    """Resize an image of any shape to a square, antialiased and bilinear: (size, size, 3) uint8."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Resize a mask by nearest neighbour, which creates no new class: (H, W) to (size, size) uint8.

    Every pixel takes the class at its centre, as in Pillow. This function computes in whole numbers, because
    in Pillow rounding errors decide if a centre falls on the border between two pixels.
    """
    rows, columns = ((2 * np.arange(size) + 1) * length // (2 * size) for length in mask.shape)
    resized: np.ndarray = mask[rows[:, None], columns]
    return resized
