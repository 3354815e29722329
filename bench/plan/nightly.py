"""Choose what fits into a night on this device, at the fullest tier at which anything fits.

``bench plan`` says what settles most claims an hour on some GPU. The night takes the same order, but only the
recipes whose data and weights are here, with the rates of this machine and the counts of this data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.claims.claim import Claim
from bench.plan import hours as hours_module
from bench.plan.hours import Basis, Job
from bench.runs import records, run_plan
from bench.throughput import results, timing
from bench.throughput.results import Result
from reference.errors import InputError
from reference.recipes.recipe import Recipe
from reference.training.numerics import Numerics

FULLEST_FIRST = ("full", "gpu", "smoke")


@dataclass(frozen=True)
class Night:
    """The jobs to run, in order, and the reasons in lines."""

    tier: str
    jobs: tuple[Job, ...]
    lines: tuple[str, ...]

    @property
    def slugs(self) -> list[str]:
        """The recipes in the order in which they run."""
        return [job.recipe.slug for job in self.jobs]


def pick(
    recipes: Mapping[str, Recipe],
    claims: Iterable[Claim],
    *,
    hours: float,
    seeds: int,
    basis: Basis,
    data: Path | None,
    weights: Path | None,
    init: str | None,
    numerics: Numerics,
    cache: Path,
    tiers: Sequence[str] = FULLEST_FIRST,
    mask_values: Sequence[str] = (),
) -> Night:
    """Choose the recipes that fit, most claims an hour first, at the fullest tier at which any fits.

    Raises:
        InputError: the data is bad, or nothing fits at any tier. The message gives the reason at each.
    """
    all_claims, lines = tuple(claims), list[str]()
    for tier in tiers:
        runs, absent = run_plan.plan(
            list(recipes.values()),
            tier=tier,
            data=data,
            seeds=1,
            init=init,
            weights=weights,
            numerics=numerics,
            cache=cache,
            mask_values=mask_values,
        )
        counts = {run.printed.slug: (len(run.dataset.train), len(run.dataset.val)) for run in runs}
        there = {slug: recipe for slug, recipe in recipes.items() if slug in counts}
        jobs = hours_module.plan(there, all_claims, basis, tier=tier, counts=counts)
        if basis.counted is not None:
            basis.counted.save()
        chosen = fitting(jobs, hours=hours, seeds=seeds)
        if chosen:
            total = sum(seeds * (job.hours or 0) for job in chosen)
            many = f"{len(chosen)} of {len(recipes)} recipes"
            lines.append(f"{tier} tier: {many} in {total:.2g} of {hours:g} h, {seeds} seed(s) each")
            return Night(tier, tuple(chosen), tuple(lines))
        lines.append(f"{tier} tier: {_in_the_way(jobs, absent, seeds)}")
    raise InputError(f"nothing to run in {hours:g} h on {basis.gpu}; {'; '.join(lines)}")


def fitting(jobs: Sequence[Job], *, hours: float, seeds: int) -> list[Job]:
    """Return the jobs that fit into the hours, in order; a job that is too long is skipped.

    A job that starts from another's run fits only with it. A job without an estimate is left out.
    """
    chosen: list[Job] = []
    left = hours
    for job in jobs:
        start = job.recipe.init.removeprefix(hours_module.RUN)
        begun = not job.recipe.init.startswith(hours_module.RUN) or any(
            j.recipe.slug == start for j in chosen
        )
        if job.hours is not None and begun and seeds * job.hours <= left:
            chosen.append(job)
            left -= seeds * job.hours
    return chosen


def _in_the_way(jobs: Sequence[Job], absent: Sequence[run_plan.NotRun], seeds: int) -> str:
    """Return why nothing of a tier runs."""
    sentences = []
    timed = [job for job in jobs if job.hours is not None]
    if timed:
        least = min(timed, key=lambda job: job.hours or 0)
        sentences.append(f"the shortest, {least.recipe.slug}, takes {seeds * (least.hours or 0):.2g} h")
    for reason in sorted({one.reason for one in absent}):
        count = sum(one.reason == reason for one in absent)
        sentences.append(f"no {reason} for {count} recipe{'s' if count > 1 else ''}")
    return ", ".join(sentences) or "nothing whose hours can be told"


def basis_here(device: str, dtype: str, folders: Iterable[Path]) -> Basis:
    """Return the rates of this machine from ``folders``: timings and records, else ceilings measured now.

    Args:
        device: ``cpu`` or ``cuda``.
        folders: folders with ``throughput`` and ``records``, in order of preference.
    """
    machine = timing.machine() | ({} if device == "cuda" else {"gpu": None, "gpus": 0})
    there = [folder for folder in folders if folder.is_dir()]
    sessions = (result for folder in there for result in results.read_sessions(folder))
    result = next((r for r in sessions if r.machine == machine), None) or _ceilings_alone(machine, device)
    run_records = [record for folder in there for record in records.read_all(folder)]
    return replace(Basis.of(result, dtype, run_records), counted=hours_module.counted_before())


def _ceilings_alone(machine: Mapping[str, Any], device: str) -> Result:
    """Return a session that holds only the machine's own limits."""
    threads = torch.get_num_threads()
    where = results.place({"device": device, "threads": threads})
    return Result(
        machine=machine,
        provenance={},
        ceilings={where: timing.ceilings(device, threads)},
        rows=(),
        started="",
        failed=(),
    )
