"""What Xen says of units, I/O APICs and processors while it boots (iommu=verbose or debug), and of vectors later on.

    for record in read(lines).records: ...      # Drhd, Scope, IoApic, Hpet, Cpu, Feature, Mode, Fact

The forms are those of xen/drivers/passthrough/vtd/dmar.c and iommu.c, and of Xen's ACPI and APIC code. Older versions
put the source file and its line behind the mark "[VT-D]", and name a function without its segment. The scopes of a unit
come after its address, "flags: INCLUDE_ALL" last. Some lines are a `Fact` as of Linux: "no handler", a vector that
nobody waits for (xen/arch/x86/irq.c, do_IRQ; Xen prints it in hexadecimal), and "apic error" (xen/arch/x86/apic.c,
error_interrupt). Others are Xen's alone: "no entry", a message whose entry is empty or beyond the table
(xen/drivers/passthrough/vtd/intremap.c), and "no pirq", a message of dom0 that Xen does not bind
(xen/arch/x86/hvm/vmsi.c, xen/drivers/vpci/msix.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vsim.layouts.bits import bdf_text
from vsim.readers.linux_boot import ALL_ONES, Fact, Hpet, IoApic
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column, is_xen


@dataclass(frozen=True, slots=True)
class Scope:
    """What sits behind a unit. kind: "endpoint", "bridge", "ioapic" or "hpet"; rid: its requester id, 16 bits.

    buses: of a bridge, from its secondary to its subordinate bus; else None.
    """

    file: str
    line: int
    kind: str
    segment: int
    rid: int
    buses: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """The function as text."""
        return f"{self.segment:04x}:{bdf_text(self.rid)}"


@dataclass(frozen=True, slots=True)
class Drhd:
    """A remapping unit. base: address of its registers; cap, ecap: None where they are not printed.

    all: it takes every function of its segment that no other unit takes. scopes: in the order of the text.
    """

    file: str
    line: int
    base: int
    cap: int | None = None
    ecap: int | None = None
    all: bool = False
    scopes: tuple[Scope, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether a unit is there: registers that read all ones are nobody's."""
        return ALL_ONES not in (self.cap, self.ecap)

    @property
    def segment(self) -> int:
        """The segment of its scopes; 0 without any."""
        return self.scopes[0].segment if self.scopes else 0


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor's entry of the MADT, as Xen prints it. x2apic: an entry of type 9."""

    file: str
    line: int
    apic_id: int
    enabled: bool
    x2apic: bool = False


@dataclass(frozen=True, slots=True)
class Feature:
    """What Xen switched on: "Interrupt Remapping", "Queued Invalidation", "Posted Interrupt", ... on: or not."""

    file: str
    line: int
    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class Mode:
    """How the APICs are driven: the driver's name ("x2apic_cluster", "x2apic_mixed", "default", ...)."""

    file: str
    line: int
    driver: str


MAX_IRQ = 1 << 16
"""Numbers of interrupts are below."""
_VTD = r"\[VT-D\](?:\w{1,12}\.c:\d{1,5}:)? *"
_PLACE = r"(?:([0-9a-f]{4}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])"
_HEX = r"(?:0x)?([0-9a-fA-F]{1,16})"


def _scope(line: Line, match: re.Match[str]) -> Scope:
    kind = {"IOAPIC": "ioapic", "MSI HPET": "hpet"}.get(match[1], match[1])
    bus, device, function = int(match[3], 16), int(match[4], 16) & 31, int(match[5])
    buses = (int(match[7], 16), int(match[8], 16)) if match[7] else None
    return Scope(line.file, line.number, kind, int(match[2] or "0", 16), bus << 8 | device << 3 | function, buses)


def _feature(line: Line, match: re.Match[str]) -> Feature:
    return Feature(line.file, line.number, match[1], not match[2])


FORMS: tuple[tuple[re.Pattern[str], Callable[[Line, re.Match[str]], Any]], ...] = (
    (re.compile(rf"{_VTD}dmaru->address = {_HEX}"), lambda line, m: Drhd(line.file, line.number, int(m[1], 16))),
    (re.compile(rf"{_VTD}drhd->address = {_HEX}(?: iommu->reg = .*)?"), lambda line, m: int(m[1], 16)),
    (re.compile(rf"{_VTD}cap = {_HEX} ecap = {_HEX}"), lambda line, m: (int(m[1], 16), int(m[2], 16))),
    (re.compile(rf"{_VTD}(endpoint|bridge|IOAPIC|MSI HPET): {_PLACE}"
                r"(?: start ?= ?([0-9a-f]{1,2}) sec ?= ?([0-9a-f]{1,2}) *sub ?= ?([0-9a-f]{1,2}))?"), _scope),
    (re.compile(rf"{_VTD}flags: INCLUDE_ALL"), lambda line, m: True),
    (re.compile(rf"{_VTD}found ACPI_DMAR_(\w{{1,10}}):?"), lambda line, m: m[1]),
    (re.compile(r"IOAPIC\[\d{1,3}\]: apic_id (\d{1,3}), version (\d{1,3}), address 0x([0-9a-f]{1,16}), "
                r"GSI (\d{1,5})-(\d{1,5})"),
     lambda line, m: IoApic(line.file, line.number, int(m[1]), int(m[2]), int(m[3], 16), (int(m[4]), int(m[5])))),
    (re.compile(r"ACPI: HPET id: 0x([0-9a-f]{1,8}) base: 0x([0-9a-f]{1,16})"),
     lambda line, m: Hpet(line.file, line.number, int(m[1], 16), int(m[2], 16))),
    (re.compile(r"ACPI: (X2APIC|LAPIC) \((?:apic_id|acpi_id)\[(\w{1,10})\] (?:uid|lapic_id)\[(\w{1,10})\] "
                r"(enabled|disabled)\)"), lambda line, m: _cpu(line, m)),
    (re.compile(r"(?:Intel VT-d|AMD-Vi:?) ([A-Z][A-Za-z0-9 ]{1,40}?) (not )?(?:enabled|supported)\.?"), _feature),
    (re.compile(r"(Interrupt remapping|I/O virtualisation) (?:enabled|(disabled))"), _feature),
    (re.compile(r"(?:Using APIC driver|Switched to APIC driver) (\w{1,30})\.?"),
     lambda line, m: Mode(line.file, line.number, m[1])),
    (re.compile(r"CPU(\d{1,4}|x): No irq handler for vector ([0-9a-f]{2}) \(IRQ (-?\d{1,10})(?:, \w{1,10})?\)"),
     lambda line, m: Fact(line.file, line.number, "no handler", (m[1], str(int(m[2], 16)), *_before(int(m[3]))))),
    (re.compile(r"WARNING: APIC ID 0x([0-9a-f]{1,8}) and/or ACPI ID 0x[0-9a-f]{1,8} beyond limit - processor ignored"),
     lambda line, m: Fact(line.file, line.number, "cpu ignored", (m[1],))),
    (re.compile(r"(?:\[VT-D\])?Failed to parse ACPI DMAR\. +Disabling VT-d\."),
     lambda line, m: Fact(line.file, line.number, "dmar refused")),
    (re.compile(r"(Not enabling x2APIC\b.{0,80}?)\.?"),
     lambda line, m: Fact(line.file, line.number, "x2apic", (m[1],))),
    (re.compile(r"APIC error on CPU(\d{1,4}): ([0-9a-f]{2})(?:\(([0-9a-f]{2})\))?(?:(?:, |\(XEN\)).*)?"),
     lambda line, m: Fact(line.file, line.number, "apic error", tuple(each for each in m.groups() if each))),
    (re.compile(rf"{_VTD}(?:\w{{1,40}}: )?(?:\S{{1,8}} )?index \((-?\d{{1,7}})\) "
                r"(has an empty entry|for remap table is invalid)[ !]*"),
     lambda line, m: Fact(line.file, line.number, "no entry", (m[1], m[2].split()[0]))),
    (re.compile(rf"(?:\w{{1,12}}\.c:\d{{1,5}}: ?)?(?:d\d{{1,5}}v\d{{1,4}} )?({_PLACE}): "
                r"(?:failed to map PIRQ|unable to enable entry \d{1,4}): (-\d{1,5})"),
     lambda line, m: Fact(line.file, line.number, "no pirq", (m[1], m[6]))),
)
"""Each form of a line, and what it says. A number is a unit's address, a pair its CAP and ECAP, True its flag."""

WARNINGS = ("Non-existent device", "DRHD is invalid", "ignoring DRHD", "Only one INCLUDE_ALL", "Unknown scope type",
            "Invalid device scope", "Invalid ACPI DMAR", "Disabling IOMMU", "IOMMU hardware", "all ones",
            "Interrupt Remapping hardware not found", "will not be enabled")
"""Words of the trouble that Xen reports; such a line is passed on as a remark."""
_HEAD = re.compile(r"\[VT-D\]|IOAPIC\[|ACPI: |Intel VT-d|AMD-Vi|Interrupt remapping|I/O virt|Using APIC|Switched to|"
                   r"CPU\w{1,4}: No irq|APIC error|WARNING: APIC|Failed to parse|Not enabling x2|"
                   r"\w{1,12}\.c:\d{1,5}:|d\d{1,5}v\d{1,4} |[0-9a-f]{4}:")


def _before(irq: int) -> tuple[str, ...]:
    """The interrupt that had a vector before, of which Xen prints the complement; () for none.

    None is INT_MIN, in old versions -1 (do_IRQ of xen/arch/x86/irq.c).
    """
    return (str(~irq),) if -MAX_IRQ < irq < -1 else ()


def _cpu(line: Line, match: re.Match[str]) -> Cpu:
    wide = match[1] == "X2APIC"
    text = match[2] if wide else match[3]
    digits = text[2:] if text[:2] == "0x" else text
    apic_id = int(digits, 16) if re.fullmatch(r"[0-9a-fA-F]{1,8}", digits) else 0
    return Cpu(line.file, line.number, apic_id, match[4] == "enabled", wide)


def read(lines: Sequence[Line]) -> Reading:
    """What Xen's boot log says; a unit has its scopes. Lines of dom0's kernel are none of Xen's."""
    reader = _Reader()
    for line in lines:
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        if is_xen(line.text):
            said = body(line.text)
            if _HEAD.match(said):
                reader.take(line, said)
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Any] = []
        self.remarks: list[Remark] = []
        self.unit = -1

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column(line), text))

    def take(self, line: Line, said: str) -> None:
        for pattern, make in FORMS:
            if match := pattern.fullmatch(said):
                self._add(line, make(line, match))
                return
        if any(words in said for words in WARNINGS):
            self.tell(line, f"Xen says: {said[:120]}")

    def _add(self, line: Line, made: Any) -> None:
        if isinstance(made, str):  # the head of a structure: scopes that follow are its own
            self.unit = -1
        elif isinstance(made, Drhd):
            self._open(made)
        elif isinstance(made, Scope):
            self._change(scopes=lambda unit: (*unit.scopes, made)) if self.unit >= 0 else None
        elif made is True:
            self._change(all=lambda unit: True)
        elif isinstance(made, int):
            if self.unit < 0 or self.records[self.unit].base != made:
                self._open(Drhd(line.file, line.number, made))
        elif isinstance(made, tuple):
            self._change(cap=lambda unit: made[0], ecap=lambda unit: made[1])
            if ALL_ONES in made:
                self.tell(line, "all bits are 1: no unit answers at this address")
        else:
            self.records.append(made)

    def _open(self, unit: Drhd) -> None:
        self.records.append(unit)
        self.unit = len(self.records) - 1

    def _change(self, **fields: Callable[[Drhd], Any]) -> None:
        if self.unit >= 0:
            unit = self.records[self.unit]
            self.records[self.unit] = replace(unit, **{name: value(unit) for name, value in fields.items()})
