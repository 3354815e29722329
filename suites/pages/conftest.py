"""A folder of records with real pictures, and its page; written by code, so it needs no published run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest

from bench import audit
from bench.claims.ledger import load_ledgers
from bench.grading.grader import GradedClaim, grade_all
from bench.pages import build
from bench.runs import records, tiers
from bench.runs.records import Record
from reference import visualize
from reference.data.dataset import OFFICIAL_PALETTE
from reference.recipes import RECIPES

IMAGES = 20
SELECTED = 4
"""The epoch that made-up records select."""


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
    recipe, _ = tiers.apply(RECIPES[slug], tier)
    segment = recipe.task == "segment"
    metric = "miou" if segment else "top1"
    written = []
    for seed, given in enumerate(values):
        value = given if segment else round(given * IMAGES) / IMAGES
        curves = {"val_loss": [0.9, 0.5], f"val_{metric}": [value, value]}
        own: dict[str, Any] = {"name": name or source, "curves": curves} | changes
        run_id = hashlib.sha256(f"{slug} {tier} {source} {name} {seed} {changes}".encode()).hexdigest()[:16]
        drawn = _draw(out, recipe, run_id, f"{tier} tier, {source} data") if pictures and seed == 0 else []
        record = made_up.put(
            out, slug, value, seed=seed, tier=tier, source=source, figures=drawn, run_id=run_id, **own
        )
        written.append(record)
    return written


def shown_epochs(recipe: Any) -> list[int]:
    """The epochs of a strip: the report's, and the selected one."""
    return sorted({*recipe.mask_epochs, SELECTED})


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
            predictions={epoch: _masks(epoch) for epoch in shown_epochs(recipe)},
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
            **({"epochs": ", ".join(map(str, shown_epochs(recipe)))} if kind == "masks" else {}),
        }
        for kind, path in drawn
    ]


@pytest.fixture(scope="package", autouse=True)
def _answers_are_kept(kept_answers: None) -> None:
    """No page depends on who computed a check's answer."""


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
    build.write_all(folder, load_ledgers())
    return folder


@pytest.fixture(scope="session")
def rows(out: Path) -> list[GradedClaim]:
    """Every claim, graded from that folder."""
    ledgers = load_ledgers()
    flags = audit.flags(audit.audit(ledgers))
    return grade_all(ledgers, records.read_all(out), alignment_green=False, folder=out, flags=flags)


@pytest.fixture(scope="session")
def epochs_shown() -> tuple[list[int], int]:
    """The epochs that the strip of r4-seg-b shows, and the selected one."""
    return shown_epochs(tiers.apply(RECIPES["r4-seg-b"], "smoke")[0]), SELECTED


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
