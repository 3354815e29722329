"""Copies chosen runs from working results into the tracked ones, and renders their pages anew.

Everything is checked before anything is copied: records are never overwritten, a picture is the one its
record names, and a run of uncommitted code stays out, since nobody could read what made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from bench.claims.ledger import load_ledgers
from bench.grading import alignment
from bench.pages import build, reliability
from bench.runs import records
from bench.runs.records import Record
from reference.errors import InputError
from reference.files import write_atomically


def publish(
    source: Path,
    target: Path,
    *,
    slugs: Collection[str] | None = None,
    tier: str | None = None,
    allow_dirty: bool = False,
) -> list[Path]:
    """Copy records with their per-image results and pictures, then write the target's pages.

    Runs that did not end well are copied too: every started run counts. Of several seeds the first one's
    pictures are copied, which the pages show; the records hold all that the others would say.

    Args:
        source: folder that holds ``records`` and ``figures``.
        target: the same, tracked.
        slugs: only these recipes; None for all.
        tier: only this tier; None for all.
        allow_dirty: also runs of a checkout with uncommitted changes.

    Returns:
        The files that were written: copies that were not there yet, then the pages.

    Raises:
        InputError: nothing to copy, a record that cannot be read, a run of uncommitted code, a file missing
            or changed since its record was written, or another file in its place in ``target``. Nothing is
            copied then.
    """
    found = {folder: records.find(folder) for folder in (source, target)}
    for folder, (_, damaged) in found.items():
        if damaged:
            raise InputError(f"{folder}: {damaged[0]}")
    chosen = [
        record
        for record in found[source].readable
        if (slugs is None or record.slug in slugs) and tier in (None, record.tier)
    ]
    if not chosen:
        raise InputError(f"{source}: no record of what was asked for; run it first or name another --from")
    first: dict[tuple[str, str, str], int] = {}  # the seed whose pictures pages show
    for record in (*found[target].readable, *chosen):
        if record.status == "ok":
            kind = _kind(record)
            first[kind] = min(record.seed, first.get(kind, record.seed))
    copies: dict[str, bytes] = {}
    for record in chosen:
        if record.provenance.get("dirty") and not allow_dirty:
            raise InputError(
                f"{record.slug}/{record.name}: run of uncommitted code; commit and run it again, or --dirty"
            )
        copies |= _files(source, record, pictures=first.get(_kind(record)) == record.seed)
    for name, content in copies.items():
        if (target / name).exists() and (target / name).read_bytes() != content:
            raise InputError(f"{target / name}: is there with other content; records are never overwritten")
    written = []
    for name, content in copies.items():
        if not (target / name).exists():
            write_atomically(target / name, content)
            written.append(target / name)
    for note in (alignment.FILE, reliability.FILE):
        if (source / note).exists():
            write_atomically(target / note, (source / note).read_bytes())
    return written + build.write_all(target, load_ledgers())


def _kind(record: Record) -> tuple[str, str, str]:
    return record.slug, record.tier, str(record.data["source"])


def _files(source: Path, record: Record, *, pictures: bool) -> dict[str, bytes]:
    """What belongs to a record, by its path below ``source``; the record itself last."""
    path = records.path_of(source, record)
    results = path.with_suffix(".npz")
    figures = record.figures if pictures else []
    files = {figure["file"]: _read(source / figure["file"], record) for figure in figures}
    for figure in figures:
        if hashlib.sha256(files[figure["file"]]).hexdigest() != figure["sha256"]:
            raise InputError(f"{source / figure['file']}: changed since its record was written; run it again")
    if record.status == "ok":
        files[results.relative_to(source).as_posix()] = _read(results, record)
    return files | {path.relative_to(source).as_posix(): _read(path, record)}


def _read(path: Path, record: Record) -> bytes:
    if not path.exists():
        raise InputError(f"{path}: missing, though record {record.slug}/{record.name} needs it; run it again")
    return path.read_bytes()
