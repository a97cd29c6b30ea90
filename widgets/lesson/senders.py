"""A machine with many kinds of senders: cards, a function with phantom ids, devices behind both kinds of bridges.

    senders = Senders()
    senders.who()
"""

from __future__ import annotations

from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE
from vsim.state.pci import Bridge, Function
from widgets.lesson.made import Made
from widgets.tables import Table

IDS = (4, 9, 14, 22)
"""APIC IDs of the vCPUs."""
NIC, BLOCK, SOUND, MODEM, SCSI = 0x0200, 0x0300, 0x0510, 0x0518, 0x0608
"""02:00.0 with MSI-X; 03:00.0 with four messages of MSI; 05:02.0 and 05:03.0 behind a PCIe-to-PCI bridge; 06:01.0
behind a conventional one."""


def functions() -> list[Function]:
    """The functions, with the bridges above them."""
    return [Function(0x00E0, "port", bridge=Bridge("pcie", 2, 2)), Function(NIC, "network", msix_count=4),
            Function(0x00E8, "port", bridge=Bridge("pcie", 3, 3)), Function(BLOCK, "disk", msi_count=4),
            Function(0x00F0, "bridge to PCI", bridge=Bridge("pcie-to-pci", 5, 5)),
            Function(SOUND, "sound", msi_count=1, conventional=True),
            Function(MODEM, "modem", msi_count=1, conventional=True),
            Function(0x00F8, "PCI bridge", conventional=True, bridge=Bridge("pci", 6, 6)),
            Function(SCSI, "scanner", msi_count=1, conventional=True)]


class Senders(Made):
    """The machine, with a guest that has set up every message; eim: 32-bit destinations."""

    def __init__(self, eim: bool = True) -> None:
        super().__init__(functions(), IDS, eim=eim)
        every = [(bdf, n) for bdf, found in self.guest.sources.items() for n in range(len(found))]
        for place, (bdf, number) in enumerate(every):
            self.place(bdf, number, (3 * place + 2) % len(IDS), 0x51 + 0x0D * place)

    def who(self) -> Table:
        """Each sender: its own number, that under which its requests arrive, and what its entry checks."""
        rows = []
        for bdf, found in self.guest.sources.items():
            if found:
                entry = IRTE.split(found[0].entry)
                name = self.machine.bus.functions[self.machine.bus.place(bdf)].name
                rows.append((name, bdf_text(bdf), bdf_text(self.machine.bus.requester(bdf)), found[0].index,
                             entry["svt"], entry["sq"], f"{entry['sid']:#06x}"))
        return Table(("device", "its own id", "arrives as", "index", "svt", "sq", "sid"), rows)

    @property
    def faults(self) -> Table:
        """The fault records that the guest has read."""
        return Table(("fault record", "as the kernel logs it"), enumerate(map(str, self.guest.faults)))
