"""The yardstick of the bench: the four stages of an interrupt as plain processes over a queue of events.

This is how a general simulation library has it: a process is a generator, what it waits for is an event object with
callbacks, and the next event comes off a heap. Written for the comparison; nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from itertools import count

TABLE_SIZE, VECTORS = 256, 256


class Event:
    """Something that happens; whoever waits for it has left a callback."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.callbacks: list[Callable[[Event], None]] = []

    def after(self, delay: int) -> Event:
        """Let it happen after a delay; itself."""
        heappush(self.world.queue, (self.world.now + delay, next(self.world.order), self))
        return self


Process = Generator[Event, None, None]


class World:
    """The clock and the events to come."""

    def __init__(self) -> None:
        self.now = 0
        self.order = count()
        self.queue: list[tuple[int, int, Event]] = []

    def timeout(self, delay: int) -> Event:
        """An event after a delay."""
        return Event(self).after(delay)

    def process(self, steps: Process) -> None:
        """Start a process: it goes on whenever the event that it waits for happens."""
        def resume(event: Event) -> None:
            target = next(steps, None)
            if target is not None:
                target.callbacks.append(resume)
        self.timeout(0).callbacks.append(resume)

    def run(self) -> None:
        """Let events happen until there are none."""
        while self.queue:
            self.now, _, event = heappop(self.queue)
            for callback in event.callbacks:
                callback(event)


class Entry:
    """A table entry."""

    def __init__(self, source: int, vector: int, destination: int) -> None:
        self.present, self.source, self.vector, self.destination = True, source, vector, destination


class Apic:
    """A local APIC."""

    def __init__(self) -> None:
        self.requested: set[int] = set()
        self.ended = 0


def interrupt(world: World, table: dict[int, Entry], apics: list[Apic], source: int, index: int) -> Process:
    """One interrupt: fetch, checks, accept, clear."""
    yield world.timeout(60)
    entry = table[index]
    yield world.timeout(50)
    if not entry.present or entry.source != source:
        return
    yield world.timeout(100)
    apic = apics[entry.destination]
    apic.requested.add(entry.vector)
    yield world.timeout(1000)
    apic.requested.discard(entry.vector)
    apic.ended += 1


def device(world: World, table: dict[int, Entry], apics: list[Apic], interrupts: int) -> Process:
    """Sends an interrupt every 100 ns."""
    for n in range(interrupts):
        world.process(interrupt(world, table, apics, 0x0300, n % TABLE_SIZE))
        yield world.timeout(100)


def run(interrupts: int, vcpus: int = 64) -> int:
    """Send so many interrupts; how many were ended."""
    world, apics = World(), [Apic() for _ in range(vcpus)]
    table = {n: Entry(0x0300, n % VECTORS, n % vcpus) for n in range(TABLE_SIZE)}
    world.process(device(world, table, apics, interrupts))
    world.run()
    return sum(apic.ended for apic in apics)
