"""How long one training takes beside another: decided only when the whole interval lies on one side."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from bench.grading.timing_ratio import grade_timing
from reference.errors import InputError

SECONDS = st.lists(st.floats(0.1, 1e4), min_size=3, max_size=6)


@pytest.mark.parametrize(
    ("longer", "grade"),
    [
        ([110.0, 112.0, 111.0], "directional"),
        ([60.0, 61.0, 62.0], "reversed"),
        ([60.0, 100.0, 150.0], "inconclusive"),
        ([60.0, 61.0], "inconclusive"),
    ],
)
def test_the_interval_decides(longer: list[float], grade: str) -> None:
    verdict = grade_timing(longer, [10.0, 10.1, 9.9], 10)
    assert verdict.grade == grade
    assert "runs" in verdict.sentence


def test_runs_that_all_take_the_same_time_are_decided() -> None:
    assert grade_timing([100.0] * 3, [10.0] * 3, 10).grade in ("directional", "reversed")
    assert grade_timing([99.0] * 3, [10.0] * 3, 10).grade == "reversed"


@given(SECONDS, SECONDS)
def test_the_interval_is_scipys_on_logarithms(longer: list[float], shorter: list[float]) -> None:
    """Welch's test rejects a factor exactly where the factor lies outside the interval."""
    logs = np.log(longer), np.log(shorter)
    if max(np.ptp(logs[0]), np.ptp(logs[1])) < 1e-6:
        return
    interval = ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    low, high = math.exp(interval.low), math.exp(interval.high)
    for factor, expected in ((low * 0.999, "directional"), (high * 1.001, "reversed")):
        assert grade_timing(longer, shorter, factor).grade == expected
    if high / low > 1.01:
        assert grade_timing(longer, shorter, math.sqrt(low * high)).grade == "inconclusive"


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="expected positive"):
        grade_timing([1.0, 0.0, 1.0], [1.0] * 3, 10)
