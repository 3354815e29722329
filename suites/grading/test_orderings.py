"""The rules for orderings, and several recipes at once, recomputed by code of this file's own."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.grading import improvement, orderings
from bench.grading.orderings import (
    LEVEL,
    LOOKS,
    Side,
    adjusted,
    contrast,
    grade_chain,
    grade_ordering,
    grade_tie,
)
from bench.grading.spread import Spread
from reference.errors import InputError

SPREAD = Spread(sigma0=0.01, nu0=4, source="")
WIDE = 10.0
"""A margin that no seed is far off by."""


def side(name: str, figures: Sequence[float], broken: int = 0) -> Side:
    return Side(name=name, figures=tuple(figures), broken=broken)


def judged(first: Sequence[float], second: Sequence[float], sigma0: float, nu0: int) -> tuple[str, float]:
    """Moderated two-sample t of the last look, in plain Python."""
    reached = [look for look in (3, 5, 10) if look <= min(len(first), len(second))]
    if not reached:
        return "undecided", math.nan
    a, b = first[: reached[-1]], second[: reached[-1]]
    nu = nu0 + len(a) + len(b) - 2
    scatter = sum((x - statistics.fmean(g)) ** 2 for g in (a, b) for x in g)
    error = math.sqrt((nu0 * sigma0**2 + scatter) / nu * (1 / len(a) + 1 / len(b)))
    t = (statistics.fmean(a) - statistics.fmean(b)) / error
    p = 2 * stats.t(nu).sf(abs(t))
    return ("undecided" if p >= 0.015 else "as claimed" if t > 0 else "opposite"), float(p)


figures = st.lists(st.floats(0.5, 0.7), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(figures, figures, st.sampled_from([0.001, 0.01, 0.05]), st.integers(1, 18))
def test_an_ordering_is_a_moderated_two_sample_t(
    first: list[float], second: list[float], sigma0: float, nu0: int
) -> None:
    spread = Spread(sigma0=sigma0, nu0=nu0, source="")
    verdict = grade_ordering(side("b", first), side("a", second), spread=spread, margin=WIDE)
    grade, p = judged(first, second, sigma0, nu0)
    assume(math.isnan(p) or abs(p - 0.015) > 1e-9)
    assert verdict.grade == grade
    assert (verdict.p is None) is math.isnan(p)
    assert verdict.p is None or verdict.p == pytest.approx(p, rel=1e-6, abs=1e-12)


def test_without_a_prior_it_is_the_textbook_test() -> None:
    first, second = [0.71, 0.70, 0.72], [0.66, 0.65, 0.67]
    verdict = grade_ordering(
        side("b", first), side("a", second), spread=Spread(sigma0=0.0, nu0=0, source=""), margin=WIDE
    )
    assert verdict.p == pytest.approx(stats.ttest_ind(first, second).pvalue)
    interval = stats.ttest_ind(first, second).confidence_interval(0.95)
    assert verdict.interval == pytest.approx((interval.low, interval.high))


def test_a_change_of_a_billionth_changes_nothing() -> None:
    """Three equal differences were a sign test (p .25), and unequal by 1e-9 a t test (p 4e-19)."""
    spread = Spread(sigma0=0.1, nu0=4, source="")
    worse = side("a", [0.4, 0.3, 0.2])
    one = grade_ordering(side("b", [0.9, 0.8, 0.7]), worse, spread=spread, margin=WIDE)
    two = grade_ordering(side("b", [0.9, 0.8, 0.700000001]), worse, spread=spread, margin=WIDE)
    assert one.p == pytest.approx(two.p, rel=1e-6)
    assert one.grade == two.grade


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_never_decides_nor_do_two(seeds: int) -> None:
    verdict = grade_ordering(side("b", [0.9] * seeds), side("a", [0.1] * seeds), spread=SPREAD, margin=WIDE)
    assert (verdict.grade, verdict.p) == ("undecided", None)
    assert "first look is after 3" in verdict.sentence


def test_looks_are_planned() -> None:
    """Seeds between two looks wait, and none comes after the last."""
    assert (LOOKS, LEVEL) == ((3, 5, 10), 0.015)
    first, second = [0.7, 0.71, 0.69, 0.1], [0.6, 0.61, 0.59, 0.9]
    three = grade_ordering(side("b", first[:3]), side("a", second[:3]), spread=SPREAD, margin=WIDE)
    four = grade_ordering(side("b", first), side("a", second), spread=SPREAD, margin=WIDE)
    assert (four.p, four.k, "of 4 run" in four.sentence) == (three.p, 3, True)
    many = grade_ordering(side("b", [0.7, 0.71] * 6), side("a", [0.6, 0.61] * 6), spread=SPREAD, margin=WIDE)
    assert (many.k, "last look" in many.sentence) == (10, True)


def test_broken_and_far_off_seeds_void_an_ordering() -> None:
    good = side("a", [0.6, 0.61, 0.59, 0.6])
    assert (
        grade_ordering(side("b", [0.7] * 4, broken=1), good, spread=SPREAD, margin=0.025).grade
        == "as claimed"
    )
    for other in (
        side("b", [0.7] * 3, broken=2),
        side("b", [0.7, 0.7, 0.05]),
        side("b", [0.7, math.nan, math.nan]),
    ):
        verdict = grade_ordering(other, good, spread=SPREAD, margin=0.025)
        assert verdict.grade == "unstable", other


@given(figures, figures, st.floats(0.005, 0.1))
def test_a_tie_is_two_one_sided_tests(first: list[float], second: list[float], allowed: float) -> None:
    verdict = grade_tie(side("b", first), side("a", second), spread=SPREAD, margin=allowed)
    if verdict.grade == "unstable" or verdict.p is None:
        return
    k = max(look for look in LOOKS if look <= min(len(first), len(second)))
    low = judged([x + allowed for x in first[:k]], second[:k], 0.01, 4)[1]
    high = judged([x - allowed for x in first[:k]], second[:k], 0.01, 4)[1]
    gap = statistics.fmean(first[:k]) - statistics.fmean(second[:k])
    inside = abs(gap) < allowed
    tied = inside and max(low, high) / 2 < 0.015
    apart = not inside and (low if gap < 0 else high) < 0.015  # beyond the nearer bound
    assert verdict.grade == ("as claimed" if tied else "opposite" if apart else "undecided")


HIGH, MIDDLE, LOW = [0.71, 0.72, 0.715], [0.66, 0.65, 0.665], [0.60, 0.61, 0.59]


def test_a_chain_holds_where_every_link_does() -> None:
    sides = [side("b", HIGH), side("c", MIDDLE), side("a", LOW)]
    verdict = grade_chain(sides, spread=SPREAD, margin=0.025)
    links = [judged(HIGH, MIDDLE, 0.01, 4)[1], judged(MIDDLE, LOW, 0.01, 4)[1]]
    assert verdict.grade == "as claimed"
    assert verdict.p == pytest.approx(max(links))


def test_one_turned_pair_turns_a_chain_even_between_its_ends() -> None:
    ends = [
        side("a", [0.650, 0.655, 0.645]),
        side("b", [0.66, 0.665, 0.655]),
        side("c", [0.70, 0.705, 0.695]),
    ]
    verdict = grade_chain(ends, spread=SPREAD, margin=0.025)
    assert verdict.grade == "opposite"
    assert "adjusted for 3 pairs" in verdict.sentence
    near = [
        side(n, f)
        for n, f in zip("abc", ([0.65, 0.66, 0.655], [0.66, 0.655, 0.65], [0.657, 0.652, 0.65]), strict=True)
    ]
    assert grade_chain(near, spread=SPREAD, margin=0.025).grade == "undecided"


def test_a_chain_of_ties_and_too_short_a_chain() -> None:
    same = [side(name, [0.66, 0.661, 0.659]) for name in "abc"]
    tight = Spread(sigma0=0.001, nu0=4, source="")
    assert grade_chain(same, spread=tight, margin=0.025, rule=grade_tie).grade == "as claimed"
    with pytest.raises(InputError, match="two or more"):
        grade_chain(same[:1], spread=tight, margin=0.025)
    waiting = [side("a", HIGH), side("b", MIDDLE[:2]), side("c", LOW)]
    assert grade_chain(waiting, spread=SPREAD, margin=0.025).grade == "undecided"


def test_holm_over_the_report_takes_a_verdict_back() -> None:
    verdict = grade_ordering(side("b", HIGH), side("a", LOW), spread=SPREAD, margin=0.025)
    assert adjusted(verdict, 0.0149).grade == "as claimed"
    assert adjusted(verdict, 0.0151).grade == "undecided"
    assert "Holm" in adjusted(verdict, 0.2).sentence


# ---------------------------------------------------------------- weighted sums


def test_a_contrast_is_student_s_t_with_one_variance() -> None:
    found = contrast([HIGH, LOW], [1.0, -1.0])
    expected = stats.ttest_ind(HIGH, LOW)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.interval) == (
        pytest.approx(expected.pvalue),
        pytest.approx((interval.low, interval.high)),
    )
    square = contrast([HIGH, MIDDLE, LOW, LOW], [1, -1, -1, 1])
    groups = [HIGH, MIDDLE, LOW, LOW]
    sigma2 = sum(statistics.variance(g) * 2 for g in groups) / 8
    error = math.sqrt(sigma2 * 4 / 3)
    assert square.p == pytest.approx(2 * stats.t(8).sf(abs(square.mean) / error))
    assert contrast([[0.5], [0.4]], [1, -1]).interval is None
    with pytest.raises(ValueError, match="at least one"):
        contrast([[0.5], []], [1, -1])


# ---------------------------------------------------------------- several recipes at once


@given(figures, figures)
def test_the_probability_of_improvement_is_mann_whitney_s_u(first: list[float], second: list[float]) -> None:
    found = improvement.matrix({"x": first, "y": second}, draws=50)
    u = stats.mannwhitneyu(first, second).statistic
    assert found["x", "y"].probability == pytest.approx(u / (len(first) * len(second)))
    assert found["x", "y"].probability + found["y", "x"].probability == pytest.approx(1)


def test_its_bootstrap_is_that_of_all_draws() -> None:
    """Three runs each: all 27 × 27 draws are listed, and the interval is that of their shares."""
    first, second = [0.5, 0.6, 0.7], [0.45, 0.55, 0.65]

    def share(a: Sequence[float], b: Sequence[float]) -> float:
        return sum((x > y) + 0.5 * (x == y) for x in a for y in b) / 9

    every = [
        share(a, b) for a in itertools.product(first, repeat=3) for b in itertools.product(second, repeat=3)
    ]
    found = improvement.matrix({"x": first, "y": second}, draws=20_000)["x", "y"]
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(np.quantile(every, 0.025), abs=0.06)
    assert found.interval[1] == pytest.approx(np.quantile(every, 0.975), abs=0.06)


def test_two_runs_have_no_interval_and_undefined_ones_are_refused() -> None:
    found = improvement.matrix({"x": [0.5, 0.6], "y": [0.1, 0.2, 0.3], "z": []})
    assert found["x", "y"].interval is None
    assert improvement.told(found["x", "y"]) == "1.00"
    assert ("x", "z") not in found
    with pytest.raises(InputError, match="finite"):
        improvement.matrix({"x": [math.nan], "y": [0.1]})


def test_seeds_are_independent_so_the_order_of_figures_is_nothing() -> None:
    for order in itertools.permutations(LOW):
        verdict = grade_ordering(side("b", HIGH), side("a", order), spread=SPREAD, margin=0.025)
        assert verdict.p == pytest.approx(
            grade_ordering(side("b", HIGH), side("a", LOW), spread=SPREAD, margin=0.025).p
        )
    assert orderings.looked_at([side("b", HIGH), side("a", LOW)]) == 3
