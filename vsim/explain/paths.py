"""The ways of an interrupt through Xen, with the unit in the hypervisor or in QEMU: steps and costs (X 4).

The document's first reason for a unit in the hypervisor is that an interrupt need not ask QEMU. `count` plays a path
with the unit in either place and counts what really happened: VM exits, round trips, and the cost from the table of
`trace.ACTS`, which a person can edit (`Machine.costs`); its figures are marked measured, published or assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vsim import machine
from vsim.domain.stage import Stage
from vsim.layouts.formats import remap_message
from vsim.layouts.registers import APIC_MSR, IOREDTBL
from vsim.state import commands as c
from vsim.state.profile import Profile, profile
from vsim.state.trace import Act, Event

PLACEMENTS = ("xen", "qemu")


@dataclass(frozen=True, slots=True)
class Path:
    """One way: its steps as (sentence, section of the reference), and the run that is counted.

    qemu: whether it needs a QEMU at all; a PVH domain has none.
    """

    name: str
    steps: tuple[tuple[str, str], ...]
    run: Callable[[Stage], list[Event]]
    qemu: bool


@dataclass(frozen=True, slots=True)
class Count:
    """What a path cost in one placement: VM exits, round trips to QEMU, nanoseconds, and who took the interrupt."""

    placement: str
    exits: int
    round_trips: int
    ns: int
    taken: tuple[int, ...]


def _ready(s: Stage) -> None:
    s.table()
    s.entry(0, p=1, vector=0x41, dst=2)


def _emulated(s: Stage) -> list[Event]:
    return s.msi(0)


def _pin(s: Stage) -> list[Event]:
    for index, value in ((IOREDTBL + 2 * 20 + 1, 1 << 16), (IOREDTBL + 2 * 20, 0x41)):
        machine.step(s.m, c.Mmio(0xFEC00000, 4, index))
        machine.step(s.m, c.Mmio(0xFEC00010, 4, value))
    return machine.step(s.m, c.Pin(20, 1))


def _passed(s: Stage) -> list[Event]:
    machine.step(s.m, c.Bind(*remap_message(0)))
    events = machine.step(s.m, c.HostIrq(0)) + machine.step(s.m, c.Acknowledge(1))
    return events + machine.step(s.m, c.Msr(1, APIC_MSR["EOI"], 0))


def _posted(s: Stage) -> list[Event]:
    s.m.posting = 1
    return _passed(s)


def _register(s: Stage) -> list[Event]:
    return s.write("FEDATA", 0x41)


PATHS: dict[str, Path] = {path.name: path for path in (
    Path("emulated MSI", (
        ("QEMU's device writes its message; libxc calls the inject-MSI operation with address and data.", "X 4.2, 1"),
        ("The hypervisor builds a request and asks whether its format is remappable.", "X 4.2, 2"),
        ("The vIOMMU reads the entry and delivers; its result goes back to QEMU.", "X 4.2, 3a")), _emulated, True),
    Path("vIOAPIC pin", (
        ("A line rises; the edge routine sets remote IRR for a level pin.", "X 4.3, 1"),
        ("The entry is remappable: the request goes to the vIOMMU, whose result nobody reads.", "X 4.3, 2")),
        _pin, False),
    Path("passed-through MSI", (
        ("The bind command stored the whole message; the routing was worked out from the entry.", "X 4.4"),
        ("The host interrupt arrives; the stored message goes to the vIOMMU.", "X 4.5"),
        ("At EOI all bound messages are decoded until one means this vector here; its host interrupt is ended.",
         "X 4.5")), _passed, False),
    Path("passed-through MSI, posted", (
        ("The host's entry was made a posted one for the chosen vCPU.", "X 4.4, 3"),
        ("Hardware delivers; no software sees the interrupt arrive.", "X 4.5")), _posted, False),
    Path("register access", (
        ("The access leaves the guest, and the device model answers it.", "X 3.1"),), _register, False),
)}
"""The paths by name."""


def count(name: str, placement: str, chosen: Profile | None = None, costs: dict[int, int] | None = None) -> Count:
    """Play one path with the unit in `placement`; costs: nanoseconds by act that replace the table's.

    ValueError names the paths and placements that exist.
    """
    if name not in PATHS or placement not in PLACEMENTS:
        raise ValueError(f"no path {name!r} in {placement!r}; there are {', '.join(PATHS)} in {', '.join(PLACEMENTS)}")
    s = Stage((chosen or profile("xen-v4")).with_options(placement=placement))
    for act, ns in (costs or {}).items():
        s.m.costs[act] = ns
    _ready(s)
    if "passed" in name and placement == "qemu":
        return _tally(placement, _through_qemu(s, name))
    return _tally(placement, PATHS[name].run(s))


def _through_qemu(s: Stage, name: str) -> list[Event]:
    """With the unit in QEMU the hypervisor can decode no message: every arrival asks, and nothing can be posted."""
    machine.step(s.m, c.Bind(*remap_message(0)))
    return [event for command in (c.HostIrq(0), c.Acknowledge(1), c.Msr(1, APIC_MSR["EOI"], 0))
            for event in machine.step(s.m, command)]


def _tally(placement: str, events: list[Event]) -> Count:
    acts = [event.act for event in events]
    who = tuple(event.node & 0xFFFFFF for event in events if event.act in (Act.ACCEPTED, Act.MERGED))
    return Count(placement, acts.count(Act.VM_EXIT), acts.count(Act.ROUND_TRIP), sum(e.cost for e in events), who)


def table(chosen: Profile | None = None) -> list[tuple[str, Count, Count]]:
    """Every path with its count in both placements."""
    return [(name, count(name, "xen", chosen), count(name, "qemu", chosen)) for name in PATHS]
