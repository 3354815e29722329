"""The commands. What a command needs is imported when it runs, so that listings answer at once."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bench import interruption
from reference.errors import InputError

if TYPE_CHECKING:
    from bench.records import Record
    from bench.runner import Run
    from reference.recipes.recipe import Recipe
    from reference.training.loop import Progress

app = typer.Typer(
    name="bench",
    help="Does this number hold? Runs reference recipes and grades the claims of reports.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RUNS = Path("runs")
RESULTS = Path("results")


class What(StrEnum):
    recipes = "recipes"
    claims = "claims"
    models = "models"
    runs = "runs"


class Format(StrEnum):
    table = "table"
    json = "json"
    markdown = "markdown"


class Tier(StrEnum):
    smoke = "smoke"
    gpu = "gpu"
    full = "full"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder that holds the records.")]
ClaimsOption = Annotated[
    list[Path] | None,
    typer.Option("--claims", envvar="BENCH_CLAIMS", help="Claims file of a report of your own; repeatable."),
]


@app.command("list")
def list_(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.recipes,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    own: ClaimsOption = None,
) -> None:
    """List what there is: recipes, claims, models or runs."""
    _add(own)
    from bench import listing, records

    found = records.find(out) if what is What.runs else records.Found([], [])
    listings: dict[What, Callable[[], listing.Rows]] = {
        What.recipes: listing.recipes,
        What.claims: listing.claims,
        What.models: listing.models,
        What.runs: lambda: listing.runs(found.readable),
    }
    _print_rows(listings[what](), output)
    _warn_of(found.refused)


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
    _add(own)
    chosen = _recipes(slugs, every)
    source = _data_folder(data)
    if init not in (None, "scratch"):
        _refuse("--init", str(init), ["scratch"])
    if dtype not in ("float32", "bfloat16"):
        _refuse("--dtype", dtype, ["float32", "bfloat16"])
    if weights is not None and not weights.is_dir():
        raise InputError(f"--weights {weights}: no such folder")
    if tensorboard:
        from bench import events

        events.check_installed()
    if own:
        _check_runnable(chosen, tier.value)
    if shared is not None and address is None:
        raise InputError("--shared: a folder for the nodes of a cluster; name that with --cluster")
    if address is not None:
        _check_for_cluster(own, tensorboard)

    from bench import runner
    from reference.training import distributed
    from reference.training.loop import Numerics

    ray = None
    if address is not None:
        from bench import cluster

        ray = cluster.connect(address)
    kind = runner.choose_device(device) if ray is None else cluster.choose_device(ray, device)
    _join(kind)
    runs, absent = distributed.rank0_first(
        lambda: runner.plan(
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
        )
    )
    for one in absent:
        print(f"{one.slug}: not run: {one.reason}: {one.cause}", file=sys.stderr)
    todo = distributed.rank0_first(lambda: runner.missing(runs, out, again=again))
    distributed.barrier()
    if not runs:
        raise InputError("nothing can run here; see the lines above")
    wanting = {run.run_id for run in todo}
    done = [run for run in runs if run.run_id not in wanting]
    if done:
        print(f"{len(done)} of {len(runs)} runs have a record already (--again runs them anew)")
    for finished in done if distributed.world().main else ():
        runner.tidy(finished, out)
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

    from bench import own, tiers
    from reference.recipes import RECIPES

    recipes = {recipe.slug: recipe for recipe in chosen}
    for recipe in chosen:
        start = recipe.init.removeprefix("run:")
        recipes |= {start: RECIPES[start]} if start in RECIPES else {}
    for slug, recipe in recipes.items():
        if slug in own.SLUGS:
            scaled, _ = tiers.apply(recipe, tier)
            own.check_runnable(replace(scaled, init=recipe.init))  # as printed, though a tier may do without


def _run_all(
    todo: Sequence[Run], out: Path, weights: Path | None, *, resume: bool, tensorboard: bool = False
) -> list[str]:
    """Run one after another, showing progress; the status of each."""
    from bench import runner
    from bench.progress import RunProgress
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
                from bench.events import EpochEvents

                shown.append(stack.enter_context(EpochEvents(one, out)))
            record = runner.execute(
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


@app.command()
def grade(
    claims: Annotated[
        list[str] | None, typer.Argument(help="Claims to grade, or reports.", metavar="CLAIM…")
    ] = None,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    own: ClaimsOption = None,
) -> None:
    """Grade claims from the records of a folder."""
    _add(own)
    from bench import alignment, listing, records
    from bench.ledger import load_ledgers

    found = records.find(out)
    rows = listing.grades(out, found.readable)
    if claims:
        of = {ledger.report: [claim.id for claim in ledger.claims] for ledger in load_ledgers()}
        known = {*of, *(str(row["claim"]) for row in rows)}
        for claim in claims:
            if claim not in known:
                _refuse("claim", claim, known)
        wanted = {name for claim in claims for name in (claim, *of.get(claim, ()))}
        rows = [row for row in rows if row["claim"] in wanted]
    _print_rows(rows, output)
    if any(alignment.WANTED in str(row["why"]) for row in rows):
        print(alignment.how_to(out), file=sys.stderr)
    _warn_of(found.refused)


@app.command()
def audit(
    reports: Annotated[
        list[str] | None, typer.Argument(help="r1 … r5, or claims files of your own.", metavar="REPORT…")
    ] = None,
    output: FormatOption = Format.table,
    own: ClaimsOption = None,
) -> None:
    """Check reports against themselves and each other; trains nothing."""
    from bench import audit as auditing
    from bench.ledger import load_ledger, load_ledgers

    names = reports or []
    files = [name for name in names if name.endswith(".toml")]
    # a claims file's recipes are not run for this: trains nothing, executes nothing
    ledgers = {ledger.report: ledger for ledger in load_ledgers([*files, *(own or ())])}
    wanted = [load_ledger(file).report for file in files]
    for name in names:
        if name not in ledgers and name not in files:
            _refuse("report", name, ledgers)
    wanted += [name for name in names if name in ledgers]
    chosen = [ledgers[name] for name in dict.fromkeys(wanted)] or list(ledgers.values())
    findings = auditing.audit(chosen)
    if output is Format.markdown:
        print(auditing.page(chosen, findings))
        return
    rows = auditing.rows(findings)
    if output is Format.json:
        _print_rows(rows, output)
    else:
        shown = ("verdict", "strength", "check", "flag", "finding", "where")
        _print_rows([{name: row[name] for name in shown} for row in rows], output)
        for ledger in chosen:
            print(f"\n{auditing.paragraph(ledger, findings)}")


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", help="Folder that holds the records.")] = RESULTS,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the tables are stale.")] = False,
    own: ClaimsOption = None,
) -> None:
    """Write tables and pages from the records of a folder."""
    _add(own)
    from bench import records, tables
    from bench.ledger import load_ledgers

    if check:
        stale = tables.check(out, load_ledgers())
        for line in stale:
            print(line, file=sys.stderr)
        if stale:
            print(f"{len(stale)} stale; write them with: bench report --out {out}", file=sys.stderr)
            raise typer.Exit(1)
        print(f"{out}: tables are those of the records")
        return
    found = records.find(out)
    for path in tables.write_all(out, load_ledgers(), found):
        print(path)
    _warn_of(found.refused)


def _warn_of(refused: list[str]) -> None:
    """A line for each record that cannot be read, which no table counts."""
    for line in refused:
        print(f"warning: not counted: {line}", file=sys.stderr)


@app.command()
def publish(
    slugs: Annotated[list[str] | None, typer.Argument(help="Recipes; all if none.", metavar="SLUG…")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Only this tier.")] = None,
    source: Annotated[Path, typer.Option("--from", help="Folder of the runs.")] = RUNS,
    out: Annotated[Path, typer.Option("--out", help="Tracked results.")] = RESULTS,
    dirty: Annotated[bool, typer.Option("--dirty", help="Also runs of uncommitted code.")] = False,
    own: ClaimsOption = None,
) -> None:
    """Copy chosen records and figures into the tracked results and write its tables anew."""
    _add(own)
    from bench.publish import publish as copy

    chosen = [recipe.slug for recipe in _recipes(slugs, every=False)] if slugs else None
    for path in copy(source, out, slugs=chosen, tier=tier and tier.value, allow_dirty=dirty):
        print(path)


@app.command()
def score(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of predicted masks.")],
    truth: Annotated[Path, typer.Option("--truth", help="Folder of true masks.")],
) -> None:
    """Print the course's mIoU of predicted masks: IoU of each class, pooled, then their mean."""
    from bench import score as scoring

    for line in scoring.lines(scoring.score(pred, truth)):
        print(line)


@app.command("plan")
def plan_(
    gpu_hours: Annotated[float | None, typer.Option(min=0, help="Budget: which recipes fit.")] = None,
    tier: Annotated[Tier, typer.Option(help="What is scaled down.")] = Tier.full,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every recipe.")] = 1,
    gpus: Annotated[int | None, typer.Option(min=1, help="Place the runs on so many GPUs.")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "bfloat16",
    throughput: Annotated[Path | None, typer.Option(help="Result file of the machine to plan for.")] = None,
    output: FormatOption = Format.table,
    out: Annotated[Path, typer.Option("--out", help="Folder of records and throughput.")] = RESULTS,
    own: ClaimsOption = None,
) -> None:
    """Plan which claims runs can settle in how many hours, most claims an hour first."""
    _add(own)
    from bench import planning, records
    from bench import throughput as measured
    from bench.ledger import load_ledgers
    from reference.recipes import RECIPES

    if dtype not in ("float32", "bfloat16"):
        _refuse("--dtype", dtype, ["float32", "bfloat16"])
    result = measured.read(throughput) if throughput else planning.of_a_gpu(measured.read_all(out))
    basis = planning.Basis.of(result, dtype, records.read_all(out))
    claims = [claim for ledger in load_ledgers() for claim in ledger.claims]
    jobs = planning.plan(RECIPES, claims, basis, tier=tier.value)
    lines = planning.closing(jobs, claims, basis, tier=tier.value)
    if gpus is not None:
        from bench import makespan

        tasks = makespan.tasks_of(jobs, seeds)
        placed = makespan.schedule(tasks, gpus)
        _print_rows(makespan.rows(placed, gpus), output)
        lines = [*lines[:-1], *makespan.closing(tasks, placed, gpus)]
    else:
        table = planning.rows(jobs, claims, seeds=seeds, budget=gpu_hours)
        _print_rows(planning.brief(table) if output is Format.table else table, output)
    print("\n".join(["", *lines]), file=sys.stderr if output is Format.json else sys.stdout)


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Data folder to look into.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with pretrained weights.")] = None,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    cache: Annotated[Path | None, typer.Option(envvar="BENCH_CACHE", help="Decoded images.")] = None,
) -> None:
    """Check torch, GPU, disk, folders, data and weights, and say what this machine can run."""
    from dataclasses import asdict

    from bench import doctor as examining

    findings = examining.examine(out, cache or out / "cache", data, weights)
    _print_rows([asdict(finding) for finding in findings], output)
    if findings[-1].verdict == examining.BROKEN:
        raise typer.Exit(1)


data_app = typer.Typer(help="Data in the official layout.", rich_markup_mode=None)
app.add_typer(data_app, name="data")


@data_app.callback()
def _of_data() -> None:
    """Data in the official layout."""


@data_app.command("check")
def data_check(
    source: Annotated[Path, typer.Argument(help="Folder that holds p1_data or p2_data.", metavar="DIR")],
    manifest: Annotated[Path, typer.Option(help="Where the hashes of all files go.")] = RUNS
    / "manifest.json",
) -> None:
    """Count, decode and hash every file, list every fault and write a manifest."""
    from bench import datacheck
    from bench.progress import files_shown

    with files_shown("reading") as progress:
        checked = datacheck.check(source, progress)
    for fault in checked.faults:
        print(fault)
    for line in datacheck.lines(checked):
        print(line)
    datacheck.write_manifest(checked, manifest)
    print(manifest)
    if checked.faults:
        raise typer.Exit(1)


throughput_app = typer.Typer(help="Throughput results of suites/throughput.", rich_markup_mode=None)
app.add_typer(throughput_app, name="throughput")


@throughput_app.callback()
def _of_throughput() -> None:
    """Throughput results, as ``pytest suites/throughput --measure`` writes them."""


@throughput_app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The earlier result file.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="The later one, of the same machine.", metavar="B")],
    output: FormatOption = Format.table,
) -> None:
    """Compare two sessions on one machine, row by row; B/A above 1 means that B is faster."""
    from bench import throughput

    _print_rows(throughput.compare(throughput.read(a), throughput.read(b)), output)


@app.command("new-report")
def new_report(
    name: Annotated[str, typer.Argument(help="What to call it: lower-case letters, digits, hyphens.")],
) -> None:
    """Begin to grade another report: write NAME.toml and NAME.py into this folder."""
    from bench import own

    for path in own.start(name, Path()):
        print(path)
    print(f"next: bench list claims --claims {name}.toml, and docs/add-a-report.md")


def _add(own: list[Path] | None) -> None:
    """Make reports of one's own known to this process."""
    if own:
        from bench.own import add

        add(own)


def _recipes(slugs: list[str] | None, every: bool) -> list[Recipe]:
    """The recipes of those names, each once; a report's name stands for all of its recipes."""
    from reference.recipes import RECIPES

    if every:
        if slugs:
            raise InputError("--all runs every recipe; name recipes or say --all, not both")
        return list(RECIPES.values())
    if not slugs:
        raise InputError("no recipe named; name some (bench list recipes) or say --all")
    of: dict[str, list[str]] = {slug: [slug] for slug in RECIPES}
    for slug, recipe in RECIPES.items():
        of.setdefault(recipe.report, []).append(slug)
    for slug in slugs:
        if slug not in of:
            _refuse("recipe", slug, of)
    return [RECIPES[slug] for slug in dict.fromkeys(one for name in slugs for one in of[name])]


def _data_folder(data: str) -> Path | None:
    if data == "synthetic":
        return None
    if not Path(data).is_dir():
        raise InputError(
            f"--data {data}: no such folder; give 'synthetic' or a folder that holds p1_data or p2_data"
        )
    return Path(data)


def _refuse(kind: str, name: str, known: Iterable[str]) -> NoReturn:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
    raise InputError(f"{kind} {name!r} is not known; nearest: {', '.join(near)}")


def _print_rows(rows: list[dict[str, object]], output: Format) -> None:
    if output is Format.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    if not rows:
        print("none")
        return
    if output is Format.markdown:
        from tabulate import tabulate

        print(
            tabulate(
                [{k: _cell(v) for k, v in row.items()} for row in rows], headers="keys", tablefmt="github"
            )
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
