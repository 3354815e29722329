"""A claim and a ledger: one checkable statement of a report, and all statements of one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from decimal import Decimal


class Metric(NamedTuple):
    """What a number measures.

    Attributes:
        higher_is_better: the direction; None for a number that is neither better high nor low.
        low, high: bounds, as a fraction.
        of_images: the figure is a share of the images, so that it is a whole number of them over n.
        mean_of: the metric of one class that this one is the mean of; empty for none.
        by_class: it may be printed for one class, with ``class_index``.
    """

    title: str
    higher_is_better: bool | None
    low: float = 0.0
    high: float = 1.0
    of_images: bool = False
    mean_of: str = ""
    by_class: bool = False


_ANY = float("inf")

METRICS: dict[str, Metric] = {
    "top1": Metric("top-1 accuracy", True, of_images=True),
    "top5": Metric("top-5 accuracy", True, of_images=True),
    "error": Metric("error", False, of_images=True),
    "miou": Metric("mean IoU", True, mean_of="iou"),
    "iou": Metric("IoU of one class", True, by_class=True),
    "pixel_accuracy": Metric("pixel accuracy", True),
    "mean_accuracy": Metric("mean class accuracy", True, mean_of="recall"),
    "fwiou": Metric("frequency-weighted IoU", True),
    "mdice": Metric("mean Dice", True, mean_of="f1"),
    "precision": Metric("precision", True, by_class=True),
    "recall": Metric("recall", True, by_class=True),
    "f1": Metric("F1", True, by_class=True),
    "ap": Metric("average precision", True, by_class=True),
    "map": Metric("mean average precision", True, mean_of="ap"),
    "support": Metric("number of images or items", None, 0.0, _ANY, by_class=True),
    "min": Metric("smallest of several runs", None, -_ANY, _ANY),
    "max": Metric("largest of several runs", None, -_ANY, _ANY),
    "sd": Metric("standard deviation of several runs", None, 0.0, _ANY),
    "delta_top1": Metric("difference of top-1 accuracies", True, -1.0),
    "delta_top5": Metric("difference of top-5 accuracies", True, -1.0),
    "delta_miou": Metric("difference of mean IoUs", True, -1.0),
    "loss": Metric("mean loss", False, -_ANY, _ANY),
    "silhouette": Metric("silhouette of an embedding", True, -1.0),
    "knn_purity": Metric("10-NN purity of an embedding", True),
}

BUILT_IN_DATA = (
    "classification50", "miniimagenet", "officehome", "landcover", "mnist1d", "mnist1d-shuffled",
)  # fmt: skip
"""Data sets that need no ``[[data]]``; ``data.toml`` says what is known of them."""

SURVEYED = ("top1", "miou", "iou")
"""Metrics whose figures of other reports are collected."""

KINDS: dict[str, str] = {
    "number": "a printed figure",
    "ordering": "one thing is better than another",
    "architecture": "a network as printed or described",
    "formula": "a formula as printed or described",
    "process": "something that happens during training",
    "timing": "how many times as long one training takes as another",
    "explanation": "why something is so, and what would test it",
    "figure": "a picture that the report shows",
    "protocol": "settings and code as printed",
}

DECIDED_BY_RUNS = ("number", "ordering", "process", "timing", "figure")
"""Kinds of claims that runs decide; code alone decides the others."""

CHOICES: dict[str, tuple[str, ...]] = {
    "factor": ("data",),
    "known": ("outside",),
    "metric": tuple(METRICS),
    "n_from": ("printed", "derived", "outside"),
    "shows": ("masks", "tsne", "pca", "curves", "diagram", "overlay"),
    "source": ("official", "synthetic"),
    "unit": ("fraction", "percent", "count"),
}


@dataclass(frozen=True, kw_only=True)
class ReferenceClass:
    """Which figures of other reports a printed result is compared with. Declared, never chosen by outcome.

    Attributes:
        task: the data set, as in the survey's column ``task``; the claim's own.
        model: names of networks, or of families in ``bench.claims.survey.FAMILIES``; empty for any.
        pretrained: initial weights, any of these; empty for any.
        setting: setting of the task, such as ``"A"``; None for any.
    """

    task: str
    model: tuple[str, ...] = ()
    pretrained: tuple[str, ...] = ()
    setting: str | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement of a report. Keys that its kind does not have are ``None`` or empty.

    Attributes:
        lines: lines of the report's text. The first is where it is stated, further ones repeat or
            qualify it; an architecture and a listed ``code`` give their first and last line.
        place: where it stands in a report without line numbers: the table's row and column, or the cell.
        text: the statement in our words.
        quote: the report's own words around the figure, at most 200 characters.
        recipe: slug of the recipe whose runs settle it.
        source: the data it is about; the packaged reports used the official sets.
        unstated: what the report leaves out, as recipe fields where there is one.
        illegible: the text is damaged beyond use, for the reason ``illegible_why``.
        conflicts_with: claims that cannot hold together with this one, of any report.
        value: the figure, digit for digit as printed, without signs and marks around it.
        spread: b of a figure that is printed as a ± b.
        derived_from: two printed figures whose difference ``value`` is, where it is not printed itself.
        n, n_from: how many images it was measured on, and how that is known.
        runs: how many runs the figure is a mean of; 1 where nothing is said.
        epoch: the epoch the figure is printed for, in the report's own counting.
        epochs_from: the number of the report's first epoch, 0 or 1; ours is 1.
        approx: printed with "about" or "almost".
        mean_of, weights: number claims that this one is the mean of, and their weights; equal where none
            are given.
        difference_of: recipes (a, b) of a gain a - b.
        margin: what still counts as the same figure, as a fraction, where it is not the metric's usual one.
        also_differs: in what an ordering's members differ too, without credit by the report.
        factor: ``data`` where an ordering compares data sets, so that its members are on different ones.
        reference_class: the figures of other reports to compare it with; several where the report leaves
            open which of them it belongs to.
        ratio_of, least: recipes (a, b) of a timing, and how many times as long a takes at least.
        order: number claims, best first; or, where nothing is printed, recipes (``order_recipes``).
        tie: the ordering claims that its members are about equal.
        model: key of ``reference.models.MODELS`` that the listing is compared with.
        facts: countable statements about the network; ``damage``: what the scan or print broke.
        implements: function of ``reference`` that computes the formula.
        predicate, args: key of ``bench.claims.predicates.PREDICATES``, and its arguments.
        tested_by: recipes and claims that would test an explanation.
        epochs, images, stages: what a figure shows, and what the report calls the epochs.
        stated: printed settings, by field of ``Recipe`` and ``Phase`` where there is one. A list (an
            augmentation chain) is joined by "; ".
        code: source text as printed.
    """

    report: str
    id: str
    kind: str
    lines: tuple[int, ...]
    text: str
    recipe: str | None = None
    source: str = "official"
    unstated: tuple[str, ...] = ()
    illegible: bool = False
    illegible_why: str | None = None
    conflicts_with: tuple[str, ...] = ()
    note: str | None = None
    quote: str | None = None

    metric: str | None = None
    class_index: int | None = None
    value: str | None = None
    spread: str | None = None
    derived_from: tuple[str, ...] = ()
    unit: str | None = None
    data: str | None = None
    split: str | None = None
    n: int | None = None
    n_from: str | None = None
    runs: int = 1
    epoch: int | None = None
    epochs_from: int = 1
    selection: str = "unstated"
    approx: bool = False
    difference_of: tuple[str, ...] = ()
    mean_of: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    margin: str | None = None
    reference_class: tuple[ReferenceClass, ...] = ()

    order: tuple[str, ...] = ()
    order_recipes: tuple[str, ...] = ()
    tie: bool = False
    also_differs: tuple[str, ...] = ()
    factor: str | None = None

    model: str | None = None
    facts: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    formula: str | None = None
    implements: str | None = None

    predicate: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    tested_by: tuple[str, ...] = ()

    shows: str | None = None
    epochs: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    stated: Mapping[str, str] = field(default_factory=dict, hash=False)
    code: str | None = None

    ratio_of: tuple[str, ...] = ()
    least: str | None = None

    place: str | None = None

    @property
    def locator(self) -> str:
        """Where it stands: ``r3:141``, ``r3:141,186`` for several lines, or ``mnist1d:README table, CNN``."""
        return f"{self.report}:{self.place or ','.join(map(str, self.lines))}"

    @property
    def metric_name(self) -> str | None:
        """The metric as runs record it: ``iou_3`` for the IoU of class 3."""
        return self.metric if self.class_index is None else f"{self.metric}_{self.class_index}"

    @property
    def may_rest_on_public_originals(self) -> bool:
        """Whether runs on public originals may decide it: of numbers alone the split's error is known."""
        return self.kind == "number" and self.source == "official"

    def our_epoch(self, epoch: int) -> int:
        """An epoch of the report in our counting, whose first is 1."""
        return epoch + 1 - self.epochs_from

    @property
    def our_args(self) -> dict[str, Any]:
        """The predicate's arguments with the report's epochs in our counting."""
        named = ("epoch", "since", "until")
        return {
            key: self.our_epoch(value) if key in named and isinstance(value, int) else value
            for key, value in self.args.items()
        }

    @property
    def decimals(self) -> int:
        """Digits after the point of the printed value. Raises ValueError for a claim without one."""
        return len(self._printed.partition(".")[2])

    @property
    def fraction(self) -> Decimal:
        """The printed value as a fraction, exactly. Raises ValueError for a claim without one."""
        return _decimal(self._printed) * self._scale

    @property
    def half_step(self) -> Decimal:
        """Half a unit of the last printed digit, as a fraction: what rounding may have hidden."""
        return _decimal("5").scaleb(-self.decimals - 1) * self._scale

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What an ordering says strictly: each member, by claim or recipe, with the next worse one."""
        members = self.order or self.order_recipes
        return tuple(pairwise(members))

    @property
    def _printed(self) -> str:
        if self.value is None:
            raise ValueError(f"{self.id} is a claim of kind {self.kind} and has no value")
        return self.value

    @property
    def _scale(self) -> Decimal:
        return _decimal("0.01" if self.unit == "percent" else "1")


@dataclass(frozen=True, kw_only=True)
class DeclaredData:
    """A data set that a claims file declares.

    Attributes:
        classes: how many classes it has; None where that is not said.
        scored: indices of the classes that a class mean runs over; empty for all.
        splits: number of images by split.
        manifest: sha256 of its content, where it is known.
    """

    name: str
    what: str = ""
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    scored: tuple[int, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict, hash=False)
    manifest: str | None = None


@dataclass(frozen=True)
class Ledger:
    """All claims of one report, in the file's order.

    Attributes:
        recipes: the recipe file that it names, if any.
        data: the data sets that it declares.
    """

    report: str
    title: str
    year: int | None
    claims: tuple[Claim, ...]
    file: str
    recipes: str | None = None
    data: tuple[DeclaredData, ...] = ()

    def claim(self, claim_id: str) -> Claim:
        """The claim of that id. Raises KeyError."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(claim_id)

    def of_kind(self, kind: str) -> tuple[Claim, ...]:
        """The claims of one kind of ``KINDS``."""
        return tuple(claim for claim in self.claims if claim.kind == kind)


def _decimal(number: str) -> Decimal:
    # Imported here: slow to load, and listing claims needs no arithmetic.
    from decimal import Decimal

    return Decimal(number)
