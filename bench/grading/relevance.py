"""May these records decide this claim? Asked before any statistics.

Some runs say nothing about a report, however significant their figures are. The network did not learn. Both
sides of a comparison lost the setting that is compared. The data lack the class. The statement can come out
one way only. Each check answers with the reason (a key of ``NOT_TESTED_REASONS``) and the details, or with
None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from bench.claims.claim import Claim
from bench.claims.predicates import epochs_of, one_way, purity_ceiling
from bench.grading import statistics
from bench.grading.groups import Group
from bench.grading.measured import PerImage, image_interval, is_recipes_own
from bench.runs import records, tiers
from bench.runs.records import DID_NOT_LEARN, Record
from bench.runs.starts import DEFAULTS, WORDS
from reference.data.dataset import OFFICIAL_PALETTE
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

DECIDING_TIERS = ("gpu", "full")

EMBEDDED_IMAGES = 2000
"""Images that an embedding shows at most (``reference.training``)."""

NEAR_CHANCE = 1.05
"""A score per pixel whose run keeps no image-by-image results has to exceed the majority class's by this."""

NAMES = {"slug"} | WORDS
"""Fields in which two recipes may always differ."""


class Obstacle(NamedTuple):
    """Why records decide nothing: a key of ``NOT_TESTED_REASONS``, and what exactly."""

    reason: str
    detail: str


# (a) the claim's own data, at a tier that keeps the network -------------------------------------------


def wrong_data(claim: Claim, group: Group) -> Obstacle | None:
    """The data set and the tier: drawn, other or scaled-down runs are rehearsals."""
    if not group.is_about(claim):
        return Obstacle("data", f"it needs {claim.source} data; there are runs on {group.where}")
    if group.tier not in DECIDING_TIERS:
        return Obstacle("tier", f"there are runs at {group.tier} tier")
    return None


def deviates(group: Group) -> Obstacle | None:
    """Settings other than the recipe's, beyond what the tier itself shortens."""
    changed = [d["field"] for d in group.deviations if not d["why"].startswith(f"{group.tier} tier")]
    if changed:
        return Obstacle("deviation", f"the runs changed {', '.join(dict.fromkeys(changed))}")
    return None


# (b) what is compared ----------------------------------------------------------------------------------


def settings_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as JSON has it, flat: ``model_args.padding``, ``phases.lr`` … each by itself."""
    flat: dict[str, Any] = {}
    for name, value in {**DEFAULTS_AS_JSON, **recipe}.items():
        if name in NAMES:
            continue
        if name in ("model_args", "loss_args"):
            flat |= {f"{name}.{key}": argument for key, argument in value}
        elif name == "phases":
            keys = dict.fromkeys(key for phase in value for key in phase)
            flat |= {key: [phase.get(key) for phase in value] for key in keys}
        else:
            flat[name] = value
    return flat


def as_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a record holds it."""
    settings: dict[str, Any] = json.loads(records.canonical(tiers.as_dict(recipe)))
    return settings


DEFAULTS_AS_JSON: dict[str, Any] = json.loads(records.canonical(DEFAULTS))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """The settings in which two recipes differ; one that a side lacks differs too."""
    first, second = settings_of(one), settings_of(other)
    absent = object()
    return {name for name in {*first, *second} if first.get(name, absent) != second.get(name, absent)}


@lru_cache(maxsize=256)
def _differing_as_printed(one: str, other: str) -> frozenset[str]:
    return frozenset(differing(as_json(RECIPES[one]), as_json(RECIPES[other])))


def other_comparison(groups: Sequence[Group], factor: str | None = None) -> Obstacle | None:
    """Every setting in which the compared recipes differ as printed has to differ still, and no other.

    Args:
        factor: the setting that the claim is about, if it says so: that one has to differ in any case.
    """
    lost: set[str] = set()
    added: set[str] = set()
    for first, second in pairwise(groups):
        printed = _differing_as_printed(first.slug, second.slug) | ({factor} if factor else set())
        used = differing(first.runs[0].recipe, second.runs[0].recipe)
        lost |= printed - used
        added |= used - printed
    told = (
        [f"{', '.join(sorted(lost))} {'is' if len(lost) == 1 else 'are'} the same on both sides"]
        if lost
        else []
    )
    told += [f"{', '.join(sorted(added))} {'differs' if len(added) == 1 else 'differ'} too"] if added else []
    return Obstacle("settings", "; ".join(told)) if told else None


# (c) the class, by name --------------------------------------------------------------------------------


def lacks_class(claim: Claim, group: Group) -> Obstacle | None:
    """A claim about a class needs a class of that name: the same index in other data may be another class.

    Drawn images carry the palette's names over textures, so that they have no class of the report.
    """
    index = claim.class_index
    if index is None:
        return None
    names, wanted = group.runs[0].data["classes"], OFFICIAL_PALETTE.classes[index]
    if names[index : index + 1] != [wanted]:
        return Obstacle("class", f"class {index} is {wanted}, and the runs' data have no such class there")
    if group.source == "synthetic" and claim.source != "synthetic":
        return Obstacle("class", f"class {index} of drawn images is a texture and not {wanted}")
    return None


# (d) better than guessing ------------------------------------------------------------------------------


ImagesOf = Callable[[Record], PerImage | None]


def learned(record: Record, images_of: ImagesOf = lambda _: None) -> bool:
    """Whether a run is better than always answering the majority class, by its lower 95 % bound.

    Exact for what is counted in images (an accuracy, BYOL's nearest-neighbour probe), a bootstrap over the
    images for a mean IoU. A run without a baseline, such as automatic masks, learns nothing and passes.
    """
    entry = record.metrics.get(record.selected, {})
    metric, majority = entry.get("primary"), entry.get("majority")
    if metric is None or majority is None:
        return True
    value, counts = record.metric(metric), record.counts(metric)
    if value is None:
        return False
    if counts is not None and metric not in ("miou",):
        return bool(statistics.accuracy_interval(*counts)[0] > majority)
    if value <= NEAR_CHANCE * majority:
        return False
    images = images_of(record)
    try:
        interval, _ = image_interval(metric, record, lambda _: images)
    except InputError:  # so few images that no draw of them holds every class
        return True
    return interval is None or bool(interval[0] > majority)


def baseline(record: Record) -> float | None:
    """The same metric of always answering the majority class."""
    majority = record.metrics.get(record.selected, {}).get("majority")
    return None if majority is None else float(majority)


def stages(record: Record, finished: Iterable[Record]) -> list[Record | str]:
    """The runs that a run starts from, the nearest first; a name in place of one that is not recorded."""
    earlier: list[Record | str] = []
    finished_runs = list(finished)
    current: Record | None = record
    while current is not None and str(current.initial_weights["from"]).startswith("run:"):
        slug = str(current.initial_weights["from"]).removeprefix("run:")
        wanted = current.initial_weights.get("run_id")
        seed, tier, source = current.seed, current.tier, current.data["source"]
        before = [
            r
            for r in finished_runs
            if r.slug == slug
            and (r.run_id == wanted if wanted else (r.seed, r.tier, r.data["source"]) == (seed, tier, source))
        ]
        earlier.append(before[-1] if before else slug)
        current = before[-1] if before else None
    return earlier


def at_chance(
    group: Group, finished: Iterable[Record], has_learned: Callable[[Record], bool] = learned
) -> Obstacle | None:
    """Every network judged, and every stage of pre-training behind it, has to beat chance."""
    finished_runs = list(finished)
    if (stopped := stopped_unlearned(group.broken)) is not None:
        return stopped
    for record in group.runs:
        if not has_learned(record):
            return Obstacle("chance", f"{record.slug} seed {record.seed} did not learn: {_against(record)}")
        for stage in stages(record, finished_runs):
            if isinstance(stage, str):
                return Obstacle("chance", f"{record.slug} starts from {stage}, of which no run is recorded")
            if not has_learned(stage):
                return Obstacle(
                    "chance",
                    f"{record.slug} starts from {stage.slug}, whose seed {stage.seed} did not learn:"
                    f" {_against(stage)}",
                )
    return None


def stopped_unlearned(broken: Iterable[Record]) -> Obstacle | None:
    """A run that was stopped at the constant predictor is no result of the report's training either."""
    for record in broken:
        if record.status == DID_NOT_LEARN:
            return Obstacle("chance", f"{record.slug} seed {record.seed} did not learn: {record.reason}")
    return None


def _against(record: Record) -> str:
    metric = record.metrics[record.selected]["primary"]
    value, majority = record.metric(metric), baseline(record)
    shown = "undefined" if value is None else f"{value:.4f}"
    return f"{metric} {shown}, where the majority class has {majority:.4f}"


# (e) both ways possible, (f) the epoch measured ---------------------------------------------------------


def cannot_turn_out(claim: Claim, group: Group) -> Obstacle | None:
    """A process that these images can show one way only, for want of images a class."""
    assert claim.predicate is not None
    record = group.runs[0]
    split = record.recipe.get("embed_split", "train")
    images = min(EMBEDDED_IMAGES, int(record.data[split]))
    why = one_way(claim.predicate, claim.args, purity_ceiling(images, len(record.data["classes"])))
    return Obstacle("one way", why) if why else None


def lacks_epoch(claim: Claim, group: Group) -> Obstacle | None:
    """The epoch that a claim names has to have been measured; another one is not it."""
    length = min(len(record.curves.get("train_loss", ())) for record in group.runs)
    if claim.kind == "process":
        assert claim.predicate is not None
        measured = set(group.runs[0].recipe.get("embed_epochs", ()))
        curve = str(claim.args.get("curve", ""))
        wanted = epochs_of(claim.predicate, claim.our_args)
        missing = [e for e in wanted if e > length or (not curve and measured and e not in measured)]
        if missing:
            return Obstacle("epoch", f"epoch {missing[0]} was not measured in {length} epochs")
        return None
    of_an_epoch = claim.kind == "number" and not is_recipes_own(claim)
    if of_an_epoch and claim.epoch is not None and claim.our_epoch(claim.epoch) > length:
        return Obstacle("epoch", f"epoch {claim.epoch} was not measured in {length} epochs")
    return None
