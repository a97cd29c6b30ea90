"""APIC IDs of a real machine, out of a text of its CPUID leaves (SDM 11.4.6; A 3).

Three forms are read: that of `cpuid -r`

    CPU 0:
       0x00000001 0x00: eax=0x000c06f2 ebx=0x00800800 ecx=0x7ffefbff edx=0xbfebfbff
       0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000000

that of instruction-latency dumps, "Logical CPU #0" with "CPUID 0000000B: 00000001-00000002-00000100-00000000 [SL 00]",
and the two lines of `cpuid` without -r that have an ID in words. Leaf 0xB gives the x2APIC ID in EDX (0x1F where there
is no 0xB), leaf 1 its low 8 bits in EBX[31:24]; other leaves are passed over. Of two values the first counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from vsim.layouts.bits import Field, Layout, get
from vsim.readers.pieces import Line, Reading, Remark, few, lines_of
from vsim.readers.source import TextError, shown
from vsim.readers.source import read as read_file

MAX_CHARACTERS = 16 << 20
"""Longest text; also the largest file, in bytes."""
MAX_CPUS = 4096

LEAF_1_EBX = Layout("CPUID 1 EBX", 32, "SDM 11.4.6", Field("apic_id", 24, 8, "initial APIC ID, low 8 bits"),
                    Field("count", 16, 8, "most IDs of a package"), Field("line", 8, 8, "line size in 8 bytes"),
                    Field("brand", 0, 8, "brand index"))
LEAF_B_EAX = Layout("CPUID 0xB EAX", 32, "SDM 11.4.6", Field("rest", 5, 27, "reserved"),
                    Field("shift", 0, 5, "bits of the ID below the next level"))


NOBODY = 0xFFFFFFFF
"""The broadcast, which is nobody's ID: a leaf that is not there reads so."""


class CpuidError(TextError):
    """A text that does not tell the APIC IDs of a machine."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """One logical CPU. number: as the operating system counts; apic_id: 32 bits; shifts: bits of the ID below each
    level of the topology (thread, core), in the order of the leaf. file, line: of its heading.
    """

    number: int
    apic_id: int
    shifts: tuple[int, ...] = ()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


_HEADING = re.compile(r"[ \t]*(?:Logical[ \t]+CPU[ \t]*#|CPU[ \t]+)(\d{1,9})[ \t]*:?[ \t]*")
_DUMPED = re.compile(r"[ \t]*CPUID[ \t]+([0-9A-Fa-f]{8}):[ \t]*(\S*)[ \t]*(?:\[SL[ \t]+([0-9A-Fa-f]{1,8})\])?.*")
_RAW = re.compile(r"[ \t]*0x([0-9A-Fa-f]{8})[ \t]+0x([0-9A-Fa-f]{1,8}):[ \t]*(.*)")
_VALUES = re.compile(r"([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})")
_NAMED = re.compile("[ \t]+".join(rf"{name}=0x([0-9A-Fa-f]{{8}})" for name in ("eax", "ebx", "ecx", "edx")) + r"[ \t]*")
_WORDS = re.compile(r"[ \t]*(process local APIC physical ID|initial APIC ID|x2APIC ID of logical processor|"
                    r"extended APIC ID)[ \t]*=[ \t]*(0x[0-9A-Fa-f]{1,8}|\d{1,10})\b.*")
_SHORT = ("process local APIC physical ID", "initial APIC ID")
_LEAVES = (1, 0xB, 0x1F)


@dataclass(slots=True)
class _Seen:
    """What the lines of one CPU have said so far. wides: the ID of leaf 0xB and that of leaf 0x1F."""

    number: int
    line: int
    column: int
    short: int = -1
    wides: dict[int, int] = field(default_factory=dict)
    shifts: dict[int, list[int]] = field(default_factory=lambda: {0xB: [], 0x1F: []})

    @property
    def wide(self) -> int:
        """The 32-bit ID, -1 for none."""
        return self.wides.get(0xB, self.wides.get(0x1F, -1))

    @property
    def apic_id(self) -> int:
        """The ID that counts, -1 for none."""
        return self.wide if self.wide >= 0 else self.short


def load(path: str | os.PathLike[str]) -> tuple[Cpu, ...]:
    """The CPUs in a file. CpuidError with line and column when there are none."""
    return parse(read_file(path, CpuidError, MAX_CHARACTERS), os.fspath(path))


def parse(text: str, file: str = "cpuid") -> tuple[Cpu, ...]:
    """The CPUs of a text, in its order; a heading may come again and go on with its CPU.

    CpuidError: no CPU has an ID, or the text is too long. What else is wrong is a remark of `read`.
    """
    if len(text) > MAX_CHARACTERS:
        raise CpuidError(file, 1, 1, f"found {len(text)} characters; allowed: up to {MAX_CHARACTERS}")
    found = read(lines_of(text, file)[0])
    if not found.records:
        place, why = (1, 1), "found no CPU; expected lines such as 'CPU 0:' or 'Logical CPU #0'"
        if found.remarks:
            place, why = (found.remarks[0].line, found.remarks[0].column), found.remarks[0].text
        raise CpuidError(file, *place, why)
    return found.records


def read(lines: Sequence[Line]) -> Reading:
    """The CPUs of a text, as `Cpu`; remarks: those without an ID or with another's, leaves that disagree."""
    reader = _Reader(lines[0].file if lines else "text")
    for line in lines:
        reader.take(line)
    return reader.result()


class _Reader:
    """The state between two lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.cpus: dict[int, _Seen] = {}
        self.cpu: _Seen | None = None
        self.remarks: list[Remark] = []

    def remark(self, line: int, column: int, text: str) -> None:
        self.remarks.append(Remark(self.file, line, column, text))

    def take(self, line: Line) -> None:
        text = line.text
        if "CPU" in text and (heading := _HEADING.fullmatch(text)):
            number, column = int(heading[1]), heading.start(1) + 1
            if number not in self.cpus and len(self.cpus) >= MAX_CPUS:
                self.remark(line.number, column, f"found more than {MAX_CPUS} CPUs; allowed: up to {MAX_CPUS}")
                self.cpu = None
                return
            self.cpu = self.cpus.setdefault(number, _Seen(number, line.number, column))
        elif text.strip() == "CPU:":
            self.cpu = None
            self.remark(line.number, text.index("CPU") + 1, "left out: one CPU, and not which (cpuid -1); cpuid -r "
                                                            "prints all")
        elif self.cpu:
            self.leaf(line, self.cpu)

    def leaf(self, line: Line, cpu: _Seen) -> None:
        """One line below a heading; what is none of the leaves is passed over."""
        text = line.text
        if "APIC" in text and (words := _WORDS.fullmatch(text)):
            value, leaf = int(words[2], 0), 1 if words[1] in _SHORT else 0xB
            return self.identity(line, words.start(2) + 1, cpu, leaf, value if leaf != 1 else value & 0xFF)
        match, form, at = _DUMPED.fullmatch(text), _VALUES, 2
        if match is None:
            match, form, at = _RAW.fullmatch(text), _NAMED, 3
        if match is None or (leaf := int(match[1], 16)) not in _LEAVES:
            return None
        column, values = match.start(at) + 1, form.fullmatch(match[at])
        if values is None:
            self.remark(line.number, column, f"found {shown(match[at])}; expected the four registers of a leaf")
            return None
        eax, ebx, _, edx = (int(value, 16) for value in values.groups())
        if leaf == 1:
            return self.identity(line, column, cpu, 1, get(ebx, LEAF_1_EBX.apic_id))
        if not ebx and (cpu.shifts[leaf] or (not edx and cpu.short > 0)):  # no such level; no such leaf
            return None
        if edx != NOBODY:
            self.identity(line, column, cpu, leaf, edx)
            cpu.shifts[leaf].append(get(eax, LEAF_B_EAX.shift))
        elif leaf == 0xB:
            self.remark(line.number, column, "leaf 0xb reads as ones: nobody's ID")
        return None

    def identity(self, line: Line, column: int, cpu: _Seen, leaf: int, value: int) -> None:
        """An ID that a leaf gives; the first counts."""
        name = {1: "leaf 1", 0xB: "leaf 0xb", 0x1F: "leaf 0x1f"}[leaf]
        known = cpu.short if leaf == 1 else cpu.wides.get(leaf, -1)
        if known not in (-1, value):
            self.remark(line.number, column, f"{name} gives the ID {value:#x}, and {known:#x} before")
            return
        if leaf == 1:
            cpu.short = value
        else:
            cpu.wides[leaf] = value
        if known < 0 <= cpu.short and cpu.wide >= 0 and cpu.wide & LEAF_1_EBX.apic_id.limit != cpu.short:
            self.remark(line.number, column, f"leaf 1 gives the ID {cpu.short:#x}, leaf 0xb {cpu.wide:#x}; "
                                             "the first is the low 8 bits of the second")

    def result(self) -> Reading:
        """The CPUs that have an ID of their own."""
        found: dict[int, _Seen] = {}
        for cpu in self.cpus.values():
            if cpu.apic_id < 0:
                self.remark(cpu.line, cpu.column, f"CPU {cpu.number} has neither leaf 0xb nor leaf 1; expected one of "
                                                  "them")
                continue
            other = found.setdefault(cpu.apic_id, cpu)
            if other is not cpu:
                self.remark(cpu.line, cpu.column,
                            f"CPU {cpu.number} has APIC ID {cpu.apic_id:#x}, as CPU {other.number} has: left out")
        records = tuple(Cpu(one.number, apic_id, tuple(one.shifts[0xB] or one.shifts[0x1F]), self.file, one.line)
                        for apic_id, one in found.items())
        return Reading(records, few(self.remarks))
