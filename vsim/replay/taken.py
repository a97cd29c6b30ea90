"""Vectors that vCPUs began to run, held against those that the machine offers: each is equal, or has a reason.

A recording has the moment at which the first instruction behind a vector ran. The vCPU took the vector a little
before: what arrived in between did not merge with it, and did not come before it. Where a vector was taken that the
machine would not offer at that moment, this is looked for in what arrived since the vCPU's last interrupt ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from vsim.devices import lint, vpic
from vsim.layouts.bits import get
from vsim.layouts.formats import Dlm
from vsim.layouts.registers import LVT_LINT, LVT_TIMER
from vsim.state.arrays import LVTS, Machine

ARRIVED, TAKEN, ENDED = range(3)
"""What happens to a vCPU: a vector arrives at its local APIC, it begins to run one, it writes EOI."""

Seen = tuple[int, int, int, int]
"""Place in the recording, what happened, vCPU, vector."""
Early = dict[int, list[tuple[int, int]]]
"""vCPU and vector to acknowledge before the command at a place of the recording."""

EQUAL, EARLY, TIMER, EXTINT, OWN, SPURIOUS, UNKNOWN = "equal", "early", "timer", "8259", "own", "spurious", "unknown"
WHY = {
    EQUAL: "the machine offers it at that moment",
    EARLY: "taken before a message that was logged ahead of the handler's first instruction",
    TIMER: "the local APIC's own timer, which runs in the other machine's time",
    EXTINT: "from the 8259 through LINT0 (ExtINT), whose line of that input had risen",
    OWN: "another entry of the local vector table: error, performance, thermal",
    SPURIOUS: "the spurious vector: what was offered had gone",
    UNKNOWN: "not explained",
}
"""What may be said of a vector that was taken."""
WITHOUT_EOI = (EXTINT, SPURIOUS)
"""What is not in service at the local APIC, so that no EOI ends it there."""
TIMER_PLACE = 0


def source(m: Machine, vcpu: int, vector: int) -> str:
    """Where a vector may come from that no message and no IPI carried, as the local APIC is programmed.

    An entry that is masked by now counts for its vector: it may have been requested before.
    """
    entries = m.lvt[LVTS * vcpu:LVTS * (vcpu + 1)]
    if get(entries[TIMER_PLACE], LVT_TIMER.vector) == vector:
        return TIMER
    if any(get(entry, LVT_LINT.dlm) == Dlm.FIXED and get(entry, LVT_LINT.vector) == vector for entry in entries[1:]):
        return OWN
    if lint.external(m, vcpu):
        return EXTINT
    return SPURIOUS if m.svr[vcpu] & 0xFF == vector else UNKNOWN


class Lines:
    """Lines that go to the 8259 pair beside the I/O APIC, and which of them rose since the pair last gave their vector.

    Its ports are not recorded, so its masks and bases are unknown: bits 2:0 of a vector are the input, of either 8259.
    """

    def __init__(self) -> None:
        self._up: set[int] = set()
        self._risen: set[int] = set()

    def drive(self, gsi: int, level: int) -> None:
        """A pin of the I/O APIC changes: its line goes to the 8259 too, if it is one of the mainboard's."""
        irq = 0 if gsi == vpic.TIMER_GSI else gsi
        if level and irq < 16 and irq not in self._up:
            self._risen.add(irq)
        (self._up.add if level else self._up.discard)(irq)

    def take(self, vector: int) -> bool:
        """Whether the pair can have given this vector; the edge is used up."""
        found = next((irq for irq in (vector & 7, 8 | vector & 7) if irq in self._risen), -1)
        self._risen.discard(found)
        return found >= 0


def early(seen: Iterable[Seen]) -> Early:
    """Which acknowledges came before a message that the recording has ahead of them, and before which place."""
    vcpus: dict[int, _Vcpu] = defaultdict(_Vcpu)
    for place, what, vcpu, vector in seen:
        one = vcpus[vcpu]
        if what == ARRIVED:
            one.waiting.setdefault(vector, []).append(place)
        elif what == ENDED:
            one.since = place
        else:
            one.take(place, vector)
    moved: Early = {}
    for vcpu, one in vcpus.items():
        for place, vector in one.moved:
            moved.setdefault(place, []).append((vcpu, vector))
    return moved


class _Vcpu:
    """One vCPU's vectors: those that wait with the places of their messages, and when it took the last ones.

    Two things betray that it took a vector before a message that comes first in the recording: a higher vector waits,
    which would have been taken first; or a vector is taken again for which only a message is left that would have
    merged with the one before. Then it was taken right before that message.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, list[int]] = {}
        self.since = -1
        self.last: dict[int, tuple[int, list[int]]] = {}
        self.moved: list[tuple[int, int]] = []

    def take(self, place: int, vector: int) -> None:
        """It runs a vector: which acknowledge, this or the one before, must have come earlier?"""
        arrived = self.waiting.pop(vector, [])
        if arrived:
            urgent = min((places[0] for other, places in self.waiting.items() if other > vector), default=-1)
            if max(arrived[0], self.since) < urgent:
                self.moved.append((urgent, vector))
                if arrived[-1] > urgent:
                    self.waiting[vector] = [place for place in arrived if place > urgent]
        elif vector in self.last:
            since, merged = self.last[vector]
            if len(merged) > 1 and merged[-1] > since:
                self.moved.append((merged[-1], vector))
        self.last[vector] = self.since, arrived
        self.since = place
