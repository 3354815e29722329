"""The page of others, its pictures, and what the report pages, the page and the command line say of them."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.claims import survey as survey_module
from bench.claims.ledger import load_ledgers
from bench.cli.options import app
from bench.grading.grader import GradedClaim
from bench.grading.others import IN_LINE, PlaceAmongOthers
from bench.grading.others_survey import Others, gather
from bench.pages import build, others_page
from bench.pages.answer_card import axis
from bench.pages.others_picture import picture

LEDGERS = load_ledgers()
HEADER = ",".join(survey_module.COLUMNS)


@pytest.fixture(scope="module")
def others() -> Others:
    return gather(LEDGERS)


@pytest.fixture(scope="module")
def text(others: Others, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drawn")
    others_page.draw(others, folder)
    return others_page.others_markdown(others, folder)


def test_every_placed_claim_has_a_row_with_its_printed_value(others: Others, text: str) -> None:
    for name, several in others.places.items():
        rows = re.findall(rf"^\| `{name}` \| (.*?) ", text, re.M)
        assert rows == [several[0].claim.value] * len(several), name


def test_every_task_has_one_table_and_one_picture(text: str) -> None:
    for task, heading in others_page.TASKS.items():
        part = text.split(f"## {heading}")[1].split("\n## ")[0]
        assert part.count("| claim | printed |") == 1
        assert part.count(f"](figures/others/{task}.png)") == 1


def test_the_page_says_what_the_survey_changes(text: str) -> None:
    part = text.split("## Settings A to E: what the survey changes")[1].split("\n## ")[0]
    assert "Others decide these: B over A (39 to 3)" in part
    assert "D over E (24 to 21)" in part
    assert "R5 prints A above B, as 3 of 42 others do" in part
    assert text.count("Taken as one of 41 such tables: p = 1/41 = 0.024") == 1
    assert "they would also decide C over B (36 to 17)" in part


def test_the_page_answers_r4s_question_as_far_as_others_can(text: str) -> None:
    part = text.split("## ResNet or skips? R4's question")[1].split("\n## ")[0]
    assert "gains 4.7 points" in part
    assert "too few to say" in part


def test_the_page_never_speaks_of_our_own_verdicts(text: str) -> None:
    assert "reproduced" not in text
    assert "contradicted" not in text


def test_pictures_are_small_and_have_a_palette(others: Others, tmp_path: Path) -> None:
    files = others_page.draw(others, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == others_page.pictures(others)
    assert len(files) == 3
    for path in files:
        assert path.stat().st_size < 40_000
        with Image.open(path) as image:
            assert (image.mode, image.width) == ("P", 900)


def test_a_claim_stands_at_its_value_in_the_picture(others: Others) -> None:
    """The claims' colour is found at the places that the axis gives, and nowhere else."""
    rows = others_page.claims_by_class(others.places["r5-finetune-c"])
    image = np.asarray(Image.open(io.BytesIO(picture(rows))).convert("RGB")).astype(int)
    red = (image[:, :, 0] > 150) & (image[:, :, 1] < 90) & (image[:, :, 2] < 80)
    (place,) = rows[0]
    ends = [*(place.interval or ()), place.value]
    room = 0.03 * (max(ends) - min(ends))
    low, high = min(ends) - room, max(ends) + room
    expected = 250 + (870 - 250) * (place.value - low) / (high - low)
    columns = np.flatnonzero(red[42:70].sum(axis=0) > 25)
    assert len(columns)
    assert np.abs(columns - expected).max() <= 2


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without any run, and all its pages."""
    folder = tmp_path_factory.mktemp("written")
    build.write_all(folder, LEDGERS)
    return folder


def test_pages_of_reports_and_the_page_say_it_too(written: Path) -> None:
    report = (written / "reports" / "r5.md").read_text(encoding="utf-8")
    assert "## What others got" in report
    assert "47 others report setting C: .307 to .611; this one is above all 47 (p = 1/48)" in report
    page = (written / "index.html").read_text(encoding="utf-8")
    entry = page.split('id="r4-seg-a"')[1].split("</details>")[0]
    assert "73 others report VGG16-FCN32s: .545 to .766; this one is the 40th highest of 74" in entry
    assert entry.count('<circle class="other"') == 73


def test_what_is_stale_or_surplus_is_named(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    assert build.check_pages(tmp_path, LEDGERS) == []
    (tmp_path / "figures/others/mine.png").write_bytes(b"x")
    (tmp_path / "figures/others/landcover.png").write_bytes(b"x")
    lines = build.check_pages(tmp_path, LEDGERS)
    assert [line.partition(": ")[0] for line in lines] == ["others.md", "figures/others/mine.png"]
    assert lines[0].startswith("others.md: stale")
    assert lines[1].startswith("figures/others/mine.png: surplus")


def test_the_picture_is_the_one_the_page_names(others: Others, tmp_path: Path) -> None:
    others_page.draw(others, tmp_path)
    text = others_page.others_markdown(others, tmp_path)
    for file in others_page.pictures(others):
        assert hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() in text


# Strips -------------------------------------------------------------------------------------------------


def test_a_card_s_axis_holds_every_other_report_in_its_order(others: Others) -> None:
    for several in others.places.values():
        largest = max(several, key=lambda place: place.n)
        row = GradedClaim(claim=largest.claim, grade="not tested", reason="data", sentence="s")
        line = axis(row, several)
        if line is None:
            assert largest.claim.difference_of or largest.claim.illegible
            continue
        assert len(line.others) == largest.n
        assert list(line.others) == sorted(line.others, reverse=True)
        assert all(0 <= at <= 100 for at in (*line.others, line.printed))
        if largest.interval is not None:
            assert line.one_more is not None
            low, high = line.one_more
            if largest.word == IN_LINE:  # a rounded value may lie half a step outside
                assert low - 1 <= line.printed <= high + 1
            else:
                assert not low <= line.printed <= high


def test_quartiles_are_numpys(others: Others) -> None:
    for several in others.places.values():
        dots = several[0].dots
        assert others_page.quartiles(dots) == pytest.approx(np.percentile(dots, [25, 50, 75]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_quartiles_of_anything(values: list[float]) -> None:
    assert others_page.quartiles(values) == pytest.approx(np.percentile(values, [25, 50, 75]), abs=1e-12)


# A survey and claims of one's own -----------------------------------------------------------------------


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints."""
    app(words, standalone_mode=False)
    return capsys.readouterr().out


def test_the_survey_is_listed_digit_for_digit(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run(["list", "others", "--format", "json"], capsys))
    assert len(rows) == 597
    assert {"id", "value", "n", "excluded"} <= rows[0].keys()
    assert [row["value"] for row in rows][:3] == ["74.16", "0.723600", "78"]


def test_a_survey_of_ones_own_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey_module, "ADDED_SURVEYS", [])
    file = tmp_path / "mine.csv"
    rows = [
        f"y{i},2024,landcover,baseline,vgg16_fcn32s,imagenet,0.99{i},fraction,257,miou,,,,log,eye"
        for i in range(3)
    ]
    file.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    listed = json.loads(run(["list", "others", "--others", str(file), "--format", "json"], capsys))
    assert [row["id"] for row in listed[597:]] == ["y0", "y1", "y2"]
    (place,) = gather(LEDGERS).places["r4-seg-a"]
    assert place.n == 76
    assert place.rank == 43


def test_claims_without_a_class_are_not_compared(others: Others) -> None:
    for ledger in LEDGERS:
        for claim in ledger.claims:
            if not claim.reference_class and claim.kind != "ordering":
                assert others.sentences(claim) == []


def test_places_are_what_a_card_needs(others: Others) -> None:
    place: PlaceAmongOthers = others.places["r5-finetune-c"][0]
    assert (place.n, place.rank, len(place.dots)) == (47, 1, 47)
    assert place.interval is not None
    assert place.rank_p == pytest.approx(1 / 48)
