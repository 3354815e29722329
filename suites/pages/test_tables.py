"""Generated pages: true to the records, readable by a Markdown parser, and the same bytes each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_up import put
from markdown_it import MarkdownIt

from bench.claims.claim import Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import alignment
from bench.grading.grader import grade_all
from bench.pages import build, markdown, publish, report_tables
from bench.runs import records
from reference.errors import InputError
from reference.recipes import RECIPES

ROOT = Path(__file__).parents[2]
R4_TEXT = ROOT.parent / "shared" / "reports" / "r4.txt"
LEDGERS = load_ledgers()
R4 = next(ledger for ledger in LEDGERS if ledger.report == "r4")
CLASSIFY, SEG_A, SEG_B = "r4-classify", "r4-seg-a", "r4-seg-b"
PAGES = {
    *(f"reports/r{n}.md" for n in range(1, 6)),
    "reports/mnist1d.md",
    *("claims.md", "audit.md", "index.html", "LEADERBOARD.md", "findings.md", "others.md", "first-steps.md"),
}
PICTURES = {f"figures/others/{task}.png" for task in ("classification50", "landcover", "officehome")}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Synthetic and stand-in runs, one broken, one superseded."""
    folder = tmp_path / "out"
    for seed in range(3):
        put(folder, SEG_A, 0.51 + 0.01 * seed, seed=seed)
        put(folder, SEG_B, 0.61 + 0.011 * seed, seed=seed)
    put(folder, SEG_A, 0.41, source="stand-in")
    put(folder, CLASSIFY, 0.5)
    put(folder, CLASSIFY, 0.55, attempt=2)
    put(folder, CLASSIFY, None, seed=1, status="diverged")
    return folder


def page(out: Path, name: str = "reports/r4.md") -> str:
    return build.render(out, LEDGERS)[name]


def tables_of(text: str) -> Iterator[list[list[str]]]:
    """Every table that a Markdown parser sees: rows of cells, as Markdown."""
    rows: list[list[str]] = []
    before = ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and before in ("th_open", "td_open"):
            rows[-1].append(token.content)
        elif token.type == "table_close":
            yield rows
            rows = []
        before = token.type


def column(text: str, heading: str) -> list[tuple[list[str], str]]:
    """Every cell below a heading, with its row."""
    return [
        (row, row[table[0].index(heading)])
        for table in tables_of(text)
        if heading in table[0]
        for row in table[1:]
    ]


# ---------------------------------------------------------------- what stands on the pages


def test_the_pages_are_those_of_the_reports(out: Path) -> None:
    assert set(build.render(out, LEDGERS)) == PAGES


def test_every_claim_stands_once_on_the_claims_page_and_on_its_report_s(out: Path) -> None:
    pages = build.render(out, LEDGERS)
    for ledger in LEDGERS:
        wanted = sorted(f"`{claim.id}`" for claim in ledger.claims)
        assert sorted(cell for _, cell in column(pages[f"reports/{ledger.report}.md"], "claim")) == wanted
    everything = sorted(f"`{claim.id}`" for ledger in LEDGERS for claim in ledger.claims)
    assert sorted(cell for _, cell in column(pages["claims.md"], "claim")) == everything


def test_grades_are_counted(out: Path) -> None:
    claims, *_ = (table for table in tables_of(page(out, "claims.md")) if table[0][0] == "verdict")
    assert sum(int(row[1]) for row in claims[1:]) == sum(len(ledger.claims) for ledger in LEDGERS)
    rows = grade_all(LEDGERS, records.read_all(out), alignment_green=False, folder=out)
    assert {row[0].strip("*") for row in claims[1:]} == {row.label for row in rows}


def test_printed_values_keep_every_digit_and_name_their_line(out: Path) -> None:
    cells = {row[0]: (cell, row) for row, cell in column(page(out, "claims.md"), "printed")}
    (where,) = (cell for row, cell in column(page(out), "where") if row[0] == "`r4-classify`")
    assert cells["`r1-finetune-a`"][0] == "0.2438423645320197"
    assert cells["`r5-finetune-d`"][0] == "26.0 %"
    assert cells["`r3-tsne-acc`"][0] == "about 60 %"
    assert cells["`r4-classify`"][1][1:] == [
        "0.785600", "**not tested: data**", "official data; 12 settings unstated",
    ]  # fmt: skip
    assert where == "r4:58"


def test_no_run_yet_is_a_page_too(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "not tested" in text
    assert "No run of this report's recipes is recorded here." in text
    ranked = rankings(page(tmp_path, "LEADERBOARD.md"))
    # a printed figure that is not tested has no rank; the two that code computes have
    assert {row[0] for name, rows in ranked.items() for row in rows if "MNIST" not in name} == {"–"}
    assert [row[0] for row in ranked["MNIST-1D"][:3]] == ["1", "2", "–"]


def test_r4_s_lines_stand_verbatim_in_its_own_format(out: Path) -> None:
    if not R4_TEXT.exists():
        pytest.skip("the report's text is not beside this checkout")
    printed = re.findall(r"^(?:class #\d : .*|mean_iou: .*|Val Acc: .*)$", R4_TEXT.read_text(), re.M)
    assert len(printed) == 15
    blocks = re.findall(r"^```text\n(.*?)^```", page(out), re.M | re.S)
    ours = [line for block in blocks for line in block.splitlines()]
    assert [
        line[: len(want)] for line, want in zip((o for o in ours if ":" in o), printed, strict=True)
    ] == printed


def test_r4_s_block_holds_printed_beside_measured(out: Path) -> None:
    for seed in range(3):
        put(out, SEG_A, 0.51 + 0.01 * seed, seed=seed, tier="full", source="official")
    block = re.findall(r"^```text\n(.*?)^```", page(out), re.M | re.S)[1].splitlines()
    last = block[-1].split("   ")
    # 0.51, 0.52, 0.53: mean .52, t(.975, 2) 4.3027 · .01/√3 = .0248
    assert last[0] == "mean_iou: 0.663704"
    assert "0.520000 (0.4952–0.5448)" in block[-1]
    assert "3 seeds" in block[1]
    assert block[2].endswith("urban")
    assert not any("0.41" in line or "dubai" in line for line in block)  # a rehearsal is not beside it


def figures_in(cell: str) -> list[str]:
    return [part for part in cell.split("<br>") if re.match(r"[\d.]+|undefined", part)]


def test_no_figure_on_other_data_stands_beside_a_printed_one(out: Path) -> None:
    """No run of the fixture is official."""
    cells = [cell for _, cell in column(page(out), "measured")]
    assert cells
    assert not [figure for cell in cells for figure in figures_in(cell)]


def test_every_picture_s_caption_says_what_data_it_is_of(out: Path) -> None:
    pictures = re.findall(r"^(.*)\n\n!\[(.*)\]\(\.\./(.*)\)$", page(out), re.M)
    assert len(pictures) == 2  # a recipe: of its most telling data, one seed
    for caption, alternative, file in pictures:
        assert re.search("synthetic data|stand-in data", caption)
        assert re.search("synthetic data|stand-in data", alternative)
        assert (out / file).exists()


def test_official_figures_carry_no_such_word(tmp_path: Path) -> None:
    put(tmp_path, SEG_A, 0.66, tier="full", source="official")
    (cell,) = (cell for row, cell in column(page(tmp_path), "measured") if row[0] == f"`{SEG_A}`")
    assert re.fullmatch(r"0\.6600 \(.*\), 1 seed; majority class 0\.1000", cell)


def test_assumptions_deviations_and_runs_are_listed(out: Path) -> None:
    text = page(out)
    fields = [row for row, _ in column(text, "recipe says")]
    assert ["image\\_size", "512", "128"] in [row[:3] for row in fields] or ["image_size", "512", "128"] in [
        row[:3] for row in fields
    ]
    assumed = {cell for _, cell in column(text, "value")}
    assert all(a.value in {cell.replace("\\", "") for cell in assumed} for a in RECIPES[SEG_B].assumptions)
    status = {(row[0], row[1]): cell for row, cell in column(text, "status")}
    assert len(status) == len(records.read_all(out))
    assert sum(cell == "repeated without a reason" for cell in status.values()) == 1
    assert sum(cell.startswith("diverged: loss is nan") for cell in status.values()) == 1


def test_failures_stand_beside_the_grade(out: Path) -> None:
    (grade,) = (cell for row, cell in column(page(out), "verdict") if row[0] == f"`{CLASSIFY}`")
    assert "runs that did not end well: 1" in grade


def test_flags_stand_beside_grades(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(build.audit.FLAGS, "inconsistent: a | b", "as a test has it")
    monkeypatch.setattr(build.audit, "flags", lambda findings: {SEG_A: ("inconsistent: a | b",)})
    pages = build.render(out, LEDGERS)
    (verdict,) = (cell for row, cell in column(pages["claims.md"], "verdict") if row[0] == f"`{SEG_A}`")
    assert verdict == "**not tested: data**<br>flag: inconsistent: a | b"
    assert "flag: inconsistent" in pages["reports/r4.md"]


# ---------------------------------------------------------------- rankings


def rankings(text: str) -> dict[str, list[list[str]]]:
    """Rows of each ranking by task; of rehearsals by ``task / kind of runs``."""
    found, task = {}, ""
    for part in re.split(r"^(?=##)", text, flags=re.M):
        heading = part.splitlines()[0]
        if heading.startswith("## "):
            task = heading[3:].split(",")[0]
        for table in tables_of(part):
            found[f"{task} / {heading[4:]}" if heading.startswith("### ") else task] = table[1:]
    return found


def test_rehearsals_have_no_ranks_and_stand_by_kind_apart_from_what_counts(out: Path) -> None:
    put(out, SEG_A, 0.9, tier="gpu")
    put(out, SEG_A, 0.7, tier="full", source="official")
    put(out, SEG_A, 0.8, tier="full")
    found = rankings(page(out, "LEADERBOARD.md"))
    kinds = [key.partition(" / ")[2] for key in found if key.startswith("Land-cover segmentation / ")]
    assert kinds == [
        "Stand-in data (dubai), smoke tier",
        "Synthetic data",
        "Synthetic data, gpu tier",
        "Synthetic data, smoke tier",
    ]
    official = found["Land-cover segmentation"]
    assert {row[2] for row in official} == {"printed", "measured"}
    for name, rows in found.items():
        if " / " in name:
            assert all(row[0].startswith("`") and row[1] == "measured" for row in rows)
            continue
        values = [float(row[3]) for row in rows if row[0] != "–"]
        assert values == sorted(values, reverse=True)
        ranks = [int(row[0]) for row in rows if row[0] != "–"]
        assert ranks == [1 + sum(v > value for v in values) for value in values]
        assert all(row[-1].strip("*").startswith("not tested") for row in rows if row[0] == "–")


def test_a_rehearsal_s_row_tells_seeds_parameters_speed_device(out: Path) -> None:
    rows = rankings(page(out, "LEADERBOARD.md"))["Land-cover segmentation / Synthetic data, smoke tier"]
    assert rows[0][0].startswith(f"`{SEG_B}`")
    assert rows[0][3:] == [
        "0.5937–0.6483", "0.1000", "3", "1,234,567", "321.5", "a processor, cpu", "rehearsal",
    ]  # fmt: skip


def test_a_printed_percentage_is_ranked_as_the_fraction_it_is(out: Path) -> None:
    office = rankings(page(out, "LEADERBOARD.md"))["Fine-tuning on Office-Home"]
    assert [row[3] for row in office[:3]] == ["0.635", "0.621", "0.613"]
    assert all(cell not in "".join(row[1] for row in office) for cell in ("epoch1", "gain"))


def test_an_undefined_figure_comes_last(tmp_path: Path) -> None:
    put(tmp_path, SEG_A, None)
    put(tmp_path, SEG_B, 0.3)
    rows = rankings(page(tmp_path, "LEADERBOARD.md"))["Land-cover segmentation / Synthetic data, smoke tier"]
    assert [row[2] for row in rows] == ["0.3000", "undefined"]


# ---------------------------------------------------------------- Markdown


@given(
    st.text(
        st.sampled_from("_*`|\\<>&~[]()!#-+ a1:/.;'\"=$") | st.characters(exclude_categories=["Cs", "Cc"])
    )
)
@example("a | b")
@example("-2 * ( <q(z1), z1'> / |q| )")
@example("<b>bold</b> &amp; ~~gone~~ ![x](y) `code` **x** _y_ \\| \\")
@example("xi_0 <- tau_k * xi + (1 - tau_k) * theta")
def test_any_text_is_shown_as_it_is(text: str) -> None:
    """A Markdown parser gives the text back, and the row keeps its three cells."""
    parsed = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .parse(markdown.pipe_table(["a", "b", "c"], [["1", markdown.plain(text), "3"]]))
    )
    cells = [token for token in parsed if token.type == "inline"][3:]
    assert len(cells) == 3
    children = cells[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(text.split())


def test_a_claim_s_text_cannot_break_its_row() -> None:
    claim = Claim(
        report="x", id="x-odd", kind="number", lines=(1,), text="a | b\n| --- |\n<script>", metric="miou",
        recipe="no-such", value="0.5",
    )  # fmt: skip
    ledger = Ledger("x", "T | itle", None, (claim,), "x.toml")
    rows = grade_all([ledger], [], alignment_green=False, flags={"x-odd": ("f | g",)})
    for text in (report_tables.report_page(ledger, rows, []), report_tables.claims_page(rows, [ledger])):
        assert "<script>" not in text.replace("\\<script>", "")
        for table in tables_of(text):
            assert len({len(row) for row in table}) == 1


def test_every_table_of_every_page_is_whole(out: Path) -> None:
    for text in build.render(out, LEDGERS).values():
        raw = [line for line in text.splitlines() if line.startswith("|")]
        seen = list(tables_of(text))
        # a table's rule is not among the parser's rows
        assert len(raw) == sum(len(table) + 1 for table in seen)
        assert all(len({len(row) for row in table}) == 1 for table in seen)


# ---------------------------------------------------------------- the same bytes


def test_pages_do_not_depend_on_time_place_locale_or_order(out: Path, tmp_path: Path) -> None:
    """Rendered by another process, locale, zone and folder, from files written in another order."""
    here = build.render(out, LEDGERS)
    copy = tmp_path / "elsewhere" / "deeper"
    for path in sorted((p for p in out.rglob("*") if p.is_file()), reverse=True):
        target = copy / path.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        os.utime(target, (1, 1))
    program = (
        "import json, sys; from pathlib import Path; from bench.pages import build;"
        "from bench.claims.ledger import load_ledgers;"
        "sys.stdout.reconfigure(encoding='utf-8');"
        "print(json.dumps(build.render(Path(sys.argv[1]), load_ledgers())))"
    )
    environment = os.environ | {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(copy)],
        capture_output=True,
        check=True,
        env=environment,
        cwd=ROOT,
    )
    assert json.loads(done.stdout) == here


def test_pages_hold_no_date_and_no_folder(out: Path) -> None:
    for text in build.render(out, LEDGERS).values():
        assert not re.search(r"\d{4}-\d{2}-\d{2}|\d{2}:\d{2}:\d{2}", text)
        assert str(out) not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


def test_rendering_imports_no_torch() -> None:
    program = "import sys, bench.pages.build, bench.pages.publish; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


# ---------------------------------------------------------------- written, checked


def test_what_was_written_is_up_to_date(out: Path) -> None:
    written = build.write_all(out, LEDGERS)
    assert {path.relative_to(out).as_posix() for path in written} == PAGES | PICTURES
    assert build.check_pages(out, LEDGERS) == []
    before = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in build.write_all(out, LEDGERS)} == before
    assert not list(out.rglob("*.tmp"))


def the_picture(out: Path) -> Path:
    """The one of ``SEG_B`` that pages show: its first seed's."""
    (record,) = (r for r in records.read_all(out) if r.slug == SEG_B and r.seed == 0)
    return out / record.figures[0]["file"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: (out / "claims.md").write_text("by hand"), "claims.md: stale"),
        (lambda out: (out / "reports/r2.md").unlink(), "reports/r2.md: missing"),
        (lambda out: (out / "reports/r9.md").write_text(""), "reports/r9.md: surplus"),
        (lambda out: put(out, SEG_B, 0.9, seed=7), "LEADERBOARD.md: stale"),
        (lambda out: the_picture(out).write_bytes(b"other"), "differs from the hash in record"),
        (lambda out: the_picture(out).unlink(), "missing: record"),
        (lambda out: (out / "figures/old.png").write_bytes(b""), "figures/old.png: surplus"),
        (lambda out: alignment.note(out, dict.fromkeys(alignment.SUITES, (1, 0))), None),
    ],
)
def test_what_is_stale_missing_or_surplus_is_named(out: Path, change: Any, said: str | None) -> None:
    build.write_all(out, LEDGERS)
    change(out)
    wrong = build.check_pages(out, LEDGERS)
    assert all("\n" not in line for line in wrong)
    assert any(said in line for line in wrong) if said else wrong == []


def test_pages_of_reports_that_are_gone_are_removed(out: Path) -> None:
    (out / "reports").mkdir()
    (out / "reports" / "r9.md").write_text("")
    build.write_all(out, LEDGERS)
    assert not (out / "reports" / "r9.md").exists()


# ---------------------------------------------------------------- publishing


def test_publishing_copies_what_was_asked_for_and_renders_it(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "results"
    alignment.note(out, dict.fromkeys(alignment.SUITES, (1, 0)))
    written = publish.publish(out, target, slugs=[SEG_A], tier="smoke")
    kept = records.read_all(target)
    assert kept == [r for r in records.read_all(out) if r.slug == SEG_A]
    assert all(records.path_of(target, r).with_suffix(".npz").exists() for r in kept)
    pictures = {
        (r.data["source"], r.seed): (target / figure["file"]).exists() for r in kept for figure in r.figures
    }
    # one seed's, of the most telling data alone
    assert pictures == {place: place == ("stand-in", 0) for place in pictures}
    assert len(pictures) == 4
    assert build.check_pages(target, LEDGERS) == []
    assert alignment.is_green(target)
    assert len(written) == 2 * len(kept) + 1 + len(PAGES | PICTURES)
    again = publish.publish(out, target, slugs=[SEG_A])
    assert len(again) == len(PAGES | PICTURES)
    assert "no record" in refused(out, target, tier="full")
    publish.publish(out, target)
    assert records.read_all(target) == records.read_all(out)  # the broken ones too


def refused(source: Path, target: Path, **how: Any) -> str:
    """The one line of a refusal, which leaves the target as it was."""
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}
    with pytest.raises(InputError) as caught:
        publish.publish(source, target, **how)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_published_record_is_never_overwritten(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "results"
    publish.publish(out, target, slugs=[SEG_A])
    put(out, SEG_A, 0.99)
    assert "never overwritten" in refused(out, target)


def test_uncommitted_code_stays_out_unless_asked_for(out: Path, tmp_path: Path) -> None:
    dirty = {"commit": "0123456789abcdef" * 3, "dirty": True, "reference_hash": ""}
    put(out, CLASSIFY, 0.5, seed=4, provenance=dirty)
    assert "uncommitted" in refused(out, tmp_path / "results")
    publish.publish(out, tmp_path / "results", slugs=[SEG_A])
    publish.publish(out, tmp_path / "results", allow_dirty=True)
    assert "with changes" in (tmp_path / "results" / "reports" / "r4.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"commit": None, "dirty": True}, "git could not tell which code it ran"),
        ({"commit": None, "dirty": None}, "run of an installed package, whose commit nobody knows"),
        ({"commit": "0123456789abcdef", "dirty": None}, "commit nobody knows"),
        ({}, "commit nobody knows"),
    ],
)
def test_unknown_code_stays_out_unless_asked_for(
    out: Path, tmp_path: Path, code: dict[str, object], said: str
) -> None:
    put(out, CLASSIFY, 0.5, seed=4, provenance=code | {"reference_hash": ""})
    assert said in refused(out, tmp_path / "results")
    assert publish.publish(out, tmp_path / "results", allow_dirty=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: the_picture(out).write_bytes(b"other"), "changed since its record"),
        (lambda out: the_picture(out).unlink(), "missing"),
        (lambda out: next(out.rglob("*.npz")).unlink(), "missing"),
    ],
)
def test_incomplete_runs_are_not_published(out: Path, tmp_path: Path, change: Any, said: str) -> None:
    change(out)
    assert said in refused(out, tmp_path / "results")


def test_nothing_to_publish_is_said(out: Path, tmp_path: Path) -> None:
    assert "no record" in refused(out, tmp_path / "results", slugs=["no-such"])
    assert "no record" in refused(tmp_path / "empty", tmp_path / "results")
