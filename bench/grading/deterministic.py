"""Verdicts on what is computed (it matches or differs), on processes, and on ratios of times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from scipy.special import stdtrit

from bench.grading.numbers import DECIMAL
from bench.grading.seeds import MOST_BROKEN
from bench.grading.verdict import MIN_SEEDS, Verdict, seed_count
from reference.errors import InputError


def grade_exact(printed: Any, ours: Any) -> Verdict:
    """``matches`` or ``differs``, naming the first difference.

    A number that was found compares by value with a printed number or string (``"50"`` is 50, ``".1"``
    is 0.1: floats by their shortest repr); strings verbatim; sequences and mappings element by element.
    """
    difference = _first_difference(printed, ours, "")
    if difference is None:
        return Verdict(grade="matches", sentence="what we computed equals what is printed")
    return Verdict(grade="differs", sentence=difference)


def _first_difference(printed: Any, ours: Any, path: str) -> str | None:
    place = f" at {path}" if path else ""
    unequal = f"stated: {_shown(printed)}; computed: {_shown(ours)}{place}"
    if isinstance(printed, Mapping) and isinstance(ours, Mapping):
        for key in (*printed, *(key for key in ours if key not in printed)):
            if key not in printed or key not in ours:
                return f"only {'stated' if key in printed else 'computed'}: {_shown(key)}{place}"
            difference = _first_difference(printed[key], ours[key], f"{path}[{key!r}]")
            if difference:
                return difference
        return None
    if _is_list(printed) and _is_list(ours):
        for index, (left, right) in enumerate(zip(printed, ours, strict=False)):
            difference = _first_difference(left, right, f"{path}[{index}]")
            if difference:
                return difference
        if len(printed) != len(ours):
            return f"stated: {len(printed)} elements; computed: {len(ours)}{place}"
        return None
    if isinstance(ours, str) or (type(printed) in (bool, type(None)) or type(ours) in (bool, type(None))):
        return None if type(printed) is type(ours) and printed == ours else unequal
    left, right = _number(printed), _number(ours)
    return None if left is not None and left == right else unequal


def _shown(value: object) -> str:
    """A value without quotation marks: much of what a claims file holds is our wording of the report."""
    return value if isinstance(value, str) else repr(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _number(value: object) -> Decimal | None:
    text = value if isinstance(value, str) else str(value)
    return Decimal(text) if DECIMAL.fullmatch(text) else None


def grade_process(judgements: Sequence[bool | None], *, broken: int = 0) -> Verdict:
    """Grade a process from one judgement a seed: did the predicate hold on its curves? None: cannot tell.

    ``seen`` where every run that can be judged agrees, ``not seen`` where more than half of them do not, else
    undecided: the claim says what a training does, not what it may do, so one dissenting seed withholds
    *seen*, but does not refute. Both need three runs that can be judged, and more than half of all. More than
    one broken seed of five makes it ``unstable``.

    Raises:
        InputError: no seed at all, which is *not tested*.
    """
    if len(judgements) + broken == 0:
        raise InputError("judgements: found none, expected one a seed: a claim without runs is 'not tested'")
    if broken > MOST_BROKEN * (len(judgements) + broken):
        sentence = f"{broken} of {seed_count(len(judgements) + broken)} broke, more than one of five"
        return Verdict(grade="unstable", sentence=sentence, k=len(judgements))
    judged = [judgement for judgement in judgements if judgement is not None]
    held = sum(judged)
    sentence = f"in {held} of the {seed_count(len(judged))} that can be judged ({len(judgements)} run)"
    if len(judged) < MIN_SEEDS or 2 * len(judged) <= len(judgements):
        grade = "undecided"
        sentence += f"; {MIN_SEEDS} are needed" if len(judged) < MIN_SEEDS else ""
    elif held == len(judged):
        grade = "seen"
    else:
        grade = "not seen" if 2 * held < len(judged) else "undecided"
    return Verdict(grade=grade, sentence=sentence, k=len(judged))


def grade_ratio(slower: Sequence[float], faster: Sequence[float], *, least: float) -> Verdict:
    """Grade "one training takes at least ``least`` times as long as another" from seconds a sample.

    The logarithms of the seconds are compared by Welch's two-sample t: ``seen`` where the ratio's lower 95 %
    bound reaches ``least``, ``not seen`` where its upper bound does not, else undecided. Three runs of each
    are needed.

    Raises:
        ValueError: a time that is not positive, or ``least`` is not.

    >>> grade_ratio([1.0, 1.1, 1.05], [0.05, 0.05, 0.06], least=10).grade
    'seen'
    """
    if least <= 0 or not all(seconds > 0 for seconds in (*slower, *faster)):
        raise ValueError(f"expected positive times and a positive ratio, found {slower}, {faster}, {least}")
    k = min(len(slower), len(faster))
    if k < MIN_SEEDS:
        sentence = f"{seed_count(k)} of each; {MIN_SEEDS} are needed"
        return Verdict(grade="undecided", sentence=sentence, k=k)
    first, second = np.log(slower), np.log(faster)
    parts = [values.var(ddof=1) / len(values) for values in (first, second)]
    difference, error = float(first.mean() - second.mean()), math.sqrt(sum(parts))
    bottom = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True))
    half = float(stdtrit(sum(parts) ** 2 / bottom, 0.975)) * error if bottom else 0.0
    low, ratio, high = (math.exp(difference + sign * half) for sign in (-1, 0, 1))
    grade = "seen" if low >= least else "not seen" if high < least else "undecided"
    sentence = f"{ratio:.1f} times as long (95 % {low:.1f} to {high:.1f}); at least {least:g} is claimed"
    return Verdict(grade=grade, sentence=sentence, k=k, mean=ratio, interval=(low, high))
