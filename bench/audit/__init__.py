"""Does a report agree with itself? Arithmetic on what it prints; nothing is trained.

``audit`` applies every check to ledgers and returns its findings, each with a strength. A finding that is
certain or strong puts its flag next to the claims concerned; a weak one is reported and flags nothing. The
checks read the keys of a ledger and know no report, so that a ledger of one's own is audited alike.

Neither torch nor numpy is imported.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.audit import counting, figures, network_findings, ordering_findings, statements
from bench.audit.finding import FLAGS, STRENGTHS, VERDICTS, Finding, in_order_of_strength, not_checked
from bench.audit.text import audit_page, finding_rows, paragraph
from bench.claims.claim import Ledger
from bench.claims.data_facts import load_data_facts

__all__ = [
    "FLAGS",
    "STRENGTHS",
    "VERDICTS",
    "Finding",
    "audit",
    "audit_page",
    "finding_rows",
    "flags",
    "in_order_of_strength",
    "paragraph",
]

NAMED = 20
"""Figures without a check that are named one by one."""


def audit(ledgers: Iterable[Ledger]) -> list[Finding]:
    """Audit ledgers; return all findings, report by report, then those across reports.

    Conflicts with a report that is not among the ledgers are left out.

    >>> from bench.claims.ledger import load_ledgers
    >>> flags(audit(ledger for ledger in load_ledgers() if ledger.report == "r3"))["r3-classify-b"]
    ('inconsistent',)
    """
    all_ledgers = tuple(ledgers)
    facts = load_data_facts()
    all_findings: list[Finding] = []
    for ledger in all_ledgers:
        report_findings = [
            *counting.check_counts(ledger, facts),
            *figures.check_figures(ledger, facts),
            *ordering_findings.check_orderings(ledger),
            *statements.check_statements(ledger),
            *network_findings.check_networks(ledger),
        ]
        report_findings += statements.conflicts(ledger, report_findings)
        all_findings += [*report_findings, *_unused(ledger, report_findings)]
    return [*all_findings, *ordering_findings.across(all_ledgers)]


def _unused(ledger: Ledger, findings: Iterable[Finding]) -> list[Finding]:
    """One line on the figures that no check used, by name; none where every one was used."""
    used = {claim for finding in findings if finding.verdict != "not checked" for claim in finding.claims}
    unused = [claim for claim in ledger.of_kind("number") if claim.id not in used]
    if not unused:
        return []
    named = ", ".join(claim.id for claim in unused[:NAMED])
    more = f" and {len(unused) - NAMED:,} more" if len(unused) > NAMED else ""
    total = len(ledger.of_kind("number"))
    sentence = f"{len(unused):,} of {total:,} figures stand in no check: {named}{more}"
    return [not_checked(unused, "figures", sentence)]


def flags(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """Return, by claim id, the flags from certain and strong findings, in the order of ``FLAGS``."""
    marked: dict[str, set[str]] = {}
    for one in findings:
        if one.flag and one.strength != "weak":
            for claim in one.flagged:
                marked.setdefault(claim, set()).add(one.flag)
    return {claim: tuple(flag for flag in FLAGS if flag in marked[claim]) for claim in sorted(marked)}
