"""The device model of the 2017 series as it was coded: its register page, fault record and queue (X 3).

`vvtd`, `faults` and `queue` are the unit of the specification; this is the unit that Xen's guests would have met, in
the versions whose behaviour was recorded. What differs between versions is a row of `MODELS`; every defect of X 10
that lives here is one named condition, so that a profile can correct it singly.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vsim import chain
from vsim import xen_quirks as q
from vsim.bits import get
from vsim.checks import MODE_BIT
from vsim.faults import Message
from vsim.formats import FRCD, IEC, WAIT, DescriptorType
from vsim.registers import ECAP, FECTL, FSTS, GCMD, ICS, IQA, IRTA, OFFSET, ONE_SHOT
from vsim.remap import entry_of
from vsim.state import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.trace import Act, Drop, Kind, node

_IM, _IP, _F = FECTL.im.mask, FECTL.ip.mask, FRCD.f.mask >> 96
_FAULT_BITS = 0xFF
_PFO, _PPF, _IQE = FSTS.pfo.mask, FSTS.ppf.mask, FSTS.iqe.mask
_RAW = frozenset(OFFSET[name] for name in ("FEDATA", "FEADDR", "FEUADDR", "IEDATA", "IEADDR", "IEUADDR"))
_IRTA, _IQA, _IQT, _IQH = (OFFSET[name] for name in ("IRTA", "IQA", "IQT", "IQH"))


class Refresh(NamedTuple):
    """The routing of bound messages that use an entry (-1: all) is to be worked out again."""

    index: int  # type: ignore[assignment]  # shadows tuple.index


@dataclass(frozen=True, slots=True)
class Model:
    """One version of the device model.

    trapped: bytes of the page that are trapped. record: offset of the fault record. dword: 4-byte alignment is
    enough for 8 bytes. passes: what it does not take goes on to the external device model instead of being
    swallowed. wide: where 8-byte writes are taken; None: everywhere. order: of command bits. head_at_enable: IQH
    is zeroed when the queue is switched on (else off). index_low: record bits of the index. refusals: result of
    each fault reason; off: result while remapping is off.
    """

    name: str
    trapped: int
    record: int
    dword: bool
    passes: bool
    wide: frozenset[int] | None
    order: tuple[str, ...]
    head_at_enable: bool
    refusals: dict[int, int]
    off: int
    upper_events: bool


_POSITIVE = {reason: reason for reason in range(0x20, 0x27)}
_V1_REFUSALS = {**dict.fromkeys(range(0x20, 0x27), -14), 0x20: 0x20}
_V3_REFUSALS = {0x20: -22, 0x21: -13, 0x22: -2, 0x23: -22, 0x24: -22, 0x25: -22, 0x26: -22}
_V1_WIDE = frozenset((_IRTA, _IQT, _IQA, 0x228))
MODELS: dict[str, Model] = {
    "xen-v1": Model("xen-v1", 0x1000, 0x220, True, True, _V1_WIDE, ("sirtp", "qie", "ire"), False, _V1_REFUSALS,
                    -22, False),
    "xen-v3": Model("xen-v3", 0x1000, 0x220, False, False, _V1_WIDE, ("sirtp", "ire", "qie"), False, _V3_REFUSALS,
                    -19, False),
    "xen-v4": Model("xen-v4", 0xD0, 0xC0, False, False, None, ("sirtp", "ire", "qie"), True, _POSITIVE, -19, True),
}
"""The versions, by the machine option `model`."""


def model(m: Machine) -> Model:
    """The version that a machine runs."""
    return MODELS[m.profile.options.model]


def maps_for_good(m: Machine) -> bool:
    """Whether table and queue are mapped once and for all (version 4) instead of at each use."""
    return model(m).trapped == 0xD0


# --- the page -------------------------------------------------------------------------------------------------


def _at(unit: int, offset: int) -> int:
    return PAGE_WORDS * unit + offset // 4


def _pair(m: Machine, unit: int, offset: int) -> int:
    at = _at(unit, offset)
    return m.regs[at] | m.regs[at + 1] << 32


def _fits(m: Machine, offset: int, width: int) -> bool:
    return width in (4, 8) and not offset % (4 if model(m).dword else width)


def read(m: Machine, unit: int, offset: int, width: int) -> int | None:
    """The stored value; None when the access goes on to the external device model."""
    if not _fits(m, offset, width):
        return None if model(m).passes else 0
    at = _at(unit, offset)
    return m.regs[at] | m.regs[at + 1] << 32 if width == 8 else m.regs[at]


def after_read(m: Machine, unit: int) -> Iterator[Message | Refresh]:
    """Version 4 looks at the queue after every read of a register (quirk xen.D23)."""
    if m.quirks & q.QI_ON_READ:
        yield from run_queue(m, unit)


def write(m: Machine, unit: int, offset: int, width: int, new: int) -> Iterator[Message | Refresh]:
    """A write; what is not taken is dropped, or passed on to the external device model."""
    here = node(Kind.VIOMMU, unit)
    face = model(m)
    wide = width == 8 and face.wide is not None and offset not in face.wide
    if not _fits(m, offset, width) or wide or (face.passes and not _takes(face, offset, width)):
        m.emit(here, Act.DROPPED, Drop.UNCLAIMED if face.passes else Drop.WIDTH, offset, new)
        return
    m.emit(here, Act.WRITTEN, offset, new, width)
    if width == 8 and face.passes:
        yield from _write_wide(m, unit, offset, new)
        return
    for part in range(width // 4):
        yield from _write_word(m, unit, offset + 4 * part, new >> 32 * part & 0xFFFFFFFF)


def _takes(face: Model, offset: int, width: int) -> bool:
    """Whether versions 1 and 2 have this register in their write table."""
    names = ("GCMD", "FSTS", "FECTL", "FEDATA", "FEADDR", "FEUADDR", "IQT", "IQA", "ICS", "IECTL", "IEDATA", "IEADDR",
             "IEUADDR", "IRTA")
    known = {OFFSET[name] for name in names} | {_IQA + 4, _IRTA + 4, face.record + 12, face.record + 8}
    return offset in known and not (width == 4 and offset == face.record + 8)


def _write_wide(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message | Refresh]:
    """An 8-byte write as versions 1 to 3 take it: as one."""
    if offset == _IRTA:
        _store_pair(m, unit, offset, new)
    elif offset == _IQA:
        _write_queue_address(m, unit, new)
    elif offset == _IQT:
        yield from _write_tail(m, unit, new)
    elif new >> 32 & _F:
        _clear_record(m, unit)


def _store_pair(m: Machine, unit: int, offset: int, new: int) -> None:
    m.regs[_at(unit, offset)] = new & 0xFFFFFFFF
    m.regs[_at(unit, offset) + 1] = new >> 32


def _write_word(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message | Refresh]:
    """One 32-bit register."""
    if offset == OFFSET["GCMD"]:
        _command(m, unit, new)
    elif offset == OFFSET["FSTS"]:
        yield from _clear_status(m, unit, new)
    elif offset in (OFFSET["FECTL"], OFFSET["IECTL"]):
        yield from _control(m, unit, offset, new)
    elif offset in _RAW or offset in (_IRTA, _IRTA + 4):
        m.regs[_at(unit, offset)] = new
    elif offset == OFFSET["ICS"] and new & ICS.iwc.mask:
        m.regs[_at(unit, offset)] &= ~ICS.iwc.mask
        m.regs[_at(unit, OFFSET["IECTL"])] &= ~_IP
    elif offset == _IQT:
        yield from _write_tail(m, unit, new)
    elif offset in (_IQA, _IQA + 4):
        _write_queue_half(m, unit, offset, new)
    elif offset == model(m).record + 12 and new & _F:
        _clear_record(m, unit)


# --- global command (X 3.4, 3.5) ------------------------------------------------------------------------------


def _command(m: Machine, unit: int, new: int) -> None:
    """GCMD: the whole wanted state; several changes act at once, in the version's order."""
    status = m.regs[_at(unit, OFFSET["GSTS"])] & ~ONE_SHOT
    changed = status ^ new
    for name in model(m).order:
        bit = int(getattr(GCMD, name).mask)
        if changed & bit:
            {"sirtp": _sirtp, "ire": _ire, "qie": _qie}[name](m, unit, bool(new & bit))


def _status(m: Machine, unit: int, bit: int, on: bool) -> None:
    at = _at(unit, OFFSET["GSTS"])
    m.regs[at] = m.regs[at] | bit if on else m.regs[at] & ~bit


def _mode(m: Machine, unit: int, name: str, on: bool) -> None:
    at = LATCH_WORDS * unit + Latch.MODE
    m.latch[at] = m.latch[at] | MODE_BIT[name] if on else m.latch[at] & ~MODE_BIT[name]


def _sirtp(m: Machine, unit: int, on: bool) -> None:
    """Latch the table. Version 4 maps it for good, and does nothing when neither page nor size changed (D6)."""
    irta = _pair(m, unit, _IRTA)
    gfn, entries, at = irta >> 12, 2 << get(irta, IRTA.s), LATCH_WORDS * unit
    same = m.latch[at + Latch.BASE_PAGE] == gfn and m.latch[at + Latch.ENTRIES] == entries
    _status(m, unit, GCMD.sirtp.mask, True)
    if same and m.quirks & q.SIRTP_EIME_IGNORED:
        return
    m.latch[at + Latch.BASE_PAGE], m.latch[at + Latch.ENTRIES] = gfn, entries
    _mode(m, unit, "eime", bool(get(irta, IRTA.eime)))
    m.latch[at + Latch.LATCHED_EIME] = get(irta, IRTA.eime)
    m.emit(node(Kind.VIOMMU, unit), Act.LATCHED, entries, irta, get(irta, IRTA.eime))
    if maps_for_good(m):
        map_table(m, unit)


def map_table(m: Machine, unit: int) -> None:
    """Map the whole table, if every page can be mapped."""
    at = LATCH_WORDS * unit
    _unmap(m, at + Latch.TABLE_PAGES)
    pages = max(1, m.latch[at + Latch.ENTRIES] >> 8) if m.latch[at + Latch.ENTRIES] else 0
    if pages and _mappable(m, m.latch[at + Latch.BASE_PAGE], pages) and _allocate(m):
        m.latch[at + Latch.TABLE_PAGES] = pages


def _allocate(m: Machine) -> bool:
    """One allocation of the hypervisor; False for the one that fault injection chose."""
    if m.doomed:
        m.doomed -= 1
        return m.doomed > 0
    return True


def _unmap(m: Machine, place: int) -> None:
    """Give the pages back; without memory for its helper array they stay pinned."""
    if m.latch[place] and not _allocate(m):
        m.pinned += m.latch[place]
    m.latch[place] = 0


def _mappable(m: Machine, gfn: int, pages: int) -> bool:
    """Whether every page is guest memory that can be typed writable."""
    return pages <= 256 and all(m.ram.holds((gfn + n) << 12) and not m.pages.get(gfn + n, 0) for n in range(pages))


def _ire(m: Machine, unit: int, on: bool) -> None:
    """Remapping on or off; versions 1 and 2 never really switch it off (D5)."""
    _status(m, unit, GCMD.ire.mask, on)
    if on or not m.quirks & q.IRE_STICKY:
        _mode(m, unit, "ires", on)


def _qie(m: Machine, unit: int, on: bool) -> None:
    _status(m, unit, GCMD.qie.mask, on)
    if on == model(m).head_at_enable:
        m.regs[_at(unit, _IQH)] = 0


def live_eime(m: Machine, unit: int) -> None:
    """Versions 1 and 2 read EIME from the register for each interrupt, latched or not (X 3.5)."""
    if model(m).name == "xen-v1":
        _mode(m, unit, "eime", bool(m.regs[_at(unit, _IRTA)] & IRTA.eime.mask))


def table_readable(m: Machine, unit: int, index: int) -> bool:
    """Whether the entry's page is mapped, or can be mapped now."""
    at = LATCH_WORDS * unit
    if maps_for_good(m):
        return bool(m.latch[at + Latch.TABLE_PAGES])
    return _mappable(m, m.latch[at + Latch.BASE_PAGE] + (index >> 8), 1)


def past_mapping(m: Machine, unit: int, index: int) -> bool:
    """Whether reading this entry leaves the mapped table: the hypervisor would fault (D12 with a full last page)."""
    return maps_for_good(m) and index >> 8 >= m.latch[LATCH_WORDS * unit + Latch.TABLE_PAGES]


# --- faults (X 3.10) ------------------------------------------------------------------------------------------


def record(m: Machine, unit: int, reason: int, index: int, sid: int) -> Iterator[Message]:
    """Log a fault in the one record, with the layout and the allocation of the version."""
    fsts, word = _at(unit, OFFSET["FSTS"]), _at(unit, model(m).record) + 3
    if m.regs[fsts] & _PFO:
        m.emit(node(Kind.VIOMMU, unit), Act.OVERFLOWED, reason, index, sid)
        return
    taken = bool(m.regs[word] & _F)
    m.regs[word] |= _F
    if taken != bool(m.quirks & q.FRCD_INVERTED):
        m.emit(node(Kind.VIOMMU, unit), Act.OVERFLOWED, reason, index, sid)
        yield from _report(m, unit, _PFO)
        return
    low = index << 12 if m.quirks & q.FRCD_INDEX_LOW else (index & 0xFFFF) << 48
    high = sid | reason << 28 | 1 << 59 if m.quirks & q.FRCD_LAYOUT else sid | reason << 32 | 1 << 63
    for place, value in enumerate((low, low >> 32, high, high >> 32)):
        m.regs[word - 3 + place] = value & 0xFFFFFFFF
    m.emit(node(Kind.VIOMMU, unit), Act.RECORDED, 0, low, high)
    yield from _pending(m, unit)


def _pending(m: Machine, unit: int) -> Iterator[Message]:
    """PPF follows F of the record; a pending event is forgotten when nothing is left in FSTS."""
    fsts = _at(unit, OFFSET["FSTS"])
    if m.regs[_at(unit, model(m).record) + 3] & _F:
        yield from _report(m, unit, _PPF)
        return
    m.regs[fsts] &= ~_PPF
    if not m.regs[fsts] & _FAULT_BITS:
        m.regs[_at(unit, OFFSET["FECTL"])] &= ~_IP


def _report(m: Machine, unit: int, bit: int) -> Iterator[Message]:
    """Set a bit of FSTS; the first one sends or holds the fault event."""
    fsts, control = _at(unit, OFFSET["FSTS"]), _at(unit, OFFSET["FECTL"])
    before = m.regs[fsts]
    m.regs[fsts] = before | bit
    if before & _FAULT_BITS:
        return
    yield from _raise(m, unit, control)


def _raise(m: Machine, unit: int, control: int) -> Iterator[Message]:
    m.regs[control] |= _IP
    number = int(control != _at(unit, OFFSET["FECTL"]))
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


def _clear_record(m: Machine, unit: int) -> None:
    m.regs[_at(unit, model(m).record) + 3] &= ~_F
    for _ in _pending(m, unit):
        pass


def _clear_status(m: Machine, unit: int, new: int) -> Iterator[Message | Refresh]:
    """FSTS: the bit search clears more than was asked: from the highest bit k also k+2, k+4 ... (D20)."""
    fsts = _at(unit, OFFSET["FSTS"])
    asked = new & FSTS.w1c
    if asked and m.quirks & q.FSTS_OVERCLEAR:
        asked |= sum(1 << bit for bit in range(asked.bit_length() - 1, 8, 2))
    m.regs[fsts] &= ~(asked & ~_PPF) if not m.quirks & q.FSTS_OVERCLEAR else ~asked
    if not m.regs[fsts] & _FAULT_BITS:
        m.regs[_at(unit, OFFSET["FECTL"])] &= ~_IP
    if not m.regs[fsts] & _IQE and not m.quirks & q.QI_ON_READ:
        yield from run_queue(m, unit)


def _control(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message]:
    """FECTL, IECTL: only the mask; unmasking sends what was held."""
    at = _at(unit, offset)
    if new & _IM:
        m.regs[at] |= _IM
        return
    m.regs[at] &= ~_IM
    if m.regs[at] & _IP:
        yield from _raise(m, unit, at)


# --- queued invalidation (X 3.11) -----------------------------------------------------------------------------


def _length(m: Machine, unit: int) -> int:
    return 256 << int(get(m.regs[_at(unit, _IQA)], IQA.qs))


def _write_tail(m: Machine, unit: int, new: int) -> Iterator[Message | Refresh]:
    """IQT: dropped when it names no descriptor of the queue; earlier versions process here."""
    tolerated = 0x8 if model(m).dword else 0
    if new & ~(0x7FFF0 | tolerated) or new >> 4 >= _length(m, unit):
        return
    m.regs[_at(unit, _IQT)] = new & 0xFFFFFFFF
    if not m.quirks & q.QI_ON_READ:
        yield from run_queue(m, unit)


def _write_queue_address(m: Machine, unit: int, new: int) -> None:
    if not new & 0xFF8 and not new >> 39:
        _store_pair(m, unit, _IQA, new)


def _write_queue_half(m: Machine, unit: int, offset: int, new: int) -> None:
    """IQA by halves: the lower unmaps the queue, the upper maps it (version 4)."""
    at = LATCH_WORDS * unit
    if offset == _IQA:
        if new & 0xFF8:
            return
        m.regs[_at(unit, offset)] = new
        _unmap(m, at + Latch.QUEUE_PAGES)
        return
    if new >> 7:
        return
    m.regs[_at(unit, offset)] = new
    if not m.latch[at + Latch.QUEUE_PAGES]:
        map_queue(m, unit)


def map_queue(m: Machine, unit: int) -> None:
    """Map the whole queue, if every page can be mapped."""
    iqa, at = _pair(m, unit, _IQA), LATCH_WORDS * unit
    pages = 1 << get(iqa, IQA.qs)
    if _mappable(m, iqa >> 12, pages) and _allocate(m):
        m.latch[at + Latch.QUEUE_PAGES] = pages
    m.latch[at + Latch.IQA_USED] = iqa


def run_queue(m: Machine, unit: int) -> Iterator[Message | Refresh]:
    """Take descriptors until the tail; the head is stored at the end (version 1: after each)."""
    regs = m.regs
    if regs[_at(unit, OFFSET["FSTS"])] & _IQE or not _may_run(m, unit):
        return
    head, tail, size = regs[_at(unit, _IQH)] >> 4, regs[_at(unit, _IQT)] >> 4, _length(m, unit)
    endless = tail >= size
    failed, taken = endless and not m.quirks & q.SHRUNK_QUEUE, 0
    while head != tail and not failed:
        failed = yield from _descriptor(m, unit, head)
        if m.dead:
            return
        if not failed:
            head = (head + 1) % size
        taken += 1
        if endless and taken > size:
            m.dead = 1
            m.emit(node(Kind.XEN), Act.STOPPED, 2, head)
            return
    regs[_at(unit, _IQH)] = head << 4
    if failed:
        m.emit(node(Kind.VIOMMU, unit), Act.QUEUE_ERROR, 0, head)
        yield from _report(m, unit, _IQE)


def _may_run(m: Machine, unit: int) -> bool:
    return bool(m.quirks & q.QIE_UNCHECKED or m.regs[_at(unit, OFFSET["GSTS"])] & GCMD.qie.mask)


def _fetch(m: Machine, unit: int, head: int) -> tuple[int, int, int, int] | None:
    at = LATCH_WORDS * unit
    if maps_for_good(m):
        if head >> 8 >= m.latch[at + Latch.QUEUE_PAGES]:
            return None
        return m.ram.words4((m.latch[at + Latch.IQA_USED] >> 12 << 12) + 16 * head)
    base = _pair(m, unit, _IQA) >> 12
    if head >> 8 and m.quirks & q.FIRST_PAGE_ONLY:
        crash(m)
        return None
    return m.ram.words4((base << 12) + 16 * head) if _mappable(m, base + (head >> 8), 1) else None


def _descriptor(m: Machine, unit: int, head: int) -> Generator[Message | Refresh, None, bool]:
    """Do one; the generator's value says whether the queue must stop."""
    words = _fetch(m, unit, head)
    if words is None:
        return True
    descriptor = entry_of(words)
    kind = get(descriptor, IEC.type)
    if kind == DescriptorType.IEC:
        if get(descriptor, IEC.g) and get(descriptor, IEC.im) > _most(m, unit):
            return True
        yield from _invalidate(m, unit, descriptor)
        return False
    if kind == DescriptorType.WAIT:
        return (yield from _wait(m, unit, descriptor))
    if model(m).passes:
        _domain_crash(m)
    return True


def _most(m: Machine, unit: int) -> int:
    """The largest mask that is taken: ECAP.MHMV, or any under quirk xen.D25."""
    unbounded = m.quirks & q.IEC_UNBOUNDED or model(m).name != "xen-v4"
    return 31 if unbounded else int(get(_pair(m, unit, OFFSET["ECAP"]), ECAP.mhmv))


def crash(m: Machine) -> None:
    """The hypervisor would crash here; the machine is dead until reset."""
    m.dead = 1
    m.emit(node(Kind.XEN), Act.STOPPED, 1)


def _domain_crash(m: Machine) -> None:
    """The domain is crashed; the recordings go on, so the machine does."""
    m.emit(node(Kind.XEN), Act.STOPPED, 3)


def _invalidate(m: Machine, unit: int, descriptor: int) -> Iterator[Refresh]:
    selective = get(descriptor, IEC.g)
    mask, first = get(descriptor, IEC.im), get(descriptor, IEC.iidx)
    here = node(Kind.VIOMMU, unit)
    if model(m).name != "xen-v4" or not m.bound:
        m.emit(here, Act.INVALIDATED, first, selective, mask)
    elif not selective:
        m.emit(here, Act.INVALIDATED, first, 0, mask)
        yield Refresh(-1)
    else:
        yield from _walk(m, here, first, mask)


def _walk(m: Machine, here: int, first: int, mask: int) -> Iterator[Refresh]:
    """Every index of the range, one after the other; bounded here, 2^31 in the original (quirk xen.D25)."""
    used = {chain.index_of(b.address & 0xFFFFFFFF, b.data, 0) for b in m.bound if b.address & 0x10}
    for index in range(first, first + min(1 << mask, WALK_LIMIT)):
        m.emit(here, Act.INVALIDATED, index, 1, 0)
        if index in used:
            yield Refresh(index)


WALK_LIMIT = 1 << 17
"""Indices that a walk shows one by one; beyond 0x1ffff no message can have an index."""


def _wait(m: Machine, unit: int, descriptor: int) -> Generator[Message | Refresh, None, bool]:
    """Status write, then the completion event."""
    if get(descriptor, WAIT.sw):
        address, data = (get(descriptor, WAIT.address) << 2) & (1 << 62) - 1, get(descriptor, WAIT.data)
        if not _mappable(m, address >> 12, 1):
            m.emit(node(Kind.VIOMMU, unit), Act.DROPPED, Drop.UNWRITABLE, address, data)
            if model(m).passes:
                _domain_crash(m)
            return True
        m.emit(node(Kind.VIOMMU, unit), Act.STATUS_WRITTEN, 0, address, data)
        m.ram.write_word(address, data)
    if get(descriptor, WAIT.iflag):
        at = _at(unit, OFFSET["ICS"])
        if not m.regs[at] & ICS.iwc.mask:
            m.regs[at] |= ICS.iwc.mask
            yield from _raise(m, unit, _at(unit, OFFSET["IECTL"]))
    return False
