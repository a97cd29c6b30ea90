"""Exercises of notebook 17: what a real machine does too, tried here and under the profile that imitates it."""

from __future__ import annotations

import random

from vsim.layouts.formats import msi_message, remap_message
from vsim.replay.deviations import between
from vsim.state import commands as c
from vsim.state.profile import QUIRKS, Profile, profile
from vsim.state.trace import Act
from widgets.course.task import Judged, Numbers, Task, word, yes_or_no
from widgets.lab.lab import Lab
from widgets.tables import Table

NIC = 0x300
CONFIG = 'name = "host"\nvcpus = 4\nmemory = 64\nviommu = "type=vtd,intremap=1,x2apic=1"\npci = ["03:00.0"]\n'
MACHINES = ("spec", "qemu-10")


def _machine(name: str) -> Profile:
    """A profile, with the APIC IDs of the notebook's machine, which the QEMU beside it has as well."""
    return profile(name).with_options(apic_id_step=2)


def _sent(on: Profile, numbers: Numbers) -> list[Act]:
    """What a message does on a booted machine of a profile."""
    lab = Lab.from_config(CONFIG, profile=on)
    lab.boot()
    address, data = (msi_message(numbers["dest"], numbers["vector"]) if "index" not in numbers
                     else remap_message(numbers["index"]))
    return [Act(event.act) for event in lab.issue(c.Msi(NIC, address, data))]


def _both(numbers: Numbers) -> Table:
    """The message on both; not the unit's own one, by which it tells of a fault."""
    rows = []
    for name in MACHINES:
        acts = _sent(_machine(name), numbers)
        to = acts.index(Act.BLOCKED) + 1 if Act.BLOCKED in acts else len(acts)
        rows.append((name, ", ".join(act.name.lower().replace("_", " ") for act in acts[:to])))
    return Table(("profile", "what happened to it"), rows)


def _delivered(numbers: Numbers, answer: str) -> Judged:
    right = "no" if Act.BLOCKED in _sent(_machine("qemu-10"), numbers) else "yes"
    said = ("The specification blocks it; look at what QEMU does instead." if right == "yes" else
            "No entry is for that handle, and both block it.")
    return Judged(answer == right, said=said if answer != right else "", shown=_both(numbers))


def _quirk(numbers: Numbers, answer: str) -> Judged:
    """The deviation is switched off under the profile that imitates QEMU: does the difference go?"""
    name = answer if answer.startswith("qemu.") else f"qemu.{answer}"
    known = {id_.lower(): id_ for id_ in QUIRKS}.get(name.lower())
    between_them = [each.name for each in between(*map(_machine, MACHINES)) if each.name.startswith("qemu.")]
    if known not in between_them:
        return Judged(False, said=f"That is no quirk between the two profiles; there are {', '.join(between_them)}.")
    gone = Act.BLOCKED in _sent(_machine("qemu-10").without_quirks(known), numbers)
    return Judged(gone, said="" if gone else f"Without {known} the message passes all the same.", shown=_both(numbers))


def _learned(numbers: Numbers, answer: str) -> Judged:
    if answer == "no":
        return Judged(True, said="Nothing comes back to the device; the unit keeps the record for software.")
    return Judged(False, "M10", "Whether the write was remapped, blocked or lost, the device sees the same.")


def _draw(dice: random.Random) -> Numbers:
    return {"dest": dice.choice((2, 4, 6)), "vector": dice.randrange(0x31, 0xE0)}


def _draw_handle(dice: random.Random) -> Numbers:
    """A handle that no entry is for."""
    index = dice.randrange(300, 30000)
    return {"index": index, "words": f"a message with the handle {index}, for which there is no entry"}


def _draw_kind(dice: random.Random) -> Numbers:
    """In compatibility format, or by a handle that no entry is for."""
    numbers, handle = _draw(dice), _draw_handle(dice)
    if dice.random() < 0.4:
        return {**numbers, **handle}
    return {**numbers, "words": f"a message in compatibility format, vector {numbers['vector']:#x} to APIC ID "
                                f"{numbers['dest']}"}


TASKS = (
    Task("learned", "A device sends {words}. Does it learn that its write was blocked? (yes or no)",
         _draw_handle, _learned, ("What does a write to memory bring back?", "Who reads the fault record?"), None,
         yes_or_no, ("yes", "no")),
    Task("delivered", "EIME is 1, and a device sends {words}. Does it arrive on QEMU 10? (yes or no)", _draw_kind,
         _delivered, ("Is it blocked by the specification? Then: which light would it have?",
                      "QEMU looks entries up as the specification says; it is kinder to what brings no handle."),
         _both, yes_or_no, ("yes", "no")),
    Task("which", "A message in compatibility format, vector {vector:#x} to APIC ID {dest}, while EIME is 1: the "
         "specification blocks it, QEMU 10 delivers it. Which one quirk of QEMU makes that difference? Its name, such "
         "as qemu.K1.", _draw, _quirk,
         ("The light's line names it.", "It is about GCMD.CFI."), _both, word),
)
