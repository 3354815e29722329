"""What is known of the data sets: classes, counts, palettes and scoring rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.claims.claim import CHOICES, Claim, Ledger
from bench.claims.schema import (
    CLAIMS,
    COUNT,
    DATA_FILE,
    INDEX,
    INDICES,
    TEXT,
    TEXTS,
    Type,
    check_types,
    frozen,
    is_int,
    is_slug,
    known_keys,
    list_of,
    read_toml,
    several,
)


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


class KnownData(NamedTuple):
    """What is known of a claim's data set: how many classes, which of them a mean runs over, split sizes."""

    classes: int | None
    scored: tuple[int, ...]
    splits: Mapping[str, int]


UNKNOWN_DATA = KnownData(None, (), {})


def known_data(claim: Claim, ledger: Ledger, facts: DataFacts) -> KnownData:
    """What the claims file declares of a claim's data set, or what is known of a built-in one.

    Nothing is known of data drawn by code in place of a built-in set.
    """
    for declared in ledger.data:
        if declared.name == claim.data:
            every = tuple(range(declared.classes or 0))
            return KnownData(declared.classes, declared.scored or every, declared.splits)
    role = next((role for role in facts.roles if role.role == claim.data), None)
    if role is None or claim.source != "official":
        return UNKNOWN_DATA
    scored = facts.score.classes if role.role == "landcover" else tuple(range(role.classes))
    splits = {"val": role.val, "train": role.train}
    return KnownData(role.classes, scored, {name: n for name, n in splits.items() if n})


def load_data_facts() -> DataFacts:
    """What is known of the data sets, the mask colours and the course's score.

    Raises:
        InputError: as ``load_ledger``.
    """
    document = read_toml(CLAIMS / DATA_FILE)
    known_keys(document, ("data", "palette", "score"), DATA_FILE)
    return DataFacts(
        roles=tuple(DataRole(**table) for table in _fact_tables(document, "data", _ROLE_KEYS)),
        palette=tuple(PaletteColour(**table) for table in _fact_tables(document, "palette", _COLOUR_KEYS)),
        score=ScoreRule(**_fact_tables(document, "score", _SCORE_KEYS)[0]),
    )


_PLACES = Type(
    'a list of places such as ["r4", 130]',
    list_of(
        lambda value: isinstance(value, list) and len(value) == 2 and is_slug(value[0]) and is_int(value[1])
    ),
)
_ROLE_KEYS: dict[str, Type] = {
    "role": TEXT, "what": TEXT, "classes": COUNT, "train": COUNT, "val": COUNT, "images": TEXT,
    "layout": TEXTS, "known": TEXT, "stated_in": _PLACES, "note": TEXT,
}  # fmt: skip
_COLOUR_KEYS: dict[str, Type] = {
    "index": INDEX, "name": TEXT, "colour": TEXT, "known": TEXT,
    "rgb": Type("three whole numbers from 0 to 255", list_of(lambda i: is_int(i) and 0 <= i <= 255, 3, 3)),
}  # fmt: skip
_SCORE_KEYS: dict[str, Type] = {
    "metric": TEXT, "classes": INDICES, "rule": TEXT, "prints": TEXTS, "printed_in": _PLACES,
    "known": TEXT,
}  # fmt: skip
_OPTIONAL_FACTS = ("val", "images", "stated_in", "note")


def _fact_tables(document: dict[str, Any], name: str, types: dict[str, Type]) -> list[dict[str, Any]]:
    """The tables of one name in the data file, checked; a single one counts as a list of one."""
    value = document.get(name)
    tables = several([value] if isinstance(value, dict) else value, DATA_FILE, f"[{name}]")
    for position, table in enumerate(tables, 1):
        needed = [key for key in types if key not in _OPTIONAL_FACTS]
        location = f"{DATA_FILE}: {table.get('role') or table.get('name') or f'{name} {position}'}"
        check_types(table, types, needed, location, choices=CHOICES)
    return [{key: frozen(value) for key, value in table.items()} for table in tables]
