"""Pictures: the right pixels, the right words, and the same bytes each time."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from reference import visualize
from reference.data.dataset import Palette

TITLE = "VGG16-FCN32s, smoke tier, stand-in data"
SMALL = Palette(
    classes=("roof", "road"),
    colours=((200, 30, 30), (10, 90, 200)),
    unknown_index=2,
    unknown_colour=(9, 9, 9),
)


def strips(path: Path, **changes: object) -> np.ndarray:
    rng = np.random.default_rng(0)
    arguments: dict[str, object] = {
        "images": rng.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8),
        "truth": np.full((3, 48, 48), 0, dtype=np.uint8),
        "predictions": {5: np.full((3, 48, 48), 1, np.uint8), 25: np.full((3, 12, 12), 2, np.uint8)},
        "palette": SMALL,
        "ids": ["a", "b", "c"],
        "title": TITLE,
        "path": path,
    }
    visualize.mask_strips(**(arguments | changes))  # type: ignore[arg-type]
    return np.asarray(Image.open(path).convert("RGB"))


def run_lengths(line: np.ndarray) -> list[tuple[tuple[int, ...], int]]:
    """Colours along a line of pixels, with how long each lasts."""
    starts = [0, *(np.flatnonzero((line[1:] != line[:-1]).any(axis=1)) + 1), len(line)]
    return [(tuple(map(int, line[a])), b - a) for a, b in itertools.pairwise(starts)]


def words_of(path: Path) -> list[str]:
    """The texts of an SVG, which matplotlib writes as comments next to their outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_a_row_holds_truth_and_predictions_in_the_order_of_epochs(tmp_path: Path) -> None:
    sheet = strips(tmp_path / "a.png")
    assert sheet.shape[1] == visualize.WIDTH
    row = run_lengths(sheet[150])
    flat = [colour for colour, length in row if length > 100 and colour != (255, 255, 255)]
    assert flat == [*SMALL.colours, SMALL.unknown_colour]  # truth, epoch 5, epoch 25


def test_epochs_are_sorted_whatever_the_order_they_come_in(tmp_path: Path) -> None:
    masks = {5: np.full((3, 48, 48), 1, np.uint8), 25: np.full((3, 12, 12), 2, np.uint8)}
    there = strips(tmp_path / "a.png", predictions=masks)
    back = strips(tmp_path / "b.png", predictions=dict(reversed(masks.items())))
    assert (there == back).all()


def test_masks_keep_their_colours_pure(tmp_path: Path) -> None:
    """Scaling a mask must not invent colours between two classes."""
    checks = np.indices((50, 50)).sum(axis=0).astype(np.uint8) % 2
    sheet = strips(
        tmp_path / "a.png",
        images=np.zeros((1, 50, 50, 3), np.uint8),
        truth=checks[None],
        predictions={1: checks[None]},
        ids=["a"],
    )
    tiles = sheet[95:300, 400:]  # right of the image, below the column titles
    colours = {tuple(map(int, colour)) for colour in np.unique(tiles.reshape(-1, 3), axis=0)}
    assert colours == {*SMALL.colours, (255, 255, 255)}


def test_column_titles_legend_and_ids_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    plain = matplotlib.text.Text.set_text
    monkeypatch.setattr(
        matplotlib.text.Text, "set_text", lambda self, s: (said.append(str(s)), plain(self, s))[1]
    )
    strips(tmp_path / "a.png", ids=["0013", "0062", "0104"])
    assert {TITLE, "image", "truth", "epoch 5", "epoch 25", "0013", "0062", "0104"} <= set(said)
    assert {"roof", "road", "unknown"} <= set(said)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_numbers_give_the_same_bytes(tmp_path: Path, ending: str) -> None:
    """Whatever a user's matplotlibrc says, and without changing it."""
    values = {"train_loss": [2.0, 1.0], "val_loss": [2.1, float("nan")], "val_miou": [0.1, 0.2]}
    paths = [tmp_path / f"{name}.{ending}" for name in ("a", "b")]
    visualize.curves(values, primary="val_miou", title=TITLE, path=paths[0], selected=2)
    with matplotlib.rc_context(
        {"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 33, "lines.linewidth": 9}
    ):
        visualize.curves(values, primary="val_miou", title=TITLE, path=paths[1], selected=2)
        assert matplotlib.rcParams["font.size"] == 30
    first, second = (path.read_bytes() for path in paths)
    assert first == second


def test_strips_are_byte_stable(tmp_path: Path) -> None:
    strips(tmp_path / "a.png")
    strips(tmp_path / "b.png")
    hashes = {hashlib.sha256((tmp_path / f"{n}.png").read_bytes()).hexdigest() for n in "ab"}
    assert len(hashes) == 1


def test_no_date_and_no_version_inside(tmp_path: Path) -> None:
    strips(tmp_path / "a.png")
    assert not {"Software", "Creation Time", "date"} & set(Image.open(tmp_path / "a.png").info)
    visualize.curves({"train_loss": [1.0]}, primary="val_top1", title=TITLE, path=tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "dc:date" not in text
    assert "dc:creator" not in text


def test_three_strips_of_photographs_stay_small(tmp_path: Path) -> None:
    """A page shows several; noise compresses worse than any photograph does."""
    rng = np.random.default_rng(1)
    rough = rng.integers(60, 120, (3, 16, 16, 3), dtype=np.uint8).repeat(32, 1).repeat(32, 2)
    grain = rng.integers(0, 24, (3, 512, 512, 3), dtype=np.uint8)
    strips(
        tmp_path / "a.png",
        images=rough + grain,
        truth=np.zeros((3, 512, 512), np.uint8),
        predictions={e: np.ones((3, 512, 512), np.uint8) for e in (5, 25, 50)},
    )
    assert (tmp_path / "a.png").stat().st_size < 400_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ids": ["a", "b"]}, "2 ids"),
        ({"truth": np.zeros((2, 48, 48), np.uint8)}, "expected N of each"),
        ({"truth": np.full((3, 48, 48), 7, np.uint8)}, "index 7 has no colour"),
        ({"images": np.zeros((3, 48, 48, 3), np.float32)}, "expected \\(N, H, W, 3\\) uint8"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        strips(tmp_path / "a.png", **changes)
    assert list(tmp_path.iterdir()) == []


def test_only_known_endings_and_no_torn_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="png or svg"):
        visualize.curves({"train_loss": [1.0]}, primary="val_top1", title=TITLE, path=tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_curves_say_what_they_show(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    values = {
        "train_loss": [2.0, 1.0, 0.5],
        "val_loss": [2.0, 1.5, 1.4],
        "val_top1": [0.1, 0.3, 0.4],
        "val_iou_0": [9],
    }
    visualize.curves(values, primary="val_top1", title=TITLE, path=path, selected=3)
    words = words_of(path)
    assert {TITLE, "train", "val", "loss", "epoch", "top-1 accuracy", "selected: epoch 3"} <= set(words)
    assert not any("iou" in word.lower() for word in words)


@pytest.mark.parametrize(
    "values", [{}, {"train_loss": []}, {"train_loss": [1.0], "val_top1": [float("nan")]}]
)
def test_curves_of_next_to_nothing_are_drawn(tmp_path: Path, values: dict[str, list[float]]) -> None:
    visualize.curves(values, primary="val_top1", title=TITLE, path=tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size[0] == visualize.WIDTH


def test_iou_of_each_class_is_named_with_its_value_at_the_selected_epoch(tmp_path: Path) -> None:
    nan = float("nan")
    for name in ("a.svg", "a.png"):
        visualize.class_iou_curves(
            {"urban": [0.1, 0.5, 0.4], "agriculture": [nan, nan, nan], "rangeland": [0.0, 0.02, 0.41]},
            mean=[0.05, 0.26, 0.405],
            title=TITLE,
            path=tmp_path / name,
            selected=2,
        )
    words = set(words_of(tmp_path / "a.svg"))
    assert {TITLE, "urban 0.500", "agriculture absent", "rangeland 0.020", "mean 0.260"} <= words
    assert {"IoU at epoch 2, selected", "IoU on val", "epoch"} <= words
    assert Image.open(tmp_path / "a.png").size[0] == visualize.WIDTH


def test_confusion_is_shown_as_shares_of_each_true_class(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    visualize.confusion_picture(np.array([[3, 1], [0, 0]]), classes=("roof", "road"), title=TITLE, path=path)
    words = words_of(path)
    assert {"0.75", "0.25", "truth", "prediction", TITLE} <= set(words)
    assert words.count("0.00") == 2  # a class without pixels is no division by zero


def test_many_classes_get_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    visualize.confusion_picture(
        np.eye(20, dtype=np.int64), classes=[f"c{i}" for i in range(20)], title=TITLE, path=path
    )
    words = words_of(path)
    assert "1.00" not in words
    assert "c19" in words


def test_roofline_names_every_network_and_draws_only_ceilings_in_use(tmp_path: Path) -> None:
    points = {f"net{i} at 128 px": (20.0 * (i + 1), 1e14 + i, "bfloat16") for i in range(18)}
    peaks = {"float32": 5e13, "bfloat16": 8e14}
    for name in ("a.svg", "b.svg"):
        path = tmp_path / name
        visualize.roofline(points, peaks=peaks, bandwidth=4e12, title="H200", path=path)
    words = words_of(path)
    assert {"H200", "bfloat16", "FLOP/s", *points} <= set(words)
    assert "float32" not in words
    assert path.read_bytes() == (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5, 0.5], [0.5, 0.6, 0.7]),
        ([0.95, 0.97, 1.0], [0.8, 0.9, 1.0]),
        ([0.0] * 20, [i / 20 for i in range(20)]),
    ],
)
def test_names_of_near_points_are_moved_apart(places: list[float], moved: list[float]) -> None:
    assert visualize._apart(places, 0.1) == pytest.approx(moved)


# ---------------------------------------------------------------- overlays


def overlay(path: Path, masks: list[np.ndarray]) -> np.ndarray:
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    visualize.overlay(image, masks, title=TITLE, caption="0013: 2 masks", path=path)
    return np.asarray(Image.open(path).convert("RGB"))


def boxed(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((64, 64), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_an_overlay_shows_the_image_and_beside_it_its_masks(tmp_path: Path) -> None:
    large, small = boxed(8, 8, 40), boxed(16, 16, 8)
    sheet = overlay(tmp_path / "a.png", [small, large])  # the small one is on top, whatever the order
    assert sheet.shape[1] == visualize.WIDTH
    side = (visualize.WIDTH - 18) // 2
    left, right = sheet[96 : 96 + side, 6 : 6 + side], sheet[96 : 96 + side, 12 + side : 12 + 2 * side]
    assert (left == 128).all()

    def at(row: int, column: int) -> tuple[int, ...]:
        scale = side / 64
        return tuple(map(int, right[round((row + 0.5) * scale), round((column + 0.5) * scale)]))

    colours = {at(40, 40), at(20, 20), at(4, 4), at(60, 60)}
    assert at(4, 4) == at(60, 60) == (128, 128, 128)
    assert len(colours) == 3
    edge = tuple(map(int, right[round(8 * side / 64) + 1, side // 2]))
    assert edge not in colours


def test_an_overlay_without_masks_is_the_image_twice(tmp_path: Path) -> None:
    sheet = overlay(tmp_path / "a.png", [])
    side = (visualize.WIDTH - 18) // 2
    assert (sheet[96 : 96 + side, 6 : 6 + side] == sheet[96 : 96 + side, 12 + side : 12 + 2 * side]).all()


def test_an_overlay_refuses_a_mask_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the image's"):
        overlay(tmp_path / "a.png", [np.zeros((32, 64), dtype=bool)])
    assert not (tmp_path / "a.png").exists()


def test_an_overlay_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    masks = [boxed(0, 0, 20), boxed(10, 10, 30)]
    overlay(tmp_path / "a.png", masks)
    overlay(tmp_path / "b.png", masks)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_points_are_drawn_the_same_way_every_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = {epoch: rng.normal(size=(40, 2)).astype(np.float32) for epoch in (1, 5)}
    settings: dict[str, Any] = {
        "labels": np.arange(40) % 5,
        "classes": [f"class {i}" for i in range(5)],
        "method": "tsne",
        "layer": "output of the convolutions",
        "curves": {"knn_purity": [0.1, *[math.nan] * 3, 0.5], "silhouette": [-0.1, *[math.nan] * 3, 0.2]},
        "title": "a network, smoke tier, synthetic data",
    }
    written = []
    for name in ("a.svg", "b.svg"):
        visualize.embeddings(points, path=tmp_path / name, **settings)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    # every point of both epochs, each panel next to its legend's five
    assert written[0].count(b"<use ") >= 80
    title = " ".join(words_of(tmp_path / "a.svg"))
    assert "t-SNE of the output of the convolutions" in title
    assert "penultimate" not in title
    visualize.embeddings({1: points[1]}, path=tmp_path / "c.svg", **settings)
    assert (tmp_path / "c.svg").read_bytes() != written[0]


def test_the_end_of_a_long_title_stays_in_the_picture() -> None:
    """It names the data. 72 bold characters of this size fit the width; see the picture."""
    title = (
        "Office-Home, setting C to its first maximum: BYOL backbone, whole network, smoke tier, stand-in data"
    )
    lines = visualize._wrapped(title).splitlines()
    assert " ".join(lines) == title
    assert max(map(len, lines)) <= 72
