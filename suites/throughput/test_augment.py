"""The BYOL chain of R1 and R3 at 128 px: views/s of ours against torchvision's and kornia's."""

from __future__ import annotations

from collections.abc import Callable

import kornia.augmentation as kornia
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import v2

from bench.throughput.results import VIEWS, VIEWS_GPU
from bench.throughput.timing import interleave
from reference import augment
from reference.recipes.r4 import IMAGENET_MEAN, IMAGENET_STD

SIZE = 128
CHAIN = ("color_jitter", "grayscale", "horizontal_flip", "gaussian_blur", "pad", "random_resized_crop")
JITTER = (0.8, 0.8, 0.8, 0.2)
BLUR = ((3, 3), (1.0, 2.0))

# R1's listing (r1:47), without the Resize that the cache has done for everyone.
ON_PIL = transforms.Compose(
    [
        transforms.RandomApply([transforms.ColorJitter(*JITTER)], p=0.3),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([transforms.GaussianBlur(*BLUR)], p=0.2),
        transforms.Pad(20),
        transforms.RandomResizedCrop((SIZE, SIZE)),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
)
ON_TENSORS = v2.Compose(
    [
        v2.RandomApply([v2.ColorJitter(*JITTER)], p=0.3),
        v2.RandomGrayscale(p=0.2),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.GaussianBlur(*BLUR)], p=0.2),
        v2.Pad(20),
        v2.RandomResizedCrop((SIZE, SIZE)),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
    ]
)
KORNIAS = kornia.ImageSequential(
    kornia.ColorJitter(*JITTER, p=0.3),
    kornia.RandomGrayscale(p=0.2),
    kornia.RandomHorizontalFlip(),
    kornia.RandomGaussianBlur(*BLUR, p=0.2),
    nn.ZeroPad2d(20),
    kornia.RandomResizedCrop((SIZE, SIZE)),
    kornia.Normalize(torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)),
)


class Images:
    """The same images as each contender wants them; what is decoded once and for all is not timed."""

    def __init__(self, number: int, count: int, device: str) -> None:
        generator = torch.Generator().manual_seed(number + 1)
        coarse = torch.rand(count, 3, 8, 8, generator=generator)
        smooth = nn.functional.interpolate(coarse, size=SIZE, mode="bicubic").clamp(0, 1)
        self.generator = generator
        self.planes = (255 * smooth).to(torch.uint8).to(device)  # (B, 3, H, W)
        self.pixels = self.planes.permute(0, 2, 3, 1).contiguous()  # (B, H, W, 3)
        self.pil = (
            [Image.fromarray(np.asarray(image)) for image in self.pixels.cpu()] if device == "cpu" else []
        )


def ours(images: Images) -> Tensor:
    views, _ = augment.augment(images.pixels, None, CHAIN, images.generator)
    return augment.normalise(views, IMAGENET_MEAN, IMAGENET_STD)


BATCHED: dict[str, Callable[[Images], Tensor]] = {
    "ours": ours,
    "kornia": lambda images: KORNIAS(images.planes.float() / 255),
}
PER_SAMPLE: dict[str, Callable[[Images], Tensor]] = {
    "torchvision on PIL": lambda images: torch.stack([ON_PIL(image) for image in images.pil]),
    "torchvision v2 on tensors": lambda images: torch.stack([ON_TENSORS(image) for image in images.planes]),
}


def check(contenders: dict[str, Callable[[Images], Tensor]], images: Images) -> None:
    """All make views of one kind. That each of our operations is PIL's is for suites/augment to show."""
    shape = (len(images.pixels), 3, SIZE, SIZE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        views = {name: contender(images) for name, contender in contenders.items()}
    for name, made in views.items():
        assert (made.shape, made.dtype) == (shape, torch.float32), name
        # A chain without its padding or normalisation is .3 off and more; the draws scatter by less than .1.
        assert made.mean().item() == pytest.approx(views["ours"].mean().item(), abs=0.2), name
        assert made.std().item() == pytest.approx(views["ours"].std().item(), abs=0.2), name


@pytest.mark.usefixtures("one_core")
def test_byol_views_on_one_core(measuring: bool, rounds: int, note: Callable[..., None]) -> None:
    contenders = BATCHED | PER_SAMPLE
    check(contenders, Images(0, 128, "cpu"))
    count = 256 if measuring else 8
    timed = interleave(contenders, data=lambda number: Images(number, count, "cpu"), rounds=rounds)
    for name, seconds in timed.items():
        note(VIEWS, name, unit="views/s", items=count, seconds=seconds, bytes=(1 + 4) * 3 * SIZE**2)


@pytest.mark.gpu(2)
def test_byol_views_on_a_gpu(measuring: bool, rounds: int, note: Callable[..., None], gpu: str) -> None:
    KORNIAS.to(gpu)
    try:
        check(BATCHED, Images(0, 128, gpu))
        count = 2048 if measuring else 16
        timed = interleave(BATCHED, data=lambda number: Images(number, count, gpu), rounds=rounds, device=gpu)
    finally:
        KORNIAS.to("cpu")
    for name, seconds in timed.items():
        bytes_moved = (1 + 4) * 3 * SIZE**2
        note(
            VIEWS_GPU,
            name,
            unit="views/s",
            items=count,
            seconds=seconds,
            bytes=bytes_moved,
            device=gpu,
        )
