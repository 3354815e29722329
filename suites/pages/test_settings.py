"""Every report's results in its own layout, and settings A to E across reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from made_up import put
from scipy.stats import binomtest, mannwhitneyu

from bench.claims.ledger import load_ledgers
from bench.pages import build, layouts

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
    assert own.count("not tested: data") == len(laid_out)


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


def test_ours_stands_beside_with_seeds_and_interval(tmp_path: Path) -> None:
    official = {"tier": "full", "source": "official"}
    for seed, value in enumerate((0.50, 0.55, 0.60)):
        put(tmp_path, "r1-finetune-a", value, seed=seed, **official)
        put(tmp_path, "r1-finetune-d", value, seed=seed)
    page = render(tmp_path, "reports/r1.md")
    (line,) = re.findall(r"^\| A \|.*$", page, re.M)
    cells = [cell.strip() for cell in line.split("|")]
    # mean .55, t(.975, 2) 4.3027 · .05/√3 = .1242
    assert cells[4:6] == [
        "Epoch 40 : 0.2438423645320197",
        "0.5500 (0.4258–0.6742), 3 seeds; majority class 0.1000",
    ]
    (rehearsed,) = re.findall(r"^\| D \|.*$", page, re.M)
    assert rehearsed.split("|")[5].strip() == "–"  # a rehearsal stands in no row with what is printed


def test_models_in_columns_have_ours_in_rows(tmp_path: Path) -> None:
    put(tmp_path, "r1-seg-b", 0.41, tier="full", source="official")
    lines = render(tmp_path, "reports/r1.md").splitlines()
    at = lines.index("| Model | VGG16-FCN32s model (model A) | model B |")
    assert lines[at + 2] == "| mIoU, printed | 0.658093 | epoch 585 : 0.741293 |"
    assert lines[at + 3].startswith("| mIoU, measured | – | 0.4100")
    assert lines[at + 4].startswith("| verdict | **not tested: data** | **undecided**")


# --- settings A to E


def matrix(page: str, report: str) -> dict[str, dict[str, str]]:
    section = page.split(f"## Settings A to E: {report}\n")[1].split("\n## ")[0]
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    heads = lines[0][1:]
    return {row[0].strip("*"): dict(zip(heads, row[1:], strict=True)) for row in lines[2:]}


def test_one_matrix_a_report_holds_what_is_printed(tmp_path: Path) -> None:
    page = render(tmp_path, "findings.md")
    assert re.findall(r"^## Settings A to E: (R\d)$", page, re.M) == ["R1", "R3", "R5"]
    found = matrix(page, "R1")
    assert list(found) == list("ABCDE")
    assert found["B"]["B"] == "**0.5172413793103449**"
    # 28 of 406 images apart: McNemar rejects up to b + c disagreeing ones
    most = max(d for d in range(28, 407, 2) if binomtest((d - 28) // 2, d).pvalue < 0.05)
    assert found["B"]["C"] == f"+6.9 ({100 * most / 406:.0f} %)"
    assert {found[row][column] for row in "BCDE" for column in "ABCD" if column < row} == {"not tested"}


def test_our_runs_fill_the_lower_half_with_one_analysis(tmp_path: Path) -> None:
    b, c = (0.50, 0.56, 0.61), (0.41, 0.45, 0.53)
    for name, values in (("a", (0.3, 0.35, 0.4)), ("r", ())):
        for seed, value in enumerate(values):
            put(tmp_path, f"r3-finetune-{name}", value, seed=seed, tier="full", source="official")
    backbone = {"from": "file theirs.pth", "hash": "", "start": "5f" * 32, "start_recipe": ""}
    for seed in range(3):
        common = {"seed": seed, "tier": "full", "source": "official", "initial_weights": backbone}
        put(tmp_path, "r3-finetune-b", b[seed], **common)
        put(tmp_path, "r3-finetune-d", c[seed], **common)
    found = matrix(render(tmp_path, "findings.md"), "R3")
    u = mannwhitneyu(c, b).statistic / 9
    assert found["D"]["B"].startswith(f"{u:.2f} (")
    assert found["E"]["A"] == "not tested"


def test_rehearsals_are_one_line_with_the_majority_class(tmp_path: Path) -> None:
    for seed, value in enumerate((0.5, 0.6, 0.55)):
        put(tmp_path, "r1-finetune-a", value, seed=seed)
        put(tmp_path, "r1-finetune-e", 0.1, seed=seed)
    page = render(tmp_path, "findings.md")
    (line,) = re.findall(r"^\*Rehearsed\*.*$", page, re.M)
    assert line == (
        "*Rehearsed* on synthetic data, smoke tier, 3 seeds: A 0.550, E 0.100; the majority class has 0.100;"
        " E did not learn."
    )
    assert {matrix(page, "R1")["E"]["A"]} == {"not tested"}
