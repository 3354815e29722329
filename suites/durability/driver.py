"""A process that has imported everything and forks a child for each command, which a test may kill anywhere.

Started as a script by ``conftest.py``; reads one job a line from stdin, answers one line. Nothing of the
product knows of it: a child replaces the functions at whose calls it is to be killed, then calls ``bench``.
Forking is sound here because the parent has one thread: it has imported torch and computed nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.backends.backend_agg
import matplotlib.backends.backend_svg
import pydantic.type_adapter
import sklearn.manifold
import torch
import torch._inductor.standalone_compile
from PIL import Image

import bench.cli
import bench.cli.list_rows
import bench.pages.report_tables
import bench.runs.pictures
import bench.runs.progress
from bench.__main__ import main
from bench.runs import execute, provenance, recording, tiers, training_run
from reference.files import write_atomically
from reference.recipes import RECIPES
from reference.training import loop
from reference.training.evaluation import Batches
from reference.training.state import Outcome

SECONDS = 300.0
"""After so long a child that has not ended counts as hanging."""

# The parent imports these once, so no child spends seconds on them. An optimiser imports torch's compiler.
_ = (
    matplotlib.backends.backend_agg,
    matplotlib.backends.backend_svg,
    pydantic.type_adapter,
    sklearn.manifold,
    torch._inductor.standalone_compile,
    bench.cli,
    bench.cli.list_rows,
    bench.runs.pictures,
    bench.runs.progress,
    bench.pages.report_tables,
    RECIPES,
)


def kind_of(path: str) -> str:
    """What is written under that name: ``.checkpoint.pt.0123.tmp`` is part of a checkpoint."""
    name = Path(path).name
    for part, kind in (
        ("checkpoint", "checkpoint"),
        ("weights.safetensors", "weights"),
        ("epoch-", "masks"),
        ("tsne-", "embedding"),
        ("owner.json", "owner"),
        ("probe", "probe"),
        (".png", "figure"),
        (".svg", "figure"),
        (".npz", "results"),
        (".npy", "cache"),
        (".json", "record"),
        (".md", "page"),
    ):
        if part in name:
            return kind
    return "other"


class Instants:
    """Counts the calls at which a child can be killed, and kills it at one of them."""

    def __init__(self, place: str | None, nth: int, number: int, rival: str | None) -> None:
        self._rival = rival
        self.seen: Counter[str] = Counter()
        self.order: list[str] = []
        self._place, self._nth, self._number = place, nth, number

    def due(self, place: str) -> bool:
        self.seen[place] += 1
        self.order.append(place)
        return place == self._place and self.seen[place] == self._nth

    def strike(self) -> None:
        if self._rival is not None:
            program = [sys.executable, __file__, *sys.argv[1:]]
            done = subprocess.run(program, capture_output=True, text=True, check=False)
            Path(self._rival).write_text(json.dumps([done.returncode, done.stdout, done.stderr, os.getpid()]))
            return
        os.kill(os.getpid(), self._number)
        if self._number == signal.SIGKILL:
            time.sleep(SECONDS)

    def __call__(self, place: str) -> None:
        if self.due(place):
            self.strike()


def patch(instants: Instants, refuse: dict[str, Any] | None) -> None:
    """Make every write, sync and rename, every step and every batch that is evaluated an instant.

    Args:
        refuse: ``{"kind": …, "nth": …, "errno": …}``: the system refuses that write, and all
            after it, or with ``only`` all of that kind.
    """
    opened: dict[int, str] = {}
    system_open, pwrite, fsync, replace = os.open, os.pwrite, os.fsync, os.replace
    refusing: list[int] = []

    def open_(path: Any, *words: Any, **named: Any) -> int:
        file = system_open(path, *words, **named)
        opened[file] = kind_of(str(path))
        return file

    def pwrite_(file: int, data: memoryview, offset: int) -> int:
        kind = opened.get(file, "other")
        if refuse and (
            refusing or (kind == refuse["kind"] and instants.seen[f"write {kind}"] + 1 >= refuse["nth"])
        ):
            refusing.append(file)
            raise OSError(refuse["errno"], os.strerror(refuse["errno"]))
        if instants.due(f"write {kind}"):
            pwrite(file, data[: len(data) // 2], offset)
            instants.strike()
        return pwrite(file, data, offset)

    def fsync_(file: int) -> None:
        instants(f"sync {opened.get(file, 'other')}")
        fsync(file)

    def replace_(source: Any, target: Any) -> None:
        kind = kind_of(str(target))
        instants(f"rename {kind}")
        replace(source, target)
        instants(f"renamed {kind}")

    os.open, os.pwrite, os.fsync, os.replace = open_, pwrite_, fsync_, replace_  # type: ignore[assignment]

    train_step, in_order, draw = loop.train_step, Batches.in_order, training_run.draw

    def step(*words: Any, **named: Any) -> Any:
        instants("step")
        result = train_step(*words, **named)
        instants("stepped")
        return result

    def batches(self: Batches, size: int) -> Iterator[Any]:
        for batch in in_order(self, size):
            instants("evaluation")
            yield batch

    def drawn(*words: Any, **named: Any) -> Any:
        instants("drawing")
        return draw(*words, **named)

    loop.train_step, Batches.in_order, training_run.draw = step, batches, drawn  # type: ignore[assignment,method-assign]


def tiny() -> None:
    """Every recipe in seconds: three epochs of small images on narrow networks."""
    tiers.SMOKE_WIDTH = 2
    for role in tiers.SMOKE:
        tiers.SMOKE[role] |= {"epochs": 3, "image_size": 32, "batch_size": 4}
    recording.flops_per_sample = lambda recipe: (0.0, 0.0)  # seconds of counting that no kill needs
    found = provenance.source()  # of the code as it was imported, whatever is edited meanwhile
    provenance.source = lambda: found
    provenance.reference_hash()


def one_picture(
    recipe: Any, tier: str, dataset: Any, outcome: Outcome, work: Path, out: Path, name: str, _: object
) -> list[dict[str, str]]:
    """In place of drawing, which takes longer than all else: the curves, written as pictures are."""
    colour = hashlib.sha256(repr(sorted(outcome.curves.items())).encode()).digest()[:3]
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), tuple(colour)).save(picture, "PNG")
    content = picture.getvalue()
    path = out / "figures" / recipe.slug / f"{name}-curves.png"
    write_atomically(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    return [{"kind": "curves", "file": path.relative_to(out).as_posix(), "sha256": sha256}]


def child(job: dict[str, Any]) -> int:
    """One call of ``bench`` as a user's shell makes it."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not job.get("draw"):
        training_run.draw = one_picture
    instants = Instants(job.get("place"), job.get("nth", 1), job.get("signal", 0), job.get("rival"))
    patch(instants, job.get("refuse"))
    if "largest_file" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"], job["largest_file"]))
    spoil: Callable[[], None] | None = SPOILS.get(job.get("spoil", ""))
    if spoil is not None:
        spoil()
    execute.execute = partial(execute.execute, checkpoint_seconds=job.get("checkpoint_seconds", 0.0))
    sys.argv = ["bench", *job["words"]]
    try:
        main()
    except SystemExit as error:
        code = int(error.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    if "instants" in job:
        Path(job["instants"]).write_text(json.dumps(instants.order))
    return code


def _nan() -> None:
    _after_steps(lambda output: output * float("nan"))


def _infinite() -> None:
    _after_steps(lambda output: output + float("inf"))


def _after_steps(change: Callable[[Any], Any], *, steps: int = 5) -> None:
    """The objective is changed from that step on."""
    count = Counter[str]()
    for task in loop.TASKS.values():
        objective = task.objective

        def changed(*words: Any, of: Callable[..., Any] = objective) -> Any:
            count["step"] += 1
            value = of(*words)
            return change(value) if count["step"] > steps else value

        task.objective = changed


def _explode() -> None:
    """The loss is finite, its gradient grows a million times over."""
    _after_steps(lambda output: output + 1e6 * (output - output.detach()))


def _no_memory() -> None:
    """A device that holds two images at once, as its allocator would say it."""
    for task in loop.TASKS.values():
        objective = task.objective

        def limited(output: Any, targets: Any, *words: Any, of: Callable[..., Any] = objective) -> Any:
            if len(targets) > 2:
                raise torch.OutOfMemoryError("tried to allocate more than there is\nand much more is said")
            return of(output, targets, *words)

        task.objective = limited


def _bug() -> None:
    def broken(output: Any) -> Any:
        raise RuntimeError("a bug\nof two lines")

    _after_steps(broken)


SPOILS: dict[str, Callable[[], None]] = {
    "nan": _nan,
    "infinite": _infinite,
    "explode": _explode,
    "memory": _no_memory,
    "bug": _bug,
}


def serve() -> None:
    tiny()
    for line in sys.stdin:
        job = json.loads(line)
        threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
        begun = time.monotonic()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = child(job)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        struck = wait(pid, job, begun)
        answer = {"threads": threads, "seconds": time.monotonic() - begun, **struck}
        print(json.dumps(answer), flush=True)


def wait(pid: int, job: dict[str, Any], begun: float) -> dict[str, Any]:
    """Wait for a child, striking it from outside after ``job["after"]`` seconds where that is given."""
    after, struck_at, hung = job.get("after"), None, False
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        now = time.monotonic() - begun
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "struck_at": struck_at, "hung": hung}
        if after is not None and struck_at is None and now >= after:
            os.kill(pid, job["signal"])
            struck_at = now
        if now > SECONDS and not hung:
            os.kill(pid, signal.SIGKILL)
            hung = True
        time.sleep(0.002)


def rival() -> None:
    """The same command of a second user, in a process that has nothing to do with the first."""
    tiny()
    training_run.draw = one_picture
    main()


if __name__ == "__main__":
    if sys.argv[1:]:
        rival()
    serve()
