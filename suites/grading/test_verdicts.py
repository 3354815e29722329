"""Which runs a grade may rest on, and every way a claim can end."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import start_of
from scipy import stats

from bench.claims.claim import KINDS, Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import alignment, grader, numbers, statistics, verdict
from bench.grading import groups as groups_module
from bench.grading import measured as measured_module
from bench.grading.grader import Row, grade_all
from bench.grading.groups import Runs
from bench.grading.measured import measure
from bench.pages.wording import named
from bench.runs import provenance, records, tiers
from bench.runs.records import Record
from reference.data.dataset import OFFICIAL_PALETTE
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

CLASSIFY, SEG_A, SEG_B = "r4-classify", "r4-seg-a", "r4-seg-b"
LEDGERS = load_ledgers()
IMAGES = {"classification50": 2500, "landcover": 257}


def a_run(
    slug: str = SEG_A,
    value: float | None = 0.663704,
    *,
    seed: int = 0,
    tier: str = "full",
    source: str = "official",
    ious: Sequence[float] = (),
    attempt: int = 1,
    status: str = "ok",
    numerics: dict[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    options: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    **changes: Any,
) -> Record:
    """A record of a recipe as it is now; ``value`` is its figure at the selected epoch."""
    scaled, deviations = tiers.apply(RECIPES[slug], tier)
    recipe = options(scaled)
    deviations += tiers.deviations(scaled, recipe, "asked for")
    segment, n = recipe.task == "segment", IMAGES[recipe.data] if source == "official" else 16
    primary = "miou" if segment else "top1"
    hits = None if segment or value is None else round(value * n)
    figures = {primary: {"value": value, "numerator": hits, "denominator": None if hits is None else n}}
    figures |= {f"iou_{i}": {"value": v, "numerator": 1, "denominator": 2} for i, v in enumerate(ious)}
    metrics = {"epoch": 9, "loss": 0.5, "majority": 0.1, "primary": primary, "metrics": figures}
    names = [*OFFICIAL_PALETTE.classes, "unknown"] if segment else [f"c{i}" for i in range(50)]
    identity = f"{slug} {tier} {source} {seed} {deviations} {numerics}"
    record = Record(
        run_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        attempt=attempt,
        slug=slug,
        claims=(slug,),
        tier=tier,
        status=status,
        reason="" if status == "ok" else "something",
        seed=seed,
        recipe=json.loads(records.canonical(dataclasses.asdict(recipe))),
        recipe_hash="",
        assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
        deviations=[dataclasses.asdict(d) for d in deviations],
        numerics={"device": "cpu", "dtype": "float32", "channels_last": False, "compiled": False}
        | (numerics or {}),
        data={
            "role": recipe.data,
            "source": source,
            "name": source,
            "manifest": f"{source} {recipe.data} {recipe.image_size}",
            "classes": list(classes or names),
            "scored": list(range(6 if segment else 50)),
            "train": 64,
            "val": n,
            "unique_val": n,
            "note": "",
        },
        initial_weights={"from": recipe.init, "hash": "", **start_of(recipe, tier)},
        provenance={"commit": None, "dirty": None, "reference_hash": provenance.reference_hash()},
        metrics={"best": metrics, "final": metrics} if status == "ok" else {},
        confusion=[],
        curves={"train_loss": [1.0, 0.5], f"val_{primary}": [0.1, value or 0.0]} if status == "ok" else {},
        weights_hash=f"{identity} {attempt} {value}",
        parameters=1,
        throughput={"samples_per_second": 1.0},
        peak_memory=1,
        wall_seconds=1.0,
        device_seconds=0.0,
        segments=[],
        figures=[],
        notes=[],
        started="",
    )
    return replace(record, **changes)


def runs(slug: str, values: Sequence[float], **common: Any) -> list[Record]:
    return [a_run(slug, value, seed=seed, **common) for seed, value in enumerate(values)]


def keep(
    folder: Path, record: Record, per_image: np.ndarray, targets: np.ndarray, ids: Sequence[str]
) -> None:
    path = records.path_of(folder, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record), encoding="utf-8")
    np.savez_compressed(path.with_suffix(".npz"), per_image=per_image, targets=targets, ids=np.array(ids))


def graded(
    found: Sequence[Record], *claims: Claim, green: bool = False, folder: Path | None = None
) -> dict[str, Row]:
    """Rows by claim: of the given claims, else of R4."""
    ledgers = [Ledger("x", "x", None, claims, "x.toml")] if claims else LEDGERS
    rows = grade_all(ledgers, found, alignment_green=green, folder=folder)
    return {row.claim.id: row for row in rows}


def a_claim(kind: str = "number", claim_id: str = "x-claim", **keys: Any) -> Claim:
    return Claim(report="x", id=claim_id, kind=kind, lines=(1,), text="…", **keys)


# ---------------------------------------------------------------- every claim ends somewhere


def test_without_records_every_claim_of_every_report_is_not_run_for_a_named_reason() -> None:
    rows = graded([])
    assert len(rows) == sum(len(ledger.claims) for ledger in LEDGERS) > 200
    checked = {row.grade for name, row in rows.items() if name in grader.CHECKS}
    assert checked <= {"exact", "different", "not run"}
    rest = [row for name, row in rows.items() if name not in grader.CHECKS]
    assert {row.grade for row in rest} == {"not run"}
    assert {row.reason for row in rest} <= set(verdict.NOT_RUN_REASONS)
    assert {row.claim.kind for row in rows.values()} == set(KINDS)


def test_illegible_comes_before_everything() -> None:
    claim = a_claim(recipe=SEG_A, metric="miou", value="0.6", illegible=True, illegible_why="cut off")
    row = graded(runs(SEG_A, [0.6] * 3), claim)["x-claim"]
    assert (row.label, row.sentence.endswith("cut off")) == ("not run: illegible", True)


def test_what_no_recipe_covers() -> None:
    rows = graded(
        [],
        a_claim(recipe="no-such", metric="miou", value="0.6"),
        a_claim("figure", "x-figure", unstated=("everything",)),
        a_claim("process", "x-process"),
    )
    assert rows["x-claim"].label == "not run: no recipe"
    assert rows["x-figure"].label == "not run: not stated"
    assert rows["x-process"].label == "not run: no recipe"


# ---------------------------------------------------------------- numbers: which runs count


def test_a_number_is_graded_by_the_number_rule_on_all_its_seeds() -> None:
    values = [0.66, 0.67, 0.665]
    row = graded(runs(SEG_A, values))[SEG_A]
    sigma0, _ = numbers.prior_sigma("miou", 257, 0.663704)
    assert row.statistics == numbers.grade_number(
        "0.663704", values, sigma0=sigma0, margin=0.025, assumptions=True, alignment_green=False
    )
    assert row.label == "reproduced"
    assert [r.seed for r in row.runs] == [0, 1, 2]
    assert row.assumptions == RECIPES[SEG_A].assumptions


@pytest.mark.parametrize(
    ("found", "label"),
    [
        (runs(SEG_A, [0.66] * 3, source="synthetic", tier="smoke"), "not run: data"),
        (runs(SEG_A, [0.66] * 3, source="stand-in"), "not run: data"),
        (runs(SEG_A, [0.66] * 3, tier="gpu"), "not run: deviation"),
        (runs(SEG_A, [0.66] * 3, options=lambda r: replace(r, init="scratch")), "not run: deviation"),
        (runs(SEG_A, [0.66] * 3, numerics={"dtype": "bfloat16"}), "not run: deviation"),
        (runs(SEG_A, [0.66] * 3, tier="gpu") + runs(SEG_A, [0.66], source="stand-in"), "not run: deviation"),
        (runs(SEG_A, [0.66] * 3, status="interrupted"), "not run: data"),
        (runs(SEG_B, [0.66] * 3), "not run: data"),
    ],
)
def test_runs_that_do_not_count(found: list[Record], label: str) -> None:
    """Shown, each group by itself, but never graded."""
    row = graded(found)[SEG_A]
    assert row.label == label
    assert row.runs == ()
    assert row.measured is None
    assert row.statistics is None
    shown = sorted(r.run_id for m in row.elsewhere for r in m.group.runs)
    assert shown == sorted(r.run_id for r in found if r.slug == SEG_A and r.status == "ok")


def test_other_runs_stand_beside_the_grade() -> None:
    found = runs(SEG_A, [0.66, 0.67, 0.665])
    row = graded([*found, *runs(SEG_A, [0.3, 0.4], source="synthetic", tier="smoke")])[SEG_A]
    assert row.label == "reproduced"
    assert [r.weights_hash for r in row.runs] == [r.weights_hash for r in found]
    (beside,) = row.elsewhere
    assert (beside.group.source, beside.group.tier, beside.k) == ("synthetic", "smoke", 2)
    assert beside.mean == pytest.approx(0.35)


def test_an_invented_report_may_name_synthetic_data() -> None:
    claim = a_claim(recipe=SEG_A, metric="miou", value="0.66", unit="fraction", source="synthetic")
    assert graded(runs(SEG_A, [0.66] * 3, source="synthetic"), claim)["x-claim"].grade == "reproduced"
    assert graded(runs(SEG_A, [0.66] * 3), claim)["x-claim"].label == "not run: data"


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
    assert len(groups) == len(tiers.TIERS) * 3 * 2 * 2
    assert all([r.seed for r in group.runs] == [0, 1] for group in groups)
    assert sorted(r.run_id for g in groups for r in g.runs) == sorted(r.run_id for r in found)
    assert [g.source for g in groups] == sorted((g.source for g in groups), key=groups_module.SOURCES.index)


MIXED = [
    *runs(SEG_A, [0.66, 0.67, 0.665]),
    *runs(SEG_B, [0.70, 0.71, 0.72]),
    *runs(SEG_B, [0.5, 0.6], source="synthetic", tier="smoke"),
    *runs(SEG_A, [0.4, 0.3, 0.2], source="stand-in", tier="smoke"),
    a_run(SEG_A, 0.1, seed=1, attempt=2),
    a_run(SEG_B, None, seed=3, status="diverged"),
]


@settings(max_examples=25, deadline=None)
@given(st.permutations(MIXED))
def test_the_order_of_records_changes_nothing(found: list[Record]) -> None:
    def told(rows: dict[str, Row]) -> list[object]:
        return [(i, r.label, r.sentence, r.holm_p, [x.name for x in r.runs]) for i, r in rows.items()]

    assert told(graded(found)) == told(graded(MIXED))


# ---------------------------------------------------------------- attempts, failures, earlier recipes


def test_the_latest_attempt_is_graded_and_older_ones_are_superseded() -> None:
    found = [*runs(SEG_A, [0.1, 0.1, 0.1]), *runs(SEG_A, [0.66, 0.67, 0.665], attempt=2)]
    row = graded(found)[SEG_A]
    assert (row.label, row.superseded) == ("reproduced", 3)
    assert {r.attempt for r in row.runs} == {2}


def test_an_interrupted_attempt_displaces_nothing() -> None:
    found = [*runs(SEG_A, [0.66, 0.67, 0.665]), a_run(SEG_A, None, seed=0, attempt=2, status="interrupted")]
    row = graded(found)[SEG_A]
    assert (row.label, len(row.runs), len(row.failures)) == ("reproduced", 3, 1)


@pytest.mark.parametrize("status", ["failed", "diverged", "oom"])
def test_a_claim_all_of_whose_runs_broke_has_failed(status: str) -> None:
    row = graded(runs(SEG_A, [0.0, 0.0], status=status))[SEG_A]
    assert row.grade == "failed"
    assert f"seed 1 {status}: something" in row.sentence
    assert len(row.failures) == 2


def test_a_broken_run_elsewhere_does_not_fail_the_claim_but_is_told() -> None:
    row = graded(runs(SEG_A, [0.0], status="diverged", source="synthetic", tier="smoke"))[SEG_A]
    assert (row.label, len(row.failures)) == ("not run: data", 1)


def test_a_broken_seed_is_named_beside_the_others() -> None:
    row = graded([*runs(SEG_A, [0.66, 0.67, 0.665]), a_run(SEG_A, None, seed=3, status="diverged")])[SEG_A]
    assert row.grade == "reproduced"
    assert "seed 3 (diverged)" in row.sentence


def test_an_undefined_figure_is_a_failure_of_ours() -> None:
    assert graded([a_run(SEG_A, None), a_run(SEG_A, 0.66, seed=1)])[SEG_A].grade == "failed"


def test_runs_of_an_earlier_recipe_are_superseded() -> None:
    """The same slug with another learning rate would otherwise be graded as if it were today's."""
    old = runs(SEG_A, [0.66] * 3)
    for record in old:
        record.recipe["phases"][0]["lr"] = 0.02
    row = graded(old)[SEG_A]
    assert (row.label, row.superseded) == ("not run: data", 3)
    assert row.elsewhere == ()


def test_runs_of_a_tier_that_scaled_otherwise_are_superseded() -> None:
    """Else a page shows two figures of one recipe, tier and data, and nothing that tells them apart."""
    old, new = (runs(SEG_A, [0.3] * 3, tier="smoke", source="synthetic") for _ in range(2))
    for record in old:
        record.recipe["width"] = 16
        for deviation in record.deviations:
            deviation["used"] = "16" if deviation["field"] == "width" else deviation["used"]
    assert not any(map(groups_module.is_of_present_recipe, old))
    (group,) = Runs([*old, *new]).groups[SEG_A]
    assert list(group.runs) == new


def test_a_user_s_own_change_makes_another_group_not_an_older_one() -> None:
    other = runs(SEG_A, [0.3] * 3, options=lambda recipe: replace(recipe, batch_size=2))
    groups = Runs([*runs(SEG_A, [0.4] * 3), *other]).groups[SEG_A]
    assert [len(group.runs) for group in groups] == [3, 3]


def test_of_one_seed_shown_otherwise_the_newer_run_stands() -> None:
    """What is shown of a run makes another run id, and no other result."""
    (old,) = runs(SEG_A, [0.3], options=lambda r: replace(r, mask_epochs=(1,)), started="2031-01-01T00:00:00")
    (new,) = runs(SEG_A, [0.3], started="2031-01-02T00:00:00")
    assert old.run_id != new.run_id
    for found in ([old, new], [new, old]):
        sorted_out = Runs(found)
        (group,) = sorted_out.groups[SEG_A]
        assert group.runs == (new,)
        assert sorted_out.superseded == (old,)


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


# ---------------------------------------------------------------- numbers: grades


@pytest.mark.parametrize(
    ("values", "green", "grade"),
    [
        ([0.70, 0.71, 0.715], False, "reproduced"),
        ([0.70], False, "consistent"),
        ([0.80, 0.81, 0.82], False, "exceeded"),
        ([0.60, 0.61, 0.62], True, verdict.NOT_REACHED),
        ([0.60, 0.61, 0.62], False, "inconclusive"),
        ([0.60, 0.61], True, "inconclusive"),
    ],
)
def test_every_grade_of_a_number(values: list[float], green: bool, grade: str) -> None:
    assert graded(runs(SEG_B, values), green=green)[SEG_B].grade == grade


def test_only_a_recipe_without_assumptions_contradicts() -> None:
    found = [replace(r, assumptions=[]) for r in runs(SEG_B, [0.60, 0.61, 0.62])]
    assert graded(found, green=True)[SEG_B].grade == "contradicted"


def test_green_suites_vouch_for_the_code_they_tested_only() -> None:
    found = [replace(r, assumptions=[]) for r in runs(SEG_B, [0.60, 0.61, 0.62])]
    found[1].provenance["reference_hash"] = "of another day"
    assert graded(found, green=True)[SEG_B].grade == "inconclusive"


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
    assert all(row.holm_p is None for row in rows.values() if row.claim.kind != "number")


def test_class_ious_are_read_by_their_index() -> None:
    ious = [0.73810, 0.86253, 0.28466, 0.77099, 0.67038, 0.65557]
    rows = graded(runs(SEG_A, [0.6637] * 3, ious=ious))
    for index, value in enumerate(ious):
        row = rows[f"r4-seg-a-iou-{index}"]
        assert row.measured is not None
        assert row.measured.mean == pytest.approx(value)
        assert row.grade == "reproduced"


def test_a_class_of_other_data_is_not_compared() -> None:
    """The third class of a stand-in is another class: its IoU stands beside nothing."""
    other = ["building", "road", "rangeland", "vegetation", "water", "land", "unlabelled"]
    found = [
        r
        for slug in (SEG_A, SEG_B)
        for r in runs(slug, [0.5, 0.6, 0.7], source="stand-in", classes=other, ious=[0.5] * 6)
    ]
    rows = graded(found)
    assert [bool(rows[f"r4-seg-a-iou-{i}"].elsewhere) for i in range(6)] == [i in (2, 4) for i in range(6)]
    assert rows["r4-order-iou-3"].label == "not run: data"
    assert rows["r4-order-iou-4"].on == "stand-in"
    assert rows[SEG_A].elsewhere


def test_claims_about_one_epoch_read_the_curve() -> None:
    common: dict[str, Any] = {"recipe": CLASSIFY, "metric": "top1", "unit": "fraction", "value": "0.1"}
    claims = [
        a_claim(claim_id="x-first", epoch=1, **common),
        a_claim(claim_id="x-last", selection="last epoch of the figure", **common),
        a_claim(claim_id="x-late", epoch=99, **common),
    ]
    rows = graded([a_run(CLASSIFY, 0.8)], *claims)
    assert rows["x-first"].measured is not None
    assert rows["x-first"].measured.values == (0.1,)
    assert rows["x-last"].measured is not None
    assert rows["x-last"].measured.values == (0.8,)
    assert rows["x-late"].label == "not run: no recipe"


def test_a_metric_that_runs_do_not_record() -> None:
    claim = a_claim(recipe=CLASSIFY, metric="silhouette", value="0.3")
    assert graded([a_run(CLASSIFY, 0.8)], claim)["x-claim"].label == "not run: no recipe"


def test_a_metric_without_a_known_spread_is_inconclusive() -> None:
    record = a_run(CLASSIFY, 0.8)
    record.metrics["best"]["metrics"]["silhouette"] = {"value": 0.3, "numerator": None, "denominator": None}
    claim = a_claim(recipe=CLASSIFY, metric="silhouette", value="0.3")
    assert graded([record], claim)["x-claim"].grade == "inconclusive"


def test_earlier_runs_set_the_spread_only_where_they_are_runs_of_their_own() -> None:
    """Repeating a deterministic run shows no spread at all, and would prove anything."""
    values = [0.66, 0.67, 0.665, 0.66, 0.67]
    now = runs(SEG_A, values, attempt=2)
    alone = graded(now)[SEG_A].statistics
    same = [replace(r, attempt=1) for r in now]
    wide = runs(SEG_A, [0.5, 0.8, 0.4, 0.9, 0.6])
    assert alone is not None
    repeated, spread = graded([*now, *same])[SEG_A].statistics, graded([*now, *wide])[SEG_A].statistics
    assert repeated is not None
    assert spread is not None
    assert alone.sigma_hat is not None
    assert repeated.sigma_hat == alone.sigma_hat
    assert spread.sigma_hat is not None
    assert spread.sigma_hat > 5 * alone.sigma_hat


# ---------------------------------------------------------------- differences

GAIN = {"metric": "delta_miou", "value": "0.05", "unit": "fraction", "difference_of": (SEG_B, SEG_A)}


def test_a_gain_is_paired_over_seeds() -> None:
    found = [*runs(SEG_A, [0.60, 0.62, 0.64, 0.1]), *runs(SEG_B, [0.65, 0.67, 0.69])]
    row = graded(found, a_claim(**GAIN))["x-claim"]
    assert row.statistics is not None
    assert row.statistics.mean == pytest.approx(0.05)
    assert row.statistics.k == 3
    assert row.grade == "reproduced"
    assert {r.seed for r in row.runs} == {0, 1, 2}


def test_the_spread_of_a_gain_is_that_of_two_figures() -> None:
    """With one seed σ̂ is σ₀, which is √2 as large as a single mIoU's .01."""
    row = graded([a_run(SEG_A, 0.60), a_run(SEG_B, 0.65)], a_claim(**GAIN))["x-claim"]
    assert row.statistics is not None
    assert row.statistics.sigma_hat == pytest.approx(0.01 * 2**0.5)


@pytest.mark.parametrize(
    ("found", "label"),
    [
        ([a_run(SEG_A), a_run(SEG_B, source="synthetic")], "not run: data"),
        ([a_run(SEG_A, tier="gpu"), a_run(SEG_B, tier="gpu")], "not run: deviation"),
        ([a_run(SEG_A), a_run(SEG_B, seed=1)], "not run: data"),
        ([a_run(SEG_A), a_run(SEG_B, None, status="failed")], "failed"),
    ],
)
def test_a_gain_without_a_pair(found: list[Record], label: str) -> None:
    assert graded(found, a_claim(**GAIN))["x-claim"].label == label


# ---------------------------------------------------------------- orderings


def test_orderings_are_paired_over_the_seeds_both_have() -> None:
    found = [*runs(SEG_A, [0.60, 0.62, 0.64, 0.99]), *runs(SEG_B, [0.65, 0.66, 0.70])]
    row = graded(found)["r4-order-seg"]
    t = stats.ttest_rel([0.65, 0.66, 0.70], [0.60, 0.62, 0.64])
    assert row.label == "directional"
    assert row.statistics is not None
    assert row.statistics.p == pytest.approx(t.pvalue)


@pytest.mark.parametrize(
    ("common", "label"),
    [
        ({"source": "synthetic", "tier": "smoke"}, "directional on synthetic"),
        ({"source": "stand-in"}, "directional on stand-in"),
        ({"tier": "gpu"}, "directional on gpu tier"),
        ({"options": lambda r: replace(r, init="scratch")}, "directional on runs with deviations"),
    ],
)
def test_other_data_is_allowed_and_named(common: dict[str, Any], label: str) -> None:
    found = [*runs(SEG_A, [0.60, 0.62, 0.64], **common), *runs(SEG_B, [0.65, 0.66, 0.70], **common)]
    assert graded(found)["r4-order-seg"].label == label


def test_the_other_way_round_is_reversed() -> None:
    found = [*runs(SEG_B, [0.60, 0.62, 0.64]), *runs(SEG_A, [0.65, 0.66, 0.70])]
    assert graded(found)["r4-order-seg"].label == "reversed"


def test_official_runs_come_first_then_stand_in_then_synthetic() -> None:
    up, down = [0.65, 0.66, 0.70], [0.60, 0.62, 0.64]
    synthetic = [*runs(SEG_A, up, source="synthetic"), *runs(SEG_B, down, source="synthetic")]
    stand_in = [*runs(SEG_A, down, source="stand-in"), *runs(SEG_B, up, source="stand-in")]
    official = [*runs(SEG_A, up), *runs(SEG_B, down)]
    assert graded(synthetic)["r4-order-seg"].label == "reversed on synthetic"
    assert graded(synthetic + stand_in)["r4-order-seg"].label == "directional on stand-in"
    assert graded(synthetic + stand_in + official)["r4-order-seg"].label == "reversed"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"source": "synthetic"}, {"source": "stand-in"}),
        ({"tier": "smoke"}, {"tier": "gpu"}),
        ({}, {"options": lambda r: replace(r, init="scratch")}),
        ({}, {"numerics": {"dtype": "bfloat16"}}),
    ],
)
def test_unlike_runs_are_never_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = [*runs(SEG_A, [0.60, 0.62, 0.64], **one), *runs(SEG_B, [0.65, 0.66, 0.70], **other)]
    assert graded(found)["r4-order-seg"].label == "not run: data"


def test_the_same_image_size_needs_the_same_manifest() -> None:
    found = [*runs(SEG_A, [0.60, 0.62, 0.64]), *runs(SEG_B, [0.65, 0.66, 0.70])]
    found[0].data["manifest"] = "other pixels"
    row = graded(found)["r4-order-seg"]
    assert row.label == "inconclusive"
    assert {r.seed for r in row.runs} == {1, 2}
    for record in found[:3]:
        record.data["manifest"] = "other pixels"
    assert graded(found)["r4-order-seg"].label == "not run: data"


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
    found = [*runs(CLASSIFY, [0.6] * 3, source="synthetic"), *runs(rival, [0.7] * 3, source="synthetic")]
    for record in found:
        record.data["name"] = "x"
        if record.slug == rival:
            record.data.update(change)
    claim = a_claim("ordering", metric="top1", order_recipes=(rival, CLASSIFY))
    assert (graded(found, claim)["x-claim"].label == "not run: data") == bool(change)


def one_seed(folder: Path, slug: str, right: Sequence[bool], ids: Sequence[str], **changes: Any) -> Record:
    targets = np.arange(len(right)) % 5
    predicted = np.where(right, targets, targets + 1)
    record = a_run(slug, float(np.mean(right)), source="synthetic", **changes)
    keep(folder, record, predicted, targets, ids)
    return record


def test_one_seed_is_decided_by_mcnemar_over_the_images(tmp_path: Path, rival: str) -> None:
    first, second = [True] * 30 + [False] * 10, [True] * 12 + [False] * 28
    ids = [f"{i}.png" for i in range(40)]
    found = [one_seed(tmp_path, CLASSIFY, first, ids), one_seed(tmp_path, rival, second, ids)]
    claim = a_claim("ordering", metric="top1", order_recipes=(CLASSIFY, rival))
    row = graded(found, claim, folder=tmp_path)["x-claim"]
    assert row.label == "directional on synthetic"
    assert row.statistics is not None
    assert row.statistics.p == pytest.approx(stats.binomtest(18, 18, 0.5).pvalue)
    assert graded(found, claim)["x-claim"].label == "inconclusive on synthetic"  # without the folder


def test_one_seed_on_different_images_is_undecided(tmp_path: Path, rival: str) -> None:
    first, second = [True] * 40, [False] * 40
    found = [
        one_seed(tmp_path, CLASSIFY, first, [f"{i}.png" for i in range(40)]),
        one_seed(tmp_path, rival, second, [f"{i}.jpg" for i in range(40)]),
    ]
    claim = a_claim("ordering", metric="top1", order_recipes=(CLASSIFY, rival))
    assert graded(found, claim, folder=tmp_path)["x-claim"].label == "inconclusive on synthetic"


def test_chains_and_ties(rival: str) -> None:
    found = [
        *runs(CLASSIFY, [0.80, 0.81, 0.82]),
        *runs(rival, [0.800, 0.811, 0.819]),
    ]
    rows = graded(
        found,
        a_claim("ordering", "x-tie", metric="top1", order_recipes=(CLASSIFY, rival), tie=True),
        a_claim("ordering", "x-chain", metric="top1", order_recipes=(CLASSIFY, rival, "no-such")),
    )
    assert rows["x-tie"].label == "directional"
    assert rows["x-chain"].label == "not run: no recipe"


def test_an_ordering_whose_member_has_no_recipe_is_named() -> None:
    ordering = a_claim("ordering", metric="miou", order_recipes=(SEG_A, "ablation-of-no-one"))
    row = graded(runs(SEG_A, [0.6] * 3), ordering)["x-claim"]
    assert row.label == "not run: no recipe"
    assert "ablation-of-no-one" in row.sentence


# ---------------------------------------------------------------- pictures, processes and what code settles


def test_a_figure_is_shown_where_a_run_drew_it() -> None:
    masks = {"kind": "masks", "file": "figures/a.png", "sha256": ""}
    synthetic = a_run(SEG_A, 0.5, source="synthetic", tier="smoke", figures=[masks])
    assert graded([synthetic])["r4-figure-masks-a"].label == "shown on synthetic"
    assert graded([synthetic, a_run(SEG_A, figures=[masks])])["r4-figure-masks-a"].label == "shown"
    assert graded([a_run(SEG_A)])["r4-figure-masks-a"].label == "not run: no recipe"
    assert graded([])["r4-figure-masks-a"].label == "not run: data"


def falling(epochs: int) -> dict[str, list[float]]:
    return {"val_loss": [2.0 - 0.01 * epoch for epoch in range(epochs)]}


LEVELS_OFF = {"recipe": SEG_A, "predicate": "no_clear_fall_after", "args": {"epoch": 30, "curve": "val_loss"}}


def test_a_process_is_judged_on_the_curves() -> None:
    claim = a_claim("process", **LEVELS_OFF)
    found = [replace(r, curves=falling(80)) for r in runs(SEG_A, [0.6] * 3)]
    row = graded(found, claim)["x-claim"]
    assert (row.label, len(row.runs)) == ("not supported", 3)
    flat = [replace(r, curves={"val_loss": [2.0] * 80}) for r in found]
    assert graded(flat, claim)["x-claim"].label == "supported"


def test_a_schedule_too_short_for_a_process_is_passed_over() -> None:
    claim = a_claim("process", **LEVELS_OFF)
    short = replace(a_run(SEG_A, source="stand-in", tier="smoke"), curves=falling(20))
    assert graded([short], claim)["x-claim"].label == "not run: data"
    long = replace(a_run(SEG_A, source="synthetic"), curves=falling(80))
    assert graded([short, long], claim)["x-claim"].label == "not supported on synthetic"
    gpu = replace(a_run(SEG_A, tier="gpu"), curves=falling(10))
    assert graded([gpu], claim)["x-claim"].label == "not run: deviation"
    official = replace(a_run(SEG_A), curves=falling(20))
    assert graded([official], claim)["x-claim"].label == "inconclusive"


@pytest.mark.parametrize(("found", "grade"), [("50", "exact"), ("51", "different")])
def test_deterministic_claims_are_checked_by_code(
    monkeypatch: pytest.MonkeyPatch, found: str, grade: str
) -> None:
    monkeypatch.setitem(grader.CHECKS, "r4-classify-classes", lambda: ("50", found))
    row = graded([])["r4-classify-classes"]
    assert row.grade == grade
    assert row.runs == ()


def test_checks_name_claims_that_exist() -> None:
    assert set(grader.CHECKS) <= {claim.id for ledger in LEDGERS for claim in ledger.claims}


def test_an_explanation_tells_what_became_of_its_tests() -> None:
    ordering = a_claim("ordering", "x-order", metric="miou", order_recipes=(SEG_B, SEG_A))
    claim = a_claim("explanation", tested_by=("x-order", "ablation-of-no-one"))
    found = [*runs(SEG_A, [0.60, 0.62, 0.64]), *runs(SEG_B, [0.65, 0.66, 0.70])]
    row = graded(found, ordering, claim)["x-claim"]
    assert row.label == "inconclusive"
    assert "x-order (directional)" in row.sentence
    assert "ablation-of-no-one (no recipe)" in row.sentence
    assert graded([], ordering, claim)["x-claim"].label == "not run: no recipe"


def test_an_explanation_that_a_recipe_without_a_claim_tests() -> None:
    ablation = "ablation-resnet34-fcn32s"
    ordering = a_claim("ordering", "x-order", metric="miou", order_recipes=(SEG_B, SEG_A))
    claim = a_claim("explanation", tested_by=("x-order", ablation))
    row = graded([], ordering, claim)["x-claim"]
    assert row.label == "not run: data"
    assert f"{ablation} (not run)" in row.sentence
    row = graded(runs(ablation, [0.6]), ordering, claim)["x-claim"]
    assert row.label == "inconclusive"
    assert f"{ablation} (run, full tier, official data, cpu)" in row.sentence
    assert graded([], a_claim("explanation", tested_by=(ablation,)))["x-claim"].label == "not run: data"


def test_a_tier_that_scales_otherwise_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record = a_run(CLASSIFY, tier="smoke")
    assert groups_module.is_of_present_recipe(record)
    with monkeypatch.context() as patch:
        patch.setitem(tiers.TIERS, "smoke", lambda recipe: replace(recipe, width=3))
        assert not groups_module.is_of_present_recipe(record)
    assert groups_module.is_of_present_recipe(record)


def test_a_record_from_before_a_field_of_recipes_is_of_the_present_one() -> None:
    (record,) = runs(SEG_A, [0.6])
    settings = {name: value for name, value in record.recipe.items() if name not in ("mixup", "tau")}
    assert groups_module.is_of_present_recipe(replace(record, recipe=settings))
    assert not groups_module.is_of_present_recipe(replace(record, recipe=settings | {"mixup": 0.2}))
    shown = settings | {"embed_epochs": [3]}
    assert groups_module.is_of_present_recipe(replace(record, recipe=shown))


def test_flags_of_an_audit_are_passed_on() -> None:
    rows = grade_all(LEDGERS, [], alignment_green=False, flags={SEG_A: ("inconsistent",)})
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
