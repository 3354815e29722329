"""Recipes that count steps: a fixed order across passes, evaluations after steps 0, n, 2n …, the last one's.

A plain loop of torch that shares nothing but the data and the initial weights is the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reference import schedules
from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.models import build
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe
from reference.training.batching import batches_of_epoch
from reference.training.loop import Numerics, Progress, train
from reference.training.randomness import key, seed_device

CPU = Numerics(device="cpu")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """400 training and 100 test signals: a pass is four steps of 100."""
    whole = open_dataset("mnist1d", None, image_size=40)
    return replace(whole, train=whole.train.take(np.arange(400)), val=whole.val.take(np.arange(100)))


def short(name: str, *, epochs: int = 4, eval_steps: int = 7) -> Recipe:
    recipe = RECIPES[f"mnist1d-{name}"]
    return replace(recipe, phases=(replace(recipe.phases[0], epochs=epochs),), eval_steps=eval_steps)


def test_the_published_protocol() -> None:
    for name in ("logistic", "mlp", "cnn", "gru"):
        for recipe in (RECIPES[f"mnist1d-{name}"], RECIPES[f"mnist1d-shuffled-{name}"]):
            assert recipe.phases == (Phase(optimizer="adam", lr=0.01, epochs=25),)
            assert recipe.phases[0].weight_decay == 0
            assert schedules.steps_before(recipe, 4000, recipe.epochs) == 6001
            assert [schedules.steps_before(recipe, 4000, epoch + 1) - 1 for epoch in range(25)] == list(
                range(0, 6001, 250)
            )
            assert (recipe.order, recipe.batch_size, recipe.selection) == ("fixed", 100, "final")
            assert not recipe.augment
            assert not recipe.assumptions


def plain_loop(
    name: str, dataset: Dataset, seed: int, steps: int, every: int
) -> Iterator[tuple[float, float]]:
    """Accuracy on the training and test signals after steps 0, ``every``, …, as the published code has it."""
    recipe = RECIPES[f"mnist1d-{name}"]
    torch.manual_seed(key(seed, "init"))
    model = build(recipe.model, num_classes=10, width=recipe.width)
    x, y = torch.tensor(dataset.train.images), torch.tensor(dataset.train.targets)
    x_test, y_test = torch.tensor(dataset.val.images), torch.tensor(dataset.val.targets)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        start = step * 100 % len(x)
        F.cross_entropy(model(x[start : start + 100]), y[start : start + 100]).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % every == 0:
            with torch.no_grad():
                yield tuple(  # type: ignore[misc]
                    float((model(inputs).argmax(1) == labels).double().mean())
                    for inputs, labels in ((x, y), (x_test, y_test))
                )


@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn", "gru"])
def test_the_loop_equals_a_plain_one(name: str, dataset: Dataset, tmp_path: Path) -> None:
    outcome = train(short(name), dataset, seed=3, numerics=CPU, folder=tmp_path)
    with torch.random.fork_rng():
        expected = list(plain_loop(name, dataset, 3, steps=22, every=7))
    # Kernels may differ in a last bit (fused Adam), which turns over a signal or two at most.
    np.testing.assert_allclose(
        outcome.curves["train_top1"], [on_train for on_train, _ in expected], atol=0.0051
    )
    np.testing.assert_allclose(outcome.curves["val_top1"], [on_test for _, on_test in expected], atol=0.0101)
    assert outcome.train_samples == 2200
    assert outcome.final.metrics["top1"].denominator == 100


def test_batches_run_on_across_passes_in_the_order_of_the_data(dataset: Dataset) -> None:
    recipe = short("mlp", eval_steps=6)
    firsts = [[int(batch[0]) for batch in batches_of_epoch(recipe, 400, epoch, 0)] for epoch in range(3)]
    assert firsts == [[0], [100, 200, 300, 0, 100, 200], [300, 0, 100, 200, 300, 0]]
    assert all(
        batch.tolist() == list(range(int(batch[0]), int(batch[0]) + 100))
        for batch in batches_of_epoch(recipe, 400, 2, 0)
    )


def test_shuffled_passes_hold_every_sample_once_and_are_keyed() -> None:
    recipe = replace(short("mlp", eval_steps=3), order="shuffled")
    steps = [batch for epoch in range(5) for batch in batches_of_epoch(recipe, 400, epoch, 1)]
    assert len(steps) == 1 + 3 * 4
    passes = [torch.cat(steps[start : start + 4]) for start in range(0, 12, 4)]
    assert all(sorted(one.tolist()) == list(range(400)) for one in passes)
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(steps[5], batches_of_epoch(recipe, 400, 2, 1)[1])
    assert not torch.equal(steps[5], batches_of_epoch(recipe, 400, 2, 2)[1])


def test_epochs_that_are_passes_have_the_order_of_before() -> None:
    """The keyed permutation of each epoch, and no batch of a single sample."""
    from reference.training.randomness import generator

    recipe = replace(short("mlp"), order="shuffled", eval_steps=0, batch_size=4)
    batches = batches_of_epoch(recipe, 9, 5, 7)
    order = torch.randperm(9, generator=generator(7, "order", 5))
    assert torch.equal(torch.cat(batches), order[:8])
    assert schedules.steps_before(recipe, 9, 5) == 10


@pytest.mark.parametrize("stop_after", [(0, 1), (1, 5), (3, 7)])
def test_a_resumed_run_ends_with_the_same_weights(
    stop_after: tuple[int, int], dataset: Dataset, tmp_path: Path
) -> None:
    recipe = short("cnn")
    unbroken = train(recipe, dataset, seed=1, numerics=CPU, folder=tmp_path / "a", checkpoint_seconds=0)

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == stop_after and not progress.scores:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            recipe, dataset, seed=1, numerics=CPU, folder=tmp_path / "b", checkpoint_seconds=0, progress=stop
        )
    resumed = train(recipe, dataset, seed=1, numerics=CPU, folder=tmp_path / "b")
    assert resumed.weights_hash == unbroken.weights_hash
    assert resumed.curves == unbroken.curves


def test_seeding_one_device_draws_as_seeding_all() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        expected = torch.rand(5)
        seed_device(torch.device("cpu"), 12345)
        assert torch.equal(torch.rand(5), expected)
