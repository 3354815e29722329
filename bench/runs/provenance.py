"""Where a run came from: commit, dirty flag, versions, machine."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bench
import reference

_VERSIONED = ("torch", "torchvision", "numpy", "pillow", "scipy", "scikit-learn")


def collect(device: str) -> dict[str, Any]:
    """Commit and diff, package versions, driver and device of this process; names no person or folder."""
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


def source() -> dict[str, Any]:
    """Commit of this checkout, whether it is dirty, and the hash of the difference.

    An installed package has no checkout: commit is None then, and ``reference_hash`` identifies it.
    """
    root = Path(reference.__file__).parent.parent
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None or not (root / "pyproject.toml").exists():
        return {"commit": None, "dirty": None, "diff_hash": None}
    changes = _git(root, "diff", "HEAD", "--", "bench", "reference") or ""
    return {
        "commit": commit,
        "dirty": bool(changes),
        "diff_hash": hashlib.sha256(changes.encode()).hexdigest() if changes else None,
    }


@cache
def reference_hash() -> str:
    """sha256 over the source files of ``reference``: which networks, losses and recipes graded a claim."""
    return _hash_of(Path(reference.__file__).parent)


@cache
def code_hash() -> str:
    """sha256 over the source files of ``reference`` and ``bench``: whether two machines run the same code."""
    return hashlib.sha256(f"{reference_hash()} {_hash_of(Path(bench.__file__).parent)}".encode()).hexdigest()


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


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
    """The processor's model name where the system tells, else its architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
