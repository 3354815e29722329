"""Published pictures: the same picture in a smaller file, and only those that a page shows."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_up import put
from PIL import Image

from bench.claims.ledger import load_ledgers
from bench.pages import build, publish, published_pictures
from reference.errors import InputError

LEDGERS = load_ledgers()


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A published folder with the pictures of one run."""
    put(tmp_path / "runs", "r4-seg-b", 0.5)
    publish.publish(tmp_path / "runs", tmp_path / "results")
    return tmp_path / "results"


def test_a_chart_keeps_its_colours_and_shrinks() -> None:
    chart = np.full((120, 160, 3), 255, np.uint8)
    chart[20:100, ::7] = (31, 119, 180)
    chart[50:60, 40:90] = (255, 127, 14)
    small = published_pictures.with_palette(png(chart))
    assert len(small) < len(png(chart))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(small)).convert("RGB")), chart)


def test_mask_colours_of_a_photograph_strip_stay_close() -> None:
    rng = np.random.default_rng(0)
    strip = rng.integers(0, 256, (64, 128, 3)).astype(np.uint8)
    strip[:, 64:] = (0, 255, 255)
    small = np.asarray(Image.open(io.BytesIO(published_pictures.with_palette(png(strip)))).convert("RGB"))
    assert np.array_equal(small[:, 64:], strip[:, 64:])
    assert np.abs(small.astype(int) - strip).mean() < 32  # 64 colours for 4,096 random ones


def test_the_larger_of_two_files_is_never_published() -> None:
    tiny = png(np.zeros((2, 2, 3), np.uint8))
    assert len(published_pictures.with_palette(tiny)) <= len(tiny)


def test_a_picture_that_is_no_png_is_refused(tmp_path: Path) -> None:
    record = put(tmp_path / "runs", "r4-seg-b", 0.5)
    (path,) = (tmp_path / "runs" / "figures").rglob("*.png")
    path.write_bytes(b"GIF89a")
    figures = [{**record.figures[0], "sha256": published_pictures.sha256(b"GIF89a")}]
    put(tmp_path / "runs", "r4-seg-b", 0.5, figures=figures)
    path.write_bytes(b"GIF89a")
    with pytest.raises(InputError, match=r"masks\.png: no PNG") as caught:
        publish.publish(tmp_path / "runs", tmp_path / "results")
    assert "\n" not in str(caught.value)


def test_what_no_page_shows_is_named_and_then_pruned(target: Path) -> None:
    assert build.check_pages(target, LEDGERS) == []
    stray = target / "figures" / "r4-seg-b" / "stray.png"
    stray.write_bytes(b"")
    assert build.check_pages(target, LEDGERS) == ["figures/r4-seg-b/stray.png: surplus: no page shows it"]
    pages = build.render(target, LEDGERS)
    assert published_pictures.prune(target, pages) == [stray]
    assert build.check_pages(target, LEDGERS) == []


def test_pictures_of_earlier_versions_shrink_and_the_index_follows(target: Path) -> None:
    (picture,) = (target / "figures" / "r4-seg-b").rglob("*.png")
    large = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    picture.write_bytes(large)
    path = target / published_pictures.INDEX
    index = json.loads(path.read_text(encoding="utf-8"))
    for entry in index.values():
        entry["published"] = hashlib.sha256(large).hexdigest()
    path.write_text(json.dumps(index), encoding="utf-8")
    publish.publish(target.parent / "runs", target)
    assert len(picture.read_bytes()) < len(large)
    assert build.check_pages(target, LEDGERS) == []


def test_vector_pictures_stay_with_the_runs(target: Path) -> None:
    (target / "figures" / "r4-seg-b" / "0123-curves.svg").write_text("<svg/>")
    publish.publish(target.parent / "runs", target)
    assert not list(target.rglob("*.svg"))


def test_another_picture_in_its_place_is_named(target: Path) -> None:
    (picture,) = (target / "figures" / "r4-seg-b").rglob("*.png")
    picture.write_bytes(png(np.zeros((2, 2, 3), np.uint8)))
    assert any("differs from the hash in record" in line for line in build.check_pages(target, LEDGERS))


def test_an_index_of_another_drawing_is_named(target: Path) -> None:
    path = target / published_pictures.INDEX
    index = json.loads(path.read_text(encoding="utf-8"))
    for entry in index.values():
        entry["drawn"] = "0" * 64
    path.write_text(json.dumps(index), encoding="utf-8")
    assert any("name two drawings" in line for line in build.check_pages(target, LEDGERS))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"drawn": ""}}'])
def test_a_damaged_index_is_one_line(target: Path, content: str) -> None:
    (target / published_pictures.INDEX).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"index.json: no index of pictures") as caught:
        build.check_pages(target, LEDGERS)
    assert "\n" not in str(caught.value)
