"""``bench data check``: whatever a run refuses it lists, and what a run warns of it counts and names."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli import data_check, doctor
from bench.runs import run_plan
from reference.data import OFFICIAL_PALETTE, READERS, open_dataset
from reference.data.mask_values import stated
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.numerics import Numerics

# One recipe a role, and for mini-ImageNet one that trains on labels too.
SLUGS = {
    "classification50": ("r4-classify",),
    "miniimagenet": ("r3-byol", "supervised"),
    "officehome": ("r3-finetune-a",),
    "landcover": ("r4-seg-b",),
}
PARTS = {
    "classification50": "p1_data",
    "miniimagenet": "p1_data/mini",
    "officehome": "p1_data/office",
    "landcover": "p2_data",
}
LABELS = ("Bed", "caf\u00e9", "Mug")
SIDE = 8


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_table(folder: Path, split: str, names: list[str]) -> None:
    rows = [f"{i},{name},{LABELS[i % 3]}\n" for i, name in enumerate(names)]
    write(folder / f"{split}.csv", "id,filename,label\n" + "".join(rows))


def write_sound(source: Path, role: str) -> None:
    """The smallest data of a role that a run takes; a mask holds every class."""
    seeds = iter(range(100))
    if role == "landcover":
        mask = OFFICIAL_PALETTE.encode((np.arange(SIDE * SIDE) % 7).reshape(SIDE, SIDE).astype(np.uint8))
        for split in ("train", "validation"):
            for name in ("0", "1"):
                folder = source / "p2_data" / split
                write(folder / f"{name}_sat.jpg", encoded(Image.fromarray(pixels(next(seeds))), "JPEG"))
                write(folder / f"{name}_mask.png", encoded(Image.fromarray(mask), "PNG"))
    elif role == "classification50":
        for split, count in (("train_50", 2), ("val_50", 1)):
            for name in (f"{label}_{i}.png" for label in range(3) for i in range(count)):
                write(source / "p1_data" / split / name, encoded(Image.fromarray(pixels(next(seeds))), "PNG"))
    else:
        folder = source / PARTS[role]
        for split, count in (("train", 6), ("val", 3))[: 1 if role == "miniimagenet" else 2]:
            names = [f"{i}.jpg" for i in range(count)]
            for name in names:
                write(folder / split / name, encoded(Image.fromarray(pixels(next(seeds))), "JPEG"))
            write_table(folder, split, names)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound data of every role, each in a folder of its own; copied before it is spoiled."""
    folders = {role: tmp_path_factory.mktemp(role) for role in READERS}
    for role, folder in folders.items():
        write_sound(folder, role)
    return folders


def refused_by_run(source: Path, role: str) -> str:
    """The line that refuses a run of the role, at the smoke tier or in full; "" where none is refused."""
    for tier in ("smoke", "full"):
        for slug in SLUGS[role]:
            try:
                run_plan.plan(
                    [RECIPES[slug]],
                    tier=tier,
                    data=source,
                    seeds=1,
                    init="scratch",
                    weights=None,
                    numerics=Numerics(device="cpu"),
                    cache=source / "cache",
                )
            except InputError as error:
                return str(error)
    return ""


Rng = np.random.Generator
Spoil = Callable[[Path, str, Rng], None]


def some(source: Path, role: str, rng: Rng, pattern: str) -> Path:
    """A random file of the role that fits a pattern; one that is not there where none does."""
    files = sorted(path for path in (source / PARTS[role]).rglob(pattern) if path.is_file())
    return files[rng.integers(len(files))] if files else source / "none"


def image_of(source: Path, role: str, rng: Rng) -> Path:
    return some(
        source,
        role,
        rng,
        "*_sat.jpg" if role == "landcover" else "*_*.png" if role == "classification50" else "*.jpg",
    )


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    if path.is_file():
        path.write_bytes(change(path.read_bytes()))


def edit_table(change: Callable[[list[str], Rng], list[str]]) -> Spoil:
    """Change the lines of a CSV; of a role without one a name."""

    def spoil(source: Path, role: str, rng: Rng) -> None:
        path = some(source, role, rng, "*.csv")
        if path.is_file():
            path.write_text("\n".join(change(path.read_text().splitlines(), rng)) + "\n")
        else:
            misname(source, role, rng)

    return spoil


def a_row(lines: list[str], rng: Rng, change: Callable[[list[str]], list[str]]) -> list[str]:
    if len(lines) < 2:
        return lines
    at = int(rng.integers(1, len(lines)))
    return [*lines[:at], ",".join(change(lines[at].split(","))), *lines[at + 1 :]]


def truncate(source: Path, role: str, rng: Rng) -> None:
    edit(image_of(source, role, rng), lambda blob: blob[: len(blob) // 2])


def close_again(source: Path, role: str, rng: Rng) -> None:
    def cut(blob: bytes) -> bytes:
        return blob[:-12] + b"\xff\xd9" if blob.startswith(b"\xff\xd8") else blob[:60]

    edit(image_of(source, role, rng), cut)


def misname(source: Path, role: str, rng: Rng) -> None:
    path = image_of(source, role, rng)
    if path.is_file():
        path.rename(path.with_name("notes.txt"))


def remove_image(source: Path, role: str, rng: Rng) -> None:
    image_of(source, role, rng).unlink(missing_ok=True)


def remove_folder(source: Path, role: str, rng: Rng) -> None:
    folders = sorted(path for path in (source / PARTS[role]).iterdir() if path.is_dir())
    if folders:
        shutil.rmtree(folders[rng.integers(len(folders))])


def empty_folder(source: Path, role: str, rng: Rng) -> None:
    folders = sorted(path for path in (source / PARTS[role]).iterdir() if path.is_dir())
    for path in folders[rng.integers(len(folders))].iterdir() if folders else ():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def add_stranger(source: Path, role: str, rng: Rng) -> None:
    write(image_of(source, role, rng).parent / "Thumbs.db", b"x")


def add_folder(source: Path, role: str, rng: Rng) -> None:
    (image_of(source, role, rng).parent / "9_9.png").mkdir(exist_ok=True)


def add_dead_link(source: Path, role: str, rng: Rng) -> None:
    path = image_of(source, role, rng)
    if path.is_file():
        path.unlink()
        path.symlink_to(source / "gone")


def misdescribe(source: Path, role: str, rng: Rng) -> None:
    texts = ("nam = 'x'\n", "name = 3\n", "[", "name = ''\n", "name = 'x'\nfuture = 1\n", "name = '\xff'\n")
    (source / PARTS[role] / "dataset.toml").write_bytes(str(rng.choice(texts)).encode("latin-1"))


def label_in_val_alone(source: Path, role: str, rng: Rng) -> None:
    if role == "classification50":
        write(source / "p1_data/val_50/7_0.png", encoded(Image.fromarray(pixels(99)), "PNG"))
    elif role == "officehome":
        path = source / "p1_data/office/val.csv"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        path.write_text("\n".join(a_row(lines, rng, lambda row: [*row[:2], "Cat"])) + "\n")
    else:
        truncate(source, role, rng)


def one_image_of_a_class(source: Path, role: str, rng: Rng) -> None:
    edit_table(lambda lines, rng: a_row(lines, rng, lambda row: [*row[:2], "Zebra"]))(source, role, rng)


def mask_of_labels(source: Path, role: str, rng: Rng) -> None:
    labels = rng.integers(0, 2, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
    path = some(source, role, rng, "*_mask.png")
    edit(path, lambda _: encoded(Image.fromarray(labels), "PNG")) if path.is_file() else truncate(
        source, role, rng
    )


def mask_of_another_size(source: Path, role: str, rng: Rng) -> None:
    path = some(source, role, rng, "*_mask.png")
    larger = Image.new("RGB", (SIDE + 1, SIDE), (0, 255, 255))
    edit(path, lambda _: encoded(larger, "PNG")) if path.is_file() else truncate(source, role, rng)


def bad_profile(source: Path, role: str, rng: Rng) -> None:
    """An empty ``iCCP`` chunk behind the picture, which a decoder leaves by an IndexError."""
    path = some(source, role, rng, "*.png")
    chunk = b"\0\0\0\0iCCP" + zlib.crc32(b"iCCP").to_bytes(4, "big")
    if path.is_file():
        edit(path, lambda blob: blob[:-12] + chunk + blob[-12:])
    else:
        truncate(source, role, rng)


FAULTS: dict[str, Spoil] = {
    "a truncated image": truncate,
    "an image cut and closed again": close_again,
    "an empty file": lambda s, r, g: edit(image_of(s, r, g), lambda _: b""),
    "text for an image": lambda s, r, g: edit(image_of(s, r, g), lambda _: b"not an image"),
    "a 16-bit image": lambda s, r, g: edit(
        image_of(s, r, g), lambda _: encoded(Image.new("I;16", (SIDE, SIDE)), "PNG")
    ),
    "a chunk that a decoder stumbles over": bad_profile,
    "a name that does not fit": misname,
    "an image that is not there": remove_image,
    "a folder that is not there": remove_folder,
    "an empty folder": empty_folder,
    "a file of another kind": add_stranger,
    "a folder among files": add_folder,
    "a link to nothing": add_dead_link,
    "a bad dataset.toml": misdescribe,
    "a label only in val": label_in_val_alone,
    "a class of one image": one_image_of_a_class,
    "a row without a file": edit_table(lambda lines, g: [*lines, "77,gone.jpg,Bed"]),
    "a file without a row": edit_table(lambda lines, g: lines[:-1]),
    "a row twice": edit_table(lambda lines, g: [*lines, lines[-1]]),
    "a row without a label": edit_table(lambda lines, g: a_row(lines, g, lambda row: [*row[:2], " "])),
    "a path for a name": edit_table(
        lambda lines, g: a_row(lines, g, lambda row: [row[0], "../x.jpg", "Bed"])
    ),
    "a table without a column": edit_table(lambda lines, g: ["id,filename", *lines[1:]]),
    "an open quote": edit_table(lambda lines, g: [*lines, '78,"x.jpg,Bed']),
    "a mask of labels": mask_of_labels,
    "a mask of another size": mask_of_another_size,
}
ALONE_OR_IN_PAIRS = [*((name,) for name in FAULTS), *combinations(FAULTS, 2)]


def spoiled_folders(rounds: range) -> list[tuple[str, tuple[str, ...], int]]:
    """Role, faults and seed of generated folders."""
    return [(role, faults, seed) for seed in rounds for role in READERS for faults in ALONE_OR_IN_PAIRS]


def unlisted(
    cases: list[tuple[str, tuple[str, ...], int]], sound: dict[str, Path], tmp_path: Path
) -> tuple[int, list[object]]:
    """How many of the folders a run refuses, and those whose refusal is not listed."""
    refused, missed = 0, list[object]()
    for number, (role, faults, seed) in enumerate(cases):
        source = tmp_path / str(number)
        shutil.copytree(sound[role], source, symlinks=True)
        rng = np.random.default_rng([seed, number])
        for name in faults:
            FAULTS[name](source, role, rng)
        line = refused_by_run(source, role).removeprefix(f"{source}/")
        try:
            listed = data_check.check_data(source).faults
        except InputError as error:  # nothing of the layout is left
            listed = (str(error),)
        refused += bool(line)
        if line and line not in listed and not any("found none of" in fault for fault in listed):
            missed.append((role, faults, seed, line, listed))
        shutil.rmtree(source)
    return refused, missed


def test_whatever_a_run_refuses_is_listed(sound: dict[str, Path], tmp_path: Path) -> None:
    """Every fault alone on every role, and a sample of the pairs."""
    cases = spoiled_folders(range(1))
    sample = [case for case in cases if len(case[1]) == 1] + [c for c in cases if len(c[1]) == 2][::13]
    assert len(FAULTS) >= 20
    refused, missed = unlisted(sample, sound, tmp_path)
    assert not missed, missed[0]
    assert refused > len(sample) * 0.9  # else the faults would be none


@pytest.mark.slow
def test_whatever_a_run_refuses_is_listed_of_thousands(sound: dict[str, Path], tmp_path: Path) -> None:
    cases = spoiled_folders(range(1, 3))
    assert len(cases) >= 2000
    refused, missed = unlisted(cases, sound, tmp_path)
    assert not missed, (len(missed), missed[:3])
    assert refused >= 2000


def test_sound_folders_have_no_fault_and_are_run(sound: dict[str, Path]) -> None:
    for role, source in sound.items():
        assert refused_by_run(source, role) == ""
        checked = data_check.check_data(source)
        assert (checked.faults, checked.warnings) == ((), ()), role


# --- every fault, and the rest compared ---------------------------------------------------------------------


def test_every_fault_of_a_table_is_listed_and_the_rest_compared(
    sound: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["officehome"], source)
    write(
        source / "p1_data/office/train.csv",
        "id,filename,label\n0,0.jpg,Bed\n0,1.jpg,Mug\n2,2.jpg,\n3,../3.jpg,Bed\n4,4.jpg\n5,gone.jpg,Mug\n",
    )
    faults = data_check.check_data(source).faults
    for part in (
        "train.csv: id '0' is on lines 2 and 3",
        "train.csv: line 4: label is ''",
        "train.csv: line 5: filename '../3.jpg' is a path",
        "train.csv: line 6 has 2 fields; expected 3",
        "train.csv: line 7 lists 'gone.jpg', not found",
        "train/3.jpg: not in ",
        "train/4.jpg: not in ",
        "train/5.jpg: not in ",
        "val/1.jpg: no training image has its label 'caf\u00e9'",
    ):
        assert any(part in fault for fault in faults), (part, faults)
    assert len(faults) == 9, faults


def test_the_files_after_one_that_a_decoder_stumbles_over_are_checked(
    sound: dict[str, Path], tmp_path: Path
) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["classification50"], source)
    bad_profile(source, "classification50", np.random.default_rng(0))
    (source / "p1_data/val_50/2_0.png").write_bytes(b"x")
    faults = data_check.check_data(source).faults
    assert len(faults) == 2
    assert sum("damaged (index out of range)" in fault for fault in faults) == 1
    assert "p1_data/val_50/2_0.png: not a JPEG or PNG image" in faults[1]


def test_a_split_without_the_classes_that_the_smoke_tier_keeps_is_a_fault(tmp_path: Path) -> None:
    for label in range(11):
        write(tmp_path / f"p1_data/train_50/{label}_0.png", encoded(Image.fromarray(pixels(label)), "PNG"))
    write(tmp_path / "p1_data/val_50/10_1.png", encoded(Image.fromarray(pixels(20)), "PNG"))
    line = refused_by_run(tmp_path, "classification50")
    assert line == "classes: the first 10 classes of classification50 have no validation image; keep more"
    assert data_check.check_data(tmp_path).faults == (line,)


# --- warnings -----------------------------------------------------------------------------------------------


def both_warnings(source: Path, role: str, **options: object) -> tuple[str, ...]:
    """What ``data check`` warns of, which a run warns of too."""
    checked = data_check.check_data(source, **options)  # type: ignore[arg-type]
    assert checked.faults == ()
    assert open_dataset(role, source, image_size=SIDE, **options).warnings == checked.warnings  # type: ignore[arg-type]
    return checked.warnings


def test_the_same_image_in_both_splits_is_named(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["classification50"], source)
    shutil.copy(source / "p1_data/train_50/0_1.png", source / "p1_data/val_50/0_0.png")
    (warning,) = both_warnings(source, "classification50")
    assert warning.startswith("classification50: 1 image is in both train and val: train/0_1 = val/0_0;")


def test_the_same_image_under_two_labels_is_named(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["officehome"], source)
    shutil.copy(source / "p1_data/office/train/0.jpg", source / "p1_data/office/train/2.jpg")
    (warning,) = both_warnings(source, "officehome")
    assert "1 image is there twice with different labels: train/0 (Bed) = train/2 (Mug)" in warning


def test_the_same_image_under_two_masks_is_named(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["landcover"], source)
    train = source / "p2_data/train"
    shutil.copy(train / "0_sat.jpg", train / "1_sat.jpg")
    assert both_warnings(source, "landcover") == ()  # the masks are equal too: nothing contradicts anything
    Image.fromarray(np.flipud(np.asarray(Image.open(train / "1_mask.png")))).save(train / "1_mask.png")
    (warning,) = both_warnings(source, "landcover")
    assert "1 image is there twice with different masks: train/0 = train/1" in warning


def test_images_that_are_repeated_often_are_counted(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["miniimagenet"], source)
    for number in range(1, 6):
        shutil.copy(source / "p1_data/mini/train/0.jpg", source / f"p1_data/mini/train/{number}.jpg")
    (warning,) = both_warnings(source, "miniimagenet")
    assert "5 images are there twice with different labels: train/0 (Bed) = train/1" in warning


def test_a_split_without_a_pixel_of_a_class_says_so(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["landcover"], source)
    for path in (source / "p2_data/validation").glob("*_mask.png"):
        Image.new("RGB", (SIDE, SIDE), (0, 255, 0)).save(path)
    (warning,) = both_warnings(source, "landcover")
    assert warning.startswith(
        "landcover: val: no pixel of urban, agriculture, rangeland, water, barren in any"
    )
    for path in (source / "p2_data/validation").glob("*_mask.png"):
        Image.new("RGB", (SIDE, SIDE)).save(path)
    (warning,) = both_warnings(source, "landcover", mask_values=("colours",))
    assert "forest, water, barren in any mask; without them the mean IoU is undefined" in warning


def test_a_run_says_warnings_once(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["classification50"], source)
    shutil.copy(source / "p1_data/train_50/0_1.png", source / "p1_data/val_50/0_0.png")
    said: list[str] = []
    run_plan.plan(
        [RECIPES["r4-classify"]],
        tier="smoke",
        data=source,
        seeds=3,
        init="scratch",
        weights=None,
        numerics=Numerics(device="cpu"),
        cache=tmp_path / "cache",
        notice=said.append,
    )
    assert len(said) == 1
    assert said[0].startswith("warning: classification50: 1 image is in both train and val")


# --- names in two Unicode forms -----------------------------------------------------------------------------


def decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def test_names_and_labels_in_two_forms_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "p1_data/office"
    for split in ("train", "val"):
        names = [f"caf\u00e9{i}.jpg" for i in range(4)]
        for i, name in enumerate(names):
            image = encoded(Image.fromarray(pixels(i + 10 * len(split))), "JPEG")
            write(folder / split / (decomposed(name) if i % 2 else name), image)
        labels = ("caf\u00e9", decomposed("caf\u00e9"), "Mug", "Bed")
        rows = "".join(
            f"{i},{name},{label}\n" for i, (name, label) in enumerate(zip(names, labels, strict=True))
        )
        write(folder / f"{split}.csv", "id,filename,label\n" + rows)
    assert data_check.check_data(tmp_path).faults == ()
    data = open_dataset("officehome", tmp_path, image_size=SIDE)
    assert data.classes == ("Bed", "Mug", "caf\u00e9")
    assert data.train.ids == tuple(f"caf\u00e9{i}" for i in range(4))


def test_two_files_that_look_alike_are_told_apart(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["landcover"], source)
    train = source / "p2_data/train"
    for name in ("\u00e9", decomposed("\u00e9")):
        shutil.copy(train / "0_sat.jpg", train / f"{name}_sat.jpg")
        shutil.copy(train / "0_mask.png", train / f"{name}_mask.png")
    faults = data_check.check_data(source).faults
    assert len(faults) == 2
    for fault in faults:
        assert "two files of this name in two Unicode forms, " in fault
        assert "'\\xe9_" in fault
        assert "'e\\u0301_" in fault


# --- folders that may not be read ---------------------------------------------------------------------------


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user for whom permissions count, whose rights this process has for the test."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
            stack.callback(os.seteuid, 0)
        yield folder


@pytest.mark.parametrize("closed", [".", "p2_data", "p2_data/validation"])
def test_a_folder_that_may_not_be_read_is_named(unprivileged: Path, closed: str) -> None:
    write_sound(unprivileged, "landcover")
    (unprivileged / closed).chmod(0)
    try:
        checked = data_check.check_data(unprivileged)
        findings = {
            f.check: f for f in doctor.examine(unprivileged, unprivileged / "c", unprivileged, unprivileged)
        }
        weights = doctor._weights(unprivileged)
        line = refused_by_run(unprivileged, "landcover")
    finally:
        (unprivileged / closed).chmod(0o700)
    assert any("cannot be listed (Permission denied)" in fault for fault in checked.faults)
    assert line.removeprefix(f"{unprivileged}/") in checked.faults
    assert findings["data"].verdict == "broken"
    assert "cannot be listed (Permission denied)" in findings["data"].message
    if closed == ".":
        assert findings["results"].verdict == findings["cache"].verdict == "broken"
        assert "Permission denied" in weights.message


def test_a_file_that_may_not_be_read_is_named(unprivileged: Path) -> None:
    write_sound(unprivileged, "landcover")
    (unprivileged / "p2_data/train/0_sat.jpg").chmod(0)
    faults = data_check.check_data(unprivileged).faults
    assert faults == ("p2_data/train/0_sat.jpg: cannot be read (Permission denied); expected a file",)


def test_labels_are_checked_in_the_order_that_is_stated(sound: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "data"
    shutil.copytree(sound["landcover"], source)
    for path in source.rglob("*_mask.png"):
        Image.fromarray((np.arange(64) % 7).reshape(8, 8).astype(np.uint8)).save(path)
    assert len(data_check.check_data(source).faults) == 4
    order = (*OFFICIAL_PALETTE.classes, "unknown")
    assert stated(OFFICIAL_PALETTE, order).labels[6] == (6, 6)
    assert data_check.check_data(source, mask_values=order).faults == ()
    with pytest.raises(InputError, match="--mask-values: found 'urbn'"):
        data_check.check_data(source, mask_values=("urbn",))
