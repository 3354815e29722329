"""Worst and best images of an evaluation, each with a map of the pixels that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reference.data.dataset import Palette
from reference.visualize import palette_legend, tile_sheet

RIGHT, WRONG = np.array([232, 232, 232], np.uint8), np.array([213, 94, 0], np.uint8)


def error_map(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """Colour each pixel: right, wrong, or unknown in the truth. (H, W) classes twice → (H, W, 3) RGB."""
    colours = np.where((truth == predicted)[..., None], RIGHT, WRONG)
    unknown = truth == palette.unknown_index
    return np.where(unknown[..., None], palette.table[-1], colours).astype(np.uint8)


def draw_extremes(
    *,
    images: Sequence[NDArray[np.uint8]],
    truth: Sequence[NDArray[np.uint8]],
    predicted: Sequence[NDArray[np.uint8]],
    scores: Sequence[float],
    ids: Sequence[str],
    palette: Palette,
    title: str,
    path: Path,
) -> None:
    """Draw one row for each image, worst first: image, truth, prediction and error map.

    Args:
        images: (H, W, 3) RGB each.
        truth, predicted: (H, W) classes each.
        scores: mean IoU of each image.
        ids: name of each image.
        palette: names and colours of the classes.
        title: network, tier and source of the data.
        path: PNG file to write.
    """
    columns: dict[str, Sequence[NDArray[np.uint8]]] = {
        "image": images,
        "truth": [palette.encode(mask) for mask in truth],
        "prediction": [palette.encode(mask) for mask in predicted],
        "errors": [error_map(t, p, palette) for t, p in zip(truth, predicted, strict=True)],
    }
    rows = [f"{name}: mean IoU {score:.2f}" for name, score in zip(ids, scores, strict=True)]
    legend = palette_legend(palette) | {"right": RIGHT, "wrong": WRONG}
    tile_sheet(columns, rows=rows, legend=legend, title=title, path=path)
