"""LINT0 and LINT1, the pins of a local APIC, and ExtINT (SDM 11.5.1; MP specification 1.4, 3.6.2.2; A 5).

A pin does what its local vector table entry says: fixed (edge or level), NMI, SMI or INIT at once, or ExtINT: then
the vCPU fetches its vector from the 8259 pair by an INTA cycle, past IRR, ISR and PPR, and the local APIC has no part
in its end. A local APIC that is switched off in IA32_APIC_BASE leaves the pins to the processor, as INTR and NMI (SDM
11.4.3).

Who listens to INTR: every vCPU whose LINT0 is unmasked; in Xen the first one alone that takes it as ExtINT, there also
where pin 0 of the I/O APIC sends it ExtINT (vlapic.c, `vlapic_accept_pic_intr`). QEMU takes a vector of the local APIC
first (`cpu_get_pic_interrupt`), the others the 8259's.
"""

from __future__ import annotations

from vsim.devices import vlapic, vpic
from vsim.layouts.bits import get
from vsim.layouts.formats import MSI_ADDRESS, RTE, Dlm
from vsim.layouts.registers import ESR, LVT_LINT
from vsim.state.arrays import LVT_LINT0, LVTS, Apic, Machine
from vsim.state.trace import Act, Drop, Kind, Warn, node

_RESERVED = (1, 3, 6)
_MASK = LVT_LINT.mask.mask


def entry(m: Machine, vcpu: int, pin: int) -> int:
    """The local vector table's entry of a pin; off in IA32_APIC_BASE: what the pin is then, ExtINT or NMI."""
    if m.apic_mode[vcpu] == Apic.DISABLED:
        return LVT_LINT.make(dlm=Dlm.NMI if pin else Dlm.EXTINT)
    return m.lvt[LVTS * vcpu + LVT_LINT0 + pin]


def external(m: Machine, vcpu: int, pin: int = 0) -> bool:
    """Whether a pin is unmasked as ExtINT."""
    own = entry(m, vcpu, pin)
    return not own & _MASK and get(own, LVT_LINT.dlm) == Dlm.EXTINT


def _by_pin_0(m: Machine, vcpu: int) -> bool:
    """Xen: whether pin 0 of the I/O APIC is unmasked as ExtINT for this vCPU."""
    own = m.rte[0]
    return (not own & RTE.mask.mask and get(own, RTE.dlm) == Dlm.EXTINT and vlapic.enabled(m, vcpu)
            and get(own, RTE.dest) == m.apic_id[vcpu] & MSI_ADDRESS.dest.limit)


def listeners(m: Machine) -> list[int]:
    """The vCPUs that take INTR as ExtINT."""
    if m.profile.options.pic == "xen":
        return next(([vcpu] for vcpu in range(m.vcpus) if external(m, vcpu) or _by_pin_0(m, vcpu)), [])
    return [vcpu for vcpu in range(m.vcpus) if external(m, vcpu)]


def asked(m: Machine, vcpu: int) -> bool:
    """Whether the vCPU would begin an INTA cycle: something told it so, or INTR is up and LINT0 takes it as ExtINT."""
    if m.extint[vcpu]:
        return True
    if m.profile.options.pic == "xen":
        return bool(m.intr) and vcpu in listeners(m)
    return bool(m.intr) and external(m, vcpu)


def acknowledge(m: Machine, vcpu: int) -> bool:
    """The vCPU takes a vector from the 8259 pair; False when it is not asked, or something else comes first."""
    if (m.nmi[vcpu] and not m.in_nmi[vcpu]) or not asked(m, vcpu):
        return False
    if m.profile.options.pic == "qemu" and vlapic.enabled(m, vcpu) and vlapic.pending(m, vcpu) >= 0:
        return False
    before = m.intr
    m.extint[vcpu] = 0
    m.emit(node(Kind.VLAPIC, vcpu), Act.TAKEN, vpic.inta(m), Dlm.EXTINT)
    follow(m, before)
    return True


def drive(m: Machine, vcpu: int, pin: int, level: int) -> None:
    """Something wired to a pin raises or lowers it; each rise at a pin of ExtINT asks for one INTA cycle."""
    before = vlapic.pin_up(m, vcpu, pin)
    m.lint[2 * vcpu + pin] = level
    if vlapic.pin_up(m, vcpu, pin) != before:
        _changed(m, vcpu, pin, level)
        if level and vpic.ready(m) and external(m, vcpu, pin):
            m.extint[vcpu] = 1


def follow(m: Machine, before: int) -> None:
    """INTR may have changed since it was `before`: LINT0 of every vCPU that listens changes with it."""
    if m.intr == before:
        return
    taking = listeners(m)
    heard = taking if m.profile.options.pic == "xen" else [
        vcpu for vcpu in range(m.vcpus) if not entry(m, vcpu, 0) & _MASK]
    m.emit(node(Kind.VPIC), Act.INTR, m.intr, vpic.request(m), len(taking))
    for vcpu in heard:
        if not m.lint[2 * vcpu]:
            _changed(m, vcpu, 0, m.intr)


def _changed(m: Machine, vcpu: int, pin: int, level: int) -> None:
    """A pin rises or falls: what its entry makes of it."""
    own = entry(m, vcpu, pin)
    m.emit(node(Kind.VLAPIC, vcpu), Act.LINT, pin, level, own)
    mode = get(own, LVT_LINT.dlm)
    if not level or own & _MASK or mode == Dlm.EXTINT:
        return
    if mode == Dlm.FIXED:
        _fixed(m, vcpu, pin, own)
    elif mode in _RESERVED:
        m.emit(node(Kind.VLAPIC, vcpu), Act.DROPPED, Drop.MODE, m.apic_id[vcpu], get(own, LVT_LINT.vector))
    else:
        vlapic.signal(m, vcpu, mode, get(own, LVT_LINT.vector), m.apic_id[vcpu])


def _fixed(m: Machine, vcpu: int, pin: int, own: int) -> None:
    by_level, vector = get(own, LVT_LINT.tm), get(own, LVT_LINT.vector)
    if vector < 16:
        vlapic.error(m, vcpu, ESR.receive_illegal.mask, vector)
    elif by_level:
        vlapic.pin_sends(m, vcpu, pin)
    else:
        vlapic.take_in(m, vcpu, vector, 0, m.apic_id[vcpu])


def written(m: Machine, vcpu: int, pin: int) -> None:
    """The entry of a pin was written: a level that is up counts now; two doubtful forms are warned of."""
    own = entry(m, vcpu, pin)
    if own & _MASK:
        return
    here, mode = node(Kind.VLAPIC, vcpu), get(own, LVT_LINT.dlm)
    if mode == Dlm.EXTINT:
        if any(external(m, other, each) for other in range(m.vcpus) for each in (0, 1) if (other, each) != (vcpu, pin)):
            m.emit(here, Act.WARNED, Warn.SECOND_EXTINT, own, pin)
    elif mode == Dlm.FIXED and get(own, LVT_LINT.tm):
        if pin:
            m.emit(here, Act.WARNED, Warn.LINT1_LEVEL, own)
        if vlapic.pin_up(m, vcpu, pin):
            m.new_serial()
            _fixed(m, vcpu, pin, own)
