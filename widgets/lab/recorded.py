"""A Lab of a recorded run of a real system: its boot on the map, each entry that it wrote a step on the bar.

Commands are those of `vsim.replay.rerun`, with the acknowledges that it found. A gesture begins with each line of the
console, each entry that was written and each command to the unit, and is named after it; that of an entry ends when the
queue's tail has been written, by which the unit is told.
"""

from __future__ import annotations

import os
from typing import Any

from vsim import machine
from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE
from vsim.layouts.registers import GCMD, IRTA, OFFSET
from vsim.replay import recording, rerun
from vsim.replay.recording import Recording
from vsim.replay.rerun import Outcome
from vsim.state import commands as c
from vsim.state.arrays import Machine

LONGEST = 60
"""Characters of a console line that name a gesture."""
GOES_ON = "the system runs"
"""The name of what follows when an entry's invalidation has been queued."""


def open_recording(make: Any, path: str | os.PathLike[str]) -> tuple[Any, Outcome]:
    """A Lab made by `make(machine, title, notes)` that has done a recording's commands, and what the comparison found.

    RecordingError for a file that is none, with its line.
    """
    found = recording.load(path)
    outcome = rerun.run(found)
    title = f"recorded, {found.vcpus} CPUs"
    lab = make(outcome.first.copy(), title=title, notes=tuple(f"{key}: {text}" for key, text in found.made.items()))
    parts = _parts(outcome, _lines_of_console(found))
    with lab.lock:
        for name, commands in parts:
            with lab.gesture(name=name):
                for command in commands:
                    lab.issue(command)
    return lab, outcome


def _lines_of_console(found: Recording) -> dict[int, str]:
    """The line of a recording at which the console said something, and what."""
    return {moment.line: seen[1][:LONGEST] for moment in found.moments for seen in moment.saw if seen[0] == "K"}


def _parts(outcome: Outcome, console: dict[int, str]) -> list[tuple[str, list[c.Command]]]:
    """The commands in gestures, each with its name."""
    m, parts, name, heard = outcome.first.copy(), list[tuple[str, list[c.Command]]](), "power-on", iter(sorted(console))
    due, mine = next(heard, None), list[c.Command]()
    entry: bool | None = False      # whether this is one that is written; None: that has just ended
    for command, line in zip(outcome.commands, outcome.lines, strict=True):
        told = _told(m, command, outcome.recording.unit) or (GOES_ON if entry is None else "")
        while due is not None and due <= line:
            told, due = told or console[due], next(heard, None)
        if told and mine:
            parts.append((name, mine))
            mine = []
        name = told or name
        mine.append(command)
        if type(command) is c.Mmio:
            machine.step(m, command)
        ended = entry and type(command) is c.Mmio and command.address == outcome.recording.unit + OFFSET["IQT"]
        entry = None if ended else name.startswith("entry ")
    return [*parts, (name, mine)] if mine else parts


def _told(m: Machine, command: c.Command, unit: int) -> str:
    """A name for what begins with a command; "" when it goes on. m: has done the writes to MMIO before."""
    if type(command) is c.Mmio and command.address == unit + OFFSET["GCMD"]:
        on = [field.name.upper() for field in GCMD if get(command.value, field)]
        return f"GCMD: {' '.join(on) or '0'}"
    if type(command) is not c.RamWrite:
        return ""
    irta = machine.unit_register(m, "IRTA")
    base, size = irta & ~0xFFF, 16 << (get(irta, IRTA.s) + 1)
    if not base <= command.address < base + size or len(command.data) not in (8, 16):
        return ""
    index, low = (command.address - base) // 16, (command.address - base) % 16 == 0
    if not low:
        return ""
    entry = int.from_bytes(command.data, "little")
    if not get(entry, IRTE.p):
        return f"entry {index}: not present"
    return f"entry {index}: vector {get(entry, IRTE.vector):#x} to APIC ID {get(entry, IRTE.dst) & 0xFFFFFFFF:#x}"
