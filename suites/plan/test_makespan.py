"""Bounds of a plan on several GPUs, against every schedule there is of small plans."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import app
from bench.plan.hours import Job, Price
from bench.plan.makespan import bounds, closing
from reference.recipes import RECIPES


def a_job(name: str, hours: float | None, start: str = "") -> Job:
    """A job of so many hours that starts from another one, or from scratch."""
    recipe = replace(RECIPES["r4-classify"], slug=name, init=f"run:{start}" if start else "scratch")
    return Job(recipe=recipe, images=1, evaluated=1, price=Price(1.0, ""), hours=hours, settles=())


@st.composite
def plans(draw: st.DrawFn, most: int) -> list[Job]:
    """Jobs of whole hours, each after one of those before it or after none."""
    jobs: list[Job] = []
    for index in range(draw(st.integers(1, most))):
        start = draw(st.sampled_from(["", *(job.recipe.slug for job in jobs)]))
        jobs.append(a_job(f"t{index}", float(draw(st.integers(1, 9))), start))
    return jobs


def makespan(order: Sequence[Job], gpus: int) -> float | None:
    """Hours of one order, each job as early as may be; None where a job comes before its start."""
    ends: dict[str, float] = {"scratch": 0.0}
    free = [0.0] * gpus
    for job in order:
        start = job.recipe.init.removeprefix("run:")
        if start not in ends:
            return None
        gpu = min(range(gpus), key=free.__getitem__)
        free[gpu] = ends[job.recipe.slug] = max(free[gpu], ends[start]) + (job.hours or 0.0)
    return max(free)


@given(plans(most=5), st.integers(1, 3))
def test_the_best_of_all_schedules_is_between_the_bounds(jobs: list[Job], gpus: int) -> None:
    lengths = [makespan(order, gpus) for order in itertools.permutations(jobs)]
    best = min(length for length in lengths if length is not None)
    least = bounds(jobs, seeds=1, gpus=gpus)
    assert max(least.critical_path, least.work_share) <= best + 1e-9
    assert best <= least.critical_path + least.work_share + 1e-9
    if gpus == 1:
        assert best == least.work_share
    assert makespan(jobs, len(jobs)) == least.critical_path, "with a GPU for each job only the chain counts"


@given(plans(most=9), st.integers(1, 5), st.integers(1, 9))
def test_seeds_add_work_and_no_length(jobs: list[Job], seeds: int, gpus: int) -> None:
    one, many = bounds(jobs, seeds=1, gpus=gpus), bounds(jobs, seeds=seeds, gpus=gpus)
    assert (many.chain, many.critical_path) == (one.chain, one.critical_path)
    assert many.work_share == pytest.approx(seeds * one.work_share)
    assert many.runs == seeds * len(jobs)


def test_bounds_of_a_plan_by_hand() -> None:
    jobs = [a_job("a", 2.0), a_job("b", 3.0, "a"), a_job("c", 4.0), a_job("d", None), a_job("e", 9.0, "d")]
    least = bounds(jobs, seeds=3, gpus=2)
    assert (least.runs, least.chain, least.critical_path, least.work_share) == (9, ("a", "b"), 5.0, 13.5)
    assert closing(least, 2) == [
        "9 runs on 2 GPUs: at least 13.50 h, at most 18.50 h. Critical path 5.00 h, work / GPUs 13.50 h.",
        "The critical path is a → b.",
    ]
    assert closing(bounds([], seeds=1, gpus=1), 1) == ["Nothing to run."]


def test_the_command_prints_both_bounds_below_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert not app(["plan", "--gpus", "8", "--seeds", "3"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "r3-finetune-c" in printed
    assert "on 8 GPUs: at least" in printed
    assert "The critical path is r1-seg-b." in printed
