"""Compares a printed network with the one that we build, layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from bench.printed.printed_layers import PrintedLayer, alike, channels, leaf, parameter_count, same_value


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Damage that print or scan did to some rows, or another way of writing that computes the same.

    Attributes:
        what: ``argument``, ``type`` or ``path`` (reads otherwise than meant), ``cut`` (arguments are cut
            off), ``surplus`` (printed, not meant) or ``missing`` (meant, not printed).
        at: glob over the printed path (under the listing's ``names``); over ours for ``missing``.
        lines: first and last line of the report that it is about.
        argument, printed, meant: the two values of the argument, type or path. An argument that is not
            known has no value. A path without ``meant`` has lost its nesting, but the last name holds.
        count: how many differences it explains, no more and no fewer.
        why: one line for the reader.
        ours: no damage. Our network is written differently: only a layer without parameters, or
            ``inplace``.
    """

    what: str
    count: int
    why: str
    at: str = "*"
    lines: tuple[int, ...] = ()
    argument: str | None = None
    printed: str | None = None
    meant: str | None = None
    ours: bool = False

    def explains(self, difference: Difference) -> bool:
        """Return whether this damage explains the difference."""
        row = difference.printed or difference.built
        assert row is not None
        return (
            self.what == difference.what
            and fnmatchcase(row.path, self.at)
            and (not self.lines or self.lines[0] <= row.line <= self.lines[1])
            and self.argument == difference.argument
            and self._values_agree(difference)
            and not (self.ours and self.what == "missing" and parameter_count([row]))
        )

    def _values_agree(self, difference: Difference) -> bool:
        printed, meant = difference.values
        if self.what == "path" and self.meant is None:
            return leaf(printed) == leaf(meant)
        if self.what in ("argument", "type", "path"):
            return (self.printed is None or self.printed == printed) and self.meant == meant
        return True


@dataclass(frozen=True)
class Difference:
    """One way in which a printed layer differs from ours."""

    what: str
    printed: PrintedLayer | None
    built: PrintedLayer | None
    argument: str | None = None
    damage: Damage | None = None

    @property
    def values(self) -> tuple[str | None, str | None]:
        """The argument, type or path that differs: as printed and as built."""
        if self.printed is None or self.built is None or self.what == "cut":
            return None, None
        if self.argument is not None:
            return self.printed.arg(self.argument), self.built.arg(self.argument)
        return getattr(self.printed, self.what), getattr(self.built, self.what)

    def __str__(self) -> str:
        row = self.printed or self.built
        assert row is not None
        layer = f"{row.path} {row.layer}" + (f" (line {row.line})" if row.line else "")
        if self.what in ("missing", "surplus"):
            return f"{layer} is {'not printed' if self.what == 'missing' else 'printed, not built'}"
        if self.what == "cut":
            return f"{layer} is cut off"
        return "{}: {} is printed {}, built {}".format(layer, self.argument or self.what, *self.values)


def compare(
    printed: Sequence[PrintedLayer], ours: Sequence[PrintedLayer], damage: Iterable[Damage] = ()
) -> list[Difference]:
    """Return every difference between a printed network and ours, with the damage that explains it, if any.

    The layers are paired in order so that the fewest differences remain. Two layers under
    one path may be a pair although their types differ.
    """
    declared = tuple(damage)
    explained = []
    for printed_layer, our_layer in align(printed, ours):
        for difference in _differences(printed_layer, our_layer):
            reason = next((d for d in declared if d.explains(difference)), None)
            explained.append(replace(difference, damage=reason))
    return explained


def miscounted(differences: Iterable[Difference], damage: Iterable[Damage]) -> list[str]:
    """Return a line for each declared damage that explains more or fewer differences than it declares."""
    used = Counter(id(difference.damage) for difference in differences)
    return [
        f"declared {d.what} at {d.at} ({d.why}): {used[id(d)]} found, {d.count} declared"
        for d in damage
        if used[id(d)] != d.count
    ]


def _differences(printed_layer: PrintedLayer | None, our_layer: PrintedLayer | None) -> list[Difference]:
    if printed_layer is None or our_layer is None:
        return [Difference("missing" if printed_layer is None else "surplus", printed_layer, our_layer)]
    differences = [
        Difference(what, printed_layer, our_layer)
        for what in ("path", "type")
        if getattr(printed_layer, what) != getattr(our_layer, what)
    ]
    if alike(printed_layer.type, our_layer.type):
        differences += [
            Difference("argument", printed_layer, our_layer, name)
            for name in _other_arguments(printed_layer, our_layer)
        ]
    return [*differences, Difference("cut", printed_layer, our_layer)] if printed_layer.cut else differences


def _other_arguments(printed_layer: PrintedLayer, our_layer: PrintedLayer) -> list[str]:
    """Names of the arguments whose values differ. An argument that is cut off is unknown, not different."""
    pairs = printed_layer.args if printed_layer.cut else (*printed_layer.args, *our_layer.args)
    names = dict.fromkeys(name for name, _ in pairs)
    # A misread type still has the arguments of the right one.
    with_our_type = replace(printed_layer, type=our_layer.type)
    return [name for name in names if not same_value(with_our_type.arg(name), our_layer.arg(name))]


def align(
    printed: Sequence[PrintedLayer], ours: Sequence[PrintedLayer]
) -> list[tuple[PrintedLayer | None, PrintedLayer | None]]:
    """Pair printed layers with ours in order, at least cost; one without a partner comes with None."""
    wide_printed, wide_ours = _with_widths(printed), _with_widths(ours)
    costs = [[_ALONE * (i + j) for j in range(len(wide_ours) + 1)] for i in range(len(wide_printed) + 1)]
    for i, a in enumerate(wide_printed):
        for j, b in enumerate(wide_ours):
            alone = min(costs[i][j + 1], costs[i + 1][j]) + _ALONE
            costs[i + 1][j + 1] = min(costs[i][j] + _unlike(a, b), alone)
    pairs: list[tuple[PrintedLayer | None, PrintedLayer | None]] = []
    i, j = len(wide_printed), len(wide_ours)
    while i or j:
        if i and j and costs[i][j] == costs[i - 1][j - 1] + _unlike(wide_printed[i - 1], wide_ours[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((printed[i], ours[j]))
        elif i and costs[i][j] == costs[i - 1][j] + _ALONE:
            i -= 1
            pairs.append((printed[i], None))
        else:
            j -= 1
            pairs.append((None, ours[j]))
    return pairs[::-1]


_Wide = tuple[PrintedLayer, tuple[int | None, int | None]]


def _with_widths(rows: Iterable[PrintedLayer]) -> list[_Wide]:
    """Pair each layer with its input and output channels; a layer that keeps them has the last ones."""
    wide: list[_Wide] = []
    width: int | None = None
    for row in rows:
        takes, gives = channels(row)
        wide.append((row, (width, width) if gives is None else (takes, gives)))
        width = wide[-1][1][1]
    return wide


_ALONE = 10  # the cost of a row without a partner


def _unlike(a: _Wide, b: _Wide) -> int:
    """The cost of pairing two layers. Above twice ``_ALONE`` the two are never paired.

    Layers under different paths can be one only if their types are alike and their channels equal.
    """
    (printed_layer, printed_width), (our_layer, our_width) = a, b
    if printed_layer.path == our_layer.path:
        cost = 0
    elif printed_width != our_width or not alike(printed_layer.type, our_layer.type):
        return 3 * _ALONE
    else:
        cost = 3 if leaf(printed_layer.path) == leaf(our_layer.path) else 6
    if printed_layer.type != our_layer.type:
        return cost + 5
    if printed_layer.args == our_layer.args:
        return cost
    return cost + min(len(_other_arguments(printed_layer, our_layer)), 5)
