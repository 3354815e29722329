"""Evaluation of a model that reads its answer off the image: every figure against scikit-learn."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, log_loss
from torch import Tensor, nn

from reference.data.dataset import OFFICIAL_PALETTE, Dataset, Split
from reference.losses import cross_entropy
from reference.recipes import r4
from reference.recipes.recipe import Recipe
from reference.training import classify, segment
from reference.training.evaluation import Batches
from reference.training.state import State

CLASSES = 7
SCORED = range(6)


class Oracle(nn.Module):
    """Logits of the class in the red channel: 3 for it and 0 for others; in training mode for class 0."""

    def __init__(self, *, per_pixel: bool) -> None:
        super().__init__()
        self.per_pixel = per_pixel

    def forward(self, images: Tensor) -> Tensor:
        named = (images[:, 0] * 255).round().long()  # (B, H, W)
        named = named if self.per_pixel else named[:, 0, 0]
        named = torch.zeros_like(named) if self.training else named
        return 3.0 * F.one_hot(named, CLASSES).movedim(-1, 1).float()


def unscaled(recipe: Recipe) -> Recipe:
    """Images reach the model as they are; five of them are a batch of three and one of two."""
    return replace(recipe, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), eval_batch_size=3)


def dataset_of(predicted: np.ndarray, targets: np.ndarray) -> Dataset:
    """Images that name a prediction in red, with their targets, for training and validation alike."""
    red = (
        predicted
        if predicted.ndim == 3
        else np.broadcast_to(predicted[:, None, None], (len(predicted), 2, 2))
    )
    images = np.zeros((*red.shape, 3), np.uint8)
    images[..., 0] = red
    split = Split(tuple(map(str, range(len(images)))), images, targets)
    return Dataset(
        role="landcover",
        source="synthetic",
        name="five images",
        classes=(*OFFICIAL_PALETTE.classes, "unknown"),
        scored=tuple(SCORED),
        palette=OFFICIAL_PALETTE,
        train=split,
        val=split,
        unique_val=len(images),
        manifest="",
        counts_note="",
    )


def random_pair(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truths that agree on about half of the entries, every class among both."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, shape)
    predicted = np.where(rng.random(shape) < 0.5, truth, rng.integers(0, CLASSES, shape))
    return predicted.astype(np.uint8), truth


def evaluate_masks(predicted: np.ndarray, truth: np.ndarray) -> segment.Evaluation:
    dataset = dataset_of(predicted, truth.astype(np.uint8))
    batches = Batches.of(dataset.val, torch.device("cpu"))
    model = Oracle(per_pixel=True).train()
    return segment.evaluate(model, batches, dataset, unscaled(r4.SEG_A), cross_entropy)


def test_mean_iou_is_the_courses() -> None:
    """Pooled over all pixels, unknown ones included, then averaged over the six named classes."""
    predicted, truth = random_pair((5, 8, 9))
    truth[0] = 3  # so that images differ in what they hold, and a mean of images would be another number
    found = evaluate_masks(predicted, truth)
    each = jaccard_score(truth.ravel(), predicted.ravel(), labels=SCORED, average=None)
    assert found.metrics["miou"].value == pytest.approx(each.mean(), rel=1e-12)
    assert found.score == found.metrics["miou"].value
    for index, expected in enumerate(each):
        metric = found.metrics[f"iou_{index}"]
        assert metric.value == pytest.approx(expected, rel=1e-12)
        assert metric.numerator == ((truth == index) & (predicted == index)).sum()
        assert metric.denominator == ((truth == index) | (predicted == index)).sum()
    assert set(found.metrics) == {"miou", *(f"iou_{index}" for index in SCORED)}


def test_confusion_of_every_image_is_kept() -> None:
    predicted, truth = random_pair((5, 8, 9), seed=1)
    found = evaluate_masks(predicted, truth)
    for ours, p, t in zip(found.per_image, predicted, truth, strict=True):
        np.testing.assert_array_equal(ours, confusion_matrix(t.ravel(), p.ravel(), labels=range(CLASSES)))
    np.testing.assert_array_equal(found.confusion, found.per_image.sum(axis=0))


def test_a_class_that_is_nowhere_makes_the_mean_undefined() -> None:
    """Selection then goes by the classes that the truth holds."""
    predicted, truth = (np.where(labels == 4, 0, labels) for labels in random_pair((5, 8, 9), seed=2))
    found = evaluate_masks(predicted, truth)
    assert math.isnan(found.metrics["miou"].value)
    each = jaccard_score(truth.ravel(), predicted.ravel(), labels=(0, 1, 2, 3, 5), average=None)
    assert found.score == pytest.approx(each.mean(), rel=1e-12)


def test_predicting_a_class_that_is_absent_makes_no_epoch_the_best() -> None:
    """The second epoch alone has a defined mean, for predicting what is nowhere; it is the worst of three."""
    predicted, truth = (np.where(labels == 4, 0, labels) for labels in random_pair((5, 8, 9), seed=2))
    worse = np.where(predicted == truth, (predicted + 1) % 3, predicted)
    worse[0, 0, 0] = 4
    better = np.where(predicted == 0, truth, predicted)
    state = State()
    for masks in (predicted, worse, better):
        state.epoch += 1
        state.note(evaluate_masks(masks, truth), {"train_loss": 1.0}, {})
    assert [math.isnan(value) for value in state.curves["val_miou"]] == [True, False, True]
    assert state.best_epoch == 3


def test_truth_without_a_scored_class_scores_worst() -> None:
    predicted, truth = random_pair((5, 8, 9), seed=2)
    assert evaluate_masks(predicted, np.full_like(truth, 6)).score == -math.inf


def test_majority_paints_everything_in_the_scored_class_that_fills_most() -> None:
    predicted, truth = random_pair((5, 8, 9), seed=3)
    truth[1:3] = 6  # unknown fills most, but is not a class to answer
    truth[3] = 2
    painted = np.full_like(truth, 2)
    expected = jaccard_score(truth.ravel(), painted.ravel(), labels=SCORED, average=None, zero_division=0.0)
    assert evaluate_masks(predicted, truth).majority == pytest.approx(expected.mean(), rel=1e-12)


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_every_image_weighs_the_same_in_the_loss(task: str) -> None:
    """Also those of the smaller last batch."""
    predicted, truth = random_pair((5, 4, 4) if task == "segment" else (5,), seed=4)
    scores = np.exp(3.0 * np.eye(CLASSES)[predicted.ravel()])
    expected = log_loss(truth.ravel(), scores / scores.sum(axis=1, keepdims=True), labels=range(CLASSES))
    found = evaluate_masks(predicted, truth) if task == "segment" else evaluate_labels(predicted, truth)
    assert found.loss == pytest.approx(expected, rel=1e-6)  # float32 logits


IGNORE = (("ignore_index", 6),)


@pytest.mark.parametrize("recipe", [r4.SEG_A, r4.CLASSIFY], ids=["segment", "classify"])
def test_every_target_that_counts_weighs_the_same_in_the_loss(recipe: Recipe) -> None:
    """Of the first batch few are counted, of the second all; and a batch may be wholly ignored."""
    masks = recipe.task == "segment"
    predicted, truth = random_pair((8, 4, 4) if masks else (8,), seed=7)
    truth = truth % 6
    truth.reshape(8, -1)[:3] = 6
    truth.reshape(8, -1)[3, 0], truth.reshape(8, -1)[4:6] = 6, 6
    scores = torch.from_numpy(3.0 * np.eye(CLASSES)[predicted.ravel()])
    expected = F.cross_entropy(scores, torch.from_numpy(truth.ravel()), ignore_index=6)
    loss = partial(cross_entropy, ignore_index=6)
    dataset = dataset_of(predicted, truth.astype(np.uint8) if masks else truth)
    batches = Batches.of(dataset.val, torch.device("cpu"))
    model = Oracle(per_pixel=masks)
    task = segment if masks else classify
    counting = replace(unscaled(recipe), loss_args=IGNORE)
    found = task.evaluate(model, batches, dataset, counting, loss)
    assert found.loss == pytest.approx(float(expected), rel=1e-6)
    nothing = replace(batches, targets=torch.full_like(batches.targets, 6))
    assert math.isnan(task.evaluate(model, nothing, dataset, counting, loss).loss)


class Reader(nn.Module):
    """Logits and features of the class in the red channel's upper left corner."""

    frozen = False

    def head(self, features: Tensor) -> Tensor:
        return features

    def features(self, images: Tensor) -> Tensor:
        return 3.0 * F.one_hot((images[:, 0, 0, 0] * 255).round().long(), CLASSES).float()

    embed = forward = features


def test_evaluation_is_free_of_augmentation() -> None:
    """The corner holds the class, and every other pixel another one: whatever moves or dyes it shows."""
    classes = np.arange(40) % 6
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[..., 0] = (classes[:, None, None] + 1) % 6
    images[:, 0, 0, 0] = classes
    dataset = dataset_of(classes, classes)
    dataset = replace(dataset, val=replace(dataset.val, images=images))
    batches = Batches.of(dataset.val, torch.device("cpu"))
    recipe = replace(
        unscaled(r4.CLASSIFY), augment=("color_jitter", "horizontal_flip", "random_resized_crop")
    )
    model, expected = Reader(), 3.0 * F.one_hot(torch.from_numpy(classes), CLASSES).float()
    assert classify.evaluate(model, batches, dataset, recipe, cross_entropy).metrics["top1"].value == 1.0
    assert torch.equal(classify.embed(model, batches, recipe), expected)
    features = classify.frozen_features(model, batches, recipe)
    assert torch.equal(features.images, expected)
    model.frozen = True  # its head reads the features
    assert classify.evaluate(model, features, dataset, recipe, cross_entropy).metrics["top1"].value == 1.0
    masks = np.broadcast_to(classes[:, None, None], (40, 8, 8))
    of_masks = replace(dataset_of(images[..., 0], masks.astype(np.uint8)), train=dataset.train)
    batches = Batches.of(of_masks.val, torch.device("cpu"))
    recipe = replace(unscaled(r4.SEG_A), augment=("horizontal_flip", "vertical_flip"))
    predicted = segment.predict(Oracle(per_pixel=True), batches, recipe)
    np.testing.assert_array_equal(predicted, images[..., 0])


def evaluate_labels(predicted: np.ndarray, truth: np.ndarray) -> classify.Evaluation:
    dataset = dataset_of(predicted, truth)
    batches = Batches.of(dataset.val, torch.device("cpu"))
    model = Oracle(per_pixel=False).train()
    return classify.evaluate(model, batches, dataset, unscaled(r4.CLASSIFY), cross_entropy)


def test_top1_and_its_counts() -> None:
    predicted, truth = random_pair((41,), seed=5)
    truth[:9] = 2  # the most frequent one
    found = evaluate_labels(predicted, truth)
    top1 = found.metrics["top1"]
    assert top1.value == pytest.approx(accuracy_score(truth, predicted), rel=1e-12)
    assert (top1.numerator, top1.denominator) == ((truth == predicted).sum(), 41)
    np.testing.assert_array_equal(found.per_image, predicted)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(truth, predicted, labels=range(CLASSES)))
    assert found.majority == pytest.approx((truth == 2).mean())


def test_predicted_masks_are_those_of_the_model_in_evaluation_mode() -> None:
    predicted, truth = random_pair((5, 8, 9), seed=6)
    batches = Batches.of(dataset_of(predicted, truth).val, torch.device("cpu"))
    masks = segment.predict(Oracle(per_pixel=True).train(), batches, unscaled(r4.SEG_A))
    assert masks.dtype == np.uint8
    np.testing.assert_array_equal(masks, predicted)


def test_batches_gathered_ahead_are_those_gathered_in_turn() -> None:
    images = torch.arange(7 * 2 * 2 * 3, dtype=torch.uint8).view(7, 2, 2, 3)
    batches = Batches(images=images, targets=torch.arange(7))
    parts = torch.tensor([6, 0, 3, 5, 1, 2, 4]).split(3)
    for (x, y), part in zip(batches.ahead(parts), parts, strict=True):
        assert torch.equal(x, images[part])
        assert torch.equal(y, part)
    assert list(batches.ahead([])) == []
    with pytest.raises(IndexError):
        list(batches.ahead([torch.tensor([7])]))


def test_evaluation_uses_running_statistics_and_leaves_them_alone() -> None:
    """A model that comes out of a training step is judged by its running statistics, not by each batch's."""
    predicted, truth = random_pair((5, 8, 9), seed=7)
    dataset, recipe = dataset_of(predicted, truth.astype(np.uint8)), unscaled(r4.SEG_A)
    batches = Batches.of(dataset.val, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    norm, score = nn.BatchNorm2d(3), nn.Conv2d(3, CLASSES, 1)
    for tensor in (norm.running_mean, score.weight.data, score.bias.data):
        tensor.normal_(generator=generator)
    model = nn.Sequential(norm, score).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = segment.evaluate(model, batches, dataset, recipe, cross_entropy)
    model.train()
    masks = segment.predict(model, batches, recipe)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    images = torch.from_numpy(dataset.val.images).permute(0, 3, 1, 2) / 255
    normed = F.batch_norm(images, before["0.running_mean"], before["0.running_var"], norm.weight, norm.bias)
    expected = F.conv2d(normed, score.weight, score.bias).argmax(1).numpy()
    np.testing.assert_array_equal(masks, expected)
    np.testing.assert_array_equal(
        found.confusion, confusion_matrix(truth.ravel(), expected.ravel(), labels=range(CLASSES))
    )
    by_batch = F.conv2d(F.batch_norm(images, None, None, training=True), score.weight, score.bias).argmax(1)
    assert not np.array_equal(by_batch.numpy(), expected)  # else the test could not tell them apart
