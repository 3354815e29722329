"""Schedules against torch's schedulers, the printed trace of R1's warm-up, and the ends of every curve."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference.errors import InputError
from reference.recipes.recipe import Phase
from reference.schedules import SCHEDULES, byol_tau, gradual_warmup, learning_rate, linear_warmup

PHASE = Phase(optimizer="sgd", lr=0.4, epochs=20)


def torch_trace(scheduler: str, epochs: int, **arguments: float) -> list[float]:
    """Learning rate at every epoch under a scheduler of torch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PHASE.lr)
    stepper = getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **arguments)
    trace = []
    for _ in range(epochs + 1):
        trace.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepper.step()
    return trace


def test_registry_is_complete() -> None:
    assert set(SCHEDULES) == {"constant", "cosine", "poly", "gradual"}


def test_cosine_and_poly_equal_torch() -> None:
    ours = {
        name: [learning_rate(replace(PHASE, schedule=name), epoch) for epoch in range(21)]
        for name in ("cosine", "poly", "constant")
    }
    # torch's recursions collect rounding over the epochs.
    assert ours["cosine"] == pytest.approx(torch_trace("CosineAnnealingLR", 20, T_max=20), abs=1e-9)
    assert ours["poly"] == pytest.approx(torch_trace("PolynomialLR", 20, total_iters=20, power=0.9), abs=1e-9)
    assert ours["constant"] == [0.4] * 21


def test_warmup_then_schedule_equals_torch_shifted() -> None:
    phase = replace(PHASE, schedule="cosine", warmup_epochs=5)
    ours = [learning_rate(phase, epoch) for epoch in range(21)]
    assert ours[:5] == pytest.approx([0.0, 0.08, 0.16, 0.24, 0.32])
    assert ours[5:] == pytest.approx(torch_trace("CosineAnnealingLR", 15, T_max=15), abs=1e-9)


def test_gradual_phase_is_the_warmup_that_r1_names() -> None:
    phase = replace(PHASE, schedule="gradual", warmup_epochs=5, epochs=15)
    assert [learning_rate(phase, e / 2) for e in range(32)] == [
        PHASE.lr * gradual_warmup(e / 2, 5, 10) for e in range(32)
    ]


def test_gradual_warmup_trace_of_the_package_that_r1_names() -> None:
    """pytorch-gradual-warmup-lr, multiplier 1, 5 epochs, then a cosine of 10: the peak is held twice."""
    trace = [gradual_warmup(epoch, 5, 10) for epoch in range(18)]
    after = [0.5 * (1 + math.cos(math.pi * k / 10)) for k in range(11)]
    assert trace == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0, *after, 0.0])
    assert [round(f, 4) for f in trace[:8]] == [0, 0.2, 0.4, 0.6, 0.8, 1, 1, 0.9755]


@given(
    st.sampled_from(["constant", "cosine", "poly"]),
    st.integers(1, 300),
    st.integers(0, 300),
    st.floats(0, 700, allow_nan=False),
    st.floats(1e-3, 2),
)
def test_never_leaves_zero_to_peak_and_depends_on_nothing_but_the_epoch(
    schedule: str, epochs: int, warmup: int, epoch: float, step: float
) -> None:
    phase = Phase(
        optimizer="adam", lr=1e-3, epochs=epochs, schedule=schedule, warmup_epochs=min(warmup, epochs)
    )
    rate, later = learning_rate(phase, epoch), learning_rate(phase, epoch + step)
    assert 0 <= rate <= 1e-3
    assert rate == learning_rate(phase, epoch)
    assert later >= rate if epoch + step <= phase.warmup_epochs else True
    assert later <= rate * (1 + 1e-12) if epoch >= phase.warmup_epochs else True


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
def test_ends(schedule: str) -> None:
    phase = replace(PHASE, schedule=schedule, warmup_epochs=4)
    assert learning_rate(phase, 0) == 0
    assert learning_rate(phase, 4) == PHASE.lr
    assert learning_rate(phase, 4 - 1e-9) == pytest.approx(PHASE.lr)
    assert learning_rate(phase, 20) == learning_rate(phase, 25) == pytest.approx(0, abs=1e-12)


def test_warmup_of_the_whole_phase_and_of_none() -> None:
    assert learning_rate(replace(PHASE, warmup_epochs=20), 20) == PHASE.lr
    assert learning_rate(replace(PHASE, schedule="cosine"), 0) == PHASE.lr
    assert linear_warmup(0, 0) == 1.0


def test_refuses_what_is_no_epoch_or_schedule() -> None:
    for epoch in (-0.1, math.nan):
        with pytest.raises(ValueError, match="expected at least 0"):
            learning_rate(PHASE, epoch)
    with pytest.raises(InputError, match="only 20 epochs"):
        learning_rate(replace(PHASE, warmup_epochs=21), 0)
    with pytest.raises(InputError, match="'steps' is unknown: expected one of constant, cosine, poly"):
        learning_rate(replace(PHASE, schedule="steps"), 0)


def test_byol_tau_by_hand() -> None:
    assert byol_tau(0, 1000) == pytest.approx(0.99)  # the paper's for 100 to 300 epochs
    assert byol_tau(0, 1000, 0.996) == pytest.approx(0.996)
    assert byol_tau(250, 1000, 0.996) == pytest.approx(1 - 0.004 * (1 + math.sqrt(0.5)) / 2)
    assert byol_tau(500, 1000, 0.996) == pytest.approx(0.998)
    assert byol_tau(1000, 1000, 0.996) == 1.0


@given(st.integers(1, 10_000), st.floats(0, 1), st.data())
def test_byol_tau_rises_from_its_base_to_one(total: int, base: float, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, total - 1))
    assert base - 1e-12 <= byol_tau(step, total, base) <= byol_tau(step + 1, total, base) <= 1.0


def test_byol_tau_refuses_steps_outside_the_run() -> None:
    for step, total in ((-1, 10), (11, 10), (0, 0)):
        with pytest.raises(ValueError, match="step is"):
            byol_tau(step, total)
    with pytest.raises(ValueError, match="base is"):
        byol_tau(0, 10, 1.5)
