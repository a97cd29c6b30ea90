"""Where a reader stands in a history, to the event, and where a step or a jump would lead. Asks only, moves nothing.

A command is done whole, so the machine at a moment is the machine after its command; which of that command's events
the reader has been told is the reader's affair alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vsim.history.log import History
from vsim.state.trace import Act, Event, Kind, node

EVENT, COMMAND, INTERRUPT = "event", "command", "interrupt"
GRAINS = (EVENT, COMMAND, INTERRUPT)
"""What a step may be."""
CHUNK = 256
"""Commands whose events are asked for at a time when looking for something."""


class Moment(NamedTuple):
    """After `position` commands, with the first `seen` events of the last of them told."""

    position: int
    seen: int


Numbered = tuple[Moment, Event]
"""An event, and the moment at which it is the last one told."""


def is_fault(event: Event) -> bool:
    """Whether a remapping unit blocked a request."""
    return event.act == Act.BLOCKED


def delivers_to(vcpu: int) -> Callable[[Event], bool]:
    """A test for events in which the local APIC of a vCPU takes an interrupt in."""
    place = node(Kind.VLAPIC, vcpu)
    return lambda event: event.node == place and event.act in (Act.ACCEPTED, Act.MERGED, Act.SIGNALLED)


class Moments:
    """A reader of a history. seen: events of the last command that were told; None: all of them."""

    def __init__(self, history: History) -> None:
        start = history.machine_at(0)
        self.history, self._tick, self._serials = history, start.tick, start.serials
        self.seen: int | None = None

    # --- here ---

    def events_of(self, position: int) -> list[Event]:
        """The events of the command that leads to a position; none at the start."""
        return self.history.events(position - 1, position) if position else []

    @property
    def now(self) -> Moment:
        """The reader's moment."""
        return Moment(self.history.position, len(self.events_of(self.history.position)) if self.seen is None
                      else self.seen)

    @property
    def event(self) -> Event | None:
        """The event that was told last; None when the last command has none, or none of its events was told."""
        position, seen = self.now
        return self.events_of(position)[seen - 1] if seen else None

    def end_of(self, position: int) -> Moment:
        """The moment at which everything of the command before a position was told."""
        return Moment(position, len(self.events_of(position)))

    # --- numbered events ---

    def numbered(self, start: int, stop: int) -> Iterator[Numbered]:
        """The events of the commands from position `start` to before `stop`, each with its moment."""
        before, seen = -1, 0
        for event in self.history.events(start, stop):
            position = event.tick - self._tick
            seen = seen + 1 if position == before else 1
            before = position
            yield Moment(position, seen), event

    def _after(self) -> Iterator[Numbered]:
        now = self.now
        yield from (each for each in self.numbered(max(0, now.position - 1), now.position) if each[0] > now)
        for start in range(now.position, len(self.history), CHUNK):
            yield from self.numbered(start, min(start + CHUNK, len(self.history)))

    def _before(self) -> Iterator[Numbered]:
        now = self.now
        for stop in range(now.position, 0, -CHUNK):
            told = list(self.numbered(max(0, stop - CHUNK), stop))
            yield from (each for each in reversed(told) if each[0] < now)

    # --- elsewhere ---

    def find(self, wanted: Callable[[Event], bool], by: int = 1) -> Moment | None:
        """The nearest moment whose event is wanted, after this one (by=1) or before it (by=-1); None: there is none."""
        along = self._after() if by > 0 else self._before()
        return next((moment for moment, event in along if wanted(event)), None)

    def step(self, grain: str, by: int = 1) -> Moment:
        """The next moment (by=1), or the one before (by=-1). ValueError at the end, or for a grain that is none."""
        if grain not in GRAINS:
            raise ValueError(f"grain is {grain!r}; known are {', '.join(GRAINS)}")
        here, last = self.now, self.end_of(len(self.history))
        if here == (last if by > 0 else Moment(0, 0)):
            raise ValueError("this is the end of the history" if by > 0 else "this is the start of the history")
        if grain == COMMAND:
            return self.end_of(self._next_command(here, by))
        if grain == EVENT:
            return self.find(lambda event: True, by) or (last if by > 0 else Moment(0, 0))
        return self._next_interrupt(here, by)

    def _next_command(self, here: Moment, by: int) -> int:
        """Half a command told: forward ends it, back takes it back as well."""
        unfinished = here != self.end_of(here.position)
        return here.position if unfinished and by > 0 else here.position + by

    def stops(self, position: int) -> list[Moment]:
        """The moments of a command at which all of an interrupt that began in it was told, the last with the rest."""
        ends = {event.serial: seen for seen, event in enumerate(self.events_of(position), 1)
                if event.serial > self._serials}
        begun = sorted(seen for serial, seen in ends.items() if self.history.position_of(serial) == position - 1)
        return [Moment(position, seen) for seen in begun[:-1]] + [self.end_of(position)] * bool(begun)

    def _next_interrupt(self, here: Moment, by: int) -> Moment:
        """The moment at which one interrupt more, or one less, was told."""
        stops = self.stops(here.position)
        beside = [stop for stop in stops if (stop > here if by > 0 else stop < here)]
        if beside:
            return beside[0] if by > 0 else beside[-1]
        begun = self.history.machine.serials
        try:
            if by > 0:
                return self.stops(self.history.position_of(begun + 1) + 1)[0]
            before = self._first_of(here.position - 1, begun) - 1 if stops else begun
            return self.stops(self.history.position_of(before) + 1)[-1]
        except ValueError:  # no such interrupt
            return self.end_of(len(self.history)) if by > 0 else Moment(0, 0)

    def _first_of(self, position: int, serial: int) -> int:
        """The first interrupt that began in a command, of which `serial` is one."""
        known = range(self._serials + 1, serial + 1)
        return known[bisect_left(known, position, key=self.history.position_of)]

    def serials(self, most: int) -> range:
        """The last interrupts that have begun, `most` of them."""
        begun = self.history.machine.serials
        return range(max(self._serials, begun - most) + 1, begun + 1)
