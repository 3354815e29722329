"""The ledger against the reports, its reader against bad files, predicates against made curves."""

from __future__ import annotations

import ast
import inspect
import math
import random
import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.claims import claim_keys, data_facts, schema
from bench.claims import ledger as ledger_m
from bench.claims.claim import KINDS, METRICS, Claim, Ledger
from bench.claims.data_facts import load_data_facts
from bench.claims.ledger import load_ledger, load_ledgers
from bench.claims.predicates import LEAST_TAIL, PREDICATES, Judgement
from reference.errors import InputError

REPORTS = Path(__file__).parents[3] / "shared" / "reports"

# Written down by hand from the reports, not from the ledger.
PRINTED = {
    "r1-finetune-a": "0.2438423645320197",
    "r1-finetune-b": "0.5172413793103449",
    "r1-finetune-c": "0.4482758620689655",
    "r1-finetune-c-400": "0.5394088669950738",
    "r1-finetune-d": "0.22413793103448276",
    "r1-finetune-e": "0.29802955665024633",
    "r1-seg-a": "0.658093",
    "r1-seg-b": "0.741293",
    "r2-classify": "0.7808",
    "r2-seg-a": "0.668957",
    "r2-seg-b": "0.681362",
    "r2-seg-b-adam": "0.677",
    "r2-focal-gain": "0.01",
    "r2-sgd-gain": "0.004",
    "r3-classify-a": "0.6515",
    "r3-classify-b": "0.8981",
    "r3-finetune-a": "0.5271",
    "r3-finetune-b": "0.5527",
    "r3-finetune-c": "0.5505",
    "r3-finetune-d": "0.2422",
    "r3-finetune-e": "0.2084",
    "r3-gain-supervised": "3",
    "r3-gain-byol": "3",
    "r3-seg-a": "0.6027",
    "r3-seg-b": "0.7467",
    "r3-tsne-acc": "60",
    "r4-classify": "0.785600",
    "r4-seg-a": "0.663704",
    "r4-seg-a-iou-0": "0.73810",
    "r4-seg-a-iou-1": "0.86253",
    "r4-seg-a-iou-2": "0.28466",
    "r4-seg-a-iou-3": "0.77099",
    "r4-seg-a-iou-4": "0.67038",
    "r4-seg-a-iou-5": "0.65557",
    "r4-seg-b": "0.710615",
    "r4-seg-b-iou-0": "0.75449",
    "r4-seg-b-iou-1": "0.88520",
    "r4-seg-b-iou-2": "0.39102",
    "r4-seg-b-iou-3": "0.76715",
    "r4-seg-b-iou-4": "0.77501",
    "r4-seg-b-iou-5": "0.69082",
    "r5-finetune-a": "62.1",
    "r5-finetune-b": "61.3",
    "r5-finetune-c": "63.5",
    "r5-finetune-d": "26.0",
    "r5-finetune-e": "47.9",
    "r5-finetune-c-epoch1": "14.5",
}
PERCENT = {"r3-gain-supervised", "r3-gain-byol", "r3-tsne-acc"}  # and all of R5
APPROXIMATE = {"r2-focal-gain", "r3-tsne-acc", "r3-gain-supervised", "r3-gain-byol"}
UNSTATED_SPLIT = {"r3-tsne-acc", "r5-finetune-c-epoch1"}
EPOCHS = {
    "r1-finetune-a": 40,
    "r1-finetune-b": 137,
    "r1-finetune-c": 146,
    "r1-finetune-d": 339,
    "r1-finetune-e": 109,
    "r1-seg-b": 585,
    "r5-finetune-c": 200,
    "r5-finetune-c-epoch1": 1,
}

# (kind, keys) of what claims.md says beyond numbers; a claim that goes missing is named here.
ORDERS = {
    "r1-order-full": ["r1-finetune-b", "r1-finetune-c", "r1-finetune-a"],
    "r1-order-full-400": ["r1-finetune-c-400", "r1-finetune-b", "r1-finetune-a"],
    "r1-order-frozen": ["r1-finetune-e", "r1-finetune-d"],
    "r1-order-full-frozen-supervised": ["r1-finetune-b", "r1-finetune-d"],
    "r1-order-full-frozen-byol": ["r1-finetune-c", "r1-finetune-e"],
    "r1-order-frozen-against-none": ["r1-finetune-e", "r1-finetune-a"],
    "r1-order-pretrained-supervised": ["r1-finetune-b", "r1-finetune-a"],
    "r1-order-pretrained-byol": ["r1-finetune-c", "r1-finetune-a"],
    "r1-order-none-against-frozen": ["r1-finetune-a", "r1-finetune-d"],
    "r1-order-seg": ["r1-seg-b", "r1-seg-a"],
    "r2-order-seg": ["r2-seg-b", "r2-seg-a"],
    "r2-order-seg-adam": ["r2-seg-b-adam", "r2-seg-a"],
    "r2-order-sgd": ["r2-seg-b", "r2-seg-b-adam"],
    "r3-order-classify": ["r3-classify-b", "r3-classify-a"],
    "r3-order-full": ["r3-finetune-b", "r3-finetune-c", "r3-finetune-a"],
    "r3-order-pretrained-supervised": ["r3-finetune-b", "r3-finetune-a"],
    "r3-order-pretrained-byol": ["r3-finetune-c", "r3-finetune-a"],
    "r3-order-tie": ["r3-finetune-b", "r3-finetune-c"],
    "r3-order-frozen": ["r3-finetune-d", "r3-finetune-e"],
    "r3-order-full-frozen-supervised": ["r3-finetune-b", "r3-finetune-d"],
    "r3-order-full-frozen-byol": ["r3-finetune-c", "r3-finetune-e"],
    "r3-order-none-against-frozen": ["r3-finetune-a", "r3-finetune-d"],
    "r3-order-none-against-frozen-byol": ["r3-finetune-a", "r3-finetune-e"],
    "r3-order-supervised-against-frozen-byol": ["r3-finetune-b", "r3-finetune-e"],
    "r3-order-byol-against-frozen-supervised": ["r3-finetune-c", "r3-finetune-d"],
    "r3-order-seg": ["r3-seg-b", "r3-seg-a"],
    "r4-order-seg": ["r4-seg-b", "r4-seg-a"],
    "r4-order-iou-0": ["r4-seg-b-iou-0", "r4-seg-a-iou-0"],
    "r4-order-iou-1": ["r4-seg-b-iou-1", "r4-seg-a-iou-1"],
    "r4-order-iou-2": ["r4-seg-b-iou-2", "r4-seg-a-iou-2"],
    "r4-order-iou-3": ["r4-seg-a-iou-3", "r4-seg-b-iou-3"],
    "r4-order-iou-4": ["r4-seg-b-iou-4", "r4-seg-a-iou-4"],
    "r4-order-iou-5": ["r4-seg-b-iou-5", "r4-seg-a-iou-5"],
    "r5-order-full": ["r5-finetune-c", "r5-finetune-a", "r5-finetune-b"],
    "r5-order-labels-full": ["r5-finetune-c", "r5-finetune-b"],
    "r5-order-frozen": ["r5-finetune-e", "r5-finetune-d"],
    "r5-order-full-frozen-supervised": ["r5-finetune-b", "r5-finetune-d"],
    "r5-order-full-frozen-byol": ["r5-finetune-c", "r5-finetune-e"],
}
FIGURES = {
    "r1-figure-curves": ("curves", (), ()),
    "r1-figure-tsne": ("tsne", (0, 75, 150, 325, 395), ()),
    "r1-figure-masks": ("masks", (0, 290, 585), ("0013", "0062", "0104")),
    "r1-figure-sam": ("overlay", (), ("0013", "0062", "0104")),
    "r1-figure-seg-a-network": ("diagram", (), ()),
    "r2-figure-tsne": ("tsne", (), ()),
    "r2-figure-masks-a": ("masks", (1, 20, 40), ("0010", "0097", "0107")),
    "r2-figure-masks-b": ("masks", (1, 20, 40), ("0010", "0097", "0107")),
    "r3-figure-pca": ("pca", (), ()),
    "r3-figure-tsne": ("tsne", (), ()),
    "r3-figure-masks": ("masks", (1, 40, 80), ("0013", "0062", "0104")),
    "r3-figure-vgg13": ("diagram", (), ()),
    "r3-figure-byol": ("diagram", (), ()),
    "r4-figure-tsne": ("tsne", (), ()),
    "r4-figure-masks-a": ("masks", (5, 25, 50), ()),
    "r4-figure-masks-b": ("masks", (5, 25, 50), ()),
    "r5-figure-tsne": ("tsne", (1, 200), ()),
    "r5-figure-byol": ("curves", (), ()),
}
C = "r1-finetune-c-400"
PROCESSES = {
    "r1-process-gap": (C, "gap_opens_after", {"epoch": 50, "lower": "train_loss", "upper": "val_loss"}),
    "r1-process-loss": (C, "no_clear_fall_after", {"epoch": 150, "curve": "val_loss"}),
    "r1-process-accuracy": (C, "no_clear_gain_after", {"epoch": 150, "curve": "val_top1"}),
    "r1-process-selection": (
        C, "best_near", {"epoch": 150, "within": 10, "until": 160, "curve": "val_top1"},
    ),
    "r1-process-tsne-0": (C, "clusters_overlap", {"epoch": 0}),
    "r1-process-tsne-75": (C, "clusters_grow", {"since": 0, "until": 75}),
    "r1-process-tsne-150": (C, "clusters_grow", {"since": 75, "until": 150}),
    "r1-process-tsne-325": (C, "clusters_grow", {"since": 150, "until": 325}),
    "r1-process-tsne-395": (C, "clusters_about_equal", {"since": 325, "until": 395}),
    "r2-process-tsne": ("r2-classify", "clusters_clear_with_overlap", {"epoch": "last"}),
    "r3-process-one-colour": ("r3-seg-b", "some_of_one_class", {}),
    "r3-process-pca": (
        "r3-classify-a", "clusters_grow", {"since": "first", "until": "last", "prefix": "pca_"},
    ),
    "r3-process-pca-overlap": ("r3-classify-a", "clusters_overlap", {"epoch": "last", "prefix": "pca_"}),
    "r3-process-tsne-early": ("r3-classify-a", "clusters_overlap", {"epoch": "first"}),
    "r3-process-tsne-late": ("r3-classify-a", "clusters_clear", {"epoch": "last"}),
    "r3-process-tsne": ("r3-classify-a", "clusters_grow", {"since": "first", "until": "last"}),
    "r4-process-tsne": ("r4-classify", "clusters_clear_with_overlap", {"epoch": "last"}),
    "r5-process-tsne-1": ("r5-finetune-c", "clusters_overlap", {"epoch": 1}),
    "r5-process-tsne-200": ("r5-finetune-c", "clusters_clear", {"epoch": 200}),
    "r5-process-tsne": ("r5-finetune-c", "clusters_grow", {"since": 1, "until": 200}),
}  # fmt: skip
STATED = {
    ("r1-byol-protocol", "lr"): "0.0005",
    ("r1-byol-protocol", "batch_size"): "64",
    ("r1-byol-augment", "mean"): "[0.485, 0.456, 0.406]",
    ("r1-finetune-protocol", "epochs"): "400",
    ("r1-sam-protocol", "checkpoint"): "sam_vit_h_4b8939.pth",
    ("r2-seg-b-protocol", "epochs"): "(70 / 100)",
    ("r3-classify-a-protocol", "epochs"): "500",
    ("r3-classify-a-protocol", "batch_size"): "128",
    ("r3-classify-a-protocol", "lr"): "0.001",
    ("r3-classify-a-protocol", "optimizer"): "AdamW",
    ("r3-classify-b-protocol", "epochs"): "20",
    ("r3-classify-b-protocol", "batch_size"): "32",
    ("r3-classify-b-protocol", "lr"): "0.003",
    ("r3-classify-b-protocol", "optimizer"): "SGD",
    ("r3-byol-protocol", "epochs"): "1000",
    ("r3-byol-protocol", "batch_size"): "128",
    ("r3-byol-protocol", "lr"): "1e-4",
    ("r3-byol-protocol", "optimizer"): "Adam",
    ("r3-byol-optimizer-text", "optimizer"): "SGD",
    ("r3-byol-augment", "mean"): "[0.4705, 0.4495, 0.4037]",
    ("r3-byol-augment", "std"): "[0.2170, 0.2149, 0.2145]",
    ("r3-finetune-protocol", "epochs"): "150",
    ("r3-finetune-protocol", "batch_size"): "64",
    ("r3-finetune-protocol", "lr"): "5e-4",
    ("r3-seg-a-protocol", "epochs"): "50",
    ("r3-seg-a-protocol", "batch_size"): "4",
    ("r3-seg-a-protocol", "lr"): "0.001",
    ("r3-seg-b-protocol", "epochs"): "80",
    ("r3-seg-b-protocol", "batch_size"): "12",
    ("r3-seg-b-protocol", "lr"): "0.01",
    ("r3-seg-b-protocol", "model"): "deeplabv3_resnet50",
    ("r3-seg-b-name", "model"): "DeepLabv3+",
    ("r4-seg-a-name", "epochs"): "50",
    ("r4-seg-b-protocol", "epochs"): "50",
    ("r5-byol-protocol", "epochs"): "1000",
    ("r5-byol-protocol", "batch_size"): "256",
    ("r5-byol-protocol", "lr"): "0.00001",
    ("r5-finetune-protocol", "epochs"): "200",
}
PER_KIND = {
    "r1": {"number": 8, "ordering": 10, "process": 9, "architecture": 7, "formula": 4, "protocol": 8},
    "r2": {"number": 6, "ordering": 4, "process": 1, "architecture": 3, "formula": 0, "protocol": 4},
    "r3": {"number": 12, "ordering": 14, "process": 6, "architecture": 8, "formula": 8, "protocol": 12},
    "r4": {"number": 15, "ordering": 7, "process": 1, "architecture": 4, "formula": 0, "protocol": 5},
    "r5": {"number": 6, "ordering": 5, "process": 3, "architecture": 5, "formula": 1, "protocol": 4},
}


@pytest.fixture(scope="module")
def ledgers() -> tuple[Ledger, ...]:
    """The reports with line numbers; the sixth has its own file, test_mnist1d_claims.py."""
    return tuple(ledger for ledger in load_ledgers() if ledger.report != "mnist1d")


@pytest.fixture(scope="module")
def claims(ledgers: tuple[Ledger, ...]) -> dict[str, Claim]:
    return {claim.id: claim for ledger in ledgers for claim in ledger.claims}


# What is in it -----------------------------------------------------------------------------------------


def test_every_printed_number_is_there_digit_for_digit(claims: dict[str, Claim]) -> None:
    found = {claim.id: claim.value for claim in claims.values() if claim.kind == "number"}
    assert found == PRINTED


def test_numbers_carry_what_was_printed_beside_them(claims: dict[str, Claim]) -> None:
    numbers = [claim for claim in claims.values() if claim.kind == "number"]
    assert {c.id for c in numbers if c.unit == "percent"} == PERCENT | {
        c for c in PRINTED if c.startswith("r5-")
    }
    assert {c.id for c in numbers if c.approx} == APPROXIMATE
    assert {c.id for c in numbers if c.split != "val"} == UNSTATED_SPLIT
    assert {c.id: c.epoch for c in numbers if c.epoch is not None} == EPOCHS
    assert {c.runs for c in numbers} == {1}
    sizes = {"classification50": 2500, "officehome": 406, "landcover": 257}
    for claim in numbers:
        assert claim.n == (None if claim.id in UNSTATED_SPLIT else sizes[claim.data or ""]), claim.id
        derived = claim.report == "r1" and claim.data == "officehome"
        if claim.n is not None:
            assert claim.n_from == ("derived" if derived else "outside"), claim.id


def test_metric_follows_from_the_slug(claims: dict[str, Claim]) -> None:
    for claim in claims.values():
        if claim.kind != "number":
            continue
        if "-iou-" in claim.id:
            expected = f"iou_{claim.id[-1]}"
        elif claim.data == "landcover":
            expected = "delta_miou" if "gain" in claim.id else "miou"
        else:
            expected = "delta_top1" if "gain" in claim.id else "top1"
        assert claim.metric_name == expected, claim.id


def test_orderings_are_the_reports(claims: dict[str, Claim]) -> None:
    found = {c.id: list(c.order) for c in claims.values() if c.kind == "ordering" and c.order}
    assert found == ORDERS
    by_recipe = {c.id: c.order_recipes for c in claims.values() if c.order_recipes}
    assert set(by_recipe) == {"r2-order-focal", "r3-order-depth"}
    assert by_recipe["r3-order-depth"][0] == "r3-classify-b"
    assert {c.id for c in claims.values() if c.tie} == {"r3-order-tie"}


def test_printed_values_stand_in_the_claimed_order(claims: dict[str, Claim]) -> None:
    for claim in claims.values():
        if claim.order:
            values = [claims[other].fraction for other in claim.order]
            assert values == sorted(values, reverse=METRICS[claim.metric or ""].higher_is_better), claim.id
            assert len(claim.pairs) == len(claim.order) - 1


def test_processes_are_judged_as_said(claims: dict[str, Claim]) -> None:
    found = {c.id: (c.recipe, c.predicate, dict(c.args)) for c in claims.values() if c.kind == "process"}
    assert found == PROCESSES


def test_figures_name_epochs_and_images(claims: dict[str, Claim]) -> None:
    found = {c.id: (c.shows, c.epochs, c.images) for c in claims.values() if c.kind == "figure"}
    assert found == FIGURES


@pytest.mark.parametrize(("place", "printed"), STATED.items(), ids=lambda v: "-".join(v) if v else "")
def test_stated_settings_are_as_printed(
    claims: dict[str, Claim], place: tuple[str, str], printed: str
) -> None:
    claim, field = place
    assert claims[claim].stated[field] == printed


def test_every_report_is_whole(ledgers: tuple[Ledger, ...]) -> None:
    assert [ledger.report for ledger in ledgers] == ["r1", "r2", "r3", "r4", "r5"]
    assert [ledger.year for ledger in ledgers] == [2024, None, 2023, None, 2024]
    for ledger in ledgers:
        counts = {kind: len(ledger.of_kind(kind)) for kind in PER_KIND[ledger.report]}
        assert counts == PER_KIND[ledger.report]
        assert ledger.of_kind("explanation"), ledger.report


def test_illegible_parts_are_declared(claims: dict[str, Claim]) -> None:
    assert {claim.id for claim in claims.values() if claim.illegible} == {
        "r1-figure-seg-a-network",
        "r3-figure-vgg13",
        "r3-figure-byol",
        "r5-seg-a-backbone",
        "r5-seg-b-listing",
        "r5-figure-byol",
    }


def test_listings_with_damage_declare_it(claims: dict[str, Claim]) -> None:
    for slug in ("r1-resnet50-listing", "r1-seg-b-listing", "r4-seg-b-listing", "r4-classify-listing"):
        assert claims[slug].damage, slug


def test_r1_fractions_are_counts_of_406(claims: dict[str, Claim]) -> None:
    """The oracle is arithmetic: what n = 406 was derived from."""
    for letter, count in {"a": 99, "b": 210, "c": 182, "d": 91, "e": 121, "c-400": 219}.items():
        claim = claims[f"r1-finetune-{letter}"]
        assert claim.value == repr(count / 406)


def test_r4_class_figures_average_to_its_means(claims: dict[str, Claim]) -> None:
    for letter in "ab":
        classes = [claims[f"r4-seg-{letter}-iou-{i}"].fraction for i in range(6)]
        # Six figures rounded at the fifth digit move their mean by at most half of that digit.
        assert abs(sum(classes) / 6 - claims[f"r4-seg-{letter}"].fraction) <= Decimal("0.0000055")


def test_sub_claims_point_to_their_recipe(claims: dict[str, Claim]) -> None:
    for claim in claims.values():
        if claim.kind == "number":
            assert claim.recipe is not None, claim.id
            assert claim.id.startswith(claim.recipe) or claim.difference_of or claim.id == "r3-tsne-acc"
        if claim.difference_of:
            assert claim.recipe == claim.difference_of[0], claim.id


def test_what_would_test_an_explanation_exists_or_is_an_ablation(claims: dict[str, Claim]) -> None:
    for claim in claims.values():
        for slug in (*claim.tested_by, *claim.order_recipes, *claim.difference_of):
            assert slug in claims or slug.startswith("ablation-"), (claim.id, slug)


def test_contradictions_are_known_from_both_sides_or_of_a_slip(claims: dict[str, Claim]) -> None:
    pairs = {(c.id, other) for c in claims.values() for other in c.conflicts_with}
    assert {("r1-order-frozen", "r3-order-frozen"), ("r5-order-frozen", "r3-order-frozen")} <= pairs
    assert {("r1-order-full", "r5-order-full"), ("r5-order-full", "r3-order-full")} <= pairs
    assert ("r1-process-accuracy", "r1-finetune-c-400") in pairs
    assert ("r3-seg-b-name", "r3-seg-b-protocol") in pairs
    assert ("r3-byol-optimizer-text", "r3-byol-protocol") in pairs
    assert ("r2-figure-masks-b", "r2-seg-b-protocol") in pairs
    assert all(left != right for left, right in pairs)


def test_only_r1s_printed_code_does_not_parse(claims: dict[str, Claim]) -> None:
    broken = set()
    for claim in claims.values():
        if claim.code is not None:
            try:
                ast.parse(claim.code)
            except SyntaxError:
                broken.add(claim.id)
    assert broken == {"r1-byol-augment"}


def test_no_claim_is_empty_or_has_a_placeholder(claims: dict[str, Claim]) -> None:
    for claim in claims.values():
        assert claim.text.endswith("."), claim.id
        assert len(claim.text.split()) >= 3, claim.id
        assert not re.search(r"TODO|XXX|\?\?", claim.text + (claim.note or "")), claim.id


def test_models_and_formulas_exist_in_the_reference(claims: dict[str, Claim]) -> None:
    from reference import losses, mixup
    from reference.models import MODELS
    from reference.models.byol import BYOL

    assert {claim.model for claim in claims.values() if claim.model is not None} <= set(MODELS)
    for claim in claims.values():
        if claim.implements is not None:
            assert any(hasattr(place, claim.implements) for place in (losses, mixup, BYOL)), claim.id


# Where it stands ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    if not REPORTS.is_dir():
        pytest.skip(f"the reports are not at {REPORTS}; locators cannot be followed")
    return {p.stem: p.read_text(encoding="utf-8").split("\n") for p in sorted(REPORTS.glob("r*.txt"))}


def _near(lines: list[str], first: int, last: int, margin: int) -> str:
    return " ".join(" ".join(lines[max(0, first - 1 - margin) : last + margin]).split())


def test_every_locator_is_a_line_of_its_report(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    for claim in claims.values():
        for line in claim.lines:
            assert 1 <= line <= len(texts[claim.report]), claim.locator
        if not (claim.illegible and claim.kind == "figure"):
            # A lost drawing leaves an empty line; everything else stands somewhere.
            assert all(texts[claim.report][line - 1].strip() for line in claim.lines), claim.locator


def test_every_value_stands_on_its_first_line(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    """No printed number is split by the scan, so the line itself is asked for, not its neighbours."""
    for claim in claims.values():
        if claim.kind == "number":
            line = texts[claim.report][claim.lines[0] - 1]
            numbers = re.findall(r"\d+(?:\.\d+)?", line)
            for value in claim.derived_from or (claim.value,):
                assert value in numbers, f"{claim.id}: {value} is not on {claim.report}:{claim.lines[0]}"
            if claim.epoch is not None and claim.report == "r1":
                assert str(claim.epoch) in numbers, claim.id


def test_every_long_number_of_a_report_is_a_claim(
    claims: dict[str, Claim], texts: dict[str, list[str]]
) -> None:
    """The other way round: results with three decimals or more that no claim holds would show here."""
    settings = {"0.485", "0.456", "0.406", "0.229", "0.224", "0.225", "0.4705", "0.4495", "0.4037", "0.2170",
                "0.2149", "0.2145", "0.0005", "0.001", "0.003", "0.00001"}  # fmt: skip
    links = re.compile(r"https?://\S+")
    for report, lines in texts.items():
        text = links.sub("", "\n".join(lines))
        found = set(re.findall(r"(?<![\w.])\d*\.\d{3,}(?![\w.])", text)) - settings
        held = {v for c in claims.values() if c.report == report for v in (c.value, *c.derived_from) if v}
        assert found <= held, report


def test_every_stated_setting_stands_on_its_lines(
    claims: dict[str, Claim], texts: dict[str, list[str]]
) -> None:
    for claim in claims.values():
        for name, printed in claim.stated.items():
            nearby = _near(texts[claim.report], min(claim.lines), max(claim.lines), 0)
            for part in printed.split("; "):
                assert part in nearby, f"{claim.id}: {name} = {part!r} is not at {claim.locator}"


def test_code_is_quoted_word_for_word(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    for claim in claims.values():
        if claim.code is not None:
            nearby = _near(texts[claim.report], min(claim.lines), max(claim.lines), 0)
            assert " ".join(claim.code.split()) in nearby, claim.id


def test_formulas_stand_where_they_say(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    words = {
        "r1-byol-loss": r"l_i \leftarrow -2",
        "r1-byol-views": r"z_1 \leftarrow",
        "r1-byol-gradient": r"\frac{1}{N} \sum_{i=1}^N",
        "r1-byol-ema": r"\tau_k \xi + (1 - \tau_k) \theta",
        "r3-byol-loss": r"= 2 - 2 \cdot",
        "r3-byol-loss-sum": r"\mathcal{L}_{\theta, \xi} + \tilde",
        "r3-byol-ema": r"\tau \xi + (1 - \tau) \theta",
        "r3-cross-entropy": "L_{CE} =",
        "r3-focal-loss": "L_{FL} =",
        "r3-poly-loss-series": "L_{Poly-N} =",
        "r3-poly-loss": r"-\log(P_t) + \sum_{j=1}^N",
        "r3-mixup": "mixup",
        "r5-byol-ema": "slow-moving average",
    }
    assert set(words) == {claim.id for claim in claims.values() if claim.kind == "formula"}
    for slug, word in words.items():
        assert word in texts[claims[slug].report][claims[slug].lines[0] - 1], slug


SAYING = {
    ("r1", 30): "BYOL's architecture",
    ("r1", 63): "target network",
    ("r1", 65): "project (g 函數)成 feature",
    ("r1", 67): "被視為 backbone resnet50 的一部分",
    ("r1", 69): "predict (q 函數)",
    ("r1", 327): "最大的訓練 epoch 為 400",
    ("r1", 333): "fix backbone",
    ("r1", 345): "重疊",
    ("r1", 352): "epoch 75",
    ("r1", 384): "pytorch",
    ("r1", 386): "models/vgg.py",
    ("r1", 389): "改成 Fully Convolutional Networks",
    ("r1", 675): "rates 為 [6, 12, 18]",
    ("r2", 85): "tSNE",
    ("r2", 263): "vgg16-8s",
    ("r2", 265): "batch normalization",
    ("r2", 266): "pool 5",
    ("r2", 267): "padding",
    ("r2", 269): "noise",
    ("r2", 271): "crop layer",
    ("r2", 273): "normalization",
    ("r2", 274): "focal loss",
    ("r2", 275): "Adam改為SGD",
    ("r3", 16): "VGG13",
    ("r3", 37): "resnet152",
    ("r3", 51): "vanishing",
    ("r3", 57): "mixup",
    ("r3", 62): "second last layer(conv-layer ends output)",
    ("r3", 63): "overlapping",
    ("r3", 73): "second last layer(conv-layer ends output)",
    ("r3", 77): "almost acc = 60",
    ("r3", 90): "projection",
    ("r3", 176): "Linear(1000,65)",
    ("r3", 186): "3% difference",
    ("r3", 191): "frozen",
    ("r3", 199): "conv 6-7",
    ("r3", 206): "HorizontalFlip",
    ("r3", 214): "deeplabv3_resnet50",
    ("r3", 220): "different kernel size",
    ("r3", 232): "imbalance",
    ("r4", 65): "cluster",
    ("r4", 436): "resnet34 層 vs vgg16 層",
    ("r4", 438): "Resnet+FCN32",
    ("r5", 12): "online networks",
    ("r5", 14): "ResNet50",
    ("r5", 52): "hidden_size=256",
    ("r5", 61): "without labels",
    ("r5", 62): "overfit",
    ("r5", 68): "14.5%",
    ("r5", 69): "63.5%",
}


def test_orderings_networks_and_explanations_stand_where_they_say(
    claims: dict[str, Claim], texts: dict[str, list[str]]
) -> None:
    """Each cited line prints a ranked value, or says what it is cited for; listings have their own test."""
    for claim in claims.values():
        if claim.kind not in ("ordering", "architecture", "explanation"):
            continue
        if claim.id.endswith(("-listing", "-backbone")):
            continue
        values = [claims[other].value or "" for other in claim.order]
        for line in claim.lines:
            text = texts[claim.report][line - 1]
            assert any(v in text for v in values) or SAYING[claim.report, line] in text, claim.locator


def test_figures_name_what_their_lines_name(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    for claim in claims.values():
        if claim.kind == "figure":
            nearby = _near(texts[claim.report], min(claim.lines), max(claim.lines), 0)
            for item in (*map(str, claim.epochs), *claim.images):
                assert re.search(rf"(?<!\d){item}(?!\d)", nearby), f"{claim.id}: {item}"


def test_processes_name_their_epochs_lines(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    for claim in claims.values():
        if claim.kind == "process":
            text = _near(texts[claim.report], min(claim.lines), max(claim.lines), 0)
            later = claim.args.get("until", claim.args.get("epoch"))
            if isinstance(later, int) and claim.id not in ("r1-process-tsne-0", "r1-process-tsne-395"):
                # R1's epoch 0 is our epoch 1, and the line on 395 only says "as at 325".
                wanted = str(claim.args["epoch"] if claim.predicate == "best_near" else later)
                assert re.search(rf"(?<!\d){wanted}(?!\d)", text), claim.id


def quoted_words(text: str) -> str:
    """Text without markup, table rules and spaces, which a quote does not keep."""
    return re.sub(r"[\s|*\\]+", "", text)


def test_quotes_are_short_and_hold_the_printed_value(claims: dict[str, Claim]) -> None:
    quoted = {claim.id: claim for claim in claims.values() if claim.quote}
    numbers = {c.id for c in claims.values() if c.kind == "number" and c.report != "mnist1d"}
    spoken = {c.id for c in claims.values() if c.kind in ("ordering", "process", "explanation")}
    assert numbers | {name for name in spoken if not name.startswith("mnist1d")} <= set(quoted)
    for claim in quoted.values():
        assert claim.quote is not None
        assert len(claim.quote) <= claim_keys.LONGEST_QUOTE, claim.id
        for value in claim.derived_from or (claim.value or "",):
            assert re.search(rf"(?<![\d.]){re.escape(value)}(?!\.?\d)", claim.quote), claim.id


def test_quotes_stand_in_the_lines_that_claims_name(
    claims: dict[str, Claim], texts: dict[str, list[str]]
) -> None:
    for claim in claims.values():
        if claim.quote:
            lines = [quoted_words(texts[claim.report][line - 1]) for line in claim.lines]
            for part in re.split(r" / |(?:^| )…(?: |$)", claim.quote):
                assert any(quoted_words(part) in line for line in lines), f"{claim.id}: {part}"


def test_class_counts_stand_where_the_data_facts_say(texts: dict[str, list[str]]) -> None:
    words = {("r1", 340): "六十五"}
    for role in load_data_facts().roles:
        for report, line in role.stated_in:
            assert words.get((report, line), str(role.classes)) in texts[report][line - 1], (report, line)


def test_listings_begin_and_end_where_they_say(claims: dict[str, Claim], texts: dict[str, list[str]]) -> None:
    words = {
        "r1-resnet50-listing": ("of ResNet>", ")>"),
        "r1-seg-b-listing": ("DeepLabV3(", ")"),
        "r2-classify-listing": ("Classifier(", ")"),
        "r2-seg-a-listing": ("FCN32VGg(", ")"),
        "r2-seg-b-listing": ("FCN8VGG(", "upscore_pool4"),
        "r4-classify-listing": ("features", "avgpool"),
        "r4-seg-a-listing": ("VGG(", "}"),
        "r4-seg-b-listing": ("FCN8(", "upsample_2x"),
        "r5-seg-a-listing": ("fc6", ")"),
        "r5-seg-b-listing": ("DeepLabV3_ResNet50(", "conv2"),
    }
    for slug, (first, last) in words.items():
        claim, lines = claims[slug], texts[claims[slug].report]
        start, end = claim.lines
        assert first in lines[start - 1], slug
        assert last in lines[end - 1], slug


# The data facts ----------------------------------------------------------------------------------------


def test_data_facts() -> None:
    facts = load_data_facts()
    counts = {role.role: (role.classes, role.train, role.val) for role in facts.roles}
    assert counts == {
        "classification50": (50, 22500, 2500),
        "miniimagenet": (64, 38400, None),
        "officehome": (65, 3951, 406),
        "landcover": (7, 2000, 257),
        "mnist1d": (10, 4000, 1000),
        "mnist1d-shuffled": (10, 4000, 1000),
    }
    assert {role.known for role in facts.roles} == {"outside"}
    assert [(colour.index, colour.name, colour.rgb) for colour in facts.palette] == [
        (0, "urban", (0, 255, 255)),
        (1, "agriculture", (255, 255, 0)),
        (2, "rangeland", (255, 0, 255)),
        (3, "forest", (0, 255, 0)),
        (4, "water", (0, 0, 255)),
        (5, "barren", (255, 255, 255)),
        (6, "unknown", (0, 0, 0)),
    ]
    assert facts.score.classes == (0, 1, 2, 3, 4, 5)
    assert facts.score.prints == ("class #0 : 0.73810", "mean_iou: 0.663704")
    assert facts.role("landcover").stated_in == (("r2", 144),)


# Arithmetic on claims ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "decimals", "fraction", "half_step"),
    [
        ("r2-classify", 4, "0.7808", "0.00005"),
        ("r4-classify", 6, "0.785600", "0.0000005"),
        ("r5-finetune-d", 1, "0.260", "0.0005"),
        ("r3-tsne-acc", 0, "0.60", "0.005"),
        ("r2-focal-gain", 2, "0.01", "0.005"),
    ],
)
def test_precision_of_a_printed_value(
    claims: dict[str, Claim], slug: str, decimals: int, fraction: str, half_step: str
) -> None:
    claim = claims[slug]
    assert claim.decimals == decimals
    assert claim.fraction == Decimal(fraction)
    assert claim.half_step == Decimal(half_step)


def test_a_claim_without_a_value_has_no_precision(claims: dict[str, Claim]) -> None:
    with pytest.raises(ValueError, match="has no value"):
        _ = claims["r1-order-seg"].fraction


def test_locators_read_as_the_reports_are_cited(claims: dict[str, Claim]) -> None:
    assert claims["r1-finetune-a"].locator == "r1:317"
    assert claims["r2-seg-b"].locator == "r2:262,275"


# Bad files ---------------------------------------------------------------------------------------------

NUMBER = {
    "id": "mine-number",
    "kind": "number",
    "line": 3,
    "text": "A figure stands there.",
    "metric": "top1",
    "value": "0.70",
    "unit": "fraction",
    "data": "officehome",
    "split": "val",
}
OTHER = NUMBER | {"id": "mine-other", "value": "0.60"}
ORDERING = {
    "id": "mine-order",
    "kind": "ordering",
    "line": [3, 4],
    "text": "One beats the other.",
    "metric": "top1",
    "order": ["mine-number", "mine-other"],
}
PROCESS = {
    "id": "mine-process",
    "kind": "process",
    "line": 5,
    "text": "The loss stops falling.",
    "predicate": "no_clear_fall_after",
    "args": {"epoch": 150},
}

TIMING = {
    "id": "mine-timing",
    "kind": "timing",
    "place": "table 1: note",
    "text": "One takes ten times as long as the other.",
    "ratio_of": ["a", "b"],
    "least": "10",
}


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return repr(value)


def _write(path: Path, *tables: dict[str, object], head: str = 'id = "mine"\ntitle = "Mine"') -> Path:
    blocks = [f"[report]\n{head}"]
    blocks += ["[[claim]]\n" + "\n".join(f"{k} = {_toml(v)}" for k, v in t.items()) for t in tables]
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def _without(table: dict[str, object], *keys: str) -> dict[str, object]:
    return {key: value for key, value in table.items() if key not in keys}


def _message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_ledger(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_users_own_file_loads(tmp_path: Path) -> None:
    ledger = load_ledger(_write(tmp_path / "mine.toml", NUMBER, OTHER, ORDERING, PROCESS))
    assert [claim.id for claim in ledger.claims] == [
        "mine-number", "mine-other", "mine-order", "mine-process",
    ]  # fmt: skip
    assert ledger.claim("mine-order").pairs == (("mine-number", "mine-other"),)
    assert ledger.claim("mine-number").lines == (3,)
    with pytest.raises(KeyError):
        ledger.claim("mine-missing")


def test_a_users_file_joins_the_packaged_ones(tmp_path: Path) -> None:
    joined = load_ledgers([_write(tmp_path / "mine.toml", NUMBER)])
    assert [ledger.report for ledger in joined] == ["mnist1d", "r1", "r2", "r3", "r4", "r5", "mine"]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (
            [_without(NUMBER, "metric") | {"metrik": "top1"}],
            "mine-number: unknown key 'metrik' (nearest: 'metric')",
        ),
        ([NUMBER | {"zzz": 1}], "mine-number: unknown key 'zzz' (valid: "),
        ([NUMBER | {"order": ["a", "b"]}], "mine-number: key 'order' is not of kind 'number' (valid: "),
        ([_without(NUMBER, "metric")], "mine-number: missing key 'metric'"),
        ([_without(NUMBER, "id")], "claim 1: missing key 'id'"),
        ([_without(NUMBER, "kind")], "mine-number: missing key 'kind'"),
        ([_without(NUMBER, "kind") | {"knid": "number"}], "mine-number: unknown key 'knid' (nearest"),
        ([_without(NUMBER, "line")], "mine-number: missing key 'line'"),
        ([_without(NUMBER, "line") | {"place": " "}], "mine-number: place is ' '; expected a text"),
        ([NUMBER | {"place": "table 1"}], "mine-number: 'line' and 'place' both say where it stands"),
        ([TIMING | {"least": 10}], "mine-timing: least is 10; expected a number as printed"),
        ([TIMING | {"ratio_of": ["a"]}], "mine-timing: ratio_of is ['a']; expected two recipe slugs"),
        ([_without(TIMING, "least")], "mine-timing: missing key 'least'"),
        ([NUMBER | {"line": "3"}], "mine-number: line is '3'; expected a line number or a list of them"),
        ([NUMBER | {"line": 0}], "mine-number: line is 0"),
        ([NUMBER | {"line": []}], "mine-number: line is []"),
        ([NUMBER | {"line": True}], "mine-number: line is True"),
        (
            [NUMBER | {"quote": "x" * 201}],
            f"mine-number: quote is '{'x' * 79}; expected the report's own words, at most 200",
        ),
        ([NUMBER | {"text": " "}], "mine-number: text is ' '; expected a text"),
        ([NUMBER | {"approx": "yes"}], "mine-number: approx is 'yes'; expected true or false"),
        ([NUMBER | {"approx": 1}], "mine-number: approx is 1; expected true or false"),
        ([NUMBER | {"kind": "nubmer"}], "mine-number: unknown kind 'nubmer' (nearest: 'number')"),
        ([NUMBER | {"kind": ["number"]}], "mine-number: unknown kind ['number']"),
        ([NUMBER | {"metric": "topp1"}], "mine-number: unknown metric 'topp1' (nearest: 'top1')"),
        ([NUMBER | {"metric": ["top1"]}], "mine-number: metric is ['top1']; expected a text"),
        ([NUMBER | {"unit": "percents"}], "mine-number: unknown unit 'percents' (nearest: 'percent')"),
        ([NUMBER | {"split": "test set"}], "mine-number: split is 'test set'; expected a slug"),
        ([NUMBER | {"value": "70%"}], "mine-number: value is '70%' and unit 'fraction'; expected unit"),
        ([NUMBER | {"unit": "count"}], "mine-number: unit 'count' goes with metric 'support' and only"),
        ([NUMBER | {"mean_of": ["mine-number"]}], "mine-number: mean_of is ['mine-number']; expected a"),
        (
            [NUMBER, OTHER | {"mean_of": ["mine-number", "mine-x"]}],
            "mine-other: mean_of names 'mine-x', which is no other number (valid: mine-number)",
        ),
        ([NUMBER | {"weights": [1, 2]}], "mine-number: 'weights' needs one number for each claim of"),
        ([NUMBER | {"data": "office"}], "mine-number: unknown data 'office' (nearest: 'officehome')"),
        ([NUMBER | {"source": "standin"}], "mine-number: unknown source 'standin'"),
        ([NUMBER | {"value": 0.7}], "mine-number: value is 0.7; expected a number as printed, in quotes"),
        ([NUMBER | {"value": "seventy"}], "mine-number: value is 'seventy'"),
        ([NUMBER | {"value": "7e-1"}], "mine-number: value is '7e-1'"),
        ([NUMBER | {"value": "nan"}], "mine-number: value is 'nan'"),
        ([NUMBER | {"value": "٠.٧"}], "mine-number: value is"),
        ([NUMBER | {"value": "70.0"}], "mine-number: value 70.0 is outside 0 to 1 for top1 in unit"),
        ([NUMBER | {"value": "101", "unit": "percent"}], "mine-number: value 101 is outside 0 to 100"),
        ([NUMBER | {"metric": "iou"}], "mine-number: missing key 'class_index'; metric 'iou' is of one"),
        ([NUMBER | {"class_index": 2}], "mine-number: 'class_index' goes with one of iou, precision,"),
        ([NUMBER | {"n": 406}], "mine-number: 'n' and 'n_from' go together"),
        ([NUMBER | {"n": 406, "n_from": "guess"}], "mine-number: unknown n_from 'guess'"),
        ([NUMBER | {"n": 0, "n_from": "printed"}], "mine-number: n is 0; expected a whole number from 1"),
        ([NUMBER | {"runs": 0}], "mine-number: runs is 0"),
        ([NUMBER | {"metric": "delta_top1"}], "mine-number: 'difference_of' goes with a delta metric"),
        ([NUMBER | {"difference_of": ["a", "b"]}], "mine-number: 'difference_of' goes with a delta metric"),
        ([NUMBER | {"metric": "delta_top1", "difference_of": ["a"]}], "mine-number: difference_of is ['a']"),
        ([NUMBER | {"derived_from": ["0.80", "0.20"]}], "mine-number: value 0.70 is not 0.80 - 0.20"),
        ([NUMBER | {"illegible": True}], "mine-number: 'illegible = true' and 'illegible_why' go together"),
        ([NUMBER | {"illegible_why": "torn"}], "mine-number: 'illegible = true' and 'illegible_why' go"),
        ([NUMBER | {"recipe": "Mine A"}], "mine-number: recipe is 'Mine A'; expected a slug"),
        ([NUMBER | {"id": "theirs-number"}], "theirs-number: id does not start with the report's, 'mine-'"),
        ([NUMBER | {"id": "minenumber"}], "minenumber: id does not start with the report's, 'mine-'"),
        ([NUMBER | {"id": "mine--x"}], "claim 1: id is 'mine--x'; expected a slug"),
        ([NUMBER, NUMBER], "mine-number: id is used twice"),
        ([NUMBER | {"conflicts_with": ["mine-x"]}], "mine-number: conflicts with 'mine-x', which is no"),
        ([NUMBER, ORDERING], "mine-order: orders 'mine-other', which is no claim (nearest: 'mine-order')"),
        ([NUMBER, OTHER, _without(ORDERING, "order")], "mine-order: needs exactly one of 'order' and"),
        (
            [NUMBER, OTHER, ORDERING | {"order_recipes": ["a", "b"]}],
            "mine-order: needs exactly one of 'order' and 'order_recipes'",
        ),
        ([NUMBER, ORDERING | {"order": ["mine-number"]}], "mine-order: order is ['mine-number']; expected a"),
        (
            [NUMBER, ORDERING | {"order": ["mine-number", "mine-number"]}],
            "mine-order: a member of the ordering is named twice",
        ),
        (
            [NUMBER, OTHER | {"metric": "miou"}, ORDERING],
            "mine-order: orders 'mine-other', which is no number of metric 'top1'",
        ),
        ([ORDERING | {"metric": "iou"}], "mine-order: missing key 'class_index'; metric 'iou' is of one"),
        (
            [PROCESS | {"predicate": "no_clear_fal"}],
            "mine-process: unknown predicate 'no_clear_fal' (nearest: 'no_clear_fall_after')",
        ),
        (
            [PROCESS | {"args": {"epcoh": 150}}],
            "mine-process: args of no_clear_fall_after: unknown key 'epcoh' (nearest: 'epoch')",
        ),
        (
            [PROCESS | {"args": {}}],
            "mine-process: args of no_clear_fall_after: missing key 'epoch'",
        ),
        ([_without(PROCESS, "args")], "mine-process: args of no_clear_fall_after: missing key 'epoch'"),
        (
            [PROCESS | {"args": {"epoch": "late"}}],
            "mine-process: args of no_clear_fall_after: epoch is 'late'; expected a whole number from 1",
        ),
        (
            [PROCESS | {"predicate": "clusters_clear", "args": {"epoch": "late"}}],
            "mine-process: args of clusters_clear: epoch is 'late'; expected an epoch from 0,",
        ),
        (
            [
                _without(PROCESS, "predicate", "args")
                | {"kind": "figure", "shows": "masks", "epochs": [1, 2], "stages": ["early"]}
            ],
            "mine-process: 'stages' has 1 names for 2 epochs",
        ),
        (
            [_without(PROCESS, "predicate", "args") | {"kind": "figure", "shows": "mask"}],
            "mine-process: unknown shows 'mask' (nearest: 'masks')",
        ),
        (
            [_without(PROCESS, "predicate", "args") | {"kind": "protocol", "stated": {"lr": 0.1}}],
            "mine-process: stated is {'lr': 0.1}; expected a table of texts",
        ),
        (
            [_without(PROCESS, "predicate", "args") | {"kind": "architecture", "model": "a", "facts": []}],
            "mine-process: facts is []; expected a list of at least one text",
        ),
    ],
)  # fmt: skip
def test_one_line_names_file_claim_and_fault(
    tmp_path: Path, tables: list[dict[str, object]], expected: str
) -> None:
    message = _message(_write(tmp_path / "mine.toml", *tables))
    assert message.startswith(f"mine.toml: {expected}"), message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "mine.toml: no [report] table; add one"),
        (
            '[report]\nid = "mine"\ntitle = "Mine"\n',
            "mine.toml: no [[claim]] or [[table]] tables",
        ),
        ('[report]\nid = "mine"\ntitle = "Mine"\nclaim = 3\n', "mine.toml: [report]: unknown key 'claim'"),
        ('claim = 3\n[report]\nid = "mine"\ntitle = "Mine"\n', "mine.toml: no [[claim]] tables"),
        ('[report]\nid = "mine"\n', "mine.toml: [report]: missing key 'title'"),
        ('[report]\nid = "My"\ntitle = "Mine"\n', "mine.toml: [report]: id is 'My'; expected a slug"),
        ('[[claims]]\nid = "mine-a"\n', "mine.toml: unknown key 'claims' (nearest: 'claim')"),
        ("[report\n", "not TOML: "),
        ("id = \n", "not TOML: "),
    ],
)
def test_faults_of_the_whole_file(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    message = _message(path)
    assert "mine.toml: " in message
    assert expected in message


def test_unreadable_files(tmp_path: Path) -> None:
    assert "absent.toml: cannot be read (No such file or directory)" in _message(tmp_path / "absent.toml")
    assert "cannot be read (Is a directory)" in _message(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'[report]\nid = "caf\xe9"\n')
    assert "latin.toml: not UTF-8 at byte 18" in _message(tmp_path / "latin.toml")


def test_an_id_may_not_stand_in_two_files(tmp_path: Path) -> None:
    copy = _write(tmp_path / "copy.toml", NUMBER | {"id": "r4-seg-a"}, head='id = "r4"\ntitle = "Again"')
    with pytest.raises(InputError, match=r"^copy\.toml: r4-seg-a: id is used in r4\.toml too; rename it$"):
        load_ledgers([copy])


def test_a_conflict_across_reports_names_a_claim(tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.toml", NUMBER | {"conflicts_with": ["r4-seg-z"]})
    load_ledger(path)
    with pytest.raises(InputError, match=r"^mine\.toml: mine-number: conflicts with 'r4-seg-z', which is no"):
        load_ledgers([path])


WORD = st.text('ab1-. \n"é', max_size=5)


@given(
    table=st.dictionaries(
        st.sampled_from(sorted(claim_keys.KEYS)),
        st.one_of(
            WORD, st.integers(), st.floats(), st.booleans(), st.lists(WORD, max_size=3),
            st.lists(st.integers(), max_size=3), st.dictionaries(WORD, st.integers(), max_size=2),
            st.sampled_from(sorted(KINDS) + sorted(METRICS) + sorted(PREDICATES)),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_table_is_a_claim_or_one_clear_line(table: dict[str, object]) -> None:
    document = {"report": {"id": "mine", "title": "Mine"}, "claim": [NUMBER | table]}
    try:
        said = ledger_m._ledger(document, "mine.toml").claims[0].kind
    except InputError as error:
        said = str(error)
    assert said in KINDS or (said.startswith("mine.toml: ") and "\n" not in said)


def test_a_fault_in_the_data_facts_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (schema.CLAIMS / "data.toml").read_text(encoding="utf-8")
    monkeypatch.setattr(data_facts, "CLAIMS", tmp_path)
    (tmp_path / "data.toml").write_text(text.replace("rgb = [255, 0, 255]", "rgb = [256, 0, 255]"))
    with pytest.raises(InputError, match=r"^data\.toml: rangeland: rgb is \[256, 0, 255\]; expected three"):
        load_data_facts()
    (tmp_path / "data.toml").write_text(text.replace("train = 2000\n", "trian = 2000\n"))
    with pytest.raises(InputError, match=r"^data\.toml: landcover: unknown key 'trian' \(nearest: 'train'\)"):
        load_data_facts()


# The module --------------------------------------------------------------------------------------------


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys; from bench.claims.data_facts import load_data_facts;"
        "from bench.claims.ledger import load_ledgers;"
        "load_ledgers(); load_data_facts();"
        "print(sorted({'torch', 'numpy', 'pandas', 'scipy', 'difflib', 'decimal'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.strip() == "[]"


def test_schema_and_claim_have_the_same_fields() -> None:
    fields = set(Claim.__dataclass_fields__) - {"report", "epochs_from", "spread"}
    assert fields == {{"line": "lines"}.get(key, key) for key in claim_keys.KEYS}
    assert set(claim_keys.KIND_KEYS) == set(KINDS)
    assert set(ledger_m._CHECKS) <= set(KINDS)


def test_every_argument_of_a_predicate_can_be_checked() -> None:
    for name, predicate in PREDICATES.items():
        assert predicate.__name__ == name
        assert (predicate.__doc__ or "").strip(), name
        parameters = dict(inspect.signature(predicate).parameters)
        assert parameters.pop("curves").kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters.values()), name
        assert all(p.annotation in claim_keys.ARGS for p in parameters.values()), name


def test_every_predicate_is_claimed_by_some_report() -> None:
    claims = [claim for ledger in load_ledgers() for claim in ledger.claims]
    assert {claim.predicate for claim in claims if claim.predicate} == set(PREDICATES)


def test_packaged_files_are_what_the_registry_reads() -> None:
    names = {path.name for path in schema.CLAIMS.glob("*.toml")}
    assert names == {"mnist1d.toml", "r1.toml", "r2.toml", "r3.toml", "r4.toml", "r5.toml", "data.toml"}
    for name in names:
        text = (schema.CLAIMS / name).read_text(encoding="utf-8")
        tomllib.loads(text)
        assert not re.search(r"/work|@|redacted|contributer", text), name


# Predicates on made curves -----------------------------------------------------------------------------


def _saturating(epochs: int, tau: float, start: float, end: float, noise: float, seed: int) -> list[float]:
    """An exponential approach from start to end, with noise that remembers half of the epoch before."""
    draws, wobble, curve = random.Random(seed), 0.0, []
    for epoch in range(epochs):
        wobble = wobble / 2 + draws.gauss(0, noise)
        curve.append(end + (start - end) * math.exp(-epoch / tau) + wobble)
    return curve


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_gap_that_opens_late(seed: int) -> None:
    train = _saturating(400, 60, 4.2, 0.1, 0.02, seed)
    val = _saturating(400, 30, 4.2, 2.0, 0.04, seed + 100)
    judged = PREDICATES["gap_opens_after"]({"train_loss": train, "val_loss": val}, epoch=50)
    assert judged.holds is True, judged.why


@pytest.mark.parametrize("seed", SEEDS)
def test_gap_that_was_open_before_does_not_open_after(seed: int) -> None:
    train = _saturating(400, 5, 4.2, 0.1, 0.02, seed)
    val = _saturating(400, 5, 4.2, 2.0, 0.04, seed + 100)
    judged = PREDICATES["gap_opens_after"]({"train_loss": train, "val_loss": val}, epoch=50)
    assert judged.holds is False, judged.why


def test_gap_that_only_widens_a_little_more() -> None:
    """Three quarters of the final gap are there by epoch 50, and the rest comes steadily and plainly."""
    train = [3.0] * 400
    val = [3.0 + 0.03 * min(i, 50) + 0.5 * max(i - 50, 0) / 350 for i in range(400)]
    judge = PREDICATES["gap_opens_after"]
    assert judge({"train_loss": train, "val_loss": val}, epoch=50).holds is False
    assert judge({"train_loss": train, "val_loss": val}, epoch=10).holds is True


def test_gap_that_jumps_open_counts_and_noise_does_not() -> None:
    judge = PREDICATES["gap_opens_after"]
    jump = [0.0] * 50 + [1.0] * 350
    assert judge({"train_loss": [0.0] * 400, "val_loss": jump}, epoch=50).holds is True
    draws = random.Random(0)
    opened = 0
    for _ in range(200):
        noise = [draws.gauss(0, 1) for _ in range(400)]
        opened += judge({"train_loss": [0.0] * 400, "val_loss": noise}, epoch=50).holds is True
    # Independent noise passes a one-sided 2 SE test whose error is widened by sqrt(3) about 3 in 1,000 times.
    assert opened <= 5


def test_gap_of_two_equal_curves_stays_shut() -> None:
    curve = _saturating(200, 20, 4.0, 1.0, 0.05, 1)
    assert PREDICATES["gap_opens_after"]({"train_loss": curve, "val_loss": curve}, epoch=50).holds is False


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "curve", "start", "end"),
    [("no_clear_fall_after", "val_loss", 4.2, 2.0), ("no_clear_gain_after", "val_top1", 0.02, 0.45)],
)
def test_a_curve_that_has_levelled_off(name: str, curve: str, start: float, end: float, seed: int) -> None:
    flat = _saturating(400, 25, start, end, abs(end - start) / 40, seed)
    assert PREDICATES[name]({curve: flat}, epoch=150).holds is True


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "curve", "start", "end"),
    [("no_clear_fall_after", "val_loss", 4.2, 2.0), ("no_clear_gain_after", "val_top1", 0.02, 0.54)],
)
def test_a_curve_that_still_moves(name: str, curve: str, start: float, end: float, seed: int) -> None:
    """R1's own case: 0.448 near epoch 150 and 0.539 within 400 is a clear gain."""
    moving = _saturating(400, 100, start, end, abs(end - start) / 40, seed)
    judged = PREDICATES[name]({curve: moving}, epoch=150)
    assert judged.holds is False, judged.why


def test_moving_the_other_way_is_no_clear_fall() -> None:
    rising = [4 - 0.02 * i for i in range(150)] + [1 + 0.01 * i for i in range(250)]
    assert PREDICATES["no_clear_fall_after"]({"val_loss": rising}, epoch=150).holds is True
    assert PREDICATES["no_clear_gain_after"]({"val_loss": rising}, epoch=150, curve="val_loss").holds is False


def test_a_significant_but_small_change_is_not_clear() -> None:
    """5 % of the fall before, without any noise: significant, and below the share that counts."""
    curve = [1 - i / 150 for i in range(150)] + [-0.05 * i / 249 for i in range(250)]
    assert PREDICATES["no_clear_fall_after"]({"val_loss": curve}, epoch=150).holds is True
    assert PREDICATES["no_clear_fall_after"]({"val_loss": curve}, epoch=150, share=0.01).holds is False


def test_chance_trends_are_rare() -> None:
    """One-sided test at .05, which remembered noise raises to about .06: of 200 noise-only tails 12 are
    expected, and 24 are exceeded with p < 1e-3 (binomial)."""
    clear = 0
    for seed in range(200):
        draws, wobble, tail = random.Random(seed), 0.0, []
        for _ in range(250):
            wobble = wobble / 2 + draws.gauss(0, 1)
            tail.append(wobble)
        judged = PREDICATES["no_clear_fall_after"]({"val_loss": [0.0, *tail]}, epoch=1, share=0.0)
        clear += judged.holds is False
    assert 1 <= clear <= 24


def test_a_constant_tail_is_no_trend() -> None:
    for level in (0.0, 0.1, 1e6):
        curves = {"val_loss": [5.0] * 20 + [level] * 100}
        assert PREDICATES["no_clear_fall_after"](curves, epoch=20).holds is True


@pytest.mark.parametrize("tail", [0, 1, LEAST_TAIL - 1])
@pytest.mark.parametrize("name", ["gap_opens_after", "no_clear_fall_after", "no_clear_gain_after"])
def test_short_curves_are_not_judged(name: str, tail: int) -> None:
    curve = [1.0] * (150 + tail)
    curves = {"train_loss": curve, "val_loss": curve, "val_top1": curve}
    judged = PREDICATES[name](curves, epoch=150)
    assert judged.holds is None
    assert f"has {tail} epochs after 150" in judged.why


def test_the_shortest_tail_is_judged() -> None:
    curve = [1.0] * (150 + LEAST_TAIL)
    assert PREDICATES["no_clear_fall_after"]({"val_loss": curve}, epoch=150).holds is True


def test_best_near() -> None:
    curve = [i / 200 for i in range(200)]
    peak = [*curve[:145], 0.9, *curve[146:]]
    judge = PREDICATES["best_near"]
    assert judge({"val_top1": peak}, epoch=150, within=10, until=160).holds is True
    assert judge({"val_top1": peak}, epoch=150, within=3, until=160).holds is False
    assert judge({"val_top1": peak}, epoch=150, within=10).holds is False  # 0.995 at epoch 200
    assert judge({"val_top1": peak[:159]}, epoch=150, within=10, until=160).holds is None
    assert judge({"val_top1": peak[:159]}, epoch=150, within=10).holds is None
    assert judge({"val_top1": peak[:160]}, epoch=150, within=10).holds is True
    assert judge({"val_top1": [0.5] * 200}, epoch=150, within=10).holds is True  # ties: a near one suffices
    assert judge({"val_top1": []}, epoch=150, within=10).holds is None


def _embedding(**values: dict[int, float]) -> dict[str, dict[int, float]]:
    return dict(values)


def test_clusters_grow() -> None:
    judge = PREDICATES["clusters_grow"]
    grown = _embedding(knn_purity={1: 0.1, 75: 0.4}, silhouette={1: -0.4, 75: -0.2})
    assert judge(grown, since=1, until=75).holds is True
    assert judge(grown, since="first", until="last").holds is True
    flat = _embedding(knn_purity={1: 0.1, 75: 0.12}, silhouette={1: -0.4, 75: 0.2})
    assert judge(flat, since=1, until=75).holds is False  # purity decides
    mixed = _embedding(knn_purity={1: 0.1, 75: 0.4}, silhouette={1: -0.1, 75: -0.2})
    assert judge(mixed, since=1, until=75).holds is False  # the silhouette may not fall
    assert judge(_embedding(silhouette={1: -0.4, 75: -0.2}), since=1, until=75).holds is True
    assert judge(_embedding(silhouette={1: -0.4, 75: -0.4}), since=1, until=75).holds is False
    assert judge(_embedding(pca_knn_purity={1: 0.1, 75: 0.4}), since=1, until=75, prefix="pca_").holds is True


def test_clusters_about_equal() -> None:
    judge = PREDICATES["clusters_about_equal"]
    equal = _embedding(knn_purity={325: 0.90, 395: 0.93}, silhouette={325: 0.30, 395: 0.28})
    assert judge(equal, since=325, until=395).holds is True
    assert judge(_embedding(knn_purity={325: 0.8, 395: 0.9}), since=325, until=395).holds is False
    assert judge(_embedding(knn_purity={325: 0.9, 395: 0.8}), since=325, until=395).holds is False
    worse = _embedding(knn_purity={325: 0.9, 395: 0.9}, silhouette={325: 0.3, 395: 0.2})
    assert judge(worse, since=325, until=395).holds is False


@pytest.mark.parametrize("name", ["clusters_grow", "clusters_about_equal"])
def test_unmeasured_epochs_are_not_judged(name: str) -> None:
    judge = PREDICATES[name]
    assert judge({}, since=1, until=75).holds is None
    assert judge(_embedding(knn_purity={1: 0.1}), since=1, until=75).holds is None
    assert judge(_embedding(knn_purity={1: 0.1}), since="first", until="last").holds is None
    assert judge({"knn_purity": [0.1, None, math.nan]}, since=1, until=3).holds is None


@pytest.mark.parametrize(
    ("purity", "clear", "overlap", "both"),
    [
        (0.0, False, True, False),
        (0.499, False, True, False),
        (0.5, True, False, True),
        (0.95, True, False, True),
        (0.96, True, False, False),
        (1.0, True, False, False),
    ],
)
def test_levels_of_clustering(purity: float, clear: bool, overlap: bool, both: bool) -> None:
    curves = _embedding(knn_purity={200: purity})
    for name, expected in {
        "clusters_clear": clear,
        "clusters_overlap": overlap,
        "clusters_clear_with_overlap": both,
    }.items():
        assert PREDICATES[name](curves, epoch=200).holds is expected
        assert PREDICATES[name](curves, epoch="last").holds is expected
        assert PREDICATES[name](curves, epoch=199).holds is None
        assert PREDICATES[name]({}, epoch="last").holds is None


def test_lists_and_mappings_are_the_same_curve() -> None:
    values = _saturating(300, 40, 0.0, 0.5, 0.01, 3)
    listed = PREDICATES["no_clear_gain_after"]({"val_top1": values}, epoch=150)
    mapped = PREDICATES["no_clear_gain_after"]({"val_top1": dict(enumerate(values, 1))}, epoch=150)
    read_back = {str(epoch): value for epoch, value in enumerate(values, 1)}  # JSON's keys are texts
    assert listed == mapped == PREDICATES["no_clear_gain_after"]({"val_top1": read_back}, epoch=150)


def test_a_diverged_curve_is_not_judged() -> None:
    curve = [1.0] * 200 + [math.inf] * 50
    judged = PREDICATES["no_clear_fall_after"]({"val_loss": curve}, epoch=100)
    assert judged.holds is None
    assert "infinite" in judged.why


CURVE = st.lists(
    st.one_of(st.none(), st.floats(min_value=-1e6, max_value=1e6), st.just(math.nan), st.just(math.inf)),
    max_size=260,
)


@given(
    train=CURVE, val=CURVE, name=st.sampled_from(sorted(PREDICATES)), epoch=st.integers(1, 220),
    later=st.integers(1, 60),
)  # fmt: skip
def test_any_curve_gets_a_judgement_with_one_sentence(
    train: list[float | None], val: list[float | None], name: str, epoch: int, later: int
) -> None:
    curves = {"train_loss": train, "val_loss": val, "val_top1": val, "knn_purity": train, "silhouette": val}
    needed = {"since": epoch, "until": epoch + later, "epoch": epoch, "within": later}
    needed |= {"curve": "val_top1", "least": 0.5, "most": 0.5}
    parameters = inspect.signature(PREDICATES[name]).parameters
    args = {k: needed[k] for k, p in parameters.items() if p.default is p.empty and k != "curves"}
    judged = PREDICATES[name](curves, **args)
    assert isinstance(judged, Judgement)
    assert judged.holds in (True, False, None)
    assert judged.why
    assert "\n" not in judged.why


@given(st.floats(0.01, 100), st.floats(-10, 10), st.integers(0, 1000))
def test_judgements_do_not_depend_on_the_units(scale: float, offset: float, seed: int) -> None:
    """Trends are judged by t and by shares, which a change of scale and zero leaves alone."""
    values = _saturating(250, 60, 1.0, 0.0, 0.02, seed)
    moved = [offset + scale * value for value in values]
    before = PREDICATES["no_clear_fall_after"]({"val_loss": values}, epoch=100)
    assert PREDICATES["no_clear_fall_after"]({"val_loss": moved}, epoch=100).holds is before.holds


@given(st.integers(0, 1000))
def test_falling_and_rising_are_mirror_images(seed: int) -> None:
    values = _saturating(250, 60, 1.0, 0.0, 0.05, seed)
    fall = PREDICATES["no_clear_fall_after"]({"val_loss": values}, epoch=100)
    gain = PREDICATES["no_clear_gain_after"]({"val_top1": [-value for value in values]}, epoch=100)
    assert fall.holds is gain.holds
