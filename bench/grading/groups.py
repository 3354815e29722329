"""Groups of runs that may be compared: same recipe, tier, data, numerics and start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from bench.claims.claim import Claim
from bench.grading.verdict import MAX_SEEDS
from bench.runs import records, tiers
from bench.runs.records import Record
from bench.runs.starts import (
    DEFAULTS,
    RUN,
    WORDS,
    hash_of_run,
    hash_of_weights,
    present_recipe_hash,
    present_settings,
)
from reference.data.dataset import PUBLIC

SOURCES = ("official", PUBLIC, "stand-in", "synthetic")
TIER_RANK = ("full", "gpu", "smoke")
BROKEN = ("failed", "diverged", "oom")


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Finished runs that differ in their seed alone, ordered by it; one attempt of each.

    Attributes:
        broken: runs of the same kind, at other seeds, that failed or diverged: they count too.
        origin: what they start from: ``"scratch"``, a file of weights, or another run's recipe.
    """

    slug: str
    tier: str
    source: str
    data: str
    deviations: tuple[dict[str, str], ...]
    numerics: str
    runs: tuple[Record, ...]
    origin: str
    broken: tuple[Record, ...] = ()

    @property
    def started(self) -> tuple[Record, ...]:
        """The runs of seeds 0, 1, … without a gap, the first ``MAX_SEEDS``, broken ones among them.

        A seed that broke leaves no gap; one that was never run, or has not ended, does.
        """
        by_seed = {record.seed: record for record in (*self.runs, *self.broken)}
        first: list[Record] = []
        while len(first) < MAX_SEEDS and len(first) in by_seed:
            first.append(by_seed[len(first)])
        return tuple(first)

    @property
    def counted(self) -> tuple[Record, ...]:
        """The runs of ``started`` that ended well. Verdicts rest on them."""
        return tuple(record for record in self.started if record.status == "ok")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of the seeds: which broke, which are missing, which wait."""
        told = [f"seed {r.seed} {r.status}" for r in self.broken]
        seeds = {record.seed for record in (*self.runs, *self.broken)}
        missing = sorted(set(range(max(seeds) + 1)) - seeds)
        if missing:
            told.append(f"seed {', '.join(map(str, missing))} left no result, so that later ones wait")
        planned = max((r.planned_seeds for r in (*self.runs, *self.broken)), default=0)
        if planned > len(seeds):
            told.append(f"{planned} seeds were planned")
        if len(self.runs) > MAX_SEEDS:
            told.append(f"the first {MAX_SEEDS} of {len(self.runs)} seeds decide")
        return tuple(told)

    @property
    def whys(self) -> tuple[str, ...]:
        """The reasons for its deviations, each once: two groups with the same ones may be compared."""
        return tuple(sorted({deviation["why"] for deviation in self.deviations}))

    @property
    def named(self) -> str:
        """Tier, data and numerics in words: ``"smoke tier, synthetic data, cpu"``."""
        return f"{self.tier} tier, {self.where}, {self.numerics}"

    @property
    def where(self) -> str:
        """The data in words: ``"synthetic data"``, ``"stand-in data (standin)"``."""
        if self.source == PUBLIC:
            return f"public originals ({self.data})"
        return f"{self.source} data" + (f" ({self.data})" if self.source == "stand-in" else "")

    @property
    def eager_float32(self) -> bool:
        """Other numerics count once they are shown to lie within the spread of this one."""
        return "," not in self.numerics

    def is_about(self, claim: Claim) -> bool:
        """Whether the data are the claim's: its own, or public originals where the claim may rest on them."""
        return self.source == claim.source or (self.source == PUBLIC and claim.may_rest_on_public_originals)

    def counts_for(self, claim: Claim) -> bool:
        """Whether a number of ``claim`` may rest on these runs: its data, every setting as printed."""
        role = self.runs[0].data["role"]
        own_data = self.is_about(claim) and claim.data in (None, role)
        return own_data and not self.deviations and self.eager_float32


class Runs:
    """Records sorted into what a grade may rest on.

    Args:
        starts: of these records, where they started from runs that are not among them.
    """

    def __init__(self, run_records: Iterable[Record], starts: Starts | None = None) -> None:
        self.all = sorted(run_records, key=lambda r: (r.slug, r.seed, r.run_id, r.attempt))
        self._starts = starts or Starts(self.all)
        standing: dict[tuple[object, ...], Record] = {}
        repeated: list[Record] = []
        for record in sorted(self.all, key=lambda r: (r.started, r.attempt)):
            # an interrupted attempt ended nothing: whatever finished before it still stands
            if record.status in ("interrupted", "timeout") or not self.counts(record):
                continue
            key = (*self.key(record), record.seed)
            if key not in standing or _replaces(record, standing[key]):
                standing[key] = record
            else:
                repeated.append(record)
        self.latest = tuple(standing.values())
        self.repeated = tuple(repeated)
        """Runs that repeat one that ended, without a reason: shown, and no verdict rests on them."""
        kept = {id(record) for record in (*self.latest, *repeated)}
        self.superseded = tuple(r for r in self.all if r.status == "ok" and id(r) not in kept)
        self.groups: dict[str, list[Group]] = defaultdict(list)
        members: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        broken: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        for record in self.latest:
            (members if record.status == "ok" else broken)[self.key(record)].append(record)
        for key, runs in members.items():
            self.groups[runs[0].slug].append(_group(runs, broken.get(key, ())))
        self.lost = tuple(_group(runs) for key, runs in broken.items() if key not in members)
        """Groups of which every seed broke."""
        for groups in self.groups.values():
            groups.sort(key=preference)

    def counts(self, record: Record) -> bool:
        """Whether its recipe, and those that it started from, still compute what they did."""
        return is_of_present_recipe(record, self._starts.present) and self._starts.of(record).is_present

    def key(self, record: Record) -> tuple[str, ...]:
        """What runs that differ in their seed alone have in common."""
        return group_key(record, self._starts.of(record))

    def failures(self, slugs: Iterable[str]) -> tuple[Record, ...]:
        """Every run of these recipes that did not end well, whatever tier and data."""
        wanted = set(slugs)
        return tuple(r for r in self.all if r.slug in wanted and r.status != "ok")

    def replaced(self, slugs: Iterable[str]) -> list[tuple[Record, str]]:
        """Runs of these recipes that ended and were run anew, each with the reason that was given."""
        wanted = set(slugs)
        reasons = {record.run_id: record.again for record in self.latest if record.again}
        standing = {id(record) for record in self.latest}
        return [
            (record, reasons[record.run_id])
            for record in self.all
            if record.slug in wanted and record.run_id in reasons and id(record) not in standing
        ]


def _replaces(record: Record, earlier: Record) -> bool:
    """Whether a later run stands in the place of an earlier one that ended.

    It does where the machine failed (no result of a training is lost), where both ended in the same weights
    bit for bit, and where a reason was given. Else the first result stands: the better of two draws is no
    draw.
    """
    machine = earlier.status in ("failed", "oom")
    same = bool(record.weights_hash) and record.weights_hash == earlier.weights_hash
    return machine or same or bool(record.again)


def preference(group: Group) -> tuple[object, ...]:
    """Sort key: data in the order of ``SOURCES``; as printed before deviating; fuller tiers first."""
    return (
        SOURCES.index(group.source) if group.source in SOURCES else len(SOURCES),
        bool(group.deviations),
        not group.eager_float32,
        TIER_RANK.index(group.tier) if group.tier in TIER_RANK else len(TIER_RANK),
        -len(group.runs),
        group.data,
        group.numerics,
        records.canonical(group.deviations),
        group.runs[0].data["manifest"],
    )


def is_of_present_recipe(
    record: Record,
    present: Callable[[str, str], dict[str, Any] | None] = present_settings,
) -> bool:
    """Whether the recipe of that slug, at the record's tier, still computes what the record's run did.

    Fields in which the run deviates for reasons of its own (its data, a user's option) are not compared; a
    tier that scales otherwise than it did makes another recipe. What it started from is not compared.

    Args:
        present: ``present_settings``, cached where many records are asked about.
    """
    settings = present(record.slug, record.tier)
    if settings is None:
        return False
    changed = {d["field"] for d in record.deviations if d["why"] != tiers.WHY[record.tier]}
    compared = set(settings) - WORDS - changed
    return all(record.recipe.get(name, DEFAULTS.get(name)) == settings[name] for name in compared)


def group_key(record: Record, start: Start) -> tuple[str, ...]:
    """What runs that differ in their seed alone have in common; what is shown of them does not count."""
    deviations = [deviation for deviation in record.deviations if deviation["field"] not in WORDS]
    return (
        record.slug,
        record.tier,
        record.data["source"],
        record.data["manifest"],
        records.canonical(deviations),
        records.canonical(record.numerics),
        record.initial_weights["from"],
        start.hash,
    )


class Start(NamedTuple):
    """What a run started from: the hash of how that was made, and whether its recipes are still the same."""

    hash: str
    is_present: bool


class Starts:
    """The starts of many records.

    A record of schema 1 does not hold its start's hash. It follows from the record of the run that it started
    from. Where that is missing, or where it started from a file, nobody can tell whether two of them started
    alike: each gets a hash of its own.
    """

    def __init__(self, run_records: Iterable[Record]) -> None:
        self._by_id = {record.run_id: record for record in run_records}
        self.present = cache(present_settings)
        self._present_start = cache(present_recipe_hash)
        self.of_run = cache(self._of_run)

    def of(self, record: Record) -> Start:
        """What a record's run started from."""
        weights = record.initial_weights
        if "start" in weights:
            present = self._present_start(weights["from"], record.tier)
            return Start(weights["start"], weights["start_recipe"] == present)
        return self.of_run(record.run_id)

    def _of_run(self, run_id: str) -> Start:
        weights = self._by_id[run_id].initial_weights
        origin = weights["from"]
        if origin.startswith("file "):
            return Start(records.hash_of(run_id), is_present=True)
        if not origin.startswith(RUN):
            return Start(hash_of_weights(origin), is_present=True)
        if weights.get("run_id") not in self._by_id:
            return Start(records.hash_of(run_id), is_present=False)
        before = self._by_id[weights["run_id"]]
        own_runs = self.of(before)
        made = hash_of_run(before.recipe, before.data["manifest"], before.numerics, own_runs.hash)
        return Start(made, is_of_present_recipe(before, self.present) and own_runs.is_present)


def _group(runs: Sequence[Record], broken: Sequence[Record] = ()) -> Group:
    first = runs[0]
    return Group(
        slug=first.slug,
        tier=first.tier,
        source=first.data["source"],
        data=first.data["name"],
        deviations=tuple(first.deviations),
        numerics=_numerics(first.numerics),
        runs=tuple(sorted(runs, key=lambda r: r.seed)),
        origin=_origin(first),
        broken=tuple(sorted(broken, key=lambda r: r.seed)),
    )


def _origin(record: Record) -> str:
    """What a run started from, in words; of a user's file its name and the first digits of its hash."""
    origin, start = record.initial_weights["from"], record.initial_weights.get("start", "")
    return f"{origin} ({start[:8]})" if origin.startswith("file ") and start else origin


def _numerics(numerics: Mapping[str, Any]) -> str:
    """Device kind, and what departs from eager float32: ``"cuda"``, ``"cuda, bfloat16, compiled"``."""
    words = [str(numerics["device"]).partition(":")[0]]
    words += [numerics["dtype"]] if numerics["dtype"] != "float32" else []
    words += [name.replace("_", " ") for name in ("channels_last", "compiled") if numerics[name]]
    return ", ".join(words)


def comparable(a: Group, b: Group, *, across_data: bool = False) -> bool:
    """Same tier, kind of deviation and numerics, on the same data.

    A manifest includes the image size, so that recipes which resize differently never share one: there the
    data's name, classes and counts have to agree.

    Args:
        across_data: the data are what is compared, so that they may differ; their source may not.
    """
    first, second = a.runs[0], b.runs[0]
    alike = (a.tier, a.source, a.whys, a.numerics) == (b.tier, b.source, b.whys, b.numerics)
    if across_data:
        return alike
    if not alike or first.recipe["image_size"] == second.recipe["image_size"]:
        return alike and first.data["manifest"] == second.data["manifest"]
    keys = ("role", "name", "classes", "train", "val", "unique_val")
    return all(first.data[key] == second.data[key] for key in keys)
