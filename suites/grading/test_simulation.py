"""How often the rules misjudge, simulated: what the page promises, and where that fails."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.grading.numbers import grade_number
from bench.grading.orderings import Side, grade_ordering
from bench.grading.simulation import (
    CELLS,
    NUMBER_GRADES,
    PRINTED,
    R4,
    SHORT,
    NumberTrials,
    Race,
    Scenario,
    _holm,
    judged,
    on_the_margin,
    paired_power,
    race,
    report,
    report_race,
    simulate,
    tables,
)
from bench.grading.spread import NU0, Spread
from bench.grading.statistics import holm
from bench.grading.verdict import Verdict

ROOT = Path(__file__).parents[2]
TRIALS = 10_000
R4_SEG_A = CELLS["r4-seg-a"]


def allowance(share: float, trials: int = TRIALS) -> float:
    """Three binomial standard errors of a share that is simulated with so many trials."""
    return 3 * math.sqrt(share * (1 - share) / trials)


@pytest.mark.parametrize("slug", CELLS)
def test_an_honest_number_is_rarely_contradicted_and_a_margin_case_rarely_passes(slug: str) -> None:
    honest = simulate(CELLS[slug], trials=TRIALS)
    assert honest["contradicted"] <= 0.006 + allowance(0.006)
    edge = simulate(replace(CELLS[slug], shift=-1.0, printed="fixed"), trials=TRIALS)
    assert edge["reproduced"] <= 0.05 + allowance(0.05)


def test_a_mean_iou_is_settled_as_the_design_says() -> None:
    honest = simulate(R4_SEG_A, trials=TRIALS)
    assert honest["reproduced"] == pytest.approx(0.93, abs=0.01)
    assert honest.seeds == pytest.approx(4.2, abs=0.1)
    short = simulate(replace(R4_SEG_A, shift=-2.0), trials=TRIALS)
    assert short["contradicted"] == pytest.approx(0.96, abs=0.01)
    assert short.seeds == pytest.approx(3.8, abs=0.1)


def test_peeking_costs_what_the_level_pays_for() -> None:
    looks = range(3, 11)
    assert on_the_margin(0.95, [10], trials=TRIALS) <= 0.05
    assert on_the_margin(0.95, looks, trials=TRIALS) > 0.10
    assert on_the_margin(0.98, looks, trials=TRIALS) <= 0.05


def test_a_report_of_fifteen_numbers_is_rarely_accused_though_we_look_eight_times() -> None:
    assert len(R4) == 15
    assert report(spread=1.0)["accused"] <= 0.005
    assert report(spread=1.5)["accused"] <= 0.02
    assert report(spread=1.5, adjust=False)["accused"] > 0.15
    assert report(broken=0.1)["accused"] <= 0.02


def test_what_is_wrong_in_a_report_is_found_among_what_is_right() -> None:
    wrong = report(short=SHORT)
    assert wrong["found"] >= 0.6
    assert wrong["accused"] <= 0.005
    assert wrong["reproduced"] >= 0.9


def test_a_report_is_judged_as_single_reports_are() -> None:
    """Number by number with Holm's method by statistics.holm, as the grader does it."""
    trials, looks = 300, range(3, 11)
    generator = np.random.default_rng(7)
    scenarios = [replace(scenario, spread=2.0, shift=-1.0) for scenario in R4[:4]]
    draws = [NumberTrials.of(scenario, generator, trials) for scenario in scenarios]
    found, seeds = judged(scenarios, draws, adjust=_holm)
    accused = 0
    for trial in range(trials):
        verdicts: list[Verdict | None] = [None] * len(draws)
        for k in looks:
            p = [_verdict(s, d, trial, k).p or 0.0 for s, d in zip(scenarios, draws, strict=True)]
            adjusted = holm(p)
            for i, (scenario, drawn) in enumerate(zip(scenarios, draws, strict=True)):
                earlier = verdicts[i]
                if earlier is None or earlier.grade in ("compatible", "undecided"):
                    verdicts[i] = _verdict(scenario, drawn, trial, k, adjusted[i])
        for i, verdict in enumerate(verdicts):
            assert verdict is not None
            assert (verdict.grade, verdict.k) == (found[i, trial], seeds[i, trial])
            accused += verdict.grade == "contradicted"
    assert accused > 30


def _verdict(scenario: Scenario, draws: NumberTrials, trial: int, k: int, holm_p: float = 1.0) -> Verdict:
    return grade_number(
        f"{draws.claim[trial]:.{scenario.decimals}f}",
        draws.ours[trial, :k].tolist(),
        spread=Spread(sigma0=float(draws.sigma0[trial]), nu0=NU0, source=""),
        margin=float(draws.margin[trial]),
        alignment_green=True,
        adjust=lambda _: holm_p,
    )


def test_broken_seeds_make_unstable_and_not_wrong() -> None:
    broken = simulate(replace(R4_SEG_A, broken=0.1), trials=TRIALS)
    assert broken["unstable"] > 0.25
    assert broken["contradicted"] <= 0.01


@pytest.mark.parametrize("law", ["t3", "skewed"])
def test_other_laws_of_seeds_accuse_rarely(law: str) -> None:
    honest = simulate(replace(R4_SEG_A, law=law), trials=TRIALS)  # type: ignore[arg-type]
    assert honest["contradicted"] <= 0.015
    edge = simulate(replace(R4_SEG_A, law=law, shift=-1.0, printed="fixed"), trials=TRIALS)  # type: ignore[arg-type]
    assert edge["reproduced"] <= 0.08


def test_pairing_independent_seeds_costs_power() -> None:
    two_samples = race(Race(gap=3.0, looks=(3,), level=0.05), trials=TRIALS)["as claimed"]
    assert two_samples == pytest.approx(0.90, abs=0.02)
    assert paired_power(3.0, 3, trials=TRIALS) == pytest.approx(0.51, abs=0.02)


@pytest.mark.parametrize("ranked", [1, 7, 14])
def test_equal_recipes_are_rarely_ordered_over_a_report_and_all_looks(ranked: int) -> None:
    assert report_race(ranked=ranked) <= 0.05


# ---------------------------------------------------------------- the simulation itself


@pytest.mark.parametrize("slug", ["r4-seg-a", "r5-finetune-c", "r1-finetune-a"])
def test_the_simulation_judges_as_the_scalar_rule_does(slug: str) -> None:
    """The same reports, drawn one by one and judged through the printed string, with looks."""
    cell = replace(CELLS[slug], shift=-1.5, printed="fixed")
    generator, grades = np.random.default_rng(0), []
    for _ in range(600):
        ours = generator.normal(cell.mean - 1.5 * cell.margin, cell.sigma0, 10).tolist()
        for k in range(3, 11):
            verdict = grade_number(
                f"{cell.mean:.{cell.decimals}f}",
                ours[:k],
                spread=Spread(sigma0=cell.sigma0, nu0=NU0, source=""),
                margin=cell.margin,
                alignment_green=True,
            )
            if verdict.grade not in ("compatible", "undecided"):
                break
        grades.append(verdict.grade)
    found = simulate(cell, trials=TRIALS)
    for grade in NUMBER_GRADES:
        share = found[grade]
        assert grades.count(grade) / 600 == pytest.approx(share, abs=2e-3 + allowance(share, 600)), grade


def test_the_race_judges_as_the_scalar_rule_does() -> None:
    generator, claimed = np.random.default_rng(0), 0
    for _ in range(600):
        first, second = generator.normal(0.01, 0.01, 10), generator.normal(0.0, 0.01, 10)
        for k in (3, 5, 10):
            sides = (Side(name=n, figures=tuple(f[:k])) for n, f in (("b", first), ("a", second)))
            verdict = grade_ordering(*sides, spread=Spread(sigma0=0.01, nu0=NU0, source=""), margin=1.0)
            if verdict.grade != "undecided":
                break
        claimed += verdict.grade == "as claimed"
    share = race(Race(gap=1.0), trials=TRIALS)["as claimed"]
    assert claimed / 600 == pytest.approx(share, abs=allowance(share, 600))


def test_shares_are_shares_and_seeds_repeat() -> None:
    one, two = (simulate(R4_SEG_A, seed=3, trials=500) for _ in range(2))
    assert one == two
    assert sum(one.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("slug", PRINTED)
def test_the_cells_are_the_ledgers_figures(slug: str) -> None:
    file = ROOT / "bench" / "claims" / f"{slug[:2]}.toml"
    assert f'"{PRINTED[slug][2]}"' in file.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_shows_the_tables_of_a_run() -> None:
    page = (ROOT / "docs" / "grading.md").read_text(encoding="utf-8")
    shown = page.split("<!-- python -m bench.grading.simulation -->\n")[1].split("\n<!-- end -->")[0]
    number = re.compile(r"\d+(?:\.\d+)?")
    expected = tables()
    assert number.sub("#", shown.strip()) == number.sub("#", expected.strip())
    for left, right in zip(number.findall(shown), number.findall(expected), strict=True):
        # Another numpy may draw other numbers: shares of 20,000 trials then move by up to 1.5 points
        # (three standard errors of a difference).
        assert float(left) == pytest.approx(float(right), abs=1.5)
