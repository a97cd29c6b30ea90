"""Exercises of notebook 12: who is behind which unit, what query says, and what a policy promises."""

from __future__ import annotations

import random

from vsim.domain import host
from vsim.domain.host_policies import Link, link, query
from vsim.layouts.bits import bdf_text
from vsim.layouts.registers import ECAP
from vsim.readers import acpi_dmar
from vsim.state.profile import Capabilities
from widgets.course.task import Judged, Numbers, Task
from widgets.tables import Table, Told

CAP, FULL = Capabilities().cap, Capabilities().ecap
WEAK = FULL & ~ECAP.eim.mask
PAGES = (0xFED90000, 0xFED91000, 0xFED92000, 0xFED93000)
STRONG_LAST, WEAK_LAST = 287, 127


def _behind(unit: int) -> list[int]:
    """The functions that a unit of our hosts names."""
    return [(4 * unit + n + 1) << 3 for n in range(3)]


# --- who is behind which ---


def _draw_scopes(dice: random.Random) -> Numbers:
    named = [dice.sample([n << 3 for n in range(1, 31)], 6)[:2] for _ in range(2)]
    flat = {*named[0], *named[1]}
    other = next(n << 3 for n in range(dice.randrange(1, 20), 32) if n << 3 not in flat)
    asked = dice.choice((named[0][1], named[1][0], other, other))
    return {"named": named, "device": asked, "text": bdf_text(asked),
            "lists": ". ".join(f"Unit {n} names {', '.join(map(bdf_text, each))}" for n, each in enumerate(named))}


def _three(numbers: Numbers) -> host.Host:
    units = [(PAGES[n], each, CAP, FULL) for n, each in enumerate(numbers["named"])]
    return host.declared(*units, (PAGES[2], [], CAP, FULL))


def _unit(numbers: Numbers, answer: int) -> Judged:
    found = _three(numbers)
    said = found.why(numbers["device"])
    right = answer == found.unit_of(numbers["device"])
    return Judged(right, "M16" if not right and answer == 0 else "", said)


# --- the I/O APIC left out ---


def _draw_ioapic(dice: random.Random) -> Numbers:
    listed, bdf = dice.choice((0, 1, -1)), dice.randrange(0xF0, 0x100) << 8 | dice.randrange(1, 31) << 3
    words = f"unit {listed} lists it" if listed >= 0 else "no unit lists it"
    return {"listed": listed, "id": dice.randrange(1, 16), "bdf": bdf, "words": words}


def _ioapic_unit(numbers: Numbers) -> int:
    scope = acpi_dmar.scope_of(acpi_dmar.SCOPE_IOAPIC, numbers["bdf"], numbers["id"])
    units = [acpi_dmar.unit(PAGES[n], [scope] if n == numbers["listed"] else [], everything=n == 1) for n in range(2)]
    return next((n for n, unit in enumerate(units) if unit.ioapic(numbers["id"]) >= 0), -1)


def _ioapic(numbers: Numbers, answer: int) -> Judged:
    found = _ioapic_unit(numbers)
    said = (f"Unit {found} has a scope of type I/O APIC with its id." if found >= 0 else
            "INCLUDE_PCI_ALL takes PCI functions. No scope names the I/O APIC, so no table says where its pins go.")
    return Judged(answer == found, said=said)


# --- what a policy promises ---


def _draw_weak(dice: random.Random) -> Numbers:
    units = dice.randrange(2, 5)
    weak = dice.choice((-1, *range(units)))
    words = f"all but unit {weak}" if weak >= 0 else "all of them"
    return {"units": units, "weak": weak, "words": words, "which": f"0 to {units - 1}"}


def _host(numbers: Numbers) -> host.Host:
    return host.declared(*((PAGES[n], _behind(n), CAP, WEAK if n == numbers["weak"] else FULL)
                           for n in range(numbers["units"])))


def _promised(numbers: Numbers) -> tuple[Link, int]:
    """The least that all units have; the highest vCPU that a device reaches with it."""
    plan = link(_host(numbers), "intersection")
    wide = bool(plan.units[0].capabilities.ecap & ECAP.eim.mask)
    return plan, STRONG_LAST if wide else WEAK_LAST


def _least(numbers: Numbers, answer: int) -> Judged:
    _, highest = _promised(numbers)
    return Judged(answer == highest, "M16" if answer == STRONG_LAST and answer != highest else
                  "M6" if answer in (254, 255) else "", shown=_rows(numbers))


def _rows(numbers: Numbers) -> Table:
    words = [_host(numbers).words_of(n).ecap for n in range(numbers["units"])]
    _, highest = _promised(numbers)
    return Table(("", "32-bit destinations"), [
        *((f"unit {n}", "yes" if word & ECAP.eim.mask else "no") for n, word in enumerate(words)),
        ("the vIOMMU", f"{'yes' if highest == STRONG_LAST else 'no'}: vCPUs 0 to {highest}")])


def _word(numbers: Numbers, answer: int) -> Judged:
    found = query(link(_host(numbers), "unlinked"))
    counted = "It is asked for a type, and counts no units. " if answer == numbers["units"] else ""
    return Judged(found.value == (0, answer), said=counted + found.sentence)


def _asked(numbers: Numbers) -> Told:
    return Told([query(link(_host(numbers), "unlinked")).sentence])


TASKS = (
    Task("behind", "A host has three units. {lists}. Unit 2 has the flag INCLUDE_PCI_ALL. Behind which unit is the "
         "device {text}?", _draw_scopes, _unit,
         ("First look whether a unit names it.", "What nobody names is behind the unit with the flag."),
         lambda n: Told([_three(n).why(n["device"])])),
    Task("ioapic", "A host has two units; unit 1 has INCLUDE_PCI_ALL. Of the I/O APIC with id {id}, {words}. Which "
         "unit does its DMAR name for it? -1 for none.", _draw_ioapic, _ioapic,
         ("What does the flag take, and what not?", "An I/O APIC is no PCI function: it has to be listed."), None),
    Task("word", "A host has {units} units; {words} can do 32-bit destinations. What does version 1's query answer, "
         "as a number?", _draw_weak, _word,
         ("It is asked for a type of vIOMMU.", "Bit 0 is interrupt remapping, and it is all that there is."), _asked),
    Task("least", "Another host of this kind: units {which}, {words} with 32-bit destinations. Under the policy "
         "intersection, which is the highest of 288 vCPUs (vCPU n: APIC ID 2n) that a device reaches?", _draw_weak,
         _least, ("Promised is what every unit has.", "With 8 bits the last ID is 254."), _rows),
)
"""The exercises, in the order of the notebook."""
