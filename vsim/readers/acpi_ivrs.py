"""The ACPI table IVRS: which IOMMUs an AMD machine has, what sits behind each, what each can do.

Each layout names the source that was read: actbl2.h of ACPICA, and what Linux reads of it (drivers/iommu/amd/init.c).
AMD's specification 48882 was not looked up.

As in `acpi_dmar`, the declarations below are all there is to know of the format. An I/O APIC and the HPET have no
place in PCI of their own: a special entry gives the requester id that their interrupts carry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vsim.layouts.bits import Layout, bdf_text, get
from vsim.readers import acpi_table
from vsim.readers.acpi_table import HEADER, AcpiError, Family, Row, Shape, Structure, place

IVRS = Layout("IVRS", 384, "ACPICA actbl2.h: acpi_table_ivrs", *HEADER,
              place("info", 36, 4, "bit 0 EFRSup, 1 remapped before; widths: guest 7:5, physical 14:8, virtual 21:15"),
              place("reserved40", 40, 8))
HEAD = Layout("IVRS block", 32, "ACPICA actbl2.h: acpi_ivrs_header",
              place("type", 0, 1), place("flags", 1, 1), place("length", 2, 2))
_HEAD = (place("type", 0, 1, "of the block"), place("flags", 1, 1),
         place("length", 2, 2, "with all that belongs to it"))
_IVHD = (*_HEAD, place("device", 4, 2, "requester id of the IOMMU itself"),
         place("capability", 6, 2, "offset of its PCI capability"), place("base", 8, 8, "register base"),
         place("segment", 16, 2, "PCI segment"), place("info", 18, 2, "message number 4:0, unit 12:8"),
         place("features", 20, 4, "of type 10h: XTSup 0, NXSup 1, GTSup 2, GASup 6; else attributes"))
IVHD_10 = Layout("IVHD 10h", 192, "Linux amd/init.c: ivhd_header", *_IVHD)
IVHD_11 = Layout("IVHD 11h, 40h", 320, "Linux amd/init.c: ivhd_header", *_IVHD,
                 place("efr", 24, 8, "the extended feature register: `amd.EFR`"), place("efr2", 32, 8))
IVMD = Layout("IVMD", 256, "Linux amd/init.c: ivmd_header", *_HEAD, place("device", 4, 2, "first requester id"),
              place("auxiliary", 6, 2, "last requester id of a range"), place("segment", 8, 2, "PCI segment"),
              place("reserved10", 10, 6),
              place("start", 16, 8, "first byte of memory that devices use by themselves"), place("size", 24, 8))
BLOCKS = {0x10: IVHD_10, 0x11: IVHD_11, 0x40: IVHD_11, 0x20: IVMD, 0x21: IVMD, 0x22: IVMD}
"""The blocks by type: IVHD, and IVMD for all devices, for one, for a range."""

ENTRY_TYPES = {
    0: "padding", 1: "all", 2: "device", 3: "range start", 4: "range end", 0x42: "alias", 0x43: "alias range start",
    0x46: "device, extended", 0x47: "range start, extended", 0x48: "special", 0xF0: "ACPI device"}
"""Device entries by type."""
VARIETIES = {1: "I/O APIC", 2: "HPET"}
"""What a special entry is of."""
_ENTRY = (place("type", 0, 1), place("device", 1, 2, "requester id"), place("flags", 3, 1, "see `amd.DTE_FLAGS`"))
ENTRY = Layout("device entry, 4 bytes", 32, "ACPICA actbl2.h: acpi_ivrs_device4", *_ENTRY)
ENTRY_ALIAS = Layout("device entry, alias", 64, "ACPICA actbl2.h: acpi_ivrs_device8a", *_ENTRY,
                     place("reserved4", 4, 1), place("alias", 5, 2, "requester id that it is seen with"),
                     place("reserved7", 7, 1))
ENTRY_EXTENDED = Layout("device entry, extended", 64, "ACPICA actbl2.h: acpi_ivrs_device8b", *_ENTRY,
                        place("extended", 4, 4))
ENTRY_SPECIAL = Layout("device entry, special", 64, "ACPICA actbl2.h: acpi_ivrs_device8c", *_ENTRY,
                       place("handle", 4, 1, "I/O APIC id of the MADT, or HPET number"),
                       place("alias", 5, 2, "requester id of its interrupts"),
                       place("variety", 7, 1, "1 I/O APIC, 2 HPET"))
_NAMED = 22
"""Bytes of an ACPI device entry before its UID; the last of them is the UID's length."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device entry.

    offset: in bytes from the block's start; layout, word: its fixed part; rest: bytes behind that.
    """

    offset: int
    layout: Layout
    word: int
    rest: bytes = b""

    def __getitem__(self, name: str) -> int:
        """A field by its name."""
        return int(get(self.word, getattr(self.layout, name)))

    @property
    def kind(self) -> str:
        """What it is, by `ENTRY_TYPES`."""
        return ENTRY_TYPES.get(self["type"], "of an unknown type")

    @property
    def text(self) -> str:
        """In words: "I/O APIC 33 sends as 00:14.0"."""
        if self.layout is ENTRY_SPECIAL:
            return (f"{VARIETIES.get(self['variety'], 'special device')} {self['handle']} sends as "
                    f"{bdf_text(self['alias'])}")
        seen = f" seen as {bdf_text(self['alias'])}" if self.layout is ENTRY_ALIAS else ""
        return f"{self.kind} {bdf_text(self['device'])}{seen}"


class Ivhd(Structure):
    """One IOMMU (IVHD). A machine describes each up to three times, by the types 10h, 11h and 40h."""

    __slots__ = ()

    @property
    def base(self) -> int:
        """Address of its registers."""
        return self["base"]

    @property
    def devices(self) -> tuple[Device, ...]:
        """Its device entries without padding; what follows an entry that is cut or of unknown size is left out."""
        return tuple(each for each in _devices(self.tail, self.layout.width // 8) if each["type"])

    def special(self, variety: int, handle: int) -> int:
        """Requester id of an I/O APIC (variety 1) by its id, or an HPET (2) by its number; -1 when it has none."""
        return next((d["alias"] for d in self.devices if d.layout is ENTRY_SPECIAL
                     and (d["variety"], d["handle"]) == (variety, handle)), -1)

    def tail_rows(self, offset: int) -> Iterator[Row]:
        """The device entries, field by field; bytes that are none as they are."""
        at = 0
        for each in _devices(self.tail, 0):
            size = each.layout.width // 8
            for f in each.layout.fields:
                yield Row(offset + at + f.low // 8, f.width // 8, f"{each.layout.name}.{f.name}", each[f.name],
                          f.doc or each.kind)
            if each.rest:
                yield Row(offset + at + size, len(each.rest), "device entry.rest", each.rest.hex(" "), each.kind)
            at += size + len(each.rest)
        if at < len(self.tail):
            yield Row(offset + at, len(self.tail) - at, "IVHD.tail", self.tail[at:].hex(" "), "not interpreted")


class Table(Structure):
    """A whole IVRS."""

    __slots__ = ()

    @property
    def units(self) -> tuple[Ivhd, ...]:
        """The IOMMUs, each once: by the highest type that describes it, as Linux takes them."""
        found: dict[tuple[int, int], Ivhd] = {}
        for part in self.parts:
            if isinstance(part, Ivhd):
                key = part["segment"], part["device"]
                if key not in found or part["type"] > found[key]["type"]:
                    found[key] = part
        return tuple(found.values())


SHAPE = Shape(IVRS, Family(HEAD, {
    kind: Shape(layout, None, Ivhd if layout is not IVMD else Structure) for kind, layout in BLOCKS.items()}), Table)
"""How the table is read."""


def parse(data: bytes) -> Table:
    """The table that `data` begins with. AcpiError as for `acpi_table.parse`."""
    table = acpi_table.parse(SHAPE, data)
    assert isinstance(table, Table)
    return table


def take(data: bytes) -> tuple[Table, tuple[AcpiError, ...]]:
    """The same, and what is wrong with it, as `acpi_table.take`."""
    table, doubts = acpi_table.take(SHAPE, data)
    assert isinstance(table, Table)
    return table, doubts


def _devices(data: bytes, start: int) -> Iterator[Device]:
    at = 0
    while at < len(data):
        kind, size = data[at], _size(data, at)
        if not size or at + size > len(data):
            return
        layout = {0x42: ENTRY_ALIAS, 0x43: ENTRY_ALIAS, 0x46: ENTRY_EXTENDED, 0x47: ENTRY_EXTENDED,
                  0x48: ENTRY_SPECIAL}.get(kind, ENTRY)
        fixed = layout.width // 8
        yield Device(start + at, layout, int.from_bytes(data[at:at + fixed], "little"), data[at + fixed:at + size])
        at += size


def _size(data: bytes, at: int) -> int:
    """Bytes of the entry at an offset: 4, 8, 16 or 32 by the upper bits of its type; an ACPI device says it itself."""
    if data[at] == 0xF0:
        return _NAMED + data[at + _NAMED - 1] if at + _NAMED <= len(data) else 0
    return 4 << (data[at] >> 6)
