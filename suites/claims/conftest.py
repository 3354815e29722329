"""What the tests of reports of one's own share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.claims import added, ledger
from reference import outside
from reference.data import own
from reference.recipes import RECIPES

PACKAGED = dict(RECIPES)


@pytest.fixture
def for_this_test_only(tmp_path: Path) -> Iterator[None]:
    """What a process knows of reports of one's own is forgotten again."""
    path = list(sys.path)
    outside.source_hash.cache_clear()
    yield
    RECIPES.clear()
    RECIPES.update(PACKAGED)
    added.SLUGS.clear()
    added._RUN.clear()
    ledger.ADDED.clear()
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    outside.source_hash.cache_clear()
    own.open_own.cache_clear()
    importlib.invalidate_caches()
