"""What Xen prints of a guest's own I/O APIC and local APICs: xen-hvmctx, the debug print of a save, HVM debug lines.

    for record in read(lines).records: ...      # IoApic, Lapic, Deliver, Ipi

The forms: tools/misc/xen-hvmctx.c (a domain's saved state as text), ioapic_info of xen/arch/x86/hvm/vioapic.c (built
with HVM_DEBUG_SUSPEND), and HVM_DBG_LOG lines of vioapic.c, vmsi.c and vlapic.c ("[HVM:1.0] <vioapic_deliver> ...").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vsim.layouts.registers import APIC, ICR
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column

MAX_PINS = 240
"""Most pins that an I/O APIC can have."""
NAMES = {offset: name for offset, name, *_ in APIC}
"""The local APIC's registers by offset."""


@dataclass(frozen=True, slots=True)
class IoApic:
    """A guest's I/O APIC. id: the ID register's value as saved; select: IOREGSEL; pins: entries of 64 bits."""

    file: str
    line: int
    base: int
    select: int
    id: int
    pins: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Lapic:
    """A guest's local APIC. vcpu: its number in the text. base: IA32_APIC_BASE.

    words: registers by the names of `registers.APIC`; others by their offset, e.g. "0x280".
    """

    file: str
    line: int
    vcpu: int
    base: int
    disabled: int
    words: Mapping[str, int] = field(default_factory=dict)

    def vectors(self, name: str) -> tuple[int, ...]:
        """The vectors of "IRR", "ISR" or "TMR"."""
        return tuple(32 * place + bit for place in range(8) for bit in range(32)
                     if self.words.get(f"{name}{place}", 0) >> bit & 1)


@dataclass(frozen=True, slots=True)
class Deliver:
    """An interrupt that the I/O APIC ("ioapic") or a device's message ("msi") sends into a guest."""

    file: str
    line: int
    domain: int
    vcpu: int
    origin: str
    dest: int
    dm: int
    dlm: int
    vector: int
    tm: int


@dataclass(frozen=True, slots=True)
class Ipi:
    """An interrupt command of a guest's local APIC. icr: 64 bits (`registers.ICR`)."""

    file: str
    line: int
    domain: int
    vcpu: int
    icr: int


_H = r"(?:0x)?([0-9a-f]{1,16})"
_IOAPIC = re.compile(rf"IOAPIC: base_address {_H}, ioregsel {_H},? id {_H}")
_PIN = re.compile(rf"pin (\d{{1,3}}): {_H}")
_LAPIC = re.compile(rf"LAPIC: base_msr {_H}, disabled {_H}.*")
_REGISTERS = re.compile(r"(?:0x)?([0-9a-f]{4}): (?:0x)?([0-9a-f]{16})\s+(?:0x)?([0-9a-f]{4}): (?:0x)?([0-9a-f]{16})")
_OLD = re.compile(r"\*+ioapic state:\*+")
_OLD_VALUE = re.compile(r"ioapic 0x([0-9a-f]{1,16})\.")
_OLD_PIN = re.compile(r"ioapic redirtbl\[(\d{1,3})\]:0x([0-9a-f]{1,16})")
_WHERE = r"\[HVM:(\d{1,5})\.(\d{1,4})\] <\w{1,40}> "
_DELIVER = re.compile(_WHERE + r"(msi: )?dest=([0-9a-f]{1,8}) dest_mode=([01]) delivery_mode=([0-7]) "
                      r"vector=([0-9a-f]{1,2}) trig_mode=([01])")
_IPI = re.compile(_WHERE + r"icr = 0x([0-9a-f]{8}):([0-9a-f]{8})")
_HEAD = re.compile(r"IOAPIC: |LAPIC: |pin \d|0x[0-9a-f]{4}: |\*+ioapic|ioapic |\[HVM:")


def read(lines: Sequence[Line]) -> Reading:
    """`IoApic`, `Lapic`, `Deliver` and `Ipi` in the order of the text."""
    reader = _Reader()
    for line in lines:
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        said = body(line.text)
        if _HEAD.match(said):
            reader.take(line, said)
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Any] = []
        self.remarks: list[Remark] = []
        self.vcpus = 0
        self.values = 0

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column(line), text))

    def take(self, line: Line, said: str) -> None:
        last = self.records[-1] if self.records else None
        for kind, pattern, do in FORMS:
            if (kind is None or isinstance(last, kind)) and (match := pattern.fullmatch(said)):
                do(self, line, match)
                return

    def ioapic(self, line: Line, match: re.Match[str]) -> None:
        base, select, id_ = (int(each, 16) for each in match.groups())
        self.records.append(IoApic(line.file, line.number, base, select, id_))

    def pin(self, line: Line, match: re.Match[str]) -> None:
        apic = self.records[-1]
        if int(match[1]) != len(apic.pins) or len(apic.pins) == MAX_PINS:
            self.tell(line, f"left out: pin {match[1]} does not follow pin {len(apic.pins) - 1}")
            return
        self.records[-1] = replace(apic, pins=(*apic.pins, int(match[2], 16)))

    def state(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(IoApic(line.file, line.number, 0, 0, 0))
        self.values = 0

    def value(self, line: Line, match: re.Match[str]) -> None:
        """IOREGSEL, ID and base, in this order."""
        name = ("select", "id", "base")[min(self.values, 2)]
        self.records[-1] = replace(self.records[-1], **{name: int(match[1], 16)})
        self.values += 1

    def lapic(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Lapic(line.file, line.number, self.vcpus, int(match[1], 16), int(match[2], 16)))
        self.vcpus += 1

    def registers(self, line: Line, match: re.Match[str]) -> None:
        """Two registers: an offset, and 8 bytes of its 16, of which the low 4 are the register."""
        apic = self.records[-1]
        words = dict(apic.words)
        for offset, value in ((match[1], match[2]), (match[3], match[4])):
            at = int(offset, 16)
            if at < 0x400:
                words[NAMES.get(at, f"{at:#x}")] = int(value, 16) & 0xFFFFFFFF
        self.records[-1] = replace(apic, words=words)

    def deliver(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Deliver(
            line.file, line.number, int(match[1]), int(match[2]), "msi" if match[3] else "ioapic", int(match[4], 16),
            int(match[5]), int(match[6]), int(match[7], 16), int(match[8])))

    def ipi(self, line: Line, match: re.Match[str]) -> None:
        icr = int(match[3], 16) << ICR.dest.low | int(match[4], 16)
        self.records.append(Ipi(line.file, line.number, int(match[1]), int(match[2]), icr))


FORMS: tuple[tuple[type | None, re.Pattern[str], Callable[[_Reader, Line, re.Match[str]], None]], ...] = (
    (None, _IOAPIC, _Reader.ioapic), (IoApic, _PIN, _Reader.pin), (None, _LAPIC, _Reader.lapic),
    (Lapic, _REGISTERS, _Reader.registers), (None, _OLD, _Reader.state), (IoApic, _OLD_VALUE, _Reader.value),
    (IoApic, _OLD_PIN, _Reader.pin), (None, _DELIVER, _Reader.deliver), (None, _IPI, _Reader.ipi))
"""Behind which record (None: any) a line of which form is, and what reads it."""
