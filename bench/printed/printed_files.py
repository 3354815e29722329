"""Reads the files of printed networks and compares each with a network of ``reference.models``.

A report prints a network as torch's ``repr`` shows it. ``claims/listings/<claim>.toml`` holds one row for
each printed layer, read as literally as the scan allows, and declares the damage that print and scan did. A
listing is exact if declared damage explains every difference from our network and all of it occurs.

Reading and comparing is work on text: only building our network imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.claims.schema import (
    CLAIMS,
    TABLE,
    Type,
    check_types,
    frozen,
    is_text,
    list_of,
    parse_toml,
    table_of,
    types_of,
)
from bench.printed.comparison import Damage, compare, miscounted
from bench.printed.printed_layers import PrintedLayer, join_path, read_row, rows_of
from bench.printed.runnable import chain_check
from reference.errors import InputError

LISTINGS = CLAIMS / "listings"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of our networks, and the path under which the listing prints it."""

    model: str
    num_classes: int
    prefix: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PrintedListing:
    """A printed network.

    Attributes:
        networks: ours, in the order in which the listing has them.
        names: printed paths that have another name in our network, since it serves several reports.
        rows: as printed.
        damage: declared damage, and where ours is written differently.
    """

    claim: str
    networks: tuple[Network, ...]
    names: Mapping[str, str]
    rows: tuple[PrintedLayer, ...]
    damage: tuple[Damage, ...]


def load(claim: str) -> PrintedListing:
    """Return the packaged listing of an architecture claim.

    Raises:
        InputError: there is none, the scan is illegible, or its file is wrong.
    """
    path = LISTINGS / f"{claim}.toml"
    if not path.is_file():
        illegible = _claim(claim).illegible_why
        raise InputError(f"{claim}: {f'illegible: {illegible}' if illegible else 'prints no network'}")
    return read_listing(path.read_text(encoding="utf-8"), path.name)


def read_listing(text: str, file: str) -> PrintedListing:
    """Return the listing that the text of its file states.

    Raises:
        InputError: not TOML, or a key that is unknown, missing or of the wrong value.
    """
    document = parse_toml(text, file)
    check_types(document, _TABLES, ("network", "listing"), file)
    tables = {name: document.get(name, []) for name in ("network", "damage", "ours")}
    try:
        rows = tuple(read_row(line) for line in document["listing"]["rows"].strip().splitlines())
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    return PrintedListing(
        claim=file.removesuffix(".toml"),
        networks=tuple(Network(**_checked(Network, table, file)) for table in tables["network"]),
        names=document.get("names", {}),
        rows=rows,
        damage=tuple(
            _damage(table, file, ours=name == "ours") for name in ("damage", "ours") for table in tables[name]
        ),
    )


_KINDS = ("argument", "type", "path", "cut", "surplus", "missing")


def _damage(table: dict[str, Any], file: str, *, ours: bool) -> Damage:
    table = _checked(Damage, table, file)
    damage = Damage(**{**table, "ours": ours})
    context = f"{file}: {damage.why}"
    if len(damage.lines) not in (0, 2):
        raise InputError(f"{context}: lines are {list(damage.lines)}; expected the first and the last one")
    if damage.at == "*" and not damage.lines:
        raise InputError(f"{context}: found neither 'at' nor 'lines'; say where the damage is")
    if (damage.what == "argument") != (damage.argument is not None):
        raise InputError(f"{context}: 'argument' goes with what = 'argument' and only there")
    if damage.what in ("argument", "type") and damage.printed is None:
        raise InputError(f"{context}: no 'printed'; say what is printed instead of what is meant")
    if ours and not (damage.what == "missing" or damage.argument == "inplace"):
        raise InputError(f"{context}: [[ours]] may leave out idle layers and change inplace, nothing else")
    return damage


_TABLES: dict[str, Type] = {
    "network": Type("[[network]] tables", list_of(TABLE.holds, 1)),
    "listing": Type("a table with rows", table_of(is_text, rows=is_text)),
    "names": Type("a table of texts", table_of(is_text)),
    "damage": Type("[[damage]] tables", list_of(TABLE.holds)),
    "ours": Type("[[ours]] tables", list_of(TABLE.holds)),
}


def _checked(of: type[Network | Damage], table: dict[str, Any], file: str) -> dict[str, Any]:
    table = {key: frozen(value) for key, value in table.items()}
    types, required = types_of(of, without=("ours",))
    check_types(table, types, required, file, choices={"what": _KINDS})
    return table


def built(listing: PrintedListing) -> list[PrintedLayer]:
    """Return the layers that the listing would print if it came from our networks."""
    # Imported here: reading and comparing rows needs no torch.
    from reference.models import build
    from reference.models.shapes import shapes_only

    rows: list[PrintedLayer] = []
    for network in listing.networks:
        with shapes_only():
            model = build(network.model, num_classes=network.num_classes, **network.args)
        rows += [replace(row, path=join_path(network.prefix, row.path)) for row in rows_of(model)]
    return rows


def rows_under_our_names(listing: PrintedListing) -> list[PrintedLayer]:
    """Return the listing's layers under the names that our networks give them."""
    return [replace(row, path=listing.names.get(row.path, row.path)) for row in listing.rows]


@cache
def check_printed_network(claim: str) -> tuple[str, str]:
    """Compare a claim's printed network with ours: what is printed, what we find; equal where they agree.

    They agree if declared damage explains every difference.

    Raises:
        InputError: as ``load``.
    """
    return check_listing(load(claim))


def check_listing(listing: PrintedListing) -> tuple[str, str]:
    """Compare a listing with our network, as ``check_printed_network`` does with a packaged one."""
    rows = rows_under_our_names(listing)
    differences = compare(rows, built(listing), listing.damage)
    printed = f"{len(rows)} rows of {' and '.join(network.model for network in listing.networks)}"
    wrong = [str(d) for d in differences if d.damage is None] + miscounted(differences, listing.damage)
    if not wrong:
        return printed, printed
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    broken = [f"; as printed it cannot run: {one}" for one in chain_check(rows)[:1]]
    return printed, "".join([wrong[0], more, *broken])


def _claim(claim_id: str) -> Claim:
    for ledger in load_ledgers():
        for claim in ledger.claims:
            if claim.id == claim_id:
                return claim
    raise InputError(f"{claim_id}: no such claim")


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "r1-resnet50-listing": partial(check_printed_network, "r1-resnet50-listing"),
    "r1-seg-b-listing": partial(check_printed_network, "r1-seg-b-listing"),
    "r2-classify-listing": partial(check_printed_network, "r2-classify-listing"),
    "r2-seg-a-listing": partial(check_printed_network, "r2-seg-a-listing"),
    "r2-seg-b-listing": partial(check_printed_network, "r2-seg-b-listing"),
    "r4-classify-listing": partial(check_printed_network, "r4-classify-listing"),
    "r4-seg-a-listing": partial(check_printed_network, "r4-seg-a-listing"),
    "r4-seg-b-listing": partial(check_printed_network, "r4-seg-b-listing"),
    "r5-seg-a-listing": partial(check_printed_network, "r5-seg-a-listing"),
}
"""Claim → what is printed and what we find; equal where the claim is exact."""
