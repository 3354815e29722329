"""VGG13 and VGG16-BN as torchvision builds them, R2's variation of VGG16, and the trunk of the FCNs.

==================  ==============================================================  =============
name in ``MODELS``  network                                                         recipe
==================  ==============================================================  =============
vgg13               torchvision's VGG13 (r3:16)                                     r3-classify-a
vgg16_bn            torchvision's VGG16 with BatchNorm (r4:7)                       r4-classify
leaky_vgg16         VGG16 with BatchNorm, LeakyReLU and dropout after every pool    r2-classify
==================  ==============================================================  =============
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.models.weights import KeyMap, Trunk, check_image, check_sizes

# Output channels of the 3×3 convolutions, block by block; a 2×2 pool ends each block.
VGG13_BLOCKS = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))
VGG16_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

Embedding = Literal["penultimate", "conv"]


def vgg_features(
    blocks: Sequence[Sequence[int]],
    *,
    width: int = 64,
    batch_norm: bool = False,
    padding: int = 1,
    ceil_mode: bool = False,
) -> nn.Sequential:
    """Build the convolutions of a VGG with torchvision's indices: (B, 3, H, W) → (B, 8·width, ≈H/32, ≈W/32).

    ``padding`` is that of the first convolution; the others keep the size of their map.
    """
    layers: list[nn.Module] = []
    channels = 3
    for block in blocks:
        for planes in block:
            out = planes * width // 64
            layers.append(nn.Conv2d(channels, out, 3, padding=padding if not layers else 1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(out))
            layers.append(nn.ReLU(inplace=True))
            channels = out
        layers.append(nn.MaxPool2d(2, 2, ceil_mode=ceil_mode))
    return nn.Sequential(*layers)


def init_vgg_(module: nn.Module) -> None:
    """Draw torchvision's initial weights of a VGG: Kaiming (fan out), and N(0, 0.01) for linear layers."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


class VGG(Trunk):
    """A VGG classifier: (B, 3, H, W) → logits (B, num_classes), H and W at least 32.

    ``width`` scales every channel count from 64, and the classifier's 4096. At 64 the state dict is
    torchvision's.

    Raises:
        ValueError: from ``forward``, for a smaller image.
    """

    def __init__(
        self,
        weights: str,
        blocks: Sequence[Sequence[int]],
        *,
        num_classes: int,
        width: int,
        batch_norm: bool,
        embedding: Embedding,
    ) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        if embedding not in ("penultimate", "conv"):
            raise InputError(f"embedding: found {embedding!r}, expected 'penultimate' or 'conv'")
        self.num_classes, self.width, self.embedding = num_classes, width, embedding
        self.pretrained = {weights: KeyMap(prefixes={"": ""}, head=("classifier.6.",))}
        self.features = vgg_features(blocks, width=width, batch_norm=batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        hidden = 64 * width
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        init_vgg_(self)

    def conv_features(self, x: Tensor) -> Tensor:
        """Return the convolutions' output, pooled to 7×7 and flattened: (B, 3, H, W) → (B, 392·width)."""
        check_image(x, 32, self)
        return torch.flatten(self.avgpool(self.features(x)), 1)

    def embed(self, x: Tensor) -> Tensor:
        """Return features for t-SNE and kNN: (B, 64·width), or (B, 392·width) from the convolutions.

        R3 calls the convolutions' output its "second last layer" (r3:62): ``embedding="conv"``.
        """
        x = self.conv_features(x)
        if self.embedding == "conv":
            return x
        for layer in list(self.classifier)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.conv_features(x))
        return logits


def vgg13(*, num_classes: int, width: int = 64, embedding: Embedding = "penultimate") -> VGG:
    """Build VGG13 without BatchNorm, R3's model A (r3:16)."""
    return VGG(
        "vgg13", VGG13_BLOCKS, num_classes=num_classes, width=width, batch_norm=False, embedding=embedding
    )


def vgg16_bn(*, num_classes: int, width: int = 64, embedding: Embedding = "penultimate") -> VGG:
    """Build VGG16 with BatchNorm, R4's classifier (r4:7)."""
    return VGG(
        "vgg16_bn", VGG16_BLOCKS, num_classes=num_classes, width=width, batch_norm=True, embedding=embedding
    )


class LeakyVGG16(nn.Module):
    """R2's classifier as printed (r2:13): (B, 3, H, W) → logits (B, num_classes).

    VGG16-BN with LeakyReLU, dropout after every pool, and a padding of 2 in the first two convolutions.
    Its linear layers need a map of ``map_size`` × ``map_size``. At the printed 7, images have sides of 220 to
    251 pixels. ``width`` scales every channel count from 64, also in the linear layers.

    Raises:
        ValueError: from ``forward``, for an image of another size.
    """

    def __init__(self, *, num_classes: int, width: int = 64, map_size: int = 7) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        if map_size < 1:
            raise InputError(f"map_size: found {map_size!r}, expected at least 1")
        self.num_classes, self.width, self.map_size = num_classes, width, map_size
        layers: list[nn.Module] = []
        channels = 3
        for block, dropout in zip(VGG16_BLOCKS, (0.25, 0.3, 0.35, 0.35, 0.35), strict=True):
            for planes in block:
                out = planes * width // 64
                padding = 2 if block[0] == 64 else 1
                layers += [
                    nn.Conv2d(channels, out, 3, padding=padding),
                    nn.BatchNorm2d(out),
                    nn.LeakyReLU(0.2),
                ]
                channels = out
            layers += [nn.MaxPool2d(2, 2), nn.Dropout(dropout)]
        self.cnn = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            nn.Linear(channels * map_size**2, 16 * width),
            nn.BatchNorm1d(16 * width),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.5),
            nn.Linear(16 * width, 8 * width),
            nn.BatchNorm1d(8 * width),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.5),
            nn.Linear(8 * width, num_classes),
        )

    def embed(self, x: Tensor) -> Tensor:
        """Return the penultimate layer, which the report's t-SNE shows: (B, 3, H, W) → (B, 8·width)."""
        smallest = 32 * self.map_size - 4  # the wider padding adds 4 pixels before five halvings
        for size in x.shape[-2:]:
            if not smallest <= size <= smallest + 31:
                raise ValueError(
                    f"image of {x.shape[-2]}×{x.shape[-1]}: LeakyVGG16 with map_size {self.map_size} "
                    f"needs {smallest} to {smallest + 31} pixels a side"
                )
        x = torch.flatten(self.cnn(x), 1)
        for layer in list(self.fc)[:-1]:
            x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc[-1](self.embed(x))
        return logits
