"""The command as a person meets it: listings, bad input in one line, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from made_up import put

from bench.claims.ledger import load_ledgers
from reference.models import MODELS
from reference.recipes import RECIPES


def bench(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], capture_output=True, text=True, check=False, cwd=cwd
    )


def refused(*words: str, cwd: Path | None = None) -> str:
    """The one line that a refusal prints."""
    done = bench(*words, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert not done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_listing_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; sys.argv = ['bench', 'list', {!r}, '--format', 'json'];"
        "from bench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {{'torch', 'numpy', 'pandas', 'scipy', 'matplotlib'}} & set(sys.modules)\n"
        "sys.exit(f'imported {{heavy}}' if heavy else 0)"
    )
    for what in ("recipes", "claims", "models", "runs"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(what)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [("list", "runs"), ("grade", "r4-seg-a"), ("report",)])
def test_a_record_that_cannot_be_read_is_told_of(words: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "records" / "r4-seg-a" / "torn.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    done = bench(*words, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: not counted: records/r4-seg-a/torn.json: ")


def test_list_claims_holds_every_claim_with_its_printed_string() -> None:
    rows = json.loads(bench("list", "claims", "--format", "json").stdout)
    claims = [claim for ledger in load_ledgers() for claim in ledger.claims]
    assert [(row["claim"], row["value"]) for row in rows] == [(c.id, c.value) for c in claims]
    assert {"claim": "r4-seg-a", "value": "0.663704"}.items() <= next(
        row for row in rows if row["claim"] == "r4-seg-a"
    ).items()


def test_list_recipes_shows_the_printed_figure() -> None:
    rows = {row["recipe"]: row for row in json.loads(bench("list", "--format", "json").stdout)}
    assert set(rows) == set(RECIPES)
    assert rows["r4-classify"]["printed"] == "0.785600"


def test_list_models_is_the_registry() -> None:
    rows = json.loads(bench("list", "models", "--format", "json").stdout)
    assert [row["model"] for row in rows] == list(MODELS)
    assert all(row["what"] for row in rows), "every builder says what it is"


@pytest.mark.parametrize("output", ["table", "markdown"])
@pytest.mark.parametrize("what", ["recipes", "claims", "models"])
def test_listings_read_as_text(what: str, output: str) -> None:
    done = bench("list", what, "--format", output)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 3


def test_audit_finds_without_running_anything() -> None:
    rows = json.loads(bench("audit", "--format", "json").stdout)
    (found,) = [r for r in rows if "r4-seg-a-name" in r["claims"] and r["verdict"] == "against"]
    assert found["strength"] == "certain"
    assert "Linear(4096, 50)" in found["finding"]
    assert "R4 has 1 point to answer, by its text alone" in bench("audit", "r4").stdout
    assert "# " in bench("audit", "r4", "--format", "markdown").stdout


def test_no_runs_yet_is_said(tmp_path: Path) -> None:
    assert bench("list", "runs", cwd=tmp_path).stdout == "none\n"


def test_published_records_are_read_until_there_are_runs(tmp_path: Path) -> None:
    put(tmp_path / "results", "r4-seg-a", 0.6)
    done = bench("list", "runs", "--format", "json", cwd=tmp_path)
    assert [row["recipe"] for row in json.loads(done.stdout)] == ["r4-seg-a"]
    assert done.stderr == "runs/ holds no records: these are the published ones, of results/\n"
    put(tmp_path / "runs", "r4-seg-b", 0.7)
    done = bench("list", "runs", "--format", "json", cwd=tmp_path)
    assert [row["recipe"] for row in json.loads(done.stdout)] == ["r4-seg-b"]
    assert not done.stderr


def test_grade_of_one_claim_is_its_row_of_all(tmp_path: Path) -> None:
    put(tmp_path, "r4-seg-a", 0.6)
    every = json.loads(bench("grade", "--format", "json", "--out", str(tmp_path)).stdout)
    one = json.loads(bench("grade", "r4-seg-a", "--format", "json", "--out", str(tmp_path)).stdout)
    assert one == [row for row in every if row["claim"] == "r4-seg-a"]


def test_the_version_is_the_packages() -> None:
    assert bench("--version").stdout.strip() == version("reproducibility-bench")


def test_a_shell_completes_commands() -> None:
    words = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench gr", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "bench"], env=os.environ | words, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["grade"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "r4-segb"), "r4-seg-b"),
        (("run",), "--all"),
        (("run", "r4-seg-b", "--all"), "not both"),
        (("run", "r4-seg-b", "--tier", "smok"), "smoke"),
        (("run", "r4-seg-b", "--data", "nowhere"), "nowhere"),
        (("run", "r4-seg-b", "--weights", "nowhere"), "nowhere"),
        (("run", "r4-seg-b", "--seeds", "0"), "seeds"),
        (("run", "r4-seg-b", "--init", "imagenet"), "scratch"),
        (("run", "r4-seg-b", "--dtype", "float8"), "bfloat16"),
        (("run", "r4-seg-b", "--device", "abacus"), "cpu"),
        (("run", "r4-seg-b", "--sedes", "1"), "--seeds"),
        (("audit", "r9"), "r4"),
        (("audit", "nowhere.toml"), "nowhere.toml"),
        (("grade", "r4-sgb"), "r4-seg-b"),
        (("publish", "r4-sgb"), "r4-seg-b"),
        (("list", "recipe"), "did you mean 'recipes'?"),
        (("list", "runs", "--out", "nowhere"), "nowhere"),
        (("report", "--out", "nowhere"), "holds no records"),
        (("report", "--out", "."), "holds no records"),
        (("score", "--pred", ".", "--truth", "nowhere"), "nowhere"),
        (("grad",), "grade"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_gets_one_line_with_what_is_valid(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert said in refused(*words, cwd=tmp_path)
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_absent_weights_say_how_to_get_them(tmp_path: Path) -> None:
    done = bench("run", "r4-seg-b", "--tier", "full", "--weights", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    first, last = done.stderr.strip().splitlines()
    assert first.startswith("r4-seg-b: not run: weights: ")
    assert "resnet34-b627a593.pth" in first
    assert "nothing can run here" in last


def test_a_role_that_the_folder_lacks_is_not_run_for_data(tmp_path: Path) -> None:
    (tmp_path / "p1_data" / "train_50").mkdir(parents=True)
    done = bench("run", "r4-seg-b", "--data", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("r4-seg-b: not run: data: ")
