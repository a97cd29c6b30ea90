"""APIC IDs of a real machine, out of a text of its CPUID leaves (SDM 11.4.6; A 3).

Two forms are read: that of `cpuid -r`

    CPU 0:
       0x00000001 0x00: eax=0x000c06f2 ebx=0x00800800 ecx=0x7ffefbff edx=0xbfebfbff
       0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000000

and that of instruction-latency dumps, "Logical CPU #0" with "CPUID 0000000B: 00000001-00000002-00000100-00000000
[SL 00]". Leaf 0xB gives the x2APIC ID in EDX, leaf 1 its low 8 bits in EBX[31:24]; other leaves are passed over. A text
is data: nothing in it is run, and its size is bounded.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from itertools import pairwise

from vsim.layouts.bits import Field, Layout, get
from vsim.readers.source import Source, TextError, read, shown

MAX_CHARACTERS = 16 << 20
"""Longest text; also the largest file, in bytes."""
MAX_CPUS = 4096

LEAF_1_EBX = Layout("CPUID 1 EBX", 32, "SDM 11.4.6", Field("apic_id", 24, 8, "initial APIC ID, low 8 bits"),
                    Field("count", 16, 8, "most IDs of a package"), Field("line", 8, 8, "line size in 8 bytes"),
                    Field("brand", 0, 8, "brand index"))
LEAF_B_EAX = Layout("CPUID 0xB EAX", 32, "SDM 11.4.6", Field("rest", 5, 27, "reserved"),
                    Field("shift", 0, 5, "bits of the ID below the next level"))


class CpuidError(TextError):
    """A text that does not tell the APIC IDs of a machine."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """One logical CPU. number: as the operating system counts; apic_id: 32 bits; shifts: bits of the ID below each
    level of the topology (thread, core), in the order of the leaf.
    """

    number: int
    apic_id: int
    shifts: tuple[int, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What the lines of one CPU have said so far; `at`: the offset of its heading."""

    number: int
    at: int
    short: int = -1
    wide: int = -1
    shifts: list[int] = field(default_factory=list)

    @property
    def apic_id(self) -> int:
        """The ID that counts, -1 for none."""
        return self.wide if self.wide >= 0 else self.short


_HEADING = re.compile(r"[ \t]*(?:Logical[ \t]+CPU[ \t]*#|CPU[ \t]+)(\d{1,9})[ \t]*:?[ \t]*")
_DUMPED = re.compile(r"[ \t]*CPUID[ \t]+([0-9A-Fa-f]{8}):[ \t]*(\S*)[ \t]*(?:\[SL[ \t]+([0-9A-Fa-f]{1,8})\])?.*")
_RAW = re.compile(r"[ \t]*0x([0-9A-Fa-f]{8})[ \t]+0x([0-9A-Fa-f]{1,8}):[ \t]*(.*)")
_VALUES = re.compile(r"([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})-([0-9A-Fa-f]{8})")
_NAMED = re.compile("[ \t]+".join(rf"{name}=0x([0-9A-Fa-f]{{8}})" for name in ("eax", "ebx", "ecx", "edx")) + r"[ \t]*")


def load(path: str | os.PathLike[str]) -> tuple[Cpu, ...]:
    """The CPUs in a file. CpuidError with line and column for what is wrong."""
    return parse(read(path, CpuidError, MAX_CHARACTERS), os.fspath(path))


def parse(text: str, file: str = "cpuid") -> tuple[Cpu, ...]:
    """The CPUs of a text, in its order; a heading may come again and go on with its CPU.

    CpuidError: no CPU, one without an ID or with two, an ID that two CPUs have, a leaf that cannot be read.
    """
    source = Source(text, file, CpuidError, MAX_CHARACTERS)
    found: dict[int, _Seen] = {}
    for cpu in _cpus(source):
        if cpu.apic_id < 0:
            raise source.error(cpu.at, f"CPU {cpu.number} has neither leaf 0xb nor leaf 1; expected one of them")
        other = found.setdefault(cpu.apic_id, cpu)
        if other is not cpu:
            raise source.error(cpu.at, f"CPU {cpu.number} has APIC ID {cpu.apic_id:#x}, as CPU {other.number} has")
    if not found:
        raise source.error(0, "found no CPU; expected lines such as 'CPU 0:' or 'Logical CPU #0'")
    return tuple(Cpu(one.number, apic_id, tuple(one.shifts)) for apic_id, one in found.items())


def _cpus(source: Source) -> list[_Seen]:
    """The CPUs of a text with what its lines say of them."""
    cpus: dict[int, _Seen] = {}
    cpu: _Seen | None = None
    for start, end in pairwise((*source.starts, len(source.text) + 1)):
        line = source.text[start:end - 1].removesuffix("\r")
        if heading := _HEADING.fullmatch(line):
            number, at = int(heading[1]), start + heading.start(1)
            cpu = cpus.setdefault(number, _Seen(number, at))
            if len(cpus) > MAX_CPUS:
                raise source.error(at, f"found more than {MAX_CPUS} CPUs; allowed: up to {MAX_CPUS}")
        elif cpu:
            _leaf(source, start, line, cpu)
    return list(cpus.values())


def _leaf(source: Source, start: int, line: str, cpu: _Seen) -> None:
    """One line below a heading; what is no leaf 1 or 0xB is passed over."""
    match = _DUMPED.fullmatch(line)
    form, at = _VALUES, 2
    if match is None:
        match = _RAW.fullmatch(line)
        form, at = _NAMED, 3
    if match is None or int(match[1], 16) not in (1, 0xB):
        return
    values = form.fullmatch(match[at])
    if values is None:
        raise source.error(start + match.start(at), f"found {shown(match[at])}; expected the four registers of a leaf")
    eax, ebx, _, edx = (int(value, 16) for value in values.groups())
    if int(match[1], 16) == 1:
        short = get(ebx, LEAF_1_EBX.apic_id)
        if cpu.short not in (-1, short):
            raise source.error(start + match.start(at), f"leaf 1 gives the ID {short:#x}, and {cpu.short:#x} before")
        cpu.short = short
    elif ebx or not cpu.shifts:     # a level without processors ends the list
        if cpu.wide not in (-1, edx):
            raise source.error(start + match.start(at), f"leaf 0xb gives the ID {edx:#x}, and {cpu.wide:#x} before")
        cpu.wide = edx
        cpu.shifts.append(get(eax, LEAF_B_EAX.shift))
    if cpu.short >= 0 and cpu.wide >= 0 and cpu.wide & LEAF_1_EBX.apic_id.limit != cpu.short:
        raise source.error(start + match.start(at), f"leaf 1 gives the ID {cpu.short:#x}, leaf 0xb {cpu.wide:#x}; "
                           "the first is the low 8 bits of the second")
