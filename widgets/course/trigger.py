"""Exercises of notebook 05: how often a pin sends, and what lets it send again."""

from __future__ import annotations

import random

from vsim.state.commands import Mmio
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.lesson.wire import EOI_REGISTER, SLOTS, TRIGGERS, Wire

DEVICE, CPU = "the device lets go of its line", "the EOI of the vCPU"
REGISTER = "a write to the I/O APIC's EOI register"
ENDS = (DEVICE, CPU, REGISTER)
WAYS: dict[str, tuple[str, bool]] = {
    "no remapping": ("", False), "no remapping, and the vCPU suppresses the broadcast of its EOIs": ("", True),
    "a remapped pin as Linux programs it": ("linux", False), "a remapped pin as Xen programs it": ("xen", False)}
"""Ways to program a level pin: kernel of a `Wire`, and whether EOIs are suppressed."""


def _sent(trigger: str, steps: str) -> int:
    return Wire(trigger).play(steps).sent


def _draw(dice: random.Random, masks: bool) -> Numbers:
    """Steps in which an edge pin sends another number of times than a level pin."""
    while True:
        line, masked, steps = {"A": 0, "B": 0}, 0, ["A up"]
        line["A"] = 1
        for _ in range(9):
            kind = dice.choice(("A", "B", "take", "eoi") + ("mask",) * masks)
            if kind in line:
                line[kind] ^= 1
                steps.append(f"{kind} {'up' if line[kind] else 'down'}")
            elif kind == "mask":
                masked ^= 1
                steps.append("mask" if masked else "unmask")
            elif steps[-1] != kind:
                steps.append(kind)
        if masks and steps.count("unmask") != 1:
            continue
        counts = [_sent(trigger, ", ".join(steps)) for trigger in TRIGGERS]
        if counts[0] != counts[1]:
            return {"steps": ", ".join(steps), "trigger": dice.choice(TRIGGERS)}


def _draw_stays(dice: random.Random) -> Numbers:
    """A line that goes up and stays, and handlers that end what they have taken."""
    ends = dice.randrange(1, 4)
    return {"trigger": dice.choice(TRIGGERS), "steps": ", ".join(["A up", *["take", "eoi"] * ends])}


def _played(numbers: Numbers) -> Wire:
    return Wire(numbers["trigger"]).play(numbers["steps"])


def _count(numbers: Numbers, answer: int) -> Judged:
    wire = _played(numbers)
    if answer == wire.sent:
        return Judged(True, shown=wire)
    (other,) = (each for each in TRIGGERS if each != numbers["trigger"])
    return Judged(False, "M12" if answer == _sent(other, numbers["steps"]) else "", shown=wire)


def _way(numbers: Numbers) -> Wire:
    kernel, suppress = WAYS[numbers["way"]]
    return Wire("level", kernel, suppress, slot=numbers["slot"], vector=numbers["vector"]).play("A up, take")


def _draw_way(dice: random.Random, ways: tuple[str, ...]) -> Numbers:
    while True:
        numbers = {"way": dice.choice(ways), "slot": dice.choice(SLOTS), "vector": dice.randrange(0x31, 0xE0)}
        pin = _way({**numbers, "vector": 0x52}).pin
        if numbers["vector"] not in (pin, 0x80):
            return {**numbers, "pin": pin}


def _ending(numbers: Numbers) -> str:
    """What clears remote IRR: the first of the three that does."""
    wire = _way(numbers)
    for said, steps in ((DEVICE, "A down"), (CPU, "eoi")):
        if not wire.play(steps).remote_irr:
            return said
    return REGISTER


def _owes(numbers: Numbers, answer: str) -> Judged:
    right = _ending(numbers)
    shown = _way(numbers).play("A down, eoi, write pin, write vector")
    if answer == right:
        return Judged(True, shown=shown)
    return Judged(False, "M11" if answer == DEVICE else "", "Look for the step at which remote IRR is cleared.", shown)


def _written(numbers: Numbers, answer: int) -> Judged:
    """Write the answer into the EOI register: is remote IRR clear then?"""
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="The register has 32 bits, of which 7:0 count.")
    wire = _way(numbers).play("A down, eoi")
    wire.issue(Mmio(EOI_REGISTER, 4, answer))
    said = f"With {answer:#x} in the EOI register, remote IRR is {int(wire.remote_irr)}. {wire.entries()}"
    if not wire.remote_irr:
        return Judged(True, said=said)
    return Judged(False, "M2" if answer in (numbers["vector"], numbers["pin"]) else "", said)


def _ended(numbers: Numbers) -> Wire:
    return _way(numbers).play("A down, eoi, write vector, write pin")


_STEPS = "A step with nothing to take or to end does nothing."
TASKS = (
    Task("stays", "A pin with {trigger} trigger. The device's line goes up and stays up: {steps}. " + _STEPS + " How "
         "many interrupts does the pin send?", _draw_stays, _count,
         ("Does this pin look at a change of its line, or at its state?", "A level pin looks at its line at each EOI."),
         _played),
    Task("masked", "A pin with {trigger} trigger, and its mask is used as well: {steps}. " + _STEPS + " How many "
         "interrupts does the pin send?", lambda dice: _draw(dice, True), _count,
         ("What comes while the pin is masked: is it an event or a state?",
          "At unmask a level pin looks at its line; an edge pin has forgotten."), _played),
    Task("again", "A pin with {trigger} trigger; two devices, A and B, are on it. This is done: {steps}. " + _STEPS +
         " How many interrupts does the pin send?", lambda dice: _draw(dice, False), _count,
         ("For edge count the changes of the line from down to up; for level ask at each EOI whether it is up.",
          "The line is up as long as one of the two holds it up; a level pin waits for the EOI before it sends again."),
         _played),
    Task("owes", "A level pin has sent, and the vCPU is in the handler: {way}. What clears remote IRR?",
         lambda dice: _draw_way(dice, tuple(WAYS)), _owes,
         ("Does the vCPU's EOI leave the vCPU? Then compare vectors.",
          "The pin compares with the vector in its own entry."),
         lambda numbers: _way(numbers).play("A down, eoi, write pin, write vector"), one_of(*ENDS), ENDS),
    Task("write", "Level pin {pin} sends vector {vector:#x}: {way}. The kernel ends it by the I/O APIC's EOI "
         "register. Which value does it write there?",
         lambda dice: _draw_way(dice, tuple(way for way, (kernel, suppress) in WAYS.items()
                                            if kernel == "linux" or suppress)), _written,
         ("The I/O APIC looks for the value among the vectors of its own entries.",
          "Linux writes the number of the pin where the vector was."), _ended),
)
"""The exercises, in the order of the notebook."""
