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

MANY = 50_000
"""Images beyond which shares are estimated."""

_GOLDEN = 0.6180339887498949


class Counts(NamedTuple):
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


def counts(value: str, n: int, *, percent: bool = False) -> Counts | None:
    """The numbers of correct images, of n, that a printed accuracy can stand for; None if there is none.

    Args:
        value: digit for digit as printed, such as ``"0.7808"``; its digits are the precision.
        percent: the value is in percent.
    """
    if n < 1:
        raise ValueError(f"n is {n}; an accuracy has at least one image")
    at, of = steps(value, percent=percent)
    rounded = max(0, -(-n * (2 * at - 1) // (2 * of))), min(n, n * (2 * at + 1) // (2 * of))
    cut = max(0, -(-n * at // of)), min(n, -(-n * (at + 1) // of) - 1)
    ranges = [span for span in (rounded, cut) if span[0] <= span[1]]
    if not ranges:
        k = _held_by_a_float(value, n, percent)
        return None if k is None else Counts(k, k, _is_quotient(value, k, n, percent))
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return Counts(low, high, low == high and _is_quotient(value, low, n, percent))


def batch_mean(value: str, n: int, batch: int, *, percent: bool = False, cut: bool = False) -> bool:
    """Whether a mean of per-batch accuracies over n images can be printed so.

    With a last batch of r < batch images that is (a/batch + b/r)/m for whole a and b: its images weigh
    more than the others. ``cut``: the value is cut off instead of rounded.
    """
    full, rest = divmod(n, batch)
    if not full or not rest:
        return reached(value, n, percent=percent, cut=cut)
    at, of = steps(value, percent=percent)
    low, high = (2 * at, 2 * at + 2) if cut else (2 * at - 1, 2 * at + 1)
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
    at, of = steps(value, percent=percent)
    if cut:
        return max(0, -(-n * at // of)) <= min(n, -(-n * (at + 1) // of) - 1)
    return max(0, -(-n * (2 * at - 1) // (2 * of))) <= min(n, n * (2 * at + 1) // (2 * of))


def nearest(value: str, n: int, *, percent: bool = False) -> tuple[str, ...]:
    """The accuracies on n images next below and above, printed with as many digits."""
    at, of = steps(value, percent=percent)
    below = n * at // of
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
        return sum(accepts(_written(at, digits)) for at in chosen) / len(chosen)
    # Multiples of the golden ratio: even, and in step with no n, as a fixed stride might be.
    scattered = (int(of * (i * _GOLDEN % 1.0)) for i in range(1, SAMPLES + 1))
    return sum(accepts(_written(at, digits)) for at in scattered) / SAMPLES


def _written(at: int, digits: int) -> str:
    whole, part = divmod(at, 10**digits)
    return f"{whole}.{part:0{digits}d}" if digits else str(whole)


def _held_by_a_float(value: str, n: int, percent: bool) -> int | None:
    """The k whose k/n, computed in floats, is printed so although the exact k/n is not."""
    at, of = steps(value, percent=percent)
    digits = len(value.partition(".")[2])
    scale = 100.0 if percent else 1.0
    above, left = divmod((at + 1) * n, of)
    # Cut off by floor(k/n * S): 29/100 * 100 is 28.999999999999996.
    if not left and above <= n and math.floor(min(above / n * of, above / n * 10**digits * scale)) == at:
        return above
    printed = float(value)
    k = round(printed / scale * n)
    if not 0 <= k <= n:
        return None
    single = struct.unpack("f", struct.pack("f", printed))[0]
    # Two roundings of a float32 (quotient, then percent); of a float64 also those of 1 - error.
    slack = 2.0**-22 * printed if f"{single:.{digits}f}" == value else 2.0**-51 * scale
    step = scale / of if of >= LAST_DIGITS else 0.5 * scale / of
    return k if abs(printed - scale * k / n) <= slack + step else None


def _is_quotient(value: str, k: int, n: int, percent: bool) -> bool:
    if len(value.lstrip("0.").replace(".", "")) < 10:
        return False  # 0.5 is a quotient of many
    return value in ({repr(100 * k / n), repr(k / n * 100)} if percent else {repr(k / n)})
