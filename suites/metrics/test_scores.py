"""Scores from a confusion matrix against scikit-learn and torchmetrics; bounds that hold for any matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as torchmetrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    top_k_accuracy_score,
)

from reference.metrics import (
    Absent,
    class_accuracy,
    class_iou,
    confusion_matrix,
    dice,
    frequency_weighted_iou,
    mean_class_accuracy,
    mean_dice,
    mean_iou,
    per_image_confusion,
    pixel_accuracy,
    topk_accuracy,
)

pytestmark = pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")

Array = NDArray[Any]

# The scores are quotients of the same integers in float64: only the order of the mean may differ.
EXACT = 1e-12

MASKS = npst.arrays(np.uint8, (2, 6, 7), elements=st.integers(0, 6))
# Few distinct labels, so that absent classes are the rule.
SPARSE_MASKS = st.sets(st.integers(0, 6), min_size=1, max_size=3).flatmap(
    lambda used: npst.arrays(np.uint8, (2, 6, 7), elements=st.sampled_from(sorted(used)))
)
MATRICES = npst.arrays(np.int64, (6, 6), elements=st.integers(0, 10**6))


@settings(deadline=None)
@given(MASKS | SPARSE_MASKS, MASKS | SPARSE_MASKS)
def test_iou_and_dice_equal_scikit_learn(prediction: Array, target: Array) -> None:
    matrix = confusion_matrix(prediction, target, num_classes=7)
    p, t = prediction.ravel(), target.ravel()
    present = np.union1d(p, t)
    for scores, oracle in ((class_iou(matrix), jaccard_score), (dice(matrix), f1_score)):
        expected = oracle(t, p, labels=range(7), average=None, zero_division=0.0)
        np.testing.assert_allclose(scores[present], expected[present], rtol=EXACT)
        assert np.isnan(np.delete(scores, present)).all()
    assert pixel_accuracy(matrix) == pytest.approx(accuracy_score(t, p), rel=EXACT)


@settings(deadline=None)
@given(MASKS | SPARSE_MASKS, MASKS | SPARSE_MASKS)
def test_mean_iou_of_the_six_scored_classes_under_each_policy(prediction: Array, target: Array) -> None:
    matrix = confusion_matrix(prediction, target, num_classes=7)
    p, t = prediction.ravel(), target.ravel()
    present = sorted((set(p.tolist()) | set(t.tolist())) - {6})
    each = jaccard_score(t, p, labels=range(6), average=None, zero_division=0.0)

    strict = mean_iou(matrix, range(6), absent="nan")
    assert math.isnan(strict) if len(present) < 6 else strict == pytest.approx(each.mean(), rel=EXACT)
    skipping = mean_iou(matrix, range(6), absent="skip")
    assert math.isnan(skipping) if not present else skipping == pytest.approx(each[present].mean(), rel=EXACT)
    expected = (each[present].sum() + 6 - len(present)) / 6
    assert mean_iou(matrix, range(6), absent="one") == pytest.approx(expected, rel=EXACT)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_skipping_absent_classes_equals_torchmetrics(prediction: Array, target: Array) -> None:
    ours = mean_iou(confusion_matrix(prediction, target, num_classes=7), range(7), absent="skip")
    p, t = torch.from_numpy(prediction).long(), torch.from_numpy(target).long()
    theirs = float(torchmetrics.multiclass_jaccard_index(p, t, 7, average="macro"))
    assert ours == pytest.approx(theirs, abs=1e-6)  # torchmetrics divides in float32


def test_the_default_policy_is_the_course_s() -> None:
    matrix = np.diag([1, 1, 1, 1, 1, 0, 1])
    for score in (mean_iou, mean_dice, mean_class_accuracy):
        assert math.isnan(score(matrix, range(6)))
        assert score(matrix, range(5)) == 1


def test_unknown_pixels_count_against_the_prediction_and_their_class_is_not_averaged() -> None:
    #              0  1  6: two pixels each; one unknown pixel is called 0, one pixel of 1 is called unknown.
    target = np.array([0, 0, 1, 1, 2, 2])
    prediction = np.array([0, 0, 1, 2, 0, 2])
    matrix = confusion_matrix(prediction, target, num_classes=3)
    np.testing.assert_allclose(class_iou(matrix), [2 / 3, 1 / 2, 1 / 3], rtol=EXACT)
    assert mean_iou(matrix, range(2)) == pytest.approx((2 / 3 + 1 / 2) / 2, rel=EXACT)


def test_counts_are_pooled_before_dividing() -> None:
    #  Image 0 holds one pixel of class 0, missed; image 1 nine, all found: pooled 9/10, a mean of images 1/2.
    target = np.array([[0] + [1] * 9, [0] * 9 + [1]])
    prediction = np.array([[1] * 10, [0] * 9 + [1]])
    pooled = confusion_matrix(prediction, target, num_classes=2)
    assert class_iou(pooled)[0] == pytest.approx(0.9, rel=EXACT)
    np.testing.assert_array_equal(per_image_confusion(prediction, target, num_classes=2).sum(axis=0), pooled)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_mean_class_accuracy_equals_scikit_learn(prediction: Array, target: Array) -> None:
    matrix = confusion_matrix(prediction, target, num_classes=7)
    true_classes = [c for c in range(7) if (target == c).any()]
    keep = np.isin(prediction, true_classes)  # balanced accuracy warns about labels that truth does not hold
    expected = balanced_accuracy_score(target.ravel(), np.where(keep, prediction, true_classes[0]).ravel())
    assume(keep.all())
    assert mean_class_accuracy(matrix, range(7), absent="skip") == pytest.approx(expected, rel=EXACT)


@settings(deadline=None)
@given(MATRICES)
def test_bounds_between_the_scores(matrix: NDArray[np.int64]) -> None:
    """mIoU ≤ mean class accuracy; PA²/(2−PA) ≤ fwIoU ≤ PA; mIoU ≤ mDice ≤ 2·mIoU/(1+mIoU)."""
    assume((matrix.sum(axis=1) > 0).all())
    classes = range(6)
    miou, mdice = mean_iou(matrix, classes), mean_dice(matrix, classes)
    accuracy, weighted = pixel_accuracy(matrix), frequency_weighted_iou(matrix)
    assert miou <= mean_class_accuracy(matrix, classes) + EXACT
    assert accuracy**2 / (2 - accuracy) - EXACT <= weighted <= accuracy + EXACT
    assert miou - EXACT <= mdice <= 2 * miou / (1 + miou) + EXACT


@settings(deadline=None)
@given(MATRICES, st.permutations(range(6)))
def test_scores_do_not_depend_on_the_order_of_the_classes(
    matrix: NDArray[np.int64], order: list[int]
) -> None:
    shuffled = matrix[np.ix_(order, order)]
    np.testing.assert_allclose(class_iou(shuffled), class_iou(matrix)[order], rtol=EXACT)
    np.testing.assert_allclose(dice(shuffled), dice(matrix.T)[order], rtol=EXACT)
    np.testing.assert_allclose(frequency_weighted_iou(shuffled), frequency_weighted_iou(matrix), rtol=EXACT)


def test_frequency_weighted_iou_by_hand() -> None:
    # 3 of 4 pixels are class 0; IoU 2/3 and 1/2.
    assert frequency_weighted_iou(np.array([[2, 1], [0, 1]])) == pytest.approx(0.75 * 2 / 3 + 0.25 * 0.5)


def test_perfect_and_empty() -> None:
    perfect = torch.diag(torch.arange(1, 8))
    for score in (mean_iou, mean_dice, mean_class_accuracy):
        assert score(perfect, range(7)) == 1.0
    assert pixel_accuracy(perfect) == frequency_weighted_iou(perfect) == 1.0
    empty = np.zeros((7, 7), np.int64)
    assert math.isnan(pixel_accuracy(empty))
    assert math.isnan(frequency_weighted_iou(empty))
    assert math.isnan(mean_iou(empty, range(6), absent="skip"))
    assert np.isnan(class_accuracy(empty)).all()


@pytest.mark.parametrize("classes", [[], [0, 0], [7], [-1]])
def test_refuses_classes_that_are_not_there(classes: list[int]) -> None:
    with pytest.raises(ValueError, match="expected distinct classes of 0…6"):
        mean_iou(np.eye(7, dtype=np.int64), classes)


def test_refuses_what_is_no_confusion_matrix_and_no_policy() -> None:
    with pytest.raises(ValueError, match="expected a \\(C, C\\)"):
        class_iou(np.zeros((7, 6), np.int64))
    with pytest.raises(ValueError, match="holds counts"):
        class_iou(np.full((2, 2), -1))
    policy: Absent = "zero"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="expected 'nan', 'skip' or 'one'"):
        mean_iou(np.eye(7, dtype=np.int64), range(6), absent=policy)


@given(st.integers(0, 2**16), st.integers(0, 40))
def test_top1_equals_torchmetrics_sum(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 5, generator=generator)
    labels = torch.randint(5, (count,), generator=generator)
    hits, total = topk_accuracy(logits, labels)
    assert (hits, total) == topk_accuracy(logits.argmax(1), labels)
    assert total == count
    if count:
        expected = accuracy_score(labels.numpy(), logits.argmax(1).numpy(), normalize=False)
        assert hits == expected


@given(st.integers(0, 2**16), st.integers(1, 6))
def test_topk_equals_scikit_learn(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, 7, generator=generator)
    labels = torch.randint(7, (30,), generator=generator)
    expected = top_k_accuracy_score(labels.numpy(), logits.numpy(), k=k, labels=range(7), normalize=False)
    assert topk_accuracy(logits, labels, k=k) == (expected, 30)
    assert topk_accuracy(logits, labels, k=7) == (30, 30)


@pytest.mark.parametrize("k", [0, 8])
def test_topk_refuses_more_classes_than_there_are(k: int) -> None:
    with pytest.raises(ValueError, match="of 7 classes: expected 1 to all of them"):
        topk_accuracy(torch.zeros(2, 7), torch.zeros(2, dtype=torch.int64), k=k)


def test_top1_refuses_nan_and_soft_labels() -> None:
    with pytest.raises(ValueError, match="nan"):
        topk_accuracy(torch.tensor([[0.0, float("nan")]]), torch.tensor([1]))
    with pytest.raises(ValueError, match="do not fit"):
        topk_accuracy(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="integer labels"):
        topk_accuracy(torch.zeros(2, 3), torch.zeros(2))


@given(st.integers(0, 2**16), st.integers(1, 5), st.sampled_from([torch.float32, torch.bfloat16]))
def test_ties_rank_as_argmax_ranks_them(seed: int, k: int, dtype: torch.dtype) -> None:
    """Removing argmax's answer k times over gives the k best, however many logits are equal."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(3, (12, 5), generator=generator).to(dtype)
    labels = torch.randint(5, (12,), generator=generator)
    left, best = logits.clone(), torch.zeros(12, dtype=torch.bool)
    for _ in range(k):
        best |= left.argmax(1) == labels
        left[torch.arange(12), left.argmax(1)] = -1
    assert topk_accuracy(logits, labels, k=k) == (int(best.sum()), 12)


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_topk_refuses_labels_that_are_no_class(label: int) -> None:
    with pytest.raises(ValueError, match=rf"labels spans .*{label}.*, expected 0…2"):
        topk_accuracy(torch.zeros(2, 3), torch.tensor([0, label]))


def test_top1_of_labels_refuses_negative_ones() -> None:
    for pair in ((torch.tensor([-1]), torch.tensor([0])), (torch.tensor([0]), torch.tensor([-1]))):
        with pytest.raises(ValueError, match="-1, expected at least 0"):
            topk_accuracy(*pair)


def test_topk_refuses_lists_and_arrays() -> None:
    with pytest.raises(TypeError, match="prediction is list; expected a tensor"):
        topk_accuracy([[0.0, 1.0]], torch.tensor([1]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="labels is ndarray; expected a tensor"):
        topk_accuracy(torch.zeros(1, 2), np.array([1]))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32])
def test_narrow_counts_do_not_overflow(dtype: Any) -> None:
    largest = np.iinfo(dtype).max
    narrow = np.array([[largest, 1], [largest, largest]], dtype)
    wide = narrow.astype(np.int64)
    for scores in (class_iou, dice, class_accuracy, pixel_accuracy, frequency_weighted_iou):
        np.testing.assert_array_equal(scores(narrow), scores(wide))
    assert dice(narrow)[0] == 2 * largest / (3 * largest + 1)


def test_scores_refuse_masked_lists_and_fractions() -> None:
    matrix = np.eye(3, dtype=np.int64)
    for scores in (class_iou, dice, class_accuracy, pixel_accuracy, frequency_weighted_iou):
        with pytest.raises(TypeError, match="confusion is a masked array"):
            scores(np.ma.array(matrix, mask=True))
        with pytest.raises(TypeError, match="confusion is list"):
            scores(matrix.tolist())  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="holds counts, found float64"):
            scores(matrix / 2)
