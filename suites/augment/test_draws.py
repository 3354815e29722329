"""What is drawn: every random parameter against torchvision's own samplers.

All seeds are fixed, so no test here is ever red by chance. A correct sampler passes p > .001 with 999 seeds
of 1,000; with 20,000 draws a side a Kolmogorov-Smirnov distance of .02 does not pass, which is a range wrong
by a fiftieth of its width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chi2_contingency, ks_2samp
from torch import Tensor
from torchvision import transforms

from reference.augment import (
    AUGMENT,
    Batch,
    Draws,
    crop_windows,
    gaussian_blur,
    jitter_parameters,
    random_crop,
    random_rotation,
)

COUNT = 20_000
LEAST_P = 0.001
PRINTED_JITTER = transforms.ColorJitter(0.8, 0.8, 0.8, 0.2)
CHANCES = {
    "horizontal_flip": transforms.RandomHorizontalFlip().p,
    "vertical_flip": transforms.RandomVerticalFlip().p,
    "color_jitter": transforms.RandomApply([PRINTED_JITTER], p=0.3).p,
    "grayscale": transforms.RandomGrayscale(p=0.2).p,
    "gaussian_blur": transforms.RandomApply([transforms.GaussianBlur((3, 3), (1.0, 2.0))], p=0.2).p,
}
"""Operations that change a sample or leave it, and the probability in the transform that is printed."""


def draws_of(seed: int, count: int = COUNT) -> Draws:
    return Draws(generator=torch.Generator().manual_seed(seed), total=count, start=0, count=count)


def torchvisions(sample: Callable[[], object], count: int = COUNT) -> np.ndarray:
    """(count, …) draws of one of torchvision's samplers, which use the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return np.array([sample() for _ in range(count)])


def same_distribution(ours: Tensor, theirs: np.ndarray) -> None:
    """Two-sample Kolmogorov-Smirnov, for continuous values."""
    assert ks_2samp(ours.numpy(), theirs).pvalue > LEAST_P


def same_frequencies(ours: Tensor, theirs: np.ndarray, outcomes: int) -> None:
    """Chi-square of (N, k) integer draws, each row one outcome; all of them must occur on both sides."""
    rows, which = np.unique(np.concatenate([ours.numpy(), theirs]), axis=0, return_inverse=True)
    which = which.ravel()
    assert len(rows) == outcomes
    table = [np.bincount(part, minlength=outcomes) for part in np.split(which, [len(ours)])]
    assert chi2_contingency(table).pvalue > LEAST_P


def uncorrelated(columns: Tensor) -> None:
    """(N, k) values: no pair of columns correlates; one standard error is 1/√N, seven are allowed."""
    off = torch.corrcoef(columns.T.double()) - torch.eye(columns.shape[1])
    assert off.abs().max() < 7 / len(columns) ** 0.5


def empty(side: int, count: int = COUNT) -> Batch:
    """A batch of images without memory of their own."""
    return Batch(torch.zeros(1).expand(count, 3, side, side))


@pytest.mark.parametrize("kind", range(4), ids=["brightness", "contrast", "saturation", "hue"])
def test_jitter_factors(kind: int) -> None:
    ranges = [getattr(PRINTED_JITTER, name) for name in ("brightness", "contrast", "saturation", "hue")]
    theirs = torchvisions(lambda: transforms.ColorJitter.get_params(*ranges)[1 + kind])
    factors = jitter_parameters(draws_of(0))[1]
    same_distribution(factors[:, kind], theirs)
    low, high = ranges[kind]
    assert factors[:, kind].min() >= low
    assert factors[:, kind].max() <= high


def test_jitter_orders() -> None:
    theirs = torchvisions(lambda: transforms.ColorJitter.get_params(None, None, None, None)[0].tolist())
    order, factors = jitter_parameters(draws_of(1))
    same_frequencies(order, theirs, outcomes=24)
    uncorrelated(torch.cat([order[:, :1], factors], dim=1))


def test_blur_sigmas() -> None:
    _, sigma = gaussian_blur.draw(draws_of(2), 8, 8)
    assert len(sigma.unique()) > 0.99 * len(sigma)  # of its own for every sample
    same_distribution(sigma, torchvisions(lambda: transforms.GaussianBlur.get_params(1.0, 2.0)))


def test_rotation_angles() -> None:
    (degrees,) = random_rotation.draw(draws_of(3), 8, 8)
    limits = transforms.RandomRotation(15).degrees
    same_distribution(degrees, torchvisions(lambda: transforms.RandomRotation.get_params(limits)))


@pytest.mark.parametrize(("side", "margin"), [(32, 4), (64, 8)])
def test_crop_offsets(side: int, margin: int) -> None:
    """Down and right together, so that all (2m + 1)² shifts must be equally frequent."""
    shifts = random_crop.draw(draws_of(4), side, side)
    padded = torch.zeros(1).expand(3, side + 2 * margin, side + 2 * margin)
    theirs = torchvisions(lambda: transforms.RandomCrop.get_params(padded, (side, side))[:2])
    same_frequencies(torch.stack(shifts, dim=1), theirs - margin, outcomes=(2 * margin + 1) ** 2)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (168, 168), (40, 160)])
def test_crop_windows(height: int, width: int) -> None:
    count = 3000
    ours = crop_windows(draws_of(5, count), height, width)
    image = torch.zeros(1).expand(3, height, width)
    printed = transforms.RandomResizedCrop(128)
    theirs = torchvisions(lambda: printed.get_params(image, printed.scale, printed.ratio), count)
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    for quantity in (
        lambda w: w[:, 0],
        lambda w: w[:, 1],
        lambda w: w[:, 2] * w[:, 3],
        lambda w: w[:, 3] / w[:, 2],
        lambda w: w[:, 0] + w[:, 2] / 2,
        lambda w: w[:, 1] + w[:, 3] / 2,
    ):
        same_distribution(quantity(ours.double()), quantity(theirs.astype(float)))


def test_window_where_no_try_fits_is_the_central_one() -> None:
    # No window of ratio 3:4…4:3 has 8 % of such a strip's area, so all ten tries miss.
    windows = crop_windows(draws_of(6, 50), 4, 400)
    image = torch.zeros(1).expand(3, 4, 400)
    expected = torchvisions(
        lambda: transforms.RandomResizedCrop.get_params(image, [0.08, 1], [3 / 4, 4 / 3]), 1
    )
    assert windows.tolist() == expected.tolist() * 50


@pytest.mark.parametrize("name", CHANCES)
def test_chances(name: str) -> None:
    """How many samples of noise change; two-sided binomial test."""
    noise = torch.rand(COUNT, 3, 3, 4, generator=torch.Generator().manual_seed(7))
    changed = AUGMENT[name](Batch(noise.clone()), draws_of(7)).images != noise
    taken = int(changed.flatten(1).any(dim=1).sum())
    assert binomtest(taken, COUNT, CHANCES[name]).pvalue > LEAST_P


def test_every_operation_that_draws_is_here() -> None:
    drawn = {*CHANCES, "random_crop", "random_rotation", "random_resized_crop"}
    assert drawn == set(AUGMENT) - {"pad"}
    before = (draws := draws_of(8, 2)).generator.get_state()
    AUGMENT["pad"](empty(8, 2), draws)
    assert torch.equal(draws.generator.get_state(), before)
