"""Local APICs: accepting, priorities, acknowledge and EOI (SDM 11; A 3, 4). Registers are in `vlapic_regs`.

Stages take the arrays that they touch: `irr`, `isr` and `tmr` hold eight 32-bit words per vCPU, vector v at bit v % 32
of word 8 * vcpu + v // 32.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from vsim.devices import crowd, routes, vpic
from vsim.devices.crowd import Crowd
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import APIC_BASE, ESR, LVT_LINT, SVR
from vsim.state import xen_quirks
from vsim.state.arrays import LVT_LINT0, LVTS, Apic, Machine
from vsim.state.profile import DISABLED_TAKES, LOW_VECTORS_TAKEN, LOWEST_IS_FIRST, RH_IGNORED
from vsim.state.trace import Act, Drop, Kind

MESSAGE_RESERVED, IPI_RESERVED = (3, 6), (3, 7)
"""Delivery modes that no message, and no interrupt command, can have: 6 is SIPI, 7 is ExtINT."""
NMI_VECTOR = 2
"""Exception vector of an NMI; its own vector field is ignored (SDM 11.8.4)."""
LVT_ERROR_PLACE = 5
"""Place of the error entry among a unit's local vector table entries."""
_PIN_IRR = LVT_LINT.irr.mask
_SVR_ENABLE, _SVR_SUPPRESS = SVR.enable.mask, SVR.suppress.mask
_VLAPIC = int(Kind.VLAPIC) << 24
# As plain ints: members of an enumeration are slow to look up, and this is done for every interrupt.
_ACCEPTED, _MERGED, _LOWEST, _OFF = int(Act.ACCEPTED), int(Act.MERGED), int(Dlm.LOWEST), int(Apic.DISABLED)


def accept(irr: array[int], tmr: array[int], vcpu: int, vector: int, level: int) -> bool:
    """Set IRR[vector], and TMR as the trigger says; True when IRR was clear, False when the interrupt merged."""
    at = 8 * vcpu + (vector >> 5)
    bit = 1 << (vector & 31)
    if level:
        tmr[at] = tmr[at] | bit
    else:
        tmr[at] = tmr[at] & ~bit
    if irr[at] & bit:
        return False
    irr[at] = irr[at] | bit
    return True


def highest(words: array[int], vcpu: int) -> int:
    """The highest vector set in one vCPU's 256 bits, -1 when none."""
    for word in range(7, -1, -1):
        value = words[8 * vcpu + word]
        if value:
            return 32 * word + value.bit_length() - 1
    return -1


def ppr_of(tpr: int, in_service: int) -> int:
    """Processor priority from TPR and the highest vector in service, -1 for none (SDM 11.8.3.1)."""
    if in_service < 0 or tpr & 0xF0 >= in_service & 0xF0:
        return tpr
    return in_service & 0xF0


def offered(irr: array[int], isr: array[int], tpr: int, vcpu: int) -> int:
    """The vector that a vCPU would take now, -1 when none is pending or all are held back by PPR."""
    vector = highest(irr, vcpu)
    if vector < 0 or vector & 0xF0 <= ppr_of(tpr, highest(isr, vcpu)) & 0xF0:
        return -1
    return vector


def take(irr: array[int], isr: array[int], vcpu: int, vector: int) -> None:
    """The vCPU takes a vector: from IRR to ISR."""
    at, bit = 8 * vcpu + (vector >> 5), 1 << (vector & 31)
    irr[at] = irr[at] & ~bit
    isr[at] = isr[at] | bit


def clear(words: array[int], vcpu: int, vector: int) -> None:
    """Clear the bit of a vector."""
    at = 8 * vcpu + (vector >> 5)
    words[at] = words[at] & ~(1 << (vector & 31))


def is_set(words: array[int], vcpu: int, vector: int) -> bool:
    """Whether the bit of a vector is set."""
    return words[8 * vcpu + (vector >> 5)] >> (vector & 31) & 1 == 1


def arrival(low: int, upper: int, data: int, ext_dest: int) -> tuple[int, int, int, int, int, int, int]:
    """A message's fields: (destination, logical, delivery mode, hint, level, vector, narrow); arrays do as well.

    upper: address bits 63:32, whose bits 31:8 are those of the destination; 0 makes the message narrow: 8 bits of
    destination, or 15 where the extended destination ID is offered (ext_dest = 1) and the format bit is 0 (V 11).
    """
    narrow = (upper == 0) * 1
    extended = narrow * ext_dest * (1 - (low >> 4 & 1))
    destination = low >> 12 & 0xFF | upper & 0xFFFFFF00 | (low << 3 & 0x7F00) * extended
    return destination, low >> 2 & 1, data >> 8 & 7, low >> 3 & 1, data >> 15 & 1, data & 0xFF, narrow


def least(ready: Sequence[int], first: int, count: int, last: int, tpr: array[int], isr: array[int]) -> int:
    """The vCPU of ready[first : first + count] with the lowest PPR; among equals the next one behind `last` (A 6.1)."""
    best = -1
    for place in range(first, first + count):
        vcpu = ready[place]
        rank = ppr_of(tpr[vcpu], highest(isr, vcpu)) << 17 | (vcpu <= last) << 16 | vcpu
        if best < 0 or rank < best:
            best = rank
    return best & 0xFFFF


def ppr(m: Machine, vcpu: int) -> int:
    """The processor priority register of a vCPU."""
    return ppr_of(m.tpr[vcpu], highest(m.isr, vcpu))


def pending(m: Machine, vcpu: int) -> int:
    """The vector that the vCPU would take now, -1 when none is pending or all are held back by PPR."""
    return offered(m.irr, m.isr, m.tpr[vcpu], vcpu)


def enabled(m: Machine, vcpu: int) -> bool:
    """Whether the unit takes fixed interrupts: on in APIC_BASE, and by software in SVR (SDM 11.4.7.2)."""
    if m.apic_mode[vcpu] == _OFF:
        return False
    return bool(m.svr[vcpu] & _SVR_ENABLE or m.quirks & DISABLED_TAKES)


# --- messages ---


def receive(m: Machine, address: int, data: int) -> list[int]:
    """Hand a message to the local APICs: fields as in a compatibility MSI, destination 31:8 in address 63:40.

    Returns the vCPUs that took it (a vector accepted or merged, or a signal).
    """
    return deliver(m, *arrival(address & 0xFFFFFFFF, address >> 32, data, m.profile.options.ext_dest))


def deliver(m: Machine, destination: int, logical: int, mode: int, hint: int, level: int, vector: int,
            narrow: int = 0) -> list[int]:
    """Deliver to every match, or to one of them for lowest priority or a redirection hint (A 6.1)."""
    targets = routes.match(m, destination, logical, narrow)
    return hand_to(m, targets, destination, mode, hint & logical, level, vector)


def hand_to(m: Machine, targets: list[int], destination: int, mode: int, share: int, level: int, vector: int,
            reserved: tuple[int, int] = MESSAGE_RESERVED) -> list[int]:
    """Hand an interrupt to these units, each if it is enabled; share: to one of them. reserved: unknown modes."""
    if mode > 1:
        return _signal_all(m, targets, mode, vector, destination, reserved)
    fixed_to_all = m.quirks & xen_quirks.DELIVER_DISABLED and mode == Dlm.FIXED
    ready = targets if fixed_to_all else ready_of(m, targets)
    alone = mode == _LOWEST and len(ready) == 1 and m.profile.options.model != "vtd"     # Xen remembers it too
    if alone or (len(ready) > 1 and (mode == _LOWEST or (share and not m.quirks & RH_IGNORED))):
        ready = [arbitrate(m, ready)]
    for part in ready.parts() if type(ready) is Crowd and not m.room else (ready,):
        for vcpu in _taken_together(m, part, vector, level) if type(part) is Crowd and not m.room else part:
            take_in(m, vcpu, vector, level, destination)
    if not ready:
        m.nobody += 1
        m.emit(_VLAPIC | (targets[0] if targets else 0), Act.DROPPED, Drop.DISABLED if targets else Drop.NOBODY,
               destination, vector)
    return ready


def ready_of(m: Machine, targets: list[int]) -> list[int]:
    """Those of the targets that take fixed interrupts."""
    return targets.ready(m) if type(targets) is Crowd else [vcpu for vcpu in targets if enabled(m, vcpu)]


def _taken_together(m: Machine, who: Crowd, vector: int, level: int) -> list[int]:
    """A crowd takes a vector while nobody looks; the members that have to be asked by themselves."""
    if vector < 16 and not m.quirks & LOW_VECTORS_TAKEN:
        return crowd.noted(m, who, ESR.receive_illegal.mask)
    crowd.accept(m, who, vector, level, bool(m.quirks & xen_quirks.TMR_STICKY))
    return []


def arbitrate(m: Machine, ready: list[int]) -> int:
    """The winner among several: lowest PPR, first found behind the last winner (A 6.1)."""
    if m.quirks & LOWEST_IS_FIRST:
        return ready[0]
    if type(ready) is Crowd:
        ranks = routes.of(m).ranks
        ranks.update(m, ppr)
        winner = crowd.next_after(ready.calmest(ranks), m.winner)
    else:
        winner = least(ready, 0, len(ready), m.winner, m.tpr, m.isr)
    m.winner = winner & 0xFF if m.quirks & xen_quirks.RR_U8 else winner
    return winner


def take_in(m: Machine, vcpu: int, vector: int, level: int, destination: int) -> None:
    """A fixed interrupt arrives at one unit: accepted, merged, or an illegal vector (SDM 11.5.3)."""
    here = _VLAPIC | vcpu
    if m.quirks & xen_quirks.TMR_STICKY and not level:
        level = int(is_set(m.tmr, vcpu, vector))
    if vector < 16 and not m.quirks & LOW_VECTORS_TAKEN:
        error(m, vcpu, ESR.receive_illegal.mask, vector)
    elif accept(m.irr, m.tmr, vcpu, vector, level):
        m.emit(here, _ACCEPTED, vector, level, destination)
    else:
        m.emit(here, _MERGED, vector, level, destination)


def _signal_all(m: Machine, targets: list[int], mode: int, vector: int, destination: int,
                reserved: tuple[int, int]) -> list[int]:
    if mode in reserved:
        m.emit(_VLAPIC | (targets[0] if targets else 0), Act.DROPPED, Drop.MODE, destination, vector)
        return []
    for part in targets.parts() if type(targets) is Crowd and not m.room else (targets,):
        if type(part) is Crowd and not m.room:
            _signalled_together(m, part, mode)
        else:
            for vcpu in part:
                signal(m, vcpu, mode, vector, destination)
    if not targets:
        m.emit(_VLAPIC, Act.DROPPED, Drop.NOBODY, destination, vector)
    return targets


def signal(m: Machine, vcpu: int, mode: int, vector: int, destination: int) -> None:
    """NMI, SMI, INIT, SIPI or ExtINT at one unit: past IRR, ISR and PPR (SDM 11.8.4)."""
    if mode == Dlm.SIPI and not m.waiting[vcpu]:
        m.emit(_VLAPIC | vcpu, Act.DROPPED, Drop.NOT_WAITING, destination, vector)
        return
    m.emit(_VLAPIC | vcpu, Act.SIGNALLED, mode, vector, destination)
    if mode == Dlm.NMI:
        m.nmi[vcpu] = 1
    elif mode == Dlm.INIT:
        reset(m, vcpu)
        m.waiting[vcpu] = int(not m.apic_base[vcpu] & APIC_BASE.bsp.mask)
    elif mode == Dlm.SIPI:
        m.waiting[vcpu] = 0
    elif mode == Dlm.EXTINT and _fetches(m):
        m.extint[vcpu] = 1


def _fetches(m: Machine) -> bool:
    """Whether a message of ExtINT makes a vCPU fetch its vector: from an 8259 that was set up; emulators ignore it."""
    return vpic.ready(m) and m.profile.options.pic == "datasheet"


def _signalled_together(m: Machine, who: Crowd, mode: int) -> None:
    """NMI, SMI, INIT, SIPI or ExtINT at every member while nobody looks."""
    if mode == Dlm.SIPI:
        crowd.start(m, who)
        return
    m.unseen(Act.SIGNALLED, len(who))
    if mode == Dlm.INIT:
        _reset_together(m, who)
    elif mode == Dlm.NMI:
        crowd.interrupt_all(m, who, "nmi")
    elif mode == Dlm.EXTINT and _fetches(m):
        crowd.interrupt_all(m, who, "extint")


def error(m: Machine, vcpu: int, bit: int, about: int) -> None:
    """Note an ESR error; a newly noted one raises the error LVT when it is unmasked (SDM 11.5.3)."""
    m.emit(_VLAPIC | vcpu, Act.APIC_ERROR, bit, about)
    if m.esr_pending[vcpu] & bit:
        return
    m.esr_pending[vcpu] |= bit
    lvt = m.lvt[LVTS * vcpu + LVT_ERROR_PLACE]
    if lvt & 0x10000 or not enabled(m, vcpu):
        return
    if lvt & 0xFF < 16:
        m.esr_pending[vcpu] |= ESR.receive_illegal.mask
    else:
        take_in(m, vcpu, lvt & 0xFF, 0, m.apic_id[vcpu])


# --- the processor's side ---


def acknowledge(m: Machine, vcpu: int) -> int:
    """The vCPU takes what is most urgent: an NMI, else its highest vector (IRR to ISR).

    Returns the vector, -1 when there is none, the spurious vector when all are held back.
    """
    if m.nmi[vcpu] and not m.in_nmi[vcpu]:
        m.nmi[vcpu], m.in_nmi[vcpu] = 0, 1
        m.emit(_VLAPIC | vcpu, Act.TAKEN, NMI_VECTOR, Dlm.NMI)
        return NMI_VECTOR
    if m.apic_mode[vcpu] == Apic.DISABLED:
        return -1
    vector = pending(m, vcpu)
    if vector >= 0:
        take(m.irr, m.isr, vcpu, vector)
        m.emit(_VLAPIC | vcpu, Act.TAKEN, vector)
        return vector
    if highest(m.irr, vcpu) < 0:
        return -1
    m.emit(_VLAPIC | vcpu, Act.SPURIOUS, m.svr[vcpu] & 0xFF)
    return m.svr[vcpu] & 0xFF


def serve(m: Machine, vcpu: int, awaited: set[int]) -> int:
    """Take and end while nobody looks what a vCPU is offered, the highest first; how many.

    It goes as far down as the first vector whose EOI a level pin waits for, its own or one of `awaited`, to which no
    EOI comes from a vCPU that suppresses its broadcast. What is taken is above everything in service, so that each EOI
    ends the vector just taken.
    """
    if m.nmi[vcpu] and not m.in_nmi[vcpu]:
        return 0
    floor = (ppr(m, vcpu) | 0xF) + 1
    pins = LVTS * vcpu + LVT_LINT0
    heard = set() if m.svr[vcpu] & _SVR_SUPPRESS else awaited
    for vector in heard.union(own & 0xFF for own in m.lvt[pins:pins + 2] if own & _PIN_IRR):
        if vector >= floor and is_set(m.irr, vcpu, vector) and is_set(m.tmr, vcpu, vector):
            floor = vector + 1
    taken = 0
    for word in range(floor >> 5, 8):
        at, low = 8 * vcpu + word, max(floor - 32 * word, 0)
        bits = m.irr[at] >> low << low
        m.irr[at] ^= bits
        taken += bits.bit_count()
    m.unseen(Act.TAKEN, taken)
    m.unseen(Act.ENDED, taken)
    return taken


def end_nmi(m: Machine, vcpu: int) -> None:
    """IRET: the one NMI that may have come in the meantime can be taken (SDM 6.7.1)."""
    if m.in_nmi[vcpu]:
        m.in_nmi[vcpu] = 0
        m.emit(_VLAPIC | vcpu, Act.ENDED, NMI_VECTOR)


def end(m: Machine, vcpu: int) -> int:
    """EOI: clear the highest ISR bit; the vector to broadcast to the I/O APICs, -1 for none (SDM 11.8.5)."""
    vector = highest(m.isr, vcpu)
    if vector < 0:
        return -1
    clear(m.isr, vcpu, vector)
    level = is_set(m.tmr, vcpu, vector)
    broadcast = level and not m.svr[vcpu] & _SVR_SUPPRESS
    m.emit(_VLAPIC | vcpu, Act.ENDED, vector, int(broadcast))
    if level:
        _end_pins(m, vcpu, vector)
    return vector if broadcast else -1


# --- level-triggered LINT pins; what else pins do is in `lint` ---


def pin_up(m: Machine, vcpu: int, pin: int) -> bool:
    """Whether a LINT pin is up: by what is wired to it, or LINT0 by the 8259 pair's INTR (not so in Xen)."""
    return bool(m.lint[2 * vcpu + pin] or (pin == 0 and m.intr and m.profile.options.pic != "xen"))


def pin_sends(m: Machine, vcpu: int, pin: int) -> None:
    """A pin of fixed, level-triggered mode is up: it sets remote IRR and is accepted, unless remote IRR is set."""
    at = LVTS * vcpu + LVT_LINT0 + pin
    if not m.lvt[at] & _PIN_IRR:
        m.lvt[at] |= _PIN_IRR
        take_in(m, vcpu, m.lvt[at] & LVT_LINT.vector.mask, 1, m.apic_id[vcpu])


def _end_pins(m: Machine, vcpu: int, vector: int) -> None:
    """An EOI ends what a pin sent by level; a pin that is still up sends again (SDM 11.5.1)."""
    for pin in (0, 1):
        own = m.lvt[LVTS * vcpu + LVT_LINT0 + pin]
        if own & _PIN_IRR and own & LVT_LINT.vector.mask == vector:
            m.lvt[LVTS * vcpu + LVT_LINT0 + pin] = own & ~_PIN_IRR
            if pin_up(m, vcpu, pin) and not own & LVT_LINT.mask.mask and own & LVT_LINT.tm.mask:
                m.new_serial()
                pin_sends(m, vcpu, pin)


def _reset_values(m: Machine) -> tuple[tuple[str, int, int], ...]:
    """What INIT sets: (array, places of a vCPU, value in each). The CMCI entry is masked where the vCPUs have it."""
    cmci = 0x10000 if m.profile.options.cmci == "present" else 0
    return (*_RESET, ("cmci", 1, cmci))


_RESET = (("irr", 8, 0), ("isr", 8, 0), ("tmr", 8, 0), ("lvt", LVTS, 0x10000), ("dfr", 1, 0xFFFFFFFF), ("svr", 1, 0xFF),
          *((name, 1, 0) for name in ("tpr", "esr", "esr_pending", "icr_low", "icr_high", "nmi", "in_nmi", "extint",
                                      "timer_initial", "timer_divide", "timer_due")))


def _reset_together(m: Machine, who: Crowd) -> None:
    """INIT for every member: as `reset`, and each but the bootstrap processor waits."""
    changed = [name for name, width, initial in _reset_values(m) if crowd.put(m, who, name, width, initial)]
    if who.forget_logical(m) or "dfr" in changed:
        m.changed_apics()
    crowd.wait_for_start(m, who, APIC_BASE.bsp.mask)


def reset(m: Machine, vcpu: int) -> None:
    """INIT: registers as after reset, no NMI pending; ID, and the mode, stay (SDM 11.4.7.3)."""
    before = _logical(m, vcpu)
    for name, width, initial in _reset_values(m):
        values = getattr(m, name)
        for place in range(width * vcpu, width * (vcpu + 1)):
            values[place] = initial
    m.ldr[vcpu] = derived_ldr(m, vcpu) if m.apic_mode[vcpu] == Apic.X2APIC else 0
    if before != _logical(m, vcpu):
        m.changed_apics()


def _logical(m: Machine, vcpu: int) -> tuple[int, int]:
    """What its logical destinations follow from; an x2APIC has no DFR, whatever it held as an xAPIC (SDM 11.12.10)."""
    return m.ldr[vcpu], 0 if m.apic_mode[vcpu] == Apic.X2APIC else m.dfr[vcpu]


def power_on(m: Machine) -> None:
    """Every unit as after power-on: xAPIC mode, the first ID, registers as after reset."""
    m.power_on_apics()
    m.changed_apics()


def x2apic_ldr(apic_id: int) -> int:
    """The logical address that an x2APIC derives from its ID (SDM 11.12.10.2).

    >>> hex(x2apic_ldr(0x3ff))
    '0x3f8000'
    """
    return (apic_id >> 4 & 0xFFFF) << 16 | 1 << (apic_id & 0xF)


def derived_ldr(m: Machine, vcpu: int) -> int:
    """A unit's x2APIC logical address; under quirk xen.D34 from the vCPU's number."""
    return x2apic_ldr(vcpu if m.quirks & xen_quirks.LDR_FROM_VCPU else m.apic_id[vcpu])


def set_mode(m: Machine, vcpu: int, mode: Apic) -> None:
    """Put a unit into a mode; leaving "disabled" resets it, entering x2APIC derives the LDR (A 2).

    Either makes the ID what it was at first: only an xAPIC can be given another one.
    """
    before = m.apic_mode[vcpu]
    m.apic_mode[vcpu] = mode
    if mode == Apic.X2APIC or before == Apic.DISABLED:
        m.apic_id[vcpu] = m.profile.options.apic_id(vcpu)
    if before == Apic.DISABLED and mode != Apic.DISABLED:
        reset(m, vcpu)
    if mode == Apic.X2APIC:
        m.ldr[vcpu] = derived_ldr(m, vcpu)
    bits = {Apic.DISABLED: 0, Apic.XAPIC: APIC_BASE.en.mask, Apic.X2APIC: APIC_BASE.en.mask | APIC_BASE.extd.mask}
    m.apic_base[vcpu] = m.apic_base[vcpu] & ~(APIC_BASE.en.mask | APIC_BASE.extd.mask) | bits[mode]
    m.changed_apics()
