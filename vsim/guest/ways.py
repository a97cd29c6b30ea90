"""Where an interrupt of the small guest can go, and what has to be programmed for that. Asks only; changes nothing.

`Ways` holds what the boot found out: whether messages are remapped, and with how wide destinations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vsim.domain.platform import Platform
from vsim.layouts.formats import IRTE, MSI_ADDRESS, RTE, RTE_REMAP, msi_message, remap_message

SHORT_ID, LONG_ID, LARGEST_ID = 0xFE, 0x7FFF, 0xFFFFFFFE
"""Largest APIC ID in a destination of 8 bits, of 15 (the extended destination ID, V 11), of 32."""
BROADCAST_ID = 0xFF
"""The broadcast in 8 bits."""


@dataclass(slots=True, eq=False)
class Source:
    """One interrupt: kind "msi-x", "msi" or "pin"; number: message, or GSI of a pin; vcpu, vector: where it goes now.

    bdf: the function, for a pin the first one on it; sharers: all functions on the pin. unit: the remapping unit that
    it goes through. index: its entry in that unit's table, -1 without one. entry: that entry, as written last.
    """

    kind: str
    bdf: int
    number: int
    vcpu: int = 0
    vector: int = -1
    unit: int = 0
    index: int = -1
    entry: int = 0
    sharers: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ways:
    """How device interrupts travel.

    remapping: through entries of a table; eim: those have 32-bit destinations; clusters: and name x2APIC clusters.
    ioapic: requester id of the I/O APIC. checked: entries check who sends.
    """

    platform: Platform
    remapping: bool = False
    eim: bool = False
    clusters: bool = False
    ioapic: int = -1
    checked: bool = True

    def refusal(self, vcpu: int) -> str:
        """What its APIC ID is, that no device interrupt can be directed to a vCPU; "" when one can.

        ValueError when there is no such vCPU.
        """
        if not 0 <= vcpu < len(self.platform.apic_ids):
            raise ValueError(f"vcpu is {vcpu}; the limit is 0 to {len(self.platform.apic_ids) - 1}")
        apic_id = self.platform.apic_ids[vcpu]
        bits, largest = self._destinations()
        if apic_id <= largest:
            return ""
        where = "remapping entry in xAPIC mode" if self.remapping else "compatibility-format message"
        if bits == 8 and apic_id == BROADCAST_ID:
            return f"the broadcast ID in the 8-bit destination of a {where}"
        return f"beyond the {bits}-bit destination of a {where}, whose largest is {largest}"

    def _destinations(self) -> tuple[int, int]:
        """Bits of the destination of a device interrupt, and the largest APIC ID in it."""
        if self.remapping:
            return (32, LARGEST_ID) if self.eim else (8, SHORT_ID)
        return (15, LONG_ID) if self.platform.ext_dest else (8, SHORT_ID)

    def entry(self, source: Source) -> int:
        """The table's entry: fixed, edge, redirection hint set, as Linux has it (V 10.2)."""
        apic_id = self.platform.apic_ids[source.vcpu]
        if self.clusters:
            destination = apic_id >> 4 << 16 | 1 << (apic_id & 15)
        else:
            destination = apic_id if self.eim else apic_id << 8
        svt, sq, sid = self._source_check(source)
        return int(IRTE.make(p=1, dm=int(self.clusters), rh=1, vector=source.vector, dst=destination, svt=svt, sq=sq,
                             sid=sid))

    def _source_check(self, source: Source) -> tuple[int, int, int]:
        """(SVT, SQ, SID): a pin's request comes from the I/O APIC (V 9)."""
        if not self.checked:
            return 0, 0, 0
        return (1, 0, self.ioapic) if source.kind == "pin" else self.platform.bus.source_check(source.bdf)

    def message(self, source: Source) -> tuple[int, int]:
        """(address, data) of a message: the number of its entry with an empty subhandle, or vCPU and vector."""
        if self.remapping:
            return remap_message(source.index, 0)
        return plain_message(self.platform.apic_ids[source.vcpu], source.vector)

    def redirection(self, source: Source) -> int:
        """The I/O APIC's entry of a pin."""
        if self.remapping:
            return remapped_pin(source.index, source.number)
        return plain_pin(self.platform.apic_ids[source.vcpu], source.vector)


def plain_message(destination: int, vector: int, logical: int = 0) -> tuple[int, int]:
    """(address, data) of a compatibility-format message; bits 14:8 of the destination go where V 11 puts them."""
    address, data = msi_message(destination & 0xFF, vector, dm=logical)
    return address | MSI_ADDRESS.make(ext=destination >> 8), data


def remapped_pin(index: int, pin: int) -> int:
    """The redirection entry of a level, active-low pin through entry `index`; its vector is the pin's number."""
    return int(RTE_REMAP.make(handle=index, format=1, tm=1, polarity=1, vector=pin))


def plain_pin(apic_id: int, vector: int) -> int:
    """The redirection entry of a level, active-low pin in compatibility format."""
    return int(RTE.make(dest=apic_id & 0xFF, ext=apic_id >> 8, tm=1, polarity=1, vector=vector))
