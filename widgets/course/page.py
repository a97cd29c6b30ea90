"""Exercises of notebook 08: the page of registers, where it lies and how it is written."""

from __future__ import annotations

import random

from vsim.domain.stage import BASE, Stage
from vsim.layouts.registers import IRTA, OFFSET
from vsim.machine import step
from vsim.review.evidence import access, code, of_version, stage
from vsim.state import commands as c
from vsim.state.arrays import Machine
from widgets.course.task import Judged, Numbers, Task, numbers, one_of
from widgets.tables import Told

TRAPPED, OUTSIDE, CRASHED = "Xen answers it", "it is none of Xen's", "the domain ends"
END = 0xD0
"""Version 4 traps the page up to here."""


def _draw_access(dice: random.Random) -> Numbers:
    width = dice.choice((4, 8))
    kinds = {TRAPPED: (END - 0x40, END - width), CRASHED: (END - 4, END - 4), OUTSIDE: (END, END + 0x80)}
    first, last = kinds[dice.choice(tuple(kinds) if width == 8 else (TRAPPED, OUTSIDE))]
    return {"width": width, "offset": dice.randrange(first, last + 1, 4)}


def _access(given: Numbers) -> str:
    """What becomes of a write to version 4's page."""
    return access(stage("v4"), BASE + given["offset"], given["width"], 0)


def _becomes(given: Numbers, answer: str) -> Judged:
    said = _access(given)
    found = CRASHED if "crashed" in said else TRAPPED if said.startswith("trapped") else OUTSIDE
    return Judged(answer == found, said=f"{given['width']} bytes at {given['offset']:#x}: {said}.")


# --- where it may lie ---


def _draw_memory(dice: random.Random) -> Numbers:
    return {"mib": dice.randrange(9, 200)}


def _created(given: Numbers, base: int) -> str:
    """How the corrected call ends, for a guest with so much memory and this base."""
    made = Stage(of_version("corrected"), create=False)
    made.m = Machine(made.m.profile, 4, given["mib"] << 20)
    return code(made.create(base_address=base))


def _lowest(given: Numbers, answer: int) -> Judged:
    """The answer is tried, and the page below it."""
    if not 0 <= answer < 1 << 64:
        return Judged(False, said="An address has 64 bits.")
    here, below = _created(given, answer), _created(given, answer - 4096) if answer >= 4096 else "-EINVAL"
    said = f"{answer:#x}: {here}. A page lower: {below}."
    return Judged(here == "done" and "EEXIST" in below, said=said)


def _memory(given: Numbers) -> Told:
    return Told([f"The guest's memory ends at {given['mib'] << 20:#x}."])


# --- half by half ---


def _draw_table(dice: random.Random) -> Numbers:
    base = dice.randrange(1, 16) << 32 | dice.randrange(0x10000, 0xFFFFF) << 12
    size = dice.randrange(5, 15)
    return {"base": base, "entries": 2 << size, "size": size}


def _halves(given: Numbers, answer: tuple[int, ...]) -> Judged:
    """The guest writes both halves, and reads the register as a whole."""
    if len(answer) != 2 or not all(0 <= each < 1 << 32 for each in answer):
        return Judged(False, said="Two numbers of 32 bits are asked for: the lower half, then the upper.")
    made = stage("corrected")
    for half, value in enumerate(answer):
        step(made.m, c.Mmio(BASE + OFFSET["IRTA"] + 4 * half, 4, value))
    found = IRTA.split(made.read("IRTA", 8))
    said = f"The register holds {IRTA.text(made.read('IRTA', 8))}."
    right = (found["base"] << IRTA.base.low, found["eime"], found["s"]) == (given["base"], 1, given["size"])
    return Judged(right, said=said)


TASKS = (
    Task("becomes", "A guest of version 4 writes {width} bytes to offset {offset:#x} of the page. Its last register, "
         "16 bytes at 0xc0, is the end of what Xen traps. What becomes of the access?", _draw_access, _becomes,
         ("Where does the access begin, and which byte is its last?", "Straddling the end is worse than lying behind "
          "it."), None, one_of(TRAPPED, OUTSIDE, CRASHED), (TRAPPED, OUTSIDE, CRASHED)),
    Task("lowest", "A toolstack with the corrected call puts the page *behind* the guest's memory of {mib} MiB. Which "
         "is the lowest base that works?", _draw_memory, _lowest,
         ("The base is a multiple of 4,096 that no memory is at.", "One MiB is 0x100000 bytes, or 1 << 20."), _memory),
    Task("halves", "A table of {entries} entries lies at {base:#x}, with 32-bit destinations. A 32-bit guest writes "
         "IRTA in two halves. Which two numbers does it write, first to offset 0xb8, then to 0xbc?", _draw_table,
         _halves, ("Bits 3:0 hold S: the table has 2^(S+1) entries. EIME is bit 11.",
                   "The lower half has the address's bits 31:12, EIME and S; the upper half the rest of the address."),
         None, numbers),
)
"""The exercises, in the order of the notebook."""
