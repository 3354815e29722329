"""What follows from the five reports without training anything, each with its strength, and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import torchvision
from scipy.stats import binomtest

from bench.audit import Finding, audit, audit_page, flags, paragraph
from bench.audit.network_findings import NAMED_MODELS
from bench.audit.ordering_findings import gap, telling_share
from bench.claims.claim import Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import statistics

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ledgers() -> tuple[Ledger, ...]:
    return load_ledgers()


@pytest.fixture(scope="module")
def found(ledgers: tuple[Ledger, ...]) -> list[Finding]:
    return audit(ledgers)


def _one(found: Iterable[Finding], check: str, *claims: str, verdict: str = "against") -> Finding:
    """The finding of that check that rests on these claims."""
    chosen = [f for f in found if f.check == check and f.verdict == verdict and set(claims) <= set(f.claims)]
    assert len(chosen) == 1, [f.sentence for f in chosen]
    return chosen[0]


def _ids(report: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{report}-{name}" for name in names)


# Single reports ---------------------------------------------------------------------------------------


def test_fractions_of_r1_give_their_counts_and_n(found: list[Finding]) -> None:
    held = _one(
        found, "GRIM", *_ids("r1", *(f"finetune-{x}" for x in "abcde"), "finetune-c-400"), verdict="holds"
    )
    assert held.strength == "certain"
    assert "99, 210, 182, 219, 91 and 121 of 406 to the last digit, so that n = 406 follows" in held.sentence


@pytest.mark.parametrize(
    ("claims", "strength"),
    [
        (_ids("r3", "finetune-b", "finetune-c", "finetune-d", "finetune-e"), "weak"),
        (_ids("r5", "finetune-d", "finetune-e"), "weak"),
        (_ids("r3", "classify-a"), "weak"),
        (_ids("r3", "classify-b"), "strong"),
    ],
)
def test_figures_that_are_no_whole_number_of_images(
    found: list[Finding], claims: tuple[str, ...], strength: str
) -> None:
    """Weak where a mean over batches explains them: 0.8981 at its batch of 32 it does not."""
    fault = _one(found, "GRIM", *claims)
    assert fault.claims == claims
    assert (fault.strength, fault.flag, fault.flagged) == (strength, "inconsistent", claims)


@pytest.mark.parametrize(
    ("claims", "strength"),
    [
        (_ids("r2", "classify"), "weak"),
        (_ids("r4", "classify"), "strong"),
        (_ids("r3", "finetune-a"), "weak"),
        (_ids("r5", "finetune-a", "finetune-b", "finetune-c"), "weak"),
        (_ids("r5", "finetune-c-epoch1"), "weak"),
    ],
)
def test_figures_that_pass_grim(found: list[Finding], claims: tuple[str, ...], strength: str) -> None:
    held = _one(found, "GRIM", *claims, verdict="holds")
    assert held.claims == claims
    assert held.strength == strength
    assert not any(f.check == "GRIM" and set(claims) & set(f.claims) for f in found if f.verdict == "against")


def test_means_over_batches_are_weak_evidence(found: list[Finding]) -> None:
    read = _one(found, "batch means", "r3-finetune-a", verdict="note")
    assert read.strength == "weak"
    assert "the last one smaller and rounded, only 0.5505 and 0.2084 fit" in read.sentence
    assert (
        "the last one smaller and cut off, all 0.5271, 0.5527, 0.5505, 0.2422 and 0.2084 fit" in read.sentence
    )
    assert _one(found, "batch means", "r5-finetune-d", verdict="note").strength == "weak"
    assert _one(found, "batch means", "r3-classify-a", verdict="note").strength == "weak"
    other = _one(found, "batch means", "r3-classify-b", verdict="note")
    assert (other.strength, other.expected) == ("strong", "mean over batches of 32")


def test_class_ious_of_r4_average_to_their_means(found: list[Finding]) -> None:
    for name in ("r4-seg-a", "r4-seg-b"):
        assert _one(found, "class mean", name, verdict="holds").strength == "certain"


def test_gains_of_r2_leave_less_than_nothing(found: list[Finding]) -> None:
    fault = _one(found, "parts of a gain", "r2-focal-gain", "r2-sgd-gain")
    assert fault.strength == "weak"
    assert "leaves −0.0020 (−0.0075 to +0.0035 within rounding)" in fault.sentence
    others = ("batch-norm", "fcn8s", "normalisation", "crop", "padding")
    assert {f"r2-explain-{other}" for other in others} <= set(fault.claims)


@pytest.mark.parametrize(
    ("check", "strength", "flag", "claims"),
    [
        ("process", "strong", "self-contradicted", _ids("r1", "process-accuracy", "finetune-c-400")),
        ("selection", "strong", "", _ids("r1", "finetune-c", "finetune-d", "process-selection")),
        ("selection", "weak", "", _ids("r1", "order-full", "order-full-400")),
        ("code", "certain", "listing cannot run", _ids("r1", "byol-augment")),
        ("name", "weak", "misnamed", _ids("r1", "byol-optimizer-code")),
        ("named model", "strong", "self-contradicted", _ids("r1", "aspp-rates", "seg-b-model")),
        ("stages", "strong", "self-contradicted", _ids("r2", "figure-masks-b", "seg-b-protocol")),
        ("difference", "weak", "inconsistent", _ids("r3", "finetune-b", "finetune-c")),
        ("conflict", "weak", "self-contradicted", _ids("r3", "tsne-acc", "classify-a")),
        ("conflict", "strong", "self-contradicted", _ids("r3", "byol-optimizer-text", "byol-protocol")),
        ("conflict", "strong", "self-contradicted", _ids("r3", "second-last-layer", "vgg13")),
        ("name", "strong", "misnamed", _ids("r3", "seg-b-name", "seg-b-protocol")),
        ("name", "certain", "misnamed", _ids("r4", "seg-a-listing", "seg-a-name")),
        ("listing", "weak", "listing cannot run", _ids("r4", "seg-b-listing")),
    ],
)
def test_faults(found: list[Finding], check: str, strength: str, flag: str, claims: tuple[str, ...]) -> None:
    fault = _one(found, check, *claims)
    assert (fault.strength, fault.flag) == (strength, flag)


def test_one_closing_bracket_too_many(found: list[Finding]) -> None:
    assert "one closing ')' too many, in its line 14" in _one(found, "code", "r1-byol-augment").sentence


def test_all_of_r1_is_selected_on_what_it_is_reported_on(found: list[Finding]) -> None:
    """That its figure is the best of many epochs is said of C alone."""
    names = (*(f"finetune-{x}" for x in "abcde"), "finetune-c-400")
    own = _one(found, "selection", *_ids("r1", *names))
    assert own.strength == "strong"
    assert own.sentence.startswith("r1-finetune-c and r1-finetune-c-400: the best of many epochs")
    assert "r1-finetune-a, r1-finetune-b, r1-finetune-d and r1-finetune-e name an epoch each" in own.sentence


def test_listing_that_repeats_itself(found: list[Finding]) -> None:
    note = _one(found, "listing", "r4-seg-b-listing", verdict="note")
    assert note.sentence.startswith(
        "the listing repeats itself: resnet34.layer4.0.conv1 stands in lines 202 and 247"
    )


# Orderings --------------------------------------------------------------------------------------------

APART = {
    "r5-order-frozen": "(z = 6.64)",
    "r3-order-classify": "(z = 21.85)",
}
OPEN = {
    "r1-order-full": "(z = 1.97)",
    "r1-order-frozen": "(z = 2.41)",
    "r1-order-frozen-against-none": "(z = 1.74)",
}
"""One of nine pairs that the report ranks: no noise is beaten by one such z among nine."""
CLOSE = {
    "r1-order-full-400": "(z = 0.63)",
    "r3-order-full": "(z = 0.06)",
    "r3-order-pretrained-supervised": "(z = 0.73)",
    "r3-order-frozen": "(z = 1.15)",
    "r5-order-full": "(z = 0.23)",
    "r5-order-labels-full": "(z = 0.65)",
}


@pytest.mark.parametrize("name", [*APART, *OPEN, *CLOSE])
def test_orderings_against_chance(found: list[Finding], name: str) -> None:
    verdict = "holds" if name in APART else "note" if name in OPEN else "against"
    own = _one(found, "ordering", name, verdict=verdict)
    assert (APART | OPEN | CLOSE)[name] in own.sentence
    assert own.flag == ("indistinguishable" if name in CLOSE else "")
    assert own.strength == ("weak" if name in OPEN else "strong")
    assert ("Holm's adjustment over the 9 pairs" in own.sentence) is (name in OPEN)


@pytest.mark.parametrize(
    ("report", "better", "worse", "flagged"),
    [
        ("r1", "b", "c", False),
        ("r1", "e", "a", False),
        ("r1", "a", "d", True),
        ("r3", "d", "e", True),
        ("r3", "b", "c", True),
        ("r5", "c", "b", True),
    ],
)
def test_a_pair_is_indistinguishable_by_mcnemar(
    found: list[Finding], ledgers: tuple[Ledger, ...], report: str, better: str, worse: str, flagged: bool
) -> None:
    """The largest share of disagreeing images at which the exact test still tells them apart, by scipy."""
    ledger = next(ledger for ledger in ledgers if ledger.report == report)
    first, second = (ledger.claim(f"{report}-finetune-{name}") for name in (better, worse))
    apart = round(float(first.fraction - second.fraction) * 406)
    tried = range(max(apart, 1), 407, 2)
    telling = [d for d in tried if binomtest((d - apart) // 2, d).pvalue < 0.05]
    share = telling_share(first, second)
    assert share == pytest.approx(max(telling, default=0) / 406)
    assert (share < 0.15) is flagged


def test_what_the_report_gives_no_credit_to_is_noted(found: list[Finding]) -> None:
    for name, words in (
        ("r2-order-seg", "23.5 million more parameters"),
        ("r3-order-classify", "224 px against 32 px"),
        ("r3-order-frozen", "1000-way layer"),
    ):
        assert words in _one(found, "confound", name, verdict="note").sentence


def test_certain_uses_nothing_from_outside(found: list[Finding]) -> None:
    """Of the findings against R1 … R5 two follow from their text alone."""
    certain = [f.check for f in found if f.verdict == "against" and f.strength == "certain"]
    assert certain == ["code", "name"]


def test_most_orderings_of_pre_training_are_inside_the_noise(found: list[Finding]) -> None:
    about = [
        f for f in found if f.check == "ordering" and "order" in f.claims[0] and "finetune" in f.sentence
    ]
    close = {f.claims[0] for f in about if f.flag == "indistinguishable"}
    assert set(CLOSE) <= close


@pytest.mark.parametrize(
    ("pair", "strength", "points", "flagged"),
    [
        (
            ("finetune-a", "finetune-b"), "strong", "−27.3 (r1), −2.6 (r3), +0.8 (r5)",
            {"r1-order-full", "r1-order-full-400", "r5-order-full"},
        ),
        (("finetune-b", "finetune-c"), "weak", "+6.9 (r1), +0.2 (r3), −2.2 (r5)", set()),
        (
            ("finetune-d", "finetune-e"), "strong", "−7.4 (r1), +3.4 (r3), −21.9 (r5)",
            {"r1-order-frozen", "r3-order-frozen", "r5-order-frozen"},
        ),
    ],
)  # fmt: skip
def test_opposite_orderings(
    found: list[Finding], pair: tuple[str, str], strength: str, points: str, flagged: set[str]
) -> None:
    claims = [f"{report}-{setting}" for report in ("r1", "r3", "r5") for setting in pair]
    fault = _one(found, "across reports", *claims)
    assert fault.strength == strength
    assert f"{pair[0]} − {pair[1]} is {points} points" in fault.sentence
    assert {name for name, words in flags([fault]).items() if words} == flagged


def test_one_setting_in_three_reports(found: list[Finding]) -> None:
    note = _one(found, "across reports", "r1-finetune-a", "r3-finetune-a", "r5-finetune-a", verdict="note")
    assert "0.244 (r1), 0.527 (r3), 0.621 (r5)" in note.sentence


def test_z_is_that_of_the_grades(ledgers: tuple[Ledger, ...]) -> None:
    for ledger in ledgers:
        numbers = [c for c in ledger.of_kind("number") if c.metric == "top1" and c.n]
        for a in numbers:
            for b in numbers:
                p, q = float(a.fraction), float(b.fraction)
                own = gap(a, b)
                assert own is not None
                assert own.z == pytest.approx(statistics.two_proportion_z(p, q, a.n, b.n))
                if p == q:
                    assert own.resolved == pytest.approx(statistics.resolvable_difference(a.n, p))


# Nothing false ----------------------------------------------------------------------------------------

FLAGGED = {
    "inconsistent": {
        "r3-classify-b",
    },
    "self-contradicted": {
        "r1-aspp-rates", "r1-process-accuracy", "r2-figure-masks-b", "r3-byol-optimizer-text",
        "r3-second-last-layer",
    },
    "cross-contradicted": {
        "r1-order-frozen", "r1-order-full", "r1-order-full-400", "r3-order-frozen", "r5-order-frozen",
        "r5-order-full",
    },
    "listing cannot run": {"r1-byol-augment"},
    "misnamed": {"r3-seg-b-name", "r4-seg-a-listing"},
    "indistinguishable": {
        "mnist1d-order-shuffled-gru-cnn", "r1-order-full-400", "r1-order-none-against-frozen",
        "r3-order-frozen", "r3-order-full", "r3-order-pretrained-byol", "r3-order-pretrained-supervised",
        "r5-order-full", "r5-order-labels-full",
    },
}  # fmt: skip


def test_flags_are_these_and_no_others(found: list[Finding]) -> None:
    marked = flags(found)
    assert {flag: {c for c, words in marked.items() if flag in words} for flag in FLAGGED} == FLAGGED


def test_findings_name_claims_that_exist(found: list[Finding], ledgers: tuple[Ledger, ...]) -> None:
    known = {claim.id for ledger in ledgers for claim in ledger.claims}
    for each in found:
        assert set(each.claims) <= known
        assert set(each.flagged) <= set(each.claims)
        assert bool(each.flagged) == bool(each.flag)
        assert each.sentence
        assert each.locator.startswith(each.reports[0])


# The command's needs ----------------------------------------------------------------------------------


def test_paragraphs_and_page(found: list[Finding], ledgers: tuple[Ledger, ...]) -> None:
    for ledger in ledgers:
        said = paragraph(ledger, found)
        assert re.match(rf"{ledger.report.upper()} has \d+ points? to answer", said)
        assert "\n" not in said
        assert said.endswith(".")
        assert said in audit_page(ledgers, found)


_AUDIT = """
import hashlib, sys
from bench.audit import audit, audit_page
from bench.claims.ledger import load_ledgers
ledgers = load_ledgers()
text = audit_page(ledgers, audit(ledgers))
heavy = {"torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.parametrize("seed", ["0", "1"])
def test_page_is_the_same_in_every_process_and_imports_nothing_heavy(
    found: list[Finding], ledgers: tuple[Ledger, ...], seed: str
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _AUDIT],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == hashlib.sha256(audit_page(ledgers, found).encode()).hexdigest()


# What is known of named networks ----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED_MODELS)
def test_named_models_are_torchvisions(name: str) -> None:
    known = NAMED_MODELS[name]
    if "parameters" in known:
        weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
        assert known["parameters"] == (weights.meta["num_params"],)
    with torch.device("meta"):
        options = {"weights_backbone": None} if name.startswith("deeplab") else {}
        model = torchvision.models.get_model(name, weights=None, **options)
    modules = list(model.named_modules())
    if "dilation rates" in known:
        aspp = [
            m for n, m in modules if n.startswith("classifier.0.convs") and isinstance(m, torch.nn.Conv2d)
        ]
        assert (
            tuple(conv.dilation[0] for conv in aspp if conv.kernel_size == (3, 3)) == known["dilation rates"]
        )
    if "blocks per stage" in known:
        assert (
            tuple(len(dict(modules)[f"layer{stage}"]) for stage in (1, 2, 3, 4)) == known["blocks per stage"]
        )
    if "layers" in known:
        kinds = (torch.nn.Conv2d, torch.nn.Linear)
        assert sum(isinstance(m, kinds) and "downsample" not in n for n, m in modules) == known["layers"][0]
