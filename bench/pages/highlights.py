"""Findings worth a sentence each, with a picture where there is one: what a reader should take away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.audit import STRENGTHS, Finding
from bench.audit.finding import listed
from bench.grading.agreement import TWO_BY_TWO, Agreement, asked, setting_pairs
from bench.grading.grader import GradedClaim
from bench.grading.others_survey import Others
from bench.pages import summary
from bench.pages.others_page import picture_file

DECIDED = 0.05
MOST_OF_AUDIT = 5


@dataclass(frozen=True, kw_only=True)
class Highlight:
    """One finding: a title, a sentence, and what shows it.

    Attributes:
        rows: printed figures that are drawn beside our seeds.
        scale: ends of their axis, as fractions.
        picture: a file below the results' folder; ``alt`` says what it shows.
        points: further sentences.
    """

    title: str
    sentence: str
    rows: tuple[GradedClaim, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    picture: str = ""
    alt: str = ""
    points: tuple[str, ...] = ()


def highlights(rows: Sequence[GradedClaim], findings: Sequence[Finding], others: Others) -> list[Highlight]:
    """The findings that there are: tested tables, settings A to E, R4's question, the audit's strongest."""
    return [*_tested(rows), *_settings(others), *_two_by_two(others), *_audited(findings)]


def _tested(rows: Sequence[GradedClaim]) -> Iterable[Highlight]:
    """One for each report whose printed results are tested: the table, a dot a seed."""
    by_report: dict[str, list[GradedClaim]] = {}
    for row in summary.on_own_data(summary.results_of(rows)):
        if row.measured is not None and not row.claim.difference_of and row.claim.metric != "iou":
            by_report.setdefault(row.claim.report, []).append(row)
    for report, measured in by_report.items():
        counts = listed(summary.counted_grades(measured))
        values = [v for row in measured for v in (float(row.claim.fraction), *row.measured.values)]  # type: ignore[union-attr]
        finite = [value for value in values if value == value]
        room = 0.04 * (max(finite) - min(finite)) or 0.02
        yield Highlight(
            title=f"{report.upper()}: printed figures beside our seeds",
            sentence=f"{len(measured)} printed figures have runs on their own data: {counts}.",
            rows=tuple(measured),
            scale=(min(finite) - room, max(finite) + room),
        )


def _settings(others: Others) -> Iterable[Highlight]:
    """Settings A to E in other reports."""
    pairs = setting_pairs(others.ledgers, others.survey, others.inconsistent)
    if not any(pair.graded for pair in pairs):
        return
    reports = {
        figure.id
        for figure in others.survey
        if figure.task == "officehome" and figure not in others.inconsistent
    }
    decided = listed(_counted(pair) for pair in pairs if pair.p < DECIDED)
    still_open = listed(_counted(pair) for pair in pairs if pair.p >= DECIDED)
    yield Highlight(
        title=f"Settings A to E in {len(reports)} other reports",
        sentence=(
            f"The graded reports rank the settings differently. Other reports decide {decided}. They are"
            f" divided over {still_open}."
        ),
        picture=picture_file("officehome"),
        alt="Accuracies of other reports in settings A to E, and the claims among them",
    )


def _counted(pair: Agreement) -> str:
    first, second = pair.first.reference.setting, pair.second.reference.setting
    return f"{first} over {second} ({pair.agree} to {pair.against})"


def _two_by_two(others: Others) -> Iterable[Highlight]:
    """Whether R4's gain is the ResNet's or the skips', from reports that print two of the four cells."""
    if "r4-order-seg" not in others.orderings:
        return
    (own,) = (pair.graded["r4"] for pair in others.orderings["r4-order-seg"])
    skips = asked(*TWO_BY_TWO["skips, over VGG16"], others.ledgers, others.survey, others.inconsistent)
    backbone = asked(*TWO_BY_TWO["ResNet, without skips"], others.ledgers, others.survey, others.inconsistent)
    if not skips.gaps:
        return
    gain = median(skips.gaps.values())
    yield Highlight(
        title="R4: is the gain the ResNet's or FCN8's?",
        sentence=(
            f"R4 changes both at once and gains {100 * own:.1f} points (r4-order-seg). In {len(skips.gaps)}"
            f" other reports the skips alone gain a median of {100 * gain:.1f} points over VGG16-FCN32s, and"
            f" {sum(gap >= own for gap in skips.gaps.values())} of these gain as much as R4."
            f" {len(backbone.gaps)} print the ResNet's part, too few to say."
        ),
        picture=picture_file("landcover"),
        alt="Mean IoUs of other reports by network, and the claims among them",
    )


def _audited(findings: Sequence[Finding]) -> Iterable[Highlight]:
    """The audit's strongest findings against claims, one of each kind of check."""
    order = list(STRENGTHS)
    against = [f for f in findings if f.verdict == "against" and f.strength != "weak" and f.flag]
    by_check: dict[str, Finding] = {}
    for finding in sorted(against, key=lambda f: order.index(f.strength)):
        by_check.setdefault(finding.check, finding)
    strongest = list(by_check.values())[:MOST_OF_AUDIT]
    if strongest:
        yield Highlight(
            title="What the reports give away before anything is trained",
            sentence=f"The audit finds {len(against)} certain or strong points. The first of each kind:",
            points=tuple(
                f"{f.flag}: {summary.capital(f.sentence)} ({', '.join(f.flagged[:3])}; {f.locator})."
                for f in strongest
            ),
        )
