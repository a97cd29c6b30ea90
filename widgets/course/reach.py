"""Exercises of notebook 00: who gets a device's interrupt, with a table and without one."""

from __future__ import annotations

import random

from vsim.guest.ways import SHORT_ID, plain_message
from vsim.layouts.formats import IRTE
from vsim.machine import step
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.pci import Bus, Function
from vsim.state.profile import profile
from vsim.state.trace import Act
from widgets.course.task import Judged, Numbers, Task, entry, yes_or_no
from widgets.lesson.journey import Journey
from widgets.lesson.made import RAM, Made
from widgets.tables import Told

CARD, DISK = 0x28, 0x30
NAMES = {CARD: "the card (00:05.0)", DISK: "the disk (00:06.0)"}
VECTOR = 0x41
MOST = 288
"""vCPUs of the largest machine here; Xen gives vCPU n the APIC ID 2n."""


def _functions() -> list[Function]:
    return [Function(bdf, name, msix_count=4) for bdf, name in NAMES.items()]


def _large(viommu: bool) -> Made:
    return Made(_functions(), [2 * n for n in range(MOST)], viommu_=viommu)


# --- before anything was set up ---


def _draw_bare(dice: random.Random) -> Numbers:
    return {"vcpus": dice.randrange(4, 64), "message": dice.randrange(4)}


def _bare(numbers: Numbers) -> list[int]:
    """Who accepts what the card sends on a machine that nobody has set up."""
    machine = Machine(profile("spec"), numbers["vcpus"], RAM, Bus(_functions()))
    return [event.node & 0xFFFFFF for event in step(machine, c.Signal(CARD, numbers["message"]))
            if event.act == Act.ACCEPTED]


def _silent(numbers: Numbers) -> Told:
    return Told([f"vCPUs that accept it: {_bare(numbers) or 'none'}. Nobody has written an address into the card yet, "
                 "so there is no message that it could send."])


def _nobody(numbers: Numbers, answer: int) -> Judged:
    if [answer] == (_bare(numbers) or [-1]):
        return Judged(True, shown=_silent(numbers))
    return Judged(False, "M1" if 0 <= answer < numbers["vcpus"] else "", shown=_silent(numbers))


# --- without a table ---


def _draw_far(dice: random.Random) -> Numbers:
    vcpu = dice.randrange(130, MOST)
    return {"vcpu": vcpu, "id": 2 * vcpu, "sender": dice.randrange(100)}


def _cut(numbers: Numbers) -> Journey:
    """A message with the low 8 bits of an ID in it, where there is no table."""
    return _large(False).raw(CARD, *plain_message(numbers["id"] & 0xFF, VECTOR))


def _takes(numbers: Numbers, answer: int) -> Judged:
    journey = _cut(numbers)
    if journey.reached == (answer,):
        return Judged(True, shown=journey.told())
    return Judged(False, "M6" if answer == numbers["id"] & 0xFF else "", shown=journey.told())


def _ipi(numbers: Numbers) -> Journey:
    return _large(False).ipi(numbers["sender"], numbers["vcpu"])


def _arrives(numbers: Numbers, answer: str) -> Judged:
    journey = _ipi(numbers)
    right = answer == ("yes" if journey.reached == (numbers["vcpu"],) else "no")
    return Judged(right, "" if right else "M5", shown=journey.told())


def _draw_ids(dice: random.Random) -> Numbers:
    return {"step": dice.choice((3, 4, 5, 6)), "base": dice.randrange(1, 40), "vcpus": 120}


def _ids(numbers: Numbers) -> Made:
    return Made(_functions(), [numbers["step"] * n + numbers["base"] for n in range(numbers["vcpus"])], viommu_=False)


def _highest(numbers: Numbers, answer: int) -> Judged:
    """The kernel directs the card's message to the answer, and to the vCPU behind it."""
    if not 0 <= answer < numbers["vcpus"] - 1:
        said = f"The guest has the vCPUs 0 to {numbers['vcpus'] - 1}, and some of them are out of reach."
        return Judged(False, "M6" if answer in (SHORT_ID, SHORT_ID + 1) else "", said)
    made = _ids(numbers)
    here, there = (made.place(CARD, 0, vcpu) for vcpu in (answer, answer + 1))
    said = f"vCPU {answer}: {here or 'reached'}. vCPU {answer + 1}: {there or 'reached'}."
    return Judged(not here and bool(there), said=said)


def _borders(numbers: Numbers) -> Told:
    made = _ids(numbers)
    refused = [(vcpu, said) for vcpu in range(numbers["vcpus"]) if (said := made.place(CARD, 0, vcpu))]
    return Told(f"The first that is refused is vCPU {vcpu}: {said}." for vcpu, said in refused[:1])


# --- who may use an entry ---


def _draw_allowed(dice: random.Random) -> Numbers:
    one, other = dice.sample((CARD, DISK), 2)
    return {"vcpu": dice.randrange(130, MOST), "allowed": one, "other": other, "one": NAMES[one], "two": NAMES[other]}


def _tried(numbers: Numbers, answer: int) -> tuple[Journey, Journey]:
    """The answer becomes an entry; both devices write a message that names it."""
    made = _large(True)
    source = made.source(numbers["allowed"])
    made.guest.driver(source).change(source.index, answer)
    message = made.guest.ways.message(source)
    return made.raw(numbers["allowed"], *message), made.raw(numbers["other"], *message)


def _allowed(numbers: Numbers, answer: int) -> Judged:
    wanted, twin = _tried(numbers, answer)
    said = f"Sent by {numbers['one']}: {wanted.verdict}; by {numbers['two']}: {twin.verdict}."
    if wanted.reached == (numbers["vcpu"],) and not twin.reached and "0x26" in twin.verdict:
        return Judged(True, said=said)
    return Judged(False, "M6" if IRTE.split(answer)["dst"] == numbers["vcpu"] else "", said, wanted.why())


TASKS = (
    Task("bare", "A guest with {vcpus} vCPUs has just been built. No kernel has run, nothing was written into the "
         "card. Which vCPU gets its message {message}? A number, or -1 for nobody.", _draw_bare, _nobody,
         ("Where would the card take the address from?", "Nobody has told it anything yet."), _silent),
    Task("cut", "There is no vIOMMU. A careless driver wants vCPU {vcpu}, whose APIC ID is {id}, and writes the low 8 "
         "bits of that ID into the message. Which vCPU takes it?", _draw_far, _takes,
         ("8 bits: take away 256 until it fits.", "What is left is an APIC ID, and vCPU n has the ID 2n."),
         lambda n: _cut(n).told()),
    Task("ipi", "The same guest without a vIOMMU: vCPU {sender} interrupts vCPU {vcpu}, APIC ID {id}, by an IPI. Does "
         "it arrive?", _draw_far, _arrives, ("Is a device involved?", "How wide is the destination in the ICR?"),
         lambda n: _ipi(n).told(), yes_or_no, ("yes", "no")),
    Task("highest", "In another guest vCPU n has the APIC ID {step}n + {base}. It has {vcpus} vCPUs, and no vIOMMU. "
         "Which is the highest vCPU that the card can reach?", _draw_ids, _highest,
         ("The last ID that a careful kernel writes into 8 bits is 254.", "Which vCPU has the largest ID up to 254?"),
         _borders),
    Task("allowed", "Write an entry, as text such as p=1 vector=0x51 dst=0x10 sid=00:05.0 svt=1, that leads to vCPU "
         "{vcpu} (its APIC ID is twice that) and lets in {one} alone. It is tried by both: {two} has to be blocked "
         "with reason 0x26, wrong source.", _draw_allowed, _allowed,
         ("Three fields decide: dst, sid, svt.", "svt=1 compares the sender with sid; dst is an APIC ID."), None,
         entry),
)
"""The exercises, in the order of the notebook."""
