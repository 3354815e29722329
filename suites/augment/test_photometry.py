"""Colour jitter, grayscale and blur against torchvision on tensors and PIL."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
import torchvision.transforms as transforms
import torchvision.transforms.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from reference.augment import (
    Batch,
    Draws,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    augment,
    blur,
    color_jitter,
    jitter,
    jitter_parameters,
    to_float,
    to_grayscale,
)

SEEDS = st.integers(0, 2**16)
GREY_LEVEL = 1 / 255
# torchvision's luma weighs red .2989 on tensors; ours and PIL's .299. At most 1e-4, times a factor of 1.8.
LUMA = 2e-4
ADJUSTMENTS = {
    "brightness": (adjust_brightness, TF.adjust_brightness),
    "contrast": (adjust_contrast, TF.adjust_contrast),
    "saturation": (adjust_saturation, TF.adjust_saturation),
    "hue": (adjust_hue, TF.adjust_hue),
}
BYOL_R3 = ("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "random_resized_crop")
Quantity = Callable[[Tensor], Tensor]


def random_images(seed: int, count: int = 4, height: int = 12, width: int = 16) -> Tensor:
    """Noise with flat, grey, black and saturated patches, where hue and saturation have their corners."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)
    images[:, :4, :4] = images[:, :1, :1, :1]
    images[:, 4:8, :2] = 0
    images[:, 4:8, 2:4] = 255
    images[:, 8:, :4] = images[:, 8:, :4] // 128 * 255
    return images


def draws_of(seed: int, count: int) -> Draws:
    return Draws(generator=torch.Generator().manual_seed(seed), total=count, start=0, count=count)


def factors(name: str, seed: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    low, high = (-0.5, 0.5) if name == "hue" else (0.0, 2.0)
    return low + (high - low) * torch.rand(count, generator=generator)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(sorted(ADJUSTMENTS)), SEEDS)
def test_adjustments_equal_torchvision_on_tensors(name: str, seed: int) -> None:
    images = to_float(random_images(seed))
    ours, theirs = ADJUSTMENTS[name]
    factor = factors(name, seed, 4)
    for image, f, result in zip(images, factor.tolist(), ours(images, factor), strict=True):
        torch.testing.assert_close(result, theirs(image, f), rtol=0, atol=LUMA)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["brightness", "contrast", "saturation"]), SEEDS)
def test_adjustments_equal_pil_within_two_grey_levels(name: str, seed: int) -> None:
    """PIL rounds luma and mean (half a level each, times |1 − factor| ≤ 1) and truncates the result."""
    images = random_images(seed)
    ours, theirs = ADJUSTMENTS[name]
    factor = factors(name, seed, 4)
    for image, f, result in zip(images, factor.tolist(), ours(to_float(images), factor), strict=True):
        by_pil = TF.to_tensor(theirs(Image.fromarray(image.numpy()), f))
        assert (result - by_pil).abs().max() <= 2.0 * GREY_LEVEL


def test_hue_equals_pil_on_average_within_two_grey_levels() -> None:
    """PIL keeps hue in 256 steps, one of which moves a channel of full chroma by 6 levels."""
    images = random_images(0, height=64, width=64)
    factor = torch.tensor([-0.2, -0.07, 0.1, 0.2])
    for image, f, result in zip(images, factor.tolist(), adjust_hue(to_float(images), factor), strict=True):
        by_pil = TF.to_tensor(TF.adjust_hue(Image.fromarray(image.numpy()), f))
        assert (result - by_pil).abs().mean() <= 2 * GREY_LEVEL


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_neutral_factors_change_nothing(seed: int) -> None:
    images = to_float(random_images(seed))
    for name, (adjust, _) in ADJUSTMENTS.items():
        neutral = torch.full((4,), 0.0 if name == "hue" else 1.0)
        torch.testing.assert_close(adjust(images, neutral), images, rtol=0, atol=1e-6)
    torch.testing.assert_close(adjust_hue(images, torch.ones(4)), images, rtol=0, atol=1e-5)  # a full circle


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.floats(-0.2, 0.2))
def test_hue_keeps_value_saturation_and_grey(seed: int, turn: float) -> None:
    images = to_float(random_images(seed))
    turned = adjust_hue(images, torch.full((4,), turn))
    torch.testing.assert_close(turned.amax(dim=1), images.amax(dim=1), rtol=0, atol=1e-6)
    torch.testing.assert_close(turned.amin(dim=1), images.amin(dim=1), rtol=0, atol=1e-6)


def test_grayscale_equals_torchvision_and_pil() -> None:
    images = random_images(1)
    ours = to_grayscale(to_float(images))
    for image, result in zip(images, ours, strict=True):
        on_tensor = TF.rgb_to_grayscale(to_float(image[None])[0], 3)
        torch.testing.assert_close(result, on_tensor, rtol=0, atol=LUMA)
        by_pil = TF.to_tensor(TF.rgb_to_grayscale(Image.fromarray(image.numpy()), 3))
        assert (result - by_pil).abs().max() <= 0.51 * GREY_LEVEL  # PIL rounds


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_blur_equals_torchvision_with_each_sample_s_sigma(seed: int) -> None:
    images = random_images(seed)
    sigma = torch.tensor([1.0, 1.3, 1.7, 2.0])
    for image, s, result in zip(images, sigma.tolist(), blur(to_float(images), sigma), strict=True):
        on_tensor = TF.gaussian_blur(to_float(image[None])[0], [3, 3], [s, s])
        torch.testing.assert_close(result, on_tensor, rtol=0, atol=1e-6)
        by_pil = TF.to_tensor(TF.gaussian_blur(Image.fromarray(image.numpy()), [3, 3], [s, s]))
        assert (result - by_pil).abs().max() <= 0.51 * GREY_LEVEL  # torchvision rounds on the way back to PIL


def jittered_by_torchvision(images: Tensor, chosen: Tensor, order: Tensor, values: Tensor) -> Tensor:
    """Replay each sample's own order and factors through torchvision."""
    expected = images.clone()
    oracles = [theirs for _, theirs in ADJUSTMENTS.values()]
    for i in chosen.nonzero().flatten().tolist():
        for kind in order[i].tolist():
            expected[i] = oracles[kind](expected[i], float(values[i, kind]))
    return expected


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_jitter_equals_torchvision_in_every_order(seed: int) -> None:
    images = to_float(random_images(seed, count=24))
    order = torch.tensor(list(permutations(range(4))))
    _, values = jitter_parameters(draws_of(seed, 24))
    chosen = torch.ones(24, dtype=torch.bool)
    expected = jittered_by_torchvision(images, chosen, order, values)
    result = jitter(Batch(images.clone()), chosen, order, values).images
    torch.testing.assert_close(result, expected, rtol=0, atol=5 * LUMA)  # four steps, each up to ×1.8


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_color_jitter_equals_torchvision_sample_by_sample(seed: int) -> None:
    images = to_float(random_images(seed, count=12))
    draws = draws_of(seed, 12)
    expected = jittered_by_torchvision(images, draws.chance(0.3), *jitter_parameters(draws))
    result = color_jitter(Batch(images), draws_of(seed, 12)).images
    torch.testing.assert_close(result, expected, rtol=0, atol=5 * LUMA)


@pytest.mark.parametrize("name", ["color_jitter", "grayscale", "gaussian_blur"])
def test_only_the_chosen_samples_change_and_stay_in_range(name: str) -> None:
    images = random_images(4, count=200)
    views, _ = augment(images, None, [name], torch.Generator().manual_seed(0))
    changed = (views != to_float(images)).flatten(1).any(dim=1).float().mean()
    assert 0.1 < changed < 0.45
    assert views.min() >= 0
    assert views.max() <= 1


def test_no_sample_chosen() -> None:
    images = random_images(5, count=1)
    for seed in range(20):
        views, _ = augment(images, None, BYOL_R3[:-1], torch.Generator().manual_seed(seed))
        assert views.shape == (1, 3, 12, 16)


def test_the_byol_chain_gives_views_distributed_as_torchvision_s() -> None:
    """Mean, contrast and colourfulness of 1,500 views of one image, through R3's printed chain and ours."""
    image = random_images(6, count=1, height=32, width=32)
    image = TF.gaussian_blur(image.permute(0, 3, 1, 2), [9, 9], [3.0, 3.0]).permute(0, 2, 3, 1)
    printed = transforms.Compose(
        [
            transforms.RandomApply([transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.3),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.GaussianBlur((3, 3), (1.0, 2.0))], p=0.2),
            transforms.RandomResizedCrop((32, 32)),
            transforms.ToTensor(),
        ]
    )
    torch.manual_seed(0)
    pil = Image.fromarray(image[0].numpy())
    theirs = torch.stack([printed(pil) for _ in range(1500)])
    ours, _ = augment(image.expand(1500, -1, -1, -1), None, BYOL_R3, torch.Generator().manual_seed(0))
    quantities: list[Quantity] = [
        lambda v: v.mean(dim=(1, 2, 3)),
        lambda v: v.mean(dim=1).std(dim=(1, 2)),
        lambda v: (v.amax(dim=1) - v.amin(dim=1)).mean(dim=(1, 2)),
        lambda v: (v[..., 1:] - v[..., :-1]).abs().mean(dim=(1, 2, 3)),
        lambda v: (v[..., :16] - v[..., 16:]).mean(dim=(1, 2, 3)),
    ]
    for quantity in quantities:
        a, b = quantity(ours), quantity(theirs)
        error = float((a.var() / len(a) + b.var() / len(b)).sqrt())
        # Four standard errors, and half a level that PIL's truncation costs.
        assert abs(float(a.mean() - b.mean())) < 4 * error + 0.5 * GREY_LEVEL
        assert 0.85 < float(a.std() / b.std()) < 1.15
