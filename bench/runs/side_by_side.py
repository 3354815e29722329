"""Run several small trainings at once, each in its own process, for networks that do not fill all cores.

A training on 40 values leaves one core idle and gains nothing from two threads, so independent runs share the
cores. Each worker writes its run's record as a single run would. Ctrl-C or SIGTERM ends all workers, and each
leaves a checkpoint. A worker whose parent is gone ends in the same way.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from pathlib import Path

from bench.runs import interruption, tiers
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference.errors import InputError

MOST = 8
"""Workers at most: each holds a copy of torch, some 400 MB."""
CHECK_SECONDS = 0.2


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(todo: Sequence[Run], asked: int | None) -> int:
    """Return how many runs go at once: as many as asked for, else one per core if all are small, else one.

    Raises:
        InputError: more than one is asked for, but a run starts from another run's weights.
    """
    started = next((run for run in todo if run.start is not None), None)
    if asked is not None:
        if asked > 1 and started is not None:
            raise InputError(f"--jobs {asked}: {started.label} starts from another run; leave --jobs out")
        return max(1, min(asked, len(todo)))
    small = all(run.recipe.data in tiers.DRAWN and run.numerics.device == "cpu" for run in todo)
    return max(1, min(cores(), MOST, len(todo))) if small else 1


def run_all(
    todo: Sequence[Run],
    out: Path,
    *,
    workers: int,
    weights: Path | None,
    resume: bool,
    told: Callable[[int, Record], None],
) -> list[str]:
    """Execute runs ``workers`` at a time. Return the status of each, in the order of ``todo``.

    Args:
        told: called with a run's position in ``todo`` and its record when it ends.

    Raises:
        InputError: a worker process was killed.
    """
    statuses = ["not started"] * len(todo)
    context = multiprocessing.get_context("spawn")
    threads = max(1, cores() // workers)
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(threads,)) as pool:
        pending: dict[Future[Record], int] = {
            pool.submit(
                _execute, run, out, weights, resume, f"[{position}/{len(todo)}] {run.label}"
            ): position - 1
            for position, run in enumerate(todo, start=1)
        }
        try:
            while pending:
                done, _ = wait(pending, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    position = pending.pop(future)
                    record = future.result()
                    statuses[position] = record.status
                    told(position, record)
                interruption.stop_if_asked()
        except BrokenExecutor as error:
            raise InputError(
                "a worker process was killed, perhaps for its memory; repeat the command, or say --jobs 1"
            ) from error
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()  # SIGTERM: the run leaves a checkpoint and a record
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return statuses


def _begin(threads: int) -> None:
    """Prepare a worker: its share of the cores, signals from its parent alone, an end with its parent."""
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _execute(run: Run, out: Path, weights: Path | None, resume: bool, label: str) -> Record:
    """Execute one run in a worker and print its progress in plain lines."""
    from bench.runs.execute import execute
    from bench.runs.progress import RunProgress

    def notice(line: str) -> None:
        print(f"{label}: {line}", file=sys.stderr, flush=True)

    with interruption.interruptible(told=False), RunProgress(label, plain=True) as progress:
        return execute(run, out, weights=weights, resume=resume, progress=progress, notice=notice)
