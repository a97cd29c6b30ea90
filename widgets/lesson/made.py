"""A small machine made of functions instead of files, booted, with APIC IDs of one's own choice.

    made = Made([Function(0x0300, "card", msix_count=4)], (3, 9, 14, 22))
    made.place("03:00.0", 0, vcpu=2, vector=0x61)
    made.signal("03:00.0").told()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vsim.devices import viommu
from vsim.domain import acpi, builder
from vsim.domain.platform import Platform
from vsim.guest.kernel import Guest
from vsim.guest.ways import Source
from vsim.layouts.bits import bdf_text, parse_bdf
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import APIC_MSR, ICR
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Event
from widgets.lesson.journey import Journey, journey_of
from widgets.map.scene import scene
from widgets.tables import Table

RAM = 64 << 20


class Made:
    """The machine and its guest. `machine` and `guest` are there to look at; `events`: of the last interrupt."""

    def __init__(self, functions: Iterable[Function], apic_ids: Sequence[int], eim: bool = True, viommu_: bool = True,
                 skip: Iterable[str] = (), **options: Any) -> None:
        """apic_ids: of each vCPU; eim: the unit offers 32-bit destinations; viommu_: there is a unit.

        skip: duties that the guest forgets; options: of the profile. ValueError for what no machine can have.
        """
        wanted = profile("spec").with_options(apic_ids=tuple(apic_ids), **options)
        wanted = wanted.with_capabilities(wanted.capabilities.having(eim=eim))
        self.machine = Machine(wanted, len(apic_ids), RAM, Bus(functions))
        if viommu_:
            self.issue(c.Domctl(viommu.create_op(version=wanted.options.interface)))
            self.issue(c.RamWrite(builder.DMAR_AT, acpi.dmar_of(self.machine)))
        self.guest = Guest(self.issue, Platform.of(self.machine, builder.DMAR_AT if viommu_ else 0), skip=skip)
        self.guest.boot()
        self.events: list[Event] = []
        self._reached: tuple[int, ...] = ()

    def issue(self, command: c.Command) -> list[Event]:
        """Do one command."""
        return step(self.machine, command)

    def source(self, device: str | int, message: int = 0) -> Source:
        """An interrupt as the guest has set it up. ValueError when there is no such device or message."""
        bdf = parse_bdf(device) if isinstance(device, str) else device
        found = self.guest.sources.get(bdf, [])
        if not 0 <= message < len(found):
            raise ValueError(f"message is {message}; device {bdf_text(bdf)} has {len(found)}")
        return found[message]

    def place(self, device: str | int, message: int, vcpu: int, vector: int = -1) -> str:
        """The guest directs a message to a vCPU, with a vector of choice; "" or why it does not."""
        return self.guest.affinity(self.source(device, message), vcpu, vector)

    def change(self, device: str | int, message: int = 0, **fields: int) -> str:
        """Write fields of a message's entry behind the guest's back, and invalidate it; the entry as text.

        ValueError for an unknown field, or a value that does not fit.
        """
        source = self.source(device, message)
        entry = IRTE.make(**{**IRTE.split(source.entry), **fields})
        self.guest.driver(source).change(source.index, entry)
        return IRTE.text(entry)

    # --- interrupts ---

    def signal(self, device: str | int, message: int = 0) -> Journey:
        """The device sends a message, or asserts its pin; the guest handles what arrives."""
        source = self.source(device, message)
        return self._go(c.Intx(source.bdf, 1) if source.kind == "pin" else c.Signal(source.bdf, source.number))

    def raw(self, device: str | int, address: int, data: int) -> Journey:
        """A write of the device's own making, under the id with which its requests arrive."""
        bdf = parse_bdf(device) if isinstance(device, str) else device
        return self._go(c.Msi(self.machine.bus.requester(bdf), address, data))

    def ipi(self, sender: int, vcpu: int, vector: int = 0x41) -> Journey:
        """One vCPU interrupts another by its x2APIC ICR, whose destination has 32 bits."""
        order = ICR.make(dest=self.machine.apic_id[vcpu], vector=vector, level=1)
        return self._go(c.Msr(sender, APIC_MSR["ICR"], order))

    def together(self, device: str | int, *messages: int) -> Table:
        """The device sends several messages before anybody handles one; what became of each."""
        rows, events = list[tuple[int, str]](), list[Event]()
        for message in messages:
            source, before = self.source(device, message), self.machine.copy()
            done = self.issue(c.Signal(source.bdf, source.number))
            rows.append((message, journey_of(done, before, scene(self.machine, "made")).verdict))
            events += done
        self.guest.take(events)
        return Table(("message", "what became of it"), rows)

    def _go(self, command: c.Command) -> Journey:
        before = self.machine.copy()
        events = self.issue(command)
        self.guest.take(events)
        serial = next(event.serial for event in events if event.serial)
        self.events = [event for event in events if event.serial == serial]
        journey = journey_of(events, before, scene(self.machine, "made"))
        self._reached = journey.reached
        return journey

    @property
    def took(self) -> dict[int, int]:
        """Vector by vCPU of the last interrupt: who accepted it. A fault event that it set off is not counted."""
        return {event.node & 0xFFFFFF: event.index for event in reversed(self.events)
                if event.act == Act.ACCEPTED and event.node & 0xFFFFFF in self._reached}

    # --- tables ---

    def table(self, device: str | int, messages: Iterable[int]) -> Table:
        """Some messages of a device: each with its entry's index, and what stands in it."""
        sources = [self.source(device, message) for message in messages]
        return Table(("message", "index", "vector", "dst (APIC ID)", "vCPU"), [
            (each.number, each.index, f"{each.vector:#x}", IRTE.split(each.entry)["dst"], each.vcpu)
            for each in sources])
