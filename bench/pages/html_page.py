"""The page ``index.html``: what all other pages say, to look through, in one file that opens from a disk.

Jinja2 fills ``templates/index.html`` with what this module computes: positions in plots, which pictures of a
run exist, rows of runs. Style and script are part of the file and figures are links relative to it, so that
it needs no network. Without its script every table still reads; the script sorts, filters and cuts mask
strips up by epoch.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench import audit
from bench.audit import Finding
from bench.claims.claim import DECIDED_BY_RUNS, METRICS, Claim, Ledger
from bench.grading import verdict as verdict_module
from bench.grading.grader import GradedClaim
from bench.grading.groups import SOURCES, TIER_RANK, Group, Runs
from bench.grading.measured import figure_of, is_recipes_own, measure
from bench.grading.others_survey import Others
from bench.pages import claim_rows, curve_panels, leaderboard, summary, throughput_page, wording
from bench.pages.answer_card import Cards, measured_elsewhere
from bench.pages.claim_rows import Row
from bench.pages.highlights import highlights
from bench.pages.layouts import FORMATS, Filled, Printout
from bench.pages.markdown import in_html
from bench.pages.run_rows import RunTable, RunTables
from bench.pages.wording import in_words, span
from bench.plan import hours
from bench.runs.records import Record, canonical
from bench.runs.starts import WORDS
from bench.throughput import results as results_module
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

if TYPE_CHECKING:
    from reference.visualize import StripGrid

from bench.pages.plots import Plot, Point, placed, point_of

TEMPLATES = Path(__file__).parent / "templates"

MOST_DEVIATIONS = 12
"""Kinds of runs whose deviations a claim lists; the report's own page lists all."""


def build_html(
    ledgers: Sequence[Ledger],
    rows: Sequence[GradedClaim],
    runs: Runs,
    findings: Sequence[Finding],
    boards: Sequence[leaderboard.Board],
    comparisons: str,
    others: Others,
    folder: Path,
) -> str:
    """The page as HTML, the same bytes for the same ledgers and records.

    Args:
        rows: every ledger's graded claims.
        findings: the audit's.
        boards: the leaderboard.
        comparisons: Markdown of the page that compares runs with each other.
        others: what other reports print of the same tasks.
        folder: where the records lie; only pictures that lie there too are shown.
    """
    environment = _environment()
    linked = partial(_linked, claims={row.claim.id for row in rows})
    environment.filters |= {"linked": linked, "capital": summary.capital, "slug": _slug}
    site = _Site(rows, runs, folder)
    basis = replace(
        hours.Basis.of(hours.of_a_gpu(results_module.read_sessions(folder)), "bfloat16", runs.latest),
        counted=hours.counted_before(),
    )
    cards = Cards(rows, findings, others, basis, measured_elsewhere(ledgers, folder))
    rehearsals = [ranking for board in boards for ranking in board.rehearsals]
    entries = [entry for ranking in rehearsals for _, entry in ranking.entries]
    claims = [claim for ledger in ledgers for claim in ledger.claims]
    text = environment.get_template("index.html").render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
        reports=[_report(ledger, rows, findings, cards) for ledger in ledgers],
        cards=cards,
        example=cards.example(),
        hint=_hint(rows),
        tiles=summary.tiles(rows),
        highlights=highlights(rows, findings, others),
        across=[f for f in findings if len(f.reports) > 1],
        boards=boards,
        comparisons=in_html(f"# Comparisons\n\n{comparisons}")[1] if comparisons else [],
        rehearsals=len(entries),
        sources=_once(SOURCES, (ranking.source for ranking in rehearsals)),
        tiers=_once(TIER_RANK, (ranking.tier for ranking in rehearsals)),
        standings=sorted({entry.standing for entry in entries}),
        known={claim.id for claim in claims},
        total=len(claims),
        headline=summary.headline(rows, others),
        noise=[summary.noise(n, value) for n, value in summary.accuracies(claims)],
        machines=results_module.read_sessions(folder),
        site=site,
        audit=audit,
        summary=summary,
        throughput_tables=throughput_tables,
        roofline=throughput_page.picture_file,
        shown=lambda file: (folder / file).exists(),
        size=lambda file: _png_size(folder / file),
        grades=grades(),
        wording=wording,
        photographs=("masks", "errors", "overlay"),
        records=len(runs.all),
    )
    if basis.counted is not None:
        basis.counted.save()
    return text.rstrip("\n") + "\n"


def _slug(text: str) -> str:
    """A label as part of an id: ``not-tested-data``."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _hint(rows: Sequence[GradedClaim]) -> str:
    """A printed value to try, and its slug: the one with most digits that is short enough to type."""
    printed = [row.claim for row in summary.results_of(rows) if len(row.claim.value or "") <= 8]
    claim = max(printed, key=lambda claim: claim.decimals, default=None)
    return f"{claim.value}, {claim.id}, t-SNE" if claim else "t-SNE"


@cache
def _environment() -> Environment:
    """Jinja2 with our templates, which it compiles once."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _once(ordered_words: Sequence[str], there: Iterable[str]) -> list[str]:
    """Those of the known words that are there, in their order."""
    present = set(there)
    return [word for word in ordered_words if word in present]


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report: its table, its results in its own layout, its claims by kind, its findings."""

    ledger: Ledger
    rows: tuple[GradedClaim, ...]
    table: Mapping[str, tuple[Row, ...]]
    whole: tuple[summary.Part, ...]
    flags: Mapping[str, tuple[str, ...]]
    verdict: tuple[str, ...]
    results: tuple[Filled | Printout, ...]
    kinds: Mapping[str, tuple[GradedClaim, ...]]
    findings: tuple[Finding, ...]
    audited: str

    @property
    def name(self) -> str:
        return self.ledger.report.upper()

    @property
    def tally(self) -> str:
        """How many findings there are of each verdict, and how sure they are."""
        texts = []
        for verdict, words in _TALLY.items():
            strengths = Counter(finding.strength for finding in self.findings if finding.verdict == verdict)
            if strengths:
                sure = ", ".join(
                    f"{strengths[strength]} {strength}" for strength in audit.STRENGTHS if strengths[strength]
                )
                texts.append(f"{strengths.total()} {words}{f' ({sure})' if sure else ''}")
        return f"Findings: {'; '.join(texts)}."


_TALLY = {
    "against": "against its claims",
    "note": "to weigh the rest by",
    "holds": "checked and in order",
    "not checked": "not checked",
}


def _report(ledger: Ledger, rows: Sequence[GradedClaim], findings: Sequence[Finding], cards: Cards) -> Report:
    report_rows = tuple(row for row in rows if row.claim.report == ledger.report)
    layout = FORMATS.get(ledger.report)
    by_kind = {
        heading: tuple(row for row in report_rows if row.claim.kind == kind)
        for kind, heading in wording.HEADINGS.items()
    }
    of_it = [finding for finding in findings if finding.reports == (ledger.report,)]
    return Report(
        ledger=ledger,
        rows=report_rows,
        table=claim_rows.table(report_rows, cards),
        whole=summary.parts(report_rows),
        flags=summary.flagged(report_rows),
        verdict=tuple(summary.sentences(ledger, report_rows, findings)),
        results=tuple(layout(report_rows)) if layout else (),
        kinds={heading: of_kind for heading, of_kind in by_kind.items() if of_kind},
        findings=tuple(audit.in_order_of_strength(of_it)),
        audited=audit.paragraph(ledger, findings),
    )


def _linked(text: str, claims: set[str]) -> Markup:
    """Text with every claim's id in it as a link to the claim."""
    words = []
    for word in text.split(" "):
        bare = word.strip("(),;:.“”")
        if bare in claims:
            before, after = word.split(bare, 1)
            link = Markup('<a href="#{0}"><code>{0}</code></a>').format(bare)
            words.append(escape(before) + link + escape(after))
        else:
            words.append(escape(word))
    return Markup(" ").join(words)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a run that lies in the folder. ``grid`` and ``epochs`` are a mask strip's, else None.

    ``selected`` is the epoch that the run's figure stands for.
    """

    kind: str
    caption: str
    file: str
    width: int
    height: int
    svg: str
    grid: StripGrid | None
    images: int
    epochs: tuple[int, ...]
    selected: int | None


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Curves of a run, which the page draws itself."""

    caption: str
    panels: tuple[curve_panels.Panel, ...]


class _Site:
    """What the template asks for about claims, with what several of them need kept."""

    run_kinds = DECIDED_BY_RUNS

    def __init__(self, rows: Sequence[GradedClaim], runs: Runs, folder: Path) -> None:
        self.runs = runs
        self.folder = folder
        self.claims = {row.claim.id: row.claim for row in rows}
        self.run_tables = RunTables(runs, folder)
        self.homes = self._homes()

    # where it stands, and what the report says of it

    def facts(self, row: GradedClaim) -> list[tuple[str, str]]:
        """What the ledger says of a claim, as names and values."""
        claim = row.claim
        evaluated = f"{claim.n:,} images ({_KNOWN[claim.n_from or '']})" if claim.n else ""
        told = {
            "metric": METRICS[claim.metric].title if claim.metric else "",
            "evaluated on": evaluated,
            "split": claim.split or "",
            "as the claim has it": "; ".join([*claim.facts, *(f"{k}: {v}" for k, v in claim.stated.items())]),
            "formula": claim.formula or "",
            "damage in the print": "; ".join(claim.damage),
            "not stated by the report": ", ".join(claim.unstated),
            "note": claim.note or "",
        }
        return [(name, value) for name, value in told.items() if value]

    def recipes(self, row: GradedClaim) -> list[Recipe]:
        return [RECIPES[slug] for slug in self.slugs(row.claim)]

    def slugs(self, claim: Claim) -> list[str]:
        """The recipes that decide a claim; of an ordering of claims, those claims' recipes."""
        named = [claim.recipe, *claim.order_recipes, *claim.difference_of, *claim.ratio_of]
        named += [self.claims[name].recipe for name in claim.order if name in self.claims]
        return [slug for slug in dict.fromkeys(named) if slug in RECIPES]

    def _homes(self) -> dict[str, str]:
        """By recipe, the claim that shows it in full: its namesake, or the first that runs decide."""
        homes: dict[str, str] = {}
        for claim in sorted(self.claims.values(), key=lambda claim: claim.kind not in DECIDED_BY_RUNS):
            for slug in self.slugs(claim):
                homes.setdefault(slug, claim.id)
        return homes | {slug: slug for slug in homes if slug in self.claims}

    def is_home(self, row: GradedClaim, slug: str) -> bool:
        """Whether a recipe's settings and runs are shown in full at this claim."""
        return self.homes.get(slug) == row.claim.id

    def listed(self, row: GradedClaim) -> RunTable:
        """The runs of the recipes that this claim shows in full."""
        return self.run_tables.table(row.claim, self.own_slugs(row))

    def own_slugs(self, row: GradedClaim) -> list[str]:
        """The recipes that this claim shows in full; other claims on them link here."""
        return [slug for slug in self.slugs(row.claim) if self.is_home(row, slug)]

    def groups(self, row: GradedClaim) -> list[Group]:
        groups = [group for slug in self.slugs(row.claim) for group in self.runs.groups.get(slug, [])]
        return sorted(groups, key=lambda group: (wording.evidence(group)[0], group.slug))

    def settings(self, recipe: Recipe) -> list[tuple[str, str]]:
        """The recipe's main settings, as names and values."""
        phases = " → ".join(
            f"{p.optimizer}, lr {p.lr:g}, {p.epochs} epochs, {p.schedule}" for p in recipe.phases
        )
        told = {
            "network": f"{recipe.model}, {recipe.num_classes} outputs"
            if recipe.num_classes
            else recipe.model,
            "starts from": recipe.init,
            "images": f"{recipe.data}, {recipe.image_size} px",
            "augmentation": ", ".join(recipe.augment) or "none",
            "loss": recipe.loss,
            "batch": str(recipe.batch_size),
            "phases": phases,
            "figure taken from": f"the {recipe.selection} epoch",
        }
        return [(name, value) for name, value in told.items() if value]

    def deviations(self, slug: str) -> Sequence[tuple[str, Sequence[Mapping[str, str]]]]:
        """What a recipe's runs did otherwise, by the groups in words that did so alike."""
        alike: dict[str, tuple[list[str], Group]] = {}
        for group, label in _told_apart(self.runs.groups.get(slug, [])):
            if group.deviations:
                alike.setdefault(canonical(group.deviations), ([], group))[0].append(label)
        listed = [(" and on ".join(labels), group.deviations) for labels, group in alike.values()]
        return listed[:MOST_DEVIATIONS]

    # figures

    def plot(self, row: GradedClaim) -> Plot | None:
        """The figures of an ordering's members on one axis; a number has the axis of its card."""
        if row.claim.kind != "ordering":
            return None
        points = self._ordering(row)
        points = [point for point in points if math.isfinite(point.value)]
        if not any(point.source != "printed" for point in points):
            points = [point for point in points if point.interval is not None]
        title = METRICS[row.claim.metric or "top1"].title
        return placed(points, title, self._unit(row.claim)) if points else None

    def _unit(self, claim: Claim) -> str | None:
        """The unit of a number; of an ordering the one that all the numbers it ranks are printed in."""
        units = {self.claims[name].unit for name in claim.order if name in self.claims}
        return claim.unit or (units.pop() if len(units) == 1 else None)

    def _ordering(self, row: GradedClaim) -> list[Point]:
        points = []
        rests_on = {id(record) for record in row.runs}
        for name in row.claim.order or row.claim.order_recipes:
            ranked = self.claims.get(name) if row.claim.order else None
            slug = ranked.recipe if ranked and ranked.recipe else name
            value = float(ranked.fraction) if ranked and ranked.value else None
            groups = [g for g in self.runs.groups.get(slug, []) if any(id(r) in rests_on for r in g.runs)]
            for group in groups:
                metric = row.claim.metric_name or "top1"
                figure = None if ranked is None or is_recipes_own(ranked) else partial(figure_of, ranked)
                measured = measure(metric, group, self.folder, figure)
                points.append(point_of(measured, f"{name}, {in_words(group)}", value, self._unit(row.claim)))
            if not groups and value is not None and ranked is not None:
                interval = leaderboard.printed_interval(ranked)
                text = wording.printed(ranked) + (
                    f" ({span(interval, unit=ranked.unit)})" if interval else ""
                )
                points.append(Point(f"{name}, printed", "printed", value, interval, value, text, ""))
        return points

    # pictures

    def pictures(self, row: GradedClaim) -> list[Picture]:
        """The pictures of the claim's most telling runs, of one seed, where they lie in the folder."""
        claim = row.claim
        if claim.recipe is None:
            return []
        kinds: Iterable[str] = ()
        if claim.kind == "figure" and claim.shows:
            kinds = (claim.shows,)
        elif claim.kind == "process":
            kinds = ("curves",)
        elif claim.kind == "number" and claim.metric == "iou":
            kinds = ("iou", "confusion")
        elif self.is_home(row, claim.recipe):
            kinds = wording.CAPTIONS
        labels = _told_apart(self.runs.groups.get(claim.recipe, []))
        return [picture for kind in kinds if kind != "curves" for picture in self._drawn(labels, kind)]

    def curves(self, row: GradedClaim) -> Curves | None:
        """The curves of the claim's most telling run; of a claim on the curves, or that shows its recipe."""
        claim = row.claim
        wanted = claim.kind == "process" or claim.shows == "curves"
        if claim.recipe is None or not (wanted or self.is_home(row, claim.recipe)):
            return None
        labels = _told_apart(self.runs.groups.get(claim.recipe, []))
        for group, label in sorted(labels, key=lambda pair: wording.evidence(pair[0])):
            record = group.runs[0]
            if drawn := curve_panels.panels(record):
                caption = (
                    f"{RECIPES[group.slug].title}: {wording.caption('curves', group.slug)}, {label}, seed"
                    f" {record.seed}"
                )
                return Curves(caption=caption, panels=drawn)
        return None

    def _drawn(self, labels: Sequence[tuple[Group, str]], kind: str) -> list[Picture]:
        drawn = wording.first_pictures([group for group, _ in labels], kind)
        if drawn is None:
            return []
        group, record, files = drawn
        label = next(text for of, text in labels if of is group)
        caption = (
            f"{RECIPES[group.slug].title}: {wording.caption(kind, group.slug)}, {label}, seed {record.seed}"
        )
        return [self._picture(record, kind, caption, file) for file in files if (self.folder / file).exists()]

    def _picture(self, record: Record, kind: str, caption: str, file: str) -> Picture:
        width, height = _png_size(self.folder / file)
        svg = str(Path(file).with_suffix(".svg").as_posix())
        epochs = tuple(record.epochs_drawn(kind)) if kind == "masks" else ()
        grid, images = _cut(epochs, record.data["classes"], height) if epochs else (None, 0)
        return Picture(
            kind=kind,
            caption=caption,
            file=file,
            width=width,
            height=height,
            svg=svg if (self.folder / svg).exists() else "",
            grid=grid,
            images=images,
            epochs=epochs,
            selected=record.metrics.get(record.selected, {}).get("epoch"),
        )


_KNOWN = {
    "printed": "as the report says",
    "derived": "as follows from the figure's digits",
    "outside": "known from outside the report",
    "": "",
}


def _told_apart(groups: Sequence[Group]) -> list[tuple[Group, str]]:
    """Groups in words; those of the same words with the settings that they differ in."""
    same: dict[str, list[Group]] = {}
    for group in groups:
        same.setdefault(in_words(group), []).append(group)
    told = []
    for group in groups:
        label, others = in_words(group), same[in_words(group)]
        used = {d["field"]: d["used"] for d in group.deviations}
        differing = [
            f"{field} {value}"
            for field, value in used.items()
            if field not in WORDS
            and any({d["field"]: d["used"] for d in other.deviations}.get(field) != value for other in others)
        ]
        told.append((group, f"{label}; {'; '.join(differing)}" if differing else label))
    return told


def _cut(epochs: Sequence[int], classes: Sequence[str], height: int) -> tuple[StripGrid | None, int]:
    """Where the tiles of a mask strip of this height lie, and how many images; none if they do not fit."""
    from reference.visualize import strip_grid

    grid = strip_grid(2 + len(epochs), classes)
    images, rest = divmod(height - grid.height(0), grid.pitch)
    return (grid, images) if images > 0 and not rest else (None, 0)


_PNG = b"\x89PNG\r\n\x1a\n"


def _png_size(path: Path) -> tuple[int, int]:
    """Width and height from the file's head; (0, 0) for what is no PNG."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or not head.startswith(_PNG):
        return 0, 0
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def throughput_tables(result: results_module.Result) -> list[tuple[str, Any]]:
    """A machine's tables with what each is called."""
    return [
        ("What it reaches at most", throughput_page.ceilings_table(result)),
        ("Targets", throughput_page.targets_table(result)),
        ("Everything that was timed", throughput_page.timings_table(result)),
    ]


def grades() -> dict[str, str]:
    """Every verdict and its meaning, reasons for not testing among them."""
    return {
        **verdict_module.GRADES,
        **{f"not tested: {reason}": why for reason, why in verdict_module.NOT_TESTED_REASONS.items()},
    }
