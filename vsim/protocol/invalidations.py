"""Invalidations that software has given to a unit, and which of them it knows to be done (VT-d 6.5; V 7.3 to 7.5).

Only a wait descriptor tells: by the status that it stores, when software reads it, or by its completion event. A
status that stood in memory before the wait stored it tells nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vsim.devices.queue import WHOLE

MOST_QUEUED = 1 << 15
MOST_WAITS = 4096
"""Invalidations and waits that are remembered until they are known to be done; older ones count as never done."""


class Queued(NamedTuple):
    """An invalidation of 2^mask entries from `first`, given at `time`; number: the how many-th it is."""

    first: int
    mask: int
    time: int
    number: int


class Wait(NamedTuple):
    """A wait descriptor that stores `data`, behind the invalidations up to `number`."""

    data: int
    number: int


@dataclass(slots=True)
class Invalidations:
    """Of one unit. queued: those not known to be done, the oldest first; latest: when each range was queued last;
    newest: when any was.

    waits: by the address of their status, those that can be seen. interrupting: the last one that raises the
    completion event and was not seen. count: invalidations so far.
    """

    queued: deque[Queued] = field(default_factory=lambda: deque(maxlen=MOST_QUEUED))
    latest: dict[tuple[int, int], int] = field(default_factory=dict)
    newest: int = 0
    waits: dict[int, Wait] = field(default_factory=dict)
    interrupting: Wait | None = None
    count: int = 0

    def since(self, index: int, time: int) -> int:
        """When an invalidation of an index was queued last, if that was after `time`; else 0."""
        if self.newest <= time:
            return 0
        latest = max(self.latest.get((mask, index >> mask), 0) for mask in range(WHOLE + 1))
        return latest if latest > time else 0

    def add(self, first: int, mask: int, time: int) -> None:
        """The unit took an invalidation."""
        self.count += 1
        self.queued.append(Queued(first, mask, time, self.count))
        self.latest[mask, first >> mask] = self.newest = time

    def store(self, address: int, data: int) -> None:
        """The unit took a wait that stores a status of which one can see that it is new."""
        self.waits.pop(address, None)
        self.waits[address] = Wait(data, self.count)
        if len(self.waits) > MOST_WAITS:
            del self.waits[next(iter(self.waits))]

    def interrupt(self) -> None:
        """The unit took a wait that raises the completion event."""
        self.interrupting = Wait(0, self.count)

    # --- what software learns: each gives the invalidations that are known to be done now ---

    def saw_memory(self, address: int, data: bytes) -> Iterator[Queued]:
        """Software read these bytes of memory."""
        for place in range(address + 3 & ~3, address + len(data) - 3, 4):
            wait = self.waits.get(place)
            if wait and wait.data == int.from_bytes(data[place - address:place - address + 4], "little"):
                del self.waits[place]
                yield from self._done(wait)

    def saw_completion(self) -> Iterator[Queued]:
        """Software read ICS with IWC set, or took the completion event."""
        if self.interrupting:
            yield from self._done(self.interrupting)
            self.interrupting = None

    def saw_all(self) -> Iterator[Queued]:
        """Nobody can say what software read: every wait counts as waited for."""
        for wait in self.waits.values():
            yield from self._done(wait)
        self.waits.clear()
        yield from self.saw_completion()

    def _done(self, wait: Wait) -> Iterator[Queued]:
        while self.queued and self.queued[0].number <= wait.number:
            yield self.queued.popleft()
