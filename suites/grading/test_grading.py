"""The grade rules against scipy, statsmodels' figures and a literal reading of the published table."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.grading import verdict as verdict_module
from bench.grading.deterministic import grade_exact, grade_process
from bench.grading.numbers import (
    FIXED_MARGINS,
    decimals,
    formula_sigma,
    grade_number,
    halfwidth,
    margin,
    number_rule,
    pooled_sigma,
    printed_value,
    prior_sigma,
    rounding_halfwidth,
)
from bench.grading.orderings import grade_chain, grade_ordering, grade_ordering_single, grade_tie
from bench.grading.statistics import (
    accuracy_interval,
    bootstrap_miou,
    holm,
    mcnemar_exact,
    resolvable_difference,
    two_proportion_z,
)
from bench.grading.verdict import GRADES, NOT_REACHED, NOT_RUN_REASONS, Verdict, not_run
from reference.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "grading.md"

# scipy.stats and scipy.special reach the same quantiles by different code; both keep about 1e-10.
CLOSE = pytest.approx
finite = st.floats(-1, 1, allow_nan=False)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


# ---------------------------------------------------------------- words


def test_every_grade_and_reason_has_one_meaning() -> None:
    assert len(GRADES) == 15
    assert len(NOT_RUN_REASONS) == 8
    for meaning in (*GRADES.values(), *NOT_RUN_REASONS.values()):
        assert meaning
        assert "\n" not in meaning


def test_a_verdict_takes_only_known_grades() -> None:
    with pytest.raises(ValueError, match="probably"):
        Verdict(grade="probably", sentence="")


def test_not_run_takes_only_known_reasons() -> None:
    assert not_run("weights", "bench doctor").sentence.endswith("bench doctor")
    assert not_run("data").grade == "not run"
    with pytest.raises(InputError, match="expected one of data, weights"):
        not_run("laziness")


# ---------------------------------------------------------------- printed values


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
def test_printed_values(
    printed: str, unit: verdict_module.Unit, places: int, value: float, delta: float
) -> None:
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


# ---------------------------------------------------------------- σ₀, Δ, σ̂


@pytest.mark.parametrize(
    ("metric", "n", "value", "sigma0"),
    [
        # By hand: sqrt(0.2144 / 5000), sqrt(0.7561576... / 812).
        ("top1", 2500, 0.7856, 0.006548282217),
        ("top1", 406, 99 / 406, 0.030516039),
        ("miou", 257, 0.663704, 0.01),
        ("miou", None, 0.663704, 0.01),
        ("iou", None, 0.2, 0.01),
        ("iou_2", 257, 0.28466, 0.01),
        ("delta_miou", 257, 0.01, 0.0141421356),
        ("top1", 100, 1.0, math.sqrt(0.01 / 200)),
    ],
)
def test_sigma_without_earlier_runs(metric: str, n: int | None, value: float, sigma0: float) -> None:
    found, provenance = prior_sigma(metric, n, value)
    assert found == pytest.approx(sigma0, rel=1e-6)
    assert "earlier" not in provenance


def test_sigma_from_five_earlier_runs_and_not_from_four() -> None:
    earlier = [0.66, 0.67, 0.65, 0.68, 0.64]
    assert prior_sigma("miou", 257, 0.66, earlier)[0] == near(stats.tstd(earlier))
    assert prior_sigma("miou", 257, 0.66, earlier)[1] == "standard deviation of 5 earlier runs"
    sigma0, provenance = prior_sigma("miou", 257, 0.66, earlier[:4])
    assert sigma0 == 0.01
    assert "4 earlier run(s), 5 needed" in provenance


def test_earlier_runs_carry_any_metric_but_must_be_finite() -> None:
    assert prior_sigma("perplexity", None, 3.0, [3.0, 3.1, 3.2, 3.3, 3.4])[0] > 0
    with pytest.raises(InputError, match="finite"):
        prior_sigma("miou", 257, 0.66, [0.6, math.nan, 0.6, 0.6, 0.6])


def test_metrics_without_a_prior_are_refused() -> None:
    with pytest.raises(InputError, match="expected top1, miou, iou_<class> or delta_miou"):
        prior_sigma("loss", None, 0.01)
    for n in (None, 0, -1):
        with pytest.raises(InputError, match="state n"):
            prior_sigma("top1", n, 0.5)


@pytest.mark.parametrize(
    ("metric", "n", "sigma0", "delta", "expected"),
    [
        ("top1", 406, 0.025, 5e-4, 0.065),
        ("top1", 406, 0.03, 0.0, 0.075),
        ("top1", 2500, 0.0065, 5e-5, 0.017),
        ("top1", 2500, 0.01, 0.01, 2.5 * 0.01 * (4 / 3) ** 0.5),
        ("top1", 500, 0.02, 5e-5, 0.05),
        ("miou", 257, 0.01, 5e-7, 0.025),
        ("miou", 100, 0.3, 5e-7, 0.025),
        ("iou_2", 257, 0.01, 5e-6, 0.025),
        ("delta_miou", 257, 0.014, 5e-3, 0.035),
        ("top1", 500, 0.0065, 0.05, 0.05),
        ("perplexity", None, 0.001, 0.005, 0.005),
    ],
)
def test_margins(metric: str, n: int | None, sigma0: float, delta: float, expected: float) -> None:
    assert float(margin(metric, n, sigma0, delta)) == near(expected)


def test_fixed_margins_are_three() -> None:
    assert FIXED_MARGINS == {("top1", 406): 0.065, ("top1", 2500): 0.017, ("miou", None): 0.025}


def test_prior_and_margin_broadcast() -> None:
    values = np.array([0.2, 0.5, 0.9])
    for metric, n in (("top1", 406), ("top1", 300), ("miou", None)):
        sigma0 = formula_sigma(metric, n, values)
        assert sigma0.tolist() == [prior_sigma(metric, n, value)[0] for value in values]
        margins = margin(metric, n, sigma0, 0.001)
        assert margins.tolist() == [float(margin(metric, n, s, 0.001)) for s in sigma0]


def test_pooled_sigma_by_hand() -> None:
    # ν₀σ₀² = 4·0.0001; squared deviations of 0.65, 0.66, 0.70 from 0.67 sum to 0.0014; ν = 6.
    sigma, nu = pooled_sigma(np.array([0.65, 0.66, 0.70]), 0.01)
    assert nu == 6
    assert float(sigma) == near(math.sqrt((4 * 0.0001 + 0.0014) / 6))


@given(st.lists(finite, min_size=2, max_size=10))
def test_without_a_prior_the_interval_is_the_textbook_one(values: list[float]) -> None:
    assume(np.ptp(values) > 1e-6)
    sigma, nu = pooled_sigma(np.array(values), 0.0, nu0=0)
    half = float(halfwidth(0.975, sigma, nu=nu, k=len(values), m=math.inf, delta=0))
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert half == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)


@given(st.lists(finite, min_size=2, max_size=8), st.lists(finite, min_size=2, max_size=8))
def test_both_sides_scattering_is_the_two_sample_interval(ours: list[float], theirs: list[float]) -> None:
    assume(np.ptp(ours) > 1e-6 and np.ptp(theirs) > 1e-6)
    k, m = len(ours), len(theirs)
    nu = k + m - 2
    pooled = math.sqrt((np.var(ours) * k + np.var(theirs) * m) / nu)
    interval = stats.ttest_ind(ours, theirs).confidence_interval(0.99)
    half = float(halfwidth(0.995, pooled, nu=nu, k=k, m=m, delta=0))
    assert half == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)


def test_rounding_enters_as_the_variance_of_a_uniform_error() -> None:
    delta = 0.005
    variance = stats.uniform(-delta, 2 * delta).var()
    half = float(halfwidth(0.975, 0.0, nu=7, k=3, m=1, delta=delta))
    assert half == near(stats.t.ppf(0.975, 7) * math.sqrt(variance))


# ---------------------------------------------------------------- the rule for numbers


def as_the_table_says(
    claim: float,
    ours: list[float],
    *,
    delta: float,
    m: int,
    sigma0: float,
    margin: float,
    higher_is_better: bool,
    assumptions: bool,
    alignment_green: bool,
) -> str:
    """The table of the page, line by line, in plain Python and scipy.stats."""
    k, nu = len(ours), 4 + len(ours) - 1
    mean = sum(ours) / k
    variance = (4 * sigma0**2 + sum((x - mean) ** 2 for x in ours)) / nu
    apart = abs(mean - claim)
    both = math.sqrt(variance * (1 / k + 1 / m) + delta**2 / 3)
    if apart + stats.t.ppf(0.95, nu) * math.sqrt(variance / k + delta**2 / 3) < margin:
        return "reproduced"
    if apart <= stats.t.ppf(0.975, nu) * both:
        return "consistent"
    beyond = apart > stats.t.ppf(0.995, nu) * both and apart > margin
    if beyond and (mean > claim) == higher_is_better:
        return "exceeded"
    if beyond and k >= 3 and alignment_green:
        return "not reached under our assumptions" if assumptions else "contradicted"
    return "inconclusive"


cells = st.fixed_dictionaries(
    {
        "k": st.integers(1, 10),
        "m": st.integers(1, 5),
        "places": st.integers(1, 6),
        "sigma0": st.floats(0.002, 0.05),
        "margin": st.sampled_from([0.065, 0.017, 0.025, 0.1]),
        "higher_is_better": st.booleans(),
        "assumptions": st.booleans(),
        "alignment_green": st.booleans(),
        "seed": st.integers(0, 2**32 - 1),
    }
)


@settings(max_examples=250, deadline=None)
@given(cells)
def test_scalar_broadcast_and_table_agree(cell: dict) -> None:
    generator = np.random.default_rng(cell["seed"])
    k, m, sigma0 = cell["k"], cell["m"], cell["sigma0"]
    flags = {name: cell[name] for name in ("assumptions", "alignment_green")}
    printed = [f"{value:.{cell['places']}f}" for value in generator.uniform(0.2, 0.8, 16)]
    claims = np.array([float(text) for text in printed])
    # Offsets up to about seven σ₀ either way reach every line of the table.
    spread = generator.uniform(0.1, 2, (16, 1)) * sigma0
    ours = (
        claims[:, None] + generator.normal(0, 3, (16, 1)) * sigma0 + generator.normal(0, 1, (16, k)) * spread
    )
    sigma_hat, nu = pooled_sigma(ours, sigma0)
    gain = ours.mean(axis=1) - claims
    delta = rounding_halfwidth(printed[0])
    together = number_rule(
        gain if cell["higher_is_better"] else -gain,
        sigma_hat, k=k, nu=nu, m=m, delta=delta, margin=cell["margin"], **flags,
    )  # fmt: skip
    for row, text in enumerate(printed):
        arguments = {
            "m": m, "sigma0": sigma0, "margin": cell["margin"],
            "higher_is_better": cell["higher_is_better"], **flags,
        }  # fmt: skip
        alone = grade_number(text, ours[row].tolist(), **arguments)
        assert alone.grade == together[row]
        assert alone.grade == as_the_table_says(float(text), ours[row].tolist(), delta=delta, **arguments)


EXAMPLES: list[tuple[str, list[float], dict, str]] = [
    ("0.663704", [0.6611, 0.6550, 0.6680], {}, "reproduced"),
    ("0.663704", [0.6600], {}, "consistent"),
    ("0.663704", [0.6450, 0.6380, 0.6490], {}, "consistent"),
    ("0.663704", [0.7200, 0.7150, 0.7220], {}, "exceeded"),
    ("0.663704", [0.6000, 0.6100, 0.6050], {}, "contradicted"),
    ("0.663704", [0.6000, 0.6100, 0.6050], {"assumptions": True}, NOT_REACHED),
    ("0.663704", [0.6000, 0.6100, 0.6050], {"alignment_green": False}, "inconclusive"),
    ("0.663704", [0.6000, 0.6100], {}, "inconclusive"),
    ("0.663704", [0.6350, 0.6300, 0.6360], {}, "inconclusive"),
]


@pytest.mark.parametrize(("printed", "ours", "options", "grade"), EXAMPLES)
def test_r4_examples_and_their_sentences_on_the_page(
    printed: str, ours: list[float], options: dict, grade: str
) -> None:
    verdict = grade_number(printed, ours, sigma0=0.01, margin=0.025, **{"alignment_green": True, **options})
    assert verdict.grade == grade
    assert verdict.sentence in PAGE.read_text(encoding="utf-8")


def test_the_page_names_every_grade_and_reason() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for word in (*GRADES, *NOT_RUN_REASONS):
        assert f"**{word}**" in page or f"`{word}`" in page, word


def test_the_numbers_of_a_verdict() -> None:
    ours = [0.6611, 0.6550, 0.6680]
    verdict = grade_number("0.66", ours, sigma0=0.01, margin=0.025, m=2)
    sigma = math.sqrt((4 * 0.01**2 + 2 * np.var(ours, ddof=1)) / 6)
    half = stats.t.ppf(0.975, 6) * sigma / math.sqrt(3)
    error = math.sqrt(sigma**2 * (1 / 3 + 1 / 2) + 0.005**2 / 3)
    assert verdict.k == 3
    assert verdict.nu == 6
    assert verdict.delta == near(0.005)
    assert verdict.margin == 0.025
    assert verdict.mean == near(np.mean(ours))
    assert verdict.sigma_hat == near(sigma)
    assert verdict.interval == (near(np.mean(ours) - half), near(np.mean(ours) + half))
    assert verdict.p == near(2 * stats.t.sf((np.mean(ours) - 0.66) / error, 6))


@given(
    st.lists(st.floats(0.5, 0.8), min_size=1, max_size=6),
    st.sampled_from(["0.66", "0.663704"]),
    st.booleans(),
    st.booleans(),
)
def test_properties_of_the_number_rule(
    ours: list[float], printed: str, green: bool, assumptions: bool
) -> None:
    options = {"sigma0": 0.01, "margin": 0.025, "alignment_green": green, "assumptions": assumptions}
    verdict = grade_number(printed, ours, **options)
    assert verdict.sentence
    assert "\n" not in verdict.sentence
    assert 0 <= verdict.p <= 1
    assert (verdict.p < 0.01) or verdict.grade not in ("exceeded", "contradicted", NOT_REACHED)
    assert (verdict.more_seeds is None) or verdict.grade == "consistent"
    assert grade_number(printed, sorted(ours), **options).grade == verdict.grade
    if verdict.grade in ("contradicted", NOT_REACHED):
        assert green
        assert len(ours) >= 3
        assert (verdict.grade == NOT_REACHED) == assumptions
    # A loss is a mirrored score: negate everything and better becomes worse.
    mirrored = grade_number(f"-{printed}", [-x for x in ours], higher_is_better=False, **options)
    assert mirrored.grade == verdict.grade
    # Percent or fraction, the same claim.
    percent = f"{Decimal(printed).scaleb(2):f}"
    assert grade_number(percent, ours, unit="percent", **options).grade == verdict.grade


@given(st.lists(st.floats(0.6, 0.72), min_size=1, max_size=6))
def test_more_seeds_is_the_smallest_number_that_reproduces(ours: list[float]) -> None:
    verdict = grade_number("0.663704", ours, sigma0=0.01, margin=0.025)
    assume(verdict.grade == "consistent")
    gain = verdict.mean - 0.663704

    def grade_with(seeds: int) -> str:
        return number_rule(
            gain, verdict.sigma_hat, k=seeds, nu=4 + seeds - 1, m=1, delta=verdict.delta,
            margin=0.025, alignment_green=True, assumptions=False,
        ).item()  # fmt: skip

    if verdict.more_seeds is None:
        assert grade_with(9_999) != "reproduced"
    else:
        assert verdict.more_seeds >= 1
        assert grade_with(verdict.k + verdict.more_seeds) == "reproduced"
        assert grade_with(verdict.k + verdict.more_seeds - 1) != "reproduced"


def test_more_seeds_is_never_where_the_mean_lies_outside_the_margin() -> None:
    verdict = grade_number("0.70", [0.674], sigma0=0.02, margin=0.025)
    assert verdict.grade == "consistent"
    assert verdict.more_seeds is None
    assert "no number of further seeds" in verdict.sentence


def test_broken_and_missing_figures() -> None:
    verdict = grade_number("0.66", [0.66, math.nan, math.inf], sigma0=0.01, margin=0.025)
    assert verdict.grade == "failed"
    assert "seed 1, 2" in verdict.sentence
    with pytest.raises(InputError, match="not run"):
        grade_number("0.66", [], sigma0=0.01, margin=0.025)
    for wrong in ({"m": 0}, {"sigma0": -0.1}, {"sigma0": math.nan}, {"margin": -1.0}):
        with pytest.raises(ValueError, match="m ="):
            grade_number("0.66", [0.66], **{"sigma0": 0.01, "margin": 0.025, **wrong})


@given(st.floats(0, 1), st.integers(1, 5))
def test_figures_without_any_spread(value: float, k: int) -> None:
    verdict = grade_number(f"{value:.6f}", [value] * k, sigma0=0.0, margin=0.01)
    assert verdict.grade == "reproduced"
    off = grade_number("0.50000", [0.25] * k, sigma0=0.0, margin=0.01, alignment_green=True)
    assert off.grade == ("contradicted" if k >= 3 else "inconclusive")


def test_p_without_any_scale() -> None:
    # A value printed to 400 decimals has δ² = 0 in double precision: nothing scatters at all.
    exact = "0.5" + "0" * 399
    assert grade_number(exact, [0.5], sigma0=0.0, margin=0.01).p == 1.0
    assert grade_number(exact, [0.25], sigma0=0.0, margin=0.01).p == 0.0


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


# ---------------------------------------------------------------- orderings


@settings(deadline=None)
@given(st.lists(st.tuples(finite, finite), min_size=3, max_size=10))
def test_an_ordering_is_a_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    better, worse = map(list, zip(*pairs, strict=True))
    assume(np.ptp(np.subtract(better, worse)) > 1e-6)
    verdict = grade_ordering(better, worse)
    oracle = stats.ttest_rel(better, worse)
    # Differences are rounded to twelve decimals before the test: relative 1e-6 of the smallest spread.
    assert verdict.p == pytest.approx(oracle.pvalue, rel=1e-4, abs=1e-9)
    low, high = oracle.confidence_interval(0.95)
    assert verdict.interval == (
        pytest.approx(low, rel=1e-4, abs=1e-6),
        pytest.approx(high, rel=1e-4, abs=1e-6),
    )
    if verdict.p < 0.05:
        assert verdict.grade == ("directional" if oracle.statistic > 0 else "reversed")
    else:
        assert verdict.grade == "inconclusive"
    opposite = {"directional": "reversed", "reversed": "directional", "inconclusive": "inconclusive"}
    assert grade_ordering(worse, better).grade == opposite[verdict.grade]


def test_an_ordering_uses_the_pairing() -> None:
    better, worse = [0.60, 0.65, 0.70], [0.59, 0.639, 0.691]
    assert stats.ttest_ind(better, worse).pvalue > 0.5
    assert grade_ordering(better, worse).grade == "directional"


@pytest.mark.parametrize("k", range(3, 9))
def test_identical_differences_are_judged_by_sign(k: int) -> None:
    # 0.3 - 0.2 and 0.2 - 0.1 differ in the last bit; a t test would find p = 1e-16 at any k.
    worse = [0.1 * (1 + seed % 3) for seed in range(k)]
    better = [value + 0.1 for value in worse]
    verdict = grade_ordering(better, worse)
    assert verdict.p == near(stats.binomtest(k, k).pvalue)
    assert verdict.grade == ("directional" if k >= 6 else "inconclusive")
    assert grade_ordering(worse, better).grade == ("reversed" if k >= 6 else "inconclusive")


def test_equal_figures_are_inconclusive() -> None:
    verdict = grade_ordering([0.5] * 8, [0.5] * 8)
    assert verdict.grade == "inconclusive"
    assert verdict.p == 1.0


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_seeds_are_inconclusive(k: int) -> None:
    for verdict in (grade_ordering([0.9] * k, [0.1] * k), grade_tie([0.5] * k, [0.5] * k, 0.1)):
        assert verdict.grade == "inconclusive"
        assert verdict.p is None
        assert ("per-image" if k == 1 else "of the 3") in verdict.sentence


@pytest.mark.parametrize("rule", [grade_ordering, lambda a, b: grade_tie(a, b, 0.1)])
def test_orderings_of_broken_runs(rule) -> None:  # type: ignore[no-untyped-def]
    assert rule([0.5, math.nan, 0.5], [0.4, 0.4, 0.4]).grade == "failed"
    assert rule([0.5, 0.5, 0.5], [0.4, 0.4, math.inf]).grade == "failed"
    for better, worse in (([], []), ([0.5], []), ([0.5, 0.5, 0.5], [0.4, 0.4])):
        with pytest.raises(InputError, match="the same seeds"):
            rule(better, worse)


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


def test_a_single_seed_is_judged_image_by_image() -> None:
    # 406 images: 250 right in both, 61 only in the first, 30 only in the second.
    first = np.array([True] * 311 + [False] * 95)
    second = np.array([True] * 250 + [False] * 61 + [True] * 30 + [False] * 65)
    verdict = grade_ordering_single(first, second)
    assert verdict.grade == "directional"
    assert verdict.p == near(0.0015165131944572209)
    assert verdict.mean == near(31 / 406)
    assert grade_ordering_single(second, first).grade == "reversed"
    assert grade_ordering_single(first, first).grade == "inconclusive"
    assert grade_ordering_single([1, 0, 1], [0, 0, 1]).grade == "inconclusive"


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([True], [True, False]), ([[True]], [[True]]), ([0.7], [0.2]), ([math.nan], [1.0])],
)
def test_single_seed_orderings_refuse_other_data(first: list, second: list) -> None:
    with pytest.raises(InputError, match="per-image correctness"):
        grade_ordering_single(first, second)


# ---------------------------------------------------------------- chains and ties

HIGH, MIDDLE, LOW = [0.71, 0.72, 0.715], [0.66, 0.65, 0.665], [0.60, 0.61, 0.59]


def test_a_chain_holds_where_every_link_does() -> None:
    verdict = grade_chain([HIGH, MIDDLE, LOW], names=["B", "C", "A"])
    links = [stats.ttest_rel(HIGH, MIDDLE).pvalue, stats.ttest_rel(MIDDLE, LOW).pvalue]
    assert max(links) < 0.05
    assert verdict.grade == "directional"
    assert verdict.p == near(max(links))
    assert "B > C" in verdict.sentence


def test_a_chain_does_not_adjust_links_that_all_have_to_hold() -> None:
    # Both links have p = .034; Holm, over these two or all three pairs, would make it .068.
    middle = np.subtract(HIGH, [0.03, 0.05, 0.06])
    low = middle - [0.06, 0.03, 0.05]
    links = [stats.ttest_rel(HIGH, middle).pvalue, stats.ttest_rel(middle, low).pvalue]
    assert min(holm([*links, stats.ttest_rel(HIGH, low).pvalue])[:2]) > 0.05
    assert grade_chain([HIGH, middle, low], names="abc").grade == "directional"


def test_one_open_link_leaves_a_chain_open() -> None:
    noisy = [0.65, 0.67, 0.655]
    verdict = grade_chain([HIGH, MIDDLE, noisy], names="abc")
    assert verdict.grade == "inconclusive"
    assert verdict.p == near(stats.ttest_rel(MIDDLE, noisy).pvalue)


def test_one_reversed_pair_reverses_a_chain_even_between_ends() -> None:
    assert grade_chain([LOW, MIDDLE, HIGH], names="abc").grade == "reversed"
    # Neither link is decided, but the last beats the first at every seed.
    first, between, last = [0.50, 0.51, 0.52, 0.53], [0.40, 0.70, 0.45, 0.65], [0.60, 0.612, 0.619, 0.63]
    assert grade_ordering(first, between).grade == grade_ordering(between, last).grade == "inconclusive"
    verdict = grade_chain([first, between, last], names="abc")
    assert verdict.grade == "reversed"
    assert "a > c reversed" in verdict.sentence
    assert verdict.p == near(3 * stats.ttest_rel(first, last).pvalue)


def test_a_reversal_has_to_survive_the_number_of_pairs() -> None:
    # b over a alone has p = .036; as one of three pairs that could have been reversed, .108.
    a, b, c = [0.50, 0.52, 0.51, 0.49], [0.53, 0.525, 0.545, 0.513], [0.52, 0.50, 0.53, 0.51]
    assert grade_ordering(a, b).grade == "reversed"
    assert grade_ordering(a, b).p > 0.05 / 3
    assert grade_chain([a, b], names="ab").grade == "reversed"
    assert grade_chain([a, b, c], names="abc").grade == "inconclusive"


def test_a_chain_of_ties() -> None:
    tie = partial(grade_tie, margin=0.02)
    near_high = np.add(HIGH, [0.001, -0.002, 0.0])
    assert grade_chain([HIGH, near_high, HIGH[::-1]], names="abc", rule=tie).grade == "directional"
    apart = np.subtract(HIGH, [0.12, 0.121, 0.119])
    verdict = grade_chain([HIGH, near_high, apart], names="abc", rule=tie)
    assert verdict.grade == "reversed"
    assert verdict.p == near(3 * min(grade_tie(high, apart, 0.02).p for high in (HIGH, near_high)))


def test_a_chain_of_single_seeds_and_of_too_few() -> None:
    better = [True] * 40 + [False] * 60
    middle = [True] * 20 + [False] * 80
    worst = [False] * 100
    verdict = grade_chain([better, middle, worst], names="abc", rule=grade_ordering_single)
    assert verdict.grade == "directional"
    two = grade_chain([[0.7, 0.8], [0.5, 0.6], [0.1, 0.2]], names="abc")
    assert two.grade == "inconclusive"
    assert "2 seeds" in two.sentence
    assert grade_chain([HIGH, MIDDLE, [0.5, math.nan, 0.5]], names="abc").grade == "failed"


def test_a_chain_needs_two_named_groups() -> None:
    for groups, names in (([HIGH], ["a"]), ([HIGH, LOW], ["a"])):
        with pytest.raises(InputError, match="two or more, named"):
            grade_chain(groups, names=names)


TIED = [0.551, 0.548, 0.561, 0.555, 0.549], [0.547, 0.552, 0.556, 0.551, 0.553]


@pytest.mark.parametrize(
    ("bound", "p", "grade"),
    # statsmodels 0.15 ttost_paired(a, b, -bound, bound)
    [(0.01, 0.0058841919300374615, "directional"), (0.004, 0.108539626471381, "inconclusive")],
)
def test_a_tie_is_two_one_sided_tests(bound: float, p: float, grade: str) -> None:
    for first, second in (TIED, TIED[::-1]):
        verdict = grade_tie(first, second, bound)
        assert verdict.p == pytest.approx(p, rel=1e-6)
        assert verdict.grade == grade


def test_a_tie_of_three_seeds_as_statsmodels() -> None:
    assert grade_tie(TIED[0][:3], TIED[1][:3], 0.065).p == pytest.approx(0.0010080237817564292, rel=1e-6)


def test_a_tie_is_refuted_only_beyond_the_margin() -> None:
    # 0.055 apart, p = .02 for a difference: within .065 not refuted, outside .02 refuted.
    assert grade_tie(HIGH, MIDDLE, 0.065).grade == "inconclusive"
    assert grade_tie(HIGH, MIDDLE, 0.02).grade == "reversed"
    # Beyond .032 with a one-sided p of .033: two-sided not enough.
    assert grade_tie(HIGH, MIDDLE, 0.032).grade == "inconclusive"
    assert grade_tie(MIDDLE, HIGH, 0.02).grade == "reversed"
    beyond = stats.ttest_rel(HIGH, np.add(MIDDLE, 0.02), alternative="greater").pvalue
    assert grade_tie(HIGH, MIDDLE, 0.02).p == near(2 * beyond)


@pytest.mark.parametrize(("k", "grade"), [(4, "inconclusive"), (5, "directional")])
def test_identical_ties_are_judged_by_sign(k: int, grade: str) -> None:
    assert grade_tie([0.5] * k, [0.5] * k, 0.01).grade == grade


# ---------------------------------------------------------------- deterministic claims


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
def test_equal_is_exact(printed: object, found: object) -> None:
    assert grade_exact(printed, found).grade == "exact"


@pytest.mark.parametrize(
    ("printed", "found", "named"),
    [
        ("25560808", 25_557_032, "found 25557032"),
        ("0.1", 0.1 + 2**-54, "found 0.10000000000000006"),
        ("0.50", "0.5", "printed '0.50'"),
        ("relu", 1, "printed 'relu'"),
        (1, True, "found True"),
        ("1", True, "found True"),
        (None, 0, "found 0"),
        ("nan", math.nan, "found nan"),
        ("sNaN", 1, "found 1"),
        ([1, 2, 3], [1, 5, 4], "found 5 at [1]"),
        ([1, 2], [1, 2, 3], "printed 2 elements, found 3"),
        ([1, 2, 3], [1, 2], "printed 3 elements, found 2"),
        ([{"k": 3}, {"k": 4}], [{"k": 3}, {"k": 5}], "at [1]['k']"),
        ({"k": 3, "s": 1}, {"k": 3}, "only printed: 's'"),
        ({"k": 3}, {"k": 3, "s": 1}, "only found: 's'"),
        ("12", [1, 2], "found [1, 2]"),
        ([1], 1, "found 1"),
    ],
)
def test_the_first_difference_is_named(printed: object, found: object, named: str) -> None:
    verdict = grade_exact(printed, found)
    assert verdict.grade == "different"
    assert named in verdict.sentence


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_equals_its_own_repr(value: float) -> None:
    assert grade_exact(repr(value), value).grade == "exact"
    other = math.nextafter(value, math.inf)
    assume(math.isfinite(other))
    assert grade_exact(repr(value), other).grade == ("exact" if value == other else "different")


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize(
    ("judgements", "grade"),
    [
        ([True], "supported"),
        ([True, True, True], "supported"),
        ([True, True, None], "supported"),
        ([True, True, False], "inconclusive"),
        ([True, False], "inconclusive"),
        ([True, False, False], "not supported"),
        ([False], "not supported"),
        ([False, False, None], "not supported"),
        ([True, None], "inconclusive"),
        ([False, None, None], "inconclusive"),
        ([None, None, None], "inconclusive"),
    ],
)
def test_processes(judgements: list[bool | None], grade: str) -> None:
    for order in itertools.permutations(judgements):
        verdict = grade_process(order)
        assert verdict.grade == grade
        assert verdict.k == sum(judgement is not None for judgement in judgements)


def test_a_process_without_runs_is_refused() -> None:
    with pytest.raises(InputError, match="not run"):
        grade_process([])


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


def test_the_other_figures_of_the_page() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    ours = [0.6611, 0.6550, 0.6680]
    clear, unclear = grade_ordering([0.7050, 0.7120, 0.7090], ours), grade_ordering([0.66, 0.67, 0.665], ours)
    assert f"mean difference is {clear.mean:+.4f}, p = {clear.p:.3f}: **{clear.grade}**" in page
    assert f"p = {unclear.p:.2f}: **{unclear.grade}**" in page
    assert f"McNemar gives p = {mcnemar_exact(30, 61):.4f}" in page
    low, high = accuracy_interval(1964, 2500)
    assert f"{low:.4f} to {high:.4f}" in page
    assert f"differ by {resolvable_difference(406, 0.5):.3f} to be told apart" in page
    assert f"near 0.78: {resolvable_difference(2500, 0.78):.3f}" in page
    assert f"= {prior_sigma('top1', 2500, 0.7856)[0]:.4f}. Five" in page
