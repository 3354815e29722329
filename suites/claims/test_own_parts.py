"""A recipe whose data, network, loss, augmentation, optimiser and schedule are the user's own code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.claims import added
from bench.cli import app
from bench.runs import run_plan, training_run
from reference.data import own
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.numerics import Numerics

pytestmark = pytest.mark.usefixtures("for_this_test_only")
GUIDE = Path(__file__).parents[2] / "docs" / "add-a-report.md"
SECTION = "## 9. Data, loss and more of your own"


def blocks() -> dict[str, str]:
    """The files that the guide's section shows, by name."""
    section = GUIDE.read_text(encoding="utf-8").partition(SECTION)[2].partition("\n## ")[0]
    found = re.findall(r"^```(?:python|toml)\n(# ([\w.]+)\n.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return {name: text for text, name in found}


Changed = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Changed:
    """Run the guide's report with one text of one of its files replaced: the lines printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training_run, "draw", lambda *_: [])  # pictures take longer than the training
    for name, text in blocks().items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def command(*words: str, file: str = "", before: str = "", after: str = "") -> list[str]:
        if file:
            text = (tmp_path / file).read_text(encoding="utf-8")
            assert before in text
            (tmp_path / file).write_text(text.replace(before, after), encoding="utf-8")
        assert not app([*words, "--claims", "parts.toml"], standalone_mode=False)
        printed = capsys.readouterr()
        return (printed.out + printed.err).splitlines()

    return command


def test_every_part_may_be_ones_own(run: Changed, tmp_path: Path) -> None:
    run("run", "parts-own", "--tier", "full")
    (file,) = (tmp_path / "runs" / "records" / "parts-own").glob("*.json")
    record = json.loads(file.read_text(encoding="utf-8"))
    assert (record["status"], record["data"]["role"], record["data"]["source"]) == (
        "ok",
        "digits",
        "official",
    )
    assert record["metrics"]["final"]["metrics"]["top1"]["denominator"] == 899
    assert record["metrics"]["final"]["metrics"]["top1"]["value"] > 0.5
    sources = {name for name in record["recipe"] if name.endswith("_source")}
    assert sources == {f"{field}_source" for field in ("model", "loss", "augment", "optimizer", "schedule")}
    assert "have a record already" in run("run", "parts-own", "--tier", "full")[-1]


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("parts.py", "parts_code:digits", "parts_code:digit", "data 'parts_code:digit': 'parts_code' has no"),
        ("parts.py", "parts_code:brier", "parts_code:brie", "loss 'parts_code:brie': 'parts_code' has no"),
        ("parts.py", "parts_code:darker", "parts_code:brier", "is function, expected a reference"),
        ("parts.py", "torch.optim:NAdam", "torch.nn:Module", "optimizer 'torch.nn:Module': TypeError"),
        ("parts.py", "torch.optim:NAdam", "nadam", "optimizer 'nadam' is unknown: expected one of sgd, adam"),
        ("parts.py", "parts_code:halved", "parts_code:digits", "schedule 'parts_code:digits': TypeError"),
        ("parts.py", '("weight", 1.0)', '("wait", 1.0)', "takes no 'wait'; it takes logits, target, weight"),
        ("parts_code.py", "return weight * ", "return 1 * logits #", "returned (2, 10); expected a scalar"),
        ("parts_code.py", "return (images[:898]", "return 3 #", "returned int, expected (train, val)"),
        ("parts_code.py", "astype(np.uint8)", "astype(float)", "float64 (898, 8, 8, 3), expected uint8"),
        ("parts_code.py", "data.target", "data.target - 1", "run from -1 to 8, expected classes"),
        ("parts_code.py", "labels[898:]", "labels[897:]", "val targets are int64 (900,), expected"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit_is_one_line(
    file: str, before: str, after: str, said: str, run: Changed
) -> None:
    with pytest.raises(InputError) as caught:
        run("run", "parts-own", "--tier", "full", file=file, before=before, after=after)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [("val = 899", "val = 900"), ("classes = 10", f'classes = 10\nmanifest = "{"0" * 64}"')],
)
def test_data_that_are_not_as_declared_do_not_count(
    before: str, after: str, run: Changed, tmp_path: Path
) -> None:
    printed = run("run", "parts-own", "--tier", "full", file="parts.toml", before=before, after=after)
    (file,) = (tmp_path / "runs" / "records" / "parts-own").glob("*.json")
    assert json.loads(file.read_text(encoding="utf-8"))["data"]["source"] == "stand-in"
    assert any("not as parts.toml declares" in line for line in printed)


def test_published_weights_are_evaluated_only(
    run: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of two tensors answers the brightest channel, which is right for 7 of 8 images."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"2.weight": torch.eye(3), "2.bias": torch.zeros(3)}, folder / "made.pth")
    digest = hashlib.sha256((folder / "made.pth").read_bytes()).hexdigest()[:8]
    (folder / "made.pth").rename(folder / f"brightest-{digest}.pth")
    change = {"file": "parts_code.py", "before": "brightest-00000000", "after": f"brightest-{digest}"}
    run("run", "parts-published", **change)
    run("grade", "parts")
    records = list((tmp_path / "runs" / "records" / "parts-published").glob("*.json"))
    assert len(records) == 3
    for file in records:
        record = json.loads(file.read_text(encoding="utf-8"))
        assert record["metrics"]["final"]["metrics"]["top1"]["numerator"] == 7
        assert (record["tier"], record["deviations"]) == ("full", [])
        assert record["recipe"]["phases"] == []
    rows = [line for line in run("grade", "parts") if line.startswith("parts-published")]
    assert "reproduced" in rows[0], rows


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "brightest-00000000.pth is not in"), (b"other", "its name says 00000000")],
)
def test_weights_that_are_absent_or_other_are_refused(
    content: bytes, said: str, run: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "hub" / "checkpoints").mkdir(parents=True)
    if content:
        (tmp_path / "home" / "hub" / "checkpoints" / "brightest-00000000.pth").write_bytes(content)
        with pytest.raises(InputError, match=said):
            run("run", "parts-published")
        return
    added.add([tmp_path / "parts.toml"])
    added.run_recipe_files()
    _, absent = run_plan.plan(
        [RECIPES["parts-published"]],
        tier=None,
        data=None,
        seeds=1,
        init=None,
        weights=None,
        numerics=Numerics(),
        cache=tmp_path / "cache",
    )
    assert absent[0].reason == "weights"
    assert said in absent[0].cause


# Files ---------------------------------------------------------------------------------------------------


def put_image(path: Path, value: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 8), value if mode == "L" else (value,) * 3).save(path)


def test_class_folders_and_a_csv_give_the_same(tmp_path: Path) -> None:
    lines = ["file,label"]
    for value, (split, label) in enumerate([(s, c) for s in ("train", "val") for c in ("2", "10")]):
        put_image(tmp_path / split / label / "a.png", value)
        lines.append(f"{split}/{label}/a.png,{label}")
    for name, rows in (("train.csv", lines[1:3]), ("val.csv", lines[3:])):
        (tmp_path / name).write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    folders = own.class_folders(tmp_path / "train", tmp_path / "val", image_size=8)
    listed = own.listed_files(tmp_path / "train.csv", tmp_path / "val.csv", image_size=8)
    assert folders[2] == listed[2] == ("2", "10")
    for one, other in zip(folders[:2], listed[:2], strict=True):
        assert np.array_equal(one[0], other[0])
        assert one[1].tolist() == other[1].tolist() == [0, 1]
    assert folders[1][0][:, 0, 0, 0].tolist() == [2, 3]


def test_pairs_of_image_and_mask(tmp_path: Path) -> None:
    for split in ("train", "val"):
        put_image(tmp_path / split / "images" / "a.jpg", 9)
        put_image(tmp_path / split / "images" / "b.jpg", 9)
        put_image(tmp_path / split / "masks" / "a.png", 1, "L")
        put_image(tmp_path / split / "masks" / "b.png", 255, "L")
    sides = (tmp_path / "train", tmp_path / "val")
    (images, masks), _, classes = own.image_mask_pairs(*sides, classes=("road", "sky"), image_size=8)
    assert (images.shape, classes) == ((2, 8, 8, 3), ("road", "sky"))
    assert [np.unique(mask).tolist() for mask in masks] == [[1], [2]]
    put_image(tmp_path / "val" / "masks" / "a.png", 2, "L")
    with pytest.raises(InputError, match="value 2 has no class; expected 0 to 1, or 255"):
        own.image_mask_pairs(*sides, classes=("road", "sky"), image_size=8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\na.png,x", "expected the columns file and label"),
        ("file,label\na.png,", ":2: file or label is empty"),
        ("file,label\ngone.png,x", "gone.png: cannot be read"),
    ],
)
def test_a_csv_that_cannot_be_read_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)):
        own.listed_files(tmp_path / "a.csv", tmp_path / "a.csv", image_size=8)
