"""vCPUs that take interrupts and run handlers, for the tests of what interrupts do."""

from vsim.devices import vioapic, vlapic_regs
from vsim.layouts.formats import RTE, msi_message
from vsim.layouts.registers import APIC_OFFSET, ICR
from vsim.machine import read, step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import profile
from vsim.state.trace import Act

X2APIC_ON = 0xFEE00C00
ENABLE = 0x100


def machine(vcpus=4, name="spec", quirks=(), **options):
    """vCPUs with software-enabled xAPICs and IDs that are their numbers; no remapping unit."""
    m = Machine(profile(name).with_options(**{"apic_id_step": 1, **options}).with_quirks(*quirks), vcpus, 1 << 20)
    for vcpu in range(vcpus):
        write(m, vcpu, "SVR", ENABLE | 0xFF)
    return m


def write(m, vcpu, register, value):
    """A write through the xAPIC window."""
    return step(m, c.ApicWrite(vcpu, APIC_OFFSET[register], value))


def window(m, vcpu, register):
    return vlapic_regs.window_read(m, vcpu, APIC_OFFSET[register])


def msr(m, vcpu, register, value):
    """A write of an x2APIC register by name, or of an MSR by number."""
    index = register if isinstance(register, int) else 0x800 + APIC_OFFSET[register] // 16
    return step(m, c.Msr(vcpu, index, value))


def refused(events):
    """Whether the guest got #GP."""
    return any(e.act == Act.REFUSED and e.high == 13 for e in events)


def x2apic(m, *vcpus):
    """Switch these vCPUs (all by default) to x2APIC mode."""
    for vcpu in vcpus or range(m.vcpus):
        assert not refused(msr(m, vcpu, 0x1B, X2APIC_ON | m.apic_base[vcpu] & 0x100))
    return m


def ipi(m, vcpu, dest=0, **fields):
    """Send an IPI in the way of the sender's mode."""
    if m.apic_mode[vcpu] == 2:
        return msr(m, vcpu, "ICR", ICR.make(dest=dest, **fields))
    return [*write(m, vcpu, "ICR_HIGH", dest << 24), *write(m, vcpu, "ICR", ICR.make(**fields))]


def reached(events):
    """The vCPUs that accepted, in order, each as often as it did."""
    return [e.node & 0xFFFFFF for e in events if e.act in (Act.ACCEPTED, Act.MERGED)]


def signalled(events):
    """(vCPU, delivery mode, vector) of what bypassed IRR."""
    return [(e.node & 0xFFFFFF, e.index, e.low) for e in events if e.act == Act.SIGNALLED]


def errors(events):
    """The ESR bits that were noted."""
    return [e.index for e in events if e.act == Act.APIC_ERROR]


def acknowledge(m, vcpu):
    """The vector that the vCPU takes, None when there is none; "spurious" when it is held back."""
    for event in step(m, c.Acknowledge(vcpu)):
        if event.act in (Act.TAKEN, Act.SPURIOUS):
            return event.index if event.act == Act.TAKEN else "spurious"
    return None


def eoi(m, vcpu):
    return msr(m, vcpu, "EOI", 0) if m.apic_mode[vcpu] == 2 else write(m, vcpu, "EOI", 0)


def serve(m, vcpu=0, handler=lambda vector: None, limit=20):
    """Take and end interrupts until none is left; the vectors in order. `limit` turns a storm into a failure."""
    vectors = []
    while isinstance(vector := acknowledge(m, vcpu), int):
        vectors.append(vector)
        assert len(vectors) <= limit, "the interrupt never stops"
        handler(vector)
        eoi(m, vcpu)
    return vectors


# --- the I/O APIC ---


def ioapic_write(m, index, value):
    step(m, c.Mmio(vioapic.BASE, 4, index))
    return step(m, c.Mmio(vioapic.BASE + vioapic.WINDOW, 4, value))


def ioapic_read(m, index):
    step(m, c.Mmio(vioapic.BASE, 4, index))
    return read(m, vioapic.BASE + vioapic.WINDOW, 4)


def entry(m, pin, value=None, **fields):
    """Write a redirection entry, the high half first."""
    value = RTE.make(**fields) if value is None else value
    return ioapic_write(m, 0x11 + 2 * pin, value >> 32) + ioapic_write(m, 0x10 + 2 * pin, value & 0xFFFFFFFF)


def low(m, pin):
    """The low half of a redirection entry."""
    return ioapic_read(m, 0x10 + 2 * pin)


def remote_irr(m, pin):
    return low(m, pin) >> 14 & 1


def line(m, pin, *levels):
    """Set a pin's level, or one level after another; the events of all."""
    return [event for level in levels for event in step(m, c.Pin(pin, level))]


def ioapic_eoi(m, vector):
    return step(m, c.Mmio(vioapic.BASE + vioapic.EOI, 4, vector))


# --- messages ---


def message(m, dest, vector, **fields):
    """A device's message; there is no remapping unit on its way."""
    address, data = msi_message(dest, vector, **fields)
    return step(m, c.Msi(0x18, address, data))


def drops(events):
    """Why something went no further, in order."""
    return [e.index for e in events if e.act == Act.DROPPED]
