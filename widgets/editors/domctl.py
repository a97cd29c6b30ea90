"""The hypercall by hand: create, destroy, query; its bytes both ways, its errno with the reason, the xl line.

The forms are drawn from the tables of `vsim.devices.viommu`. Form, bytes and xl line are three views of one structure:
a change of one changes the others. A member and its bytes light up together, and everything that is wrong is marked at
once. Nothing is sent before "issue".
"""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from vsim.devices import viommu
from vsim.layouts.interfaces import Caps, Op, Part
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Event
from widgets.editors import octets
from widgets.editors.fields import parse_number
from widgets.editors.hypercall import afterwards, blamed, dump, foretold, from_xl, named, reasons, undump, xl_line
from widgets.editors.octets import Octets
from widgets.lab.panel import Panel, flow, line

TITLES = {Op.CREATE: "create", Op.DESTROY: "destroy", Op.QUERY_CAPS: "query capabilities"}
MEANING = {
    "viommu_type": "device model: INTEL_VTD is 1, from version 3 on 0",
    "base_address": "of the register page: guest-physical, a multiple of 4096",
    "length": "bytes of the register page: 4096",
    "capabilities": "asked for: " + ", ".join(f"bit {c.value.bit_length() - 1} is {c.name}" for c in Caps),
    "viommu_id": "number of the vIOMMU", "caps": "what the device model can do"}
"""Members of the structure in words (X 2.2)."""


class DomctlPanel(Panel):
    """One form for the three sub-commands."""

    title = "domctl"
    css = octets.CSS

    def build(self) -> tuple[W.Widget, ...]:
        """Sub-command, members, bytes, xl line, answer."""
        self.op = W.ToggleButtons(options=[(title, op) for op, title in TITLES.items()],
                                  style={"button_width": "auto"},
                                  tooltips=["a new vIOMMU", "remove one", "what a type can do"])
        self.controls: dict[Op, dict[str, W.Text]] = {op: {p.name: self._control(p) for p in self._parts(op)}
                                                      for op in Op}
        self.notes = {op: {name: W.HTML() for name in self.controls[op]} for op in Op}
        self.forms = {op: W.VBox([self._row(op, name) for name in self.controls[op]]) for op in Op}
        wide = {"layout": W.Layout(width="100%", max_width="560px"), "style": {"description_width": "66px"}}
        self.octets = Octets(self._byte)
        self.bytes = W.Textarea(description="as text", continuous_update=False, rows=3,
                                tooltip="the structure, little endian; edit or paste it, and the form follows", **wide)
        self.xl = W.Text(description="in xl.cfg", continuous_update=False,
                         tooltip="the option that makes xl create this; edit it, and the form follows", **wide)
        for each in (self.bytes, self.xl):
            each.add_class("vsim-mono")
        self.xl_notes, self.before, self.answer = W.HTML(), W.HTML(), W.HTML()
        self.op.add_class("vsim-part-cmd")
        self._showing = False
        self._fill(viommu.create_op(version=viommu.interface(self.lab.machine).name))
        self.watch(self.op, self._from_form)
        self.watch(self.bytes, self._from_bytes)
        self.watch(self.xl, self._from_xl)
        return (self.op, *self.forms.values(), self.octets, self.before,
                flow(self.button("issue", self.issue, "the toolstack issues the hypercall", "primary")), self.answer,
                self.xl, self.xl_notes, self.bytes)

    def _row(self, op: Op, name: str) -> W.Box:
        row = flow(self.controls[op][name], self.notes[op][name])
        row.add_class("vsim-member")
        row.add_class(f"vsim-part-{name}")
        return row

    def _parts(self, op: Op) -> tuple[Part, ...]:
        return tuple(part for part in viommu.interface(self.lab.machine).fields(op) if not part.out)

    def _control(self, part: Part) -> W.Text:
        made = W.Text(value="0", description=part.name.replace("_", " "), continuous_update=False,
                      tooltip=f"{MEANING.get(part.name, part.name)}; {8 * part.width} bits at byte {part.offset}",
                      style={"description_width": "90px"}, layout=W.Layout(width="100%", max_width="340px"))
        made.add_class("vsim-mono")
        self.watch(made, self._from_form)
        return made

    # --- three views of one structure -------------------------------------------------------------------------

    @property
    def body(self) -> bytes:
        """The structure as it would be sent."""
        return self._body

    def _fill(self, body: bytes) -> None:
        """Show a structure in all views; bytes that are no structure are shown as bytes alone."""
        self._showing, self._body = True, body
        try:
            face = viommu.interface(self.lab.machine)
            command, values = viommu.decode(face.name, body) if len(body) == face.size else (-1, {})
            if command in tuple(Op):
                self._fill_form(Op(command), values)
            self.bytes.value = dump(body)
            self._tell(self.lab.machine)
        finally:
            self._showing = False

    def _fill_form(self, op: Op, values: dict[str, int]) -> None:
        self.op.value = op
        for name, control in self.controls[op].items():
            control.value = f"{values[name]:#x}"
        for each, form in self.forms.items():
            form.layout.display = "" if each is op else "none"
        self.xl.disabled = op is not Op.CREATE
        version = viommu.interface(self.lab.machine).name
        self.xl.value, notes = xl_line(values, version) if op is Op.CREATE else ("", ["xl has no option for this."])
        self.xl_notes.value = "".join(line(note, "muted") for note in notes)

    def _tell(self, m: Machine) -> None:
        """What would be answered now: every reason, and every member that is to blame, marked with its bytes."""
        sentence, kind = foretold(m, self._body)
        found = reasons(m, self._body) if kind == "bad" else []
        told = line(f"Issued once more: {sentence}" if self.answer.value else sentence, kind)
        self.before.value = told + (line(afterwards(found), "muted") if found[1:] else "")
        wrong = blamed(found)
        for name, note in self.notes[self.op.value].items():
            self._mark(name, wrong.get(name, ""))
            note.value = line(wrong[name], "bad") if name in wrong else line(MEANING.get(name, ""), "muted")
        command = viommu.interface(m).fields(self.op.value)
        self.octets.html = octets.drawn(self._body, (Part("cmd", 0, 4), *command), wrong)

    def _mark(self, name: str, why: str) -> None:
        control = self.controls[self.op.value][name]
        (control.add_class if why else control.remove_class)("vsim-wrong")

    def _changed_by_hand(self, body: bytes) -> None:
        """Another question: the answer to the former one goes."""
        self.answer.value = ""
        self._fill(body)

    def _from_form(self) -> None:
        if self._showing:
            return
        op, values, wrong = self.op.value, dict[str, int](), list[str]()
        for part in self._parts(op):
            control = self.controls[op][part.name]
            try:
                values[part.name] = parse_number(control.value, (1 << 8 * part.width) - 1, control.description)
            except ValueError as error:
                wrong.append(str(error))
                self.notes[op][part.name].value = line(str(error), "bad")
            self._mark(part.name, "" if part.name in values else "no number")
        if wrong:
            self.answer.value = ""
            self.before.value = line("What is marked is no number; the bytes stay as they were.", "bad")
            raise ValueError("; ".join(wrong))
        self._changed_by_hand(viommu.encode(viommu.interface(self.lab.machine).name, op, **values))

    def _from_bytes(self) -> None:
        if not self._showing:
            self._changed_by_hand(undump(self.bytes.value))

    def _byte(self, at: int, value: int) -> None:
        """One byte was typed over."""
        if at < len(self._body):
            self.guarded(lambda: self._changed_by_hand(self._body[:at] + bytes([value]) + self._body[at + 1:]))

    def _from_xl(self) -> None:
        if not self._showing:
            name = viommu.interface(self.lab.machine).name
            values, notes = from_xl(self.xl.value, name)
            self._changed_by_hand(viommu.encode(name, Op.CREATE, **values))
            self.xl_notes.value += "".join(line(note, "warn") for note in notes)

    # --- sending it -------------------------------------------------------------------------------------------

    def issue(self) -> None:
        """The toolstack issues it; the answer is shown with its bytes."""
        m, body = self.lab.machine, self._body
        expected = foretold(m, body)[0]
        version = viommu.interface(m).name
        known = viommu.decode(version, body)[0] if len(body) >= viommu.interface(m).size else -1
        with self.lab.gesture(name=f"{TITLES[Op(known)]} a vIOMMU" if known in tuple(Op) else "hypercall"):
            events = self.lab.issue(commands.Domctl(body))
        done = next((event for event in events if event.act == Act.DOMCTL), None)
        if done is None:
            self.answer.value = line("The machine is dead: only a reset helps.", "bad")
            return
        out = viommu.reply(version, body, done.index, done.high)
        self.answer.value = self._told(done, expected, out)
        self._tell(self.lab.machine)

    def _told(self, done: Event, expected: str, out: bytes) -> str:
        if done.index:
            why = expected.partition(": ")[2]
            head = line(f"Refused: -{named(done.index)}. {why}", "bad")
        else:
            head = line("Done: 0." + self._returned(done, out), "good")
        return f"{head}<h3>bytes out</h3><pre>{dump(out)}</pre>"

    def _returned(self, done: Event, out: bytes) -> str:
        face = viommu.interface(self.lab.machine)
        values: dict[str, Any] = viommu.decode(face.name, out)[1]
        given = (f"{part.name} = {values[part.name]:#x}" for part in face.fields(done.low) if part.out)
        return "".join(f" {each}." for each in given)

    def draw(self, m: Machine, events: list[Event]) -> None:
        """What the hypervisor would answer now."""
        self._tell(m)
