"""The answer card of a claim: where its figure lies, what speaks for and against it, what would settle it.

The axis holds the printed value, its margin, one dot for each of our seeds on the claim's own data, and one
for each other report. A rehearsal stands on no axis; it is one grey line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from bench.audit import STRENGTHS, Finding
from bench.audit.finding import listed
from bench.claims.claim import DECIDED_BY_RUNS, METRICS, Claim, Ledger
from bench.grading import spread, verdict
from bench.grading.grader import GradedClaim
from bench.grading.measured import figure_of
from bench.grading.others import IN_LINE, PlaceAmongOthers
from bench.grading.others_survey import Others
from bench.grading.reported import grade_reported
from bench.grading.reproductions import BY_OTHERS, kept_verdicts
from bench.pages import plots, summary, wording
from bench.plan import hours
from bench.runs import tiers
from reference.recipes import RECIPES

MOST_FINDINGS, MOST_RELATED = 4, 3
"""Lines of a card; the claim's own report says the rest."""

STANDING_OF_FINDING = {
    "against": "otherwise", "note": "undecided", "holds": "holds", "not checked": "no run",
}  # fmt: skip
WORD_OF_FINDING = {
    "against": "speaks against it", "note": "to know", "holds": "holds", "not checked": "not checked",
}  # fmt: skip


_VERDICTS, _STRENGTHS = list(STANDING_OF_FINDING), [*STRENGTHS, ""]
_OF_ORDERINGS = ("ordering", "ranking", "tie", "confound", "across reports")
LONG = 60
"""Characters of a place in a report beyond which a card leaves it to the audit."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One part of a line: a short answer with its colour, where there is one, then the words.

    Attributes:
        standing: key of ``summary.STANDINGS``; empty for no colour.
    """

    text: str
    word: str = ""
    standing: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One of the five lines: what is asked, and the points that answer it."""

    term: str
    points: tuple[Remark, ...]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Printed value, margin, seeds and others on one axis; places are percent of its width.

    Attributes:
        source: the data that the claim is about.
        band: ends of what still counts as the same figure.
        seeds: our figures on the claim's own data.
        others: figures of other reports; ``one_more`` is the interval for one more report.
        said: the same in words.
    """

    metric: str
    source: str
    printed: float
    label: str
    band: tuple[float, float] | None
    band_text: str
    seeds: tuple[float, ...]
    others: tuple[float, ...]
    one_more: tuple[float, float] | None
    ticks: tuple[tuple[float, str], ...]
    said: str


@dataclass(frozen=True, kw_only=True)
class Settle:
    """The command that settles a claim, and what it takes."""

    command: str
    takes: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader gets who asks whether a claim holds."""

    row: GradedClaim
    printed: str
    axis: Axis | None
    lines: tuple[Line, ...]
    settle: Settle | None
    rehearsal: str


class Cards:
    """Cards of graded claims; what several of them need is kept.

    Args:
        rows: every graded claim.
        findings: the audit's.
        others: what other reports print.
        basis: the machine that hours are estimated for.
        elsewhere: what the user's own code or other people's runs gave, by claim; never ours.
    """

    def __init__(
        self,
        rows: Sequence[GradedClaim],
        findings: Sequence[Finding],
        others: Others,
        basis: hours.Basis,
        elsewhere: Mapping[str, Sequence[Remark]] = MappingProxyType({}),
    ) -> None:
        self.rows = {row.claim.id: row for row in rows}
        self.claims = {row.claim.id: row.claim for row in rows}
        self.others = others
        self.basis = basis
        self.elsewhere = elsewhere
        self.findings: dict[str, list[Finding]] = {}
        for finding in findings:
            for claim in finding.claims:
                self.findings.setdefault(claim, []).append(finding)

    def card(self, row: GradedClaim) -> Card:
        """The card of one claim."""
        claim = row.claim
        return Card(
            row=row,
            printed=wording.printed(claim) if claim.value else "",
            axis=axis(row, self.others.places.get(claim.id, ())),
            lines=tuple(line for line in self._lines(row) if line.points),
            settle=self._settle(row),
            rehearsal=row.rehearsal,
        )

    def example(self) -> Card | None:
        """The card that stands there before anybody asks: of the printed result with most seeds."""
        numbers = [row for row in self.rows.values() if row.claim.kind == "number" and row.claim.value]
        return self.card(max(numbers, key=_evidence)) if numbers else None

    def own_findings(self, claim: Claim) -> list[Finding]:
        """The audit's findings that rest on a claim: those against it first, then by strength."""
        found = [f for f in self.findings.get(claim.id, ()) if _is_about(f, claim)]
        return sorted(found, key=lambda f: (_VERDICTS.index(f.verdict), _STRENGTHS.index(f.strength)))

    # the five lines

    def _lines(self, row: GradedClaim) -> list[Line]:
        claim = row.claim
        return [
            Line(
                term="on official data" if claim.kind in DECIDED_BY_RUNS else "compared",
                points=(_decided(row),),
            ),
            Line(term="run elsewhere", points=tuple(self.elsewhere.get(claim.id, ()))),
            Line(term="what others got", points=tuple(self._others(claim))),
            Line(term="arithmetic", points=tuple(self._arithmetic(claim))),
            Line(term="can it be repeated?", points=tuple(repeatable(row))),
            Line(term="the claim behind it", points=tuple(self._related(claim))),
        ]

    def _others(self, claim: Claim) -> Iterable[Remark]:
        places = {place.sentence: place for place in self.others.places.get(claim.id, ())}
        for sentence in self.others.sentences(claim):
            yield Remark(text=sentence, standing=_standing_among(places.get(sentence)))

    def _arithmetic(self, claim: Claim) -> Iterable[Remark]:
        found = self.own_findings(claim)
        for finding in found[:MOST_FINDINGS]:
            word = finding.flag if finding.verdict == "against" and finding.flag else ""
            yield Remark(
                word=word or WORD_OF_FINDING[finding.verdict],
                standing=STANDING_OF_FINDING[finding.verdict],
                text=f"{finding.sentence} ({', '.join(_weight(finding))})",
            )
        if len(found) > MOST_FINDINGS:
            yield Remark(text=f"{len(found) - MOST_FINDINGS} more in the audit below")

    def _related(self, claim: Claim) -> Iterable[Remark]:
        related = self._orderings_of(claim) if claim.kind == "number" else self._members_of(claim)
        for row in related[:MOST_RELATED]:
            printed = f", printed {wording.printed(row.claim)}" if row.claim.value else ""
            agreed = "; ".join(self.others.sentences(row.claim)) if row.claim.kind == "ordering" else ""
            text = f"“{row.claim.text.rstrip('.')}”{printed} ({row.claim.id})" + (
                f"; {agreed}" if agreed else ""
            )
            yield Remark(word=row.label, standing=summary.standing(row), text=text)
        if len(related) > MOST_RELATED:
            more = [row.claim.id for row in related[MOST_RELATED:]]
            yield Remark(text=f"and {listed(more)}")

    def _orderings_of(self, claim: Claim) -> list[GradedClaim]:
        """Orderings and gains that rest on a figure."""

        def rests(other: Claim) -> bool:
            recipes = (*other.order_recipes, *other.difference_of)
            return claim.id in other.order or (claim.class_index is None and claim.recipe in recipes)

        own = [row for row in self.rows.values() if row.claim.report == claim.report]
        return [row for row in own if row.claim.id != claim.id and rests(row.claim)]

    def _members_of(self, claim: Claim) -> list[GradedClaim]:
        named = (*claim.order, *claim.order_recipes, *claim.difference_of, *claim.tested_by)
        return [self.rows[name] for name in dict.fromkeys(named) if name in self.rows]

    # what would settle it

    def _settle(self, row: GradedClaim) -> Settle | None:
        claim = row.claim
        slugs = hours.needs(claim, self.claims)
        undecided = row.grade in ("not tested", "compatible", "undecided")
        if not undecided or not slugs or any(slug not in RECIPES for slug in slugs):
            return None
        seeds = hours.seeds_to_settle(claim)
        if seeds is None or row.reason in ("illegible", "not stated"):
            return None
        more = row.statistics.more_seeds if row.statistics and row.statistics.more_seeds else 0
        run = row.statistics.k if row.statistics else 0
        seeds = max(seeds, run + more)
        if run >= min(seeds, verdict.MAX_SEEDS):
            return None
        data = "" if all(RECIPES[slug].data in tiers.DRAWN for slug in slugs) else " --data DIR"
        names = " ".join(dict.fromkeys(slugs))
        command = f"bench run {names}{data} --tier full --seeds {seeds}"
        takes = self._takes(slugs, seeds)
        if hours.decided_on_public_originals(claim):
            takes += f"; testable on public originals: bench data prepare {claim.data} --from DIR"
        return Settle(command=command, takes=takes)

    def _takes(self, slugs: Sequence[str], seeds: int) -> str:
        """Hours of the recipes with all runs that they start from."""
        chain = hours.with_starts(slugs, RECIPES)
        each = [self.hours_of.get(slug) for slug in chain]
        if not chain or any(value is None for value in each):
            return "no estimate of its hours"
        total = seeds * math.fsum(value for value in each if value is not None)
        before = [slug for slug in chain if slug not in slugs]
        after = f", {listed(before)} among them" if before else ""
        basis = "" if self.basis.result else ", estimated: no GPU has been timed"
        return f"about {duration(total)} on one {self.basis.gpu}{after}{basis}"

    @cached_property
    def hours_of(self) -> Mapping[str, float | None]:
        """Hours of one seed, by recipe."""
        wanted = {slug for claim in self.claims.values() for slug in hours.needs(claim, self.claims)}
        chain = {name for slug in wanted for name in hours.with_starts((slug,), RECIPES)}
        return {slug: hours.seed_hours(RECIPES[slug], self.basis) for slug in chain}


def measured_elsewhere(ledgers: Iterable[Ledger], folder: Path) -> dict[str, list[Remark]]:
    """Return by claim what was imported into a folder: figures of the user's code, and verdicts of others."""
    remarks: dict[str, list[Remark]] = {}
    for grade in grade_reported(ledgers, folder):
        told = Remark(word=grade.label, text=grade.verdict.sentence)
        remarks.setdefault(grade.claim.id, []).append(told)
    for theirs in kept_verdicts(folder):
        remarks.setdefault(theirs.claim, []).append(Remark(word=BY_OTHERS, text=theirs.line))
    return remarks


def _is_about(finding: Finding, claim: Claim) -> bool:
    """Whether a finding says something of this claim: not of its order, nor a mere absence of faults."""
    if claim.kind == "number" and finding.check in _OF_ORDERINGS:
        return False
    return (finding.verdict, finding.strength) != ("holds", "weak") or len(finding.claims) <= MOST_FINDINGS


def _weight(finding: Finding) -> list[str]:
    """How sure a finding is, and where it stands."""
    weight = [finding.strength, finding.locator if len(finding.locator) <= LONG else ""]
    return [part for part in weight if part]


def _evidence(row: GradedClaim) -> int:
    return row.measured.k if row.measured else 0


def duration(hours_needed: float) -> str:
    """``"4 minutes"``, ``"2.5 hours"``; never less than a minute."""
    minutes = hours_needed * 60
    if minutes < 1.5:
        return "a minute"
    if minutes < 100:
        return f"{minutes:.0f} minutes"
    return f"{hours_needed:.1f} hours"


def _decided(row: GradedClaim) -> Remark:
    """What our runs, or code that computes it, say of the claim."""
    if row.reason:
        detail = row.sentence.partition("; ")[2]
        text = verdict.NOT_TESTED_REASONS[row.reason] + (f"; {detail}" if detail else "")
        return Remark(word=row.grade, standing=summary.standing(row), text=text)
    return Remark(word=row.label, standing=summary.standing(row), text=row.sentence)


def _standing_among(place: PlaceAmongOthers | None) -> str:
    if place is None or place.interval is None:
        return ""
    return "holds" if place.word == IN_LINE else "otherwise"


def repeatable(row: GradedClaim) -> Iterable[Remark]:
    """Whether somebody can repeat it from the report alone, and what the report leaves unstated."""
    claim = row.claim
    unstated = claim.unstated or tuple(dict.fromkeys(a.field for a in row.assumptions))
    if row.reason == "illegible":
        yield Remark(word="no", standing="otherwise", text=f"the print is damaged: {claim.illegible_why}")
    elif unstated:
        count = f"{len(unstated)} settings are" if len(unstated) > 1 else "1 setting is"
        names = ", ".join(unstated).replace("_", " ")
        yield Remark(
            word="not as written",
            standing="otherwise",
            text=f"{count} missing ({names})" + ("; ours are listed" if row.assumptions else ""),
        )
    elif claim.kind in DECIDED_BY_RUNS and claim.recipe in RECIPES:
        yield Remark(
            word="yes", standing="holds", text="the report states every setting that the recipe needs"
        )


def shown_margin(claim: Claim) -> float | None:
    """Δ of a printed figure as a fraction; None for a metric that has none."""
    if claim.kind != "number" or claim.value is None or claim.difference_of:
        return None
    known = claim.metric in ("miou", "iou") or (claim.metric == "top1" and claim.n)
    return spread.margin_of(claim, claim.n) if known or claim.margin is not None else None


def axis(row: GradedClaim, places: Sequence[PlaceAmongOthers] = ()) -> Axis | None:
    """The axis of a printed figure; None for a claim without one."""
    claim = row.claim
    if claim.kind != "number" or claim.value is None or claim.difference_of or claim.illegible:
        return None
    value, allowed = float(claim.fraction), shown_margin(claim)
    seeds = [v for record in row.runs if (v := figure_of(claim, record)) is not None and math.isfinite(v)]
    shown = max(places, key=lambda place: place.n, default=None)
    others = list(shown.dots) if shown else []
    one_more = (shown.interval.low, shown.interval.high) if shown and shown.interval else None
    band = (value - allowed, value + allowed) if allowed is not None else None
    low, high = _ends([value, *seeds, *others, *(band or ()), *(one_more or ())], claim)

    def x_of(number: float) -> float:
        return round(100 * (min(max(number, low), high) - low) / (high - low), 2)

    scale = 100 if claim.unit == "percent" else 1
    percent = " %" if claim.unit == "percent" else ""
    ticks = [(x_of(tick / scale), label) for tick, label in plots.round_numbers(low * scale, high * scale)]
    band_text = f"margin ±{allowed * scale:.3g}{percent}" if allowed is not None else ""
    said = [f"printed {wording.printed(claim)}", band_text]
    said += [f"{len(seeds)} seeds of ours on the claim’s own data" if seeds else "no seed of ours yet"]
    said += [f"{len(others)} other reports" if others else ""]
    return Axis(
        metric=METRICS[claim.metric or "top1"].title + (" in %" if percent else ""),
        source=claim.source,
        printed=x_of(value),
        label=wording.printed(claim),
        band=(x_of(band[0]), x_of(band[1])) if band else None,
        band_text=band_text,
        seeds=tuple(x_of(seed) for seed in sorted(seeds)),
        others=tuple(x_of(other) for other in others),
        one_more=(x_of(one_more[0]), x_of(one_more[1])) if one_more else None,
        ticks=tuple(ticks),
        said=", ".join(part for part in said if part),
    )


def _ends(values: Sequence[float], claim: Claim) -> tuple[float, float]:
    """The axis' ends: all values with some room, within what the metric can be."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05
    least, most = METRICS[claim.metric or "top1"].low, METRICS[claim.metric or "top1"].high
    return max(low - room, least), min(high + room, most)
