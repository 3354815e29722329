"""Fully convolutional networks over VGG16 and ResNet-34 (Shelhamer, Long and Darrell 2017).

===================  ==============  ==================================================  ====================
name in ``MODELS``   class           network                                             recipes
===================  ==============  ==================================================  ====================
fcn32s               Fcn32s          VGG16, fc6 and fc7 with dropout                     r1, r3, r4, r5-seg-a
fcn8s_vgg16          Fcn8s           VGG16 with skips from pool3 and pool4               an ablation
fcn32s_leaky         Fcn32sLeaky     VGG16, BatchNorm and LeakyReLU in fc6 and fc7       r2-seg-a
fcn8s_leaky          Fcn8sLeaky      the same head with skips, trunk with BatchNorm      r2-seg-b
fcn8s_resnet34       Fcn8sResNet34   ResNet-34 with skips                                r4-seg-b
fcn32s_resnet34      Fcn32sResNet34  ResNet-34 without skips                             an ablation
===================  ==============  ==================================================  ====================

All map images (B, 3, H, W) to logits (B, num_classes, H, W). No report prints a ``forward``, so the wiring
follows from the printed shapes. For the VGG networks it also follows from the original's crops, which
``Grid`` derives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reference.errors import InputError
from reference.models.resnet import resnet34
from reference.models.vgg import VGG16_BLOCKS, init_vgg_, vgg_features
from reference.models.weights import KeyMap, Trunk, check_image, check_sizes


def bilinear_kernel(channels: int, size: int) -> Tensor:
    """Return weights (channels, channels, size, size) for bilinear interpolation by transposed convolution.

    The result is exact if the stride is size / 2. Each class feeds only itself. Source: the original's
    ``surgery.py``.
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    ramp = 1 - (torch.arange(size, dtype=torch.float64, device="cpu") - centre).abs() / factor
    kernel = torch.zeros(channels, channels, size, size, device="cpu")
    kernel[range(channels), range(channels)] = torch.outer(ramp, ramp).float()
    return kernel


def upsampler(
    classes: int, size: int, stride: int, padding: int = 0, *, bias: bool = False
) -> nn.ConvTranspose2d:
    """Build a learned transposed convolution over class maps that starts as bilinear interpolation."""
    layer = nn.ConvTranspose2d(classes, classes, size, stride, padding, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel(classes, size))
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def zero_(*layers: nn.Conv2d) -> None:
    """Set weights and biases to zero, as the original does for its scores."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


@dataclass(frozen=True)
class Grid:
    """The positions of a map's pixels: pixel i is centred on pixel ``first + step · i`` of the input."""

    step: float = 1
    first: float = 0

    def conv(self, size: int, stride: int = 1, padding: int = 0) -> Grid:
        """Return the grid after a convolution or pool."""
        return Grid(self.step * stride, self.first + self.step * ((size - 1) / 2 - padding))

    def deconv(self, size: int, stride: int) -> Grid:
        """Return the grid after an unpadded transposed convolution."""
        step = self.step / stride
        return Grid(step, self.first - step * (size - 1) / 2)

    def crop(self, to: Grid) -> int:
        """Count the pixels of this grid before the first one of another grid of the same step."""
        offset = (to.first - self.first) / self.step
        if self.step != to.step or offset != int(offset):
            raise ValueError(f"{self} and {to} have no pixels in common")
        return int(offset)


def crop(x: Tensor, offset: int, height: int, width: int) -> Tensor:
    """Cut the height × width window of (B, C, H, W) ``offset`` pixels from its upper left corner."""
    return x[..., offset : offset + height, offset : offset + width]


class FcnVgg16(Trunk):
    """The common parts of the VGG16 FCNs: trunk, fc6, fc7, score, and the grids that give their crops.

    Subclasses set the scores' initial weights.
    """

    def __init__(
        self,
        num_classes: int,
        width: int,
        batch_norm: bool,
        padding: int,
        channel_dropout: bool,
        transplant: bool,
    ) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        if transplant and batch_norm:
            raise InputError("transplant: fc6 and fc7 are transplanted from vgg16 only, not with batch_norm")
        self.num_classes, self.width, self.smallest = num_classes, width, smallest_image(padding)
        self.pretrained = _vgg16_keys(batch_norm, transplant)
        self.features = vgg_features(
            VGG16_BLOCKS, width=width, batch_norm=batch_norm, padding=padding, ceil_mode=True
        )
        margin = fc6_margin(padding)
        dropout = nn.Dropout2d if channel_dropout else nn.Dropout
        self.fc6 = nn.Conv2d(8 * width, 64 * width, 7, padding=margin)
        self.relu6 = nn.ReLU(inplace=True)
        self.drop6 = dropout(0.5)
        self.fc7 = nn.Conv2d(64 * width, 64 * width, 1)
        self.relu7 = nn.ReLU(inplace=True)
        self.drop7 = dropout(0.5)
        init_vgg_(self)
        self.score_fr = nn.Conv2d(64 * width, num_classes, 1)
        self.pool_grids = vgg_pool_grids(padding)
        self.score_grid = self.pool_grids[-1].conv(7, padding=margin)

    def pools(self, x: Tensor) -> list[Tensor]:
        """Return the maps of the five pools, at 1/2 to 1/32 of the padded image."""
        check_image(x, self.smallest, self)
        maps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps

    def score(self, pool5: Tensor) -> Tensor:
        """Class scores at stride 32: (B, 8·width, h, w) → (B, num_classes, h', w')."""
        x = self.drop6(self.relu6(self.fc6(pool5)))
        x = self.drop7(self.relu7(self.fc7(x)))
        scores: Tensor = self.score_fr(x)
        return scores


def fc6_margin(padding: int) -> int:
    """Return the padding of fc6 for a padding of the first convolution. Raises: InputError.

    From 97 on, ``padding`` makes room for the 7×7 window in any image, so fc6 has no padding, as in the
    original. Below 97 its padding is 3. Otherwise small images would have no scores, and below 81 every
    image would have a border without scores.
    """
    if padding < 0:
        raise InputError(f"padding: found {padding}, expected 0 or more")
    return 0 if padding >= 97 else 3


def smallest_image(padding: int) -> int:
    """Return the smallest side, in pixels, in which the first convolution of a VGG FCN fits."""
    return max(1, 3 - 2 * padding)


def vgg_pool_grids(padding: int) -> list[Grid]:
    """Return the grids of VGG's five pools for a padding of its first convolution."""
    grid = Grid().conv(3, padding=padding)
    grids = []
    for _ in range(5):
        grid = grid.conv(2, stride=2)
        grids.append(grid)
    return grids


def _vgg16_keys(batch_norm: bool, transplant: bool) -> dict[str, KeyMap]:
    new = ("score", "up")
    if transplant:
        prefixes = {"features.": "features.", "classifier.0.": "fc6.", "classifier.3.": "fc7."}
        keys = KeyMap(
            prefixes={**prefixes, "classifier.6.": None}, fresh=new, reshaped=("fc6.weight", "fc7.weight")
        )
    else:
        keys = KeyMap(prefixes={"features.": "features.", "classifier.": None}, fresh=("fc6.", "fc7.", *new))
    return {"vgg16_bn" if batch_norm else "vgg16": keys}


class Fcn32s(FcnVgg16):
    """FCN-32s over VGG16: one transposed convolution from stride 32, cropped to the image.

    Args:
        num_classes: classes of the output.
        width: channels of the first stage; scales all others, fc6 and fc7 included.
        batch_norm: the trunk is VGG16-BN.
        padding: of the first convolution; the original's is 100.
        channel_dropout: dropout removes whole channels, else single values (R5's ``Dropout``, r5:113).
        score_relu: a ReLU follows the scores, as in R5 (r5:122).
        deconv_bias: the transposed convolution has a bias, as in R5 (r5:125).
        transplant: pretrained weights also fill fc6 and fc7, from the classifier's linear layers.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        width: int = 64,
        batch_norm: bool = False,
        padding: int = 100,
        channel_dropout: bool = True,
        score_relu: bool = False,
        deconv_bias: bool = False,
        transplant: bool = False,
    ) -> None:
        super().__init__(num_classes, width, batch_norm, padding, channel_dropout, transplant)
        self.score_relu = nn.ReLU() if score_relu else nn.Identity()
        # Under a ReLU, scores of zero would get no gradient.
        if not score_relu:
            zero_(self.score_fr)
        self.upscore = upsampler(num_classes, 64, 32, bias=deconv_bias)
        self.offset = self.score_grid.deconv(64, 32).crop(Grid())

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scores = self.score_relu(self.score(self.pools(x)[-1]))  # (B, C, ~H/32, ~W/32)
        return crop(self.upscore(scores), self.offset, height, width)


class Fcn8s(FcnVgg16):
    """The original FCN-8s over VGG16: aligned scores at 1/32, 1/16 and 1/8 are summed, then upsampled ×8.

    This and ``fcn32s_resnet34`` are the ablations that R4 lacks (r4:438). Arguments as for ``Fcn32s``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        width: int = 64,
        batch_norm: bool = False,
        padding: int = 100,
        channel_dropout: bool = True,
        transplant: bool = False,
    ) -> None:
        super().__init__(num_classes, width, batch_norm, padding, channel_dropout, transplant)
        self.score_pool3 = nn.Conv2d(4 * width, num_classes, 1)
        self.score_pool4 = nn.Conv2d(8 * width, num_classes, 1)
        zero_(self.score_fr, self.score_pool3, self.score_pool4)
        self.upscore2 = upsampler(num_classes, 4, 2)
        self.upscore_pool4 = upsampler(num_classes, 4, 2)
        self.upscore8 = upsampler(num_classes, 16, 8)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        *_, pool3, pool4, pool5 = self.pools(x)
        grid3, grid4 = self.pool_grids[2:4]
        scores, grid = self.upscore2(self.score(pool5)), self.score_grid.deconv(4, 2)
        scores, grid = add_aligned(scores, grid, self.score_pool4(pool4), grid4)
        scores, grid = self.upscore_pool4(scores), grid.deconv(4, 2)
        scores, grid = add_aligned(scores, grid, self.score_pool3(pool3), grid3)
        scores, grid = self.upscore8(scores), grid.deconv(16, 8)
        return crop(scores, grid.crop(Grid()), height, width)


def add_aligned(a: Tensor, grid_a: Grid, b: Tensor, grid_b: Grid) -> tuple[Tensor, Grid]:
    """Add two maps where both have pixels; return the sum and its grid."""
    offset = grid_a.crop(grid_b)
    start_a, start_b = max(offset, 0), max(-offset, 0)
    height, width = (min(a.shape[i] - start_a, b.shape[i] - start_b) for i in (-2, -1))
    total = crop(a, start_a, height, width) + crop(b, start_b, height, width)
    return total, grid_b if offset >= 0 else grid_a


class LeakyFcn(Trunk):
    """R2's fc6 and fc7, each with BatchNorm and LeakyReLU, and its score (r2:136, r2:222)."""

    def add_scores(self, num_classes: int, width: int, margin: int, dropout: type[nn.Module]) -> None:
        """Create the layers after the trunk's, in the printed order."""
        self.fc6 = nn.Conv2d(8 * width, 64 * width, 7, padding=margin)
        self.bn6 = nn.BatchNorm2d(64 * width)
        self.lrelu6 = nn.LeakyReLU(0.2, inplace=True)
        self.drop6 = dropout(0.5)
        self.fc7 = nn.Conv2d(64 * width, 64 * width, 1)
        self.bn7 = nn.BatchNorm2d(64 * width)
        self.lrelu7 = nn.LeakyReLU(0.2, inplace=True)
        self.drop7 = dropout(0.5)
        self.score_fr = nn.Conv2d(64 * width, num_classes, 1)

    def score(self, pool5: Tensor) -> Tensor:
        """Class scores at stride 32: (B, 8·width, h, w) → (B, num_classes, h', w')."""
        x = self.drop6(self.lrelu6(self.bn6(self.fc6(pool5))))
        x = self.drop7(self.lrelu7(self.bn7(self.fc7(x))))
        scores: Tensor = self.score_fr(x)
        return scores


LEAKY_FRESH = ("fc6.", "bn6.", "fc7.", "bn7.", "score", "bn4", "upscore")


class Fcn32sLeaky(LeakyFcn):
    """R2's VGG16-FCN32s (r2:102), cropped as its text says (r2:271).

    ``padding`` is as for ``Fcn32s``. The listing gives no initial weights for the transposed convolution and
    the scores, so they start like the original's.
    """

    def __init__(self, *, num_classes: int, width: int = 64, padding: int = 100) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        margin = fc6_margin(padding)
        self.num_classes, self.width, self.smallest = num_classes, width, smallest_image(padding)
        keys = KeyMap(prefixes={"features.": "features5.", "classifier.": None}, fresh=LEAKY_FRESH)
        self.pretrained = {"vgg16": keys}
        self.features5 = vgg_features(VGG16_BLOCKS, width=width, padding=padding, ceil_mode=True)
        self.add_scores(num_classes, width, margin, nn.Dropout)
        init_vgg_(self)
        zero_(self.score_fr)
        self.upscore = upsampler(num_classes, 64, 32)
        scores = vgg_pool_grids(padding)[-1].conv(7, padding=margin)
        self.offset = scores.deconv(64, 32).crop(Grid())

    def forward(self, x: Tensor) -> Tensor:
        check_image(x, self.smallest, self)
        height, width = x.shape[-2:]
        return crop(self.upscore(self.score(self.features5(x))), self.offset, height, width)


class Fcn8sLeaky(LeakyFcn):
    """R2's VGG16-BN-FCN8s (r2:171): no padding of 100 and no crop; kernels and strides make the sizes meet.

    At 512 pixels pool5 is 16² and fc6 makes 10². ``upscore2`` (5, stride 3) makes 32², the size of pool4's
    three convolutions; ``upscore_pool4`` makes 64², the size of pool3; ``upscore8`` makes 512². Only images
    with sides of 464 and 512 keep their size. The listing prints its last BatchNorm twice, once on each side
    of a page break.

    Args:
        batch_norm: the trunk is VGG16-BN, as printed; else VGG16. fc6, fc7 and pool4's branch keep BatchNorm.
        skips: add the scores of pool3 and pool4, as printed; else pool5 alone takes the same way up.

    Raises:
        ValueError: from ``forward``, for an image of another size.
    """

    SIDES = (464, 512)

    def __init__(
        self, *, num_classes: int, width: int = 64, batch_norm: bool = True, skips: bool = True
    ) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        self.num_classes, self.width, self.skips = num_classes, width, skips
        features = list(vgg_features(VGG16_BLOCKS, width=width, batch_norm=batch_norm, ceil_mode=True))
        ends = [index + 1 for index, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)][2:]
        self.features3 = nn.Sequential(*features[: ends[0]])
        self.features4 = nn.Sequential(*features[ends[0] : ends[1]])
        self.features5 = nn.Sequential(*features[ends[1] :])
        keys = KeyMap(prefixes=_split_features(*ends), fresh=LEAKY_FRESH)
        self.pretrained = {"vgg16_bn" if batch_norm else "vgg16": keys}
        self.add_scores(num_classes, width, 0, nn.Dropout2d)
        if skips:
            self.add_skips(num_classes, width)
        init_vgg_(self)
        zero_(self.score_fr, *([self.score_pool3] if skips else []))
        self.upscore2 = upsampler(num_classes, 5, 3)
        self.upscore8 = upsampler(num_classes, 8, 8)
        self.upscore_pool4 = upsampler(num_classes, 2, 2)

    def add_skips(self, num_classes: int, width: int) -> None:
        """Create the layers that score pool3 and pool4, in the printed order."""
        self.score_pool3 = nn.Conv2d(4 * width, num_classes, 1)
        self.score_pool4_0 = nn.Conv2d(8 * width, 16 * width, 3, padding=1)
        self.bn4_0 = nn.BatchNorm2d(16 * width)
        self.lrelu4_0 = nn.LeakyReLU(0.2, inplace=True)
        self.score_pool4_1 = nn.Conv2d(16 * width, 32 * width, 3, padding=1)
        self.bn4_1 = nn.BatchNorm2d(32 * width)
        self.lrelu4_1 = nn.LeakyReLU(0.2, inplace=True)
        self.score_pool4_2 = nn.Conv2d(32 * width, num_classes, 3, padding=1)
        self.bn4_2 = nn.BatchNorm2d(num_classes)
        self.lrelu4_2 = nn.LeakyReLU(0.2, inplace=True)

    def score4(self, pool4: Tensor) -> Tensor:
        """Score pool4 through three convolutions: (B, 8·width, h, w) → (B, num_classes, h, w)."""
        x = self.lrelu4_0(self.bn4_0(self.score_pool4_0(pool4)))
        x = self.lrelu4_1(self.bn4_1(self.score_pool4_1(x)))
        scores: Tensor = self.lrelu4_2(self.bn4_2(self.score_pool4_2(x)))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height not in self.SIDES or width not in self.SIDES:
            raise ValueError(f"image of {height}×{width}: R2's FCN8s fits sides of 464 and 512 pixels only")
        pool3 = self.features3(x)
        pool4 = self.features4(pool3)
        scores = self.upscore2(self.score(self.features5(pool4)))  # (B, C, H/16, W/16)
        if not self.skips:
            coarse: Tensor = self.upscore8(self.upscore_pool4(scores))
            return coarse
        scores = self.upscore_pool4(scores + self.score4(pool4)) + self.score_pool3(pool3)  # (B, C, H/8, W/8)
        logits: Tensor = self.upscore8(scores)
        return logits


def _split_features(*ends: int) -> dict[str, str | None]:
    """Map the keys of torchvision's ``features`` to ``features3``, ``features4`` and ``features5``."""
    prefixes: dict[str, str | None] = {"classifier.": None}
    start = 0
    for block, end in zip((3, 4, 5), ends, strict=True):
        prefixes |= {f"features.{i}.": f"features{block}.{i - start}." for i in range(start, end)}
        start = end
    return prefixes


class FcnResNet34(Trunk):
    """The trunk of R4's segmentation network, in the three stages that its listing names (r4:273, r4:331)."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        check_sizes(num_classes, width)
        self.num_classes, self.width = num_classes, width
        stages = {"conv1.": "stage1.0.", "bn1.": "stage1.1.", "layer1.": "stage1.4.", "layer2.": "stage1.5."}
        prefixes = {**stages, "layer3.": "stage2.", "layer4.": "stage3.", "fc.": None}
        self.pretrained = {"resnet34": KeyMap(prefixes=prefixes, fresh=("scores", "upsample"))}
        trunk = resnet34(num_classes=1, width=width)
        self.stage1 = nn.Sequential(
            trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool, trunk.layer1, trunk.layer2
        )
        self.stage2 = trunk.layer3
        self.stage3 = trunk.layer4

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps at 1/8, 1/16 and 1/32. Raises: ValueError unless H and W are multiples of 32."""
        check_image(x, 32, self)
        height, width = x.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(f"image of {height}×{width}: {type(self).__name__} needs multiples of 32")
        first = self.stage1(x)
        second = self.stage2(first)
        return first, second, self.stage3(second)


class Fcn8sResNet34(FcnResNet34):
    """R4's ResNet34-FCN8 (r4:140): scores at 1/32, 1/16 and 1/8, each added to the one below, then ×8.

    The listing also names the ResNet-34 that the stages come from. Its tensors are those of the stages, and
    its ``fc`` feeds nothing, so this class leaves both out. Image sides are multiples of 32 pixels.
    """

    def __init__(self, *, num_classes: int, width: int = 64) -> None:
        super().__init__(num_classes, width)
        self.scores1 = nn.Conv2d(8 * width, num_classes, 1)
        self.scores2 = nn.Conv2d(4 * width, num_classes, 1)
        self.scores3 = nn.Conv2d(2 * width, num_classes, 1)
        self.upsample_8x = upsampler(num_classes, 16, 8, 4)
        self.upsample_4x = upsampler(num_classes, 4, 2, 1)
        self.upsample_2x = upsampler(num_classes, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.stages(x)
        scores = self.upsample_2x(self.scores1(third)) + self.scores2(second)  # (B, C, H/16, W/16)
        scores = self.upsample_4x(scores) + self.scores3(first)  # (B, C, H/8, W/8)
        logits: Tensor = self.upsample_8x(scores)
        return logits


class Fcn32sResNet34(FcnResNet34):
    """R4's network without its skips: an ablation that the report suggests (r4:438).

    Image sides are multiples of 32 pixels.
    """

    def __init__(self, *, num_classes: int, width: int = 64) -> None:
        super().__init__(num_classes, width)
        self.scores1 = nn.Conv2d(8 * width, num_classes, 1)
        self.upsample_32x = upsampler(num_classes, 64, 32, 16)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.upsample_32x(self.scores1(self.stages(x)[-1]))
        return logits
