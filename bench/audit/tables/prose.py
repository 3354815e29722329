"""What the text says of figures: "improves by", "from … to …", against itself and against the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.audit.stated import Interval
from bench.audit.tables.layout import Document, Sentence
from bench.audit.tables.roles import VALUE, ReadTable, normal, role_of_name
from bench.audit.tables.table_finding import (
    Place,
    TableFinding,
    against,
    holds,
    not_checked,
    possible,
    written,
)
from bench.claims.cells import Figure, read_cell

MOST_SENTENCES = 20_000
MOST_LABELS = 400
"""Row names that are looked for in a sentence."""

_N = r"([+-]?\d+(?:\.\d+)?)"
_POINTS = r"(?:pp|p\.p\.|percentage points?|% ?points?|points?|pts?|mIoU|AP|mAP)"
_FROM_TO = re.compile(
    rf"\bfrom\s+{_N}\s*(%?)\s*(?:mIoU|AP|mAP|accuracy)?\s*(?:\([^()]{{0,40}}\)\s*)?\bto\s+{_N}\s*(%?)", re.I
)
_BY = re.compile(
    rf"\b(?:by|of|is|a|gain of|improvement of)\s+(?:about |around |approximately |roughly |almost "
    rf"|nearly |over |more than |up to |at least |an? (?:absolute |relative )?)?"
    rf"(?:absolute |relative )?{_N}\s*(?:(%)\s*)?({_POINTS})?(?:\s*\(?(relative(?:ly)?|absolute(?:ly)?)\)?)?",
    re.I,
)
_ABOUT = re.compile(
    r"\b(about|around|approximately|roughly|almost|nearly|over|more than|up to|at least|~|≈)\s*$", re.I
)
_CHANGE = re.compile(
    r"\b(improv\w*|increas\w*|gain\w*|outperform\w*|better|higher|exceed\w*|surpass\w*|boost\w*|drop\w*"
    r"|decreas\w*|reduc\w*|lower|worse|loss|lose\w*|rais\w*|rises?)\b",
    re.I,
)
_HEDGED = re.compile(r"\b(average|respectively|up to|at least|at most|between|each|both)\b", re.I)


class Quoted(NamedTuple):
    """A difference that the text gives: in points, as a share of the lower one, or either."""

    figure: Figure
    percent: bool
    points: bool
    relative: bool
    about: bool
    text: str


def check_prose(document: Document, reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """Every sentence that speaks of a change and gives its size."""
    labels = _labels(reads)
    unmatched: list[Sentence] = []
    for sentence in document.sentences[:MOST_SENTENCES]:
        if not _CHANGE.search(sentence.text):
            continue
        quoted = _quoted(sentence.text)
        ends = _FROM_TO.search(sentence.text)
        if ends and quoted:
            yield _from_to(sentence, ends, quoted)
        elif quoted:
            finding = _against_tables(sentence, quoted, labels, reads)
            if finding is None:
                unmatched.append(sentence)
            else:
                yield finding
    if len(document.sentences) > MOST_SENTENCES:
        left = document.sentences[MOST_SENTENCES:]
        yield not_checked(
            "difference in the text",
            f"{len(left):,} sentences after the first {MOST_SENTENCES:,} not checked",
            left[0].line,
        )
    if unmatched:
        some = "; ".join(f"line {s.line}: {_short(s.text)}" for s in unmatched[:3])
        yield not_checked(
            "difference in the text",
            f"{len(unmatched)} quoted difference{'s' if len(unmatched) > 1 else ''} not checked, as no "
            f"two rows of one table are named near it: {some}",
            unmatched[0].line,
        )


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def _quoted(text: str) -> Quoted | None:
    """The one difference of a sentence; None where there is none, or more than one."""
    changes = []
    for match in _BY.finditer(text):
        percent, points, kind = bool(match[2]), match[3], (match[4] or "").lower()
        figure = _figure(match[1])
        if figure is None or not (percent or points) or figure.digits == 0:
            continue
        lead = text[max(0, match.start() - 20) : match.start(1)].lower()
        relative = (
            kind.startswith("relative")
            or "relative" in lead
            or "relative" in text[match.end() : match.end() + 12].lower()
        )
        changes.append(
            Quoted(
                figure, percent, bool(points), relative, bool(_ABOUT.search(text[: match.start(1)])), match[0]
            )
        )
    return changes[0] if len(changes) == 1 else None


def _figure(text: str) -> Figure | None:
    cell = read_cell(text)
    return cell.figure if cell.kind == "figure" else None


def _from_to(sentence: Sentence, ends: re.Match[str], quoted: Quoted) -> TableFinding:
    """``from 65.0 to 67.3 by 2.3 points``: all three in one sentence."""
    first, last = _figure(ends[1]), _figure(ends[3])
    assert first is not None
    assert last is not None
    low, high = sorted((first, last), key=lambda figure: figure.value)
    said = f"from {first.text} to {last.text} is {_differences(low, high)}"
    if _agrees(quoted, low, high, rising=last.value >= first.value):
        return _in_text(sentence, "holds", "strong", f"{said}, quoted {quoted.text.strip()}", quoted)
    strength = "weak" if quoted.about else "strong"
    return _in_text(
        sentence, "against", strength, f"{said}, but the sentence says {quoted.text.strip()!r}", quoted
    )


def _in_text(sentence: Sentence, verdict: str, strength: str, text: str, quoted: Quoted) -> TableFinding:
    return TableFinding(
        check="difference in the text",
        verdict=verdict,
        strength=strength,
        sentence=text,
        line=sentence.line,
        printed=quoted.figure.text,
    )


def _differences(low: Figure, high: Figure) -> str:
    decimals = max(low.decimals, high.decimals)
    points = written(high.value - low.value, decimals)
    if low.value <= 0 or high.value <= 0:
        return points
    up, down = 100 * (high.value - low.value) / low.value, 100 * (high.value - low.value) / high.value
    return f"{points} ({written(up, 1)} % of the lower, {written(down, 1)} % of the higher)"


def _agrees(quoted: Quoted, low: Figure, high: Figure, *, rising: bool) -> bool:
    """Whether the quoted size is the difference, in any sense that its words leave open."""
    size = possible(quoted.figure)
    size = Interval(min(abs(size.low), abs(size.high)), max(abs(size.low), abs(size.high)))
    if quoted.about:
        unit = 2 * quoted.figure.half_step
        size = Interval(size.low - unit, size.high + unit)
    one, other = possible(low), possible(high)
    gap = other - one
    candidates = []
    if not quoted.relative:
        candidates.append(gap)
        if high.value <= 1:  # fractions whose difference is quoted in points or percent
            candidates.append(Interval(100 * gap.low, 100 * gap.high))
    if quoted.relative or (quoted.percent and not quoted.points):
        bases = (base for base in (one, other) if base.low > 0)
        candidates += [Interval(100 * gap.low / base.high, 100 * gap.high / base.low) for base in bases]
    if quoted.relative and one.low < 100 and one.high <= 100:  # relative to the error
        errors = Interval(100 - one.high, 100 - one.low)
        if errors.low > 0:
            candidates.append(Interval(100 * gap.low / errors.high, 100 * gap.high / errors.low))
    del rising
    return any(size.meets(candidate) for candidate in candidates)


# Against the tables -----------------------------------------------------------------------------------


class Labelled(NamedTuple):
    """The name of a row and where it is."""

    name: str
    pattern: re.Pattern[str]
    read: ReadTable
    row: int


def _labels(reads: Sequence[ReadTable]) -> list[Labelled]:
    labels = []
    for read in reads:
        names = [normal(label) for label in read.labels]
        for row, name in enumerate(names[:MOST_LABELS]):
            if len(name) >= 3 and not re.fullmatch(r"row \d+|[\d. ]+", name) and names.count(name) == 1:
                labels.append(Labelled(name, re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])"), read, row))
    return labels[: 5 * MOST_LABELS]


def _against_tables(
    sentence: Sentence, quoted: Quoted, labels: Sequence[Labelled], reads: Sequence[ReadTable]
) -> TableFinding | None:
    """Two rows of one table that the sentence names, in the columns that it names or in all."""
    text = normal(sentence.text)
    by_table: dict[int, list[Labelled]] = {}
    for label in labels:
        if label.name in text and label.pattern.search(text):
            by_table.setdefault(id(label.read), []).append(label)
    for matches in by_table.values():
        rows = [
            m for m in matches if not any(m.name != other.name and m.name in other.name for other in matches)
        ]
        if len(rows) != 2:
            continue
        read = rows[0].read
        columns = [
            c
            for c in read.numeric()
            if c.role not in ("n", "runs", "sd", "min", "max", "share", "total", "delta")
        ]
        named = [c for c in columns if _named(c.name, c.role, text)]
        pairs = []
        for column in named or columns:
            one, other = Place(read, rows[0].row, column.index), Place(read, rows[1].row, column.index)
            if one.cell.kind == other.cell.kind == "figure":
                pairs.append(sorted((one, other), key=lambda place: place.figure.value))
        if not pairs:
            continue
        names = f"{read.labels[rows[0].row]} and {read.labels[rows[1].row]}"
        agreeing = [(a, b) for a, b in pairs if _agrees(quoted, a.figure, b.figure, rising=True)]
        if agreeing:
            a, b = agreeing[0]
            return holds(
                "difference in the text",
                "strong" if len(pairs) == 1 else "weak",
                f"{names} differ in {a.name!r} by {_differences(a.figure, b.figure)}; line "
                f"{sentence.line} says {quoted.text.strip()!r}",
                [b, a],
                printed=quoted.figure.text,
            )
        firm = len(pairs) == 1 and not quoted.about and not _HEDGED.search(sentence.text)
        differences = "; ".join(f"{a.name!r}: {_differences(a.figure, b.figure)}" for a, b in pairs[:4])
        finding = against(
            "difference in the text",
            "strong" if firm else "weak",
            f"line {sentence.line} says {quoted.text.strip()!r} of {names}, but they differ by {differences}",
            [pairs[0][1], pairs[0][0]],
            printed=quoted.figure.text,
        )
        return TableFinding(**{**finding.__dict__, "line": sentence.line})
    return None


def _named(name: str, role: str, text: str) -> bool:
    plain = normal(name)
    if len(plain) >= 2 and re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", text):
        return True
    words = {"miou": "miou", "top1": "top 1", "accuracy": "accuracy", "ap": "map", "f1": "f1"}
    return role != VALUE and role in words and words[role] in text and role_of_name(name) == role
