"""Training augmentations on whole batches, on any device, with draws of their own for every sample.

The reports use torchvision's transforms on one PIL image at a time. Here each transform is split into what
is drawn (on the CPU, from an explicit generator, so that a seed means the same on every device) and what is
done with it (on the batch's device). Every draw is made for the global batch; a rank that holds rows
``start …`` of it takes its slice, so the number of ranks does not change a single pixel.

On the CPU an operation works on the chosen samples alone. On a device it works on the whole batch: the shapes
do not depend on the draws, the host never waits, and all parameters of a step arrive in one copy.

Masks follow the geometry of their images by index alone: no label is ever interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from reference import outside
from reference.errors import InputError

CROP_MARGIN = 4 / 32
"""Margin of ``random_crop`` as a share of the image's side: 4 pixels at 32, the usual choice there."""
ROTATION_DEGREES = 15.0
"""Largest angle of ``random_rotation``; R3 states none (r3:27)."""
JITTER_P, JITTER_BRIGHTNESS, JITTER_CONTRAST, JITTER_SATURATION, JITTER_HUE = 0.3, 0.8, 0.8, 0.8, 0.2
"""``color_jitter`` as R1, R3 and R5 print it: ColorJitter(.8, .8, .8, .2), applied with probability .3."""
GRAYSCALE_P = 0.2
BLUR_P, BLUR_SIGMA = 0.2, (1.0, 2.0)
PAD = 20 / 128
"""Border of ``pad`` as a share of the image's side: R1's 20 pixels at 128."""
CROP_AREA, CROP_RATIO, CROP_TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10
"""torchvision's defaults of RandomResizedCrop, which R1, R3 and R5 leave unchanged."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as PIL's mode L


@dataclass(frozen=True)
class Batch:
    """What the operations hand on.

    Attributes:
        images: (B, 3, H, W) float32, 0…1. They belong to the chain: operations may write into them.
        masks: (B, H, W) integer labels, or None. They belong to the caller.
        border: width of a black border around the images that is not stored: ``pad`` leaves it to the crop
            that follows, which reads beyond the image for nothing.
        whole: whether operations change the whole batch and select afterwards, as a device needs it.
    """

    images: Tensor
    masks: Tensor | None = None
    border: int = 0
    whole: bool = False


@dataclass(frozen=True)
class Draws:
    """Random numbers for rows ``start : start + count`` of a global batch of ``total`` samples."""

    generator: torch.Generator
    total: int
    start: int
    count: int

    def uniform(self, *shape: int) -> Tensor:
        """(count, \\*shape) float32 on the CPU, uniform in [0, 1)."""
        drawn = torch.rand((self.total, *shape), generator=self.generator)
        return drawn[self.start : self.start + self.count]

    def chance(self, p: float) -> Tensor:
        """(count,) bool on the CPU, true with probability p."""
        return self.uniform() < p

    def between(self, low: float, high: float) -> Tensor:
        """(count,) float32 on the CPU, uniform in [low, high)."""
        return low + (high - low) * self.uniform()

    def integers(self, n: int | Tensor) -> Tensor:
        """(count,) int64 on the CPU, uniform in 0…n−1; n may differ from sample to sample."""
        return (self.uniform().double() * n).long()


Parameters = tuple[Tensor, ...]
"""What is drawn for an operation, one row a sample."""


def _unchanged(*parameters: Tensor) -> Parameters:
    return parameters


@dataclass(frozen=True)
class Operation:
    """What a name of :data:`AUGMENT` stands for; called, it draws and applies.

    Attributes:
        draw: makes the parameters on the CPU, from draws and the height and width with the border.
        apply: changes a batch by the parameters.
        prepare: turns the parameters, on the CPU, into those that ``apply_whole`` takes.
        apply_whole: changes a whole batch; ``apply`` where it is None.
    """

    draw: Callable[[Draws, int, int], Parameters]
    apply: Callable[..., Batch]
    prepare: Callable[..., Parameters] = _unchanged
    apply_whole: Callable[..., Batch] | None = None

    def __call__(self, batch: Batch, draws: Draws) -> Batch:
        """Draw for every sample and apply."""
        height, width = (side + 2 * batch.border for side in batch.images.shape[-2:])
        return self.apply(batch, *self.draw(draws, height, width))


def augment(
    images: Tensor,
    targets: Tensor | None,
    names: Sequence[str],
    generator: torch.Generator,
    *,
    start: int = 0,
    total: int | None = None,
    whole: bool | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Apply the named operations in order, with draws of their own for every sample.

    Args:
        images: (B, H, W, 3) uint8 on any device.
        targets: (B, H, W) integer masks, which follow the geometry; anything else (class labels, None) is
            returned as it came.
        names: keys of :data:`AUGMENT`.
        generator: a CPU generator; equal states give equal draws on every device.
        start: row of the global batch that ``images`` begin at.
        total: size of the global batch; B if None.
        whole: whether to work on the whole batch, as a device needs it; if None, wherever the images are
            not in the CPU's memory.

    Returns:
        (B, 3, H, W) float32 images in 0…1, and the targets.

    Raises:
        ValueError: images are not (B, H, W, 3) uint8, or the rows lie outside the global batch.
        InputError: a name is unknown.

    Example:
        >>> images = torch.full((2, 4, 4, 3), 255, dtype=torch.uint8)
        >>> augmented, _ = augment(images, None, [], torch.Generator().manual_seed(0))
        >>> tuple(augmented.shape), float(augmented.max())
        ((2, 3, 4, 4), 1.0)
    """
    views = augment_views(images, targets, names, generator, views=1, start=start, total=total, whole=whole)
    return views[0]


def augment_views(
    images: Tensor,
    targets: Tensor | None,
    names: Sequence[str],
    generator: torch.Generator,
    *,
    views: int,
    start: int = 0,
    total: int | None = None,
    whole: bool | None = None,
) -> list[tuple[Tensor, Tensor | None]]:
    """Apply ``augment`` to the same images several times, each time with draws of its own.

    All parameters are copied to the images' device together. Arguments, results and errors as of
    :func:`augment`.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != torch.uint8:
        raise ValueError(f"images are {tuple(images.shape)} {images.dtype}, expected (B, H, W, 3) uint8")
    count = images.shape[0]
    total = count if total is None else total
    if not 0 <= start <= total - count:
        raise ValueError(f"rows {start}…{start + count - 1} lie outside a global batch of {total}")
    masks = targets if targets is not None and targets.ndim == 3 else None
    if masks is not None and masks.shape != images.shape[:3]:
        raise ValueError(f"masks are {tuple(masks.shape)}, their images {tuple(images.shape[:3])}")
    for name in names:
        named(name)
    whole = images.device.type != "cpu" if whole is None else whole
    draws = Draws(generator=generator, total=total, start=start, count=count)
    drawn = [_draw_chain(names, draws, *images.shape[1:3], whole=whole) for _ in range(views)]
    done = []
    for parameters in _on_device(drawn, images.device):
        batch = apply_chain(Batch(to_float(images), masks, whole=whole), names, parameters)
        done.append((batch.images, targets if masks is None else batch.masks))
    return done


def apply_chain(batch: Batch, names: Sequence[str], parameters: Sequence[Parameters]) -> Batch:
    """Apply the named operations in order, each with its parameters on the batch's device."""
    for name, values in zip(names, parameters, strict=True):
        operation = named(name)
        if name != "random_resized_crop":
            batch = _store_border(batch)
        apply = operation.apply if operation.apply_whole is None or not batch.whole else operation.apply_whole
        batch = apply(batch, *values)
    return _store_border(batch)


def _draw_chain(
    names: Sequence[str], draws: Draws, height: int, width: int, *, whole: bool
) -> list[Parameters]:
    """The parameters of each operation in turn, on the CPU; images begin at this height and width."""
    parameters, border = [], 0
    for name in names:
        if name != "random_resized_crop":
            height, width, border = height + 2 * border, width + 2 * border, 0
        operation = named(name)
        drawn = operation.draw(draws, height + 2 * border, width + 2 * border)
        parameters.append(operation.prepare(*drawn) if whole else drawn)
        border = _pad_width(width) if name == "pad" else 0
    return parameters


def _on_device(chains: list[list[Parameters]], device: torch.device) -> list[list[Parameters]]:
    """The same parameters on the device, sent in one copy that the host does not wait for."""
    flat = [value for chain in chains for values in chain for value in values]
    if device.type == "cpu" or not flat:
        return chains
    return _unpacked(_packed(flat, pin=device.type == "cuda").to(device, non_blocking=True), chains)


def _starts(values: Sequence[Tensor]) -> list[int]:
    """Where each value begins among the packed bytes, and where the last ends: multiples of 8."""
    return [0, *accumulate(-(-value.nbytes // 8) * 8 for value in values)]


def _packed(values: Sequence[Tensor], *, pin: bool) -> Tensor:
    """All values as one tensor of bytes."""
    starts = _starts(values)
    packed = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=pin)
    for value, start in zip(values, starts, strict=False):
        packed[start : start + value.nbytes].view(value.dtype).view(value.shape).copy_(value)
    return packed


def _unpacked(packed: Tensor, chains: list[list[Parameters]]) -> list[list[Parameters]]:
    """What ``_packed`` was made of, in the order of ``chains``, whose shapes and dtypes it has."""
    flat = [value for chain in chains for values in chain for value in values]
    parts = iter(
        packed[start : start + value.nbytes].view(value.dtype).view(value.shape)
        for value, start in zip(flat, _starts(flat), strict=False)
    )
    return [[tuple(next(parts) for _ in values) for values in chain] for chain in chains]


def to_float(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 → (B, 3, H, W) float32 in 0…1, as torchvision's ToTensor."""
    planes = images.permute(0, 3, 1, 2)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(images − mean) / std for each channel.

    Args:
        images: (B, 3, H, W) floating point in 0…1.
        mean: per-channel mean, RGB.
        std: per-channel standard deviation, RGB.

    Raises:
        ValueError: not one mean and one positive std for each channel.
    """
    if not len(mean) == len(std) == images.shape[1] or min(std) <= 0:
        raise ValueError(f"mean {mean}, std {std}: expected {images.shape[1]} values each, std > 0")
    # filled there: a list would be copied to the device
    shift, scale = (torch.stack([images.new_full((1, 1), v) for v in values]) for values in (mean, std))
    return (images - shift).div_(scale)


def _draw_flip(draws: Draws, height: int, width: int) -> Parameters:
    return (draws.chance(0.5),)


def flip(batch: Batch, chosen: Tensor, axis: int) -> Batch:
    """Mirror the samples in ``chosen`` (B,) bool along an axis of their images and masks."""
    flipped = _change(batch, chosen, partial(torch.flip, dims=(axis,)))
    if batch.masks is None:
        return flipped
    if batch.whole:
        mirrored = torch.where(chosen.view(-1, 1, 1), batch.masks.flip(axis), batch.masks)
        return replace(flipped, masks=mirrored)
    rows = chosen.nonzero().flatten()
    return replace(flipped, masks=batch.masks.index_copy(0, rows, batch.masks[rows].flip(axis)))


def _draw_shift(draws: Draws, height: int, width: int) -> Parameters:
    margin_y, margin_x = round(height * CROP_MARGIN), round(width * CROP_MARGIN)
    dy = draws.integers(2 * margin_y + 1) - margin_y
    dx = draws.integers(2 * margin_x + 1) - margin_x
    return dy, dx


def crop_at(batch: Batch, dy: Tensor, dx: Tensor) -> Batch:
    """Move each sample's window down by dy and right by dx pixels, reflecting at the border.

    Args:
        batch: images (B, 3, H, W) and masks.
        dy: (B,) integers, |dy| < H.
        dx: (B,) integers, |dx| < W.
    """
    height, width = batch.images.shape[-2:]
    rows = _reflect(torch.arange(height, device=dy.device) + dy[:, None], height)
    columns = _reflect(torch.arange(width, device=dx.device) + dx[:, None], width)
    return _take_pixels(batch, (rows[:, :, None] * width + columns[:, None, :]).flatten(1))  # (B, H*W)


def _draw_angle(draws: Draws, height: int, width: int) -> Parameters:
    return (draws.between(-ROTATION_DEGREES, ROTATION_DEGREES),)


def rotate(batch: Batch, degrees: Tensor) -> Batch:
    """Turn each sample counter-clockwise about its centre, taking the nearest pixel, black where none is.

    Args:
        batch: images (B, 3, H, W), without masks: a corner that enters has no label.
        degrees: (B,) angles, on the CPU.

    Raises:
        ValueError: the batch has masks.
    """
    return _turn(batch, *_direction(degrees))


def _direction(degrees: Tensor) -> Parameters:
    """Cosine and sine, taken on the CPU in float64.

    A pixel whose source lies between two others then goes the same way on every device.
    """
    angle = torch.deg2rad(degrees.double())
    return angle.cos(), angle.sin()


def _turn(batch: Batch, cos: Tensor, sin: Tensor) -> Batch:
    _refuse_masks(batch, "random_rotation")
    height, width = batch.images.shape[-2:]
    cos, sin = cos.view(-1, 1, 1), sin.view(-1, 1, 1)
    y = (torch.arange(height, device=cos.device) + 0.5 - height / 2).view(1, -1, 1)
    x = (torch.arange(width, device=cos.device) + 0.5 - width / 2).view(1, 1, -1)
    row = (cos * y + sin * x + height / 2).floor().long()
    column = (cos * x - sin * y + width / 2).floor().long()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    turned = _take_pixels(batch, (row * width + column).masked_fill(~inside, 0).flatten(1))  # (B, H*W)
    return replace(turned, images=turned.images * inside[:, None])


def _draw_jitter(draws: Draws, height: int, width: int) -> Parameters:
    return draws.chance(JITTER_P), *jitter_parameters(draws)


def jitter_parameters(draws: Draws) -> tuple[Tensor, Tensor]:
    """Draw as torchvision's ``ColorJitter.get_params``, for every sample.

    Returns:
        (B, 4) int64, an order of 0…3 (brightness, contrast, saturation, hue), and the (B, 4) float32 factors
        of these four; both on the CPU.
    """
    order = draws.uniform(len(JITTER)).argsort(dim=1)
    factors = [
        draws.between(1 - JITTER_BRIGHTNESS, 1 + JITTER_BRIGHTNESS),
        draws.between(1 - JITTER_CONTRAST, 1 + JITTER_CONTRAST),
        draws.between(1 - JITTER_SATURATION, 1 + JITTER_SATURATION),
        draws.between(-JITTER_HUE, JITTER_HUE),
    ]
    return order, torch.stack(factors, dim=1)


def jitter(batch: Batch, chosen: Tensor, order: Tensor, factors: Tensor) -> Batch:
    """Adjust the samples in ``chosen`` (B,) bool by their ``factors`` in their ``order``, (B, 4) each."""
    for position in range(len(JITTER)):
        for kind, adjust in enumerate(JITTER):
            batch = _change(batch, chosen & (order[:, position] == kind), adjust, factors[:, kind])
    return batch


def _blend_shares(chosen: Tensor, order: Tensor, factors: Tensor) -> Parameters:
    """What :func:`jitter_whole` takes, from what :func:`jitter` takes; all on the CPU.

    Brightness, contrast and saturation are one blend: shares of the image, of its mean luma and of each
    pixel's luma. Three blends before the hue and three after it cover every order. An idle one keeps the
    image as it is: its shares are 1, 0, 0.
    """
    brightness_to_saturation, hue = factors[:, :3], factors[:, 3]
    place = torch.arange(len(JITTER))
    hue_at = (order == 3).int().argmax(dim=1, keepdim=True)
    padded = F.pad(brightness_to_saturation, (0, 1), value=1.0).gather(1, order)  # by position
    shares = []
    for active, positions in ((place < hue_at, slice(0, 3)), (place > hue_at, slice(1, 4))):
        image = torch.where(active & chosen[:, None], padded, 1.0)
        of_mean, of_luma = ((1 - image) * (order == kind) for kind in (1, 2))
        shares.append(torch.stack([image, of_mean, of_luma], dim=2)[:, positions])
    return chosen, torch.cat(shares, dim=1), hue


def jitter_whole(batch: Batch, chosen: Tensor, shares: Tensor, hue: Tensor) -> Batch:
    """Adjust a whole batch as :func:`jitter` does, without shapes that depend on what is chosen.

    Args:
        batch: images (B, 3, H, W).
        chosen: (B,) bool.
        shares: (B, 6, 3) float32: of the image, its mean luma and each pixel's luma, in six blends.
        hue: (B,) float32 shares of a circle.
    """
    images = batch.images
    for number, of_blend in enumerate(shares.unbind(1)):
        if number == 3:
            images = torch.where(_per_image(chosen), adjust_hue(images, hue), images)
        image, of_mean, of_luma = map(_per_image, of_blend.unbind(1))
        luma = _luma(images)
        other = luma.mean(dim=(-2, -1), keepdim=True) * of_mean + luma * of_luma
        images = (images * image).add_(other).clamp_(0, 1)
    return replace(batch, images=images)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image (B, 3, H, W) by its factor (B,), clipped to 0…1."""
    return (images * _per_image(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Spread each image (B, 3, H, W) about its mean luma by its factor (B,), clipped to 0…1."""
    return _blend(images, _luma(images.mean(dim=(-2, -1), keepdim=True)), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Spread each pixel of (B, 3, H, W) about its own luma by its image's factor (B,), clipped to 0…1."""
    return _blend(images, _luma(images), factor)


def adjust_hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn each image's hue (B, 3, H, W) by its share of a circle (B,), keeping HSV value and saturation."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(dim=1), images.amin(dim=1)
    chroma = value - least
    # Which channel is largest, as factors: torch.where is several times slower on a CPU.
    is_red = (value == red).float()
    is_green = (value == green).float() * (1 - is_red)
    is_blue = 1 - is_red - is_green
    sextant = is_red * (green - blue) + is_green * (blue - red) + is_blue * (red - green)
    sextant /= chroma.clamp(min=torch.finfo(chroma.dtype).tiny)  # 0/tiny: a grey pixel stays grey
    sextant += 2 * is_green + 4 * is_blue + 6 * factor.view(-1, 1, 1)
    sextant -= 6 * (sextant / 6).floor()
    ramps = [(sextant - 3).abs_().sub_(1)] + [2 - (sextant - peak).abs_() for peak in (2, 4)]
    return torch.stack([least + chroma * ramp.clamp_(0, 1) for ramp in ramps], dim=1)


JITTER: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)
"""What ``jitter`` puts in a sample's own order."""


def _draw_grayscale(draws: Draws, height: int, width: int) -> Parameters:
    return (draws.chance(GRAYSCALE_P),)


def _without_colour(batch: Batch, chosen: Tensor) -> Batch:
    return _change(batch, chosen, to_grayscale)


def to_grayscale(images: Tensor) -> Tensor:
    """Luma of (B, 3, H, W), repeated in all three channels."""
    return _luma(images).expand_as(images)


def _draw_blur(draws: Draws, height: int, width: int) -> Parameters:
    return draws.chance(BLUR_P), draws.between(*BLUR_SIGMA)


def _blurred(batch: Batch, chosen: Tensor, sigma: Tensor) -> Batch:
    return _change(batch, chosen, blur, sigma)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image (B, 3, H, W) with a 3×3 Gaussian of its own σ (B,) in pixels; the edge reflects."""
    side = torch.exp(-0.5 / _per_image(sigma).square())
    side = side / (1 + 2 * side)
    tall = F.pad(images, (0, 0, 1, 1), mode="reflect")
    images = (1 - 2 * side) * images + side * (tall[..., :-2, :] + tall[..., 2:, :])
    wide = F.pad(images, (1, 1, 0, 0), mode="reflect")
    return (1 - 2 * side) * images + side * (wide[..., :-2] + wide[..., 2:])


def _draw_nothing(draws: Draws, height: int, width: int) -> Parameters:
    return ()


def _pad_width(width: int) -> int:
    return round(width * PAD)


def _padded(batch: Batch) -> Batch:
    _refuse_masks(batch, "pad")
    return replace(batch, border=batch.border + _pad_width(batch.images.shape[-1]))


def _draw_window(draws: Draws, height: int, width: int) -> Parameters:
    return (crop_windows(draws, height, width),)


def _resized_to_its_size(batch: Batch, windows: Tensor) -> Batch:
    return resized_crop(batch, windows, *batch.images.shape[-2:])


def crop_windows(draws: Draws, height: int, width: int) -> Tensor:
    """Draw windows as torchvision's ``RandomResizedCrop.get_params``: the first of ten tries that fits.

    Returns:
        (B, 4) int64 on the CPU: top, left, height, width; where no try fits, the largest central window of a
        ratio that is allowed.
    """
    tries = draws.uniform(CROP_TRIES, 2).double()
    area = height * width * (CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * tries[..., 0])
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    ratio = torch.exp(low + (high - low) * tries[..., 1])
    w, h = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    w, h = w.gather(1, first)[:, 0], h.gather(1, first)[:, 0]
    top, left = draws.integers(height - h + 1), draws.integers(width - w + 1)
    drawn = torch.stack([top, left, h, w], dim=1)
    return torch.where(fits.any(dim=1, keepdim=True), drawn, _central_window(height, width))


def _central_window(height: int, width: int) -> Tensor:
    w = min(width, round(height * CROP_RATIO[1]))
    h = min(height, round(width / CROP_RATIO[0]))
    return torch.tensor([(height - h) // 2, (width - w) // 2, h, w])


def resized_crop(batch: Batch, windows: Tensor, height: int, width: int) -> Batch:
    """Cut a window out of each sample and resize it, antialiased as PIL's bilinear filter.

    Each axis is one batched product with the filter's weights, few of which are not zero, so that every
    sample has a window of its own. Masks take the nearest pixel.

    Args:
        batch: images (B, 3, H, W), masks and a border.
        windows: (B, 4) integers: top, left, height, width, counted from the border's corner.
        height: H' of the result.
        width: W' of the result.

    Returns:
        Images (B, 3, H', W'), masks (B, H', W'), no border.
    """
    top, left, h, w = windows.unbind(1)
    rows = _filter(top, h, batch.images.shape[-2], batch.border, height)
    columns = _filter(left, w, batch.images.shape[-1], batch.border, width)
    images = _weighted_rows(batch.images, *rows).mT.contiguous()  # (B, 3, W, H')
    images = _weighted_rows(images, *columns).mT.contiguous()  # (B, 3, H', W')
    masks = batch.masks
    if masks is not None:
        sample = torch.arange(len(masks), device=masks.device).view(-1, 1, 1)
        masks = masks[sample, _nearest(top, h, height)[:, :, None], _nearest(left, w, width)[:, None, :]]
    return Batch(images, masks, whole=batch.whole)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize (B, 3, H, W) to (B, 3, height, width), antialiased as PIL's bilinear filter."""
    window = torch.tensor([[0, 0, *images.shape[-2:]]], device=images.device).expand(len(images), -1)
    return resized_crop(Batch(images), window, height, width).images


horizontal_flip = Operation(_draw_flip, partial(flip, axis=-1))
"""Mirror left and right with probability ½ (torchvision's RandomHorizontalFlip)."""
vertical_flip = Operation(_draw_flip, partial(flip, axis=-2))
"""Mirror top and bottom with probability ½ (torchvision's RandomVerticalFlip)."""
random_crop = Operation(_draw_shift, crop_at)
"""Shift by up to the crop margin each way, what enters being a reflection.

torchvision's ``RandomCrop(size, padding=margin, padding_mode="reflect")``. R3 states a RandomCrop but neither
its size nor its padding (r3:27).
"""
random_rotation = Operation(_draw_angle, rotate, _direction, _turn)
"""Turn about the centre by up to 15° each way, corners black (torchvision's RandomRotation, nearest)."""
color_jitter = Operation(_draw_jitter, jitter, _blend_shares, jitter_whole)
"""Change brightness, contrast, saturation and hue with probability .3, each sample in its own order."""
grayscale = Operation(_draw_grayscale, _without_colour)
"""Replace all channels by the luma with probability .2 (torchvision's RandomGrayscale)."""
gaussian_blur = Operation(_draw_blur, _blurred)
"""Blur with a 3×3 Gaussian of σ between 1 and 2 pixels, each sample its own, with probability .2."""
pad = Operation(_draw_nothing, _padded)
"""Add a black border of 20 pixels at 128 (torchvision's Pad); draws nothing.

A batch with masks is refused (ValueError): the border has no label.
"""
random_resized_crop = Operation(_draw_window, _resized_to_its_size)
"""Cut a window of 8…100 % of the area and ratio 3:4…4:3 and resize it to the image's size before ``pad``.

torchvision's RandomResizedCrop with its defaults.
"""

AUGMENT: dict[str, Operation] = {
    "horizontal_flip": horizontal_flip,
    "vertical_flip": vertical_flip,
    "random_crop": random_crop,
    "random_rotation": random_rotation,
    "color_jitter": color_jitter,
    "grayscale": grayscale,
    "gaussian_blur": gaussian_blur,
    "pad": pad,
    "random_resized_crop": random_resized_crop,
}
"""What a recipe's ``augment`` may name. Resizing to a recipe's image size is the data's business."""


def named(name: str) -> Operation:
    """Return the operation of a name, or your own at an import path (``reference.outside``).

    Raises:
        InputError: no such operation, or something else at the path.
    """
    if not outside.is_own(name, "augmentation", AUGMENT):
        return AUGMENT[name]
    operation = outside.find(name, "augmentation")
    if not isinstance(operation, Operation):
        raise InputError(
            f"augmentation {name!r}: is {type(operation).__name__}, expected a reference.augment.Operation"
        )
    return operation


def _change(batch: Batch, chosen: Tensor, change: Callable[..., Tensor], *values: Tensor) -> Batch:
    """Replace the chosen images by what ``change`` makes of them and their values.

    ``chosen`` (B,) bool and ``values`` (B,) lie on the images' device. Of a batch that is not whole, only the
    chosen images are changed, in place.
    """
    if batch.whole:
        changed = change(batch.images, *values)
        return replace(batch, images=torch.where(_per_image(chosen), changed, batch.images))
    rows = chosen.nonzero().flatten()
    if len(rows):
        changed = change(batch.images.index_select(0, rows), *(v[rows] for v in values))
        batch.images.index_copy_(0, rows, changed)
    return batch


def _per_image(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _luma(images: Tensor) -> Tensor:
    """(B, 1, H, W) brightness as the eye weighs it."""
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    factor = _per_image(factor)
    return (images * factor).add_(other * (1 - factor)).clamp_(0, 1)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices beyond either end, mirrored without repeating the border pixel."""
    inside = index.abs()
    return torch.where(inside >= size, 2 * (size - 1) - inside, inside)


def _take_pixels(batch: Batch, source: Tensor) -> Batch:
    """Pick every pixel from the flat position ``source`` (B, H*W) of its own image."""
    images = batch.images.flatten(2).gather(2, source[:, None].expand(-1, batch.images.shape[1], -1))
    masks = batch.masks
    if masks is not None:
        masks = masks.flatten(1).gather(1, source).view_as(masks)
    return replace(batch, images=images.view_as(batch.images), masks=masks)


def _filter(start: Tensor, length: Tensor, size: int, border: int, out: int) -> tuple[Tensor, Tensor]:
    """PIL's antialiased bilinear filter from a window to ``out`` pixels: pixels and weights, (B, out, K).

    A triangle as wide as an output pixel, but at least as an input pixel. Pixels of the window that lie in
    the border take their share of the weight and, being black, then lose it.
    """
    taps = max(2, math.ceil(2 * (size + 2 * border) / out))
    scale = (length / out).view(-1, 1, 1)
    support = scale.clamp(min=1)
    centre = scale * (torch.arange(out, device=start.device).view(1, -1, 1) + 0.5)
    first = (centre - support + 0.5).floor()
    pixel = first + torch.arange(taps, device=start.device)  # counted within the window
    weight = 1 - (pixel + 0.5 - centre).abs() / support
    weight = weight.clamp_(min=0) * ((pixel >= 0) & (pixel < length.view(-1, 1, 1)))
    weight /= weight.sum(dim=2, keepdim=True)
    pixel = pixel.long() + (start - border).view(-1, 1, 1)
    inside = (pixel >= 0) & (pixel < size)
    return pixel.clamp_(0, size - 1), weight * inside


def _weighted_rows(images: Tensor, pixel: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, out, W): row i becomes the sum over k of weight[b, i, k] · row pixel[b, i, k]."""
    count, channels, height, width = images.shape
    plane = torch.arange(count * channels, device=images.device).view(count, channels, 1, 1) * height
    index = (plane + pixel[:, None]).view(-1, pixel.shape[2])
    weight = weight[:, None].expand(-1, channels, -1, -1).reshape(index.shape)
    table = images.reshape(-1, width)
    mixed = F.embedding_bag(index, table, per_sample_weights=weight, mode="sum")
    return mixed.view(count, channels, -1, width)


def _nearest(start: Tensor, length: Tensor, out: int) -> Tensor:
    """(B, out) pixels whose centres are nearest, as PIL's nearest filter."""
    middle = 2 * torch.arange(out, device=start.device) + 1  # in half output pixels
    return start[:, None] + middle * length[:, None] // (2 * out)


def _store_border(batch: Batch) -> Batch:
    return replace(batch, images=F.pad(batch.images, [batch.border] * 4), border=0) if batch.border else batch


def _refuse_masks(batch: Batch, name: str) -> None:
    if batch.masks is not None:
        raise ValueError(f"{name} brings in pixels without a label: it cannot be used with masks")
