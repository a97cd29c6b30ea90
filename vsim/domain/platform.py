"""What a guest finds out about its machine without a command: enumeration of PCI, the MADT, CPUID."""

from __future__ import annotations

from dataclasses import dataclass

from vsim.state.arrays import Machine
from vsim.state.pci import Bus


@dataclass(frozen=True, slots=True)
class Platform:
    """What firmware and enumeration tell a kernel.

    bus: the PCI functions. apic_ids: APIC ID of each vCPU. ram_size: bytes. dmar: guest-physical address of the DMAR
    table, 0 when there is none. ext_dest: CPUID offers 15-bit destinations in messages (V 11).
    """

    bus: Bus
    apic_ids: tuple[int, ...]
    ram_size: int
    dmar: int = 0
    ext_dest: bool = False

    @staticmethod
    def of(m: Machine, dmar: int = 0) -> Platform:
        """The platform that a machine is; dmar as above."""
        return Platform(m.bus, tuple(m.apic_id), m.ram.size, dmar, m.profile.options.ext_dest)
