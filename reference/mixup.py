"""Mixup as in timm, with which R3 trained its ResNet152 (r3:57).

timm does three things that another implementation may do differently. It mixes sample i with sample B−1−i,
not with a random one. One λ serves the whole batch. Labels are smoothed by 0.1 by default.
Three things differ here. λ comes from an explicit generator instead of numpy's global state. The images are
not overwritten. Smoothing is 0 by default (``TIMM_SMOOTHING`` is timm's).
Accuracy is measured on unmixed labels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TIMM_ALPHA = 1.0
TIMM_SMOOTHING = 0.1


def mixup(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    generator: torch.Generator,
    *,
    alpha: float = TIMM_ALPHA,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Mix each sample with its mirror in the batch, with one λ from Beta(α, α) (Zhang et al. 2018).

    Args:
        images: (B, …) floating point; B is even, because the middle of an odd batch would mix with itself.
        labels: (B,) int64 classes.
        num_classes: C.
        generator: CPU generator of the draw.
        alpha: parameter of the Beta distribution, above 0.
        smoothing: share of each label that is spread over all classes.

    Returns:
        Mixed images (B, …) and probabilities (B, C), each row summing to 1.

    Raises:
        ValueError: B is odd, or alpha or smoothing lies outside its range.

    Example:
        >>> images, labels = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
        >>> mixed, targets = mixup(images, labels, 2, torch.Generator().manual_seed(0))
        >>> bool(torch.equal(mixed[:, 0], targets[:, 1])), targets.sum(dim=1).tolist()
        (True, [1.0, 1.0])
    """
    if len(images) % 2:
        raise ValueError(f"a batch of {len(images)} cannot be mixed in pairs: expected an even number")
    return mix(images, smooth_labels(labels, num_classes, smoothing), draw_lambda(generator, alpha))


def mix(images: Tensor, targets: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Return λ · sample + (1 − λ) · its mirror in the batch, for images and targets.

    Args:
        images: (B, …) floating point.
        targets: (B, C) probabilities.
        lam: λ, 0…1.
    """
    return torch.lerp(images.flip(0), images, lam), torch.lerp(targets.flip(0), targets, lam)


def smooth_labels(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Smooth (B,) classes to (B, C) float32: 1 − s + s/C on the label, else s/C (Szegedy et al. 2016).

    Raises:
        ValueError: smoothing lies outside 0…1.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing}, expected 0…1")
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def draw_lambda(generator: torch.Generator, alpha: float) -> float:
    """Draw λ from Beta(α, α), with one draw of the generator.

    Raises:
        ValueError: alpha is not above 0.
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}, expected above 0")
    # torch cannot draw Beta from an explicit generator; numpy can, with a seed from it.
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
