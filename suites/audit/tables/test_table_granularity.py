"""GRIM, GRIMMER and deviations between extremes, against trying all whole numbers."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations_with_replacement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.audit.tables import TableAudit
from bench.audit.tables.granularity import possible_deviation, rounded_twice, square_span
from bench.audit.tables.table_finding import TableFinding, rounded
from bench.claims.cells import read_cell

Audited = Callable[..., TableAudit]
Against = Callable[[TableAudit], list[tuple[str, str, int]]]
Found = Callable[..., list[TableFinding]]


def figure(text: str):  # type: ignore[no-untyped-def]
    cell = read_cell(text)
    assert cell.figure is not None
    return cell.figure


@settings(max_examples=150)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=6), st.integers(1, 4), st.booleans())
def test_no_true_deviation_is_refused(right: list[int], decimals: int, sample: bool) -> None:
    n = 40
    shares = [k / n for k in right]
    deviation = statistics.stdev(shares) if sample else statistics.pstdev(shares)
    mean, sd = (figure(f"{value:.{decimals}f}") for value in (statistics.fmean(shares), deviation))
    assert possible_deviation(rounded(mean), rounded(sd), n, len(right), sample=sample)


def test_two_runs_are_decided_as_by_trying_all() -> None:
    """Every mean and deviation of three digits of two runs of 12 images."""
    n = 12
    printed = {
        (f"{statistics.fmean(pair) / n:.3f}", f"{statistics.stdev(pair) / n:.3f}")
        for pair in combinations_with_replacement(range(n + 1), 2)
    }
    means = sorted({mean for mean, _ in printed})
    for mean in means:
        for step in range(0, 720, 3):
            sd = f"{step / 1000:.3f}"
            possible = possible_deviation(rounded(figure(mean)), rounded(figure(sd)), n, 2, sample=True)
            assert possible == ((mean, sd) in printed), (mean, sd)


@settings(max_examples=150)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=7))
def test_the_squares_lie_between_their_bounds(values: list[int]) -> None:
    figures = [figure(f"{value / 10:.1f}") for value in values]
    exact = [f.value for f in figures]
    mean = sum(exact, Fraction(0)) / len(exact)
    squares = sum((value - mean) ** 2 for value in exact)
    low, high = figure(f"{min(values) / 10:.1f}"), figure(f"{max(values) / 10:.1f}")
    span = square_span(rounded(low), rounded(high), rounded(figure(f"{float(mean):.1f}")), len(exact))
    assert span is not None
    assert span[0] <= squares <= span[1]


SEEDS = """| model | accuracy (3 runs, 1000 test images) | min | max |
|---|---|---|---|
| a | 41.2 ± 0.4 | 40.8 | 41.7 |
| b | 88.1 ± 0.3 | 87.7 | 88.3 |
"""


def test_deviations_of_runs_with_their_extremes(audited: Audited, found: Found, against: Against) -> None:
    """40.8 41.1 41.7 deviate by 0.374 (population) or 0.458 (sample), 87.7 88.3 88.3 by 0.283 or 0.346."""
    audit = audited(SEEDS)
    assert not against(audit)
    one, other = found(audit, "standard deviation")
    assert one.sentence.endswith("0.4 is possible as population SD")
    assert other.sentence.endswith("0.3 is possible as population SD and as sample SD")
    assert ("standard deviation", "strong", 3) in against(audited(SEEDS.replace("± 0.4", "± 0.9")))
    assert ("extremes", "strong", 4) in against(audited(SEEDS.replace("88.1 ± 0.3", "87.1 ± 0.3")))
    assert ("extremes", "strong", 3) in against(audited(SEEDS.replace("41.2 ± 0.4", "41.9 ± 0.4")))


def test_no_three_values_have_that_mean(audited: Audited, against: Against) -> None:
    """Within 40.8 to 41.7, but the third run would lie outside."""
    assert ("standard deviation", "strong", 3) in against(audited(SEEDS.replace("41.2 ± 0.4", "41.6 ± 0.4")))


def test_grimmer_needs_runs_and_images(audited: Audited, found: Found, against: Against) -> None:
    text = "| model | accuracy |\n|---|---|\n| a | 0.850 ± 0.071 |\n| b | 0.850 ± 0.033 |\n"
    (silent,) = found(audited(text), "GRIMMER")
    assert silent.verdict == "not checked"
    assert "--runs" in silent.sentence
    audit = audited(text, n=10, runs=2)  # 8 and 9 of 10 deviate by 0.050 or 0.071, no two runs by 0.033
    assert ("GRIMMER", "strong", 4) in against(audit)
    assert [f.line for f in found(audit, "GRIMMER", "holds")] == [3]


@pytest.mark.parametrize(
    ("value", "verdict", "strength"),
    [("0.785600", "holds", "strong"), ("0.785700", "against", "strong"), ("78.56", "holds", "weak")],
)
def test_grim_of_a_column_of_counts(
    audited: Audited, found: Found, value: str, verdict: str, strength: str
) -> None:
    (finding,) = found(audited(f"| net | top-1 | n |\n|---|---|---|\n| a | {value} | 2,500 |\n"), "GRIM")
    assert (finding.verdict, finding.strength) == (verdict, strength)


def test_figures_that_any_number_gives_are_not_called_checked(audited: Audited, found: Found) -> None:
    (finding,) = found(audited("| net | accuracy |\n|---|---|\n| a | 93.1 |\n", n=5000), "GRIM")
    assert finding.verdict == "not checked"
    assert "5,000 images can give any value" in finding.sentence


@given(st.integers(0, 46837), st.sampled_from([1, 2]))
def test_what_was_rounded_twice_is_weak_at_most(k: int, more: int) -> None:
    once = f"{100 * k / 46837:.{3 + more}f}"
    twice = f"{float(once):.3f}"
    assert rounded_twice(figure(twice), 46837, percent=True)


def test_rounded_twice_in_a_table(audited: Audited, against: Against) -> None:
    """Correct accuracies of 46,837 images, rounded to four digits and then the wrong way to three."""
    n, texts = 46837, []
    for k in range(40000, 41000):
        once = f"{100 * k / n:.4f}"
        if once.endswith("5") and 100 * k / n < float(once):
            texts.append(f"{float(once) + 1e-9:.3f}")
    assert len(texts) > 10
    rows = "".join(f"n{i},{text},{n}\n" for i, text in enumerate(texts))
    found = against(audited("model,top1,n\n" + rows, ".csv"))
    assert {strength for _, strength, _ in found} <= {"weak"}
    assert len([check for check, _, _ in found if check == "GRIM"]) > 10


def test_long_quotients_give_their_number_away(audited: Audited, found: Found, against: Against) -> None:
    n = 406
    values = [str(k / n) for k in (99, 210, 182, 91, 121)]
    text = "model,accuracy\n" + "".join(f"n{i},{value}\n" for i, value in enumerate(values))
    audit = audited(text, ".csv")
    (finding,) = found(audit, "GRIM", "holds")
    assert "n = 406 (or of a multiple)" in finding.sentence
    wrong = text + "x,0.4482758620689755\n"  # one digit of 182/406
    assert ("GRIM", "strong", 7) in against(audited(wrong, ".csv"))
