"""Rows out of dumps told: a line of lspci, of a remapping table, of a list of registers, of QEMU's monitor.

    told_row("		Address: 00000000fee00218  Data: 0000")

`ROWS` has each form: its pattern, and which groups are the numbers of which kind of `things.KINDS`.
"""

from __future__ import annotations

import re

from vsim.explain.messages import Known
from vsim.explain.things import KINDS, NOTHING, tell
from vsim.explain.told import Told
from vsim.readers import xen_tables
from vsim.readers.pieces import Line

_BDF = r"[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
_H = r"(?:0x)?([0-9a-f]{1,16})"
ROWS: tuple[tuple[re.Pattern[str], tuple[tuple[str, tuple[int, ...]], ...]], ...] = (
    # lspci: the message of a function
    (re.compile(r"Address: ([0-9a-f]{8,16})\s+Data: ([0-9a-f]{4,8})\b"), (("msi", (1, 2)),)),
    # Linux's ir_translation_struct: remapped and posted entries
    (re.compile(rf"^\s*\d+\s+{_BDF}\s+(?:[0-9a-f]{{8}}\s+){{1,2}}[0-9a-f]{{2}}\s+([0-9a-f]{{16}})\s+([0-9a-f]{{16}})\b"),
     (("irte", (1, 2)),)),
    # a unit in a boot log, of Linux or Xen
    (re.compile(rf"\bcap (?:= )?{_H},? ecap (?:= )?{_H}\b"), (("cap", (1,)), ("ecap", (2,)))),
    # QEMU's info pic, xen-hvmctx
    (re.compile(r"^\s*pin \d{1,3}:?\s+0x([0-9a-f]{16})\b"), (("rte", (1,)),)),
)
"""The forms of rows."""
_REGISTER = re.compile(rf"^\s*([A-Z][A-Z_]{{1,15}}?)(?:_REG)?\s+0x[0-9a-f]{{1,3}}\s+{_H}\s*$")
_XEN = re.compile(r"\b[RP]:\s+[0-9a-f]{4,5}:\s")
_XEN_HEAD = "iommu 0: nr_pt_levels = 4."


def told_row(text: str, known: Known = NOTHING) -> tuple[Told, ...]:
    """What a row of a dump says, told; () for a line of no form that is known, or with numbers that do not fit."""
    found = [(kind, tuple(int(match[place], 16) for place in places))
             for pattern, kinds in ROWS if (match := pattern.search(text)) for kind, places in kinds]
    if (match := _REGISTER.match(text)) and match[1].lower() in KINDS:
        found.append((match[1].lower(), (int(match[2], 16),)))
    if _XEN.search(text):
        head = Line("", 1, _XEN_HEAD)
        found += [("irte", (entry.word >> 64, entry.word & (1 << 64) - 1)) for entry in xen_tables.read(
            (head, Line("", 2, text))).records if isinstance(entry, xen_tables.Entry)]
    return tuple(tell(kind, numbers, known, text.strip()) for kind, numbers in found if _fits(kind, numbers))


def _fits(kind: str, numbers: tuple[int, ...]) -> bool:
    wanted = KINDS[kind].numbers
    return len(wanted) == len(numbers) and not any(
        number >> size for number, (_, size) in zip(numbers, wanted, strict=True))
