"""Our losses, mixup and scores against the packages that people use, on the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from byol_pytorch.byol_pytorch import cosine_loss_fn as byol_pytorch_loss
from lightly.loss import NegativeCosineSimilarity
from timm.data.mixup import Mixup
from timm.loss import SoftTargetCrossEntropy

from reference.losses import byol_loss, focal_loss, soft_cross_entropy
from reference.metrics import class_iou, confusion_matrix
from reference.mixup import TIMM_SMOOTHING, mix, smooth_labels

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(5))
def test_byol_loss_is_byol_pytorchs_and_lightlys_but_for_a_constant(seed: int) -> None:
    p1, z2, p2, z1 = normal(seed, 4, 16, 256)
    ours = byol_loss(p1, z2, p2, z1)
    torch.testing.assert_close(ours, (byol_pytorch_loss(p1, z2) + byol_pytorch_loss(p2, z1)).mean(), **EXACT)
    lightly = NegativeCosineSimilarity()
    torch.testing.assert_close(ours, 4 + 2 * (lightly(p1, z2) + lightly(p2, z1)), **EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_soft_cross_entropy_is_timms(seed: int) -> None:
    logits, target = normal(seed, 8, 50), F.softmax(normal(seed + 100, 8, 50), dim=1)
    torch.testing.assert_close(
        soft_cross_entropy(logits, target), SoftTargetCrossEntropy()(logits, target), **EXACT
    )


@pytest.mark.parametrize("smoothing", [0.0, TIMM_SMOOTHING])
def test_mixup_is_timms_for_the_same_lambda(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = normal(0, 6, 3, 8, 8).float(), torch.tensor([0, 1, 2, 3, 4, 0])
    monkeypatch.setattr(np.random, "beta", lambda *_: 0.3)
    theirs = Mixup(mixup_alpha=1.0, num_classes=5, label_smoothing=smoothing)
    expected, soft = theirs(images.clone(), labels)
    mixed, targets = mix(images, smooth_labels(labels, 5, smoothing), 0.3)
    # float32: lerp and a·λ + b·(1 − λ) round differently.
    torch.testing.assert_close(mixed, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(targets, soft, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_focal_loss_for_two_classes_is_the_sigmoid_one(gamma: float) -> None:
    """With two classes softmax of (0, x) is the sigmoid of x, so the usual sigmoid focal loss applies."""
    x, target = normal(1, 40), torch.arange(40) % 2
    theirs = smp.losses.FocalLoss("binary", gamma=gamma)(x, target.double())
    ours = focal_loss(torch.stack([torch.zeros_like(x), x], dim=1), target, gamma=gamma)
    torch.testing.assert_close(ours, theirs, **EXACT)


def test_class_iou_is_that_of_segmentation_models_for_present_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randint(0, 7, (2, 5, 32, 32), generator=generator)
    counts = smp.metrics.get_stats(prediction, target, mode="multiclass", num_classes=7)
    tp, fp, fn, _ = (c.sum(dim=0).double() for c in counts)
    expected = (tp / (tp + fp + fn)).numpy()
    np.testing.assert_allclose(class_iou(confusion_matrix(prediction, target, num_classes=7)), expected)
