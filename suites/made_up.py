"""Records of runs that never were, for suites about tables: every value is the test's own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
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

IMAGES = {"classification50": 2500, "landcover": 257, "officehome": 406, "miniimagenet": 400}
IMAGES |= dict.fromkeys(("mnist1d", "mnist1d-shuffled"), 1000)
"""Validation images of the reports' official data."""


def a_run(
    slug: str,
    value: float | None,
    *,
    seed: int = 0,
    tier: str = "full",
    source: str = "official",
    name: str = "",
    n: int | None = None,
    ious: Sequence[float | None] = (),
    epoch: int = 9,
    majority: float = 0.05,
    attempt: int = 1,
    status: str = "ok",
    numerics: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    options: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    **changes: Any,
) -> Record:
    """A record of a recipe as it is now; ``value`` is its figure at the selected epoch.

    Args:
        name: of the data, if it is not the usual one of its source.
        n: validation images; by default the official number, or 16 of other data.
        ious: one IoU a class.
        options: changes the recipe as a user's options would, which makes deviations.
        changes: fields of the record that are to be other than made up here.
    """
    scaled, deviations = tiers.apply(RECIPES[slug], tier)
    recipe = options(scaled)
    deviations += tiers.deviations(scaled, recipe, "asked for")
    segment, ok = recipe.task == "segment", status == "ok"
    n = n or (IMAGES[recipe.data] if source == "official" else 16)
    primary = "miou" if segment else "top1"
    hits = None if segment or value is None else round(value * n)
    scores = {primary: {"value": value, "numerator": hits, "denominator": None if hits is None else n}}
    scores |= {f"iou_{i}": {"value": iou, "numerator": 1, "denominator": 2} for i, iou in enumerate(ious)}
    entry = {"epoch": epoch, "loss": 0.5, "majority": majority, "primary": primary, "metrics": scores}
    names = [*OFFICIAL_PALETTE.classes, "unknown"] if segment else [f"c{i}" for i in range(50)]
    identity = f"{slug} {tier} {source} {name} {seed} {deviations} {numerics}"
    record = Record(
        run_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        attempt=attempt,
        slug=slug,
        claims=(slug,),
        tier=tier,
        status=status,
        reason="" if ok else "loss is nan | in epoch 3",
        seed=seed,
        recipe=json.loads(records.canonical(tiers.as_dict(recipe))),
        recipe_hash="f" * 64,
        assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
        deviations=[dataclasses.asdict(d) for d in deviations],
        numerics={"device": "cpu", "dtype": "float32", "channels_last": False, "compiled": False}
        | dict(numerics or {}),
        data={
            "role": recipe.data,
            "source": source,
            "name": name or source,
            "manifest": f"{source} {name} {recipe.data} {recipe.image_size}",
            "classes": list(classes or names),
            "scored": list(range(6 if segment else 50)),
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
        curves={"train_loss": [1.0, 0.5], f"val_{primary}": [0.1, value or 0.0]} if ok else {},
        weights_hash=hashlib.sha256(f"{identity} {attempt} {value}".encode()).hexdigest(),
        parameters=1_234_567,
        throughput={"samples_per_second": 321.5},
        peak_memory=1,
        wall_seconds=1.0,
        device_seconds=0.0,
        segments=[],
        figures=[],
        notes=[],
        started="2031-05-06T07:08:09+00:00",
    )
    return replace(record, **changes)


def write(folder: Path, record: Record) -> Path:
    """Write a record where a run would; returns its file."""
    path = records.path_of(folder, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record), encoding="utf-8")
    return path


def put(
    out: Path,
    slug: str,
    value: float | None,
    *,
    tier: str = "smoke",
    source: str = "synthetic",
    name: str = "",
    figures: list[dict[str, str]] | None = None,
    **changes: Any,
) -> Record:
    """Write a record of 20 images and their results into ``out``; a segmentation's has a file as its picture.

    Args:
        figures: pictures that the test has drawn itself.
        changes: as of ``a_run``.
    """
    segment = RECIPES[slug].task == "segment"
    common: dict[str, Any] = {
        "n": 20,
        "name": name or ("dubai" if source == "stand-in" else source),
        "ious": [value] * (6 if segment else 0),
        "classes": None if segment else [f"c{i}" for i in range(10)],
        "epoch": 4,
        "majority": 0.1,
        "curves": {},
    }
    record = a_run(slug, value, tier=tier, source=source, **(common | changes))
    if figures is None and record.status == "ok" and segment:
        figures = [_picture(out, slug, record.name)]
    record = replace(record, figures=figures or [])
    path = write(out, record)
    if record.status == "ok":
        rng = np.random.default_rng(record.seed)
        # right on most pixels, but where the figure is no better than guessing
        right = 60 * np.eye(7, dtype=np.int64) if value is not None and value > 0.15 else 0
        per_image = rng.integers(1, 9, (20, 7, 7)) + right if segment else np.arange(20)
        np.savez_compressed(
            path.with_suffix(".npz"),
            per_image=per_image,
            targets=np.arange(0),
            ids=np.arange(20).astype(str),
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
