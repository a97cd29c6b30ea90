"""What was done to a machine, and the way back: undo, redo, branch, save and load.

A `History` owns a log of commands, a cursor in it, and the machine at the cursor. Going back means to take the
nearest copy of the machine that was kept (a keyframe) and to do again what followed it. Keyframes are dense near the
cursor and sparser with their distance from it, events are held up to `HELD`, so memory grows with the log's rows
alone. *Position* n is the state after the first n commands.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import IO

from vsim.history import session
from vsim.history.said import Said
from vsim.layouts.given import a
from vsim.machine import step
from vsim.state.arrays import Machine
from vsim.state.commands import Command
from vsim.state.trace import RECORD, Event, unpack

HELD = 100_000
"""Events held at most, besides those of the last command; older ones are made again when asked for."""
SPACING = 256
"""Work between two keyframes near the cursor. Work counts 1 for a command, for an event, and for an interrupt."""
THINNING = 4
"""Two keyframes at a distance of d from the cursor may be d / THINNING apart."""

_Held = bytes | list[Event]
"""Events of a command: packed, which takes a third of the memory, unless one of them has a negative number."""


def _hold(events: list[Event]) -> _Held:
    try:
        return b"".join([RECORD.pack(*event) for event in events])
    except struct.error:
        return list(events)


def _number(held: _Held) -> int:
    return len(held) // RECORD.size if isinstance(held, bytes) else len(held)


class History:
    """A machine and the commands that made it what it is.

    machine: the state to start from; it is copied, its owner may go on with it.
    """

    def __init__(self, machine: Machine) -> None:
        a(Machine, "machine", machine)
        self._machine = machine.copy()
        self._log = session.Log()
        self._cursor = 0
        self._work = array("Q", [0])                    # done up to each position
        self._serials = array("Q", [machine.serials])   # interrupts begun up to each position
        self._frames = {0: machine.copy()}              # never stepped, so branches share them
        self._places = [0]                              # the keys of _frames, ascending
        self._held: dict[int, _Held] = {}               # of the command at a position; oldest first
        self._count = 0

    # --- what it holds ---

    @property
    def machine(self) -> Machine:
        """The machine at the cursor, to look at: `issue` alone changes it, `undo` and the like replace it."""
        return self._machine

    @property
    def first(self) -> Machine:
        """The machine that the first command met, to look at."""
        return self._frames[0]

    @property
    def position(self) -> int:
        """How many commands of the log are done."""
        return self._cursor

    @property
    def commands(self) -> Sequence[Command]:
        """All commands, those to be redone included; a view of the log as it is now."""
        return self._log

    def __len__(self) -> int:
        """Commands of the log, those to be redone included."""
        return len(self._log)

    def __bool__(self) -> bool:
        """A history without commands is one all the same."""
        return True

    def command_at(self, position: int) -> Command:
        """The command that leads from a position to the next. ValueError when the log ends before."""
        self._check("position", position, len(self._log) - 1)
        return self._log[position]

    def size(self) -> int:
        """Bytes of the log and its indexes; keyframes and held events come on top."""
        return self._log.size() + sum(a.itemsize * len(a) for a in (self._work, self._serials))

    # --- going on ---

    def issue(self, command: Command) -> list[Event]:
        """Do a command at the cursor; its events. Commands that could have been redone are dropped."""
        session.check(command)
        self._cut()
        self._log.append(command)
        events = step(self._machine, command)
        self._arrived(events)
        return events

    def _cut(self) -> None:
        """Forget everything behind the cursor."""
        here = self._cursor
        if here == len(self._log):
            return
        self._log.cut(here)
        del self._work[here + 1:], self._serials[here + 1:]
        for place in [place for place in self._places if place > here]:
            self._drop(place)
        for position in [position for position in self._held if position >= here]:
            self._count -= _number(self._held.pop(position))

    def _arrived(self, events: list[Event]) -> None:
        """The machine has done the command at the cursor for the first time."""
        begun = self._machine.serials
        work = 1 + len(events) + begun - self._serials[-1]
        self._serials.append(begun)
        self._work.append(self._work[-1] + work)
        self._hold(events)
        self._cursor += 1
        self._keep()

    def _hold(self, events: list[Event]) -> None:
        if self._cursor in self._held:
            return
        self._held[self._cursor] = _hold(events)
        self._count += len(events)
        while self._count > HELD and len(self._held) > 1:
            self._count -= _number(self._held.pop(next(iter(self._held))))

    # --- keyframes ---

    def _keep(self) -> None:
        """Keep a copy of the machine if the last one is `SPACING` behind."""
        here, before = self._cursor, self._before(self._cursor)
        if here - before and self._work[here] - self._work[before] >= SPACING:
            frame = self._frames[here] = self._machine.copy()
            frame.share(self._frames[before])
            insort(self._places, here)
            self._thin()

    def _before(self, position: int) -> int:
        """The last place with a keyframe that is not behind `position`."""
        return self._places[bisect_right(self._places, position) - 1]

    def _drop(self, place: int) -> None:
        self._places.remove(place)
        del self._frames[place]

    def _thin(self) -> None:
        """Drop each keyframe without which the gap is still small for its distance from the cursor."""
        work, here = self._work, self._work[self._cursor]
        last, dropped = 0, []
        for place, following in pairwise(self._places[1:]):
            gap = work[following] - work[last]
            distance = min(abs(here - work[last]), abs(here - work[following]))
            if gap * THINNING <= distance:
                dropped.append(place)
            else:
                last = place
        for place in dropped:
            self._drop(place)

    # --- moving ---

    def undo(self, n: int = 1) -> None:
        """Go back n commands, which stay for `redo`. ValueError when fewer are done."""
        self._check("undo", n, self._cursor)
        self.goto(self._cursor - n)

    def redo(self, n: int = 1) -> None:
        """Do n undone commands again. ValueError when there are fewer."""
        self._check("redo", n, len(self._log) - self._cursor)
        self.goto(self._cursor + n)

    def goto(self, position: int) -> None:
        """Move the cursor. ValueError when the log has no such position."""
        self._check("position", position, len(self._log))
        nearest = self._before(position)
        if position < self._cursor or nearest > self._cursor:
            self._machine, self._cursor = self._frames[nearest].copy(), nearest
        while self._cursor < position:
            step(self._machine, self._log[self._cursor], trace=False)
            self._cursor += 1
            left = self._work[position] - self._work[self._cursor]
            if self._work[self._cursor] - self._work[self._before(self._cursor)] >= max(SPACING, left // THINNING):
                self._keep()

    def _check(self, what: str, value: int, limit: int) -> None:
        if type(value) is not int or not 0 <= value <= limit:
            raise ValueError(f"{what} is {value!r:.40}; the limit is 0 to {limit}")

    def machine_at(self, position: int) -> Machine:
        """An independent machine as it was, or will be, at a position; the cursor stays."""
        self._check("position", position, len(self._log))
        if position == self._cursor:
            return self._machine.copy()
        place = self._before(position)
        machine = self._frames[place].copy()
        for number in range(place, position):
            step(machine, self._log[number], trace=False)
        return machine

    def shared(self, other: History) -> int:
        """How many commands both begin with; 0 when they begin with different machines."""
        return self._log.shared(other._log) if self.first == other.first else 0

    def branch(self) -> History:
        """An independent history with the same past and future; keyframes are shared, as nobody changes them."""
        other = History.__new__(History)
        other._machine, other._log, other._cursor = self._machine.copy(), self._log.copy(), self._cursor
        other._work, other._serials = self._work[:], self._serials[:]
        other._frames, other._places = self._frames.copy(), self._places[:]
        other._held, other._count = self._held.copy(), self._count
        return other

    # --- what happened ---

    def events(self, start: int = 0, stop: int | None = None) -> list[Event]:
        """The events of the commands from position `start` to before `stop` (default: the cursor).

        Those that are no longer held are made again by doing the commands on a copy.
        """
        stop = self._cursor if stop is None else stop
        self._check("stop", stop, len(self._log))
        self._check("start", start, stop)
        out: list[Event] = []
        machine: Machine | None = None
        for position in range(start, stop):
            held = self._held.get(position)
            if held is None:
                machine = machine or self.machine_at(position)
                out += step(machine, self._log[position])
            else:
                machine = None
                out += unpack(held) if isinstance(held, bytes) else held
        return out

    def position_of(self, serial: int) -> int:
        """The position of the command during which an interrupt began. ValueError when there is none."""
        if type(serial) is not int or not self._serials[0] < serial <= self._serials[-1]:
            raise ValueError(f"interrupt {serial!r}: there are {self._serials[0] + 1} to {self._serials[-1]}")
        return bisect_left(self._serials, serial) - 1

    def events_of(self, serial: int) -> list[Event]:
        """The way of one interrupt: its events, in order."""
        position = self.position_of(serial)
        return [event for event in self.events(position, position + 1) if event.serial == serial]

    def machine_before(self, serial: int) -> Machine:
        """A machine as it was before the command during which an interrupt began."""
        return self.machine_at(self.position_of(serial))

    # --- files ---

    def save(self, place: str | os.PathLike[str] | IO[str] | IO[bytes], told: Said | None = None) -> None:
        """Write the start, all commands and the cursor as JSON Lines; a path, or a file open for text or bytes.

        told: what is said of the machine beside. ValueError when all that is more than `load` takes; nothing is
        written then.
        """
        session.save(session.Session(self._frames[0], self._log, self._cursor, told or Said()), place)

    @staticmethod
    def load(place: str | os.PathLike[str] | IO[str] | IO[bytes]) -> History:
        """The history of `save`. `session.SessionError`, with file, line and column, for anything else."""
        return History.of(session.load(place))

    @staticmethod
    def of(found: session.Session) -> History:
        """The history of a session."""
        history = History(found.machine)
        for command in found.log:
            history.issue(command)
        history.goto(found.cursor)
        return history
