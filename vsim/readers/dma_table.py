"""Which functions a unit translates: dmar_translation_struct and domain_translation_struct in debugfs of Linux.

    for record in read(lines).records: ...      # RootTable, Context, Domain

Taken for who sits behind which unit, which domain_translation_struct does not tell; the entries themselves are given as
they are, for DMA is not simulated. The rows of page tables are counted and left out. The heads: drivers/iommu/intel/
debugfs.c of Linux, show_device_domain_translation; in scalable mode and since each function has a file of its own the
PASID stands in them too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True)
class Domain:
    """A function whose page table is printed. pasid: -1 for none; address: the table's; pages: rows left out."""

    file: str
    line: int
    rid: int
    segment: int
    address: int
    pasid: int = -1
    pages: int = 0


_DEVICE = re.compile(r"Device ([0-9a-f]{4}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) (?:with pasid ([0-9a-f]{1,8}) )?"
                     r"@0x([0-9a-f]{1,16})\b")
_PAGE = re.compile(r"0x[0-9a-f]{12,16} \|\s+0x[0-9a-f]{16}\s")
_ROOT = re.compile(r"IOMMU (\S{1,40}?): *Root Table Address: *(?:0x)?([0-9a-fA-F]{1,16})\b")
_OFF = re.compile(r"DMA Remapping is not enabled on (\S{1,40})")
_PAIR = r"0x([0-9a-fA-F]{16}):0x([0-9a-fA-F]{16})"
_ROW = re.compile(rf"([0-9a-fA-F]{{2}}:[0-9a-fA-F]{{2}}\.[0-7])\s+{_PAIR}\s+{_PAIR}(?:\s+(-?\d{{1,8}})\b)?")


_BEGIN = re.compile(r"[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]\s+0x")


def read(lines: Sequence[Line]) -> Reading:
    """Root tables, contexts and domains of a text, in its order."""
    records: list[RootTable | Context | Domain] = []
    remarks: list[Remark] = []
    unit, pages = "", Counter[int]()     # rows of page tables, by the number of records before them
    for place, line in enumerate(lines):
        if " |" in line.text and _PAGE.search(line.text):
            pages[len(records)] += 1
            continue
        if "Device " in line.text and (match := _DEVICE.search(line.text)):
            if int(match[2][3:5], 16) <= 31:
                records.append(Domain(line.file, line.number, parse_bdf(match[2]), int(match[1], 16),
                                      int(match[4], 16), int(match[3], 16) if match[3] else -1))
            continue
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
    found = [(place, record) for place, record in enumerate(records) if isinstance(record, Domain)]
    for place, record in found:
        records[place] = replace(record, pages=pages[place + 1])
    if found:
        first, count = found[0][1], sum(pages[place + 1] for place, _ in found)
        remarks.append(Remark(first.file, first.line, 1, f"left out: {count} rows of the page tables of {len(found)} "
                                                         "functions; they are for memory, interrupts do not pass them"))
    return Reading(tuple(records), few(remarks))
