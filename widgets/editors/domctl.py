"""The hypercall by hand: create, destroy, query; its bytes both ways, its errno with the reason, the xl line.

The forms are drawn from the tables of `vsim.devices.viommu`. Form, bytes and xl line are three views of one structure:
a change of one changes the others. Nothing is sent before "issue".
"""

from __future__ import annotations

import re
from typing import Any

import ipywidgets as W

from vsim.devices import viommu
from vsim.layouts.interfaces import Caps, Errno, Op, Part, known
from vsim.readers import xl
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.trace import Act, Event
from widgets.editors.fields import parse_number
from widgets.lab.panel import Panel, flow, line

TITLES = {Op.CREATE: "create", Op.DESTROY: "destroy", Op.QUERY_CAPS: "query capabilities"}
MEANING = {
    "viommu_type": "device model: " + "the value that means INTEL_VTD depends on the version (1, from version 3 on 0)",
    "base_address": "guest-physical address of the register page, a multiple of 4096",
    "length": "bytes of the register page: 4096",
    "capabilities": "asked for: " + ", ".join(f"bit {c.value.bit_length() - 1} is {c.name}" for c in Caps),
    "viommu_id": "number of the vIOMMU", "caps": "what the device model can do"}
"""Members of the structure in words (X 2.2)."""
MOST_BYTES = 128
STARTS = ("'", '"', "[")
"""How the value of an option begins; a line without is the text alone."""


def dump(data: bytes) -> str:
    """Bytes in hexadecimal, 16 a line, with their offsets."""
    rows = (data[at:at + 16] for at in range(0, len(data), 16))
    return "\n".join(f"{16 * n:02x}  {row[:8].hex(' '):<23}  {row[8:].hex(' ')}".rstrip() for n, row in enumerate(rows))


def undump(text: str) -> bytes:
    """The bytes of a dump, or of plain hexadecimal. ValueError tells line and column of what is neither."""
    out = bytearray()
    for number, row in enumerate(text[:4096].splitlines(), 1):
        offset = re.match(r"\s*[0-9a-fA-F]{2,4}(?:  |:)", row)
        for word in re.finditer(r"\S+", row[offset.end():] if offset else row):
            if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", word.group()):
                column = word.start() + 1 + (offset.end() if offset else 0)
                found = word.group()[:20]
                raise ValueError(f"bytes, line {number}, column {column}: {found!a} is no pair of hex digits")
            out += bytes.fromhex(word.group())
    if len(out) > MOST_BYTES:
        raise ValueError(f"bytes: found {len(out)}; the limit is {MOST_BYTES}")
    return bytes(out)


def xl_line(values: dict[str, int], version: str = "v1") -> tuple[str, list[str]]:
    """The `viommu` option that makes this version's xl create it, and a sentence for everything that it cannot say."""
    grammar, face = xl.GRAMMARS[version], known(version)
    remaps = bool(values["capabilities"] & Caps.IRQ_REMAPPING)
    kind = grammar.types[0] if values.get("viommu_type", face.type_value) == face.type_value else "?"
    notes = [] if kind != "?" else [f"xl has no name for viommu_type {values['viommu_type']:#x}."]
    notes += [f"xl always takes {name} {given:#x}." for name, given in
              (("base_address", grammar.base), ("length", grammar.length)) if values.get(name, given) != given]
    notes += ["xl asks for no other capability."] if values["capabilities"] & ~int(Caps.IRQ_REMAPPING) else []
    notes += ["This version's xl refuses a vIOMMU without interrupt remapping."] if grammar.on and not remaps else []
    notes += ["The key x2apic is no part of the hypercall: it becomes a flag of the DMAR table."
              ] if "x2apic" in grammar.switches else []
    text = f'"type={kind},intremap={int(remaps)}"'
    return f"viommu = [ {text} ]" if grammar.form == "list" else f"viommu = {text}", notes


def from_xl(text: str, version: str = "v1") -> tuple[dict[str, int], list[str]]:
    """The members of "create" that a version's xl would send for a line of a configuration, and what xl says of it.

    A line in the form of another version is taken, with a note. ConfigError tells what is wrong.
    """
    whole = text if re.match(r"\s*viommu\s*=", text) else f"viommu = {text if text[:1] in STARTS else repr(text)}"
    read = xl.parse(whole, "xl line", version)
    wanted = read.viommu
    if wanted is None:
        raise ValueError(f"xl line: found no viommu option; write {xl_line(_usual(version), version)[0]}")
    values = {"base_address": wanted.base or 0, "length": wanted.length or 0,
              "capabilities": int(Caps.IRQ_REMAPPING) if wanted.intremap else 0}
    return _usual(version) | {name: value for name, value in values.items() if name in _usual(version)}, [
        f"{note[:1].upper()}{note[1:]}." for note in read.notes if "viommu" in note or "version" in note]


def _usual(version: str) -> dict[str, int]:
    """The members of "create" that the toolstack sends (X 11.1)."""
    values = viommu.decode(version, viommu.create_op(version=version))[1]
    return {part.name: values[part.name] for part in known(version).fields(Op.CREATE) if not part.out}


def foretold(m: Machine, body: bytes) -> tuple[str, str]:
    """(sentence, kind) about what the hypervisor will answer to these bytes; the machine stays as it is."""
    face = viommu.interface(m)
    if not face.size <= len(body) <= MOST_BYTES:
        return f"EFAULT: {len(body)} bytes; the structure has {face.size}.", "bad"
    command, values = viommu.decode(face.name, body)
    copy = m.copy()
    row = viommu.check(copy, command, values)
    failed = viommu.operate(m.copy(), body)[0]
    if not failed:
        return "It will be done.", "good"
    why = row.sentence if row else f"There is no sub-command {command:#x}."
    single = row is not None and len({errno for _, _, errno in face.checks}) == 1
    coded = " (version 1 as coded has one errno for every failure)" if single else ""
    return f"It will be refused with {named(failed)}{coded}: {why}", "bad"


def named(number: int) -> str:
    """An errno with its number, e.g. "ERANGE (34)"."""
    return f"{Errno(number).name if number in tuple(Errno) else 'unknown'} ({number})"


class DomctlPanel(Panel):
    """One form for the three sub-commands."""

    title = "domctl"

    def build(self) -> tuple[W.Widget, ...]:
        """Sub-command, members, bytes, xl line, answer."""
        self.op = W.ToggleButtons(options=[(title, op) for op, title in TITLES.items()], description="sub-command",
                                  style={"description_width": "90px", "button_width": "auto"},
                                  tooltips=["a new vIOMMU", "remove one", "what a type can do"])
        self.controls: dict[Op, dict[str, W.Text]] = {op: {p.name: self._control(p) for p in self._parts(op)}
                                                      for op in Op}
        self.forms = {op: W.VBox([flow(control, W.HTML(line(MEANING.get(name, ""), "muted")))
                                  for name, control in self.controls[op].items()]) for op in Op}
        self.bytes = W.Textarea(description="bytes in", continuous_update=False, rows=4,
                                tooltip="the structure, little endian; edit it, and the form follows",
                                layout=W.Layout(width="100%", max_width="560px"), style={"description_width": "90px"})
        self.bytes.add_class("vsim-mono")
        self.xl = W.Text(description="in xl.cfg", continuous_update=False, style={"description_width": "90px"},
                         tooltip="the option that makes xl create this; edit it, and the form follows",
                         layout=W.Layout(width="100%", max_width="560px"))
        self.xl.add_class("vsim-mono")
        self.xl_notes, self.before, self.answer = W.HTML(), W.HTML(), W.HTML()
        self._showing = False
        self._fill(viommu.create_op(version=viommu.interface(self.lab.machine).name))
        self.watch(self.op, self._from_form)
        self.watch(self.bytes, self._from_bytes)
        self.watch(self.xl, self._from_xl)
        return (self.op, *self.forms.values(), self.bytes, self.xl, self.xl_notes, self.before,
                flow(self.button("issue", self.issue, "the toolstack issues the hypercall", "primary")), self.answer)

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
            self.before.value = line(*foretold(self.lab.machine, body))
        finally:
            self._showing = False

    def _fill_form(self, op: Op, values: dict[str, int]) -> None:
        self.op.value = op
        for name, control in self.controls[op].items():
            control.value = f"{values[name]:#x}"
            control.remove_class("vsim-wrong")
        for each, form in self.forms.items():
            form.layout.display = "" if each is op else "none"
        self.xl.disabled = op is not Op.CREATE
        version = viommu.interface(self.lab.machine).name
        self.xl.value, notes = xl_line(values, version) if op is Op.CREATE else ("", ["xl has no option for this."])
        self.xl_notes.value = "".join(line(note, "muted") for note in notes)

    def _from_form(self) -> None:
        if self._showing:
            return
        op, values = self.op.value, dict[str, int]()
        for part in self._parts(op):
            control = self.controls[op][part.name]
            control.add_class("vsim-wrong")
            values[part.name] = parse_number(control.value, (1 << 8 * part.width) - 1, control.description)
            control.remove_class("vsim-wrong")
        self._fill(viommu.encode(viommu.interface(self.lab.machine).name, op, **values))

    def _from_bytes(self) -> None:
        if not self._showing:
            self._fill(undump(self.bytes.value))

    def _from_xl(self) -> None:
        if not self._showing:
            name = viommu.interface(self.lab.machine).name
            values, notes = from_xl(self.xl.value, name)
            self._fill(viommu.encode(name, Op.CREATE, **values))
            self.xl_notes.value += "".join(line(note, "warn") for note in notes)

    # --- sending it -------------------------------------------------------------------------------------------

    def issue(self) -> None:
        """The toolstack issues it; the answer is shown with its bytes."""
        m, body = self.lab.machine, self._body
        expected = foretold(m, body)[0]
        version = viommu.interface(m).name
        events = self.lab.issue(commands.Domctl(body))
        done = next((event for event in events if event.act == Act.DOMCTL), None)
        if done is None:
            self.answer.value = line("The machine is dead: only a reset helps.", "bad")
            return
        out = viommu.reply(version, body, done.index, done.high)
        self.answer.value = self._told(done, expected, out)

    def _told(self, done: Event, expected: str, out: bytes) -> str:
        if done.index:
            why = expected.partition(": ")[2]
            head = line(f"Refused: -{named(done.index)}. {why}", "bad")
        else:
            head = line("Done: 0." + self._returned(done, out), "good")
        return f"{head}<h4>bytes out</h4><pre>{dump(out)}</pre>"

    def _returned(self, done: Event, out: bytes) -> str:
        face = viommu.interface(self.lab.machine)
        values: dict[str, Any] = viommu.decode(face.name, out)[1]
        given = (f"{part.name} = {values[part.name]:#x}" for part in face.fields(done.low) if part.out)
        return "".join(f" {each}." for each in given)

    def draw(self, m: Machine, events: list[Event]) -> None:
        """What the hypervisor would answer now."""
        self.before.value = line(*foretold(m, self._body))
