"""Settings A to E across reports: for each pair who says what, whether one split could tell, what runs say.

A: no pre-training; B: supervised; C: self-supervised; each with the whole network trained. D and E: as B and
C, with the backbone frozen. Three reports rank them, and disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from bench.audit.ordering_findings import gap
from bench.claims.claim import Claim, Ledger
from bench.grading import orderings, statistics
from bench.grading.groups import Group, Runs, comparable
from bench.grading.measured import per_image
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import named

SETTINGS = {
    "A": "no pre-training, whole network",
    "B": "supervised backbone, whole network",
    "C": "self-supervised backbone, whole network",
    "D": "supervised backbone, frozen",
    "E": "self-supervised backbone, frozen",
}

HOW_TO_READ = """\
# Settings A to E across reports

Three reports pre-train a ResNet50, fine-tune it on Office-Home in five settings, and rank these differently.

**Printed** is the first setting minus the second, in points of accuracy. **z** is the unpaired one, of two
accuracies on 406 images each: below 1.96 one split cannot tell such settings apart, whatever was printed.
**Our runs** are of the same report's recipes, the setting printed higher coming first: paired over three or
more seeds, or by McNemar's exact test over the images that two single runs share. Runs on synthetic or
stand-in data say nothing of the reports' accuracies. [What others got](others.md) counts how many other
reports print each order.
"""


def page(ledgers: Sequence[Ledger], runs: Runs, folder: Path) -> str:
    """Every pair of settings, a table each."""
    claims = {claim.id: claim for ledger in ledgers for claim in ledger.claims}
    parts = [HOW_TO_READ, "\n".join(f"- **{name}**: {what}" for name, what in SETTINGS.items())]
    for first, second in combinations(SETTINGS, 2):
        rows = list(_rows(first, second, claims, runs, folder))
        if rows:
            parts += [
                f"## {first} and {second}",
                pipe_table(["report", "printed", "z", "one split could tell", "our runs"], rows),
            ]
    reports = sorted({claim.report for claim in claims.values()})
    against = [row for report in reports for row in _against_majority(report, runs)]
    if against:
        parts += [
            "## Each setting and the majority class",
            "Top-1 of our runs less that of always answering the class most frequent in training.",
            pipe_table(["report", "setting", "our runs"], against),
        ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _against_majority(report: str, runs: Runs) -> Iterator[list[str]]:
    for name in SETTINGS:
        said = []
        for group in runs.groups[f"{report}-finetune-{name.lower()}"]:
            figures = [value if (value := r.metric("top1")) is not None else math.nan for r in group.runs]
            chance = [float(r.metrics[r.selected]["majority"]) for r in group.runs]
            sentence = orderings.grade_ordering(figures, chance).sentence
            if len(figures) == 1:
                sentence = f"1 seed: {figures[0] - chance[0]:+.4f}, which one seed gives no spread of"
            said.append(f"{plain(sentence)}; *{named(group)}*")
        if said:
            yield [report.upper(), name, "<br>".join(said)]


def _rows(
    first: str, second: str, claims: Mapping[str, Claim], runs: Runs, folder: Path
) -> Iterator[list[str]]:
    for report in sorted({claim.report for claim in claims.values()}):
        one, two = (claims.get(f"{report}-finetune-{name.lower()}") for name in (first, second))
        if one is None or two is None or (apart := gap(one, two)) is None:
            continue
        higher, lower = (one, two) if apart.difference >= 0 else (two, one)
        order = (first, second) if apart.difference >= 0 else (second, first)
        yield [
            report.upper(),
            f"{apart.points} ({' > '.join(order)})",
            f"{apart.z:+.2f}".replace("-", "−"),
            "yes" if abs(apart.z) >= statistics.Z_95 else f"no (needs {100 * apart.resolved:.1f})",
            "<br>".join(_say(str(higher.recipe), str(lower.recipe), runs, folder)) or "–",
        ]


def _say(higher: str, lower: str, runs: Runs, folder: Path) -> Iterator[str]:
    """One line for each kind of runs that both recipes have."""
    for group in runs.groups[higher]:
        for other in runs.groups[lower]:
            if comparable(group, other):
                yield _compared(group, other, folder)
                break


def _compared(group: Group, other: Group, folder: Path) -> str:
    """Grade and figures of "``group`` is the better one"."""
    seeds = sorted({r.seed for r in group.runs} & {r.seed for r in other.runs})
    if not seeds:
        return f"no seed in common; {named(group)}"
    pairs = [next(r for r in side.runs if r.seed == seed) for side in (group, other) for seed in seeds]
    if len(seeds) == 1:
        images = [per_image(record, folder) for record in pairs]
        if images[0] is not None and images[1] is not None and images[0].ids == images[1].ids:
            verdict = orderings.grade_ordering_single(images[0].correct.tolist(), images[1].correct.tolist())
            return f"**{verdict.grade}**: {plain(verdict.sentence)}; *{named(group)}*"
    values = [record.metric("top1") for record in pairs]
    figures = [float("nan") if value is None else value for value in values]
    verdict = orderings.grade_ordering(figures[: len(seeds)], figures[len(seeds) :])
    return f"**{verdict.grade}**: {plain(verdict.sentence)}; *{named(group)}*"
