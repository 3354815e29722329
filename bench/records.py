"""Records: one immutable JSON file for every run that was started, whatever became of it.

``<folder>/records/<slug>/<run_id>.json``; a second run of the same id gets ``<run_id>-2.json`` and so
on. Beside it lies ``<name>.npz`` with the per-image results of its selected epoch.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference.errors import InputError

SCHEMA = 1
STATUSES = ("ok", "failed", "diverged", "oom", "timeout", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one run was, did and cost. Times are in seconds, memory in bytes, metrics as fractions.

    Attributes:
        run_id: hash of (tiered recipe, data manifest, seed, device kind, numerics).
        attempt: 1 for the first run of this id, then 2, 3, …
        reason: why a run that is not ok ended; empty else.
        recipe: every setting of the tiered recipe; ``recipe_hash`` is the hash of those at full tier.
        data: role, name, source, manifest, classes, scored, train, val and unique_val counts, note.
        initial_weights: what training started from, and the hash of those weights.
        metrics: at ``best`` and ``final``: {metric: {value, numerator, denominator}}, with
            ``epoch``, ``loss`` and ``majority`` (the same metric of always answering the majority class).
        confusion: rows truth, columns prediction, pooled over the validation split, at the best epoch.
        curves: one value an epoch, by name.
        throughput: training samples/s, forward and training FLOPs a sample.
        figures: pictures of this run, and masks as JSON: kind, file (relative to the folder that holds
            ``records``), sha256.
    """

    run_id: str
    attempt: int
    slug: str
    claims: tuple[str, ...]
    tier: str
    status: str
    reason: str
    seed: int
    recipe: dict[str, Any]
    recipe_hash: str
    assumptions: list[dict[str, str]]
    deviations: list[dict[str, str]]
    numerics: dict[str, Any]
    data: dict[str, Any]
    initial_weights: dict[str, str]
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    confusion: list[list[int]]
    curves: dict[str, list[float | None]]
    weights_hash: str
    parameters: int
    throughput: dict[str, float]
    peak_memory: int
    wall_seconds: float
    device_seconds: float
    segments: list[dict[str, float]]
    figures: list[dict[str, str]]
    notes: list[str]
    started: str
    schema: int = SCHEMA

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.run_id if self.attempt == 1 else f"{self.run_id}-{self.attempt}"

    @property
    def selected(self) -> str:
        """Which evaluation the recipe reports: ``"best"`` or ``"final"``."""
        return str(self.recipe["selection"])

    def metric(self, name: str) -> float | None:
        """The recipe's reported value of a metric; None where the run has none or it is undefined."""
        entry = self.metrics.get(self.selected, {}).get("metrics", {}).get(name)
        return None if entry is None or entry["value"] is None else float(entry["value"])

    def counts(self, name: str) -> tuple[int, int] | None:
        """Numerator and denominator of that value, where it is a quotient of counts."""
        entry = self.metrics.get(self.selected, {}).get("metrics", {}).get(name)
        if entry is None or entry["numerator"] is None:
            return None
        return int(entry["numerator"]), int(entry["denominator"])


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: what hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(value: Any) -> str:
    """sha256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def dumps(record: Record) -> str:
    """The file's content, with a hash of all the rest as its last entry."""
    body = dataclasses.asdict(record)
    body["content_hash"] = hash_of(body)
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=True) + "\n"


def read(path: Path) -> Record:
    """One record.

    Raises:
        InputError: not JSON, another schema, keys missing or unknown, or edited by hand (hash).
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a record: {error}; move it away and run again") from error
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        found = body.get("schema") if isinstance(body, dict) else type(body).__name__
        raise InputError(f"{path}: record schema {found!r}, this version reads {SCHEMA}; update bench")
    declared = body.pop("content_hash", None)
    if declared != hash_of(body):
        raise InputError(f"{path}: content does not match its hash; a record is never edited: restore it")
    names = {field.name for field in dataclasses.fields(Record)}
    odd = sorted(names ^ set(body))
    if odd:
        raise InputError(f"{path}: record keys missing or unknown: {', '.join(odd)}; restore the file")
    body["claims"] = tuple(body["claims"])
    return Record(**body)


def read_all(folder: Path) -> list[Record]:
    """Every record under ``folder/records``, ordered by slug, seed and file name."""
    with _no_collection():
        found = [read(path) for path in paths(folder)]
    return sorted(found, key=lambda r: (r.slug, r.tier, r.data["source"], r.seed, r.run_id, r.attempt))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of objects that all stay would be searched for garbage again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def paths(folder: Path) -> Iterator[Path]:
    """Files of the records under ``folder/records``, in name order."""
    return iter(sorted((folder / "records").glob("*/*.json")))


def path_of(folder: Path, record: Record) -> Path:
    """Where a record lies under ``folder``."""
    return folder / "records" / record.slug / f"{record.name}.json"
