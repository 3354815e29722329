"""Every role from files in the official layout."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reference.data
from reference.data import OFFICIAL_COUNTS, OFFICIAL_PALETTE, READERS, Dataset, open_dataset
from reference.data.dataset import hold_out
from reference.data.description import read_palette
from reference.errors import InputError

ROLES = ("classification50", "miniimagenet", "officehome", "landcover")
DUBAI = """name = "dubai"
classes = ["building", "land"]
palette = ["#3C1098", "#8429F6"]
unknown = { index = 2, colour = "#9B9B9B" }
"""


def test_registry_is_whole() -> None:
    assert tuple(READERS) == ROLES == tuple(OFFICIAL_COUNTS)


def test_official_counts_are_the_published_ones() -> None:
    totals = {role: (c["train"], c["val"], c.get("classes")) for role, c in OFFICIAL_COUNTS.items()}
    assert totals == {
        "classification50": (50 * 450, 50 * 50, 50),
        "miniimagenet": (64 * 600, 0, 64),
        "officehome": (3951, 406, 65),
        "landcover": (2000, 257, None),
    }


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_classification50(classification50: Path) -> None:
    data = open_dataset("classification50", classification50, image_size=12)
    assert data.train.ids[:5] == ("0_8", "0_9", "0_10", "0_11", "1_8")
    assert data.classes == ("0", "1", "2")
    assert data.scored == (0, 1, 2)
    assert data.train.targets.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.train.targets.dtype == np.int64
    assert data.val.targets.tolist() == [0, 0, 1, 1, 2, 2]
    folder = classification50 / "p1_data" / "train_50"
    for name, image in zip(data.train.ids, data.train.images, strict=True):
        np.testing.assert_array_equal(image, pixels(folder / f"{name}.png"))


def test_officehome(officehome: Path) -> None:
    data = open_dataset("officehome", officehome, image_size=12)
    assert data.classes == ("Bed", "Desk", "Mug")
    assert data.train.ids[0] == "Bed00000"
    assert [data.classes[i] for i in data.val.targets] == ["Bed", "Bed", "Desk", "Desk", "Mug", "Mug"]
    path = officehome / "p1_data" / "office" / "val" / "Mug00001.jpg"
    np.testing.assert_array_equal(data.val.images[5], pixels(path))


def test_miniimagenet_with_labels(miniimagenet: Path) -> None:
    data = open_dataset("miniimagenet", miniimagenet, image_size=12)
    assert data.classes == ("n00", "n01")
    assert data.train.targets.tolist() == [0] * 4 + [1] * 4
    assert len(data.val) == 0
    assert data.val.images.shape == (0, 12, 12, 3)
    assert data.unique_val == 0


def test_miniimagenet_without_labels(miniimagenet: Path) -> None:
    (miniimagenet / "p1_data" / "mini" / "train.csv").unlink()
    data = open_dataset("miniimagenet", miniimagenet, image_size=12)
    assert data.classes == ()
    assert data.scored == ()
    assert data.train.targets.tolist() == [-1] * 8
    with pytest.raises(InputError, match="miniimagenet has no labels here"):
        open_dataset("miniimagenet", miniimagenet, image_size=12, classes=1)


def test_landcover(landcover: Path) -> None:
    data = open_dataset("landcover", landcover, image_size=16)
    assert data.classes == ("urban", "agriculture", "rangeland", "forest", "water", "barren", "unknown")
    assert data.scored == (0, 1, 2, 3, 4, 5)
    assert data.palette == OFFICIAL_PALETTE
    assert data.train.ids == ("0000", "0001", "0002", "0003")
    assert data.train.targets.shape == (4, 16, 16)
    assert data.train.targets.dtype == np.uint8
    folder = landcover / "p2_data" / "validation"
    for i, name in enumerate(data.val.ids):
        np.testing.assert_array_equal(data.val.images[i], pixels(folder / f"{name}_sat.jpg"))
        coloured = OFFICIAL_PALETTE.encode(data.val.targets[i])
        np.testing.assert_array_equal(coloured, pixels(folder / f"{name}_mask.png"))


@pytest.mark.parametrize("size", [8, 11, 40])
def test_resized_masks_hold_no_new_class(landcover: Path, size: int, write_mask: Callable[..., None]) -> None:
    stripes = np.where(np.arange(16) % 2 == 0, 0, 6) * np.ones((16, 1))
    for path in (landcover / "p2_data" / "train").glob("*_mask.png"):
        write_mask(path, stripes.astype(np.uint8))
    data = open_dataset("landcover", landcover, image_size=size)
    assert data.train.images.shape == (4, size, size, 3)
    assert set(np.unique(data.train.targets)) <= {0, 6}


@pytest.mark.parametrize("role", ROLES)
def test_arrays_are_read_only(source_of_role: Callable[[str], Path], role: str, tmp_path: Path) -> None:
    source = source_of_role(role)
    for cache in (None, tmp_path / "cache"):
        data = open_dataset(role, source, image_size=8, cache=cache)
        assert data.train.images.dtype == np.uint8
        for array in (data.train.images, data.train.targets, data.val.images, data.val.targets):
            assert not array.size or not array.flags.writeable


# --- how much of it -------------------------------------------------------------------------------------


def test_first_classes(classification50: Path) -> None:
    data = open_dataset("classification50", classification50, image_size=8, classes=2)
    assert data.classes == ("0", "1")
    assert np.unique(data.train.targets).tolist() == [0, 1]
    assert len(data.train) == 8
    assert len(data.val) == 4


def test_more_classes_than_there_are_keeps_all(classification50: Path) -> None:
    assert len(open_dataset("classification50", classification50, image_size=8, classes=9).classes) == 3


@pytest.mark.parametrize("limit", range(1, 14))
def test_limits_are_spread_over_the_classes(classification50: Path, limit: int) -> None:
    whole = open_dataset("classification50", classification50, image_size=8)
    data = open_dataset(
        "classification50", classification50, image_size=8, train_limit=limit, val_limit=limit
    )
    assert len(data.train) == min(limit, 12)
    counts = np.bincount(data.train.targets, minlength=3)
    assert counts.max() - counts.min() <= 1
    assert [name for name in whole.train.ids if name in data.train.ids] == list(data.train.ids)


def test_limits_are_spread_over_classes_that_alternate(
    officehome: Path, write_image: Callable[..., None], write_csv: Callable[..., None]
) -> None:
    folder = officehome / "p1_data" / "office"
    for path in (folder / "train").iterdir():
        path.unlink()
    labels = {f"{i}.jpg": ("Mug", "Bed", "Desk")[i % 3] for i in range(12)}
    for i, name in enumerate(labels):
        write_image(folder / "train" / name, i)
    write_csv(folder / "train.csv", labels)
    data = open_dataset("officehome", officehome, image_size=8, train_limit=4)
    assert sorted(np.bincount(data.train.targets)) == [1, 1, 2]
    assert data.train.ids == tuple(sorted(data.train.ids, key=int))


def test_limits_keep_image_and_mask_together(landcover: Path) -> None:
    whole = open_dataset("landcover", landcover, image_size=16)
    data = open_dataset("landcover", landcover, image_size=16, train_limit=2, val_limit=1)
    assert data.train.ids == ("0000", "0002")
    np.testing.assert_array_equal(data.train.targets, whole.train.targets[[0, 2]])
    np.testing.assert_array_equal(data.train.images, whole.train.images[[0, 2]])
    assert data.source == whole.source


@pytest.mark.parametrize(
    ("role", "options", "message"),
    [
        ("landcovr", {}, "expected one of classification50, miniimagenet, officehome, landcover"),
        ("landcover", {"classes": 3}, "leave the option out for landcover"),
        ("officehome", {"classes": 0}, "classes: 0; expected at least 1"),
        ("officehome", {"train_limit": 0}, "train_limit: 0; expected at least 1"),
        ("officehome", {"val_limit": -3}, "val_limit: -3"),
        ("officehome", {"image_size": 7}, "image_size: 7; expected at least 8"),
    ],
)
def test_options_out_of_range(role: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_dataset(role, None, **{"image_size": 16, **options})


# --- where it comes from --------------------------------------------------------------------------------


def counts_of(data: Dataset) -> dict[str, int]:
    counts = {"train": len(data.train), "val": len(data.val)}
    return counts if data.role == "landcover" else {**counts, "classes": len(data.classes)}


@pytest.mark.parametrize("role", ROLES)
def test_official_when_every_count_matches(
    source_of_role: Callable[[str], Path], role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of_role(role)
    data = open_dataset(role, source, image_size=8)
    assert data.source == "stand-in"
    assert data.name == source.name
    assert data.counts_note.startswith("not official: train ")
    for what in counts_of(data):
        off_by_one = {**counts_of(data), what: counts_of(data)[what] + 1}
        monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, role, off_by_one)
        assert open_dataset(role, source, image_size=8).source == "stand-in"
    monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, role, counts_of(data))
    data = open_dataset(role, source, image_size=8, train_limit=2)
    assert (data.source, data.name) == ("official", role)
    assert data.counts_note == "counts match, content unverified"
    part = "p2_data" if role == "landcover" else "p1_data"
    (source / part / "dataset.toml").write_text(DUBAI if role == "landcover" else 'name = "mine"\n')
    if role != "landcover":
        data = open_dataset(role, source, image_size=8)
        assert (data.source, data.name) == ("stand-in", "mine")
        assert data.counts_note == "not official: described by its dataset.toml"
    else:
        with pytest.raises(InputError, match="outside the palette"):
            open_dataset(role, source, image_size=8)


def test_unlabelled_miniimagenet_can_be_official(miniimagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (miniimagenet / "p1_data" / "mini" / "train.csv").unlink()
    monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, "miniimagenet", {"train": 8, "val": 0, "classes": 64})
    assert open_dataset("miniimagenet", miniimagenet, image_size=8).source == "official"


def test_uneven_classes_are_not_official(classification50: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 12, "val": 6, "classes": 3, "fewest train per class": 4, "most train per class": 4}
    monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, "classification50", counts)
    assert open_dataset("classification50", classification50, image_size=8).source == "official"
    folder = classification50 / "p1_data" / "train_50"
    (folder / "0_8.png").rename(folder / "1_99.png")
    assert open_dataset("classification50", classification50, image_size=8).source == "stand-in"


@pytest.mark.slow
def test_official_counts_of_the_50_class_set(tmp_path: Path, write_image: Callable[..., None]) -> None:
    write_image(tmp_path / "one.png", 0, (2, 2))
    for split, per_class in (("train_50", 450), ("val_50", 50)):
        folder = tmp_path / "p1_data" / split
        folder.mkdir(parents=True)
        for label in range(50):
            for i in range(per_class):
                os.link(tmp_path / "one.png", folder / f"{label}_{i}.png")
    data = open_dataset("classification50", tmp_path, image_size=8)
    assert (data.source, len(data.train), len(data.val), data.unique_val) == ("official", 22500, 2500, 1)
    (folder / "0_0.png").unlink()
    assert open_dataset("classification50", tmp_path, image_size=8).source == "stand-in"


# --- what identifies it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_manifest_is_stable_and_holds_no_path(
    source_of_role: Callable[[str], Path], role: str, tmp_path: Path
) -> None:
    source = source_of_role(role)
    first = open_dataset(role, source, image_size=8).manifest
    assert re.fullmatch("[0-9a-f]{64}", first)
    (tmp_path / "elsewhere").mkdir()
    for part in ("p1_data", "p2_data"):
        if (source / part).exists():
            (source / part).rename(tmp_path / "elsewhere" / part)
    assert open_dataset(role, tmp_path / "elsewhere", image_size=8, cache=tmp_path / "c").manifest == first
    assert open_dataset(role, tmp_path / "elsewhere", image_size=9).manifest != first
    assert open_dataset(role, tmp_path / "elsewhere", image_size=8, train_limit=1).manifest != first


def test_manifest_changes_with_content_label_name_and_classes(
    officehome: Path, write_image: Callable[..., None]
) -> None:
    def manifest(**options: int) -> str:
        return open_dataset("officehome", officehome, image_size=8, **options).manifest

    folder = officehome / "p1_data" / "office"
    seen = {manifest(), manifest(classes=2)}
    table = folder / "val.csv"
    table.write_text(table.read_text().replace("Mug00000.jpg,Mug", "Mug00000.jpg,Bed"))
    seen.add(manifest())
    table.write_text(table.read_text().replace("Mug00000.jpg", "Mug0.jpg"))
    (folder / "val" / "Mug00000.jpg").rename(folder / "val" / "Mug0.jpg")
    seen.add(manifest())
    write_image(folder / "val" / "Mug0.jpg", 5)
    seen.add(manifest())
    assert len(seen) == 5


def test_manifest_changes_with_a_mask_and_a_palette(landcover: Path, write_mask: Callable[..., None]) -> None:
    def manifest() -> str:
        return open_dataset("landcover", landcover, image_size=8).manifest

    seen = {manifest()}
    mask = np.zeros((16, 16), dtype=np.uint8)
    for split, count in (("train", 4), ("validation", 2)):
        for i in range(count):
            write_mask(landcover / "p2_data" / split / f"{i:04d}_mask.png", mask)
    seen.add(manifest())
    for colour in ("#123456", "#654321"):
        text = DUBAI.replace("#3C1098", "#00FFFF").replace("#9B9B9B", colour)
        (landcover / "p2_data" / "dataset.toml").write_text(text)
        seen.add(manifest())
    assert len(seen) == 4


def test_unique_val_counts_contents(classification50: Path) -> None:
    folder = classification50 / "p1_data" / "val_50"
    assert open_dataset("classification50", classification50, image_size=8).unique_val == 6
    (folder / "0_8.png").write_bytes((folder / "2_9.png").read_bytes())
    assert open_dataset("classification50", classification50, image_size=8).unique_val == 5


# --- what can be wrong with it --------------------------------------------------------------------------


def replace_with_text(path: Path) -> None:
    path.write_text("not an image")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("damage", [replace_with_text, cut, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize(
    ("role", "file"),
    [
        ("classification50", "p1_data/val_50/1_9.png"),
        ("miniimagenet", "p1_data/mini/train/n01000002.jpg"),
        ("officehome", "p1_data/office/train/Mug00003.jpg"),
        ("landcover", "p2_data/train/0002_sat.jpg"),
        ("landcover", "p2_data/validation/0001_mask.png"),
    ],
)
def test_a_damaged_file_is_named(
    source_of_role: Callable[[str], Path],
    role: str,
    file: str,
    damage: Callable[[Path], None],
    cache: bool,
    tmp_path: Path,
) -> None:
    source = source_of_role(role)
    damage(source / file)
    with pytest.raises(InputError, match=rf"{file}: (the (image|file)|not a)"):
        open_dataset(role, source, image_size=8, cache=tmp_path / "cache" if cache else None)


@pytest.mark.parametrize("role", ROLES)
def test_missing_and_empty_folders_are_named(tmp_path: Path, role: str) -> None:
    first = {
        "classification50": "p1_data/train_50",
        "miniimagenet": "p1_data/mini/train",
        "officehome": "p1_data/office/train",
        "landcover": "p2_data/train",
    }[role]
    with pytest.raises(InputError, match=f"{first}: cannot be listed"):
        open_dataset(role, tmp_path / "gone", image_size=8)
    (tmp_path / first).mkdir(parents=True)
    with pytest.raises(InputError, match=f"{first}: the folder is empty"):
        open_dataset(role, tmp_path, image_size=8)


@pytest.mark.parametrize(
    "name", ["cat_1.png", "1.png", "1_2_3.png", "-1_0.png", "1_2.jpg", "1.5_0.png", "٣_1.png"]
)
def test_classification50_names(classification50: Path, name: str, write_image: Callable[..., None]) -> None:
    write_image(classification50 / "p1_data" / "train_50" / name, 0)
    with pytest.raises(InputError, match=f"train_50/{name}: the name does not fit"):
        open_dataset("classification50", classification50, image_size=8)


def test_classification50_label_that_train_lacks(
    classification50: Path, write_image: Callable[..., None]
) -> None:
    write_image(classification50 / "p1_data" / "val_50" / "7_0.png", 0)
    with pytest.raises(InputError, match=r"val_50/7_0\.png: no training image has its label '7'"):
        open_dataset("classification50", classification50, image_size=8)


def test_no_validation_image_of_the_first_classes(officehome: Path, write_csv: Callable[..., None]) -> None:
    folder = officehome / "p1_data" / "office"
    for i in range(2):
        (folder / "val" / f"Bed{i:05d}.jpg").unlink()
    write_csv(folder / "val.csv", {f"{n}{i:05d}.jpg": n for n in ("Mug", "Desk") for i in range(2)})
    with pytest.raises(InputError, match="the first 1 classes of officehome have no validation image"):
        open_dataset("officehome", officehome, image_size=8, classes=1)


@pytest.mark.parametrize(
    ("gone", "named", "lacks"),
    [("0001_mask.png", "0001_sat.jpg", "0001_mask.png"), ("0001_sat.jpg", "0001_mask.png", "0001_sat.jpg")],
)
def test_half_a_pair(landcover: Path, gone: str, named: str, lacks: str) -> None:
    (landcover / "p2_data" / "train" / gone).unlink()
    with pytest.raises(InputError, match=f"train/{named}: found no {lacks} with it"):
        open_dataset("landcover", landcover, image_size=8)


@pytest.mark.parametrize("name", ["0004.jpg", "0004_sat.png", "0004_mask.jpg", "notes.txt"])
def test_landcover_names(landcover: Path, name: str, write_image: Callable[..., None]) -> None:
    write_image(landcover / "p2_data" / "validation" / name, 0)
    with pytest.raises(InputError, match=f"validation/{name}: the name does not fit"):
        open_dataset("landcover", landcover, image_size=8)


def test_mask_of_another_size(
    landcover: Path, tmp_path: Path, write_image: Callable[..., None], write_mask: Callable[..., None]
) -> None:
    mask_path = landcover / "p2_data" / "train" / "0003_mask.png"
    whole = mask_path.read_bytes()
    write_mask(mask_path, np.zeros((16, 15), dtype=np.uint8))
    message = r"train/0003_mask\.png: 15 x 16, but its image is 16 x 16"
    with pytest.raises(InputError, match=message):
        open_dataset("landcover", landcover, image_size=8)
    # Not even when the mask's own pixels are in the cache already.
    mask_path.write_bytes(whole)
    open_dataset("landcover", landcover, image_size=8, cache=tmp_path / "cache")
    write_image(landcover / "p2_data" / "train" / "0003_sat.jpg", 0, (16, 17))
    with pytest.raises(InputError, match=r"0003_mask\.png: 16 x 16, but its image is 16 x 17"):
        open_dataset("landcover", landcover, image_size=8, cache=tmp_path / "cache")


def test_red_in_a_mask_names_the_file(landcover: Path) -> None:
    path = landcover / "p2_data" / "validation" / "0000_mask.png"
    rgb = np.array(Image.open(path))
    rgb[3, 4] = (255, 0, 0)
    Image.fromarray(rgb).save(path)
    with pytest.raises(InputError, match=r"0000_mask\.png: 1 pixels outside the palette, .*row 3, column 4"):
        open_dataset("landcover", landcover, image_size=8)


# --- a validation split held out ------------------------------------------------------------------------


def test_held_out_images_are_the_last_of_each_class_and_counted_by_content(miniimagenet: Path) -> None:
    data = hold_out(open_dataset("miniimagenet", miniimagenet, image_size=8))
    assert data.val.ids == ("n00000003", "n01000003")
    assert data.unique_val == 2
    assert data.warnings == ()
    folder = miniimagenet / "p1_data" / "mini" / "train"
    shutil.copy(folder / "n00000003.jpg", folder / "n01000003.jpg")
    data = hold_out(open_dataset("miniimagenet", miniimagenet, image_size=8))
    assert (len(data.val), data.unique_val) == (2, 1)
    (warning,) = data.warnings
    assert "1 image is there twice with different labels: val/n00000003 (n00) = val/n01000003" in warning


def test_an_image_that_is_held_out_and_trained_on_is_warned_of(miniimagenet: Path) -> None:
    folder = miniimagenet / "p1_data" / "mini" / "train"
    shutil.copy(folder / "n00000003.jpg", folder / "n00000000.jpg")
    data = open_dataset("miniimagenet", miniimagenet, image_size=8)
    assert data.warnings == ()
    (warning,) = hold_out(data).warnings
    assert "1 image is in both train and val: train/n00000000 = val/n00000003" in warning


def test_nothing_is_held_out_of_images_without_labels(miniimagenet: Path) -> None:
    (miniimagenet / "p1_data" / "mini" / "train.csv").unlink()
    with pytest.raises(InputError, match="no image has a label; expected a CSV"):
        hold_out(open_dataset("miniimagenet", miniimagenet, image_size=8))


# --- dataset.toml ---------------------------------------------------------------------------------------


def test_palette_of_a_description(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(DUBAI)
    name, palette = read_palette(tmp_path / "dataset.toml")
    assert name == "dubai"
    assert palette.classes == ("building", "land")
    assert palette.colours == ((60, 16, 152), (132, 41, 246))
    assert (palette.unknown_index, palette.unknown_colour) == (2, (155, 155, 155))
    assert not palette.binarise


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name", "nam", "unknown key 'nam'; valid keys are name, classes, palette, unknown"),
        ('name = "dubai"\n', "", "key 'name' is missing"),
        ('"dubai"', "3", "key 'name' is 3; expected a name"),
        ('"dubai"', '"a\\nb"', "key 'name' is"),
        ("index", "idx", r"unknown key 'unknown\.idx'; valid keys are unknown\.index, unknown\.colour"),
        ("index = 2", "index = 1", r"key 'unknown\.index' is 1; expected 2, right after the classes"),
        ("index = 2", "index = true", r"key 'unknown\.index' is True"),
        (", colour = ", ", # ", "not TOML"),
        ('["building", "land"]', '["building", "building"]', "key 'classes' is"),
        ('["building", "land"]', '["building", "unknown"]', "key 'classes' is"),
        ('["building", "land"]', '"building"', "key 'classes' is 'building'"),
        ('["building", "land"]', "[]", "key 'classes' is"),
        (', "#8429F6"', "", "expected a list of 2 colours"),
        ("#8429F6", "#8429F", 'expected colours such as "#3C1098"'),
        ("#8429F6", "purple", "key 'palette' is 'purple'"),
        ("#8429F6", "#3c1098", "colours that all differ"),
        ("#9B9B9B", "#3C1098", "colours that all differ"),
        ('{ index = 2, colour = "#9B9B9B" }', "5", "key 'unknown' is 5; expected a table"),
        (DUBAI, "\x00", "not TOML"),
    ],
)
def test_bad_descriptions(landcover: Path, old: str, new: str, message: str) -> None:
    assert old in DUBAI
    (landcover / "p2_data" / "dataset.toml").write_text(DUBAI.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        open_dataset("landcover", landcover, image_size=8)
    assert "dataset.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_description_of_a_classification_set_has_only_a_name(classification50: Path) -> None:
    (classification50 / "p1_data" / "dataset.toml").write_text(DUBAI)
    with pytest.raises(InputError, match="unknown key 'classes'; valid keys are name"):
        open_dataset("classification50", classification50, image_size=8)


def test_description_that_is_no_text(classification50: Path) -> None:
    (classification50 / "p1_data" / "dataset.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(InputError, match=r"dataset\.toml: not TOML"):
        open_dataset("classification50", classification50, image_size=8)


# --- real images ----------------------------------------------------------------------------------------

REAL_COUNTS = {
    "classification50": (2250, 250, 50),
    "miniimagenet": (8960, 0, 64),
    "officehome": (1950, 390, 65),
    "landcover": (144, 18, 6),
}


@pytest.mark.parametrize("role", ROLES)
def test_stand_in_sets(real_data: Path, role: str) -> None:
    data = open_dataset(role, real_data / "standin", image_size=16, train_limit=130, val_limit=65)
    train, val, classes = REAL_COUNTS[role]
    assert data.source == "stand-in"
    assert len(data.classes) == classes
    assert (len(data.train), len(data.val)) == (min(train, 130), min(val, 65))
    listing = READERS[role](real_data / "standin")
    assert (len(listing.train), len(listing.val)) == (train, val)
    if role == "landcover":
        assert data.name == "dubai-landcover"
        assert data.classes == ("building", "land", "road", "vegetation", "water", "unknown")
        assert data.scored == (0, 1, 2, 3, 4)
        assert np.unique(data.train.targets).tolist() == [0, 1, 2, 3, 4, 5]
    else:
        assert np.bincount(data.train.targets).min() >= 2


def test_dataset_has_the_fields_that_records_name() -> None:
    names = {field.name for field in fields(Dataset)}
    assert {"role", "source", "manifest", "unique_val", "counts_note"} <= names
