"""Throughput results: what was timed on one machine, beside the machine's own ceilings.

``<folder>/throughput/<machine>.json`` holds one session of ``suites/throughput`` with every sample. All
that can be computed from the samples (medians, shares, ratios, targets) is written beside them for whoever
reads the file alone, and computed anew from them here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.records import hash_of
from reference.errors import InputError
from reference.files import write_atomically

SCHEMA = 1
SIGNIFICANT = 0.05
"""Largest p, after Holm's adjustment over all rows, at which two files are said to differ."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender's timings of one piece of work.

    Attributes:
        work: what was done. Contenders with the same work were timed in turn, on the same inputs.
        contender: ``"ours"``, ``"ours, <variant>"``, or the peer's name.
        unit: what a sample is a rate of, such as ``"images/s"``.
        items: how many of them one round did.
        samples: the rate of each round, in the rounds' order.
        settings: device, threads and dtype; of networks also pass, model, width, image_size and batch.
        flops: FLOPs of one item (a multiply-add is 2), None where that says nothing.
        bytes: bytes that one item must at least move, likewise.
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
        """The rate that is quoted, in ``unit``."""
        return statistics.median(self.samples)

    @property
    def is_ours(self) -> bool:
        return self.contender.partition(",")[0] == "ours"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What ``docs`` promise of a piece of work.

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
    def said(self) -> str:
        if not self.against:
            return f"≥ {self.at_least:,g} on one {self.gpu}"
        return f"≥ {self.at_least:g} × {' or '.join(self.against)}"


CONFUSION = "confusion matrix of 512² uint8 masks"
VIEWS = "BYOL views at 128 px"
VIEWS_GPU = "BYOL views at 128 px, GPU"
BYOL_STEP = "BYOL step, ResNet-50 at 128 px"
BYOL_STEP_GPU = "BYOL step, ResNet-50 at 128 px, GPU"
FCN32S = "train fcn32s_pad100 at 512 px, GPU"
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
        ceilings: by ``place`` of a row: FLOP/s of a large product by dtype, and ``copy``, the bytes/s that a
            large copy reads and writes; measured in the session's own process.
        failed: tests of the session that failed, so that no row of theirs is missed in silence.
    """

    machine: Mapping[str, Any]
    provenance: Mapping[str, Any]
    ceilings: Mapping[str, Mapping[str, float]]
    rows: tuple[Row, ...]
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

    def of(self, work: str) -> tuple[Row, ...]:
        """The contenders of one piece of work."""
        return tuple(row for row in self.rows if row.work == work)


def place(settings: Mapping[str, Any]) -> str:
    """Which ceilings bound a row: ``"cuda"``, or ``"cpu, 2 threads"``."""
    if settings["device"] != "cpu":
        return str(settings["device"])
    return f"cpu, {settings['threads']} thread{'s' if settings['threads'] > 1 else ''}"


# ---------------------------------------------------------------- what follows from the samples


def attainable(row: Row, result: Result) -> float | None:
    """The rate, in the row's unit, that the machine's ceilings allow (the roofline); None if unbounded."""
    ceilings = result.ceilings.get(place(row.settings), {})
    peak, copy = ceilings.get(str(row.settings.get("dtype"))), ceilings.get("copy")
    bounds = [peak / row.flops] if peak and row.flops else []
    bounds += [copy / row.bytes] if copy and row.bytes else []
    return min(bounds, default=None)


def share(row: Row, result: Result) -> float | None:
    """The share of that rate which was reached."""
    bound = attainable(row, result)
    return None if bound is None else row.median / bound


def ratio(row: Row, other: Row) -> float:
    """How many times as fast as ``other``: the median over rounds that both did on the same input."""
    return statistics.median(a / b for a, b in zip(row.samples, other.samples, strict=True))


def ratios(row: Row, result: Result) -> dict[str, float]:
    """Of one of ours to every other contender of its work."""
    if not row.is_ours:
        return {}
    return {other.contender: ratio(row, other) for other in result.of(row.work) if other is not row}


def reached(target: Target, result: Result) -> tuple[Row, float] | None:
    """Our row that a target is about and what it reached; None where this session says nothing of it."""
    rows = result.of(target.work)
    ours = [r for r in rows if r.is_ours and target.contender in ("", r.contender)]
    if not ours:
        return None
    best = max(ours, key=lambda row: row.median)
    if not target.against:
        return (best, best.median) if target.gpu in str(result.machine["gpu"]) else None
    peers = [row for row in rows if row.contender in target.against]
    return (best, min(ratio(best, peer) for peer in peers)) if peers else None


def targets(row: Row, result: Result) -> list[dict[str, Any]]:
    """The targets that are this row's to meet."""
    found = [(target, reached(target, result)) for target in TARGETS if target.work == row.work]
    return [
        {"target": target.said, "reached": hit[1], "met": hit[1] >= target.at_least}
        for target, hit in found
        if hit is not None and hit[0] is row
    ]


# ---------------------------------------------------------------- files

_DERIVED = ("median", "share_of_ceiling", "ratios", "targets")


def dumps(result: Result) -> str:
    """The file's content, with a hash of all the rest as its last entry."""
    body = dataclasses.asdict(result)
    for entry, row in zip(body["rows"], result.rows, strict=True):
        derived = (row.median, share(row, result), ratios(row, result), targets(row, result))
        entry |= dict(zip(_DERIVED, derived, strict=True))
    body = json.loads(json.dumps(body, ensure_ascii=False))  # tuples become lists before they are hashed
    body["content_hash"] = hash_of(body)
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path, result: Result) -> Path:
    """Write ``folder/throughput/<machine>.json`` in place of an earlier session's; returns the file."""
    path = folder / "throughput" / f"{result.slug}.json"
    write_atomically(path, dumps(result).encode())
    return path


def read(path: Path) -> Result:
    """One result file.

    Raises:
        InputError: missing, not JSON, another schema, keys missing or unknown, or edited by hand (hash).
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a result file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a throughput result: {error}; measure again") from error
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        found = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise InputError(f"{path}: throughput schema {found!r}, this version reads {SCHEMA}; update bench")
    if body.pop("content_hash", None) != hash_of(body):
        raise InputError(f"{path}: content does not match its hash; results are never edited: restore it")
    try:
        rows = tuple(_row(entry) for entry in body.pop("rows"))
        return Result(**{**body, "failed": tuple(body["failed"])}, rows=rows)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: keys missing or unknown: {error}; restore it or measure again") from error


def _row(entry: Mapping[str, Any]) -> Row:
    kept = {name: value for name, value in entry.items() if name not in _DERIVED}
    return Row(**{**kept, "samples": tuple(kept["samples"])})


def read_all(folder: Path) -> list[Result]:
    """Every result under ``folder/throughput``, in the order of their file names."""
    return [read(path) for path in sorted((folder / "throughput").glob("*.json"))]


# ---------------------------------------------------------------- two files of one machine


def compare(a: Result, b: Result) -> list[dict[str, Any]]:
    """One row for each work and contender of either session, with the factor from a to b.

    p is Mann and Whitney's, two-sided, on the samples, after Holm's adjustment over all rows: of many
    unchanged rows none should look changed.

    Raises:
        InputError: the sessions are of two machines.
    """
    from scipy.stats import mannwhitneyu

    from bench.grading import holm

    if a.machine != b.machine:
        raise InputError(
            f"{a.machine_name} and {b.machine_name}: two machines; compare sessions of one, "
            "or read ratios within each"
        )
    before, after = ({(row.work, row.contender): row for row in result.rows} for result in (a, b))
    both = [key for key in before if key in after and _alike(before[key], after[key])]
    tests = [float(mannwhitneyu(before[key].samples, after[key].samples).pvalue) for key in both]
    adjusted = dict(zip(both, holm(tests), strict=True))
    table = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        told: dict[str, Any] = {
            "work": key[0],
            "contender": key[1],
            "unit": (old or after[key]).unit,
            "A": None if old is None else _rounded(old.median),
            "B": None if new is None else _rounded(new.median),
            "B/A": None,
            "p": None,
        }
        if old is None or new is None:
            said = f"only in {'B' if old is None else 'A'}"
        elif key not in adjusted:
            said = "not compared: settings differ"
        else:
            factor = new.median / old.median
            told |= {"B/A": round(factor, 3), "p": _rounded(adjusted[key])}
            faster = "faster" if factor > 1 else "slower"
            said = f"B is {faster}" if adjusted[key] < SIGNIFICANT else "no difference shown"
        table.append(told | {"result": said})
    return table


def _alike(a: Row, b: Row) -> bool:
    return (a.unit, a.items, dict(a.settings)) == (b.unit, b.items, dict(b.settings))


def _rounded(value: float) -> float:
    """To four digits."""
    return float(f"{value:.4g}")


# ---------------------------------------------------------------- page and picture

_HOW_TO_READ = """\
*How to read this page.* Rates are medians over rounds, with the slowest and the fastest round in brackets.
Contenders of one piece of work took turns on the same inputs, new ones each round; a ratio is the median over
those rounds, so a machine that slows down slows down all of them. Absolute rates hold for the machine named
and for no other. *Share* is what was reached of the roofline: of the rate that the machine's own ceilings,
measured in the same process, allow for the FLOPs and bytes of an item. Bytes are those that products must
move even if all else is fused into them.
"""


def page(results: Sequence[Result], folder: Path) -> str:
    """All results as one page. It names the hash of each picture in ``folder``, as it lies there."""
    parts = ["# Throughput", _HOW_TO_READ]
    for result in results:
        parts += _machine_part(result, folder)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _machine_part(result: Result, folder: Path) -> list[str]:
    made = result.provenance
    commit = f"`{made['commit'][:9]}`" if made.get("commit") else "not in a checkout"
    software = [
        f"torch {made['packages']['torch']}",
        *([f"driver {made['driver']}"] if made["driver"] else []),
    ]
    parts = [
        f"## {result.machine_name}",
        f"{', '.join([*software, made['system']])}; commit {commit}"
        f"{' with changes' if made.get('dirty') else ''}; file `throughput/{result.slug}.json`.",
    ]
    if result.failed:
        parts.append(f"**Failed, so not below:** {', '.join(f'`{name}`' for name in result.failed)}.")
    parts.append(_table(*ceilings_table(result)))
    if roofline_points(result):
        picture = folder / picture_file(result)
        content = picture.read_bytes() if picture.exists() else b""
        parts.append(f"![Roofline of {result.machine_name}]({picture_file(result)})")
        parts.append(f"<!-- sha256 of the picture: {hashlib.sha256(content).hexdigest()} -->")
    parts += [_table(*targets_table(result)), _table(*rows_table(result))]
    return parts


Cells = tuple[list[str], list[list[str]]]
"""A table's heads and its rows; a line break in a cell parts what stands below each other."""


def ceilings_table(result: Result) -> Cells:
    """What the machine reaches at most, in each place that work was done."""
    rows = [
        [where, *(_si(limits.get(name)) for name in ("float32", "bfloat16", "copy"))]
        for where, limits in result.ceilings.items()
    ]
    return ["ceilings", "float32 FLOP/s", "bfloat16 FLOP/s", "copy B/s"], rows


def targets_table(result: Result) -> Cells:
    """Every target, and what this session reached of it."""
    rows = []
    for target in TARGETS:
        hit = reached(target, result)
        if hit is None:
            rows.append([target.work, target.said, "–", "not measured here"])
        else:
            rows.append([target.work, target.said, _si(hit[1]), "yes" if hit[1] >= target.at_least else "no"])
    return ["target", "at least", "reached", "met"], rows


def rows_table(result: Result) -> Cells:
    """Everything that was timed."""
    rows = []
    for row in result.rows:
        part = share(row, result)
        own = [f"{value:.3g} × {name}" for name, value in ratios(row, result).items()]
        spread = f"{_si(min(row.samples))}–{_si(max(row.samples))}"
        rows.append(
            [
                row.work,
                row.contender,
                f"{_si(row.median)} {row.unit} ({spread})",
                str(len(row.samples)),
                _si(row.flops),
                _si(row.bytes),
                "–" if part is None else f"{part:.0%}",
                "\n".join(own) or "–",
            ]
        )
    heads = ["work", "contender", "rate", "rounds", "FLOPs/item", "bytes/item", "share", "against the others"]
    return heads, rows


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    from tabulate import tabulate

    lines = [[cell.replace("\n", "<br>") for cell in row] for row in rows]
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)


def _si(value: float | None) -> str:
    """Three digits with a decimal prefix: ``"1.20 k"``, ``"790 T"``."""
    if value is None:
        return "–"
    for power, prefix in ((12, " T"), (9, " G"), (6, " M"), (3, " k")):
        if value >= 999.5 * 10 ** (power - 3):
            return f"{_digits(value / 10**power)}{prefix}"
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def pictures(results: Iterable[Result]) -> list[str]:
    """The files, below the results' folder, that ``draw`` writes."""
    return [picture_file(result) for result in results if roofline_points(result)]


def draw(results: Iterable[Result], folder: Path) -> list[Path]:
    """Draw the roofline of every machine that has networks in its rows; the files written."""
    from reference import visualize

    drawn = []
    for result in results:
        points = roofline_points(result)
        if not points:
            continue
        where = place(next(iter(points.values())).settings)
        limits = result.ceilings[where]
        visualize.roofline(
            {
                name: (row.flops / row.bytes, row.median * row.flops, str(row.settings["dtype"]))
                for name, row in points.items()
                if row.flops and row.bytes
            },
            peaks={name: peak for name, peak in limits.items() if name != "copy"},
            bandwidth=limits["copy"],
            title=f"Training steps on {result.machine['gpu'] or result.machine_name}",
            path=folder / picture_file(result),
        )
        drawn.append(folder / picture_file(result))
    return drawn


def roofline_points(result: Result) -> dict[str, Row]:
    """The fastest training step of each network, on the GPU where there is one."""
    trained = [
        row
        for row in result.rows
        if row.is_ours and row.settings.get("pass") == "train" and row.flops and row.bytes
    ]
    on_gpu = [row for row in trained if row.settings["device"] != "cpu"]
    points: dict[str, Row] = {}
    for row in sorted(on_gpu or trained, key=lambda row: row.median):
        points[f"{row.settings['model']} at {row.settings['image_size']} px"] = row
    return points if points and place(next(iter(points.values())).settings) in result.ceilings else {}


def picture_file(result: Result) -> str:
    """Where the roofline lies below the results' folder."""
    return f"figures/throughput/{result.slug}-roofline.png"
