"""A machine whose numbers are scrambled on purpose: no two names of an interrupt have the same number.

    machine = Scrambled()
    machine.names("pin")        # one interrupt and its six numbers
    machine.lookup(116)         # which pin a GSI is
"""

from __future__ import annotations

from collections.abc import Sequence

from vsim.readers import acpi_madt
from vsim.readers.acpi_madt import IOAPIC, LOW_LEVEL, OVERRIDE, Madt
from vsim.readers.acpi_table import Structure
from vsim.state.pci import Function
from widgets.lesson.made import Made
from widgets.tables import Table

WIRED, OTHER, CARD = 0x0038, 0x0200, 0x0300
"""00:07.0 with a wire; 02:00.0 and 03:00.0 with messages, whose entries come one after the other."""
IDS = (3, 9, 14, 22, 41, 67, 130, 201)
FIRST_GSI, OTHER_GSI = 72, 24
"""First GSIs of the I/O APIC that the wire leads to, and of another one."""
FIRST_IRQ = 150
"""The kernel's number of the first interrupt that it set up."""
OVERRIDES = ((0, 2, 0), (9, 20, LOW_LEVEL), (7, 7, LOW_LEVEL))
"""ISA IRQ, its GSI, and the flags of its wire."""


def madt_of(ids: Sequence[int], gsis: Sequence[int] = (FIRST_GSI, 0, OTHER_GSI),
            overrides: Sequence[tuple[int, int, int]] = OVERRIDES) -> Madt:
    """A MADT of I/O APICs with these first GSIs, overrides (ISA IRQ, GSI, flags) and processors."""
    ioapics = [acpi_madt.entry(1, id=8 + place, address=0xFEC00000 + 0x1000 * place, gsi=gsi)
               for place, gsi in enumerate(gsis)]
    wires = [acpi_madt.entry(2, source=irq, gsi=gsi, flags=flags) for irq, gsi, flags in overrides]
    return acpi_madt.table([*wires, *ioapics, *(acpi_madt.processor(n, each) for n, each in enumerate(ids))])


def trigger_of(madt: Madt, irq: int) -> str:
    """How an ISA IRQ is set up: "level" where its override is `LOW_LEVEL`, else as the bus has it, "edge"."""
    flags = [part["flags"] for part in madt.parts if part.layout is OVERRIDE and part["source"] == irq]
    return "level" if flags and flags[0] == LOW_LEVEL else "edge"


def rows(madt: Madt) -> Table:
    """The entries of a MADT that say how interrupts are wired."""
    return Table(("entry", "what it says"), [each for part in madt.parts if (each := _said(part)) is not None])


def _said(part: Structure) -> tuple[str, str] | None:
    if part.layout is IOAPIC:
        return "I/O APIC", f"id {part['id']} at {part['address']:#x}, first GSI {part['gsi']}"
    if part.layout is OVERRIDE:
        wire = "level, active low" if part["flags"] == LOW_LEVEL else "as the ISA bus has it: edge, active high"
        return "override", f"ISA IRQ {part['source']} is GSI {part['gsi']}, {wire}"
    return None


class Scrambled(Made):
    """The machine: a wire, two cards with messages, APIC IDs with gaps, three I/O APICs in its MADT (`madt`)."""

    def __init__(self, ids: Sequence[int] = IDS, message: int = 11, vcpu: int = 5, vector: int = 0xA4,
                 wired: tuple[int, int] = (3, 0x93)) -> None:
        """The card's message leads to (vcpu, vector), the wire to `wired`. ValueError when a vector is not free."""
        super().__init__([Function(OTHER, "other card", passthrough=True, msix_count=70),
                          Function(CARD, "card", passthrough=True, msix_count=64),
                          Function(WIRED, "old card", pin=1, conventional=True)], ids)
        self.madt, self.message = madt_of(ids), message
        for place, number in ((CARD, message), (vcpu, vector)), ((WIRED, 0), wired):
            why = self.place(*place, *number)
            if why:
                raise ValueError(why)

    @property
    def irqs(self) -> dict[tuple[int, int], int]:
        """The kernel's number of each interrupt, by requester id and message: as they were set up, one by one."""
        every = [(bdf, n) for bdf, found in self.guest.sources.items() for n in range(len(found))]
        return {each: FIRST_IRQ + place for place, each in enumerate(every)}

    def names(self, which: str = "message") -> Table:
        """One interrupt by all its names. which: "message", the card's, or "pin", the wire's."""
        bdf, number = (WIRED, 0) if which == "pin" else (CARD, self.message)
        source = self.source(bdf, number)
        first = ([("pin", source.number, "of one I/O APIC"), ("GSI", FIRST_GSI + source.number, "of the platform")]
                 if which == "pin" else [("message", number, "of the card's own table")])
        return Table(("name", "number", "of what"), [
            *first, ("IRQ", self.irqs[bdf, number], "of the kernel's list of interrupts"),
            ("index", source.index, "of the remapping table"), ("vector", f"{source.vector:#x}", "of one vCPU"),
            ("APIC ID", self.machine.apic_id[source.vcpu], "of a local APIC, as the platform gave it out"),
            ("vCPU", source.vcpu, "of the kernel's list of processors")])

    def lookup(self, gsi: int) -> str:
        """The pin that a GSI is, in words."""
        found = self.madt.pin_of(gsi)
        return f"pin {found[1]} of I/O APIC id {self.madt.ioapics[found[0]]['id']}" if found else "no pin"

    def fire(self, message: int) -> tuple[int, int]:
        """(vCPU, vector) that take the card's message; (-1, -1) when nobody does."""
        self.signal(CARD, message)
        return next(iter(self.took.items()), (-1, -1))
