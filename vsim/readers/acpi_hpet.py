"""The ACPI table HPET: where a block of event timers is, and its number in DMAR scopes (IA-PC HPET 1.0a, 3.2.4)."""

from __future__ import annotations

from typing import cast

from vsim.layouts.bits import Layout, get
from vsim.layouts.registers import HPET_ID
from vsim.readers import acpi_table
from vsim.readers.acpi_table import HEADER, XEN, AcpiError, Oem, Shape, Structure, make_table, place

HPET = Layout("HPET", 448, "IA-PC HPET 1.0a, 3.2.4", *HEADER,
              place("id", 36, 4, "event timer block ID"),
              place("space", 40, 1, "of the address: 0 memory"), place("bits", 41, 1, "width of a register; 0 or 64"),
              place("bit", 42, 1, "offset in it"), place("access", 43, 1),
              place("address", 44, 8, "of the registers"), place("number", 52, 1, "as DMAR scopes name it"),
              place("least", 53, 2, "least ticks of a period"), place("protection", 55, 1, "of the page; OEM's bits"))
LEAST_TICKS = 128
"""What most firmware writes; a smaller period may be missed."""


class Hpet(Structure):
    """The table."""

    __slots__ = ()

    @property
    def timers(self) -> int:
        """How many timers the block has."""
        return int(get(self["id"], HPET_ID.last)) + 1


_TABLE = Shape(HPET, None, Hpet)


def parse(data: bytes) -> Hpet:
    """The table that `data` begins with. AcpiError names offset and field.

    >>> parse(bytes(table(0xFED00000, 3))).timers
    3
    """
    return cast(Hpet, acpi_table.parse(_TABLE, data))


def take(data: bytes) -> tuple[Hpet, tuple[AcpiError, ...]]:
    """The same as far as it can be read, and what is wrong with it. AcpiError when there is no table's header."""
    found, doubts = acpi_table.take(_TABLE, data)
    return cast(Hpet, found), doubts


def table(address: int, timers: int, number: int = 0, oem: Oem = XEN) -> Hpet:
    """The table of a 64-bit block with so many timers, 1 to 32. ValueError when a value does not fit."""
    block = HPET_ID.make(wide=1, last=timers - 1, revision=1)
    return cast(Hpet, make_table(_TABLE, {"revision": 1, "id": block, "address": address, "number": number,
                                          "least": LEAST_TICKS}, (), oem))
