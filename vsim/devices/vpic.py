"""The pair of 8259A interrupt controllers of a PC (its data sheet: ICW, OCW, "Interrupt Sequence").

The INT output of the second is input 2 of the first; that of the first, INTR (`Machine.intr`), goes to LINT0 of every
local APIC (MP specification 1.4, page 5-8). It says nothing before its initialization words are written. Left out:

- what other processors need (MCS-80 calls), and buffered mode: the mainboard has no buffers that SP/EN would turn;
- ICW3: the wiring is fixed, and a wrong word would only take it apart;
- the ELCR of later chip sets (ports 4D0h and 4D1h, 82371AB), by which PCI lines are levels at the 8259: here those go
  to the I/O APIC alone, and what comes by the 8259 is the mainboard's.

An input has to stay up until it is acknowledged, whether edges or levels count; else the controller answers with
IRQ 7, and 15 for the second, without an in-service bit (Intel386 EX manual, 9.4.3). How that comes about is a choice
here: INT, once up, stays up until an INTA, though its request has gone. In Xen (vpic.c) it falls with its request, and
there are no such interrupts. In QEMU (i8259.c) an edge stays requested when its line falls: a timer's pulse is taken
behind its end; what is masked is withdrawn, but the cascade stays requested at the first one, which gives IRQ 15. In
special fully nested mode a cascade in service holds back nothing there, and in special mask mode an EOI that names no
input may end a masked one. Xen's poll word (without bit 7, both controllers at once) is not modelled.
"""

from __future__ import annotations

from vsim.layouts.bits import get
from vsim.layouts.registers import ICW1, ICW2, ICW4, OCW2, OCW3
from vsim.state.arrays import PIC_BYTES, PIC_READY, Machine, Pic
from vsim.state.trace import Act, Drop, Kind, node

PORTS = (0x20, 0x21, 0xA0, 0xA1)
"""I/O ports: the even and the odd one of the first 8259, and of the second."""
CASCADE, SPURIOUS, NONE = 2, 7, 16
"""Input of the first at which the second is; input that a spurious interrupt looks like; no IRQ."""
TIMER_GSI = 2
"""Where IRQ 0 is wired to at the I/O APIC (A 7.3)."""
_FIRST = 0


def answers(m: Machine) -> bool:
    """Whether there is a pair: HVM domains have one, PVH and PV have none."""
    return m.profile.options.domain_type == "hvm"


def chip_of(port: int) -> int:
    """Which 8259, 0 or 1, one of `PORTS` belongs to."""
    return PORTS.index(port) >> 1


def ready(m: Machine) -> bool:
    """Whether the first one has had its initialization words."""
    return m.pic[_FIRST + Pic.STEP] == PIC_READY


def in_use(m: Machine) -> bool:
    """Whether a line could interrupt by it: there is a pair, and one of the two is ready with an input unmasked."""
    return answers(m) and any(m.pic[at + Pic.STEP] == PIC_READY and m.pic[at + Pic.IMR] != 0xFF
                              for at in (0, PIC_BYTES))


def ranked(m: Machine, chip: int) -> list[int]:
    """The inputs of an 8259, the highest priority first."""
    lowest = m.pic[PIC_BYTES * chip + Pic.LOWEST]
    return [lowest + 1 + place & 7 for place in range(8)]


def blocking(m: Machine, chip: int, asked: int) -> int:
    """The inputs in service that hold back what is asked for (a bit for each input): themselves, and all below them."""
    at = PIC_BYTES * chip
    out = m.pic[at + Pic.ISR]
    if m.pic[at + Pic.SPECIAL]:
        out &= ~m.pic[at + Pic.IMR]
    if not chip and get(m.pic[at + Pic.ICW4], ICW4.sfnm):
        out &= ~((0xFF if m.profile.options.pic == "qemu" else asked) & 1 << CASCADE)
    return out


def first(m: Machine, chip: int) -> int:
    """The input of an 8259 that may interrupt now, -1 for none: requested, not masked, above all in service."""
    at = PIC_BYTES * chip
    if m.pic[at + Pic.STEP] != PIC_READY:
        return -1
    asked = m.pic[at + Pic.IRR] & ~m.pic[at + Pic.IMR]
    blocked = blocking(m, chip, asked)
    for irq in ranked(m, chip):
        if blocked >> irq & 1:
            return -1
        if asked >> irq & 1:
            return irq
    return -1


def request(m: Machine) -> int:
    """The IRQ, 0 to 15, that an INTA would find now; `NONE` when there is none."""
    irq = first(m, 0)
    if irq != CASCADE or get(m.pic[Pic.ICW1], ICW1.sngl):
        return irq if irq >= 0 else NONE
    behind = first(m, 1)
    return 8 + behind if behind >= 0 else 8 + SPURIOUS


def _levels(m: Machine, at: int) -> int:
    """The inputs whose level counts, a bit for each: in Xen the cascade alone, whatever ICW1 says (its `elcr`)."""
    if m.profile.options.pic == "xen":
        return 0 if at else 1 << CASCADE
    return 0xFF if get(m.pic[at + Pic.ICW1], ICW1.ltim) else 0


def _input(m: Machine, at: int, irq: int, level: int) -> None:
    """An input changes: a rise is a request, a fall withdraws it (in QEMU where levels count alone)."""
    bit = 1 << irq
    was = m.pic[at + Pic.LINES]
    m.pic[at + Pic.LINES] = was | bit if level else was & ~bit
    if not level:
        if m.profile.options.pic != "qemu" or _levels(m, at):
            m.pic[at + Pic.IRR] &= ~bit
    elif not was & bit:
        m.pic[at + Pic.IRR] |= bit


def _output(m: Machine, chip: int) -> int:
    """INT of an 8259: up with a request; as the data sheet's, it stays up until an INTA."""
    at = PIC_BYTES * chip
    up = int(first(m, chip) >= 0)
    if m.profile.options.pic == "datasheet":
        up |= m.pic[at + Pic.OUT]
    m.pic[at + Pic.OUT] = up
    return up


def _settle(m: Machine) -> None:
    """The outputs follow what has changed; `lint.follow` tells of INTR."""
    if not get(m.pic[Pic.ICW1], ICW1.sngl):
        _input(m, _FIRST, CASCADE, _output(m, 1))
    m.intr = _output(m, 0)


def line_up(m: Machine, irq: int) -> bool:
    """Whether the line of an IRQ is up."""
    return bool(m.pic[PIC_BYTES * (irq >> 3) + Pic.LINES] >> (irq & 7) & 1)


def line(m: Machine, irq: int, level: int) -> None:
    """A device's line changes; IRQ 2 has none."""
    if irq == CASCADE:
        m.emit(node(Kind.VPIC), Act.DROPPED, Drop.NO_PIN, irq, level)
    elif line_up(m, irq) != bool(level):
        m.emit(node(Kind.VPIC, irq >> 3), Act.LINE, irq, level, level)
        _input(m, PIC_BYTES * (irq >> 3), irq & 7, level)
        _settle(m)


# --- what software does ---


def write(m: Machine, port: int, value: int) -> None:
    """A byte to one of `PORTS`."""
    chip = chip_of(port)
    at = PIC_BYTES * chip
    m.emit(node(Kind.VPIC, chip), Act.WRITTEN, port, value, 1)
    if port & 1:
        _write_odd(m, at, value)
    elif get(value, ICW1.init):
        _initialize(m, at, value)
    elif not m.pic[at + Pic.STEP]:
        pass    # it has no command words before its first initialization
    elif get(value, OCW3.kind):
        _write_ocw3(m, at, value)
    else:
        _write_ocw2(m, chip, value)
    _settle(m)


def _initialize(m: Machine, at: int, value: int) -> None:
    """ICW1: what was requested by an edge is forgotten, nothing is masked or in service, input 7 is the lowest."""
    lines = m.pic[at + Pic.LINES]
    for place in range(PIC_BYTES):
        m.pic[at + place] = 0
    m.pic[at + Pic.LINES], m.pic[at + Pic.ICW1] = lines, value
    m.pic[at + Pic.STEP], m.pic[at + Pic.LOWEST] = 2, 7
    m.pic[at + Pic.IRR] = lines & _levels(m, at)


def _write_odd(m: Machine, at: int, value: int) -> None:
    """The initialization word that is awaited, else OCW1, the mask."""
    step, icw1 = m.pic[at + Pic.STEP], m.pic[at + Pic.ICW1]
    if step == 2:
        m.pic[at + Pic.BASE] = value & ICW2.base.mask
    elif step == 4:
        m.pic[at + Pic.ICW4] = value
    elif step == PIC_READY:
        m.pic[at + Pic.IMR] = value
    rest = {2: (3, 4), 3: (4,)}.get(step, ())
    if step:
        wanted = {3: not get(icw1, ICW1.sngl), 4: bool(get(icw1, ICW1.ic4))}
        m.pic[at + Pic.STEP] = next((each for each in rest if wanted[each]), PIC_READY)


def _write_ocw3(m: Machine, at: int, value: int) -> None:
    """Special mask mode; what reads show."""
    if get(value, OCW3.esmm):
        m.pic[at + Pic.SPECIAL] = get(value, OCW3.smm)
    shown = m.pic[at + Pic.SHOWN] & 1
    if get(value, OCW3.rr):
        shown = get(value, OCW3.ris)
    m.pic[at + Pic.SHOWN] = shown | get(value, OCW3.poll) << 1


def _write_ocw2(m: Machine, chip: int, value: int) -> None:
    """EOI, and who has the lowest priority. Bit 0 of the command: EOI; 1: for the input named; 2: rotate."""
    at, command = PIC_BYTES * chip, get(value, OCW2.command)
    irq = get(value, OCW2.irq)
    if command in (0, 4):
        m.pic[at + Pic.ROTATES] = command >> 2
        return
    if command == 2:
        return
    if command in (1, 5):
        special = m.pic[at + Pic.SPECIAL] and m.profile.options.pic != "qemu"
        serving = m.pic[at + Pic.ISR] & ~(m.pic[at + Pic.IMR] if special else 0)
        irq = next((each for each in ranked(m, chip) if serving >> each & 1), -1)
    if irq >= 0 and command != 6:
        m.pic[at + Pic.ISR] &= ~(1 << irq)
        m.emit(node(Kind.VPIC, chip), Act.PIC_ENDED, 8 * chip + irq, m.pic[at + Pic.ISR])
    if irq >= 0 and command & 4:
        m.pic[at + Pic.LOWEST] = irq


def value(m: Machine, port: int) -> int:
    """What a read of one of `PORTS` gives: the mask at the odd ones; IRR or ISR at the even ones; or the poll word."""
    chip = chip_of(port)
    at = PIC_BYTES * chip
    shown = m.pic[at + Pic.SHOWN]
    if shown & 2:
        irq = first(m, chip)
        return 0x80 | irq if irq >= 0 else 0
    return m.pic[at + (Pic.IMR if port & 1 else Pic.ISR if shown else Pic.IRR)]


def after_read(m: Machine, port: int) -> None:
    """A read in poll mode acknowledges the input that it showed."""
    chip = chip_of(port)
    if m.pic[PIC_BYTES * chip + Pic.SHOWN] & 2:
        m.pic[PIC_BYTES * chip + Pic.SHOWN] &= 1
        _acknowledge(m, chip)
        _settle(m)


# --- what the processor does ---


def _acknowledge(m: Machine, chip: int) -> int:
    """An 8259 sees an INTA: its first request goes into service. The input, `SPURIOUS` when there is none any more.

    INT falls, so that what waits behind at the second is an edge for the first one; in QEMU and Xen it stays up.
    """
    at, irq = PIC_BYTES * chip, first(m, chip)
    m.pic[at + Pic.OUT] = 0
    if chip and m.profile.options.pic == "datasheet":
        _input(m, _FIRST, CASCADE, 0)
    if irq < 0:
        return SPURIOUS
    m.pic[at + Pic.IRR] &= ~(1 << irq) | _levels(m, at)
    if not get(m.pic[at + Pic.ICW4], ICW4.aeoi):
        m.pic[at + Pic.ISR] |= 1 << irq
    elif m.pic[at + Pic.ROTATES]:
        m.pic[at + Pic.LOWEST] = irq
    return irq


def inta(m: Machine) -> int:
    """An interrupt-acknowledge cycle: the vector that the pair puts on the bus."""
    found, chip = first(m, 0) >= 0, 0
    irq = _acknowledge(m, 0)
    if found and irq == CASCADE and not get(m.pic[Pic.ICW1], ICW1.sngl):
        found, chip = first(m, 1) >= 0, 1
        irq = _acknowledge(m, 1)
    vector = m.pic[PIC_BYTES * chip + Pic.BASE] | irq
    m.emit(node(Kind.VPIC, chip), Act.INTA, vector, 8 * chip + irq, int(not found))
    _settle(m)
    return vector
