"""Other numerics through the runner: each run ends well, and a resumed run ends as an unbroken one.

The network is the smallest that has what differs: a convolution with batch statistics, and one of 1 × 1 with
a stride, to whose weight a compiled backward pass gives a gradient with other strides than the weight's.
It has 16 channels: with fewer than 8, channels last, torch 2.15's own backward pass of such a convolution
writes outside its memory on CPUs with AVX2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from bench.runs import run_plan
from bench.runs.execute import execute
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference import models
from reference.data import synthetic
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase
from reference.training import checkpoint
from reference.training.numerics import Numerics
from reference.training.state import Progress


class TwoConvolutions(nn.Module):
    """(B, 3, H, W) → logits (B, num_classes)."""

    def __init__(self, *, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.strided = nn.Conv2d(width, 2 * width, 1, stride=2)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.strided(self.norm(self.wide(x)).relu())
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


OPTIMIZERS = ("sgd", "adam", "adamw")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"channels_last": True},
    {"dtype": "bfloat16"},
    {"channels_last": True, "dtype": "bfloat16"},
    {"compiled": True},
    {"compiled": True, "channels_last": True},
    {"compiled": True, "dtype": "bfloat16"},
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (8, 4))
    monkeypatch.setitem(models.MODELS, "two_convolutions", TwoConvolutions)
    monkeypatch.setattr("bench.runs.training_run.draw", lambda *_: [])
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def planned(optimizer: str, numerics: Numerics, cache: Path) -> Run:
    """Three epochs of two steps."""
    phases = (Phase(optimizer=optimizer, lr=0.01, epochs=3, weight_decay=0.01),)  # type: ignore[arg-type]
    tiny = {"model": "two_convolutions", "width": 16, "image_size": 8, "num_classes": 2, "batch_size": 4}
    recipe = replace(
        RECIPES["r4-classify"],
        phases=phases,
        init="scratch",
        augment=(),
        embed_epochs=(),
        model_args=(),
        **tiny,
    )
    options: dict[str, Any] = {"data": None, "seeds": 1, "init": None, "weights": None}
    (run,), _ = run_plan.plan([recipe], tier="full", numerics=numerics, cache=cache, **options)
    return run


def interrupt_in_the_second_epoch(progress: Progress) -> None:
    if (progress.epoch, progress.step, progress.scores) == (1, 1, {}):
        raise KeyboardInterrupt


class Strides:
    """Notes, at each optimiser step, gradients and states that do not lie as their parameter does."""

    def __init__(self) -> None:
        self.other: list[str] = []
        self.compared = 0

    def before(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            self._compare("gradient", parameter, parameter.grad)

    def after(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        for parameter, state in optimizer.state.items():
            for name, tensor in state.items():
                if isinstance(tensor, Tensor) and tensor.shape == parameter.shape:
                    self._compare(name, parameter, tensor)

    def _compare(self, name: str, parameter: Tensor, tensor: Tensor) -> None:
        self.compared += 1
        if tensor.stride() != parameter.stride():
            self.other.append(f"{name} {tuple(parameter.shape)}: {tensor.stride()}, not {parameter.stride()}")


def ended_twice(run: Run, tmp_path: Path) -> tuple[Record, Record, Strides]:
    """The records of an unbroken run and of one that was interrupted and resumed."""
    strides = Strides()
    hooks = (
        register_optimizer_step_pre_hook(strides.before),
        register_optimizer_step_post_hook(strides.after),
    )
    try:
        unbroken = execute(run, tmp_path / "unbroken", checkpoint_seconds=0)
        with pytest.raises(KeyboardInterrupt):
            execute(run, tmp_path / "resumed", checkpoint_seconds=0, progress=interrupt_in_the_second_epoch)
        resumed = execute(run, tmp_path / "resumed", checkpoint_seconds=0)
    finally:
        for hook in hooks:
            hook.remove()
    return unbroken, resumed, strides


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "+".join(map(str, o)) or "plain")
def test_a_run_ends_well_and_a_resumed_one_to_the_same_weights(
    optimizer: str, options: dict[str, Any], tmp_path: Path
) -> None:
    run = planned(optimizer, Numerics(**options), tmp_path / "cache")
    unbroken, resumed, strides = ended_twice(run, tmp_path)
    assert (unbroken.status, resumed.status) == ("ok", "ok"), (unbroken.reason, resumed.reason)
    assert unbroken.notes == []
    assert unbroken.numerics["compiled"] == run.numerics.compiled
    assert resumed.segments[0]["last_epoch"] == 1, "it was not resumed"
    assert unbroken.weights_hash == resumed.weights_hash
    assert unbroken.curves == resumed.curves
    assert strides.compared > 20
    assert strides.other == []
    kept = load_file(run.weights(tmp_path / "resumed"))
    assert checkpoint.weights_hash(kept) == resumed.weights_hash
    assert unbroken.weights_hash != unbroken.initial_weights["hash"]


def test_without_a_compiler_a_run_says_so_and_counts_as_eager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "no-such-compiler"))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    lines: list[str] = []
    asked = planned("sgd", Numerics(compiled=True), tmp_path / "cache")
    record = execute(asked, tmp_path / "asked", notice=lines.append)
    eager = execute(planned("sgd", Numerics(), tmp_path / "cache"), tmp_path / "eager")
    assert record.status == "ok"
    (line,) = lines
    assert line.startswith("not compiled, the run trains eagerly: ")
    assert "compiler" in line
    assert record.notes == lines
    assert record.numerics == eager.numerics
    assert record.weights_hash == eager.weights_hash
    assert record.run_id == asked.run_id, "the same command finds its record again"
