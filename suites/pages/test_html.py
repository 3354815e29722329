"""The page as text: whole, true to the records, safe whatever they say, and self-contained."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from bench import audit
from bench.claims.claim import Claim, Ledger
from bench.claims.ledger import load_ledgers
from bench.grading import others_survey
from bench.grading.grader import GradedClaim, grade_all
from bench.grading.groups import Runs
from bench.pages import answer_card, build, html_page, leaderboard, summary
from bench.pages import plots as plots_module
from bench.pages.markdown import in_html, pipe_table, plain
from bench.runs import records
from bench.runs.records import Record
from reference.data.dataset import OFFICIAL_PALETTE

LEDGERS = load_ledgers()
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & {{ 7 * 7 }} {% raw %} <!-- -->"
)


def parsed(text: str) -> Element:
    """The page's tree; an error of the parser fails the test."""
    tree: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    return tree


def text_of(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def attributes(tree: Element, *names: str) -> Iterator[str]:
    for element in tree.iter():
        for name in names:
            if name in element.attrib:
                yield element.attrib[name]


@pytest.fixture(scope="module")
def tree(page: str) -> Element:
    return parsed(page)


def claims_of(tree: Element) -> dict[str, Element]:
    return {e.attrib["id"]: e for e in tree.iter("details") if "claim" in e.attrib.get("class", "").split()}


# ---------------------------------------------------------------- whole


def test_every_claim_stands_there_once_with_text_value_place_and_grade(
    tree: Element, rows: list[GradedClaim]
) -> None:
    claims = claims_of(tree)
    assert set(claims) == {row.claim.id for row in rows}  # once each: ids are unique, see below
    whole = text_of(tree)
    for row in rows:
        said = text_of(claims[row.claim.id])
        assert " ".join(row.claim.text.split()) in said
        assert row.label in said
        assert " ".join(row.claim.locator.replace(",", ", ").split()) in said
        assert row.claim.value is None or row.claim.value in said
        assert all(flag in said for flag in row.flags)
        assert all(assumption.why in whole for assumption in row.assumptions)


def test_every_group_of_runs_is_on_the_leaderboard_once(tree: Element, out: Path) -> None:
    runs = Runs(records.read_all(out))
    expected = Counter(slug for slug, groups in runs.groups.items() for _ in groups)
    assert expected["r4-seg-b"] == 2
    shown = Counter(
        text_of(next(row.iter("code")))
        for table in tree.iter("table")
        if "data-board" in table.attrib
        for row in table.iter("tr")
        if "data-grade" in row.attrib and "printed in the report" not in text_of(row)
    )
    assert shown == expected


def test_every_run_of_a_claim_s_recipe_is_listed_with_its_own_figure(tree: Element, out: Path) -> None:
    found = [r for r in records.read_all(out) if r.slug == "r4-classify"]
    table = next(t for t in claims_of(tree)["r4-classify"].iter("table") if t.attrib.get("class") == "runs")
    lines = {text_of(row[1]): [text_of(cell) for cell in row] for row in table.iter("tr")}
    for record in found:
        line = lines[record.name]
        assert line[2:5] == [str(record.seed), record.tier, record.data["source"]]
        assert line[6] == (record.status if record.status == "ok" else f"{record.status}: {record.reason}")
        if record.status == "ok":
            counts = record.counts("top1")
            assert counts is not None
            exact = binomtest(*counts).proportion_ci(method="exact")
            assert line[7] == f"{counts[0] / counts[1]:.4f} ({exact.low:.4f}–{exact.high:.4f})"
    assert len(lines) == 1 + len(found)


def test_every_page_counts_the_same_points_against_a_report(page: str, out: Path) -> None:
    audited = (out / "audit.md").read_text(encoding="utf-8")
    for ledger in load_ledgers():
        of_report = (out / "reports" / f"{ledger.report}.md").read_text(encoding="utf-8")
        name = ledger.report.upper()
        (count,) = re.findall(rf"^{name} has (.+?) to answer", audited, re.MULTILINE)
        assert f"By the audit it has {count} to answer" in of_report
        section = page.partition(f'<section class="report" aria-labelledby="{ledger.report}">')[2]
        assert f"By the audit it has {count} to answer" in section.partition("</section>")[0]
        assert f"{name} has {count} to answer" in page


def test_ids_are_unique_and_every_link_leads_somewhere(tree: Element, out: Path) -> None:
    ids = Counter(attributes(tree, "id"))
    assert max(ids.values()) == 1
    links = [link for link in attributes(tree, "href", "src") if link != "data:," and link[:3] != "?q="]
    assert len(links) > 200
    for link in links:
        assert link[1:] in ids if link.startswith("#") else (out / link).is_file(), link


def test_a_picture_that_is_not_there_is_not_shown(out: Path, put: Callable[..., Any], tmp_path: Path) -> None:
    (record,) = put(tmp_path, "r4-seg-b", [0.4])
    assert record.figures[1]["file"] in build.render(tmp_path, LEDGERS)["index.html"]
    (tmp_path / record.figures[1]["file"]).unlink()
    assert record.figures[1]["file"] not in build.render(tmp_path, LEDGERS)["index.html"]


def test_the_page_needs_no_other_host(page: str, tree: Element) -> None:
    for link in attributes(tree, "href", "src", "srcset", "action", "data", "poster", "formaction"):
        assert not re.match(r"[a-z]+://|//|/|[a-z]+:(?!,)", link), link
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert Counter(element.tag for element in tree.iter())["script"] == 1
    assert not [e for e in tree.iter() if e.tag in ("link", "iframe", "object", "embed") and e.tag != "link"]
    assert [e.attrib["href"] for e in tree.iter("link")] == ["data:,"]


def test_every_figure_of_ours_names_its_data(tree: Element) -> None:
    """Pictures and the leaderboard's groups name it; on an axis lies no figure of drawn or other images."""
    words = re.compile("(synthetic|stand-in|official) data", re.IGNORECASE)
    plots = [e for e in tree.iter("div") if re.fullmatch("m-(synthetic|stand-in)", e.attrib.get("class", ""))]
    captions = list(tree.iter("figcaption"))
    groups = [e for e in tree.iter("tr") if e.attrib.get("class") == "evidence"]
    assert plots == []
    for element in (*captions, *groups):
        assert words.search(text_of(element)), text_of(element)
    assert min(len(captions), len(groups)) > 3


def test_printed_value_and_every_seed_lie_on_one_axis(tree: Element, rows: list[GradedClaim]) -> None:
    (row,) = (row for row in rows if row.claim.id == "r4-classify")
    assert row.measured is not None
    axis = next(e for e in claims_of(tree)["r4-classify"].iter("figure") if e.attrib.get("class") == "axis")

    def places(name: str, attribute: str) -> list[float]:
        return [float(e.attrib[attribute].rstrip("%")) for e in axis.iter() if e.attrib.get("class") == name]

    seeds, (printed,) = places("seed", "cx"), places("printed", "x1")
    assert len(seeds) == row.measured.k == 3
    values = [float(row.claim.fraction), *sorted(row.measured.values)]
    assert np.corrcoef([printed, *seeds], values)[0, 1] == pytest.approx(1, abs=1e-5)
    # the band reaches the margin to both sides: 0.017 on 2,500 images
    band = next(e for e in axis.iter() if e.attrib.get("class") == "band")
    scale = (seeds[-1] - seeds[0]) / (values[-1] - values[1])
    assert float(band.attrib["width"].rstrip("%")) == pytest.approx(2 * 0.017 * scale, rel=0.02)


def test_every_verdict_of_the_audit_has_a_word_and_a_colour() -> None:
    assert set(answer_card.STANDING_OF_FINDING) == set(answer_card.WORD_OF_FINDING) == set(audit.VERDICTS)
    assert set(answer_card.STANDING_OF_FINDING.values()) <= set(summary.STANDINGS)


def test_a_card_says_what_would_settle_an_untested_claim(tree: Element) -> None:
    card = text_of(next(e for e in claims_of(tree)["r4-seg-b"].iter("article")))
    assert "bench run r4-seg-b --data DIR --tier full --seeds 3" in card
    assert "testable on public originals: bench data prepare landcover --from DIR" in card
    assert "holds: the 6 class IoUs average 0.710615" in card
    assert "not as written: 11 settings are missing" in card
    assert "6 others report" in card
    assert "“ResNet34 with FCN8 beats VGG16 with FCN32” (r4-order-seg)" in card
    assert "Rehearsed: miou 0.2000 (1 seed" in card


# ---------------------------------------------------------------- hostile strings


def test_no_string_of_a_claim_or_record_becomes_markup(put: Callable[..., Any], tmp_path: Path) -> None:
    claims = (
        Claim(
            report="x", id="x-odd", kind="number", lines=(1,), text=HOSTILE, metric="top1",
            recipe="r4-classify", value="0.5", note=HOSTILE, n=20, n_from="printed",
            selection=HOSTILE, unstated=(HOSTILE,),
        ),
        Claim(
            report="x", id="x-code", kind="protocol", lines=(1,), text="t", code=HOSTILE, damage=(HOSTILE,),
        ),
        Claim(
            report="x", id="x-net", kind="architecture", lines=(1,), text="t", facts=(HOSTILE,),
            illegible=True, illegible_why=HOSTILE, conflicts_with=("x-odd",),
        ),
    )  # fmt: skip
    ledger = Ledger("x", HOSTILE, 2020, claims, "x.toml")
    odd = [{"field": HOSTILE, "printed": HOSTILE, "used": HOSTILE, "why": HOSTILE}]
    put(tmp_path, "r4-classify", [0.5], source="stand-in", name=HOSTILE, deviations=odd)
    put(tmp_path, "r4-classify", [0.5], status="failed", reason=HOSTILE, metrics={}, name="b")
    put(
        tmp_path, "r4-classify", [0.5], name="c",
        provenance={"commit": HOSTILE, "device": HOSTILE, "dirty": True, "reference_hash": ""},
    )  # fmt: skip
    found = records.read_all(tmp_path)
    rows = grade_all(
        [ledger], found, alignment_green=False, folder=tmp_path, flags={"x-odd": (audit_flag(),)}
    )
    text = rendered(ledger, rows, found, tmp_path)
    tree = parsed(text)
    clean = parsed(rendered(Ledger("x", "t", 2020, (), "x.toml"), [], [], tmp_path))
    assert (
        Counter(e.tag for e in tree.iter())["script"] == Counter(e.tag for e in clean.iter())["script"] == 1
    )
    assert not [link for link in attributes(tree, "src") if link == "x"]
    assert not list(attributes(tree, "onerror", "onclick", "onload"))
    assert text_of(tree).count("alert(2)") >= 8  # shown as what it is
    assert "49" not in text_of(next(tree.iter("h2")))
    assert "{{ 7 * 7 }}" in text_of(tree)


def test_comparisons_of_the_other_pages_stand_there_word_for_word(tree: Element, out: Path) -> None:
    whole = text_of(tree)
    for name in ("findings.md",):
        text = (out / name).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
        assert len(rows) > 5
        for cell in {cell for row in rows for cell in row.strip("| ").split(" | ")}:
            words = re.sub(r"<br>|[*\\`]", "", cell)
            assert " ".join(words.split()) in whole, cell
        headings = {line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")}
        assert headings <= {text_of(summary) for summary in tree.iter("summary")}


def test_markdown_becomes_html_without_markup_of_its_own() -> None:
    """Escaped or not, what comes from outside stays text."""
    table = pipe_table(["", "x"], [[plain(HOSTILE), HOSTILE], ["one<br>two", "3"]], right=(1,))
    before, ((heading, part),) = in_html(f"# Title\n\n{HOSTILE}\n\n## A *part*\n\n### Of it\n\n{table}\n")
    assert (heading, "Title" in before + part) == ("A part", False)
    found = html5lib.parseFragment(before + part, namespaceHTMLElements=False)
    tags = Counter(element.tag for element in found.iter())
    assert not tags.keys() & {"script", "img"}
    assert (tags["h4"], tags["table"], tags["br"]) == (1, 1, 1)
    assert text_of(found).count("alert(2)") == 3
    (body,) = found.iter("tbody")
    assert [e.attrib.get("class") for e in body.iter("td")] == [None, "n"] * 2
    assert len(list(found.iter("th"))) == 1  # an empty head is a cell


def rendered(ledger: Ledger, rows: Sequence[GradedClaim], found: Sequence[Record], folder: Path) -> str:
    runs = Runs(found)
    boards, others = leaderboard.boards(rows, runs, folder), others_survey.gather([ledger])
    return html_page.build_html([ledger], rows, runs, [], boards, "", others, folder)


def audit_flag() -> str:
    return next(iter(audit.FLAGS))


def test_a_report_without_layout_runs_or_findings_has_a_page(tmp_path: Path) -> None:
    claim = Claim(
        report="mine", id="mine-acc", kind="number", lines=(3,), text="t", metric="top1", value="0.5"
    )
    ledger = Ledger("mine", "Mine", None, (claim,), "mine.toml")
    rows = grade_all([ledger], [], alignment_green=False)
    tree = parsed(rendered(ledger, rows, [], tmp_path))
    assert list(claims_of(tree)) == ["mine-acc"]
    assert "throughput" not in set(attributes(tree, "id"))


# ---------------------------------------------------------------- the parts


def test_a_mask_strip_is_cut_where_its_tiles_lie(
    tree: Element, out: Path, masks: Callable[[int], np.ndarray]
) -> None:
    figure = next(e for e in tree.iter("figure") if "data-strips" in e.attrib)
    strips = json.loads(figure.attrib["data-strips"])
    picture = Image.open(out / next(figure.iter("img")).attrib["src"]).convert("RGB")
    assert strips["images"] == 3
    for column, epoch in enumerate([0, *strips["epochs"]], start=1):
        for row in range(3):
            x = strips["left"] + column * strips["pitch"]
            y = strips["top"] + row * strips["pitch"]
            tile = picture.crop((x, y, x + strips["side"], y + strips["side"]))
            expected = Image.fromarray(OFFICIAL_PALETTE.encode(masks(epoch)[row]))
            resized = expected.resize(tile.size, Image.Resampling.NEAREST)
            assert np.array_equal(np.array(tile), np.array(resized))
    assert picture.height - strips["legend"] == strips["top"] + 3 * strips["pitch"]


def test_a_picture_of_another_height_is_not_cut_up() -> None:
    assert html_page._cut((1, 2), OFFICIAL_PALETTE.classes, 333) == (None, 0)


@given(st.floats(-10, 10), st.floats(1e-6, 10))
def test_ticks_are_round_ascending_and_inside(low: float, width: float) -> None:
    ticks = plots_module.round_numbers(low, low + width)
    places = [place for place, _ in ticks]
    assert 3 <= len(ticks) <= 8
    assert places == sorted(places)
    assert all(low - 1e-9 <= place <= low + width + 1e-9 for place in places)
    assert all(abs(float(said) - place) < 1e-6 for place, said in ticks)
    assert len({said for _, said in ticks}) == len(ticks)


@given(st.text())
def test_linking_ids_changes_no_word(text: str) -> None:
    linked = html_page._linked(f"{text} (a-b), {text}", {"a-b"})
    fragment = html5lib.parseFragment(str(linked), namespaceHTMLElements=False)
    shown = "".join(fragment.itertext())
    # a parser drops or rewrites what no document may hold
    if re.fullmatch(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\r\n\t ]*", text):
        assert shown == f"{text} (a-b), {text}"
    assert '<a href="#a-b">' in linked


def test_the_page_is_the_same_bytes_each_time(out: Path, page: str) -> None:
    again = build.render(out, LEDGERS)["index.html"]
    assert again == page
    assert str(out) not in page
    assert build.check_pages(out, LEDGERS) == []
    (out / "index.html").write_text(page + " ", encoding="utf-8")
    stale = build.check_pages(out, LEDGERS)
    (out / "index.html").write_text(page, encoding="utf-8")
    assert stale == ["index.html: stale: differs from what the records give"]
