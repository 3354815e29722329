"""Commands that read records: `list`, `grade`, `audit`, `report`, `publish`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    RESULTS,
    RUNS,
    ClaimsOption,
    Format,
    FormatOption,
    OutOption,
    RecipesOption,
    Tier,
    What,
    add_recipes,
    add_reports,
    app,
    chosen_recipes,
    refuse_name,
)
from bench.cli.printing import print_rows, warn_of_refused


@app.command("list")
def list_(
    what: Annotated[What, typer.Argument(help="What to list.")] = What.recipes,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    own: ClaimsOption = None,
    recipe_files: RecipesOption = None,
) -> None:
    """List what there is: recipes, claims, models or runs."""
    if what in (What.recipes, What.models):
        add_recipes(own, recipe_files)
    else:
        add_reports(own)
    from bench.cli import list_rows
    from bench.runs import records

    found = records.find(out) if what is What.runs else records.Found([], [])
    listings: dict[What, Callable[[], list_rows.Rows]] = {
        What.recipes: list_rows.recipes,
        What.claims: list_rows.claims,
        What.models: list_rows.models,
        What.runs: lambda: list_rows.runs(found.readable),
    }
    print_rows(listings[what](), output)
    warn_of_refused(found.refused)


@app.command()
def grade(
    claims: Annotated[
        list[str] | None, typer.Argument(help="Claims to grade, or reports.", metavar="CLAIM…")
    ] = None,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    own: ClaimsOption = None,
    recipe_files: RecipesOption = None,
) -> None:
    """Grade claims from the records of a folder."""
    add_recipes(own, recipe_files)
    from bench.claims.ledger import load_ledgers
    from bench.cli import left_out, list_rows
    from bench.grading import alignment
    from bench.runs import records

    found = records.find(out)
    rows = list_rows.grades(out, found.readable)
    if claims:
        of = {ledger.report: [claim.id for claim in ledger.claims] for ledger in load_ledgers()}
        known = {*of, *(str(row["claim"]) for row in rows)}
        for claim in claims:
            if claim not in known:
                refuse_name("claim", claim, known)
        wanted = {name for claim in claims for name in (claim, *of.get(claim, ()))}
        rows = [row for row in rows if row["claim"] in wanted]
    print_rows(rows, output)
    if any(alignment.WANTED in str(row["why"]) for row in rows):
        print(alignment.how_to(out), file=sys.stderr)
    warn_of_refused(found.refused)
    for line in left_out.lines(out, found.readable, {str(row["claim"]) for row in rows}):
        print(f"note: {line}", file=sys.stderr)


@app.command()
def audit(
    reports: Annotated[
        list[str] | None,
        typer.Argument(help="mnist1d, r1 … r5, or claims files of your own.", metavar="REPORT…"),
    ] = None,
    output: FormatOption = Format.table,
    own: ClaimsOption = None,
) -> None:
    """Check reports against themselves and each other; trains nothing."""
    from bench import audit as auditing
    from bench.claims.ledger import load_ledger, load_ledgers

    names = reports or []
    files = [name for name in names if name.endswith(".toml")]
    # a claims file's recipes are not run for this: trains nothing, executes nothing
    ledgers = {ledger.report: ledger for ledger in load_ledgers([*files, *(own or ())])}
    wanted = [load_ledger(file).report for file in files]
    for name in names:
        if name not in ledgers and name not in files:
            refuse_name("report", name, ledgers)
    wanted += [name for name in names if name in ledgers]
    chosen = [ledgers[name] for name in dict.fromkeys(wanted)] or list(ledgers.values())
    findings = auditing.audit(chosen)
    if output is Format.markdown:
        print(auditing.page(chosen, findings))
        return
    rows = auditing.rows(findings)
    if output is Format.json:
        print_rows(rows, output)
    else:
        shown = ("verdict", "strength", "check", "flag", "finding", "where")
        print_rows([{name: row[name] for name in shown} for row in rows], output)
        for ledger in chosen:
            print(f"\n{auditing.paragraph(ledger, findings)}")


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", help="Folder that holds the records.")] = RESULTS,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the tables are stale.")] = False,
    own: ClaimsOption = None,
    recipe_files: RecipesOption = None,
) -> None:
    """Write tables and pages from the records of a folder."""
    add_recipes(own, recipe_files)
    from bench.claims.ledger import load_ledgers
    from bench.pages import build
    from bench.runs import records

    if check:
        stale = build.check(out, load_ledgers())
        for line in stale:
            print(line, file=sys.stderr)
        if stale:
            print(f"{len(stale)} stale; write them with: bench report --out {out}", file=sys.stderr)
            raise typer.Exit(1)
        print(f"{out}: tables are those of the records")
        return
    found = records.find(out)
    for path in build.write_all(out, load_ledgers(), found):
        print(path)
    warn_of_refused(found.refused)


@app.command()
def publish(
    slugs: Annotated[list[str] | None, typer.Argument(help="Recipes; all if none.", metavar="SLUG…")] = None,
    tier: Annotated[Tier | None, typer.Option(help="Only this tier.")] = None,
    source: Annotated[Path, typer.Option("--from", help="Folder of the runs.")] = RUNS,
    out: Annotated[Path, typer.Option("--out", help="Tracked results.")] = RESULTS,
    dirty: Annotated[bool, typer.Option("--dirty", help="Also runs of uncommitted or unknown code.")] = False,
    own: ClaimsOption = None,
    recipe_files: RecipesOption = None,
) -> None:
    """Copy chosen records and figures into the tracked results and write its tables anew."""
    add_recipes(own, recipe_files)
    from bench.pages.publish import publish as copy

    chosen = [recipe.slug for recipe in chosen_recipes(slugs, every=False)] if slugs else None
    for path in copy(source, out, slugs=chosen, tier=tier and tier.value, allow_dirty=dirty):
        print(path)
