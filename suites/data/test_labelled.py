"""The CSV next to a folder of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference.data.labelled import label_items, list_labelled, read_rows
from reference.errors import InputError

GOOD = "id,filename,label\n0,b.jpg,Mug\n1,a.jpg,Bed\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    return folder


def listed(folder: Path, text: str | bytes) -> list[tuple[str, str]]:
    path = folder.with_suffix(".csv")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(file.name, label) for file, label in list_labelled(path, folder)]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.rstrip("\n"),
        GOOD + "\n\n",
        'label,split,id,filename\n"Mug",x,0, b.jpg\nBed,x,1,a.jpg\n',
        "id , filename,label\n7,b.jpg,Mug\n3,a.jpg,Bed\n",
    ],
)
def test_good_tables(folder: Path, text: str) -> None:
    assert listed(folder, text) == [("a.jpg", "Bed"), ("b.jpg", "Mug")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows; expected id,filename,label"),
        ("id,filename,label\n", "no rows"),
        ("id,filename\n0,a.jpg\n", "found columns id,filename; .*fix column 'label'"),
        ("id,filename,label,label\n0,a.jpg,Bed,Bed\n", "fix column 'label'"),
        ("0,a.jpg,Bed\n1,b.jpg,Mug\n", "fix column 'id'"),
        (GOOD + "2,c.jpg,Mug\n", r"line 4 lists 'c\.jpg', not found in"),
        ("id,filename,label\n0,b.jpg,Mug\n", r"a\.jpg: not in .*train\.csv; add its row"),
        (GOOD + "2,b.jpg,Mug\n", r"filename 'b\.jpg' is on lines 2 and 4"),
        (GOOD.replace("1,a", "0,a"), "id '0' is on lines 2 and 3"),
        (GOOD + "2,../b.jpg,Mug\n", r"line 4: filename '\.\./b\.jpg' is a path"),
        (GOOD + "2,/etc/passwd,Mug\n", "line 4: filename '/etc/passwd' is a path"),
        (GOOD + "2,..,Mug\n", r"line 4: filename '\.\.' is a path"),
        (GOOD + "2,sub\\b.jpg,Mug\n", "is a path"),
        (GOOD + "2,,Mug\n", "line 4: filename is ''"),
        (GOOD.replace("Mug", " "), "line 2: label is ''"),
        (GOOD + "2,b.jpg\n", "line 4 has 2 fields; expected 3"),
        (GOOD + "2,b.jpg,Mug,x\n", "line 4 has 4 fields; expected 3"),
        (GOOD + '2,b.jpg,"Mug\n', r"not CSV in UTF-8 \(unexpected end of data\)"),
        (GOOD + '2,b.jpg,"Mug\nBed"\n', "label is 'Mug.nBed'"),
        (GOOD.replace("Mug", "M\x1b[2Jug"), "line 2: label is 'M.x1b"),
        (GOOD.replace("Mug", "M" * 201), "label of 201 characters"),
        (GOOD.encode("utf-16"), "not CSV in UTF-8"),
        (b"id,filename,label\n0,b.jpg,\xff\n", "not CSV in UTF-8"),
    ],
)
def test_bad_tables(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        listed(folder, text)
    assert "train.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_table(folder: Path) -> None:
    with pytest.raises(InputError, match=r"train\.csv: cannot be read"):
        list_labelled(folder.with_suffix(".csv"), folder)


def test_field_that_is_too_long_for_csv(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("id,filename,label\n0," + "x" * 200_000 + ",a\n")
    with pytest.raises(InputError, match="field larger than"):
        read_rows(path)


def test_classes_are_the_training_labels_in_natural_order() -> None:
    train = [(Path(f"{i}.jpg"), label) for i, label in enumerate(("10", "9", "0", "9"))]
    items, val, classes = label_items(train, [(Path("v.jpg"), "9")])
    assert classes == ("0", "9", "10")
    assert [item.label for item in items] == [2, 1, 0, 1]
    assert [(item.id, item.label) for item in val] == [("v", 1)]


def test_label_that_only_validation_has() -> None:
    with pytest.raises(InputError, match=r"v\.jpg: no training image has its label 'Cat'"):
        label_items([(Path("a.jpg"), "Dog")], [(Path("v.jpg"), "Cat")])
