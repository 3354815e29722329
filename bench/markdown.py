"""Markdown's own forms, and how a measured figure is written everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bench.verdicts import Group, Measured

# an underscore between two letters or digits is never emphasis, and names are full of them
_SPECIAL = re.compile(r"[\\`*|<&~\[\]]|(?<![^\W_])_|_(?![^\W_])")


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, fit for a table's cell."""
    return _SPECIAL.sub(lambda match: f"\\{match[0]}", " ".join(text.split()))


def pipe_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A pipe table; cells are Markdown already."""
    rule = ["---:" if index in right else "---" for index in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def elsewhere(measured: Measured) -> str:
    """A figure that counts for nothing, with all that tells why."""
    return f"{figure_text(measured)} *on {named(measured.group)}*"


def named(group: Group) -> str:
    """A group in words, fit for Markdown."""
    return plain(in_words(group))


def in_words(group: Group) -> str:
    """``"synthetic data, smoke tier"``; numerics and a user's own deviations where there are any."""
    words = [group.where, *([] if group.tier == "full" else [f"{group.tier} tier"])]
    words += [] if group.eager_float32 else [group.numerics]
    own = [why for why in group.whys if not why.startswith(f"{group.tier} tier")]
    own += [f"from {group.origin}"] if group.origin.startswith("file ") else []
    return "; ".join([", ".join(words), *own])


def figure_text(measured: Measured) -> str:
    """``"0.6637 (0.6512–0.6762), 3 seeds"``."""
    seeds = "1 seed" if measured.k == 1 else f"{measured.k} seeds"
    return f"{digits(measured.mean, 4)}{bracket(measured)}, {seeds}"


def digits(value: float, digits: int, *, signed: bool = False) -> str:
    """A fixed number of decimals; ``signed`` for differences."""
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return text if math.isfinite(value) else "undefined"


def bracket(measured: Measured) -> str:
    if measured.interval is None:
        return ""
    return f" ({span(measured.interval)})"


def span(interval: tuple[float, float], *, signed: bool = False) -> str:
    """``"0.6512–0.6762"``, or ``"−0.0100 to +0.0200"`` of a difference."""
    low, high = (digits(end, 4, signed=signed) for end in interval)
    return f"{low} to {high}" if signed else f"{low}–{high}"
