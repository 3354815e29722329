"""The documentation as a suite reads it: fenced blocks, tables, links."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line it starts at, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0, f"{path.name}: a fence is not closed"
    found = _FENCE.finditer(text)
    return [Block(path.name, text[: m.start()].count("\n") + 1, m[1], m[2]) for m in found]


@pytest.fixture(scope="session")
def blocks_of() -> Callable[[str], list[Block]]:
    """``blocks_of("docs/data.md")``: the blocks of a page."""
    return lambda name: read_blocks(ROOT / name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``page``: every page; ``command``: every command of every page but the guide, which has its own."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", PAGES, ids=lambda path: path.name)
    if "command" in metafunc.fixturenames:
        found = [
            pytest.param(line, id=f"{path.name}: {line}")
            for path in PAGES
            if path.name != "add-a-report.md"
            for block in read_blocks(path)
            if block.language == "bash"
            for line in command_lines(block.text)
        ]
        metafunc.parametrize("command", found)


def command_lines(text: str) -> list[str]:
    """The commands of a block: comments left out, continued lines joined."""
    joined = text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [" ".join(line.split()) for line in lines if line]
