"""Show the progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from reference.training.state import Progress

PLAIN_SECONDS = 10.0


PRIMARY = ("val_miou", "val_top1", "val_knn", "val_effective_rank", "train_loss")
"""The scores that recipes are judged by; the first one that a run has leads its line."""

SMALLEST_BAR, ETA, GAPS = 10, 8, 3


class RunProgress:
    """Shows the progress of one run. The training loop calls it after every step and every epoch.

    Args:
        plain: print lines on a terminal too, for several runs that share it.
    """

    def __init__(self, label: str, *, plain: bool = False) -> None:
        console = Console()
        self._label = label
        self._printed_at = time.monotonic()
        self._scores: dict[str, float] = {}
        self._bar: Bar | None = None
        if console.is_terminal and not plain:
            self._width = console.width
            self._bar_width = max(SMALLEST_BAR, min(40, console.width // 6))
            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(self._bar_width),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=1.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        epoch = f"{progress.unit} {progress.epoch}/{progress.epochs}"
        scores = {name: value for name, value in progress.scores.items() if "_iou_" not in name}
        if self._bar is not None:
            done = progress.epoch if progress.scores else progress.epoch + progress.step / progress.steps
            self._scores = scores or self._scores
            room = self._width - self._bar_width - ETA - GAPS
            text = fitted(self._label, epoch, self._scores, room)
            self._bar.update(self._task, completed=done / progress.epochs, description=text)
        elif scores and time.monotonic() - self._printed_at >= PLAIN_SECONDS:
            self._printed_at = time.monotonic()
            print(f"{self._label}: {epoch}  {_in_words(scores)}", flush=True)


def fitted(label: str, epoch: str, scores: Mapping[str, float], room: int) -> str:
    """Fit label, epoch and scores into ``room`` characters: the primary score first, others if they fit.

    The label is shortened before the epoch or the primary score is left out.
    """
    primary = next((name for name in PRIMARY if name in scores), None)
    others = [name for name in scores if name != primary]
    shown = [] if primary is None else [primary]
    for name in others:
        longer = [*shown, name]
        if len(_joined(label, epoch, _in_words({n: scores[n] for n in longer}))) <= room:
            shown = longer
    rest = _joined(epoch, _in_words({name: scores[name] for name in shown}))
    left = room - len(rest) - len(SEPARATOR)
    if len(label) > left:
        label = label[: left - 1] + "…" if left > 1 else ""
    return _joined(label, rest)


SEPARATOR = "  "


def _joined(*parts: str) -> str:
    return SEPARATOR.join(filter(None, parts))


def _in_words(scores: Mapping[str, float]) -> str:
    return SEPARATOR.join(f"{name} {value:.4f}" for name, value in scores.items())


@contextmanager
def files_shown(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal for work that counts (files done, files); show nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label)
        yield lambda done, count: bar.update(task, completed=done, total=count)
