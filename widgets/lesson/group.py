"""One message for several vCPUs: a logical destination, and who of those that it names takes it.

    Group(24).send(0x10051)
    Group(24).send(0x10041, lowest=True, tpr={8: 0x60})
"""

from __future__ import annotations

from collections.abc import Mapping

from vsim.devices.vlapic import derived_ldr
from vsim.layouts.registers import APIC_MSR
from vsim.state import commands as c
from vsim.state.pci import Function
from widgets.lesson.made import Made
from widgets.tables import Table

CARD = 0x0300
VECTOR = 0x61
MOST = 64


class Group(Made):
    """A card and vCPUs of which number n has the APIC ID 2n, as Xen gives them. ValueError beyond 64 vCPUs."""

    def __init__(self, vcpus: int = 24) -> None:
        if not 1 <= vcpus <= MOST:
            raise ValueError(f"vcpus is {vcpus}; the limit is 1 to {MOST}")
        super().__init__([Function(CARD, "card", msix_count=1)], [2 * n for n in range(vcpus)])

    def taken(self, dst: int, lowest: bool = False, tpr: Mapping[int, int] | None = None) -> list[int]:
        """The vCPUs that take the card's message. dst: logical, 32 bits; lowest: by lowest priority.

        tpr: the priority that some vCPUs have asked for. ValueError for a vCPU or a value that there cannot be.
        """
        for vcpu, value in (tpr or {}).items():
            if not 0 <= vcpu < len(self.machine.apic_id) or not 0 <= value <= 0xFF:
                raise ValueError(f"TPR of vCPU {vcpu} is {value}; vCPUs end at {len(self.machine.apic_id) - 1}, "
                                 "a priority has 8 bits")
        self.change(CARD, dm=1, rh=0, dlm=int(lowest), dst=dst, vector=VECTOR)
        for vcpu, value in (tpr or {}).items():
            self.issue(c.Msr(vcpu, APIC_MSR["TPR"], value))
        self.signal(CARD)
        return sorted(self.took)

    def send(self, dst: int, lowest: bool = False, tpr: Mapping[int, int] | None = None) -> Table:
        """The same as a table: every vCPU of the cluster, with its names and what it does."""
        took = self.taken(dst, lowest, tpr)
        rows = []
        for vcpu, apic_id in enumerate(self.machine.apic_id):
            own = derived_ldr(self.machine, vcpu)
            if own >> 16 == dst >> 16:
                said = "takes it" if vcpu in took else "named" if own & dst & 0xFFFF else ""
                rows.append((vcpu, f"{apic_id:#x}", f"{own:#x}", f"{self.machine.tpr[vcpu]:#x}", said))
        return Table(("vCPU", "APIC ID", "logical ID", "TPR", f"dst={dst:#x}"), rows,
                     bold=[at for at, row in enumerate(rows) if row[-1] == "takes it"])
