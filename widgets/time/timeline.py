"""Time on the bench: play, step, go back, jump; the table of what happened; and why an interrupt went as it did.

Every button is a move of the Lab's cursor. How fast the page plays changes nothing of what the machine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape

import ipywidgets as W

from vsim.explain.interrupt import FAILED, NOT_REACHED, CheckRow, Explanation, explain_in
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.editors.entries import MARKS
from widgets.lab.panel import Panel, flow, line
from widgets.time import happened, rows, scrub
from widgets.time.moments import EVENT, GRAINS, INTERRUPT, Moment, Moments, delivers_to, is_fault
from widgets.time.scrub import Scrub

PACES = {"1 a second": 1.0, "2 a second": 0.5, "5 a second": 0.2, "10 a second": 0.1}
"""Seconds between two steps while playing."""
STORM_PAUSE = 1.0
"""Seconds between two drawings while a storm goes on: tables wait for its end."""
CSS = rows.CSS + scrub.CSS + """
.vsim-when{display:flex;flex-flow:row wrap;gap:4px 16px;align-items:flex-start}
.vsim-what{flex:3 1 420px;min-width:0;max-width:100%}
.vsim-why{flex:2 1 340px;min-width:0;max-width:100%}
.vsim-why div[role=region]{max-height:380px;overflow:auto}
.vsim-why ol{margin:2px 0;padding-left:22px}
.vsim-why li{margin:2px 0;overflow-wrap:anywhere}
.vsim-why li.rest{opacity:.85;color:var(--vsim-muted)}
.vsim-scrub{flex:1 1 260px}
"""


def reasons(told: Explanation) -> str:
    """An interrupt's way and the checks on it, as HTML that scrolls by itself."""
    way = "".join(f"<li>{escape(each)}</li>" for each in told.sentences)
    checks = "".join(map(_check, told.checks))
    made = f"<h4>The checks, in order, each with what it stops at</h4><ol>{checks}</ol>"
    none = line("No remapping unit took part.", "muted")
    return (f'<div role="region" tabindex="0" aria-label="Why"><ol>{way}</ol>{made if checks else none}'
            + line(f"Read: {', '.join(told.sections)}", "muted") + "</div>")


def _check(row: CheckRow) -> str:
    """A check: its outcome and name, what it looked at, what it says, where that stands."""
    looked = ", ".join(f"{each.name}={each.value:#x}" for each in row.operands if each.value is not None)
    kind = {FAILED: "bad", NOT_REACHED: "muted"}.get(row.outcome, "good")
    rest = " class=\"rest\"" if row.outcome == NOT_REACHED else ""
    return (f'<li{rest}><span class="vsim-{kind}">{escape(MARKS[row.outcome])}</span> {escape(row.name)} '
            f'<code>{escape(looked)}</code><br><span class="vsim-muted">{escape(row.sentence)} '
            f'VT-d {escape(row.section)}.</span></li>')


class Timeline(Panel):
    """The cursor of a Lab, and what lies around it."""

    title = "time"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """Transport, scrubber and jumps in rows; below them what happened, and why."""
        self.moments = Moments(self.lab.history)
        self._playing: asyncio.TimerHandle | None = None
        self._filling, self._moving, self._fresh = False, False, True
        self.rows, self.why = rows.Rows(), W.HTML()
        self.rows.add_class("vsim-what")
        self.why.add_class("vsim-why")
        self.watch(self.rows, self._row_chosen, "chosen")
        both = W.Box([self.rows, self.why])
        both.add_class("vsim-when")
        self.follow("serial", self._serial_chosen)
        return (self._transport(), self._scrubber(), self._filters(), both)

    def _transport(self) -> W.Widget:
        short = {"description_width": "52px"}
        self.grain = W.Dropdown(options=GRAINS, value=INTERRUPT, description="step by", style=short,
                                layout=W.Layout(width="160px"), tooltip="how far a step goes")
        self.pace = W.Dropdown(options=list(PACES), value="2 a second", description="pace", style=short,
                               layout=W.Layout(width="160px"), tooltip="steps a second while playing")
        self.play_button = W.ToggleButton(description="▶ play", tooltip="step on and on, until the end",
                                          layout=W.Layout(width="84px"))
        self.watch(self.play_button, self._play)
        self.back_button = self.button("◀ back", lambda: self.step(-1), "one step back")
        self.forth_button = self.button("step ▶", lambda: self.step(1), "one step forward")
        self.vcpu = W.BoundedIntText(min=0, max=self.lab.machine.vcpus - 1, description="vCPU", style=short,
                                     layout=W.Layout(width="120px"), tooltip="whose deliveries are jumped to")
        self.follow("vlapic", self._vlapic_chosen)
        return flow(self.back_button, self.play_button, self.forth_button, self.grain, self.pace,
                    self.button("◀ fault", lambda: self.jump(is_fault, -1), "the fault before"),
                    self.button("fault ▶", lambda: self.jump(is_fault, 1), "the next fault"),
                    self.button("◀ delivery", lambda: self._delivery(-1), "the delivery before, to this vCPU"),
                    self.button("delivery ▶", lambda: self._delivery(1), "the next delivery to this vCPU"), self.vcpu)

    def _scrubber(self) -> W.Widget:
        self.slider = Scrub(label="commands done")
        self.slider.add_class("vsim-scrub")
        self.where = W.HTML()
        self.watch(self.slider, self._scrubbed)
        return flow(self.slider, self.where)

    def _filters(self) -> W.Widget:
        self.shape = W.Dropdown(options=[("events", EVENT), ("interrupts", INTERRUPT)], value=INTERRUPT,
                                description="rows are", style={"description_width": "56px"},
                                layout=W.Layout(width="170px"), tooltip="what a row of the table stands for")
        self.serial = W.BoundedIntText(min=0, max=0, description="interrupt", continuous_update=False,
                                       style={"description_width": "60px"}, layout=W.Layout(width="150px"),
                                       tooltip="number of the interrupt that is explained; 0 for none")
        self.only = W.Checkbox(value=False, description="only its events", indent=False,
                               layout=W.Layout(width="auto"), tooltip="leave everything else out of the table")
        self.watch(self.serial, self._serial_typed)
        for control in (self.shape, self.only):
            self.watch(control, self._list)
        return flow(self.shape, self.serial, self.only)

    # --- moving -----------------------------------------------------------------------------------------------

    def go(self, moment: Moment | None) -> None:
        """Move the Lab's cursor, and look at the interrupt of the event there. ValueError for None."""
        if moment is None:
            raise ValueError("there is none on this side of the cursor")
        with self.lab.lock:
            if moment.position != self.lab.position:
                self._moving = True  # it is drawn below, once
                try:
                    self.lab.goto(moment.position)
                finally:
                    self._moving = False
            self.moments.seen = moment.seen
            event = self._event_there()
            if event is not None and event.serial:
                self.lab.selection.serial = event.serial
            self._draw_now()

    def _event_there(self) -> Event | None:
        """The event that was told last; but for steps by event the last one that belongs to an interrupt."""
        event, now = self.moments.event, self.moments.now
        if self.grain.value == EVENT:
            return event
        told = self.moments.events_of(now.position)[:now.seen]
        return next((each for each in reversed(told) if each.serial), event)

    def step(self, by: int) -> None:
        """One step of the chosen grain forward (1) or back (-1). ValueError at the end."""
        with self.lab.lock:
            self.go(self.moments.step(self.grain.value, by))

    def jump(self, wanted: Callable[[Event], bool], by: int) -> None:
        """To the nearest wanted event after the cursor (1) or before it (-1). ValueError when there is none."""
        with self.lab.lock:
            self.go(self.moments.find(wanted, by))

    def _delivery(self, by: int) -> None:
        self.jump(delivers_to(self.vcpu.value), by)

    def _scrubbed(self) -> None:
        if not self._filling:
            self.go(self.moments.end_of(self.slider.value))

    # --- playing ----------------------------------------------------------------------------------------------

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return self._playing is not None

    def _play(self) -> None:
        if self.play_button.value and self._playing is None:
            self._go_on()
        elif not self.play_button.value:
            self.pause()

    def pause(self) -> None:
        """Play no further."""
        if self._playing is not None:
            self._playing.cancel()
        self._playing, self.play_button.value = None, False

    def _go_on(self) -> None:
        """One step now, the next after the pace. At the end, or where no event loop runs, it pauses."""
        self._playing = None
        try:
            loop = asyncio.get_running_loop()
            self.step(1)
            self.moments.step(self.grain.value, 1)  # is there another?
        except (RuntimeError, ValueError) as error:
            self.pause()
            self.say(str(error), "muted")
        else:
            if self.play_button.value:  # nobody has paused it during the step
                self._playing = loop.call_later(PACES[self.pace.value], self.guarded, self._go_on)

    # --- choosing ---------------------------------------------------------------------------------------------

    def _row_chosen(self) -> None:
        if self.rows.chosen and not self._filling:
            self.lab.selection.serial = self.rows.chosen

    def _serial_typed(self) -> None:
        if not self._filling:
            self.lab.selection.serial = self.serial.value

    def _serial_chosen(self) -> None:
        self._fresh = False
        self._list()

    def _vlapic_chosen(self) -> None:
        if 0 <= self.lab.selection.vlapic <= self.vcpu.max:
            self.vcpu.value = self.lab.selection.vlapic

    # --- drawing ----------------------------------------------------------------------------------------------

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        self.moments.seen = None
        self._fresh = self._fresh or kind == "issued"
        if not self._moving:
            super()._changed(kind, events, machine)

    def draw(self, m: Machine, events: list[Event]) -> None:
        """Where the cursor is; tables and reasons wait while a storm goes on."""
        here, last = self.moments.now, len(self.lab.history)
        self._fill(here, last, m)
        if any(storm.sent < storm.count for storm in self.lab.storms):
            self._wait()
            return
        if self._fresh:
            self._fresh = False
            newest = self.lab.selection.serial or m.serials
            self.lab.selection.serial = next((each.serial for each in events if each.serial), newest)
        self._list()

    def _wait(self) -> None:
        """A storm: look again a little later, and at its end in any case."""
        self._fresh = True
        try:
            self._timer = asyncio.get_running_loop().call_later(STORM_PAUSE, self._draw_now)
        except RuntimeError:
            return

    def _fill(self, here: Moment, last: int, m: Machine) -> None:
        self._filling = True
        try:
            with self.slider.hold_sync():  # one message
                self.slider.max = max(1, last)
                self.slider.value, self.slider.disabled = here.position, not last
            self.serial.max = max(self.lab.selection.serial, m.serials)
        finally:
            self._filling = False
        part = f", event {here.seen} of {len(self.moments.events_of(here.position))}" if here.position else ""
        self.where.value = line(f"{here.position:,} of {last:,}{part}; {m.clock / 1e6:,.3f} ms", "muted")
        self.back_button.disabled = here == Moment(0, 0)
        self.forth_button.disabled = here == self.moments.end_of(last)

    def _list(self) -> None:
        """The table around the cursor, and the reasons of the chosen interrupt."""
        chosen = self.lab.selection.serial
        self._filling = True
        try:
            self.serial.max = max(self.serial.max, chosen)
            self.serial.value = self.rows.chosen = chosen
            if self.only.value and chosen:
                self.rows.show(f"Events of interrupt {chosen}", happened.EVENT_HEADS,
                               happened.event_rows(self.moments, chosen))
            elif self.shape.value == EVENT:
                self.rows.show("Events", happened.EVENT_HEADS, happened.event_rows(self.moments))
            else:
                self.rows.show("Interrupts", happened.INTERRUPT_HEADS, happened.interrupt_rows(self.moments))
        finally:
            self._filling = False
        self._explain(chosen)

    def _explain(self, serial: int) -> None:
        try:
            position = self.lab.history.position_of(serial)
        except ValueError:
            self.why.value = line("Choose an interrupt: here will be its way, and every check on it.", "muted")
            return
        told = explain_in(self.lab.history, serial)
        later = line("It is undone: the cursor stands before it.", "warn") if position >= self.lab.position else ""
        self.why.value = f"<h4>Interrupt {serial}: {escape(told.verdict)}</h4>{later}{reasons(told)}"

    def close(self) -> None:
        """Play no further, and leave the Lab."""
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None
        super().close()
