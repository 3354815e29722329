"""Precision, recall, F1, support and accuracy of one classification together, and confusion matrices.

A class has n images; t of them are right, and m images are predicted as this class: recall is t/n, precision
t/m, F1 2t/(n + m). The printed figures leave a few pairs (t, m) of whole numbers. Over all classes the m add
up to all images and the t to the accuracy's share of them, and the averages follow. Everything is decided on
those whole numbers; where a class is too large to try them all, on the intervals of the printed figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from bench.audit.stated import Interval
from bench.audit.tables.means import harmonic
from bench.audit.tables.roles import LABEL, ReadTable, normal
from bench.audit.tables.table_finding import (
    Place,
    TableFinding,
    against,
    holds,
    not_checked,
    rounded,
    written,
)
from bench.claims.cells import Figure

MOST_RIGHT = 3000
"""Counts of right images that are tried one by one."""

ENDLESS = 10**18

_AVERAGES = ("accuracy", "macro avg", "micro avg", "weighted avg", "samples avg")
_CHECK = "precision, recall, F1, support"
Read = Callable[[Figure], Interval]


def either(figure: Figure) -> Interval:
    """Rounded, cut off, or rounded twice: every reading that is innocent."""
    return Interval(figure.value - figure.half_step * 11 / 10, figure.value + 2 * figure.half_step)


@dataclass(frozen=True)
class Class:
    """One class of a report: its places by role."""

    label: str
    precision: Place
    recall: Place
    f1: Place
    support: int | None
    support_place: Place | None

    @property
    def places(self) -> list[Place]:
        return [self.precision, self.recall, self.f1, *([self.support_place] if self.support_place else [])]


@dataclass(frozen=True)
class Counts:
    """What the printed figures of a class leave: t and m from … to, and its three scores from … to."""

    right: tuple[int, int]
    predicted: tuple[int, int | None]
    precision: Interval
    recall: Interval
    f1: Interval


def check_classifications(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """Classification reports, tables of classes with precision, recall, F1 and support, and matrices."""
    for read in reads:
        columns = _columns(read)
        if columns is not None:
            yield from _report(read, columns)
    for read in reads:
        if (order := matrix_order(read)) is not None:
            yield from _matrix(read, order, reads)


def _columns(read: ReadTable) -> dict[str, int] | None:
    """The columns of a table whose rows are classes: of a report, or of one with a column of supports."""
    columns: dict[str, int] = {}
    for column in read.columns:
        if column.role in ("precision", "recall", "f1", "n"):
            if column.role in columns:
                return None
            columns[column.role] = column.index
    if not {"precision", "recall", "f1"} <= columns.keys():
        return None
    if read.table.form == "classification report":
        return columns
    if "n" not in columns or len(read.table.rows) < 2:
        return None
    labels = [normal(label) for label in read.labels]
    return (
        columns
        if any(label in _AVERAGES or label in ("macro", "weighted", "micro") for label in labels)
        else None
    )


def _report(read: ReadTable, columns: dict[str, int]) -> Iterator[TableFinding]:
    classes, averages = [], {}
    for row, label in enumerate(read.labels):
        cells = read.table.rows[row].cells
        name = normal(label)
        places = {role: Place(read, row, index) for role, index in columns.items()}
        if name in _AVERAGES:
            averages[name] = places
        elif all(cells[columns[role]].kind == "figure" for role in ("precision", "recall", "f1")):
            support = cells[columns["n"]].figure if "n" in columns else None
            whole = support.digits if support and not support.decimals else None
            classes.append(
                Class(
                    label,
                    places["precision"],
                    places["recall"],
                    places["f1"],
                    whole,
                    places.get("n") if whole is not None else None,
                )
            )
        else:
            first = next(
                places[role] for role in ("precision", "recall", "f1") if places[role].cell.kind != "figure"
            )
            yield not_checked(
                _CHECK, f"{label}: not checked, as no {first.name} is printed", first.line, [first]
            )
    if not classes:
        return
    top = "certain" if read.table.as_printed else "strong"
    left: list[Counts | None] = []
    reading: list[Read] = []
    single = "accuracy" in averages  # scikit-learn prints one only where each image has one label
    total = sum(one.support or 0 for one in classes)
    for one in classes:
        others = total - one.support if single and one.support is not None else None
        counts, read_so, finding = _class(one, top, others)
        yield finding
        left.append(counts)
        reading.append(read_so)
    if any(one.support is None for one in classes):
        return
    everything = sum(one.support or 0 for one in classes)
    yield from _supports(averages, classes, everything, top)
    if all(left) and everything:
        kept = [counts for counts in left if counts is not None]
        loose = any(read_so is either for read_so in reading)
        yield from _together(averages, classes, kept, everything, top, loose)


def _class(one: Class, top: str, others: int | None) -> tuple[Counts | None, Read, TableFinding]:
    """What one class leaves, by the strictest reading that leaves anything."""
    p, r, f = one.precision.figure, one.recall.figure, one.f1.figure
    printed = f"precision {p.text}, recall {r.text}, F1 {f.text}" + (
        f" of {one.support:,}" if one.support is not None else ""
    )
    if one.support is None:
        middle = written(harmonic(p.value, r.value), f.decimals + 1)
        for read, strength in ((rounded, top), (either, "weak")):
            a, b, c = read(p), read(r), read(f)
            if harmonic(max(a.low, Fraction(0)), max(b.low, Fraction(0))) <= c.high and c.low <= harmonic(
                a.high, b.high
            ):
                make = holds if read is rounded else against
                end = "" if read is rounded else ", possible only if something was cut off or rounded twice"
                return (
                    None,
                    read,
                    make(
                        _CHECK,
                        strength,
                        f"{one.label}: precision {p.text} and recall {r.text} give an F1 of {middle}, "
                        f"printed {f.text}{end}",
                        one.places,
                    ),
                )
        return (
            None,
            rounded,
            against(
                _CHECK,
                top,
                f"{one.label}: precision {p.text} and recall {r.text} give an F1 of {middle}, not {f.text}",
                one.places,
                expected=middle,
            ),
        )
    for read in (rounded, either):
        counts = possible_counts(p, r, f, one.support, read, others)
        if counts is None:
            continue
        right, predicted = _range(counts.right), _range(counts.predicted)
        if read is rounded:
            return (
                counts,
                read,
                holds(
                    _CHECK,
                    top,
                    f"{one.label}: {printed}: {right} right of {predicted} predicted",
                    one.places,
                    printed=printed,
                ),
            )
        return (
            counts,
            read,
            against(
                _CHECK,
                "weak",
                f"{one.label}: {printed} are possible only if something was cut off or rounded twice "
                f"({right} right of {predicted} predicted)",
                one.places,
                printed=printed,
            ),
        )
    return (
        None,
        rounded,
        against(
            _CHECK,
            top,
            f"{one.label}: {printed}: no whole numbers of right and predicted images give all of them",
            one.places,
            printed=printed,
        ),
    )


def _range(span: tuple[int, int | None]) -> str:
    if span[1] is None:
        return f"{span[0]:,} or more"
    return f"{span[0]:,}" if span[0] == span[1] else f"{span[0]:,} to {span[1]:,}"


def possible_counts(
    precision: Figure, recall: Figure, f1: Figure, support: int, read: Read, others: int | None = None
) -> Counts | None:
    """The pairs (right, predicted) of whole numbers that print so; None where there is none.

    Args:
        others: images of other classes, where each image has one prediction.
    """
    p, r, f = read(precision), read(recall), read(f1)
    n = support
    first, last = max(0, math.ceil(r.low * n)), min(n, math.floor(r.high * n))
    if not n:  # undefined recall and F1 print as 0 (or 1); precision is 0 of whatever was predicted
        return Counts((0, 0), (0, None), p, r, f)
    if first > last:
        return None
    if last - first > MOST_RIGHT:
        spans = (harmonic(max(p.low, Fraction(0)), r.low), harmonic(p.high, min(r.high, Fraction(1))))
        if p.low <= 0 or spans[0] > f.high or spans[1] < f.low:
            return None if p.low > 0 else Counts((first, last), (0, None), p, r, f)
        return Counts((first, last), (math.ceil(first / p.high), math.floor(last / p.low)), p, r, f)
    rights, least, most = [], math.inf, 0.0
    spans_p, spans_f = [], []
    for right in range(first, last + 1):
        if right == 0:
            if p.low <= 0 and f.low <= 0:
                rights.append(0)
                least, most = 0, math.inf
                spans_p.append(Interval(Fraction(0), Fraction(0)))
                spans_f.append(Interval(Fraction(0), Fraction(0)))
            continue
        low = max(right, math.ceil(right / p.high), math.ceil(2 * right / f.high - n))
        high = min(
            ENDLESS if others is None else right + others,
            math.floor(right / p.low) if p.low > 0 else ENDLESS,
            math.floor(2 * right / f.low - n) if f.low > 0 else ENDLESS,
        )
        if low <= high:
            rights.append(right)
            least, most = min(least, low), max(most, high)
            spans_p.append(Interval(Fraction(right, high), Fraction(right, low)))
            spans_f.append(Interval(Fraction(2 * right, n + high), Fraction(2 * right, n + low)))
    if not rights:
        return None
    return Counts(
        (rights[0], rights[-1]),
        (int(least), None if most == math.inf else int(most)),
        _hull(spans_p),
        Interval(Fraction(rights[0], n), Fraction(rights[-1], n)),
        _hull(spans_f),
    )


def _hull(spans: Sequence[Interval]) -> Interval:
    return Interval(min(span.low for span in spans), max(span.high for span in spans))


def _supports(
    averages: dict[str, dict[str, Place]], classes: Sequence[Class], everything: int, top: str
) -> Iterator[TableFinding]:
    """The supports add up to the number that stands next to the averages."""
    for name in ("accuracy", "macro avg", "weighted avg", "micro avg"):
        place = averages.get(name, {}).get("n")
        if place is None or place.cell.kind != "figure":
            continue
        places = [place, *(one.support_place for one in classes if one.support_place)]
        sentence = f"the {len(classes)} supports add up to {everything:,}"
        if place.figure.value == everything:
            yield holds(
                "supports", top, f"{sentence}, printed next to {name}", places, expected=str(everything)
            )
        else:
            yield against(
                "supports",
                top,
                f"{sentence}, not the {place.figure.text} next to {name}",
                places,
                expected=str(everything),
            )


def _together(
    averages: dict[str, dict[str, Place]],
    classes: Sequence[Class],
    counts: Sequence[Counts],
    everything: int,
    top: str,
    loose: bool,
) -> Iterator[TableFinding]:
    """Over all classes: predictions, accuracy, macro and weighted averages."""
    weak_if_loose = "strong" if loose and top == "certain" else top
    accuracy = averages.get("accuracy", {}).get("f1")
    if accuracy is not None and accuracy.cell.kind == "figure":
        yield from _accuracy(accuracy, classes, counts, everything, weak_if_loose)
    weights = {
        "macro avg": [Fraction(1, len(classes))] * len(classes),
        "weighted avg": [Fraction(one.support or 0, everything) for one in classes],
    }
    for name, shares in weights.items():
        for role in ("precision", "recall", "f1"):
            place = averages.get(name, {}).get(role)
            if place is None or place.cell.kind != "figure":
                continue
            spans = [getattr(c, role) for c in counts]
            low = sum((w * s.low for w, s in zip(shares, spans, strict=True)), Fraction(0))
            high = sum((w * s.high for w, s in zip(shares, spans, strict=True)), Fraction(0))
            places = [place, *(getattr(one, role) for one in classes)]
            yield _averaged(place, f"{name} of {role}", low, high, places, weak_if_loose)


def _averaged(
    place: Place, name: str, low: Fraction, high: Fraction, places: Sequence[Place], top: str
) -> TableFinding:
    digits = place.figure.decimals + 2
    reach = f"{written(low, digits)} to {written(high, digits)}" if low < high else written(low, digits)
    sentence = f"the classes leave a {name} of {reach}"
    for read, strength in ((rounded, top), (either, "weak")):
        span = read(place.figure)
        if low <= span.high and span.low <= high:
            if read is rounded:
                return holds(
                    "averages", strength, f"{sentence}, printed {place.figure.text}", places, expected=reach
                )
            return against(
                "averages",
                strength,
                f"{sentence}; the printed {place.figure.text} holds only if it was cut off or rounded twice",
                places,
                expected=reach,
            )
    return against(
        "averages", top, f"{sentence}, not the printed {place.figure.text}", places, expected=reach
    )


def _accuracy(
    place: Place, classes: Sequence[Class], counts: Sequence[Counts], everything: int, top: str
) -> Iterator[TableFinding]:
    places = [place, *(p for one in classes for p in (one.recall, one.precision))]
    least, most = sum(c.right[0] for c in counts), sum(c.right[1] for c in counts)
    sentence = f"the classes leave {_range((least, most))} right of {everything:,}"
    for read, strength in ((rounded, top), (either, "weak")):
        span = read(place.figure)
        first, last = (
            max(least, math.ceil(span.low * everything)),
            min(most, math.floor(span.high * everything)),
        )
        if first <= last:
            make = holds if read is rounded else against
            end = "" if read is rounded else " only if it was cut off or rounded twice"
            yield make(
                "accuracy",
                strength,
                f"{sentence}; the printed {place.figure.text} holds{end} ({_range((first, last))} right)",
                places,
            )
            break
    else:
        expected = " to ".join(
            dict.fromkeys(
                (
                    written(Fraction(least, everything), place.figure.decimals),
                    written(Fraction(most, everything), place.figure.decimals),
                )
            )
        )
        yield against(
            "accuracy",
            top,
            f"{sentence}, an accuracy of {expected} and not the printed {place.figure.text}",
            places,
            expected=expected,
        )
    low = sum(c.predicted[0] for c in counts)
    high = None if any(c.predicted[1] is None for c in counts) else sum(c.predicted[1] or 0 for c in counts)
    reach = _range((low, high))
    if low <= everything and (high is None or everything <= high):
        yield holds(
            "predictions",
            top,
            f"the classes leave {reach} predictions in all, for {everything:,} images",
            places,
            printed="",
        )
    else:
        yield against(
            "predictions",
            top,
            f"the classes leave {reach} predictions in all, but there are {everything:,} images, and each "
            f"has one",
            places,
            printed="",
        )


# Confusion matrices -----------------------------------------------------------------------------------


def matrix_order(read: ReadTable) -> list[int] | None:
    """The columns of a confusion matrix in the order of its rows; None for another table."""
    rows = len(read.table.rows)
    if rows < 2 or rows > 1000:
        return None
    labels = [normal(label) or label for label in read.labels]
    names = {normal(column.name) or column.name: column.index for column in read.columns if column.index > 0}
    if len(set(labels)) < rows or any(label not in names for label in labels):
        return None
    order = [names[label] for label in labels]
    cells = [row.cells[i] for row in read.table.rows for i in order]
    whole = all(
        c.kind == "figure" and c.figure and not c.figure.decimals and c.figure.digits >= 0 for c in cells
    )
    return order if whole and read.columns[0].role == LABEL else None


def _matrix(read: ReadTable, order: Sequence[int], reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """A confusion matrix against the report of its classes, with the truth in its rows or its columns."""
    table = [[read.cell(row, column).figure.digits for column in order] for row in range(len(order))]  # type: ignore[union-attr]
    total = sum(map(sum, table))
    reports = [
        (other, columns) for other in reads if other is not read and (columns := _columns(other)) is not None
    ]
    matched = False
    labels = [normal(label) or label for label in read.labels]
    for other, columns in reports:
        rows = {normal(label) or label: row for row, label in enumerate(other.labels)}
        if not set(labels) <= rows.keys():
            continue
        matched = True
        ways = {"rows": table, "columns": [list(column) for column in zip(*table, strict=True)]}
        results = {
            way: list(_compared(read, other, columns, [rows[label] for label in labels], counts, rows))
            for way, counts in ways.items()
        }
        way = min(results, key=lambda name: sum(f.verdict == "against" for f in results[name]))
        yield from results[way]
    if not matched:
        diagonal = sum(table[i][i] for i in range(len(order)))
        place = Place(read, 0, order[0])
        if total:
            yield not_checked(
                "confusion matrix",
                f"{read.table.label}: a confusion matrix of {total:,} images with {diagonal:,} right "
                f"(accuracy {written(Fraction(diagonal, total), 4)}); no report of its classes is in the "
                f"file to compare with",
                read.table.line,
                [place],
            )


def _compared(
    read: ReadTable,
    other: ReadTable,
    columns: dict[str, int],
    rows: Sequence[int],
    table: Sequence[Sequence[int]],
    labelled: dict[str, int],
) -> Iterator[TableFinding]:
    top = "strong"
    for i, row in enumerate(rows):
        right, truth, predicted = table[i][i], sum(table[i]), sum(line[i] for line in table)
        scores = {
            "precision": Fraction(right, predicted) if predicted else Fraction(0),
            "recall": Fraction(right, truth) if truth else Fraction(0),
            "f1": Fraction(2 * right, truth + predicted) if truth + predicted else Fraction(0),
            "n": Fraction(truth),
        }
        for role, column in columns.items():
            place = Place(other, row, column)
            if place.cell.kind == "figure":
                yield _equals(place, scores[role], f"{place.label}, {place.name}", top)
    total = sum(map(sum, table))
    if total and "accuracy" in labelled:
        place = Place(other, labelled["accuracy"], columns["f1"])
        if place.cell.kind == "figure":
            yield _equals(
                place, Fraction(sum(table[i][i] for i in range(len(table))), total), "accuracy", top
            )


def _equals(place: Place, value: Fraction, name: str, top: str) -> TableFinding:
    shown = written(value, place.figure.decimals + (2 if place.figure.decimals else 0))
    sentence = f"the confusion matrix gives {name}: {shown}"
    span, loose = rounded(place.figure), either(place.figure)
    if (span.low <= value <= span.high) if place.figure.decimals else value == place.figure.value:
        return holds(
            "confusion matrix", top, f"{sentence}, printed {place.figure.text}", [place], expected=shown
        )
    strength = "weak" if place.figure.decimals and loose.low <= value <= loose.high else top
    end = " (possible if it was cut off or rounded twice)" if strength == "weak" else ""
    return against(
        "confusion matrix",
        strength,
        f"{sentence}, not the printed {place.figure.text}{end}",
        [place],
        expected=shown,
    )
