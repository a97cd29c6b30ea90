"""Exercises of notebook 03: pin, IRQ, GSI, vector, index and APIC ID of one interrupt.

Every machine here has numbers that differ from one another, so that one name cannot pass for another.
"""

from __future__ import annotations

import random

from vsim.guest.irq import ISA_INTERRUPTS
from vsim.layouts.formats import IRTE
from vsim.readers import acpi_madt
from vsim.readers.acpi_madt import LOW_LEVEL, Madt
from widgets.course.task import Judged, Numbers, Task, yes_or_no
from widgets.lesson.names import CARD, Scrambled, madt_of, rows
from widgets.tables import Table

BASE_VECTOR = 0x31
OTHERS_ENTRIES = ISA_INTERRUPTS + 70
"""Entries that come before those of our card: held for ISA interrupts, and the other card's."""


def _machine(numbers: Numbers) -> Scrambled:
    vector = next(v for v in (0xE1, 0xE2) if v != numbers["vector"])
    return Scrambled(numbers["ids"], numbers["message"], numbers["vcpu"], numbers["vector"], (0, vector))


def _draw(dice: random.Random) -> Numbers:
    """IDs with gaps, and a message, a vector and a vCPU of which no two numbers are the same."""
    while True:
        ids = tuple(sorted(dice.sample(range(3, 250), 8)))
        message, vcpu, vector = dice.randrange(8, 60), dice.randrange(1, 8), dice.randrange(BASE_VECTOR, 0xE0)
        names = [message, message + OTHERS_ENTRIES, vector, vcpu, 2 * vcpu, ids[vcpu]]
        if len({*names}) == len(names) and vector not in (0x80, *ids):
            entry = IRTE.make(p=1, vector=vector, dst=ids[vcpu], svt=1, sid=CARD)
            return {"ids": ids, "message": message, "vector": vector, "vcpu": vcpu, "id": ids[vcpu], "entry": entry}


def _facts(numbers: Numbers) -> Table:
    """What happened: the interrupt with all its names."""
    return _machine(numbers).names()


def _vector(numbers: Numbers, answer: int) -> Judged:
    machine = _machine(numbers)
    _, vector = machine.fire(numbers["message"])
    if answer == vector:
        return Judged(True, shown=machine.names())
    index = machine.source(CARD, numbers["message"]).index
    met = ("M3" if answer == index else "M2" if answer == numbers["message"]
           else "M6" if answer in (numbers["vcpu"], numbers["id"]) else "")
    return Judged(False, met, shown=machine.names())


def _destination(numbers: Numbers, answer: int) -> Judged:
    """Put the answer into the entry: does the vCPU get the interrupt?"""
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="A destination has 32 bits.")
    machine = _machine(numbers)
    machine.change(CARD, numbers["message"], dst=answer)
    vcpu, _ = machine.fire(numbers["message"])
    happened = f"With dst={answer:#x} it goes to {'nobody' if vcpu < 0 else f'vCPU {vcpu}'}."
    if vcpu == numbers["vcpu"]:
        return Judged(True, said=happened)
    met = "M6" if answer in (numbers["vcpu"], 2 * numbers["vcpu"]) else "M2" if answer == numbers["vector"] else ""
    return Judged(False, met, happened)


def _move(machine: Scrambled, numbers: Numbers) -> None:
    machine.guest.affinity(machine.source(CARD, numbers["message"]), (numbers["vcpu"] + 1) % 8)


def _before_and_after(numbers: Numbers) -> Table:
    """The names of an interrupt before it moves, and after."""
    machine = _machine(numbers)
    before = machine.names().rows
    _move(machine, numbers)
    return Table(("name", "before", "after"), [(name, old, new) for (name, old, _), (_, new, _) in
                                               zip(before, machine.names().rows, strict=True)])


def _moved(numbers: Numbers, answer: str) -> Judged:
    """Does the device's message change when the interrupt moves?"""
    machine = _machine(numbers)
    before = machine.guest.ways.message(machine.source(CARD, numbers["message"]))
    _move(machine, numbers)
    after = machine.guest.ways.message(machine.source(CARD, numbers["message"]))
    said = f"The message is {before[0]:#x} before, and {after[0]:#x} after."
    if answer == ("yes" if before != after else "no"):
        return Judged(True, said=said)
    return Judged(False, "M4", said)


# --- one vector for several ---


def _draw_shared(dice: random.Random) -> Numbers:
    """Two to four messages with one vector, all of them on one vCPU or some on another."""
    count = dice.choice((2, 3, 4))
    messages = sorted(dice.sample(range(8, 60), count))
    one, two = dice.sample(range(8), 2)
    there = dice.randrange(0, count)
    vcpus = [one] * (count - there) + [two] * there
    where = f"all of them on vCPU {one}" if not there else "; ".join(
        f"message {message} on vCPU {vcpu}" for message, vcpu in zip(messages, vcpus, strict=True))
    return {"messages": messages, "vcpus": vcpus, "vector": dice.randrange(0x51, 0x80), "where": where,
            "text": ", ".join(map(str, messages))}


def _sent(numbers: Numbers) -> tuple[Table, int]:
    """What became of each message, and how many interrupts the vCPUs see."""
    machine = Scrambled()
    for message, vcpu in zip(numbers["messages"], numbers["vcpus"], strict=True):
        machine.change(CARD, message, vector=numbers["vector"], dst=machine.machine.apic_id[vcpu])
    told = machine.together(CARD, *numbers["messages"])
    return told, sum(what.startswith("accepted") for _, what in told.rows)


def _shared(numbers: Numbers, answer: int) -> Judged:
    shown, seen = _sent(numbers)
    if answer == seen:
        return Judged(True, shown=shown)
    said = "What comes while its bit is still set merges." if answer == len(numbers["messages"]) else ""
    return Judged(False, "M3" if answer == 1 else "", said, shown)


# --- the wires ---


def _draw_wires(dice: random.Random) -> Numbers:
    """Three I/O APICs, a GSI of the second, and an ISA interrupt whose override is given as bytes."""
    second = dice.choice((24, 32, 40))
    third = second + dice.choice((24, 48, 56))
    moved, to = dice.randrange(3, 16), dice.randrange(16, 24)
    override = acpi_madt.entry(2, source=moved, gsi=to, flags=LOW_LEVEL)
    return {"first": (0, second, third), "moved": moved, "to": to, "gsi": second + dice.randrange(3, third - second),
            "bytes": bytes(override).hex(" ")}


def _wires(numbers: Numbers) -> Table:
    return rows(_madt(numbers))


def _madt(numbers: Numbers) -> Madt:
    return madt_of((0, 2), numbers["first"], ((numbers["moved"], numbers["to"], LOW_LEVEL),))


def _pin(numbers: Numbers, answer: int) -> Judged:
    found = _madt(numbers).pin_of(numbers["gsi"])
    if found and answer == found[1]:
        return Judged(True, shown=_wires(numbers))
    met = "M2" if answer == numbers["gsi"] else ""
    said = "" if met else f"Pin {answer} of which I/O APIC? It has to be the one that begins last at or before the GSI."
    return Judged(False, met, said, _wires(numbers))


def _isa(numbers: Numbers, answer: int) -> Judged:
    right = _madt(numbers).gsi_of(numbers["moved"])
    if answer == right:
        return Judged(True, shown=_wires(numbers))
    said = "The override says otherwise: its GSI begins at byte 4, the lowest byte first."
    return Judged(False, "M2" if answer == numbers["moved"] else "", said, _wires(numbers))


TASKS = (
    Task("moved", "The kernel moves message {message} from vCPU {vcpu} to another. Does the card's message, its "
         "address or its data, change?", _draw, _moved,
         ("Who reads the entry?", "The message carries the number of an entry."), _before_and_after, yes_or_no,
         ("yes", "no")),
    Task("pin", "The I/O APICs of a machine begin at the GSIs {first}. Which pin, of its own I/O APIC, is GSI {gsi}?",
         _draw_wires, _pin, ("First find whose GSI it is.", "A pin counts from the first GSI of its I/O APIC."),
         _wires),
    Task("shared", "Messages {text} of the card are all given vector {vector:#x}: {where}. All are sent before any "
         "handler runs. How many interrupts do the vCPUs see, taken together?", _draw_shared, _shared,
         ("Each vCPU has 256 vectors of its own.", "On one vCPU a vector is one bit: it is set, or not."),
         lambda numbers: _sent(numbers)[0]),
    Task("destination", "The vCPUs have the APIC IDs {ids}, in the order in which the kernel counts them from 0. What "
         "must stand in dst, so that vCPU {vcpu} gets message {message}?", _draw, _destination,
         ("The table knows nothing of how a kernel counts.", "Count in the list from 0."), _facts),
    Task("vector", "The card's message {message} uses the entry {entry:#034x}, written here as one number, and vCPU "
         "{vcpu} takes the interrupt. Which vector does the vCPU see?", _draw, _vector,
         ("Only one of the six numbers lives inside a CPU.", "It stands in bits 23:16 of the entry."), _facts),
    Task("isa", "A MADT has an override, byte for byte {bytes}. Which GSI has ISA IRQ {moved}?", _draw_wires, _isa,
         ("An ISA IRQ has the GSI of its own number, unless an override says otherwise.",
          "Type, length, bus, ISA IRQ are a byte each; then the GSI, four bytes, the lowest first."), _wires),
)
"""The exercises, in the order of the notebook."""
