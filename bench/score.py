"""Score a folder of predicted masks by the course's mean IoU, in the lines that the course prints.

Counts are pooled over all masks. The mean runs over the palette's named classes, and unknown pixels are not
ignored. The course's script pairs files by their sorted position and misreads a wrong colour; this one pairs
them by name and refuses such a colour. Importing this never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.data.description import find_description, read_palette
from reference.data.landcover import read_mask
from reference.data.listing import composed, natural_key, shown
from reference.data.mask_values import stated
from reference.errors import InputError
from reference.metrics import Counts, class_iou, confusion_matrix, mean_iou

_NAMED = 3
"""How many missing files an error names."""
_LISTED = 8
"""How many files a note names."""


@dataclass(frozen=True)
class MaskFolder:
    """The masks of a folder by name, in natural order, and the files that were left out."""

    folder: Path
    masks: dict[str, Path]
    skipped: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Score:
    """The score of a folder of masks.

    Attributes:
        images: number of masks compared.
        classes: the scored classes, by name.
        iou: IoU of each scored class, 0…1; nan for a class that neither prediction nor truth holds.
        mean_iou: their mean; nan if any of them is.
        confusion: (C, C) int64 pooled counts, rows = truth, columns = prediction, unknown last.
        read: the files read and left out in each folder, predictions first.
        palette_of: the ``dataset.toml`` that the classes come from; None for the official classes.
    """

    images: int
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    mean_iou: float
    confusion: Counts
    read: tuple[MaskFolder, ...] = ()
    palette_of: Path | None = None


def score(pred_dir: Path, truth_dir: Path, *, mask_values: Sequence[str] = ()) -> Score:
    """Compare every mask in ``truth_dir`` with the one of the same name in ``pred_dir``.

    Masks are ``NAME_mask.png`` or ``NAME.png``, in either folder; ``NAME_sat.*`` is left out. The palette is
    that of a ``dataset.toml`` in the truth's folder or the one above, else the official one.

    Args:
        mask_values: what the values in the masks of both folders mean, as
            ``reference.data.mask_values.stated`` takes it; empty for colours of the palette.

    Raises:
        InputError: a folder is missing or holds no masks, the two do not hold the same names, or a mask is
            damaged, of another size than its counterpart, or has a colour outside the palette.
    """
    truths = _masks(truth_dir, "truth")
    predictions = _masks(pred_dir, "prediction")
    _check_same_names(predictions.masks, truths.masks, pred_dir, truth_dir)
    description = find_description(truth_dir, truth_dir.parent)
    palette = OFFICIAL_PALETTE if description is None else read_palette(description)[1]
    palette = stated(palette, mask_values) if mask_values else palette
    with ThreadPoolExecutor() as pool:
        each = pool.map(
            lambda name: _compare(predictions.masks[name], truths.masks[name], palette), truths.masks
        )
        pooled = np.sum(list(each), axis=0)
    scored = range(len(palette.classes))
    return Score(
        images=len(truths.masks),
        classes=palette.classes,
        iou=tuple(float(v) for v in class_iou(pooled)[: len(scored)]),
        mean_iou=mean_iou(pooled, scored, absent="nan"),
        confusion=pooled,
        read=(predictions, truths),
        palette_of=description,
    )


def lines(score: Score) -> list[str]:
    """Return the course's printed lines: ``class #0 : 0.73810`` …, then ``mean_iou: 0.663704``."""
    each = [f"class #{index} : {value:1.5f}" for index, value in enumerate(score.iou)]
    return [*each, f"mean_iou: {score.mean_iou:f}"]


def notes(score: Score) -> list[str]:
    """Return in lines the files read and left out, the classes, and those with an undefined or zero score."""
    missing_names = []
    for role, part in zip(("predictions", "truth"), score.read, strict=False):
        names = [path.name for path in part.masks.values()]
        missing_names.append(f"{role}: {len(names):,} masks of {shown(part.folder)}: {_listed(names)}")
        if part.skipped:
            missing_names.append(
                f"{role}: skipped {len(part.skipped):,} that are no masks (NAME_mask.png, NAME.png): "
                f"{_listed(part.skipped)}"
            )
    classes = ", ".join(f"#{index} {name}" for index, name in enumerate(score.classes))
    palette = "the official palette" if score.palette_of is None else shown(score.palette_of)
    missing_names.append(f"classes ({palette}): {classes}; not averaged: #{len(score.classes)} unknown")
    predicted, true = score.confusion.sum(axis=0), score.confusion.sum(axis=1)
    for index, name in enumerate(score.classes):
        if not predicted[index] and not true[index]:
            missing_names.append(
                f"class #{index} {name} is in no mask: its IoU and the mean are undefined (nan)"
            )
        elif not true[index]:
            missing_names.append(f"class #{index} {name} is in no true mask, but predicted: its IoU is 0")
        elif not predicted[index]:
            missing_names.append(f"class #{index} {name} is in no predicted mask: its IoU is 0")
    return missing_names


def _listed(names: Sequence[str]) -> str:
    if len(names) > _LISTED:
        return f"{', '.join(map(shown, names[: _LISTED - 1]))}, … {shown(names[-1])}"
    return ", ".join(map(shown, names))


def _masks(folder: Path, role: str) -> MaskFolder:
    try:
        files = sorted(folder.iterdir(), key=lambda path: natural_key(composed(path.name)))
    except OSError as error:
        raise InputError(
            f"{shown(folder)}: cannot be listed ({error.strerror}); expected a folder of {role} masks"
        ) from None
    masks: dict[str, Path] = {}
    skipped = []
    for path in files:
        if path.suffix.lower() != ".png" or path.name.startswith(".") or path.stem.endswith("_sat"):
            skipped.append(path.name)
            continue
        name = composed(path.stem.removesuffix("_mask"))
        if name in masks:
            raise InputError(
                f"{shown(path)}: {shown(masks[name].name)} next to it has the same name; "
                "expected one mask for each image; remove one of the two"
            )
        masks[name] = path
    if not masks:
        raise InputError(f"{shown(folder)}: no masks; expected NAME_mask.png or NAME.png; check the path")
    return MaskFolder(folder, masks, tuple(skipped))


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
