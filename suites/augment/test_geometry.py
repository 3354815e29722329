"""Flips, crops, rotation and resizing against torchvision and PIL; masks follow their images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode

from reference.augment import (
    AUGMENT,
    Batch,
    Draws,
    augment,
    crop_at,
    crop_windows,
    horizontal_flip,
    normalise,
    pad,
    resize,
    resized_crop,
    rotate,
    to_float,
    vertical_flip,
)
from reference.errors import InputError

SEEDS = st.integers(0, 2**16)
GREY_LEVEL = 1 / 255
ADDS_PIXELS = {"pad", "random_rotation"}
"""Operations that bring in pixels without a label."""
KEEPS_LABELS = sorted(set(AUGMENT) - ADDS_PIXELS)
MOVES = ["horizontal_flip", "random_crop", "random_resized_crop", "vertical_flip"]


def random_images(seed: int, count: int = 6, height: int = 16, width: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def draws_of(seed: int, count: int) -> Draws:
    return Draws(generator=torch.Generator().manual_seed(seed), total=count, start=0, count=count)


def positions(count: int, height: int, width: int) -> Batch:
    """Every pixel of image and mask holds its own flat position: where it went can be read off."""
    where = torch.arange(height * width).view(1, height, width).expand(count, -1, -1)
    return Batch(where[:, None].repeat(1, 3, 1, 1).float(), where.clone())


def test_registry_is_complete() -> None:
    assert set(AUGMENT) == {*MOVES, *ADDS_PIXELS, "color_jitter", "grayscale", "gaussian_blur"}


def test_to_float_equals_torchvision() -> None:
    images = random_images(0)
    expected = torch.stack([TF.to_tensor(image.numpy()) for image in images])
    assert torch.equal(to_float(images), expected)


def test_normalise_equals_torchvision() -> None:
    images = to_float(random_images(1))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert torch.equal(normalise(images, mean, std), TF.normalize(images, mean, std))
    with pytest.raises(ValueError, match="expected 3 values"):
        normalise(images, (0.5,), (0.5,))
    with pytest.raises(ValueError, match="std > 0"):
        normalise(images, mean, (1, 1, 0))


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_flips_equal_torchvision_for_the_samples_they_choose(seed: int) -> None:
    for op, oracle in ((horizontal_flip, TF.hflip), (vertical_flip, TF.vflip)):
        batch = Batch(to_float(random_images(seed)), torch.arange(6 * 16 * 24).view(6, 16, 24))
        flipped = op(replace(batch, images=batch.images.clone()), draws_of(seed, 6))
        chosen = draws_of(seed, 6).uniform() < 0.5
        assert flipped.masks is not None
        assert batch.masks is not None
        for i in range(6):
            image, mask = batch.images[i], batch.masks[i]
            assert torch.equal(flipped.images[i], oracle(image) if chosen[i] else image)
            assert torch.equal(flipped.masks[i], oracle(mask) if chosen[i] else mask)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(-15, 15), st.integers(-23, 23))
def test_crop_equals_reflection_padding_and_cropping(seed: int, dy: int, dx: int) -> None:
    images = to_float(random_images(seed, count=2))
    shifts = torch.tensor([[dy, 0], [0, dx]])
    cropped = crop_at(Batch(images), shifts[:, 0], shifts[:, 1]).images
    for image, result, (down, right) in zip(images, cropped, shifts.tolist(), strict=True):
        padded = TF.pad(image, [23, 15], padding_mode="reflect")  # left/right, top/bottom
        assert torch.equal(result, TF.crop(padded, 15 + down, 23 + right, 16, 24))


def to_pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.numpy())


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 10), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_resized_crop_equals_pil_within_a_grey_level(
    seed: int, border: int, height: int, width: int, out: int
) -> None:
    """Any window of the bordered image, enlarged or reduced; one level, since PIL rounds after each axis."""
    images = random_images(seed, count=2, height=20, width=24)
    height, width = min(height, 20 + 2 * border), min(width, 24 + 2 * border)
    rng = np.random.default_rng(seed)
    tops, lefts = rng.integers(0, 21 + 2 * border - height, 2), rng.integers(0, 25 + 2 * border - width, 2)
    windows = torch.tensor([[tops[i], lefts[i], height, width] for i in range(2)])
    result = resized_crop(Batch(to_float(images), border=border), windows, out, out + 3).images
    assert result.shape == (2, 3, out, out + 3)
    for image, window, ours in zip(images, windows.tolist(), result, strict=True):
        bordered = TF.pad(to_pil(image), [border])
        theirs = TF.to_tensor(TF.resized_crop(bordered, *window, [out, out + 3], InterpolationMode.BILINEAR))
        assert (ours - theirs).abs().max() <= 1.01 * GREY_LEVEL


@pytest.mark.parametrize("shape", [(128, 128), (84, 84), (32, 224), (224, 37)])
def test_resize_equals_torchvision(shape: tuple[int, int]) -> None:
    images = to_float(random_images(11, count=2, height=100, width=90))
    theirs = TF.resize(images, list(shape), InterpolationMode.BILINEAR, antialias=True)
    # Both are float32; the positions of the taps, up to 224, are rounded to about 1e-5 of a pixel.
    torch.testing.assert_close(resize(images, *shape), theirs, rtol=0, atol=1e-4)


def test_every_sample_has_a_window_of_its_own() -> None:
    images = to_float(random_images(12, count=3, height=20, width=20))
    windows = torch.tensor([[0, 0, 5, 5], [3, 8, 17, 9], [19, 19, 1, 1]])
    together = resized_crop(Batch(images), windows, 20, 20).images
    for i in range(3):
        alone = resized_crop(Batch(images[i : i + 1]), windows[i : i + 1], 20, 20).images[0]
        torch.testing.assert_close(together[i], alone, rtol=0, atol=1e-6)
    assert (together[2] - images[2, :, 19:, 19:]).abs().max() < 1e-6  # a window of one pixel


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 20), st.integers(1, 24), st.integers(1, 40))
def test_masks_of_a_resized_crop_equal_pil_s_nearest(seed: int, height: int, width: int, out: int) -> None:
    masks = random_images(seed, count=1, height=20, width=24)[..., 0]
    windows = torch.tensor([[20 - height, 24 - width, height, width]])
    ours = resized_crop(Batch(torch.zeros(1, 3, 20, 24), masks), windows, out, out).masks
    theirs = TF.resized_crop(to_pil(masks[0]), *windows[0].tolist(), [out, out], InterpolationMode.NEAREST)
    assert ours is not None
    # Where the centre falls between two pixels PIL's running sum decides for either.
    sure_rows, sure_columns = ((2 * np.arange(out) + 1) * side % (2 * out) != 0 for side in (height, width))
    sure = np.ix_(sure_rows, sure_columns)
    np.testing.assert_array_equal(ours[0].numpy()[sure], np.asarray(theirs)[sure])


def test_masks_of_a_whole_window_are_unchanged() -> None:
    masks = random_images(16, count=2, height=20, width=24)[..., 0]
    whole = torch.tensor([[0, 0, 20, 24]]).expand(2, -1)
    for factor in (1, 3):
        ours = resized_crop(Batch(torch.zeros(2, 3, 20, 24), masks), whole, 20 * factor, 24 * factor).masks
        assert ours is not None
        assert torch.equal(ours, masks.repeat_interleave(factor, 1).repeat_interleave(factor, 2))


def test_pad_is_a_black_border_whether_stored_or_not() -> None:
    images = random_images(13, count=4, height=128, width=128)
    padded, _ = augment(images, None, ["pad"], torch.Generator())
    expected = torch.stack([TF.pad(image, [20]) for image in to_float(images)])
    assert torch.equal(padded, expected)
    bordered = pad(Batch(to_float(images)), draws_of(0, 4))
    windows = crop_windows(draws_of(5, 4), 168, 168)
    unstored = resized_crop(bordered, windows, 128, 128).images
    torch.testing.assert_close(unstored, resized_crop(Batch(expected), windows, 128, 128).images)


def test_random_resized_crop_after_pad_returns_to_the_size_before_it() -> None:
    images = random_images(14, count=64, height=32, width=32)
    for names, darkest in ((["pad", "random_resized_crop"], True), (["random_resized_crop"], False)):
        views, _ = augment(images.clamp(min=100), None, names, torch.Generator().manual_seed(0))
        assert views.shape == (64, 3, 32, 32)
        assert (views.amin(dim=(1, 2, 3)) < 0.1).any() == darkest  # the border shows, or there is none


@pytest.mark.parametrize("degrees", [-15.0, -3.3, 0.0, 7.0, 44.0])
def test_rotation_equals_pil_but_for_pixels_on_the_edge_of_another(degrees: float) -> None:
    images = random_images(15, count=2, height=65, width=80)
    turned = rotate(Batch(to_float(images)), torch.tensor([degrees, 0.0])).images
    theirs = TF.to_tensor(TF.rotate(to_pil(images[0]), degrees, InterpolationMode.NEAREST))
    # PIL steps in fixed point of 2**-16 pixels, which decides differently where two pixels are equally near.
    assert (turned[0] != theirs).any(dim=0).float().mean() < 0.005
    assert torch.equal(turned[1], to_float(images)[1])


@pytest.mark.parametrize("name", sorted(ADDS_PIXELS))
def test_operations_that_add_pixels_refuse_masks(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} brings in pixels without a label"):
        AUGMENT[name](positions(2, 16, 16), draws_of(0, 2))


@pytest.mark.parametrize("name", [name for name in MOVES if name != "random_resized_crop"])
def test_masks_go_where_their_images_go(name: str) -> None:
    moved = AUGMENT[name](positions(32, 16, 16), draws_of(2, 32))
    assert moved.masks is not None
    assert moved.masks.dtype == torch.int64
    assert torch.equal(moved.images[:, 0].long(), moved.masks)
    assert not torch.equal(moved.masks, positions(32, 16, 16).masks)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_masks_keep_their_dtype_and_labels(dtype: torch.dtype) -> None:
    masks = torch.tensor([0, 6], dtype=dtype).repeat(8, 16, 8)
    _, moved = augment(random_images(3, 8, 16, 16), masks, KEEPS_LABELS, torch.Generator().manual_seed(0))
    assert moved is not None
    assert moved.dtype == dtype
    assert set(moved.unique().tolist()) <= {0, 6}


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.lists(st.sampled_from(KEEPS_LABELS), max_size=4), st.integers(1, 5))
def test_ranks_see_the_slices_of_the_global_batch(seed: int, names: list[str], cut: int) -> None:
    images, masks = random_images(seed), random_images(seed + 1)[..., 0]
    whole, whole_masks = augment(images, masks, names, torch.Generator().manual_seed(seed))
    parts = [
        augment(images[rows], masks[rows], names, torch.Generator().manual_seed(seed), start=start, total=6)
        for start, rows in ((0, slice(0, cut)), (cut, slice(cut, 6)))
    ]
    # Vector code rounds the last pixels of a batch differently: a hundred thousandth of a grey level.
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), whole, rtol=0, atol=1e-6)
    assert whole_masks is not None
    assert torch.equal(torch.cat([m for _, m in parts if m is not None]), whole_masks)


def test_labels_and_missing_labels_pass_through() -> None:
    images, labels = random_images(4), torch.arange(6)
    generator = torch.Generator().manual_seed(0)
    assert augment(images, labels, ["horizontal_flip"], generator)[1] is labels
    assert augment(images, None, ["horizontal_flip"], generator)[1] is None
    unchanged, _ = augment(images, None, [], generator)
    assert torch.equal(unchanged, to_float(images))


def test_draws_move_on_and_leave_the_global_generator_alone() -> None:
    images, generator = random_images(5, 32, 16, 16), torch.Generator().manual_seed(0)
    before = torch.get_rng_state()
    first, _ = augment(images, None, ["random_crop"], generator)
    second, _ = augment(images, None, ["random_crop"], generator)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_input_is_not_written_to() -> None:
    images, masks = random_images(6), random_images(7)[..., 0]
    copies = images.clone(), masks.clone()
    augment(images, masks, KEEPS_LABELS, torch.Generator().manual_seed(0))
    assert torch.equal(images, copies[0])
    assert torch.equal(masks, copies[1])


def test_refusals() -> None:
    images, generator = random_images(8), torch.Generator()
    with pytest.raises(InputError, match="'cutout' is unknown: expected one of horizontal_flip"):
        augment(images, None, ["cutout"], generator)
    with pytest.raises(ValueError, match="expected \\(B, H, W, 3\\) uint8"):
        augment(images.float(), None, [], generator)
    with pytest.raises(ValueError, match="masks are"):
        augment(images, torch.zeros(6, 8, 8, dtype=torch.uint8), [], generator)
    with pytest.raises(ValueError, match="outside a global batch of 8"):
        augment(images, None, [], generator, start=3, total=8)


@pytest.mark.gpu(1)
@pytest.mark.parametrize("name", AUGMENT)
def test_same_draws_on_the_gpu(name: str, gpu: str) -> None:
    images, masks = random_images(9), None if name in ADDS_PIXELS else random_images(10)[..., 0]
    on_cpu = augment(images, masks, [name], torch.Generator().manual_seed(0))
    moved = None if masks is None else masks.to(gpu)
    on_gpu = augment(images.to(gpu), moved, [name], torch.Generator().manual_seed(0), whole=True)
    assert on_gpu[0].device.type == gpu
    torch.testing.assert_close(on_gpu[0].cpu(), on_cpu[0], rtol=0, atol=1e-5)
    if masks is None:
        return
    assert on_gpu[1] is not None
    assert on_cpu[1] is not None
    assert torch.equal(on_gpu[1].cpu(), on_cpu[1])
