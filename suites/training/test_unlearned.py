"""A run that stays at the constant predictor is stopped, and one that learns is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss
from torch import Tensor, nn

from reference import losses
from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe
from reference.training import watch
from reference.training.evaluation import Evaluation, MetricValue
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.state import State
from reference.training.watch import DidNotLearnError, constant_loss, refuse_constant

CNN, SEG = RECIPES["mnist1d-cnn"], RECIPES["r4-seg-b"]
TARGETS = np.array([0] * 6 + [1] * 3 + [2], dtype=np.uint8)


def loss_of(recipe: Recipe) -> Callable[..., Tensor]:
    return partial(losses.LOSSES[recipe.task][recipe.loss], **dict(recipe.loss_args))


# ---------------------------------------------------------------- the constant predictor


def test_of_cross_entropy_it_is_scikit_learns_prior() -> None:
    dummy = DummyClassifier(strategy="prior").fit(TARGETS[:, None], TARGETS)
    expected = log_loss(TARGETS, dummy.predict_proba(TARGETS[:, None]))
    assert constant_loss(CNN, loss_of(CNN), TARGETS, 3) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", losses.SEGMENT)
def test_no_other_constant_is_better(name: str) -> None:
    recipe = replace(SEG, loss=name, loss_args=())
    loss, rng = loss_of(recipe), torch.Generator().manual_seed(0)
    least = constant_loss(recipe, loss, TARGETS, 3)
    labels = torch.from_numpy(TARGETS).long()
    for _ in range(50):
        logits = torch.randn(3, generator=rng, dtype=torch.float64)
        assert float(loss(logits.expand(10, 3), labels)) >= least - 1e-9


def test_what_the_loss_ignores_does_not_count() -> None:
    recipe = replace(SEG, loss="cross_entropy", loss_args=(("ignore_index", 0),))
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert constant_loss(recipe, loss_of(recipe), TARGETS, 3) == pytest.approx(expected)


def test_smoothed_labels_raise_it() -> None:
    recipe = replace(RECIPES["r3-classify-b"], mixup_smoothing=0.3)
    shares = 0.7 * np.array([0.6, 0.3, 0.1]) + 0.1
    found = constant_loss(recipe, loss_of(recipe), TARGETS, 3)
    assert found == pytest.approx(float(-(shares * np.log(shares)).sum()))


# ---------------------------------------------------------------- when a run is stopped


def after(losses_of_epochs: list[float], epochs: int, best: Evaluation | None = None, **changes: Any) -> None:
    """Judge a run of 100 steps an epoch, on two balanced classes (ln 2 = 0.693), after these epochs."""
    recipe = replace(CNN, phases=(Phase(optimizer="sgd", lr=0.1, epochs=epochs),), **changes)
    split = replace(DATA.train, targets=np.array([0, 1] * 4))
    data = replace(DATA, train=split, classes=("a", "b"))
    state = State(epoch=len(losses_of_epochs), curves={"train_loss": losses_of_epochs}, best=best)
    refuse_constant(state, recipe, data, nn.Linear(1, 1), loss_of(recipe), lambda epoch: 100 * epoch)


DATA: Dataset = open_dataset("mnist1d", None, image_size=40, classes=None)
STUCK = 0.6931


def test_a_stuck_run_is_stopped_after_a_tenth_of_its_schedule() -> None:
    after([STUCK] * 19, 200)
    with pytest.raises(DidNotLearnError, match=r"0\.6931 at best in 20 of 200 epochs.*gives 0\.6931"):
        after([STUCK] * 20, 200)


def test_it_is_judged_once() -> None:
    after([STUCK] * 21, 200)


def test_ten_epochs_and_a_thousand_steps_are_the_least() -> None:
    after([STUCK] * 9, 20)
    with pytest.raises(DidNotLearnError):
        after([STUCK] * 10, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "UNLEARNED_STEPS", 1500)
        after([STUCK] * 10, 20)
        with pytest.raises(DidNotLearnError):
            after([STUCK] * 15, 20)


def test_one_epoch_below_is_enough() -> None:
    after([*[STUCK] * 19, 0.68], 200)
    with pytest.raises(DidNotLearnError):
        after([*[STUCK] * 19, 0.69], 200)


def scored(correct: int, images: int | None) -> Evaluation:
    metric = MetricValue(correct / (images or 100), correct if images else None, images)
    empty = np.empty(0)
    return Evaluation({"score": metric}, "score", 0.7, empty, empty, majority=0.5)


@pytest.mark.parametrize(
    ("best", "stops"),
    [
        (scored(59, 100), True),  # four standard deviations of chance are .2
        (scored(71, 100), False),
        (scored(52, None), True),
        (scored(53, None), False),
    ],
)
def test_a_run_whose_validation_beats_the_majority_goes_on(best: Evaluation, stops: bool) -> None:
    if stops:
        with pytest.raises(DidNotLearnError):
            after([STUCK] * 20, 200, best)
    else:
        after([STUCK] * 20, 200, best)


def test_the_last_epoch_and_a_task_without_labels_stop_nothing() -> None:
    after([STUCK] * 10, 10)
    after([STUCK] * 20, 200, task="byol", loss="byol_loss")


def test_the_auxiliary_loss_is_part_of_it() -> None:
    network = nn.ModuleDict({"aux_classifier": nn.Linear(1, 1)})
    recipe = replace(SEG, aux_weight=0.5, phases=(Phase(optimizer="sgd", lr=0.1, epochs=20),))
    data = replace(DATA, train=replace(DATA.train, targets=np.array([0, 1] * 4)), classes=("a", "b"))
    judge = partial(refuse_constant, recipe=recipe, dataset=data, model=network, loss=loss_of(recipe))
    for lowest, stops in ((1.5 * STUCK, True), (1.02, False)):
        state = State(epoch=10, curves={"train_loss": [lowest] * 10})
        if stops:
            with pytest.raises(DidNotLearnError):
                judge(state, steps_before=lambda epoch: 100 * epoch)
        else:
            judge(state, steps_before=lambda epoch: 100 * epoch)


@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_the_loop_stops_what_stands_still_alone(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "UNLEARNED_EPOCHS", 2)
    monkeypatch.setattr(watch, "UNLEARNED_STEPS", 4)
    phase = Phase(optimizer="sgd", lr=rate, epochs=4)
    recipe = replace(RECIPES["mnist1d-logistic"], phases=(phase,), batch_size=100, eval_steps=0)
    recipe = replace(recipe, score_train=False)
    run = partial(train, recipe, DATA, seed=0, numerics=Numerics(), folder=tmp_path)
    if rate:
        assert len(run().curves["train_loss"]) == 4
    else:
        with pytest.raises(DidNotLearnError, match="2 of 4 epochs"):
            run()
