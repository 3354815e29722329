"""Collect where a run came from: commit, dirty flag, versions, machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bench
import reference

ROOT = Path(reference.__file__).parent.parent
_VERSIONED = ("torch", "torchvision", "numpy", "pillow", "scipy", "scikit-learn")


def collect(device: str) -> dict[str, Any]:
    """Return commit, diff, package versions, driver and device of this process, but no person or folder."""
    import torch

    cuda = device.startswith("cuda")
    return {
        **source(),
        "reference_hash": reference_hash(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _VERSIONED},
        "cuda": torch.version.cuda if cuda else None,
        "driver": _driver() if cuda else None,
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "device_count": torch.cuda.device_count() if cuda else 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def source(root: Path = ROOT) -> dict[str, Any]:
    """Commit of the checkout at ``root``, whether its code differs from it, and a hash of the difference.

    The code is ``bench`` and ``reference``. Staged, unstaged and untracked files count, and so do modules
    that git ignores, since Python imports them too. ``dirty`` is True where git cannot tell: it is not on
    the path, or the folder is no repository. An installed package has no checkout: all three are None, and
    ``reference_hash`` identifies the code.
    """
    if not (root / "pyproject.toml").exists():
        return {"commit": None, "dirty": None, "diff_hash": None}
    commit, changes = _git(root, "rev-parse", "HEAD"), _changes(root)
    if commit is None or changes is None:
        return {"commit": None, "dirty": True, "diff_hash": None}
    return {
        "commit": commit.decode().strip(),
        "dirty": bool(changes),
        "diff_hash": hashlib.sha256(changes).hexdigest() if changes else None,
    }


def _changes(root: Path) -> bytes | None:
    """Return the changes since the last commit: git's diff, then untracked files; None if git cannot tell."""
    folders = ("bench", "reference")
    diff = _git(root, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", "--", *folders)
    untracked = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *folders)
    modules = _git(root, "ls-files", "-z", "--others", "--", *(f"{folder}/*.py" for folder in folders))
    if diff is None or untracked is None or modules is None:
        return None
    names = sorted({*untracked.split(b"\0"), *modules.split(b"\0")} - {b""})
    return diff + b"".join(b"\0%s\0%s" % (name, _content(root / os.fsdecode(name))) for name in names)


def _content(path: Path) -> bytes:
    """Return the bytes of an untracked file, or none of a folder, which git names if it is a repository."""
    return path.read_bytes() if path.is_file() else b""


@cache
def reference_hash() -> str:
    """Return the sha256 over the source files of ``reference``: networks, losses and recipes."""
    return _hash_of(Path(reference.__file__).parent)


@cache
def code_hash() -> str:
    """Return the sha256 over the source of ``reference`` and ``bench``; machines compare code by it."""
    return hashlib.sha256(f"{reference_hash()} {_hash_of(Path(bench.__file__).parent)}".encode()).hexdigest()


def bench_hash(rooms: Sequence[str]) -> str:
    """Return the sha256 over the source and TOML files of some rooms or files of ``bench``."""
    folder = Path(bench.__file__).parent
    return hashlib.sha256(
        " ".join(_hash_of(folder / room, ("py", "toml")) for room in rooms).encode()
    ).hexdigest()


def _hash_of(place: Path, endings: Sequence[str] = ("py",)) -> str:
    digest = hashlib.sha256()
    folder, files = (place.parent, [place]) if place.is_file() else (place, place.rglob("*"))
    for path in sorted(path for path in files if path.suffix[1:] in endings):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _git(root: Path, *words: str) -> bytes | None:
    """Return what git prints; None if it fails. GIT_DIR and such could lead it to another repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, timeout=20, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _driver() -> str | None:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def processor() -> str:
    """Return the processor's model name if the system tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
