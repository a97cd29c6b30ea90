"""What a person who waits for a command sees of it, and how they end it: progress, the time left, Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

EVERY = 0.2
"""Seconds between two lines of progress."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


def progress(noun: str, begun: int = 0) -> Progress | None:
    """A line on the terminal: how far it is, and how long it still takes; gone at the end. None without a terminal.

    noun: what is counted. begun: how many of them were done before, at no cost.
    """
    if not sys.stderr.isatty():
        return None
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total:
            sys.stderr.write("\r\x1b[K")
        elif now - last >= EVERY:
            last = now
            left = (now - start) / max(1, done - begun) * (total - done)
            sys.stderr.write(f"\r{done:,} of {total:,} {noun}, some {left:,.0f} s left\x1b[K")
        else:
            return
        sys.stderr.flush()

    return show


class CtrlC:
    """While it is entered, Ctrl-C asks to stop instead of raising KeyboardInterrupt, once somebody has looked.

    Work that is done in small parts asks `wanted` before each, and can end with what it knows. Before the first such
    question, and the second time, Ctrl-C raises as ever. Outside of the main thread nothing changes.
    """

    def __init__(self) -> None:
        self._asked = self._looked = False
        self._before: Any = None

    def __enter__(self) -> CtrlC:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def wanted(self) -> bool:
        """Whether to stop now."""
        self._looked = True
        return self._asked

    def _pressed(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked or not self._looked:
            raise KeyboardInterrupt
        self._asked = True
