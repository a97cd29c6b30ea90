"""QEMU's monitor: `info lapic`, `info pic`, `info irq`.

The forms are those of target/i386/cpu-dump.c, hw/intc/ioapic_common.c, hw/intc/i8259_common.c and monitor's own. The
registers are taken, not the words that QEMU puts beside them, which mislead: in `info pic` a physical destination is
cut to four bits, and every I/O APIC is called ioapic0; in `info lapic` the destination of the ICR is told as an
x2APIC's wherever the CPU could be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vsim.layouts.registers import ICR
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_RECORDS = 200_000
"""Most records of one reading."""
MAX_PINS = 240
"""Most pins that an I/O APIC can have: its index register has 8 bits."""


@dataclass(frozen=True, slots=True)
class Lapic:
    """A local APIC. cpu: QEMU's index, no APIC ID; words: registers by the names of `registers.APIC`.

    isr, irr: (vector, level-triggered) each, lowest first. wide: QEMU takes the CPU for one that can be an x2APIC.
    """

    file: str
    line: int
    cpu: int
    words: Mapping[str, int] = field(default_factory=dict)
    isr: tuple[tuple[int, bool], ...] = ()
    irr: tuple[tuple[int, bool], ...] = ()
    wide: bool | None = None

    @property
    def icr(self) -> int:
        """The ICR as a word of 64 bits (`registers.ICR`); 0 where the text has none."""
        return self.words.get("ICR_HIGH", 0) << ICR.dest.low | self.words.get("ICR", 0)


@dataclass(frozen=True, slots=True)
class IoApic:
    """An I/O APIC. number: its place in the text, from 0. select: IOREGSEL. pins: redirection entries, 64 bits each.

    irr: pins whose line is up and not served; remote: level pins that wait for their EOI.
    """

    file: str
    line: int
    number: int
    version: int
    id: int
    select: int
    pins: tuple[int, ...] = ()
    irr: tuple[int, ...] = ()
    remote: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pic:
    """A PIC. number: 0 or 1; words: irr, imr, isr, hprio, irq_base, rr_sel, elcr, fnm as printed."""

    file: str
    line: int
    number: int
    words: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Count:
    """How often a line of an interrupt controller was raised (`info irq`). chip: QEMU's type, e.g. "ioapic"."""

    file: str
    line: int
    chip: str
    irq: int
    count: int


REGISTERS = {"LVT0": "LVT_LINT0", "LVT1": "LVT_LINT1", "LVTPC": "LVT_PERFORMANCE", "LVTERR": "LVT_ERROR",
             "LVTTHMR": "LVT_THERMAL", "LVTT": "LVT_TIMER", "SPIV": "SVR", "ICR": "ICR", "ICR2": "ICR_HIGH",
             "ESR": "ESR"}
"""QEMU's names of the registers, and those of `registers.APIC`."""

_VECTORS = re.compile(r"(\d{1,3})(\(level\))?")
_CPU = re.compile(r"dumping local APIC state for CPU (\d{1,5})\s*")
_WORD = re.compile(rf"({'|'.join(sorted(REGISTERS, key=len, reverse=True))})\s+0x([0-9a-f]{{8}})\b(.*)")
_TIMER = re.compile(r"Timer\s+DCR=0x([0-9a-f]{1,2}) .*initial_count = (\d{1,10})(?: current_count = (\d{1,10}))?\s*")
_REQUESTS = re.compile(r"(ISR|IRR)\s+(\(none\)|\d{1,3}(?:\(level\))?(?: +\d{1,3}(?:\(level\))?)*)\s*")
_LAST = re.compile(r"APR 0x([0-9a-f]{2}) TPR 0x([0-9a-f]{2}) DFR 0x([0-9a-f]{2}) LDR 0x([0-9a-f]{2}) ?"
                   r"(?:\(cluster \d+: id \d+\))? ?PPR 0x([0-9a-f]{2})\s*")
_IOAPIC = re.compile(r"ioapic\d{1,3}: ver=0x([0-9a-f]{1,2}) id=0x([0-9a-f]{2}) sel=0x([0-9a-f]{2})"
                     r"(?: \(redir\[\d+\]\))?\s*")
_PIN = re.compile(r"pin (\d{1,3})\s+0x([0-9a-f]{16}) .*")
_PINS = re.compile(r"(IRR|Remote IRR)\s+(\(none\)|\d{1,3}(?: +\d{1,3})*)\s*")
_PIC = re.compile(r"pic(\d): (irr=.*)")
_PAIR = re.compile(r"(\w{1,10})=([0-9a-f]{1,4})\b")
_CHIP = re.compile(r"IRQ statistics for (\S{1,60}):\s*")
_COUNT = re.compile(r"(\d{1,4}): (\d{1,19})\s*")
_ROW = re.compile(rf"(?:pin|{'|'.join(sorted(REGISTERS, key=len, reverse=True))})\s")
_PROMPT = re.compile(r"\(qemu\) ?")


def read(lines: Sequence[Line]) -> Reading:
    """`Lapic`, `IoApic`, `Pic` and `Count` in the order of the text."""
    reader = _Reader()
    for line in lines:
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        text = line.text.strip(" \t>|")
        if text:
            reader.take(line, _PROMPT.sub("", text, count=1).strip())
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self) -> None:
        self.records: list[Any] = []
        self.remarks: list[Remark] = []
        self.part = ""
        self.ioapics = 0

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, 1 + len(line.text) - len(line.text.lstrip()), text))

    def take(self, line: Line, said: str) -> None:
        for part, pattern, do in FORMS:
            if part in ("", self.part) and (match := pattern.fullmatch(said)):
                do(self, line, match)
                return
        if said.startswith(("info ", "quit")) or (self.part == "count" and not said[:1].isdigit()):
            self.part = ""
        elif _ROW.match(said) and self.part == ("ioapic" if said.startswith("pin") else "lapic"):
            self.tell(line, f"left out: a row that was cut or is of another form: {said[:60]!a}")

    def _change(self, **values: Any) -> None:
        self.records[-1] = replace(self.records[-1], **values)

    def _words(self, **words: int) -> None:
        self._change(words={**self.records[-1].words, **words})

    # --- info lapic ---

    def cpu(self, line: Line, match: re.Match[str]) -> None:
        self.part = "lapic"
        self.records.append(Lapic(line.file, line.number, int(match[1])))

    def word(self, line: Line, match: re.Match[str]) -> None:
        value = int(match[2], 16)
        self._words(**{REGISTERS[match[1]]: value})
        if match[1] == "ICR2" and "APIC ID)" in match[3]:
            self._change(wide="(X2APIC ID)" in match[3])
            if "(X2APIC ID)" in match[3] and value and not value & (1 << ICR_XAPIC) - 1:
                self.tell(line, f"the words are an x2APIC's; if the APIC is in xAPIC mode, the ID is "
                                f"{value >> ICR_XAPIC}")

    def timer(self, line: Line, match: re.Match[str]) -> None:
        current = {"TIMER_CURRENT": int(match[3]) & 0xFFFFFFFF} if match[3] else {}
        self._words(TIMER_DIVIDE=int(match[1], 16), TIMER_INITIAL=int(match[2]) & 0xFFFFFFFF, **current)

    def requests(self, line: Line, match: re.Match[str]) -> None:
        found = tuple((int(vector), bool(level)) for vector, level in _VECTORS.findall(match[2]) if int(vector) < 256)
        self._change(**{match[1].lower(): found})

    def last(self, line: Line, match: re.Match[str]) -> None:
        arb, tpr, dfr, ldr, ppr = (int(each, 16) for each in match.groups())
        self._words(APR=arb, TPR=tpr, DFR=dfr << DFR_MODEL | (1 << DFR_MODEL) - 1, LDR=ldr << LDR_ID, PPR=ppr)

    # --- info pic, info irq ---

    def ioapic(self, line: Line, match: re.Match[str]) -> None:
        self.part = "ioapic"
        version, id_, select = (int(each, 16) for each in match.groups())
        self.records.append(IoApic(line.file, line.number, self.ioapics, version, id_, select))
        self.ioapics += 1

    def pin(self, line: Line, match: re.Match[str]) -> None:
        apic = self.records[-1]
        if int(match[1]) != len(apic.pins) or len(apic.pins) == MAX_PINS:
            self.tell(line, f"left out: pin {match[1]} does not follow pin {len(apic.pins) - 1}")
            return
        self._change(pins=(*apic.pins, int(match[2], 16)))

    def pins(self, line: Line, match: re.Match[str]) -> None:
        found = tuple(int(each) for each in match[2].split()) if match[2] != "(none)" else ()
        self._change(**{"irr" if match[1] == "IRR" else "remote": found})

    def pic(self, line: Line, match: re.Match[str]) -> None:
        self.part = ""
        words = {name: int(value, 16) for name, value in _PAIR.findall(match[2])}
        self.records.append(Pic(line.file, line.number, int(match[1]), words))

    def chip(self, line: Line, match: re.Match[str]) -> None:
        self.part, self.name = "count", match[1]

    def count(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Count(line.file, line.number, self.name, int(match[1]), int(match[2])))


ICR_XAPIC = 24
"""Where an xAPIC's destination is in the upper half of the ICR."""
DFR_MODEL, LDR_ID = 28, 24
"""QEMU prints these two fields without the bits below them."""

FORMS: tuple[tuple[str, re.Pattern[str], Callable[[_Reader, Line, re.Match[str]], None]], ...] = (
    ("", _CPU, _Reader.cpu), ("lapic", _WORD, _Reader.word), ("lapic", _TIMER, _Reader.timer),
    ("lapic", _REQUESTS, _Reader.requests), ("lapic", _LAST, _Reader.last), ("", _IOAPIC, _Reader.ioapic),
    ("ioapic", _PIN, _Reader.pin), ("ioapic", _PINS, _Reader.pins), ("", _PIC, _Reader.pic),
    ("", _CHIP, _Reader.chip), ("count", _COUNT, _Reader.count))
"""In which part of the text ("": any) a line of which form is, and what reads it."""
