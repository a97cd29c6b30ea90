"""The invalidation queue and the interrupt entry cache (VT-d 6.5; V 7).

`run` takes descriptors in order, one at a time, until the queue is empty or stops on an error; it yields the messages
that the unit sends on the way, at the moment they are sent.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from vsim.devices import faults
from vsim.devices.faults import Message
from vsim.devices.remap import ABSENT, Verdict, Words, entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import CONTEXT_INV, DEVICE_TLB_INV, IEC, IOTLB_INV, PAGE_SELECTIVE, WAIT, DescriptorType
from vsim.layouts.registers import CAP, ECAP, FSTS, GSTS, IQA, IQH, IQT, OFFSET
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.state.profile import DEVICE_TLB_TAKEN, EMPTY_WAIT_ERROR, IEC_UNCHECKED, PASID_UNKNOWN, WAIT_BOTH_ABORTS
from vsim.state.trace import Act, Kind, Stop, Warn, node

TAIL, FETCH, TYPE, RESERVED, WIDTH, ALIGN = 1, 2, 3, 4, 5, 6
"""IQERCD.IQEI values: why the queue stopped."""

STOPPING = FSTS.iqe.mask | FSTS.ite.mask
"""FSTS bits that stop the queue until software clears them."""

WHOLE = 16
"""Index mask that covers all 65,536 entries of a unit."""

_M64 = (1 << 64) - 1
_IQH, _IQT, _IQA = (OFFSET[name] // 4 for name in ("IQH", "IQT", "IQA"))


def _reg(m: Machine, unit: int, name: str) -> int:
    at = PAGE_WORDS * unit + OFFSET[name] // 4
    return m.regs[at] | m.regs[at + 1] << 32


def length(iqa: int) -> int:
    """Descriptors in the queue: 2^(QS+8) of 16 bytes, or half as many of 32 bytes."""
    return int(1 << get(iqa, IQA.qs) + 8 - get(iqa, IQA.dw))


def run(m: Machine, unit: int) -> Iterator[Message]:
    """Take descriptors until head equals tail, the queue is off, or an error stops it."""
    base = PAGE_WORDS * unit
    emptied: set[tuple[int, int]] = set()
    while m.regs[base + OFFSET["GSTS"] // 4] & GSTS.qies.mask:
        if m.regs[base + OFFSET["FSTS"] // 4] & STOPPING or m.dead:
            return
        iqa = m.latch[LATCH_WORDS * unit + Latch.IQA_USED]
        wide = get(iqa, IQA.dw)
        error = _misprogrammed(m, unit) if wide else 0
        head, tail = (m.regs[base + at] >> IQH.qh.low + wide for at in (_IQH, _IQT))
        if head == tail and not error:
            return
        if tail >= length(iqa):
            error = error or TAIL
        if not error:
            error = yield from _take(m, unit, iqa, head, emptied)
        if error:
            message = faults.queue_error(m, unit, error, head)
            if message is not None:
                yield message
            return
        head = m.regs[base + _IQH] >> IQH.qh.low + wide     # behind a wait that was aborted
        m.regs[base + _IQH] = (head + 1) % length(iqa) << IQH.qh.low + wide


def _misprogrammed(m: Machine, unit: int) -> int:
    """What is wrong with a queue of 256-bit descriptors: the unit has none, or the tail is odd (V 1.7); else 0."""
    if not _reg(m, unit, "ECAP") & (ECAP.smts.mask | ECAP.adms.mask):
        return WIDTH
    at, odd = PAGE_WORDS * unit + _IQT, 1 << IQT.qt.low
    if m.regs[at] & odd:
        m.regs[at] &= ~odd
        return ALIGN
    return 0


def _take(m: Machine, unit: int, iqa: int, head: int, emptied: set[tuple[int, int]]) -> Generator[Message, None, int]:
    """Do one descriptor; the generator's return value is the error, 0 for none. emptied: see `_iec`."""
    wide = get(iqa, IQA.dw)
    words = m.ram.words4((get(iqa, IQA.base) << IQA.base.low) + (head << 4 + wide))
    descriptor = entry_of(words or ABSENT)
    high = get(descriptor, IEC.type_high)
    kind = get(descriptor, IEC.type) | (0 if m.quirks & IEC_UNCHECKED else high << 4)
    m.latch[LATCH_WORDS * unit + Latch.LAST_TYPE] = kind
    if words is None:
        return FETCH
    if m.quirks & PASID_UNKNOWN and kind in (DescriptorType.PASID_IOTLB, DescriptorType.PASID_CACHE):
        return 0
    if kind not in _DO or (m.quirks & PASID_UNKNOWN and kind == DescriptorType.PASID_DEVICE_TLB):
        return TYPE
    m.emit(node(Kind.VIOMMU, unit), Act.DESCRIPTOR, kind, descriptor & _M64, descriptor >> 64)
    if kind == DescriptorType.IEC:
        return _iec(m, unit, descriptor, emptied)
    if m.quirks & IEC_UNCHECKED and high:
        return RESERVED
    if kind == DescriptorType.WAIT:
        return (yield from _wait(m, unit, descriptor))
    if kind == DescriptorType.DEVICE_TLB:
        return (yield from _device_tlb(m, unit, descriptor))
    return _DO[kind](m, unit, descriptor)


def _wait(m: Machine, unit: int, descriptor: int) -> Generator[Message, None, int]:
    """Status write, then the completion event (V 7.4). A status address outside memory stops the queue (as QEMU)."""
    write, interrupt = get(descriptor, WAIT.sw), get(descriptor, WAIT.iflag)
    drain = WAIT.pd.mask if not _reg(m, unit, "ECAP") & ECAP.pds.mask else 0
    if descriptor & (WAIT.reserved | drain):
        return RESERVED
    if write and interrupt and m.quirks & WAIT_BOTH_ABORTS:
        m.dead = 1
        m.emit(node(Kind.QEMU), Act.STOPPED, Stop.EMULATOR)
        return 0
    if not write and not interrupt and m.quirks & EMPTY_WAIT_ERROR:
        return RESERVED
    if write:
        address, data = get(descriptor, WAIT.address) << 2, get(descriptor, WAIT.data)
        m.emit(node(Kind.VIOMMU, unit), Act.STATUS_WRITTEN, 0, address, data)
        if not m.ram.write_word(address, data):
            return FETCH
    if interrupt and (message := faults.completion(m, unit)) is not None:
        yield message
    return 0


def _iec(m: Machine, unit: int, descriptor: int, emptied: set[tuple[int, int]]) -> int:
    """Forget entries (V 7.3): all of them, or 2^im from iidx with its low im bits ignored. Only the latter has an im.

    emptied: ranges that this run has already emptied. Nothing is cached while descriptors are taken, so a guest
    that repeats a wide invalidation 32,767 times makes the unit look at the cache once.
    """
    first, mask = get(descriptor, IEC.iidx), get(descriptor, IEC.im)
    if descriptor & IEC.reserved and not m.quirks & IEC_UNCHECKED:
        return RESERVED
    selective = get(descriptor, IEC.g)
    if selective and not m.profile.options.iec_any_mask and mask > get(_reg(m, unit, "ECAP"), ECAP.mhmv):
        return RESERVED
    m.emit(node(Kind.VIOMMU, unit), Act.INVALIDATED, first, selective, mask)
    mask = min(mask, WHOLE) if selective else WHOLE
    if (mask, first >> mask) not in emptied:
        emptied.add((mask, first >> mask))
        forget(m, unit, first, mask)
    return 0


def forget(m: Machine, unit: int, first: int = 0, mask: int = WHOLE) -> None:
    """Drop cached entries of a unit: those whose index equals `first` without its low `mask` bits."""
    mask = min(mask, WHOLE)
    low = (unit << WHOLE | first) >> mask << mask
    if 1 << mask < len(m.cache):
        for key in range(low, low + (1 << mask)):
            m.cache.pop(key, None)
    else:
        for key in [key for key in m.cache if key >> mask == low >> mask]:
            del m.cache[key]


def fill(m: Machine, unit: int, verdict: Verdict) -> bool:
    """Keep a fetched entry as the cache policy allows (V 7.7); whether it was kept."""
    policy = m.profile.options.cache
    if not verdict.fetched or policy == "none" or (policy == "present" and verdict.check):
        return False
    words: Words = verdict.words
    m.cache[unit << 16 | verdict.index & 0xFFFF] = words
    return True


def _context(m: Machine, unit: int, descriptor: int) -> int:
    """Context-cache invalidation: nothing to forget in a unit that remaps interrupts only (V 7.2)."""
    return RESERVED if descriptor & CONTEXT_INV.reserved or not get(descriptor, CONTEXT_INV.g) else 0


def _iotlb(m: Machine, unit: int, descriptor: int) -> int:
    """IOTLB invalidation: nothing to forget; a mask of pages above CAP.MAMV is refused where pages can be named."""
    granularity, cap = get(descriptor, IOTLB_INV.g), _reg(m, unit, "CAP")
    if descriptor & IOTLB_INV.reserved or not granularity:
        return RESERVED
    if granularity == PAGE_SELECTIVE and not get(cap, CAP.psi):
        m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.NO_PAGES, descriptor & _M64, descriptor >> 64)
    by_page = granularity == PAGE_SELECTIVE and get(cap, CAP.psi)
    return RESERVED if by_page and get(descriptor, IOTLB_INV.am) > get(cap, CAP.mamv) else 0


def _device_tlb(m: Machine, unit: int, descriptor: int) -> Generator[Message, None, int]:
    """Device-TLB invalidation: nothing to forget; unknown without ECAP.DT. The device may fail it (V 7.6).

    After a time-out nothing is fetched until ITE is cleared, and the wait that was fetched behind it is aborted: no
    status, no event. After an error the queue goes on.
    """
    if not _reg(m, unit, "ECAP") & ECAP.dt.mask and not m.quirks & DEVICE_TLB_TAKEN:
        return TYPE
    if descriptor & DEVICE_TLB_INV.reserved:
        return RESERVED
    sid, how = get(descriptor, DEVICE_TLB_INV.sid), m.device_error >> 16
    if not how or m.device_error & 0xFFFF != sid:
        return 0
    m.device_error = 0
    if how == faults.TIME_OUT:
        _abort_wait(m, unit)
    message = faults.device_error(m, unit, how, sid)
    if message is not None:
        yield message
    return 0


def _abort_wait(m: Machine, unit: int) -> None:
    """The wait behind the descriptor at the head, if there is one in the queue, is taken and does nothing."""
    base, iqa = PAGE_WORDS * unit, m.latch[LATCH_WORDS * unit + Latch.IQA_USED]
    wide = get(iqa, IQA.dw)
    head, tail = (m.regs[base + at] >> IQH.qh.low + wide for at in (_IQH, _IQT))
    behind = (head + 1) % length(iqa)
    words = m.ram.words4((get(iqa, IQA.base) << IQA.base.low) + (behind << 4 + wide)) if behind != tail else None
    descriptor = entry_of(words or ABSENT)
    if get(descriptor, WAIT.type) | get(descriptor, WAIT.type_high) << 4 == DescriptorType.WAIT:
        m.regs[base + _IQH] = behind << IQH.qh.low + wide
        m.emit(node(Kind.VIOMMU, unit), Act.ABORTED, 0, descriptor & _M64, descriptor >> 64)


def _nothing(m: Machine, unit: int, descriptor: int) -> int:
    return 0


def _scalable(m: Machine, unit: int, descriptor: int) -> int:
    """PASID-based invalidation: known, and refused without scalable mode."""
    return TYPE


_DO = {DescriptorType.CONTEXT: _context, DescriptorType.IOTLB: _iotlb, DescriptorType.DEVICE_TLB: _nothing,
       DescriptorType.IEC: _nothing, DescriptorType.WAIT: _nothing, DescriptorType.PASID_IOTLB: _scalable,
       DescriptorType.PASID_DEVICE_TLB: _scalable}
