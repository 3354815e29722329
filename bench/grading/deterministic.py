"""Grades of claims that one evaluation decides: exact values and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bench.grading.numbers import DECIMAL
from bench.grading.verdict import Verdict, seed_count
from reference.errors import InputError


def grade_exact(printed: Any, found: Any) -> Verdict:
    """``exact`` or ``different``, naming the first difference.

    A number that was found compares by value with a printed number or string (``"50"`` is 50, ``".1"``
    is 0.1: floats by their shortest repr); strings verbatim; sequences and mappings element by element.
    """
    difference = _first_difference(printed, found, "")
    if difference is None:
        return Verdict(grade="exact", sentence="what we found equals what is printed")
    return Verdict(grade="different", sentence=difference)


def _first_difference(printed: Any, found: Any, where: str) -> str | None:
    place = f" at {where}" if where else ""
    unequal = f"printed {printed!r}, found {found!r}{place}"
    if isinstance(printed, Mapping) and isinstance(found, Mapping):
        for key in (*printed, *(key for key in found if key not in printed)):
            if key not in printed or key not in found:
                return f"only {'printed' if key in printed else 'found'}: {key!r}{place}"
            difference = _first_difference(printed[key], found[key], f"{where}[{key!r}]")
            if difference:
                return difference
        return None
    if _is_list(printed) and _is_list(found):
        for index, (left, right) in enumerate(zip(printed, found, strict=False)):
            difference = _first_difference(left, right, f"{where}[{index}]")
            if difference:
                return difference
        if len(printed) != len(found):
            return f"printed {len(printed)} elements, found {len(found)}{place}"
        return None
    if isinstance(found, str) or (type(printed) in (bool, type(None)) or type(found) in (bool, type(None))):
        return None if type(printed) is type(found) and printed == found else unequal
    left, right = _number(printed), _number(found)
    return None if left is not None and left == right else unequal


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _number(value: object) -> Decimal | None:
    text = value if isinstance(value, str) else str(value)
    return Decimal(text) if DECIMAL.fullmatch(text) else None


def grade_process(judgements: Sequence[bool | None]) -> Verdict:
    """Grade a process from one judgement a seed: did the predicate hold on its curves? None: cannot tell.

    ``supported`` where every run that can be judged agrees, ``not supported`` where more than half of
    them fail, else inconclusive: the claim says what a training does, not what it may do, so one
    dissenting seed withholds support, but does not refute. If half or more cannot be judged, neither.
    """
    if len(judgements) == 0:
        raise InputError("judgements: found none, expected one a seed: a claim without runs is 'not run'")
    judged = [judgement for judgement in judgements if judgement is not None]
    held = sum(judged)
    sentence = f"holds at {held} of the {seed_count(len(judged))} that can be judged ({len(judgements)} run)"
    if 2 * len(judged) <= len(judgements):
        grade = "inconclusive"
    elif held == len(judged):
        grade = "supported"
    else:
        grade = "not supported" if 2 * held < len(judged) else "inconclusive"
    return Verdict(grade=grade, sentence=sentence, k=len(judged))
