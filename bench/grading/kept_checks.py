"""Answers of the deterministic checks, kept on disk: they follow from the code, and torch takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bench.grading import grader
from bench.runs import provenance
from bench.runs.answer_cache import AnswerCache

ROOMS = ("checks", "printed", "audit", "claims", "score.py")
"""What of ``bench`` the checks' answers follow from."""


@contextmanager
def kept(folder: Path | None = None) -> Iterator[None]:
    """Within it, the checks answer from the disk where the code is as it was.

    Args:
        folder: where the answers lie; else the user's cache folder.
    """
    cache = AnswerCache("checks", _follows_from(), folder)
    present = grader.checks()
    computed = dict(present)
    present.update({claim: partial(cache.answer, claim, check) for claim, check in computed.items()})
    try:
        yield
    finally:
        present.update(computed)
        cache.save()


def _follows_from() -> dict[str, str]:
    return {
        "reference": provenance.reference_hash(),
        "bench": provenance.bench_hash(ROOMS),
        **{name: version(name) for name in ("torch", "torchvision", "numpy", "pillow")},
    }
