"""Tables of firmware in a text: what acpidump prints, in all its versions, what iasl prints, and plain dumps of bytes.

    DMAR @ 0x0000000000000000
        0000: 44 4D 41 52 68 00 00 00 01 8C 49 4E 54 45 4C 20  DMARh.....INTEL

A block begins with a title (`NAME @ 0xADDRESS`; older versions number tables, "SSDT1", and print "RSD PTR"), with
iasl's "Raw Table Data", or with bytes at offset 0. Its lines follow one another by their offsets; how many bytes a line
has follows from 16 and from the length that the table gives, not from the blanks before the letters. xxd, hexdump -C,
and words of 16 bits as hexdump and od -x print them (low byte first) are read too. Signs of quoting (`> `) before a
line are passed over. Whatever else stands in the text ends a block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from vsim.readers.acpi_table import MAX_DUMP, MAX_TABLE, DumpError
from vsim.readers.pieces import Line, Reading, Remark, few, lines_of

MAX_TABLES = 1024
"""Blocks of one text."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """One table. signature: as its title says, else its first four bytes; data: its bytes, unchecked.

    rows: (offset of the first byte, line, column) of each line of bytes.
    """

    file: str
    line: int
    signature: str
    data: bytes
    rows: tuple[tuple[int, int, int], ...] = ()

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a byte; of the title when the byte is not there."""
        for first, line, column in reversed(self.rows):
            if first <= offset < first + 16:
                return line, column + 3 * (offset - first)
        return self.line, 1


@dataclass(slots=True)
class _Block:
    """A table that is being read. words: of 16 bits; octal: offsets are so; same: rows that repeat the last stand here
    as a star."""

    line: int
    title: str
    data: bytearray = field(default_factory=bytearray)
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    words: bool = False
    octal: bool = False
    same: bool = False

    def wanted(self) -> int:
        """Bytes that the table has by its own words; -1 when those are not there yet, or are no table's."""
        known = len(self.data) >= 8 and self.title.strip() not in _WITHOUT_LENGTH
        size = int.from_bytes(self.data[4:8], "little")
        return size if known and size >= 36 else -1

    def signature(self) -> str:
        return self.title or self.data[:4].decode("latin-1")


LETTERS = 18
"""Longest line that can be the letters of a row of bytes: 16, and what stands before them."""
_WITHOUT_LENGTH = ("RSD PTR", "RSDP", "RSD")
_QUOTED = re.compile(r"(?:[>|][ \t]?)*")
_TITLE = re.compile(r"[ \t]*(\S(?:[^@\n]{0,14}\S)?)[ \t]+@[ \t]+(?:0x)?[0-9A-Fa-f]{1,16}[ \t]*")
_RAW_TABLE = re.compile(r"[ \t]*Raw Table Data\b.*")
_OFFSET = re.compile(r"[ \t]*([0-9A-Fa-f]{4,8})(:?)[ \t]+(?=[0-9A-Fa-f]{2})")
_OCTAL = re.compile(r"[0-7]{7}")
_BYTE = re.compile(r"([0-9A-Fa-f]{2})(?![0-9A-Za-z])[ \t]?")
_PAIR = re.compile(r"([0-9A-Fa-f]{2})")
_SIGNATURE = re.compile(rb"[A-Z][A-Z0-9_]{3}|RSD |[A-Z0-9]{3}!")


def read(lines: Sequence[Line]) -> Reading:
    """The tables of a text, as `Dumped`; remarks: bytes that do not follow one another, tables that are cut short.

    >>> read(lines_of("DMAR @ 0x0\\n  0000: 44 4D 41 52 DMAR")[0]).records[0].data
    b'DMAR'
    """
    reader = _Reader(lines[0].file if lines else "text")
    for line in lines:
        reader.take(line)
    reader.end()
    return Reading(tuple(reader.found), few(reader.remarks))


class _Reader:
    """The state between two lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.block: _Block | None = None
        self.found: list[Dumped] = []
        self.remarks: list[Remark] = []
        self.full = False

    def take(self, line: Line) -> None:
        if line.text.strip("> \t") == "*" and self.block and len(self.block.data) >= 16:
            self.block.same = True
            return None
        if ":" not in line.text and "@" not in line.text and not line.text.lstrip()[:1].isdigit():
            return self.end() if line.text.strip("> |\t") and not self.letters(line) else None
        start = _QUOTED.match(line.text).end()  # type: ignore[union-attr]
        if match := _OFFSET.match(line.text, start):
            return self.bytes_of(line, match)
        if title := _TITLE.fullmatch(line.text, start):
            self.end()
            self.block = _Block(line.number, title[1][:8])
        elif _RAW_TABLE.fullmatch(line.text, start):
            self.end()
            self.block = _Block(line.number, "")
        elif line.text.strip() and not self.letters(line):
            self.end()
        return None

    def letters(self, line: Line) -> bool:
        """Whether a line can be the letters of the row before, which a mail program has put below it."""
        block = self.block
        return block is not None and 0 < len(block.data) < block.wanted() and len(line.text.strip()) <= LETTERS

    def bytes_of(self, line: Line, match: re.Match[str]) -> None:
        """A line of bytes: of the block that is open, or the first of one without a title."""
        offset, block = int(match[1], 16), self.block
        if block and not match[2] and _OCTAL.fullmatch(match[1]):
            octal = int(match[1], 8)
            if len(block.data) == 16:           # the second row tells; od counts so
                block.octal = octal == 16
            offset = octal if block.octal else offset
        if offset == 0 and (block is None or block.data):
            self.end()
            block = _Block(line.number, "")
        if block is None:
            return
        if block.same and len(block.data) < offset <= MAX_TABLE and (offset - len(block.data)) % 16 == 0:
            block.data += block.data[-16:] * ((offset - len(block.data)) // 16)
        block.same = False
        if offset != len(block.data):
            self.remark(line, match.start(1), f"found bytes at offset {offset:#x}; expected {len(block.data):#x}: the "
                                              "rest of this table is left out")
            return self.end()
        left = block.wanted() - offset
        found = _bytes(line.text, match, left + (left & 1 if block.words else 0))
        block.words = block.words or (not block.data and not match[2] and _swapped(found[:4]) in KNOWN)
        if block.words:
            found = _swapped(found)[:left if left > 0 else 16]
        if not block.data and not block.title and not _SIGNATURE.match(found):
            return
        self.block = block
        block.rows.append((offset, line.number, match.end() + 1))
        block.data += found
        if len(block.data) > MAX_TABLE:
            self.remark(line, match.start(1), f"found a table of more than {MAX_TABLE} bytes; allowed: up to that")
            self.block = None

    def end(self) -> None:
        """What is open is complete, or is told to be cut short."""
        block, self.block = self.block, None
        if block is None:
            return
        wanted, name = block.wanted(), block.signature()
        if 0 <= wanted > len(block.data):
            self.remarks.append(Remark(self.file, block.line, 1, f"{name} has {wanted} bytes by its length; found "
                                                                 f"{len(block.data)}"))
        if not block.data:
            self.remarks.append(Remark(self.file, block.line, 1, f"{name} has no bytes"))
        elif len(self.found) < MAX_TABLES:
            self.found.append(Dumped(self.file, block.line, name, bytes(block.data), tuple(block.rows)))
        elif not self.full:
            self.full = True
            self.remarks.append(Remark(self.file, block.line, 1, f"left out: {name} and what follows; the limit is "
                                                                 f"{MAX_TABLES} tables"))

    def remark(self, line: Line, at: int, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, at + 1, text))


KNOWN = (b"DMAR", b"APIC", b"IVRS", b"HPET")
"""Signatures by which words of 16 bits are told from bytes in pairs."""


def _swapped(data: bytes) -> bytes:
    """The bytes of words of 16 bits that are printed with the high byte first."""
    return b"".join(data[at:at + 2][::-1] for at in range(0, len(data), 2))


def _bytes(text: str, match: re.Match[str], left: int) -> bytes:
    """The bytes behind an offset: up to 16, and up to what is left of the table, when that is known."""
    most = min(16, left) if left > 0 else 16
    at, found = match.end(), bytearray()
    packed = not _BYTE.match(text, at)              # xxd: two bytes in a group
    while len(found) < most:
        byte = (_PAIR if packed else _BYTE).match(text, at)
        if byte is None:
            break
        found.append(int(byte[1], 16))
        at = byte.end()
        if (packed and len(found) % 2 == 0) or (not match[2] and len(found) == 8):
            at += text[at:at + 1] == " "
    return bytes(found)


def dumped(text: str, file: str = "<text>") -> list[tuple[str, bytes]]:
    """Signature and bytes of every table in a text, in order; nothing in them is checked.

    DumpError, with line and column: no table at all, a text over `MAX_DUMP`.

    >>> dumped("DMAR @ 0x0000000000000000\\n    0000: 44 4D 41 52  DMAR")
    [('DMAR', b'DMAR')]
    """
    return [(each.signature, each.data) for each in blocks(text, file).records]


def blocks(text: str, file: str = "<text>") -> Reading:
    """`read` for a text that has to have a table. DumpError as for `dumped`."""
    if len(text) > MAX_DUMP:
        raise DumpError(file, 1, 1, 0, f"found {len(text)} characters; allowed: up to {MAX_DUMP}")
    lines, before = lines_of(text, file)
    found = read(lines)
    if not found.records:
        line, column, why = 1, 1, "found no table"
        if found.remarks:
            line, column, why = found.remarks[0].line, found.remarks[0].column, found.remarks[0].text
        raise DumpError(file, line, column, 0, f"{why}; allowed: the text of acpidump")
    return Reading(found.records, (*before, *found.remarks))
