"""Rankings: one board a task, one ranking for each kind of evidence."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.claims.claim import METRICS, Claim
from bench.grading import relevance, statistics
from bench.grading.grader import GradedClaim
from bench.grading.groups import Group, Runs
from bench.grading.measured import measure, per_image
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import AS_PRINTED, digits, evidence, span
from reference.recipes import RECIPES

TASKS: dict[str, str] = {
    "mnist1d": "MNIST-1D, top-1 on the test signals",
    "mnist1d-shuffled": "MNIST-1D with positions shuffled, top-1 on the test signals",
    "classification50": "50-class classification, top-1 on the validation split",
    "officehome": "Fine-tuning on Office-Home, 65 classes, top-1 on the validation split",
    "landcover": "Land-cover segmentation, mean IoU of six classes on the validation split",
}

HOW_TO_READ = """\
*How to read this page.* One table a task ranks the figures on the official data with every setting as
printed. A printed figure that is not tested stands below without a rank. The 95 % interval is over seeds
(Student's t) where there are two or more. For one seed, and for printed accuracies, it is over the images of
the validation split (Clopper–Pearson for top-1, bootstrap for mean IoU), without the spread between seeds.
**Majority class** is the same figure of always answering the most frequent class; a network that is not
better than that **did not learn** and has no rank. Samples/s are of training, on the device named.
"""

REHEARSALS = """\
Runs on drawn or other images, scaled down, or with other settings than printed. Their figures say nothing
about the official data, so they have no ranks. There is one table for each kind of runs, and figures of two
tables are not comparable.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a ranking: a claim's printed figure or a recipe's measured one.

    Attributes:
        name: id of the claim, slug of the recipe.
        title: of the recipe; empty for what is printed.
        printed: whether the figure is a report's, not ours.
        shown, interval: the figure and its 95 % interval as they are written.
        rate: training samples/s.
        standing: the verdict that the figure has or led to; of other runs that it is a rehearsal, or that
            the network did not learn.
        graded: whether ``standing`` is a verdict.
        majority: the same figure of always answering the majority class.
        ranked: whether it takes part in the ranking: what did not learn does not, nor a printed figure
            that is not tested.
    """

    name: str
    title: str
    printed: bool
    value: float
    shown: str
    interval: str
    seeds: int
    parameters: int | None = None
    rate: float | None = None
    device: str = "–"
    standing: str
    graded: bool
    majority: float | None = None
    ranked: bool = True

    @property
    def majority_text(self) -> str:
        return "–" if self.majority is None else digits(self.majority, 4)

    @property
    def cells(self) -> tuple[str, ...]:
        """Everything but the rank, as Markdown."""
        return (
            f"`{self.name}`" + (f", {plain(self.title)}" if self.title else ""),
            self.origin,
            self.shown,
            self.interval,
            self.majority_text,
            str(self.seeds),
            self.parameters_text,
            self.rate_text,
            plain(self.device),
            f"**{self.standing}**" if self.graded else self.standing,
        )

    @property
    def origin(self) -> str:
        return "printed" if self.printed else "measured"

    @property
    def parameters_text(self) -> str:
        return "–" if self.parameters is None else f"{self.parameters:,}"

    @property
    def rate_text(self) -> str:
        return "–" if self.rate is None else f"{self.rate:,.1f}"


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Entries of one kind of evidence, best first, each with its rank; "–" for an undefined figure."""

    heading: str
    source: str
    tier: str
    entries: tuple[tuple[str, Entry], ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A task's ranking of figures that count, and its rehearsals, which have no ranks."""

    role: str
    title: str
    rankings: tuple[Ranking, ...]
    rehearsals: tuple[Ranking, ...]


def boards(rows: Sequence[GradedClaim], runs: Runs, folder: Path | None = None) -> list[Board]:
    """One board for each task that anything is known of.

    Args:
        rows: graded claims, whose printed figures are ranked too.
        runs: the latest finished ones are ranked.
        folder: where their records lie, for intervals over images.
    """
    graded = {row.claim.id: row for row in rows}
    groups = sorted((g for gs in runs.groups.values() for g in gs), key=evidence)
    made = []
    for role, title in TASKS.items():
        kinds: dict[str, tuple[str, str]] = {}
        entries: dict[str, list[Entry]] = {}
        printed = [_printed(row) for row in rows if _is_ranked(row.claim, role)]
        if printed:
            kinds[AS_PRINTED], entries[AS_PRINTED] = ("official", "full"), printed
        for group in groups:
            entry = _measured(group, role, graded, folder)
            if entry is not None:
                heading = evidence(group)[1]
                kinds.setdefault(heading, (group.source, group.tier))
                entries.setdefault(heading, []).append(entry)
        if entries:
            rankings = tuple(
                Ranking(heading=heading, source=source, tier=tier, entries=_ranked(entries[heading]))
                for heading, (source, tier) in kinds.items()
            )
            made.append(
                Board(
                    role=role,
                    title=title,
                    rankings=tuple(r for r in rankings if r.heading == AS_PRINTED),
                    rehearsals=tuple(r for r in rankings if r.heading != AS_PRINTED),
                )
            )
    return made


def leaderboard_page(made: Sequence[Board]) -> str:
    """The boards as Markdown."""
    parts = ["# Leaderboard", HOW_TO_READ]
    for board in made:
        for ranking in board.rankings:
            lines = [[rank, *entry.cells] for rank, entry in ranking.entries]
            parts += [f"## {board.title}", pipe_table(["rank", *_HEADS], lines, right=(0, 5, 6, 7, 8))]
    if any(board.rehearsals for board in made):
        parts += ["# Rehearsals", REHEARSALS]
    for board in made:
        parts += [f"## {board.title}: rehearsals"] if board.rehearsals else []
        for ranking in board.rehearsals:
            heading = plain(ranking.heading)
            lines = [list(entry.cells) for _, entry in ranking.entries]
            parts += [
                f"### {heading[0].upper()}{heading[1:]}",
                pipe_table(_HEADS, lines, right=(4, 5, 6, 7)),
            ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


_HEADS = (
    "entry", "", "value", "95 %", "majority class", "seeds", "parameters", "samples/s", "device", "standing",
)  # fmt: skip


def _is_ranked(claim: Claim, role: str) -> bool:
    """A printed figure of the whole official validation split, not about some epoch, class or gain."""
    return (
        claim.kind == "number"
        and claim.data == role
        and claim.source == "official"
        and claim.metric in ("top1", "miou")
        and claim.split == "val"
    )


def printed_interval(claim: Claim) -> tuple[float, float] | None:
    """Exact 95 % interval of a printed accuracy over its images; None where the print gives none."""
    if claim.metric != "top1" or not claim.n:
        return None
    return statistics.accuracy_interval(round(float(claim.fraction) * claim.n), claim.n)


def _printed(row: GradedClaim) -> Entry:
    claim = row.claim
    interval = printed_interval(claim)
    return Entry(
        name=claim.id,
        title="",
        printed=True,
        value=float(claim.fraction),
        shown=str(claim.fraction),
        interval=span(interval) if interval else "–",
        seeds=claim.runs,
        standing=row.label,
        graded=True,
        ranked=row.grade != "not tested",
    )


def _measured(
    group: Group, role: str, graded: Mapping[str, GradedClaim], folder: Path | None
) -> Entry | None:
    first = group.runs[0]
    primary = first.metrics.get(first.selected, {}).get("primary")
    if first.data["role"] != role or primary not in METRICS:
        return None
    measured = measure(primary, group, folder)
    row = graded.get(group.slug)
    learned = all(relevance.learned(record, lambda r: per_image(r, folder)) for record in group.runs)
    rate = math.fsum(record.throughput["samples_per_second"] for record in group.runs) / len(group.runs)
    return Entry(
        name=group.slug,
        title=RECIPES[group.slug].title,
        printed=False,
        value=measured.mean,
        shown=digits(measured.mean, 4),
        interval=span(measured.interval) if measured.interval else "–",
        seeds=measured.k,
        parameters=first.parameters,
        rate=rate,
        device=f"{first.provenance.get('device', '')}, {group.numerics}",
        standing=_standing(group, row, learned),
        graded=learned and _decided(group, row),
        majority=measured.majority,
        ranked=learned,
    )


def _decided(group: Group, row: GradedClaim | None) -> bool:
    """Whether a claim's grade rests on these very runs."""
    return row is not None and row.measured is not None and row.measured.group.runs[0] is group.runs[0]


def _standing(group: Group, row: GradedClaim | None, learned: bool) -> str:
    if not learned:
        return "did not learn"
    if row is not None and _decided(group, row):
        return row.label
    if group.source != "official" or group.tier == "smoke":
        return "rehearsal"
    return "no claim" if row is None else "counts for no claim: it deviates"


def _ranked(entries: Sequence[Entry]) -> tuple[tuple[str, Entry], ...]:
    """Best first; equal values share a rank; what did not learn or is undefined comes last without one."""

    def takes_part(entry: Entry) -> bool:
        return entry.ranked and math.isfinite(entry.value)

    ordered = sorted(
        entries,
        key=lambda e: (not takes_part(e), -e.value if math.isfinite(e.value) else 0, e.cells),
    )
    ascending = sorted(e.value for e in entries if takes_part(e))
    return tuple(
        (str(len(ascending) - bisect_right(ascending, e.value) + 1) if takes_part(e) else "–", e)
        for e in ordered
    )
