"""Writes all pages of a results folder, and checks that they are not stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench import audit
from bench.claims.claim import Ledger
from bench.grading import alignment, others_survey
from bench.grading.grader import grade_all
from bench.grading.groups import Runs
from bench.grading.reported import grade_reported
from bench.pages import (
    findings_page,
    first_steps_page,
    html_page,
    leaderboard,
    others_page,
    predicted_steps,
    published_pictures,
    reliability,
    reproductions_page,
    throughput_page,
)
from bench.pages.highlights import highlights
from bench.pages.markdown import plain
from bench.pages.report_tables import claims_page, report_page
from bench.runs import records
from bench.runs.records import Found, Record
from bench.throughput import results
from reference.files import STALE_SECONDS, remove_leftovers, write_atomically


@records.no_collection()
def render(folder: Path, ledgers: Iterable[Ledger], run_records: Found | None = None) -> dict[str, str]:
    """Every page from the records under ``folder``: its path below ``folder`` and its text.

    Args:
        found: the records, where they have been read already.
    """
    all_ledgers, (readable, refused) = tuple(ledgers), run_records or records.find(folder)
    findings = audit.audit(all_ledgers)
    rows = grade_all(
        all_ledgers,
        readable,
        alignment_green=alignment.is_green(folder),
        folder=folder,
        flags=audit.flags(findings),
    )
    runs = Runs(readable)
    boards = leaderboard.boards(rows, runs, folder)
    others = others_survey.gather(all_ledgers)
    found = highlights(rows, findings, others)
    pages = {
        f"reports/{ledger.report}.md": report_page(
            ledger, rows, readable, findings, others, grade_reported([ledger], folder)
        )
        for ledger in all_ledgers
    }
    pages |= {
        "claims.md": claims_page(rows, all_ledgers, others) + _refused(refused),
        "audit.md": audit.audit_page(all_ledgers, findings),
        findings_page.PAGE: findings_page.findings_markdown(all_ledgers, found, runs, folder),
        "index.html": html_page.build_html(
            all_ledgers,
            rows,
            runs,
            findings,
            boards,
            findings_page.comparisons(all_ledgers, runs, folder),
            others,
            folder,
        ),
        "LEADERBOARD.md": leaderboard.leaderboard_page(boards),
        others_page.PAGE: others_page.others_markdown(others, folder),
        first_steps_page.PAGE: first_steps_page.first_steps_markdown(first_steps_page.known_entries()),
    }
    if (folder / reliability.FILE).exists():
        pages[reliability.PAGE] = reliability.reliability_page(folder)
    measured = results.read_sessions(folder)
    if measured:
        pages["throughput.md"] = throughput_page.throughput_markdown(measured, folder)
        predicted = predicted_steps.predicted_markdown(readable)
        pages["throughput.md"] += "\n" + "\n\n".join(predicted) + "\n"
    if (page := reproductions_page.reproductions_markdown(rows, folder)) is not None:
        pages[reproductions_page.PAGE] = page
    return pages


def _refused(lines: Sequence[str]) -> str:
    """The records that could not be read, which no grade counts; nothing where all can."""
    if not lines:
        return ""
    listed = "\n".join(f"- {plain(line)}" for line in lines)
    return f"\n## Records that cannot be read: {len(lines)}\n\nNo grade counts them.\n\n{listed}\n"


def write_all(folder: Path, ledgers: Iterable[Ledger], run_records: Found | None = None) -> list[Path]:
    """Write every page into ``folder``; the files written. Pages of reports that are gone are removed."""
    for place in (folder, folder / "reports"):
        remove_leftovers(place, older_than=STALE_SECONDS)
    all_ledgers = tuple(ledgers)
    # first: their pages name the pictures' hashes
    drawn = throughput_page.draw_rooflines(results.read_sessions(folder), folder)
    drawn += others_page.draw(others_survey.gather(all_ledgers), folder)
    pages = render(folder, all_ledgers, run_records)
    for name, text in pages.items():
        write_atomically(folder / name, text.encode())
    for name in _surplus_pages(folder, pages):
        (folder / name).unlink()
    if published_pictures.read_index(folder) is not None:
        published_pictures.shrink(folder)
        published_pictures.prune(folder, pages)
    return [*drawn, *(folder / name for name in pages)]


def check_pages(folder: Path, ledgers: Iterable[Ledger]) -> list[str]:
    """One line for every generated file that is stale, missing or surplus; none if all is as it should be."""
    run_records, all_ledgers = records.find(folder), tuple(ledgers)
    pages = render(folder, all_ledgers, run_records)
    wrong = []
    for name, text in pages.items():
        path = folder / name
        if not path.exists():
            wrong.append(f"{name}: missing")
        elif path.read_bytes() != text.encode():
            wrong.append(f"{name}: stale: differs from what the records give")
    wrong += [f"{name}: surplus: nothing to write it from" for name in _surplus_pages(folder, pages)]
    wrong += [f"unreadable: {line}" for line in run_records.refused]
    drawn = [
        *throughput_page.pictures(results.read_sessions(folder)),
        *others_page.pictures(others_survey.gather(all_ledgers)),
    ]
    return wrong + _check_figures(folder, pages, run_records.readable, drawn)


_FORMER = ("settings.md", "ablations.md")
"""Pages of earlier versions, which a folder may still hold."""


def _surplus_pages(folder: Path, pages: Mapping[str, str]) -> list[str]:
    written = [
        *(folder / "reports").glob("*.md"),
        *(folder / name for name in _FORMER if (folder / name).exists()),
        *folder.glob("throughput.md"),
        *folder.glob(reproductions_page.PAGE),
        *folder.glob(reliability.PAGE),
    ]
    there = (path.relative_to(folder).as_posix() for path in written)
    return sorted(name for name in there if name not in pages)


def _check_figures(
    folder: Path, pages: Mapping[str, str], readable: Iterable[Record], drawn: Iterable[str]
) -> list[str]:
    """Pictures against the hashes in the records; in a published folder, those that no page shows as well.

    Pages name the hashes of the pictures that are ``drawn`` for them.

    A folder of runs holds every picture that was drawn, a published one only those that a page shows.
    """
    wrong, shown = [], published_pictures.shown(pages)
    index = published_pictures.read_index(folder)
    named = set(drawn)
    for record in readable:
        for figure in record.figures:
            file = figure["file"]
            named.add(file)
            entry = (index or {}).get(file, {"drawn": figure["sha256"], "published": figure["sha256"]})
            if not (folder / file).exists():
                if file in shown:
                    wrong.append(f"{file}: missing: record {record.slug}/{record.name} names it")
            elif entry["drawn"] != figure["sha256"]:
                wrong.append(f"{file}: the index and record {record.slug}/{record.name} name two drawings")
            elif published_pictures.sha256((folder / file).read_bytes()) != entry["published"]:
                wrong.append(f"{file}: differs from the hash in record {record.slug}/{record.name}")
    if index is not None:
        return wrong + [
            f"{file}: surplus: no page shows it" for file in published_pictures.surplus(folder, pages)
        ]
    there = (p.relative_to(folder).as_posix() for p in (folder / "figures").rglob("*") if p.is_file())
    return wrong + [f"{name}: surplus: no record names it" for name in sorted(there) if name not in named]
