"""The two kinds of runs: most train a network, and automatic masks use a published one as it is.

Everything in which the two differ is an entry here, so that planning, running and recording name no task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.runs import mask_run, training_run
from bench.runs.records import Record
from reference.models.weights import find_weights
from reference.recipes.recipe import Recipe, Task
from reference.training.automask import segment_images
from reference.training.loop import train
from reference.training.numerics import Numerics
from reference.training.state import Outcome

if TYPE_CHECKING:
    from bench.runs.run_plan import Run


@dataclass(frozen=True, kw_only=True)
class RunKind:
    """How runs are planned, done and kept.

    Attributes:
        work: does the run and returns its outcome, as ``reference.training.loop.train``.
        find_weights: raises ``WeightsMissingError`` where the named initial weights are not here.
        usable: the numerics that the run can use, of those asked for.
        keep_results: writes what the run leaves and returns the record with the files' hashes.
        flops: forward and training FLOPs of one image.
        trains: a network is trained: initial weights, parts of batches, classes and ranks can be chosen.
        seeds: how many seeds tell all there is; None where every seed tells more.
    """

    work: Callable[..., Outcome]
    find_weights: Callable[[str, Path | None], object]
    usable: Callable[[Numerics], Numerics]
    keep_results: Callable[[Run, Outcome, Path, Record], Record]
    flops: Callable[[Recipe], tuple[float, float]]
    trains: bool
    seeds: int | None


TRAINING = RunKind(
    work=train,
    find_weights=find_weights,
    usable=lambda numerics: numerics,
    keep_results=training_run.keep_results,
    flops=training_run.flops,
    trains=True,
    seeds=None,
)
AUTOMATIC_MASKS = RunKind(
    work=segment_images,
    find_weights=mask_run.find_weights,
    usable=mask_run.usable,
    keep_results=mask_run.keep_results,
    flops=mask_run.flops,
    trains=False,
    seeds=1,
)
RUN_KINDS: dict[Task, RunKind] = {
    "classify": TRAINING,
    "segment": TRAINING,
    "byol": TRAINING,
    "automask": AUTOMATIC_MASKS,
}
