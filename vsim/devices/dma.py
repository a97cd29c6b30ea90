"""The fate of a DMA request, as far as the fault log shows it (VT-d 3.4, 7.1.3): root entry, context entry, no more.

Software that shares a unit between DMA and interrupts finds both kinds of faults in one log. So much is modelled here
that a mixed log reads as on real machines: whether the root table has the bus and the context table the function, and
reserved bits of both. A present context leads to pass-through, or to page tables that nobody has written, which allow
nothing. Legacy mode only. `look` asks; what is recorded is the business of `machine`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from vsim.layouts.bits import Field, Layout, flag, get, reserved
from vsim.layouts.registers import ECAP, GSTS, OFFSET, RTADDR
from vsim.state.arrays import PAGE_WORDS, Machine


class DmaReason(IntEnum):
    """DMA-remapping fault reasons in legacy mode (VT-d 7.1.3, table 24); NONE is not a fault."""

    NONE = 0
    ROOT_ABSENT = 0x1
    CONTEXT_ABSENT = 0x2
    CONTEXT_INVALID = 0x3
    BEYOND_WIDTH = 0x4
    NO_WRITE = 0x5
    NO_READ = 0x6
    ROOT_UNREADABLE = 0x8
    CONTEXT_UNREADABLE = 0x9
    ROOT_RESERVED = 0xA
    CONTEXT_RESERVED = 0xB


DMA_REASON_TEXT: dict[int, str] = {
    DmaReason.NONE: "no fault",
    DmaReason.ROOT_ABSENT: "the root entry of the bus is not present",
    DmaReason.CONTEXT_ABSENT: "the context entry of the function is not present",
    DmaReason.CONTEXT_INVALID: "an invalid setting in the context entry",
    DmaReason.BEYOND_WIDTH: "the address is beyond the width that the context entry allows",
    DmaReason.NO_WRITE: "no page table lets the function write there",
    DmaReason.NO_READ: "no page table lets the function read there",
    DmaReason.ROOT_UNREADABLE: "the root entry could not be read through the root table address",
    DmaReason.CONTEXT_UNREADABLE: "the context entry could not be read through the root entry",
    DmaReason.ROOT_RESERVED: "a reserved field is set in the root entry",
    DmaReason.CONTEXT_RESERVED: "a reserved field is set in the context entry",
}

ROOT = Layout("root entry", 128, "VT-d 9.1", flag("p", 0, "present"), reserved(1, 11),
              Field("ctp", 12, 52, "context table, bits 63:12"), reserved(64, 64))
CONTEXT = Layout(
    "context entry", 128, "VT-d 9.3", flag("p", 0, "present"), flag("fpd", 1, "faults are not recorded"),
    Field("tt", 2, 2, "translation type", names={0: "page tables", 1: "also of devices", 2: "pass-through"}),
    reserved(4, 8), Field("slptptr", 12, 52, "page tables, bits 63:12"),
    Field("aw", 64, 3, "address width: 30 + 9 * aw"),
    Field("ignored", 67, 4, "for software"), reserved(71, 1), Field("did", 72, 16, "domain"), reserved(88, 40))
_READ_FAULT = {False: DmaReason.NO_WRITE, True: DmaReason.NO_READ}


class Fate(NamedTuple):
    """What becomes of a request: its fault, NONE when it passes; quiet: FPD of the context keeps it unrecorded."""

    reason: DmaReason
    quiet: bool


_PASSES = Fate(DmaReason.NONE, False)


def look(m: Machine, unit: int, requester: int, address: int, read: bool) -> Fate:
    """The fate of a request of a 16-bit requester. unit: -1 for none, or one that does not translate: it passes."""
    if unit < 0 or not m.regs[PAGE_WORDS * unit + OFFSET["GSTS"] // 4] & GSTS.tes.mask:
        return _PASSES
    root = _entry(m, m.roots.get(unit, 0) & RTADDR.root.mask, requester >> 8)
    if root is None:
        return Fate(DmaReason.ROOT_UNREADABLE, False)
    if not get(root, ROOT.p):
        return Fate(DmaReason.ROOT_ABSENT, False)
    if ROOT.reserved_set(root):
        return Fate(DmaReason.ROOT_RESERVED, False)
    context = _entry(m, get(root, ROOT.ctp) << ROOT.ctp.low, requester & 0xFF)
    if context is None:
        return Fate(DmaReason.CONTEXT_UNREADABLE, False)
    return Fate(_context_fault(m, unit, context, address, read), bool(get(context, CONTEXT.fpd)))


def _context_fault(m: Machine, unit: int, context: int, address: int, read: bool) -> DmaReason:
    if not get(context, CONTEXT.p):
        return DmaReason.CONTEXT_ABSENT
    if CONTEXT.reserved_set(context):
        return DmaReason.CONTEXT_RESERVED
    through = get(context, CONTEXT.tt) == 2
    offered = get(m.profile.of_unit(unit).ecap, ECAP.pt)
    if get(context, CONTEXT.tt) == 3 or (through and not offered) or get(context, CONTEXT.aw) > 4:
        return DmaReason.CONTEXT_INVALID
    if address >> 30 + 9 * get(context, CONTEXT.aw):
        return DmaReason.BEYOND_WIDTH
    return DmaReason.NONE if through else _READ_FAULT[read]


def _entry(m: Machine, table: int, number: int) -> int | None:
    """The 128-bit entry of a table, None where it is not memory."""
    words = m.ram.words4(table + 16 * number)
    return None if words is None else sum(word << 32 * place for place, word in enumerate(words))
