"""Timing sessions: the timings of one machine and the ceilings measured on it.

``<folder>/throughput/<machine>.json`` holds one session of ``suites/throughput`` with every sample. The file
also states what follows from the samples (medians, shares, ratios, targets) for people who read it alone.
This module never reads those values; it computes them again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.runs.records import hash_of
from reference.errors import InputError
from reference.files import write_atomically

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How fast one contender did one piece of work.

    Attributes:
        work: what was done. Contenders with the same work were timed in turn, on the same inputs.
        contender: ``"ours"``, ``"ours, <variant>"``, or the peer's name.
        unit: what a sample is a rate of, such as ``"images/s"``.
        items: how many items one round did.
        samples: the rate of each round, in the rounds' order.
        settings: device, threads and dtype; of networks also pass, model, width, image_size and batch.
        flops: FLOPs of one item (a multiply-add is 2), None if that bounds nothing.
        bytes: the bytes that one item must move at least; None if that bounds nothing.
    """

    work: str
    contender: str
    unit: str
    items: float
    samples: tuple[float, ...]
    settings: Mapping[str, Any]
    flops: float | None = None
    bytes: float | None = None

    def __post_init__(self) -> None:
        if not self.samples or not all(math.isfinite(s) and s > 0 for s in self.samples):
            raise ValueError(f"{self.work}, {self.contender}: samples are {self.samples}, expected rates")

    @property
    def median(self) -> float:
        """The rate that tables and pages quote, in ``unit``."""
        return statistics.median(self.samples)

    @property
    def is_ours(self) -> bool:
        """Whether this project is the contender."""
        return self.contender.partition(",")[0] == "ours"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The rate that ``docs`` promise for a piece of work.

    Attributes:
        at_least: a rate in the work's unit, or a multiple of the fastest of ``against``.
        against: contenders of the same work; none for an absolute rate.
        contender: which of ours must reach it; the fastest if empty.
        gpu: part of the name of the GPU that an absolute rate is promised for.
    """

    work: str
    at_least: float
    against: tuple[str, ...] = ()
    contender: str = ""
    gpu: str = ""

    @property
    def promise(self) -> str:
        """The target in words, such as ``"≥ 20 × torchmetrics"``."""
        if not self.against:
            return f"≥ {self.at_least:,g} on one {self.gpu}"
        return f"≥ {self.at_least:g} × {' or '.join(self.against)}"


CONFUSION = "confusion matrix of 512² uint8 masks"
VIEWS = "BYOL views at 128 px"
VIEWS_GPU = "BYOL views at 128 px, GPU"
BYOL_STEP = "BYOL step, ResNet-50 at 128 px"
BYOL_STEP_GPU = "BYOL step, ResNet-50 at 128 px, GPU"
FCN32S = "train fcn32s_leaky at 512 px, GPU"
DEEPLAB = "train deeplabv3_resnet50 at 512 px, GPU"
WITH_INPUT = "ours, with its input"

TARGETS: tuple[Target, ...] = (
    Target(work=CONFUSION, at_least=20, against=("torchmetrics",)),
    Target(work=CONFUSION, at_least=10, against=("torchvision's reference",)),
    Target(work=VIEWS, at_least=1, against=("torchvision on PIL", "torchvision v2 on tensors")),
    Target(work=BYOL_STEP, at_least=1, against=("byol-pytorch",)),
    Target(work=VIEWS_GPU, at_least=40_000, gpu="H200"),
    Target(work=BYOL_STEP_GPU, at_least=6_600, gpu="H200"),
    Target(work=BYOL_STEP_GPU, at_least=2, against=("byol-pytorch",)),
    Target(work=BYOL_STEP_GPU, at_least=2, against=("lightly",)),
    # the input may cost 5 % of a step
    Target(work=BYOL_STEP_GPU, at_least=0.95, against=("ours",), contender=WITH_INPUT),
    Target(work=FCN32S, at_least=286, gpu="H200"),
    Target(work=DEEPLAB, at_least=270, gpu="H200"),
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One session on one machine.

    Attributes:
        machine: cpu, cores, gpu (None without one) and gpus: what makes two files comparable. No host name.
        provenance: as in a record: commit, dirty flag, versions, driver, kernel.
        ceilings: by ``place`` of a timing: FLOP/s of a large product by dtype, and ``copy``, the bytes/s that
            a large copy reads and writes; measured in the session's own process.
        failed: tests of the session that failed, whose timings are therefore missing.
    """

    machine: Mapping[str, Any]
    provenance: Mapping[str, Any]
    ceilings: Mapping[str, Mapping[str, float]]
    rows: tuple[Timing, ...]
    started: str
    failed: tuple[str, ...] = field(default=())
    schema: int = SCHEMA

    @property
    def slug(self) -> str:
        """The machine as a file name: its GPU, else its processor and how many cores of it."""
        machine = self.machine
        name = machine["gpu"] or f"{machine['cpu']} {machine['cores']} cores"
        many = f" x{machine['gpus']}" if machine["gpu"] and machine["gpus"] > 1 else ""
        return re.sub(r"[^a-z0-9]+", "-", f"{name}{many}".lower()).strip("-")

    @property
    def machine_name(self) -> str:
        """``"NVIDIA H200, Intel Xeon …, 16 cores"``."""
        machine = self.machine
        gpu = f"{machine['gpus']} × {machine['gpu']}, " if machine["gpu"] else ""
        return f"{gpu}{machine['cpu']}, {machine['cores']} cores"

    def of(self, work: str) -> tuple[Timing, ...]:
        """Return the timings of one piece of work."""
        return tuple(row for row in self.rows if row.work == work)


def place(settings: Mapping[str, Any]) -> str:
    """Return the key of the ceilings that bound a timing: ``"cuda"``, or ``"cpu, 2 threads"``."""
    if settings["device"] != "cpu":
        return str(settings["device"])
    return f"cpu, {settings['threads']} thread{'s' if settings['threads'] > 1 else ''}"


def attainable(row: Timing, result: Result) -> float | None:
    """Return the rate that the machine's ceilings allow (the roofline), in its unit; None if unbounded."""
    ceilings = result.ceilings.get(place(row.settings), {})
    peak, copy = ceilings.get(str(row.settings.get("dtype"))), ceilings.get("copy")
    bounds = [peak / row.flops] if peak and row.flops else []
    bounds += [copy / row.bytes] if copy and row.bytes else []
    return min(bounds, default=None)


def share(row: Timing, result: Result) -> float | None:
    """Return the median rate as a share of the attainable one; None if that is unbounded."""
    bound = attainable(row, result)
    return None if bound is None else row.median / bound


def ratio(row: Timing, other: Timing) -> float:
    """Return how many times as fast as ``other``: the median over rounds, which share their input."""
    return statistics.median(a / b for a, b in zip(row.samples, other.samples, strict=True))


def ratios(row: Timing, result: Result) -> dict[str, float]:
    """Return the ratio of a timing of ours to each other contender of its work."""
    if not row.is_ours:
        return {}
    return {other.contender: ratio(row, other) for other in result.of(row.work) if other is not row}


def reached(target: Target, result: Result) -> tuple[Timing, float] | None:
    """Return our timing that a target is about and what it reached; None if this session cannot tell."""
    rows = result.of(target.work)
    ours = [r for r in rows if r.is_ours and target.contender in ("", r.contender)]
    if not ours:
        return None
    best = max(ours, key=lambda row: row.median)
    if not target.against:
        return (best, best.median) if target.gpu in str(result.machine["gpu"]) else None
    peers = [row for row in rows if row.contender in target.against]
    return (best, min(ratio(best, peer) for peer in peers)) if peers else None


def targets(row: Timing, result: Result) -> list[dict[str, Any]]:
    """Return the targets that this timing has to meet, what it reached, and whether it met them."""
    outcomes = [(target, reached(target, result)) for target in TARGETS if target.work == row.work]
    return [
        {"target": target.promise, "reached": hit[1], "met": hit[1] >= target.at_least}
        for target, hit in outcomes
        if hit is not None and hit[0] is row
    ]


_DERIVED = ("median", "share_of_ceiling", "ratios", "targets")


def dumps(result: Result) -> str:
    """Return the text of a session's file; its last entry is a hash of all others."""
    body = dataclasses.asdict(result)
    for entry, row in zip(body["rows"], result.rows, strict=True):
        derived = (row.median, share(row, result), ratios(row, result), targets(row, result))
        entry |= dict(zip(_DERIVED, derived, strict=True))
    body = json.loads(json.dumps(body, ensure_ascii=False))  # tuples become lists before they are hashed
    body["content_hash"] = hash_of(body)
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def write_session(folder: Path, result: Result) -> Path:
    """Write ``folder/throughput/<machine>.json`` over an earlier session's; return the file."""
    path = folder / "throughput" / f"{result.slug}.json"
    write_atomically(path, dumps(result).encode())
    return path


def read_session(path: Path) -> Result:
    """Read one session's file.

    Raises:
        InputError: the file is missing, no JSON, of another schema or edited by hand (its hash differs),
            or keys are missing or unknown.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a result file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a throughput result: {error}; measure again") from error
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        schema = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise InputError(f"{path}: throughput schema {schema!r}, this version reads {SCHEMA}; update bench")
    if body.pop("content_hash", None) != hash_of(body):
        raise InputError(f"{path}: content does not match its hash; results are never edited: restore it")
    try:
        rows = tuple(_timing(entry) for entry in body.pop("rows"))
        return Result(**{**body, "failed": tuple(body["failed"])}, rows=rows)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: keys missing or unknown: {error}; restore it or measure again") from error


def _timing(entry: Mapping[str, Any]) -> Timing:
    kept = {name: value for name, value in entry.items() if name not in _DERIVED}
    return Timing(**{**kept, "samples": tuple(kept["samples"])})


def read_sessions(folder: Path) -> list[Result]:
    """Read every session under ``folder/throughput``, in the order of their file names."""
    return [read_session(path) for path in sorted((folder / "throughput").glob("*.json"))]
