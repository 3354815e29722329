"""Findings as rows, as one paragraph a report, and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench.audit.finding import FLAGS, STRENGTHS, VERDICTS, Finding, in_order_of_strength
from bench.claims.claim import Ledger

ASKS: dict[str, str] = {
    "GRIM": "say on how many images each accuracy is measured and how batches are averaged",
    "batch means": "say on how many images each accuracy is measured and how batches are averaged",
    "class mean": "print the classes and their mean from one evaluation",
    "bounds": "print all scores from one confusion matrix",
    "parts of a gain": "run each change alone",
    "difference": "quote differences as the tables give them",
    "confound": "change one thing at a time",
    "ordering": "run several seeds, or print which images each model has right",
    "tie": "run several seeds, or print which images each model has right",
    "process": "show the curves with the epochs that were selected",
    "epochs": "show the curves with the epochs that were selected",
    "stages": "show the last epoch's masks",
    "settings": "state each setting once",
    "selection": "select on other images than are reported on, by one rule for all settings",
    "code": "print the code and the networks that were run",
    "listing": "print the code and the networks that were run",
    "name": "name each network as the code does",
    "named model": "name each network as the code does",
    "conflict": "resolve what the report says in two ways",
}
"""What a reviewer would ask for, by check."""


TOGETHER: dict[tuple[str, str, str], str] = {
    ("ordering", "against", "indistinguishable"): "Not distinguishable on one split:",
    ("ordering", "holds", ""): "Beyond the noise of one split:",
    ("ordering", "note", ""): "Left open by one split:",
    ("ranking", "holds", ""): "Ranked as their figures are printed:",
    ("difference", "holds", ""): "Quoted as the figures differ:",
    ("difference", "not checked", ""): "Differences without both figures:",
    ("bounds", "holds", ""): "Bounds between scores that hold:",
}
"""What a list of like findings begins with, by check, verdict and flag."""


def finding_rows(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """One row a finding, for tables and JSON."""
    return [
        {
            "claims": list(finding.claims),
            "check": finding.check,
            "verdict": finding.verdict,
            "strength": finding.strength,
            "flag": finding.flag,
            "printed": finding.printed,
            "expected": finding.expected,
            "finding": finding.sentence,
            "where": finding.locator,
        }
        for finding in findings
    ]


def paragraph(ledger: Ledger, findings: Iterable[Finding]) -> str:
    """What a reviewer could send about one report: what speaks against it, how surely, what is in order.

    Claims go by their ids without the report's own.
    """
    report_findings = [finding for finding in findings if ledger.report in finding.reports]
    alone = [finding for finding in report_findings if finding.reports == (ledger.report,)]
    against = _sentences(
        f for f in in_order_of_strength(report_findings) if f.verdict == "against" and f.strength != "weak"
    )
    weak = _sentences(f for f in report_findings if f.verdict == "against" and f.strength == "weak")
    notes = _sentences(f for f in alone if f.verdict == "note")
    holds = _sentences(f for f in alone if f.verdict == "holds")
    name = ledger.report.upper()
    if not report_findings:
        return f"{name} prints nothing that these checks apply to."
    said = [f"{name} has {points(report_findings)}{':' if against else '.'}", *against]
    skipped = _sentences(f for f in alone if f.verdict == "not checked")
    for heading, sentences in (
        ("Less surely:", weak),
        ("To weigh this:", notes),
        ("In order:", holds),
        ("Not checked:", skipped),
    ):
        said += [heading, *sentences] if sentences else []
    firm = (f for f in report_findings if f.verdict == "against" and f.strength != "weak")
    asks = dict.fromkeys(ask for f in firm if (ask := ASKS.get(f.check)))
    if asks:
        said.append(f"Please {'; '.join(asks)}.")
    return re.sub(rf"\b{re.escape(ledger.report)}-(?=[a-z])", "", " ".join(said))


def points(findings: Iterable[Finding]) -> str:
    """How many findings speak against a report, and how many follow from its text alone.

    The one count of all pages: findings that are certain or strong. Certain ones use nothing from outside.
    """
    firm = [finding for finding in findings if finding.verdict == "against" and finding.strength != "weak"]
    alone = sum(finding.strength == "certain" for finding in firm)
    if not firm:
        return "no points to answer"
    count = "1 point" if len(firm) == 1 else f"{len(firm)} points"
    if alone == len(firm):
        return f"{count} to answer, by its text alone"
    return f"{count} to answer ({alone or 'none'} by its text alone)"


def audit_page(ledgers: Iterable[Ledger], findings: Iterable[Finding]) -> str:
    """The findings as Markdown, the same bytes for the same ledgers."""
    every = list(findings)
    lines = [
        "# What the reports say against themselves",
        "",
        "Generated by `bench audit` from the claims alone; nothing was trained for it. Strengths:",
        "",
        *(f"- **{strength}**: {meaning}" for strength, meaning in STRENGTHS.items()),
        "",
        "Certain and strong findings put a flag next to the claims concerned:",
        "",
        *(f"- *{flag}*: {meaning}" for flag, meaning in FLAGS.items()),
        "",
    ]
    for ledger in ledgers:
        report_findings = [finding for finding in every if finding.reports == (ledger.report,)]
        lines += [f"## {ledger.report.upper()}: {_cell(ledger.title)}", "", paragraph(ledger, every), ""]
        lines += _tables(report_findings)
    between = [finding for finding in every if len(finding.reports) > 1]
    if between:
        lines += ["## Across reports", "", *_tables(between)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _tables(findings: Sequence[Finding]) -> list[str]:
    lines: list[str] = []
    for verdict, meaning in VERDICTS.items():
        chosen = [finding for finding in findings if finding.verdict == verdict]
        if chosen:
            lines += [f"**{meaning.capitalize()}**", "", *_table(in_order_of_strength(chosen)), ""]
    return lines


def _table(findings: Sequence[Finding]) -> list[str]:
    head = "| strength | check | finding | flag | where |"
    body = [f"| {f.strength} | {f.check} | {_cell(f.sentence)} | {f.flag} | {f.locator} |" for f in findings]
    return [head, "|---|---|---|---|---|", *body]


def _cell(text: str) -> str:
    """One line without markup: sentences quote what a claims file says."""
    return re.sub(r"[|<]|\](?=\()", lambda special: f"\\{special[0]}", " ".join(text.split()))


def _sentences(findings: Iterable[Finding]) -> list[str]:
    """One sentence a finding, and one for all of a kind that ``TOGETHER`` has."""
    chosen = list(findings)
    sentences: dict[object, str] = {}
    for position, finding in enumerate(chosen):
        key = finding.check, finding.verdict, finding.flag
        if finding.brief and key in TOGETHER:
            alike = [f.brief for f in chosen if (f.check, f.verdict, f.flag) == key]
            sentences[key] = f"{TOGETHER[key]} {'; '.join(dict.fromkeys(alike))}."
        else:
            sentences[position] = f"{_capital(finding.sentence)} ({finding.locator})."
    return list(sentences.values())


def _capital(sentence: str) -> str:
    """With a capital, unless it begins with an id or a figure."""
    word = sentence.split(" ", 1)[0]
    return sentence if "-" in word else sentence[:1].upper() + sentence[1:]
