"""Xen's debug key V: remapping tables of the units, and the I/O APICs' entries in remappable format.

Two forms (xen/drivers/passthrough/vtd/utils.c, dump_iommu_info), before and since Xen knew posted interrupts:

    before   SVT SQ SID DST V AVL DLM TM RH DM FPD P                    one order for all entries
    since    R: SVT SQ SID V AVL FPD DST DLM TM RH DM P                 remapped
             P: SVT SQ SID V AVL FPD PDA URG P                          posted

Only present entries are printed. DST is the raw 32-bit field: whether EIME is on, the key does not say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.layouts.bits import get
from vsim.layouts.formats import IRTE, IRTE_POSTED, RTE_REMAP
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column, torn, whole


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as the key tells it. number: Xen's own; levels: of its page tables.

    queue, remapping: "not supported", "supported" or "enabled". posting: None in the older form, which does not say.
    entries: of the table, 0 where none is printed.
    """

    file: str
    line: int
    number: int
    levels: int
    queue: str = ""
    remapping: str = ""
    posting: bool | None = None
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A present entry of the table of unit `unit`. word: the 128 bits, as far as the key prints them."""

    file: str
    line: int
    unit: int
    index: int
    word: int

    @property
    def posted(self) -> bool:
        """Whether it is in posted mode."""
        return bool(get(self.word, IRTE.im))

    @property
    def fields(self) -> dict[str, int]:
        """The word by the fields of its form, `formats.IRTE` or `IRTE_POSTED`."""
        return (IRTE_POSTED if self.posted else IRTE).split(self.word)


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin whose redirection entry is in remappable format. ioapic: Xen's number. word: 64 bits (RTE_REMAP)."""

    file: str
    line: int
    ioapic: int
    pin: int
    word: int

    @property
    def fields(self) -> dict[str, int]:
        """The word by the fields of `formats.RTE_REMAP`; handle: the index of the entry."""
        return RTE_REMAP.split(self.word)


_H = r"\s+([0-9a-f]{1,8})"
_INDEX = r"([0-9a-f]{4,5}):"
_OLD = re.compile(_INDEX + 12 * _H)
_REMAPPED = re.compile(r"R:\s+" + _INDEX + 12 * _H)
_POSTED = re.compile(r"P:\s+" + _INDEX + 6 * _H + r"\s+([0-9a-f]{1,16})" + 2 * _H)
_PIN = re.compile(r"([0-9a-f]{2}):" + 9 * _H)
_UNIT = re.compile(r"iommu ([0-9a-f]{1,4}): nr_pt_levels = ([0-9a-f]{1,2})\.")
_SAYS = re.compile(r"(Queued Invalidation|Interrupt Remapping|Interrupt Posting): (not )?supported( and enabled)?\.")
_TABLE = re.compile(r"Interrupt remapping table \(nr_entry=(?:0x)?([0-9a-f]{1,6})\..*")
_IOAPIC = re.compile(r"Redirection table of IOAPIC ([0-9a-f]{1,4}):")
_COUNT = re.compile(r"Warning: Print (\d{1,6}) IRTE \(actually have (\d{1,6})\)!")
_HEADS = re.compile(r"[RP]:\s+[0-9a-f]{4,5}:|[0-9a-f]{2}(?:[0-9a-f]{2,3})?:\s+[0-9a-f]")

OLD = ("svt", "sq", "sid", "dst", "vector", "avail", "dlm", "tm", "rh", "dm", "fpd", "p")
NEW = ("svt", "sq", "sid", "vector", "avail", "fpd", "dst", "dlm", "tm", "rh", "dm", "p")
POSTED = ("svt", "sq", "sid", "vector", "avail", "fpd", "pda", "urg", "p")
PIN = ("handle", "format", "mask", "tm", "irr", "polarity", "status", "zero", "vector")
"""The columns by the fields of IRTE, IRTE_POSTED and RTE_REMAP."""


def read(lines: Sequence[Line]) -> Reading:
    """`Unit`, `Entry` and `Pin` in the order of the text."""
    reader = _Reader(lines)
    for place, line in enumerate(lines):
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        if reader.inside or "nr_pt_levels" in line.text or "Redirection table" in line.text:
            reader.take(place, body(line.text))
    reader.end()
    return Reading(tuple(record for record in reader.records if record is not None), few(reader.remarks))


class _Reader:
    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.records: list[Unit | Entry | Pin | None] = []
        self.remarks: list[Remark] = []
        self.unit: int | None = None
        self.ioapic: int | None = None
        self.at = -1
        self.said: dict[str, str] = {}

    @property
    def inside(self) -> bool:
        """Whether a unit or an I/O APIC has been named, so that rows can follow."""
        return self.unit is not None or self.ioapic is not None

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column(line), text))

    def take(self, place: int, said: str) -> None:
        line = self.lines[place]
        if match := _UNIT.fullmatch(said):
            self.end()
            self.unit, self.ioapic = int(match[1], 16), None
            self.at, self.said = len(self.records), {"line": str(place), "levels": match[2]}
            self.records.append(None)
        elif match := _IOAPIC.fullmatch(said):
            self.end()
            self.unit, self.ioapic = None, int(match[1], 16)
        elif self.at >= 0 and (match := _SAYS.fullmatch(said)):
            self.said[match[1]] = "not supported" if match[2] else "enabled" if match[3] else "supported"
        elif self.at >= 0 and (match := _TABLE.fullmatch(said)):
            self.said["entries"] = match[1]
        elif match := _COUNT.fullmatch(said):
            self.tell(line, f"Xen printed {match[1]} entries and counts {match[2]} in use")
        elif _HEADS.match(said):
            self._row(place, line)

    def _row(self, place: int, line: Line) -> None:
        if self.ioapic is not None:
            match = whole(self.lines, place, _PIN)
            made: Entry | Pin | None = self._pin(line, match) if match else None
        else:
            made = self._entry(place, line)
        if made is None:
            self.remarks.append(torn(line, "a row of the table"))
        else:
            self.records.append(made)

    def _entry(self, place: int, line: Line) -> Entry | None:
        for pattern, names in ((_REMAPPED, NEW), (_POSTED, POSTED), (_OLD, OLD)):
            if match := whole(self.lines, place, pattern):
                values = dict(zip(names, (int(each, 16) for each in match.groups()[1:]), strict=True))
                word = self._word(line, values)
                return None if word is None else Entry(line.file, line.number, self.unit or 0, int(match[1], 16), word)
        return None

    def _word(self, line: Line, values: dict[str, int]) -> int | None:
        try:
            if "pda" not in values:
                return IRTE.make(**values)
            address = values.pop("pda")
            if address >> 31 == 0x1FFFFFFFF:
                self.tell(line, "the descriptor's address has bits 63:32 set: where its bit 31 is set Xen prints them "
                                "so, and the upper half is not known")
            return IRTE_POSTED.make(**values, pda=address >> 6, im=1)
        except ValueError:
            return None

    def _pin(self, line: Line, match: re.Match[str]) -> Pin | None:
        values = dict(zip(PIN, (int(each, 16) for each in match.groups()[1:]), strict=True))
        try:
            return Pin(line.file, line.number, self.ioapic or 0, int(match[1], 16), RTE_REMAP.make(**values))
        except ValueError:
            return None

    def end(self) -> None:
        """Put the unit that was read into its place."""
        if self.at >= 0 and self.unit is not None:
            line = self.lines[int(self.said["line"])]
            posting = self.said.get("Interrupt Posting")
            self.records[self.at] = Unit(
                line.file, line.number, self.unit, int(self.said["levels"], 16),
                self.said.get("Queued Invalidation", ""), self.said.get("Interrupt Remapping", ""),
                None if posting is None else posting != "not supported", int(self.said.get("entries", "0"), 16))
        self.at = -1
