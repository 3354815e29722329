"""Checks of deterministic claims: what each says today, and that none of them can only say that.

Every check is turned over twice: by a changed claim, and, for most kinds, by a changed ``reference``.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import checks, score
from bench.checks import augmentation, baselines, network_checks, notation, protocols, tiny
from bench.checks.baselines import BASELINES
from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.grading import grader
from bench.grading.deterministic import grade_exact
from bench.printed import printed_files
from reference import augment, losses, mixup
from reference.data import mnist1d
from reference.errors import InputError
from reference.models import MODELS, automask
from reference.models.byol import BYOL, Prediction
from reference.recipes import RECIPES

CLAIMS: dict[str, Claim] = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}
CHECKED = grader.checks()
DETERMINISTIC = ("architecture", "formula", "protocol")

UNCHECKED = {
    "r5-seg-a-backbone": "the scan is illegible",
    "r5-seg-b-listing": "the scan is illegible",
}

# Claim → why the report and we differ, as a part of the sentence that is shown.
DIFFERENT = {
    "r1-aspp-rates": "stated: ASPP dilation rates: 6, 12, 18; computed: ASPP dilation rates: 12, 24, 36",
    "r1-byol-optimizer-code": "stated: finetune_model.parameters(); computed: byol_resnet50.parameters()",
    "r3-second-last-layer": "computed: the second last layer is Linear(4096, 4096); 3 layers follow",
    "r3-byol-optimizer-text": "stated: SGD; computed: Adam",
    "r3-seg-b-name": "stated: DeepLabv3+; computed: DeepLabv3 at",
}


def graded(claim: Claim) -> tuple[str, str]:
    """A claim's grade and its sentence, computed anew."""
    verdict = grade_exact(*checks.BY_CLAIM[claim.id](claim))
    return verdict.grade, verdict.sentence


def edited(claim: Claim, old: str, new: str) -> Claim:
    """The claim with a text replaced wherever it is printed."""
    changed = replace(
        claim,
        formula=claim.formula and claim.formula.replace(old, new),
        code=claim.code and claim.code.replace(old, new),
        value=claim.value and claim.value.replace(old, new),
        text=claim.text.replace(old, new),
        facts=tuple(fact.replace(old, new) for fact in claim.facts),
        damage=tuple(damage.replace(old, new) for damage in claim.damage),
        stated={key: text.replace(old, new) for key, text in claim.stated.items()},
    )
    assert changed != claim, f"{claim.id} has no {old!r}"
    return changed


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Networks built before a test has changed the reference are no part of it."""
    yield
    network_checks.built.cache_clear()
    tiny._byol.cache_clear()


# ---------------------------------------------------------------- every claim, today


def test_every_deterministic_claim_is_checked() -> None:
    asked = {claim.id for claim in CLAIMS.values() if claim.kind in DETERMINISTIC}
    assert asked - set(CHECKED) == set(UNCHECKED)
    assert all(CLAIMS[claim].illegible for claim in UNCHECKED)
    assert set(checks.CHECKS).isdisjoint(printed_files.CHECKS)
    without_training = {"mnist1d-knn", "mnist1d-linear"}  # numbers, the same at every call
    assert set(checks.CHECKS) - asked == without_training == set(BASELINES)
    assert len(checks.CHECKS) == 68


def test_logistic_regression_does_not_hang_on_rounding() -> None:
    """Processors round differently: signals that differ in their last bit give the same accuracy."""
    dataset = mnist1d.draw("mnist1d")
    bits = np.random.default_rng(0).integers(-1, 2, dataset.train.images.shape, dtype=np.int32)
    moved = (dataset.train.images.view(np.int32) + bits).view(np.float32)
    splits = (dataset.train, replace(dataset.train, images=moved))
    right = [
        int((baselines.linear(replace(dataset, train=train)) == dataset.val.targets).sum())
        for train in splits
    ]
    assert right == [328, 328]


@pytest.mark.parametrize("claim_id", checks.CHECKS)
def test_grades(claim_id: str) -> None:
    verdict = grade_exact(*CHECKED[claim_id]())
    assert verdict.grade == ("differs" if claim_id in DIFFERENT else "matches"), verdict.sentence
    assert DIFFERENT.get(claim_id, "equals") in verdict.sentence


def test_what_is_left_out_is_stated_and_has_a_reason() -> None:
    assert len(protocols.LEFT_OUT) == 1
    for (claim_id, key), why in protocols.LEFT_OUT.items():
        assert key in CLAIMS[claim_id].stated
        assert len(why.split()) > 4


# ---------------------------------------------------------------- changed claims

# Claim → (printed, printed instead), each of which makes an exact claim a different one.
FAULTS: list[tuple[str, str, str]] = [
    ("mnist1d-knn", "59.6", "59.5"),
    ("mnist1d-linear", "32.8", "33.3"),
    ("mnist1d-logistic-parameters", "410", "400"),
    ("mnist1d-mlp-parameters", "15,210", "15,110"),
    ("mnist1d-cnn-parameters", "5,210", "5,185"),
    ("mnist1d-gru-parameters", "5,134", "5,098"),
    ("r1-aspp-pooling", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d"),
    ("r1-aspp-pooling", "1x1", "3x3"),
    ("r1-seg-b-auxiliary", "no linear layer", "a linear layer"),
    ("r1-seg-b-auxiliary", "as in model A", "unlike model A"),
    ("r1-byol-loss", "-2 *", "-3 *"),
    ("r1-byol-loss", "<q(z2), z2'>", "<q(z2), z1'>"),
    ("r1-byol-loss", "|z1'|", "|z2'|"),
    ("r1-byol-views", "z1' = g'(f'(t'(x)))", "z1' = g'(f'(t(x)))"),
    ("r1-byol-views", "g'(f'(t(x)))", "g(f(t(x)))"),
    ("r1-byol-gradient", "(1/N)", "(2/N)"),
    ("r1-byol-gradient", "optimizer(theta, dtheta", "optimizer(dtheta, theta"),
    ("r1-byol-ema", "(1 - tau_k) * theta", "(1 - tau_k) * xi"),
    ("r1-byol-ema", "xi <-", "theta <-"),
    ("r3-byol-loss", "2 - 2 *", "2 - 1 *"),
    ("r3-byol-loss", "z'/|z'||^2", "z'/|z'||"),
    ("r3-byol-loss-sum", "L + L~", "L - L~"),
    ("r3-byol-ema", "tau * xi", "tau * theta"),
    ("r3-byol-ema", "optimizer(theta", "optimizer(xi"),
    ("r3-cross-entropy", "(1/j)", "1"),
    ("r3-cross-entropy", "j>=1", "j>=2"),
    ("r3-cross-entropy", "(1 - p)^j", "p^j"),
    ("r3-focal-loss", "(j + gamma)", "(j - gamma)"),
    ("r3-focal-loss", "-(1 - p)^gamma", "(1 - p)^gamma"),
    ("r3-poly-loss-series", "eps_N + 1/N", "eps_N + 2/N"),
    ("r3-poly-loss-series", "(eps_1 + 1)", "(eps_1 + 2)"),
    ("r3-poly-loss-series", "1/(N+1) *", "1/(N+2) *"),
    ("r3-poly-loss", "eps_j * (1 - p)^j", "eps_j * (1 - p)"),
    ("r3-poly-loss", "j=1..N", "j=2..N"),
    ("r3-mixup", "x = lam * x1", "x = lam * x2"),
    ("r3-mixup", "(1 - lam) * y2", "(2 - lam) * y2"),
    ("r5-byol-ema", "slow-moving", "fast-moving"),
    ("r1-seg-a-network", "replaced by convolutional", "kept next to convolutional"),
    ("r1-byol-network", "gets no gradient", "gets a gradient"),
    ("r1-byol-augment-text", "水平翻轉", "GaussianBlur"),
    ("r3-seg-b-kernels", "of different kernel sizes", "of one kernel size"),
    ("r4-seg-a-name", "FCN32", "FCN16"),
    ("r4-seg-a-name", "50", "40"),
    ("r3-vgg13", "5 blocks", "4 blocks"),
    ("r3-vgg13", "2 x (convolution", "3 x (convolution"),
    ("r3-vgg13", "3 fully", "2 fully"),
    ("r3-resnet152", "152 layers", "151 layers"),
    ("r3-resnet152", "224 px", "256 px"),
    ("r3-resnet152", "pretrained weights", "random weights"),
    ("r3-finetune-network", "Linear 1000 to 65", "Linear 2048 to 65"),
    ("r3-finetune-network", "Linear(2048, 1000) is kept", "Linear(2048, 1000) is left out"),
    ("r3-byol-network", "the target has none", "the target has one"),
    ("r3-seg-a-network", "5 blocks", "4 blocks"),
    ("r3-seg-a-network", "size / 32", "size / 16"),
    ("r3-seg-b-network", "dilated", "no dilated"),
    ("r4-depth", "34 layers", "33 layers"),
    ("r4-depth", "has 16", "has 19"),
    ("r5-finetune-network", "256", "512"),
    ("r5-finetune-network", "Dropout 0.1", "Dropout 0.2"),
    ("r5-byol-network", "ResNet50", "ResNet18"),
    ("r1-byol-protocol", "Gradually warm-up(increasing)", "Cosine"),
    ("r1-byol-augment", "Pad(20)", "Pad(10)"),
    ("r1-byol-augment", "(1.0, 2.0)", "(0.1, 2.0)"),
    ("r1-byol-augment", "p = 0.3", "p = 0.8"),
    ("r1-byol-augment", "RandomGrayscale(p = 0.2)", "RandomGrayscale()"),
    ("r1-byol-augment", "RandomHorizontalFlip()", "RandomHorizontalFlip(0.4)"),
    ("r1-byol-augment", "0.8, 0.8, 0.8, 0.2", "0.8, 0.8, 0.2, 0.8"),
    ("r1-byol-augment", "(3, 3)", "(5, 5)"),
    ("r1-byol-augment", "transforms.Pad(20),", ""),
    ("r1-byol-augment", "transforms.Resize((image_size, image_size))", "transforms.Resize((96, 96))"),
    ("r1-byol-augment", "transforms.Pad(", "transforms.Pad(width="),
    ("r1-byol-augment", "one closing ')' too many", "none"),  # undeclared damage: it does not parse
    ("r1-byol-augment", "[0.229, 0.224, 0.225])))])", "[0.229, 0.224, 0.225]))])"),  # declared, not there
    ("r3-byol-augment", "0.4705", "0.4750"),
    ("r3-byol-augment", "RandomResizedCrop((128, 128))", "RandomResizedCrop((128, 128), (0.2, 1.0))"),
    ("r3-byol-augment", "transforms.RandomGrayscale(p=0.2),", ""),
    ("r3-finetune-augment", "reuses", "leaves out"),
    ("r3-finetune-augment", "p = 0.3", "p = 0.4"),
    ("r5-byol-augment", "T.RandomHorizontalFlip(),", "T.RandomVerticalFlip(),"),
    ("r5-byol-augment", "0.229", "0.230"),
    ("r1-finetune-protocol", "A to C", "A to D"),
    ("r1-finetune-classes", "六十五", "六十四"),
    ("r1-sam-protocol", "three validation", "two validation"),
    ("r1-sam-protocol", "ViT-H", "ViT-L"),
    ("r1-seg-b-model", "pretrained=True", "pretrained=False"),
    ("r2-classify-classes", "50", "51"),
    ("r2-seg-classes", "7", "6"),
    ("r2-seg-a-protocol", "100", "50"),
    ("r2-seg-b-protocol", "由Adam改為SGD", "由SGD改為Adam"),
    ("r2-seg-b-protocol", "70", "60"),
    ("r3-classify-a-protocol", "RandomRotation, ", ""),
    ("r3-classify-b-protocol", "224", "256"),
    ("r3-classify-b-protocol", "resnet152", "resnet101"),
    ("r3-byol-protocol", "1e-4", "1e-3"),
    ("r3-byol-protocol", "CosineAnnealingLR", "cosine annealing with warm-up"),
    ("r3-finetune-protocol", "Linear(1000,65)", "Linear(2048,65)"),
    ("r3-finetune-classes", "65", "64"),
    ("r3-finetune-table", "B and D the supervised", "B and E the supervised"),
    ("r3-seg-a-protocol", "[ToTensor(), Normalize()]", "[ToTensor(), HorizontalFlip(), Normalize()]"),
    ("r3-seg-b-protocol", "Poly1Loss", "FocalLoss"),
    ("r4-classify-classes", "50", "49"),
    ("r4-seg-b-protocol", "FCN8", "FCN16"),
    ("r4-seg-classes", "512", "256"),
    ("r4-score-format", "0.73810", "0.7381"),
    ("r4-score-format", "with six.", "with five."),
    ("r4-score-format", "six classes", "seven classes"),
    ("r5-byol-protocol", "with warmup", ""),
    ("r5-byol-protocol", "0.00001", "0.0001"),
    ("r5-finetune-protocol", "Two FC", "Three FC"),
    ("r5-seg-classes", "4096", "1024"),
]  # fmt: skip


@pytest.mark.parametrize(("claim_id", "old", "new"), FAULTS)
def test_a_changed_claim_is_different(claim_id: str, old: str, new: str) -> None:
    assert graded(edited(CLAIMS[claim_id], old, new))[0] == "differs"


def test_every_exact_claim_has_a_fault() -> None:
    assert {claim_id for claim_id, _, _ in FAULTS} == set(checks.CHECKS) - set(DIFFERENT)


# Claim → (printed, what would have been right).
REPAIRED = {
    "r1-aspp-rates": ("6, 12, 18", "12, 24, 36"),
    "r1-byol-optimizer-code": ("finetune_model", "byol_resnet50"),
    "r3-second-last-layer": (
        "where the convolutions end",
        "Linear(4096, 4096); 3 layers follow where the convolutions end",
    ),
    "r3-byol-optimizer-text": ("SGD", "Adam"),
    "r3-seg-b-name": ("DeepLabv3+", "DeepLabv3"),
}


@pytest.mark.parametrize("claim_id", REPAIRED)
def test_a_different_claim_could_have_been_right(claim_id: str) -> None:
    assert graded(edited(CLAIMS[claim_id], *REPAIRED[claim_id]))[0] == "matches"


def test_every_difference_could_be_repaired() -> None:
    assert set(DIFFERENT) == set(REPAIRED)


def test_nothing_stands_in_quotation_marks_that_no_report_prints() -> None:
    """Much of what a claims file holds is our wording, so that no sentence quotes it."""
    for claim_id, check in CHECKED.items():
        assert not set(grade_exact(*check()).sentence) & set("“”‘’"), claim_id


def test_what_was_found_of_one_recipe_is_not_told_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    check = CHECKED["r1-sam-protocol"]
    found = check()
    with monkeypatch.context() as patch:
        patch.setitem(RECIPES, "r1-sam", replace(RECIPES["r1-sam"], mask_images=("0001",)))
        assert check() != found
    assert check() == found


# Code stands next to the words of these; the code is what is compared.
AUGMENT_IN_CODE = ("r1-byol-augment", "r3-byol-augment", "r3-finetune-augment", "r5-byol-augment")
STATED = [
    (claim_id, key)
    for claim_id in protocols.PROTOCOLS
    for key in CLAIMS[claim_id].stated
    if claim_id not in DIFFERENT and not (key == "augment" and claim_id in AUGMENT_IN_CODE)
]


@pytest.mark.parametrize(("claim_id", "key"), STATED)
def test_every_stated_value_counts(claim_id: str, key: str) -> None:
    claim = CLAIMS[claim_id]
    other = "[Other]" if key == "augment" else "something else"
    assert graded(replace(claim, stated={**claim.stated, key: other}))[0] == "differs"


@pytest.mark.parametrize("claim_id", network_checks.FACTS)
def test_every_fact_counts(claim_id: str) -> None:
    claim = CLAIMS[claim_id]
    for at in range(len(claim.facts)):
        facts = [*claim.facts]
        facts[at] = "something else"
        assert graded(replace(claim, facts=tuple(facts)))[0] == "differs"
    assert graded(replace(claim, facts=(*claim.facts, "one more")))[0] == "differs"


@pytest.mark.parametrize(
    ("claim_id", "model", "found"),
    [
        ("r3-resnet152", "resnet18", "computed: 18 layers"),
        ("r3-vgg13", "vgg16_bn", "(Conv2d, BatchNorm2d, ReLU"),
        ("r4-depth", "resnet18", "computed: ResNet18 has 18 layers where VGG16 has 16."),
        ("r3-finetune-network", "resnet50_mlp", "computed: ResNet50's own last layer is left out"),
        ("r1-seg-a-network", "vgg16_bn", "computed: fully connected layers: 3 of 3 left"),
    ],
)
def test_another_network_has_other_facts(claim_id: str, model: str, found: str) -> None:
    assert found in graded(replace(CLAIMS[claim_id], model=model))[1]


# ---------------------------------------------------------------- a changed reference


def _recipe(slug: str, **changes: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(RECIPES, slug, replace(RECIPES[slug], **changes))


def _phase(slug: str, **changes: Any) -> Callable[[pytest.MonkeyPatch], None]:
    phases = tuple(replace(phase, **changes) for phase in RECIPES[slug].phases)
    return _recipe(slug, phases=phases)


def _loss(name: str, change: Callable[..., Tensor]) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(losses, name, change)


def _attribute(module: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, value)


def _network(name: str, other: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(MODELS, name, MODELS[other])


_FORWARD, _EMA, _MIX = BYOL.forward, BYOL.ema_update, mixup.mix
_BYOL, _FOCAL, _POLY, _CE = losses.byol_loss_r1, losses.focal_loss, losses.poly_loss, losses.cross_entropy


def _same_view(self: BYOL, view1: Tensor, view2: Tensor) -> Prediction:
    answer = _FORWARD(self, view1, view2)
    return Prediction(answer.prediction1, answer.target1, answer.prediction2, answer.target2)


def _with_gradient(self: BYOL, x: Tensor) -> Tensor:
    projected: Tensor = self.predictor(self.target_projector(self.target_encoder(x)))
    return projected


def _encoder_only(self: BYOL, decay: float) -> None:
    before = [parameter.clone() for parameter in self.target_projector.parameters()]
    _EMA(self, decay)
    with torch.no_grad():
        for parameter, old in zip(self.target_projector.parameters(), before, strict=True):
            parameter.copy_(old)


def _of_the_mean(logits: Tensor, target: Tensor, *, gamma: float = 2.0, **options: Any) -> Tensor:
    mean = _CE(logits, target)
    return mean * (1 - torch.exp(-mean)) ** (gamma + 1)


def _poly_of_p(logits: Tensor, target: Tensor, *, epsilon: float) -> Tensor:
    return _POLY(logits, target, epsilons=(-epsilon,))


def _rare_flip(batch: augment.Batch, draws: augment.Draws) -> augment.Batch:
    return augment.flip(batch, draws.chance(0.4), -1)


BROKEN: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "another number of neighbours": ("mnist1d-knn", _attribute(baselines, "NEIGHBOURS", 9)),
    "a tolerance of the mean loss": ("mnist1d-linear", _attribute(baselines, "TOLERANCE", 40)),
    "data that are not the official ones": ("mnist1d-knn", _attribute(mnist1d, "MANIFESTS", {"mnist1d": ""})),
    "nine classes": ("mnist1d-logistic-parameters", _recipe("mnist1d-logistic", num_classes=9)),
    "a narrower MLP": ("mnist1d-mlp-parameters", _recipe("mnist1d-mlp", width=99)),
    "a narrower CNN": ("mnist1d-cnn-parameters", _recipe("mnist1d-cnn", width=24)),
    "a narrower GRU": ("mnist1d-gru-parameters", _recipe("mnist1d-gru", width=5)),
    "sum-of-the-batch": (
        "r1-byol-gradient",
        _loss("byol_loss_r1", lambda p1, t2, p2, t1: len(p1) * _BYOL(p1, t2, p2, t1)),
    ),
    "one-direction": ("r1-byol-loss", _loss("byol_loss_r1", lambda p1, t2, p2, t1: _BYOL(p1, t2, p1, t2))),
    "loss-of-the-recipe": ("r1-byol-loss", _recipe("r1-byol", loss="byol_loss")),
    "constant": ("r3-byol-loss", _loss("byol_loss", _BYOL)),
    "mean-of-directions": (
        "r3-byol-loss-sum",
        _loss("byol_loss", lambda p1, t2, p2, t1: 2 + _BYOL(p1, t2, p2, t1) / 2),
    ),
    "same-view": ("r1-byol-views", _attribute(BYOL, "forward", _same_view)),
    "target-predicts": ("r3-byol-network", _attribute(BYOL, "_target", _with_gradient)),
    "target-gets-a-gradient": ("r1-byol-network", _attribute(BYOL, "_target", _with_gradient)),
    "projector-left-behind": ("r1-byol-ema", _attribute(BYOL, "ema_update", _encoder_only)),
    "decay-the-other-way": ("r3-byol-ema", _attribute(BYOL, "ema_update", lambda self, d: _EMA(self, 1 - d))),
    "fast": ("r5-byol-ema", _recipe("r5-byol", tau=0.25)),
    "no-average": ("r3-byol-network", _attribute(BYOL, "ema_update", lambda self, d: None)),
    "smoothed": ("r3-cross-entropy", _loss("cross_entropy", lambda x, y: _CE(x, y) + 1e-6)),
    "focal-of-the-mean": ("r3-focal-loss", _loss("focal_loss", _of_the_mean)),
    "poly-of-p": ("r3-poly-loss", _loss("poly1_loss", _poly_of_p)),
    "poly-shifted": (
        "r3-poly-loss-series",
        _loss("poly_loss", lambda x, y, epsilons, **_: _POLY(x, y, epsilons=(0.0, *epsilons))),
    ),
    "lambdas-swapped": ("r3-mixup", _attribute(mixup, "mix", lambda x, y, lam: _MIX(x, y, 1 - lam))),
    "jitter-p": ("r1-byol-augment", _attribute(augment, "JITTER_P", 0.8)),
    "jitter-hue": ("r3-byol-augment", _attribute(augment, "JITTER_HUE", 0.1)),
    "grey-p": ("r5-byol-augment", _attribute(augment, "GRAYSCALE_P", 0.1)),
    "blur-sigma": ("r3-finetune-augment", _attribute(augment, "BLUR_SIGMA", (0.1, 2.0))),
    "pad": ("r1-byol-augment", _attribute(augment, "PAD", 4 / 128)),
    "crop-area": ("r3-byol-augment", _attribute(augment, "CROP_AREA", (0.2, 1.0))),
    "flip": (
        "r5-byol-augment",
        lambda patch: patch.setitem(augment.AUGMENT, "horizontal_flip", _rare_flip),
    ),
    "order": (
        "r1-byol-augment",
        _recipe("r1-byol", augment=("grayscale", "color_jitter", *RECIPES["r1-byol"].augment[2:])),
    ),
    "one-setting-augments": ("r3-finetune-augment", _recipe("r3-finetune-e", augment=("horizontal_flip",))),
    "unlike-byol": ("r3-finetune-augment", _recipe("r3-byol", augment=("horizontal_flip",))),
    "statistics": ("r3-finetune-augment", _recipe("r3-finetune-c", mean=(0.5, 0.5, 0.5))),
    "image-size": ("r3-classify-a-protocol", _recipe("r3-classify-a", image_size=224)),
    "batch": ("r3-byol-protocol", _recipe("r3-byol", batch_size=64)),
    "rate": ("r1-byol-protocol", _phase("r1-byol", lr=1e-3)),
    "no-warm-up": ("r1-byol-protocol", _phase("r1-byol", schedule="cosine", warmup_epochs=0)),
    "no-fall": ("r5-byol-protocol", _phase("r5-byol", schedule="constant")),
    "poly": ("r3-byol-protocol", _phase("r3-byol", schedule="poly")),
    "optimizer": ("r3-classify-a-protocol", _phase("r3-classify-a", optimizer="adam")),
    "loss": ("r3-seg-b-protocol", _recipe("r3-seg-b", loss="focal")),
    "init": ("r3-seg-a-protocol", _recipe("r3-seg-a", init="scratch")),
    "one-of-five": ("r3-finetune-protocol", _recipe("r3-finetune-d", batch_size=32)),
    "switch": ("r2-seg-b-protocol", _recipe("r2-seg-b", phases=RECIPES["r2-seg-b"].phases[::-1])),
    "no-normalisation": ("r2-seg-b-protocol", _recipe("r2-seg-b", mean=(0.0,) * 3, std=(1.0,) * 3)),
    "padding": ("r2-seg-a-protocol", _recipe("r2-seg-a", model_args=(("padding", 1),))),
    "no-mixup": ("r3-classify-b-protocol", _recipe("r3-classify-b", mixup=0.0)),
    "no-smoothing": ("r3-classify-b-protocol", _recipe("r3-classify-b", mixup_smoothing=0.0)),
    "hidden": ("r5-finetune-network", _recipe("r5-finetune-c", model_args=(("hidden", 128),))),
    "head": ("r5-finetune-protocol", _recipe("r5-finetune-c", model_args=(("dropout", 0.5),))),
    "not-frozen": ("r1-finetune-protocol", _recipe("r1-finetune-d", model_args=())),
    "starts": ("r3-finetune-table", _recipe("r3-finetune-b", init="run:r3-byol")),
    "own-backbone": ("r3-finetune-table", _recipe("supervised", report="r3")),
    "fcn32": ("r4-seg-b-protocol", _recipe("r4-seg-b", model="fcn32s_resnet34")),
    "classes": ("r4-seg-classes", _recipe("r4-seg-b", num_classes=6)),
    "other-pair": ("r2-seg-classes", _recipe("r2-seg-b", num_classes=6)),
    "padding-of-r3": ("r3-seg-a-network", _recipe("r3-seg-a", model_args=(("padding", 100),))),
    "vgg16": ("r3-vgg13", _network("vgg13", "vgg16_bn")),
    "resnet18": ("r4-depth", _network("resnet34", "resnet18")),
    "sam-vit-l": ("r1-sam-protocol", _recipe("r1-sam", init="sam_vit_l")),
    "no-duplicates": ("r1-sam-protocol", _recipe("r1-sam", model_args=(("points_per_side", 32),))),
    "sam-file": (
        "r1-sam-protocol",
        lambda patch: patch.setitem(automask.CHECKPOINTS, "sam_vit_h", ("other.pth", "")),
    ),
    "score-digits": (
        "r4-score-format",
        _attribute(score, "lines", lambda s: [f"class #0 : {s.iou[0]:.4f}", f"mean_iou: {s.mean_iou:f}"]),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_changed_reference_is_different(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim_id, change = BROKEN[name]
    network_checks.built.cache_clear()
    before = graded(CLAIMS[claim_id])
    network_checks.built.cache_clear()
    change(monkeypatch)
    grade, sentence = graded(CLAIMS[claim_id])
    assert grade == "differs"
    assert sentence != before[1]


def test_a_kind_of_claim_without_a_broken_reference_is_named() -> None:
    """What is only turned over by its text: counts of outputs and sentences about networks."""
    broken = {claim_id for claim_id, _ in BROKEN.values()}
    assert set(checks.CHECKS) - broken - set(DIFFERENT) == {
        "r1-seg-a-network", "r1-aspp-pooling", "r1-seg-b-auxiliary",
        "r3-resnet152", "r3-finetune-network", "r3-seg-b-network", "r5-byol-network",
        "r1-finetune-classes", "r1-seg-b-model", "r2-classify-classes", "r3-finetune-classes",
        "r4-classify-classes", "r5-seg-classes",
        "r1-byol-augment-text", "r3-seg-b-kernels", "r4-seg-a-name",
    }  # fmt: skip


# ---------------------------------------------------------------- the parts


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("2 + 3 * 4 - 6 / 3", 12.0),
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("(1 + 2) (3 + 4)", 21.0),
        ("<a, b>", 11.0),
        ("|a|^2 + |b|^2", 30.0),
        ("|a/|a|||b|", 5.0),
        ("<a, b> / (|a| |b|)", 11 / 5 / 5**0.5),
        ("log x", 1.0),
        ("sum_{j=1..4} j^2", 30.0),
        ("sum_{j>=1} 1/2^j", 1.0),
        ("sum_i v_i", 6.0),
        ("v_0 + v_2", 4.0),
        ("1 + ... + N^2 + 1/2^N + ...", 14 + 0.25),
    ],
)
def test_formulas_are_read_as_they_are_written(formula: str, value: float) -> None:
    names: dict[str, Any] = {
        "a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0]), "x": np.e, "log": np.log, "N": 3,
        "v": lambda i: (1.0, 2.0, 3.0)[i],
    }  # fmt: skip
    (statement,) = notation.parse_formula(formula)
    assert float(np.squeeze(statement.sides[0](names))) == pytest.approx(value, rel=1e-12)


def test_statements_have_targets_and_sides() -> None:
    first, second, third = notation.parse_formula("x = 1 = 2; y <- 3, 4")
    assert (first.target, len(first.sides), second.target, third.target) == ("x", 3, "y", "")


@pytest.mark.parametrize("formula", ["1 +", "(1", "a ? b", "|a", "sum_{j} j", "1 + ... + 2", "* 2", "1 )"])
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(InputError, match="formula"):
        notation.parse_formula(formula)


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="'b' is unknown; known are a"):
        notation.parse_formula("a + b")[0].sides[0]({"a": 1})


@pytest.mark.parametrize(
    "formula", ["sum_{j>=1} 1/j", "sum_{j>=1} 1/j^2", "sum_{j>=1} 1", "2 + ... + N + 1/2^N + ..."]
)
def test_a_sum_that_does_not_settle_is_nan(formula: str) -> None:
    """Within the terms that are added up; and one whose first term is not the first of the last."""
    assert np.isnan(notation.parse_formula(formula)[0].sides[0]({"N": 3})).all()


@pytest.mark.parametrize(
    ("words", "number"),
    [("六十五", 65), ("二十", 20), ("十", 10), ("十二", 12), ("七", 7), ("sixty", "sixty"), ("", "")],
)
def test_numbers_in_words(words: str, number: int | str) -> None:
    assert augmentation.number_in_words(words) == number


def test_measured_arguments_are_torchvisions() -> None:
    import inspect

    from torchvision import transforms

    assert set(augmentation.TRANSFORMS) == set(augment.AUGMENT)
    for name, arguments in augmentation.MEASURED.items():
        known = {*inspect.signature(getattr(transforms, name)).parameters, "p"}  # p: of RandomApply
        assert set(arguments) <= known


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet152", "vgg13", "vgg16_bn"])
def test_networks_are_told_by_their_shape(name: str) -> None:
    model = network_checks.built(name, 50)
    assert network_checks.trunk_name(model) == name
    assert network_checks.is_torchvisions(model, name, 50)
    assert not network_checks.is_torchvisions(model, name, 51)


class WithDecoder(nn.Module):
    """The least that scores a finer map than its backbone ends with."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
        self.up = nn.Upsample(scale_factor=scale)
        self.head = nn.Conv2d(4, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.up(self.backbone(x)))
        return scores


@pytest.mark.parametrize(("scale", "decoder"), [(1, False), (2, True)])
def test_a_decoder_is_seen(scale: int, decoder: bool) -> None:
    with torch.device("meta"):
        assert network_checks.has_decoder(WithDecoder(scale), 32) == decoder


def test_checks_are_computed_once_and_draw_nothing() -> None:
    state = torch.get_rng_state()
    for check in checks.CHECKS.values():
        assert check() is check()
    assert torch.equal(torch.get_rng_state(), state)


def test_importing_checks_imports_no_torch() -> None:
    code = "import sys, bench.checks; sys.exit(bool({'torch', 'torchvision'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_claim_that_names_no_loss_is_refused() -> None:
    claim = dataclasses.replace(CLAIMS["r3-poly-loss"], implements="poly_lost")
    with pytest.raises(InputError, match="r3-poly-loss: implements 'poly_lost': no such loss"):
        checks.BY_CLAIM[claim.id](claim)
