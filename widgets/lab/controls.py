"""The line above the bench: boot, fire, storm, undo and redo. The bar of time says where in its history the machine is.

It is one line where there is room, and what it says never moves what is below: a storm's rate and length fold away, a
sentence lies over the map until the next gesture.
"""

from __future__ import annotations

import ipywidgets as W

from vsim.explain.sentences import MASKED, masked
from vsim.findings.assumed import device
from vsim.layouts.bits import bdf_text
from vsim.state.arrays import Machine
from vsim.state.pci import Function
from vsim.state.trace import Event
from widgets.lab.copylink import CopyLink
from widgets.lab.keys import FIRE, Keys, press_by
from widgets.lab.panel import Panel, flow

CSS = """
.vsim-controls.vsim-panel{position:relative;z-index:120;overflow:visible;padding:2px 6px}
.vsim-controls .vsim-flow{gap:2px 6px}
.vsim-controls.vsim-panel>.vsim-flow{overflow:visible;position:static}
.vsim-controls button.jupyter-button{padding:0 9px;margin:1px}
.vsim-controls .vsim-apart{margin-left:8px}
.vsim-controls .vsim-folded{display:none}
.vsim-fold{position:relative}
.vsim-fold>.vsim-flow{position:absolute;top:100%;left:0;z-index:1;width:max-content;max-width:90cqw;padding:4px 8px;
 background:var(--vsim-background);border:1px solid var(--vsim-muted);border-radius:var(--vsim-radius)}
.vsim-controls.vsim-panel>.vsim-message:last-child{position:absolute;top:calc(100% - 5px);bottom:auto;left:6px;margin:0;
 max-width:98%;background:none}
.vsim-controls>.vsim-message [role=status]{padding:1px 10px;background:var(--vsim-background);
 border:1px solid var(--vsim-muted);border-radius:var(--vsim-radius)}
"""


class Controls(Panel):
    """What acts on the machine as a whole."""

    title = "controls"
    css = CSS
    slow = 1.0

    def build(self) -> tuple[W.Widget, ...]:
        """One line that breaks where the width asks for it."""
        self.add_class("vsim-controls")
        senders = [f for f in self.lab.machine.bus.functions if not f.bridge]
        self.device = W.Dropdown(options=[(self._label(f), f.bdf) for f in senders], description="device",
                                 layout=W.Layout(width="260px"), style={"description_width": "46px"},
                                 tooltip="who raises an interrupt", disabled=not senders)
        self.number = W.BoundedIntText(min=0, max=2047, description="message", layout=W.Layout(width="128px"),
                                       style={"description_width": "64px"}, tooltip="number of its message")
        self.undo_button = self.button("undo", self.lab.undo, "take the last gesture back")
        self.undo_button.add_class("vsim-apart")
        self.redo_button = self.button("redo", self.lab.redo, "do it again")
        self.watch(self.device, self._chosen)
        self.follow("device", self._follow)
        fire = press_by(FIRE, self.button("fire", self._fire, "the device raises the message", "primary"))
        return (flow(self.button("boot", self._boot, "the guest sets up vIOMMU, vCPUs and devices", "primary"),
                     self.device, self.number, fire, *self._of_storms(), self.undo_button, self.redo_button,
                     CopyLink(self.lab)), Keys(FIRE))

    def _of_storms(self) -> tuple[W.Widget, ...]:
        """Storm and stop; how fast and how long folds away behind a button that tells both."""
        self.rate = W.BoundedIntText(value=1000, min=1, max=100_000, description="per second",
                                     layout=W.Layout(width="160px"), style={"description_width": "76px"},
                                     tooltip="interrupts a second of all devices together")
        self.seconds = W.BoundedFloatText(value=2.0, min=0.1, max=3600, step=0.5, description="for seconds",
                                          layout=W.Layout(width="150px"), style={"description_width": "78px"},
                                          tooltip="length of the storm")
        self.fold = W.ToggleButton(tooltip="how many interrupts a second, and for how long",
                                   layout=W.Layout(width="auto"))
        self._numbers = flow(self.rate, self.seconds)
        for control in (self.rate, self.seconds, self.fold):
            self.watch(control, self._folded)
        self._folded()
        both = W.Box([self.fold, self._numbers])
        both.add_class("vsim-fold")
        storm = self.button("storm", self._storm, "all devices send")
        storm.add_class("vsim-apart")
        return storm, both, self.button("stop", self._stop, "end the storm")

    def _folded(self) -> None:
        self.fold.description = f"{self.rate.value:,}/s, {self.seconds.value:g} s ▾"
        (self._numbers.remove_class if self.fold.value else self._numbers.add_class)("vsim-folded")

    def _label(self, function: Function) -> str:
        return f"{_label(function)[:-1]}{self.lab.assumed.mark(device(function.bdf))})"

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
        """What can be undone and redone; while a storm goes on its name is not final."""
        here, last = self.lab.position, len(self.lab.history)
        self.undo_button.disabled, self.redo_button.disabled = not here, here == last
        if not any(storm.sent < storm.count for storm in self.lab.storms):
            self._name_undo(here)

    def _name_undo(self, here: int) -> None:
        """The buttons say what they take back or do again."""
        around = self.lab.gestures_around(here, 1)
        done, ahead = [each for each in around if each.start < here], [each for each in around if each.stop > here]
        self.undo_button.tooltip = f"take back: {done[-1].name}" if done else "take the last gesture back"
        self.redo_button.tooltip = f"do again: {ahead[-1].name}" if ahead else "do it again"


def _label(function: Function) -> str:
    kind = f"{function.msix_count} MSI-X" if function.msix_count else f"{function.msi_count} MSI" if (
        function.msi_count) else f"pin {' ABCD'[function.pin]}" if function.pin else "no interrupt"
    return f"{bdf_text(function.bdf)} {function.name[:40]} ({kind})"
