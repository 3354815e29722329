"""The table of CONTRIBUTING that says where things are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<what>[^|]+) \| `(?P<file>[^`]+\.py)`: (?P<names>.+) \|$", re.MULTILINE)


def test_everything_is_where_the_table_says() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = list(ROW.finditer(text))
    assert len(rows) == 7
    for row in rows:
        source = (ROOT / row["file"]).read_text(encoding="utf-8")
        for name in re.findall(r"`([^`]+)`", row["names"]):
            assert name in source, f"{row['what']}: {row['file']} holds no {name}"


def test_one_slug_leads_from_claim_to_row() -> None:
    assert 'id = "r4-seg-b"' in (ROOT / "bench/claims/r4.toml").read_text(encoding="utf-8")
    assert 'slug="r4-seg-b"' in (ROOT / "reference/recipes/r4.py").read_text(encoding="utf-8")
    assert any((ROOT / "results/records/r4-seg-b").glob("*.json"))
    assert "r4-seg-b" in (ROOT / "results/reports/r4.md").read_text(encoding="utf-8")
