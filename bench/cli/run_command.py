"""The commands. What a command needs is imported when it runs, so that listings answer at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.runs import interruption
from reference.errors import InputError

if TYPE_CHECKING:
    from bench.runs.records import Record
    from bench.runs.run_plan import Run
    from reference.recipes.recipe import Recipe
    from reference.training.state import Progress

from bench.cli.options import (
    RUNS,
    ClaimsOption,
    MaskValuesOption,
    OutOption,
    Tier,
    add_reports,
    app,
    chosen_recipes,
    data_folder,
    mask_values_of,
    refuse_name,
)


@app.command()
@interruption.interruptible()
def run(
    slugs: Annotated[list[str] | None, typer.Argument(help="Recipes to run.", metavar="SLUG…")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every recipe that can run here.")] = False,
    tier: Annotated[Tier, typer.Option(help="What is scaled down.")] = Tier.smoke,
    data: Annotated[str, typer.Option(help="'synthetic', or a folder in the official layout.")] = "synthetic",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0…k−1.")] = 1,
    init: Annotated[str | None, typer.Option(help="'scratch' instead of the recipe's weights.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with pretrained weights.")] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="ResNet-50 file in place of the recipe 'supervised'.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16 (autocast).")] = "float32",
    micro_batch: Annotated[
        int | None, typer.Option(min=2, help="Most images to train on at once; a deviation.")
    ] = None,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Memory layout NHWC.")] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile, eager where it fails.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from an unfinished run's checkpoint.")] = True,
    again: Annotated[bool, typer.Option("--again", help="Run even what has a record.")] = False,
    out: OutOption = RUNS,
    cache: Annotated[Path | None, typer.Option(envvar="BENCH_CACHE", help="Decoded images.")] = None,
    mask_values: MaskValuesOption = None,
    own: ClaimsOption = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Also TensorBoard events, in OUT/tensorboard."),
    ] = False,
    address: Annotated[
        str | None, typer.Option("--cluster", metavar="ADDRESS", help="Ray cluster to run on.")
    ] = None,
    shared: Annotated[
        Path | None, typer.Option(help="Folder all nodes see, for checkpoints; else the driver keeps them.")
    ] = None,
) -> None:
    """Run what is missing, one record for each recipe and seed."""
    add_reports(own)
    chosen = chosen_recipes(slugs, every)
    source = data_folder(data)
    if init not in (None, "scratch"):
        refuse_name("--init", str(init), ["scratch"])
    if dtype not in ("float32", "bfloat16"):
        refuse_name("--dtype", dtype, ["float32", "bfloat16"])
    if weights is not None and not weights.is_dir():
        raise InputError(f"--weights {weights}: no such folder")
    if tensorboard:
        from bench.runs import tensorboard_events

        tensorboard_events.check_installed()
    if own:
        _check_runnable(chosen, tier.value)
    if shared is not None and address is None:
        raise InputError("--shared: a folder for the nodes of a cluster; name that with --cluster")
    if address is not None:
        _check_for_cluster(own, tensorboard)

    from bench.runs import execute, run_plan
    from reference.training import distributed
    from reference.training.numerics import Numerics

    ray = None
    if address is not None:
        from bench.runs import cluster

        ray = cluster.connect(address)
    kind = run_plan.choose_device(device) if ray is None else cluster.choose_device(ray, device)
    _join(kind)
    runs, absent = distributed.rank0_first(
        lambda: run_plan.plan(
            chosen,
            tier=tier.value,
            data=source,
            seeds=seeds,
            init=init,
            weights=weights,
            numerics=Numerics(
                device=kind,
                dtype=dtype,
                channels_last=channels_last,
                compiled=compiled,
                deterministic=kind == "cpu",
            ),
            cache=cache or out / "cache",
            backbone=backbone,
            micro_batch=micro_batch,
            mask_values=mask_values_of(mask_values),
            notice=lambda line: print(line, file=sys.stderr),
        )
    )
    for one in absent:
        print(f"{one.slug}: not run: {one.reason}: {one.cause}", file=sys.stderr)
    todo = distributed.rank0_first(lambda: execute.missing(runs, out, again=again))
    distributed.barrier()
    if not runs:
        raise InputError("nothing can run here; see the lines above")
    wanting = {run.run_id for run in todo}
    done = [run for run in runs if run.run_id not in wanting]
    if done:
        print(f"{len(done)} of {len(runs)} runs have a record already (--again runs them anew)")
    for finished in done if distributed.world().main else ():
        execute.tidy(finished, out)
    if ray is None:
        statuses = _run_all(todo, out, weights, resume=resume and not again, tensorboard=tensorboard)
    else:
        seen = (folder and folder.absolute() for folder in (source, weights, cache, shared))
        places = cluster.Folders(*seen)
        with cluster.Board(todo, _summary) as board:
            statuses = cluster.run_all(ray, todo, out, places, resume=resume and not again, say=board)
    distributed.leave()
    if any(status != "ok" for status in statuses):
        raise typer.Exit(1)


def _check_for_cluster(own: Sequence[Path] | None, tensorboard: bool) -> None:
    """Refuse what a cluster's workers cannot do."""
    if "WORLD_SIZE" in os.environ:
        raise InputError("--cluster: a run there is one process; give the command without torchrun")
    if own:
        raise InputError(f"--claims {own[0]}: its recipes are only here; run them without --cluster")
    if tensorboard:
        raise InputError("--tensorboard: events are written where a run is; use it without --cluster")


def _join(kind: str) -> None:
    """Meet the other processes of torchrun, if it started this one; all but rank 0 fall silent."""
    from reference.training import distributed

    world = distributed.join(kind)
    if not world.main:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    elif world.size > 1:
        command = interruption.command()
        print(f"{world.size} processes divide each batch; if one is lost, go on with: {command}", flush=True)


def _check_runnable(chosen: Iterable[Recipe], tier: str) -> None:
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
            scaled, _ = tiers.apply(recipe, tier)
            added.check_runnable(
                replace(scaled, init=recipe.init)
            )  # as printed, though a tier may do without


def _run_all(
    todo: Sequence[Run], out: Path, weights: Path | None, *, resume: bool, tensorboard: bool = False
) -> list[str]:
    """Run one after another, showing progress; the status of each."""
    from bench.runs import execute
    from bench.runs.progress import RunProgress
    from reference.training import distributed

    statuses = []
    for position, one in enumerate(todo, start=1):
        interruption.check()
        label = f"[{position}/{len(todo)}] {one.label}"
        data = one.dataset
        kind = data.source if data.source == "synthetic" else f"{data.source} data {data.name}"
        counts = f"{len(data.train.ids)} train + {len(data.val.ids)} val images"
        print(f"{label}: {one.tier} tier on {kind}, {counts}, {one.numerics.device}", flush=True)
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
        statuses.append(record.status)
    return statuses


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
    where = f" at epoch {entry['epoch']}" if entry["epoch"] else ""
    chance = "" if majority is None else f" (majority class {majority:.4f})"
    return f"{name} {shown}{where}{chance}, {record.wall_seconds:.0f} s"
