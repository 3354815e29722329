"""Plans on several GPUs: against every order there is on small cases, and against bounds on all."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.makespan import Placed, Task, bounds, schedule, tails
from reference.errors import InputError

ROOT = Path(__file__).parents[2]


@st.composite
def plans(draw: st.DrawFn, most: int) -> list[Task]:
    """Tasks of whole hours, each after some of those before it."""
    count = draw(st.integers(1, most))
    tasks: list[Task] = []
    for i in range(count):
        after = draw(st.sets(st.sampled_from(range(i)), max_size=2)) if i else set()
        tasks.append(Task(f"t{i}", float(draw(st.integers(1, 9))), tuple(f"t{j}" for j in sorted(after))))
    return draw(st.permutations(tasks))


def makespan(placed: list[Placed]) -> float:
    return max(one.end for one in placed)


def best(tasks: list[Task], gpus: int) -> float:
    """The shortest of all schedules: of every order, each task placed as early as may be."""
    shortest = float("inf")
    for order in itertools.permutations(tasks):
        ends: dict[str, float] = {}
        free = [0.0] * gpus
        for task in order:
            if not set(task.after) <= set(ends):
                break
            gpu = min(range(gpus), key=free.__getitem__)
            start = max([free[gpu], *(ends[name] for name in task.after)])
            ends[task.name] = free[gpu] = start + task.hours
        else:
            shortest = min(shortest, max(ends.values()))
    return shortest


@given(plans(most=5), st.integers(1, 3))
def test_a_schedule_is_between_the_best_and_grahams_bound(tasks: list[Task], gpus: int) -> None:
    found, optimum = makespan(schedule(tasks, gpus)), best(tasks, gpus)
    assert found >= optimum
    assert found <= (2 - 1 / gpus) * optimum + 1e-9
    if gpus == 1:
        assert found == optimum


@given(plans(most=30), st.integers(1, 9))
def test_every_task_runs_once_after_what_it_needs_and_alone_on_its_gpu(tasks: list[Task], gpus: int) -> None:
    placed = schedule(tasks, gpus)
    assert sorted(one.task.name for one in placed) == sorted(task.name for task in tasks)
    ends = {one.task.name: one.end for one in placed}
    for one in placed:
        assert one.end == one.start + one.task.hours
        assert all(ends[name] <= one.start for name in one.task.after)
        assert 0 <= one.gpu < gpus
    for a, b in itertools.combinations(placed, 2):
        assert a.gpu != b.gpu or a.end <= b.start or b.end <= a.start
    least = bounds(tasks, gpus)
    assert max(least.critical_path, least.work_share) <= makespan(placed) + 1e-9
    assert makespan(placed) <= least.critical_path + least.work_share + 1e-9


def test_the_longest_chain_goes_first() -> None:
    """Two GPUs; a (2 h) then b (3 h); c and d of 2 h. By hours alone c and d would go first: 7 h."""
    tasks = [Task("c", 2), Task("d", 2), Task("a", 2), Task("b", 3, ("a",))]
    assert makespan(schedule(tasks, 2)) == 5
    assert tails(tasks) == {"a": 5, "b": 3, "c": 2, "d": 2}


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([Task("a", 1, ("b",))], "a: comes after b, which is not among the tasks"),
        ([Task("a", 1, ("b",)), Task("b", 1, ("a",))], "comes after itself"),
    ],
)
def test_a_start_that_is_missing_or_goes_round_is_refused(tasks: list[Task], said: str) -> None:
    with pytest.raises(InputError, match=said):
        schedule(tasks, 2)


def test_the_command_places_every_run_after_what_it_starts_from() -> None:
    words = ["plan", "--gpus", "8", "--seeds", "3", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    names = [name for row in table for name in row["in order"]]
    assert len(table) == 8
    assert len(names) == len(set(names))
    assert {"r3-byol/2", "r3-finetune-c/2", "r4-seg-b/0"} <= set(names)
    assert "critical path" in done.stderr.lower()
