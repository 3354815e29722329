"""What the README shows of results is what the published records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pages import page_picture
from bench.pages.readme_block import BEGIN, END, audit_block, with_block, with_blocks
from reference.errors import InputError

ROOT = Path(__file__).parents[2]


def test_the_blocks_are_those_of_the_records_and_of_the_audit() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_blocks(readme, ROOT) == readme
    assert readme.count("| logistic regression |") == 1


def test_the_audit_s_block_holds_what_the_command_finds() -> None:
    """The mean of 0.655, 0.560 and 0.702 is 0.639; 74.33 % of 500 images is no whole number."""
    said = audit_block(ROOT)
    assert "average 0.63900, not the printed 0.657" in said
    assert "74.33 % (top-1 (%)) is no whole number of 500 images" in said


def test_the_picture_shows_what_the_page_says_now() -> None:
    """Renew it with ``python -m bench.pages.readme_block``."""
    page = (ROOT / "results" / "index.html").read_text(encoding="utf-8")
    assert page_picture.said_by(ROOT / "docs" / "page.png") == page_picture.first_screen(page)
    assert page_picture.first_screen(page) != page_picture.first_screen(page.replace("reproduced", "seen"))


def test_only_what_stands_between_the_marks_changes() -> None:
    assert with_block(f"a {BEGIN} old {END} b", "new") == f"a {BEGIN}\n\nnew\n\n{END} b"


@pytest.mark.parametrize("readme", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_lost_marks_are_said(readme: str) -> None:
    with pytest.raises(InputError, match=r"README\.md: expected the marks"):
        with_block(readme, "new")
