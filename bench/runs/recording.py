"""Make the record of a run that has ended."""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.claims.ledger import load_ledgers
from bench.runs import provenance, records
from bench.runs.records import Record
from bench.runs.run_kinds import RUN_KINDS
from bench.runs.run_plan import Run, recipe_settings
from bench.runs.starts import present_recipe_hash
from reference.errors import InputError
from reference.files import write_atomically
from reference.recipes.recipe import Recipe
from reference.training import distributed
from reference.training.evaluation import Evaluation
from reference.training.state import Outcome


def earlier_attempts(run: Run, out: Path) -> list[Record]:
    """Return every readable record of a run under ``out``, the first attempt first.

    A damaged record of one seed must not keep the others from running: its run counts as missing, ``damaged``
    names it, and its file stays where it is.
    """
    return sorted(_read(run, out)[0], key=lambda record: record.attempt)


def damaged(run: Run, out: Path) -> list[str]:
    """Return one line for each record of a run that cannot be read."""
    return _read(run, out)[1]


def _read(run: Run, out: Path) -> tuple[list[Record], list[str]]:
    readable, refused = [], []
    for path in _paths(run, out):
        try:
            readable.append(records.read_record(path))
        except InputError as error:
            refused.append(str(error))
    return readable, refused


def _paths(run: Run, out: Path) -> list[Path]:
    return sorted((out / "records" / run.printed.slug).glob(f"{run.run_id}*.json"))


def _next_attempt(run: Run, out: Path) -> int:
    """Return one more than the highest attempt in any file name: no record is ever overwritten."""
    taken = [int(path.stem.partition("-")[2] or 1) for path in _paths(run, out)]
    return 1 + max(taken, default=0)


def finished(run: Run, out: Path) -> Record | None:
    """Return the latest ok record of a run; None if there is none."""
    return next((r for r in reversed(earlier_attempts(run, out)) if r.status == "ok"), None)


class Attempt:
    """One attempt at a run, from now until ``write`` leaves its record."""

    def __init__(self, run: Run, out: Path) -> None:
        self._run, self._out = run, out
        self._earlier = len(earlier_attempts(run, out))
        self._started, self._clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()

    def count_flops(self) -> None:
        """Count FLOPs before training, since a run that is being stopped has no time for it."""
        flops_per_sample(self._run.recipe)

    @property
    def is_written(self) -> bool:
        """Whether the record is written."""
        return len(earlier_attempts(self._run, self._out)) > self._earlier

    def write(
        self,
        status: str,
        reason: str = "",
        *,
        outcome: Outcome | None = None,
        notes: Sequence[str] = (),
        keep: Callable[[Record], Record] = lambda record: record,
    ) -> Record:
        """Make the record and, on rank 0, write it.

        Args:
            notes: notes of a run that has no outcome; an outcome brings its own.
            keep: writes the results on rank 0 before the record, and returns the record with its pictures.

        Raises:
            DiskError: it cannot be written.
        """
        wall = time.perf_counter() - self._clock
        record = make_record(self._run, self._out, outcome, status, reason, self._started, wall)
        if outcome is None:
            record = replace(record, notes=list(notes))
        if distributed.world().main:
            record = keep(record)
            write_atomically(records.path_of(self._out, record), records.dumps(record).encode())
        return record


def make_record(
    run: Run, out: Path, outcome: Outcome | None, status: str, reason: str, started: str, wall: float
) -> Record:
    """Make the record of a run that ended now; without ``outcome`` it has no figures."""
    dataset, recipe = run.dataset, run.recipe
    claims = sorted(
        claim.id for ledger in load_ledgers() for claim in ledger.claims if claim.recipe == recipe.slug
    )
    forward, training = flops_per_sample(recipe)
    seconds = outcome.train_seconds if outcome else 0.0
    rate = outcome.train_samples / seconds if outcome and seconds else 0.0
    return Record(
        run_id=run.run_id,
        attempt=_next_attempt(run, out),
        slug=recipe.slug,
        claims=tuple(claims),
        tier=run.tier,
        status=status,
        reason=reason,
        seed=run.seed,
        recipe=recipe_settings(recipe),
        recipe_hash=records.hash_of(recipe_settings(run.printed)),
        assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
        deviations=[dataclasses.asdict(d) for d in run.deviations],
        numerics=dataclasses.asdict(run.numerics) | ({"compiled": outcome.compiled} if outcome else {}),
        data={
            "role": dataset.role,
            "source": dataset.source,
            "name": dataset.name,
            "manifest": dataset.manifest,
            "classes": list(dataset.classes),
            "scored": list(dataset.scored),
            "train": len(dataset.train.ids),
            "val": len(dataset.val.ids),
            "unique_val": dataset.unique_val,
            "note": dataset.counts_note,
        },
        initial_weights=_initial_weights(run, outcome),
        provenance=provenance.collect(run.numerics.device) | _ranks(outcome),
        metrics=_metrics(outcome) if outcome else {},
        confusion=_selected(recipe, outcome).confusion.tolist() if outcome else [],
        curves={name: [_finite(v) for v in values] for name, values in outcome.curves.items()}
        if outcome
        else {},
        weights_hash=outcome.weights_hash if outcome else "",
        parameters=outcome.parameters if outcome else 0,
        throughput={
            "samples_per_second": rate,
            "forward_flops_per_sample": forward,
            "training_flops_per_sample": training,
        },
        peak_memory=outcome.peak_memory if outcome and outcome.peak_memory else _process_peak(),
        wall_seconds=wall,
        device_seconds=wall * distributed.world().size if run.numerics.device.startswith("cuda") else 0.0,
        segments=list(outcome.segments) if outcome else [],
        figures=[],
        notes=list(outcome.notes) if outcome else [],
        started=started,
        planned_seeds=run.planned_seeds,
        again=run.again if earlier_attempts(run, out) else "",
    )


def _ranks(outcome: Outcome | None) -> dict[str, Any]:
    """Return how many processes trained together, and how many images a second each of them trained on."""
    rates = [] if outcome is None else list(outcome.rank_rates)
    return {"world_size": distributed.world().size, "rank_samples_per_second": rates}


def _initial_weights(run: Run, outcome: Outcome | None) -> dict[str, str]:
    """Return what training started from, the hash of that without the seed, and the hash of the weights."""
    if run.backbone is not None:
        origin = {"from": f"file {run.backbone.name}"}
    elif run.start is not None:
        origin = {"from": run.recipe.init, "run_id": run.start.run_id}
    else:
        origin = {"from": run.recipe.init}
    return {
        **origin,
        "hash": outcome.initial_hash if outcome else "",
        "start": run.start_hash,
        "start_recipe": present_recipe_hash(origin["from"], run.tier),
    }


def _selected(recipe: Recipe, outcome: Outcome) -> Evaluation:
    return outcome.best if recipe.selection == "best" else outcome.final


def _metrics(outcome: Outcome) -> dict[str, Any]:
    epochs = len(outcome.curves.get("train_loss", ()))
    return {
        name: {
            "epoch": epoch,
            "loss": _finite(evaluation.loss),
            "majority": _finite(evaluation.majority),
            "primary": evaluation.primary,
            "metrics": {
                metric: {
                    "value": _finite(m.value),
                    "numerator": m.numerator,
                    "denominator": m.denominator,
                }
                for metric, m in evaluation.metrics.items()
            },
        }
        for name, evaluation, epoch in (
            ("best", outcome.best, outcome.best_epoch),
            ("final", outcome.final, epochs),
        )
    }


def _finite(value: float) -> float | None:
    """Return None for nan, which JSON does not have."""
    return value if np.isfinite(value) else None


def flops_per_sample(recipe: Recipe) -> tuple[float, float]:
    """Count forward and training FLOPs of one image on shapes alone; a multiply-add is 2."""
    return RUN_KINDS[recipe.task].flops(recipe)


def _process_peak() -> int:
    """Return the peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
