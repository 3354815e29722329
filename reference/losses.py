"""The losses that the five reports train with.

Every loss here is computed for each sample or pixel and averaged last. Focal and Poly-1 are often coded on
the already averaged cross-entropy; that is another function (its modulation sees the batch's mean
probability, not the pixel's), and the suite keeps the two apart.

Logits are (N, C) or (N, C, …), hard targets (N,) or (N, …) int64, so one function serves classification
and segmentation. If every target is ignored the result is nan, as in ``torch.nn.functional.cross_entropy``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from reference import outside


def cross_entropy(
    logits: Tensor, target: Tensor, *, ignore_index: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    """Softmax cross-entropy, averaged over the targets that are not ignored.

    Args:
        logits: (N, C, …) floating point.
        target: (N, …) int64 classes.
        ignore_index: target value that counts nowhere.
        label_smoothing: share of the target that is spread evenly over all classes, 0…1.

    Returns:
        Scalar, in nats.
    """
    return F.cross_entropy(logits, target, ignore_index=ignore_index, label_smoothing=label_smoothing)


def focal_loss(
    logits: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | None = None,
    ignore_index: int = -100,
) -> Tensor:
    """Softmax focal loss: the mean of α_y · (1 − p_y)^γ · (−log p_y) over the targets that are not ignored.

    Lin et al. 2017, equation 5, with softmax for the sigmoid, since R2 trains seven exclusive classes
    (torchvision's is the sigmoid form). γ = 0 without α is cross-entropy.

    Args:
        logits: (N, C, …) floating point.
        target: (N, …) int64 classes.
        gamma: focusing exponent, at least 0.
        alpha: (C,) weight of each class, or None for 1. The mean divides by the number of targets, not by
            the sum of their weights.
        ignore_index: target value that counts nowhere.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: gamma is negative, or alpha is not (C,).

    Example:
        Of two targets the one that is predicted well counts for little:

        >>> logits, target = torch.tensor([[4.0, 0.0], [0.0, 0.5]]), torch.tensor([0, 1])
        >>> round(float(cross_entropy(logits, target)), 4)
        0.2461
        >>> round(float(focal_loss(logits, target)), 4)
        0.0338
    """
    if gamma < 0:
        raise ValueError(f"gamma is {gamma}, expected at least 0")
    log_p = _log_probability(logits, target, ignore_index)
    # 1 − p loses every digit for p near 1, and 0**γ has no gradient for γ < 1: hence expm1 and the floor.
    miss = -torch.expm1(log_p)
    loss = -log_p * miss.clamp(min=torch.finfo(miss.dtype).tiny) ** gamma
    if alpha is not None:
        if alpha.shape != logits.shape[1:2]:
            raise ValueError(f"alpha has shape {tuple(alpha.shape)}, expected ({logits.shape[1]},)")
        # any class will do for what is ignored, which may be no class
        loss = loss * alpha.to(loss)[target.masked_fill(target == ignore_index, 0)]
    return _mean_of_counted(loss, target, ignore_index)


def poly1_loss(logits: Tensor, target: Tensor, *, epsilon: float = 2.0, ignore_index: int = -100) -> Tensor:
    """Poly-1 loss: the mean of −log p_y + ε · (1 − p_y) over the targets that are not ignored.

    Leng et al. 2022 (PolyLoss); R3's formula (r3:240) with N = 1. ε = 2 is the paper's choice for ImageNet
    classification; ε = 0 is cross-entropy.

    Args:
        logits: (N, C, …) floating point.
        target: (N, …) int64 classes.
        epsilon: weight of the first polynomial term.
        ignore_index: target value that counts nowhere.

    Returns:
        Scalar, in nats.

    Example:
        At even odds −log ½ + 2 · ½:

        >>> round(float(poly1_loss(torch.zeros(1, 2), torch.tensor([0]))), 4)
        1.6931
    """
    return poly_loss(logits, target, epsilons=(epsilon,), ignore_index=ignore_index)


def poly_loss(
    logits: Tensor, target: Tensor, *, epsilons: Sequence[float], ignore_index: int = -100
) -> Tensor:
    """Poly-N loss: the mean of −log p_y + Σⱼ εⱼ · (1 − p_y)ʲ, j = 1 … N, over the targets not ignored.

    Leng et al. 2022; R3's formula (r3:240). No terms is cross-entropy, one is Poly-1.

    Args:
        logits: (N, C, …) floating point.
        target: (N, …) int64 classes.
        epsilons: weights of the polynomial terms, the first power first.
        ignore_index: target value that counts nowhere.

    Returns:
        Scalar, in nats.
    """
    log_p = _log_probability(logits, target, ignore_index)
    miss = -torch.expm1(log_p)  # 1 − p, exact for p near 1
    loss = -log_p
    for power, epsilon in enumerate(epsilons, start=1):
        loss = loss + epsilon * miss**power
    return _mean_of_counted(loss, target, ignore_index)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against class probabilities, averaged over samples (timm's SoftTargetCrossEntropy).

    Args:
        logits: (N, C) floating point.
        target: (N, C) probabilities, each row summing to 1 (``reference.mixup``).

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: shapes differ; hard labels would silently be another loss.
    """
    if logits.shape != target.shape or not target.is_floating_point():
        raise ValueError(
            f"target is {tuple(target.shape)} {target.dtype}, expected probabilities {tuple(logits.shape)}"
        )
    return F.cross_entropy(logits, target)


def byol_loss(prediction1: Tensor, target2: Tensor, prediction2: Tensor, target1: Tensor) -> Tensor:
    """Symmetric BYOL loss: batch mean of [2 − 2·cos(p₁, z₂)] + [2 − 2·cos(p₂, z₁)].

    Grill et al. 2020, equation 2, both directions summed (R3 and R5 print this form). Range 0…8; about 4
    for unrelated embeddings, and 0 on collapse: a falling loss is no proof of learning. No gradient
    reaches the targets.

    Args:
        prediction1: (N, D) online prediction of view 1.
        target2: (N, D) target projection of view 2.
        prediction2: (N, D) online prediction of view 2.
        target1: (N, D) target projection of view 1.

    Returns:
        Scalar, 0…8.

    Example:
        Both directions at right angles, then collapsed to one point:

        >>> a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> float(byol_loss(a, b, b, a)), float(byol_loss(a, a, a, a))
        (4.0, 0.0)
    """
    return 4.0 + byol_loss_r1(prediction1, target2, prediction2, target1)


def byol_loss_r1(prediction1: Tensor, target2: Tensor, prediction2: Tensor, target1: Tensor) -> Tensor:
    """R1's form of the BYOL loss (its Algorithm 1, line 7): batch mean of −2·(cos(p₁, z₂) + cos(p₂, z₁)).

    Arguments as :func:`byol_loss`, of which it is 4 less; range −4…4 with the same gradient.
    """
    return -2.0 * (_cosine(prediction1, target2) + _cosine(prediction2, target1)).mean()


Loss = Callable[..., Tensor]
"""(logits, target, \\*\\*loss_args) → scalar, but for BYOL's."""

CLASSIFY: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal_loss,
    "poly1": poly1_loss,
    "soft_cross_entropy": soft_cross_entropy,
}
"""What a classification recipe's ``loss`` may name."""

SEGMENT: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal_loss,
    "poly1": poly1_loss,
}
"""What a segmentation recipe's ``loss`` may name."""

BYOL: dict[str, Loss] = {"byol_loss": byol_loss, "byol_loss_r1": byol_loss_r1}
"""What a BYOL recipe's ``loss`` may name: (prediction1, target2, prediction2, target1) → scalar."""

LOSSES: dict[str, dict[str, Loss]] = {"classify": CLASSIFY, "segment": SEGMENT, "byol": BYOL}
"""Losses by a recipe's ``task`` and ``loss``."""


def named(task: str, loss: str) -> Loss:
    """Return the loss that a recipe names: of its task, or at an import path (``reference.outside``).

    Raises:
        InputError: no such loss.
    """
    if outside.is_own(loss, "loss", LOSSES[task]):
        return outside.find(loss, "loss")
    return LOSSES[task][loss]


def _log_probability(logits: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """log p of the true class at each target, (N, …); 0 where it is ignored."""
    return -F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")


def _mean_of_counted(loss: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """The mean of a loss (N, …) over the targets that are not ignored; nan without any.

    Indexing by them would have the device report their number to the host, which waits for it.
    """
    ignored = target == ignore_index
    return loss.masked_fill(ignored, 0.0).flatten().sum() / (~ignored).sum()


def _cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """(N,) cosine of each row pair; no gradient to the target."""
    return (F.normalize(prediction, dim=-1) * F.normalize(target.detach(), dim=-1)).sum(dim=-1)
