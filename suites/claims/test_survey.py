"""The survey of other reports: read strictly, nothing personal in it, summaries as those who gathered it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from bench.claims import survey
from bench.claims.claim import ReferenceClass
from bench.claims.data_facts import load_data_facts
from bench.claims.ledger import load_ledger, load_ledgers
from bench.claims.survey import COLUMNS, EXCLUDED, FAMILIES, OtherFigure, figures_of, load_others, read_others
from reference.errors import InputError

ROOT = Path(__file__).parents[2]
SURVEY = load_others()
ROW = {
    "id": "x1", "year": "2022", "task": "landcover", "setting": "baseline", "model": "vgg16_fcn32s",
    "pretrained": "imagenet", "value": "0.66", "unit": "fraction", "n": "257", "metric": "miou",
    "class_iou": "0.7/0.8/0.3/0.8/0.7/0.66", "excluded": "", "note": "", "where": "report", "checked": "eye",
}  # fmt: skip


def write(folder: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    """A survey of these rows."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({column: row.get(column, "") for column in columns} for row in rows)
    path = folder / "mine.csv"
    path.write_text(file.getvalue(), encoding="utf-8")
    return path


# The packaged survey ------------------------------------------------------------------------------------


def test_the_survey_is_what_the_page_says_of_it() -> None:
    page = (ROOT / "docs" / "others.md").read_text(encoding="utf-8")
    reports = {figure.id for figure in SURVEY}
    found = sum(figure.checked == "text" for figure in SURVEY)
    assert f"holds {len(SURVEY)} figures of {len(reports)} public reports" in page
    words = " ".join(page.split())
    assert f"A program found {found} figures again in the text of the source." in words
    assert f"{len(SURVEY) - found} are in images or scans" in words
    for reason in EXCLUDED:
        count = sum(figure.excluded == reason for figure in SURVEY)
        assert f"| `{reason}` | {count} |" in page, reason
    assert (len(SURVEY), len(reports), found) == (597, 104, 511)


def test_ids_are_anonymous_and_no_text_names_anybody() -> None:
    assert {figure.id for figure in SURVEY} == {f"o{number:03d}" for number in range(1, 105)}
    for figure in SURVEY:
        for text in (figure.note, figure.where, figure.model):
            assert not any(part in text.lower() for part in ("@", "http", "github", ".com", "gitlab"))


def test_a_figure_is_excluded_by_rule() -> None:
    for figure in SURVEY:
        rules = {
            "another task": figure.task == "officehome" and figure.year == 2025 and figure.n is not None,
            "hidden test": figure.n is None,
            "validation images seen": figure.pretrained == "cifar100",
        }
        expected = [reason for reason, holds in rules.items() if holds]
        assert [figure.excluded] == (expected or [""]), figure


def test_land_cover_of_2018_names_its_larger_training_set() -> None:
    for figure in SURVEY:
        if figure.task == "landcover":
            assert ("n_train=2313" in figure.note) == (figure.year == 2018), figure


def test_every_reference_class_is_of_the_claims_own_data_and_known_to_the_survey() -> None:
    claims = [claim for ledger in load_ledgers() for claim in ledger.claims if claim.reference_class]
    assert len(claims) == 41
    for claim in claims:
        for reference in claim.reference_class:
            assert reference.task == claim.data
            metric = "miou" if claim.metric == "iou" else str(claim.metric)
            assert figures_of(reference, SURVEY, metric), claim.id


def test_figures_of_printed_results_without_a_class_are_those_that_have_none() -> None:
    without = {
        claim.id
        for ledger in load_ledgers()
        for claim in ledger.of_kind("number")
        if not claim.reference_class and claim.report in ("r1", "r2", "r3", "r4", "r5")
    }
    assert without == {
        "r2-focal-gain", "r2-sgd-gain", "r3-gain-supervised", "r3-gain-byol",  # differences
        "r3-tsne-acc", "r5-finetune-c-epoch1",  # of an unnamed split
    }  # fmt: skip


# Summaries by those who gathered it: best figure of each report; minimum, quartiles, maximum ------------


def is_vgg(figure: OtherFigure) -> bool:
    """What their summary of VGG networks holds: names with vgg in them, and networks of no name."""
    return "vgg" in figure.model or figure.model == "unknown"


def pretrained(figure: OtherFigure) -> bool:
    """ImageNet weights, or a network of no name; figures given as k/n were not counted."""
    from_imagenet = figure.pretrained == "imagenet" or figure.model == "unknown"
    return figure.task == "classification50" and from_imagenet and "/" not in figure.value


def setting(name: str) -> Callable[[OtherFigure], bool]:
    return lambda figure: figure.task == "officehome" and figure.setting == name


SUMMARIES: dict[str, tuple[Callable[[OtherFigure], bool], int, str]] = {
    "VGG16-FCN32s": (lambda f: f.model.startswith("vgg16_fcn32s"), 75, ".063 .642 .668 .687 .734"),
    "VGG16-FCN8s": (lambda f: f.model == "vgg16_fcn8s", 36, ".390 .677 .698 .708 .738"),
    "ResNet-FCN": (
        lambda f: f.task == "landcover" and "fcn" in f.model and "resnet" in f.model,
        7,
        ".632 .696 .701 .707 .737",
    ),
    "DeepLabV3-ResNet50": (
        lambda f: f.model == "deeplabv3_resnet50", 18, ".704 .730 .742 .752 .760",
    ),
    "from scratch": (
        lambda f: f.task == "classification50" and f.pretrained == "none", 24, ".290 .539 .652 .708 .762",
    ),
    "VGG, ImageNet": (lambda f: pretrained(f) and is_vgg(f), 18, ".724 .784 .820 .827 .850"),
    "all, ImageNet": (pretrained, 54, ".724 .827 .868 .884 .936"),
    "A": (setting("A"), 53, ".003 .232 .323 .421 .527"),
    "B": (setting("B"), 53, ".178 .345 .433 .493 .596"),
    "C": (setting("C"), 54, ".319 .410 .451 .513 .608"),
    "D": (setting("D"), 53, ".096 .227 .296 .340 .539"),
    "E": (setting("E"), 53, ".057 .203 .303 .379 .537"),
}  # fmt: skip


def best(selects: Callable[[OtherFigure], bool]) -> dict[str, Decimal]:
    """By report, its best figure that is not excluded."""
    figures: dict[str, Decimal] = {}
    for figure in SURVEY:
        if selects(figure) and not figure.excluded:
            figures[figure.id] = max(figures.get(figure.id, Decimal(0)), figure.fraction)
    return figures


@pytest.mark.parametrize("name", SUMMARIES)
def test_summaries_are_those_of_the_people_who_gathered_it(name: str) -> None:
    selects, n, quartiles = SUMMARIES[name]
    figures = [float(value) for value in best(selects).values()]
    assert len(figures) == n
    measured = np.percentile(figures, [0, 25, 50, 75, 100])
    # three digits were given; half a unit, and a tie either way
    assert measured == pytest.approx([float(text) for text in quartiles.split()], abs=0.00051)


@pytest.mark.parametrize(
    ("better", "worse", "counts"),
    [
        ("B", "A", (50, 3)), ("C", "A", (48, 5)), ("C", "B", (36, 17)), ("E", "D", (28, 25)),
        ("A", "D", (28, 25)), ("A", "E", (26, 27)), ("B", "D", (49, 4)), ("C", "E", (51, 2)),
    ],
)  # fmt: skip
def test_orderings_are_those_of_the_people_who_gathered_it(
    better: str, worse: str, counts: tuple[int, int]
) -> None:
    tables = {name: best(setting(name)) for name in "ABCDE"}
    complete = set.intersection(*(set(table) for table in tables.values()))
    assert len(complete) == 53
    wins = sum(tables[better][report] > tables[worse][report] for report in complete)
    losses = sum(tables[better][report] < tables[worse][report] for report in complete)
    assert (wins, losses) == counts


def test_improved_models_beat_their_authors_baseline() -> None:
    baseline = best(lambda f: f.model == "vgg16_fcn32s" and f.setting == "baseline")
    improved = best(
        lambda f: f.task == "landcover" and f.setting == "improved" and not f.model.startswith("vgg16_fcn32s")
    )
    both = baseline.keys() & improved.keys()
    assert (sum(improved[report] > baseline[report] for report in both), len(both)) == (70, 71)


def test_r3_is_seventh_of_all_pretrained_classifiers() -> None:
    values = best(lambda f: f.task == "classification50" and f.pretrained == "imagenet").values()
    assert 1 + sum(value > Decimal("0.8981") for value in values) == 7


# Reading ------------------------------------------------------------------------------------------------


def test_a_small_survey(tmp_path: Path) -> None:
    (figure,) = read_others(write(tmp_path, ROW))
    assert (figure.id, figure.year, figure.n, figure.line, figure.file) == ("x1", 2022, 257, 2, "mine.csv")
    assert figure.fraction == Decimal("0.66")
    assert figure.half_step == Decimal("0.005")
    assert figure.figure(2) == Decimal("0.3")
    assert figure.figure(6) is None


@pytest.mark.parametrize(
    ("value", "unit", "fraction", "half_step"),
    [
        ("62.1", "percent", "0.621", "0.0005"),
        ("0.7808", "fraction", "0.7808", "0.00005"),
        ("78", "percent", "0.78", "0.005"),
        ("1781/2500", "fraction", "0.7124", "0"),
    ],
)
def test_a_value_keeps_its_printed_precision(
    tmp_path: Path, value: str, unit: str, fraction: str, half_step: str
) -> None:
    row = ROW | {"value": value, "unit": unit, "metric": "top1", "task": "t", "n": "2500", "class_iou": ""}
    (figure,) = read_others(write(tmp_path, row))
    assert (figure.fraction, figure.half_step) == (Decimal(fraction), Decimal(half_step))
    assert figure.value == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "Jo Doe"}, "line 2: id is 'Jo Doe'; expected lower-case"),
        ({"id": ""}, "line 2: id is ''; expected"),
        ({"year": "2021?"}, "line 2: year is '2021?'; expected a year"),
        ({"value": "66 %"}, "line 2: value is '66 %'; expected a number as printed"),
        ({"value": "66"}, "line 2: 66 is outside 0 to 1 for miou"),
        ({"value": "-0.1"}, "line 2: value is '-0.1'; expected"),
        ({"unit": "per cent"}, "line 2: unknown unit 'per cent' (nearest: 'percent')"),
        ({"metric": "iou"}, "line 2: unknown metric 'iou'"),
        ({"n": ""}, "line 2: n is empty; expected a number of images, or a reason"),
        ({"n": "313"}, "line 2: n is 313; expected 257"),
        ({"n": "0"}, "line 2: n is '0'; expected a whole number"),
        ({"class_iou": "0.7/0.8/"}, "line 2: class_iou is '0.7/0.8/'; expected numbers"),
        ({"class_iou": "70.1/80.2"}, "line 2: 70.1 is outside 0 to 1"),
        ({"metric": "top1"}, "line 2: class_iou goes with metric miou"),
        ({"excluded": "odd"}, "line 2: unknown excluded 'odd'"),
        ({"checked": "no"}, "line 2: unknown checked 'no'"),
        ({"task": ""}, "line 2: task is ''; expected a text"),
        ({"value": "5/257"}, "line 2: value 5/257 needs metric top1"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        read_others(write(tmp_path, ROW | change))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("mine.csv: ")


def test_more_correct_images_than_images(tmp_path: Path) -> None:
    row = ROW | {"value": "300/257", "metric": "top1", "class_iou": ""}
    with pytest.raises(InputError, match="300/257 is more than all images"):
        read_others(write(tmp_path, row))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header: column 'id' is missing"),
        (",".join(COLUMNS), "no figure below the header"),
        (",".join(COLUMNS).replace("model", "modle"), "header: unknown key 'modle' (nearest: 'model')"),
        (",".join((*COLUMNS, "note")), "column 'note' is there twice"),
        (",".join(COLUMNS) + "\nx1,2022", "line 2: 2 cells; expected 15"),
        (",".join(COLUMNS) + '\n"x1', "line 2: not CSV"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_others(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_others(tmp_path / "none.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_others(tmp_path / "image.csv")


def test_a_row_stands_there_once_and_an_id_in_one_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: the same row as line 2"):
        read_others(write(tmp_path, ROW, ROW))
    with pytest.raises(InputError, match=r"id 'o001' is that of a report in others\.csv too"):
        load_others([write(tmp_path, ROW | {"id": "o001"})])


def test_an_added_survey_is_read_once_after_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, ROW)
    monkeypatch.setattr(survey, "ADDED_SURVEYS", [path])
    assert [figure.id for figure in load_others([path])[len(SURVEY) :]] == ["x1"]


def test_a_file_saved_by_a_spreadsheet_reads_alike(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    plain = read_others(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_others(path) == plain


# Reference classes --------------------------------------------------------------------------------------


def test_families_hold_networks_of_the_survey_and_none_is_named_like_another_network() -> None:
    models = {figure.model for figure in SURVEY}
    for name, family in FAMILIES.items():
        assert set(family.models) <= models, name
        assert name not in models or family.models == (name,), name


@pytest.mark.parametrize(
    ("change", "belongs"),
    [
        ({}, True), ({"excluded": "hidden test"}, False), ({"model": "unet"}, False),
        ({"pretrained": "none"}, False), ({"task": "other"}, False), ({"setting": "improved"}, False),
    ],
)  # fmt: skip
def test_what_belongs_to_a_class(tmp_path: Path, change: dict[str, str], belongs: bool) -> None:
    reference = ReferenceClass(
        task="landcover", model=("vgg16_fcn32s",), pretrained=("imagenet", "coco"), setting="baseline"
    )
    (figure,) = read_others(write(tmp_path, ROW | change))
    assert figure.belongs_to(reference) == belongs
    assert figure.belongs_to(ReferenceClass(task=figure.task)) == (not figure.excluded)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            ReferenceClass(task="landcover", model=("vgg16_fcn32",)),
            "unknown model 'vgg16_fcn32' (nearest: 'vgg16_fcn32s')",
        ),
        (
            ReferenceClass(task="landcover", pretrained=("image-net",)),
            "unknown pretrained 'image-net' (nearest: 'imagenet')",
        ),
        (ReferenceClass(task="officehome", setting="F"), "unknown setting 'F' (valid: A, B, C, D, E)"),
    ],
)  # fmt: skip
def test_a_class_that_the_survey_does_not_know_is_one_line(reference: ReferenceClass, message: str) -> None:
    with pytest.raises(InputError) as error:
        figures_of(reference, SURVEY, "miou")
    assert message in str(error.value)


def test_a_task_that_nobody_else_reports_has_an_empty_class() -> None:
    assert figures_of(ReferenceClass(task="mnist1d", model=("cnn",)), SURVEY, "top1") == ()


def test_counts_of_images_are_those_of_the_data_sets() -> None:
    val = {role.role: role.val for role in load_data_facts().roles}
    for figure in SURVEY:
        if not figure.excluded:
            assert figure.n == val[figure.task]


# Reference classes in a claims file ---------------------------------------------------------------------

CLAIMS = """\
[report]
id = "mine"
title = "Mine"

[[claim]]
id = "mine-a"
kind = "number"
line = 1
text = "A figure."
metric = "{metric}"
value = "0.5"
unit = "fraction"
data = "landcover"
split = "val"
reference_class = {reference}
"""


def declared(folder: Path, reference: str, metric: str = "miou") -> tuple[ReferenceClass, ...]:
    """The classes that a claims file declares."""
    path = folder / "mine.toml"
    path.write_text(CLAIMS.format(reference=reference, metric=metric), encoding="utf-8")
    return load_ledger(path).claim("mine-a").reference_class


def test_a_claim_declares_one_class_or_several(tmp_path: Path) -> None:
    one = ReferenceClass(task="landcover", model=("a",), pretrained=("b", "c"), setting="D")
    text = '{ task = "landcover", model = "a", pretrained = ["b", "c"], setting = "D" }'
    assert declared(tmp_path, text) == (one,)
    assert declared(tmp_path, f'[{text}, {{ task = "landcover" }}]') == (
        one,
        ReferenceClass(task="landcover"),
    )


@pytest.mark.parametrize(
    ("reference", "metric", "message"),
    [
        ('"landcover"', "miou", "reference_class is 'landcover'; expected a table such as"),
        ("[]", "miou", "reference_class is []; expected a table such as"),
        ('{ model = "a" }', "miou", "reference_class: missing key 'task'"),
        ('{ task = "landcover", modle = "a" }', "miou", "unknown key 'modle' (nearest: 'model')"),
        ('{ task = "landcover", model = 3 }', "miou", "model is 3; expected a text or a list of texts"),
        ('{ task = "officehome" }', "miou", "task is 'officehome'; expected the claim's data, 'landcover'"),
        ('{ task = "landcover" }', "silhouette", "other reports are compared by top1, miou, iou"),
    ],
)
def test_a_class_that_is_not_one_is_one_line(
    tmp_path: Path, reference: str, metric: str, message: str
) -> None:
    with pytest.raises(InputError) as error:
        declared(tmp_path, reference, metric)
    assert str(error.value).startswith("mine.toml: mine-a: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
