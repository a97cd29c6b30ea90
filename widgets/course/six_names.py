"""Exercises of notebook 03: pin, IRQ, GSI, vector, index and APIC ID of one interrupt.

Every machine here has numbers that differ from one another, so that one name cannot pass for another.
"""

from __future__ import annotations

import random
from typing import Any

from vsim.devices import viommu
from vsim.domain import acpi, builder
from vsim.domain.platform import Platform
from vsim.guest.kernel import Guest
from vsim.layouts.formats import IRTE
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act, Event
from widgets.course.task import Judged, Numbers, Task
from widgets.tables import Table

OTHER, CARD = 0x0200, 0x0300
"""Requester ids of two cards, 02:00.0 and 03:00.0; the entries of the first come before those of the second."""
BASE_VECTOR = 0x31


class Scrambled:
    """A machine with one card whose message n leads through an entry to a vCPU, all numbers drawn.

    table: index of each message's entry, its vector and its vCPU.
    """

    def __init__(self, numbers: Numbers) -> None:
        self.m = Machine(profile("spec").with_options(apic_ids=tuple(numbers["ids"])), len(numbers["ids"]), 64 << 20,
                         Bus([Function(OTHER, "another card", passthrough=True, msix_count=70),
                              Function(CARD, "card", passthrough=True, msix_count=64)]))
        self._do(c.Domctl(viommu.create_op(version=self.m.profile.options.interface)))
        self._do(c.RamWrite(builder.DMAR_AT, acpi.dmar_of(self.m)))
        self.guest = Guest(self._do, Platform.of(self.m, builder.DMAR_AT))
        self.guest.boot()
        source = self.guest.sources[CARD][numbers["message"]]
        self.guest.driver(source).change(source.index, numbers["entry"])
        self.index = source.index

    def _do(self, command: c.Command) -> list[Event]:
        return step(self.m, command)

    def fire(self, message: int) -> tuple[int, int]:
        """(vCPU, vector) that take the card's message; (-1, -1) when nobody does."""
        events = self._do(c.Signal(CARD, message))
        return next(((e.node & 0xFFFFFF, e.index) for e in events if e.act == Act.ACCEPTED), (-1, -1))


def _draw(dice: random.Random) -> Numbers:
    """IDs with gaps, and a message, a vector and a vCPU of which no two numbers are the same."""
    ids = sorted(dice.sample(range(3, 250), 8))
    message = dice.randrange(2, 60)
    vcpu = dice.randrange(1, 8)
    vector = dice.choice([v for v in range(BASE_VECTOR, 0xE0) if v not in {message, *ids}])
    entry = IRTE.make(p=1, vector=vector, dst=ids[vcpu], svt=1, sid=CARD)
    return {"ids": ids, "message": message, "vector": vector, "vcpu": vcpu, "id": ids[vcpu], "entry": entry}


def _facts(numbers: Numbers) -> Table:
    """What happened: the interrupt with all its numbers."""
    machine = Scrambled(numbers)
    vcpu, vector = machine.fire(numbers["message"])
    return Table(("name", "number", "of what"), [
        ("message", numbers["message"], "of the card: which of its MSI-X table's rows"),
        ("index", machine.index, "in the interrupt remapping table"),
        ("vector", f"{vector:#x}", "of one vCPU"),
        ("APIC ID", f"{machine.m.apic_id[vcpu]:#x}", "of a local APIC, as the platform gave it out"),
        ("vCPU", vcpu, "as the guest's kernel counts")], "One interrupt and its numbers")


def _vector(numbers: Numbers, answer: int) -> Judged:
    machine = Scrambled(numbers)
    _, vector = machine.fire(numbers["message"])
    if answer == vector:
        return Judged(True, shown=_facts(numbers))
    if answer == machine.index:
        return Judged(False, "M3", shown=_facts(numbers))
    met = "M2" if answer == numbers["message"] else "M6" if answer in (numbers["vcpu"], numbers["id"]) else ""
    return Judged(False, met, shown=_facts(numbers))


def _destination(numbers: Numbers, answer: int) -> Judged:
    """Put the answer into the entry: does the vCPU get the interrupt?"""
    machine = Scrambled(numbers)
    source = machine.guest.sources[CARD][numbers["message"]]
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="A destination has 32 bits.")
    entry = IRTE.make(p=1, vector=numbers["vector"], dst=answer, svt=1, sid=CARD)
    machine.guest.driver(source).change(source.index, entry)
    vcpu, _ = machine.fire(numbers["message"])
    happened = f"With dst={answer:#x} it goes to {'nobody' if vcpu < 0 else f'vCPU {vcpu}'}."
    if vcpu == numbers["vcpu"]:
        return Judged(True, said=happened)
    met = "M6" if answer in (numbers["vcpu"], 2 * numbers["vcpu"]) else "M2" if answer == numbers["vector"] else ""
    return Judged(False, met, happened)


def _moved(numbers: Numbers, answer: str) -> Judged:
    """Does the device's message change when the interrupt moves?"""
    machine = Scrambled(numbers)
    source = machine.guest.sources[CARD][numbers["message"]]
    before = machine.guest.ways.message(source)
    machine.guest.affinity(source, (numbers["vcpu"] + 1) % 8)
    after = machine.guest.ways.message(source)
    said = f"The message is {before[0]:#x} before, and {after[0]:#x} after."
    changed = before != after
    if answer == ("yes" if changed else "no"):
        return Judged(True, said=said)
    return Judged(False, "M4", said)


def _yes_or_no(given: Any) -> str:
    text = str(given).strip().lower()
    if text not in ("yes", "no"):
        raise ValueError("yes or no?")
    return text


TASKS = (
    Task("vector", "The card's message {message} uses the entry {entry:#034x}, written here as one number, and vCPU "
         "{vcpu} takes the interrupt. Which vector does the vCPU see?", _draw, _vector,
         ("Only one of the six numbers lives inside a CPU.", "It stands in bits 23:16 of the entry."), _facts),
    Task("destination", "The vCPUs have the APIC IDs {ids}, in the order in which the kernel counts them from 0. What "
         "must stand in dst, so that vCPU {vcpu} gets message {message}?", _draw, _destination,
         ("The table knows nothing of how a kernel counts.", "Count in the list from 0."), _facts),
    Task("moved", "The kernel moves message {message} from vCPU {vcpu} to another. Does the card's message, its "
         "address or its data, change?", _draw, _moved,
         ("Who reads the entry?", "The message carries the number of an entry."), _facts, _yes_or_no, ("yes", "no")),
)
