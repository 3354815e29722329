"""The ledger: every claim of a report, one checkable statement each, with the lines where it stands.

A claims file is TOML: one ``[report]``, any ``[[data]]``, and many ``[[claim]]`` or ``[[table]]``. Reading
is strict, since a mistyped key would silently change what a run is graded against: every mistake is one line
that names the file and the claim. Values stay strings as printed, because trailing digits matter to the
checks. ``claims/data.toml`` holds what is known of the data from outside the reports, in the same manner.

Importing this imports neither torch nor numpy; ``bench list`` reads all ledgers at each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.claims.claim import (
    BUILT_IN_DATA,
    CHOICES,
    KINDS,
    METRICS,
    SURVEYED,
    Claim,
    DeclaredData,
    Ledger,
    ReferenceClass,
)
from bench.claims.claim_keys import (
    ARGS,
    DATA_KEYS,
    FIRST_EPOCH,
    KEYS,
    KIND_KEYS,
    KIND_TYPES,
    REFERENCE_KEYS,
    REQUIRED,
    printed_figure,
)
from bench.claims.predicates import PREDICATES
from bench.claims.schema import (
    CLAIMS,
    COUNT,
    DATA_FILE,
    SLUG,
    TEXT,
    check_types,
    frozen,
    hint,
    is_slug,
    known_keys,
    only_keys,
    read_toml,
    several,
)
from reference.errors import InputError

ADDED: list[Path] = []
"""Claims files that this process reads besides the packaged ones; ``bench.claims.added`` fills it."""


def load_ledger(path: str | Path) -> Ledger:
    """Load the ledger of one claims file and check it.

    Raises:
        InputError: the file cannot be read or is not TOML; a key is unknown, missing or of the wrong type;
            a kind, metric or predicate is unknown; an id is used twice; an ordering names a claim that is
            not there. One line: file, claim, what is wrong.
    """
    path = Path(path)
    return _ledger(read_toml(path), path.name)


def load_added() -> tuple[Ledger, ...]:
    """The ledgers of the user's own claims files alone; ``load_ledgers`` has checked them."""
    return tuple(load_ledger(path) for path in ADDED)


def load_ledgers(more: Iterable[str | Path] = ()) -> tuple[Ledger, ...]:
    """Load the packaged ledgers in name order, then those of further claims files, and check them together.

    Further files are those of ``ADDED``, then ``more``; a file that is named twice is read once.

    Raises:
        InputError: as ``load_ledger``; or an id is used in two files, or a conflict names a missing claim.

    >>> [ledger.report for ledger in load_ledgers()]
    ['mnist1d', 'r1', 'r2', 'r3', 'r4', 'r5']
    """
    packaged = sorted(file for file in CLAIMS.glob("*.toml") if file.name != DATA_FILE)
    further = {Path(path).resolve(): path for path in (*ADDED, *more)}
    ledgers = [load_ledger(path) for path in (*packaged, *further.values())]
    _check_together(ledgers)
    return tuple(ledgers)


def _ledger(document: dict[str, Any], file: str) -> Ledger:
    known_keys(document, ("report", "data", "claim", "table"), file)
    head = only_keys(document.get("report"), file, "[report]")
    types = {"id": SLUG, "title": TEXT, "year": COUNT, "recipes": TEXT, "epochs_from": FIRST_EPOCH}
    check_types(head, types, ("id", "title"), f"{file}: [report]")
    declared = _declared_data(document, file)
    claims: dict[str, Claim] = {}
    for position, table in enumerate(_claim_tables(document, head["id"], file, declared), 1):
        claim = _claim(table, head, file, position, declared)
        if claim.id in claims:
            raise InputError(f"{file}: {claim.id}: id is used twice; give one of the two another")
        claims[claim.id] = claim
    ledger = Ledger(
        head["id"],
        head["title"],
        head.get("year"),
        tuple(claims.values()),
        file,
        head.get("recipes"),
        tuple(declared.values()),
    )
    for claim in ledger.claims:
        _check_references(claim, claims, file)
    return ledger


def _claim_tables(
    document: dict[str, Any], report: str, file: str, declared: Mapping[str, DeclaredData]
) -> list[dict[str, Any]]:
    """Every claim of a document as a TOML table: its ``[[claim]]``, then what its ``[[table]]`` hold."""
    single = several(document["claim"], file, "[[claim]]") if "claim" in document else []
    if "table" not in document:
        return several(single, file, "[[claim]] or [[table]]")
    # Imported here: few claims files have tables, and listing claims answers at once.
    from bench.claims.claim_tables import claims_of_table

    tables = several(document["table"], file, "[[table]]")
    return single + [
        claim
        for position, table in enumerate(tables, 1)
        for claim in claims_of_table(table, file, position, declared)
    ]


def _declared_data(document: dict[str, Any], file: str) -> dict[str, DeclaredData]:
    """The data sets that a document declares, by name."""
    declared: dict[str, DeclaredData] = {}
    if "data" not in document:
        return declared
    for position, table in enumerate(several(document["data"], file, "[[data]]"), 1):
        location = f"{file}: {table['name'] if is_slug(table.get('name')) else f'data {position}'}"
        check_types(table, DATA_KEYS, ("name",), location)
        name, classes = table["name"], table.get("classes")
        if name in BUILT_IN_DATA:
            raise InputError(f"{location}: a data set of that name is built in; choose another name")
        if name in declared:
            raise InputError(f"{location}: the name is declared twice; keep one of the two")
        names = tuple(classes) if isinstance(classes, list) else ()
        if len(set(names)) != len(names):
            raise InputError(f"{location}: classes names one class twice; name each once")
        count = len(names) if names else classes
        scored = tuple(table.get("scored", ()))
        if scored and (count is None or max(scored) >= count or len(set(scored)) != len(scored)):
            raise InputError(
                f"{location}: scored is {list(scored)}; expected different indices below the number of"
                " classes"
            )
        declared[name] = DeclaredData(
            name=name,
            what=table.get("what", ""),
            classes=count,
            class_names=names,
            scored=scored,
            splits=table.get("splits", {}),
            manifest=table.get("manifest"),
        )
    return declared


def _claim(
    table: dict[str, Any],
    head: dict[str, Any],
    file: str,
    position: int,
    declared: Mapping[str, DeclaredData],
) -> Claim:
    report: str = head["id"]
    location = f"{file}: {table['id'] if is_slug(table.get('id')) else f'claim {position}'}"
    kind = table.get("kind")
    if kind is None:
        check_types(table, KEYS, REQUIRED, location, choices=CHOICES)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{location}: unknown kind {kind!r} ({hint(kind, KINDS)})")
    types, (required, _) = KIND_TYPES[kind], KIND_KEYS[kind]
    for key in table:
        if key not in types and key in KEYS:
            raise InputError(f"{location}: key {key!r} is not of kind {kind!r} (valid: {', '.join(types)})")
    check_types(table, types, (*REQUIRED, *required), location, choices=CHOICES)
    if not table["id"].startswith(f"{report}-"):
        raise InputError(f"{location}: id does not start with the report's, {report + '-'!r}; rename it")
    if ("line" in table) == ("place" in table):
        if "line" in table:
            raise InputError(f"{location}: 'line' and 'place' both say where it stands; give one of them")
        raise InputError(
            f"{location}: missing key 'line'; add {KEYS['line'].expected},"
            " or 'place' where the report has no lines"
        )
    if table.get("illegible", False) != ("illegible_why" in table):
        raise InputError(f"{location}: 'illegible = true' and 'illegible_why' go together; give both or none")
    if kind in _CHECKS:
        _CHECKS[kind](table, location)
    if "data" in table and table["data"] not in (*BUILT_IN_DATA, *declared):
        near = hint(table["data"], (*BUILT_IN_DATA, *declared))
        raise InputError(
            f"{location}: unknown data {table['data']!r} ({near}); or declare it in a [[data]] table"
        )
    values = {key: frozen(value) for key, value in table.items() if key != "line"}
    if kind == "number":
        values |= _read_number(table, declared.get(table["data"]))
    if "reference_class" in table:
        values["reference_class"] = _reference_classes(table, location)
    lines = table.get("line", [])
    lines = lines if isinstance(lines, list) else [lines]
    return Claim(report=report, lines=tuple(lines), epochs_from=head.get("epochs_from", 1), **values)


def _reference_classes(table: dict[str, Any], location: str) -> tuple[ReferenceClass, ...]:
    """The declared classes, checked: known keys, of the claim's own data, of a metric that others print."""
    declared = table["reference_class"]
    classes = []
    for reference in [declared] if isinstance(declared, dict) else declared:
        check_types(reference, REFERENCE_KEYS, ("task",), f"{location}: reference_class")
        if reference["task"] != table["data"]:
            raise InputError(
                f"{location}: reference_class: task is {reference['task']!r}; expected the claim's data,"
                f" {table['data']!r}"
            )
        values = {
            key: (value,) if isinstance(value, str) else tuple(value) for key, value in reference.items()
        }
        classes.append(
            ReferenceClass(**(values | {k: reference[k] for k in ("task", "setting") if k in reference}))
        )
    if table["metric"] not in SURVEYED:
        raise InputError(
            f"{location}: reference_class: other reports are compared by {', '.join(SURVEYED)}; metric is"
            f" {table['metric']!r}"
        )
    return tuple(classes)


def _check_number(table: dict[str, Any], location: str) -> None:
    _check_class_index(table, location)
    _check_positive(table, "margin", location)
    if table["metric"].startswith("delta_") != ("difference_of" in table):
        raise InputError(
            f"{location}: 'difference_of' goes with a delta metric and only there;"
            f" metric is {table['metric']!r}"
        )
    if ("n" in table) != ("n_from" in table):
        raise InputError(f"{location}: 'n' and 'n_from' go together; give both or none")
    _check_range(table, location)
    if ("weights" in table) and len(table["weights"]) != len(table.get("mean_of", ())):
        raise InputError(f"{location}: 'weights' needs one number for each claim of 'mean_of'")
    if "derived_from" in table:
        first, second = table["derived_from"]
        if abs(float(first) - float(second) - float(table["value"])) > 1e-9:
            raise InputError(
                f"{location}: value {table['value']} is not {first} - {second}; check 'derived_from'"
            )


def _check_range(table: dict[str, Any], location: str) -> None:
    """The value lies in its metric's range and is of the unit that it is printed in."""
    name, unit = table["metric"], table["unit"]
    metric, figure = METRICS[name], printed_figure(table["value"])
    assert figure is not None, "the types were checked"
    if figure.percent and unit != "percent":
        raise InputError(
            f"{location}: value is {table['value']!r} and unit {unit!r}; expected unit 'percent'"
        )
    if (unit == "count") != (name == "support"):
        raise InputError(f"{location}: unit 'count' goes with metric 'support' and only there")
    scale = 100 if unit == "percent" else 1
    if not metric.low * scale <= float(figure.value) <= metric.high * scale:
        raise InputError(
            f"{location}: value {table['value']} is outside {metric.low * scale:g} to {metric.high * scale:g}"
            f" for {name} in unit {unit!r}; check value and unit"
        )


def _read_number(table: dict[str, Any], declared: DeclaredData | None) -> dict[str, Any]:
    """What a printed value and a declared data set say beyond the keys of a number."""
    figure = printed_figure(table["value"])
    assert figure is not None, "the types were checked"
    values: dict[str, Any] = {"value": figure.value, "spread": figure.spread}
    if figure.about:
        values["approx"] = True
    if "weights" in table:
        values["weights"] = tuple(map(str, table["weights"]))
    of_images = METRICS[table["metric"]].of_images and table.get("source", "official") == "official"
    if declared and of_images and "n" not in table and table["split"] in declared.splits:
        values |= {"n": declared.splits[table["split"]], "n_from": "outside"}
    return values


def _check_positive(table: dict[str, Any], key: str, location: str) -> None:
    if key in table and not float(table[key]) > 0:
        raise InputError(f"{location}: {key} is {table[key]}; expected a number above 0")


def _check_timing(table: dict[str, Any], location: str) -> None:
    _check_positive(table, "least", location)


def _check_ordering(table: dict[str, Any], location: str) -> None:
    _check_class_index(table, location)
    _check_positive(table, "margin", location)
    if ("order" in table) == ("order_recipes" in table):
        raise InputError(f"{location}: needs exactly one of 'order' and 'order_recipes'")
    members = table.get("order") or table["order_recipes"]
    if len(set(members)) != len(members):
        raise InputError(f"{location}: a member of the ordering is named twice; name each once")


def _check_class_index(table: dict[str, Any], location: str) -> None:
    """The IoU of one class names it; some other metrics may be of one class."""
    metric, of_class = table["metric"], "class_index" in table
    if metric == "iou" and not of_class:
        raise InputError(f"{location}: missing key 'class_index'; metric 'iou' is of one class")
    if of_class and not METRICS[metric].by_class:
        valid = ", ".join(name for name, entry in METRICS.items() if entry.by_class)
        raise InputError(f"{location}: 'class_index' goes with one of {valid}; metric is {metric!r}")


def _check_process(table: dict[str, Any], location: str) -> None:
    name = table["predicate"]
    if name not in PREDICATES:
        raise InputError(f"{location}: unknown predicate {name!r} ({hint(name, PREDICATES)})")
    args, defaults = table.get("args", {}), PREDICATES[name].__kwdefaults__ or {}
    types = {key: ARGS[said] for key, said in PREDICATES[name].__annotations__.items() if said in ARGS}
    check_types(args, types, [key for key in types if key not in defaults], f"{location}: args of {name}")


def _check_figure(table: dict[str, Any], location: str) -> None:
    stages, epochs = len(table.get("stages", ())), len(table.get("epochs", ()))
    if "stages" in table and stages != epochs:
        raise InputError(f"{location}: 'stages' has {stages} names for {epochs} epochs; name each or none")


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "number": _check_number,
    "ordering": _check_ordering,
    "process": _check_process,
    "figure": _check_figure,
    "timing": _check_timing,
}


def _check_references(claim: Claim, claims: Mapping[str, Claim], file: str) -> None:
    """An ordering ranks number claims of its own file and metric; conflicts within the report exist."""
    for other in claim.order:
        if other not in claims:
            raise InputError(
                f"{file}: {claim.id}: orders {other!r}, which is no claim ({hint(other, claims)})"
            )
        if claims[other].metric_name != claim.metric_name or claims[other].kind != "number":
            raise InputError(
                f"{file}: {claim.id}: orders {other!r}, which is no number of metric {claim.metric_name!r}"
            )
    for other in claim.mean_of:
        if other not in claims or claims[other].kind != "number" or other == claim.id:
            raise InputError(
                f"{file}: {claim.id}: mean_of names {other!r}, which is no other number"
                f" ({hint(other, [name for name in claims if name != claim.id])})"
            )
    for other in claim.conflicts_with:
        if other.startswith(f"{claim.report}-") and other not in claims:
            raise InputError(
                f"{file}: {claim.id}: conflicts with {other!r}, which is no claim ({hint(other, claims)})"
            )


def _check_together(ledgers: Sequence[Ledger]) -> None:
    """No id in two files, no report in two files, and every conflict names a claim of some file."""
    seen: dict[str, str] = {}
    reports: dict[str, str] = {}
    for ledger in ledgers:
        for claim in ledger.claims:
            if claim.id in seen:
                raise InputError(f"{ledger.file}: {claim.id}: id is used in {seen[claim.id]} too; rename it")
            seen[claim.id] = ledger.file
        if ledger.report in reports:
            other = reports[ledger.report]
            raise InputError(
                f"{ledger.file}: [report]: id {ledger.report!r} is that of {other} too; rename it"
            )
        reports[ledger.report] = ledger.file
    for ledger in ledgers:
        for claim in ledger.claims:
            for other in claim.conflicts_with:
                if other not in seen:
                    raise InputError(
                        f"{ledger.file}: {claim.id}: conflicts with {other!r}, which is no claim"
                        f" ({hint(other, seen)})"
                    )
