"""The runs that a claim rests on, one line each: settings, status, figure, code and device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.claims.claim import Claim
from bench.grading import relevance
from bench.grading.groups import SOURCES, Runs
from bench.grading.measured import PerImage, image_interval, is_recipes_own, per_image
from bench.pages import wording
from bench.pages.wording import digits, span
from bench.runs.records import Record

MOST_RUNS = 60
"""Runs that a claim lists; the report's own page lists all."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One line of a claim's table of runs."""

    recipe: str
    name: str
    seed: int
    tier: str
    data: str
    settings: str
    status: str
    figure: str
    epoch: str
    commit: str
    device: str


@dataclass(frozen=True, kw_only=True)
class RunTable:
    """The runs that count, those that other runs replaced, and how many more there are than are listed."""

    current: tuple[RunRow, ...]
    replaced: tuple[RunRow, ...]
    more: int


class RunTables:
    """Tables of runs; per-image results are read once, since each class's claim asks for the same run.

    Args:
        runs: all runs.
        folder: where the records lie.
    """

    def __init__(self, runs: Runs, folder: Path) -> None:
        self._runs, self._folder = runs, folder
        self._replaced = {
            **{id(record): "superseded" for record in runs.superseded},
            **{id(record): "repeated without a reason" for record in runs.repeated},
        }
        self._images: dict[int, PerImage | None] = {}

    def table(self, claim: Claim, slugs: Sequence[str]) -> RunTable:
        """The runs of some recipes, as a claim lists them."""
        found = sorted((record for record in self._runs.all if record.slug in slugs), key=_place)
        listed = found[:MOST_RUNS]
        current = [record for record in listed if id(record) not in self._replaced]
        replaced = [record for record in listed if id(record) in self._replaced]
        return RunTable(
            current=tuple(self._row(record, claim) for record in current),
            replaced=tuple(self._row(record, claim) for record in replaced),
            more=len(found) - len(listed),
        )

    def _row(self, record: Record, claim: Claim) -> RunRow:
        commit, dirty = wording.commit(record)
        name = record.data["name"] if record.data["source"] == "stand-in" else ""
        return RunRow(
            recipe=record.slug,
            name=record.name,
            seed=record.seed,
            tier=record.tier,
            data=f"{record.data['source']} ({name})" if name else record.data["source"],
            settings=settings(record),
            status=self._status(record),
            figure=self._figure(record, claim),
            epoch=wording.result(record)[1],
            commit=f"{commit}{' with changes' if dirty else ''}"
            if commit
            else "unknown"
            if dirty
            else "not in a checkout",
            device=str(record.provenance.get("device", "")),
        )

    def _status(self, record: Record) -> str:
        replaced = self._replaced.get(id(record))
        if replaced or record.status != "ok" or record.recipe.get("task") not in ("classify", "segment"):
            return replaced or wording.status(record)
        return "ok" if relevance.learned(record, self.images) else "did not learn"

    def _figure(self, record: Record, claim: Claim) -> str:
        """What a run says of a claim, with its interval over images where the run keeps what it takes."""
        if claim.kind == "number" and not claim.difference_of and is_recipes_own(claim):
            metric, name = str(claim.metric_name), ""
        else:
            metric = record.metrics.get(record.selected, {}).get("primary", "")
            name = f"{metric} "
        value = record.metric(metric)
        if value is None:
            return "–"
        interval, _ = image_interval(metric, record, self.images)
        return f"{name}{digits(value, 4)}" + (f" ({span(interval)})" if interval else "")

    def images(self, record: Record) -> PerImage | None:
        """The per-image results of a run; None where there are none."""
        if id(record) not in self._images:
            self._images[id(record)] = per_image(record, self._folder)
        return self._images[id(record)]


def settings(record: Record) -> str:
    """``"width 64, 512 px, 50 epochs"``, as the run used them."""
    phases = record.recipe.get("phases", [])
    epochs = sum(phase["epochs"] for phase in phases)
    size = record.recipe.get("image_size")
    unit = "values" if str(record.recipe.get("data", "")).startswith("mnist1d") else "px"
    told = [f"width {record.recipe['width']}"] if "width" in record.recipe else []
    told += [f"{size} {unit}"] if size else []
    told += [f"{epochs} epoch{'s' if epochs > 1 else ''}"] if epochs else []
    return ", ".join(told)


def _place(record: Record) -> tuple[object, ...]:
    """Runs of one kind stand together, by seed."""
    source = record.data["source"]
    position = SOURCES.index(source) if source in SOURCES else len(SOURCES)
    numbers = (record.seed, record.run_id, record.attempt)
    return (record.slug, position, record.data["name"], record.tier, record.recipe_hash, *numbers)
