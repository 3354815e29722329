"""DeepLabV3 over a dilated ResNet-50, with torchvision's state dict and outputs (r1:671, r3:214).

R1's text gives the rates 6, 12, 18 (r1:675). The network that its code names has 12, 24, 36; we build
that one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference.models.resnet import Bottleneck, ResNet
from reference.models.weights import KeyMap, Trunk, check_sizes

RATES = (12, 24, 36)


def _conv_bn_relu(channels: int, out: int, kernel: int, rate: int = 1) -> list[nn.Module]:
    padding = rate * (kernel // 2)
    conv = nn.Conv2d(channels, out, kernel, padding=padding, dilation=rate, bias=False)
    return [conv, nn.BatchNorm2d(out), nn.ReLU()]


class ImagePooling(nn.Sequential):
    """Average over the map, a 1×1 convolution, and the result copied to every position."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(channels, out, 1))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        for layer in self:
            x = layer(x)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: five branches, concatenated and projected (Chen et al. 2017)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_conv_bn_relu(channels, out, 1)),
                *(nn.Sequential(*_conv_bn_relu(channels, out, 3, rate)) for rate in RATES),
                ImagePooling(channels, out),
            ]
        )
        self.project = nn.Sequential(*_conv_bn_relu(5 * out, out, 1), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], dim=1))
        return projected


class DeepLabV3(Trunk):
    """DeepLabV3: (B, 3, H, W) → logits (B, num_classes, H, W); in training with ``aux`` a pair of logits.

    The pair is (output, auxiliary output of the third stage), both at the image's size; torchvision's
    reference trains on the loss of the first plus half that of the second. ``width`` is the channel count
    of the backbone's first stage and scales all others.
    """

    def __init__(self, *, num_classes: int, width: int = 64, aux: bool = True) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        self.num_classes, self.width = num_classes, width
        without = {} if aux else {"aux_classifier.": None}
        self.pretrained = {
            "deeplabv3_resnet50_coco": KeyMap(
                prefixes={"": "", **without}, head=("classifier.4.", "aux_classifier.4."), num_classes=21
            ),
            "resnet50": KeyMap(
                prefixes={"": "backbone.", "fc.": None}, fresh=("classifier.", "aux_classifier.")
            ),
        }
        self.backbone = ResNet(
            "resnet50", Bottleneck, (3, 4, 6, 3), num_classes=None, width=width, dilated=True
        )
        inner = 4 * width
        self.classifier = nn.Sequential(
            ASPP(32 * width, inner), *_conv_bn_relu(inner, inner, 3), nn.Conv2d(inner, num_classes, 1)
        )
        self.aux_classifier: nn.Sequential | None = None
        if aux:
            self.aux_classifier = nn.Sequential(
                *_conv_bn_relu(16 * width, inner, 3), nn.Dropout(0.1), nn.Conv2d(inner, num_classes, 1)
            )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        alone = isinstance(self.classifier[2], nn.BatchNorm2d)  # else its statistics are of other ranks too
        if self.training and len(x) == 1 and alone:
            raise ValueError("batch of 1 image: DeepLabV3 normalises pooled features, so it needs 2 or more")
        size = x.shape[-2:]
        *_, third, fourth = self.backbone.pyramid(x)  # (B, 16·width, H/8, W/8), (B, 32·width, H/8, W/8)
        logits = F.interpolate(self.classifier(fourth), size=size, mode="bilinear", align_corners=False)
        if not self.training or self.aux_classifier is None:
            return logits
        aux = F.interpolate(self.aux_classifier(third), size=size, mode="bilinear", align_corners=False)
        return logits, aux
