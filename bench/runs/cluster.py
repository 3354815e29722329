"""Run on an existing Ray cluster: one task per run, retried on another node from its last checkpoint.

Runs work in a folder that every node sees, so their checkpoints survive the loss of a node. The driver is
the process of ``bench run --cluster``. It submits the runs that can start, writes every file that a run
returns, and passes the weights on to the runs that start from them. A run whose files are written never runs
again. Workers need exactly this code and the data under the same path. Both are checked before training.

Anybody who reaches the port of a Ray cluster can run code on it, unless it asks for a token
(``RAY_AUTH_MODE=token``).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bench.runs import execute, interruption, provenance, records, run_plan
from bench.runs.records import Record
from bench.runs.run_plan import Run
from reference.data.dataset import Dataset, Split
from reference.errors import InputError
from reference.files import write_atomically
from reference.training import checkpoint
from reference.training.state import Progress

RETRIES = 3
"""How often a run is begun again on another node after the one it was on has gone."""
POLL_SECONDS = 1.0
ANSWER_SECONDS = 10.0
CHECKPOINT_SECONDS = 30.0
"""Least time between two checkpoints of a run. A lost node costs at most this and an epoch."""
CPUS_BESIDE_A_GPU = 4
"""Cores that a run on a GPU has for drawing, decoding and copying."""


@dataclass(frozen=True)
class Folders:
    """Folders, as paths that are valid on every node.

    Attributes:
        data: the data in the official layout; None for drawn data.
        shared: the working folder of all runs. The driver sees it too, and another node resumes from its
            checkpoints.
    """

    data: Path | None
    weights: Path | None
    cache: Path | None
    shared: Path


def connect(address: str) -> ModuleType:
    """Connect to the cluster at ``address`` and return Ray.

    Raises:
        InputError: Ray is not installed, nothing answers there, or the token is wrong.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--cluster: Ray is not installed; pip install -e '.[ray]'") from None
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:  # Ray would end the process
        raise InputError(
            f"--cluster {address}: nothing answers there ({error}); give HOST:PORT of 'ray start --head'"
        ) from None
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # of runs that are cancelled after a refusal
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray takes it for itself
    except (ConnectionError, RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise InputError(
            f"--cluster {address}: no cluster to join ({cause}); give HOST:PORT of 'ray start --head',"
            " and the token if it asks for one"
        ) from error
    if os.environ.get("RAY_AUTH_MODE") != "token":
        print(f"{address} asks for no token: whoever reaches it can run code there (docs/scale.md)")
    return ray


def choose_device(ray: ModuleType, wanted: str) -> str:
    """Choose the type of device; ``auto`` takes CUDA if the cluster has a GPU.

    Raises:
        InputError: no node has such a device.
    """
    has_gpu = ray.cluster_resources().get("GPU", 0) >= 1
    kind, number = run_plan.device_type(wanted)
    if kind == "auto":
        return "cuda" if has_gpu else "cpu"
    if kind == "cuda" and number is not None:
        raise InputError(f"--device {wanted}: the cluster gives each run a GPU; say cuda")
    if kind == "cpu" or (kind == "cuda" and has_gpu):
        return kind
    raise InputError(f"--device {wanted}: no node of the cluster has it; use cpu or auto")


def needs(run: Run) -> dict[str, float]:
    """Return the CPUs and GPUs that Ray must reserve for a run."""
    if run.numerics.device == "cuda":
        return {"num_gpus": 1, "num_cpus": CPUS_BESIDE_A_GPU}
    return {"num_cpus": 1}


# ---------------------------------------------------------------- on a worker


class Standing:
    """An actor on the driver's machine that knows the node and the progress of each run."""

    def __init__(self) -> None:
        self._standing: dict[str, tuple[str, str]] = {}

    def note(self, run_id: str, node: str, progress_text: str) -> None:
        """Remember the node of a run and its progress."""
        self._standing[run_id] = node, progress_text

    def all(self) -> dict[str, tuple[str, str]]:
        """Return node and progress of every run that has begun, by its id."""
        return self._standing


def work(
    run: Run,
    code: str,
    folders: Folders,
    files: Mapping[str, bytes],
    start: bytes | None,
    standing: Any,
    checkpoint_seconds: float,
) -> Any:
    """Train one run on this node. Return every file that it leaves, by its path under the output folder.

    Args:
        run: the run without its images; this node opens them.
        code: ``provenance.code_hash`` of the driver.
        files: records of earlier attempts and of the run that this one starts from, by path.
        start: weights that the run starts from.

    Raises:
        InputError: this node's code or data are not the driver's.
    """
    import ray

    node = ray.get_runtime_context().get_node_id()
    standing.note.remote(run.run_id, node, "opening")
    if provenance.code_hash() != code:
        raise InputError(
            f"node {node[:8]}: its bench or reference is not the driver's; install the same commit there"
        )
    out = folders.shared
    palette = run.dataset.palette
    dataset = run_plan.open_data(
        run.recipe,
        run.printed,
        folders.data,
        folders.cache or out / "cache",
        {},
        mask_values=palette.mask_values if palette else (),
    )
    if dataset.manifest != run.dataset.manifest:
        raise InputError(
            f"node {node[:8]}: {folders.data} holds other data for {run.recipe.data} than the driver's"
            f" (manifest {dataset.manifest[:12]}, expected {run.dataset.manifest[:12]}); copy it anew"
        )
    here = replace(run, dataset=dataset)
    _write(out, files)
    if here.start is not None and start is not None:
        write_atomically(here.start.weights(out), start)
    if not _finished_since(here, out, files):
        execute.execute(
            here,
            out,
            weights=folders.weights,
            checkpoint_seconds=checkpoint_seconds,
            progress=_Reporter(run.run_id, node, standing),
        )
    return _left_by(here, out)


def _finished_since(run: Run, out: Path, before: Mapping[str, bytes]) -> bool:
    """Whether a lost node had finished the run but had not returned it yet."""
    new = _records_of(run, out).keys() - before.keys()
    return any(records.read_record(out / name).status == "ok" for name in new)


def _records_of(run: Run, out: Path) -> dict[str, bytes]:
    """Return every record of a run, by path under ``out``."""
    paths = (out / "records" / run.printed.slug).glob(f"{run.run_id}*.json")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        write_atomically(folder / name, content)


class _Reporter:
    """Reports the progress of a run once a second and after each evaluation."""

    def __init__(self, run_id: str, node: str, standing: Any) -> None:
        self._run_id, self._node, self._standing = run_id, node, standing
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._told >= POLL_SECONDS or progress.scores:
            self._told = time.monotonic()
            progress_text = f"{progress.unit} {progress.epoch}/{progress.epochs}"
            self._standing.note.remote(self._run_id, self._node, progress_text)


def _left_by(run: Run, out: Path) -> dict[str, bytes]:
    """Return record, per-image results, pictures and weights of one run, by path under ``out``."""
    slug = run.printed.slug
    places = (
        f"records/{slug}/{run.run_id}*",
        f"figures/{slug}/{run.run_id}*",
        f"work/{slug}/{run.run_id}/weights.safetensors",
        f"work/{slug}/{run.run_id}/traceback.txt",
    )
    paths = [path for place in places for path in out.glob(place) if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


# ---------------------------------------------------------------- the driver


def run_all(
    ray: ModuleType,
    todo: Sequence[Run],
    out: Path,
    folders: Folders,
    *,
    resume: bool,
    say: Callable[..., None],
) -> list[str]:
    """Run all of ``todo`` on the cluster, write their files under ``out``, and return the status of each.

    Args:
        say: called with (run, name of the node, message) when the message changes.

    Raises:
        InputError: a worker refused its run. The others are cancelled and keep their checkpoints.
        KeyboardInterrupt, SystemExit: the user ends it. All runs are cancelled and keep their checkpoints.
    """
    if not todo:
        return []
    driver = _Driver(ray, out, folders, resume=resume, say=say)
    try:
        return driver.run(todo)
    except BaseException:
        driver.cancel()
        raise


class _Driver:
    def __init__(
        self, ray: ModuleType, out: Path, folders: Folders, *, resume: bool, say: Callable[..., None]
    ) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._out, self._where, self._resume, self._say = ray, out, folders, resume, say
        own_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._standing = ray.remote(Standing).options(num_cpus=0, scheduling_strategy=own_node).remote()
        self._running: dict[Any, Run] = {}
        self._statuses: dict[str, str] = {}

    def run(self, todo: Sequence[Run]) -> list[str]:
        waiting = {run.run_id: run for run in todo}
        while waiting or self._running:
            for run in list(waiting.values()):
                start = run.start
                if start is not None and start.run_id in waiting | self._running_ids():
                    continue
                del waiting[run.run_id]
                if start is not None and not start.weights(self._out).exists():
                    self._tell(run, f"not started: {start.printed.slug} left no weights", "not started")
                else:
                    self._submit(run)
            interruption.stop_if_asked()
            done, _ = self._ray.wait(list(self._running), timeout=POLL_SECONDS) if self._running else ([], [])
            for reference in done:
                self._receive(reference, self._running.pop(reference))
            self._look()
        return [self._statuses[run.run_id] for run in todo]

    def _running_ids(self) -> dict[str, Run]:
        return {run.run_id: run for run in self._running.values()}

    def _submit(self, run: Run) -> None:
        files = _records_of(run, self._out)
        if run.start is not None:
            files |= _records_of(run.start, self._out)
        if not self._resume:
            checkpoint.remove(run.folder(self._where.shared))
            files = (
                _records_of(run, self._where.shared) | files
            )  # else they would pass for files of this attempt
        start = None if run.start is None else self._ray.put(run.start.weights(self._out).read_bytes())
        task = self._ray.remote(work).options(max_retries=RETRIES, name=run.label, **needs(run))
        reference = task.remote(
            _without_images(run),
            provenance.code_hash(),
            self._where,
            files,
            start,
            self._standing,
            CHECKPOINT_SECONDS,
        )
        self._running[reference] = run
        self._say(run, "", "submitted")

    def _receive(self, reference: Any, run: Run) -> None:
        errors = self._ray.exceptions
        try:
            files: dict[str, bytes] = self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(f"{run.label}: {error.cause}") from None
            cause = str(error).strip().splitlines()[-1]
            self._tell(run, f"failed on its node: {cause}", "failed")
        except errors.RayError as error:  # the worker crashed, ran out of memory, or was lost with its node
            cause = str(error).strip().splitlines()[0]
            self._tell(run, f"lost: {cause}", "lost")
        else:
            record = self._write(files)
            self._statuses[run.run_id] = record.status
            self._say(run, "", record)

    def _write(self, files: Mapping[str, bytes]) -> Record:
        """Write every file, the newest record last: until it is there, the run counts as missing."""
        newest = max((n for n in files if n.startswith("records/") and n.endswith(".json")), key=_attempt)
        _write(self._out, {name: content for name, content in files.items() if name != newest})
        write_atomically(self._out / newest, files[newest])
        return records.read_record(self._out / newest)

    def _tell(self, run: Run, what: str, status: str) -> None:
        self._statuses[run.run_id] = status
        self._say(run, "", what)

    def _look(self) -> None:
        names = {node["NodeID"]: node.get("NodeName") or node["NodeID"][:8] for node in self._ray.nodes()}
        standing = self._ray.get(self._standing.all.remote())
        for run in self._running.values():
            node, what = standing.get(run.run_id, ("", "waiting for a node"))
            self._say(run, names.get(node, ""), what)

    def cancel(self) -> None:
        """Stop every run. The same command resumes each from its last checkpoint in the shared folder."""
        for reference in self._running:
            self._ray.cancel(reference, force=False)


def _attempt(name: str) -> int:
    """Return the attempt in ``…/<run_id>-<attempt>.json``, or 1 for ``…/<run_id>.json``."""
    _, _, number = Path(name).stem.partition("-")
    return int(number or 1)


def _without_images(run: Run) -> Run:
    """Return the run as it is sent: without images, since a worker opens them itself."""
    start = None if run.start is None else _without_images(run.start)
    return replace(run, dataset=_emptied(run.dataset), start=start)


def _emptied(dataset: Dataset) -> Dataset:
    nothing = Split((), np.empty(0, np.uint8), np.empty(0, np.int64))
    return replace(dataset, train=nothing, val=nothing)


# ---------------------------------------------------------------- what is seen


class ProgressBoard:
    """Shows all runs: a live table on a terminal, elsewhere a line whenever a run advances."""

    def __init__(self, todo: Sequence[Run], summary: Callable[[Record], str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._summary = summary
        self._rows = {run.run_id: [run.label, "", "waiting"] for run in todo}
        console = Console()
        self._live = Live(self._table(), console=console) if console.is_terminal else None

    def __enter__(self) -> ProgressBoard:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, run: Run, node: str, what: str | Record) -> None:
        told = self._summary(what) if isinstance(what, Record) else what
        row = [run.label, node, told]
        if self._rows[run.run_id] == row:
            return
        self._rows[run.run_id] = row
        if self._live is not None:
            self._live.update(self._table())
        else:
            print(f"{row[0]}: {told}" + (f" on {node}" if node else ""), flush=True)

    def _table(self) -> Any:
        from rich.table import Table

        table = Table("run", "node", "", box=None, pad_edge=False, header_style="bold")
        for row in self._rows.values():
            table.add_row(*row)
        return table
