"""Parse the formulas of the claims files, and evaluate them for given values of their names.

A formula is typed on a keyboard: ``<a, b>`` is a scalar product, ``|a|`` a norm, ``a^b`` a power, and factors
side by side are multiplied. There are ``log p``, ``grad L`` and ``d l_i / d theta``. ``sum_i``,
``sum_{j=1..N}`` and ``sum_{j>=1}`` sum the product that follows. A sum may leave terms out:
``a_1 + ... + a_N`` runs from 1 to N, ``a_N + ...`` from N on. A subscript belongs to the name, unless the
name alone is a function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.errors import InputError

Names = Mapping[str, Any]
Expression = Callable[[Names], Any]

TERMS = 4000
"""How many terms of an infinite sum are added up."""
REMAINDER = 1e-12
"""The most that the other terms may come to: less than a check could see."""

_TOKEN = re.compile(
    r"\s*(\.\.\.|<-|[-+*/^(),;=<>|]|sum_\{[^}]*\}|\d+|[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)?['~]*)"
)
_PREFIXED = ("log", "grad")


@dataclass(frozen=True)
class Statement:
    """One part of a formula: sides joined by ``=`` or ``<-``, each evaluated by itself.

    Attributes:
        target: the first side if it is a single name, else empty.
        sides: all sides, from left to right.
    """

    target: str
    sides: tuple[Expression, ...]


def parse_formula(formula: str) -> tuple[Statement, ...]:
    """Parse the statements of a formula, which are separated by ``;`` or ``,``.

    Raises:
        InputError: the formula is not in this notation.
    """
    return _Parser(formula).statements()


class _Parser:
    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens: list[str] = []
        position = 0
        while formula[position:].strip():
            match = _TOKEN.match(formula, position)
            if match is None:
                raise self.wrong(f"{formula[position:].strip()[:10]!r} cannot be read")
            self.tokens.append(match[1])
            position = match.end()
        self.at = 0
        self.norms = 0  # number of open norms

    def wrong(self, why: str) -> InputError:
        return InputError(f"formula {self.formula!r}: {why}; write it as bench.checks.notation says")

    @property
    def token(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.token
        if not token or (expected and token != expected):
            raise self.wrong(f"expected {expected or 'more'!r}, found {token or 'its end'!r}")
        self.at += 1
        return token

    def statements(self) -> tuple[Statement, ...]:
        statements = [self.statement()]
        while self.token in (",", ";"):
            self.take()
            statements.append(self.statement())
        if self.token:
            raise self.wrong(f"expected its end, found {self.token!r}")
        return tuple(statements)

    def statement(self) -> Statement:
        start = self.at
        sides = [self.sum()]
        target = self.tokens[start] if self.at == start + 1 else ""
        while self.token in ("=", "<-"):
            self.take()
            sides.append(self.sum())
        return Statement(target if target[:1].isalpha() else "", tuple(sides))

    def sum(self) -> Expression:
        terms: list[tuple[int, Expression | None]] = [
            (1, self.term())
        ]  # None stands for terms that are left out
        while self.token in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            if self.token == "...":
                self.take()
                terms.append((sign, None))
            else:
                terms.append((sign, self.term()))
        if any(term is None for _, term in terms):
            return self.with_gaps(terms)

        def value(names: Names) -> Any:
            (_, first), *rest = terms
            result = first(names) if first else 0
            for sign, term in rest:
                assert term is not None
                result = result + term(names) if sign == 1 else result - term(names)
            return result

        return value

    def with_gaps(self, terms: list[tuple[int, Expression | None]]) -> Expression:
        shape = [sign * (0 if term is None else 1) for sign, term in terms]
        first, _, last, tail, *_ = [term for _, term in terms] + [None] * 4
        if shape != [1, 0, 1, 1, 0] or first is None or last is None or tail is None:
            raise self.wrong("terms are left out of a sum that is not a_1 + ... + a_N + b_N + ...")

        def value(names: Names) -> Any:
            same = np.allclose(first(names), last({**names, "N": 1}), rtol=1e-12, atol=0)
            doubt = 0 if same else math.nan  # the first term has to equal the last one for N = 1
            sums = _series(last, names, "N", 1, names["N"]), _series(tail, names, "N", names["N"], None)
            return sums[0] + sums[1] + doubt

        return value

    def term(self) -> Expression:
        factors: list[tuple[str, Expression]] = [("*", self.factor())]
        while self.token in ("*", "/") or self.starts_factor():
            operator = self.take() if self.token in ("*", "/") else "*"
            factors.append((operator, self.factor()))

        def value(names: Names) -> Any:
            result = factors[0][1](names)
            for operator, factor in factors[1:]:
                result = result * factor(names) if operator == "*" else result / factor(names)
            return result

        return value

    def starts_factor(self) -> bool:
        """Whether another factor follows directly; a ``|`` closes an open norm instead."""
        token = self.token
        if token == "|":
            return self.norms == 0
        return token in ("(", "<") or token[:1].isalnum()

    def factor(self) -> Expression:
        if self.token == "-":
            self.take()
            negated = self.factor()
            return lambda names: -negated(names)
        base = self.atom()
        if self.token != "^":
            return base
        self.take()
        exponent = self.factor()
        return lambda names: base(names) ** exponent(names)

    def atom(self) -> Expression:
        token = self.take()
        if token == "(":
            return self.bracketed()
        if token == "<":
            left = self.sum()
            self.take(",")
            right = self.sum()
            self.take(">")
            return lambda names: (left(names) * right(names)).sum()
        if token == "|":
            self.norms += 1
            inside = self.sum()
            self.take("|")
            self.norms -= 1
            return lambda names: (inside(names) ** 2).sum() ** 0.5
        if token.isdecimal():
            return lambda names: float(token)
        if token.startswith("sum_"):
            return self.series(token)
        if token in _PREFIXED:
            argument = self.factor()
            return lambda names: names[token](argument(names))
        if token == "d" and self.token[:1].isalpha():
            return self.derivative()
        if not token[0].isalpha():
            raise self.wrong(f"expected a name or a number, found {token!r}")
        return self.call(token) if self.token == "(" else lambda names: _lookup(names, token)

    def bracketed(self) -> Expression:
        norms, self.norms = self.norms, 0
        inside = self.sum()
        self.take(")")
        self.norms = norms
        return inside

    def call(self, function: str) -> Expression:
        self.take("(")
        norms, self.norms = self.norms, 0
        arguments = [self.sum()]
        while self.token == ",":
            self.take()
            arguments.append(self.sum())
        self.take(")")
        self.norms = norms
        return lambda names: _lookup(names, function)(*(argument(names) for argument in arguments))

    def series(self, token: str) -> Expression:
        body = self.term()
        bounds = re.fullmatch(r"sum_\{(\w+)(?:>=(\d+)|=(\d+)\.\.(\w+))\}|sum_(\w+)", token)
        if bounds is None:
            raise self.wrong(f"{token!r} says not from where to where")
        index, least, first, last, alone = bounds.groups()
        if alone:  # over all entries, counted from 0
            return lambda names: _total(body({**names, alone: i}) for i in range(names["N"]))
        if least:
            return lambda names: _series(body, names, index, int(least), None)
        return lambda names: _series(body, names, index, int(first), _lookup(names, last))

    def derivative(self) -> Expression:
        of = self.take()
        self.take("/")
        self.take("d")
        by = self.take()
        return lambda names: names["d"](_lookup(names, of), _lookup(names, by))


def _lookup(names: Names, name: str) -> Any:
    if name in names:
        return names[name]
    if name.isdecimal():
        return int(name)
    base, _, subscript = name.partition("_")
    if base in names and callable(names[base]):
        return names[base](_lookup(names, subscript))
    raise InputError(f"formula: {name!r} is unknown; known are {', '.join(sorted(names))}")


def _total(values: Any) -> Any:
    first, *rest = values
    for value in rest:
        first = first + value
    return first


def _series(body: Expression, names: Names, index: str, first: int, last: int | None) -> Any:
    """Sum ``body`` over ``index``; nan if an infinite sum does not converge within ``TERMS`` terms.

    The names hold numbers or columns (P, 1) of numbers, so the terms lie side by side.
    """
    count = TERMS if last is None else last - first + 1
    over = np.arange(first, first + count, dtype=np.float64)
    with np.errstate(all="ignore"):  # a sum with a term that is too large does not converge
        values = np.asarray(body({**names, index: over}), np.float64)
    values = values + np.zeros(count)  # a term without the index is the same for all
    total = values.sum(-1, keepdims=True)
    if last is not None:
        return total
    end, before = np.abs(values[..., -1:]), np.abs(values[..., -2:-1])
    # Twice the rest of a geometric series with the last ratio, since the ratio may still rise a little.
    with np.errstate(all="ignore"):
        rest = np.where(end == 0, 0, 2 * end * end / (before - end))
    return np.where((rest >= 0) & (rest <= REMAINDER), total, np.nan)
