"""Commands about time: `plan` and `throughput compare`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    RESULTS,
    ClaimsOption,
    Format,
    FormatOption,
    RecipesOption,
    Tier,
    add_recipes,
    app,
    refuse_name,
)
from bench.cli.printing import print_rows
from reference.errors import InputError


@app.command("plan")
def plan_(
    gpu_hours: Annotated[
        float | None, typer.Option(min=0, help="Show which recipes fit into these hours.")
    ] = None,
    tier: Annotated[Tier, typer.Option(help="How far to scale the runs down.")] = Tier.full,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds of every recipe.")] = 1,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Number of GPUs; bounds the hours of all runs.")
    ] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(min=1, help="Show which recipes fit a GPU of so many GB.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "bfloat16",
    throughput: Annotated[Path | None, typer.Option(help="Result file of the machine to plan for.")] = None,
    output: FormatOption = Format.table,
    out: Annotated[Path, typer.Option("--out", help="Folder of records and throughput.")] = RESULTS,
    claims_files: ClaimsOption = None,
    recipe_files: RecipesOption = None,
) -> None:
    """List which claims runs can settle and the hours they take, most claims an hour first."""
    add_recipes(claims_files, recipe_files)
    from bench.claims.ledger import load_ledgers
    from bench.plan import hours
    from bench.runs import records
    from bench.throughput import results
    from reference.recipes import RECIPES

    if dtype not in ("float32", "bfloat16"):
        refuse_name("--dtype", dtype, ["float32", "bfloat16"])
    if gpu_memory is not None and tier is Tier.smoke:
        raise InputError("--gpu-memory: predicted at printed sizes, found --tier smoke; give gpu or full")
    result = results.read_session(throughput) if throughput else hours.of_a_gpu(results.read_sessions(out))
    counted = hours.counted_before()
    basis = replace(hours.Basis.of(result, dtype, records.read_all(out)), counted=counted)
    claims = [claim for ledger in load_ledgers() for claim in ledger.claims]
    jobs = hours.plan(RECIPES, claims, basis, tier=tier.value)
    counted.save()
    lines = hours.closing(jobs, claims, basis, tier=tier.value)
    if gpus is not None:
        from bench.plan import makespan

        lines = [*lines[:-1], *makespan.closing(makespan.bounds(jobs, seeds=seeds, gpus=gpus), gpus)]
    table = hours.plan_rows(jobs, claims, seeds=seeds, budget=gpu_hours)
    if gpu_memory is not None:
        from bench.plan import predictions

        table = predictions.with_memory(table, [job.recipe for job in jobs], gpu_memory, dtype)
        memories = sorted({*predictions.USUAL_MEMORIES, gpu_memory})
        lines += [predictions.summary([job.recipe for job in jobs], gb, dtype) for gb in memories]
    print_rows(hours.brief(table) if output is Format.table else table, output)
    print("\n".join(["", *lines]), file=sys.stderr if output is Format.json else sys.stdout)


throughput_app = typer.Typer(help="Throughput results of suites/throughput.", rich_markup_mode=None)
app.add_typer(throughput_app, name="throughput")


@throughput_app.callback()
def _of_throughput() -> None:
    """Throughput results, as ``pytest suites/throughput --measure`` writes them."""


@throughput_app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="The earlier result file.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="The later result file, of the same machine.", metavar="B")],
    output: FormatOption = Format.table,
) -> None:
    """Compare two sessions on one machine, row by row; B/A above 1 means that B is faster."""
    from bench.throughput import compare_sessions, results

    print_rows(compare_sessions.compare(results.read_session(a), results.read_session(b)), output)
