"""What a grade did not count: runs of an earlier recipe, seeds that are not there, an empty folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.grading.groups import Group, Runs
from bench.runs.records import Record


def lines(folder: Path, run_records: Sequence[Record], claims: Collection[str]) -> list[str]:
    """One line for each thing that the graded claims lack.

    Args:
        found: the readable records under ``folder``.
        claims: ids of the claims that were graded.
    """
    if not run_records:
        return [f"{folder}: holds no records"]
    by_id = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}
    slugs = dict.fromkeys(slug for name in claims if name in by_id for slug in _recipes(by_id[name], by_id))
    runs = Runs(run_records)
    told: list[str] = []
    for slug in slugs:
        earlier = [r for r in run_records if r.slug == slug and r.status == "ok" and not runs.counts(r)]
        if earlier and not runs.groups.get(slug):
            told.append(_earlier(slug, earlier))
        told += [line for group in runs.groups.get(slug, ()) for line in _missing_seeds(group)]
    return told


def _recipes(claim: Claim, by_id: dict[str, Claim]) -> Iterable[str]:
    """The recipes whose runs a claim rests on."""
    members = (by_id[name].recipe for name in claim.order if name in by_id)
    named = (claim.recipe, *claim.order_recipes, *claim.difference_of, *members)
    return (slug for slug in named if slug is not None)


def _earlier(slug: str, earlier: Sequence[Record]) -> str:
    tiers = ", ".join(sorted({record.tier for record in earlier}))
    runs = "1 run is" if len(earlier) == 1 else f"{len(earlier)} runs are"
    return (
        f"{slug}: {runs} there ({tiers} tier), of an earlier recipe or an earlier start, and not counted;"
        f" run the present one: bench run {slug} --tier {earlier[-1].tier}"
    )


def _missing_seeds(group: Group) -> list[str]:
    """Seeds are 0, 1, 2, …: one below the highest that has no finished run was lost, failed or left out."""
    seeds = {record.seed for record in group.runs}
    missing = sorted(set(range(max(seeds))) - seeds)
    if not missing:
        return []
    which = f"seed{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
    there = ", ".join(map(str, sorted(seeds)))
    return [f"{group.slug} ({group.named}): no finished run of {which}; counted are seeds {there}"]
