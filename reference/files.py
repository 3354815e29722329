"""Write files so that a kill at any instant leaves the old content or the new, never a part.

Every file that the project writes goes through ``replaced_when_whole``. A killed writer leaves a dotfile that
ends in ``.tmp``, which nothing reads; ``remove_leftovers`` removes these files.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reference.errors import DiskError

LEFTOVERS = ".*.tmp"
STALE_SECONDS = 24 * 3600.0


def write_atomically(path: Path, content: bytes, *, before: Path | None = None) -> None:
    """Write ``content`` aside, fsync it and rename it to ``path``; folders are made as needed.

    Args:
        before: file that keeps the old content of ``path``.

    Raises:
        DiskError: the disk is full, or the folder cannot be written; ``path`` is unchanged.
    """
    with replaced_when_whole(path, before=before) as file:
        write_at(file, memoryview(content), 0)


@contextmanager
def replaced_when_whole(path: Path, *, before: Path | None = None) -> Iterator[int]:
    """Yield a file descriptor; the file gets its name when the block ends, and is removed on an error.

    Raises:
        DiskError: as ``write_atomically``.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with named_in_errors(path):
        make_folder(path.parent)
        try:
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                yield file
                os.fsync(file)
            finally:
                os.close(file)
            if before is not None and path.exists():
                os.replace(path, before)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_at(file: int, data: memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``, in as many system calls as needed."""
    # On a full disk pwrite raises an error, while a writable memory map kills the process.
    data = data.cast("B")
    while data:
        written = os.pwrite(file, data, offset)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data, offset = data[written:], offset + written


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that they survive a power cut. Raises: DiskError."""
    with named_in_errors(folder):
        absent = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for place in absent:
            sync_folder(place.parent)


def check_writable(probe: Path) -> None:
    """Write the small file ``probe`` and remove it, before hours of work. Raises: DiskError."""
    write_atomically(probe, b"\n")
    probe.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path, pattern: str = LEFTOVERS, *, older_than: float = 0.0) -> None:
    """Remove the files that killed writers left in ``folder``.

    Args:
        older_than: seconds; use 0 only if nobody else can be writing there.
    """
    for temporary in folder.glob(pattern):
        try:
            if time.time() - temporary.stat().st_mtime >= older_than:
                temporary.unlink()
        except FileNotFoundError:  # another process removed or renamed it first
            continue


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Turn the system's write errors into a DiskError that names ``path`` and says what to do."""
    try:
        yield
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror}); {_remedy(error.errno)}") from error


def _remedy(number: int | None) -> str:
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space, then give the same command again"
    if number in (errno.ENOTDIR, errno.EEXIST):
        return "a file has the name of a needed folder; move it away or name another folder"
    return "make the folder writable or name another one"
