"""The register page of a virtual VT-d unit: who may write what, and what a write does (VT-d 11; V 1, 2).

`write` yields the messages that it makes the unit send; `read` answers. Both take offsets inside the page; whether an
access belongs to the page at all is decided in `machine`, by where the unit was created.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from vsim.devices import faults, flush, queue, remap
from vsim.devices.checks import MODE_BIT
from vsim.devices.faults import Message
from vsim.layouts.bits import get
from vsim.layouts.formats import DescriptorType
from vsim.layouts.registers import (
    CAP,
    ECAP,
    EVENT_ADDRESS,
    EVENT_UPPER,
    GCMD,
    GSTS,
    IQA,
    IQT,
    IRTA,
    OFFSET,
    ONE_SHOT,
    RTADDR,
    UNIT,
    VER,
)
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.state.profile import COMPAT_PASSES, EIME_ALWAYS, IQA_IN_USE, QIE_STICKS, RESUME_ON_TAIL, WIDE_WRITE_ABORTS
from vsim.state.trace import Act, Drop, Kind, Stop, Warn, node

_WIDE = {offset for offset, width, _, _ in UNIT if width == 8}
SERIES_MODE = sum(MODE_BIT[name] for name in ("compat_passes", "dlm_passes", "dst_unchecked", "msi_unchecked"))
"""Mode bits of the 2017 series: the format bit alone decides, the rest of a message is not looked at (X 3.6)."""
_RESET = {"VER": VER.reset, "FECTL": 1 << 31, "IECTL": 1 << 31}
_GSTS = OFFSET["GSTS"] // 4


def create(m: Machine, base: int, size: int, caps: int) -> int:
    """A new unit trapped at `base` for `size` bytes; its number. The caller has checked every value."""
    unit = next((u for u in range(m.units) if not m.live(u)), m.units)
    if unit == m.units:
        m.regs.extend([0] * PAGE_WORDS)
        m.latch.extend([0] * LATCH_WORDS)
    for word in range(PAGE_WORDS):
        m.regs[PAGE_WORDS * unit + word] = 0
    profile, own = m.profile, m.profile.of_unit(unit)
    for name, value in (*_RESET.items(), ("CAP", own.cap), ("ECAP", own.ecap)):
        _store(m, unit, OFFSET[name], 8 if OFFSET[name] in _WIDE else 4, value)
    queue.forget(m, unit)
    posting = bool(get(own.cap, CAP.pi))
    series = profile.options.model != "vtd"
    mode = remap.static_mode(profile, posting) | (SERIES_MODE if series else 0)
    values = {Latch.MODE: mode, Latch.ORDER: remap.order_number(profile),
              Latch.WIDTH: profile.capabilities.width - 12, Latch.MMIO_BASE: base, Latch.MMIO_LENGTH: size,
              Latch.CAPS: caps, Latch.LIVE: 1}
    for place in Latch:
        m.latch[LATCH_WORDS * unit + place] = values.get(place, 0)
    return unit


def destroy(m: Machine, unit: int) -> None:
    """The unit is gone: its page is no longer trapped, its cache is empty."""
    queue.forget(m, unit)
    m.roots.pop(unit, None)
    for place in Latch:
        m.latch[LATCH_WORDS * unit + place] = 0


def value(m: Machine, unit: int, offset: int, width: int) -> int:
    """The stored value of a register, without any effect. width: 4 or 8 bytes."""
    at = PAGE_WORDS * unit + offset // 4
    return m.regs[at] | m.regs[at + 1] << 32 if width == 8 else m.regs[at]


def _store(m: Machine, unit: int, offset: int, width: int, new: int) -> None:
    at = PAGE_WORDS * unit + offset // 4
    m.regs[at] = new & 0xFFFFFFFF
    if width == 8:
        m.regs[at + 1] = new >> 32 & 0xFFFFFFFF


def read(m: Machine, unit: int, offset: int, width: int) -> int:
    """What a guest reads; reading has no side effect. Wrong width or alignment reads 0 (V 1.2)."""
    if width not in (4, 8) or offset % width:
        m.emit(node(Kind.VIOMMU, unit), Act.DROPPED, Drop.WIDTH, offset, width)
        return 0
    got = value(m, unit, offset, width)
    if m.quirks & IQA_IN_USE and OFFSET["IQA"] <= offset < OFFSET["IQA"] + 8:
        got = _iqa_in_use(m, unit) >> 8 * (offset - OFFSET["IQA"]) & (1 << 8 * width) - 1
    return got


def _iqa_in_use(m: Machine, unit: int) -> int:
    stored = value(m, unit, OFFSET["IQA"], 8)
    used = m.latch[LATCH_WORDS * unit + Latch.IQA_USED]
    return used & IQA.base.mask | stored & IQA.qs.mask


def write(m: Machine, unit: int, offset: int, width: int, new: int) -> Iterator[Message]:
    """A write of `width` bytes at `offset`. Wrong width or alignment: dropped, with an event (V 1.2)."""
    here = node(Kind.VIOMMU, unit)
    if width not in (4, 8) or offset % width:
        m.emit(here, Act.DROPPED, Drop.WIDTH, offset, new)
        return
    m.emit(here, Act.WRITTEN, offset, new & (1 << 8 * width) - 1, width)
    if width == 4 or offset in _WIDE:
        yield from _write_register(m, unit, offset, width, new)
        return
    if m.quirks & WIDE_WRITE_ABORTS and offset in _NARROW_ONLY:
        m.dead = 1
        m.emit(node(Kind.QEMU), Act.STOPPED, Stop.EMULATOR)
        return
    yield from _write_register(m, unit, offset, 4, new & 0xFFFFFFFF)
    yield from _write_register(m, unit, offset + 4, 4, new >> 32 & 0xFFFFFFFF)


_NARROW_ONLY = {OFFSET["FECTL"], OFFSET["IECTL"], OFFSET["IEADDR"]}


def _is_record(m: Machine, offset: int) -> bool:
    first = m.profile.capabilities.fault_offset
    return first <= offset < first + 16 * m.profile.capabilities.fault_records


def _write_register(m: Machine, unit: int, offset: int, width: int, new: int) -> Iterator[Message]:
    """One register, or one half of a 64-bit register."""
    message = None
    if _is_record(m, offset):
        faults.clear_record(m, unit, offset, new)
    elif offset == OFFSET["GCMD"]:
        yield from _command(m, unit, new)
    elif offset == OFFSET["FSTS"]:
        yield from _clear_status(m, unit, new)
    elif offset in (OFFSET["FECTL"], OFFSET["IECTL"]):
        message = faults.write_control(m, unit, offset, new)
    elif offset == OFFSET["ICS"]:
        faults.write_completion(m, unit, new)
    elif flush.known(m, unit, offset):
        flush.write(m, unit, offset, width, new)
    elif offset in _masks(m, unit):
        _warn_of_queue(m, unit, offset, new)
        _store_masked(m, unit, offset, width, new)
        if offset == OFFSET["IQT"]:
            yield from queue.run(m, unit)
    if message is not None:
        yield message


_QUEUE = {OFFSET[name] + 4 * half: layout.reserved >> 32 * half
          for name, layout in (("IQT", IQT), ("IQA", IQA)) for half in (0, 1)}
"""Reserved bits of the queue's registers, by the offset of each half."""


def _warn_of_queue(m: Machine, unit: int, offset: int, new: int) -> None:
    """IQA while the queue is on (its base was taken before), reserved bits of IQA and IQT (VT-d 11.4.17, 11.4.18)."""
    if offset not in _QUEUE:
        return
    here = node(Kind.VIOMMU, unit)
    if offset & ~4 == OFFSET["IQA"] and m.regs[PAGE_WORDS * unit + _GSTS] & GSTS.qies.mask:
        m.emit(here, Act.WARNED, Warn.QUEUE_MOVED, new)
    if new & _QUEUE[offset]:
        m.emit(here, Act.WARNED, Warn.QUEUE_RESERVED, new, offset)


def _offers_eim(m: Machine, unit: int) -> bool:
    return bool(get(m.profile.of_unit(unit).ecap, ECAP.eim) or m.quirks & EIME_ALWAYS)


def _masks(m: Machine, unit: int) -> dict[int, int]:
    """Writable bits of the plain registers by the offset of each 32-bit half."""
    options, eim = m.profile.options, _offers_eim(m, unit)
    return _masks_of(m.profile.of_unit(unit).ecap, eim or options.eime_reads_back, eim and options.event_upper,
                     options.iedata_bits, options.iqa_width)


@cache
def _masks_of(ecap: int, eime: bool, event_upper: bool, iedata_bits: int, iqa_width: bool) -> dict[int, int]:
    irta = IRTA.writable if eime else IRTA.writable & ~IRTA.eime.mask
    wide = iqa_width or ecap & (ECAP.smts.mask | ECAP.adms.mask)
    iqa = IQA.writable if wide else IQA.writable & ~IQA.dw.mask
    upper = EVENT_UPPER.writable if event_upper else 0
    full = {"RTADDR": RTADDR.writable, "FEDATA": 0xFFFF, "IEDATA": (1 << iedata_bits) - 1,
            "FEADDR": EVENT_ADDRESS.writable, "IEADDR": EVENT_ADDRESS.writable, "FEUADDR": upper, "IEUADDR": upper,
            "IQT": IQT.writable, "IQA": iqa, "IRTA": irta}
    out: dict[int, int] = {}
    for name, mask in full.items():
        out[OFFSET[name]] = mask & 0xFFFFFFFF
        if OFFSET[name] in _WIDE:
            out[OFFSET[name] + 4] = mask >> 32
    return out


def _store_masked(m: Machine, unit: int, offset: int, width: int, new: int) -> None:
    masks = _masks(m, unit)
    for half in range(width // 4):
        _store(m, unit, offset + 4 * half, 4, new >> 32 * half & masks[offset + 4 * half])
    irta = OFFSET["IRTA"]
    if irta <= offset < irta + 8 and m.latch[LATCH_WORDS * unit + Latch.MODE] & MODE_BIT["ires"]:
        changed = bool(value(m, unit, irta, 8) & IRTA.eime.mask) != bool(
            m.latch[LATCH_WORDS * unit + Latch.MODE] & MODE_BIT["eime"])
        if changed:
            m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.EIME_WHILE_ON, value(m, unit, irta, 8))


def _clear_status(m: Machine, unit: int, new: int) -> Iterator[Message]:
    """FSTS: acknowledging IQE or ITE lets the queue go on (V 7.6)."""
    stopped = value(m, unit, OFFSET["FSTS"], 4) & queue.STOPPING
    faults.write_status(m, unit, new)
    if stopped & new and not m.quirks & RESUME_ON_TAIL:
        yield from queue.run(m, unit)


# --- global command (V 2) ---


def _command(m: Machine, unit: int, new: int) -> Iterator[Message]:
    """GCMD: every changed level bit and every one-shot bit written as 1 takes effect, in the profile's order."""
    status = m.regs[PAGE_WORDS * unit + _GSTS]
    changed = (new ^ status) & ~ONE_SHOT | new & ONE_SHOT
    changed &= sum(f.mask for f in GCMD)
    if changed & (changed - 1):
        m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.SEVERAL_COMMANDS, new)
    for name in m.profile.options.gcmd_order:
        bit = getattr(GCMD, name).mask
        if changed & bit:
            yield from _DO.get(name, _follow)(m, unit, bit, bool(new & bit))


def _set_status(m: Machine, unit: int, bit: int, on: bool) -> None:
    at = PAGE_WORDS * unit + _GSTS
    m.regs[at] = m.regs[at] | bit if on else m.regs[at] & ~bit


def _set_mode(m: Machine, unit: int, name: str, on: bool) -> None:
    at = LATCH_WORDS * unit + Latch.MODE
    bit = MODE_BIT[name]
    m.latch[at] = m.latch[at] | bit if on else m.latch[at] & ~bit


def _follow(m: Machine, unit: int, bit: int, on: bool) -> Iterator[Message]:
    """DMA remapping commands: the status follows, nothing is modelled. Absent features do not answer."""
    absent = bit in (GCMD.eafl.mask, GCMD.sfl.mask) and not get(m.profile.of_unit(unit).cap, CAP.afl)
    if not absent and bit != GCMD.wbf.mask:
        if on and bit == GCMD.te.mask and not m.regs[PAGE_WORDS * unit + _GSTS] & GSTS.rtps.mask:
            m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.NO_ROOT)
        _set_status(m, unit, bit, on)
        if bit == GCMD.srtp.mask:
            m.roots[unit] = value(m, unit, OFFSET["RTADDR"], 8)
        m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.NO_DMA, bit)
    yield from ()


def _sirtp(m: Machine, unit: int, bit: int, on: bool) -> Iterator[Message]:
    """Latch IRTA: base, size and EIME take effect together (V 2.2)."""
    irta = value(m, unit, OFFSET["IRTA"], 8)
    at = LATCH_WORDS * unit
    entries = 2 << get(irta, IRTA.s)
    m.latch[at + Latch.BASE_PAGE] = get(irta, IRTA.base)
    m.latch[at + Latch.ENTRIES] = entries
    eime = bool(get(irta, IRTA.eime)) and _offers_eim(m, unit)
    _set_mode(m, unit, "eime", eime)
    _set_status(m, unit, GSTS.irtps.mask, True)
    here = node(Kind.VIOMMU, unit)
    m.emit(here, Act.LATCHED, entries, irta, int(eime))
    if get(irta, IRTA.base) & (entries * 16 - 1) >> 12:
        m.emit(here, Act.WARNED, Warn.MISALIGNED_TABLE, irta)
    if get(m.profile.of_unit(unit).cap, CAP.esirtps):
        queue.forget(m, unit)
    yield from ()


def _ire(m: Machine, unit: int, bit: int, on: bool) -> Iterator[Message]:
    """Remapping on or off."""
    _set_status(m, unit, GSTS.ires.mask, on)
    _set_mode(m, unit, "ires", on)
    if on and not m.latch[LATCH_WORDS * unit + Latch.ENTRIES]:
        m.emit(node(Kind.VIOMMU, unit), Act.WARNED, Warn.NOT_LATCHED)
    if not on and get(m.profile.of_unit(unit).cap, CAP.esirtps):
        queue.forget(m, unit)
    yield from ()


def _cfi(m: Machine, unit: int, bit: int, on: bool) -> Iterator[Message]:
    """Whether compatibility-format requests pass while EIME=0."""
    if not m.quirks & COMPAT_PASSES:
        _set_status(m, unit, GSTS.cfis.mask, on)
        _set_mode(m, unit, "cfis", on)
    yield from ()


def _qie(m: Machine, unit: int, bit: int, on: bool) -> Iterator[Message]:
    """Queued invalidation on: take the queue's address and start. Off: head to 0 (V 7.1)."""
    at = LATCH_WORDS * unit
    here = node(Kind.VIOMMU, unit)
    tail, head = value(m, unit, OFFSET["IQT"], 8), value(m, unit, OFFSET["IQH"], 8)
    if on:
        narrow = (1 << m.profile.capabilities.width) - 1 if m.quirks & IQA_IN_USE else -1
        m.latch[at + Latch.IQA_USED] = value(m, unit, OFFSET["IQA"], 8) & narrow
        _set_status(m, unit, GSTS.qies.mask, True)
        if tail:
            m.emit(here, Act.WARNED, Warn.TAIL_AT_ENABLE, tail)
        yield from queue.run(m, unit)
        return
    waited = m.latch[at + Latch.LAST_TYPE] == DescriptorType.WAIT or not m.quirks & QIE_STICKS
    if head != tail or not waited:
        m.emit(here, Act.WARNED, Warn.NOT_DRAINED, head, tail)
        return
    _set_status(m, unit, GSTS.qies.mask, False)
    _store(m, unit, OFFSET["IQH"], 8, 0)


_DO = {"qie": _qie, "sirtp": _sirtp, "ire": _ire, "cfi": _cfi}
