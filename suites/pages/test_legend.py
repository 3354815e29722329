"""The colours of grades are those of the legend, as a browser computes them from the stylesheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

COLOURS = """
() => [...document.querySelectorAll('.grade')].map(grade => {
  const standing = [...grade.classList].find(name => name.startsWith('g-')).slice(2);
  const swatch = document.querySelector(`.legend .swatch.s-${standing}:not(.elsewhere)`);
  const colour = (element, part) => getComputedStyle(element, part).backgroundColor;
  return [standing, colour(grade, '::before'), swatch && colour(swatch)];
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_grade_has_its_legends_colour(chromium: Any, out: Path, scheme: str) -> None:
    """Every grade on the page, in both colour schemes; no two standings share a colour."""
    context = chromium.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto((out / "index.html").as_uri())
    found = {tuple(entry) for entry in tab.evaluate(COLOURS)}
    context.close()
    assert len({standing for standing, _, _ in found}) >= 3
    assert [entry for entry in found if entry[1] != entry[2]] == []
    assert len({colour for _, colour, _ in found}) == len({standing for standing, _, _ in found})
