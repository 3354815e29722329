"""How long a plan takes on so many GPUs: every run on one of them, what it starts from before it.

List scheduling: whenever a GPU is free it takes, of the runs that can start, the one with the longest chain
of runs behind it. That is at most (1 − 1/m) critical paths longer than work / m (Graham 1969).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.plan.hours import RUN, Job
from reference.errors import InputError


@dataclass(frozen=True)
class Task:
    """One run: its hours on one GPU, and the tasks that must end before it starts."""

    name: str
    hours: float
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """A task on a GPU, from ``start`` to ``end`` in hours."""

    task: Task
    gpu: int
    start: float
    end: float


def tasks_of(jobs: Sequence[Job], seeds: int) -> list[Task]:
    """Every run of a plan, ``<slug>/<seed>``, but those without an estimate and what starts from one.

    A run starts from the run of the same seed.
    """
    priced: dict[str, Job] = {}
    for job in jobs:  # what a job starts from comes before it
        start = _start(job)
        if job.hours is not None and (start is None or start in priced):
            priced[job.recipe.slug] = job
    return [
        Task(f"{slug}/{seed}", job.hours or 0.0, () if _start(job) is None else (f"{_start(job)}/{seed}",))
        for seed in range(seeds)
        for slug, job in priced.items()
    ]


def _start(job: Job) -> str | None:
    return job.recipe.init.removeprefix(RUN) if job.recipe.init.startswith(RUN) else None


def tails(tasks: Sequence[Task]) -> dict[str, float]:
    """Hours from a task's start to the end of the longest chain that it heads.

    Raises:
        InputError: a task comes after one that is not there, or after itself.
    """
    by_name = {task.name: task for task in tasks}
    followers: dict[str, list[str]] = {task.name: [] for task in tasks}
    for task in tasks:
        for name in task.after:
            if name not in by_name:
                raise InputError(f"{task.name}: comes after {name}, which is not among the tasks")
            followers[name].append(task.name)
    found: dict[str, float] = {}
    waiting = {task.name: len(followers[task.name]) for task in tasks}
    ends = [name for name, count in waiting.items() if count == 0]
    while ends:
        name = ends.pop()
        found[name] = by_name[name].hours + max((found[f] for f in followers[name]), default=0.0)
        for before in by_name[name].after:
            waiting[before] -= 1
            if waiting[before] == 0:
                ends.append(before)
    for name in by_name:
        if name not in found:
            raise InputError(f"{name}: comes after itself")
    return found


def schedule(tasks: Sequence[Task], gpus: int) -> list[Placed]:
    """Every task once, in the order of their starts; ties go by name and the lowest GPU."""
    tail = tails(tasks)
    waiting = {task.name: set(task.after) for task in tasks}
    by_name = {task.name: task for task in tasks}
    ready = [(-tail[task.name], task.name) for task in tasks if not task.after]
    heapq.heapify(ready)
    free = list(range(gpus))
    running: list[tuple[float, int, str]] = []
    placed: list[Placed] = []
    now = 0.0
    while ready or running:
        while ready and free:
            _, name = heapq.heappop(ready)
            gpu = heapq.heappop(free)
            one = Placed(by_name[name], gpu, now, now + by_name[name].hours)
            placed.append(one)
            heapq.heappush(running, (one.end, gpu, name))
        now = running[0][0]
        while running and running[0][0] == now:
            _, gpu, ended = heapq.heappop(running)
            heapq.heappush(free, gpu)
            for name, before in waiting.items():
                if ended in before:
                    before.remove(ended)
                    if not before:
                        heapq.heappush(ready, (-tail[name], name))
    return placed


@dataclass(frozen=True)
class Bounds:
    """No schedule is shorter than either; list scheduling is never longer than both together."""

    critical_path: float
    work_share: float


def bounds(tasks: Sequence[Task], gpus: int) -> Bounds:
    """Hours of the longest chain, and of all work evenly over the GPUs."""
    longest = max(tails(tasks).values(), default=0.0)
    return Bounds(critical_path=longest, work_share=sum(task.hours for task in tasks) / gpus)


def rows(placed: Sequence[Placed], gpus: int) -> list[dict[str, Any]]:
    """One row a GPU: what it runs in order, and its hours."""
    table = []
    for gpu in range(gpus):
        own = [one for one in placed if one.gpu == gpu]
        busy = sum(one.task.hours for one in own)
        last = max((one.end for one in own), default=0.0)
        table.append(
            {
                "gpu": gpu,
                "runs": len(own),
                "hours busy": float(f"{busy:.3g}"),
                "done after": float(f"{last:.3g}"),
                "in order": [one.task.name for one in own],
            }
        )
    return table


def closing(tasks: Sequence[Task], placed: Sequence[Placed], gpus: int) -> list[str]:
    """The makespan against what no schedule can beat."""
    least = bounds(tasks, gpus)
    makespan = max((one.end for one in placed), default=0.0)
    chain = " → ".join(_longest_chain(tasks))
    floor = max(least.critical_path, least.work_share)
    over = f", {makespan / floor - 1:.1%} above the larger" if floor else ""
    return [
        f"{len(tasks)} runs on {gpus} GPU{'s' if gpus > 1 else ''}: {makespan:.2f} h. Critical path"
        f" {least.critical_path:.2f} h, work / GPUs {least.work_share:.2f} h{over}.",
        f"The critical path is {chain}." if chain else "Nothing to run.",
    ]


def _longest_chain(tasks: Sequence[Task]) -> list[str]:
    tail = tails(tasks)
    by_followed: Mapping[str, list[str]] = {
        task.name: [other.name for other in tasks if task.name in other.after] for task in tasks
    }
    chain: list[str] = []
    options = [task.name for task in tasks if not task.after]
    while options:
        chain.append(min(options, key=lambda name: (-tail[name], name)))
        options = by_followed[chain[-1]]
    return chain
