"""The trapped register page of a vIOMMU: choose, read, write, and know before what a write will do."""

from __future__ import annotations

from typing import NamedTuple

import ipywidgets as W

from vsim.devices import vvtd
from vsim.layouts.bits import Access, Field, Layout, get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import GCMD, ONE_SHOT, UNIT
from vsim.state import commands
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import ACTS, Act, Event, Kind, node
from widgets.editors import fields, foresee
from widgets.editors.faults import Faults, told
from widgets.editors.fields import whole_text
from widgets.lab.panel import Panel, close_all, flow, line

CSS = fields.CSS + """
.vsim-list .widget-select select{min-height:150px}
.vsim-list .widget-select .widget-label{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.vsim-list .widget-select{width:auto;max-width:none}
.vsim-pair{display:flex;flex-flow:row wrap;gap:4px 16px}
.vsim-pair>.vsim-list{flex:1 1 330px;max-width:460px;min-width:0}
@container (max-width:820px){.vsim-list .widget-select select{min-height:100px;height:100px}
 .vsim-found,.vsim-found .widget-html-content{margin:0;font-size:11px;line-height:1.2!important;min-height:0}
 .vsim-edit .vsim-forecast{font-size:12px;line-height:1.3}
 .vsim-edit button.jupyter-button{padding:0 8px;font-size:12px}}
.vsim-pair>.vsim-edit{flex:3 1 440px;min-width:0}
"""
WHOLE, LOW, HIGH = "whole register", "low half", "high half"


class Register(NamedTuple):
    """One register of the page. offset, width: bytes; a fault record has 16."""

    name: str
    offset: int
    width: int
    layout: Layout


def page(m: Machine) -> list[Register]:
    """All registers of a unit, by offset; those without a layout are one field."""
    found = [Register(name, offset, width, layout or Layout(name, 8 * width, "VT-d 11.4", _plain(width)))
             for offset, width, name, layout in UNIT]
    unit = m.profile.capabilities
    found += [Register(f"FRCD{n}", unit.fault_offset + 16 * n, 16, FRCD) for n in range(unit.fault_records)]
    return sorted(found, key=lambda each: each.offset)


def _plain(width: int) -> Field:
    return Field("value", 0, 8 * width, "nothing that interrupt remapping uses", Access.RO)


def held(m: Machine, unit: int, register: Register) -> int:
    """What a register holds: no access, no event."""
    parts = range(0, register.width, 8)
    return sum(vvtd.value(m, unit, register.offset + at, min(8, register.width)) << 8 * at for at in parts)


def start(m: Machine, unit: int, register: Register) -> int:
    """The word that a writer would begin with: what is stored, no status bit cleared, no command given anew.

    GCMD begins with the levels of GSTS, as Linux writes it: a bit left out would switch off (VT-d 11.4.4).
    """
    if register.layout is GCMD:
        gsts = next(each for each in page(m) if each.name == "GSTS")
        return held(m, unit, gsts) & ~ONE_SHOT & sum(place.mask for place in GCMD)
    stored = held(m, unit, register)
    keep = sum(place.mask for place in register.layout.fields if place.access in (Access.RW, Access.RO))
    return stored & keep


class RegistersPanel(Panel):
    """The page as a list, and an editor for the register that is chosen."""

    title = "registers"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """The list to the left, the editor to the right."""
        self.list = W.Select(options=[], rows=12, description="register", layout=W.Layout(width="auto"),
                             tooltip="registers of the page: offset, name, value")
        self.list.add_class("vsim-mono")
        self.access = W.Dropdown(options=[WHOLE], description="access", layout=W.Layout(width="210px"),
                                 style={"description_width": "55px"}, tooltip="which bytes a read or write takes")
        self.head, self.before, self.answer, self.recorded = W.HTML(), W.HTML(), W.HTML(), W.HTML()
        self.faults = Faults(self.lab.history)
        self.holder = W.VBox()
        self.editor: fields.Fields | None = None
        self.write_button = self.button("write", self.write, "the guest writes the word above", "primary")
        self.read_button = self.button("read", self.read, "the guest reads the register")
        self._page, self._filling = page(self.lab.machine), False
        self.watch(self.list, self._choose)
        self.follow("unit", self._other_unit)
        self.watch(self.access, self._foretell)
        self.middle = (flow(self.access, self.write_button, self.read_button), self.answer, self.before)
        left, right = W.VBox([self.list, self.recorded]), W.VBox([self.head, self.holder])
        left.add_class("vsim-list")
        right.add_class("vsim-edit")
        pair = W.Box([left, right])
        pair.add_class("vsim-pair")
        return (pair,)

    # --- what is chosen ---------------------------------------------------------------------------------------

    @property
    def unit(self) -> int:
        """The unit that is looked at."""
        return int(self.lab.selection.unit)

    @property
    def register(self) -> Register:
        """The register that is chosen."""
        return self._page[self.list.index or 0]

    def choose(self, name: str) -> None:
        """Choose a register by name. ValueError when there is none of that name."""
        names = [each.name for each in self._page]
        if name not in names:
            raise ValueError(f"no register {name[:40]!a}; registers are {', '.join(names)}")
        self.list.index = names.index(name)

    def _other_unit(self) -> None:
        self.draw(self.lab.machine, [])
        self._choose()

    def _choose(self) -> None:
        if self._filling or self.list.index is None:
            return
        self.answer.value = ""
        m, register = self.lab.machine, self.register
        self.head.value = self._heading(m)
        self.access.options = [WHOLE, LOW, HIGH] if register.width == 8 else [WHOLE]
        if self.editor is not None:
            self.editor.close()
        if not m.live(self.unit):
            self.editor, self.holder.children = None, ()
            return
        self.editor = fields.Fields(register.layout, start(m, self.unit, register), held(m, self.unit, register),
                                    two=True, middle=self.middle)
        self.watch(self.editor, self._foretell)
        self.holder.children = (self.editor,)
        self._foretell()

    # --- what is written and read -----------------------------------------------------------------------------

    def writes(self) -> list[commands.Command]:
        """The accesses that "write" stands for. ValueError when there is no unit."""
        base, word = self._base(), self._editor().value
        return [commands.Mmio(base + at, width, word >> 8 * (at - self.register.offset) & (1 << 8 * width) - 1)
                for at, width in self._accesses()]

    def _base(self) -> int:
        if not self.lab.machine.live(self.unit):
            raise ValueError("there is no vIOMMU: create one first")
        return int(self.lab.machine.latch[LATCH_WORDS * self.unit + Latch.MMIO_BASE])

    def _editor(self) -> fields.Fields:
        if self.editor is None:
            self._choose()
        assert self.editor is not None
        return self.editor

    def _accesses(self) -> list[tuple[int, int]]:
        """(offset, width) of each access, ascending."""
        register = self.register
        if self.access.value == WHOLE:
            return [(register.offset + at, min(8, register.width)) for at in range(0, register.width, 8)]
        return [(register.offset + (4 if self.access.value == HIGH else 0), 4)]

    def write(self) -> None:
        """The guest writes the word."""
        writes, name = self.writes(), self.register.name
        with self.lab.gesture(name=f"write {name}"):
            self.lab.issue(*writes)
        self._choose()
        self.answer.value = line(f"{name} is written.", "good")

    def read(self) -> None:
        """The guest reads the register; what it gets is shown."""
        base = self._base()
        reads = [commands.MmioRead(base + at, width) for at, width in self._accesses()]
        with self.lab.gesture(name=f"read {self.register.name}"):
            events = self.lab.issue(*reads)
        got = ", ".join(f"{event.low:#x}" for event in events if event.act == Act.READ)
        self.answer.value = line(f"{self.register.name} reads {got}.", "good")

    def _foretell(self) -> None:
        """What "write" would do, beyond the fields themselves, and what "read" costs."""
        m = self.lab.machine
        if self.editor is None or not m.live(self.unit):
            self.before.value = ""
            return
        after, _, told = foresee.outcome(m, self.writes())
        told = foresee.registers_changed(m, after, self.unit) + told
        self.before.value = ("<h3>The write would do this</h3>" + foresee.shown(told, "Nothing changes.")
                             + line(cost_of_reading(m, self.unit), "muted"))

    def close(self) -> None:
        """Close what was lent to the editor, too."""
        super().close()
        for each in self.middle:
            close_all(each)

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        """Faults are noted even while another tab is in front."""
        if kind == "issued":
            self.faults.issued(events)
        else:
            self.faults.moved()
        super()._changed(kind, events, machine)

    # --- drawing ----------------------------------------------------------------------------------------------

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The list with the values of now; the editor keeps what is being typed and compares with what is stored."""
        live = m.live(self.unit)
        self.recorded.value = told(m, self.faults)
        self._fill([f"{r.offset:03x} {r.name:<8} {_shortly(r, held(m, self.unit, r)) if live else ''}"
                    for r in self._page])
        for control in (self.list, self.access, self.write_button, self.read_button):
            control.disabled = not live
        if not live or self.editor is None:
            self._choose()
        else:
            self.editor.stored = held(m, self.unit, self.register)
            self._foretell()

    def _fill(self, options: list[str]) -> None:
        self._filling, index = True, self.list.index or 0
        try:
            if tuple(self.list.options) != tuple(options):
                self.list.options = options
                self.list.index = index
        finally:
            self._filling = False

    def _heading(self, m: Machine) -> str:
        register = self.register
        if not m.live(self.unit):
            return line("There is no vIOMMU: create one with a domctl.", "warn")
        base = m.latch[LATCH_WORDS * self.unit + Latch.MMIO_BASE]
        return line(f"{register.name} at {base + register.offset:#x}, {8 * register.width} bits, "
                    f"{register.layout.section}", "muted") + self.assumed(node(Kind.VIOMMU, self.unit))


def _shortly(register: Register, value: int) -> str:
    """A value for the list: its digits, of a fault record what counts."""
    if register.layout is FRCD:
        return f"F=1 reason {get(value, FRCD.reason):#x}" if get(value, FRCD.f) else "F=0"
    return whole_text(register.layout, value)[2:].replace("_", " ")


def cost_of_reading(m: Machine, unit: int = 0) -> str:
    """What a read of a live unit does besides answering: tried on a copy."""
    base = m.latch[LATCH_WORDS * unit + Latch.MMIO_BASE]
    _, events, _ = foresee.outcome(m, [commands.MmioRead(base, 4)])
    trips = [Act(event.act) for event in events if event.act in (Act.VM_EXIT, Act.ROUND_TRIP)]
    if not trips:
        return "A read changes no register, and costs nothing that is counted here."
    names = " and ".join(f"{act.name.lower().replace('_', ' ')} ({m.costs[act]} ns, {ACTS[act].source})"
                         for act in trips)
    return f"A read changes no register; it costs the guest: {names}."
