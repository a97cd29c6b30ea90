"""What the map shows of a remapping table: who uses which entry, where it sends, and which part is in use at all.

`window` is the part that a picture shows: the aligned block of entries that holds every one in use, one cell an entry
as far as `CELLS` cells reach. `js/table.js` chooses by the same rule from the same rows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from vsim.devices import chain
from vsim.devices.checks import MODE_BIT
from vsim.devices.remap import entry_of
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE
from vsim.state.arrays import LATCH_WORDS, Latch, Machine

CELLS = 256  #: most cells of a table; where more entries are in use, one stands for several
FEWEST = 16  #: entries that a window shows at least
TOLD = 4096  #: entries in use that are told at most; the first ones
RECORD = struct.Struct("<BBHHBxI")
"""Unit, `Entry` flags, index, requester, vector, destination."""
PRESENT, POSTED, STALE = 1, 2, 4
_PAGE = 256  # entries


class Entry(NamedTuple):
    """An entry in use. flags: `PRESENT` in memory, `POSTED`; `STALE`: the unit has a copy that differs from memory.

    index; sid: requester that it lets in; vector; dst: APIC ID, as wide as the unit takes it.
    """

    unit: int
    flags: int
    index: int
    sid: int
    vector: int
    dst: int


def size(m: Machine, unit: int) -> int:
    """Entries of a unit's table, 0 when none was ever latched; -1: there is no such unit now."""
    return m.latch[LATCH_WORDS * unit + Latch.ENTRIES] if m.live(unit) else -1


def used(m: Machine, unit: int) -> list[int]:
    """Entries that are present in memory, or of which the unit has a copy that differs, ascending."""
    count, first = size(m, unit), m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE]
    found: set[int] = set()
    for page in range((max(0, count) + _PAGE - 1) // _PAGE):
        words = m.ram.pages.get(first + page)
        if words is not None:
            found.update(_PAGE * page + place for place, word in enumerate(words[::4]) if get(word, IRTE.p))
    found.update(key & 0xFFFF for key in m.cache if key >> 16 == unit and stale(m, unit, key & 0xFFFF))
    return sorted(index for index in found if index < count)


def in_memory(m: Machine, unit: int, index: int) -> tuple[int, int, int, int] | None:
    """The words of an entry in memory; None where the table is not memory."""
    return m.ram.words4((m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE] << 12) + 16 * index)


def stale(m: Machine, unit: int, index: int) -> bool:
    """Whether the unit has a copy of an entry that differs from memory."""
    copy = m.cache.get(unit << 16 | index)
    return copy is not None and tuple(copy) != in_memory(m, unit, index)


def entries(m: Machine) -> list[Entry]:
    """The entries in use of every unit, `TOLD` at most of each."""
    return [_entry(m, unit, index) for unit in range(m.units) for index in used(m, unit)[:TOLD]]


def source(m: Machine) -> tuple[object, ...]:
    """All that `entries` reads: while it is equal, they are."""
    sizes = [size(m, unit) for unit in range(m.units)]
    pages = (m.latch[LATCH_WORDS * unit + Latch.BASE_PAGE] + page for unit, count in enumerate(sizes)
             for page in range((max(0, count) + _PAGE - 1) // _PAGE))
    held = {page: m.ram.pages[page].tobytes() for page in pages if page in m.ram.pages}
    return sizes, m.latch.tobytes(), held, dict(m.cache)


def _entry(m: Machine, unit: int, index: int) -> Entry:
    words = in_memory(m, unit, index) or (0, 0, 0, 0)
    entry = entry_of(words)
    flags = (PRESENT if get(entry, IRTE.p) else 0) | (POSTED if get(entry, IRTE.im) else 0) | (
        STALE if stale(m, unit, index) else 0)
    dst = chain.message_of(words[0], words[1], m.latch[LATCH_WORDS * unit + Latch.MODE])[0]
    return Entry(unit, flags, index, get(entry, IRTE.sid), get(entry, IRTE.vector), dst)


def pack(rows: Sequence[Entry]) -> bytes:
    """Entries as the page takes them."""
    return b"".join(RECORD.pack(*row) for row in rows)


def window(indices: Sequence[int], count: int) -> tuple[int, int, int]:
    """(entries that a cell stands for, cells, first entry) of the picture of a table of `count` entries."""
    if count <= 0:
        return 1, 0, 0
    low, high = (min(indices), max(indices)) if indices else (0, min(count, CELLS) - 1)
    block = min(count, FEWEST)
    while low // block != high // block:
        block *= 2
    return max(1, block // CELLS), min(block, CELLS), low // block * block


def reach(m: Machine) -> tuple[int, str]:
    """(largest APIC ID that a device's interrupt can name now, what it is beyond); the widest unit counts."""
    modes = [m.latch[LATCH_WORDS * unit + Latch.MODE] for unit in range(m.units) if m.live(unit)]
    if any(mode & MODE_BIT["ires"] and mode & MODE_BIT["eime"] for mode in modes):
        return 0xFFFFFFFE, ""
    if any(mode & MODE_BIT["ires"] for mode in modes):
        return 254, "beyond 8 bits, as EIME is 0"
    if m.profile.options.ext_dest:
        return 0x7FFF, "beyond 15 bits"
    return 254, "beyond 8 bits"
