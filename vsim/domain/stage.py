"""A small domain with a vIOMMU of the series, and the few things that one does on it to see how it behaves.

    s = Stage(profile("xen-v4"))
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)
    taken(s.msi(0))                          # "taken by vCPU 1 vector 0x41"

Its paths are counted, its defects shown and its answers checked on such a domain.
"""

from __future__ import annotations

from vsim import machine
from vsim.devices import viommu, vlapic
from vsim.layouts.formats import IRTE, remap_message
from vsim.layouts.registers import GCMD, OFFSET
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.profile import Profile
from vsim.state.trace import Act, Event
from vsim.xen import paths as xen_paths

BASE, TABLE, QUEUE, STATUS = 0xFED90000, 0x100000, 0x300000, 0x340000
"""Guest-physical addresses: register page, remapping table, invalidation queue, a status word."""


class Stage:
    """A domain with a vIOMMU of the series, and the few things that scenarios do with it."""

    def __init__(self, wanted: Profile, vcpus: int = 4, x2apic: bool = True, create: bool = True) -> None:
        self.m = Machine(wanted, vcpus)
        for vcpu in range(vcpus):
            self.m.svr[vcpu] |= 0x100
            if x2apic:
                vlapic.set_mode(self.m, vcpu, Apic.X2APIC)
        if create:
            self.create()

    def create(self, **changes: int) -> int:
        """The domctl; its errno."""
        face = viommu.interface(self.m)
        values = {"viommu_type": face.type_value, "base_address": BASE, "length": viommu.PAGE, "capabilities": 1}
        members = {part.name for part in face.fields(viommu.Op.CREATE)}
        wanted = {name: value for name, value in values.items() if name in members} | changes
        events = machine.step(self.m, c.Domctl(viommu.encode(face.name, viommu.Op.CREATE, **wanted)))
        return next(e.index for e in events if e.act == Act.DOMCTL)

    def write(self, name: str, value: int, width: int = 4) -> list[Event]:
        """Write a register by name."""
        return machine.step(self.m, c.Mmio(BASE + OFFSET[name], width, value))

    def read(self, name: str, width: int = 4) -> int:
        """Read a register as the guest does, with what a read sets off."""
        events = machine.step(self.m, c.MmioRead(BASE + OFFSET[name], width))
        return next(e.low for e in events if e.act == Act.READ)

    def table(self, size: int = 7, eime: bool = True, on: bool = True) -> None:
        """Latch a table of 2^(size+1) entries and switch remapping on."""
        self.write("IRTA", TABLE | int(eime) << 11 | size, 8)
        self.write("GCMD", GCMD.make(sirtp=1))
        if on:
            self.write("GCMD", GCMD.make(sirtp=1, ire=1))

    def entry(self, index: int, **fields: int) -> None:
        """Write a remapping table entry."""
        self.m.ram.write(TABLE + 16 * index, IRTE.make(**fields).to_bytes(16, "little"))

    def queue(self, *descriptors: int) -> None:
        """Put descriptors at the queue's start, and say where it is."""
        for place, descriptor in enumerate(descriptors):
            self.m.ram.write(QUEUE + 16 * place, descriptor.to_bytes(16, "little"))
        self.write("IQA", QUEUE, 8)

    def msi(self, index: int, requester: int = 0x300) -> list[Event]:
        """A remappable message for an entry."""
        return machine.step(self.m, c.Msi(requester, *remap_message(index)))


def result(events: list[Event]) -> str:
    """The result that the caller saw."""
    codes = [xen_paths.signed(e.low) for e in events if e.act == Act.RETURNED and e.index == 1]
    return f"result {codes[0]}" if codes else "no result"


def taken(events: list[Event]) -> str:
    """Who got which vector."""
    who = [f"vCPU {e.node & 0xFFFFFF} vector {e.index:#x}" for e in events if e.act in (Act.ACCEPTED, Act.MERGED)]
    return "taken by " + (", ".join(who) or "nobody")


def stopped(m: Machine, events: list[Event]) -> str:
    """Whether the hypervisor or the domain would crash."""
    words = {1: "hypervisor would crash here", 2: "hypervisor would loop for ever here", 3: "domain crashed"}
    return next((words[e.index] for e in events if e.act == Act.STOPPED), "goes on")
