"""The interrupt remapping table: find an entry, edit it, see the verdict beforehand, commit it as a guest does.

A guest changes an entry in memory and then tells the unit by an invalidation. Until then the unit may go on with the
copy in its cache; this panel shows both, and says which of them a request would meet. Changes that were not written
are kept for each entry, and marked, until they are written or dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from itertools import groupby

import ipywidgets as W

from vsim.devices import msi
from vsim.explain import interrupt as explain
from vsim.explain.sentences import MASKED
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE, IRTE_POSTED, remap_message
from vsim.state import commands
from vsim.state.arrays import Machine
from vsim.state.trace import Drop, Event, Kind, node
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
    met,
    stale,
    stored,
    used,
    users,
    verdict,
    with_entry,
    write_commands,
)
from widgets.editors.fields import Fields, parse_number
from widgets.editors.registers import CSS
from widgets.lab.panel import Panel, close_all, flow, line

WITH, WITHOUT = "and invalidate", "without invalidation"
_OWN, _FREE = "message of this entry, from its sid", "another request"
UNSENT = {msi.MASKED: 0, msi.OFF: Drop.NO_MESSAGE, msi.NO_MASTER: Drop.NO_MASTER}
"""Why a device would not send a message now: the key of `MASKED` by the state of the message."""


def _told(said: tuple[str, str], cases: Iterable[tuple[str, Machine]]) -> str:
    """A verdict as HTML, below all the cases that have it."""
    names = ", ".join(name for name, _ in cases)
    return (f'<p><span class="vsim-muted">{escape(names)}:</span> '
            f'<span class="vsim-{said[1]}">{escape(said[0])}</span></p>')


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
        self.list = W.Select(options=[], rows=8, description="entry", layout=W.Layout(width="auto"),
                             tooltip="entries found")
        self.list.add_class("vsim-mono")
        self.head, self.found, self.answer = W.HTML(), W.HTML(), W.HTML()
        self.holder, self.index = W.VBox(), -1
        self.drafts: dict[int, int] = {}
        self._kept, self._of = dict[int, dict[int, int]](), self.unit
        self._users: dict[int, str] = {}
        self._marked: set[int] = set()
        self.editor: Fields | None = None
        self._base = 0
        self._filling = False
        request, preview = self._build_preview()
        commit, more = self._build_commit()
        self.middle = (commit, self.answer, preview, request, more)
        left, right = W.VBox([flow(self.by, self.text), self.list, self.found]), W.VBox([self.head, self.holder])
        self.found.add_class("vsim-found")
        left.add_class("vsim-list")
        right.add_class("vsim-edit")
        pair = W.Box([left, right])
        pair.add_class("vsim-pair")
        self._connect()
        return (pair,)

    def _build_preview(self) -> tuple[W.Widget, W.Widget]:
        wide = {"description_width": "70px"}
        senders = [(f"{bdf_text(f.bdf)} {f.name[:24]}".strip(), f.bdf) for f in self.lab.machine.bus.functions
                   if f.msix_count or f.msi_count]
        self.request = W.Dropdown(options=[(_OWN, _OWN), *senders, (_FREE, _FREE)], description="request", style=wide,
                                  layout=W.Layout(width="330px"), tooltip="the request whose verdict is previewed")
        self.number = W.BoundedIntText(min=0, max=2047, description="message", style=wide,
                                       layout=W.Layout(width="150px"), tooltip="number of the device's message")
        self.requester = W.Text(value="00:00.0", description="requester", continuous_update=False, style=wide,
                                layout=W.Layout(width="180px"), tooltip="bus:device.function of who sends")
        self.address = W.Text(description="address", continuous_update=False, style=wide,
                              layout=W.Layout(width="220px"), tooltip="64-bit address of the message")
        self.data = W.Text(value="0", description="data", continuous_update=False, style={"description_width": "40px"},
                           layout=W.Layout(width="150px"), tooltip="32-bit data of the message")
        self.preview = W.HTML()
        for box in (self.number, self.requester, self.address, self.data):
            box.layout.display = "none"
        return flow(self.request, self.number, self.requester, self.address, self.data), self.preview

    def _build_commit(self) -> tuple[W.Widget, W.Widget]:
        self.commit_with = self.button(f"write {WITH}", lambda: self.commit(True),
                                       "store the entry, then tell the unit to forget its copy", "primary")
        self.commit_without = self.button(f"write {WITHOUT}", lambda: self.commit(False),
                                          "store the entry and tell nobody: the mistake to try")
        self.only_invalidate = self.button("invalidate only", self.invalidate, "tell the unit to forget its copy")
        self.send = self.button("send this request", self.fire, "the request of the preview, for real")
        self.forget = self.button("drop changes", self.drop, "back to what memory holds")
        return flow(self.commit_with, self.commit_without), flow(self.send, self.only_invalidate, self.forget)

    def _connect(self) -> None:
        self.watch(self.by, self._search)
        self.watch(self.text, self._search)
        self.watch(self.list, self._picked)
        self.watch(self.request, self._request_chosen)
        self.watch(self.number, self._request_chosen)
        for box in (self.requester, self.address, self.data):
            self.watch(box, self._foretell)
        self.follow("irte", self._follow)
        self.follow("unit", self._other_unit)

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
            self._users, self._marked = users(m), set(self.drafts)
            options = [(described(m, self.unit, index, self._users.get(index, ""))
                        + (" ✎" if index in self._marked else ""), index) for index in found]
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

    def _other_unit(self) -> None:
        """Another unit is looked at: what was changed and not written of the former one's table is kept."""
        self._keep()
        self._kept[self._of] = self.drafts
        self._of = self.unit
        self.drafts, self.index = self._kept.pop(self.unit, {}), -1
        self.draw(self.lab.machine, [])

    def choose(self, index: int) -> None:
        """Open an entry in the editor. ValueError when the table has no such entry."""
        m = self.lab.machine
        if not 0 <= index < entries(m, self.unit):
            raise ValueError(f"index is {index}; the table has {entries(m, self.unit)} entries")
        if index != self.index:
            self._keep()
            self.index = index
            self.lab.selection.irte = index
            memory = stored(m, self.unit, index) or 0
            self._edit(self.drafts.pop(index, memory), memory)
            self.answer.value = ""
            self.request.value = _OWN
            self._own_request()
        if self._marked != set(self.drafts):
            self._refill(m)
        self._mark()
        self._show(m)

    def _mark(self) -> None:
        """Show in the list which entry is open."""
        self._filling = True
        try:
            self.list.value = self.index if self.index in [value for _, value in self.list.options] else None
        finally:
            self._filling = False

    def _keep(self) -> None:
        """What was changed and not written is kept for when the entry is opened again."""
        if self.dirty and self.editor is not None:
            self.drafts[self.index] = self.editor.value

    def drop(self) -> None:
        """Back to what memory holds."""
        memory = stored(self.lab.machine, self.unit, self.index) or 0
        self._edit(memory, memory)
        self._edited()

    # --- editing ----------------------------------------------------------------------------------------------

    def _edit(self, entry: int, memory: int) -> None:
        """Open an editor in the entry's own format, compared with what memory holds; the one before is closed."""
        layout = IRTE_POSTED if get(entry, IRTE.im) else IRTE
        self._base = memory
        if self.editor is not None and self.editor.layout_of_bits is layout:
            self.editor.stored = memory
            self.editor.value = entry
            return
        if self.editor is not None:
            self.editor.close()
        self.editor = Fields(layout, entry, memory, middle=self.middle)
        self.watch(self.editor, self._edited)
        self.holder.children = (self.editor,)

    def _edited(self) -> None:
        if self.editor is None:
            return
        if bool(get(self.editor.value, IRTE.im)) is not (self.editor.layout_of_bits is IRTE_POSTED):
            self._edit(self.editor.value, self._base)
        if self.request.value == _OWN:
            self._own_request()
        self._foretell()

    @property
    def dirty(self) -> bool:
        """Whether the editor holds something else than memory did when it was last looked at."""
        return self.editor is not None and self.editor.value != self._base

    # --- the request ------------------------------------------------------------------------------------------

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
        self.number.layout.display = "" if isinstance(chosen, int) else "none"
        for box in (self.requester, self.address, self.data):
            box.layout.display = "" if chosen == _FREE else "none"
        if isinstance(chosen, int):
            function = self.lab.device(chosen)
            self.number.max = (function.msix_count or function.msi_count) - 1
        self._take_request()
        self._foretell()

    def _take_request(self) -> int:
        """Bring the boxes to the request that is chosen; the state of its message, `msi.READY` where it has none."""
        m, chosen, state = self.lab.machine, self.request.value, msi.READY
        if chosen == _OWN:
            self._own_request()
        elif isinstance(chosen, int):
            state, address, data = msi.message(m.bus, m.config, m.msix, m.bus.place(chosen), self.number.value)
            self._set_request((m.bus.requester(chosen), address, data))
        return state

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
        state = self._take_request()
        request, word = self.chosen_request(), self.editor.value
        cases = [("now", m)]
        if self.dirty:
            cases += [(name, with_entry(m, self.unit, self.index, word, told)) for name, told in
                      ((f"written {WITHOUT}", False), ("written and invalidated", True))]
        unsent = line(f"The device sends nothing now; {MASKED[UNSENT[state]]}.", "warn") if state in UNSENT else ""
        told = "".join(_told(*each) for each in groupby(cases, lambda case: verdict(case[1], self.unit, request)))
        rows = explain.why(cases[-1][1], self.unit, *request)
        self.preview.value = (f'<div class="vsim-forecast"><h3>What the unit would do with it</h3>{unsent}{told}</div>'
                              f"{checks_table(rows)}")
        self.forget.disabled = not self.dirty

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
        with self.lab.gesture(name=f"write entry {self.index}{' and invalidate it' if told else ''}"):
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
        with self.lab.gesture(name=f"invalidate entry {self.index}"):
            self.lab.issue(*invalidate_commands(self.lab.machine, self.unit, self.index))
        self.answer.value = line(f"The unit was told to forget entry {self.index}.", "good")

    def fire(self) -> None:
        """Send the request of the preview."""
        request = self.chosen_request()
        with self.lab.gesture(name=f"send a request of {bdf_text(request[0])}"):
            events = self.lab.issue(commands.Msi(*request))
            self.lab.kernel.take(events)
        self.answer.value = line("Sent: the verdict is in the event table.", "muted")

    def close(self) -> None:
        """Close what was lent to the editor, too."""
        super().close()
        for each in self.middle:
            close_all(each)

    # --- drawing ----------------------------------------------------------------------------------------------

    def draw(self, m: Machine, events: list[Event]) -> None:
        """List and preview of now; an entry that is being edited keeps the reader's bits."""
        count = entries(m, self.unit)
        for control in (self.commit_with, self.commit_without, self.only_invalidate, self.send):
            control.disabled = not count
        if not count:
            self.forget.disabled = True
            self._fill([])
            self.index, self.holder.children = -1, ()
            if self.editor is not None:
                self.editor.close()
                self.editor = None
            self.drafts = {}
            self.preview.value = self.answer.value = ""
            why = "No table is in use yet: boot the guest, or set IRTA and SIRTP." if m.live(self.unit) else (
                "There is no vIOMMU: create one with a domctl.")
            self.head.value = line(why, "warn")
            return
        if not 0 <= self.index < count:
            self.index = -1
            looked_at = self.lab.selection
            wanted = looked_at.irte
            if wanted < 0:
                wanted, _ = met(self.lab.history, looked_at.serial or m.serials, self.unit)
            self.choose(wanted if 0 <= wanted < count else next(used(m, self.unit), 0))
        elif self.editor is not None:
            memory = stored(m, self.unit, self.index) or 0
            self._edit(self.editor.value if self.dirty else memory, memory)
        self._refill(m)
        self._show(m)

    def _refill(self, m: Machine) -> None:
        self._fill(find(m, self.unit, self.by.value, self.text.value) if self._searchable() else [])

    def _searchable(self) -> bool:
        return self.by.value == EVERYTHING or bool(self.text.value.strip())

    def _show(self, m: Machine) -> None:
        """The heading, with a stale copy in words, and the choices of requests."""
        where = base(m, self.unit) + 16 * self.index
        head = f"Entry {self.index} of {entries(m, self.unit)}, at {where:#x}"
        copy, more = cached(m, self.unit, self.index), ""
        if copy is None:
            head += "; the unit has no copy."
        elif stale(m, self.unit, self.index):
            layout = IRTE_POSTED if get(copy, IRTE.im) else IRTE
            more = line(f"STALE: the unit uses its cached copy, {layout.text(copy)}; memory differs.", "bad")
        else:
            head += "; the unit's copy is equal."
        head = line(head, "muted") + more
        if self.drafts:
            several = ", ".join(map(str, sorted(self.drafts)[:8]))
            head += line(f"Changed and not written yet: entry {several}.", "warn")
        self.head.value = head + self.assumed(node(Kind.VIOMMU, self.unit))
        self._foretell()
