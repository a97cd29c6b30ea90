"""What happens beside the remapping unit during a log: messages, pins, local APICs, fault events; for `observer`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from vsim.devices import chain, msi, vlapic
from vsim.devices.vioapic import message as pin_message
from vsim.devices.vpic import CASCADE
from vsim.guest.ways import SHORT_ID
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import MSI_ADDRESS, MSI_DATA, RTE
from vsim.layouts.registers import ECAP
from vsim.protocol.conduct import Conduct
from vsim.protocol.facts import (
    Fact,
    LeftFaults,
    LeftInService,
    MessageChanged,
    NotEnded,
    NotTaken,
    PinDisagrees,
    WideId,
)
from vsim.state import commands as c
from vsim.state.arrays import PIC_BYTES, Apic, Machine, Pic
from vsim.state.trace import Act, Drop, Event, Kind

Units = dict[int, Conduct]
_NUMBER = 0xFFFFFF
_FAULT, _COMPLETION = 0, 1      # of Act.NOTIFIED
_VECTOR = MSI_DATA.vector.mask
_SENT = int(Act.SENT)
_ARRIVED = {int(Act.ACCEPTED), int(Act.MERGED)}
_NOTED = _ARRIVED | {int(act) for act in (Act.TAKEN, Act.ENDED, Act.DROPPED, Act.INTA, Act.NOTIFIED, Act.OVERFLOWED,
                                          Act.REMAPPED, Act.IRR_CLEARED)}
"""Acts that `IrqObserver` looks at; the arrival of an interrupt only where it may be a unit's own."""


class Sources:
    """Which indexes the messages and pins of a machine name that can be sent now; worked out where it is asked for."""

    def __init__(self, m: Machine) -> None:
        self.m = m
        self._users: dict[int, dict[tuple[int, int], str]] = {}
        self._index: dict[tuple[int, int], int] = {}
        self._dirty: dict[tuple[int, int], None] = {}
        self._rte, self._pins = array("Q"), dict[int, int]()
        for place in range(len(m.bus.functions)):
            self.changed(place)

    def changed(self, place: int, number: int = -1) -> None:
        """A message of a function has changed, or any of them (-1)."""
        function = self.m.bus.functions[place]
        if number < 0:
            for each in range(max(function.msix_count, function.msi_count)):
                self._dirty[place, each] = None
        else:
            self._dirty[place, number] = None

    def using(self, index: int) -> str:
        """A source that can fire through an entry, in words; "" when there is none."""
        for key in self._dirty:
            self._renew(key)
        self._dirty.clear()
        if self._rte != self.m.rte:
            self._rte = self.m.rte[:]
            self._pins = {_named(*pin_message(entry)): pin for pin, entry in enumerate(self._rte)
                          if not get(entry, RTE.mask)}
        if index in self._pins:
            return f"pin {self._pins[index]}"
        return next(iter(self._users.get(index, {}).values()), "")

    def _renew(self, key: tuple[int, int]) -> None:
        self._users.get(self._index.pop(key, -1), {}).pop(key, None)
        state, address, data = msi.message(self.m.bus, self.m.config, self.m.msix, *key)
        index = _named(address, data) if state == msi.READY else -1
        if index >= 0:
            self._index[key] = index
            name = f"message {key[1]} of {bdf_text(self.m.bus.functions[key[0]].bdf)}"
            self._users.setdefault(index, {})[key] = name


def _named(address: int, data: int) -> int:
    """The index that a message names, -1 for one in compatibility format."""
    return chain.index_of(address & 0xFFFFFFFF, data, 0) if get(address, MSI_ADDRESS.format) else -1


def _has_records(units: Units, number: int) -> bool:
    return number in units and bool(units[number].records)


@dataclass(slots=True)
class PinSent:
    """A level pin whose remapped message differs from what its entry says; ended: when its vector was ended."""

    sent: int
    delivered: int
    ended: int = 0


@dataclass(slots=True)
class IrqObserver:
    """Beside the unit. early: vCPUs that went into x2APIC mode before a unit had 32-bit destinations.

    in_service: when (vCPU, vector) was taken. notices: the units' own events that wait at (vCPU, vector): unit, and 0
    for a fault, 1 for a completion. faults: when the fault event of a unit with records in use was taken.
    completions: units whose completion event was taken by the command. fetched: when an IRQ was taken from the 8259.
    """

    m: Machine
    early: set[int] = field(default_factory=set)
    in_service: dict[tuple[int, int], int] = field(default_factory=dict)
    pins: dict[int, PinSent] = field(default_factory=dict)
    faults: dict[int, int] = field(default_factory=dict)
    notices: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    completions: list[int] = field(default_factory=list)
    fetched: dict[int, int] = field(default_factory=dict)
    _notice: tuple[int, int] | None = None
    _messages: list[tuple[int, int, int, int]] = field(default_factory=list)
    _modes: tuple[int, int] = (-1, 0)

    # --- before a command ---

    def before(self, command: c.Command) -> tuple[int, int]:
        """Remember what the command may change; the message that it writes, as `_touched` names it."""
        place, number = self._touched(command)
        self._messages = list(self._sendable(place, number)) if place >= 0 else []
        self._modes = -1, 0
        if isinstance(command, c.Msr) and command.vcpu < self.m.vcpus:
            self._modes = command.vcpu, self.m.apic_mode[command.vcpu]
        return place, number

    def _touched(self, command: c.Command) -> tuple[int, int]:
        """(place, number) of the message that a command writes; -1 for all of the function; (-1, -1) for none."""
        if isinstance(command, c.ConfigWrite):
            return self.m.bus.place(command.bdf), -1
        if isinstance(command, c.Mmio) and (table := self.m.bus.table_at(command.address)) is not None:
            place = table[0]
            number = (command.address - self.m.bus.bar(place)) // msi.ENTRY_BYTES
            if number < self.m.bus.functions[place].msix_count:
                return place, number
        return -1, -1

    def _sendable(self, place: int, number: int) -> Iterator[tuple[int, int, int, int]]:
        """(place, number, address, data) of the messages that are written and that could be sent now."""
        function = self.m.bus.functions[place]
        numbers = (number,) if number >= 0 else range(function.msi_count) if function.msi_maskable else ()
        for each in numbers:
            state, address, data = msi.message(self.m.bus, self.m.config, self.m.msix, place, each)
            if state == msi.READY:
                yield place, each, address, data

    # --- after it ---

    def after(self, events: list[Event], time: int, units: Units) -> Iterator[Fact]:
        """The facts of a command that has been done."""
        for place, number, address, data in self._messages:
            state, *now = msi.message(self.m.bus, self.m.config, self.m.msix, place, number)
            if state in (msi.READY, msi.MASKED) and now != [address, data]:
                yield MessageChanged(time, self.m.bus.functions[place].bdf, number)
        if self._modes[0] >= 0:
            yield from self._mode_changed(time, units)
        self.completions.clear()
        self._notice = None
        if self.faults:
            self.faults = {number: taken for number, taken in self.faults.items() if _has_records(units, number)}
        sent: Event | None = None
        for event in events:
            act = event.act
            if act == _SENT:
                sent = event
            elif act in _NOTED and (self._notice or act not in _ARRIVED):
                yield from self._event(event, sent, time, units)

    def _mode_changed(self, time: int, units: Units) -> Iterator[Fact]:
        """A vCPU that went into x2APIC mode, or left it (V 10.1, step 7)."""
        vcpu, before = self._modes
        if before == self.m.apic_mode[vcpu]:
            return
        self.early.discard(vcpu)
        if self.m.apic_mode[vcpu] != Apic.X2APIC:
            return
        able = [unit for unit in units.values() if get(unit.ecap, ECAP.eim)]
        if able and not any(unit.remapping and unit.eime for unit in able):
            self.early.add(vcpu)
        if self.m.apic_id[vcpu] > SHORT_ID and any(unit.remapping and not unit.eime for unit in units.values()):
            yield WideId(time, vcpu, self.m.apic_id[vcpu])

    def _event(self, event: Event, sent: Event | None, time: int, units: Units) -> Iterator[Fact]:
        number = event.node & _NUMBER
        if event.act == Act.TAKEN and not event.low:
            self.in_service[number, event.index] = time
            self._taken(self.notices.pop((number, event.index), None), time, units)
        elif event.act == Act.ENDED:
            self.in_service.pop((number, event.index), None)
            for pin in self.pins.values():
                pin.ended = pin.ended or (time if pin.delivered & _VECTOR == event.index else 0)
        elif event.act == Act.DROPPED and event.node >> 24 == Kind.VLAPIC and event.index == Drop.DISABLED:
            yield NotTaken(time, number, event.high)
        elif event.act == Act.INTA and not event.high:
            self.fetched[event.low] = time
        elif event.act == Act.NOTIFIED:
            self._notice = number, event.index
        elif event.act in (Act.ACCEPTED, Act.MERGED) and self._notice:
            self.notices[number, event.index] = self._notice
            self._notice = None
        elif event.act == Act.OVERFLOWED and self.faults.get(number):
            yield LeftFaults(time, units[number], units[number].records[0] if units[number].records else 0,
                             event.index)
            del self.faults[number]
        else:
            yield from self._pin_event(event, sent, time)

    def _taken(self, notice: tuple[int, int] | None, time: int, units: Units) -> None:
        """An interrupt was taken; notice: the unit whose own event it was, and which one."""
        if notice and notice[1] == _FAULT and notice[0] in units and units[notice[0]].records:
            self.faults[notice[0]] = time
        elif notice and notice[1] == _COMPLETION:
            self.completions.append(notice[0])

    def _pin_event(self, event: Event, sent: Event | None, time: int) -> Iterator[Fact]:
        """Level pins: what was sent and delivered, and whether remote IRR is cleared again (V 3.4)."""
        pin = event.node & _NUMBER
        if event.act == Act.REMAPPED and sent and sent.node >> 24 == Kind.VIOAPIC and sent.serial == event.serial:
            level = get(sent.high, MSI_DATA.tm)
            if level and (event.high ^ sent.high) & (MSI_DATA.tm.mask | _VECTOR):
                self.pins[sent.node & _NUMBER] = PinSent(sent.high, event.high)
            elif not level and get(event.high, MSI_DATA.tm):
                yield PinDisagrees(time, sent.node & _NUMBER, sent.high, event.high, False)
        elif event.act == Act.IRR_CLEARED:
            self.pins.pop(event.index, None)
        elif event.act == Act.DROPPED and event.index == Drop.PENDING and pin in self.pins and self.pins[pin].ended:
            gone = self.pins.pop(pin)
            yield PinDisagrees(time, pin, gone.sent, gone.delivered, True)

    def loose_ends(self, units: Units) -> Iterator[Fact]:
        """What the log left undone."""
        for pin, left in self.pins.items():
            if left.ended:
                yield PinDisagrees(left.ended, pin, left.sent, left.delivered, True)
        for (vcpu, vector), time in self.in_service.items():
            if vlapic.is_set(self.m.isr, vcpu, vector):
                yield NotEnded(time, vcpu, vector)
        for irq, time in self.fetched.items():
            behind = irq > 7 and self.m.pic[Pic.ISR] >> CASCADE & 1
            if behind or self.m.pic[PIC_BYTES * (irq >> 3) + Pic.ISR] >> (irq & 7) & 1:
                yield LeftInService(time, irq)
        for number, time in self.faults.items():
            if _has_records(units, number):
                yield LeftFaults(time, units[number], units[number].records[0], 0)
