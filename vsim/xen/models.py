"""The versions of the series' device model as data, and what all of its parts share: words, mappings, crashes (X 3).

What differs between versions is a row of `MODELS`. Version 4 maps table and queue once and for all; the earlier ones
map a page at each use.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsim.devices import viommu
from vsim.devices.checks import MODE_BIT
from vsim.layouts.bits import get
from vsim.layouts.registers import IQA, IRTA, OFFSET
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.state.trace import Act, Kind, node

_IRTA, _IQA, _IQT = (OFFSET[name] for name in ("IRTA", "IQA", "IQT"))


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
viommu.TRAPPED.update((name, each.trapped) for name, each in MODELS.items())


def model(m: Machine) -> Model:
    """The version that a machine runs."""
    return MODELS[m.profile.options.model]


def maps_for_good(m: Machine) -> bool:
    """Whether table and queue are mapped once and for all (version 4) instead of at each use."""
    return model(m).trapped == 0xD0


def word_at(unit: int, offset: int) -> int:
    """Index in `regs` of the register word at a byte offset."""
    return PAGE_WORDS * unit + offset // 4


def pair(m: Machine, unit: int, offset: int) -> int:
    """The stored 64-bit register at a byte offset."""
    at = word_at(unit, offset)
    return m.regs[at] | m.regs[at + 1] << 32


def set_mode(m: Machine, unit: int, name: str, on: bool) -> None:
    """Set or clear a bit of the unit's mode word."""
    at = LATCH_WORDS * unit + Latch.MODE
    m.latch[at] = m.latch[at] | MODE_BIT[name] if on else m.latch[at] & ~MODE_BIT[name]


def live_eime(m: Machine, unit: int) -> None:
    """Versions 1 and 2 read EIME from the register for each interrupt, latched or not (X 3.5)."""
    if model(m).name == "xen-v1":
        set_mode(m, unit, "eime", bool(m.regs[word_at(unit, _IRTA)] & IRTA.eime.mask))


# --- mapped pages ---


def mappable(m: Machine, gfn: int, pages: int) -> bool:
    """Whether every page is guest memory that can be typed writable."""
    return pages <= 256 and all(m.ram.holds((gfn + n) << 12) and not m.pages.get(gfn + n, 0) for n in range(pages))


def allocate(m: Machine) -> bool:
    """One allocation of the hypervisor; False for the one that fault injection chose."""
    if m.doomed:
        m.doomed -= 1
        return m.doomed > 0
    return True


def unmap(m: Machine, place: int) -> None:
    """Give the pages back; without memory for its helper array they stay pinned."""
    if m.latch[place] and not allocate(m):
        m.pinned += m.latch[place]
    m.latch[place] = 0


def map_table(m: Machine, unit: int) -> None:
    """Map the whole table, if every page can be mapped."""
    at = LATCH_WORDS * unit
    unmap(m, at + Latch.TABLE_PAGES)
    pages = max(1, m.latch[at + Latch.ENTRIES] >> 8) if m.latch[at + Latch.ENTRIES] else 0
    if pages and mappable(m, m.latch[at + Latch.BASE_PAGE], pages) and allocate(m):
        m.latch[at + Latch.TABLE_PAGES] = pages


def map_queue(m: Machine, unit: int) -> None:
    """Map the whole queue, if every page can be mapped."""
    iqa, at = pair(m, unit, _IQA), LATCH_WORDS * unit
    pages = 1 << get(iqa, IQA.qs)
    if mappable(m, iqa >> 12, pages) and allocate(m):
        m.latch[at + Latch.QUEUE_PAGES] = pages
    m.latch[at + Latch.IQA_USED] = iqa


def table_readable(m: Machine, unit: int, index: int) -> bool:
    """Whether the entry's page is mapped, or can be mapped now."""
    at = LATCH_WORDS * unit
    if maps_for_good(m):
        return bool(m.latch[at + Latch.TABLE_PAGES])
    return mappable(m, m.latch[at + Latch.BASE_PAGE] + (index >> 8), 1)


def past_mapping(m: Machine, unit: int, index: int) -> bool:
    """Whether reading this entry leaves the mapped table: the hypervisor would fault (D12 with a full last page)."""
    return maps_for_good(m) and index >> 8 >= m.latch[LATCH_WORDS * unit + Latch.TABLE_PAGES]


# --- what ends a machine, or a domain ---


def crash(m: Machine) -> None:
    """The hypervisor would crash here; the machine is dead until reset."""
    m.dead = 1
    m.emit(node(Kind.XEN), Act.STOPPED, 1)


def domain_crash(m: Machine) -> None:
    """The domain is crashed; the recordings go on, so the machine does."""
    m.emit(node(Kind.XEN), Act.STOPPED, 3)
