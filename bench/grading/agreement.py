"""How many other reports agree with an ordering: those that print both sides, each counted once.

The test is the exact sign test over the others alone. The graded reports are shown next to it, one vote each,
since a claim is no evidence for itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median

from bench.audit.survey_audit import inconsistent
from bench.claims.claim import Claim, Ledger, ReferenceClass
from bench.claims.survey import OtherFigure, title_of
from bench.grading.others import best_figures
from bench.grading.prediction import MIN_REPORTS
from bench.grading.statistics import accuracy_interval, mcnemar_exact

SETTINGS = "ABCDE"
"""Settings of the task ``officehome``."""


@dataclass(frozen=True, kw_only=True)
class PairSide:
    """One side of an ordering: a reference class and what is read from its figures."""

    reference: ReferenceClass
    metric: str
    class_index: int | None = None

    @property
    def title(self) -> str:
        """The side in words."""
        return title_of(self.reference)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What other reports say of "``first`` scores higher than ``second``".

    Attributes:
        gaps: first minus second by report, as fractions, of all others that print both.
        graded: the same of the reports whose claims are graded.
        claims: ordering claims that say so, and those that say the opposite.
    """

    first: PairSide
    second: PairSide
    gaps: Mapping[str, float]
    graded: Mapping[str, float] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    opposite: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many others print both sides and differ between them."""
        return self.agree + self.against

    @property
    def agree(self) -> int:
        """How many others print more for the first side."""
        return sum(gap > 0 for gap in self.gaps.values())

    @property
    def against(self) -> int:
        """How many others print more for the second side."""
        return sum(gap < 0 for gap in self.gaps.values())

    @property
    def ties(self) -> int:
        """How many others print the same for both sides."""
        return len(self.gaps) - self.n

    @property
    def p(self) -> float:
        """Two-sided exact sign test: how often a fair coin is as uneven."""
        return mcnemar_exact(self.agree, self.against)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % Clopper-Pearson interval of the share that agrees; None without any other."""
        return accuracy_interval(self.agree, self.n) if self.n else None

    @property
    def median_gap(self) -> float | None:
        """The middle report's difference, as a fraction; None without any other."""
        return median(self.gaps.values()) if self.gaps else None

    @property
    def sentence(self) -> str:
        """One sentence for an ordering claim."""
        if not self.gaps:
            return "no other report prints both sides"
        ties = f", {self.ties} tie{'s' if self.ties == 1 else ''}" if self.ties else ""
        count = f"{self.agree} of {self.n} others that print both sides agree{ties}"
        if self.n < MIN_REPORTS:
            return f"{count}, too few to say"
        gap = f"{100 * (self.median_gap or 0):+.1f}".replace("-", "−")
        return f"{count} (sign test p = {p_text(self.p)}; median difference {gap} points)"


def p_text(p: float) -> str:
    """A p-value with two digits: ``"0.024"``, ``"2e-11"``."""
    return f"{p:.1g}" if p < 0.001 else f"{p:.2g}"


def gaps(
    first: PairSide, second: PairSide, survey: Sequence[OtherFigure], left_out: Container[OtherFigure] = ()
) -> dict[str, float]:
    """First minus second for every report that prints both: its best figure of each side."""
    sides = [
        best_figures(side.reference, survey, side.metric, side.class_index, lambda f: f not in left_out)
        for side in (first, second)
    ]
    return {
        report: float(
            (sides[0][report].figure(first.class_index) or 0)
            - (sides[1][report].figure(second.class_index) or 0)
        )
        for report in sorted(sides[0].keys() & sides[1].keys())
        if sides[0][report] is not sides[1][report]  # one figure that is of both classes
    }


def agreements(
    ledgers: Sequence[Ledger], survey: Sequence[OtherFigure], left_out: Container[OtherFigure] | None = None
) -> list[Agreement]:
    """Every pair that an ordering claim ranks and whose sides have different reference classes, once each.

    Pairs that claims rank in opposite ways are one row: the way of the first claim, with the others'.
    """
    excluded = inconsistent(survey) if left_out is None else left_out
    rows: dict[tuple[PairSide, PairSide], tuple[list[str], list[str]]] = {}
    for ledger in ledgers:
        for claim in ledger.of_kind("ordering"):
            for first, second in ordered_sides(claim, ledger):
                if (second, first) in rows:
                    rows[second, first][1].append(claim.id)
                else:
                    rows.setdefault((first, second), ([], []))[0].append(claim.id)
    return [
        Agreement(
            first=first,
            second=second,
            gaps=gaps(first, second, survey, excluded),
            graded=graded_gaps(first, second, ledgers),
            claims=tuple(dict.fromkeys(same)),
            opposite=tuple(dict.fromkeys(opposite)),
        )
        for (first, second), (same, opposite) in rows.items()
    ]


def ordered_sides(claim: Claim, ledger: Ledger) -> list[tuple[PairSide, PairSide]]:
    """The pairs of an ordering claim, better side first, where both sides have one reference class.

    A tie ranks nothing, and two figures of one class are no two sides.
    """
    if claim.tie:
        return []
    of_id = {number.id: number for number in ledger.of_kind("number")}
    members = [of_id.get(name) for name in claim.order or claim.order_recipes]
    pairs = []
    for better, worse in combinations(members, 2):
        first, second = side_of(better), side_of(worse)
        if first is not None and second is not None and first != second:
            pairs.append((first, second))
    return list(dict.fromkeys(pairs))


def side_of(claim: Claim | None) -> PairSide | None:
    """The side that a number claim stands for; None where it has no reference class, or several."""
    if claim is None or len(claim.reference_class) != 1:
        return None
    return PairSide(
        reference=claim.reference_class[0], metric=str(claim.metric), class_index=claim.class_index
    )


def graded_gaps(first: PairSide, second: PairSide, ledgers: Iterable[Ledger]) -> dict[str, float]:
    """First minus second in the graded reports that print both: the first figure of each side."""
    graded = {}
    for ledger in ledgers:
        printed: dict[PairSide, float] = {}
        for number in ledger.of_kind("number"):
            side = side_of(number)
            if side is not None:
                printed.setdefault(side, float(number.fraction))
        if first in printed and second in printed:
            graded[ledger.report] = printed[first] - printed[second]
    return graded


def setting_pairs(
    ledgers: Sequence[Ledger], survey: Sequence[OtherFigure], left_out: Container[OtherFigure] = ()
) -> list[Agreement]:
    """All ten pairs of settings A to E, the one that more others print higher coming first."""
    sides = [
        PairSide(reference=ReferenceClass(task="officehome", setting=name), metric="top1")
        for name in SETTINGS
    ]
    pairs = [asked(a, b, ledgers, survey, left_out) for a, b in combinations(sides, 2)]
    return [
        pair if pair.agree >= pair.against else asked(pair.second, pair.first, ledgers, survey, left_out)
        for pair in pairs
    ]


def asked(
    first: PairSide,
    second: PairSide,
    ledgers: Sequence[Ledger],
    survey: Sequence[OtherFigure],
    left_out: Container[OtherFigure] = (),
) -> Agreement:
    """What others say of a pair that no claim need rank."""
    return Agreement(
        first=first,
        second=second,
        gaps=gaps(first, second, survey, left_out),
        graded=graded_gaps(first, second, ledgers),
    )


def _land_cover(model: str) -> PairSide:
    return PairSide(reference=ReferenceClass(task="landcover", model=(model,)), metric="miou")


IMPROVED_OVER_BASELINE = (
    PairSide(reference=ReferenceClass(task="landcover", setting="improved"), metric="miou"),
    _land_cover("vgg16_fcn32s"),
)
"""Does the best improved model of a report beat its own VGG16-FCN32s?"""

TWO_BY_TWO: dict[str, tuple[PairSide, PairSide]] = {
    "skips, over VGG16": (_land_cover("vgg_fcn8s"), _land_cover("vgg16_fcn32s")),
    "skips, over a ResNet": (_land_cover("resnet_fcn8s"), _land_cover("resnet_fcn32s")),
    "ResNet, without skips": (_land_cover("resnet_fcn32s"), _land_cover("vgg16_fcn32s")),
    "ResNet, with skips": (_land_cover("resnet_fcn8s"), _land_cover("vgg_fcn8s")),
    "both at once, as R4": (_land_cover("resnet_fcn8s"), _land_cover("vgg16_fcn32s")),
}
"""R4 changes the backbone and adds skips at once: which of the two is its gain?"""
