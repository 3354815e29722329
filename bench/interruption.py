"""Ctrl-C, SIGTERM and a closed terminal: work ends once, in order, and says how it goes on."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal raise KeyboardInterrupt or SystemExit, and ignore more of them from then on.

    What is being put in order after the first (a checkpoint, a record) is not cut short by a second. A signal
    that the process was started to ignore, as by ``nohup``, stays ignored. What this process was called with
    goes on with the work, so that is printed.
    """
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    there = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in there}
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in caught:
            signal.signal(number, stop)
        yield
    except (KeyboardInterrupt, SystemExit):
        command = shlex.join(["bench", *sys.argv[1:]])
        print(f"interrupted; go on with: {command}", file=sys.stderr, flush=True)
        raise
    finally:
        for number in caught:
            signal.signal(number, before[number])
