"""Records of runs that never were, for suites about tables: every value is the test's own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.runs import provenance, records, starts, tiers
from bench.runs.records import Record
from reference.data.dataset import OFFICIAL_PALETTE
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe


def put(
    out: Path,
    slug: str,
    value: float | None,
    *,
    seed: int = 0,
    tier: str = "smoke",
    source: str = "synthetic",
    name: str = "",
    attempt: int = 1,
    status: str = "ok",
    classes: Sequence[str] = (*OFFICIAL_PALETTE.classes, "unknown"),
    figures: list[dict[str, str]] | None = None,
    **changes: Any,
) -> Record:
    """Write a record with its per-image results into ``out``, of a segmentation with a file as its picture.

    Args:
        name: of the data, if it is not the usual one of its source.
        figures: pictures that the test has drawn itself.
    """
    recipe, deviations = tiers.apply(RECIPES[slug], tier)
    segment, n = recipe.task == "segment", 20
    metric, ok = "miou" if segment else "top1", status == "ok"
    counts = (None, None) if segment or value is None else (round(value * n), n)
    scores = {metric: dict(zip(("value", "numerator", "denominator"), (value, *counts), strict=True))}
    for index in range(6 if segment else 0):
        scores[f"iou_{index}"] = {"value": value, "numerator": 1, "denominator": 2}
    entry = {"epoch": 4, "loss": 0.5, "majority": 0.1, "primary": metric, "metrics": scores}
    identity = f"{slug} {tier} {source} {seed} {name}"
    run_id = hashlib.sha256(identity.encode()).hexdigest()[:16]
    if figures is None:
        figures = [_picture(out, slug, f"{run_id}-{attempt}")] if ok and segment else []
    record = Record(
        run_id=run_id,
        attempt=attempt,
        slug=slug,
        claims=(slug,),
        tier=tier,
        status=status,
        reason="" if ok else "loss is nan | in epoch 3",
        seed=seed,
        recipe=json.loads(records.canonical(dataclasses.asdict(recipe))),
        recipe_hash="",
        assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
        deviations=[dataclasses.asdict(d) for d in deviations],
        numerics={"device": "cpu", "dtype": "float32", "channels_last": False, "compiled": False},
        data={
            "role": recipe.data,
            "source": source,
            "name": name or ("dubai" if source == "stand-in" else source),
            "manifest": f"{source} {name} {recipe.data} {recipe.image_size}",
            "classes": list(classes) if segment else [f"c{i}" for i in range(10)],
            "scored": list(range(6)),
            "train": 64,
            "val": n,
            "unique_val": n,
            "note": "as a test has it",
        },
        initial_weights={"from": recipe.init, "hash": "", **start_of(recipe, tier)},
        provenance={
            "commit": "0123456789abcdef" * 3,
            "dirty": False,
            "device": "a processor",
            "reference_hash": provenance.reference_hash(),
        },
        metrics={"best": entry, "final": entry} if ok else {},
        confusion=[],
        curves={},
        weights_hash=hashlib.sha256(f"{run_id} {attempt}".encode()).hexdigest(),
        parameters=1_234_567,
        throughput={"samples_per_second": 321.5},
        peak_memory=1,
        wall_seconds=1.0,
        device_seconds=0.0,
        segments=[],
        figures=figures,
        notes=[],
        started="2031-05-06T07:08:09+00:00",
    )
    record = replace(record, **changes)
    path = records.path_of(out, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record), encoding="utf-8")
    if ok:
        rng = np.random.default_rng(seed)
        # right on most pixels, but where the figure is no better than guessing
        right = 60 * np.eye(7, dtype=np.int64) if value is not None and value > 0.15 else 0
        per_image = rng.integers(1, 9, (n, 7, 7)) + right if segment else np.arange(n)
        np.savez_compressed(
            path.with_suffix(".npz"), per_image=per_image, targets=np.arange(0), ids=np.arange(n).astype(str)
        )
    return record


def start_of(recipe: Recipe, tier: str) -> dict[str, str]:
    """The hashes of what a recipe starts from at a tier, as a run of today would record them."""
    made_by = starts.present_recipe_hash(recipe.init, tier)
    return {"start": made_by or starts.hash_of_weights(recipe.init), "start_recipe": made_by}


def _picture(out: Path, slug: str, name: str) -> dict[str, str]:
    path = out / "figures" / slug / f"{name}-masks.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = tuple(hashlib.sha256(f"picture of {name}".encode()).digest()[:3])
    Image.new("RGB", (4, 3), colour).save(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"kind": "masks", "file": path.relative_to(out).as_posix(), "sha256": sha256}
