"""The processor's side of posting: what becomes of an interrupt once its bit is in a descriptor (SDM 30.1, 30.2, 30.6).

    host = Host()                                   # CPUs, a unit that posts, an entry and a descriptor for each vCPU
    host.run(0, cpu=2)
    host.fire(0)                                    # delivered in the guest, no exit
    host.preempt(0)
    host.fire(0)                                    # noted, nobody is told
    host.exits                                      # Counter of VM exits and host interrupts by cause

The local APICs of the machine are those of a host's CPUs. A vCPU that runs has its CPU in NDST, the active notification
vector in NV, and SN clear: the CPU takes the notification without leaving the guest. One that waits for a CPU has SN
set; one that has halted has the wake-up vector in NV, and the host is interrupted (VT-d 5.2.5). Figures of costs are
those of `trace.ACTS`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

from vsim.devices import viommu
from vsim.layouts.bits import get, put
from vsim.layouts.formats import IEC, IRTE_POSTED, PID, DescriptorType, remap_message
from vsim.layouts.registers import APIC_BASE_MSR, APIC_MSR, GCMD, IRTA, OFFSET
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import ACTS, Act, Event

ACTIVE, WAKE_UP = 0xF2, 0xF1
"""Notification vectors of the host: for a vCPU that runs, and for one that has halted."""
CARD = 0x0300
BASE, TABLE, QUEUE, DESCRIPTORS = 0xFED90000, 0x100000, 0x80000, 0x200000


class Where(IntEnum):
    """What a vCPU does."""

    RUNNING = 0
    PREEMPTED = 1
    HALTED = 2


def highest(bits: int) -> int:
    """The highest vector of a 256-bit register; 0 for none, as RVI and SVI have it."""
    return max(0, bits.bit_length() - 1)


@dataclass
class VirtualApic:
    """A vCPU's virtual-APIC page and guest interrupt status, as far as interrupts go.

    virr, visr, eoi_exit: 256 bits; rvi, svi: the highest requested and in service; vtpr: task priority.
    """

    virr: int = 0
    visr: int = 0
    rvi: int = 0
    svi: int = 0
    vtpr: int = 0
    eoi_exit: int = 0

    @property
    def vppr(self) -> int:
        """Processor priority (SDM 30.1.3)."""
        return self.vtpr if self.vtpr >> 4 >= self.svi >> 4 else self.svi & 0xF0

    @property
    def recognized(self) -> bool:
        """Whether a virtual interrupt is pending for delivery (SDM 30.2.1)."""
        return self.rvi >> 4 > self.vppr >> 4

    def request(self, bits: int) -> None:
        """Bits of PIR move to VIRR, and RVI follows (SDM 30.6, steps 5 and 6)."""
        self.virr |= bits
        self.rvi = max(self.rvi, highest(bits))

    def deliver(self) -> int:
        """The next virtual interrupt goes to the guest; its vector, -1 when none is recognized (SDM 30.2.2)."""
        if not self.recognized:
            return -1
        vector = self.rvi
        self.visr |= 1 << vector
        self.svi = vector
        self.virr &= ~(1 << vector)
        self.rvi = highest(self.virr)
        return vector

    def end(self) -> bool:
        """The guest's EOI; whether it leaves the guest, since the vector's bit is in the exit bitmap (SDM 30.1.4)."""
        vector = self.svi
        self.visr &= ~(1 << vector)
        self.svi = highest(self.visr)
        return bool(self.eoi_exit >> vector & 1)


@dataclass
class Vcpu:
    """A vCPU of the host. cpu: where it runs or ran last; descriptor: address of its posted-interrupt descriptor."""

    number: int
    cpu: int
    descriptor: int
    where: Where = Where.HALTED
    apic: VirtualApic = field(default_factory=VirtualApic)
    taken: list[int] = field(default_factory=list)


class Host:
    """CPUs, a unit that posts, and vCPUs that are scheduled on them; entry n posts to vCPU n.

    exits: times that a guest was left, or the host interrupted, by cause: "external interrupt", "wake-up", "EOI",
    "VM entry" (no exit: counted to compare). ns: what they cost by `trace.ACTS`. ValueError for numbers out of bounds.
    """

    def __init__(self, cpus: int = 4, vcpus: int = 2, vector: int = 0x61) -> None:
        if not 1 <= cpus <= 64 or not 1 <= vcpus <= 64:
            raise ValueError(f"{cpus} CPUs and {vcpus} vCPUs; the limit is 1 to 64 of each")
        base = profile("spec")
        self.m = Machine(base.with_capabilities(base.capabilities.having(posting=True)), cpus, 16 << 20)
        self.exits: Counter[str] = Counter()
        self.vcpus = [Vcpu(n, 0, DESCRIPTORS + 64 * n) for n in range(vcpus)]
        self._tail = 0
        self._set_up()
        for vcpu in self.vcpus:
            self.route(vcpu.number, vector)
            self._store(vcpu, PID.make(nv=WAKE_UP, ndst=self.m.apic_id[0]))

    # --- the unit ---

    def _do(self, command: c.Command) -> list[Event]:
        return step(self.m, command)

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
        return PID.split(self._load(self.vcpus[number]))

    def _load(self, vcpu: Vcpu) -> int:
        return int.from_bytes(self.m.ram.read(vcpu.descriptor, 64) or b"", "little")

    def _store(self, vcpu: Vcpu, value: int) -> None:
        self._do(c.RamWrite(vcpu.descriptor, value.to_bytes(64, "little")))

    def _change(self, vcpu: Vcpu, **fields: int) -> None:
        self._store(vcpu, PID.make(**{**PID.split(self._load(vcpu)), **fields}))

    # --- the scheduler ---

    def run(self, number: int, cpu: int) -> list[int]:
        """The vCPU runs on a CPU: NDST and NV are set, SN cleared; what had been posted is taken. Its vectors.

        ValueError when another vCPU runs there.
        """
        vcpu = self.vcpus[number]
        busy = self._on(cpu)
        if busy is not None and busy is not vcpu:
            raise ValueError(f"vCPU {busy.number} runs on CPU {cpu}: preempt it first")
        vcpu.cpu, vcpu.where = cpu, Where.RUNNING
        self._change(vcpu, ndst=self.m.apic_id[cpu], nv=ACTIVE, sn=0)
        self.exits["VM entry"] += 1
        return self._sync(vcpu)

    def preempt(self, number: int) -> None:
        """The vCPU waits for a CPU: nobody needs to be told of what is posted to it (SN)."""
        self._leave(number, Where.PREEMPTED, sn=1)

    def halt(self, number: int) -> None:
        """The vCPU has nothing to do: whatever is posted wakes it, by the wake-up vector at the CPU where it ran."""
        self._leave(number, Where.HALTED, sn=0, nv=WAKE_UP)

    def _leave(self, number: int, where: Where, **fields: int) -> None:
        self.vcpus[number].where = where
        self._change(self.vcpus[number], **fields)

    def _on(self, cpu: int) -> Vcpu | None:
        return next((each for each in self.vcpus if each.where == Where.RUNNING and each.cpu == cpu), None)

    # --- an interrupt ---

    def fire(self, number: int) -> str:
        """The card sends its message `number`; what became of it, in words."""
        vcpu = self.vcpus[number]
        taken = len(vcpu.taken)
        events = self._do(c.Msi(CARD, *remap_message(number)))
        told = [self._notified(event.node & 0xFFFFFF, event.index) for event in events if event.act == Act.ACCEPTED]
        if len(vcpu.taken) > taken:
            return f"vCPU {number} takes vector {vcpu.taken[-1]:#x}{', ' + told[0] if told else ''}"
        return "; ".join(told) or "posted; nobody is told"

    def _notified(self, cpu: int, vector: int) -> str:
        """A CPU takes a host vector: inside a guest as a notification, else as an interrupt of the host (SDM 30.6)."""
        self._do(c.Acknowledge(cpu))
        self._do(c.Msr(cpu, APIC_MSR["EOI"], 0))
        running = self._on(cpu)
        if running is not None and vector == ACTIVE:
            self._sync(running)
            return "without an exit"
        if running is not None:
            self.exits["external interrupt"] += 1
        if vector == WAKE_UP:
            return self._wake(cpu)
        return "notification to a CPU that runs no such vCPU: the host passes it over"

    def _wake(self, cpu: int) -> str:
        """The host looks for halted vCPUs with something posted, and makes them wait for a CPU; or runs one here."""
        for vcpu in self.vcpus:
            if vcpu.where == Where.HALTED and get(self._load(vcpu), PID.on):
                self.exits["wake-up"] += 1
                if self._on(cpu) is None:
                    self.run(vcpu.number, cpu)
                    return "after the host was interrupted and ran it"
                self.preempt(vcpu.number)
                return f"the host was interrupted; vCPU {vcpu.number} waits for CPU {cpu}"
        return "the host was interrupted for nothing"

    def _sync(self, vcpu: Vcpu) -> list[int]:
        """ON is cleared, PIR moves to VIRR, and the guest takes what its priority allows; the vectors."""
        value = self._load(vcpu)
        vcpu.apic.request(get(value, PID.pir))
        self._store(vcpu, put(put(value, PID.pir, 0), PID.on, 0))
        return self._take(vcpu)

    def _take(self, vcpu: Vcpu) -> list[int]:
        vectors = []
        while (vector := vcpu.apic.deliver()) >= 0:
            vectors.append(vector)
        vcpu.taken += vectors
        return vectors

    def end(self, number: int) -> bool:
        """The vCPU's EOI; whether it left the guest for it. ValueError when it does not run."""
        vcpu = self.vcpus[number]
        if vcpu.where != Where.RUNNING:
            raise ValueError(f"vCPU {number} does not run")
        left = vcpu.apic.end()
        self.exits["EOI"] += left
        self._take(vcpu)
        return left

    @property
    def left(self) -> int:
        """How often a guest was left or the host interrupted; VM entries do not count."""
        return sum(count for cause, count in self.exits.items() if cause != "VM entry")

    @property
    def ns(self) -> int:
        """What that cost, in nanoseconds."""
        return self.left * ACTS[Act.VM_EXIT].ns
