"""Which functions a unit translates: /sys/kernel/debug/iommu/intel/dmar_translation_struct.

    for record in read(lines).records: ...      # RootTable, Context

Taken for who sits behind which unit; the entries themselves are given as they are, for DMA is not simulated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.layouts.bits import parse_bdf
from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_ROWS = 200_000
"""Most rows of one reading."""


@dataclass(frozen=True, slots=True)
class RootTable:
    """A unit's root table. address: physical; None where the unit does not translate."""

    file: str
    line: int
    unit: str
    address: int | None


@dataclass(frozen=True, slots=True)
class Context:
    """A function that has an entry in a unit's tables. root, context: (high, low); pasid: -1 where there is none."""

    file: str
    line: int
    unit: str
    rid: int
    root: tuple[int, int]
    context: tuple[int, int]
    pasid: int = -1


_ROOT = re.compile(r"IOMMU (\S{1,40}?): *Root Table Address: *(?:0x)?([0-9a-fA-F]{1,16})\b")
_OFF = re.compile(r"DMA Remapping is not enabled on (\S{1,40})")
_PAIR = r"0x([0-9a-fA-F]{16}):0x([0-9a-fA-F]{16})"
_ROW = re.compile(rf"([0-9a-fA-F]{{2}}:[0-9a-fA-F]{{2}}\.[0-7])\s+{_PAIR}\s+{_PAIR}(?:\s+(-?\d{{1,8}})\b)?")


_BEGIN = re.compile(r"[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]\s+0x")


def read(lines: Sequence[Line]) -> Reading:
    """Root tables and contexts of a text, in its order."""
    records: list[RootTable | Context] = []
    remarks: list[Remark] = []
    unit = ""
    for place, line in enumerate(lines):
        text = bare(line.text)
        if _BEGIN.match(text) and not _ROW.match(text):     # a mail program may have wrapped the row
            text = " ".join([text, *(bare(each.text) for each in lines[place + 1:place + 4])])
        if match := _ROW.match(text):
            root, context = (int(match[2], 16), int(match[3], 16)), (int(match[4], 16), int(match[5], 16))
            if int(match[1][3:5], 16) > 31:
                at = line.text.find(match[1]) + 1
                remarks.append(Remark(line.file, line.number, at, f"left out: {match[1]} is no function"))
                continue
            records.append(Context(line.file, line.number, unit, parse_bdf(match[1]), root, context,
                                   int(match[6] or -1)))
        elif match := _ROOT.search(text):
            unit = match[1]
            records.append(RootTable(line.file, line.number, unit, int(match[2], 16)))
        elif match := _OFF.search(text):
            unit = match[1]
            records.append(RootTable(line.file, line.number, unit, None))
        if len(records) >= MAX_ROWS:
            remarks.append(Remark(line.file, line.number, 1, f"left out: all behind the first {MAX_ROWS} rows"))
            break
    return Reading(tuple(records), few(remarks))
