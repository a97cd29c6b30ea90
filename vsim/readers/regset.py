"""Registers of the remapping units: /sys/kernel/debug/iommu/intel/iommu_regset.

    for unit in read(lines).records:
        unit.base, unit["IRTA"], unit.field("IRTA", "eime"), unit.field("GSTS", "ires")

Linux prints every register with 16 digits, whatever its width; names and offsets are checked against the layouts.
The list of registers differs from version to version (drivers/iommu/intel/debugfs.c); what is not there is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsim.layouts.bits import Layout, get
from vsim.layouts.registers import UNIT
from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_UNITS = 4096
"""Most units of one reading."""
MAX_REGISTERS = 256
"""Most registers of a unit."""

_KNOWN: dict[str, tuple[int, int, Layout | None]] = {name: (offset, width, layout)
                                                      for offset, width, name, layout in UNIT}


@dataclass(frozen=True, slots=True)
class Register:
    """One register as printed. offset, value: numbers; line: where it stood."""

    line: int
    name: str
    offset: int
    value: int


@dataclass(frozen=True, slots=True)
class Unit:
    """The registers of a unit. name: Linux's, "dmar0"; base: physical address of its page, None where it was cut."""

    file: str
    line: int
    name: str
    base: int | None
    registers: tuple[Register, ...] = ()

    def register(self, name: str) -> Register | None:
        """A register by its name, None where it was not printed."""
        return next((register for register in self.registers if register.name == name), None)

    def __getitem__(self, name: str) -> int | None:
        register = self.register(name)
        return register.value if register else None

    def field(self, name: str, field: str) -> int | None:
        """A field of a register by the names of the layouts, None where the register was not printed."""
        value, layout = self[name], _KNOWN[name][2]
        return None if value is None or layout is None else int(get(value, getattr(layout, field)))

    @property
    def dead(self) -> bool:
        """Whether all ones were read: no unit answers there."""
        words = [self[name] for name in ("CAP", "ECAP")]
        return words == [(1 << 64) - 1] * 2

    @property
    def eime(self) -> bool | None:
        """Whether destinations have 32 bits: EIME of IRTA (not EIM of ECAP, which says that they could)."""
        eime = self.field("IRTA", "eime")
        return None if eime is None else bool(eime)

    @property
    def entries(self) -> int | None:
        """Entries of the remapping table: 2^(S+1)."""
        size = self.field("IRTA", "s")
        return None if size is None else 2 << size


DIGITS = 16
"""Digits of a register as Linux prints it; a row with fewer below one that has them was cut."""
_HEAD = re.compile(r"IOMMU: *(\S{1,40}) +Register Base Address: *(?:0x)?([0-9a-fA-F]{1,16})\b")
_ROW = re.compile(r"([A-Z][A-Z0-9_]{1,31})\s+(0x[0-9a-fA-F]{1,4})\s+(0x[0-9a-fA-F]{1,16})\s*")
_CUT = re.compile(r"([A-Z][A-Z0-9_]{1,31})\s+(0x[0-9a-fA-F]{1,4})\s*")


def read(lines: Sequence[Line]) -> Reading:
    """The units of a text, each with the registers below its heading. Without one the name is "" and the base None."""
    reader = _Reader()
    for line in lines:
        reader.take(line)
        if len(reader.records) >= MAX_UNITS:
            reader.tell(line, f"left out: all behind the first {MAX_UNITS} units")
            break
    reader.close()
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Unit] = []
        self.remarks: list[Remark] = []
        self.head: Unit | None = None
        self.registers: dict[str, Register] = {}
        self.digits = 0

    def tell(self, line: Line, text: str) -> None:
        """A remark about the first word of a line."""
        self.remarks.append(Remark(line.file, line.number, len(line.text) - len(line.text.lstrip()) + 1, text))

    def close(self) -> None:
        """Give the unit that was begun."""
        head, registers = self.head, tuple(self.registers.values())
        self.head, self.registers, self.digits = None, {}, 0
        if head and not registers:
            self.tell(Line(head.file, head.line, ""), f"left out: no registers below the heading of {head.name}")
        elif head:
            unit = Unit(head.file, head.line, head.name, head.base, registers)
            if unit.dead:
                line = Line(head.file, head.line, "")
                self.tell(line, f"{unit.name or 'a unit'} reads all ones: no unit answers there")
            self.records.append(unit)

    def take(self, line: Line) -> None:
        """Read one line."""
        text = bare(line.text)
        if match := _HEAD.search(text):
            self.close()
            self.head = Unit(line.file, line.number, match[1], int(match[2], 16))
        elif match := _ROW.fullmatch(text):
            digits = len(match[3]) - 2
            if digits < self.digits == DIGITS:
                self.tell(line, f"left out: {match[1]} was cut: {digits} of {DIGITS} digits")
                return
            self.digits = digits
            self._register(line, Register(line.number, match[1], int(match[2], 16), int(match[3], 16)))
        elif self.head and (match := _CUT.fullmatch(text)):
            self.tell(line, f"left out: {match[1]} without a value")

    def _register(self, line: Line, register: Register) -> None:
        offset, width, _ = _KNOWN.get(register.name, (register.offset, 8, None))
        if self.head is None:
            if register.name not in _KNOWN or offset != register.offset:
                return  # a row of some other table
            self.head = Unit(line.file, line.number, "", None)
        if offset != register.offset:
            self.tell(line, f"{register.name} is printed at {register.offset:#x}; the specification has it at "
                            f"{offset:#x}")
        if register.value >> 8 * width:
            self.tell(line, f"{register.name} is {register.value:#x} and has {8 * width} bits")
        if register.name in self.registers:
            self.tell(line, f"left out: {register.name} again")
        elif len(self.registers) < MAX_REGISTERS:
            self.registers[register.name] = register
