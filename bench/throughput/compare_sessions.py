"""Compares two timing sessions of one machine, timing by timing."""

from __future__ import annotations

from typing import Any

from bench.throughput.results import Result, Timing
from reference.errors import InputError

SIGNIFICANT = 0.05
"""Largest p, after Holm's adjustment over all rows, at which a row says that two sessions differ."""


def compare(a: Result, b: Result) -> list[dict[str, Any]]:
    """Return a row for each work and contender of either session, with the factor from a to b.

    p is Mann and Whitney's, two-sided, on the samples. Holm's adjustment over all rows keeps unchanged rows
    from looking changed because they are many.

    Raises:
        InputError: the sessions come from two machines.
    """
    from scipy.stats import mannwhitneyu

    from bench.grading.statistics import holm

    if a.machine != b.machine:
        raise InputError(
            f"{a.machine_name} and {b.machine_name}: two machines; compare sessions of one, "
            "or read ratios within each"
        )
    before, after = ({(row.work, row.contender): row for row in result.rows} for result in (a, b))
    both = [key for key in before if key in after and _alike(before[key], after[key])]
    tests = [float(mannwhitneyu(before[key].samples, after[key].samples).pvalue) for key in both]
    adjusted = dict(zip(both, holm(tests), strict=True))
    table = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        entry: dict[str, Any] = {
            "work": key[0],
            "contender": key[1],
            "unit": (old or after[key]).unit,
            "A": None if old is None else _rounded(old.median),
            "B": None if new is None else _rounded(new.median),
            "B/A": None,
            "p": None,
        }
        if old is None or new is None:
            outcome = f"only in {'B' if old is None else 'A'}"
        elif key not in adjusted:
            outcome = "not compared: settings differ"
        else:
            factor = new.median / old.median
            entry |= {"B/A": round(factor, 3), "p": _rounded(adjusted[key])}
            faster = "faster" if factor > 1 else "slower"
            outcome = f"B is {faster}" if adjusted[key] < SIGNIFICANT else "no difference shown"
        table.append(entry | {"result": outcome})
    return table


def _alike(a: Timing, b: Timing) -> bool:
    return (a.unit, a.items, dict(a.settings)) == (b.unit, b.items, dict(b.settings))


def _rounded(value: float) -> float:
    """Round to four digits."""
    return float(f"{value:.4g}")
