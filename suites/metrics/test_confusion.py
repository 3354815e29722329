"""Confusion matrices against scikit-learn, torchmetrics and torchvision's reference, then the ugly cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as torchmetrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from reference.confusion import _confusion_on_device
from reference.metrics import confusion_matrix, per_image_confusion

pytestmark = pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")

Labels = NDArray[Any]


def random_labels(
    seed: int, shape: tuple[int, ...], num_classes: int, dtype: Any = np.uint8
) -> tuple[Labels, Labels]:
    """Prediction and target that agree on about half of the pixels."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, shape)
    guess = rng.integers(0, num_classes, shape)
    return np.where(rng.random(shape) < 0.5, target, guess).astype(dtype), target.astype(dtype)


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[Labels, Labels, int]:
    num_classes = draw(st.integers(1, 20))
    used = draw(st.integers(1, num_classes))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.int32, np.int64]))
    prediction, target = random_labels(draw(st.integers(0, 2**16)), shape, used, dtype)
    return prediction, target, num_classes


@settings(deadline=None)
@given(label_pairs())
def test_equals_scikit_learn_for_any_shape_dtype_and_number_of_classes(
    case: tuple[Labels, Labels, int],
) -> None:
    prediction, target, num_classes = case
    expected = sklearn_confusion_matrix(target.ravel(), prediction.ravel(), labels=range(num_classes))
    np.testing.assert_array_equal(confusion_matrix(prediction, target, num_classes=num_classes), expected)
    on_torch = confusion_matrix(
        torch.from_numpy(prediction), torch.from_numpy(target), num_classes=num_classes
    )
    assert on_torch.dtype == torch.int64
    np.testing.assert_array_equal(on_torch.numpy(), expected)


@settings(deadline=None)
@given(label_pairs())
def test_per_image_matrices_add_up_to_the_pooled_one(case: tuple[Labels, Labels, int]) -> None:
    prediction, target, num_classes = case
    each = per_image_confusion(prediction, target, num_classes=num_classes)
    assert each.shape == (len(prediction), num_classes, num_classes)
    np.testing.assert_array_equal(
        each.sum(axis=0), confusion_matrix(prediction, target, num_classes=num_classes)
    )
    for image, matrix in enumerate(each):
        np.testing.assert_array_equal(
            matrix, confusion_matrix(prediction[image], target[image], num_classes=num_classes)
        )


@pytest.mark.parametrize("num_classes", [7, 11, 12, 16, 65])
def test_equals_torchmetrics_and_torchvision_on_full_size_masks(num_classes: int) -> None:
    # More than one block of pixels, so that the sum over blocks is exercised.
    prediction, target = random_labels(0, (3, 512, 512), num_classes)
    ours = confusion_matrix(prediction, target, num_classes=num_classes)
    p, t = torch.from_numpy(prediction), torch.from_numpy(target)
    np.testing.assert_array_equal(ours, confusion_matrix(p, t, num_classes=num_classes).numpy())
    np.testing.assert_array_equal(ours, torchmetrics.multiclass_confusion_matrix(p, t, num_classes).numpy())
    # torchvision/references/segmentation/utils.py, ConfusionMatrix.update
    index = num_classes * t.flatten().to(torch.int64) + p.flatten()
    reference = torch.bincount(index, minlength=num_classes**2).reshape(num_classes, num_classes)
    np.testing.assert_array_equal(ours, reference.numpy())


@pytest.mark.parametrize("num_classes", [7, 65])
def test_device_path_equals_host_path(num_classes: int) -> None:
    prediction, target = random_labels(1, (4, 33, 31), num_classes)
    p, t = torch.from_numpy(prediction), torch.from_numpy(target)
    assert torch.equal(
        _confusion_on_device(p, t, num_classes), per_image_confusion(p, t, num_classes=num_classes)
    )
    t[2, 0, 0] = num_classes
    with pytest.raises(ValueError, match="1 pixels hold labels outside"):
        _confusion_on_device(p, t, num_classes)


@pytest.mark.gpu(1)
def test_stays_on_the_gpu_and_counts_the_same(gpu: str) -> None:
    prediction, target = random_labels(2, (4, 512, 512), 7)
    p, t = torch.from_numpy(prediction), torch.from_numpy(target)
    on_gpu = per_image_confusion(p.to(gpu), t.to(gpu), num_classes=7)
    assert on_gpu.device.type == gpu
    assert torch.equal(on_gpu.cpu(), per_image_confusion(p, t, num_classes=7))


def test_rows_are_the_truth() -> None:
    matrix = confusion_matrix(np.array([1], np.uint8), np.array([0], np.uint8), num_classes=2)
    np.testing.assert_array_equal(matrix, [[0, 1], [0, 0]])


@pytest.mark.parametrize("pixels", [0, 1, 2, 3, 2**19 - 1, 2**19 + 1, 2**19 + 2])
def test_no_pixel_is_lost_at_odd_counts_and_block_ends(pixels: int) -> None:
    prediction, target = random_labels(3, (pixels,), 7)
    expected = np.bincount(target.astype(int) * 7 + prediction, minlength=49).reshape(7, 7)
    np.testing.assert_array_equal(confusion_matrix(prediction, target, num_classes=7), expected)


@pytest.mark.parametrize("num_classes", [11, 12])
def test_largest_index_of_the_paired_count_does_not_wrap(num_classes: int) -> None:
    everywhere_last = np.full((5, 5), num_classes - 1, np.uint8)
    matrix = confusion_matrix(everywhere_last, everywhere_last, num_classes=num_classes)
    assert matrix[-1, -1] == matrix.sum() == 25


def test_strided_unaligned_and_read_only_masks() -> None:
    prediction, target = random_labels(4, (5, 7, 9), 7)
    expected = confusion_matrix(prediction[1:, ::2, ::-1].copy(), target[1:, ::2, ::-1].copy(), num_classes=7)
    np.testing.assert_array_equal(
        confusion_matrix(prediction[1:, ::2, ::-1], target[1:, ::2, ::-1], num_classes=7), expected
    )
    prediction.setflags(write=False)
    np.testing.assert_array_equal(
        confusion_matrix(prediction[3], target[3], num_classes=7),
        confusion_matrix(prediction[3].copy(), target[3].copy(), num_classes=7),
    )
    p, t = torch.from_numpy(prediction.copy()), torch.from_numpy(target)
    np.testing.assert_array_equal(
        confusion_matrix(p[3], t[3], num_classes=7).numpy(),
        confusion_matrix(prediction[3], target[3], num_classes=7),
    )


@pytest.mark.parametrize("num_classes", [7, 65])
@pytest.mark.parametrize(
    ("value", "dtype"), [(255, np.uint8), (None, np.uint8), (-1, np.int64), (2**40, np.int64)]
)
@pytest.mark.parametrize("where", ["prediction", "target"])
def test_refuses_labels_outside_the_classes(
    num_classes: int, value: int | None, dtype: Any, where: str
) -> None:
    labels = {name: np.zeros((1, 4, 4), dtype) for name in ("prediction", "target")}
    labels[where][0, 3, 3] = num_classes if value is None else value
    with pytest.raises(ValueError, match=f"{where} spans .* expected 0…{num_classes - 1}"):
        confusion_matrix(**labels, num_classes=num_classes)


def test_refuses_other_shapes_and_dtypes() -> None:
    mask = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="shapes differ"):
        confusion_matrix(mask, mask[:2], num_classes=7)
    with pytest.raises(ValueError, match="float64, expected integer labels"):
        confusion_matrix(mask.astype(float), mask, num_classes=7)
    with pytest.raises(ValueError, match="bool, expected integer labels"):
        confusion_matrix(mask.astype(bool), mask, num_classes=7)
    with pytest.raises(ValueError, match="expected at least 1"):
        confusion_matrix(mask, mask, num_classes=0)


@pytest.mark.parametrize("count", ["per_image", "device"])
@pytest.mark.parametrize("shape", [(0, 4, 5), (0,), (3, 0)])
def test_no_images_and_no_pixels_are_counted_as_none(shape: tuple[int, ...], count: str) -> None:
    empty = torch.zeros(shape, dtype=torch.int64)
    if count == "device":
        counts = _confusion_on_device(empty, empty, 7)
    else:
        counts = per_image_confusion(empty, empty, num_classes=7)
    assert counts.shape == (shape[0], 7, 7)
    assert not counts.any()


def test_device_path_counts_single_labels() -> None:
    labels = torch.tensor([0, 1, 1])
    expected = per_image_confusion(labels, labels, num_classes=2)
    assert torch.equal(_confusion_on_device(labels, labels, 2), expected)


def test_refuses_what_it_would_misread() -> None:
    mask = np.zeros((4, 4), np.uint8)
    hidden = np.ma.array(mask, mask=True)
    for prediction, target, message in (
        (hidden, mask, "prediction is a masked array; pass the entries to count"),
        (mask, hidden, "target is a masked array"),
        (mask.tolist(), mask.tolist(), "prediction is list; expected a numpy array or a tensor"),
        (mask, torch.from_numpy(mask), "one of prediction and target is a tensor, one an array"),
    ):
        for count in (confusion_matrix, per_image_confusion):
            with pytest.raises(TypeError, match=message):
                count(prediction, target, num_classes=7)  # type: ignore[type-var]


def test_arrays_are_counted_without_torch() -> None:
    program = (
        "import sys, numpy as np; from reference.metrics import confusion_matrix, mean_iou\n"
        "a = np.arange(49) % 7; m = confusion_matrix(a, a, num_classes=7)\n"
        "assert mean_iou(m, range(6)) == 1.0 and m.sum() == 49\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
