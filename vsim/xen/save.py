"""HVM save records of the series, byte for byte, both directions (X 2.6).

A record is preceded by an 8-byte descriptor: type u16, instance u16, length u32. The versions' records are rows of
`RECORDS`; version 1 and 2 wrote two, 3 and 4 one of different length with the same type code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vsim.devices.checks import MODE_BIT
from vsim.layouts.interfaces import Errno
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Latch, Machine
from vsim.xen import models as xen_models

DESCRIPTOR = struct.Struct("<HHI")
_STATUS = MODE_BIT["ires"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: type code, name, register words saved, and the struct of the state ("" for none) and its place.

    state_first: the state comes before the registers. flags: remapping and EIM are bits of one word; else they are
    words of their own, (status, index, eim, entries).
    """

    code: int
    name: str
    words: int
    state: str
    state_first: bool
    flags: bool

    @property
    def size(self) -> int:
        """Bytes, without the descriptor."""
        return 4 * self.words + struct.calcsize(self.state)


_PAIR = (Record(21, "IOMMU registers", 256, "<", True, False), Record(22, "IOMMU", 0, "<IIIIQ", True, False))
RECORDS: dict[str, tuple[Record, ...]] = {
    "xen-v1": _PAIR,
    "xen-v3": (Record(21, "VVTD", 256, "<IIIxxxxQ", False, True),),
    "xen-v4": (Record(21, "VVTD", 52, "<IIIxxxxQ", True, True),),
}
"""The records of each version: 1,024 and 24 bytes; 1,048 bytes; 232 bytes."""


def records(m: Machine) -> tuple[Record, ...]:
    """The records of a machine's version."""
    return RECORDS[m.profile.options.model]


def _present(m: Machine, unit: int) -> bool:
    return unit < m.units and m.latch[LATCH_WORDS * unit + Latch.LIVE] == 1


def _state(m: Machine, unit: int, record: Record) -> bytes:
    at = LATCH_WORDS * unit
    mode, index = m.latch[at + Latch.MODE], m.latch[at + Latch.NEXT_RECORD]
    eime, on = int(bool(mode & MODE_BIT["eime"])), int(bool(mode & MODE_BIT["ires"]))
    entries, gfn = m.latch[at + Latch.ENTRIES], m.latch[at + Latch.BASE_PAGE]
    if record.state == "<":
        return b""
    if record.flags:
        return struct.pack(record.state, eime | on << 1, index, entries, gfn)
    return struct.pack(record.state, on * _STATUS, index, eime, entries, gfn)


def save(m: Machine, unit: int = 0) -> bytes:
    """The bodies of a unit's records one after the other; nothing when there is no unit."""
    if not _present(m, unit):
        return b""
    out = b""
    for record in records(m):
        registers = struct.pack(f"<{record.words}I", *m.regs[PAGE_WORDS * unit:PAGE_WORDS * unit + record.words])
        state = _state(m, unit, record)
        out += state + registers if record.state_first else registers + state
    return out


def stream(m: Machine) -> bytes:
    """The records with their descriptors, as they stand in a save stream."""
    body, out = save(m), b""
    for record in records(m) if body else ():
        out += DESCRIPTOR.pack(record.code, 0, record.size) + body[:record.size]
        body = body[record.size:]
    return out


def load_stream(m: Machine, data: bytes) -> int:
    """Take a stream of records: 0, or the errno of the first that is refused; nothing changes on an error."""
    wanted, body = records(m), b""
    if not _present(m, 0):
        return int(Errno.ENODEV)
    for record in wanted:
        if len(data) < DESCRIPTOR.size or DESCRIPTOR.unpack_from(data) != (record.code, 0, record.size):
            return int(Errno.EINVAL)
        if len(data) < DESCRIPTOR.size + record.size:
            return int(Errno.EINVAL)
        body += data[DESCRIPTOR.size:DESCRIPTOR.size + record.size]
        data = data[DESCRIPTOR.size + record.size:]
    return int(Errno.EINVAL) if data else load(m, body)


def load(m: Machine, body: bytes, unit: int = 0) -> int:
    """Take the bodies: 0, ENODEV without a vIOMMU, EINVAL for bytes of another length. The base is not in it."""
    if not _present(m, unit):
        return int(Errno.ENODEV)
    if len(body) != sum(record.size for record in records(m)):
        return int(Errno.EINVAL)
    for record in records(m):
        part, body = body[:record.size], body[record.size:]
        cut = struct.calcsize(record.state) if record.state_first else 4 * record.words
        first, second = part[:cut], part[cut:]
        state, registers = (first, second) if record.state_first else (second, first)
        for place, word in enumerate(struct.unpack(f"<{record.words}I", registers)):
            m.regs[PAGE_WORDS * unit + place] = word
        if state:
            _take_state(m, unit, record, struct.unpack(record.state, state))
    if xen_models.maps_for_good(m):
        xen_models.map_table(m, unit)
        xen_models.map_queue(m, unit)
    return 0


def _take_state(m: Machine, unit: int, record: Record, values: tuple[int, ...]) -> None:
    at = LATCH_WORDS * unit
    if record.flags:
        (flags, index, entries, gfn), eime = values, values[0] & 1
        on = flags >> 1 & 1
    else:
        status, index, eime, entries, gfn = values
        on = int(bool(status & _STATUS))
    mode = m.latch[at + Latch.MODE] & ~(MODE_BIT["eime"] | MODE_BIT["ires"])
    m.latch[at + Latch.MODE] = mode | MODE_BIT["eime"] * (eime & 1) | MODE_BIT["ires"] * on
    m.latch[at + Latch.NEXT_RECORD] = index % m.profile.capabilities.fault_records
    m.latch[at + Latch.ENTRIES], m.latch[at + Latch.BASE_PAGE] = entries, gfn
    m.latch[at + Latch.LATCHED_EIME] = eime & 1
