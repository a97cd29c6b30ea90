"""What Linux says of units, I/O APICs, processors and modes while it boots, and of interrupts that nobody took.

    for record in read(lines).records: ...      # Unit, Under, IoApic, Override, Region, Hpet, Cpu, Fact

`FACTS` has a row for each thing that is said in words: whether interrupts are remapped and in which mode, what firmware
forbids, what is broken, how many processors are counted. Forms since 2.6.31 (drivers/iommu/intel/dmar.c, iommu.c,
irq_remapping.c; arch/x86/kernel/apic, acpi/boot.c, smpboot.c, irq.c). Lines may be wrapped; Xen's are left to
`xen_boot`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vsim.readers.logs import GAP, STAMP, Log
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import is_xen

MAX_RECORDS = 100_000
"""Most records of one form."""
ALL_ONES = (1 << 64) - 1
"""What a register reads where no unit answers."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A remapping unit. number: of its name dmar<n>; base: address of its registers; all: it takes every function that
    no other unit of its segment takes. None: the log does not say it."""

    file: str
    line: int
    base: int
    number: int | None = None
    all: bool | None = None
    version: tuple[int, int] | None = None
    cap: int | None = None
    ecap: int | None = None

    @property
    def answers(self) -> bool:
        """Whether a unit is there: registers that read all ones are nobody's."""
        return ALL_ONES not in (self.cap, self.ecap)


@dataclass(frozen=True, slots=True)
class Under:
    """Which unit an I/O APIC or HPET is behind. kind: "ioapic" or "hpet"; id: its own; base: the unit's."""

    file: str
    line: int
    kind: str
    id: int
    base: int
    unit: int | None = None


@dataclass(frozen=True, slots=True)
class IoApic:
    """An I/O APIC: its APIC ID, version register's low byte, address, and first and last interrupt line (GSI)."""

    file: str
    line: int
    id: int
    version: int
    address: int
    gsis: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Override:
    """An ISA interrupt that comes to another line (GSI). polarity, trigger: "dfl" is the bus's own."""

    file: str
    line: int
    irq: int
    gsi: int
    polarity: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Region:
    """Memory that firmware keeps mapped for a device (RMRR); first and last address."""

    file: str
    line: int
    base: int
    end: int


@dataclass(frozen=True, slots=True)
class Hpet:
    """The HPET: its id word and address."""

    file: str
    line: int
    id: int
    address: int


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor's APIC ID. source: "madt", "madt x2apic", "srat" or "boot"; number: Linux's, -1 where not said."""

    file: str
    line: int
    apic_id: int
    source: str
    number: int = -1
    enabled: bool = True
    node: int = -1


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing said in words. name: of its row of FACTS; values: the words and numbers of the row's form."""

    file: str
    line: int
    name: str
    values: tuple[str, ...] = ()
    time: str = ""

    @property
    def value(self) -> str:
        """The first value, "" for none."""
        return self.values[0] if self.values else ""


FACTS: tuple[tuple[str, str, str], ...] = (
    ("kernel", r"Linux version (\S{1,60})", "the kernel"),
    ("option", r"\b((?:intremap|intel_iommu|iommu|x2apic_phys|nox2apic|noapic|nolapic|maxcpus|nr_cpus)"
     r"(?:=[\w,]{1,60})?)(?=[\s\"']|$)", "an option of its command line"),
    ("width", r"Host address width (\d{1,3})", "address width of the DMAR table"),
    ("remapping", r"Enabled (?:IRQ remapping|Interrupt-remapping)(?: in (x2apic|xapic) mode)?",
     "interrupts are remapped; the mode"),
    ("remapping failed", r"Failed to enable (?:irq|IRQ|Interrupt)[\x20-]remapping", "interrupts are not remapped"),
    ("remapping left out", r"(?:Not enabling interrupt remapping|This system BIOS has enabled interrupt remapping)",
     "interrupts are not remapped"),
    ("remapping was on", r"IRQ remapping was enabled on (\S{1,20}) but we are not in kdump mode",
     "an earlier kernel or firmware had switched it on"),
    ("table taken over", r"Copied IR table for (\S{1,20}) from previous kernel", "entries of the kernel before"),
    ("opt-out", r"(?:x2apic is disabled because BIOS sets x2apic opt out bit|Your BIOS is broken and requested that "
     r"x2apic be disabled)", "firmware's table forbids the x2APIC mode"),
    ("ioapic without a unit", r"ioapic (\d{1,3}) has no mapping iommu", "no unit has this I/O APIC in its scope"),
    ("no address", r"DMAR reported at address zero", "a unit of the table has no address"),
    ("dma", r"DMAR: (IOMMU enabled|IOMMU disabled)|Intel-IOMMU: (enabled|disabled)", "DMA is translated or not"),
    ("queue", r"(\S{1,20}): Using (Queued|Register based) invalidation", "how a unit's caches are emptied"),
    ("x2apic by firmware", r"x2apic: enabled by BIOS", "the firmware has switched to x2APIC mode"),
    ("x2apic", r"\b(Enabled x2apic|x2apic enabled|x2apic disabled|x2apic not enabled, IRQ remapping init failed|"
     r"(?:x2apic: )?IRQ remapping doesn['\u2019]t support X2APIC mode)", "the mode of the local APICs"),
    ("routing", r"(?:Setting APIC routing to|Switched APIC routing to:?) ([\w\x20]{1,30})", "Linux's APIC driver"),
    ("timer", r"\.\.TIMER: vector=0x([0-9A-Fa-f]{1,2}) apic1=(-?\d{1,3}) pin1=(-?\d{1,4})", "the pin of the timer"),
    ("hpet timers", r"hpet0: (\d{1,2}) comparators", "how many timers the HPET has"),
    ("cpus allowed", r"Allowing (\d{1,6}) (?:present )?CPUs,? (?:plus )?(\d{1,6}) hotplug CPUs",
     "processors that are there, and that may come"),
    ("cpus", r"nr_cpu_ids:(\d{1,6})", "numbers of processors"),
    ("cpus activated", r"Total of (\d{1,6}) processors activated", "processors that run"),
    ("cpus up", r"Brought up (?:\d{1,4} nodes?, )?(\d{1,6}) CPUs", "processors that run"),
    ("cpu offline", r"CPU (\d{1,6}) is now offline", "a processor was taken off"),
    ("apic id mismatch", r"CPU ?(\d{1,6}): APIC (?:ID|id) mismatch\. (CPUID|Firmware): (?:0x)?([0-9a-f]{1,8}) "
     r"APIC: (?:0x)?([0-9a-f]{1,8})", "CPU, who else tells its ID, the ID there, and in the APIC"),
    ("no handler", r"(?:do_IRQ|_?_?common_interrupt): (\d{1,6})\.(\d{1,3}) No irq handler for vector",
     "CPU and vector of an interrupt that no one waits for"),
    ("nobody cared", r"irq (\d{1,6}): nobody cared", "an interrupt that no handler took for its own"),
    ("lost", r"\bnvme (nvme\d{1,4}): I/O (?:tag )?\d{1,6} (?:\([0-9a-f]{1,8}\) )?QID (\d{1,6}) timeout, completion "
     r"polled|\b(ata\d{1,4}): lost interrupt \(Status 0x[0-9a-f]{1,4}\)|"
     r"\bmlx5_core (\S{7,16}): mlx5_cmd_eq_recover:\d{1,5}:\(pid \d{1,10}\): Recovered \d{1,6} EQEs on cmd_eq",
     "a driver found done what no interrupt had told it: device, and queue"),
    ("flags mismatch", r"genirq: Flags mismatch irq (\d{1,6})\. ([0-9a-f]{8}) \(([^()\n]{1,60})\) vs\. ?([0-9a-f]{8}) "
     r"\(([^()\n]{1,60})\)", "an interrupt that a driver asked for and another has: flags and name of both"),
    ("faults not told", r"DMAR: No free IRQ vectors|DRHD ([0-9a-fA-F]{1,16}): failed to enable fault, interrupt, ret "
     r"-?\d{1,6}", "a unit has no interrupt of its own: its faults are in no log"),
    ("vectors gone", r"irq (\d{1,6}): Affinity broken due to vector space exhaustion", "no vector was left"),
    ("spurious", r"[Ss]purious (?:APIC )?interrupt (?:\(vector 0x|through vector )([0-9a-f]{1,2})\)? on CPU#?(\d{1,6})",
     "vector and CPU of an interrupt that was none"),
    ("apic error", r"APIC error on CPU(\d{1,6}): ([0-9a-f]{2})(?:\(([0-9a-f]{2})\))?", "CPU, ESR before and after"))
"""What is said in words: name, form, meaning. A blank of a form is any gap, a line end included."""

_HEX = r"(?:0x)?([0-9a-fA-F]{1,16})"


def _unit(line: Line, m: re.Match[str]) -> Unit:
    return Unit(line.file, line.number, int(m[1], 16), all=bool(int(m[2], 16) & 1))


def _old_unit(line: Line, m: re.Match[str]) -> Unit:
    return Unit(line.file, line.number, int(m[2], 16), all=bool(int(m[1], 16) & 1))


def _words(line: Line, m: re.Match[str]) -> Unit:
    return Unit(line.file, line.number, int(m[1], 16), None, None, (int(m[2]), int(m[3])), int(m[4], 16), int(m[5], 16))


def _dead(line: Line, m: re.Match[str]) -> Unit:
    return Unit(line.file, line.number, int(m[1], 16), cap=ALL_ONES, ecap=ALL_ONES)


def _under(line: Line, m: re.Match[str]) -> Under:
    return Under(line.file, line.number, m[1].lower(), int(m[2]), int(m[3], 16), int(m[4]) if m[4] else None)


def _ioapic(line: Line, m: re.Match[str]) -> IoApic:
    return IoApic(line.file, line.number, int(m[1]), int(m[2]), int(m[3], 16), (int(m[4]), int(m[5])))


def _override(line: Line, m: re.Match[str]) -> Override:
    return Override(line.file, line.number, int(m[1]), int(m[2]), m[3], m[4])


def _region(line: Line, m: re.Match[str]) -> Region:
    return Region(line.file, line.number, int(m[1], 16), int(m[2], 16))


def _hpet(line: Line, m: re.Match[str]) -> Hpet:
    return Hpet(line.file, line.number, int(m[1], 16), int(m[2], 16))


def _lapic(line: Line, m: re.Match[str]) -> Cpu:
    return Cpu(line.file, line.number, int(m[1], 16), "madt", enabled=m[2] == "enabled")


def _x2apic(line: Line, m: re.Match[str]) -> Cpu:
    return Cpu(line.file, line.number, int(m[1], 16), "madt x2apic", enabled=m[2] == "enabled")


def _srat(line: Line, m: re.Match[str]) -> Cpu:
    return Cpu(line.file, line.number, int(m[1], 16), "srat", node=int(m[2]))


def _boot(line: Line, m: re.Match[str]) -> Cpu:
    return Cpu(line.file, line.number, int(m[3], 16), "boot", int(m[2]), node=int(m[1]))


FORMS: tuple[tuple[str, Callable[[Line, re.Match[str]], Any]], ...] = (
    (rf"DRHD base: {_HEX} flags: 0x([0-9a-fA-F]{{1,2}})\b", _unit),
    (rf"DRHD \(flags: 0x([0-9a-fA-F]{{1,8}})\) ?base: {_HEX}\b", _old_unit),
    (rf"reg_base_addr {_HEX} ver (\d{{1,3}}):(\d{{1,3}}) cap {_HEX} ecap {_HEX}\b", _words),
    (rf"DMAR reported at address {_HEX} returns all ones", _dead),
    (rf"\b(IOAPIC|HPET) id (\d{{1,3}}) under DRHD base {_HEX}(?: IOMMU (\d{{1,4}})(?![\d:]))?", _under),
    (rf"IOAPIC\[\d{{1,3}}\]: apic_id (\d{{1,3}}), version (\d{{1,3}}), address {_HEX}, GSI (\d{{1,5}})-(\d{{1,5}})",
     _ioapic),
    (r"INT_SRC_OVR \(bus 0 bus_irq (\d{1,3}) global_irq (\d{1,5}) (\w{1,5}) (\w{1,5})\)", _override),
    (rf"RMRR base: {_HEX} end: {_HEX}\b", _region),
    (rf"ACPI: HPET id: {_HEX} base: {_HEX}\b", _hpet),
    (r"LAPIC \(acpi_id\[0x[0-9a-f]{1,8}\] lapic_id\[0x([0-9a-f]{1,8})\] (enabled|disabled)\)", _lapic),
    (r"X2APIC \(apic_id\[0x([0-9a-f]{1,8})\] uid\[0x[0-9a-f]{1,8}\] (enabled|disabled)\)", _x2apic),
    (r"SRAT: PXM \d{1,6} -> APIC 0x([0-9a-f]{1,8}) -> Node (\d{1,6})", _srat),
    (r"Booting Node (\d{1,6}),? Processor (\d{1,6}) APIC 0x([0-9a-f]{1,8})", _boot))
"""Lines that are records of their own: form, and what it makes."""


def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(re.sub(r" \?| ", lambda m: f"(?:{GAP})?" if m[0] == " ?" else GAP, form), re.ASCII)


_FORMS = tuple((_compiled(form), make) for form, make in FORMS)
_FACTS = tuple((name, _compiled(form) if name != "option" else re.compile(form)) for name, form, _ in FACTS)
_ENDS = re.compile(rf"[ \t]*=?\n[ \t>|]*(?:{STAMP}[ \t]*)?")
_NAME = re.compile(r"(?:dmar|IOMMU )(\d{1,4}):\s*$")


def read(lines: Sequence[Line]) -> Reading:
    """All that a log says, in its order; what is told twice in the same words and time, once.

    A unit is one record, however many lines tell of it. One that reads all ones is told in a remark.
    """
    log = Log(lines)
    remarks: list[Remark] = []
    found: list[tuple[int, Any]] = []
    for pattern, make in _FORMS:
        for count, match in enumerate(pattern.finditer(log.text)):
            if count >= MAX_RECORDS:
                remarks.append(log.remark(match.start(), f"left out: all behind the first {MAX_RECORDS} of a form"))
                break
            line = log.line(match.start())
            if not is_xen(line.text):
                found.append((match.start(), _named(log, match, make(line, match))))
    for name, pattern in _FACTS:
        for count, match in enumerate(pattern.finditer(log.text)):
            if count >= MAX_RECORDS:
                remarks.append(log.remark(match.start(), f"left out: all behind the first {MAX_RECORDS} of {name}"))
                break
            line = log.line(match.start())
            if not is_xen(line.text) and (name != "option" or _commands(log, match.start())):
                values = tuple(_ENDS.sub(" ", value).strip() for value in match.groups() if value is not None)
                found.append((match.start(), Fact(line.file, line.number, name, values, log.time(match.start()))))
    found.sort(key=lambda pair: pair[0])
    records = _once(_joined(log, found, remarks))
    return Reading(records, few(sorted(remarks, key=lambda remark: (remark.file, remark.line))))


def _named(log: Log, match: re.Match[str], record: Any) -> Any:
    """A unit with the number of the name that stands before its words."""
    if isinstance(record, Unit) and record.cap is not None:
        name = _NAME.search(log.text[max(0, match.start() - 20):match.start()])
        return replace(record, number=int(name[1]) if name else None)
    return record


def _commands(log: Log, at: int) -> bool:
    """Whether the offset is in a line that gives a kernel's command line."""
    start = log.text.rfind("\n", 0, at) + 1
    return "ommand line" in log.text[start:at]


def _joined(log: Log, found: list[tuple[int, Any]], remarks: list[Remark]) -> list[Any]:
    """The records, those of one unit joined in the place of the first."""
    records: list[Any] = []
    places: dict[tuple[str, int], int] = {}
    for at, record in found:
        if not isinstance(record, Unit):
            records.append(record)
            continue
        if not record.answers:
            remarks.append(log.remark(at, f"the unit at {record.base:#x} reads all ones: no unit answers there"))
        key = record.file, record.base
        old = records[places[key]] if key in places else None
        if old is None:
            places[key] = len(records)
            records.append(record)
            continue
        for name in ("all", "cap", "ecap"):
            before, now = getattr(old, name), getattr(record, name)
            if None not in (before, now) and before != now:
                remarks.append(log.remark(at, f"{name} of the unit at {record.base:#x} is {now:#x} here and "
                                              f"{before:#x} in line {old.line}; the last counts"))
        later = {name: value for name in ("number", "all", "version", "cap", "ecap")
                 if (value := getattr(record, name)) is not None}
        records[places[key]] = replace(old, **later)
    return records


def _once(records: list[Any]) -> tuple[Any, ...]:
    """The records without those that say the same again: a fact at the same time, any other in the same words."""
    seen = set()
    kept = []
    for record in records:
        key: tuple[object, ...] = type(record), replace(record, line=0)
        if isinstance(record, Fact):
            key = record.file, record.name, record.values, record.time or record.line
        if key not in seen:
            seen.add(key)
            kept.append(record)
    return tuple(kept)
