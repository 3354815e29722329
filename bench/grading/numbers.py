"""The rule for numbers, as functions of plain numbers: no records, no ledger, no files.

``docs/grading.md`` explains the rule with worked examples; ``bench.grading.simulation`` draws honest and
dishonest reports and shows how often the rule misjudges them. The rule broadcasts over arrays, so that the
simulation runs the very formulas that grade a claim.

Figures are fractions throughout: ``"62.1"`` printed in percent is 0.621, known to ±0.0005.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from bench.grading.alignment import WANTED
from bench.grading.seeds import instability
from bench.grading.spread import Spread, pooled_sigma
from bench.grading.verdict import (
    EXCEEDED_ASSUMING,
    MAX_SEEDS,
    MIN_SEEDS,
    NOT_REACHED,
    Array,
    Unit,
    Verdict,
    gap_in_unit,
    in_unit,
    seed_count,
)
from reference.errors import InputError

REPRODUCED_LEVEL = 0.98
"""One-sided confidence of *reproduced*: with looks after 3 … 10 seeds a mean on the margin passes in less
than one of twenty."""

ALPHA = 0.01
"""Level of *contradicted* and *exceeded* at each look. It is for the p that Holm's method has adjusted over
the report, so the 99 % interval covers the whole report. Take an honest report of fifteen numbers whose seeds
scatter by 1.5 σ₀. At level .05 eight looks would accuse it in 9 of 100 cases; at this level they do in 2."""

LOOKS = range(MIN_SEEDS, MAX_SEEDS + 1)

PREDICTED = 2000
"""Continuations drawn for the chance that more seeds settle a number."""

DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def decimals(printed: str) -> int:
    """Decimal places of a value as printed: ``"0.785600"`` has 6; ``"6e2"``, a multiple of 100, has -2."""
    exponent = _decimal(printed).as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def printed_value(printed: str, unit: Unit = "fraction") -> float:
    """The printed number in the suite's unit: percent become fractions, correctly rounded."""
    return float(_decimal(printed) * _scale(unit))


def rounding_halfwidth(printed: str, unit: Unit = "fraction") -> float:
    """δ = ½·10⁻ᵈ, how far rounding to the printed d decimals can have moved the value, as a fraction."""
    return float(Decimal("0.5").scaleb(-decimals(printed)) * _scale(unit))


def about_halfwidth(printed: str, unit: Unit = "fraction") -> float:
    """δ of a value printed with "about" or "almost": a whole unit of its last digit on either side."""
    return 2 * rounding_halfwidth(printed, unit)


def _decimal(printed: str) -> Decimal:
    if not DECIMAL.fullmatch(printed):
        raise InputError(
            f"printed value: found {printed!r}, expected a decimal number such as '0.621': "
            "write it as the report prints it, with a point and without unit or separators"
        )
    return Decimal(printed)


def _scale(unit: Unit) -> Decimal:
    scales = {"fraction": Decimal(1), "percent": Decimal("0.01")}
    if unit not in scales:
        raise InputError(f"unit: found {unit!r}, expected one of {', '.join(scales)}")
    return scales[unit]


def halfwidth(
    probability: float,
    sigma_hat: Array | float,
    *,
    nu: int,
    ours: float,
    theirs: float,
    delta: float,
) -> Array:
    """t(probability, ν)·√(σ̂²(ours + theirs) + δ²/3), the one form of all intervals of the number rule.

    ``ours`` and ``theirs`` are what divides the variance of one run: 1/k for a mean of k seeds, the sum of
    both for a difference, 0 for a printed value that is taken as fixed. δ²/3 is the variance of a rounding
    error uniform in ±δ; the error of another split, which more seeds do not make smaller
    either, is part of δ (``_graded``).
    """
    return np.asarray(
        stdtrit(nu, probability) * np.sqrt(np.square(sigma_hat) * (ours + theirs) + delta**2 / 3)
    )


def two_sided_p(
    gain: Array | float,
    sigma_hat: Array | float,
    *,
    nu: int,
    ours: float,
    theirs: float,
    delta: float,
) -> Array:
    """Two-sided p of the difference from the printed value, both sides scattering."""
    half = halfwidth(0.975, sigma_hat, nu=nu, ours=ours, theirs=theirs, delta=delta)
    error = half / stdtrit(nu, 0.975)
    gain = np.abs(np.asarray(gain, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(nu, -gain / error)
    return np.where(error > 0, p, np.where(gain == 0, 1.0, 0.0))


def number_rule(
    gain: Array | float,
    sigma_hat: Array | float,
    *,
    nu: int,
    ours: float,
    theirs: float,
    delta: float,
    margin: Array | float,
    holm_p: Array | float,
    may_accuse: bool,
    assumptions: bool,
) -> npt.NDArray[np.str_]:
    """Grade of every cell; the first that matches, in the order below.

    Args:
        gain: our mean minus the printed value, positive where we are better.
        sigma_hat, nu: σ̂ and its degrees of freedom.
        ours, theirs, delta: as ``halfwidth``.
        holm_p: the p of the difference, adjusted over the numbers of the report.
        may_accuse: enough seeds, and the alignment suites green.
        assumptions: the recipe holds values that the report does not state.
    """
    distance = np.abs(gain)
    reproduced = (
        distance + halfwidth(REPRODUCED_LEVEL, sigma_hat, nu=nu, ours=ours, theirs=0, delta=delta) < margin
    )
    wide = halfwidth(0.995, sigma_hat, nu=nu, ours=ours, theirs=theirs, delta=delta)
    beyond = (distance > wide) & (distance > margin) & (np.asarray(holm_p) < ALPHA) & may_accuse
    half = halfwidth(0.975, sigma_hat, nu=nu, ours=ours, theirs=theirs, delta=delta)
    compatible = (distance <= half) & (half <= 2 * np.asarray(margin))
    better, worse = ("exceeded", "contradicted")
    if assumptions:
        better, worse = EXCEEDED_ASSUMING, NOT_REACHED
    return np.select(
        [reproduced, beyond & (np.asarray(gain) > 0), beyond, compatible],
        ["reproduced", better, worse, "compatible"],
        default="undecided",
    )


def grade_number(
    printed: str,
    ours: Sequence[float],
    *,
    spread: Spread,
    margin: float,
    unit: Unit = "fraction",
    m: int = 1,
    approx: bool = False,
    higher_is_better: bool = True,
    assumptions: bool = False,
    alignment_green: bool = False,
    broken: int = 0,
    adjust: Callable[[float], float] = float,
    sampling: float = 0.0,
) -> Verdict:
    """Grade a printed number by our figures, one a seed.

    Args:
        printed: the value as the report prints it; its trailing digits set δ.
        ours: our figures as fractions, of the seeds that ended; nan counts as broken.
        spread, margin: σ₀ with ν₀ (``expected_spread``) and Δ (``margin``), fixed before the runs.
        m: runs that the printed value is the mean of.
        approx: the value is printed with "about" or "almost".
        assumptions: the recipe holds values that the report does not state.
        alignment_green: the alignment suites passed for this ``reference/``.
        broken: seeds that were started and broke.
        adjust: the p of this number → its p adjusted over all numbers of the report.
        sampling: variance that another split than the report's adds (``split_variance``).

    Raises:
        InputError: no seed at all (that is *not tested*), or a printed value that is no number.

    >>> from bench.grading.spread import expected_spread
    >>> spread = expected_spread("miou", 257, 0.663704)
    >>> grade_number("0.663704", [0.6611, 0.6550, 0.6680], spread=spread, margin=0.025).grade
    'reproduced'
    """
    return _graded(printed, (ours,), spread, margin, unit, m, approx, higher_is_better, assumptions,
                   alignment_green, broken, adjust, sampling)  # fmt: skip


def grade_gain(
    printed: str,
    first: Sequence[float],
    second: Sequence[float],
    *,
    spread: Spread,
    margin: float,
    unit: Unit = "fraction",
    m: int = 1,
    approx: bool = False,
    higher_is_better: bool = True,
    assumptions: bool = False,
    alignment_green: bool = False,
    broken: int = 0,
    adjust: Callable[[float], float] = float,
    sampling: float = 0.0,
) -> Verdict:
    """Grade a printed difference by two groups of our figures, first minus second; arguments as above.

    The seeds of two recipes are independent, so that the groups need not be of the same size. The margin is
    the claimed gain: then *reproduced* excludes no gain at all.
    """
    return _graded(printed, (first, second), spread, margin, unit, m, approx, higher_is_better, assumptions,
                   alignment_green, broken, adjust, sampling)  # fmt: skip


def _graded(
    printed: str,
    groups: Sequence[Sequence[float]],
    spread: Spread,
    margin: float,
    unit: Unit,
    m: int,
    approx: bool,
    higher_is_better: bool,
    assumptions: bool,
    alignment_green: bool,
    broken: int,
    adjust: Callable[[float], float],
    sampling: float,
) -> Verdict:
    if m < 1 or not spread.sigma0 >= 0 or not margin > 0:
        raise ValueError(f"m = {m}, σ₀ = {spread.sigma0}, Δ = {margin}: m is at least 1, Δ positive")
    finite = [np.array([v for v in group if math.isfinite(v)], dtype=np.float64) for group in groups]
    broken += sum(len(group) for group in groups) - sum(map(len, finite))
    if sum(map(len, groups)) + broken == 0:
        raise InputError("figures: found none, expected one a seed: a claim without runs is 'not tested'")
    k = min(map(len, finite))
    why = instability(finite, broken, sigma0=spread.sigma0, margin=margin, unit=unit)
    if why:
        return Verdict(grade="unstable", sentence=why, k=k, margin=margin)
    if k == 0:
        return Verdict(grade="undecided", sentence="no seed on one side has ended", margin=margin)
    rounding = about_halfwidth(printed, unit) if approx else rounding_halfwidth(printed, unit)
    # the split's error is like rounding's: the same for every seed; δ²/3 is a variance
    delta = math.hypot(rounding, math.sqrt(3 * sampling))
    claim = printed_value(printed, unit)
    mean = float(finite[0].mean() - (finite[1].mean() if len(finite) > 1 else 0.0))
    sigma, nu = pooled_sigma(finite, spread.sigma0, spread.nu0)
    sigma_hat = float(sigma)
    gain = mean - claim if higher_is_better else claim - mean
    ours, theirs = sum(1 / len(group) for group in finite), len(finite) / m
    p = float(two_sided_p(gain, sigma_hat, nu=nu, ours=ours, theirs=theirs, delta=delta))

    def rule(holm_p: float, *, may_accuse: bool) -> str:
        grade: str = number_rule(
            gain,
            sigma_hat,
            nu=nu,
            ours=ours,
            theirs=theirs,
            delta=delta,
            margin=margin,
            holm_p=holm_p,
            may_accuse=may_accuse,
            assumptions=assumptions,
        ).item()
        return grade

    def half(probability: float, runs: float = theirs) -> float:
        return float(halfwidth(probability, sigma_hat, nu=nu, ours=ours, theirs=runs, delta=delta))

    unadjusted = rule(p, may_accuse=True)
    accuses = unadjusted not in ("reproduced", "compatible", "undecided")
    grade = rule(adjust(p), may_accuse=alignment_green) if accuses else unadjusted
    lacks = []
    if k < MIN_SEEDS:
        grade = "undecided" if unadjusted != "compatible" else "compatible"
        lacks.append(f"{MIN_SEEDS} seeds")
    if accuses and not alignment_green:
        lacks.append(WANTED)
    if accuses and adjust(p) >= ALPHA:
        lacks.append(f"more: p is {adjust(p):.2g} after Holm's adjustment over the report's numbers")
    more, chance = (None, None)
    if grade == "compatible":
        more, chance = outlook(gain, sigma_hat, k=k, nu=nu, sides=len(finite), theirs=theirs, delta=delta,
                               margin=margin)  # fmt: skip
    first = from_seeds(spread, sides=len(finite), delta=delta, margin=margin)
    own = float(halfwidth(0.975, sigma_hat, nu=nu, ours=ours, theirs=0, delta=0))
    side = "off" if abs(gain) < 5e-5 else "better" if gain > 0 else "worse"  # off by 0.0000
    what = "mean" if len(finite) == 1 else "gain"
    told = _told(grade, unadjusted, abs(gain), half, margin, more, chance, lacks, unit, last=k >= MAX_SEEDS,
                 explained="seeds and another split explain" if sampling else "seeds explain")  # fmt: skip
    noise = ""
    if grade != "reproduced" and first is None:
        alone = from_seeds(spread, sides=len(finite), delta=rounding, margin=margin)
        noise = _too_much_noise(spread, sampling if alone is not None else 0.0, margin, unit)
    return Verdict(
        grade=grade,
        sentence=f"{seed_count(k)}, {what} {in_unit(mean, unit)}, printed {'about ' if approx else ''}"
        f"{printed}{' %' if unit == 'percent' else ''}: {side} by {gap_in_unit(abs(gain), unit)},"
        f" {told}{noise}",
        k=k,
        mean=mean,
        interval=(mean - own, mean + own),
        p=p,
        more_seeds=more,
        chance=chance,
        from_seeds=first,
        sigma_hat=sigma_hat,
        nu=nu,
        delta=rounding,
        margin=float(margin),
    )


def _too_much_noise(spread: Spread, sampling: float, margin: float, unit: Unit) -> str:
    """Why no look can show a figure within the margin: the scatter of seeds, or of splits (``sampling``)."""
    inside = f"a figure within ±{gap_in_unit(margin, unit)}"
    if sampling:
        sigma = gap_in_unit(math.sqrt(sampling), unit)
        return f"; another split alone scatters too much (±{sigma}, one sigma) for any seeds to show {inside}"
    return (
        f"; seeds are expected to scatter too much (σ₀ = {gap_in_unit(spread.sigma0, unit)}) for"
        f" {MAX_SEEDS} of them to show {inside}"
    )


def _told(
    grade: str,
    unadjusted: str,
    distance: float,
    half: Callable[..., float],
    margin: float,
    more: int | None,
    chance: float | None,
    lacks: Sequence[str],
    unit: Unit,
    *,
    last: bool,
    explained: str,
) -> str:
    """What the distance says, without subject.

    Args:
        last: no look is left.
        explained: what scatters, in words: ``"seeds explain"``.
    """

    def reach(probability: float) -> str:
        return f"±{gap_in_unit(half(probability), unit)}"

    allowed = f"the margin of {gap_in_unit(margin, unit)}"
    if grade == "reproduced":
        bound = gap_in_unit(distance + half(REPRODUCED_LEVEL, 0.0), unit)
        return f"at most {bound} with 98 % confidence, inside {allowed}"
    if unadjusted == "reproduced":
        return f"inside {allowed}; to count it needs {' and '.join(lacks)}"
    if grade == "compatible":
        sentence = f"within the {reach(0.975)} that {explained}, not yet inside {allowed}"
        if last:
            return f"{sentence}; {MAX_SEEDS} seeds are the last look"
        if more is None:
            return f"{sentence}; {MAX_SEEDS} seeds settle it with a chance of {100 * (chance or 0):.0f} %"
        return (
            f"{sentence}; {more} more would probably settle it, up to {MAX_SEEDS} seeds with a chance of"
            f" {100 * (chance or 0):.0f} %"
        )
    if unadjusted not in ("compatible", "undecided"):
        beyond = f"beyond the {reach(0.995)} (99 %) that {explained} and {allowed}"
        if grade in (NOT_REACHED, EXCEEDED_ASSUMING):
            return f"{beyond}; the recipe holds values that the report does not state"
        return beyond if grade != "undecided" else f"{beyond}; to count it needs {' and '.join(lacks)}"
    if distance <= half(0.975):
        return (
            f"within the {reach(0.975)} that {explained}, which is more than twice {allowed} and so says"
            " little"
        )
    return (
        f"outside the {reach(0.975)} (95 %) that {explained}, but not beyond both {reach(0.995)} (99 %) and"
        f" {allowed}"
    )


def from_seeds(spread: Spread, *, sides: int = 1, delta: float, margin: float) -> int | None:
    """Return the least seeds at which a mean equal to the printed value is *reproduced*; None if at no look.

    Args:
        spread: the expected one.
        sides: 2 for a difference.
    """
    for k in LOOKS:
        nu = spread.nu0 + sides * (k - 1)
        half = halfwidth(REPRODUCED_LEVEL, spread.sigma0, nu=nu, ours=sides / k, theirs=0, delta=delta)
        if half < margin:
            return k
    return None


def outlook(
    gain: float,
    sigma_hat: float,
    *,
    k: int,
    nu: int,
    sides: int = 1,
    theirs: float,
    delta: float,
    margin: float,
) -> tuple[int | None, float]:
    """Seeds still to run until a number is more likely settled than not, and the chance by the last look.

    ``PREDICTED`` continuations are drawn from what the seeds so far say of mean and spread (σ² from a scaled
    inverse χ², the true mean from a normal about ours) and judged at every look that is left, without Holm's
    adjustment. The same numbers give the same answer.
    """
    generator = np.random.default_rng(0)
    sigma = sigma_hat * np.sqrt(nu / generator.chisquare(nu, PREDICTED))
    true = gain + sigma * math.sqrt(sides / k) * generator.standard_normal(PREDICTED)
    drawn = true[:, None] + (math.sqrt(sides) * sigma)[:, None] * generator.standard_normal(
        (PREDICTED, max(MAX_SEEDS - k, 0))
    )
    settled, likely = np.zeros(PREDICTED, dtype=bool), None
    for more in range(1, MAX_SEEDS - k + 1):
        means = (k * gain + drawn[:, :more].sum(axis=1)) / (k + more)
        scatter = np.square(drawn[:, :more] - means[:, None]).sum(axis=1) / sides
        df = nu + sides * more
        sigmas = np.sqrt((nu * sigma_hat**2 + scatter) / df)
        grades = number_rule(
            means,
            sigmas,
            nu=df,
            ours=sides / (k + more),
            theirs=theirs,
            delta=delta,
            margin=margin,
            holm_p=0.0,
            may_accuse=True,
            assumptions=False,
        )
        if k + more in LOOKS:
            settled |= ~np.isin(grades, ("compatible", "undecided"))
        if likely is None and settled.mean() > 0.5:
            likely = more
    return likely, float(settled.mean())
