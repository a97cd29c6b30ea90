"""What only a machine's past knows: which interrupts were taken where, and which fault records a kernel read.

The commands are done again on a copy of the machine at first, so undo and redo need no books.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import NamedTuple

from vsim.devices import msi
from vsim.findings.subject import Subject
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import CAP, FSTS, OFFSET
from vsim.machine import step
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Event, Kind

Owner = tuple[str, int, int]
"""Who raises an interrupt: ("message", function, number), ("pin", GSI, 0) or ("unit", its number, 0)."""
_NUMBER = 0xFFFFFF      # of a node


class Handled(NamedTuple):
    """A fault handler's visit: the unit, FSTS as read, and the records that were in use, 128 bits each, in order."""

    unit: int
    status: int
    records: list[int]


class Past:
    """taken: how often each vCPU took each owner's interrupt; handled: visits of the fault handler, in order.

    Interrupts of which the trace kept no event (`arrays.MOST_EVENTS` of one command) are not counted.
    """

    def __init__(self, subject: Subject) -> None:
        self.taken: Counter[tuple[Owner, int]] = Counter()
        self.handled: list[Handled] = []
        self._machine = subject.first.copy() if subject.first else subject.machine.copy()
        self._machine.events = []
        self._sent: tuple[int, Owner | None] = (0, None)
        self._arrived: dict[tuple[int, int], Owner] = {}
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._parts: dict[tuple[int, int], dict[int, int]] = {}     # bytes of a record read so far
        self._status: dict[int, int] = {}
        for command in islice(subject.commands, subject.done) if subject.first else ():
            for event in step(self._machine, command):
                self._see(event)

    def _see(self, event: Event) -> None:
        kind, number = event.node >> 24, event.node & _NUMBER
        if event.act == Act.SENT and kind in (Kind.DEVICE, Kind.VIOAPIC):
            owner = self._message(number, event) if kind == Kind.DEVICE else ("pin", _gsi(self._machine, number), 0)
            self._sent = event.serial, owner
        elif event.act == Act.NOTIFIED and kind == Kind.VIOMMU and not event.index:
            self._sent = event.serial, ("unit", number, 0)
        elif event.act in (Act.ACCEPTED, Act.MERGED) and kind == Kind.VLAPIC:
            serial, owner = self._sent
            if owner and serial == event.serial:
                self._arrived[number, event.index] = owner
            else:
                self._arrived.pop((number, event.index), None)
        elif event.act == Act.TAKEN and kind == Kind.VLAPIC:
            if owner := self._arrived.get((number, event.index)):
                self.taken[owner, number] += 1
        elif event.act == Act.READ and kind == Kind.VIOMMU:
            self._look(number, event)

    def _message(self, bdf: int, event: Event) -> Owner | None:
        """The message of a function that has this address and data; None for one that is programmed nowhere."""
        m, key = self._machine, (bdf, event.low, event.high)
        place = m.bus.place(bdf)
        if place < 0:
            return None
        function = m.bus.functions[place]
        known = self._numbers.get(key)
        for number in (*(() if known is None else (known,)), *range(function.msix_count or function.msi_count)):
            if msi.message(m.bus, m.config, m.msix, place, number)[1:] == key[1:]:
                self._numbers[key] = number
                return "message", bdf, number
        return None

    def _look(self, unit: int, event: Event) -> None:
        """A read of FSTS, or of a part of a fault record, which is known once all its parts were read."""
        cap = self._machine.profile.of_unit(unit).cap
        first = 16 * get(cap, CAP.fro)
        if event.index == OFFSET["FSTS"]:
            self._status[unit] = event.low
        elif first <= event.index < first + 16 * (get(cap, CAP.nfr) + 1):
            at = event.index % 16
            parts = self._parts.setdefault((unit, event.index - at), {})
            parts.update((n, event.low >> 8 * (n - at) & 0xFF) for n in range(at, min(at + event.high, 16)))
            if len(parts) == 16:
                self._record(unit, int.from_bytes(bytes(parts[n] for n in range(16)), "little"))
                parts.clear()

    def _record(self, unit: int, record: int) -> None:
        status = self._status.pop(unit, None)
        if status is not None and status & FSTS.ppf.mask:
            self.handled.append(Handled(unit, status, []))
        if get(record, FRCD.f) and self.handled and self.handled[-1].unit == unit:
            self.handled[-1].records.append(record)


def _gsi(m: Machine, pin: int) -> int:
    """The GSI of a pin, by its place among those of all I/O APICs."""
    ioapic = next(each for each in reversed(m.profile.options.ioapics) if pin >= each.first)
    return ioapic.gsi + pin - ioapic.first
