"""The machine that a paste shows: units, processors, I/O APICs, functions, entries, interrupts, each with its lines.

Different texts know a unit by different names: Linux's number (dmar0) is in its log, its registers and its tables, the
register base in the log, the registers and the DMAR table. Here they come together. What no text says stays None. Of
several states of a table or an interrupt (a dump before, a dump after) the one of the last source counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vsim.domain.acpi import Dmar, Hpet, Madt
from vsim.findings.paste import Pasted
from vsim.layouts.bits import get
from vsim.layouts.registers import ECAP, GSTS, HPET_ID
from vsim.readers import (
    acpi_ivrs,
    acpi_madt,
    debugfs_irq,
    ir_table,
    linux_boot,
    linux_faults,
    lspci,
    qemu_monitor,
    vector_matrix,
    xen_boot,
    xen_irqs,
    xen_tables,
)
from vsim.readers.acpi_dmar import SCOPE_HPET, SCOPE_IOAPIC, Coverage
from vsim.readers.acpi_dmar import Unit as Drhd
from vsim.readers.linux_boot import ALL_ONES


class Side(NamedTuple):
    """One side of a finding: where it stands, and what stands there."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass
class Unit:
    """A remapping unit. name: Linux's or Xen's, "" where none is said; eime: 32-bit destinations; on: remapping.

    drhd: its structure in a DMAR table. sides: what each text says of it.
    """

    name: str = ""
    base: int | None = None
    cap: int | None = None
    ecap: int | None = None
    eime: bool | None = None
    on: bool | None = None
    size: int | None = None
    all: bool | None = None
    drhd: Drhd | None = None
    sides: dict[str, Side] = field(default_factory=dict)

    @property
    def dead(self) -> bool:
        """Whether its registers read as ones: nobody is there."""
        return ALL_ONES in (self.cap, self.ecap)

    @property
    def label(self) -> str:
        """Name and base, as far as they are known."""
        where = f"at {self.base:#x}" if self.base is not None else ""
        return f"{self.name or 'the unit'} {where}".strip()


@dataclass(frozen=True, slots=True)
class Entry:
    """A present entry of a unit's table."""

    unit: str
    index: int
    word: int
    posted: bool
    fields: dict[str, int]
    side: Side


class IoApic(NamedTuple):
    """An I/O APIC by the id that tables and logs give it. gsi: its first line; address: of its window; pins: how many.

    -1 for what no text says.
    """

    id: int
    gsi: int
    side: Side
    address: int = -1
    pins: int = -1


@dataclass(frozen=True, slots=True)
class Count:
    """How many processors a text counts."""

    what: str
    count: int
    side: Side


@dataclass
class Picture:
    """Everything that a paste shows. cpus: APIC IDs that some text gives to an enabled processor; by_number: APIC ID by
    the operating system's number; tables: units whose table was printed; requesters: ids of I/O APICs and HPETs by
    (kind, id), kinds "ioapic" and "hpet", -1 where a text has them without saying which; behind: register base of the
    unit that they are in the scope of; timers: how many the HPET has; irqs: place in `interrupts` by Linux's number.
    ivrs: AMD's units, which are told and not simulated."""

    pasted: Pasted
    units: list[Unit] = field(default_factory=list)
    cpus: dict[int, Side] = field(default_factory=dict)
    by_number: dict[int, int] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    ioapics: dict[int, IoApic] = field(default_factory=dict)
    requesters: dict[tuple[str, int], tuple[int, Side]] = field(default_factory=dict)
    behind: dict[tuple[str, int], int] = field(default_factory=dict)
    timers: int | None = None
    functions: lspci.Host | None = None
    functions_file: str = ""
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict)
    tables: dict[str, Side] = field(default_factory=dict)
    interrupts: list[debugfs_irq.Interrupt] = field(default_factory=list)
    irqs: dict[int, int] = field(default_factory=dict)
    matrices: list[vector_matrix.Matrix] = field(default_factory=list)
    faults: list[linux_faults.Fault] = field(default_factory=list)
    pins: list[xen_irqs.Pin | xen_irqs.Held | xen_tables.Pin] = field(default_factory=list)
    lapics: list[qemu_monitor.Lapic] = field(default_factory=list)
    dmar: tuple[Dmar, Side] | None = None
    madt: tuple[Madt, Side] | None = None
    ivrs: tuple[acpi_ivrs.Table, Side] | None = None
    modes: list[tuple[bool, Side]] = field(default_factory=list)

    @property
    def all_cpus(self) -> bool:
        """Whether `cpus` are all that there are: from the MADT, or from CPUID on each."""
        return bool(self.madt or self.pasted.of("cpuid"))

    def unit(self, name: str = "", base: int | None = None) -> Unit:
        """The unit of a name or a base, made when nothing was said of it before."""
        for each in self.units:
            if (name and each.name == name) or (base is not None and each.base == base):
                each.name, each.base = each.name or name, each.base if each.base is not None else base
                return each
        self.units.append(Unit(name, base))
        return self.units[-1]

    def named(self, name: str) -> Unit | None:
        """The unit of a name; of a text without names the only one."""
        if not name and len(self.units) == 1:
            return self.units[0]
        return next((each for each in self.units if each.name == name), None)

    def eime(self, name: str) -> bool | None:
        """Whether a unit's destinations have 32 bits: by IRTA, else by the mode in which the kernel enabled it."""
        unit = self.named(name)
        if unit is not None and unit.eime is not None:
            return unit.eime
        modes = {fact.value for fact in self.facts("remapping") if fact.value}
        return None if len(modes) != 1 else modes == {"x2apic"}

    def facts(self, name: str) -> Iterator[linux_boot.Fact]:
        """What a log says in words."""
        for record in self.pasted.of("linux boot", "xen boot"):
            if isinstance(record, linux_boot.Fact) and record.name == name:
                yield record

    def requesters_of(self, rid: int, segment: int = 0) -> set[int]:
        """The ids that belong to a function: its own, and those of bridges above it that stand for it (V 9)."""
        return {rid} | self.aliases_of(rid, segment)

    def aliases_of(self, rid: int, segment: int = 0) -> set[int]:
        """The ids that bridges above a function put in the place of its own; none below PCI Express ports alone."""
        found, host = set[int](), self.functions
        below = rid
        while host and (above := host.bridge_above(below, segment)):
            assert above.bridge
            if above.pcie_type == lspci.PCIE_TO_PCI:
                found |= {above.bridge[1] << 8, above.bdf}
            elif above.pcie_type in (None, lspci.PCI_TO_PCIE):
                found.add(above.bdf)
            below = above.bdf
        return found

    def coverage(self, segment: int) -> Coverage | None:
        """Which unit of the DMAR table covers whom."""
        if self.dmar is None:
            return None
        functions = self.functions.functions if self.functions else ()
        bridges = {f.bdf: (f.bridge[1], f.bridge[2]) for f in functions if f.bridge and f.segment == segment}
        return Coverage(self.dmar[0].units, bridges, segment)


def see(pasted: Pasted) -> Picture:
    """The machine that a paste shows."""
    picture = Picture(pasted)
    for record in pasted.of("tables"):
        if isinstance(record.table, Dmar) and picture.dmar is None:
            _dmar(picture, record)
        elif isinstance(record.table, Madt) and picture.madt is None:
            _madt(picture, record)
        elif isinstance(record.table, acpi_ivrs.Table) and picture.ivrs is None:
            _ivrs(picture, record)
        elif isinstance(record.table, Hpet):
            _timers(picture, record.table.timers)
    _functions(picture)
    for name, take in _TAKERS.items():
        for record in pasted.of(name):
            take(picture, record)
    _linux_units(picture)
    return picture


def _dmar(p: Picture, record: Any) -> None:
    table, side = record.table, Side(record.file, record.line, "the DMAR table")
    p.dmar = table, side
    for number, drhd in enumerate(table.units):
        unit = p.unit(base=drhd.base)
        unit.drhd, unit.all = drhd, drhd.everything
        unit.sides["table"] = side._replace(text=f"unit {number} of the DMAR table is at {drhd.base:#x}")
        for scope in drhd.scopes:
            kind = {SCOPE_IOAPIC: "ioapic", SCOPE_HPET: "hpet"}.get(scope["type"])
            if kind:
                text = f"the scope of {kind} {scope['enumeration']} in unit {number} of the DMAR table"
                p.requesters.setdefault((kind, scope["enumeration"]), (scope.source, side._replace(text=text)))
                p.behind.setdefault((kind, scope["enumeration"]), drhd.base)


def _madt(p: Picture, record: Any) -> None:
    table, side = record.table, Side(record.file, record.line, "the MADT")
    p.madt = table, side
    ids = list(dict.fromkeys(table.apic_ids))
    for apic_id in ids:
        p.cpus.setdefault(apic_id, side)
    p.counts.append(Count("the MADT", len(ids), side._replace(text=f"the MADT has {len(ids)} enabled processors")))
    for each in table.ioapics:
        _ioapic(p, IoApic(each["id"], each["gsi"], side._replace(
            text=f"the MADT has I/O APIC {each['id']} at {each['address']:#x}"), each["address"]))


def _ivrs(p: Picture, record: Any) -> None:
    """AMD's units: they stand beside, but the requester ids of I/O APICs and HPETs are the machine's."""
    side = Side(record.file, record.line, "the IVRS table")
    p.ivrs = record.table, side
    for unit in record.table.units:
        for each in unit.devices:
            kind = {1: "ioapic", 2: "hpet"}.get(each["variety"]) if each.layout is acpi_ivrs.ENTRY_SPECIAL else None
            if kind:
                p.requesters.setdefault((kind, each["handle"]), (each["alias"], side._replace(text=each.text)))


def _ioapic(p: Picture, said: IoApic) -> None:
    """An I/O APIC; what a text before said of it stays."""
    old = p.ioapics.setdefault(said.id, said)
    p.ioapics[said.id] = old._replace(**{name: value for name, value in said._asdict().items()
                                         if getattr(old, name) == -1})


def _cpuid(p: Picture, record: Any) -> None:
    side = Side(record.file, record.line, f"CPU {record.number} has APIC ID {record.apic_id:#x}")
    p.cpus.setdefault(record.apic_id, side)
    p.by_number.setdefault(record.number, record.apic_id)


def _functions(p: Picture) -> None:
    listed = [record for record in p.pasted.of("lspci") if record.machine == 0]
    if listed:
        p.functions = lspci.Host(lspci.together(record.function for record in listed))
        p.functions_file = listed[-1].file


def _registers(p: Picture, record: Any) -> None:
    if isinstance(record, linux_faults.Fault):      # which a fault line may have told as well
        if (record.rid, record.index, record.reason) not in {(each.rid, each.index, each.reason) for each in p.faults}:
            p.faults.append(record)
        return
    unit = p.unit(record.name, record.base)
    side = Side(record.file, record.line, f"the registers of {record.name or 'a unit'}")
    unit.cap, unit.ecap = record["CAP"], record["ECAP"]
    if record.dead:
        unit.sides["dead"] = side._replace(text=f"the registers of {record.name} read as ones")
        return
    if (irta := record.register("IRTA")) is not None:
        unit.eime, unit.size = record.eime, record.entries
        unit.sides["eime"] = Side(record.file, irta.line, f"IRTA is {irta.value:#x}: EIME={int(record.eime)}, "
                                                          f"{record.entries} entries")
    if (gsts := record.register("GSTS")) is not None:
        unit.on = bool(get(gsts.value, GSTS.ires))
        unit.sides["on"] = Side(record.file, gsts.line, f"GSTS is {gsts.value:#x}: IRES={int(unit.on)}")
        p.modes.append((unit.on, unit.sides["on"]))


def _table_row(p: Picture, record: Any) -> None:
    if isinstance(record, ir_table.Table):
        if record.enabled and not record.posted:
            _printed(p, record.unit, Side(record.file, record.line, f"the table of {record.unit}"))
        return
    fields = record.fields
    posted = bool(record.posted)
    name = record.unit if isinstance(record.unit, str) else f"xen iommu {record.unit}"
    text = (f"entry {record.index:#x}{f' of {name}' if name else ''}: vector {fields['vector']:#x}, "
            + ("posted, " if posted else f"destination {fields['dst']:#x}, ") + f"source id {fields['sid']:#06x}")
    side = Side(record.file, record.line, text)
    _printed(p, name, side)
    p.entries[name, record.index] = Entry(name, record.index, record.word, posted, fields, side)


def _printed(p: Picture, name: str, side: Side) -> None:
    """The table of a unit is printed; when another text had it before, what that said no longer counts."""
    if p.tables.setdefault(name, side).file != side.file:
        p.tables[name] = side
        for key in [key for key in p.entries if key[0] == name]:
            del p.entries[key]


def _interrupt(p: Picture, record: Any) -> None:
    """An interrupt; a later text that has it again is a later state."""
    place = p.irqs.get(record.irq, -1)
    if place >= 0 and p.interrupts[place].file != record.file:
        p.interrupts[place] = record
        return
    if record.irq >= 0:
        p.irqs.setdefault(record.irq, len(p.interrupts))
    p.interrupts.append(record)


def _xen_table(p: Picture, record: Any) -> None:
    if isinstance(record, xen_tables.Entry):
        _table_row(p, record)
    elif isinstance(record, xen_tables.Unit):
        named = [each.base for each in p.pasted.of("xen boot") if isinstance(each, xen_boot.Drhd)]
        base = named[record.number] if record.number < len(named) else None      # Xen counts in the table's order
        unit = p.unit(f"xen iommu {record.number}", base)
        unit.size = record.entries or None
        if record.remapping:
            unit.on = record.remapping == "enabled"
            unit.sides["on"] = Side(record.file, record.line, f"Xen's unit {record.number}: remapping "
                                                              f"{record.remapping}")
    else:
        p.pins.append(record)


def _xen_irq(p: Picture, record: Any) -> None:
    if isinstance(record, (xen_irqs.Pin, xen_irqs.Held)):
        p.pins.append(record)
    elif isinstance(record, xen_irqs.IoApic):
        side = Side(record.file, record.line, f"I/O APIC {record.number} is printed")
        _ioapic(p, IoApic(record.number, -1, side, pins=record.pins))


def _boot(p: Picture, record: Any) -> None:
    if isinstance(record, linux_boot.Unit):
        unit = p.unit(f"dmar{record.number}" if record.number is not None else "", record.base)
        unit.cap = record.cap if unit.cap is None else unit.cap
        unit.ecap = record.ecap if unit.ecap is None else unit.ecap
        unit.all = record.all if unit.all is None else unit.all
        unit.sides.setdefault("log", Side(record.file, record.line, f"Linux names a unit at {record.base:#x}"))
        if not record.answers:
            unit.sides["dead"] = Side(record.file, record.line, f"the unit at {record.base:#x} reads as ones")
    elif isinstance(record, linux_boot.IoApic):
        _logged(p, record, "Linux")
    elif isinstance(record, linux_boot.Under):
        p.behind.setdefault((record.kind, record.id), record.base)
    elif isinstance(record, linux_boot.Hpet):
        _timers(p, get(record.id, HPET_ID.last) + 1)
    elif isinstance(record, linux_boot.Cpu):
        _boot_cpu(p, record)
    elif isinstance(record, linux_boot.Fact):
        _boot_fact(p, record)


def _logged(p: Picture, record: linux_boot.IoApic, who: str) -> None:
    """An I/O APIC as a log has it: with its last line."""
    first, last = record.gsis
    side = Side(record.file, record.line, f"{who} found I/O APIC {record.id} at {record.address:#x}")
    _ioapic(p, IoApic(record.id, first, side, record.address, last - first + 1 if last >= first else -1))


def _timers(p: Picture, timers: int) -> None:
    p.timers = timers if p.timers is None else p.timers


def _boot_cpu(p: Picture, record: linux_boot.Cpu) -> None:
    if record.enabled and record.apic_id not in acpi_madt.NOBODY.values():
        side = Side(record.file, record.line, f"a processor has APIC ID {record.apic_id:#x}")
        p.cpus.setdefault(record.apic_id, side)
    if record.number >= 0:
        p.by_number.setdefault(record.number, record.apic_id)


def _boot_fact(p: Picture, record: linux_boot.Fact) -> None:
    if record.name in ("remapping", "remapping failed", "remapping left out"):
        text = "Linux says that it remaps interrupts" if record.name == "remapping" else \
            "Linux says that it does not remap interrupts"
        p.modes.append((record.name == "remapping", Side(record.file, record.line, text)))
    if record.name == "hpet timers":
        _timers(p, int(record.value))
    if record.name in ("cpus up", "cpus activated"):
        p.counts.append(Count("Linux's log", int(record.value), Side(record.file, record.line,
                                                                     f"{record.value} processors are up")))


def _xen_boot(p: Picture, record: Any) -> None:
    if isinstance(record, xen_boot.Drhd):
        unit = p.unit(base=record.base)
        unit.cap, unit.ecap, unit.all = record.cap, record.ecap, record.all
        unit.sides.setdefault("log", Side(record.file, record.line, f"Xen names a unit at {record.base:#x}"))
        if not record.answers:
            unit.sides["dead"] = Side(record.file, record.line, f"the unit at {record.base:#x} reads as ones")
        _xen_scopes(p, record)
    elif isinstance(record, linux_boot.IoApic):
        _logged(p, record, "Xen")
    elif isinstance(record, linux_boot.Hpet):
        _timers(p, get(record.id, HPET_ID.last) + 1)
    elif isinstance(record, xen_boot.Feature) and record.name == "Interrupt Remapping":
        p.modes.append((record.on, Side(record.file, record.line,
                                        f"Xen says that interrupt remapping is {'on' if record.on else 'off'}")))
    elif isinstance(record, linux_boot.Fact) and record.name == "dmar refused":
        p.modes.append((False, Side(record.file, record.line, "Xen does not take the DMAR table: VT-d is off")))
    elif isinstance(record, xen_boot.Cpu) and record.enabled and \
            record.apic_id != acpi_madt.NOBODY[9 if record.x2apic else 0]:
        p.cpus.setdefault(record.apic_id, Side(record.file, record.line, f"a processor has ID {record.apic_id:#x}"))


def _xen_scopes(p: Picture, drhd: xen_boot.Drhd) -> None:
    """I/O APICs and HPETs behind a unit. Xen does not print their ids: the only HPET is 0, an I/O APIC is any."""
    for scope in drhd.scopes:
        if scope.kind in ("ioapic", "hpet") and scope.segment == 0:
            side = Side(scope.file, scope.line, f"the scope of an {scope.kind} in Xen's unit at {drhd.base:#x}")
            key = scope.kind, 0 if scope.kind == "hpet" else -1
            p.requesters.setdefault(key, (scope.rid, side))
            p.behind.setdefault(key, drhd.base)


def _vectors(p: Picture, record: Any) -> None:
    """The vectors of a machine; those of a later text replace those before."""
    if isinstance(record, vector_matrix.Matrix):
        p.matrices = [*(each for each in p.matrices if each.file == record.file), record]


def _heading(p: Picture, record: Any) -> None:
    if hasattr(record, "label"):
        return
    rows = [row for row in p.pasted.of("linux counts") if hasattr(row, "label") and row.cpus == record.cpus]
    if rows and not any(row.chip or row.names for row in rows):     # its right side was cut off, and CPUs with it
        return
    side = Side(record.file, record.line, f"/proc/interrupts has columns for {len(record.cpus)} CPUs")
    if not any(each.side.file == record.file and each.what == "/proc/interrupts" for each in p.counts):
        p.counts.append(Count("/proc/interrupts", len(record.cpus), side))


def _linux_units(p: Picture) -> None:
    """What a unit can do, by the name that tables use; names that only interrupts have."""
    for interrupt in p.interrupts:
        if interrupt.unit is not None:
            p.unit(f"dmar{interrupt.unit}")
    if cpus := p.pasted.of("cpuid"):
        side = Side(cpus[0].file, cpus[0].line, f"CPUID was read on {len(cpus)} CPUs")
        p.counts.append(Count("CPUID", len(cpus), side))


def eim(unit: Unit) -> bool | None:
    """Whether a unit could have 32-bit destinations (ECAP.EIM); that does not say that it has."""
    return None if unit.ecap is None else bool(get(unit.ecap, ECAP.eim))


# Fault lines come before registers, which may hold the record of one that a line has told.
_TAKERS: dict[str, Callable[[Picture, Any], None]] = {
    "linux faults": lambda p, record: p.faults.append(record) if isinstance(record, linux_faults.Fault) else None,
    "xen faults": lambda p, record: p.faults.append(record) if isinstance(record, linux_faults.Fault) else None,
    "cpuid": _cpuid, "linux boot": _boot, "xen boot": _xen_boot, "linux registers": _registers,
    "xen registers": _registers,
    "linux entries": _table_row, "xen entries": _xen_table, "linux counts": _heading,
    "linux interrupts": _interrupt, "linux vectors": _vectors,
    "xen interrupts": _xen_irq,
    "qemu monitor": lambda p, record: p.lapics.append(record) if isinstance(record, qemu_monitor.Lapic) else None,
}
