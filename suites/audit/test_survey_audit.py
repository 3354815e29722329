"""The audit of a survey: made-up rows of known fault, and what it finds in the packaged one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.audit import grim
from bench.audit.survey_audit import inconsistent, is_testable
from bench.claims.survey import OtherFigure, load_others

SURVEY = load_others()
ACCURACY = OtherFigure(
    id="x1", year=2022, task="officehome", setting="A", model="resnet50", pretrained="none", value="0.2438",
    unit="fraction", n=406, metric="top1", class_iou=(), excluded="", note="", where="report", checked="eye",
    line=2, file="mine.csv",
)  # fmt: skip
MEAN_IOU = replace(
    ACCURACY, task="landcover", model="vgg16_fcn32s", n=257, metric="miou", value="0.6500",
    class_iou=("0.7", "0.8", "0.5", "0.6", "0.7", "0.6"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "unit", "fault"),
    [
        ("0.2438", "fraction", False),  # 99 of 406
        ("24.38", "percent", False),
        ("0.2440", "fraction", True),  # between 99 and 100 of 406
        ("24.40", "percent", True),
        ("0.24", "fraction", False),  # too few digits to tell
        ("0.2463", "fraction", False),  # 100 of 406
    ],
)
def test_an_accuracy_is_a_whole_number_of_images(value: str, unit: str, fault: bool) -> None:
    figure = replace(ACCURACY, value=value, unit=unit)
    why = inconsistent([figure])
    assert bool(why) == fault
    if fault:
        assert "no number of correct images out of 406" in why[figure]


def test_a_quotient_needs_no_test() -> None:
    figure = replace(ACCURACY, value="99/406")
    assert not is_testable(figure)
    assert not inconsistent([figure])


@pytest.mark.parametrize(
    ("value", "fault"),
    [("0.6500", False), ("0.65", False), ("0.6501", True), ("0.63", True)],
)
def test_class_ious_average_to_their_mean(value: str, fault: bool) -> None:
    # one digit a class would leave ±0.05
    classes = tuple(f"{float(text):.6f}" for text in MEAN_IOU.class_iou)
    assert bool(inconsistent([replace(MEAN_IOU, value=value, class_iou=classes)])) == fault


def test_a_mean_in_percent_is_compared_in_percent() -> None:
    classes = ("70.000", "80.000", "50.000", "60.000", "70.000", "60.000")
    good = replace(MEAN_IOU, unit="percent", value="65.000", class_iou=classes)
    assert not inconsistent([good])
    assert inconsistent([replace(good, value="65.010")])


def test_a_mean_without_classes_is_not_tested() -> None:
    assert not inconsistent([replace(MEAN_IOU, value="0.123456", class_iou=())])


def test_the_packaged_survey() -> None:
    faults = inconsistent(SURVEY)
    accuracies = [figure for figure in faults if figure.metric == "top1"]
    assert (len(faults), len(accuracies)) == (49, 47)
    assert {figure.id for figure in faults if figure.metric == "miou"} == {"o003", "o005"}
    # the notes of those who gathered it call 35 of them no k/n; none that they call so passes
    odd = [figure for figure in SURVEY if "not k/" in figure.note or "none k/406" in figure.note]
    assert all(figure in faults for figure in odd)


def test_every_fault_is_one_by_brute_force() -> None:
    faults = inconsistent(SURVEY)
    for figure in SURVEY:
        if not is_testable(figure) or figure.excluded:
            continue
        n, digits = int(figure.n or 0), len(figure.value.partition(".")[2])
        scale = 100 if figure.unit == "percent" else 1
        near = [
            k for k in range(n + 1) if abs(scale * k / n - float(figure.value)) <= 10.0**-digits
        ]  # rounding or cutting off moves a value by at most one unit of its last digit
        if not near:
            assert figure in faults
        if figure not in faults:
            assert near, figure
        assert (grim.counts(figure.value, n, percent=scale == 100) is None) == (figure in faults)
