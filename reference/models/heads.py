"""A ResNet-50 with the classifier that each report puts on it to fine-tune on Office-Home.

==================  =====================================================  ==============
name in ``MODELS``  classifier                                             recipes
==================  =====================================================  ==============
resnet50_linear     one linear layer                                       r1-finetune-…
resnet50_dropout    dropout and one linear layer on the 1,000 outputs      r3-finetune-…
resnet50_mlp        two linear layers with dropout                         r5-finetune-…
==================  =====================================================  ==============
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.models.resnet import Bottleneck, ResNet
from reference.models.weights import KeyMap, Trunk, check_sizes


class FineTuned(Trunk):
    """A backbone and a head: (B, 3, H, W) → logits (B, num_classes).

    With ``frozen`` the backbone is not trained and never in training mode, so its BatchNorm statistics do
    not change either.
    """

    def __init__(self, backbone: ResNet, head: nn.Sequential, *, num_classes: int, frozen: bool) -> None:
        super().__init__()
        self.num_classes, self.width, self.frozen = num_classes, backbone.width, frozen
        fc: str | None = "backbone.fc." if backbone.num_classes else None
        self.pretrained = {"resnet50": KeyMap(prefixes={"": "backbone.", "fc.": fc}, fresh=("head.",))}
        self.backbone = backbone.requires_grad_(not frozen)
        self.head = head
        self.train()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """Return the input of the head: (B, 3, H, W) → (B, backbone's output)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.backbone(x)
        return features

    def embed(self, x: Tensor) -> Tensor:
        """Return the input of the last layer, for t-SNE and kNN: (B, 3, H, W) → (B, d)."""
        x = self.features(x)
        for layer in list(self.head)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits

    def load_encoder(self, state: dict[str, Tensor]) -> None:
        """Load a pre-trained encoder: the state dict of a ResNet-50, or of a BYOL (its online encoder).

        An ``fc`` is loaded if the backbone has one of that shape, else left out.

        Raises:
            InputError: a key or shape differs; the message names the first one.
        """
        online = {
            key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")
        }
        weights = online or state
        expected = self.backbone.state_dict()
        for key, tensor in weights.items():
            if key not in expected and not key.startswith("fc."):
                raise InputError(f"encoder: key {key!r} is unexpected; expected a ResNet-50's state dict")
            if key in expected and not key.startswith("fc.") and tensor.shape != expected[key].shape:
                shapes = f"found {tuple(tensor.shape)}, expected {tuple(expected[key].shape)}"
                raise InputError(f"encoder: key {key!r}: {shapes}; is it of this width?")
        for key in expected:
            optional = key.startswith("fc.") or key.endswith("num_batches_tracked")  # as torch has it
            if key not in weights and not optional:
                raise InputError(f"encoder: key {key!r} is missing; expected a ResNet-50's state dict")
        fitting = {
            key: tensor
            for key, tensor in weights.items()
            if key in expected and tensor.shape == expected[key].shape
        }
        self.backbone.load_state_dict(expected | fitting)


def _backbone(width: int, classes: int | None = None) -> ResNet:
    return ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=classes, width=width)


def resnet50_linear(*, num_classes: int, width: int = 64, frozen: bool = False) -> FineTuned:
    """Build one linear layer on the pooled features; R1 states no head, so this is our reading."""
    check_sizes(num_classes, width)
    backbone = _backbone(width)
    head = nn.Sequential(nn.Linear(backbone.embedding_size, num_classes))
    return FineTuned(backbone, head, num_classes=num_classes, frozen=frozen)


def resnet50_dropout(
    *, num_classes: int, width: int = 64, frozen: bool = False, dropout: float = 0.5
) -> FineTuned:
    """Build R3's head: dropout and a linear layer on the 1000-way output; it keeps the ``fc`` (r3:176)."""
    check_sizes(num_classes, width)
    _check_rate(dropout)
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(1000, num_classes))
    return FineTuned(_backbone(width, 1000), head, num_classes=num_classes, frozen=frozen)


def resnet50_mlp(
    *, num_classes: int, width: int = 64, frozen: bool = False, hidden: int = 256, dropout: float = 0.1
) -> FineTuned:
    """Build R5's head: two linear layers, 256 hidden, dropout 0.1 between them (r5:52)."""
    check_sizes(num_classes, width)
    _check_rate(dropout)
    if hidden < 1:
        raise InputError(f"hidden: found {hidden!r}, expected at least 1")
    backbone = _backbone(width)
    head = nn.Sequential(
        nn.Linear(backbone.embedding_size, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )
    return FineTuned(backbone, head, num_classes=num_classes, frozen=frozen)


def _check_rate(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise InputError(f"dropout: found {dropout!r}, expected a rate of at least 0 and below 1")
