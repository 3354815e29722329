"""``bench audit FILE``: reads the tables of files, prints what came of it, and says whether a gate fails."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.audit.tables import Options, audit_file, output
from bench.audit.tables.claims_file import write_claims
from bench.audit.tables.roles import means_given
from reference.errors import InputError

FORMATS = ("table", "json", "markdown", "sarif", "github")
FAIL_ON = ("certain", "strong")
LIMIT = 20
"""Findings of each verdict that are shown where nothing else is said."""


def table_options(
    *,
    n: int | None = None,
    runs: int | None = None,
    split: str = "",
    data: str = "",
    unit: str = "",
    means: Sequence[str] = (),
) -> Options:
    """What the options of the command say. Raises: InputError."""
    if unit not in ("", "percent", "fraction"):
        raise InputError(f"--unit {unit!r} is not known; valid are percent, fraction")
    for name, value in (("--n", n), ("--runs", runs)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: give a whole number from 1")
    return Options(n=n, runs=runs, split=split, data=data, unit=unit, means=tuple(map(means_given, means)))


def audit_tables(
    files: Sequence[Path],
    options: Options,
    *,
    form: str = "table",
    explain: bool = False,
    to_claims: Path | None = None,
    fail_on: str | None = None,
    limit: int = LIMIT,
) -> int:
    """Audit the tables of files, print the result and return the exit status: 1 where ``fail_on`` is met.

    Raises:
        InputError: a file cannot be read; an option's value is not known.
    """
    if form not in FORMATS:
        raise InputError(f"--format {form!r} is not known; valid are {', '.join(FORMATS)}")
    if fail_on is not None and fail_on not in FAIL_ON:
        raise InputError(f"--fail-on {fail_on!r} is not known; valid are {', '.join(FAIL_ON)}")
    if to_claims is not None and len(files) != 1:
        raise InputError(f"--to-claims writes the claims of one file, not of {len(files)}")
    audits = [audit_file(path, options) for path in files]
    if form == "json":
        print(output.as_json(audits))
    elif form == "sarif":
        print(output.sarif(audits))
    else:
        for position, audit in enumerate(audits):
            if form == "github":
                text = output.github(audit, fail_on)
            elif form == "markdown":
                text = output.markdown(audit, limit, explain)
            else:
                text = ([""] if position else []) + output.lines(audit, limit, explain)
            print("\n".join(text))
    if to_claims is not None:
        print(write_claims(audits[0], to_claims, options), file=sys.stderr)
    return 1 if output.fails(audits, fail_on) else 0
