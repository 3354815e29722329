"""Decoding once, and whether a step costs the same however many images there are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.throughput.timing import interleave
from reference.augment import augment, normalise
from reference.data import open_dataset
from reference.data.dataset import Split
from reference.losses import cross_entropy
from reference.models import build
from reference.recipes.r4 import IMAGENET_MEAN, IMAGENET_STD
from reference.training.evaluation import Batches

CLASSES = 10


def write_photos(folder: Path, number: int) -> None:
    """So many JPEG files of 128 px in the layout of mini-ImageNet."""
    (folder / "p1_data" / "mini" / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC)
        photo.save(folder / "p1_data" / "mini" / "train" / f"{index:06d}.jpg", quality=90)


def test_building_the_cache(
    tmp_path: Path,
    measuring: bool,
    seconds_alone: Callable[..., list[float]],
    note: Callable[..., None],
) -> None:
    number = 1000 if measuring else 20
    write_photos(tmp_path / "data", number)
    folders = (tmp_path / f"cache-{i}" for i in count())

    def decode(cache: Path | None) -> np.ndarray:
        return open_dataset("miniimagenet", tmp_path / "data", image_size=128, cache=cache).train.images

    np.testing.assert_array_equal(decode(next(folders)), decode(None))
    seconds = seconds_alone(decode, lambda: next(folders))
    note("cache build, 128 px JPEG", "ours", unit="images/s", items=number, seconds=seconds, image_size=128)


@pytest.mark.usefixtures("one_core")
def test_cost_of_a_step_as_the_data_grows(measuring: bool, rounds: int, note: Callable[..., None]) -> None:
    """Steps over 1,000 and over 40,000 images in turn; the ratio tells what growth costs."""
    size, batch, steps = 32, 32, 10 if measuring else 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build("resnet18", num_classes=CLASSES, width=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    rng = np.random.default_rng(0)

    def over(images: int) -> Callable[[int], list[float]]:
        split = Split(
            ids=tuple(map(str, range(images))),
            images=rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8),
            targets=rng.integers(0, CLASSES, images),
        )
        batches = Batches.of(split, torch.device("cpu"))

        def train(number: int) -> list[float]:
            generator = torch.Generator().manual_seed(number + 1)
            order = torch.randperm(len(batches), generator=generator)
            losses = []
            for step in range(steps):
                pixels, labels = batches.gather(order[step * batch : (step + 1) * batch])
                views, _ = augment(pixels, None, ("horizontal_flip", "random_crop"), generator)
                loss = cross_entropy(model(normalise(views, IMAGENET_MEAN, IMAGENET_STD)), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses

        return train

    few, many = (1000, 40_000) if measuring else (64, 256)
    contenders = {f"ours, {many:,} images": over(many), f"ours, {few:,} images": over(few)}
    assert all(np.isfinite(train(0)).all() for train in contenders.values())
    for name, seconds in interleave(contenders, data=lambda number: number, rounds=rounds).items():
        note(
            "training as the data grows",
            name,
            unit="images/s",
            items=steps * batch,
            seconds=seconds,
            batch=batch,
        )
