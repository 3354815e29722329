"""Settings A to E across reports: one matrix a report, printed differences beside one analysis of our runs.

A: no pre-training; B: supervised; C: self-supervised; each with the whole network trained. D and E: as B and
C, with the backbone frozen. Three reports rank them, and disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from bench.audit.ordering_findings import USUAL_DISAGREEMENT, gap, telling_share
from bench.claims.claim import Claim, Ledger
from bench.grading import improvement, relevance
from bench.grading.groups import Group, Runs
from bench.grading.measured import per_image
from bench.pages.markdown import pipe_table, plain
from bench.pages.wording import named
from bench.runs.records import Record

SETTINGS = {
    "A": "no pre-training, whole network",
    "B": "supervised backbone, whole network",
    "C": "self-supervised backbone, whole network",
    "D": "supervised backbone, frozen",
    "E": "self-supervised backbone, frozen",
}

HOW_TO_READ = """\
## Settings A to E across reports

Three reports pre-train a ResNet50, fine-tune it on Office-Home in five settings, and rank these differently.
Below there is one matrix a report, its ten pairs together.

Above the diagonal stands what is **printed**: the setting of the row minus that of the column, in points of
accuracy, and in brackets the share of images on which the two networks may disagree before one split of 406
images could not tell them apart (exact McNemar). Networks like these disagree on 15 % and more of the images,
so that a pair with less in brackets is not distinguishable, whatever was printed.

Below the diagonal stands what **our runs** on the report's data give: the probability that a new run of the
setting of the row beats a new run of that of the column, with a 95 % interval from a stratified bootstrap
over the seeds. Runs on other data, or scaled down, are rehearsals; what they show is one line under the
matrix.

[What others got](others.md) counts how many other reports print each order.
"""


def settings_part(ledgers: Sequence[Ledger], runs: Runs, folder: Path) -> str:
    """One matrix a report that prints the settings, with a sentence of what it shows."""
    claims = {claim.id: claim for ledger in ledgers for claim in ledger.claims}
    parts = [HOW_TO_READ, "\n".join(f"- **{name}**: {what}" for name, what in SETTINGS.items())]
    for report in sorted({claim.report for claim in claims.values()}):
        printed = {name: claims.get(f"{report}-finetune-{name.lower()}") for name in SETTINGS}
        there = {name: claim for name, claim in printed.items() if claim is not None}
        if len(there) > 1:
            parts += [f"## Settings A to E: {report.upper()}", _sentence(report, there)]
            parts += [_matrix(there, _deciding(there, runs, folder))]
            line = _rehearsed(there, runs, folder)
            parts += [line] if line else []
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _sentence(report: str, printed: Mapping[str, Claim]) -> str:
    """What the printed figures say, and how many pairs one split cannot tell apart."""
    order = sorted(printed, key=lambda name: -printed[name].fraction)
    shares = [telling_share(printed[a], printed[b]) for a, b in combinations(order, 2)]
    known = [share for share in shares if share is not None]
    close = sum(share < USUAL_DISAGREEMENT for share in known)
    return (
        f"**{report.upper()} prints {' > '.join(order)}. One split of images cannot tell {close} of its"
        f" {len(known)} pairs apart.**"
    )


def _matrix(printed: Mapping[str, Claim], figures: Mapping[str, Sequence[float]]) -> str:
    """Printed differences above the diagonal, probabilities of improvement below it."""
    ours = improvement.matrix(figures)
    names = list(printed)
    rows = []
    for i, row in enumerate(names):
        cells = []
        for j, column in enumerate(names):
            if i == j:
                cells.append(f"**{printed[row].value}**")
            elif i < j:
                cells.append(_difference(printed[row], printed[column]))
            else:
                pair = ours.get((row, column))
                cells.append("not tested" if pair is None else improvement.told(pair))
        rows.append([f"**{row}**", *cells])
    return pipe_table(["", *names], rows)


def _difference(first: Claim, second: Claim) -> str:
    """``"+6.9 (50 %)"``: points, and up to which share of disagreeing images they are telling."""
    apart = gap(first, second)
    if apart is None:
        return "–"
    share = telling_share(first, second)
    return apart.points if share is None else f"{apart.points} ({100 * share:.0f} %)"


def _deciding(printed: Mapping[str, Claim], runs: Runs, folder: Path) -> dict[str, list[float]]:
    """The figures of the runs that may decide, by setting; what did not learn takes no part."""
    figures: dict[str, list[float]] = {}
    for name, claim in printed.items():
        for group in runs.groups[str(claim.recipe)]:
            relevant = (
                group.counts_for(claim)
                and relevance.at_chance(group, runs.latest, lambda record: _learned(record, folder)) is None
            )
            if relevant:
                figures[name] = [v for record in group.counted if (v := record.metric("top1")) is not None]
                break
    return figures


def _rehearsed(printed: Mapping[str, Claim], runs: Runs, folder: Path) -> str:
    """One line a kind of rehearsal: mean accuracies in their order, the majority class among them."""
    kinds: dict[str, dict[str, Group]] = {}
    for name, claim in printed.items():
        for group in runs.groups[str(claim.recipe)]:
            if relevance.wrong_data(claim, group) is not None:
                kinds.setdefault(named(group), {}).setdefault(name, group)
    lines = []
    for kind, groups in kinds.items():
        if len(groups) < 2:
            continue
        means = {name: _mean(group) for name, group in groups.items()}
        unlearned = [
            name for name, group in groups.items() if not all(_learned(r, folder) for r in group.runs)
        ]
        order = ", ".join(f"{name} {mean:.3f}" for name, mean in sorted(means.items(), key=lambda m: -m[1]))
        chance = relevance.baseline(next(iter(groups.values())).runs[0])
        base = "" if chance is None else f"; the majority class has {chance:.3f}"
        did_not = f"; {', '.join(unlearned)} did not learn" if unlearned else ""
        seeds = min(len(group.runs) for group in groups.values())
        lines.append(
            f"*Rehearsed* on {kind}, {seeds} seed{'s' if seeds > 1 else ''}: {plain(order)}{base}{did_not}."
        )
    return "\n\n".join(lines)


def _learned(record: Record, folder: Path) -> bool:
    return relevance.learned(record, lambda r: per_image(r, folder))


def _mean(group: Group) -> float:
    values = [v for record in group.runs if (v := record.metric("top1")) is not None]
    return sum(values) / len(values) if values else float("nan")
