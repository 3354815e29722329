"""Commands that read records: `list`, `grade`, `audit`, `report`, `publish`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    RESULTS,
    RUNS,
    ClaimsOption,
    Format,
    FormatOption,
    ListKind,
    OthersOption,
    OutOption,
    RecipesOption,
    Tier,
    add_recipes,
    add_reports,
    add_surveys,
    app,
    chosen_recipes,
    records_folder,
    refuse_name,
)
from bench.cli.printing import print_rows, warn_of_refused
from reference.errors import InputError

if TYPE_CHECKING:
    from bench.claims.claim import Ledger
    from bench.runs.records import Record


class AuditFormat(StrEnum):
    """How ``bench audit`` prints its findings."""

    table = "table"
    json = "json"
    markdown = "markdown"
    sarif = "sarif"
    github = "github"


class FailOn(StrEnum):
    """The weakest finding that makes ``bench audit`` fail."""

    certain = "certain"
    strong = "strong"


@app.command("list")
def list_(
    what: Annotated[ListKind, typer.Argument(help="What to list.")] = ListKind.recipes,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    claims_files: ClaimsOption = None,
    recipe_files: RecipesOption = None,
    surveys: OthersOption = None,
) -> None:
    """List what there is: recipes, claims, models, runs, or what others got."""
    if what in (ListKind.recipes, ListKind.models):
        add_recipes(claims_files, recipe_files)
    else:
        add_reports(claims_files)
    add_surveys(surveys)
    from bench.cli import list_rows
    from bench.runs import records

    run_records = records.find(records_folder(out)) if what is ListKind.runs else records.Found([], [])
    listings: dict[ListKind, Callable[[], list_rows.Rows]] = {
        ListKind.recipes: list_rows.recipes,
        ListKind.claims: list_rows.claims,
        ListKind.models: list_rows.models,
        ListKind.others: list_rows.others,
        ListKind.runs: lambda: list_rows.runs(run_records.readable),
    }
    print_rows(listings[what](), output)
    warn_of_refused(run_records.refused)


@app.command()
def grade(
    claims: Annotated[
        list[str] | None, typer.Argument(help="Claims to grade, or reports.", metavar="CLAIM…")
    ] = None,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    claims_files: ClaimsOption = None,
    recipe_files: RecipesOption = None,
    surveys: OthersOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also print the reason of each.")] = False,
) -> None:
    """Grade claims from the records of a folder."""
    add_recipes(claims_files, recipe_files)
    add_surveys(surveys)
    from bench.claims.ledger import load_ledgers
    from bench.cli import grade_lines, left_out, list_rows
    from bench.grading import alignment
    from bench.runs import records

    names = {name for ledger in load_ledgers() for name in (ledger.report, *(c.id for c in ledger.claims))}
    for claim in claims or ():
        if claim not in names:
            refuse_name("claim", claim, names)
    folder = records_folder(out)
    run_records = records.find(folder)
    rows = list_rows.grades(folder, run_records.readable, claims or ())
    if output is Format.table and not verbose:
        print("\n".join(grade_lines.brief_lines(rows, colour=sys.stdout.isatty())))
    else:
        print_rows(rows, output)
    if any(alignment.WANTED in str(row["why"]) for row in rows):
        print(alignment.how_to(folder), file=sys.stderr)
    warn_of_refused(run_records.refused)
    for line in left_out.lines(folder, run_records.readable, {str(row["claim"]) for row in rows}):
        print(f"note: {line}", file=sys.stderr)


@app.command()
def audit(
    reports: Annotated[
        list[str] | None,
        typer.Argument(
            help="mnist1d, r1 … r5, claims files, or files with tables (.md .csv .tex .txt .log …)",
            metavar="REPORT… | FILE…",
        ),
    ] = None,
    output: Annotated[AuditFormat, typer.Option("--format", help="How to print it.")] = AuditFormat.table,
    own: ClaimsOption = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", help="Exit with 1 if a finding is at least this strong."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tables: show how each column was read.")
    ] = False,
    n: Annotated[
        int | None, typer.Option("--n", help="Tables: number of images behind each accuracy.")
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", help="Tables: number of runs behind each mean.")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="Tables: percent or fraction.")] = "",
    mean: Annotated[
        list[str] | None,
        typer.Option("--mean", metavar="MEAN=FIRST..LAST", help="Tables: the columns of a mean; repeatable."),
    ] = None,
    to_claims: Annotated[
        Path | None, typer.Option("--to-claims", metavar="FILE", help="Tables: also write a claims file.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="The split that --to-claims writes.")] = "",
    data: Annotated[str, typer.Option("--data", help="The data set that --to-claims writes.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Tables: findings to show per verdict.")] = 20,
) -> None:
    """Check reports, or the tables of any file, against themselves; trains nothing."""
    from bench import audit as auditing
    from bench.claims.ledger import load_ledger, load_ledgers

    names = reports or []
    files = [Path(name) for name in names if Path(name).suffix not in ("", ".toml")]
    if files:
        from bench.audit.tables.command import audit_tables, table_options

        if len(files) < len(names):
            raise InputError(
                f"{files[0]}: files with tables are audited alone, without reports and claims files"
            )
        options = table_options(n=n, runs=runs, split=split, data=data, unit=unit, means=mean or ())
        status = audit_tables(
            files, options, form=output, explain=explain, to_claims=to_claims, fail_on=fail_on, limit=limit
        )
        raise typer.Exit(status)
    if output in (AuditFormat.sarif, AuditFormat.github) or explain or n or runs or unit or mean or to_claims:
        raise InputError("sarif, github and the options of tables need a file with tables, such as paper.md")
    claims_files = [name for name in names if name.endswith(".toml")]
    # a claims file's recipes are not run for this: trains nothing, executes nothing
    ledgers = {ledger.report: ledger for ledger in load_ledgers([*claims_files, *(own or ())])}
    wanted = [load_ledger(file).report for file in claims_files]
    for name in names:
        if name not in ledgers and name not in claims_files:
            refuse_name("report", name, ledgers)
    wanted += [name for name in names if name in ledgers]
    chosen = [ledgers[name] for name in dict.fromkeys(wanted)] or list(ledgers.values())
    findings = auditing.audit(chosen)
    rows = auditing.finding_rows(findings)
    if output is AuditFormat.markdown:
        print(auditing.audit_page(chosen, findings))
    elif output is AuditFormat.json:
        print_rows(rows, Format.json)
    else:
        shown = ("verdict", "strength", "check", "flag", "finding", "where")
        print_rows([{name: row[name] for name in shown} for row in rows], Format.table)
        for ledger in chosen:
            print(f"\n{auditing.paragraph(ledger, findings)}")
    if fail_on is not None and any(
        finding.verdict == "against" and finding.strength in ("certain", fail_on) for finding in findings
    ):
        raise typer.Exit(1)


@app.command()
def report(
    out: Annotated[Path, typer.Option("--out", help="Folder that holds the records.")] = RESULTS,
    check: Annotated[
        bool, typer.Option("--check", help="Check whether the tables are stale; write nothing.")
    ] = False,
    summary: Annotated[
        bool,
        typer.Option("--summary", help="Also write the verdicts as one file, to send to others."),
    ] = False,
    claims_files: ClaimsOption = None,
    recipe_files: RecipesOption = None,
    surveys: OthersOption = None,
) -> None:
    """Write tables and pages from the records of a folder; with --claims, of those reports alone."""
    add_recipes(claims_files, recipe_files)
    add_surveys(surveys)
    from bench.claims.ledger import load_added, load_ledgers
    from bench.grading import kept_checks, reported
    from bench.pages import build
    from bench.runs import records

    ledgers = load_added() if claims_files else load_ledgers()
    if not any(records.paths(out)) and not any((out / reported.FOLDER).glob("*.csv")):
        raise InputError(f"--out {out}: holds no records to report on; bench run --out {out} makes some")
    if check:
        with kept_checks.kept():
            stale = build.check_pages(out, ledgers)
        for line in stale:
            print(line, file=sys.stderr)
        if stale:
            print(f"{len(stale)} stale; write them with: bench report --out {out}", file=sys.stderr)
            raise typer.Exit(1)
        print(f"{out}: tables are those of the records")
        return
    run_records = records.find(out)
    with kept_checks.kept():
        written = build.write_all(out, ledgers, run_records)
    if summary:
        written.append(_write_summary(out, ledgers, run_records.readable))
    for path in written:
        print(path)
    warn_of_refused(run_records.refused)


def _write_summary(out: Path, ledgers: Sequence[Ledger], run_records: Sequence[Record]) -> Path:
    from bench.grading import alignment, grader, kept_checks, reproductions

    with kept_checks.kept():
        rows = grader.grade_all(ledgers, run_records, alignment_green=alignment.is_green(out), folder=out)
    return reproductions.write_summary(rows, out)


@app.command("import")
def import_(
    results: Annotated[
        Path,
        typer.Argument(
            help="CSV of recipe, seed, metric, value and n; or the summary of somebody else's runs, as JSON.",
            metavar="RESULTS",
        ),
    ],
    claims_files: ClaimsOption = None,
    out: OutOption = RUNS,
) -> None:
    """Take figures from training code of your own, or a summary by others: shown as theirs, never as ours."""
    if results.suffix.lower() == ".json":
        from bench.grading import reproductions

        kept, verdicts = reproductions.keep(results, out)
        print(kept)
        for verdict in verdicts:
            print(f"{verdict.claim}: {reproductions.BY_OTHERS}: {verdict.line}")
        return
    add_reports(claims_files)
    from bench.claims.ledger import load_added
    from bench.grading import reported

    ledgers = load_added()
    if not ledgers:
        raise InputError(f"{results}: of which report? Name its claims file with --claims")
    figures = reported.read_results(results, ledgers)
    for path in reported.store(figures, ledgers, out):
        print(path)
    for grade in reported.grade_reported(ledgers, out):
        print(f"{grade.claim.id}: {grade.label}; {grade.verdict.sentence}")


@app.command()
def publish(
    slugs: Annotated[
        list[str] | None, typer.Argument(help="Recipes to publish; default all.", metavar="SLUG…")
    ] = None,
    tier: Annotated[Tier | None, typer.Option(help="Only this tier.")] = None,
    source: Annotated[Path, typer.Option("--from", help="Folder of the runs.")] = RUNS,
    out: Annotated[Path, typer.Option("--out", help="Tracked results.")] = RESULTS,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Include runs of uncommitted or unknown code.")
    ] = False,
    claims_files: ClaimsOption = None,
    recipe_files: RecipesOption = None,
    surveys: OthersOption = None,
) -> None:
    """Copy chosen records and figures into the tracked results and rewrite its tables."""
    add_recipes(claims_files, recipe_files)
    add_surveys(surveys)
    from bench.grading import kept_checks
    from bench.pages.publish import publish as copy

    chosen = [recipe.slug for recipe in chosen_recipes(slugs, every=False)] if slugs else None
    with kept_checks.kept():
        written = copy(source, out, slugs=chosen, tier=tier and tier.value, allow_dirty=dirty)
    for path in written:
        print(path)
