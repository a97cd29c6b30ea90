"""What the small guest sees: its log, its interrupts and where it believes they go, the faults that it has read."""

from __future__ import annotations

from html import escape

import ipywidgets as W

from vsim.guest.kernel import DESTINATIONS, Guest
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.editors.beliefs import Belief, beliefs, name, sources
from widgets.lab.panel import Panel, flow, line, scrolling, table

MOST_ROWS = 200
"""Interrupts that the table lists; those that memory has otherwise come first."""


class GuestPanel(Panel):
    """Boot it, move an interrupt to another vCPU, run or hold its handlers."""

    title = "guest"
    slow = 1.0

    def build(self) -> tuple[W.Widget, ...]:
        """Boot row, affinity row, log and tables."""
        self.destination = W.Dropdown(options=DESTINATIONS, description="destinations", layout=W.Layout(width="220px"),
                                      style={"description_width": "86px"}, tooltip="how its entries name vCPUs")
        self.serving = W.Checkbox(value=self.lab.kernel.serving, description="handlers run at once", indent=False,
                                  layout=W.Layout(width="auto"),
                                  tooltip="off: interrupts stay pending until you serve them")
        self.pausing = W.Checkbox(value=self.lab.kernel.pausing, description="pause on fault", indent=False,
                                  layout=W.Layout(width="auto"),
                                  tooltip="a fault holds the handlers, so that its record can be read; a storm ends")
        self.source = W.Dropdown(options=[], description="interrupt", layout=W.Layout(width="300px"),
                                 style={"description_width": "66px"}, tooltip="which interrupt to move")
        self.vcpu = W.BoundedIntText(min=0, max=self.lab.machine.vcpus - 1, description="to vCPU",
                                     layout=W.Layout(width="150px"), style={"description_width": "58px"},
                                     tooltip="where its handler shall run")
        self.table, self.said, self.moved = W.HTML(), W.HTML(), W.HTML()
        self.moved.add_class("vsim-message")
        self.watch(self.serving, self._serving)
        self.watch(self.pausing, self._pausing)
        for control in (self.source, self.vcpu):
            self.watch(control, self._clear)
        self.follow("vlapic", self._follow)
        return (flow(self.destination, self.button("boot", self._boot, "set everything up", "primary"),
                     self.button("serve now", self._serve, "every vCPU takes and ends what is pending"),
                     self.serving, self.pausing),
                flow(self.source, self.vcpu,
                     self.button("set affinity", self._move, "rewrite the entry, invalidate it", "primary")),
                self.moved, self.said, self.table)

    def _boot(self) -> None:
        self.lab.boot(self.destination.value)

    def _serving(self) -> None:
        self.lab.kernel.serving = self.serving.value

    def _pausing(self) -> None:
        self.lab.kernel.pausing = self.pausing.value

    def _clear(self) -> None:
        self.moved.value = ""

    def _serve(self) -> None:
        self.say(f"{self.lab.kernel.serve()} interrupts served.", "muted")

    def _follow(self) -> None:
        if 0 <= self.lab.selection.vlapic < self.lab.machine.vcpus:
            self.vcpu.value = self.lab.selection.vlapic

    def _move(self) -> None:
        guest = self.lab.kernel.guest
        found = next((s for s in sources(guest) if name(s) == self.source.value), None) if guest else None
        if found is None:
            self.moved.value = line("No interrupt is set up: boot the guest first.", "warn")
            return
        refused = self.lab.kernel.affinity(found, self.vcpu.value)
        told = (f"The guest refuses: {refused}.", "warn") if refused else (
            f"{name(found)} goes to vCPU {self.vcpu.value} now.", "good")
        self.moved.value = f'<div role="status">{line(*told)}</div>'

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The guest's books as they are now, and where memory differs."""
        guest = self.lab.kernel.guest
        self.serving.value, self.pausing.value = self.lab.kernel.serving, self.lab.kernel.pausing
        if guest is None:
            self.source.options, self.table.value, self.moved.value = (), "", ""
            self.said.value = line("No guest has booted here.", "muted")
            return
        known = list(beliefs(m, guest))
        names = tuple(each.name for each in known)
        if self.source.options != names:
            chosen = self.source.value
            self.source.options = names
            self.source.value = chosen if chosen in names else next(iter(names), None)
        self.table.value = believed(known)
        self.said.value = scrolling(_log(guest), "What the guest has logged", 110)


def believed(known: list[Belief]) -> str:
    """The table of what the kernel believes; rows that memory contradicts first, and marked."""
    wrong = [each for each in known if each.otherwise]
    listed = [*wrong, *(each for each in known if not each.otherwise)][:MOST_ROWS]
    rows = [(each.name, "-" if each.index < 0 else str(each.index), str(each.vcpu), f"{each.vector:#04x}",
             f"≠ {each.otherwise}" if each.otherwise else "the same" if each.index >= 0 else "no entry")
            for each in listed]
    more = line(f"... and {len(known) - MOST_ROWS} more.", "muted") if len(known) > MOST_ROWS else ""
    differ = f"; memory differs in {len(wrong)}" if wrong else ""
    head = f"<h3>What the kernel believes: {len(known)} interrupts{differ}</h3>"
    mine = table(("interrupt", "entry", "vCPU", "vector", "in memory"), rows, "Interrupts as the guest has them",
                 range(len(wrong)))
    return head + scrolling(mine + more, "What the kernel believes", 300)


def _log(guest: Guest) -> str:
    said = [*guest.log[-12:], *(f"DMAR: fault: {fault}" for fault in guest.faults[-6:]),
            *(f"vCPU {vcpu}: no handler for vector {vector:#x}" for vcpu, vector in guest.strays[-6:])]
    return f"<pre>{escape(chr(10).join(said) or 'booted, nothing to say')}</pre>"
