"""The panel of a QEMU beside the bench: a light for each gesture, and what differs first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from vsim.layouts.formats import DLM_NAMES
from vsim.replay.beside import State
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.attached import QEMU, Light
from widgets.lab.panel import Panel, flow, line, scrolling

MOST = 40
"""Gestures that are shown."""
LIGHTS = {State.EQUAL: ("good", "\u25cf"), State.DIFFERENT: ("warn", "\u25b2"), State.NOT_THERE: ("muted", "\u25cb")}
"""Style and shape of a light, so that it is told apart without colours."""

SEEN: dict[str, Callable[..., str]] = {
    "V": lambda value: f"reads {value}",
    "M": lambda to, logical, hint, level, mode, vector: (
        f"message to {'logical' if logical else 'APIC ID'} {to:#x}, {DLM_NAMES[mode]}, vector {vector:#x}, "
        f"{'level' if level else 'edge'}{', redirection hint' if hint else ''}"),
    "I": lambda index, high, low: f"reads entry {index}: {high} {low}",
    "B": lambda: "blocked, no message",
    "F": lambda record, high, low: f"fault record {record}: {high} {low}",
    "E": lambda address, data: f"the unit's own message: {address} {data}",
    "D": lambda kind, high, low: f"descriptor {kind}: {high} {low}",
    "C": lambda one, index, mask: f"entry cache emptied: {f'from {index}, mask {mask}' if one else 'all of it'}",
    "W": lambda address, data: f"status {data} written at {address}",
    "A": lambda vcpu, vector, level: f"vCPU {vcpu} gets vector {vector:#x}, {'level' if level else 'edge'}",
    "L": lambda vcpu, name, value: f"vCPU {vcpu}: {name} is {value}",
    "R-": lambda pin: f"remote IRR of pin {pin} cleared"}
"""What a row of the comparison says, by its tag (`vsim.replay.recorded.observe`)."""


def told(row: Sequence[Any] | None) -> str:
    """A row of the comparison in words; one of another form, which a stored run may hold, as it is."""
    if row is None:
        return "nothing more"
    try:
        return SEEN[row[0]](*row[1:])
    except (KeyError, TypeError, ValueError):
        return " ".join(map(str, row))


class BesidePanel(Panel):
    """A real QEMU does what the Lab does; whether both did the same."""

    title = "QEMU"
    css = """
.vsim-beside td:first-child{white-space:nowrap}
.vsim-beside table{width:100%}
.vsim-beside tr:has(+.vsim-more){border-bottom:0}
.vsim-beside .vsim-more td{color:var(--vsim-muted);overflow-wrap:anywhere}
.vsim-beside .vsim-more b{color:var(--vsim-text)}
"""

    def build(self) -> tuple[W.Widget, ...]:
        """A button, what is attached, and the table."""
        self.path = W.Text(value=QEMU, description="program", continuous_update=False)
        self.go = self.button("attach", self._attach, "Start QEMU and do there what was done here", "primary")
        self.off = self.button("detach", self._detach, "End QEMU; what was found stays")
        self.about, self.rows = W.HTML(), W.HTML()
        self.rows.add_class("vsim-beside")
        return flow(self.path, self.go, self.off), self.about, self.rows

    def _attach(self) -> None:
        self.lab.attach(self.path.value)

    def _detach(self) -> None:
        if self.lab.attached is not None:
            self.lab.attached.end()
        self.draw(self.lab.machine, [])

    def draw(self, m: Machine, events: list[Event]) -> None:
        """What was found until now."""
        attached = self.lab.attached
        self.off.disabled = attached is None or bool(attached.why)
        if attached is None:
            self.about.value = line("Attach a QEMU: every command goes to it too, on a q35 machine with intel-iommu "
                                    "whose vCPUs stand still, and what both did is compared.", "muted")
            self.rows.value = ""
            return
        self.about.value = line(f"{attached!r}", "bad" if attached.beside is None else "")
        body = "".join(_row(each) for each in attached.lights(MOST))
        head = "".join(f'<th scope="col">{name}</th>' for name in ("QEMU", "gesture", "commands"))
        self.rows.value = scrolling(f'<table aria-label="Gestures here and in QEMU"><thead><tr>{head}</tr></thead>'
                                    f"{body}</table>", "Gestures here and in QEMU", 420) if body else ""


def _row(light: Light) -> str:
    """A gesture: its light, its name, how many commands; below it what differs first, and what explains that."""
    style, shape = LIGHTS[light.state]
    counts = [f"{count} {word}" for count, word in ((light.equal, "equal"), (light.different, "different"),
                                                    (light.elsewhere, "not there")) if count]
    said = f'<span aria-hidden="true">{shape} </span>{escape(str(light))}'
    return (f'<tbody><tr><td><span class="vsim-{style}">{said}</span></td>'
            f"<td>{escape(light.name)}</td><td>{', '.join(counts)}</td></tr>{_first(light)}</tbody>")


def _first(light: Light) -> str:
    """The first rows that differ, and what explains them; where nothing went there, why."""
    if light.first is not None:
        here, there = map(told, light.first.first)
        whys = "".join(f"<br>{escape(each.what)}" for each in light.first.why)
        said = (f"here: {escape(here)}<br>QEMU: {escape(there)}" if here != there else f"both: {escape(here)}")
        said += f"<br><b>{escape(str(light.first))}</b>{whys}"
    elif light.arrived:
        said = "<br>".join(f"both: {escape(told(each))}" for each in light.arrived)
    elif light.state == State.NOT_THERE:
        said = escape(light.why)
    else:
        return ""
    return f'<tr class="vsim-more"><td></td><td colspan="2">{said}</td></tr>'
