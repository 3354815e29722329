"""How good the prediction interval for one more report is: on the survey itself, and on simulated reports.

``python -m bench.grading.others_validation`` prints the tables of ``docs/others.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from bench.audit.survey_audit import inconsistent
from bench.claims.claim import Ledger, ReferenceClass
from bench.claims.ledger import load_ledgers
from bench.claims.survey import OtherFigure, load_others, title_of
from bench.grading.others import best_figures
from bench.grading.prediction import MIN_REPORTS, mad_interval, prediction_interval
from bench.grading.verdict import Array

SIZES = (5, 10, 30)
"""Numbers of reports that are simulated."""

TRIALS = 200
"""Simulated surveys a cell. Each counts with its interval's exact probability, so that few are enough."""

_CENTRE, _SPREAD = float(logit(0.67)), 0.1
_CARELESS_SHARE, _CARELESS_SHIFT, _CARELESS_SPREAD = 0.2, -4.0, 3.0


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Leave-one-out on one reference class.

    Attributes:
        covered, by_mad: how many figures lie in the interval from all others, by our rule and by scaled MAD.
    """

    reference: ReferenceClass
    n: int
    covered: int
    by_mad: int


def leave_one_out(
    ledgers: Sequence[Ledger], survey: Sequence[OtherFigure], left_out: Container[OtherFigure]
) -> list[Coverage]:
    """Every declared class of accuracies and mean IoUs: each figure against the interval from the others.

    A class that is part of another is left out, so that no figure counts twice.
    """
    classes = {
        (reference, str(claim.metric))
        for ledger in ledgers
        for claim in ledger.claims
        for reference in claim.reference_class
        if claim.class_index is None
    }
    values = {
        (reference, metric): {
            report: float(figure.fraction)
            for report, figure in best_figures(
                reference, survey, metric, None, lambda figure: figure not in left_out
            ).items()
        }
        for reference, metric in classes
    }
    rows = []
    for key, figures in sorted(values.items(), key=lambda item: (item[0][0].task, title_of(item[0][0]))):
        inside = any(figures.items() < other.items() for other in values.values())
        if len(figures) > MIN_REPORTS and not inside:
            rows.append(_left_out_in_turn(key[0], list(figures.values())))
    return rows


def _left_out_in_turn(reference: ReferenceClass, values: Sequence[float]) -> Coverage:
    covered = by_mad = 0
    for i, value in enumerate(values):
        rest = (*values[:i], *values[i + 1 :])
        covered += prediction_interval(rest).holds(value)
        by_mad += mad_interval(rest).holds(value)
    return Coverage(reference=reference, n=len(values), covered=covered, by_mad=by_mad)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """A kind of simulated reports, in spreads around the centre on the logit scale.

    Attributes:
        draw: figures of so many (surveys, reports).
        careful, any_report: distribution function of one more careful report, and of one more of the mix.
    """

    title: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Array]
    careful: Callable[[Array], Array]
    any_report: Callable[[Array], Array]


def _careless(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    careful = generator.standard_normal(shape)
    careless = _CARELESS_SHIFT + _CARELESS_SPREAD * generator.standard_normal(shape)
    mixed: Array = np.where(generator.random(shape) < _CARELESS_SHARE, careless, careful)
    return mixed


def _careless_cdf(z: Array) -> Array:
    bad = stats.norm.cdf(z, _CARELESS_SHIFT, _CARELESS_SPREAD)
    mixed: Array = (1 - _CARELESS_SHARE) * stats.norm.cdf(z) + _CARELESS_SHARE * bad
    return mixed


KINDS = (
    Reports(
        title="as assumed: t with 4 degrees of freedom",
        draw=lambda generator, shape: generator.standard_t(4, shape),
        careful=lambda z: stats.t.cdf(z, 4),
        any_report=lambda z: stats.t.cdf(z, 4),
    ),
    Reports(
        title="all careful: normal",
        draw=lambda generator, shape: generator.standard_normal(shape),
        careful=stats.norm.cdf,
        any_report=stats.norm.cdf,
    ),
    Reports(title="one in five careless", draw=_careless, careful=stats.norm.cdf, any_report=_careless_cdf),
)


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """What the interval does for one kind and number of reports; all are shares.

    Attributes:
        careful, any_report: how often one more careful report, or one more of the mix, lies inside.
        called_above: by distance in spreads of careful reports, how often a figure so far above is called so.
    """

    kind: str
    reports: int
    careful: float
    any_report: float
    called_above: dict[int, float]


DISTANCES = (4, 6, 10)


def simulate(kind: Reports, reports: int, *, seed: int = 0, trials: int = TRIALS) -> Simulated:
    """Draws surveys of so many reports and judges the interval of each."""
    generator = np.random.default_rng(seed)
    drawn = np.round(expit(_CENTRE + _SPREAD * kind.draw(generator, (trials, reports))), 4)
    intervals = [prediction_interval(tuple(map(float, row)), 5e-5) for row in drawn]
    low, high = ((logit(np.array(ends)) - _CENTRE) / _SPREAD for ends in zip(*intervals, strict=True))
    return Simulated(
        kind=kind.title,
        reports=reports,
        careful=float(np.mean(kind.careful(high) - kind.careful(low))),
        any_report=float(np.mean(kind.any_report(high) - kind.any_report(low))),
        called_above={distance: float(np.mean(high < distance)) for distance in DISTANCES},
    )


def tables() -> str:
    """The tables of ``docs/others.md``, as Markdown."""
    ledgers, survey = load_ledgers(), load_others()
    return "\n\n".join(["\n".join(_coverage_table(ledgers, survey)), "\n".join(_simulation_table())])


def _coverage_table(ledgers: Sequence[Ledger], survey: Sequence[OtherFigure]) -> Iterator[str]:
    yield "Leave-one-out on the survey: how many figures lie in the 95 % interval from all others."
    yield ""
    yield "| class | reports | inside | share | scaled MAD | inside, with inconsistent figures | share |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    main = leave_one_out(ledgers, survey, inconsistent(survey))
    every = {row.reference: row for row in leave_one_out(ledgers, survey, ())}
    for row in main:
        other = every[row.reference]
        yield _line(f"{row.reference.task}: {title_of(row.reference)}", [row], [other])
    yield _line("**all**", main, list(every.values()))


def _line(title: str, rows: Sequence[Coverage], every: Sequence[Coverage]) -> str:
    n, inside, mad = (sum(getattr(row, name) for row in rows) for name in ("n", "covered", "by_mad"))
    all_n, all_inside = (sum(getattr(row, name) for row in every) for name in ("n", "covered"))
    return (
        f"| {title} | {n} | {inside} | {_percent(inside / n)} | {_percent(mad / n)} | {all_inside} of {all_n}"
        f" | {_percent(all_inside / all_n)} |"
    )


def _simulation_table() -> Iterator[str]:
    yield (
        f"Simulated surveys ({TRIALS} a row): how often the 95 % interval holds one more report, and how"
        " often a figure that lies so many spreads of careful reports above their centre is called *above*."
    )
    yield ""
    heads = " | ".join(f"{distance} spreads above" for distance in DISTANCES)
    yield f"| reports are | of them | holds a careful one | holds any one | {heads} |"
    yield f"|---|---:|---:|---:|{'---:|' * len(DISTANCES)}"
    for kind in KINDS:
        for reports in SIZES:
            row = simulate(kind, reports)
            above = " | ".join(_percent(share) for share in row.called_above.values())
            shares = f"{_percent(row.careful)} | {_percent(row.any_report)} | {above}"
            yield f"| {row.kind} | {row.reports} | {shares} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    print(tables())
