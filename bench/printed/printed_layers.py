"""The layers of a printed network, their arguments and parameter counts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from reference.errors import InputError

if TYPE_CHECKING:
    from torch import nn


CUT = "…"


WHOLE_NUMBER = re.compile(r"\d{1,9}")  # a line or a size; neither has more digits


class Signature(NamedTuple):
    """A layer's arguments: the names of positional ones in their order, and torch's default values."""

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
    "GRU": Signature(
        ("input_size", "hidden_size"),
        {
            "num_layers": "1",
            "bias": "True",
            "batch_first": "False",
            "dropout": "0.0",
            "bidirectional": "False",
        },
    ),
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
class PrintedLayer:
    """One layer of a network: a module without children.

    Attributes:
        path: dotted, from the network's root.
        args: (name, value) of the arguments that differ from torch's defaults, as printed, but without
            spaces; a value that is equal on every axis is written once. If ``cut``, all printed arguments.
        cut: the scan cut the arguments off; those that are not in ``args`` are unknown.
        line: the line that prints it, counted from 1; 0 if none does. Comparisons ignore it.
    """

    path: str
    type: str
    args: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    line: int = field(default=0, compare=False)

    def arg(self, name: str) -> str | None:
        """Return the argument's value, printed or torch's default; None if neither is known."""
        given = dict(self.args)
        if name in given or self.cut:
            return given.get(name)
        if name == "bias" and self.type.startswith("BatchNorm"):
            return self.arg("affine")
        return SIGNATURES[self.type].defaults.get(name) if self.type in SIGNATURES else None

    def number(self, name: str) -> int | None:
        """Return the argument as a whole number; None if it is not one."""
        value = self.arg(name)
        return int(value) if value is not None and WHOLE_NUMBER.fullmatch(value) else None

    @property
    def layer(self) -> str:
        """The layer without its path, such as ``Linear(4096, 50)``."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        arguments = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return f"{self.type}({', '.join([*arguments, CUT] if self.cut else arguments)})"

    def __str__(self) -> str:
        """The layer's row in a listing file."""
        positional = SIGNATURES[self.type].positional if self.type in SIGNATURES else ()
        arguments = [value if name in positional else f"{name}={value}" for name, value in self.args]
        return " ".join([str(self.line), self.path, self.type, *arguments, *([CUT] if self.cut else [])])


def read_row(text: str) -> PrintedLayer:
    """Return a layer from its row in a listing file: line, path, type, arguments, ``…`` if they are cut off.

    Raises:
        InputError: fewer than three words, or a line that is no number.
    """
    words = text.split()
    if len(words) < 3 or not WHOLE_NUMBER.fullmatch(words[0]):
        raise InputError(f"row {text!r:.100}: expected line, path, type and arguments")
    line, path, kind, *arguments = words
    cut = arguments[-1:] == [CUT]
    args = read_arguments(
        kind, "".join(f"{argument}," for argument in arguments[: len(arguments) - cut]), cut
    )
    return PrintedLayer(path, kind, args, cut, int(line))


def read_arguments(kind: str, text: str, cut: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the arguments that a layer's brackets hold, by name and without torch's defaults.

    If the text is ``cut`` off, its last piece counts only if a comma follows, and defaults are kept, since
    the rest is unknown.
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
    """Return whether two values are equal as printed or as numbers: 0.10 is 0.1."""
    if a == b or a is None or b is None:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def rows_of(model: nn.Module) -> list[PrintedLayer]:
    """Return the layers of a network that is built; a module under two names comes twice, as in print."""
    rows = []
    for path, module in model.named_modules(remove_duplicate=False):
        if path and next(module.children(), None) is None:
            kind, _, arguments = repr(module).partition("(")
            rows.append(PrintedLayer(path, kind, read_arguments(kind, one_line(arguments.removesuffix(")")))))
    return rows


def one_line(text: str) -> str:
    """Join a text's words with single spaces."""
    return " ".join(text.split())


def join_path(*parts: str) -> str:
    """Join the parts of a dotted path, without the empty ones."""
    return ".".join(part for part in parts if part)


def alike(a: str, b: str) -> bool:
    """Return whether two words are equal or one may be a misreading of the other."""
    return a == b or SequenceMatcher(None, a.lower(), b.lower()).ratio() >= 0.6


def leaf(path: str | None) -> str:
    """Return the last name of a dotted path."""
    return (path or "").rpartition(".")[2]


WITHOUT_PARAMETERS = (
    "AdaptiveAvgPool2d", "Dropout", "Dropout2d", "Identity", "LeakyReLU", "MaxPool2d", "ReLU",
)  # fmt: skip


def parameter_count(rows: Iterable[PrintedLayer]) -> int:
    """Count the trainable parameters of layers, read literally.

    Raises:
        InputError: a layer is of an unknown type, or the scan cut off an argument that counts.
    """
    return sum(map(_parameters, rows))


def _parameters(row: PrintedLayer) -> int:
    if row.type in WITHOUT_PARAMETERS:
        return 0
    if row.type.startswith("BatchNorm"):
        width, affine, bias = (_needed(row, name) for name in ("num_features", "affine", "bias"))
        return int(width) * ((affine == "True") + (bias == "True"))
    if row.type == "Linear":
        takes, gives, bias = (_needed(row, name) for name in ("in_features", "out_features", "bias"))
        return (int(takes) + (bias == "True")) * int(gives)
    if row.type in ("Conv1d", "Conv2d", "ConvTranspose2d"):
        names = ("in_channels", "out_channels", "kernel_size", "groups", "bias")
        takes, gives, kernel, groups, bias = (_needed(row, name) for name in names)
        sides = [int(side) for side in kernel.strip("()").split(",")]
        positions = math.prod(sides * int(row.type[-2]) if len(sides) == 1 else sides)
        return int(takes) * int(gives) * positions // int(groups) + int(gives) * (bias == "True")
    if row.type == "GRU":
        names = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional")
        takes, width, layers, bias, both = (_needed(row, name) for name in names)
        hidden, directions = int(width), 2 if both == "True" else 1
        inputs = [int(takes)] + [hidden * directions] * (int(layers) - 1)
        biases = 2 if bias == "True" else 0
        return sum(3 * directions * hidden * (size + hidden + biases) for size in inputs)
    raise InputError(f"{row.path}: parameters of type {row.type!r} are not known")


def _needed(row: PrintedLayer, name: str) -> str:
    value = row.arg(name)
    if value is None:
        raise InputError(f"{row.path}: {name} of {row.type} is not printed, its parameters cannot be counted")
    return value


def channels(row: PrintedLayer) -> tuple[int | None, int | None]:
    """Return a layer's input and output channels or features; None, None if it keeps them."""
    if row.type == "Linear":
        return row.number("in_features"), row.number("out_features")
    if row.type.startswith("Conv"):
        return row.number("in_channels"), row.number("out_channels")
    if row.type.startswith("BatchNorm"):
        return row.number("num_features"), row.number("num_features")
    return None, None


def last_layer(rows: Sequence[PrintedLayer]) -> PrintedLayer:
    """Return the last convolution or linear layer.

    Raises:
        InputError: the network has none.
    """
    for row in reversed(rows):
        if channels(row)[1] is not None and not row.type.startswith("BatchNorm"):
            return row
    raise InputError("rows: no convolution or linear layer among them")
