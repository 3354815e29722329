"""GRIM: no honest figure is flagged, arbitrary ones are as often as arithmetic says."""

from __future__ import annotations

import math
import random
import struct
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.audit import grim

R1 = {
    "0.2438423645320197": 99,
    "0.5172413793103449": 210,
    "0.4482758620689655": 182,
    "0.22413793103448276": 91,
    "0.29802955665024633": 121,
    "0.5394088669950738": 219,
}
REACHABLE = [("0.7808", 2500, False), ("0.785600", 2500, False), ("0.5271", 406, False)]
REACHABLE += [(value, 406, True) for value in ("62.1", "61.3", "63.5", "14.5")]
UNREACHABLE = [(value, 406, False) for value in ("0.5527", "0.5505", "0.2422", "0.2084")]
UNREACHABLE += [("26.0", 406, True), ("47.9", 406, True), ("0.6515", 2500, False), ("0.8981", 2500, False)]

fractions = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(("value", "k"), R1.items())
def test_full_precision_fractions_are_found_exactly(value: str, k: int) -> None:
    assert grim.counts(value, 406) == grim.ImageCounts(k, k, exact=True)


@pytest.mark.parametrize(("value", "n", "percent"), REACHABLE)
def test_figures_that_pass(value: str, n: int, percent: bool) -> None:
    assert grim.counts(value, n, percent=percent) is not None


@pytest.mark.parametrize(("value", "n", "percent"), UNREACHABLE)
def test_figures_that_do_not(value: str, n: int, percent: bool) -> None:
    assert grim.counts(value, n, percent=percent) is None


REFUSED_FALSELY = [
    # int(k/n*100*10**d)/10**d, which loses a step in floats
    ("67.7239", 50000, True, 33862),
    ("2.199", 2500, True, 55),
    ("4.399", 2500, True, 110),
    # repr(round(k/n, d)*100)
    ("3.6999999999999997", 406, True, 15),
    ("3.6900000000000004", 406, True, 15),
    # a running mean of float32 batch accuracies, printed in full
    ("0.8497536960493755", 406, False, 345),
    ("0.6354679788274719", 406, False, 258),
    ("0.5123152718168175", 406, False, 208),
]


@pytest.mark.parametrize(("value", "n", "percent", "k"), REFUSED_FALSELY)
def test_what_code_makes_of_a_count_passes(value: str, n: int, percent: bool, k: int) -> None:
    assert grim.counts(value, n, percent=percent) == grim.ImageCounts(k, k)


def test_a_cut_in_floats_alone_passes_nothing_where_every_second_figure_would_be_one() -> None:
    """79.67 % of 5,000: two steps an image; the reading excuses the figure, but does not clear it."""
    assert grim.counts("79.67", 5000, percent=True) is None
    assert grim.cut_by_floats("79.67", 5000, percent=True) == 3984
    assert math.floor(3984 / 5000 * 100 * 10**2) / 10**2 == 79.67


@pytest.mark.parametrize("value", ["90.950", "90.444", "90.207"])
def test_rounding_twice_excuses_and_does_not_clear(value: str) -> None:
    assert grim.counts(value, 46_837, percent=True) is None
    assert grim.rounded_twice(value, 46_837, percent=True)


@given(st.integers(2, 2000), st.data())
def test_rounding_twice_is_found_by_doing_it(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    exact = Decimal(100 * k) / Decimal(n)
    once = exact.quantize(Decimal("0.001"), ROUND_HALF_UP)
    twice = once.quantize(Decimal("0.01"), ROUND_HALF_UP)
    assert grim.rounded_twice(str(twice), n, percent=True)


# Honest figures ---------------------------------------------------------------------------------------


def test_a_hundred_thousand_real_counts_are_never_flagged() -> None:
    draw = random.Random(0)
    for _ in range(100_000):
        n = draw.choice((draw.randint(1, 1000), draw.randint(1, 10**6)))
        k, digits, percent, cut = (
            draw.randint(0, n),
            draw.randint(0, 17),
            draw.random() < 0.5,
            draw.random() < 0.5,
        )
        steps = 10 ** (digits + 2 * percent)
        at = k * steps // n if cut else (2 * k * steps + n) // (2 * n)
        whole, part = divmod(at, 10**digits)
        value = f"{whole}.{part:0{digits}d}" if digits else str(whole)
        found = grim.counts(value, n, percent=percent)
        assert found is not None, (value, k, n, percent, cut)
        assert found.low <= k <= found.high, (value, k, n, percent, cut)


@given(
    fractions,
    st.integers(0, 17),
    st.booleans(),
    st.sampled_from([ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN]),
)
def test_decimals_of_real_counts_are_never_flagged(
    fraction: tuple[int, int], digits: int, percent: bool, rounding: str
) -> None:
    k, n = fraction
    exact = Context(prec=60).divide(Decimal(k * (100 if percent else 1)), Decimal(n))
    value = format(exact.quantize(Decimal(1).scaleb(-digits), rounding), "f")
    found = grim.counts(value, n, percent=percent)
    assert found is not None
    assert found.low <= k <= found.high


@given(fractions, st.integers(0, 17), st.booleans(), st.integers(0, 5))
def test_what_floats_make_of_real_counts_is_never_flagged(
    fraction: tuple[int, int], digits: int, percent: bool, way: int
) -> None:
    k, n = fraction
    scale = 100 if percent else 1
    single = struct.unpack("f", struct.pack("f", struct.unpack("f", struct.pack("f", k / n))[0] * scale))[0]
    printed = [
        repr(k / n * scale),
        repr(scale * k / n),
        f"{scale * (1 - (n - k) / n):.{digits}f}",
        f"{scale * k / n:.{digits}f}",
        f"{single:.{digits}f}",
        # floor(29/100 * 100) is 28: a truncation in floats loses a step.
        format(Decimal(math.floor(k / n * 10**digits * scale)).scaleb(-digits), "f"),
    ][way]
    if "e" in printed:  # 1e-06: no report prints an accuracy so
        return
    passes = grim.counts(printed, n, percent=percent) is not None
    assert passes or (way == 5 and grim.cut_by_floats(printed, n, percent=percent) is not None)


# Arbitrary figures ------------------------------------------------------------------------------------


def _printable(n: int, steps: int) -> set[int]:
    """Every step that some k/n is printed as, by the definition of the two roundings."""
    printed = set()
    for k in range(n + 1):
        exact = Fraction(k * steps, n)
        half = exact + Fraction(1, 2)
        printed |= {math.floor(exact), math.floor(half), math.ceil(half) - 1}
    return printed


def test_arbitrary_values_pass_as_often_as_arithmetic_says() -> None:
    printable = _printable(406, 10_000)
    passed = {at for at in range(10_001) if grim.counts(f"{at // 10_000}.{at % 10_000:04d}", 406) is not None}
    assert passed == printable
    assert grim.share_of_counts(4, 406) == len(printable) / 10_001
    draw = random.Random(1)
    values = [f"{draw.random():.4f}" for _ in range(20_000)]
    flagged = sum(grim.counts(value, 406) is None for value in values) / len(values)
    # Five standard errors of a share of 20,000 draws.
    assert abs(flagged - (1 - len(printable) / 10_001)) < 5 * math.sqrt(0.06 * 0.94 / 20_000)


@pytest.mark.parametrize(
    ("n", "digits", "percent"), [(7, 2, False), (406, 1, True), (99, 2, False), (3, 0, True)]
)
def test_share_of_counts(n: int, digits: int, percent: bool) -> None:
    steps = 10 ** (digits + 2 * percent)
    assert grim.share_of_counts(digits, n, percent=percent) == len(_printable(n, steps)) / (steps + 1)


def test_share_of_many_images_is_estimated_well() -> None:
    share = grim.share_of_counts(6, 60_000)
    # 60,001 rounded values and half as many again cut off, of a million; three standard errors.
    assert abs(share - 0.09) < 3 * math.sqrt(0.09 * 0.91 / grim.SAMPLES)
    assert grim.share_of_counts(4, 10_000) == 1.0


def test_nearest_possible_values() -> None:
    assert grim.nearest("0.5527", 406) == ("0.5517", "0.5542")
    assert grim.nearest("26.0", 406, percent=True) == ("25.9", "26.1")
    assert grim.nearest("1", 3) == ("1",)


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.000", "0.5"])
def test_round_values(value: str) -> None:
    found = grim.counts(value, 10)
    assert found is not None
    assert not found.exact


def test_no_images_is_no_accuracy() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        grim.counts("0.5", 0)


# Means over batches -----------------------------------------------------------------------------------


def _batch_means(n: int, batch: int) -> set[Fraction]:
    sizes = [batch] * (n // batch) + ([n % batch] if n % batch else [])
    means = {Fraction(0)}
    for size in sizes:
        means = {mean + Fraction(k, size * len(sizes)) for mean in means for k in range(size + 1)}
    return means


@given(st.integers(1, 14), st.integers(1, 9), st.integers(0, 3), st.booleans(), st.booleans())
def test_batch_means_against_enumeration(n: int, batch: int, digits: int, percent: bool, cut: bool) -> None:
    steps = 10 ** (digits + 2 * percent)
    printable = set()
    for mean in _batch_means(n, batch):
        half = mean * steps + Fraction(1, 2)
        printable |= {math.floor(mean * steps)} if cut else {math.floor(half), math.ceil(half) - 1}
    for at in range(0, steps + 1, max(1, steps // 200)):
        whole, part = divmod(at, 10**digits)
        value = f"{whole}.{part:0{digits}d}" if digits else str(whole)
        assert grim.batch_mean(value, n, batch, percent=percent, cut=cut) == (at in printable)


def test_batch_means_of_the_reports() -> None:
    r3 = ("0.5271", "0.5527", "0.5505", "0.2422", "0.2084")
    r5 = ("62.1", "61.3", "63.5", "26.0", "47.9")
    assert [v for v in r3 if grim.batch_mean(v, 406, 64)] == ["0.5505", "0.2084"]
    assert all(grim.batch_mean(v, 406, 64, cut=True) for v in r3)
    assert grim.batch_mean("0.6515", 2500, 128)
    assert not grim.batch_mean("0.8981", 2500, 32)
    assert not grim.batch_mean("0.8981", 2500, 32, cut=True)
    for batch in grim.USUAL_BATCHES:
        assert all(grim.batch_mean(value, 406, batch, percent=True) for value in r5)


def test_about_half_of_arbitrary_values_are_batch_means() -> None:
    every = [f"0.{at:04d}" for at in range(10_000)]
    for cut in (False, True):
        true = sum(grim.batch_mean(value, 406, 64, cut=cut) for value in every) / len(every)
        # Four standard errors of the estimate's 1,000 values.
        assert abs(grim.share_of_batch_means(4, 406, 64, cut=cut) - true) < 4 * math.sqrt(0.25 / grim.SAMPLES)
        assert 0.4 < true < 0.55
