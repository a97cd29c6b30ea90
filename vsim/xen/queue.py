"""The invalidation queue of the series as coded (X 3.11)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import NamedTuple

from vsim.devices import chain
from vsim.devices.checks import MODE_BIT
from vsim.devices.faults import Message
from vsim.devices.remap import entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import IEC, WAIT, DescriptorType
from vsim.layouts.registers import ECAP, FSTS, GCMD, ICS, IQA, OFFSET
from vsim.state import xen_quirks as q
from vsim.state.arrays import LATCH_WORDS, Bound, Latch, Machine
from vsim.state.trace import Act, Drop, Kind, Stop, node
from vsim.xen.faults import raise_event, report
from vsim.xen.models import crash, domain_crash, map_queue, mappable, maps_for_good, model, pair, unmap, word_at

_IQA, _IQT, _IQH = (OFFSET[name] for name in ("IQA", "IQT", "IQH"))
_IQE = FSTS.iqe.mask


class Refresh(NamedTuple):
    """The routing of bound messages that use an entry is to be worked out again.

    place: of the message. again: it was worked out since its entry was written last, so that nothing can differ.
    alike: others that mean the same, while nobody looks at each.
    """

    place: int
    again: bool
    alike: tuple[int, ...] = ()


class Walk:
    """What one run of the queue knows of the bound messages: their indexes, and which are worked out.

    by_index: (index, place), in ascending order; places: without the indexes. done: the places whose routing is that
    of memory now. meaning: of each place, what its routing follows from beside memory.
    """

    def __init__(self, m: Machine, unit: int) -> None:
        self.by_index = sorted((chain.index_of(b.address & 0xFFFFFFFF, b.data, 0), place)
                               for place, b in enumerate(m.bound) if b.address & 0x10)
        self.places = sorted(place for _, place in self.by_index)
        self.meaning = {place: (index, _request_check(m.bound[place])) for index, place in self.by_index}
        self.base = m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE] << 12
        self.done: set[int] = set()

    def within(self, first: int, count: int) -> list[tuple[int, int]]:
        """(index, place) of the messages that use one of `count` entries."""
        return self.by_index[bisect_left(self.by_index, (first, -1)):bisect_left(self.by_index, (first + count, -1))]

    def written(self, address: int) -> None:
        """Memory has changed: the entry there is to be decoded anew."""
        index = address - self.base >> 4
        self.done -= {place for _, place in self.within(index, 1)}

    def together(self, places: list[int]) -> Iterator[Refresh]:
        """The refreshes of these messages that are not done, those that mean the same in one."""
        groups: dict[tuple[int, int], list[int]] = {}
        for place in places:
            groups.setdefault(self.meaning[place], []).append(place)
        self.done.update(places)
        return (Refresh(first, False, tuple(rest)) for first, *rest in groups.values())

    def refresh(self, place: int) -> Refresh:
        """The refresh of a message, and that it is done."""
        again = place in self.done
        self.done.add(place)
        return Refresh(place, again)


def _request_check(bound: Bound) -> int:
    """The check that a bound message fails by itself, in a unit that remaps and has every entry."""
    return chain.request_spec(bound.address & 0xFFFFFFFF, 0, bound.data, MODE_BIT["ires"], 1 << 17, 0, 63)


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
    walk = Walk(m, unit)
    while head != tail and not failed:
        failed = yield from _descriptor(m, unit, head, walk)
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
        for _ in range(size + 1):    # the head may stand behind the last one
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


def _descriptor(m: Machine, unit: int, head: int, walk: Walk) -> Generator[Message | Refresh, None, bool]:
    """Do one; the generator's value says whether the queue must stop."""
    words = _fetch(m, unit, head)
    if words is None:
        return True
    descriptor = entry_of(words)
    kind = get(descriptor, IEC.type)
    stops = _stops(m, unit, descriptor)
    if kind == DescriptorType.WAIT:
        yield from _wait(m, unit, descriptor, stops, walk)
    elif not stops:
        yield from _invalidate(m, unit, descriptor, walk)
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


def _invalidate(m: Machine, unit: int, descriptor: int, walk: Walk) -> Iterator[Refresh]:
    selective = get(descriptor, IEC.g)
    mask, first = get(descriptor, IEC.im), get(descriptor, IEC.iidx)
    here = node(Kind.VIOMMU, unit)
    if model(m).name != "xen-v4" or not m.bound:
        m.emit(here, Act.INVALIDATED, first, selective, mask)
    elif not selective:
        m.emit(here, Act.INVALIDATED, first, 0, mask)
        yield from _refreshed(m, walk, walk.places)
    else:
        yield from _walk(m, here, first, mask, walk)


WALK_LIMIT = 1 << 17
"""Indices that a walk shows one by one; beyond 0x1ffff no message can have an index."""


def _walk(m: Machine, here: int, first: int, mask: int, walk: Walk) -> Iterator[Refresh]:
    """Every index of the range, one after the other; bounded here, 2^31 in the original (quirk xen.D25)."""
    at, end = first, first + min(1 << mask, WALK_LIMIT)
    if not m.room:
        _pass(m, here, at, end)
        yield from _refreshed(m, walk, [place for _, place in walk.within(first, end - first)])
        return
    for index, place in walk.within(first, end - first):
        _pass(m, here, at, index + 1)
        at = index + 1
        yield walk.refresh(place)
    _pass(m, here, at, end)


def _refreshed(m: Machine, walk: Walk, places: list[int]) -> Iterator[Refresh]:
    """The refresh of these messages, in order; only counted when nothing can have changed and nobody looks."""
    if m.room:
        yield from map(walk.refresh, places)
        return
    settled = walk.done.intersection(places)
    yield from walk.together([place for place in places if place not in settled])
    m.unseen(Act.MIGRATED, sum(m.bound[place].vcpu >= 0 for place in settled))
    m.unseen(Act.HOST_ENTRY, len(settled) if m.posting else 0)


def _pass(m: Machine, here: int, first: int, end: int) -> None:
    """The walk goes over indices: an event each, as long as there is room for them."""
    shown = min(max(end - first, 0), m.room)
    for index in range(first, first + shown):
        m.emit(here, Act.INVALIDATED, index, 1, 0)
    m.unseen(Act.INVALIDATED, max(end - first, 0) - shown)


def _wait(m: Machine, unit: int, descriptor: int, stops: bool, walk: Walk) -> Iterator[Message | Refresh]:
    """Status write, then the completion event; neither when the page cannot be written."""
    if get(descriptor, WAIT.sw):
        address, data = _status(descriptor)
        if stops:
            m.emit(node(Kind.VIOMMU, unit), Act.DROPPED, Drop.UNWRITABLE, address, data)
            return
        m.emit(node(Kind.VIOMMU, unit), Act.STATUS_WRITTEN, 0, address, data)
        m.ram.write_word(address, data)
        walk.written(address)
    if get(descriptor, WAIT.iflag):
        at = word_at(unit, OFFSET["ICS"])
        if not m.regs[at] & ICS.iwc.mask:
            m.regs[at] |= ICS.iwc.mask
            yield from raise_event(m, unit, word_at(unit, OFFSET["IECTL"]))
