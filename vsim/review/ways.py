"""Four ways of living with APIC IDs above 254, measured on one machine (X 9.1, 9.2; V 10.3, 11).

    rows = compare(vcpus=288)
    table(rows)             # a line for each property, a column for each way

x2APIC itself needs no remapping: vCPUs reach one another by IPIs whatever their IDs. The question is what a *device*
can reach. The same functions and the same vCPUs are booted again for each way, and every figure is counted: in the
events of the machine, in its registers, or by who took an interrupt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vsim.devices import queue, viommu
from vsim.devices.vlapic import x2apic_ldr
from vsim.domain import acpi
from vsim.domain.platform import Platform
from vsim.guest.kernel import MIB, Guest, Source
from vsim.guest.ways import LARGEST_ID, plain_message
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import APIC_MSR, ICR
from vsim.machine import step, unit_register
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import Profile, profile
from vsim.state.trace import Act, Event, Kind

NIC, DISK, OLD = 0x0028, 0x0030, 0x0038
FUNCTIONS = (Function(NIC, "NIC", msix_count=4), Function(DISK, "disk", msix_count=4),
             Function(OLD, "old NIC on a pin", pin=1, conventional=True))
"""The functions of the scenario: two with MSI-X, one on a pin of the I/O APIC."""
MOVES = 16
"""Changes of affinity that are counted."""
_DMAR_AT = 0xEA000
_VECTOR = 0xE0


@dataclass(frozen=True, slots=True)
class Way:
    """One way. unit: the machine has a vIOMMU; ext_dest: it offers 15 bits in a message; beyond: as `Guest` has it."""

    name: str
    sentence: str
    unit: bool = False
    ext_dest: bool = False
    beyond: str = "start"


WAYS: dict[str, Way] = {way.name: way for way in (
    Way("nothing", "The kernel brings up only vCPUs that every device interrupt can reach.", beyond="offline"),
    Way("vIOMMU", "Messages name entries of a remapping table, and an entry holds 32 bits.", unit=True),
    Way("extended destination ID", "Messages hold 15 bits, if hypervisor and kernel agree.", ext_dest=True),
    Way("restricted affinity", "All vCPUs run; devices interrupt those within 8 bits alone."),
)}
"""The ways by name."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one way.

    vcpus: of the machine; online: of them running. fixed: vCPUs that every function reached by a physical destination;
    logical: vCPUs that a message reached alone by a logical one; broadcast: those that one message with all bits of
    its destination set reached at once. tables: bytes of guest memory for table and queue, as the unit was told.
    isolated: another function could not raise the NIC's interrupt by sending its message. For one change of affinity
    of the NIC's interrupt: invalidations; exits, VM exits at the unit's registers; writes to registers of devices and
    I/O APIC, which Xen emulates too. lookups: entries read for one interrupt. boot_exits: VM exits until all is set up.
    """

    way: str
    vcpus: int
    online: int
    fixed: int
    logical: int
    broadcast: int
    tables: int
    isolated: bool
    invalidations: float
    exits: float
    writes: float
    lookups: float
    boot_exits: int


class Trial:
    """One way, booted: `machine`, `guest`, `start` (the machine as the guest met it), `commands` and `events` since.

    destination, skip: as `Guest` has them. ValueError for a way or a duty that does not exist.
    """

    def __init__(self, way: str, vcpus: int = 288, base: Profile | None = None, destination: str = "physical",
                 functions: Sequence[Function] = FUNCTIONS, skip: Iterable[str] = ()) -> None:
        if way not in WAYS:
            raise ValueError(f"no way {way!r}; there are {', '.join(WAYS)}")
        self.way = WAYS[way]
        chosen = (base or profile("spec")).with_options(ext_dest=self.way.ext_dest)
        self.machine = Machine(chosen, vcpus, 16 * MIB, Bus(functions))
        self.commands: list[c.Command] = []
        self.events: list[Event] = []
        if self.way.unit:
            step(self.machine, c.Domctl(viommu.create_op(version=chosen.options.interface)))
            step(self.machine, c.RamWrite(_DMAR_AT, acpi.dmar_of(self.machine)))
        platform = Platform.of(self.machine, _DMAR_AT if self.way.unit else 0)
        self.start = self.machine.copy()
        self.guest = Guest(self.issue, platform, destination, skip, beyond=self.way.beyond)
        self.guest.boot()

    def issue(self, command: c.Command) -> list[Event]:
        """Do one command; its events."""
        events = step(self.machine, command)
        self.commands.append(command)
        self.events += events
        return events

    def count(self, act: Act, kinds: Iterable[Kind] = tuple(Kind), since: int = 0) -> int:
        """How often this happened at nodes of these kinds, from the `since`-th event on."""
        wanted = set(kinds)
        return sum(event.act == act and event.node >> 24 in wanted for event in self.events[since:])

    def source(self, bdf: int = NIC) -> Source:
        """The first interrupt of a function."""
        return self.guest.sources[bdf][0]

    def send(self, bdf: int, vcpu: int) -> bool:
        """Direct a function's interrupt to a vCPU and raise it; whether it was taken there and nowhere else."""
        source = self.source(bdf)
        if self.guest.affinity(source, vcpu):
            return False
        events = self.issue(c.Intx(bdf, 1) if source.kind == "pin" else c.Signal(bdf, source.number))
        return [(taken.vcpu, taken.source) for taken in self.guest.take(events)] == [(vcpu, source)]

    def raw(self, requester: int, address: int, data: int) -> list[int]:
        """A message of anybody's making; the vCPUs that accepted it. The machine is as before."""
        return self._tried(c.Msi(requester, address, data))

    def ipi(self, sender: int, vcpu: int) -> list[int]:
        """One vCPU interrupts another by the 32 bits of its x2APIC ICR; who accepted it. The machine is as before."""
        order = ICR.make(dest=self.machine.apic_id[vcpu], vector=_VECTOR, level=1)
        return self._tried(c.Msr(sender, APIC_MSR["ICR"], order))

    def _tried(self, command: c.Command) -> list[int]:
        """Who accepts the interrupt of a command; not those that a unit tells of its fault by one of its own."""
        events = step(self.machine.copy(), command)
        fault_event = next((at for at, event in enumerate(events) if event.act == Act.NOTIFIED), len(events))
        return [event.node & 0xFFFFFF for event in events[:fault_event] if event.act in (Act.ACCEPTED, Act.MERGED)]

    @property
    def bits(self) -> int:
        """Bits of destination that a message of the NIC has, or its entry."""
        return 32 if self.way.unit else 15 if self.way.ext_dest else 8


# --- what is measured ---


def fixed(trial: Trial) -> set[int]:
    """The vCPUs that every function reaches by a physical destination."""
    functions = [f.bdf for f in trial.machine.bus.functions if trial.guest.sources.get(f.bdf)]
    return {vcpu for vcpu in range(trial.machine.vcpus) if all(trial.send(bdf, vcpu) for bdf in functions)}


def logical(trial: Trial) -> set[int]:
    """The vCPUs that the NIC reaches alone by a logical destination: of entries, or of a message where it fits."""
    if trial.way.unit:
        return {vcpu for vcpu in range(trial.machine.vcpus) if trial.send(NIC, vcpu)}
    found = set()
    for vcpu in trial.guest.online:
        destination = x2apic_ldr(trial.machine.apic_id[vcpu])
        if destination >> trial.bits == 0 and trial.raw(NIC, *plain_message(destination, _VECTOR, 1)) == [vcpu]:
            found.add(vcpu)
    return found


def broadcast(trial: Trial) -> set[int]:
    """The vCPUs that one message reaches whose destination has all bits set."""
    if not trial.way.unit:
        return set(trial.raw(NIC, *plain_message((1 << trial.bits) - 1, _VECTOR)))
    source = trial.source()
    trial.guest.driver(source).change(source.index, IRTE.make(p=1, vector=_VECTOR, dst=LARGEST_ID + 1, svt=1, sid=NIC))
    reached = trial.raw(NIC, *trial.guest.ways.message(source))
    trial.guest.driver(source).change(source.index, source.entry)
    return set(reached)


def isolated(trial: Trial) -> bool:
    """Whether nobody is interrupted when the disk sends the NIC's message."""
    return not trial.raw(DISK, *trial.guest.ways.message(trial.source()))


def tables(m: Machine) -> int:
    """Bytes of guest memory that the units were told of: remapping tables and queues."""
    total = 0
    for unit in range(m.units):
        entries = m.latch[LATCH_WORDS * unit + Latch.ENTRIES]
        total += 16 * (entries + queue.length(unit_register(m, "IQA", unit)) if entries else 0)
    return total


def per_move(trial: Trial) -> tuple[float, float, float]:
    """(invalidations, exits at the unit, writes to devices) for each change of affinity of the NIC's interrupt."""
    source, since, moves = trial.source(), len(trial.events), 0
    reachable = [vcpu for vcpu in trial.guest.online if not trial.guest.ways.refusal(vcpu)]
    for number in range(MOVES if len(reachable) > 1 else 0):
        others = [vcpu for vcpu in reachable if vcpu != source.vcpu]
        moves += not trial.guest.affinity(source, others[number % len(others)])
    counts = (trial.count(Act.INVALIDATED, since=since), trial.count(Act.VM_EXIT, since=since),
              trial.count(Act.WRITTEN, (Kind.DEVICE, Kind.VIOAPIC), since))
    return counts[0] / max(1, moves), counts[1] / max(1, moves), counts[2] / max(1, moves)


def lookups(trial: Trial) -> float:
    """Entries that are read, in memory or cache, for one interrupt of the NIC."""
    since = len(trial.events)
    for _ in range(MOVES):
        trial.guest.take(trial.issue(c.Signal(NIC, 0)))
    return (trial.count(Act.FETCHED, since=since) + trial.count(Act.HIT, since=since)) / MOVES


def measure(way: str, vcpus: int = 288, base: Profile | None = None) -> Row:
    """Everything about one way. base: profile of the machine, e.g. with `apic_ids` ("spec" when None).

    ValueError for a way that does not exist.
    """
    trial = Trial(way, vcpus, base)
    boot_exits = trial.count(Act.VM_EXIT)
    moves = per_move(trial)
    clusters = Trial(way, vcpus, base, "cluster") if trial.way.unit else trial
    return Row(way, vcpus, len(trial.guest.online), len(fixed(trial)), len(logical(clusters)), len(broadcast(trial)),
               tables(trial.machine), isolated(trial), *moves, lookups(trial), boot_exits)


def compare(vcpus: int = 288, base: Profile | None = None) -> list[Row]:
    """A row for each way, on the same vCPUs and functions."""
    return [measure(way, vcpus, base) for way in WAYS]


# --- as text ---

PROPERTIES: dict[str, str] = {
    "online": "vCPUs that run", "fixed": "vCPUs that a device reaches, physical destination",
    "logical": "vCPUs that a device reaches, logical destination", "broadcast": "vCPUs that one broadcast reaches",
    "tables": "guest memory for table and queue, bytes", "isolated": "another device's interrupt cannot be raised",
    "invalidations": "invalidations for a change of affinity", "exits": "VM exits at the unit for a change of affinity",
    "writes": "register writes at devices for a change of affinity", "lookups": "entries read for an interrupt",
    "boot_exits": "VM exits at the unit until all is set up"}
"""The measured properties of a `Row`, in words."""


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A line for each property: its words, then the value of each row."""
    return [(words, *(_text(getattr(row, name)) for row in rows)) for name, words in PROPERTIES.items()]


def _text(value: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
