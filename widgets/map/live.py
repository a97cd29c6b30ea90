"""The live map: a machine's scene in the page, and the interrupts that travel in it.

`LiveMap` takes events and sends tokens, at most one binary message every `PAUSE` seconds; the parts in `js/` draw
and move them. `Map` is the view of a `Lab`. Nothing that the page does changes a machine's results.
"""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import anywidget
import traitlets as t

from vsim.findings.assumed import Assumed
from vsim.history import whole
from vsim.state.arrays import Machine
from vsim.state.trace import Event
from widgets.lab import cells
from widgets.lab.lab import Lab
from widgets.map import page, parts, table, tally
from widgets.map.scene import scene
from widgets.map.tally import Tally
from widgets.map.tokens import RECORD, Flag, Outcome, Places, Token, pack, ticked

PAUSE = 0.2
"""Seconds between two messages to the page, over which it spreads their tokens (`SPREAD` in `js/intake.js`)."""
DRAWN = 800
"""Tokens of one message that are drawn; more are counted, and the page says how many."""
TAPE = 4096
"""Tokens kept for the page: what a reload or a second view begins with."""
LOGGED = 1_000_000
"""Tokens remembered, so that going back has the counts of before; older ones stay counted for good."""


class LiveMap(anywidget.AnyWidget):
    """The map of one machine. `show` what happened, `load` another state, `flush` what waits."""

    _esm = parts.module()  # of a path anywidget keeps every view for ever, to reload it
    _css = page.style()
    scene = t.Dict(help="what the page draws (`widgets.map.scene`)").tag(sync=True)
    present = t.Dict(help="counts, pending interrupts and fault records; filled in when the page asks").tag(sync=True)
    tape = t.Bytes(help="the last tokens; filled in when the page asks").tag(sync=True)
    device = t.Int(-1, help="requester id of the selected device, -1 for none").tag(sync=True)
    unit = t.Int(0, help="number of the vIOMMU whose entry is selected").tag(sync=True)
    irte = t.Int(-1, help="index of the selected entry, -1 for none").tag(sync=True)
    vlapic = t.Int(-1, help="selected vCPU, -1 for none").tag(sync=True)
    lit = t.Bytes(help="tokens whose ways are lit, packed").tag(sync=True)
    playing = t.Bool(True, help="whether tokens move").tag(sync=True)
    speed = t.Float(1.0, min=0.1, max=4.0, help="how fast tokens move; the machine's results do not depend on it").tag(
        sync=True)
    driven = t.Bool(False, help="step buttons ask the kernel instead of the page's own recording").tag(sync=True)
    replay = t.Bool(False, help="whether the page plays the tape from its start").tag(sync=True)
    theme = t.Unicode("", help='"light", "dark", or "" for the host\'s').tag(sync=True)

    def __init__(self, machine: Machine, events: Sequence[Event] = (), name: str = "",
                 layout: Mapping[int, Sequence[float]] | None = None, like: LiveMap | None = None,
                 assumed: Assumed | None = None, **traits: Any) -> None:
        """events: what has happened so far. name: the domain's. layout, assumed: as for `scene.scene`.

        like: another map of the same machine, which knows what has happened: it is asked instead of events.
        """
        self._lock = threading.RLock()
        self._name, self._layout, self._machine, self._assumed = name, layout, machine, assumed
        self._steps: list[Callable[[int], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at, self._sent_pending, self._sent_table = 0.0, b"", b""
        self._sent_facts: dict[str, Any] = {}
        self._source: tuple[object, ...] = ()  # what the entries were read from when they were sent last
        self._outbox: list[Token] = []
        self._lights = 0
        self._begin(machine)
        if like is None:
            self._record(machine, list(events))
        else:
            self._adopt(like)
        super().__init__(scene=self._scene, present={"stamp": self._stamp}, **traits)
        self.on_msg(self._heard)

    def _begin(self, m: Machine) -> None:
        """Nothing has happened yet."""
        self._log, self._ticks, self._done = bytearray(), array("Q"), 0
        self._look(m)

    def _adopt(self, other: LiveMap) -> None:
        """Go on from what another map has counted and logged."""
        with other._lock:
            self._log, self._ticks, self._done = other._log[:], other._ticks[:], other._done
            self._tally.take(other._tally)

    def _look(self, m: Machine) -> None:
        """The machine's scene, with empty counts; the page begins anew with what it gets next."""
        self._scene, self._shape = scene(m, self._name, self._layout, self._assumed), tally.shape(m)
        self._tally, self._places = Tally(self._scene), Places(self._scene)
        self._stamp = getattr(self, "_stamp", 0) + 1

    # --- what happened ----------------------------------------------------------------------------------------

    def show(self, machine: Machine, events: list[Event]) -> None:
        """Events have happened, and `machine` is what they made of it. Tokens go out with the next message."""
        with self._lock:
            self._machine = machine
            if tally.shape(machine) != self._shape:
                self._reshape()
            self._outbox += self._record(machine, events)
            if time.monotonic() - self._sent_at >= PAUSE:
                self.flush()
            else:
                self._later()

    def load(self, machine: Machine, events: list[Event] | None = None) -> None:
        """Another state. events: all that led to it; by default those that are known, up to the machine's tick."""
        with self._lock:
            self._machine = machine
            self._outbox.clear()
            if events is not None:
                self._begin(machine)
                self._record(machine, events)
            elif tally.shape(machine) != self._shape:
                self._done = bisect_right(self._ticks, machine.tick)
                self._reshape()
                return
            elif self._step(bisect_right(self._ticks, machine.tick)):
                return
            self._stamp += 1
            self._resend()

    def _step(self, done: int) -> bool:
        """Count the first `done` logged tokens; whether that was a small step on, which the page shows moving."""
        ahead = self._logged(self._done, done)
        self._move(done)
        if 0 < len(ahead) <= DRAWN:
            self._outbox = ahead
            self.flush("step")
        return 0 < len(ahead) <= DRAWN

    def _record(self, m: Machine, events: list[Event]) -> list[Token]:
        """Count events and log their tokens; what had been undone is forgotten."""
        clock = m.clock - sum(event.cost for event in events)
        pairs = list(ticked(self._places, events, max(0, clock), partial(table.in_memory, m)))
        tokens = [token for _, token in pairs]
        del self._log[self._done * RECORD.size:], self._ticks[self._done:]
        self._ticks.extend(tick for tick, _ in pairs)
        self._log += b"".join(RECORD.pack(*token) for token in tokens)
        self._tally.add(tokens)
        surplus = max(0, len(self._ticks) - LOGGED)
        del self._log[:surplus * RECORD.size], self._ticks[:surplus]
        self._done = len(self._ticks)
        return tokens

    def _logged(self, start: int, stop: int) -> list[Token]:
        return [Token(*row) for row in RECORD.iter_unpack(self._log[start * RECORD.size:stop * RECORD.size])]

    def _move(self, done: int) -> None:
        """Count as if only the first `done` logged tokens had been seen."""
        if done < self._done:
            self._tally.add(self._logged(done, self._done), -1)
        else:
            self._tally.add(self._logged(self._done, done))
        self._done = done

    def _reshape(self) -> None:
        """The machine has another unit or another table: another scene, with the same interrupts counted."""
        self._outbox.clear()
        self._look(self._machine)
        self._tally.add(self._logged(0, self._done))
        with self.hold_sync():
            self.scene = self._scene
            self._resend()

    # --- to the page ------------------------------------------------------------------------------------------

    def flush(self, kind: str = "tokens") -> None:
        """Send what waits, as one message. kind: "step" shows it at once, also while the page is paused."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            now = tally.pending(self._machine)
            if not self._outbox and now == self._sent_pending and not self._news(peek=True):
                return
            drawn, more = thin(self._outbox, DRAWN)
            counts = b"".join(count.to_bytes(4, "little") for count in more.values())
            self._outbox = []
            self._sent_at = time.monotonic()
            same, facts = now == self._sent_pending, self._facts()
            content = {"kind": kind, "clock": self._machine.clock / 1e6,
                       **{name: told for name, told in facts.items() if told != self._sent_facts.get(name)}}
            self._sent_pending, self._sent_facts = now, facts
            self.send(content, [pack(drawn), pack(more), counts, b"" if same else now, *self._news()])

    def _facts(self) -> dict[str, Any]:
        """What the page says of the machine besides counts and clock: fault records, states of the units, their reach.

        A message tells those that are others than in the one before it.
        """
        m = self._machine
        return {"records": tally.records(m), "states": tally.states(m), "reach": table.reach(m)}

    def _news(self, peek: bool = False) -> list[bytes]:
        """The entries in use, if they are others than those sent last. peek: they are not sent now."""
        source = table.source(self._machine)
        if source == self._source:  # to read all entries takes a hundred times as long
            return []
        rows = table.pack(table.entries(self._machine))
        if rows == self._sent_table:
            self._source = source
            return []
        if not peek:
            self._sent_table, self._source = rows, source
        return [rows]

    def _later(self) -> None:
        """Send after the pause, where an event loop runs; elsewhere the next `show` or `flush` does it."""
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(PAUSE, self.flush)
            except RuntimeError:
                self.flush()

    def _resend(self) -> None:
        """The page begins anew with the counts of now."""
        with self.hold_sync():
            self.present = {"stamp": self._stamp}
            self.tape = self._tape()

    def _tape(self) -> bytes:
        return pack(self._logged(max(0, self._done - TAPE), self._done))

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The traits as the page gets them: the counts and the tape are those of now."""
        with self._lock:
            state: dict[str, Any] = super().get_state(key, drop_defaults)
            if "present" in state:
                self._outbox.clear()  # they are in these counts
                self._sent_pending = tally.pending(self._machine)
                self._sent_table = table.pack(table.entries(self._machine))
                self._source = table.source(self._machine)
                self._sent_facts = self._facts()
                state["present"] = {"stamp": self._stamp, "pending": self._sent_pending, "table": self._sent_table,
                                    "clock": self._machine.clock / 1e6, **self._sent_facts, **self._tally.state()}
            if "tape" in state:
                state["tape"] = self._tape()
            return state

    def light(self, events: list[Event]) -> None:
        """Light the way of the interrupts in these events; none for an empty list."""
        self._lights += 1  # in place of a time, which is not used: the same interrupt lit again is a change
        self.lit = pack(self._as_logged(tick, token)._replace(t_ms=float(self._lights))
                        for tick, token in ticked(self._places, events)) if events else b""

    def _as_logged(self, tick: int, token: Token) -> Token:
        """A token as it was logged when memory was what it was: a stale copy is told by that alone."""
        stale = token._replace(outcome=token.outcome | Flag.STALE)
        known = self._logged(bisect_left(self._ticks, tick), bisect_right(self._ticks, tick))
        return stale if any(each[1:] == stale[1:] for each in known) else token

    # --- from the page ----------------------------------------------------------------------------------------

    def on_step(self, callback: Callable[[int], None]) -> None:
        """Call `callback(by)` when a reader steps forward (1) or back (-1); steps are then the kernel's."""
        self._steps.append(callback)
        self.driven = True

    def _heard(self, _: Any, content: Any, buffers: Any) -> None:
        """A message of the page: a view has opened, or a step button was pressed."""
        del buffers
        if not isinstance(content, dict):
            return
        if content.get("kind") == "hello":
            with self._lock:
                self._sent_facts = {}  # to be told again: the view may have begun with older ones
                if content.get("total") != sum(self._tally.total):
                    self._stamp += 1
                    self._resend()
        elif content.get("kind") == "step" and content.get("by") in (1, -1):
            for callback in self._steps:
                callback(content["by"])

    def to_html(self, path: str | Path | None = None, theme: str = "") -> str:
        """One file that replays the recorded tokens without kernel and network; also written to `path` if given."""
        if not isinstance(path, (str, Path, NoneType)):
            raise ValueError(f"path is {path!r:.40}; expected the path of a file")
        with self._lock:
            text = page.to_html(self._scene, self._logged(max(0, self._done - page.MOST), self._done), theme,
                                table.entries(self._machine), device=self.device, unit=self.unit, irte=self.irte,
                                vlapic=self.vlapic, speed=self.speed)
        if path is not None:
            whole.write(path, text.encode())
        return text

    def close(self) -> None:
        """End the view in every page."""
        timer, self._timer = getattr(self, "_timer", None), None
        if timer is not None:
            timer.cancel()
        super().close()


def thin(tokens: list[Token], most: int) -> tuple[list[Token], Counter[Token]]:
    """At most `most` of the tokens, evenly spread, and the others as counts of equal ways."""
    if len(tokens) <= most:
        return tokens, Counter()
    chosen = {place * len(tokens) // most for place in range(most)}
    others = (_class_of(token) for place, token in enumerate(tokens) if place not in chosen)
    return [tokens[place] for place in sorted(chosen)], Counter(others)


def _class_of(token: Token) -> Token:
    """A token that stands for all on the same way; a blocked one keeps its reason."""
    return token._replace(t_ms=0.0, vector=token.vector if token.outcome & 7 == Outcome.BLOCKED else 0)


def _view_of(observer: object) -> object:
    return getattr(observer, "__self__", None)


class Map(LiveMap):
    """The map of a `Lab`: shows what is issued, goes back with its cursor, shares its selection."""

    title = "Map"

    def __init__(self, lab: Lab) -> None:
        """A new view; `close` ends it."""
        self.lab = lab
        with lab.lock:
            other = next((view for view in map(_view_of, lab.observers) if isinstance(view, Map)), None)
            # A long history takes long to go through again; an open map has done so.
            events = lab.history.events() if other is None else ()
            super().__init__(lab.machine, events, lab.title, like=other, assumed=lab.assumed)
            self._links = [t.link((lab.selection, name), (self, name)) for name in ("device", "unit", "irte", "vlapic")]
            lab.selection.observe(self._chosen, "serial")
            lab.observe(self._changed)

    def _changed(self, kind: str, events: list[Event], machine: Machine) -> None:
        if kind == "issued":
            self.show(machine, events)
        elif kind == "moved":
            self.load(machine)
        else:
            self.load(machine, self.lab.history.events())

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """With a still for readers without a kernel."""
        return cells.bundle(super()._repr_mimebundle_(**options), self.lab)

    def _chosen(self, change: Any) -> None:
        with self.lab.lock:
            self.light(self.lab.history.events_of(change["new"]) if change["new"] else [])

    def close(self) -> None:
        """End the view and forget the Lab; a view that has ended stays so."""
        links, self._links = getattr(self, "_links", []), []
        if links:
            self.lab.unobserve(self._changed)
            self.lab.selection.unobserve(self._chosen, "serial")
        for link in links:
            link.unlink()
        super().close()
