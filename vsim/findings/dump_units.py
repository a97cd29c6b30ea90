"""Linux's dumps of the remapping units: `ir_translation_struct` and `iommu_regset` of /sys/kernel/debug/iommu/intel.

The forms are those of Linux 6.12 (drivers/iommu/intel/debugfs.c); `readers/ir_table` and `readers/regset` read them.
"""

from __future__ import annotations

from collections.abc import Callable

from vsim.findings.subject import Subject, Unit
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IRTE, IRTE_POSTED
from vsim.layouts.registers import CAP, ECAP
from vsim.machine import read, remapping_on

_PDA_LOW = 6                # bits of the descriptor's address that no entry holds (VT-d 9.10)
_HEAD = " Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low"
_POSTED_HEAD = " Entry SrcID   PDA_high PDA_low  Vct IRTE_high\t\tIRTE_low"

_SMALL = {"VER": 0x00, "GCMD": 0x18, "GSTS": 0x1C, "FSTS": 0x34, "FECTL": 0x38, "FEDATA": 0x3C, "FEADDR": 0x40,
          "FEUADDR": 0x44, "PMEN": 0x64, "PLMBASE": 0x68, "PLMLIMIT": 0x6C, "ICS": 0x9C, "PRS": 0xDC, "PECTL": 0xE0,
          "PEDATA": 0xE4, "PEADDR": 0xE8, "PEUADDR": 0xEC}
_FIXED = ("64K_00000", "16K_80000", "16K_A0000", "4K_C0000", "4K_C8000", "4K_D0000", "4K_D8000", "4K_E0000",
          "4K_E8000", "4K_F0000", "4K_F8000")
_LARGE = {"CAP": 0x08, "ECAP": 0x10, "RTADDR": 0x20, "CCMD": 0x28, "AFLOG": 0x58, "PHMBASE": 0x70, "PHMLIMIT": 0x78,
          "IQH": 0x80, "IQT": 0x88, "IQA": 0x90, "IRTA": 0xB8, "PQH": 0xC0, "PQT": 0xC8, "PQA": 0xD0, "MTRRCAP": 0x100,
          "MTRRDEF": 0x108, **{f"MTRR_FIX{name}": 0x120 + 8 * place for place, name in enumerate(_FIXED)},
          **{f"MTRR_PHYS{name}{n}": 0x180 + 16 * n + at for n in range(10) for name, at in (("BASE", 0), ("MASK", 8))}}
REGISTERS = tuple((name, offset, width) for table, width in ((_SMALL, 4), (_LARGE, 8))
                  for name, offset in table.items())
"""What Linux reads of a unit, in its order: (name, offset, width in bytes)."""


def ir_translation_struct(subject: Subject) -> str:
    """The present entries of every unit's table, the remapped ones first, then the posted ones of units that post."""
    remapped = [_table(unit, "Remapped", _HEAD, _remapped_row) for unit in subject.units
                if unit.register("ECAP") & ECAP.ir.mask]
    posted = [_table(unit, "Posted", _POSTED_HEAD, _posted_row) for unit in subject.units
              if unit.register("CAP") & CAP.pi.mask]
    return "".join((*remapped, "****\n\n", *posted))


def _table(unit: Unit, kind: str, head: str, row: Callable[[int, int], str]) -> str:
    lines = [f"{kind} Interrupt supported on IOMMU: {unit.name}"]
    if remapping_on(unit.machine, unit.number):
        lines += [f" IR table address:{unit.table:x}", head]
        lines += [row(index, word) for index, word in unit.entries()
                  if get(word, IRTE.im) == int(kind == "Posted")]
    else:
        lines.append("Interrupt Remapping is not enabled")
    return "\n".join((*lines, "", ""))


def _remapped_row(index: int, word: int) -> str:
    return f"{_begin(index, word)}{get(word, IRTE.dst):08x} {_end(word)}"


def _posted_row(index: int, word: int) -> str:
    pda = get(word, IRTE_POSTED.pda) << _PDA_LOW
    return f"{_begin(index, word)}{pda >> 32:08x} {pda & 0xFFFFFFFF:08x} {_end(word)}"


def _begin(index: int, word: int) -> str:
    return f" {index:<5} {bdf_text(get(word, IRTE.sid))} "


def _end(word: int) -> str:
    return f"{get(word, IRTE.vector):02x}  {word >> 64:016x}\t{word & (1 << 64) - 1:016x}"


def iommu_regset(subject: Subject) -> str:
    """The registers of every unit as a kernel reads them. What a unit does not have reads as its machine answers."""
    machine = subject.machine.copy()
    machine.events = None
    return "".join(f"IOMMU: {unit.name} Register Base Address: {unit.base:x}\nName\t\t\tOffset\t\tContents\n"
                   + "".join(f"{name:<16}\t0x{offset:02x}\t\t0x{read(machine, unit.base + offset, width):016x}\n"
                             for name, offset, width in REGISTERS) + "\n"
                   for unit in subject.units)
