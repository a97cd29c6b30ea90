"""Faults that were recorded, also those that the guest has read since: a record is cleared, what happened stays."""

from __future__ import annotations

from typing import NamedTuple

from vsim.history.log import History
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD, REASON_TEXT
from vsim.layouts.registers import FSTS
from vsim.machine import unit_register
from vsim.state.arrays import PAGE_WORDS, Machine
from vsim.state.trace import Act, Event, Kind
from widgets.lab.panel import line, scrolling, table

MOST = 40
"""Faults that are kept; older ones are forgotten."""
FARTHEST = 4096
"""Commands that are gone through for them at most when a history is opened or moved in."""


class Recorded(NamedTuple):
    """One record as it was written. tick: commands before it; word: the register, 128 bits."""

    tick: int
    unit: int
    number: int
    word: int


class Faults:
    """The last faults up to the cursor of a history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.known: list[Recorded] = []
        self._upto = max(0, history.position - FARTHEST)
        self.moved()

    def issued(self, events: list[Event]) -> None:
        """Take the events of what was just done; those of a future that it replaces go."""
        if events:
            self._cut(events[0].tick)
        self._take(events)
        self._upto = self.history.position

    def moved(self) -> None:
        """The cursor was moved: back, or over commands that were done before."""
        here, first = self.history.position, self.history.first.tick
        self._cut(first + here)
        if here > self._upto:
            self._take(self.history.events(max(self._upto, here - FARTHEST), here))
        self._upto = here

    def _cut(self, tick: int) -> None:
        self.known = [each for each in self.known if each.tick < tick]

    def _take(self, events: list[Event]) -> None:
        self.known += [Recorded(e.tick, e.node & 0xFFFFFF, e.index, e.high << 64 | e.low) for e in events
                       if e.act == Act.RECORDED and e.node >> 24 == Kind.VIOMMU]
        del self.known[:-MOST]


def pending(m: Machine, fault: Recorded) -> bool:
    """Whether a record still stands in its register and waits to be read."""
    if not m.live(fault.unit) or not unit_register(m, "FSTS", fault.unit) & FSTS.ppf.mask:
        return False
    at = PAGE_WORDS * fault.unit + m.profile.capabilities.fault_offset // 4 + 4 * fault.number
    word = sum(m.regs[at + n] << 32 * n for n in range(4))
    return bool(get(word, FRCD.f)) and word == fault.word


def told(m: Machine, faults: Faults) -> str:
    """The faults as a table, the newest first; what waits to be read is stressed."""
    known = faults.known[::-1]
    if not known:
        return line("No fault has been recorded.", "muted")
    waits = [pending(m, each) for each in known]
    rows = [_row(each, now) for each, now in zip(known, waits, strict=True)]
    mine = table(("command", "reason", "from, index", "record"), rows, "Recorded faults",
                 [n for n, now in enumerate(waits) if now])
    count = f"{len(known)} faults" if len(known) > 1 else "1 fault"
    return f"<h3>{count} recorded, {sum(waits)} pending</h3>" + scrolling(mine, "Recorded faults", 150)


def _row(fault: Recorded, now: bool) -> tuple[str, ...]:
    reason = int(get(fault.word, FRCD.reason))
    return (str(fault.tick), f"{reason:#x}, {REASON_TEXT.get(reason, 'unknown')}",
            f"{bdf_text(int(get(fault.word, FRCD.sid)))}, {get(fault.word, FRCD.index)}",
            f"FRCD{fault.number}: pending" if now else "read and cleared")
