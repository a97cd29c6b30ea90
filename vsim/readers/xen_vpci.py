"""The second part of Xen's debug key M: messages of the functions that Xen emulates for a domain (vPCI).

    for record in read(lines).records: ...      # Message

The forms are those of vpci_dump_msi (xen/drivers/vpci/msi.c), vpci_msi_arch_print and vpci_msix_arch_print
(xen/arch/x86/hvm/vmsi.c), of Xen 4.11 and later: only functions that have messages enabled are printed, of MSI one
message for all its vectors, of MSI-X every entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vsim.layouts.bits import parse_bdf
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column, torn, whole


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the domain wrote it. domain: -1 where the text begins later; kind: "MSI" or "MSI-X".

    number: of the entry, 0 for MSI; most: messages that the function has, -1 where no line says it; count: vectors
    enabled, of MSI from `vector` and `pirq` on; wide: 64-bit address. vector, lowest, level, logical, hint: of the
    message; dest: APIC ID of one of the domain's vCPUs. masks: a bit for each vector, None for MSI without mask bits;
    all_masked: MSI-X as a whole. pirq: the domain's number of the interrupt, -1 for none.
    """

    file: str
    line: int
    domain: int
    segment: int
    bdf: int
    kind: str
    number: int
    most: int
    count: int
    wide: bool
    vector: int
    lowest: bool
    level: bool
    logical: bool
    hint: bool
    dest: int
    masks: int | None
    all_masked: bool
    pirq: int

    @property
    def open(self) -> bool:
        """Whether some vector of it is not masked."""
        return not self.all_masked and ~(self.masks or 0) & (1 << self.count) - 1 != 0


class _Head(NamedTuple):
    segment: int
    bdf: int
    kind: str
    most: int = -1
    enabled: int = 1
    wide: bool = True
    masks: int | None = None
    all_masked: bool = False


_DOMAIN = re.compile(r"vPCI MSI/MSI-X d(\d{1,5})")
_FUNCTION = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}:[01][0-9a-f]\.[0-7]) (MSI-X|MSI)")
_MSI = re.compile(r"enabled: \d 64-bit: ([01])(?: mask=([0-9a-f]{8}))? vectors max: (\d{1,2}) enabled: (\d{1,2})")
_MSIX = re.compile(r"entries: (\d{1,4}) maskall: ([01]) enabled: \d")
_ROW = re.compile(r"(?:(\d{1,4})\s+)?vec=(?:0x)?([0-9a-f]{1,2})\s+(lowest|fixed)\s+(level|edge)\s+(?:de)?assert\s+"
                  r"(log|phys)\s+(lowest|fixed)\s+dest_id=(\d{1,5})(?: mask=([01]))? pirq: (-?\d{1,7})")
_CUT = re.compile(r"unable to (?:print all MSI-X entries: -?\d{1,3}|access other devices for the domain)")
_HEADS = re.compile("|".join((
    r"(?P<domain>vPCI MSI/MSI-X )", r"(?P<function>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] MSI(?:-X)?\s*$)",
    r"(?P<msi>enabled: \d 64-bit: )", r"(?P<msix>entries: \d{1,4} maskall: )",
    r"(?P<row>(?:\d{1,4}\s+)?vec=(?:0x)?[0-9a-f]{1,2}\s)", r"(?P<cut>unable to (?:print all MSI-X|access other dev))")))


def read(lines: Sequence[Line]) -> Reading:
    """`Message` in the order of the text."""
    reader = _Reader()
    for place, line in enumerate(lines):
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        begins = _HEADS.match(body(line.text))
        if begins:
            pattern, take = FORMS[begins.lastgroup or ""]
            if match := whole(lines, place, pattern):
                take(reader, line, match)
            else:
                reader.remarks.append(torn(line, "a row"))
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Message] = []
        self.remarks: list[Remark] = []
        self.domain = -1
        self.head: _Head | None = None

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column(line), text))

    def of_domain(self, line: Line, m: re.Match[str]) -> None:
        self.domain, self.head = int(m[1]), None

    def function(self, line: Line, m: re.Match[str]) -> None:
        self.head = _Head(int(m[1], 16), parse_bdf(m[2]), m[3])

    def msi(self, line: Line, m: re.Match[str]) -> None:
        if self.head:
            self.head = self.head._replace(most=int(m[3]), enabled=int(m[4]), wide=m[1] == "1",
                                           masks=int(m[2], 16) if m[2] else None)

    def msix(self, line: Line, m: re.Match[str]) -> None:
        if self.head:
            self.head = self.head._replace(most=int(m[1]), all_masked=m[2] == "1")

    def row(self, line: Line, m: re.Match[str]) -> None:
        head = self.head
        if head is None or (head.kind == "MSI-X") != bool(m[1]):
            self.tell(line, "left out: a message of a function that no line before names")
            return
        masks = int(m[8]) if m[8] else head.masks
        self.records.append(Message(
            line.file, line.number, self.domain, head.segment, head.bdf, head.kind, int(m[1] or 0), head.most,
            head.enabled, head.wide, int(m[2], 16), m[3] == "lowest", m[4] == "level", m[5] == "log", m[6] == "lowest",
            int(m[7]), masks, head.all_masked, int(m[9])))

    def cut(self, line: Line, m: re.Match[str]) -> None:
        self.tell(line, f"Xen did not print all: {m[0]}")


FORMS: dict[str, tuple[re.Pattern[str], Callable[[_Reader, Line, re.Match[str]], None]]] = {
    "domain": (_DOMAIN, _Reader.of_domain), "function": (_FUNCTION, _Reader.function), "msi": (_MSI, _Reader.msi),
    "msix": (_MSIX, _Reader.msix), "row": (_ROW, _Reader.row), "cut": (_CUT, _Reader.cut)}
"""The form of each row, by the name of how it begins in `_HEADS`, and what reads it."""
