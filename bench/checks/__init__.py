"""Check deterministic claims: compare what a report prints of networks, formulas and settings with the code.

A check takes a claim and returns two values, the printed one and the found one, which
``grading.grade_exact`` compares. The printed value comes from the claim's own fields. The found value is
built, evaluated or looked up in ``reference``, never copied. ``bench.printed`` checks printed networks.

Importing this imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from bench.checks.baselines import BASELINES
from bench.checks.formulas import FORMULAS
from bench.checks.network_checks import FACTS, facts
from bench.checks.protocols import PROTOCOLS
from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

BY_CLAIM: dict[str, Callable[[Claim], tuple[Any, Any]]] = {
    **BASELINES,
    **FORMULAS,
    **dict.fromkeys(FACTS, facts),
    **PROTOCOLS,
}
"""Claim id → its check."""


@cache
def _claims() -> dict[str, Claim]:
    return {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}


def _finding(claim_id: str) -> tuple[Any, Any]:
    return _of(claim_id, RECIPES.get(_claims()[claim_id].recipe or ""))


@cache
def _of(claim_id: str, recipe: Recipe | None) -> tuple[Any, Any]:
    """Give one check to several claims; it reads the recipe of its claim."""
    return BY_CLAIM[claim_id](_claims()[claim_id])


CHECKS: dict[str, Callable[[], tuple[Any, Any]]] = {
    claim_id: partial(_finding, claim_id) for claim_id in BY_CLAIM
}
"""Claim id → what is printed and what we find, computed once."""
