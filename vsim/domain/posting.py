"""A host whose unit posts: CPUs, vCPUs that its scheduler moves among them, a card whose messages are posted to them.

    host = Host()                                   # CPUs, a unit that posts, an entry and a descriptor for each vCPU
    host.run(0, cpu=2)
    host.fire(0)                                    # delivered in the guest, no exit
    host.preempt(0)
    host.fire(0)                                    # noted, nobody is told
    host.exits                                      # Counter of VM exits and host interrupts by cause

What happens is the machine's doing (`devices.posted`); this says it in words. Figures of costs are those of
`trace.ACTS`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vsim.devices import posted, viommu
from vsim.devices.posted import ACTIVE, WAKE_UP
from vsim.layouts.formats import IEC, IRTE_POSTED, PID, DescriptorType, remap_message
from vsim.layouts.given import whole
from vsim.layouts.registers import APIC_BASE_MSR, APIC_MSR, GCMD, IRTA, OFFSET
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Doing, Machine, Target
from vsim.state.profile import profile
from vsim.state.trace import ACTS, Act, Event, Trip

CARD = 0x0300
BASE, TABLE, QUEUE, DESCRIPTORS = 0xFED90000, 0x100000, 0x80000, 0x200000
CAUSES = {"external": "external interrupt", "woken": "wake-up", "ended": "EOI"}
"""Causes for which a guest is left or the host interrupted, by the field of a `Target` that counts them."""


@dataclass
class Vcpu:
    """A vCPU of the host. descriptor: address of its posted-interrupt descriptor. taken: its vectors, in order."""

    number: int
    descriptor: int
    taken: list[int] = field(default_factory=list)


class Host:
    """CPUs, a unit that posts, and vCPUs that are scheduled on them; entry n posts to vCPU n.

    m: the machine; its local APICs are those of the CPUs. ValueError for numbers out of bounds.
    """

    def __init__(self, cpus: int = 4, vcpus: int = 2, vector: int = 0x61) -> None:
        for name, number in (("cpus", cpus), ("vcpus", vcpus)):
            whole(name, number, 64, 1)
        base = profile("spec")
        self.m = Machine(base.with_capabilities(base.capabilities.having(posting=True)), cpus, 16 << 20)
        self.vcpus = [Vcpu(n, DESCRIPTORS + 64 * n) for n in range(vcpus)]
        self.entered = self._tail = 0
        self._set_up()
        for vcpu in self.vcpus:
            self.route(vcpu.number, vector)
            self._do(c.Schedule(vcpu.descriptor, 0, Doing.HALTED.value))

    # --- the unit ---

    def _do(self, command: c.Command) -> list[Event]:
        events = step(self.m, command)
        for event in events:
            if event.act == Act.VIRTUAL:
                next(each for each in self.vcpus if each.descriptor == event.low).taken.append(event.index)
        return events

    def _set_up(self) -> None:
        for cpu in range(self.m.vcpus):
            self._do(c.Msr(cpu, APIC_BASE_MSR, self.m.apic_base[cpu] | 0xC00))
            self._do(c.Msr(cpu, APIC_MSR["SVR"], 0x1FF))
        self._do(c.Domctl(viommu.create_op(version=self.m.profile.options.interface)))
        for name, width, value in (("IQA", 8, QUEUE), ("GCMD", 4, GCMD.make(qie=1)),
                                   ("IRTA", 8, IRTA.make(base=TABLE >> IRTA.base.low, eime=1, s=7)),
                                   ("GCMD", 4, GCMD.make(qie=1, sirtp=1)), ("GCMD", 4, GCMD.make(qie=1, ire=1))):
            self._do(c.Mmio(BASE + OFFSET[name], width, value))

    def route(self, number: int, vector: int, urgent: bool = False) -> None:
        """The card's message `number` is posted to that vCPU with this virtual vector."""
        entry = IRTE_POSTED.make(p=1, im=1, vector=vector, urg=int(urgent), svt=1, sid=CARD,
                                 pda=self.vcpus[number].descriptor >> 6)
        self._do(c.RamWrite(TABLE + 16 * number, entry.to_bytes(16, "little")))
        self._do(c.RamWrite(QUEUE + self._tail, IEC.make(type=DescriptorType.IEC).to_bytes(16, "little")))
        self._tail = (self._tail + 16) % 4096
        self._do(c.Mmio(BASE + OFFSET["IQT"], 8, self._tail))

    def descriptor(self, number: int) -> dict[str, int]:
        """The fields of a vCPU's descriptor."""
        return PID.split(posted.descriptor(self.m, self.vcpus[number].descriptor))

    def target(self, number: int) -> Target:
        """What the machine knows of a vCPU."""
        return self.m.targets[self.vcpus[number].descriptor]

    # --- the scheduler ---

    def run(self, number: int, cpu: int) -> list[int]:
        """The vCPU runs on a CPU: NDST and NV are set, SN cleared; what had been posted is taken. Its vectors.

        ValueError when another vCPU runs there.
        """
        vcpu, before = self.vcpus[number], len(self.vcpus[number].taken)
        busy = posted.on_cpu(self.m, cpu)
        if busy not in (-1, vcpu.descriptor):
            other = next(each for each in self.vcpus if each.descriptor == busy)
            raise ValueError(f"vCPU {other.number} runs on CPU {cpu}: preempt it first")
        self.entered += 1
        self._do(c.Schedule(vcpu.descriptor, cpu, Doing.RUNNING.value))
        return vcpu.taken[before:]

    def preempt(self, number: int) -> None:
        """The vCPU waits for a CPU: nobody needs to be told of what is posted to it (SN)."""
        self._do(c.Schedule(self.vcpus[number].descriptor, self.target(number).cpu, Doing.PREEMPTED.value))

    def halt(self, number: int) -> None:
        """The vCPU has nothing to do: whatever is posted wakes it, by the wake-up vector at the CPU where it ran."""
        self._do(c.Schedule(self.vcpus[number].descriptor, self.target(number).cpu, Doing.HALTED.value))

    # --- an interrupt ---

    def fire(self, number: int) -> str:
        """The card sends its message `number`; what became of it, in words."""
        vcpu = self.vcpus[number]
        taken = len(vcpu.taken)
        told = self._told(number, self._do(c.Msi(CARD, *remap_message(number))))
        if len(vcpu.taken) > taken:
            return f"vCPU {number} takes vector {vcpu.taken[-1]:#x}{', ' + told if told else ''}"
        return told or "posted; nobody is told"

    def _told(self, number: int, events: list[Event]) -> str:
        """Who was told, in words."""
        if any(event.act == Act.VM_EXIT and event.index == Trip.WAKE_UP for event in events):
            if self.target(number).doing == Doing.RUNNING:
                return "after the host was interrupted and ran it"
            return f"the host was interrupted; vCPU {number} waits for CPU {self.target(number).cpu}"
        synced = next((event for event in events if event.act == Act.SYNCED), None)
        if synced is None:
            return ""
        return "without an exit" if synced.low else "notification to a CPU that runs no such vCPU: " \
            "the host passes it over"

    def end(self, number: int) -> bool:
        """The vCPU's EOI; whether it left the guest for it. ValueError when it does not run."""
        if self.target(number).doing != Doing.RUNNING:
            raise ValueError(f"vCPU {number} does not run")
        return any(event.act == Act.VM_EXIT for event in self._do(c.VirtualEoi(self.vcpus[number].descriptor)))

    def watch_eoi(self, number: int, vector: int) -> None:
        """The vector's bit in the vCPU's EOI exit bitmap is set: its end leaves the guest."""
        self._do(c.EoiExit(self.vcpus[number].descriptor, vector, 1))

    @property
    def exits(self) -> Counter[str]:
        """Times that a guest was left, or the host interrupted, by cause; and "VM entry", counted to compare."""
        out = Counter({"VM entry": self.entered})
        for each in self.m.targets.values():
            out.update({cause: getattr(each, name) for name, cause in CAUSES.items()})
        return out

    @property
    def left(self) -> int:
        """How often a guest was left or the host interrupted; VM entries do not count."""
        return sum(count for cause, count in self.exits.items() if cause != "VM entry")

    @property
    def ns(self) -> int:
        """What that cost, in nanoseconds."""
        return self.left * ACTS[Act.VM_EXIT].ns


__all__ = ["ACTIVE", "WAKE_UP", "Host"]
