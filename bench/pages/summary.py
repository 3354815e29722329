"""A report's verdict: what became of its claims by kind, and the paragraph that a reviewer would write.

No single number: shares of claims by kind and grade, flags, and sentences. All of it follows from grades and
the audit's findings by fixed rules.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.audit import FLAGS, Finding
from bench.audit.finding import listed
from bench.audit.text import points
from bench.claims.claim import Claim, Ledger
from bench.grading import statistics as statistics_module
from bench.grading import verdict
from bench.grading.grader import GradedClaim
from bench.grading.others import IN_LINE
from bench.grading.others_survey import Others
from bench.pages.wording import HEADINGS

STANDINGS: dict[str, tuple[str, ...]] = {
    "holds": ("matches", "reproduced", "as claimed", "seen"),
    "shown": ("redrawn",),
    "undecided": ("compatible", "undecided", "unstable"),
    "otherwise": (
        "differs", "contradicted", verdict.NOT_REACHED, "exceeded", verdict.EXCEEDED_ASSUMING, "opposite",
        "not seen",
    ),
    "no run": ("not tested",),
}  # fmt: skip
"""What a grade comes to, for a bar's few colours."""

STANDING_MEANINGS: dict[str, str] = {
    "holds": "as the report says",
    "shown": "redrawn beside it, nothing to count",
    "undecided": "our runs do not decide it",
    "otherwise": "other than the report says",
    "no run": "not tested",
}

_STANDING = {grade: standing for standing, grades in STANDINGS.items() for grade in grades}
_STANDING |= {f"{grade}{verdict.ON_PUBLIC}": _STANDING[grade] for grade in verdict.OF_NUMBERS}

_PLURAL: dict[str, tuple[str, str]] = {
    "number": ("printed figure", "printed figures"),
    "ordering": ("ordering", "orderings"),
    "process": ("statement about training", "statements about training"),
    "timing": ("statement about time", "statements about time"),
    "figure": ("picture", "pictures"),
    "architecture": ("network", "networks"),
    "formula": ("formula", "formulas"),
    "protocol": ("setting or piece of code", "settings and pieces of code"),
    "explanation": ("explanation", "explanations"),
}


_COUNTED_ONLY = ("figure", "explanation")
"""Kinds that no run can confirm or refute: a picture is redrawn, an explanation rests on other claims."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Claims of one kind with one grade.

    Attributes:
        standing: key of ``STANDINGS``.
    """

    label: str
    standing: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Share:
    """The claims of one kind, by grade."""

    kind: str
    heading: str
    total: int
    parts: tuple[Part, ...]


def standing_of(grade: str) -> str:
    """Key of ``STANDINGS`` that a grade belongs to, also one on public originals."""
    return _STANDING[grade]


def standing(row: GradedClaim) -> str:
    """Key of ``STANDINGS`` that a claim's grade belongs to."""
    return standing_of(row.grade)


def shares(rows: Iterable[GradedClaim]) -> list[Share]:
    """Claims by kind, and in each by grade, in the order of ``HEADINGS`` and ``STANDINGS``."""
    all_rows = list(rows)
    counted_shares = []
    for kind, heading in HEADINGS.items():
        kind_rows = [row for row in all_rows if row.claim.kind == kind]
        if kind_rows:
            counted_shares.append(
                Share(kind=kind, heading=heading, total=len(kind_rows), parts=parts(kind_rows))
            )
    return counted_shares


def parts(rows: Sequence[GradedClaim]) -> tuple[Part, ...]:
    """Claims by grade, those first that hold."""
    counts = Counter((row.label, standing(row)) for row in rows)
    order = list(STANDINGS)
    listed_parts = sorted(counts, key=lambda key: (order.index(key[1]), key[0]))
    return tuple(
        Part(label=label, standing=standing, count=counts[label, standing])
        for label, standing in listed_parts
    )


def results_of(rows: Iterable[GradedClaim]) -> list[GradedClaim]:
    """The printed results: numbers that a report prints of its own runs, the illegible left out."""
    return [row for row in rows if row.claim.kind == "number" and not row.claim.illegible]


def on_own_data(rows: Iterable[GradedClaim]) -> list[GradedClaim]:
    """Return the tested claims, those on public originals left out."""
    return [row for row in rows if row.grade != "not tested" and not row.grade.endswith(verdict.ON_PUBLIC)]


def on_public_originals(rows: Iterable[GradedClaim]) -> list[GradedClaim]:
    """Return the claims that were tested on data rebuilt from public originals, another split."""
    return [row for row in rows if row.grade.endswith(verdict.ON_PUBLIC)]


def tested(rows: Iterable[GradedClaim]) -> str:
    """``"0 of 15 printed results are tested"``; results on public originals are counted by themselves."""
    printed = results_of(rows)
    counted = len(on_own_data(printed))
    return f"{counted} of {len(printed)} printed results {'is' if counted == 1 else 'are'} tested"


def counted_grades(rows: Iterable[GradedClaim]) -> list[str]:
    """``["9 reproduced", "2 match"]``: how many of the tested have each grade, those first that hold."""
    counts = Counter(row.grade for row in rows if row.grade != "not tested")
    order = list(STANDINGS)
    ordered = sorted(counts.items(), key=lambda item: (order.index(standing_of(item[0])), -item[1], item[0]))
    return [f"{count} {_AS_VERB.get(grade, grade) if count > 1 else grade}" for grade, count in ordered]


CHECKED_KINDS = ("architecture", "formula", "protocol")
"""Kinds that are checked without training."""


def headline(rows: Sequence[GradedClaim], others: Others | None = None) -> list[str]:
    """The finding in a few sentences: what was tested, what others got, what was checked, what is flagged."""
    results = results_of(rows)
    counts = counted_grades(on_own_data(results))
    grades = listed(counts) if counts else ""
    first = f"{capital(tested(rows))} on the data that they are about{f': {grades}' if grades else ''}."
    sentences = [first, *_on_public(results), *_in_line(results, others)]
    checked = [row for row in rows if row.claim.kind in CHECKED_KINDS and row.grade != "not tested"]
    agree = sum(row.grade == "matches" for row in checked)
    if checked:
        sentences.append(
            f"Without training, {len(checked)} networks, formulas and settings were compared with code that"
            f" runs: {agree} match, {len(checked) - agree} differ."
        )
    if marked := sum(bool(row.flags) for row in rows):
        sentences.append(f"The audit of the text flags {_claims(marked)}.")
    return sentences


def _on_public(results: Sequence[GradedClaim]) -> list[str]:
    """How many results were tested on public originals, and what came out; nothing without any."""
    rows = on_public_originals(results)
    if not rows:
        return []
    grades = listed(grade.removesuffix(verdict.ON_PUBLIC) for grade in counted_grades(rows))
    were = "was" if len(rows) == 1 else "were"
    return [f"{len(rows)} {were} tested on public originals, another split of the same data: {grades}."]


def capital(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def _in_line(results: Sequence[GradedClaim], others: Others | None) -> list[str]:
    """How many printed results lie where other reports' do."""
    placed = [
        row for row in results if others and any(p.interval for p in others.places.get(row.claim.id, ()))
    ]
    if others is None or not placed:
        return []
    inside = sum(any(p.word == IN_LINE for p in others.places[row.claim.id]) for row in placed)
    return [f"Of {len(placed)} that enough other reports print too, {inside} are in line with these."]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One of the page's three numbers; ``standing`` is its colour."""

    value: str
    text: str
    standing: str


def tiles(rows: Sequence[GradedClaim]) -> list[Tile]:
    """Tested, as printed, findings."""
    results = results_of(rows)
    own, public = on_own_data(results), on_public_originals(results)
    checked = [row for row in rows if row.claim.kind in CHECKED_KINDS and row.grade != "not tested"]
    agree = sum(row.grade == "matches" for row in checked)
    marked = flagged(rows)
    grades = ", ".join(counted_grades(own))
    more = f"; {len(public)} more on public originals" if public else ""
    flags = ", ".join(f"{len(claims)} {flag}" for flag, claims in marked.items())
    return [
        Tile(
            value=f"{len(own)} / {len(results)}",
            text=f"printed results are tested on their own data{f': {grades}' if grades else ''}{more}",
            standing="undecided",
        ),
        Tile(
            value=f"{agree} / {len(checked)}",
            text="networks, formulas and settings are as printed, compared with code that runs",
            standing="holds",
        ),
        Tile(
            value=str(sum(bool(row.flags) for row in rows)),
            text=f"claims carry a finding of the audit{f': {flags}' if flags else ''}",
            standing="otherwise",
        ),
    ]


def flagged(rows: Iterable[GradedClaim]) -> dict[str, tuple[str, ...]]:
    """By flag, the claims that it stands beside; flags without any are left out."""
    all_rows = list(rows)
    by_flag = {flag: tuple(row.claim.id for row in all_rows if flag in row.flags) for flag in FLAGS}
    return {flag: claims for flag, claims in by_flag.items() if claims}


# ---------------------------------------------------------------- the paragraph


def sentences(ledger: Ledger, rows: Iterable[GradedClaim], findings: Iterable[Finding]) -> list[str]:
    """What a reviewer would write of a report, sentence by sentence, claims named by their ids.

    Args:
        rows: graded claims, of this report and perhaps others.
        findings: the audit's, of this report and perhaps others.
    """
    report_rows = [row for row in rows if row.claim.report == ledger.report]
    name = ledger.report.upper()
    if not report_rows:
        return [f"{name} makes no claim that is listed here."]
    lines = [_opening(name, report_rows)]
    for share in shares(report_rows):
        if share.kind in _COUNTED_ONLY:
            continue
        of_kind = [row for row in report_rows if row.claim.kind == share.kind]
        if any(part.standing != "no run" for part in share.parts) or share.kind == "number":
            lines.append(_of_kind(share, of_kind))
    untouched = [share for share in shares(report_rows) if share.kind != "number" and _nothing_ran(share)]
    if untouched:
        lines.append(f"Not tested: {listed(_counted(share) for share in untouched)}.")
    lines += [noise(n, value) for n, value in accuracies(ledger.claims)]
    return [*lines, *_audited(report_rows, ledger.report, findings)]


def _opening(name: str, rows: Sequence[GradedClaim]) -> str:
    checked = [row for row in rows if row.claim.kind in CHECKED_KINDS and row.grade != "not tested"]
    compared = f" {len(checked)} of its statements were compared with code that runs." if checked else ""
    return f"{name} makes {_claims(len(rows))}; {tested(rows)}.{compared}"


def _of_kind(share: Share, rows: Sequence[GradedClaim]) -> str:
    """How the claims of a kind came out; those that did not hold by name."""
    if _nothing_ran(share):
        reasons = Counter(row.reason or row.grade for row in rows)
        told = [f"{_missing(reason)} ({count})" for reason, count in sorted(reasons.items())]
        if share.total == 1:
            return f"Its {_counted(share).removeprefix('1 ')} is not tested: {listed(told)}."
        return f"None of its {_counted(share)} is tested: {listed(told)}."
    if len(share.parts) == 1 and share.total == 1:
        return f"Its {_counted(share).removeprefix('1 ')} {_came_out(share.parts[0])} ({rows[0].claim.id})."
    if len(share.parts) == 1:
        return f"All of its {_counted(share)} {_came_out(share.parts[0])}."
    told = []
    for part in share.parts:
        ids = [row.claim.id for row in rows if row.label == part.label]
        named = f" ({', '.join(ids)})" if part.standing == "otherwise" else ""
        told.append(f"{part.count} {_came_out(part)}{named}")
    return f"Of its {_counted(share)} {listed(told)}."


_AS_VERB = {"matches": "match", "differs": "differ"}
"""Verdicts that are verbs, as they are said of several claims."""


def _came_out(part: Part) -> str:
    """The verdict as a verb: ``"matches"``, ``"match"`` of several, ``"are reproduced"``."""
    if part.label in _AS_VERB:
        return part.label if part.count == 1 else _AS_VERB[part.label]
    return f"{'is' if part.count == 1 else 'are'} {part.label}"


def _missing(reason: str) -> str:
    return verdict.NOT_TESTED_REASONS.get(reason, verdict.GRADES.get(reason, reason))


def _nothing_ran(share: Share) -> bool:
    return all(part.standing == "no run" for part in share.parts)


def _counted(share: Share) -> str:
    return f"{share.total} {_PLURAL[share.kind][share.total > 1]}"


def _claims(count: int) -> str:
    return "1 claim" if count == 1 else f"{count} claims"


def _audited(rows: Sequence[GradedClaim], report: str, findings: Iterable[Finding]) -> list[str]:
    """What the audit found against the report: the certain in full, the rest as flags."""
    of_it = [f for f in findings if report in f.reports]
    firm = [f for f in of_it if f.verdict == "against" and f.strength != "weak"]
    if not firm:
        return ["The audit of its text finds nothing to answer."]
    certain = [finding for finding in firm if finding.strength == "certain"]
    told = "; ".join(f"{finding.sentence} ({finding.locator})" for finding in certain)
    lines = [f"By the audit it has {points(of_it)}" + (f"; certain: {told}." if certain else ".")]
    flags = [f"{flag} beside {_claims(len(claims))}" for flag, claims in flagged(rows).items()]
    return [*lines, f"Flags: {listed(flags)}."] if flags else lines


# ---------------------------------------------------------------- what one evaluation can say


def accuracies(claims: Iterable[Claim]) -> list[tuple[int, float]]:
    """Sizes of the splits that accuracies are printed on, each with the middle one of those."""
    values: dict[int, list[float]] = {}
    for claim in claims:
        if claim.kind == "number" and claim.metric == "top1" and claim.n:
            values.setdefault(claim.n, []).append(float(claim.fraction))
    return [(n, statistics.median_low(values[n])) for n in sorted(values)]


def noise(n: int, value: float) -> str:
    """What n images can say about accuracies near ``value``, in one sentence."""
    low, high = statistics_module.accuracy_interval(round(n * value), n)
    apart = 100 * statistics_module.resolvable_difference(n, value)
    point = (
        f"one point of accuracy is noise: it is {n / 100:.0f} images"
        if apart > 1
        else f"one point of accuracy, {n / 100:.0f} images, can be told from noise"
    )
    return (
        f"On {n:,} images {point}; around {100 * value:.1f} % the exact 95 % interval of one evaluation is "
        f"{100 * low:.1f} to {100 * high:.1f} %, and two such accuracies must lie {apart:.1f} points apart "
        "before one split tells them from chance."
    )
