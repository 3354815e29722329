"""Whether the seeds of a recipe may be summed up in a mean: a broken or far-off seed forbids it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.grading.verdict import Array, gap_in_unit, in_unit, seed_count

MOST_BROKEN = 0.2
"""The share of seeds that may break, one of five, before nothing is said of the others."""

FAR_SIGMAS = 6.0
FAR_MARGINS = 2.0


def instability(
    groups: Sequence[Array], broken: int, *, sigma0: float, margin: float, unit: str = "fraction"
) -> str:
    """Why the seeds are no sample of one training, in a sentence; empty where they are.

    More than one of five broke; or one ended further than max(2Δ, 6σ₀) from the median of its group, as a
    collapsed network does.

    Args:
        groups: figures of the seeds that ended, for each recipe that is judged.
        broken: seeds that were started and broke, of all recipes.
        sigma0, margin: σ₀ and Δ.
        unit: of the figures in the sentence.

    >>> import numpy as np
    >>> instability([np.array([0.66, 0.65, 0.05])], 0, sigma0=0.01, margin=0.025)
    'a seed ended at 0.0500 where the median is 0.6500: further away than 0.0600'
    """
    ended = sum(map(len, groups))
    if broken > MOST_BROKEN * (ended + broken):
        return f"{broken} of {seed_count(ended + broken)} broke, more than one of five"
    limit = max(FAR_MARGINS * margin, FAR_SIGMAS * sigma0)
    for values in groups:
        if len(values) < 2:
            continue
        median = float(np.median(values))
        far = float(values[int(np.abs(values - median).argmax())])
        if abs(far - median) > limit:
            return (
                f"a seed ended at {in_unit(far, unit)} where the median is {in_unit(median, unit)}:"
                f" further away than {gap_in_unit(limit, unit)}"
            )
    return ""
