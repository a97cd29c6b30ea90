"""One local APIC in detail: its three 256-bit registers as grids, its priority, what it takes in which order."""

from __future__ import annotations

from array import array
from html import escape

import ipywidgets as W

from vsim.devices import vlapic
from vsim.layouts.registers import APIC_MSR, APIC_OFFSET
from vsim.state import commands
from vsim.state.arrays import Apic, Machine
from vsim.state.trace import Event, Kind, node
from widgets.editors.entries import met
from widgets.editors.wires import Wires
from widgets.lab.panel import Panel, flow, line, table

CSS = """
.vsim-grids{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:6px 12px}
.vsim-grid{min-width:0;width:auto;max-width:250px}
.vsim-grid svg{width:100%;height:auto;display:block}
.vsim-grid text{font:12px var(--jp-code-font-family,monospace);fill:var(--vsim-muted)}
.vsim-grid rect{fill:var(--vsim-heat-0)}
.vsim-grid rect.low{fill:none;stroke:var(--vsim-slot)}
.vsim-grid rect.irr{fill:var(--vsim-remapped)}
.vsim-grid rect.isr{fill:var(--vsim-posted)}
.vsim-grid rect.tmr{fill:var(--vsim-compatibility)}
.vsim-grid figcaption{font-size:12px}
.vsim-grid figure{margin:0}
"""
_CELL, _GAP, _EDGE = 12, 2, 18
MEANING = {"irr": ("IRR", "requested, not yet taken"), "isr": ("ISR", "in service: taken, not yet ended"),
           "tmr": ("TMR", "accepted as level-triggered")}
"""The three registers: title and what a set bit says (SDM 11.8.4)."""


def vectors(words: array[int], vcpu: int) -> list[int]:
    """The vectors set in one vCPU's 256 bits, the highest first."""
    return [vector for vector in range(255, -1, -1) if words[8 * vcpu + vector // 32] >> vector % 32 & 1]


def grid(kind: str, marked: list[int]) -> str:
    """A 256-bit register as 16 rows of 16 vectors (row: the priority class), with the set ones in words below.

    kind: a key of `MEANING`. marked: the vectors that are set.
    """
    title, meaning = MEANING[kind]
    said = ", ".join(f"{vector:#04x}" for vector in marked) or "none"
    size = _EDGE + 16 * (_CELL + _GAP)
    heads = "".join(f'<text x="{_at(n) + 3}" y="11">{n:x}</text><text x="0" y="{_at(n) + 10}">{n:x}0</text>'
                    for n in range(16))
    cells = "".join(_cell(vector, kind if vector in marked else "low" if vector < 16 else "") for vector in range(256))
    label = escape(f"{title}: {said}", quote=True)
    return (f'<figure><svg viewBox="0 0 {size} {size}" role="img" aria-label="{label}">{heads}{cells}</svg>'
            f'<figcaption><b>{title}</b> <span class="vsim-muted">{escape(meaning)}</span><br>'
            f'<code>{escape(said)}</code></figcaption></figure>')


def _at(place: int) -> int:
    return _EDGE + place * (_CELL + _GAP)


def _cell(vector: int, kind: str) -> str:
    tip = f"<title>vector {vector:#04x}{', never accepted' if vector < 16 else ''}</title>"
    return (f'<rect class="{kind}" x="{_at(vector % 16)}" y="{_at(vector // 16)}" width="{_CELL}" height="{_CELL}">'
            f'{tip}</rect>')


def facts(m: Machine, vcpu: int) -> list[tuple[str, str]]:
    """(name, value in words) of one local APIC's identity and priority."""
    mode = Apic(m.apic_mode[vcpu])
    on = "" if vlapic.enabled(m, vcpu) else ", takes no fixed interrupt"
    tpr, ppr = m.tpr[vcpu], vlapic.ppr(m, vcpu)
    return [("mode", f"{mode.name}{on}"), ("APIC ID", f"{m.apic_id[vcpu]:#x}"), ("LDR", f"{m.ldr[vcpu]:#x}"),
            ("SVR", f"{m.svr[vcpu]:#x}"), ("TPR", f"{tpr:#x}, class {tpr >> 4}"),
            ("PPR", f"{ppr:#x}, class {ppr >> 4}"), ("NMI pending", str(m.nmi[vcpu]))]


def pending_order(m: Machine, vcpu: int) -> list[tuple[str, str, str]]:
    """(vector, class, when) of everything requested, in the order in which it will be taken (SDM 11.8.3)."""
    priority, ready = vlapic.ppr(m, vcpu) >> 4, vlapic.pending(m, vcpu)
    out = []
    for vector in vectors(m.irr, vcpu):
        when = f"waits: class {vector >> 4} is not above the priority, {priority}"
        if vector == ready:
            when = "is taken next"
        elif vector >> 4 > priority:
            when = "after those above, once they are ended" if vector >> 4 == ready >> 4 else "after those above"
        out.append((f"{vector:#04x}", str(vector >> 4), when))
    return out


class VlapicsPanel(Panel):
    """Choose a vCPU; see its registers; let it acknowledge, end, or change its task priority."""

    title = "vLAPIC"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """The chooser, the three actions, the grids."""
        m, looked_at = self.lab.machine, self.lab.selection
        last, first = m.vcpus - 1, looked_at.vlapic
        if first < 0:
            _, first = met(self.lab.history, looked_at.serial or m.serials)
        narrow = W.Layout(width="150px")
        self.vcpu = W.BoundedIntText(min=0, max=last, description="vCPU", tooltip=f"0 to {last}", layout=narrow,
                                     style={"description_width": "40px"}, value=max(0, first))
        self.priority = W.BoundedIntText(min=0, max=255, description="TPR", layout=narrow, continuous_update=False,
                                         tooltip="task priority, 0 to 255: class in bits 7:4",
                                         style={"description_width": "40px"})
        self.busy = W.Button(description="next busy", tooltip="the next vCPU with something requested or in service",
                             layout=W.Layout(width="auto"))
        self.busy.on_click(lambda _: self.guarded(self.next_busy))
        self.grids = {kind: W.HTML() for kind in MEANING}
        self.facts, self.order = W.HTML(), W.HTML()
        self.wires = Wires(self, self.vcpu)
        self._connect()
        boxes = W.Box(list(self.grids.values()))
        boxes.add_class("vsim-grids")
        for box in self.grids.values():
            box.add_class("vsim-grid")
        return (flow(self.vcpu, self.busy,
                     self.button("acknowledge", self.acknowledge, "the vCPU takes its highest pending vector"),
                     self.button("EOI", self.end, "the vCPU ends the highest vector in service"),
                     self.priority, self.button("write TPR", self.write_priority, "hold back lower classes")),
                self.facts, boxes, self.order, *self.wires.parts)

    def _connect(self) -> None:
        self.watch(self.vcpu, self._choose)
        self.follow("vlapic", self._follow)

    def _choose(self) -> None:
        self.lab.selection.vlapic = self.vcpu.value
        self.draw(self.lab.machine, [])

    def _follow(self) -> None:
        chosen = self.lab.selection.vlapic
        if 0 <= chosen < self.lab.machine.vcpus:
            self.vcpu.value = chosen

    # --- actions ----------------------------------------------------------------------------------------------

    def acknowledge(self) -> None:
        """Take the pending vector."""
        self.lab.issue(commands.Acknowledge(self.vcpu.value))

    def end(self) -> None:
        """End the vector in service, by the way that the unit's mode has."""
        self._write("EOI", 0)

    def write_priority(self) -> None:
        """Write the task priority register."""
        self._write("TPR", self.priority.value)

    def _write(self, name: str, value: int) -> None:
        vcpu, offset = self.vcpu.value, APIC_OFFSET[name]
        if self.lab.machine.apic_mode[vcpu] == Apic.X2APIC:
            self.lab.issue(commands.Msr(vcpu, APIC_MSR[name], value), name=f"vCPU {vcpu} writes {name}")
        else:
            self.lab.issue(commands.ApicWrite(vcpu, offset, value), name=f"vCPU {vcpu} writes {name}")

    def next_busy(self) -> None:
        """Go on to the next vCPU with a bit in IRR or ISR."""
        m, here = self.lab.machine, self.vcpu.value
        ring = [*range(here + 1, m.vcpus), *range(here + 1)]
        found = next((v for v in ring if any(m.irr[8 * v:8 * v + 8]) or any(m.isr[8 * v:8 * v + 8])), None)
        if found is None:
            self.say("No vCPU has anything requested or in service.", "muted")
        else:
            self.vcpu.value = found

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The chosen vCPU as it is now."""
        vcpu = self.vcpu.value
        for kind, words in (("irr", m.irr), ("isr", m.isr), ("tmr", m.tmr)):
            self.grids[kind].value = grid(kind, vectors(words, vcpu))
        self.facts.value = table(tuple(name for name, _ in facts(m, vcpu)),
                                 [tuple(value for _, value in facts(m, vcpu))], f"Local APIC of vCPU {vcpu}"
                                 ) + self.assumed(node(Kind.VLAPIC, vcpu))
        order = pending_order(m, vcpu)
        self.order.value = table(("vector", "class", "when"), order, "Pending, in order") if order else line(
            "Nothing is requested.", "muted")
        self.wires.draw(m)
