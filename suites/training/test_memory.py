"""A training's memory does not grow with its steps."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.throughput import timing
from reference.data import open_dataset
from reference.recipes import RECIPES
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.state import Progress

STATM = Path("/proc/self/statm")
STEPS, SETTLED = 1000, 200
# Allocator noise over 800 steps was below 1 kB a step; one kept batch of activations is over 100 kB.
MOST_BYTES_A_STEP = 10_000


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads resident memory from Linux' /proc")
@pytest.mark.parametrize("slug", ["r4-classify", "r4-seg-b"])
def test_resident_memory_stays_flat_over_a_thousand_steps(slug: str, tmp_path: Path) -> None:
    recipe = RECIPES[slug]
    phases = (replace(recipe.phases[0], epochs=STEPS // 25),)
    tiny = replace(
        recipe, width=4, image_size=32, init="scratch", batch_size=4, phases=phases, mask_epochs=()
    )
    tiny = replace(tiny, embed_epochs=())
    dataset = open_dataset(tiny.data, None, image_size=32, train_limit=100, val_limit=4)
    tiny = replace(tiny, num_classes=len(dataset.classes))
    resident: list[int] = []

    def sample(progress: Progress) -> None:
        if not progress.scores:
            resident.append(int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

    with timing.threads(1):  # far faster with so little to do
        train(tiny, dataset, seed=0, numerics=Numerics(), folder=tmp_path, progress=sample)
    assert len(resident) == STEPS
    slope, _ = np.polyfit(np.arange(SETTLED, STEPS), resident[SETTLED:], deg=1)
    print(f"{slug}: {slope:.0f} bytes a step")
    assert slope < MOST_BYTES_A_STEP, f"memory grows by {slope:.0f} bytes a step"
