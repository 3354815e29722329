"""The Office-Home subset, for fine-tuning: everyday objects of 65 classes.

Layout: ``p1_data/office/train/*.jpg`` with ``train.csv``, ``p1_data/office/val/*.jpg`` with ``val.csv``.
"""

from __future__ import annotations

from pathlib import Path

from reference.data.description import described_name
from reference.data.labelled import label_items, list_labelled
from reference.data.listing import Listing, Report, refuse


def list_files(source: Path, report: Report = refuse) -> Listing:
    """Find the labelled images of both splits under ``source/p1_data/office``.

    Args:
        report: gets every fault: a folder or CSV that is missing or bad, a difference between them, a class
            that is only in validation, a bad ``dataset.toml``.
    """
    folder = source / "p1_data" / "office"
    about = described_name(report, folder, folder.parent)
    train, val, classes = label_items(
        list_labelled(folder / "train.csv", folder / "train", report),
        list_labelled(folder / "val.csv", folder / "val", report),
        report,
    )
    return Listing(train, val, classes, about=about)
