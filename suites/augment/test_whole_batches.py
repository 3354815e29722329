"""The form that operations take on a device, on the CPU: the same draws, the same pictures."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference import augment
from reference.augment import AUGMENT, Batch, augment_views, jitter, jitter_whole
from reference.recipes import RECIPES

CHAINS = sorted({recipe.augment for recipe in RECIPES.values() if recipe.augment})
WITH_MASKS = sorted({recipe.augment for recipe in RECIPES.values() if recipe.task == "segment"})
ROUNDING = 1e-5
"""A mean luma summed in another order; a hue turned after it. One grey level is 4e-3."""


def random_images(seed: int, count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def both(images: Tensor, masks: Tensor | None, names: tuple[str, ...], seed: int) -> list[list[Tensor]]:
    """Two views of each form, images and masks."""
    forms = []
    for whole in (False, True):
        generator = torch.Generator().manual_seed(seed)
        views = augment_views(images, masks, names, generator, views=2, whole=whole)
        forms.append([tensor for view in views for tensor in view if tensor is not None])
        assert len(forms[-1]) == (2 if masks is None else 4)
    return forms


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    names=st.sampled_from([*((name,) for name in AUGMENT), *CHAINS]),
    count=st.integers(1, 6),
    height=st.integers(8, 20),
    width=st.integers(8, 20),
)
def test_whole_batches_make_the_same_pictures(
    seed: int, names: tuple[str, ...], count: int, height: int, width: int
) -> None:
    in_part, whole = both(random_images(seed, count, height, width), None, names, seed)
    for a, b in zip(in_part, whole, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("names", [*WITH_MASKS, ("vertical_flip",), ("random_crop", "random_resized_crop")])
def test_whole_batches_move_the_same_labels(names: tuple[str, ...]) -> None:
    images, masks = random_images(1, 8, 12, 16), random_images(2, 8, 12, 16)[..., 0]
    before = images.clone(), masks.clone()
    in_part, whole = both(images, masks, names, 3)
    for a, b in zip(in_part, whole, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=0)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


@pytest.mark.parametrize("chosen", [True, False])
def test_jitter_of_a_whole_batch_in_every_order(chosen: bool) -> None:
    """All 24 orders, all factors at their ends; what is not chosen keeps every bit."""
    order = torch.tensor(
        [p for p in torch.cartesian_prod(*[torch.arange(4)] * 4).tolist() if len(set(p)) == 4]
    )
    images = augment.to_float(random_images(4, 24, 6, 5))
    taken = torch.full((24,), chosen)
    for low in (True, False):
        factors = torch.tensor([[0.2, 0.2, 0.2, -0.2] if low else [1.8, 1.8, 1.8, 0.2]]).expand(24, -1)
        expected = jitter(Batch(images.clone()), taken, order, factors).images
        parameters = AUGMENT["color_jitter"].prepare(taken, order, factors)
        found = jitter_whole(Batch(images.clone()), *parameters).images
        torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING if chosen else 0)


def test_parameters_arrive_as_they_were_drawn() -> None:
    """Packed in one tensor of bytes and taken out again; ``meta`` stands for a device without values."""
    draws = augment.Draws(generator=torch.Generator().manual_seed(0), total=5, start=0, count=5)
    chains = [augment._draw_chain(tuple(AUGMENT), draws, 16, 24, whole=True) for _ in range(2)]
    there = augment._on_device(chains, torch.device("meta"))
    for chain, sent in zip(chains, there, strict=True):
        for values, arrived in zip(chain, sent, strict=True):
            for a, b in zip(values, arrived, strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
    kept = augment._unpacked(augment._packed([v for c in chains for p in c for v in p], pin=False), chains)
    for chain, sent in zip(chains, kept, strict=True):
        for values, arrived in zip(chain, sent, strict=True):
            for a, b in zip(values, arrived, strict=True):
                assert torch.equal(a, b)
