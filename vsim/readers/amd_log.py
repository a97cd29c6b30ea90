"""What Linux and Xen log of AMD's IOMMUs: events, and what was found and switched on at boot.

    for record in read(lines).records: ...      # Event, Unit, Special, Feature, Missing, Trouble

The forms: drivers/iommu/amd/iommu.c and init.c of Linux ("AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0043 ...]", the
device in front or as device=), and Xen's parse_event_log_entry of drivers/passthrough/amd/iommu_init.c
("AMD-Vi: IO_PAGE_FAULT: 0000:00:14.0 d0 addr ... flags 0x8 I"; before: "domain = 0x1, device id = 0xa0, fault address =
..., flags = ..."; at first "AMD_IOV: IO_PAGE_FALT: domain:1, device id:0xa0, ..."). Xen prints all other events as four
words behind their name, or "event"; today without "AMD-Vi:". Its IVRS is told by iommu_acpi.c. Older Linux prints an
event in two steps, and a log may have it on two lines: "AMD-Vi: Event logged [", then "IO_PAGE_FAULT device=...".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vsim.layouts.amd import AMD_EVENT, AMD_EVENT_FLAGS, EFR, EVENT_TYPES
from vsim.layouts.bits import bdf_text, get
from vsim.readers.logs import bare
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import body

MAX_RECORDS = 200_000
"""Most records of one reading."""
PRINTED = {"PPR": EFR.ppr, "X2APIC": EFR.x2apic, "NX": EFR.nx, "GT": EFR.gt, "IA": EFR.ia, "GA": EFR.ga, "PC": EFR.pc,
           "GA_vAPIC": EFR.gam_vapic, "SNP": EFR.snp}
"""Linux's words for the bits of the extended feature register."""
INTERRUPTS = 0xFD_F800_0000, 0xFD_F8FF_FFFF
"""Addresses of interrupts and EOIs on HyperTransport: an event in this range is an interrupt's. Some units log it with
bits 63:40 set."""
_ONES = 0xFFFFFF << 40


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log. kind: in Linux's words, by `amd.EVENT_TYPES`; rid: the requester, None where not told.

    domain, pasid, address, flags (`amd.AMD_EVENT_FLAGS`, `AMD_REQUEST_FLAGS`): None where not told. time: seconds as
    printed, or "".
    """

    file: str
    line: int
    kind: str
    rid: int | None = None
    segment: int = 0
    domain: int | None = None
    pasid: int | None = None
    address: int | None = None
    flags: int | None = None
    time: str = ""

    @property
    def interrupt(self) -> bool:
        """Whether the request was an interrupt: by its flag I, or by its address."""
        flagged = self.flags is not None and self.kind != EVENT_TYPES[8] and bool(get(self.flags, AMD_EVENT_FLAGS.i))
        address = self.address or 0
        low = address - _ONES if address >= _ONES else address
        return flagged or INTERRUPTS[0] <= low <= INTERRUPTS[1]

    @property
    def source(self) -> str:
        """The requester as text."""
        return "an unknown device" if self.rid is None else f"{self.segment:04x}:{bdf_text(self.rid)}"


@dataclass(frozen=True, slots=True)
class Unit:
    """An IOMMU that was found. rid: its own place, None where not told; efr: `amd.EFR`, None where not printed.

    features: their names as printed.
    """

    file: str
    line: int
    rid: int | None = None
    segment: int = 0
    efr: int | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Special:
    """A special entry of IVRS, as Linux prints it with `amd_iommu_dump`, and Xen with iommu=debug.

    kind: "IOAPIC" or "HPET"; handle: its id or number; rid: the requester id of its interrupts.
    """

    file: str
    line: int
    kind: str
    handle: int
    rid: int


@dataclass(frozen=True, slots=True)
class Feature:
    """What was switched on, or not: "Interrupt remapping", "X2APIC", "Virtual APIC", ..."""

    file: str
    line: int
    name: str
    on: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """An I/O APIC of the MADT that IVRS does not name; -1: the one of the southbridge. Nothing is remapped then."""

    file: str
    line: int
    ioapic: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that the driver reports of a unit, in its own words."""

    file: str
    line: int
    text: str


_PLACE = r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])"
_LOGGED = re.compile(rf"(?:{_PLACE}: )?(?:AMD-Vi: )?Event logged \[([A-Z][A-Z_]{{3,40}})([^\]]{{0,300}})\]?")
_OPEN = re.compile(r"Event logged \[\s*$")
_REST = re.compile(r"\b[A-Z][A-Z_]{3,40} (?:device|domain|address|pasid|event\[0\])=[^\n]{0,300}")
MAX_APART = 3
"""Lines from the first half of an event to the second."""
_MORE = re.compile(r"\w{1,10}(?:\[\d\])?=")
_KEY = re.compile(r"\b(\w{1,10}(?:\[\d\])?)=([^\s\]]{1,24})")
_WHO = re.compile(_PLACE)
_XEN = re.compile(rf"AMD-Vi: ([A-Z][A-Z_]{{3,40}}): {_PLACE} d(\d{{1,5}}) addr ([0-9a-f]{{8,16}}) "
                  r"flags (?:0x)?([0-9a-f]{1,4})")
_OLD = re.compile(r"AMD(?:-Vi|_IOV): ([A-Z][A-Z_]{3,40}): domain ?[=:] ?(0x[0-9a-f]{1,4}|\d{1,5}), "
                  r"device id ?[=:] ?(?:0x)?([0-9a-f]{1,4}), fault address ?[=:] ?(?:0x)?([0-9a-f]{1,16})"
                  r"(?:, flags ?= ?(?:0x)?([0-9a-f]{1,4}))?")
_XEN_NAMES = "|".join(("ILLEGAL_DEV_TABLE_ENTRY", "DEV_TABLE_HW_ERROR", "PAGE_TABLE_HW_ERROR", "ILLEGAL_COMMAND_ERROR",
                       "COMMAND_HW_ERROR", "IOTLB_INV_TIMEOUT", "INVALID_DEV_REQUEST", "event"))
_WORDS = re.compile(rf"(?:\(XEN\) ?(?:\[[^\]]{{3,40}}\] ?)?|AMD-Vi: )+(?:{_XEN_NAMES})"
                    r"((?: (?:0x)?[0-9a-f]{8}){4})\b")
_FOUND = re.compile(rf"(?:{_PLACE}: )?AMD-Vi: Found IOMMU(?: at {_PLACE})? cap 0x[0-9a-f]{{1,4}}")
_EFR = re.compile(r"AMD-Vi: Extended features \((?:0x)?([0-9a-f]{1,16})(?:, ?0x[0-9a-f]{1,16})?\):(.*)")
_NAMES = re.compile(r"(?:(?:PreF|PPR|X2APIC|NX|GT|\[5\]|IA|GA|HE|PC|GA_vAPIC|SNP|EPHSup)(?: +|$))+")
_FEATURE = re.compile(r"AMD-Vi: ([A-Za-z][A-Za-z0-9/ ]{1,40}?) (enabled|disabled)\b|AMD-Vi: (Disabling) ([a-z ]{3,40})")
_MISSING = re.compile(r"IOAPIC\[(\d{1,3})\] not in IVRS table|IVHD Error: no information for IO-APIC (?:0x)?"
                      r"([0-9a-f]{1,2})\b|(No southbridge IO-?APIC found)")
_SPECIAL = re.compile(rf"DEV_SPECIAL\((IOAPIC|HPET)\[(\d{{1,3}})\]\)\s+devid: {_PLACE}")
_XEN_SPECIAL = re.compile(rf"IVHD Special: {_PLACE} variety 0x([12]) handle (?:0x)?([0-9a-f]{{1,2}})\b")
_VARIETIES = {"1": "IOAPIC", "2": "HPET"}
_LIST = re.compile(r"AMD-Vi: IOMMU Extended Features:")
_LISTED = re.compile(r"- ([A-Za-z]\S[^\n]{0,60})")
_ENABLED = re.compile(r"AMD-Vi: (IOMMU \d{1,3}) Enabled\.")
_IVHD = re.compile(r"IVHD Error: [A-Za-z][\w ,:#-]{0,100}")
_HEAD = re.compile(r"AMD|Event logged \[|IO-?APIC|IVHD|\(XEN\)")
_TROUBLE = re.compile(r"AMD-Vi: (?:\[Firmware Bug\]:? ?:? ?)?((?:Completion-Wait loop|Command buffer|No event written|"
                      r"Unable to|Event log|Hardware|Failed|Error)[^\n]{0,120})")
_SECONDS = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\]")
_LOST = re.compile(r"amd_iommu_report_page_fault: (\d{1,9}) callbacks suppressed")


def read(lines: Sequence[Line]) -> Reading:
    """All records of a log, in order."""
    reader = _Reader()
    for place, line in enumerate(lines):
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        reader.after = lines[place + 1:place + 3]
        reader.take(line)
    for line in reader.halves:
        reader.tell(line, "left out: an event that was cut before its name")
    return Reading(tuple(reader.records), few(reader.remarks))


def _rid(segment: str | None, bus: str, device: str, function: str) -> tuple[int, int]:
    """Segment and requester id of a place."""
    return int(segment or "0", 16), int(bus, 16) << 8 | (int(device, 16) & 31) << 3 | int(function)


def _number(text: str | None) -> int | None:
    digits = (text or "").removeprefix("0x")
    return int(digits, 16) if re.fullmatch(r"[0-9a-fA-F]{1,16}", digits) else None


class _Reader:
    def __init__(self) -> None:
        self.records: list[Any] = []
        self.remarks: list[Remark] = []
        self.named = self.listed = False
        self.halves: list[Line] = []
        self.after: Sequence[Line] = ()

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, 1, text))

    def take(self, line: Line) -> None:
        text = self._joined(line)
        named, self.named = self.named, False
        listed, self.listed = self.listed, False
        if named and (match := _NAMES.fullmatch(bare(text).strip())):
            self.records[-1] = replace(self.records[-1], features=(*self.records[-1].features, *match[0].split()))
        elif listed and (match := _LISTED.fullmatch(body(text))):
            self.records[-1] = replace(self.records[-1], features=(*self.records[-1].features, match[1]))
            self.listed = True
        elif _HEAD.search(text):
            for pattern, do in FORMS:
                if match := pattern.search(text):
                    do(self, line, match)
                    return
        elif match := _LOST.search(text):
            self.tell(line, f"Linux left out {match[1]} events here")

    def _joined(self, line: Line) -> str:
        """A line, or two that are one event; the event stands where its second half does."""
        while self.halves and line.number - self.halves[0].number > MAX_APART:
            self.tell(self.halves.pop(0), "left out: an event that was cut before its name")
        if _OPEN.search(line.text):
            self.halves.append(line)
            return ""
        if self.halves and (rest := _REST.search(line.text)):
            return self.halves.pop(0).text.rstrip() + rest[0]
        return line.text

    def _time(self, line: Line) -> str:
        stamps = _SECONDS.findall(line.text)
        return stamps[0] if stamps else ""

    def logged(self, line: Line, match: re.Match[str]) -> None:
        text, whole = match.string[match.start():], match[0].endswith("]")
        for after in () if whole else self.after:           # a mail program may have wrapped it
            if whole or not _MORE.match(rest := bare(after.text).lstrip("> \t")):
                break
            text, whole = f"{text} {rest}", "]" in rest
        given = {each[1]: each[2] for each in _KEY.finditer(text) if whole or each.end() < len(text)}
        words = [number for place in range(4) if (number := _number(given.get(f"event[{place}]"))) is not None]
        if len(words) == 4:
            self._raw(line, sum((word & 0xFFFFFFFF) << 32 * place for place, word in enumerate(words)))
            return
        who = _WHO.fullmatch(str(given.get("device", given.get("deice", ""))))
        place = who.groups() if who else match.groups()[:4]
        segment, rid = _rid(*place) if place[1] else (0, None)
        domain, pasid, address, flags = (_number(given.get(name)) for name in ("domain", "pasid", "address", "flags"))
        self.records.append(Event(line.file, line.number, match[5], rid, segment, domain, pasid, address, flags,
                                  self._time(line)))
        if not whole:
            self.tell(line, "the event was cut: not everything of it is told")

    def _raw(self, line: Line, word: int) -> None:
        kind = int(get(word, AMD_EVENT.type))
        self.records.append(Event(
            line.file, line.number, EVENT_TYPES.get(kind, f"type {kind}"), int(get(word, AMD_EVENT.device)), 0, None,
            int(get(word, AMD_EVENT.pasid)), int(get(word, AMD_EVENT.address)), int(get(word, AMD_EVENT.flags)),
            self._time(line)))

    def xen(self, line: Line, match: re.Match[str]) -> None:
        segment, rid = _rid(*match.groups()[1:5])
        self.records.append(Event(line.file, line.number, match[1], rid, segment, int(match[6]), None,
                                  int(match[7], 16), int(match[8], 16), self._time(line)))

    def old(self, line: Line, match: re.Match[str]) -> None:
        kind, domain = match[1].replace("_FALT", "_FAULT"), int(match[2], 16 if "x" in match[2] else 10)
        self.records.append(Event(line.file, line.number, kind, int(match[3], 16), 0, domain, None,
                                  int(match[4], 16), _number(match[5]), self._time(line)))

    def words(self, line: Line, match: re.Match[str]) -> None:
        self._raw(line, sum(int(word, 16) << 32 * place for place, word in enumerate(match[1].split())))

    def list(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Unit(line.file, line.number))
        self.listed = True

    def found(self, line: Line, match: re.Match[str]) -> None:
        place = match.groups()[4:8] if match[6] else match.groups()[:4]
        segment, rid = _rid(*place) if place[1] else (0, None)
        self.records.append(Unit(line.file, line.number, rid, segment))
        self.named = True

    def efr(self, line: Line, match: re.Match[str]) -> None:
        last = self.records[-1] if self.records else None
        names, value = tuple(match[2].split()), int(match[1], 16)
        if isinstance(last, Unit) and last.efr is None:
            self.records[-1] = replace(last, efr=value, features=names)
        else:
            self.records.append(Unit(line.file, line.number, efr=value, features=names))
        self.named = True
        if odd := [name for name in names if name in PRINTED and not get(value, PRINTED[name])]:
            self.tell(line, f"the words name {', '.join(odd)}, the register does not")

    def feature(self, line: Line, match: re.Match[str]) -> None:
        name = match[1] or match[4].strip().capitalize()
        self.records.append(Feature(line.file, line.number, name, match[2] == "enabled"))

    def missing(self, line: Line, match: re.Match[str]) -> None:
        ioapic = int(match[1]) if match[1] else int(match[2], 16) if match[2] else -1
        self.records.append(Missing(line.file, line.number, ioapic))

    def enabled(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Feature(line.file, line.number, match[1], True))

    def special(self, line: Line, match: re.Match[str]) -> None:
        _, rid = _rid(*match.groups()[2:6])
        self.records.append(Special(line.file, line.number, match[1], int(match[2]), rid))

    def xen_special(self, line: Line, match: re.Match[str]) -> None:
        _, rid = _rid(*match.groups()[:4])
        self.records.append(Special(line.file, line.number, _VARIETIES[match[5]], int(match[6], 16), rid))

    def trouble(self, line: Line, match: re.Match[str]) -> None:
        self.records.append(Trouble(line.file, line.number, match[match.lastindex or 0].strip()))


FORMS: tuple[tuple[re.Pattern[str], Callable[[_Reader, Line, re.Match[str]], None]], ...] = (
    (_LOGGED, _Reader.logged), (_XEN, _Reader.xen), (_OLD, _Reader.old), (_WORDS, _Reader.words),
    (_FOUND, _Reader.found), (_EFR, _Reader.efr), (_LIST, _Reader.list), (_ENABLED, _Reader.enabled),
    (_MISSING, _Reader.missing), (_SPECIAL, _Reader.special), (_XEN_SPECIAL, _Reader.xen_special),
    (_FEATURE, _Reader.feature), (_TROUBLE, _Reader.trouble), (_IVHD, _Reader.trouble))
"""Each form of a line, and what reads it."""
