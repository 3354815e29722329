"""``[[table]]`` of a claims file: rows as a report prints them, each figure of which becomes a claim.

A column has a role: a metric of ``METRICS``, or one of ``COLUMNS``. ``iou:road`` is the metric of the class
``road``. In a table with a column ``class``, every row is a class, and the rows *macro avg*, *weighted avg*
and *accuracy* are what scikit-learn's classification report means by them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.claims.claim import CHOICES, METRICS, DeclaredData
from bench.claims.claim_keys import TABLE_KEYS, printed_figure
from bench.claims.schema import check_types, hint, is_slug
from reference.errors import InputError

COLUMNS: dict[str, str] = {
    "name": "what the row is about, in the report's words",
    "recipe": "the slug of the recipe whose runs settle the row",
    "class": "the class that the row is about",
    "n": "images behind the row's figures",
    "runs": "runs that the row's figures are means of",
    "line": "the line of the report that the row stands in",
    "skip": "no figure of a claim",
}
"""Roles of columns that are no metric."""

SHARED = ("data", "split", "n_from", "source", "epoch", "selection", "note", "place")
"""Keys of a table that each of its claims has too."""

EMPTY = ("", "-", "–", "—", "n/a")
"""Cells without a figure."""


@dataclass(kw_only=True)
class _ReadRows:
    """A table with its roles; ``classes`` are names of classes in the order of their indices."""

    keys: Mapping[str, Any]
    location: str
    metrics: dict[int, tuple[str, str]]
    roles: dict[str, int]
    classes: list[str]
    fixed: bool = False
    ids: Counter[str] = field(default_factory=Counter)


def claims_of_table(
    table: dict[str, Any], file: str, position: int, declared: Mapping[str, DeclaredData]
) -> Iterator[dict[str, Any]]:
    """The claims of one ``[[table]]``, each as a ``[[claim]]`` would state it.

    Raises:
        InputError: a key or role is unknown, a row has too few or too many cells, a cell is no figure.
    """
    location = f"{file}: {table['id'] if is_slug(table.get('id')) else f'table {position}'}"
    check_types(table, TABLE_KEYS, ("id", "columns", "rows", "data", "split"), location, choices=CHOICES)
    read = _roles(table, location, declared.get(table["data"]))
    lines = table.get("line")
    by_row = isinstance(lines, list) and len(lines) == len(table["rows"])
    claims: list[dict[str, Any]] = []
    for number, row in enumerate(table["rows"], 1):
        if len(row) != len(table["columns"]):
            raise InputError(
                f"{location}: row {number} has {len(row)} cells; expected {len(table['columns'])},"
                " one a column"
            )
        line = lines[number - 1] if by_row and isinstance(lines, list) else lines
        claims += _row(read, row, number, line)
    if not claims:
        raise InputError(f"{location}: no cell holds a figure; give rows with some")
    yield from _with_means(claims)


def _roles(table: dict[str, Any], location: str, declared: DeclaredData | None) -> _ReadRows:
    metrics: dict[int, tuple[str, str]] = {}
    roles: dict[str, int] = {}
    for index, text in enumerate(table["columns"]):
        role, _, label = text.partition(":")
        if role in METRICS:
            metrics[index] = (role, label)
        elif role not in COLUMNS or label:
            near = hint(role, (*COLUMNS, *METRICS))
            raise InputError(f"{location}: unknown role {text!r} of column {index + 1} ({near})")
        elif role != "skip" and role in roles:
            raise InputError(f"{location}: two columns have the role {role!r}; give one of them 'skip'")
        else:
            roles[role] = index
    if not metrics:
        raise InputError(f"{location}: no column is a metric (valid: {', '.join(METRICS)})")
    names = list(declared.class_names) if declared else []
    return _ReadRows(
        keys=table, location=location, metrics=metrics, roles=roles, classes=names, fixed=bool(names)
    )


def _row(read: _ReadRows, row: Sequence[str], number: int, line: Any) -> Iterator[dict[str, Any]]:
    """The claims of one row."""
    cells: Mapping[str, str] = {role: row[index].strip() for role, index in read.roles.items()}
    label = next((cells[role] for role in ("name", "recipe", "class") if role in cells), "")
    named = _slug(label) or f"row-{number}"
    common = {key: read.keys[key] for key in (*SHARED, "n", "runs") if key in read.keys}
    for key in ("n", "runs", "line"):
        if cells.get(key, "") not in EMPTY:
            common[key] = _count(cells[key], key, read.location, label)
    if line is not None:
        common.setdefault("line", line)
    of_row = read.keys["id"] if "class" in cells else f"{read.keys['id']}-{named}"
    common["recipe"] = cells.get("recipe") or read.keys.get("recipe") or of_row
    average = named if "class" in cells and named in AVERAGES else ""
    for index, (metric, of_class) in read.metrics.items():
        if row[index].strip() in EMPTY or (average == "accuracy" and metric == "support"):
            continue
        figure = printed_figure(row[index])
        if figure is None:
            raise InputError(
                f"{read.location}: row {number} ({label}), {metric}: {row[index]!r} is no figure; expected"
                " one as printed, or an empty text"
            )
        claim = common | {"kind": "number", "metric": metric, "value": row[index], "_average": average}
        parts = [read.keys["id"], named, metric.replace("_", "-")]
        if average == "accuracy":
            claim |= {"metric": "top1"} | _images(read, row, label)
        elif not average and METRICS[metric].by_class and (of_class or "class" in cells or metric == "iou"):
            claim["class_index"] = _class_index(read, index, of_class or cells.get("class", ""))
            if "class" not in cells:
                parts.append(_slug(of_class) or str(claim["class_index"]))
        unit = "count" if metric == "support" else "percent" if figure.percent else read.keys.get("unit")
        if unit is None:
            raise InputError(f'{read.location}: missing key \'unit\'; add "fraction" or "percent"')
        title = f"{METRICS[claim['metric']].title}{f' of {of_class}' if of_class else ''}"
        claim |= {
            "unit": unit,
            "id": _unique(read, "-".join(parts)),
            "text": f"{label or f'Row {number}'}: {title} is {row[index]}.",
        }
        if "n" not in claim:
            claim.pop("n_from", None)
        else:
            claim.setdefault("n_from", "printed")
        yield claim


def _images(read: _ReadRows, row: Sequence[str], label: str) -> dict[str, Any]:
    """The images behind the row *accuracy*, which stand under *support*."""
    column = next((index for index, (metric, _) in read.metrics.items() if metric == "support"), None)
    if column is None or row[column].strip() in EMPTY:
        return {}
    return {"n": _count(row[column], "support", read.location, label), "n_from": "printed"}


AVERAGES = ("macro-avg", "weighted-avg", "micro-avg", "accuracy", "mean", "average", "avg")
"""Rows of a table of classes that are no class, as slugs."""


def _with_means(claims: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows *macro avg* and *weighted avg* become means of their column's classes."""
    for claim in claims:
        average = claim.pop("_average", "")
        members = [other for other in claims if other["metric"] == claim["metric"] and "class_index" in other]
        supports = {
            other["class_index"]: other["value"].replace(",", "")
            for other in claims
            if other["metric"] == "support" and "class_index" in other
        }
        weighted = average == "weighted-avg"
        known = not weighted or all(other["class_index"] in supports for other in members)
        if average in ("macro-avg", "weighted-avg", "mean", "average", "avg") and len(members) > 1 and known:
            if claim["metric"] == "support":
                continue  # the total, which is no mean
            claim["mean_of"] = [other["id"] for other in members]
            if weighted:
                claim["weights"] = [supports[other["class_index"]] for other in members]
        yield claim


def _class_index(read: _ReadRows, column: int, label: str) -> int:
    if label.isdigit() and not read.fixed and "class" not in read.roles:
        return int(label)
    label = label or str(column)
    if label not in read.classes:
        if read.fixed:
            raise InputError(f"{read.location}: unknown class {label!r} ({hint(label, read.classes)})")
        read.classes.append(label)
    return read.classes.index(label)


def _count(text: str, key: str, location: str, label: str) -> int:
    figure = printed_figure(text)
    if figure is None or not figure.value.isdigit() or int(figure.value) < 1:
        raise InputError(f"{location}: row {label!r}, {key}: {text!r}; expected a whole number from 1")
    return int(figure.value)


def _unique(read: _ReadRows, name: str) -> str:
    read.ids[name] += 1
    return name if read.ids[name] == 1 else f"{name}-{read.ids[name]}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
