"""mini-ImageNet, for pre-training: images whose labels are optional, and no validation split.

Layout: ``p1_data/mini/train/*.jpg`` and, where labelled, ``p1_data/mini/train.csv``.
"""

from __future__ import annotations

import os
from pathlib import Path

from reference.data.description import described_name
from reference.data.labelled import label_items, list_labelled, list_unlabelled
from reference.data.listing import Item, Listing, Report, composed, refuse


def list_files(source: Path, report: Report = refuse) -> Listing:
    """Find the images under ``source/p1_data/mini``; without ``train.csv`` no image has a label.

    Args:
        report: gets every fault: a folder that is missing or empty, a name that does not fit, a difference
            between CSV and folder, a bad ``dataset.toml``.
    """
    folder = source / "p1_data" / "mini"
    about = described_name(report, folder, folder.parent)
    if not os.path.lexists(folder / "train.csv"):  # a broken link is refused when it is read
        files = list_unlabelled(folder / "train", report)
        items = tuple(Item(composed(path.stem), path) for path in files)
        return Listing(items, (), (), about=about)
    train, val, classes = label_items(
        list_labelled(folder / "train.csv", folder / "train", report), [], report
    )
    return Listing(train, val, classes, about=about)
