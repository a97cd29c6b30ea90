"""What lies between reset and the I/O APIC: the 8259 pair in virtual wire mode, and how a kernel leaves it.

The firmware leaves a PC as if it had one processor of the old kind (MP specification 1.4, 3.6.2.2 and A.3): the 8259
pair collects all lines, the bootstrap processor's local APIC hands its INTR on by LINT0 as ExtINT, LINT1 is the NMI. A
kernel that goes over to the I/O APICs masks both 8259 and LINT0, else a line would interrupt by two ways (3.6.2.3).
"""

from __future__ import annotations

from vsim.devices.vpic import PORTS
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import APIC_MSR, APIC_OFFSET, ICW1, ICW4, LVT_LINT, OCW2, SVR
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine

BASES = (0x08, 0x70)
"""Vectors of IRQ 0 and of IRQ 8, as the firmware of a PC sets them."""


def controllers(bases: tuple[int, int] = BASES, irqs: tuple[int, ...] = ()) -> list[c.Command]:
    """Initialize the pair: cascaded, 8086 mode, normal EOI. bases: multiples of 8; irqs: those that are not masked."""
    if any(base % 8 or not 0 <= base <= 0xF8 for base in bases):
        raise ValueError(f"bases is {bases}; allowed are multiples of 8 up to 0xf8")
    out = list[c.Command]()
    for chip, wiring in enumerate((0x04, 0x02)):
        words = (ICW1.make(init=1, ic4=1), bases[chip], wiring, ICW4.make(upm=1))
        out += [c.PortWrite(PORTS[2 * chip + (place > 0)], word) for place, word in enumerate(words)]
    return out + masks(irqs)


def masks(irqs: tuple[int, ...] = ()) -> list[c.Command]:
    """Mask all lines but these, 0 to 15, else ValueError; with one of the second 8259 the cascade is open, too."""
    if any(not 0 <= irq < 16 for irq in irqs):
        raise ValueError(f"irqs is {irqs}; the limit of each is 15")
    opened = {*irqs, *((2,) if any(irq > 7 for irq in irqs) else ())}
    mask = sum(1 << irq for irq in range(16) if irq not in opened)
    return [c.PortWrite(PORTS[1], mask & 0xFF), c.PortWrite(PORTS[3], mask >> 8)]


def virtual_wire(m: Machine, irqs: tuple[int, ...] = (0, 1), vcpu: int = 0) -> list[c.Command]:
    """What the firmware does on the bootstrap processor; irqs: the lines that it opens."""
    return [*controllers(irqs=irqs), register(m, vcpu, "SVR", SVR.make(enable=1, vector=0x0F)),
            register(m, vcpu, "LVT_LINT0", LVT_LINT.make(dlm=Dlm.EXTINT)),
            register(m, vcpu, "LVT_LINT1", LVT_LINT.make(dlm=Dlm.NMI))]


def symmetric(m: Machine, vcpu: int = 0) -> list[c.Command]:
    """What a kernel does before it uses the I/O APICs: no line comes by the 8259 any more."""
    return [*masks(), register(m, vcpu, "LVT_LINT0", LVT_LINT.make(dlm=Dlm.EXTINT, mask=1))]


def end(irq: int) -> list[c.Command]:
    """The EOI of an IRQ of the pair: at the second 8259 first, and at the first one for its cascade."""
    eoi = OCW2.make(command=1)
    return [c.PortWrite(port, eoi) for port in ((PORTS[2], PORTS[0]) if irq > 7 else (PORTS[0],))]


def register(m: Machine, vcpu: int, name: str, value: int) -> c.Command:
    """A write to a register of a vCPU's local APIC, by the way that its mode has."""
    if m.apic_mode[vcpu] == Apic.X2APIC:
        return c.Msr(vcpu, APIC_MSR[name], value)
    return c.ApicWrite(vcpu, APIC_OFFSET[name], value)
