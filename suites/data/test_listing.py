"""Finding files: order and names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.data.listing import list_folder, natural_key, shown
from reference.errors import InputError

PNG = re.compile(r"(?P<id>.+)\.png")


def names(folder: Path) -> list[str]:
    return [path.name for path, _ in list_folder(folder, PNG, "*.png")]


def test_numbers_count(tmp_path: Path) -> None:
    expected = ["0_1.png", "0_2.png", "0_10.png", "1_0.png", "2_0.png", "10_0.png"]
    for name in reversed(expected):
        (tmp_path / name).touch()
    assert names(tmp_path) == expected


@given(st.lists(st.integers(0, 10**30), unique=True))
def test_natural_order_of_numbers_is_numeric(numbers: list[int]) -> None:
    assert sorted((f"{n}_sat" for n in numbers), key=natural_key) == [f"{n}_sat" for n in sorted(numbers)]


@given(st.lists(st.text(alphabet="a01_Z", max_size=6), unique=True), st.randoms())
def test_order_does_not_depend_on_the_file_system(texts: list[str], random: object) -> None:
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(shuffled, key=natural_key) == sorted(texts, key=natural_key)


def test_very_long_numbers_sort() -> None:
    long = "9" * 5000  # int() refuses more than 4300 digits
    assert sorted([long, "1" + long, "8"], key=natural_key) == ["8", long, "1" + long]


def test_dotfiles_are_left_out(tmp_path: Path) -> None:
    for name in (".DS_Store", "._a.png", "a.png"):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["a.png"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: cannot be listed \(No such file .*give --data the folder"):
        names(tmp_path / "gone")


def test_file_instead_of_folder(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(InputError, match=r"f: cannot be listed \(Not a directory\)"):
        names(tmp_path / "f")


@pytest.mark.parametrize("dotfile", [False, True])
def test_empty_folder(tmp_path: Path, dotfile: bool) -> None:
    if dotfile:
        (tmp_path / ".keep").touch()
    with pytest.raises(InputError, match=r"the folder is empty; expected \*\.png"):
        names(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "Thumbs.db", "a.png.part", "a.PNG", ".png.", "a\n.png"])
def test_name_that_does_not_fit(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").touch()
    path = tmp_path / (name if not name.startswith(".") else "x" + name)
    path.touch()
    with pytest.raises(InputError) as caught:
        names(tmp_path)
    assert shown(path) in str(caught.value)
    assert "the name does not fit" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes no such names")
    with pytest.raises(InputError, match=r"\\udcff\.png: the name does not fit"):
        names(tmp_path)


def test_only_regular_files_count(tmp_path: Path) -> None:
    (tmp_path / "d.png").mkdir()
    with pytest.raises(InputError, match=r"d\.png: not a regular file"):
        names(tmp_path)


def test_dangling_link_and_pipe(tmp_path: Path) -> None:
    (tmp_path / "l.png").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"l\.png: not a regular file"):
        names(tmp_path)
    (tmp_path / "l.png").unlink()
    os.mkfifo(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"p\.png: not a regular file"):
        names(tmp_path)


def test_link_to_a_file_counts(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (tmp_path / "real").touch()
    (folder / "a.png").symlink_to(tmp_path / "real")
    assert names(folder) == ["a.png"]
