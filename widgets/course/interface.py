"""Exercises of notebook 11: what the create call takes, and where its members lie."""

from __future__ import annotations

import random

from vsim.devices.viommu import toolstack_type
from vsim.layouts.interfaces import INTERFACES, Op
from vsim.review.evidence import ends, narrow
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.tables import Table

DONE, REFUSED = "created", "refused"
_MARK = 0x5A


def _draw_type(dice: random.Random) -> Numbers:
    low = dice.choice((0, 0, dice.randrange(1, 256)))
    return {"type": dice.randrange(1, 200) << 8 | low, "version": dice.choice(("3", "4"))}


def _outcome(numbers: Numbers, answer: str) -> Judged:
    """How create ends, called through the library of the version's tool stack."""
    sent = toolstack_type(numbers["type"], faithful=True) if numbers["version"] == "4" else numbers["type"]
    said = ends(f"v{numbers['version']}", viommu_type=sent)
    return Judged(answer == (DONE if said == "done" else REFUSED),
                  said=f"Of {numbers['type']:#x} the hypercall gets {sent:#x}. It ends with {said}.")


def _draw_caps(dice: random.Random) -> Numbers:
    return {"bits": dice.sample(range(8), 3), "version": dice.choice(("1", "2", "3", "4"))}


def _masks(numbers: Numbers) -> list[tuple[int, str]]:
    """Every mask of the three bits, and how create ends with it."""
    masks = [sum(1 << bit for place, bit in enumerate(numbers["bits"]) if chosen >> place & 1) for chosen in range(8)]
    return [(mask, ends(f"v{numbers['version']}", capabilities=mask)) for mask in sorted(masks)]


def _count(numbers: Numbers, answer: int) -> Judged:
    found = _masks(numbers)
    shown = Table(("capabilities", "create"), [(f"{mask:#x}", said) for mask, said in found])
    return Judged(answer == sum(said == "done" for _, said in found), shown=shown)


def _draw_member(dice: random.Random) -> Numbers:
    version = dice.choice(("v1", "v2"))
    moved = [part for part in INTERFACES[version].fields(Op.CREATE) if _place(version, part.name) != part.offset]
    chosen = dice.choice(moved)
    return {"version": version, "number": version[1:], "member": chosen.name, "wide": chosen.offset,
            "bytes": chosen.width}


def _place(version: str, member: str) -> int:
    """Where a 32-bit compiler puts a member: found by its mark in the bytes."""
    return narrow(version, **{member: _MARK}).index(_MARK)


def _thin(numbers: Numbers, answer: int) -> Judged:
    at = _place(numbers["version"], numbers["member"])
    met = "That is where a 64-bit compiler puts it." if answer == numbers["wide"] else ""
    return Judged(answer == at, said=met if answer != at else f"Its bytes begin at {at}.")


def _places(numbers: Numbers) -> Table:
    rows = [(part.name, part.offset, _place(numbers["version"], part.name))
            for part in INTERFACES[numbers["version"]].fields(Op.CREATE)]
    return Table(("member", "64-bit", "32-bit"), rows)


TASKS = (
    Task("type", "A program asks the tool stack's library of version {version} for a vIOMMU of type {type}, which "
         "means nothing. How does create end?", _draw_type, _outcome,
         ("How many bits of the type arrive at the hypercall?",
          "Version 4 keeps the low 8 bits, version 3 all 64; 0 means Intel VT-d in both."), None,
         one_of(DONE, REFUSED), (DONE, REFUSED)),
    Task("count", "Somebody tries every mask of capabilities that can be made of bits {bits}, eight masks, on "
         "version {version}. How many are accepted?", _draw_caps, _count,
         ("How many bits does the interface know?", "Bit 0 is known, and it may be left out."), None),
    Task("thin", "A 32-bit compiler lays out version {number}'s create. At which offset, in bytes, does its member "
         "{member} begin? (In the 64-bit layout it has {bytes} bytes and begins at {wide}.)", _draw_member, _thin,
         ("A 32-bit compiler aligns 64-bit integers to 4 bytes.", "Only the sub-command, four bytes, comes before "
          "the first member."), _places),
)
"""The exercises, in the order of the notebook."""
