"""``bench score``: the course's mean IoU of a folder of predicted masks, in the course's own printed lines.

The counts are pooled over all masks and the mean runs over the palette's named classes; unknown pixels are
not ignored. Where the course's script pairs files by their sorted position and reads a wrong colour as
garbage, this one pairs by name and refuses.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.description import find_description, read_palette
from reference.data.landcover import read_mask
from reference.data.listing import natural_key, shown
from reference.errors import InputError
from reference.metrics import Counts, class_iou, confusion_matrix, mean_iou

_NAMED = 3
"""How many missing files an error names."""


@dataclass(frozen=True, eq=False)
class Score:
    """What a folder of masks scores.

    Attributes:
        images: number of masks compared.
        classes: the scored classes, by name.
        iou: IoU of each scored class, 0…1; nan for one that neither prediction nor truth holds.
        mean_iou: their mean; nan if any of them is.
        confusion: (C, C) int64 pooled counts, rows = truth, columns = prediction, unknown last.
    """

    images: int
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    mean_iou: float
    confusion: Counts


def score(pred_dir: Path, truth_dir: Path) -> Score:
    """Compare every mask in ``truth_dir`` with the one of the same name in ``pred_dir``.

    Masks are ``NAME_mask.png`` or ``NAME.png``, in either folder; ``NAME_sat.*`` is left out. The palette is
    that of a ``dataset.toml`` in the truth's folder or the one above, else the official one.

    Raises:
        InputError: a folder is missing or holds no masks, the two do not hold the same names, or a mask is
            damaged, of another size than its counterpart, or has a colour outside the palette.
    """
    truths = _masks(truth_dir, "truth")
    predictions = _masks(pred_dir, "prediction")
    _check_same_names(predictions, truths, pred_dir, truth_dir)
    description = find_description(truth_dir, truth_dir.parent)
    palette = OFFICIAL_PALETTE if description is None else read_palette(description)[1]
    with ThreadPoolExecutor() as pool:
        each = pool.map(lambda name: _compare(predictions[name], truths[name], palette), truths)
        pooled = np.sum(list(each), axis=0)
    scored = range(len(palette.classes))
    return Score(
        images=len(truths),
        classes=palette.classes,
        iou=tuple(float(v) for v in class_iou(pooled)[: len(scored)]),
        mean_iou=mean_iou(pooled, scored, absent="nan"),
        confusion=pooled,
    )


def lines(score: Score) -> list[str]:
    """The course's printed lines: ``class #0 : 0.73810`` …, then ``mean_iou: 0.663704``."""
    each = [f"class #{index} : {value:1.5f}" for index, value in enumerate(score.iou)]
    return [*each, f"mean_iou: {score.mean_iou:f}"]


def _masks(folder: Path, role: str) -> dict[str, Path]:
    """The masks of a folder by the name that a pair shares, in natural order."""
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"{shown(folder)}: cannot be listed ({error.strerror}); expected a folder of {role} masks"
        ) from None
    masks: dict[str, Path] = {}
    for path in sorted(files, key=lambda p: natural_key(p.name)):
        if path.stem.endswith("_sat"):
            continue
        name = path.stem.removesuffix("_mask")
        if name in masks:
            raise InputError(
                f"{shown(path)}: {shown(masks[name].name)} beside it has the same name; "
                "expected one mask for each image; remove one of the two"
            )
        masks[name] = path
    if not masks:
        raise InputError(f"{shown(folder)}: no masks; expected NAME_mask.png or NAME.png; check the path")
    return masks


def _check_same_names(
    predictions: dict[str, Path], truths: dict[str, Path], pred_dir: Path, truth_dir: Path
) -> None:
    for folder, other, absent in (
        (pred_dir, truth_dir, [name for name in truths if name not in predictions]),
        (truth_dir, pred_dir, [name for name in predictions if name not in truths]),
    ):
        if absent:
            more = ", …" if len(absent) > _NAMED else ""
            raise InputError(
                f"{shown(folder)}: {len(absent)} of the masks in {shown(other)} have no counterpart here "
                f"({', '.join(shown(name) for name in absent[:_NAMED])}{more}); "
                "expected the same names in both folders; add or remove masks"
            )


def _compare(prediction: Path, truth: Path, palette: Palette) -> Counts:
    predicted, true = read_mask(prediction, palette), read_mask(truth, palette)
    if predicted.shape != true.shape:
        raise InputError(
            f"{shown(prediction)}: found {_size(predicted)} pixels; expected {_size(true)}, the size of "
            f"{shown(truth)}; write predictions in the size of the truth"
        )
    return confusion_matrix(predicted, true, num_classes=len(palette.classes) + 1)


def _size(mask: np.ndarray) -> str:
    return f"{mask.shape[1]}x{mask.shape[0]}"
