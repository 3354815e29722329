"""The meaning of the values in a mask: colours of the palette, or labels in an order that a person states.

Labels look like colours that are nearly black, so a mask of labels would be read as unknown everywhere.
A file does not show which value is which class. A person states it (``--mask-values``, or ``mask_values`` in
``dataset.toml``); the program never guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reference.data.dataset import Palette
from reference.data.listing import composed
from reference.errors import InputError

COLOURS = "colours"
LARGEST = 2**16 - 1
OPTION = "--mask-values"


def stated(palette: Palette, entries: Sequence[str], key: str = OPTION) -> Palette:
    """Return the palette with the meaning of mask values that ``entries`` state.

    Args:
        entries: ``("colours",)``, or class names by value from 0 on. An entry such as ``"255=unknown"``
            states its value; the next name has the value after that one.
        key: name of the entries in errors.

    Raises:
        InputError: a name that is not a class, a value out of range or stated twice, a class without a value.
    """
    entries = tuple(composed(entry.strip()) for entry in entries)
    if entries == (COLOURS,):
        return replace(palette, mask_values=entries)
    names = (*palette.classes, "unknown")
    index = {name: i for i, name in enumerate(names)}
    labels: dict[int, int] = {}
    value = 0
    for entry in entries:
        parts = ("", "", entry) if entry in index else entry.rpartition("=")
        number, _, name = (part.strip() for part in parts)
        if number:
            value = int(number) if number.isdecimal() and number.isascii() and len(number) < 6 else -1
        if not 0 <= value <= LARGEST:
            raise InputError(f"{key}: found value {number!r}; expected a whole number, 0 to {LARGEST}")
        if name not in index:
            raise InputError(
                f"{key}: found {name!r}; expected 'colours', or the classes in the order of their values: "
                f"{', '.join(names)}"
            )
        if value in labels:
            raise InputError(f"{key}: value {value} is stated twice; expected each value once")
        labels[value] = index[name]
        value += 1
    for name in palette.classes:
        if index[name] not in labels.values():
            raise InputError(f"{key}: found no value for {name!r}; expected one for every class")
    return replace(palette, mask_values=entries, labels=tuple(labels.items()))
