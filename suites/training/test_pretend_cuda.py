"""Every recipe at full size and its printed batch on a pretended GPU: devices, dtypes, waits and copies.

What runs is the training's own code: ``_prepared``, two steps of ``_train_epoch``, evaluation, embedding and
the kept masks. The backward pass alone computes nothing here (``pretend_cuda``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_cuda import Traffic, pretend_cuda
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException

from reference import augment, losses, models
from reference.data.dataset import Dataset, Split
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training import TASKS, classify, loop, watch
from reference.training.numerics import Numerics
from reference.training.state import State
from reference.training.step import build_optimizer

STEPS = 2
TRAINED = {slug: recipe for slug, recipe in RECIPES.items() if recipe.task != "automask"}
FIRST = {(recipe.task, recipe.model): slug for slug, recipe in reversed(TRAINED.items())}
"""The first recipe of each network; the others differ in little that a device knows of."""


def black_images(recipe: Recipe) -> Dataset:
    """Two batches to train on and two to validate on, of the recipe's size; all of class 0."""

    def split(count: int) -> Split:
        side, signals = recipe.image_size, recipe.model in models.SIGNALS
        shape = (count, side) if signals else (count, side, side, 3)
        maps = (count, side, side) if recipe.task == "segment" else (count,)
        return Split(
            ids=tuple(map(str, range(count))),
            images=np.zeros(shape, np.float32 if signals else np.uint8),
            targets=np.zeros(maps, np.uint8 if recipe.task == "segment" else np.int64),
        )

    return Dataset(
        role=recipe.data,
        source="synthetic",
        name="black images",
        classes=tuple(map(str, range(recipe.num_classes))),
        scored=tuple(range(recipe.num_classes - 1)),
        palette=None,
        train=split(STEPS * recipe.batch_size),
        val=split(2 * recipe.eval_batch_size),
        unique_val=1,
        manifest="",
        counts_note="",
    )


def run(recipe: Recipe, folder: Path, *, dtype: str = "bfloat16") -> tuple[Traffic, Traffic]:
    """What the second training step and an evaluation have counted; embeds and keeps masks too."""
    dataset = black_images(recipe)
    recipe = replace(recipe, eval_steps=0, mask_epochs=(1,), mask_images=())
    numerics = Numerics(device="cuda", dtype=dtype, channels_last=True, deterministic=False)
    with models.counting(recipe.model):
        network = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
    network.to(memory_format=numerics.memory_format)
    after: list[Traffic] = []
    # cuDNN's recurrent networks ask the driver; torch's own kernels take the same tensors
    cudnn = torch.backends.cudnn.flags(enabled="gru" not in recipe.model)
    with cudnn, pretend_cuda(network) as device:
        training = loop._prepared(
            recipe,
            dataset,
            network,
            pytest.fail,
            0,
            numerics,
            folder,
            lambda _: after.append(device.traffic.copy()),
        )
        optimizer = build_optimizer(recipe.phases[0], network, recipe.aux_lr_factor)
        network.train()
        loop._train_epoch(training, State(), optimizer, recipe.phases[0], 0)
        before = device.traffic.copy()
        waits: list[int] = []
        watching = network.register_forward_pre_hook(lambda *_: waits.append(device.traffic.waits.total()))
        evaluation = TASKS[recipe.task].evaluate(
            network, training.val_batches, dataset, recipe, training.loss
        )
        evaluated = device.traffic.since(before)
        watching.remove()
        assert len(set(waits)) <= 1, "the host waits between two batches of an evaluation"
        if recipe.task == "byol" or recipe.embed_epochs:
            assert not classify.embed(network, training.val_batches, recipe).is_cuda
        shown = (network, dataset, recipe, 1, folder, training.device)
        watch.keep_masks(*shown, evaluation=evaluation, is_best=True)
    assert evaluation.primary in evaluation.metrics
    assert (folder / "masks" / "epoch-1.npy").exists() == (recipe.task == "segment")
    assert len(after) == STEPS
    return after[1].since(after[0]), evaluated


def check(step: Traffic) -> None:
    """The design's targets: the host never waits, and copies at most once to the device."""
    assert not step.waits, f"the host waits for {dict(step.waits)}"
    assert step.copies.total() <= 1, f"copies to the device: {dict(step.copies)}"


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "slug",
    [pytest.param(slug, marks=() if slug in FIRST.values() else pytest.mark.slow) for slug in TRAINED],
)
def test_a_step_never_waits_and_copies_once(slug: str, tmp_path: Path) -> None:
    step, evaluated = run(TRAINED[slug], tmp_path)
    check(step)
    assert step.kernels.total() > 0
    assert evaluated.waits  # the figures reach the host


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("slug", FIRST.values())
def test_in_float32_too(slug: str, tmp_path: Path) -> None:
    check(run(TRAINED[slug], tmp_path, dtype="float32")[0])


# ---------------------------------------------------------------- faults that must be seen


SMALL = replace(RECIPES["r4-classify"], width=4, image_size=32, batch_size=4, eval_batch_size=4)


def on_the_wrong_device(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target.cpu())


def of_the_wrong_dtype(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits, target.int())


def of_what_is_not_ignored(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits[target != 255], target[target != 255])


def asked_for_its_value(logits: Tensor, target: Tensor) -> Tensor:
    loss = losses.cross_entropy(logits, target)
    return loss / (1 + loss.item()) if loss.requires_grad else loss  # not while evaluating


def weighted_by_a_list(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits * torch.tensor([2.0], device=logits.device), target)


def chosen_on_the_host(logits: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(logits[torch.arange(len(logits))], target)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (on_the_wrong_device, RuntimeError, "device"),
        (of_the_wrong_dtype, RuntimeError, "expected target of dtype torch.int64"),
        (of_what_is_not_ignored, DynamicOutputShapeException, "nonzero"),
        (asked_for_its_value, AssertionError, "waits for.*_local_scalar_dense"),
        (weighted_by_a_list, AssertionError, "copies to the device"),
        (chosen_on_the_host, AssertionError, "copies to the device"),
    ],
)
def test_a_fault_in_the_step_is_seen(
    fault: Callable[..., Tensor],
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check(run(SMALL, tmp_path / "before")[0])
    monkeypatch.setitem(losses.CLASSIFY, "cross_entropy", fault)
    with pytest.raises(error, match=words):
        check(run(SMALL, tmp_path / "after")[0])


def test_a_subset_in_the_augmentation_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's form of the operations has a shape that depends on the draws."""
    in_part = partial(augment.augment_views, whole=False)
    monkeypatch.setattr("reference.training.distributed.augment_views", in_part)
    with pytest.raises(DynamicOutputShapeException):
        run(SMALL, tmp_path)


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: bool(x[0] > 0),
    "tolist": lambda x: x.sum().tolist(),
    "cpu": lambda x: x.cpu(),
    "to a host tensor": lambda x: torch.ones(4).copy_(x),
    "bincount": lambda x: torch.bincount(x.long(), minlength=3),
}


@pytest.mark.parametrize("name", WAITING)
def test_what_makes_the_host_wait_is_counted(name: str) -> None:
    with pretend_cuda(torch.nn.Identity()) as device:
        x = torch.ones(4, device="cuda")
        WAITING[name](x)
        assert device.traffic.waits.total() == 1
        assert device.traffic.copies.total() == 0


@pytest.mark.parametrize("pick", [torch.nonzero, lambda x: x[x > 0], lambda x: x.masked_select(x > 0)])
def test_a_shape_that_depends_on_values_is_an_error(pick: Callable[[Tensor], Tensor]) -> None:
    with pretend_cuda(torch.nn.Identity()) as device:
        x = torch.ones(4, device="cuda")
        with pytest.raises(DynamicOutputShapeException):
            pick(x)
        assert device.traffic.waits.total() >= 1


def test_host_tensors_keep_their_values() -> None:
    with pretend_cuda(torch.nn.Identity()) as device:
        x = torch.arange(4.0)
        assert x[x > 1].tolist() == [2.0, 3.0]
        assert torch.empty(3, pin_memory=True).fill_(1).sum().item() == 3
        there = x.to("cuda", non_blocking=True)
        assert there.is_cuda
        assert not there.cpu().is_cuda
        assert (device.traffic.copies.total(), device.traffic.waits.total()) == (1, 1)
