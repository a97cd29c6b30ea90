"""The remapping units of a host: what each can do, and which device sits behind which (VT-d 8.3; V 8.1, 9).

    machine = host.load("dmar.bin", lspci="lspci.txt", log="dmesg.txt")
    machine.unit_of(0x0300), machine.why(0x0300)
    machine.differences()

A DMAR table tells where the units are and what they cover. It does not tell what they can do: CAP and ECAP are
registers, which a kernel prints when it boots. Bridges are in neither; the text of lspci has them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vsim.domain import acpi
from vsim.domain.host_features import Words
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.registers import CAP, ECAP
from vsim.readers import acpi_dmar, linux_boot, lspci, xen_boot
from vsim.readers.acpi_dmar import Coverage, Dmar, Unit
from vsim.readers.pieces import Remark, few, lines_of
from vsim.readers.source import TextError, read

MAX_CHARACTERS = 1 << 23
"""Longest log that is read (8 MiB)."""
MAX_UNITS = 256
"""Most units of a host."""


class HostError(TextError):
    """A log that tells of no units. Prints as `FILE:LINE:COLUMN: message`."""


@dataclass(frozen=True)
class Host:
    """A host's units, in the order of its DMAR table. words: CAP and ECAP by register base; functions: from lspci.

    remarks: what was wrong with the files. dead: bases at which nobody answers, as a kernel's log tells.

    ValueError: more than `MAX_UNITS` units, two at one base, or CAP and ECAP that no hardware has.
    """

    units: tuple[Unit, ...]
    words: Mapping[int, Words] = field(default_factory=dict)
    functions: lspci.Host | None = None
    width: int = 39
    remarks: tuple[Remark, ...] = field(default=(), compare=False)
    dead: frozenset[int] = frozenset()
    _known: dict[int, Coverage] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check what the caller declared."""
        if not 1 <= len(self.units) <= MAX_UNITS:
            raise ValueError(f"a host has {len(self.units)} units; the limit is 1 to {MAX_UNITS}")
        bases = [unit.base for unit in self.units]
        for number, base in enumerate(bases):
            if base in bases[:number]:
                raise ValueError(f"unit {number} is at {base:#x}, as unit {bases.index(base)} is")
        for number, base in enumerate(bases):
            if base in self.words:
                self.words[base].check(f"unit {number} at {base:#x}")

    # --- who sits behind which ---

    def coverage(self, segment: int = 0) -> Coverage:
        """Who is behind which unit of a segment."""
        if segment not in self._known:
            functions = self.functions.functions if self.functions else ()
            bridges = {f.bdf: (f.bridge[1], f.bridge[2]) for f in functions if f.bridge and f.segment == segment}
            self._known[segment] = Coverage(self.units, bridges, segment)
        return self._known[segment]

    def unit_of(self, bdf: int, segment: int = 0) -> int:
        """Number of the unit that a function sits behind; -1 when none covers it."""
        return self.coverage(segment).unit_of(bdf)

    def why(self, bdf: int, segment: int = 0) -> str:
        """`unit_of` as a sentence, with what it rests on."""
        coverage = self.coverage(segment)
        named, unit = coverage.named(bdf), coverage.unit_of(bdf)
        if unit < 0:
            return f"No unit of segment {segment} covers {bdf_text(bdf)}."
        where = f"unit {unit} at {self.units[unit].base:#x}"
        if named >= 0:
            return f"{bdf_text(bdf)} is behind {where}, which names it or a bridge above it."
        unsure = len(coverage.unresolved)
        but = (f" This may be wrong: {unsure} scopes lead over bridges that are not known; the host's lspci has them."
               if unsure else "")
        return f"{bdf_text(bdf)} is behind {where}, which takes what no other unit names.{but}"

    # --- what the units can do ---

    def words_of(self, unit: int) -> Words:
        """CAP and ECAP of a unit. ValueError when they are not known: a DMAR table does not hold them."""
        base = self.units[unit].base
        if base in self.dead:
            raise ValueError(f"no unit answers at {base:#x}: its registers read as ones")
        if base not in self.words:
            raise ValueError(f"CAP and ECAP of unit {unit} at {base:#x} are not known: a DMAR table does not hold "
                             "them; declare them, or give a kernel's log")
        return self.words[base]

    def remaps(self) -> bool:
        """Whether Xen remaps interrupts on this host: every unit has queued invalidation and remapping (V 10.4).

        Never on a host with a unit that does not answer.
        """
        if any(unit.base in self.dead for unit in self.units):
            return False
        words = (self.words_of(unit) for unit in range(len(self.units)))
        return all(get(each.ecap, ECAP.qi) and get(each.ecap, ECAP.ir) for each in words)

    def differences(self) -> list[tuple[str, tuple[int, ...], str]]:
        """The fields in which the units differ: ("ECAP.eim", value of each unit, meaning). ValueError as above."""
        words = [self.words_of(unit) for unit in range(len(self.units))]
        rows = []
        for layout, values in ((CAP, [w.cap for w in words]), (ECAP, [w.ecap for w in words])):
            for place in layout:
                found = tuple(int(get(value, place)) for value in values)
                if len(set(found)) > 1:
                    rows.append((f"{layout.name}.{place.name}", found, place.doc))
        return rows

    def with_words(self, words: Mapping[int, Words | tuple[int, int]]) -> Host:
        """The same with more CAP and ECAP declared, by register base. ValueError for a base that no unit has."""
        for base in words:
            if base not in [unit.base for unit in self.units]:
                raise ValueError(f"no unit has its registers at {base:#x}")
        more = {base: Words(*pair) for base, pair in words.items()}
        return replace(self, words={**self.words, **more})


def declared(*units: tuple[int, Iterable[int], int, int], functions: lspci.Host | None = None) -> Host:
    """A host by hand: (register base, functions behind it, CAP, ECAP) of each unit; the last takes all others too."""
    made, words = [], {}
    for number, (base, behind, cap, ecap) in enumerate(units):
        scopes = [acpi_dmar.scope_of(acpi_dmar.SCOPE_ENDPOINT, bdf) for bdf in behind]
        made.append(acpi_dmar.unit(base, scopes, everything=number == len(units) - 1))
        words[base] = Words(cap, ecap)
    return Host(tuple(made), words, functions)


# --- files ---


def load(dmar: str | os.PathLike[str], lspci_text: str | os.PathLike[str] | None = None,
         log: str | os.PathLike[str] | None = None) -> Host:
    """A host from files: its DMAR table (binary, or text of acpidump), its lspci, a log of its kernel.

    AcpiError, LspciError or HostError for a mistake in one of them; ValueError when there is no DMAR among the tables.
    """
    file = os.fspath(dmar)
    found = acpi.load_all(dmar)
    tables = [table for table in found.tables if isinstance(table, Dmar)]
    if not tables:
        raise ValueError(f"{file}: no DMAR table among those in the file")
    remarks = list(found.remarks)
    units = _once(tables[0].units, file, remarks)
    functions = lspci.load(lspci_text) if lspci_text is not None else None
    words, dead = dict[int, Words](), frozenset[int]()
    if log is not None:
        words, dead, more = _registers(*_told(read(log, HostError, MAX_CHARACTERS), os.fspath(log)))
        remarks += more
    bases = {unit.base for unit in units}
    return Host(units, {base: pair for base, pair in words.items() if base in bases}, functions, tables[0].width,
                tuple(remarks), dead & bases)


def _once(units: Iterable[Unit], file: str, remarks: list[Remark]) -> tuple[Unit, ...]:
    """The units, one at a base that another has left out, as Linux does (dmar_find_dmaru)."""
    found: dict[int, Unit] = {}
    for number, unit in enumerate(units):
        if found.setdefault(unit.base, unit) is not unit:
            remarks.append(Remark(file, 1, 1, f"left out: unit {number} is at {unit.base:#x}, as another is"))
    return tuple(found.values())


def words_in(log: str) -> dict[int, Words]:
    """CAP and ECAP by register base, from the lines with which Linux or Xen names its units; the last line of a base
    counts. A base whose registers read as ones has no words: nobody is there.

    >>> words_in("DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2 ecap f050da") == {0xFED90000: (0xD2, 0xF050DA)}
    True
    """
    return _registers(*_told(log, "<text>"))[0]


def _told(log: str, file: str) -> tuple[list[linux_boot.Unit | xen_boot.Drhd], tuple[Remark, ...]]:
    """The units that a log names, each once; those of Xen where Linux names none. And what was odd."""
    lines, _ = lines_of(log[:MAX_CHARACTERS], file)
    found = linux_boot.read(lines)
    units: list[linux_boot.Unit | xen_boot.Drhd] = [each for each in found.records if isinstance(each, linux_boot.Unit)]
    if not units:
        found = xen_boot.read(lines)
        units = list({each.base: each for each in found.records if isinstance(each, xen_boot.Drhd)}.values())
    return units, found.remarks


def _registers(units: Sequence[linux_boot.Unit | xen_boot.Drhd], told: Sequence[Remark],
               ) -> tuple[dict[int, Words], frozenset[int], list[Remark]]:
    """Words by base, bases where nobody answers, and what was odd, with what was left out."""
    words: dict[int, Words] = {}
    remarks = list(told)
    for unit in units:
        if unit.cap is None or unit.ecap is None or not unit.answers:
            continue
        try:
            words[unit.base] = Words(unit.cap, unit.ecap).check(f"unit at {unit.base:#x}")
        except ValueError as error:
            remarks.append(Remark(unit.file, unit.line, 1, f"left out: {error}"))
    return words, frozenset(unit.base for unit in units if not unit.answers), list(few(remarks))


_KINDS = {"endpoint": acpi_dmar.SCOPE_ENDPOINT, "bridge": acpi_dmar.SCOPE_BRIDGE, "ioapic": acpi_dmar.SCOPE_IOAPIC,
          "hpet": acpi_dmar.SCOPE_HPET}


def _unit_of(told: linux_boot.Unit | xen_boot.Drhd) -> Unit:
    """A unit of a log. Linux's log does not tell its scopes; Xen's does, but for the numbers of I/O APICs and HPETs."""
    if isinstance(told, linux_boot.Unit):
        return acpi_dmar.unit(told.base, everything=bool(told.all))
    scopes = [acpi_dmar.scope_of(_KINDS[scope.kind], scope.rid) for scope in told.scopes]
    return acpi_dmar.unit(told.base, scopes, told.all, told.segment)


def from_log(log: str, file: str = "<text>") -> Host:
    """The units that a log of Linux or Xen names, with their CAP and ECAP; of Xen, which devices are behind them too.

    HostError when there is no such line, or the log is too long; ValueError for more than `MAX_UNITS`.
    """
    if len(log) > MAX_CHARACTERS:
        raise HostError(file, 1, 1, f"found {len(log)} characters; allowed: up to {MAX_CHARACTERS}")
    told, odd = _told(log, file)
    if not told:
        raise HostError(file, 1, 1, "found no line 'DRHD base: 0x... flags: 0x...' or 'dmaru->address = ...'; allowed: "
                                    "the log of a kernel or of Xen")
    words, dead, remarks = _registers(told, odd)
    return Host(tuple(map(_unit_of, told)), words, remarks=tuple(remarks), dead=dead)
