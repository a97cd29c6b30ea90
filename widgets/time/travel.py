"""The bar of time: play, step, drag and jump. Every move is one of the Lab's cursor.

How fast the page plays changes nothing of what the machine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ipywidgets as W

from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab.panel import flow, line
from widgets.time import bar
from widgets.time.moments import EVENT, GRAINS, INTERRUPT, Moment, delivers_to, is_fault
from widgets.time.reader import Reader
from widgets.time.ticks import Faults, Tick, around, fold, is_boot, lanes, ticks

SPEEDS = {"0.1x": 0.1, "0.25x": 0.25, "0.5x": 0.5, "1x": 1.0, "2x": 2.0, "4x": 4.0}
"""How fast tokens move, and how fast it is played."""
STEP = 0.5
"""Seconds between two steps while playing at 1x."""
CSS = bar.CSS + """
.vsim-travel .vsim-flow{gap:2px 4px}
.vsim-travel button.jupyter-button{padding:0 5px;margin:1px}
.vsim-travel .vsim-where{flex:1 1 0;min-width:0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.vsim-travel .vsim-where .widget-html-content{flex:1 1 0;min-width:0}
.vsim-travel .vsim-where p{margin:0;overflow:hidden;text-overflow:ellipsis}
.vsim-travel .vsim-folded{display:none}
@container (max-width:640px){.vsim-travel .vsim-where{flex-basis:100%}.vsim-travel .vsim-where p{white-space:normal}}
"""


class Travel(Reader):
    """The cursor of a Lab, moved."""

    title = "time"
    css = CSS

    def build(self) -> tuple[W.Widget, ...]:
        """Transport and bar; below them, on demand, what is seldom needed."""
        self.add_class("vsim-travel")
        self._playing: asyncio.TimerHandle | None = None
        self._moving, self._fresh = False, True
        self._ticks: list[Tick] = []
        self._map: Any = None
        self._faults, self._here = Faults(self.moments), self.lab.position
        self.follow("serial", self._serial_chosen)
        self.bar = bar.Bar()
        self.watch(self.bar, self._dragged, "wanted")
        return (self._transport(), self.bar, self._more(), self._jumps())

    def _transport(self) -> W.Widget:
        self.grain = W.Dropdown(options=GRAINS, value=INTERRUPT, description="by", style={"description_width": "18px"},
                                layout=W.Layout(width="118px"),
                                tooltip="how far a step goes")
        self.speed = W.Dropdown(options=SPEEDS, value=1.0, description="speed", style={"description_width": "42px"},
                                layout=W.Layout(width="102px"),
                                tooltip="of tokens, and of playing; no result depends on it")
        self.play_button = self.button("▶ play", self._press_play, "step on and on, until the end")
        self.play_button.add_class("vsim-play")
        self.back_button = self.button("◀ back", lambda: self.step(-1), "one step back")
        self.forth_button = self.button("step ▶", lambda: self.step(1), "one step forward")
        self.watch(self.speed, self._speed_chosen)
        return flow(self.back_button, self.play_button, self.forth_button, self.grain, self.speed)

    def _more(self) -> W.Widget:
        self.lanes = W.ToggleButton(description="lanes", tooltip="who sent and who took, a lane each",
                                    layout=W.Layout(width="auto"))
        self.where = W.HTML()
        self.where.add_class("vsim-where")
        self.watch(self.lanes, self._lanes_chosen)
        return flow(self.button("◀ fault", lambda: self.jump(is_fault, -1), "the fault before"),
                    self.button("fault ▶", lambda: self.jump(is_fault, 1), "the next fault"), self.lanes, self.where,
                    self._futures())

    def _jumps(self) -> W.Widget:
        self.vcpu = W.BoundedIntText(min=0, max=self.lab.machine.vcpus - 1, description="vCPU",
                                     style={"description_width": "40px"}, layout=W.Layout(width="102px"),
                                     tooltip="whose deliveries are jumped to")
        self.follow("vlapic", self._vlapic_chosen)
        self._row = flow(self.button("◀ delivery", lambda: self._delivery(-1), "the delivery before, to this vCPU"),
                    self.button("delivery ▶", lambda: self._delivery(1), "the next delivery to this vCPU"), self.vcpu)
        self._row.add_class("vsim-folded")
        return self._row

    def _futures(self) -> W.Widget:
        self.future = W.Dropdown(description="other future", style={"description_width": "80px"},
                                 layout=W.Layout(width="230px"), tooltip="what another took the place of")
        self._branches = flow(self.future, self.button("reopen", self._reopen, "go on with it; the present is kept"))
        return self._branches

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
            self.stand(moment)
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
        """One step of the chosen grain forward (1) or back (-1), and no further. ValueError at the end."""
        self.pause()
        self._step(by)

    def _step(self, by: int) -> None:
        with self.lab.lock:
            self.go(self.moments.step(self.grain.value, by))

    def jump(self, wanted: Callable[[Event], bool], by: int) -> None:
        """To the nearest wanted event after the cursor (1) or before it (-1), and no further: who looks for something
        wants to stay there. ValueError when there is none."""
        self.pause()
        with self.lab.lock:
            self.go(self.moments.find(wanted, by))

    def _delivery(self, by: int) -> None:
        self.jump(delivers_to(self.vcpu.value), by)

    def _dragged(self) -> None:
        """A page may be behind the times: what is out of range becomes the nearest."""
        wanted = min(max(0, self.bar.wanted[0]), len(self.lab.history))
        self.go(self.moments.end_of(wanted))

    def _reopen(self) -> None:
        if self.future.value is None:
            raise ValueError("there is no other future")
        self.lab.reopen(self.lab.branches[self.future.value])

    # --- playing ----------------------------------------------------------------------------------------------

    def drive(self, picture: Any) -> None:
        """Be the transport of a map too: its speed, its pause, its steps."""
        self._map = picture
        picture.on_step(lambda by: self.guarded(lambda: self.step(by)))
        picture.speed = self.speed.value
        picture.observe(lambda _: self.guarded(self._draw_play), "playing")

    def _speed_chosen(self) -> None:
        if self._map is not None:
            self._map.speed = self.speed.value

    @property
    def held(self) -> bool:
        """Whether the map's tokens stand still."""
        return self._map is not None and not self._map.playing

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return self._playing is not None

    def _press_play(self) -> None:
        if self.playing:
            self.pause()
        elif self.held:
            self._map.playing = True
        elif self.storming and self._map is not None:
            self._map.playing = False
        else:
            self._go_on()

    def pause(self) -> None:
        """Play no further."""
        if self._playing is not None:
            self._playing.cancel()
        self._playing = None
        self._draw_play()

    def _go_on(self) -> None:
        """One step now, the next after a pause. At the end, or where no event loop runs, it ends."""
        self._playing = None
        try:
            loop = asyncio.get_running_loop()
            self._playing = loop.call_later(STEP / self.speed.value, self.guarded, self._go_on)
            self._step(1)
            self.moments.step(self.grain.value, 1)  # is there another?
        except (RuntimeError, ValueError) as error:
            self.pause()
            self.say(str(error), "muted")

    # --- choosing ---------------------------------------------------------------------------------------------

    def _serial_chosen(self) -> None:
        self._fresh = False

    def _lanes_chosen(self) -> None:
        (self._row.remove_class if self.lanes.value else self._row.add_class)("vsim-folded")
        self._tell()

    def _vlapic_chosen(self) -> None:
        if 0 <= self.lab.selection.vlapic <= self.vcpu.max:
            self.vcpu.value = self.lab.selection.vlapic

    # --- drawing ----------------------------------------------------------------------------------------------

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        was, self._here = self._here, self.lab.position
        self._fresh = self._fresh or kind != "moved"
        self.renew()
        if kind == "issued":
            self._faults.add(self.moments, was, self._here)
        elif kind == "reopened":
            self._faults = Faults(self.moments)
        if not self._moving:
            super()._changed(kind, events, machine)

    def draw(self, m: Machine, events: list[Event]) -> None:
        """Where the cursor is; and after what has just been done, the first interrupt of it is looked at."""
        self._fill(self.moments.now, len(self.lab.history), m)
        self._draw_play()
        if self.storming:
            self._fresh = True
            self.wait()
        elif self._fresh:
            self._fresh = False
            self._look_at(events, m)

    def _look_at(self, events: list[Event], m: Machine) -> None:
        """What has just been done: the first interrupt of it; of a boot, whose IPIs nobody asked for, nothing."""
        done = self.lab.gestures_around(self.lab.position, 1)[:1]
        if done and is_boot(done[0]):
            self.lab.selection.serial = 0
        else:
            newest = self.lab.selection.serial or m.serials
            self.lab.selection.serial = next((each.serial for each in events if each.serial), newest)

    def _draw_play(self) -> None:
        last = self.moments.end_of(len(self.lab.history))
        runs = self.playing or (self.storming and self._map is not None and not self.held)
        self.play_button.description = "❚❚ pause" if runs else "▶ play"
        self.play_button.disabled = not runs and not self.held and self.moments.now == last

    def _fill(self, here: Moment, last: int, m: Machine) -> None:
        self.bar.show(here.position, last)
        if not self.storming:
            self._tell()
        count = len(self.moments.events_of(here.position)) if here.position else 0
        part = f", event {here.seen} of {count}" if count else ""
        place = f"{here.position:,} of {last:,}{part}; {m.clock / 1e6:,.3f} ms"
        self.where.value = line(f"{self._around(here)}: {place}", "muted")
        self.back_button.disabled = here == Moment(0, 0)
        self.forth_button.disabled = here == self.moments.end_of(last)

    def _around(self, here: Moment) -> str:
        """Amidst which gesture; of a storm, which has no end yet, what is to come."""
        if self.storming:
            return f"amidst a storm, {sum(each.count - each.sent for each in self.lab.storms):,} to come"
        return around(self._ticks, here.position)

    def _tell(self) -> None:
        """The gestures, the lanes where they are wanted, and the other futures."""
        self._ticks, begin, kept = ticks(self.lab, self._faults), fold(self.lab), self.lab.branches
        wanted = lanes(self.moments, max(begin, self._ticks[0].start), self._ticks[-1].stop) if (
            self.lanes.value and self._ticks) else []
        self.bar.tell(self._ticks, wanted, sorted({each.at for each in kept}), begin, self.lab.phases)
        names = [(f"{each.name}, after command {each.at:,}", place) for place, each in enumerate(kept)][::-1]
        if list(self.future.options) != names:
            self.future.options = names
            self.future.value = names[0][1] if names else None
        (self._branches.remove_class if kept else self._branches.add_class)("vsim-folded")

    def close(self) -> None:
        """Play no further, and leave the Lab."""
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None
        super().close()
