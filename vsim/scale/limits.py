"""What bites first when a virtual machine grows: a limit a row, what it holds, what is asked of it, who says so.

    demand = Demand(vcpus=288, devices=((64, 64),) * 40)
    for row in sized(demand): print(row.limit.name, row.need, row.room, row.use)

A figure is *defined* (by a format), *measured* (in a run that is named), *published* or *assumed*; each can be
replaced: `sized(demand, {"vectors": 203})`. Rates cost processor time by the paths of `explain.paths`, whose costs are
graded there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from typing import NamedTuple

from vsim.explain import paths
from vsim.layouts.formats import IRTE, MSI_ADDRESS, REMAP_ADDRESS

MAX_VCPUS = 4096
FORMATS = ("compatibility", "extended", "remapped")
"""How device interrupts name their vCPU: 8 bits, 15 bits (extended destination ID), 32 bits in a table entry."""


class Figure(NamedTuple):
    """A number that limits rest on. grade: "defined", "measured", "published" or "assumed"."""

    value: int
    meaning: str
    grade: str
    source: str


FIGURES: dict[str, Figure] = {
    "id_bits_8": Figure(MSI_ADDRESS.dest.width, "bits of a destination in a message", "defined", "SDM 11.11.1"),
    "id_bits_15": Figure(15, "bits of an extended destination ID", "published",
                         "Xen, public/arch-x86/cpuid.h, XEN_HVM_CPUID_EXT_DEST_ID"),
    "id_bits_32": Figure(IRTE.dst.width, "bits of a destination in a table entry", "defined", "VT-d 9.9"),
    "handle_bits": Figure(REMAP_ADDRESS.handle.width + 1, "bits of the number of an entry in a message", "defined",
                          "VT-d 5.1.2.2"),
    "vectors": Figure(202, "vectors of a CPU that devices can have", "measured",
                      "Linux 6.12, VECTOR domain of debugfs: 198 available and 4 taken on each of 8 CPUs"),
    "pins": Figure(48, "pins of Xen's I/O APIC", "published", "Xen 4.10, vioapic.h, VIOAPIC_NUM_PINS"),
    "routes": Figure(4096, "interrupt routes of a KVM domain", "published", "Linux, KVM_MAX_IRQ_ROUTES"),
    "messages": Figure(2048, "messages of a function with MSI-X", "defined", "PCI 7.7.2.2")}
"""The figures by name."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a machine is asked to do.

    devices: (messages announced, queues wanted, 0: one for each vCPU and one more) of each; pins: devices on a pin.
    apic_id_step: APIC ID of vCPU n is n times this. form: of `FORMATS`. rate: interrupts a second of each queue.
    batch_us: microseconds for which a device gathers events into one interrupt, 0 for none. all_routed: each message
    announced takes a route, used or not.
    """

    vcpus: int
    devices: tuple[tuple[int, int], ...] = ()
    pins: int = 0
    apic_id_step: int = 2
    form: str = "remapped"
    rate: int = 0
    batch_us: int = 0
    all_routed: bool = True

    def __post_init__(self) -> None:
        """ValueError for what no machine can be asked."""
        if not 1 <= self.vcpus <= MAX_VCPUS:
            raise ValueError(f"vcpus is {self.vcpus}; the limit is 1 to {MAX_VCPUS}")
        if self.form not in FORMATS:
            raise ValueError(f"form is {self.form!r}; allowed are {', '.join(FORMATS)}")
        for name in ("pins", "rate", "batch_us"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it cannot be negative")

    @property
    def queues(self) -> int:
        """Interrupts of all devices that are used: as many queues as are wanted and announced."""
        return sum(min(announced, wanted or self.vcpus + 1) for announced, wanted in self.devices)

    @property
    def announced(self) -> int:
        """Messages that all devices announce."""
        return sum(announced for announced, _ in self.devices)


Figures = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit. need, room: what a demand asks of it and what it has; rests: names of figures; bites: what then."""

    name: str
    sentence: str
    bites: str
    need: Callable[[Demand], int]
    room: Callable[[Demand, Figures], int]
    rests: tuple[str, ...]


class Use(NamedTuple):
    """A limit under a demand. use: need as a part of room, above 1 when it bites."""

    limit: Limit
    need: int
    room: int

    @property
    def use(self) -> float:
        """need / room; infinite when there is no room at all."""
        return self.need / self.room if self.room else float("inf") if self.need else 0.0


def _reachable(demand: Demand, figures: Figures) -> int:
    """vCPUs that a device interrupt can name; the last ID of the format is the broadcast."""
    bits = {"compatibility": "id_bits_8", "extended": "id_bits_15", "remapped": "id_bits_32"}[demand.form]
    return ((1 << figures[bits]) - 2) // demand.apic_id_step + 1


LIMITS: dict[str, Limit] = {each.name: each for each in (
    Limit("APIC IDs", "vCPUs that a device interrupt can name",
          "the vCPUs beyond get no device interrupt", lambda d: d.vcpus, _reachable,
          ("id_bits_8", "id_bits_15", "id_bits_32")),
    Limit("vectors", "interrupts that fit on all vCPUs together", "devices get fewer queues, or none",
          lambda d: d.queues + d.pins, lambda d, f: d.vcpus * f["vectors"], ("vectors",)),
    Limit("table entries", "interrupts with an entry of their own", "interrupts without an entry cannot be set up",
          lambda d: d.queues + d.pins if d.form == "remapped" else 0, lambda d, f: 1 << f["handle_bits"],
          ("handle_bits",)),
    Limit("I/O APIC pins", "devices with a pin of their own", "devices share a pin, each handler asks each device",
          lambda d: d.pins, lambda d, f: f["pins"], ("pins",)),
    Limit("routes", "messages and pins that a KVM host routes", "the next device cannot be set up",
          lambda d: (d.announced if d.all_routed else d.queues) + d.pins, lambda d, f: f["routes"], ("routes",)),
    Limit("MSI-X messages", "queues of the hungriest device", "vCPUs share a queue",
          lambda d: max((wanted or d.vcpus + 1 for _, wanted in d.devices), default=0),
          lambda d, f: min(f["messages"], max((announced for announced, _ in d.devices), default=f["messages"])),
          ("messages",)))}
"""The limits by name."""


def figures(changes: Figures | None = None) -> dict[str, int]:
    """The value of each figure, some replaced. ValueError for a name that there is not, or a value below 0."""
    out = {name: figure.value for name, figure in FIGURES.items()}
    for name, value in (changes or {}).items():
        if name not in FIGURES:
            raise ValueError(f"no figure {name!r}; figures are {', '.join(FIGURES)}")
        if type(value) is not int or not 0 <= value <= 1 << 32:
            raise ValueError(f"{name} is {value!r}; the limit is 0 to {1 << 32}")
        out[name] = value
    return out


def sized(demand: Demand, changes: Figures | None = None) -> list[Use]:
    """Every limit under a demand, the one that is used most first."""
    known = figures(changes)
    rows = [Use(limit, limit.need(demand), limit.room(demand, known)) for limit in LIMITS.values()]
    return sorted(rows, key=lambda row: -row.use)


def crossing(demand: Demand, name: str, changes: Figures | None = None) -> int:
    """The least number of vCPUs at which a limit bites, all else as in the demand; 0: never up to `MAX_VCPUS`."""
    known, limit = figures(changes), LIMITS[name]
    for vcpus in range(1, MAX_VCPUS + 1):
        grown = replace(demand, vcpus=vcpus)
        if limit.need(grown) > limit.room(grown, known):
            return vcpus
    return 0


def least_online(demand: Demand, changes: Figures | None = None) -> int:
    """CPUs that must stay online to hold all interrupts: the vectors of fewer do not suffice."""
    return ceil((demand.queues + demand.pins) / max(1, figures(changes)["vectors"]))


# --- rates ---


class Load(NamedTuple):
    """What a rate costs. way: "emulated", "passed through" or "posted"; rate: interrupts a second after gathering.

    cpus: CPUs that the hypervisor is busy with it; exits: VM exits a second.
    """

    way: str
    rate: int
    exits: int
    cpus: float


_WAYS = {"emulated": "emulated MSI", "passed through": "passed-through MSI", "posted": "passed-through MSI, posted"}


def gathered(rate: int, batch_us: int) -> int:
    """Interrupts a second of a queue whose device gathers events for so many microseconds: at most one for each."""
    return min(rate, 1_000_000 // batch_us) if batch_us else rate


def loads(demand: Demand, placement: str = "xen") -> Iterator[Load]:
    """What the demand's rate costs by each way, for all queues, by the costs of `explain.paths`."""
    rate = demand.queues * gathered(demand.rate, demand.batch_us)
    for way, name in _WAYS.items():
        one = _count(name, placement)
        yield Load(way, rate, rate * one.exits, round(rate * one.ns / 1e9, 3))


@cache
def _count(name: str, placement: str) -> paths.Count:
    return paths.count(name, placement)
