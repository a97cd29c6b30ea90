"""Fault record and events of the series as coded (X 3.10): one record, its layout, its allocation."""

from __future__ import annotations

from collections.abc import Iterator

from vsim.devices.checks import MODE_BIT
from vsim.devices.faults import Message
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import FECTL, FSTS, OFFSET
from vsim.state import xen_quirks as q
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Kind, node
from vsim.xen.models import model, word_at

_IM, _IP, _F = FECTL.im.mask, FECTL.ip.mask, FRCD.f.mask >> 96
_FAULT_BITS = 0xFF
_PFO, _PPF = FSTS.pfo.mask, FSTS.ppf.mask


def record(m: Machine, unit: int, reason: int, index: int, sid: int) -> Iterator[Message]:
    """Log a fault in the one record, with the layout and the allocation of the version."""
    fsts, word = word_at(unit, OFFSET["FSTS"]), word_at(unit, model(m).record) + 3
    if m.regs[fsts] & _PFO:
        m.emit(node(Kind.VIOMMU, unit), Act.OVERFLOWED, reason, index, sid)
        return
    taken = bool(m.regs[word] & _F)
    m.regs[word] |= _F
    if taken != bool(m.quirks & q.FRCD_INVERTED):
        m.emit(node(Kind.VIOMMU, unit), Act.OVERFLOWED, reason, index, sid)
        yield from report(m, unit, _PFO)
        return
    low = index << 12 if m.quirks & q.FRCD_INDEX_LOW else (index & 0xFFFF) << 48
    high = sid | reason << 28 | 1 << 59 if m.quirks & q.FRCD_LAYOUT else sid | reason << 32 | 1 << 63
    for place, value in enumerate((low, low >> 32, high, high >> 32)):
        m.regs[word - 3 + place] = value & 0xFFFFFFFF
    m.emit(node(Kind.VIOMMU, unit), Act.RECORDED, 0, low, high)
    yield from _pending(m, unit)


def _pending(m: Machine, unit: int) -> Iterator[Message]:
    """PPF follows F of the record; a pending event is forgotten when nothing is left in FSTS."""
    fsts = word_at(unit, OFFSET["FSTS"])
    if m.regs[word_at(unit, model(m).record) + 3] & _F:
        yield from report(m, unit, _PPF)
        return
    m.regs[fsts] &= ~_PPF
    if not m.regs[fsts] & _FAULT_BITS:
        m.regs[word_at(unit, OFFSET["FECTL"])] &= ~_IP


def report(m: Machine, unit: int, bit: int) -> Iterator[Message]:
    """Set a bit of FSTS; the first one sends or holds the fault event."""
    fsts, control = word_at(unit, OFFSET["FSTS"]), word_at(unit, OFFSET["FECTL"])
    before = m.regs[fsts]
    m.regs[fsts] = before | bit
    if before & _FAULT_BITS:
        return
    yield from raise_event(m, unit, control)


def raise_event(m: Machine, unit: int, control: int) -> Iterator[Message]:
    """Send the event of FECTL or IECTL (word index `control`), or hold it while it is masked."""
    m.regs[control] |= _IP
    number = int(control != word_at(unit, OFFSET["FECTL"]))
    if m.regs[control] & _IM:
        m.emit(node(Kind.VIOMMU, unit), Act.HELD, number)
        return
    m.regs[control] &= ~_IP
    upper = m.regs[control + 3] if model(m).upper_events and _eim(m, unit) else 0
    address = (upper & 0xFFFFFF00) << 32 | m.regs[control + 2]
    m.emit(node(Kind.VIOMMU, unit), Act.NOTIFIED, number, address, m.regs[control + 1])
    yield Message(address, m.regs[control + 1])


def _eim(m: Machine, unit: int) -> bool:
    return bool(m.latch[LATCH_WORDS * unit + Latch.MODE] & MODE_BIT["eime"])


def clear_record(m: Machine, unit: int) -> None:
    """Software clears F of the record."""
    m.regs[word_at(unit, model(m).record) + 3] &= ~_F
    for _ in _pending(m, unit):
        pass


def clear_status(m: Machine, unit: int, new: int) -> None:
    """FSTS: the bit search clears more than was asked: from the highest bit k also k+2, k+4 ... (D20)."""
    fsts = word_at(unit, OFFSET["FSTS"])
    asked = new & FSTS.w1c
    if asked and m.quirks & q.FSTS_OVERCLEAR:
        asked |= sum(1 << bit for bit in range(asked.bit_length() - 1, 8, 2))
    m.regs[fsts] &= ~(asked & ~_PPF) if not m.quirks & q.FSTS_OVERCLEAR else ~asked
    if not m.regs[fsts] & _FAULT_BITS:
        m.regs[word_at(unit, OFFSET["FECTL"])] &= ~_IP


def write_control(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message]:
    """FECTL, IECTL: only the mask; unmasking sends what was held."""
    at = word_at(unit, offset)
    if new & _IM:
        m.regs[at] |= _IM
        return
    m.regs[at] &= ~_IM
    if m.regs[at] & _IP:
        yield from raise_event(m, unit, at)
