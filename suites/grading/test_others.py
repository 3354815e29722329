"""A printed result among others: the prediction interval, its place, joint statements, orderings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import simpson
from scipy.special import expit, logit

from bench.audit.survey_audit import inconsistent
from bench.claims.claim import Claim, Ledger, ReferenceClass
from bench.claims.ledger import load_ledgers
from bench.claims.survey import OtherFigure, load_others
from bench.grading import agreement, prediction
from bench.grading.agreement import PairSide
from bench.grading.others import (
    ABOVE,
    BELOW,
    IN_LINE,
    TOO_FEW,
    WITH_INCONSISTENT,
    WORDS,
    PlaceAmongOthers,
    best_figures,
    joint_places,
    ordinal,
    place,
    places,
    short,
)
from bench.grading.others_survey import gather
from bench.grading.prediction import PredictionInterval, mad_interval, prediction_interval

LEDGERS = load_ledgers()
SURVEY = load_others()
FAULTS = inconsistent(SURVEY)
FIVE = (0.61, 0.64, 0.655, 0.66, 0.70)


def figure(report: str, value: str, **changes: object) -> OtherFigure:
    """A land-cover figure of a made-up report."""
    base = OtherFigure(
        id=report, year=2022, task="landcover", setting="baseline", model="vgg16_fcn32s",
        pretrained="imagenet", value=value, unit="fraction", n=257, metric="miou", class_iou=(), excluded="",
        note="", where="report", checked="eye", line=2, file="mine.csv",
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def survey(*values: float) -> list[OtherFigure]:
    """A report for each value."""
    return [figure(f"x{number}", f"{value:.4f}") for number, value in enumerate(values)]


def claim(name: str, value: str, *, report: str = "r9", **changes: object) -> Claim:
    """A mean IoU of the class that ``figure`` is of."""
    base = Claim(
        report=report, id=f"{report}-{name}", kind="number", lines=(1,), text=name, metric="miou",
        value=value,
        unit="fraction", data="landcover", split="val",
        reference_class=(ReferenceClass(task="landcover", model=("vgg16_fcn32s",)),),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


# The prediction interval --------------------------------------------------------------------------------


def predictive_share(values: Sequence[float], low: float, high: float) -> float:
    """Posterior predictive probability of low…high, integrated by scipy: t with 4 df, prior 1/scale."""
    x = logit(np.asarray(values))
    location = np.linspace(x.mean() - 15 * x.std(), x.mean() + 15 * x.std(), 1201)[:, None]
    log_scale = np.linspace(np.log(x.std() / 40), np.log(40 * x.std()), 301)[None, :]
    log_density = sum(stats.t.logpdf(one, 4, location, np.exp(log_scale)) for one in x)
    density = np.exp(log_density - log_density.max())
    ends = [stats.t.cdf(logit(end), 4, location, np.exp(log_scale)) for end in (low, high)]

    def integral(of: np.ndarray) -> float:
        return float(simpson(simpson(of, x=log_scale[0], axis=1), x=location[:, 0]))

    return integral(density * (ends[1] - ends[0])) / integral(density)


@pytest.mark.parametrize("values", [FIVE, (0.3, 0.45, 0.5, 0.52, 0.55, 0.7), (0.9, 0.91, 0.92, 0.95, 0.99)])
def test_the_interval_is_the_posterior_predictive_one(values: tuple[float, ...]) -> None:
    interval = prediction_interval(values)
    assert predictive_share(values, *interval) == pytest.approx(0.95, abs=0.002)
    assert predictive_share(values, 1e-6, interval.low) == pytest.approx(0.025, abs=0.0015)


@pytest.mark.parametrize("reports", [5, 12])
def test_it_holds_one_more_report_in_95_of_100_however_few_there_are(reports: int) -> None:
    generator = np.random.default_rng(reports)
    shares = []
    for row in generator.standard_t(4, (150, reports)):
        interval = prediction_interval(tuple(map(float, expit(0.5 + 0.2 * row))))
        z = (logit(np.array(interval)) - 0.5) / 0.2
        shares.append(float(np.diff(stats.t.cdf(z, 4))[0]))
    # exact for this family; 3 standard errors of the mean of so many intervals' true shares
    assert np.mean(shares) == pytest.approx(0.95, abs=3 * np.std(shares) / math.sqrt(len(shares)))


def test_a_coarser_grid_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = [prediction_interval(values) for values in (FIVE, FIVE * 8)]
    monkeypatch.setattr(prediction, "_LOCATIONS", 2 * prediction._LOCATIONS - 1)
    monkeypatch.setattr(prediction, "_SCALES", 2 * prediction._SCALES - 1)
    prediction.prediction_interval.cache_clear()
    finer = [prediction_interval(values) for values in (FIVE, FIVE * 8)]
    prediction.prediction_interval.cache_clear()
    assert np.allclose(fine, finer, atol=5e-4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.2, 0.8), min_size=5, max_size=9, unique=True),
    st.floats(-0.5, 0.5),
    st.floats(0.5, 1.5),
)
def test_it_moves_and_stretches_with_the_figures(values: list[float], shift: float, stretch: float) -> None:
    moved = [float(expit(shift + stretch * logit(value))) for value in values]
    before, after = (prediction_interval(tuple(some), 1e-9) for some in (values, moved))
    assert logit(np.array(after)) == pytest.approx(shift + stretch * logit(np.array(before)), abs=2e-3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=5, max_size=12), st.randoms())
def test_it_is_an_interval_around_the_middle_in_any_order(values: list[float], random: object) -> None:
    interval = prediction_interval(tuple(values))
    assert 0 <= interval.low <= np.median(values) <= interval.high <= 1
    assert prediction_interval(tuple(sorted(values))) == pytest.approx(interval, abs=1e-5)


def test_a_failed_run_widens_it_less_than_a_normal_interval() -> None:
    values = (0.64, 0.65, 0.655, 0.66, 0.665, 0.67, 0.68)
    without, with_failed = prediction_interval(values), prediction_interval((*values, 0.06))
    assert with_failed.low < without.low
    x = logit(np.array([*values, 0.06]))
    reach = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) * math.sqrt(1 + 1 / len(x))
    assert with_failed.high < expit(x.mean() + reach)
    assert with_failed.low > expit(x.mean() - reach)


@pytest.mark.parametrize("values", [(0.7,) * 5, (1.0,) * 4 + (0.99,), (0.0, 0.0, 0.5, 0.5, 0.5)])
def test_equal_figures_and_ends_of_the_scale_have_an_interval(values: tuple[float, ...]) -> None:
    interval = prediction_interval(values, 5e-5)
    assert 0 <= interval.low < interval.high <= 1
    assert interval.holds(float(np.median(values)), 5e-5)


def test_one_figure_predicts_nothing() -> None:
    with pytest.raises(ValueError, match="two figures"):
        prediction_interval((0.5,))


def test_mad_interval_is_what_it_says() -> None:
    x = logit(np.array(FIVE))
    spread = stats.median_abs_deviation(x, scale="normal")
    expected = expit(np.median(x) + 1.959964 * spread * np.array([-1, 1]))
    assert mad_interval(FIVE) == pytest.approx(tuple(expected), abs=1e-4)


def test_an_end_that_rounding_reaches_is_inside() -> None:
    interval = PredictionInterval(0.6, 0.7)
    assert not interval.holds(0.704)
    assert interval.holds(0.704, 0.005)
    assert interval.holds(0.5955, 0.005)
    assert not interval.holds(0.59, 0.005)


# Places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"), [("0.655", IN_LINE), ("0.99", ABOVE), ("0.10", BELOW), ("0.61", IN_LINE)]
)
def test_the_word_follows_from_the_interval(value: str, word: str) -> None:
    placed = place(claim("a", value), claim("a", value).reference_class[0], survey(*FIVE))
    assert placed.word == word
    assert placed.n == 5
    assert placed.interval == prediction_interval(tuple(sorted(FIVE, reverse=True)), 5e-5)


@pytest.mark.parametrize("reports", range(5))
def test_fewer_than_five_are_too_few(reports: int) -> None:
    one = claim("a", "0.99")
    placed = place(one, one.reference_class[0], survey(*FIVE[:reports]))
    assert (placed.word, placed.interval) == (TOO_FEW, None)
    assert "too few to say" in placed.sentence


@pytest.mark.parametrize(
    ("value", "rank", "p", "words"),
    [
        ("0.80", 1, 1 / 6, "above all 5 (p = 1/6)"),
        ("0.65", 4, 3 / 6, "the 4th highest of 6"),
        ("0.66", 2, 3 / 6, "the joint 2nd highest of 6"),
        ("0.70", 1, 2 / 6, "the joint highest of 6"),
        ("0.50", 6, 1 / 6, "below all 5 (p = 1/6)"),
    ],
)
def test_rank_and_its_p(value: str, rank: int, p: float, words: str) -> None:
    one = claim("a", value)
    placed = place(one, one.reference_class[0], survey(*FIVE))
    assert (placed.rank, placed.rank_p, placed.place_in_words) == (rank, pytest.approx(p), words)


def test_the_sentence_of_a_card() -> None:
    one = claim("a", "0.65")
    placed = place(one, one.reference_class[0], survey(*FIVE))
    low, high = (short(end) for end in placed.interval or ())
    assert placed.sentence == (
        f"5 others report VGG16-FCN32s: {low} to {high}; this one is the 4th highest of 6"
        " (in line with others)"
    )
    assert placed.dots == tuple(sorted(FIVE, reverse=True))


def test_a_report_counts_once_with_its_best_figure() -> None:
    figures = [*survey(*FIVE), figure("x0", "0.71"), figure("x0", "0.20")]
    best = best_figures(ReferenceClass(task="landcover"), figures, "miou")
    assert len(best) == 5
    assert best["x0"].value == "0.71"


def test_inconsistent_figures_are_left_out_and_what_they_change_is_shown() -> None:
    figures = [*survey(*FIVE), figure("odd", "0.9999")]
    one = claim("a", "0.80")
    placed = place(one, one.reference_class[0], figures, left_out={figures[-1]})
    assert (placed.n, placed.left_out, placed.rank) == (5, 1, 1)
    other = placed.variants[WITH_INCONSISTENT]
    assert (other.n, other.rank) == (6, 2)
    alike = place(one, one.reference_class[0], figures)
    assert not alike.variants


def test_a_report_with_an_inconsistent_best_figure_counts_with_the_next() -> None:
    figures = [*survey(*FIVE), figure("x0", "0.9999")]
    one = claim("a", "0.80")
    placed = place(one, one.reference_class[0], figures, left_out={figures[-1]})
    assert (placed.n, placed.left_out) == (5, 0)
    assert placed.variants[WITH_INCONSISTENT].rank == 2


def test_a_class_without_the_older_split_is_shown_beside() -> None:
    figures = [*survey(*FIVE), figure("old", "0.6900", year=2018)]
    one = claim("a", "0.80")
    assert place(one, one.reference_class[0], figures).variants["2020 and later"].n == 5


def test_ious_of_single_classes_are_placed_among_such() -> None:
    figures = [
        figure(f"x{i}", "0.6000", class_iou=("0.9", f"0.{30 + i}", "0.5", "0.5", "0.5", "0.5"))
        for i in range(5)
    ]
    one = claim("a", "0.32", metric="iou", class_index=1)
    placed = place(one, one.reference_class[0], figures)
    assert placed.dots == (0.34, 0.33, 0.32, 0.31, 0.30)
    assert placed.rank == 3


def test_our_claims_do_not_move_the_interval() -> None:
    figures = survey(*FIVE)
    placed = [place(claim("a", v), claim("a", v).reference_class[0], figures) for v in ("0.1", "0.5", "0.9")]
    assert len({one.interval for one in placed}) == 1


# Joint statements ---------------------------------------------------------------------------------------


def tables(rows: dict[str, tuple[float, float, float]]) -> list[OtherFigure]:
    """Reports that print three settings each."""
    return [
        figure(report, f"{value:.4f}", setting=setting)
        for report, values in rows.items()
        for setting, value in zip("ABC", values, strict=True)
    ]


def joint(values: tuple[str, str, str], rows: dict[str, tuple[float, float, float]]) -> list[object]:
    claims = tuple(
        claim(name, value, reference_class=(ReferenceClass(task="landcover", setting=name),))
        for name, value in zip("ABC", values, strict=True)
    )
    ledger = Ledger("r9", "made up", 2024, claims, "r9.toml")
    statements = joint_places(places([ledger], tables(rows), ()))
    return [(s.side, len(s.places), s.tables, s.equals, round(s.p, 4)) for s in statements]


ROWS = {f"x{i}": (0.5 + 0.01 * i, 0.6 - 0.01 * i, 0.55 + 0.005 * i) for i in range(9)}


def test_three_figures_above_all_are_one_statement_of_one_table_in_ten() -> None:
    assert joint(("0.9", "0.9", "0.9"), ROWS) == [("above", 3, 9, 0, 0.1)]
    assert joint(("0.1", "0.1", "0.1"), ROWS) == [("below", 3, 9, 0, 0.1)]


def test_one_figure_above_all_is_no_joint_statement() -> None:
    assert joint(("0.9", "0.55", "0.57"), ROWS) == []


def test_a_report_that_stands_out_as_often_counts_against_it() -> None:
    # two of three above all others; another report is below all in two, which is the other side
    assert joint(("0.9", "0.9", "0.57"), ROWS) == [("above", 2, 9, 0, 0.1)]
    rows = {**ROWS, "y": (0.58, 0.70, 0.70)}  # the first in two classes, but for the report itself
    assert joint(("0.9", "0.55", "0.57"), rows) == []


def test_reports_without_the_whole_table_are_not_compared() -> None:
    figures = [f for f in tables(ROWS) if (f.id, f.setting) != ("x0", "C")]
    claims = tuple(
        claim(name, "0.9", reference_class=(ReferenceClass(task="landcover", setting=name),))
        for name in "ABC"
    )
    (statement,) = joint_places(places([Ledger("r9", "", 2024, claims, "r9.toml")], figures, ()))
    assert (statement.tables, statement.p) == (8, pytest.approx(1 / 9))


def test_joint_p_is_uniform_when_the_report_is_one_of_them() -> None:
    # Every table takes the report's place in turn: a p of at most a, in at most a share a of turns.
    generator = np.random.default_rng(5)
    values = 0.5 + 0.05 * generator.standard_normal((12, 3)) + 0.1 * generator.standard_normal((12, 1))
    hits = []
    for turn in range(12):
        rows = {f"x{i}": tuple(values[i]) for i in range(12) if i != turn}
        own = tuple(f"{value:.6f}" for value in values[turn])
        hits += [p for *_, p in joint(own, rows) if p <= 1 / 12 + 1e-4]  # type: ignore[misc, arg-type]
    assert len(hits) <= 2  # at most one table a side


# The packaged survey ------------------------------------------------------------------------------------


PLACED = {
    # claim: others, word, rank; without the figures that fail the audit
    "r1-seg-a": (73, IN_LINE, 43), "r1-seg-b": (14, IN_LINE, 8), "r2-seg-a": (73, IN_LINE, 38),
    "r2-seg-b": (36, IN_LINE, 26), "r3-seg-a": (70, IN_LINE, 60), "r3-seg-b": (14, IN_LINE, 5),
    "r4-seg-a": (73, IN_LINE, 40), "r4-seg-b": (6, IN_LINE, 2), "r3-classify-a": (22, IN_LINE, 11),
    "r3-classify-b": (23, IN_LINE, 2), "r1-finetune-a": (44, IN_LINE, 37), "r3-finetune-e": (46, IN_LINE, 33),
    "r5-finetune-a": (44, IN_LINE, 1), "r5-finetune-b": (45, IN_LINE, 1), "r5-finetune-c": (47, ABOVE, 1),
    "r5-finetune-d": (47, IN_LINE, 31), "r5-finetune-e": (46, IN_LINE, 2),
}  # fmt: skip


@pytest.fixture(scope="module")
def placed() -> dict[str, tuple[PlaceAmongOthers, ...]]:
    return places(LEDGERS, SURVEY, FAULTS)


def test_places_of_the_printed_results(placed: dict[str, tuple[PlaceAmongOthers, ...]]) -> None:
    found = {name: (p.n, p.word, p.rank) for name in PLACED for p in placed[name]}
    assert found == PLACED
    assert sum(p.interval is not None for several in placed.values() for p in several) == 37
    assert {p.word for several in placed.values() for p in several} <= WORDS.keys()


def test_r5_is_above_all_in_three_settings_with_every_figure_counted() -> None:
    every = places(LEDGERS, SURVEY, ())
    for name in "abc":
        (one,) = every[f"r5-finetune-{name}"]
        assert one.rank == 1
        assert one.rank_p == pytest.approx(1 / (one.n + 1))
        assert one.n in (53, 54)
    (statement,) = joint_places(every)
    assert (statement.report, statement.side, statement.tables, statement.equals) == ("r5", "above", 53, 0)


def test_r2_fits_pretrained_networks_better_than_untrained_ones(
    placed: dict[str, tuple[PlaceAmongOthers, ...]],
) -> None:
    scratch, pretrained = placed["r2-classify"]
    assert (scratch.rank, scratch.n) == (1, 22)
    assert (pretrained.rank, pretrained.n) == (10, 15)


# Orderings ----------------------------------------------------------------------------------------------

SIDES = [
    PairSide(reference=ReferenceClass(task="landcover", model=(model,)), metric="miou")
    for model in ("vgg_fcn8s", "vgg16_fcn32s")
]


@pytest.mark.parametrize(("wins", "losses", "ties"), [(9, 1, 0), (3, 3, 2), (0, 6, 0), (1, 0, 0)])
def test_agreement_is_the_exact_sign_test(wins: int, losses: int, ties: int) -> None:
    figures = []
    for number, gap in enumerate([0.02] * wins + [-0.02] * losses + [0.0] * ties):
        figures += [
            figure(f"x{number}", "0.6500"),
            figure(f"x{number}", f"{0.65 + gap:.4f}", model="vgg16_fcn8s"),
        ]
    figures.append(figure("alone", "0.9000"))
    row = agreement.asked(*SIDES, (), figures)
    test = stats.binomtest(wins, wins + losses)
    assert (row.agree, row.against, row.ties) == (wins, losses, ties)
    assert row.p == pytest.approx(test.pvalue)
    assert row.interval == pytest.approx(tuple(test.proportion_ci(0.95, "exact")))


def test_one_figure_of_both_classes_is_no_pair() -> None:
    both = (SIDES[1], PairSide(reference=ReferenceClass(task="landcover"), metric="miou"))
    assert agreement.gaps(*both, [figure("x", "0.65")]) == {}


def test_the_order_of_the_sides_turns_the_counts() -> None:
    one = agreement.asked(*SIDES, LEDGERS, SURVEY, FAULTS)
    other = agreement.asked(*reversed(SIDES), LEDGERS, SURVEY, FAULTS)
    assert (one.agree, one.against, one.p) == (other.against, other.agree, other.p)
    assert one.median_gap == pytest.approx(-(other.median_gap or 0))


COUNTS = {"BA": (39, 3), "CA": (37, 5), "CB": (28, 16), "BD": (43, 2), "CE": (42, 1), "DE": (24, 21)}


def test_settings_as_others_print_them() -> None:
    pairs = {
        f"{pair.first.reference.setting}{pair.second.reference.setting}": pair
        for pair in agreement.setting_pairs(LEDGERS, SURVEY, FAULTS)
    }
    assert len(pairs) == 10
    assert {name: (pairs[name].agree, pairs[name].against) for name in COUNTS} == COUNTS
    assert {report for report, gap in pairs["BA"].graded.items() if gap < 0} == {"r5"}
    assert all(pair.graded.keys() == {"r1", "r3", "r5"} for pair in pairs.values())


def test_a_claim_is_counted_on_its_own_side() -> None:
    rows = agreement.agreements(LEDGERS, SURVEY, FAULTS)
    sides = [(row.first, row.second) for row in rows]
    assert len(set(sides)) == len(sides)
    assert not {(second, first) for first, second in sides} & set(sides)
    (frozen,) = [row for row in rows if "r3-order-frozen" in (*row.claims, *row.opposite)]
    assert ("r3-order-frozen" in frozen.claims) != ("r5-order-frozen" in frozen.claims)


def test_a_tie_and_two_figures_of_one_class_rank_nothing() -> None:
    of_id = {claim.id: (claim, ledger) for ledger in LEDGERS for claim in ledger.claims}
    assert agreement.ordered_sides(*of_id["r3-order-tie"]) == []
    assert len(agreement.ordered_sides(*of_id["r2-order-seg"])) == 1
    assert len(agreement.ordered_sides(*of_id["r1-order-full"])) == 3


def test_what_a_card_says_of_a_claim() -> None:
    others = gather(LEDGERS)
    of_id = {claim.id: claim for ledger in LEDGERS for claim in ledger.claims}
    (sentence,) = others.sentences(of_id["r4-seg-a"])
    assert sentence.startswith("73 others report VGG16-FCN32s: .")
    assert len(others.sentences(of_id["r2-classify"])) == 2
    (order,) = others.sentences(of_id["r1-order-full-frozen-byol"])
    assert order.startswith("42 of 43 others that print both sides agree (sign test p = 1e-11")
    assert others.sentences(of_id["r1-byol-loss"]) == []


# Words --------------------------------------------------------------------------------------------------


def test_words_are_none_of_our_own_verdicts() -> None:
    from bench.grading import verdict

    assert not set(WORDS) & set(verdict.GRADES)
    assert not any("reproduced" in text for text in (*WORDS, *WORDS.values()))


@pytest.mark.parametrize(
    ("number", "word"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"),
                         (21, "21st"),
                         (42, "42nd"), (103, "103rd"), (111, "111th")],
)  # fmt: skip
def test_ordinals(number: int, word: str) -> None:
    assert ordinal(number) == word


@pytest.mark.parametrize(
    ("value", "text"), [(0.6206, ".621"), (0.0, ".000"), (1.0, "1.000"), (0.9996, "1.000")]
)
def test_short_fractions(value: float, text: str) -> None:
    assert short(value) == text


def test_nothing_of_the_survey_names_the_folder_of_its_source() -> None:
    root = Path(__file__).parents[2]
    for path in (root / "bench" / "claims" / "others.csv", root / "docs" / "others.md"):
        assert "shared" not in path.read_text(encoding="utf-8").replace("share code", "")
