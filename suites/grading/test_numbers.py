"""The rule for numbers, its spread and its margins, recomputed by code of this file's own."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.grading import numbers
from bench.grading.numbers import (
    decimals,
    from_seeds,
    grade_gain,
    grade_number,
    outlook,
    printed_value,
    rounding_halfwidth,
)
from bench.grading.orderings import Side, grade_ordering
from bench.grading.seeds import instability
from bench.grading.spread import Spread, expected_spread, fit_spread, formula_sigma, margin, pooled_sigma
from bench.grading.statistics import accuracy_interval, resolvable_difference
from bench.grading.verdict import (
    EXCEEDED_ASSUMING,
    GRADES,
    NOT_REACHED,
    NOT_TESTED_REASONS,
    ON_PUBLIC,
    Unit,
    Verdict,
    not_tested,
)
from reference.errors import InputError

MIOU = Spread(sigma0=0.01, nu0=4, source="the usual spread of an IoU")
OPEN = ("compatible", "undecided")


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def test_a_verdict_takes_known_words_only() -> None:
    with pytest.raises(ValueError, match="no grade 'fine'"):
        Verdict(grade="fine", sentence="")
    with pytest.raises(InputError, match="expected one of data"):
        not_tested("weather")
    assert not_tested("data", "nothing lies there").sentence.endswith("nothing lies there")


# ---------------------------------------------------------------- the printed value


@pytest.mark.parametrize(
    ("printed", "unit", "places", "value", "delta"),
    [
        ("0.785600", "fraction", 6, 0.7856, 5e-7),
        ("0.677", "fraction", 3, 0.677, 5e-4),
        ("62.1", "percent", 1, 0.621, 5e-4),
        ("60", "percent", 0, 0.6, 5e-3),
        (".4705", "fraction", 4, 0.4705, 5e-5),
        ("-0.01", "fraction", 2, -0.01, 5e-3),
        ("0.2438423645320197", "fraction", 16, 99 / 406, 5e-17),
        ("1e-3", "fraction", 3, 0.001, 5e-4),
        ("6e2", "fraction", -2, 600.0, 50.0),
        ("7.", "fraction", 0, 7.0, 0.5),
    ],
)
def test_printed_values(printed: str, unit: Unit, places: int, value: float, delta: float) -> None:
    assert decimals(printed) == places
    assert printed_value(printed, unit) == value
    assert rounding_halfwidth(printed, unit) == near(delta)


@given(st.integers(0, 10**7), st.integers(0, 6))
def test_percent_and_fraction_are_one_number(digits: int, places: int) -> None:
    percent = f"{Decimal(digits).scaleb(-places):f}"
    fraction = f"{Decimal(digits).scaleb(-places - 2):f}"
    assert printed_value(percent, "percent") == printed_value(fraction)
    assert rounding_halfwidth(percent, "percent") == rounding_halfwidth(fraction)


@given(st.floats(0, 1), st.integers(1, 8))
def test_rounding_never_moves_a_value_by_more_than_delta(value: float, places: int) -> None:
    printed = f"{value:.{places}f}"
    assert abs(printed_value(printed) - value) <= rounding_halfwidth(printed) * (1 + 1e-6)


@pytest.mark.parametrize(
    "printed", ["", "62,1", "62.1%", "about 0.01", "1 000", "nan", "inf", "٣", "0x1", "1_0", "."]
)
def test_what_is_no_number_is_refused(printed: str) -> None:
    with pytest.raises(InputError, match="expected a decimal number"):
        decimals(printed)


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(InputError, match="fraction, percent"):
        printed_value("62.1", "per mille")  # type: ignore[arg-type]


# ---------------------------------------------------------------- the expected spread


@pytest.mark.parametrize(
    ("metric", "n", "value", "sigma0"),
    [
        ("top1", 2500, 0.7856, math.sqrt(0.2144 / 5000)),
        ("top1", 406, 1.0, math.sqrt(1 / 406 / 812)),
        ("miou", 257, 0.66, 0.01),
        ("iou_3", 257, 0.77, 0.0245),
        ("iou", None, 0.77, 0.0245),
    ],
)
def test_the_formula_of_the_spread(metric: str, n: int | None, value: float, sigma0: float) -> None:
    assert float(formula_sigma(metric, n, value)) == near(sigma0)
    few = expected_spread(metric, n, value, [[0.5, 0.6]] * 4)
    assert (few.sigma0, few.nu0) == (near(sigma0), 4)


@pytest.mark.parametrize(("metric", "n"), [("loss", 10), ("top1", None), ("top1", 0), ("silhouette", 5)])
def test_a_metric_without_an_expected_spread_is_refused(metric: str, n: int | None) -> None:
    with pytest.raises(InputError, match="expected"):
        expected_spread(metric, n, 0.5)


def likelihood(groups: Sequence[Sequence[float]], sigma0: float, nu0: int) -> float:
    """log of the density of the sample variances: s²/σ₀² ~ F(d, ν₀), by scipy's own scaled F."""
    return sum(
        float(stats.f(len(g) - 1, nu0, scale=sigma0**2).logpdf(statistics.variance(g))) for g in groups
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 12), st.integers(2, 5))
def test_earlier_runs_are_fitted_by_likelihood(seed: int, groups: int, seeds: int) -> None:
    """No σ₀ and ν₀ on a grid around are likelier, with ν₀ at most 18 and half of all degrees of freedom."""
    generator = np.random.default_rng(seed)
    scale = np.sqrt(6 / generator.chisquare(6, (groups, 1)))
    drawn = (0.6 + 0.02 * scale * generator.standard_normal((groups, seeds))).tolist()
    sigma0, nu0 = fit_spread(drawn)
    most = min(18, groups * (seeds - 1) // 2)
    assert 1 <= nu0 <= most
    best = likelihood(drawn, sigma0, nu0)
    for other in range(1, most + 1):
        for factor in (0.7, 0.9, 0.99, 1.0, 1.01, 1.1, 1.4):
            assert likelihood(drawn, factor * sigma0, other) <= best + 1e-3
    spread = expected_spread("miou", 257, 0.6, drawn)
    assert (spread.sigma0, spread.nu0) == (sigma0, nu0)


def test_equal_accuracies_are_no_proof_of_no_spread() -> None:
    sigma0, _ = fit_spread([[0.5, 0.5, 0.5]] * 6, step=1 / 100)
    assert sigma0 == pytest.approx(0.01 / math.sqrt(12), rel=0.3)
    with pytest.raises(InputError, match="finite"):
        fit_spread([[0.5, math.nan]])


# ---------------------------------------------------------------- margins


@pytest.mark.parametrize(
    ("metric", "n", "value", "delta", "expected"),
    [
        ("top1", 406, 0.2084, 5e-5, 0.065),
        ("top1", 2500, 0.7856, 5e-7, 0.017),
        ("miou", 257, 0.66, 5e-7, 0.025),
        ("iou_2", 257, 0.28, 5e-6, 0.06),
        ("top1", 1000, 0.68, 0.005, 2.6 * math.sqrt(0.32 / 2000)),
        ("top1", 10**6, 0.5, 0.005, 0.005),
    ],
)
def test_margins(metric: str, n: int, value: float, delta: float, expected: float) -> None:
    assert float(margin(metric, n, value, delta)) == near(expected)


# ---------------------------------------------------------------- the rule, by hand


def judged(
    printed: str,
    ours: Sequence[float],
    *,
    sigma0: float,
    nu0: int,
    allowed: float,
    m: int,
    green: bool,
    assumptions: bool,
    broken: int,
    others: Sequence[float] = (),
) -> str:
    """The verdict by the page's table: plain Python, quantiles by scipy.stats."""
    k, c = len(ours), float(printed)
    half_step = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    median = statistics.median(ours)
    if broken > (k + broken) / 5 or max(abs(x - median) for x in ours) > max(2 * allowed, 6 * sigma0):
        return "unstable"
    mean = sum(ours) / k
    nu = nu0 + k - 1
    sigma = math.sqrt((nu0 * sigma0**2 + sum((x - mean) ** 2 for x in ours)) / nu)
    t = stats.t(nu).ppf
    own = math.sqrt(sigma**2 / k + half_step**2 / 3)
    both = math.sqrt(sigma**2 * (1 / k + 1 / m) + half_step**2 / 3)
    distance = abs(mean - c)
    p = 2 * stats.t(nu).sf(distance / both)
    smaller = sorted([*others, p]).index(p)
    ranked = sorted([*others, p])
    holm = max(min(1.0, (len(ranked) - i) * ranked[i]) for i in range(smaller + 1))
    if distance + t(0.98) * own < allowed:
        verdict = "reproduced"
    elif distance > t(0.995) * both and distance > allowed and holm < 0.01 and green:
        verdict = {
            (True, False): "exceeded",
            (False, False): "contradicted",
            (True, True): EXCEEDED_ASSUMING,
            (False, True): NOT_REACHED,
        }[mean > c, assumptions]
    elif distance <= t(0.975) * both and t(0.975) * both <= 2 * allowed:
        verdict = "compatible"
    else:
        verdict = "undecided"
    if k < 3:
        unadjusted = distance + t(0.98) * own < allowed or distance > t(0.975) * both
        verdict = "undecided" if unadjusted else verdict
    return verdict


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.floats(0.55, 0.75), min_size=1, max_size=10),
    st.sampled_from([0.002, 0.01, 0.03]),
    st.integers(1, 18),
    st.sampled_from([0.017, 0.025, 0.065]),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
    st.lists(st.floats(1e-6, 1), max_size=14),
)
def test_the_rule_is_the_page_s_table(
    ours: list[float],
    sigma0: float,
    nu0: int,
    allowed: float,
    m: int,
    green: bool,
    assumptions: bool,
    broken: int,
    others: list[float],
) -> None:
    def adjust(p: float) -> float:
        ranked = sorted([*others, p])
        return max(min(1.0, (len(ranked) - i) * ranked[i]) for i in range(ranked.index(p) + 1))

    verdict = grade_number(
        "0.663704",
        ours,
        spread=Spread(sigma0=sigma0, nu0=nu0, source=""),
        margin=allowed,
        m=m,
        assumptions=assumptions,
        alignment_green=green,
        broken=broken,
        adjust=adjust,
    )
    assert verdict.grade == judged(
        "0.663704", ours, sigma0=sigma0, nu0=nu0, allowed=allowed, m=m, green=green, assumptions=assumptions,
        broken=broken, others=others,
    )  # fmt: skip


def test_where_lower_is_better_the_sides_turn() -> None:
    common: dict[str, Any] = {"spread": MIOU, "margin": 0.025, "alignment_green": True}
    assert grade_number("0.60", [0.7, 0.71, 0.7], **common).grade == "exceeded"
    assert grade_number("0.60", [0.7, 0.71, 0.7], higher_is_better=False, **common).grade == "contradicted"


def test_about_is_a_whole_unit_either_side() -> None:
    exact = grade_number("0.01", [0.01] * 3, spread=MIOU, margin=0.03)
    about = grade_number("0.01", [0.01] * 3, spread=MIOU, margin=0.03, approx=True)
    assert (exact.delta, about.delta) == (near(0.005), near(0.01))


@given(
    st.lists(st.floats(0.6, 0.7), min_size=3, max_size=8),
    st.lists(st.floats(0.6, 0.7), min_size=3, max_size=8),
)
def test_a_gain_is_two_samples_with_the_gain_as_margin(first: list[float], second: list[float]) -> None:
    verdict = grade_gain("0.03", first, second, spread=MIOU, margin=0.03, alignment_green=True)
    nu = 4 + len(first) + len(second) - 2
    scatter = sum((x - statistics.fmean(g)) ** 2 for g in (first, second) for x in g)
    sigma = math.sqrt((4 * 0.01**2 + scatter) / nu)
    error = math.sqrt(sigma**2 * (1 / len(first) + 1 / len(second) + 2) + 0.005**2 / 3)
    distance = abs(statistics.fmean(first) - statistics.fmean(second) - 0.03)
    assert verdict.grade == "unstable" or verdict.p == pytest.approx(
        2 * stats.t(nu).sf(distance / error), rel=1e-6
    )
    if verdict.grade == "reproduced":  # then no gain at all is excluded, and so is twice as much
        assert 0 < statistics.fmean(first) - statistics.fmean(second) < 0.06


# ---------------------------------------------------------------- inputs that were judged wrongly

CASES: list[tuple[dict[str, Any], list[float], set[str]]] = [
    ({}, [0.66, 0.655, 0.05], {"unstable", "undecided"}),
    ({}, [0.66, 0.05, 0.05], {"unstable", "undecided"}),
    ({}, [0.30, 0.60, 0.90], {"unstable", "undecided"}),
    ({}, [0.10, 0.35, 0.60], {"unstable", "undecided"}),
    ({"assumptions": True, "alignment_green": False}, [0.73], {"undecided"}),
    ({"assumptions": True, "alignment_green": False}, [0.73, 0.73, 0.73], {"undecided"}),
]


@pytest.mark.parametrize(("options", "ours", "words"), CASES)
def test_collapse_and_luck_decide_nothing(
    options: dict[str, Any], ours: list[float], words: set[str]
) -> None:
    options = {"alignment_green": True} | options
    assert grade_number("0.663704", ours, spread=MIOU, margin=0.025, **options).grade in words


def test_a_noisy_history_makes_no_verdict_easier() -> None:
    """0.57 0.55 0.56 against 0.621: reproduced by nobody's noise."""
    allowed = float(margin("top1", 406, 0.621, 5e-4))
    for sigma0 in (0.001, 0.01, 0.05, 0.2):
        spread = Spread(sigma0=sigma0, nu0=4, source="")
        verdict = grade_number("0.621", [0.57, 0.55, 0.56], spread=spread, margin=allowed)
        assert verdict.grade in OPEN, sigma0
        assert verdict.margin == allowed == 0.065
    usual = expected_spread("top1", 406, 0.2084)
    low = float(margin("top1", 406, 0.2084, 5e-5))
    assert grade_number("0.2084", [0.16] * 3, spread=usual, margin=low).grade in OPEN  # 23 % less


@given(st.lists(st.floats(0.6, 0.72), min_size=3, max_size=10), st.floats(0.002, 0.05))
def test_more_expected_noise_never_turns_undecided_into_reproduced(ours: list[float], sigma0: float) -> None:
    quiet, noisy = (Spread(sigma0=s, nu0=4, source="") for s in (sigma0, 2 * sigma0))
    before = grade_number("0.663704", ours, spread=quiet, margin=0.025)
    after = grade_number("0.663704", ours, spread=noisy, margin=0.025)
    assert not (after.grade == "reproduced" and before.grade in OPEN)


# ---------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    ("ended", "broken", "void"), [(4, 1, False), (3, 1, True), (8, 2, False), (0, 1, True)]
)
def test_one_broken_seed_of_five_is_allowed(ended: int, broken: int, void: bool) -> None:
    assert bool(instability([np.full(ended, 0.66)], broken, sigma0=0.01, margin=0.025)) is void


def test_an_undefined_figure_is_a_broken_seed() -> None:
    verdict = grade_number("0.66", [0.66, 0.66, math.nan], spread=MIOU, margin=0.025)
    assert (verdict.grade, "1 of 3 seeds broke" in verdict.sentence) == ("unstable", True)
    with pytest.raises(InputError, match="not tested"):
        grade_number("0.66", [], spread=MIOU, margin=0.025)
    with pytest.raises(ValueError, match="positive"):
        grade_number("0.66", [0.66], spread=MIOU, margin=0.0)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("allowed", [0.004, 0.01, 0.012, 0.025, 0.03])
def test_from_how_many_seeds_on_is_the_first_at_which_a_perfect_mean_passes(
    sides: int, allowed: float
) -> None:
    def passes(k: int) -> bool:
        same = [0.66] * k
        if sides == 1:
            verdict = grade_number("0.660000", same, spread=MIOU, margin=allowed)
        else:
            verdict = grade_gain("0.000000", same, same, spread=MIOU, margin=allowed)
        # our own seeds do not scatter here: put the expected spread in the place of theirs
        half = stats.t(4 + sides * (k - 1)).ppf(0.98) * math.sqrt(0.0001 * sides / k + 5e-7**2 / 3)
        return bool(half < allowed) and verdict.grade == "reproduced"

    expected = next((k for k in range(3, 11) if passes(k)), None)
    assert from_seeds(MIOU, sides=sides, delta=5e-7, margin=allowed) == expected


def test_the_outlook_is_what_going_on_comes_to() -> None:
    """Continuations drawn by hand from the same posterior settle as often as is said."""
    ours = np.array([0.650, 0.645, 0.655])
    verdict = grade_number("0.663704", ours.tolist(), spread=MIOU, margin=0.025)
    assert verdict.grade == "compatible"
    assert verdict.chance is not None
    generator, settled, trials = np.random.default_rng(7), 0, 1500
    for _ in range(trials):
        sigma = verdict.sigma_hat * math.sqrt(verdict.nu / generator.chisquare(verdict.nu))  # type: ignore[operator, arg-type]
        true = generator.normal(ours.mean(), sigma / math.sqrt(3))
        seeds = [*ours, *generator.normal(true, sigma, 7)]
        settled += any(
            grade_number("0.663704", seeds[:k], spread=MIOU, margin=0.025, alignment_green=True).grade
            not in OPEN
            for k in range(4, 11)
        )
    assert settled / trials == pytest.approx(verdict.chance, abs=0.05)


def test_the_outlook_grows_with_seeds_left_and_repeats() -> None:
    sides: dict[str, Any] = {"nu": 6, "theirs": 1.0, "delta": 5e-7, "margin": 0.025}
    assert outlook(-0.01, 0.01, k=3, **sides) == outlook(-0.01, 0.01, k=3, **sides)
    assert outlook(0.0, 0.01, k=10, **sides) == (None, 0.0)


def test_sentences_tell_every_verdict_and_what_is_missing() -> None:
    said = {}
    for ours, options in (
        ([0.6611, 0.655, 0.668], {}),
        ([0.6, 0.61, 0.605], {"alignment_green": True}),
        ([0.6, 0.61, 0.605], {"alignment_green": True, "assumptions": True}),
        ([0.72, 0.715, 0.722], {"alignment_green": True}),
        ([0.72, 0.715, 0.722], {"alignment_green": True, "assumptions": True}),
        ([0.645, 0.638, 0.649], {}),
        ([0.635, 0.63, 0.636], {}),
        ([0.66, 0.66, 0.05], {}),
    ):
        verdict = grade_number("0.663704", ours, spread=MIOU, margin=0.025, **options)
        said[verdict.grade] = verdict.sentence
    numbers_words = [
        "reproduced", "compatible", "exceeded", EXCEEDED_ASSUMING, "contradicted", NOT_REACHED, "unstable",
        "undecided",
    ]  # fmt: skip
    assert set(said) == set(numbers_words) <= set(GRADES)
    red = grade_number("0.663704", [0.6, 0.61, 0.605], spread=MIOU, margin=0.025)
    assert (red.grade, "green alignment suites" in red.sentence) == ("undecided", True)
    crowd = grade_number(
        "0.663704",
        [0.615, 0.62, 0.622],
        spread=MIOU,
        margin=0.025,
        alignment_green=True,
        adjust=lambda p: 15 * p,
    )
    assert (crowd.grade, "Holm" in crowd.sentence) == ("undecided", True)
    few = grade_number("0.663704", [0.6, 0.605], spread=MIOU, margin=0.025, alignment_green=True)
    assert (few.grade, "3 seeds" in few.sentence) == ("undecided", True)
    never = grade_number("0.663704", [0.66] * 3, spread=Spread(sigma0=0.1, nu0=4, source=""), margin=0.025)
    assert "too much" in never.sentence
    assert never.from_seeds is None


PAGE = (Path(__file__).parents[2] / "docs" / "grading.md").read_text(encoding="utf-8")

SHOWN: list[tuple[list[float], dict[str, Any]]] = [
    ([0.6611, 0.6550, 0.6680], {}),
    ([0.66], {}),
    ([0.645, 0.638, 0.649], {}),
    ([0.72, 0.715, 0.722], {"alignment_green": True}),
    ([0.60, 0.61, 0.605], {"alignment_green": True}),
    ([0.60, 0.61, 0.605], {"alignment_green": True, "assumptions": True}),
    ([0.60, 0.61, 0.605], {}),
    ([0.60, 0.61], {"alignment_green": True}),
    ([0.635, 0.63, 0.636], {"alignment_green": True}),
    ([0.66, 0.655, 0.05], {"alignment_green": True}),
]


@pytest.mark.parametrize(("ours", "options"), SHOWN)
def test_examples_of_the_page_are_the_program_s(ours: list[float], options: dict[str, Any]) -> None:
    verdict = grade_number("0.663704", ours, spread=MIOU, margin=0.025, **options)
    assert f"**{verdict.grade}** — {verdict.sentence}\n" in PAGE


def test_the_page_names_every_verdict_and_reason() -> None:
    assert f"**…{ON_PUBLIC}**" in PAGE
    for word, meaning in GRADES.items():
        if word.endswith(ON_PUBLIC):
            continue
        assert f"| **{word}** |" in PAGE, (word, meaning)
    for reason, meaning in NOT_TESTED_REASONS.items():
        assert f"| {reason} | {meaning} |" in PAGE


def test_the_other_figures_of_the_page() -> None:
    ours = (0.6611, 0.6550, 0.6680)
    for figures in ((0.7050, 0.7120, 0.7090), (0.66, 0.67, 0.665)):
        sides = (Side(name="r4-seg-b", figures=figures), Side(name="r4-seg-a", figures=ours))
        verdict = grade_ordering(*sides, spread=MIOU, margin=0.025)
        assert f"**{verdict.grade}** — {verdict.sentence}\n" in PAGE
    low, high = accuracy_interval(1964, 2500)
    words = " ".join(PAGE.split())
    assert f"{low:.4f} to {high:.4f}" in words
    assert f"differ by {resolvable_difference(406, 0.5):.3f} to be told apart" in words
    assert f"near 0.78: {resolvable_difference(2500, 0.78):.3f}" in words
    assert f"= {expected_spread('top1', 2500, 0.7856).sigma0:.4f}." in words


def test_the_levels_are_the_page_s() -> None:
    assert (numbers.REPRODUCED_LEVEL, numbers.ALPHA, list(numbers.LOOKS)) == (0.98, 0.01, list(range(3, 11)))
    sigma_hat, nu = pooled_sigma((np.array([0.66, 0.67]),), 0.01, 4)
    assert (float(sigma_hat), nu) == (near(math.sqrt((4 * 0.0001 + 0.00005) / 5)), 5)
