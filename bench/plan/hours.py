"""Plan what settles the claims: hours of each recipe, from measured throughput if there is any.

A recipe that several claims need counts once, and a recipe that starts from another's run comes after it.
Torch is imported only to count the cost of a network that nobody has measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.claims.claim import DECIDED_BY_RUNS, Claim
from bench.runs import provenance, tiers
from bench.runs.answer_cache import AnswerCache
from bench.runs.records import Record
from bench.throughput.results import Result, Timing
from reference.outside import is_import_path
from reference.recipes.recipe import Recipe
from reference.schedules import steps_before

NIGHT_HOURS, THREE_SEEDS_HOURS = 8.0, 24.0

STATED_GPU = "NVIDIA H200"
# FLOP/s of a large product there, and the share of it that a training step reaches: our targets for
# BYOL, FCN32s and DeepLabV3 are 18, 41 and 35 % of the first; the second has no tensor cores to lose.
STATED_CEILINGS = {"bfloat16": 790e12, "float32": 51e12}
STATED_SHARES = {"bfloat16": 0.2, "float32": 0.5}

FORWARD_SHARE = 1 / 3
"""An evaluated image costs a third of a trained one: a backward pass is twice a forward one."""

RUN = "run:"


@dataclass(frozen=True)
class Basis:
    """The source of all rates: one machine and one number format, since hours of two do not add up.

    Attributes:
        gpu: the machine's GPU, or its processor if it has none.
        result: its measured throughput, if any.
        records: runs of any machine; only those of this device count.
        counted: FLOPs of networks that were counted before.
    """

    gpu: str
    dtype: str
    result: Result | None = None
    records: Sequence[Record] = field(default=())
    counted: AnswerCache | None = None

    @classmethod
    def of(cls, result: Result | None, dtype: str, records: Sequence[Record]) -> Basis:
        if result is None:
            return cls(STATED_GPU, dtype, None, records)
        return cls(result.machine["gpu"] or result.machine["cpu"], dtype, result, records)


def counted_before(folder: Path | None = None) -> AnswerCache:
    """Return the FLOPs of our networks that are kept on disk for the present code."""
    counter = provenance.bench_hash(("runs/cost.py",))
    code = {"reference": provenance.reference_hash(), "counter": counter, "torch": version("torch")}
    return AnswerCache("flops", code, folder)


def of_a_gpu(results: Iterable[Result]) -> Result | None:
    """Return the first result of a machine with a GPU: the plan is for it if no GPU is named."""
    return next((result for result in results if result.machine["gpu"]), None)


@dataclass(frozen=True)
class Price:
    """Training images a second, or None if nothing is known, and the source of the figure."""

    rate: float | None
    source: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recipe of a plan, in the order in which to run them.

    Attributes:
        images: training images over all epochs; ``evaluated``: validation images over all epochs.
        hours: hours of one seed; None if nothing is known.
        settles: claims that can be graded once this job and all before it have run.
    """

    recipe: Recipe
    images: int
    evaluated: int
    price: Price
    hours: float | None
    settles: tuple[str, ...]


# ---------------------------------------------------------------- what a recipe costs


def price(recipe: Recipe, basis: Basis) -> Price:
    """Take the rate from runs of this network, else its timings, else its family's, else its FLOPs."""
    runs = [r for r in basis.records if _is_run_of(r, recipe, basis)]
    if runs:
        rate = statistics.median(r.throughput["samples_per_second"] for r in runs)
        return Price(rate, f"measured: {len(runs)} run{'s' if len(runs) > 1 else ''}")
    rows = _training_rows(basis)
    exact = [row for row in rows if _network_of(row.settings) == _network_of(vars(recipe))]
    if exact:
        best = max(exact, key=lambda row: row.median)
        return Price(best.median, f"measured: {best.work}")
    flops = _training_flops(recipe, basis)
    if flops is None:
        return Price(None, "no estimate: not a network whose products can be counted")
    family = [row for row in rows if row.settings["model"] == recipe.model and row.flops]
    if family:
        best = max(family, key=lambda row: row.median * (row.flops or 0))
        return Price(best.median * (best.flops or 0) / flops, f"estimated: FLOPs as {best.work}")
    ceiling, share, basis_text = _typical(basis, rows)
    return Price(ceiling * share / flops, f"estimated: {share:.0%} of {basis_text}")


def _is_run_of(record: Record, recipe: Recipe, basis: Basis) -> bool:
    return (
        record.status == "ok"
        and record.throughput.get("samples_per_second", 0) > 0
        and record.provenance.get("device") == basis.gpu
        and record.provenance.get("world_size", 1) == 1  # otherwise the rate is that of several devices
        and record.numerics.get("dtype", "float32") == basis.dtype
        and record.recipe.get("task") == recipe.task
        and _network_of(record.recipe) == _network_of(vars(recipe))
    )


def _network_of(settings: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the settings that decide the cost of a step, which the number of classes does not."""
    args = tuple(sorted((str(name), value) for name, value in settings.get("model_args", ())))
    return settings["model"], settings["image_size"], settings["width"], args


def _training_rows(basis: Basis) -> list[Timing]:
    """Return our timed training steps in the plan's number format on the plan's device."""
    if basis.result is None:
        return []
    device = "cuda" if basis.result.machine["gpu"] else "cpu"
    return [
        row
        for row in basis.result.rows
        if row.is_ours
        and row.settings.get("pass") == "train"
        and (row.settings["device"], row.settings["dtype"]) == (device, basis.dtype)
    ]


def _training_flops(recipe: Recipe, basis: Basis) -> float | None:
    """Return the FLOPs of training on one image: from a record, from ``predictions``, or counted."""
    for record in basis.records:
        counted = record.throughput.get("training_flops_per_sample")
        if counted and _network_of(record.recipe) == _network_of(vars(recipe)):
            return counted
    from bench.plan import predictions

    if (prediction := predictions.of_recipe(recipe, basis.dtype)) is not None:
        return prediction.flops / prediction.batch
    from bench.claims.model_names import model_builders

    if recipe.model not in model_builders() and not is_import_path(recipe.model):
        return None
    if basis.counted is None or is_import_path(recipe.model):  # a user's own network: its code may change
        return _counted_flops(recipe)
    question = repr((recipe.model, recipe.num_classes, recipe.image_size, recipe.width, recipe.model_args))
    flops: float = basis.counted.answer(question, partial(_counted_flops, recipe))
    return flops


def _counted_flops(recipe: Recipe) -> float:
    from bench.runs import cost

    return cost.of_network(
        recipe.model,
        num_classes=recipe.num_classes,
        image_size=recipe.image_size,
        width=recipe.width,
        model_args=dict(recipe.model_args),
    ).training_flops


def _typical(basis: Basis, rows: Sequence[Timing]) -> tuple[float, float, str]:
    """Return a ceiling in FLOP/s, the share of it that training usually reaches, and both in words."""
    from bench.throughput.results import place

    measured = [row for row in rows if row.flops]
    if measured and basis.result is not None:
        machine = place(measured[0].settings)
        ceiling = basis.result.ceilings.get(machine, {}).get(basis.dtype)
        if ceiling:
            shares = [row.median * (row.flops or 0) / ceiling for row in measured]
            return ceiling, statistics.median(shares), f"{ceiling / 1e12:.3g} TFLOP/s, both measured"
    if not measured and basis.result is not None and basis.result.ceilings:
        ceiling = max(limits[basis.dtype] for limits in basis.result.ceilings.values())
        return ceiling, STATED_SHARES[basis.dtype], f"{ceiling / 1e12:.3g} TFLOP/s, measured"
    ceiling = STATED_CEILINGS[basis.dtype]
    return ceiling, STATED_SHARES[basis.dtype], f"{ceiling / 1e12:.3g} TFLOP/s ({STATED_GPU}, stated)"


def image_counts(recipe: Recipe, tier: str, *, drawn: bool = False) -> tuple[int, int]:
    """Return the numbers of training and validation images, of official or of drawn data.

    Smoke tier uses drawn data. ``drawn``: so does this recipe, since its claims are about drawn data.
    """
    from reference.data import DRAWN, OFFICIAL_COUNTS, mnist1d, own, synthetic

    if recipe.data in DRAWN:
        return mnist1d.TRAIN, mnist1d.SIGNALS - mnist1d.TRAIN
    if is_import_path(recipe.data):
        dataset = own.open_own(recipe.data, image_size=recipe.image_size)
        return len(dataset.train), len(dataset.val)
    official = OFFICIAL_COUNTS[recipe.data]
    own_rate = tier == "smoke" or drawn
    return synthetic.COUNTS[recipe.data] if own_rate else (official["train"], official["val"])


def _trained(recipe: Recipe, train: int) -> int:
    """Return the training samples over all steps."""
    if recipe.eval_steps:
        return steps_before(recipe, train, recipe.epochs) * recipe.batch_size
    return recipe.epochs * train


# ---------------------------------------------------------------- in which order


def needs(claim: Claim, claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """Return the recipes whose runs settle a claim; none if no run settles it."""
    if claim.kind not in DECIDED_BY_RUNS or claim.illegible:
        return ()
    if claim.order:
        return tuple(claims[name].recipe or name if name in claims else name for name in claim.order)
    if several := claim.order_recipes or claim.difference_of or claim.ratio_of:
        return several
    return (claim.recipe,) if claim.recipe else ()


def _on_drawn_data(claims: Mapping[str, Claim]) -> set[str]:
    """Return the recipes that only claims on synthetic data need."""
    sources: dict[str, set[str]] = {}
    for claim in claims.values():
        for slug in needs(claim, claims):
            sources.setdefault(slug, set()).add(claim.source)
    return {slug for slug, kinds in sources.items() if kinds == {"synthetic"}}


def plan(
    recipes: Mapping[str, Recipe],
    claims: Iterable[Claim],
    basis: Basis,
    *,
    tier: str = "full",
    counts: Mapping[str, tuple[int, int]] | None = None,
) -> list[Job]:
    """Order all recipes with their hours so that those that settle most claims an hour come first.

    A step of the plan adds the recipes that a claim still needs, with the runs that they start from. The next
    step is always the one that settles most new claims an hour. Recipes that settle nothing come last, and
    those without an estimate after all others.

    Args:
        counts: training and validation images by recipe; by default those of ``image_counts``.
    """
    by_id = {claim.id: claim for claim in claims}
    scaled = {slug: tiers.TIERS[tier](recipe) for slug, recipe in recipes.items()}
    prices = {slug: price(recipe, basis) for slug, recipe in scaled.items()}
    drawn, images = _on_drawn_data(by_id), {}
    for slug, recipe in scaled.items():
        own_counts = None if counts is None else counts[slug]
        train, val = own_counts or image_counts(recipe, tier, drawn=slug in drawn)
        scored = val + train if recipe.score_train else val
        images[slug] = _trained(recipe, train), recipe.epochs * scored
    hours = {slug: _hours(images[slug], prices[slug]) for slug in recipes}
    wanted = {claim.id: with_starts(needs(claim, by_id), recipes) for claim in by_id.values()}
    wanted = {name: slugs for name, slugs in wanted.items() if slugs}
    ordered: list[str] = []
    settles: dict[str, tuple[str, ...]] = {}
    while wanted:
        steps = {tuple(slug for slug in slugs if slug not in ordered) for slugs in wanted.values()}
        ordered += min(steps, key=partial(_standing, ordered=ordered, wanted=wanted, hours=hours))
        done = [name for name, slugs in wanted.items() if set(slugs) <= set(ordered)]
        settles[ordered[-1]] = tuple(done)
        wanted = {name: slugs for name, slugs in wanted.items() if name not in done}
    rest = sorted(set(recipes) - set(ordered), key=lambda slug: (_known(hours[slug]), slug))
    for slug in rest:
        ordered += [s for s in with_starts((slug,), recipes) if s not in ordered]
    return [
        Job(
            recipe=scaled[slug],
            images=images[slug][0],
            evaluated=images[slug][1],
            price=prices[slug],
            hours=hours[slug],
            settles=settles.get(slug, ()),
        )
        for slug in ordered
    ]


def _standing(
    step: tuple[str, ...],
    *,
    ordered: Sequence[str],
    wanted: Mapping[str, Sequence[str]],
    hours: Mapping[str, float | None],
) -> tuple[float, float, tuple[str, ...]]:
    """Return the sort key of a step: most claims an hour, then least hours, then names."""
    gained = sum(set(slugs) <= {*ordered, *step} for slugs in wanted.values())
    cost = sum(_known(hours[slug]) for slug in step)
    return -gained / cost if cost else -math.inf, cost, step


def seed_hours(recipe: Recipe, basis: Basis) -> float | None:
    """Hours of one seed of a recipe at full tier, on the official counts; None where nothing tells."""
    scaled = tiers.TIERS["full"](recipe)
    train, val = image_counts(scaled, "full")
    scored = val + train if scaled.score_train else val
    return _hours((_trained(scaled, train), scaled.epochs * scored), price(scaled, basis))


def _hours(images: tuple[int, int], price: Price) -> float | None:
    trained, evaluated = images
    return None if price.rate is None else (trained + FORWARD_SHARE * evaluated) / price.rate / 3600


def _known(hours: float | None) -> float:
    """Return the hours; infinite without an estimate, so that such a recipe comes last."""
    return 1e9 if hours is None else hours


def with_starts(slugs: Sequence[str], recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Return the recipes, each after the runs that it starts from; none if one of them does not exist."""
    missing: list[str] = []
    for slug in slugs:
        chain = [slug]
        while chain[-1] in recipes and recipes[chain[-1]].init.startswith(RUN):
            chain.append(recipes[chain[-1]].init.removeprefix(RUN))
            if chain.count(chain[-1]) > 1:
                return ()
        if any(name not in recipes for name in chain):
            return ()
        missing += [name for name in reversed(chain) if name not in missing]
    return tuple(missing)


def seeds_to_settle(claim: Claim) -> int | None:
    """Return how many seeds decide a claim if our mean is the printed value.

    None if no number of seeds can.
    """
    from bench.grading import numbers, spread, verdict

    if claim.kind in ("ordering", "process", "timing"):
        return verdict.MIN_SEEDS
    if claim.kind != "number" or claim.value is None:
        return 1
    metric = (claim.metric_name or "").removeprefix("delta_")
    graded = metric == "miou" or metric.startswith("iou_") or (metric == "top1" and claim.n)
    if not graded:
        return 1
    value, delta = float(claim.fraction), float(claim.half_step)
    level = 0.5 if claim.difference_of else value
    expected = spread.expected_spread(metric, claim.n, level)
    usual = abs(value) if claim.difference_of else float(spread.margin(metric, claim.n, value, delta))
    allowed = float(claim.margin) if claim.margin is not None else usual
    return numbers.from_seeds(
        expected, sides=2 if claim.difference_of else 1, delta=delta, margin=max(allowed, delta)
    )


# ---------------------------------------------------------------- as a table


def decided_on_public_originals(claim: Claim) -> bool:
    """Return whether a claim may rest on public originals and ``bench data prepare`` makes its data."""
    from reference.data.originals import ORIGINALS

    return claim.may_rest_on_public_originals and claim.data in ORIGINALS


def plan_rows(
    jobs: Sequence[Job], claims: Iterable[Claim], *, seeds: int, budget: float | None
) -> list[dict[str, Any]]:
    """Return one row a job; with a budget in hours, each row says whether the plan up to it fits.

    ``seeds needed`` is the most that a claim settled there needs, however many ``seeds`` are planned.
    """
    needed = {claim.id: seeds_to_settle(claim) for claim in claims}
    table, total = [], 0.0
    for job in jobs:
        total += seeds * (job.hours or 0)
        row: dict[str, Any] = {
            "recipe": job.recipe.slug,
            "after": job.recipe.init.removeprefix(RUN) if job.recipe.init.startswith(RUN) else None,
            "images": job.images,
            "images/s": None if job.price.rate is None else _digits(job.price.rate),
            "from": job.price.source,
            "hours a seed": None if job.hours is None else _digits(job.hours),
            "hours so far": _digits(total),
        }
        if budget is not None:
            row["fits"] = "?" if job.hours is None else "yes" if total <= budget else "no"
        most = max((needed[name] or 0 for name in job.settles), default=None)
        table.append(row | {"seeds needed": most, "settles": list(job.settles)})
    return table


def brief(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows narrow enough for a terminal: a word for the source of a rate, a count of claims."""
    return [{**row, "from": row["from"].partition(":")[0], "settles": len(row["settles"])} for row in table]


def closing(jobs: Sequence[Job], claims: Sequence[Claim], basis: Basis, *, tier: str) -> list[str]:
    """Return the totals of the table in lines."""
    by_id = {claim.id: claim for claim in claims}
    asked = [claim.id for claim in claims if needs(claim, by_id)]
    settled = {name for job in jobs for name in job.settles}
    total = sum(job.hours or 0 for job in jobs)
    sources = [job.price.source.partition(":")[0] for job in jobs]
    told = [f"{sources.count(kind)} {kind}" for kind in dict.fromkeys(sources)]
    counts = "the drawn data's counts" if tier == "smoke" else "official counts"
    counts += ", drawn data's where claims are about it" if tier != "smoke" and _on_drawn_data(by_id) else ""
    lines = [f"On one {basis.gpu}, {basis.dtype}, {tier} tier, {counts}; rates: {', '.join(told)}."]
    lines += [f"No estimate, so not in the hours: {job.recipe.slug}." for job in jobs if job.hours is None]
    left = len(asked) - len(settled)
    if left:
        lines.append(f"{left} of {len(asked)} claims that runs would settle name a recipe that is not here.")
    lines += [f"Rates {source}." for source in sorted({job.price.source for job in jobs if job.price.rate})]
    if tier != "smoke" and (public := sum(decided_on_public_originals(by_id[name]) for name in settled)):
        lines.append(
            f"Testable on public originals too, another split: {public} of these claims"
            " (bench data prepare ROLE --from DIR)."
        )
    night = "fits" if total <= NIGHT_HOURS else "does not fit"
    three = "fit" if 3 * total <= THREE_SEEDS_HOURS else "do not fit"
    lines.append(
        f"{len(settled)} claims at one seed: {total:.1f} h, which {night} one night ({NIGHT_HOURS:g} h);"
        f" three seeds: {3 * total:.1f} h, which {three} {THREE_SEEDS_HOURS:g} h."
    )
    return lines


def _digits(value: float) -> float:
    """Format a number with three digits."""
    return float(f"{value:.3g}")
