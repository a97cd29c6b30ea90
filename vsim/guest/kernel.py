"""A small kernel that does what Linux does with interrupts, by commands only (V 10, X 3.14).

    guest = Guest(issue, Platform.of(machine, dmar), destination="cluster")
    guest.boot()
    source = guest.sources[bdf][0]
    guest.affinity(source, 287)     # "" or the reason for a refusal
    guest.take(issue(Signal(bdf, 0)))

As a hypervisor's guest it uses x2APIC mode with or without a remapping unit: x2APIC itself needs none. What needs one
are the destinations of devices: without it a message holds 8 bits of APIC ID. Linux leaves vCPUs with larger IDs
offline then (`beyond="offline"`); as a rule this kernel starts them (IPIs reach them) and refuses to direct device
interrupts to them.

With remapping a level pin is programmed as Linux does it: the entry in the table is edge-triggered, the vector of the
redirection entry is the number of the pin, and the handler ends the interrupt at the I/O APIC by hand. (Xen as a guest
would copy vector and trigger mode into both and rely on the broadcast of the EOI.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vsim.domain.platform import Platform
from vsim.guest.cpu import DUTIES, Cpu, Issue
from vsim.guest.iommu import MEMORY, Driver, Fault
from vsim.guest.irq import ISA_INTERRUPTS, Interrupts, Vectors
from vsim.guest.units import Units
from vsim.guest.ways import Source, Ways
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import Dlm
from vsim.layouts.given import a
from vsim.layouts.registers import APIC_BASE, APIC_BASE_MSR, APIC_MSR, ICR, SVR
from vsim.state import commands as c
from vsim.state.pci import Function
from vsim.state.trace import Event

__all__ = ["BEYOND", "DESTINATIONS", "DUTIES", "MEMORY", "MIB", "Fault", "Guest", "Source", "Taken", "Ways"]

DESTINATIONS = ("physical", "cluster")
"""Destination modes: physical APIC IDs, or x2APIC clusters (logical), which need 32-bit destinations."""
BEYOND = ("start", "offline")
"""What to do with vCPUs that no device interrupt can be directed to: start them all the same, or leave them alone."""
MIB = 1 << 20

_STORM = 4096           # interrupts served in one go before the kernel gives up
_SPURIOUS = 0xFF


class Taken(NamedTuple):
    """One interrupt that a vCPU took; source None: a unit's fault event, or a vector that no handler knows there."""

    vcpu: int
    vector: int
    source: Source | None


class Guest:
    """The kernel. `issue` does a command on the machine and returns its events.

    destination: one of `DESTINATIONS`, used where 32-bit destinations are to be had. skip: names of `DUTIES` to leave
    out. memory: guest-physical address of the tables, queues and status pages of all units, a multiple of 1 MiB.
    beyond: one of `BEYOND`.

    After `boot`: `log`, lines as a kernel prints them; `units`, the remapping units; `ways`, how interrupts travel;
    `sources`, the interrupts of each function by its requester id; `fault_vectors`, the unit whose fault event has a
    vector on vCPU 0; `faults`, the fault records read so far; `strays`, (vCPU, vector) that nobody handles;
    `online`, the vCPUs that were started.
    """

    def __init__(self, issue: Issue, platform: Platform, destination: str = "physical", skip: Iterable[str] = (),
                 memory: int = MIB, beyond: str = "start") -> None:
        """ValueError: an unknown word or duty, or `memory` that is no free megabyte of RAM."""
        a(Platform, "platform", platform)
        for name, word, allowed in (("destination", destination, DESTINATIONS), ("beyond", beyond, BEYOND)):
            if word not in allowed:
                raise ValueError(f"{name} is {word!r}; allowed are {', '.join(allowed)}")
        self.platform, self.cpu = platform, Cpu(issue, skip)
        self.log: list[str] = []
        self.units = Units(self.cpu, platform.bus, _checked(memory, platform), platform.ram_size, self.log)
        self.irq = Interrupts(self.cpu, platform.bus)
        self.vectors = Vectors(len(platform.apic_ids))
        self.ways = Ways(platform)
        self.sources: dict[int, list[Source]] = {}
        self.faults: list[Fault] = []
        self.strays: list[tuple[int, int]] = []
        self.online: list[int] = []
        self._wanted, self._beyond = destination, beyond
        self._pins: dict[int, Source] = {}
        self._handlers: dict[tuple[int, int], Source] = {}
        self.fault_vectors: dict[int, int] = {}
        self._early: list[Taken] = []
        self._awake: list[int] = []

    @property
    def unit(self) -> Driver:
        """The first remapping unit, where most machines have but one."""
        return self.units.drivers[0]

    @property
    def fault_vector(self) -> int:
        """Vector of the first unit's fault event on vCPU 0; -1 without one."""
        return next(iter(self.fault_vectors), -1)

    def driver(self, source: Source) -> Driver:
        """The remapping unit that an interrupt goes through."""
        return self.units.drivers[source.unit]

    # --- boot ---

    def boot(self) -> list[str]:
        """Bring everything up: the units, the I/O APIC, all vCPUs in x2APIC mode, every function. Returns the log."""
        remapping = self.units.find(self.platform.dmar) and self.units.start()
        wide = remapping and self.units.eim
        if self._wanted == "cluster" and not wide:
            self.log.append("x2apic: no 32-bit destinations: physical mode")
        self.ways = Ways(self.platform, remapping, wide, wide and self._wanted == "cluster", self.units.ioapic,
                         self.cpu.does("source"))
        self.irq.find_ioapic()
        vcpus = range(len(self.platform.apic_ids))
        reachable = [vcpu for vcpu in vcpus if not self.ways.refusal(vcpu)]
        self.vectors.limit(reachable)
        self._start(vcpus if self._beyond == "start" else reachable)
        if remapping:
            self.units.drivers[self.units.ioapic_unit].hold(ISA_INTERRUPTS)
        for driver in self.units.drivers if self.ways.remapping else ():
            vector = self.vectors.take(0)
            self.fault_vectors[vector] = driver.number
            driver.report_to(self.platform.apic_ids[0], vector)
        for function in self.platform.bus.functions:
            if not function.bridge:
                self._set_up(function)
        return self.log

    def _start(self, vcpus: Iterable[int]) -> None:
        """vCPU 0 wakes all others by broadcasts, as an xAPIC cannot be named above ID 254; these set themselves up."""
        self._local_apic(0)
        if len(self.platform.apic_ids) > 1:
            self.cpu.msr(0, APIC_MSR["ICR"], ICR.make(shorthand=3, dlm=Dlm.INIT, level=1))
            self.cpu.msr(0, APIC_MSR["ICR"], ICR.make(shorthand=3, dlm=Dlm.SIPI, level=1, vector=0x10))
        for vcpu in vcpus:
            if vcpu:
                self._local_apic(vcpu)
        if len(self.online) < len(self.platform.apic_ids):
            left = len(self.platform.apic_ids) - len(self.online)
            self.log.append(f"x2apic: {left} vCPUs with larger APIC IDs stay offline")

    def _local_apic(self, vcpu: int) -> None:
        """x2APIC mode, then software enable (SDM 11.12.1, 11.9)."""
        self.online.append(vcpu)
        self.cpu.msr(vcpu, APIC_BASE_MSR, APIC_BASE.make(base=0xFEE00, en=1, extd=1, bsp=int(vcpu == 0)))
        if self.cpu.does("enable"):
            self.cpu.msr(vcpu, APIC_MSR["SVR"], SVR.make(enable=1, vector=_SPURIOUS))

    # --- setting up functions ---

    def _set_up(self, function: Function) -> None:
        """MSI-X, else MSI, else the pin: what a driver would ask for. Nothing for a function that no unit covers."""
        if self.ways.remapping and self.units.behind(function.bdf) < 0 and (function.msix_count or function.msi_count):
            self.log.append(f"{bdf_text(function.bdf)}: firmware bug: no unit covers it")
            found: list[Source] = []
        elif function.msix_count:
            found = self._set_up_msix(function)
        elif function.msi_count:
            found = self._set_up_msi(function)
        else:
            found = self._set_up_pin(function)
        self.sources[function.bdf] = found
        wanted = function.msix_count or function.msi_count or int(function.pin > 0)
        if len(found) < wanted:
            self.log.append(f"{bdf_text(function.bdf)}: {len(found)} of {wanted} interrupts")

    def _set_up_msix(self, function: Function) -> list[Source]:
        found, messages = list[Source](), list[tuple[int, int]]()
        unit = self._unit_of(function.bdf)
        for number in range(function.msix_count):
            source = Source("msi-x", function.bdf, number, unit=unit)
            if not self._place(source) or not self._enter(source):
                break
            found.append(source)
            messages.append(self.ways.message(source))
        self.irq.enable_msix(function.bdf, messages)
        return found

    def _set_up_msi(self, function: Function) -> list[Source]:
        """As many messages as there is room for; without remapping one, as all of them would share one vCPU."""
        count = function.msi_count if self.ways.remapping else 1
        while count:
            found = self._block(function.bdf, count)
            if found:
                self.irq.enable_msi(function.bdf, count, *self.ways.message(found[0]))
                return found
            count //= 2
        return []

    def _block(self, bdf: int, count: int) -> list[Source]:
        """`count` (a power of two) messages of MSI, with remapping in a block of entries; none if one is too many."""
        unit = self._unit_of(bdf)
        found = [source for source in (Source("msi", bdf, n, unit=unit) for n in range(count)) if self._place(source)]
        first = self.units.drivers[unit].allocate(count) if self.ways.remapping and len(found) == count else -1
        if len(found) < count or (self.ways.remapping and first < 0):
            for source in found:
                self._unbind(source.vcpu, source.vector)
            return []
        if self.ways.remapping:
            self._fill(found, first)
        return found

    def _fill(self, sources: list[Source], first: int) -> None:
        """New entries from `first` on; with caching mode these too have to be invalidated, one by one (V 7.7)."""
        unit = self.driver(sources[0])
        for index, source in enumerate(sources, first):
            source.index, source.entry = index, self.ways.entry(source)
            unit.install(index, source.entry)
            if self.cpu.does("invalidate"):
                unit.invalidate(index)

    def _set_up_pin(self, function: Function) -> list[Source]:
        gsi = self.platform.bus.gsi(function.bdf)
        if not 0 <= gsi < self.irq.pins:
            return []
        self.irq.enable_pin(function.bdf)
        source = self._pins.get(gsi)
        if source is None:
            source = Source("pin", function.bdf, gsi, unit=self.units.ioapic_unit)
            if not self._place(source) or not self._enter(source):
                return []
            self._pins[gsi] = source
            self.irq.write_pin(gsi, self.ways.redirection(source))
        source.sharers.append(function.bdf)
        return [source]

    def _unit_of(self, bdf: int) -> int:
        return max(self.units.behind(bdf), 0)

    def _place(self, source: Source) -> bool:
        """A first vCPU and vector for a source, as Linux chooses them: the lowest free vector of the emptiest vCPU.

        False when all vectors are taken.
        """
        vcpu = self.vectors.emptiest()
        if vcpu >= 0:
            self._bind(source, vcpu, self.vectors.take(vcpu))
        return vcpu >= 0

    def _bind(self, source: Source, vcpu: int, vector: int) -> None:
        source.vcpu, source.vector = vcpu, vector
        self._handlers[vcpu, vector] = source

    def _enter(self, source: Source) -> bool:
        """With remapping: an entry of the table for one source; False when the table is full."""
        if not self.ways.remapping:
            return True
        index = self.driver(source).allocate(1)
        if index < 0:
            self._unbind(source.vcpu, source.vector)
            return False
        self._fill([source], index)
        return True

    def _unbind(self, vcpu: int, vector: int) -> None:
        del self._handlers[vcpu, vector]
        self.vectors.release(vcpu, vector)

    def release(self, bdf: int) -> None:
        """A driver goes: its messages are masked, entries cleared, vectors given back, and the messages switched off.

        What is on the way already is handled before. A pin that others share stays. Nothing for an unknown function.
        """
        found = self.sources.pop(bdf, [])
        for source in found:
            if bdf in source.sharers:
                source.sharers.remove(bdf)
        gone = [source for source in found if not source.sharers]
        for first in gone[:1]:
            self.irq.silence(first)
            if first.kind == "msi" and not self.irq.maskable(first):
                self.irq.disable(first)
            self._early = self.serve()
            self._forget(gone)
            self.irq.disable(first)

    def _forget(self, sources: list[Source]) -> None:
        """Entries and vectors of silent sources; a block of entries goes as one, as it came."""
        first = sources[0]
        if self.ways.remapping:
            block = [first] if first.kind == "msi" else sources
            for source in block:
                self.driver(source).free(source.index, len(sources) if first.kind == "msi" else 1)
        for source in sources:
            self._unbind(source.vcpu, source.vector)
            source.vector = source.index = -1
            if source.kind == "pin":
                del self._pins[source.number]

    # --- affinity ---

    def affinity(self, source: Source, vcpu: int, vector: int = -1) -> str:
        """Direct a source to a vCPU; "" when done, else the reason for which the kernel refuses (nothing changed).

        vector: the one to have there, if it is free; -1 for the lowest free one.
        """
        why = self.ways.refusal(vcpu)
        if why:
            return f"APIC ID {self.platform.apic_ids[vcpu]} is {why}"
        if vcpu == source.vcpu and vector in (-1, source.vector):
            return ""
        old, wanted = (source.vcpu, source.vector), vector
        torn = not self.ways.remapping and not self.irq.maskable(source)
        vector = self.vectors.take(vcpu, source.vcpu if torn else None, wanted)
        if vector < 0:
            return f"vCPU {vcpu} has no free vector" if wanted < 0 else f"vector {wanted:#x} is not free on vCPU {vcpu}"
        self._bind(source, vcpu, vector)
        if torn:
            self._handlers[old[0], vector] = source     # half changed: the new vector at the old vCPU
        self._redirect(source)
        self._early = self.serve()
        if torn:
            del self._handlers[old[0], vector]
        self._unbind(*old)
        return ""

    def _redirect(self, source: Source) -> None:
        """With remapping the function does not notice; without it its message changes."""
        if self.ways.remapping:
            source.entry = self.ways.entry(source)
            self.driver(source).change(source.index, source.entry)
        elif source.kind == "pin":
            self.irq.write_pin(source.number, self.ways.redirection(source))
        else:
            self.irq.rewrite(source, *self.ways.message(source))

    # --- vCPUs off and on, and a sleep ---

    def cpu_off(self, vcpu: int) -> str:
        """Take a vCPU away; "" when done, else why the kernel refuses (what has been moved by then stays there).

        Each of its interrupts moves to the emptiest other vCPU, as Linux's `fixup_irqs` has it; then its local APIC is
        switched off. vCPU 0 stays: fault events go there.
        """
        if vcpu == 0:
            return "vCPU 0 stays: it has the fault events"
        if vcpu not in self.online:
            return self._unknown(vcpu) or f"vCPU {vcpu} is off"
        self._reach(each for each in self.online if each != vcpu)
        for source in {id(each): each for found in self.sources.values() for each in found}.values():
            target = self.vectors.emptiest()
            why = "" if source.vcpu != vcpu else self.affinity(source, target) if target >= 0 else "no vector is free"
            if why:
                self._reach(self.online)
                return why
        self.online.remove(vcpu)
        self.cpu.msr(vcpu, APIC_MSR["SVR"], _SPURIOUS)
        return ""

    def cpu_on(self, vcpu: int) -> str:
        """Start a vCPU again, by INIT and SIPI to its APIC ID; "" when done, else why not. Interrupts stay."""
        if why := self._unknown(vcpu) or (f"vCPU {vcpu} is on" if vcpu in self.online else ""):
            return why
        to = self.platform.apic_ids[vcpu]
        self.cpu.msr(0, APIC_MSR["ICR"], ICR.make(dest=to, dlm=Dlm.INIT, level=1))
        self.cpu.msr(0, APIC_MSR["ICR"], ICR.make(dest=to, dlm=Dlm.SIPI, level=1, vector=0x10))
        self._local_apic(vcpu)
        self.online.sort()
        self._reach(self.online)
        return ""

    def _unknown(self, vcpu: int) -> str:
        last = len(self.platform.apic_ids) - 1
        return "" if 0 <= vcpu <= last else f"vCPU {vcpu} is not there: the machine has 0 to {last}"

    def _reach(self, vcpus: Iterable[int]) -> None:
        """From now on interrupts go to these vCPUs, where they can."""
        self.vectors.limit([vcpu for vcpu in vcpus if not self.ways.refusal(vcpu)])

    def suspend(self) -> str:
        """Go to sleep: all vCPUs but the first off, pins masked, local APIC and units off; "" or why not.

        When a vCPU cannot be taken away, those that are off already come back, as in Linux's `suspend_enter`
        (kernel/power/suspend.c, label Enable_cpus).
        """
        if self._awake:
            return "the guest sleeps already"
        awake = list(self.online)
        for vcpu in reversed(awake[1:]):
            if why := self.cpu_off(vcpu):
                for each in awake[awake.index(vcpu) + 1:]:
                    self.cpu_on(each)
                return why
        self._awake = awake
        for gsi, source in self._pins.items():
            self.irq.mask_pin(gsi, self.ways.redirection(source))
        self.cpu.msr(0, APIC_MSR["SVR"], _SPURIOUS)
        for driver in self.units.drivers if self.ways.remapping else ():
            driver.suspend()
        return ""

    def resume(self) -> bool:
        """Wake up: the local APIC, the units as they were, pins, the other vCPUs; whether remapping is as it was.

        Interrupts that moved to vCPU 0 stay there, as Linux leaves those that nobody asks for again. A guest that does
        not sleep stays as it is.
        """
        if not self._awake:
            return True
        self.cpu.msr(0, APIC_MSR["SVR"], SVR.make(enable=1, vector=_SPURIOUS))
        answers = [driver.resume() for driver in self.units.drivers] if self.ways.remapping else []
        for gsi, source in self._pins.items():
            self.irq.write_pin(gsi, self.ways.redirection(source))
        for vcpu in self._awake[1:]:
            if vcpu not in self.online:
                self.cpu_on(vcpu)
        self._awake = []
        self._early = self.serve()
        return all(answers)

    # --- handlers ---

    def take(self, events: list[Event]) -> list[Taken]:
        """Serve the interrupts that arrived in the events of a command which the guest did not issue itself."""
        self.cpu.note(events)
        return self.serve()

    def serve(self) -> list[Taken]:
        """Every vCPU with something pending acknowledges, handles and ends it, until nothing is left."""
        taken, self._early = self._early, []
        arrived = self.cpu.arrived
        for _ in range(_STORM):
            if not arrived:
                return taken
            vcpu = next(iter(arrived))
            vector = self.cpu.acknowledge(vcpu)
            if vector < 0:
                del arrived[vcpu]
            else:
                taken.append(self._handle(vcpu, vector))
        self.log.append("irq: nobody cared: an interrupt storm")
        arrived.clear()
        return taken

    def _handle(self, vcpu: int, vector: int) -> Taken:
        """The handler of one interrupt: quiet the device, end it at the local APIC, then at the I/O APIC."""
        source = self._handlers.get((vcpu, vector))
        if source is None and vcpu == 0 and vector in self.fault_vectors:
            self.faults += self.units.drivers[self.fault_vectors[vector]].drain_faults()
        elif source is None:
            self.strays.append((vcpu, vector))
        for bdf in source.sharers if source else ():
            self.cpu.do(c.Intx(bdf, 0))
        if self.cpu.does("eoi"):
            self.cpu.msr(vcpu, APIC_MSR["EOI"], 0)
        if source and source.kind == "pin" and self.ways.remapping and self.cpu.does("ioapic-eoi"):
            self.irq.end_pin(source.number, source.index)
        return Taken(vcpu, vector, source)


def _checked(memory: int, platform: Platform) -> int:
    if memory <= 0 or memory % MIB:
        raise ValueError(f"memory is {memory:#x}; it must be a multiple of 1 MiB")
    if platform.dmar and memory + MEMORY > platform.ram_size:
        raise ValueError(f"ram_size is {platform.ram_size:#x}; the table, queue and status page at {memory:#x} need "
                         f"RAM up to {memory + MEMORY:#x}")
    return memory
