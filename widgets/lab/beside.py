"""The panel of a QEMU beside the bench: a light for each gesture, and what differs first."""

from __future__ import annotations

from html import escape

import ipywidgets as W

from vsim.replay.beside import State
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.attached import QEMU, Light
from widgets.lab.panel import Panel, flow, line, scrolling

MOST = 40
"""Gestures that are shown."""
LIGHTS = {State.EQUAL: ("good", "\u25cf"), State.DIFFERENT: ("warn", "\u25b2"), State.NOT_THERE: ("muted", "\u25cb")}
"""Style and shape of a light, so that it is told apart without colours."""

SEEN = {"V": "reads", "M": "message", "I": "entry read", "B": "blocked", "F": "fault", "E": "unit's own message",
        "D": "descriptor", "C": "cache invalidated", "W": "status written", "P": "passed unchanged",
        "R+": "remote IRR set", "R-": "remote IRR cleared"}
"""What a row of the comparison is, by its tag."""


class BesidePanel(Panel):
    """A real QEMU does what the Lab does; whether both did the same."""

    title = "QEMU"
    css = """
.vsim-beside td:first-child{white-space:nowrap}
.vsim-beside td:nth-child(3){font-variant-numeric:tabular-nums;white-space:nowrap}
.vsim-beside code{overflow-wrap:anywhere}
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
        head = "".join(f'<th scope="col">{name}</th>' for name in ("QEMU", "gesture", "commands", "what differs first"))
        self.rows.value = scrolling(f'<table aria-label="Gestures here and in QEMU"><thead><tr>{head}</tr></thead>'
                                    f"<tbody>{body}</tbody></table>", "Gestures here and in QEMU", 420) if body else ""


def _row(light: Light) -> str:
    style, shape = LIGHTS[light.state]
    counts = [f"{count} {word}" for count, word in ((light.equal, "equal"), (light.different, "different"),
                                                    (light.elsewhere, "not there")) if count]
    said = f'<span aria-hidden="true">{shape} </span>{escape(str(light))}'
    return (f'<tr><td><span class="vsim-{style}">{said}</span></td>'
            f"<td>{escape(light.name)}</td><td>{'<br>'.join(counts)}</td><td>{_first(light)}</td></tr>")


def _first(light: Light) -> str:
    """The first rows that differ, and what explains it; where nothing went there, why."""
    if light.first is None:
        return escape(light.why) if light.state == State.NOT_THERE else ""
    here, there = (" ".join([SEEN.get(row[0], row[0]), *map(str, row[1:])]) if row else "nothing"
                   for row in light.first.first)
    whys = "<br>".join(escape(each.what) for each in light.first.why)
    return (f"here <code>{escape(here)}</code><br>QEMU <code>{escape(there)}</code><br>"
            f"<b>{escape(str(light.first))}</b>{f'<br>{whys}' if whys else ''}")
