"""Writes a claims file from the figures of tables: ``bench audit paper.md --to-claims paper.toml``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.audit.tables import TableAudit, means
from bench.audit.tables.names import claim_ids, report_id, slug
from bench.audit.tables.roles import LABEL, VALUE, Options, ReadTable, normal
from bench.audit.tables.table_finding import Place
from bench.claims.cells import digits_of
from bench.claims.claim import BUILT_IN_DATA, METRICS
from bench.claims.schema import is_slug
from reference.errors import InputError
from reference.files import write_atomically

METRIC_OF_ROLE: dict[str, str] = {
    "top1": "top1",
    "accuracy": "top1",
    "miou": "miou",
}
"""The ledger's metric of each role; a role that is its own metric there needs no entry."""


def write_claims(audit: TableAudit, path: Path, options: Options, report: str | None = None) -> str:
    """Write a number claim for every figure whose metric a claims file knows; the others stay as comments.

    Args:
        report: the report's id; None takes the name of the file with the tables.

    Returns:
        One line: how many claims, how many comments, where.

    Raises:
        InputError: the file exists; the data set or the split is no slug; no figure can be a claim.
    """
    if path.exists():
        raise InputError(f"{path}: exists; name another file, or move it away")
    report = report or report_id(audit.path)
    data, split = options.data or report, options.split or "unstated"
    for option, value in (("--data", data), ("--split", split)):
        if not is_slug(value):
            raise InputError(f"{option} {value!r}: expected lower-case letters, digits and single hyphens")
    ids = claim_ids(audit, report)
    groups = list(_class_groups(audit))
    classes = {_key(p): i for group in groups for i, p in enumerate(group.members)}
    means_of = {_key(group.mean): group.members[0] for group in groups}
    downwards = {
        (id(p.read), p.column)
        for group in groups
        if group.members[0].row != group.members[1].row
        for p in group.members
    }
    claims, comments = [], []
    for read in audit.tables:
        for place in _figures(read):
            metric = "miou" if _key(place) in means_of else _metric(place, classes)
            if metric is None or not place.unit or place.figure.digits < 0:
                comments.append(
                    f"# line {place.line}: {_one_line(place.label)}, {_one_line(place.name)}: "
                    f"{place.cell.text}"
                )
            else:
                class_index = classes.get(_key(place)) if metric == "iou" else None
                # A mean is of the evaluation that its classes are of, which may stand in another table.
                owner = means_of.get(_key(place), place)
                owner = place if owner.read is read else owner
                recipe = _recipe(owner, report, (id(owner.read), owner.column) in downwards)
                claims.append(_claim(place, metric, class_index, ids, data, split, recipe))
    if not claims:
        raise InputError(
            f"{audit.path}: no figure of it has a metric that a claims file knows ({', '.join(METRICS)})"
        )
    head = [
        f"# The figures of {Path(audit.path).name}, as `bench audit` read them. Roles of columns are "
        f"guesses: check them.",
        "",
        "[report]",
        f"id = {_quoted(report)}",
        f"title = {_quoted(Path(audit.path).name)}",
        "",
    ]
    if data not in BUILT_IN_DATA:
        head += [
            "[[data]]",
            f"name = {_quoted(data)}",
            "# classes = 10                  # how many, or a list of their names",
            "# splits = { test = 1000 }      # images in each split",
            "",
        ]
    tail = ["# Figures whose metric a claims file does not know:", *comments, ""] if comments else []
    write_atomically(path, "\n".join([*head, *claims, *tail]).encode())
    return f"{path}: {len(claims):,} claims, {len(comments):,} figures as comments"


def _figures(read: ReadTable) -> Iterator[Place]:
    for row in range(len(read.table.rows)):
        for column in read.columns:
            if (
                column.role not in (LABEL, "n", "runs", "sd", "aside")
                and read.cell(row, column.index).kind == "figure"
            ):
                yield Place(read, row, column.index)


def _class_groups(audit: TableAudit) -> Iterator[means.FigureGroup]:
    """Each printed mean IoU with its class IoUs, in their order."""
    for group in means.groups(audit.tables):
        mean, first = group.mean, group.members[0]
        roles = (mean.read.columns[mean.column].role, mean.read.row_roles[mean.row])
        words = {word for name in (mean.name, mean.label, first.name) for word in normal(name).split()}
        if group.kind == "mean" and ("miou" in roles or "iou" in words):
            yield group


def _key(place: Place) -> tuple[int, int, int]:
    return id(place.read), place.row, place.column


def _metric(place: Place, classes: dict[tuple[int, int, int], int]) -> str | None:
    if _key(place) in classes:
        return "iou"
    role = place.read.columns[place.column].role
    if role == VALUE:
        role = place.read.row_roles[place.row]
    metric = METRIC_OF_ROLE.get(role, role)
    return metric if metric in METRICS else None


def _recipe(place: Place, report: str, down: bool) -> str:
    """What is evaluated stands in the rows, or, where classes or metrics do, in the columns."""
    metrics_in_rows = (
        place.read.columns[place.column].role == VALUE and place.read.row_roles[place.row] != VALUE
    )
    setting = place.name if metrics_in_rows or down else place.label
    return f"{report}-t{place.read.table.number}-{slug(setting)}"


def _claim(
    place: Place,
    metric: str,
    class_index: int | None,
    ids: Callable[[Place], str],
    data: str,
    split: str,
    recipe: str,
) -> str:
    column = place.read.columns[place.column]
    lines = [
        "[[claim]]",
        f"id = {_quoted(ids(place))}",
        'kind = "number"',
        f"line = {place.line}",
        f"text = {_quoted(f'{_one_line(place.label)}: {_one_line(place.name)} is {place.cell.text}.')}",
        f"recipe = {_quoted(recipe)}",
        f"metric = {_quoted(metric)}",
        *([f"class_index = {class_index}"] if class_index is not None else []),
        f"value = {_quoted(digits_of(place.figure))}",
        f"unit = {_quoted(place.unit)}",
        f"data = {_quoted(data)}",
        f"split = {_quoted(split)}",
    ]
    if column.n:
        lines += [f"n = {column.n}", f'n_from = "{"outside" if column.n_why == "--n" else "printed"}"']
    if column.runs:
        lines.append(f"runs = {column.runs}")
    return "\n".join([*lines, ""])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    """A basic string of TOML, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
