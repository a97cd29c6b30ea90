"""Exercises of notebook 09: a line of a log, a row of a table, and what they are evidence of."""

from __future__ import annotations

import random

from vsim.layouts.bits import bdf_text
from vsim.layouts.formats import IRTE, msi_message, remap_message
from vsim.state.pci import Function
from widgets.course.senders import behind, let_in
from widgets.course.task import Judged, Numbers, Task, one_of
from widgets.lesson.made import Made
from widgets.tables import Told

CARD, IDS = 0x0300, (0, 2, 5, 9)
MISTAKES: dict[str, int] = {
    "a message in compatibility format": 0x25, "an entry that names another device": 0x26,
    "an entry that is not present": 0x22, "an index behind the end of the table": 0x21,
    "a reserved bit set in the entry": 0x24}
"""Mistakes, and the reasons that a unit records for them; each is made on a machine to find out."""


# --- who sent it? ---


def _draw_bridge(dice: random.Random) -> Numbers:
    bus, up = dice.randrange(4, 0x40), dice.randrange(1, 3)
    own = bus << 8 | dice.randrange(1, 31) << 3
    return {"bus": bus, "up": up << 8, "own": own, "index": dice.randrange(3, 200), "own_text": bdf_text(own),
            "from_text": bdf_text(bus << 8), "up_text": bdf_text(up << 8), "bus_text": f"{bus:02x}",
            "up_digit": up}


def _bridged(numbers: Numbers) -> Made:
    return behind("pcie-to-pci", numbers["up"], numbers["own"])


def _sid(numbers: Numbers, answer: int) -> Judged:
    judged = let_in(_bridged(numbers), numbers["own"], answer, numbers["up"])
    return judged._replace(shown=None)      # the whole way is the scene's, behind the guess


def _arrives(numbers: Numbers) -> Told:
    return Told([_bridged(numbers).signal(numbers["own"]).told().sentences[0]])


# --- what stands in it? ---


def _draw_row(dice: random.Random) -> Numbers:
    index, vector = dice.randrange(0x21, 0xC0), dice.randrange(0x41, 0xE0)
    entry = IRTE.make(p=1, vector=vector, dst=dice.choice(IDS), svt=1, sid=dice.randrange(1, 9) << 8)
    if vector in (index, 0x80):
        return _draw_row(dice)
    return {"index": index, "vector": vector, "high": f"{entry >> 64:016x}", "low": f"{entry & (1 << 64) - 1:016x}"}


def _word(numbers: Numbers) -> int:
    return int(numbers["high"], 16) << 64 | int(numbers["low"], 16)


def _vector(numbers: Numbers, answer: int) -> Judged:
    """The entry is put into a table; which vector does the vCPU see?"""
    made = Made([Function(CARD, "card", msix_count=1)], IDS)
    fields = IRTE.split(_word(numbers))
    made.guest.unit.change(numbers["index"], _word(numbers))
    made.raw(int(fields["sid"]), *remap_message(numbers["index"]))
    right = answer in made.took.values()
    return Judged(right, "M3" if answer == numbers["index"] else "", shown=_fields(numbers))


def _fields(numbers: Numbers) -> Told:
    return Told([f"Entry {numbers['index']}: {IRTE.text(_word(numbers))}"])


# --- what was wrong? ---


def _draw_reason(dice: random.Random) -> Numbers:
    return {"reason": dice.choice(tuple(MISTAKES.values())), "device": bdf_text(dice.randrange(1, 60) << 8),
            "time": f"{dice.randrange(10, 90)}.{dice.randrange(100000, 999999)}"}


def _reason(mistake: str) -> int:
    """Make the mistake; the reason that the kernel reads."""
    made = Made([Function(CARD, "card", msix_count=1)], IDS)
    if mistake == "an entry that names another device":
        made.change(CARD, sid=CARD + 8)
    elif mistake == "an entry that is not present":
        made.change(CARD, p=0)
    elif mistake == "a reserved bit set in the entry":
        made.change(CARD, im=1)
    if "compatibility" in mistake:
        made.raw(CARD, *msi_message(2, 0x41))
    elif "behind the end" in mistake:
        made.raw(CARD, *remap_message(0xFFFF, 1))
    else:
        made.signal(CARD)
    return made.guest.faults[-1].reason


def _mistake(numbers: Numbers, answer: str) -> Judged:
    found = _reason(answer)
    return Judged(found == numbers["reason"], said=f"For {answer} a unit records reason {found:#04x}.")


TASKS = (
    Task("mistake", "[{time}] DMAR: [INTR-REMAP] Request device [{device}] ... [fault reason {reason:#04x}]. Which "
         "mistake leaves such a line?", _draw_reason, _mistake,
         ("The numbers rise in this order: index, present, reserved bits, format, source.",
          "0x21 index, 0x22 present, 0x24 reserved, 0x25 format, 0x26 source."), None, one_of(*MISTAKES),
         tuple(MISTAKES)),
    Task("sid", "A log says:\nDMAR: [INTR-REMAP] Request device [{from_text}] fault index {index:#x} [fault reason "
         "0x26]\nand lspci:\n{up_text} PCI bridge\n\tBus: primary=0{up_digit}, secondary={bus_text}, subordinate="
         "{bus_text}\n\tCapabilities: [40] Express (v1) PCI-Express to PCI/PCI-X Bridge\n{own_text} Communication "
         "controller\nThe entry is the card's, with svt=1. Which sid lets the card in? (A number such as 0x0310.)",
         _draw_bridge, _sid,
         ("Who does the log say has sent it?", "Bus, device, function are bits 15:8, 7:3, 2:0."), _arrives),
    Task("row", "Linux prints an entry of its table as two words, high and low: {high} {low}. Its index is {index:#x}. "
         "Which vector does it send?", _draw_row, _vector,
         ("The low word holds vector and destination.", "The vector is in bits 23:16 of the low word: the third byte "
          "from the right."), _fields),
)
"""The exercises, in the order of the notebook."""
