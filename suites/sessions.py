"""A pytest session of its own, for suites that look at what ``conftest.py`` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a session: no worker, and no plugin unless named, so pytest starts fast."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return outside | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | more


def run_pytest(
    rootdir: Path, *words: str, plugin: str, cwd: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest with one plugin under another root folder.

    Args:
        plugin: module of the plugin, such as ``"xdist.plugin"``.
        more: further variables of the environment.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin]
    command += ["--rootdir", str(rootdir), *words]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False
    )
