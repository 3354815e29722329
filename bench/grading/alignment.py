"""Whether the suites that hold ``reference/`` to outside oracles have passed for the code as it is now.

The grade *contradicted* accuses a report, so it needs more than our own figure: that the code which made it
agrees with implementations others wrote. A run of those suites notes its counts here, with the hash of the
code it tested; a later edit of ``reference/`` makes the note worthless until they have run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import bench
from bench.runs.provenance import reference_hash
from reference.errors import InputError
from reference.files import write_atomically

SUITES = ("architecture", "losses", "metrics", "augment", "data", "training")
FILE = "alignment.json"
SHIPPED = Path(bench.__file__).parent / FILE
"""The note that a wheel brings, where it was built from a checkout whose suites had passed (CONTRIBUTING)."""
WANTED = "green alignment suites"
"""How a sentence next to a grade says that they are what it lacks."""


def note(folder: Path, counts: Mapping[str, tuple[int, int]]) -> Path:
    """Write what each suite counted, (passed, failed), for the present ``reference/``; returns the file.

    Raises:
        ValueError: a suite that is not one of ``SUITES``.
    """
    unknown = sorted(set(counts) - set(SUITES))
    if unknown:
        raise ValueError(f"no alignment suite {', '.join(unknown)}; suites are {', '.join(SUITES)}")
    body = {
        "reference_hash": reference_hash(),
        "green": _green(counts),
        "suites": {suite: list(counts[suite]) for suite in SUITES if suite in counts},
    }
    write_atomically(folder / FILE, (json.dumps(body, indent=1) + "\n").encode())
    return folder / FILE


def is_green(folder: Path) -> bool:
    """Whether every suite ran and passed for ``reference/`` as it is now; False where nothing was noted.

    A note lies in ``folder``, or came with the installed package.

    Raises:
        InputError: a note cannot be read.
    """
    return _is_green(folder / FILE) or _is_green(SHIPPED)


def how_to(folder: Path) -> str:
    """What to do where the note is missing or of other code, in one line."""
    return (
        f"{folder / FILE}: no note that the alignment suites passed for this reference/"
        f" ({reference_hash()[:12]}); run tox in a checkout of the same version, then copy its"
        f" runs/{FILE} there"
    )


def _is_green(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        counts = {suite: (int(passed), int(failed)) for suite, (passed, failed) in body["suites"].items()}
        noted = body["reference_hash"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: no note of the alignment suites: {error!r}; run pytest suites/") from error
    return noted == reference_hash() and _green(counts)


def _green(counts: Mapping[str, tuple[int, int]]) -> bool:
    """No suite may be absent or empty: what did not run did not pass."""
    return all(counts.get(suite, (0, 0))[0] > 0 and counts[suite][1] == 0 for suite in SUITES)
