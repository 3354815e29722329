"""Trains tiny recipes in float64, as one of several processes or alone; ``test_distributed.py`` compares.

``python trained_by_ranks.py FOLDER CASE…`` with torchrun's variables in the environment; a case is
``name`` or ``name!fault``, and rank 0 leaves ``FOLDER/<case>.npz``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import Tensor, nn

from reference import models
from reference.augment import normalise
from reference.data import open_dataset
from reference.models.byol import BYOL
from reference.models.resnet import ResNet
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe
from reference.training import batchnorm, byol, classify, distributed, segment
from reference.training.distributed import RankRows
from reference.training.loop import train
from reference.training.numerics import Numerics

EPOCHS, BATCH, TRAIN, VAL = 2, 4, 19, 7
"""19 images in batches of 4 are 5 steps, the last of 3: it divides by no number of ranks but 3."""


def tiny(slug: str, **changes: Any) -> Recipe:
    recipe = RECIPES[slug]
    settings: dict[str, Any] = {
        "width": 4,
        "image_size": 32,
        "num_classes": 7 if recipe.task == "segment" else 4,
        "model_args": tuple((k, 1 if k == "padding" else v) for k, v in recipe.model_args),
        "init": "scratch",
        "batch_size": BATCH,
        "eval_batch_size": 3,
        "phases": (Phase(optimizer="sgd", lr=1e-4, epochs=EPOCHS, momentum=0.9, weight_decay=1e-4),),
        "mask_epochs": (),
        "embed_epochs": (),
    }
    return replace(recipe, **(settings | changes))


ONE_EPOCH = (Phase(optimizer="sgd", lr=1e-4, epochs=1),)
GENTLE: dict[str, Any] = {
    "batch_size": 8,
    "phases": (Phase(optimizer="sgd", lr=1e-6, epochs=3, momentum=0.9),),
}
"""Batches of 8, 8 and 3: projections of one view are normalised over as few values as there are images."""
UNKNOWN = (("ignore_index", 6),)
CASES: dict[str, tuple[Recipe, int]] = {
    "classify": (tiny("r4-classify"), TRAIN),
    "mixup": (tiny("ablation-r3-classify-b-resnet18"), TRAIN),
    "frozen": (tiny("r1-finetune-d", model_args=(("frozen", True),)), TRAIN),
    "segment": (tiny("r4-seg-b", loss="cross_entropy", loss_args=UNKNOWN), TRAIN),
    "byol": (tiny("r3-byol", **GENTLE), TRAIN),
    "byol-joint": (tiny("r3-byol", model_args=(("bn_views", "joint"), ("target_buffers", "ema"))), TRAIN),
    # an epoch each, to be broken
    "brief-classify": (tiny("r4-classify", phases=ONE_EPOCH), TRAIN),
    "brief-mixup": (tiny("ablation-r3-classify-b-resnet18", phases=ONE_EPOCH), TRAIN),
    "brief-segment": (tiny("r4-seg-b", loss="cross_entropy", loss_args=UNKNOWN, phases=ONE_EPOCH), TRAIN),
    "brief-byol": (tiny("r3-byol", model_args=(("bn_views", "joint"),), phases=ONE_EPOCH), TRAIN),
    # batches of 4 and a last one of 2: of three ranks one has no image
    "few-classify": (tiny("r4-classify", phases=ONE_EPOCH), 6),
    "few-auxiliary": (tiny("r3-seg-b", phases=ONE_EPOCH), 6),
    "few-byol": (tiny("r3-byol", phases=ONE_EPOCH), 6),
}
"""Each recipe with its number of training images."""


def exact(name: str, **settings: Any) -> nn.Module:
    """In float64, and without dropout, which each rank draws for itself."""
    model: nn.Module = BUILD(name, **settings).double()
    for layer in model.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.p = 0.0
    return model


BUILD = models.build


def shallow(name: str, block: Any, depths: Any, **settings: Any) -> ResNet:
    """One block a stage: 50 layers of batch statistics over a few values tell 1e-16 from 0 in 20 steps."""
    return ResNet(name, block, (1, 1, 1, 1), **settings)


def in_float64(*words: Any) -> Tensor:
    return normalise(*words).double()


def own_draws(
    images: Tensor, targets: Tensor | None, names: Any, draws: Any, held: RankRows, *, views: int = 1
) -> Any:
    return AUGMENT_ROWS(images, targets, names, draws, RankRows.whole(len(images)), views=views)


AUGMENT_ROWS = distributed.augment_rows


def online_only(model: nn.Module) -> nn.Module:
    """Batch statistics of all ranks for the online network, of its own images for each rank's target."""
    assert isinstance(model, BYOL)
    for name in ("encoder", "projector", "predictor"):
        setattr(model, name, SYNCHRONISE(getattr(model, name)))
    return model


SYNCHRONISE = batchnorm.synchronise

FAULTS: dict[str, list[tuple[Any, str, Callable[..., Any]]]] = {
    "": [],
    "own-statistics": [(batchnorm, "synchronise", lambda model: model)],
    "equal-weights": [(distributed, "share", lambda *_: 1 / distributed.world().size)],
    "own-gradients": [(distributed, "summing_gradients", lambda module, **_: module)],
    "own-draws": [(task, "augment_rows", own_draws) for task in (classify, segment, byol)],
    "own-target": [(batchnorm, "synchronise", online_only)],
    "neighbours-mixed": [(distributed, "rank_rows", lambda total, mirrored: ROWS(total, mirrored=False))],
}
"""What may go wrong, by name: each makes several ranks train something else than one process."""

ROWS = distributed.rank_rows


@contextmanager
def broken(fault: str) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, replacement in FAULTS[fault]:
            stack.enter_context(patch.object(owner, name, replacement))
        yield


def main(folder: Path, cases: list[str]) -> None:
    distributed.join("cpu")
    for task in (classify, segment, byol):
        task.normalise = in_float64
    models.build = exact
    for family in (models.byol, models.deeplab, models.fcn, models.resnet):
        family.ResNet = shallow
    byol.COLLAPSED_SHARE = 0.0  # so tiny an encoder may
    for case in cases:
        name, _, fault = case.partition("!")
        recipe, count = CASES[name]
        classes = None if recipe.task == "segment" else 4
        limits = {"train_limit": count, "val_limit": VAL}
        dataset = open_dataset(recipe.data, None, image_size=32, classes=classes, **limits)
        with broken(fault):
            outcome = train(recipe, dataset, seed=1, numerics=Numerics(), folder=folder / case, resume=False)
        if distributed.world().main:
            arrays = {f"weights {name}": tensor.numpy() for name, tensor in outcome.weights.items()}
            arrays |= {f"curve {name}": np.array(values) for name, values in outcome.curves.items()}
            arrays |= {"per_image": outcome.final.per_image, "rates": np.array(outcome.rank_rates)}
            arrays["samples"] = np.array(outcome.train_samples)
            np.savez(folder / f"{case}.npz", **arrays)
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
