"""How claims, grades, runs and pictures are put in words, without markup: Markdown and HTML say the same."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.claims.claim import Claim
from bench.grading import verdict
from bench.grading.grader import GradedClaim
from bench.grading.groups import SOURCES, Group
from bench.grading.measured import Measured
from bench.grading.verdict import in_unit
from bench.pages.markdown import plain
from bench.runs.records import Record
from reference.recipes import RECIPES


def named(group: Group) -> str:
    """A group in words, fit for Markdown."""
    return plain(in_words(group))


def in_words(group: Group) -> str:
    """``"synthetic data, smoke tier"``; numerics and a user's own deviations where there are any."""
    words = [group.where, *([] if group.tier == "full" else [f"{group.tier} tier"])]
    words += [] if group.eager_float32 else [group.numerics]
    reasons = [why for why in group.whys if not why.startswith(f"{group.tier} tier")]
    reasons += [f"from {group.origin}"] if group.origin.startswith("file ") else []
    return "; ".join([", ".join(words), *reasons])


def figure_text(measured: Measured, unit: str | None = None) -> str:
    """``"0.6637 (0.6512–0.6762), 3 seeds; majority class 0.0690"``; of a report in percent
    ``"66.37 % (65.12–67.62), 3 seeds; majority class 6.90 %"``."""
    seeds = "1 seed" if measured.k == 1 else f"{measured.k} seeds"
    chance = "" if measured.majority is None else f"; majority class {in_unit(measured.majority, unit)}"
    interval = "" if measured.interval is None else f" ({span(measured.interval, unit=unit)})"
    mean = in_unit(measured.mean, unit) if math.isfinite(measured.mean) else "undefined"
    return f"{mean}{interval}, {seeds}{chance}"


def seconds(row: GradedClaim) -> str:
    """What the fastest seed behind a figure took: other work on a machine makes seeds slower."""
    return f"{min(record.wall_seconds for record in row.runs):,.0f}" if row.measured and row.runs else "–"


def digits(value: float, digits: int, *, signed: bool = False) -> str:
    """A fixed number of decimals; ``signed`` for differences."""
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return text if math.isfinite(value) else "undefined"


def bracket(measured: Measured) -> str:
    if measured.interval is None:
        return ""
    return f" ({span(measured.interval)})"


def span(interval: tuple[float, float], *, signed: bool = False, unit: str | None = None) -> str:
    """``"0.6512–0.6762"``, in percent ``"65.12–67.62"``, of a difference ``"−0.0100 to +0.0200"``."""
    scale, places = (100, 2) if unit == "percent" else (1, 4)
    low, high = (digits(scale * end, places, signed=signed) for end in interval)
    return f"{low} to {high}" if signed else f"{low}–{high}"


HEADINGS: dict[str, str] = {
    "number": "Figures",
    "ordering": "Orderings",
    "process": "Processes",
    "timing": "Timings",
    "figure": "Pictures",
    "architecture": "Networks",
    "formula": "Formulas",
    "protocol": "Settings and code",
    "explanation": "Explanations",
}
"""Kinds of claims, in the order that pages have them."""

AS_PRINTED = "Official data, every setting as printed"

CAPTIONS: dict[str, str] = {
    "masks": "predicted masks",
    "errors": "worst and best images with their error maps",
    "tsne": "t-SNE of the features",
    "pca": "PCA of the features",
    "overlay": "automatic masks",
    "iou": "IoU of each class by epoch",
    "confusion": "confusion",
    "curves": "losses and metric by epoch",
}
"""Kinds of pictures, in the order that pages show them."""


def caption(kind: str, slug: str) -> str:
    """A picture's kind in words; points of an embedding say of which layer."""
    if kind not in ("tsne", "pca"):
        return CAPTIONS[kind]
    return f"{CAPTIONS[kind]}, {RECIPES[slug].embedding_layer}"


def evidence(group: Group) -> tuple[int, str]:
    """What figures that may be ranked together share, in words, and its place among such kinds."""
    if group.source == "official" and not group.deviations and group.eager_float32:
        return 0, AS_PRINTED
    return SOURCES.index(group.source) + 1, in_words(group)


def printed(claim: Claim) -> str:
    """The printed value with its unit; a dash for a claim without one."""
    if claim.value is None:
        return "–"
    about = "about " if claim.approx else ""
    return f"{about}{claim.value}{' %' if claim.unit == 'percent' else ''}"


def ours(row: GradedClaim) -> str:
    """``"93.18 % (92.48–93.88), 10 seeds"``: our mean in the claim's unit; a dash if there is none."""
    return figure_text(row.measured, row.claim.unit).partition(";")[0] if row.measured else "–"


def where(row: GradedClaim) -> str:
    claim = row.claim
    return claim.locator if claim.place else f"{claim.report}:{', '.join(map(str, claim.lines))}"


def meaning(grade: str, reason: str) -> str:
    return verdict.NOT_TESTED_REASONS[reason] if reason else verdict.GRADES[grade]


def remarks(row: GradedClaim) -> list[str]:
    """What stands beside a grade but for flags: its reason, the rehearsal, the adjusted p, failures."""
    # the meaning of a reason stands elsewhere on every page; here is what it is due to
    sentence = row.sentence.partition("; ")[2] if row.reason else row.sentence
    parts = [sentence] if sentence else []
    parts += [row.rehearsal] if row.rehearsal else []
    decided = row.grade not in ("reproduced", "compatible", "unstable", "undecided")
    if row.holm_p is not None and decided:
        parts.append(f"p = {row.holm_p:.2g} after Holm's adjustment over the report")
    parts += row.replaced
    if row.failures:
        parts.append(f"runs that did not end well: {len(row.failures)}")
    return parts


def recipes_of(rows: Iterable[GradedClaim]) -> list[str]:
    """The recipes that exist among those that claims name, in the claims' order."""
    named: list[str] = []
    for row in rows:
        claim = row.claim
        named += [
            *([claim.recipe] if claim.recipe else []),
            *claim.order_recipes,
            *claim.difference_of,
            *claim.ratio_of,
        ]
        named += [name for name in claim.tested_by if name in RECIPES]
    return [slug for slug in dict.fromkeys(named) if slug in RECIPES]


def status(record: Record) -> str:
    return f"{record.status}: {record.reason}" if record.reason else record.status


def result(record: Record) -> tuple[str, str]:
    """The primary figure with its name, and its epoch."""
    entry = record.metrics.get(record.selected)
    if entry is None:
        return "–", "–"
    value = record.metric(entry["primary"])
    shown = "undefined" if value is None else f"{value:.4f}"
    return f"{entry['primary']} {shown}", str(entry["epoch"] or "–")


def commit(record: Record) -> tuple[str, bool]:
    """The commit's first digits, empty outside a checkout, and whether there were changes."""
    commit = record.provenance.get("commit")
    return ("" if commit is None else str(commit)[:9]), bool(record.provenance.get("dirty"))


def first_pictures(groups: Iterable[Group], kind: str) -> tuple[Group, Record, list[str]] | None:
    """Of the most telling group that drew pictures of a kind: its first run that did, and the files.

    Real images tell more than drawn ones. None where no run of the groups drew such a picture. A confusion
    is shown of official data alone: of other data it says nothing about the report's classes.
    """
    for group in sorted(groups, key=evidence):
        if kind == "confusion" and group.source != "official":
            continue
        for record in group.runs:
            files = [figure["file"] for figure in record.figures if figure["kind"] == kind]
            if files:
                return group, record, files
    return None
