"""The I/O APICs: registers, pins, redirection entries (82093AA; A 7; X 5.1, 5.2).

Pins, version and requester id are options of the machine, which may have several: their pins are counted through, in
the order of `Options.ioapics`, and `which` says whose registers are meant. Functions that can make a pin send return
the pins to be sent, in order; `message` builds what a pin sends. Nothing here knows about remapping: bit 48 of an entry
simply lands on bit 4 of the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vsim.layouts.bits import get, put
from vsim.layouts.formats import MSI_ADDRESS, MSI_DATA, RTE, Dlm
from vsim.layouts.registers import IOAPIC_ID, IOAPIC_VERSION, IOREDTBL
from vsim.state import xen_quirks
from vsim.state.arrays import Machine
from vsim.state.profile import EDGE_REPEATS, IOAPIC_WINDOW, LEVEL_UNSEEN, SIGNAL_KEEPS_LEVEL, IoApic
from vsim.state.trace import Act, Drop, Kind, node

BASE, LENGTH = IOAPIC_WINDOW, 0x1000
SELECT, WINDOW, EOI = 0x00, 0x10, 0x40
_ID, _SELECT = 0, 1
_MASK, _IRR, _LEVEL = RTE.mask.mask, RTE.irr.mask, RTE.tm.mask
_SIGNALS = (Dlm.SMI, Dlm.NMI, Dlm.INIT, Dlm.EXTINT)
_KEEPS_LEVEL = SIGNAL_KEEPS_LEVEL | xen_quirks.LEVEL_SIGNALS
_KEPT = RTE.irr.mask | RTE.status.mask


def level(m: Machine, entry: int) -> bool:
    """Whether an entry works by level: NMI, SMI, INIT and ExtINT are edges whatever the trigger mode says (A 7.2)."""
    if not entry & _LEVEL:
        return False
    return get(entry, RTE.dlm) not in _SIGNALS or bool(m.quirks & _KEEPS_LEVEL)


def message(entry: int, by_level: bool | None = None) -> tuple[int, int]:
    """(address, data) that a pin with this entry sends (V 3.4). by_level: see `level`; None: as the entry says."""
    address = MSI_ADDRESS.make(fee=0xFEE) | entry >> 48 << 4 | get(entry, RTE.dm) << MSI_ADDRESS.dm.low
    trigger = get(entry, RTE.tm) if by_level is None else int(by_level)
    return address, MSI_DATA.make(vector=get(entry, RTE.vector), dlm=get(entry, RTE.dlm), tm=trigger)


def at(m: Machine, address: int) -> int:
    """Which I/O APIC answers at an address, -1 for none."""
    if not BASE <= address < BASE + 0x100000:
        return -1
    return next((which for which, each in enumerate(m.profile.options.ioapics)
                 if each.window <= address < each.window + length(m, which)), -1)


def length(m: Machine, which: int) -> int:
    """Bytes of a window: a page, or what is left to the next one."""
    windows = [each.window for each in m.profile.options.ioapics]
    return min([LENGTH, *(other - windows[which] for other in windows if other > windows[which])])


def of(m: Machine, pin: int) -> IoApic:
    """The I/O APIC that a pin belongs to."""
    return next(each for each in reversed(m.profile.options.ioapics) if pin >= each.first)


def read(m: Machine, offset: int, which: int = 0) -> int:
    """A 32-bit read at a byte offset of the window; offsets and indexes that do not exist read 0."""
    select = m.ioapic[2 * which + _SELECT]
    if offset == SELECT:
        return select
    return read_index(m, select, which) if offset == WINDOW else 0


def read_index(m: Machine, index: int, which: int = 0) -> int:
    """A register by its index: 0 ID, 1 version, 2 arbitration, from `IOREDTBL` on the entries."""
    if index in (0, 2):
        return m.ioapic[2 * which + _ID]
    if index == 1:
        last = m.profile.options.ioapics[which].pins - 1
        return IOAPIC_VERSION.make(version=m.profile.options.ioapic_version, last=last)
    pin = _pin(m, index, which)
    return m.rte[pin] >> 32 * (index & 1) & 0xFFFFFFFF if pin >= 0 else 0


def _pin(m: Machine, index: int, which: int) -> int:
    """The pin whose entry has a register of this index, -1 for none."""
    own, pin = m.profile.options.ioapics[which], index - IOREDTBL >> 1
    return own.first + pin if 0 <= pin < own.pins else -1


def write(m: Machine, offset: int, value: int, which: int = 0) -> Iterable[int]:
    """A 32-bit write at a byte offset; the pins that send now."""
    own = m.profile.options.ioapics[which]
    m.emit(node(Kind.VIOAPIC, own.first), Act.WRITTEN, offset, value, 4)
    if offset == SELECT:
        m.ioapic[2 * which + _SELECT] = value & 0xFF
    elif offset == WINDOW:
        return _write_index(m, m.ioapic[2 * which + _SELECT], value, which)
    elif offset == EOI and m.profile.options.ioapic_version >= 0x20:
        return end(m, value & 0xFF, range(own.first, own.first + own.pins))
    return []


def _write_index(m: Machine, index: int, value: int, which: int) -> list[int]:
    if index == 0:
        m.ioapic[2 * which + _ID] = value & IOAPIC_ID.writable
        return []
    pin = _pin(m, index, which)
    if pin < 0:
        return []
    entry = m.rte[pin]
    if index & 1:
        entry = entry & 0xFFFFFFFF | value << 32
    else:
        entry = entry & ~0xFFFFFFFF | entry & _KEPT | value & 0xFFFFFFFF & ~_KEPT
    return write_entry(m, pin, entry if m.profile.options.rte_reserved else entry & ~RTE.reserved)


def write_entry(m: Machine, pin: int, entry: int) -> list[int]:
    """Store a whole entry: edge clears remote IRR; an unmasked level entry whose line is up sends (A 7.3)."""
    if entry & _IRR and not level(m, entry):
        entry &= ~_IRR
        m.emit(node(Kind.VIOAPIC, pin), Act.IRR_CLEARED, pin, entry)
    m.rte[pin] = entry
    if not _ready(entry):
        return []
    if level(m, entry):
        return [pin] if _seen(m, pin) else []
    return [pin] if _left_over(m, pin) else []


def _left_over(m: Machine, pin: int) -> bool:
    """Quirk qemu.D16: a level that was seen and not yet lowered is sent once by an unmasked edge entry."""
    left = m.quirks & LEVEL_UNSEEN and m.seen[pin]
    if left:
        m.seen[pin] = 0
    return bool(left)


def _ready(entry: int) -> bool:
    return not entry & (_MASK | _IRR)


def _seen(m: Machine, pin: int) -> bool:
    """Whether the pin's level counts now; under quirk qemu.D16 only if it rose in level mode."""
    return bool(m.seen[pin]) if m.quirks & LEVEL_UNSEEN else bool(m.lines[pin])


def set_line(m: Machine, pin: int, level: int) -> list[int]:
    """Set the wire that `Pin` drives; the pins that send now."""
    if not 0 <= pin < len(m.rte):
        m.emit(node(Kind.VIOAPIC), Act.DROPPED, Drop.NO_PIN, pin, level)
        return []
    again = level and m.direct[pin]
    change = int(bool(level)) - m.direct[pin]
    m.direct[pin] = int(bool(level))
    if again and m.quirks & EDGE_REPEATS:
        return _rose(m, pin)
    return assert_line(m, pin, change)


def assert_line(m: Machine, pin: int, change: int) -> list[int]:
    """One wire more (+1) or less (-1) holds the line up; only the change from none to some is an edge."""
    before = m.lines[pin]
    m.lines[pin] = before + change
    if change:
        m.emit(node(Kind.VIOAPIC, pin), Act.LINE, pin, int(m.lines[pin] > 0), m.lines[pin])
    if not m.lines[pin] and level(m, m.rte[pin]):
        m.seen[pin] = 0
    return _rose(m, pin) if m.lines[pin] and not before else []


def _rose(m: Machine, pin: int) -> list[int]:
    entry = m.rte[pin]
    by_level = level(m, entry)
    if by_level:
        m.seen[pin] = 1
    if entry & _MASK:
        if not by_level:
            m.emit(node(Kind.VIOAPIC, pin), Act.DROPPED, Drop.MASKED, entry & 0xFFFFFFFF, entry >> 32)
        return []
    if by_level and entry & _IRR:
        m.emit(node(Kind.VIOAPIC, pin), Act.DROPPED, Drop.PENDING, entry & 0xFFFFFFFF, entry >> 32)
        return []
    if not by_level:
        _left_over(m, pin)
    return [pin]


def begin(m: Machine, pin: int) -> tuple[int, int]:
    """The pin sends: remote IRR for a level entry; the message (address, data)."""
    by_level = level(m, m.rte[pin])
    if by_level:
        m.rte[pin] |= _IRR
        m.emit(node(Kind.VIOAPIC, pin), Act.IRR_SET, pin, m.rte[pin])
    return message(m.rte[pin], by_level)


def end(m: Machine, vector: int, pins: range | None = None) -> Iterator[int]:
    """EOI: clear remote IRR of level entries with this vector; pins that send again.

    pins: those of the I/O APIC whose register was written; None for a broadcast, which all of them hear. Each pin is
    yielded before the next one is looked at.
    """
    asked, answers = _IRR | _LEVEL | RTE.vector.mask, RTE.make(irr=1, tm=1, vector=vector)
    for pin in pins or range(len(m.rte)):
        entry = m.rte[pin]
        if entry & asked == answers:
            m.rte[pin] = put(entry, RTE.irr, 0)
            m.emit(node(Kind.VIOAPIC, pin), Act.IRR_CLEARED, pin, m.rte[pin], 1)
            if _seen(m, pin) and not entry & _MASK:
                yield pin
