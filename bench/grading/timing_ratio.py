"""Whether one training takes so many times as long as another, as a report says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

from scipy.stats import t as student

from bench.grading.verdict import MIN_SEEDS, Verdict
from reference.errors import InputError

CONFIDENCE = 0.95


def grade_timing(longer: Sequence[float], shorter: Sequence[float], least: float) -> Verdict:
    """Grade "a takes at least ``least`` times as long as b" from seconds a run.

    The ratio of the geometric means has a two-sided 95 % interval by Welch's t on the logarithms. It decides
    when all of it lies on one side of ``least``. Fewer than three runs of either decide nothing.

    Args:
        longer, shorter: training seconds of a's and of b's runs, all on one kind of machine.

    Raises:
        InputError: a time that is not positive.
    """
    if any(not seconds > 0 for seconds in (*longer, *shorter)):
        raise InputError(f"training seconds: {[*longer, *shorter]}; expected positive ones")
    counts = f"{len(longer)} and {len(shorter)} runs"
    if min(len(longer), len(shorter)) < MIN_SEEDS:
        return Verdict(
            grade="inconclusive", sentence=f"{counts}: {MIN_SEEDS} of each are needed", k=len(longer)
        )
    logs = [[math.log(seconds) for seconds in runs] for runs in (longer, shorter)]
    centre = fmean(logs[0]) - fmean(logs[1])
    parts = [variance(runs) / len(runs) for runs in logs]
    error = math.sqrt(sum(parts))
    freedom = (
        sum(parts) ** 2 / sum(p**2 / (len(runs) - 1) for p, runs in zip(parts, logs, strict=True))
        if (error)
        else 1.0
    )
    half = float(student.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    low, high = math.exp(centre - half), math.exp(centre + half)
    grade = "directional" if low >= least else "reversed" if high < least else "inconclusive"
    sentence = (
        f"takes {math.exp(centre):.3g} times as long (95 % interval {low:.3g} to {high:.3g}, {counts});"
        f" claimed: at least {least:g}"
    )
    return Verdict(grade=grade, sentence=sentence, k=min(len(longer), len(shorter)))
