"""End work in order after Ctrl-C, SIGTERM or a closed terminal, and tell how to resume it.

An exception that is raised wherever the signal arrives can get lost: much code catches everything or leaves
things half-made, the import of a module for example. So the handler only notes the signal, and
``stop_if_asked`` raises it after every step. Work that takes too long to get there is broken off.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
PATIENCE, AGAIN = 2.0, 5.0
"""Seconds until work is broken off wherever it is, and until a further signal does it once more."""


@dataclass
class _Asked:
    """The signal that came (None before), and when it was raised: saving must not be interrupted again."""

    number: int | None = None
    raised: float | None = None


_asked = _Asked()


def asked() -> bool:
    """Whether a signal has asked the work to end."""
    return _asked.number is not None


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt or SystemExit if a signal has asked the work to end."""
    if _asked.number is not None:
        raise error()


def error() -> BaseException:
    """Return KeyboardInterrupt after Ctrl-C, else SystemExit with the signal's exit code."""
    assert _asked.number is not None
    _asked.raised = time.monotonic()
    return KeyboardInterrupt() if _asked.number == signal.SIGINT else SystemExit(128 + _asked.number)


def command() -> str:
    """Return the command that was typed, including torchrun's words."""
    local, everywhere = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    launch = ["torchrun", "--nproc-per-node", str(local)] if everywhere > 1 else []
    launch += ["--nnodes", str(everywhere // local)] if everywhere > local else []
    return shlex.join([*launch, *(["-m"] if launch else []), "bench", *sys.argv[1:]])


@contextmanager
def interruptible(*, told: bool = True) -> Iterator[None]:
    """Let signals end the work inside, and print the command that resumes it.

    Args:
        told: whether to print that command. A worker leaves this to its parent.

    A signal that the process was told to ignore when it started (``nohup``) stays ignored.
    """

    def come(number: int, frame: FrameType | None) -> None:
        if _asked.number is None:
            _asked.number = number
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        elif _asked.raised is not None and time.monotonic() - _asked.raised > AGAIN:
            raise error()

    def late(number: int, frame: FrameType | None) -> None:
        if _asked.raised is None:
            raise error()

    there = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    handlers = {number: come for number in there if signal.getsignal(number) is not signal.SIG_IGN}
    before = {number: signal.getsignal(number) for number in (*handlers, signal.SIGALRM)}
    try:
        for number, handler in (handlers | {signal.SIGALRM: late}).items():
            signal.signal(number, handler)
        yield
    except (KeyboardInterrupt, SystemExit):
        if told:
            print(f"interrupted; go on with: {command()}", file=sys.stderr, flush=True)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, earlier in before.items():
            signal.signal(number, earlier)
        _asked.number = _asked.raised = None
