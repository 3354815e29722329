"""Trains step after step as one of several processes, as often as its standard input says.

``python steps_of_ranks.py SLUG DEVICE DTYPE WIDTH SIZE BATCH STEPS`` with torchrun's variables in the
environment: for each line that it reads, ``STEPS`` steps on one batch, then a line with the first one's loss.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial

import torch

from bench.throughput.timing import wait
from reference import losses, models
from reference.recipes import RECIPES
from reference.training import batchnorm, distributed
from reference.training.numerics import Numerics
from reference.training.step import train_step


def main(slug: str, kind: str, dtype: str, width: int, size: int, batch: int, steps: int) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        distributed.join(kind)
    device = distributed.local_device(kind)
    recipe = replace(RECIPES[slug], width=width, image_size=size, batch_size=batch)
    torch.manual_seed(0)
    model = models.build(
        recipe.model, num_classes=recipe.num_classes, width=width, **dict(recipe.model_args)
    ).to(device)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0  # each rank draws its own, and the losses are to agree
    draws = torch.Generator().manual_seed(0)
    held = distributed.rank_rows(batch, mirrored=False)
    images = torch.randn(batch, 3, size, size, generator=draws)[held.at].to(device)
    targets = torch.randint(recipe.num_classes, (batch, size, size), generator=draws)[held.at].to(device)
    model = batchnorm.synchronise(model).train()
    numerics = Numerics(device=kind, dtype=dtype, deterministic=False)
    step = partial(
        train_step,
        model,
        torch.optim.SGD(model.parameters(), lr=1e-3),
        (images,),
        targets,
        partial(losses.LOSSES[recipe.task][recipe.loss], **dict(recipe.loss_args)),
        recipe,
        numerics,
        share=distributed.share(held, targets, recipe),
        forward=distributed.summing_gradients(model),
    )
    for _ in sys.stdin:
        first, *_ = [step() for _ in range(steps)]
        wait(kind)
        print(float(distributed.total(first)), flush=True)
    distributed.leave()


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))  # type: ignore[arg-type,misc]
