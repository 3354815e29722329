"""The result of evaluating a model over one split, and the batches of a split, for every task."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from reference.data.dataset import Split
from reference.metrics import mean_iou
from reference.training import distributed


@dataclass(frozen=True)
class MetricValue:
    """A figure, and its numerator and denominator if it is a quotient of counts."""

    value: float
    numerator: int | None = None
    denominator: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """Metrics by name, the mean loss, and the counts behind them.

    Attributes:
        primary: name of the metric that selection maximises (``top1``, ``miou``).
        confusion: int64 (C, C), rows truth, columns prediction, pooled over the split.
        per_image: int64, one entry an image: predicted class (N,) or confusion (N, C, C).
        majority: the primary metric of always answering the most frequent training class.
        split: ``val``, or ``probe`` for training images.
    """

    metrics: dict[str, MetricValue]
    primary: str
    loss: float
    confusion: np.ndarray
    per_image: np.ndarray
    majority: float
    split: str = "val"

    @property
    def score(self) -> float:
        """Return what selection maximises: the primary metric. An undefined one (nan) counts as worst.

        The mean IoU is taken over the scored classes that the truth holds. Over all of them it is undefined
        unless an absent class is predicted somewhere, and such a mistake must not make an epoch the best.
        """
        value = self.metrics[self.primary].value
        if self.primary == "miou":
            scored = [int(name.removeprefix("iou_")) for name in self.metrics if name.startswith("iou_")]
            present = [index for index in scored if self.confusion[index].any()]
            if len(present) < len(scored):
                value = float(mean_iou(self.confusion, classes=present)) if present else math.nan
        return value if value == value else float("-inf")


@dataclass(frozen=True)
class Batches:
    """A split on the device where it fits, gathered by index; images stay uint8 until augmented.

    A split larger than half of the device's free memory stays in host memory. Its batches are copied from
    pinned memory, and ``ahead`` copies the next one while a step is at work.
    """

    images: Tensor  # (N, H, W, 3) uint8, or (N, E) float32: signals, or features of a frozen backbone
    targets: Tensor  # (N,) or (N, H, W) int64 or uint8
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def of(cls, split: Split, device: torch.device) -> Batches:
        """Put a split on the device if it takes less than half of the free memory there."""
        images, targets = as_tensor(split.images), as_tensor(split.targets)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if images.nbytes + targets.nbytes < free // 2:
                images, targets = images.to(device), targets.to(device)
        return cls(images=images, targets=targets, device=device)

    def __len__(self) -> int:
        return len(self.images)

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once with its target, in the split's order; each rank yields its own batches."""
        for number in distributed.batches_here(math.ceil(len(self) / batch_size)):
            start = number * batch_size
            stop = min(start + batch_size, len(self))
            yield self.gather(torch.arange(start, stop, device=self.images.device))

    def sent(self, indices: Sequence[Tensor]) -> list[Tensor]:
        """Copy the indices of an epoch's batches to where the images are, all in one copy."""
        whole = torch.cat(list(indices)).to(self.images.device)
        return list(torch.split(whole, [len(part) for part in indices]))

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, H, W, 3) uint8 (signals, features) and int64 targets of indices, on the device.

        The indices must lie where the images do: see :meth:`sent`.
        """
        images, targets = self.images[indices], self.targets[indices]
        if self.streamed:
            images, targets = images.pin_memory(), targets.pin_memory()
        return (
            images.to(self.device, non_blocking=True),
            targets.to(self.device, non_blocking=True).long(),
        )

    @property
    def streamed(self) -> bool:
        """Return whether batches are copied to the device one by one."""
        return self.device.type == "cuda" and self.images.device.type == "cpu"

    def ahead(self, indices: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield ``gather`` of each of ``indices``; the next one begins before the last one is used."""
        with ThreadPoolExecutor(max_workers=1) as helper:
            waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
            for index in indices:
                waiting.append(helper.submit(self.gather, index))
                if len(waiting) > 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def mean_loss(means: Sequence[tuple[Tensor, int | Tensor]]) -> float:
    """Return the mean loss over a split; nan if no target counts.

    Args:
        means: the mean loss of each batch and its number of targets (``distributed.counted``), on the device:
            the host waits for all of them together.
    """
    losses = _values([mean for mean, _ in means])
    numbers = [int(number) for number in _values([number for _, number in means])]
    total = [loss * number if number else 0.0 for loss, number in zip(losses, numbers, strict=True)]
    number = distributed.add_up(numbers)
    return distributed.add_up(total) / number if number else math.nan


def _values(scalars: Sequence[float | Tensor]) -> list[float]:
    """Return the numbers; the host waits once for all tensors together."""
    tensors = [scalar for scalar in scalars if isinstance(scalar, Tensor)]
    return torch.stack(tensors).tolist() if tensors else list(scalars)  # type: ignore[arg-type]


def as_tensor(array: np.ndarray) -> Tensor:
    """Return the array as a tensor; a read-only memory map is copied, since torch cannot hold one."""
    return torch.from_numpy(array if array.flags.writeable else np.array(array))
