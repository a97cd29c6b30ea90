"""The yardstick of the bench: the four stages of an interrupt as processes of a general simulation library, SimPy.

A process is a generator, what it waits for is an event object with callbacks, and the next event comes off a heap. The
model is the least that can be called the same: a table looked up and checked, a vector requested and ended.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

LIBRARY = "simpy"
"""What has to be installed (extra `bench`)."""
TABLE_SIZE, VECTORS = 256, 256

Process = Generator[Any, None, None]


class Entry:
    """A table entry."""

    def __init__(self, source: int, vector: int, destination: int) -> None:
        self.present, self.source, self.vector, self.destination = True, source, vector, destination


class Apic:
    """A local APIC."""

    def __init__(self) -> None:
        self.requested: set[int] = set()
        self.ended = 0


def interrupt(world: Any, table: dict[int, Entry], apics: list[Apic], source: int, index: int) -> Process:
    """One interrupt: fetch, checks, accept, clear. world: SimPy's environment, whose unit is a nanosecond."""
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


def device(world: Any, table: dict[int, Entry], apics: list[Apic], interrupts: int) -> Process:
    """Sends an interrupt every 100 ns."""
    for n in range(interrupts):
        world.process(interrupt(world, table, apics, 0x0300, n % TABLE_SIZE))
        yield world.timeout(100)


def run(interrupts: int, vcpus: int = 64) -> int:
    """Send so many interrupts; how many were ended. ModuleNotFoundError where the library is not installed."""
    import simpy

    world, apics = simpy.Environment(), [Apic() for _ in range(vcpus)]
    table = {n: Entry(0x0300, n % VECTORS, n % vcpus) for n in range(TABLE_SIZE)}
    world.process(device(world, table, apics, interrupts))
    world.run()
    return sum(apic.ended for apic in apics)
