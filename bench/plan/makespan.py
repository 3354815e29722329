"""Bound the hours of a plan on several GPUs, each run on one GPU and after the run that it starts from.

No schedule is shorter than the longest chain of runs, or than all work divided by the GPUs. A schedule that
never leaves a GPU idle while a run can start is at most as long as their sum (Graham 1969).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.plan.hours import RUN, Job


@dataclass(frozen=True)
class Bounds:
    """Hours of the longest chain of runs, with its recipes in order, and of all work divided by the GPUs."""

    runs: int
    chain: tuple[str, ...]
    critical_path: float
    work_share: float


def bounds(jobs: Sequence[Job], *, seeds: int, gpus: int) -> Bounds:
    """Return the hours that no schedule of ``jobs`` can beat.

    A run starts from the run of the same seed, so every seed has the same chains. Jobs without an estimate do
    not count, nor do jobs that start from them.

    Args:
        jobs: each job after the job that it starts from.
    """
    ends: dict[str, float] = {}
    chains: dict[str, tuple[str, ...]] = {}
    work = 0.0
    for job in jobs:
        slug = job.recipe.slug
        start = job.recipe.init.removeprefix(RUN) if job.recipe.init.startswith(RUN) else None
        if job.hours is None or (start is not None and start not in ends):
            continue
        ends[slug] = (ends[start] if start else 0.0) + job.hours
        chains[slug] = (*(chains[start] if start else ()), slug)
        work += job.hours
    last = max(ends, key=lambda slug: ends[slug], default=None)
    return Bounds(
        runs=seeds * len(ends),
        chain=chains[last] if last else (),
        critical_path=ends[last] if last else 0.0,
        work_share=seeds * work / gpus,
    )


def closing(least: Bounds, gpus: int) -> list[str]:
    """Return the bounds in lines."""
    if not least.chain:
        return ["Nothing to run."]
    floor, most = max(least.critical_path, least.work_share), least.critical_path + least.work_share
    return [
        f"{least.runs} runs on {gpus} GPU{'s' if gpus > 1 else ''}:"
        f" at least {floor:.2f} h, at most {most:.2f} h."
        f" Critical path {least.critical_path:.2f} h, work / GPUs {least.work_share:.2f} h.",
        f"The critical path is {' → '.join(least.chain)}.",
    ]
