"""Tests and intervals that verdicts use, against scipy and statsmodels' figures."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.grading.statistics import (
    accuracy_interval,
    bootstrap_miou,
    holm,
    mcnemar_exact,
    resolvable_difference,
    two_proportion_z,
)
from reference.errors import InputError

# scipy.stats and scipy.special reach the same quantiles by different code; both keep about 1e-10.
CLOSE = pytest.approx


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


# ---------------------------------------------------------------- several p-values


def test_holm_as_statsmodels() -> None:
    # statsmodels 0.15 multipletests(method="holm")
    assert holm([0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.9]) == CLOSE([0.06, 0.16, 0.15, 0.035, 0.4, 0.16, 0.9])
    assert holm([0.001, 0.5, 0.9, 0.7]) == CLOSE([0.004, 1.0, 1.0, 1.0])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.5))
def test_holm_rejects_what_its_steps_reject(p_values: list[float], alpha: float) -> None:
    adjusted = holm(p_values)
    rejected = 0
    for step, p in enumerate(sorted(p_values)):
        if p * (len(p_values) - step) > alpha:
            break
        rejected += 1
    assert sum(value <= alpha for value in adjusted) == rejected
    assert all(high >= low for high, low in zip(adjusted, p_values, strict=True))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_p(wrong: float) -> None:
    with pytest.raises(ValueError, match="0…1"):
        holm([0.5, wrong])


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    # statsmodels 0.15 mcnemar(exact=True)
    [
        (5, 12, 0.143463134765625),
        (12, 5, 0.143463134765625),
        (0, 0, 1.0),
        (7, 7, 1.0),
        (0, 6, 0.03125),
        (30, 61, 0.0015165131944572209),
        (1, 0, 1.0),
        (121, 96, 0.10304600517656178),
    ],
)
def test_mcnemar_as_statsmodels(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, rel=1e-9)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="not negative"):
        mcnemar_exact(-1, 3)


# ---------------------------------------------------------------- spread of one evaluation


@given(st.integers(1, 3000), st.data())
def test_accuracy_interval_is_clopper_pearson(images: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, images))
    low, high = accuracy_interval(correct, images)
    oracle = stats.binomtest(correct, images).proportion_ci(0.95, method="exact")
    # binomtest solves for the bounds by bisection to about 1e-9; ours is the closed form.
    assert low == pytest.approx(oracle.low, abs=1e-7)
    assert high == pytest.approx(oracle.high, abs=1e-7)
    wide = accuracy_interval(correct, images, confidence=0.99)
    assert wide[0] <= low <= correct / images <= high <= wide[1]


@pytest.mark.parametrize(
    ("correct", "images", "expected"),
    # statsmodels 0.15 proportion_confint(method="beta")
    [
        (99, 406, (0.20284158229250976, 0.2886222181004212)),
        (219, 406, (0.48955624581937063, 0.5886830167461791)),
        (0, 406, (0.0, 0.009044757834594196)),
        (406, 406, (0.9909552421654058, 1.0)),
        (1964, 2500, (0.7689825295719955, 0.8015457316624819)),
        (1, 10, (0.0025285785444617848, 0.4450161170281953)),
    ],
)
def test_accuracy_interval_as_statsmodels(correct: int, images: int, expected: tuple[float, float]) -> None:
    assert accuracy_interval(correct, images) == (CLOSE(expected[0]), CLOSE(expected[1]))


@pytest.mark.parametrize(("correct", "images"), [(-1, 10), (11, 10), (0, 0)])
def test_impossible_accuracies_are_refused(correct: int, images: int) -> None:
    with pytest.raises(InputError, match="correct <= images"):
        accuracy_interval(correct, images)


def random_confusions(images: int, classes: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    confusions = generator.integers(0, 30, (images, classes, classes))
    easy = generator.integers(0, 200, (images, classes))
    confusions[:, range(classes), range(classes)] += easy
    return confusions


def pooled_miou(confusions: np.ndarray, classes: list[int]) -> float:
    pooled = confusions.sum(axis=0)
    union = pooled.sum(axis=0) + pooled.sum(axis=1) - np.diagonal(pooled)
    return float((np.diagonal(pooled) / union)[classes].mean())


def test_bootstrap_as_scipy() -> None:
    confusions, classes = random_confusions(40, 7, seed=3), [0, 1, 2, 3, 4, 5]
    ours = bootstrap_miou(confusions, classes, seed=0, draws=20_000)
    oracle = stats.bootstrap(
        (np.arange(40),),
        lambda drawn: pooled_miou(confusions[drawn], classes),
        method="percentile",
        n_resamples=4_000,
        vectorized=False,
        rng=np.random.default_rng(1),
    )
    interval = oracle.confidence_interval
    # A 2.5 % quantile of 4,000 draws has a standard error of about 0.04 of the interval's half width
    # (density of a normal at 1.96); four of those.
    allowance = 4 * 0.04 * (interval.high - interval.low) / 2
    assert ours[0] == pytest.approx(interval.low, abs=allowance)
    assert ours[1] == pytest.approx(interval.high, abs=allowance)


def test_bootstrap_of_three_images_by_enumeration() -> None:
    confusions, classes = random_confusions(3, 3, seed=5), [0, 1]
    scores = [
        pooled_miou(confusions[list(drawn)], classes) for drawn in itertools.product(range(3), repeat=3)
    ]
    # All 27 resamples are equally likely; the extremes have probability 1/27 = 3.7 % > 2.5 %.
    assert bootstrap_miou(confusions, classes, seed=0) == (near(min(scores)), near(max(scores)))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_bootstrap_properties(images: int, seed: int) -> None:
    confusions, classes = random_confusions(images, 4, seed) + 1, [0, 2]
    low, high = bootstrap_miou(confusions, classes, seed=seed, draws=200)
    assert 0 <= low <= high <= 1
    assert bootstrap_miou(confusions, classes, seed=seed, draws=200) == (low, high)
    assert bootstrap_miou(confusions.swapaxes(1, 2), classes, seed=seed, draws=200) == (low, high)
    if images == 1:
        assert (low, high) == (near(pooled_miou(confusions, classes)),) * 2


def test_bootstrap_leaves_out_draws_that_miss_a_class() -> None:
    # Class 1 is in the second image only, perfectly found: every draw with a score has the same one.
    confusions = np.zeros((2, 2, 2), dtype=np.int64)
    confusions[0, 0, 0] = confusions[1, 1, 1] = 10
    assert bootstrap_miou(confusions, [0, 1], seed=0) == (1.0, 1.0)
    with pytest.raises(InputError, match="holds all of classes"):
        bootstrap_miou(confusions[:1], [0, 1], seed=0)


@pytest.mark.parametrize("shape", [(7, 7), (3, 7, 6), (0, 7, 7)])
def test_bootstrap_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected \\(images, C, C\\)"):
        bootstrap_miou(np.ones(shape, dtype=np.int64), [0], seed=0)


@pytest.mark.parametrize(
    ("p_a", "p_b", "z"),
    # E > D (R1), D > E (R3), E > D (R5), B > C (R1), B > A (R3), C > B and A > B (R5), to printed figures.
    [
        (121 / 406, 91 / 406, 2.4),
        (0.2422, 0.2084, 1.15),
        (0.479, 0.260, 6.6),
        (210 / 406, 182 / 406, 1.97),
        (0.5527, 0.5271, 0.73),
        (0.635, 0.613, 0.65),
        (0.621, 0.613, 0.23),
    ],
)
def test_orderings_that_one_split_can_tell(p_a: float, p_b: float, z: float) -> None:
    # Half of the last printed digit.
    assert two_proportion_z(p_a, p_b, 406, 406) == pytest.approx(z, abs=0.05 if z in (2.4, 6.6) else 0.005)
    assert two_proportion_z(p_b, p_a, 406, 406) == -two_proportion_z(p_a, p_b, 406, 406)


def test_two_proportions_as_statsmodels() -> None:
    # statsmodels 0.15 test_proportions_2indep(121, 406, 91, 406, method="wald")
    assert two_proportion_z(121 / 406, 91 / 406, 406, 406) == near(2.405456979018694)
    assert two_proportion_z(210 / 406, 182 / 406, 406, 406) == near(1.9710828151335589)


def test_two_proportions_without_variance() -> None:
    assert two_proportion_z(1.0, 1.0, 10, 20) == 0
    assert two_proportion_z(1.0, 0.0, 10, 10) == math.inf
    assert two_proportion_z(0.0, 1.0, 10, 10) == -math.inf


@given(st.integers(10, 10_000), st.floats(0.05, 0.95))
def test_a_resolvable_difference_is_just_significant(n: int, p: float) -> None:
    difference = resolvable_difference(n, p)
    spread = stats.norm(scale=math.sqrt(p * (1 - p) / n + p * (1 - p) / n))
    assert 2 * spread.sf(difference) == pytest.approx(0.05, rel=1e-6)
