"""Weights and images for the architecture suites, all from named generators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def _random_state(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Float64 tensors for every key of a (meta) model, such that activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)
    # A VGG has 10⁸ weights: a million draws, repeated, serve as well and take a hundredth of the time.
    draws = torch.randn(1_000_003, generator=generator, dtype=torch.float64)
    state = {}
    for key, like in model.state_dict().items():
        if not like.is_floating_point():
            state[key] = torch.zeros(like.shape, dtype=like.dtype)
            continue
        count = like.numel()
        start = len(state) * 101 % 1000
        noise = draws.repeat((start + count) // len(draws) + 1)[start : start + count].view(like.shape)
        if like.ndim > 1:
            fan_in = like[0].numel()
            state[key] = noise * (2 / fan_in) ** 0.5
        elif key.endswith(("weight", "running_var")):
            state[key] = 1 + 0.1 * noise.clamp(-3, 3)
        else:
            state[key] = 0.1 * noise
    return state


@pytest.fixture
def random_state() -> Callable[[nn.Module], dict[str, Tensor]]:
    """A function model → random float64 state dict; nothing in it is zero by construction."""
    return _random_state


@pytest.fixture
def randomised() -> Callable[[nn.Module], nn.Module]:
    """A function that turns a model to float64 and eval and gives it a random state."""

    def randomise(model: nn.Module) -> nn.Module:
        model.double().load_state_dict(_random_state(model))
        return model.eval()

    return randomise


@pytest.fixture
def images() -> Callable[..., Tensor]:
    """A function (batch, height, width) → float64 images in [0, 1)."""

    def draw(batch: int, height: int, width: int) -> Tensor:
        return torch.rand(
            batch, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )

    return draw
