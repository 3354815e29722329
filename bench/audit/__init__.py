"""Does a report agree with itself? Arithmetic on what it prints; nothing is trained.

``audit`` applies every check to ledgers and returns its findings, each with a strength. A finding that is
certain or strong puts its flag beside the claims concerned; a weak one is reported and flags nothing. The
checks read the keys of a ledger and know no report, so that a ledger of one's own is audited alike.

Neither torch nor numpy is imported.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.audit import counting, figures, network_findings, ordering_findings, statements
from bench.audit.finding import FLAGS, STRENGTHS, VERDICTS, Finding, in_order_of_strength, not_checked
from bench.audit.text import page, paragraph, rows
from bench.claims.claim import Ledger
from bench.claims.data_facts import load_data_facts

__all__ = [
    "FLAGS",
    "STRENGTHS",
    "VERDICTS",
    "Finding",
    "audit",
    "flags",
    "in_order_of_strength",
    "page",
    "paragraph",
    "rows",
]

NAMED = 20
"""Figures without a check that are named one by one."""


def audit(ledgers: Iterable[Ledger]) -> list[Finding]:
    """All findings about the ledgers, report by report, then those across reports.

    Conflicts with a report that is not among them are left out.
    """
    known = tuple(ledgers)
    facts = load_data_facts()
    found: list[Finding] = []
    for ledger in known:
        own = [
            *counting.check(ledger, facts),
            *figures.check(ledger, facts),
            *ordering_findings.check(ledger),
            *statements.check(ledger),
            *network_findings.check(ledger),
        ]
        own += statements.conflicts(ledger, own)
        found += [*own, *_unused(ledger, own)]
    return [*found, *ordering_findings.across(known)]


def _unused(ledger: Ledger, findings: Iterable[Finding]) -> list[Finding]:
    """One line on the figures that no check used, by name; none where every one was used."""
    used = {claim for found in findings if found.verdict != "not checked" for claim in found.claims}
    unused = [claim for claim in ledger.of_kind("number") if claim.id not in used]
    if not unused:
        return []
    named = ", ".join(claim.id for claim in unused[:NAMED])
    more = f" and {len(unused) - NAMED:,} more" if len(unused) > NAMED else ""
    total = len(ledger.of_kind("number"))
    sentence = f"{len(unused):,} of {total:,} figures stand in no check: {named}{more}"
    return [not_checked(unused, "figures", sentence)]


def flags(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """By claim id, the flags that certain and strong findings put beside it, in the order of ``FLAGS``."""
    marked: dict[str, set[str]] = {}
    for found in findings:
        if found.flag and found.strength != "weak":
            for claim in found.flagged:
                marked.setdefault(claim, set()).add(found.flag)
    return {claim: tuple(flag for flag in FLAGS if flag in marked[claim]) for claim in sorted(marked)}
