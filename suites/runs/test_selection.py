"""Which epoch a run's figure is taken from, what is kept of it, and pictures that cannot be drawn."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.runs import execute, records, run_plan, training_run
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference import visualize
from reference.data import synthetic
from reference.metrics import confusion_matrix
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe
from reference.training.numerics import Numerics

EPOCHS = 6


def tiny(slug: str, **changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "width": 2,
        "image_size": 32,
        "num_classes": 7 if "seg" in slug else 3,
        "batch_size": 6,
        "init": "scratch",
        "phases": (Phase(optimizer="sgd", lr=0.05, epochs=EPOCHS),),
        "mask_epochs": (),
        "embed_epochs": (),
    }
    return replace(RECIPES[slug], **(settings | changes))


def planned(recipe: Recipe, tmp_path: Path) -> Run:
    options: dict[str, Any] = {"data": None, "seeds": 1, "init": None, "weights": None}
    (run,), _ = run_plan.plan([recipe], tier="full", numerics=Numerics(), cache=tmp_path / "cache", **options)
    return run


def kept(record: Record, out: Path) -> dict[str, np.ndarray]:
    """Per-image results of a record."""
    return dict(np.load(records.path_of(out, record).with_suffix(".npz")))


@pytest.fixture
def _two_images_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (12, 6))
    monkeypatch.setitem(synthetic.COUNTS, "landcover", (6, 3))
    monkeypatch.setattr(training_run, "draw", lambda *_: [])


@pytest.mark.usefixtures("_two_images_a_class")
@pytest.mark.parametrize("slug", ["r4-classify", "r4-seg-b"])
@pytest.mark.parametrize("selection", ["best", "final"])
def test_the_selected_epoch_is_the_first_best_on_validation(
    slug: str, selection: str, tmp_path: Path
) -> None:
    """Training improves to its last epoch, and validation, whose labels say otherwise, does not."""
    recipe = tiny(slug, selection=selection, model="resnet18" if slug == "r4-classify" else "fcn8s_resnet34")
    run = planned(recipe, tmp_path)
    targets = np.random.default_rng(1).permutation(np.array(run.dataset.val.targets).ravel())
    val = replace(run.dataset.val, targets=targets.reshape(run.dataset.val.targets.shape))
    run = replace(run, dataset=replace(run.dataset, val=val))
    record = execute.execute(run, tmp_path)
    assert record.status == "ok", record.reason
    name = "miou" if recipe.task == "segment" else "top1"
    curve = np.array(record.curves[f"val_{name}"], dtype=float)
    best = record.metrics["best"]
    assert best["epoch"] == 1 + np.nanargmax(curve)
    assert best["epoch"] < EPOCHS, "the test tells the best epoch from the last"
    assert np.argmin(record.curves["train_loss"]) + 1 > best["epoch"], "training says otherwise"
    if recipe.task == "classify":
        assert (curve == np.nanmax(curve)).sum() > 1, "the test tells the first of ties from the last"
    selected = record.metrics[selection]
    assert selected["metrics"][name]["value"] == curve[selected["epoch"] - 1]

    per_image = kept(record, tmp_path)["per_image"]
    if recipe.task == "segment":
        confusion = per_image.sum(axis=0)
    else:
        confusion = confusion_matrix(per_image, targets, num_classes=3)
    np.testing.assert_array_equal(confusion, record.confusion)
    for index in range(6 if recipe.task == "segment" else 0):
        overlap = selected["metrics"][f"iou_{index}"]["numerator"]
        assert overlap == confusion[index][index], "the counts are of the selected epoch"
    if recipe.task == "classify":
        assert selected["metrics"]["top1"]["numerator"] == np.trace(confusion)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(("images", "classes"), [(3, 3), (2, 1), (4, 1)])
def test_few_images_end_no_training(
    images: int, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """t-SNE needs four points, a silhouette two classes and fewer than the points."""
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (3, 3))
    phases = (Phase(optimizer="sgd", lr=0.01, epochs=1),)
    methods = {"embed_epochs": (1,), "embed_methods": ("tsne", "pca")}
    run = planned(tiny("r4-classify", model="resnet18", phases=phases, **methods), tmp_path)
    few = run.dataset.train.take([index % 3 for index in range(images)])
    few = replace(few, targets=np.arange(images) % classes)
    record = execute.execute(replace(run, dataset=replace(run.dataset, train=few)), tmp_path)
    assert record.status == "ok", record.reason
    assert record.notes == []
    assert {"tsne", "pca", "curves"} <= {figure["kind"] for figure in record.figures}
    assert (record.curves["silhouette"] == [None]) == (classes == 1 or classes == images)


@pytest.mark.parametrize("selection", ["best", "final"])
def test_the_masks_shown_include_the_selected_epoch(
    selection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(synthetic.COUNTS, "landcover", (6, 3))
    drawn: list[list[int]] = []
    monkeypatch.setattr(visualize, "mask_strips", lambda **given: _drawn(drawn, **given))
    recipe = tiny("r4-seg-b", model="fcn8s_resnet34", selection=selection, mask_epochs=(1, 2))
    record = execute.execute(planned(recipe, tmp_path), tmp_path)
    assert record.status == "ok", record.reason
    assert record.notes == []
    epoch = record.metrics[selection]["epoch"]
    assert epoch > 2, "the test tells the selected epoch from those of the report"
    assert drawn == [[1, 2, epoch]]
    assert record.epochs_drawn("masks") == [1, 2, epoch]
    assert "errors" in {figure["kind"] for figure in record.figures}
    (again,) = records.read_all(tmp_path)
    assert again.epochs_drawn("masks") == [1, 2, epoch]
    before = replace(record, figures=[{k: v for k, v in f.items() if k != "epochs"} for f in record.figures])
    assert before.epochs_drawn("masks") == [1, 2]


def _drawn(calls: list[list[int]], *, predictions: dict[int, np.ndarray], path: Path, **_: object) -> None:
    calls.append(sorted(predictions))
    path.write_bytes(b"a picture")


def test_a_picture_that_cannot_be_drawn_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(synthetic.COUNTS, "classification50", (4, 2))

    def fails(*_: object, **__: object) -> None:
        raise ValueError("axis limits cannot be nan\nor so")

    monkeypatch.setattr(visualize, "curves", partial(fails))
    phases = (Phase(optimizer="sgd", lr=0.01, epochs=1),)
    run = planned(tiny("r4-classify", model="resnet18", num_classes=2, phases=phases), tmp_path)
    record = execute.execute(run, tmp_path)
    assert record.status == "ok", record.reason
    assert {figure["kind"] for figure in record.figures} == {"confusion", "confusion (SVG)"}
    png, svg = record.notes
    assert png == f"no picture {record.name}-curves.png: ValueError: axis limits cannot be nan"
    assert svg.startswith(f"no picture {record.name}-curves.svg: ")
