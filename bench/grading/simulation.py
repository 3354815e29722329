"""How often the rules misjudge: honest and dishonest reports are drawn and judged, many times.

``python -m bench.grading.simulation`` prints the tables of ``docs/grading.md``. Every trial runs through
``numbers.number_rule`` or ``orderings.ordering_rule``, the rules that grade claims, with the planned looks:
seeds are drawn one after another and a trial stops as soon as a look decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.grading import numbers, orderings, verdict
from bench.grading.seeds import FAR_MARGINS, FAR_SIGMAS
from bench.grading.spread import NU0, fit_spread, formula_sigma, margin, pooled_sigma
from bench.grading.verdict import MAX_SEEDS, MIN_SEEDS, Array

NUMBER_GRADES = ("reproduced", "compatible", "exceeded", "contradicted", "unstable", "undecided")
OPEN = ("compatible", "undecided")
Law = Literal["normal", "t3", "skewed"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way that a report's number and our runs of it can come about.

    Attributes:
        mean: true mean figure of the report's own training, as a fraction; sets the true σ₀ and Δ.
        decimals: of the printed fraction.
        m: the report's runs behind its figure.
        spread: true σ between seeds, theirs and ours, in σ₀.
        shift: our true mean minus theirs, in Δ; negative is a shortfall.
        printed: ``drawn``, the report prints one honest result of its training; ``fixed``, it prints
            the true mean itself, so that only our side scatters.
        law: of the seeds: normal, Student's t with 3 degrees of freedom, or a shifted exponential with its
            long tail towards low figures, all with the same standard deviation.
        broken: chance that a seed collapses to nothing.
        looks: the k at which we look; one look is a plan of a fixed size.
    """

    metric: str
    n: int | None
    mean: float
    decimals: int
    m: int = 1
    spread: float = 1.0
    shift: float = 0.0
    printed: Literal["drawn", "fixed"] = "drawn"
    law: Law = "normal"
    broken: float = 0.0
    looks: tuple[int, ...] = tuple(numbers.LOOKS)

    @property
    def delta(self) -> float:
        """δ of the printed figure."""
        return 0.5 * 10.0**-self.decimals

    @property
    def sigma0(self) -> float:
        """σ₀ at the true mean."""
        return float(formula_sigma(self.metric, self.n, self.mean))

    @property
    def margin(self) -> float:
        """Δ at the true mean."""
        return float(margin(self.metric, self.n, self.mean, self.delta))


@dataclass(frozen=True)
class SimulatedOutcome:
    """Share of trials by grade, and how many seeds were run on average."""

    shares: dict[str, float]
    seeds: float

    def __getitem__(self, grade: str) -> float:
        return self.shares[grade]


def standard(generator: np.random.Generator, law: Law, size: tuple[int, ...]) -> Array:
    """NumberTrials with mean 0 and standard deviation 1."""
    if law == "t3":
        return generator.standard_t(3, size) / math.sqrt(3)
    if law == "skewed":
        return 1 - generator.standard_exponential(size)
    return generator.standard_normal(size)


@dataclass(frozen=True)
class NumberTrials:
    """Trials of one number, and σ₀ and Δ as the rules see them.

    Attributes:
        claim: printed values, (trials,).
        ours: figures of our seeds, (trials, seeds).
    """

    claim: Array
    ours: Array
    sigma0: Array
    margin: Array

    @classmethod
    def of(cls, scenario: Scenario, generator: np.random.Generator, trials: int) -> NumberTrials:
        """Draw what the report prints and what our seeds give."""
        sigma = scenario.spread * scenario.sigma0
        claim = np.full(trials, scenario.mean)
        if scenario.printed == "drawn":
            claim += sigma * standard(generator, scenario.law, (trials, scenario.m)).mean(axis=1)
        claim = np.round(claim, scenario.decimals)
        true = scenario.mean + scenario.shift * scenario.margin
        ours = true + sigma * standard(generator, scenario.law, (trials, max(scenario.looks)))
        if scenario.broken:
            ours = np.where(generator.random(ours.shape) < scenario.broken, 0.02, ours)
        # As in life, the rules know the printed figure only: σ₀ and Δ are taken there.
        return cls(
            claim,
            ours,
            sigma0=formula_sigma(scenario.metric, scenario.n, claim),
            margin=margin(scenario.metric, scenario.n, claim, scenario.delta),
        )


def simulate(scenario: Scenario, *, seed: int = 0, trials: int = 20_000) -> SimulatedOutcome:
    """What trials come to, alignment green and no assumptions in force."""
    draws = NumberTrials.of(scenario, np.random.default_rng(seed), trials)
    grades, seeds = judged([scenario], [draws], adjust=lambda p: p)
    return SimulatedOutcome(
        {grade: float((grades == grade).mean()) for grade in NUMBER_GRADES}, float(seeds.mean())
    )


def judged(
    scenarios: Sequence[Scenario], draws: Sequence[NumberTrials], *, adjust: Callable[[Array], Array]
) -> tuple[np.ndarray, np.ndarray]:
    """Judge the numbers of a report at every planned look, each until a look decides it.

    Args:
        scenarios, draws: one a number; all with the looks of the first.
        adjust: the p of all numbers, (numbers, trials) → adjusted over the report.

    Returns:
        The grades and the seeds used, both (numbers, trials).
    """
    size = (len(draws), len(draws[0].claim))
    looks = scenarios[0].looks
    grades, seeds = np.full(size, "undecided", dtype="<U40"), np.full(size, max(looks))
    still = np.ones(size, dtype=bool)
    for k in looks:
        adjusted = adjust(np.array([_p(s, d, k) for s, d in zip(scenarios, draws, strict=True)]))
        outcome = np.array([_look(s, d, k, p) for s, d, p in zip(scenarios, draws, adjusted, strict=True)])
        decided = still & ~np.isin(outcome, OPEN)
        grades[still] = outcome[still]
        seeds[decided] = k
        still &= ~decided
    return grades, seeds


def _evidence(scenario: Scenario, draws: NumberTrials, k: int) -> tuple[Array, Array, dict[str, Any]]:
    """Our mean minus the printed value after k seeds, σ̂, and the rule's other arguments."""
    ours = draws.ours[:, :k]
    sigma_hat, nu = pooled_sigma((ours,), draws.sigma0, NU0)
    sides = {"nu": nu, "ours": 1 / k, "theirs": 1 / scenario.m, "delta": scenario.delta}
    return ours.mean(axis=1) - draws.claim, sigma_hat, sides


def _p(scenario: Scenario, draws: NumberTrials, k: int) -> Array:
    """The p after k seeds. It is 0 where a seed makes the number unstable: such a number is not in the
    report's family, and a p of 0 leaves the factors of the others as they are without it."""
    gain, sigma_hat, sides = _evidence(scenario, draws, k)
    return np.where(_is_unstable(draws, k), 0.0, numbers.two_sided_p(gain, sigma_hat, **sides))


def _look(scenario: Scenario, draws: NumberTrials, k: int, holm_p: Array) -> np.ndarray:
    """The grades (trials,) after k seeds."""
    gain, sigma_hat, sides = _evidence(scenario, draws, k)
    outcome = numbers.number_rule(
        gain,
        sigma_hat,
        **sides,
        margin=draws.margin,
        holm_p=holm_p,
        may_accuse=k >= MIN_SEEDS,
        assumptions=False,
    )
    if k < MIN_SEEDS:
        outcome = np.where(outcome == "compatible", outcome, "undecided")
    return np.where(_is_unstable(draws, k), "unstable", outcome)


def _is_unstable(draws: NumberTrials, k: int) -> npt.NDArray[np.bool_]:
    """Whether one of k seeds lies far off the median."""
    ours = draws.ours[:, :k]
    far = np.abs(ours - np.median(ours, axis=1, keepdims=True)).max(axis=1)
    return np.asarray(far > np.maximum(FAR_MARGINS * draws.margin, FAR_SIGMAS * draws.sigma0))


PRINTED: dict[str, tuple[str, int, str, verdict.Unit]] = {
    "r1-finetune-a": ("top1", 406, "0.2438423645320197", "fraction"),
    "r1-finetune-c": ("top1", 406, "0.4482758620689655", "fraction"),
    "r1-finetune-c-400": ("top1", 406, "0.5394088669950738", "fraction"),
    "r3-finetune-b": ("top1", 406, "0.5527", "fraction"),
    "r3-finetune-e": ("top1", 406, "0.2084", "fraction"),
    "r5-finetune-c": ("top1", 406, "63.5", "percent"),
    "r5-finetune-c-epoch1": ("top1", 406, "14.5", "percent"),
    "r5-finetune-e": ("top1", 406, "47.9", "percent"),
    "r3-tsne-acc": ("top1", 2500, "60", "percent"),
    "r3-classify-a": ("top1", 2500, "0.6515", "fraction"),
    "r3-classify-b": ("top1", 2500, "0.8981", "fraction"),
    "r4-classify": ("top1", 2500, "0.785600", "fraction"),
    "r2-seg-b-adam": ("miou", 257, "0.677", "fraction"),
    "r4-seg-a": ("miou", 257, "0.663704", "fraction"),
    "r4-seg-a-iou-2": ("iou_2", 257, "0.28466", "fraction"),
}
"""Printed figures that span what the five reports print: every metric, n and number of decimals, and
the highest and lowest accuracy of each n."""


def printed_cell(slug: str) -> Scenario:
    """The scenario of one of PRINTED: a training whose true mean is the printed value."""
    metric, n, printed, unit = PRINTED[slug]
    value = numbers.printed_value(printed, unit)
    places = numbers.decimals(printed) + (2 if unit == "percent" else 0)
    return Scenario(metric=metric, n=n, mean=value, decimals=places)


CELLS = {slug: printed_cell(slug) for slug in PRINTED}

_R4_CLASS_IOUS = (
    0.73810, 0.86253, 0.28466, 0.77099, 0.67038, 0.65557,
    0.75449, 0.88520, 0.39102, 0.76715, 0.77501, 0.69082,
)  # fmt: skip

R4 = (
    Scenario(metric="top1", n=2500, mean=0.7856, decimals=6),
    *(Scenario(metric="miou", n=257, mean=value, decimals=6) for value in (0.663704, 0.710615)),
    *(Scenario(metric="iou", n=257, mean=value, decimals=5) for value in _R4_CLASS_IOUS),
)
"""R4's fifteen numbers."""

SHORT = (1, 3, 7)
"""The numbers of ``R4`` that fall short in a report with three wrong ones: a mean IoU and two class IoUs."""


def report(
    *,
    short: Sequence[int] = (),
    adjust: bool = True,
    trials: int = 4000,
    seed: int = 0,
    **options: Any,
) -> dict[str, float]:
    """How a report like R4 fares, fifteen numbers judged together at every planned look.

    Args:
        short: numbers of which our true mean lies 2Δ below the report's; the others are honest.
        adjust: by Holm's method over the fifteen, as the rule does.
        options: fields of all scenarios, such as ``spread``, ``law``, ``broken`` and ``looks``.

    Returns:
        ``accused``: share of reports with an honest number contradicted; ``found``: share of the short
        numbers contradicted; ``reproduced``: share of the honest numbers reproduced.
    """
    generator = np.random.default_rng(seed)
    scenarios = [
        replace(scenario, shift=-2.0 if i in short else 0.0, **options) for i, scenario in enumerate(R4)
    ]
    draws = [NumberTrials.of(scenario, generator, trials) for scenario in scenarios]
    grades, _ = judged(scenarios, draws, adjust=_holm if adjust else lambda p: p)
    honest = np.array([i not in short for i in range(len(R4))])
    contradicted = grades == "contradicted"
    return {
        "accused": float(contradicted[honest].any(axis=0).mean()),
        "found": float(contradicted[~honest].mean()) if short else math.nan,
        "reproduced": float((grades[honest] == "reproduced").mean()),
    }


def _holm(p: Array) -> Array:
    """Holm's adjusted p along the first axis."""
    order = np.argsort(p, axis=0)
    ranked = np.take_along_axis(p, order, axis=0)
    stepped = np.maximum.accumulate(ranked * np.arange(len(p), 0, -1)[:, None], axis=0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(1, stepped), axis=0)
    return adjusted


@dataclass(frozen=True, kw_only=True)
class Race:
    """An ordering of two recipes: their true difference in σ, and how many orderings the report has.

    Attributes:
        gap: true mean of the first minus that of the second, in σ.
        spread: true σ in σ₀.
        ranked: orderings of the report among which p is adjusted (Bonferroni's bound of Holm's method).
        looks: after how many seeds of each.
        level: of each look.
    """

    gap: float
    spread: float = 1.0
    ranked: int = 1
    law: Law = "normal"
    looks: tuple[int, ...] = orderings.LOOKS
    level: float = orderings.LEVEL


def race(given: Race, *, trials: int = 20_000, seed: int = 0) -> dict[str, float]:
    """Share of trials by verdict, with looks as planned."""
    generator = np.random.default_rng(seed)
    sigma0 = 0.01
    sigma = given.spread * sigma0
    size = (trials, max(given.looks))
    first = given.gap * sigma + sigma * standard(generator, given.law, size)
    second = sigma * standard(generator, given.law, size)
    outcome = np.full(trials, "undecided", dtype="<U10")
    for k in given.looks:
        now = orderings.ordering_rule(
            first[:, :k], second[:, :k], sigma0, NU0, level=given.level / given.ranked
        )
        outcome = np.where(outcome == "undecided", now, outcome)
    return {name: float((outcome == name).mean()) for name in ("as claimed", "opposite", "undecided")}


def paired_power(gap: float, k: int, *, trials: int = 20_000, seed: int = 0) -> float:
    """How often the paired t test at .05 finds the first ahead: what pairing independent seeds costs."""
    from scipy.stats import ttest_rel

    generator = np.random.default_rng(seed)
    first, second = gap + generator.standard_normal((trials, k)), generator.standard_normal((trials, k))
    tested = ttest_rel(first, second, axis=1)
    return float(((tested.pvalue < 0.05) & (tested.statistic > 0)).mean())


def report_race(*, ranked: int, spread: float = 1.0, trials: int = 4000, seed: int = 0) -> float:
    """How often a report of ``ranked`` orderings of equal recipes has any of them decided at any look."""
    generator = np.random.default_rng(seed)
    sigma0, most = 0.01, max(orderings.LOOKS)
    first, second = spread * sigma0 * generator.standard_normal((2, ranked, trials, most))
    wrong = np.zeros(trials, dtype=bool)
    for k in orderings.LOOKS:
        above, below = orderings.two_sample_p(first[..., :k], second[..., :k], sigma0, NU0)
        wrong |= (_holm(np.minimum(1, 2 * np.minimum(above, below))) < orderings.LEVEL).any(axis=0)
    return float(wrong.mean())


def history(
    *, groups: int, nu0: int, seeds: int = 3, trials: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Mean of the fitted σ₀ (true: 1) and of the fitted ν₀, from groups whose variances scatter by ν₀."""
    generator = np.random.default_rng(seed)
    fitted = []
    for _ in range(trials):
        sigma = np.sqrt(nu0 / generator.chisquare(nu0, (groups, 1)))
        fitted.append(fit_spread((sigma * generator.standard_normal((groups, seeds))).tolist()))
    return float(np.exp(np.mean([math.log(s) for s, _ in fitted]))), float(np.mean([n for _, n in fitted]))


# ---------------------------------------------------------------- as tables


def tables(trials: int = 20_000) -> str:
    """The tables of ``docs/grading.md``, as markdown."""
    made = (_promises, _laws, _broken, _peeking, _reports, _orderings, _history)
    return "\n\n".join("\n".join(table(trials)) for table in made)


def _promises(trials: int) -> Iterator[str]:
    yield "One number, looks after 3 … 10 seeds. Honest: the report prints one draw of its training."
    yield "Short: our true mean lies 2Δ below. On the margin: exactly Δ below a fixed printed value."
    yield ""
    yield (
        "| figure | Δ/σ₀ | honest: reproduced | contradicted | seeds | short: contradicted | seeds |"
        " on the margin: reproduced |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for slug, cell in sorted(CELLS.items(), key=lambda item: item[1].margin / item[1].sigma0):
        honest = simulate(cell, trials=trials)
        short = simulate(replace(cell, shift=-2.0), trials=trials)
        edge = simulate(replace(cell, shift=-1.0, printed="fixed"), trials=trials)
        yield (
            f"| {slug} | {cell.margin / cell.sigma0:.2f} | {_percent(honest['reproduced'])} |"
            f" {_percent(honest['contradicted'])} | {honest.seeds:.1f} | {_percent(short['contradicted'])} |"
            f" {short.seeds:.1f} | {_percent(edge['reproduced'])} |"
        )


_LAWS: tuple[tuple[Law, str], ...] = (
    ("normal", "normal"),
    ("t3", "t with 3 degrees of freedom"),
    ("skewed", "skewed (exponential)"),
)


def _laws(trials: int) -> Iterator[str]:
    cell = CELLS["r4-seg-a"]
    yield f"What an mIoU of {cell.mean} gets if seeds scatter otherwise than expected:"
    yield ""
    yield (
        "| seeds | true σ | honest: reproduced | contradicted | unstable | short: contradicted |"
        " on the margin: reproduced |"
    )
    yield "|---|---|---|---|---|---|---|"
    for law, name in _LAWS:
        for spread in (0.5, 1.0, 1.5):
            given = replace(cell, law=law, spread=spread)
            honest = simulate(given, trials=trials)
            short = simulate(replace(given, shift=-2.0), trials=trials)
            edge = simulate(replace(given, shift=-1.0, printed="fixed"), trials=trials)
            yield (
                f"| {name} | {spread} σ₀ | {_percent(honest['reproduced'])} |"
                f" {_percent(honest['contradicted'])} | {_percent(honest['unstable'])} |"
                f" {_percent(short['contradicted'])} | {_percent(edge['reproduced'])} |"
            )


def _broken(trials: int) -> Iterator[str]:
    cell = CELLS["r4-seg-a"]
    yield "Seeds that collapse, each with the chance given; an honest report:"
    yield ""
    yield "| chance | reproduced | contradicted | unstable |"
    yield "|---|---|---|---|"
    for chance in (0.0, 0.05, 0.1, 0.3):
        outcome = simulate(replace(cell, broken=chance), trials=trials)
        yield (
            f"| {_percent(chance)} | {_percent(outcome['reproduced'])} |"
            f" {_percent(outcome['contradicted'])} |"
            f" {_percent(outcome['unstable'])} |"
        )


def _peeking(trials: int) -> Iterator[str]:
    yield "A true mean exactly Δ below a fixed printed mIoU, called reproduced:"
    yield ""
    yield "| how one looks | reproduced |"
    yield "|---|---|"
    for name, level, looks in (
        ("once, after 10 seeds, at .95", 0.95, (10,)),
        ("after every seed from the third on, at .95", 0.95, tuple(numbers.LOOKS)),
        (
            "after every seed from the third on, at .98: the rule",
            numbers.REPRODUCED_LEVEL,
            tuple(numbers.LOOKS),
        ),
    ):
        yield f"| {name} | {_percent(on_the_margin(level, looks, trials=trials))} |"


def on_the_margin(level: float, looks: Sequence[int], *, trials: int = 20_000, seed: int = 0) -> float:
    """How often a mean exactly Δ below a fixed printed mIoU passes at some look, at that one-sided level."""
    cell = replace(CELLS["r4-seg-a"], shift=-1.0, printed="fixed")
    generator = np.random.default_rng(seed)
    ours = cell.mean - cell.margin + cell.sigma0 * generator.standard_normal((trials, MAX_SEEDS))
    passed = np.zeros(trials, dtype=bool)
    for k in looks:
        sigma_hat, nu = pooled_sigma((ours[:, :k],), cell.sigma0, NU0)
        distance = np.abs(ours[:, :k].mean(axis=1) - cell.mean)
        half = numbers.halfwidth(level, sigma_hat, nu=nu, ours=1 / k, theirs=0, delta=cell.delta)
        passed |= distance + half < cell.margin
    return float(passed.mean())


def _reports(trials: int) -> Iterator[str]:
    yield "A report like R4: fifteen numbers, looks after 3 … 10 seeds until a look decides. Honest: some"
    yield "number is falsely contradicted. Wrong in three: each number that is 2Δ short is contradicted."
    yield ""
    yield (
        "| seeds | true σ | honest, without adjustment | honest, once after 5 seeds | honest: the rule |"
        " wrong in three: the rule |"
    )
    yield "|---|---|---|---|---|---|"
    few = max(trials // 2, 10)
    for law, name, broken in (
        *((law, name, 0.0) for law, name in _LAWS),
        ("normal", "one of ten collapses", 0.1),
    ):
        for spread in (1.0, 1.5, 2.0):
            given: dict[str, Any] = {"law": law, "broken": broken, "spread": spread, "trials": few}
            bare = report(adjust=False, **given)["accused"]
            once = report(looks=(5,), **given)["accused"]
            kept, found = report(**given)["accused"], report(short=SHORT, **given)["found"]
            shares = " | ".join(map(_percent, (bare, once, kept, found)))
            yield f"| {name} | {spread} σ₀ | {shares} |"


def _orderings(trials: int) -> Iterator[str]:
    yield "One ordering, looks after 3, 5 and 10 seeds of each recipe:"
    yield ""
    yield (
        "| true gap | as claimed | opposite | undecided | after 3 seeds alone: this test at .05 |"
        " paired t at .05 |"
    )
    yield "|---|---|---|---|---|---|"
    for gap in (0.0, 1.0, 2.0, 3.0):
        outcome = race(Race(gap=gap), trials=trials)
        three = race(Race(gap=gap, looks=(3,), level=0.05), trials=trials)
        yield (
            f"| {gap:.0f} σ | {_percent(outcome['as claimed'])} | {_percent(outcome['opposite'])} |"
            f" {_percent(outcome['undecided'])} | {_percent(three['as claimed'])} |"
            f" {_percent(paired_power(gap, 3, trials=trials))} |"
        )
    yield ""
    yield "A report that ranks equal recipes, some ordering decided at some look:"
    yield ""
    yield "| orderings | σ = σ₀ | σ = 1.5 σ₀ |"
    yield "|---|---|---|"
    for ranked in (1, 7, 14):
        shares = [report_race(ranked=ranked, spread=spread, trials=trials) for spread in (1.0, 1.5)]
        yield f"| {ranked} | {' | '.join(map(_percent, shares))} |"


def _history(trials: int) -> Iterator[str]:
    yield "σ₀ and ν₀ from earlier runs, groups of three seeds (true σ₀ = 1):"
    yield ""
    yield "| groups | true ν₀ | σ₀ found | ν₀ found (at most 18) |"
    yield "|---|---|---|---|"
    for groups in (5, 9, 24):
        for nu0 in (4, 16):
            sigma0, outcome = history(groups=groups, nu0=nu0, trials=max(trials // 200, 20))
            yield f"| {groups} | {nu0} | {sigma0:.2f} | {outcome:.1f} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    print(tables())
