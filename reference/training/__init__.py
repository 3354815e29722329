"""One loop for every task; each task has one small file of its own."""

from __future__ import annotations

from types import ModuleType

from reference.training import byol, classify, segment

TASKS: dict[str, ModuleType] = {"classify": classify, "segment": segment, "byol": byol}
