"""Exercises of notebook 16: read out of a recorded boot of Linux, which the machine did again."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD, REASON_TEXT
from vsim.replay import recording
from vsim.replay.recording import Recording
from widgets.course.task import Judged, Numbers, Task
from widgets.tables import Table

_HERE = Path(__file__).resolve()
_FOLDERS = (_HERE.parents[2] / "notebooks", _HERE.parents[1] / "_notebooks", Path())
FILES = tuple(folder / "data" / "linux-6.12-8cpu.recording.gz" for folder in _FOLDERS)
"""The recording: in the source tree, in a wheel, beside the notebook (on a page)."""


@cache
def linux() -> Recording:
    """The recording, read once."""
    return recording.load(next((each for each in FILES if each.exists()), FILES[-1]))


@cache
def messages() -> dict[int, list[tuple[int, int, int]]]:
    """(destination, logical, vector) of the messages that the unit sent on, in order, by entry."""
    out: dict[int, list[tuple[int, int, int]]] = {}
    for moment in linux().moments:
        for tag, *values in moment.saw:
            if tag == "M":
                index, destination, logical, _, vector, _ = values
                out.setdefault(index, []).append((destination, logical, vector))
    return out


@cache
def faults() -> list[tuple[int, int, int]]:
    """(requester, index, reason) of the records that the unit wrote, in order."""
    words = [high << 64 | low for moment in linux().moments for tag, *rest in moment.saw if tag == "F"
             for _, high, low in [rest]]
    return [(get(word, FRCD.sid), get(word, FRCD.index), get(word, FRCD.reason)) for word in words]


def sent(index: int, most: int = 12) -> Table:
    """The last messages that went out by an entry."""
    rows = [(hex(vector), hex(destination), "logical" if logical else "physical")
            for destination, logical, vector in messages()[index][-most:]]
    return Table(("vector", "destination", "mode"), rows, f"Messages by entry {index}, the last {len(rows)}")


def refused(most: int = 20) -> Table:
    """The requests that the unit refused."""
    return Table(("request", "index", "reason", "why"), [(n, hex(index), hex(reason), REASON_TEXT[reason])
                                                         for n, (_, index, reason) in enumerate(faults()[:most], 1)])


def _vector(numbers: Numbers, answer: int) -> Judged:
    right = messages()[numbers["index"]][-1][2]
    met = "" if answer == right else "M3" if answer == numbers["index"] else ""
    return Judged(answer == right, met, shown=sent(numbers["index"]))


def _draw_index(dice: random.Random) -> Numbers:
    return {"index": dice.choice(sorted(messages()))}


def _cpu(numbers: Numbers, answer: int) -> Judged:
    right = numbers["destination"].bit_length() - 1
    if answer == right:
        return Judged(True)
    return Judged(False, "M6" if answer == numbers["destination"] else "",
                  "In logical mode the low 16 bits are one bit for each CPU of a cluster.")


def _draw_cpu(dice: random.Random) -> Numbers:
    several = {destination for rows in messages().values() for destination, logical, _ in rows
               if logical and destination > 2}
    return {"destination": dice.choice(sorted(several))}


def _reason(numbers: Numbers, answer: int) -> Judged:
    return Judged(answer == faults()[numbers["nth"] - 1][2], shown=refused())


TASKS = (
    Task("vector", "Which vector had the last message that the unit sent on by entry {index}?", _draw_index, _vector,
         ("The bar has each entry that was written, with its vector.", "An entry is moved often: take the last."),
         lambda numbers: sent(numbers["index"])),
    Task("cpu", "A message goes out with the logical destination {destination:#x}. Which CPU of the eight takes it?",
         _draw_cpu, _cpu, ("Write the destination in binary.", "Count the bits from 0."), None),
    Task("refused", "A program fired messages on purpose that were refused. What is the fault reason of number {nth}?",
         lambda dice: {"nth": dice.randrange(1, len(faults()) + 1)}, _reason,
         ("Is an entry there with that index, or is it somebody else's?", "0x22 or 0x26."), lambda numbers: refused()),
)
