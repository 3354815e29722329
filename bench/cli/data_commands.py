"""Commands about data: `score`, `data check`, `data prepare`, `doctor`, and `new-report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import (
    RUNS,
    Format,
    FormatOption,
    MaskValuesOption,
    OutOption,
    app,
    mask_values_of,
    refuse_name,
)
from bench.cli.printing import print_rows


@app.command()
def score(
    pred: Annotated[Path, typer.Option("--pred", help="Folder of predicted masks.")],
    truth: Annotated[Path, typer.Option("--truth", help="Folder of true masks.")],
    mask_values: MaskValuesOption = None,
) -> None:
    """Print the course's mIoU of predicted masks: IoU of each class, pooled, then their mean.

    Standard output holds the course's lines alone; files, classes and warnings go to standard error.
    """
    from bench import score as scoring

    result = scoring.score(pred, truth, mask_values=mask_values_of(mask_values))
    for line in scoring.notes(result):
        print(line, file=sys.stderr)
    for line in scoring.lines(result):
        print(line)


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Data folder to inspect.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with pretrained weights.")] = None,
    output: FormatOption = Format.table,
    out: OutOption = RUNS,
    cache: Annotated[
        Path | None, typer.Option(envvar="BENCH_CACHE", help="Cache folder of decoded images.")
    ] = None,
) -> None:
    """Check torch, GPU, disk, folders, data and weights, and say what this machine can run."""
    from dataclasses import asdict

    from bench.cli import doctor as doctor_module

    findings = doctor_module.examine(out, cache or out / "cache", data, weights)
    print_rows([asdict(finding) for finding in findings], output)
    if findings[-1].verdict == doctor_module.BROKEN:
        raise typer.Exit(1)


data_app = typer.Typer(help="Data in the official layout.", rich_markup_mode=None)
app.add_typer(data_app, name="data")


@data_app.callback()
def _of_data() -> None:
    """Data in the official layout."""


@data_app.command("check")
def data_check(
    source: Annotated[Path, typer.Argument(help="Folder that holds p1_data or p2_data.", metavar="DIR")],
    manifest: Annotated[Path, typer.Option(help="Folder for the hashes of all files.")] = RUNS
    / "manifest.json",
    mask_values: MaskValuesOption = None,
) -> None:
    """Count, decode and hash every file, list every fault and write a manifest."""
    from bench.cli import data_check as data_check_module
    from bench.runs.progress import files_shown

    with files_shown("reading") as progress:
        checked = data_check_module.check_data(source, progress, mask_values=mask_values_of(mask_values))
    for fault in checked.faults:
        print(fault)
    for line in data_check_module.lines(checked):
        print(line)
    data_check_module.write_manifest(checked, manifest)
    print(manifest)
    if checked.faults:
        raise typer.Exit(1)


@data_app.command("prepare")
def data_prepare(
    role: Annotated[str, typer.Argument(help="What to prepare: officehome, miniimagenet, …", metavar="ROLE")],
    source: Annotated[Path, typer.Option("--from", help="The public original, as published.")],
    target: Annotated[Path, typer.Option("--to", help="Folder to write to; --data takes it.")] = Path("data"),
    seed: Annotated[int, typer.Option(min=0, help="Seed that draws the split.")] = 0,
    copy: Annotated[bool, typer.Option("--copy", help="Copy image files in place of hard links.")] = False,
) -> None:
    """Turn a public original into the official layout, with a split drawn by seed."""
    from bench.runs import interruption
    from bench.runs.progress import files_shown
    from reference.data import OFFICIAL_COUNTS
    from reference.data.originals import ORIGINALS
    from reference.data.prepare import Preparation, SplitCounts, prepare

    if role not in ORIGINALS:
        refuse_name("data role", role, ORIGINALS)
    official = OFFICIAL_COUNTS[role]
    counts = SplitCounts(official["train"], official["val"], official.get("classes", ORIGINALS[role].classes))
    with interruption.interruptible(), files_shown("preparing") as shown:

        def progress(done: int, count: int) -> None:
            shown(done, count)
            interruption.stop_if_asked()

        wanted = Preparation(
            role=role, original=ORIGINALS[role], counts=counts, seed=seed, copy=copy, progress=progress
        )
        done = prepare(wanted, source, target)
    kept = f", {done.kept:,} of them there already" if done.kept else ""
    print(f"{done.folder}: {done.train:,} training and {done.val:,} validation images{kept}")
    print(f"labelled public originals, not official: {ORIGINALS[role].split}")
    print(f"next: bench data check {target}")


@app.command("new-report")
def new_report(
    name: Annotated[str, typer.Argument(help="What to call it: lower-case letters, digits, hyphens.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take the claims from the tables of this file."),
    ] = None,
) -> None:
    """Start to grade another report: write NAME.toml and NAME.py, or NAME.toml from the tables of a file."""
    from bench.claims import added

    if source is not None:
        from bench.audit.tables import Options, audit_file
        from bench.audit.tables.claims_file import write_claims

        added.check_new_name(name)
        path = Path(f"{name}.toml")
        print(write_claims(audit_file(source, Options()), path, Options(), report=name))
        print(f"next: check the guessed columns, then bench audit {path}, and docs/add-a-report.md")
        return
    for path in added.start(name, Path()):
        print(path)
    print(f"next: bench list claims --claims {name}.toml, and docs/add-a-report.md")
