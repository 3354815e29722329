"""A batch in parts: the gradients of the whole, no image alone, and advice that can be followed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.runs import run_plan
from reference.data import open_dataset, synthetic
from reference.errors import InputError
from reference.losses import cross_entropy, focal_loss, poly1_loss
from reference.recipes import RECIPES, r4
from reference.recipes.recipe import Recipe
from reference.training import loop, segment
from reference.training.numerics import Numerics
from reference.training.step import DeviceMemoryError, part_sizes, refuse_parts, train_step

CPU = Numerics(device="cpu")
IGNORED = 6
SEGMENT = replace(r4.SEG_B, loss_args=(("ignore_index", IGNORED),))


class TwoOutputs(nn.Module):
    """(B, 3, H, W) → logits (B, 7, H, W) and auxiliary ones."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier, self.aux_classifier = nn.Conv2d(3, 7, 3), nn.Conv2d(3, 7, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classifier(x), self.aux_classifier(x)


def masks_with(*counted: int) -> Tensor:
    """(B, 4, 4) classes 0 to 5, of each image so many, the other pixels ignored."""
    draws = torch.Generator().manual_seed(1)
    masks = torch.randint(6, (len(counted), 16), generator=draws)
    for mask, number in zip(masks, counted, strict=True):
        mask[torch.randperm(16, generator=draws)[number:]] = IGNORED
    return masks.view(-1, 4, 4)


def gradients(masks: Tensor, micro_batch: int, loss: Callable[..., Tensor]) -> tuple[float, list[Tensor]]:
    """The loss of one step in parts, and its gradients, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TwoOutputs().double()
    images = torch.randn(len(masks), 3, 6, 6, generator=torch.Generator().manual_seed(2)).double()
    recipe = replace(SEGMENT, micro_batch=micro_batch)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    found = train_step(network, optimizer, (images,), masks, partial(loss, ignore_index=IGNORED), recipe, CPU)
    return float(found), [p.grad for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize("loss", [cross_entropy, focal_loss, poly1_loss])
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 4])
def test_parts_with_ignored_targets_have_the_gradient_of_the_whole(
    micro_batch: int, loss: Callable[..., Tensor]
) -> None:
    """Parts weigh by the targets that count, and one that is wholly ignored by nothing."""
    masks = masks_with(16, 3, 0, 0, 1, 9, 0)
    whole, expected = gradients(masks, 0, loss)
    parts, found = gradients(masks, micro_batch, loss)
    assert math.isfinite(whole)
    assert parts == pytest.approx(whole, rel=1e-12)
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert float(theirs.abs().max()) > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_the_whole_is_torchs_mean_over_the_targets_that_count() -> None:
    masks = masks_with(16, 3, 0, 5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TwoOutputs().double()
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(2)).double()
    logits, aux = network(images)
    expected = F.cross_entropy(logits, masks, ignore_index=IGNORED)
    expected = expected + SEGMENT.aux_weight * F.cross_entropy(aux, masks, ignore_index=IGNORED)
    expected.backward()
    for micro_batch in (0, 2):
        found, of_parts = gradients(masks, micro_batch, cross_entropy)
        assert found == pytest.approx(expected.item(), rel=1e-12)
        for ours, p in zip(of_parts, network.parameters(), strict=True):
            torch.testing.assert_close(ours, p.grad, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", [cross_entropy, focal_loss, poly1_loss])
@pytest.mark.parametrize("micro_batch", [0, 2])
def test_a_batch_that_is_wholly_ignored_changes_nothing(
    micro_batch: int, loss: Callable[..., Tensor]
) -> None:
    found, every = gradients(masks_with(0, 0, 0), micro_batch, loss)
    assert found == 0
    assert all(float(gradient.abs().max()) == 0 for gradient in every)


@given(count=st.integers(0, 300), most=st.integers(0, 40))
def test_parts_are_few_even_and_no_larger_than_asked(count: int, most: int) -> None:
    sizes = part_sizes(count, most)
    assert sum(sizes) == count
    assert max(sizes, default=0) <= (most or count)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert len(sizes) == (math.ceil(count / most) if most else min(count, 1))
    if most > 2 and count > 1:
        assert min(sizes) > 1, "no image is alone"
    split = torch.arange(count).tensor_split(max(len(sizes), 1))
    assert [len(part) for part in split if len(part)] == sizes


def tiny(slug: str, **changes: Any) -> Recipe:
    """An epoch of the recipe's narrowest network."""
    recipe = RECIPES[slug]
    phases = (replace(recipe.phases[0], epochs=1, warmup_epochs=0),)
    settings: dict[str, Any] = {"width": 2, "image_size": 32, "init": "scratch", "phases": phases}
    return replace(recipe, mask_epochs=(), embed_epochs=(), **(settings | changes))


@pytest.mark.parametrize(
    ("recipe", "images"),
    [
        (tiny("r3-byol", batch_size=32, micro_batch=31, num_classes=4), 33),  # 16 + 16, and one left out
        (tiny("r3-byol", batch_size=8, micro_batch=3, num_classes=4), 10),  # 3 + 3 + 2, and 2
        (tiny("r1-seg-b", batch_size=5, micro_batch=4), 5),  # 3 + 2
    ],
    ids=lambda value: value.slug if isinstance(value, Recipe) else str(value),
)
def test_no_image_is_alone_where_a_network_needs_two(recipe: Recipe, images: int, tmp_path: Path) -> None:
    classes = 4 if recipe.task == "byol" else None
    data = open_dataset(recipe.data, None, image_size=32, classes=classes, train_limit=images, val_limit=2)
    data = replace(data, train=data.train.take(range(images)))
    outcome = loop.train(recipe, data, seed=0, numerics=CPU, folder=tmp_path)
    assert outcome.train_samples == images - (images % recipe.batch_size == 1)
    assert outcome.weights_hash != outcome.initial_hash


@pytest.mark.parametrize(
    ("changes", "samples", "fits"),
    [
        ({"micro_batch": 2}, 35, False),
        ({"micro_batch": 2, "batch_size": 4}, 16, True),
        ({"micro_batch": 2, "batch_size": 4}, 18, True),
        ({"micro_batch": 2, "batch_size": 4}, 17, True),  # the last image is left out
        ({"micro_batch": 2, "batch_size": 4}, 19, False),
        ({"micro_batch": 2, "batch_size": 5}, 20, False),
        ({"micro_batch": 2, "batch_size": 5, "mixup": 0.2}, 20, True),  # of five it mixes four
        ({"micro_batch": 1, "batch_size": 4}, 16, False),
        ({"micro_batch": 3, "batch_size": 7}, 35, True),
        ({"micro_batch": 0, "batch_size": 7}, 35, True),
    ],
)
def test_parts_that_leave_an_image_alone_are_refused(
    changes: dict[str, Any], samples: int, fits: bool
) -> None:
    recipe = replace(tiny("r4-classify", model="resnet18"), **changes)
    with_norm, without = nn.Sequential(nn.BatchNorm1d(2)), nn.Sequential(nn.Linear(2, 2))
    refuse_parts(recipe, samples, without)
    if fits:
        refuse_parts(recipe, samples, with_norm)
    else:
        least = 2 if changes["micro_batch"] == 1 else 3
        with pytest.raises(
            InputError, match=rf"^--micro-batch \d: of {samples} images .* BatchNorm.* use {least} or more$"
        ):
            refuse_parts(recipe, samples, with_norm)


def test_planning_refuses_what_training_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.COUNTS, "landcover", (7, 2))
    options: dict[str, Any] = {"tier": "smoke", "data": None, "seeds": 1, "init": None, "weights": None}
    options |= {"numerics": CPU, "cache": tmp_path}
    with pytest.raises(InputError, match=r"^--micro-batch 2: of 7 images in batches of 7 .* use 3 or more$"):
        run_plan.plan([replace(RECIPES["r1-seg-b"], batch_size=7)], micro_batch=2, **options)
    for slug, micro_batch in (("r1-seg-a", 2), ("r1-seg-b", 3)):  # the first has no BatchNorm
        recipe = replace(RECIPES[slug], batch_size=7)
        (run,), _ = run_plan.plan([recipe], micro_batch=micro_batch, **options)
        assert run.recipe.micro_batch == run.recipe.eval_batch_size == micro_batch


@pytest.mark.parametrize(("room", "advised"), [(9, 9), (8, 3), (3, 3), (2, None)])
def test_what_is_advised_trains(
    room: int, advised: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """21 images in batches of 9, 9 and 3: a device that holds ``room`` of them at once."""
    recipe = tiny("r4-seg-b", batch_size=9)
    data = open_dataset("landcover", None, image_size=32, train_limit=21, val_limit=2)
    objective = segment.objective

    def on_a_small_device(output: Any, masks: Tensor, *words: Any) -> Tensor:
        if len(masks) > room:
            raise torch.OutOfMemoryError("no room")
        return objective(output, masks, *words)

    monkeypatch.setattr(segment, "objective", on_a_small_device)
    train = partial(loop.train, dataset=data, seed=0, numerics=CPU)
    if room >= recipe.batch_size:
        train(recipe, folder=tmp_path)
        return
    with pytest.raises(DeviceMemoryError, match=r"^epoch 1: 9 images at once do not fit") as error:
        train(recipe, folder=tmp_path)
    if advised is None:
        assert str(error.value).endswith("nor do 3; use a smaller tier or a larger device")
    else:
        assert f"; {advised} do: --micro-batch {advised}, " in str(error.value)
        train(replace(recipe, micro_batch=advised), folder=tmp_path / "advised")
