"""Verdicts on what is computed, on processes and on ratios of times."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bench.grading.deterministic import grade_exact, grade_process, grade_ratio
from reference.errors import InputError


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("25560808", 25_560_808),
        ("0.50", 0.5),
        (".1", 0.1),
        (0.1, 0.1),
        (7, 7.0),
        ("Conv2d(3, 64)", "Conv2d(3, 64)"),
        (["1", "2"], (1, 2)),
        ({"kernel": "3", "bias": False}, {"bias": False, "kernel": 3}),
        (None, None),
        ([], []),
        (Decimal("1.10"), 1.1),
        ("512", np.int64(512)),
    ],
)
def test_equal_matches(printed: object, found: object) -> None:
    assert grade_exact(printed, found).grade == "matches"


@pytest.mark.parametrize(
    ("printed", "found", "named"),
    [
        ("25560808", 25_557_032, "computed: 25557032"),
        ("0.1", 0.1 + 2**-54, "computed: 0.10000000000000006"),
        ("0.50", "0.5", "stated: 0.50"),
        ("relu", 1, "stated: relu"),
        (1, True, "computed: True"),
        ("1", True, "computed: True"),
        (None, 0, "computed: 0"),
        ("nan", math.nan, "computed: nan"),
        ("sNaN", 1, "computed: 1"),
        ([1, 2, 3], [1, 5, 4], "computed: 5 at [1]"),
        ([1, 2], [1, 2, 3], "stated: 2 elements; computed: 3"),
        ([1, 2, 3], [1, 2], "stated: 3 elements; computed: 2"),
        ([{"k": 3}, {"k": 4}], [{"k": 3}, {"k": 5}], "at [1]['k']"),
        ({"k": 3, "s": 1}, {"k": 3}, "only stated: s"),
        ({"k": 3}, {"k": 3, "s": 1}, "only computed: s"),
        ("12", [1, 2], "computed: [1, 2]"),
        ([1], 1, "computed: 1"),
    ],
)
def test_the_first_difference_is_named(printed: object, found: object, named: str) -> None:
    verdict = grade_exact(printed, found)
    assert verdict.grade == "differs"
    assert named in verdict.sentence


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_equals_its_own_repr(value: float) -> None:
    assert grade_exact(repr(value), value).grade == "matches"
    other = math.nextafter(value, math.inf)
    assume(math.isfinite(other))
    assert grade_exact(repr(value), other).grade == ("matches" if value == other else "differs")


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize(
    ("judgements", "grade"),
    [
        ([True], "undecided"),
        ([True, True], "undecided"),
        ([True, True, True], "seen"),
        ([True, True, True, None], "seen"),
        ([True, True, None], "undecided"),
        ([True, True, False], "undecided"),
        ([True, False, False], "not seen"),
        ([False, False, False], "not seen"),
        ([False, None, None], "undecided"),
        ([None, None, None], "undecided"),
        ([True, True, True, None, None, None], "undecided"),
    ],
)
def test_processes(judgements: list[bool | None], grade: str) -> None:
    for order in itertools.permutations(judgements):
        verdict = grade_process(order)
        assert verdict.grade == grade
        assert verdict.k == sum(judgement is not None for judgement in judgements)


@pytest.mark.parametrize(
    ("seeds", "broken", "grade"), [(4, 1, "seen"), (3, 1, "unstable"), (0, 2, "unstable")]
)
def test_more_than_one_broken_seed_of_five_voids_a_process(seeds: int, broken: int, grade: str) -> None:
    assert grade_process([True] * seeds, broken=broken).grade == grade


def test_a_process_without_runs_is_refused() -> None:
    with pytest.raises(InputError, match="not tested"):
        grade_process([])


# ---------------------------------------------------------------- ratios of times


@given(
    st.lists(st.floats(0.5, 2), min_size=3, max_size=6),
    st.lists(st.floats(0.05, 0.2), min_size=3, max_size=6),
    st.floats(1, 40),
)
def test_a_ratio_is_welch_s_t_on_logarithms(slower: list[float], faster: list[float], least: float) -> None:
    first, second = np.log(slower), np.log(faster)
    assume(first.std() > 1e-6 and second.std() > 1e-6)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    verdict = grade_ratio(slower, faster, least=least)
    assert verdict.interval == pytest.approx((math.exp(interval.low), math.exp(interval.high)), rel=1e-6)
    wanted = "seen" if math.exp(interval.low) >= least else "undecided"
    wanted = "not seen" if math.exp(interval.high) < least else wanted
    assert verdict.grade == wanted


def test_two_times_decide_no_ratio_and_bad_ones_are_refused() -> None:
    assert grade_ratio([9.0, 9.0], [0.1, 0.1], least=10).grade == "undecided"
    assert grade_ratio([2.0] * 3, [0.1] * 3, least=10).grade == "seen"
    assert grade_ratio([0.5] * 3, [0.1] * 3, least=10).grade == "not seen"
    for slower, least in (([0.0] * 3, 10.0), ([1.0] * 3, 0.0)):
        with pytest.raises(ValueError, match="positive"):
            grade_ratio(slower, [0.1] * 3, least=least)
