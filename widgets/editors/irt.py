"""The interrupt remapping table: find an entry, edit it, see the verdict beforehand, commit it as a guest does.

A guest changes an entry in memory and then tells the unit by an invalidation. Until then the unit may go on with the
copy in its cache; this panel shows both, and says which of them a request would meet.
"""

from __future__ import annotations

from html import escape

import ipywidgets as W

from vsim.devices import msi
from vsim.explain import interrupt as explain
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE, IRTE_POSTED, remap_message
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.editors.entries import (
    BY_DEVICE,
    BY_INDEX,
    BY_VCPU,
    EVERYTHING,
    MOST_FOUND,
    Request,
    base,
    cached,
    checks_table,
    described,
    entries,
    find,
    invalidate_commands,
    stale,
    stored,
    used,
    verdict,
    with_entry,
    write_commands,
)
from widgets.editors.fields import Fields, parse_number
from widgets.editors.registers import CSS
from widgets.lab.panel import Panel, flow, line

WITH, WITHOUT = "and invalidate", "without invalidation"
_OWN, _FREE = "message of this entry, from its sid", "another request"


class IrtPanel(Panel):
    """Find, edit, preview, commit."""

    title = "IRT"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """Search and list to the left; editor, preview and commit to the right."""
        narrow = {"description_width": "55px"}
        self.by = W.Dropdown(options=[EVERYTHING, BY_INDEX, BY_DEVICE, BY_VCPU], description="find by", style=narrow,
                             layout=W.Layout(width="190px"), tooltip="how entries are looked for")
        self.text = W.Text(description="value", placeholder="12, 03:00.0", continuous_update=False, style=narrow,
                           layout=W.Layout(width="190px"), tooltip="an index, a device, or a vCPU")
        self.list = W.Select(options=[], rows=10, description="entry", layout=W.Layout(width="auto"),
                             tooltip="entries found")
        self.list.add_class("vsim-mono")
        self.head, self.found, self.answer = W.HTML(), W.HTML(), W.HTML()
        self.holder, self.index = W.VBox(), -1
        self.editor: Fields | None = None
        self._base = 0
        self._filling = False
        left, right = W.VBox([flow(self.by, self.text), self.list, self.found]), W.VBox(
            [self.head, self.holder, *self._build_preview(), *self._build_commit(), self.answer])
        left.add_class("vsim-list")
        right.add_class("vsim-edit")
        pair = W.Box([left, right])
        pair.add_class("vsim-pair")
        self._connect()
        return (pair,)

    def _build_preview(self) -> tuple[W.Widget, ...]:
        wide = {"description_width": "70px"}
        self.request = W.Dropdown(options=[_OWN], description="request", style=wide, layout=W.Layout(width="330px"),
                                  tooltip="the request whose verdict is previewed")
        self.requester = W.Text(value="00:00.0", description="requester", continuous_update=False, style=wide,
                                layout=W.Layout(width="180px"), tooltip="bus:device.function of who sends")
        self.address = W.Text(description="address", continuous_update=False, style=wide,
                              layout=W.Layout(width="220px"), tooltip="64-bit address of the message")
        self.data = W.Text(value="0", description="data", continuous_update=False, style={"description_width": "40px"},
                           layout=W.Layout(width="150px"), tooltip="32-bit data of the message")
        self.preview = W.HTML()
        return (flow(self.request, self.requester, self.address, self.data), self.preview)

    def _build_commit(self) -> tuple[W.Widget, ...]:
        self.commit_with = self.button(f"write {WITH}", lambda: self.commit(True),
                                       "store the entry, then tell the unit to forget its copy", "primary")
        self.commit_without = self.button(f"write {WITHOUT}", lambda: self.commit(False),
                                          "store the entry and tell nobody: the mistake to try")
        self.only_invalidate = self.button("invalidate only", self.invalidate, "tell the unit to forget its copy")
        self.send = self.button("send this request", self.fire, "the request of the preview, for real")
        return (flow(self.commit_with, self.commit_without, self.only_invalidate, self.send),)

    def _connect(self) -> None:
        self.watch(self.by, self._search)
        self.watch(self.text, self._search)
        self.watch(self.list, self._picked)
        self.watch(self.request, self._request_chosen)
        for box in (self.requester, self.address, self.data):
            self.watch(box, self._foretell)
        self.follow("irte", self._follow)

    # --- finding ----------------------------------------------------------------------------------------------

    @property
    def unit(self) -> int:
        """The unit that is looked at."""
        return int(self.lab.selection.unit)

    def _search(self) -> None:
        m = self.lab.machine
        self.text.disabled = self.by.value == EVERYTHING
        if self.by.value != EVERYTHING and not self.text.value.strip():
            return
        found = find(m, self.unit, self.by.value, self.text.value)
        self._fill(found)
        if found and self.index not in found:
            self.choose(found[0])

    def _fill(self, found: list[int]) -> None:
        m, self._filling = self.lab.machine, True
        try:
            options = [(described(m, self.unit, index), index) for index in found]
            if self.list.options != tuple(options):
                self.list.options = options
        finally:
            self._filling = False
        self._mark()
        more = ", the first are listed" if len(found) == MOST_FOUND else ""
        count = f"{len(found)} entries{more}" if len(found) != 1 else "1 entry"
        self.found.value = line(f"{count}; table of {entries(m, self.unit)} at {base(m, self.unit):#x}"
                                if entries(m, self.unit) else "No table is in use.", "muted")

    def _picked(self) -> None:
        if not self._filling and self.list.value is not None:
            self.choose(self.list.value)

    def _follow(self) -> None:
        if 0 <= self.lab.selection.irte < entries(self.lab.machine, self.unit):
            self.choose(self.lab.selection.irte)

    def choose(self, index: int) -> None:
        """Open an entry in the editor. ValueError when the table has no such entry."""
        m = self.lab.machine
        if not 0 <= index < entries(m, self.unit):
            raise ValueError(f"index is {index}; the table has {entries(m, self.unit)} entries")
        if index != self.index:
            self.index = index
            self.lab.selection.irte = index
            self._edit(stored(m, self.unit, index) or 0)
            self.answer.value = ""
            self.request.value = _OWN
            self._own_request()
        self._mark()
        self._show(m)

    def _mark(self) -> None:
        """Show in the list which entry is open."""
        self._filling = True
        try:
            self.list.value = self.index if self.index in [value for _, value in self.list.options] else None
        finally:
            self._filling = False

    # --- editing ----------------------------------------------------------------------------------------------

    def _edit(self, entry: int) -> None:
        """Open an editor in the entry's own format; the one before is closed."""
        layout = IRTE_POSTED if get(entry, IRTE.im) else IRTE
        if self.editor is not None and self.editor.layout_of_bits is layout:
            self._base = entry
            self.editor.value = entry
            return
        if self.editor is not None:
            self.editor.close()
        self._base, self.editor = entry, Fields(layout, entry)
        self.watch(self.editor, self._edited)
        self.holder.children = (self.editor,)

    def _edited(self) -> None:
        if bool(get(self.editor.value, IRTE.im)) is not (self.editor.layout_of_bits is IRTE_POSTED):
            base_entry = self._base
            self._edit(self.editor.value)
            self._base = base_entry
        if self.request.value == _OWN:
            self._own_request()
        self._foretell()

    @property
    def dirty(self) -> bool:
        """Whether the editor holds something else than what it was opened with."""
        return self.editor is not None and self.editor.value != self._base

    # --- the request ------------------------------------------------------------------------------------------

    def _requests(self, m: Machine) -> list[tuple[str, Request | str]]:
        """The messages that devices would send now, as choices."""
        choices: list[tuple[str, Request | str]] = [(_OWN, _OWN), (_FREE, _FREE)]
        for place, function in enumerate(m.bus.functions):
            for number in range(min(4, function.msix_count or function.msi_count)):
                state, address, data = msi.message(m.bus, m.config, m.msix, place, number)
                if state == msi.READY:
                    requester = m.bus.requester(function.bdf)
                    choices.append((f"{bdf_text(function.bdf)} message {number}", (requester, address, data)))
        return choices[:66]

    def _own_request(self) -> None:
        address, data = remap_message(max(0, self.index))
        sid = get(self.editor.value, IRTE.sid) if self.editor is not None else 0
        self._set_request((sid, address, data))

    def _set_request(self, request: Request) -> None:
        self._filling = True
        try:
            self.requester.value, self.address.value = bdf_text(request[0]), f"{request[1]:#x}"
            self.data.value = f"{request[2]:#x}"
        finally:
            self._filling = False

    def _request_chosen(self) -> None:
        chosen = self.request.value
        if chosen == _OWN:
            self._own_request()
        elif isinstance(chosen, tuple):
            self._set_request(chosen)
        for box in (self.requester, self.address, self.data):
            box.disabled = chosen != _FREE
        self._foretell()

    def chosen_request(self) -> Request:
        """The request of the preview. ValueError for text that is none."""
        return (parse_number(self.requester.value, 0xFFFF, "requester"),
                parse_number(self.address.value, (1 << 64) - 1, "address"),
                parse_number(self.data.value, 0xFFFFFFFF, "data"))

    def _foretell(self) -> None:
        """The verdict now, after a write alone, and after a write and an invalidation; with the checks."""
        m = self.lab.machine
        if self._filling or self.editor is None or not entries(m, self.unit):
            return
        request, word = self.chosen_request(), self.editor.value
        cases = [("now", m)]
        if self.dirty:
            cases += [(name, with_entry(m, self.unit, self.index, word, told)) for name, told in
                      ((f"written {WITHOUT}", False), ("written and invalidated", True))]
        told = "".join(self._case(name, machine, request) for name, machine in cases)
        rows = explain.why(cases[-1][1], self.unit, *request)
        self.preview.value = f"<h4>What the unit would do with it</h4>{told}{checks_table(rows)}"

    def _case(self, name: str, m: Machine, request: Request) -> str:
        sentence, kind = verdict(m, self.unit, request)
        return (f'<p><span class="vsim-muted">{escape(name)}:</span> '
                f'<span class="vsim-{kind}">{escape(sentence)}</span></p>')

    # --- committing -------------------------------------------------------------------------------------------

    def commit(self, told: bool) -> None:
        """Store the entry; told: and invalidate it."""
        m = self.lab.machine
        if self.editor is None:
            raise ValueError("no entry is chosen")
        wanted, word = write_commands(m, self.unit, self.index, self.editor.value), self.editor.value
        if told:
            wanted += invalidate_commands(m, self.unit, self.index)
        self._base = word
        self.lab.issue(*wanted)
        if stale(self.lab.machine, self.unit, self.index):
            self.answer.value = line(f"Entry {self.index} is written; the unit still has the old one in its cache "
                                     "and will use that.", "warn")
        else:
            self.answer.value = line(f"Entry {self.index} is written; no old copy of it is left.", "good")

    def invalidate(self) -> None:
        """Tell the unit to forget its copy."""
        if self.index < 0:
            raise ValueError("no entry is chosen")
        self.lab.issue(*invalidate_commands(self.lab.machine, self.unit, self.index))
        self.answer.value = line(f"The unit was told to forget entry {self.index}.", "good")

    def fire(self) -> None:
        """Send the request of the preview."""
        with self.lab.gesture():
            events = self.lab.issue(commands.Msi(*self.chosen_request()))
            self.lab.kernel.take(events)
        self.answer.value = line("Sent: the verdict is in the event table.", "muted")

    # --- drawing ----------------------------------------------------------------------------------------------

    def draw(self, m: Machine, events: list[Event]) -> None:
        """List and preview of now; an entry that is being edited keeps the reader's bits."""
        count = entries(m, self.unit)
        for control in (self.commit_with, self.commit_without, self.only_invalidate, self.send):
            control.disabled = not count
        if not count:
            self._fill([])
            self.index, self.holder.children = -1, ()
            if self.editor is not None:
                self.editor.close()
                self.editor = None
            self.preview.value = self.answer.value = ""
            why = "No table is in use yet: boot the guest, or set IRTA and SIRTP." if m.live(self.unit) else (
                "There is no vIOMMU: create one with a domctl.")
            self.head.value = line(why, "warn")
            return
        self._fill(find(m, self.unit, self.by.value, self.text.value) if self._searchable() else [])
        if not 0 <= self.index < count:
            self.index = -1
            wanted = self.lab.selection.irte
            self.choose(wanted if 0 <= wanted < count else next(used(m, self.unit), 0))
        elif not self.dirty:
            self._edit(stored(m, self.unit, self.index) or 0)
        self._show(m)

    def _searchable(self) -> bool:
        return self.by.value == EVERYTHING or bool(self.text.value.strip())

    def _show(self, m: Machine) -> None:
        """The heading, with a stale copy in words, and the choices of requests."""
        where = base(m, self.unit) + 16 * self.index
        head = line(f"Entry {self.index} of {entries(m, self.unit)}, at {where:#x}", "muted")
        copy = cached(m, self.unit, self.index)
        if copy is None:
            head += line("The unit has no copy of it: the next request reads memory.", "muted")
        elif stale(m, self.unit, self.index):
            layout = IRTE_POSTED if get(copy, IRTE.im) else IRTE
            head += line(f"STALE: the unit uses its cached copy, {layout.text(copy)}; memory differs.", "bad")
        else:
            head += line("The unit has a copy of it, equal to memory.", "muted")
        self.head.value = head
        self._filling = True
        try:
            choices = self._requests(m)
            if tuple(self.request.options) != tuple(choices):
                chosen = self.request.value
                self.request.options = choices
                self.request.value = chosen if chosen in [value for _, value in choices] else _OWN
        finally:
            self._filling = False
        self._foretell()
