"""A change of an interrupt, and a device that fires between any two of its writes: what each order comes to.

    for order in race(RACES["move, remapped"]): print(order.place, order.before, order.word)

A race is a change that the small kernel makes on a booted machine. Its commands are recorded once; then the device
fires before the first, between any two, and after the last of its writes, each order on a machine of its own, and
handlers run when the interrupt arrives. `may` is what another correct unit could do in that order, which keeps and
drops cached entries as it likes (`vsim.protocol.checker.outcomes`). Duties can be left out by name
(`vsim.guest.cpu.DUTIES`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

from vsim.devices import viommu, vlapic
from vsim.domain import acpi, builder
from vsim.domain.platform import Platform
from vsim.guest.kernel import Guest, Source
from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE, REASON_TEXT
from vsim.layouts.registers import APIC_MSR
from vsim.machine import step
from vsim.protocol.checker import outcomes
from vsim.protocol.delivery import Delivery
from vsim.scale.run import results
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Event

NIC, DISK = 0x0100, 0x0200
VCPUS, FROM, TO = 6, 3, 5
"""vCPUs of the machine, the one that has the interrupt, and the one that it moves to."""
OLD, NEW, OTHERS = 0x61, 0x93, 0xB5
"""Vectors: before the move, after it, and of the device that gets a freed entry."""
OTHER_TABLE = 16 << 20
"""Guest-physical address of the table that is switched to."""
WORDS: dict[str, str] = {
    "old": "it arrives where it went before", "new": "it arrives where it goes now",
    "late": "the device keeps it until its message is unmasked; then it arrives",
    "half": "it arrives half changed, at the old vCPU with the new vector, where the kernel has put a handler as well",
    "blocked": "the unit refuses it and records a fault: it is lost, and somebody is told",
    "lost": "nobody gets it and nobody is told", "misrouted": "another handler gets it, or none that knows the vector",
    "twice": "it arrives twice"}
"""What can become of the interrupt."""
BAD = frozenset(("lost", "misrouted", "twice"))


class Bench(NamedTuple):
    """A booted machine, its guest, and the log of all that was done."""

    machine: Machine
    guest: Guest
    log: list[c.Command]
    first: Machine

    @property
    def source(self) -> Source:
        """The interrupt that is raced: the NIC's first message."""
        return self.guest.sources[NIC][0]


@dataclass(frozen=True, slots=True)
class Race:
    """A change. viommu, mask: whether there is a unit, and whether the device can mask its message; act: the change."""

    name: str
    sentence: str
    act: Callable[[Bench], None]
    viommu: bool = True
    mask: bool = True


class Order(NamedTuple):
    """One order. place: writes done before the device fires; before: the write that comes next, "" at the end.

    word: of `WORDS`; took: (vCPU, vector) of each arrival; detail: in words; may: all that a correct unit could do.
    """

    place: int
    before: str
    word: str
    took: tuple[tuple[int, int], ...]
    detail: str
    may: tuple[str, ...]


# --- the changes ---


def _move(b: Bench) -> None:
    b.guest.affinity(b.source, TO, NEW)


def _rewrite(b: Bench) -> None:
    b.guest.irq.rewrite(b.source, *b.guest.ways.message(b.source))


def _reuse(b: Bench) -> None:
    """The NIC's entry is freed; then the disk gets it, for its own message and another vCPU."""
    other = b.guest.sources[DISK][0]
    unit = b.guest.driver(b.source)
    unit.change(b.source.index, 0)
    b.guest.vectors.take(TO, wanted=OTHERS)
    own = Source("msi-x", DISK, other.number, TO, OTHERS, other.unit, b.source.index)
    unit.change(b.source.index, b.guest.ways.entry(own))


def _switch(b: Bench) -> None:
    """A new table, in which the NIC's entry leads to another vCPU, is latched while remapping is on."""
    unit, m = b.guest.driver(b.source), b.machine
    moved = IRTE.make(**{**IRTE.split(b.source.entry), "dst": m.apic_id[TO]})
    used = [n for n, taken in enumerate(unit._used) if taken]
    old, unit.table = unit.table, OTHER_TABLE
    for index in used:
        entry = int.from_bytes(m.ram.read(old + 16 * index, 16) or b"", "little")
        if entry:
            unit.install(index, moved if index == b.source.index else entry)
    unit._point()
    unit._flush()


RACES: dict[str, Race] = {race.name: race for race in (
    Race("move, remapped", "An interrupt moves to another vCPU: one write of its entry, and an invalidation.", _move),
    Race("move, masked", "The same without remapping: the message is masked, rewritten in three writes, unmasked.",
         _move, viommu=False),
    Race("move, torn", "The same for a device whose message has no mask: data and address change one after the other.",
         _move, viommu=False, mask=False),
    Race("mask and unmask", "A message is masked and unmasked, and stays what it was.", _rewrite, viommu=False),
    Race("free and reuse", "The entry of one device is freed and given to another.", _reuse),
    Race("table switch", "Another table is latched, in which the entry leads to another vCPU.", _switch))}
"""The races by name."""


# --- running ---


def bench(race: Race, skip: Iterable[str] = ()) -> Bench:
    """A booted machine for a race. ValueError for an unknown duty."""
    nic = Function(NIC, "NIC", passthrough=True, msix_count=1) if race.mask else Function(
        NIC, "NIC", passthrough=True, msi_count=1)
    m = Machine(profile("spec"), VCPUS, 64 << 20, Bus([nic, Function(DISK, "disk", passthrough=True, msix_count=1)]))
    log, first = list[c.Command](), m.copy()

    def issue(command: c.Command) -> list[Event]:
        log.append(command)
        return step(m, command)

    if race.viommu:
        issue(c.Domctl(viommu.create_op(version=m.profile.options.interface)))
        issue(c.RamWrite(builder.DMAR_AT, acpi.dmar_of(m)))
    guest = Guest(issue, Platform.of(m, builder.DMAR_AT if race.viommu else 0), skip=skip)
    guest.boot()
    made = Bench(m, guest, log, first)
    guest.affinity(made.source, FROM, OLD)
    guest.take(issue(c.Signal(NIC, 0)))     # the unit may have cached its entry
    return made


def race(chosen: Race, skip: Iterable[str] = (), executor: Executor | None = None) -> list[Order]:
    """Every order of a race, by place. executor: where they run in parallel; None: here, one after the other."""
    words = tuple(skip)
    count = 1 + sum(map(_writes, _change(bench(chosen, words), chosen)[1]))
    cells = [(place, {"race": chosen.name, "skip": words, "place": place}) for place in range(count)]
    if executor is None:
        return [order(values) for _, values in cells]
    return [given for _, given in sorted(results(order, cells, executor))]


def order(values: dict[str, object]) -> Order:
    """One order: a cell of `results`, with the keys race, skip and place."""
    chosen, skip, place = RACES[str(values["race"])], values["skip"], values["place"]
    assert isinstance(skip, tuple) and isinstance(place, int)
    b = bench(chosen, skip)
    m, old = b.machine.copy(), (b.source.vcpu, b.source.vector)
    done = len(b.log)
    _, change = _change(b, chosen)
    new = (b.source.vcpu, b.source.vector) if chosen.act is not _switch else (TO, old[1])
    notices = {(0, vector) for vector in b.guest.fault_vectors}    # the unit's own event is not the interrupt
    at = _cut(change, place)
    fire = c.Signal(NIC, 0)
    for command in change[:at]:
        step(m, command)
    fired = step(m, fire)
    took = [each for each in _handled(m) if each not in notices]
    for command in change[at:]:
        step(m, command)
    late = [each for each in _handled(m) if each not in notices]
    known = {new: "new", old: "old"} | ({} if chosen.mask else {(old[0], new[1]): "half"})
    word, detail = _judged(took, late, known, fired)
    before = _told(change[at]) if at < len(change) else ""
    return Order(place, before, word, (*took, *late), detail, _may(b, done, change[:at], fire))


def _change(b: Bench, chosen: Race) -> tuple[int, list[c.Command]]:
    """Make the change; the length of the log before, and the change's commands."""
    before = len(b.log)
    chosen.act(b)
    return before, b.log[before:]


def _writes(command: c.Command) -> bool:
    return not isinstance(command, c.MmioRead | c.Acknowledge)


def _cut(change: list[c.Command], place: int) -> int:
    """Where in the commands the device fires, after so many writes."""
    marks = [at for at, command in enumerate(change) if _writes(command)]
    return marks[place] if place < len(marks) else len(change)


def _handled(m: Machine) -> Iterator[tuple[int, int]]:
    """Handlers run; (vCPU, vector) of each interrupt that they took."""
    for vcpu in range(m.vcpus):
        for _ in range(8):
            if vlapic.pending(m, vcpu) < 0:
                break
            for command in (c.Acknowledge(vcpu), c.Msr(vcpu, APIC_MSR["EOI"], 0)):
                for event in step(m, command):
                    if event.act == Act.TAKEN:
                        yield vcpu, event.index


def _judged(took: list[tuple[int, int]], late: list[tuple[int, int]], known: dict[tuple[int, int], str],
            fired: list[Event]) -> tuple[str, str]:
    every = took + late
    fault = next((event for event in fired if event.act == Act.BLOCKED), None)
    where = ", ".join(f"vCPU {vcpu} vector {vector:#x}" for vcpu, vector in every)
    if len(every) > 1:
        return "twice", where
    if not every:
        return ("blocked", f"reason {fault.index:#x}, {REASON_TEXT[fault.index]}") if fault else ("lost", "")
    if late:
        return ("late" if late[0] in known else "misrouted"), where
    return known.get(took[0], "misrouted"), where


def _may(b: Bench, done: int, change: list[c.Command], fire: c.Command) -> tuple[str, ...]:
    """What a correct unit may do with the interrupt here, in words; nothing where none takes part."""
    found = outcomes([*b.log[:done], *change, fire], b.first)
    mine = [each for each in found if each.requester == NIC and each.step == done + len(change)]
    deliveries: set[Delivery] = {each for possible in mine for each in possible.deliveries}
    return tuple(sorted(map(str, deliveries)))


def _told(command: c.Command) -> str:
    """A write in words."""
    if isinstance(command, c.RamWrite):
        return f"{len(command.data)} bytes to memory {command.address:#x}"
    if isinstance(command, c.Mmio):
        return f"{command.value:#x} to register {command.address:#x}"
    if isinstance(command, c.ConfigWrite):
        return f"{command.value:#x} to configuration {command.offset:#x} of {bdf_text(command.bdf)}"
    return command.name


def table(orders: Iterable[Order]) -> str:
    """The orders as aligned text: place, outcome, the write that comes next, what a correct unit may do."""
    rows = [(str(each.place), each.word, each.detail, each.before or "(done)", " | ".join(each.may)) for each in orders]
    rows.insert(0, ("writes done", "outcome", "taken", "fires before", "a correct unit may"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)
