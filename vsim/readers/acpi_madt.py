"""The ACPI table MADT ("APIC"): the processors' APIC IDs, the I/O APICs, how ISA interrupts are wired (V 8.2, X 6.4).

An entry of type 0 has 8 bits for an APIC ID; larger ones need an entry of type 9, which has 32.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from vsim.layouts.bits import Layout
from vsim.readers import acpi_table
from vsim.readers.acpi_dmar import IOAPIC_ID
from vsim.readers.acpi_table import HEADER, XEN, AcpiError, Family, Oem, Shape, Structure, make, make_table, place

_SECTION = "ACPI 5.2.12, V 8.2"
_HEAD = place("type", 0, 1, "of the entry"), place("length", 1, 1)
_CPU_FLAGS = "bit 0 enabled, 1 can be brought online"
_WIRE = "polarity 1:0 (01 high, 11 low), trigger 3:2 (01 edge, 11 level)"

MADT = Layout("APIC", 352, _SECTION, *HEADER, place("lapic_address", 36, 4, "address of the local APICs"),
              place("flags", 40, 4, "bit 0 PCAT_COMPAT: two 8259s are there as well"))
HEAD = Layout("MADT entry", 16, _SECTION, *_HEAD)
LAPIC = Layout("LAPIC", 64, _SECTION, *_HEAD, place("uid", 2, 1, "processor in the namespace"),
               place("id", 3, 1, "APIC ID"), place("flags", 4, 4, _CPU_FLAGS))
IOAPIC = Layout("IOAPIC", 96, _SECTION, *_HEAD, place("id", 2, 1, "as DMAR scopes name it"), place("reserved3", 3, 1),
                place("address", 4, 4), place("gsi", 8, 4, "first GSI"))
OVERRIDE = Layout("override", 80, _SECTION, *_HEAD, place("bus", 2, 1, "0 is ISA"), place("source", 3, 1, "ISA IRQ"),
                  place("gsi", 4, 4), place("flags", 8, 2, _WIRE))
LAPIC_NMI = Layout("LAPIC_NMI", 48, _SECTION, *_HEAD, place("uid", 2, 1, "0xff: all"), place("flags", 3, 2, _WIRE),
                   place("lint", 5, 1, "input of the local APIC"))
X2APIC = Layout("x2APIC", 128, _SECTION, *_HEAD, place("reserved2", 2, 2), place("id", 4, 4, "APIC ID"),
                place("flags", 8, 4, _CPU_FLAGS), place("uid", 12, 4, "processor in the namespace"))
X2APIC_NMI = Layout("x2APIC_NMI", 96, _SECTION, *_HEAD, place("flags", 2, 2, _WIRE),
                    place("uid", 4, 4, "0xffffffff: all"), place("lint", 8, 1), place("reserved9", 9, 3))
ENTRIES = {0: LAPIC, 1: IOAPIC, 2: OVERRIDE, 4: LAPIC_NMI, 9: X2APIC, 10: X2APIC_NMI}
"""The entries by type (V 8.2)."""

ENABLED = 1
"""Flag of a processor."""
NOBODY = {0: 0xFF, 9: 0xFFFFFFFF}
"""The broadcast, which is no processor's APIC ID, by type of entry; firmware fills unused entries with it."""
PCAT_COMPAT = 1
"""Flag of the table."""
LOW_LEVEL = 0xF
"""Flags of a source override: active low, level-triggered."""
LAPIC_ADDRESS, IOAPIC_ADDRESS = 0xFEE00000, 0xFEC00000
PCI_ISA_IRQS = (5, 10, 11)
"""ISA IRQs that Xen gives to PCI links: level, active low (X 6.4)."""
LARGEST_SHORT = 0xFE
"""Largest APIC ID that an entry of type 0 should have: 255 is the broadcast, so QEMU goes on with type 9 (V 8.2)."""
XEN_REVISION, REVISION = 2, 3
"""Revision of the table: as Xen's tools write it (MADT of ACPI 2.0), and the first that knows type 9."""


class Processor(Structure):
    """A local APIC, by 8 bits (type 0) or by 32 (type 9)."""

    __slots__ = ()


class Madt(Structure):
    """The table."""

    __slots__ = ()

    @property
    def processors(self) -> tuple[Processor, ...]:
        """The entries of processors, in order, enabled or not."""
        return tuple(part for part in self.parts if isinstance(part, Processor))

    @property
    def apic_ids(self) -> tuple[int, ...]:
        """The APIC IDs of the enabled processors, in order; one that two entries of a type name comes twice.

        Some firmware names a processor in both types: where the table has an enabled entry of type 0, entries of type 9
        below 255 do not count (ACPI 6.5, 5.2.12.12; Linux since 6.7, commit ec9aedb2aa1a).
        """
        on = [each for each in self.processors if each["flags"] & ENABLED]
        least = LARGEST_SHORT + 1 if any(each["type"] == 0 for each in on) else 0
        return tuple(each["id"] for each in on if each["type"] == 0 or each["id"] >= least)

    @property
    def ioapics(self) -> tuple[Structure, ...]:
        """The entries of I/O APICs."""
        return tuple(part for part in self.parts if part.layout is IOAPIC)

    def gsi_of(self, irq: int) -> int:
        """The GSI of an ISA IRQ: its own number, unless an override of the ISA bus says otherwise (ACPI 5.2.12.5)."""
        return next((part["gsi"] for part in self.parts
                     if part.layout is OVERRIDE and (part["bus"], part["source"]) == (0, irq)), irq)

    def pin_of(self, gsi: int) -> tuple[int, int] | None:
        """(place among `ioapics`, pin) of a GSI: the I/O APIC with the highest first GSI that is not above it.

        None below every first GSI. How many pins an I/O APIC has stands in its version register, not in the table.
        """
        below = [(part["gsi"], place) for place, part in enumerate(self.ioapics) if part["gsi"] <= gsi]
        return (max(below)[1], gsi - max(below)[0]) if below else None


_SHAPES = {kind: Shape(layout, None, Processor if layout in (LAPIC, X2APIC) else Structure)
           for kind, layout in ENTRIES.items()}
_TABLE = Shape(MADT, Family(HEAD, _SHAPES), Madt)


def parse(data: bytes) -> Madt:
    """The table that `data` begins with. AcpiError names offset and field."""
    return cast(Madt, acpi_table.parse(_TABLE, data))


def take(data: bytes) -> tuple[Madt, tuple[AcpiError, ...]]:
    """The same as far as it can be read, and what is wrong with it. AcpiError when there is no table's header."""
    table, doubts = acpi_table.take(_TABLE, data)
    return cast(Madt, table), doubts


# --- making ---


def entry(kind: int, **values: int) -> Structure:
    """An entry of a type of `ENTRIES` by its fields. ValueError for another type, or a value that does not fit."""
    if kind not in ENTRIES:
        raise ValueError(f"type is {kind}; types are {', '.join(map(str, ENTRIES))}")
    return make(_SHAPES[kind], {"type": kind, **values})


def table(entries: Iterable[Structure], revision: int = REVISION, oem: Oem = XEN,
          lapic_address: int = LAPIC_ADDRESS) -> Madt:
    """A table of entries. ValueError when a value does not fit."""
    values = {"revision": revision, "lapic_address": lapic_address, "flags": PCAT_COMPAT}
    return cast(Madt, make_table(_TABLE, values, tuple(entries), oem))


def processor(uid: int, apic_id: int) -> Structure:
    """The entry of an enabled processor: type 0 where 8 bits hold its ID and number, type 9 otherwise."""
    short = apic_id <= LARGEST_SHORT and uid <= 0xFF
    return entry(0 if short else 9, uid=uid, id=apic_id, flags=ENABLED)


def wrapped(uid: int, apic_id: int) -> Structure:
    """As the series coded it: type 0 whatever the ID, cut to 8 bits (X 6.4, D42)."""
    return entry(0, uid=uid & 0xFF, id=apic_id & 0xFF, flags=ENABLED)


def madt(apic_ids: Sequence[int], wraps: bool = False, revision: int = REVISION,
         ioapics: Iterable[tuple[int, int]] = ((IOAPIC_ADDRESS, 0),)) -> bytes:
    """The table of a domain, in Xen's order: overrides, the I/O APICs, the processors (X 6.4).

    apic_ids: APIC ID of each vCPU. wraps: IDs are cut to 8 bits (quirk xen.D42). ioapics: (address, first GSI) of each;
    their ids count from `IOAPIC_ID`. ValueError for an ID over 32 bits.
    """
    overrides = [entry(2, source=0, gsi=2), *(entry(2, source=irq, gsi=irq, flags=LOW_LEVEL) for irq in PCI_ISA_IRQS)]
    chips = (entry(1, id=id_, address=address, gsi=gsi) for id_, (address, gsi) in enumerate(ioapics, IOAPIC_ID))
    make_one = wrapped if wraps else processor
    processors = (make_one(number, apic_id) for number, apic_id in enumerate(apic_ids))
    return bytes(table([*overrides, *chips, *processors], revision))
