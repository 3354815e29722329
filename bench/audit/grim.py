"""GRIM: can a printed accuracy be a whole number of correct images, or a mean of per-batch accuracies?

An accuracy on n images is k/n, so that few of its digits are free (Brown and Heathers 2017, "The GRIM
test"). Everything here is integers: a printed value with S steps from 0 to 1 stands for an interval of
fractions, and the question is whether a possible one lies in it. Nobody prints how they rounded, so both
readings are tried: rounded (a tie either way) and cut off.

Digits beyond what a float holds are the float's, not the fraction's: a value is also k/n where it is what
float64 or float32 makes of k/n.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

USUAL_BATCHES = (8, 16, 32, 64, 128, 256)
"""Batch sizes to try where none is stated."""

SAMPLES = 1000
"""Values that a share is estimated from where there are more; its standard error is 1.6 % at most."""

LAST_DIGITS = 10**12
"""From so many steps on, cutting off works on the last bits of a float and may err by a step."""

STEPS_AN_IMAGE = 10
"""Steps that an image needs for a float's cut to count: ``int(k/n*100*10**d)/10**d`` loses a step for many k,
and with two steps an image every other impossible figure would pass for one of these."""

FULL_DIGITS = 12
"""Significant digits from which a figure is a float printed in full."""

SINGLE = 2.0**-22
"""What a running mean in float32 may be off by, relative to 1."""

MANY = 50_000
"""Images beyond which shares are estimated."""

_GOLDEN = 0.6180339887498949


class ImageCounts(NamedTuple):
    """The k for which k/n can be printed so, from ``low`` to ``high``.

    ``exact``: every digit is that of the one quotient k/n as a float64 prints it.
    """

    low: int
    high: int
    exact: bool = False


def steps(value: str, *, percent: bool) -> tuple[int, int]:
    """(V, S): the printed value is V of the S steps that its digits divide 0…1 into."""
    whole, _, digits = value.partition(".")
    return int(whole + digits), 10 ** (len(digits) + (2 if percent else 0))


def counts(value: str, n: int, *, percent: bool = False) -> ImageCounts | None:
    """Return the numbers of correct images, out of n, that give a printed accuracy; None if none does.

    Args:
        value: digit for digit as printed, such as ``"0.7808"``; its digits are the precision.
        percent: the value is in percent.

    >>> counts("0.7808", 2500)
    ImageCounts(low=1952, high=1952, exact=False)
    >>> counts("0.40512", 100) is None
    True
    """
    if n < 1:
        raise ValueError(f"n is {n}; an accuracy has at least one image")
    step, of = steps(value, percent=percent)
    rounded = max(0, -(-n * (2 * step - 1) // (2 * of))), min(n, n * (2 * step + 1) // (2 * of))
    cut = max(0, -(-n * step // of)), min(n, -(-n * (step + 1) // of) - 1)
    ranges = [span for span in (rounded, cut) if span[0] <= span[1]]
    if not ranges:
        k = _held_by_a_float(value, n, percent)
        if k is None and of >= STEPS_AN_IMAGE * n:
            k = cut_by_floats(value, n, percent=percent)
        return None if k is None else ImageCounts(k, k, _is_quotient(value, k, n, percent))
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return ImageCounts(low, high, low == high and _is_quotient(value, low, n, percent))


def batch_mean(value: str, n: int, batch: int, *, percent: bool = False, cut: bool = False) -> bool:
    """Whether a mean of per-batch accuracies over n images can be printed so.

    With a last batch of r < batch images that is (a/batch + b/r)/m for whole a and b: its images weigh
    more than the others. ``cut``: the value is cut off instead of rounded.
    """
    full, rest = divmod(n, batch)
    if not full or not rest:
        return reached(value, n, percent=percent, cut=cut)
    step, of = steps(value, percent=percent)
    low, high = (2 * step, 2 * step + 2) if cut else (2 * step - 1, 2 * step + 1)
    # (a/batch + b/rest)/m in [low, high]/2of, times everything below the bars; a cut value excludes high.
    scale = batch * (full + 1) * rest
    bottom = 2 * of * rest
    for b in range(rest + 1):
        used = b * batch * 2 * of
        first, last = -((used - low * scale) // bottom), (high * scale - used) // bottom
        if cut and last * bottom == high * scale - used:
            last -= 1
        if max(first, 0) <= min(last, full * batch):
            return True
    return False


def reached(value: str, n: int, *, percent: bool = False, cut: bool = False) -> bool:
    """Whether some k/n is printed so by one of the two ways alone."""
    step, of = steps(value, percent=percent)
    if cut:
        return max(0, -(-n * step // of)) <= min(n, -(-n * (step + 1) // of) - 1)
    return max(0, -(-n * (2 * step - 1) // (2 * of))) <= min(n, n * (2 * step + 1) // (2 * of))


def nearest(value: str, n: int, *, percent: bool = False) -> tuple[str, ...]:
    """The accuracies on n images next below and above, printed with as many digits."""
    step, of = steps(value, percent=percent)
    below = n * step // of
    digits = len(value.partition(".")[2])
    return tuple(_written((2 * k * of + n) // (2 * n), digits) for k in (below, below + 1) if 0 <= k <= n)


@cache
def share_of_counts(digits: int, n: int, *, percent: bool = False) -> float:
    """The share of all values with so many decimal digits that some k/n is printed as."""
    of: int = 10 ** (digits + (2 if percent else 0))
    if n >= of:
        return 1.0
    if n > MANY:
        return share(lambda value: counts(value, n, percent=percent) is not None, digits, percent=percent)
    printed = set()
    for k in range(n + 1):
        floor, left = divmod(k * of, n)
        printed |= {floor, floor + (2 * left >= n)}
    return len(printed) / (of + 1)


@cache
def share_of_batch_means(
    digits: int, n: int, batch: int, *, percent: bool = False, cut: bool = False
) -> float:
    """The share of all values with so many decimal digits that ``batch_mean`` accepts."""
    return share(lambda value: batch_mean(value, n, batch, percent=percent, cut=cut), digits, percent=percent)


def share(accepts: Callable[[str], bool], digits: int, *, percent: bool = False) -> float:
    """The share of values from 0 to 1 that are accepted: of all, or of ``SAMPLES`` evenly scattered ones."""
    of: int = 10 ** (digits + (2 if percent else 0))
    if of < SAMPLES:
        chosen = range(of + 1)
        return sum(accepts(_written(k, digits)) for k in chosen) / len(chosen)
    # Multiples of the golden ratio: even, and in step with no n, as a fixed stride might be.
    scattered = (int(of * (i * _GOLDEN % 1.0)) for i in range(1, SAMPLES + 1))
    return sum(accepts(_written(k, digits)) for k in scattered) / SAMPLES


def _written(k: int, digits: int) -> str:
    whole, part = divmod(k, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)


def cut_by_floats(value: str, n: int, *, percent: bool = False) -> int | None:
    """The k whose k/n, scaled in float64 and cut off, loses a step and is printed so; None if there is none.

    55/2500 is 2.2 %, and ``int(55/2500 * 100 * 10**3) / 10**3`` is 2.199.
    """
    step, of = steps(value, percent=percent)
    digits = len(value.partition(".")[2])
    above, left = divmod((step + 1) * n, of)
    if left or above > n:
        return None
    scale = 100.0 if percent else 1.0
    share, ten = above / n, 10**digits
    products = (
        share * of,
        share * ten * scale,
        share * scale * ten,
        scale * share * ten,
        above * scale / n * ten,
    )
    return above if any(math.floor(product) == step for product in products) else None


def rounded_twice(value: str, n: int, *, percent: bool = False) -> bool:
    """Whether some k/n, rounded to one digit more and then to the printed ones, is printed so."""
    step, of = steps(value, percent=percent)
    # x/of with x within 0.55 of the printed step: what the first rounding may have carried to its half
    low, high = 20 * step - 11, 20 * step + 11
    return -(-n * low // (20 * of)) <= min(n, n * high // (20 * of))


def _held_by_a_float(value: str, n: int, percent: bool) -> int | None:
    """The k whose k/n, computed in floats, is printed so although the exact k/n is not."""
    of = steps(value, percent=percent)[1]
    digits = len(value.partition(".")[2])
    scale = 100.0 if percent else 1.0
    printed = float(value)
    k = round(printed / scale * n)
    if not 0 <= k <= n:
        return None
    full = len(value.lstrip("0.").replace(".", "")) >= FULL_DIGITS
    if full and percent and _rounded_then_scaled(value, n):
        return k
    single = struct.unpack("f", struct.pack("f", printed))[0]
    # Two roundings of a float32 (quotient, then percent); of a float64 also those of 1 - error.
    slack = 2.0**-22 * printed if f"{single:.{digits}f}" == value else 2.0**-51 * scale
    if full and 2 * n * SINGLE <= 0.05:  # a mean kept in float32 over batches, as long as that excludes much
        slack = max(slack, SINGLE * scale)
    step = scale / of if of >= LAST_DIGITS else 0.5 * scale / of
    return k if abs(printed - scale * k / n) <= slack + step else None


def _rounded_then_scaled(value: str, n: int) -> bool:
    """Whether ``repr(round(k/n, d) * 100)`` is the value: 0.037 becomes 3.6999999999999997."""
    for digits in range(1, 9):
        rounded = round(float(value) / 100, digits)
        if repr(rounded * 100) == value and reached(f"{rounded:.{digits}f}", n):
            return True
    return False


def _is_quotient(value: str, k: int, n: int, percent: bool) -> bool:
    if len(value.lstrip("0.").replace(".", "")) < 10:
        return False  # 0.5 is a quotient of many
    return value in ({repr(100 * k / n), repr(k / n * 100)} if percent else {repr(k / n)})
