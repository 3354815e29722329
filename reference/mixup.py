"""Mixup as timm does it, which is what R3 trained its ResNet152 with (r3:57).

What timm does without saying so, and an own implementation would get wrong: sample i is mixed with sample
B−1−i, not with a random one; one λ serves the whole batch; labels are smoothed by 0.1 unless told otherwise.
Three things differ here: λ comes from an explicit generator instead of numpy's global state, the images are
not overwritten, and smoothing is 0 unless asked for (``TIMM_SMOOTHING`` is timm's).
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
    """Mix each sample with its mirror in the batch, λ drawn from Beta(α, α) once (Zhang et al. 2018).

    Args:
        images: (B, …) floating point, B even: the middle of an odd batch would meet itself.
        labels: (B,) int64 classes.
        num_classes: C.
        generator: CPU generator of the draw.
        alpha: of the Beta distribution, above 0.
        smoothing: share of each label spread over all classes.

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
    """λ of each sample and 1 − λ of its mirror in the batch, images and targets alike.

    Args:
        images: (B, …) floating point.
        targets: (B, C) probabilities.
        lam: λ, 0…1.
    """
    return torch.lerp(images.flip(0), images, lam), torch.lerp(targets.flip(0), targets, lam)


def smooth_labels(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """(B,) classes → (B, C) float32: 1 − s + s/C on the label, s/C elsewhere (Szegedy et al. 2016).

    Raises:
        ValueError: smoothing lies outside 0…1.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing is {smoothing}, expected 0…1")
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def draw_lambda(generator: torch.Generator, alpha: float) -> float:
    """λ from Beta(α, α), one draw of the generator.

    Raises:
        ValueError: alpha is not above 0.
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}, expected above 0")
    # torch cannot draw Beta from a generator of one's own; numpy can, seeded by it.
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
