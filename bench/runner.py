"""Plans runs, runs those that are missing, and leaves a record for each one that was started."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_safetensors

from bench import automask, cost, interruption, lock, provenance, records, tiers
from bench.ledger import load_ledgers
from bench.pictures import draw
from bench.records import Record
from reference import models
from reference.data import open_dataset, synthetic
from reference.data.dataset import Dataset, hold_out
from reference.errors import DiskError, InputError, WeightsMissingError
from reference.files import check_writable, remove_leftovers, write_atomically
from reference.models.automask import flops_per_image
from reference.models.weights import find_weights, read_state_dict
from reference.recipes import RECIPES
from reference.recipes.recipe import Deviation, Recipe
from reference.training import checkpoint, distributed
from reference.training.automask import segment_images
from reference.training.evaluation import Evaluation
from reference.training.loop import DeviceMemoryError, DivergedError, Numerics, Outcome, Progress, train


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recipe at one tier on one data set with one seed; ``run_id`` names exactly that.

    Attributes:
        recipe: as the tier scales it and the data set's classes fit it; ``printed`` is the report's.
        start: the run whose weights this one starts from, where the recipe names one.
        backbone: a file to start from instead of ``start``.
    """

    recipe: Recipe
    printed: Recipe
    deviations: tuple[Deviation, ...]
    tier: str
    dataset: Dataset
    seed: int
    numerics: Numerics
    start: Run | None = None
    backbone: Path | None = None

    @property
    def label(self) -> str:
        """Recipe and seed, as people are told of a run."""
        return f"{self.printed.slug} seed {self.seed}"

    @cached_property
    def run_id(self) -> str:
        """16 hexadecimal digits of the hash of recipe, data, seed, numerics and what it starts from."""
        identity = {
            "recipe": _settings(self.recipe),
            "manifest": self.dataset.manifest,
            "seed": self.seed,
            "numerics": dataclasses.asdict(self.numerics),
        }
        if self.backbone is not None:
            identity["start"] = hashlib.sha256(self.backbone.read_bytes()).hexdigest()
        elif self.start is not None:
            identity["start"] = self.start.run_id
        return records.hash_of(identity)[:16]

    def folder(self, out: Path) -> Path:
        """Working files of this run alone."""
        return out / "work" / self.printed.slug / self.run_id

    def weights(self, out: Path) -> Path:
        """Where its final weights lie once it is finished."""
        return self.folder(out) / "weights.safetensors"


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
    backbone: Path | None = None,
    micro_batch: int | None = None,
) -> tuple[list[Run], list[NotRun]]:
    """Every run of ``recipes``, its data opened and checked, and what cannot run here.

    A run that starts from another's weights holds that one, of the same tier, data and seed.

    Args:
        backbone: file of a ResNet-50 that takes the place of the recipe ``supervised``.
        micro_batch: most images to train on at once; a deviation, since batch statistics are each part's.

    Raises:
        InputError: bad data, for a folder that holds the role at all; or a backbone that does not fit.
    """
    opened: dict[tuple[object, ...], Dataset] = {}
    planned: dict[tuple[str, int], Run] = {}

    def one(printed: Recipe, seed: int) -> Run | NotRun:
        if (printed.slug, seed) in planned:
            return planned[printed.slug, seed]
        scaled, deviations = tiers.apply(printed, tier)
        if scaled.task == "automask" and distributed.world().size > 1:
            return NotRun(printed.slug, "hardware", "one process finds the masks: run it without torchrun")
        comes_from = RECIPES.get(scaled.init.removeprefix("run:"))
        if init is not None and comes_from is None and scaled.init != init:
            if scaled.task == "automask":
                return NotRun(printed.slug, "weights", automask.NO_SCRATCH)
            chosen = replace(scaled, init=init)
            deviations += tiers.deviations(scaled, chosen, "asked for by --init")
            scaled = chosen
        if micro_batch is not None and micro_batch < scaled.batch_size and scaled.task != "automask":
            chosen = replace(scaled, micro_batch=micro_batch)
            why = "asked for by --micro-batch; BatchNorm sees each part by itself"
            deviations += tiers.deviations(scaled, chosen, why)
            scaled = chosen
        if data is not None and not (data / _FOLDERS[scaled.data]).is_dir():
            return NotRun(printed.slug, "data", f"{data / _FOLDERS[scaled.data]}: no such folder")
        start, file = None, None
        if comes_from is not None and comes_from.slug == "supervised" and backbone is not None:
            file = backbone
        elif comes_from is not None:
            found = one(comes_from, seed)
            if isinstance(found, NotRun):
                return NotRun(printed.slug, found.reason, f"starts from {found.slug}: {found.cause}")
            start = found
        elif scaled.init != "scratch":
            try:
                check: Callable[..., object] = (
                    automask.check_weights if scaled.task == "automask" else find_weights
                )
                check(scaled.init, weights)
            except WeightsMissingError as error:
                return NotRun(printed.slug, "weights", str(error))
        dataset = open_data(scaled, printed, data, cache, opened)
        fitted = scaled
        if dataset.classes and len(dataset.classes) != scaled.num_classes and scaled.task != "automask":
            fitted = replace(scaled, num_classes=len(dataset.classes))
            deviations += tiers.deviations(scaled, fitted, f"the classes of {dataset.name}")
        run = Run(
            recipe=fitted,
            printed=printed,
            deviations=deviations,
            tier=tier,
            dataset=dataset,
            seed=seed,
            numerics=automask.usable(numerics) if scaled.task == "automask" else numerics,
            start=start,
            backbone=file,
        )
        planned[printed.slug, seed] = run
        return run

    # nothing is drawn for automatic masks: one seed says all
    found = [[one(r, seed) for seed in range(1 if r.task == "automask" else seeds)] for r in recipes]
    if backbone is not None:
        _check_backbone(backbone, [run for some in found for run in some if isinstance(run, Run)])
    runs = [run for some in found for run in some if isinstance(run, Run)]
    return runs, [some[0] for some in found if isinstance(some[0], NotRun)]


def open_data(
    scaled: Recipe,
    printed: Recipe,
    data: Path | None,
    cache: Path,
    opened: dict[tuple[object, ...], Dataset],
) -> Dataset:
    """The data of a recipe, once for all runs that share it."""
    classes = scaled.num_classes if scaled.num_classes < printed.num_classes else None
    if data is None and scaled.num_classes < synthetic.CLASSES.get(scaled.data, 0):
        classes = scaled.num_classes  # as many kinds of things are drawn as the recipe tells apart
    if scaled.task == "byol" and data is not None and not (data / "p1_data/mini/train.csv").exists():
        classes = None  # without labels there are no classes to choose from
    place = (scaled.data, scaled.image_size, classes)
    if place not in opened:
        opened[place] = open_dataset(
            scaled.data, data, image_size=scaled.image_size, classes=classes, cache=cache
        )
    dataset = opened[place]
    if scaled.task == "classify" and not len(dataset.val):
        dataset = opened.setdefault((*place, "held out"), hold_out(dataset))
    return dataset


def _check_backbone(file: Path, runs: Sequence[Run]) -> None:
    """Load the file into every network that is to start from it, so that a wrong one costs no training."""
    state = read_state_dict(file)
    for recipe in {run.recipe for run in runs if run.backbone is not None}:
        with torch.random.fork_rng(devices=[]):
            model = models.build(
                recipe.model,
                num_classes=recipe.num_classes,
                width=recipe.width,
                **dict(recipe.model_args),
            )
        try:
            model.load_encoder(state)  # type: ignore[operator]
        except InputError as error:
            raise InputError(f"--backbone {file}: {error}") from None


_FOLDERS = {
    "classification50": "p1_data/train_50",
    "miniimagenet": "p1_data/mini",
    "officehome": "p1_data/office",
    "landcover": "p2_data",
}


def missing(runs: Sequence[Run], out: Path, *, again: bool = False) -> list[Run]:
    """Those of ``runs`` that have no ok record under ``out`` (all if ``again``), what they start from first.

    A run is started from weights: one that is recorded but whose weights are gone is trained anew, and so is
    one that was killed after its weights and before its record.
    """
    todo: dict[str, Run] = {}
    for run in runs:
        if again or _finished(run, out) is None:
            start = run.start
            if start is not None and not (start.weights(out).exists() and _finished(start, out)):
                todo[start.run_id] = start
            todo[run.run_id] = run
    return list(todo.values())


def tidy(run: Run, out: Path) -> None:
    """Remove what is left of a finished run that was killed after its record and before its end."""
    folder = run.folder(out)
    if any((folder / name).exists() for name in (*checkpoint.NAMES, lock.OWNER)):
        with suppress(InputError), lock.held(folder, run.label):
            checkpoint.remove(folder)  # another process that is at it, as with --again, keeps its own


def execute(
    run: Run,
    out: Path,
    *,
    weights: Path | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
    progress: Callable[[Progress], None] = lambda _: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Record:
    """Train one run and write its record, whatever becomes of it.

    A run that is interrupted (Ctrl-C, SIGTERM, a full disk) leaves its checkpoint and a record
    ``interrupted``, and the interruption goes on to the caller.

    Args:
        notice: called with a line for each damaged checkpoint, which is in the record's notes too.

    Raises:
        InputError: another process works on this very run, or what it starts from has left no weights.
        DiskError: a file cannot be written.
    """
    folder = run.folder(out)
    noted: list[str] = []

    def went_on(where: Progress) -> None:
        progress(where)
        interruption.check()

    def note(line: str) -> None:
        noted.append(line)
        notice(line)

    with ExitStack() as held:
        distributed.rank0_first(lambda: _make_ready(run, out, folder, held, resume=resume))
        work: Callable[..., Outcome] = segment_images if run.recipe.task == "automask" else train
        train_it = partial(
            work,
            run.recipe,
            run.dataset,
            seed=run.seed,
            numerics=run.numerics,
            folder=folder,
            weights=weights,
            initial=_initial(run, out),
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            progress=went_on,
            notice=note,
        )
        record = _execute_locked(run, out, folder, train_it, noted)
    if record.status in ("failed", "oom"):
        distributed.give_up(f"{run.label}: {record.status}: {record.reason}")
    distributed.barrier()
    return record


def _make_ready(run: Run, out: Path, folder: Path, held: ExitStack, *, resume: bool) -> None:
    """Lock the run's folder until ``held`` is closed and clear what is stale in it; rank 0 does, for all."""
    if not distributed.world().main:
        return
    held.enter_context(lock.held(folder, run.label))
    for place in (folder, folder / "masks", folder / "embeddings"):
        remove_leftovers(place)
    for place in (out / "records" / run.printed.slug, out / "figures" / run.printed.slug):
        remove_leftovers(place, f".{run.run_id}*.tmp")
    check_writable(out / "records" / run.printed.slug / f"{run.run_id}.probe")
    if not resume:
        checkpoint.remove(folder)
        for stale in folder.glob("*/*.npy"):
            stale.unlink()


def _execute_locked(
    run: Run, out: Path, folder: Path, train_it: Callable[[], Outcome], noted: list[str]
) -> Record:
    """The record of a training, written by rank 0."""
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    earlier, main = len(_attempts(run, out)), distributed.world().main
    stop: BaseException | None = None
    try:
        flops_per_sample(run.recipe)  # remembered: a run that is stopped has no seconds to count them
        outcome = train_it()
        record = _record(run, out, outcome, "ok", "", started, time.perf_counter() - clock)
        if main:
            record = _keep_results(run, out, folder, outcome, record)
            write_atomically(records.path_of(out, record), records.dumps(record).encode())
            checkpoint.remove(folder)
        return record
    except DivergedError as error:
        status, reason = "diverged", str(error)
    except DeviceMemoryError as error:
        status, reason = "oom", str(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        status, reason = "oom", str(error).partition("\n")[0] or type(error).__name__
    except distributed.RankLostError as error:
        status, reason, stop = "interrupted", str(error), error
    except (KeyboardInterrupt, SystemExit) as error:
        status, reason, stop = "interrupted", type(error).__name__, error
    except DiskError as error:
        status, reason, stop = "interrupted", str(error), error
    except InputError:
        raise
    except Exception as error:
        if interruption.asked():  # which broke off what cannot be broken off
            stop = interruption.error()
            status, reason = "interrupted", type(stop).__name__
        else:
            status, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
            write_atomically(folder / "traceback.txt", traceback.format_exc().encode())
    if main and len(_attempts(run, out)) > earlier:  # it was written before the interruption came
        assert stop is not None
        raise stop
    wall = time.perf_counter() - clock
    record = replace(_record(run, out, None, status, reason, started, wall), notes=noted)
    try:
        if main:
            write_atomically(records.path_of(out, record), records.dumps(record).encode())
    except DiskError as error:
        raise DiskError(f"{stop or reason}; nor can its record: {error}") from error
    if stop is not None:
        raise stop
    return record


def _finished(run: Run, out: Path) -> Record | None:
    """The latest record of a run that ended well."""
    return next((r for r in reversed(_attempts(run, out)) if r.status == "ok"), None)


def _initial(run: Run, out: Path) -> dict[str, torch.Tensor] | None:
    """The state dict that a run starts from, where that is not a file of pretrained weights."""
    if run.backbone is not None:
        return read_state_dict(run.backbone)
    if run.start is None:
        return None
    file, finished = run.start.weights(out), _finished(run.start, out)
    if not file.exists() or finished is None:
        raise InputError(
            f"{run.label} starts from {run.start.printed.slug}, which left no weights"
            f" at {file}; run that first"
        )
    state = read_state_dict(file)
    if checkpoint.weights_hash(state) != finished.weights_hash:
        raise InputError(
            f"{file}: not the weights of record {finished.slug}/{finished.name}, which has their hash;"
            " remove the file and run again"
        )
    return state


def _keep_results(run: Run, out: Path, folder: Path, outcome: Outcome, record: Record) -> Record:
    """Weights, per-image results and pictures; the record with the pictures' hashes."""
    if run.recipe.task == "automask":
        return automask.keep_results(run.recipe, run.tier, run.dataset, outcome, folder, out, record)
    write_atomically(run.weights(out), save_safetensors(outcome.weights))
    selected = outcome.best if run.recipe.selection == "best" else outcome.final
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, per_image=selected.per_image, targets=_labels(run), ids=np.array(run.dataset.val.ids)
    )
    write_atomically(records.path_of(out, record).with_suffix(".npz"), buffer.getvalue())
    figures = draw(run.recipe, run.tier, run.dataset, outcome, folder, out, record.name)
    return replace(record, figures=figures)


def _labels(run: Run) -> np.ndarray:
    """True labels of the validation images; none for masks, whose counts are in the confusions."""
    targets = np.asarray(run.dataset.val.targets)
    return targets if targets.ndim == 1 else np.empty(0, dtype=np.int64)


def _attempts(run: Run, out: Path) -> list[Record]:
    folder = out / "records" / run.printed.slug
    found = [records.read(path) for path in folder.glob(f"{run.run_id}*.json")]
    return sorted(found, key=lambda record: record.attempt)


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
    )


def _ranks(outcome: Outcome | None) -> dict[str, Any]:
    """How many processes trained together, and the images that each of them trained on a second."""
    rates = [] if outcome is None else list(outcome.rank_rates)
    return {"world_size": distributed.world().size, "rank_samples_per_second": rates}


def _initial_weights(run: Run, outcome: Outcome | None) -> dict[str, str]:
    """What training started from, and the hash of those weights."""
    if run.backbone is not None:
        origin = {"from": f"file {run.backbone.name}"}
    elif run.start is not None:
        origin = {"from": run.recipe.init, "run_id": run.start.run_id}
    else:
        origin = {"from": run.recipe.init}
    return {**origin, "hash": outcome.initial_hash if outcome else ""}


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


def _settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON holds it, without its words: rewording an assumption does not make a new run.

    A network from elsewhere is told by its source too, so that a changed one makes a new run.
    """
    fields = dataclasses.asdict(recipe)
    del fields["assumptions"], fields["title"]
    fields |= tiers.network_source(recipe)
    settings: dict[str, Any] = json.loads(records.canonical(fields))
    return settings


def _finite(value: float) -> float | None:
    """JSON has no nan: an undefined figure is null."""
    return value if np.isfinite(value) else None


def flops_per_sample(recipe: Recipe) -> tuple[float, float]:
    """Forward and training FLOPs of one image (a multiply-add is 2), counted on shapes alone."""
    if recipe.task == "automask":
        points = int(dict(recipe.model_args)["points_per_side"]) ** 2
        return flops_per_image(recipe.model, points=points), 0.0
    of = cost.of_network(
        recipe.model,
        num_classes=recipe.num_classes,
        image_size=recipe.image_size,
        width=recipe.width,
        model_args=dict(recipe.model_args),
    )
    return of.forward_flops, of.training_flops


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
