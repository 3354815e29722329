"""The 50-class set: 32-pixel images whose file names carry the class.

Layout: ``p1_data/train_50/{class}_{i}.png`` and ``p1_data/val_50/{class}_{i}.png``, class 0, 1, 2 …
"""

from __future__ import annotations

import re
from pathlib import Path

from reference.data.description import described_name
from reference.data.labelled import label_items
from reference.data.listing import Listing, Report, list_folder, refuse

FILE_NAME = re.compile(r"(?P<label>[0-9]+)_(?P<index>[0-9]+)\.png")


def list_files(source: Path, report: Report = refuse) -> Listing:
    """Find the images of both splits under ``source/p1_data``.

    Args:
        report: gets every fault: a folder that is missing or empty, a name that does not fit, a class that
            is only in validation, a bad ``dataset.toml``.
    """
    folder = source / "p1_data"
    about = described_name(report, folder)
    of_train, of_val = _labelled(folder / "train_50", report), _labelled(folder / "val_50", report)
    train, val, classes = label_items(of_train, of_val, report)
    return Listing(train, val, classes, about=about)


def _labelled(folder: Path, report: Report) -> list[tuple[Path, str]]:
    expected = "CLASS_NUMBER.png such as 7_12.png, class a whole number"
    files = list_folder(folder, FILE_NAME, expected, report)
    return [(path, match["label"].lstrip("0") or "0") for path, match in files]
