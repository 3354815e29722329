"""Every report's results in its own layout, and settings A to E across reports."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from made_up import put
from scipy.stats import binomtest, ttest_rel

from bench.claims.ledger import load_ledgers
from bench.pages import build, layouts
from bench.runs.records import path_of

LEDGERS = load_ledgers()
CLAIMS = {claim.id: claim for ledger in LEDGERS for claim in ledger.claims}
REPORTS = Path(__file__).parents[2].parent / "shared" / "reports"


def render(out: Path, name: str) -> str:
    return build.render(out, LEDGERS)[name]


@pytest.mark.parametrize("report", ["r1", "r2", "r3", "r5"])
def test_every_figure_of_a_report_stands_in_its_own_layout(report: str, tmp_path: Path) -> None:
    laid_out = [claim for one in layouts.TABLES[report] for _, claim in one.rows]
    numbers = {c.id for c in CLAIMS.values() if c.report == report and c.kind == "number" and c.value}
    assert len(laid_out) == len(set(laid_out))
    in_the_text = {"r3-tsne-acc", "r3-gain-supervised", "r3-gain-byol", "r5-finetune-c-epoch1"}
    assert numbers - set(laid_out) <= in_the_text
    page = render(tmp_path, f"reports/{report}.md")
    own = page.split("## The results as the report prints them")[1].split("\n## ")[0]
    assert all(str(CLAIMS[claim].value) in own for claim in laid_out)
    assert "no run yet" in own


@pytest.mark.parametrize("report", ["r1", "r3", "r5"])
def test_headings_and_cells_are_the_reports(report: str) -> None:
    path = REPORTS / f"{report}.txt"
    if not path.exists():
        pytest.skip("the report's text is not beside this checkout")
    text = path.read_text(encoding="utf-8").replace("Mini- ImageNet", "Mini-ImageNet")
    for one in layouts.TABLES[report]:
        assert all(name in text for name in one.columns)
        for names, claim in one.rows:
            if claim != "r1-finetune-c-400":  # from the text below the table
                assert all(name in text for name in names if name)
            value, epoch = CLAIMS[claim].value, CLAIMS[claim].epoch
            printed = one.printed if epoch is not None else "{value}"
            assert printed.format(value=value, epoch=epoch) in text


def test_ours_stands_beside_with_seeds_interval_and_data(tmp_path: Path) -> None:
    for seed, value in enumerate((0.30, 0.35, 0.40)):
        put(tmp_path, "r1-finetune-b", value, seed=seed)
    page = render(tmp_path, "reports/r1.md")
    (line,) = re.findall(r"^\| B \|.*$", page, re.M)
    cells = [cell.strip() for cell in line.split("|")]
    # mean .35, t(.975, 2) 4.3027 · .05/√3 = .1242
    assert cells[4:6] == ["Epoch 137 : 0.5172413793103449", "0.3500 (0.2258–0.4742), 3 seeds"]
    assert "measured, synthetic data, smoke tier" in page
    (other,) = re.findall(r"^\| A \|.*$", page, re.M)
    assert other.split("|")[5].strip() == "–"


def test_models_in_columns_have_ours_in_rows(tmp_path: Path) -> None:
    put(tmp_path, "r1-seg-b", 0.41)
    lines = render(tmp_path, "reports/r1.md").splitlines()
    at = lines.index("| Model | VGG16-FCN32s model (model A) | model B |")
    assert lines[at + 2] == "| mIoU, printed | 0.658093 | epoch 585 : 0.741293 |"
    assert lines[at + 3].startswith("| mIoU, measured, synthetic data, smoke tier | – | 0.4100")
    assert lines[at + 4].startswith("| grade | **not run")


# --- settings A to E


def rows(page: str, pair: str) -> dict[str, list[str]]:
    section = page.split(f"## {pair}\n")[1].split("\n## ")[0]
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in cells[2:]}


def test_every_pair_says_what_is_printed_and_whether_one_split_could_tell(tmp_path: Path) -> None:
    page = render(tmp_path, "settings.md")
    assert re.findall(r"^## (\w) and (\w)$", page, re.M) == [
        (a, b) for i, a in enumerate("ABCDE") for b in "ABCDE"[i + 1 :]
    ]
    found = rows(page, "B and C")
    b, c, n = 210 / 406, 182 / 406, 406
    z = (b - c) / math.sqrt(b * (1 - b) / n + c * (1 - c) / n)
    assert found["R1"][:2] == ["+6.9 (B &gt; C)" if "&gt;" in found["R1"][0] else "+6.9 (B > C)", f"{z:+.2f}"]
    assert found["R1"][2].startswith("yes" if z > 1.96 else "no")
    assert found["R5"][0].startswith("−2.2 (C")
    assert found["R5"][2].startswith("no (needs")
    assert found["R1"][3] == "–"


def test_seeds_are_paired_in_the_printed_order(tmp_path: Path) -> None:
    b, c = (0.30, 0.36, 0.41), (0.41, 0.45, 0.53)
    for seed in range(3):
        put(tmp_path, "r1-finetune-b", b[seed], seed=seed)
        put(tmp_path, "r1-finetune-c", c[seed], seed=seed)
    said = rows(render(tmp_path, "settings.md"), "B and C")["R1"][3]
    p = ttest_rel(b, c).pvalue
    assert p < 0.05
    assert said.startswith("**reversed**")  # R1 prints B over C
    assert f"p = {p:.3g}" in said
    assert "synthetic data" in said


def test_a_single_seed_is_tested_image_by_image(tmp_path: Path) -> None:
    records = {name: put(tmp_path, f"r1-finetune-{name}", 0.5) for name in "bc"}
    targets, ids = np.zeros(20, dtype=int), np.arange(20).astype(str)
    right = {"b": np.arange(20) < 14, "c": np.arange(20) < 3}
    for name, record in records.items():
        path = path_of(tmp_path, record).with_suffix(".npz")
        np.savez_compressed(path, per_image=np.where(right[name], 0, 1), targets=targets, ids=ids)
    said = rows(render(tmp_path, "settings.md"), "B and C")["R1"][3]
    p = binomtest(11, 11).pvalue
    assert said.startswith("**directional**")
    assert f"McNemar p = {p:.3g}" in said


def test_runs_on_different_data_are_never_compared(tmp_path: Path) -> None:
    put(tmp_path, "r1-finetune-b", 0.5)
    put(tmp_path, "r1-finetune-c", 0.5, source="stand-in")
    assert rows(render(tmp_path, "settings.md"), "B and C")["R1"][3] == "–"


def test_every_setting_is_held_against_the_majority_class(tmp_path: Path) -> None:
    for seed, value in enumerate((0.2, 0.3, 0.4)):
        put(tmp_path, "r1-finetune-e", value, seed=seed)  # its majority class has 0.1
    section = render(tmp_path, "settings.md").split("## Each setting and the majority class\n")[1]
    (line,) = [line for line in section.splitlines() if line.startswith("| R1 | E |")]
    # t(.975, 2) 4.3027 · .1/√3 = .2484
    assert "+0.2000 (95 % -0.0484 to +0.4484" in line
    assert "synthetic data" in line
