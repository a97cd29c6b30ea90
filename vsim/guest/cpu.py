"""What the code of a kernel can do: every access of the small guest is one command, made here.

`DUTIES` are the things that a kernel must not forget, each of which can be left out by name to show what breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vsim.state import commands as c
from vsim.state.trace import Act, Event, Kind

Issue = Callable[[c.Command], list[Event]]
"""Does one command on a machine and returns its events."""

DUTIES: dict[str, str] = {
    "enable": "Switch every local APIC on in its SVR; else no vCPU takes a device interrupt.",
    "order": "Latch the table (SIRTP), empty the entry cache, then turn remapping on; the other way round the old "
             "table serves in between, and what is cached of it stays in use.",
    "flush": "Empty the whole entry cache once a new table is latched; else entries of the table before still route.",
    "invalidate": "Invalidate an entry in the cache after every change; else the interrupt goes on to its old vCPU.",
    "wait": "Wait until an invalidation is done before relying on it; else a stopped queue goes unnoticed and the "
            "interrupt goes on to its old vCPU.",
    "source": "Let an entry check who sends (SVT); else any device can raise the interrupts of every other.",
    "mask": "Mask a message while its address and data change; else it can go out half changed.",
    "eoi": "End every interrupt at the local APIC; else the vCPU takes nothing of the same or a lower priority again.",
    "ioapic-eoi": "End a level interrupt at the I/O APIC too when its entry is remapped as an edge; else remote IRR "
                  "stays set and the pin is dead.",
    "clear-faults": "Read and clear the fault records; else later faults overflow and nobody is told of them.",
}
"""What the guest has to do, by name: the duty, and what breaks when it is left out (V 7.7, 10.5; A 4, 7.3, 9)."""


def known_duties(names: Iterable[str]) -> frozenset[str]:
    """The names as a set. ValueError for one that is no duty."""
    for name in names:
        if name not in DUTIES:
            raise ValueError(f"no duty {name!r}; duties are {', '.join(DUTIES)}")
    return frozenset(names)


class Cpu:
    """The accesses of a kernel, as commands to `issue`; `arrived` are the vCPUs at which an interrupt came in.

    `skip`: names of duties that are left out. `arrived` is in the order of arrival.
    """

    def __init__(self, issue: Issue, skip: Iterable[str] = ()) -> None:
        """ValueError for an unknown duty."""
        self.skip = known_duties(skip)
        self._issue = issue
        self.arrived: dict[int, None] = {}

    def does(self, duty: str) -> bool:
        """Whether this duty is done."""
        return duty not in self.skip

    def note(self, events: list[Event]) -> list[Event]:
        """Notice the interrupts that arrived in these events; returns the events."""
        for event in events:
            if event.act in (Act.ACCEPTED, Act.MERGED):
                self.arrived[event.node & 0xFFFFFF] = None
        return events

    def do(self, command: c.Command) -> list[Event]:
        """Issue one command."""
        return self.note(self._issue(command))

    def write(self, address: int, value: int, width: int = 4) -> None:
        """Write `width` bytes to a device register."""
        self.do(c.Mmio(address, width, value))

    def read(self, address: int, width: int = 4) -> int:
        """Read `width` bytes of a device register or of memory. ValueError when `issue` hands back no events."""
        for event in self.do(c.MmioRead(address, width)):
            if event.act == Act.READ:
                return event.low
        raise ValueError(f"no READ event for address {address:#x}: issue must return the events of a command")

    def store(self, address: int, data: bytes) -> None:
        """Write memory."""
        self.do(c.RamWrite(address, data))

    def config(self, bdf: int, offset: int, width: int, value: int) -> None:
        """Write a function's configuration space."""
        self.do(c.ConfigWrite(bdf, offset, width, value))

    def msr(self, vcpu: int, index: int, value: int) -> None:
        """Write an MSR on a vCPU."""
        self.do(c.Msr(vcpu, index, value))

    def acknowledge(self, vcpu: int) -> int:
        """The vector that a vCPU takes now; -1 when there is none, or a spurious one (which has no EOI)."""
        for event in self.do(c.Acknowledge(vcpu)):
            if event.act == Act.TAKEN and event.node == Kind.VLAPIC << 24 | vcpu:
                return event.index
        return -1
