"""Exercises of notebook 01: found by looking at its bench, tried on a machine of the same files."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from vsim.layouts.formats import IRTE
from widgets.course.task import Judged, Numbers, Task
from widgets.lab.command import lessons
from widgets.lab.lab import Lab
from widgets.lesson.edit import Edit, attempt
from widgets.tables import Table, Told

CARD = "00:05.0"


@cache
def _lab() -> Lab:
    """The bench of the notebook, booted: its files are beside the notebook, or where the lessons are kept."""
    data = next(each for each in (Path("data"), lessons() / "data") if (each / "big.cfg").is_file())
    lab = Lab.from_config(data / "big.cfg", lspci=data / "big.lspci")
    lab.boot()
    return lab


def _draw_message(dice: random.Random) -> Numbers:
    """A message of which no two of the numbers are the same."""
    while True:
        message = dice.randrange(3, 60)
        source = Edit(_lab(), CARD, message).source
        if len({message, source.index, source.vcpu, _lab().machine.apic_id[source.vcpu], source.vector}) == 5:
            return {"message": message}


def _edit(numbers: Numbers) -> Edit:
    return Edit(_lab(), CARD, numbers["message"])


def _names(numbers: Numbers) -> Table:
    """The numbers of a message, as the bench shows them."""
    edit, taken = _edit(numbers), attempt(_lab(), CARD, numbers["message"]).taken
    return Table(("message", "entry", "dst (APIC ID)", "vCPU", "vector"), [
        (numbers["message"], edit.index, IRTE.split(edit.source.entry)["dst"], vcpu, f"{vector:#x}")
        for vcpu, vector in taken.items()])


def _goes(numbers: Numbers, answer: int) -> Judged:
    taken = attempt(_lab(), CARD, numbers["message"]).taken
    if answer in taken:
        return Judged(True, shown=_names(numbers))
    (vcpu,) = taken
    said = f"{answer} is where the entry stands." if answer == _edit(numbers).index else \
        f"{answer} is the message's own number." if answer == numbers["message"] else ""
    return Judged(False, "M6" if answer == _lab().machine.apic_id[vcpu] else "", said, _names(numbers))


def _entry(numbers: Numbers, answer: int) -> Judged:
    edit = _edit(numbers)
    met = "M3" if answer == edit.source.vector else "M2" if answer == numbers["message"] else ""
    return Judged(answer == edit.index, met if answer != edit.index else "", shown=_names(numbers))


def _draw_gestures(dice: random.Random) -> Numbers:
    clicks = dice.randrange(3, 9)
    return {"clicks": clicks, "storm": dice.randrange(10, 60), "undos": dice.randrange(2, clicks)}


def _left(numbers: Numbers) -> int:
    """Interrupts that are left on the machine."""
    lab = _lab().branch()
    before = lab.machine.serials
    for _ in range(numbers["clicks"]):
        lab.fire(CARD, 0)
    with lab.gesture(name="storm"):
        for number in range(numbers["storm"]):
            lab.fire(CARD, number % 8)
    for _ in range(numbers["undos"]):
        lab.undo()
    return lab.machine.serials - before


def _told(numbers: Numbers) -> str:
    return (f"The first undo takes back the whole storm, each of the others a press. Interrupts that are left: "
            f"{_left(numbers)}.")


def _undone(numbers: Numbers, answer: int) -> Judged:
    return Judged(answer == _left(numbers), said=_told(numbers))


TASKS = (
    Task("goes", "To which vCPU does message {message} of the network card go, as the kernel has set it up?",
         _draw_message, _goes, ("Fire it, and look where the token ends.",
                                "The square's name is the vCPU's number, not its APIC ID."), _names),
    Task("undone", "You press fire {clicks} times, then let a storm of {storm} interrupts loose. Then you undo {undos} "
         "times. Of how many interrupts does the machine still know?", _draw_gestures, _undone,
         ("What does one undo take back?", "A storm is one gesture, and so is each press."),
         lambda n: Told([_told(n)])),
    Task("entry", "Which entry of the table does message {message} use?", _draw_message, _entry,
         ("Fire it, and click the row in the table of what happened.", "The sentences say which entry was read."),
         _names),
)
"""The exercises, in the order of the notebook."""
