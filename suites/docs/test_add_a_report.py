"""docs/add-a-report.md, followed word by word in an empty folder with the real command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.claims import claim_keys
from bench.claims.claim import KINDS, METRICS
from bench.claims.ledger import load_ledger
from bench.grading import alignment
from bench.grading.reported import BY_THE_USER

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "add-a-report.md"
# The guide's own words for the test run that its reader does in a checkout; what it leaves is made below.
SUITES = "python3 -m venv .venv && .venv/bin/pip install -q tox-uv && .venv/bin/tox"


OWN_CODE = "## 8. From a table, with training code of your own"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, with the command ``bench`` on a path of its own."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "bench"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    python = tmp_path / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What tox leaves in a checkout when all suites have passed."""
    alignment.note(tmp_path / "checkout" / "runs", dict.fromkeys(alignment.SUITES, (1, 0)))
    return tmp_path / "checkout"


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # several threads for so small a network spend a busy machine's time waiting for each other
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("BENCH_CLAIMS", None)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_guide_ends_where_it_says(folder: Path, checkout: Path) -> None:
    """Blocks in their order: files are written, commands run, tables of grades compared."""
    compared, ran, said = 0, [], ""
    for part in parts(GUIDE.read_text(encoding="utf-8").partition(OWN_CODE)[0]):
        if isinstance(part, list):
            compare(part, folder)
            compared += 1
            continue
        language, text = part
        if language in ("toml", "python"):
            name = text.partition("\n")[0].removeprefix("# ")
            (folder / name).write_text(text, encoding="utf-8")
        elif text.strip() == SUITES:
            assert "run tox in a checkout of the same version" in said, "the command says what to do next"
        elif language == "bash":
            done = shell(text.replace("CHECKOUT", str(checkout)), folder)
            said = done.stdout + done.stderr
            ran += text.splitlines()
        else:
            assert language == "text", f"a block of {language!r} has no meaning here"
    assert compared == 2, "grades before and after the suites have passed"
    assert len(ran) == 10
    page = (folder / "runs" / "reports" / "shapes.md").read_text(encoding="utf-8")
    for word in ("**reproduced**", "**contradicted**", "flag: inconsistent", "not tested: chance"):
        assert word in page
    assert shell("bench report --out runs --claims shapes.toml --check", folder).stdout.startswith("runs: ")
    again = shell("bench run shapes --claims shapes.toml --tier full --seeds 3", folder)
    assert again.stdout == "9 of 9 runs have a record already (--again REASON runs them anew)\n"


def test_a_table_of_a_readme_ends_as_a_page_with_verdicts(folder: Path) -> None:
    """The section on training code of one's own, word by word: files, commands, and the table of verdicts."""
    section = GUIDE.read_text(encoding="utf-8").partition(OWN_CODE)[2].partition("\n## ")[0]
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        if language == "bash":
            shell(text, folder)
            continue
        name = re.sub(r"^(?:# |<!-- )([\w.]+)(?: -->)?$", r"\1", text.partition("\n")[0])
        (folder / name).write_text(text, encoding="utf-8")
    told = dict(re.findall(r"^\| (digits-[\w-]+) \| (\w+) \|$", section, re.MULTILINE))
    assert len(told) == 2
    done = shell("bench grade digits --claims digits.toml --format json", folder)
    rows = {row["claim"]: row for row in json.loads(done.stdout)}
    for claim, verdict in told.items():
        assert rows[claim][BY_THE_USER].startswith(f"{verdict}; {BY_THE_USER}")
        assert rows[claim]["verdict"] == "not tested: no recipe"
    page = (folder / "runs" / "reports" / "digits.md").read_text(encoding="utf-8")
    for claim, verdict in told.items():
        assert re.search(rf"`{claim}`.*{verdict} \({BY_THE_USER}\)", page)
    assert BY_THE_USER in (folder / "runs" / "index.html").read_text(encoding="utf-8")
    code = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert code is not None
    assert len(code[1].splitlines()) <= 40


def parts(text: str) -> list[tuple[str, str] | list[dict[str, str]]]:
    """Fenced blocks as (language, text), and tables whose heads are claim, grade, flags as rows."""
    pattern = r"^```(\w+)\n(.*?)^```$|^\| claim \| verdict \| flags \|\n\|[-|]+\|\n((?:\|[^\n]*\n)+)"
    found: list[tuple[str, str] | list[dict[str, str]]] = []
    for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
        if match[1]:
            found.append((match[1], match[2]))
        else:
            cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in match[3].splitlines()]
            found.append([dict(zip(("claim", "verdict", "flags"), row, strict=True)) for row in cells])
    return found


def compare(expected: list[dict[str, str]], folder: Path) -> None:
    """The guide's table of verdicts against the command's; an empty cell says nothing."""
    done = shell("bench grade shapes --claims shapes.toml --format json", folder)
    rows = {row["claim"]: row for row in json.loads(done.stdout)}
    for line in expected:
        row = rows[line["claim"]]
        assert ", ".join(row["flags"]) == line["flags"], row
        assert row["verdict"] == line["verdict"] or not line["verdict"], row


def test_the_guide_names_every_kind_and_key() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for kind, (required, optional) in claim_keys.KIND_KEYS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {kind} |")]
        cells = [set(re.findall(r"`(\w+)`", cell)) for cell in row.split("|")[2:4]]
        either = {"order", "order_recipes"} if kind == "ordering" else set()
        assert cells == [{*required, *either}, {*optional} - either], kind
    common = set(claim_keys._COMMON) - set(claim_keys.REQUIRED)
    assert common <= set(re.findall(r"`(\w+)`", text))
    assert len(KINDS) == len(claim_keys.KIND_KEYS)


def test_the_parts_of_a_claims_file_are_valid(
    tmp_path: Path, blocks_of: Callable[[str], list[object]]
) -> None:
    """The examples of ``[[data]]`` and ``[[table]]`` in the reference make one claims file."""
    blocks = [
        block.text  # type: ignore[attr-defined]
        for block in blocks_of("docs/add-a-report.md")
        if block.language == "toml" and not block.text.startswith("# ")  # type: ignore[attr-defined]
    ]
    file = tmp_path / "parts.toml"
    file.write_text('[report]\nid = "shapes"\ntitle = "Parts"\n' + "\n".join(blocks), encoding="utf-8")
    ledger = load_ledger(file)
    assert len(ledger.claims) == 8
    assert [one.name for one in ledger.data] == ["streets"]


def test_the_guide_names_every_metric() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert set(METRICS) <= set(re.findall(r"`(\w+)`", text))


def test_the_report_in_the_guide_says_what_its_claims_say(blocks_of: Callable[[str], list[object]]) -> None:
    """Each claim's printed value stands in the lines of the report that it names."""
    import tomllib

    found = {block.language: block.text for block in reversed(blocks_of("docs/add-a-report.md"))}  # type: ignore[attr-defined]
    lines = {line.partition(" ")[0]: line for line in found["text"].splitlines()}
    for claim in tomllib.loads(found["toml"])["claim"]:
        for line in claim["line"] if isinstance(claim["line"], list) else [claim["line"]]:
            assert claim.get("value", "") in lines[str(line)]
