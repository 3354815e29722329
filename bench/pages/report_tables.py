"""Pages from grades and records, as Markdown: one a report, one of all claims, one ranking a task.

Every page is a function of the records, the ledgers and ``reference/`` alone: no dates, no machine's folder,
no order of a file system. So a page that differs from its rendering is stale, and ``check`` says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from bench.audit import Finding
from bench.claims.claim import Ledger
from bench.grading import verdict as verdict_module
from bench.grading.grader import GradedClaim
from bench.grading.groups import Group, Runs, Starts
from bench.grading.others_survey import Others
from bench.grading.reported import BY_THE_USER, ReportedGrade
from bench.grading.verdict import in_unit
from bench.pages import summary, wording
from bench.pages.claim_rows import missing
from bench.pages.last_or_best import last_or_best
from bench.pages.layouts import FORMATS, in_markdown
from bench.pages.markdown import pipe_table, plain
from bench.pages.printed_twice import printed_twice
from bench.pages.wording import figure_text, named
from bench.runs.records import Record
from reference.recipes import RECIPES

HOW_TO_READ = """\
*How to read this page.* **Printed** is what the report says, digit for digit; **measured** is our mean over
seeds, with its 95 % interval in brackets. Verdicts follow from recorded runs by fixed rules, never by hand. A
run decides a claim only on the data that the claim is about. What other runs show is a **rehearsal**: one
line that says that the machinery works, and no verdict. **Synthetic** images are drawn by code, **stand-in**
images are other pictures in the same folders; neither says how good a network is on the real data. `r4:58` is
line 58 of report R4's text.
"""


HOW_TO = """\
The report's lines as it prints them; ours beside, from runs that count for the printed figures alone.
[How to read this page](../claims.md)
"""

MOST_PICTURES = 6
"""Pictures that a report's page shows; the web page has all of them."""


def report_page(
    ledger: Ledger,
    rows: Sequence[GradedClaim],
    run_records: Sequence[Record],
    findings: Sequence[Finding] = (),
    others: Others | None = None,
    reported: Sequence[ReportedGrade] = (),
) -> str:
    """The page of one report: its verdict, its figures beside ours, every claim with its grade, its runs.

    Args:
        rows: graded claims, of this report and perhaps others.
        found: records, of this report's recipes and perhaps others.
        findings: the audit's, of this report and perhaps others.
        others: what other reports print; None says nothing of them.
        reported: verdicts on figures from training code of the user's own.
    """
    report_rows = [row for row in rows if row.claim.report == ledger.report]
    slugs = wording.recipes_of(report_rows)
    runs = Runs((record for record in run_records if record.slug in slugs), Starts(run_records))
    year = f" ({ledger.year})" if ledger.year else ""
    verdict = summary.sentences(ledger, report_rows, findings)
    parts = [f"# {ledger.report.upper()}{year}: {plain(ledger.title)}", HOW_TO]
    own_format = FORMATS.get(ledger.report)
    if own_format is not None:
        heading = "## The results as the report prints them, with ours beside"
        parts += [heading, in_markdown(own_format(report_rows))]
    parts += ["## In words", _in_code(verdict, report_rows)]
    parts += list(filter(None, (printed_twice(report_rows), last_or_best(report_rows))))
    parts += _reported(reported)
    parts += _pictures(runs)
    parts += ["## Every claim"]
    for kind, heading in wording.HEADINGS.items():
        of_kind = [row for row in report_rows if row.claim.kind == kind]
        if of_kind:
            parts += [f"### {heading}", _claim_table(kind, of_kind)]
    parts += _others(report_rows, others) + _assumptions(slugs) + _deviations(runs) + _runs(runs)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


REPORTED = """\
These figures come from training code of the user's own. Nothing here made or checked them. They are in no
record, in no count and in no verdict of ours.
"""


def _reported(grades: Sequence[ReportedGrade]) -> list[str]:
    """The user's own figures, apart from ours and marked in every row."""
    if not grades:
        return []
    table = [
        [
            f"`{grade.claim.id}`",
            wording.printed(grade.claim),
            in_unit(grade.mean, grade.claim.unit),
            grade.label,
            plain(grade.verdict.sentence),
        ]
        for grade in grades
    ]
    head = ["claim", "printed", BY_THE_USER, "verdict", "why"]
    return [f"## {BY_THE_USER.capitalize()}", REPORTED, pipe_table(head, table)]


def _in_code(sentences: Iterable[str], rows: Iterable[GradedClaim]) -> str:
    """Sentences as one paragraph, claims' ids in it as code."""
    ids = {row.claim.id for row in rows}
    return re.sub(
        r"[\w.-]*\w", lambda word: f"`{word[0]}`" if word[0] in ids else word[0], plain(" ".join(sentences))
    )


def _summary(rows: Sequence[GradedClaim]) -> str:
    """How often each verdict was given, and what each means."""
    counts = Counter(row.label for row in rows)
    order = {grade: position for position, grade in enumerate(reversed(verdict_module.GRADES))}
    grade_of = {row.label: (row.grade, row.reason) for row in rows}
    listed = sorted(counts, key=lambda label: (order[grade_of[label][0]], label))
    table = [
        [f"**{label}**", str(counts[label]), plain(wording.meaning(*grade_of[label]))] for label in listed
    ]
    return pipe_table(["verdict", "claims", "meaning"], table, right=(1,))


def _claim_table(kind: str, rows: Sequence[GradedClaim]) -> str:
    if kind != "number":
        return pipe_table(
            ["claim", "what it says", "verdict", "where"],
            [[_id(row), plain(row.claim.text), _grade(row), plain(wording.where(row))] for row in rows],
        )
    timed = any(row.measured for row in rows)
    heads = ["claim", "what it says", "printed", "measured", *(["seconds a seed"] if timed else [])]
    return pipe_table(
        [*heads, "verdict", "where"],
        [
            [
                _id(row),
                plain(row.claim.text),
                wording.printed(row.claim),
                _measured(row),
                *([wording.seconds(row)] if timed else []),
                _grade(row),
                plain(wording.where(row)),
            ]
            for row in rows
        ],
        right=(4,) if timed else (),
    )


def _id(row: GradedClaim) -> str:
    return f"`{row.claim.id}`"


def _grade(row: GradedClaim) -> str:
    """The grade, the sentence that gives its reason, and what else must be known beside it."""
    parts = [f"**{row.label}**", *map(plain, wording.remarks(row))]
    parts += [f"flag: {plain(flag)}" for flag in row.flags]
    return "<br>".join(parts)


def _measured(row: GradedClaim) -> str:
    """Our figure that counts; a rehearsal's stands nowhere beside a printed one."""
    return figure_text(row.measured, row.claim.unit) if row.measured else "–"


def _others(rows: Sequence[GradedClaim], others: Others | None) -> list[str]:
    """What other reports print of the same tasks, a line a claim; nothing where no claim is compared."""
    sentences_by_claim = {row.claim.id: others.sentences(row.claim) for row in rows} if others else {}
    table = [
        [f"`{name}`", "<br>".join(map(plain, sentences))]
        for name, sentences in sentences_by_claim.items()
        if sentences
    ]
    if not table:
        return []
    return [
        "## What others got",
        "Other people's reports on the same official data, never merged with our runs. An interval is for one"
        " more of them. [The whole comparison](../others.md)",
        pipe_table(["compared", "what others print"], table),
    ]


def _pictures(runs: Runs) -> list[str]:
    """The first few of mask strips, points, then the rest: of each recipe's most telling runs, one seed."""
    recipes = [groups for _, groups in sorted(runs.groups.items())]
    pictures = [text for kind in wording.CAPTIONS for groups in recipes if (text := _picture(groups, kind))]
    return ["## Pictures of our runs", *pictures[:MOST_PICTURES]] if pictures else []


def _picture(groups: Sequence[Group], kind: str) -> str:
    """A caption that names the data, and a run's pictures; empty where no run of the groups has one."""
    if (drawn := wording.first_pictures(groups, kind)) is None:
        return ""
    group, record, files = drawn
    caption = f"{plain(RECIPES[group.slug].title)}: {wording.caption(kind, group.slug)}, {named(group)}"
    pictures = (f"![{caption}](../{file})" for file in files)
    return "\n\n".join([f"`{group.slug}`, {caption}, seed {record.seed}", *pictures])


def _assumptions(slugs: Sequence[str]) -> list[str]:
    """Values of the recipes' own choice; one line for several recipes that chose alike."""
    users = _users((slug, (a.field, a.value, a.why)) for slug in slugs for a in RECIPES[slug].assumptions)
    if not users:
        return []
    caption = "Values that the report does not state, what we took for them, and why."
    rows = [[*map(plain, chosen), _codes(recipes)] for chosen, recipes in users.items()]
    return ["## Assumptions", caption, pipe_table(["field", "value", "why", "recipes"], rows)]


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
    caption = "Settings that runs used in place of the recipe's. Such runs count for no printed figure."
    rows = [[*map(plain, deviation), _codes(recipes)] for deviation, recipes in users.items()]
    return ["## Deviations", caption, pipe_table(["field", "recipe says", "used", "why", "recipes"], rows)]


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
    stands = {
        **{id(record): "superseded" for record in runs.superseded},
        **{id(record): "repeated without a reason" for record in runs.repeated},
    }
    heads = ["recipe", "run", "seed", "tier", "data", "status", "figure", "epoch", "commit", "device"]
    rows = [
        [
            f"`{record.slug}`",
            f"`{record.name}`",
            str(record.seed),
            record.tier,
            record.data["source"],
            stands.get(id(record)) or plain(wording.status(record)),
            *wording.result(record),
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


def _commit(record: Record) -> str:
    commit, dirty = wording.commit(record)
    return (
        f"`{commit}`{' with changes' if dirty else ''}"
        if commit
        else "unknown"
        if dirty
        else "not in a checkout"
    )


def claims_page(
    rows: Sequence[GradedClaim], ledgers: Sequence[Ledger] = (), others: Others | None = None
) -> str:
    """Every claim of every report: printed, verdict, what is missing; then what the words mean."""
    titles = {ledger.report: ledger.title for ledger in ledgers}
    finding, *details = summary.headline(rows, others)
    parts = ["# Every claim and what became of it", f"**{finding}** {' '.join(details)}", HOW_TO_READ]
    for report in dict.fromkeys(row.claim.report for row in rows):
        report_rows = [row for row in rows if row.claim.report == report]
        tested = summary.tested(report_rows)
        title = f": {plain(titles[report])}" if report in titles else ""
        parts += [
            f"## {report.upper()}{title}",
            f"{len(report_rows)} claims; {tested}. [The report's page](reports/{report}.md)",
            pipe_table(
                ["claim", "printed", "verdict", "missing"],
                [
                    [_id(row), wording.printed(row.claim), _short_grade(row), plain(missing(row))]
                    for row in report_rows
                ],
                right=(1,),
            ),
        ]
    parts += ["## What the verdicts mean", _summary(rows)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _short_grade(row: GradedClaim) -> str:
    return "<br>".join([f"**{row.label}**", *(f"flag: {plain(flag)}" for flag in row.flags)])
