"""mini-ImageNet, for pre-training: images whose labels are optional, and no validation split.

Layout: ``p1_data/mini/train/*.jpg`` and, where labelled, ``p1_data/mini/train.csv``.
"""

from __future__ import annotations

from pathlib import Path

from reference.data.description import find_description, read_name
from reference.data.labelled import label_items, list_labelled, list_unlabelled
from reference.data.listing import Item, Listing


def list_files(source: Path) -> Listing:
    """Find the images under ``source/p1_data/mini``; without ``train.csv`` no image has a label.

    Raises:
        InputError: the folder is missing or empty, a name does not fit, or the CSV and it disagree.
    """
    folder = source / "p1_data" / "mini"
    description = find_description(folder, folder.parent)
    name = None if description is None else read_name(description)
    described = description is not None
    if not (folder / "train.csv").exists():
        items = tuple(Item(path.stem, path) for path in list_unlabelled(folder / "train"))
        return Listing(items, (), (), name=name, described=described)
    train, val, classes = label_items(list_labelled(folder / "train.csv", folder / "train"), [])
    return Listing(train, val, classes, name=name, described=described)
