"""What the reports' gains are made of: the page of the ablations, every difference with its interval.

R4 changes backbone and head at once; its 2×2 tells them apart, with their interaction. R2 names seven steps
from its FCN32s to its FCN8s; each is undone, or done, by itself. The rest are remarks that a run tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.claims.claim import Claim, Ledger
from bench.grading import orderings, statistics
from bench.grading.groups import Group, Runs, comparable
from bench.grading.measured import measure
from bench.grading.orderings import Contrast
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import digits, figure_text, named, span
from bench.runs import tiers
from bench.runs.records import Record
from reference.recipes import RECIPES

HOW_TO_READ = """\
## Ablations

The reports name what their gains are due to; here one thing at a time is changed.

A **difference** is of means over seeds, with its 95 % interval (Student's t with one variance for all
recipes of the line); a single seed of each has none. **p** is two-sided, and beside it stands p after Holm's
adjustment over the lines of the same table: of seven steps that do nothing one would otherwise look like a
gain in a third of such tables. **Printed** is the report's own difference, where it prints one. Runs on
synthetic or stand-in data, or at a smaller tier, are rehearsals: they say nothing about the reports'
figures.
"""


DECIDED = 0.05


@dataclass(frozen=True)
class Step:
    """A change and the recipes with and without it: a sum of their figures with these weights.

    Attributes:
        claim: of the difference, where the report prints one; else it follows from the recipes' own figures.
    """

    name: str
    weights: Mapping[str, float]
    claim: str | None = None


def _change(name: str, after: str, before: str, claim: str | None = None) -> Step:
    return Step(name, {after: 1.0, before: -1.0}, claim)


@dataclass(frozen=True)
class AblationTable:
    """Steps that belong together; ``grid`` holds the recipes of a table with two ways, by row and column."""

    heading: str
    metric: str
    steps: tuple[Step, ...]
    grid: Mapping[str, Mapping[str, str]] | None = None


_R34_32, _V16_8 = "ablation-resnet34-fcn32s", "ablation-vgg16-fcn8s"

TABLES: tuple[AblationTable, ...] = (
    AblationTable(
        "R4: is the gain the ResNet's or FCN8's? (r4:438)",
        "miou",
        (
            _change("both, as R4 compares them", "r4-seg-b", "r4-seg-a"),
            Step(
                "ResNet34 for VGG16 (mean over heads)",
                {"r4-seg-b": 0.5, _R34_32: 0.5, _V16_8: -0.5, "r4-seg-a": -0.5},
            ),
            Step(
                "FCN8s for FCN32s (mean over backbones)",
                {"r4-seg-b": 0.5, _V16_8: 0.5, _R34_32: -0.5, "r4-seg-a": -0.5},
            ),
            Step(
                "interaction: what the skips gain with ResNet34 less what they gain with VGG16",
                {"r4-seg-b": 1.0, _R34_32: -1.0, _V16_8: -1.0, "r4-seg-a": 1.0},
            ),
        ),
        grid={
            "VGG16": {"FCN32s": "r4-seg-a", "FCN8s": _V16_8},
            "ResNet34": {"FCN32s": _R34_32, "FCN8s": "r4-seg-b"},
        },
    ),
    AblationTable(
        "R2: the improvement taken apart (r2:265-275)",
        "miou",
        (
            _change("all seven, as R2 compares them", "r2-seg-b", "r2-seg-a"),
            _change("BatchNorm in the backbone", "r2-seg-b", "ablation-r2-seg-b-no-batch-norm"),
            _change("pool3 and pool4", "r2-seg-b", "ablation-r2-seg-b-no-skips"),
            _change("padding 1 for 100, and so no crop", "ablation-fcn32s-no-padding", "r2-seg-a"),
            _change("normalised images", "r2-seg-b", "ablation-r2-seg-b-no-normalisation"),
            _change(
                "focal loss for cross-entropy", "r2-seg-b", "ablation-r2-seg-b-cross-entropy", "r2-focal-gain"
            ),
            _change("SGD after Adam", "r2-seg-b", "r2-seg-b-adam", "r2-sgd-gain"),
        ),
    ),
    AblationTable(
        "Three losses on one network: R3's DeepLabV3",
        "miou",
        (
            _change("Poly-1 for cross-entropy", "r3-seg-b", "ablation-r3-seg-b-cross-entropy"),
            _change(
                "focal loss for cross-entropy", "ablation-r3-seg-b-focal", "ablation-r3-seg-b-cross-entropy"
            ),
            _change("Poly-1 for focal loss", "r3-seg-b", "ablation-r3-seg-b-focal"),
        ),
    ),
    AblationTable(
        "Segmentation: flips, and unknown pixels",
        "miou",
        (
            _change("horizontal flips, R3's FCN32s", "ablation-r3-seg-a-flips", "r3-seg-a"),
            _change(
                "unknown pixels left out of the loss, R4's FCN8s",
                "ablation-r4-seg-b-ignore-unknown",
                "r4-seg-b",
            ),
        ),
    ),
    AblationTable(
        "R3's classifier B: depth, mixup, pretrained weights",
        "top1",
        (
            _change("ResNet152 for ResNet50", "r3-classify-b", "ablation-r3-classify-b-resnet50"),
            _change("ResNet152 for ResNet18", "r3-classify-b", "ablation-r3-classify-b-resnet18"),
            _change(
                "ResNet50 for ResNet18", "ablation-r3-classify-b-resnet50", "ablation-r3-classify-b-resnet18"
            ),
            _change(
                "mixup and soft labels for plain ones", "r3-classify-b", "ablation-r3-classify-b-no-mixup"
            ),
            _change(
                "ImageNet's weights for a fresh start", "r3-classify-b", "ablation-r3-classify-b-scratch"
            ),
        ),
    ),
)


def ablations_part(ledgers: Sequence[Ledger], runs: Runs) -> str:
    """Every table, once for each kind of runs that there are of it, with a sentence of what it shows."""
    claims = {claim.id: claim for ledger in ledgers for claim in ledger.claims}
    parts = [HOW_TO_READ]
    for table in TABLES:
        parts += [f"## {plain(table.heading)}"]
        kinds = list(_kinds(table, runs))
        for groups in kinds:
            parts += [f"### {_capital(named(next(iter(groups.values()))))}"]
            if table.grid is not None:
                parts += [_grid(table, table.grid, groups)]
            parts += [_sentence(table, groups), _steps(table, groups, claims)]
        if not kinds:
            parts += ["No runs yet."]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _kinds(table: AblationTable, runs: Runs) -> Iterator[dict[str, Group]]:
    """Groups that may be compared, by recipe: one dict for each kind of data, tier and numerics."""
    slugs = list(dict.fromkeys(slug for step in table.steps for slug in step.weights))
    taken: set[int] = set()
    for slug in slugs:
        for group in runs.groups[slug]:
            if id(group) in taken:
                continue
            groups_by_slug = {slug: group}
            for other in slugs:
                like = (g for g in runs.groups[other] if id(g) not in taken and comparable(group, g))
                match = groups_by_slug.get(other) or next(like, None)
                if match is not None:
                    groups_by_slug[other] = match
            taken |= {id(g) for g in groups_by_slug.values()}
            if any(step.weights.keys() <= groups_by_slug.keys() for step in table.steps):
                yield groups_by_slug


def _grid(table: AblationTable, grid: Mapping[str, Mapping[str, str]], groups: Mapping[str, Group]) -> str:
    columns = list(next(iter(grid.values())))
    rows = [[name, *(_cell(table.metric, groups.get(row[c])) for c in columns)] for name, row in grid.items()]
    return pipe_table(["", *columns], rows)


def _cell(metric: str, group: Group | None) -> str:
    return "–" if group is None else figure_text(measure(metric, group, None))


def _compared(
    table: AblationTable, groups: Mapping[str, Group]
) -> tuple[dict[str, Contrast], dict[str, str], dict[str, float]]:
    """By step what it changes, what must be known beside it, and its p after Holm's adjustment."""
    contrasts = {
        step.name: _contrast(table.metric, step, groups)
        for step in table.steps
        if step.weights.keys() <= groups.keys()
    }
    remarks = {step.name: _remark(step, groups) for step in table.steps if step.name in contrasts}
    tested = {
        name: contrast.p
        for name, contrast in contrasts.items()
        if contrast.p is not None and not remarks[name].startswith(_SAME)
    }
    return contrasts, remarks, dict(zip(tested, statistics.holm(list(tested.values())), strict=True))


def _sentence(table: AblationTable, groups: Mapping[str, Group]) -> str:
    """The largest change, and how many of the table's are told from zero."""
    contrasts, _, adjusted = _compared(table, groups)
    if not adjusted:
        return "**There are too few seeds to tell any change from zero.**"
    largest = max(adjusted, key=lambda name: abs(contrasts[name].mean))
    apart = sum(p < DECIDED for p in adjusted.values())
    return (
        f"**The largest change is {_signed(contrasts[largest].mean)}: {plain(largest)}. {apart} of"
        f" {len(adjusted)} changes can be told from zero.**"
    )


def _steps(table: AblationTable, groups: Mapping[str, Group], claims: Mapping[str, Claim]) -> str:
    contrasts, remarks, adjusted = _compared(table, groups)
    rows = []
    for step in table.steps:
        cells = ["–"] * 4 if step.name not in contrasts else _figures(contrasts[step.name])
        holm = f"{adjusted[step.name]:.2g}" if step.name in adjusted else "–"
        remark = plain(remarks.get(step.name, "not run"))
        rows.append([plain(step.name), _printed(step, claims), *cells, holm, remark])
    heads = ["change", "printed", "difference", "95 %", "seeds", "p", "Holm", "remark"]
    return pipe_table(heads, rows, right=(1, 2, 4, 5, 6))


def _contrast(metric: str, step: Step, groups: Mapping[str, Group]) -> Contrast:
    """The weighted sum of the means of the step's recipes."""
    figures = [
        [math.nan if (value := record.metric(metric)) is None else value for record in groups[slug].runs]
        for slug in step.weights
    ]
    return orderings.contrast(figures, list(step.weights.values()))


def _figures(contrast: Contrast) -> list[str]:
    interval = "–" if contrast.interval is None else span(contrast.interval, signed=True)
    p = "–" if contrast.p is None else f"{contrast.p:.2g}"
    return [_signed(contrast.mean), interval, str(contrast.seeds), p]


def _printed(step: Step, claims: Mapping[str, Claim]) -> str:
    """The report's own difference: as it says it, or of the figures that it prints."""
    if step.claim is not None:
        claim = claims[step.claim]
        return f"{'about ' if claim.approx else ''}{float(claim.fraction):+g}"
    of = [claims.get(slug) for slug in step.weights]
    if any(claim is None or claim.value is None for claim in of):
        return "–"
    return _signed(
        math.fsum(
            weight * float(claim.fraction)
            for claim, weight in zip(of, step.weights.values(), strict=True)
            if claim is not None
        )
    )


def _signed(value: float) -> str:
    return digits(value, 4, signed=True)


_SAME = "the same training"
_WORDS = {"slug", "title", "printed", "report", "assumptions", "mask_epochs", "mask_images", "embed_epochs"}


def _remark(step: Step, groups: Mapping[str, Group]) -> str:
    """Where a tier makes two recipes equal, or unequal in more than the step."""
    if len(step.weights) > 2:
        return ""
    after, before = (groups[slug].runs[0] for slug in step.weights)
    used = _unequal(after.recipe, before.recipe)
    if not used:
        return f"{_SAME} at {after.tier} tier, which has scaled the step away"
    printed = _unequal(*(_settings_as_printed(record) for record in (after, before)))
    more = sorted(used - printed)
    values_text = [f"{name} {_value(after, name)} and {_value(before, name)}" for name in more]
    return f"also unequal at {after.tier} tier: {', '.join(values_text)}" if values_text else ""


def _settings_as_printed(record: Record) -> dict[str, Any]:
    return vars(tiers.full(RECIPES[record.slug]))


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Names of the settings in which two recipes differ; a shorter schedule is ``epochs``."""
    names = {n for n in one if n not in _WORDS and n != "phases" and _plain(one[n]) != _plain(other.get(n))}
    first, second = (_phases(recipe) for recipe in (one, other))
    names |= {"epochs"} if sum(e for _, e in first) != sum(e for _, e in second) else set()
    return names | ({"optimiser"} if [p for p, _ in first] != [p for p, _ in second] else set())


def _phases(recipe: Mapping[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Each phase without its length, and its length."""
    phases = [p if isinstance(p, dict) else vars(p) for p in recipe["phases"]]
    return [
        ({k: v for k, v in p.items() if k not in ("epochs", "warmup_epochs")}, p["epochs"]) for p in phases
    ]


def _plain(value: Any) -> Any:
    """A tuple as JSON has it."""
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def _value(record: Record, name: str) -> object:
    return sum(e for _, e in _phases(record.recipe)) if name == "epochs" else record.recipe[name]


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
