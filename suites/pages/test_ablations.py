"""The ablations' page: differences against SciPy, what a tier makes of a step, every ablation in a table."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from made_up import put
from scipy.stats import t, ttest_ind

from bench.claims.ledger import load_ledgers
from bench.grading import statistics
from bench.pages import ablation_tables, build
from reference.recipes import RECIPES

LEDGERS = load_ledgers()
R34_32, V16_8 = "ablation-resnet34-fcn32s", "ablation-vgg16-fcn8s"
# rows: VGG16-FCN32s, VGG16-FCN8s, ResNet34-FCN32s, ResNet34-FCN8s; columns: seeds
FIGURES = np.array([[0.41, 0.43, 0.40], [0.45, 0.44, 0.47], [0.44, 0.49, 0.46], [0.55, 0.57, 0.52]])
CORNERS = ("r4-seg-a", V16_8, R34_32, "r4-seg-b")


def lines(out: Path, heading: str) -> dict[str, list[str]]:
    """Cells of the tables below a heading, by their first cell."""
    section = build.render(out, LEDGERS)["findings.md"].split(f"## {heading}")[1].split("\n## ")[0]
    found = [[c.strip() for c in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in found}


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def put_corners(out: Path, **how: str) -> None:
    for slug, row in zip(CORNERS, FIGURES, strict=True):
        for seed, value in enumerate(row):
            put(out, slug, float(value), seed=seed, **how)


def test_the_two_by_two_is_a_contrast_of_independent_groups(tmp_path: Path) -> None:
    """Student's t with the common variance of the cells that a line compares."""
    put_corners(tmp_path)
    cells_of = lines(tmp_path, "R4: is the gain")
    assert (
        cells_of["VGG16"]
        == [  # mean and Student's t over three seeds
            f"{row.mean():.4f} ({row.mean() - h:.4f}–{row.mean() + h:.4f}), 3 seeds; majority class 0.1000"
            for row in FIGURES[:2]
            if (h := t.ppf(0.975, 2) * row.std(ddof=1) / math.sqrt(3))
        ]
    )
    weights = {
        "both, as R4": (-1, 0, 0, 1),
        "ResNet34 for VGG16": (-0.5, -0.5, 0.5, 0.5),
        "FCN8s for FCN32s": (-0.5, 0.5, -0.5, 0.5),
        "interaction": (1, -1, -1, 1),
    }
    gains, errors, nu = {}, {}, {}
    for name, w in weights.items():
        used = FIGURES[np.array(w) != 0]
        gains[name], nu[name] = float(np.dot(w, FIGURES.mean(axis=1))), 2 * len(used)
        errors[name] = math.sqrt(used.var(axis=1, ddof=1).mean() * np.dot(w, w) / 3)
    p = {name: 2 * t.sf(abs(gains[name]) / errors[name], nu[name]) for name in weights}
    adjusted = dict(zip(weights, statistics.holm(list(p.values())), strict=True))
    for name, gain in gains.items():
        (cells,) = (row for first, row in cells_of.items() if first.startswith(name))
        half = t.ppf(0.975, nu[name]) * errors[name]
        assert number(cells[1]) == pytest.approx(gain, abs=5e-5)
        assert [*map(number, cells[2].split(" to "))] == pytest.approx([gain - half, gain + half], abs=5.1e-5)
        assert cells[3] == "3"
        assert float(cells[4]) == pytest.approx(p[name], rel=0.05)
        assert float(cells[5]) == pytest.approx(adjusted[name], rel=0.05)
    assert cells_of["both, as R4 compares them"][0] == "+0.0469"  # 0.710615 less 0.663704


def test_all_seeds_of_both_sides_are_compared(tmp_path: Path) -> None:
    for seed in (0, 1, 2, 3):
        put(tmp_path, "r2-seg-b", 0.5 + 0.03 * seed, seed=seed)
    for seed in (3, 1, 2):  # the fourth is missing
        put(tmp_path, "ablation-r2-seg-b-no-skips", 0.45 + 0.03 * seed + 0.001 * seed**2, seed=seed)
    cells = lines(tmp_path, "R2: the improvement")["pool3 and pool4"]
    with_ = [0.5 + 0.03 * s for s in (0, 1, 2, 3)]
    without = [0.45 + 0.03 * s + 0.001 * s**2 for s in (1, 2, 3)]
    assert number(cells[1]) == pytest.approx(np.mean(with_) - np.mean(without), abs=5e-5)
    assert cells[3] == "3"
    assert float(cells[4]) == pytest.approx(ttest_ind(with_, without).pvalue, rel=0.05)


def test_two_seeds_give_an_interval_and_one_gives_none(tmp_path: Path) -> None:
    sides = ([0.52, 0.62], [0.49, 0.51])
    for seed in range(2):
        put(tmp_path / "two", "r2-seg-b", sides[0][seed], seed=seed)
        put(tmp_path / "two", "r2-seg-b-adam", sides[1][seed], seed=seed)
    cells = lines(tmp_path / "two", "R2: the improvement")["SGD after Adam"]
    test = ttest_ind(*sides)
    assert cells[:2] == ["+0.004", "+0.0700"]
    assert [*map(number, cells[2].split(" to "))] == pytest.approx([*test.confidence_interval()], abs=5.1e-5)
    assert cells[3] == "2"
    assert float(cells[4]) == pytest.approx(test.pvalue, rel=0.05)
    for slug, (first, _) in zip(("r2-seg-b", "r2-seg-b-adam"), sides, strict=True):
        put(tmp_path / "one", slug, first)
    assert lines(tmp_path / "one", "R2: the improvement")["SGD after Adam"][:6] == [
        "+0.004", "+0.0300", "–", "1", "–", "–",
    ]  # fmt: skip


def test_an_undefined_figure_gives_no_difference(tmp_path: Path) -> None:
    for seed in range(3):
        put(tmp_path, "r2-seg-b", None if seed == 1 else 0.5, seed=seed)
        put(tmp_path, "r2-seg-b-adam", 0.4, seed=seed)
    assert lines(tmp_path, "R2: the improvement")["SGD after Adam"][1] == "undefined"


def test_data_and_tiers_never_mix(tmp_path: Path) -> None:
    put_corners(tmp_path)
    put(tmp_path, "r4-seg-a", 0.9, source="stand-in")
    put(tmp_path, "r4-seg-b", 0.9, source="stand-in", tier="gpu")
    page = build.render(tmp_path, LEDGERS)["findings.md"]
    assert "Synthetic data, smoke tier" in page
    assert "tand-in" not in page.replace("stand-in data, or at a", "")


def test_a_step_that_the_tier_scales_away_says_so(tmp_path: Path) -> None:
    """Smoke tier pads by 1 whatever is printed, so both are one training; as printed they are not."""
    for tier, source in (("smoke", "synthetic"), ("full", "official")):
        for slug in ("ablation-fcn32s-no-padding", "r2-seg-a"):
            put(tmp_path, slug, 0.5, tier=tier, source=source)
    page = build.render(tmp_path, LEDGERS)["findings.md"]
    said = re.findall(r"^\| padding 1 .*\| (.*?) \|$", page, re.M)
    assert said == ["", "the same training at smoke tier, which has scaled the step away"]


def test_what_else_a_tier_changes_is_named(tmp_path: Path) -> None:
    put(tmp_path, "r2-seg-b", 0.5)
    put(tmp_path, "r2-seg-a", 0.5)
    (remark,) = lines(tmp_path, "R2: the improvement")["all seven, as R2 compares them"][-1:]
    assert remark.startswith("also unequal at smoke tier: ")
    assert "epochs 8 and 20" in remark
    assert "image_size 464 and 128" in remark.replace("\\", "")
    assert "loss" not in remark  # that is the step


def test_every_ablation_is_a_step() -> None:
    used = {slug for table in ablation_tables.TABLES for step in table.steps for slug in step.weights}
    assert used <= set(RECIPES)
    assert {slug for slug in RECIPES if slug.startswith("ablation-")} <= used
    for table in ablation_tables.TABLES:
        assert len({step.name for step in table.steps}) == len(table.steps)
        for step in table.steps:
            assert math.fsum(step.weights.values()) == 0
        for row in (table.grid or {}).values():
            assert set(row.values()) <= used


def test_a_step_s_weights_are_of_what_differs() -> None:
    """The grid's corners are where their names say; the rest differ by what is said, as printed."""
    grid = next(table.grid for table in ablation_tables.TABLES if table.grid)
    models = {
        (row, column): RECIPES[slug].model for row, cells in grid.items() for column, slug in cells.items()
    }
    assert models == {
        ("VGG16", "FCN32s"): "fcn32s",
        ("VGG16", "FCN8s"): "fcn8s_vgg16",
        ("ResNet34", "FCN32s"): "fcn32s_resnet34",
        ("ResNet34", "FCN8s"): "fcn8s_resnet34",
    }
