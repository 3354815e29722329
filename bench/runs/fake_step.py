"""One training step of a recipe on tensors that have shapes but no values: what it would cost on a GPU.

The step is the training loop's own ``train_step`` with the recipe's batch, network, loss and optimiser.
torch's FakeTensorMode computes the shape of every result. A second on any machine gives the peak memory,
the number of kernels and the bytes that they move.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from reference import augment, losses, models
from reference.augment import normalise, to_float
from reference.models.byol import BYOL
from reference.recipes.recipe import Recipe
from reference.training.numerics import Numerics
from reference.training.step import build_loss, build_optimizer, train_step

aten = torch.ops.aten
NO_KERNEL = {
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.new_empty,
    aten.new_empty_strided,
    aten.detach,
    aten._unsafe_view,
    aten.lift_fresh,
}
"""Operations that launch no kernel on a GPU; neither do views."""


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What one training step costs at its batch, and one evaluated batch.

    Attributes:
        weights: bytes of parameters and buffers.
        batch: bytes of the inputs and targets of a step.
        training_peak: most bytes alive at once in a step: weights, gradients, optimiser state, saved
            activations, the batch.
        evaluation_peak: the same while a batch of ``eval_batch_size`` is evaluated; the gradients of the last
            step are still there.
        kernels: operations that launch a kernel: augmentation, forward, backward, optimiser, BYOL's target.
        flops: of convolutions and matrix products; a multiply-add is 2.
        product_bytes: operands and results of those products.
        other_bytes: operands and results of all other operations, none fused with another.
    """

    weights: int
    batch: int
    training_peak: int
    evaluation_peak: int
    kernels: int
    flops: int
    product_bytes: int
    other_bytes: int


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, until they are freed; views share theirs.

    Attributes:
        live: bytes alive now; ``peak``: the most so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self.add(tensor)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage, unless it is counted already."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.live -= self._sizes.pop(key)


class Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that launch a kernel, their FLOPs and the bytes of their operands and results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kernels = self.flops = self.product_bytes = self.other_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func.overloadpacket
        if func.is_view or packet in NO_KERNEL or func.namespace == "prim":
            return result
        self.kernels += 1
        moved = sum(tensor.numel() * tensor.element_size() for tensor in _tensors((args, kwargs, result)))
        if packet in flop_registry:
            self.flops += flop_registry[packet](*args, **kwargs, out_val=result)
            self.product_bytes += moved
        else:
            self.other_bytes += moved
        return result


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def of_recipe(recipe: Recipe, dtype: str = "float32") -> StepCost:
    """Count the cost of a step of ``recipe``, at its batch and its ``micro_batch``.

    Args:
        dtype: ``"float32"`` or ``"bfloat16"`` (autocast).
    """
    live, kernels = LiveBytes(), Kernels()
    with _fake_network(recipe) as network, live:
        for tensor in (*network.parameters(), *network.buffers()):
            live.add(tensor)
        weights = live.live
        optimizer = build_optimizer(recipe.phases[0], network, recipe.aux_lr_factor)
        network.train()
        inputs, targets = fake_batch(recipe, network)
        batch = sum(tensor.nbytes for tensor in (*inputs, targets))
        step = partial(training_step, recipe, network, optimizer, inputs, targets, dtype)
        step()  # the optimiser makes its state in the first step
        with kernels:
            step()
        training_peak = live.peak
        del inputs, targets, step
        live.peak = live.live
        _evaluate(recipe, network)
        evaluation_peak = live.peak
        with kernels:
            _augment(recipe)
    return StepCost(
        weights=weights,
        batch=batch,
        training_peak=training_peak,
        evaluation_peak=evaluation_peak,
        kernels=kernels.kernels,
        flops=kernels.flops,
        product_bytes=kernels.product_bytes,
        other_bytes=kernels.other_bytes,
    )


def training_step(
    recipe: Recipe,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: tuple[Tensor, ...],
    targets: Tensor,
    dtype: str,
) -> None:
    """One step as the loop makes it; of a frozen backbone whose features are kept, its head's."""
    forward = network.head if _on_features(recipe, network) else network
    train_step(
        network,
        optimizer,
        inputs,
        targets,
        build_loss(recipe),
        recipe,
        Numerics(dtype=dtype),
        forward=forward,  # type: ignore[arg-type]
        decay=recipe.tau,
    )


@contextmanager
def _fake_network(recipe: Recipe) -> Iterator[nn.Module]:
    """The recipe's network without values; operations in the context compute shapes."""
    with models.counting(recipe.model), torch.random.fork_rng(devices=[]):
        network = models.build(
            recipe.model, num_classes=recipe.num_classes, width=recipe.width, **dict(recipe.model_args)
        )
    with FakeTensorMode(allow_non_fake_inputs=True), torch.random.fork_rng(devices=[]):
        yield network.to_empty(device="cpu")


def fake_batch(recipe: Recipe, network: nn.Module) -> tuple[tuple[Tensor, ...], Tensor]:
    """What the network and its loss take of a batch: zeros of the shapes and dtypes that a step sees."""
    count = recipe.batch_size // 2 * 2 if recipe.mixup else recipe.batch_size
    if recipe.task == "segment":
        targets = torch.zeros((count, recipe.image_size, recipe.image_size), dtype=torch.int64)
    elif recipe.mixup:
        targets = torch.zeros((count, recipe.num_classes))
    else:
        targets = torch.zeros(count, dtype=torch.int64)
    views = 2 if recipe.task == "byol" else 1
    return tuple(_inputs(recipe, network, count) for _ in range(views)), targets


def _inputs(recipe: Recipe, network: nn.Module, count: int) -> Tensor:
    if _on_features(recipe, network):
        return torch.zeros(count, network.head[0].in_features)  # type: ignore[index,union-attr]
    if recipe.model in models.SIGNALS:
        return torch.zeros(count, recipe.image_size)
    return torch.zeros(count, 3, recipe.image_size, recipe.image_size)


def _on_features(recipe: Recipe, network: nn.Module) -> bool:
    """Whether the loop keeps the features of a frozen backbone, so that a step sees the head alone."""
    return getattr(network, "frozen", False) and not recipe.augment and not recipe.mixup


def _evaluate(recipe: Recipe, network: nn.Module) -> None:
    """The forward pass of an evaluated batch, its loss and its predictions."""
    network.eval()
    count = recipe.eval_batch_size
    with torch.no_grad():  # as inference mode, which hides the parts of an operation from a dispatch mode
        if recipe.model in models.SIGNALS:
            images = torch.zeros(count, recipe.image_size)
        else:
            stored = torch.zeros(count, recipe.image_size, recipe.image_size, 3, dtype=torch.uint8)
            images = normalise(to_float(stored), recipe.mean, recipe.std)
        if isinstance(network, BYOL):
            network.embed(images)
            return
        logits = network(images).float()
        targets = torch.zeros((count, *logits.shape[2:]), dtype=torch.int64)
        loss = losses.cross_entropy if recipe.loss == "soft_cross_entropy" else build_loss(recipe)
        loss(logits, targets)
        logits.argmax(dim=1)


def _augment(recipe: Recipe) -> None:
    """The batch's preparation on a device: whole batches, their parameters drawn beforehand."""
    if recipe.model in models.SIGNALS:
        return
    side, count = recipe.image_size, recipe.batch_size
    images = torch.zeros(count, side, side, 3, dtype=torch.uint8)
    masks = torch.zeros(count, side, side, dtype=torch.int64) if recipe.task == "segment" else None
    for _ in range(2 if recipe.task == "byol" else 1):
        parameters = _drawn(recipe)
        batch = augment.apply_chain(
            augment.Batch(to_float(images), masks, whole=True), recipe.augment, parameters
        )
        normalise(batch.images, recipe.mean, recipe.std)


def _drawn(recipe: Recipe) -> list[Any]:
    """Draw the parameters of one batch on the host, where nothing is counted."""
    count, side = recipe.batch_size, recipe.image_size
    with _disable_current_modes(), unset_fake_temporarily():
        draws = augment.Draws(torch.Generator().manual_seed(0), total=count, start=0, count=count)
        return augment._draw_chain(recipe.augment, draws, side, side, whole=True)
