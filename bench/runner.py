"""Plans runs, runs those that are missing, and leaves a record for each one that was started."""

from __future__ import annotations

import dataclasses
import io
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import save as save_safetensors
from torch.utils.flop_counter import FlopCounterMode

from bench import provenance, records, tiers
from bench.ledger import load_ledgers
from bench.pictures import draw
from bench.records import Record
from reference import models
from reference.data import open_dataset
from reference.data.dataset import Dataset
from reference.errors import InputError, WeightsMissingError
from reference.files import write_atomically
from reference.models.weights import find_weights
from reference.recipes.recipe import Deviation, Recipe
from reference.training.evaluation import Evaluation
from reference.training.loop import DivergedError, Numerics, Outcome, Progress, train


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recipe at one tier on one data set with one seed; ``run_id`` names exactly that."""

    recipe: Recipe
    printed: Recipe
    deviations: tuple[Deviation, ...]
    tier: str
    dataset: Dataset
    seed: int
    numerics: Numerics

    @property
    def run_id(self) -> str:
        """16 hexadecimal digits of the hash of recipe, data, seed, device kind and numerics."""
        return records.hash_of(
            {
                "recipe": _settings(self.recipe),
                "manifest": self.dataset.manifest,
                "seed": self.seed,
                "numerics": dataclasses.asdict(self.numerics),
            }
        )[:16]


@dataclass(frozen=True)
class NotRun:
    """A recipe that cannot run here, with a grade's reason (``data``, ``weights``) and the cause."""

    slug: str
    reason: str
    cause: str


def plan(
    recipes: Sequence[Recipe],
    *,
    tier: str,
    data: Path | None,
    seeds: int,
    init: str | None,
    weights: Path | None,
    numerics: Numerics,
    cache: Path,
) -> tuple[list[Run], list[NotRun]]:
    """Every run of ``recipes``, its data opened and checked, and what cannot run here.

    Raises:
        InputError: bad data, for a folder that holds the role at all.
    """
    runs: list[Run] = []
    absent: list[NotRun] = []
    opened: dict[tuple[object, ...], Dataset] = {}
    for printed in recipes:
        scaled, deviations = tiers.apply(printed, tier)
        if init is not None and scaled.init != init:
            chosen = replace(scaled, init=init)
            deviations += tiers.deviations(scaled, chosen, "asked for by --init")
            scaled = chosen
        classes = scaled.num_classes if scaled.num_classes < printed.num_classes else None
        if data is not None and not (data / _FOLDERS[scaled.data]).is_dir():
            absent.append(NotRun(printed.slug, "data", f"{data / _FOLDERS[scaled.data]}: no such folder"))
            continue
        try:
            if scaled.init != "scratch":
                find_weights(scaled.init, weights)
        except WeightsMissingError as error:
            absent.append(NotRun(printed.slug, "weights", str(error)))
            continue
        place = (scaled.data, scaled.image_size, classes)
        if place not in opened:
            opened[place] = open_dataset(
                scaled.data, data, image_size=scaled.image_size, classes=classes, cache=cache
            )
        dataset = opened[place]
        fitted = replace(scaled, num_classes=len(dataset.classes))
        if len(dataset.classes) != scaled.num_classes:
            deviations += tiers.deviations(scaled, fitted, f"the classes of {dataset.name}")
        runs += [
            Run(
                recipe=fitted,
                printed=printed,
                deviations=deviations,
                tier=tier,
                dataset=dataset,
                seed=seed,
                numerics=numerics,
            )
            for seed in range(seeds)
        ]
    return runs, absent


_FOLDERS = {
    "classification50": "p1_data/train_50",
    "miniimagenet": "p1_data/mini",
    "officehome": "p1_data/office",
    "landcover": "p2_data",
}


def missing(runs: Sequence[Run], out: Path) -> list[Run]:
    """Those of ``runs`` that have no ok record under ``out``."""
    return [run for run in runs if not any(r.status == "ok" for r in _attempts(run, out))]


def execute(
    run: Run,
    out: Path,
    *,
    weights: Path | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Record:
    """Train one run and write its record, whatever becomes of it.

    A run that is interrupted (Ctrl-C, SIGTERM) leaves its checkpoint and a record ``interrupted``, and
    the interruption goes on to the caller.

    Raises:
        InputError: another process works on this very run.
    """
    folder = out / "work" / run.printed.slug / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            return _execute_locked(run, out, folder, weights, resume, checkpoint_seconds, progress)
    except Timeout as error:
        raise InputError(
            f"{folder}: another process runs {run.printed.slug} seed {run.seed}; wait or use another --out"
        ) from error


def _execute_locked(
    run: Run,
    out: Path,
    folder: Path,
    weights: Path | None,
    resume: bool,
    checkpoint_seconds: float,
    progress: Callable[[Progress], None],
) -> Record:
    if not resume:
        for stale in (*folder.glob("checkpoint*"), *folder.glob("masks/*.npy")):
            stale.unlink()
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    outcome, status, reason = None, "ok", ""
    interruption: BaseException | None = None
    try:
        outcome = train(
            run.recipe,
            run.dataset,
            seed=run.seed,
            numerics=run.numerics,
            folder=folder,
            weights=weights,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress,
        )
    except DivergedError as error:
        status, reason = "diverged", str(error)
    except torch.OutOfMemoryError as error:
        status, reason = "oom", str(error).splitlines()[0]
    except (KeyboardInterrupt, SystemExit) as error:
        status, reason, interruption = "interrupted", type(error).__name__, error
    except InputError:
        raise
    except Exception as error:
        status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
        write_atomically(folder / "traceback.txt", traceback.format_exc().encode())
    record = _record(run, out, outcome, status, reason, started, time.perf_counter() - clock)
    if outcome is not None:
        record = _keep_results(run, out, folder, outcome, record)
    write_atomically(records.path_of(out, record), records.dumps(record).encode())
    if outcome is not None:
        for stale in folder.glob("checkpoint*"):
            stale.unlink()
    if interruption is not None:
        raise interruption
    return record


def _keep_results(run: Run, out: Path, folder: Path, outcome: Outcome, record: Record) -> Record:
    """Weights, per-image results and pictures; the record with the pictures' hashes."""
    write_atomically(folder / "weights.safetensors", save_safetensors(outcome.weights))
    selected = outcome.best if run.recipe.selection == "best" else outcome.final
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, per_image=selected.per_image, targets=_labels(run), ids=np.array(run.dataset.val.ids)
    )
    write_atomically(records.path_of(out, record).with_suffix(".npz"), buffer.getvalue())
    figures = draw(run.recipe, run.tier, run.dataset, outcome, folder / "masks", out, record.name)
    return replace(record, figures=figures)


def _labels(run: Run) -> np.ndarray:
    """True labels of the validation images; none for masks, whose counts are in the confusions."""
    targets = np.asarray(run.dataset.val.targets)
    return targets if targets.ndim == 1 else np.empty(0, dtype=np.int64)


def _attempts(run: Run, out: Path) -> list[Record]:
    folder = out / "records" / run.printed.slug
    return [records.read(path) for path in sorted(folder.glob(f"{run.run_id}*.json"))]


def _record(
    run: Run, out: Path, outcome: Outcome | None, status: str, reason: str, started: str, wall: float
) -> Record:
    dataset, recipe = run.dataset, run.recipe
    claims = sorted(
        claim.id for ledger in load_ledgers() for claim in ledger.claims if claim.recipe == recipe.slug
    )
    forward, training = flops_per_sample(recipe)
    seconds = outcome.train_seconds if outcome else 0.0
    rate = outcome.train_samples / seconds if outcome and seconds else 0.0
    return Record(
        run_id=run.run_id,
        attempt=1 + max((r.attempt for r in _attempts(run, out)), default=0),
        slug=recipe.slug,
        claims=tuple(claims),
        tier=run.tier,
        status=status,
        reason=reason,
        seed=run.seed,
        recipe=_settings(recipe),
        recipe_hash=records.hash_of(_settings(run.printed)),
        assumptions=[dataclasses.asdict(a) for a in recipe.assumptions],
        deviations=[dataclasses.asdict(d) for d in run.deviations],
        numerics=dataclasses.asdict(run.numerics),
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
        initial_weights={"from": recipe.init, "hash": outcome.initial_hash if outcome else ""},
        provenance=provenance.collect(run.numerics.device),
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
        device_seconds=wall if run.numerics.device.startswith("cuda") else 0.0,
        segments=list(outcome.segments) if outcome else [],
        figures=[],
        notes=list(outcome.notes) if outcome else [],
        started=started,
    )


def _selected(recipe: Recipe, outcome: Outcome) -> Evaluation:
    return outcome.best if recipe.selection == "best" else outcome.final


def _metrics(outcome: Outcome) -> dict[str, Any]:
    epochs = len(outcome.curves["train_loss"])
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


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON holds it, without its words: rewording an assumption does not make a new run."""
    fields = dataclasses.asdict(recipe)
    del fields["assumptions"], fields["title"]
    settings: dict[str, Any] = json.loads(records.canonical(fields))
    return settings


def _finite(value: float) -> float | None:
    """JSON has no nan: an undefined figure is null."""
    return value if np.isfinite(value) else None


def flops_per_sample(recipe: Recipe) -> tuple[float, float]:
    """Forward and training FLOPs of one image (a multiply-add is 2), counted on shapes alone."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        model = models.build(
            recipe.model,
            num_classes=recipe.num_classes,
            width=recipe.width,
            **dict(recipe.model_args),
        )
        images = torch.empty(2, 3, recipe.image_size, recipe.image_size)
    with FlopCounterMode(display=False) as forward:
        logits = model(images)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return forward.get_total_flops() / 2, (forward.get_total_flops() + backward.get_total_flops()) / 2


def _process_peak() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def choose_device(wanted: str) -> str:
    """``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        InputError: a device that this machine does not have.
    """
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in have.items() if there)
    if not have.get(wanted.partition(":")[0], False):
        names = ", ".join(name for name, there in have.items() if there)
        raise InputError(
            f"--device {wanted}: not on this machine, which has {names}; use one of them or auto"
        )
    return wanted
