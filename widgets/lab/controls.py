"""The row above the bench: boot, fire, storm, back and forward, save; and where the machine is in its history."""

from __future__ import annotations

import ipywidgets as W

from vsim.explain.sentences import MASKED, masked
from vsim.layouts.bits import bdf_text
from vsim.state.arrays import Machine
from vsim.state.pci import Function
from vsim.state.trace import Event
from widgets.lab.panel import Panel, flow, line


class Controls(Panel):
    """What acts on the machine as a whole."""

    title = "controls"
    slow = 1.0

    def build(self) -> tuple[W.Widget, ...]:
        """Two rows that break where the width asks for it."""
        senders = [f for f in self.lab.machine.bus.functions if not f.bridge]
        self.device = W.Dropdown(options=[(_label(f), f.bdf) for f in senders], description="device",
                                 layout=W.Layout(width="330px"), style={"description_width": "48px"},
                                 tooltip="who raises an interrupt", disabled=not senders)
        self.number = W.BoundedIntText(min=0, max=2047, description="message", layout=W.Layout(width="130px"),
                                        style={"description_width": "62px"}, tooltip="number of its message")
        self.rate = W.BoundedIntText(value=1000, min=1, max=100_000, description="per second",
                                     layout=W.Layout(width="160px"), style={"description_width": "76px"},
                                     tooltip="interrupts a second of all devices together")
        self.seconds = W.BoundedFloatText(value=2.0, min=0.1, max=3600, step=0.5, description="for seconds",
                                          layout=W.Layout(width="150px"), style={"description_width": "78px"},
                                          tooltip="length of the storm")
        self.where = W.HTML()
        self.undo_button = self.button("undo", self.lab.undo, "take the last gesture back")
        self.redo_button = self.button("redo", self.lab.redo, "do it again")
        self.watch(self.device, self._chosen)
        self.follow("device", self._follow)
        return (flow(self.button("boot", self._boot, "the guest sets up vIOMMU, vCPUs and devices", "primary"),
                     self.device, self.number,
                     self.button("fire", self._fire, "the device raises the message", "primary")),
                flow(self.rate, self.seconds, self.button("storm", self._storm, "all devices send"),
                     self.button("stop", self._stop, "end the storm"), self.undo_button, self.redo_button, self.where))

    def _chosen(self) -> None:
        if self.device.value is not None:
            self.lab.selection.device = self.device.value

    def _follow(self) -> None:
        if self.lab.selection.device in [value for _, value in self.device.options]:
            self.device.value = self.lab.selection.device

    def _boot(self) -> None:
        log = self.lab.boot()
        self.say(log[-1] if log else "Booted.", "muted")

    def _fire(self) -> None:
        if self.device.value is None:
            raise ValueError("this machine has no device that could fire")
        events = self.lab.fire(self.device.value, self.number.value)
        stopped = [why for event in events if (why := masked(event)) >= 0]
        if stopped:
            self.say(f"Nothing is sent; {MASKED[stopped[0]]}.", "warn")

    def _storm(self) -> None:
        self.lab.storm(self.rate.value, self.seconds.value)

    def _stop(self) -> None:
        for storm in tuple(self.lab.storms):
            storm.stop()
        self.draw(self.lab.machine, [])

    def draw(self, m: Machine, events: list[Event]) -> None:
        """The place in the history, and whether a storm goes on."""
        here, last = self.lab.position, len(self.lab.history)
        running = sum(storm.count - storm.sent for storm in self.lab.storms)
        storm = f"; storm: {running:,} to come" if running else ""
        self.where.value = line(f"command {here:,} of {last:,}, {m.clock / 1e6:,.3f} ms{storm}", "muted")
        self.undo_button.disabled, self.redo_button.disabled = not here, here == last


def _label(function: Function) -> str:
    kind = f"{function.msix_count} MSI-X" if function.msix_count else f"{function.msi_count} MSI" if (
        function.msi_count) else f"pin {' ABCD'[function.pin]}" if function.pin else "no interrupt"
    return f"{bdf_text(function.bdf)} {function.name[:40]} ({kind})"
