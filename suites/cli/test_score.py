"""``bench score``: the golden figure on real masks, the printed format, and every input to be refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import jaccard_score

from bench.score import Score, lines, score
from reference.data.dataset import OFFICIAL_PALETTE, Palette
from reference.errors import InputError

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "deepglobe3"

# A report's own printed result; the format is the golden.
PRINTED = """class #0 : 0.73810
class #1 : 0.86253
class #2 : 0.28466
class #3 : 0.77099
class #4 : 0.67038
class #5 : 0.65557
mean_iou: 0.663704"""


def write_mask(path: Path, labels: NDArray[np.uint8], palette: Palette = OFFICIAL_PALETTE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(palette.encode(labels)).save(path)
    return path


def random_mask(seed: int, size: tuple[int, int] = (16, 20)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 7, size, dtype=np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truths of four images, 0008 … 0011."""
    for name in range(8, 12):
        write_mask(tmp_path / "pred" / f"{name:04}_mask.png", random_mask(name))
        write_mask(tmp_path / "truth" / f"{name:04}_mask.png", random_mask(name + 100))
    return tmp_path / "pred", tmp_path / "truth"


@pytest.mark.skipif(not REAL.is_dir(), reason="the three real pairs (../shared/data/deepglobe3) are not here")
def test_golden_figure_on_three_real_pairs() -> None:
    result = score(REAL / "pred_fcn32s", REAL / "mask")
    assert lines(result) == [
        "class #0 : 0.63214",
        "class #1 : 0.66313",
        "class #2 : 0.42921",
        "class #3 : 0.75344",
        "class #4 : 0.51999",
        "class #5 : 0.05180",
        "mean_iou: 0.508287",
    ]
    assert result.images == 3
    assert result.confusion.sum() == 3 * 512 * 512


def test_prints_the_lines_of_the_course() -> None:
    iou = (0.7381, 0.86253, 0.28466, 0.77099, 0.67038, 0.65557)
    result = Score(
        images=1,
        classes=OFFICIAL_PALETTE.classes,
        iou=iou,
        mean_iou=0.6637041,
        confusion=np.zeros((7, 7), np.int64),
    )
    assert "\n".join(lines(result)) == PRINTED


def test_equals_scikit_learn_over_the_pooled_pixels(folders: tuple[Path, Path]) -> None:
    prediction = np.concatenate([random_mask(name).ravel() for name in range(8, 12)])
    truth = np.concatenate([random_mask(name + 100).ravel() for name in range(8, 12)])
    expected = jaccard_score(truth, prediction, labels=range(6), average=None)
    result = score(*folders)
    np.testing.assert_allclose(result.iou, expected, rtol=1e-12)
    assert result.mean_iou == pytest.approx(expected.mean(), rel=1e-12)
    # IoU does not tell truth from prediction; the recorded matrix must.
    np.testing.assert_array_equal(
        result.confusion, sklearn_confusion_matrix(truth, prediction, labels=range(7))
    )
    assert result.classes == OFFICIAL_PALETTE.classes


def test_absent_class_is_nan_and_so_is_the_mean(tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "a" / "0.png", np.array([[0, 1, 2, 3, 4, 6]], np.uint8)).parent
    result = score(mask, mask)
    assert lines(result)[-2:] == ["class #5 : nan", "mean_iou: nan"]
    assert math.isnan(result.mean_iou)


def test_pairs_by_name_not_by_position(tmp_path: Path) -> None:
    # Plain and suffixed names sort differently: by position 10 would meet 9.
    masks = {"9": np.arange(7, dtype=np.uint8)[None], "10": random_mask(1)}
    for name, mask in masks.items():
        write_mask(tmp_path / "pred" / f"{name}.png", mask)
        write_mask(tmp_path / "truth" / f"{name}_mask.png", mask)
    assert score(tmp_path / "pred", tmp_path / "truth").mean_iou == 1.0


def test_leaves_out_satellite_images_and_dotfiles(folders: tuple[Path, Path]) -> None:
    expected = lines(score(*folders))
    for name in ("0008_sat.jpg", "0008_sat.png", "._0008_mask.png", "notes.txt"):
        (folders[1] / name).write_bytes(b"not a mask")
    assert lines(score(*folders)) == expected


@pytest.mark.parametrize("above", [False, True], ids=["beside the masks", "in the folder above"])
def test_reads_the_palette_beside_the_truth(tmp_path: Path, above: bool) -> None:
    palette = Palette(("land", "sea"), ((1, 2, 3), (4, 5, 6)), unknown_index=2, unknown_colour=(7, 8, 9))
    for folder in ("pred", "p2_data/validation"):
        write_mask(tmp_path / folder / "0_mask.png", np.array([[0, 1, 2]], np.uint8), palette)
    where = tmp_path / "p2_data" if above else tmp_path / "p2_data" / "validation"
    (where / "dataset.toml").write_text(
        'name = "two"\nclasses = ["land", "sea"]\npalette = ["#010203", "#040506"]\n'
        'unknown = { index = 2, colour = "#070809" }\n'
    )
    result = score(tmp_path / "pred", tmp_path / "p2_data" / "validation")
    assert lines(result) == ["class #0 : 1.00000", "class #1 : 1.00000", "mean_iou: 1.000000"]
    assert result.classes == ("land", "sea")


def refused(prediction: Path, truth: Path) -> str:
    """The one line of the refusal."""
    with pytest.raises(InputError) as caught:
        score(prediction, truth)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_refuses_unequal_sets_and_names_the_missing(folders: tuple[Path, Path]) -> None:
    prediction, _ = folders
    (prediction / "0009_mask.png").unlink()
    assert re.search(r"pred: 1 of the masks in .*truth have no counterpart here \(0009\)", refused(*folders))
    for path in prediction.iterdir():
        path.unlink()
    write_mask(prediction / "0012_mask.png", random_mask(0))
    assert "(0008, 0009, 0010, …)" in refused(*folders)


def test_refuses_a_prediction_without_truth(folders: tuple[Path, Path]) -> None:
    write_mask(folders[0] / "0077.png", random_mask(0))
    assert re.search(r"truth: 1 of the masks in .*pred have no counterpart here \(0077\)", refused(*folders))


def test_refuses_two_masks_of_one_name(folders: tuple[Path, Path]) -> None:
    write_mask(folders[0] / "0008.png", random_mask(0))
    assert "has the same name" in refused(*folders)


def test_refuses_red(folders: tuple[Path, Path]) -> None:
    Image.new("RGB", (20, 16), (255, 0, 0)).save(folders[0] / "0010_mask.png")
    message = refused(*folders)
    assert "0010_mask.png" in message
    assert "(255,0,0)" in message


def test_refuses_another_size(folders: tuple[Path, Path]) -> None:
    write_mask(folders[0] / "0011_mask.png", random_mask(0, (20, 16)))
    message = refused(*folders)
    assert re.search(r"0011_mask.png: found 16x20 pixels; expected 20x16", message)


def test_refuses_a_truncated_mask(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "0011_mask.png"
    path.write_bytes(path.read_bytes()[:200])
    assert "0011_mask.png" in refused(*folders)


def test_refuses_missing_and_empty_folders(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert "cannot be listed" in refused(tmp_path / "nowhere", folders[1])
    (tmp_path / "empty").mkdir()
    assert "empty: no masks" in refused(tmp_path / "empty", folders[1])
    assert "empty: no masks" in refused(folders[0], tmp_path / "empty")
