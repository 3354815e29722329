"""Mixup by hand-computed values: timm's pairs, smoothing and one λ a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import Tensor

from reference.losses import soft_cross_entropy
from reference.mixup import TIMM_SMOOTHING, draw_lambda, mix, mixup, smooth_labels


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def timm_mixup(
    images: Tensor, labels: Tensor, num_classes: int, lam: float, smoothing: float
) -> tuple[Tensor, Tensor]:
    """timm's ``Mixup._mix_batch`` and ``mixup_target``, statement by statement."""
    off_value = smoothing / num_classes
    on_value = 1.0 - smoothing + off_value

    def one_hot(x: Tensor) -> Tensor:
        return torch.full((len(x), num_classes), off_value).scatter_(1, x.view(-1, 1), on_value)

    target = one_hot(labels) * lam + one_hot(labels.flip(0)) * (1.0 - lam)
    return images * lam + images.flip(0) * (1.0 - lam), target


def test_by_hand() -> None:
    images = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    targets = smooth_labels(torch.tensor([0, 1, 1, 3]), 4, smoothing=0.0)
    mixed, soft = mix(images, targets, lam=0.75)
    # 0 with 10, 1 with 2, 2 with 1, 10 with 0: three quarters of the sample itself.
    torch.testing.assert_close(mixed, torch.tensor([[2.5], [1.25], [1.75], [7.5]]))
    expected = [[0.75, 0, 0, 0.25], [0, 1, 0, 0], [0, 1, 0, 0], [0.25, 0, 0, 0.75]]
    torch.testing.assert_close(soft, torch.tensor(expected))


def test_smoothing_by_hand() -> None:
    smoothed = smooth_labels(torch.tensor([2]), 4, smoothing=0.1)
    torch.testing.assert_close(smoothed, torch.tensor([[0.025, 0.025, 0.925, 0.025]]))


def test_labels_are_smoothed_only_when_asked_for() -> None:
    images, labels = torch.zeros(2, 3, 4, 4), torch.tensor([1, 1])
    _, soft = mixup(images, labels, 50, generator_of(0), smoothing=TIMM_SMOOTHING)
    torch.testing.assert_close(soft[0, 1], torch.tensor(0.9 + 0.1 / 50))
    _, hard = mixup(images, labels, 50, generator_of(0))
    assert hard[0, 1] == 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 4), st.floats(0, 0.5), st.floats(0.1, 4))
def test_equals_timm(seed: int, half: int, smoothing: float, alpha: float) -> None:
    images = torch.rand(2 * half, 3, 5, 5, generator=generator_of(seed))
    labels = torch.randint(7, (2 * half,), generator=generator_of(seed))
    lam = draw_lambda(generator_of(seed), alpha)
    mixed, soft = mixup(images, labels, 7, generator_of(seed), alpha=alpha, smoothing=smoothing)
    expected = timm_mixup(images, labels, 7, lam, smoothing)
    torch.testing.assert_close(mixed, expected[0])
    torch.testing.assert_close(soft, expected[1])
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(2 * half))


def test_one_lambda_serves_the_batch_and_the_next_batch_gets_another() -> None:
    images = torch.cat([torch.zeros(8, 1), torch.ones(8, 1)])
    generator = generator_of(0)
    mixed, _ = mixup(images, torch.zeros(16, dtype=torch.int64), 2, generator)
    assert len(mixed[:8].unique()) == 1
    again, _ = mixup(images, torch.zeros(16, dtype=torch.int64), 2, generator)
    assert mixed[0] != again[0]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_lambda_is_beta_distributed(alpha: float) -> None:
    generator = generator_of(1)
    drawn = [draw_lambda(generator, alpha) for _ in range(2000)]
    assert kstest(drawn, "beta", (alpha, alpha)).pvalue > 0.001  # the seed is fixed


def test_mixed_loss_is_the_mix_of_losses() -> None:
    """Cross-entropy is linear in the target, which is what makes soft labels the right ones."""
    images, labels = torch.zeros(6, 1), torch.tensor([0, 1, 2, 3, 4, 5])
    logits = torch.randn(6, 6, generator=generator_of(2))
    _, soft = mixup(images, labels, 6, generator_of(3), smoothing=0.0)
    lam = draw_lambda(generator_of(3), 1.0)
    expected = lam * F.cross_entropy(logits, labels) + (1 - lam) * F.cross_entropy(logits, labels.flip(0))
    torch.testing.assert_close(soft_cross_entropy(logits, soft), expected)


def test_leaves_its_input_and_the_global_generators_alone() -> None:
    images, labels = torch.rand(4, 3, 2, 2), torch.arange(4)
    copy, state, numpy_state = images.clone(), torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    mixup(images, labels, 4, generator_of(0))
    assert torch.equal(images, copy)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # type: ignore[index]


def test_refusals() -> None:
    images, labels = torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="a batch of 3 cannot be mixed in pairs"):
        mixup(images, labels, 2, generator_of(0))
    for alpha in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="expected above 0"):
            draw_lambda(generator_of(0), alpha)
    with pytest.raises(ValueError, match="expected 0…1"):
        smooth_labels(labels, 2, 1.1)
