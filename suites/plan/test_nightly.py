"""What a night's hours buy: by hand what fits, the fullest tier first, and one line where nothing does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sessions import environment

from bench.claims.ledger import load_ledgers
from bench.plan import hours as hours_module
from bench.plan import nightly
from bench.plan.hours import Basis, Job, Price
from bench.runs import run_plan
from bench.throughput import results, timing
from bench.throughput.results import Result
from reference.data import synthetic
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.numerics import Numerics

ROOT = Path(__file__).parents[2]
CLAIMS = [claim for ledger in load_ledgers() for claim in ledger.claims]
FAST = Result(
    machine={"cpu": "A Processor", "cores": 4, "gpu": "A GPU", "gpus": 1},
    provenance={},
    ceilings={"cuda": {"bfloat16": 1e15, "float32": 1e14, "copy": 1e12}},
    rows=(),
    started="",
)


def job(slug: str, hours: float | None, init: str = "scratch") -> Job:
    recipe = replace(RECIPES["r4-classify"], slug=slug, init=init)
    return Job(recipe=recipe, images=1, evaluated=1, price=Price(1.0, "made up"), hours=hours, settles=())


def slugs(jobs: list[Job]) -> list[str]:
    return [one.recipe.slug for one in jobs]


def test_what_is_too_long_is_passed_over() -> None:
    jobs = [job("a", 3), job("b", 4), job("c", 2), job("d", None), job("e", 0.5)]
    assert slugs(nightly.fitting(jobs, hours=5.5, seeds=1)) == ["a", "c", "e"]
    assert slugs(nightly.fitting(jobs, hours=5.5, seeds=2)) == ["c", "e"]
    assert nightly.fitting(jobs, hours=0.4, seeds=1) == []


def test_what_starts_from_another_run_needs_that_one() -> None:
    jobs = [job("long", 9), job("after-long", 1, "run:long"), job("short", 1), job("after", 1, "run:short")]
    assert slugs(nightly.fitting(jobs, hours=5, seeds=1)) == ["short", "after"]


def pick(tmp_path: Path, hours: float, chosen: tuple[str, ...], **changes: Any) -> nightly.Night:
    settings: dict[str, Any] = {
        "seeds": 1,
        "basis": Basis.of(FAST, "float32", ()),
        "data": None,
        "weights": tmp_path,
        "init": None,
        "numerics": Numerics(),
        "cache": tmp_path,
    }
    return nightly.pick({s: RECIPES[s] for s in chosen}, CLAIMS, hours=hours, **(settings | changes))


def test_the_fullest_tier_at_which_anything_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG13 starts from scratch; the others' weights are not there, so only smoke tier runs them."""
    for role, counts in (("classification50", (40, 10)), ("landcover", (8, 4))):
        monkeypatch.setitem(synthetic.COUNTS, role, counts)  # drawn at full size five times
    chosen = ("r3-classify-a", "r4-seg-b", "r4-seg-a")
    hours = {
        tier: hours_module.plan(
            {"r3-classify-a": RECIPES["r3-classify-a"]},
            CLAIMS,
            Basis.of(FAST, "float32", ()),
            tier=tier,
            counts={"r3-classify-a": (40, 10)},
        )[0].hours
        for tier in ("full", "gpu")
    }
    assert hours["full"] == pytest.approx(50 * hours["gpu"])  # 500 epochs and 10
    night = pick(tmp_path, 1.01 * hours["full"], chosen)
    assert (night.tier, night.slugs) == ("full", ["r3-classify-a"])
    night = pick(tmp_path, 1.01 * hours["gpu"], chosen)
    assert (night.tier, night.slugs) == ("gpu", ["r3-classify-a"])
    assert "r3-classify-a, takes" in night.lines[0]
    assert "no weights for 2 recipes" in night.lines[0]
    night = pick(tmp_path, 0.99 * hours["gpu"], chosen)
    assert night.tier == "smoke"
    assert set(night.slugs) <= set(chosen)
    assert pick(tmp_path, 1e6, chosen, init="scratch").tier == "full"
    assert set(pick(tmp_path, 1e6, chosen, init="scratch").slugs) == set(chosen)


def test_nothing_fits_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        pick(tmp_path, 1e-9, ("r3-classify-a", "r4-seg-b"))
    said = str(caught.value)
    assert "\n" not in said
    assert all(f"{tier} tier: " in said for tier in nightly.FULLEST_FIRST)
    with pytest.raises(InputError, match=r"no weights for 1 recipe$"):
        pick(tmp_path, 1e6, ("r4-seg-b",), tiers=("full",))


def test_rates_are_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = replace(FAST, machine=timing.machine() | {"gpu": None, "gpus": 0})
    results.write_session(tmp_path, FAST)
    taken: list[object] = []
    monkeypatch.setattr(
        nightly.timing, "ceilings", lambda *of: taken.append(of) or {"float32": 2e11, "bfloat16": 1e11}
    )
    basis = nightly.basis_here("cpu", "float32", [tmp_path / "absent", tmp_path])
    assert len(taken) == 1  # another machine's session tells nothing
    (job,) = hours_module.plan({"r3-classify-a": RECIPES["r3-classify-a"]}, CLAIMS, basis)
    assert job.price.source == "estimated: 50% of 0.2 TFLOP/s, measured"
    results.write_session(tmp_path, ours)
    assert nightly.basis_here("cpu", "float32", [tmp_path]).result == ours
    assert len(taken) == 1


def test_counts_are_the_data_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["r3-classify-a"]
    dataset = SimpleNamespace(train=range(11), val=range(7))
    found = SimpleNamespace(printed=recipe, dataset=dataset)
    monkeypatch.setattr(run_plan, "plan", lambda *of, **how: ([found], []))
    night = pick(tmp_path, 1e6, (recipe.slug,))
    assert (night.jobs[0].images, night.jobs[0].evaluated) == (500 * 11, 500 * 7)


def test_the_nightly_command_ends_in_one_line_where_nothing_can_run(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "suites/endtoend", "-m", "fullrun"]
    words += ["--out", str(tmp_path / "out")]
    for more, said in (
        (["--tier", "smoke", "--gpu-hours", "1e-9"], "nothing to run in 1e-09 h"),
        (["--tier", "auto", "--data", str(tmp_path)], "say how long with --gpu-hours"),
    ):
        done = subprocess.run(
            [*words, *more], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert not (tmp_path / "out" / "records").exists()
