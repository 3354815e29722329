"""Figures from training code of the user's own: ``bench import results.csv``. They are never ours.

A claims file of one's own may be graded by figures that its user measured elsewhere. They lie next to the
records, in ``reported/REPORT.csv``, and no record, count, leaderboard or prior of ours ever takes them up.
Every verdict on them says that it is about figures *reported by the user*.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.claims.claim import METRICS, Claim, Ledger
from bench.claims.schema import hint
from bench.grading.numbers import grade_number, printed_value
from bench.grading.spread import expected_spread, margin_of
from bench.grading.verdict import Unit, Verdict, in_unit, seed_count
from reference.errors import InputError
from reference.files import write_atomically

BY_THE_USER = "reported by the user"
COLUMNS = ("recipe", "seed", "metric", "value", "n")
FOLDER = "reported"


@dataclass(frozen=True, kw_only=True)
class ReportedFigure:
    """One figure that the user measured.

    Attributes:
        seed: None where the figure depends on no seed.
        metric: as a claim names it, ``iou_3`` for the IoU of class 3.
        value: a fraction, digit for digit as in the file.
        n: images that it was measured on; None where that is not said.
    """

    recipe: str
    seed: int | None
    metric: str
    value: str
    n: int | None


@dataclass(frozen=True, kw_only=True)
class ReportedGrade:
    """A number claim, the user's figures for it, and the verdict on these."""

    claim: Claim
    figures: tuple[ReportedFigure, ...]
    verdict: Verdict

    @property
    def mean(self) -> float:
        """The mean of the figures, as a fraction."""
        return sum(float(figure.value) for figure in self.figures) / len(self.figures)

    @property
    def label(self) -> str:
        """``"reproduced (reported by the user)"``."""
        return f"{self.verdict.grade} ({BY_THE_USER})"


def read_results(path: Path, ledgers: Sequence[Ledger]) -> list[ReportedFigure]:
    """Read a CSV of the columns recipe, seed, metric, value and, where known, n.

    An empty seed says that the figure depends on none. Values are fractions.

    Raises:
        InputError: the file cannot be read; a column is unknown or missing; a recipe belongs to no claim of
            these reports; a cell is not of its kind; a figure stands there twice. One line each.
    """
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        rows, columns = list(reader), reader.fieldnames or ()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is no CSV in UTF-8 ({error}); save it as one") from None
    if not rows:
        raise InputError(f"{path}: holds no row; expected a header {','.join(COLUMNS)} and one row a figure")
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"{path}: unknown column {column!r} ({hint(column, COLUMNS)})")
    for column in COLUMNS[:-1]:
        if column not in columns:
            raise InputError(f"{path}: column {column!r} is missing; add it")
    recipes = {claim.recipe for one in ledgers for claim in one.claims if claim.recipe}
    figures: dict[tuple[str, int | None, str], ReportedFigure] = {}
    for line, row in enumerate(rows, 2):
        figure = _figure(row, f"{path}: line {line}", recipes)
        key = figure.recipe, figure.seed, figure.metric
        if key in figures:
            raise InputError(f"{path}: line {line}: recipe, seed and metric stand there twice; keep one row")
        figures[key] = figure
    return list(figures.values())


def _figure(row: dict[str, str | None], location: str, recipes: Iterable[str]) -> ReportedFigure:
    cells = {column: (row.get(column) or "").strip() for column in COLUMNS}
    if None in row:
        raise InputError(f"{location}: more cells than columns; expected {len(COLUMNS)} at most")
    if cells["recipe"] not in recipes:
        raise InputError(
            f"{location}: recipe {cells['recipe']!r} is of no claim ({hint(cells['recipe'], recipes)})"
        )
    metric, _, index = cells["metric"].partition(":")
    if metric not in METRICS or (index and not index.isdigit()):
        raise InputError(
            f"{location}: unknown metric {cells['metric']!r} ({hint(metric, METRICS)}); of one class 'iou:3'"
        )
    for column in ("seed", "n"):
        if cells[column] and not cells[column].isdecimal():
            raise InputError(f"{location}: {column} is {cells[column]!r}; expected a whole number or nothing")
    entry = METRICS[metric]
    try:
        inside = entry.low <= float(cells["value"]) <= entry.high
    except ValueError:
        inside = False
    if not inside:
        raise InputError(
            f"{location}: value is {cells['value']!r}; expected a number from {entry.low:g} to"
            f" {entry.high:g} (0.97, not 97)"
        )
    return ReportedFigure(
        recipe=cells["recipe"],
        seed=int(cells["seed"]) if cells["seed"] else None,
        metric=f"{metric}_{int(index)}" if index else metric,
        value=cells["value"],
        n=int(cells["n"]) or None if cells["n"] else None,
    )


def store(figures: Sequence[ReportedFigure], ledgers: Sequence[Ledger], folder: Path) -> list[Path]:
    """Write the figures below a folder of runs, one file a report, in place of earlier ones."""
    written = []
    for ledger in ledgers:
        recipes = {claim.recipe for claim in ledger.claims}
        chosen = [figure for figure in figures if figure.recipe in recipes]
        if not chosen:
            continue
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for figure in chosen:
            seed = "" if figure.seed is None else figure.seed
            metric = figure.metric.replace("_", ":") if figure.metric not in METRICS else figure.metric
            writer.writerow([figure.recipe, seed, metric, figure.value, figure.n or ""])
        path = folder / FOLDER / f"{ledger.report}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode())
        written.append(path)
    return written


def grade_reported(ledgers: Iterable[Ledger], folder: Path) -> list[ReportedGrade]:
    """The verdicts on the user's figures below a folder, claim by claim; none where nothing was imported."""
    graded = []
    for ledger in ledgers:
        path = folder / FOLDER / f"{ledger.report}.csv"
        if not path.is_file():
            continue
        by_figure: dict[tuple[str, str], list[ReportedFigure]] = defaultdict(list)
        for figure in read_results(path, [ledger]):
            by_figure[figure.recipe, figure.metric].append(figure)
        for claim in ledger.of_kind("number"):
            figures = by_figure.get((claim.recipe or "", claim.metric_name or ""), [])
            if figures and not claim.illegible and not claim.difference_of and not claim.mean_of:
                graded.append(
                    ReportedGrade(claim=claim, figures=tuple(figures), verdict=_verdict(claim, figures))
                )
    return graded


def _verdict(claim: Claim, figures: Sequence[ReportedFigure]) -> Verdict:
    """A figure without a seed is compared digit by digit, figures of seeds by the rule of numbers."""
    assert claim.value is not None
    values = [float(figure.value) for figure in figures]
    stated = {figure.n for figure in figures if figure.n}
    if claim.n and stated and stated != {claim.n}:
        found = ", ".join(map(str, sorted(stated)))
        sentence = f"{BY_THE_USER} on {found} images, and the claim is about {claim.n:,}"
        return Verdict(grade="undecided", sentence=sentence, k=len(values))
    if any(figure.seed is None for figure in figures):
        return _compared(claim, figures)
    unit: Unit = "percent" if claim.unit == "percent" else "fraction"
    n = claim.n or (next(iter(stated)) if len(stated) == 1 else None)
    metric, printed = str(claim.metric_name), printed_value(claim.value, unit)
    try:
        spread = expected_spread(metric, n, printed)
        allowed = margin_of(claim, n)
    except InputError as error:
        return Verdict(grade="undecided", sentence=f"{BY_THE_USER}: {error}", k=len(values))
    verdict = grade_number(
        claim.value,
        values,
        spread=spread,
        margin=allowed,
        unit=unit,
        m=claim.runs,
        approx=claim.approx,
        higher_is_better=METRICS[str(claim.metric)].higher_is_better is not False,
        alignment_green=True,  # the mark says whose code it is, and ours is not involved
    )
    sentence = f"{BY_THE_USER}, {seed_count(len(values))}: {verdict.sentence}"
    return Verdict(grade=verdict.grade, sentence=sentence, k=verdict.k, mean=verdict.mean)


def _compared(claim: Claim, figures: Sequence[ReportedFigure]) -> Verdict:
    """Whether a figure that depends on no seed prints as the claim does."""
    from decimal import Decimal

    assert claim.value is not None
    (value, *others) = {figure.value for figure in figures}
    if others:
        return Verdict(grade="undecided", sentence=f"{BY_THE_USER}: several figures without a seed")
    scale = 100 if claim.unit == "percent" else 1
    exact, half = Decimal(value) * scale, Decimal(5).scaleb(-claim.decimals - 1)
    same = abs(exact - Decimal(claim.value)) <= half
    shown = in_unit(float(value), claim.unit)
    end = "which rounds to the printed figure" if same else "which does not round to the printed figure"
    return Verdict(
        grade="matches" if same else "differs",
        sentence=f"{BY_THE_USER}, without a seed: {shown}, {end}",
        k=1,
        mean=float(value),
    )
