"""The 50-class set: 32-pixel images whose file names carry the class.

Layout: ``p1_data/train_50/{class}_{i}.png`` and ``p1_data/val_50/{class}_{i}.png``, class 0, 1, 2 …
"""

from __future__ import annotations

import re
from pathlib import Path

from reference.data.description import find_description, read_name
from reference.data.labelled import label_items
from reference.data.listing import Listing, list_folder

FILE_NAME = re.compile(r"(?P<label>[0-9]+)_(?P<index>[0-9]+)\.png")


def list_files(source: Path) -> Listing:
    """Find the images of both splits under ``source/p1_data``.

    Raises:
        InputError: a folder is missing or empty, a name does not fit, a class is only in validation.
    """
    folder = source / "p1_data"
    train, val, classes = label_items(_labelled(folder / "train_50"), _labelled(folder / "val_50"))
    description = find_description(folder)
    name = None if description is None else read_name(description)
    return Listing(train, val, classes, name=name, described=description is not None)


def _labelled(folder: Path) -> list[tuple[Path, str]]:
    files = list_folder(folder, FILE_NAME, "CLASS_NUMBER.png such as 7_12.png, class a whole number")
    return [(path, match["label"].lstrip("0") or "0") for path, match in files]
