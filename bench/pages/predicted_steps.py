"""The predicted time of a training step on two GPUs, and what runs there have measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.pages.throughput_page import Cells, si_number, table_text
from bench.plan import predictions
from bench.runs.records import Record
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

INTRODUCTION = """\
## Predicted steps

One training step of every recipe at its printed batch: kernels launched, FLOPs of products, bytes moved and
the most bytes alive, counted on tensors without values. The predicted time is the longer of two. Launches
take kernels × {launch:.0f} µs. Work takes FLOPs at {bf16:.0%} (bfloat16) or {fp32:.0%} (float32) of a large
product's rate, plus bytes at a large copy's rate. A recurrent network is counted step by step, which
cuDNN joins. Nothing of this is measured. A run on such a GPU fills the measured column."""


def predicted_markdown(run_records: Iterable[Record]) -> list[str]:
    """Return the section's parts: an introduction, then one table a number format."""
    share = predictions.PRODUCT_SHARE
    launch = predictions.LAUNCH_SECONDS * 1e6
    parts = [INTRODUCTION.format(launch=launch, bf16=share["bfloat16"], fp32=share["float32"])]
    all_records = list(run_records)
    for dtype in predictions.DTYPES:
        parts += [f"### {dtype}", table_text(*predicted_table(all_records, dtype))]
    return parts


def predicted_table(run_records: Sequence[Record], dtype: str) -> Cells:
    """Return one row for all recipes that cost the same: counts, then predicted and measured times."""
    alike: dict[str, list[Recipe]] = {}
    for recipe in RECIPES.values():
        if predictions.of_recipe(recipe, dtype) is not None:
            alike.setdefault(predictions.settings_hash(recipe), []).append(recipe)
    rows = []
    for recipes in alike.values():
        prediction = predictions.of_recipe(recipes[0], dtype)
        assert prediction is not None
        row = [
            "\n".join(recipe.slug for recipe in recipes),
            str(prediction.batch),
            str(prediction.kernels),
            si_number(prediction.flops),
            si_number(prediction.product_bytes + prediction.other_bytes),
            f"{prediction.peak / predictions.GIGABYTE:.2f}",
        ]
        for gpu in predictions.BANDWIDTHS:
            measured = measured_seconds(recipes, run_records, gpu, dtype)
            row += [_milliseconds(prediction.seconds(gpu, dtype)), _milliseconds(measured)]
        rows.append(row)
    heads = ["recipe", "batch", "kernels", "FLOPs", "bytes", "peak GB"]
    for gpu in predictions.BANDWIDTHS:
        name = gpu.removeprefix("NVIDIA ")
        heads += [f"{name} predicted ms", f"{name} measured ms"]
    return heads, rows


def measured_seconds(
    recipes: Sequence[Recipe], run_records: Sequence[Record], gpu: str, dtype: str
) -> float | None:
    """Return the median time of a step in eager runs at printed sizes on one such GPU; None without any."""
    printed = {recipe.slug: recipe for recipe in recipes}
    seconds = [
        record.recipe["batch_size"] / record.throughput["samples_per_second"]
        for record in run_records
        if record.slug in printed
        and record.status == "ok"
        and record.tier != "smoke"
        and str(record.provenance.get("device", "")).startswith(gpu)
        and record.provenance.get("world_size", 1) == 1
        and record.numerics.get("dtype") == dtype
        and not record.numerics.get("compiled")
        and not record.recipe.get("micro_batch")
        and record.recipe["batch_size"] == printed[record.slug].batch_size
        and record.throughput.get("samples_per_second", 0) > 0
    ]
    return statistics.median(seconds) if seconds else None


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else si_number(1e3 * seconds)
