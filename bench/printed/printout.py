"""Reads the text that ``print(model)`` gives of a network.

Only an intact printout is read. If brackets are missing or in surplus, nobody can tell which module a layer
belongs to, so the reader refuses the text. ``claims/listings`` holds the damaged listings of the reports,
transcribed row by row.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bench.printed.printed_layers import WHOLE_NUMBER, PrintedLayer, join_path, one_line, read_arguments
from reference.errors import InputError

MOST_LAYERS = 100_000
"""The reader refuses printouts of more layers: torch writes equal neighbours once, so ten lines may hold
billions."""

_ROOT = re.compile(r"\s*([A-Za-z_]\w*)\(")
_HEADER_OR_BRACKET = re.compile(r"\(([^()\s]+)\): (?:(\d+) x )?([A-Za-z_]\w*)\(|[()]")


@dataclass(kw_only=True)
class _OpenModule:
    """A module whose closing bracket is still to come."""

    name: str
    count: str | None
    type: str
    start: int
    arguments: str = ""
    open_brackets: int = 0
    layers: list[PrintedLayer] = field(default_factory=list)


def parse(text: str, first_line: int = 1) -> list[PrintedLayer]:
    """Return the layers of a network from the text that ``print(model)`` gives, or from a part of it.

    Brackets alone decide which module a layer belongs to; indentation and line breaks do not count.

    Args:
        text: a whole network, or modules that follow each other, such as ``(0): ReLU()``.
        first_line: the number of the text's first line; layers and refusals count from there.

    Raises:
        InputError: brackets do not match, text stands outside all modules, an abbreviation such as
            ``(0-2): 3 x ReLU()`` counts wrongly, or there are more than ``MOST_LAYERS`` layers.

    >>> [str(layer) for layer in parse("Net(\\n  (fc): Linear(in_features=9, out_features=3, bias=True)\\n)")]
    ['2 fc Linear 9 3']
    """
    line_breaks = [match.start() for match in re.finditer("\n", text)]

    def refusal(position: int, problem: str) -> InputError:
        line = first_line + bisect_left(line_breaks, position)
        return InputError(f"line {line}: {problem}; give the whole, unchanged output of print(model)")

    root = _ROOT.match(text)
    network = _OpenModule(
        name="", count=None, type=root[1] if root else "", start=root.start(1) if root else 0
    )
    open_modules, position = [network], root.end() if root else 0
    for token in _HEADER_OR_BRACKET.finditer(text, position):
        module = open_modules[-1]
        if module is network and not root:
            _refuse_words(text, position, token.start(), refusal)
        module.arguments += text[position : token.start()]
        position = token.end()
        if token[3]:
            if module.open_brackets:
                raise refusal(token.start(), f"{token[0]!r} stands inside the arguments of {module.type}")
            open_modules.append(
                _OpenModule(name=token[1], count=token[2], type=token[3], start=token.start())
            )
        elif token[0] == "(" and (root or module is not network):
            module.open_brackets += 1
            module.arguments += "("
        elif module.open_brackets:
            module.open_brackets -= 1
            module.arguments += ")"
        elif module is not network:
            open_modules.pop()
            names = _names(module.name, module.count)
            if not names:
                raise refusal(module.start, f"({module.name}) does not name {module.count} modules")
            line = first_line + bisect_left(line_breaks, module.start)
            arguments = read_arguments(module.type, one_line(module.arguments))
            layers = module.layers or [PrintedLayer("", module.type, arguments, line=line)]
            outer = open_modules[-1].layers
            if len(outer) + len(names) * len(layers) > MOST_LAYERS:
                raise refusal(module.start, f"more than {MOST_LAYERS:,} layers, more than any network prints")
            outer += [replace(layer, path=join_path(name, layer.path)) for name in names for layer in layers]
        elif root:
            open_modules.pop()
            break
        else:
            raise refusal(token.start(), f"the bracket {token[0]!r} belongs to no module")
    if open_modules and (root or len(open_modules) > 1):
        module = open_modules[-1]
        raise refusal(module.start, f"the bracket that {module.type} opens is never closed")
    _refuse_words(text, position, len(text), refusal)
    return network.layers


def _refuse_words(text: str, start: int, end: int, refusal: Callable[[int, str], InputError]) -> None:
    """Raise the refusal if anything but blanks stands in that stretch of the text, outside all modules."""
    words = text[start:end]
    if words.strip():
        first = start + len(words) - len(words.lstrip())
        raise refusal(first, f"{words.strip().splitlines()[0]!r:.60} belongs to no module")


def _names(span: str, count: str | None) -> Sequence[str]:
    """Return the names that a header gives: ``0-2`` and ``3`` are 0, 1, 2. Empty if the two disagree."""
    if count is None:
        return [span]
    first, _, last = span.partition("-")
    if not all(map(WHOLE_NUMBER.fullmatch, (first, last, count))) or int(last) - int(first) + 1 != int(count):
        return []
    return [str(number) for number in range(int(first), min(int(last), int(first) + MOST_LAYERS) + 1)]
