"""Whether a checkout's code is that of its commit: in a git repository made here, changed in every way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.runs import provenance

NAMES = {f"GIT_{role}_{what}": "suite" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
UNKNOWN = {"commit": None, "dirty": True, "diff_hash": None}


def git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **NAMES, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the two packages, a file next to them and one commit."""
    root = tmp_path / "checkout"
    for name in ("bench/runs/plan.py", "reference/losses.py", "reference/data.toml", "docs/page.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one\n")
    (root / "pyproject.toml").write_text("")
    (root / ".gitignore").write_text("runs/\n__pycache__/\n/bench/alignment.json\n")
    git(root, "init", "-q")
    git(root, "add", "--force", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


def unstaged(root: Path) -> None:
    (root / "reference/losses.py").write_text("two\n")


def staged(root: Path) -> None:
    unstaged(root)
    git(root, "add", ".")


def staged_and_changed_back(root: Path) -> None:
    staged(root)
    (root / "reference/losses.py").write_text("three\n")


def staged_alone(root: Path) -> None:
    (root / "bench/new.py").write_text("new\n")
    git(root, "add", ".")


def untracked(root: Path) -> None:
    (root / "reference/own.py").write_text("new\n")


def untracked_in_a_folder(root: Path) -> None:
    (root / "bench/own").mkdir()
    (root / "bench/own/claims.toml").write_text("new\n")


def untracked_and_ignored(root: Path) -> None:
    (root / "bench/runs/own.py").write_text("new\n")


def removed(root: Path) -> None:
    (root / "reference/losses.py").unlink()


def executable(root: Path) -> None:
    (root / "reference/losses.py").chmod(0o755)


def not_text(root: Path) -> None:
    (root / "reference/losses.py").write_bytes(b"\xff\xfe\x00")


CHANGES = (
    unstaged,
    staged,
    staged_and_changed_back,
    staged_alone,
    untracked,
    untracked_in_a_folder,
    untracked_and_ignored,
    removed,
    executable,
    not_text,
)


def test_a_clean_checkout_is_its_commit(root: Path) -> None:
    clean = {"commit": git(root, "rev-parse", "HEAD"), "dirty": False, "diff_hash": None}
    assert provenance.source(root) == clean
    (root / "docs/page.md").write_text("no code\n")
    (root / "notes.txt").write_text("no code\n")
    (root / "bench/alignment.json").write_text("{}")
    (root / "bench/__pycache__").mkdir()
    (root / "bench/__pycache__/plan.pyc").write_bytes(b"bytes")
    assert provenance.source(root) == clean


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_the_code_is_dirty(change: Callable[[Path], None], root: Path) -> None:
    commit = git(root, "rev-parse", "HEAD")
    change(root)
    found = provenance.source(root)
    assert (found["commit"], found["dirty"]) == (commit, True)
    assert len(found["diff_hash"]) == 64
    assert provenance.source(root) == found


def test_other_changes_have_other_hashes(root: Path) -> None:
    found: list[dict[str, Any]] = []
    for name, content in (("a", "1"), ("a", "2"), ("b", "2")):
        path = root / "reference" / f"{name}.py"
        path.write_text(content)
        found.append(provenance.source(root))
        path.unlink()
    (root / "reference/losses.py").write_text("2")
    found.append(provenance.source(root))
    git(root, "add", ".")
    assert provenance.source(root) == found[-1], "staging changes no code"
    assert len({one["diff_hash"] for one in found}) == 4
    git(root, "commit", "-q", "-m", "two")
    assert provenance.source(root)["dirty"] is False
    assert provenance.source(root)["commit"] != found[-1]["commit"]


def test_a_checkout_that_git_cannot_read_is_dirty(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(root / ".git", root / ".git-moved")
    assert provenance.source(root) == UNKNOWN
    shutil.move(root / ".git-moved", root / ".git")
    monkeypatch.setenv("PATH", str(root))
    assert provenance.source(root) == UNKNOWN


def test_a_repository_without_a_commit_is_dirty(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    git(tmp_path, "init", "-q")
    assert provenance.source(tmp_path) == UNKNOWN


def test_a_copy_inside_another_repository_is_not_that_ones_commit(root: Path) -> None:
    copy = root / "runs" / "copy"
    for package in ("bench", "reference"):
        shutil.copytree(root / package, copy / package)
    (copy / "pyproject.toml").write_text("")
    assert provenance.source(copy)["dirty"] is True


def test_variables_of_git_lead_to_no_other_repository(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = provenance.source(root)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert provenance.source(root) == clean


def test_an_installed_package_has_no_checkout(root: Path) -> None:
    (root / "pyproject.toml").unlink()
    assert provenance.source(root) == {"commit": None, "dirty": None, "diff_hash": None}
