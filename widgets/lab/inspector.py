"""The Inspector: paste what you have, or choose files; see what it is, what does not fit, and send its faults again.

    Inspector()                 # an empty one, with a box to paste into
    lab.paste                   # the same on a Lab that was made from dumps

Files are read as soon as they are chosen. The machine that follows is on a map below; a report and the texts without
names are saved from the page. It reads with `vsim.findings`. Nothing that is pasted is evaluated, and it reaches the
page as text alone.
"""

from __future__ import annotations

import ipywidgets as W

from vsim.findings import tell
from vsim.findings.assumed import WORD
from vsim.findings.catalogue import Examined, examine
from vsim.findings.clean import cleaned
from vsim.findings.rebuild import Replayed, replay, request_of
from vsim.layouts.bits import bdf_text
from vsim.readers.linux_faults import Fault
from vsim.readers.pieces import text_of
from vsim.state.arrays import Machine
from vsim.state.profile import PROFILES
from vsim.state.trace import Event
from widgets.lab import views
from widgets.lab.lab import Lab
from widgets.lab.panel import Panel, flow, line, saving, scrolling, table

MAX_CHARACTERS = 16 << 20
"""Longest paste."""
MAX_ROWS = 200
"""Rows of a table that are shown."""
_KINDS = {"broken": "bad", "doubt": "warn", "note": "muted"}


class Inspector(Panel):
    """Texts in; pieces, the machine, findings out; faults sent again on the Lab that is made of them."""

    title = "paste"

    def __init__(self, lab: Lab | None = None) -> None:
        """lab: one that `Lab.from_machine` made, whose texts are shown; without one the panel starts empty."""
        self.found: Examined | None = lab.dumped.examined if lab is not None and lab.dumped else None
        self.made: Lab | None = lab if self.found else None
        self._sources = list(lab.dumped.sources) if lab is not None and lab.dumped else []
        super().__init__(lab if lab is not None else Lab(Machine(PROFILES["spec"], 1), title="nothing pasted"))

    def build(self) -> tuple[W.Widget, ...]:
        """The box, the files, the answers."""
        self.box = W.Textarea(placeholder="paste logs and dumps here: dmesg, lspci -vvv, /proc/interrupts, debugfs, "
                              "acpidump, xl debug-keys, QEMU's monitor ...", rows=10, continuous_update=False,
                              layout=W.Layout(width="100%"))
        self.box.add_class("vsim-mono")
        self.files = W.FileUpload(multiple=True, description="files", tooltip="files to read with the text")
        self.clean = W.Checkbox(value=True, indent=False, description="take addresses and names of people and machines "
                                "out first", layout=W.Layout(width="auto"))
        self.pieces, self.findings, self.told, self.saved = W.HTML(), W.HTML(), W.HTML(), W.HTML()
        self.shown_map: W.Widget | None = None
        self.room = W.VBox()
        self.fault = W.Dropdown(options=[("no fault line", -1)], description="fault", disabled=True,
                                layout=W.Layout(width="min(100%, 520px)"), style={"description_width": "40px"})
        self.again = self.button("send it again", self.send, "on the machine that the texts show")
        self.cure = self.button("let it pass", self.apply, "the nearest change, as one gesture")
        self.report = self.button("make a report", self.write_report, "what was read, what does not fit, the faults: "
                                  "one HTML file, to be saved from the page")
        self.cleaned = self.button("take out names", self.write_cleaned, "the texts without addresses and names of "
                                   "people and machines, to be saved from the page")
        for each in (self.again, self.cure, self.report, self.cleaned):
            each.disabled = True
        self.watch(self.fault, self._chosen)
        self.watch(self.files, self._uploaded)
        self.fill()
        go = self.button("read", self.read, "recognise and check", "primary")
        return (self.box, flow(self.files, self.clean, go), self.pieces, self.findings,
                flow(self.fault, self.again, self.cure), self.told, flow(self.report, self.cleaned), self.saved,
                self.room)

    # --- reading ----------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the box and the files. ValueError when there is nothing, or too much."""
        sources: list[tuple[str, bytes | str]] = [("paste", self.box.value)] if self.box.value.strip() else []
        sources += [(str(each["name"])[:80], bytes(each["content"])) for each in self.files.value]
        if not sources:
            raise ValueError("nothing is pasted and no file is chosen; paste a text, or choose a file")
        size = sum(len(data) for _, data in sources)
        if size > MAX_CHARACTERS:
            raise ValueError(f"the texts have {size} characters; the limit is {MAX_CHARACTERS}")
        if self.clean.value:
            sources = [(name, cleaned(name, data)[0]) for name, data in sources]
        self._sources, self.made = sources, None
        self.found = examine(sources)
        self.fill()

    def _uploaded(self) -> None:
        if self.files.value:
            self.read()

    def lab_of(self) -> Lab:
        """The Lab that the texts make, made when it is first asked for. ValueError when they show no machine."""
        if self.made is None:
            self.made = Lab.from_machine(*self._sources)
        return self.made

    def fill(self) -> None:
        """Show what was found."""
        found = self.found
        if found is None:
            return
        rows = tuple((each.text, f"{each.file}:{each.first}-{each.last}", str(each.count))
                     for each in found.pasted.pieces[:MAX_ROWS])
        remarks = "".join(line(f"remark: {each}", "muted") for each in found.pasted.remarks[:20])
        shown = table(("what", "where", "records"), rows, "what was recognised") if rows else \
            line("nothing is recognised in this text", "bad")
        told = f"{_several(len(rows), 'piece')} recognised, {_several(len(found.pasted.remarks), 'remark')}"
        self.pieces.value = "".join(line(each) for each in tell.machine(found.picture)) + (
            f"<details><summary>{told}</summary>{shown}{remarks}</details>" if rows else shown + remarks)
        self.box.rows = 10 if self.box.value.strip() else 3
        parts = [line(f"{each.row.severity}: {each.text}", _KINDS[each.row.severity])
                 + "".join(line(f"{side}", "muted") for side in each.sides[:8]) + line(each.row.todo)
                 for each in found.findings[:MAX_ROWS]]
        self.findings.value = scrolling("".join(parts), "findings", 360) if parts else line(
            "no two texts contradict one another", "good")
        self._offer(found)
        self.saved.value = ""
        self.report.disabled = not found.pasted.pieces
        self.cleaned.disabled = not self._sources
        self._draw_map()

    def _draw_map(self) -> None:
        """The map of the machine, in the place of that of the machine before; none where the texts show no machine."""
        if self.shown_map is not None:
            self.shown_map.close()
        try:
            self.shown_map = self.lab_of().view("map")
            self.shown_map.add_class("vsim-short")
        except ValueError:
            self.shown_map = None
        self.room.children = () if self.shown_map is None else (self.shown_map,)

    def _offer(self, found: Examined) -> None:
        faults = [each for each in found.picture.faults if each.kind == "interrupt" and each.reason > 0][:MAX_ROWS]
        self._faults = faults
        self.fault.options = [(_label(each), place) for place, each in enumerate(faults)] or [("no fault line", -1)]
        self.fault.value = 0 if faults else -1
        self.fault.disabled = self.again.disabled = not faults
        self.cure.disabled = True

    def _chosen(self) -> None:
        self.cure.disabled, self.told.value = True, ""

    # --- faults -----------------------------------------------------------------------------------------------

    def replayed(self) -> Replayed:
        """The chosen fault's request, sent on a copy of the Lab's machine as it is now. ValueError without a fault."""
        if self.fault.value is None or self.fault.value < 0:
            raise ValueError("no fault line is chosen")
        lab = self.lab_of()
        assert lab.dumped
        return replay(lab.dumped.rebuilt, self._faults[self.fault.value], lab.machine)

    def send(self, changed: str = "") -> None:
        """Send the chosen fault's request, which the map shows, and tell what became of it. changed: what was done."""
        told, lab, fault = self.replayed(), self.lab_of(), self._faults[self.fault.value]
        with lab.gesture(name=f"send the request of {bdf_text(fault.rid)} again"):
            lab.kernel.take(lab.issue(request_of(fault)))
        kind = "good" if told.same or told.reason < 0 else "warn"
        met = [f"{WORD}: {each}" for each in told.assumed]
        what = f"refused with {told.reason:#x}, entry {told.index:#x}, requester {bdf_text(told.source)}: {told.note}"
        if told.reason < 0:
            what = f"it passes now: {changed}" if changed else told.note
        self.told.value = (line(what, kind) + (line(f"change: {told.change}") if told.change else "")
                           + "".join(line(each, "muted") for each in met))
        self.cure.disabled = not told.cure

    def apply(self) -> None:
        """Make the change that lets the chosen request pass: one gesture of the Lab."""
        told = self.replayed()
        if not told.cure:
            raise ValueError("there is no change to make")
        with self.lab_of().gesture(name=told.change):
            self.lab_of().issue(*told.cure)
        self.send(told.change)

    # --- saving -----------------------------------------------------------------------------------------------

    def write_report(self) -> None:
        """The report on what was read, as a file to be saved. ValueError when the texts show no machine."""
        self.saved.value = saving("report.html", views.find("report")(self.lab_of()).encode(), "text/html")

    def write_cleaned(self) -> None:
        """The texts without names, each as a file to be saved; a table's bytes have none."""
        links = []
        for name, data in self._sources:
            text, counts = cleaned(name, data)
            if isinstance(text, str):
                whole = text_of(text, name)[0].encode()
                gone = ", ".join(f"{count} {rule}" for rule, count in sorted(counts.items())) or "nothing was left"
                links.append(saving(f"clean-{name.rpartition('/')[2]}.txt".replace(".txt.txt", ".txt"), whole,
                                    "text/plain") + line(f"taken out: {gone}", "muted"))
        self.saved.value = "".join(links)

    def close(self) -> None:
        """Close the map, too."""
        if self.shown_map is not None:
            self.shown_map.close()
        super().close()

    def draw(self, m: Machine, events: list[Event]) -> None:
        """Nothing of it follows the machine."""


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _label(fault: Fault) -> str:
    index = f" entry {fault.index:#x}" if fault.index is not None else ""
    return f"{fault.file}:{fault.line}: {bdf_text(fault.rid)}{index} reason {fault.reason:#x}"
