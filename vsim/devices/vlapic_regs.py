"""The registers of a local APIC as software sees them: the xAPIC window, x2APIC MSRs, ICR (SDM 11.4, 11.6; A 1, 2, 6).

`write` and `write_msr` return the vector of an EOI to be broadcast to the I/O APICs, or -1. A refused MSR access is
#GP to the guest: an event (Act.REFUSED), nothing changed.
"""

from __future__ import annotations

from vsim.devices import lint, routes, timer, vlapic
from vsim.layouts.bits import get, put
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import (
    APIC,
    APIC_BASE,
    APIC_BASE_MSR,
    APIC_OFFSET,
    APIC_VERSION,
    ESR,
    ICR,
    SVR,
    TPR,
    X2APIC_MSR,
)
from vsim.state import xen_quirks
from vsim.state.arrays import LVT_LINT0, LVTS, Apic, Machine
from vsim.state.profile import LOWEST_IPI_SENT, LVT_KEPT
from vsim.state.trace import Act, Kind, Warn, node

_NAMES = {offset: name for offset, name, _, _, _ in APIC}
_XAPIC_ACCESS = {offset: access for offset, _, access, _, _ in APIC}
_X2APIC_ACCESS = {offset: access for offset, _, _, access, _ in APIC}
_LINTS = ("LVT_LINT0", "LVT_LINT1")
_LVT_PLACE = {"LVT_TIMER": 0, "LVT_THERMAL": 1, "LVT_PERFORMANCE": 2, "LVT_ERROR": vlapic.LVT_ERROR_PLACE,
              **{name: LVT_LINT0 + pin for pin, name in enumerate(_LINTS)}}
_LVT_MASK = {name: layout.writable for _, name, _, _, layout in APIC if layout and name[:3] == "LVT"}
_LOWEST_SENT = LOWEST_IPI_SENT | xen_quirks.LOWEST_IPI
SELF, OTHERS = 1, 3
"""Shorthands of an ICR: the sender alone; all others. 2 is all of them."""
_LVT_READ_ONLY = 1 << 12 | 1 << 14
_MASK_BIT = 1 << 16
_CMCI = APIC_OFFSET["LVT_CMCI"]


def version(m: Machine) -> int:
    """Version 0x14, six LVT entries, seven with CMCI; bit 24 when EOI-broadcast suppression is offered."""
    options = m.profile.options
    return APIC_VERSION.make(version=0x14, last=6 if options.cmci == "present" else 5,
                             suppress=int(options.suppress_eoi))


def absent(m: Machine, offset: int) -> bool:
    """Whether the unit has no register at an xAPIC offset, by the layout or as a fact of its profile."""
    return offset not in _NAMES or (offset == _CMCI and m.profile.options.cmci == "absent")


def read(m: Machine, vcpu: int, offset: int) -> int:
    """A register by its xAPIC offset, 32 bits (64 for the ICR of an x2APIC); 0 for what is not modelled."""
    name = _NAMES.get(offset, "")
    wide = m.apic_mode[vcpu] == Apic.X2APIC
    if name[:3] in ("ISR", "TMR", "IRR"):
        return {"ISR": m.isr, "TMR": m.tmr, "IRR": m.irr}[name[:3]][8 * vcpu + int(name[3])]
    if name in _LVT_PLACE:
        return m.lvt[LVTS * vcpu + _LVT_PLACE[name]]
    if name == "ID":
        return m.apic_id[vcpu] if wide else (m.apic_id[vcpu] & 0xFF) << 24
    if name == "ICR":
        return m.icr_low[vcpu] | (m.icr_high[vcpu] << 32 if wide else 0)
    if name == "TIMER_CURRENT":
        return timer.current(m, vcpu)
    if name in ("VERSION", "PPR"):
        return version(m) if name == "VERSION" else vlapic.ppr(m, vcpu)
    plain = {"LVT_CMCI": m.cmci, "TPR": m.tpr, "LDR": m.ldr, "DFR": m.dfr, "SVR": m.svr, "ESR": m.esr,
             "ICR_HIGH": m.icr_high, "TIMER_INITIAL": m.timer_initial, "TIMER_DIVIDE": m.timer_divide}
    return plain[name][vcpu] if name in plain else 0


def window_read(m: Machine, vcpu: int, offset: int) -> int:
    """A read through the xAPIC window; all ones when the unit is disabled or in x2APIC mode (A 1, 2)."""
    return read(m, vcpu, offset) if m.apic_mode[vcpu] == Apic.XAPIC else 0xFFFFFFFF


def write(m: Machine, vcpu: int, offset: int, value: int) -> int:
    """A 32-bit write through the xAPIC window; dropped when the window is not there."""
    if m.apic_mode[vcpu] != Apic.XAPIC:
        return -1
    m.emit(node(Kind.VLAPIC, vcpu), Act.WRITTEN, offset, value & 0xFFFFFFFF, 4)
    access = _XAPIC_ACCESS.get(offset, "")
    if not access or absent(m, offset):
        vlapic.error(m, vcpu, ESR.illegal_register.mask, offset)
        return -1
    return _store(m, vcpu, _NAMES[offset], value & 0xFFFFFFFF) if access != "RO" else -1


def _store(m: Machine, vcpu: int, name: str, value: int) -> int:
    """Act on a write that is allowed; `value` may carry reserved bits, which are dropped."""
    if name == "EOI":
        return vlapic.end(m, vcpu)
    if name in _LVT_PLACE:
        _write_lvt(m, vcpu, name, value)
    elif name == "SVR":
        _write_svr(m, vcpu, value)
    elif name == "ESR":
        m.esr[vcpu], m.esr_pending[vcpu] = m.esr_pending[vcpu], 0
    elif name == "TPR":
        m.tpr[vcpu] = value & TPR.writable
    elif name == "ICR":
        _write_icr(m, vcpu, value)
    elif name == "SELF_IPI":
        _send(m, vcpu, ICR.make(vector=value & 0xFF, shorthand=1))
    elif name == "LVT_CMCI" and m.profile.options.cmci == "present":
        m.cmci[vcpu] = _stored_lvt(m, vcpu, name, value, m.cmci[vcpu])
    elif name == "TIMER_INITIAL":
        timer.write_initial(m, vcpu, value)
    elif name == "TIMER_DIVIDE":
        timer.write_divide(m, vcpu, value)
    elif name in ("ID", "LDR", "DFR", "ICR_HIGH"):
        _write_identity(m, vcpu, name, value)
    return -1


def _write_identity(m: Machine, vcpu: int, name: str, value: int) -> None:
    if name == "ICR_HIGH":
        m.icr_high[vcpu] = value & 0xFF000000
    elif name == "ID":
        m.apic_id[vcpu] = m.apic_id[vcpu] & ~0xFF | value >> 24
    elif name == "LDR":
        m.ldr[vcpu] = value & 0xFF000000
    else:
        m.dfr[vcpu] = value | 0x0FFFFFFF
    m.changed_apics()


def _write_svr(m: Machine, vcpu: int, value: int) -> None:
    allowed = SVR.vector.mask | SVR.enable.mask
    if m.profile.options.suppress_eoi:
        allowed |= SVR.suppress.mask
    m.svr[vcpu] = value & allowed
    if not value & SVR.enable.mask and not m.quirks & LVT_KEPT:
        for place in range(LVTS):
            m.lvt[LVTS * vcpu + place] |= _MASK_BIT
        if m.profile.options.cmci == "present":
            m.cmci[vcpu] |= _MASK_BIT


def _write_lvt(m: Machine, vcpu: int, name: str, value: int) -> None:
    at = LVTS * vcpu + _LVT_PLACE[name]
    before = timer.mode(m, vcpu)
    m.lvt[at] = _stored_lvt(m, vcpu, name, value, m.lvt[at])
    timer.mode_changed(m, vcpu, before)
    if name in _LINTS:
        lint.written(m, vcpu, _LINTS.index(name))


def _stored_lvt(m: Machine, vcpu: int, name: str, value: int, before: int) -> int:
    """What an entry holds after a write: masked while the unit is off by software (SDM 11.4.7.2)."""
    new = value & _LVT_MASK[name] | before & _LVT_READ_ONLY
    return new if m.svr[vcpu] & SVR.enable.mask or m.quirks & LVT_KEPT else new | _MASK_BIT


# --- x2APIC MSRs ---


def read_msr(m: Machine, vcpu: int, index: int) -> int | None:
    """RDMSR of IA32_APIC_BASE or an x2APIC register; None is #GP."""
    if index == APIC_BASE_MSR:
        return m.apic_base[vcpu]
    if index == timer.TSC_DEADLINE_MSR and m.profile.options.tsc_deadline:
        return timer.read_deadline(m, vcpu)
    offset = index - X2APIC_MSR << 4
    if m.apic_mode[vcpu] != Apic.X2APIC or "R" not in _X2APIC_ACCESS.get(offset, "") or absent(m, offset):
        return None
    return read(m, vcpu, offset)


def write_msr(m: Machine, vcpu: int, index: int, value: int) -> int:
    """WRMSR of IA32_APIC_BASE or an x2APIC register."""
    if index == APIC_BASE_MSR:
        _write_base(m, vcpu, value)
        return -1
    if index == timer.TSC_DEADLINE_MSR and m.profile.options.tsc_deadline:
        m.emit(node(Kind.VLAPIC, vcpu), Act.WRITTEN, index, value, 8)
        timer.write_deadline(m, vcpu, value)
        return -1
    offset = index - X2APIC_MSR << 4
    access = _X2APIC_ACCESS.get(offset, "")
    known = m.apic_mode[vcpu] == Apic.X2APIC and "W" in access and not absent(m, offset)
    if not known or value & ~_x2_mask(m, _NAMES[offset]):
        m.emit(node(Kind.VLAPIC, vcpu), Act.REFUSED, index, value, 13)
        return -1
    m.emit(node(Kind.VLAPIC, vcpu), Act.WRITTEN, offset, value, 8)
    return _store(m, vcpu, _NAMES[offset], value)


def _x2_mask(m: Machine, name: str) -> int:
    """Bits that an x2APIC register takes; any other is #GP (A 1)."""
    if name in _LVT_MASK:
        return _LVT_MASK[name] | (_LVT_READ_ONLY if "LINT" in name else 1 << 12)
    if name == "SVR":
        return SVR.vector.mask | SVR.enable.mask | (SVR.suppress.mask if m.profile.options.suppress_eoi else 0)
    if name == "ICR":
        return ICR.writable | (0 if m.quirks & xen_quirks.ICR_STATUS_REFUSED else ICR.status.mask)
    return {"TPR": 0xFF, "SELF_IPI": 0xFF, "TIMER_INITIAL": 0xFFFFFFFF, "TIMER_DIVIDE": 0xB}.get(name, 0)


_NEXT = {Apic.DISABLED: (Apic.DISABLED, Apic.XAPIC), Apic.XAPIC: tuple(Apic),
         Apic.X2APIC: (Apic.X2APIC, Apic.DISABLED)}
"""Allowed mode transitions (A 2); every other is #GP."""


def _write_base(m: Machine, vcpu: int, value: int) -> None:
    """IA32_APIC_BASE: mode transitions; a moved window is #GP unless the profile lets it move (A 2)."""
    modes = {(0, 0): Apic.DISABLED, (1, 0): Apic.XAPIC, (1, 1): Apic.X2APIC}
    wanted = modes.get((get(value, APIC_BASE.en), get(value, APIC_BASE.extd)))
    now = Apic(m.apic_mode[vcpu])
    moved = get(value, APIC_BASE.base) != get(m.apic_base[vcpu], APIC_BASE.base)
    stays = moved and not m.profile.options.window_moves
    lacking = wanted == Apic.X2APIC and not m.profile.options.x2apic
    if value & APIC_BASE.reserved or lacking or wanted is None or wanted not in _NEXT[now] or stays:
        m.emit(node(Kind.VLAPIC, vcpu), Act.REFUSED, APIC_BASE_MSR, value, 13)
        return
    m.emit(node(Kind.VLAPIC, vcpu), Act.WRITTEN, APIC_BASE_MSR, value, 8)
    m.apic_base[vcpu] = put(m.apic_base[vcpu], APIC_BASE.base, get(value, APIC_BASE.base))
    if wanted != now:
        vlapic.set_mode(m, vcpu, wanted)


def read_cr8(m: Machine, vcpu: int) -> int:
    """CR8: bits 7:4 of the task priority; there whether the unit is enabled or not (A 2, 4)."""
    return m.tpr[vcpu] >> 4


def write_cr8(m: Machine, vcpu: int, value: int) -> None:
    """CR8: sets TPR[7:4] and clears TPR[3:0]; #GP when a bit above 3 is set (SDM 11.8.6)."""
    if value >> 4:
        m.emit(node(Kind.VLAPIC, vcpu), Act.REFUSED, APIC_OFFSET["TPR"], value, 13)
        return
    m.tpr[vcpu] = value << 4
    m.emit(node(Kind.VLAPIC, vcpu), Act.WRITTEN, APIC_OFFSET["TPR"], m.tpr[vcpu], 8)


# --- interprocessor interrupts (A 6) ---


def _write_icr(m: Machine, vcpu: int, value: int) -> None:
    """Writing the low half sends; an x2APIC writes all 64 bits at once."""
    m.icr_low[vcpu] = value & ICR.writable & 0xFFFFFFFF
    if m.apic_mode[vcpu] == Apic.X2APIC:
        m.icr_high[vcpu] = value >> 32
    _send(m, vcpu, m.icr_low[vcpu] | m.icr_high[vcpu] << 32)


def _send(m: Machine, vcpu: int, icr: int) -> None:
    """Send one IPI, always as an edge. Never through interrupt remapping. Lowest priority: an xAPIC's only (A 6)."""
    mode, vector, shorthand = get(icr, ICR.dlm), get(icr, ICR.vector), get(icr, ICR.shorthand)
    m.new_serial()
    if mode == Dlm.LOWEST and m.apic_mode[vcpu] == Apic.X2APIC and not m.quirks & _LOWEST_SENT:
        vlapic.error(m, vcpu, ESR.redirectable.mask, vector)
        return
    m.emit(node(Kind.VLAPIC, vcpu), Act.SENT, m.apic_id[vcpu], icr & 0xFFFFFFFF, icr >> 32)
    if mode in (Dlm.FIXED, Dlm.LOWEST) and vector < 16:
        vlapic.error(m, vcpu, ESR.send_illegal.mask, vector)
    elif mode == Dlm.INIT and get(icr, ICR.tm) and not get(icr, ICR.level):
        return  # the "deassert" of old units: no effect
    elif shorthand:
        if shorthand != OTHERS and mode not in (Dlm.FIXED, Dlm.LOWEST):
            m.emit(node(Kind.VLAPIC, vcpu), Act.WARNED, Warn.SIGNAL_TO_SELF, icr & 0xFFFFFFFF)
        _send_to(m, _shorthand(m, vcpu, shorthand), m.apic_id[vcpu], mode, vector)
    else:
        wide = m.apic_mode[vcpu] == Apic.X2APIC
        destination = get(icr, ICR.dest) if wide else get(icr, ICR.dest) >> 24
        _send_to(m, routes.match(m, destination, get(icr, ICR.dm), not wide), destination, mode, vector)


def _send_to(m: Machine, targets: list[int], destination: int, mode: int, vector: int) -> None:
    vlapic.hand_to(m, targets, destination, mode, 0, 0, vector, vlapic.IPI_RESERVED)


def _shorthand(m: Machine, vcpu: int, shorthand: int) -> list[int]:
    if shorthand == SELF:
        return [vcpu]
    return [other for other in range(m.vcpus)
            if m.apic_mode[other] != Apic.DISABLED and (shorthand != OTHERS or other != vcpu)]
