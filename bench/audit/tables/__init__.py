"""Any table of any file, audited without a claims file: what is printed against itself, by arithmetic.

``audit_file`` reads a file, guesses what its columns are, makes every check that it can and says what it
could not. Nothing is trained, and neither torch nor numpy is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.audit.tables import classification, granularity, means, parts, prose, repeats, scores
from bench.audit.tables.files import is_table_file, read_document
from bench.audit.tables.layout import Document
from bench.audit.tables.roles import LABEL, Options, ReadTable, read_roles
from bench.audit.tables.table_finding import TableFinding

__all__ = ["Options", "TableAudit", "audit_document", "audit_file", "is_table_file"]


@dataclass(frozen=True, kw_only=True)
class TableAudit:
    """What came of one file.

    Attributes:
        findings: all of them, those against first, certain before strong before weak, then by line.
        figures: how many figures were read.
        unread: (line, row, column, text, why) of every cell with digits that was not understood.
        asides: how many cells hold a quantity, a pair or an approximate number, which no check uses.
    """

    path: str
    document: Document
    tables: tuple[ReadTable, ...]
    findings: tuple[TableFinding, ...]
    figures: int
    unread: tuple[tuple[int, str, str, str, str], ...]
    asides: int
    unchecked: int


_VERDICT_ORDER = ("against", "note", "holds", "not checked")
_STRENGTH_ORDER = ("certain", "strong", "weak", "")


def audit_file(path: Path, options: Options | None = None) -> TableAudit:
    """Audit every table of a file.

    Raises:
        InputError: as ``read_document``; or ``options.means`` names columns that no table has.
    """
    return audit_document(str(path), read_document(path), options or Options())


def audit_document(path: str, document: Document, options: Options) -> TableAudit:
    """Audit the tables of a file that was read."""
    reads = tuple(read_roles(table, options) for table in document.tables)
    findings = [
        *means.check_means(reads),
        *classification.check_classifications(reads),
        *scores.check_scores(reads),
        *granularity.check_granularity(reads),
        *parts.check_shares(reads),
        *repeats.check_repeats(reads),
        *prose.check_prose(document, reads),
    ]
    findings.sort(key=lambda f: (_VERDICT_ORDER.index(f.verdict), _STRENGTH_ORDER.index(f.strength), f.line))
    figures, asides, unread = _counted(reads)
    used = {
        (id(place.read), place.row, place.column)
        for f in findings
        if f.verdict in ("against", "holds")
        for place in f.places
    }
    return TableAudit(
        path=path,
        document=document,
        tables=reads,
        findings=tuple(findings),
        figures=figures,
        unread=tuple(unread),
        asides=asides,
        unchecked=max(0, figures - len(used)),
    )


def _counted(reads: Sequence[ReadTable]) -> tuple[int, int, list[tuple[int, str, str, str, str]]]:
    """Figures, asides, and cells that stand in a column of figures and were not understood."""
    figures = asides = 0
    unread = []
    for read in reads:
        kinds = [column.role for column in read.columns]
        for index, row in enumerate(read.table.rows):
            for column, cell in enumerate(row.cells):
                if kinds[column] == LABEL:
                    continue
                if cell.kind == "figure":
                    figures += 1
                elif cell.kind in ("quantity", "pair", "about", "count"):
                    asides += 1
                elif cell.kind == "text":
                    why = cell.why or "words in a column of figures"
                    unread.append((row.line, read.labels[index], read.table.names[column], cell.text, why))
    return figures, asides, unread
