"""The page in a real Chromium, from a disk: what a reader does with it, by mouse, by keys, without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.claims.ledger import load_ledgers
from reference.data.dataset import OFFICIAL_PALETTE

Open = Callable[..., Any]


@pytest.fixture
def visit(chromium: Any, out: Path) -> Iterator[Open]:
    """``visit(fragment, width=, …)``: the page in a fresh window. No message and no request may go astray."""
    contexts, astray = [], []

    def opened(fragment: str = "", *, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: astray.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: astray.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else astray.append(r.url))
        tab.on("requestfailed", lambda request: astray.append(f"failed: {request.url}"))
        tab.goto((out / "index.html").as_uri() + fragment)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert astray == []


OFFICE = "[aria-label^='Leaderboard: Fine-tuning'] table"
CLAIMS = [claim for ledger in load_ledgers() for claim in ledger.claims]


REHEARSED = "[aria-label^='Rehearsals: Fine-tuning'] table"


def values(tab: Any, table: str = OFFICE) -> list[str]:
    """Values that are to be seen on the board of Office-Home, or on the table of its rehearsals."""
    rows = tab.locator(f"{table} tr[data-grade]:visible")
    cell = 3 if table == OFFICE else 2
    return [text.strip() for text in rows.locator(f"> :nth-child({cell})").all_inner_texts()]


def head(tab: Any, name: str, table: str = OFFICE) -> Any:
    return tab.locator(f"{table} thead th", has=tab.get_by_role("button", name=name, exact=True))


def unfold(tab: Any) -> None:
    """Open the fold of the rehearsals and those of all claims."""
    tab.evaluate("document.querySelectorAll('#rehearsals, .every').forEach((fold) => { fold.open = true })")


# ---------------------------------------------------------------- leaderboard


def test_a_column_sorts_both_ways(visit: Open) -> None:
    tab = visit()
    best = [float(v) for v in values(tab)]
    assert best == sorted(best, reverse=True)
    assert head(tab, "rank").get_attribute("aria-sort") == "ascending"
    head(tab, "value").get_by_role("button").click()
    assert head(tab, "value").get_attribute("aria-sort") == "ascending"
    assert head(tab, "rank").get_attribute("aria-sort") == "none"
    assert [float(v) for v in values(tab)] == best[::-1]
    head(tab, "value").get_by_role("button").click()
    assert head(tab, "value").get_attribute("aria-sort") == "descending"
    assert [float(v) for v in values(tab)] == best
    unfold(tab)
    assert not head(tab, "rank", REHEARSED).count()  # rehearsals have no ranks
    head(tab, "value", REHEARSED).get_by_role("button").click()
    ours = [float(v) for v in values(tab, REHEARSED)]
    assert len(ours) == 25
    assert ours == sorted(ours)


def test_what_has_no_number_sorts_last_both_ways(visit: Open) -> None:
    tab = visit()
    tab.locator(OFFICE).first.evaluate(
        "table => { table.querySelector('tbody[data-source=official] tr[data-grade]').cells[2].textContent"
        " = '–' }"
    )
    for _ in range(2):
        head(tab, "value").get_by_role("button").click()
        assert values(tab)[-1] == "–"


def test_a_negative_figure_is_a_number_too(visit: Open) -> None:
    tab = visit()
    tab.locator(OFFICE).first.evaluate(
        "table => { table.querySelector('tbody[data-source=official] tr[data-grade]').cells[2].textContent"
        " = '−0.5' }"
    )
    head(tab, "value").get_by_role("button").click()
    assert values(tab)[0] == "−0.5"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"source": "synthetic"}, lambda r: r["source"] == "synthetic"),
        (
            {"tier": "smoke", "source": "stand-in"},
            lambda r: (r["tier"], r["source"]) == ("smoke", "stand-in"),
        ),
        ({"grade": "did not learn"}, lambda r: r["grade"] == "did not learn"),
    ],
)
def test_a_filter_leaves_what_was_asked_for_and_says_how_much(
    visit: Open, choices: dict[str, str], expected: Callable[[dict[str, str]], bool]
) -> None:
    tab = visit()
    read = (
        "rows => rows.map(r => ({hidden: !r.offsetParent, grade: r.dataset.grade,"
        " tier: r.dataset.tier ?? r.parentElement.dataset.tier, source: r.parentElement.dataset.source}))"
    )
    unfold(tab)
    every = tab.locator("#rehearsals tr[data-grade]").evaluate_all(read)
    for name, choice in choices.items():
        label = {"tier": "Tier", "source": "Data", "grade": "Standing"}[name]
        tab.get_by_role("combobox", name=label, exact=True).select_option(choice)
    wanted = [row for row in every if expected(row)]
    assert 0 < len(wanted) < len(every)
    tab.get_by_role("status").filter(has_text=f"{len(wanted)} of {len(every)} entries").wait_for()
    while tab.locator("button.more:visible").count():
        tab.locator("button.more:visible").first.click()
    after = tab.locator("#rehearsals tr[data-grade]").evaluate_all(read)
    assert [not row["hidden"] for row in after] == [expected(row) for row in every]
    headings = tab.locator("#rehearsals tr.evidence:visible").count()
    groups = tab.locator("#rehearsals tbody:has(tr[data-grade]:visible)").count()
    assert headings == groups


def test_a_filter_offers_only_what_is_there(visit: Open) -> None:
    tab = visit()
    unfold(tab)

    def offered(name: str) -> list[str]:
        return tab.locator(f"select[name={name}] option:not([hidden])").all_inner_texts()  # type: ignore[no-any-return]

    assert {"synthetic", "stand-in"} <= set(offered("source"))
    assert "official" not in offered("source")
    tab.get_by_role("combobox", name="Data", exact=True).select_option("stand-in")
    assert "did not learn" not in offered("grade")
    assert {"synthetic", "stand-in"} <= set(offered("source"))  # to change one's mind


def test_long_rankings_are_shown_in_full_when_asked(visit: Open) -> None:
    tab = visit()
    unfold(tab)
    assert len(values(tab, REHEARSED)) == 25
    tab.get_by_role("button", name="Show all 30").click()
    assert len(values(tab, REHEARSED)) == 30
    assert tab.evaluate("document.activeElement.tagName") == "A"  # the first of the new ones
    assert not tab.locator("button.more:visible").count()


# ---------------------------------------------------------------- claims


def test_a_claim_opens_by_click_and_by_link(visit: Open) -> None:
    tab = visit()
    claim = tab.locator("#r4-seg-b")
    assert not claim.locator("table.runs").is_visible()
    unfold(tab)
    claim.locator("summary").first.click()
    assert claim.locator("table.runs").is_visible()
    assert "No seed on official data yet" in claim.locator(".axis").inner_text()
    tab.locator("a[href='#r4-seg-a']").first.click()
    assert tab.locator("#r4-seg-a table.runs").is_visible()
    assert visit("#r4-classify").locator("#r4-classify table.runs").is_visible()


# ---------------------------------------------------------------- search


@pytest.mark.parametrize("width", [375, 1440])
def test_a_shared_number_shows_its_card_without_scrolling(visit: Open, width: int) -> None:
    tab = visit("?q=0.710615", width=width, height=667 if width == 375 else 900)
    card = tab.locator("#answer .card")
    assert card.get_attribute("data-card") == "r4-seg-b"
    assert tab.evaluate("scrollY") == 0
    for part in (".title", ".axis svg"):
        box = card.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= (667 if width == 375 else 900), part
    assert "not tested: data" in card.inner_text()
    assert tab.locator("#found").inner_text() == f"2 of {len(CLAIMS)} claims"  # its ordering quotes it too


def test_a_search_finds_slugs_text_and_values_and_can_be_shared(visit: Open) -> None:
    tab = visit()
    example = tab.locator("#answer .card").get_attribute("data-card")
    box = tab.get_by_role("searchbox")
    for asked, first in (
        ("r3-classify-b", "r3-classify-b"),
        ("0.8981", "r3-classify-b"),
        (".8981", "r3-classify-b"),
        ("26 %", "r5-finetune-d"),
        ("resnet152 mixup", "r3-classify-b"),
    ):
        box.fill(asked)
        assert tab.locator("#answer .card").get_attribute("data-card") == first, asked
        assert tab.evaluate("new URLSearchParams(location.search).get('q')") == asked.lower()
    box.fill("finetune-c")
    tab.locator("#also a").first.click()
    assert tab.locator("#answer .card").get_attribute("data-card") == box.input_value()
    box.fill("no such thing")
    assert not tab.locator("#answer .card").count()
    assert tab.locator("#found").inner_text() == f"0 of {len(CLAIMS)} claims"
    box.fill("")
    assert tab.locator("#answer .card").get_attribute("data-card") == example
    assert not tab.evaluate("location.search")


def test_a_verdict_word_is_explained_where_it_stands(visit: Open) -> None:
    tab = visit("?q=0.710615")
    button = tab.locator("#answer .ask").first
    button.click()
    word = tab.locator(".word:popover-open")
    assert "there is no run on the data that the claim is about" in word.inner_text()
    at, there = button.bounding_box(), word.bounding_box()
    assert at is not None
    assert there is not None
    assert 0 <= there["y"] - at["y"] - at["height"] <= 20


def test_print_is_short_and_in_colour(visit: Open) -> None:
    tab = visit()
    pages = tab.pdf(format="A4", print_background=False).count(b"/Type /Page\n")
    assert 1 <= pages < 10
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('.bar i')).printColorAdjust") == "exact"


def test_the_slider_shows_each_epoch_s_masks(
    visit: Open,
    masks: Callable[[int], np.ndarray],
    epochs_shown: tuple[list[int], int],
    tmp_path: Path,
) -> None:
    epochs, selected = epochs_shown
    tab = visit("#r4-seg-b")
    viewer = tab.locator("#r4-seg-b .viewer").first
    slider = viewer.get_by_role("slider")
    assert slider.get_attribute("aria-valuetext") == f"epoch {selected}, selected"
    for position, epoch in enumerate(epochs):
        slider.fill(str(position))
        told = f"epoch {epoch}, selected" if epoch == selected else f"epoch {epoch}"
        assert slider.get_attribute("aria-valuetext") == told
        assert viewer.locator("output").inner_text() == told
        for row in range(3):
            for tile, shown in ((1, 0), (2, epoch)):
                box = viewer.locator(".tile").nth(3 * row + tile)
                box.scroll_into_view_if_needed()
                picture = tmp_path / "tile.png"
                box.screenshot(path=picture)
                seen = np.array(Image.open(picture).convert("RGB").resize((64, 64))).reshape(16, 4, 16, 4, 3)
                expected = OFFICIAL_PALETTE.encode(masks(shown)[row])
                # the middle of each patch; its edges are smoothed by the scaling
                assert np.abs(seen[2::4, 1, 2::4, 1].astype(int) - expected[2::4, 2::4]).max() < 30


# ---------------------------------------------------------------- what a newcomer asks

ON_SCREEN = """() => [...document.querySelectorAll('main :is(p, td, th, dd, li, h3)')]
  .filter((e) => { const { top, bottom, width } = e.getBoundingClientRect();
                   return width && top >= 0 && bottom > 40 && top < innerHeight; })
  .map((e) => e.textContent.replace(/\\s+/g, ' ')).join(' | ')"""


@pytest.mark.parametrize(
    ("asked", "clicks", "answer"),
    [
        ("0.710615", [], ["not tested: data", "average 0.710615", "in line with others"]),
        ("", ["nav a:text-is('R3')"], ["0.8981 is no whole number of 2,500 images"]),
        (
            "",
            ["nav a:text-is('Findings')", "a:text('is the gain the ResNet')"],
            ["the skips alone gain a median of 2.0 points over VGG16-FCN32s"],
        ),
        ("r1-finetune", [], ["bench run r1-finetune-a --data DIR --tier full --seeds 3", "on one NVIDIA"]),
        ("", ["nav a:text-is('Audit')"], ["bench audit table.md"]),
    ],
    ids=["r4 0.710615", "r3 impossible", "fcn8s or resnet34", "r1 A to E", "a table of one's own"],
)
def test_a_newcomer_s_question_is_answered_on_one_screen(
    visit: Open, asked: str, clicks: list[str], answer: list[str]
) -> None:
    tab = visit(width=1440)
    if asked:
        tab.get_by_role("searchbox").fill(asked)
    for link in clicks:
        tab.locator(link).first.click()
    seen = tab.evaluate(ON_SCREEN)
    for words in answer:
        assert words in seen


def test_a_flag_of_a_report_leads_to_its_claims(visit: Open) -> None:
    tab = visit()
    tab.locator("section:has(#r3) .whole a.flag").filter(has_text="inconsistent").click()
    tab.locator("#answer .card[data-card=r3-classify-b]").wait_for()


# ---------------------------------------------------------------- for everybody


def test_everything_can_be_done_with_the_keyboard(visit: Open, epochs_shown: tuple[list[int], int]) -> None:
    tab = visit()

    def focused() -> str:
        return str(tab.evaluate("document.activeElement.textContent.trim()"))

    def tab_to(name: str) -> None:
        for _ in range(80):
            tab.keyboard.press("Tab")
            if focused() == name and tab.evaluate("document.activeElement.tagName") != "A":
                style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert style == "solid", f"{name}: focus cannot be seen"
                return
        raise AssertionError(f"{name} is not reached by the tab key")

    tab.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"
    tab_to("")  # the search box
    assert tab.evaluate("document.activeElement.id") == "q"
    head(tab, "value").get_by_role("button").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("th[aria-sort=ascending] button").filter(has_text="value").count() == 1
    unfold(tab)
    summary = tab.locator("#r4-seg-b > summary")
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#r4-seg-b table.runs").is_visible()
    tab.locator("#r4-seg-b input[type=range]").first.focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#r4-seg-b output").first.inner_text() == f"epoch {epochs_shown[0][0]}"
    tab.get_by_role("combobox", name="Data").focus()
    tab.keyboard.type("stand")
    tab.get_by_role("status").filter(has_text="1 of ").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Open, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = visit(color_scheme=scheme)
    tab.evaluate(
        "for (const one of document.querySelectorAll("
        "'#r4-seg-b, #r4-classify, #r1-order-full, details:not([id])')) one.open = true"
    )
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    found = Axe().run(tab).response
    assert len(found["passes"]) > 20
    assert [(v["id"], [node["html"] for node in v["nodes"]][:3]) for v in found["violations"]] == []


@pytest.mark.parametrize("width", [320, 375, 768])
def test_a_narrow_page_scrolls_down_only(visit: Open, width: int) -> None:
    tab = visit(width=width)
    tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    wide = tab.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right"
        " > innerWidth + 1 && !e.closest('.scroll, .hidden, svg, .tile, .key, thead'))"
        ".map(e => e.outerHTML.slice(0, 120))"
    )
    assert wide == []


def test_without_script_every_table_reads(visit: Open) -> None:
    tab = visit(java_script_enabled=False)
    assert not tab.locator("#filters").is_visible()
    assert tab.locator("table[data-board] tr[data-grade]:visible").count() == (
        tab.locator("table[data-board] tr[data-grade]").count()
    )
    assert not tab.locator("#find").is_visible()
    assert tab.locator("#answer .card").is_visible()
    assert not tab.locator("main button:not(.ask)").count()
    tab.locator(".every:has(#r4-seg-b) > summary").click()
    tab.locator("#r4-seg-b > summary").click()
    assert tab.locator("#r4-seg-b table.runs").is_visible()
    strip = tab.locator("#r4-seg-b figure[data-strips] img").first
    assert strip.is_visible()
    assert "predicted masks, " in strip.get_attribute("alt")
