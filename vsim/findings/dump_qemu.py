"""QEMU's monitor on this machine: `info lapic` of every vCPU, `info pic`.

The forms are those of target/i386/cpu-apic.c and hw/intc/ioapic_common.c; `readers/qemu_monitor` reads them. QEMU has
8 bits for an LDR, so that of an x2APIC is printed as 0; nor does it print the CMCI entry. The rows of the two PICs are
left out: this machine has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsim.devices import timer, vioapic, vlapic, vlapic_regs
from vsim.findings.subject import Subject
from vsim.layouts.bits import get
from vsim.layouts.formats import RTE, Dlm
from vsim.layouts.registers import (
    APIC_OFFSET,
    DFR,
    ICR,
    IOAPIC_ID,
    IOREDTBL,
    LDR,
    LVT_LINT,
    LVT_TIMER,
    SVR,
    TIMER_DIVIDE,
)
from vsim.readers.qemu_monitor import REGISTERS
from vsim.state.arrays import Apic, Machine

_LVT_MODES: dict[int, str] = {Dlm.FIXED: "Fixed", Dlm.SMI: "SMI", Dlm.NMI: "NMI", Dlm.INIT: "INIT",
                              Dlm.EXTINT: "ExtINT"}
_PIN_MODES: dict[int, str] = {Dlm.FIXED: "fixed", Dlm.LOWEST: "lowest", Dlm.SMI: "SMI", Dlm.NMI: "NMI",
                              Dlm.INIT: "INIT", Dlm.EXTINT: "extINT"}
_SHORTHANDS = ("no-shorthand", "self", "all-self", "all")
_TIMER_MODES = ("one-shot", "periodic", "tsc-deadline", "periodic")
_MEMBERS, _MEMBER_BITS = 0xF, 4     # of an xAPIC cluster's logical ID


def info_lapic(subject: Subject) -> str:
    """The local APIC of every vCPU, one `info lapic APIC-ID` after the other."""
    m = subject.machine
    return "".join(f"(qemu) info lapic {m.apic_id[vcpu]}\n{_lapic(m, vcpu)}" for vcpu in range(m.vcpus))


def _lapic(m: Machine, vcpu: int) -> str:
    words = {name: vlapic_regs.read(m, vcpu, APIC_OFFSET[register]) & 0xFFFFFFFF for name, register in REGISTERS.items()
             if register != "ICR_HIGH"}
    svr, divide = words["SPIV"], m.timer_divide[vcpu]
    rows = [f"dumping local APIC state for CPU {vcpu:<2}", ""]
    rows += [_lvt(name, words[name], name == "LVTT") for name in REGISTERS if name.startswith("LVT")]
    rows += [f"Timer\t DCR=0x{divide:x} (divide by {TIMER_DIVIDE.divide.names[get(divide, TIMER_DIVIDE.divide)]}) "
             f"initial_count = {m.timer_initial[vcpu]} current_count = {timer.current(m, vcpu)}",
             f"SPIV\t 0x{svr:08x} APIC {'enabled' if get(svr, SVR.enable) else 'disabled'}, focus=off, "
             f"spurious vec {get(svr, SVR.vector)}",
             *_icr(m, vcpu), f"ESR\t 0x{words['ESR']:08x}",
             _requests("ISR", _set(m.isr, vcpu), _set(m.tmr, vcpu)),
             _requests("IRR", _set(m.irr, vcpu), _set(m.tmr, vcpu)), "", _last(m, vcpu), ""]
    return "\n".join(rows)


def _lvt(name: str, entry: int, timed: bool) -> str:
    f = LVT_LINT.split(entry)
    mode = _TIMER_MODES[get(entry, LVT_TIMER.mode)] if timed else ""
    told = (f"{name}\t 0x{entry:08x} {'active-lo' if f['polarity'] else 'active-hi'} "
            f"{'level' if f['tm'] else 'edge':<5} {'masked' if f['mask'] else '':<6} "
            f"{'pending' if f['status'] else '':<7} {mode:<12} {_LVT_MODES.get(f['dlm'], '...'):<6}")
    return told if f["dlm"] == Dlm.NMI else f"{told} (vec {f['vector']})"


def _icr(m: Machine, vcpu: int) -> tuple[str, str]:
    low, high = m.icr_low[vcpu], m.icr_high[vcpu]
    f = ICR.split(low)
    return (f"ICR\t 0x{low:08x} {'logical' if f['dm'] else 'physical'} {'level' if f['tm'] else 'edge'} "
            f"{'assert' if f['level'] else 'de-assert'} {_SHORTHANDS[f['shorthand']]}",
            f"ICR2\t 0x{high:08x}" + ("" if f["shorthand"] else _destination(m, vcpu, high, f["dm"])))


def _destination(m: Machine, vcpu: int, high: int, logical: int) -> str:
    """QEMU's words for a destination: an x2APIC's wherever the CPU could be one."""
    wide = m.profile.options.x2apic
    narrow, name = get(high, LDR.id), "X2APIC ID" if wide else "APIC ID"
    model = get(m.dfr[vcpu], DFR.model)
    if not logical:
        return f" cpu {high if wide else narrow} ({name})"
    if model == DFR.model.reset:
        return f" mask {narrow:08b} (APIC ID)"
    if model:
        return ""
    if wide:
        return f" cluster {high >> 16} mask {high & 0xFFFF:016b} ({name})"
    return f" cluster {narrow >> _MEMBER_BITS} mask {narrow & _MEMBERS:04b} ({name})"


def _set(words: Sequence[int], vcpu: int) -> list[int]:
    """The vectors that are set of one vCPU's 256 bits."""
    return [vector for vector in range(256) if words[8 * vcpu + (vector >> 5)] >> (vector & 31) & 1]


def _requests(name: str, vectors: Sequence[int], by_level: Sequence[int]) -> str:
    told = "".join(f"{vector}{'(level)' if vector in by_level else ''} " for vector in vectors)
    return f"{name}\t {told or '(none)'}"


def _last(m: Machine, vcpu: int) -> str:
    model = get(m.dfr[vcpu], DFR.model)
    ldr = 0 if m.apic_mode[vcpu] == Apic.X2APIC else get(m.ldr[vcpu], LDR.id)
    cluster = "" if model else f"(cluster {ldr >> _MEMBER_BITS}: id {ldr & _MEMBERS})"
    return (f"APR 0x00 TPR 0x{m.tpr[vcpu]:02x} DFR 0x{model:02x} LDR 0x{ldr:02x}{cluster} "
            f"PPR 0x{vlapic.ppr(m, vcpu):02x}")


def info_pic(subject: Subject) -> str:
    """Every I/O APIC with its pins. As in QEMU, each is called ioapic0, and physical destinations lose bits."""
    m = subject.machine
    return "(qemu) info pic\n" + "".join(_ioapic(m, which) for which in range(len(m.profile.options.ioapics)))


def _ioapic(m: Machine, which: int) -> str:
    own = m.profile.options.ioapics[which]
    select = vioapic.read(m, vioapic.SELECT, which)
    entries = list(m.rte[own.first:own.first + own.pins])
    up = [pin for pin, entry in enumerate(entries) if m.lines[own.first + pin] and get(entry, RTE.tm)]
    waiting = [pin for pin, entry in enumerate(entries) if get(entry, RTE.irr) and get(entry, RTE.tm)]
    index = f" (redir[{(select - IOREDTBL >> 1) & 0xFFFFFFFF}])" if select else ""
    rows = [f"ioapic0: ver=0x{m.profile.options.ioapic_version:x} "
            f"id=0x{get(vioapic.read_index(m, 0, which), IOAPIC_ID.id):02x} sel=0x{select:02x}{index}"]
    rows += [pin_row(pin, entry) for pin, entry in enumerate(entries)]
    rows += [f"{name:<10} {''.join(f'{pin:<2} ' for pin in pins) or '(none)'}"
             for name, pins in (("  IRR", up), ("  Remote IRR", waiting))]
    return "\n".join((*rows, ""))


def pin_row(pin: int, entry: int) -> str:
    """A pin. The destination is told in compatibility format, whatever the entry's format is."""
    f = RTE.split(entry)
    return (f"  pin {pin:<2} 0x{entry:016x} dest={f['dest'] & (0xFF if f['dm'] else 0xF)} vec={f['vector']:<3} "
            f"{'active-lo' if f['polarity'] else 'active-hi'} {'level' if f['tm'] else 'edge':<5} "
            f"{'masked' if f['mask'] else '':<6} {_PIN_MODES.get(f['dlm'], '...'):<6} "
            f"{'logical' if f['dm'] else 'physical'}")
