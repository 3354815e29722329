"""The whole way of docs/data.md on small made originals: four preparations, a check, and runs on them."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import made_originals
import pytest

import reference.data
from bench.cli import app, doctor
from bench.runs import run_plan
from reference.data import originals
from reference.errors import InputError
from reference.recipes import RECIPES
from reference.training.numerics import Numerics

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
LINES = re.findall(r"^bench data prepare .*$", PAGE, flags=re.M)
SLUGS = {
    "classification50": "r4-classify",
    "miniimagenet": "r3-byol",
    "officehome": "r3-finetune-d",
    "landcover": "r4-seg-a",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the four originals under the names that the page gives them."""
    for role, counts in made_originals.COUNTS.items():
        monkeypatch.setitem(reference.data.OFFICIAL_COUNTS, role, counts)
        monkeypatch.setitem(originals.ORIGINALS, role, made_originals.MADE[role])
    made_originals.office_home(tmp_path / "OfficeHomeDataset")
    made_originals.mini_folders(tmp_path / "miniImagenet")
    made_originals.cifar_archive(tmp_path)
    made_originals.deep_globe(tmp_path / "deepglobe")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(line: str) -> None:
    app(shlex.split(line, comments=True)[1:], standalone_mode=False)


def prepare_all() -> None:
    for line in LINES:
        typed(line)


def test_the_page_has_a_line_a_role() -> None:
    assert sorted(line.split()[3] for line in LINES) == sorted(reference.data.READERS)
    assert "tox -e fullrun -- --data data" in PAGE


def test_from_nothing_to_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare_all()
    told = capsys.readouterr().out
    assert told.count("labelled public originals, not official") == 4
    typed("bench data check data --manifest manifest.json")
    told = capsys.readouterr().out
    assert told.count(": public-originals: rebuilt from the public original, seed 0") == 4
    assert " 0 faults, " in told
    runs, absent = run_plan.plan(
        [RECIPES[slug] for slug in SLUGS.values()],
        tier="smoke",
        data=Path("data"),
        seeds=1,
        init="scratch",
        weights=None,
        numerics=Numerics(device="cpu"),
        cache=place / "cache",
    )
    assert not absent
    assert {run.dataset.role: run.dataset.source for run in runs} == dict.fromkeys(SLUGS, "public-originals")


def test_a_run_on_them_is_recorded_under_their_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(next(line for line in LINES if " officehome " in line))
    typed("bench run r1-finetune-a --tier smoke --data data --init scratch --out runs")
    assert "Office-Home, Real World" in capsys.readouterr().out
    (path,) = (place / "runs" / "records").rglob("*.json")
    assert (
        '"source": "public-originals"' in path.read_text()
        or '"source":"public-originals"' in path.read_text()
    )


def test_the_doctor_tells_what_is_there_and_which_results_wait(place: Path) -> None:
    typed(next(line for line in LINES if " officehome " in line))
    told = doctor._data(Path("data")).message
    assert "officehome public originals; missing: classification50 (" in told
    assert re.search(r"landcover \([1-9]\d* printed results\)", told)


@pytest.mark.parametrize("role", SLUGS)
def test_a_missing_part_stops_its_line_with_exit_code_2(role: str, place: Path) -> None:
    spoil = {
        "officehome": lambda: shutil.rmtree(place / "OfficeHomeDataset/Real World/Bed"),
        "miniimagenet": lambda: next((place / "miniImagenet/train").rglob("*.jpg")).unlink(),
        "classification50": lambda: (place / "cifar-100-binary.tar.gz").write_bytes(b"\x1f\x8b"),
        "landcover": lambda: next((place / "deepglobe").rglob("*_mask.png")).write_bytes(b""),
    }
    spoil[role]()
    with pytest.raises(InputError, match=r"faults; nothing counts as prepared"):
        typed(next(line for line in LINES if f" {role} " in line))
