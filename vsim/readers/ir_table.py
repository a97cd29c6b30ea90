"""Interrupt remapping tables of Linux: /sys/kernel/debug/iommu/intel/ir_translation_struct.

    for record in read(lines).records: ...      # Table, Entry

A row prints some fields of an entry and then the whole entry, so each row is checked against itself
(drivers/iommu/intel/debugfs.c). The destination is the entry's 32 bits: with EIME=0 the APIC ID is in bits 15:8, and
EIME is in IRTA, not in this file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.layouts.bits import bdf_text, get, parse_bdf
from vsim.layouts.formats import IRTE, IRTE_POSTED, XAPIC_DST_RESERVED
from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_ENTRIES = 200_000
"""Most entries of one reading."""


@dataclass(frozen=True, slots=True)
class Table:
    """The heading of a unit's table. unit: Linux's name for it; posted: that of its posted entries.

    address: physical, None where the unit does not remap (enabled is False then).
    """

    file: str
    line: int
    unit: str
    posted: bool = False
    address: int | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One present entry of a unit's table. unit: "" where no heading stands above it."""

    file: str
    line: int
    unit: str
    index: int
    high: int
    low: int

    @property
    def word(self) -> int:
        """The entry, 128 bits."""
        return self.high << 64 | self.low

    @property
    def posted(self) -> bool:
        """Whether it posts (IM=1)."""
        return bool(get(self.word, IRTE.im))

    @property
    def fields(self) -> dict[str, int]:
        """The entry's fields, as its mode has them (VT-d 9.9, 9.10)."""
        return (IRTE_POSTED if self.posted else IRTE).split(self.word)

    @property
    def sid(self) -> int:
        """Requester that is allowed in."""
        return int(get(self.word, IRTE.sid))

    @property
    def vector(self) -> int:
        """Vector; of a posted entry the virtual one."""
        return int(get(self.word, IRTE.vector))

    @property
    def dst(self) -> int:
        """Destination field, 32 bits, as it is in the entry. Without meaning in a posted one."""
        return int(get(self.word, IRTE.dst))

    def destination(self, eime: bool) -> int:
        """The destination APIC ID: all bits with EIME=1, bits 15:8 with EIME=0."""
        return self.dst if eime else (self.dst & ~XAPIC_DST_RESERVED) >> 8


_UNIT = re.compile(r"(Remapped|Posted) Interrupt supported on IOMMU: *(\S{1,40})")
_ADDRESS = re.compile(r"IR table address: *(?:0x)?([0-9a-fA-F]{1,16})\b")
_FUNCTION = r"([0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])"
_ROW = re.compile(rf"(\d{{1,6}})\s+{_FUNCTION}\s+([0-9a-fA-F]{{8}})\s+(?:([0-9a-fA-F]{{8}})\s+)?([0-9a-fA-F]{{2}})\s+"
                  r"([0-9a-fA-F]{16})\s+([0-9a-fA-F]{16})\s*")
_BEGIN = re.compile(rf"\d{{1,6}}\s+{_FUNCTION}(?:\s+[0-9a-fA-F]{{1,16}})*\s*")


def read(lines: Sequence[Line]) -> Reading:
    """Tables and entries of a text, in its order. A row that contradicts itself is taken as its entry says."""
    reader = _Reader()
    at = 0
    while at < len(lines):
        if len(reader.records) >= MAX_ENTRIES:
            reader.tell(lines[at], f"left out: all behind the first {MAX_ENTRIES} entries")
            break
        at += reader.take(lines, at)
    reader.close()
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Table | Entry] = []
        self.remarks: list[Remark] = []
        self.table: Table | None = None
        self.known: dict[tuple[str, str, int], int] = {}
        self.unit, self.posted = "", False

    def tell(self, line: Line, text: str) -> None:
        """A remark about the first word of a line."""
        self.remarks.append(Remark(line.file, line.number, len(line.text) - len(line.text.lstrip()) + 1, text))

    def close(self) -> None:
        """Give the heading that was begun."""
        table, self.table = self.table, None
        if table:
            self.records.append(table)

    def take(self, lines: Sequence[Line], at: int) -> int:
        """Read what begins at a line; how many lines it took."""
        line = lines[at]
        text = bare(line.text)
        if text[:1].isdecimal():
            return self._row(lines, at, text)
        if match := _UNIT.search(text):
            self.close()
            self.unit, self.posted = match[2], match[1] == "Posted"
            self.table = Table(line.file, line.number, self.unit, self.posted)
        elif self.table and (match := _ADDRESS.search(text)):
            self.table = Table(self.table.file, self.table.line, self.unit, self.posted, int(match[1], 16))
            self.close()
        elif self.table and "Interrupt Remapping is not enabled" in text:
            self.table = Table(self.table.file, self.table.line, self.unit, self.posted, None, False)
            self.close()
        return 1

    def _row(self, lines: Sequence[Line], at: int, text: str) -> int:
        taken = 1
        while not (match := _ROW.fullmatch(text)) and taken < 3 and at + taken < len(lines) and _BEGIN.fullmatch(text):
            text = f"{text} {bare(lines[at + taken].text)}"  # wrapped by a mail program
            taken += 1
        if match:
            self._entry(lines[at], match)
            return taken
        if _BEGIN.match(text):
            self.tell(lines[at], "left out: a row of the table that was cut")
        return 1

    def _entry(self, line: Line, match: re.Match[str]) -> None:
        self.close()
        index, high, low = int(match[1]), int(match[6], 16), int(match[7], 16)
        entry = Entry(line.file, line.number, self.unit, index, high, low)
        key = line.file, self.unit, index
        if index > 0xFFFF:
            self.tell(line, f"left out: index {index} is over its limit {0xFFFF}")
        elif self.known.get(key) != entry.word:
            if key in self.known:
                self.tell(line, f"entry {index} of {self.unit or 'a unit'} again, and another one")
            self.known[key] = entry.word
            for text in _doubts(entry, match, self.posted):
                self.tell(line, text)
            self.records.append(entry)


def _doubts(entry: Entry, match: re.Match[str], posted: bool) -> list[str]:
    """What a row's columns say otherwise than its entry does, and what no present entry has."""
    word, doubts = entry.word, []
    told = [("SrcID", parse_bdf(match[2]) if int(match[2][3:5], 16) < 32 else -1, entry.sid),
            ("Vct", int(match[5], 16), entry.vector)]
    if match[4]:
        pda = get(word, IRTE_POSTED.pda) << 6
        told += [("PDA_high", int(match[3], 16), pda >> 32), ("PDA_low", int(match[4], 16), pda & 0xFFFF_FFFF)]
    else:
        told.append(("DstID", int(match[3], 16), entry.dst))
    for name, printed, held in told:
        if printed != held:
            as_text = bdf_text if name == "SrcID" and printed >= 0 else hex
            doubts.append(f"entry {entry.index}: {name} is printed as {as_text(printed)}, the entry holds "
                          f"{as_text(held)}")
    if not get(word, IRTE.p):
        doubts.append(f"entry {entry.index} is not present (P=0); Linux prints present ones only")
    if entry.posted != bool(match[4]) or (entry.unit and entry.posted != posted):
        doubts.append(f"entry {entry.index} has IM={int(entry.posted)} and stands among the "
                      f"{'posted' if posted else 'remapped'} ones")
    if bits := (IRTE_POSTED if entry.posted else IRTE).reserved_set(word):
        doubts.append(f"entry {entry.index} has reserved bits set: {bits:#x}")
    return doubts
