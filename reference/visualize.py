"""Pictures of a run: mask strips, overlays, curves, per-class IoU, confusion; and of a machine: its roofline.

Every picture depends only on its arguments. It uses matplotlib's own defaults whatever the user has set, its
bundled font, and no dates. The same numbers give the same bytes, so a stored hash shows a stale file.
The title always names recipe and data, because people copy figures without their page.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from reference.data.dataset import Palette
from reference.files import write_atomically

# Okabe and Ito's palette: its colours differ under all common colour vision deficiencies, and in print.
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#B8A800")
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<")

WIDTH = 1000  # pixels of every picture; text is sized to survive a phone, which shows it at 0.375
_DPI = 100
_GAP = 6
_NAMED_CELLS = 12  # more classes than this leave no room for a number in each cell


class StripGrid(NamedTuple):
    """The positions of the tiles in a mask strip, in pixels: the first at (left, top), then one per pitch."""

    left: int
    top: int
    side: int
    pitch: int
    legend_rows: int

    @property
    def legend(self) -> int:
        """Return the height of the legend at the bottom."""
        return self.legend_rows * 40 + 16

    def height(self, rows: int) -> int:
        """Return the height of the whole picture."""
        return self.top + rows * self.pitch + self.legend


def strip_grid(columns: int, classes: Sequence[str]) -> StripGrid:
    """Return the grid of ``mask_strips`` for a number of columns, to cut the picture into tiles."""
    left = 46
    side = (WIDTH - left - columns * _GAP) // columns
    legend_rows = -(-sum(len(name) + 6 for name in classes) // 56)
    return StripGrid(left=left, top=90, side=side, pitch=side + _GAP, legend_rows=legend_rows)


def mask_strips(
    *,
    images: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    predictions: Mapping[int, NDArray[np.uint8]],
    palette: Palette,
    ids: Sequence[str],
    title: str,
    path: Path,
) -> None:
    """Draw one row for each image: image, truth, and the prediction at each epoch, with one legend below.

    Args:
        images: (N, H, W, 3) RGB.
        truth: (N, H, W) class of each pixel.
        predictions: (N, h, w) classes by epoch; columns come in the epochs' order. Their sides may differ
            from the image's: tiles are scaled, masks with nearest neighbour.
        palette: names and colours of the classes; pixels and legend use the same.
        ids: N names, one for each row.
        title: network, tier and source of the data, e.g. ``"ResNet34-FCN8s, smoke tier, synthetic data"``.
        path: PNG file to write.

    Raises:
        ValueError: counts differ, or a mask holds a class without a colour.
    """
    epochs = sorted(predictions)
    masks = [truth, *(predictions[epoch] for epoch in epochs)]
    _check_strips(images, masks, ids)
    columns: dict[str, Sequence[NDArray[np.uint8]]] = {"image": list(images)}
    for name, mask in zip(["truth", *(f"epoch {epoch}" for epoch in epochs)], masks, strict=True):
        columns[name] = [palette.encode(one) for one in mask]
    tile_sheet(columns, rows=ids, legend=palette_legend(palette), title=title, path=path)


def palette_legend(palette: Palette) -> dict[str, NDArray[np.uint8]]:
    """Return the colour of each class by name, with that of unknown pixels at the end."""
    return dict(zip((*palette.classes, "unknown"), palette.table, strict=True))


def tile_sheet(
    columns: Mapping[str, Sequence[NDArray[np.uint8]]],
    *,
    rows: Sequence[str],
    legend: Mapping[str, NDArray[np.uint8]],
    title: str,
    path: Path,
) -> None:
    """Draw a table of tiles with a legend below; the column named "image" holds photographs.

    Args:
        columns: RGB tiles (H, W, 3) by the column's name, one for each row. Tiles are scaled: photographs
            smoothly, others with nearest neighbour.
        rows: name of each row, written upright at its left.
        legend: RGB colour by name.
        title: network, tier and source of the data.
        path: PNG file to write.
    """
    grid = strip_grid(len(columns), list(legend))
    left, top, side, height = grid.left, grid.top, grid.side, grid.height(len(rows))
    sheet = np.full((height, WIDTH, 3), 255, dtype=np.uint8)
    for column, (name, tiles) in enumerate(columns.items()):
        for row, tile in enumerate(tiles):
            y, x = top + row * grid.pitch, left + column * grid.pitch
            sheet[y : y + side, x : x + side] = _scaled(tile, side, smooth=name == "image")

    with _defaults():
        figure = Figure(figsize=(WIDTH / _DPI, height / _DPI), dpi=_DPI)
        figure.figimage(sheet)
        figure.text(left / WIDTH, 1 - 4 / height, _wrapped(title, 60), fontsize=16, weight="bold", va="top")
        for column, name in enumerate(columns):
            middle = left + column * grid.pitch + side / 2
            figure.text(middle / WIDTH, 1 - (top - 8) / height, name, fontsize=18, ha="center", va="bottom")
        for row, name in enumerate(rows):
            middle = top + row * grid.pitch + side / 2
            figure.text(
                20 / WIDTH, 1 - middle / height, name, fontsize=15, rotation=90, ha="center", va="center"
            )
        figure.legend(
            handles=[
                Patch(facecolor=tuple(colour / 255), edgecolor="black", linewidth=0.8, label=name)
                for name, colour in legend.items()
            ],
            loc="lower center",
            ncols=-(-len(legend) // grid.legend_rows),
            frameon=False,
            fontsize=17,
            handlelength=1.2,
            handleheight=1.0,
            columnspacing=1.4,
            borderpad=0.2,
        )
        _save(figure, path)


def overlay(
    image: NDArray[np.uint8],
    masks: Sequence[NDArray[np.bool_]],
    *,
    title: str,
    caption: str,
    path: Path,
) -> None:
    """Draw an image next to a copy with outlined masks, each in its own colour, small ones on top.

    Args:
        image: (H, W, 3) RGB; drawn as a square.
        masks: (H, W) each; colours follow their order.
        title: network, tier and source of the data.
        caption: the image, and what was found on it.
        path: PNG file to write.

    Raises:
        ValueError: a mask does not have the image's size.
    """
    for mask in masks:
        if mask.shape != image.shape[:2]:
            raise ValueError(f"mask {mask.shape}, expected the image's {image.shape[:2]}")
    top, side = 96, (WIDTH - 3 * _GAP) // 2
    height = top + side + _GAP
    painted = _scaled(image, side, smooth=True).astype(np.float64)
    hues = np.arange(len(masks)) * 0.618034 % 1  # steps of the golden ratio: neighbours in order differ most
    colours = hsv_to_rgb(np.stack([hues, np.full(len(masks), 0.85), np.ones(len(masks))], axis=-1)) * 255
    for mask_index in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        tile = _scaled(masks[mask_index].astype(np.uint8), side, smooth=False).astype(bool)
        inner = _inside(_inside(tile))
        painted[inner] = 0.5 * painted[inner] + 0.5 * colours[mask_index]
        painted[tile & ~inner] = colours[mask_index] * 0.6
    sheet = np.full((height, WIDTH, 3), 255, dtype=np.uint8)
    for column, tile in enumerate((_scaled(image, side, smooth=True), painted.round().astype(np.uint8))):
        x = _GAP + column * (side + _GAP)
        sheet[top : top + side, x : x + side] = tile
    with _defaults():
        figure = Figure(figsize=(WIDTH / _DPI, height / _DPI), dpi=_DPI)
        figure.figimage(sheet)
        figure.text(_GAP / WIDTH, 1 - 4 / height, _wrapped(title, 64), fontsize=16, weight="bold", va="top")
        figure.text(_GAP / WIDTH, 1 - 58 / height, caption, fontsize=17, va="top")
        _save(figure, path)


def curves(
    values: Mapping[str, Sequence[float]],
    *,
    primary: str,
    title: str,
    path: Path,
    selected: int | None = None,
) -> None:
    """Draw losses and the metric by epoch; for pre-training also the spread and the effective rank.

    Args:
        values: one value an epoch, epoch 1 first: ``train_loss``, ``val_loss``, the curve named by
            ``primary``, and ``probe_embedding_std`` and ``probe_effective_rank``. Others are left out.
        primary: ``val_top1``, ``val_miou`` or ``probe_knn``.
        title: network, tier and source of the data.
        path: PNG or SVG file to write.
        selected: epoch (from 1) that the reported figure is taken from; drawn as a dotted line.
    """
    losses = {n.removesuffix("_loss"): values[n] for n in ("train_loss", "val_loss") if n in values}
    panels = [("loss", losses, 0)]
    for name in dict.fromkeys((primary, "probe_embedding_std", "probe_effective_rank")):
        if name in values:
            split = "train" if name.startswith("probe_") else "val"
            label = _CURVES.get(name, name)
            panels.append((label, {f"{label} on {split}": values[name]}, 2))
    rows = -(-len(panels) // 2)
    with _defaults():
        figure = Figure(figsize=(WIDTH / _DPI, 4.4 * rows), dpi=_DPI, layout="constrained")
        figure.suptitle(_wrapped(title), fontsize=16, weight="bold")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for place, (label, lines, first) in zip(axes, panels, strict=False):
            _lines(place, lines, label, selected, first=first)
            if place is not axes[0]:
                # from zero, so that a flat curve looks flat
                place.set_ylim(0, max(max(map(_top, lines.values())) * 1.08, 1e-3))
        for place in axes[len(panels) :]:
            place.set_axis_off()
        _save(figure, path)


_CURVES = {
    "val_top1": "top-1 accuracy",
    "val_miou": "mean IoU",
    "probe_knn": "20-NN accuracy",
    "probe_embedding_std": "embedding std",
    "probe_effective_rank": "effective rank",
}


def embeddings(
    points: Mapping[int, NDArray[np.float32]],
    *,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    method: str,
    layer: str,
    curves: Mapping[str, Sequence[float]],
    title: str,
    path: Path,
) -> None:
    """Draw the embedded points at each epoch, a colour and a marker for each class, with their scores.

    Args:
        points: (N, 2) by epoch.
        labels: (N,) class of each point.
        classes: their names; few enough are named in a legend.
        method: ``"tsne"`` or ``"pca"``.
        layer: which layer of the network the points show, for the title.
        curves: holds ``knn_purity`` and ``silhouette`` of the method, one value an epoch.
        title: network, tier and source of the data.
        path: PNG or SVG file to write.
    """
    prefix, name = ("", "t-SNE") if method == "tsne" else (f"{method}_", method.upper())
    columns = min(2, len(points))
    rows = -(-len(points) // columns)
    named = len(classes) <= _NAMED_CELLS
    with _defaults():
        height = 4.9 * rows + (1.1 if named else 0.3)
        figure = Figure(figsize=(WIDTH / _DPI, height), dpi=_DPI, layout="constrained")
        figure.suptitle(_wrapped(f"{title}, {name} of the {layer}"), fontsize=15, weight="bold")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, epoch in zip(grid, sorted(points), strict=False):
            for label in range(len(classes)):
                mine = points[epoch][labels == label]
                axes.scatter(
                    *mine.T,
                    s=22,
                    color=_COLOURS[label % len(_COLOURS)],
                    marker=_MARKERS[label // len(_COLOURS) % len(_MARKERS)],
                    linewidths=0,
                    label=classes[label] if named and epoch == min(points) else None,
                )
            purity, width = (curves[f"{prefix}{n}"][epoch - 1] for n in ("knn_purity", "silhouette"))
            heading = f"epoch {epoch}: 10-NN purity {purity:.2f}, silhouette {width:.2f}"
            axes.set_title(heading, fontsize=14)
            axes.set_xticks([])
            axes.set_yticks([])
        for axes in grid[len(points) :]:
            axes.set_axis_off()
        if named:
            figure.legend(loc="outside lower center", ncols=4, fontsize=14, frameon=False, markerscale=2)
        _save(figure, path)


def class_iou_curves(
    values: Mapping[str, Sequence[float]],
    *,
    mean: Sequence[float],
    title: str,
    path: Path,
    selected: int | None = None,
) -> None:
    """Draw the IoU of each class by epoch, with name and value at the end of each line, and the mean.

    Args:
        values: one fraction an epoch by class, epoch 1 first; nan where the class occurs neither in truth nor
            in prediction.
        mean: the mean IoU, one fraction an epoch.
        title: network, tier and source of the data.
        path: PNG or SVG file to write.
        selected: epoch (from 1) that the reported figure is taken from; drawn as a dotted line.
    """
    epochs = np.arange(1, len(mean) + 1)
    selected_index = (selected or len(mean)) - 1
    with _defaults():
        figure = Figure(figsize=(WIDTH / _DPI, 6.2), dpi=_DPI)
        figure.suptitle(_wrapped(title), fontsize=16, weight="bold")
        # the names stand in a column on the right, where they cover no line
        axes = figure.add_axes((0.085, 0.12, 0.6, 0.77))
        for order, line in enumerate(values.values()):
            colour, marker = _COLOURS[order % len(_COLOURS)], _MARKERS[order % len(_MARKERS)]
            every = max(1, len(line) // 10)
            axes.plot(epochs, line, color=colour, marker=marker, markevery=every, ms=7, lw=1.8)
        axes.plot(epochs, mean, color="black", lw=3.4)
        if selected is not None:
            axes.axvline(selected, color=GREY, ls=":", lw=2)
        top = min(1.0, max(_top(line) for line in (*values.values(), mean)) * 1.08 + 1e-3)
        axes.set_ylim(0, top)
        named = {**values, "mean": mean}
        ranked = sorted(named, key=lambda name: (named[name][-1] == named[name][-1], named[name][-1]))
        ends = [float(np.nan_to_num(named[name][-1])) / top for name in ranked]
        for name, end, place in zip(ranked, ends, _apart(ends, 0.065), strict=True):
            value = named[name][selected_index]
            colour = _COLOURS[list(values).index(name) % len(_COLOURS)] if name in values else "black"
            axes.annotate(
                f"{name} {'absent' if value != value else f'{value:.3f}'}",
                (1, end),
                xycoords="axes fraction",
                xytext=(1.05, place),
                textcoords="axes fraction",
                fontsize=15,
                va="center",
                color="black",
                weight="normal" if name in values else "bold",
                arrowprops={
                    "arrowstyle": "-",
                    "color": colour,
                    "lw": 1.8,
                    "relpos": (0, 0.5),
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        when = (
            f"epoch {selected_index + 1}, selected" if selected is not None else f"epoch {selected_index + 1}"
        )
        axes.text(1.05, 1.03, f"IoU at {when}", transform=axes.transAxes, fontsize=13, color=GREY)
        axes.set_xlabel("epoch", fontsize=17)
        axes.set_ylabel("IoU on val", fontsize=17)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(labelsize=14)
        axes.grid(color="#DDDDDD", lw=0.8)
        _clear(axes)
        _save(figure, path)


def confusion_picture(
    confusion: NDArray[np.int64], *, classes: Sequence[str], title: str, path: Path
) -> None:
    """Draw the confusion matrix as shares of each true class, with numbers if they fit.

    Args:
        confusion: (C, C) counts, rows truth, columns prediction.
        classes: C names.
        title: network, tier and source of the data.
        path: PNG or SVG file to write.
    """
    counts = np.asarray(confusion, dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    few = len(classes) <= _NAMED_CELLS
    with _defaults():
        figure = Figure(figsize=(WIDTH / _DPI, 8.6), dpi=_DPI, layout="constrained")
        figure.suptitle(_wrapped(title), fontsize=15, weight="bold")
        axes = figure.subplots()
        # cividis goes evenly from dark to light for every kind of colour vision
        picture = axes.imshow(shares, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
        bar = figure.colorbar(picture, ax=axes, shrink=0.85)
        bar.set_label("share of the true class", fontsize=14)
        bar.ax.tick_params(labelsize=12)
        size = 14 if few else 7
        axes.set_xticks(range(len(classes)), classes, rotation=45 if few else 90, fontsize=size)
        if few:
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
                label.set_rotation_mode("anchor")
        axes.set_yticks(range(len(classes)), classes, fontsize=size)
        axes.set_xlabel("prediction", fontsize=15)
        axes.set_ylabel("truth", fontsize=15)
        if few:
            for (row, column), share in np.ndenumerate(shares):
                colour = "black" if share > 0.6 else "white"
                axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=13, color=colour)
        _save(figure, path)


def roofline(
    points: Mapping[str, tuple[float, float, str]],
    *,
    peaks: Mapping[str, float],
    bandwidth: float,
    title: str,
    path: Path,
) -> None:
    """Draw what networks reach and what the machine allows, on two logarithmic axes (Williams et al. 2009).

    Args:
        points: by name: FLOPs a byte, FLOP/s reached, and the dtype of the operands.
        peaks: FLOP/s of a large product by dtype; those of the points' dtypes are drawn.
        bandwidth: bytes/s of a large copy.
        title: what was measured, and on which machine.
        path: PNG or SVG file to write.
    """
    used = {dtype: peaks[dtype] for dtype in peaks if dtype in {dtype for *_, dtype in points.values()}}
    styles = dict(zip(used, ((BLUE, "-", "o"), (VERMILION, "--", "s")), strict=False))
    intensities = [x for x, *_ in points.values()] + [peak / bandwidth for peak in used.values()]
    left, right = min(intensities) / 3, max(intensities) * 3
    low = min([y for _, y, _ in points.values()] + [left * bandwidth]) / 2
    high = max([y for _, y, _ in points.values()] + [*used.values()]) * 2
    with _defaults():
        height = max(6.4, 1.6 + 0.34 * len(points))
        figure = Figure(figsize=(WIDTH / _DPI, height), dpi=_DPI)
        figure.suptitle(_wrapped(title), fontsize=16, weight="bold")
        # the names stand in a column on the right, so that near points stay readable
        axes = figure.add_axes((0.11, 0.75 / height, 0.54, 1 - 1.4 / height))
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, high))
        for dtype, peak in used.items():
            colour, line, marker = styles[dtype]
            ridge = peak / bandwidth
            axes.plot(
                (left, ridge, right), (left * bandwidth, peak, peak), line, color=colour, lw=2.2, label=dtype
            )
            points_of_kind = [(x, y) for x, y, kind in points.values() if kind == dtype]
            axes.plot(*zip(*points_of_kind, strict=True), marker, color=colour, markeredgecolor="black", ms=8)
        ranked = sorted(points.items(), key=lambda item: item[1][1])
        fractions = [np.log(y / low) / np.log(high / low) for _, (_, y, _) in ranked]
        for (name, (x, y, _)), place in zip(ranked, _apart(fractions, 0.26 / (height - 1.4)), strict=True):
            axes.annotate(
                name,
                (x, y),
                xytext=(1.03, place),
                textcoords="axes fraction",
                fontsize=12,
                va="center",
                arrowprops={
                    "arrowstyle": "-",
                    "color": GREY,
                    "lw": 0.7,
                    "relpos": (0, 0.5),
                    "shrinkA": 2,
                    "shrinkB": 4,
                },
            )
        axes.set_xlabel("FLOPs for each byte moved", fontsize=15)
        axes.set_ylabel("FLOP/s", fontsize=15)
        for axis in (axes.yaxis, axes.xaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(EngFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=13)
        axes.legend(title="ceiling and points", loc="upper left", fontsize=12, title_fontsize=12)
        axes.grid(color="#DDDDDD", lw=0.8)
        _clear(axes)
        _save(figure, path)


def _wrapped(title: str, width: int = 72) -> str:
    """Wrap a title to the width, so that its last words, the data, are never cut off."""
    return textwrap.fill(title, width)


def _lines(
    axes: Axes, values: Mapping[str, Sequence[float]], label: str, selected: int | None, first: int = 0
) -> None:
    styles = (("-", BLUE), ("--", VERMILION), ("-", GREEN))[first:]
    for (name, line), (style, colour) in zip(values.items(), styles, strict=False):
        epochs = np.arange(1, len(line) + 1)
        # a training of one epoch is a point, which a line alone would not show
        axes.plot(epochs, line, style, color=colour, lw=2.2, marker="o" if len(line) < 3 else "", label=name)
    if selected is not None:
        axes.axvline(selected, color=GREY, ls=":", lw=2, label=f"selected: epoch {selected}")
    axes.set_xlabel("epoch", fontsize=17)
    axes.set_ylabel(label, fontsize=17)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=14)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=15, framealpha=1)
    axes.grid(color="#DDDDDD", lw=0.8)
    _clear(axes)


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places in 0…1 as little as two sweeps can, so that all are at least ``gap`` apart."""
    gap = min(gap, 1 / max(1, len(places)))
    moved = list(places)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    ceiling = 1.0
    for i in reversed(range(len(moved))):
        moved[i] = ceiling = min(moved[i], ceiling)
        ceiling -= gap
    return moved


def _top(line: Sequence[float]) -> float:
    finite = [value for value in line if np.isfinite(value)]
    return max(finite, default=0.0)


def _clear(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _scaled(tile: NDArray[np.uint8], side: int, *, smooth: bool) -> NDArray[np.uint8]:
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(tile).resize((side, side), how))


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Remove the pixels of a mask that have a neighbour outside it; the picture's border does not count."""
    wide = np.pad(mask, 1, constant_values=True)
    inside: NDArray[np.bool_] = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return inside


def _check_strips(
    images: NDArray[np.uint8],
    masks: Sequence[NDArray[np.uint8]],
    ids: Sequence[str],
) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"images {images.shape} {images.dtype}, expected (N, H, W, 3) uint8")
    for mask in masks:
        if mask.ndim != 3 or not len(mask) == len(images) == len(ids):
            raise ValueError(f"{len(ids)} ids, images {images.shape}, masks {mask.shape}: expected N of each")


@contextmanager
def _defaults() -> Iterator[None]:
    """Use matplotlib's default settings for one picture, whatever a user's matplotlibrc says."""
    # matplotlib draws SVG ids from this salt instead of at random
    with matplotlib.style.context(["default", {"svg.hashsalt": "bench"}]):
        yield


def _save(figure: Figure, path: Path) -> None:
    """Write atomically, in the format of the file's ending, without dates or versions inside."""
    kind = path.suffix.removeprefix(".").lower()
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    if kind not in metadata:
        raise ValueError(f"{path.name}: pictures are {' or '.join(metadata)}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata[kind])
    write_atomically(path, buffer.getvalue())
