"""The state of a run between epochs, its form in a checkpoint, and the results of a finished run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.training import distributed
from reference.training.evaluation import Evaluation, MetricValue


@dataclass(frozen=True)
class Progress:
    """The position of a run after a step (``scores`` empty) or after an epoch's evaluation."""

    epoch: int
    epochs: int
    step: int
    steps: int
    scores: dict[str, float] = field(default_factory=dict)
    unit: str = "epoch"


@dataclass(frozen=True)
class Outcome:
    """The results of a finished training: evaluations, curves and cost.

    Attributes:
        weights: the final state dict, contiguous and in host memory.
        compiled: whether the network stayed compiled to the end.
    """

    final: Evaluation
    best: Evaluation
    best_epoch: int
    curves: dict[str, list[float]]
    weights: dict[str, Tensor]
    weights_hash: str
    initial_hash: str
    parameters: int
    train_samples: int
    train_seconds: float
    peak_memory: int
    segments: tuple[dict[str, float], ...]
    notes: tuple[str, ...]
    rank_rates: tuple[float, ...] = ()
    compiled: bool = False


@dataclass
class State:
    """The state of a run between epochs: what a checkpoint holds besides the weights.

    Attributes:
        saved_optimizer: the optimiser state of a checkpoint, until the optimiser is built.
        rows_here, seconds_here: of this process alone; a checkpoint does not hold them.
    """

    epoch: int = 0
    optimizer: torch.optim.Optimizer | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    final: Evaluation | None = None
    best: Evaluation | None = None
    best_epoch: int = 0
    samples: int = 0
    seconds: float = 0.0
    segments: list[dict[str, float]] = field(default_factory=list)
    saved_optimizer: dict[str, Any] | None = None
    rows_here: int = 0
    seconds_here: float = 0.0

    @classmethod
    def restored(cls, saved: dict[str, Any], model: nn.Module, folder: Path) -> State:
        """Build the state of a checkpoint and load its weights into ``model``.

        Raises:
            InputError: the checkpoint is of another version of the network.
        """
        try:
            model.load_state_dict(saved["model"])
            return cls(
                epoch=saved["epoch"],
                curves=saved["curves"],
                final=_unpack(saved["final"]),
                best=_unpack(saved["best"]),
                best_epoch=saved["best_epoch"],
                samples=saved["samples"],
                seconds=saved["seconds"],
                segments=saved["segments"],
                saved_optimizer=saved["optimizer"],
            )
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            cause = str(error).partition("\n")[0]
            raise InputError(
                f"{folder}: its checkpoint does not fit this version of the network"
                f" ({type(error).__name__}: {cause}); start anew with --no-resume"
            ) from error

    def payload(self, model: nn.Module) -> dict[str, Any]:
        """Return the content of a checkpoint after an epoch."""
        assert self.optimizer is not None
        assert self.final is not None
        assert self.best is not None
        return {
            "model": model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "curves": self.curves,
            "final": _pack(self.final),
            "best": _pack(self.best),
            "best_epoch": self.best_epoch,
            "samples": self.samples,
            "seconds": self.seconds,
            "segments": self.segments,
        }

    def note(self, evaluation: Evaluation, trained: dict[str, float], clusters: dict[str, float]) -> None:
        """Append an epoch's figures to the curves and keep its evaluation if it is the best so far."""
        split = evaluation.split
        figures = dict(trained)
        if split == "val":
            figures["val_loss"] = evaluation.loss
        figures |= {f"{split}_{name}": metric.value for name, metric in evaluation.metrics.items()}
        figures |= clusters
        for name, value in figures.items():
            # a checkpoint of an older version may lack a curve
            self.curves.setdefault(name, [math.nan] * (self.epoch - 1)).append(value)
        self.final = evaluation
        if self.best is None or evaluation.score > self.best.score:
            self.best, self.best_epoch = evaluation, self.epoch

    def segment(self, first_epoch: int, seconds: float) -> None:
        """Note the epochs and seconds of this process; a later call replaces the note."""
        self.segments = [s for s in self.segments if s["first_epoch"] < first_epoch]
        here = {"first_epoch": first_epoch, "last_epoch": self.epoch, "seconds": seconds}
        self.segments.append(here | {"world_size": distributed.world().size})


def _pack(evaluation: Evaluation) -> dict[str, Any]:
    metrics = {name: [m.value, m.numerator, m.denominator] for name, m in evaluation.metrics.items()}
    arrays = {name: torch.from_numpy(getattr(evaluation, name)) for name in ("confusion", "per_image")}
    return {
        "metrics": metrics,
        "primary": evaluation.primary,
        "loss": evaluation.loss,
        "majority": evaluation.majority,
        "split": evaluation.split,
        **arrays,
    }


def _unpack(saved: dict[str, Any]) -> Evaluation:
    return Evaluation(
        metrics={name: MetricValue(*values) for name, values in saved["metrics"].items()},
        primary=saved["primary"],
        loss=saved["loss"],
        majority=saved["majority"],
        split=saved["split"],
        confusion=saved["confusion"].numpy(),
        per_image=saved["per_image"].numpy(),
    )
