"""What the bar of time shows: a tick for each gesture, where something was refused, and lanes of who sent and who took.

Everything is bounded: gestures around the cursor, commands that are looked through, marks of a lane.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from vsim.layouts.bits import bdf_text
from vsim.state.trace import Act, Kind, node_text
from widgets.lab.gestures import Gesture
from widgets.lab.lab import Lab
from widgets.time.moments import CHUNK, Moments, Numbered, is_fault

MOST = 120
"""Gestures that are shown to each side of the cursor."""
LOOKED = 200_000
"""Events that are looked through for refusals when a view opens; those of older commands are not marked."""
LANES, LANE_EVENTS, LANE_MARKS = 4, 50_000, 400
"""Lanes of devices, and of targets; events that are looked through for them; marks of one."""


class Tick(NamedTuple):
    """One gesture, or all that are not shown. start, stop: positions before and after; bad: something was refused;
    boot: it is one, and takes little room unless somebody wants to see it."""

    start: int
    stop: int
    name: str
    bad: bool
    boot: bool = False


class Lane(NamedTuple):
    """A device or a target. marks: positions at which it sent or took; bad: those at which it was refused."""

    name: str
    marks: list[int]
    bad: list[int]


class Faults:
    """Positions of the commands in which a unit refused something, kept up with a history."""

    def __init__(self, moments: Moments) -> None:
        self.places = _places(_latest(moments, 0, len(moments.history), LOOKED))

    def add(self, moments: Moments, before: int, now: int) -> None:
        """Commands have been done: a history that stood at one position, stands at another, and ends there."""
        del self.places[bisect_right(self.places, before):]
        self.places += _places(moments.numbered(before, now))

    def between(self, start: int, stop: int) -> bool:
        """Whether something was refused on the way from one position to another."""
        at = bisect_right(self.places, start)
        return at < len(self.places) and self.places[at] <= stop


def _latest(moments: Moments, start: int, stop: int, most: int) -> list[Numbered]:
    """The events between two positions, in order; of more than `most` the last, to whole commands."""
    parts, many = list[list[Numbered]](), 0
    for end in range(stop, start, -CHUNK):
        parts.append(list(moments.numbered(max(start, end - CHUNK), end)))
        many += len(parts[-1])
        if many >= most:
            break
    return [each for part in reversed(parts) for each in part]


def _places(told: Iterable[Numbered]) -> list[int]:
    return list(dict.fromkeys(moment[0] for moment, event in told if is_fault(event)))


def ticks(lab: Lab, faults: Faults) -> list[Tick]:
    """The gestures around the cursor, in order; what is before and behind them as one tick each."""
    last = len(lab.history)
    shown = lab.gestures_around(lab.position, MOST)
    out = [Tick(each.start, each.stop, each.name, faults.between(each.start, each.stop), is_boot(each))
           for each in shown]
    first, end = (out[0].start, out[-1].stop) if out else (0, 0)
    if first:
        out.insert(0, Tick(0, first, "earlier gestures", faults.between(0, first)))
    if end < last:
        out.append(Tick(end, last, "later gestures", faults.between(end, last)))
    return out


def is_boot(gesture: Gesture) -> bool:
    """Whether a gesture is the boot of a guest."""
    return gesture.deed[:1] == ("boot",)


def fold(lab: Lab) -> int:
    """Where what people look at begins: the position behind the boot, when nothing but the toolstack was before it."""
    at = 0
    for each in islice(lab.gestures(), 4):
        if is_boot(each):
            return each.stop
        if not each.name.startswith("xl create"):
            break
        at = each.stop
    return at


def around(shown: Sequence[Gesture | Tick], position: int) -> str:
    """Where a position is: after which gesture, or amidst which."""
    at = bisect_left(shown, position, key=lambda each: each.stop)
    if at < len(shown) and shown[at].start < position:
        return f"{'after' if shown[at].stop == position else 'amidst'} {shown[at].name}"
    return "at the start"


def lanes(moments: Moments, start: int, stop: int) -> list[Lane]:
    """Who sent and who took between two positions: the busiest devices, then the busiest targets."""
    sent: dict[str, dict[int, bool]] = defaultdict(dict)
    took: dict[str, dict[int, bool]] = defaultdict(dict)
    sender: dict[int, str] = {}
    for (position, _), event in _latest(moments, start, stop, LANE_EVENTS):
        if event.act == Act.SENT and event.node >> 24 in (Kind.DEVICE, Kind.VIOAPIC):
            sender[event.serial] = bdf_text(event.index & 0xFFFF)
            sent[sender[event.serial]].setdefault(position, False)
        elif is_fault(event) and event.serial in sender:
            sent[sender[event.serial]][position] = True
        elif event.act in (Act.ACCEPTED, Act.MERGED, Act.SIGNALLED) and event.serial in sender:
            took[node_text(event.node)].setdefault(position, False)
    return [*_busiest(sent), *_busiest(took)]


def _busiest(of: dict[str, dict[int, bool]]) -> list[Lane]:
    names = sorted(sorted(of, key=lambda name: -len(of[name]))[:LANES])
    return [Lane(name, _thin([place for place, bad in of[name].items() if not bad]),
                 _thin([place for place, bad in of[name].items() if bad])) for name in names]


def _thin(places: list[int]) -> list[int]:
    """At most `LANE_MARKS` of them, evenly spread."""
    many = len(places)
    return places if many <= LANE_MARKS else [places[n * many // LANE_MARKS] for n in range(LANE_MARKS)]
