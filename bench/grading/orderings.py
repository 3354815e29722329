"""Grades of orderings: which of two or more recipes is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.grading.statistics import mcnemar_exact
from bench.grading.verdict import ALPHA, MIN_SEEDS, Array, Verdict, not_finite, seed_count
from reference.errors import InputError


def grade_ordering(better: Sequence[float], worse: Sequence[float]) -> Verdict:
    """Grade the claim "``better`` scores higher than ``worse``": paired t over seeds, two-sided p < .05.

    Both hold one figure a seed, in the same order of seeds. Where all differences are the same, t has
    no scale (three seeds that each gain one image of 406 would be certain): the exact sign test decides.
    Fewer than three seeds are inconclusive; one seed with per-image data is ``grade_ordering_single``.

    Raises:
        InputError: no figures, or unequal numbers of them.
    """
    blocked = _unpaired(better, worse)
    if blocked is not None:
        return blocked
    differences = _differences(better, worse)
    above, below = _one_sided_p(differences, 0.0)
    return _ordering(differences, min(1.0, 2 * min(above, below)), higher=above < below)


def grade_ordering_single(correct_better: Sequence[bool], correct_worse: Sequence[bool]) -> Verdict:
    """The same claim from one seed: exact McNemar over which images each classified correctly.

    Both are (N,) booleans over the same images in the same order.

    Raises:
        InputError: no images, unequal numbers of them, or values other than true and false.
    """
    first, second = np.asarray(correct_better), np.asarray(correct_worse)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise InputError(
            f"per-image correctness: found shapes {first.shape} and {second.shape}, "
            "expected one value for each of the same images"
        )
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise InputError("per-image correctness: found other values, expected true or false for each image")
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    p = mcnemar_exact(only_first, only_second)
    difference = (only_first - only_second) / first.size
    return Verdict(
        grade=_direction(p, higher=only_first > only_second),
        sentence=f"1 seed, {first.size} images: {only_first} correct only in the first, {only_second} only "
        f"in the second, exact McNemar p = {p:.3g}",
        k=1,
        mean=difference,
        p=p,
    )


def grade_tie(first: Sequence[float], second: Sequence[float], margin: float) -> Verdict:
    """Grade the claim "``first`` ≈ ``second``": equivalence within ±margin, paired over seeds (TOST).

    ``directional`` (as claimed) where both one-sided tests against the margin have p < .05;
    ``reversed`` where the difference lies beyond the margin, two-sided p < .05; else inconclusive.
    A difference that is merely not significant shows nothing. p is that of ``reversed`` where that is the
    grade, else the larger one-sided p.
    """
    blocked = _unpaired(first, second)
    if blocked is not None:
        return blocked
    differences = _differences(first, second)
    above_low, below_low = _one_sided_p(differences, -margin)
    above_high, below_high = _one_sided_p(differences, margin)
    tied = max(above_low, below_high)
    apart = min(1.0, 2 * min(above_high, below_low))
    grade = "directional" if tied < ALPHA else "reversed" if apart < ALPHA else "inconclusive"
    p = apart if grade == "reversed" else tied
    mean, interval = _interval(differences)
    k = len(differences)
    return Verdict(
        grade=grade,
        sentence=f"{seed_count(k)} differ by {mean:+.4f} on average, {_GRADE_WORDS[grade]} as a tie within "
        f"±{margin:.4f} ({'difference' if grade == 'reversed' else 'equivalence'} p = {p:.3g})",
        k=k,
        mean=mean,
        interval=interval,
        p=p,
        margin=margin,
    )


def grade_chain(
    groups: Sequence[Sequence[Any]],
    *,
    names: Sequence[str],
    rule: Callable[[Sequence[Any], Sequence[Any]], Verdict] = grade_ordering,
) -> Verdict:
    """Grade "a > b > c …" from one group of figures each, by ``rule`` (``grade_ordering_single`` at k = 1).

    ``directional`` only where every neighbouring pair is, each at its own p < .05: all of them have to
    hold at once, which needs no adjustment (an intersection-union test; p is the largest). ``reversed``
    where any pair, neighbours or not, is reversed with its p times the number of pairs still < .05: any
    one suffices (Bonferroni; Holm would need the other pairs' p to be of the same kind, which those of
    ties are not). Else inconclusive.
    """
    if len(groups) < 2 or len(names) != len(groups):
        raise InputError(
            f"chain: found {len(groups)} groups and {len(names)} names, expected two or more, named"
        )
    pairs = list(combinations(range(len(groups)), 2))
    verdicts = [rule(groups[i], groups[j]) for i, j in pairs]
    for verdict in verdicts:
        if verdict.p is None:
            return verdict  # a broken run or too few seeds, the same for every pair
    p_values = [verdict.p for verdict in verdicts if verdict.p is not None]
    reversals = [
        (p * len(pairs), f"{names[i]} > {names[j]} reversed")
        for (i, j), verdict, p in zip(pairs, verdicts, p_values, strict=True)
        if verdict.grade == "reversed" and p * len(pairs) < ALPHA
    ]
    neighbours = [n for n, (i, j) in enumerate(pairs) if j == i + 1]
    listed = ", ".join(
        f"{names[pairs[n][0]]} > {names[pairs[n][1]]} {verdicts[n].grade} (p = {p_values[n]:.3g})"
        for n in neighbours
    )
    k = verdicts[0].k
    if reversals:
        p, shown = min(reversals)
        return Verdict(
            grade="reversed",
            sentence=f"{seed_count(k)} show {shown} (p = {p:.3g}, adjusted for {len(pairs)} pairs); {listed}",
            k=k,
            p=p,
        )
    held = all(verdicts[n].grade == "directional" for n in neighbours)
    return Verdict(
        grade="directional" if held else "inconclusive",
        sentence=f"{seed_count(k)}: {listed}",
        k=k,
        p=max(p_values[n] for n in neighbours),
    )


_GRADE_WORDS = {"directional": "shown", "reversed": "refuted", "inconclusive": "not decided"}


def _unpaired(first: Sequence[float], second: Sequence[float]) -> Verdict | None:
    """Why no paired test can be made, as a verdict; None where it can."""
    if len(first) == 0 or len(first) != len(second):
        raise InputError(
            f"ordering: found {len(first)} and {len(second)} figures, expected one a seed on both sides: "
            "run the same seeds of both"
        )
    for figures in (first, second):
        if not np.isfinite(figures).all():
            return not_finite(figures)
    k = len(first)
    if k >= MIN_SEEDS:
        return None
    why = "and no per-image results to compare" if k == 1 else f"of the {MIN_SEEDS} that a paired test needs"
    return Verdict(
        grade="inconclusive",
        sentence=f"{seed_count(k)} {why}",
        k=k,
        mean=float(_differences(first, second).mean()),
    )


def _differences(first: Sequence[float], second: Sequence[float]) -> Array:
    # Twelve decimals: 0.3 - 0.2 and 0.2 - 0.1 are one difference, not two that nearly agree.
    return np.round(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64), 12)


def _one_sided_p(differences: Array, null: float) -> tuple[float, float]:
    """p of "the mean is not above ``null``" and of "not below": small where it is above, or below."""
    k = len(differences)
    if np.ptp(differences) == 0:
        excess = round(float(differences[0]) - null, 12)
        return (0.5**k if excess > 0 else 1.0), (0.5**k if excess < 0 else 1.0)
    t = (differences.mean() - null) / (differences.std(ddof=1) / math.sqrt(k))
    return float(stdtr(k - 1, -t)), float(stdtr(k - 1, t))


def _interval(differences: Array) -> tuple[float, tuple[float, float]]:
    k, mean = len(differences), float(differences.mean())
    half = float(stdtrit(k - 1, 0.975) * differences.std(ddof=1) / math.sqrt(k))
    return mean, (mean - half, mean + half)


def _direction(p: float, *, higher: bool) -> str:
    if p >= ALPHA:
        return "inconclusive"
    return "directional" if higher else "reversed"


def _ordering(differences: Array, p: float, *, higher: bool) -> Verdict:
    k, (mean, interval) = len(differences), _interval(differences)
    same = np.ptp(differences) == 0
    scale = "the same at every seed, sign test" if same else f"95 % {interval[0]:+.4f} to {interval[1]:+.4f},"
    return Verdict(
        grade=_direction(p, higher=higher),
        sentence=f"{seed_count(k)}: first minus second is {mean:+.4f} ({scale} p = {p:.3g})",
        k=k,
        mean=mean,
        interval=None if same else interval,
        p=p,
    )
