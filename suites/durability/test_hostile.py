"""Hostile files: refused in one line that names the file, or read as documented; never run."""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.claims.ledger import load_ledger, load_ledgers
from bench.pages import build
from bench.runs import records
from reference.data import OFFICIAL_PALETTE
from reference.data.description import read_name, read_palette
from reference.data.images import decode_image, read_bytes
from reference.data.labelled import list_labelled, read_rows
from reference.data.landcover import read_mask
from reference.data.listing import list_folder
from reference.errors import InputError
from reference.models.weights import read_state_dict

Command = Callable[..., Any]
Make = Callable[[], bytes]

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)
HTML = "<img src=x onerror=alert(1)>|**bold** [l](javascript:x) `code`\n# head"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims so many pixels a side."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 99)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def frames(kind: str) -> bytes:
    return encoded(PHOTO, kind, save_all=True, append_images=[PHOTO.rotate(90)])


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(PHOTO, "JPEG", exif=exif)


REFUSED_IMAGES: dict[str, Make] = {
    "JPEG cut in half": lambda: encoded(PHOTO, "JPEG")[: len(encoded(PHOTO, "JPEG")) // 2],
    "PNG cut in half": lambda: encoded(PHOTO, "PNG")[: len(encoded(PHOTO, "PNG")) // 2],
    "PNG with a damaged chunk": lambda: encoded(PHOTO, "PNG")[:60] + b"\0" * 40 + encoded(PHOTO, "PNG")[100:],
    "no bytes": lambda: b"",
    "text": lambda: b"I am an image, honestly",
    "a page": lambda: b"<html><script>alert(1)</script></html>",
    "50,000 x 50,000 pixels": lambda: bomb(50_000),
    "2^31 - 1 pixels a side": lambda: bomb(2**31 - 1),
    "16-bit grey": lambda: encoded(Image.fromarray(np.zeros((8, 8), np.uint16)), "PNG"),
    "an animated GIF": lambda: frames("GIF"),
    "an animated WebP": lambda: frames("WEBP"),
    "a TIFF": lambda: encoded(PHOTO, "TIFF"),
}
READ_IMAGES: dict[str, tuple[Make, tuple[int, int]]] = {
    "CMYK": (lambda: encoded(PHOTO.convert("CMYK"), "JPEG"), (24, 16)),
    "EXIF orientation, ignored": (rotated, (24, 16)),
    "a palette": (lambda: encoded(PHOTO.quantize(7), "PNG"), (24, 16)),
    "PNG, first frame of two": (lambda: frames("PNG"), (24, 16)),
    "alpha": (lambda: encoded(PHOTO.convert("RGBA"), "PNG"), (24, 16)),
}


def refusal(work: Callable[[], object]) -> str:
    """The one line that ``work`` is refused with; empty where it is not refused or not in one line."""
    try:
        work()
    except InputError as error:
        return "" if "\n" in str(error) else str(error)
    return ""


def settle(note: Command, what: str, held: dict[str, bool]) -> None:
    note("hostile", what, sum(held.values()), len(held))
    assert all(held.values()), [name for name, fine in held.items() if not fine]


def test_images(tmp_path: Path, note: Command) -> None:
    held = {}
    path = tmp_path / "odd.jpg"
    for name, make in REFUSED_IMAGES.items():
        path.write_bytes(make())
        held[name] = "odd.jpg" in refusal(lambda: decode_image(read_bytes(path), path.name))
    for name, (make_read, size) in READ_IMAGES.items():
        path.write_bytes(make_read())
        image = decode_image(read_bytes(path), path.name)
        held[name] = (image.mode, image.size) == ("RGB", size)
    settle(note, "images", held)


def test_masks(tmp_path: Path, note: Command) -> None:
    classes = (np.arange(64) % 7).reshape(8, 8).astype(np.uint8)
    coloured = Image.fromarray(OFFICIAL_PALETTE.encode(classes))
    path, held = tmp_path / "0000_mask.png", {}
    refused: dict[str, Make] = {
        "JPEG": lambda: encoded(coloured, "JPEG"),
        "grey": lambda: encoded(coloured.convert("L"), "PNG"),
        "16 bit": lambda: encoded(Image.fromarray(classes.astype(np.uint16)), "PNG"),
        "a colour outside the palette": lambda: encoded(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG"),
        "50,000 x 50,000 pixels": lambda: bomb(50_000),
        "no bytes": lambda: b"",
    }
    for name, make in refused.items():
        path.write_bytes(make())
        held[name] = path.name in refusal(lambda: read_mask(path, OFFICIAL_PALETTE))
    path.write_bytes(encoded(coloured.quantize(16), "PNG"))
    held["palette PNG"] = bool((read_mask(path, OFFICIAL_PALETTE) == classes).all())
    settle(note, "masks", held)


CSVS: dict[str, bytes] = {
    "a repeated id": b"id,filename,label\n1,a.jpg,x\n1,b.jpg,y\n",
    "a repeated file": b"id,filename,label\n1,a.jpg,x\n2,a.jpg,y\n",
    "a path upwards": b"id,filename,label\n1,../../a.jpg,x\n",
    "an absolute path": b"id,filename,label\n1,/etc/passwd,x\n",
    "a Windows path": b"id,filename,label\n1,..\\a.jpg,x\n",
    "a NUL": b"id,filename,label\n1,a\0.jpg,x\n",
    "an escape sequence": b"id,filename,label\n1,\x1b[2Ja.jpg,x\n",
    "an open quote": b'id,filename,label\n1,"a.jpg,x\n2,b.jpg,y\n',
    "a field of 200,000 characters": b"id,filename,label\n1,a.jpg," + b"x" * 200_000 + b"\n",
    "UTF-16": "id,filename,label\n1,a.jpg,x\n".encode("utf-16"),
    "a column missing": b"id,label\n1,x\n",
    "a column twice": b"id,filename,label,id\n1,a.jpg,x,1\n",
    "a field too many": b"id,filename,label\n1,a.jpg,x,y\n",
    "an empty label": b"id,filename,label\n1,a.jpg,\n",
    "no rows": b"id,filename,label\n",
    "no bytes": b"",
}


def test_tables_of_labels(tmp_path: Path, note: Command) -> None:
    path, held = tmp_path / "train.csv", {}
    for name, content in CSVS.items():
        path.write_bytes(content)
        held[name] = "train.csv" in refusal(lambda: read_rows(path))
    path.write_bytes(b"\xef\xbb\xbfid,filename,label\r\n1,a.jpg,Alarm\r\n2,b.jpg,Bed\r\n")
    held["BOM and CRLF"] = [row.label for row in read_rows(path)] == ["Alarm", "Bed"]
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    held["a row without its file"] = "'b.jpg'" in refusal(lambda: list_labelled(path, tmp_path / "images"))
    (tmp_path / "images" / "b.jpg").touch()
    (tmp_path / "images" / "c.jpg").touch()
    held["a file without its row"] = "c.jpg" in refusal(lambda: list_labelled(path, tmp_path / "images"))
    settle(note, "tables of labels", held)


@pytest.mark.slow
def test_a_table_of_a_million_rows(tmp_path: Path, note: Command) -> None:
    path = tmp_path / "train.csv"
    lines = (f"{i},{i:07d}.jpg,class {i % 64}\n" for i in range(1_000_000))
    path.write_text("id,filename,label\n" + "".join(lines))
    held = {"read": len(read_rows(path)) == 1_000_000}
    with path.open("a") as file:
        file.write("7,last.jpg,x\n")
    held["its one repeated id"] = "lines 9 and 1000002" in refusal(lambda: read_rows(path))
    settle(note, "a table of a million rows, slow", held)


def test_names_and_links(tmp_path: Path, note: Command) -> None:
    """A link to a regular file is that file, whatever folder it lies in; its content is judged like any."""
    pattern, held = re.compile(r".+\.jpg"), {}
    (tmp_path / "outside").write_bytes(b"root:x:0:0")

    def listed(name: str) -> list[Path]:
        return [path for path, _ in list_folder(tmp_path / name, pattern, "*.jpg")]

    for name, make in {
        "a link to nothing": lambda path: path.symlink_to(tmp_path / "gone"),
        "a link to itself": lambda path: path.symlink_to(path),
        "a link to a folder": lambda path: path.symlink_to(tmp_path),
        "a link to a device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "a pipe": lambda path: __import__("os").mkfifo(path),
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "a.jpg")
        held[name] = "a.jpg" in refusal(lambda name=name: listed(name))  # type: ignore[misc]
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.jpg").symlink_to(tmp_path / "outside")
    (path,) = listed("link")
    held["a link to a file that is no image"] = "a.jpg" in refusal(
        lambda: decode_image(read_bytes(path), str(path))
    )
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "a\n\x1b[31m.jpg").touch()
    held["a name with control characters"] = "\\x1b" in refusal(lambda: listed("name"))
    settle(note, "names and links", held)


class Runs:
    """Unpickled, it would end this process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import os; os._exit(99)",))


def test_weights(tmp_path: Path, note: Command) -> None:
    contents: dict[str, Callable[[Path], object]] = {
        "pickle.pth": lambda path: path.write_bytes(pickle.dumps(Runs())),
        "torch.pth": lambda path: torch.save({"w": Runs()}, path),
        "whole_model.pth": lambda path: torch.save(torch.nn.Linear(2, 2), path),
        "number.pth": lambda path: torch.save({"w": 3}, path),
        "empty.pth": lambda path: path.write_bytes(b""),
        "empty.safetensors": lambda path: path.write_bytes(b""),
        "long_header.safetensors": lambda path: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
        "pickle.safetensors": lambda path: path.write_bytes(pickle.dumps(Runs())),
    }
    held = {}
    for name, make in contents.items():
        make(tmp_path / name)
        held[name] = name in refusal(lambda name=name: read_state_dict(tmp_path / name))  # type: ignore[misc]
    settle(note, "weights", held)


def test_weights_of_another_run_are_those_of_its_record(run: Command, tmp_path: Path, note: Command) -> None:
    assert run("r3-byol", tmp_path).code == 0
    (weights,) = tmp_path.glob("work/r3-byol/*/weights.safetensors")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    ended = run("r3-finetune-c", tmp_path)
    held = {"one bit": ended.code == 2 and "not the weights of record r3-byol/" in ended.lines[-1]}
    held["no traceback"] = "Traceback" not in ended.said
    settle(note, "weights that a run starts from, altered", held)


def test_palettes_and_claims(tmp_path: Path, note: Command) -> None:
    path, held = tmp_path / "dataset.toml", {}
    sound = 'name = "n"\nclasses = ["a", "b"]\npalette = ["#000001", "#000002"]\n'
    unknown = 'unknown = { index = 2, colour = "#000003" }\n'
    palettes = {
        "a repeated colour": sound.replace("02", "01") + unknown,
        "a repeated class": sound.replace('"b"', '"a"') + unknown,
        "unknown among the classes": sound.replace('"b"', '"unknown"') + unknown,
        "300 classes": f"name='n'\nclasses={[str(i) for i in range(300)]}\npalette=[]\n" + unknown,
        "a colour in words": sound.replace('"#000002"', '"red"') + unknown,
        "another index": sound + unknown.replace("2,", "1,"),
        "a name over two lines": sound.replace('"n"', '"n\\nm"') + unknown,
        "an unknown key": "future = 1\n" + sound + unknown,
    }
    for name, text in palettes.items():
        path.write_text(text)
        held[name] = "dataset.toml" in refusal(lambda: read_palette(path))
    path.write_text(sound + unknown)
    assert read_palette(path)[0] == "n"
    path.write_text("name = 3")
    held["a number for a name"] = "dataset.toml" in refusal(lambda: read_name(path))
    claims = tmp_path / "r9.toml"
    for name, text in {
        "no report": "[[claim]]\nid = 'a'",
        "no claims": "[report]\nid = 'r9'\ntitle = 't'",
        "an id with a path": "[report]\nid = '../r9'\ntitle = 't'",
        "a list for a table": "report = [1]\nclaim = 3",
        "an unknown key in a claim": "[report]\nid='r9'\ntitle='t'\n[[claim]]\nid='r9-a'\nrun='rm'",
    }.items():
        claims.write_text(text)
        held[name] = "r9.toml" in refusal(lambda: load_ledger(claims))
    settle(note, "palettes and claims", held)


def a_record() -> dict[str, Any]:
    path = next((Path(records.__file__).parents[2] / "results" / "records" / "r4-classify").glob("*.json"))
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del body["content_hash"]
    return body | {"figures": []}


def written(folder: Path, body: dict[str, Any], name: str = "") -> Path:
    path = folder / "records" / "r4-classify" / f"{name or body['run_id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(body | {"content_hash": records.hash_of(body)}), encoding="utf-8")
    return path


FORGERIES: dict[str, dict[str, Any]] = {
    "a slug upwards": {"slug": "../../r4"},
    "a run id upwards": {"run_id": "../../../../0123"},
    "a picture upwards": {"figures": [{"kind": "tsne", "file": "figures/../../secret", "sha256": ""}]},
    "a picture anywhere": {"figures": [{"kind": "tsne", "file": "/etc/passwd", "sha256": ""}]},
    "a future schema": {"schema": 99},
    "a status of its own": {"status": "fine"},
    "a tier of markup": {"tier": "<b>full</b>"},
    "a source of markup": {"data": {"source": "official|x"}},
    "metrics of text": {"metrics": {"best": "0.99"}},
    "a negative count": {"confusion": [[-1]]},
    "no selection": {"recipe": {}},
    "a name over lines": {"data": {"source": "official", "name": "x\n```\n# y"}},
    "a commit of markup": {"provenance": {"commit": "`|<b>"}},
    "a curve of text": {"curves": {"train_loss": ["low"]}},
}


def test_records(command: Command, tmp_path: Path, note: Command) -> None:
    """One that cannot be read is listed and counted by no grade; the others' tables are written."""
    body = a_record()
    good = written(tmp_path, body)
    text = good.read_text()
    for name, change in FORGERIES.items():
        written(tmp_path, body | change, name.replace(" ", "-"))
    others = {
        "edited": text.replace('"seed": 0', '"seed": 1'),
        "truncated": text[:500],
        "a list": "[]",
        "empty": "",
        "deep": "[" * 100_000,
        "a number beyond measure": "9" * 5000,
    }
    for name, content in others.items():
        (good.parent / f"{name.replace(' ', '-')}.json").write_text(content)
    assert text != others["edited"]
    count = len(FORGERIES) + len(others)
    names = [name.replace(" ", "-") for name in (*FORGERIES, *others)]
    said = records.find(tmp_path).refused
    held = {name: any(f"/{name}.json: " in line and "\n" not in line for line in said) for name in names}
    held["the good one is read"] = len(records.read_all(tmp_path)) == 1
    report = command("report", "--out", tmp_path)
    held["tables are written"] = report.code == 0 and report.said.count("warning: not counted: ") == count
    page = (tmp_path / "claims.md").read_text()
    held["and list them"] = f"## Records that cannot be read: {count}\n" in page
    held["check fails"] = command("report", "--check", "--out", tmp_path).code == 1
    settle(note, "records", held)


def marked(value: Any) -> Any:
    """Every string in a value replaced by markup."""
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item) for item in value]
    return HTML if isinstance(value, str) else value


def test_markup_in_records_and_claims_is_shown_as_text(tmp_path: Path, note: Command) -> None:
    body = a_record()
    kept = ("run_id", "slug", "tier", "status", "recipe", "recipe_hash", "weights_hash", "metrics", "curves")
    hostile = {key: value if key in kept else marked(value) for key, value in body.items()}
    line = HTML.replace("\n", " ")
    hostile["data"] = body["data"] | {"source": "stand-in", "name": line, "note": line}
    hostile["numerics"] = body["numerics"] | {"device": line, "dtype": line}
    hostile["provenance"]["commit"] = None
    written(tmp_path, hostile)
    written(tmp_path, hostile | {"run_id": "0" * 16, "status": "failed"}, "0" * 16)
    assert len(records.read_all(tmp_path)) == 2, records.find(tmp_path).refused
    claims = tmp_path / "r9.toml"
    markup = json.dumps(line)
    claims.write_text(
        f"[report]\nid = 'r9'\ntitle = {markup}\n[[claim]]\nid = 'r9-a'\nkind = 'explanation'\nline = 3\n"
        f"text = {markup}\nnote = {markup}\ntested_by = ['r4-classify']\n"
    )
    pages = build.render(tmp_path, load_ledgers([claims]))
    # the page in HTML has pictures of its own; what it makes of hostile text, suites/page asks a parser
    html = pages.pop("index.html")
    held = {"index.html": line not in html and "<img src=x" not in html}
    for name, text in pages.items():
        page = re.sub(r"^```text\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
        raw = re.findall(r"(?<!\\)<img", page)
        rows = [line for line in page.splitlines() if line.startswith("| ") and "img src" in line]
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
        heads = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("| --")}
        held[name] = not raw and widths <= heads and "\n# head" not in page
    shown = sum("img src" in page for page in pages.values())
    settle(note, "pages of records and claims full of markup", held | {"it is there": shown >= 3})
