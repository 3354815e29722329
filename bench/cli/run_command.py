"""`bench run`: runs what is missing, on this machine or on a Ray cluster.

What a command needs is imported when it runs, so that listings answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.runs import interruption
from reference.errors import InputError

if TYPE_CHECKING:
    from bench.cli.verdict_lines import VerdictLines
    from bench.runs.records import Record
    from bench.runs.run_plan import Run
    from reference.recipes.recipe import Recipe
    from reference.training.state import Progress

from bench.cli.options import (
    RUNS,
    ClaimsOption,
    MaskValuesOption,
    OutOption,
    RecipesOption,
    Tier,
    add_recipes,
    app,
    chosen_recipes,
    data_folder,
    left_out,
    mask_values_of,
    refuse_name,
    taken_as,
)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What ``bench run`` can be told."""

    slugs: Annotated[list[str] | None, typer.Argument(help="Recipes to run.", metavar="SLUG…")] = None
    every: Annotated[bool, typer.Option("--all", help="Run every recipe that can run here.")] = False
    tier: Annotated[
        Tier | None, typer.Option(help="How far to scale the runs down; default smoke, for MNIST-1D full.")
    ] = None
    data: Annotated[str, typer.Option(help="'synthetic', or a folder in the official layout.")] = "synthetic"
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Number of seeds; runs seeds 0 to N−1. Default 1, for MNIST-1D 3."),
    ] = None
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Number of runs at a time; default 1, for MNIST-1D one per core."),
    ] = None
    init: Annotated[str | None, typer.Option(help="'scratch' instead of the recipe's weights.")] = None
    weights: Annotated[Path | None, typer.Option(help="Folder with pretrained weights.")] = None
    backbone: Annotated[
        Path | None, typer.Option(help="ResNet-50 file in place of the recipe 'supervised'.")
    ] = None
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto"
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16 (autocast).")] = "float32"
    micro_batch: Annotated[
        int | None, typer.Option(min=2, help="Maximum images to train on or evaluate at once; a deviation.")
    ] = None
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Shorten the schedule to N epochs; a deviation.")
    ] = None
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Use memory layout NHWC.")] = False
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile; run eagerly if it fails.")
    ] = False
    resume: Annotated[bool, typer.Option(help="Resume an unfinished run from its checkpoint.")] = True
    again: Annotated[
        str | None,
        typer.Option("--again", metavar="REASON", help="Repeat runs that have a record, and record why."),
    ] = None
    out: OutOption = RUNS
    cache: Annotated[
        Path | None, typer.Option(envvar="BENCH_CACHE", help="Cache folder of decoded images.")
    ] = None
    mask_values: MaskValuesOption = None
    own: ClaimsOption = None
    recipe_files: RecipesOption = None
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events to OUT/tensorboard.")
    ] = False
    address: Annotated[
        str | None, typer.Option("--cluster", metavar="ADDRESS", help="Ray cluster to run on.")
    ] = None
    shared: Annotated[
        Path | None, typer.Option(help="With --cluster: folder that every node and this machine see.")
    ] = None


@app.command()
@interruption.interruptible()
@taken_as(RunOptions)
def run(options: RunOptions) -> None:
    """Run what is missing, one record for each recipe and seed."""
    _check(options)
    add_recipes(options.own, options.recipe_files)
    recipes = chosen_recipes(options.slugs, options.every)
    for slug in left_out(options.slugs or (), recipes):
        print(f"{slug}: left out, since it takes a minute or more a seed; name it to run it", flush=True)
    if options.own:
        _check_runnable(recipes, options.tier and options.tier.value)
    statuses = local(options, recipes) if options.address is None else on_cluster(options, recipes)
    if any(status != "ok" for status in statuses):
        raise typer.Exit(1)


def _check(options: RunOptions) -> None:
    """Refuse options that are wrong, or that contradict each other, before anything is opened."""
    data_folder(options.data)
    if options.init not in (None, "scratch"):
        refuse_name("--init", str(options.init), ["scratch"])
    if options.dtype not in ("float32", "bfloat16"):
        refuse_name("--dtype", options.dtype, ["float32", "bfloat16"])
    if options.again is not None and not options.again.strip():
        raise InputError("--again: found no reason; say why a run that has a record is made anew")
    if options.weights is not None and not options.weights.is_dir():
        raise InputError(f"--weights {options.weights}: no such folder")
    if options.tensorboard:
        from bench.runs import tensorboard_events

        tensorboard_events.check_installed()
    alone = options.address is None and "WORLD_SIZE" not in os.environ
    if (options.jobs or 1) > 1 and (not alone or options.own or options.tensorboard):
        raise InputError(f"--jobs {options.jobs}: for packaged recipes on one machine, without --tensorboard")
    if options.address is None:
        if options.shared is not None:
            raise InputError("--shared: a folder for the nodes of a cluster; name that with --cluster")
        return
    if "WORLD_SIZE" in os.environ:
        raise InputError("--cluster: a run there is one process; give the command without torchrun")
    if options.own:
        raise InputError(f"--claims {options.own[0]}: its recipes are only here; run them without --cluster")
    if options.tensorboard:
        raise InputError("--tensorboard: events are written where a run is; use it without --cluster")
    if options.shared is None:
        raise InputError(
            f"--cluster {options.address}: needs --shared DIR, a folder that every node and this machine see"
        )


def local(options: RunOptions, recipes: Sequence[Recipe]) -> list[str]:
    """Run what is missing, in this process or, where runs are small, side by side; the status of each."""
    from bench.cli.verdict_lines import VerdictLines
    from bench.runs import run_plan, side_by_side
    from reference.training import distributed

    device = run_plan.choose_device(options.device)
    _join(device)
    todo = _missing(options, recipes, device)
    workers = 1
    if distributed.world().size == 1 and not (options.own or options.tensorboard):
        workers = side_by_side.workers_for(todo, options.jobs)
    resume, verdicts = options.resume and not options.again, VerdictLines(todo, options.out)
    if workers > 1:
        return _run_side_by_side(
            todo, options.out, options.weights, workers=workers, resume=resume, verdicts=verdicts
        )
    statuses = _run_all(
        todo,
        options.out,
        options.weights,
        resume=resume and options.again is None,
        tensorboard=options.tensorboard,
        verdicts=verdicts,
    )
    distributed.leave()
    return statuses


def on_cluster(options: RunOptions, recipes: Sequence[Recipe]) -> list[str]:
    """Run what is missing on a Ray cluster; the status of each."""
    from bench.runs import cluster

    assert options.address is not None
    assert options.shared is not None
    ray = cluster.connect(options.address)
    todo = _missing(options, recipes, cluster.choose_device(ray, options.device))
    data, weights, cache = (
        folder and folder.absolute() for folder in (data_folder(options.data), options.weights, options.cache)
    )
    folders = cluster.Folders(data=data, weights=weights, cache=cache, shared=options.shared.absolute())
    resume = options.resume and options.again is None
    with cluster.ProgressBoard(todo, _summary) as board:
        return cluster.run_all(ray, todo, options.out, folders, resume=resume, say=board)


def _missing(options: RunOptions, recipes: Sequence[Recipe], device: str) -> list[Run]:
    """The runs without a record, what they start from first; says what cannot run, and what is there.

    Raises:
        InputError: nothing can run here.
    """
    from bench.runs import execute, recording, run_plan
    from reference.training import distributed
    from reference.training.numerics import Numerics

    numerics = Numerics(
        device=device,
        dtype=options.dtype,
        channels_last=options.channels_last,
        compiled=options.compiled,
        deterministic=device == "cpu",
    )
    runs, absent = distributed.rank0_first(
        lambda: run_plan.plan(
            recipes,
            tier=options.tier and options.tier.value,
            data=data_folder(options.data),
            seeds=options.seeds,
            init=options.init,
            weights=options.weights,
            numerics=numerics,
            cache=options.cache or options.out / "cache",
            backbone=options.backbone,
            micro_batch=options.micro_batch,
            epochs=options.epochs,
            mask_values=mask_values_of(options.mask_values),
            notice=lambda line: print(line, file=sys.stderr),
            again=options.again or "",
        )
    )
    for one in absent:
        print(f"{one.slug}: not run: {one.reason}: {one.cause}", file=sys.stderr)
    for line in (line for run in runs for line in recording.damaged(run, options.out)):
        print(f"warning: not counted: {line}", file=sys.stderr)
    todo = distributed.rank0_first(
        lambda: execute.missing(runs, options.out, again=options.again is not None)
    )
    distributed.barrier()
    if not runs:
        raise InputError("nothing can run here; see the lines above")
    wanting = {run.run_id for run in todo}
    done = [run for run in runs if run.run_id not in wanting]
    if done:
        print(f"{len(done)} of {len(runs)} runs have a record already (--again REASON runs them anew)")
    for finished in done if distributed.world().main else ():
        execute.tidy(finished, options.out)
    for line in _known_first_steps(todo):
        print(line, flush=True)
    return todo


def _known_first_steps(todo: Sequence[Run]) -> list[str]:
    """What is known of the first steps of each recipe, before hours are spent on it."""
    from bench.plan import first_steps

    recipes = {run.printed.slug: run.printed for run in todo if run.tier != "smoke"}
    tried = {slug: first_steps.known(recipe) for slug, recipe in recipes.items()}
    return [f"{slug}: {entry.sentence}" for slug, entry in tried.items() if entry is not None]


def _join(kind: str) -> None:
    """Meet the other processes of torchrun, if it started this one; all but rank 0 fall silent."""
    from reference.training import distributed

    world = distributed.join(kind)
    if not world.main:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    elif world.size > 1:
        command = interruption.command()
        print(f"{world.size} processes divide each batch; if one is lost, go on with: {command}", flush=True)


def _check_runnable(chosen: Iterable[Recipe], tier: str | None) -> None:
    """Recipes of one's own, and those that they start from, before anything is trained."""
    from dataclasses import replace

    from bench.claims import added
    from bench.runs import tiers
    from reference.recipes import RECIPES

    recipes = {recipe.slug: recipe for recipe in chosen}
    for recipe in chosen:
        start = recipe.init.removeprefix("run:")
        recipes |= {start: RECIPES[start]} if start in RECIPES else {}
    for slug, recipe in recipes.items():
        if slug in added.SLUGS:
            scaled, _ = tiers.apply(recipe, tier or tiers.default(recipe))
            # as printed, though a tier may do without
            added.check_runnable(replace(scaled, init=recipe.init))


def _run_all(
    todo: Sequence[Run],
    out: Path,
    weights: Path | None,
    *,
    resume: bool,
    tensorboard: bool,
    verdicts: VerdictLines,
) -> list[str]:
    """Run one after another, showing progress; the status of each."""
    from bench.runs import execute, records
    from bench.runs.progress import RunProgress
    from reference.training import distributed

    statuses: list[str] = []
    written: Path | None = None
    picture: Path | None = None
    for position, one in enumerate(todo, start=1):
        interruption.stop_if_asked()
        label = f"[{position}/{len(todo)}] {one.label}"
        print(f"{label}: {_described(one)}", flush=True)
        if one.start is not None and not one.start.weights(out).exists():
            print(f"{label}: not started: {one.start.printed.slug} left no weights", file=sys.stderr)
            statuses.append("not started")
            continue

        def notice(line: str, label: str = label) -> None:
            print(f"{label}: {line}", file=sys.stderr, flush=True)

        with ExitStack() as stack:
            shown: list[Callable[[Progress], None]] = [stack.enter_context(RunProgress(label))]
            if tensorboard and distributed.world().main:
                from bench.runs.tensorboard_events import EpochEvents

                shown.append(stack.enter_context(EpochEvents(one, out)))
            record = execute.execute(
                one, out, weights=weights, resume=resume, progress=partial(_tell, shown), notice=notice
            )
        print(f"{label}: {_summary(record)}", flush=True)
        written = records.path_of(out, record)
        picture = next((out / figure["file"] for figure in record.figures), picture)
        statuses.append(record.status)
        verdicts.finished(one)
    if picture is not None:
        print(f"picture: {picture}", flush=True)
    if written is not None:
        print(f"record: {written}; next: bench grade --out {out}, bench report --out {out}", flush=True)
    return statuses


def _described(run: Run) -> str:
    """Tier, data and device of a run, in words."""
    data = run.dataset
    kind = data.source if data.source == "synthetic" else f"{data.source} data {data.name}"
    things = "signals" if data.train.images.ndim == 2 else "images"
    counts = f"{len(data.train.ids)} train + {len(data.val.ids)} val {things}"
    return f"{run.tier} tier on {kind}, {counts}, {run.numerics.device}"


def _run_side_by_side(
    todo: Sequence[Run],
    out: Path,
    weights: Path | None,
    *,
    workers: int,
    resume: bool,
    verdicts: VerdictLines,
) -> list[str]:
    """Run several at a time, a line as each ends; the status of each."""
    from bench.runs import side_by_side

    kinds = "; ".join(dict.fromkeys(map(_described, todo)))
    print(f"{len(todo)} runs, {workers} at a time: {kinds}", flush=True)

    def told(position: int, record: Record) -> None:
        one = todo[position]
        print(f"[{position + 1}/{len(todo)}] {one.label}: {_summary(record)}", flush=True)
        verdicts.finished(one)

    return side_by_side.run_all(todo, out, workers=workers, weights=weights, resume=resume, told=told)


def _tell(listeners: Sequence[Callable[[Progress], None]], progress: Progress) -> None:
    for listener in listeners:
        listener(progress)


def _summary(record: Record) -> str:
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    entry = record.metrics[record.selected]
    name = entry["primary"]
    value, majority = record.metric(name), entry["majority"]
    shown = "undefined" if value is None else f"{value:.4f}"
    epoch_text = f" at epoch {entry['epoch']}" if entry["epoch"] else ""
    chance = "" if majority is None else f" (majority class {majority:.4f})"
    return f"{name} {shown}{epoch_text}{chance}, {record.wall_seconds:.0f} s"
