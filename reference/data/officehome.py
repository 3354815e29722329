"""The Office-Home subset, for fine-tuning: everyday objects of 65 classes.

Layout: ``p1_data/office/train/*.jpg`` with ``train.csv``, ``p1_data/office/val/*.jpg`` with ``val.csv``.
"""

from __future__ import annotations

from pathlib import Path

from reference.data.description import find_description, read_name
from reference.data.labelled import label_items, list_labelled
from reference.data.listing import Listing


def list_files(source: Path) -> Listing:
    """Find the labelled images of both splits under ``source/p1_data/office``.

    Raises:
        InputError: a folder or CSV is missing or bad, they disagree, or a class is only in validation.
    """
    folder = source / "p1_data" / "office"
    train, val, classes = label_items(
        list_labelled(folder / "train.csv", folder / "train"),
        list_labelled(folder / "val.csv", folder / "val"),
    )
    description = find_description(folder, folder.parent)
    name = None if description is None else read_name(description)
    return Listing(train, val, classes, name=name, described=description is not None)
