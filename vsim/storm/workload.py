"""What a storm does, as a value, and as the single commands that it stands for.

A round is what a guest under load does: it moves some interrupts to other vCPUs (rewrites the entry, invalidates it),
its devices send, its handlers take and end whatever its local APICs offer.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from vsim.devices import chain, vlapic
from vsim.devices.checks import MODE_BIT
from vsim.devices.queue import length
from vsim.devices.remap import entry_of
from vsim.devices.vvtd import value
from vsim.layouts.bits import get, put
from vsim.layouts.formats import IEC, IRTE, REMAP_ADDRESS, DescriptorType
from vsim.layouts.registers import APIC_MSR, APIC_OFFSET, GSTS, IQA, IQT, OFFSET
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, PAGE_WORDS, Apic, Latch, Machine

Request = tuple[int, int, int]
"""(requester, 64-bit address, data)."""
Draw = Callable[[int], int]
"""A random number below a limit."""

POLICIES: dict[str, Callable[[int, int, Draw], int]] = {
    "none": lambda count, vcpus, draw: -1,
    "round-robin": lambda count, vcpus, draw: count % vcpus,
    "random": lambda count, vcpus, draw: draw(vcpus),
}
"""Where the count-th affinity move goes: from (count, vCPUs, random numbers) to the vCPU, -1 for nowhere."""

RUNS = 256
"""Interrupts that the handlers of one vCPU take in one round at most: a line that stays up cannot hold a storm."""

_LIMITS = {"requests": 1 << 32, "rounds": 1 << 32, "moves": 1 << 20, "seed": 1 << 32}
MOST_MESSAGES, MOST_RATE, MOST_WHEEL = 1 << 16, 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """A device: its 16-bit requester id, its messages (address, data), and its share of the requests.

    rate: how often each of its messages is sent in one turn of the workload's wheel.
    """

    requester: int
    messages: tuple[tuple[int, int], ...]
    rate: int = 1


@dataclass(frozen=True, slots=True)
class Workload:
    """What a storm does. ValueError names a value that is over its limit.

    requests: how many in each round. policy: where affinity moves go (see POLICIES); moves: how many before each
    round. seed: fixes the order of the messages and the random moves, the same on every computer.
    """

    sources: tuple[Source, ...]
    requests: int = 1000
    rounds: int = 1
    policy: str = "none"
    moves: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what no storm can do."""
        for name, limit in _LIMITS.items():
            _within(name, getattr(self, name), limit)
        if self.policy not in POLICIES:
            raise ValueError(f"policy is {self.policy!r}; allowed are {', '.join(POLICIES)}")
        for source in self.sources:
            _within("rate", source.rate, MOST_RATE)
            for address, data in source.messages:
                c.Msi(source.requester, address, data)
        _within("the number of messages", len(self.slots), MOST_MESSAGES, 1)
        _within("messages times rates", sum(len(s.messages) * s.rate for s in self.sources), MOST_WHEEL, 1)

    @property
    def slots(self) -> tuple[Request, ...]:
        """All messages in a row."""
        return tuple((s.requester, *message) for s in self.sources for message in s.messages)

    def wheel(self) -> array[int]:
        """Slots in serial order, each as often as its rate says, shuffled by the seed; turned for ever."""
        rates = [s.rate for s in self.sources for _ in s.messages]
        out, draw = array("i", [slot for slot, rate in enumerate(rates) for _ in range(rate)]), dice(self.seed)
        for place in range(len(out) - 1, 0, -1):
            other = draw(place + 1)
            out[place], out[other] = out[other], out[place]
        return out


def _within(name: str, number: int, limit: int, least: int = 0) -> None:
    if type(number) is not int or not least <= number <= limit:
        raise ValueError(f"{name} is {number!r}; the limit is {least} to {limit}")


def dice(seed: int) -> Draw:
    """Random numbers of our own (xorshift, 32 bits): the same on every platform and in every Python."""
    state = seed * 0x9E3779B1 & 0xFFFFFFFF or 0x9E3779B1

    def draw(limit: int) -> int:
        nonlocal state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        return state % limit
    return draw


# --- as single commands ---


def commands(m: Machine, workload: Workload) -> Iterator[c.Command]:
    """Every command of a storm; each has to be stepped before the next one is asked for."""
    slots, wheel, moves = workload.slots, workload.wheel(), affinity(m, workload)
    for turn in range(workload.rounds):
        for unit, index, vcpu in islice(moves, workload.moves):
            yield from change(m, unit, index, vcpu)
        for n in range(turn * workload.requests, (turn + 1) * workload.requests):
            yield c.Msi(*slots[wheel[n % len(wheel)]])
        for vcpu in range(m.vcpus):
            yield from handler(m, vcpu)


def unit_of(m: Machine, slots: tuple[Request, ...]) -> int:
    """The remapping unit of a storm: that of its first message that goes through one; -1 for none."""
    return next((unit for requester, _, _ in slots if (unit := m.unit_of(requester)) >= 0), -1)


def affinity(m: Machine, workload: Workload) -> Iterator[tuple[int, int, int]]:
    """(unit, entry, vCPU) of each move, for ever: the entries of all messages take turns. None with policy "none"."""
    draw, choose, unit = dice(workload.seed + 1), POLICIES[workload.policy], unit_of(m, workload.slots)
    mode = m.latch[LATCH_WORDS * unit + Latch.MODE] if unit >= 0 else 0
    entries = [chain.index_of(address & 0xFFFFFFFF, data, mode) for requester, address, data in workload.slots
               if unit >= 0 and m.unit_of(requester) == unit and get(address, REMAP_ADDRESS.format)]
    count = 0
    while entries and (vcpu := choose(count, m.vcpus, draw)) >= 0:
        yield unit, entries[count % len(entries)], vcpu
        count += 1


def change(m: Machine, unit: int, index: int, vcpu: int) -> Iterator[c.Command]:
    """Move one interrupt as a guest does: rewrite the entry, then invalidate it if the unit's queue is on.

    Nothing for an entry that is not there, not present, or in posted mode.
    """
    at = LATCH_WORDS * unit
    where = (m.latch[at + Latch.BASE_PAGE] << 12) + 16 * index
    words = m.ram.words4(where) if index < m.latch[at + Latch.ENTRIES] else None
    entry = entry_of(words) if words else 0
    if get(entry, IRTE.p) and not get(entry, IRTE.im):
        wide = bool(m.latch[at + Latch.MODE] & MODE_BIT["eime"])
        entry = put(entry, IRTE.dst, destination(m, vcpu, get(entry, IRTE.dm), wide))
        yield c.RamWrite(where, entry.to_bytes(16, "little"))
        if m.regs[PAGE_WORDS * unit + OFFSET["GSTS"] // 4] & GSTS.qies.mask:
            yield from invalidate(m, unit, index)


def destination(m: Machine, vcpu: int, logical: int, wide: bool) -> int:
    """What an entry's DST holds for a vCPU: its ID or logical address; in bits 15:8 unless the unit takes 32 bits."""
    name = m.ldr[vcpu] if logical else m.apic_id[vcpu]
    if logical and m.apic_mode[vcpu] == Apic.XAPIC:
        name >>= 24
    return name if wide else (name & 0xFF) << 8


def invalidate(m: Machine, unit: int, index: int) -> Iterator[c.Command]:
    """One index-selective invalidation through the queue: the descriptor, then the tail."""
    iqa = m.latch[LATCH_WORDS * unit + Latch.IQA_USED]
    shift = IQT.qt.low + get(iqa, IQA.dw)
    tail = value(m, unit, OFFSET["IQT"], 8) >> shift
    descriptor = IEC.make(type=DescriptorType.IEC, g=1, iidx=index)
    yield c.RamWrite((get(iqa, IQA.base) << IQA.base.low) + (tail << shift), descriptor.to_bytes(1 << shift, "little"))
    page = m.latch[LATCH_WORDS * unit + Latch.MMIO_BASE]
    yield c.Mmio(page + OFFSET["IQT"], 8, (tail + 1) % length(iqa) << shift)


def handler(m: Machine, vcpu: int, runs: int = 0) -> Iterator[c.Command]:
    """A vCPU takes and ends what it is offered, until there is nothing more or it has run RUNS times.

    An NMI that waits goes first. Nothing happens where the local APIC is disabled.
    """
    while runs < RUNS and m.apic_mode[vcpu] != Apic.DISABLED and vlapic.pending(m, vcpu) >= 0:
        urgent = m.nmi[vcpu] and not m.in_nmi[vcpu]
        yield c.Acknowledge(vcpu)
        wide = m.apic_mode[vcpu] == Apic.X2APIC
        eoi = c.Msr(vcpu, APIC_MSR["EOI"], 0) if wide else c.ApicWrite(vcpu, APIC_OFFSET["EOI"], 0)
        yield c.Iret(vcpu) if urgent else eoi
        runs += 1
