"""Does a printed network run? Checks that each layer accepts what the layer before it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.printed.printed_layers import PrintedLayer, channels, leaf


class Break(NamedTuple):
    """A layer that cannot take the channels that come to it."""

    row: PrintedLayer
    why: str

    def __str__(self) -> str:
        return f"{self.row.path} {self.row.layer}: {self.why}"


def chain_check(rows: Sequence[PrintedLayer]) -> list[Break]:
    """Return the layers at which a network cannot run, since other channels come than they take.

    A report prints no ``forward``, so the check assumes what holds for any. Numbered layers, BatchNorms and
    linear layers on maps take the output of the layer before. The first layer of a container and a layer
    with a name of its own may also take an earlier output, or the concatenated outputs of a container's
    branches. In a residual block every layer takes the output of the one before, and the block adds the
    last one to its input or to the output of its ``downsample``. Layers of unknown type pass their input on.
    """
    return _Chain(rows).find_breaks()


class _Chain:
    def __init__(self, rows: Sequence[PrintedLayer]) -> None:
        self.rows = rows
        self.breaks: list[Break] = []
        self.now: int | None = None  # channels that come to the next layer
        self.side: int | None = None  # of a map pooled to a fixed size; 0 where there is no map any more
        self.outputs: set[int] = set()
        self.containers: dict[str, tuple[int, int]] = {}  # what each takes first and gives last
        self.blocks = _residual_blocks(rows)
        self.block = ""  # the residual block that the row is in,
        self.enters: int | None = None  # what comes to it,
        self.shortcut: int | None = None  # what its downsample has made of that,
        self.main: tuple[PrintedLayer, int] | None = None  # and what its other layers have

    def find_breaks(self) -> list[Break]:
        """Follow the channels from layer to layer and return the breaks on the way."""
        before: PrintedLayer | None = None
        for row in self.rows:
            self.enter_block(row)
            takes, gives = channels(row)
            if row.type == "AdaptiveAvgPool2d":
                self.side = row.number("output_size")
            if takes is not None:
                self.meet(row, takes, before)
            if takes is not None and gives is not None:
                self.leave(row, takes, gives)
                before = row
        self.leave_block()
        return self.breaks

    def meet(self, row: PrintedLayer, takes: int, before: PrintedLayer | None) -> None:
        """Record a break if the layer cannot take what comes to it."""
        gets = self.enters if self.in_shortcut(row) and self.shortcut is None else self.now
        if gets is None or self.fits(row, takes, gets):
            return
        together = self.concatenated()
        if row.type == "Linear" and any(self.fits(row, takes, width) for width in together if self.side):
            return
        if not self.may_branch(row, before) or takes not in self.outputs | together:
            square = f" of {self.side}×{self.side} pixels" if self.side and row.type == "Linear" else ""
            self.breaks.append(Break(row, f"takes {takes}, gets {gets} channels{square}"))

    def may_branch(self, row: PrintedLayer, before: PrintedLayer | None) -> bool:
        """Whether the layer may take another output than that of the layer before it."""
        container, _, name = row.path.rpartition(".")
        if self.block:
            return False
        if before is None or not before.path.startswith(f"{container}." if container else ""):
            return True
        on_a_map = row.type == "Linear" and self.side != 0
        return not (name.isdecimal() or row.type.startswith("BatchNorm") or on_a_map)

    def fits(self, row: PrintedLayer, takes: int, gets: int) -> bool:
        """Whether a layer that takes so many channels can take ``gets``; a linear layer flattens maps."""
        if row.type != "Linear" or self.side == 0:
            return takes == gets
        return takes == gets * self.side**2 if self.side else takes % gets == 0

    def leave(self, row: PrintedLayer, takes: int, gives: int) -> None:
        """Note what the layer gives to those after it."""
        if not self.outputs:
            self.outputs.add(takes)  # the image
        if row.type == "Linear":
            self.side = 0
        elif "Conv" in row.type:
            self.side = None
        self.now = gives
        self.outputs.add(gives)
        parts = row.path.split(".")
        for depth in range(1, len(parts)):
            container = ".".join(parts[:depth])
            first, _ = self.containers.get(container, (takes, gives))
            self.containers[container] = first, gives
        if self.in_shortcut(row):
            self.shortcut = gives
        elif self.block:
            self.main = (row, gives)

    def concatenated(self) -> set[int]:
        """Channels of the concatenated outputs of branches that take the same input."""
        branches: dict[str, list[tuple[int, int]]] = {}
        for container, ends in self.containers.items():
            branches.setdefault(container.rpartition(".")[0], []).append(ends)
        together = [ends for ends in branches.values() if len(ends) > 1 and len({t for t, _ in ends}) == 1]
        return {sum(gives for _, gives in ends) for ends in together}

    def in_shortcut(self, row: PrintedLayer) -> bool:
        """Whether the layer is part of the ``downsample`` of the current residual block."""
        return bool(self.block) and row.path.startswith(f"{self.block}.downsample.")

    def enter_block(self, row: PrintedLayer) -> None:
        """Leave the current residual block and enter the layer's own, if they differ."""
        if self.block and row.path.startswith(f"{self.block}."):
            return
        self.leave_block()
        parent = row.path.rpartition(".")[0]
        if parent in self.blocks:
            self.block, self.enters, self.shortcut, self.main = parent, self.now, None, None

    def leave_block(self) -> None:
        """Check the sum at a residual block's end and leave the block."""
        if self.main and self.block:
            row, made = self.main
            brought = self.enters if self.shortcut is None else self.shortcut
            if brought is not None and brought != made:
                self.breaks.append(Break(row, f"makes {made} channels, its shortcut brings {brought}"))
            self.now = made
        self.block = ""


def _residual_blocks(rows: Sequence[PrintedLayer]) -> set[str]:
    """Numbered containers with conv1 and conv2, in a network where some of them have a ``downsample``."""
    names: dict[str, set[str]] = {}
    for row in rows:
        parent, _, name = row.path.rpartition(".")
        names.setdefault(parent, set()).add(name)
        above, _, container = parent.rpartition(".")
        if container == "downsample":
            names.setdefault(above, set()).add(container)
    blocks = {p for p, held in names.items() if {"conv1", "conv2"} <= held and leaf(p).isdecimal()}
    return blocks if any("downsample" in names[block] for block in blocks) else set()
