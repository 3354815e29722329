"""The line of a run's progress: at 80 columns it keeps the bar, the time left and the primary score."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.runs import progress
from bench.runs.progress import RunProgress, fitted
from reference.training.loop import Progress

SCORES = {"train_loss": 2.3836, "grad_norm": 143.6771, "val_loss": 2.3423, "val_top1": 0.1615}


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("label", ["[1/1] r2 seed 0", "[12/51] ablation-r2-seg-b-no-normalisation seed 10"])
def test_bar_time_and_primary_score_are_shown(
    width: int, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda: console)
    with RunProgress(label) as shown:
        shown(Progress(200, 400, 10, 10, SCORES))
        shown(Progress(200, 400, 5, 10))
        assert shown._bar is not None
        shown._bar.refresh()
    line = next(
        text for text in reversed(screen.getvalue().replace("\r", "\n").splitlines()) if "val_top1" in text
    )
    line = line.rpartition("\x1b[2K")[2]
    assert "val_top1 0.1615" in line
    assert "epoch 200/400" in line
    assert "━" * (progress.SMALLEST_BAR // 2) in line
    assert line.rstrip().endswith(("-:--:--", ":00", ":01")) or line.rstrip()[-3] == ":"
    assert len(line.rstrip()) <= width


@pytest.mark.parametrize("room", range(30, 140))
def test_the_text_fits_and_the_label_gives_way(room: int) -> None:
    text = fitted("[1/3] r1-finetune-c-400 seed 0", "epoch 12/400", SCORES, room)
    assert len(text) <= room
    assert "epoch 12/400  val_top1 0.1615" in text
    assert ("grad_norm" in text) <= ("r1-finetune-c-400 seed 0" in text)


def test_a_run_without_a_known_score_shows_what_it_has() -> None:
    assert fitted("run", "epoch 1/2", {"covered": 0.5}, 80) == "run  epoch 1/2  covered 0.5000"
