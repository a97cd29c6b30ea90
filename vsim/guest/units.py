"""The small kernel's remapping units together: which there are, what sits behind each, whether they are used (V 10.1).

As Linux has it: all units or none. If one of them cannot remap, none does; if one of them has no 32-bit destinations,
or the firmware opts out, all of them work with 8 bits.
"""

from __future__ import annotations

from vsim.guest.cpu import Cpu
from vsim.guest.iommu import MEMORY, QUEUE_BYTES, TABLE_BYTES, Driver
from vsim.readers.acpi_dmar import INTR_REMAP, IOAPIC_ID, X2APIC_OPT_OUT, Coverage, Dmar, parse
from vsim.readers.acpi_table import length
from vsim.state.pci import Bus

MAX_TABLE = 4096
"""Longest DMAR that is read, in bytes."""


def read_dmar(cpu: Cpu, address: int) -> Dmar:
    """The DMAR table in memory. ValueError when it is none, or a broken one."""
    size = length(cpu.read(address, 8).to_bytes(8, "little"), "DMAR")
    words = -(-min(max(size, 8), MAX_TABLE) // 8)
    table = b"".join(cpu.read(address + 8 * word, 8).to_bytes(8, "little") for word in range(words))
    return parse(table)


class Units:
    """The units. drivers: one for each, in the order of the table; ioapic: requester id of the I/O APIC, -1 before.

    memory: guest-physical address, a multiple of 1 MiB, of what the drivers need: `MEMORY` bytes for each unit.
    """

    def __init__(self, cpu: Cpu, bus: Bus, memory: int, ram_size: int, log: list[str]) -> None:
        self.cpu, self.log = cpu, log
        self.memory, self.ram_size = memory, ram_size
        self.drivers = [Driver(cpu, log, memory, memory + TABLE_BYTES)]
        self.ioapic, self.ioapic_unit = -1, 0
        self._bridges = {f.bdf: (f.bridge.secondary, f.bridge.subordinate) for f in bus.functions if f.bridge}
        self._coverage = Coverage((), {})

    @property
    def eim(self) -> bool:
        """Whether all units have 32-bit destinations in use."""
        return all(driver.eim for driver in self.drivers)

    def behind(self, bdf: int) -> int:
        """Number of the unit that a function sits behind, -1 when the table has none for it."""
        return self._coverage.unit_of(bdf)

    def find(self, address: int) -> bool:
        """Read the DMAR at `address` (0: none) and every unit's capabilities; whether they can be used."""
        try:
            facts = read_dmar(self.cpu, address) if address else None
        except ValueError as error:
            return self._without(f"broken table: {error}")
        if facts is None or not facts.units or not facts.flags & INTR_REMAP:
            return self._without("no table of a unit that remaps interrupts")
        if not self._name(facts):
            return False
        if len(self.drivers) > 1:
            self.log += [driver.describe() for driver in self.drivers]
        if not all(driver.capable() for driver in self.drivers):
            return False
        self._narrow(bool(facts.flags & X2APIC_OPT_OUT))
        return True

    def _name(self, facts: Dmar) -> bool:
        """A driver for each unit, and the one that has the I/O APIC."""
        units = facts.units
        if self.memory + len(units) * MEMORY > self.ram_size:
            return self._without(f"no memory for the tables of {len(units)} units")
        queues = self.memory + len(units) * TABLE_BYTES
        del self.drivers[1:]
        self.drivers += [Driver(self.cpu, self.log, self.memory + number * TABLE_BYTES, queues, number)
                         for number in range(1, len(units))]
        for driver, unit in zip(self.drivers, units, strict=True):
            driver.base, driver.queue = unit.base, queues + driver.number * QUEUE_BYTES
        self._coverage = Coverage(units, self._bridges)
        named = ((number, unit.ioapic(IOAPIC_ID)) for number, unit in enumerate(units))
        self.ioapic_unit, self.ioapic = next(((n, source) for n, source in named if source >= 0), (0, -1))
        if self.ioapic < 0:
            return self._without(f"firmware bug: ioapic {IOAPIC_ID} has no mapping iommu")
        return True

    def _narrow(self, opt_out: bool) -> None:
        """8-bit destinations for all, when the firmware wants it or one unit has no others."""
        weak = [driver.number for driver in self.drivers if not driver.eim]
        if opt_out:
            self.log.append("DMAR: x2apic is opted out of by the firmware: 8-bit destinations")
        elif weak and len(weak) < len(self.drivers):
            names = ", ".join(f"dmar{number}" for number in weak)
            self.log.append(f"DMAR: {names} without ECAP.EIM: 8-bit destinations behind every unit")
        if opt_out or weak:
            for driver in self.drivers:
                driver.eim = False

    def _without(self, why: str) -> bool:
        self.log.append(f"DMAR: {why}")
        return False

    def start(self) -> bool:
        """Bring every unit up; when one fails, those that came up are turned off again."""
        for driver in self.drivers:
            if not driver.start():
                for earlier in self.drivers[:driver.number]:
                    earlier.stop()
                return False
        self.log.append(f"DMAR-IR: Enabled IRQ remapping in {'x2apic' if self.eim else 'xapic'} mode")
        return True
