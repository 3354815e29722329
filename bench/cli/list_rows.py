"""Rows of the listing commands. Torch is never imported here, so that they answer at once."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import reference
from bench.claims.ledger import load_ledgers
from bench.claims.model_names import model_builders
from bench.runs.records import Record
from reference.outside import is_import_path
from reference.recipes import RECIPES

if TYPE_CHECKING:
    from bench.grading.measured import Measured
    from bench.grading.reported import ReportedGrade

Rows = list[dict[str, object]]


def recipes() -> Rows:
    """One row a recipe, with the figure its report prints."""
    claims = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}
    return [
        {
            "recipe": slug,
            "what": recipe.title,
            "data": recipe.data,
            "model": recipe.model,
            "printed": claims[slug].value if slug in claims else None,
            "metric": claims[slug].metric if slug in claims else None,
            "epochs": recipe.epochs,
            "assumptions": len(recipe.assumptions),
        }
        for slug, recipe in RECIPES.items()
    ]


def claims() -> Rows:
    """One row a claim; a value is the printed string."""
    return [
        {
            "claim": claim.id,
            "kind": claim.kind,
            "metric": claim.metric,
            "value": claim.value,
            "unit": claim.unit,
            "n": claim.n,
            "where": claim.locator,
            "text": claim.text,
        }
        for ledger in load_ledgers()
        for claim in ledger.claims
    ]


def others() -> Rows:
    """One row a figure of another report; a value is the printed string."""
    from bench.claims.survey import COLUMNS, load_others

    shown = [column for column in COLUMNS if column not in ("class_iou", "note", "where", "checked")]
    return [{column: getattr(figure, column) for column in shown} for figure in load_others()]


def models() -> Rows:
    """One row a network, read from the source of the registry."""
    folder = Path(reference.__file__).parent / "models"
    docstrings = {
        node.name: (path.name, (ast.get_docstring(node) or "").partition("\n")[0])
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    rows: Rows = []
    for name, builder in model_builders().items():
        file, what = docstrings.get(builder, ("", ""))
        used = [slug for slug, recipe in RECIPES.items() if recipe.model == name]
        rows.append({"model": name, "file": f"reference/models/{file}", "what": what, "recipes": used})
    elsewhere = dict.fromkeys(r.model for r in RECIPES.values() if is_import_path(r.model))
    for name in elsewhere:
        used = [slug for slug, recipe in RECIPES.items() if recipe.model == name]
        rows.append({"model": name, "file": None, "what": "from elsewhere", "recipes": used})
    return rows


def runs(run_records: Sequence[Record]) -> Rows:
    """One row a record."""
    return [
        {
            "run": record.name,
            "recipe": record.slug,
            "tier": record.tier,
            "data": record.data["source"],
            "seed": record.seed,
            "status": record.status,
            "metric": primary,
            "value": None if primary is None else record.metric(primary),
        }
        for record in run_records
        for primary in [record.metrics.get(record.selected, {}).get("primary")]
    ]


def grades(out: Path, run_records: Sequence[Record], asked: Sequence[str]) -> Rows:
    """One row a claim: its grade from the records in a folder, what the audit flags, what others got.

    Args:
        asked: ids of claims and reports; all claims if none.
    """
    from bench import audit
    from bench.grading import alignment, grader, kept_checks, others_survey, reported, reproductions

    ledgers = load_ledgers()
    compared = others_survey.gather(ledgers)
    wanted = {
        claim.id
        for ledger in ledgers
        for claim in ledger.claims
        if not asked or ledger.report in asked or claim.id in asked
    }
    with kept_checks.kept():
        rows = grader.grade_all(
            ledgers,
            run_records,
            alignment_green=alignment.is_green(out),
            folder=out,
            flags=audit.flags(audit.audit(ledgers)),
            only=wanted,
        )
    by_user = {grade.claim.id: grade for grade in reported.grade_reported(ledgers, out)}
    by_others: dict[str, list[str]] = {}
    for theirs in reproductions.kept_verdicts(out):
        by_others.setdefault(theirs.claim, []).append(theirs.line)
    return [
        {
            "claim": row.claim.id,
            "printed": row.claim.value,
            "quote": row.claim.quote,
            "verdict": row.label,
            "flags": row.flags,
            "measured": _mean_text(row.measured, row.claim.unit) if row.measured else None,
            "why": row.sentence,
            "rehearsal": row.rehearsal or None,
            "others": compared.sentences(row.claim),
            **({reported.BY_THE_USER: _by_user(by_user.get(row.claim.id))} if by_user else {}),
            **({reproductions.BY_OTHERS: by_others.get(row.claim.id)} if by_others else {}),
        }
        for row in rows
        if row.claim.id in wanted
    ]


def _by_user(grade: ReportedGrade | None) -> str | None:
    return None if grade is None else f"{grade.verdict.grade}; {grade.verdict.sentence}"


def _mean_text(measured: Measured, unit: str | None) -> str:
    from bench.grading.verdict import in_unit

    return f"{in_unit(measured.mean, unit)} ({measured.group.named}, k = {measured.k})"
