"""What it costs that a run can be killed at any instant: training with and without checkpoints, in turn.

After every epoch the state is copied in memory, to be saved if the run is interrupted. At the default
cadence a thread writes one in 30 s, at the kill suite's every one. The contender that keeps nothing is no
option of the product: copying and saving are taken away here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from bench.runs import tiers
from bench.throughput.timing import interleave
from reference.data import open_dataset
from reference.recipes import RECIPES
from reference.training import checkpoint
from reference.training.loop import train
from reference.training.numerics import Numerics


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("slug", ["r4-classify", "r4-seg-b"])
def test_cost_of_checkpoints(
    slug: str,
    tmp_path: Path,
    measuring: bool,
    rounds: int,
    note: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four epochs at smoke tier; the last always writes a checkpoint, also of a run shorter than 30 s."""
    recipe = tiers.smoke(RECIPES[slug])
    epochs, size = (4, recipe.image_size) if measuring else (2, 32)
    phases = (replace(recipe.phases[0], epochs=epochs, warmup_epochs=0),)
    recipe = replace(recipe, image_size=size, phases=phases, mask_epochs=(), embed_epochs=())
    limits = {} if measuring else {"train_limit": 16, "val_limit": 4}
    classes = None if recipe.task == "segment" else recipe.num_classes
    dataset = open_dataset(recipe.data, None, image_size=size, classes=classes, **limits)
    folders = (tmp_path / str(i) for i in count())
    hashes = []

    def trained(cadence: float) -> Callable[[int], None]:
        def run(seed: int) -> None:
            outcome = train(
                recipe,
                dataset,
                seed=seed + 1,
                numerics=Numerics(),
                folder=next(folders),
                checkpoint_seconds=cadence,
            )
            hashes.append(outcome.weights_hash)

        return run

    def nothing_kept(seed: int) -> None:
        with monkeypatch.context() as without:
            without.setattr(checkpoint.Writer, "keep", lambda *words, **named: None)
            trained(1e9)(seed)

    contenders: dict[str, Callable[[int], None]] = {
        "ours, nothing kept": nothing_kept,
        "ours, one in 30 s": trained(30.0),
        "ours, after every epoch": trained(0.0),
    }
    seconds = interleave(contenders, data=lambda number: number, rounds=rounds)
    assert len(set(hashes)) == len(hashes) / len(contenders), "checkpoints change what is trained"
    for name, samples in seconds.items():
        note(
            f"training {slug} with checkpoints",
            name,
            unit="images/s",
            items=epochs * len(dataset.train),
            seconds=samples,
            batch=recipe.batch_size,
        )
