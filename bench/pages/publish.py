"""Copies chosen runs from working results into the tracked ones, and writes their pages anew.

Everything is checked before anything is copied: records are never overwritten, a picture is the one that its
record names, and a run of uncommitted code stays out, since nobody could read what made it. Pictures that no
page shows are removed; the record keeps their hashes.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bench.claims.ledger import load_ledgers
from bench.grading import alignment
from bench.pages import build, published_pictures, reliability
from bench.pages.published_pictures import Index, sha256, with_palette
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

    Runs that did not end well are copied too: every started run counts. Pictures are copied as PNGs with a
    palette, of the first of several seeds. Those that no page shows are removed afterwards.

    Args:
        source: folder that holds ``records`` and ``figures``.
        target: the same, tracked.
        slugs: only these recipes; None for all.
        tier: only this tier; None for all.
        allow_dirty: also runs whose code is no commit's, or not known to be.

    Returns:
        The files that were written: copies that were not there yet, then the pages.

    Raises:
        InputError: nothing to copy, a record that cannot be read, a run of uncommitted code, a file missing
            or changed since its record was written, or another file in its place in ``target``. Nothing is
            copied then.
    """
    records_by_folder = {folder: records.find(folder) for folder in (source, target)}
    for folder, (_, damaged) in records_by_folder.items():
        if damaged:
            raise InputError(f"{folder}: {damaged[0]}")
    chosen = [
        record
        for record in records_by_folder[source].readable
        if (slugs is None or record.slug in slugs) and tier in (None, record.tier)
    ]
    if not chosen:
        raise InputError(f"{source}: no record of what was asked for; run it first or name another --from")
    first: dict[tuple[str, str, str], int] = {}  # the seed whose pictures pages show
    for record in (*records_by_folder[target].readable, *chosen):
        if record.status == "ok":
            kind = _kind(record)
            first[kind] = min(record.seed, first.get(kind, record.seed))
    index = published_pictures.read_index(target) or {}
    copies: dict[str, bytes] = {}
    for record in chosen:
        if not allow_dirty:
            _check_committed(record)
        copies |= _files(source, record)
        if first.get(_kind(record)) == record.seed:
            copies |= _pictures(source, record, index)
    for name, content in copies.items():
        if not (target / name).exists():
            continue
        there = (target / name).read_bytes()
        if there != content and sha256(there) != index.get(name, {}).get("drawn"):
            raise InputError(f"{target / name}: is there with other content; records are never overwritten")
    written = []
    for name, content in copies.items():
        if not (target / name).exists() or (target / name).read_bytes() != content:
            write_atomically(target / name, content)
            written.append(target / name)
    for note in (alignment.FILE, reliability.FILE):
        if (source / note).exists():
            write_atomically(target / note, (source / note).read_bytes())
    published_pictures.write_index(target, index)
    for vector in (target / "figures").rglob("*.svg"):  # made again by a run; pages show the PNG
        vector.unlink()
    pages = build.write_all(target, load_ledgers())
    return [path for path in written if path.exists()] + pages


def _check_committed(record: Record) -> None:
    """Refuse a run unless its record says which commit its code was."""
    provenance = record.provenance
    if provenance.get("dirty") is False and provenance.get("commit"):
        return
    if provenance.get("dirty") and provenance.get("commit"):
        cause = "run of uncommitted code; commit and run it again"
    elif provenance.get("dirty"):
        cause = "git could not tell which code it ran; run it again where git is on the path"
    else:
        cause = "run of an installed package, whose commit nobody knows; run it again from a checkout"
    raise InputError(f"{record.slug}/{record.name}: {cause}, or publish it with --dirty")


def _kind(record: Record) -> tuple[str, str, str]:
    return record.slug, record.tier, str(record.data["source"])


def _files(source: Path, record: Record) -> dict[str, bytes]:
    """A record and its per-image results, by their path below ``source``; the record itself last."""
    path = records.path_of(source, record)
    results = path.with_suffix(".npz")
    files = {results.relative_to(source).as_posix(): _read(results, record)} if record.status == "ok" else {}
    return files | {path.relative_to(source).as_posix(): _read(path, record)}


def _pictures(source: Path, record: Record, index: Index) -> dict[str, bytes]:
    """A record's pictures as they are published, by their path; fills ``index``. SVGs stay where they are."""
    pictures = {}
    for figure in record.figures:
        file, drawn = figure["file"], figure["sha256"]
        if file.endswith(".svg") or index.get(file, {}).get("drawn") == drawn:
            continue
        content = _read(source / file, record)
        if sha256(content) != drawn:
            raise InputError(f"{source / file}: changed since its record was written; run it again")
        try:
            pictures[file] = with_palette(content) if file.endswith(".png") else content
        except OSError as error:
            raise InputError(f"{source / file}: no PNG ({error}); run it again") from error
        index[file] = {"drawn": drawn, "published": sha256(pictures[file])}
    return pictures


def _read(path: Path, record: Record) -> bytes:
    if not path.exists():
        raise InputError(f"{path}: missing, though record {record.slug}/{record.name} needs it; run it again")
    return path.read_bytes()
