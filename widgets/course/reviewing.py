"""Exercises of notebook 10: what the code of the series does, tried before it is said."""

from __future__ import annotations

import random
from functools import cache

from vsim.domain.stage import Stage, taken
from vsim.layouts.bits import bdf_text
from vsim.review.questions import question
from vsim.review.scenarios import SCENARIOS
from vsim.state.profile import QUIRKS, profile
from widgets.course.task import Judged, Numbers, Task, word, yes_or_no
from widgets.tables import Told

VERSIONS = ("v1", "v3", "v4")
STATES = {"as coded": (), "with defect D10 corrected": ("xen.D10",)}
OTHERS = tuple(f"xen.D{n}" for n in (3, 9, 11, 12, 15, 24, 30, 33))


def _draw_sender(dice: random.Random) -> Numbers:
    owner, other = dice.sample(range(3, 30), 2)
    sender = dice.choice((owner, other)) << 8
    state = dice.choice(tuple(STATES))
    return {"owner": owner << 8, "sender": sender, "state": state, "index": dice.randrange(3, 200),
            "owner_text": bdf_text(owner << 8), "sender_text": bdf_text(sender)}


def _sent(numbers: Numbers) -> str:
    made = Stage(profile("xen-v4").without_quirks(*STATES[numbers["state"]]))
    made.table()
    made.entry(numbers["index"], p=1, vector=0x41, dst=2, svt=1, sid=numbers["owner"])
    return taken(made.msi(numbers["index"], numbers["sender"]))


def _delivered(numbers: Numbers, answer: str) -> Judged:
    said = _sent(numbers)
    return Judged(answer == ("no" if "nobody" in said else "yes"), said=f"It is {said}.")


# --- defects that hide one another ---


def _draw_offered(dice: random.Random) -> Numbers:
    offered = [*dice.sample(OTHERS, 3), "xen.D32"]
    dice.shuffle(offered)
    return {"offered": "\n".join(f"{name}: {QUIRKS[name].does}" for name in offered), "among": offered}


def pin(*corrected: str) -> str:
    """Who gets a pin's interrupt in version 4 with these defects corrected."""
    return SCENARIOS["xen.D32"].run(profile("xen-v4").without_quirks(*corrected))[0]


def _also(numbers: Numbers, answer: str) -> Judged:
    named = next((each for each in numbers["among"] if each[5:] == answer.removeprefix("xen.").removeprefix("d")), "")
    if not named:
        return Judged(False, said=f"One of these is asked for: {', '.join(numbers['among'])}.")
    both, alone = pin("xen.D10", named), pin("xen.D10")
    return Judged("vCPU" in both and "nobody" in alone,
                  said=f"With D10 alone the pin is {alone}; with {named} as well it is {both}.")


# --- saving and loading ---


@cache
def _loads() -> tuple[str, ...]:
    return tuple(question("9").show())


def _draw_load(dice: random.Random) -> Numbers:
    return {"saved": dice.choice(VERSIONS), "loaded": dice.choice(VERSIONS)}


def _line(numbers: Numbers) -> str:
    return next(line for line in _loads() if f"saved by {numbers['saved']}, loaded by {numbers['loaded']}:" in line)


def _errno(numbers: Numbers, answer: int) -> Judged:
    line = _line(numbers)
    right = "done" in line if answer == 0 else f"(-{abs(answer)})" in line
    return Judged(right, said=line + ".")


TASKS = (
    Task("delivered", "In version 4 the entry {index} belongs to the device {owner_text}: its sid says so, and svt=1. "
         "{sender_text} sends a message that names it, on the code {state}. Is the interrupt delivered?", _draw_sender,
         _delivered, ("Who is the sender, and who the owner?", "As coded, version 4 does not look at sid (D10)."),
         None, yes_or_no, ("yes", "no")),
    Task("also", "Defect D10 is corrected, so that source ids are checked, and now no pin of the I/O APIC gets "
         "through. Four others:\n{offered}\nWhich of them has to be corrected *together with* D10?",
         _draw_offered, _also,
         ("Under which number does the I/O APIC send, and which one does its entry name?",
          "With D10 corrected, the two have to be the same."), None, word),
    Task("errno", "A guest is saved under version {saved} and loaded under version {loaded}. With which errno does "
         "loading end, as a positive number? 0 if it works.", _draw_load, _errno,
         ("Both numbers of the record, type and length, have to be what the loader expects.",
          "A record of another version is an invalid argument: EINVAL."), lambda n: Told([_line(n)])),
)
"""The exercises, in the order of the notebook."""
