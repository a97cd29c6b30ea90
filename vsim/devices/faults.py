"""Fault logging and the two events that a unit sends by itself (VT-d 7; V 6, 7.5).

A function that can send a message returns it as `Message` (or None) instead of calling anybody.
"""

from __future__ import annotations

from typing import NamedTuple

from vsim.layouts.bits import get, put
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import FECTL, FSTS, ICS, IQERCD, OFFSET
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.state.profile import IP_LINGERS
from vsim.state.trace import Act, Kind, node


class Message(NamedTuple):
    """A message on its way to the local APICs: 64-bit address (destination 31:8 in bits 63:40) and data."""

    address: int
    data: int


_FSTS, _ICS = OFFSET["FSTS"] // 4, OFFSET["ICS"] // 4
_FAULT, _COMPLETION = OFFSET["FECTL"] // 4, OFFSET["IECTL"] // 4
STATUS = sum(f.mask for f in FSTS if f.name in ("pfo", "ppf", "iqe", "ice", "ite"))
"""FSTS bits of which any that is already set makes a new one no new event (V 6.2)."""
TIME_OUT, ANSWERED_BADLY = 1, 2
"""How a device may fail an invalidation (`commands.DeviceError`)."""
ICE, ITE = FSTS.ice.mask, FSTS.ite.mask
_PFO, _PPF, _IQE = FSTS.pfo.mask, FSTS.ppf.mask, FSTS.iqe.mask
_IM, _IP = FECTL.im.mask, FECTL.ip.mask
_F_WORD = FRCD.f.mask >> 96


def _event(m: Machine, unit: int, control: int) -> Message | None:
    """A new condition: send the message, or remember it while it is masked. control: word index of FECTL or IECTL."""
    at = PAGE_WORDS * unit + control
    number = 0 if control == _FAULT else 1
    if m.regs[at] & _IM:
        m.regs[at] |= _IP
        m.emit(node(Kind.VIOMMU, unit), Act.HELD, number)
        return None
    return _send(m, unit, control)


def _send(m: Machine, unit: int, control: int) -> Message:
    at = PAGE_WORDS * unit + control
    m.regs[at] &= ~_IP
    data, address, upper = m.regs[at + 1], m.regs[at + 2], m.regs[at + 3]
    m.emit(node(Kind.VIOMMU, unit), Act.NOTIFIED, 0 if control == _FAULT else 1, upper << 32 | address, data)
    return Message(upper << 32 | address, data)


def write_control(m: Machine, unit: int, offset: int, value: int) -> Message | None:
    """A write to FECTL or IECTL: only the mask is software's; unmasking with IP set sends (V 6.2)."""
    at = PAGE_WORDS * unit + offset // 4
    m.regs[at] = m.regs[at] & ~_IM | value & _IM
    if not value & _IM and m.regs[at] & _IP:
        return _send(m, unit, offset // 4)
    return None


def _record_word(m: Machine, unit: int, record: int) -> int:
    """Index in `regs` of the first word of a fault recording register."""
    return PAGE_WORDS * unit + m.profile.capabilities.fault_offset // 4 + 4 * record


def _pending_of(m: Machine, unit: int, sid: int) -> int:
    """The pending record of this requester, or -1."""
    for record in range(m.profile.capabilities.fault_records):
        at = _record_word(m, unit, record)
        if m.regs[at + 3] & _F_WORD and m.regs[at + 2] & 0xFFFF == sid:
            return record
    return -1


def record(m: Machine, unit: int, reason: int, index: int, sid: int) -> Message | None:
    """Log one fault of an interrupt request."""
    return log(m, unit, index, FRCD.make(index=index, sid=sid, reason=reason, f=1))


def record_dma(m: Machine, unit: int, reason: int, address: int, sid: int, read: bool) -> Message | None:
    """Log one fault of a DMA request: its page in place of an index (VT-d 11.4.14)."""
    page = address & ((1 << 64) - 1) >> 12 << 12
    return log(m, unit, page, FRCD.make(sid=sid, reason=reason, t=int(read), f=1) | page)


def log(m: Machine, unit: int, about: int, value: int) -> Message | None:
    """Log a fault record (V 6.1): record it, fold it into a pending one, or overflow; and the fault event.

    Interrupts and DMA share the registers, the overflow and the event. about: what the events name, an index or page.
    """
    reason, sid = get(value, FRCD.reason), get(value, FRCD.sid)
    here = node(Kind.VIOMMU, unit)
    fsts = PAGE_WORDS * unit + _FSTS
    before = m.regs[fsts]
    if before & _PFO:
        m.emit(here, Act.OVERFLOWED, reason, about, sid)
        return None
    if m.profile.options.merge_faults and (same := _pending_of(m, unit, sid)) >= 0:
        m.emit(here, Act.FOLDED, same, reason, sid)
        return None
    number = m.latch[LATCH_WORDS * unit + Latch.NEXT_RECORD]
    at = _record_word(m, unit, number)
    if m.regs[at + 3] & _F_WORD:
        m.regs[fsts] |= _PFO
        m.emit(here, Act.OVERFLOWED, reason, about, sid)
        return None if before & STATUS else _event(m, unit, _FAULT)
    _write_record(m, unit, number, value)
    m.latch[LATCH_WORDS * unit + Latch.NEXT_RECORD] = (number + 1) % m.profile.capabilities.fault_records
    if before & _PPF:
        return None
    m.regs[fsts] = put(before, FSTS.fri, number) | _PPF
    return None if before & STATUS else _event(m, unit, _FAULT)


def _write_record(m: Machine, unit: int, number: int, value: int) -> None:
    at = _record_word(m, unit, number)
    for word in range(4):
        m.regs[at + word] = value >> 32 * word & 0xFFFFFFFF
    m.emit(node(Kind.VIOMMU, unit), Act.RECORDED, number, value & (1 << 64) - 1, value >> 64)


def clear_record(m: Machine, unit: int, offset: int, value: int) -> None:
    """A 4-byte write into a fault recording register: F in the last word is write-1-to-clear, the rest read-only."""
    at = PAGE_WORDS * unit + offset // 4
    if (offset - m.profile.capabilities.fault_offset) & 12 == 12 and value & _F_WORD:
        m.regs[at] &= ~_F_WORD
        _update_pending(m, unit)


def _update_pending(m: Machine, unit: int) -> None:
    """PPF follows the F bits; a held event is forgotten once everything is serviced (V 6.2)."""
    records = range(m.profile.capabilities.fault_records)
    if not any(m.regs[_record_word(m, unit, r) + 3] & _F_WORD for r in records):
        fsts = PAGE_WORDS * unit + _FSTS
        m.regs[fsts] &= ~_PPF
        if not m.quirks & IP_LINGERS:
            _forget_if_serviced(m, unit)


def _forget_if_serviced(m: Machine, unit: int) -> None:
    if not m.regs[PAGE_WORDS * unit + _FSTS] & STATUS:
        m.regs[PAGE_WORDS * unit + _FAULT] &= ~_IP


def write_status(m: Machine, unit: int, value: int) -> None:
    """A write to FSTS: clear the bits written as 1, except PPF and FRI."""
    m.regs[PAGE_WORDS * unit + _FSTS] &= ~(value & FSTS.w1c)
    _forget_if_serviced(m, unit)


def queue_error(m: Machine, unit: int, info: int, head: int) -> Message | None:
    """The invalidation queue stops: IQE, IQERCD.IQEI = info, and the fault event (V 7.6)."""
    fsts = PAGE_WORDS * unit + _FSTS
    before = m.regs[fsts]
    m.regs[fsts] |= _IQE
    if m.profile.options.iqercd:
        m.regs[PAGE_WORDS * unit + OFFSET["IQERCD"] // 4] = info
    m.emit(node(Kind.VIOMMU, unit), Act.QUEUE_ERROR, info, head)
    return None if before & STATUS else _event(m, unit, _FAULT)


def device_error(m: Machine, unit: int, how: int, sid: int) -> Message | None:
    """A device-TLB invalidation timed out (how 1: ITE, ITESID) or ended in an error (2: ICE, ICESID); V 7.6."""
    fsts = PAGE_WORDS * unit + _FSTS
    before = m.regs[fsts]
    m.regs[fsts] |= ITE if how == TIME_OUT else ICE
    if m.profile.options.iqercd:
        place = IQERCD.itesid if how == TIME_OUT else IQERCD.icesid
        at = PAGE_WORDS * unit + OFFSET["IQERCD"] // 4 + 1
        m.regs[at] = put(m.regs[at] << 32, place, sid) >> 32
    m.emit(node(Kind.VIOMMU, unit), Act.DEVICE_FAILED, how, sid)
    return None if before & STATUS else _event(m, unit, _FAULT)


def completion(m: Machine, unit: int) -> Message | None:
    """A wait with IF has completed: IWC and the completion event, unless IWC was still set (V 7.5)."""
    at = PAGE_WORDS * unit + _ICS
    if get(m.regs[at], ICS.iwc):
        return None
    m.regs[at] |= ICS.iwc.mask
    return _event(m, unit, _COMPLETION)


def write_completion(m: Machine, unit: int, value: int) -> None:
    """A write to ICS: clearing IWC also forgets a held completion event."""
    if value & ICS.iwc.mask:
        m.regs[PAGE_WORDS * unit + _ICS] &= ~ICS.iwc.mask
        m.regs[PAGE_WORDS * unit + _COMPLETION] &= ~_IP
