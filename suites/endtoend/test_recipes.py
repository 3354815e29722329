"""The main job: MNIST-1D graded from its official data, then recipes through ``bench run``.

MNIST-1D's data are drawn by code, so its verdicts are decided on any machine; its means must lie where those
of earlier runs lay. The other recipes run at the tier, on the data and with the seeds asked for.

A figure of a whole network must beat chance and the majority class by a margin, and a pre-training must not
collapse; what a frozen backbone or another's pre-training is worth is a result, not asserted. As printed and
on official data the one-sided 95 % upper bound of our mean must reach the printed value less the margin.

With ``--gpu-hours`` the recipes are those that settle most claims in that time on this device, and with
``--tier auto`` at the fullest tier at which any fits.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.cli.options import mask_values_of
from bench.cli.verdict_lines import lines_of
from bench.grading.spread import expected_spread, margin, pooled_sigma
from bench.plan import nightly
from bench.plan.hours import needs
from bench.runs import records, run_plan, tiers
from bench.runs.records import Record
from reference.data import READERS
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.numerics import Numerics

# A smoke run is minutes of training: it must only show that the recipe learns what it is given, which
# these margins above the majority class do (top-1 of 10 classes; mIoU of six).
MARGIN = {"classify": 0.10, "segment": 0.05}
# Two halves of about the same time: on a CPU they run side by side, each on half of the cores.
QUICK_HALVES = (("r3-byol", "r3-finetune-c"), ("r4-classify", "r4-seg-a", "r4-seg-b", "r3-seg-b"))
QUICK = tuple(slug for half in QUICK_HALVES for slug in half)
# A run of all suites trains this one, whole. tox -e quick runs all of them for a few epochs, which show that
# losses fall and embeddings spread; tox -e soak runs them whole, as it runs all recipes.
WHOLE = "r4-seg-b"
# MNIST-1D: bounds of the mean over three seeds, far outside what seeds scatter: a broken network or protocol.
# In this order two workers end at about the same time, and the first verdict comes soon.
MNIST1D = {
    "mnist1d-logistic": (0.305, 0.327),
    "mnist1d-cnn": (0.90, 0.96),
    "mnist1d-mlp": (0.60, 0.70),
}
MNIST1D_SHUFFLED = {
    "mnist1d-shuffled-logistic": (0.305, 0.327),
    "mnist1d-shuffled-mlp": (0.60, 0.70),
    "mnist1d-shuffled-cnn": (0.50, 0.64),
}
# Recipes of which some minutes at smoke tier show only that the loss falls.
SLOW_LEARNERS = {
    "r3-classify-b": "mixup, and a rate meant for pretrained weights, which smoke tier does without",
    "r3-finetune-a": "BYOL's crops and colours leave little of 260 small images in 20 epochs from scratch",
    "r5-finetune-a": "as r3-finetune-a",
    **dict.fromkeys(
        ("r1-seg-a", "r3-seg-a", "r5-seg-a", "ablation-r3-seg-a-flips"),
        "a VGG16 without BatchNorm and a rate for pretrained weights: from scratch it stays with one class",
    ),
    "ablation-r3-classify-b-scratch": "as r3-classify-b, which smoke tier starts from scratch too",
    "supervised": "380 steps on crops of 8 % and more of 64 px leave a ResNet50 at chance on 30 images",
}
CLAIMS = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}


NIGHT = pytest.StashKey[nightly.Night]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "slug" not in metafunc.fixturenames:
        return
    option = metafunc.config.getoption
    of_mnist1d = {*MNIST1D, *MNIST1D_SHUFFLED}
    slugs = [s for s in (RECIPES if option("--recipes") == "all" else QUICK) if s not in of_mnist1d]
    if _of_all_suites(metafunc.config):
        slugs = [WHOLE]
    if _only_mnist1d(metafunc.config):
        slugs = []
    elif option("--gpu-hours") is not None:
        slugs = _night(metafunc.config, slugs).slugs
    elif option("--tier") == "auto":
        pytest.exit("--tier auto: say how long with --gpu-hours, or name a tier", returncode=2)
    metafunc.parametrize("slug", slugs)


def _of_all_suites(config: pytest.Config) -> bool:
    """Whether this is part of a run of all suites; tox -e quick gives ``--out`` and runs more."""
    option = config.getoption
    rehearsed = (
        option("--recipes") == "quick" and option("--tier") == "smoke" and option("--gpu-hours") is None
    )
    return rehearsed and option("--out") is None and "fullrun" not in config.option.markexpr


def _only_mnist1d(config: pytest.Config) -> bool:
    """Whether a full run was asked for without data or hours: then drawn official data alone can be run."""
    option = config.getoption
    asked = "fullrun" in config.option.markexpr
    return asked and option("--data") == "synthetic" and option("--gpu-hours") is None


def _night(config: pytest.Config, slugs: list[str]) -> nightly.Night:
    """What the hours are enough for, once a session; ends it in one line where that is nothing."""
    if NIGHT not in config.stash:
        option, out = config.getoption, Path(config.getoption("--out") or "runs")
        tier, data = option("--tier"), option("--data")
        try:
            kind = run_plan.choose_device(option("--device"))
            night = nightly.pick(
                {slug: RECIPES[slug] for slug in slugs},
                CLAIMS.values(),
                hours=option("--gpu-hours"),
                tiers=nightly.FULLEST_FIRST if tier == "auto" else (tier,),
                seeds=option("--seeds"),
                basis=nightly.basis_here(kind, "float32", (out, config.rootpath / "results")),
                data=None if data == "synthetic" else Path(data),
                weights=option("--weights"),
                init=option("--init"),
                numerics=Numerics(device=kind, deterministic=kind == "cpu"),
                cache=Path(os.environ.get("BENCH_CACHE") or out / "cache"),
                mask_values=mask_values_of(os.environ.get("BENCH_MASK_VALUES")),
            )
        except InputError as error:
            pytest.exit(str(error), returncode=2)
        for line in night.lines:
            print(line)
        config.stash[NIGHT] = night
    return config.stash[NIGHT]


def _tier(request: pytest.FixtureRequest) -> str:
    night = request.config.stash.get(NIGHT, None)
    return request.config.getoption("--tier") if night is None else night.tier


@pytest.fixture(scope="module")
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = request.config.getoption("--out")
    return Path(chosen) if chosen else tmp_path_factory.mktemp("runs")


def test_mnist1d_is_graded(out: Path, request: pytest.FixtureRequest) -> None:
    """Figures of the published table, three seeds each, decided from the official data.

    A run of all suites leaves the CNN and the MLP, which take longest, to tox -e quick.
    """
    logistic = {"mnist1d-logistic": MNIST1D["mnist1d-logistic"]}
    _graded(out, logistic if _of_all_suites(request.config) else MNIST1D)


@pytest.mark.fullrun
def test_mnist1d_is_graded_whole(out: Path, request: pytest.FixtureRequest) -> None:
    """Both rows of the table, but for the GRU, which takes minutes."""
    if _only_mnist1d(request.config):
        print("\n" + "\n".join(_what_data_would_add()))
    _graded(out, MNIST1D | MNIST1D_SHUFFLED)


def _graded(out: Path, expected: dict[str, tuple[float, float]]) -> None:
    """Run those recipes and check mean figures, training accuracy and that each claim has a verdict."""
    done = _bench("run", *expected, "--out", str(out))
    assert done.returncode == 0, done.stderr
    of_slug: dict[str, list[Record]] = {slug: [] for slug in expected}
    for record in records.read_all(out):
        if record.slug in expected and record.status == "ok" and record.tier == "full":
            of_slug[record.slug].append(record)
    for slug, (low, high) in expected.items():
        runs = of_slug[slug]
        assert {record.seed for record in runs} >= {0, 1, 2}
        assert all(record.data["source"] == "official" and not record.deviations for record in runs)
        assert low < statistics.fmean(record.metric("top1") or 0.0 for record in runs) < high
        assert all(len(record.curves["val_top1"]) == 25 for record in runs)
        if slug == "mnist1d-cnn":
            assert min(record.curves["train_top1"][-1] or 0.0 for record in runs) > 0.98
        assert any(line.strip().startswith(f"{slug}: printed") for line in lines_of(slug, out))


def _what_data_would_add() -> list[str]:
    """By data set, how many claims its official data would settle."""
    lines = [
        "MNIST-1D alone: its data are drawn by code. Official data, with --data DIR --gpu-hours H, would add:"
    ]
    for role in READERS:
        slugs = {slug for slug, recipe in RECIPES.items() if recipe.data == role}
        settled = [claim for claim in CLAIMS.values() if slugs.intersection(needs(claim, CLAIMS))]
        lines.append(f"  {role}: runs for {len(settled)} claims")
    return lines


def test_quick_rehearses_every_task() -> None:
    """A pre-training with the fine-tuning that starts from it, a classifier, and the three segmenters."""
    assert {RECIPES[slug].task for slug in QUICK} == {"byol", "classify", "segment"}
    assert RECIPES["r3-finetune-c"].init == "run:r3-byol"
    models = {RECIPES[slug].model for slug in QUICK if RECIPES[slug].task == "segment"}
    assert {name.partition("_")[0] for name in models} == {"fcn32s", "fcn8s", "deeplabv3"}


def test_recipe_learns(slug: str, out: Path, request: pytest.FixtureRequest) -> None:
    option = request.config.getoption
    if option("--tier") == "full":
        pytest.skip("full tier: see test_recipe_reaches_the_printed_figure (-m fullrun)")
    runs = _run(slug, out, request)
    automask = RECIPES[slug].task == "automask"  # of a published network: nothing learns, nothing is drawn
    assert len(runs) == (1 if automask else option("--seeds"))
    (_found_masks if automask else _learnt)(runs)
    for record in runs:
        assert record.data["source"] == (
            "synthetic" if option("--data") == "synthetic" else record.data["source"]
        )
        assert all((out / figure["file"]).stat().st_size > 0 for figure in record.figures)


def _found_masks(runs: list[Record]) -> None:
    """Some on every image, of which the network is as sure as its threshold asks."""
    for record in runs:
        metrics, settings = record.metrics["final"]["metrics"], dict(RECIPES[record.slug].model_args)
        counts = [entry["value"] for name, entry in metrics.items() if name.startswith("masks_")]
        assert counts
        assert min(counts) >= 1
        assert metrics["predicted_iou"]["value"] > settings["pred_iou_thresh"]


def _learnt(runs: list[Record]) -> None:
    """Every loss falls and no embedding collapses; the mean figure over seeds is no guess.

    Of a shortened schedule only the loss is asked: a few epochs teach little.

    Of the mean, since a single seed's figure on 100 images has a standard error of .04.
    """
    recipe, over = runs[0].recipe, []
    whole = tiers.TIERS[runs[0].tier](RECIPES[recipe["slug"]])
    shortened = sum(phase["epochs"] for phase in recipe["phases"]) < sum(p.epochs for p in whole.phases)
    for record in runs:
        losses = record.curves["train_loss"]
        assert losses[-1] < losses[0]
        entry = record.metrics[record.selected]
        value = record.metric("embedding_std" if recipe["task"] == "byol" else entry["primary"])
        assert value is not None
        if recipe["task"] == "byol":
            assert value > 0.1 / math.sqrt(8 * 4 * recipe["width"])
        else:
            over.append(value - max(_chance(record), entry["majority"]))
    if over and not shortened and recipe["init"] == "scratch" and recipe["slug"] not in SLOW_LEARNERS:
        assert statistics.fmean(over) > MARGIN[recipe["task"]]


def _chance(record: Record) -> float:
    """The figure of answering every class equally often: top-1 1/C; IoU of a class of share p from that."""
    q = 1 / len(record.data["classes"])
    if record.recipe["task"] == "classify":
        return q
    truth = np.array(record.confusion).sum(axis=1)
    p = (truth / truth.sum())[record.data["scored"]]
    return float((p * q / (p + q - p * q)).mean())


@pytest.mark.fullrun
def test_recipe_reaches_the_printed_figure(slug: str, out: Path, request: pytest.FixtureRequest) -> None:
    """Or learns, where no printed figure is of such a run: on other data, scaled down, or of no report."""
    runs = _run(slug, out, request)
    counted = [r for r in runs if r.data["source"] == "official" and not r.deviations]
    if not counted or slug not in CLAIMS or CLAIMS[slug].value is None:
        (_found_masks if RECIPES[slug].task == "automask" else _learnt)(runs)
        return
    claim = CLAIMS[slug]
    values = [value for r in counted if (value := r.metric(str(claim.metric_name))) is not None]
    upper, least = _reached(claim, values)
    assert upper >= least, f"{values} against {claim.value}"


def _reached(claim: Claim, values: Sequence[float]) -> tuple[float, float]:
    """The one-sided 95 % upper bound of our mean, and the printed value less the margin."""
    printed, metric = float(claim.fraction), str(claim.metric_name)
    prior = expected_spread(metric, claim.n, printed)
    sigma, nu = pooled_sigma((np.array(values),), prior.sigma0, prior.nu0)
    upper = statistics.fmean(values) + float(student.ppf(0.95, nu) * sigma) / math.sqrt(len(values))
    return upper, printed - float(margin(metric, claim.n, printed, float(claim.half_step)))


@pytest.mark.parametrize(
    ("claim", "values", "reached"),
    [
        ("r4-classify", [0.7856], True),
        ("r4-classify", [0.76, 0.765, 0.77], True),
        ("r4-classify", [0.70, 0.71, 0.69], False),
        ("r5-finetune-c", [0.61, 0.60, 0.62], True),
        ("r5-finetune-c", [0.45, 0.46, 0.44], False),
        ("r4-seg-b", [0.69, 0.695, 0.70], True),
        ("r4-seg-b", [0.64, 0.65, 0.645], False),
    ],
)
def test_the_nightlys_threshold_is_the_printed_value_less_the_margin(
    claim: str, values: list[float], reached: bool
) -> None:
    """What the night asserts, on figures made up: it needs official data, which no other job has."""
    upper, least = _reached(CLAIMS[claim], values)
    assert (upper >= least) is reached
    assert upper > statistics.fmean(values)
    assert least < float(CLAIMS[claim].fraction)


def test_tables_are_written_from_the_records(out: Path, request: pytest.FixtureRequest) -> None:
    if not (out / "records").is_dir():
        pytest.skip("no run left a record in this selection")
    done = _bench("report", "--out", str(out))
    assert done.returncode == 0, done.stderr
    page = (out / "reports" / "r4.md").read_text(encoding="utf-8")
    assert "0.785600" in page
    assert "0.710615" in page
    page = (out / "reports" / "mnist1d.md").read_text(encoding="utf-8")
    assert all(printed in page for printed in ("32 %", "68 %", "94 %"))
    assert _bench("report", "--out", str(out), "--check").returncode == 0


STARTED = time.monotonic()


_done: dict[str, subprocess.CompletedProcess[str]] = {}


def _run(slug: str, out: Path, request: pytest.FixtureRequest) -> list[Record]:
    """The ok records of ``slug`` after ``bench run``; skips where data, weights or hours are lacking."""
    option = request.config.getoption
    hours = option("--gpu-hours")
    if hours is not None and time.monotonic() - STARTED > hours * 3600:
        pytest.skip(f"not run: budget: the {hours:g} hours of --gpu-hours are spent")
    if slug not in _done:
        rest = [item.callspec.params["slug"] for item in request.session.items if _is_of_a_recipe(item)]
        alone = hours is not None or _is_a_worker()
        slugs = [slug] if alone else list(dict.fromkeys(s for s in rest if s not in _done))
        words = ["--tier", _tier(request), "--data", option("--data")]
        words += ["--seeds", str(option("--seeds")), "--device", option("--device"), "--out", str(out)]
        words += ["--init", option("--init")] if option("--init") else []
        words += ["--weights", str(option("--weights"))] if option("--weights") else []
        epochs = [] if option("--epochs") is None else ["--epochs", str(option("--epochs"))]
        parts = _side_by_side(slugs, option("--device"))
        with ThreadPoolExecutor(max_workers=len(parts)) as pool:
            ends = pool.map(
                lambda part: _bench("run", *part, *words, *epochs, shared_by=len(parts)),
                parts,
            )
            for part, end in zip(parts, ends, strict=True):
                _done.update(dict.fromkeys(part, end))
    done = _done[slug]
    lacking = [line for line in done.stderr.splitlines() if line.startswith(f"{slug}: not run:")]
    if lacking:
        pytest.skip(lacking[0])
    found = [r for r in records.read_all(out) if r.slug == slug and r.status == "ok"]
    found = [r for r in found if r.tier == _tier(request) and r.seed < option("--seeds")]
    # One process runs many recipes, so its exit code is not this one's: every seed must have ended well.
    seeds = 1 if RECIPES[slug].task == "automask" else option("--seeds")
    assert {r.seed for r in found} == set(range(seeds)), done.stderr
    return found


def _is_a_worker() -> bool:
    """Whether another worker of pytest-xdist has the other core: it may have the other recipes too."""
    return "PYTEST_XDIST_WORKER" in os.environ


def _is_of_a_recipe(item: pytest.Item) -> bool:
    skipped = any(mark.args == () or mark.kwargs for mark in item.iter_markers("skip"))
    return getattr(item, "originalname", "") in RUNNERS and not skipped


RUNNERS = (test_recipe_learns.__name__, test_recipe_reaches_the_printed_figure.__name__)


def _side_by_side(slugs: list[str], device: str) -> list[list[str]]:
    """The recipes in two halves, none of which starts from a run of the other; in one where that is no gain.

    Two processes of one thread each do more in a second than one of two threads, on networks this narrow.
    """
    cores = os.cpu_count() or 1
    if cores < 2 or not (device == "cpu" or (device == "auto" and not torch.cuda.is_available())):
        return [slugs]
    family = {"miniimagenet", "officehome"}
    first = set(QUICK_HALVES[0])
    if not set(slugs) <= set(QUICK):
        first = {slug for slug in slugs if RECIPES[slug].data in family}
    halves = [s for s in slugs if s in first], [s for s in slugs if s not in first]
    return [half for half in halves if half]


def _bench(*words: str, shared_by: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the command; what it prints goes where pytest's own output goes, so that ``-s`` shows progress."""
    command = [sys.executable, "-m", "bench", *words]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // shared_by))} if shared_by > 1 else {}
    environment = {**os.environ, **threads}
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, env=environment)
