"""Which runs a verdict may rest on, and every way a claim can end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made_up
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.claims.claim import KINDS, Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import alignment, grader, numbers, relevance, statistics, verdict
from bench.grading import groups as groups_module
from bench.grading import measured as measured_module
from bench.grading.grader import GradedClaim, grade_all
from bench.grading.groups import Runs
from bench.grading.measured import measure
from bench.grading.spread import expected_spread
from bench.pages.wording import named
from bench.runs import records, tiers
from bench.runs.records import Record
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

CLASSIFY, SEG_A, SEG_B = "r4-classify", "r4-seg-a", "r4-seg-b"
LEDGERS = load_ledgers()


def a_run(slug: str = SEG_A, value: float | None = 0.663704, **changes: Any) -> Record:
    """A record made up, of official data at full tier unless told otherwise."""
    return made_up.a_run(slug, value, **changes)


def runs(slug: str, values: Sequence[float], **common: Any) -> list[Record]:
    return [a_run(slug, value, seed=seed, **common) for seed, value in enumerate(values)]


def keep(
    folder: Path, record: Record, per_image: np.ndarray, targets: np.ndarray, ids: Sequence[str]
) -> None:
    path = made_up.write(folder, record)
    np.savez_compressed(path.with_suffix(".npz"), per_image=per_image, targets=targets, ids=np.array(ids))


def graded(
    found: Sequence[Record], *claims: Claim, green: bool = False, folder: Path | None = None
) -> dict[str, GradedClaim]:
    """Rows by claim: of the given claims, else of R4."""
    ledgers = [Ledger("x", "x", None, claims, "x.toml")] if claims else LEDGERS
    rows = grade_all(ledgers, found, alignment_green=green, folder=folder)
    return {row.claim.id: row for row in rows}


def a_claim(kind: str = "number", claim_id: str = "x-claim", **keys: Any) -> Claim:
    return Claim(report="x", id=claim_id, kind=kind, lines=(1,), text="…", **keys)


# ---------------------------------------------------------------- every claim ends somewhere


def test_without_records_every_claim_is_not_tested_for_a_named_reason() -> None:
    rows = graded([])
    assert len(rows) == sum(len(ledger.claims) for ledger in LEDGERS) > 200
    checked = {row.grade for name, row in rows.items() if name in grader.checks()}
    assert checked <= {"matches", "differs", "not tested"}
    rest = [row for name, row in rows.items() if name not in grader.checks()]
    assert {row.grade for row in rest} == {"not tested"}
    assert {row.reason for row in rest} <= set(verdict.NOT_TESTED_REASONS)
    assert {row.claim.kind for row in rows.values()} == set(KINDS)


def test_illegible_comes_before_everything() -> None:
    claim = a_claim(recipe=SEG_A, metric="miou", value="0.6", illegible=True, illegible_why="cut off")
    row = graded(runs(SEG_A, [0.6] * 3), claim)["x-claim"]
    assert (row.label, row.sentence.endswith("cut off")) == ("not tested: illegible", True)


def test_what_no_recipe_covers() -> None:
    rows = graded(
        [],
        a_claim(recipe="no-such", metric="miou", value="0.6"),
        a_claim("figure", "x-figure", unstated=("everything",)),
        a_claim("process", "x-process"),
    )
    assert rows["x-claim"].label == "not tested: no recipe"
    assert rows["x-figure"].label == "not tested: not stated"
    assert rows["x-process"].label == "not tested: no recipe"


def test_one_claim_is_graded_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a number its report's numbers are looked at, and no check of networks or formulas is evaluated."""
    evaluated: list[str] = []

    def check(name: str) -> tuple[str, str]:
        evaluated.append(name)
        return "", ""

    checks = {name: partial(check, name) for name in grader.checks()}
    monkeypatch.setattr(grader, "checks", lambda: checks)
    (row,) = grade_all(LEDGERS, runs(SEG_A, [0.66, 0.67, 0.665]), alignment_green=False, only=[SEG_A])
    assert (row.claim.id, row.grade, evaluated) == (SEG_A, "reproduced", [])
    whole = graded(runs(SEG_A, [0.66, 0.67, 0.665]))[SEG_A]
    assert (row.sentence, row.holm_p) == (whole.sentence, whole.holm_p)


# ---------------------------------------------------------------- numbers: which runs count


def test_a_number_is_graded_by_the_rule_on_all_its_seeds() -> None:
    values = [0.66, 0.67, 0.665]
    row = graded(runs(SEG_A, values))[SEG_A]
    assert row.statistics == numbers.grade_number(
        "0.663704", values, spread=expected_spread("miou", 257, 0.663704), margin=0.025, assumptions=True
    )
    assert row.label == "reproduced"
    assert [r.seed for r in row.runs] == [0, 1, 2]
    assert row.assumptions == RECIPES[SEG_A].assumptions
    assert row.measured is not None
    assert row.measured.majority == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("found", "label"),
    [
        (runs(SEG_A, [0.66] * 3, source="synthetic", tier="smoke"), "not tested: data"),
        (runs(SEG_A, [0.66] * 3, source="stand-in"), "not tested: data"),
        (runs(SEG_A, [0.66] * 3, tier="smoke"), "not tested: tier"),
        (runs(SEG_A, [0.66] * 3, tier="gpu"), "not tested: deviation"),
        (runs(SEG_A, [0.66] * 3, options=lambda r: replace(r, init="scratch")), "not tested: deviation"),
        (runs(SEG_A, [0.66] * 3, numerics={"dtype": "bfloat16"}), "not tested: deviation"),
        (
            runs(SEG_A, [0.66] * 3, tier="gpu") + runs(SEG_A, [0.66], source="stand-in"),
            "not tested: deviation",
        ),
        (runs(SEG_A, [0.66] * 3, status="interrupted"), "not tested: data"),
        (runs(SEG_B, [0.66] * 3), "not tested: data"),
        (runs(SEG_A, [0.051] * 3), "not tested: chance"),
    ],
)
def test_runs_that_decide_nothing(found: list[Record], label: str) -> None:
    row = graded(found)[SEG_A]
    assert row.label == label
    assert (row.runs, row.measured, row.statistics) == ((), None, None)


def test_what_other_runs_show_is_a_rehearsal_without_a_word_of_a_verdict() -> None:
    found = runs(SEG_A, [0.66, 0.67, 0.665])
    row = graded([*found, *runs(SEG_A, [0.3, 0.4], source="synthetic", tier="smoke")])[SEG_A]
    assert row.label == "reproduced"
    assert [r.weights_hash for r in row.runs] == [r.weights_hash for r in found]
    assert row.rehearsal == (
        "rehearsed: miou 0.3500 (2 seeds; the majority class has 0.0500), synthetic data, smoke tier"
    )
    words = set(verdict.GRADES) - {"seen"}
    assert not any(word in row.rehearsal for word in words)


def test_an_invented_report_may_name_synthetic_data() -> None:
    claim = a_claim(recipe=SEG_A, metric="miou", value="0.66", unit="fraction", source="synthetic")
    assert graded(runs(SEG_A, [0.66] * 3, source="synthetic"), claim)["x-claim"].grade == "reproduced"
    assert graded(runs(SEG_A, [0.66] * 3), claim)["x-claim"].label == "not tested: data"


def other_batch(recipe: Recipe) -> Recipe:
    return replace(recipe, batch_size=3)


def test_groups_never_mix() -> None:
    """One group for each combination of tier, data, deviations and numerics; each record in one."""
    found = [
        a_run(SEG_A, 0.5, seed=seed, tier=tier, source=source, numerics={"device": device}, options=options)
        for seed, tier, source, device, options in itertools.product(
            range(2), tiers.TIERS, groups_module.SOURCES, ("cpu", "cuda:1"), (lambda r: r, other_batch)
        )
    ]
    groups = Runs(found).groups[SEG_A]
    assert len(groups) == len(tiers.TIERS) * len(groups_module.SOURCES) * 2 * 2
    assert all([r.seed for r in group.runs] == [0, 1] for group in groups)
    assert sorted(r.run_id for g in groups for r in g.runs) == sorted(r.run_id for r in found)
    assert [g.source for g in groups] == sorted((g.source for g in groups), key=groups_module.SOURCES.index)


MIXED = [
    *runs(SEG_A, [0.66, 0.67, 0.665]),
    *runs(SEG_B, [0.70, 0.71, 0.72]),
    *runs(SEG_B, [0.5, 0.6], source="synthetic", tier="smoke"),
    *runs(SEG_A, [0.4, 0.3, 0.2], source="stand-in", tier="smoke"),
    a_run(SEG_A, 0.1, seed=1, attempt=2, again="the disk was full"),
    a_run(SEG_B, None, seed=3, status="diverged"),
]


@settings(max_examples=10, deadline=None)
@given(st.permutations(MIXED))
def test_the_order_of_records_changes_nothing(found: list[Record]) -> None:
    def told(records_given: Sequence[Record]) -> list[object]:
        rows = grade_all(LEDGERS[3:4], records_given, alignment_green=True)
        kept = [row for row in rows if row.claim.kind in ("number", "ordering", "process", "figure")]
        return [(r.claim.id, r.label, r.sentence, r.holm_p, [x.name for x in r.runs]) for r in kept]

    assert told(found) == told(MIXED)


# ---------------------------------------------------------------- every started run counts


def test_a_repetition_without_a_reason_replaces_nothing() -> None:
    """.60 .605 .61 stay what they are when .66 .655 .668 come after them."""
    first, second = runs(SEG_A, [0.60, 0.605, 0.61]), runs(SEG_A, [0.66, 0.655, 0.668], attempt=2)
    row = graded([*first, *second])[SEG_A]
    assert row.statistics is not None
    assert row.statistics.mean == pytest.approx(0.605)
    assert [line for line in row.replaced if "without a reason" in line] == list(row.replaced)
    assert len(row.replaced) == 3
    reasoned = [replace(r, again="the labels were shifted by one") for r in second]
    row = graded([*first, *reasoned])[SEG_A]
    assert row.statistics is not None
    assert row.statistics.mean == pytest.approx(0.661)
    assert all("was run anew: the labels were shifted by one" in line for line in row.replaced)


@pytest.mark.parametrize("status", ["failed", "oom"])
def test_a_machine_s_failure_is_no_result_and_a_divergence_is_one(status: str) -> None:
    broken = a_run(SEG_A, None, status=status)
    again = a_run(SEG_A, 0.66, attempt=2)
    others = [a_run(SEG_A, 0.66, seed=s) for s in (1, 2)]
    assert graded([broken, again, *others])[SEG_A].grade == "reproduced"
    diverged = replace(broken, status="diverged")
    assert graded([diverged, again, *others])[SEG_A].grade == "unstable"


def test_the_same_weights_bit_for_bit_are_the_same_run() -> None:
    first = runs(SEG_A, [0.66, 0.67, 0.665])
    same = [replace(r, attempt=2, started="2031-01-02") for r in first]
    row = graded([*first, *same])[SEG_A]
    assert (row.grade, row.replaced) == ("reproduced", ())


def test_an_interrupted_attempt_displaces_nothing() -> None:
    stopped = a_run(SEG_A, None, attempt=2, status="interrupted")
    assert graded([*runs(SEG_A, [0.66, 0.67, 0.665]), stopped])[SEG_A].grade == "reproduced"


@pytest.mark.parametrize("status", groups_module.BROKEN)
def test_a_claim_all_of_whose_runs_broke_is_unstable(status: str) -> None:
    row = graded([a_run(SEG_A, None, seed=s, status=status) for s in range(2)])[SEG_A]
    assert row.label == "unstable"
    assert f"seed 1 {status}" in row.sentence


@pytest.mark.parametrize("values", [[], [0.66, 0.67, 0.665]], ids=["all", "one of four"])
def test_a_run_stopped_at_the_constant_predictor_is_no_test(values: list[float]) -> None:
    reason = "training loss 1.9 at best in 10 of 50 epochs"
    stopped = a_run(SEG_A, None, seed=len(values), status="did not learn", reason=reason)
    row = graded([*runs(SEG_A, values), stopped])[SEG_A]
    assert row.label == "not tested: chance"
    assert row.sentence.endswith(f"{SEG_A} seed {len(values)} did not learn: {reason}")
    ordering = graded([*runs(SEG_A, values), stopped, *runs(SEG_B, [0.7, 0.71, 0.72])])["r4-order-seg"]
    assert ordering.label == "not tested: chance"


def test_more_than_one_broken_seed_of_five_voids_and_one_is_told() -> None:
    ended = runs(SEG_A, [0.66, 0.67, 0.665])
    lost = [a_run(SEG_A, None, seed=s, status="diverged") for s in (3, 4)]
    assert graded([*ended, *lost])[SEG_A].grade == "unstable"
    row = graded([*runs(SEG_A, [0.66, 0.67, 0.665, 0.66]), a_run(SEG_A, None, seed=4, status="diverged")])[
        SEG_A
    ]
    assert (row.grade, "seed 4 diverged" in row.sentence) == ("reproduced", True)


def test_diverged_seeds_of_one_side_void_an_ordering_and_are_named() -> None:
    found = [*runs(SEG_A, [0.60, 0.61, 0.62]), *runs(SEG_B, [0.70, 0.71, 0.72])]
    assert graded(found)["r4-order-seg"].grade == "as claimed"
    lost = [a_run(SEG_B, None, seed=s, status="diverged") for s in (3, 4)]
    row = graded([*found, *lost])["r4-order-seg"]
    assert (row.grade, "r4-seg-b: seed 3 diverged" in row.sentence) == ("unstable", True)


def test_seeds_after_a_gap_wait() -> None:
    found = [a_run(SEG_A, 0.66, seed=seed) for seed in (0, 1, 3, 4)]
    row = graded(found)[SEG_A]
    assert row.statistics is not None
    assert (row.statistics.k, "seed 2 left no result" in row.sentence) == (2, True)
    late = [*runs(SEG_B, [0.70, 0.71, 0.72, 0.71]), *(a_run(SEG_A, 0.6, seed=s) for s in (1, 2, 3))]
    assert "seed 0 left no result" in graded(late)["r4-order-seg"].sentence


def test_the_planned_seeds_are_told_and_the_first_ten_decide() -> None:
    found = [replace(r, planned_seeds=5) for r in runs(SEG_A, [0.66, 0.67, 0.665])]
    assert "5 seeds were planned" in graded(found)[SEG_A].sentence
    many = runs(SEG_A, [0.66, 0.67] * 6)
    row = graded(many)[SEG_A]
    assert row.statistics is not None
    assert (row.statistics.k, "the first 10 of 12" in row.sentence) == (10, True)


def test_an_undefined_figure_is_a_broken_seed() -> None:
    found = [a_run(SEG_A, None if s == 2 else 0.66, seed=s) for s in range(3)]
    for record in found[2:]:
        record.metrics["best"]["metrics"]["miou"]["value"] = None
    assert graded(found)[SEG_A].label == "not tested: chance"  # an undefined figure beats nothing


def test_runs_of_an_earlier_recipe_are_superseded_and_told() -> None:
    old = runs(SEG_A, [0.66, 0.67, 0.665])
    for record in old:
        record.recipe["batch_size"] = 4
    row = graded(old)[SEG_A]
    assert (row.label, row.superseded) == ("not tested: data", 3)
    assert "3 of an earlier recipe lie there" in row.sentence


def test_a_user_s_own_change_makes_another_group_not_an_older_one() -> None:
    found = [*runs(SEG_A, [0.66] * 3), *runs(SEG_A, [0.2] * 3, options=other_batch)]
    row = graded(found)[SEG_A]
    assert (row.grade, row.superseded) == ("reproduced", 0)


def test_of_one_seed_shown_otherwise_the_same_result_stands() -> None:
    """What is shown of a run makes another run id, and no other result."""
    (old,) = runs(SEG_A, [0.3], options=lambda r: replace(r, mask_epochs=(1,)), started="2031-01-01T00:00:00")
    (new,) = runs(SEG_A, [0.3], started="2031-01-02T00:00:00")
    new = replace(new, weights_hash=old.weights_hash)
    assert old.run_id != new.run_id
    for found in ([old, new], [new, old]):
        (group,) = Runs(found).groups[SEG_A]
        assert group.runs == (new,)


def test_runs_from_different_weights_are_different_groups() -> None:
    mine = {"from": "file mine.safetensors", "hash": "", "start": "1234567890", "start_recipe": ""}
    drawn = {"tier": "smoke", "source": "synthetic"}
    found = runs("r1-finetune-b", [0.3], **drawn)
    found += runs("r1-finetune-b", [0.4], initial_weights=mine, **drawn)
    groups = Runs(found).groups["r1-finetune-b"]
    assert [len(group.runs) for group in groups] == [1, 1]
    said = {named(group) for group in groups}
    other = "synthetic data, smoke tier; from file mine.safetensors (12345678)"
    assert said == {"synthetic data, smoke tier", other}


def test_words_of_a_recipe_may_change() -> None:
    found = runs(SEG_A, [0.66, 0.67, 0.665])
    for record in found:
        record.recipe["title"] = record.recipe["assumptions"][0]["why"] = "said otherwise"
    assert graded(found)[SEG_A].grade == "reproduced"


# ---------------------------------------------------------------- numbers: verdicts


@pytest.mark.parametrize(
    ("values", "green", "grade"),
    [
        ([0.70, 0.71, 0.715], False, "reproduced"),
        ([0.69, 0.685, 0.695], False, "compatible"),
        ([0.80, 0.81, 0.82], True, verdict.EXCEEDED_ASSUMING),
        ([0.80, 0.81, 0.82], False, "undecided"),
        ([0.60, 0.61, 0.62], True, verdict.NOT_REACHED),
        ([0.60, 0.61, 0.62], False, "undecided"),
        ([0.60, 0.61], True, "undecided"),
        ([0.71, 0.71, 0.10], True, "unstable"),
    ],
)
def test_every_verdict_on_a_number(values: list[float], green: bool, grade: str) -> None:
    assert graded(runs(SEG_B, values), green=green)[SEG_B].grade == grade


def test_only_a_recipe_without_assumptions_contradicts_or_exceeds() -> None:
    for values, grade in (([0.60, 0.61, 0.62], "contradicted"), ([0.80, 0.81, 0.82], "exceeded")):
        found = [replace(r, assumptions=[]) for r in runs(SEG_B, values)]
        assert graded(found, green=True)[SEG_B].grade == grade


def test_green_suites_vouch_for_the_code_they_tested_only() -> None:
    found = [replace(r, assumptions=[]) for r in runs(SEG_B, [0.60, 0.61, 0.62])]
    found[1].provenance["reference_hash"] = "of another day"
    assert graded(found, green=True)[SEG_B].grade == "undecided"


def test_p_values_are_adjusted_over_the_numbers_of_a_report() -> None:
    found = [*runs(SEG_A, [0.66, 0.67, 0.665]), *runs(SEG_B, [0.60, 0.61, 0.62])]
    rows = graded(found)
    p = {slug: row.statistics.p for slug in (SEG_A, SEG_B) if (row := rows[slug]).statistics}
    small, large = p[SEG_B], p[SEG_A]
    assert small is not None
    assert large is not None
    # Holm by hand: the smallest of two is doubled, the larger is at least that
    assert rows[SEG_B].holm_p == pytest.approx(2 * small)
    assert rows[SEG_A].holm_p == pytest.approx(max(2 * small, large))
    assert all(r.holm_p is None for r in rows.values() if r.claim.kind not in ("number", "ordering"))


def test_holm_takes_back_what_one_of_fifteen_numbers_may_be_by_chance() -> None:
    """The same three seeds contradict a number alone, and not as one of the fifteen of R4."""
    values = [0.645, 0.650, 0.655]
    alone = a_claim(recipe=SEG_B, metric="miou", value="0.710615", unit="fraction", n=257)
    found = [replace(r, assumptions=[]) for r in runs(SEG_B, values, ious=[0.5] * 6)]
    assert graded(found, alone, green=True)["x-claim"].grade == "contradicted"
    ledger = next(ledger for ledger in LEDGERS if ledger.report == "r4")
    honest = [float(ledger.claim(f"{SEG_B}-iou-{i}").fraction) for i in range(6)]
    other = [float(ledger.claim(f"{SEG_A}-iou-{i}").fraction) for i in range(6)]
    crowd = [replace(r, assumptions=[]) for r in runs(SEG_B, values, ious=honest)]
    crowd += runs(SEG_A, [0.663704] * 3, ious=other)
    crowd += runs(CLASSIFY, [0.7856] * 3)
    row = graded(crowd, green=True)[SEG_B]
    assert row.holm_p is not None
    assert row.statistics is not None
    assert row.statistics.p is not None
    assert row.holm_p == pytest.approx(15 * row.statistics.p)
    assert row.statistics.p < numbers.ALPHA < row.holm_p
    assert row.grade == "undecided"


def test_class_ious_are_read_by_their_index() -> None:
    ious = [0.73810, 0.86253, 0.28466, 0.77099, 0.67038, 0.65557]
    rows = graded(runs(SEG_A, [0.6637] * 3, ious=ious))
    for index, value in enumerate(ious):
        row = rows[f"r4-seg-a-iou-{index}"]
        assert row.measured is not None
        assert row.measured.mean == pytest.approx(value)
        assert row.grade == "reproduced"


def test_a_percent_claim_is_graded_end_to_end() -> None:
    """26.0 % of 406 images."""
    claim = a_claim(recipe=CLASSIFY, metric="top1", value="26.0", unit="percent", n=406)
    assert graded(runs(CLASSIFY, [0.26, 0.262, 0.258]), claim)["x-claim"].grade == "reproduced"
    assert graded(runs(CLASSIFY, [0.60] * 3), claim, green=True)["x-claim"].grade == verdict.EXCEEDED_ASSUMING


def test_a_claim_may_set_its_own_margin() -> None:
    common: dict[str, Any] = {"recipe": SEG_A, "metric": "miou", "value": "0.66", "unit": "fraction"}
    found = runs(SEG_A, [0.62, 0.62, 0.62, 0.62])
    rows = graded(found, a_claim(**common), a_claim(claim_id="x-wide", margin="0.1", **common))
    assert (rows["x-claim"].grade, rows["x-wide"].grade) == ("undecided", "reproduced")


def test_claims_about_one_epoch_read_the_curve() -> None:
    common: dict[str, Any] = {"recipe": CLASSIFY, "metric": "top1", "unit": "fraction", "value": "0.1"}
    claims = [
        a_claim(claim_id="x-first", epoch=1, **common),
        a_claim(claim_id="x-zero", epoch=0, epochs_from=0, **common),
        a_claim(claim_id="x-last", selection="last epoch of the figure", **common),
        a_claim(claim_id="x-late", epoch=99, **common),
    ]
    rows = graded([a_run(CLASSIFY, 0.8)], *claims)
    for name, value in (("x-first", 0.1), ("x-zero", 0.1), ("x-last", 0.8)):
        measured = rows[name].measured
        assert measured is not None
        assert measured.values == (value,)
    assert rows["x-late"].label == "not tested: epoch"


def test_a_metric_that_runs_do_not_record() -> None:
    claim = a_claim(recipe=CLASSIFY, metric="silhouette", value="0.3")
    assert graded([a_run(CLASSIFY, 0.8)], claim)["x-claim"].label == "not tested: no recipe"


def test_a_metric_without_a_known_spread_is_undecided() -> None:
    record = a_run(CLASSIFY, 0.8)
    record.metrics["best"]["metrics"]["silhouette"] = {"value": 0.3, "numerator": None, "denominator": None}
    claim = a_claim(recipe=CLASSIFY, metric="silhouette", value="0.3")
    assert graded([record], claim)["x-claim"].grade == "undecided"


def test_earlier_runs_of_other_recipes_set_the_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five groups on the same data and tier; the graded recipe's own runs are not among them."""
    found = runs(SEG_A, [0.66, 0.67, 0.665])
    alone = graded(found)[SEG_A].statistics
    history = []
    for i in range(5):
        slug = f"x-{i}"
        monkeypatch.setitem(RECIPES, slug, replace(RECIPES[SEG_B], slug=slug))
        history += runs(slug, [0.5 + 0.01 * i, 0.56, 0.62])
    with_history = graded([*found, *history])[SEG_A].statistics
    assert alone is not None
    assert with_history is not None
    assert with_history.sigma_hat is not None
    assert alone.sigma_hat is not None
    assert with_history.sigma_hat > 3 * alone.sigma_hat
    other_tier = [replace(r, tier="gpu") for r in history]
    assert graded([*found, *other_tier])[SEG_A].statistics == alone
    stuck = [a_run(r.slug, 0.051, seed=r.seed) for r in history]  # at chance: no spread of a training
    assert graded([*found, *stuck])[SEG_A].statistics == alone


# ---------------------------------------------------------------- differences

GAIN = {"metric": "delta_miou", "value": "0.05", "unit": "fraction", "difference_of": (SEG_B, SEG_A)}


def test_a_gain_is_of_two_samples_and_its_margin_is_the_gain() -> None:
    found = [*runs(SEG_A, [0.60, 0.605, 0.61, 0.605]), *runs(SEG_B, [0.65, 0.655, 0.66])]
    row = graded(found, a_claim(**GAIN))["x-claim"]
    assert row.statistics is not None
    assert row.statistics.mean == pytest.approx(0.05)
    assert (row.statistics.margin, row.statistics.k) == (pytest.approx(0.05), 3)
    assert row.grade == "reproduced"


@pytest.mark.parametrize(
    ("found", "label"),
    [
        ([a_run(SEG_A), a_run(SEG_B, source="synthetic")], "not tested: data"),
        ([a_run(SEG_A, tier="gpu"), a_run(SEG_B, tier="gpu")], "not tested: deviation"),
        ([a_run(SEG_A), a_run(SEG_B, None, status="failed")], "unstable"),
    ],
)
def test_a_gain_without_a_pair(found: list[Record], label: str) -> None:
    assert graded(found, a_claim(**GAIN))["x-claim"].label == label


# ---------------------------------------------------------------- orderings


def test_an_ordering_is_a_two_sample_test_with_the_expected_spread() -> None:
    first, second = [0.65, 0.66, 0.70], [0.60, 0.62, 0.64]
    row = graded([*runs(SEG_A, second), *runs(SEG_B, first)])["r4-order-seg"]
    scatter = 2 * (np.var(first, ddof=1) + np.var(second, ddof=1))
    error = np.sqrt((4 * 0.01**2 + scatter) / 8 * 2 / 3)
    p = 2 * stats.t(8).sf((np.mean(first) - np.mean(second)) / error)
    assert row.statistics is not None
    assert row.statistics.p == pytest.approx(p)
    assert row.grade == ("as claimed" if p < 0.015 else "undecided")


def test_the_other_way_round_is_opposite() -> None:
    found = [*runs(SEG_B, [0.60, 0.61, 0.62]), *runs(SEG_A, [0.70, 0.71, 0.72])]
    assert graded(found)["r4-order-seg"].label == "opposite"


def test_orderings_of_a_report_share_their_level() -> None:
    """p = .009 decides alone, and not among thirteen others of which none is smaller."""
    alone = a_claim("ordering", "x-one", metric="miou", order_recipes=(SEG_B, SEG_A))
    found = [*runs(SEG_A, [0.60, 0.605, 0.61]), *runs(SEG_B, [0.63, 0.635, 0.64])]
    assert graded(found, alone)["x-one"].grade == "as claimed"
    p = graded(found, alone)["x-one"].statistics
    assert p is not None
    assert p.p is not None
    others = [a_claim("ordering", f"x-{i}", metric="miou", order_recipes=(SEG_B, SEG_A)) for i in range(20)]
    row = graded(found, alone, *others)["x-one"]
    assert row.holm_p == pytest.approx(min(1.0, 21 * p.p))
    assert row.grade == ("as claimed" if 21 * p.p < 0.015 else "undecided")


@pytest.mark.parametrize(
    ("common", "label"),
    [
        ({"source": "synthetic", "tier": "smoke"}, "not tested: data"),
        ({"source": "stand-in"}, "not tested: data"),
        ({"tier": "smoke"}, "not tested: tier"),
        ({"tier": "gpu"}, "as claimed"),
        ({"options": lambda r: replace(r, init="scratch")}, "not tested: deviation"),
    ],
)
def test_only_the_claim_s_data_decide_an_ordering(common: dict[str, Any], label: str) -> None:
    found = [*runs(SEG_A, [0.60, 0.61, 0.62], **common), *runs(SEG_B, [0.70, 0.71, 0.72], **common)]
    assert graded(found)["r4-order-seg"].label == label


def test_a_rehearsed_ordering_says_its_sign_and_whether_it_is_this_comparison() -> None:
    official, drawn = {}, {"source": "synthetic", "tier": "full"}
    up, down = [0.70, 0.71, 0.72], [0.60, 0.61, 0.62]
    row = graded([*runs(SEG_A, down, **drawn), *runs(SEG_B, up, **drawn)])["r4-order-seg"]
    assert row.rehearsal == "rehearsed: same sign, 3 seeds, synthetic data, full tier"
    row = graded([*runs(SEG_A, up, **drawn), *runs(SEG_B, down, **drawn)])["r4-order-seg"]
    assert row.rehearsal.startswith("rehearsed: other sign, 3 seeds")
    smoke = {"source": "synthetic", "tier": "smoke"}
    row = graded([*runs(SEG_A, down, **smoke), *runs(SEG_B, up, **smoke)])["r4-order-seg"]
    assert row.rehearsal.startswith("rehearsed, but not this comparison: init is the same on both sides")
    assert (
        graded([*runs(SEG_A, down, **official), *runs(SEG_B, up, **official)])["r4-order-seg"].rehearsal == ""
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"source": "synthetic"}, {"source": "stand-in"}),
        ({"tier": "full"}, {"tier": "gpu"}),
        ({}, {"numerics": {"dtype": "bfloat16"}}),
    ],
)
def test_unlike_runs_are_never_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = [*runs(SEG_A, [0.60, 0.61, 0.62], **one), *runs(SEG_B, [0.70, 0.71, 0.72], **other)]
    assert graded(found)["r4-order-seg"].label == "not tested: data"


@pytest.fixture
def rival(monkeypatch: pytest.MonkeyPatch) -> str:
    """A second classifier, on another image size."""
    recipe = replace(RECIPES[CLASSIFY], slug="x-rival", image_size=96)
    monkeypatch.setitem(RECIPES, "x-rival", recipe)
    return "x-rival"


@pytest.mark.parametrize(
    "change", [{}, {"source": "stand-in"}, {"name": "y"}, {"val": 17}, {"classes": ["c"]}]
)
def test_other_image_sizes_need_the_same_data_otherwise(rival: str, change: dict[str, Any]) -> None:
    """A manifest holds the image size, so that two sizes never share one."""
    found = [*runs(CLASSIFY, [0.6] * 3), *runs(rival, [0.7] * 3)]
    for record in found:
        record.data["name"] = "x"
        if record.slug == rival:
            record.data.update(change)
    claim = a_claim("ordering", metric="top1", order_recipes=(rival, CLASSIFY))
    assert (graded(found, claim)["x-claim"].label == "not tested: data") == bool(change)


def test_chains_and_ties(rival: str) -> None:
    found = [*runs(CLASSIFY, [0.800, 0.801, 0.802] * 4), *runs(rival, [0.800, 0.801, 0.8015] * 4)]
    rows = graded(
        found,
        a_claim("ordering", "x-tie", metric="top1", order_recipes=(CLASSIFY, rival), tie=True),
        a_claim("ordering", "x-chain", metric="top1", order_recipes=(CLASSIFY, rival, "no-such")),
    )
    assert rows["x-tie"].label == "as claimed"
    assert rows["x-chain"].label == "not tested: no recipe"


def test_an_ordering_whose_member_has_no_recipe_is_named() -> None:
    ordering = a_claim("ordering", metric="miou", order_recipes=(SEG_A, "ablation-of-no-one"))
    row = graded(runs(SEG_A, [0.6] * 3), ordering)["x-claim"]
    assert row.label == "not tested: no recipe"
    assert "ablation-of-no-one" in row.sentence


# ---------------------------------------------------------------- relevance


def printed_and_used(one: str, other: str, tier: str) -> tuple[set[str], set[str]]:
    """In which settings two recipes differ as printed, and as a tier runs them."""
    pairs = [[RECIPES[slug] for slug in (one, other)]]
    pairs.append([tiers.TIERS[tier](recipe) for recipe in pairs[0]])
    first, second = (relevance.differing(*(relevance.as_json(r) for r in pair)) for pair in pairs)
    return first, second


@pytest.mark.parametrize(
    ("one", "other", "lost", "added"),
    [
        ("r3-classify-b", "r3-classify-a", {"init"}, set()),
        ("r4-seg-b", "r4-seg-a", {"init"}, set()),
        ("ablation-fcn32s-no-padding", "r2-seg-a", {"model_args.padding"}, set()),
        ("r1-finetune-c", "r1-finetune-c-400", {"epochs"}, set()),
        ("r2-seg-b", "r2-seg-a", {"init"}, {"batch_size", "image_size", "width"}),
    ],
)
def test_what_the_smoke_tier_takes_from_a_comparison(
    one: str, other: str, lost: set[str], added: set[str]
) -> None:
    printed, used = printed_and_used(one, other, "smoke")
    assert lost <= printed - used
    assert added <= used - printed
    assert printed_and_used(one, other, "full")[0] == printed_and_used(one, other, "full")[1]


def test_a_claim_may_compare_data_sets_if_it_says_so() -> None:
    """The same network on two data sets: by ``factor`` the data are what is compared, and else a confound."""
    slugs = ("mnist1d-cnn", "mnist1d-shuffled-cnn")
    silent = a_claim("ordering", metric="top1", order_recipes=slugs)
    found = [*runs(slugs[0], [0.93, 0.94, 0.92]), *runs(slugs[1], [0.56, 0.58, 0.55])]
    row = graded(found, silent)["x-claim"]
    assert row.label == "not tested: data"
    assert 'does not say that it compares data (factor = "data")' in row.sentence
    claim = replace(silent, factor="data")
    assert graded(found, claim)["x-claim"].label == "as claimed"
    assert graded(found, replace(claim, order_recipes=slugs[::-1]))["x-claim"].label == "opposite"
    wider = [replace(r, recipe={**r.recipe, "width": 50}) for r in found[3:]]
    assert [g.label for g in graded([*found[:3], *wider], claim).values()] == ["not tested: data"]
    other = replace(claim, order_recipes=("mnist1d-cnn", "mnist1d-shuffled-mlp"))
    rival = runs("mnist1d-shuffled-mlp", [0.6] * 3)  # the printed recipes differ in more than the data
    assert graded([*found[:3], *rival], other)["x-claim"].grade == "as claimed"


def test_a_setting_that_differs_beyond_the_printed_ones_is_told() -> None:
    first, second = a_run(SEG_B, 0.7), a_run(SEG_A, 0.6)
    changed = replace(second, recipe={**second.recipe, "tau": 0.5})
    groups: list[Any] = [SimpleNamespace(slug=r.slug, runs=[r]) for r in (first, second, changed)]
    assert relevance.other_comparison(groups[:2]) is None
    obstacle = relevance.other_comparison([groups[0], groups[2]])
    assert obstacle is not None
    assert "tau differs too" in str(obstacle)


def test_the_same_data_on_both_sides_are_no_comparison_of_data() -> None:
    claim = a_claim("ordering", metric="miou", order_recipes=(SEG_B, SEG_A), factor="data")
    row = graded([*runs(SEG_B, [0.7] * 3), *runs(SEG_A, [0.6] * 3)], claim)["x-claim"]
    assert row.label == "not tested: settings"
    assert "data is the same on both sides" in row.sentence


def test_a_setting_that_both_sides_share_at_gpu_tier_is_no_comparison() -> None:
    """C's 161 and 400 epochs are ten each there."""
    ordering = a_claim("ordering", metric="top1", order_recipes=("r1-finetune-c-400", "r1-finetune-c"))
    found = [
        replace(r, initial_weights={"from": "scratch", "hash": ""})
        for slug in ordering.order_recipes
        for r in runs(slug, [0.5, 0.51, 0.52], tier="gpu")
    ]
    for record in found:
        record.data["val"] = 406
    row = graded(found, ordering)["x-claim"]
    assert row.label == "not tested: settings"
    assert "epochs" in row.sentence


def tuned(values: Sequence[float], start: Record | None) -> list[Record]:
    """Fine-tunings of R5's setting C, and the pre-training that they start from."""
    weights = {"from": "run:r5-byol", "run_id": start.run_id if start else "0" * 16, "hash": ""}
    made = [replace(r, initial_weights=weights) for r in runs("r5-finetune-c", values)]
    return [*made, *([start] if start else [])]


def pretrained(right: int) -> Record:
    """A pre-training whose nearest-neighbour probe has so many of 280 images right; guessing: one of ten."""
    entry = {
        "epoch": 1000, "loss": 0.1, "majority": 0.118, "primary": "knn",
        "metrics": {"knn": {"value": right / 280, "numerator": right, "denominator": 280}},
    }  # fmt: skip
    return replace(a_run("r5-byol", 0.5), metrics={"best": entry, "final": entry})


@pytest.mark.parametrize(
    ("start", "label"),
    [(None, "not tested: data"), (pretrained(33), "not tested: chance"), (pretrained(90), "reproduced")],
)
def test_pre_training_has_to_have_learned(start: Record | None, label: str) -> None:
    """R5's BYOL after 20 of its 1,000 epochs: .118 of ten classes."""
    claim = a_claim(recipe="r5-finetune-c", metric="top1", value="63.5", unit="percent", n=406)
    assert graded(tuned([0.63, 0.64, 0.635], start), claim)["x-claim"].label == label


@pytest.mark.parametrize(("right", "of", "learned"), [(53, 406, True), (28, 406, False), (20, 406, False)])
def test_an_accuracy_beats_chance_by_its_lower_bound(right: int, of: int, learned: bool) -> None:
    record = a_run(CLASSIFY, right / of)
    record.metrics["best"]["metrics"]["top1"] |= {"numerator": right, "denominator": of}
    lower = stats.binomtest(right, of).proportion_ci(0.95, method="exact").low
    assert relevance.learned(record) is bool(lower > 0.05) is learned


def test_a_mean_iou_beats_chance_by_its_bootstrap(tmp_path: Path) -> None:
    """One image in forty carries the whole of the lead: no network that learned."""
    rng = np.random.default_rng(0)
    per_image = np.zeros((40, 7, 7), dtype=np.int64)
    per_image[:, :, 0] = rng.integers(50, 60, (40, 7))  # everything is called class 0
    total = per_image.sum(axis=0)
    iou = np.diag(total)[:6] / (total.sum(axis=0) + total.sum(axis=1) - np.diag(total))[:6]
    record = a_run(SEG_A, float(iou.mean()) * 1.2)
    record.metrics["best"]["majority"] = float(iou.mean())
    keep(tmp_path, record, per_image, np.empty(0), [str(i) for i in range(40)])
    assert relevance.learned(record)
    assert not relevance.learned(record, lambda r: measured_module.per_image(r, tmp_path))


def test_a_class_is_asked_for_by_its_name() -> None:
    """The third class of a stand-in is another class, and of drawn images it is a texture."""
    other = ["building", "road", "rangeland", "vegetation", "water", "land", "unlabelled"]
    found = [
        r
        for slug in (SEG_A, SEG_B)
        for r in runs(slug, [0.5, 0.6, 0.7], source="stand-in", classes=other, ious=[0.5] * 6)
    ]
    rows = graded(found)
    assert [bool(rows[f"r4-seg-a-iou-{i}"].rehearsal) for i in range(6)] == [i in (2, 4) for i in range(6)]
    drawn = [
        r for slug in (SEG_A, SEG_B) for r in runs(slug, [0.5, 0.6, 0.7], source="synthetic", ious=[0.5] * 6)
    ]
    rows = graded(drawn)
    assert not any(rows[f"r4-order-iou-{i}"].rehearsal for i in range(6))
    official = [
        r for slug in (SEG_A, SEG_B) for r in runs(slug, [0.5, 0.6, 0.7], classes=other, ious=[0.5] * 6)
    ]
    rows = graded(official)
    assert rows["r4-seg-a-iou-3"].label == "not tested: class"
    assert rows["r4-order-iou-3"].label == "not tested: class"


PURITY = {"recipe": CLASSIFY, "predicate": "clusters_clear", "args": {"epoch": "last"}}


def embedded(purity: float, *, val: int = 2500, classes: int = 50, epoch: int = 30) -> list[Record]:
    curve = [None] * (epoch - 1) + [purity]
    found = []
    for record in runs(CLASSIFY, [0.8, 0.8, 0.8], classes=[f"c{i}" for i in range(classes)]):
        record.data["val"] = val
        found.append(replace(record, curves={"train_loss": [1.0] * epoch, "knn_purity": curve}))
    return found


@pytest.mark.parametrize(
    ("predicate", "purity", "label"),
    [
        ("clusters_clear", 0.9, "seen"),
        ("clusters_clear", 0.2, "not seen"),
        ("clusters_overlap", 0.2, "seen"),
        ("clusters_overlap", 0.9, "not seen"),
        ("clusters_clear_with_overlap", 0.7, "seen"),
    ],
)
def test_a_purity_on_enough_images_decides(predicate: str, purity: float, label: str) -> None:
    claim = a_claim("process", **PURITY | {"predicate": predicate})
    assert graded(embedded(purity), claim)["x-claim"].label == label


@pytest.mark.parametrize("predicate", ["clusters_clear", "clusters_overlap", "clusters_clear_with_overlap"])
def test_five_images_a_class_can_show_a_purity_one_way_only(predicate: str) -> None:
    """Perfect clusters of five images have a 10-NN purity of 0.40, and every threshold is 0.50."""
    claim = a_claim("process", **PURITY | {"predicate": predicate})
    row = graded(embedded(0.4, val=50, classes=10), claim)["x-claim"]
    assert row.label == "not tested: one way"
    assert "0.40" in row.sentence


def test_the_named_epoch_has_to_be_measured() -> None:
    claim = a_claim("process", **PURITY | {"args": {"epoch": 29}})
    assert graded(embedded(0.9), claim)["x-claim"].label == "not tested: epoch"
    zero = a_claim("process", epochs_from=0, **PURITY | {"args": {"epoch": 29}})
    assert graded(embedded(0.9), zero)["x-claim"].label == "seen"  # its epoch 29 is our 30


# ---------------------------------------------------------------- pictures, processes, times, and code


def test_a_figure_is_redrawn_where_a_run_of_its_data_drew_it() -> None:
    masks = {"kind": "masks", "file": "figures/a.png", "sha256": ""}
    synthetic = a_run(SEG_A, 0.5, source="synthetic", tier="smoke", figures=[masks])
    row = graded([synthetic])["r4-figure-masks-a"]
    assert row.label == "not tested: data"
    assert row.rehearsal.startswith("rehearsed: drawn at epochs 2, 10, 20")
    row = graded([synthetic, a_run(SEG_A, figures=[masks])])["r4-figure-masks-a"]
    assert (row.label, "epochs 5, 25, 50" in row.sentence) == ("redrawn", True)
    assert graded([a_run(SEG_A)])["r4-figure-masks-a"].label == "not tested: no recipe"
    assert graded([])["r4-figure-masks-a"].label == "not tested: data"


def test_a_redrawn_figure_says_which_images_are_missing(tmp_path: Path) -> None:
    masks = {"kind": "masks", "file": "figures/a.png", "sha256": ""}
    record = a_run("r3-seg-b", 0.9, figures=[masks])
    keep(tmp_path, record, np.ones((2, 7, 7), dtype=np.int64), np.empty(0), ["0013", "0099"])
    row = graded([record], folder=tmp_path)["r3-figure-masks"]
    assert "not in the data: 0062, 0104 of 0013, 0062, 0104" in row.sentence


def falling(epochs: int) -> dict[str, list[float]]:
    return {"val_loss": [2.0 - 0.01 * epoch for epoch in range(epochs)], "train_loss": [1.0] * epochs}


LEVELS_OFF = {"recipe": SEG_A, "predicate": "no_clear_fall_after", "args": {"epoch": 30, "curve": "val_loss"}}


def test_a_process_is_judged_on_the_curves() -> None:
    claim = a_claim("process", **LEVELS_OFF)
    found = [replace(r, curves=falling(80)) for r in runs(SEG_A, [0.6] * 3)]
    row = graded(found, claim)["x-claim"]
    assert (row.label, len(row.runs)) == ("not seen", 3)
    flat = [replace(r, curves={"val_loss": [2.0] * 80, "train_loss": [1.0] * 80}) for r in found]
    assert graded(flat, claim)["x-claim"].label == "seen"
    assert graded(flat[:1], claim)["x-claim"].label == "undecided"


def test_a_schedule_too_short_for_a_process_tests_nothing() -> None:
    claim = a_claim("process", **LEVELS_OFF)
    short = replace(a_run(SEG_A, source="stand-in", tier="smoke"), curves=falling(20))
    assert graded([short], claim)["x-claim"].label == "not tested: data"
    official = [replace(r, curves=falling(20)) for r in runs(SEG_A, [0.6] * 3)]
    assert graded(official, claim)["x-claim"].label == "not tested: epoch"


def test_masks_of_one_class_are_counted_from_the_results(tmp_path: Path) -> None:
    claim = a_claim("process", recipe=SEG_A, predicate="some_of_one_class")
    per_image = np.zeros((4, 7, 7), dtype=np.int64)
    per_image[:3, 1, 1], per_image[2, 2, 2], per_image[3] = 10, 5, 1
    found = runs(SEG_A, [0.6] * 3)
    for record in found:
        keep(tmp_path, record, per_image, np.empty(0), list("abcd"))
        record.metrics["best"]["majority"] = None
    row = graded(found, claim, folder=tmp_path)["x-claim"]
    assert (row.label, "2 masks hold one class" in row.sentence) == ("seen", True)
    assert graded(found, claim)["x-claim"].label == "not tested: epoch"


def test_a_ratio_of_times_is_of_one_machine() -> None:
    claim = a_claim("timing", ratio_of=(SEG_A, SEG_B), least="10")

    def timed(slug: str, rates: Sequence[float], device: str = "a processor") -> list[Record]:
        made = [
            replace(r, throughput={"samples_per_second": x})
            for r, x in zip(runs(slug, [0.6] * len(rates)), rates, strict=True)
        ]
        for record in made:
            record.provenance["device"] = device
        return made

    slow, fast = timed(SEG_A, [1.0, 1.1, 0.9]), timed(SEG_B, [20.0, 21.0, 19.0])
    assert graded([*slow, *fast], claim)["x-claim"].label == "seen"
    assert graded([*slow, *timed(SEG_B, [2.0, 2.1, 1.9])], claim)["x-claim"].label == "not seen"
    other = timed(SEG_B, [20.0, 21.0, 19.0], "another one")
    assert graded([*slow, *other], claim)["x-claim"].label == "not tested: data"
    loaded = timed(SEG_B, [2.0, 20.0, 2.1, 21.0, 19.0])  # the machine did other work in two of five runs
    assert graded([*slow, *loaded], claim)["x-claim"].label == "seen"
    mixed = [*slow, *loaded[:3], *timed(SEG_B, [2.0, 20.0, 2.1, 90.0, 91.0], "another one")[3:]]
    found = graded(mixed, claim)["x-claim"]
    assert (found.label, len(found.runs)) == ("undecided", 6)


@pytest.mark.parametrize(("computed", "grade"), [("50", "matches"), ("51", "differs")])
def test_deterministic_claims_are_checked_by_code(
    monkeypatch: pytest.MonkeyPatch, computed: str, grade: str
) -> None:
    monkeypatch.setattr(grader, "checks", lambda: {"r4-classify-classes": lambda: ("50", computed)})
    row = graded([])["r4-classify-classes"]
    assert row.grade == grade
    assert row.runs == ()


def test_checks_name_claims_that_exist() -> None:
    assert set(grader.checks()) <= {claim.id for ledger in LEDGERS for claim in ledger.claims}


def test_an_explanation_tells_what_became_of_its_tests() -> None:
    ordering = a_claim("ordering", "x-order", metric="miou", order_recipes=(SEG_B, SEG_A))
    claim = a_claim("explanation", tested_by=("x-order", "ablation-of-no-one"))
    found = [*runs(SEG_A, [0.60, 0.61, 0.62]), *runs(SEG_B, [0.70, 0.71, 0.72])]
    row = graded(found, ordering, claim)["x-claim"]
    assert row.label == "undecided"
    assert "x-order (as claimed)" in row.sentence
    assert "ablation-of-no-one (no recipe)" in row.sentence
    assert graded([], ordering, claim)["x-claim"].label == "not tested: no recipe"


def test_an_explanation_that_a_recipe_without_a_claim_tests() -> None:
    ablation = "ablation-resnet34-fcn32s"
    claim = a_claim("explanation", tested_by=(ablation,))
    assert graded([], claim)["x-claim"].label == "not tested: data"
    assert graded(runs(ablation, [0.6], source="synthetic"), claim)["x-claim"].label == "not tested: data"
    row = graded(runs(ablation, [0.6]), claim)["x-claim"]
    assert row.label == "undecided"
    assert f"{ablation} (run, full tier, official data, cpu)" in row.sentence


def test_a_tier_that_scales_otherwise_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record = a_run(CLASSIFY, tier="smoke")
    assert groups_module.is_of_present_recipe(record)
    with monkeypatch.context() as patch:
        patch.setitem(tiers.TIERS, "smoke", lambda recipe: replace(recipe, width=3))
        assert not groups_module.is_of_present_recipe(record)
    assert groups_module.is_of_present_recipe(record)


def test_a_record_from_before_a_field_of_recipes_is_of_the_present_one() -> None:
    (record,) = runs(SEG_A, [0.6])
    kept = {name: value for name, value in record.recipe.items() if name not in ("mixup", "tau")}
    assert groups_module.is_of_present_recipe(replace(record, recipe=kept))
    assert not groups_module.is_of_present_recipe(replace(record, recipe=kept | {"mixup": 0.2}))
    shown = kept | {"embed_epochs": [3]}
    assert groups_module.is_of_present_recipe(replace(record, recipe=shown))


def test_flags_of_an_audit_are_passed_on() -> None:
    rows = grade_all(
        LEDGERS, [], alignment_green=False, flags={SEG_A: ("inconsistent",)}, only=[SEG_A, SEG_B]
    )
    assert {row.claim.id for row in rows if row.flags} == {SEG_A}


# ---------------------------------------------------------------- intervals


def test_several_seeds_get_student_s_interval() -> None:
    values = [0.60, 0.62, 0.67, 0.61]
    measured = measure("miou", Runs(runs(SEG_A, values)).groups[SEG_A][0], None)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert measured.interval == pytest.approx(expected)


def test_one_seed_of_accuracy_gets_clopper_pearson() -> None:
    measured = measure("top1", Runs([a_run(CLASSIFY, 1964 / 2500)]).groups[CLASSIFY][0], None)
    expected = stats.binomtest(1964, 2500).proportion_ci(method="exact")
    assert measured.interval == pytest.approx((expected.low, expected.high))


def test_one_seed_of_miou_is_resampled_over_its_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    per_image = rng.integers(0, 50, (40, 7, 7)) + 200 * np.eye(7, dtype=np.int64)
    total = per_image.sum(axis=0)
    iou = np.diag(total) / (total.sum(axis=0) + total.sum(axis=1) - np.diag(total))
    record = a_run(SEG_A, float(iou[:6].mean()))
    keep(tmp_path, record, per_image, np.empty(0), [str(i) for i in range(40)])
    group = Runs([record]).groups[SEG_A][0]
    measured = measure("miou", group, tmp_path)
    assert measured.interval == statistics.bootstrap_miou(per_image, range(6), seed=0)
    assert measured.interval[0] < measured.mean < measured.interval[1]
    assert measure("miou", group, None).interval is None


@pytest.mark.parametrize("content", [b"", b"PK torn", b"\x93NUMPY"])
def test_damaged_results_are_one_line(tmp_path: Path, content: bytes) -> None:
    record = a_run(SEG_A)
    keep(tmp_path, record, np.zeros((1, 7, 7)), np.empty(0), ["a"])
    records.path_of(tmp_path, record).with_suffix(".npz").write_bytes(content)
    with pytest.raises(InputError, match=r"\.npz: damaged") as caught:
        measured_module.per_image(record, tmp_path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- alignment suites

ALL_GREEN = dict.fromkeys(alignment.SUITES, (3, 0))


def test_green_is_noted_for_this_reference_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not alignment.is_green(tmp_path)
    alignment.note(tmp_path, ALL_GREEN)
    assert alignment.is_green(tmp_path)
    monkeypatch.setattr(alignment, "reference_hash", lambda: "edited since")
    assert not alignment.is_green(tmp_path)


@pytest.mark.parametrize("counts", [(2, 1), (0, 0), None])
@pytest.mark.parametrize("suite", alignment.SUITES)
def test_one_suite_that_failed_or_did_not_run_is_not_green(
    tmp_path: Path, suite: str, counts: tuple[int, int] | None
) -> None:
    others = {name: count for name, count in ALL_GREEN.items() if name != suite}
    alignment.note(tmp_path, others if counts is None else others | {suite: counts})
    assert not alignment.is_green(tmp_path)


def test_an_unreadable_note_is_one_line(tmp_path: Path) -> None:
    (tmp_path / alignment.FILE).write_text("{")
    with pytest.raises(InputError, match=r"alignment\.json.*run pytest") as caught:
        alignment.is_green(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="no alignment suite x"):
        alignment.note(tmp_path, {"x": (1, 0)})
