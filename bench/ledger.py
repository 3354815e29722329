"""The ledger: every claim of a report, one checkable statement each, with the lines where it stands.

A claims file is TOML: one ``[report]`` and many ``[[claim]]``. Reading is strict, since a mistyped key
would silently change what a run is graded against: every mistake is one line that names the file and the
claim. Values stay strings as printed, because trailing digits matter to the checks. ``claims/data.toml``
holds what is known of the data from outside the reports, in the same manner.

Importing this imports neither torch nor numpy; ``bench list`` reads all ledgers at each call.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.predicates import PREDICATES
from reference.errors import InputError

if TYPE_CHECKING:
    from decimal import Decimal

CLAIMS = Path(__file__).parent / "claims"
DATA_FILE = "data.toml"
ADDED: list[Path] = []
"""Claims files of one's own that this process reads beside the packaged ones; ``bench.own`` adds to it."""


class Metric(NamedTuple):
    """What a number measures; ``low`` and ``high`` bound it as a fraction."""

    title: str
    higher_is_better: bool
    low: float
    high: float


METRICS: dict[str, Metric] = {
    "top1": Metric("top-1 accuracy", True, 0.0, 1.0),
    "miou": Metric("mean IoU", True, 0.0, 1.0),
    "iou": Metric("IoU of one class", True, 0.0, 1.0),
    "delta_top1": Metric("difference of top-1 accuracies", True, -1.0, 1.0),
    "delta_miou": Metric("difference of mean IoUs", True, -1.0, 1.0),
    "loss": Metric("mean loss", False, float("-inf"), float("inf")),
    "silhouette": Metric("silhouette of an embedding", True, -1.0, 1.0),
    "knn_purity": Metric("10-NN purity of an embedding", True, 0.0, 1.0),
}

KINDS: dict[str, str] = {
    "number": "a printed figure",
    "ordering": "one thing is better than another",
    "architecture": "a network as printed or described",
    "formula": "a formula as printed or described",
    "process": "something that happens during training",
    "explanation": "why something is so, and what would test it",
    "figure": "a picture that the report shows",
    "protocol": "settings and code as printed",
}

CHOICES: dict[str, tuple[str, ...]] = {
    "data": ("classification50", "miniimagenet", "officehome", "landcover"),
    "known": ("outside",),
    "metric": tuple(METRICS),
    "n_from": ("printed", "derived", "outside"),
    "shows": ("masks", "tsne", "pca", "curves", "diagram", "overlay"),
    "source": ("official", "synthetic"),
    "split": ("val", "train", "unstated"),
    "unit": ("fraction", "percent"),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement of a report. Keys that its kind does not have are ``None`` or empty.

    Attributes:
        lines: lines of the report's text. The first is where it is stated, further ones repeat or
            qualify it; an architecture and a listed ``code`` give their first and last line.
        text: the statement in our words.
        recipe: slug of the recipe whose runs settle it.
        source: the data it is about; the five reports used the official sets.
        unstated: what the report leaves out, as recipe fields where there is one.
        illegible: the text is damaged beyond use, for the reason ``illegible_why``.
        conflicts_with: claims that cannot hold together with this one, of any report.
        value: the figure, digit for digit as printed.
        derived_from: two printed figures whose difference ``value`` is, where it is not printed itself.
        n, n_from: how many images it was measured on, and how that is known.
        runs: how many runs the figure is a mean of; 1 where nothing is said.
        epoch: the epoch the figure is printed for, in the report's own counting.
        approx: printed with "about" or "almost".
        difference_of: recipes (a, b) of a gain a - b.
        order: number claims, best first; or, where nothing is printed, recipes (``order_recipes``).
        tie: the ordering claims that its members are about equal.
        model: key of ``reference.models.MODELS`` that the listing is compared with.
        facts: countable statements about the network; ``damage``: what the scan or print broke.
        implements: function of ``reference`` that computes the formula.
        predicate, args: key of ``bench.predicates.PREDICATES``, and its arguments.
        tested_by: recipes and claims that would test an explanation.
        epochs, images, stages: what a figure shows, and what the report calls the epochs.
        stated: printed settings, by field of ``Recipe`` and ``Phase`` where there is one. A list (an
            augmentation chain) is joined by "; ".
        code: source text as printed.
    """

    report: str
    id: str
    kind: str
    lines: tuple[int, ...]
    text: str
    recipe: str | None = None
    source: str = "official"
    unstated: tuple[str, ...] = ()
    illegible: bool = False
    illegible_why: str | None = None
    conflicts_with: tuple[str, ...] = ()
    note: str | None = None

    metric: str | None = None
    class_index: int | None = None
    value: str | None = None
    derived_from: tuple[str, ...] = ()
    unit: str | None = None
    data: str | None = None
    split: str | None = None
    n: int | None = None
    n_from: str | None = None
    runs: int = 1
    epoch: int | None = None
    selection: str = "unstated"
    approx: bool = False
    difference_of: tuple[str, ...] = ()

    order: tuple[str, ...] = ()
    order_recipes: tuple[str, ...] = ()
    tie: bool = False

    model: str | None = None
    facts: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    formula: str | None = None
    implements: str | None = None

    predicate: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict, hash=False)

    tested_by: tuple[str, ...] = ()

    shows: str | None = None
    epochs: tuple[int, ...] = ()
    images: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    stated: Mapping[str, str] = field(default_factory=dict, hash=False)
    code: str | None = None

    @property
    def locator(self) -> str:
        """Where it stands: ``r3:141``, or ``r3:141,186`` for several lines."""
        return f"{self.report}:{','.join(map(str, self.lines))}"

    @property
    def metric_name(self) -> str | None:
        """The metric as runs record it: ``iou_3`` for the IoU of class 3."""
        return self.metric if self.class_index is None else f"{self.metric}_{self.class_index}"

    @property
    def decimals(self) -> int:
        """Digits after the point of the printed value. Raises ValueError for a claim without one."""
        return len(self._printed.partition(".")[2])

    @property
    def fraction(self) -> Decimal:
        """The printed value as a fraction, exactly. Raises ValueError for a claim without one."""
        return _decimal(self._printed) * self._scale

    @property
    def half_step(self) -> Decimal:
        """Half a unit of the last printed digit, as a fraction: what rounding may have hidden."""
        return _decimal("5").scaleb(-self.decimals - 1) * self._scale

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """What an ordering says strictly: each member, by claim or recipe, with the next worse one."""
        members = self.order or self.order_recipes
        return tuple(pairwise(members))

    @property
    def _printed(self) -> str:
        if self.value is None:
            raise ValueError(f"{self.id} is a claim of kind {self.kind} and has no value")
        return self.value

    @property
    def _scale(self) -> Decimal:
        return _decimal("0.01" if self.unit == "percent" else "1")


@dataclass(frozen=True)
class Ledger:
    """All claims of one report, in the file's order; ``recipes`` is the recipe file that it names, if any."""

    report: str
    title: str
    year: int | None
    claims: tuple[Claim, ...]
    file: str
    recipes: str | None = None

    def claim(self, claim_id: str) -> Claim:
        """The claim of that id. Raises KeyError."""
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(claim_id)

    def of_kind(self, kind: str) -> tuple[Claim, ...]:
        """The claims of one kind of ``KINDS``."""
        return tuple(claim for claim in self.claims if claim.kind == kind)


@dataclass(frozen=True, kw_only=True)
class DataRole:
    """One data set as the official course material has it; the reports do not say most of this.

    Attributes:
        stated_in: (report, line) where a report itself prints the number of classes.
    """

    role: str
    what: str
    classes: int
    train: int
    layout: tuple[str, ...]
    known: str
    val: int | None = None
    images: str | None = None
    stated_in: tuple[tuple[str, int], ...] = ()
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaletteColour:
    """One mask colour: class index, name and RGB."""

    index: int
    name: str
    colour: str
    known: str
    rgb: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """How the course scores masks: which classes count, the rule in words, the lines it prints."""

    metric: str
    classes: tuple[int, ...]
    rule: str
    prints: tuple[str, ...]
    printed_in: tuple[tuple[str, int], ...]
    known: str


@dataclass(frozen=True)
class DataFacts:
    """Data roles, mask palette and scoring rule, known from outside the reports."""

    roles: tuple[DataRole, ...]
    palette: tuple[PaletteColour, ...]
    score: ScoreRule

    def role(self, name: str) -> DataRole:
        """The data set of that role. Raises KeyError."""
        for role in self.roles:
            if role.role == name:
                return role
        raise KeyError(name)


def load_ledger(path: str | Path) -> Ledger:
    """The ledger in one claims file, checked.

    Raises:
        InputError: the file cannot be read or is not TOML; a key is unknown, missing or of the wrong type;
            a kind, metric or predicate is unknown; an id is used twice; an ordering names a claim that is
            not there. One line: file, claim, what is wrong.
    """
    path = Path(path)
    return _ledger(_parse(path), path.name)


def load_ledgers(more: Iterable[str | Path] = ()) -> tuple[Ledger, ...]:
    """The packaged ledgers in name order, then those of further claims files, checked together.

    Further ones are those of ``ADDED``, then ``more``; one that is named twice is read once.

    Raises:
        InputError: as ``load_ledger``; or an id is used in two files, or a conflict names a missing claim.
    """
    packaged = sorted(file for file in CLAIMS.glob("*.toml") if file.name != DATA_FILE)
    further = {Path(path).resolve(): path for path in (*ADDED, *more)}
    ledgers = [load_ledger(path) for path in (*packaged, *further.values())]
    _check_together(ledgers)
    return tuple(ledgers)


def load_data_facts() -> DataFacts:
    """What is known of the data sets, the mask colours and the course's score.

    Raises:
        InputError: as ``load_ledger``.
    """
    document = _parse(CLAIMS / DATA_FILE)
    _known_keys(document, ("data", "palette", "score"), DATA_FILE)
    return DataFacts(
        roles=tuple(DataRole(**table) for table in _fact_tables(document, "data", _ROLE_KEYS)),
        palette=tuple(PaletteColour(**table) for table in _fact_tables(document, "palette", _COLOUR_KEYS)),
        score=ScoreRule(**_fact_tables(document, "score", _SCORE_KEYS)[0]),
    )


def _decimal(number: str) -> Decimal:
    # Imported here: slow to load, and listing claims needs no arithmetic.
    from decimal import Decimal

    return Decimal(number)


# What a key may hold ----------------------------------------------------------------------------------


class _Type(NamedTuple):
    said: str
    holds: Callable[[Any], bool]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_slug(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value) is not None


def _is_place(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_slug(value[0]) and _is_int(value[1])


def _list_of(holds: Callable[[Any], bool], least: int = 0, most: int | None = None) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, list) or len(value) < least or (most is not None and len(value) > most):
            return False
        return all(holds(item) for item in value)

    return check


_TEXT = _Type("a text", _is_text)
_TEXTS = _Type("a list of texts", _list_of(_is_text))
_SLUG = _Type("a slug (lower-case letters, digits, single hyphens)", _is_slug)
_SLUGS = _Type("a list of slugs", _list_of(_is_slug))
_NUMBER = _Type('a number as printed, in quotes, such as "0.7808"', _is_number)
_FLAG = _Type("true or false", lambda value: isinstance(value, bool))
_INDEX = _Type("a whole number from 0", lambda value: _is_int(value) and value >= 0)
_COUNT = _Type("a whole number from 1", lambda value: _is_int(value) and value >= 1)
_INDICES = _Type("a list of whole numbers from 0", _list_of(_INDEX.holds))
_LINES = _Type(
    "a line number or a list of them",
    lambda value: _COUNT.holds(value) or _list_of(_COUNT.holds, least=1)(value),
)
_PLACES = _Type('a list of places such as ["r4", 130]', _list_of(_is_place))
_TABLE = _Type("a table", lambda value: isinstance(value, dict))
_STATED = _Type(
    "a table of texts",
    lambda value: isinstance(value, dict) and bool(value) and all(map(_is_text, value.values())),
)

_KEYS: dict[str, _Type] = {
    "id": _SLUG, "kind": _TEXT, "line": _LINES, "text": _TEXT, "recipe": _SLUG, "source": _TEXT,
    "unstated": _TEXTS, "illegible": _FLAG, "illegible_why": _TEXT, "conflicts_with": _SLUGS, "note": _TEXT,
    "metric": _TEXT, "class_index": _INDEX, "value": _NUMBER, "unit": _TEXT, "data": _TEXT, "split": _TEXT,
    "derived_from": _Type("two numbers as printed, in quotes", _list_of(_is_number, 2, 2)),
    "n": _COUNT, "n_from": _TEXT, "runs": _COUNT, "epoch": _INDEX, "selection": _TEXT, "approx": _FLAG,
    "difference_of": _Type("two recipe slugs", _list_of(_is_slug, 2, 2)),
    "order": _Type("a list of at least two claim ids", _list_of(_is_slug, 2)),
    "order_recipes": _Type("a list of at least two recipe slugs", _list_of(_is_slug, 2)),
    "tie": _FLAG, "model": _TEXT, "facts": _Type("a list of at least one text", _list_of(_is_text, 1)),
    "damage": _TEXTS, "formula": _TEXT, "implements": _TEXT, "predicate": _TEXT, "args": _TABLE,
    "tested_by": _SLUGS, "shows": _TEXT, "epochs": _INDICES, "images": _TEXTS, "stages": _TEXTS,
    "stated": _STATED, "code": _TEXT,
}  # fmt: skip

_EPOCH = _Type(
    'an epoch from 1, "first" or "last"', lambda value: _COUNT.holds(value) or value in ("first", "last")
)
_REAL = _Type("a number", lambda value: _is_int(value) or isinstance(value, float))

_ARGS: dict[str, _Type] = {
    "int": _COUNT, "int | None": _COUNT, "float": _REAL, "Epoch": _EPOCH,
    "str": _Type("a text", lambda value: isinstance(value, str)),
}  # fmt: skip
"""What a predicate's argument may be, by its annotation."""

_REQUIRED = ("id", "kind", "line", "text")
_COMMON = (
    *_REQUIRED, "recipe", "source", "unstated", "illegible", "illegible_why", "conflicts_with", "note",
)  # fmt: skip

_KIND_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "number": (
        ("metric", "value", "unit", "data", "split"),
        (
            "class_index", "derived_from", "n", "n_from", "runs", "epoch", "selection", "approx",
            "difference_of",
        ),
    ),
    "ordering": (("metric",), ("order", "order_recipes", "class_index", "tie", "data")),
    "architecture": (("model", "facts"), ("damage",)),
    "formula": (("formula", "implements"), ()),
    "process": (("predicate",), ("args",)),
    "explanation": (("tested_by",), ()),
    "figure": (("shows",), ("epochs", "images", "stages")),
    "protocol": (("stated",), ("code", "damage")),
}  # fmt: skip
"""Kind: the keys it must have besides the common ones, and those it may have."""

_KIND_TYPES = {
    kind: {key: _KEYS[key] for key in (*_COMMON, *required, *optional)}
    for kind, (required, optional) in _KIND_KEYS.items()
}

_ROLE_KEYS: dict[str, _Type] = {
    "role": _TEXT, "what": _TEXT, "classes": _COUNT, "train": _COUNT, "val": _COUNT, "images": _TEXT,
    "layout": _TEXTS, "known": _TEXT, "stated_in": _PLACES, "note": _TEXT,
}  # fmt: skip
_COLOUR_KEYS: dict[str, _Type] = {
    "index": _INDEX, "name": _TEXT, "colour": _TEXT, "known": _TEXT,
    "rgb": _Type("three whole numbers from 0 to 255", _list_of(lambda i: _is_int(i) and 0 <= i <= 255, 3, 3)),
}  # fmt: skip
_SCORE_KEYS: dict[str, _Type] = {
    "metric": _TEXT, "classes": _INDICES, "rule": _TEXT, "prints": _TEXTS, "printed_in": _PLACES,
    "known": _TEXT,
}  # fmt: skip
_OPTIONAL_FACTS = ("val", "images", "stated_in", "note")


# Reading ----------------------------------------------------------------------------------------------


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a claims file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:  # also numbers and brackets beyond all measure
        raise InputError(f"{path}: not TOML: {error}; mend that place") from error


def _ledger(document: dict[str, Any], file: str) -> Ledger:
    _known_keys(document, ("report", "claim"), file)
    head = _only(document.get("report"), file, "[report]")
    types = {"id": _SLUG, "title": _TEXT, "year": _COUNT, "recipes": _TEXT}
    _check_types(head, types, ("id", "title"), f"{file}: [report]")
    claims: dict[str, Claim] = {}
    for position, table in enumerate(_several(document.get("claim"), file, "[[claim]]"), 1):
        claim = _claim(table, head["id"], file, position)
        if claim.id in claims:
            raise InputError(f"{file}: {claim.id}: id is used twice; give one of the two another")
        claims[claim.id] = claim
    ledger = Ledger(
        head["id"], head["title"], head.get("year"), tuple(claims.values()), file, head.get("recipes")
    )
    for claim in ledger.claims:
        _check_references(claim, claims, file)
    return ledger


def _claim(table: dict[str, Any], report: str, file: str, position: int) -> Claim:
    where = f"{file}: {table['id'] if _is_slug(table.get('id')) else f'claim {position}'}"
    kind = table.get("kind")
    if kind is None:
        _check_types(table, _KEYS, _REQUIRED, where)
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{where}: unknown kind {kind!r} ({hint(kind, KINDS)})")
    types, (required, _) = _KIND_TYPES[kind], _KIND_KEYS[kind]
    for key in table:
        if key not in types and key in _KEYS:
            raise InputError(f"{where}: key {key!r} is not of kind {kind!r} (valid: {', '.join(types)})")
    _check_types(table, types, (*_REQUIRED, *required), where)
    if not table["id"].startswith(f"{report}-"):
        raise InputError(f"{where}: id does not start with the report's, {report + '-'!r}; rename it")
    if table.get("illegible", False) != ("illegible_why" in table):
        raise InputError(f"{where}: 'illegible = true' and 'illegible_why' go together; give both or none")
    if kind in _CHECKS:
        _CHECKS[kind](table, where)
    values = {key: _frozen(value) for key, value in table.items() if key != "line"}
    lines = table["line"] if isinstance(table["line"], list) else [table["line"]]
    return Claim(report=report, lines=tuple(lines), **values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _fact_tables(document: dict[str, Any], name: str, types: dict[str, _Type]) -> list[dict[str, Any]]:
    """The tables of one name in the data file, checked; a single one counts as a list of one."""
    found = document.get(name)
    tables = _several([found] if isinstance(found, dict) else found, DATA_FILE, f"[{name}]")
    for position, table in enumerate(tables, 1):
        where = f"{DATA_FILE}: {table.get('role') or table.get('name') or f'{name} {position}'}"
        _check_types(table, types, [key for key in types if key not in _OPTIONAL_FACTS], where)
    return [{key: _frozen(value) for key, value in table.items()} for table in tables]


# Checks -----------------------------------------------------------------------------------------------


def _check_types(
    table: dict[str, Any], types: Mapping[str, _Type], required: Sequence[str], where: str
) -> None:
    """Every key known, every needed one there, every value of its type and among its choices."""
    _known_keys(table, types, where)
    for key in required:
        if key not in table:
            raise InputError(f"{where}: missing key {key!r}; add {types[key].said}")
    for key, value in table.items():
        if not types[key].holds(value):
            raise InputError(f"{where}: {key} is {value!r}; expected {types[key].said}")
        if key in CHOICES and value not in CHOICES[key]:
            raise InputError(f"{where}: unknown {key} {value!r} ({hint(value, CHOICES[key])})")


def _known_keys(table: Mapping[str, Any], valid: Iterable[str], where: str) -> None:
    for key in table:
        if key not in valid:
            raise InputError(f"{where}: unknown key {key!r} ({hint(key, valid)})")


def hint(word: object, valid: Iterable[str]) -> str:
    """The nearest valid name, or all of them where none is near."""
    # Imported here: needed only after a mistake, and slow for a command that answers at once.
    from difflib import get_close_matches

    names = list(valid)
    near = get_close_matches(str(word), names, n=1, cutoff=0.6)
    return f"nearest: {near[0]!r}" if near else f"valid: {', '.join(names)}"


def _only(value: Any, file: str, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{file}: no {name} table; add one")
    return value


def _several(value: Any, file: str, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(table, dict) for table in value):
        raise InputError(f"{file}: no {name} tables; add at least one")
    return value


def _check_number(table: dict[str, Any], where: str) -> None:
    _check_class_index(table, where)
    if table["metric"].startswith("delta_") != ("difference_of" in table):
        raise InputError(
            f"{where}: 'difference_of' goes with a delta metric and only there; metric is {table['metric']!r}"
        )
    if ("n" in table) != ("n_from" in table):
        raise InputError(f"{where}: 'n' and 'n_from' go together; give both or none")
    metric, value = METRICS[table["metric"]], table["value"]
    scale = 100 if table["unit"] == "percent" else 1
    if not metric.low * scale <= float(value) <= metric.high * scale:
        raise InputError(
            f"{where}: value {value} is outside {metric.low * scale:g} to {metric.high * scale:g}"
            f" for {table['metric']} in unit {table['unit']!r}; check value and unit"
        )
    if "derived_from" in table:
        first, second = table["derived_from"]
        if abs(float(first) - float(second) - float(value)) > 1e-9:
            raise InputError(f"{where}: value {value} is not {first} - {second}; check 'derived_from'")


def _check_ordering(table: dict[str, Any], where: str) -> None:
    _check_class_index(table, where)
    if ("order" in table) == ("order_recipes" in table):
        raise InputError(f"{where}: needs exactly one of 'order' and 'order_recipes'")
    members = table.get("order") or table["order_recipes"]
    if len(set(members)) != len(members):
        raise InputError(f"{where}: a member of the ordering is named twice; name each once")


def _check_class_index(table: dict[str, Any], where: str) -> None:
    if (table["metric"] == "iou") != ("class_index" in table):
        raise InputError(
            f"{where}: 'class_index' goes with metric 'iou' and only there; metric is {table['metric']!r}"
        )


def _check_process(table: dict[str, Any], where: str) -> None:
    name = table["predicate"]
    if name not in PREDICATES:
        raise InputError(f"{where}: unknown predicate {name!r} ({hint(name, PREDICATES)})")
    args, defaults = table.get("args", {}), PREDICATES[name].__kwdefaults__ or {}
    types = {key: _ARGS[said] for key, said in PREDICATES[name].__annotations__.items() if said in _ARGS}
    _check_types(args, types, [key for key in types if key not in defaults], f"{where}: args of {name}")


def _check_figure(table: dict[str, Any], where: str) -> None:
    stages, epochs = len(table.get("stages", ())), len(table.get("epochs", ()))
    if "stages" in table and stages != epochs:
        raise InputError(f"{where}: 'stages' has {stages} names for {epochs} epochs; name each or none")


_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "number": _check_number,
    "ordering": _check_ordering,
    "process": _check_process,
    "figure": _check_figure,
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
