"""A Lab of a recorded run of a real system: its boot on the map, each entry that it wrote a step on the bar.

Commands are those of `vsim.replay.rerun`, with the acknowledges that it found. A gesture begins with each line of the
console, each entry that was written and each command to the unit, and is named after it; that of an entry ends when the
queue's tail has been written, by which the unit is told. Its phases are the firmware's and the kernel's, remapping from
the first command to the unit on, the first program, and the stages that this says it is in.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
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
from widgets.lab.gestures import Phase

LONGEST = 60
"""Characters of a console line that name a gesture."""
GOES_ON = "the system runs"
"""The name of what follows when an entry's invalidation has been queued."""
MOST_PHASES = 40
"""Phases that are told."""
_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")
_STAGE = re.compile(r"vsim: stage \d+ of \d+: (.{1,60})")
_PROGRAM = re.compile(r"Run /\w+ as init process")


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
        lab.phases = _phases(outcome)
    return lab, outcome


def _lines_of_console(found: Recording) -> dict[int, str]:
    """The line of a recording at which the console said something, and what, without Linux's own time."""
    return {moment.line: _STAMP.sub("", seen[1])[:LONGEST]
            for moment in found.moments for seen in moment.saw if seen[0] == "K"}


def _phases(outcome: Outcome) -> tuple[Phase, ...]:
    """The parts of the run, in order, up to `MOST_PHASES`; one that has no command is left out."""
    begins = {0: "firmware"} | dict(sorted(_begins(outcome), key=lambda each: each[0]))
    places = sorted(place for place in begins if place < len(outcome.commands))[:MOST_PHASES]
    stops = [*places[1:], len(outcome.commands)]
    return tuple(Phase(start, stop, begins[start]) for start, stop in zip(places, stops, strict=False))


def _begins(outcome: Outcome) -> Iterator[tuple[int, str]]:
    """Positions at which a phase begins, with its name."""
    gcmd = outcome.recording.unit + OFFSET["GCMD"]
    yield from [(at, "remapping on") for at, command in enumerate(outcome.commands)
                if type(command) is c.Mmio and command.address == gcmd][:1]
    lines = [(moment.line, seen[1]) for moment in outcome.recording.moments for seen in moment.saw if seen[0] == "K"]
    for number, (line, text) in enumerate(lines):
        stage = _STAGE.search(text)
        name = stage[1] if stage else "first program" if _PROGRAM.search(text) else "" if number else "kernel"
        if name:
            yield bisect_left(outcome.lines, line), name


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
    kind = "logical" if get(entry, IRTE.dm) else "APIC ID"
    return f"entry {index}: vector {get(entry, IRTE.vector):#x} to {kind} {get(entry, IRTE.dst):#x}"
