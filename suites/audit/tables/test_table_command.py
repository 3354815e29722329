"""``bench audit FILE``: what it prints, in every form, how it exits, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.audit import audit
from bench.audit.tables import TableAudit, output
from bench.audit.tables.command import audit_tables, table_options
from bench.claims.ledger import load_ledger
from bench.pages.readme_block import BEGIN_AUDIT, with_block
from reference.errors import InputError

ROOT = Path(__file__).parents[3]
OF_THIS_CHECKOUT = os.environ | {"PYTHONPATH": str(ROOT)}
Audited = Callable[..., TableAudit]

WRONG = """# Results

| net | road, wet | wall | sky | mIoU |
|---|---|---|---|---|
| a | 10.0 | 20.0 | 30.0 | 20.0 |
| b | 11.0 | 21.0 | 31.0 | 21.0 |
| c | 12.0 | 22.0 | 32.0 | 92.0 |
| d | 13.0 | 23.0 or so | 33.0 | 23.0 |
"""
CUT = "| net | a | b | Avg |\n|---|---|---|---|\n| x | 10.19 | 20.19 | 15.1 |\n| y | 1.00 | 2.00 | 1.5 |\n"


@pytest.fixture
def paper(folder: Path) -> Path:
    path = Path("paper.md")
    path.write_text(WRONG, encoding="utf-8")
    return path


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        capture_output=True,
        text=True,
        check=False,
        env=OF_THIS_CHECKOUT,
    )


def test_the_command_answers_without_torch_and_without_a_claims_file(paper: Path) -> None:
    code = (
        "import sys\nfrom bench.__main__ import main\nsys.argv = ['bench', 'audit', 'paper.md', "
        "'--fail-on', 'strong']\n"
        "try:\n    main()\nfinally:\n"
        "    print('loaded:', *sorted({'torch', 'numpy', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=OF_THIS_CHECKOUT
    )
    assert done.returncode == 1, done.stderr
    *lines, loaded = done.stdout.splitlines()
    assert loaded == "loaded:"
    assert lines[0].startswith("paper.md: 1 table, 15 figures; 1 against (1 strong)")
    assert lines[1].startswith("against      strong   paper.md:7     mean: c: the 3 figures")
    assert "not read     paper.md:8     d, 'wall': '23.0 or so' (a number with other text)" in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("paper.md", "r4"), "audited alone"),
        (("nothing.md",), "no such file"),
        (("paper.docx",), "valid endings"),
        (("paper.md", "--mean", "mIoU"), 'as in "Avg=A..R"'),
        (("paper.md", "--unit", "permille"), "valid are percent, fraction"),
        (("paper.md", "--n", "0"), "whole number from 1"),
        (("paper.md", "--to-claims", "paper.md"), "exists"),
        (("paper.md", "--to-claims", "new.toml", "--data", "No Where"), "lower-case letters"),
        (("paper.md", "--fail-on", "weak"), "weak"),
        (("r4", "--format", "sarif"), "need a file with tables"),
    ],
)
def test_bad_input_is_one_line(paper: Path, words: tuple[str, ...], message: str) -> None:
    done = bench("audit", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "fail_on", "status"),
    [
        (WRONG, None, 0),
        (WRONG, "strong", 1),
        (WRONG, "certain", 0),
        (CUT, "strong", 0),
        ("words\n", "strong", 0),
    ],
)
def test_the_exit_status_of_a_gate(folder: Path, text: str, fail_on: str | None, status: int) -> None:
    Path("paper.md").write_text(text, encoding="utf-8")
    assert audit_tables([Path("paper.md")], table_options(), fail_on=fail_on) == status


def test_a_mean_that_the_user_names_is_certain_and_fails_that_gate(paper: Path) -> None:
    options = table_options(means=["mIoU=road, wet..sky"])
    assert audit_tables([paper], table_options(means=["mIoU=wall..sky"]), fail_on="certain") == 1
    with pytest.raises(InputError, match="no table has these"):
        audit_tables([paper], options)  # a comma separates members


def test_reports_have_the_gate_too() -> None:
    assert bench("audit", "r4", "--fail-on", "certain").returncode == 1


def test_json_holds_cells_claims_and_all_that_was_not_read(
    paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit_tables([paper], table_options(), form="json", limit=1)
    (document,) = json.loads(capsys.readouterr().out)
    wrong = next(f for f in document["findings"] if f["verdict"] == "against")
    assert wrong["cells"][0] == {
        "table": 1,
        "line": 7,
        "row": "c",
        "column": "mIoU",
        "text": "92.0",
        "claim": "paper-t1-c-miou",
    }
    assert [cell["column"] for cell in wrong["cells"][1:]] == ["road, wet", "wall", "sky"]
    assert document["not_understood"][0]["text"] == "23.0 or so"
    assert document["tables"][0]["columns"][4]["role"] == "miou"
    assert sum(f["check"] == "mean" and f["verdict"] == "holds" for f in document["findings"]) == 2, (
        "not capped"
    )


def test_sarif_names_rule_level_file_and_line(paper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cut.md").write_text(CUT, encoding="utf-8")
    audit_tables([paper, Path("cut.md")], table_options(), form="sarif")
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    found = [
        (
            result["ruleId"],
            result["level"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for result in run["results"]
    ]
    assert found == [("mean", "error", "paper.md", 7), ("mean", "note", "cut.md", 3)]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"mean"}
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert any("23.0 or so" in note for note in notes)


def test_annotations_stand_on_the_line_and_escape_what_they_quote(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("50%, a:b.md")
    path.write_text(WRONG.replace("| c |", "| 100%, c |"), encoding="utf-8")
    audit_tables([path], table_options(), form="github", fail_on="strong")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "::error file=50%25%2C a%3Ab.md,line=7,title=mean (strong)::100%25, c: the 3 figures"
    )
    assert not last.startswith("::")
    audit_tables([path], table_options(), form="github")
    assert capsys.readouterr().out.startswith("::warning file=")


def test_long_lists_are_capped_with_a_count(audited: Audited) -> None:
    rows = "".join(f"| n{i} | {i}.00 | {i + 2}.00 | {i + 1}.00 |\n" for i in range(100))
    audit = audited("| net | a | b | Avg |\n|---|---|---|---|\n" + rows)
    text = output.lines(audit, 5, False)
    held = [line for line in text if line.startswith("holds")]
    total = sum(f.verdict == "holds" for f in audit.findings)
    assert len(held) == 6
    assert held[-1].split() == [
        "holds",
        "and",
        str(total - 5),
        "more;",
        "--limit",
        "N",
        "shows",
        "more",
        "of",
        "them",
    ]
    wrong = audited("| net | a | b | Avg |\n|---|---|---|---|\n" + rows + rows.replace(".00 |\n", ".75 |\n"))
    annotations = output.github(wrong, "strong")
    assert sum(line.startswith("::error") for line in annotations) == output.MOST_ANNOTATIONS
    assert any(re.fullmatch(r"::notice file=paper\.md::and \d+ more against", line) for line in annotations)


def test_markdown_is_one_table_a_verdict(paper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit_tables([paper], table_options(), form="markdown", explain=True)
    text = capsys.readouterr().out
    assert text.startswith("## paper.md\n")
    assert "| strong | mean | 7 | c: the 3 figures" in text
    assert "**Not read**" in text


def test_explain_says_how_each_column_was_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("seeds.md")
    path.write_text(
        "| net | accuracy (3 runs, 1000 test images) | params | a_1 | a_2 | Avg "
        "|\n|---|---|---|---|---|---|\n| x | 93.1% | 25M | 1.0 | 2.0 | 1.5 |\n",
        encoding="utf-8",
    )
    audit_tables([path], table_options(split="test"), explain=True)
    text = capsys.readouterr().out
    for words in (
        "table 1 (line 1): pipe table, 1 row",
        "net: names the rows (most of its cells are words)",
        "accuracy (3 runs, 1000 test images): accuracy (its name), percent (a percent sign), n = 1,000 "
        "(its name), 3 runs",
        "params: no result, or one that no check knows",
        "Avg in line 3: taken as the mean or sum of the columns before it",
    ):
        assert words in text


def test_a_claims_file_goes_on_from_a_table(paper: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It loads, its ids are those of the JSON, and what no claims file knows stays as a comment."""
    path = Path("made.toml")
    audit_tables([paper], table_options(data="landcover", split="val"), form="json", to_claims=path)
    printed = capsys.readouterr()
    ledger = load_ledger(path)
    assert ledger.report == "paper"
    by_id = {claim.id: claim for claim in ledger.claims}
    claim = by_id["paper-t1-c-miou"]
    assert (claim.metric, claim.value, claim.unit, claim.lines, claim.recipe) == (
        "miou",
        "92.0",
        "percent",
        (7,),
        "paper-t1-c",
    )
    assert by_id["paper-t1-c-sky"].class_index == 2
    ids = {
        cell["claim"]
        for f in json.loads(printed.out)[0]["findings"]
        if f["check"] == "mean"
        for cell in f["cells"]
    }
    assert ids - {"paper-t1-d-wall"} <= by_id.keys()
    assert f"{len(by_id)} claims" in printed.err
    assert tomllib.loads(path.read_text(encoding="utf-8"))["report"]["title"] == "paper.md"


def test_metrics_that_a_claims_file_does_not_know_are_comments(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").write_text('model,top1,BLEU\n"a ""quoted"" \\ name",70.1,33.3\n', encoding="utf-8")
    audit_tables([Path("t.csv")], table_options(data="officehome"), to_claims=Path("t.toml"))
    text = Path("t.toml").read_text(encoding="utf-8")
    assert [claim.value for claim in load_ledger("t.toml").claims] == ["70.1"]
    assert '# line 2: a "quoted"' in text
    assert "BLEU: 33.3" in text


def test_a_mean_in_another_table_goes_with_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean stands in one table, its classes down a column of the next; the claims are one evaluation."""
    monkeypatch.chdir(tmp_path)
    Path("t.md").write_text(
        "| Metric | Value |\n|---|---|\n| IoU Classes | 60.00% |\n\n"
        "| Class | IoU |\n|---|---|\n| road | 80.00% |\n| sky | 60.00% |\n| car | 40.00% |\n",
        encoding="utf-8",
    )
    audit_tables([Path("t.md")], table_options(data="streets", split="val"), to_claims=Path("t.toml"))
    ledger = load_ledger("t.toml")
    assert [(c.metric, c.class_index) for c in ledger.claims] == [
        ("miou", None), ("iou", 0), ("iou", 1), ("iou", 2),
    ]  # fmt: skip
    assert {c.recipe for c in ledger.claims} == {"t-t2-iou"}
    assert [f.verdict for f in audit([ledger]) if f.check == "class mean"] == ["holds"]


def test_the_hook_runs_the_command_on_what_it_names() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] == "bench-audit"
    assert hook["language"] == "python"
    files = re.compile(hook["files"])
    for name in ("README.md", "docs/results.csv", "paper/table.tex"):
        assert files.search(name)
    assert not files.search("code.py")
    done = bench(*hook["entry"].split()[1:], *hook.get("args", []), str(ROOT / "docs" / "audit.md"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_our_own_pages_pass_the_gate(tmp_path: Path) -> None:
    """The README and the docs are audited as anybody's are, but for the table that is wrong on purpose."""
    readme = tmp_path / "README.md"
    whole = (ROOT / "README.md").read_text(encoding="utf-8")
    readme.write_text(with_block(whole, "", BEGIN_AUDIT), encoding="utf-8")
    pages = [readme, *sorted((ROOT / "docs").glob("*.md"))]
    assert audit_tables(pages, table_options(), fail_on="strong") == 0
