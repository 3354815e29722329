"""Scores of one prediction against each other: bounds, top-1 and top-5, extremes, precision, recall and F1.

A row whose columns are metrics is one prediction; where the metrics stand in the rows, a column is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from bench.audit import bounds
from bench.audit.stated import Interval
from bench.audit.tables.means import harmonic
from bench.audit.tables.roles import LABEL, ROLES, VALUE, ReadTable, normal, role_of_name
from bench.audit.tables.table_finding import (
    Place,
    TableFinding,
    against,
    count,
    holds,
    possible,
    rounded,
    scaled,
    written,
)
from bench.claims.cells import Figure

BOUNDED = (
    "accuracy",
    "top1",
    "top5",
    "error",
    "top1_error",
    "top5_error",
    "pixel_accuracy",
    "mean_accuracy",
    "miou",
    "fwiou",
    "mdice",
    "ap",
    "ap50",
    "ap75",
    "precision",
    "recall",
    "f1",
)
"""Roles whose figures lie between 0 and 1, or 0 and 100 %."""


class Order(NamedTuple):
    """``smaller`` is at most ``larger`` for every prediction; why."""

    smaller: str
    larger: str
    why: str


ORDERS = (
    Order("top1", "top5", "a right first guess is among the first five"),
    Order("accuracy", "top5", "a right first guess is among the first five"),
    Order("top5_error", "top1_error", "a right first guess is among the first five"),
    Order("top5_error", "error", "a right first guess is among the first five"),
    Order("ap", "ap50", "a box that meets a strict threshold meets a loose one"),
    Order("ap75", "ap50", "a box that meets a strict threshold meets a loose one"),
    Order("min", "mean", "no mean is below the smallest value"),
    Order("mean", "max", "no mean is above the largest value"),
    Order("min", "median", "no median is below the smallest value"),
    Order("median", "max", "no median is above the largest value"),
    Order("min", "max", "the smallest value is at most the largest"),
)

_AT = re.compile(r"(r|recall|top|hits?|acc|accuracy|pass|rank|cmc)(?: rank)? ?@? ?(\d{1,4})")
_SCOPE = re.compile(
    r"\b(val|test|train|validation|macro|micro|weighted|box|bbox|mask|ss|ms|clean|seen|unseen|small|large)\b",
    re.I,
)


def check_scores(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """All checks of scores against scores."""
    for read in reads:
        yield from _ranges(read)
        yield from _intervals(read)
        if read.table.form == "classification report":
            continue
        for scores in predictions(read):
            yield from _bounds(scores)
            yield from _orders(scores)
            yield from _complements(scores)
            yield from _f1(scores)
        yield from _growing(read)


def predictions(read: ReadTable) -> Iterator[dict[str, Place]]:
    """Yield each prediction's figures by role: a row, or a column where metrics stand in the rows."""
    by_scope: dict[str, dict[str, list[int]]] = {}
    for column in read.columns:
        if column.role in (LABEL, VALUE, "aside"):
            continue
        by_scope.setdefault(_scope(column.name), {}).setdefault(column.role, []).append(column.index)
    for roles in by_scope.values():
        single = {role: columns[0] for role, columns in roles.items() if len(columns) == 1}
        if len(single) < 2 and not (single.keys() & {"min", "max"}):
            continue
        for row in range(len(read.table.rows)):
            places = {role: Place(read, row, column) for role, column in single.items()}
            yield _with_mean(read, row, _figures(places))
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(read.labels):
        if (role := read.row_roles[row]) not in (
            VALUE,
            "aside",
            "aside_count",
            "n",
            "overall",
            "harmonic",
            "delta",
        ):
            rows.setdefault(f"{_scope(label)}|{role}", []).append(row)
    unique = {key: matching_rows[0] for key, matching_rows in rows.items() if len(matching_rows) == 1}
    for scope in dict.fromkeys(key.partition("|")[0] for key in unique):
        of_scope = {
            key.partition("|")[2]: row for key, row in unique.items() if key.partition("|")[0] == scope
        }
        if len(of_scope) < 2:
            continue
        for column in read.columns:
            if column.role == VALUE:
                yield _figures({role: Place(read, row, column.index) for role, row in of_scope.items()})


def _figures(places: Mapping[str, Place]) -> dict[str, Place]:
    return {role: place for role, place in places.items() if place.cell.kind == "figure"}


def _scope(name: str) -> str:
    """What must be the same in two names for their figures to be of one prediction."""
    prefix = name.rpartition(" / ")[0].lower()
    return f"{prefix} {' '.join(sorted(word.lower() for word in _SCOPE.findall(normal(name))))}".strip()


def _with_mean(read: ReadTable, row: int, places: dict[str, Place]) -> dict[str, Place]:
    """Next to a minimum or maximum, the one figure that they are of is the mean."""
    if not places.keys() & {"min", "max"} or "mean" in places:
        return places
    results = [
        Place(read, row, c.index)
        for c in read.columns
        if c.role
        not in (LABEL, "aside", "n", "runs", "min", "max", "sd", "median", "delta", "share", "total")
        and read.cell(row, c.index).kind == "figure"
    ]
    spread = [place for place in results if place.cell.notation in ("±", "()")]
    mean = spread if len(spread) == 1 else results if len(results) == 1 else []
    return places | {"mean": mean[0]} if mean else places


@lru_cache(maxsize=1 << 14)
def _scaled(figure: Figure, unit: str) -> Interval:
    return scaled(possible(figure), unit)


def _span(place: Place) -> Interval:
    return _scaled(place.figure, place.unit)


# Each check -------------------------------------------------------------------------------------------


def _bounds(scores: dict[str, Place]) -> Iterator[TableFinding]:
    """The inequalities of ``bench.audit.bounds``, which know segmentation scores."""
    if (
        "pixel_accuracy" not in scores
        and "accuracy" in scores
        and scores.keys() & {"miou", "fwiou", "mean_accuracy"}
    ):
        scores = scores | {"pixel_accuracy": scores["accuracy"]}
    present = {
        metric: place
        for metric, place in scores.items()
        if any(metric in (b.smaller, b.larger) for b in bounds.BOUNDS)
    }
    if len(present) < 2 or len({bool(place.unit) for place in present.values()}) > 1:
        return
    spans = {metric: _span(place) for metric, place in present.items()}
    if any(span.low > 1 or span.high < 0 for span in spans.values()):
        return
    broken = bounds.broken(spans)
    for bound in bounds.BOUNDS:
        if bound.smaller not in present or bound.larger not in present:
            continue
        smaller, larger = present[bound.smaller], present[bound.larger]
        pair = f"{smaller.cell.text} ({_called(smaller)}) and {larger.cell.text} ({_called(larger)})"
        if bound in broken:
            yield against(
                "bounds",
                "strong",
                f"{_of(smaller)}{pair} break {bound.sentence}, which holds for every prediction",
                [smaller, larger],
                expected=bound.sentence,
            )
        else:
            yield holds(
                "bounds",
                "weak",
                f"{_of(smaller)}{pair} keep {bound.sentence}",
                [smaller, larger],
                expected=bound.sentence,
            )


def _orders(scores: dict[str, Place]) -> Iterator[TableFinding]:
    for order in ORDERS:
        if order.smaller not in scores or order.larger not in scores:
            continue
        if order.smaller == "accuracy" and "top1" in scores:
            continue
        if (order.smaller, order.larger) == ("min", "max") and "mean" in scores:
            continue  # follows from the two orders around the mean
        yield _ordered(
            scores[order.smaller], scores[order.larger], order.why, order.smaller in ("min", "mean", "median")
        )


def _ordered(smaller: Place, larger: Place, why: str, extremes: bool) -> TableFinding:
    name = "extremes" if extremes else "order of scores"
    pair = f"{_called(smaller)} {smaller.figure.text} and {_called(larger)} {larger.figure.text}"
    if smaller.unit and larger.unit and smaller.unit != larger.unit:
        return holds(
            name,
            "weak",
            f"{_of(smaller)}{pair} are in different units and are not compared",
            [smaller, larger],
        )
    if _exceeds(smaller.figure, larger.figure):
        return against(
            name,
            "strong",
            f"{_of(smaller)}{pair} cannot be of one set of figures: {why}",
            [smaller, larger],
            expected=f"at most {larger.figure.text}",
        )
    return holds(name, "weak", f"{_of(smaller)}{pair}: {why}", [smaller, larger])


def _exceeds(smaller: Figure, larger: Figure) -> bool:
    """Whether the first is above the second however both were rounded."""
    if smaller.decimals == larger.decimals and smaller.digits <= larger.digits:
        return False
    return possible(smaller).low > possible(larger).high


def _complements(scores: dict[str, Place]) -> Iterator[TableFinding]:
    """An accuracy and its error add up to one."""
    for right, wrong in (
        ("accuracy", "error"),
        ("top1", "top1_error"),
        ("top5", "top5_error"),
        ("top1", "error"),
    ):
        if (
            right not in scores
            or wrong not in scores
            or scores[right].unit != scores[wrong].unit
            or not scores[right].unit
        ):
            continue
        a, b = scores[right], scores[wrong]
        whole = 100 if a.unit == "percent" else 1
        total = possible(a.figure) + possible(b.figure)
        sentence = (
            f"{_of(a)}{a.figure.text} ({_called(a)}) and {b.figure.text} ({_called(b)}) add up to "
            f"{written(a.figure.value + b.figure.value, max(a.figure.decimals, b.figure.decimals))}"
        )
        if total.low <= whole <= total.high:
            yield holds("complement", "strong", sentence, [a, b], expected=str(whole))
        else:
            yield against("complement", "strong", f"{sentence}, not {whole}", [a, b], expected=str(whole))


def _f1(scores: dict[str, Place]) -> list[TableFinding]:
    """F1 is the harmonic mean of precision and recall; a mean of F1s over classes or runs is at most that."""
    if not {"precision", "recall", "f1"} <= scores.keys():
        return []
    p, r, f = scores["precision"], scores["recall"], scores["f1"]
    if len({p.unit, r.unit, f.unit}) > 1:
        return []
    middle = harmonic(p.figure.value, r.figure.value)
    sentence = (
        f"{_of(f)}precision {p.figure.text} and recall {r.figure.text} have the harmonic mean "
        f"{written(middle, f.figure.decimals + 1)}"
    )
    places = [f, p, r]
    if f.figure.value > middle and not _reaches(p, r, f, rounded):
        strength = "weak" if _reaches(p, r, f, possible) else "strong"
        innocent = "; the F1 holds only if precision or recall was cut off" if strength == "weak" else ""
        return [
            against(
                "precision, recall, F1",
                strength,
                f"{sentence}, which no F1 exceeds, averaged or not; printed {f.figure.text}{innocent}",
                places,
                expected=written(middle, f.figure.decimals),
            )
        ]
    least = harmonic(*(max(possible(place.figure).low, Fraction(0)) for place in (p, r)))
    if least <= possible(f.figure).high:
        return [holds("precision, recall, F1", "strong", f"{sentence}, printed {f.figure.text}", places)]
    return [
        holds(
            "precision, recall, F1",
            "weak",
            f"{sentence}; the printed {f.figure.text} lies below, as a mean over classes or runs may",
            places,
        )
    ]


def _reaches(p: Place, r: Place, f: Place, read: Callable[[Figure], Interval]) -> bool:
    """Whether the largest precision and recall that print so reach the least F1."""
    return harmonic(read(p.figure).high, read(r.figure).high) >= read(f.figure).low


def _ranges(read: ReadTable) -> Iterator[TableFinding]:
    """No share is below 0 or above 100 %; a column mixes no fractions with percentages."""
    within = 0
    for column in read.columns:
        if column.role not in BOUNDED:
            continue
        places = [
            Place(read, row, column.index)
            for row in range(len(read.table.rows))
            if read.cell(row, column.index).kind == "figure"
        ]
        outside = [p for p in places if p.figure.digits < 0 or p.figure.value > 100]
        small = [p for p in places if p.figure.value <= 1]
        if len(outside) * 3 > len(places):
            continue  # a change, or a score on another scale
        for place in outside:
            yield against(
                "range",
                "strong",
                f"{_of(place)}{place.figure.text} is no {ROLES[column.role].title}: it lies outside 0 to "
                f"100 %",
                [place],
                expected="0 to 100 %",
            )
        if (
            len(small) >= 3
            and 4 * len(small) >= 3 * len(places)
            and len(small) < len(places)
            and any(p.figure.decimals for p in small)
        ):
            for place in places:
                if place.figure.value > 1 and place not in outside and not place.cell.percent:
                    yield against(
                        "range",
                        "weak",
                        f"{_of(place)}{place.figure.text} stands in a column of fractions; a percentage, "
                        f"or a point lost",
                        [place],
                        expected="0 to 1",
                    )
        within += len(places) - len(outside)
    if within:
        place = Place(read, 0, 0)
        yield holds(
            "range",
            "weak",
            f"{count(within, 'score')} of {read.table.label}: between 0 and 100 %",
            [place],
            printed="",
        )


def _intervals(read: ReadTable) -> Iterator[TableFinding]:
    """A figure lies in the interval that stands next to it."""
    for row in range(len(read.table.rows)):
        for column in range(len(read.columns)):
            cell = read.cell(row, column)
            if cell.notation != "[]" or not cell.figure or not cell.second or not cell.third:
                continue
            place = Place(read, row, column)
            if (
                possible(cell.second).low <= possible(cell.figure).high
                and possible(cell.figure).low <= possible(cell.third).high
            ):
                yield holds(
                    "interval", "strong", f"{_of(place)}{cell.text}: the figure lies in its interval", [place]
                )
            else:
                yield against(
                    "interval",
                    "strong",
                    f"{_of(place)}{cell.text}: the figure lies outside its interval",
                    [place],
                )


def _growing(read: ReadTable) -> Iterator[TableFinding]:
    """Recall@k, top-k accuracy, pass@k do not fall with k."""
    by_metric: dict[tuple[str, str], dict[int, int]] = {}
    for column in read.columns:
        if (match := _AT.fullmatch(normal(column.name.rpartition(" / ")[2]))) and column.role not in (
            LABEL,
            "aside",
            "top1",
            "top5",
        ):
            by_metric.setdefault((match[1], _scope(column.name)), {})[int(match[2])] = column.index
    for columns in by_metric.values():
        ks = sorted(columns)
        for k, larger in pairwise(ks):
            for row in range(len(read.table.rows)):
                one, other = Place(read, row, columns[k]), Place(read, row, columns[larger])
                if one.cell.kind == other.cell.kind == "figure":
                    yield _ordered(
                        one, other, f"what is among the first {k} is among the first {larger}", False
                    )


def _of(place: Place) -> str:
    """``resnet18: ``, or the column's name where the metrics stand in the rows."""
    if role_of_name(place.label) != VALUE and len(place.read.numeric()) > 1:
        return f"{place.name}: "
    return "" if role_of_name(place.label) != VALUE else f"{place.label}: "


def _called(place: Place) -> str:
    return (
        place.label
        if place.read.columns[place.column].role == VALUE and role_of_name(place.label) != VALUE
        else place.name
    )
