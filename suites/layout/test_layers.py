"""Who may import whom: suites → bench → reference → torch, torchvision, numpy, Pillow. Never back."""

from __future__ import annotations

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = {"torch", "torchvision", "numpy", "PIL"}
ALSO_IN = {
    "visualize.py": {"matplotlib", "sklearn"},
    "embeddings.py": {"sklearn"},
    "automask.py": {"segment_anything"},
    "weights.py": {"safetensors"},
}
LIGHT = (
    "bench/__init__.py",
    "bench/__main__.py",
    *(f"bench/cli/{path.name}" for path in (ROOT / "bench" / "cli").glob("*.py")),
    *(f"bench/claims/{path.name}" for path in (ROOT / "bench" / "claims").glob("*.py")),
)
HEAVY = {"torch", "torchvision", "numpy", "pandas", "scipy", "matplotlib", "sklearn"}


def _imported(tree: ast.AST, *, top_level: bool = False) -> set[str]:
    nodes = ast.iter_child_nodes(tree) if top_level else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read and checked"
            names.add(str(node.module).split(".")[0])
    return names


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", _sources("reference"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_reference_imports_only_its_libraries(path: Path) -> None:
    allowed = LIBRARIES | {"reference"} | ALSO_IN.get(path.name, set()) | sys.stdlib_module_names
    assert _imported(ast.parse(path.read_text())) <= allowed


@pytest.mark.parametrize("path", _sources("bench"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_bench_never_imports_suites(path: Path) -> None:
    assert not _imported(ast.parse(path.read_text())) & {"suites", "conftest", "pytest", "hypothesis"}


@pytest.mark.parametrize(
    "path",
    [ROOT / name for name in LIGHT] + _sources("reference/recipes"),
    ids=lambda p: p.relative_to(ROOT).as_posix(),
)
def test_listings_import_nothing_heavy(path: Path) -> None:
    assert not _imported(ast.parse(path.read_text()), top_level=True) & HEAVY


ROOMS: dict[str, set[str]] = {
    "claims": set(),
    "score": set(),
    "printed": {"claims"},
    "audit": {"claims", "printed"},
    "checks": {"audit", "claims", "printed", "score"},
    "runs": {"claims"},
    "grading": {"audit", "checks", "claims", "printed", "runs"},
    "throughput": {"grading", "runs"},
    "plan": {"claims", "grading", "runs", "throughput"},
    "pages": {"audit", "claims", "grading", "plan", "runs", "throughput"},
    "cli": {"audit", "claims", "grading", "pages", "plan", "runs", "score", "throughput"},
    "__main__": {"cli"},
}
"""Each room of ``bench``, and the rooms that its files may import."""


def _rooms_imported(tree: ast.AST) -> set[str]:
    """Rooms (or single files) of ``bench`` that a file imports anywhere, within functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("bench.")}


def test_rooms_are_listed_before_the_rooms_that_use_them() -> None:
    listed = list(ROOMS)
    for room, used in ROOMS.items():
        assert used <= set(listed[: listed.index(room)]), room


@pytest.mark.parametrize("path", _sources("bench"), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_arrows_between_rooms_run_one_way(path: Path) -> None:
    place = path.relative_to(ROOT / "bench")
    if place.parts == ("__init__.py",):
        return
    room = place.parts[0].removesuffix(".py")
    assert _rooms_imported(ast.parse(path.read_text())) <= ROOMS[room] | {room}


def test_no_two_files_of_bench_share_a_name() -> None:
    names = [path.name for path in _sources("bench") if path.name != "__init__.py"]
    assert sorted(names) == sorted(set(names))


def test_results_hold_no_code() -> None:
    assert not list((ROOT / "results").rglob("*.py"))


def test_no_module_hides_what_it_is_for() -> None:
    names = {path.stem for folder in ("bench", "reference", "suites") for path in _sources(folder)}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "core", "misc", "common"}


@pytest.mark.parametrize("package", ["bench", "reference"])
def test_an_installed_copy_holds_every_data_file(package: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"][package]
    shipped = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    files = (path for path in (ROOT / package).rglob("*") if path.is_file())
    assert {path for path in files if path.suffix not in (".py", ".pyc")} == shipped


def test_no_two_classes_share_a_name() -> None:
    """Neither public nor private ones, in all of ``bench`` and ``reference``."""
    homes: dict[str, list[str]] = {}
    for path in [*(ROOT / "bench").rglob("*.py"), *(ROOT / "reference").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert len(homes) > 150
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
