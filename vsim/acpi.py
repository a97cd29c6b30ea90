"""The ACPI table DMAR: how a guest learns of its remapping unit (VT-d 8; V 8.1, X 6.3).

`dmar` makes the 72 bytes that the toolstack gives to a domain; `parse` reads such a table as a kernel does, with
structures that are not needed here passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

INTR_REMAP, X2APIC_OPT_OUT = 1, 2
"""Flags of the table: interrupt remapping is there; software should stay out of x2APIC mode."""
INCLUDE_PCI_ALL = 1
"""Flag of a unit: it covers every device of its segment that no other unit names."""
SCOPE_IOAPIC = 3
"""Type of a device scope that names an I/O APIC."""
IOAPIC_ID = 1
"""Id of the only I/O APIC, as the MADT gives it (X 6.4)."""

_DRHD = 0
_HEADER = struct.Struct("<4sIBB6s8sI4sI")   # signature, length, revision, checksum, OEM and creator names
_FACTS = struct.Struct("<BB10x")            # address width - 1, flags
_UNIT = struct.Struct("<HHBBHQ")            # type, length, flags, size, segment, register base
_SCOPE = struct.Struct("<BBBBBB")           # type, length, flags, reserved, enumeration id, start bus; then the path
_PAIR = struct.Struct("<BB")                # device, function


class Oem(NamedTuple):
    """Who made a table: OEM id (6 bytes), OEM table id (8), OEM revision, creator (4), creator revision."""

    id: bytes
    table: bytes
    revision: int
    creator: bytes
    creator_revision: int


XEN = Oem(b"Xen", b"HVM", 0, b"HVML", 0)
"""What libxl writes (X 6.3)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A device that a unit covers: type, enumeration id, start bus, path of (device, function) pairs."""

    type: int
    enumeration: int
    bus: int
    path: tuple[tuple[int, int], ...]

    @property
    def source(self) -> int:
        """Requester id of the device, for a path of one pair; -1 for one below bridges."""
        if len(self.path) != 1:
            return -1
        device, function = self.path[0]
        return self.bus << 8 | device << 3 & 0xF8 | function & 7


@dataclass(frozen=True, slots=True)
class Unit:
    """One remapping unit (DRHD): register base, flags, PCI segment, what it covers."""

    base: int
    flags: int
    segment: int
    scopes: tuple[Scope, ...]

    def ioapic(self, enumeration: int) -> int:
        """Requester id of the I/O APIC with this id, -1 when the unit does not cover it."""
        return next((s.source for s in self.scopes if (s.type, s.enumeration) == (SCOPE_IOAPIC, enumeration)), -1)


@dataclass(frozen=True, slots=True)
class Dmar:
    """The table: host address width in bits, flags, units."""

    width: int
    flags: int
    units: tuple[Unit, ...]


def dmar(base: int, width: int = 39, flags: int = INTR_REMAP, ioapic_source: int = 0xFF00, oem: Oem = XEN) -> bytes:
    """The table of one unit at `base` that covers all PCI devices and the I/O APIC.

    width: host address width, 1 to 256 bits. flags: `INTR_REMAP`, `X2APIC_OPT_OUT`. ioapic_source: 16 bits.
    ValueError when a value does not fit.
    """
    if not (0 <= base < 1 << 64 and 1 <= width <= 256 and 0 <= flags <= 0xFF and 0 <= ioapic_source <= 0xFFFF):
        raise ValueError(f"base {base:#x}, width {width}, flags {flags:#x} or ioapic_source {ioapic_source:#x} "
                         "does not fit its field of 64, 8, 8 or 16 bits")
    bus, place = ioapic_source >> 8, (ioapic_source >> 3 & 31, ioapic_source & 7)
    scope = _SCOPE.pack(SCOPE_IOAPIC, _SCOPE.size + _PAIR.size, 0, 0, IOAPIC_ID, bus) + _PAIR.pack(*place)
    unit = _UNIT.pack(_DRHD, _UNIT.size + len(scope), INCLUDE_PCI_ALL, 0, 0, base) + scope
    body = _FACTS.pack(width - 1, flags) + unit
    head = _HEADER.pack(b"DMAR", _HEADER.size + len(body), 1, 0, *oem)
    table = bytearray(head + body)
    table[9] = -sum(table) & 0xFF
    return bytes(table)


def length(head: bytes) -> int:
    """Length in bytes that the first 8 bytes of a table give. ValueError when they do not begin a DMAR."""
    if head[:4] != b"DMAR" or len(head) < 8:
        raise ValueError(f"signature is {head[:4]!r}; expected b'DMAR'")
    return int.from_bytes(head[4:8], "little")


def parse(table: bytes) -> Dmar:
    """What a kernel reads. ValueError names what is wrong: signature, length, checksum, a structure that is cut.

    >>> parse(dmar(0xFED90000)).units[0].ioapic(IOAPIC_ID) == 0xFF00
    True
    """
    wanted = length(table)
    smallest = _HEADER.size + _FACTS.size
    if wanted < smallest:
        raise ValueError(f"length is {wanted}; expected {smallest} or more")
    if wanted > len(table):
        raise ValueError(f"length is {wanted}; found {len(table)} bytes")
    table = table[:wanted]
    if sum(table) & 0xFF:
        raise ValueError(f"the bytes sum to {sum(table) & 0xFF:#x}; expected 0")
    width, flags = _FACTS.unpack_from(table, _HEADER.size)
    units = (_unit(part) for kind, part in _structures(table[smallest:]) if kind == _DRHD)
    return Dmar(width + 1, flags, tuple(units))


def _structures(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of each remapping structure."""
    while body:
        kind, size = struct.unpack_from("<HH", body) if len(body) >= 4 else (0, 0)
        if not 4 <= size <= len(body):
            raise ValueError(f"a remapping structure is {size} bytes long; expected 4 to {len(body)}")
        yield kind, body[:size]
        body = body[size:]


def _unit(part: bytes) -> Unit:
    if len(part) < _UNIT.size:
        raise ValueError(f"a unit is {len(part)} bytes long; expected {_UNIT.size} or more")
    _, _, flags, _, segment, base = _UNIT.unpack_from(part)
    return Unit(base, flags, segment, tuple(_scopes(part[_UNIT.size:])))


def _scopes(rest: bytes) -> Iterator[Scope]:
    while rest:
        size = rest[1] if len(rest) > 1 else 0
        if not _SCOPE.size <= size <= len(rest):
            raise ValueError(f"a device scope is {size} bytes long; expected {_SCOPE.size} to {len(rest)}")
        kind, _, _, _, enumeration, bus = _SCOPE.unpack_from(rest)
        end = size - (size - _SCOPE.size) % _PAIR.size
        yield Scope(kind, enumeration, bus, tuple(_PAIR.iter_unpack(rest[_SCOPE.size:end])))
        rest = rest[size:]
