"""The loop: resuming repeats exactly, draws are keyed, phases and schedules apply, flags come back."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from reference import models
from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.models.byol import BYOL, Prediction
from reference.recipes import r3, r4
from reference.recipes.recipe import Phase, Recipe
from reference.schedules import learning_rate
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.randomness import generator, key
from reference.training.state import Outcome, Progress
from reference.training.step import interruptible_backward
from reference.training.watch import DivergedError

CPU = Numerics(device="cpu")


class StopHereError(Exception):
    """Ends a run from its progress callback, as a kill would."""


def tiny(recipe: Recipe, *, epochs: int = 3) -> Recipe:
    segment = recipe.task == "segment"
    return replace(
        recipe,
        width=4,
        image_size=32,
        num_classes=7 if segment else 4,
        model_args=tuple((k, 1 if k == "padding" else v) for k, v in recipe.model_args),
        init="scratch",
        batch_size=4,
        phases=(replace(recipe.phases[0], epochs=epochs),),
        mask_epochs=(1, epochs) if segment else (),
    )


RECIPES = [tiny(r4.CLASSIFY), tiny(r4.SEG_A), tiny(r4.SEG_B)]


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    cache = tmp_path_factory.mktemp("cache")
    small = {"train_limit": 8, "val_limit": 6, "cache": cache}
    return {
        "classify": open_dataset("classification50", None, image_size=32, classes=4, **small),
        "segment": open_dataset("landcover", None, image_size=32, **small),
    }


def same(a: Outcome, b: Outcome) -> None:
    assert a.weights_hash == b.weights_hash
    np.testing.assert_equal(a.curves, b.curves)  # exact, and nan where nan is
    assert a.best_epoch == b.best_epoch
    for left, right in ((a.final, b.final), (a.best, b.best)):
        assert left.metrics == right.metrics
        np.testing.assert_array_equal(left.per_image, right.per_image)


def _kept(masks: Iterable[str]) -> set[int]:
    """Epochs of files ``epoch-N.npy``."""
    return {int(name.removeprefix("epoch-").removesuffix(".npy")) for name in masks}


def _selectable(recipe: Recipe, outcome: Outcome) -> set[int]:
    """The last epoch, or every epoch whose mean IoU was the best so far."""
    if recipe.selection == "final":
        return {recipe.epochs}
    scores = outcome.curves["val_miou"]
    return {i + 1 for i, score in enumerate(scores) if score > max(scores[:i], default=-1.0)}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.slug)
@pytest.mark.parametrize("stop_after", [(0, 1), (1, 1), (2, 1)], ids=["first epoch", "second", "last"])
def test_resumed_run_equals_an_unbroken_one(
    recipe: Recipe, stop_after: tuple[int, int], datasets: dict[str, Dataset], tmp_path: Path
) -> None:
    dataset = datasets[recipe.task]
    unbroken = train(recipe, dataset, seed=3, numerics=CPU, folder=tmp_path / "a", checkpoint_seconds=0)

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == stop_after and not progress.scores:
            raise StopHereError

    broken = tmp_path / "b"
    with pytest.raises(StopHereError):
        train(recipe, dataset, seed=3, numerics=CPU, folder=broken, checkpoint_seconds=0, progress=stop)
    torch.randn(7)  # whatever else the process draws must not matter
    resumed = train(recipe, dataset, seed=3, numerics=CPU, folder=broken, checkpoint_seconds=0)
    same(unbroken, resumed)
    masks = {path.name: np.load(path) for path in (tmp_path / "a" / "masks").glob("*.npy")}
    assert _kept(masks) == (
        {*recipe.mask_epochs, *_selectable(recipe, unbroken)} if recipe.mask_epochs else set()
    )
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, np.load(broken / "masks" / name))


def test_a_phase_starts_with_fresh_optimiser_state_and_resumes_inside(
    datasets: dict[str, Dataset], tmp_path: Path
) -> None:
    phases = (Phase(optimizer="adam", lr=1e-3, epochs=2), Phase(optimizer="sgd", lr=1e-2, epochs=2))
    recipe = replace(RECIPES[0], phases=phases)
    unbroken = train(recipe, datasets["classify"], seed=0, numerics=CPU, folder=tmp_path / "a")

    for stop_at in (1, 2, 3):
        folder = tmp_path / f"stop-{stop_at}"

        def stop(progress: Progress, at: int = stop_at) -> None:
            if progress.epoch == at and not progress.scores:
                raise StopHereError

        keywords = {"seed": 0, "numerics": CPU, "folder": folder, "checkpoint_seconds": 0}
        with pytest.raises(StopHereError):
            train(recipe, datasets["classify"], progress=stop, **keywords)
        same(unbroken, train(recipe, datasets["classify"], **keywords))


@pytest.mark.parametrize(
    ("name", "theirs"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_a_phase_steps_torchs_optimiser_with_its_numbers(
    name: Literal["sgd", "adam", "adamw"],
    theirs: type[torch.optim.Optimizer],
    datasets: dict[str, Dataset],
    tmp_path: Path,
) -> None:
    """As torch itself sees every step; the rate follows the steps since the phase began."""
    first = Phase(optimizer="sgd", lr=1e-3, epochs=1, momentum=0.0)
    second = Phase(
        optimizer=name, lr=1e-2, epochs=3, momentum=0.7, weight_decay=0.02, schedule="cosine", warmup_epochs=1
    )
    recipe = replace(RECIPES[0], phases=(first, second))
    steps: list[tuple[type, dict[str, float]]] = []

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        (group,) = optimizer.param_groups
        steps.append((type(optimizer), {k: v for k, v in group.items() if k != "params"}))

    hook = register_optimizer_step_post_hook(note)
    try:
        train(recipe, datasets["classify"], seed=0, numerics=CPU, folder=tmp_path)
    finally:
        hook.remove()
    an_epoch = len(steps) // 4
    assert an_epoch > 1
    assert [group["momentum"] for _, group in steps[:an_epoch]] == [0.0] * an_epoch
    assert {kind for kind, _ in steps[an_epoch:]} == {theirs}
    for i, (_, group) in enumerate(steps[an_epoch:]):
        assert group["weight_decay"] == 0.02
        assert group["lr"] == pytest.approx(learning_rate(second, i / an_epoch), rel=1e-12)
        assert group.get("momentum", 0.7) == 0.7


def test_seeds_differ_and_repeat(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    recipe = tiny(r4.CLASSIFY, epochs=1)
    hashes = [
        train(recipe, datasets["classify"], seed=seed, numerics=CPU, folder=tmp_path / str(i)).weights_hash
        for i, seed in enumerate((0, 0, 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_keys_are_distinct_and_stable() -> None:
    keys = {
        key(seed, stream, epoch, step)
        for seed in range(3)
        for stream in ("init", "order", "augment", "forward")
        for epoch in range(5)
        for step in range(5)
    }
    assert len(keys) == 300
    assert all(0 <= k < 2**63 for k in keys)
    assert torch.equal(
        torch.rand(3, generator=generator(1, "order", 2)), torch.rand(3, generator=generator(1, "order", 2))
    )


def test_every_draw_of_a_run_has_a_key_of_its_own(
    datasets: dict[str, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[object, ...]] = []

    def noted(*words: object) -> torch.Generator:
        drawn.append(words)
        return generator(*words)  # type: ignore[arg-type]

    for module in ("loop", "batching"):
        monkeypatch.setattr(f"reference.training.{module}.generator", noted)
    train(tiny(r4.CLASSIFY, epochs=2), datasets["classify"], seed=5, numerics=CPU, folder=tmp_path)
    assert len(set(drawn)) == len(drawn)
    assert [words for words in drawn if words[1] == "order"] == [(5, "order", 0), (5, "order", 1)]


class DropsOnly(nn.Module):
    """Notes which of a thousand units its dropout keeps, and learns one number."""

    kept: ClassVar[list[Tensor]] = []

    def __init__(self, *, num_classes: int, width: int = 1) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.kept.append(F.dropout(torch.ones(1000)))
        return self.scores.expand(len(x), -1)


def test_dropout_is_drawn_anew_in_every_step_of_every_epoch(
    datasets: dict[str, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.MODELS, "drops_only", DropsOnly)
    monkeypatch.setattr(DropsOnly, "kept", [])
    recipe = replace(tiny(r4.CLASSIFY), model="drops_only", model_args=(), embed_epochs=())
    for name in ("once", "again"):
        train(recipe, datasets["classify"], seed=0, numerics=CPU, folder=tmp_path / name)
    steps = len(DropsOnly.kept) // 2
    assert steps > recipe.epochs
    once, again = torch.stack(DropsOnly.kept).split(steps)
    assert torch.equal(once, again)
    assert len(once.unique(dim=0)) == steps


def test_the_two_views_of_a_step_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the loop itself, with every augmentation of the recipe."""
    views: list[tuple[Tensor, Tensor]] = []
    forward = BYOL.forward

    def noted(self: BYOL, first: Tensor, second: Tensor) -> Prediction:
        views.append((first, second))
        return forward(self, first, second)

    monkeypatch.setattr(BYOL, "forward", noted)
    data = open_dataset("miniimagenet", None, image_size=32, classes=4, train_limit=8, val_limit=2)
    recipe = replace(tiny(r3.BYOL, epochs=2), embed_epochs=())
    train(recipe, data, seed=0, numerics=CPU, folder=tmp_path)
    assert len(views) >= 4
    for first, second in views:
        assert not (first == second).flatten(1).all(dim=1).any(), "an image's views are the same"
    assert len({first.sum().item() for first, _ in views}) == len(views), "an epoch repeats another's"


def test_callers_random_state_and_flags_come_back(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    assert not torch.are_deterministic_algorithms_enabled()
    train(tiny(r4.CLASSIFY, epochs=1), datasets["classify"], seed=0, numerics=CPU, folder=tmp_path)
    assert torch.equal(torch.rand(4), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_loss_that_is_not_finite_ends_the_run(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    recipe = replace(tiny(r4.CLASSIFY), phases=(Phase(optimizer="sgd", lr=1e30, epochs=3),))
    with pytest.raises(DivergedError, match="epoch"):
        train(recipe, datasets["classify"], seed=0, numerics=CPU, folder=tmp_path)


def test_a_signal_ends_a_backward_pass_between_two_layers() -> None:
    """Without a way back to Python it would reach all layers, however long that takes."""
    layers = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(30)))
    interruptible_backward(layers)
    loss = layers(torch.ones(1024, 1024)).sum()

    def stop(number: int, frame: object) -> None:
        raise StopHereError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(StopHereError):
            loss.backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert layers[0].weight.grad is None


def test_training_on_a_cpu_lets_signals_into_its_backward_pass(
    datasets: dict[str, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[torch.nn.Module] = []
    monkeypatch.setattr("reference.training.loop.interruptible_backward", models.append)
    done = train(tiny(r4.CLASSIFY, epochs=1), datasets["classify"], seed=0, numerics=CPU, folder=tmp_path)
    (model,) = models
    assert sum(parameter.numel() for parameter in model.parameters()) == done.parameters


def test_every_sample_trains_once_an_epoch(datasets: dict[str, Dataset], tmp_path: Path) -> None:
    recipe = replace(tiny(r4.CLASSIFY, epochs=2), batch_size=5)
    dataset = datasets["classify"]
    outcome = train(recipe, dataset, seed=0, numerics=CPU, folder=tmp_path)
    assert outcome.train_samples == 2 * len(dataset.train.ids)
    assert sum(m.denominator or 0 for m in outcome.final.metrics.values()) == len(dataset.val.ids)
