"""TensorBoard events of runs, read back with TensorBoard's own reader."""

from __future__ import annotations

import importlib.util
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bench.cli import options as options_module
from bench.cli import run_command
from bench.runs import execute as execute_module
from bench.runs import run_plan, tensorboard_events
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference import schedules
from reference.data import synthetic
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe
from reference.training.numerics import Numerics
from reference.training.state import Progress

PHASES = (
    Phase(optimizer="sgd", lr=0.02, epochs=3, schedule="cosine", warmup_epochs=1),
    Phase(optimizer="adam", lr=0.001, epochs=2),
)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Five epochs of two steps, over two phases."""
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (12, 8))
    settings = {"model": "resnet18", "width": 2, "image_size": 32, "num_classes": 2, "batch_size": 6}
    return replace(RECIPES["r4-classify"], phases=PHASES, init="scratch", embed_epochs=(), **settings)


def planned(recipe: Recipe, tmp_path: Path) -> Run:
    (run,), _ = run_plan.plan(
        [recipe],
        tier="full",
        data=None,
        seeds=1,
        init=None,
        weights=None,
        numerics=Numerics(),
        cache=tmp_path / "cache",
    )
    return run


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every scalar, as TensorBoard would show them."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def execute(
    run: Run, out: Path, *, stop_at: int | None = None, seconds: float = 0.0, **options: bool
) -> Record:
    """Run with events; ``stop_at``: interrupted after that epoch's evaluation, before its checkpoint."""

    def interrupt(progress: Progress) -> None:
        if progress.scores and progress.epoch == stop_at:
            raise KeyboardInterrupt

    with tensorboard_events.EpochEvents(run, out) as written:
        return execute_module.execute(
            run,
            out,
            progress=lambda progress: run_command._tell((written, interrupt), progress),
            checkpoint_seconds=seconds,
            **options,
        )


def tag(curve: str) -> str:
    return tensorboard_events.readable(curve, ())


def agrees(run: Run, record: Record, out: Path) -> None:
    """Every curve of the record, each epoch once, and the rate of each epoch's last step."""
    found = scalars(out / "tensorboard" / run.printed.slug / run.run_id)
    assert set(found) == {*map(tag, record.curves), "training/learning rate"}
    for name, curve in ((tag(name), curve) for name, curve in record.curves.items()):
        assert [step for step, _ in found[name]] == [1, 2, 3, 4, 5], name
        assert [value for _, value in found[name]] == pytest.approx(curve, rel=1e-6), name
    first, second = PHASES
    rates = [schedules.learning_rate(first, epoch + 0.5) for epoch in range(3)] + [second.lr] * 2
    assert [value for _, value in found["training/learning rate"]] == pytest.approx(rates, rel=1e-6)


def test_events_hold_what_the_record_holds(recipe: Recipe, tmp_path: Path) -> None:
    run = planned(recipe, tmp_path)
    agrees(run, execute(run, tmp_path), tmp_path)


@pytest.mark.parametrize("lost", [False, True], ids=["after epoch 3", "from the start"])
def test_a_resumed_run_goes_on_without_duplicates(recipe: Recipe, tmp_path: Path, lost: bool) -> None:
    """Epoch 3 was written before the interruption; without its checkpoint it is trained again."""
    run = planned(recipe, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        execute(run, tmp_path, stop_at=3)
    folder = tmp_path / "tensorboard" / run.printed.slug / run.run_id
    assert [step for step, _ in scalars(folder)["loss/train"]] == [1, 2, 3]
    if lost:
        for file in run.folder(tmp_path).glob("checkpoint*"):
            file.unlink()
    record = execute(run, tmp_path)
    assert len(list(folder.iterdir())) == 2
    assert record.segments[-1]["first_epoch"] == (0 if lost else 3)
    agrees(run, record, tmp_path)


def test_masks_are_shown_at_each_epoch_that_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(synthetic.COUNTS, "landcover", (2, 2))
    settings = {"width": 2, "image_size": 32, "batch_size": 2, "init": "scratch", "selection": "final"}
    run = planned(replace(RECIPES["r4-seg-b"], phases=PHASES, mask_epochs=(1, 3), **settings), tmp_path)
    assert execute(run, tmp_path).status == "ok"
    folder = tmp_path / "tensorboard" / run.printed.slug / run.run_id
    assert "mean IoU/val" in scalars(folder)
    found = EventAccumulator(str(folder))
    found.Reload()
    assert found.Tags()["images"] == [f"masks/{name}" for name in run.dataset.val.ids]
    palette, ids = run.dataset.palette, run.dataset.val.ids
    assert palette is not None
    for index, name in enumerate(ids):
        events = found.Images(f"masks/{name}")
        assert [event.step for event in events] == [1, 3, 5]
        for event in events:
            strip = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
            kept = np.load(run.folder(tmp_path) / "masks" / f"epoch-{event.step}.npy")[index]
            assert (strip[:, :32] == run.dataset.val.images[index]).all()
            assert (strip[:, 32:64] == palette.encode(run.dataset.val.targets[index])).all()
            assert (strip[:, 64:] == palette.encode(kept)).all()


def test_no_two_curves_share_a_tag() -> None:
    curves = ("train_loss", "val_loss", "val_top1", "val_iou_1", "probe_knn", "pca_silhouette", "silhouette")
    assert len({tensorboard_events.readable(curve, ("urban", "forest")) for curve in curves}) == len(curves)


def test_a_run_made_anew_replaces_the_old_events(recipe: Recipe, tmp_path: Path) -> None:
    run = planned(recipe, tmp_path)
    execute(run, tmp_path)
    agrees(run, execute(run, tmp_path, resume=False), tmp_path)


def test_what_has_no_epochs_writes_nothing(recipe: Recipe, tmp_path: Path) -> None:
    run = planned(recipe, tmp_path)
    with tensorboard_events.EpochEvents(run, tmp_path) as written:
        written(Progress(1, 4, 1, 1, {"masks": 3.0}, unit="image"))
    assert not written.folder.exists()


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    tensorboard_events.check_installed()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"^--tensorboard: the package tensorboard is not installed; pip install"
    ):
        tensorboard_events.check_installed()
    with pytest.raises(InputError):
        options_module.app(["run", "r4-classify", "--tensorboard"], standalone_mode=False)
