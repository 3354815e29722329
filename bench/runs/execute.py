"""Run what is missing, and leave a record of each run that was started."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import torch

from bench.runs import interruption, lock
from bench.runs.recording import Attempt, finished
from bench.runs.records import DID_NOT_LEARN, Record
from bench.runs.run_plan import Run
from reference.errors import DiskError, InputError
from reference.files import check_writable, remove_leftovers, write_atomically
from reference.models.weights import read_backbone, read_state_dict
from reference.training import checkpoint, distributed
from reference.training.state import Outcome, Progress
from reference.training.step import DeviceMemoryError
from reference.training.watch import DidNotLearnError, DivergedError


def missing(runs: Sequence[Run], out: Path, *, again: bool = False) -> list[Run]:
    """Return the runs without an ok record under ``out`` (all if ``again``), each after what it starts from.

    A run whose record exists but whose weights are gone trains again if another run starts from it. So does
    a run that was killed between its weights and its record.
    """
    todo: dict[str, Run] = {}
    for run in runs:
        if again or finished(run, out) is None:
            start = run.start
            if start is not None and not (start.weights(out).exists() and finished(start, out)):
                todo[start.run_id] = start
            todo[run.run_id] = run
    return list(todo.values())


def tidy(run: Run, out: Path) -> None:
    """Remove what is left of a finished run that was killed after its record and before its end."""
    folder = run.folder(out)
    if any((folder / name).exists() for name in (*checkpoint.NAMES, lock.OWNER)):
        with suppress(InputError), lock.held(folder, run.label):
            checkpoint.remove(folder)  # another process at work on it, as with --again, keeps its own


def execute(
    run: Run,
    out: Path,
    *,
    weights: Path | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[Progress], None] = lambda _: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Record:
    """Train one run and write its record, however the run ends.

    An interrupted run (Ctrl-C, SIGTERM, a full disk) leaves its checkpoint and a record ``interrupted``. The
    interruption then reaches the caller.

    Args:
        notice: called with a line for each damaged checkpoint. The record's notes hold the same lines.

    Raises:
        InputError: another process works on the same run, or the run that it starts from has left no weights.
        DiskError: a file cannot be written.
    """
    folder = run.folder(out)
    noted: list[str] = []

    def went_on(where: Progress) -> None:
        progress(where)
        interruption.stop_if_asked()

    def note(line: str) -> None:
        noted.append(line)
        notice(line)

    with ExitStack() as held:
        distributed.rank0_first(lambda: _make_ready(run, out, folder, held, resume=resume))
        train_it = partial(
            run.kind.work,
            run.recipe,
            run.dataset,
            seed=run.seed,
            numerics=run.numerics,
            folder=folder,
            weights=weights,
            initial=_initial(run, out),
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            progress=went_on,
            notice=note,
        )
        record = _execute_locked(run, out, folder, train_it, noted)
    if record.status in ("failed", "oom"):
        distributed.give_up(f"{run.label}: {record.status}: {record.reason}")
    distributed.barrier()
    return record


def _make_ready(run: Run, out: Path, folder: Path, held: ExitStack, *, resume: bool) -> None:
    """Rank 0 locks the run's folder until ``held`` is closed and removes stale files there."""
    if not distributed.world().main:
        return
    held.enter_context(lock.held(folder, run.label))
    for place in (folder, folder / "masks", folder / "embeddings"):
        remove_leftovers(place)
    for place in (out / "records" / run.printed.slug, out / "figures" / run.printed.slug):
        remove_leftovers(place, f".{run.run_id}*.tmp")
    check_writable(out / "records" / run.printed.slug / f"{run.run_id}.probe")
    if not resume:
        checkpoint.remove(folder)
        for stale in folder.glob("*/*.npy"):
            stale.unlink()


def _execute_locked(
    run: Run, out: Path, folder: Path, train_it: Callable[[], Outcome], noted: list[str]
) -> Record:
    """Train and record in a folder that is locked."""
    attempt = Attempt(run, out)
    stop: BaseException | None = None
    try:
        attempt.count_flops()
        outcome = train_it()
        record = attempt.write("ok", outcome=outcome, keep=partial(run.kind.keep_results, run, outcome, out))
        if distributed.world().main:
            checkpoint.remove(folder)
        return record
    except DivergedError as error:
        status, reason = "diverged", str(error)
    except DidNotLearnError as error:
        status, reason = DID_NOT_LEARN, str(error)
    except DeviceMemoryError as error:
        status, reason = "oom", str(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        status, reason = "oom", str(error).partition("\n")[0] or type(error).__name__
    except distributed.RankLostError as error:
        status, reason, stop = "interrupted", str(error), error
    except (KeyboardInterrupt, SystemExit) as error:
        status, reason, stop = "interrupted", type(error).__name__, error
    except DiskError as error:
        status, reason, stop = "interrupted", str(error), error
    except InputError:
        raise
    except Exception as error:
        if interruption.asked():  # it broke off a call that cannot be interrupted
            stop = interruption.error()
            status, reason = "interrupted", type(stop).__name__
        else:
            status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
            write_atomically(folder / "traceback.txt", traceback.format_exc().encode())
    if distributed.world().main and attempt.is_written:  # before the interruption came
        assert stop is not None
        raise stop
    try:
        record = attempt.write(status, reason, notes=noted)
    except DiskError as error:
        raise DiskError(f"{stop or reason}; nor can its record: {error}") from error
    if stop is not None:
        raise stop
    return record


def _initial(run: Run, out: Path) -> dict[str, torch.Tensor] | None:
    """Return the state dict that a run starts from, unless it starts from a file of pretrained weights."""
    if run.backbone is not None:
        return read_backbone(run.backbone)[0]
    if run.start is None:
        return None
    file, made = run.start.weights(out), finished(run.start, out)
    if not file.exists() or made is None:
        raise InputError(
            f"{run.label} starts from {run.start.printed.slug}, which left no weights"
            f" at {file}; run that first"
        )
    state = read_state_dict(file)
    if checkpoint.weights_hash(state) != made.weights_hash:
        raise InputError(
            f"{file}: not the weights of record {made.slug}/{made.name}, which has their hash;"
            " remove the file and run again"
        )
    return state
