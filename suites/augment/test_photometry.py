"""Colour jitter, grayscale and blur against torchvision on tensors and PIL; draws against its ranges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
import torchvision.transforms.functional as TF
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import kstest
from torch import Tensor

import reference.augment as chain
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
    gaussian_blur,
    grayscale,
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


class Recorder:
    """Stands in for an operation's kernel and keeps the values that each sample got, call by call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Tensor, Tensor]] = []

    def __call__(self, name: str) -> Callable[[Tensor, Tensor], Tensor]:
        def kernel(images: Tensor, values: Tensor) -> Tensor:
            self.calls.append((name, images[:, 0, 0, 0].long(), values))
            return images

        return kernel

    def values(self, name: str) -> Tensor:
        return torch.cat([values for called, _, values in self.calls if called == name])


def numbered(count: int) -> Batch:
    """Images that hold their own row number, so that a recorder sees whom it got."""
    return Batch(torch.arange(count).float().view(-1, 1, 1, 1).repeat(1, 3, 1, 1))


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(chain, "JITTER", tuple(recorder(name) for name in ADJUSTMENTS))
    return recorder


def test_jitter_draws_from_torchvision_s_ranges(jitter: Recorder) -> None:
    count = 10_000
    color_jitter(numbered(count), draws_of(0, count))
    printed = transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)
    for name in ADJUSTMENTS:
        low, high = getattr(printed, name)
        values = jitter.values(name).numpy()
        # Seeds are fixed; a range wrong by a hundredth would give p below 1e-6 at 3,000 draws.
        assert kstest(values, "uniform", (low, high - low)).pvalue > 0.001
        assert values.min() >= low
        assert values.max() <= high
        assert abs(len(values) / count - 0.3) < 0.023  # five standard deviations
    pairs = np.corrcoef([by_sample(jitter, name) for name in ADJUSTMENTS])
    assert np.abs(pairs - np.eye(4)).max() < 0.1  # independent of each other


def by_sample(jitter: Recorder, name: str) -> list[float]:
    found = {
        int(row): float(value)
        for called, rows, values in jitter.calls
        if called == name
        for row, value in zip(rows, values, strict=True)
    }
    return [found[row] for row in sorted(found)]


def test_jitter_applies_all_four_to_a_sample_in_every_order_equally_often(jitter: Recorder) -> None:
    count = 16_000
    color_jitter(numbered(count), draws_of(1, count))
    orders: dict[int, list[str]] = {}
    for name, rows, _ in jitter.calls:
        for row in rows.tolist():
            orders.setdefault(row, []).append(name)
    seen = [tuple(order) for order in orders.values()]
    assert all(sorted(order) == sorted(ADJUSTMENTS) for order in seen)
    counts = [seen.count(order) for order in set(seen)]
    assert len(counts) == 24
    # 4,800 jittered samples, 200 for each order: five standard deviations are 70.
    assert max(abs(c - len(seen) / 24) for c in counts) < 70


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_jitter_equals_torchvision_sample_by_sample(seed: int) -> None:
    """Replay each sample's own order and factors through torchvision."""
    images = to_float(random_images(seed, count=12))
    draws = draws_of(seed, 12)
    chosen, order = draws.chance(0.3), draws.uniform(4).argsort(dim=1)
    ranges = [(0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2)]
    values = torch.stack([draws.between(low, high) for low, high in ranges], dim=1)
    expected = images.clone()
    oracles = [theirs for _, theirs in ADJUSTMENTS.values()]
    for i in chosen.nonzero().flatten().tolist():
        for kind in order[i].tolist():
            expected[i] = oracles[kind](expected[i], float(values[i, kind]))
    result = color_jitter(Batch(images), draws_of(seed, 12)).images
    torch.testing.assert_close(result, expected, rtol=0, atol=5 * LUMA)  # four steps, each up to ×1.8


def test_blur_draws_a_sigma_for_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, count = Recorder(), 10_000
    monkeypatch.setattr(chain, "blur", recorder("blur"))
    gaussian_blur(numbered(count), draws_of(2, count))
    sigma = recorder.values("blur").numpy()
    assert kstest(sigma, "uniform", (1.0, 1.0)).pvalue > 0.001
    assert abs(len(sigma) / count - 0.2) < 0.02  # five standard deviations
    assert len(np.unique(sigma)) > 0.99 * len(sigma)


def test_grayscale_takes_a_fifth_of_the_samples() -> None:
    count = 10_000
    colours = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).repeat(count, 1, 1, 1)
    grey = grayscale(Batch(colours), draws_of(3, count)).images[:, 1].flatten() > 0
    assert abs(float(grey.float().mean()) - 0.2) < 0.02


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
