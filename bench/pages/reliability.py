"""What the durability suites tried, and what held: ``reliability.json`` and the page made of it.

Every row comes from a test that ran. A test notes what it tried before it asserts anything, so that a failure
is a row too. The note names the code it is about by a hash of ``bench`` and ``reference``; rows of other
code are dropped when a new note is written, and never counted together with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import bench
from bench.pages.markdown import pipe_table, plain
from bench.runs.provenance import reference_hash
from reference.errors import InputError
from reference.files import write_atomically

FILE, PAGE = "reliability.json", "reliability.md"

SECTIONS: dict[str, str] = {
    "kills": "Runs that were killed and went on: the same weights, metrics and record as unbroken",
    "ends": "SIGTERM and Ctrl-C from outside: the run has ended within 5 seconds (timed, not asserted)",
    "damage": "Checkpoints that were torn or altered: noticed, set aside, the one before used",
    "disk": "Full disks and folders that cannot be written: one line, nothing half-written",
    "writers": "Two runs at once in one folder: the second is refused, the first is unharmed",
    "numbers": "Numbers that go wrong: the run stops with a status and an epoch, its last good state kept",
    "hostile": "Hostile files: refused in one line, or read as documented",
    "fuzz": "Random input to the readers of foreign text: nothing but a one-line refusal",
}


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes:
        section: key of ``SECTIONS``.
        what: the task, file or reader.
        held: how often all was as promised, of ``tried``.
        where: the test.
    """

    section: str
    what: str
    held: int
    tried: int
    where: str


def note(folder: Path, rows: Iterable[Trial]) -> Path:
    """Add rows to the note of ``folder``, in place of those of the same test and of all of other code.

    Raises:
        ValueError: a section that is not one of ``SECTIONS``.
    """
    new = list(rows)
    if odd := next((row.section for row in new if row.section not in SECTIONS), None):
        raise ValueError(f"no section {odd!r}; sections are {', '.join(SECTIONS)}")
    earlier, code = read_trials(folder), code_hash()
    replaced = {(row.section, row.where, row.what) for row in new}
    same = earlier[1] if earlier[0] == code else []
    kept = [row for row in same if (row.section, row.where, row.what) not in replaced]
    order = list(SECTIONS)
    ordered = sorted(kept + new, key=lambda row: (order.index(row.section), row.where, row.what))
    body = {"code_hash": code, "rows": [asdict(row) for row in ordered]}
    write_atomically(folder / FILE, (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode())
    return folder / FILE


def read_trials(folder: Path) -> tuple[str, list[Trial]]:
    """Hash of the code and rows; none where nothing was noted.

    Raises:
        InputError: the note cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return "", []
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            Trial(row["section"], str(row["what"]), int(row["held"]), int(row["tried"]), str(row["where"]))
            for row in body["rows"]
        ]
        code = str(body["code_hash"])
        if unknown := {row.section for row in rows} - set(SECTIONS):
            raise ValueError(f"section {', '.join(sorted(unknown))}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: no note of the durability suites: {error!r:.200}; run pytest suites/durability"
        ) from error
    return code, rows


def code_hash() -> str:
    """sha256 over the sources of ``reference`` and ``bench``."""
    folder = Path(bench.__file__).parent
    digest = hashlib.sha256(reference_hash().encode())
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


NOTE = """\
*How to read this page.* Every row is a test of `suites/durability` that ran: how often all was as promised,
of how often it was tried. **Killed** means by SIGKILL, SIGTERM or SIGINT, at a random but seeded call of a
write, sync or rename, at a step, within an evaluation, or after a random time; then the same command goes on,
on the CPU. Rows marked `slow` come from `tox -e soak`.
"""


def reliability_page(folder: Path) -> str:
    """What was tried and what held, as Markdown."""
    code, rows = read_trials(folder)
    parts = ["# What it withstands", NOTE, f"Of the code with hash `{code[:16]}`."]
    for section, title in SECTIONS.items():
        section_rows = [row for row in rows if row.section == section]
        if section_rows:
            total = [sum(row.held for row in section_rows), sum(row.tried for row in section_rows)]
            table = [[plain(r.what), f"{r.held:,}", f"{r.tried:,}", f"`{r.where}`"] for r in section_rows]
            table.append(["**together**", *(f"**{number:,}**" for number in total), ""])
            parts += [f"## {title}", pipe_table(["what", "held", "tried", "test"], table, right=(1, 2))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"
