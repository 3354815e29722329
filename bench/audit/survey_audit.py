"""The audit of a survey: every figure of another report is checked as a printed claim would be.

An accuracy has to be a whole number of images (GRIM), class IoUs have to average to their mean. A figure that
fails is kept and named; reference classes leave it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.audit import figures as figure_checks
from bench.audit import grim
from bench.claims.claim import Claim, Ledger
from bench.claims.data_facts import DataFacts, load_data_facts
from bench.claims.survey import OtherFigure


def inconsistent(survey: Iterable[OtherFigure]) -> dict[OtherFigure, str]:
    """The figures that cannot be what they say they are, each with one sentence that says why."""
    facts = load_data_facts()
    return {figure: why for figure in survey for why in _faults(figure, facts)}


def is_testable(figure: OtherFigure) -> bool:
    """Whether an accuracy has so many digits that not every value is a whole number of its images."""
    if figure.metric != "top1" or figure.n is None or "/" in figure.value:
        return False
    _, steps = grim.steps(figure.value, percent=figure.unit == "percent")
    return steps > figure.n


def _faults(figure: OtherFigure, facts: DataFacts) -> Iterator[str]:
    percent = figure.unit == "percent"
    if is_testable(figure) and figure.n and grim.counts(figure.value, figure.n, percent=percent) is None:
        near = " and ".join(grim.nearest(figure.value, figure.n, percent=percent))
        yield f"no number of correct images out of {figure.n:,} gives it, rounded or cut off (near: {near})"
    if figure.class_iou:
        for finding in figure_checks.check_figures(_as_ledger(figure), facts):
            if finding.flag == "inconsistent":
                yield finding.sentence


def _as_ledger(figure: OtherFigure) -> Ledger:
    """A mean IoU and its class IoUs as the claims of a report."""

    def claim(name: str, metric: str, value: str, class_index: int | None) -> Claim:
        return Claim(
            report=figure.id,
            id=f"{figure.id}-{name}",
            kind="number",
            lines=(figure.line,),
            text=name,
            recipe=figure.model,
            metric=metric,
            class_index=class_index,
            value=value,
            unit=figure.unit,
            data=figure.task,
            split="val",
            n=figure.n,
            n_from="outside",
        )

    classes = (claim(f"iou-{i}", "iou", value, i) for i, value in enumerate(figure.class_iou))
    claims = (claim("miou", "miou", figure.value, None), *classes)
    return Ledger(figure.id, figure.id, figure.year, claims, figure.file)
