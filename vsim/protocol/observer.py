"""Does a log of commands on a machine of its own and tells the facts that rules can object to.

    observer = Observer(machine, reads=True)
    for command in commands:
        for fact in observer.step(command):
            ...                             # fact.unit is still as it was before the command
    for fact in observer.loose_ends():
        ...

The machine stands for a unit that does everything at once; what another correct unit might still hold is kept beside
it (`conduct`, `exposure`).
"""

from __future__ import annotations

from collections.abc import Iterator

from vsim.devices import hpet
from vsim.devices.checks import MODE_BIT, NAMES
from vsim.devices.remap import entry_of
from vsim.layouts.formats import FRCD, IRTE
from vsim.layouts.given import a
from vsim.layouts.registers import FSTS, GCMD, OFFSET, UNIT
from vsim.machine import FEE, FEE_MASK, read, step, unit_at
from vsim.protocol.conduct import Conduct, of
from vsim.protocol.delivery import Request
from vsim.protocol.exposure import ENTRY_BYTES, Change, Journal, pages_of, tables
from vsim.protocol.facts import (
    Access,
    Commanded,
    DescriptorStored,
    EntryChanged,
    Fact,
    LeftDeviceError,
    LeftUnflushed,
    OverflowCleared,
    QueueStopped,
    RecordCleared,
    Requested,
    StaleUse,
    StatusStood,
    TimerAccess,
    Torn,
    Warned,
)
from vsim.protocol.observer_irq import IrqObserver, Sources
from vsim.state import commands as c
from vsim.state.arrays import DESCRIPTOR_BYTES, LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Event, Kind, Warn

_PRESENT = IRTE.p.mask
_SENT, _WARNED, _QUEUE_ERROR, _STATUS_WRITTEN, _DEVICE_FAILED = map(int, (
    Act.SENT, Act.WARNED, Act.QUEUE_ERROR, Act.STATUS_WRITTEN, Act.DEVICE_FAILED))
_PLAIN = {int(act) for act in (Act.SENT, Act.FETCHED, Act.HIT, Act.CACHED, Act.REMAPPED, Act.PASSED, Act.ACCEPTED,
                               Act.MERGED, Act.TAKEN, Act.ENDED)}
"""A request that a unit lets through, and its way through a local APIC: no register of a unit changes."""
_VIOMMU = int(Kind.VIOMMU)
_RESETTING = c.Domctl, c.Reset
_SOURCE = IRTE.sid.mask | IRTE.sq.mask | IRTE.svt.mask
_PLACES = {offset + 4 * half: (name, half) for offset, width, name, _ in UNIT for half in range(width // 4)}
_WIDE = {offset for offset, width, _, _ in UNIT if width == 8}
_TABLE_REGISTERS = ("IQT", "IQA", "IRTA")


class Observer:
    """machine: where the first command is done; it is copied. reads: the log shows reads, so their absence counts.

    until: facts of commands behind this one are not asked for; whoever reads the facts may lower it.
    ValueError for a machine with a unit of the series, which answers by rules of its own.
    """

    def __init__(self, machine: Machine, reads: bool = True) -> None:
        a(Machine, "machine", machine)
        model = machine.profile.options.model
        if model != "vtd":
            raise ValueError(f"the unit's model is {model!r}; allowed: 'vtd', which the specification describes")
        self.m = machine.copy()
        self.m.ram = self.ram = Journal(machine.ram)
        self.reads, self.time = reads, 0
        self.until = 1 << 62
        self.units: dict[int, Conduct] = {}
        self.irq = IrqObserver(self.m)
        self.device_errors: dict[int, int] = {}
        self.sources = Sources(self.m)
        self._partial: dict[int, tuple[int, Change]] = {}
        self._told: set[tuple[int, int, int]] = set()
        self._watched: tuple[object, ...] = ()
        self._settle(c.Reset())

    # --- going on ---

    def step(self, command: c.Command) -> Iterator[Fact]:
        """Do the next command; its facts. They have to be asked for to the end: the state follows behind the last."""
        self.time += 1
        self.ram.tick(self.time)
        place, number = self.irq.before(command)
        unit = self._unit_of(command)
        stored = self._stored(command) if self.m.targets and isinstance(command, c.RamWrite) else []
        events = step(self.m, command)
        if place >= 0:
            self.sources.changed(place, number)
        if unit:
            yield from self._access(command, unit)
        elif isinstance(command, (c.Mmio, c.MmioRead)) and hpet.answers(self.m, command.address):
            yield self._timer_access(command)
        yield from stored
        if self.ram.changes:
            yield from self._changes()
        acts = [event for event in events if event.act not in _PLAIN]
        if events:
            yield from self._requests(events)
        if acts:
            yield from self._unit_acts(acts)
        yield from self.irq.after(events, self.time, self.units)
        self._follow(command, unit, acts)

    def loose_ends(self) -> list[Fact]:
        """What was not finished when the log ended, each with the time of the command that began it."""
        out: list[Fact] = []
        for unit in self.units.values():
            if unit.remapping and unit.turned and unit.flushed != "done":
                out.append(LeftUnflushed(unit.latched_at, unit, unit.flushed == "queued"))
            for stale in unit.uncovered(self.m, self.ram) if unit.remapping else ():
                if stale.held.left <= self.until and (unit.number, stale.index, stale.held.left) not in self._told:
                    out.append(StaleUse(stale.held.left, unit, -1, stale, self.m))
            left = unit.fsts & (FSTS.ite.mask | FSTS.ice.mask)
            if left and unit.number in self.device_errors:
                out.append(LeftDeviceError(self.device_errors[unit.number], unit, left))
        return [*out, *self.irq.loose_ends(self.units)]

    def _unit_of(self, command: c.Command) -> Conduct | None:
        if isinstance(command, (c.Mmio, c.MmioRead)):
            return self.units.get(unit_at(self.m, command.address))
        return None

    def _follow(self, command: c.Command, unit: Conduct | None, acts: list[Event]) -> None:
        """Take over what happened, for the next command. acts: all but plain requests and what comes of them."""
        for one in self.units.values() if unit or acts else ():
            one.follow(self.ram, acts, self.time)
        if isinstance(command, c.MmioRead):
            self._see(command, unit)
        for number in self.irq.completions:
            if number in self.units:
                self.units[number].done(self.units[number].invalidations.saw_completion())
        if not self.reads:
            for one in self.units.values():
                one.done(one.invalidations.saw_all())
        if unit or acts or type(command) is c.Reset:     # a reset makes no events
            self._settle(command)

    def _see(self, command: c.MmioRead, unit: Conduct | None) -> None:
        if unit:
            unit.saw_register(command, self.m)
            return
        data = read(self.m, command.address, command.width).to_bytes(command.width, "little")
        for one in self.units.values():
            one.done(one.invalidations.saw_memory(command.address, data))

    def _settle(self, command: c.Command) -> None:
        """Units that came, went or were reset; registers; which memory to watch."""
        if type(command) in _RESETTING:
            old = self.units if type(command) is c.Domctl else {}
            self.units = {number: old.get(number) or of(self.m, number, self.reads, self.time)
                          for number in range(self.m.units) if self.m.live(number)}
        for unit in self.units.values():
            mode = self.m.latch[LATCH_WORDS * unit.number + Latch.MODE]
            unit.settle(self.time, bool(mode & MODE_BIT["ires"]))
            unit.refresh(self.m)
        watched = tuple((u.table, len(u.exposure.periods), u.exposure.whole) for u in self.units.values())
        if watched != self._watched:
            self._watched = watched
            latched = (pages_of(*unit.table) for unit in self.units.values() if unit.table)
            self.ram.watch(tables(unit.exposure for unit in self.units.values()).union(*latched))

    # --- registers ---

    def _access(self, command: c.Command, unit: Conduct) -> Iterator[Fact]:
        if not isinstance(command, (c.Mmio, c.MmioRead)):
            return
        offset, width = command.address - unit.base, command.width
        written = command.value & (1 << 8 * width) - 1 if isinstance(command, c.Mmio) else -1
        pair = width == 8 and not offset % 8 and offset not in _WIDE
        for part in (0, 4) if pair else (0,):
            value = written >> 8 * part & 0xFFFFFFFF if pair and written >= 0 else written
            name, half = _PLACES.get(offset + part, ("", 0))
            after = read(self.m, unit.base + OFFSET[name], 8) if name in _TABLE_REGISTERS else 0
            yield Access(self.time, unit, name, offset + part, 4 if pair else width, half, value, after)
            if value >= 0 and (pair or width in (4, 8)) and not offset % 4:
                yield from self._written(unit, offset + part, name, value)

    def _written(self, unit: Conduct, offset: int, name: str, value: int) -> Iterator[Fact]:
        record, word = divmod(offset - self.m.profile.capabilities.fault_offset, 16)
        if name == "GCMD":
            yield Commanded(self.time, unit, value & sum(f.mask for f in GCMD), max(self.irq.early, default=-1))
            unit.given = self.time
        elif name == "FSTS" and value & unit.fsts & FSTS.pfo.mask and unit.records:
            yield OverflowCleared(self.time, unit, tuple(unit.records))
        elif word == 12 and value & FRCD.f.mask >> 96 and record in unit.records:
            yield RecordCleared(self.time, unit, record, unit.records[0], record in unit.read)
            unit.records.remove(record)

    # --- beside the unit ---

    def _timer_access(self, command: c.Mmio | c.MmioRead) -> Fact:
        offset = command.address - hpet.BASE
        timer = (offset - hpet.FIRST_TIMER) // hpet.TIMER_BYTES if offset >= hpet.FIRST_TIMER else -1
        there = 0 <= timer < self.m.profile.options.hpet_timers
        own = hpet.value(self.m, hpet.FIRST_TIMER + hpet.TIMER_BYTES * timer) if there else 0
        written = command.value if isinstance(command, c.Mmio) else -1
        runs = bool(hpet.value(self.m, hpet.CONFIG))
        return TimerAccess(self.time, offset, command.width, written, runs, timer, there, own)

    def _stored(self, command: c.RamWrite) -> list[Fact]:
        """The descriptors of which a store changes something."""
        out: list[Fact] = []
        start, end = command.address, command.address + len(command.data)
        for address in self.m.targets:
            low, high = max(address, start), min(address + DESCRIPTOR_BYTES, end)
            new = command.data[low - start:high - start] if low < high else b""
            if new and new != self.m.ram.read(low, high - low):
                out.append(DescriptorStored(self.time, address, high - low))
        return out

    # --- the table ---

    def _changes(self) -> Iterator[Fact]:
        for change in self.ram.changes:
            for unit in self.units.values():
                index = unit.index_at(change.address)
                if index >= 0:
                    if self.time <= self.until:
                        yield self._changed(unit, index, change)
                    if change.size != ENTRY_BYTES or self._partial:
                        yield from self._torn(unit, index, change)

    def _changed(self, unit: Conduct, index: int, change: Change) -> Fact:
        was, now = change.old[0] & _PRESENT, change.new[0] & _PRESENT
        check = unit.entry_check(self.m, index, change.new) if now and unit.remapping else 0
        reused = self._freed(unit, index, change) if unit.remapping and now and not was else 0
        user = self.sources.using(index) if unit.remapping and was and not now else ""
        return EntryChanged(self.time, unit, index, change, NAMES[check], reused, user)

    def _torn(self, unit: Conduct, index: int, change: Change) -> Iterator[Fact]:
        """Whether another part of an entry in use was stored before and the entry was present in between."""
        first = self._partial.pop(change.address, None)
        if not unit.remapping or change.size == ENTRY_BYTES:
            return
        if change.new[0] & _PRESENT:
            self._partial[change.address] = self.time, change
        if first and unit.exposure.since(index) < first[0] and not _same_half(first[1], change):
            yield Torn(first[0], unit, index, self.time)

    def _freed(self, unit: Conduct, index: int, change: Change) -> int:
        """When the words left that an entry had for another source before it was freed, if they may be held; or 0."""
        mine = entry_of(change.new) & _SOURCE
        for held in unit.exposure.held(self.ram, index):
            if held.words[0] & _PRESENT and entry_of(held.words) & _SOURCE != mine:
                return held.left
        return 0

    # --- requests, and what the unit does by itself ---

    def _requests(self, events: list[Event]) -> Iterator[Fact]:
        for event in events:
            if event.act == _SENT and event.low & FEE_MASK == FEE:
                unit = self.units.get(self.m.unit_of(event.index))
                request = Request(event.index, event.low, event.high)
                yield Requested(self.time, unit, request)
                stale = unit.stale(self.m, self.ram, request) if unit else None
                if unit and stale and (key := (unit.number, stale.index, stale.held.left)) not in self._told:
                    self._told.add(key)
                    yield StaleUse(self.time, unit, request.requester, stale, self.m)

    def _unit_acts(self, acts: list[Event]) -> Iterator[Fact]:
        stored = iter(self.ram.stored)
        for event in acts:
            act = event.act
            unit = self.units.get(event.node & 0xFFFFFF) if event.node >> 24 == _VIOMMU else None
            if unit and act == _DEVICE_FAILED and not unit.fsts & (FSTS.ite.mask | FSTS.ice.mask):
                self.device_errors[unit.number] = self.time
            if unit and act == _QUEUE_ERROR:
                yield QueueStopped(self.time, unit, event.index)
            elif act == _WARNED:
                yield Warned(self.time, Warn(event.index), event.node, event.low, event.high)
            elif unit and act == _STATUS_WRITTEN and next(stored, (0, -1))[1] == event.high:
                yield StatusStood(self.time, event.low, event.high)


def _same_half(a: Change, b: Change) -> bool:
    """Two stores of the same whole half of an entry."""
    return (a.low, a.size) == (b.low, b.size) and a.size == 8
