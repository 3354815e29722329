"""Reproductions by others: the verdicts of a full run in one file that a user can send back.

``bench report --summary`` writes the file. It holds each claim that runs decide, with their seeds and the
hashes of their records. It names the processor or GPU, never the host. ``bench import FILE.json`` keeps it in
``reproductions/``. Pages show it as theirs; no verdict, count or prior of ours contains it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.claims.schema import FINITE, INDICES, SHA256, SLUG, TEXT, Type, check_types, is_text, list_of
from bench.grading.grader import GradedClaim
from bench.runs import records
from bench.runs.records import Record
from reference.errors import InputError
from reference.files import write_atomically

SCHEMA = 1
FOLDER = "reproductions"
BY_OTHERS = "reproduced by others"


@dataclass(frozen=True, kw_only=True)
class TheirVerdict:
    """A verdict that somebody else's runs gave.

    Attributes:
        claim: id of the claim.
        printed: the printed value; empty for a claim without one.
        verdict: grade, such as ``"reproduced"``.
        data: source of the data: ``"official"``, ``"public originals"``.
        mean: mean figure as a fraction; None for a claim without one.
        seeds: seeds of the runs.
        records: sha256 of each record, in the order of ``seeds``.
        device: processor or GPU.
        reference_hash: hash of the code under ``reference/`` that trained.
    """

    claim: str
    printed: str
    verdict: str
    sentence: str
    data: str
    mean: float | None
    seeds: list[int]
    records: list[str]
    device: str
    reference_hash: str

    @property
    def line(self) -> str:
        """``"reproduced on official data, seeds 0, 1, 2, NVIDIA H100: mean …"``."""
        named = ", ".join(map(str, self.seeds))
        return f"{self.verdict} on {self.data} data, seeds {named}, {self.device}: {self.sentence}"


def summary_of(rows: Iterable[GradedClaim]) -> dict[str, Any]:
    """Return the content of the file: the claims whose grade rests on runs, in the order of ``rows``."""
    verdicts = [dataclasses.asdict(_verdict(row)) for row in rows if row.runs and row.grade != "not tested"]
    body = {"schema": SCHEMA, "verdicts": verdicts}
    return body | {"content_hash": records.hash_of(body)}


def _verdict(row: GradedClaim) -> TheirVerdict:
    runs = sorted(row.runs, key=lambda record: (record.seed, record.slug))
    return TheirVerdict(
        claim=row.claim.id,
        printed=row.claim.value or "",
        verdict=row.grade,
        sentence=row.sentence,
        data=_only(runs, lambda record: record.data["source"]),
        mean=row.measured.mean if row.measured else None,
        seeds=[record.seed for record in runs],
        records=[records.hash_of(dataclasses.asdict(record)) for record in runs],
        device=_only(runs, lambda record: record.provenance["device"]),
        reference_hash=_only(runs, lambda record: record.provenance["reference_hash"]),
    )


def _only(runs: Sequence[Record], value: Any) -> str:
    """Return what the runs share, or all their values."""
    return ", ".join(dict.fromkeys(str(value(record)) for record in runs))


def write_summary(rows: Iterable[GradedClaim], folder: Path) -> Path:
    """Write ``reproduction-<device>-<hash>.json`` into a folder; return its path.

    Raises:
        InputError: no run decides any claim, so there is nothing to send.
    """
    body = summary_of(rows)
    if not body["verdicts"]:
        raise InputError(f"--summary: no run under {folder} decides a claim; run one on its own data first")
    device = re.sub(r"[^a-z0-9]+", "-", body["verdicts"][0]["device"].lower()).strip("-")
    path = folder / f"reproduction-{device}-{body['content_hash'][:8]}.json"
    write_atomically(path, _text(body).encode())
    return path


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


_LINE = Type("a text of one line", lambda value: isinstance(value, str) and value.isprintable())
_TYPES: dict[str, Type] = {
    "claim": SLUG, "printed": _LINE, "verdict": TEXT, "sentence": _LINE, "data": _LINE,
    "mean": Type("a finite number or null", lambda value: value is None or FINITE.holds(value)),
    "seeds": INDICES, "records": Type("a list of sha256", list_of(SHA256.holds)),
    "device": _LINE, "reference_hash": _LINE,
}  # fmt: skip


def read_summary(path: Path) -> list[TheirVerdict]:
    """Read the file that ``bench report --summary`` wrote elsewhere.

    Raises:
        InputError: it cannot be read, is no such file, is of another schema, or was edited. One line.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a summary") from None
    except (ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no summary: {cause}; ask for the file of bench report --summary") from None
    schema = body.get("schema") if isinstance(body, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: summary schema {schema!r:.80}, this version reads {SCHEMA}; update bench")
    if body.pop("content_hash", None) != records.hash_of(body):
        raise InputError(f"{path}: content does not match its hash; ask for the file again")
    verdicts = body.get("verdicts")
    if not isinstance(verdicts, list) or not verdicts or not all(isinstance(one, dict) for one in verdicts):
        raise InputError(f"{path}: no verdicts; expected at least one")
    for position, one in enumerate(verdicts, 1):
        check_types(one, _TYPES, _TYPES, f"{path}: verdict {position}")
        if len(one["seeds"]) != len(one["records"]) or not is_text(one["device"]):
            raise InputError(f"{path}: verdict {position}: expected a record for each seed, and a device")
    return [TheirVerdict(**one) for one in verdicts]


def keep(path: Path, folder: Path) -> tuple[Path, list[TheirVerdict]]:
    """Copy a summary into ``reproductions/`` of a folder; return the copy's path and the verdicts.

    Raises:
        InputError: as ``read_summary``. Nothing is copied then.
    """
    verdicts = read_summary(path)
    content = path.read_bytes()
    kept = folder / FOLDER / f"{json.loads(content)['content_hash'][:16]}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, content)
    return kept, verdicts


def kept_verdicts(folder: Path) -> list[TheirVerdict]:
    """Return every verdict of the summaries kept below a folder, by claim, then in the order of the files."""
    files = sorted((folder / FOLDER).glob("*.json"))
    found = [verdict for file in files for verdict in read_summary(file)]
    return sorted(found, key=lambda verdict: verdict.claim)
