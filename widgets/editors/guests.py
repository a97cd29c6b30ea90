"""What the small guest sees: its log, its interrupts and where they go, the faults that it has read."""

from __future__ import annotations

from html import escape

import ipywidgets as W

from vsim.guest.kernel import DESTINATIONS, Guest, Source
from vsim.layouts.bits import bdf_text
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.panel import Panel, flow, line, table

MOST_ROWS = 200
"""Interrupts that the table lists."""


def sources(guest: Guest) -> list[Source]:
    """All interrupts that the guest has set up; a shared pin once."""
    found = {(s.kind, s.bdf, s.number): s for of_one in guest.sources.values() for s in of_one}
    return list(found.values())


def name(source: Source) -> str:
    """An interrupt in words."""
    what = "pin, GSI" if source.kind == "pin" else f"{source.kind} message"
    return f"{bdf_text(source.bdf)} {what} {source.number}"


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
        self.source = W.Dropdown(options=[], description="interrupt", layout=W.Layout(width="300px"),
                                 style={"description_width": "66px"}, tooltip="which interrupt to move")
        self.vcpu = W.BoundedIntText(min=0, max=self.lab.machine.vcpus - 1, description="to vCPU",
                                     layout=W.Layout(width="150px"), style={"description_width": "58px"},
                                     tooltip="where its handler shall run")
        self.table, self.said = W.HTML(), W.HTML()
        self.watch(self.serving, self._serving)
        self.follow("vlapic", self._follow)
        return (flow(self.destination, self.button("boot", self._boot, "set everything up", "primary"), self.serving,
                     self.button("serve now", self._serve, "every vCPU takes and ends what is pending")),
                flow(self.source, self.vcpu,
                     self.button("set affinity", self._move, "rewrite the entry, invalidate it", "primary")),
                self.said, self.table)

    def _boot(self) -> None:
        self.lab.boot(self.destination.value)

    def _serving(self) -> None:
        self.lab.kernel.serving = self.serving.value

    def _serve(self) -> None:
        self.say(f"{self.lab.kernel.serve()} interrupts served.", "muted")

    def _follow(self) -> None:
        if 0 <= self.lab.selection.vlapic < self.lab.machine.vcpus:
            self.vcpu.value = self.lab.selection.vlapic

    def _move(self) -> None:
        guest = self.lab.kernel.guest
        found = [s for s in sources(guest) if name(s) == self.source.value] if guest else []
        if not found:
            raise ValueError("no interrupt is set up: boot the guest first")
        refused = self.lab.kernel.affinity(found[0], self.vcpu.value)
        if refused:
            self.say(f"The guest refuses: {refused}.", "warn")

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The guest's books as they are now."""
        guest = self.lab.kernel.guest
        if guest is None:
            self.source.options, self.table.value = (), ""
            self.said.value = line("No guest has booted here.", "muted")
            return
        known = sources(guest)
        names = tuple(name(source) for source in known)
        if self.source.options != names:
            self.source.options = names
        rows = [(name(s), "-" if s.index < 0 else str(s.index), str(s.vcpu), f"{s.vector:#04x}")
                for s in known[:MOST_ROWS]]
        more = line(f"... and {len(known) - MOST_ROWS} more.", "muted") if len(known) > MOST_ROWS else ""
        mine = table(("interrupt", "entry", "vCPU", "vector"), rows, "Interrupts that the guest has set up")
        title = f"{len(known)} interrupts and where they go"
        self.table.value = f"<details open><summary>{title}</summary>{mine}{more}</details>"
        self.said.value = _log(guest)


def _log(guest: Guest) -> str:
    said = [*guest.log[-12:], *(f"DMAR: fault: {fault}" for fault in guest.faults[-6:]),
            *(f"vCPU {vcpu}: no handler for vector {vector:#x}" for vcpu, vector in guest.strays[-6:])]
    return f"<pre>{escape(chr(10).join(said) or 'booted, nothing to say')}</pre>"
