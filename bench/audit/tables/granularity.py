"""GRIM and GRIMMER: means of whole numbers, and their standard deviations, take few values.

An accuracy on n images is k/n (``bench.audit.grim``); a mean of r runs on n images is k/(r·n). The standard
deviation of r whole numbers has a sum of squares that is whole, and as odd or even as their sum (Anaya 2016,
"The GRIMMER test"). Where the smallest and the largest run are printed, it lies between two bounds for any n.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from bench.audit import grim
from bench.audit.finding import listed
from bench.audit.stated import Interval
from bench.audit.tables.roles import ACCURACIES, ReadTable
from bench.audit.tables.scores import predictions
from bench.audit.tables.table_finding import (
    Place,
    TableFinding,
    against,
    count,
    holds,
    not_checked,
    possible,
    rounded,
    scaled,
)
from bench.claims.cells import Figure

MOST_N = 10**7
"""Images beyond which no printed accuracy is tried."""

MOST_SUMS = 400
"""Sums of runs that GRIMMER tries; where more are possible, some standard deviation always fits."""

FEW = 0.05
"""A check that more than one arbitrary value in twenty passes holds weakly."""

MOST_SHARES = 20
"""Numbers of images of a table for which shares are counted."""

EXACT_DIGITS = 10
"""Digits from which a quotient gives away its denominator."""

MOST_INFERRED = 100_000


def check_granularity(reads: Sequence[ReadTable]) -> Iterator[TableFinding]:
    """GRIM where the number of images is printed or given, GRIMMER where runs and deviations are too."""
    for read in reads:
        yield from _grim(read)
        yield from _inferred(read)
        yield from _deviations(read)


def _sizes(read: ReadTable, row: int, column: int) -> tuple[int | None, int | None, str]:
    """Images and runs behind a figure, and where that is from."""
    n, runs, why = read.columns[column].n, read.columns[column].runs, read.columns[column].n_why
    counts = [c for c in read.columns if c.role == "n"]
    if (
        n is None
        and len(counts) == 1
        and (size := read.cell(row, counts[0].index).figure)
        and not size.decimals
    ):
        n, why = size.digits, f"the column {counts[0].name!r}"
    of_runs = [c for c in read.columns if c.role == "runs"]
    if (
        runs is None
        and len(of_runs) == 1
        and (size := read.cell(row, of_runs[0].index).figure)
        and not size.decimals
    ):
        runs = size.digits
    return n, runs, why


# GRIM -------------------------------------------------------------------------------------------------


def _grim(read: ReadTable) -> Iterator[TableFinding]:
    if read.table.form == "classification report":
        return  # its recalls are judged together with all the rest
    free = []
    exact: dict[tuple[int, int, bool], float] = {}
    for row in range(len(read.table.rows)):
        for column in read.columns:
            place = Place(read, row, column.index)
            if column.role not in ACCURACIES or place.cell.kind != "figure" or not place.unit:
                continue
            n, runs, why = _sizes(read, row, column.index)
            if n is None or n < 1 or n > MOST_N or place.figure.digits < 0:
                continue
            percent = place.unit == "percent"
            if place.figure.value > (100 if percent else 1) or place.figure.decimals > 18:
                continue
            share = _share(n * (runs or 1), place.figure.decimals, percent, exact)
            if share >= 1:
                free.append((place, n * (runs or 1)))
            else:
                yield _whole(place, n, runs or 1, why, share)
    if free:
        place, n = free[0]
        yield not_checked(
            "GRIM",
            f"{count(len(free), 'figure')} not checked, as {n:,} images can give any value with so few "
            f"digits ({place.cell.text} in line {place.line})",
            place.line,
            [place],
        )


def _share(n: int, decimals: int, percent: bool, exact: dict[tuple[int, int, bool], float]) -> float:
    """The share of values with so many digits that some k/n prints as, at most; exact for the first few n."""
    loose = min(1.0, 2.0 * n / 10.0 ** (decimals + (2 if percent else 0)))
    if loose <= FEW or n > grim.MANY or decimals > 6:
        return loose
    if (n, decimals, percent) not in exact:
        if len(exact) >= MOST_SHARES:
            return loose
        exact[n, decimals, percent] = grim.share_of_counts(decimals, n, percent=percent)
    return exact[n, decimals, percent]


def _whole(place: Place, n: int, runs: int, why: str, share: float) -> TableFinding:
    """One accuracy: a whole number of its images, or by another reading, or not."""
    percent, value = place.unit == "percent", _digits(place.figure)
    images = f"{n:,} images" + (f" in {runs} runs" if runs > 1 else "") + f" ({why})"
    shown = f"{place.label}: {place.figure.text}{' %' if percent else ''} ({place.name})"
    if (counts := grim.counts(value, n * runs, percent=percent)) is not None:
        span = f"{counts.low:,}" if counts.low == counts.high else f"{counts.low:,} to {counts.high:,}"
        return holds(
            "GRIM",
            "strong" if share <= FEW else "weak",
            f"{shown} is {span} of {images}",
            [place],
            expected=f"k/{n * runs}",
        )
    near = listed(grim.nearest(value, n * runs, percent=percent))
    sentence = f"{shown} is no whole number of {images}; the nearest are {near}"
    if rounded_twice(place.figure, n * runs, percent=percent):
        return against(
            "GRIM", "weak", f"{sentence}; it is one if it was rounded twice", [place], expected=near
        )
    batches = [
        b
        for b in grim.USUAL_BATCHES
        if b < n and any(grim.batch_mean(value, n, b, percent=percent, cut=cut) for cut in (False, True))
    ]
    if batches and runs == 1:
        return against(
            "GRIM",
            "weak",
            f"{sentence}; it may be a mean over batches of {listed(batches[:3])}",
            [place],
            expected=near,
        )
    return against("GRIM", "strong", sentence, [place], expected=near)


def _digits(figure: Figure) -> str:
    """As ``grim`` takes it: a digit before the point, no sign."""
    text = figure.text.lstrip("+")
    return f"0{text}" if text.startswith(".") else text


def rounded_twice(figure: Figure, n: int, *, percent: bool) -> bool:
    """Whether some k/n prints so if it is rounded to one or two digits more, and then to the printed ones."""
    whole = 100 if percent else 1
    for more in (1, 2):
        fine = 10 ** (figure.decimals + more)
        # A fine value within half a coarse step prints so, and stands for half a fine step on either side.
        slack = figure.half_step + Fraction(1, 2 * fine)
        low, high = (figure.value - slack) / whole, (figure.value + slack) / whole
        if math.ceil(low * n) <= math.floor(high * n):
            return True
    return False


def _inferred(read: ReadTable) -> Iterator[TableFinding]:
    """Figures printed to the last digit of a float give away their denominator."""
    for column in read.columns:
        if column.role not in ACCURACIES or not column.unit or column.n is not None:
            continue
        places = [
            Place(read, row, column.index)
            for row in range(len(read.table.rows))
            if read.cell(row, column.index).kind == "figure"
        ]
        long = [
            p
            for p in places
            if p.figure.decimals >= EXACT_DIGITS and 0 < scaled(rounded(p.figure), p.unit).high < 1
        ]
        if len(long) < 2 or len(long) > 2000:
            continue
        quotients = [_quotient(place) for place in long]
        n = math.lcm(*(q.denominator for q in quotients if q is not None)) if any(quotients) else 0
        fitting = [p for p, q in zip(long, quotients, strict=True) if q is not None]
        if not 1 < n <= MOST_INFERRED or len(fitting) < 2:
            continue
        yield holds(
            "GRIM",
            "strong",
            f"{count(len(fitting), 'figure')} of {column.name!r} are whole numbers of n = {n:,} (or of a "
            f"multiple) to the last digit",
            fitting,
            printed="",
            expected=f"k/{n}",
        )
        if len(fitting) >= 4:
            for place, quotient in zip(long, quotients, strict=True):
                if quotient is None:
                    yield against(
                        "GRIM",
                        "strong",
                        f"{place.label}: {place.figure.text} is no whole number of the n = {n:,} that "
                        f"{len(fitting)} figures of its column are of",
                        [place],
                        expected=f"k/{n}",
                    )


def _quotient(place: Place) -> Fraction | None:
    """The fraction of a small denominator that is printed so to the last digit."""
    value = place.figure.value / (100 if place.unit == "percent" else 1)
    simple = value.limit_denominator(20_000)
    return (
        simple
        if abs(simple - value) <= 4 * max(Fraction(1, 10**place.figure.decimals), Fraction(1, 10**16))
        else None
    )


# Standard deviations ----------------------------------------------------------------------------------


class PrintedSpread(NamedTuple):
    """A mean and its standard deviation as printed, and which of the two deviations is meant."""

    mean: Place
    sd: Figure
    sd_place: Place


def _spreads(read: ReadTable) -> Iterator[PrintedSpread]:
    """Figures with ± next to them, or with a column of deviations behind them."""
    for row in range(len(read.table.rows)):
        for column in read.numeric():
            place = Place(read, row, column.index)
            cell = place.cell
            if cell.kind != "figure":
                continue
            if cell.notation == "±" and cell.second:
                yield PrintedSpread(place, cell.second, place)
            elif column.index + 1 < len(read.columns) and read.columns[column.index + 1].role == "sd":
                beside = Place(read, row, column.index + 1)
                if beside.cell.kind == "figure":
                    yield PrintedSpread(place, beside.figure, beside)


def _deviations(read: ReadTable) -> Iterator[TableFinding]:
    extremes: dict[Place, tuple[Place, Place]] = {}
    if any(c.role == "min" for c in read.columns) and any(c.role == "max" for c in read.columns):
        for scores in predictions(read):
            if {"min", "max", "mean"} <= scores.keys():
                extremes[scores["mean"]] = scores["min"], scores["max"]
    without = []
    for spread in _spreads(read):
        n, runs, _ = _sizes(read, spread.mean.row, spread.mean.column)
        low_high = extremes.get(spread.mean)
        if runs is None or runs < 2:
            without.append(spread)
            continue
        if low_high and (outside := _between_extremes(spread, *low_high, runs, n)):
            yield outside
        if n is not None and read.columns[spread.mean.column].role in ACCURACIES and spread.mean.unit:
            yield _grimmer(spread, n, runs)
        elif not low_high:
            without.append(spread)
    if without:
        first = without[0]
        yield not_checked(
            "GRIMMER",
            f"{count(len(without), 'standard deviation')} not checked, as the number of runs or of images "
            f"is not"
            f" printed (--runs, --n); the first is {first.sd.text} in line {first.mean.line}",
            first.mean.line,
            [first.mean],
        )


_KINDS = ("population SD", "sample SD")


def _between_extremes(
    spread: PrintedSpread, smallest: Place, largest: Place, runs: int, n: int | None
) -> TableFinding | None:
    """r figures with this mean, smallest and largest value have a deviation between two bounds."""
    name = "standard deviation"
    places = [spread.sd_place, spread.mean, smallest, largest]
    sentence = (
        f"{spread.mean.label}: {runs} runs from {smallest.figure.text} to {largest.figure.text} with the mean"
        f" {spread.mean.figure.text}"
    )
    printed = spread.sd.text
    reach = ""
    for read in (rounded, possible):
        ends = [read(smallest.figure), read(largest.figure)]
        if n is not None and spread.mean.unit:
            ends = [_whole_images(end, n, spread.mean.unit) for end in ends]
        squares = square_span(
            ends[0],
            ends[1],
            read(spread.mean.figure),
            runs,
            n if spread.mean.unit == "fraction" else n and Fraction(n, 100),
        )
        if squares is None:
            continue
        spans = [
            tuple(math.sqrt(max(end, Fraction(0)) / divisor) for end in squares)
            for divisor in (runs, runs - 1)
        ]
        sd = read(spread.sd)
        fitting = [
            kind
            for kind, span in zip(_KINDS, spans, strict=True)
            if span[0] <= float(sd.high) and float(sd.low) <= span[1]
        ]
        digits = spread.sd.decimals + 1
        reach = reach or " or ".join(
            f"{a:.{digits}f} to {b:.{digits}f} ({kind})" for kind, (a, b) in zip(_KINDS, spans, strict=True)
        )
        if fitting and read is rounded:
            return holds(
                name,
                "strong",
                f"{sentence} have a deviation of {reach};"
                f" {printed} is possible as {' and as '.join(fitting)}",
                places,
                printed=printed,
            )
        if fitting:
            return against(
                name,
                "weak",
                f"{sentence} have a deviation of {reach};"
                f" {printed} is possible only if something was cut off",
                places,
                printed=printed,
                expected=reach,
            )
    if not reach:
        low, high, mean = (possible(place.figure) for place in (smallest, largest, spread.mean))
        if mean.high < low.low or mean.low > high.high:
            return None  # the order of the three says it already
        return against(
            name, "strong", f"{sentence}: no {runs} values have all three", places, printed=printed
        )
    return against(
        name,
        "strong",
        f"{sentence} have a deviation of {reach}, not {printed}",
        places,
        printed=printed,
        expected=reach,
    )


def _whole_images(span: Interval, n: int, unit: str) -> Interval:
    """The interval shrunk to whole numbers of n images; as it is where it contains none."""
    whole = 100 if unit == "percent" else 1
    low, high = math.ceil(span.low / whole * n), math.floor(span.high / whole * n)
    return Interval(Fraction(low * whole, n), Fraction(high * whole, n)) if low <= high else span


def square_span(
    low: Interval, high: Interval, mean: Interval, runs: int, images: Fraction | int | None = None
) -> tuple[Fraction, Fraction] | None:
    """Bounds of the sum of squared deviations of ``runs`` ≥ 2 values, given their smallest, largest and mean.

    None where no such values exist. The least has the ends as near as they can be and all others equal, as
    near to their middle as the mean allows. The most is attained at the ends for three values, and bounded by
    runs·(high − mean)(mean − low) (Bhatia and Davis 2000) for more.

    Args:
        images: how many images a unit of the figures is; all figures are whole numbers of them.
    """
    if low.low > high.high:
        return None
    rest = runs - 2
    if not rest:
        if mean.high < (low.low + high.low) / 2 or mean.low > (low.high + high.high) / 2:
            return None
        return max(high.low - low.high, Fraction(0)) ** 2 / 2, (high.high - low.low) ** 2 / 2
    # What the others average, given the two ends and the mean.
    others = Interval(
        max((runs * mean.low - low.high - high.high) / rest, low.low),
        min((runs * mean.high - low.low - high.low) / rest, high.high),
    )
    if rest == 1 and images:
        others = Interval(
            Fraction(math.ceil(others.low * images)) / images,
            Fraction(math.floor(others.high * images)) / images,
        )
    if others.low > others.high:
        return None
    a, b = (low.high, high.low) if low.high < high.low else ((low.high + high.low) / 2,) * 2
    u = min(max((a + b) / 2, others.low), others.high)
    least = _squares([a, b], u, rest)
    if rest == 1:
        ends = [(x, y, z) for x in low for y in high for z in others]
        return least, max(_squares([x, y], z, 1) for x, y, z in ends)
    a, b = low.low, high.high
    m = min(max((a + b) / 2, mean.low), mean.high)
    return least, max(runs * (b - m) * (m - a), least)


def _squares(values: Sequence[Fraction], other: Fraction, times: int) -> Fraction:
    """The sum of squared deviations of some values and of another one that occurs so many times."""
    n = len(values) + times
    total = sum(values, Fraction(0)) + times * other
    return sum((v * v for v in values), Fraction(0)) + times * other * other - total * total / n


def _grimmer(spread: PrintedSpread, n: int, runs: int) -> TableFinding:
    """Whether whole numbers of images have the printed mean and deviation over the runs."""
    place = spread.mean
    sentence = f"{place.label}: {place.figure.text} ± {spread.sd.text} over {runs} runs of {n:,} images"
    places = [spread.sd_place, place] if spread.sd_place != place else [place]
    for read, verdict in ((rounded, holds), (possible, against)):
        mean, deviation = (scaled(read(figure), place.unit) for figure in (place.figure, spread.sd))
        kinds = zip(_KINDS, (False, True), strict=True)
        fitting = [
            kind for kind, sample in kinds if possible_deviation(mean, deviation, n, runs, sample=sample)
        ]
        if fitting:
            end = "" if read is rounded else ", only if something was cut off"
            return verdict(
                "GRIMMER",
                "weak",
                f"{sentence} is possible as {' and as '.join(fitting)}{end}",
                places,
                printed=spread.sd.text,
            )
    return against(
        "GRIMMER",
        "strong",
        f"{sentence}: no whole numbers of images have that mean and that deviation",
        places,
        printed=spread.sd.text,
    )


def possible_deviation(mean: Interval, deviation: Interval, n: int, runs: int, *, sample: bool) -> bool:
    """Whether ``runs`` whole numbers from 0 to n can have this mean and deviation (both as shares of n).

    All whole sums of the runs are tried. The sum of squares must be whole, as odd or even as the sum, no less
    than that of equal runs, and no more than that of runs with all images right or none. Two runs are exact.
    """
    first, last = (
        math.ceil(max(mean.low, Fraction(0)) * n * runs),
        math.floor(min(mean.high, Fraction(1)) * n * runs),
    )
    if last - first >= MOST_SUMS:
        return True
    divisor = runs - 1 if sample else runs
    low, high = (max(end, Fraction(0)) * n for end in (deviation.low, deviation.high))
    for total in range(first, last + 1):
        least = math.ceil(
            max(Fraction(total * total, runs) + divisor * low * low, Fraction(_least_squares(total, runs)))
        )
        most = math.floor(Fraction(total * total, runs) + divisor * high * high)
        most = min(most, _most_squares(total, n))
        least += (least - total) % 2
        if least > most:
            continue
        if runs > 2 or any(
            math.isqrt(2 * q - total * total) ** 2 == 2 * q - total * total
            for q in range(least, min(most, least + 4000) + 1, 2)
        ):
            return True
    return False


def _most_squares(total: int, n: int) -> int:
    """The sum of squares of whole numbers up to n that are as unequal as they can be."""
    full, rest = divmod(total, n)
    return full * n * n + rest * rest


def _least_squares(total: int, runs: int) -> int:
    """The sum of squares of whole numbers that are as equal as they can be."""
    part, over = divmod(total, runs)
    return over * (part + 1) ** 2 + (runs - over) * part**2
