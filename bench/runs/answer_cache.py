"""Keep answers that depend on the code alone on disk, so that a command can give them without torch.

One JSON file holds the answers of one version of the code. Its name has a hash of everything that the
answers depend on, so an edit of the code makes another file. A damaged file is ignored.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reference.errors import DiskError
from reference.files import write_atomically

FOLDER = "reproducibility-bench"
KEPT = 6
"""Files of one kind that stay: those of other checkouts and versions are used too."""


def default_folder() -> Path:
    """Return ``$BENCH_ANSWERS``, else our folder in the user's cache: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if chosen := os.environ.get("BENCH_ANSWERS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / FOLDER


class AnswerCache:
    """Answers by question. The first question reads the file, ``save`` writes it.

    An answer consists of Python's literals: text, numbers, None, and tuples, lists and dictionaries of them.

    Args:
        kind: what is kept, first part of the file's name.
        follows_from: hashes and versions of everything that the answers depend on.
        folder: where the file lies; else ``default_folder()``.
    """

    def __init__(self, kind: str, follows_from: Mapping[str, str], folder: Path | None = None) -> None:
        key = hashlib.sha256(json.dumps(dict(follows_from), sort_keys=True).encode()).hexdigest()
        self.path = (folder or default_folder()) / f"{kind}-{key[:32]}.json"
        self._kind = kind
        self._answers: dict[str, str] | None = None
        self._is_new = False

    def answer(self, question: str, compute: Callable[[], Any]) -> Any:
        """Return the kept answer, or compute it and keep it if it consists of literals."""
        answers = self._read()
        if question in answers:
            return ast.literal_eval(answers[question])
        answer = compute()
        if _is_literal(answer):
            answers[question] = repr(answer)
            self._is_new = True
        return answer

    def save(self) -> None:
        """Write the file if there are new answers. If it cannot be written, nothing is kept."""
        if not self._is_new:
            return
        answers = self._read()
        body = {"sha256": _hash(answers), "answers": answers}
        try:
            write_atomically(self.path, json.dumps(body, indent=1, ensure_ascii=False).encode())
            files = sorted(
                self.path.parent.glob(f"{self._kind}-*.json"), key=lambda file: file.stat().st_mtime
            )
            for old in files[:-KEPT]:
                old.unlink(missing_ok=True)
        except (DiskError, OSError):
            return  # a full or read-only disk: the answers were given, the next command repeats them
        self._is_new = False

    def _read(self) -> dict[str, str]:
        if self._answers is None:
            self._answers = _answers_in(self.path)
        return self._answers


def _answers_in(path: Path) -> dict[str, str]:
    """Return the answers of a file, or none if the file is missing or is not as we wrote it."""
    try:
        body = json.loads(path.read_bytes())
        answers = dict(body["answers"].items())
        return answers if body["sha256"] == _hash(answers) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _hash(answers: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()


def _is_literal(value: Any) -> bool:
    try:
        return repr(ast.literal_eval(repr(value))) == repr(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
