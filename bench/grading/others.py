"""Where a printed result lies among what other reports print of the same task on the same official data.

A claim names its reference class beforehand (``reference_class`` in the claims file). One figure of
each report counts, its best, since most print the best of several epochs. Figures that the audit finds
inconsistent are left out, and the page shows what they would change. Others' figures are never merged with
our own runs, and nothing here is called reproduced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bench.audit.survey_audit import inconsistent
from bench.claims.claim import Claim, Ledger, ReferenceClass
from bench.claims.survey import OtherFigure, figures_of, title_of
from bench.grading.prediction import LEAST_STEP, MIN_REPORTS, PredictionInterval, prediction_interval

IN_LINE, ABOVE, BELOW, TOO_FEW = (
    "in line with others",
    "above what others report",
    "below what others report",
    "too few to say",
)

WORDS: dict[str, str] = {
    IN_LINE: "inside the 95 % interval that one more report of its class would fall into",
    ABOVE: "above that interval",
    BELOW: "below that interval",
    TOO_FEW: f"fewer than {MIN_REPORTS} independent reports print a figure of its class",
}
"""What the survey says of a printed result. None of these is a verdict of our own runs."""

VARIANTS: dict[str, Callable[[OtherFigure], bool]] = {
    "2020 and later": lambda figure: figure.year >= 2020,
}
"""Parts of a class that are tried on their own: in 2018 land cover had 313 more images to train on."""

WITH_INCONSISTENT = "with inconsistent figures"


def best_figures(
    reference: ReferenceClass,
    survey: Iterable[OtherFigure],
    metric: str,
    class_index: int | None = None,
    keeps: Callable[[OtherFigure], bool] = lambda figure: True,
) -> dict[str, OtherFigure]:
    """Return each report's best figure of a reference class; a report without a counted figure is absent.

    Args:
        metric: ``"top1"``, ``"miou"`` or ``"iou"``, the last with ``class_index``.
        keeps: which figures count.

    Raises:
        InputError: the reference class names a network, weights or setting that the survey does not know.
    """
    best: dict[str, OtherFigure] = {}
    for figure in figures_of(reference, survey, "miou" if metric == "iou" else metric):
        value = figure.figure(class_index)
        if value is None or not keeps(figure):
            continue
        before = best.get(figure.id)
        if before is None or value > (before.figure(class_index) or 0):
            best[figure.id] = figure
    return best


@dataclass(frozen=True, kw_only=True)
class PlaceAmongOthers:
    """A printed result among the figures of one reference class: all that an answer card needs.

    Attributes:
        values: the others' figures as fractions, best first, by report.
        interval: 95 % prediction interval for one more report; None with fewer than ``MIN_REPORTS``.
        word: key of ``WORDS``.
        left_out: how many reports' figures the audit left out.
        variants: by name, the class with other choices, placed alike; those that change no figure are not
            there.
    """

    claim: Claim
    reference: ReferenceClass
    values: Mapping[str, float]
    interval: PredictionInterval | None
    word: str
    left_out: int = 0
    variants: Mapping[str, PlaceAmongOthers] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The printed value as a fraction."""
        return float(self.claim.fraction)

    @property
    def dots(self) -> tuple[float, ...]:
        """The others' figures, best first."""
        return tuple(self.values.values())

    @property
    def n(self) -> int:
        """How many others there are."""
        return len(self.values)

    @property
    def above(self) -> int:
        """How many others print more."""
        return sum(value > self.value for value in self.dots)

    @property
    def rank(self) -> int:
        """Its place from the top among the others and itself; 1 is the highest. Ties share the better one."""
        return 1 + self.above

    @property
    def rank_p(self) -> float:
        """Chance that one more report of the class lies as far up, or as far down, as this one."""
        as_high = sum(value >= self.value for value in self.dots)
        as_low = sum(value <= self.value for value in self.dots)
        return (1 + min(as_high, as_low)) / (self.n + 1)

    @property
    def title(self) -> str:
        """The reference class in words."""
        return title_of(self.reference)

    @cached_property
    def sentence(self) -> str:
        """One sentence for a card: how many others, where one more would lie, and the rank."""
        who = f"{self.n} other{'' if self.n == 1 else 's'} report{'s' if self.n == 1 else ''} {self.title}"
        if self.interval is None:
            return f"{who}, too few to say (needs {MIN_REPORTS})"
        return f"{who}: {span(self.interval)}; this one is {self.place_in_words} ({self.word})"

    @property
    def place_in_words(self) -> str:
        """``"the 4th highest of 13"``, ``"above all 12"``."""
        if self.above == 0 and self.value not in self.dots:
            return f"above all {self.n} (p = 1/{self.n + 1})"
        if self.above == self.n:
            return f"below all {self.n} (p = 1/{self.n + 1})"
        tied = "joint " if self.value in self.dots else ""
        order = f"{ordinal(self.rank)} " if self.rank > 1 else ""
        return f"the {tied}{order}highest of {self.n + 1}"


def span(interval: PredictionInterval) -> str:
    """``".621 to .702"``: the ends with three digits."""
    return f"{short(interval.low)} to {short(interval.high)}"


def short(value: float) -> str:
    """A fraction with three digits and no leading zero, as scores are read: ``".702"``."""
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def ordinal(number: int) -> str:
    """``"1st"``, ``"2nd"``, ``"13th"``."""
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def place(
    claim: Claim,
    reference: ReferenceClass,
    survey: Sequence[OtherFigure],
    left_out: Container[OtherFigure] = (),
) -> PlaceAmongOthers:
    """A printed result placed in one reference class.

    Args:
        survey: figures of other reports.
        left_out: figures that the audit found inconsistent.
    """

    def consistent(figure: OtherFigure) -> bool:
        return figure not in left_out

    choices: dict[str, Callable[[OtherFigure], bool]] = {WITH_INCONSISTENT: lambda figure: True}
    for name, part in VARIANTS.items():
        choices[name] = lambda figure, part=part: part(figure) and consistent(figure)  # type: ignore[misc]
    main = _placed(claim, reference, survey, consistent)
    others = {name: _placed(claim, reference, survey, keeps) for name, keeps in choices.items()}
    every = others[WITH_INCONSISTENT]
    return replace(
        main,
        left_out=every.n - main.n,
        variants={name: other for name, other in others.items() if other.values != main.values},
    )


def _placed(
    claim: Claim,
    reference: ReferenceClass,
    survey: Sequence[OtherFigure],
    keeps: Callable[[OtherFigure], bool],
) -> PlaceAmongOthers:
    metric, index = str(claim.metric), claim.class_index
    best = best_figures(reference, survey, metric, index, keeps)
    figures = {report: float(figure.figure(index) or 0) for report, figure in best.items()}
    values = dict(sorted(figures.items(), key=lambda item: (-item[1], item[0])))
    interval, word = None, TOO_FEW
    if len(values) >= MIN_REPORTS:
        steps = sorted(float(figure.half_step) for figure in best.values())
        interval = prediction_interval(tuple(values.values()), steps[len(steps) // 2] or LEAST_STEP)
        word = _word(float(claim.fraction), float(claim.half_step), interval)
    return PlaceAmongOthers(claim=claim, reference=reference, values=values, interval=interval, word=word)


def _word(value: float, half_step: float, interval: PredictionInterval) -> str:
    """Outside only if no value that is printed so lies inside."""
    if interval.holds(value, half_step):
        return IN_LINE
    return ABOVE if value > interval.high else BELOW


def places(
    ledgers: Iterable[Ledger], survey: Sequence[OtherFigure], left_out: Container[OtherFigure] | None = None
) -> dict[str, tuple[PlaceAmongOthers, ...]]:
    """Return the place of each claim in its reference classes. Claims without a class are absent.

    Args:
        left_out: figures to leave out; those that the audit finds inconsistent where None.
    """
    excluded = inconsistent(survey) if left_out is None else left_out
    return {
        claim.id: tuple(place(claim, reference, survey, excluded) for reference in claim.reference_class)
        for ledger in ledgers
        for claim in ledger.claims
        if claim.reference_class
    }


@dataclass(frozen=True, kw_only=True)
class JointPlace:
    """Several figures of one report that lie above (or below) every other report's, taken as one statement.

    Attributes:
        places: the figures concerned.
        side: ``"above"`` or ``"below"``.
        tables: how many others print a figure of each class that the report has in this task.
        equals: how many of those are, in as many classes, above (below) all others and the report.
    """

    report: str
    task: str
    places: tuple[PlaceAmongOthers, ...]
    side: str
    classes: int
    tables: int
    equals: int

    @property
    def p(self) -> float:
        """Chance that one of these tables, drawn at random, stands out so; no smaller than 1/(tables + 1)."""
        return (1 + self.equals) / (1 + self.tables)

    @property
    def sentence(self) -> str:
        """The joint statement with its p."""
        names = ", ".join(place.claim.id for place in self.places)
        most = max(place.n for place in self.places)
        return (
            f"{self.report.upper()}: {names} each lie {self.side} every other report's figure (up to {most})."
            f" {self.tables} others print all {self.classes} figures that it prints; {self.equals} of them"
            f" stand{'s' if self.equals == 1 else ''} out in as many. Taken as one of {self.tables + 1} such"
            f" tables: p = {1 + self.equals}/{1 + self.tables} = {self.p:.3f}"
        )


def joint_places(placed: Mapping[str, Sequence[PlaceAmongOthers]]) -> list[JointPlace]:
    """The joint statements: one for each report, task and side with at least two figures at the very end.

    The figures of a report depend on each other, so their p are not multiplied: the whole table of a report
    is compared with the whole tables of others, by the number of classes in which it is the first (or last)
    of all. Which figures stand out is part of that count, so that choosing them afterwards costs nothing.
    """
    tables: dict[tuple[str, str, str], dict[object, PlaceAmongOthers]] = defaultdict(dict)
    for several in placed.values():
        for one in several:
            if len(several) == 1 and one.interval is not None:
                claim = one.claim
                table = tables[claim.report, one.reference.task, str(claim.metric)]
                key = (one.reference, claim.class_index)
                if key not in table or one.value > table[key].value:
                    table[key] = one
    joint = []
    for (report, task, _), table in tables.items():
        shown = list(table.values())
        for side, sign in (("above", 1), ("below", -1)):
            ends = [p for p in shown if all(sign * p.value > sign * value for value in p.dots)]
            if len(ends) < 2:
                continue
            complete = set.intersection(*(set(p.values) for p in shown))
            firsts = [_firsts(shown, complete, report, one, sign) for one in sorted(complete)]
            joint.append(
                JointPlace(
                    report=report,
                    task=task,
                    places=tuple(ends),
                    side=side,
                    classes=len(shown),
                    tables=len(complete),
                    equals=sum(count >= len(ends) for count in firsts),
                )
            )
    return joint


def _firsts(shown: Sequence[PlaceAmongOthers], complete: set[str], report: str, one: str, sign: int) -> int:
    """In how many classes a report is ahead of all others with a whole table, and of the claims' report."""
    count = 0
    for place_ in shown:
        rivals = [place_.values[other] for other in complete if other != one] + [place_.value]
        count += all(sign * place_.values[one] > sign * rival for rival in rivals)
    return count
