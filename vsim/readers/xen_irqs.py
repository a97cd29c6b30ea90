"""Xen's debug keys M (messages), i (interrupts, and the pins that they have) and z (I/O APICs); Linux' apic=debug.

The forms are those of xen/arch/x86/msi.c (dump_msi), irq.c (dump_irqs) and io_apic.c (dump_ioapic_irq_info,
__print_IO_APIC), of Xen 4.1 and later, for pins of Xen before too; with interrupt remapping on, Xen prints the pins
as if it were off. Linux prints the same heads, and each redirection entry as it is
(io_apic_print_entries of its io_apic.c). Both have printed a destination in two columns, "Log Phy": 8 bits, and the low
4 of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from vsim.layouts.formats import RTE, RTE_REMAP, Dlm
from vsim.readers import ranges
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.ranges import Ranges
from vsim.readers.xen_lines import MAX_RECORDS, body, column, torn, whole

STATUS = ("in progress", "disabled", "pending", "replayed", "guest", "move pending", "per CPU", "guest EOI pending",
          "shared")
"""Bits of an interrupt's status from bit 0 (xen/include/xen/irq.h)."""


@dataclass(frozen=True, slots=True)
class Msi:
    """A message (key M). kind: "MSI", "MSI-X", "HPET" or "IOMMU"; irq: Xen's number.

    vector, lowest, level, logical, hint: of the message as Xen holds it, before remapping. dest: 32 bits. maskable:
    the device can mask it. host, guest: who wants it masked. masked: the device's mask bit, None where there is none
    or the older form prints no more.
    """

    file: str
    line: int
    kind: str
    irq: int
    vector: int
    lowest: bool
    level: bool
    logical: bool
    hint: bool
    dest: int
    maskable: bool
    host: bool
    guest: bool
    masked: bool | None


class Guest(NamedTuple):
    """A domain that an interrupt is bound to. pirq: its number there; flags: as printed, e.g. "P-M"."""

    domain: int
    pirq: int
    flags: str

    @property
    def pending(self) -> bool:
        """The event is raised in the domain and not taken."""
        return self.flags[0] == "P"

    @property
    def masked(self) -> bool:
        """The domain has masked the event."""
        return self.flags[1] == "M"

    @property
    def held(self) -> bool:
        """Xen holds the interrupt back until the domain ends it."""
        return self.flags[-1] == "M"


@dataclass(frozen=True, slots=True)
class Irq:
    """An interrupt (key i). kind: its controller, e.g. "IO-APIC-level", "PCI-MSI/-X", "DMA_MSI".

    affinity, cpus: CPUs allowed, and CPUs that have the vector (() in the older form). owner: a function of Xen's own,
    "" else. guests: whom it is bound to. in_flight: domains that have not ended it. unbound: mapped, and nobody's.
    """

    file: str
    line: int
    irq: int
    vector: int
    kind: str
    status: int
    affinity: Ranges
    cpus: Ranges = ()
    owner: str = ""
    guests: tuple[Guest, ...] = ()
    in_flight: int = 0
    unbound: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """The status in words."""
        return tuple(word for place, word in enumerate(STATUS) if self.status >> place & 1)


@dataclass(frozen=True, slots=True)
class Direct:
    """A vector that Xen takes for itself (key i). handler: a function of Xen."""

    file: str
    line: int
    vector: int
    handler: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin of an I/O APIC in compatibility format (keys i and z); fields as in `formats.RTE`, dest of up to 32 bits.

    irq: Xen's number, None from key z.
    """

    file: str
    line: int
    ioapic: int
    pin: int
    vector: int
    dlm: int
    dm: int
    dest: int
    status: int
    polarity: int
    irr: int
    tm: int
    mask: int
    irq: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A pin as Linux prints it. ioapic: its place among all, from 0; word: the 64 bits, in whichever format."""

    file: str
    line: int
    ioapic: int
    pin: int
    word: int


@dataclass(frozen=True, slots=True)
class IoApic:
    """An I/O APIC (key z): Xen's number, and ID, version and pins as its registers say; -1 for what is not printed."""

    file: str
    line: int
    number: int
    id: int = -1
    version: int = -1
    pins: int = -1


@dataclass(frozen=True, slots=True)
class Route:
    """Which pins a vector has (key z, "Using vector-based indexing"): (I/O APIC, pin) each."""

    file: str
    line: int
    vector: int
    pins: tuple[tuple[int, int], ...]


_DELIVERY = {"Fixed": Dlm.FIXED, "LoPri": Dlm.LOWEST, "SMI": Dlm.SMI, "NMI": Dlm.NMI, "INIT": Dlm.INIT,
             "ExINT": Dlm.EXTINT}
_MSI = re.compile(
    r"(MSI-X|MSI|HPET|IOMMU)\s+(\d{1,6}) vec=([0-9a-f]{2})\s+(lowest|fixed)\s+(level|edge)\s+(?:de)?assert\s+"
    r"(log|phys)\s+(lowest|cpu)\s+dest=([0-9a-f]{8}) mask=(\d)/(?:([ H]) ?([ G]?)|(\d))\s*/(-?\d|\?)")
_GUESTS = re.compile(r"d?(\d{1,5}): {0,4}(\d{1,6})\(([-A-Z]{3,4})\)")
_REST = (r"(?:Z=\S+\s+)?(?:(mapped, unbound)|"
         r"in-flight=(\d{1,5}) (?:domain-list=)?((?:d?\d{1,5}: {0,4}\d{1,6}\([-A-Z]{3,4}\)[, ]*)*)|(\S.{0,150}))?")
_IRQ = re.compile(r"IRQ: *(\d{1,6}) vec:([0-9a-f]{2}) (\S{1,30})\s+status=([0-9a-f]{3,8}) "
                  r"aff:\{([-0-9, ]*)\}/\{([-0-9, ]*)\} ?" + _REST)
_OLD = re.compile(r"IRQ: *(\d{1,6}) affinity:([0-9a-f,]{1,1200}) vec:([0-9a-f]{2}) type=(\S{1,30})\s+"
                  r"status=([0-9a-f]{3,8}) ?" + _REST)
_MIXED = re.compile(r"\S{0,3} ?in-flight=(\d{1,5})\b ?(.*)")
_DIRECT = re.compile(r"0x([0-9a-f]{2}) -> (\S{1,120})")
_OWNER = re.compile(r"IRQ *(\d{1,6}) Vec *(\d{1,3}):")
_PIN = re.compile(
    r"Apic 0x([0-9a-f]{2}), Pin +(\d{1,3}): vec=([0-9a-f]{2}) delivery=(\w{1,6})\s* dest=([LP]) status=([01]) "
    r"polarity=([01]) irr=([01]) trig=([LE]) mask=([01]) dest_id:([0-9a-f]{1,8})")
_OLD_PIN = re.compile(
    r"Apic 0x([0-9a-f]{2}), Pin +(\d{1,3}): vector=(\d{1,3}), delivery_mode=([0-7]), dest_mode=(logical|physical), "
    r"delivery_status=([01]), polarity=([01]), irr=([01]), trigger=(level|edge), mask=([01]), dest_id:(\d{1,3})")
_HELD = re.compile(
    r"pin([0-9a-f]{2}), (disabled|enabled)\s*, (level|edge)\s*, (low|high)\s*, V\(([0-9A-F]{2})\), IRR\(([01])\), "
    r"S\(([01])\), (?:remapped, I\(([0-9A-F]{4})\),\s+Z\(([0-7])\)|"
    r"(logical|physical)\s*, D\(([0-9A-F]{2}|[0-9A-F]{4})\), M\(([0-7])\))")
_PLACE = re.compile(r"IOAPIC (\d{1,3}):")
_ROW = re.compile(r"([0-9a-f]{2})\s+([0-9a-fA-F]{2}|[0-9a-f]{8}|0[0-9A-F]{2}\s+0[0-9A-F])\s+" + 6 * r"([01])\s+"
                  + r"([0-7])\s+([0-9A-F]{2})")
_ROUTE = re.compile(r"IRQ(\d{1,5}) ((?:-> ?\d{1,3}:\d{1,3} ?)+)")
_NUMBER = re.compile(r"IO APIC #(\d{1,3})\.+")
_FACT = re.compile(r"\.+ *: (physical APIC id|max redirection entries|IO APIC version): ([0-9a-fA-F]{2,4})")


def read(lines: Sequence[Line]) -> Reading:
    """`Msi`, `Irq`, `Direct`, `Pin`, `Held`, `IoApic` and `Route` in the order of the text."""
    reader = _Reader(lines)
    for place, line in enumerate(lines):
        if len(reader.records) >= MAX_RECORDS:
            reader.tell(line, f"left out: all behind the first {MAX_RECORDS} records")
            break
        reader.take(place, line, body(line.text))
    return Reading(tuple(reader.records), few(reader.remarks))


class _Reader:
    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self.records: list[Any] = []
        self.remarks: list[Remark] = []
        self.irq: int | None = None
        self.ioapic: int | None = None
        self.at = -1
        self.place = 0

    def tell(self, line: Line, text: str) -> None:
        self.remarks.append(Remark(line.file, line.number, column(line), text))

    def take(self, place: int, line: Line, said: str) -> None:
        begins = _HEADS.match(said)
        if not begins or (begins.lastgroup == "row" and self.ioapic is None):
            return
        pattern, make = FORMS[begins.lastgroup or ""]
        match = whole(self.lines, place, pattern)
        made = make(self, line, match) if match else None
        if made is None:
            self.remarks.append(torn(line, "a row"))
        elif made is not True:
            self.records.append(made)

    # --- rows: a record, True for one that only says where we are, None for one that does not fit ---

    def msi(self, line: Line, m: re.Match[str]) -> Msi:
        bit = None if m[13] in ("?", "-1") else m[13] == "1"
        return Msi(line.file, line.number, m[1], int(m[2]), int(m[3], 16), m[4] == "lowest", m[5] == "level",
                   m[6] == "log", m[7] == "lowest", int(m[8], 16), m[9] == "1", m[10] == "H" or m[12] == "1",
                   m[11] == "G", bit)

    def interrupt(self, line: Line, m: re.Match[str]) -> Irq | None:
        affinity, cpus = ranges.parse(m[5]), ranges.parse(m[6])
        if affinity is None or cpus is None:
            return None
        return self._whose(line, m, 7, Irq(line.file, line.number, int(m[1]), int(m[2], 16), m[3], int(m[4], 16),
                                           affinity, cpus))

    def older(self, line: Line, m: re.Match[str]) -> Irq:
        mask = int(m[2].replace(",", "") or "0", 16)
        affinity = ranges.of(place for place in range(mask.bit_length()) if mask >> place & 1)
        return self._whose(line, m, 6, Irq(line.file, line.number, int(m[1]), int(m[3], 16), m[4], int(m[5], 16),
                                           affinity))

    def _whose(self, line: Line, m: re.Match[str], first: int, irq: Irq) -> Irq:
        """What stands behind an interrupt's numbers: whose it is. A serial line may have mixed in another's letters."""
        owner = (m[first + 3] or "").strip()
        if mixed := _MIXED.fullmatch(owner):
            self.tell(line, "letters of another writer stand in the row")
            return replace(irq, in_flight=int(mixed[1]), guests=_guests(mixed[2]))
        return replace(irq, unbound=bool(m[first]), in_flight=int(m[first + 1] or "0"), guests=_guests(m[first + 2]),
                       owner=owner)

    def direct(self, line: Line, m: re.Match[str]) -> Direct:
        return Direct(line.file, line.number, int(m[1], 16), m[2])

    def owner(self, line: Line, m: re.Match[str]) -> bool:
        self.irq = int(m[1])
        return True

    def pin(self, line: Line, m: re.Match[str]) -> Pin | None:
        dlm = _DELIVERY.get(m[4])
        if dlm is None:
            return None
        dest = int(m[11], 16) if len(m[11]) in (2, 8) else int(m[11]) if m[11].isdecimal() else -1
        if dest < 0:
            return None
        return Pin(line.file, line.number, int(m[1], 16), int(m[2]), int(m[3], 16), int(dlm), int(m[5] == "L"), dest,
                   int(m[6]), int(m[7]), int(m[8]), int(m[9] == "L"), int(m[10]), self.irq)

    def older_pin(self, line: Line, m: re.Match[str]) -> Pin:
        return Pin(line.file, line.number, int(m[1], 16), int(m[2]), int(m[3]), int(m[4]), int(m[5] == "logical"),
                   int(m[11]), int(m[6]), int(m[7]), int(m[8]), int(m[9] == "level"), int(m[10]), self.irq)

    def held(self, line: Line, m: re.Match[str]) -> Held:
        known = {"mask": int(m[2] == "disabled"), "tm": int(m[3] == "level"), "polarity": int(m[4] == "low"),
                 "vector": int(m[5], 16), "irr": int(m[6]), "status": int(m[7])}
        if m[8]:
            word = RTE_REMAP.make(format=1, handle=int(m[8], 16), zero=int(m[9]), **known)
        else:
            dest = int(m[11], 16)
            word = RTE.make(dest=dest & 0xFF, ext=dest >> 8 & 0x7F, dm=int(m[10] == "logical"), dlm=int(m[12]), **known)
        return Held(line.file, line.number, self.place, int(m[1], 16), word)

    def placed(self, line: Line, m: re.Match[str]) -> bool:
        self.place = int(m[1])
        return True

    def row(self, line: Line, m: re.Match[str]) -> Pin | None:
        """Two columns of a destination ("Log Phy") are its 8 bits, and the low 4 of them."""
        dests = [int(each, 16) for each in m[2].split()]
        if dests[-1] & 0xF != dests[0] & 0xF:
            return None
        mask, tm, irr, polarity, status, dm, dlm = (int(m[place]) for place in range(3, 10))
        return Pin(line.file, line.number, self.ioapic or 0, int(m[1], 16), int(m[10], 16), dlm, dm, dests[0],
                   status, polarity, irr, tm, mask)

    def route(self, line: Line, m: re.Match[str]) -> Route:
        pins = tuple((int(apic), int(pin)) for apic, pin in re.findall(r"(\d+):(\d+)", m[2]))
        return Route(line.file, line.number, int(m[1]), pins)

    def number(self, line: Line, m: re.Match[str]) -> IoApic:
        self.ioapic, self.at = int(m[1]), len(self.records)
        return IoApic(line.file, line.number, self.ioapic)

    def fact(self, line: Line, m: re.Match[str]) -> bool:
        if self.at >= 0:
            old = self.records[self.at]
            value = int(m[2], 16)
            self.records[self.at] = IoApic(
                old.file, old.line, old.number, value if m[1] == "physical APIC id" else old.id,
                value if m[1] == "IO APIC version" else old.version,
                value + 1 if m[1] == "max redirection entries" else old.pins)
        return True


def _guests(text: str | None) -> tuple[Guest, ...]:
    return tuple(Guest(int(domain), int(pirq), flags) for domain, pirq, flags in _GUESTS.findall(text or ""))


_HEADS = re.compile("|".join((
    r"(?P<msi>(?:MSI-X|MSI|HPET|IOMMU)\s+\d+ vec=)", r"(?P<irq>IRQ: *\d+ vec:)", r"(?P<older>IRQ: *\d+ affinity:)",
    r"(?P<direct>0x[0-9a-f]{2} -> \S{1,120}\(\))", r"(?P<owner>IRQ *\d+ Vec *\d)",
    r"(?P<older_pin>Apic 0x[0-9a-f]{2}, Pin +\d{1,3}: vector=)", r"(?P<pin>Apic 0x[0-9a-f]{2}, Pin)",
    r"(?P<held>pin[0-9a-f]{2}, (?:dis|en)abled)", r"(?P<place>IOAPIC \d{1,3}:)",
    r"(?P<row>[0-9a-f]{2}\s+(?:[0-9a-f]{8}|(?:[0-9a-fA-F]{3}\s+)?[0-9a-fA-F]{2})\s+[01]\s)", r"(?P<route>IRQ\d+ ->)",
    r"(?P<number>IO APIC #\d)", r"(?P<fact>\.+ *: (?:phys|max|IO APIC))")))

FORMS: dict[str, tuple[re.Pattern[str], Callable[[_Reader, Line, re.Match[str]], Any]]] = {
    "msi": (_MSI, _Reader.msi), "irq": (_IRQ, _Reader.interrupt), "older": (_OLD, _Reader.older),
    "direct": (_DIRECT, _Reader.direct), "owner": (_OWNER, _Reader.owner), "pin": (_PIN, _Reader.pin),
    "older_pin": (_OLD_PIN, _Reader.older_pin), "held": (_HELD, _Reader.held), "place": (_PLACE, _Reader.placed),
    "row": (_ROW, _Reader.row), "route": (_ROUTE, _Reader.route), "number": (_NUMBER, _Reader.number),
    "fact": (_FACT, _Reader.fact)}
"""The form of each row, by the name of how it begins in `_HEADS`, and what reads it."""
