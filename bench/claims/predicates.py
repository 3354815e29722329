"""Process claims as functions of recorded curves: did what a report says it saw happen?

A curve is a run's record of one quantity: a list with one value an epoch (index = epoch - 1), where
``None`` or nan stands for an epoch without a measurement, or a mapping from epochs to values. Epochs
count from 1. The loop records ``train_loss``, ``val_loss``, ``val_top1`` and ``val_miou``; an embedding
that was measured at some epochs adds ``silhouette`` and ``knn_purity`` (the mean share, over all points,
of the ten nearest neighbours that have the point's own class), with a prefix for other projections.

Reports say "clear", "large", "about equal"; a predicate says what that has to mean to be judged, in
its docstring and as a default that a claim may change in its ``args``. Trends are judged on the means of
ten blocks of epochs: neighbouring epochs resemble each other, so single ones would count noise as proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

Curve = Sequence[float | None] | Mapping[int, float]
Curves = Mapping[str, Curve]
Epoch = int | Literal["first", "last"]

BLOCKS = 10
T_95_ONE_SIDED = 1.8595
"""Student's t at .95 with 8 degrees of freedom: ten block means less a level and a slope."""

LEAST_TAIL = 5 * BLOCKS
"""Epochs a tail needs: below five a block, neighbours' likeness makes chance trends too frequent."""

LEVEL_EPOCHS = 10
ALIKE_EPOCHS = 3
"""How many neighbouring epochs count as one: (1 + r) / (1 - r) at a correlation r of one half."""

CLEAR_SHARE = 0.1


class Judgement(NamedTuple):
    """Whether a process took place (None: cannot be judged), and one sentence with the numbers."""

    holds: bool | None
    why: str


def gap_opens_after(
    curves: Curves, *, epoch: int, lower: str = "train_loss", upper: str = "val_loss"
) -> Judgement:
    """The gap ``upper - lower`` widens after an epoch.

    Opened is the mean gap of the last ten epochs over that of the ten up to ``epoch``. Holds when that
    exceeds twice its standard error, and is more than half of the final gap: one that was open before,
    and only widens on, fails. The standard error is from the two windows' own scatter, counting one
    independent value in three epochs. At least 50 later epochs are needed.
    """
    below, above = _points(curves, lower), _points(curves, upper)
    if below is None or above is None:
        return _missing(curves, lower, upper)
    low = dict(below)
    before, after = _split(
        [(at_epoch, value - low[at_epoch]) for at_epoch, value in above if at_epoch in low], epoch
    )
    if not before or len(after) < LEAST_TAIL:
        return _too_short(f"{upper} - {lower}", epoch, after)
    first, last = before[-LEVEL_EPOCHS:], after[-LEVEL_EPOCHS:]
    final = _mean(last)
    opened = final - _mean(first)
    error = math.sqrt((_variance(first) / len(first) + _variance(last) / len(last)) * ALIKE_EPOCHS)
    return Judgement(
        opened > 2 * error and opened > final / 2 > 0,
        f"{upper} - {lower} grows by {opened:.4g} (standard error {error:.2g}) from epoch {epoch} to"
        f" {final:.4g} at the end; more than half of that is needed",
    )


def no_clear_fall_after(
    curves: Curves, *, epoch: int, curve: str = "val_loss", share: float = CLEAR_SHARE
) -> Judgement:
    """A curve does not clearly fall any more after an epoch.

    A fall is clear when the trend after ``epoch`` is downward (one-sided t over ten blocks, p < .05) and
    amounts to more than ``share`` of the fall from the first epoch to ``epoch`` (mean of the ten epochs
    up to it). Everything else, a rise included, is no clear fall. At least 50 later epochs are needed.
    """
    return _levels_off(curves, curve, epoch, share, sign=-1)


def no_clear_gain_after(
    curves: Curves, *, epoch: int, curve: str = "val_top1", share: float = CLEAR_SHARE
) -> Judgement:
    """A curve does not clearly rise any more after an epoch: ``no_clear_fall_after`` upside down."""
    return _levels_off(curves, curve, epoch, share, sign=1)


def best_near(
    curves: Curves, *, epoch: int, within: int, until: int | None = None, curve: str = "val_top1"
) -> Judgement:
    """The highest value of a curve lies within some epochs of a named one.

    Only epochs up to ``until`` compete (None: all). Among equal best values one that is near suffices.
    Cannot be judged before the curve has reached ``until``, or else ``epoch + within``.
    """
    points = _points(curves, curve)
    if points is None:
        return _missing(curves, curve)
    needed = epoch + within if until is None else until
    if not points or points[-1][0] < needed:
        return Judgement(None, f"{curve} ends at epoch {points[-1][0] if points else 0}, {needed} is needed")
    competing = points if until is None else [point for point in points if point[0] <= until]
    best = max(value for _, value in competing)
    epochs = [at_epoch for at_epoch, value in competing if value == best]
    nearest = min(epochs, key=lambda at_epoch: abs(at_epoch - epoch))
    return Judgement(
        abs(nearest - epoch) <= within,
        f"{curve} is best ({best:.4g}) at epoch {nearest} of {competing[-1][0]};"
        f" claimed: within {within} of {epoch}",
    )


def clusters_grow(
    curves: Curves, *, since: Epoch, until: Epoch, margin: float = 0.03, prefix: str = ""
) -> Judgement:
    """Classes form more clusters in an embedding at a later epoch than at an earlier one.

    Holds when 10-NN purity rises by more than ``margin`` and the silhouette does not fall by more than
    it; where only one of the two was measured, that one has to rise. The default margin is two standard
    errors of a difference of two purities at the worst (0.5) with 2,500 points or more.
    """
    purity = _change(curves, f"{prefix}knn_purity", since, until)
    silhouette = _change(curves, f"{prefix}silhouette", since, until)
    if purity is None and silhouette is None:
        return _unmeasured(prefix, since, until)
    rising = silhouette if purity is None else purity
    assert rising is not None
    holds = rising.size > margin and (silhouette is None or silhouette.size >= -margin)
    return Judgement(holds, f"{_changes_text(purity, silhouette)}; a rise by more than {margin:g} is needed")


def clusters_about_equal(
    curves: Curves, *, since: Epoch, until: Epoch, margin: float = 0.05, prefix: str = ""
) -> Judgement:
    """Classes are clustered about equally well at two epochs.

    Holds when neither 10-NN purity nor silhouette (each where measured) moves by more than ``margin``.
    """
    purity = _change(curves, f"{prefix}knn_purity", since, until)
    silhouette = _change(curves, f"{prefix}silhouette", since, until)
    if purity is None and silhouette is None:
        return _unmeasured(prefix, since, until)
    holds = all(abs(change.size) <= margin for change in (purity, silhouette) if change is not None)
    return Judgement(holds, f"{_changes_text(purity, silhouette)}; changes up to {margin:g} count as equal")


def clusters_clear(curves: Curves, *, epoch: Epoch, least: float = 0.5, prefix: str = "") -> Judgement:
    """Classes form clear clusters: on average at least half of a point's ten neighbours share its class."""
    return _purity_within(curves, epoch, least, 1.0, prefix)


def clusters_overlap(curves: Curves, *, epoch: Epoch, most: float = 0.5, prefix: str = "") -> Judgement:
    """Classes overlap: on average less than half of a point's ten neighbours share its class."""
    return _purity_within(curves, epoch, 0.0, math.nextafter(most, 0.0), prefix)


def clusters_clear_with_overlap(
    curves: Curves, *, epoch: Epoch, least: float = 0.5, most: float = 0.95, prefix: str = ""
) -> Judgement:
    """Clear clusters of which some run into each other: 10-NN purity of at least .5 and at most .95."""
    return _purity_within(curves, epoch, least, most, prefix)


def reaches(curves: Curves, *, curve: str, epoch: Epoch, least: float) -> Judgement:
    """A curve has reached a value at an epoch, such as all of the training set classified correctly."""
    measured = _at(curves, curve, epoch)
    if measured is None:
        return Judgement(None, f"{curve} was not measured at epoch {epoch}")
    at_epoch, value = measured
    return Judgement(
        value >= least, f"{curve} is {value:.4g} at epoch {at_epoch}; at least {least:g} is claimed"
    )


def stays_below(curves: Curves, *, curve: str, epoch: Epoch, most: float) -> Judgement:
    """A curve is still below a value at an epoch: ``reaches`` upside down."""
    reached = reaches(curves, curve=curve, epoch=epoch, least=most)
    if reached.holds is None:
        return reached
    return Judgement(not reached.holds, reached.why.replace("at least", "less than"))


def some_of_one_class(curves: Curves, *, least: int = 1) -> Judgement:
    """At least one mask of the evaluated images holds a single class.

    ``masks_of_one_class`` is counted from a run's results image by image, not recorded by epoch.
    """
    points = _points(curves, "masks_of_one_class")
    if not points:
        return Judgement(None, "no results image by image were kept")
    count = int(points[-1][1])
    return Judgement(count >= least, f"{count} masks hold one class; at least {least} is claimed")


PREDICATES: dict[str, Callable[..., Judgement]] = {
    "gap_opens_after": gap_opens_after,
    "no_clear_fall_after": no_clear_fall_after,
    "no_clear_gain_after": no_clear_gain_after,
    "best_near": best_near,
    "clusters_grow": clusters_grow,
    "clusters_about_equal": clusters_about_equal,
    "clusters_clear": clusters_clear,
    "clusters_overlap": clusters_overlap,
    "clusters_clear_with_overlap": clusters_clear_with_overlap,
    "some_of_one_class": some_of_one_class,
    "reaches": reaches,
    "stays_below": stays_below,
}

NEIGHBOURS = 10
"""Neighbours of a purity."""


def purity_ceiling(images: int, classes: int, neighbours: int = NEIGHBOURS) -> float:
    """The highest k-NN purity of ``images`` points in ``classes`` classes of about one size.

    A point has no more neighbours of its own class than the class has others: perfect clusters of five
    images have a 10-NN purity of 0.4.

    >>> purity_ceiling(50, 10)
    0.4
    """
    return min(1.0, max(images // classes - 1, 0) / neighbours) if classes else 1.0


def one_way(name: str, args: Mapping[str, object], ceiling: float) -> str:
    """Why a predicate comes out one way whatever a training does, for purities up to ``ceiling``; else ""."""
    arguments = {**(PREDICATES[name].__kwdefaults__ or {}), **args}
    bound = {
        "clusters_clear": arguments.get("least"),
        "clusters_clear_with_overlap": arguments.get("least"),
        "clusters_overlap": arguments.get("most"),
        "clusters_grow": arguments.get("margin"),
        "clusters_about_equal": arguments.get("margin"),
    }.get(name)
    if not isinstance(bound, int | float) or ceiling >= bound:
        return ""
    return f"perfect clusters have a {NEIGHBOURS}-NN purity of {ceiling:.2f} on these images, and {bound:.2f}\
 is asked for"


def epochs_of(name: str, args: Mapping[str, object]) -> tuple[int, ...]:
    """The epochs, counted from 1, that a predicate reads single measurements of."""
    if name in ("gap_opens_after", "no_clear_fall_after", "no_clear_gain_after", "best_near"):
        return ()  # they read whole curves and say themselves what is missing
    named = (args.get(key) for key in ("epoch", "since", "until"))
    return tuple(epoch for epoch in named if isinstance(epoch, int))


class _Change(NamedTuple):
    name: str
    since: tuple[int, float]
    until: tuple[int, float]

    @property
    def size(self) -> float:
        return self.until[1] - self.since[1]


def _points(curves: Curves, name: str) -> list[tuple[int, float]] | None:
    """(epoch, value) of every measured epoch in order; None where there is no such curve or it diverged."""
    curve = curves.get(name)
    if curve is None:
        return None
    if isinstance(curve, Mapping):
        pairs = sorted((int(epoch), value) for epoch, value in curve.items())
    else:
        pairs = [(index + 1, value) for index, value in enumerate(curve) if value is not None]
    points = [(epoch, float(value)) for epoch, value in pairs if not math.isnan(value)]
    return None if any(math.isinf(value) for _, value in points) else points


def _split(
    points: Sequence[tuple[int, float]], epoch: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Points up to an epoch, and points after it."""
    return [p for p in points if p[0] <= epoch], [p for p in points if p[0] > epoch]


def _mean(points: Sequence[tuple[int, float]]) -> float:
    return math.fsum(value for _, value in points) / len(points)


def _variance(points: Sequence[tuple[int, float]]) -> float:
    mean = _mean(points)
    return math.fsum((value - mean) ** 2 for _, value in points) / max(len(points) - 1, 1)


def _trend(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Change over the points by a least-squares line through ten block means, and the slope's t."""
    count = len(points)
    blocks = [points[i * count // BLOCKS : (i + 1) * count // BLOCKS] for i in range(BLOCKS)]
    x = [math.fsum(epoch for epoch, _ in block) / len(block) for block in blocks]
    y = [_mean(block) for block in blocks]
    x_mean, y_mean = math.fsum(x) / BLOCKS, math.fsum(y) / BLOCKS
    spread = math.fsum((a - x_mean) ** 2 for a in x)
    slope = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / spread
    left_over = math.fsum((b - y_mean - slope * (a - x_mean)) ** 2 for a, b in zip(x, y, strict=True))
    error = math.sqrt(left_over / (BLOCKS - 2) / spread)
    change = slope * (points[-1][0] - points[0][0])
    # A line without scatter has no t; rounding alone must not make a flat one significant.
    if error <= 1e-12 * max(map(abs, y), default=0.0):
        return change, 0.0 if abs(change) <= 1e-9 * max(map(abs, y)) else math.copysign(math.inf, change)
    return change, slope / error


def _levels_off(curves: Curves, name: str, epoch: int, share: float, *, sign: int) -> Judgement:
    points = _points(curves, name)
    if points is None:
        return _missing(curves, name)
    before, after = _split(points, epoch)
    if not before or len(after) < LEAST_TAIL:
        return _too_short(name, epoch, after)
    earlier = _mean(before[-LEVEL_EPOCHS:]) - before[0][1]
    change, t = _trend(after)
    clear = sign * t > T_95_ONE_SIDED and sign * change > share * max(sign * earlier, 0.0)
    return Judgement(
        not clear,
        f"{name} moves by {change:+.4g} after epoch {epoch} (t = {t:.1f}) and by {earlier:+.4g} before it;"
        f" clear is t beyond {sign * T_95_ONE_SIDED:.2f} and more than {share:.0%} of what came before",
    )


def _at(curves: Curves, name: str, epoch: Epoch) -> tuple[int, float] | None:
    """The measurement at an epoch, or the first or last there is."""
    points = _points(curves, name)
    if not points:
        return None
    if epoch == "first":
        return points[0]
    if epoch == "last":
        return points[-1]
    return next((point for point in points if point[0] == epoch), None)


def _change(curves: Curves, name: str, since: Epoch, until: Epoch) -> _Change | None:
    first, last = _at(curves, name, since), _at(curves, name, until)
    if first is None or last is None or first[0] >= last[0]:
        return None
    return _Change(name, first, last)


def _changes_text(*changes: _Change | None) -> str:
    return ", ".join(
        f"{change.name} {change.since[1]:.3f} at epoch {change.since[0]} and {change.until[1]:.3f}"
        f" at epoch {change.until[0]}"
        for change in changes
        if change is not None
    )


def _purity_within(curves: Curves, epoch: Epoch, least: float, most: float, prefix: str) -> Judgement:
    name = f"{prefix}knn_purity"
    measured = _at(curves, name, epoch)
    if measured is None:
        return Judgement(None, f"{name} was not measured at epoch {epoch}")
    at_epoch, value = measured
    return Judgement(
        least <= value <= most,
        f"{name} is {value:.3f} at epoch {at_epoch}; {least:.2f} to {most:.2f} is claimed",
    )


def _missing(curves: Curves, *names: str) -> Judgement:
    absent = [name for name in names if curves.get(name) is None]
    if absent:
        return Judgement(None, f"no curve {' and '.join(absent)} was recorded")
    return Judgement(None, f"{' or '.join(names)} holds an infinite value")


def _too_short(name: str, epoch: int, after: Sequence[object]) -> Judgement:
    return Judgement(
        None, f"{name} has {len(after)} epochs after {epoch}, {LEAST_TAIL} are needed and one before it"
    )


def _unmeasured(prefix: str, since: Epoch, until: Epoch) -> Judgement:
    return Judgement(
        None, f"neither {prefix}knn_purity nor {prefix}silhouette was measured at both {since} and {until}"
    )
