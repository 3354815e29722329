"""Worst and best images: ranked by IoU of other code, and the errors where they are."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, jaccard_score

from reference import error_maps
from reference.data.dataset import Palette
from reference.error_maps import RIGHT, WRONG
from reference.training import segment

SMALL = Palette(
    classes=("roof", "road"),
    colours=((200, 30, 30), (10, 90, 200)),
    unknown_index=2,
    unknown_colour=(9, 9, 9),
)


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 5, 8, 8))
    pairs = [(t.ravel(), p.ravel()) for t, p in zip(truth, predicted, strict=True)]
    counts = np.stack([confusion_matrix(t, p, labels=[0, 1, 2]) for t, p in pairs])
    expected = [jaccard_score(t, p, labels=[0, 1], average="macro") for t, p in pairs]
    assert segment.image_scores(counts, (0, 1)) == pytest.approx(expected, rel=1e-12)


def test_a_class_that_occurs_nowhere_does_not_count_and_an_empty_image_has_no_score() -> None:
    only_road, nothing = np.diag([0, 7, 0]), np.diag([0, 0, 7])
    found = segment.image_scores(np.stack([only_road, nothing]), (0, 1))
    assert found[0] == 1
    assert math.isnan(found[1])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5, 0.1, 0.9, 0.3, 0.7], [1, 3, 4, 2]),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 1, 4, 5]),
        ([0.2, math.nan, 0.1], [2, 0]),
        ([math.nan], []),
        ([], []),
    ],
)
def test_the_two_worst_and_the_two_best_are_named_once(scores: list[float], expected: list[int]) -> None:
    assert segment.extremes(scores) == expected


def test_an_error_map_tells_right_wrong_and_unknown_apart() -> None:
    truth = np.array([[0, 1], [2, 0]], np.uint8)
    predicted = np.array([[0, 0], [1, 1]], np.uint8)
    found = error_maps.error_map(truth, predicted, SMALL)
    assert found.dtype == np.uint8
    assert found.tolist() == [[RIGHT.tolist(), WRONG.tolist()], [[9, 9, 9], WRONG.tolist()]]


def test_the_picture_holds_each_image_s_own_errors(tmp_path: Path) -> None:
    truth = np.zeros((2, 8, 8), np.uint8)
    predicted = np.stack([np.ones((8, 8), np.uint8), np.zeros((8, 8), np.uint8)])
    path = tmp_path / "errors.png"
    error_maps.draw_extremes(
        images=np.full((2, 8, 8, 3), 77, np.uint8),
        truth=truth,
        predicted=predicted,
        scores=[0.0, 1.0],
        ids=["a", "b"],
        palette=SMALL,
        title="a network, smoke tier, synthetic data, epoch 3",
        path=path,
    )
    sheet = np.asarray(Image.open(path).convert("RGB"))
    for y, errors, prediction in ((200, WRONG, SMALL.colours[1]), (440, RIGHT, SMALL.colours[0])):
        middles = [tuple(sheet[y, 46 + column * 238 + 116].tolist()) for column in range(4)]
        assert middles == [(77, 77, 77), SMALL.colours[0], prediction, tuple(errors.tolist())]
