"""The audit of tables as lines, JSON, Markdown, SARIF and annotations of GitHub."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.audit.finding import STRENGTHS
from bench.audit.tables import TableAudit, means
from bench.audit.tables.layout import FORMS
from bench.audit.tables.names import claim_ids
from bench.audit.tables.roles import LABEL, MEANS, ROLES, VALUE, Column
from bench.audit.tables.table_finding import VERDICTS, Place, TableFinding, count

MOST_ANNOTATIONS = 50
"""Annotations of one call; GitHub itself shows ten errors and ten warnings of a step."""

MOST_RESULTS = 5000
"""Results of a SARIF file, as many as GitHub shows."""

LEVELS = {"certain": "error", "strong": "error", "weak": "note"}
"""SARIF's level of each strength."""


def lines(audit: TableAudit, limit: int, explain: bool) -> list[str]:
    """One line a finding, never wrapped, at most ``limit`` of each verdict; what was not read is said."""
    text = [summary(audit)]
    if explain:
        text += ["", *explained(audit, limit), ""]
    for verdict in VERDICTS:
        chosen = [finding for finding in audit.findings if finding.verdict == verdict]
        text += [
            f"{finding.verdict:11}  {finding.strength:7}  {audit.path}:{finding.line:<5} {finding.check}: "
            f"{finding.sentence}"
            for finding in chosen[:limit]
        ]
        text += _and_more(len(chosen) - limit, verdict)
    text += _not_read(audit, limit)
    return text


def summary(audit: TableAudit) -> str:
    """``paper.md: 2 tables, 40 figures; 2 against (1 certain, 1 weak), 30 hold, 1 not checked; …``"""
    findings = audit.findings
    against = [f for f in findings if f.verdict == "against"]
    by_strength = [f"{n} {s}" for s in STRENGTHS if (n := sum(f.strength == s for f in against))]
    strengths = f" ({', '.join(by_strength)})" if by_strength else ""
    parts = [
        f"{audit.path}: {count(len(audit.tables), 'table')}, {count(audit.figures, 'figure')}",
        f"{len(against):,} against{strengths},"
        f" {sum(f.verdict == 'holds' for f in findings):,} hold,"
        f" {sum(f.verdict == 'not checked' for f in findings):,} not checked",
        f"{count(audit.unchecked, 'figure')} in no check",
        f"{count(len(audit.unread), 'cell')} not understood",
    ]
    return "; ".join(parts)


def _and_more(number: int, what: str) -> list[str]:
    return [f"{what:11}  and {number:,} more; --limit N shows more of them"] if number > 0 else []


def _not_read(audit: TableAudit, limit: int) -> list[str]:
    text = [
        f"not read     {audit.path}:{line:<5} {row}, {column!r}: {cell!r} ({why})"
        for line, row, column, cell, why in audit.unread[:limit]
    ]
    text += _and_more(len(audit.unread) - limit, "not read")
    over = audit.document.passed_over
    text += [f"passed over  {audit.path}:{line:<5} {what}" for line, what in over[:limit]]
    text += _and_more(len(over) - limit, "passed over")
    if audit.asides:
        text.append(
            f"aside        {count(audit.asides, 'cell')} with a quantity, a pair or an approximate "
            f"number, which no check uses"
        )
    if not audit.tables:
        text.append(
            "no table     nothing of this file was read as a table; the endings and forms that are read: "
            "docs/audit.md"
        )
    return text


def explained(audit: TableAudit, limit: int) -> list[str]:
    """How each column was read, and what each mean was taken to be of."""
    text = []
    for read in audit.tables:
        table = read.table
        title = f", {table.title!r}" if table.title else ""
        text.append(f"{table.label}: {FORMS[table.form]}{title}, {count(len(table.rows), 'row')}")
        text += [f"  {column.name or '(no name)'}: {_meaning(column)}" for column in read.columns[:limit]]
        if len(read.columns) > limit:
            text.append(f"  and {len(read.columns) - limit:,} more columns")
        labelled = [
            (label, role)
            for label, role in zip(read.labels, read.row_roles, strict=True)
            if role not in (VALUE, "aside", "aside_count", "n")
        ]
        if labelled and len(read.numeric()) and table.form != "classification report":
            text += [f"  row {label}: {ROLES[role].title}" for label, role in labelled[:limit]]
    for place, what in list(means.members_of(audit.tables))[:limit]:
        name = (
            place.name
            if place.read.columns[place.column].role in (*MEANS, "total", "overall", "harmonic")
            else place.label
        )
        text.append(f"{name} in line {place.line}: taken as the mean or sum of {what}; --mean says otherwise")
    return text


def _meaning(column: Column) -> str:
    if column.role == LABEL:
        return f"names the rows ({column.why})"
    title = ROLES[column.role].title if column.role in ROLES else "values of its own name"
    parts = [f"{title} ({column.why})"]
    if column.unit:
        parts.append(f"{column.unit} ({column.unit_why})")
    if column.n:
        parts.append(f"n = {column.n:,} ({column.n_why})")
    if column.runs:
        parts.append(f"{column.runs} runs")
    return ", ".join(parts)


def as_dict(audit: TableAudit) -> dict[str, Any]:
    """All of it, for JSON; cells carry the ids that ``--to-claims`` gives them."""
    ids = claim_ids(audit)
    return {
        "file": audit.path,
        "figures": audit.figures,
        "figures_in_no_check": audit.unchecked,
        "asides": audit.asides,
        "tables": [
            {
                "number": read.table.number,
                "line": read.table.line,
                "form": read.table.form,
                "title": read.table.title,
                "rows": len(read.table.rows),
                "columns": [
                    {"name": c.name, "role": c.role, "why": c.why, "unit": c.unit, "n": c.n, "runs": c.runs}
                    for c in read.columns
                ],
            }
            for read in audit.tables
        ],
        "findings": [
            {
                "check": findings.check,
                "verdict": findings.verdict,
                "strength": findings.strength,
                "finding": findings.sentence,
                "line": findings.line,
                "printed": findings.printed,
                "expected": findings.expected,
                "cells": [_cell(place, ids) for place in findings.places],
            }
            for findings in audit.findings
        ],
        "not_understood": [
            {"line": line, "row": row, "column": column, "text": cell, "why": why}
            for line, row, column, cell, why in audit.unread
        ],
        "passed_over": [{"line": line, "what": what} for line, what in audit.document.passed_over],
    }


def _cell(place: Place, ids: Callable[[Place], str]) -> dict[str, object]:
    return {
        "table": place.read.table.number,
        "line": place.line,
        "row": place.label,
        "column": place.name,
        "text": place.cell.text,
        "claim": ids(place),
    }


def as_json(audits: Sequence[TableAudit]) -> str:
    """One object a file, in a list."""
    return json.dumps([as_dict(audit) for audit in audits], indent=1, ensure_ascii=False)


def markdown(audit: TableAudit, limit: int, explain: bool) -> list[str]:
    """A section with one table a verdict."""
    text = [f"## {_escaped(audit.path)}", "", f"{_escaped(summary(audit).partition(': ')[2])}.", ""]
    if explain:
        text += ["```text", *explained(audit, limit), "```", ""]
    for verdict, meaning in VERDICTS.items():
        chosen = [finding for finding in audit.findings if finding.verdict == verdict]
        if chosen:
            text += [
                f"**{meaning.capitalize()}**",
                "",
                "| strength | check | line | finding |",
                "|---|---|---|---|",
            ]
            text += [
                f"| {f.strength} | {f.check} | {f.line} | {_escaped(f.sentence)} |" for f in chosen[:limit]
            ]
            text += ["", *([f"and {len(chosen) - limit:,} more", ""] if len(chosen) > limit else [])]
    unread = _not_read(audit, limit)
    if unread:
        text += ["**Not read**", "", *(f"- {_escaped(' '.join(line.split()))}" for line in unread), ""]
    return text


def _escaped(text: str) -> str:
    return re.sub(r"([|<*_`\[\]])", r"\\\1", " ".join(text.split()))


def github(audit: TableAudit, fail_on: str | None) -> list[str]:
    """Workflow commands that put what speaks against a figure on its line; then the summary.

    What makes the command fail is an error, the rest a warning, and what is weak a notice.
    """
    against = [f for f in audit.findings if f.verdict == "against"]
    text = []
    for one in against[:MOST_ANNOTATIONS]:
        level = "notice" if one.strength == "weak" else "error" if _fails(one, fail_on) else "warning"
        title = _property(f"{one.check} ({one.strength})")
        text.append(
            f"::{level} file={_property(audit.path)},line={one.line},title={title}::{_message(one.sentence)}"
        )
    if len(against) > MOST_ANNOTATIONS:
        text.append(
            f"::notice file={_property(audit.path)}::and {len(against) - MOST_ANNOTATIONS:,} more against"
        )
    text += [
        f"::notice file={_property(audit.path)},line={line}::not understood%3A "
        f"{_message(f'{cell!r} ({why})')}"
        for line, _, _, cell, why in audit.unread[:5]
    ]
    return [*text, summary(audit)]


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def sarif(audits: Sequence[TableAudit]) -> str:
    """SARIF 2.1.0: a result for everything that speaks against a figure."""
    findings = [
        (audit, finding) for audit in audits for finding in audit.findings if finding.verdict == "against"
    ]
    checks = list(dict.fromkeys(finding.check for _, finding in findings))
    results = [
        {
            "ruleId": _rule(finding.check),
            "level": LEVELS[finding.strength],
            "message": {"text": finding.sentence},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": audit.path.replace("\\", "/").replace(" ", "%20")},
                        "region": {"startLine": max(finding.line, 1)},
                    }
                }
            ],
            "properties": {
                "strength": finding.strength,
                "printed": finding.printed,
                "expected": finding.expected,
            },
        }
        for audit, finding in findings[:MOST_RESULTS]
    ]
    notes = [
        {"level": "note", "message": {"text": text}}
        for audit in audits
        for text in [summary(audit), *(line for line in _not_read(audit, 100))]
    ]
    if len(findings) > MOST_RESULTS:
        notes.append(
            {"level": "note", "message": {"text": f"and {len(findings) - MOST_RESULTS:,} more results"}}
        )
    driver = {
        "name": "bench audit",
        "rules": [
            {"id": _rule(check), "name": check, "shortDescription": {"text": f"{check} of a table"}}
            for check in checks
        ],
    }
    run = {
        "tool": {"driver": driver},
        "results": results,
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
    }
    return json.dumps(
        {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]},
        indent=1,
        ensure_ascii=False,
    )


def _rule(check: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", check.lower()).strip("-")


def fails(audits: Iterable[TableAudit], fail_on: str | None) -> bool:
    """Whether anything speaks against a figure at least so strongly."""
    return any(_fails(finding, fail_on) for audit in audits for finding in audit.findings)


def _fails(finding: TableFinding, fail_on: str | None) -> bool:
    if fail_on is None or finding.verdict != "against":
        return False
    order = list(STRENGTHS)
    return order.index(finding.strength) <= order.index(fail_on)
