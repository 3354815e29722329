"""``bench data prepare``: a published data set becomes the official layout, or a line names each fault."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_originals import CIFAR_CLASSES, COUNTS, FORMS, MADE, cifar_records, office_home, write
from PIL import Image

import reference.data
from bench.cli.data_check import check_data
from reference.data import READERS, open_dataset, prepare
from reference.data.listing import Listing
from reference.data.originals import EXPECTED, FINDERS, ORIGINALS
from reference.data.prepare import FOLDERS, JOBS, Preparation, SplitCounts, shares
from reference.errors import DiskError, InputError


@pytest.fixture(autouse=True)
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """SplitCounts of the made originals in place of the official ones."""
    for role, counts in COUNTS.items():
        monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, role, counts)


def wanted(role: str, **options: object) -> Preparation:
    of = COUNTS[role]
    counts = SplitCounts(of["train"], of["val"], of.get("classes", 7))
    return replace(Preparation(role=role, original=MADE[role], counts=counts), **options)  # type: ignore[arg-type]


def listed(folder: Path, role: str) -> Listing:
    return READERS[role](folder)


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(form: str, folder: Path) -> tuple[str, Path]:
    role, make = FORMS[form]
    return role, make(folder)


def test_registries_are_whole() -> None:
    roles = set(READERS)
    assert roles == set(ORIGINALS) == set(EXPECTED) == set(FINDERS) == set(FOLDERS) == set(JOBS)
    assert {role for role, _ in FORMS.values()} == roles


def test_published_counts_hold_the_official_ones() -> None:
    assert ORIGINALS["officehome"].images == 3951 + 406
    assert ORIGINALS["miniimagenet"].images == 64 * 600 == 38_400
    assert ORIGINALS["classification50"].per_class == 450 + 50


def test_every_form_becomes_public_originals(form: str, tmp_path: Path) -> None:
    role, source = made(form, tmp_path / "from")
    done = prepare.prepare(wanted(role), source, tmp_path / "to")
    assert (done.train, done.val, done.kept) == (COUNTS[role]["train"], COUNTS[role]["val"], 0)
    data = open_dataset(role, tmp_path / "to", image_size=16)
    assert data.source == "public-originals"
    assert data.name == MADE[role].title
    assert (len(data.train), len(data.val)) == (done.train, done.val)
    assert not data.warnings  # no image in both splits
    checked = check_data(tmp_path / "to")
    assert not checked.faults
    assert checked.verdicts[role].startswith("public-originals: ")
    assert not list((tmp_path / "to").rglob(".*"))


@pytest.mark.parametrize("copy", [False, True])
def test_images_of_folders_are_the_published_files(copy: bool, tmp_path: Path) -> None:
    source = office_home(tmp_path / "from")
    prepare.prepare(wanted("officehome", copy=copy), source, tmp_path / "to")
    listing = listed(tmp_path / "to", "officehome")
    for item in (*listing.train, *listing.val):
        label = listing.classes[item.label]
        original = source / "Real World" / label / f"{item.id.removeprefix(f'{label}_')}.jpg"
        assert item.image.read_bytes() == original.read_bytes()
        assert os.path.samefile(item.image, original) is not copy


def test_every_class_is_validated_in_proportion(tmp_path: Path) -> None:
    prepare.prepare(wanted("officehome"), office_home(tmp_path / "from"), tmp_path / "to")
    listing = listed(tmp_path / "to", "officehome")
    by_class = Counter(listing.classes[item.label] for item in listing.val)
    # 5 of 7, 11 and 5: shares 1.52, 2.39, 1.09
    assert by_class == {"Alarm_Clock": 2, "Bed": 2, "Mug": 1}


def test_shares_sum_and_stay_within_one() -> None:
    sizes = [23, 99, 64, 40, 81, 1]
    for total in range(sum(sizes) + 1):
        parts = shares(total, sizes)
        assert sum(parts) == total
        assert all(abs(p - total * s / sum(sizes)) < 1 for p, s in zip(parts, sizes, strict=True))


def test_the_forms_of_one_original_give_the_same_data(tmp_path: Path) -> None:
    trees = []
    for form in ("mini folders", "mini table", "mini tar"):
        role, source = made(form, tmp_path / form)
        prepare.prepare(wanted(role), source, tmp_path / "to" / form)
        trees.append(tree(tmp_path / "to" / form))
    assert trees[0] == trees[1] == trees[2]


def test_cifar_pixels_come_out_as_its_planes(tmp_path: Path) -> None:
    role, source = made("cifar folder", tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "to")
    rows = (tmp_path / "to/p1_data/classes.csv").read_text().split()
    names = dict(row.split(",") for row in rows)
    assert len(names) == 3
    assert set(names.values()) < set(CIFAR_CLASSES)
    records = np.frombuffer(cifar_records(), dtype=np.uint8).reshape(36, 3074)
    expected: dict[str, set[bytes]] = {name: set() for name in CIFAR_CLASSES}
    for record in records:
        image = np.stack(
            [record[2 + c * 1024 : 2 + (c + 1) * 1024].reshape(32, 32) for c in range(3)], axis=2
        )
        expected[CIFAR_CLASSES[record[1]]].add(image.tobytes())
    found: dict[str, set[bytes]] = {name: set() for name in names.values()}
    for path in (tmp_path / "to/p1_data").glob("*_50/*.png"):
        found[names[path.name.split("_")[0]]].add(np.asarray(Image.open(path)).tobytes())
    assert found == {name: expected[name] for name in names.values()}


def test_tiles_lie_in_their_originals_and_no_original_in_both_splits(tmp_path: Path) -> None:
    role, source = made("deepglobe pairs", tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "to")
    side, edge = MADE[role].tile, (70 - 64) // 2
    of_tile = {}
    for path in (source / "train").glob("*_mask.png"):
        mask = np.asarray(Image.open(path))
        for row in range(4):
            for column in range(4):
                top, left = edge + row * side, edge + column * side
                of_tile[mask[top : top + side, left : left + side].tobytes()] = path.name
    listing = listed(tmp_path / "to", role)
    origins = [
        {of_tile[np.asarray(Image.open(item.mask)).tobytes()] for item in items}
        for items in (listing.train, listing.val)
    ]
    assert origins[0].isdisjoint(origins[1])
    assert len(origins[0] | origins[1]) == 8
    for item in listing.train + listing.val:  # the image was cut where its mask was
        assert item.mask is not None
        name = of_tile[np.asarray(Image.open(item.mask)).tobytes()].replace("mask.png", "sat.jpg")
        whole = np.asarray(Image.open(source / "train" / name)).astype(int)
        tile = np.asarray(Image.open(item.image)).astype(int)
        windows = [
            np.abs(whole[edge + r * side :, edge + c * side :][:side, :side] - tile).mean()
            for r in range(4)
            for c in range(4)
        ]
        assert sorted(windows)[0] * 3 < sorted(windows)[1]


@pytest.mark.parametrize("form", [name for name in FORMS if not name.startswith("mini")])
def test_seed_draws_the_split_and_repeats_it(form: str, tmp_path: Path) -> None:
    role, source = made(form, tmp_path / "from")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare.prepare(wanted(role, seed=seed), source, tmp_path / name)
    first, again, other = (tree(tmp_path / name) for name in "abc")
    assert first == again
    toml = f"{FOLDERS[role][0]}/dataset.toml"
    assert {k: v for k, v in first.items() if k != toml} != {k: v for k, v in other.items() if k != toml}


class _StopError(Exception):
    """Raised in place of an interruption."""


def test_an_interrupted_preparation_goes_on_to_the_same_data(form: str, tmp_path: Path) -> None:
    role, source = made(form, tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "whole")

    def progress(done: int, count: int) -> None:
        if (tmp_path / "to" / FOLDERS[role][0] / "dataset.toml").exists():  # land cover reads masks before
            raise _StopError

    with pytest.raises(_StopError):
        prepare.prepare(wanted(role, progress=progress), source, tmp_path / "to")
    with pytest.raises(InputError, match="has not ended; repeat the bench data prepare command"):
        listed(tmp_path / "to", role)
    done = prepare.prepare(wanted(role), source, tmp_path / "to")
    assert done.kept > 0
    assert tree(tmp_path / "to") == tree(tmp_path / "whole")


def test_a_file_that_was_torn_is_made_anew(tmp_path: Path) -> None:
    role, source = made("cifar folder", tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "to")
    whole = tree(tmp_path / "to")
    torn = next((tmp_path / "to").rglob("*.png"))
    torn.write_bytes(b"\0" * 10)
    done = prepare.prepare(wanted(role), source, tmp_path / "to")
    assert done.kept == done.train + done.val - 1
    assert tree(tmp_path / "to") == whole


def spoiled(form: str, tmp_path: Path, spoil: Callable[[Path], object]) -> str:
    role, source = made(form, tmp_path / "from")
    spoil(source)
    with pytest.raises(InputError) as refused:
        prepare.prepare(wanted(role), source, tmp_path / "to")
    with pytest.raises(InputError):
        open_dataset(role, tmp_path / "to", image_size=16)
    return str(refused.value)


def _first(source: Path, pattern: str) -> Path:
    return sorted(source.rglob(pattern))[0]


Spoil = Callable[[Path], object]
OFFICE: tuple[tuple[Spoil, str], ...] = (
    (lambda s: _first(s, "Real World/Bed/*.jpg").unlink(), "found 22 images; published are 23"),
    (lambda s: shutil.rmtree(s / "Real World/Mug"), "found 2 classes; published are 3"),
    (lambda s: shutil.rmtree(s / "Real World"), "found no folder 'Real World'"),
    (lambda s: write(s / "Real World/Bed/a.txt", b"x"), "a.txt: the name does not fit"),
    (lambda s: write(s / "Real World/a.txt", b"x"), "a.txt: a file among the folders"),
    (lambda s: _first(s, "Real World/Bed/*.jpg").write_bytes(b""), "the file is empty"),
    (lambda s: _repaint(s, "Real World/Bed/*.jpg", (9, 90)), "9 x 90 pixels"),
)
MINI: tuple[tuple[str, Spoil, str], ...] = (
    ("folders", lambda s: shutil.rmtree(s / "train/n00532829"), "found 3 classes; published are 4"),
    ("folders", lambda s: _first(s, "train/n01*/*.jpg").unlink(), "class 'n01532829' has 5 images"),
    ("table", lambda s: _first(s, "*.jpg").unlink(), "line 2 lists 'n0053282900000000.jpg', not found"),
    ("table", lambda s: (s / "train.csv").write_text("name,label\na,b\n"), "fix column 'filename'"),
    ("tar", lambda s: s.write_bytes(s.read_bytes()[:700]), "not an uncompressed tar|found 1 images"),
    ("tar", lambda s: s.write_bytes(b"\x1f\x8b" + bytes(2000)), "not an uncompressed tar"),
)
CIFAR: tuple[tuple[str, Spoil, str], ...] = (
    ("folder", lambda s: (s / "cifar-100-binary/train.bin").write_bytes(bytes(3074)), "3,074 bytes"),
    ("folder", lambda s: (s / "cifar-100-binary/fine_label_names.txt").unlink(), "cannot be read"),
    ("archive", lambda s: s.write_bytes(s.read_bytes()[:5000]), "cannot be read"),
)
PAIRS: tuple[tuple[Spoil, str], ...] = (
    (lambda s: _first(s, "*_mask.png").unlink(), "found no 0_mask.png with it"),
    (lambda s: _repaint(s, "*_mask.png", (70, 70), (255, 0, 0)), "4900 pixels outside the palette"),
    (lambda s: _first(s, "*_sat.jpg").write_bytes(b"GIF"), "not a JPEG or PNG image"),
    (lambda s: _repaint(s, "*_sat.jpg", (64, 64)), "64 x 64 pixels; expected sides of 70"),
)


def _repaint(
    source: Path, pattern: str, size: tuple[int, int], colour: tuple[int, int, int] = (0, 0, 0)
) -> None:
    Image.new("RGB", size, colour).save(_first(source, pattern))


@pytest.mark.parametrize(
    ("form", "spoil", "expected"),
    [
        *(("office folders", *case) for case in OFFICE),
        *((f"mini {form}", *case) for form, *case in MINI),
        *((f"cifar {form}", *case) for form, *case in CIFAR),
        *(("deepglobe pairs", *case) for case in PAIRS),
    ],
)
def test_an_odd_original_is_refused_by_name(
    form: str, spoil: Callable[[Path], object], expected: str, tmp_path: Path
) -> None:
    told = spoiled(form, tmp_path, spoil)
    assert any(re.search(expected, line) for line in told.split("\n")), told


def test_the_pickled_archive_is_refused_and_not_opened(tmp_path: Path) -> None:
    for name in ("meta", "train", "test"):
        write(tmp_path / "cifar" / name, b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match="the pickled archive, which could run code and is not read"):
        prepare.prepare(wanted("classification50"), tmp_path / "cifar", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    def spoil(source: Path) -> None:
        for label in ("Bed", "Mug"):
            _first(source, f"Real World/{label}/*.jpg").write_bytes(b"no image")

    lines = spoiled("office folders", tmp_path, spoil).split("\n")
    assert [line.split(": ")[1] for line in lines[:-1]] == [
        "not a JPEG or PNG image; replace the file or remove it"
    ] * 2
    assert lines[-1].startswith("2 faults; ")


def test_mended_files_are_taken_by_the_same_command(tmp_path: Path) -> None:
    source = office_home(tmp_path / "from")
    bad = _first(source, "Real World/Bed/*.jpg")
    good = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(InputError):
        prepare.prepare(wanted("officehome"), source, tmp_path / "to")
    bad.write_bytes(good)
    assert prepare.prepare(wanted("officehome"), source, tmp_path / "to").kept == 22


def test_another_seed_or_other_data_are_not_overwritten(tmp_path: Path) -> None:
    source = office_home(tmp_path / "from")
    prepare.prepare(wanted("officehome"), source, tmp_path / "to")
    before = tree(tmp_path / "to")
    with pytest.raises(InputError, match="describes this data with seed 0; remove"):
        prepare.prepare(wanted("officehome", seed=1), source, tmp_path / "to")
    assert tree(tmp_path / "to") == before
    write(tmp_path / "own/p1_data/office/train/a.jpg", b"mine")
    with pytest.raises(InputError, match="holds files that were not prepared here"):
        prepare.prepare(wanted("officehome"), source, tmp_path / "own")


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    role, source = made("cifar folder", tmp_path / "from")
    real, room = Path.write_bytes, [5]

    def fill(path: Path, blob: bytes) -> int:
        if path.name.endswith(".tmp") and room[0] == 0:
            real(path, blob[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= path.name.endswith(".tmp")
        return real(path, blob)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(DiskError, match=r"No space left on device.*give the same command again"):
        prepare.prepare(wanted(role), source, tmp_path / "to")
    assert not list((tmp_path / "to").rglob("*.tmp"))
    room[0] = 1000
    assert prepare.prepare(wanted(role), source, tmp_path / "to").kept == 5
    assert open_dataset(role, tmp_path / "to", image_size=16).source == "public-originals"


def test_links_across_file_systems_name_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, path: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    source = office_home(tmp_path / "from")
    with pytest.raises(DiskError, match="give the command again with --copy"):
        prepare.prepare(wanted("officehome"), source, tmp_path / "to")
    assert prepare.prepare(wanted("officehome", copy=True), source, tmp_path / "to").train == 18


def test_another_role_below_the_description_is_no_public_original(tmp_path: Path) -> None:
    """``p1_data/dataset.toml`` describes one role; Office-Home next to it is not rebuilt."""
    role, source = made("cifar folder", tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "to")
    prepare.prepare(wanted("officehome"), office_home(tmp_path / "office"), tmp_path / "to")
    (tmp_path / "to/p1_data/office/dataset.toml").unlink()
    assert open_dataset("officehome", tmp_path / "to", image_size=16).source == "stand-in"
    assert open_dataset(role, tmp_path / "to", image_size=16).source == "public-originals"


def test_a_changed_count_is_a_stand_in(tmp_path: Path) -> None:
    role, source = made("cifar folder", tmp_path / "from")
    prepare.prepare(wanted(role), source, tmp_path / "to")
    next((tmp_path / "to/p1_data/train_50").iterdir()).unlink()
    assert open_dataset(role, tmp_path / "to", image_size=16).source == "stand-in"
