"""``bench score``: the golden figure on real masks, the printed format, and every input to be refused."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import jaccard_score

import bench
from bench.score import Score, lines, notes, score
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


def test_says_what_it_read_and_what_it_skipped(folders: tuple[Path, Path]) -> None:
    for name in ("0008_sat.png", "notes.txt", ".DS_Store"):
        (folders[1] / name).write_bytes(b"not a mask")
    masks = "0008_mask.png, 0009_mask.png, 0010_mask.png, 0011_mask.png"
    assert notes(score(*folders)) == [
        f"predictions: 4 masks of {folders[0]}: {masks}",
        f"truth: 4 masks of {folders[1]}: {masks}",
        "truth: skipped 3 that are no masks (NAME_mask.png, NAME.png): 0008_sat.png, .DS_Store, notes.txt",
        "classes (the official palette): #0 urban, #1 agriculture, #2 rangeland, #3 forest, #4 water, "
        "#5 barren; not averaged: #6 unknown",
    ]


def test_names_absent_classes(tmp_path: Path) -> None:
    write_mask(tmp_path / "pred" / "0.png", np.array([[0, 1, 2, 3, 6]], np.uint8))
    write_mask(tmp_path / "truth" / "0.png", np.array([[0, 1, 2, 4, 6]], np.uint8))
    said = notes(score(tmp_path / "pred", tmp_path / "truth"))
    assert said[-3:] == [
        "class #3 forest is in no true mask, but predicted: its IoU is 0",
        "class #4 water is in no predicted mask: its IoU is 0",
        "class #5 barren is in no mask: its IoU and the mean are undefined (nan)",
    ]


def test_many_masks_are_counted_and_some_named(tmp_path: Path) -> None:
    for number in range(12):
        write_mask(tmp_path / "m" / f"{number}.png", np.array([[0, 1]], np.uint8))
    first = notes(score(tmp_path / "m", tmp_path / "m"))[0]
    assert first.endswith(
        ": 12 masks of " + str(tmp_path / "m") + ": 0.png, 1.png, 2.png, 3.png, 4.png, 5.png, 6.png, … 11.png"
    )


def test_pairs_names_in_two_unicode_forms(tmp_path: Path) -> None:
    write_mask(tmp_path / "pred" / "\u00e9_mask.png", random_mask(0))
    write_mask(tmp_path / "truth" / "e\u0301_mask.png", random_mask(0))
    assert score(tmp_path / "pred", tmp_path / "truth").images == 1


def test_label_masks_are_refused_and_read_in_a_stated_order(folders: tuple[Path, Path]) -> None:
    expected = score(*folders)
    for folder, offset in zip(folders, (0, 100), strict=True):
        for name in range(8, 12):
            Image.fromarray(random_mask(name + offset)).convert("RGB").save(folder / f"{name:04}_mask.png")
    message = refused(*folders)
    assert "0008_mask.png: every pixel is unknown (found RGB (" in message
    assert "--mask-values urban,agriculture,rangeland,forest,water,barren,unknown" in message
    found = score(*folders, mask_values=(*OFFICIAL_PALETTE.classes, "unknown"))
    np.testing.assert_array_equal(found.confusion, expected.confusion)


def test_the_command_prints_the_course_s_lines_alone_and_imports_no_torch(folders: tuple[Path, Path]) -> None:
    program = (
        "import sys; from bench.__main__ import main\n"
        f"sys.argv = ['bench', 'score', '--pred', {str(folders[0])!r}, '--truth', {str(folders[1])!r}]\n"
        "try:\n    main()\nexcept SystemExit as error:\n    assert not error.code, error.code\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(bench.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == lines(score(*folders))
    assert done.stderr.splitlines() == notes(score(*folders))


@pytest.mark.parametrize("above", [False, True], ids=["next to the masks", "in the folder above"])
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
