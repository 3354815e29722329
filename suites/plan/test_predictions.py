"""Predicted memory and time of a step: counts against torch's own allocator, and what is read from them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from bench.plan import predictions
from bench.plan.predictions import GIGABYTE, PredictedStep
from bench.runs import cost, fake_step
from bench.runs.fake_step import Kernels, LiveBytes
from reference import models
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe
from reference.training.step import build_optimizer

ROOT = Path(__file__).parents[2]
TRAINED = {slug: recipe for slug, recipe in RECIPES.items() if recipe.task != "automask"}
SMALL: dict[str, dict[str, Any]] = {
    "r4-seg-b": {"width": 8, "image_size": 64, "batch_size": 4},
    "r4-classify": {"width": 8, "image_size": 64, "batch_size": 8},
    "r2-seg-b": {"width": 2, "image_size": 464, "batch_size": 2},
    "r3-byol": {"width": 8, "image_size": 64, "batch_size": 16},
}
SLOW = {"r3-byol"}


def small(slug: str) -> Recipe:
    return replace(RECIPES[slug], **SMALL[slug])


predicted = cache(fake_step.of_recipe)

# ---------------------------------------------------------------- counting


def allocated_peak(recipe: Recipe) -> int:
    """The most bytes that the CPU's allocator had given out at once in two steps on real tensors."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler, torch.random.fork_rng():
        network = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        ).train()
        optimizer = build_optimizer(recipe.phases[0], network, recipe.aux_lr_factor)
        inputs, targets = fake_step.fake_batch(recipe, network)
        for _ in range(2):
            fake_step.training_step(recipe, network, optimizer, inputs, targets, "float32")
    results = profiler.profiler.kineto_results  # type: ignore[union-attr]
    changes = [event for event in results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize(
    "slug", [pytest.param(slug, marks=pytest.mark.slow if slug in SLOW else ()) for slug in SMALL]
)
def test_the_peak_is_that_of_the_allocator(slug: str) -> None:
    recipe = small(slug)
    assert predicted(recipe).training_peak == pytest.approx(allocated_peak(recipe), rel=0.1)


def test_bytes_alive_are_added_and_taken_away() -> None:
    with LiveBytes() as live:
        kept = torch.zeros(1000)
        freed = kept * 2
        view = freed[:10].view(2, 5)
        assert live.live == 8000
        del freed
        assert live.live == 8000, "a view keeps the storage"
        del view
        assert (live.live, live.peak) == (4000, 8000)
        kept.add_(1)
    assert (live.live, live.peak) == (4000, 8000)


def test_kernels_and_bytes_are_those_counted_by_hand() -> None:
    layer, images = nn.Linear(3, 5), torch.zeros(2, 3)
    with torch.no_grad(), Kernels() as seen:
        layer(images).relu().view(10)[:2]
    assert seen.kernels == 2, "the product with its bias, and ReLU; views are free"
    assert seen.flops == 2 * 2 * 3 * 5
    assert seen.product_bytes == 4 * (5 + 2 * 3 + 3 * 5 + 2 * 5)
    assert seen.other_bytes == 4 * (10 + 10)


def test_parts_and_bfloat16_need_less() -> None:
    recipe = small("r4-classify")
    whole = predicted(recipe)
    parts = predicted(replace(recipe, micro_batch=2))
    half = predicted(recipe, "bfloat16")
    assert parts.training_peak < whole.training_peak
    assert half.training_peak < whole.training_peak
    assert (half.flops, half.weights) == (whole.flops, whole.weights)
    assert 4 * whole.kernels < parts.kernels < 5 * whole.kernels
    assert parts.evaluation_peak == whole.evaluation_peak


# ---------------------------------------------------------------- the file


def test_the_file_holds_every_recipe_as_it_is() -> None:
    missing = [slug for slug, recipe in TRAINED.items() if predictions.of_recipe(recipe, "float32") is None]
    assert not missing, "write it anew: python -m bench.plan.predictions"
    assert set(predictions._entries()) == set(TRAINED)
    assert predictions.of_recipe(replace(RECIPES["r4-seg-b"], batch_size=3), "float32") is None


@pytest.mark.parametrize(
    "slug",
    [pytest.param(slug, marks=() if slug == "mnist1d-mlp" else pytest.mark.slow) for slug in TRAINED],
)
def test_the_file_holds_what_is_counted_now(slug: str) -> None:
    for dtype in predictions.DTYPES:
        held = predictions._entries()[slug][dtype]
        assert held == predictions.counted(TRAINED[slug], dtype), "python -m bench.plan.predictions"


def test_a_whole_step_costs_what_the_file_holds() -> None:
    """The recount of every recipe is slow; this one notices a change of step, loss or augmentation."""
    recipe = TRAINED["r3-classify-a"]
    cost_now, held = fake_step.of_recipe(recipe), predictions.of_recipe(recipe, "float32")
    assert held is not None
    assert cost_now.training_peak == held.training_peaks[recipe.batch_size], (
        "python -m bench.plan.predictions"
    )
    for name in ("kernels", "flops", "product_bytes", "other_bytes", "weights"):
        assert getattr(cost_now, name) == getattr(held, name), "python -m bench.plan.predictions"


@pytest.mark.parametrize("slug", ["r4-seg-b", "r3-finetune-a", "r3-finetune-d", "mnist1d-cnn"])
def test_flops_are_those_of_the_network_counted_alone(slug: str) -> None:
    recipe = TRAINED[slug]
    prediction = predictions.of_recipe(recipe, "bfloat16")
    assert prediction is not None
    alone = cost.of_network(
        recipe.model,
        num_classes=recipe.num_classes,
        image_size=recipe.image_size,
        model_args=dict(recipe.model_args),
        width=recipe.width,
    )
    assert prediction.flops / prediction.batch == pytest.approx(alone.training_flops)


# ---------------------------------------------------------------- what fits


PLAIN = PredictedStep(
    training_peaks={2: 2 * GIGABYTE, 16: 4 * GIGABYTE, 32: 6 * GIGABYTE},
    evaluation_peaks={2: GIGABYTE, 32: GIGABYTE},
    weights=GIGABYTE // 10,
    kernels=1000,
    flops=10**12,
    product_bytes=10**9,
    other_bytes=10**10,
)
NO_DATA = replace(RECIPES["mnist1d-cnn"], slug="plain")  # 4,000 signals take half a megabyte


@pytest.mark.parametrize(
    ("gigabytes", "images"),
    [(7.3, 0), (7.1, 16), (5.1, 16), (4.7, 11), (3.0, 3), (2.9, 2), (2.7, None), (1.0, None)],
)
def test_the_fewest_parts_that_fit(gigabytes: float, images: int | None) -> None:
    """0.6 GB are reserved and a tenth is added: 32 images need 7.2 GB, 16 need 5, 2 need 2.8."""
    assert predictions.fitting_parts(NO_DATA, PLAIN, gigabytes * GIGABYTE) == images


def test_a_large_evaluation_is_taken_in_parts_too() -> None:
    large = replace(
        PLAIN, training_peaks={2: GIGABYTE, 4: GIGABYTE}, evaluation_peaks={2: 0, 32: 30 * GIGABYTE}
    )
    assert large.peak == 30 * GIGABYTE
    assert predictions.fitting_parts(NO_DATA, large, 40 * GIGABYTE) == 0
    assert predictions.fitting_parts(NO_DATA, large, 8 * GIGABYTE) == 4


def test_data_on_the_device_take_memory_until_they_are_streamed() -> None:
    recipe = RECIPES["r3-byol"]  # 38,400 images of 128 × 128 take 1.76 GB
    held = predictions._data_on_device(recipe, PLAIN, 8 * GIGABYTE)
    assert held == pytest.approx(38_400 * 128 * 128 * 3, rel=0.2)
    assert predictions._data_on_device(recipe, PLAIN, 2 * GIGABYTE) == 0


@pytest.mark.parametrize("slug", TRAINED)
def test_more_memory_never_fits_less(slug: str) -> None:
    for dtype in predictions.DTYPES:
        prediction = predictions.of_recipe(TRAINED[slug], dtype)
        assert prediction is not None
        assert prediction.batch == TRAINED[slug].batch_size
        parts = [
            predictions.fitting_parts(TRAINED[slug], prediction, gigabytes * GIGABYTE)
            for gigabytes in predictions.USUAL_MEMORIES
        ]
        images = [-1 if part is None else part or 10_000 for part in parts]
        assert images == sorted(images)


def test_the_slower_of_launches_and_work_is_the_time() -> None:
    launches = 1000 * predictions.LAUNCH_SECONDS
    assert replace(PLAIN, other_bytes=0).seconds("NVIDIA H200", "bfloat16") == launches
    work = 1e12 / (0.8 * 51e12) + 1e10 / 4.3e12
    assert PLAIN.seconds("NVIDIA H200", "float32") == pytest.approx(work)
    assert PLAIN.seconds("NVIDIA H100", "float32") > work


# ---------------------------------------------------------------- the command


def test_the_plan_says_what_fits_without_torch(tmp_path: Path) -> None:
    words = ["plan", "--gpu-memory", "8", "--dtype", "float32", "--format", "json", "--out", str(tmp_path)]
    program = (
        f"import sys; sys.argv = ['bench', *{words}]\n"
        "from bench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    rows = {row["recipe"]: row for row in json.loads(done.stdout)}
    assert rows["mnist1d-mlp"]["in 8 GB"] == "yes"
    assert rows["r3-seg-b"]["in 8 GB"].startswith("--micro-batch")
    assert rows["r3-seg-b"]["peak GB"] == pytest.approx(13.5, abs=0.1)
    assert rows["r1-sam"]["in 8 GB"] is None
    assert [line for line in done.stderr.splitlines() if line.startswith(("8 GB", "24 GB", "80 GB"))]


def test_no_memory_is_predicted_for_small_rehearsals() -> None:
    command = [sys.executable, "-m", "bench", "plan", "--gpu-memory", "8", "--tier", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "--tier smoke" in done.stderr
