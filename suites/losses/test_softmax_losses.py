"""Softmax losses: torch as oracle, the definitions, gradients, large logits, ignored pixels."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference.losses import (
    BYOL,
    CLASSIFY,
    LOSSES,
    SEGMENT,
    Loss,
    byol_loss,
    byol_loss_r1,
    cross_entropy,
    focal_loss,
    poly1_loss,
    poly_loss,
    soft_cross_entropy,
)

# Per-element and fused forms of the same float64 sums differ by rounding only.
DOUBLE = {"rtol": 1e-12, "atol": 1e-12}
HARD: dict[str, Loss] = {name: loss for name, loss in CLASSIFY.items() if name != "soft_cross_entropy"}
SHAPES = st.sampled_from([(5, 7), (1, 2), (2, 7, 3, 4), (3, 4, 5)])


def logits_and_target(seed: int, shape: tuple[int, ...], scale: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


def by_hand(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """p and −log p of the true class at every target, from the definition of softmax."""
    p = (logits.exp() / logits.exp().sum(dim=1, keepdim=True)).gather(1, target[:, None])[:, 0]
    return p, -p.log()


def test_registry_is_complete() -> None:
    assert set(CLASSIFY) == {"cross_entropy", "focal", "poly1", "soft_cross_entropy"}
    assert set(SEGMENT) == {"cross_entropy", "focal", "poly1"}
    assert {"byol_loss": byol_loss, "byol_loss_r1": byol_loss_r1} == BYOL
    assert LOSSES == {"classify": CLASSIFY, "segment": SEGMENT, "byol": BYOL}


def test_a_loss_without_arguments_is_the_published_one() -> None:
    """γ = 2 is Lin et al.'s, ε = 2 Leng et al.'s for classification."""
    logits, target = logits_and_target(9, (5, 7))
    p, nll = by_hand(logits, target)
    near = {"rtol": 1e-9, "atol": 1e-12}  # 1 − p by subtraction loses digits that the losses keep
    torch.testing.assert_close(focal_loss(logits, target), ((1 - p) ** 2 * nll).mean(), **near)
    torch.testing.assert_close(poly1_loss(logits, target), (nll + 2 * (1 - p)).mean(), **near)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), SHAPES)
def test_degenerate_cases_are_cross_entropy(seed: int, shape: tuple[int, ...]) -> None:
    logits, target = logits_and_target(seed, shape)
    expected = F.cross_entropy(logits, target)
    torch.testing.assert_close(cross_entropy(logits, target), expected, **DOUBLE)
    torch.testing.assert_close(focal_loss(logits, target, gamma=0.0), expected, **DOUBLE)
    torch.testing.assert_close(poly1_loss(logits, target, epsilon=0.0), expected, **DOUBLE)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), SHAPES, st.floats(0, 5), st.floats(-1, 5))
def test_definitions(seed: int, shape: tuple[int, ...], gamma: float, epsilon: float) -> None:
    logits, target = logits_and_target(seed, shape)
    alpha = torch.linspace(0.25, 2.0, shape[1], dtype=torch.float64)
    p, nll = by_hand(logits, target)
    near = {"rtol": 1e-9, "atol": 1e-12}  # 1 − p by subtraction loses digits that the losses keep
    torch.testing.assert_close(
        focal_loss(logits, target, gamma=gamma), ((1 - p) ** gamma * nll).mean(), **near
    )
    torch.testing.assert_close(
        focal_loss(logits, target, gamma=gamma, alpha=alpha),
        (alpha[target] * (1 - p) ** gamma * nll).mean(),
        **near,
    )
    torch.testing.assert_close(
        poly1_loss(logits, target, epsilon=epsilon), (nll + epsilon * (1 - p)).mean(), **near
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 400))
def test_poly1_is_the_series_with_its_first_coefficient_changed(seed: int, terms: int) -> None:
    """R3 prints −log p as Σ (1−p)ʲ/j and Poly-1 as that series with ε added to its first coefficient."""
    logits, target = logits_and_target(seed, (4, 3), scale=0.5)
    p, _ = by_hand(logits, target)
    powers = torch.arange(1, terms + 1, dtype=torch.float64)
    coefficients = 1 / powers
    coefficients[0] += 2.0
    series = (coefficients * (1 - p[:, None]) ** powers).sum(dim=1)
    # The remainder of Σ qʲ/j after n terms is below qⁿ⁺¹ / ((n+1)·(1−q)).
    remainder = ((1 - p) ** (terms + 1) / ((terms + 1) * p)).mean()
    assert abs(poly1_loss(logits, target, epsilon=2.0) - series.mean()) <= remainder + 1e-12


def test_golden_values_are_not_those_of_the_averaged_cross_entropy() -> None:
    """Seven classes, logits from N(0, 2²): 4.16 and 3.02 per pixel, 4.27 and 3.07 on the average."""
    logits, target = logits_and_target(0, (4, 7, 128, 128))
    mean = F.cross_entropy(logits, target)
    averaged_first = mean + (1 - torch.exp(-mean)), (1 - torch.exp(-mean)) ** 2 * mean
    # The mean over 65,536 random pixels has a standard error of about 0.01.
    assert float(poly1_loss(logits, target, epsilon=1.0)) == pytest.approx(4.161, abs=0.03)
    assert float(focal_loss(logits, target, gamma=2.0)) == pytest.approx(3.021, abs=0.03)
    assert float(averaged_first[0] - poly1_loss(logits, target, epsilon=1.0)) == pytest.approx(
        0.105, abs=0.005
    )
    assert float(averaged_first[1] - focal_loss(logits, target, gamma=2.0)) == pytest.approx(0.041, abs=0.005)


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2)])
def test_gradients(name: str, shape: tuple[int, ...]) -> None:
    logits, target = logits_and_target(1, shape)
    target.view(-1)[0] = -100
    assert torch.autograd.gradcheck(lambda x: HARD[name](x, target), logits.requires_grad_())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("sign", [100.0, -100.0, 1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_finite_for_large_logits(gamma: float, sign: float, dtype: torch.dtype) -> None:
    logits = torch.zeros(2, 7, 3, 3, dtype=dtype)
    logits[:, 2] = sign
    logits.requires_grad_()
    target = torch.full((2, 3, 3), 2)
    for loss in (
        cross_entropy(logits, target),
        focal_loss(logits, target, gamma=gamma),
        poly1_loss(logits, target),
    ):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        # Right and certain costs nothing; wrong and certain the distance of the logits, log 6 and Poly-1's 2.
        # (bfloat16 has eight bits: 1e4 is 9984 there, and the mean over 18 pixels rounds again.)
        assert float(loss.detach()) == pytest.approx(0.0 if sign > 0 else 2 - sign, abs=2.5, rel=2**-6)


@pytest.mark.parametrize("epsilons", [(), (2.0,), (0.5, -0.25, 3.0)])
def test_poly_n_by_its_definition(epsilons: tuple[float, ...]) -> None:
    logits, target = logits_and_target(4, (3, 7, 4, 4))
    p = F.softmax(logits, dim=1).gather(1, target[:, None]).squeeze(1)
    expected = -p.log() + sum(e * (1 - p) ** j for j, e in enumerate(epsilons, start=1))
    torch.testing.assert_close(poly_loss(logits, target, epsilons=epsilons), expected.mean(), **DOUBLE)
    assert torch.autograd.gradcheck(
        lambda x: poly_loss(x, target, epsilons=epsilons), logits.requires_grad_()
    )


@pytest.mark.parametrize("name", HARD)
def test_ignored_pixels_count_nowhere(name: str) -> None:
    logits, target = logits_and_target(2, (2, 7, 5, 5))
    ignored = torch.zeros_like(target, dtype=torch.bool)
    ignored[0, :3] = True
    target[target == 6] = 5  # so that 6, a class that the network has, can be the ignored one too
    kept = HARD[name](logits.movedim(1, -1)[~ignored], target[~ignored])
    for index in (-100, 6, 255):
        marked = target.masked_fill(ignored, index)
        torch.testing.assert_close(HARD[name](logits, marked, ignore_index=index), kept, **DOUBLE)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(HARD[name](logits, target.masked_fill(ignored, -100)), logits)
    assert (gradient.movedim(1, -1)[ignored] == 0).all()


@pytest.mark.parametrize("name", HARD)
def test_nothing_to_learn_from_is_nan_as_in_torch(name: str) -> None:
    logits, target = logits_and_target(3, (2, 7))
    assert math.isnan(HARD[name](logits, torch.full_like(target, -100)))


@pytest.mark.parametrize("name", HARD)
def test_does_not_see_a_shift_of_the_logits(name: str) -> None:
    logits, target = logits_and_target(4, (2, 7, 5, 5))
    torch.testing.assert_close(HARD[name](logits + 1000.0, target), HARD[name](logits, target))


def test_focal_loss_refuses_what_means_nothing() -> None:
    logits, target = logits_and_target(5, (2, 7))
    with pytest.raises(ValueError, match="gamma is -1"):
        focal_loss(logits, target, gamma=-1)
    with pytest.raises(ValueError, match="expected \\(7,\\)"):
        focal_loss(logits, target, alpha=torch.ones(6))


def test_soft_cross_entropy_equals_its_definition_and_the_hard_loss() -> None:
    logits, target = logits_and_target(6, (5, 7))
    soft = torch.softmax(
        torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), 1
    )
    expected = -(soft * torch.log_softmax(logits, 1)).sum(1).mean()  # timm's SoftTargetCrossEntropy
    torch.testing.assert_close(soft_cross_entropy(logits, soft), expected, **DOUBLE)
    one_hot = F.one_hot(target, 7).double()
    torch.testing.assert_close(soft_cross_entropy(logits, one_hot), F.cross_entropy(logits, target), **DOUBLE)


def test_soft_cross_entropy_refuses_hard_labels() -> None:
    logits, target = logits_and_target(7, (7, 7))
    for wrong in (target, F.one_hot(target, 7)):
        with pytest.raises(ValueError, match="expected probabilities"):
            soft_cross_entropy(logits, wrong)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_torchs(smoothing: float) -> None:
    logits, target = (
        torch.randn(5, 4, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0, 3, -100, 1, 2]),
    )
    oracle = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)(logits, target)
    assert cross_entropy(logits, target, label_smoothing=smoothing) == oracle
