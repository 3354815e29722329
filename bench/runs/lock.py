"""Let one process at a time write to a run's folder. The system releases the lock when its owner dies."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from reference.errors import InputError
from reference.files import make_folder, named_in_errors, write_atomically

OWNER = "owner.json"


@contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Hold the lock of ``folder``. A second process is told the owner's process and host.

    Args:
        what: the work in words, for the error line.

    Raises:
        InputError: another process holds it.
        DiskError: the folder cannot be written.
    """
    make_folder(folder)
    lock, owner = FileLock(folder / "lock"), folder / OWNER
    with named_in_errors(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a subclass of OSError
            raise InputError(
                f"{folder}: {_lock_holder(owner)} is at {what}; wait until it has ended, or use another --out"
            ) from None
    try:
        content = {"pid": os.getpid(), "host": platform.node()}
        write_atomically(owner, (json.dumps(content) + "\n").encode())
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _lock_holder(owner: Path) -> str:
    """Return who holds the lock, in words. A new owner may not have written its name yet."""
    try:
        content = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {int(content['pid'])} on {content['host']!s}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
