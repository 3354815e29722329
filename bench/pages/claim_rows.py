"""One table a report: claim, printed, verdict, evidence, what is missing. The IoUs of classes are one row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.claims.claim import DECIDED_BY_RUNS, Claim
from bench.grading.grader import GradedClaim
from bench.grading.others import PlaceAmongOthers
from bench.grading.verdict import MAX_SEEDS
from bench.pages import wording
from bench.pages.answer_card import Cards
from reference.data.dataset import OFFICIAL_PALETTE


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One class of a row of class IoUs: its name, the claim, the printed value and its share of the axis.

    Attributes:
        measured: our mean as percent of the axis; None without runs that count.
    """

    name: str
    claim: str
    value: str
    percent: float
    measured: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a report's table.

    Attributes:
        rows: the claims it stands for: one, or every class of a network.
        bars: one a class, where it stands for classes.
    """

    rows: tuple[GradedClaim, ...]
    text: str
    printed: str
    evidence: tuple[str, ...]
    flags: tuple[str, ...]
    missing: str
    bars: tuple[Bar, ...] = ()

    @property
    def first(self) -> GradedClaim:
        """The claim, or the first of several."""
        return self.rows[0]


def table(rows: Sequence[GradedClaim], cards: Cards) -> dict[str, tuple[Row, ...]]:
    """A report's claims by kind, one row each; the IoUs of one recipe's classes share a row."""
    by_kind: dict[str, tuple[Row, ...]] = {}
    for kind, heading in wording.HEADINGS.items():
        of_kind = [row for row in rows if row.claim.kind == kind]
        if of_kind:
            by_kind[heading] = tuple(_row(several, cards) for several in _together(of_kind))
    return by_kind


def _together(rows: Iterable[GradedClaim]) -> list[list[GradedClaim]]:
    """Each claim alone, but the classes of one recipe with one verdict together."""
    together: dict[object, list[GradedClaim]] = {}
    for row in rows:
        claim = row.claim
        classes = claim.kind == "number" and claim.metric == "iou" and claim.class_index is not None
        key = (claim.recipe, row.label, claim.epoch) if classes else claim.id
        together.setdefault(key, []).append(row)
    return list(together.values())


def _row(rows: Sequence[GradedClaim], cards: Cards) -> Row:
    first = rows[0]
    several = len(rows) > 1
    return Row(
        rows=tuple(rows),
        text=f"{first.claim.text.partition(':')[0]}: IoU of {len(rows)} classes"
        if several
        else first.claim.text.rstrip("."),
        printed="" if several or not first.claim.value else wording.printed(first.claim),
        evidence=tuple(_evidence_of_classes(rows, cards) if several else _evidence(first, cards)),
        flags=tuple(dict.fromkeys(flag for row in rows for flag in row.flags)),
        missing=missing(first),
        bars=tuple(_bar(row) for row in rows) if several else (),
    )


def _bar(row: GradedClaim) -> Bar:
    claim = row.claim
    index = claim.class_index or 0
    classes = OFFICIAL_PALETTE.classes
    return Bar(
        name=classes[index] if claim.data == "landcover" and index < len(classes) else f"class {index}",
        claim=claim.id,
        value=str(claim.value),
        percent=round(100 * float(claim.fraction), 2),
        measured=round(100 * row.measured.mean, 2) if row.measured else None,
    )


def _evidence(row: GradedClaim, cards: Cards) -> list[str]:
    """At most two short phrases: our figure, what the arithmetic says, where it lies among others."""
    claim, said = row.claim, []
    if row.measured:
        said.append(f"ours {wording.ours(row)}")
    elif (not row.reason and claim.kind in DECIDED_BY_RUNS) or row.grade == "differs":
        return [row.sentence.partition("; ")[0] if claim.kind == "ordering" else row.sentence]
    elif not row.reason and claim.kind not in DECIDED_BY_RUNS:
        said.append("compared with code that runs" if row.grade == "matches" else row.sentence)
    said += _arithmetic(claim, cards)
    said += [among(place) for place in cards.others.places.get(claim.id, ()) if place.interval]
    said += cards.others.sentences(claim)[:1] if claim.kind == "ordering" else []
    return said[:2]


def _evidence_of_classes(rows: Sequence[GradedClaim], cards: Cards) -> list[str]:
    said = _arithmetic(rows[0].claim, cards)
    places = [place for row in rows for place in cards.others.places.get(row.claim.id, ()) if place.interval]
    words = [place.word for place in places]
    return said + [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]


def _arithmetic(claim: Claim, cards: Cards) -> list[str]:
    """The first finding against a claim, or strongly for it, whose first clause is about this claim."""
    for finding in cards.own_findings(claim):
        text = _short(finding.sentence)
        named = {word.strip("(),;:") for word in text.split()} & cards.claims.keys()
        telling = finding.verdict == "against" or (finding.verdict, finding.strength) == ("holds", "strong")
        if telling and (claim.kind != "number" or not named or claim.id in named):
            return [text]
    return []


def _short(sentence: str) -> str:
    """The sentence up to its first clause; of a comparison what it comes to, without the differences."""
    first = sentence.partition("; ")[0]
    if "(z = " in first and ": " in first:
        first = first.partition(": ")[2].partition(", adjusted")[0].partition(" unless")[0]
    return first if len(first) <= 130 else f"{first[:126].rsplit(' ', 1)[0]} …"


def among(place: PlaceAmongOthers) -> str:
    """``"in line with others: the 2nd highest of 7"``."""
    return f"{place.word}: {place.place_in_words.partition(' (')[0]}"


def missing(row: GradedClaim) -> str:
    """What it takes to decide a claim; a dash where it is decided."""
    claim: Claim = row.claim
    if row.reason:
        wanted = "official data" if row.reason == "data" else wording.meaning(row.grade, row.reason)
        unstated = f"; {len(claim.unstated)} settings unstated" if len(claim.unstated) > 1 else ""
        return wanted + (unstated if row.reason == "data" else "")
    seen = row.statistics
    if row.grade not in ("compatible", "undecided", "unstable") or claim.kind == "explanation":
        return "–"
    if seen and seen.k >= MAX_SEEDS:
        return f"nothing: all {MAX_SEEDS} planned seeds have run"
    return f"{seen.more_seeds} more seeds" if seen and seen.more_seeds else "more seeds"
