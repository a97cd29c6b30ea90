"""Exercises of notebook 02: what the fields of an entry decide."""

from __future__ import annotations

import random
from collections.abc import Sequence

from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE
from vsim.state.pci import Function
from widgets.course.task import Judged, Numbers, Task, fields, number, numbers
from widgets.lesson.made import Made
from widgets.tables import Table, Told

CARD, OTHER = 0x0300, 0x0020
VCPUS = 32
"""vCPU n has the APIC ID 2n, so they fill four clusters."""
FAULTS: dict[str, dict[str, int]] = {
    "absent": {"p": 0}, "absent, quiet": {"p": 0, "fpd": 1}, "another's": {"sid": OTHER},
    "another's, quiet": {"sid": OTHER, "fpd": 1}, "another's, unchecked": {"sid": OTHER, "svt": 0},
    "reserved": {"im": 1}}
"""Changes of a good entry, by what they make of it."""


def _made(skip: Sequence[str] = ()) -> Made:
    """A card and vCPUs. skip: duties that the kernel leaves out."""
    return Made([Function(CARD, "card", msix_count=1)], [2 * n for n in range(VCPUS)], skip=skip)


def _text(chosen: dict[str, int]) -> str:
    return IRTE.text(IRTE.make(**chosen))


def _draw_move(dice: random.Random) -> Numbers:
    return {"vcpu": dice.randrange(3, VCPUS // 2), "vector": dice.randrange(0x51, 0xE0)}


def _moved(given: Numbers, answer: dict[str, int]) -> Judged:
    """Set the fields, let the card send: the vCPU has to get the vector, and nobody else anything."""
    made = _made()
    made.change(CARD, **answer)
    journey = made.signal(CARD)
    if made.took == {given["vcpu"]: given["vector"]}:
        return Judged(True, said=journey.verdict + ".")
    return Judged(False, "M6" if answer.get("dst") == given["vcpu"] else "", f"It is {journey.verdict}.",
                  journey.told())


def _draw_both(dice: random.Random) -> Numbers:
    cluster = dice.randrange(4)
    one, two = sorted(dice.sample(range(8), 2))
    return {"cluster": cluster, "one": 8 * cluster + one, "two": 8 * cluster + two}


def _both(given: Numbers, answer: int) -> Judged:
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="A destination has 32 bits.")
    made = _made()
    made.change(CARD, dm=1, rh=0, dst=answer)
    journey = made.signal(CARD)
    if {*made.took} == {given["one"], given["two"]}:
        return Judged(True, said=f"Taken by vCPUs {given['one']} and {given['two']}.")
    by_number = 1 << given["one"] % 16 | 1 << given["two"] % 16
    met = "M6" if answer & 0xFFFF in (by_number, 1 << given["one"] % 8 | 1 << given["two"] % 8) else ""
    return Judged(False, met, f"Taken by vCPUs {sorted(made.took) or 'none'}.", journey.told())


def _draw_reason(dice: random.Random) -> Numbers:
    kind = dice.choice(tuple(FAULTS))
    good = {"p": 1, "vector": dice.randrange(0x51, 0xE0), "dst": 2 * dice.randrange(VCPUS), "sid": CARD, "svt": 1}
    return {"kind": kind, "entry": {**good, **FAULTS[kind]}, "text": _text({**good, **FAULTS[kind]})}


def _recorded(given: Numbers) -> tuple[int, Told]:
    """The reason that the guest's kernel reads, 0 for none; and the way in sentences."""
    made = _made()
    made.change(CARD, **{**dict.fromkeys(IRTE.split(0), 0), **given["entry"]})
    told = made.signal(CARD).told()
    return (made.guest.faults[-1].reason if made.guest.faults else 0), told


def _reason(given: Numbers, answer: int) -> Judged:
    reason, told = _recorded(given)
    return Judged(answer == reason, shown=told)


def _draw_device(dice: random.Random) -> Numbers:
    base = dice.randrange(4, 0x40) << 8 | dice.randrange(1, 31) << 3
    return {"base": base, "device": bdf_text(base)[:-2], "first": bdf_text(base)}


def _functions(given: Numbers, answer: tuple[int, ...]) -> Judged:
    """The eight functions of the device, and those of its neighbours, try the entry."""
    if len(answer) != 2 or not (0 <= answer[0] <= 0xFFFF and 0 <= answer[1] <= 3):
        return Judged(False, said="Two numbers are asked for: sid, 16 bits, then sq, 0 to 3.")
    made = _made()
    made.change(CARD, svt=1, sid=answer[0], sq=answer[1])
    message = made.guest.ways.message(made.source(CARD))
    inside = {each for each in range(given["base"] - 8, given["base"] + 16) if made.raw(each, *message).reached}
    if inside == {*range(given["base"], given["base"] + 8)}:
        return Judged(True, said="All eight are let in, and neither neighbour.")
    return Judged(False, said=f"Let in, of the device and its neighbours: {', '.join(map(bdf_text, sorted(inside)))}."
                  if inside else "None of them is let in.")


def _draw_told(dice: random.Random) -> Numbers:
    first, second = dice.sample(range(3, VCPUS), 2)
    told = dice.random() < 0.3
    return {"first": first, "second": second, "dst": 2 * second, "told": told,
            "words": "and tells the unit" if told else "and tells nobody"}


def _moved_on(given: Numbers) -> list[int]:
    """Who takes the message before the write, and who after it."""
    made = _made(["invalidate"])
    source = made.source(CARD)
    made.change(CARD, dst=2 * given["first"])
    made.guest.driver(source).invalidate(source.index)
    made.signal(CARD)
    took = [*made.took]
    made.change(CARD, dst=given["dst"])
    if given["told"]:
        made.guest.driver(source).invalidate(source.index)
    made.signal(CARD)
    return [*took, *made.took]


def _after(given: Numbers) -> Table:
    return Table(("the card sends", "vCPU"), list(zip(("before the write", "after it"), _moved_on(given), strict=True)))


def _next(given: Numbers, answer: int) -> Judged:
    _, right = _moved_on(given)
    met = "M6" if answer == 2 * right else "M7" if answer == given["second"] else ""
    return Judged(answer == right, met if answer != right else "", shown=_after(given))


TASKS = (
    Task("move", "Which fields let vCPU {vcpu} take the message as vector {vector:#x}? Write them as text, such as "
         "dst=4 vector=0x31. (Xen's IDs: vCPU n has the APIC ID 2n.)", _draw_move, _moved,
         ("Two fields have to change.", "dst is an APIC ID."), None, fields),
    Task("reason", "The card 03:00.0 sends through the entry {text}. Which fault reason is *recorded*? A number such "
         "as 0x21, or 0 for none.", _draw_reason, _reason,
         ("Present, then the format, then the source: the first check that fails decides.",
          "fpd=1 asks for silence, svt=0 asks for no comparison."), lambda n: _recorded(n)[1]),
    Task("told", "The card has sent once, and vCPU {first} took it. Then the kernel writes dst={dst} into the entry in "
         "memory, {words}. This unit keeps what it has. Which vCPU takes the next message?", _draw_told, _next,
         ("Where does the unit look first?", "A word to the unit, or none: that decides. dst is an APIC ID."), _after),
    Task("both", "vCPUs {one} and {two} are to take it, both. dm=1 and rh=0 are set already. Which dst, as a number? "
         "(Logical: bits 31:16 name a cluster of 16 APIC IDs, each of bits 15:0 stands for one of them.)",
         _draw_both, _both,
         ("Write both APIC IDs as cluster and place: ID divided by 16, and what is left.",
          "The cluster into bits 31:16, then one bit for each of the two places."), None, number),
    Task("functions", "Let in every function of the device {device}, {first} and its seven siblings, and nobody else, "
         "with svt=1. Two numbers: sid, sq.", _draw_device, _functions,
         ("sq says how many of the function's three bits are not compared.", "sq=3 leaves out all three."), None,
         numbers),
)
"""The exercises, in the order of the notebook."""
