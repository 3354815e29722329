"""The rows of a printed network, their arguments and parameter counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from reference.errors import InputError

if TYPE_CHECKING:
    from torch import nn


CUT = "…"


WHOLE_NUMBER = re.compile(r"\d{1,9}")  # a line, a size; what has more digits is neither


class Signature(NamedTuple):
    """Names of the arguments that need none, in their order, and values that go without saying."""

    positional: tuple[str, ...] = ()
    defaults: Mapping[str, str] = {}


_CONV = Signature(
    ("in_channels", "out_channels"),
    {
        "stride": "1", "padding": "0", "output_padding": "0", "dilation": "1", "groups": "1", "bias": "True",
        "padding_mode": "zeros",
    },
)  # fmt: skip
_NORM = Signature(
    ("num_features",), {"eps": "1e-05", "momentum": "0.1", "affine": "True", "track_running_stats": "True"}
)
_POOL = Signature((), {"padding": "0", "dilation": "1", "ceil_mode": "False"})
_DROPOUT = Signature((), {"inplace": "False"})

SIGNATURES: dict[str, Signature] = {
    "Conv1d": _CONV,
    "Conv2d": _CONV,
    "Conv3d": _CONV,
    "ConvTranspose2d": _CONV,
    "BatchNorm1d": _NORM,
    "BatchNorm2d": _NORM,
    "Linear": Signature(("in_features", "out_features"), {"bias": "True"}),
    "MaxPool2d": _POOL,
    "AdaptiveAvgPool2d": Signature(),
    "Dropout": _DROPOUT,
    "Dropout2d": _DROPOUT,
    "ReLU": Signature((), {"inplace": "False"}),
    "LeakyReLU": Signature((), {"inplace": "False"}),
    "Identity": Signature(),
    "Sequential": Signature(),
}

_PER_AXIS = {"kernel_size", "stride", "padding", "output_padding", "dilation", "output_size"}


@dataclass(frozen=True)
class Row:
    """One layer of a network: a module without children.

    Attributes:
        path: dotted, from the network's root.
        args: (name, value) of the arguments that are not torch's defaults, as printed but for spaces and
            for an equal value on every axis, which is written once. Where ``cut``, all that are printed.
        cut: the scan cut the arguments off; those not in ``args`` are unknown.
        line: where it is printed, counted from 1; 0 if nowhere. Rows are equal without regard to it.
    """

    path: str
    type: str
    args: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    line: int = field(default=0, compare=False)

    def arg(self, name: str) -> str | None:
        """The argument's value, printed or torch's default. None where neither is known."""
        given = dict(self.args)
        if name in given or self.cut:
            return given.get(name)
        if name == "bias" and self.type.startswith("BatchNorm"):
            return self.arg("affine")
        return SIGNATURES[self.type].defaults.get(name) if self.type in SIGNATURES else None

    def number(self, name: str) -> int | None:
        """The argument as a whole number, None where it is none."""
        value = self.arg(name)
        return int(value) if value is not None and WHOLE_NUMBER.fullmatch(value) else None

    @property
    def layer(self) -> str:
        """The layer without its path, such as ``Linear(4096, 50)``."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        said = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return f"{self.type}({', '.join([*said, CUT] if self.cut else said)})"

    def __str__(self) -> str:
        """The form in which the listing files hold it."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        said = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return " ".join([str(self.line), self.path, self.type, *said, *([CUT] if self.cut else [])])


def read_row(text: str) -> Row:
    """A row from its form in the listing files: line, path, type, arguments, ``…`` where they are cut off.

    Raises:
        InputError: fewer than three words, or a line that is no number.
    """
    words = text.split()
    if len(words) < 3 or not WHOLE_NUMBER.fullmatch(words[0]):
        raise InputError(f"row {text!r:.100}: expected line, path, type and arguments")
    line, path, kind, *said = words
    cut = said[-1:] == [CUT]
    args = read_arguments(kind, "".join(f"{word}," for word in said[: len(said) - cut]), cut)
    return Row(path, kind, args, cut, int(line))


def read_arguments(kind: str, text: str, cut: bool = False) -> tuple[tuple[str, str], ...]:
    """What stands between a layer's brackets, by name and without torch's defaults.

    Where the text is ``cut`` off, its last piece counts only if a comma follows, and defaults are kept: what
    is not there is unknown.
    """
    signature = SIGNATURES.get(kind, Signature())
    named: dict[str, str] = {}
    pieces = _split(text)
    if cut and not text.rstrip().endswith(","):
        pieces.pop()
    for position, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if not equals or not name.isidentifier():
            name = signature.positional[position] if position < len(signature.positional) else str(position)
            value = piece
        named[name] = _value(name, value)
    if named.get("bias") == named.get("affine"):
        named.pop("bias", None)  # from torch 2.15 on BatchNorm prints it, and it follows ``affine``
    if cut:
        return tuple(named.items())
    return tuple((n, v) for n, v in named.items() if not same_value(v, signature.defaults.get(n)))


def _split(text: str) -> list[str]:
    """The pieces between the commas that stand in no bracket."""
    pieces, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += char
    return [piece.strip() for piece in pieces if piece.strip()]


def _value(name: str, value: str) -> str:
    value = re.sub(r",\s+", ",", value.strip())
    axes = value.removeprefix("(").removesuffix(")").rstrip(",").split(",")
    return axes[0] if name in _PER_AXIS and len(set(axes)) == 1 else value


def same_value(a: str | None, b: str | None) -> bool:
    """Equal as printed, or as numbers: 0.10 is 0.1."""
    if a == b or a is None or b is None:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def rows_of(model: nn.Module) -> list[Row]:
    """The rows of a network, from its modules; one under two names stands twice, as in print."""
    rows = []
    for path, module in model.named_modules(remove_duplicate=False):
        if path and next(module.children(), None) is None:
            kind, _, said = repr(module).partition("(")
            rows.append(Row(path, kind, read_arguments(kind, one_line(said.removesuffix(")")))))
    return rows


def one_line(text: str) -> str:
    return " ".join(text.split())


def join_path(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def alike(a: str, b: str) -> bool:
    """Whether one word is the other or may be a misreading of it."""
    return a == b or SequenceMatcher(None, a.lower(), b.lower()).ratio() >= 0.6


def leaf(path: str | None) -> str:
    return (path or "").rpartition(".")[2]


WITHOUT_PARAMETERS = (
    "AdaptiveAvgPool2d", "Dropout", "Dropout2d", "Identity", "LeakyReLU", "MaxPool2d", "ReLU",
)  # fmt: skip


def parameter_count(rows: Iterable[Row]) -> int:
    """Trainable parameters of the layers, read literally.

    Raises:
        InputError: a type that is not among the counted ones, or an argument that the scan cut off.
    """
    return sum(map(_parameters, rows))


def _parameters(row: Row) -> int:
    if row.type in WITHOUT_PARAMETERS:
        return 0
    if row.type.startswith("BatchNorm"):
        width, affine, bias = (_needed(row, name) for name in ("num_features", "affine", "bias"))
        return int(width) * ((affine == "True") + (bias == "True"))
    if row.type == "Linear":
        takes, gives, bias = (_needed(row, name) for name in ("in_features", "out_features", "bias"))
        return (int(takes) + (bias == "True")) * int(gives)
    if row.type in ("Conv2d", "ConvTranspose2d"):
        names = ("in_channels", "out_channels", "kernel_size", "groups", "bias")
        takes, gives, kernel, groups, bias = (_needed(row, name) for name in names)
        height, _, width = kernel.strip("()").partition(",")
        weights = int(takes) * int(gives) * int(height) * int(width or height) // int(groups)
        return weights + int(gives) * (bias == "True")
    raise InputError(f"{row.path}: parameters of type {row.type!r} are not known")


def _needed(row: Row, name: str) -> str:
    value = row.arg(name)
    if value is None:
        raise InputError(f"{row.path}: {name} of {row.type} is not printed, its parameters cannot be counted")
    return value


def channels(row: Row) -> tuple[int | None, int | None]:
    """Channels or features that a layer takes and gives; None, None for one that changes none."""
    if row.type == "Linear":
        return row.number("in_features"), row.number("out_features")
    if row.type.startswith("Conv"):
        return row.number("in_channels"), row.number("out_channels")
    if row.type.startswith("BatchNorm"):
        return row.number("num_features"), row.number("num_features")
    return None, None


def last_layer(rows: Sequence[Row]) -> Row:
    """The last layer that makes channels. Raises: InputError, where there is none."""
    for row in reversed(rows):
        if channels(row)[1] is not None and not row.type.startswith("BatchNorm"):
            return row
    raise InputError("rows: no convolution or linear layer among them")
