"""Pages from grades and records, as Markdown: one a report, one of all claims, one ranking a task.

Every page is a function of the records, the ledgers and ``reference/`` alone: no dates, no machine's folder,
no order of a file system. So a page that differs from its rendering is stale, and ``check`` says so.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import alignment, audit, grading, records, reliability, settings, throughput
from bench.formats import FORMATS
from bench.ledger import METRICS, Claim, Ledger
from bench.markdown import digits, elsewhere, figure_text, named, pipe_table, plain, span
from bench.records import Record, read_all
from bench.verdicts import SOURCES, Group, Row, Runs, grade_all, measure
from reference.files import STALE_SECONDS, remove_leftovers, write_atomically
from reference.recipes import RECIPES

TASKS: dict[str, str] = {
    "classification50": "50-class classification, top-1 on the validation split",
    "officehome": "Fine-tuning on Office-Home, 65 classes, top-1 on the validation split",
    "landcover": "Land-cover segmentation, mean IoU of six classes on the validation split",
}

HEADINGS: dict[str, str] = {
    "number": "Figures",
    "ordering": "Orderings",
    "process": "Processes",
    "figure": "Pictures",
    "architecture": "Networks",
    "formula": "Formulas",
    "protocol": "Settings and code",
    "explanation": "Explanations",
}

HOW_TO_READ = """\
*How to read this page.* **Printed** is what the report says, digit for digit; **measured** is our mean over
seeds, with its 95 % interval in brackets. Grades follow from recorded runs by fixed rules, never by hand. A
run counts for a printed figure only on the data that the figure is about and with every setting as printed.
Runs on other data count for no figure and are always named: **synthetic** images are drawn by code,
**stand-in** images are other pictures in the same folders; neither says how good a network is on the real
data. `r4:58` is line 58 of report R4's text.
"""


# ---------------------------------------------------------------- all pages


def render(folder: Path, ledgers: Iterable[Ledger]) -> dict[str, str]:
    """Every page from the records under ``folder``: its path below ``folder`` and its text."""
    known, found = tuple(ledgers), read_all(folder)
    findings = audit.audit(known)
    rows = grade_all(
        known,
        found,
        alignment_green=alignment.is_green(folder),
        folder=folder,
        flags=audit.flags(findings),
    )
    pages = {f"reports/{ledger.report}.md": report_page(ledger, rows, found) for ledger in known}
    pages |= {
        "claims.md": claims_page(rows, known) + _unreadable(folder),
        "audit.md": audit.page(known, findings),
        "settings.md": settings.page(known, Runs(found), folder),
        "LEADERBOARD.md": leaderboard(rows, found, folder),
    }
    if (folder / reliability.FILE).exists():
        pages[reliability.PAGE] = reliability.page(folder)
    measured = throughput.read_all(folder)
    return pages | {"throughput.md": throughput.page(measured, folder)} if measured else pages


def _unreadable(folder: Path) -> str:
    """The records that could not be read, which no grade counts; nothing where all can."""
    lines = records.unreadable(folder)
    if not lines:
        return ""
    listed = "\n".join(f"- {plain(line)}" for line in lines)
    return f"\n## Records that cannot be read: {len(lines)}\n\nNo grade counts them.\n\n{listed}\n"


def write_all(folder: Path, ledgers: Iterable[Ledger]) -> list[Path]:
    """Write every page into ``folder``; the files written. Pages of reports that are gone are removed."""
    for place in (folder, folder / "reports"):
        remove_leftovers(place, older_than=STALE_SECONDS)
    drawn = throughput.draw(throughput.read_all(folder), folder)  # first: its page names their hashes
    pages = render(folder, ledgers)
    for name, text in pages.items():
        write_atomically(folder / name, text.encode())
    for name in _surplus_pages(folder, pages):
        (folder / name).unlink()
    return [*drawn, *(folder / name for name in pages)]


def check(folder: Path, ledgers: Iterable[Ledger]) -> list[str]:
    """One line for every generated file that is stale, missing or surplus; none if all is as it should be."""
    pages = render(folder, ledgers)
    wrong = []
    for name, text in pages.items():
        path = folder / name
        if not path.exists():
            wrong.append(f"{name}: missing")
        elif path.read_bytes() != text.encode():
            wrong.append(f"{name}: stale: differs from what the records give")
    wrong += [f"{name}: surplus: nothing to write it from" for name in _surplus_pages(folder, pages)]
    wrong += [f"unreadable: {line}" for line in records.unreadable(folder)]
    return wrong + _check_figures(folder, pages)


def _surplus_pages(folder: Path, pages: Mapping[str, str]) -> list[str]:
    written = [
        *(folder / "reports").glob("*.md"),
        *folder.glob("throughput.md"),
        *folder.glob(reliability.PAGE),
    ]
    there = (path.relative_to(folder).as_posix() for path in written)
    return sorted(name for name in there if name not in pages)


def _check_figures(folder: Path, pages: Mapping[str, str]) -> list[str]:
    """Pictures against the hashes in the records; the page of throughput names those of its own.

    A picture that no page shows may be elsewhere: of several seeds only the first one's are published.
    """
    wrong, known = [], set(throughput.pictures(throughput.read_all(folder)))
    shown = {file for text in pages.values() for file in re.findall(r"\]\(\.\./(figures/[^)]*)\)", text)}
    for record in read_all(folder):
        for figure in record.figures:
            known.add(figure["file"])
            path = folder / figure["file"]
            if not path.exists():
                if figure["file"] in shown:
                    wrong.append(f"{figure['file']}: missing: record {record.slug}/{record.name} names it")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != figure["sha256"]:
                wrong.append(f"{figure['file']}: differs from the hash in record {record.slug}/{record.name}")
    there = (p.relative_to(folder).as_posix() for p in (folder / "figures").rglob("*") if p.is_file())
    return wrong + [f"{name}: surplus: no record names it" for name in sorted(there) if name not in known]


# ---------------------------------------------------------------- one report


OWN_FORMAT = """\
Left, the report's lines as it prints them; then our mean over seeds and its 95 % interval, a column for each
kind of run, which its heading names.
"""


def report_page(ledger: Ledger, rows: Sequence[Row], found: Sequence[Record]) -> str:
    """The page of one report: its figures beside ours, every claim with its grade, and what the runs were.

    Args:
        rows: graded claims, of this report and perhaps others.
        found: records, of this report's recipes and perhaps others.
    """
    own = [row for row in rows if row.claim.report == ledger.report]
    slugs = _slugs(own)
    runs = Runs(record for record in found if record.slug in slugs)
    year = f" ({ledger.year})" if ledger.year else ""
    parts = [f"# {ledger.report.upper()}{year}: {plain(ledger.title)}", HOW_TO_READ, _summary(own)]
    own_format = FORMATS.get(ledger.report)
    if own_format is not None:
        parts += ["## The results as the report prints them, with ours beside", OWN_FORMAT, own_format(own)]
    parts += _pictures(runs)
    parts += ["## Every claim"]
    for kind, heading in HEADINGS.items():
        of_kind = [row for row in own if row.claim.kind == kind]
        if of_kind:
            parts += [f"### {heading}", _claim_table(kind, of_kind)]
    parts += _assumptions(slugs) + _deviations(runs) + _runs(runs)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _slugs(rows: Iterable[Row]) -> list[str]:
    """The recipes that exist among those that claims name, in the claims' order."""
    named: list[str] = []
    for row in rows:
        claim = row.claim
        named += [*([claim.recipe] if claim.recipe else []), *claim.order_recipes, *claim.difference_of]
        named += [name for name in claim.tested_by if name in RECIPES]
    return [slug for slug in dict.fromkeys(named) if slug in RECIPES]


def _summary(rows: Sequence[Row]) -> str:
    """How often each grade was given, and what each means."""
    counts = Counter(row.label for row in rows)
    order = {grade: position for position, grade in enumerate(reversed(grading.GRADES))}
    grade_of = {row.label: (row.grade, row.reason) for row in rows}
    listed = sorted(counts, key=lambda label: (order[grade_of[label][0]], label))
    table = [[f"**{label}**", str(counts[label]), _meaning(*grade_of[label])] for label in listed]
    return pipe_table(["grade", "claims", "meaning"], table, right=(1,))


def _meaning(grade: str, reason: str) -> str:
    return plain(grading.NOT_RUN_REASONS[reason] if reason else grading.GRADES[grade])


def _claim_table(kind: str, rows: Sequence[Row]) -> str:
    if kind != "number":
        return pipe_table(
            ["claim", "what it says", "grade", "where"],
            [[_id(row), plain(row.claim.text), _grade(row), _where(row)] for row in rows],
        )
    return pipe_table(
        ["claim", "what it says", "printed", "measured", "grade", "where"],
        [
            [_id(row), plain(row.claim.text), _printed(row.claim), _measured(row), _grade(row), _where(row)]
            for row in rows
        ],
    )


def _id(row: Row) -> str:
    return f"`{row.claim.id}`"


def _where(row: Row) -> str:
    return f"{row.claim.report}:{', '.join(map(str, row.claim.lines))}"


def _printed(claim: Claim) -> str:
    if claim.value is None:
        return "–"
    about = "about " if claim.approx else ""
    return f"{about}{claim.value}{' %' if claim.unit == 'percent' else ''}"


def _grade(row: Row) -> str:
    """The grade, the sentence that gives its reason, and what else must be known beside it."""
    # the meaning of a reason stands in the summary; here is what it is due to
    said = row.sentence.partition("; ")[2] if row.reason else row.sentence
    parts = [f"**{row.label}**", *([plain(said)] if said else [])]
    if row.holm_p is not None and row.grade in ("contradicted", grading.NOT_REACHED, "exceeded"):
        parts.append(f"p = {row.holm_p:.2g} after Holm's adjustment over the report's figures")
    if row.failures:
        parts.append(f"runs that did not end well: {len(row.failures)}")
    parts += [f"flag: {plain(flag)}" for flag in row.flags]
    return "<br>".join(parts)


def _measured(row: Row) -> str:
    """Our figure that counts, then every one that does not, each named."""
    figures = [figure_text(row.measured)] if row.measured else []
    figures += [elsewhere(measured) for measured in row.elsewhere]
    return "<br>".join(figures) or "–"


# ---------------------------------------------------------------- pictures, assumptions, deviations, runs

_CAPTIONS = {
    "masks": "predicted masks",
    "tsne": "t-SNE of the penultimate layer",
    "pca": "PCA of the penultimate layer",
    "overlay": "automatic masks",
    "iou": "IoU of each class by epoch",
    "confusion": "confusion",
    "curves": "losses and metric by epoch",
}
_FOLDED = {
    "iou": "IoU of each class by epoch",
    "confusion": "Confusion of classes",
    "curves": "Losses and metric by epoch",
}


def _pictures(runs: Runs) -> list[str]:
    """Mask strips and points, and folded away what else there is, of every group's first seed that has it."""
    groups = sorted((g for of in runs.groups.values() for g in of), key=lambda g: (_evidence(g), g.slug))
    open_ones = [_picture(group, kind) for group in groups for kind in ("masks", "tsne", "pca", "overlay")]
    folded = []
    for kind, said in _FOLDED.items():
        if pictures := "\n\n".join(filter(None, (_picture(group, kind) for group in groups))):
            folded.append(f"<details><summary>{said}</summary>\n\n{pictures}\n\n</details>")
    shown = [*filter(None, open_ones), *folded]
    return ["## Pictures of our runs", *shown] if shown else []


def _picture(group: Group, kind: str) -> str:
    """A caption that names the data, and a run's pictures; empty where no run of the group has one."""
    said = f"{plain(RECIPES[group.slug].title)}: {_CAPTIONS[kind]}, {named(group)}"
    for record in group.runs:
        files = [figure["file"] for figure in record.figures if figure["kind"] == kind]
        if files:
            pictures = (f"![{said}](../{file})" for file in files)
            return "\n\n".join([f"`{group.slug}`, {said}, seed {record.seed}", *pictures])
    return ""


def _assumptions(slugs: Sequence[str]) -> list[str]:
    """Values of the recipes' own choice; one line for several recipes that chose alike."""
    users = _users((slug, (a.field, a.value, a.why)) for slug in slugs for a in RECIPES[slug].assumptions)
    if not users:
        return []
    said = "Values that the report does not state, what we took for them, and why."
    rows = [[*map(plain, chosen), _codes(recipes)] for chosen, recipes in users.items()]
    return ["## Assumptions", said, pipe_table(["field", "value", "why", "recipes"], rows)]


def _deviations(runs: Runs) -> list[str]:
    """What runs did otherwise than their recipe; one line for several that did alike."""
    users = _users(
        (slug, tuple(deviation[key] for key in ("field", "printed", "used", "why")))
        for slug in sorted(runs.groups)
        for group in runs.groups[slug]
        for deviation in group.deviations
    )
    if not users:
        return []
    said = "Settings that runs used in place of the recipe's. Such runs count for no printed figure."
    rows = [[*map(plain, deviation), _codes(recipes)] for deviation, recipes in users.items()]
    return ["## Deviations", said, pipe_table(["field", "recipe says", "used", "why", "recipes"], rows)]


def _users(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> dict[tuple[str, ...], list[str]]:
    """What is used → the recipes that use it, in the order of first use."""
    users: dict[tuple[str, ...], list[str]] = {}
    for slug, used in pairs:
        users.setdefault(used, []).append(slug)
    return users


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _runs(runs: Runs) -> list[str]:
    """Every run, ended well or not."""
    if not runs.all:
        return ["## Runs", "No run of this report's recipes is recorded here."]
    superseded = {id(record) for record in runs.superseded}
    heads = ["recipe", "run", "seed", "tier", "data", "status", "figure", "epoch", "commit", "device"]
    rows = [
        [
            f"`{record.slug}`",
            f"`{record.name}`",
            str(record.seed),
            record.tier,
            record.data["source"],
            "superseded" if id(record) in superseded else _status(record),
            *_result(record),
            _commit(record),
            plain(str(record.provenance.get("device", ""))),
        ]
        for record in runs.all
    ]
    parts = [
        "## Runs",
        "Every run that was started, whatever became of it.",
        pipe_table(heads, rows, right=(2, 7)),
    ]
    notes = {
        f"{r.data['source']} {r.data['role']}: {r.data['train']:,} training and {r.data['val']:,} validation"
        f" images ({r.data['unique_val']:,} distinct), {r.data['note']}"
        for r in runs.all
    }
    return [*parts, "\n".join(f"- {plain(note)}" for note in sorted(notes))]


def _status(record: Record) -> str:
    return plain(f"{record.status}: {record.reason}" if record.reason else record.status)


def _result(record: Record) -> list[str]:
    """The primary figure and its epoch, as two cells."""
    entry = record.metrics.get(record.selected)
    if entry is None:
        return ["–", "–"]
    value = record.metric(entry["primary"])
    return [
        f"{entry['primary']} {'undefined' if value is None else f'{value:.4f}'}",
        str(entry["epoch"] or "–"),
    ]


def _commit(record: Record) -> str:
    commit = record.provenance.get("commit")
    if commit is None:
        return "not in a checkout"
    return f"`{commit[:9]}`{' with changes' if record.provenance.get('dirty') else ''}"


# ---------------------------------------------------------------- all claims


def claims_page(rows: Sequence[Row], ledgers: Sequence[Ledger] = ()) -> str:
    """Every claim of every report with its grade, after counts of the grades."""
    titles = {ledger.report: ledger.title for ledger in ledgers}
    parts = [f"# Every claim, graded\n\n{HOW_TO_READ}", f"{len(rows)} claims.", _summary(rows)]
    for report in dict.fromkeys(row.claim.report for row in rows):
        own = [row for row in rows if row.claim.report == report]
        graded = sum(row.grade != "not run" for row in own)
        title = f": {plain(titles[report])}" if report in titles else ""
        parts += [
            f"## {report.upper()}{title}",
            f"{len(own)} claims, {graded} graded. [The report's page](reports/{report}.md)",
            pipe_table(
                ["claim", "what it says", "printed", "measured", "grade", "flags", "where"],
                [
                    [
                        _id(row),
                        plain(row.claim.text),
                        _printed(row.claim),
                        _measured(row),
                        f"**{row.label}**",
                        plain("; ".join(row.flags)),
                        _where(row),
                    ]
                    for row in own
                ],
            ),
        ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


# ---------------------------------------------------------------- rankings


@dataclass(frozen=True)
class _Entry:
    """One line of a ranking."""

    value: float
    cells: tuple[str, ...]


LEADERBOARD_NOTE = """\
*How to read this page.* One section a task, one table for each kind of evidence; figures of different tables
are not comparable, so nothing is ranked across them. The 95 % interval is over seeds (Student's t) where
there are two or more; for one seed, and for printed accuracies, it is over the images of the validation split
(Clopper–Pearson for top-1, bootstrap for mean IoU), which leaves the spread between seeds out. **Synthetic**
images are drawn by code and **stand-in** images are other pictures in the same folders: their figures say
nothing about the official data. Samples/s are of training, on the device named.
"""

_RANKED = ["rank", "entry", "", "value", "95 %", "seeds", "parameters", "samples/s", "device", "grade"]


def leaderboard(rows: Sequence[Row], found: Sequence[Record], folder: Path | None = None) -> str:
    """One ranking for each task and each kind of evidence (data, tier, deviations).

    Args:
        rows: graded claims, whose printed figures are ranked too.
        found: records; the latest finished ones are ranked.
        folder: where they lie, for intervals over images.
    """
    runs = Runs(found)
    graded = {row.claim.id: row for row in rows}
    parts = ["# Leaderboard", LEADERBOARD_NOTE]
    for role, title in TASKS.items():
        tables: dict[str, list[_Entry]] = {}
        printed = [_printed_entry(row) for row in rows if _is_ranked(row.claim, role)]
        if printed:
            tables[AS_PRINTED] = printed
        for group in sorted((g for gs in runs.groups.values() for g in gs), key=_evidence):
            entry = _measured_entry(group, role, graded, folder)
            if entry is not None:
                tables.setdefault(_evidence(group)[1], []).append(entry)
        if tables:
            parts += [f"## {title}"]
        for heading, entries in tables.items():
            parts += [f"### {heading[0].upper()}{heading[1:]}", _ranking(entries)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _is_ranked(claim: Claim, role: str) -> bool:
    """A printed figure of the whole validation split, not about some epoch, class or gain."""
    return (
        claim.kind == "number"
        and claim.data == role
        and claim.metric in ("top1", "miou")
        and claim.split == "val"
    )


AS_PRINTED = "Official data, every setting as printed"


def _evidence(group: Group) -> tuple[int, str]:
    """What a ranking's entries share, and its place among the rankings."""
    if group.source == "official" and not group.deviations and group.eager_float32:
        return 0, AS_PRINTED
    place = SOURCES.index(group.source) + 1
    return place, named(group)


def _printed_entry(row: Row) -> _Entry:
    claim = row.claim
    value = float(claim.fraction)
    interval = "–"
    if claim.metric == "top1" and claim.n:
        interval = span(grading.accuracy_interval(round(value * claim.n), claim.n))
    cells = (f"`{claim.id}`", "printed", str(claim.fraction), interval, str(claim.runs), "–", "–", "–")
    return _Entry(value, (*cells, f"**{row.label}**"))


def _measured_entry(group: Group, role: str, graded: Mapping[str, Row], folder: Path | None) -> _Entry | None:
    first = group.runs[0]
    primary = first.metrics.get(first.selected, {}).get("primary")
    if first.data["role"] != role or primary not in METRICS:
        return None
    measured = measure(primary, group, folder)
    rate = math.fsum(record.throughput["samples_per_second"] for record in group.runs) / len(group.runs)
    cells = (
        f"`{group.slug}`, {plain(RECIPES[group.slug].title)}",
        "measured",
        digits(measured.mean, 4),
        span(measured.interval) if measured.interval else "–",
        str(measured.k),
        f"{first.parameters:,}",
        f"{rate:,.1f}",
        plain(str(first.provenance.get("device", "")) + f", {group.numerics}"),
        _standing(group, graded.get(group.slug)),
    )
    return _Entry(measured.mean, cells)


def _standing(group: Group, row: Row | None) -> str:
    """The grade that a group's figure led to, or why it led to none."""
    if row is None:
        return "no claim"
    if row.measured is not None and row.measured.group.runs[0] is group.runs[0]:
        return f"**{row.label}**"
    return "counts for no claim: " + ("deviation" if group.source == row.claim.source else "data")


def _ranking(entries: Sequence[_Entry]) -> str:
    """Best first; equal values share a rank; undefined ones come last without one."""
    ranked = sorted(
        entries,
        key=lambda e: (not math.isfinite(e.value), -e.value if math.isfinite(e.value) else 0, e.cells),
    )
    rows = []
    for entry in ranked:
        better = sum(other.value > entry.value for other in ranked if math.isfinite(other.value))
        rows.append([str(better + 1) if math.isfinite(entry.value) else "–", *entry.cells])
    return pipe_table(_RANKED, rows, right=(0, 5, 6, 7))
