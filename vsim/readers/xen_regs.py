"""Registers of the remapping units as Xen prints them (print_iommu_regs of xen/drivers/passthrough/vtd/utils.c).

Xen does so when a unit does not do what it is told, and with iommu=debug. The records are those of `regset`, which
reads the same from Linux; a unit has no name here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsim.layouts.registers import OFFSET
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.regset import MAX_REGISTERS, MAX_UNITS, Register, Unit
from vsim.readers.xen_lines import body, column

_HEAD = re.compile(r"-{2,8} print_iommu_regs -{2,8}")
_BASE = re.compile(r"drhd->address = ([0-9a-f]{1,16})")
_REGISTER = re.compile(r"([A-Z]{2,8}) = ([0-9a-f]{1,16})")


def read(lines: Sequence[Line]) -> Reading:
    """A `regset.Unit` for each block, in the order of the text."""
    units: list[Unit] = []
    remarks: list[Remark] = []
    registers: list[Register] | None = None
    for line in lines:
        if "=" not in line.text and "print_iommu_regs" not in line.text:
            continue
        said = body(line.text)
        if _HEAD.fullmatch(said):
            if len(units) == MAX_UNITS:
                remarks.append(Remark(line.file, line.number, column(line), f"left out: all behind {MAX_UNITS} units"))
                break
            registers = []
            units.append(Unit(line.file, line.number, "", None))
        elif registers is not None and (match := _BASE.fullmatch(said)):
            units[-1] = Unit(units[-1].file, units[-1].line, "", int(match[1], 16), units[-1].registers)
        elif (registers is not None and len(registers) < MAX_REGISTERS and (match := _REGISTER.fullmatch(said))
              and match[1] in OFFSET):
            registers.append(Register(line.number, match[1], OFFSET[match[1]], int(match[2], 16)))
            units[-1] = Unit(units[-1].file, units[-1].line, "", units[-1].base, tuple(registers))
    return Reading(tuple(units), few(remarks))
