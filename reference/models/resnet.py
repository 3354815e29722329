"""ResNet-18, 34, 50 and 152 with torchvision's state dict and outputs, at any width.

==================  ====================================================================
name in ``MODELS``  recipes
==================  ====================================================================
resnet18            an ablation
resnet34            the trunk of r4-seg-b
resnet50            ``supervised``; the trunk of BYOL, of fine-tuning and of DeepLabV3
resnet152           r3-classify-b
==================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reference.models.weights import KeyMap, Trunk, check_image, check_sizes


def _conv(channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, out, kernel, stride, padding, dilation, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, dilation: int, shortcut: nn.Module | None):
        super().__init__()
        self.conv1 = _conv(channels, planes, 3, stride, dilation)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x = self.relu(x + identity)
        return x


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 and the shortcut; the stride is on the 3×3 as in torchvision ("ResNet 1.5")."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int, dilation: int, shortcut: nn.Module | None):
        super().__init__()
        self.conv1 = _conv(channels, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv(planes, planes, 3, stride, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv(planes, planes * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x = self.relu(x + identity)
        return x


def resnet_stage(
    block: type[BasicBlock] | type[Bottleneck],
    channels: int,
    planes: int,
    depth: int,
    *,
    stride: int,
    first_dilation: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """Build ``depth`` blocks; the first changes stride and channels, and may have another dilation."""
    out = planes * block.expansion
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(_conv(channels, out, 1, stride), nn.BatchNorm2d(out))
    blocks = [block(channels, planes, stride, first_dilation, shortcut)]
    blocks += [block(out, planes, 1, dilation, None) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


class ResNet(Trunk):
    """A residual network: (B, 3, H, W) → logits (B, num_classes).

    ``width`` is the channel count of the first stage. Without ``num_classes`` there is no ``fc`` and the
    output is the pooled features. ``dilated`` keeps the last two stages at 1/8 of the input's size
    and dilates their convolutions instead, as DeepLabV3 needs.
    """

    def __init__(
        self,
        weights: str,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        *,
        num_classes: int | None,
        width: int,
        dilated: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(1 if num_classes is None else num_classes, width)
        self.num_classes, self.width = num_classes or 0, width
        self.embedding_size = 8 * width * block.expansion
        self.pretrained = {
            weights: KeyMap(prefixes={"": "", **({} if num_classes else {"fc.": None})}, head=("fc.",))
        }
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        step = block.expansion
        self.layer1 = resnet_stage(block, width, width, depths[0], stride=1)
        self.layer2 = resnet_stage(block, width * step, 2 * width, depths[1], stride=2)
        # A dilated stage's first block still has the dilation of the stage before it.
        wide = {"stride": 1, "first_dilation": 1, "dilation": 2} if dilated else {"stride": 2}
        self.layer3 = resnet_stage(block, 2 * width * step, 4 * width, depths[2], **wide)
        wide = {"stride": 1, "first_dilation": 2, "dilation": 4} if dilated else {"stride": 2}
        self.layer4 = resnet_stage(block, 4 * width * step, 8 * width, depths[3], **wide)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.embedding_size, num_classes) if num_classes else nn.Identity()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def pyramid(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the maps of the four stages: (B, 3, H, W) → strides 4, 8, 16, 32 (4, 8, 8, 8 if dilated)."""
        check_image(x, 1, self)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)

    def embed(self, x: Tensor) -> Tensor:
        """Return the pooled features of the last stage: (B, 3, H, W) → (B, embedding_size)."""
        return torch.flatten(self.avgpool(self.pyramid(x)[-1]), 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.embed(x))
        return logits


def resnet18(*, num_classes: int, width: int = 64) -> ResNet:
    """Build ResNet-18, one of R3's smaller trials (r3:37)."""
    return ResNet("resnet18", BasicBlock, (2, 2, 2, 2), num_classes=num_classes, width=width)


def resnet34(*, num_classes: int, width: int = 64) -> ResNet:
    """Build ResNet-34, the trunk of R4's improved segmentation model (r4:140)."""
    return ResNet("resnet34", BasicBlock, (3, 4, 6, 3), num_classes=num_classes, width=width)


def resnet50(*, num_classes: int, width: int = 64) -> ResNet:
    """Build ResNet-50, the backbone of R1, R3 and R5's pre-training (r1:118, r3:105, r5:14)."""
    return ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes=num_classes, width=width)


def resnet152(*, num_classes: int, width: int = 64) -> ResNet:
    """Build ResNet-152, R3's model B (r3:37)."""
    return ResNet("resnet152", Bottleneck, (3, 8, 36, 3), num_classes=num_classes, width=width)
