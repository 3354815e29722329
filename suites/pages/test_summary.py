"""Verdicts of reports: every grade has its place, shares add up, and sentences say what the rows are."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, rankdata

from bench import audit
from bench.claims.claim import Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import verdict
from bench.grading.grader import GradedClaim
from bench.pages import leaderboard, summary

LEDGERS = load_ledgers()


def row(name: str, kind: str, grade: str, *, reason: str = "", **claim: object) -> GradedClaim:
    made = Claim(report="x", id=f"x-{name}", kind=kind, lines=(1,), text="t", **claim)  # type: ignore[arg-type]
    return GradedClaim(claim=made, grade=grade, reason=reason, sentence="s")


def test_every_grade_has_one_standing() -> None:
    placed = [grade for grades in summary.STANDINGS.values() for grade in grades]
    placed += [f"{grade}{verdict.ON_PUBLIC}" for grade in placed if grade in verdict.OF_NUMBERS]
    assert sorted(placed) == sorted(verdict.GRADES)
    assert all(summary.standing(row("r4-seg-a", "number", grade=grade)) for grade in placed)
    assert list(summary.STANDINGS) == list(summary.STANDING_MEANINGS)


def test_shares_count_every_claim_once(rows: list[GradedClaim]) -> None:
    for report in {row.claim.report for row in rows}:
        own = [row for row in rows if row.claim.report == report]
        shares = summary.shares(own)
        assert {s.kind: s.total for s in shares} == Counter(row.claim.kind for row in own)
        for share in shares:
            assert sum(part.count for part in share.parts) == share.total
        assert sum(part.count for part in summary.parts(own)) == len(own)
        assert Counter({p.label: p.count for p in summary.parts(own)}) == Counter(row.label for row in own)


def test_a_paragraph_says_what_became_of_each_kind() -> None:
    rows = [
        row("a", "number", "reproduced", metric="top1", value="0.5", n=406, n_from="printed"),
        row("b", "number", "contradicted", metric="top1", value="0.9", n=406, n_from="printed"),
        row("c", "ordering", "opposite"),
        row("d", "formula", "not tested", reason="no recipe"),
        row("e", "protocol", "matches"),
    ]
    ledger = Ledger("x", "X", None, tuple(r.claim for r in rows), "x.toml")
    said = " ".join(summary.sentences(ledger, rows, []))
    assert said.startswith(
        "X makes 5 claims; 2 of 2 printed results are tested. 1 of its statements were compared with code"
        " that runs."
    )
    assert "Of its 2 printed figures 1 is reproduced and 1 is contradicted (x-b)." in said
    assert "Its ordering is opposite (x-c)." in said
    assert "Not tested: 1 formula." in said
    assert "The audit of its text finds nothing to answer." in said


def test_nothing_tested_and_nothing_claimed_are_said() -> None:
    alone = [row("a", "number", "not tested", reason="data", metric="miou", value="0.5")]
    ledger = Ledger("x", "X", None, (alone[0].claim,), "x.toml")
    first, second, *_ = summary.sentences(ledger, alone, [])
    assert first == "X makes 1 claim; 0 of 1 printed results are tested."
    assert second.startswith("Its printed figure is not tested: there is no run on the data")
    assert summary.sentences(Ledger("y", "Y", None, (), "y.toml"), alone, []) == [
        "Y makes no claim that is listed here."
    ]


def test_the_headline_counts_printed_results_and_what_is_checked_without_training() -> None:
    """Settings copied and explanations are no results."""
    rows = [
        row("a", "number", "reproduced", value="0.5"),
        row("b", "number", "not tested", reason="data", value="0.9"),
        row("c", "number", "not tested", reason="illegible", value="0.9", illegible=True),
        row("d", "protocol", "matches"),
        row("e", "architecture", "differs"),
        row("f", "explanation", "undecided"),
    ]
    assert summary.headline(rows) == [
        "1 of 2 printed results is tested on the data that they are about: 1 reproduced.",
        "Without training, 2 networks, formulas and settings were compared with code that runs: 1 match, 1"
        " differ.",
    ]
    tested, checked, flagged = summary.tiles(rows)
    assert (tested.value, checked.value, flagged.value) == ("1 / 2", "1 / 2", "0")


def findings_of(findings: list[audit.Finding], report: str) -> list[audit.Finding]:
    return [found for found in findings if report in found.reports]


def test_certain_findings_are_told_in_full_and_no_weak_one(rows: list[GradedClaim]) -> None:
    findings = audit.audit(LEDGERS)
    for ledger in LEDGERS:
        said = " ".join(summary.sentences(ledger, rows, findings))
        against = [f for f in findings if ledger.report in f.reports and f.verdict == "against"]
        firm = [f for f in against if f.strength != "weak"]
        assert f"has {len(firm)} point" in said
        assert f"has {audit.text.points(findings_of(findings, ledger.report))}" in said
        assert audit.paragraph(ledger, findings).startswith(
            f"{ledger.report.upper()} has {audit.text.points(findings_of(findings, ledger.report))}"
        )
        for found in against:
            assert (found.sentence in said) == (found.strength == "certain")


@pytest.mark.parametrize(("n", "noise"), [(406, True), (2500, True), (100_000, False)])
def test_what_a_point_of_accuracy_is_worth_is_computed(n: int, noise: bool) -> None:
    said = summary.noise(n, 0.621)
    exact = binomtest(round(0.621 * n), n).proportion_ci(method="exact")
    assert f"{100 * exact.low:.1f} to {100 * exact.high:.1f} %" in said
    assert f"{n / 100:.0f} images" in said
    assert ("one point of accuracy is noise" in said) == noise
    (apart,) = re.findall(r"must lie ([\d.]+) points", said)
    assert (float(apart) > 1) == noise
    assert abs(float(apart) - 196 * (2 * 0.621 * 0.379 / n) ** 0.5) < 0.06


def test_the_middle_accuracy_of_each_split_is_taken() -> None:
    r5 = next(ledger for ledger in LEDGERS if ledger.report == "r5")
    values = sorted(
        float(c.fraction) for c in r5.claims if c.kind == "number" and c.n == 406 and c.metric == "top1"
    )
    ((n, value),) = summary.accuracies(r5.claims)
    assert (n, value) == (406, values[(len(values) - 1) // 2])


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, float("nan")]), min_size=1))
def test_ranks_are_scipy_s_and_what_is_undefined_comes_last(values: list[float]) -> None:
    entries = [
        leaderboard.Entry(
            name=str(position), title="", printed=False, value=value, shown="", interval="", seeds=1,
            standing="", graded=False,
        )
        for position, value in enumerate(values)
    ]  # fmt: skip
    ranked = leaderboard._ranked(entries)
    known = [(int(rank), entry.value) for rank, entry in ranked if rank != "–"]
    assert [rank for rank, _ in known] == list(rankdata([-value for _, value in known], method="min"))
    assert [rank for rank, _ in ranked][len(known) :] == ["–"] * (len(values) - len(known))
