"""Invalidation by registers, as units without a queue have it: CCMD and IOTLB (VT-d 6.5.1, 11.4.7, 11.4.8).

There is nothing to forget in a unit that remaps interrupts only; what software sees is the answer: the request bit
falls, and the granularity that was done stands beside the one that was asked for, 0 when the request made no sense.
The interrupt entry cache has no register: for that the queue is needed.
"""

from __future__ import annotations

from vsim.layouts.bits import get, put
from vsim.layouts.registers import CAP, CCMD, ECAP, GSTS, IOTLB, IVA, OFFSET
from vsim.state.arrays import PAGE_WORDS, Machine
from vsim.state.trace import Act, Kind, Warn, node

CONTEXT, IOTLB_CACHE = 0, 1
PAGES, DOMAIN = 3, 2
_CCMD = OFFSET["CCMD"]


def iotlb_offset(m: Machine, unit: int) -> int:
    """Where the IOTLB registers are, IVA first: ECAP.IRO; 0 when the unit has none."""
    return 16 * int(get(m.profile.of_unit(unit).ecap, ECAP.iro))


def known(m: Machine, unit: int, offset: int) -> bool:
    """Whether a 32-bit half at this offset belongs to these registers."""
    at = iotlb_offset(m, unit)
    return _CCMD <= offset < _CCMD + 8 or bool(at and at <= offset < at + 16)


def write(m: Machine, unit: int, offset: int, width: int, value: int) -> None:
    """Store 4 or 8 bytes; a request bit in the upper half is done at once."""
    first = offset & ~7
    at = PAGE_WORDS * unit + first // 4
    whole, shift = m.regs[at] | m.regs[at + 1] << 32, 8 * (offset - first)
    bits = (1 << 8 * width) - 1 << shift
    layout = CCMD if first == _CCMD else IVA if first == iotlb_offset(m, unit) else IOTLB
    writable = layout.writable & bits
    whole = whole & ~writable | value << shift & writable
    if layout is CCMD and bits >> 63:
        whole = _context(m, unit, whole)
    elif layout is IOTLB and bits >> 63:
        whole = _iotlb(m, unit, whole)
    m.regs[at], m.regs[at + 1] = whole & 0xFFFFFFFF, whole >> 32


def _context(m: Machine, unit: int, value: int) -> int:
    """The context command with its answer."""
    if not get(value, CCMD.icc):
        return value
    asked = get(value, CCMD.cirg)
    return int(put(put(value, CCMD.icc, 0), CCMD.caig, _answer(m, unit, CONTEXT, asked, asked)))


def _iotlb(m: Machine, unit: int, value: int) -> int:
    """The IOTLB command: pages become their domain without CAP.PSI; a mask above CAP.MAMV makes no sense."""
    if not get(value, IOTLB.ivt):
        return value
    asked, cap = get(value, IOTLB.iirg), m.profile.of_unit(unit).cap
    done = asked
    if asked == PAGES:
        iva = m.regs[PAGE_WORDS * unit + iotlb_offset(m, unit) // 4]
        done = DOMAIN if not get(cap, CAP.psi) else PAGES if get(iva, IVA.am) <= get(cap, CAP.mamv) else 0
    return int(put(put(value, IOTLB.ivt, 0), IOTLB.iaig, _answer(m, unit, IOTLB_CACHE, asked, done)))


def _answer(m: Machine, unit: int, which: int, asked: int, done: int) -> int:
    """The granularity done; nothing is while the queue is on, as the two are not to be mixed."""
    here = node(Kind.VIOMMU, unit)
    if m.regs[PAGE_WORDS * unit + OFFSET["GSTS"] // 4] & GSTS.qies.mask:
        m.emit(here, Act.WARNED, Warn.REGISTER_FLUSH, which)
        done = 0
    m.emit(here, Act.FLUSHED, which, done, asked)
    return done
