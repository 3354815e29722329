"""From records to a grade for every claim: which runs count, and which rule of this room judges them.

A run counts for a number only on the data that the claim names and without deviations. All other runs of
the recipe are measured too and stand beside the grade, in groups that are never mixed: a mean runs over
seeds of one recipe, tier, data set, set of deviations and numerics, and nothing else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import checks
from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.predicates import PREDICATES
from bench.grading import deterministic, numbers, orderings, timing_ratio
from bench.grading import statistics as statistics_module
from bench.grading import verdict as verdict_module
from bench.grading.groups import Group, Runs, comparable, preference
from bench.grading.measured import Measured, PerImage, figure_of, is_recipes_own, measure, per_image
from bench.grading.verdict import Verdict
from bench.printed import printed_files
from bench.runs import provenance
from bench.runs.records import Record
from reference.data.dataset import OFFICIAL_PALETTE
from reference.outside import is_import_path
from reference.recipes import RECIPES
from reference.recipes.recipe import Assumption, Recipe

CHECKS: dict[str, Callable[[], tuple[Any, Any]]] = {**printed_files.CHECKS, **checks.CHECKS}
"""Deterministic claims that code settles: claim id → (what is printed, what we find)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A claim and what became of it.

    Attributes:
        reason: key of ``grading.NOT_RUN_REASONS`` where the grade is ``not run``, else empty.
        on: what the grade rests on where that is not the claim's own data without deviations:
            ``"stand-in"``, ``"synthetic"`` or ``"gpu tier"``; empty else.
        statistics: the rule's verdict with its figures, where a rule was applied.
        runs: the records that the grade rests on.
        measured: our figure from those runs, for a number.
        elsewhere: figures on other data or with deviations, which count for nothing but are shown.
        assumptions: values that the report does not state and the recipe chose.
        flags: what an audit found in the report itself.
        superseded: older attempts and runs of an earlier recipe, which are not graded.
        failures: every run of the claim's recipes that did not end well.
        holm_p: the p-value of a number, adjusted over all numbers of its report.
    """

    claim: Claim
    grade: str
    reason: str = ""
    on: str = ""
    sentence: str
    statistics: Verdict | None = None
    runs: tuple[Record, ...] = ()
    measured: Measured | None = None
    elsewhere: tuple[Measured, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    flags: tuple[str, ...] = ()
    superseded: int = 0
    failures: tuple[Record, ...] = ()
    holm_p: float | None = None

    @property
    def label(self) -> str:
        """The grade as it is shown: ``"not run: data"``, ``"directional on synthetic"``."""
        if self.reason:
            return f"{self.grade}: {self.reason}"
        return f"{self.grade} on {self.on}" if self.on else self.grade


def grade_all(
    ledgers: Iterable[Ledger],
    found: Iterable[Record],
    *,
    alignment_green: bool,
    folder: Path | None = None,
    flags: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
) -> list[Row]:
    """Grade every claim of every ledger, in the ledgers' order.

    Args:
        found: all records, in any order.
        alignment_green: the alignment suites passed for ``reference/`` as it is now; it vouches only for runs
            of that very code.
        folder: where the records lie, for per-image results; without it one seed decides no ordering.
        flags: by claim id, what an audit found in the report itself.
    """
    known = tuple(ledgers)
    claims = {claim.id: claim for ledger in known for claim in ledger.claims}
    grader = _Grader(Runs(found), claims, alignment_green, folder)
    rows: list[Row] = []
    for ledger in known:
        rows += _with_holm(map(grader.grade, ledger.claims))
    rows = grader.explained(rows)
    return [replace(row, flags=flags.get(row.claim.id, ())) for row in rows]


@dataclass(frozen=True)
class _Member:
    """One side of an ordering or a difference: whose runs, which figure of them, whether they have it."""

    slug: str
    figure: Callable[[Record], float | None]
    recorded: Callable[[Record], bool]


@dataclass(frozen=True)
class _Pairing:
    """Groups of several recipes that may be compared: alike in tier, data, kind of deviation, numerics."""

    groups: tuple[Group, ...]
    seeds: tuple[int, ...]

    def values(self, members: Sequence[_Member]) -> list[list[float]]:
        """One list a member, one figure a common seed; nan where it is undefined."""
        columns = []
        for group, member in zip(self.groups, members, strict=True):
            of = {record.seed: member.figure(record) for record in group.runs}
            columns.append([math.nan if (v := of[seed]) is None else v for seed in self.seeds])
        return columns

    @property
    def runs(self) -> tuple[Record, ...]:
        return tuple({id(r): r for g in self.groups for r in g.runs if r.seed in self.seeds}.values())


class _Grader:
    def __init__(
        self, runs: Runs, claims: Mapping[str, Claim], alignment_green: bool, folder: Path | None
    ) -> None:
        self.runs = runs
        self.claims = claims
        self.alignment_green = alignment_green
        self.folder = folder
        self.images: dict[str, PerImage | None] = {}

    def grade(self, claim: Claim) -> Row:
        """The first rule that matches, in the order of the grades."""
        slugs = self._slugs(claim)
        missing = [slug for slug in slugs if slug not in RECIPES]
        row = partial(
            Row,
            claim=claim,
            assumptions=tuple(a for slug in slugs if slug in RECIPES for a in RECIPES[slug].assumptions),
            failures=self.runs.failures(slugs),
            superseded=sum(record.slug in slugs for record in self.runs.superseded),
        )
        if claim.illegible:
            return _not_run(row, "illegible", claim.illegible_why or "")
        if claim.id in CHECKS:
            return _judged(row, deterministic.grade_exact(*CHECKS[claim.id]()))
        if claim.kind in ("architecture", "formula", "protocol"):
            return _not_run(row, "no recipe", "no check of it is written")
        if claim.kind == "explanation":
            return _not_run(row, "no recipe", "")  # filled in by ``explained``, from the other rows
        if not slugs:
            return _not_run(row, "not stated" if claim.unstated else "no recipe", "")
        if missing:
            return _not_run(row, "no recipe", f"no recipe {', '.join(missing)}")
        by_kind: dict[str, Callable[[Claim, Callable[..., Row]], Row]] = {
            "ordering": self._ordering,
            "figure": self._figure,
            "process": self._process,
            "timing": self._timing,
            "number": self._difference if claim.difference_of else self._number,
        }
        return by_kind[claim.kind](claim, row)

    def explained(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with every explanation told by what became of the claims that would test it."""
        of = {row.claim.id: row for row in rows}
        return [self._explanation(row, of) if row.claim.kind == "explanation" else row for row in rows]

    def _explanation(self, row: Row, of: Mapping[str, Row]) -> Row:
        if row.reason != "no recipe" or row.statistics is not None:
            return row
        became = {name: self._became_of(name, of) for name in row.claim.tested_by}
        told = ", ".join(f"{name} ({label})" for name, label in became.items())
        if any(label != "no recipe" and not label.startswith("not run") for label in became.values()):
            sentence = f"no single run decides an explanation; its tests: {told}"
            return replace(row, grade="inconclusive", reason="", sentence=sentence)
        reasons = [of[name].reason for name in became if name in of]
        reason = "no recipe" if not became or "no recipe" in became.values() else (*reasons, "data")[0]
        detail = f"what would test it: {told}" if told else "no test of it is named"
        return replace(row, reason=reason, sentence=verdict_module.not_run(reason, detail).sentence)

    def _became_of(self, name: str, of: Mapping[str, Row]) -> str:
        """A claim's grade, or of a recipe without a claim its best group of runs."""
        if name in of:
            return of[name].label
        if name not in RECIPES:
            return "no recipe"
        groups = self.runs.groups.get(name)
        return f"run, {groups[0].named}" if groups else "not run"

    def _slugs(self, claim: Claim) -> list[str]:
        """The recipes whose runs settle the claim; an ordered claim without one stands for itself."""
        if claim.order:
            return [self.claims[name].recipe or name for name in claim.order]
        if several := claim.order_recipes or claim.difference_of or claim.ratio_of:
            return list(several)
        return [claim.recipe] if claim.recipe else []

    # numbers

    def _number(self, claim: Claim, row: Callable[..., Row]) -> Row:
        assert claim.recipe is not None
        assert claim.metric_name is not None
        own = None if is_recipes_own(claim) else partial(figure_of, claim)
        with_figure = [g for g in self.runs.groups[claim.recipe] if any(_recorded(claim, r) for r in g.runs)]
        measured = [measure(claim.metric_name, group, self.folder, own) for group in with_figure]
        counting = [m for m in measured if m.group.counts_for(claim)]
        if not counting:
            return self._no_number(claim, partial(row, elsewhere=tuple(measured)))
        chosen = max(counting, key=lambda m: m.k)  # the first of the most: groups come in their preference
        row = partial(
            row,
            runs=chosen.group.runs,
            measured=chosen,
            elsewhere=tuple(m for m in measured if m is not chosen),
        )
        verdict = self._by_number_rule(claim, claim.metric_name, list(chosen.values), chosen.group.runs, 1.0)
        broken = self.runs.broken(claim.recipe, claim)
        return _judged(row, verdict, _broken_beside(broken) + _of_outside(RECIPES[claim.recipe]))

    def _no_number(self, claim: Claim, row: Callable[..., Row]) -> Row:
        """Why no run counts for a number: all broke, they deviate, or they are on other data or not there."""
        assert claim.recipe is not None
        broken = self.runs.broken(claim.recipe, claim)
        if broken:
            return _failed(row, broken)
        groups = self.runs.groups[claim.recipe]
        if any(group.counts_for(claim) for group in groups):
            return _not_run(row, "no recipe", f"the runs of {claim.recipe} record no {claim.metric_name}")
        if any(group.source == claim.source for group in groups):
            return _not_run(row, "deviation", _kinds(groups, claim.source))
        return _not_run(row, "data", _others(groups, claim.source))

    def _difference(self, claim: Claim, row: Callable[..., Row]) -> Row:
        """A gain a − b, from the same seeds of two recipes."""
        assert claim.metric is not None
        metric = claim.metric.removeprefix("delta_")
        members = [_of_recipe(slug, metric) for slug in claim.difference_of]
        pairings = self._pairings(members)
        counting = [p for p in pairings if all(group.counts_for(claim) for group in p.groups)]
        if not counting:
            broken = [r for slug in claim.difference_of for r in self.runs.broken(slug, claim)]
            if broken:
                return _failed(row, broken)
            groups = [group for pairing in pairings for group in pairing.groups]
            if any(group.source == claim.source for group in groups):
                return _not_run(row, "deviation", _kinds(groups, claim.source))
            return _not_run(row, "data", _others(groups, claim.source))
        chosen = max(counting, key=lambda p: len(p.seeds))
        first, second = chosen.values(members)
        gains = [a - b for a, b in zip(first, second, strict=True)]
        # a difference of two independent figures scatters √2 as far as one of them
        verdict = self._by_number_rule(claim, metric, gains, chosen.runs, math.sqrt(2))
        return _judged(partial(row, runs=chosen.runs), verdict)

    def _by_number_rule(
        self, claim: Claim, metric: str, values: list[float], runs: Sequence[Record], spread: float
    ) -> Verdict:
        assert claim.value is not None
        unit: Any = claim.unit or "fraction"
        level = numbers.printed_value(claim.value, unit)
        if claim.difference_of:  # a gain is no accuracy: the spread depends on the level it is gained at
            level = _mean_of(metric, runs, level)
        n = claim.n if claim.n is not None else int(runs[0].data["val"])
        if metric not in ("top1", "miou") and not metric.startswith("iou_"):
            sentence = f"no spread between seeds is known beforehand for the {METRICS[metric].title}"
            return Verdict(grade="inconclusive", sentence=sentence, k=len(values))
        earlier = () if claim.difference_of else self._earlier(metric, runs)
        sigma0 = spread * numbers.prior_sigma(metric, n, level, earlier)[0]
        half_step = numbers.rounding_halfwidth(claim.value, unit)
        return numbers.grade_number(
            claim.value,
            values,
            sigma0=sigma0,
            margin=float(numbers.margin(claim.metric or metric, n, sigma0, half_step)),
            unit=unit,
            m=claim.runs,
            higher_is_better=METRICS[claim.metric or metric].higher_is_better,
            assumptions=any(record.assumptions for record in runs),
            alignment_green=self._vouched_for(runs),
        )

    def _vouched_for(self, runs: Sequence[Record]) -> bool:
        """Green suites speak for the code they tested, not for runs of an earlier one."""
        present = provenance.reference_hash()
        return self.alignment_green and all(r.provenance.get("reference_hash") == present for r in runs)

    def _earlier(self, metric: str, runs: Sequence[Record]) -> list[float]:
        """Figures of superseded runs like the graded ones, one a seed; no repetition of a graded run."""
        graded = {record.weights_hash for record in runs}
        like = [
            r
            for r in self.runs.superseded
            if self.runs.key(r) == self.runs.key(runs[0]) and r.weights_hash not in graded
        ]
        figures = {r.seed: value for r in like if (value := r.metric(metric)) is not None}
        return [figures[seed] for seed in sorted(figures)]

    # orderings

    def _ordering(self, claim: Claim, row: Callable[..., Row]) -> Row:
        members = [self._member(claim, name) for name in claim.order or claim.order_recipes]
        pairings = self._pairings(members)
        if not pairings:
            sides = ", ".join(f"{m.slug} {_count(self.runs.groups[m.slug])}" for m in members)
            return _not_run(row, "data", f"no runs that can be compared: {sides}")
        chosen = min(pairings, key=lambda p: self._standing(p, claim))
        verdict = self._compare(claim, chosen, members)
        label = _on(chosen.groups[0], claim)
        group = chosen.groups[0]
        return _judged(partial(row, runs=chosen.runs, on=label), verdict, f"; {group.named}")

    def _member(self, claim: Claim, name: str) -> _Member:
        ranked = self.claims.get(name) if claim.order else None
        if ranked is None:
            return _of_recipe(name, str(claim.metric_name))
        return _Member(ranked.recipe or name, partial(figure_of, ranked), partial(_recorded, ranked))

    def _pairings(self, members: Sequence[_Member]) -> list[_Pairing]:
        """Every choice of one group a member that may be compared, with the seeds they have in common."""
        having = [
            [g for g in self.runs.groups[member.slug] if all(map(member.recorded, g.runs))]
            for member in members
        ]
        found: list[_Pairing] = []
        for first in having[0]:
            like = [[g for g in groups if comparable(first, g)] for groups in having[1:]]
            if not all(like):
                continue
            groups = (first, *(groups[0] for groups in like))
            seeds = set.intersection(*({r.seed for r in group.runs} for group in groups))
            if seeds:
                found.append(_Pairing(groups, tuple(sorted(seeds))))
        return found

    def _standing(self, pairing: _Pairing, claim: Claim) -> tuple[object, ...]:
        """Sort key of pairings: their data, whether they can decide anything, how near they are to print."""
        group = pairing.groups[0]
        k = len(pairing.seeds)
        decides = k >= verdict_module.MIN_SEEDS or (k == 1 and self._correct(pairing, claim) is not None)
        source, *rest = preference(group)
        return (source, not decides, *rest)

    def _compare(self, claim: Claim, pairing: _Pairing, members: Sequence[_Member]) -> Verdict:
        groups: Sequence[Sequence[Any]] = pairing.values(members)
        rule: Callable[[Sequence[Any], Sequence[Any]], Verdict] = orderings.grade_ordering
        if claim.tie:
            rule = partial(orderings.grade_tie, margin=self._tie_margin(claim, pairing))
        elif len(pairing.seeds) == 1 and (correct := self._correct(pairing, claim)) is not None:
            groups, rule = correct, orderings.grade_ordering_single
        if len(groups) == 2:
            return rule(groups[0], groups[1])
        return orderings.grade_chain(groups, names=[member.slug for member in members], rule=rule)

    def _correct(self, pairing: _Pairing, claim: Claim) -> list[Sequence[bool]] | None:
        """Which images each side has right at the one common seed; None where that cannot be compared."""
        if claim.metric != "top1" or not all(is_recipes_own(self.claims[name]) for name in claim.order):
            return None
        sides = [
            self._images(record)
            for group in pairing.groups
            for record in group.runs
            if record.seed == pairing.seeds[0]
        ]
        same = {side.ids for side in sides if side is not None}
        if len(same) != 1 or None in sides:
            return None
        return [side.correct.tolist() for side in sides if side is not None]

    def _images(self, record: Record) -> PerImage | None:
        place = f"{record.slug}/{record.name}"
        if place not in self.images:
            self.images[place] = per_image(record, self.folder)
        return self.images[place]

    def _tie_margin(self, claim: Claim, pairing: _Pairing) -> float:
        metric, runs = claim.metric_name or "top1", pairing.runs
        n = int(runs[0].data["val"])
        sigma0, _ = numbers.prior_sigma(metric, n, _mean_of(metric, runs, 0.5))
        return float(numbers.margin(metric, n, sigma0, 0.0))

    # figures and processes

    def _figure(self, claim: Claim, row: Callable[..., Row]) -> Row:
        assert claim.recipe is not None
        groups = self.runs.groups[claim.recipe]
        for group in groups:
            drawn = tuple(r for r in group.runs if any(f["kind"] == claim.shows for f in r.figures))
            if drawn:
                verdict = Verdict(grade="shown", sentence=f"redrawn: {group.named}", k=len(drawn))
                return _judged(partial(row, runs=drawn, on=_on(group, claim)), verdict)
        if groups:
            return _not_run(row, "no recipe", f"the runs of {claim.recipe} draw no {claim.shows}")
        return _not_run(row, "data", "no run")

    def _process(self, claim: Claim, row: Callable[..., Row]) -> Row:
        assert claim.recipe is not None
        assert claim.predicate is not None
        groups = self.runs.groups[claim.recipe]
        why = "no run"
        for group in groups:
            judgements = [PREDICATES[claim.predicate](r.curves, **claim.args) for r in group.runs]
            undecided = all(judgement.holds is None for judgement in judgements)
            if undecided and not group.counts_for(claim):
                why = judgements[0].why
                continue  # a shorter schedule may end before the epoch the claim is about
            verdict = deterministic.grade_process([judgement.holds for judgement in judgements])
            verdict = replace(verdict, sentence=f"{verdict.sentence}: {judgements[0].why}")
            return _judged(partial(row, runs=group.runs, on=_on(group, claim)), verdict, f"; {group.named}")
        broken = self.runs.broken(claim.recipe, claim)
        if broken:
            return _failed(row, broken)
        deviates = any(group.source == claim.source for group in groups)
        return _not_run(row, "deviation" if deviates else "data", why)

    def _timing(self, claim: Claim, row: Callable[..., Row]) -> Row:
        """From runs as printed on the claim's data that one kind of machine made with so many threads."""
        assert claim.least is not None
        by_machine: dict[tuple[str, int], list[list[Record]]] = defaultdict(lambda: [[], []])
        for side, slug in enumerate(claim.ratio_of):
            for group in self.runs.groups[slug]:
                for record in group.runs if group.counts_for(claim) else ():
                    machine = (str(record.provenance["device"]), int(record.provenance.get("threads", 0)))
                    by_machine[machine][side].append(record)
        both = {machine: sides for machine, sides in by_machine.items() if all(sides)}
        if not both:
            return _not_run(row, "data", "no runs of both on one kind of machine")
        (device, threads), sides = max(both.items(), key=lambda item: min(map(len, item[1])))
        seconds = [[sum(part["seconds"] for part in r.segments) for r in runs] for runs in sides]
        verdict = timing_ratio.grade_timing(seconds[0], seconds[1], float(claim.least))
        where = f"; on {device}, {threads} thread{'s' if threads > 1 else ''}"
        return _judged(partial(row, runs=tuple(sides[0] + sides[1])), verdict, where)


def _of_recipe(slug: str, metric: str) -> _Member:
    def recorded(record: Record) -> bool:
        return metric in record.metrics.get(record.selected, {}).get("metrics", {})

    return _Member(slug, lambda record: record.metric(metric), recorded)


def _with_holm(rows: Iterable[Row]) -> list[Row]:
    """The rows of one report with the p of its numbers adjusted over all of them."""
    listed = list(rows)
    tested = {
        row.claim.id: row.statistics.p
        for row in listed
        if row.claim.kind == "number" and row.statistics is not None and row.statistics.p is not None
    }
    adjusted = dict(zip(tested, statistics_module.holm(list(tested.values())), strict=True))
    return [replace(row, holm_p=adjusted.get(row.claim.id)) for row in listed]


def _not_run(row: Callable[..., Row], reason: str, detail: str) -> Row:
    verdict = verdict_module.not_run(reason, detail)
    return row(grade=verdict.grade, reason=reason, sentence=verdict.sentence)


def _judged(row: Callable[..., Row], verdict: Verdict, more: str = "") -> Row:
    return row(grade=verdict.grade, sentence=verdict.sentence + more, statistics=verdict)


def _failed(row: Callable[..., Row], broken: Sequence[Record]) -> Row:
    said = "; ".join(f"seed {r.seed} {r.status}: {r.reason}" for r in broken)
    return row(grade="failed", sentence=f"every run that would count broke: {said}")


def _broken_beside(broken: Sequence[Record]) -> str:
    if not broken:
        return ""
    return "; left out, since they broke: " + ", ".join(f"seed {r.seed} ({r.status})" for r in broken)


def _of_outside(recipe: Recipe) -> str:
    """Suites hold the networks of ``reference`` to outside oracles, and no others."""
    if not is_import_path(recipe.model):
        return ""
    return f"; no suite here vouches for its network, {recipe.model}"


def _on(group: Group, claim: Claim) -> str:
    """How a grade is called that does not rest on the claim's own data as printed."""
    if group.source != claim.source:
        return group.source
    if group.deviations:
        return f"{group.tier} tier" if group.tier != "full" else "runs with deviations"
    return "" if group.eager_float32 else group.numerics


def _recorded(claim: Claim, record: Record) -> bool:
    """Whether a run records what the claim is about at all; an undefined value is recorded.

    Other data may have other classes: there the third one's IoU says nothing about the third one here.
    """
    names = record.data["classes"]
    index = claim.class_index
    if index is not None and names[index : index + 1] != [OFFICIAL_PALETTE.classes[index]]:
        return False
    if is_recipes_own(claim):
        return claim.metric_name in record.metrics.get(record.selected, {}).get("metrics", {})
    return len(record.curves.get(f"val_{claim.metric_name}", [])) >= (claim.epoch or 1)


def _mean_of(metric: str, runs: Sequence[Record], otherwise: float) -> float:
    values = [value for record in runs if (value := record.metric(metric)) is not None]
    return math.fsum(values) / len(values) if values else otherwise


def _kinds(groups: Iterable[Group], source: str) -> str:
    named = dict.fromkeys(group.named for group in groups if group.source == source)
    return f"there are runs at {'; '.join(named)}"


def _others(groups: Iterable[Group], source: str) -> str:
    named = " and ".join(dict.fromkeys(group.source for group in groups))
    return f"it needs {source} data; " + (f"there are runs on {named} data" if named else "there is no run")


def _count(groups: Sequence[Group]) -> str:
    runs = sum(len(group.runs) for group in groups)
    return "has none" if not runs else f"has {runs}"
