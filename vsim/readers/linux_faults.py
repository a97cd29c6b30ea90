"""Faults in a log of Linux: what a remapping unit refused, in every form in which Linux has printed it.

    for record in read(lines).records: ...      # Fault, Status, QueueFault, QueueDump

The forms (drivers/iommu/intel/dmar.c, before 5.8 drivers/iommu/dmar.c):

    up to 4.3     INTR-REMAP: Request device [[f0:1f.0] fault index 10\\n INTR-REMAP:[fault reason 37] Blocked ...
    to 5.10       [INTR-REMAP] Request device [f0:1f.0] fault index 10 [fault reason 37] Blocked ...
    5.11 to 5.15  [INTR-REMAP] Request device [0xf0:0x1f.0] fault index 0x10 [fault reason 0x25] Blocked ...
    after         [INTR-REMAP] Request device [f0:1f.0] fault index 0x10 [fault reason 0x25] Blocked ...

The index is hexadecimal in all of them; the reason is decimal where it has no prefix. The parts of a fault may be
wrapped over lines, and other writers' words may stand between them. Where a page has lost the number of a reason
("INTR-REMAP:[] Present field ..."), its words tell it. Xen's lines are left to `xen_faults`; where people
cut its mark off, they are read here (a segment in front, all numbers hexadecimal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import FRCD, REASON_TEXT, Reason
from vsim.layouts.registers import FSTS, IQERCD
from vsim.readers.logs import GAP, Log
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import cut, is_xen

MAX_APART = 6
"""Lines between the source of a fault and its other parts."""
MAX_FAULTS = 100_000
"""Most records of one reading."""

WORDS: dict[int, str] = {
    Reason.REQUEST_RESERVED: "Detected reserved fields in the decoded interrupt-remapped request",
    Reason.INDEX_OVER: "Interrupt index exceeded the interrupt-remapping table size",
    Reason.NOT_PRESENT: "Present field in the IRTE entry is clear",
    Reason.TABLE_ERROR: "Error accessing interrupt-remapping table pointed by IRTA_REG",
    Reason.ENTRY_RESERVED: "Detected reserved fields in the IRTE entry",
    Reason.COMPATIBILITY: "Blocked a compatibility format interrupt request",
    Reason.SOURCE_ID: "Blocked an interrupt request due to source-id verification failure"}
"""What Linux prints for each reason. It has no words for the posted ones and prints those as faults of a DMA write."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One request that a unit refused.

    rid: requester as bus:device.function in 16 bits; segment: where the line names one, else 0. index: of the entry,
    None for DMA, or where the line was cut. reason: -1 where it was cut. kind: "interrupt", "read" or "write".
    address, pasid: of DMA, else None. words: what the line says of the reason. time: seconds as written, or "".
    """

    file: str
    line: int
    rid: int
    index: int | None = None
    reason: int = -1
    kind: str = "interrupt"
    address: int | None = None
    pasid: int | None = None
    segment: int = 0
    words: str = ""
    time: str = ""

    @property
    def source(self) -> str:
        """The requester as text."""
        return f"{self.segment:04x}:{bdf_text(self.rid)}" if self.segment else bdf_text(self.rid)

    @property
    def meaning(self) -> str:
        """The reason in words: those of the specification for interrupts, the line's own for DMA."""
        return REASON_TEXT.get(self.reason, self.words) if self.kind == "interrupt" else self.words


@dataclass(frozen=True, slots=True)
class Status:
    """FSTS as the fault handler read it ("handling fault status reg 502" is 0x502)."""

    file: str
    line: int
    value: int
    time: str = ""

    @property
    def fields(self) -> dict[str, int]:
        """The value by the fields of FSTS."""
        return FSTS.split(self.value)

    @property
    def dead(self) -> bool:
        """Whether it is all ones, which no unit has: nothing answers there."""
        return self.value == 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class QueueFault:
    """An error of the invalidation queue. what: "queue", "time-out" or "completion"; value: the reason, or who."""

    file: str
    line: int
    what: str
    value: int
    time: str = ""

    @property
    def meaning(self) -> str:
        """The reason in words, or the requester."""
        if self.what == "queue":
            return IQERCD.iqei.names.get(self.value, "reserved")
        return f"of a request to {bdf_text(self.value)}"


@dataclass(frozen=True, slots=True)
class QueueDump:
    """A descriptor that Linux prints with an error of the queue. which: "HEAD" or "PRIOR"."""

    file: str
    line: int
    which: str
    low: int
    high: int
    time: str = ""


_NUMBER = r"(?:0x)?([0-9a-fA-F]{1,16})\b"
_PARTS = (
    rf"Request{GAP}device{GAP}?\[{{1,2}}(?P<source>[0-9a-fA-Fx:.]{{5,24}})\](?:{GAP}PASID{GAP}(?P<pasid>\w{{1,10}}))?",
    rf"fault{GAP}index{GAP}(?P<index>\w{{1,18}})",
    rf"fault{GAP}addr{GAP}(?P<address>\w{{1,18}})",
    rf"fault{GAP}reason{GAP}(?P<reason>\w{{1,6}})(?:\]{GAP}?(?P<words>[^\n\[]{{0,120}}))?",
    rf"(?:INTR-REMAP|DMAR):{GAP}?reason{GAP}(?P<xen>[0-9a-f]{{1,2}}) - (?P<said>[^\n\[]{{0,120}})",
    rf"(?:handling{GAP})?fault{GAP}status{GAP}reg{GAP}(?P<status>\w{{1,10}})",
    r"FRCD(?:_REG)?(?:\[\d+\])?[ \t:=-]+(?P<record>(?:0x)?[0-9a-fA-F]{16}[ \t:_]*(?:0x)?[0-9a-fA-F]{16})\b",
    r"FSTS(?:_REG)?[ \t]*[:=-][ \t]*(?:0x)?(?P<fsts>[0-9a-fA-F]{1,8})\b",
    rf"VT-d{GAP}detected{GAP}Invalidation{GAP}(?P<what>Queue|Time-out|Completion){GAP}Error:"
    rf"{GAP}(?:Reason|SID){GAP}(?P<why>\w{{1,10}})",
    rf"QI (?P<which>HEAD|PRIOR): [^\n=]{{1,60}}qw0 = {_NUMBER}, qw1 = {_NUMBER}",
    r"(?P<lost>\d{1,9}) callbacks suppressed")
_ALONE = "(?P<alone>" + "|".join(f"(?P<r{reason:d}>{GAP.join(map(re.escape, words.split()))})"
                                for reason, words in WORDS.items()) + ")"
_TOKEN, _TOKEN_OR_WORDS = re.compile("|".join(_PARTS)), re.compile("|".join((*_PARTS, _ALONE)))
_KIND = re.compile(r"(INTR-REMAP|DMA Read|DMA Write)(?: PASID (0x[0-9a-fA-F]{1,8}))?")
_SOURCE = re.compile(r"(?:([0-9a-f]{4,8}):)?(?:0x)?([0-9a-f]{1,2}):(?:0x)?([0-9a-f]{1,2})\.(?:0x)?([0-9a-f])")
_KINDS = {"DMA Read": "read", "DMA Write": "write"}


def read(lines: Sequence[Line]) -> Reading:
    """All faults of a log: `Fault`, `Status`, `QueueFault` and `QueueDump` in the order of the text."""
    reader = _Reader(Log(lines))
    reader.read()
    records = sorted(reader.records, key=lambda pair: pair[0])
    return Reading(tuple(record for _, record in records), few(sorted(reader.remarks, key=lambda r: (r.file, r.line))))


def of_record(high: int, low: int, file: str = "", line: int = 0, time: str = "") -> Fault:
    """The fault that a fault record's two halves hold (FRCD, VT-d 11.4.14)."""
    word = high << 64 | low
    reason = get(word, FRCD.reason)
    if reason in REASON_TEXT and reason:
        return Fault(file, line, get(word, FRCD.sid), get(word, FRCD.index), reason, time=time)
    return Fault(file, line, get(word, FRCD.sid), None, reason, "read" if get(word, FRCD.t) else "write",
                 low & ~0xFFF, time=time)


class _Reader:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.records: list[tuple[int, Fault | Status | QueueFault | QueueDump]] = []
        self.remarks: list[Remark] = []
        self.open: list[tuple[int, Fault]] = []
        self.seen: set[tuple[object, ...]] = set()
        self.told = -1, -1      # a reason whose words may stand on the next line, and the place of its line

    def read(self) -> None:
        worded = any(words[:20] in self.log.text for words in WORDS.values())
        for match in (_TOKEN_OR_WORDS if worded else _TOKEN).finditer(self.log.text):
            if len(self.records) >= MAX_FAULTS or len(self.remarks) >= MAX_FAULTS:
                self._tell(match.start(), f"left out: all behind the first {MAX_FAULTS} faults")
                break
            self._token(match, match.lastgroup or "")
        while self.open:
            self._close(*self.open.pop(0))

    def _token(self, match: re.Match[str], name: str) -> None:
        if self._xen(match.start()):
            return  # `xen_faults` reads it
        if match["source"]:
            self._source(match)
        elif match["reason"] or match["xen"]:
            self._reason(match)
        elif name in ("index", "address"):
            self._place(match, name)
        elif name == "lost":
            self._lost(match)
        elif name == "alone":
            self._alone(match)
        else:
            self._other(match)

    def _xen(self, at: int) -> bool:
        """Whether Xen printed the line, or the one that it is the rest of."""
        number = self.log.number(at)
        return is_xen(self.log.lines[number].text) or (number > 0 and cut(self.log.lines[number - 1].text))

    def _tell(self, at: int, text: str) -> None:
        self.remarks.append(self.log.remark(at, text))

    # --- a fault, part by part ---

    def _source(self, match: re.Match[str]) -> None:
        at = match.start()
        found = _SOURCE.fullmatch(match["source"].lower())
        if not found or int(found[3], 16) > 31 or int(found[4], 16) > 7:
            self._tell(match.start("source"), f"left out: {match['source']!r} is no bus:device.function")
            return
        segment, bus, device, function = (int(part or "0", 16) for part in found.groups())
        kinds = list(_KIND.finditer(self.log.text, max(0, at - 60), at))
        kind, pasid = (kinds[-1][1], kinds[-1][2]) if kinds else ("", None)
        line = self.log.line(at)
        fault = Fault(line.file, line.number, bus << 8 | device << 3 | function, segment=segment,
                      kind=_KINDS.get(kind, "interrupt"), time=self.log.time(at))
        if (number := _hex(pasid or match["pasid"] or "")) != 0xFFFF_FFFF:  # which is Linux's "none"
            fault = replace(fault, pasid=number)
        self.open.append((at, fault))
        if len(self.open) > 2 * MAX_APART:
            self._close(*self.open.pop(0))

    def _waiting(self, at: int, part: str) -> Iterator[int]:
        """Places in `open` of faults that still lack a part; those too far above are closed.

        First the only one that begins on the same line, then the oldest: faults that are told in two lines each go on
        in their order.
        """
        number = self.log.number(at)
        while self.open and number - self.log.number(self.open[0][0]) > MAX_APART:
            self._close(*self.open.pop(0))
        fit = [place for place, (_, fault) in enumerate(self.open)
               if part == "reason" or (fault.index is None and fault.address is None)]
        own = [place for place in fit if self.log.number(self.open[place][0]) == number]
        if len(own) == 1:
            yield own[0]
        yield from fit

    def _place(self, match: re.Match[str], name: str) -> None:
        at = match.start(name)
        value = _hex(match[name])
        place = next(self._waiting(at, name), None)
        if place is None or value is None:
            what = f"the {name} of no fault that is told" if value is not None else "no number"
            self._tell(at, f"left out: {match[name]!r} is {what}")
            return
        start, fault = self.open[place]
        if name == "address":
            kind = "write" if fault.kind == "interrupt" else fault.kind
            self.open[place] = start, replace(fault, address=value, kind=kind)
        elif value > 0xFFFF:
            self._tell(at, f"index {value:#x} is over its limit 0xffff")
        else:
            self.open[place] = start, replace(fault, index=value)

    def _reason(self, match: re.Match[str]) -> None:
        at = match.start()
        place = next(self._waiting(at, "reason"), None)
        text = match["reason"] or f"{match['xen']}h"
        value = _reason(text)
        end = match.end("reason")
        if end >= 0 and self.log.text[at - 1:at] == "[" and self.log.text[end:end + 1] in ("", "\n"):
            self._tell(at, f"left out: {text!r} may be the beginning of a reason: the line ends before its bracket")
            return
        if place is None or value is None or value > 0xFF:
            self._tell(at, f"left out: {text!r} is the reason of no fault that is told")
            return
        start, fault = self.open.pop(place)
        words = (match["words"] or match["said"] or "").strip(" \t>|;")
        said = [reason for reason, known in WORDS.items() if words[:len(known)] == known[:len(words)]] if words else []
        if len(said) == 1 and said[0] != value:
            self._tell(at, f"reason {value:#x} has the words of {said[0]:#x}; the number is taken")
        self.told = -1 if words else value, self.log.number(at)
        self._close(start, _typed(replace(fault, reason=value, words=words)))

    def _alone(self, match: re.Match[str]) -> None:
        """Words of a reason without its number: those of the fault before, wrapped, or all that is left of a reason."""
        at = match.start()
        reason = next(each for each in WORDS if match[f"r{each:d}"])
        if self.told[0] == reason and self.log.number(at) <= self.told[1] + 1:
            return
        place = next(self._waiting(at, "reason"), None)
        if place is not None:
            self._tell(at, f"the number of the reason is lost; by its words it is {reason:#x}")
            start, fault = self.open.pop(place)
            self._close(start, _typed(replace(fault, reason=reason, words=WORDS[reason])))

    def _close(self, at: int, fault: Fault) -> None:
        key = fault.time, fault.rid, fault.index, fault.address, fault.reason
        if fault.time and key in self.seen:
            self._tell(at, f"told before with the same time {fault.time}; counted once")
            return
        self.seen.add(key)
        missing = [name for name, gone in (("index", fault.kind == "interrupt" and fault.index is None),
                                           ("reason", fault.reason < 0)) if gone]
        if missing:
            self._tell(at, f"the fault of {fault.source} was cut: no {' and no '.join(missing)}")
        self.records.append((at, fault))

    # --- the other lines ---

    def _lost(self, match: re.Match[str]) -> None:
        start = self.log.text.rfind("\n", 0, match.start()) + 1
        if "dmar_fault" in self.log.text[start:match.start()]:
            self._tell(match.start(), f"Linux left out {match['lost']} fault lines here")

    def _other(self, match: re.Match[str]) -> None:
        at = match.start()
        line, time = self.log.line(at), self.log.time(at)
        if match["record"]:
            high, low = (int(part, 16) for part in re.findall(r"[0-9a-fA-F]{16}", match["record"]))
            if not get(high << 64 | low, FRCD.f):
                self._tell(at, "left out: a fault record that is not in use (F=0)")
                return
            self.records.append((at, of_record(high, low, line.file, line.number, time)))
        elif match["which"]:
            low, high = (int(part, 16) for part in match.groups()[match.re.groupindex["which"]:][:2])
            self.records.append((at, QueueDump(line.file, line.number, match["which"], low, high, time)))
        elif match["what"]:
            if (value := _hex(match["why"])) is not None:
                what = match["what"].lower()
                self.records.append((at, QueueFault(line.file, line.number, what, value & 0xFFFF, time)))
        elif (value := _hex(match["status"] or match["fsts"] or "")) is not None:
            self._status(at, Status(line.file, line.number, value & 0xFFFF_FFFF, time))

    def _status(self, at: int, status: Status) -> None:
        key = status.time, status.value
        if status.time and key in self.seen:
            self._tell(at, f"told before with the same time {status.time}; counted once")
            return
        self.seen.add(key)
        if status.dead:
            self._tell(at, "a status of all ones: no unit answers there")
        self.records.append((at, status))


def _hex(text: str) -> int | None:
    try:
        return int(text, 16) if "_" not in text else None
    except ValueError:
        return None


def _reason(text: str) -> int | None:
    """A reason as it is written: 0x25, 37 (decimal), or 25h as Xen has it."""
    if text[:2] in ("0x", "0X"):
        return _hex(text)
    if text[-1] in "hH":
        return _hex(text[:-1])
    return int(text) if text.isascii() and text.isdecimal() else None


def _typed(fault: Fault) -> Fault:
    """The posted reasons have no words in Linux and are printed as faults of DMA; their index is in the address."""
    if fault.kind == "interrupt" or fault.reason not in REASON_TEXT or not fault.reason:
        return fault
    index = fault.address >> 48 if fault.address is not None else None
    return replace(fault, kind="interrupt", index=index, address=None)
