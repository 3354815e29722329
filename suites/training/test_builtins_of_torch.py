"""The schedule and the optimiser that are torch's own by another name: StepLR and RMSprop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reference import schedules
from reference.errors import InputError
from reference.recipes.recipe import Phase
from reference.training.step import build_optimizer


@pytest.mark.parametrize(("step_size", "gamma"), [(1, 0.5), (3, 0.1), (7, 0.9)])
def test_step_is_torchs_step_lr(step_size: int, gamma: float) -> None:
    arguments = (("step_size", step_size), ("gamma", gamma))
    phase = Phase(optimizer="sgd", lr=0.4, epochs=10, schedule="step", schedule_args=arguments)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    oracle = torch.optim.lr_scheduler.StepLR(optimizer, step_size=step_size, gamma=gamma)
    for epoch in range(10):
        for part in (0.0, 0.99):  # the rate is the same in all steps of an epoch
            assert schedules.learning_rate(phase, epoch + part) == pytest.approx(oracle.get_last_lr()[0])
        optimizer.step()
        oracle.step()


@pytest.mark.parametrize("arguments", [(), (("step_size", 0),), (("step_size", 2), ("gama", 0.1))])
def test_step_refuses_other_arguments(arguments: tuple[tuple[str, float], ...]) -> None:
    phase = Phase(optimizer="sgd", lr=0.4, epochs=10, schedule="step", schedule_args=arguments)
    with pytest.raises(InputError, match="schedule 'step'"):
        schedules.learning_rate(phase, 0)


def test_rmsprop_is_torchs() -> None:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    arguments = (("alpha", 0.9), ("momentum", 0.5))
    phase = Phase(optimizer="rmsprop", lr=0.01, epochs=1, weight_decay=0.1, optimizer_args=arguments)
    oracle = torch.optim.RMSprop(theirs.parameters(), lr=0.01, weight_decay=0.1, alpha=0.9, momentum=0.5)
    for network, optimizer in ((ours, build_optimizer(phase, ours, 1.0)), (theirs, oracle)):
        for step in range(3):
            optimizer.zero_grad()
            network(torch.full((1, 3), step + 1.0)).square().sum().backward()
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)
