"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from reference.training.loop import Progress

PLAIN_SECONDS = 10.0


class RunProgress:
    """Shows the progress of one run: called by the loop after every step and every epoch.

    Args:
        plain: lines even on a terminal, where several runs share it.
    """

    def __init__(self, label: str, *, plain: bool = False) -> None:
        console = Console()
        self._label = label
        self._printed_at = time.monotonic()
        self._scores = ""
        self._bar: Bar | None = None
        if console.is_terminal and not plain:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[where]}  {task.fields[scores]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=1.0, where="", scores="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        where = f"{progress.unit} {progress.epoch}/{progress.epochs}"
        scores = "  ".join(
            f"{name} {value:.4f}" for name, value in progress.scores.items() if "_iou_" not in name
        )
        if self._bar is not None:
            done = progress.epoch if progress.scores else progress.epoch + progress.step / progress.steps
            self._scores = scores or self._scores
            self._bar.update(self._task, completed=done / progress.epochs, where=where, scores=self._scores)
        elif scores and time.monotonic() - self._printed_at >= PLAIN_SECONDS:
            self._printed_at = time.monotonic()
            print(f"{self._label}: {where}  {scores}", flush=True)


@contextmanager
def files_shown(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal for work that counts (files done, files); nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label)
        yield lambda done, count: bar.update(task, completed=done, total=count)
