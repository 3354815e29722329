"""Write TensorBoard event files of runs, to watch trainings. Grades rest on records alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bench.runs.run_plan import Run
from reference import schedules
from reference.errors import InputError
from reference.training.loop import phase_at
from reference.training.state import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def check_installed() -> None:
    """Raise InputError if TensorBoard's own package, which writes its files, is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard: the package tensorboard is not installed; pip install tensorboard")


class EpochEvents:
    """Writes the scalars of each epoch to ``<out>/tensorboard/<slug>/<run_id>``.

    The loop calls it like a progress bar. The step is the epoch, from 1. The names are those of the record's
    curves, and ``learning_rate`` is the rate of the epoch's last step.
    """

    def __init__(self, run: Run, out: Path) -> None:
        self._recipe = run.recipe
        self.folder = out / "tensorboard" / run.printed.slug / run.run_id
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def __call__(self, progress: Progress) -> None:
        if progress.unit != "epoch":
            return
        if self._writer is None:
            self._writer = self._opened(progress.epoch + (not progress.scores))
        if progress.scores:
            phase, start = phase_at(self._recipe, progress.epoch - 1)
            last_step = progress.epoch - start - 1 / progress.steps
            figures = progress.scores | {"learning_rate": schedules.learning_rate(phase, last_step)}
            for name, value in figures.items():
                self._writer.add_scalar(name, value, progress.epoch)
            self._writer.flush()

    def _opened(self, epoch: int) -> SummaryWriter:
        """Open a file that begins at ``epoch``: readers drop what an earlier attempt wrote from there on."""
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self.folder), purge_step=epoch)
