"""A folder of records with real pictures, and its page; written by code, so it needs no published run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import audit, provenance, records, tables, tiers
from bench.ledger import load_ledgers
from bench.records import Record
from bench.verdicts import Row, grade_all
from reference import visualize
from reference.data.dataset import OFFICIAL_PALETTE
from reference.recipes import RECIPES

CLASSES = (*OFFICIAL_PALETTE.classes, "unknown")
IMAGES = 20


def _put(
    out: Path,
    slug: str,
    values: list[float],
    *,
    tier: str = "smoke",
    source: str = "synthetic",
    name: str = "",
    pictures: bool = True,
    **changes: Any,
) -> list[Record]:
    """One record for each value, seeds 0, 1, …; the first one's pictures lie in the folder."""
    recipe, deviations = tiers.apply(RECIPES[slug], tier)
    segment = recipe.task == "segment"
    metric = "miou" if segment else "top1"
    written = []
    for seed, value in enumerate(values):
        right = round(value * IMAGES)
        counts = (None, None) if segment else (right, IMAGES)
        value = value if segment else right / IMAGES
        figures = {metric: dict(zip(("value", "numerator", "denominator"), (value, *counts), strict=True))}
        for index in range(6 if segment else 0):
            figures[f"iou_{index}"] = {"value": value, "numerator": 1, "denominator": 2}
        entry = {"epoch": 4, "loss": 0.5, "majority": 0.1, "primary": metric, "metrics": figures}
        run_id = hashlib.sha256(f"{slug} {tier} {source} {name} {seed} {changes}".encode()).hexdigest()[:16]
        drawn = _draw(out, recipe, run_id, f"{tier} tier, {source} data") if pictures and seed == 0 else []
        record = Record(
            run_id=run_id,
            attempt=1,
            slug=slug,
            claims=(slug,),
            tier=tier,
            status="ok",
            reason="",
            seed=seed,
            recipe=json.loads(records.canonical(dataclasses.asdict(recipe))),
            recipe_hash="",
            assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
            deviations=[dataclasses.asdict(d) for d in deviations],
            numerics={"device": "cpu", "dtype": "float32", "channels_last": False, "compiled": False},
            data={
                "role": recipe.data,
                "source": source,
                "name": name or source,
                "manifest": f"{source} {name} {recipe.data} {recipe.image_size}",
                "classes": list(CLASSES) if segment else [f"c{i}" for i in range(10)],
                "scored": list(range(6)),
                "train": 64,
                "val": IMAGES,
                "unique_val": IMAGES,
                "note": "as a test has it",
            },
            initial_weights={"from": recipe.init, "hash": ""},
            provenance={
                "commit": "0123456789abcdef" * 3,
                "dirty": False,
                "device": "a processor",
                "reference_hash": provenance.reference_hash(),
            },
            metrics={"best": entry, "final": entry},
            confusion=[],
            curves={"val_loss": [0.9, 0.5], f"val_{metric}": [value, value]},
            weights_hash=hashlib.sha256(run_id.encode()).hexdigest(),
            parameters=1_234_567,
            throughput={"samples_per_second": 321.5},
            peak_memory=1,
            wall_seconds=1.0,
            device_seconds=0.0,
            segments=[],
            figures=drawn,
            notes=[],
            started="2031-05-06T07:08:09+00:00",
        )
        record = replace(record, **changes)
        path = records.path_of(out, record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(records.dumps(record), encoding="utf-8")
        rng = np.random.default_rng(seed)
        shape = (IMAGES, len(CLASSES), len(CLASSES))
        np.savez_compressed(
            path.with_suffix(".npz"),
            per_image=rng.integers(1, 9, shape) if segment else np.arange(IMAGES),
            targets=np.arange(0),
            ids=np.arange(IMAGES).astype(str),
        )
        written.append(record)
    return written


def _masks(seed: int) -> np.ndarray:
    """(3, 16, 16) class of each pixel, large patches of several classes."""
    return np.random.default_rng(seed).integers(0, 7, (3, 4, 4)).astype(np.uint8).repeat(4, 1).repeat(4, 2)


def _draw(out: Path, recipe: Any, run_id: str, title: str) -> list[dict[str, str]]:
    folder = out / "figures" / recipe.slug
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [("curves", folder / f"{run_id}-curves.png")]
    values = [0.2, 0.4]
    visualize.curves({"val_loss": values, "val_x": values}, primary="val_x", title=title, path=drawn[0][1])
    if recipe.task == "segment":
        drawn.append(("masks", folder / f"{run_id}-masks.png"))
        visualize.mask_strips(
            images=np.full((3, 16, 16, 3), 99, np.uint8),
            truth=_masks(0),
            predictions={epoch: _masks(epoch) for epoch in recipe.mask_epochs},
            palette=OFFICIAL_PALETTE,
            ids=["a", "b", "c"],
            title=title,
            path=drawn[1][1],
        )
    return [
        {
            "kind": kind,
            "file": path.relative_to(out).as_posix(),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for kind, path in drawn
    ]


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks on synthetic data, one on stand-in and one on official data, one run diverged."""
    folder = tmp_path_factory.mktemp("results")
    _put(folder, "r4-seg-a", [0.30, 0.31, 0.33])
    _put(folder, "r4-seg-b", [0.40, 0.42, 0.43])
    _put(folder, "r4-seg-b", [0.20], source="stand-in", name="dubai")
    _put(folder, "r4-classify", [0.80, 0.75, 0.80], source="official", tier="full")
    _put(folder, "r4-classify", [0.55])
    _put(folder, "r4-classify", [0.1], name="other", status="diverged", reason="loss is nan", metrics={})
    for position in range(30):  # more than a ranking shows at first
        own = {"field": "lr", "printed": "0.1", "used": str(position), "why": "asked for"}
        _put(folder, "r1-finetune-a", [position / 40], pictures=False, deviations=[own])
    tables.write_all(folder, load_ledgers())
    return folder


@pytest.fixture(scope="session")
def rows(out: Path) -> list[Row]:
    """Every claim, graded from that folder."""
    ledgers = load_ledgers()
    flags = audit.flags(audit.audit(ledgers))
    return grade_all(ledgers, records.read_all(out), alignment_green=False, folder=out, flags=flags)


@pytest.fixture(scope="session")
def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def put() -> Callable[..., list[Record]]:
    """``put(folder, slug, [figure of seed 0, …], tier=, source=, …)``."""
    return _put


@pytest.fixture(scope="session")
def masks() -> Callable[[int], np.ndarray]:
    """``masks(epoch)``: what the fixture's segmentation runs predict; 0 is the truth."""
    return _masks
