"""One loop for every task; what differs between tasks is in one small file each."""

from __future__ import annotations

from types import ModuleType

from reference.training import byol, classify, segment

TASKS: dict[str, ModuleType] = {"classify": classify, "segment": segment, "byol": byol}
