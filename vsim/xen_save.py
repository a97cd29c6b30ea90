"""HVM save records of the series, byte for byte (X 2.6)."""

from __future__ import annotations

import struct

from vsim import xen_vvtd
from vsim.checks import MODE_BIT
from vsim.registers import OFFSET
from vsim.state import LATCH_WORDS, Latch, Machine

ENODEV, EINVAL = 19, 22
TYPE_CODE = 21
"""Type code of the record "VVTD" (versions 3 and 4)."""
_HEAD = struct.Struct("<III4xQ")
WORDS = 52
SIZE = _HEAD.size + 4 * WORDS
"""Bytes of version 4's record: 232."""


def save(m: Machine, unit: int = 0) -> bytes:
    """The record of a unit; nothing when there is none."""
    at = LATCH_WORDS * unit
    if unit >= m.units or m.latch[at + Latch.LIVE] != 1:
        return b""
    mode = m.latch[at + Latch.MODE]
    flags = int(bool(mode & MODE_BIT["eime"])) | int(bool(mode & MODE_BIT["ires"])) << 1
    head = _HEAD.pack(flags, m.latch[at + Latch.NEXT_RECORD], m.latch[at + Latch.ENTRIES],
                      m.latch[at + Latch.BASE_PAGE])
    return head + struct.pack(f"<{WORDS}I", *m.regs[1024 * unit:1024 * unit + WORDS])


def load(m: Machine, record: bytes, unit: int = 0) -> int:
    """Take a record: 0, ENODEV without a vIOMMU, EINVAL for a record of another size. Maps table and queue."""
    at = LATCH_WORDS * unit
    if unit >= m.units or m.latch[at + Latch.LIVE] != 1:
        return ENODEV
    if len(record) != SIZE:
        return EINVAL
    flags, index, entries, gfn = _HEAD.unpack_from(record)
    m.latch[at + Latch.NEXT_RECORD], m.latch[at + Latch.ENTRIES] = index, entries
    m.latch[at + Latch.BASE_PAGE] = gfn
    mode = m.latch[at + Latch.MODE] & ~(MODE_BIT["eime"] | MODE_BIT["ires"])
    mode |= (flags & 1) * MODE_BIT["eime"] | (flags >> 1 & 1) * MODE_BIT["ires"]
    m.latch[at + Latch.MODE] = mode
    for place, word in enumerate(struct.unpack_from(f"<{WORDS}I", record, _HEAD.size)):
        m.regs[1024 * unit + place] = word
    xen_vvtd.map_table(m, unit)
    xen_vvtd.map_queue(m, unit)
    return 0


assert SIZE == 232 and OFFSET["IRTA"] < 4 * WORDS
