"""``bench plan``: rates from the nearest measurement there is, and an order worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.plan import hours
from bench.plan.hours import STATED_CEILINGS, STATED_GPU, STATED_SHARES, Basis, Price
from bench.throughput import results
from bench.throughput.results import Result, Timing
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe

ROOT = Path(__file__).parents[2]
H200 = {"cpu": "A Processor", "cores": 4, "gpu": "NVIDIA H200", "gpus": 1}
ON_GPU = {"device": "cuda", "threads": 4, "dtype": "bfloat16", "pass": "train", "width": 64}
CLASSIFY = RECIPES["r4-classify"]


def recipe(slug: str, *, epochs: int = 1, init: str = "scratch", **changes: Any) -> Recipe:
    phase = Phase(optimizer="sgd", lr=0.1, epochs=epochs)
    return replace(CLASSIFY, slug=slug, init=init, phases=(phase,), mask_epochs=(), **changes)


def claim(name: str, recipe: str | None = None, *, kind: str = "number", **changes: Any) -> Claim:
    return Claim(report="r9", id=name, kind=kind, lines=(1,), text=name, recipe=recipe, **changes)


def timed(model: str, rate: float, *, size: int = 224, flops: float = 1e11, **settings: Any) -> Timing:
    return Timing(
        work=f"train {model} at {size} px, GPU",
        contender="ours",
        unit="images/s",
        items=8,
        samples=(rate,),
        settings={**ON_GPU, "model": model, "image_size": size, **settings},
        flops=flops,
        bytes=1.0,
    )


def measured(*rows: Timing) -> Result:
    return Result(
        machine=H200,
        provenance={},
        ceilings={"cuda": {"bfloat16": 1e15, "float32": 1e14, "copy": 1e12}},
        rows=rows,
        started="",
    )


def run_of(planned: Recipe, rate: float, **changes: Any) -> Any:
    """What planning reads of a record."""
    plain = {
        "status": "ok",
        "throughput": {"samples_per_second": rate, "training_flops_per_sample": 5e10},
        "provenance": {"device": "NVIDIA H200"},
        "numerics": {"dtype": "bfloat16"},
        "recipe": {
            "task": planned.task,
            "model": planned.model,
            "image_size": planned.image_size,
            "width": planned.width,
            "model_args": [list(pair) for pair in planned.model_args],
        },
    }
    return SimpleNamespace(**(plain | changes))


# ---------------------------------------------------------------- rates


def test_runs_come_before_timings_and_their_median_counts() -> None:
    runs = [run_of(CLASSIFY, rate) for rate in (10.0, 30.0, 20.0)]
    basis = Basis.of(measured(timed("vgg16_bn", 999.0)), "bfloat16", runs)
    assert hours.price(CLASSIFY, basis) == Price(20.0, "measured: 3 runs")


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"provenance": {"device": "NVIDIA A100"}},
        {"numerics": {"dtype": "float32"}},
        {"throughput": {"samples_per_second": 0.0}},
        {"recipe": {**run_of(CLASSIFY, 1.0).recipe, "image_size": 32}},
        {"recipe": {**run_of(CLASSIFY, 1.0).recipe, "width": 16}},
        {"recipe": {**run_of(CLASSIFY, 1.0).recipe, "task": "byol"}},
    ],
    ids=str,
)
def test_other_runs_say_nothing(changes: dict[str, Any]) -> None:
    basis = Basis.of(measured(timed("vgg16_bn", 999.0)), "bfloat16", [run_of(CLASSIFY, 10.0, **changes)])
    assert hours.price(CLASSIFY, basis) == Price(999.0, "measured: train vgg16_bn at 224 px, GPU")


def test_the_fastest_timing_of_the_network_in_that_dtype_counts() -> None:
    rows = [timed("vgg16_bn", 100.0), timed("vgg16_bn", 300.0), timed("vgg16_bn", 900.0, dtype="float32")]
    rows += [replace(timed("vgg16_bn", 900.0), contender="peer"), timed("vgg16_bn", 900.0, device="cpu")]
    rows += [replace(rows[0], samples=(900.0,), settings={**rows[0].settings, "pass": "inference"})]
    assert hours.price(CLASSIFY, Basis.of(measured(*rows), "bfloat16", [])).rate == 300.0


def test_another_size_of_the_network_is_scaled_by_its_flops() -> None:
    """5e10 FLOPs an image (from a record) at the 1e11 · 40 FLOP/s that were reached: 80 images/s."""
    basis = Basis.of(measured(timed("vgg16_bn", 40.0, size=64)), "bfloat16", [run_of(CLASSIFY, 0.0)])
    found = hours.price(CLASSIFY, basis)
    assert found == Price(80.0, "estimated: FLOPs as train vgg16_bn at 64 px, GPU")


def test_a_network_nobody_timed_reaches_the_median_share_of_the_measured_ceiling() -> None:
    """Shares .1, .2 and .4 of 1e15: .2 of it over 5e10 FLOPs is 4,000 images/s."""
    rows = [timed(name, rate) for name, rate in (("vgg13", 1000.0), ("resnet50", 2000.0), ("fcn32s", 4000.0))]
    found = hours.price(CLASSIFY, Basis.of(measured(*rows), "bfloat16", [run_of(CLASSIFY, 0.0)]))
    assert found.rate == pytest.approx(4000.0)
    assert found.source == "estimated: 20% of 1e+03 TFLOP/s, both measured"


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_without_measurements_the_stated_ceiling_is_taken_and_said(dtype: str) -> None:
    found = hours.price(CLASSIFY, Basis.of(None, dtype, [run_of(CLASSIFY, 0.0)]))
    assert found.rate == pytest.approx(STATED_CEILINGS[dtype] * STATED_SHARES[dtype] / 5e10)
    assert found.source.startswith("estimated: ")
    assert "stated" in found.source
    assert STATED_GPU in found.source


def test_flops_are_counted_where_nobody_recorded_them() -> None:
    """ResNet-50 at 128: 7.94 GFLOPs a trained image."""
    planned = recipe("a", model="resnet50", image_size=128)
    found = hours.price(planned, Basis.of(None, "bfloat16", []))
    assert found.rate == pytest.approx(0.2 * 790e12 / 7.94e9, rel=3e-3)


def test_what_is_no_network_here_has_no_price() -> None:
    found = hours.price(recipe("a", model="sam_vit_h"), Basis.of(None, "bfloat16", []))
    assert found.rate is None
    assert found.source.startswith("no estimate")


def test_hours_are_of_official_counts_with_evaluation_at_a_third() -> None:
    """30 epochs of 22,500 + 2,500/3 images at 100 images/s: 700,000 images, 7,000 s."""
    basis = Basis.of(measured(timed("vgg16_bn", 100.0)), "bfloat16", [])
    (job,) = hours.plan({"r4-classify": CLASSIFY}, [], basis)
    assert (job.images, job.evaluated) == (675_000, 75_000)
    assert job.hours == pytest.approx(7000 / 3600)


# ---------------------------------------------------------------- order

# Hours by epochs: a VGG16-BN at 224 px in 8,333.33 images/s takes 10 s an epoch of 22,500 + 2,500/3 images.
RATE = (22_500 + 2_500 / 3) / 10
BASIS = Basis.of(measured(timed("vgg16_bn", RATE)), "bfloat16", [])
INVENTED = {
    made.slug: made
    for made in (
        recipe("pre", epochs=40),
        recipe("fine", epochs=10, init="run:pre"),
        recipe("short", epochs=20),
        recipe("long", epochs=100),
        recipe("idle", epochs=1),
        recipe("unpriced", epochs=1, model="sam_vit_h"),
    )
}
CLAIMS = [
    claim("c-pre", "pre", kind="process"),
    claim("c-fine-1", "fine"),
    claim("c-fine-2", "fine"),
    claim("c-short-1", "short"),
    claim("c-short-2", "short"),
    claim("c-long", "long"),
    claim("c-order", kind="ordering", order=("c-short-1", "c-long")),
    claim("c-gain", difference_of=("fine", "short")),
    claim("c-shape", "idle", kind="architecture"),
    claim("c-masks", "unpriced", kind="figure"),
    claim("c-gone", "gone"),
]


def test_the_order_is_that_worked_out_by_hand() -> None:
    """Steps and claims an epoch, by hand.

    At first: pre 1/40, pre + fine 3/50 (the gain still lacks short), short 2/20, short + long 4/120,
    pre + fine + short 6/70 (all but those of long): short is next with .1. Then pre + fine 4/50 with the
    gain, long 2/100. Then long. What settles nothing comes after, what has no estimate last.
    """
    jobs = hours.plan(INVENTED, CLAIMS, BASIS)
    assert [job.recipe.slug for job in jobs] == ["short", "pre", "fine", "long", "unpriced", "idle"]
    assert {job.recipe.slug: job.settles for job in jobs} == {
        "short": ("c-short-1", "c-short-2"),
        "pre": (),
        "fine": ("c-pre", "c-fine-1", "c-fine-2", "c-gain"),
        "long": ("c-long", "c-order"),
        "unpriced": ("c-masks",),
        "idle": (),
    }


def test_every_claim_is_settled_once_and_every_recipe_planned_once() -> None:
    jobs = hours.plan(INVENTED, CLAIMS, BASIS)
    settled = [name for job in jobs for name in job.settles]
    assert sorted(settled) == sorted({c.id for c in CLAIMS} - {"c-shape", "c-gone"})
    assert sorted(job.recipe.slug for job in jobs) == sorted(INVENTED)


def test_hours_add_up_over_seeds_and_the_budget_ends_what_fits() -> None:
    table = hours.plan_rows(hours.plan(INVENTED, CLAIMS, BASIS), CLAIMS, seeds=3, budget=0.6)
    seconds = {"short": 200, "pre": 400, "fine": 100, "long": 1000}
    assert [row["hours a seed"] for row in table[:4]] == pytest.approx(
        [seconds[row["recipe"]] / 3600 for row in table[:4]], rel=5e-3
    )
    assert [row["hours so far"] for row in table[:4]] == pytest.approx(
        [3 * s / 3600 for s in (200, 600, 700, 1700)], rel=5e-3
    )
    assert [row["fits"] for row in table] == ["yes", "yes", "yes", "no", "?", "no"]
    assert [row["after"] for row in table[:4]] == [None, None, "pre", None]


def test_public_originals_decide_numbers_of_official_data_alone() -> None:
    by_id = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}
    decided = [name for name, claim in by_id.items() if hours.decided_on_public_originals(claim)]
    assert {"r4-seg-b", "r3-finetune-a", "r4-classify"} <= set(decided)
    assert {by_id[name].kind for name in decided} == {"number"}
    assert not {"r4-order-seg", "mnist1d-cnn", "r1-byol-augment"} & set(decided)
    jobs = hours.plan(RECIPES, list(by_id.values()), BASIS)
    settled = {name for job in jobs for name in job.settles}
    (line,) = (s for s in hours.closing(jobs, list(by_id.values()), BASIS, tier="full") if "originals" in s)
    assert f": {len(settled & set(decided))} of these claims" in line


def test_closing_lines_say_what_is_known_and_what_fits() -> None:
    jobs = hours.plan(INVENTED, CLAIMS, BASIS)
    lines = hours.closing(jobs, CLAIMS, BASIS, tier="full")
    assert "5 measured, 1 no estimate" in lines[0]
    assert "NVIDIA H200" in lines[0]
    assert lines[1] == "No estimate, so not in the hours: unpriced."
    assert lines[2] == "1 of 10 claims that runs would settle name a recipe that is not here."
    assert lines[3].startswith("Rates measured: train vgg16_bn at 224 px")
    assert lines[4] == (
        "9 claims at one seed: 0.5 h, which fits one night (8 h); three seeds: 1.4 h, which fit 24 h."
    )
    slow = Basis.of(measured(timed("vgg16_bn", RATE / 20)), "bfloat16", [])
    last = hours.closing(hours.plan(INVENTED, CLAIMS, slow), CLAIMS, slow, tier="full")[-1]
    assert "9.5 h, which does not fit one night" in last
    assert "28.5 h, which do not fit 24 h" in last


def test_a_start_that_does_not_exist_or_goes_round_settles_nothing() -> None:
    lost = {"a": recipe("a", init="run:nowhere"), "b": recipe("b", init="run:c")}
    lost["c"] = recipe("c", init="run:b")
    jobs = hours.plan(lost, [claim("c-a", "a"), claim("c-b", "b")], BASIS)
    assert all(not job.settles for job in jobs)


@pytest.mark.parametrize(
    ("asked", "seeds"),
    [
        (claim("a", kind="ordering", metric="top1", order=("x", "y")), 3),
        (claim("a", kind="process"), 3),
        # rounding alone, .05/√3 · t(.98, 13) = .066, is more than Δ = .065
        (claim("a", metric="top1", value="0.5", unit="fraction", n=406), None),
        (claim("a", metric="top1", value="0.5000", unit="fraction", n=406), 3),
        (claim("a", metric="miou", value="0.6637", unit="fraction"), 3),
        # a claimed gain of .004 is below what ten seeds of a mean IoU resolve
        (
            claim("a", metric="delta_miou", value="0.004", unit="fraction", difference_of=("x", "y")),
            None,
        ),
        # t(.98, 8) · .01/√5 = .0110, and with four seeds .0126
        (claim("a", metric="miou", value="0.66370", unit="fraction", margin="0.012"), 5),
    ],
)
def test_seeds_needed_follow_from_the_grading_rule(asked: Claim, seeds: int | None) -> None:
    assert hours.seeds_to_settle(asked) == seeds


# ---------------------------------------------------------------- the command


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_command_plans_every_recipe(tmp_path: Path) -> None:
    done = bench("plan", "--format", "json", "--out", str(tmp_path), "--gpu-hours", "8", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert sorted(row["recipe"] for row in table) == sorted(RECIPES)
    assert all("estimated" in row["from"] or "no estimate" in row["from"] for row in table)
    named = {name for row in table for name in row["settles"]}
    assert named <= {c.id for ledger in load_ledgers() for c in ledger.claims}
    assert "one night (8 h)" in done.stderr


@pytest.mark.parametrize("output", ["table", "markdown"])
def test_the_command_takes_a_result_file(output: str, tmp_path: Path) -> None:
    path = results.write_session(tmp_path, measured(timed("vgg16_bn", 100.0)))
    done = bench("plan", "--throughput", str(path), "--out", str(tmp_path), "--format", output)
    assert done.returncode == 0, done.stderr
    assert "train vgg16_bn at 224 px" in " ".join(done.stdout.split())
    assert "one night (8 h)" in done.stdout


def test_measured_networks_need_no_torch(tmp_path: Path) -> None:
    rows = [
        timed(r.model, 100.0, size=r.image_size, model_args=[list(pair) for pair in r.model_args])
        for r in RECIPES.values()
    ]
    path = results.write_session(tmp_path, measured(*rows))
    program = (
        "import sys; sys.argv = ['bench', 'plan', '--throughput', sys.argv[1], '--out', sys.argv[2]]\n"
        "from bench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--throughput", "nowhere.json"), "nowhere.json"),
        (("--dtype", "float8"), "bfloat16"),
        (("--seeds", "0"), "seeds"),
        (("--gpu-hours", "-1"), "gpu-hours"),
        (("--tier", "ful"), "full"),
    ],
    ids=str,
)
def test_bad_input_is_one_line(words: tuple[str, ...], said: str) -> None:
    done = bench("plan", *words)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert said in line
