"""Xen's debug keys, typed on its serial console while a run goes on, and what it prints for each.

Dom0 says on the console that it waits (`vsim: keys NAME`). Then the input is switched to Xen (Ctrl-a three times), the
keys are typed one after another, the input is switched back and a line end lets dom0 go on. Behind each key comes `h`,
the list of keys: Xen does what keys ask one after another, so the list begins when the print before it has ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

KEYS = {"V": "iommu 0:", "M": "MSI information", "i": "IRQ information", "z": "number of MP IRQ", "Q": "PCI devices"}
"""What is asked for, and how its print begins: remapping tables, messages, interrupts, I/O APICs, PCI devices."""
SWITCH, FENCE, GO_ON = b"\x01\x01\x01", b"h", b"\n"
BEGINS, ENDS = 30.0, 120.0
"""Seconds that Xen has to begin a print, and to end it; then what comes next is typed."""
MOST_PRINT = 1 << 20
"""Characters of a print that are kept."""
MARK = "(XEN) "
"""What Xen puts before its lines; those without are dom0's."""

_WAITS = re.compile(r"vsim: keys ([\w-]{1,40})")
_LISTED = re.compile(r"'h' pressed|key '.' \(ascii '")
_SWITCHED = re.compile(r"Serial input to ")


class _Step(NamedTuple):
    """What is typed, the line that answers it, and how many seconds that may take."""

    keys: bytes
    answer: re.Pattern[str]
    seconds: float


class Typist:
    """Types when dom0 waits: `read` takes what the console says, `typed` tells what to type now.

    dumps: what Xen printed for each key, without its mark, by name `xen-KEY-NAME`.
    """

    def __init__(self) -> None:
        self.dumps: dict[str, str] = {}
        self._steps: Iterator[_Step] = iter(())
        self._step: _Step | None = None
        self._next = b""
        self._until: float | None = None
        self._name = ""

    def read(self, text: str) -> None:
        """A line of the console."""
        waits = _WAITS.search(text)
        if self._step is None:
            if waits:
                self._steps = self._all(waits[1])
                self._go_on()
            return
        _, mark, said = text.partition(MARK)
        if not mark:
            return
        listed = _LISTED.search(said) is not None
        if self._name and not listed:
            self._keep(said)
        if listed == (self._step.answer is _LISTED) and self._step.answer.search(said):
            self._go_on()

    def _keep(self, said: str) -> None:
        kept = self.dumps.get(self._name, "")
        if len(kept) + len(said) < MOST_PRINT:
            self.dumps[self._name] = f"{kept}{said}\n"

    def typed(self, now: float) -> bytes:
        """What to type now, in seconds of any clock; nothing while an answer is waited for."""
        if self._step and self._until is not None and now > self._until:
            self._go_on()
        out, self._next = self._next, b""
        if out and self._step:
            self._until = now + self._step.seconds
        return out

    def _go_on(self) -> None:
        self._step, self._until = next(self._steps, None), None
        self._next += self._step.keys if self._step else GO_ON

    def _all(self, moment: str) -> Iterator[_Step]:
        yield _Step(SWITCH, _SWITCHED, BEGINS)
        for key, begins in KEYS.items():
            self._name = f"xen-{key}-{moment}"
            yield _Step(key.encode(), re.compile(re.escape(begins)), BEGINS)
            yield _Step(FENCE, _LISTED, ENDS)
            self._name = ""
        yield _Step(SWITCH, _SWITCHED, BEGINS)
