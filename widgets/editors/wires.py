"""The wires of a vCPU: its LINT pins, and the pair of 8259 behind LINT0; what is between reset and the I/O APIC."""

from __future__ import annotations

import ipywidgets as W

from vsim.devices import lint, vlapic, vpic
from vsim.guest import firmware
from vsim.layouts.bits import get
from vsim.layouts.formats import DLM_NAMES, TM_NAMES, Dlm
from vsim.layouts.registers import LVT_LINT
from vsim.state import commands
from vsim.state.arrays import PIC_BYTES, PIC_READY, Apic, Machine, Pic
from widgets.lab.panel import Panel, flow, line, table

IRQS = tuple(irq for irq in range(16) if irq != vpic.CASCADE)
OPENED = (0, 1, 4, 8, 12)
"""Lines that the firmware opens here: timer, keyboard, serial port, clock, mouse."""
NOT_YET = "The pair of 8259 was not initialised since the reset: no line of the mainboard comes by it."
NONE = "This domain has no 8259 and needs none: its lines begin at the I/O APIC."


def pin_rows(m: Machine, vcpu: int) -> list[tuple[str, str, str, str]]:
    """(pin, level, what its entry says, what wires it) of a vCPU's two pins."""
    return [(f"LINT{pin}", "up" if vlapic.pin_up(m, vcpu, pin) else "down", _said(m, vcpu, pin),
             "the 8259 pair's INTR" if pin == 0 and vpic.answers(m) else "NMI of the mainboard" if pin else "nothing")
            for pin in (0, 1)]


def _said(m: Machine, vcpu: int, pin: int) -> str:
    entry = lint.entry(m, vcpu, pin)
    mode = get(entry, LVT_LINT.dlm)
    if m.apic_mode[vcpu] == Apic.DISABLED:
        return f"the processor's own {'NMI' if pin else 'INTR'}, as the local APIC is off"
    masked = "masked, " if get(entry, LVT_LINT.mask) else ""
    fixed = f" {get(entry, LVT_LINT.vector):#04x}, {TM_NAMES[get(entry, LVT_LINT.tm)]}" if mode == Dlm.FIXED else ""
    waits = ", remote IRR" if get(entry, LVT_LINT.irr) else ""
    return f"{masked}{DLM_NAMES[mode]}{fixed}{waits}"


def chip_rows(m: Machine) -> list[tuple[str, ...]]:
    """(8259, vectors, requested, in service, masked, INT) of both, lines by their IRQ."""
    out = []
    for chip, name in enumerate(("first", "second")):
        words = m.pic[PIC_BYTES * chip:PIC_BYTES * (chip + 1)]
        if words[Pic.STEP] != PIC_READY:
            awaited = f"awaits ICW{words[Pic.STEP]}" if words[Pic.STEP] else "not initialised"
            out.append((name, awaited, *[""] * 4))
            continue
        base = words[Pic.BASE]
        out.append((name, f"{base:#04x} to {base + 7:#04x}", *(_irqs(chip, words[each])
                                                               for each in (Pic.IRR, Pic.ISR, Pic.IMR)),
                    "up" if words[Pic.OUT] else "down"))
    return out


def _irqs(chip: int, bits: int) -> str:
    if bits == 0xFF:
        return "all"
    return " ".join(str(8 * chip + n) for n in range(8) if bits >> n & 1) or "none"


class Wires:
    """A part of the panel of a vCPU: raise and lower lines, set the pair up, mask it, end its interrupts."""

    def __init__(self, panel: Panel, vcpu: W.BoundedIntText) -> None:
        self.panel, self.vcpu = panel, vcpu
        self.irq = W.Dropdown(options=[(f"{irq}", irq) for irq in IRQS], value=4, description="IRQ",
                              layout=W.Layout(width="110px"), style={"description_width": "30px"},
                              tooltip="a line of the mainboard; 2 is the cascade")
        self.pins, self.chips = W.HTML(), W.HTML()
        self.set_up = panel.button("set up as firmware", self._firmware, "initialise the 8259 pair; LINT0 takes ExtINT "
                                   "and LINT1 NMI (virtual wire mode)", "primary")
        self.set_up.layout.align_self = "flex-start"    # as wide as its words, not as the panel
        self.controls = flow(
            self.irq, panel.button("raise", lambda: self._line(1), "the line goes up: at the 8259 and at the I/O APIC"),
            panel.button("lower", lambda: self._line(0), "the line goes down"),
            panel.button("EOI at the 8259", self._end, "end this IRQ there: the local APIC's EOI does not"),
            panel.button("mask as a kernel", self._mask, "mask both 8259 and LINT0, before the I/O APIC is used"))
        self.parts = (W.HTML("<h3>LINT pins and the pair of 8259</h3>"), self.pins, self.chips, self.set_up,
                      self.controls)

    def _issue(self, found: list[commands.Command], name: str) -> None:
        self.panel.lab.issue(*found, name=name)

    def _firmware(self) -> None:
        vcpu = self.vcpu.value
        self._issue(firmware.virtual_wire(self.panel.lab.machine, OPENED, vcpu), f"virtual wire to vCPU {vcpu}")

    def _mask(self) -> None:
        self._issue(firmware.symmetric(self.panel.lab.machine, self.vcpu.value), "mask the 8259 pair")

    def _line(self, level: int) -> None:
        self._issue([commands.Isa(self.irq.value, level)], f"IRQ {self.irq.value} {('down', 'up')[level]}")

    def _end(self) -> None:
        self._issue(firmware.end(self.irq.value), f"EOI of IRQ {self.irq.value}")

    def draw(self, m: Machine) -> None:
        """Pins of the chosen vCPU, and both controllers."""
        there = vpic.answers(m)
        begun = there and any(m.pic[Pic.STEP::PIC_BYTES])
        self.set_up.layout.display = None if there and not begun else "none"
        self.controls.layout.display = None if begun else "none"
        self.pins.value = table(("pin", "level", "its entry", "wired to"), pin_rows(m, self.vcpu.value), "LINT pins")
        self.chips.value = table(("8259", "vectors", "requested", "in service", "masked", "INT"), chip_rows(m),
                                 "The pair of 8259") if begun else line(NOT_YET if there else NONE, "muted")
