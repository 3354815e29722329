"""Every recipe through ``bench run``, at the tier, on the data and with the seeds asked for.

At smoke and gpu tier a figure must beat chance and the majority class by a margin; at full tier on
official data the one-sided 95 % upper bound of our mean must reach the printed value less the margin.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy.stats import t as student

from bench import grading, records
from bench.ledger import load_ledgers
from bench.records import Record
from reference.recipes import RECIPES

# A smoke run is minutes of training: it must only show that the recipe learns what it is given, which
# these margins above the majority class do (top-1 of 10 classes; mIoU of six).
MARGIN = {"classify": 0.10, "segment": 0.05}
TRAINED = [slug for slug, recipe in RECIPES.items() if recipe.task != "automask"]
AUTOMASK = [slug for slug in RECIPES if slug not in TRAINED]
CLAIMS = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}


@pytest.fixture(scope="module")
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = request.config.getoption("--out")
    return Path(chosen) if chosen else tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("slug", TRAINED)
def test_recipe_beats_the_majority_class(slug: str, out: Path, request: pytest.FixtureRequest) -> None:
    option = request.config.getoption
    if option("--tier") == "full":
        pytest.skip("full tier: see test_recipe_reaches_the_printed_figure (-m fullrun)")
    runs = _run(slug, out, request)
    assert len(runs) == option("--seeds")
    for record in runs:
        entry = record.metrics[record.selected]
        value = record.metric(entry["primary"])
        assert value is not None
        chance = 1 / len(record.data["classes"])
        assert value > max(chance, entry["majority"]) + MARGIN[record.recipe["task"]]
        assert record.data["source"] == (
            "synthetic" if option("--data") == "synthetic" else record.data["source"]
        )
        assert all((out / figure["file"]).stat().st_size > 0 for figure in record.figures)


@pytest.mark.fullrun
@pytest.mark.parametrize("slug", TRAINED)
def test_recipe_reaches_the_printed_figure(slug: str, out: Path, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--data") == "synthetic":
        pytest.skip("printed figures are of the official data: give --data DIR")
    runs = _run(slug, out, request)
    counted = [r for r in runs if r.data["source"] == "official" and not r.deviations]
    if not counted:
        pytest.skip(
            f"{runs[0].data['source']} data or deviations: the printed figure is not asserted on them"
        )
    claim = CLAIMS[slug]
    values = [value for r in counted if (value := r.metric(claim.metric)) is not None]
    printed = float(claim.value) / (100 if claim.unit == "percent" else 1)
    sigma0, _ = grading.prior_sigma(claim.metric, claim.n, printed)
    margin = grading.margin(
        claim.metric, claim.n, sigma0, grading.rounding_halfwidth(claim.value, claim.unit)
    )
    spread, nu = grading.pooled_sigma(values, sigma0)
    upper = statistics.fmean(values) + student.ppf(0.95, nu) * spread / math.sqrt(len(values))
    assert upper >= printed - margin, f"{values} against {claim.value}"


@pytest.mark.parametrize("slug", [*AUTOMASK, *(pytest.param(s, marks=pytest.mark.fullrun) for s in AUTOMASK)])
def test_automatic_masks_are_found(slug: str, out: Path, request: pytest.FixtureRequest) -> None:
    """Published weights find some mask on every image, and are sure of it."""
    for record in _run(slug, out, request):
        counts = [m["value"] for n, m in record.metrics["final"]["metrics"].items() if n.startswith("masks_")]
        assert counts
        assert min(counts) >= 1
        assert record.metric("predicted_iou") > dict(RECIPES[slug].model_args)["pred_iou_thresh"]
        assert all((out / figure["file"]).stat().st_size > 0 for figure in record.figures)


def test_tables_are_written_from_the_records(out: Path, request: pytest.FixtureRequest) -> None:
    if not (out / "records").is_dir():
        pytest.skip("no run left a record in this selection")
    done = _bench("report", "--out", str(out))
    assert done.returncode == 0, done.stderr
    page = (out / "reports" / "r4.md").read_text(encoding="utf-8")
    assert "0.785600" in page
    assert "0.710615" in page
    assert _bench("report", "--out", str(out), "--check").returncode == 0


STARTED = time.monotonic()


def _run(slug: str, out: Path, request: pytest.FixtureRequest) -> list[Record]:
    """The ok records of ``slug`` after ``bench run``; skips where data, weights or hours are lacking."""
    option = request.config.getoption
    hours = option("--gpu-hours")
    if hours is not None and time.monotonic() - STARTED > hours * 3600:
        pytest.skip(f"not run: budget: the {hours:g} hours of --gpu-hours are spent")
    words = ["run", slug, "--tier", option("--tier"), "--data", option("--data")]
    words += ["--seeds", str(option("--seeds")), "--device", option("--device"), "--out", str(out)]
    words += ["--init", option("--init")] if option("--init") else []
    words += ["--weights", str(option("--weights"))] if option("--weights") else []
    done = _bench(*words)
    if done.returncode == 2 and "not run:" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    found = [r for r in records.read_all(out) if r.slug == slug and r.status == "ok"]
    return [r for r in found if r.tier == option("--tier") and r.seed < option("--seeds")]


def _bench(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command; what it prints goes where pytest's own output goes, so that ``-s`` shows progress."""
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
