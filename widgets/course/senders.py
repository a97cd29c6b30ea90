"""Exercises of notebook 07: messages by hand, and the id under which a sender arrives."""

from __future__ import annotations

import random
from typing import Any

from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE, MSI_ADDRESS, REMAP_ADDRESS
from vsim.state.pci import Bridge, Function
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.lesson.made import Made
from widgets.tables import Told

CARD, IDS, VECTOR = 0x0300, (4, 9, 14, 22), 0x6B
NOTHING, ERROR, AGAIN = "nothing at all", "an error in its status register", "that it has to send again"
SEEN = (NOTHING, ERROR, AGAIN)
KINDS = {"a bridge from PCI Express to conventional PCI": "pcie-to-pci", "a conventional PCI bridge": "pci"}


def _hex(given: int) -> str:
    return f"{given:#x}"


# --- the message ---


def _draw_index(dice: random.Random) -> Numbers:
    """An index with its highest bit set, so that both places of the handle matter."""
    return {"index": 0x8000 | dice.randrange(0x21, 0x7FFF), "vcpu": dice.randrange(1, 4)}


def _with_entry(numbers: Numbers) -> Made:
    """A machine whose table has an entry at the index drawn."""
    made = Made([Function(CARD, "card", msix_count=1)], IDS)
    made.guest.unit.change(numbers["index"], IRTE.make(p=1, vector=VECTOR, dst=IDS[numbers["vcpu"]], svt=1, sid=CARD))
    return made


def _encoded(numbers: Numbers, answer: int) -> Judged:
    """The card writes to the answer: does the vCPU get the vector of the entry?"""
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="The address of an interrupt message has 32 bits.")
    made = _with_entry(numbers)
    journey = made.raw(CARD, answer, 0)
    if made.took == {numbers["vcpu"]: VECTOR}:
        return Judged(True, shown=journey.told())
    said, met = f"Written by the card, this is {journey.verdict}.", ""
    if not get(answer, REMAP_ADDRESS.format) and get(answer, MSI_ADDRESS.fee) == 0xFEE:
        slip = get(answer, REMAP_ADDRESS.handle) == numbers["index"]
        said, met = said + (" Only bit 4 is missing, the format." if slip else ""), "" if slip else "M4"
    return Judged(False, met, said, journey.told())


def _right_message(numbers: Numbers) -> Told:
    made = _with_entry(numbers)
    return made.raw(CARD, REMAP_ADDRESS.make(fee=0xFEE, format=1, handle=numbers["index"]), 0).told()


def _draw_handle(dice: random.Random) -> Numbers:
    """A remappable message with a subhandle in its data; which counts if the message says so."""
    handle, data, shv = dice.randrange(0x30, 0x7F00), dice.randrange(3, 32), dice.random() < 0.7
    address = REMAP_ADDRESS.make(fee=0xFEE, format=1, handle=handle, shv=int(shv))
    return {"address": address, "data": data, "handle": handle, "index": handle + data * shv}


def _index(numbers: Numbers, answer: int) -> Judged:
    told = f"Handle {numbers['handle']:#x}, data {numbers['data']:#x}: {REMAP_ADDRESS.text(numbers['address'])}."
    if answer == numbers["index"]:
        return Judged(True, said=told)
    wrong = numbers["handle"] if numbers["index"] != numbers["handle"] else numbers["handle"] + numbers["data"]
    return Judged(False, said="Look at SHV, bit 3 of the address." if answer == wrong else "", shown=Told([told]))


# --- the destination ---


def _draw_narrow(dice: random.Random) -> Numbers:
    """A vCPU and its APIC ID, and a unit with 32-bit destinations or without."""
    ids, vcpu, eime = sorted(dice.sample(range(3, 250), 4)), dice.randrange(1, 4), int(dice.random() < 0.4)
    return {"ids": ids, "vcpu": vcpu, "id": ids[vcpu], "eime": eime}


def _narrow(numbers: Numbers, answer: int) -> Judged:
    """The answer is put into the entry: does the vCPU get the message?"""
    if not 0 <= answer < 1 << 32:
        return Judged(False, said="The field has 32 bits.")
    made = Made([Function(CARD, "card", msix_count=1)], numbers["ids"], eim=bool(numbers["eime"]))
    made.change(CARD, dst=answer)
    journey = made.signal(CARD)
    if made.took.keys() == {numbers["vcpu"]}:
        return Judged(True, shown=journey.told())
    return Judged(False, "M6" if answer in (numbers["vcpu"], numbers["vcpu"] << 8) else "",
                  f"With dst={answer:#x} it is {journey.verdict}.", journey.told())


def _narrow_scene(numbers: Numbers) -> Any:
    return _narrow(numbers, numbers["id"] << (0 if numbers["eime"] else 8)).shown


# --- the sender ---


def _draw_bridge(dice: random.Random) -> Numbers:
    """A device behind a bridge; its own id, that of the bridge, and that with which it arrives."""
    words = dice.choice(tuple(KINDS))
    bus, above = dice.randrange(4, 0x30), dice.randrange(3, 31) << 3
    own = bus << 8 | dice.randrange(2, 30) << 3
    return {"words": words, "bus": bus, "above": above, "own": own, "own_text": bdf_text(own),
            "above_text": bdf_text(above)}


def behind(kind: str, above: int, own: int) -> Made:
    """A machine with a device of conventional PCI (requester id `own`) behind a bridge of a kind (`above`)."""
    bridge = Bridge(kind, own >> 8, own >> 8)
    return Made([Function(above, "bridge", bridge=bridge),
                 Function(own, "device", msi_count=1, conventional=True)], IDS)


def let_in(made: Made, own: int, answer: int, above: int) -> Judged:
    """The answer is put into the entry of a device as its sid: does it get through its bridge, `above`?"""
    if not 0 <= answer <= 0xFFFF:
        return Judged(False, said="A requester id has 16 bits.")
    made.change(own, svt=1, sq=0, sid=answer)
    journey = made.signal(own)
    if made.took:
        return Judged(True, shown=journey.told())
    said = f"With that sid it is {journey.verdict}."
    if answer == above:
        said += " It is the bridge's own number; from PCI Express to PCI the bus below it stands for what is behind."
    elif answer == own & 0xFF00:
        said += " So it would be behind a bridge from PCI Express; a conventional one takes its own number."
    return Judged(False, "M14" if answer == own else "", said, journey.told())


def _bridged(numbers: Numbers) -> Made:
    return behind(KINDS[numbers["words"]], numbers["above"], numbers["own"])


def _sid(numbers: Numbers, answer: int) -> Judged:
    return let_in(_bridged(numbers), numbers["own"], answer, numbers["above"])


def _arrives(numbers: Numbers) -> Told:
    return _bridged(numbers).signal(numbers["own"]).told()


def _draw_range(dice: random.Random) -> Numbers:
    first = dice.randrange(0x20, 0x80)
    last = first + dice.randrange(2, 30)
    return {"first": first, "last": last, "first_text": _hex(first), "last_text": _hex(last)}


def _range(numbers: Numbers, answer: int) -> Judged:
    """Cards on and beside the borders try the entry that has the answer as its sid."""
    if not 0 <= answer <= 0xFFFF:
        return Judged(False, said="SID has 16 bits.")
    first, last = numbers["first"], numbers["last"]
    buses = {first - 1: False, first: True, last: True, last + 1: False}
    made = Made([Function(bus << 8, f"bus {bus:#x}", msix_count=1) for bus in buses], IDS)
    address = made.guest.ways.message(made.source(first << 8))
    made.change(first << 8, svt=2, sid=answer)
    got = {bus: bool(made.raw(bus << 8, *address).reached) for bus in buses}
    shown = Told([f"bus {bus:#x}: {'let in' if into else 'blocked'}" for bus, into in got.items()])
    said = f"Read as a range it begins at bus {answer >> 8:#x} and ends at bus {answer & 0xFF:#x}."
    return Judged(got == buses, said="" if got == buses else said, shown=shown)


# --- what the device learns ---


def _blocked(numbers: Numbers) -> Made:
    made = Made([Function(CARD, "card", msix_count=1)], IDS)
    made.change(CARD, **numbers["fields"])
    return made


def _draw_blocked(dice: random.Random) -> Numbers:
    words, fields = dice.choice((("P is 0", {"p": 0}), ("sid names another device", {"sid": 0x0500}),
                                 ("a reserved bit is set", {"im": 1})))
    return {"words": words, "fields": fields, "message": 0}


def _seen(numbers: Numbers, answer: str) -> Judged:
    """What of the card has changed after its message was blocked: its configuration space, its table."""
    made = _blocked(numbers)
    before = bytes(made.machine.config), bytes(made.machine.msix), bytes(made.machine.pba)
    journey = made.signal(CARD)
    same = before == (bytes(made.machine.config), bytes(made.machine.msix), bytes(made.machine.pba))
    shown = Told([journey.verdict, f"In the card {'nothing' if same else 'something'} has changed.",
                  f"The kernel has read: {'; '.join(map(str, made.guest.faults))}"])
    right = answer == NOTHING if same else answer == ERROR
    return Judged(right, "" if right else "M10", shown=shown)


def _scene(numbers: Numbers) -> Any:
    return _seen(numbers, NOTHING).shown


TASKS = (
    Task("encode", "Which address must the card write, so that it uses the entry with the index {index:#x}? (Without a "
         "subhandle; its data is 0.)", _draw_index, _encoded,
         ("0xFEE in bits 31:20, and the format bit 4.",
          "Index bits 14:0 go to address bits 19:5, index bit 15 to bit 2."),
         _right_message),
    Task("index", "A device writes {data:#x} to address {address:#x}. Which entry does the unit look up?", _draw_handle,
         _index, ("Take the handle out: address bits 19:5, and bit 2 above them.", "Bit 3 says whether data is added."),
         lambda numbers: Told([REMAP_ADDRESS.text(numbers["address"]), f"index {numbers['index']:#x}"])),
    Task("narrow", "The vCPUs have the APIC IDs {ids}, counted from 0. EIME is {eime}. Which dst lets vCPU {vcpu} take "
         "the message?", _draw_narrow, _narrow,
         ("dst is an APIC ID, not a number of a vCPU.", "Without EIME it stands in bits 15:8 of the field."),
         _narrow_scene),
    Task("sender", "{own_text} is behind {words}, which is {above_text} itself and has bus {bus:#x} below it. The "
         "entry compares all bits (svt=1, sq=0). Which number must stand in sid?", _draw_bridge, _sid,
         ("Under which number does the request come out above the bridge?",
          "From PCI Express to PCI: the bus below, device 0, function 0. Conventional: the bridge's own number."),
         _arrives),
    Task("seen", "A card sends its message {message}. In the entry that it names, {words}. What does the card see of "
         "that?", _draw_blocked, _seen,
         ("A message is a write. Does a write have an answer?", "Look who is told instead."),
         _scene, one_of(*SEEN), SEEN),
    Task("range", "An entry has svt=2. It should let in whatever is on the buses {first_text} to {last_text}, and "
         "nobody else. Which number must stand in sid?", _draw_range, _range,
         ("Two bus numbers of 8 bits fit into 16.", "The first bus is in bits 15:8."),
         lambda numbers: _range(numbers, numbers["first"] << 8 | numbers["last"]).shown),
)
"""The exercises, in the order of the notebook."""
