"""What the README shows of results is what the published records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pages.readme_block import BEGIN, END, block, with_block
from reference.errors import InputError

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_published_records() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_block(readme, block(ROOT / "results")) == readme
    assert readme.count("| logistic regression |") == 1


def test_only_what_stands_between_the_marks_changes() -> None:
    assert with_block(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\n\nnew\n\n{END} b"


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_lost_marks_are_said(readme: str) -> None:
    with pytest.raises(InputError, match=r"README\.md: expected the marks"):
        with_block(readme, "new")
