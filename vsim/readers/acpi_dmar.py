"""The ACPI table DMAR: which remapping units there are, and which devices sit behind each (VT-d 8; V 8.1, X 6.3).

The declarations below are all there is to know of the format; `parse` and the makers follow from them. A table says
where a unit's registers are and what it covers. It does not say what the unit can do: CAP and ECAP are registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from vsim.layouts.bits import Layout, flag, reserved
from vsim.readers import acpi_table
from vsim.readers.acpi_table import (
    HEADER,
    XEN,
    AcpiError,
    Family,
    Oem,
    Row,
    Shape,
    Structure,
    make,
    make_table,
    place,
)

FLAGS = Layout("DMAR flags", 8, "VT-d 8, V 8.1",
               flag("intr_remap", 0, "the platform remaps interrupts"),
               flag("x2apic_opt_out", 1, "software should stay out of x2APIC mode"),
               flag("dma_opt_in", 2, "software should protect memory from DMA (ACPICA calls it X2APIC_MODE)"),
               reserved(3, 5))
"""The flags of the table."""
INTR_REMAP, X2APIC_OPT_OUT, DMA_OPT_IN = FLAGS.intr_remap.mask, FLAGS.x2apic_opt_out.mask, FLAGS.dma_opt_in.mask
"""The same as masks."""
INCLUDE_PCI_ALL = 1
"""Flag of a unit: it covers every device of its segment that no other unit names."""

DMAR = Layout("DMAR", 384, "VT-d 8, V 8.1", *HEADER,
              place("address_width", 36, 1, "host address width in bits, minus 1"),
              place("flags", 37, 1, "bit 0 INTR_REMAP, 1 X2APIC_OPT_OUT, 2 DMA_CTRL_PLATFORM_OPT_IN"),
              place("reserved38", 38, 10))
HEAD = Layout("remapping structure", 32, "VT-d 8, V 8.1", place("type", 0, 2), place("length", 2, 2))
_HEAD = (place("type", 0, 2, "of the remapping structure"), place("length", 2, 2, "with all that belongs to it"))
_SEGMENT = place("segment", 6, 2, "PCI segment")
_FLAGS = place("flags", 4, 1, "bit 0: see the structure"), place("reserved5", 5, 1)

DRHD = Layout("DRHD", 128, "VT-d 8.3", *_HEAD, place("flags", 4, 1, "bit 0 INCLUDE_PCI_ALL"),
              place("size", 5, 1, "2^N register pages; 0 before"), _SEGMENT, place("base", 8, 8, "register base"))
RMRR = Layout("RMRR", 192, "VT-d 8, V 8.1", *_HEAD, place("reserved4", 4, 2), _SEGMENT,
              place("base", 8, 8, "first byte of memory that devices use by themselves"), place("limit", 16, 8))
ATSR = Layout("ATSR", 64, "VT-d 8, V 8.1", *_HEAD, *_FLAGS, _SEGMENT)
RHSA = Layout("RHSA", 160, "VT-d 8, V 8.1", *_HEAD, place("reserved4", 4, 4), place("base", 8, 8, "names the unit"),
              place("proximity", 16, 4, "the NUMA domain that the unit belongs to"))
ANDD = Layout("ANDD", 64, "VT-d 8, V 8.1", *_HEAD, place("reserved4", 4, 3), place("device", 7, 1, "number in scopes"))
SATC = Layout("SATC", 64, "VT-d 8, V 8.1", *_HEAD, *_FLAGS, _SEGMENT)
SIDP = Layout("SIDP", 64, "VT-d 8, V 8.1", *_HEAD, place("reserved4", 4, 2), _SEGMENT)
SCOPE = Layout("scope", 48, "VT-d 8.3.1", place("type", 0, 1, "see SCOPES"), place("length", 1, 1),
               place("flags", 2, 1), place("reserved3", 3, 1),
               place("enumeration", 4, 1, "I/O APIC id of the MADT, HPET number, or number of an ANDD"),
               place("bus", 5, 1, "bus of the first pair of the path"))
STRUCTURES = {0: DRHD, 1: RMRR, 2: ATSR, 3: RHSA, 4: ANDD, 5: SATC, 6: SIDP}
"""The remapping structures by type (V 8.1)."""
SCOPE_ENDPOINT, SCOPE_BRIDGE, SCOPE_IOAPIC, SCOPE_HPET, SCOPE_NAMESPACE = range(1, 6)
SCOPES = {SCOPE_ENDPOINT: "PCI endpoint", SCOPE_BRIDGE: "PCI sub-hierarchy", SCOPE_IOAPIC: "I/O APIC",
          SCOPE_HPET: "HPET", SCOPE_NAMESPACE: "ACPI namespace device"}
"""What a device scope can name."""
IOAPIC_ID = 1
"""Id of the first I/O APIC of a domain, as the MADT gives it (X 6.4); others count on from it."""


class Scope(Structure):
    """A device that a unit covers: bus, then a path of (device, function) pairs, each further pair one bridge down."""

    __slots__ = ()

    @property
    def path(self) -> tuple[tuple[int, int], ...]:
        """The pairs."""
        return tuple(zip(self.tail[::2], self.tail[1::2], strict=False))

    @property
    def source(self) -> int:
        """Requester id of the device, for a path of one pair; -1 for one below bridges, or no place in PCI."""
        return self.reach({})

    def reach(self, bridges: Mapping[int, tuple[int, int]]) -> int:
        """Requester id at the end of the path; -1 when a bridge on it is unknown, or a pair is no place in PCI.

        bridges: (secondary, subordinate) bus of a bridge by its requester id.
        """
        bus, bdf = self["bus"], -1
        for device, function in self.path:
            if bdf >= 0:
                bus = bridges.get(bdf, (-1, -1))[0]
            if device > 31 or function > 7 or bus < 0:
                return -1
            bdf = bus << 8 | device << 3 | function
        return bdf

    def tail_rows(self, offset: int) -> Iterator[Row]:
        """The path, a row for each pair."""
        for number, (device, function) in enumerate(self.path):
            yield Row(offset + 2 * number, 2, "scope.path", f"{device:02x},{function:02x}", "device, function")
        if len(self.tail) % 2:
            yield Row(offset + len(self.tail) - 1, 1, "scope.tail", self.tail[-1:].hex(), "not interpreted")


class Unit(Structure):
    """One remapping unit (DRHD): register base, flags, PCI segment, what it covers."""

    __slots__ = ()

    @property
    def base(self) -> int:
        """Address of its registers."""
        return self["base"]

    @property
    def everything(self) -> bool:
        """Whether it covers all devices of its segment that no other unit names."""
        return bool(self["flags"] & INCLUDE_PCI_ALL)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The devices that it names."""
        return cast(tuple[Scope, ...], self.parts)

    def ioapic(self, enumeration: int) -> int:
        """Requester id of the I/O APIC with this id, -1 when the unit does not cover it."""
        wanted = SCOPE_IOAPIC, enumeration
        return next((s.source for s in self.scopes if (s["type"], s["enumeration"]) == wanted), -1)


class Namespace(Structure):
    """A device that only the ACPI namespace has (ANDD)."""

    __slots__ = ()

    @property
    def name(self) -> bytes:
        """Its path in the namespace."""
        return self.tail.partition(b"\0")[0]

    def tail_rows(self, offset: int) -> Iterator[Row]:
        """The name with the zero that ends it, then what fills the structure up."""
        size = min(len(self.name) + 1, len(self.tail))
        if size:
            yield Row(offset, size, "ANDD.name", self.name.decode("latin-1"), "path in the ACPI namespace")
        if size < len(self.tail):
            yield Row(offset + size, len(self.tail) - size, "ANDD.tail", self.tail[size:].hex(" "), "not interpreted")


class Dmar(Structure):
    """The table."""

    __slots__ = ()

    @property
    def width(self) -> int:
        """Host address width in bits."""
        return self["address_width"] + 1

    @property
    def flags(self) -> int:
        """`INTR_REMAP`, `X2APIC_OPT_OUT`, `DMA_OPT_IN`."""
        return self["flags"]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Its remapping units, in order."""
        return tuple(part for part in self.parts if isinstance(part, Unit))


_SCOPE = Shape(SCOPE, None, Scope)
_HEAD8 = Layout("scope", 16, "VT-d 8.3.1", place("type", 0, 1), place("length", 1, 1))
_INSIDE = Family(_HEAD8, {}, _SCOPE)
_SHAPES = {0: Shape(DRHD, _INSIDE, Unit), 1: Shape(RMRR, _INSIDE), 2: Shape(ATSR, _INSIDE), 3: Shape(RHSA),
           4: Shape(ANDD, None, Namespace), 5: Shape(SATC, _INSIDE), 6: Shape(SIDP, _INSIDE)}
_TABLE = Shape(DMAR, Family(HEAD, _SHAPES), Dmar)


def parse(data: bytes) -> Dmar:
    """The table that `data` begins with, as a kernel reads it. AcpiError names offset and field.

    >>> parse(dmar(0xFED90000)).units[0].ioapic(IOAPIC_ID) == 0xFF00
    True
    """
    return cast(Dmar, acpi_table.parse(_TABLE, data))


def take(data: bytes) -> tuple[Dmar, tuple[AcpiError, ...]]:
    """The same as far as it can be read, and what is wrong with it. AcpiError when there is no table's header."""
    table, doubts = acpi_table.take(_TABLE, data)
    return cast(Dmar, table), doubts


# --- making ---


def scope(kind: int, bus: int, path: Iterable[tuple[int, int]], enumeration: int = 0) -> Scope:
    """A device scope. ValueError when a value does not fit its field."""
    pairs = tuple(path)
    for device, function in pairs:
        if not (0 <= device < 32 and 0 <= function < 8):
            raise ValueError(f"path has device {device}, function {function}; the limit is 31 and 7")
    tail = bytes(value for pair in pairs for value in pair)
    return cast(Scope, make(_SCOPE, {"type": kind, "enumeration": enumeration, "bus": bus}, (), tail))


def scope_of(kind: int, requester: int, enumeration: int = 0) -> Scope:
    """A device scope whose path is the one pair of a requester id (16 bits)."""
    return scope(kind, requester >> 8, [(requester >> 3 & 31, requester & 7)], enumeration)


def unit(base: int, scopes: Iterable[Scope] = (), everything: bool = False, segment: int = 0) -> Unit:
    """A remapping unit (DRHD). everything: INCLUDE_PCI_ALL. ValueError when a value does not fit its field."""
    values = {"flags": int(everything), "segment": segment, "base": base}
    return cast(Unit, make(_SHAPES[0], values, tuple(scopes)))


def structure(kind: int, scopes: Iterable[Scope] = (), tail: bytes = b"", **values: int) -> Structure:
    """A remapping structure of any type of `STRUCTURES`, by its fields. ValueError when a value does not fit."""
    if kind not in STRUCTURES:
        raise ValueError(f"type is {kind}; types are {', '.join(map(str, STRUCTURES))}")
    return make(_SHAPES[kind], {"type": kind, **values}, tuple(scopes), tail)


def table(parts: Iterable[Structure], width: int = 39, flags: int = INTR_REMAP, oem: Oem = XEN) -> Dmar:
    """A table of remapping structures. width: host address width, 1 to 256 bits.

    ValueError when a value does not fit, or a unit with INCLUDE_PCI_ALL is not the last of its segment (V 8.1).
    """
    found = tuple(parts)
    units = [part for part in found if isinstance(part, Unit)]
    for number, each in enumerate(units):
        if each.everything and any(other["segment"] == each["segment"] for other in units[number + 1:]):
            raise ValueError(f"unit {number} covers everything; it must be the last of segment {each['segment']}")
    return cast(Dmar, make_table(_TABLE, {"revision": 1, "address_width": width - 1, "flags": flags}, found, oem))


def dmar(base: int, width: int = 39, flags: int = INTR_REMAP, ioapic_source: int = 0xFF00, oem: Oem = XEN) -> bytes:
    """The 72 bytes of X 6.3: one unit at `base` that covers all PCI devices and the I/O APIC.

    width: host address width, 1 to 256 bits. flags: `INTR_REMAP`, `X2APIC_OPT_OUT`. ioapic_source: 16 bits.
    ValueError when a value does not fit.
    """
    only = unit(base, [scope_of(SCOPE_IOAPIC, ioapic_source, IOAPIC_ID)], everything=True)
    return bytes(table([only], width, flags, oem))


# --- who sits behind which unit ---


class Coverage:
    """Which unit of a table covers a requester of one segment (VT-d 8.3, 8.3.1).

    A scope that names a function wins over one that names a bridge above it, and the nearest bridge over one further
    up; what nobody names belongs to the unit with INCLUDE_PCI_ALL. `unresolved`: scopes whose path crosses a bridge
    that is not in `bridges`.
    """

    def __init__(self, units: Iterable[Unit], bridges: Mapping[int, tuple[int, int]], segment: int = 0) -> None:
        self._named: dict[int, int] = {}
        self._below: list[tuple[int, int, int]] = []
        self.unresolved: list[Scope] = []
        self.rest = -1
        for number, each in enumerate(units):
            if each["segment"] != segment:
                continue
            if each.everything and self.rest < 0:
                self.rest = number
            for part in each.scopes:
                self._add(number, part, bridges)

    def _add(self, number: int, part: Scope, bridges: Mapping[int, tuple[int, int]]) -> None:
        bdf = part.reach(bridges)
        if bdf < 0 or (part["type"] == SCOPE_BRIDGE and bdf not in bridges):
            self.unresolved.append(part)
        if bdf < 0:
            return
        self._named.setdefault(bdf, number)
        if part["type"] == SCOPE_BRIDGE and bdf in bridges:
            self._below.append((*bridges[bdf], number))

    def named(self, requester: int) -> int:
        """The unit that has a scope for a requester, itself or a bridge above it; -1 for none."""
        if requester in self._named:
            return self._named[requester]
        bus = requester >> 8
        over = [(last - first, number) for first, last, number in self._below if first <= bus <= last]
        return min(over, default=(0, -1))[1]

    def unit_of(self, requester: int) -> int:
        """The unit that covers a requester; -1 when none does."""
        found = self.named(requester)
        return self.rest if found < 0 else found
