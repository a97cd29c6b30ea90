"""The invalidation queue of the series as coded (X 3.11)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple

from vsim.devices import chain
from vsim.devices.faults import Message
from vsim.devices.remap import entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import IEC, WAIT, DescriptorType
from vsim.layouts.registers import ECAP, FSTS, GCMD, ICS, IQA, OFFSET
from vsim.state import xen_quirks as q
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Drop, Kind, Stop, node
from vsim.xen.faults import raise_event, report
from vsim.xen.models import crash, domain_crash, map_queue, mappable, maps_for_good, model, pair, unmap, word_at

_IQA, _IQT, _IQH = (OFFSET[name] for name in ("IQA", "IQT", "IQH"))
_IQE = FSTS.iqe.mask


class Refresh(NamedTuple):
    """The routing of bound messages that use an entry (-1: all) is to be worked out again."""

    index: int  # type: ignore[assignment]  # shadows tuple.index


def _length(m: Machine, unit: int) -> int:
    return 256 << int(get(m.regs[word_at(unit, _IQA)], IQA.qs))


def write_tail(m: Machine, unit: int, new: int) -> Iterator[Message | Refresh]:
    """IQT: dropped when it names no descriptor of the queue; earlier versions process here."""
    tolerated = 0x8 if model(m).dword else 0
    if new & ~(0x7FFF0 | tolerated) or new >> 4 >= _length(m, unit):
        return
    m.regs[word_at(unit, _IQT)] = new & 0xFFFFFFFF
    if not m.quirks & q.QI_ON_READ:
        yield from run_queue(m, unit)


def write_address(m: Machine, unit: int, new: int) -> None:
    """IQA as one 8-byte write; refused for reserved bits (versions 1 to 3)."""
    if not new & 0xFF8 and not new >> 39:
        m.regs[word_at(unit, _IQA)] = new & 0xFFFFFFFF
        m.regs[word_at(unit, _IQA) + 1] = new >> 32


def write_half(m: Machine, unit: int, offset: int, new: int) -> None:
    """IQA by halves: the lower unmaps the queue, the upper maps it (version 4)."""
    at = LATCH_WORDS * unit
    if offset == _IQA:
        if new & 0xFF8:
            return
        m.regs[word_at(unit, offset)] = new
        unmap(m, at + Latch.QUEUE_PAGES)
        return
    if new >> 7:
        return
    m.regs[word_at(unit, offset)] = new
    if not m.latch[at + Latch.QUEUE_PAGES]:
        map_queue(m, unit)


def run_queue(m: Machine, unit: int) -> Iterator[Message | Refresh]:
    """Take descriptors until the tail; the head is stored at the end (version 1: after each)."""
    regs = m.regs
    if regs[word_at(unit, OFFSET["FSTS"])] & _IQE or not _may_run(m, unit):
        return
    if loops(m, unit):
        hang(m)
        return
    head, tail, size = regs[word_at(unit, _IQH)] >> 4, regs[word_at(unit, _IQT)] >> 4, _length(m, unit)
    failed = tail >= size and not m.quirks & q.SHRUNK_QUEUE
    while head != tail and not failed:
        failed = yield from _descriptor(m, unit, head)
        if m.dead:
            return
        if not failed:
            head = (head + 1) % size
    regs[word_at(unit, _IQH)] = head << 4
    if failed:
        m.emit(node(Kind.VIOMMU, unit), Act.QUEUE_ERROR, 0, head)
        yield from report(m, unit, _IQE)


def hang(m: Machine) -> None:
    """The hypervisor would loop here for ever; the machine is dead until reset."""
    m.dead = 1
    m.emit(node(Kind.XEN), Act.STOPPED, Stop.LOOP)


def loops(m: Machine, unit: int) -> bool:
    """Whether the next walk would never end: the tail is behind a queue that was made smaller, and no descriptor stops
    it (quirk xen.D24). Nobody sees anything of such a walk, so this asks before the first descriptor is taken.

    Status writes may land in the queue, so it is walked, on a copy of the memory, until a whole round writes nothing
    new there. A walk that still changes its own queue after `ROUNDS` counts as endless.
    """
    tail, size = m.regs[word_at(unit, _IQT)] >> 4, _length(m, unit)
    stopped = m.regs[word_at(unit, OFFSET["FSTS"])] & _IQE or not _may_run(m, unit)
    if tail < size or stopped or not m.quirks & q.SHRUNK_QUEUE:
        return False
    memory, m.ram = m.ram, m.ram.copy()
    try:
        return _walks_on(m, unit, size)
    finally:
        m.ram = memory


ROUNDS = 8
"""How often a queue that writes to itself is walked to find out whether that ends."""


def _walks_on(m: Machine, unit: int, size: int) -> bool:
    head = m.regs[word_at(unit, _IQH)] >> 4
    for _ in range(ROUNDS):
        before = m.ram.copy()
        for _ in range(size + head):
            words = None if head >> 8 and m.quirks & q.FIRST_PAGE_ONLY else _fetch(m, unit, head)
            if words is None or _stops(m, unit, entry_of(words)):
                return False
            if get(entry_of(words), IEC.type) == DescriptorType.WAIT and get(entry_of(words), WAIT.sw):
                m.ram.write_word(*_status(entry_of(words)))
            head = (head + 1) % size
        if m.ram == before:
            return True
    return True


def _may_run(m: Machine, unit: int) -> bool:
    return bool(m.quirks & q.QIE_UNCHECKED or m.regs[word_at(unit, OFFSET["GSTS"])] & GCMD.qie.mask)


def _fetch(m: Machine, unit: int, head: int) -> tuple[int, int, int, int] | None:
    at = LATCH_WORDS * unit
    if maps_for_good(m):
        if head >> 8 >= m.latch[at + Latch.QUEUE_PAGES]:
            return None
        return m.ram.words4((m.latch[at + Latch.IQA_USED] >> 12 << 12) + 16 * head)
    base = pair(m, unit, _IQA) >> 12
    if head >> 8 and m.quirks & q.FIRST_PAGE_ONLY:
        crash(m)
        return None
    return m.ram.words4((base << 12) + 16 * head) if mappable(m, base + (head >> 8), 1) else None


def _descriptor(m: Machine, unit: int, head: int) -> Generator[Message | Refresh, None, bool]:
    """Do one; the generator's value says whether the queue must stop."""
    words = _fetch(m, unit, head)
    if words is None:
        return True
    descriptor = entry_of(words)
    kind = get(descriptor, IEC.type)
    stops = _stops(m, unit, descriptor)
    if kind == DescriptorType.WAIT:
        yield from _wait(m, unit, descriptor, stops)
    elif not stops:
        yield from _invalidate(m, unit, descriptor)
    if stops and kind != DescriptorType.IEC and model(m).passes:
        domain_crash(m)
    return stops


def _stops(m: Machine, unit: int, descriptor: int) -> bool:
    """Whether the queue stops at a descriptor: its type, its mask, or where it writes its status; asks only."""
    kind = get(descriptor, IEC.type)
    if kind == DescriptorType.IEC:
        return bool(get(descriptor, IEC.g) and get(descriptor, IEC.im) > _most(m, unit))
    if kind == DescriptorType.WAIT:
        return bool(get(descriptor, WAIT.sw)) and not mappable(m, _status(descriptor)[0] >> 12, 1)
    return True


def _status(descriptor: int) -> tuple[int, int]:
    """(address, data) of the status write of a wait descriptor."""
    return (get(descriptor, WAIT.address) << 2) & (1 << 62) - 1, get(descriptor, WAIT.data)


def _most(m: Machine, unit: int) -> int:
    """The largest mask that is taken: ECAP.MHMV, or any under quirk xen.D25."""
    unbounded = m.quirks & q.IEC_UNBOUNDED or model(m).name != "xen-v4"
    return 31 if unbounded else int(get(pair(m, unit, OFFSET["ECAP"]), ECAP.mhmv))


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


WALK_LIMIT = 1 << 17
"""Indices that a walk shows one by one; beyond 0x1ffff no message can have an index."""


def _walk(m: Machine, here: int, first: int, mask: int) -> Iterator[Refresh]:
    """Every index of the range, one after the other; bounded here, 2^31 in the original (quirk xen.D25)."""
    used = {chain.index_of(b.address & 0xFFFFFFFF, b.data, 0) for b in m.bound if b.address & 0x10}
    for index in range(first, first + min(1 << mask, WALK_LIMIT)):
        m.emit(here, Act.INVALIDATED, index, 1, 0)
        if index in used:
            yield Refresh(index)


def _wait(m: Machine, unit: int, descriptor: int, stops: bool) -> Iterator[Message | Refresh]:
    """Status write, then the completion event; neither when the page cannot be written."""
    if get(descriptor, WAIT.sw):
        address, data = _status(descriptor)
        if stops:
            m.emit(node(Kind.VIOMMU, unit), Act.DROPPED, Drop.UNWRITABLE, address, data)
            return
        m.emit(node(Kind.VIOMMU, unit), Act.STATUS_WRITTEN, 0, address, data)
        m.ram.write_word(address, data)
    if get(descriptor, WAIT.iflag):
        at = word_at(unit, OFFSET["ICS"])
        if not m.regs[at] & ICS.iwc.mask:
            m.regs[at] |= ICS.iwc.mask
            yield from raise_event(m, unit, word_at(unit, OFFSET["IECTL"]))
