"""The page in a real Chromium, from a disk: what a reader does with it, by mouse, by keys, without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.runs import tiers
from reference.data.dataset import OFFICIAL_PALETTE
from reference.recipes import RECIPES

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
EPOCHS = tiers.apply(RECIPES["r4-seg-b"], "smoke")[0].mask_epochs


def column(tab: Any, number: int, source: str) -> list[str]:
    """Cells that are to be seen, of one kind of evidence on the board of Office-Home."""
    rows = tab.locator(f"{OFFICE} tbody[data-source={source}] tr[data-grade]:visible")
    return [text.strip() for text in rows.locator(f"> :nth-child({number})").all_inner_texts()]


def head(tab: Any, name: str) -> Any:
    return tab.locator(f"{OFFICE} thead th", has=tab.get_by_role("button", name=name, exact=True))


# ---------------------------------------------------------------- leaderboard


def test_a_column_sorts_both_ways_within_its_kind_of_evidence(visit: Open) -> None:
    tab = visit()
    best = [float(v) for v in column(tab, 3, "official")]
    assert best == sorted(best, reverse=True)
    assert head(tab, "rank").get_attribute("aria-sort") == "ascending"
    head(tab, "value").get_by_role("button").click()
    assert head(tab, "value").get_attribute("aria-sort") == "ascending"
    assert head(tab, "rank").get_attribute("aria-sort") == "none"
    assert [float(v) for v in column(tab, 3, "official")] == best[::-1]
    ours = [float(v) for v in column(tab, 3, "synthetic")]
    assert ours == sorted(ours)
    head(tab, "value").get_by_role("button").click()
    assert head(tab, "value").get_attribute("aria-sort") == "descending"
    assert [float(v) for v in column(tab, 3, "official")] == best


def test_what_has_no_number_sorts_last_both_ways(visit: Open) -> None:
    tab = visit()
    tab.locator(OFFICE).first.evaluate(
        "table => { table.querySelector('tbody[data-source=official] tr[data-grade]').cells[2].textContent"
        " = '–' }"
    )
    for _ in range(2):
        head(tab, "value").get_by_role("button").click()
        assert column(tab, 3, "official")[-1] == "–"


def test_a_negative_figure_is_a_number_too(visit: Open) -> None:
    tab = visit()
    tab.locator(OFFICE).first.evaluate(
        "table => { table.querySelector('tbody[data-source=official] tr[data-grade]').cells[2].textContent"
        " = '−0.5' }"
    )
    head(tab, "value").get_by_role("button").click()
    assert column(tab, 3, "official")[0] == "−0.5"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"source": "synthetic"}, lambda r: r["source"] == "synthetic"),
        ({"tier": "printed"}, lambda r: r["tier"] == "printed"),
        (
            {"tier": "smoke", "source": "stand-in"},
            lambda r: (r["tier"], r["source"]) == ("smoke", "stand-in"),
        ),
        ({"grade": "not tested: data"}, lambda r: r["grade"] == "not tested: data"),
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
    every = tab.locator("table[data-board] tr[data-grade]").evaluate_all(read)
    for name, choice in choices.items():
        label = {"tier": "Tier", "source": "Data", "grade": "Standing"}[name]
        tab.get_by_role("combobox", name=label, exact=True).select_option(choice)
    wanted = [row for row in every if expected(row)]
    assert 0 < len(wanted) < len(every)
    tab.get_by_role("status").filter(has_text=f"{len(wanted)} of {len(every)} entries").wait_for()
    while tab.locator("button.more:visible").count():
        tab.locator("button.more:visible").first.click()
    after = tab.locator("table[data-board] tr[data-grade]").evaluate_all(read)
    assert [not row["hidden"] for row in after] == [expected(row) for row in every]
    headings = tab.locator("tr.evidence:visible").count()
    groups = tab.locator("table[data-board] tbody:has(tr[data-grade]:visible)").count()
    assert headings == groups


def test_long_rankings_are_shown_in_full_when_asked(visit: Open) -> None:
    tab = visit()
    assert len(column(tab, 3, "synthetic")) == 25
    tab.get_by_role("button", name="Show all 30").click()
    assert len(column(tab, 3, "synthetic")) == 30
    assert tab.evaluate("document.activeElement.tagName") == "A"  # the first of the new ones
    assert not tab.locator("button.more:visible").count()


# ---------------------------------------------------------------- claims


def test_a_claim_opens_by_click_and_by_link(visit: Open) -> None:
    tab = visit()
    claim = tab.locator("#r4-seg-b")
    assert not claim.locator("table.runs").is_visible()
    claim.locator("summary").first.click()
    assert claim.locator("table.runs").is_visible()
    assert "synthetic data, smoke tier" in claim.locator(".plot").inner_text()
    tab.locator("a[href='#r4-seg-a']").first.click()
    assert tab.locator("#r4-seg-a table.runs").is_visible()
    assert visit("#r4-classify").locator("#r4-classify table.runs").is_visible()


def test_the_slider_shows_each_epoch_s_masks(
    visit: Open, masks: Callable[[int], np.ndarray], tmp_path: Path
) -> None:
    tab = visit("#r4-seg-b")
    viewer = tab.locator("#r4-seg-b .viewer").first
    slider = viewer.get_by_role("slider")
    for position, epoch in enumerate(EPOCHS):
        slider.fill(str(position))
        assert slider.get_attribute("aria-valuetext") == f"epoch {epoch}"
        assert viewer.locator("output").inner_text() == f"epoch {epoch}"
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


# ---------------------------------------------------------------- for everybody


def test_everything_can_be_done_with_the_keyboard(visit: Open) -> None:
    tab = visit()

    def focused() -> str:
        return str(tab.evaluate("document.activeElement.textContent.trim()"))

    def tab_to(name: str) -> None:
        for _ in range(80):
            tab.keyboard.press("Tab")
            if focused() == name:
                style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert style == "solid", f"{name}: focus cannot be seen"
                return
        raise AssertionError(f"{name} is not reached by the tab key")

    tab.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"
    tab_to("value")
    tab.keyboard.press("Enter")
    assert tab.locator("th[aria-sort=ascending] button").filter(has_text="value").count() == 1
    summary = tab.locator("#r4-seg-b > summary")
    summary.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#r4-seg-b table.runs").is_visible()
    tab.locator("#r4-seg-b input[type=range]").first.focus()
    tab.keyboard.press("ArrowLeft")
    assert tab.locator("#r4-seg-b output").first.inner_text() == f"epoch {EPOCHS[-2]}"
    tab.get_by_role("combobox", name="Data").focus()
    tab.keyboard.type("stand")
    tab.get_by_role("status").filter(has_text="1 of ").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Open, scheme: str) -> None:
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
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [node["html"] for node in v["nodes"]][:3]) for v in serious] == []


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
    assert not tab.locator("main button").count()
    tab.locator("#r4-seg-b > summary").click()
    assert tab.locator("#r4-seg-b table.runs").is_visible()
    strip = tab.locator("#r4-seg-b figure[data-strips] img").first
    assert strip.is_visible()
    assert "predicted masks, " in strip.get_attribute("alt")
