"""Registers of the remapping units as Xen prints them (print_iommu_regs of xen/drivers/passthrough/vtd/utils.c).

Xen does so when a unit does not do what it is told, and with iommu=debug. The records are those of `regset`, which
reads the same from Linux; a unit has no name here. Xen 3.3 to 4.1 (the copies that were read) put the function before
every row and called a register DMAR_CAP_REG. The first fault record is printed too, in two halves: one that is in use
is a `linux_faults.Fault`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import OFFSET
from vsim.readers.linux_faults import Fault, of_record
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.regset import MAX_REGISTERS, MAX_UNITS, Register, Unit
from vsim.readers.xen_lines import body, column

_HEAD = re.compile(r"-{2,8} print_iommu_regs -{2,8}")
_BASE = re.compile(r"(?:print_iommu_regs: )?drhd->address = ([0-9a-f]{1,16})")
_REGISTER = re.compile(r"(?:print_iommu_regs: DMAR_)?([A-Z]{2,8})(?:_REG)? = ([0-9a-f]{1,16})")
_RECORD = re.compile(r"(?:print_iommu_regs: )?fault_recording_reg_([lh]) = ([0-9a-f]{1,16})")


def read(lines: Sequence[Line]) -> Reading:
    """A `regset.Unit` for each block, in the order of the text, and behind it the fault that it holds."""
    records: list[Unit | Fault] = []
    remarks: list[Remark] = []
    unit: Unit | None = None
    low = 0
    for line in lines:
        if "=" not in line.text and "print_iommu_regs" not in line.text:
            continue
        said = body(line.text)
        if _HEAD.fullmatch(said):
            if sum(isinstance(each, Unit) for each in records) == MAX_UNITS:
                remarks.append(Remark(line.file, line.number, column(line), f"left out: all behind {MAX_UNITS} units"))
                break
            at, low = len(records), 0
            unit = Unit(line.file, line.number, "", None)
            records.append(unit)
        elif unit is None:
            continue
        elif match := _BASE.fullmatch(said):
            records[at] = unit = Unit(unit.file, unit.line, "", int(match[1], 16), unit.registers)
        elif match := _RECORD.fullmatch(said):
            if match[1] == "l":
                low = int(match[2], 16)
            elif get(int(match[2], 16) << 64 | low, FRCD.f) and len(records) == at + 1 and not _ones(match[2]):
                records.append(of_record(int(match[2], 16), low, line.file, line.number))
        elif len(unit.registers) < MAX_REGISTERS and (match := _REGISTER.fullmatch(said)) and match[1] in OFFSET:
            register = Register(line.number, match[1], OFFSET[match[1]], int(match[2], 16))
            records[at] = unit = Unit(unit.file, unit.line, "", unit.base, (*unit.registers, register))
    return Reading(tuple(records), few(remarks))


def _ones(text: str) -> bool:
    """Whether a half is all ones, which nobody wrote: no unit answers."""
    return text == "f" * 16
