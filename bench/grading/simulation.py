"""How often the number rules misjudge: honest and dishonest reports are drawn and graded, many times.

``python -m bench.grading.simulation`` prints the tables of ``docs/grading.md``. Every trial runs through
``grading.number_rule``, the rule that grades claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np

from bench.grading import numbers, verdict

NUMBER_GRADES = ("reproduced", "consistent", "exceeded", "contradicted", "inconclusive")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way that a report's number and our runs of it can come about.

    Attributes:
        mean: true mean figure of the report's own training, as a fraction; sets the true σ₀ and Δ.
        decimals: of the printed fraction.
        k, m: our seeds, and the report's runs behind its figure.
        spread: true σ between seeds, theirs and ours, in σ₀.
        shift: our true mean minus theirs, in Δ; negative is a shortfall.
        printed: ``drawn``, the report prints one honest result of its training; ``fixed``, it prints
            the true mean itself, so that only our side scatters.
    """

    metric: str
    n: int | None
    mean: float
    decimals: int
    k: int = 3
    m: int = 1
    spread: float = 1.0
    shift: float = 0.0
    printed: Literal["drawn", "fixed"] = "drawn"

    @property
    def delta(self) -> float:
        """δ of the printed figure."""
        return 0.5 * 10.0**-self.decimals

    @property
    def sigma0(self) -> float:
        """σ₀ at the true mean."""
        return float(numbers.formula_sigma(self.metric, self.n, self.mean))

    @property
    def margin(self) -> float:
        """Δ at the true mean."""
        return float(numbers.margin(self.metric, self.n, self.sigma0, self.delta))


def simulate(scenario: Scenario, *, seed: int = 0, trials: int = 20_000) -> dict[str, float]:
    """Share of trials that get each of NUMBER_GRADES, alignment green and no assumptions in force."""
    generator = np.random.default_rng(seed)
    sigma = scenario.spread * scenario.sigma0
    claim = np.full(trials, scenario.mean)
    if scenario.printed == "drawn":
        claim += generator.normal(0.0, sigma / math.sqrt(scenario.m), trials)
    claim = np.round(claim, scenario.decimals)
    ours = generator.normal(scenario.mean + scenario.shift * scenario.margin, sigma, (trials, scenario.k))
    # As in life, the rules know the printed figure only: σ₀ and Δ are taken there.
    sigma0 = numbers.formula_sigma(scenario.metric, scenario.n, claim)
    sigma_hat, nu = numbers.pooled_sigma(ours, sigma0)
    grades = numbers.number_rule(
        ours.mean(axis=-1) - claim,
        sigma_hat,
        k=scenario.k,
        nu=nu,
        m=scenario.m,
        delta=scenario.delta,
        margin=numbers.margin(scenario.metric, scenario.n, sigma0, scenario.delta),
        alignment_green=True,
        assumptions=False,
    )
    return {grade: float((grades == grade).mean()) for grade in NUMBER_GRADES}


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
    "r2-focal-gain": ("delta_miou", 257, "0.01", "fraction"),
    "r2-seg-b-adam": ("miou", 257, "0.677", "fraction"),
    "r3-seg-b": ("miou", 257, "0.7467", "fraction"),
    "r4-seg-a": ("miou", 257, "0.663704", "fraction"),
    "r4-seg-a-iou-2": ("iou_2", 257, "0.28466", "fraction"),
}
"""Printed figures that span what the five reports print: every metric, n and number of decimals, and
the highest and lowest accuracy of each n."""


def printed_cell(slug: str) -> Scenario:
    """The scenario of one of PRINTED: three seeds of a training whose true mean is the printed value."""
    metric, n, printed, unit = PRINTED[slug]
    value = numbers.printed_value(printed, unit)
    places = numbers.decimals(printed) + (2 if unit == "percent" else 0)
    return Scenario(metric=metric, n=n, mean=value, decimals=places)


CELLS = {slug: printed_cell(slug) for slug in PRINTED}
ENOUGH_POWER = 0.70


def tables(trials: int = 20_000) -> str:
    """The tables of ``docs/grading.md``, as markdown."""
    return "\n\n".join("\n".join(table(trials)) for table in (_honest, _power, _boundary, _typical))


def _honest(trials: int) -> Iterator[str]:
    yield "An honest report, falsely contradicted (worst of all printed figures and of k = 3 … 10):"
    yield ""
    yield "| true spread | falsely contradicted |"
    yield "|---|---|"
    for spread in (0.5, 1.0, 1.25, 1.5, 2.0):
        share = max(
            simulate(replace(cell, k=k, spread=spread), trials=trials)["contradicted"]
            for cell in CELLS.values()
            for k in range(3, 11)
        )
        yield f"| {spread} σ₀ | {_percent(share)} |"


def _power(trials: int) -> Iterator[str]:
    yield "A true shortfall of 2Δ, called contradicted:"
    yield ""
    yield f"| figure | Δ/σ₀ | k = 3, σ = σ₀ | k = 3, σ = 1.5 σ₀ | seeds for {100 * ENOUGH_POWER:.0f} % |"
    yield "|---|---|---|---|---|"
    for slug, cell in sorted(CELLS.items(), key=lambda item: item[1].margin / item[1].sigma0):
        short = replace(cell, shift=-2.0)
        shares = [
            simulate(replace(short, spread=spread), trials=trials)["contradicted"] for spread in (1.0, 1.5)
        ]
        seeds = next(
            k
            for k in count(verdict.MIN_SEEDS)
            if simulate(replace(short, k=k), trials=trials)["contradicted"] >= ENOUGH_POWER
        )
        ratio = cell.margin / cell.sigma0
        yield f"| {slug} | {ratio:.2f} | {_percent(shares[0])} | {_percent(shares[1])} | {seeds} |"


def _boundary(trials: int) -> Iterator[str]:
    yield "A true mean exactly Δ below a fixed printed value, called reproduced (worst of all figures):"
    yield ""
    yield "| seeds | σ = 0.5 σ₀ | σ = σ₀ | σ = 1.5 σ₀ |"
    yield "|---|---|---|---|"
    for k in (1, 2, 3, 5, 10):
        shares = []
        for spread in (0.5, 1.0, 1.5):
            cells = [
                replace(cell, k=k, spread=spread, shift=-1.0, printed="fixed") for cell in CELLS.values()
            ]
            shares.append(max(simulate(cell, trials=trials)["reproduced"] for cell in cells))
        yield f"| {k} | {' | '.join(map(_percent, shares))} |"


def _typical(trials: int) -> Iterator[str]:
    cell = CELLS["r4-seg-a"]
    yield f"What an honest report of mIoU {cell.mean} gets:"
    yield ""
    yield f"| true spread | seeds | {' | '.join(NUMBER_GRADES)} |"
    yield f"|---|---|{'---|' * len(NUMBER_GRADES)}"
    for spread in (1.0, 1.5):
        for k in (1, 3, 5, 10):
            shares = simulate(replace(cell, k=k, spread=spread), trials=trials)
            yield f"| {spread} σ₀ | {k} | {' | '.join(_percent(shares[grade]) for grade in NUMBER_GRADES)} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    print(tables())
