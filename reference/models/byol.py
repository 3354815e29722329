"""BYOL: an online network learns to predict the output of a target that follows slowly (Grill et al. 2020).

The choices that the reports leave open and that change the numbers are arguments: which images share a
BatchNorm's statistics, and what happens to the target's running statistics.
"""

from __future__ import annotations

import copy
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.models.resnet import Bottleneck, ResNet
from reference.models.weights import check_sizes

BnViews = Literal["joint", "separate"]
TargetBuffers = Literal["own", "copy", "ema"]


class Prediction(NamedTuple):
    """The inputs of the loss, each (B, D): it compares a view's prediction with the other view's target.

    The order is that of the arguments of ``reference.losses.byol_loss``.
    """

    prediction1: Tensor
    target2: Tensor
    prediction2: Tensor
    target1: Tensor


def mlp(channels: int, hidden: int, out: int) -> nn.Sequential:
    """Build a projector or predictor: linear, BatchNorm, ReLU, linear; both linear layers have biases."""
    return nn.Sequential(
        nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out)
    )


class BYOL(nn.Module):
    """Online encoder, projector and predictor, and the target of encoder and projector.

    Args:
        encoder: a ResNet without ``fc``.
        hidden: the MLPs' hidden size (4096 in the paper).
        projection: the size of projections and predictions (256 in the paper).
        bn_views: ``"joint"`` normalises both views by common statistics (byol-pytorch from 0.7.2 on),
            ``"separate"`` each by its own (the paper).
        target_buffers: the target's running statistics are its ``"own"`` (from its own forward passes, as in
            byol-pytorch), a ``"copy"`` of the online network's after each update, or their ``"ema"``.
            In every case batch statistics normalise the targets.
    """

    def __init__(
        self,
        encoder: ResNet,
        *,
        hidden: int = 4096,
        projection: int = 256,
        bn_views: BnViews = "separate",
        target_buffers: TargetBuffers = "own",
    ) -> None:
        super().__init__()
        if bn_views not in ("joint", "separate"):
            raise InputError(f"bn_views: found {bn_views!r}, expected 'joint' or 'separate'")
        if target_buffers not in ("own", "copy", "ema"):
            raise InputError(f"target_buffers: found {target_buffers!r}, expected 'own', 'copy' or 'ema'")
        self.bn_views, self.target_buffers = bn_views, target_buffers
        self.encoder = encoder
        self.projector = mlp(encoder.embedding_size, hidden, projection)
        self.predictor = mlp(projection, hidden, projection)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        if target_buffers != "own":
            self._freeze_target_statistics()

    def _freeze_target_statistics(self) -> None:
        """Leave the target's running statistics to ``ema_update``; forward passes do not change them."""
        for network in (self.target_encoder, self.target_projector):
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    layer.momentum = 0.0

    def embed(self, x: Tensor) -> Tensor:
        """Return the features of the online encoder, the result of pre-training: (B, 3, H, W) → (B, E)."""
        return self.encoder.embed(x)

    def forward(self, view1: Tensor, view2: Tensor) -> Prediction:
        """Map two views of the same images, each (B, 3, H, W), to predictions and targets, each (B, D)."""
        if self.bn_views == "joint":
            both = torch.cat([view1, view2])
            prediction1, prediction2 = self._predict(both).chunk(2)
            target1, target2 = self._target(both).chunk(2)
        else:
            prediction1, prediction2 = self._predict(view1), self._predict(view2)
            target1, target2 = self._target(view1), self._target(view2)
        return Prediction(prediction1, target2, prediction2, target1)

    def _predict(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.predictor(self.projector(self.encoder(x)))
        return prediction

    @torch.no_grad()
    def _target(self, x: Tensor) -> Tensor:
        projection: Tensor = self.target_projector(self.target_encoder(x))
        return projection

    @torch.no_grad()
    def ema_update(self, decay: float) -> None:
        """Set ξ ← τξ + (1 − τ)θ with τ = ``decay``; call it after the optimiser's step (r1:94, r3:100)."""
        pairs = ((self.encoder, self.target_encoder), (self.projector, self.target_projector))
        online: list[Tensor] = [parameter for network, _ in pairs for parameter in network.parameters()]
        target: list[Tensor] = [parameter for _, network in pairs for parameter in network.parameters()]
        torch._foreach_lerp_(target, online, 1 - decay)
        if self.target_buffers == "own":
            return
        for network, follower in pairs:
            for theirs, ours in zip(network.buffers(), follower.buffers(), strict=True):
                # The count of batches is not a statistic to average.
                if self.target_buffers == "copy" or not ours.is_floating_point():
                    ours.copy_(theirs)
                else:
                    ours.lerp_(theirs, 1 - decay)


def byol_resnet50(
    *,
    num_classes: int = 1,
    width: int = 64,
    bn_views: BnViews = "separate",
    target_buffers: TargetBuffers = "own",
) -> BYOL:
    """BYOL over a ResNet-50, as in R1, R3 and R5 (r1:118, r3:105, r5:14).

    ``width`` scales the MLPs too. Every builder takes ``num_classes``; here it has no effect.
    """
    check_sizes(num_classes, width)
    encoder = ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=width)
    return BYOL(
        encoder,
        hidden=64 * width,
        projection=4 * width,
        bn_views=bn_views,
        target_buffers=target_buffers,
    )
