"""Random text to every reader of foreign text: it reads it or refuses it in one line, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.claims import ledger
from bench.pages import reliability
from bench.printed import printed_files, printout
from bench.runs import records
from bench.throughput import results
from reference.data.description import read_name, read_palette
from reference.data.labelled import read_rows
from reference.errors import InputError

Read = Callable[[Path], object]

PLAIN, SOAK = 300, 20_000

CLAIMS = """\
[report]
id = "r9"
title = "A report"
year = 2024

[[claim]]
id = "r9-top1"
kind = "number"
line = [12, 13]
text = "top-1 on the validation split"
metric = "top1"
value = "0.7856"
unit = "fraction"
data = "classification50"
split = "val"

[[claim]]
id = "r9-other"
kind = "number"
line = 14
text = "another"
metric = "top1"
value = "78"
unit = "percent"
data = "classification50"
split = "val"

[[claim]]
id = "r9-order"
kind = "ordering"
line = 20
text = "the first is better"
metric = "top1"
order = ["r9-top1", "r9-other"]
"""

LISTING = (printed_files.LISTINGS / "r4-classify-listing.toml").read_text(encoding="utf-8")

PRINTED = """\
FCN(
  (features): Sequential(
    (0): Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    (1-2): 2 x ReLU(inplace=True)
    (3): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (score): ConvTranspose2d(64, 7, kernel_size=(64, 64), stride=(32, 32))
)
"""

CSV = 'id,filename,label\r\n1,a.jpg,"Alarm, Clock"\r\n2,b.jpg,Bed\r\n3,c.jpg,Mug\r\n'

PALETTE = """\
name = "stand-in"
classes = ["building", "road", "water"]
palette = ["#3C1098", "#8429F6", "#6EC1E4"]
unknown = { index = 3, colour = "#9B9B9B" }
"""

THROUGHPUT = json.dumps({"schema": 1, "machine": {"cpu": "x"}, "rows": [{"work": "w", "samples": [1.0]}]})
NOTE = json.dumps(
    {"code_hash": "0", "rows": [{"section": "fuzz", "what": "w", "held": 1, "tried": 1, "where": "t"}]}
)


def a_record() -> dict[str, Any]:
    """The body of a record of this repository."""
    path = next(records.paths(Path(records.__file__).parents[2] / "results"))
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del body["content_hash"]
    body["curves"], body["confusion"] = {"train_loss": [0.5, None]}, [[1, 0], [0, 1]]
    return body


RECORD = a_record()


def _listing(path: Path) -> object:
    return printed_files.read_listing(path.read_text(encoding="utf-8", errors="replace"), path.name)


def _printed(path: Path) -> object:
    return printout.parse(path.read_text(encoding="utf-8", errors="replace"))


READERS: dict[str, tuple[str, Read]] = {
    "claims": (CLAIMS, ledger.load_ledger),
    "listings": (LISTING, _listing),
    "printed networks": (PRINTED, _printed),
    "CSV of labels": (CSV, read_rows),
    "palettes": (PALETTE, read_palette),
    "names of data sets": ('name = "stand-in"\n', read_name),
    "records": (json.dumps(RECORD | {"content_hash": records.hash_of(RECORD)}), records.read_record),
    "throughput results": (THROUGHPUT, results.read_session),
    "notes of reliability": (NOTE, lambda path: reliability.read_trials(path.parent)),
}
NAMES = {"notes of reliability": reliability.FILE}

_PIECES = st.one_of(
    st.sampled_from(
        [
            "\x00",
            "\n",
            "\r",
            '"',
            "'",
            "[",
            "]]",
            "{",
            "}",
            "#",
            "=",
            ",",
            "-1",
            "0",
            "1e999",
            "nan",
            "true",
            "..",
            "|",
            "<script>",
            "[[claim]]",
            "1979-05-27",
        ]
    ),
    st.sampled_from(["", "9" * 5000, "[" * 3000, "\u202e", "\ufeff", "/etc/passwd"]),
    st.text(max_size=8),
)


def altered(text: str) -> st.SearchStrategy[bytes]:
    """The text with pieces cut out and others put in, or anything at all."""
    edit = st.tuples(st.integers(0, len(text)), st.integers(0, 40), _PIECES)

    def apply(edits: list[tuple[int, int, str]]) -> bytes:
        changed = text
        for at, length, piece in edits:
            changed = changed[:at] + piece + changed[at + length :]
        return changed.encode("utf-8", errors="surrogatepass")

    return st.one_of(st.lists(edit, min_size=1, max_size=4).map(apply), st.binary(max_size=200))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def forged(draw: st.DrawFn) -> bytes:
    """A record with some values replaced, at any depth, and its hash made right again."""
    body = json.loads(json.dumps(RECORD))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = body
        while True:
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            place[key] = draw(_VALUES)
            break
    content = json.dumps(body | {"content_hash": records.hash_of(json.loads(json.dumps(body)))})
    return content.encode()


def tried(
    strategy: st.SearchStrategy[bytes], read: Callable[[bytes], object], examples: int
) -> tuple[int, int, BaseException | None]:
    """How many inputs were read or refused in one line, of how many, and the first other end."""
    counts, fault = [0, 0], None

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(content: bytes) -> None:
        nonlocal fault
        counts[1] += 1
        try:
            read(content)
        except InputError as error:
            if "\n" in str(error):
                fault = fault or AssertionError(f"more than one line: {error!s:.300} for {content!r:.300}")
                return
        except BaseException as error:
            fault = fault or error
            return
        counts[0] += 1

    one()
    return counts[0], counts[1], fault


@pytest.mark.parametrize("examples", [PLAIN, pytest.param(SOAK, marks=pytest.mark.slow)], ids=["", "slow"])
@pytest.mark.parametrize("name", READERS)
def test_a_reader_reads_or_refuses_in_one_line(
    name: str, examples: int, tmp_path: Path, note: Callable[..., None]
) -> None:
    text, read = READERS[name]
    path = tmp_path / NAMES.get(name, "file.toml")

    def from_file(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    held, count, fault = tried(altered(text), from_file, examples)
    note("fuzz", f"{name}{', slow' if examples == SOAK else ''}", held, count)
    assert held == count >= examples * 0.9, fault


@pytest.mark.parametrize("examples", [PLAIN, pytest.param(SOAK, marks=pytest.mark.slow)], ids=["", "slow"])
def test_a_forged_record_is_refused_or_shown(
    examples: int, tmp_path: Path, note: Callable[..., None]
) -> None:
    """Its hash is right, so what it holds is all there is to judge it by; what is read can be listed."""
    from bench.cli.list_rows import runs

    path = tmp_path / "records" / "slug" / "forged.json"
    path.parent.mkdir(parents=True)

    def listed(content: bytes) -> object:
        path.write_bytes(content)
        found = records.find(tmp_path)
        assert len(runs(found.readable)) + len(found.refused) == 1
        return records.read_record(path)

    held, count, fault = tried(forged(), listed, examples)
    note("fuzz", f"forged records{', slow' if examples == SOAK else ''}", held, count)
    assert held == count >= examples * 0.9, fault


def test_the_texts_that_are_altered_are_read_as_they_are(tmp_path: Path) -> None:
    for name, (text, read) in READERS.items():
        if name == "throughput results":
            continue  # a result of a real machine is too long to alter
        path = tmp_path / NAMES.get(name, "file.toml")
        path.write_text(text, encoding="utf-8", newline="")
        read(path)
