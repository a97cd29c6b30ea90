"""What a report says of dumps and logs: what they are, the machine they show, what does not fit, faults sent again.

Names and addresses of people and machines are taken out before anything is read (`vsim.findings.clean`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vsim.findings.assumed import WORD
from vsim.findings.catalogue import Examined, examine
from vsim.findings.clean import cleaned
from vsim.findings.paste import gather
from vsim.findings.rebuild import rebuild, replay
from vsim.findings.tell import machine
from vsim.layouts.bits import bdf_text
from widgets.report.page import page
from widgets.report.paper import Cell, Heading, Part, Points, Words, grid

MAX_ROWS = 500
"""Rows of a table."""


def read(names: list[str]) -> Examined:
    """Files and folders, read and held against one another. PieceError for one that cannot be read."""
    return _examined(gather(map(Path, names)))


def _examined(sources: Iterable[tuple[str, bytes | str]]) -> Examined:
    return examine((os.path.basename(name), cleaned(name, data)[0]) for name, data in sources)


def report(lab: Any) -> str:
    """The report on the dumps that a Lab was made of, as one HTML file."""
    return page(document(_examined(lab.dumped.sources)))


def document(found: Examined) -> list[Part]:
    """The whole report."""
    pasted = found.pasted
    parts: list[Part] = [
        Heading(1, "What dumps say of a machine's interrupts", "top"),
        Words(f"{len(pasted.pieces)} pieces, {len(found.findings)} findings. Addresses and names of people and "
              "machines were taken out.", "lead"),
        Heading(2, "What was recognised", "pieces"),
        grid("Pieces, by what is in them", ("What", "Where", "Records"),
             [(each.text, f"{each.file}:{each.first}-{each.last}", str(each.count))
              for each in pasted.pieces[:MAX_ROWS]], (5, 4, 1)),
        Heading(2, "The machine that follows", "machine"), Points(tuple(machine(found.picture)), "shown"),
        Heading(2, "What does not fit", "findings")]
    rows: list[tuple[Cell, ...]] = [
        (each.row.severity, each.text, tuple(map(str, each.sides)), f"{each.row.todo} [{each.row.source}]")
        for each in found.findings[:MAX_ROWS]]
    parts.append(grid("Findings, both sides by file and line", ("", "What", "Where", "What to do"), rows, (1, 3, 3, 3))
                 if rows else Words("No two texts contradict one another."))
    return [*parts, *_faults(found), *_remarks(found)]


def _faults(found: Examined) -> list[Part]:
    """Fault lines, sent again on the machine that the texts show."""
    faults = [each for each in found.picture.faults if each.kind == "interrupt" and each.reason > 0][:MAX_ROWS]
    if not faults:
        return []
    built = rebuild(found.picture)
    state, rows = built.run(), list[tuple[Cell, ...]]()
    for fault in faults:
        told = replay(built, fault, state)
        rows.append((f"{fault.file}:{fault.line}", f"{bdf_text(fault.rid)}, reason {fault.reason:#x}",
                     (told.note, *(f"{WORD}: {each}" for each in told.assumed)), told.change))
    return [Heading(2, "Faults sent again", "faults"),
            grid("Each request on the machine as dumped", ("Line", "Fault", "What became of it", "What lets it pass"),
                 rows, (2, 2, 3, 3)),
            Words("Assumed, since no text says it:", "aside"), Points(tuple(built.assumed) or ("nothing",)),
            *((Words("What the texts show and the machine has not:", "aside"), Points(tuple(map(str, built.left))))
              if built.left else ())]


def _remarks(found: Examined) -> list[Part]:
    remarks = tuple(map(str, found.pasted.remarks[:MAX_ROWS]))
    return [Heading(2, "What was left out, or taken with doubt", "remarks"), Points(remarks)] if remarks else []
