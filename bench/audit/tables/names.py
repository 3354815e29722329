"""Ids of cells: what ``--to-claims`` calls each figure, and JSON names next to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from bench.audit.tables import TableAudit
from bench.audit.tables.table_finding import Place


def slug(text: str, fallback: str = "x") -> str:
    """Lower-case letters, digits and single hyphens, at most 40 characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or fallback


def report_id(path: str) -> str:
    """The id of the report that a file makes: its name."""
    return slug(Path(path).stem, "report")


def claim_ids(audit: TableAudit, report: str | None = None) -> Callable[[Place], str]:
    """A function from a cell to its id, ``paper-t2-resnet18-top-1``; equal names get their place too."""
    report = report or report_id(audit.path)
    rows = {id(read): _unique([slug(label, "row") for label in read.labels]) for read in audit.tables}
    columns = {
        id(read): _unique([slug(name, "column") for name in read.table.names]) for read in audit.tables
    }

    def name(place: Place) -> str:
        read = id(place.read)
        return f"{report}-t{place.read.table.number}-{rows[read][place.row]}-{columns[read][place.column]}"

    return name


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for position, name in enumerate(names, start=1):
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{position}")
    return unique
