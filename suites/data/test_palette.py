"""Masks: colours to classes and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.landcover import decode_mask, read_mask
from reference.errors import InputError

# Colours and indices as the course hands them out.
OFFICIAL = {
    (0, 255, 255): 0,
    (255, 255, 0): 1,
    (255, 0, 255): 2,
    (0, 255, 0): 3,
    (0, 0, 255): 4,
    (255, 255, 255): 5,
    (0, 0, 0): 6,
}
TWO_COLOURS = Palette(("land", "road"), ((60, 16, 152), (110, 193, 228)), 2, (155, 155, 155))
rgb_images = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3)))


def course_reader(rgb: np.ndarray) -> np.ndarray:
    """The course's own reader, as its scoring script has it (red, code 4, is left as it was)."""
    mask = (rgb >= 128).astype(int)
    mask = 4 * mask[:, :, 0] + 2 * mask[:, :, 1] + mask[:, :, 2]
    classes = np.full(mask.shape, 4)
    for code, index in ((3, 0), (6, 1), (5, 2), (2, 3), (1, 4), (7, 5), (0, 6)):
        classes[mask == code] = index
    return np.where(mask == 4, -1, classes)


@pytest.mark.parametrize(("colour", "index"), OFFICIAL.items())
def test_official_colours(colour: tuple[int, int, int], index: int) -> None:
    rgb = np.full((3, 2, 3), colour, dtype=np.uint8)
    assert (decode_mask(rgb, OFFICIAL_PALETTE) == index).all()
    assert (OFFICIAL_PALETTE.encode(np.full((3, 2), index, dtype=np.uint8)) == rgb).all()


def test_official_names_are_in_index_order() -> None:
    expected = ("urban", "agriculture", "rangeland", "forest", "water", "barren")
    assert OFFICIAL_PALETTE.classes == expected
    assert OFFICIAL_PALETTE.unknown_index == 6


@given(rgb_images)
def test_impure_colours_read_as_the_course_reads_them(rgb: np.ndarray) -> None:
    expected = course_reader(rgb)
    red = expected == -1
    if red.any():
        with pytest.raises(InputError, match=rf"^mask: {int(red.sum())} pixels outside the palette"):
            decode_mask(rgb, OFFICIAL_PALETTE)
    clean = np.where(red[..., None], 0, rgb).astype(np.uint8)
    decoded = decode_mask(clean, OFFICIAL_PALETTE)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, course_reader(clean))


def test_channels_split_at_128() -> None:
    rgb = np.array([[[127, 128, 128], [128, 127, 255]]], dtype=np.uint8)
    assert decode_mask(rgb, OFFICIAL_PALETTE).tolist() == [[0, 2]]


def test_red_is_refused_with_count_and_first_pixel() -> None:
    rgb = np.zeros((5, 4, 3), dtype=np.uint8)
    rgb[2, 3] = (200, 10, 90)
    rgb[4, 0] = (255, 0, 0)
    with pytest.raises(InputError) as caught:
        decode_mask(rgb, OFFICIAL_PALETTE, name="here.png")
    assert str(caught.value).startswith(
        "here.png: 2 pixels outside the palette, the first at row 2, column 3 "
    )
    assert "(200,10,90)" in str(caught.value)


@given(
    colours=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=2, max_size=30, unique=True),
    data=st.data(),
)
def test_encode_then_decode_is_the_identity(colours: list[tuple[int, int, int]], data: st.DataObject) -> None:
    count = len(colours) - 1
    palette = Palette(tuple(f"class {i}" for i in range(count)), tuple(colours[:-1]), count, colours[-1])
    mask = data.draw(arrays(np.uint8, (5, 3), elements=st.integers(0, count)))
    np.testing.assert_array_equal(decode_mask(palette.encode(mask), palette), mask)


@given(rgb_images)
def test_decode_then_encode_is_the_identity_on_an_exact_palette(rgb: np.ndarray) -> None:
    table = TWO_COLOURS.table
    painted = table[rgb[..., 0] % 3]
    np.testing.assert_array_equal(TWO_COLOURS.encode(decode_mask(painted, TWO_COLOURS)), painted)


def test_an_exact_palette_refuses_a_neighbouring_colour() -> None:
    rgb = TWO_COLOURS.encode(np.zeros((4, 4), dtype=np.uint8))
    rgb[1, 2, 1] += 1
    with pytest.raises(InputError, match=r"1 pixels outside .* row 1, column 2 with RGB \(60,17,152\)"):
        decode_mask(rgb, TWO_COLOURS)


def test_largest_palette_decodes() -> None:
    colours = tuple((i, 255 - i, i // 2) for i in range(254))
    palette = Palette(tuple(str(i) for i in range(254)), colours, 254, (7, 7, 7))
    mask = np.arange(255, dtype=np.uint8).reshape(15, 17)
    np.testing.assert_array_equal(decode_mask(palette.encode(mask), palette), mask)


def test_strided_and_read_only_arrays_decode() -> None:
    mask = np.random.default_rng(0).integers(0, 7, (8, 10), dtype=np.uint8)
    rgb = OFFICIAL_PALETTE.encode(mask)
    rgb.setflags(write=False)
    np.testing.assert_array_equal(decode_mask(rgb[::2, ::-3], OFFICIAL_PALETTE), mask[::2, ::-3])


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (4, 4, 1)])
def test_decode_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode_mask(np.zeros(shape, dtype=np.uint8), OFFICIAL_PALETTE)


def test_encode_refuses_an_index_without_colour() -> None:
    with pytest.raises(ValueError, match="7 has no colour"):
        OFFICIAL_PALETTE.encode(np.array([[7]], dtype=np.uint8))


def test_palette_that_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="one colour per class"):
        Palette(("a", "b"), ((0, 0, 0),), 2, (1, 1, 1))


def test_read_mask_accepts_palette_png_and_alpha(tmp_path: Path) -> None:
    mask = (np.arange(256, dtype=np.uint8) % 7).reshape(16, 16)
    image = Image.fromarray(OFFICIAL_PALETTE.encode(mask))
    for name, converted in (("p", image.quantize(7)), ("rgba", image.convert("RGBA")), ("rgb", image)):
        converted.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png", OFFICIAL_PALETTE), mask)


def test_read_mask_refuses_a_mask_of_bare_indices(tmp_path: Path) -> None:
    # Binarised, indices 0…6 would all turn into unknown without a word.
    Image.fromarray(np.arange(49, dtype=np.uint8).reshape(7, 7) % 7).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey\.png: an image of mode L; expected RGB"):
        read_mask(tmp_path / "grey.png", OFFICIAL_PALETTE)


def test_read_mask_refuses_lossy_files(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "m.png", format="JPEG")
    with pytest.raises(InputError, match=r"m\.png: not a PNG image"):
        read_mask(tmp_path / "m.png", OFFICIAL_PALETTE)


def test_real_masks_give_the_published_score(real_data: Path) -> None:
    """The course's rule on three official pairs: figures that its own script printed."""
    folder = real_data / "deepglobe3"
    confusion = np.zeros((7, 7), dtype=np.int64)
    for path in sorted((folder / "mask").iterdir()):
        truth = read_mask(path, OFFICIAL_PALETTE)
        prediction = read_mask(folder / "pred_fcn32s" / path.name, OFFICIAL_PALETTE)
        index = truth.astype(np.int64) * 7 + prediction
        confusion += np.bincount(index.ravel(), minlength=49).reshape(7, 7)
    hit = confusion.diagonal()[:6]
    iou = hit / (confusion.sum(0)[:6] + confusion.sum(1)[:6] - hit)
    assert [f"{value:.5f}" for value in iou] == [
        "0.63214",
        "0.66313",
        "0.42921",
        "0.75344",
        "0.51999",
        "0.05180",
    ]
    assert f"{iou.mean():.6f}" == "0.508287"
