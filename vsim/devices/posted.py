"""The processor's side of posting: vCPUs of a host on its CPUs (SDM 30.1, 30.2, 30.6; VT-d 5.2.5).

A machine that has such vCPUs stands for a host: its local APICs are those of the host's CPUs. Each of these vCPUs, a
*target*, belongs to the posted-interrupt descriptor at its address. One that runs has its CPU in NDST, the active
notification vector in NV, and SN clear: the CPU takes the notification without leaving the guest. One that waits for a
CPU has SN set; one that has halted has the wake-up vector in NV, and the host is interrupted.

`settle` ends every command of such a machine: a CPU that can take one of the two vectors does so at once. Any other
interrupt that a CPU takes while a target runs there leaves the guest (`taken`). Left out: the task priority of the
target, which is 0, and what else leaves a guest.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsim.devices import vlapic
from vsim.devices.checks import MODE_BIT
from vsim.layouts.bits import get, put
from vsim.layouts.formats import PID
from vsim.state.arrays import DESCRIPTOR_BYTES, MOST_TARGETS, Doing, Latch, Machine, Target
from vsim.state.trace import Act, Drop, Kind, Trip, node

ACTIVE, WAKE_UP = 0xF2, 0xF1
"""Notification vectors of the host: for a target that runs, and for one that has halted."""


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


def virtual_apic(target: Target) -> VirtualApic:
    """A target's virtual APIC, to be changed at will."""
    return VirtualApic(target.virr, target.visr, highest(target.virr), highest(target.visr), 0, target.eoi_exit)


def _keep(m: Machine, address: int, apic: VirtualApic) -> None:
    m.targets[address] = m.targets[address]._replace(virr=apic.virr, visr=apic.visr, eoi_exit=apic.eoi_exit)


def descriptor(m: Machine, address: int) -> int:
    """The descriptor in memory, 512 bits; 0 where memory ends."""
    return int.from_bytes(m.ram.read(address, DESCRIPTOR_BYTES) or b"", "little")


def on_cpu(m: Machine, cpu: int) -> int:
    """The address of the descriptor whose target runs on a CPU, -1 for none."""
    return next((address for address, each in m.targets.items()
                 if each.cpu == cpu and each.doing == Doing.RUNNING), -1)


def _leave(m: Machine, address: int, cpu: int, why: Trip) -> None:
    """A guest is left, or the host interrupted, because of a target."""
    each = m.targets[address]
    field = {Trip.EXTERNAL: "external", Trip.WAKE_UP: "woken", Trip.EOI: "ended"}[why]
    m.targets[address] = each._replace(**{field: getattr(each, field) + 1})
    m.emit(node(Kind.VLAPIC, cpu), Act.VM_EXIT, why, address)


# --- the scheduler ---


def schedule(m: Machine, address: int, cpu: int, doing: int) -> None:
    """A target runs on a CPU (whoever runs there waits then), waits for it, or has halted.

    A target with something posted does not halt: it waits.
    """
    here, known = node(Kind.VLAPIC, cpu), address in m.targets
    full = not known and len(m.targets) >= MOST_TARGETS
    if full or address % DESCRIPTOR_BYTES or m.ram.read(address, DESCRIPTOR_BYTES) is None:
        m.emit(here, Act.DROPPED, Drop.UNCLAIMED, address)
        return
    other = on_cpu(m, cpu)
    if doing == Doing.RUNNING and other not in (-1, address):
        schedule(m, other, cpu, Doing.PREEMPTED)
    value = descriptor(m, address)
    if doing == Doing.HALTED and get(value, PID.pir):
        doing = Doing.PREEMPTED
    m.targets[address] = (m.targets[address] if known else Target())._replace(cpu=cpu, doing=int(doing))
    wide = m.live() and m.latch[Latch.MODE] & MODE_BIT["eime"]
    value = put(value, PID.ndst, m.apic_id[cpu] if wide else (m.apic_id[cpu] & 0xFF) << 8)
    value = put(value, PID.nv, WAKE_UP if doing == Doing.HALTED else ACTIVE)
    _store(m, address, put(value, PID.sn, int(doing == Doing.PREEMPTED)))
    m.emit(here, Act.SCHEDULED, int(doing), address, cpu)
    if doing == Doing.RUNNING:
        _sync(m, address)


def _store(m: Machine, address: int, value: int) -> None:
    m.ram.write(address, value.to_bytes(DESCRIPTOR_BYTES, "little"))


# --- notifications ---


def settle(m: Machine) -> None:
    """CPUs of targets take the two notification vectors as soon as nothing holds them back."""
    for cpu in sorted({each.cpu for each in m.targets.values()}):
        while (vector := vlapic.pending(m, cpu)) in (ACTIVE, WAKE_UP):
            vlapic.clear(m.irr, cpu, vector)
            _notified(m, cpu, vector)


def _notified(m: Machine, cpu: int, vector: int) -> None:
    """Inside a guest the active vector is a notification and nothing else; else the host is interrupted (SDM 30.6)."""
    running = on_cpu(m, cpu)
    if running >= 0 and vector == ACTIVE:
        _sync(m, running)
    elif vector == ACTIVE:
        m.emit(node(Kind.VLAPIC, cpu), Act.SYNCED)
    else:
        if running >= 0:
            _leave(m, running, cpu, Trip.EXTERNAL)
        _wake(m, cpu)


def _wake(m: Machine, cpu: int) -> None:
    """The host looks for halted targets of the CPU with something posted: they run there, or wait for it."""
    for address, each in list(m.targets.items()):
        if each.cpu == cpu and each.doing == Doing.HALTED and get(descriptor(m, address), PID.on):
            _leave(m, address, cpu, Trip.WAKE_UP)
            schedule(m, address, cpu, Doing.RUNNING if on_cpu(m, cpu) < 0 else Doing.PREEMPTED)


def _sync(m: Machine, address: int) -> None:
    """ON is cleared, PIR moves to VIRR, and the guest takes what its priority allows."""
    value, apic, cpu = descriptor(m, address), virtual_apic(m.targets[address]), m.targets[address].cpu
    posted = int(get(value, PID.pir))
    if posted or get(value, PID.on):
        _store(m, address, put(put(value, PID.pir, 0), PID.on, 0))
        apic.request(posted)
        m.emit(node(Kind.VLAPIC, cpu), Act.SYNCED, apic.rvi, address, posted.bit_count())
    _deliver(m, address, apic)


def _deliver(m: Machine, address: int, apic: VirtualApic) -> None:
    while (vector := apic.deliver()) >= 0:
        m.emit(node(Kind.VLAPIC, m.targets[address].cpu), Act.VIRTUAL, vector, address)
    _keep(m, address, apic)


# --- what the guest and its hypervisor do ---


def end(m: Machine, address: int) -> None:
    """A target that runs writes EOI: by the processor alone, or by an exit, as the exit bitmap says."""
    each = m.targets.get(address)
    if each is None or each.doing != Doing.RUNNING:
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.NO_TARGET, address)
        return
    apic = virtual_apic(each)
    vector, left = apic.svi, apic.end()
    if not vector:
        return
    m.emit(node(Kind.VLAPIC, each.cpu), Act.VIRTUAL_ENDED, vector, address, int(left))
    _keep(m, address, apic)
    if left:
        _leave(m, address, each.cpu, Trip.EOI)
    _deliver(m, address, apic)


def watch_eoi(m: Machine, address: int, vector: int, exits: int) -> None:
    """A bit of the EOI exit bitmap of a target."""
    if address not in m.targets:
        m.emit(node(Kind.XEN), Act.DROPPED, Drop.NO_TARGET, address)
        return
    apic = virtual_apic(m.targets[address])
    apic.eoi_exit = apic.eoi_exit & ~(1 << vector) | exits << vector
    _keep(m, address, apic)


def taken(m: Machine, cpu: int) -> None:
    """A CPU is about to take an interrupt of the host: that leaves the guest that runs there."""
    running = on_cpu(m, cpu)
    if running >= 0 and (vlapic.pending(m, cpu) >= 0 or (m.nmi[cpu] and not m.in_nmi[cpu])):
        _leave(m, running, cpu, Trip.EXTERNAL)
