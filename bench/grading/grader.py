"""Grade every claim from the records: may the runs decide it, and which rule judges them?

Relevance comes first (``bench.grading.relevance``). Runs that may not decide a claim are rehearsals: they
show that the machinery works, in one line without a verdict. Runs are in groups that are never mixed: a mean
runs over seeds of one recipe, tier, data set, set of deviations and numerics, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.predicates import PREDICATES
from bench.grading import another_split, deterministic, numbers, orderings, rehearsal, relevance
from bench.grading import statistics as statistics_module
from bench.grading import verdict as verdict_module
from bench.grading.another_split import is_public, split_variance
from bench.grading.groups import Group, Runs, comparable, preference
from bench.grading.measured import Measured, PerImage, figure_of, is_recipes_own, measure, per_image
from bench.grading.orderings import Side
from bench.grading.relevance import Obstacle
from bench.grading.spread import Spread, expected_spread, margin, margin_of
from bench.grading.verdict import MIN_SEEDS, Verdict
from bench.runs import provenance
from bench.runs.records import Record
from bench.runs.tiers import own_parts
from reference.recipes import RECIPES
from reference.recipes.recipe import Assumption, Recipe


@cache
def checks() -> dict[str, Callable[[], tuple[Any, Any]]]:
    """Deterministic claims that code settles: claim id → (what is printed, what we compute)."""
    # Imported here: a claim that runs decide needs none of them.
    from bench import checks as claim_checks
    from bench.printed import printed_files

    return {**printed_files.CHECKS, **claim_checks.CHECKS}


@dataclass(frozen=True, kw_only=True, eq=False)
class GradedClaim:
    """A claim and what became of it.

    Attributes:
        reason: key of ``NOT_TESTED_REASONS`` where the grade is ``not tested``, else empty.
        statistics: the rule's verdict with its figures, where a rule was applied.
        runs: the records that the grade rests on.
        measured: our figure from those runs, for a number.
        rehearsal: what runs that decide nothing have shown, in one line; empty where there are none.
        assumptions: values that the report does not state and the recipe chose.
        flags: what an audit found in the report itself.
        superseded: runs of an earlier recipe, which are not graded.
        replaced: runs that ended and were run anew, and repetitions without a reason, each in one line.
        failures: every run of the claim's recipes that did not end well.
        holm_p: the p-value of a number or an ordering, adjusted over those of its report.
    """

    claim: Claim
    grade: str
    reason: str = ""
    sentence: str
    statistics: Verdict | None = None
    runs: tuple[Record, ...] = ()
    measured: Measured | None = None
    rehearsal: str = ""
    assumptions: tuple[Assumption, ...] = ()
    flags: tuple[str, ...] = ()
    superseded: int = 0
    replaced: tuple[str, ...] = ()
    failures: tuple[Record, ...] = ()
    holm_p: float | None = None

    @property
    def label(self) -> str:
        """The grade as it is shown: ``"not tested: data"``, ``"reproduced"``."""
        return f"{self.grade}: {self.reason}" if self.reason else self.grade


def grade_all(
    ledgers: Iterable[Ledger],
    run_records: Iterable[Record],
    *,
    alignment_green: bool,
    folder: Path | None = None,
    flags: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    only: Collection[str] | None = None,
) -> list[GradedClaim]:
    """Grade every claim of every ledger, in the ledgers' order.

    Args:
        found: all records, in any order; of a few claims those of their reports' recipes suffice.
        alignment_green: the alignment suites passed for ``reference/`` as it is now; it vouches only for runs
            of that very code.
        folder: where the records lie, for per-image results.
        flags: by claim id, what an audit found in the report itself.
        only: ids of the claims that are asked for; None for all. Others are not graded, but for the numbers
            or orderings of the same report that Holm's method needs.
    """
    grader = Grader(ledgers, run_records, alignment_green=alignment_green, folder=folder)
    asked = [claim for claim in grader.claims.values() if only is None or claim.id in only]
    rows = [grader.row(claim.id) for claim in asked]
    return [replace(row, flags=flags.get(row.claim.id, ())) for row in rows]


@dataclass(frozen=True)
class _Member:
    """One side of an ordering or a difference: whose runs, which figure of them, whether they have it."""

    slug: str
    figure: Callable[[Record], float | None]
    recorded: Callable[[Record], bool]

    def side(self, group: Group) -> Side:
        """The figures of the group's seeds, and how many broke."""
        figures = tuple(math.nan if (v := self.figure(r)) is None else v for r in group.counted)
        return Side(name=self.slug, figures=figures, broken=len(group.started) - len(group.counted))


_Pairing = tuple[Group, ...]
"""One group of each member, alike in tier, data, kind of deviation and numerics."""


class Grader:
    """Grades claims one by one, each once; what several of them need is kept."""

    def __init__(
        self,
        ledgers: Iterable[Ledger],
        run_records: Iterable[Record],
        *,
        alignment_green: bool,
        folder: Path | None = None,
    ) -> None:
        self.ledgers = tuple(ledgers)
        self.runs = Runs(run_records)
        self.claims = {claim.id: claim for ledger in self.ledgers for claim in ledger.claims}
        self.alignment_green = alignment_green
        self.folder = folder
        self.images: dict[str, PerImage | None] = {}
        self.learned: dict[int, bool] = {}
        self.rows: dict[str, GradedClaim] = {}
        self.families: dict[tuple[str, str], dict[str, float]] = {}

    @cached_property
    def checks(self) -> Mapping[str, Callable[[], tuple[Any, Any]]]:
        return checks()

    def row(self, claim_id: str) -> GradedClaim:
        """The graded claim of that id.

        Raises:
            KeyError: no such claim.
        """
        if claim_id not in self.rows:
            self.rows[claim_id] = self._grade(self.claims[claim_id])
        return self.rows[claim_id]

    def _grade(self, claim: Claim) -> GradedClaim:
        slugs = self._slugs(claim)
        missing = [slug for slug in slugs if slug not in RECIPES]
        row = partial(
            GradedClaim,
            claim=claim,
            assumptions=tuple(a for slug in slugs if slug in RECIPES for a in RECIPES[slug].assumptions),
            failures=self.runs.failures(slugs),
            superseded=sum(record.slug in slugs for record in self.runs.superseded),
            replaced=self._replaced(slugs),
        )
        if claim.illegible:
            return _not_tested(row, Obstacle("illegible", claim.illegible_why or ""))
        if claim.id in self.checks:
            return _judged(row, deterministic.grade_exact(*self.checks[claim.id]()))
        if claim.kind in ("architecture", "formula", "protocol"):
            return _not_tested(row, Obstacle("no recipe", "no check of it is written"))
        if claim.kind == "explanation":
            return self._explanation(claim, row)
        if not slugs:
            return _not_tested(row, Obstacle("not stated" if claim.unstated else "no recipe", ""))
        if missing:
            return _not_tested(row, Obstacle("no recipe", f"no recipe {', '.join(missing)}"))
        by_kind: dict[str, Callable[[Claim, Callable[..., GradedClaim]], GradedClaim]] = {
            "ordering": self._ordering,
            "figure": self._figure,
            "process": self._process,
            "timing": self._timing,
            "number": self._gain if claim.difference_of else self._number,
        }
        return by_kind[claim.kind](claim, row)

    def _replaced(self, slugs: Sequence[str]) -> tuple[str, ...]:
        told = [
            f"{r.slug} seed {r.seed} ({r.status}) was run anew: {reason}"
            for r, reason in self.runs.replaced(slugs)
        ]
        told += [
            f"{r.slug} seed {r.seed}: attempt {r.attempt} repeats a run that ended, without a reason, and"
            " decides nothing"
            for r in self.runs.repeated
            if r.slug in slugs
        ]
        return tuple(told)

    def _slugs(self, claim: Claim) -> list[str]:
        """The recipes whose runs settle the claim; an ordered claim without one stands for itself."""
        if claim.order:
            return [self.claims[name].recipe or name for name in claim.order]
        several = claim.order_recipes or claim.difference_of or claim.ratio_of
        return list(several) if several else [claim.recipe] if claim.recipe else []

    def _explanation(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        """What became of the claims that would test it; none of them decides it."""
        became = {name: self._became_of(name) for name in claim.tested_by}
        told = ", ".join(f"{name} ({label})" for name, label in became.items())
        decided = [name for name in became if name in self.claims and self.row(name).grade != "not tested"]
        if decided or any(label.startswith("run, ") for label in became.values()):
            sentence = f"no single run decides an explanation; its tests: {told}"
            return row(grade="undecided", sentence=sentence)
        reasons = [self.row(name).reason for name in became if name in self.claims]
        reason = "no recipe" if not became or "no recipe" in became.values() else (*reasons, "data")[0]
        return _not_tested(
            row, Obstacle(reason, f"what would test it: {told}" if told else "no test is named")
        )

    def _became_of(self, name: str) -> str:
        """A claim's grade; of a recipe without a claim whether there is a run of it that could decide."""
        if name in self.claims:
            return self.row(name).label
        if name not in RECIPES:
            return "no recipe"
        deciding = [g for g in self.runs.groups[name] if g.source == "official" and g.tier != "smoke"]
        return f"run, {deciding[0].named}" if deciding else "not tested: data"

    # numbers

    def _number(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        assert claim.recipe is not None
        assert claim.metric_name is not None
        groups = self.runs.groups[claim.recipe]
        row = partial(row, rehearsal=self._rehearsed_number(claim))
        chosen, obstacle = self._deciding(claim, groups)
        if chosen is None:
            lost = self._lost(claim, [claim.recipe])
            return _without_group(row, lost, obstacle)
        figure = None if is_recipes_own(claim) else partial(figure_of, claim)
        judged = replace(chosen, runs=chosen.counted)
        measured = measure(claim.metric_name, judged, self.folder, figure) if judged.runs else None
        verdict = self._number_verdict(claim, chosen)
        row = partial(row, assumptions=(*RECIPES[claim.recipe].assumptions, *another_split.assumed([chosen])))
        return _judged(
            partial(row, runs=chosen.counted, measured=measured, holm_p=self._holm_p(claim)),
            verdict,
            _remarks([chosen]) + _of_outside(RECIPES[claim.recipe]),
        )

    def _deciding(self, claim: Claim, groups: Sequence[Group]) -> tuple[Group | None, Obstacle]:
        """Return the group with most seeds that may decide a number, or say what stops the nearest."""
        obstacles: list[Obstacle] = []
        deciding = []
        for group in groups:
            obstacle = self._against_number(claim, group)
            if obstacle is None:
                deciding.append(group)
            else:
                obstacles.append(obstacle)
        if deciding:
            return max(deciding, key=lambda group: _weight((group,))), Obstacle("data", "")
        return None, _nearest(obstacles, self._no_run(claim, [str(claim.recipe)]))

    def _against_number(self, claim: Claim, group: Group) -> Obstacle | None:
        obstacle = relevance.wrong_data(claim, group) or relevance.deviates(group)
        if obstacle is not None:
            return obstacle
        if not group.counts_for(claim):
            changed = "numerics" if not group.eager_float32 else "the schedule"
            return Obstacle("deviation", f"there are runs at {group.named}, which change {changed}")
        return (
            relevance.lacks_class(claim, group)
            or relevance.lacks_epoch(claim, group)
            or self._unrecorded(claim, group)
            or relevance.at_chance(group, self.runs.latest, self._learned)
        )

    def _unrecorded(self, claim: Claim, group: Group) -> Obstacle | None:
        if all(_recorded(claim, record) for record in group.runs):
            return None
        return Obstacle("no recipe", f"the runs of {group.slug} record no {claim.metric_name}")

    def _number_verdict(
        self, claim: Claim, group: Group, adjust: Callable[[float], float] | None = None
    ) -> Verdict:
        """The rule's verdict on the group's seeds; the p is adjusted over the report where that matters."""
        assert claim.value is not None
        metric = str(claim.metric_name)
        figures = [math.nan if (v := figure_of(claim, r)) is None else v for r in group.counted]
        return self._by_rule(claim, metric, [figures], [group], adjust)

    def _gain(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        """A gain a − b, from the seeds of two recipes."""
        assert claim.metric is not None
        metric = claim.metric.removeprefix("delta_")
        members = [_of_recipe(slug, metric) for slug in claim.difference_of]
        row = partial(row, rehearsal=self._rehearsed_ordering(claim, members))
        chosen, obstacle = self._deciding_pairing(claim, members, as_printed=True)
        if chosen is None:
            lost = self._lost(claim, claim.difference_of)
            return _without_group(row, lost, obstacle)
        verdict = self._gain_verdict(claim, chosen)
        assumptions = [a for slug in claim.difference_of for a in RECIPES[slug].assumptions]
        row = partial(row, assumptions=(*assumptions, *another_split.assumed(chosen)))
        runs = tuple(record for group in chosen for record in group.counted)
        return _judged(partial(row, runs=runs, holm_p=self._holm_p(claim)), verdict, _remarks(chosen))

    def _gain_verdict(
        self, claim: Claim, chosen: _Pairing, adjust: Callable[[float], float] | None = None
    ) -> Verdict:
        assert claim.metric is not None
        metric = claim.metric.removeprefix("delta_")
        figures = [
            [math.nan if (v := record.metric(metric)) is None else v for record in group.counted]
            for group in chosen
        ]
        return self._by_rule(claim, metric, figures, chosen, adjust)

    def _by_rule(
        self,
        claim: Claim,
        metric: str,
        figures: Sequence[Sequence[float]],
        groups: Sequence[Group],
        adjust: Callable[[float], float] | None,
    ) -> Verdict:
        assert claim.value is not None
        unit: Any = claim.unit or "fraction"
        printed = numbers.printed_value(claim.value, unit)
        runs = [record for group in groups for record in group.counted]
        n = claim.n if claim.n is not None else int(groups[0].runs[0].data["val"])
        level = printed
        if claim.difference_of:  # a gain is no accuracy: the spread depends on the level it is gained at
            finite = [v for values in figures for v in values if math.isfinite(v)]
            level = math.fsum(finite) / len(finite) if finite else 0.5
        spread = self._spread(metric, n, level, groups)
        if spread is None:
            title = METRICS[metric].title if metric in METRICS else metric
            sentence = f"no spread between seeds is known beforehand for the {title}"
            return Verdict(grade="undecided", sentence=sentence, k=len(figures[0]))
        if not all(figures) and not any(len(g.started) > len(g.counted) for g in groups):
            return Verdict(grade="undecided", sentence="seed 0 has not ended, and later seeds wait for it")
        split = [split_variance(metric, g, self._images) for g in groups if is_public(g) and g.runs]
        if None in split:
            sentence = "the runs keep too little to tell how far another split moves their figure"
            return another_split.named(Verdict(grade="undecided", sentence=sentence), groups, 0.0)
        sampling = math.fsum(variance for variance in split if variance is not None)
        common = {
            "spread": spread,
            "margin": margin_of(claim, n),
            "unit": unit,
            "m": claim.runs,
            "approx": claim.approx,
            "higher_is_better": METRICS[claim.metric or metric].higher_is_better is not False,
            "assumptions": bool(split) or any(record.assumptions for record in runs),
            "sampling": sampling,
            "alignment_green": self._vouched_for(runs),
            "broken": sum(len(group.started) - len(group.counted) for group in groups),
            "adjust": adjust or (lambda p: self._adjusted(claim, p)),
        }
        if len(figures) == 2:
            verdict = numbers.grade_gain(claim.value, figures[0], figures[1], **common)
        else:
            verdict = numbers.grade_number(claim.value, figures[0], **common)
        return another_split.named(verdict, groups, sampling)

    def _spread(self, metric: str, n: int, level: float, groups: Sequence[Group]) -> Spread | None:
        """σ₀ and ν₀ for these groups, from earlier runs of other recipes on the data; None if unknown."""
        if metric not in ("top1", "miou") and not metric.startswith("iou_"):
            return None
        first = groups[0]
        graded = {group.slug for group in groups}
        earlier = [
            [value for record in group.counted if (value := record.metric(metric)) is not None]
            for others in self.runs.groups.values()
            for group in others
            if group.slug not in graded
            and (group.tier, group.source, group.data, group.numerics)
            == (first.tier, first.source, first.data, first.numerics)
            and all(self._learned(record) for record in group.counted)
        ]
        return expected_spread(metric, n, level, earlier)

    def _vouched_for(self, runs: Sequence[Record]) -> bool:
        """Green suites speak for the code they tested, not for runs of an earlier one."""
        present = provenance.reference_hash()
        return self.alignment_green and all(r.provenance.get("reference_hash") == present for r in runs)

    # Holm's method over the numbers, or the orderings, of a report

    def _adjusted(self, claim: Claim, p: float) -> float:
        family = {**self._family(claim.report, claim.kind), claim.id: p}
        return dict(zip(family, statistics_module.holm(list(family.values())), strict=True))[claim.id]

    def _holm_p(self, claim: Claim) -> float | None:
        family = self._family(claim.report, claim.kind)
        return self._adjusted(claim, family[claim.id]) if claim.id in family else None

    def _family(self, report: str, kind: str) -> dict[str, float]:
        """The p of every number (or ordering) of a report that runs test."""
        if (report, kind) not in self.families:
            figures: dict[str, float] = {}
            for claim in self.claims.values():
                if claim.report == report and claim.kind == kind and not claim.illegible:
                    p = self._p_of(claim)
                    if p is not None:
                        figures[claim.id] = p
            self.families[report, kind] = figures
        return self.families[report, kind]

    def _p_of(self, claim: Claim) -> float | None:
        slugs = self._slugs(claim)
        if not slugs or any(slug not in RECIPES for slug in slugs) or claim.id in self.checks:
            return None
        if claim.kind == "ordering":
            members = self._members(claim)
            pairing, _ = self._deciding_pairing(claim, members)
            return None if pairing is None else self._compared(claim, members, pairing).p
        if claim.difference_of:
            metric = str(claim.metric).removeprefix("delta_")
            members = [_of_recipe(slug, metric) for slug in claim.difference_of]
            pairing, _ = self._deciding_pairing(claim, members, as_printed=True)
            return None if pairing is None else self._gain_verdict(claim, pairing, float).p
        group, _ = self._deciding(claim, self.runs.groups[slugs[0]])
        return None if group is None else self._number_verdict(claim, group, float).p

    # orderings

    def _ordering(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        members = self._members(claim)
        row = partial(row, rehearsal=self._rehearsed_ordering(claim, members))
        chosen, obstacle = self._deciding_pairing(claim, members)
        if chosen is None:
            lost = self._lost(claim, [member.slug for member in members])
            return _without_group(row, lost, obstacle)
        verdict = self._compared(claim, members, chosen)
        holm_p = self._holm_p(claim)
        if holm_p is not None:
            verdict = orderings.adjusted(verdict, holm_p)
        runs = tuple({id(r): r for group in chosen for r in group.counted}.values())
        more = f"; {chosen[0].named}{_remarks(chosen)}"
        return _judged(partial(row, runs=runs, holm_p=holm_p), verdict, more)

    def _members(self, claim: Claim) -> list[_Member]:
        return [self._member(claim, name) for name in claim.order or claim.order_recipes]

    def _member(self, claim: Claim, name: str) -> _Member:
        ranked = self.claims.get(name) if claim.order else None
        if ranked is None:
            return _of_recipe(name, str(claim.metric_name))
        return _Member(ranked.recipe or name, partial(figure_of, ranked), partial(_recorded, ranked))

    def _pairings(self, claim: Claim, members: Sequence[_Member]) -> list[_Pairing]:
        """Every choice of one group a member that may be set side by side, the best data first."""
        having = [
            [g for g in self.runs.groups[member.slug] if all(map(member.recorded, g.runs))]
            for member in members
        ]
        pairings: list[_Pairing] = []
        across_data = claim.factor == "data"
        for first in having[0]:
            like = [
                [g for g in groups if comparable(first, g, across_data=across_data)] for groups in having[1:]
            ]
            if all(like):
                pairings.append((first, *(groups[0] for groups in like)))
        return sorted(pairings, key=lambda pairing: preference(pairing[0]))

    def _deciding_pairing(
        self, claim: Claim, members: Sequence[_Member], *, as_printed: bool = False
    ) -> tuple[_Pairing | None, Obstacle]:
        """The pairing that may decide with most seeds, or what stands in the way of the nearest."""
        obstacles: list[Obstacle] = []
        deciding = []
        for pairing in self._pairings(claim, members):
            obstacle = self._against_pairing(claim, pairing, as_printed=as_printed)
            if obstacle is None:
                deciding.append(pairing)
            else:
                obstacles.append(obstacle)
        if deciding:
            return max(deciding, key=_weight), Obstacle("data", "")
        return None, _nearest(obstacles, self._no_run(claim, [member.slug for member in members]))

    def _against_pairing(self, claim: Claim, pairing: _Pairing, *, as_printed: bool) -> Obstacle | None:
        for group in pairing:
            obstacle = relevance.wrong_data(claim, group) or relevance.deviates(group)
            if obstacle is None and as_printed and not group.counts_for(claim):
                obstacle = Obstacle("deviation", f"there are runs at {group.named}")
            if obstacle is not None:
                return obstacle
        obstacle = relevance.other_comparison(pairing, claim.factor)
        if obstacle is not None:
            return obstacle
        for group in pairing:
            obstacle = relevance.lacks_class(claim, group) or relevance.at_chance(
                group, self.runs.latest, self._learned
            )
            if obstacle is not None:
                return obstacle
        return None

    def _compared(self, claim: Claim, members: Sequence[_Member], pairing: _Pairing) -> Verdict:
        sides = [member.side(group) for member, group in zip(members, pairing, strict=True)]
        metric = str(claim.metric_name)
        n = int(pairing[0].runs[0].data["val"])
        finite = [v for side in sides for v in side.figures if math.isfinite(v)]
        level = math.fsum(finite) / len(finite) if finite else 0.5
        spread = self._spread(metric, n, level, pairing)
        if spread is None:
            title = METRICS[metric].title if metric in METRICS else metric
            return Verdict(grade="undecided", sentence=f"no spread between seeds is known for the {title}")
        allowed = float(claim.margin) if claim.margin is not None else float(margin(metric, n, level))
        rule = orderings.grade_tie if claim.tie else orderings.grade_ordering
        return orderings.grade_chain(sides, spread=spread, margin=allowed, rule=rule)

    def _images(self, record: Record) -> PerImage | None:
        place = f"{record.slug}/{record.name}"
        if place not in self.images:
            self.images[place] = per_image(record, self.folder)
        return self.images[place]

    def _learned(self, record: Record) -> bool:
        if id(record) not in self.learned:
            self.learned[id(record)] = relevance.learned(record, self._images)
        return self.learned[id(record)]

    # figures, processes, timings

    def _figure(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        assert claim.recipe is not None
        obstacles: list[Obstacle] = []
        for group in self.runs.groups[claim.recipe]:
            drawn = tuple(r for r in group.runs if any(f["kind"] == claim.shows for f in r.figures))
            obstacle = relevance.wrong_data(claim, group) or relevance.deviates(group)
            if not drawn:
                obstacle = Obstacle("no recipe", f"the runs of {claim.recipe} draw no {claim.shows}")
            elif obstacle is not None and "rehearsal" not in row.keywords:  # type: ignore[attr-defined]
                row = partial(
                    row, rehearsal=rehearsal.of_figure(drawn[0].epochs_drawn(str(claim.shows)), group)
                )
            if obstacle is None:
                sentence = self._redrawn(claim, drawn[0], group)
                return _judged(
                    partial(row, runs=drawn), Verdict(grade="redrawn", sentence=sentence, k=len(drawn))
                )
            obstacles.append(obstacle)
        return _not_tested(row, _nearest(obstacles, self._no_run(claim, [claim.recipe])))

    def _redrawn(self, claim: Claim, record: Record, group: Group) -> str:
        """Which epochs and images are drawn, and which of the report's are not."""
        epochs = record.epochs_drawn(str(claim.shows))
        told = [f"redrawn at epochs {', '.join(map(str, epochs))}" if epochs else "redrawn"]
        images = self._images(record) if claim.images else None
        if images is not None:
            missing = [name for name in claim.images if name not in images.ids]
            if missing:
                told.append(f"not in the data: {', '.join(missing)} of {', '.join(claim.images)}")
        return "; ".join([*told, group.named])

    def _process(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        assert claim.recipe is not None
        assert claim.predicate is not None
        obstacles: list[Obstacle] = []
        for group in self.runs.groups[claim.recipe]:
            judgements = [
                PREDICATES[claim.predicate](self._curves(claim, r), **claim.our_args) for r in group.counted
            ]
            holds = [judgement.holds for judgement in judgements]
            obstacle = (
                relevance.wrong_data(claim, group)
                or relevance.deviates(group)
                or relevance.lacks_epoch(claim, group)
                or relevance.cannot_turn_out(claim, group)
                or relevance.at_chance(group, self.runs.latest, self._learned)
            )
            if obstacle is None and judgements and all(h is None for h in holds):
                obstacle = Obstacle("epoch", judgements[0].why)
            if obstacle is not None:
                blocked = relevance.cannot_turn_out(claim, group) or relevance.lacks_epoch(claim, group)
                line = "" if blocked else rehearsal.of_process(holds, group)
                if line and not row.keywords.get("rehearsal"):  # type: ignore[attr-defined]
                    row = partial(row, rehearsal=line)
                obstacles.append(obstacle)
                continue
            verdict = deterministic.grade_process(holds, broken=len(group.started) - len(group.counted))
            why = f": {judgements[0].why}" if judgements else ""
            verdict = replace(verdict, sentence=f"{verdict.sentence}{why}")
            return _judged(partial(row, runs=group.counted), verdict, f"; {group.named}{_remarks([group])}")
        lost = self._lost(claim, [claim.recipe])
        return _without_group(row, lost, _nearest(obstacles, self._no_run(claim, [claim.recipe])))

    def _curves(self, claim: Claim, record: Record) -> Mapping[str, Any]:
        """A run's curves; for a claim about the masks also what its results image by image tell."""
        if claim.predicate != "some_of_one_class":
            return record.curves
        images = self._images(record)
        if images is None or images.results.ndim != 3:
            return record.curves
        classes = (images.results.sum(axis=2) > 0).sum(axis=1)  # (N,) classes in each true mask
        return {**record.curves, "masks_of_one_class": {1: int((classes == 1).sum())}}

    def _timing(self, claim: Claim, row: Callable[..., GradedClaim]) -> GradedClaim:
        """How many times as long one training takes as another: the fastest runs on one machine, as printed.

        Other work on a machine makes runs slower and never faster, so that the slow ones say less.
        """
        assert claim.least is not None
        members = [
            _Member(slug, _seconds_a_sample, lambda record: _seconds_a_sample(record) is not None)
            for slug in claim.ratio_of
        ]
        chosen = None
        for first in self.runs.groups[members[0].slug]:
            for second in self.runs.groups[members[1].slug]:
                same = first.numerics == second.numerics and _device(first) == _device(second)
                if same and all(g.counts_for(claim) for g in (first, second)):
                    chosen = chosen or (first, second)
        if chosen is None:
            return _not_tested(row, self._no_run(claim, claim.ratio_of))
        device = _device(chosen[0])
        fastest = [_fastest([r for r in group.counted if _device_of(r) == device]) for group in chosen]
        seconds = [[1 / r.throughput["samples_per_second"] for r in side] for side in fastest]
        verdict = deterministic.grade_ratio(seconds[0], seconds[1], least=float(claim.least))
        runs = tuple(record for side in fastest for record in side)
        more = f"; the {MIN_SEEDS} fastest runs of each on one machine, {device}"
        return _judged(partial(row, runs=runs), verdict, more)

    # rehearsals, and what is missing

    def _rehearsed_number(self, claim: Claim) -> str:
        """One line on the best runs that may not decide a number."""
        assert claim.recipe is not None
        for group in self.runs.groups[claim.recipe]:
            blocked = relevance.wrong_data(claim, group) is None or relevance.lacks_class(claim, group)
            if blocked or not all(_recorded(claim, record) for record in group.runs):
                continue
            if not is_recipes_own(claim) and group.tier == "smoke":
                continue  # the epoch that the claim is about is not in a shortened schedule
            metric = str(claim.metric_name)
            values = [math.nan if (v := figure_of(claim, r)) is None else v for r in group.runs]
            majority = relevance.baseline(group.runs[0])
            is_primary = group.runs[0].metrics.get(group.runs[0].selected, {}).get("primary") == metric
            line = rehearsal.of_number(metric, values, majority if is_primary else None, group, claim.unit)
            learned = all(self._learned(record) for record in group.runs)
            return line if learned or not is_primary else f"{line}; did not learn"
        return ""

    def _rehearsed_ordering(self, claim: Claim, members: Sequence[_Member]) -> str:
        """One line on the best runs that may not decide an ordering or a gain."""
        for pairing in self._pairings(claim, members):
            if relevance.wrong_data(claim, pairing[0]) is None:
                continue
            if any(relevance.lacks_class(claim, group) for group in pairing):
                continue
            obstacle = relevance.other_comparison(pairing, claim.factor)
            for group in pairing:
                obstacle = obstacle or relevance.at_chance(group, self.runs.latest, self._learned)
            means = []
            for member, group in zip(members, pairing, strict=True):
                values = [v for record in group.runs if (v := member.figure(record)) is not None]
                means.append(math.fsum(values) / len(values) if values else math.nan)
            seeds = min(len(group.runs) for group in pairing)
            return rehearsal.of_ordering(means, seeds, pairing[0], obstacle, tie=claim.tie)
        return ""

    def _no_run(self, claim: Claim, slugs: Sequence[str]) -> Obstacle:
        """Say why no group comes near: which recipes have runs at all, and on what data."""
        told = []
        for slug in dict.fromkeys(slugs):
            if not self.runs.groups[slug]:
                earlier = sum(record.slug == slug for record in self.runs.superseded)
                old = f"; {earlier} of an earlier recipe lie there" if earlier else ""
                told.append(f"{slug} has no run{old}")
        roles = {RECIPES[slug].data for slug in slugs}
        if not told and len(roles) > 1:
            told.append(
                f"its recipes run on different data, {' and '.join(sorted(roles))}, and it does not say that"
                ' it compares data (factor = "data")'
            )
        return Obstacle("data", f"it needs {claim.source} data; {'; '.join(told) or 'no run'}")

    def _lost(self, claim: Claim, slugs: Iterable[str]) -> list[Record]:
        """Return the runs of groups that would decide the claim if not all of their seeds had broken."""
        wanted = set(slugs)
        return [
            record
            for group in self.runs.lost
            if group.slug in wanted
            and relevance.wrong_data(claim, group) is None
            and relevance.deviates(group) is None
            for record in group.runs
        ]


_NEARNESS = ("settings", "chance", "class", "one way", "epoch", "no recipe", "deviation", "tier", "data")
"""Reasons, the one that leaves least to do first."""


def _weight(pairing: _Pairing) -> tuple[bool, int]:
    """Sort key of groups that may decide: official data before their public originals, then most seeds."""
    return not any(map(is_public, pairing)), min(len(group.counted) for group in pairing)


def _nearest(obstacles: Sequence[Obstacle], otherwise: Obstacle) -> Obstacle:
    return min(obstacles, key=lambda o: _NEARNESS.index(o.reason), default=otherwise)


def _of_recipe(slug: str, metric: str) -> _Member:
    def recorded(record: Record) -> bool:
        return metric in record.metrics.get(record.selected, {}).get("metrics", {})

    return _Member(slug, lambda record: record.metric(metric), recorded)


def _not_tested(row: Callable[..., GradedClaim], obstacle: Obstacle) -> GradedClaim:
    verdict = verdict_module.not_tested(obstacle.reason, obstacle.detail)
    return row(grade=verdict.grade, reason=obstacle.reason, sentence=verdict.sentence)


def _judged(row: Callable[..., GradedClaim], verdict: Verdict, more: str = "") -> GradedClaim:
    return row(grade=verdict.grade, sentence=verdict.sentence + more, statistics=verdict)


def _without_group(
    row: Callable[..., GradedClaim], broken: Sequence[Record], obstacle: Obstacle
) -> GradedClaim:
    """No group may decide: every seed of those that would have broke, else the nearest obstacle."""
    if not broken:
        return _not_tested(row, obstacle)
    if (unlearned := relevance.stopped_unlearned(broken)) is not None:
        return _not_tested(row, unlearned)
    told = "; ".join(f"{r.slug} seed {r.seed} {r.status}: {r.reason}" for r in broken)
    return row(grade="unstable", sentence=f"every seed that would count broke: {told}")


def _remarks(groups: Sequence[Group]) -> str:
    """What a reader must know of the seeds, after a verdict's sentence."""
    several = len(groups) > 1
    told = [f"{group.slug}: {line}" if several else line for group in groups for line in group.remarks]
    return f"; {'; '.join(dict.fromkeys(told))}" if told else ""


def _of_outside(recipe: Recipe) -> str:
    """Suites hold what is in ``reference`` to outside oracles, and nothing else."""
    words = {"model": "network", "augment": "augmentation", "optimizer": "optimiser"}
    own = [
        f"{words.get(field, field)}, {', '.join(dict.fromkeys(paths))}"
        for field, paths in own_parts(recipe).items()
    ]
    return f"; no suite here vouches for its {' and '.join(own)}" if own else ""


def _recorded(claim: Claim, record: Record) -> bool:
    """Whether a run records what the claim is about at all; an undefined value is recorded."""
    if is_recipes_own(claim):
        return claim.metric_name in record.metrics.get(record.selected, {}).get("metrics", {})
    return len(record.curves.get(f"val_{claim.metric_name}", [])) >= claim.our_epoch(
        claim.epoch or claim.epochs_from
    )


def _seconds_a_sample(record: Record) -> float | None:
    rate = record.throughput.get("samples_per_second", 0.0)
    return 1 / rate if rate > 0 else None


def _device(group: Group) -> str:
    return _device_of(group.runs[0])


def _device_of(record: Record) -> str:
    return str(record.provenance.get("device", ""))


def _fastest(runs: Sequence[Record]) -> list[Record]:
    """The fastest runs, as many as a verdict needs."""
    timed = [record for record in runs if _seconds_a_sample(record) is not None]
    return sorted(timed, key=lambda record: -record.throughput["samples_per_second"])[:MIN_SEEDS]
