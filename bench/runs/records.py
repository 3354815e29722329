"""Records: one immutable JSON file for every run that was started, however it ended.

A record is ``<folder>/records/<slug>/<run_id>.json``. A second run of the same id gets ``<run_id>-2.json``,
and so on. ``<name>.npz`` next to it holds the per-image results of the selected epoch.
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
from typing import Any, NamedTuple

from bench.claims.schema import (
    FINITE,
    INDEX,
    LARGEST,
    TABLE,
    Holds,
    Type,
    check_types,
    is_real,
    list_of,
    matches,
    table_of,
)
from reference.errors import InputError

SCHEMA = 3
"""What a run writes now. Since 2 ``initial_weights`` holds ``start`` and ``start_recipe``; since 3 there are
``planned_seeds`` and ``again``, which are read as unknown and empty in older ones."""
READABLE = (1, 2, 3)
DID_NOT_LEARN = "did not learn"
"""The run was stopped because its training loss stayed at a constant predictor's."""
STATUSES = ("ok", "failed", "diverged", DID_NOT_LEARN, "oom", "timeout", "interrupted")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run: its settings, results and cost. Times are in seconds, memory in bytes, metrics as fractions.

    Attributes:
        run_id: hash of (tiered recipe, data manifest, seed, device kind, numerics).
        attempt: 1 for the first run of this id, then 2, 3, …
        reason: why the run ended if it is not ok; else empty.
        planned_seeds: how many seeds of the recipe the command planned that started this run; 0 if unknown.
        again: why a finished run was started again; empty for the first run of its id.
        recipe: every setting of the tiered recipe; ``recipe_hash`` is the hash of those at full tier.
        data: role, name, source, manifest, classes, scored, train, val and unique_val counts, note.
        initial_weights: what training started ``from``, and the ``hash`` of those weights. ``start`` is the
            hash of how they were made, the seed left out, which seeds of one group share
            (``bench.runs.starts``); ``start_recipe`` the hash of the recipes that made them.
        metrics: at ``best`` and ``final``: {metric: {value, numerator, denominator}}, with
            ``epoch``, ``loss`` and ``majority`` (the same metric of always answering the majority class).
        confusion: rows truth, columns prediction, pooled over the validation split, at the best epoch.
        curves: one value an epoch, by name.
        throughput: training samples/s of all processes together, forward and training FLOPs a sample.
            ``provenance`` has ``world_size``, and the samples/s of each in ``rank_samples_per_second``.
        figures: pictures of this run, and masks as JSON: kind, file (relative to the folder that holds
            ``records``), sha256; of masks also the ``epochs`` shown, such as ``"1, 20, 34"``.
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
    planned_seeds: int = 0
    again: str = ""
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
        """Return the recipe's reported value of a metric; None if the run has none or it is undefined."""
        entry = self.metrics.get(self.selected, {}).get("metrics", {}).get(name)
        return None if entry is None or entry["value"] is None else float(entry["value"])

    def counts(self, name: str) -> tuple[int, int] | None:
        """Return numerator and denominator of that value if it is a quotient of counts, else None."""
        entry = self.metrics.get(self.selected, {}).get("metrics", {}).get(name)
        if entry is None or entry["numerator"] is None:
            return None
        return int(entry["numerator"]), int(entry["denominator"])

    def epochs_drawn(self, kind: str) -> list[int]:
        """The epochs that pictures of a kind show, in the run's own counting; empty for other kinds.

        A record that does not note the epochs of its masks shows those of its recipe.
        """
        for figure in self.figures:
            if figure["kind"] == kind and "epochs" in figure:
                return [int(epoch) for epoch in figure["epochs"].split(", ")]
        field = {"masks": "mask_epochs", "tsne": "embed_epochs", "pca": "embed_epochs"}.get(kind, "")
        return list(self.recipe.get(field, ()))


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def dumps(record: Record) -> str:
    """Return the file's content. Its last entry is a hash of everything before it."""
    body = dataclasses.asdict(record)
    body["content_hash"] = hash_of(body)
    return json.dumps(body, indent=1, ensure_ascii=False, allow_nan=True) + "\n"


def read_record(path: Path) -> Record:
    """Read one record.

    Raises:
        InputError: not JSON, another schema, keys missing or unknown, edited by hand (hash), or a value
            that no run writes.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        readable = isinstance(body, dict) and body.get("schema") in READABLE
        declared = body.pop("content_hash", None) if readable else None
        content_hash = hash_of(body) if readable else ""
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a record") from error
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8, and absurd numbers
        cause = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a record: {cause}; move it away and run again") from error
    if not readable:
        schema = body.get("schema") if isinstance(body, dict) else type(body).__name__
        readable_ones = " and ".join(map(str, READABLE))
        raise InputError(
            f"{path}: record schema {schema!r:.80}, this version reads {readable_ones}; update bench"
        )
    if declared != content_hash:
        raise InputError(f"{path}: content does not match its hash; a record is never edited: restore it")
    if body["schema"] < 3:  # before both were recorded
        body = {"planned_seeds": 0, "again": ""} | body
    types = _TYPES_OF_1 if body["schema"] == 1 else _TYPES
    check_types(body, types, types, str(path), remedy="restore the file")
    body["claims"] = tuple(body["claims"])
    return Record(**body)


class Found(NamedTuple):
    """All records of a folder. One that cannot be read does not hide the others.

    Attributes:
        readable: ordered by slug, tier, source of the data, seed and file name.
        refused: one line for each that ``read_record`` refuses: its path below the folder and why.
    """

    readable: list[Record]
    refused: list[str]


def find(folder: Path) -> Found:
    """Read every record under ``folder/records``."""
    read_and_refused = Found([], [])
    with no_collection():
        for path in paths(folder):
            try:
                read_and_refused.readable.append(read_record(path))
            except InputError as error:
                read_and_refused.refused.append(str(error).removeprefix(f"{folder}/"))
        read_and_refused.readable.sort(
            key=lambda r: (r.slug, r.tier, r.data["source"], r.seed, r.run_id, r.attempt),
        )
    return read_and_refused


def read_all(folder: Path) -> list[Record]:
    """Return the records that can be read."""
    return find(folder).readable


@contextmanager
def no_collection() -> Iterator[None]:
    """Pause garbage collection while many records are read: millions of objects stay, and none is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def paths(folder: Path) -> Iterator[Path]:
    """Yield the files of the records under ``folder/records``, in name order."""
    return iter(sorted((folder / "records").glob("*/*.json")))


def path_of(folder: Path, record: Record) -> Path:
    """Return the path of a record under ``folder``."""
    return folder / "records" / record.slug / f"{record.name}.json"


# What a run writes --------------------------------------------------------------------------------------


def _counts(value: Any) -> bool:
    """Whether this is a list of counts; ten thousand records hold millions, so no loop in Python."""
    return (
        type(value) is list
        and {*map(type, value)} <= {int}
        and (not value or (min(value) >= 0 and max(value) <= LARGEST))
    )


def _rates(value: Any) -> bool:
    """Whether this is a list of numbers and None."""
    return type(value) is list and {*map(type, value)} <= {int, float, type(None)}


def _or_none(holds: Holds) -> Holds:
    return lambda value: value is None or holds(value)


def _one_line_each(value: Any) -> bool:
    """Whether each text of a table is one line: pages show them preformatted, where nothing is escaped."""
    return isinstance(value, dict) and all(
        item.isprintable() for item in value.values() if isinstance(item, str)
    )


def _anything(value: Any) -> bool:
    return True


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _data(value: Any) -> bool:
    return _one_line_each(value) and _name(value.get("source"))


def _provenance(value: Any) -> bool:
    return TABLE.holds(value) and _or_none(matches("[0-9a-f]{7,64}"))(value.get("commit"))


def _figure(value: Any) -> bool:
    return _plain_figure(value) and matches(r"[0-9]{1,9}(, [0-9]{1,9})*")(value.get("epochs", "1"))


_rate, _count = _or_none(is_real), INDEX.holds
_hash, _name = matches("[0-9a-f]{64}|"), matches(r"[a-z0-9][a-z0-9.-]*")
_plain_figure = table_of(
    _text,
    kind=_text,
    # below the folder itself, since publishing copies the file
    file=matches(r"figures/[a-z0-9][a-z0-9.-]*/[^/\\\x00]+"),
    sha256=_hash,
)
_metric = table_of(_rate, value=_rate, numerator=_or_none(_count), denominator=_or_none(_count))
_evaluated = table_of(
    _anything, epoch=_count, loss=_rate, majority=_rate, primary=_text, metrics=table_of(_metric)
)
_TEXT, _TEXTS = Type("a text", _text), Type("a list of texts", list_of(_text))
_NAME = Type("lower-case letters, digits, dots and hyphens", _name)

_TYPES: dict[str, Type] = {
    "run_id": Type("16 hexadecimal digits", matches("[0-9a-f]{16}")),
    "attempt": INDEX,
    "slug": _NAME,
    "claims": _TEXTS,
    "tier": _NAME,
    "status": Type(f"one of {', '.join(STATUSES)}", lambda value: value in STATUSES),
    "reason": _TEXT,
    "seed": INDEX,
    "recipe": Type(
        "a table with selection best or final", table_of(_anything, selection=matches("best|final"))
    ),
    "recipe_hash": Type("64 hexadecimal digits or nothing", _hash),
    "assumptions": Type("tables of texts", list_of(table_of(_text))),
    "deviations": Type(
        "tables of the texts field, printed, used and why",
        list_of(table_of(_text, field=_text, printed=_text, used=_text, why=_text)),
    ),
    "numerics": Type("a table of texts of one line", _one_line_each),
    "data": Type("a table of texts of one line with a source", _data),
    "initial_weights": Type(
        "a table of the texts from, hash, start and start_recipe",
        table_of(_text, **{"from": _text, "hash": _text, "start": _hash, "start_recipe": _hash}),
    ),
    "provenance": Type("a table whose commit is hexadecimal", _provenance),
    "metrics": Type("tables of an evaluation's metrics", table_of(_evaluated)),
    "confusion": Type("a list of lists of counts", list_of(_counts)),
    "curves": Type("a table of lists of numbers", table_of(_rates)),
    "weights_hash": _TEXT,
    "parameters": INDEX,
    "throughput": Type("a table of finite numbers", table_of(FINITE.holds)),
    "peak_memory": INDEX,
    "wall_seconds": FINITE,
    "device_seconds": FINITE,
    "segments": Type("tables of numbers", list_of(table_of(is_real))),
    "figures": Type("tables of a picture's kind, file and sha256", list_of(_figure)),
    "notes": _TEXTS,
    "started": _TEXT,
    "planned_seeds": INDEX,
    "again": _TEXT,
    "schema": INDEX,
}
_TYPES_OF_1: dict[str, Type] = _TYPES | {
    "initial_weights": Type(
        "a table of the texts from and hash", table_of(_text, **{"from": _text, "hash": _text})
    ),
}
