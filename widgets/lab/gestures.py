"""What a person did, as a list: each gesture is one command or several, and is undone and redone as one.

A gesture has a name ("fire 00:05.0 message 3") and, where it can be done again by a word, a *deed* (see
`vsim.history.link`). Commands that nobody put into a gesture are gestures of one command each, named for what they are;
nothing is kept of them, so that a long log costs nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, NamedTuple

from vsim.layouts.bits import bdf_text
from vsim.state.commands import CHOICES, Command

Deed = tuple[Any, ...]


class Gesture(NamedTuple):
    """What was done at once. start, stop: positions before and after; deed: () when only its commands tell it."""

    start: int
    stop: int
    name: str
    deed: Deed = ()


class Phase(NamedTuple):
    """A part of a long history that has a name of its own: positions before and after it."""

    start: int
    stop: int
    name: str


class Gestures:
    """The gestures of a log, in order. phases: the parts of a long one, in order too."""

    def __init__(self, kept: Sequence[Gesture] = (), phases: Sequence[Phase] = ()) -> None:
        self._kept = list(kept)  # by position, ascending, none inside another
        self.phases = tuple(phases)

    def copy(self) -> Gestures:
        """An independent list of the same."""
        return Gestures(self._kept, self.phases)

    def forget_after(self, position: int) -> None:
        """Those that end behind a position go with the commands that a new one replaces, and such phases."""
        self.phases = tuple(each for each in self.phases if each.stop <= position)
        del self._kept[bisect_right(self._kept, position, key=lambda each: each.stop):]

    def add(self, gesture: Gesture) -> None:
        """Note one; it takes the place of those that it goes on with."""
        while self._kept and self._kept[-1].start >= gesture.start:
            self._kept.pop()
        if gesture.stop - gesture.start > 1 or (gesture.stop > gesture.start and (gesture.name or gesture.deed)):
            self._kept.append(gesture)

    def before(self, position: int) -> int:
        """Where the last gesture before a position began, or the one in whose midst it is; the position is not 0."""
        at = bisect_right(self._kept, position - 1, key=lambda each: each.start) - 1
        return self._kept[at].start if at >= 0 and self._kept[at].stop >= position else position - 1

    def after(self, position: int) -> int:
        """Where the next gesture after a position ends, or the one in whose midst it is."""
        at = bisect_right(self._kept, position, key=lambda each: each.stop)
        inside = at < len(self._kept) and self._kept[at].start <= position
        return self._kept[at].stop if inside else position + 1

    def around(self, commands: Sequence[Command], position: int, most: int) -> list[Gesture]:
        """The gestures around a position, in order: `most` to each side at most, one that it is amidst included."""
        start, behind = position, 0
        while start and behind < most:
            start, behind = self.before(start), behind + 1
        return list(islice(self.all(commands, start), behind + most))

    def all(self, commands: Sequence[Command], start: int = 0, stop: int | None = None) -> Iterator[Gesture]:
        """Every gesture that begins in start .. stop - 1, those of a single command included."""
        here, last = start, len(commands) if stop is None else stop
        at = bisect_right(self._kept, start - 1, key=lambda each: each.start)
        while here < last:
            if at < len(self._kept) and self._kept[at].start == here:
                found = self._kept[at]
                at += 1
            else:
                found = Gesture(here, here + 1, "")
            yield found if found.name else found._replace(name=named(commands[found.start], found.stop - found.start))
            here = found.stop


_WORDS = {"domctl": "hypercall", "mmio": "write {address:#x}", "read": "read {address:#x}",
          "ram": "write memory {address:#x}", "config": "configure {bdf}", "msi": "message from {requester}",
          "signal": "{bdf} raises message {message}", "pin": "pin {gsi} {level}", "intx": "pin of {bdf} {level}",
          "isa": "IRQ {irq} {level}", "out": "write port {port:#x}", "in": "read port {port:#x}",
          "lint": "LINT{pin} of vCPU {vcpu} {level}",
          "apic": "vCPU {vcpu} writes APIC register {register:#x}", "msr": "vCPU {vcpu} writes MSR {index:#x}",
          "ack": "vCPU {vcpu} takes an interrupt", "burst": "burst of {messages}", "tick": "time goes on",
          "bind": "bind a message", "hostirq": "host interrupt {place}", "cr8": "vCPU {vcpu} writes CR8",
          "iret": "vCPU {vcpu} returns from an NMI", "oom": "allocation {count} fails",
          "deverr": "device TLB of {requester} {how}", "dma": "{requester} {read} {address:#x}", "reset": "reset",
          "sched": "vCPU of {address:#x} {doing} on CPU {vcpu}", "veoi": "EOI of the vCPU of {address:#x}",
          "eoiexit": "EOI of {vector:#x} by the vCPU of {address:#x} {exits}"}


def _shown(place: str, value: Any) -> Any:
    if place in ("bdf", "requester"):
        return bdf_text(value)
    return CHOICES[place][value] if place in CHOICES else value


def named(command: Command, number: int = 1) -> str:
    """A gesture's name after its first command, and how many more there are."""
    values = {place.name: _shown(place.name, getattr(command, place.name)) for place in fields(command)}
    text = _WORDS.get(command.name, command.name).format(**values)
    return text if number == 1 else f"{text} and {number - 1} more"
