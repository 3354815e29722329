"""Masks whose values are labels: refused with what to do, and read where somebody states their order."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reference.data import OFFICIAL_PALETTE, open_dataset
from reference.data.dataset import Palette
from reference.data.landcover import mask_from_bytes
from reference.data.mask_values import stated
from reference.errors import InputError

LABELS = (np.arange(64).reshape(8, 8) % 7).astype(np.uint8)
ORDER = (*OFFICIAL_PALETTE.classes, "unknown")
BY_LABEL = stated(OFFICIAL_PALETTE, ORDER)
GREYS = [value for i in range(256) for value in (i, i, i)]


def png(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def packed(rows: np.ndarray, depth: int, colour_type: int, palette: bytes = b"") -> bytes:
    """A PNG of bytes as they stand in it: (height, bytes a row), each row unfiltered."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 8, len(rows), depth, colour_type, 0, 0, 0)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if palette else b""]
    chunks += [chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def in_palette(colours: list[int]) -> bytes:
    image = Image.fromarray(LABELS).convert("P")
    image.putdata(LABELS.ravel().tolist())
    image.putpalette(colours)
    return png(image)


def four_bits(colour_type: int, palette: bytes = b"") -> bytes:
    return packed(LABELS[:, ::2] << 4 | LABELS[:, 1::2], 4, colour_type, palette)


def sixteen_bits(values: np.ndarray) -> bytes:
    return packed(values.astype(">u2").view(np.uint8).reshape(8, -1), 16, 0)


GREY_RGB = np.repeat(LABELS[..., None], 3, axis=2)
# How people save label masks; all of them show the labels of LABELS.
LABEL_FILES: dict[str, Callable[[], bytes]] = {
    "grey": lambda: png(Image.fromarray(LABELS)),
    "grey, as RGB": lambda: png(Image.fromarray(GREY_RGB)),
    "grey, as RGBA": lambda: png(Image.fromarray(GREY_RGB).convert("RGBA")),
    "grey with alpha": lambda: png(Image.fromarray(LABELS).convert("LA")),
    "16 bits": lambda: sixteen_bits(LABELS),
    "4 bits": lambda: four_bits(0),
    "a grey palette": lambda: in_palette(GREYS),
    "a palette spread over the greys": lambda: in_palette([v for i in range(7) for v in (i * 42,) * 3]),
    "a palette of 4 bits": lambda: four_bits(3, bytes(GREYS[:48])),
    "a palette of colours of its own": lambda: in_palette([90, 160, 200] * 7),
}
# As files of colours they must be refused; the first words of why.
REFUSED = {
    "grey": "an image of mode L; expected RGB, RGBA, P; repaint the mask",
    "grey with alpha": "an image of mode LA",
    "16 bits": "an image of mode I;16",
    "4 bits": "an image of mode L",
    "grey, as RGB": "every pixel is unknown (found RGB (0,0,0), (1,1,1)",
    "grey, as RGBA": "every pixel is unknown (found RGB (0,0,0), (1,1,1)",
    "a grey palette": "every pixel is unknown (found RGB (0,0,0), (1,1,1)",
    "a palette of 4 bits": "every pixel is unknown",
    "a palette spread over the greys": "of its pixels are far from every colour of the palette (found RGB",
    "a palette of colours of its own": "of its pixels are far from every colour of the palette (found RGB",
}


def refusal(blob: bytes, palette: Palette = OFFICIAL_PALETTE) -> str:
    with pytest.raises(InputError) as caught:
        mask_from_bytes(blob, palette, "m.png")
    message = str(caught.value)
    assert message.startswith("m.png: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", LABEL_FILES)
def test_label_masks_are_refused_with_what_to_do(kind: str) -> None:
    message = refusal(LABEL_FILES[kind]())
    assert REFUSED[kind] in message
    assert f"--mask-values {','.join(ORDER)}" in message


@pytest.mark.parametrize("kind", LABEL_FILES)
def test_label_masks_are_read_in_the_order_that_is_stated(kind: str) -> None:
    np.testing.assert_array_equal(mask_from_bytes(LABEL_FILES[kind](), BY_LABEL, "m.png"), LABELS)
    backwards = stated(OFFICIAL_PALETTE, tuple(reversed(ORDER)))
    np.testing.assert_array_equal(mask_from_bytes(LABEL_FILES[kind](), backwards, "m.png"), 6 - LABELS)


@pytest.mark.parametrize("highest", [1, 6, 255])
def test_labels_of_any_range_are_refused_as_colours(highest: int) -> None:
    values = np.where(LABELS > 3, highest, 0).astype(np.uint8)
    if highest < 128:
        for blob in (png(Image.fromarray(values).convert("RGB")), png(Image.fromarray(values).convert("1"))):
            refusal(blob)
    refusal(sixteen_bits(values))
    rgb = np.repeat(values[..., None], 3, axis=2).astype(">u2").view(np.uint8).reshape(8, -1)
    assert "16 bits a channel" in refusal(packed(rgb, 16, 2)) or highest < 128


def test_one_bit_and_sixteen_bits() -> None:
    two = stated(Palette(("land",), ((1, 1, 1),), 1, (9, 9, 9)), ("unknown", "land"))
    blob = png(Image.fromarray(LABELS > 3).convert("1"))
    np.testing.assert_array_equal(mask_from_bytes(blob, two, "m.png"), LABELS <= 3)
    wide = stated(OFFICIAL_PALETTE, (*OFFICIAL_PALETTE.classes, "65535=unknown"))
    values = np.where(LABELS == 6, 65535, LABELS.astype(int))
    np.testing.assert_array_equal(mask_from_bytes(sixteen_bits(values), wide, "m.png"), LABELS)


def test_a_value_that_is_not_stated_is_named() -> None:
    blob = png(Image.fromarray(np.where(LABELS == 6, 255, LABELS).astype(np.uint8)))
    assert "9 pixels hold values that --mask-values does not state (255); expected 0, 1" in refusal(
        blob, BY_LABEL
    )
    ignored = stated(OFFICIAL_PALETTE, (*OFFICIAL_PALETTE.classes, "255=unknown"))
    np.testing.assert_array_equal(mask_from_bytes(blob, ignored, "m.png"), LABELS)


def test_colours_are_refused_where_labels_are_stated() -> None:
    message = refusal(png(Image.fromarray(OFFICIAL_PALETTE.encode(LABELS))), BY_LABEL)
    assert "holds colours, the first at row 0, column 0 with RGB (0,255,255)" in message


def test_an_unknown_mask_is_read_where_colours_are_stated() -> None:
    black = png(Image.new("RGB", (8, 8)))
    assert "every pixel is unknown (found RGB (0,0,0))" in refusal(black)
    assert "say so with --mask-values colours" in refusal(black)
    assert (mask_from_bytes(black, stated(OFFICIAL_PALETTE, ("colours",)), "m.png") == 6).all()


def test_impure_masks_are_read_and_photographs_are_not() -> None:
    rng = np.random.default_rng(0)
    rgb = OFFICIAL_PALETTE.encode(LABELS).astype(int) + rng.integers(-40, 41, (8, 8, 3))
    rgb[0, :4] = 127  # some pixels of a border that a resize has blurred
    blob = png(Image.fromarray(rgb.clip(0, 255).astype(np.uint8)))
    assert (mask_from_bytes(blob, OFFICIAL_PALETTE, "m.png")[1:] == LABELS[1:]).all()
    greys = np.repeat(rng.integers(0, 256, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    assert "far from every colour" in refusal(png(Image.fromarray(greys)))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("urban",), "found no value for 'agriculture'; expected one for every class"),
        (
            (*ORDER, "urbn"),
            "found 'urbn'; expected 'colours', or the classes in the order of their values: urban",
        ),
        ((*ORDER, "6=unknown"), "value 6 is stated twice"),
        ((*ORDER, "-1=unknown"), "found value '-1'; expected a whole number, 0 to 65535"),
        ((*ORDER, "65536=unknown"), "found value '65536'"),
        ((*ORDER, "٣=unknown"), "expected a whole number"),
        (("",), "found ''"),
        (("colours", "urban"), "found 'colours'"),
    ],
)
def test_bad_orders(entries: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        stated(OFFICIAL_PALETTE, entries)
    assert str(caught.value).startswith("--mask-values: ")


def test_orders_are_read_as_people_write_them() -> None:
    spaced = stated(
        OFFICIAL_PALETTE, (" 1 = urban", *OFFICIAL_PALETTE.classes[1:], "0=unknown", "255 =unknown")
    )
    assert dict(spaced.labels) == {i + 1: i for i in range(6)} | {0: 6, 255: 6}
    accented = Palette(("for\u00eat",), ((1, 2, 3),), 1, (0, 0, 0))
    assert stated(accented, ("fore\u0302t",)).labels == ((0, 0),)


# --- data sets --------------------------------------------------------------------------------------------


def test_a_set_of_labels_is_stand_in_and_has_a_manifest_of_its_own(landcover: Path) -> None:
    for path in landcover.rglob("*_mask.png"):
        Image.fromarray(np.resize(LABELS, (16, 16))).save(path)
    with pytest.raises(InputError, match="--mask-values urban,agriculture"):
        open_dataset("landcover", landcover, image_size=16)
    data = open_dataset("landcover", landcover, image_size=16, mask_values=ORDER)
    np.testing.assert_array_equal(data.train.targets[0], np.resize(LABELS, (16, 16)))
    assert data.source == "stand-in"
    assert data.counts_note == "not official: its masks hold labels, the official ones hold colours"
    other = open_dataset("landcover", landcover, image_size=16, mask_values=tuple(reversed(ORDER)))
    assert other.manifest != data.manifest
    assert (other.val.targets == 6 - data.val.targets).all()


def test_the_cache_tells_orders_apart(landcover: Path, tmp_path: Path) -> None:
    for path in landcover.rglob("*_mask.png"):
        Image.fromarray(np.resize(LABELS, (16, 16))).save(path)
    for order in (ORDER, tuple(reversed(ORDER))):
        cached = open_dataset("landcover", landcover, image_size=8, mask_values=order, cache=tmp_path / "c")
        direct = open_dataset("landcover", landcover, image_size=8, mask_values=order)
        np.testing.assert_array_equal(cached.train.targets, direct.train.targets)


def test_stating_colours_changes_neither_source_nor_manifest(landcover: Path) -> None:
    plain = open_dataset("landcover", landcover, image_size=8)
    said = open_dataset("landcover", landcover, image_size=8, mask_values=("colours",))
    assert (said.manifest, said.source, said.palette) == (
        plain.manifest,
        plain.source,
        replace(OFFICIAL_PALETTE, mask_values=("colours",)),
    )


TOML = """name = "fields"
classes = ["field", "water"]
palette = ["#3C1098", "#8429F6"]
unknown = { index = 2, colour = "#9B9B9B" }
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('mask_values = ["field"]', "key 'mask_values': found no value for 'water'"),
        ("mask_values = 3", "key 'mask_values' is 3; expected a list of classes by value"),
        ("mask_values = [0, 1]", "key 'mask_values' is [0, 1]; expected a list"),
        ('mask_value = ["field"]', "valid keys are name, classes, palette, unknown, mask_values"),
    ],
)
def test_bad_orders_in_a_description(landcover: Path, line: str, message: str) -> None:
    (landcover / "p2_data" / "dataset.toml").write_text(f"{TOML}{line}\n")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        open_dataset("landcover", landcover, image_size=8)
    assert "dataset.toml" in str(caught.value)


def test_a_description_states_the_order(landcover: Path) -> None:
    values = (np.arange(256).reshape(16, 16) % 3).astype(np.uint8)
    for path in landcover.rglob("*_mask.png"):
        Image.fromarray(values).save(path)
    (landcover / "p2_data" / "dataset.toml").write_text(
        f'{TOML}mask_values = ["unknown", "field", "water"]\n'
    )
    data = open_dataset("landcover", landcover, image_size=16)
    np.testing.assert_array_equal(data.train.targets[0], (values.astype(int) - 1) % 3)
