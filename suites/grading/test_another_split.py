"""Verdicts on public originals: by that name, with another split's error, never mixed with official runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import a_run, write

from bench.claims.ledger import load_ledgers
from bench.grading.another_split import binomial, split_variance
from bench.grading.grader import GradedClaim, grade_all
from bench.grading.groups import Runs
from bench.grading.measured import PerImage
from bench.grading.numbers import grade_number
from bench.grading.spread import Spread, expected_spread, margin
from bench.grading.statistics import Z_95, bootstrap_miou
from bench.grading.verdict import ON_PUBLIC
from bench.pages.summary import headline, standing, tiles
from bench.runs.records import Record

PUBLIC = "public-originals"
FINETUNE, SEGMENT, CLASSIFY = "r3-finetune-a", "r4-seg-a", "r4-classify"


def runs(slug: str, values: list[float], folder: Path | None = None, **common: Any) -> list[Record]:
    n = {"r3-finetune-a": 406, "r4-seg-a": 257, "r4-classify": 2500}.get(slug)
    common = {"source": PUBLIC, "name": "Office-Home, Real World", "n": n, **common}
    found = [a_run(slug, value, seed=seed, **common) for seed, value in enumerate(values)]
    for record in found if folder is not None else []:
        rng = np.random.default_rng(record.seed)
        arrays = (
            {
                "per_image": rng.integers(1, 50, (257, 7, 7)) + 400 * np.eye(7, dtype=int),
                "targets": np.arange(0),
            }
            if slug == SEGMENT
            else {"per_image": rng.integers(0, 2, 2500), "targets": np.arange(2500) % 50}
        )
        assert folder is not None
        path = write(folder, record).with_suffix(".npz")
        np.savez_compressed(path, ids=np.arange(len(arrays["per_image"])).astype(str), **arrays)
    return found


def graded(found: list[Record], slug: str, folder: Path | None = None) -> GradedClaim:
    (row,) = grade_all(load_ledgers(), found, alignment_green=True, folder=folder, only=[slug])
    return row


def test_a_number_carries_the_name_the_error_and_the_assumption() -> None:
    row = graded(runs(FINETUNE, [0.527, 0.530, 0.525]), FINETUNE)
    assert row.grade.endswith(ON_PUBLIC)
    assert "on public originals (Office-Home, Real World), whose other split adds ±0.0350" in row.sentence
    assert ("data", "Office-Home, Real World", "as a test has it") in [
        (a.field, a.value, a.why) for a in row.assumptions
    ]
    assert standing(row) == "undecided"
    assert "that seeds and another split explain" in row.sentence
    alone = "another split alone scatters too much (±0.0350, one sigma) for any seeds to show"
    assert alone in row.sentence
    assert "seeds are expected to scatter too much" not in row.sentence
    first, second, *_ = headline([row])
    assert first == "0 of 1 printed results are tested on the data that they are about."
    assert second.startswith("1 was tested on public originals, another split of the same data: 1 ")
    assert tiles([row])[0].value == "0 / 1"
    assert tiles([row])[0].text.endswith("; 1 more on public originals")


@pytest.mark.parametrize("value", [0.10, 0.95])
def test_a_far_figure_is_never_a_plain_contradiction(value: float) -> None:
    row = graded(runs(FINETUNE, [value] * 3), FINETUNE)
    assert row.grade.endswith(f"under our assumptions{ON_PUBLIC}")


def test_official_runs_come_first_and_are_never_merged() -> None:
    official = runs(FINETUNE, [0.527, 0.530, 0.525], source="official", name="")
    public = runs(FINETUNE, [0.10] * 10)
    alone, both = graded(official, FINETUNE), graded(official + public, FINETUNE)
    assert not both.grade.endswith(ON_PUBLIC)
    assert (both.grade, both.sentence) == (alone.grade, alone.sentence)
    assert {r.data["source"] for r in both.runs} == {"official"}
    assert {len({r.data["source"] for r in g.runs}) for g in Runs(official + public).groups[FINETUNE]} == {1}


def test_an_ordering_is_a_rehearsal() -> None:
    slugs = ("r4-seg-b", "r4-seg-a")
    (claim,) = [c for ledger in load_ledgers() for c in ledger.claims if c.order == slugs]
    found = [
        r for slug, v in zip(slugs, (0.7, 0.6), strict=True) for r in runs(slug, [v, v + 0.01, v + 0.02])
    ]
    row = graded(found, claim.id)
    assert row.label == "not tested: data"
    assert row.rehearsal


def test_smoke_runs_of_public_originals_decide_nothing() -> None:
    assert graded(runs(FINETUNE, [0.527] * 3, tier="smoke"), FINETUNE).label == "not tested: tier"


@pytest.mark.parametrize("slug", [SEGMENT, CLASSIFY])
def test_without_results_image_by_image_nothing_is_decided(slug: str, tmp_path: Path) -> None:
    value = 0.66 if slug == SEGMENT else 0.78
    bare = graded(runs(slug, [value] * 3), slug)
    assert bare.grade == f"undecided{ON_PUBLIC}"
    assert "keep too little" in bare.sentence
    kept = graded(runs(slug, [value] * 3, tmp_path), slug, tmp_path)
    assert "whose other split adds ±0.0" in kept.sentence


def test_two_binomials() -> None:
    (group,) = Runs(runs(FINETUNE, [203 / 406])).groups[FINETUNE]
    assert split_variance("top1", group, lambda _: None) == pytest.approx(2 * 0.25 / 406)
    assert binomial(406, 406) > 0


def test_a_mean_iou_has_twice_the_variance_of_a_draw_of_images(tmp_path: Path) -> None:
    """Against draws of our own: the standard deviation of the mean IoU over resampled images."""
    counts = confusions(np.random.default_rng(0), 257)
    images = PerImage(ids=tuple(map(str, range(257))), results=counts, targets=np.arange(0))
    (group,) = Runs(runs(SEGMENT, [miou(counts)])).groups[SEGMENT]
    generator = np.random.default_rng(1)
    drawn = [miou(counts[generator.integers(0, 257, 257)]) for _ in range(400)]
    variance = split_variance("miou", group, lambda _: images)
    assert variance is not None
    assert math.sqrt(variance / 2) == pytest.approx(np.std(drawn), rel=0.12)


def test_drawn_classes_scatter_by_class() -> None:
    """Classes of unlike accuracy: the variance of a mean over classes, not over images."""
    (group,) = Runs(runs(CLASSIFY, [0.5])).groups[CLASSIFY]
    targets = np.repeat(np.arange(50), 50)
    right = np.arange(2500) % 50 < targets  # class c is right on c of 50 images
    images = PerImage(ids=tuple(map(str, range(2500))), results=np.where(right, targets, -1), targets=targets)
    expected = 2 * np.var(np.arange(50) / 50, ddof=1) / 50
    assert split_variance("top1", group, lambda _: images) == pytest.approx(expected)


def accused(generator: np.random.Generator, *, images: int, sampling: bool, trials: int) -> float:
    """The share of honest figures, of another split only, that are not reached or exceeded at some look."""
    wrong = 0
    for _ in range(trials):
        ease = generator.beta(1.1, 0.9, 10 * images)  # the chance that an image is classified right
        theirs, ours = ease[:images], ease[images : 2 * images]
        # seeds agree on most images: the error of the split is common to all of them
        printed = f"{(generator.random(images) < theirs).mean():.4f}"
        fixed = generator.random(images) < ours
        figures = []
        for k in range(1, 11):
            anew = generator.random(images) < 0.2
            figures.append(float(np.where(anew, generator.random(images) < ours, fixed).mean()))
            if k < 3:
                continue
            correct = round(figures[0] * images)
            grade = grade_number(
                printed,
                figures,
                spread=expected_spread("top1", images, float(printed)),
                margin=float(margin("top1", images, float(printed))),
                assumptions=True,
                alignment_green=True,
                sampling=2 * binomial(correct, images) if sampling else 0.0,
            ).grade
            if grade.endswith("under our assumptions"):
                wrong += 1
                break
    return wrong / trials


def test_another_split_alone_accuses_in_at_most_one_of_a_hundred() -> None:
    share = accused(np.random.default_rng(0), images=406, sampling=True, trials=300)
    assert share <= 0.01
    assert accused(np.random.default_rng(0), images=406, sampling=False, trials=100) > 0.02


SKILL = np.array([0.95, 0.9, 0.75, 0.85, 0.95, 0.8, 0.5])
"""How well the pixels of each class are classified, on average."""


def confusions(generator: np.random.Generator, images: int) -> np.ndarray:
    """One network's counts (N, 7, 7) on land cover: few classes an image, each image with a difficulty."""
    pixels = 10_000
    truth = np.floor(generator.dirichlet(np.full(7, 0.15), images) * pixels).astype(int)
    right = (truth * generator.beta(6, 2, (images, 1)) * SKILL).astype(int)
    elsewhere = generator.dirichlet(np.full(7, 0.4), (images, 7))
    counts = np.floor(elsewhere * (truth - right)[..., None]).astype(int)
    counts[:, np.arange(7), np.arange(7)] += right
    return counts


def miou(counts: np.ndarray) -> float:
    """Mean IoU of the six scored classes, pooled over images."""
    pooled = counts.sum(axis=0)
    hits = np.diag(pooled)
    return float((hits / (pooled.sum(axis=0) + pooled.sum(axis=1) - hits))[:6].mean())


def accused_miou(generator: np.random.Generator, *, sampling: bool, trials: int) -> float:
    """As ``accused``, for a mean IoU: ours and theirs are of 257 other images, seeds scatter by 0.004."""
    wrong, images = 0, 257
    for _ in range(trials):
        theirs, ours = np.split(confusions(generator, 2 * images), 2)
        printed = f"{miou(theirs):.4f}"
        variance = 0.0
        if sampling:
            low, high = bootstrap_miou(ours, range(6), seed=0)
            variance = 2 * ((high - low) / (2 * Z_95)) ** 2
        figures = list(miou(ours) + 0.004 * generator.standard_normal(10))
        grades = [
            grade_number(
                printed,
                figures[:k],
                spread=expected_spread("miou", images, float(printed)),
                margin=float(margin("miou", images, float(printed))),
                assumptions=True,
                alignment_green=True,
                sampling=variance,
            ).grade
            for k in range(3, 11)
        ]
        wrong += any(grade.endswith("under our assumptions") for grade in grades)
    return wrong / trials


def test_another_split_alone_accuses_a_mean_iou_in_at_most_one_of_a_hundred() -> None:
    assert accused_miou(np.random.default_rng(0), sampling=True, trials=100) <= 0.01
    assert accused_miou(np.random.default_rng(0), sampling=False, trials=100) > 0.02


def test_more_seeds_do_not_outweigh_the_split() -> None:
    spread = Spread(sigma0=0.001, nu0=18, source="")
    verdict = grade_number("0.60", [0.60] * 10, spread=spread, margin=0.065, sampling=0.035**2)
    assert verdict.grade == "compatible"
    assert verdict.from_seeds is None
