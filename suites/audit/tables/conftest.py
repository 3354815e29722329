"""Tables of the shapes that people print, with figures of our own, and the audit of a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.audit.tables import Options, TableAudit, audit_document
from bench.audit.tables.files import READERS
from bench.audit.tables.table_finding import TableFinding

Audited = Callable[..., TableAudit]
Against = Callable[[TableAudit], list[tuple[str, str, int]]]


@pytest.fixture(scope="session")
def audited() -> Audited:
    """``audited(text, ".md", n=100)``: the audit of a text as a file of that ending would be audited."""

    def audit(text: str, ending: str = ".md", **options: object) -> TableAudit:
        document = READERS[ending](text)
        return audit_document(f"paper{ending}", document, Options(**options))  # type: ignore[arg-type]

    return audit


@pytest.fixture(scope="session")
def against() -> Against:
    """(check, strength, line) of all that speaks against a figure."""
    return lambda audit: [(f.check, f.strength, f.line) for f in audit.findings if f.verdict == "against"]


@pytest.fixture(scope="session")
def found() -> Callable[..., list[TableFinding]]:
    """The findings of one check, of one verdict where that is said."""

    def of_check(audit: TableAudit, check: str, verdict: str = "") -> list[TableFinding]:
        return [f for f in audit.findings if f.check == check and f.verdict in (verdict or f.verdict,)]

    return of_check


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
