"""What other reports print of the same tasks: the survey ``others.csv``, and how it is read.

A survey is a CSV with one figure a row and the columns of ``COLUMNS``; ``docs/others.md`` explains them.
Reading is strict, as for a claims file: every mistake is one line that names file, line, column, what is
expected. Values stay strings as printed, because their digits matter to the audit.

Importing this imports neither torch nor numpy; ``bench list others`` reads the survey at each call.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from bench.claims.claim import METRICS, ReferenceClass
from bench.claims.data_facts import load_data_facts
from bench.claims.schema import CLAIMS, Type, check_types, hint, known_keys
from reference.errors import InputError

OTHERS_FILE = "others.csv"

ADDED_SURVEYS: list[Path] = []
"""Surveys that this process reads besides the packaged one; ``--others`` fills it."""

EXCLUDED: dict[str, str] = {
    "hidden test": "measured on the course's hidden test images, not on the validation split",
    "another task": "the course of 2025 changed the task: DINO in place of BYOL, other backbones",
    "validation images seen": "the initial weights were trained on images of the validation split",
}
"""Why a figure belongs to no reference class."""


class Family(NamedTuple):
    """Networks that count as one model family, and what pages call them."""

    title: str
    models: tuple[str, ...]


FAMILIES: dict[str, Family] = {
    "vgg16_fcn32s": Family("VGG16-FCN32s", ("vgg16_fcn32s",)),
    "vgg_fcn8s": Family("VGG16-FCN8s", ("vgg16_fcn8s", "vgg16bn_fcn8s")),
    "resnet_fcn": Family("ResNet-FCN", ("fcn_resnet50", "fcn_resnet101", "resnet50_fcn8s")),
    "resnet_fcn32s": Family("ResNet-FCN without skips", ("fcn_resnet50", "fcn_resnet101")),
    "resnet_fcn8s": Family("ResNet-FCN8s", ("resnet50_fcn8s",)),
    "deeplabv3_resnet50": Family("DeepLabV3-ResNet50", ("deeplabv3_resnet50",)),
    "vgg": Family("VGG classifiers", ("vgg13_bn", "vgg16", "vgg16_bn", "vgg19_bn")),
    "resnet": Family(
        "residual classifiers",
        (
            "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext101", "resnext101_32x8d",
            "wide_resnet50_2",
        ),
    ),
}  # fmt: skip
"""Model families by the name that a reference class uses."""


@dataclass(frozen=True, kw_only=True)
class OtherFigure:
    """One figure that another report prints; the attributes are the columns of a survey.

    Attributes:
        id: the report, anonymous; figures of one report share it.
        task: the data set, such as ``"landcover"``.
        setting: ``A`` to ``E``, ``baseline``, ``improved``, or ``-``.
        pretrained: initial weights, such as ``"imagenet"``, ``"none"``, ``"unknown"``.
        value: digit for digit as printed, or ``k/n``.
        n: images that it was measured on; None where it is not known.
        metric: ``"top1"`` or ``"miou"``.
        class_iou: IoU of each scored class as printed, in the unit of ``value``; empty where not printed.
        excluded: key of ``EXCLUDED``, or empty.
        where: where in the report it stands.
        checked: ``text``, found again by machine in the report's text, or ``eye``.
        line: line of the survey's file.
        file: name of the survey's file.
    """

    id: str
    year: int
    task: str
    setting: str
    model: str
    pretrained: str
    value: str
    unit: str
    n: int | None
    metric: str
    class_iou: tuple[str, ...]
    excluded: str
    note: str
    where: str
    checked: str
    line: int
    file: str

    @property
    def fraction(self) -> Decimal:
        """The value as a fraction, exactly as printed; of ``k/n`` the quotient."""
        correct, _, images = self.value.partition("/")
        if images:
            return Decimal(correct) / Decimal(images)
        return as_fraction(self.value, self.unit)

    @property
    def half_step(self) -> Decimal:
        """Half a unit of the last printed digit, as a fraction; 0 for ``k/n``."""
        if "/" in self.value:
            return Decimal(0)
        digits = len(self.value.partition(".")[2])
        return as_fraction(str(Decimal("0.5").scaleb(-digits)), self.unit)

    def figure(self, class_index: int | None = None) -> Decimal | None:
        """The value, or the IoU of one class; None where the report does not print it."""
        if class_index is None:
            return self.fraction
        if class_index >= len(self.class_iou):
            return None
        return as_fraction(self.class_iou[class_index], self.unit)

    def belongs_to(self, reference: ReferenceClass) -> bool:
        """Whether it is a figure of that reference class; an excluded one is of none."""
        models = {name for family in reference.model for name in models_of(family)}
        return (
            not self.excluded
            and self.task == reference.task
            and (not models or self.model in models)
            and (not reference.pretrained or self.pretrained in reference.pretrained)
            and reference.setting in (None, self.setting)
        )


COLUMNS = tuple(field.name for field in fields(OtherFigure) if field.name not in ("line", "file"))


def as_fraction(number: str, unit: str) -> Decimal:
    """Convert a printed number to a fraction; percent is divided by 100."""
    return Decimal(number) * (Decimal("0.01") if unit == "percent" else 1)


def models_of(name: str) -> tuple[str, ...]:
    """The networks of a family; a name that is no family stands for the network of that name."""
    return FAMILIES[name].models if name in FAMILIES else (name,)


def title_of(reference: ReferenceClass) -> str:
    """A reference class in words: ``"VGG16-FCN32s with ImageNet weights"``, ``"setting A"``."""
    models = " or ".join(FAMILIES[name].title if name in FAMILIES else name for name in reference.model)
    setting = f"setting {reference.setting}" if reference.setting else ""
    named = f"{models} in {setting}" if models and setting else models or setting or "networks"
    if not reference.pretrained:
        return named
    if reference.pretrained == ("none",):
        return f"{named} from scratch"
    return f"{named} with {' or '.join(_WEIGHTS.get(name, name) for name in reference.pretrained)} weights"


_WEIGHTS = {"imagenet": "ImageNet", "coco": "COCO", "none": "no"}


# Reading ------------------------------------------------------------------------------------------------


_FILLED = Type("a text", lambda text: bool(text.strip()))
_ANY = Type("a text or nothing", lambda text: True)
_REPORT = Type("lower-case letters, digits, hyphens", lambda text: bool(re.fullmatch(r"[a-z0-9-]+", text)))
_YEAR = Type("a year such as 2022", lambda text: bool(re.fullmatch(r"(19|20)\d\d", text)))
_NUMBER = r"\d+(\.\d+)?"
_VALUE = Type(
    "a number as printed, such as 0.7808, or k/n",
    lambda text: bool(re.fullmatch(rf"{_NUMBER}|\d+/\d+", text)),
)
_COUNT = Type(
    "a whole number from 1, or nothing where it is not known",
    lambda text: not text or bool(re.fullmatch(r"[1-9]\d*", text)),
)
_IOUS = Type(
    "numbers as printed with / between them, or nothing",
    lambda text: not text or bool(re.fullmatch(rf"{_NUMBER}(/{_NUMBER})*", text)),
)

_TYPES: dict[str, Type] = {
    "id": _REPORT, "year": _YEAR, "task": _FILLED, "setting": _FILLED, "model": _FILLED,
    "pretrained": _FILLED, "value": _VALUE, "unit": _FILLED, "n": _COUNT, "metric": _FILLED,
    "class_iou": _IOUS, "excluded": _ANY, "note": _ANY, "where": _FILLED, "checked": _FILLED,
}  # fmt: skip

_CHOICES: dict[str, tuple[str, ...]] = {
    "unit": ("fraction", "percent"),
    "metric": ("top1", "miou"),
    "excluded": ("", *EXCLUDED),
    "checked": ("text", "eye"),
}


def load_others(more: Iterable[str | Path] = ()) -> tuple[OtherFigure, ...]:
    """The packaged survey, then those of ``ADDED_SURVEYS`` and ``more``; one named twice is read once.

    Raises:
        InputError: as ``read_others``; or a report's id stands in two files.
    """
    paths = {Path(path).resolve(): Path(path) for path in (CLAIMS / OTHERS_FILE, *ADDED_SURVEYS, *more)}
    figures: list[OtherFigure] = []
    home: dict[str, str] = {}
    for path in paths.values():
        survey = read_others(path)
        for figure in survey:
            if home.setdefault(figure.id, path.name) != path.name:
                raise InputError(
                    f"{path.name}: line {figure.line}: id {figure.id!r} is that of a report in"
                    f" {home[figure.id]} too; rename it"
                )
        figures += survey
    return tuple(figures)


def read_others(path: str | Path) -> tuple[OtherFigure, ...]:
    """The figures of one survey, checked.

    Raises:
        InputError: the file cannot be read or is not UTF-8; a column is unknown or missing; a cell is not of
            its column's type or choices; a value is outside its metric's range; n is not that of the data
            set's validation split; a row stands there twice. One line: file, line, column, what is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a survey as CSV") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = next(reader, [])
        _check_header(header, path.name)
        splits = {role.role: role.val for role in load_data_facts().roles}
        figures: list[OtherFigure] = []
        lines: dict[tuple[str, ...], int] = {}
        for cells in reader:
            place = f"{path.name}: line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{place}: {len(cells)} cells; expected {len(header)}, one for each column")
            row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            figures.append(_figure(row, place, reader.line_num, path.name, splits))
            first = lines.setdefault(tuple(row.values()), reader.line_num)
            if first != reader.line_num:
                raise InputError(f"{place}: the same row as line {first}; keep one of the two")
    except csv.Error as error:
        raise InputError(f"{path.name}: line {reader.line_num}: not CSV: {error}; fix that line") from error
    if not figures:
        raise InputError(f"{path.name}: no figure below the header; add at least one row")
    return tuple(figures)


def _check_header(header: list[str], file: str) -> None:
    known_keys(dict.fromkeys(header), COLUMNS, f"{file}: header")
    for column in COLUMNS:
        if header.count(column) != 1:
            count = "missing" if column not in header else "there twice"
            raise InputError(f"{file}: header: column {column!r} is {count}; expected {','.join(COLUMNS)}")


def _figure(
    row: Mapping[str, str], place: str, line: int, file: str, splits: Mapping[str, int | None]
) -> OtherFigure:
    check_types(row, _TYPES, (), place, choices=_CHOICES)
    figure = OtherFigure(
        **{column: row[column] for column in COLUMNS if column not in ("year", "n", "class_iou")},
        year=int(row["year"]),
        n=int(row["n"]) if row["n"] else None,
        class_iou=tuple(row["class_iou"].split("/")) if row["class_iou"] else (),
        line=line,
        file=file,
    )
    _check_figure(figure, place, splits.get(figure.task))
    return figure


def _check_figure(figure: OtherFigure, place: str, images: int | None) -> None:
    """What several columns of a row say together."""
    correct, _, of = figure.value.partition("/")
    if of and (figure.unit != "fraction" or figure.n != int(of) or figure.metric != "top1"):
        raise InputError(f"{place}: value {figure.value} needs metric top1, unit fraction and n {of}")
    if of and int(correct) > int(of):
        raise InputError(f"{place}: value {figure.value} is more than all images; check it")
    scale = 100 if figure.unit == "percent" else 1
    metric = METRICS[figure.metric]
    outside = [
        text
        for text in ([] if of else [figure.value]) + list(figure.class_iou)
        if not metric.low * scale <= float(text) <= metric.high * scale
    ]
    if outside:
        raise InputError(
            f"{place}: {outside[0]} is outside {metric.low * scale:g} to {metric.high * scale:g} for"
            f" {figure.metric} in unit {figure.unit!r}; check value and unit"
        )
    if figure.class_iou and figure.metric != "miou":
        raise InputError(f"{place}: class_iou goes with metric miou; metric is {figure.metric!r}")
    if figure.excluded:
        return
    if figure.n is None:
        raise InputError(f"{place}: n is empty; expected a number of images, or a reason in 'excluded'")
    if images is not None and figure.n != images:
        raise InputError(
            f"{place}: n is {figure.n}; expected {images}, the validation images of {figure.task!r},"
            " or a reason in 'excluded'"
        )


def figures_of(
    reference: ReferenceClass, survey: Iterable[OtherFigure], metric: str
) -> tuple[OtherFigure, ...]:
    """The figures of a reference class: those of its task, networks, weights and setting, none excluded.

    Args:
        metric: ``"top1"`` or ``"miou"``.

    Raises:
        InputError: the survey knows the task, and no network, weights or setting of that name there.
    """
    same_task = [figure for figure in survey if figure.task == reference.task]
    told: dict[str, tuple[tuple[str, ...], Callable[[OtherFigure], str]]] = {
        "model": (reference.model, lambda figure: figure.model),
        "pretrained": (reference.pretrained, lambda figure: figure.pretrained),
        "setting": ((reference.setting,) if reference.setting else (), lambda figure: figure.setting),
    }
    for key, (names, cell) in told.items():
        valid = {cell(figure) for figure in same_task} | (set(FAMILIES) if key == "model" else set())
        for name in names:
            if same_task and name not in valid:
                raise InputError(
                    f"reference_class of task {reference.task!r}: unknown {key} {name!r}"
                    f" ({hint(name, sorted(valid))})"
                )
    return tuple(figure for figure in same_task if figure.metric == metric and figure.belongs_to(reference))
