"""Exercises of notebook 04: what a vCPU takes next, its priority, what an EOI ends, what is stuck, who is named."""

from __future__ import annotations

import random

from widgets.course.task import Judged, Numbers, Task, numbers
from widgets.lesson.apic import LocalApic, held, info_lapic, read_lapic
from widgets.lesson.group import Group
from widgets.tables import Table


def _vectors(dice: random.Random, count: int, low: int = 0x21, high: int = 0xEF) -> list[int]:
    """Vectors of which no two are the same, none of them int 0x80."""
    return dice.sample([v for v in range(low, high) if v != 0x80], count)


# --- one vector again and again, several vectors at once ---


def _draw_again(dice: random.Random) -> Numbers:
    (vector,) = _vectors(dice, 1)
    waiting, running = dice.randrange(2, 5), dice.randrange(0, 4)
    words = {0: "and never again", 1: "and once more while its handler runs"}
    return {"vector": vector, "waiting": waiting, "running": running,
            "then": words.get(running, f"and {running} times more while its handler runs")}


def _repeated(numbers: Numbers) -> LocalApic:
    """Arrivals before and while the handler runs; then whatever there is, is taken."""
    arrive = f"{numbers['vector']:#x}"
    steps = [arrive] * numbers["waiting"] + ["take"] + [arrive] * numbers["running"]
    return LocalApic().play(", ".join([*steps, "eoi, take, eoi, take"]))


def _handlers(numbers: Numbers, answer: int) -> Judged:
    apic = _repeated(numbers)
    if answer == sum(row[-1].startswith("takes") for row in apic.steps.rows):
        return Judged(True, shown=apic)
    return Judged(False, said="A bit in IRR is set, or not: it does not count how often.", shown=apic)


def _draw_order(dice: random.Random) -> Numbers:
    """Four vectors, of which two are of one class, not in the order of their numbers."""
    while True:
        found = _vectors(dice, 4)
        if len({v >> 4 for v in found}) == 3 and found not in (sorted(found), sorted(found, reverse=True)):
            return {"vectors": found, "text": ", ".join(f"{v:#x}" for v in found)}


def _four(numbers: Numbers) -> LocalApic:
    return LocalApic().play(f"{numbers['text']}{', take, eoi' * 4}")


def _order(numbers: Numbers, answer: tuple[int, ...]) -> Judged:
    apic = _four(numbers)
    right = [int(row[-1].split()[1], 0) for row in apic.steps.rows if row[-1].startswith("takes")]
    if [*answer] == right:
        return Judged(True, shown=apic)
    said = ("When each of them arrived does not count." if [*answer] == numbers["vectors"] else
            "The larger number comes first." if [*answer] == right[::-1] else "")
    return Judged(False, said=said, shown=apic)


# --- what is taken next ---


def _draw_next(dice: random.Random) -> Numbers:
    """One vector in service, four requested: one of its own class and above it, and one of a lower class at least."""
    while True:
        busy, *asked = _vectors(dice, 5)
        asked[0] = busy >> 4 << 4 | min(busy + 1 & 15 | 1, 15)
        tpr = dice.choice((0, dice.randrange(2, 14) << 4 | dice.randrange(1, 16)))
        floor = max(tpr >> 4, busy >> 4)
        ready = [v for v in asked if v >> 4 > floor]
        if asked[0] > busy and len({*asked}) == 4 and tpr >> 4 != busy >> 4 and (dice.random() < 0.4 or ready):
            return {"busy": busy, "asked": asked, "tpr": tpr,
                    "irr": ", ".join(f"{v:#x}" for v in sorted(asked))}


def _waiting(numbers: Numbers) -> LocalApic:
    steps = [f"{numbers['busy']:#x}", "take", f"tpr {numbers['tpr']:#x}", *(f"{v:#x}" for v in numbers["asked"])]
    return LocalApic().play(", ".join(steps))


def _next(numbers: Numbers, answer: int) -> Judged:
    apic = _waiting(numbers)
    if answer == max(apic.next, 0):
        return Judged(True, shown=apic.order)
    said = "It is requested, but its class is not above the priority." if answer in numbers["asked"] else ""
    if said and apic.next > answer:
        said = "It could be taken, but another one is above it."
    return Judged(False, said=said, shown=apic.order)


# --- priority ---


def _draw_ppr(dice: random.Random) -> Numbers:
    while True:
        low, high = sorted(_vectors(dice, 2))
        tpr = dice.randrange(2, 15) << 4 | dice.randrange(1, 16)
        if low >> 4 < high >> 4 and tpr >> 4 not in (low >> 4, high >> 4) and high & 15:
            return {"low": low, "high": high, "tpr": tpr}


def _nested(numbers: Numbers) -> LocalApic:
    return LocalApic().play(f"{numbers['low']:#x}, take, {numbers['high']:#x}, take, tpr {numbers['tpr']:#x}")


def _ppr(numbers: Numbers, answer: int) -> Judged:
    apic = _nested(numbers)
    right = int(apic.steps.rows[-1][4], 0)
    if answer == right:
        return Judged(True, shown=apic)
    said = ("Of the vector in service only the class counts." if answer == numbers["high"] else
            "It is the larger of the two classes that counts." if answer == numbers["tpr"] else "")
    return Judged(False, said=said, shown=apic)


# --- what an EOI ends ---


def _draw_eoi(dice: random.Random) -> Numbers:
    """Three handlers, one inside the other; the innermost forgets its EOI, one or two of the others write theirs."""
    while True:
        found = sorted(_vectors(dice, 3))
        if len({v >> 4 for v in found}) == 3:
            return {"first": found[0], "second": found[1], "third": found[2],
                    "who": dice.choice(("the middle one writes its EOI", "the other two write theirs"))}


def _forgotten(numbers: Numbers) -> LocalApic:
    first, second, third = (f"{numbers[name]:#x}, take" for name in ("first", "second", "third"))
    return LocalApic().play(f"{first}, {second}, {third}, eoi" + (", eoi" if "two" in numbers["who"] else ""))


def _ended(numbers: Numbers, answer: int) -> Judged:
    apic = _forgotten(numbers)
    right = int(apic.steps.rows[-1][2].split()[0], 0)
    if answer == right:
        return Judged(True, shown=apic)
    said = "An EOI has no vector in it: it ends the highest in service, whoever writes it."
    said = said if answer in numbers.values() else ""
    return Judged(False, said=said, shown=apic)


# --- a dump ---


def _draw_stuck(dice: random.Random) -> Numbers:
    while True:
        stuck, *asked = _vectors(dice, 9, 0x31)
        asked = [v for v in asked if v >> 4 <= stuck >> 4][:4]
        if len(asked) >= 2 and stuck >> 4 < 14:
            return {"stuck": stuck, "dump": info_lapic(asked, [stuck]), "asked": asked}


def _shown(numbers: Numbers) -> Table:
    return held(read_lapic(numbers["dump"]))


def _stuck(numbers: Numbers, answer: int) -> Judged:
    """The answer arrives as well: is it taken, and would the vector below it not be?"""
    if not 16 <= answer <= 255:
        return Judged(False, said="Vectors that an APIC takes are 16 to 255.")

    def taken(vector: int) -> bool:
        return LocalApic().play(f"{numbers['stuck']:#x}, take, {vector:#x}").next == vector

    if taken(answer) and not taken(answer - 1):
        return Judged(True, shown=_shown(numbers))
    said = ("It is held back too: a higher vector of the same class is not above it." if not taken(answer) else
            "It gets through, and so does a lower one.")
    return Judged(False, said=said, shown=_shown(numbers))


# --- a message for several ---


def _draw_group(dice: random.Random) -> Numbers:
    """Two or three members of a cluster, as bits of a destination, with priorities of different classes; and nobody."""
    cluster = dice.choice((1, 2))
    bits = dice.sample(range(0, 16, 2), dice.choice((2, 3)))
    members = sorted(8 * cluster + bit // 2 for bit in bits)
    classes = dice.sample(range(2, 15), len(members))
    tpr = {vcpu: each << 4 | dice.randrange(1, 16) for vcpu, each in zip(members, classes, strict=True)}
    nobody = dice.randrange(1, 16, 2)
    return {"dst": cluster << 16 | 1 << nobody | sum(1 << bit for bit in bits), "tpr": tpr,
            "ids": sorted(16 * cluster + bit for bit in (*bits, nobody)), "bits": sorted((*bits, nobody)),
            "busy": ", ".join(f"vCPU {vcpu} {value:#x}" for vcpu, value in tpr.items())}


def _members(given: Numbers, answer: tuple[int, ...]) -> Judged:
    took = Group().taken(given["dst"])
    if {*answer} == {*took}:
        return Judged(True, shown=Group().send(given["dst"]))
    by_id = {2 * vcpu for vcpu in took}
    named = by_id <= {*answer} <= {*given["ids"]} or {each % 16 for each in by_id} <= {*answer} <= {*given["bits"]}
    met = "M6" if named else "M1" if len(answer) == 1 and answer[0] in took else ""
    return Judged(False, met, shown=Group().send(given["dst"]))


def _calmest(given: Numbers) -> Table:
    return Group().send(given["dst"], True, given["tpr"])


def _lowest(given: Numbers, answer: int) -> Judged:
    (right,) = Group().taken(given["dst"], True, given["tpr"])
    if answer == right:
        return Judged(True, shown=_calmest(given))
    said = "It is named, but another one that is named is less busy." if answer in given["tpr"] else ""
    return Judged(False, "M6" if answer == 2 * right else "", said, _calmest(given))


TASKS = (
    Task("handlers", "Vector {vector:#x} arrives {waiting} times before the vCPU takes it, {then}. The handler writes "
         "its EOI, and the vCPU takes what there is. How many handlers run in all?", _draw_again, _handlers,
         ("What has room for a vector that waits?", "One bit in IRR, and one in ISR while the handler runs."),
         _repeated),
    Task("order", "These arrive, in this order, while the vCPU takes nothing: {text}. Then it takes one after the "
         "other, and ends each before the next. In which order? Four numbers, with commas.", _draw_order, _order,
         ("The local APIC does not note when each arrived.", "It always offers the highest."), _four, numbers),
    Task("next", "Vector {busy:#x} is in service, TPR is {tpr:#x}, and requested are {irr}. Which vector does the vCPU "
         "take now? 0 for none.", _draw_next, _next,
         ("Compare classes: bits 7:4.", "It has to be above both the class in service and that of TPR."),
         lambda numbers: _waiting(numbers).order),
    Task("ended", "Three handlers, one inside the other: {first:#x}, then {second:#x}, then {third:#x}. The innermost "
         "returns without an EOI; {who}. Which is the highest vector in service after that?", _draw_eoi, _ended,
         ("Count: three were taken, how many were ended?", "Each EOI ends the highest one, whoever writes it."),
         _forgotten),
    Task("stuck", "No handler runs on this vCPU, and its state does not change:\n{dump}\nWhich is the lowest vector "
         "that could still interrupt it?", _draw_stuck, _stuck,
         ("QEMU prints vectors in decimal.", "A vector in service holds back its own class and all below it."), _shown),
    Task("ppr", "{low:#x} was taken first, then {high:#x}; neither has been ended. TPR is {tpr:#x}. What does PPR "
         "read?", _draw_ppr, _ppr,
         ("Only the highest in service counts.",
          "If TPR's class is the larger, PPR is TPR; if not, the class in service, with 0 in bits 3:0."),
         _nested),
    Task("members", "The unit sends a message with the logical destination {dst:#x}, fixed. There are 24 vCPUs, and "
         "vCPU n has the APIC ID 2n. Which vCPUs take it? Their numbers, with commas.", _draw_group, _members,
         ("Bits 31:16 are the cluster, each of bits 15:0 stands for one APIC ID of its sixteen.",
          "APIC ID = 16 x cluster + place of the bit. An ID that nobody has takes nothing."),
         lambda given: Group().send(given["dst"]), numbers),
    Task("lowest", "The same kind of message, logical destination {dst:#x}, now by lowest priority. Nothing is in "
         "service anywhere, and TPR is: {busy}. Which vCPU takes it?", _draw_group, _lowest,
         ("One of those that are named: the least busy one.", "Nothing in service: PPR is TPR."), _calmest),
)
"""The exercises, in the order of the notebook."""
