"""Does a printed network run? Checks that each layer accepts what the layer before it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    pass

from bench.printed.printed_rows import Row, channels, leaf


class Break(NamedTuple):
    """A layer that cannot take what it is given."""

    row: Row
    why: str

    def __str__(self) -> str:
        return f"{self.row.path} {self.row.layer}: {self.why}"


def chain_check(rows: Sequence[Row]) -> list[Break]:
    """Where a network cannot run, since a layer takes other channels than come to it.

    No ``forward`` is printed, so this is what any would meet: numbered layers, BatchNorms and linear layers
    on maps follow what is before them; the first layer of a container and a layer with a name of its own may
    also take an earlier output, or what the branches of a container add up to when concatenated; in a
    residual block every layer follows, and what it makes is added to its input or its ``downsample``'s
    output. Layers of unknown type pass on what they get.
    """
    return _Chain(rows).check()


class _Chain:
    def __init__(self, rows: Sequence[Row]) -> None:
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
        self.main: tuple[Row, int] | None = None  # and what its other layers have

    def check(self) -> list[Break]:
        before: Row | None = None
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

    def meet(self, row: Row, takes: int, before: Row | None) -> None:
        gets = self.enters if self.in_shortcut(row) and self.shortcut is None else self.now
        if gets is None or self.fits(row, takes, gets):
            return
        together = self.concatenated()
        if row.type == "Linear" and any(self.fits(row, takes, width) for width in together if self.side):
            return
        if not self.may_branch(row, before) or takes not in self.outputs | together:
            square = f" of {self.side}×{self.side} pixels" if self.side and row.type == "Linear" else ""
            self.breaks.append(Break(row, f"takes {takes}, gets {gets} channels{square}"))

    def may_branch(self, row: Row, before: Row | None) -> bool:
        """Whether the layer may take something else than what the layer before it gives."""
        container, _, name = row.path.rpartition(".")
        if self.block:
            return False
        if before is None or not before.path.startswith(f"{container}." if container else ""):
            return True
        on_a_map = row.type == "Linear" and self.side != 0
        return not (name.isdecimal() or row.type.startswith("BatchNorm") or on_a_map)

    def fits(self, row: Row, takes: int, gets: int) -> bool:
        if row.type != "Linear" or self.side == 0:
            return takes == gets
        return takes == gets * self.side**2 if self.side else takes % gets == 0

    def leave(self, row: Row, takes: int, gives: int) -> None:
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
        """What branches that take the same make together."""
        branches: dict[str, list[tuple[int, int]]] = {}
        for container, ends in self.containers.items():
            branches.setdefault(container.rpartition(".")[0], []).append(ends)
        together = [ends for ends in branches.values() if len(ends) > 1 and len({t for t, _ in ends}) == 1]
        return {sum(gives for _, gives in ends) for ends in together}

    def in_shortcut(self, row: Row) -> bool:
        return bool(self.block) and row.path.startswith(f"{self.block}.downsample.")

    def enter_block(self, row: Row) -> None:
        if self.block and row.path.startswith(f"{self.block}."):
            return
        self.leave_block()
        parent = row.path.rpartition(".")[0]
        if parent in self.blocks:
            self.block, self.enters, self.shortcut, self.main = parent, self.now, None, None

    def leave_block(self) -> None:
        """The sum at a residual block's end."""
        if self.main and self.block:
            row, made = self.main
            brought = self.enters if self.shortcut is None else self.shortcut
            if brought is not None and brought != made:
                self.breaks.append(Break(row, f"makes {made} channels, its shortcut brings {brought}"))
            self.now = made
        self.block = ""


def _residual_blocks(rows: Sequence[Row]) -> set[str]:
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
