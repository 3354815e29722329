"""The claims of the MNIST-1D report: every printed figure, its place, and what decides it."""

from __future__ import annotations

import pytest

from bench.claims.claim import Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.claims.predicates import PREDICATES
from reference.recipes import RECIPES

TABLE = {
    "logistic": ("32", "32"),
    "mlp": ("68", "68"),
    "cnn": ("94", "56"),
    "gru": ("91", "57"),
    "human": ("96", "30"),
}
NOTEBOOK = {
    "logistic": ("31.5", "31.5"),
    "mlp": ("65.1", "66.0"),
    "cnn": ("92.3", "58.7"),
    "gru": ("89.1", "53.3"),
}
WITHOUT_TRAINING = {"mnist1d-knn": "59.6", "mnist1d-linear": "32.8"}
PARAMETERS = {"logistic": "410", "mlp": "15,210", "cnn": "5,210", "gru": "5,134"}
PER_KIND = {
    "number": 20, "ordering": 6, "architecture": 4, "process": 4, "timing": 1, "explanation": 1,
    "formula": 0, "figure": 0, "protocol": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return next(ledger for ledger in load_ledgers() if ledger.report == "mnist1d")


def numbers(ledger: Ledger) -> dict[str, Claim]:
    return {claim.id: claim for claim in ledger.of_kind("number")}


def test_the_file_is_whole(ledger: Ledger) -> None:
    assert {kind: len(ledger.of_kind(kind)) for kind in PER_KIND} == PER_KIND
    assert all(claim.place and not claim.lines for claim in ledger.claims)
    assert len(ledger.claims) == sum(PER_KIND.values())


def test_every_printed_number_is_there_digit_for_digit(ledger: Ledger) -> None:
    expected = dict(WITHOUT_TRAINING)
    for suffix, printed in (("", TABLE), ("-notebook", NOTEBOOK)):
        for name, (plain, shuffled) in printed.items():
            expected |= {f"mnist1d-{name}{suffix}": plain, f"mnist1d-shuffled-{name}{suffix}": shuffled}
    assert {claim.id: claim.value for claim in numbers(ledger).values()} == expected
    assert {claim.unit for claim in numbers(ledger).values()} == {"percent"}


def test_numbers_name_their_data_their_size_and_their_runs(ledger: Ledger) -> None:
    for claim in numbers(ledger).values():
        assert claim.data == ("mnist1d-shuffled" if "shuffled" in claim.id else "mnist1d")
        if claim.id.endswith("human"):
            assert claim.recipe is claim.n is None
        else:
            assert (claim.n, claim.n_from) == (1000, "printed")
        if claim.id.endswith("-notebook"):
            assert claim.selection == "last step"
            assert claim.recipe == claim.id.removesuffix("-notebook")
        elif claim.recipe is not None:
            assert claim.id == claim.recipe
            assert claim.unstated == ("the number of runs behind the figure",)
        if claim.recipe is not None:
            assert RECIPES[claim.recipe].data == claim.data


def test_a_place_names_the_tables_row_and_column(ledger: Ledger) -> None:
    assert ledger.claim("mnist1d-cnn").locator == "mnist1d:README table: MNIST-1D × CNN"
    places = [claim.place for claim in numbers(ledger).values()]
    assert len(set(places)) == len(places)
    assert all(
        ("shuffled" in (claim.place or "")) == ("shuffled" in claim.id) for claim in numbers(ledger).values()
    )


def test_parameter_counts_are_as_printed(ledger: Ledger) -> None:
    found = {claim.recipe: claim.facts for claim in ledger.of_kind("architecture")}
    assert found == {f"mnist1d-{name}": (f"{count} parameters",) for name, count in PARAMETERS.items()}
    assert all(RECIPES[c.recipe or ""].model == c.model for c in ledger.of_kind("architecture"))


def test_orderings_are_those_of_the_printed_values(ledger: Ledger) -> None:
    orders = {claim.id: claim.order for claim in ledger.of_kind("ordering")}
    assert orders["mnist1d-order"] == tuple(f"mnist1d-{name}" for name in ("cnn", "gru", "mlp", "logistic"))
    for order in orders.values():
        values = [ledger.claim(name).fraction for name in order]
        assert values == sorted(values, reverse=True)


def test_every_recipe_has_claims_and_the_timing_names_two(ledger: Ledger) -> None:
    recipes = {slug for slug, recipe in RECIPES.items() if recipe.report == "mnist1d"}
    assert {claim.recipe for claim in ledger.claims if claim.recipe} == recipes
    timing = ledger.claim("mnist1d-gru-time")
    assert (timing.ratio_of, timing.least) == (("mnist1d-gru", "mnist1d-cnn"), "10")


@pytest.mark.parametrize(
    ("name", "curve", "expected"),
    [
        ("reaches", [0.5, 0.98, 0.995], True),
        ("reaches", [0.5, 0.996, 0.9949], False),
        ("reaches", [], None),
        ("reaches", [float("nan")], None),
        ("stays_below", [0.3, 0.4], True),
        ("stays_below", [0.3, 0.995], False),
        ("stays_below", {3: 1.0, 5: 0.2}, True),
    ],
)
def test_predicates_of_a_level(name: str, curve: object, expected: bool | None) -> None:
    arguments = {"curve": "train_top1", "epoch": "last", ("least" if name == "reaches" else "most"): 0.995}
    judged = PREDICATES[name]({"train_top1": curve}, **arguments)
    assert judged.holds is expected
    assert judged.why
    assert PREDICATES[name]({}, **arguments).holds is None
