"""`step(machine, command)`: the only way that a machine changes, and the only place where its devices meet.

A request of a device takes this way: pin or message -> (remapping unit of the requester) -> local APICs. Everything
that happens on it is an event. No command raises an exception, whatever the guest has programmed; commands themselves
are checked when they are made (`commands`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vsim.devices import (
    crowd,
    dma,
    faults,
    hpet,
    lint,
    msi,
    posted,
    queue,
    remap,
    timer,
    vioapic,
    viommu,
    vlapic,
    vlapic_regs,
    vpic,
    vvtd,
)
from vsim.devices.checks import DROP, MODE_BIT, PASS
from vsim.devices.faults import Message
from vsim.layouts.bits import get, put
from vsim.layouts.formats import IRTE, IRTE_POSTED, PID, RTE, Reason
from vsim.layouts.registers import GSTS, OFFSET
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, MOST_BOUND, PAGE_WORDS, Apic, Latch, Machine
from vsim.state.profile import FAULTS_UNRECORDED, IOAPIC_UNVERIFIED
from vsim.state.trace import Act, Drop, Event, Kind, Trip, Warn, node
from vsim.xen import bind as xen_bind
from vsim.xen import models as xen_models
from vsim.xen import paths as xen_paths
from vsim.xen import queue as xen_queue
from vsim.xen import vvtd as xen_vvtd

FEE, FEE_MASK = 0xFEE00000, 0xFFF00000
_DEVICE, _VIOAPIC, _VIOMMU = int(Kind.DEVICE) << 24, int(Kind.VIOAPIC) << 24, int(Kind.VIOMMU) << 24
_VMSI, _KIND = node(Kind.VMSI), 0xFF << 24
# As plain ints: members of an enumeration are slow to look up, and these acts happen for every interrupt.
_SENT, _HIT, _FETCHED, _REMAPPED = map(int, (Act.SENT, Act.HIT, Act.FETCHED, Act.REMAPPED))
_REMOTE_IRR = RTE.irr.mask
_NO_INDEX = (Reason.REQUEST_RESERVED, Reason.COMPATIBILITY)


def step(m: Machine, command: c.Command, trace: bool = True) -> list[Event]:
    """Do one command; the events, in order of happening (none with trace off). ValueError for what is no command."""
    try:
        do = _DO[type(command)]
    except KeyError:
        raise ValueError(f"{command!r:.60} is no command; there are {', '.join(c.COMMANDS)}") from None
    events: list[Event] | None = [] if trace else None
    m.events = events
    m.tick += 1
    m.serial = 0
    if m.dead and type(command) is not c.Reset:
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.DEAD)
    else:
        do(m, command)
        if m.targets:
            posted.settle(m)
    if m.unshown:
        _tell_unshown(m)
    m.events = []
    return events or []


def _tell_unshown(m: Machine) -> None:
    """The last event of a command that had more than are kept: how many are missing. It costs nothing."""
    count, m.unshown = m.unshown, 0
    if m.events is not None:
        m.events.append(Event(m.tick, 0, node(Kind.XEN), Act.UNSHOWN, 0, count, 0, 0))


def run(m: Machine, commands: Iterable[c.Command]) -> list[Event]:
    """Do several commands; all their events."""
    return [event for command in commands for event in step(m, command)]


# --- the way of an interrupt ---


def request(m: Machine, requester: int, address: int, data: int, source: int) -> None:
    """One interrupt request, from a write to its end at the local APICs. requester: -1 without a source-id."""
    options = m.profile.options
    m.emit(source, _SENT, requester & 0xFFFF, address, data)
    if options.model == "vtd" and address & FEE_MASK != FEE:
        m.emit(source, Act.DROPPED, Drop.NOT_INTERRUPT, address, data)
        return
    if options.placement == "qemu":
        _ask_qemu(m, source, requester)
    if options.model != "vtd":
        _series_request(m, requester, address, data, source)
        return
    unit = m.unit_of(requester)
    if unit < 0:
        _pass(m, requester, address, data, _VMSI)
        return
    verdict = remap.look(m, unit, requester, address, data)
    here = _VIOMMU | unit
    if verdict.fetched or verdict.cached:
        _show_entry(m, unit, verdict)
    if verdict.check:
        if verdict.outcome == PASS:
            _pass(m, requester, address, data, here)
        elif verdict.outcome == DROP:
            m.emit(here, Act.DROPPED, Drop.OFF, address, data)
        else:
            _refuse(m, unit, requester, verdict)
    elif verdict.address:
        m.emit(here, _REMAPPED, verdict.index, verdict.address, verdict.data)
        if source & _KIND == _VIOAPIC:
            _compare_with_pin(m, source & 0xFFFFFF, verdict)
        vlapic.receive(m, verdict.address, verdict.data)
    else:
        _post(m, unit, requester, verdict)


def _ask_qemu(m: Machine, source: int, requester: int) -> None:
    """With the unit in QEMU, pins and passed-through devices of the hypervisor wait for it at every interrupt."""
    if m.unit_of(requester) < 0:
        return
    place = m.bus.place(source & 0xFFFF) if source >> 24 == Kind.DEVICE else -1
    if source >> 24 == Kind.VIOAPIC:
        m.emit(node(Kind.QEMU), Act.ROUND_TRIP, Trip.PIN, source & 0xFFFFFF)
    elif place >= 0 and m.bus.functions[place].passthrough:
        m.emit(node(Kind.QEMU), Act.ROUND_TRIP, Trip.HOST_IRQ, source & 0xFFFF)


def _series_request(m: Machine, requester: int, address: int, data: int, source: int) -> None:
    """The hooks of the series: pins hand over their entry, everybody else a message."""
    if source >> 24 == Kind.VIOAPIC:
        xen_paths.pin(m, source, m.rte[source & 0xFFFFFF])
    else:
        xen_paths.inject(m, requester, address, data)


def _pass(m: Machine, requester: int, address: int, data: int, here: int) -> None:
    """Compatibility format, unchanged: whatever bit 4 says, the fields are read by the old meaning."""
    low = address & 0xFFFFFFFF
    m.emit(here, Act.PASSED, requester & 0xFFFF, low, data)
    vlapic.receive(m, low, data)


def _show_entry(m: Machine, unit: int, verdict: remap.Verdict) -> None:
    w0, w1, w2, w3 = verdict.words
    m.emit(_VIOMMU | unit, _HIT if verdict.cached else _FETCHED, verdict.index, w1 << 32 | w0, w3 << 32 | w2)
    if verdict.fetched and queue.fill(m, unit, verdict):
        m.emit(_VIOMMU | unit, Act.CACHED, verdict.index, w1 << 32 | w0, w3 << 32 | w2)


def _refuse(m: Machine, unit: int, requester: int, verdict: remap.Verdict) -> None:
    """The request is blocked; the fault is recorded unless FPD of the entry keeps it quiet."""
    index = 0 if verdict.outcome in _NO_INDEX else verdict.index & 0xFFFF
    m.emit(_VIOMMU | unit, Act.BLOCKED, verdict.outcome, index, requester & 0xFFFF)
    _record(m, unit, verdict.outcome, index, requester, remap.qualified(verdict))


def _record(m: Machine, unit: int, reason: int, index: int, requester: int, quiet: bool) -> None:
    if quiet or m.quirks & FAULTS_UNRECORDED:
        m.emit(_VIOMMU | unit, Act.SUPPRESSED, reason, index, requester & 0xFFFF)
        return
    message = faults.record(m, unit, reason, index, requester & 0xFFFF)
    if message is not None:
        vlapic.receive(m, *message)


def _compare_with_pin(m: Machine, pin: int, verdict: remap.Verdict) -> None:
    """Warn of a level pin whose trigger or vector differs from the entry's (V 3.4)."""
    entry, irte = m.rte[pin], remap.entry_of(verdict.words)
    if get(entry, RTE.tm) != get(irte, IRTE.tm):
        m.emit(_VIOAPIC | pin, Act.WARNED, Warn.TRIGGER_MISMATCH, entry)
    elif get(entry, RTE.tm) and get(entry, RTE.vector) != get(irte, IRTE.vector):
        m.emit(_VIOAPIC | pin, Act.WARNED, Warn.VECTOR_MISMATCH, entry)


def _post(m: Machine, unit: int, requester: int, verdict: remap.Verdict) -> None:
    """Set the vector in the posted-interrupt descriptor; notify unless one is outstanding or suppressed (V 4.5)."""
    entry = remap.entry_of(verdict.words)
    where = get(entry, IRTE_POSTED.pda) << 6
    raw = m.ram.read(where, 64)
    descriptor = int.from_bytes(raw or b"", "little")
    if raw is None or PID.reserved_set(descriptor):
        reason = Reason.DESCRIPTOR_ERROR if raw is None else Reason.DESCRIPTOR_RESERVED
        m.emit(_VIOMMU | unit, Act.BLOCKED, reason, verdict.index, requester & 0xFFFF)
        _record(m, unit, reason, verdict.index, requester, bool(get(entry, IRTE.fpd)))
        return
    vector = get(entry, IRTE_POSTED.vector)
    urgent = get(entry, IRTE_POSTED.urg) or not get(descriptor, PID.sn)
    notify = bool(not get(descriptor, PID.on) and urgent)
    descriptor = put(descriptor, PID.pir, get(descriptor, PID.pir) | 1 << vector)
    if notify:
        descriptor = put(descriptor, PID.on, 1)
    m.ram.write(where, descriptor.to_bytes(64, "little"))
    m.emit(_VIOMMU | unit, Act.POSTED, verdict.index, where, vector | int(notify) << 8)
    if notify:
        vlapic.deliver(m, _notified(m, unit, descriptor), 0, 0, 0, 0, get(descriptor, PID.nv))


def _notified(m: Machine, unit: int, descriptor: int) -> int:
    """The APIC ID in NDST: all bits with EIME=1, bits 15:8 of the field otherwise (V 4.4)."""
    ndst = int(get(descriptor, PID.ndst))
    wide = m.latch[LATCH_WORDS * unit + Latch.MODE] & MODE_BIT["eime"]
    return ndst if wide else ndst >> 8 & 0xFF


def _send_pins(m: Machine, pins: Iterable[int]) -> int:
    """Each of these pins sends its message; how many they are."""
    sent = 0
    for pin in pins:
        sent += 1
        m.new_serial()
        address, data = vioapic.begin(m, pin)
        requester = -1 if m.quirks & IOAPIC_UNVERIFIED else vioapic.of(m, pin).sid
        request(m, requester, address, data, _VIOAPIC | pin)
    return sent


def _send_messages(m: Machine, place: int, numbers: list[int]) -> None:
    """Each of these messages of a function goes out as it is programmed now, or waits, or is lost."""
    function = m.bus.functions[place]
    source = _DEVICE | function.bdf
    for number in numbers:
        m.new_serial()
        state, address, data = msi.message(m.bus, m.config, m.msix, place, number)
        if state == msi.READY:
            request(m, m.bus.requester(function.bdf), address, data, source)
        elif state == msi.MASKED:
            msi.pend(m.bus, m.config, m.pba, place, number)
            m.emit(source, Act.PENDED, number, function.bdf)
        else:
            m.emit(source, Act.DROPPED, Drop.NO_MESSAGE if state == msi.OFF else Drop.NO_MASTER, number)


def _broadcast_eoi(m: Machine, vector: int) -> int:
    """An EOI that goes to the I/O APICs; how many pins send again."""
    return _send_pins(m, vioapic.end(m, vector)) if vector >= 0 else 0


def _end_bound(m: Machine, vcpu: int, vector: int) -> None:
    """After an EOI: the end of the passed-through message that raised the vector, if any (X 4.5)."""
    if m.bound and vector >= 0 and not vlapic.is_set(m.isr, vcpu, vector):
        xen_bind.end(m, vcpu, vector)


def _bind(m: Machine, command: c.Bind) -> None:
    if m.profile.options.model == "vtd" or len(m.bound) >= MOST_BOUND:
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.UNCLAIMED, command.address, command.data)
    else:
        xen_bind.bind(m, command.address, command.data)


def _host_irq(m: Machine, command: c.HostIrq) -> None:
    if command.place >= len(m.bound):
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.NO_MESSAGE, command.place)
        return
    m.new_serial()
    xen_bind.arrive(m, command.place)


# --- memory-mapped accesses ---


def unit_at(m: Machine, address: int) -> int:
    """The unit whose trapped region holds the address, or -1."""
    for unit in range(m.units):
        at = LATCH_WORDS * unit
        base = m.latch[at + Latch.MMIO_BASE]
        if m.latch[at + Latch.LIVE] and base <= address < base + m.latch[at + Latch.MMIO_LENGTH]:
            return unit
    return -1


def _exit(m: Machine, unit: int, address: int) -> None:
    """A trapped access leaves the guest; with the device model in QEMU it goes on to there and back."""
    m.emit(_VIOMMU | unit, Act.VM_EXIT, Trip.REGISTER, address)
    if m.profile.options.placement == "qemu":
        m.emit(node(Kind.QEMU), Act.ROUND_TRIP, Trip.REGISTER, address)


def _straddles(m: Machine, unit: int, address: int, width: int) -> bool:
    """Whether an access leaves the trapped range. Xen's dispatcher crashes the domain that does so (X 3.1)."""
    at = LATCH_WORDS * unit
    end = m.latch[at + Latch.MMIO_BASE] + m.latch[at + Latch.MMIO_LENGTH]
    if address + width <= end:
        return False
    m.emit(_VIOMMU | unit, Act.DROPPED, Drop.STRADDLE, address, width)
    if m.profile.options.model != "vtd":
        xen_models.domain_crash(m)
    return True


def _mmio(m: Machine, command: c.Mmio) -> None:
    address, width, value = command.address, command.width, command.value & (1 << 8 * command.width) - 1
    unit = unit_at(m, address)
    if unit >= 0:
        _exit(m, unit, address)
        if not _straddles(m, unit, address, width):
            _unit_write(m, unit, address - m.latch[LATCH_WORDS * unit + Latch.MMIO_BASE], width, value)
    elif (which := vioapic.at(m, address)) >= 0:
        _ioapic_write(m, which, address - m.profile.options.ioapics[which].window, width, value)
    elif hpet.answers(m, address):
        hpet.write(m, address - hpet.BASE, width, value)
    elif (table := m.bus.table_at(address)) is not None:
        _table_write(m, table[0], address - m.bus.bar(table[0]), width, value)
    elif not m.ram.write(address, value.to_bytes(width, "little")):
        m.emit(node(Kind.QEMU), Act.DROPPED, Drop.UNCLAIMED, address, value)


def _unit_write(m: Machine, unit: int, offset: int, width: int, value: int) -> None:
    if m.profile.options.model == "vtd":
        for message in vvtd.write(m, unit, offset, width, value):
            vlapic.receive(m, *message)
    else:
        _series_outputs(m, xen_vvtd.write(m, unit, offset, width, value))


def _series_outputs(m: Machine, outputs: Iterable[Message | xen_queue.Refresh]) -> None:
    """What a unit of the series makes happen: events sent, and routing of bound messages worked out again."""
    for out in outputs:
        if isinstance(out, Message):
            xen_paths.event(m, out.address, out.data)
        else:
            xen_bind.refresh(m, out.place, out.again, out.alike)


def _table_write(m: Machine, place: int, offset: int, width: int, value: int) -> None:
    """A write to a function's MSI-X table (offset in its BAR); its pending bits are read-only."""
    m.emit(_DEVICE | m.bus.functions[place].bdf, Act.WRITTEN, offset, value, width)
    _send_messages(m, place, msi.table_write(m.bus, m.config, m.pba, m.msix, place, offset, width, value))


def _ioapic_write(m: Machine, which: int, offset: int, width: int, value: int) -> None:
    if width != 4 or offset % 4:
        m.emit(node(Kind.VIOAPIC, m.profile.options.ioapics[which].first), Act.DROPPED, Drop.WIDTH, offset, value)
        return
    _send_pins(m, vioapic.write(m, offset, value, which))


def read(m: Machine, address: int, width: int) -> int:
    """What a guest reads at a guest-physical address; all ones where nothing answers."""
    unit = unit_at(m, address)
    if unit >= 0:
        base = m.latch[LATCH_WORDS * unit + Latch.MMIO_BASE]
        if _straddles(m, unit, address, width):
            return 0
        if m.profile.options.model == "vtd":
            return vvtd.read(m, unit, address - base, width)
        got = xen_vvtd.read(m, unit, address - base, width)
        return (1 << 8 * width) - 1 if got is None else got
    if (which := vioapic.at(m, address)) >= 0:
        return vioapic.read(m, address - m.profile.options.ioapics[which].window, which) if width == 4 else 0
    if hpet.answers(m, address):
        return hpet.read(m, address - hpet.BASE, width)
    if (table := m.bus.table_at(address)) is not None:
        place = table[0]
        return msi.table_read(m.bus, m.config, m.pba, m.msix, place, address - m.bus.bar(place), width)
    data = m.ram.read(address, width)
    return (1 << 8 * width) - 1 if data is None else int.from_bytes(data, "little")


def _mmio_read(m: Machine, command: c.MmioRead) -> None:
    unit = unit_at(m, command.address)
    if unit >= 0:
        _exit(m, unit, command.address)
    here = _VIOMMU | unit if unit >= 0 else node(Kind.RAM)
    if unit >= 0 and m.profile.options.model != "vtd" and xen_vvtd.hangs(m, unit):
        xen_queue.hang(m)
        return
    m.emit(here, Act.READ, command.address & 0xFFF, read(m, command.address, command.width), command.width)
    if unit >= 0 and m.profile.options.model != "vtd":
        _series_outputs(m, xen_vvtd.after_read(m, unit))


# --- the other commands ---


def _domctl(m: Machine, command: c.Domctl) -> None:
    viommu.operate(m, command.body)


def _ram(m: Machine, command: c.RamWrite) -> None:
    if not m.ram.write(command.address, command.data):
        m.emit(node(Kind.RAM), Act.DROPPED, Drop.UNCLAIMED, command.address)


def _config(m: Machine, command: c.ConfigWrite) -> None:
    place = m.bus.place(command.bdf)
    if place < 0:
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.UNCLAIMED, command.bdf, command.value)
        return
    again = msi.config_write(m.bus, m.config, m.pba, m.msix, place, command.offset, command.width, command.value)
    m.emit(_DEVICE | command.bdf, Act.WRITTEN, command.offset, command.value, command.width)
    _send_messages(m, place, again)
    if m.wires[place] and not msi.intx_allowed(m.bus, m.config, place):
        _wire(m, place, 0)


def _msi(m: Machine, command: c.Msi) -> None:
    m.serials += 1
    m.serial = m.serials
    request(m, command.requester, command.address, command.data, _DEVICE | command.requester)


def _signal(m: Machine, command: c.Signal) -> None:
    place = m.bus.place(command.bdf)
    if place < 0:
        m.emit(_DEVICE | command.bdf, Act.DROPPED, Drop.NO_MESSAGE, command.message)
    else:
        _send_messages(m, place, [command.message])


def _burst(m: Machine, command: c.Burst) -> None:
    """A generator of 64 bits (Knuth's) draws the device, then its message; a message that is off becomes number 0."""
    able = [(place, f.msix_count or f.msi_count) for place, f in enumerate(m.bus.functions)
            if f.msix_count or f.msi_count]
    drawn = command.seed
    for _ in range(command.messages if able else 0):
        drawn = _drawn(drawn)
        place, count = able[(drawn >> 33) % len(able)]
        drawn = _drawn(drawn)
        number = (drawn >> 33) % count
        if msi.message(m.bus, m.config, m.msix, place, number)[0] == msi.OFF:
            number = 0
        _send_messages(m, place, [number])
    if command.handlers:
        _handle_all(m)


def _drawn(state: int) -> int:
    return state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1


MOST_RESENT = 1 << 12
"""Interrupts that level pins send again during the handlers of a burst; a pin that stays up would go on for ever."""
_TURNS = 256


def _handle_all(m: Machine) -> None:
    """Every vCPU with a request takes and ends what it is offered, the lowest vCPU first, each at most 256 times.

    It ends when level pins that stay up, of I/O APICs and local ones, have sent `MOST_RESENT` times more.
    """
    first = m.serials
    for vcpu in crowd.touched(m.irr.tobytes(), 32):
        turns = _TURNS
        while turns > 0 and m.apic_mode[vcpu] != Apic.DISABLED:
            m.serial = 0
            if not m.room:
                turns -= vlapic.serve(m, vcpu, _awaited(m))
            offered = vlapic.pending(m, vcpu)
            if offered < 0:
                break
            turns -= 1
            if vlapic.acknowledge(m, vcpu) == offered:  # else it was an NMI, which has no EOI
                _broadcast_eoi(m, vlapic.end(m, vcpu))
                if m.serials - first > MOST_RESENT:
                    return


def _awaited(m: Machine) -> set[int]:
    """The vectors whose EOI a level pin waits for."""
    return {entry & 0xFF for entry in m.rte if entry & _REMOTE_IRR}


def _pin(m: Machine, command: c.Pin) -> None:
    pin = m.profile.options.pin_of(command.gsi)
    if pin < 0:
        m.emit(node(Kind.VIOAPIC), Act.DROPPED, Drop.NO_PIN, command.gsi, command.level)
    else:
        _send_pins(m, vioapic.set_line(m, pin, command.level))


def _isa(m: Machine, command: c.Isa) -> None:
    """A line of the mainboard, by one wire to the 8259 pair, then to the I/O APIC's pin. A rise is an interrupt."""
    before, pin = m.intr, m.profile.options.pin_of(command.irq or vpic.TIMER_GSI)
    paired = vpic.answers(m)
    if command.level and not (vpic.line_up(m, command.irq) if paired else pin >= 0 and m.direct[pin]):
        m.new_serial()
    if paired:
        vpic.line(m, command.irq, command.level)
        lint.follow(m, before)
    if command.irq == vpic.CASCADE or pin < 0 or m.direct[pin] == command.level:
        return
    sent = _send_pins(m, vioapic.set_line(m, pin, command.level))
    if sent and m.intr > before and lint.listeners(m):
        m.emit(_VIOAPIC | pin, Act.WARNED, Warn.BOTH_WAYS, m.rte[pin], command.irq)


def _port_write(m: Machine, command: c.PortWrite) -> None:
    if not _port_answers(m, command.port, command.byte):
        return
    before = m.intr
    vpic.write(m, command.port, command.byte)
    _follow_intr(m, before)


def _port_read(m: Machine, command: c.PortRead) -> None:
    """Ports that nothing answers at read all ones."""
    answers = _port_answers(m, command.port, 0xFF)
    value, before = vpic.value(m, command.port) if answers else 0xFF, m.intr
    here = node(Kind.VPIC, vpic.chip_of(command.port)) if answers else node(Kind.QEMU)
    m.emit(here, Act.READ, command.port, value, 1)
    if answers:
        vpic.after_read(m, command.port)
        _follow_intr(m, before)


def _port_answers(m: Machine, port: int, value: int) -> bool:
    if port in vpic.PORTS and vpic.answers(m):
        return True
    m.emit(node(Kind.QEMU), Act.DROPPED, Drop.UNCLAIMED, port, value)
    return False


def _follow_intr(m: Machine, before: int) -> None:
    """What a port access made of INTR: an interrupt, when it rose."""
    if m.intr > before:
        m.new_serial()
    lint.follow(m, before)


def _lint(m: Machine, command: c.Lint) -> None:
    if _known_vcpu(m, command.vcpu) and m.lint[2 * command.vcpu + command.pin] != command.level:
        if command.level:
            m.new_serial()
        lint.drive(m, command.vcpu, command.pin, command.level)


def _intx(m: Machine, command: c.Intx) -> None:
    place = m.bus.place(command.bdf)
    pin = m.profile.options.pin_of(m.bus.gsi(command.bdf)) if place >= 0 else -1
    if pin < 0 or (command.level and not msi.intx_allowed(m.bus, m.config, place)):
        m.emit(_DEVICE | command.bdf, Act.DROPPED, Drop.NO_PIN, command.level)
    elif m.wires[place] != command.level:
        _wire(m, place, command.level)


def _wire(m: Machine, place: int, level: int) -> None:
    m.wires[place] = level
    pin = m.profile.options.pin_of(m.bus.gsi(m.bus.functions[place].bdf))
    _send_pins(m, vioapic.assert_line(m, pin, 1 if level else -1))


def _known_vcpu(m: Machine, vcpu: int) -> bool:
    if vcpu < m.vcpus:
        return True
    m.emit(node(Kind.VLAPIC, vcpu), Act.DROPPED, Drop.NO_PIN, vcpu)
    return False


def _apic_write(m: Machine, command: c.ApicWrite) -> None:
    if _known_vcpu(m, command.vcpu):
        serving = vlapic.highest(m.isr, command.vcpu)
        _broadcast_eoi(m, vlapic_regs.write(m, command.vcpu, command.register, command.value & 0xFFFFFFFF))
        _end_bound(m, command.vcpu, serving)


def _msr(m: Machine, command: c.Msr) -> None:
    if _known_vcpu(m, command.vcpu):
        serving = vlapic.highest(m.isr, command.vcpu)
        _broadcast_eoi(m, vlapic_regs.write_msr(m, command.vcpu, command.index, command.value))
        _end_bound(m, command.vcpu, serving)


def _cr8(m: Machine, command: c.Cr8) -> None:
    if _known_vcpu(m, command.vcpu):
        vlapic_regs.write_cr8(m, command.vcpu, command.value)


def _iret(m: Machine, command: c.Iret) -> None:
    if _known_vcpu(m, command.vcpu):
        vlapic.end_nmi(m, command.vcpu)


def _acknowledge(m: Machine, command: c.Acknowledge) -> None:
    if not _known_vcpu(m, command.vcpu):
        return
    if m.targets:
        posted.taken(m, command.vcpu)
    if not ((m.intr or m.extint[command.vcpu]) and lint.acknowledge(m, command.vcpu)):
        vlapic.acknowledge(m, command.vcpu)


def _tick(m: Machine, command: c.Tick) -> None:
    """Timers fire. Time stops at 2^63 ns (292 years), so that the costs of later events still fit 64 bits."""
    before = hpet.counter(m)
    m.clock = max(m.clock, min(m.clock + command.ns, 1 << 63))
    timer.expire(m)
    for fired in hpet.expire(m, before):
        sid = m.profile.options.hpet_sid
        request(m, sid, fired.address, fired.data, _DEVICE | sid)


def _out_of_memory(m: Machine, command: c.OutOfMemory) -> None:
    m.doomed = command.count


def _dma(m: Machine, command: c.Dma) -> None:
    """A DMA request through the unit of its requester; a write to 0xFEEx_xxxx is an interrupt request with data 0."""
    m.new_serial()
    source = _DEVICE | command.requester
    if command.address & FEE_MASK == FEE and not command.read:
        request(m, command.requester, command.address, 0, source)
        return
    m.emit(source, Act.DMA, command.requester, command.address, command.read)
    unit = m.unit_of(command.requester) if m.profile.options.model == "vtd" else -1
    fate = dma.look(m, unit, command.requester, command.address, bool(command.read))
    if fate.reason:
        m.emit(_VIOMMU | unit, Act.DMA_BLOCKED, fate.reason, command.address, command.requester)
        if fate.quiet:
            m.emit(_VIOMMU | unit, Act.SUPPRESSED, fate.reason, command.address, command.requester)
        elif (message := faults.record_dma(m, unit, fate.reason, command.address, command.requester,
                                           bool(command.read))) is not None:
            vlapic.receive(m, *message)


def _device_error(m: Machine, command: c.DeviceError) -> None:
    """Devices of the series' units have no TLB of their own to invalidate."""
    m.device_error = command.requester | command.how << 16 if command.how else 0


def _schedule(m: Machine, command: c.Schedule) -> None:
    if _known_vcpu(m, command.vcpu):
        posted.schedule(m, command.address, command.vcpu, command.doing)


def _virtual_eoi(m: Machine, command: c.VirtualEoi) -> None:
    posted.end(m, command.address)


def _eoi_exit(m: Machine, command: c.EoiExit) -> None:
    posted.watch_eoi(m, command.address, command.vector, command.exits)


def _reset(m: Machine, command: c.Reset) -> None:
    """Units stay where the toolstack created them, under their numbers, as if new; memory and time stay."""
    units = [(m.latch[LATCH_WORDS * u + Latch.MMIO_BASE], m.latch[LATCH_WORDS * u + Latch.MMIO_LENGTH],
              m.latch[LATCH_WORDS * u + Latch.CAPS]) for u in range(m.units)]
    gone = [u for u in range(m.units) if not m.live(u)]
    scope = m.scope
    m.power_on()
    m.dead = 0
    m.scope = scope
    for base, size, caps in units:
        vvtd.create(m, base, size, caps)
    for unit in gone:
        vvtd.destroy(m, unit)


_DO: dict[type[c.Command], Callable[[Machine, Any], None]] = {
    c.Domctl: _domctl, c.Mmio: _mmio, c.MmioRead: _mmio_read, c.RamWrite: _ram, c.ConfigWrite: _config, c.Msi: _msi,
    c.Signal: _signal, c.Burst: _burst, c.Pin: _pin, c.Intx: _intx, c.Isa: _isa, c.PortWrite: _port_write,
    c.PortRead: _port_read, c.Lint: _lint, c.ApicWrite: _apic_write, c.Msr: _msr,
    c.Cr8: _cr8, c.Acknowledge: _acknowledge, c.Iret: _iret, c.Bind: _bind, c.HostIrq: _host_irq, c.Tick: _tick,
    c.OutOfMemory: _out_of_memory, c.DeviceError: _device_error, c.Dma: _dma, c.Schedule: _schedule,
    c.VirtualEoi: _virtual_eoi, c.EoiExit: _eoi_exit, c.Reset: _reset}


def unit_register(m: Machine, name: str, unit: int = 0) -> int:
    """A register of a unit by its name, for views and tests: no access, no event."""
    return vvtd.value(m, unit, OFFSET[name], 8 if name in ("CAP", "ECAP", "IQH", "IQT", "IQA", "IRTA") else 4)


def remapping_on(m: Machine, unit: int = 0) -> bool:
    """Whether a unit exists and remaps."""
    return m.live(unit) and bool(m.regs[PAGE_WORDS * unit + OFFSET["GSTS"] // 4] & GSTS.ires.mask)


__all__ = ["FEE", "Message", "read", "remapping_on", "request", "run", "step", "unit_at", "unit_register"]
